"""`pleinair evaluate`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pleinair.cli.terminal import progress_bar, say
from pleinair.config import EVALUATE
from pleinair.errors import MissingExtraError

if TYPE_CHECKING:
    from rich.table import Table

    from pleinair.evaluation import Evaluation, Measure


def evaluate(
    *what: Annotated[str, Parameter(name="PAINTER")],
    photos: Path,
    paintings: Path,
    trained_on: Path | None = None,
    inception: Annotated[bool, Parameter(negative=())] = False,
    inception_weights: Path | None = None,
    cache: Annotated[Path | None, Parameter(negative=())] = None,
    fresh: Annotated[bool, Parameter(negative=())] = False,
    device: str = "auto",
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Score painters, or folders of their results, against paintings.

    Parameters
    ----------
    what
        Painters by name, .onnx files, and folders or zip files of results. None: baselines only.
    photos
        Photos to paint: a folder, zip file, TFRecord or parquet shards, or manifest.
    paintings
        The same of paintings to compare with, better not those that were trained on.
    trained_on
        The paintings that were trained on, to see whether results repeat them. Default: PAINTINGS.
    inception
        Also score through Inception v3, as papers do; its weights (96 MB) are fetched once.
    inception_weights
        The same, with weights that you fetched: pt_inception-2015-12-05-6726825d.pth.
    cache
        Folder that keeps what networks saw. Default: the user's own cache folder.
    fresh
        Look at everything anew and keep nothing.
    device
        auto, cpu, cuda or mps.
    as_json
        Print everything as JSON.
    """
    try:
        import platformdirs

        from pleinair import backbones, engines, evaluation, gallery
        from pleinair.team import find_device
    except ImportError as error:
        raise MissingExtraError(
            f"{error.name} is not installed; run pip install 'pleinair[evaluate]' first."
        ) from error

    eyes = [engines.backbone(name, find_device(device)) for name in EVALUATE.backbones]
    own = platformdirs.user_cache_path("pleinair")
    place = cache or own / "seen"
    with progress_bar() as progress:
        tasks = {}

        def told(doing: str, done: int, total: int | None) -> None:
            if doing not in tasks:
                tasks[doing] = progress.add_task(doing)
            progress.update(tasks[doing], completed=done, total=total)

        if inception_weights is not None:
            backbones.check(backbones.INCEPTION, inception_weights)
        elif inception:
            inception_weights = backbones.find(backbones.INCEPTION, own / "backbones", told)
        if inception_weights is not None:
            eyes.append(engines.inception(inception_weights, find_device(device)))
        workers = engines.one_core_each()
        room = gallery.Gallery(eyes, None if fresh else place, told, say, workers)
        found = evaluation.evaluate(what, photos, paintings, room, trained_on)
    if as_json:
        print(json.dumps(found.as_dict(), indent=2))
    else:
        _show(found)
    return 0


def _show(found: Evaluation) -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 120)
    for label in found.eyes:
        console.print(_distances(found, label))
    contents = {row.name: row.content for row in found.rows}
    if any(contents.values()):
        console.print(_measures("What became of the photos", _CONTENT, contents))
    looks = {row.name: row.looks for row in found.rows}
    console.print(_measures("What it looks like, beside the paintings", _LOOKS, looks))
    eyes = ", ".join(
        f"{label} (SHA-256 {eye['sha256'][:8]}, {eye['side']} pixels, {eye['resize']})"
        for label, eye in found.eyes.items()
    )
    say(
        f"{found.photos} photos, {found.paintings} paintings, squares of {found.side} pixels, "
        f"resized for {eyes}; protocol {found.protocol}, "
        f"pleinair {found.version}. In brackets 95% intervals."
    )
    for warning in found.warnings():
        say(f"warning: {warning}")


def _distances(found: Evaluation, label: str) -> Table:
    from rich import box
    from rich.table import Table

    distance = "FID" if label == "Inception" else f"FD-{label}"
    table = Table(title=f"Distance to the paintings, through {label}", box=box.SIMPLE_HEAD)
    for column in ("", "pictures", f"KID-{label}", "of subsets", distance, "memorised"):
        table.add_column(column, justify="right" if column else "left")
    for row in found.rows:
        if label in row.scores:
            score = row.scores[label]
            low, high = score.kid_interval
            mean, deviation = score.kid_subsets
            error = "" if score.frechet_error is None else f" \u00b1 {score.frechet_error:.1f}"
            table.add_row(
                row.name,
                str(row.pictures),
                f"{score.kid:.4f} ({low:.4f} to {high:.4f})",
                f"{mean:.4f} \u00b1 {deviation:.4f}",
                f"{score.frechet:.1f}{error}",
                f"{score.memorisation:.3f}",
            )
    return table


_CONTENT = {
    "scene_distance": "scene lost",
    "perceptual_change": "perceptual change",
    "luma_correlation": "luma correlation",
    "median_change": "median change",
    "lattice_2": "lattice at 2",
    "lattice_4": "at 4 pixels",
}
_LOOKS = {
    "colours": "colours from theirs",
    "directions": "strokes turned by",
    "coherence": "stroke coherence",
}


def _measures(title: str, names: dict[str, str], rows: dict[str, dict[str, Measure]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD)
    for column in ("", *names.values()):
        table.add_column(column, justify="right" if column else "left")
    for row, measures in rows.items():
        if measures:
            cells = []
            for name in names:
                one = measures[name]
                cells.append(f"{one.value:.3g} ({one.interval[0]:.3g} to {one.interval[1]:.3g})")
            table.add_row(row, *cells)
    return table
