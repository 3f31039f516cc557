"""`pleinair paint`."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from pleinair.cli.fetching import at_hand
from pleinair.cli.looks import look_of, options_of
from pleinair.cli.results import record, sum_up
from pleinair.cli.streams import STREAM, from_stdin, to_stdout
from pleinair.cli.terminal import (
    give,
    leave_at_once,
    painting_bar,
    progress_bar,
    say,
    say_above,
    told_to,
)
from pleinair.errors import ImageError, UsageError
from pleinair.settings import PAINT, Look, PaintOptions

if TYPE_CHECKING:
    from rich.progress import Progress

    from pleinair.folders import Done, Studio
    from pleinair.ledger import Mark
    from pleinair.tree import Plan

_LOOK = Group.create_ordered("How it is painted")
_FILES = Group.create_ordered("What is written")
_WORK = Group.create_ordered("How the work is done")


def paint(
    places: Annotated[list[str], Parameter(name="PHOTO", negative=(), allow_leading_hyphen=True)],
    /,
    *,
    painter: Annotated[str, Parameter(group=_LOOK)] = PAINT.painter,
    layers: Annotated[int | None, Parameter(group=_LOOK)] = None,
    brush: Annotated[float, Parameter(group=_LOOK)] = Look.brush,
    strength: Annotated[float, Parameter(group=_LOOK)] = Look.strength,
    colors: Annotated[str, Parameter(group=_LOOK)] = Look.colors,
    out: Annotated[
        str | None, Parameter(name=["--out", "-o"], group=_FILES, allow_leading_hyphen=True)
    ] = None,
    kind: Annotated[str | None, Parameter(name="--format", group=_FILES)] = None,
    quality: Annotated[int | None, Parameter(group=_FILES)] = None,
    strip_metadata: Annotated[bool, Parameter(negative=(), group=_FILES)] = False,
    force: Annotated[bool, Parameter(negative=(), group=_FILES)] = False,
    sheet: Annotated[bool, Parameter(negative=(), group=_FILES)] = False,
    kaggle: Annotated[Path | None, Parameter(group=_FILES)] = None,
    json_lines: Annotated[bool, Parameter(name="--json", negative=(), group=_FILES)] = False,
    watch: Annotated[bool, Parameter(negative=(), group=_WORK)] = False,
    cluster: Annotated[bool, Parameter(negative=(), group=_WORK)] = False,
    jobs: Annotated[int | None, Parameter(group=_WORK)] = None,
    memory: Annotated[str | None, Parameter(group=_WORK)] = None,
    device: Annotated[str, Parameter(group=_WORK)] = PaintOptions.device,
) -> int:
    """Paint photos, each into a file of its own size.

    A folder is painted with all that is in it, by default into FOLDER.<painter> beside it. A
    second run paints what is new or has changed.

    Parameters
    ----------
    places
        Pictures (JPEG, PNG, WebP, AVIF, TIFF, HEIC, BMP, GIF), folders, or - for standard input.
    painter
        Name of a painter, its file, or hf://owner/name.
    layers
        How many times to paint, each with strokes half as large. Default: by the photo's size.
    brush
        How large strokes are, relative to those that the painter learned.
    strength
        0 is the photo, 1 the painting, up to 1.5 beyond it.
    colors
        painter, or photo to keep the photo's own.
    out
        File, folder, or - for standard output. Default: <name>.<painter>.<type> beside a photo.
    kind
        Type of the paintings: jpg, png, webp, avif, tif, gif or bmp. Default: the photo's own.
    quality
        Of JPEG, WebP and AVIF, 1 to 100. Default: the photo's own, else 92 (AVIF: 80).
    strip_metadata
        Leave out what the photo's file says of camera, time and place.
    force
        Overwrite a painting that exists; of a folder, files that pleinair did not write.
    sheet
        Also write photos and paintings side by side, as sheet.jpg beside the first painting.
    kaggle
        Write Kaggle's images.zip instead: PHOTO is a folder or an archive of 7,000 to 10,000.
    json_lines
        Say on standard output what became of each photo as a line of JSON.
    watch
        Go on painting what arrives in the folders, until Ctrl-C.
    cluster
        Paint folders and s3:// or gs:// addresses into --out with many workers: RAY_ADDRESS names
        a Ray cluster; without it, with the cores of this machine.
    jobs
        How many photos to paint at once. Default: small ones side by side, large ones alone. With
        --cluster: how many workers at most. Default: one for each core.
    memory
        How much to take, 512M or more, as 1.5G. Default: by what is free, up to 1.4G; with
        --cluster up to 1.4G for each worker.
    device
        Where to paint: auto, cpu, or another that the painter's engine has.
    """
    # Hyphens are allowed for the sake of - alone.
    for word in [*places, out or ""]:
        if word.startswith("-") and word != "-" and not Path(word).exists():
            raise UsageError(f"{word} is no option; pleinair paint --help lists them all.")
    if "" in places:
        raise UsageError("an empty name found; give a photo or a folder, . for this one.")
    photos = [Path(place) for place in places]
    look = look_of(layers, brush, strength, colors, Path(painter).stem)
    options = options_of(kind, quality, strip_metadata, force, memory, device, jobs)
    if not cluster and (named := [w for w in [*places, out or ""] if "://" in w]):
        raise UsageError(f"{named[0]} is an address; add --cluster to paint from and into such.")
    at_hand(painter)
    if cluster:
        from pleinair.cli.cluster import paint_cluster

        if any([sheet, watch, kaggle, "-" in [*places, out]]):
            raise UsageError("--cluster paints folders; leave out --sheet, --watch, --kaggle, -.")
        return paint_cluster(places, out, painter, look, options, jobs, json_lines)
    if kaggle is not None:
        if any(
            [out, sheet, watch, json_lines, look != Look(), options != PaintOptions(force=force)]
        ):
            raise UsageError(
                "--kaggle writes one zip file; leave out --out, --sheet, --layers and all others "
                "but --painter and --force."
            )
        return _submission(photos, kaggle, painter, force)
    if out == "-" or (out is None and photos == [STREAM]):
        return to_stdout(photos, painter, look, options, sheet or json_lines or watch)
    return _Outing(photos, out, painter, look, options, jobs, sheet, json_lines, watch).run()


class _Outing:
    """One call of the command: a plan, a first pass, and what arrives after it."""

    def __init__(
        self,
        photos: list[Path],
        out: str | None,
        painter: str,
        look: Look,
        options: PaintOptions,
        jobs: int | None,
        sheet: bool,
        as_json: bool,
        watch: bool,
    ) -> None:
        self.photos, self.out, self.painter = photos, out, painter
        self.look, self.options, self.jobs = look, options, jobs
        self.sheet, self.as_json, self.watch = sheet, as_json, watch
        self.folders = [photo for photo in photos if photo != STREAM and photo.is_dir()]
        if watch and not self.folders:
            raise UsageError("--watch waits for photos in folders; name one.")
        self.label = Path(painter).stem
        self.counts: Counter[str] = Counter()
        self.pairs: list[tuple[Path | bytes, Path]] = []
        self.began = time.monotonic()

    def run(self) -> int:
        from pleinair.folders import Studio
        from pleinair.ledger import mark_of
        from pleinair.painter import check_target

        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="surrogateescape")  # names that are no text
        plan = self._plan()
        for painting in plan.paintings[:3]:
            say(f"skipped: {painting} is a painting already.")
        if len(plan.paintings) > 3:
            say(f"skipped: {len(plan.paintings) - 3:,} more are paintings already.")
        if not plan.jobs and not plan.troubles and not self.watch:
            named = ", ".join(map(str, self.folders))
            raise ImageError(f"no picture to paint is in {named}; name a folder that holds some.")
        sheet = self._sheet_path(plan) if self.sheet and plan.jobs else None
        if sheet:
            check_target(sheet, plan.jobs[0].photo, self.options.force)
        marks = {job.photo: mark_of(job.photo) for job in plan.jobs} if self.watch else {}
        studio = Studio(self.painter, self.look, self.options, self.jobs)
        try:
            with studio:
                self._pass(studio, plan)
                if sheet:
                    self._write_sheet(sheet)
                if self.watch:
                    self._wait_for_more(studio, marks)
        except KeyboardInterrupt:
            self._sum_up()
            if studio.at_work:
                # A painting at work cannot be stopped; nothing of it is on the disk.
                say("pleinair: interrupted.")
                leave_at_once(130)
            raise
        except BrokenPipeError:
            if studio.at_work:
                leave_at_once(1)
            raise
        self._sum_up()
        return 1 if self.counts["failed"] else 0

    def _plan(self) -> Plan:
        from pleinair import tree

        if not self.folders:
            return self._plan_files()
        if STREAM in self.photos:
            raise UsageError("- is one picture from standard input; paint folders apart from it.")
        place = Path(self.out) if self.out is not None else None
        if place is not None and not place.is_dir() and _names_file(self.out or ""):
            raise UsageError(
                f"{place} names one file; name a folder for the paintings of a folder."
            )
        return tree.plan(self.photos, place, self.label, self.options.suffix)

    def _plan_files(self) -> Plan:
        from pleinair import images, tree

        named = [p for p in self.photos if not tree.is_painting(p.name, self.label)]
        # `paint *.jpg` finds the paintings of last time too; a painting named alone is meant.
        if len(self.photos) == 1 or not named:
            named = self.photos
        plan = tree.Plan(paintings=[photo for photo in self.photos if photo not in named])
        data = from_stdin(named) if STREAM in named else None
        asked = self.options.suffix
        suffix = asked or (images.suffix_of(data) if data is not None else None)
        targets = _targets(named, self.out, self.label, suffix)
        for photo, target in zip(named, targets, strict=True):
            if asked and not _same_kind(target, asked):
                raise UsageError(
                    f"--format {asked[1:]} and -o {self.out} contradict each other; leave one out."
                )
            plan.jobs.append(tree.Job(photo, target, data=data if photo == STREAM else None))
        return plan

    def _pass(self, studio: Studio, plan: Plan) -> None:
        sources = {job.target: job.data or job.photo for job in plan.jobs}
        with (
            painting_bar() as progress,
            contextlib.closing(studio.paint(plan.jobs, told_to(progress))) as made,
        ):
            for done in made:
                self._report(done, progress)
                if self.sheet and done.status != "failed":
                    self.pairs.append((sources[done.painting], done.painting))
            for trouble in plan.troubles.values():
                self.counts["failed"] += 1
                say_above(progress, f"pleinair: {trouble}")

    def _wait_for_more(self, studio: Studio, marks: dict[Path, Mark | None]) -> None:
        from pleinair.watching import paint_arrivals

        say(f"watching {', '.join(map(str, self.folders))}; Ctrl-C ends it.")
        made = paint_arrivals(studio, self.folders, self._plan, marks)
        with contextlib.closing(made), contextlib.suppress(KeyboardInterrupt):
            for done in made:
                self._report(done, None)
        if studio.at_work:
            self._sum_up()
            leave_at_once(1 if self.counts["failed"] else 0)

    def _report(self, done: Done, progress: Progress | None) -> None:
        self.counts[done.status] += 1
        if done.error is not None:
            say_above(progress, f"pleinair: {done.error}")
        if done.note is not None:
            say_above(progress, f"{done.photo}: {done.note}")
        if self.as_json:
            give(json.dumps(record(done)))
        elif done.status == "painted":
            give(done.painting)

    def _sum_up(self) -> None:
        seconds = time.monotonic() - self.began
        sum_up(self.counts, self.as_json, seconds, many=bool(self.folders))

    def _sheet_path(self, plan: Plan) -> Path:
        first = plan.jobs[0]
        many = len(plan.jobs) > 1 or self.folders
        if not many:
            return first.target.with_name(f"{first.target.stem}.sheet.jpg")
        path = (first.out or first.target.parent) / "sheet.jpg"
        if path in {job.target for job in plan.jobs}:
            raise UsageError(f"{path} is to be a painting of {path.name}; leave out --sheet.")
        return path

    def _write_sheet(self, path: Path) -> None:
        from pleinair import images

        if not self.pairs:
            return
        height = images.row_height(len(self.pairs), PAINT.sheet_height)
        rows = [
            [images.resize_to_height(images.on_white(images.read(one)), height) for one in pair]
            for pair in self.pairs
        ]
        images.write(images.Picture(images.sheet(rows, height)), path)
        if not self.as_json:
            give(path)


def _targets(photos: list[Path], out: str | None, painter: str, suffix: str | None) -> list[Path]:
    from pleinair import images
    from pleinair.painter import default_output

    def beside(photo: Path) -> Path:
        return default_output(Path("photo") if photo == STREAM else photo, painter, suffix)

    if out is None:
        return [beside(photo) for photo in photos]
    place = Path(out)
    is_folder = out.endswith(("/", os.sep)) or place.is_dir()
    one_file = not is_folder and (place.is_file() or images.can_write(place))
    if one_file and len(photos) > 1:
        raise UsageError(f"{out} names one file; name a folder for {len(photos)} paintings.")
    if is_folder or len(photos) > 1 or not place.suffix:
        return [place / beside(photo).name for photo in photos]
    return [place]


def _same_kind(path: Path, suffix: str) -> bool:
    from pleinair import images

    return images.can_write(path) and images.kind_for(path) == images.kind_for(Path(f"x{suffix}"))


def _names_file(out: str) -> bool:
    from pleinair import images

    return Path(out).is_file() or (not out.endswith(("/", os.sep)) and images.can_write(Path(out)))


def _submission(places: list[Path], target: Path, painter: str, force: bool) -> int:
    from pleinair.kaggle import submit

    if len(places) != 1:
        raise UsageError(f"--kaggle paints one folder or archive; {len(places)} are named.")
    with progress_bar() as progress:
        task = progress.add_task("painting")

        def told(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        count = submit(places[0], target, painter, told, say, force)
    give(target)
    say(f"{count:,} paintings of 256x256; submit them at kaggle.com/c/gan-getting-started.")
    return 0
