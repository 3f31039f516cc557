"""What training on many GPUs costs, on paper: the tables of docs/scaling.md, from the networks.

`python docs/scaling.py` prints them; a test holds the page to them.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from pleinair.checkpoint import Networks
from pleinair.config import RECIPES, Recipe

NAMES = ("light", "paper", "lab")
SIZES = (8, 16, 32, 64)
GPUS = 8  # of a node

# Assumed, not measured; the page says why.
RATE = 40e12  # operations a second that convolutions reach on a GPU
LEAST = 0.025  # seconds of a step however small its networks are
HOP = 10e-6  # seconds from one process to the next, whatever is sent
LINE = 0.8  # part of a line's rate that is reached
LINES = {  # bytes a second out of a GPU within a node, and out of a node
    "NVLink": 450e9,
    "100 Gb/s": 12.5e9,
    "400 Gb/s": 50e9,
}
PHOTOS, PAINTINGS = 6287, 1072  # to train from in monet2photo
EXCHANGES = 6  # of a step: gradients of either kind, losses, and three single numbers


@dataclass(frozen=True)
class Step:
    """What a step of a recipe is, on one GPU with the recipe's own batch."""

    parameters: int  # that learn
    operations: float  # of floats
    pools: int  # bytes that a process's image pools hold when they are full

    @property
    def bytes(self) -> int:
        """Of the gradients, in float32."""
        return 4 * self.parameters

    @property
    def seconds(self) -> float:
        """Without any exchange."""
        return max(LEAST, self.operations / RATE)

    def exchange(self, size: int, rate: float) -> float:
        """Seconds of a step's exchanges among `size` processes in one ring.

        Each sends 2 (N - 1) / N of what there is, in 2 (N - 1) hops: Patarasuk and Yuan 2009,
        https://doi.org/10.1016/j.jpdc.2008.09.002. All but the gradients are a few bytes.
        """
        hops = 2 * (size - 1)
        return hops / size * self.bytes / (LINE * rate) + EXCHANGES * hops * HOP

    def efficiency(self, size: int, rate: float) -> float:
        """Part of the time in which a process computes: nothing is sent meanwhile."""
        return self.seconds / (self.seconds + self.exchange(size, rate))


def operations(call: Callable[[], object]) -> int:
    """Of convolutions and products: two for each multiplication that is added."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call()
    return int(counter.get_total_flops())


def step_of(recipe: Recipe) -> Step:
    """A step's cost, from the networks themselves, which compute nothing for it."""
    networks = Networks.build(recipe)
    learning = [p for net in networks.by_name().values() for p in net.parameters()]
    picture = torch.zeros(1, 3, recipe.crop, recipe.crop, device="meta")
    generator = networks.painting_generator.to("meta")
    # A copy: the frozen part is one for the whole process, and moves in place.
    discriminator = copy.deepcopy(networks.painting_discriminator).to("meta").eval()
    seen = discriminator.look(picture)
    # There and back on both sides, what is left alone, and a smooth gradient.
    paintings = (6 if recipe.identity_weight else 4) * recipe.batch + (recipe.ripple_weight > 0)
    # Translations while generators learn; then pictures and translations, on both sides.
    looks = 2 * recipe.batch + 4 * recipe.discriminator_batch
    passes = paintings * operations(lambda: generator(picture))
    passes += looks * operations(lambda: discriminator(picture))
    kept = 2 * recipe.pool_size * sum(4 * maps.numel() for maps in seen)
    # There, and back to the input and to the weights: three times as many as there alone.
    return Step(sum(p.numel() for p in learning), 3.0 * passes, kept)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _a_step(steps: dict[str, Step]) -> str:
    rows = [
        (
            f"`{name}`",
            f"{step.parameters / 1e6:.2f}",
            f"{step.bytes / 1e6:.1f}",
            f"{step.operations / 1e12:.2f}",
            f"{step.seconds * 1e3:.0f}",
        )
        for name, step in steps.items()
    ]
    return _table(
        ("recipe", "million parameters", "MB of gradients", "TFLOP a step", "ms a step"), rows
    )


def _efficiency(steps: dict[str, Step]) -> str:
    rows = []
    for name, step in steps.items():
        for size in SIZES:
            sent = 2 * (size - 1) / size * step.bytes / 1e6
            cells = [
                f"{step.exchange(size, rate) * 1e3:.1f} ms: {step.efficiency(size, rate):.0%}"
                if (size <= GPUS) == (line == "NVLink")
                else ""
                for line, rate in LINES.items()
            ]
            rows.append((f"`{name}`", str(size), f"{sent:.1f}", *cells))
    return _table(("recipe", "GPUs", "MB sent by each", *LINES), rows)


def _accumulated(step: Step) -> str:
    rows = []
    for accumulate in (1, 4, 16):
        computing = accumulate * step.seconds
        cells = [
            f"{computing / (computing + step.exchange(SIZES[-1], LINES[line])):.0%}"
            for line in ("100 Gb/s", "400 Gb/s")
        ]
        rows.append((str(accumulate), str(accumulate * SIZES[-1]), *cells))
    return _table(("`accumulate`", "pictures a step", "100 Gb/s", "400 Gb/s"), rows)


def _passes() -> str:
    rows = [
        (
            str(size),
            *(f"{math.ceil(count / size):,}" for count in (PHOTOS, PAINTINGS)),
            f"{RECIPES['paper'].steps // size:,}",
        )
        for size in (1, *SIZES)
    ]
    return _table(
        (
            "pictures a step",
            f"steps to see {PHOTOS:,} photos",
            f"{PAINTINGS:,} paintings",
            f"steps that see the {RECIPES['paper'].steps:,} photos of `paper`",
        ),
        rows,
    )


def _pools(steps: dict[str, Step]) -> str:
    rows = [
        (f"`{name}`", f"{step.pools / 1e6:.0f}", f"{SIZES[-1] * step.pools / 1e9:.1f}")
        for name, step in steps.items()
    ]
    return _table(("recipe", "MB a process", f"GB of {SIZES[-1]} processes"), rows)


def tables() -> list[str]:
    """Every table of the page, as Markdown."""
    steps = {name: step_of(RECIPES[name]) for name in NAMES}
    return [
        _a_step(steps),
        _efficiency(steps),
        _accumulated(steps["lab"]),
        _passes(),
        _pools(steps),
    ]


if __name__ == "__main__":
    sys.stdout.write("\n\n".join(tables()) + "\n")
