"""All of a training run that must survive a kill, in one file."""

from __future__ import annotations

import io
import pickle
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pleinair import images
from pleinair.config import Recipe
from pleinair.errors import CheckpointError, RecipeError
from pleinair.networks import build
from pleinair.recipes import recipe_from_dict, recipe_to_dict

_FORMAT = 1


@dataclass
class Networks:
    """The four networks; a generator is named by the domain it makes."""

    painting_generator: nn.Module
    photo_generator: nn.Module
    painting_discriminator: nn.Module
    photo_discriminator: nn.Module

    @classmethod
    def build(cls, recipe: Recipe) -> Networks:
        """Freshly initialised, from torch's global random state."""
        return cls(
            build(recipe.generator),
            build(recipe.generator),
            build(recipe.discriminator),
            build(recipe.discriminator),
        )

    def by_name(self) -> dict[str, nn.Module]:
        """Name to network, in a fixed order."""
        return dict(vars(self))

    @property
    def generators(self) -> list[nn.Module]:
        """Both generators."""
        return [self.painting_generator, self.photo_generator]

    @property
    def discriminators(self) -> list[nn.Module]:
        """Both discriminators."""
        return [self.painting_discriminator, self.photo_discriminator]


@dataclass
class ImagePool:
    """Past translations, half of the time shown to a discriminator instead of the newest.

    Shrivastava et al. 2017, https://arxiv.org/abs/1612.07828, section 2.3; 50 in CycleGAN.
    """

    size: int
    pictures: list[Tensor] = field(default_factory=list)

    def sample(self, count: int) -> list[Tensor]:
        """`count` pictures of the past (CHW), with repetition; none while it is empty."""
        if not self.pictures:
            return []
        chosen = torch.randint(len(self.pictures), (count,)).tolist()
        return [self.pictures[index] for index in chosen]

    def query(self, batch: Tensor) -> Tensor:
        """As many pictures as given (NCHW, detached): new ones, or old ones they replace."""
        if self.size == 0:
            return batch
        out = []
        for picture in batch.detach():
            if len(self.pictures) < self.size:
                self.pictures.append(picture.clone())
                out.append(picture)
            elif torch.rand(()).item() < 0.5:
                index = int(torch.randint(self.size, ()).item())
                out.append(self.pictures[index])
                self.pictures[index] = picture.clone()
            else:
                out.append(picture)
        return torch.stack(out)


def save(path: Path, recipe: Recipe, state: dict[str, Any]) -> None:
    """Write a checkpoint in one step. Raises CheckpointError, the old file left whole."""
    buffer = io.BytesIO()
    torch.save({"format": _FORMAT, "recipe": recipe_to_dict(recipe), **state}, buffer)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        images.write_bytes(path, buffer.getvalue())
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be written ({error.strerror or error}); "
            "make room and go on with --resume."
        ) from error


def load(path: Path) -> tuple[Recipe, dict[str, Any]]:
    """A recipe and its state. Raises CheckpointError; nothing in the file is executed."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or state.get("format") != _FORMAT:
            raise CheckpointError(f"{path} is not a checkpoint of this version of pleinair.")
        return recipe_from_dict(state.pop("recipe")), state
    except (
        OSError,
        RuntimeError,
        EOFError,
        KeyError,
        RecipeError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
    ) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:80]
        raise CheckpointError(
            f"{path} is damaged or not a checkpoint ({reason}); "
            "delete it to go on with the one before."
        ) from error


def latest(run: Path) -> Path:
    """The newest checkpoint of a run. Raises CheckpointError where there is none."""
    found = sorted((run / "checkpoints").glob("*.pt"))
    if not found:
        raise CheckpointError(f"{run} holds no checkpoint; give the folder that --out named.")
    return found[-1]


def prune(run: Path, keep: int) -> None:
    """Delete all but the newest `keep` checkpoints of a run."""
    for path in sorted((run / "checkpoints").glob("*.pt"))[:-keep]:
        path.unlink(missing_ok=True)
