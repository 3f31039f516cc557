"""What is corrected of a teacher's painting."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from pleinair.retouch import DARK, VIOLET, dabs, fine_chroma, retouched  # noqa: E402


def flat(*colour: float) -> torch.Tensor:
    return torch.tensor(colour).reshape(1, 3, 1, 1).expand(1, 3, 24, 24).clone()


def test_a_painting_is_left_as_it_is_unless_asked():
    painting = torch.rand(2, 3, 16, 20) * 2 - 1
    assert torch.equal(retouched(painting), painting)


def test_black_becomes_violet_and_what_is_no_shadow_stays():
    found = retouched(flat(-1.0, -1.0, -1.0), dusk=0.3)
    assert found[0, :, 5, 5].tolist() == pytest.approx([0.3 * part - 1.0 for part in VIOLET])
    for level in (DARK, 0.0, 1.0):
        assert torch.equal(
            retouched(flat(level, level, level), dusk=0.3), flat(level, level, level)
        )
    # Half of the way from black to DARK: 0.5 to the power of 1.5.
    middle = (DARK - 1.0) / 2.0
    found = retouched(flat(middle, middle, middle), dusk=0.3)
    assert float(found[0, 2, 5, 5]) == pytest.approx(middle + 0.3 * 0.5**1.5)


def test_light_is_a_power_of_how_far_white_is():
    found = retouched(flat(-1.0, 0.0, 1.0), light=2.0)
    assert found[0, :, 5, 5].tolist() == pytest.approx([-1.0, 0.5, 1.0])


def test_flecks_are_calmed_and_light_and_broad_colours_stay():
    painting = flat(0.2, 0.1, -0.3)
    painting[..., 12, 12] = torch.tensor([0.5, 0.5, -0.7])
    calmer = retouched(painting, flecks=0.5)
    assert torch.allclose(calmer, painting - 0.5 * fine_chroma(painting), atol=1e-6)
    assert torch.allclose(calmer.mean(dim=1), painting.mean(dim=1), atol=1e-6)
    assert torch.allclose(retouched(flat(0.2, 0.1, -0.3), flecks=0.5), flat(0.2, 0.1, -0.3))
    lifted = (calmer - painting)[0, 2, 12, 12]
    chroma = painting - painting.mean(dim=1, keepdim=True)
    around = chroma[0, 2, 8:17, 8:17].mean()
    assert float(lifted) == pytest.approx(float(0.5 * (around - chroma[0, 2, 12, 12])), abs=1e-6)


def test_the_result_is_a_picture_whatever_was_asked():
    painting = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(3)) * 2 - 1
    found = retouched(painting, flecks=2.0, dusk=1.0, light=2.0, dabbed=1.0)
    assert found.min() >= -1.0 and found.max() <= 1.0  # noqa: PT018


def noise(*size: int) -> torch.Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(5)) * 2 - 1


def test_dabs_leave_what_is_even_and_where_its_edges_are():
    assert torch.allclose(dabs(flat(0.2, -0.7, 1.0)), flat(0.2, -0.7, 1.0), atol=1e-5)
    halves = flat(-0.5, 0.0, 0.5)
    halves[..., 12:] = 0.8
    assert torch.allclose(dabs(halves), halves, atol=1e-3)


def test_dabs_make_grain_even_and_keep_its_level():
    grain = 0.2 * noise(1, 3, 64, 64)
    found = dabs(grain)
    assert found.std() < 0.4 * grain.std()
    assert found.mean() == pytest.approx(grain.mean().item(), abs=0.01)
    edge = grain.clone()
    edge[..., 32:] += 0.7
    painted = dabs(edge).mean(dim=(0, 1, 2))
    assert float(painted[33] - painted[30]) > 0.6  # as sharp as it was


def test_dabs_are_of_any_size_and_of_each_picture_by_itself():
    pictures = noise(2, 3, 9, 40)
    both = dabs(pictures)
    assert both.shape == pictures.shape
    assert torch.allclose(both[:1], dabs(pictures[:1]), atol=1e-6)


def test_a_part_of_a_painting_is_in_dabs():
    painting = noise(1, 3, 32, 32)
    half = retouched(painting, dabbed=0.5)
    assert torch.allclose(half, (painting + dabs(painting)) / 2, atol=1e-6)
