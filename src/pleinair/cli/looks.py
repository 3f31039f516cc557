"""Options of painting as words: checked, one sentence each."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Literal

from pleinair.errors import UsageError
from pleinair.settings import FOLDERS, PAINT, Look, PaintOptions

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?", re.IGNORECASE)
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def look_of(layers: int | None, brush: float, strength: float, colors: str, painter: str) -> Look:
    """The look that options ask for. painter: also a word for its own colours."""
    if layers is not None and not 1 <= layers <= PAINT.max_layers:
        raise UsageError(f"--layers {layers} found; give a number from 1 to {PAINT.max_layers}.")
    if not PAINT.least_brush <= brush <= PAINT.most_brush:
        raise UsageError(
            f"--brush {brush:g} found; give a number from {PAINT.least_brush:g} to "
            f"{PAINT.most_brush:g}."
        )
    if not 0 <= strength <= PAINT.most_strength:
        raise UsageError(
            f"--strength {strength:g} found; give a number from 0 to {PAINT.most_strength:g}."
        )
    whose: Literal["painter", "photo"]
    match colors.lower():
        case "photo":
            whose = "photo"
        case word if word in ("painter", painter.lower()):
            whose = "painter"
        case _:
            raise UsageError(f"--colors {colors} found; give painter or photo.")
    return Look(layers, brush, strength, whose)


def options_of(
    kind: str | None,
    quality: int | None,
    strip: bool,
    force: bool,
    memory: str | None,
    device: str,
    jobs: int | None,
) -> PaintOptions:
    """The other options of painting, and a look at --jobs."""
    from pleinair import images

    suffix = None
    if kind is not None:
        suffix = f".{kind.lower().lstrip('.')}"
        if not images.can_write(Path(f"x{suffix}")):
            raise UsageError(f"--format {kind} found; give jpg, png, webp, avif, tif, gif or bmp.")
    if quality is not None and not 1 <= quality <= 100:
        raise UsageError(f"--quality {quality} found; give a number from 1 to 100.")
    if jobs is not None and not 1 <= jobs <= FOLDERS.most_jobs:
        raise UsageError(f"--jobs {jobs} found; give a number from 1 to {FOLDERS.most_jobs}.")
    size = None if memory is None else size_of(memory)
    return PaintOptions(suffix, quality, strip, force, size, device)


def size_of(text: str, option: str = "--memory", least: int = PAINT.least_memory) -> int:
    """Bytes that 800M, 1.5G or a plain number mean, `least` or more. Raises UsageError."""
    found = _SIZE.fullmatch(text.strip())
    size = float(found[1]) * _UNITS[found[2].upper()] if found else math.nan
    if not least <= size < 2**63:
        lowest = f"{least // 2**20}M" if least >= 2**20 else str(least)
        raise UsageError(
            f"{option} {text} found; give a size of {lowest} or more, as 800M or 1.5G."
        )
    return int(size)
