"""What float16 and int8 cost and gain: size, time by turns within one run, distance from float32.

Time is the processor's, on one thread, so that another program does not count.

Exports each painter in all precisions and paints the sample photographs with them, whole, in one
layer. What `pleinair export` says of each is printed, too.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from pleinair import exports, images, runtime
from pleinair.errors import PleinairError
from pleinair.exports.wish import Precision
from pleinair.images import Batch
from pleinair.runtime import Engine

SAMPLES = Path(__file__).parents[1] / "samples"
PRECISIONS: tuple[Precision, ...] = ("float32", "float16", "int8")


def seconds(engines: list[Engine], photo: Batch, rounds: int) -> list[list[float]]:
    """Of each engine, all by turns in each round, the first of which is not counted."""
    taken: list[list[float]] = [[] for _ in engines]
    for number in range(rounds + 1):
        for engine, times in zip(engines, taken, strict=True):
            start = time.process_time()
            engine(photo)
            if number:
                times.append(time.process_time() - start)
    return taken


def distance(engine: Engine, exact: Engine, photos: list[Batch]) -> tuple[str, str, str]:
    """Mean and largest difference in levels of 0 to 255, and decibels, over all photos."""
    found = np.stack([np.clip(engine(photo), -1, 1) for photo in photos])
    wanted = np.stack([np.clip(exact(photo), -1, 1) for photo in photos])
    levels = np.abs(found - wanted) * 127.5
    psnr = 10 * np.log10(255**2 / max(float(np.mean(levels**2)), 1e-12))
    return f"{levels.mean():.2f}", f"{levels.max():.1f}", f"{psnr:.1f}"


def main() -> None:
    """Print a table for each painter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("painters", nargs="*", default=["monet"], help="names, runs or files")
    parser.add_argument("--side", type=int, default=512, help="pixels of the photos")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    photos = [
        images.to_batch(images.read_square(path, options.side))
        for path in sorted(SAMPLES.glob("*.jpg"))
    ]
    for painter in options.painters:
        table = Table("precision", "MB", "ms", "times as fast", "mean", "most", "dB", title=painter)
        with tempfile.TemporaryDirectory() as folder:
            files = written(painter, Path(folder))
            engines: list[Engine] = [runtime.load(path, 1, "cpu")[0] for path in files.values()]
            times = seconds(engines, photos[0], options.rounds)
            for (name, path), engine, taken in zip(files.items(), engines, times, strict=True):
                ratio = statistics.median(a / b for a, b in zip(times[0], taken, strict=True))
                table.add_row(
                    name,
                    f"{path.stat().st_size / 1e6:.2f}",
                    f"{statistics.median(taken) * 1e3:.0f}",
                    f"{ratio:.2f}",
                    *distance(engine, engines[0], photos),
                )
        Console().print(table)


def written(painter: str, folder: Path) -> dict[str, Path]:
    """The files of a painter that its precisions do not damage, by precision."""
    files: dict[str, Path] = {}
    for precision in PRECISIONS:
        path = folder / f"{precision}.onnx"
        try:
            print(exports.export(painter, path, precision=precision))
        except PleinairError as error:
            print(f"{precision}: {error}")
        else:
            files[precision] = path
    return files


if __name__ == "__main__":
    main()
