"""`pleinair paint`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pleinair.cli.terminal import progress_bar, say
from pleinair.config import PAINT, Look
from pleinair.errors import OutputError, PleinairError, UsageError


def paint(
    photos: Annotated[list[Path], Parameter(name="PHOTO", negative=())],
    /,
    *,
    out: Annotated[str | None, Parameter(name=["--out", "-o"])] = None,
    painter: str = PAINT.painter,
    layers: int | None = None,
    force: Annotated[bool, Parameter(negative=())] = False,
    sheet: Annotated[bool, Parameter(negative=())] = False,
    kaggle: Path | None = None,
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
        How many times to paint, each with strokes half as large. Default: by the photo's size.
    force
        Overwrite paintings that exist.
    sheet
        Also write photos and paintings side by side, as sheet.jpg beside the first painting.
    kaggle
        Write Kaggle's images.zip instead: PHOTO is a folder or an archive of 7,000 to 10,000.
    """
    from pleinair import images
    from pleinair.painter import Painter, check_target

    if layers is not None and not 1 <= layers <= PAINT.max_layers:
        raise UsageError(f"--layers {layers} found; give a number from 1 to {PAINT.max_layers}.")
    label = Path(painter).stem
    if kaggle is not None:
        if out is not None or sheet or layers is not None:
            raise UsageError("--kaggle writes one zip file; leave out --out, --sheet and --layers.")
        return _submission(photos, kaggle, painter, force)
    photos = _without_paintings(photos, label)
    targets = _targets(photos, out, label)
    sheet_path = _sheet_path(targets[0], len(photos) > 1) if sheet else None
    if sheet_path:
        check_target(sheet_path, photos[0], force)
    brush = Painter.load(painter)
    height = images.row_height(len(photos), PAINT.sheet_height)
    rows, failed, written = [], 0, set[Path]()
    with progress_bar(quiet=len(photos) == 1) as progress:
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
                painting = brush.paint_picture(picture, Look(layers=layers))
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
        say(f"pleinair: {failed} of {len(photos)} photos were not painted.")
    return 1 if failed else 0


def _submission(places: list[Path], target: Path, painter: str, force: bool) -> int:
    from pleinair.kaggle import submit

    if len(places) != 1:
        raise UsageError(f"--kaggle paints one folder or archive; {len(places)} are named.")
    with progress_bar() as progress:
        task = progress.add_task("painting")

        def told(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        count = submit(places[0], target, painter, told, say, force)
    print(target)
    say(f"{count:,} paintings of 256x256; submit them at kaggle.com/c/gan-getting-started.")
    return 0


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
            say(f"skipped: {photo} is a painting already.")
    return kept


def _sheet_path(first: Path, many: bool) -> Path:
    return first.with_name("sheet.jpg" if many else f"{first.stem}.sheet.jpg")
