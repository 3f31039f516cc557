"""All of a training run that must survive a kill, in one file."""

from __future__ import annotations

import os
import shutil
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pleinair import files
from pleinair.config import Recipe, Way, pictures_a_step
from pleinair.errors import CheckpointError, PainterError
from pleinair.foreign import torchfile
from pleinair.networks import (
    Discriminator,
    Generator,
    PatchHeads,
    Seen,
    build_discriminator,
    build_generator,
)
from pleinair.recipes import recipe_from_dict, recipe_to_dict
from pleinair.weights import Weights

_FORMAT = 1


@dataclass
class Networks:
    """The four networks, or those of one direction; a generator is named by what it makes."""

    painting_generator: Generator
    photo_generator: Generator | None
    painting_discriminator: Discriminator
    photo_discriminator: Discriminator | None
    patch_heads: PatchHeads | None = None

    @classmethod
    def build(cls, recipe: Recipe) -> Networks:
        """Freshly initialised, from torch's global random state."""
        both = recipe.direction == "both"
        painting_generator = build_generator(recipe.generator)
        return cls(
            painting_generator,
            build_generator(recipe.generator) if both else None,
            build_discriminator(recipe.discriminator),
            build_discriminator(recipe.discriminator) if both else None,
            PatchHeads(painting_generator.encoder_channels) if recipe.nce_weight > 0 else None,
        )

    def by_name(self) -> dict[str, nn.Module]:
        """Name to network, in a fixed order, of those that there are."""
        return {name: network for name, network in vars(self).items() if network is not None}

    @property
    def generators(self) -> list[nn.Module]:
        """The painting generator, and the photo generator where there is one."""
        both = (self.painting_generator, self.photo_generator)
        return [network for network in both if network is not None]

    @property
    def discriminators(self) -> list[Discriminator]:
        """The painting discriminator, and the photo discriminator where there is one."""
        both = (self.painting_discriminator, self.photo_discriminator)
        return [network for network in both if network is not None]

    @property
    def heads(self) -> list[nn.Module]:
        """What learns beside the generators: PatchNCE's heads, in one direction."""
        return [self.patch_heads] if self.patch_heads is not None else []


@dataclass
class ImagePool:
    """Past translations, half of the time shown to a discriminator instead of the newest.

    Shrivastava et al. 2017, https://arxiv.org/abs/1612.07828, section 2.3; 50 in CycleGAN. What
    is kept is what the discriminator's fixed part has seen: nothing has to be looked at again.
    """

    size: int
    pictures: list[Seen] = field(default_factory=list)  # CHW each

    def sample(self, count: int) -> list[Seen]:
        """`count` of the past, with repetition; none while it is empty."""
        if not self.pictures:
            return []
        chosen = torch.randint(len(self.pictures), (count,)).tolist()
        return [self.pictures[index] for index in chosen]

    def query(self, batch: Seen) -> Seen:
        """As many as given (NCHW each, detached): new ones, or old ones they replace."""
        if self.size == 0:
            return batch
        out = []
        for maps in zip(*batch, strict=True):
            new = tuple(m.detach() for m in maps)
            if len(self.pictures) < self.size:
                self.pictures.append(tuple(m.clone() for m in new))
                out.append(new)
            elif torch.rand(()).item() < 0.5:
                index = int(torch.randint(self.size, ()).item())
                out.append(self.pictures[index])
                self.pictures[index] = tuple(m.clone() for m in new)
            else:
                out.append(new)
        return tuple(torch.stack(maps) for maps in zip(*out, strict=True))


# --- files ------------------------------------------------------------------------------------


