"""Photos from standard input, paintings to standard output."""

from __future__ import annotations

import sys
from pathlib import Path

from pleinair.cli.terminal import progress_bar, told_to
from pleinair.errors import ImageError, OutputError, UsageError
from pleinair.settings import Look, PaintOptions

STREAM = Path("-")


def to_stdout(
    photos: list[Path], painter: str, look: Look, options: PaintOptions, more: bool
) -> int:
    """Paint one photo to standard output. more: whether something else was asked for, too."""
    from pleinair import easel, images

    if more:
        raise UsageError(
            "the painting is all that goes to standard output; leave out --sheet, --json and "
            "--watch, or name a file with -o."
        )
    if len(photos) != 1 or (photos[0] != STREAM and photos[0].is_dir()):
        raise UsageError("-o - takes one photo; name a folder for the paintings of many.")
    if sys.stdout.isatty():
        raise OutputError("a painting is not for a terminal to show; name a file with -o.")
    photo = photos[0]
    source: Path | bytes = photo if photo != STREAM else from_stdin(photos)
    picture = easel.read(source, options.memory)
    suffix = options.suffix or (
        images.suffix_of(source)
        if isinstance(source, bytes)
        else photo.suffix
        if images.can_write(photo)
        else ".jpg"
    )
    brush = easel.load(painter, 0, options)
    with progress_bar() as progress:
        told = told_to(progress)
        name = "standard input" if photo == STREAM else photo.name
        painting = easel.paint(brush, picture, look, lambda part: told(part, 1, name))
    data = easel.encode(painting, Path(f"painting{suffix}"), options)
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.stdout = None  # Python would try again at its end
        raise OutputError(
            f"standard output cannot be written ({error.strerror}); name a file with -o."
        ) from error
    return 0


def from_stdin(photos: list[Path]) -> bytes:
    """The one picture on standard input. Raises UsageError, ImageError."""
    if photos.count(STREAM) > 1:
        raise UsageError("- is one picture from standard input; name it once.")
    if sys.stdin.isatty():
        raise UsageError("- reads a picture from standard input; pipe one in.")
    data = sys.stdin.buffer.read()
    if not data:
        raise ImageError("standard input is empty; pipe a picture in.")
    return data
