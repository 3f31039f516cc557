from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pleinair import appearance, metrics

from .conftest import picture


def stripes(degrees: float, side: int = 128) -> np.ndarray:
    """Lines that run at an angle, counter-clockwise from the horizontal."""
    rows, columns = np.mgrid[:side, :side]
    angle = np.radians(degrees)
    across = columns * np.sin(angle) + rows * np.cos(angle)
    gray = 127.5 + 100 * np.sin(across * 2 * np.pi / 9)
    return np.repeat(gray[..., None], 3, axis=2).round().astype(np.uint8)


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [  # CIE's own values for the corners of sRGB under D65
        ((255, 255, 255), (100.0, 0.0, 0.0)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0.0, 0.0)),
    ],
)
def test_lab_of_known_colours(rgb, expected):
    found = appearance.lab(np.array([[rgb]], np.uint8))[0, 0]
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_a_palette_moved_by_a_vector_is_as_far_as_that_vector():
    bins, random = appearance.COLOUR_BINS, np.random.default_rng(0)
    base = np.zeros((5, 3, bins))
    base[:, :, 10:40] = random.random((5, 3, 30))
    base /= base.sum(axis=-1, keepdims=True)
    moved = base.copy()
    moved[:, 0] = np.roll(base[:, 0], 3, axis=-1)  # 3 bins of 100/64 of L*
    moved[:, 1] = np.roll(base[:, 1], -2, axis=-1)  # 2 bins of 4 of a*
    expected = np.hypot(3 * 100 / bins, 2 * 256 / bins)
    assert appearance.colour_distance(base, moved) == pytest.approx(expected)
    assert appearance.colour_distance(base, base) == 0


def test_the_palette_of_a_flat_colour_is_one_bin():
    flat = np.full((32, 32, 3), (200, 120, 60), np.uint8)
    found = appearance.colours(flat)
    assert found.shape == (3, appearance.COLOUR_BINS)
    assert found.max(axis=1).tolist() == [1, 1, 1]
    darker = appearance.colours((flat * 0.8).astype(np.uint8))
    lighter = appearance.colours((flat * 0.4).astype(np.uint8))
    near = appearance.colour_distance(found[None], darker[None])
    far = appearance.colour_distance(found[None], lighter[None])
    assert 0 < near < far


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 120, 175])
def test_stripes_run_where_they_run(degrees):
    shares, coherence = appearance.strokes(stripes(degrees))
    assert shares.sum() == pytest.approx(1, abs=1e-5)
    bins = appearance.DIRECTION_BINS
    found = shares.argmax() * 180 / bins
    assert min(abs(found - degrees), 180 - abs(found - degrees)) <= 180 / bins
    assert coherence > 0.95


def test_strokes_that_turn_are_told_in_degrees_the_short_way_round():
    shares = [appearance.strokes(stripes(degrees))[0][None] for degrees in (0, 20, 170)]
    assert appearance.direction_distance(shares[0], shares[1]) == pytest.approx(20, abs=1)
    assert appearance.direction_distance(shares[0], shares[2]) == pytest.approx(10, abs=1)
    assert appearance.direction_distance(shares[1], shares[2]) == pytest.approx(30, abs=1)
    assert appearance.direction_distance(shares[1], shares[1]) == 0


def test_a_turned_picture_has_turned_strokes():
    upright = picture(200, 200, seed=3)
    shares, coherence = appearance.strokes(upright)
    turned, as_coherent = appearance.strokes(np.ascontiguousarray(np.rot90(upright)))
    quarter = appearance.DIRECTION_BINS // 2
    np.testing.assert_allclose(np.roll(shares, quarter), turned, atol=0.02)
    assert coherence == pytest.approx(as_coherent, abs=0.01)


def test_noise_runs_nowhere_and_flat_has_nothing():
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3)).astype(np.uint8)
    shares, coherence = appearance.strokes(noise)
    assert coherence < 0.3
    assert shares.max() < 0.15
    flat, none = appearance.strokes(np.full((64, 64, 3), 90, np.uint8))
    assert (flat.sum(), none) == (0, 0)
    assert appearance.direction_distance(flat[None], shares[None]) == 0


def test_maps_of_one_picture_are_no_distance_and_opposite_ones_are_four():
    random = np.random.default_rng(0)
    a = {8: random.normal(size=(3, 5, 4, 4)), 16: random.normal(size=(3, 7, 2, 2))}
    scaled = {stride: 3.0 * maps for stride, maps in a.items()}
    opposite = {stride: -maps for stride, maps in a.items()}
    np.testing.assert_allclose(metrics.map_distance(a, a), 0, atol=1e-12)
    np.testing.assert_allclose(metrics.map_distance(a, scaled), 0, atol=1e-12)
    np.testing.assert_allclose(metrics.map_distance(a, opposite), 4)
    # Orthogonal features at every place of one stride, the same at the other.
    x, y = np.zeros((1, 2, 3, 3)), np.zeros((1, 2, 3, 3))
    x[:, 0], y[:, 1] = 1, 5
    np.testing.assert_allclose(metrics.map_distance({8: x, 16: x}, {8: y, 16: x}), 1)
    # A stride that only one of two has more of is not asked for.
    assert metrics.map_distance({8: x}, {8: y, 16: x}) == pytest.approx(2)


@pytest.mark.parametrize("damage", ["blur", "turn", "mix"])
def test_a_scene_is_lost_the_more_it_is_damaged(damage):
    engines = pytest.importorskip("pleinair.engines", reason="torch is not installed")
    torch = pytest.importorskip("torch", reason="torch is not installed")
    eye = engines.backbone("lite0", torch.device("cpu"))
    photo, other = (Image.fromarray(picture(256, 256, seed=n)) for n in (1, 2))

    def worse(strength: int) -> Image.Image:
        if damage == "blur":
            return photo.resize((256 // 2**strength,) * 2).resize((256, 256))
        if damage == "turn":
            return photo.rotate(15 * strength)
        return Image.blend(photo, other, 0.3 * strength)

    shown = [np.asarray(worse(strength)) for strength in range(4)]
    _, maps = eye.look(shown)
    same = {stride: np.repeat(tap[:1], 4, axis=0) for stride, tap in maps.items()}
    found = metrics.map_distance({s: same[s] for s in (8, 16)}, maps)
    assert found.tolist() == sorted(found)
    assert found[0] == pytest.approx(0, abs=1e-12)
