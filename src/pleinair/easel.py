"""One photo to one painting, in the stages that a line of workers takes it through."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

from pleinair import brushwork, files, hub, images, memory, resampling
from pleinair.errors import ImageError
from pleinair.images import Animation, Header, Picture
from pleinair.painter import Painter
from pleinair.settings import FOLDERS, PAINT, Look, PaintOptions

Shown = Picture | Animation
Told = Callable[[float], None]  # part of one painting that is done, 0 to 1


@dataclass(frozen=True)
class Waiting:
    """A small photo as it lies in its file, decoded by who paints it."""

    content: bytes
    name: str
    size: tuple[int, int]


class Share(NamedTuple):
    """What of a machine a photo takes.

    threads: 0 takes every core. shares: how many such photos there may be side by side.
    """

    places: int
    threads: int
    shares: int


def share(size: tuple[int, int], cores: int, jobs: int | None, few: bool) -> Share:
    """The part of a machine for a photo of (width, height).

    jobs: photos at once, a place each; None: small ones side by side, one place and core each, and
    large ones alone. few: fewer photos than cores, which are done sooner with all cores for each.
    """
    if jobs is not None:
        return Share(1, 0 if jobs == 1 else max(1, cores // jobs), jobs)
    if few or size[0] * size[1] > FOLDERS.small_pixels:
        return Share(cores, 0, 1)
    return Share(1, 1, cores)


def load(
    name: str | Path, threads: int, options: PaintOptions, shares: int = 1, ahead: int = 0
) -> Painter:
    """A painter for one of `shares` places side by side.

    threads: 0 takes every core. ahead: bytes that pictures on their way take.
    """
    allowed = memory.allowed(options.memory)
    share = max(PAINT.least_memory, (allowed - ahead) // shares)
    return Painter.load(name, threads=threads, memory=share, device=options.device)


def read(source: Path | bytes, asked: int | None = None) -> Shown:
    """A photo or an animation from its file or its bytes.

    asked: bytes that the process may take. Raises ImageError.
    """
    _check(images.header(source), _called(source), asked)
    return images.read_any(source)


def fetch(source: Path | bytes, asked: int | None = None, name: str = "") -> Shown | Waiting:
    """As `read`, but a small photo as it lies in its file: decoding it is soon done.

    A thread that decodes small photos while others paint would keep these from their cores.
    name: stands for bytes in what is said of them.
    """
    content = images.content(source, FOLDERS.small_bytes)
    known = images.name_of(source, name)
    header = images.header(source if content is None else content, known)
    _check(header, name or _called(source), asked)
    if content is not None and header.width * header.height <= FOLDERS.small_pixels:
        return Waiting(content, known, (header.width, header.height))
    return images.read_any(source, name)


def decoded(found: Shown | Waiting) -> Shown:
    """What `fetch` found, to paint. Raises ImageError."""
    return images.read_any(found.content, found.name) if isinstance(found, Waiting) else found


def _called(source: Path | bytes) -> str:
    return str(source) if isinstance(source, Path) else "the picture"


def _check(header: Header, name: str, asked: int | None) -> None:
    needed = header.decoding + PAINT.base_bytes
    if needed > memory.most(asked):
        raise ImageError(
            f"{name} takes about {needed // 2**20:,}M to decode, more than may be taken; make it "
            "smaller first or give more by --memory."
        )


def held(shown: Shown | Waiting) -> int:
    """Bytes of memory that what was read takes; of an animation, a frame of it."""
    if isinstance(shown, Waiting):
        return len(shown.content)
    if isinstance(shown, Picture):
        return int(shown.pixels.nbytes)
    return 4 * shown.size[0] * shown.size[1]


def paint(painter: Painter, shown: Shown, look: Look, told: Told) -> Shown:
    """The painting of a picture; an animation's frames are painted while they are encoded."""
    return painter.paint_any(shown, look, told)


def encode(painting: Shown, target: Path, options: PaintOptions) -> bytes:
    """The bytes of the file `target`. Raises OutputError."""
    return images.encode_for(painting, target, options.quality, options.strip)


def fitted(size: tuple[int, int], side: int | None) -> tuple[int, int]:
    """A size whose longest side has at most so many pixels, its proportions kept."""
    longest = max(size)
    if side is None or longest <= side:
        return size
    return max(1, round(size[0] * side / longest)), max(1, round(size[1] * side / longest))


def shrunk(shown: Shown, side: int) -> Shown:
    """A picture whose longest side has at most so many pixels."""
    size = fitted(shown.size, side)
    if size == shown.size:
        return shown
    if isinstance(shown, Animation):
        frames = shown.frames

        def smaller() -> Iterator[tuple[Picture, float]]:
            for picture, duration in frames:
                yield _resized(picture, size), duration

        return replace(shown, size=size, frames=smaller())
    return _resized(shown, size)


def _resized(picture: Picture, size: tuple[int, int]) -> Picture:
    width, height = size
    pixels = resampling.resized(picture.pixels, height, width)
    alpha = picture.alpha
    if alpha is not None:
        alpha = resampling.resized(alpha[..., None].repeat(3, axis=2), height, width)[..., 0]
    return replace(picture, pixels=pixels, alpha=alpha)


def note(painter: Painter, shown: Shown) -> str | None:
    """What could not be had of a picture, in a sentence."""
    if isinstance(shown, Picture) and shown.source.pages > 1:
        return f"of {shown.source.pages} pages the first was painted; save the others one by one."
    return painter.caveat(shown.size[1], shown.size[0]) or None


def layers(painter: Painter, picture: Shown, look: Look) -> int:
    """How often a picture is painted."""
    width, height = picture.size
    return len(brushwork.layer_sizes(height, width, painter.spec, look))


def settings(painter: Painter | str | Path, look: Look, options: PaintOptions) -> str:
    """A digest of all that decides what a photo becomes. Raises PainterError."""
    known = painter.digest if isinstance(painter, Painter) else files.sha256_of(hub.find(painter))
    parts = [known, asdict(look), options.quality, options.strip]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
