from __future__ import annotations

import itertools

import numpy as np
import pytest

from pleinair.settings import VIDEO
from pleinair.steadiness import Steadiness

from .conftest import picture

FRAME = 1 / 25


def noisy(pixels: np.ndarray, seed: int, light: float = 1.0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 3, pixels.shape)
    return np.clip(np.rint(pixels * light + noise), 0, 255).astype(np.uint8)


def smooth(height: int = 96, width: int = 128) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([60 + x, 40 + y, 180 - x / 2], axis=2).round().astype(np.uint8)


def change(frames: list[np.ndarray]) -> float:
    pairs = itertools.pairwise(frames)
    return float(np.mean([np.abs(a.astype(int) - b).mean() for a, b in pairs]))


@pytest.mark.parametrize("flutter", [0.0, 0.007])
def test_what_stands_still_stands_still(flutter):
    random = np.random.default_rng(1)
    frames = [noisy(smooth(), n, 1 + random.normal(0, flutter)) for n in range(20)]
    steady = Steadiness()
    calm = [steady.calm(frame, FRAME) for frame in frames]
    assert change(calm) < change(frames) / 10
    settled = Steadiness()
    shown = []
    for frame in frames:
        settled.calm(frame, FRAME)
        shown.append(settled.settle(frame))  # a painter whose strokes are all noise
    assert change(shown[8:]) < change(frames) / 5


def test_what_moves_leaves_no_ghost():
    steady = Steadiness()
    ground = smooth()
    for number in range(25):
        frame = ground.copy()
        frame[30:50, 3 * number : 3 * number + 20] = 230
        calm = steady.calm(noisy(frame, number), FRAME)
        shown = steady.settle(calm)
    left = 3 * 24
    for made in (calm, shown):
        # Where it was a frame ago, and all along its way, there is the ground again.
        assert np.abs(made[30:50, :left].astype(int) - ground[30:50, :left]).mean() < 3
        assert np.abs(made[30:50, left : left + 20].astype(int) - 230).mean() < 4


def test_small_and_faint_things_move_too():
    steady = Steadiness()
    for number in range(20):
        frame = np.full((64, 96, 3), 100, np.uint8)
        frame[30:36, 4 * number : 4 * number + 6] = 125
        calm = steady.calm(noisy(frame, number), FRAME)
    assert calm[30:36, 76:82].mean() == pytest.approx(125, abs=3)
    assert np.abs(calm[30:36, :72].astype(int) - 100).mean() < 3


def test_a_cut_begins_anew():
    steady = Steadiness()
    first, second = picture(96, 128, seed=1), picture(96, 128, seed=1)[::-1, ::-1] // 2
    for number in range(10):
        steady.settle(steady.calm(noisy(first, number), FRAME))
        steady.adjust(0, lambda: np.ones((2, 4), np.float32))
    after = noisy(np.ascontiguousarray(second), 99)
    assert np.array_equal(steady.calm(after, FRAME), after)
    painting = 255 - after
    assert np.array_equal(steady.settle(painting), painting)
    fresh = np.full((2, 4), 1.2, np.float32)
    assert np.array_equal(steady.adjust(0, lambda: fresh), fresh)


def test_a_change_of_light_is_followed():
    steady = Steadiness()
    for number in range(60):
        frame = (smooth() * (1 - number / 60)).astype(np.uint8)
        calm = steady.calm(frame, FRAME)
        assert np.abs(calm.astype(int) - frame).mean() < 12


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_depth_is_kept(kind):
    steady = Steadiness()
    scale = 257 if kind == np.uint16 else 1
    for number in range(3):
        frame = noisy(smooth(), number).astype(kind) * kind(scale)
        shown = steady.settle(steady.calm(frame, FRAME))
        assert shown.dtype == kind
        assert abs(shown.mean() / scale - smooth().mean()) < 1


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 17), (47, 63)])
def test_every_size_is_taken(size):
    steady = Steadiness()
    for number in range(3):
        frame = picture(*size, seed=number)
        assert steady.settle(steady.calm(frame, FRAME)).shape == frame.shape


def test_without_smoothing_nothing_is_touched():
    steady = Steadiness(0)
    frame = smooth()
    assert steady.calm(frame, FRAME) is frame
    assert steady.settle(frame) is frame
    statistics = np.ones((2, 3), np.float32)
    assert steady.adjust(0, lambda: statistics) is statistics
    assert steady.state() == {}


def test_statistics_are_averaged_and_stay_the_same_array_while_they_can():
    steady = Steadiness()
    random = np.random.default_rng(0)
    base = np.stack([random.normal(0, 1, 40), random.uniform(0.5, 2, 40)]).astype(np.float32)
    steady.calm(smooth(), FRAME)
    held = []
    for _ in range(30):
        steady.calm(smooth(), FRAME)
        measured = base + random.normal(0, 0.008, base.shape).astype(np.float32)
        held.append(steady.adjust(0, lambda found=measured: found))
        other = steady.adjust(1, lambda found=measured: found * 2)
    assert len({id(each) for each in held}) == 1
    assert other.shape == base.shape
    assert np.abs(held[-1] - base).max() < 0.1
    for _ in range(60):  # a slow drift is followed
        steady.calm(smooth(), FRAME)
        held.append(steady.adjust(0, lambda: base + np.float32(0.2)))
    assert np.abs(held[-1] - base - 0.2).max() < 0.05
    leap = base + np.float32(5.0)
    assert steady.adjust(0, lambda: leap) is held[-1]  # too soon to look again
    steady.calm(smooth(), 1.0)
    assert np.array_equal(steady.adjust(0, lambda: leap), leap)


def test_what_was_saved_goes_on_alike_and_does_not_grow():
    frames = [noisy(smooth(), n) for n in range(12)]
    through, sizes = Steadiness(), []

    def step(steady: Steadiness, frame: np.ndarray) -> np.ndarray:
        calm = steady.calm(frame, FRAME)
        held = steady.adjust(0, lambda: np.full((2, 3), calm.mean(), np.float32))
        return steady.settle((calm // 2 + held.mean() / 4).astype(np.uint8))

    for frame in frames[:6]:
        step(through, frame)
        sizes.append(sum(values.nbytes for values in through.state().values()))
    assert len(set(sizes)) == 1
    kept = {name: values.copy() for name, values in through.state().items()}
    again = Steadiness.restored(VIDEO.smoothing, kept)
    for frame in frames[6:]:
        assert np.array_equal(step(through, frame), step(again, frame))
