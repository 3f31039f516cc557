"""What a run trains on, for how long and where: a plan, and the plan that a run was made by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from pleinair import checkpoint
from pleinair.config import Recipe, pictures_a_step
from pleinair.errors import CheckpointError, OutputError, UsageError
from pleinair.settings import TRAIN


@dataclass(frozen=True)
class Plan:
    """What to train on, how long, and where to put it."""

    photos: Path  # a folder, or any place that `sources` opens
    paintings: Path
    out: Path
    recipe: Recipe
    seed: int = TRAIN.seed
    steps: int | None = None  # the recipe's own when neither this nor another limit is given
    epochs: float | None = None  # passes over the larger folder
    minutes: float | None = None  # of training, over all resumed parts together
    val_photos: Path | None = None  # to score by; else some of `photos` where there are many
    val_paintings: Path | None = None
    patience: int | None = None  # scores in a row without a better one, after which to stop
    checkpoint_every: int = TRAIN.checkpoint_every
    sample_every: int = TRAIN.sample_every
    score_every: int = TRAIN.score_every
    log_every: int = TRAIN.log_every
    tensorboard: bool = False
    device: str = "auto"
    init_from: Path | None = None  # a run or a painter whose networks this one takes over
    teacher: Path | None = None  # a painter, by name or file, whose paintings are learned from


def check_new(out: Path) -> None:
    """Raise OutputError where a new run would write over what is there."""
    # What a kill in the first seconds leaves is in nobody's way.
    empty = not out.exists() or (
        out.is_dir()
        and not any(path.is_file() and not path.name.endswith(".part") for path in out.rglob("*"))
    )
    if not empty:
        raise OutputError(f"{out} exists; go on with --resume {out}, or name a new folder.")


def make_folder(out: Path) -> None:
    """Make the folder of a run. Raises OutputError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} cannot be made ({error.strerror or error}).") from error


# What a resumed run is told anew, or has in its folder already.
_NOT_KEPT = frozenset(["out", "recipe", "device", "init_from"])
_PLACES = ("photos", "paintings", "val_photos", "val_paintings", "teacher")


def plan_to_dict(plan: Plan) -> dict[str, Any]:
    """A plan as plain values, for a checkpoint; what a resumed run has otherwise is left out."""
    values = {f.name: getattr(plan, f.name) for f in fields(plan) if f.name not in _NOT_KEPT}
    return {k: str(v) if isinstance(v, Path) else v for k, v in values.items()}


@dataclass(frozen=True)
class Limit:
    """The end of a run: a step, or seconds of training, or whichever comes first."""

    steps: int | None
    seconds: float | None

    @classmethod
    def of(cls, plan: Plan, largest: int, processes: int = 1) -> Limit:
        """The plan's limit, `largest` being the pictures of the larger set."""
        steps = plan.steps
        if plan.epochs is not None:
            steps = math.ceil(plan.epochs * largest / pictures_a_step(plan.recipe, processes))
        if steps is None and plan.minutes is None:
            steps = plan.recipe.steps
        return cls(steps, plan.minutes * 60 if plan.minutes is not None else None)

    def progress(self, step: int, seconds: float) -> float:
        """Part of the run done at a step, after so many seconds of training; in [0, 1]."""
        by_steps = step / self.steps if self.steps else 0.0
        by_time = seconds / self.seconds if self.seconds else 0.0
        return min(1.0, max(by_steps, by_time))


def resumed_plan(run: Path, warn: Callable[[str], None], **changes: Any) -> Plan:
    """The plan that a run's newest whole checkpoint holds, with `changes` where not None.

    A new limit takes the place of the old one, whichever kind that was. Raises CheckpointError.
    """
    recipe, state = checkpoint.load_latest(run, warn)
    if "team" not in state:
        raise CheckpointError(
            f"{run} was made by an earlier version, which kept less; begin a new run with "
            f"--init-from {run}."
        )
    kept = dict(state["plan"])
    given = {name: value for name, value in changes.items() if value is not None}
    if given.keys() & {"steps", "epochs", "minutes"}:
        kept.update(steps=None, epochs=None, minutes=None)
    for name in _PLACES:
        kept[name] = Path(kept[name]) if kept.get(name) is not None else None
    plan = Plan(out=run, recipe=recipe, **{**kept, **given})
    if plan.steps is not None and plan.steps < state["step"]:
        raise UsageError(
            f"{run} is at step {state['step']:,} already; give more than --steps {plan.steps:,}."
        )
    return plan


def dealt_among(plan: Plan, before: int, now: int, say: Callable[[str], None]) -> Plan:
    """The plan by which `now` processes go on with what `before` began: the same steps.

    Each step keeps its pictures: batches may become smaller, and then more are accumulated.
    Raises UsageError where so many processes cannot share them.
    """
    if now == before:
        return plan
    recipe, run = _dealt_among(plan.recipe, before, now), plan.out
    if recipe is None:
        pictures = pictures_a_step(plan.recipe, before)
        able = [n for n in range(1, pictures + 1) if _dealt_among(plan.recipe, before, n)]
        raise UsageError(
            f"{run} learns from {pictures} photos a step, which {now} processes cannot share; "
            f"start {' or '.join(map(str, able))}, or a new run with --init-from {run}."
        )
    say(
        f"the run had {before} processes and now has {now}: its steps keep their pictures and "
        f"their order (batch = {recipe.batch}, accumulate = {recipe.accumulate}); image pools are "
        "dealt anew."
    )
    return replace(plan, recipe=recipe)


def _dealt_among(recipe: Recipe, before: int, now: int) -> Recipe | None:
    few, many = (
        recipe.accumulate * before * size for size in (recipe.batch, recipe.discriminator_batch)
    )
    if few % now or many % now:
        return None
    few, many = few // now, many // now
    for accumulate in range(1, few + 1):
        batch, both = few // accumulate, many // accumulate
        fits = batch <= recipe.batch and both <= recipe.discriminator_batch
        if fits and few % accumulate == many % accumulate == 0:
            return replace(recipe, batch=batch, discriminator_batch=both, accumulate=accumulate)
    return None
