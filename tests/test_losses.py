from __future__ import annotations

import math

import pytest
import torch

from pleinair import losses

ONES = torch.ones(1, 1, 2, 2)


@pytest.mark.parametrize(
    ("kind", "logit", "expected"),
    [
        ("lsgan", 1.0, 0.0),
        ("lsgan", 0.25, 0.5625),
        ("bce", 0.0, math.log(2)),
        ("bce", 2.0, math.log(1 + math.exp(-2))),
        ("hinge", 0.75, -0.75),
    ],
)
def test_generator_loss(kind, logit, expected):
    assert losses.generator_loss(kind, ONES * logit).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("kind", "real", "fake", "expected"),
    [
        ("lsgan", 1.0, 0.0, 0.0),
        ("lsgan", 0.5, 0.5, 0.25),
        ("bce", 0.0, 0.0, math.log(2)),
        ("bce", 3.0, -1.0, 0.5 * (math.log1p(math.exp(-3)) + math.log1p(math.exp(-1)))),
        ("hinge", 2.0, -2.0, 0.0),
        ("hinge", 0.0, 0.5, 0.5 * (1.0 + 1.5)),
    ],
)
def test_discriminator_loss_is_halved(kind, real, fake, expected):
    found = losses.discriminator_loss(kind, ONES * real, ONES * fake)
    assert found.item() == pytest.approx(expected)


def test_cycle_and_identity_are_mean_absolute_differences():
    a, b = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), -0.5)
    assert losses.cycle_loss(a, b).item() == pytest.approx(0.5)
    assert losses.identity_loss(a, b).item() == pytest.approx(0.5)


def test_a_pooled_cycle_asks_for_means_only():
    checkerboard = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(4, 4).expand(1, 3, 8, 8)
    flat = torch.zeros(1, 3, 8, 8)
    assert losses.cycle_loss(checkerboard, flat).item() == pytest.approx(1.0)
    assert losses.cycle_loss(checkerboard, flat, pool=4).item() == pytest.approx(0.0)
    assert losses.cycle_loss(flat + 0.5, flat, pool=4).item() == pytest.approx(0.5)


def test_a_ripple_is_seen_and_a_linear_gradient_is_not():
    y, x = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 32), indexing="ij")
    ramp = (0.3 * x + 0.2 * y).expand(1, 3, 32, 32)
    assert losses.ripple_loss(ramp).item() == pytest.approx(0.0, abs=1e-6)
    for period in (2, 4):
        wave = 0.1 * torch.sign(torch.sin((torch.arange(32) + 0.5) * 2 * torch.pi / period))
        found = losses.ripple_loss(ramp + wave).item()
        assert found == pytest.approx(0.1, rel=1e-4)  # nothing of it is in the blur
        assert losses.ripple_loss(ramp + wave[:, None]).item() == pytest.approx(found, rel=1e-4)


def test_a_scene_is_lost_by_direction_of_features_and_not_by_their_length():
    x = torch.randn(2, 8, 4, 4)
    assert losses.content_loss([3 * x], [x]).item() == pytest.approx(0.0, abs=1e-6)
    assert losses.content_loss([-x], [x]).item() == pytest.approx(4.0, rel=1e-5)
    assert losses.content_loss([x, -x], [x, x]).item() == pytest.approx(2.0, rel=1e-5)


def test_colours_drift_beyond_the_margin_and_over_squares_alone():
    photo = torch.zeros(1, 3, 32, 32)
    assert losses.drift_loss(photo, photo + 0.2, 16, 0.25).item() == 0.0
    assert losses.drift_loss(photo, photo - 0.75, 16, 0.25).item() == pytest.approx(0.5)
    strokes = torch.tensor([1.0, -1.0]).repeat(16).expand(1, 3, 32, 32)
    assert losses.drift_loss(photo, strokes, 16, 0.25).item() == 0.0
    poppies = photo.clone()
    poppies[:, 0, :16, :16] = 1.0  # a quarter of one channel of three
    assert losses.drift_loss(photo, poppies, 16, 0.25).item() == pytest.approx(0.75 / 12)


def test_flecks_are_finer_chroma_than_the_photo_has_there():
    photo = torch.zeros(1, 3, 48, 48)
    yellow = torch.tensor([0.4, 0.4, -0.8])[:, None, None]
    assert losses.fleck_loss(photo, photo + 0.9, 0.0).item() == pytest.approx(0.0, abs=1e-6)
    assert losses.fleck_loss(photo, photo + yellow, 0.0).item() == pytest.approx(0.0, abs=1e-6)
    grey = photo.clone()
    grey[..., 20:24, 20:24] = 0.8  # a stroke that is lighter
    assert losses.fleck_loss(photo, grey, 0.0).item() == pytest.approx(0.0, abs=1e-6)
    flecked = photo.clone()
    flecked[..., 24, 24] = yellow[:, 0, 0]
    # A pixel of 81 differs by 80/81 of it from the mean around it, the others by 1/81.
    by_hand = (80 / 81 + 80 * 1 / 81) * float(yellow.abs().sum()) / photo.numel()
    assert losses.fleck_loss(photo, flecked, 0.0).item() == pytest.approx(by_hand, rel=1e-5)
    some = (80 / 81 * yellow.abs() - 0.1).sum() / photo.numel()
    assert losses.fleck_loss(photo, flecked, 0.1).item() == pytest.approx(float(some), rel=1e-5)
    # What the photo has may be painted, and so may what is like it beside it.
    assert losses.fleck_loss(flecked, flecked, 0.0).item() == 0.0
    beside = flecked.roll(3, dims=3)
    one, two = (losses.fleck_loss(flat, beside, 0.05).item() for flat in (flecked, photo))
    assert one < 0.1 * two


