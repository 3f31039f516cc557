"""Speed of the generators and of a training step, as ratios within one run.

Prints median milliseconds per picture, multiply-accumulates, the rate they make beside the rate
of this machine's matrix product, and the ratio to the paper's generator in PyTorch.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

from pleinair import graphs
from pleinair.config import RECIPES, size_multiple
from pleinair.networks import build, count_macs, count_parameters
from pleinair.painter import Painter
from pleinair.session import Session
from pleinair.step import train_step
from pleinair.weights import Weights


def median_seconds(run: Callable[[], object], at_least: float, most: int = 15) -> float:
    """Median of repeated runs, after one to warm up, for about `at_least` seconds; or of one."""
    run()
    times: list[float] = []
    while not times or (sum(times) < at_least and len(times) < most):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def matrix_rate(seconds: float) -> float:
    """GFLOP/s of a 1024x1024 product of float32, the better of numpy's and PyTorch's."""
    a = np.random.default_rng(0).random((1024, 1024), dtype=np.float32)
    b = torch.from_numpy(a)
    best = min(median_seconds(lambda: a @ a, seconds), median_seconds(lambda: b @ b, seconds))
    return float(2 * 1024**3 / best / 1e9)


def both_of(name: str, folder: Path, threads: int) -> tuple[nn.Module, Painter]:
    """A recipe's generator, untrained, in PyTorch and as a painter in ONNX Runtime."""
    spec = RECIPES[name].generator
    network = build(spec).eval()
    file = folder / f"{name}.onnx"
    arrays = {key: value.numpy() for key, value in network.state_dict().items()}
    file.write_bytes(graphs.painter(Weights(spec, arrays, {})))
    return network, Painter.load(file, threads=threads)


def painting_rows(sizes: list[int], seconds: float, rate: float) -> Iterator[list[str]]:
    """A row for each generator, engine and size."""
    runs: list[tuple[str, str, int, int, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in track(("paper", "lab", "light"), "generators", console=Console(stderr=True)):
            network, painter = both_of(name, Path(folder), torch.get_num_threads())
            multiple = size_multiple(RECIPES[name].generator)
            for side in (s for s in sizes if s % multiple == 0):
                photo = np.random.default_rng(0).random((1, 3, side, side), np.float32) * 2 - 1
                tensor = torch.from_numpy(photo)
                macs = count_macs(network, side)
                with torch.inference_mode():
                    torch_time = median_seconds(partial(network, tensor), seconds)
                onnx_time = median_seconds(partial(painter.engine, photo), seconds)
                runs.append((name, f"PyTorch {torch.__version__}", side, macs, torch_time))
                runs.append(
                    (name, f"ONNX Runtime {onnxruntime.__version__}", side, macs, onnx_time)
                )
    base = {side: t for name, engine, side, _, t in runs if name == "paper" and "Torch" in engine}
    for name, engine, side, macs, taken in runs:
        achieved = 2 * macs / taken / 1e9
        yield [
            name,
            engine,
            str(side),
            f"{taken * 1000:.1f}",
            f"{macs / 1e9:.2f}",
            f"{achieved:.1f}",
            f"{100 * achieved / rate:.0f}%",
            f"{base[side] / taken:.1f}",
        ]


def training_rows(seconds: float) -> Iterator[list[str]]:
    """A row for each recipe: the seconds of one step."""
    torch.set_flush_denormal(True)
    for name in track(("paper", "lab", "light"), "training steps", console=Console(stderr=True)):
        recipe = RECIPES[name]
        session = Session.start(recipe, 0, torch.device("cpu"))
        session.step = recipe.warmup_steps
        shape = (recipe.discriminator_batch, 3, recipe.crop, recipe.crop)
        photo, painting = (torch.rand(shape) * 2 - 1 for _ in range(2))
        taken = median_seconds(partial(train_step, session, photo, painting, 0.5), seconds, 8)
        parameters = sum(count_parameters(n) for n in session.networks.by_name().values())
        yield [name, str(recipe.crop), str(recipe.batch), f"{parameters:,}", f"{taken:.2f}"]


def table(title: str, columns: list[str], rows: Iterator[list[str]]) -> Table:
    """A rich table whose first two columns are words and the others numbers."""
    made = Table(title=title)
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index < 2 else "right")
    for row in rows:
        made.add_row(*row)
    return made


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--no-training", action="store_true")
    options = parser.parse_args()
    console = Console(width=120)
    rate = matrix_rate(1.0)
    console.print(
        f"{platform.machine()}, {torch.get_num_threads()} threads, "
        f"matrix product {rate:.0f} GFLOP/s"
    )
    columns = "generator|engine|pixels|ms|GMAC|GFLOP/s|of matrix product|times as fast as paper's"
    rows = painting_rows(options.sizes, options.seconds, rate)
    console.print(table("Painting", columns.split("|"), rows))
    if not options.no_training:
        columns = "recipe|crop|batch|parameters|seconds a step"
        console.print(table("Training", columns.split("|"), training_rows(options.seconds)))


if __name__ == "__main__":
    main()
