"""How much more several processes learn from in the same time, and what their exchange costs.

One process of one thread and a team of them take turns, so that a noisy machine disturbs both
alike; batches are random numbers. Time in exchange is the first process's, from handing numbers
over to having the mean: of it a part is waiting for whoever is behind.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from pleinair.config import RECIPES, pictures_a_step
from pleinair.session import Session
from pleinair.step import train_step
from pleinair.team import Team

TOLD = 3  # numbers that the trainer's loop tells or asks in a step: the time, an end, a best


class Counted:
    """An accelerator whose exchanges are counted and timed."""

    def __init__(self, accelerator: Any) -> None:
        self.accelerator = accelerator
        self.bytes, self.seconds = 0, 0.0

    def reduce(self, tensor: Tensor, reduction: str) -> Tensor:
        """As Accelerate's."""
        start = time.perf_counter()
        found: Tensor = self.accelerator.reduce(tensor, reduction=reduction)
        self.seconds += time.perf_counter() - start
        self.bytes += tensor.numel() * tensor.element_size()
        return found

    def end_training(self) -> None:
        """As Accelerate's."""
        self.accelerator.end_training()


@dataclass(frozen=True)
class Figures:
    """What a step takes, as the first process sees it."""

    seconds: float
    exchange: float  # seconds of these
    megabytes: float  # handed to exchanges


def member(name: str, accumulate: int, steps: int) -> None:
    """Train as one of a team; the first prints its figures as JSON."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    team = Team.join("cpu")
    counted = Counted(team.accelerator)
    team = replace(team, accelerator=counted if team.size > 1 else None)
    recipe = replace(RECIPES[name], warmup_steps=0, accumulate=accumulate)
    session = Session.start(recipe, 0, team)
    shape = (accumulate * recipe.discriminator_batch, 3, recipe.crop, recipe.crop)
    times = []
    for step in range(steps + 1):
        photo, painting = (torch.rand(shape) * 2 - 1 for _ in range(2))
        start = time.perf_counter()
        train_step(session, photo, painting, 0.0)
        for _ in range(TOLD):
            team.first_says(1.0)
        times.append(time.perf_counter() - start)
        if step == 0:  # warms up
            counted.bytes, counted.seconds = 0, 0.0
    if team.is_first:
        found = (statistics.median(times[1:]), counted.seconds / steps, counted.bytes / steps / 1e6)
        print(json.dumps(found))
    team.leave()
    sys.stdout.flush()
    os._exit(0)  # as the command line does: threads of connections may abort a regular end


def launched(processes: int, options: argparse.Namespace) -> Figures:
    """The figures of a team of so many processes."""
    torchrun = Path(sys.executable).with_name("torchrun")
    command = [str(torchrun), "--standalone", "--nproc-per-node", str(processes), __file__]
    command += ["--member", "--recipe", options.recipe, "--steps", str(options.steps)]
    command += ["--accumulate", str(options.accumulate)]
    done = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, check=True
    )
    return Figures(*json.loads(done.stdout))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--recipe", default="light", choices=list(RECIPES))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--accumulate", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--member", action="store_true", help="be one of the processes")
    options = parser.parse_args()
    if options.member:
        member(options.recipe, options.accumulate, options.steps)
        return
    sizes = (1, options.processes)
    rounds: dict[int, list[Figures]] = {size: [] for size in sizes}
    for _ in track(range(options.rounds), "rounds", console=Console(stderr=True)):
        for size in sizes:
            rounds[size].append(launched(size, options))
    table = Table(
        *("processes", "s a step", "photos a second", "of it in exchange", "MB exchanged a step"),
        title=f"{options.recipe}, accumulate = {options.accumulate}, one thread a process",
    )
    recipe = replace(RECIPES[options.recipe], accumulate=options.accumulate)
    rates = {}
    for size, found in rounds.items():
        best = min(found, key=lambda figures: figures.seconds)
        rates[size] = pictures_a_step(recipe, size) / best.seconds
        share = f"{best.exchange / best.seconds:.1%}"
        table.add_row(
            *(str(size), f"{best.seconds:.3f}", f"{rates[size]:.2f}", share),
            f"{best.megabytes:.1f}",
        )
    console = Console(width=100)
    console.print(table)
    gain = rates[options.processes] / rates[1]
    console.print(
        f"{gain:.2f} times as many photos a second: {gain / options.processes:.0%} of what as many "
        "processes would learn from that never wait."
    )


if __name__ == "__main__":
    main()
