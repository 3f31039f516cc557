"""All networks of a training run, as callables on arrays: the painter, the way back, the judges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from pleinair import checkpoint
from pleinair.checkpoint import Networks
from pleinair.config import Recipe
from pleinair.engines import engine
from pleinair.images import Batch
from pleinair.weights import Weights

Network = Callable[[Batch], Batch]


@dataclass(frozen=True)
class Quartet:
    """The networks of one checkpoint, with averaged weights where the recipe averages them.

    painter: weights of the painting generator. photo_generator, photo_discriminator: None in a run
    of one direction. Discriminators give logits (1, maps, h, w).
    """

    recipe: Recipe
    step: int
    painter: Weights
    photo_generator: Network | None
    painting_discriminator: Network
    photo_discriminator: Network | None


def of_run(run: Path, told: Callable[[str], None]) -> Quartet:
    """A run's best checkpoint, else its newest; damaged ones are named through `told`.

    Raises CheckpointError, MissingExtraError.
    """
    best = checkpoint.best(run)
    recipe, state = checkpoint.load(best) if best.is_file() else checkpoint.load_latest(run, told)
    networks = Networks.build(recipe)
    for name, network in networks.by_name().items():
        network.load_state_dict(state["networks"][name])
    for network, values in zip(networks.generators, state["ema"], strict=False):
        network.load_state_dict(values)
    arrays = {
        name: value.float().numpy()
        for name, value in networks.painting_generator.state_dict().items()
    }
    cpu = torch.device("cpu")
    back, judge = networks.photo_generator, networks.photo_discriminator
    return Quartet(
        recipe,
        state["step"],
        Weights(recipe.generator, arrays, {}),
        engine(back, cpu) if back is not None else None,
        engine(networks.painting_discriminator, cpu),
        engine(judge, cpu) if judge is not None else None,
    )
