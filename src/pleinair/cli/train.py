"""`pleinair train`."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from pleinair.cli.fetching import at_hand
from pleinair.cli.terminal import (
    give,
    progress_bar,
    say,
    say_above,
    training_room,
)
from pleinair.errors import PleinairError, UsageError
from pleinair.settings import TRAIN

if TYPE_CHECKING:
    from rich.progress import Progress

    from pleinair.plan import Plan


def train(
    *,
    photos: Path | None = None,
    paintings: Path | None = None,
    out: Path | None = None,
    val_photos: Path | None = None,
    val_paintings: Path | None = None,
    recipe: str | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    minutes: float | None = None,
    patience: int | None = None,
    seed: int = TRAIN.seed,
    checkpoint_every: int | None = None,
    sample_every: int | None = None,
    score_every: int | None = None,
    tensorboard: Annotated[bool, Parameter(negative=())] = False,
    device: str = "auto",
    init_from: Path | None = None,
    teacher: Path | None = None,
    resume: Path | None = None,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Train a painter from two unpaired folders of pictures.

    Parameters
    ----------
    photos
        Folder, zip file, TFRecord or parquet shards, or manifest of photos.
    paintings
        The same of paintings.
    out
        Folder for the run: checkpoints, samples, history.jsonl, losses.png, the painter.
    val_photos
        Photos to score by. Default: 100 of 2,000 or more, else those trained on.
    val_paintings
        Paintings to score by. Default: as for photos.
    recipe
        light (the default), swift, paper, cut or lab, or a .toml file that names its base and what
        differs from it.
    steps
        How many steps. Default: the recipe's own number.
    epochs
        How many passes over the larger folder, in place of --steps.
    minutes
        How long, in place of --steps.
    patience
        Stop after so many scores in a row without a better one.
    seed
        Of the first weights and of the order of pictures.
    checkpoint_every
        Steps between checkpoints. Default: 500.
    sample_every
        Steps between sample sheets. Default: 250.
    score_every
        Steps between scores. Default: 1000.
    tensorboard
        Write curves and sheets to RUN/tensorboard, too.
    device
        auto, cpu, cuda or mps.
    init_from
        Begin with the networks of another run, or with a painter (a name, an .onnx file or
        weights of other programs), to refine it or to teach it another style. The recipe's
        generator may be wider than a painter's own: it paints the same at first.
    teacher
        A painter (as for --init-from, but no run) whose paintings of the same photos are learned
        from, by a recipe with teacher_weight: a large one teaches a small one.
    resume
        Go on with this run, exactly as if it had not stopped. A new --steps, --epochs or
        --minutes moves its end, and rates then fall by the longer run's schedule.
    dry_run
        Print the resolved recipe as JSON and stop.
    """
    from pleinair.recipes import load_recipe, recipe_to_dict

    chosen = load_recipe(recipe or TRAIN.recipe)
    if dry_run:
        give(json.dumps(recipe_to_dict(chosen), indent=2))
        return 0
    _check_limits(steps, epochs, minutes)
    numbers = {
        "checkpoint_every": checkpoint_every,
        "sample_every": sample_every,
        "score_every": score_every,
        "patience": patience,
    }
    given: dict[str, Any] = {n: value for n, value in numbers.items() if value is not None}
    given |= {"tensorboard": True} if tensorboard else {}
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')} {value} found; give at least 1.")
    training_room()
    from pleinair.plan import Plan, resumed_plan

    places = {
        "photos": photos,
        "paintings": paintings,
        "val_photos": val_photos,
        "val_paintings": val_paintings,
    }
    given |= {name: place.resolve() for name, place in places.items() if place is not None}
    limits: dict[str, Any] = {"steps": steps, "epochs": epochs, "minutes": minutes}
    if resume is not None:
        if recipe or out or init_from or teacher:
            raise UsageError(
                "--resume goes on by the run's own recipe in its own folder; leave --recipe, "
                "--out, --init-from and --teacher out, or start a new run with --init-from."
            )
        plan = resumed_plan(resume, say, **limits, **given, device=device)
    else:
        if photos is None or paintings is None or out is None:
            raise UsageError("training needs --photos DIR --paintings DIR --out RUN.")
        if init_from is not None:
            at_hand(str(init_from))
        if teacher is not None:
            at_hand(str(teacher))
            # A file is found again from wherever the run goes on; a name is a name everywhere.
            teacher = teacher.resolve() if teacher.exists() else teacher
        plan = Plan(
            out=out,
            recipe=chosen,
            seed=seed,
            **limits,
            **given,
            device=device,
            init_from=init_from,
            teacher=teacher,
        )
    return _run(plan, resume is not None)


