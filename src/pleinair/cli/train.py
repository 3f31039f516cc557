"""`pleinair train`."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pleinair.cli.terminal import progress_bar, say, training_room
from pleinair.config import TRAIN
from pleinair.errors import OutputError, UsageError

if TYPE_CHECKING:
    from rich.progress import Progress

    from pleinair.training import Plan


def train(
    *,
    photos: Path | None = None,
    paintings: Path | None = None,
    out: Path | None = None,
    recipe: str = TRAIN.recipe,
    steps: int | None = None,
    epochs: float | None = None,
    minutes: float | None = None,
    seed: int = TRAIN.seed,
    checkpoint_every: int = TRAIN.checkpoint_every,
    sample_every: int = TRAIN.sample_every,
    device: str = "auto",
    begin_with: Path | None = None,
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
    recipe
        light, paper or lab, or a .toml file that names its base and what differs from it.
    steps
        How many steps. Default: the recipe's own number.
    epochs
        How many passes over the larger folder, in place of --steps.
    minutes
        How long, in place of --steps.
    seed
        Of the first weights and of the order of pictures.
    checkpoint_every
        Steps between checkpoints.
    sample_every
        Steps between sample sheets.
    device
        auto, cpu, cuda or mps.
    begin_with
        Begin with the networks of another run of the same generator, to refine its painter.
    resume
        Go on with this run; only --steps or --minutes may be given beside it.
    dry_run
        Print the resolved recipe as JSON and stop.
    """
    from pleinair.recipes import load_recipe, recipe_to_dict

    chosen = load_recipe(recipe)
    if dry_run:
        print(json.dumps(recipe_to_dict(chosen), indent=2))
        return 0
    _check_limits(steps, epochs, minutes)
    if min(checkpoint_every, sample_every) < 1:
        raise UsageError("--checkpoint-every and --sample-every must be at least 1.")
    training = training_room()
    if resume is not None:
        if photos or paintings or out or epochs or begin_with:
            raise UsageError("--resume goes on in the run's own folder; leave the others out.")
        plan = training.resumed_plan(resume, steps, minutes, checkpoint_every, sample_every, device)
    else:
        if photos is None or paintings is None or out is None:
            raise UsageError("training needs --photos DIR --paintings DIR --out RUN.")
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise OutputError(f"{out} exists; go on with --resume {out}, or name a new folder.")
        plan = training.Plan(
            photos.resolve(),
            paintings.resolve(),
            out,
            chosen,
            seed,
            steps,
            epochs,
            minutes,
            checkpoint_every,
            sample_every,
            device=device,
            begin_with=begin_with,
        )
    return _run(plan, resume is not None)


def _check_limits(steps: int | None, epochs: float | None, minutes: float | None) -> None:
    given = [limit for limit in (steps, epochs, minutes) if limit is not None]
    if len(given) > 1:
        raise UsageError("give one of --steps, --epochs and --minutes.")
    if given and not 0 < given[0] < math.inf:
        raise UsageError(f"a limit of {given[0]} found; give a positive number.")


def _run(plan: Plan, resume: bool) -> int:
    from rich.progress import TextColumn

    from pleinair.training import train as run_training

    with progress_bar(TextColumn("{task.fields[detail]}")) as progress:
        listener = _Bar(progress)
        outcome = run_training(plan, listener, resume)
    say(f"{'finished' if outcome.finished else 'stopped'} at step {outcome.step}.")
    if not outcome.finished:
        say(f"Go on with: pleinair train --resume {outcome.run}")
    say(f"Paint with it: pleinair export {outcome.run} painter.onnx")
    print(outcome.run)
    return 0


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
        self.bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
