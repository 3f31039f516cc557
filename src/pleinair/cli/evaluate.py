"""`pleinair evaluate`."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pleinair.cli.fetching import at_hand
from pleinair.cli.terminal import give, progress_bar, say, shown
from pleinair.errors import MissingExtraError, UsageError
from pleinair.settings import EVALUATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.table import Table

    from pleinair.evaluation import Evaluation, Measure, Score


def evaluate(
    *what: Annotated[str, Parameter(name="PAINTER")],
    photos: Path,
    paintings: Path,
    trained_on: Path | None = None,
    inception: Annotated[bool, Parameter(negative=())] = False,
    inception_weights: Path | None = None,
    report: Path | None = None,
    ballot: Path | None = None,
    pairs: int = EVALUATE.ballot_pairs,
    votes: Annotated[tuple[Path, ...], Parameter(negative=(), consume_multiple=True)] = (),
    force: Annotated[bool, Parameter(negative=())] = False,
    cache: Annotated[Path | None, Parameter(negative=())] = None,
    fresh: Annotated[bool, Parameter(negative=())] = False,
    device: str = "auto",
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Score painters, or folders of their results, against paintings.

    Parameters
    ----------
    what
        Painters by name, .onnx files, finished runs, folders or zip files of results.
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
    report
        Also write a page to look at: figures, sheet, best and worst results. One .html file.
    ballot
        Write a page that asks people which of two painters did better, without their names.
    pairs
        Photos whose results a ballot shows. Default: 30.
    votes
        Files that such pages saved: adds win rates.
    force
        Overwrite pages that exist.
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
        from pleinair import backbones, engines, evaluation, gallery, pages, places, press
        from pleinair.team import find_device
    except ImportError as error:
        raise MissingExtraError(
            f"scores need {error.name}; run pip install 'pleinair[evaluate]' first."
        ) from error

    if pairs < 1:
        raise UsageError(f"--pairs {pairs} found; give at least 1.")
    for page in (report, ballot):
        if page is not None:
            press.check(page, force)
            if not what:
                raise UsageError(
                    f"{page} would show nothing; name a painter or a folder of results."
                )
    for one in what:
        at_hand(one)
    eyes = [engines.backbone(name, find_device(device)) for name in EVALUATE.backbones]
    own = places.cache()
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
        with engines.one_core_each() as workers:
            room = gallery.Gallery(eyes, None if fresh else place, told, say, workers)
            found = evaluation.evaluate(what, photos, paintings, room, trained_on, votes)
        asks = partial(pages.ballot, count=pairs)
        for page, make in ((report, pages.report), (ballot, asks)):
            if page is not None:
                press.write(make(found, told), page)
                say(f"{page} is written; open it in a browser.")
    if as_json:
        give(json.dumps(found.as_dict(), indent=2))
    else:
        _show(found)
    return 0


def _show(found: Evaluation) -> None:
    from rich.console import Console

    from pleinair.pages import CONTENT, LOOKS

    console = Console(width=None if sys.stdout.isatty() else 120)
    for label in found.eyes:
        _print(console, _distances(found, label, console.width))
    contents = {row.name: row.content for row in found.rows}
    if any(contents.values()):
        title = "What became of the photos"
        _print(console, _measures(title, CONTENT, contents, console.width))
    if found.votes:
        console.print(_votes(found))
    looks = {row.name: row.looks for row in found.rows}
    title = "What it looks like, beside the paintings"
    _print(console, _measures(title, LOOKS, looks, console.width))
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


def _print(console: Console, made: Iterator[Table]) -> None:
    for table in made:
        console.print(table)


def _distances(found: Evaluation, label: str, width: int) -> Iterator[Table]:
    from pleinair.cli.tables import Column, tables
    from pleinair.evaluation import frechet_name

    names = ("pictures", f"KID-{label}", "of subsets", frechet_name(label), "memorised", "MiFID")
    rows = [row for row in found.rows if label in row.scores]
    figures = [_figures(row.pictures, row.scores[label]) for row in rows]
    columns = [
        Column(name, list(cells))
        for name, cells in zip(names, zip(*figures, strict=True), strict=True)
    ]
    title = f"Distance to the paintings, through {label}"
    return tables(title, [row.name for row in rows], columns, width)


def _figures(pictures: int, score: Score) -> list[tuple[str, str]]:
    low, high = score.kid_interval
    mean, deviation = score.kid_subsets
    error = "" if score.frechet_error is None else f"\u00b1 {score.frechet_error:.1f}"
    return [
        (str(pictures), ""),
        (f"{score.kid:.4f}", f"({low:.4f} to {high:.4f})"),
        (f"{mean:.4f}", f"\u00b1 {deviation:.4f}"),
        (f"{score.frechet:.1f}", error),
        (f"{score.memorisation:.3f}", ""),
        (f"{score.mifid:.1f}", ""),
    ]


def _votes(found: Evaluation) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from pleinair.ballots import QUESTIONS

    table = Table(title="What people say", box=box.SIMPLE_HEAD)
    for column in ("", "painter", "before"):
        table.add_column(column, overflow="fold")
    for column in ("win rate", "won, lost, equal", "people"):
        table.add_column(column, justify="right", no_wrap=True)
    for duel in found.votes:
        low, high = duel.interval
        table.add_row(
            QUESTIONS[duel.question],
            Text(shown(duel.first)),
            Text(shown(duel.second)),
            f"{100 * duel.rate:.0f}% ({100 * low:.0f} to {100 * high:.0f}%)",
            f"{duel.wins}, {duel.losses}, {duel.ties}",
            str(duel.voters),
        )
    return table


def _measures(
    title: str, names: dict[str, str], rows: dict[str, dict[str, Measure]], width: int
) -> Iterator[Table]:
    from pleinair.cli.tables import Column, tables

    shown = {row: measures for row, measures in rows.items() if measures}
    columns = [
        Column(words, [_interval(measures[name]) for measures in shown.values()])
        for name, words in names.items()
    ]
    return tables(title, list(shown), columns, width)


def _interval(one: Measure) -> tuple[str, str]:
    return f"{one.value:.3g}", f"({one.interval[0]:.3g} to {one.interval[1]:.3g})"
