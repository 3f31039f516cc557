from __future__ import annotations

import numpy as np
import pytest

from pleinair import metrics

from .conftest import picture


def test_luma_correlation_knows_a_negative():
    photo = picture(64, 80)
    assert metrics.luma_correlation(photo, photo) == pytest.approx(1.0)
    assert metrics.luma_correlation(photo, 255 - photo) == pytest.approx(-1.0)
    assert metrics.luma_correlation(photo, np.full_like(photo, 9)) == 0.0


def test_median_change():
    photo = np.full((8, 8, 3), 100, np.uint8)
    changed = photo.copy()
    changed[:5] += 7
    assert metrics.median_change(photo, changed) == 7.0
    assert metrics.median_change(photo, photo) == 0.0


@pytest.mark.parametrize("period", [2, 4])
def test_lattice_stands_out_of_noise(period):
    noise = np.random.default_rng(0).normal(128, 6, (256, 256, 1))
    noise = np.repeat(noise, 3, axis=2)
    clean = noise.clip(0, 255).astype(np.uint8)
    assert metrics.lattice_ratio(clean, period) < 2
    marked = noise.copy()
    marked[::period, ::period] += 12
    assert metrics.lattice_ratio(marked.clip(0, 255).astype(np.uint8), period) > 5


@pytest.mark.parametrize("period", [2, 4])
def test_flat_and_gradient_have_no_lattice(period):
    flat = np.full((128, 128, 3), 77, np.uint8)
    ramp = np.repeat(np.linspace(40, 200, 256)[None, :, None], 256, axis=0)
    gradient = np.repeat(ramp, 3, axis=2)  # not rounded: its own steps would be a lattice
    assert metrics.lattice_ratio(flat, period) < 2
    assert metrics.lattice_ratio(gradient, period) < 2


def test_lattice_grows_with_its_strength():
    flat = np.full((128, 128, 3), 100, np.uint8)
    found = []
    for strength in (1, 2, 4, 8):
        marked = flat.copy()
        marked[:, ::4] += np.uint8(strength)
        found.append(metrics.lattice_ratio(marked, 4))
    assert found == sorted(found)
    assert found[0] > 2


def test_kernel_distance_of_one_distribution_is_nothing_and_grows_with_a_shift():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 400, 16))
    found = [metrics.kernel_distance(a, b + shift) for shift in (0.0, 0.5, 1.0, 2.0)]
    assert abs(found[0]) < 0.02
    assert found == sorted(found)


def test_kernel_distance_is_that_of_the_formula():
    a, b = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    # Within: k(0,1) = 1 and k(2,3) = 343; across: k(0,2), k(0,3) = 1, k(1,2) = 27, k(1,3) = 64.
    assert metrics.kernel_distance(a, b) == pytest.approx(1 + 343 - 2 * (1 + 1 + 27 + 64) / 4)