def save(path: Path, recipe: Recipe, state: dict[str, Any]) -> None:
    """Write a checkpoint in one step. Raises CheckpointError, the old file left whole."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as file:
            torch.save({"format": _FORMAT, "recipe": recipe_to_dict(recipe), **state}, file)
    except (OSError, RuntimeError) as error:  # torch wraps what the file says
        raise CheckpointError(
            f"{path} cannot be written ({_reason(error)}); the one before is whole: "
            f"make room and go on with --resume {path.parent.parent}."
        ) from error


def load(path: Path) -> tuple[Recipe, dict[str, Any]]:
    """A recipe and its state. Raises CheckpointError; nothing in the file is executed."""
    try:
        with zipfile.ZipFile(path) as archive:
            torchfile.check_members(archive.infolist(), path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what damage looks like
            state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or state.get("format") != _FORMAT:
            raise CheckpointError(f"{path} is not a checkpoint of this version of pleinair.")
        return recipe_from_dict(state.pop("recipe")), state
    except CheckpointError:
        raise
    except PainterError as error:
        raise CheckpointError(str(error)) from error
    except Exception as error:  # what a damaged file brings about has no common root
        raise CheckpointError(
            f"{path} is damaged or not a checkpoint ({_reason(error)}); take another."
        ) from error


def load_latest(run: Path, warn: Callable[[str], None]) -> tuple[Recipe, dict[str, Any]]:
    """The newest whole checkpoint of a run; damaged ones are named through `warn`.

    Raises CheckpointError where there is none.
    """
    found = numbered(run)
    if not found:
        raise CheckpointError(
            f"{run} holds no checkpoint; give the folder that --out named, "
            "or start the run again if it was stopped in its first seconds."
        )
    for path in reversed(found):
        try:
            return load(path)
        except CheckpointError as error:
            if path == found[0]:
                raise
            warn(f"{error} Going on with the one before.")
    raise AssertionError("a loop over paths ends by returning or raising")


def load_best(run: Path, warn: Callable[[str], None]) -> tuple[Recipe, dict[str, Any]]:
    """The checkpoint with the best score, else the newest whole one: see `load_latest`."""
    path = best(run)
    return load(path) if path.is_file() else load_latest(run, warn)


def numbered(run: Path) -> list[Path]:
    """A run's checkpoints, oldest first; the best is a file of its own beside them."""
    return sorted((run / "checkpoints").glob("[0-9]*.pt"))


def path_of(run: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return run / "checkpoints" / f"{step:08d}.pt"


def best(run: Path) -> Path:
    """Where the checkpoint with the best score lies, if any was scored."""
    return run / "checkpoints" / "best.pt"


def keep_best(run: Path, step: int) -> None:
    """Keep the checkpoint of a step as the best. Raises OSError."""
    target = best(run)
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        os.link(path_of(run, step), part)  # takes no room while the numbered one is there
    except OSError:
        shutil.copyfile(path_of(run, step), part)
    os.replace(part, target)


def painter_at(run: Path, step: int | None = None, direction: Way = "painting") -> Weights:
    """The painter that a run had at a step; None: at its best. direction: "photo" is the way back.

    Raises CheckpointError where no checkpoint was kept of it, or the run has no way back.
    """
    if step is None:
        recipe, state = load_best(run, lambda _: None)
    elif (path := path_of(run, step)).is_file():
        recipe, state = load(path)
    else:
        kept = ", ".join(str(int(one.stem)) for one in numbered(run)) or "none"
        raise CheckpointError(
            f"{run} keeps no checkpoint of step {step}; of those it keeps ({kept}) name one."
        )
    if direction == "photo" and recipe.direction != "both":
        raise CheckpointError(
            f"{run} learned one way, from photos to paintings; a recipe whose direction is both "
            "has a way back."
        )
    step, back = state["step"], direction == "photo"
    pictures = step * pictures_a_step(recipe, len(state["team"]))
    last = state["scores"][-1] if state["scores"] and not back else None
    card = painter_card(recipe, state["plan"], step, state["before"], pictures, last)
    card |= {"direction": direction} if back else {}
    return replace(painter_of(recipe, state, direction), card=card)


def painter_of(recipe: Recipe, state: dict[str, Any], direction: Way = "painting") -> Weights:
    """A generator of a checkpoint, averaged where the recipe averages; without a card."""
    averaged, name = state["ema"], f"{direction}_generator"
    values = averaged[direction == "photo"] if averaged else state["networks"][name]
    arrays = {name: value.float().numpy() for name, value in values.items()}
    return Weights(recipe.generator, arrays, {})


def painter_card(
    recipe: Recipe,
    plan: Mapping[str, Any],
    step: int,
    before: list[dict[str, Any]],
    pictures: int,
    score: dict[str, Any] | None,
) -> dict[str, Any]:
    """What a run's painter says of itself. pictures: that it has seen, of each domain."""
    return {
        # Of whom --steps asked for others than the recipe's, these are what its rates went by.
        "recipe": recipe_to_dict(replace(recipe, steps=plan.get("steps") or recipe.steps)),
        "steps": step,
        "before": before,
        "pictures_seen": pictures,
        "photos": Path(plan["photos"]).name,
        "paintings": Path(plan["paintings"]).name,
        "seed": plan["seed"],
        **({"teacher": Path(plan["teacher"]).name} if plan.get("teacher") else {}),
        "score": score,
    }


def prune(run: Path, keep: int) -> None:
    """Delete all but the newest `keep` checkpoints of a run, and what a kill left half-written."""
    for path in numbered(run)[:-keep]:
        path.unlink(missing_ok=True)
    for path in list(run.rglob(".*.part")):
        if path.is_dir():  # of an export
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    cause = error.__cause__ or error.__context__
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return (str(error).splitlines() or [type(error).__name__])[0][:80]
