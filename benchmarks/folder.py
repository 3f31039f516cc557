"""How near a folder of small photos comes to the rate of the bare network.

Makes 256x256 JPEGs in a temporary folder and paints them by the call behind `pleinair paint
FOLDER`, in turn with the network alone: on the photos' own pixels, and on as many as the painter
gives it with the margin around each. The network's rate is the better of one session with all
cores and sessions of one thread side by side. Prints photos a second and their ratios.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from pleinair import easel, hub, images
from pleinair.config import edge_margin
from pleinair.folders import paint_many
from pleinair.painter import Painter

SIDE = 256  # pixels
Batches = list[NDArray[np.float32]]


def make_photos(folder: Path, count: int) -> None:
    """JPEGs with the detail of photos."""
    random = np.random.default_rng(0)
    for number in range(count):
        coarse = random.integers(0, 255, (SIDE // 8, SIDE // 8, 3), np.uint8)
        image = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        image.save(folder / f"{number:05}.jpg", quality=90)


def session_of(painter: str, threads: int) -> Callable[[NDArray[np.float32]], object]:
    """The painter's network and nothing around it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        hub.find(painter).read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda batch: session.run(None, {name: batch})


def rate(run: Callable[[], object], count: int) -> tuple[float, float]:
    """Photos a second, and of processor time of all threads."""
    start, busy = time.perf_counter(), time.process_time()
    run()
    return count / (time.perf_counter() - start), count / (time.process_time() - busy)


def alone(painter: str, threads: int, beside: int, batches: Batches) -> None:
    """The bare network over all photos, `beside` at a time."""
    sessions = [session_of(painter, threads) for _ in range(beside)]

    def share(number: int) -> None:
        for batch in batches[number::beside]:
            sessions[number](batch)

    with ThreadPoolExecutor(beside) as pool:
        list(pool.map(share, range(beside)))


def folder(painter: str, photos: Path) -> None:
    """The folder command's own call, into an empty folder."""
    with tempfile.TemporaryDirectory() as out:
        for done in paint_many(painter, [photos], out):
            if done.status != "painted":
                raise SystemExit(f"{done.photo}: {done.error}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--photos", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--painter", default="monet")
    options = parser.parse_args()
    cores, count = easel.cores(), options.photos
    with tempfile.TemporaryDirectory() as place:
        photos = Path(place)
        make_photos(photos, count)
        batches = [images.to_batch(images.read(path).pixels) for path in sorted(photos.iterdir())]
        margin = edge_margin(Painter.load(options.painter).spec, SIDE)
        around = ((0, 0), (0, 0), (margin, margin), (margin, margin))
        padded = [np.pad(batch, around, mode="reflect") for batch in batches]
        runs: dict[str, Callable[[], object]] = {
            "folder": partial(folder, options.painter, photos),
        }
        for label, given in ((f"{SIDE}", batches), (f"{SIDE + 2 * margin}", padded)):
            for threads, beside in {(cores, 1), (1, cores)}:
                name = f"network, {label} pixels, {beside} x {threads} threads"
                runs[name] = partial(alone, options.painter, threads, beside, given)
        rates: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
        # Rounds alternate, so that a machine that slows down slows all of them.
        for _ in track(range(options.rounds), "rounds", console=Console(stderr=True)):
            for name, run in runs.items():
                rates[name].append(rate(run, count))
    table = Table(
        *("what", "photos a second", "photos a second of one core's time"),
        title=f"{count} photos, {cores} cores",
    )
    for name, values in rates.items():
        table.add_row(
            name, *(f"{statistics.median(kind):.2f}" for kind in zip(*values, strict=True))
        )
    console = Console()
    console.print(table)
    ours = rates["folder"]
    for label in dict.fromkeys((f"{SIDE}", f"{SIDE + 2 * margin}")):
        bare = [rates[name] for name in rates if f", {label} pixels" in name]
        for kind, unit in enumerate(("time", "processor time")):
            # One slow round of either would spoil a ratio of its own; medians pass it by.
            best = max(statistics.median(one[kind] for one in other) for other in bare)
            ratio = statistics.median(one[kind] for one in ours) / best
            console.print(f"folder / network on {label}x{label} pixels by {unit}: {ratio:.3f}")


if __name__ == "__main__":
    main()
