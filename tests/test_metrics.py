from __future__ import annotations

import functools

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


def test_a_weave_is_a_frequency_of_any_period_that_stands_out():
    noise = np.random.default_rng(0).normal(128, 12, (256, 256, 1))
    place = np.arange(256)

    def weave(levels, rows, columns):
        wave = levels * np.cos(2 * np.pi * (rows * place[:, None] + columns * place))
        return metrics.weave(np.repeat(noise + wave[..., None], 3, axis=2))

    assert weave(0, 0, 0) < 0.01
    assert weave(12, 0.05, 0.08) < 0.01  # broader than this is strokes
    for rows, columns in ((0.3, 0.12), (-0.12, 0.36), (0.25, 0), (0, 0.5)):
        assert 0.02 < weave(3, rows, columns) < 0.5 * weave(6, rows, columns)


def test_flat_and_gradient_have_no_weave():
    flat = np.full((64, 64, 3), 77, np.uint8)
    ramp = np.repeat(np.linspace(40, 200, 256)[None, :, None], 256, axis=0)
    assert metrics.weave(flat) == 0.0
    assert metrics.weave(np.repeat(ramp, 3, axis=2)) == pytest.approx(0.0, abs=1e-3)


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


def spread(count, width, seed):
    random = np.random.default_rng(seed)
    return random.normal(size=(count, width)) @ random.normal(size=(width, width)) / width**0.5


@pytest.mark.parametrize(("m", "n"), [(300, 400), (20, 30), (30, 300)])
def test_frechet_distance_is_that_of_scipy(m, n):
    linalg = pytest.importorskip("scipy.linalg", reason="scipy is not installed")
    a, b = spread(m, 48, 0), spread(n, 48, 1) + 0.3
    one, two = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # Of singular covariances sqrtm knows the trace to half its digits only, so by eigenvalues.
    shared = np.sqrt(np.maximum(linalg.eigvals(one @ two).real, 0.0)).sum()
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(one + two) - 2 * shared
    assert metrics.frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    if min(m, n) > 48:
        shared = np.trace(linalg.sqrtm(one @ two)).real
        expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(one + two) - 2 * shared
        assert metrics.frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_distances_are_those_of_torchmetrics():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    image = pytest.importorskip("torchmetrics.image", reason="torchmetrics is not installed")
    kid = pytest.importorskip("torchmetrics.image.kid", reason="torchmetrics is not installed")
    mifid = pytest.importorskip("torchmetrics.image.mifid", reason="torchmetrics is not installed")
    a, b = spread(200, 32, 0), spread(200, 32, 1) + 0.3
    assert image is not None
    one, two = torch.from_numpy(a), torch.from_numpy(b)
    expected = float(kid.poly_mmd(one, two, degree=3, gamma=None, coef=1.0))
    assert metrics.kernel_distance(a, b) == pytest.approx(expected, rel=1e-6)
    theirs = float(mifid._compute_cosine_distance(two, one, cosine_distance_eps=10.0))
    assert metrics.memorisation_distance(b, a) == pytest.approx(theirs, rel=1e-6)


def test_frechet_distance_of_known_gaussians():
    # Of diagonal covariances: the shift squared and the difference of deviations squared.
    random = np.random.default_rng(0)
    a = random.normal(size=(500, 5))
    assert metrics.frechet_distance(a, a) == pytest.approx(0.0, abs=1e-9)
    scale = 3 * (a - a.mean(0)) + a.mean(0) + 2
    deviations = a.std(axis=0, ddof=1)
    assert metrics.frechet_distance(a, a + 2) == pytest.approx(4 * 5)
    assert metrics.frechet_distance(a, scale) == pytest.approx(
        4 * 5 + np.trace(np.cov(a, rowvar=False)) * 4
    )
    assert deviations.min() > 0


def test_order_and_precision_of_features_do_not_change_a_distance():
    a, b = spread(60, 24, 0), spread(80, 24, 1)
    turned = np.random.default_rng(3).permutation(60)
    for distance in (metrics.frechet_distance, metrics.kernel_distance):
        assert distance(a[turned], b) == pytest.approx(distance(a, b), rel=1e-9)
        assert distance(a.astype(np.float32), b) == pytest.approx(distance(a, b), rel=1e-4)


def test_subsets_scatter_around_the_whole():
    a, b = spread(120, 24, 0), spread(100, 24, 1) + 0.2
    found = metrics.kernel_distances(a, b, 40, 50, np.random.default_rng(0))
    whole = metrics.kernel_distance(a, b)
    assert found.shape == (40,)
    assert abs(found.mean() - whole) < 3 * found.std()
    again = metrics.kernel_distances(a, b, 40, 50, np.random.default_rng(0))
    assert np.array_equal(found, again)
    few = metrics.kernel_distances(a[:10], b[:10], 20, 50, np.random.default_rng(0))
    assert few.std() > 0


def test_resampled_distances_cover_the_truth():
    random = np.random.default_rng(0)
    held = 0
    for _ in range(40):
        a, b = random.normal(size=(60, 4)), random.normal(size=(80, 4)) + 0.5
        low, high = metrics.interval(metrics.resampled_kernel_distances(a, b, 200, random))
        held += low <= truth() <= high
    assert held >= 33  # of 40 at 95%: 38 expected, fewer than 34 once in a thousand


@functools.cache
def truth():
    random = np.random.default_rng(99)
    return metrics.kernel_distance(
        random.normal(size=(4000, 4)), random.normal(size=(4000, 4)) + 0.5
    )


def test_the_jackknife_is_the_error_of_a_mean():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(400, 1)), random.normal(size=(400, 1))
    found = metrics.jackknife_error(lambda x, y: float(x.mean() - y.mean()), a, b, groups=40)
    assert found == pytest.approx((2 / 400) ** 0.5, rel=0.35)


def test_memorisation_is_the_mean_of_the_nearest():
    learned = np.eye(4)
    results = np.array([[2.0, 0, 0, 0], [0, -1.0, 0, 0], [1.0, 1.0, 0, 0], [0, 0, 0, 0]])
    distances, nearest = metrics.nearest_cosine(results, learned)
    assert distances == pytest.approx([0.0, 0.0, 1 - 0.5**0.5, 1.0])
    assert nearest[:2].tolist() == [0, 1]
    assert metrics.memorisation_distance(results, learned) == pytest.approx(distances.mean())


def test_mifid_divides_below_the_threshold_only():
    assert metrics.mifid(50.0, 0.2) == 50.0
    assert metrics.mifid(50.0, 0.1) == 50.0
    assert metrics.mifid(50.0, 0.05) == pytest.approx(1000.0)


def test_an_interval_is_the_middle():
    assert metrics.interval(np.linspace(0, 1, 1001)) == pytest.approx((0.025, 0.975))
