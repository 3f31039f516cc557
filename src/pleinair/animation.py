"""Animations: GIF, PNG, WebP and AVIF, read and written a frame at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pleinair import gif, kinds, metadata, png, reading, writing
from pleinair.errors import ImageError, OutputError, PleinairError
from pleinair.pictures import Picture, in_eight_bits, to_array
from pleinair.settings import PAINT

Frame = tuple[Picture, float]  # what is shown, and for how many milliseconds
KINDS = ("GIF", "PNG", "WEBP", "AVIF")


@dataclass(frozen=True)
class Animation:
    """Frames in the order in which they are shown, decoded as they are asked for.

    format: Pillow's name of the file's format. size: (width, height) in pixels. loop: how often it
    plays, 0: for ever. count: of the frames. frames: once through; raises ImageError where the
    file turns out to be damaged.
    """

    format: str
    size: tuple[int, int]
    loop: int
    count: int
    frames: Iterator[Frame]


# --- reading --------------------------------------------------------------------------------


def read_any(source: Path | bytes, name: str = "") -> Picture | Animation:
    """Read a picture file, or begin to read an animation. Raises ImageError as `read` does.

    `name` stands for bytes in what is said of them.
    """
    name = reading.name_of(source, name)
    with reading.told(name), reading.opened_file(source) as file:
        if kinds.kind_of(file.read(64)) not in KINDS:
            return reading.read(source, name)
        image: Any = reading.opened_image(file)
        reading.check_size(image, name)
        count = int(getattr(image, "n_frames", 1))
        # The picture that an APNG has for those who know no APNG is none of its frames.
        first = int(bool(image.info.get("default_image")))
        if count - first < 2:
            return reading.read(source, name)
        _check_length(image, count, name)
        loop, kind = _loop(image), str(image.format)
        lossless = kind == "WEBP" and reading.is_lossless_webp(file)
        width, height = image.size
        size = (height, width) if metadata.orientation_of(image) >= 5 else (width, height)
    frames = _frames(source, name, size, range(first, count), lossless)
    return Animation(kind, size, loop, count - first, frames)


def _check_length(image: Image.Image, count: int, name: str) -> None:
    _check_frame(image, name)
    pixels = count * image.width * image.height
    if count > PAINT.max_frames or pixels > PAINT.max_film_pixels:
        raise ImageError(
            f"{name} has {count:,} frames of {image.width}x{image.height} pixels, more than "
            f"{PAINT.max_frames:,} or than {PAINT.max_film_pixels:,} pixels; make it shorter first."
        )


def _check_frame(image: Image.Image, name: str) -> None:
    if image.width * image.height > PAINT.max_frame_pixels:
        raise ImageError(
            f"{name} has frames of {image.width}x{image.height} pixels, more than "
            f"{PAINT.max_frame_pixels:,}; make them smaller first."
        )


def _cropped(picture: Picture, size: tuple[int, int]) -> Picture:
    if picture.size == size:
        return picture
    part = slice(0, size[1]), slice(0, size[0])
    alpha = None if picture.alpha is None else picture.alpha[part]
    picture = replace(picture, pixels=picture.pixels[part], alpha=alpha)
    if picture.size != size:
        raise ValueError(f"a frame of {picture.size[0]}x{picture.size[1]} pixels")
    return picture


def _loop(image: Image.Image) -> int:
    loop = image.info.get("loop")
    if image.format == "GIF":  # which says how often it plays again
        return 1 if loop is None else loop + 1 if loop else 0
    return int(loop or 0)


def _frames(
    source: Path | bytes, name: str, size: tuple[int, int], numbers: range, lossless: bool
) -> Iterator[Frame]:
    with reading.told(name):
        file = reading.opened_file(source)
    with file:
        image: Image.Image | None = None
        for number in numbers:
            with reading.told(name):
                image = image or reading.opened_image(file)
                image.seek(number)
                _check_frame(image, name)
                image.load()
                picture = reading.from_loaded(image)
                # A GIF's frame may reach over its canvas, and Pillow makes that larger.
                picture = _cropped(picture, size)
                duration = max(0.0, float(image.info.get("duration") or 0))
            yield replace(picture, source=replace(picture.source, lossless=lossless)), duration


# --- writing --------------------------------------------------------------------------------


def write_any(
    shown: Picture | Animation, path: Path, quality: int | None = None, strip: bool = False
) -> None:
    """Write a picture or an animation, in one step. Raises OutputError, or what frames raise."""
    writing.put(encode_for(shown, path, quality, strip), path)


def encode_for(
    shown: Picture | Animation, path: Path, quality: int | None = None, strip: bool = False
) -> bytes:
    """The bytes of a file of this name. Raises OutputError, or what frames raise."""
    kind = writing.kind_for(path)
    if isinstance(shown, Animation) and kind not in KINDS:
        raise OutputError(
            f"{path} holds one picture, not {shown.count} frames; name a .gif, .png, .webp or "
            ".avif file."
        )
    return encode_any(shown, kind, quality, strip)


def encode_any(
    shown: Picture | Animation, kind: str, quality: int | None = None, strip: bool = False
) -> bytes:
    """The bytes of a picture or an animation as a file of Pillow's format `kind`.

    What the first frame says beside its pixels is said of all. GIF has hundredths of a second and
    alpha of all or nothing; the others keep times and alpha. Raises OutputError, or what frames
    raise.
    """
    if isinstance(shown, Picture):
        return writing.encode(shown, kind, quality, strip)
    if kind not in KINDS:
        raise OutputError(f"{kind} holds one picture, not {shown.count} frames.")
    buffer = io.BytesIO()
    frames = _checked(shown)
    try:
        first = next(frames)
        picture = first[0]
        if strip:
            picture = replace(picture, exif=None, notes=metadata.Notes())
        if kind == "GIF":
            _write_gif(buffer, shown, picture, first, frames)
        elif kind == "PNG":
            _write_png(buffer, shown, picture, first, frames)
        else:
            _write_film(buffer, shown, picture, first, frames, kind, quality)
    except (PleinairError, KeyboardInterrupt):
        raise
    except Exception as error:  # writers have no common root of what they raise
        reason = " ".join(str(error).split())[:120]
        size = f"{shown.count} frames of {shown.size[0]}x{shown.size[1]}"
        raise OutputError(f"{size} pixels do not fit into a {kind} file ({reason}).") from error
    return buffer.getvalue()


def _checked(shown: Animation) -> Iterator[Frame]:
    found = 0
    for picture, duration in shown.frames:
        if picture.size != shown.size:
            raise OutputError(
                f"frame {found + 1} has {picture.size[0]}x{picture.size[1]} pixels; give all "
                f"frames the {shown.size[0]}x{shown.size[1]} of the animation."
            )
        found += 1
        yield in_eight_bits(picture), duration
    if found == 0:
        raise OutputError("an animation of no frames; give at least one.")


def _write_gif(
    file: BinaryIO, shown: Animation, said: Picture, first: Frame, frames: Iterator[Frame]
) -> None:
    encoder = gif.Encoder(file, shown.size, shown.loop, said.notes.comment)
    for picture, duration in _all(first, frames):
        encoder.add(picture.pixels, picture.alpha, duration)
    encoder.close()


def _all(first: Frame, frames: Iterator[Frame]) -> Iterator[Frame]:
    yield first
    yield from frames


def _write_png(
    file: BinaryIO, shown: Animation, said: Picture, first: Frame, frames: Iterator[Frame]
) -> None:
    options = _said(said, "PNG")
    husk = writing.saved(Image.new("L", (1, 1)), "PNG", options)
    encoder = png.Encoder(file, shown.size, shown.loop, husk)
    for picture, duration in _all(first, frames):
        encoder.add(_rgba(picture), duration)
    encoder.close()


def _said(picture: Picture, kind: str) -> dict[str, Any]:
    profile = metadata.srgb() if picture.source.profile else None
    return metadata.options(kind, picture.exif, picture.notes, profile)


def _rgba(picture: Picture) -> NDArray[np.uint8]:
    whole = to_array(picture)
    if whole.shape[2] == 4:
        return whole
    return np.dstack([whole, np.full(whole.shape[:2], 255, np.uint8)])


def _write_film(
    file: BinaryIO,
    shown: Animation,
    said: Picture,
    first: Frame,
    frames: Iterator[Frame],
    kind: str,
    quality: int | None,
) -> None:
    """WebP and AVIF, whose writers in Pillow ask an image of many frames for one after another."""
    kinds.ready(kind)
    film: Any = Image.fromarray(_rgba(first[0]))
    passed, at = first[1], 0
    durations = [round(passed)]

    def seek(number: int) -> None:
        nonlocal at, passed
        while at < number:
            frame = next(frames, None)
            if frame is None and number < shown.count:
                raise OutputError(f"{at + 1} frames came of an animation of {shown.count}.")
            if frame is None:
                raise EOFError
            film.paste(Image.fromarray(_rgba(frame[0])))
            durations.append(round(passed + frame[1]) - round(passed))
            passed += frame[1]
            at += 1

    film.n_frames, film.seek, film.is_animated = shown.count, seek, True
    options = _said(said, kind) | writing.lossy_options(said, kind, quality)
    options.pop("exact", None)  # of single pictures only
    if kind == "WEBP":
        options["loop"] = shown.loop
    film.save(file, kind, save_all=True, duration=durations, **options)
    if next(frames, None) is not None:
        raise OutputError(f"more frames came than the {shown.count} of the animation.")
