"""What a painting did to its photo, as numbers. Pure: arrays in, floats out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleinair.images import Pixels

Features = NDArray[np.floating[Any]]  # a row for each picture
Maps = Mapping[int, NDArray[np.floating[Any]]]  # by stride, (N, C, h, w)

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as JPEG has it
# A spectrum has no empty place: rounding to 8 bits alone puts 1/12 of a squared level everywhere.
_ROUNDING_VARIANCE = 1.0 / 12.0


def luma(pixels: Pixels | NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """(..., 3) of 0 to 255 to float (...)."""
    weighted: NDArray[np.float64] = pixels.astype(np.float64) @ _LUMA
    return weighted


def luma_correlation(photo: Pixels, painting: Pixels) -> float:
    """Pearson correlation of luma, in [-1, 1]; below 0 light and dark are inverted; flat: 0."""
    a, b = luma(photo).ravel(), luma(painting).ravel()
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 1e-9 else 0.0


def median_change(photo: Pixels, painting: Pixels) -> float:
    """Median absolute difference over pixels and channels, in levels of 0 to 255."""
    return float(np.median(np.abs(photo.astype(np.int16) - painting.astype(np.int16))))


def lattice_ratio(pixels: Pixels | NDArray[np.floating[Any]], period: int) -> float:
    """How far spectral power at a period stands out from its neighbourhood; 1 is not at all.

    The power spectrum of luma, taken over tapered windows of 64x64 pixels that overlap by half,
    is averaged; the strongest of the frequencies 1/period along either axis or both is divided
    by the median power around it. The floor is what rounding to 8 bits alone would leave.
    pixels: (H, W, 3) of 0 to 255, both sides at least 64; period: 2 or 4 pixels. Give floats for
    a smooth gradient, whose rounding to 8 bits is a pattern of its own.
    """
    size = 64
    power, floor = _spectrum(pixels, size)
    k = size // period
    peaks = [(0, k), (k, 0), (k, k), (k, size - k)]
    return max(_peak_ratio(power, row, column, floor) for row, column in peaks)


def lattice_levels(pixels: Pixels, period: int = 4) -> float:
    """Deviation, in levels, of what repeats every `period` pixels in a smooth picture, (H, W, 3).

    What is slower than the period is taken out by a moving mean; of the rest, places of the same
    phase are averaged, so that strokes and rounding cancel. A quarter is left out at each border.
    """
    gray = luma(pixels)
    height, width = (side // 4 for side in gray.shape)
    inner = gray[height : 3 * height, width : 3 * width]
    kernel = np.ones(2 * period + 1)
    kernel[[0, -1]] = 0.5  # centred on a pixel, over two whole periods
    smooth = inner
    for axis in (0, 1):
        smooth = np.apply_along_axis(np.convolve, axis, smooth, kernel / kernel.sum(), "same")
    rest = (inner - smooth)[2 * period : -2 * period, 2 * period : -2 * period]
    rows, columns = (side // period * period for side in rest.shape)
    cells = rest[:rows, :columns].reshape(rows // period, period, columns // period, period)
    return float(cells.mean(axis=(0, 2)).std())


def weave(pixels: Pixels | NDArray[np.floating[Any]]) -> float:
    """How far single frequencies stand out of a spectrum, whatever their period; 0 is not at all.

    The power of luma in tapered windows of 32x32 pixels that overlap by half is averaged (Welch
    1967) and each frequency divided by the geometric mean of those around it; of all that are at
    least 1/6 of a cycle a pixel, what is above 1.5 is averaged. Strokes have many widths and
    directions, a weave has one. Paintings and photographs have less than 0.1.
    pixels: (H, W, 3) of 0 to 255, both sides at least 64.
    """
    size = 32
    power, floor = _spectrum(pixels, size)
    log = np.log(np.maximum(power, floor))
    # The taper spreads one frequency over two to each side: those are no neighbours yet.
    ring = [(dy, dx) for dy in range(-4, 5) for dx in range(-4, 5) if max(abs(dy), abs(dx)) > 2]
    around = np.mean([np.roll(log, shift, (0, 1)) for shift in ring], axis=0)
    cycles = np.fft.fftfreq(size)
    fine = np.hypot(cycles[:, None], cycles[None, :]) >= 1 / 6
    return float(np.maximum(np.exp(log - around)[fine] - 1.5, 0.0).mean())


def signs(photo: Pixels, painting: Pixels) -> dict[str, float]:
    """All of the above by name; below 64 pixels there is no spectrum to look at, and no lattice."""
    large = min(painting.shape[:2]) >= 64
    return {
        "luma_correlation": luma_correlation(photo, painting),
        "median_change": median_change(photo, painting),
        "lattice_2": lattice_ratio(painting, 2) if large else 1.0,
        "lattice_4": lattice_ratio(painting, 4) if large else 1.0,
        "weave": weave(painting) if large else 0.0,
    }


def map_distance(a: Maps, b: Maps) -> NDArray[np.float64]:
    """How unlike two pictures are to a network, place by place: (N,) of 0 to 4, 0 for the same.

    a, b: the same strides to maps (N, C, h, w). At every place features are scaled to length 1
    and their squared distance is taken; places are averaged, then strides. That is LPIPS without
    its learned weights (Zhang et al. 2018, https://arxiv.org/abs/1801.03924, eq. 1). Fine strides
    see strokes and colour, strides 8 and 16 what is where.
    """
    found = []
    for stride, one in a.items():
        x, y = (_unit_places(maps.astype(np.float64)) for maps in (one, b[stride]))
        found.append(((x - y) ** 2).sum(axis=1).mean(axis=(1, 2)))
    return np.asarray(np.mean(found, axis=0), np.float64)


def kernel_distance(a: Features, b: Features) -> float:
    """Squared maximum mean discrepancy of two sets of features, unbiased, so below 0 by chance.

    a: (m, d), b: (n, d). Kernel (x . y / d + 1)^3: Binkowski et al. 2018,
    https://arxiv.org/abs/1801.01401, eq. 3 and 4; KID where the features are Inception's.
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    m, n, d = len(a), len(b), a.shape[1]
    within_a, within_b, across = ((x @ y.T / d + 1.0) ** 3 for x, y in ((a, a), (b, b), (a, b)))
    pairs_a = (within_a.sum() - np.trace(within_a)) / (m * (m - 1))
    pairs_b = (within_b.sum() - np.trace(within_b)) / (n * (n - 1))
    return float(pairs_a + pairs_b - 2.0 * across.mean())


def witness(x: Features, a: Features, b: Features) -> NDArray[np.float64]:
    """How much more each picture is like set a than like set b: (k,), above 0 where it is.

    x: (k, d), a: (m, d), b: (n, d). Mean kernel to a less mean kernel to b, which is what a
    kernel distance adds up: Gretton et al. 2012, https://jmlr.org/papers/v13/gretton12a.html,
    section 2.3. Of two pictures the one with the higher figure is liker to a.
    """
    x, a, b = (rows.astype(np.float64) for rows in (x, a, b))
    d = x.shape[1]
    to_a, to_b = (((x @ y.T / d + 1.0) ** 3).mean(axis=1) for y in (a, b))
    return np.asarray(to_a - to_b, np.float64)


def wilson(wins: float, count: int, level: float = 1.959964) -> tuple[float, float]:
    """Interval of 95% of a share of `count`; half wins are ties: Wilson 1927. (0, 1) of none."""
    if count == 0:
        return 0.0, 1.0
    share, square = wins / count, level**2 / count
    middle = (share + square / 2) / (1 + square)
    reach = level * np.sqrt(share * (1 - share) / count + square / count / 4) / (1 + square)
    return max(0.0, float(middle - reach)), min(1.0, float(middle + reach))


def kernel_distances(
    a: Features, b: Features, subsets: int, size: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """`kernel_distance` of random subsets without repetition: (subsets,).

    Their mean and standard deviation are what papers print as KID. Subsets are of `size` rows of
    each, or of all but a tenth of the fewer where there are not so many, so that they differ.
    """
    size = min(size, max(2, min(len(a), len(b)) * 9 // 10))
    found = [
        kernel_distance(
            a[random.choice(len(a), size, replace=False)],
            b[random.choice(len(b), size, replace=False)],
        )
        for _ in range(subsets)
    ]
    return np.array(found)


def resampled_kernel_distances(
    a: Features, b: Features, count: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """`kernel_distance` of `count` bootstrap samples of both sets, for its uncertainty: (count,).

    A picture that is drawn twice is never paired with itself, which would count as closeness.
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    d = a.shape[1]
    within_a, within_b, across = ((x @ y.T / d + 1.0) ** 3 for x, y in ((a, a), (b, b), (a, b)))
    np.fill_diagonal(within_a, 0.0)
    np.fill_diagonal(within_b, 0.0)
    times_a, times_b = (
        random.multinomial(len(x), np.full(len(x), 1 / len(x)), size=count).astype(np.float64)
        for x in (a, b)
    )

    def mean_of_pairs(times: NDArray[np.float64], kernel: NDArray[np.float64]) -> Any:
        pairs = times.sum(axis=1) ** 2 - (times**2).sum(axis=1)
        return ((times @ kernel) * times).sum(axis=1) / pairs

    both = ((times_a @ across) * times_b).sum(axis=1) / (len(a) * len(b))
    found: NDArray[np.float64] = (
        mean_of_pairs(times_a, within_a) + mean_of_pairs(times_b, within_b) - 2.0 * both
    )
    return found


def jackknife_error(
    score: Callable[[Features, Features], float], a: Features, b: Features, groups: int = 10
) -> float:
    """Standard error of a score of two sets, by leaving out a group of both at a time.

    Efron 1982, "The Jackknife, the Bootstrap and Other Resampling Plans", section 2. For scores
    that depend on the size of a set, as a Frechet distance does, of which a bootstrap sample, with
    its repetitions, would look smaller than it is. Each set needs at least `groups` + 1 rows.
    """
    left = [
        score(
            np.delete(a, np.s_[group::groups], axis=0), np.delete(b, np.s_[group::groups], axis=0)
        )
        for group in range(groups)
    ]
    return float(np.sqrt((groups - 1) / groups * ((np.array(left) - np.mean(left)) ** 2).sum()))


def frechet_distance(a: Features, b: Features) -> float:
    """Squared Frechet (2-Wasserstein) distance of two Gaussians fitted to features; at least 0.

    a: (m, d), b: (n, d), at least 2 rows each. |mean a - mean b|^2 + tr(A + B - 2 (A B)^(1/2)) of
    covariances A, B with m - 1 and n - 1: Heusel et al. 2017, https://arxiv.org/abs/1706.08500,
    eq. 6; FID where the features are Inception's. It grows as sets get smaller, whatever they
    hold: compare only sets of one size.
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    shift = x.mean(axis=0) - y.mean(axis=0)
    root_a, root_b = _covariance_root(x), _covariance_root(y)
    # With A = P'P and B = Q'Q the eigenvalues of A B are the squares of P Q's singular values: no
    # square root of a matrix that is singular, as those of few pictures are.
    shared = float(np.linalg.svd(root_a @ root_b.T, compute_uv=False).sum())
    spread = float((root_a**2).sum() + (root_b**2).sum()) - 2.0 * shared
    return max(float(shift @ shift) + spread, 0.0)


def nearest_cosine(a: Features, b: Features) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """For each row of a its nearest of b: cosine distances 1 - |cos| in [0, 1], and row numbers.

    a: (m, d), b: (n, d) to (m,), (m,). A row of zeros is at distance 1 of everything.
    """
    unit_a, unit_b = (_unit(x.astype(np.float64)) for x in (a, b))
    alike = np.abs(unit_a @ unit_b.T)
    nearest = alike.argmax(axis=1)
    return np.maximum(1.0 - alike[np.arange(len(a)), nearest], 0.0), nearest


def memorisation_distance(a: Features, b: Features) -> float:
    """Mean of `nearest_cosine`: how far results keep from the pictures that were learned from.

    Bai et al. 2021, https://arxiv.org/abs/2106.03062, eq. 2.
    """
    return float(nearest_cosine(a, b)[0].mean())


def mifid(fid: float, distance: float, threshold: float = 0.1) -> float:
    """Memorisation-informed FID as Kaggle's `gan-getting-started` has it: fid / distance.

    A memorisation distance of `threshold` or more is no memorisation and divides by 1.
    """
    return fid / (distance + 1e-14) if distance < threshold else fid


def interval(values: NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """The middle `level` of values, such as scores of resampled sets."""
    low, high = np.quantile(values, [(1.0 - level) / 2, (1.0 + level) / 2])
    return float(low), float(high)


def _covariance_root(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m, d) to P of (min(m, d), d) with P'P the covariance."""
    centred = (x - x.mean(axis=0)) / np.sqrt(len(x) - 1)
    return np.asarray(np.linalg.qr(centred, mode="r"), np.float64)


def _unit(x: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(norms > 0, norms, 1.0)


def _unit_places(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(maps, axis=1, keepdims=True)
    return maps / np.where(norms > 0, norms, 1.0)


def _spectrum(
    pixels: Pixels | NDArray[np.floating[Any]], size: int
) -> tuple[NDArray[np.float64], float]:
    """Power of luma in tapered windows that overlap by half, averaged, and what rounding leaves."""
    taper = np.hanning(size + 2)[1:-1]
    window = taper[:, None] * taper[None, :]
    step = size // 2
    tiles = np.lib.stride_tricks.sliding_window_view(luma(pixels), (size, size))[::step, ::step]
    # A plane is taken out first: its own spectrum leaks along both axes.
    flat = _without_plane(tiles.reshape(-1, size, size))
    power = np.mean(np.abs(np.fft.fft2(flat * window)) ** 2, axis=0)
    return power, _ROUNDING_VARIANCE * float((window**2).sum())


def _without_plane(tiles: NDArray[np.float64]) -> NDArray[np.float64]:
    size = tiles.shape[-1]
    ramp = np.arange(size) - (size - 1) / 2
    norm = size * float((ramp**2).sum())
    down = (tiles.sum(axis=2) @ ramp / norm)[:, None, None] * ramp[:, None]
    across = (tiles.sum(axis=1) @ ramp / norm)[:, None, None] * ramp
    mean = tiles.mean(axis=(1, 2), keepdims=True)
    return np.asarray(tiles - (mean + down + across), np.float64)


def _peak_ratio(power: NDArray[np.float64], row: int, column: int, floor: float) -> float:
    size = power.shape[0]
    # The taper spreads a peak over its next neighbours.
    around = [
        power[(row + dy) % size, (column + dx) % size]
        for dy in range(-6, 7)
        for dx in range(-6, 7)
        if max(abs(dy), abs(dx)) > 2
    ]
    return float(power[row, column] / max(float(np.median(around)), floor))