def _check_limits(steps: int | None, epochs: float | None, minutes: float | None) -> None:
    limits = {"steps": steps, "epochs": epochs, "minutes": minutes}
    given = [limit for limit in limits.values() if limit is not None]
    if len(given) > 1:
        raise UsageError("give one of --steps, --epochs and --minutes.")
    if given and not 0 < given[0] < math.inf:
        name = next(n for n, limit in limits.items() if limit is not None)
        raise UsageError(f"--{name} {given[0]} found; give a positive number.")


def _run(plan: Plan, resume: bool) -> int:
    from rich.progress import TextColumn

    from pleinair.training import train as run_training

    first = _is_first()
    detail = TextColumn("{task.fields[detail]}")
    with progress_bar(detail, quiet=not first) as progress:
        listener = _Bar(progress) if first else _Silence()
        outcome = run_training(plan, listener, resume)
    if not first:
        return 0
    if not outcome.finished:
        say(f"stopped at step {outcome.step}; go on with: pleinair train --resume {outcome.run}")
        if not outcome.begun:
            say(outcome.verdict)
        give(outcome.run)
        return 0
    say(f"finished at step {outcome.step}. {outcome.verdict}")
    painter = _export(outcome.run)
    if painter is not None and outcome.begun:
        say(f"Paint with it: pleinair paint PHOTO --painter {painter}")
    give(outcome.run)
    return 0


def _export(run: Path) -> Path | None:
    """RUN/painter.onnx, so that a night's run ends with something that paints."""
    from pleinair.exports import export

    target = run / "painter.onnx"
    try:
        export(run, target, force=True)
    except PleinairError as error:
        say(f"pleinair: {error} The run itself is whole.")
        return None
    return target


def _is_first() -> bool:
    # torchrun and accelerate number the processes of a team so.
    return int(os.environ.get("RANK", "0")) == 0


class _Silence:
    """The listener of processes that leave talking to the first."""

    def progress(self, step: int, part: float, values: dict[str, float]) -> None:
        pass

    def note(self, text: str) -> None:
        pass


class _Bar:
    """A run's listener: a bar with losses, speed and time left, or a line a minute in a log."""

    def __init__(self, progress: Progress) -> None:
        self.bar = progress
        self.task = progress.add_task("training", total=1.0, detail="")
        self.first: tuple[float, int, float] | None = None
        self.told = time.monotonic()

    def progress(self, step: int, part: float, values: dict[str, float]) -> None:
        now = time.monotonic()
        self.first = self.first or (now, step, part)
        began, first_step, first_part = self.first
        seconds = max(now - began, 1e-9)
        names = (
            ("painting G", "painting_generator"),
            ("photo G", "photo_generator"),
            ("painting D", "painting_discriminator"),
            ("photo D", "photo_discriminator"),
        )
        losses = "  ".join(f"{label} {values[key]:.3f}" for label, key in names if key in values)
        detail = f"step {step}  {(step - first_step) / seconds:.2f}/s  {losses}"
        self.bar.update(self.task, completed=part, detail=detail)
        if self.bar.disable and now - self.told > 60 and part > first_part:
            left = seconds * (1 - part) / (part - first_part)
            say(f"{100 * part:3.0f}%  {left / 60:.0f} min left  {detail}")
            self.told = now

    def note(self, text: str) -> None:
        say_above(self.bar, text)
