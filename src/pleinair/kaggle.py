"""What Kaggle's competition `gan-getting-started` takes: images.zip, checked before and after."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from pleinair import files, images, sources
from pleinair.errors import DataError, ImageError, OutputError
from pleinair.painter import Painter
from pleinair.settings import KAGGLE

Told = Callable[[int, int], None]  # how many are painted, of how many
Warn = Callable[[str], None]


def submit(
    photos: Path, target: Path, painter: str, told: Told, warn: Warn, force: bool = False
) -> int:
    """Paint the photos of a place into a zip of JPEGs of 256x256; how many there are.

    Each is named after its photo. A photo that cannot be read is told and left out. Raises
    DataError where there are too few or too many for the competition, or two of one name;
    OutputError where the zip exists and not `force`, or cannot be written. Nothing is written
    until all are painted.
    """
    if target.suffix.lower() != ".zip":
        raise OutputError(f"{target} is to be a zip file; the competition wants images.zip.")
    if target.resolve() == photos.resolve():
        raise OutputError(f"{target} holds the photos themselves; name another zip file.")
    files.check_free(target, force)
    source = sources.open_source(photos)
    names = [f"{PurePosixPath(name).stem}.jpg" for name in source.names]
    _check_count(len(names), photos)
    if len(set(names)) < len(names):
        raise DataError(f"two photos of {photos} have one name; give each its own.")
    workers = min(KAGGLE.most_workers, os.cpu_count() or 1)
    brush = Painter.load(painter, threads=1 if workers > 1 else 0)

    def paint(number: int) -> bytes | ImageError:
        try:
            name = f"{photos}: {source.names[number]}"
            photo = images.read_square(source.read(number), KAGGLE.side, name)
        except ImageError as error:
            return error
        return images.encode(images.Picture(brush.paint(photo)), "JPEG")

    written = 0
    pool = ThreadPoolExecutor(workers)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(target) as file:
            # JPEGs do not get smaller.
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                painted = pool.map(paint, range(len(names)))
                for number, (name, made) in enumerate(zip(names, painted, strict=True), 1):
                    if isinstance(made, ImageError):
                        warn(f"left out: {made}")
                    else:
                        archive.writestr(name, made)
                        written += 1
                    told(number, len(names))
            _check_count(written, photos, "can be painted")
    except OSError as error:
        raise OutputError(
            f"{target} cannot be written ({error.strerror or error}); choose another place."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
    return written


def _check_count(count: int, photos: Path, how: str = "found") -> None:
    if not KAGGLE.fewest <= count <= KAGGLE.most:
        raise DataError(
            f"{count:,} photos {how} in {photos}; the competition takes {KAGGLE.fewest:,} to "
            f"{KAGGLE.most:,}: give its photo_jpg folder, or the whole archive's."
        )
