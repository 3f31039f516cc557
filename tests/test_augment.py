from __future__ import annotations

import torch

from pleinair.augment import Variation, _colour, _cutout, _translation, augment


def test_each_picture_is_varied_in_its_own_way_and_gradients_come_back():
    torch.manual_seed(0)
    pictures = (torch.rand(1, 3, 32, 32) * 2 - 1).repeat(4, 1, 1, 1).requires_grad_(True)
    varied = augment(pictures, Variation.draw(4, 32, 32))
    assert varied.shape == pictures.shape
    assert not torch.equal(varied[0], varied[1])
    varied.sum().backward()
    assert pictures.grad is not None
    assert (pictures.grad != 0).flatten(1).any(dim=1).all()


def test_it_depends_on_the_random_state_that_checkpoints_keep():
    pictures = torch.rand(2, 3, 32, 32)
    torch.manual_seed(3)
    first = augment(pictures, Variation.draw(2, 32, 32))
    torch.manual_seed(3)
    assert torch.equal(first, augment(pictures, Variation.draw(2, 32, 32)))


def test_colour_stays_near():
    torch.manual_seed(0)
    grey = torch.zeros(64, 3, 8, 8)
    changed = _colour(grey, Variation.draw(64, 8, 8))
    # A grey has no contrast and no saturation to change: brightness alone moves it.
    assert (changed - changed[:, :1, :1, :1]).abs().max() < 1e-6
    assert 0.05 < changed.abs().max() <= 0.1 + 1e-6


def test_translation_moves_by_an_eighth_at_most():
    torch.manual_seed(0)
    dot = torch.zeros(64, 1, 32, 32)
    dot[:, :, 16, 16] = 1.0
    moved = _translation(dot, Variation.draw(64, 32, 32))
    assert (moved.sum(dim=(1, 2, 3)) == 1.0).all()
    places = moved.flatten(1).argmax(dim=1)
    assert (places // 32 - 16).abs().max() == 4
    assert (places % 32 - 16).abs().max() == 4


def test_cutout_makes_one_hole():
    torch.manual_seed(0)
    holes = (_cutout(torch.ones(64, 3, 32, 32), Variation.draw(64, 32, 32)) == 0).float()
    assert torch.equal(holes[:, 0], holes[:, 2])
    areas = holes[:, 0].sum(dim=(1, 2))
    assert areas.max() == 8 * 8
    assert areas.min() >= 4 * 4  # a corner at least is inside


def test_a_part_of_a_variation_varies_a_part_of_the_pictures():
    pictures = torch.rand(5, 3, 32, 32)
    varied = Variation.draw(5, 32, 32)
    rows = slice(2, 4)
    assert torch.equal(augment(pictures, varied)[rows], augment(pictures[rows], varied[rows]))