def test_flecks_are_chroma_that_moves_and_no_darker_strokes():
    photo = torch.zeros(1, 3, 32, 32)
    strokes = torch.tensor([1.0, -1.0]).repeat_interleave(4).repeat(4).expand(1, 3, 32, 32)
    assert losses.chroma_loss(photo, strokes, 4, 0.25).item() == 0.0
    assert losses.chroma_loss(photo, photo + 0.9, 4, 0.0).item() == pytest.approx(0.0, abs=1e-6)
    fleck = photo.clone()
    fleck[:, 2, :4, :4] = -0.9  # yellow: blue is 0.6 below, red and green 0.3 above the mean
    assert losses.chroma_loss(photo, fleck, 4, 0.25).item() == pytest.approx(0.45 / (3 * 64))
    assert losses.chroma_loss(photo, fleck, 16, 0.25).item() == 0.0


def test_a_lattice_is_what_all_squares_have_in_common_and_strokes_are_not():
    level = torch.linspace(-0.5, 0.5, 98)
    smooth = (level + level[:, None]).expand(1, 3, 98, 98)
    assert losses.lattice_loss(smooth).item() == pytest.approx(0.0, abs=1e-6)
    for period, tile in ((2, [1.0, -1.0]), (4, [1.0, 1.0, -1.0, -1.0])):
        pattern = 0.1 * torch.tensor(tile).repeat(98 // period + 1)[:98]
        for lattice in (pattern, pattern[:, None]):
            found = losses.lattice_loss(smooth + lattice).item()
            assert found == pytest.approx(0.1, rel=1e-4)
    generator = torch.Generator().manual_seed(0)
    strokes = 0.1 * torch.randn(1, 3, 98, 98, generator=generator)
    assert losses.lattice_loss(strokes).item() < 0.1 / 20  # 23 by 23 squares


@pytest.mark.parametrize("kind", ["lsgan", "bce", "hinge"])
def test_gradients_point_the_right_way(kind):
    fake = torch.zeros(1, 1, 2, 2, requires_grad=True)
    losses.generator_loss(kind, fake).backward()
    assert (fake.grad < 0).all()  # a higher logit is a lower loss
    real, fake = (torch.full((1, 1, 2, 2), 0.4, requires_grad=True) for _ in range(2))
    losses.discriminator_loss(kind, real, fake).backward()
    assert (real.grad < 0).all()
    assert (fake.grad > 0).all()


def test_discriminator_accuracy():
    assert losses.discriminator_accuracy("lsgan", ONES * 0.6, ONES * 0.4).item() == 1.0
    assert losses.discriminator_accuracy("lsgan", ONES * 0.4, ONES * 0.4).item() == 0.5
    assert losses.discriminator_accuracy("bce", ONES * 0.1, ONES * 0.1).item() == 0.5


def test_r1_is_half_the_squared_slope_of_the_mean():
    weight = torch.randn(3, 8, 8)

    def linear(x):
        return (x * weight).sum(dim=(1, 2, 3))[:, None, None, None].expand(-1, 1, 5, 5)

    found = losses.r1_penalty(linear, torch.randn(2, 3, 8, 8))
    assert found.item() == pytest.approx(0.5 * weight.square().sum().item(), rel=1e-5)


def test_r1_flattens_the_discriminator():
    torch.manual_seed(0)
    net = torch.nn.Conv2d(3, 1, 3)
    pictures = torch.rand(2, 3, 8, 8)
    before = losses.r1_penalty(net, pictures)
    before.backward()
    with torch.no_grad():
        net.weight -= 0.1 * net.weight.grad
    assert losses.r1_penalty(net, pictures) < before


def test_patch_nce_is_the_cross_entropy_written_out():
    queries = torch.nn.functional.normalize(torch.randn(2, 5, 7), dim=-1)
    keys = torch.nn.functional.normalize(torch.randn(2, 5, 7), dim=-1)
    total = 0.0
    for picture in range(2):
        for place in range(5):
            similar = [float(queries[picture, place] @ keys[picture, k]) / 0.07 for k in range(5)]
            total -= similar[place] - math.log(sum(math.exp(s) for s in similar))
    found = losses.patch_nce_loss(queries, keys, 0.07)
    assert found.item() == pytest.approx(total / 10, rel=1e-4)


def test_patch_nce_gives_keys_no_gradient():
    queries, keys = (torch.randn(1, 4, 3, requires_grad=True) for _ in range(2))
    losses.patch_nce_loss(queries, keys, 0.07).backward()
    assert queries.grad is not None
    assert keys.grad is None
