"""All networks of a training run, as callables on arrays: the painter, the way back, the judges."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from pleinair import checkpoint
from pleinair.checkpoint import Networks
from pleinair.engines import engine
from pleinair.opinions import Quartet


def of_run(run: Path, told: Callable[[str], None]) -> Quartet:
    """A run's best checkpoint, else its newest; damaged ones are named through `told`.

    Raises CheckpointError, MissingExtraError.
    """
    recipe, state = checkpoint.load_best(run, told)
    networks = Networks.build(recipe)
    for name, network in networks.by_name().items():
        network.load_state_dict(state["networks"][name])
    for network, values in zip(networks.generators, state["ema"], strict=False):
        network.load_state_dict(values)
    cpu = torch.device("cpu")
    back, judge = networks.photo_generator, networks.photo_discriminator
    return Quartet(
        recipe,
        state["step"],
        checkpoint.painter_of(recipe, state),
        engine(back, cpu) if back is not None else None,
        engine(networks.painting_discriminator, cpu),
        engine(judge, cpu) if judge is not None else None,
    )
