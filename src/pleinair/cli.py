"""The command line: parse, one library call, print. stdout is data, stderr is talk."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, NoReturn

from cyclopts import App, Parameter

from pleinair import __version__
from pleinair.config import PAINT, TRAIN
from pleinair.errors import MissingExtraError, OutputError, PleinairError, UsageError

if TYPE_CHECKING:
    from rich.progress import Progress

    from pleinair.training import Plan

app = App(
    name="pleinair",
    help="Turn photographs into paintings in the manner of Claude Monet.",
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # main() says what happened
)


def main() -> NoReturn:
    """Entry point: errors of ours become one line and exit code 1, Ctrl-C exit code 130."""
    try:
        code = app(sys.argv[1:], result_action="return_value")
    except PleinairError as error:
        _say(f"pleinair: {error}")
        code = 1
    except KeyboardInterrupt:
        _say("pleinair: interrupted.")
        code = 130
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


@app.command
def paint(
    photos: Annotated[list[Path], Parameter(name="PHOTO", negative=())],
    /,
    *,
    out: Annotated[str | None, Parameter(name=["--out", "-o"])] = None,
    painter: str = PAINT.painter,
    layers: int | None = None,
    force: Annotated[bool, Parameter(negative=())] = False,
    sheet: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Paint photos, each into a file of its own size.

    Parameters
    ----------
    photos
        Picture files: JPEG, PNG, WebP, TIFF, BMP, GIF or AVIF.
    out
        File for one photo, or folder. Default: <name>.<painter>.jpg beside each photo.
    painter
        Name of a painter, or an .onnx file.
    layers
        Paint so often, each time over the last and with strokes half as large. Default: once up
        to 724 pixels, once more for each doubling.
    force
        Overwrite paintings that exist.
    sheet
        Also write photos and paintings side by side, as sheet.jpg beside the first painting.
    """
    from pleinair import images
    from pleinair.painter import Painter, check_target

    if layers is not None and not 1 <= layers <= PAINT.max_layers:
        raise UsageError(f"--layers {layers} found; give a number from 1 to {PAINT.max_layers}.")
    label = Path(painter).stem
    photos = _without_paintings(photos, label)
    targets = _targets(photos, out, label)
    sheet_path = _sheet_path(targets[0], len(photos) > 1) if sheet else None
    if sheet_path:
        check_target(sheet_path, photos[0], force)
    brush = Painter.load(painter)
    height = images.row_height(len(photos), PAINT.sheet_height)
    rows, failed, written = [], 0, set[Path]()
    with _progress(quiet=len(photos) == 1) as progress:
        for photo, target in progress.track(
            list(zip(photos, targets, strict=True)), description="painting"
        ):
            try:
                if target.resolve() in written:
                    raise OutputError(
                        f"{photo} would be painted over {target}, just made from another photo "
                        "of that name; paint it into another folder."
                    )
                check_target(target, photo, force)
                picture = images.read(photo)
                painting = brush.paint_picture(picture, layers)
                images.write(painting, target)
            except PleinairError as error:
                failed += 1
                progress.console.print(
                    f"pleinair: {error}", markup=False, highlight=False, soft_wrap=True
                )
                continue
            written.add(target.resolve())
            print(target, flush=True)
            if sheet_path:
                pair = [images.on_white(picture), images.on_white(painting)]
                rows.append([images.resize_to_height(p, height) for p in pair])
    if sheet_path and rows:
        images.write(images.Picture(images.sheet(rows, height)), sheet_path)
        print(sheet_path)
    if failed and len(photos) > 1:
        _say(f"pleinair: {failed} of {len(photos)} photos were not painted.")
    return 1 if failed else 0


@app.command
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
        Folder of photos.
    paintings
        Folder of paintings.
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
    training = _training()
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


@app.command
def export(
    run: Path,
    target: Path,
    /,
    *,
    licence: str = "",
    data: str = "",
    force: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Write the painter of a run as an ONNX file, checked against PyTorch.

    Parameters
    ----------
    run
        Folder of a training run, or a painter.safetensors file.
    target
        The .onnx file to write.
    licence
        Licence of the painter, for its card.
    data
        What it was trained on, for its card.
    force
        Overwrite a file that exists.
    """
    _training()
    from pleinair.export import export_run

    difference = export_run(run, target, force, licence=licence, data=data)
    _say(f"ONNX and PyTorch differ by at most {difference:.1g}.")
    print(target)
    return 0


# --- helpers of the doors above --------------------------------------------------------------


def _targets(photos: list[Path], out: str | None, painter: str) -> list[Path]:
    from pleinair import images
    from pleinair.painter import default_output

    if out is None:
        return [default_output(photo, painter) for photo in photos]
    place = Path(out)
    is_folder = out.endswith(("/", os.sep)) or place.is_dir()
    one_file = not is_folder and (place.is_file() or images.can_write(place))
    if one_file and len(photos) > 1:
        raise UsageError(f"{out} names one file; name a folder for {len(photos)} paintings.")
    if is_folder or len(photos) > 1 or not place.suffix:
        return [place / default_output(photo, painter).name for photo in photos]
    return [place]


def _without_paintings(photos: list[Path], painter: str) -> list[Path]:
    # `paint *.jpg` finds the paintings of last time too; a painting named alone is meant.
    ends = (f".{painter}.jpg", f".{painter}.sheet.jpg")
    kept = [photo for photo in photos if not photo.name.endswith(ends)]
    if len(photos) == 1 or not kept:
        return photos
    for photo in photos:
        if photo not in kept:
            _say(f"skipped: {photo} is a painting already.")
    return kept


def _sheet_path(first: Path, many: bool) -> Path:
    return first.with_name("sheet.jpg" if many else f"{first.stem}.sheet.jpg")


def _check_limits(steps: int | None, epochs: float | None, minutes: float | None) -> None:
    given = [limit for limit in (steps, epochs, minutes) if limit is not None]
    if len(given) > 1:
        raise UsageError("give one of --steps, --epochs and --minutes.")
    if given and not 0 < given[0] < math.inf:
        raise UsageError(f"a limit of {given[0]} found; give a positive number.")


def _training() -> ModuleType:
    try:
        from pleinair import training
    except ImportError as error:
        raise MissingExtraError(
            f"{error.name} is not installed; run pip install 'pleinair[train]' first."
        ) from error
    return training


def _run(plan: Plan, resume: bool) -> int:
    from pleinair.training import train as run_training

    with _progress() as progress:
        listener = _Bar(progress)
        outcome = run_training(plan, listener, resume)
    _say(f"{'finished' if outcome.finished else 'stopped'} at step {outcome.step}.")
    if not outcome.finished:
        _say(f"Go on with: pleinair train --resume {outcome.run}")
    _say(f"Paint with it: pleinair export {outcome.run} painter.onnx")
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
            _say(f"{100 * part:3.0f}%  {left / 60:.0f} min left  {detail}")
            self.told = now

    def note(self, text: str) -> None:
        self.bar.console.print(text, markup=False, highlight=False, soft_wrap=True)


def _progress(quiet: bool = False) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
        console=console,
        disable=quiet or not console.is_terminal,
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr)
