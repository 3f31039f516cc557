"""Whether our speed is what it was, by ratios within one run; exits with 1 where one is too low.

Each measures two things in turn and compares the least time of either, which other work on the
machine disturbs least; one thread works at each, since threads that wait for each other suffer
most from other work. Bounds are about half of what is usual: they catch a mistake, not noise.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import folder
import numpy as np
import plain_loop
import speed
import torch
from rich.console import Console
from rich.table import Table

from pleinair import easel, images

Work = Callable[[], object]
Pair = tuple[float, float]  # seconds of what we compare with, and of ours

PHOTOS = 48  # of the folder
USUAL_SIDE = 256  # pixels


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as something else ours is, usually and at least."""

    what: str
    usual: float
    least: float
    measure: Callable[[], Iterator[Pair]]

    def found(self) -> float:
        """Least seconds of the other by least seconds of ours."""
        others, ours = zip(*self.measure(), strict=True)
        return float(min(others) / min(ours))


def in_turn(
    other: Work,
    ours: Work,
    rounds: int,
    times: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Pair]:
    """Seconds of both, round by round, after one to warm up; ours so many times a round."""
    for number in range(rounds + 1):
        start = clock()
        other()
        taken = clock() - start
        for _ in range(times):
            start = clock()
            ours()
            if number:
                yield taken, clock() - start


def generators(rounds: int = 4) -> Iterator[Pair]:
    """The paper's generator and recipe light's, in ONNX Runtime on one small photo."""
    shape = (1, 3, USUAL_SIDE, USUAL_SIDE)
    photo = np.random.default_rng(0).random(shape, np.float32) * 2 - 1
    with tempfile.TemporaryDirectory() as place:
        paper, light = (speed.both_of(name, Path(place), 1)[1] for name in ("paper", "light"))
        other, ours = (partial(painter.engine, photo) for painter in (paper, light))
        yield from in_turn(other, ours, rounds, times=5)


def trainer(pairs: int = 8) -> Iterator[Pair]:
    """A plain loop's step and ours, of recipe light."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield from plain_loop.in_turn("light", pairs)
    torch.set_num_threads(before)


def small_photos(rounds: int = 3) -> Iterator[Pair]:
    """The bare network over arrays in memory, and the folder command's own call."""
    with tempfile.TemporaryDirectory() as place:
        photos = Path(place)
        folder.make_photos(photos, PHOTOS)
        batches = [images.to_batch(images.read(path).pixels) for path in sorted(photos.iterdir())]
        bare = partial(folder.alone, "monet", 1, easel.cores(), batches)
        yield from in_turn(bare, partial(folder.folder, "monet", photos), rounds)


RATIOS = (
    Ratio("light's generator / the paper's, in ONNX Runtime", 13.5, 6.7, generators),
    Ratio("a training step of light / a plain loop's", 1.3, 0.65, trainer),
    Ratio("a folder of small photos / the bare network", 0.7, 0.35, small_photos),
)


def main(ratios: tuple[Ratio, ...] = RATIOS) -> int:
    """Measure and print; 1 where something of ours has become slow."""
    console = Console(width=100)
    table = Table("what", "times as fast", "usually", "at least", title="Speed within one run")
    slow = []
    for ratio in ratios:
        found = ratio.found()
        figures = (f"{value:.2f}" for value in (found, ratio.usual, ratio.least))
        table.add_row(ratio.what, *figures)
        if found < ratio.least:
            slow.append(
                f"{ratio.what}: {found:.2f} times as fast, where {ratio.usual:.2f} is usual and "
                f"{ratio.least:.2f} the least; find what made ours slow."
            )
    console.print(table)
    for line in slow:
        print(line, file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
