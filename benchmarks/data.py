"""How long a training step waits for its two batches, with and without batches made ready.

Pictures are decoded on the fly from big JPEGs, none is kept in memory. The step is matrix
products that take a given time when nothing else runs, so that decoding beside it has its price;
with --train it is the recipe's own step, with --sleep it leaves the cores alone, as one on a GPU.
Prints milliseconds of waiting, of a whole round, and both as parts of the step's own time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from pleinair.config import RECIPES, Recipe
from pleinair.data import Pictures, Stream
from pleinair.prefetch import Prefetched
from pleinair.session import Session
from pleinair.step import train_step


def make_pictures(folder: Path, count: int, width: int, height: int) -> None:
    """JPEGs of this size, with the detail of photos, under a folder."""
    random = np.random.default_rng(0)
    for number in track(range(count), "pictures", console=Console(stderr=True)):
        coarse = random.integers(0, 255, (height // 8, width // 8, 3), np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        image.save(folder / f"{number:04}.jpg", quality=90)


def step_of(seconds: float) -> Callable[[], None]:
    """A function that multiplies matrices for about `seconds` when nothing else runs."""
    a = np.random.default_rng(0).random((256, 256), dtype=np.float32)
    times = []
    for _ in range(50):
        start = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - start)
    count = max(1, round(seconds / statistics.median(times)))

    def step() -> None:
        for _ in range(count):
            a @ a

    return step


def step_of_recipe(recipe: Recipe) -> Callable[[], None]:
    """A function that makes one step of training."""
    session = Session.start(replace(recipe, warmup_steps=0), 0, torch.device("cpu"))
    torch.set_flush_denormal(True)
    shape = (recipe.discriminator_batch, 3, recipe.crop, recipe.crop)
    photo, painting = (torch.rand(shape) * 2 - 1 for _ in range(2))

    def step() -> None:
        train_step(session, photo, painting, 0.0)

    return step


def rounds(
    place: Path, recipe: Recipe, step: Callable[[], None], count: int, ready: bool
) -> tuple[float, float]:
    """(Median seconds that a step waits, seconds of a whole round), after three to warm up."""
    with ExitStack() as stack:
        streams: list[Stream | Prefetched] = []
        for domain in range(2):
            pictures = Pictures(place, recipe.resize_max, 0, print)
            stream = Stream(pictures, recipe, (0, domain))
            streams.append(stack.enter_context(Prefetched(stream)) if ready else stream)
        waits, begun = [], 0.0
        for number in range(count + 3):
            if number == 3:
                begun = time.perf_counter()
            start = time.perf_counter()
            for each in streams:
                each.next_batch()
            waits.append(time.perf_counter() - start)
            step()
        return statistics.median(waits[3:]), (time.perf_counter() - begun) / count


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--size", type=int, nargs=2, default=[2000, 1500], help="width height")
    parser.add_argument("--step", type=float, default=300.0, help="milliseconds of a step")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--sleep", action="store_true", help="as a step on a GPU leaves cores free")
    kind.add_argument("--train", action="store_true", help="the recipe's own step")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="light")
    options = parser.parse_args()
    recipe = RECIPES[options.recipe]
    seconds = options.step / 1000
    if options.train:
        step = step_of_recipe(recipe)
    else:
        step = partial(time.sleep, seconds) if options.sleep else step_of(seconds)
    times = []
    for _ in range(6):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    alone = statistics.median(times)
    width, height = options.size
    size = f"{options.pictures} JPEGs of {width}x{height}, recipe {recipe.name}"
    table = Table(title=f"{size}, {os.cpu_count()} cores, a step of {1000 * alone:.0f} ms")
    for column in ("batches", "wait ms", "round ms", "wait / step", "round / step"):
        table.add_column(column, justify="left" if column == "batches" else "right")
    with tempfile.TemporaryDirectory() as name:
        make_pictures(Path(name), options.pictures, width, height)
        for ready in (False, True):
            wait, whole = rounds(Path(name), recipe, step, options.rounds, ready)
            label = "made ready" if ready else "when asked for"
            values = (f"{1000 * wait:.1f}", f"{1000 * whole:.1f}")
            table.add_row(label, *values, f"{wait / alone:.3f}", f"{whole / alone:.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
