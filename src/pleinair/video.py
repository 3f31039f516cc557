"""A clip to a painted film: frames in, frames out, in pieces that outlive a killed process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pleinair import clips, files, reels
from pleinair.brushwork import Adjust
from pleinair.clips import Clip, Frame, Pixels, Warn
from pleinair.errors import OutputError, UsageError, VideoError
from pleinair.reels import Coding, Piece
from pleinair.settings import PAINT, VIDEO, Look
from pleinair.work import ROOM, Work, is_ours, piece_length, settings_of

Told = Callable[[int, int], None]  # frames done, of about how many


class Brush(Protocol):
    """What paints frames: a Painter."""

    def paint_pixels(self, pixels: Any, look: Look, adjust: Adjust | None = None) -> Any:
        """uint8 or uint16 (H, W, 3) to the same."""
        ...


@dataclass(frozen=True)
class Film:
    """What was painted. seconds: its length. notes: what was to be said, a sentence each."""

    path: Path
    frames: int
    seconds: float
    width: int
    height: int
    resumed: int  # frames that an earlier call had painted
    notes: tuple[str, ...] = ()


def paint_video(
    painter: Brush,
    source: str | Path,
    target: str | Path | None = None,
    *,
    look: Look | None = None,
    start: float | str | None = None,
    end: float | str | None = None,
    smoothing: float = VIDEO.smoothing,
    quality: int | None = None,
    force: bool = False,
    told: Told | None = None,
    warn: Warn | None = None,
) -> Film:
    """Paint every frame of a clip, its timing, sound, subtitles and colours kept.

    source: any file that FFmpeg reads. target: .mp4, .m4v, .mov, .mkv or .webm; by default
    `<name>.monet.mp4` beside the clip. start, end: seconds, or "h:m:s", of the first frame and
    the first no longer painted. smoothing: seconds over which what stands still is averaged, so
    that strokes do not flicker; 0 paints each frame on its own. quality: CRF, 0 is best.
    told: called with frames done and about how many there are. warn: called with a sentence on
    what could not be kept; the film's notes hold them as well.

    Frames are saved in pieces beside the target, in `.<target>.pleinair`: the same call goes on
    after the last whole one. The target appears when it is whole.
    Raises VideoError for what is no clip, OutputError where the target exists and not `force`.
    """
    began = Path(source)
    aim = Path(target) if target is not None else default_film(began)
    notes: list[str] = []

    def note(sentence: str) -> None:
        if sentence not in notes:
            notes.append(sentence)
            if warn is not None:
                warn(sentence)

    look = look or Look()
    first, last = _span(start, end)
    if not 0 <= smoothing <= VIDEO.most_smoothing:
        raise UsageError(
            f"smoothing {smoothing:g} found; give 0 to {VIDEO.most_smoothing:g} seconds."
        )
    check_film(aim, began, force)
    clip = clips.probe(began)
    coding = reels.coding(clip, aim, quality)
    if (coding.width, coding.height) != (clip.width, clip.height):
        note(
            f"{clip.width}x{clip.height} becomes {coding.width}x{coding.height}: "
            "films of this kind have even sides."
        )
    if clip.interlaced:
        note(
            f"{began} is interlaced and is painted as it is; for clean edges make it progressive "
            "first (ffmpeg with its filter bwdif)."
        )
    begin, finish = _ticks(first, clip) or 0, _ticks(last, clip)
    settings = settings_of(painter, clip, coding, look, begin, finish, smoothing)
    work = Work(aim, settings, force)
    resumed = work.frames
    with files.writing(aim, ROOM):
        _paint(painter, clip, coding, work, look, begin, finish, smoothing, told, note)
        if not work.pieces():
            work.remove()
            raise VideoError(f"{clip.path} has no frame in that time; look at --start and --end.")
        whole = work.folder / f"film{aim.suffix}"
        reels.join(clip, coding, work.pieces(), whole, begin, finish, note)
        work.place(whole)
        film = Film(
            path=aim,
            frames=work.frames,
            seconds=float(work.ticks(begin) * clip.time_base),
            width=coding.width,
            height=coding.height,
            resumed=resumed,
            notes=tuple(notes),
        )
        work.remove()
    return film


def _paint(
    painter: Brush,
    clip: Clip,
    coding: Coding,
    work: Work,
    look: Look,
    begin: int,
    finish: int | None,
    smoothing: float,
    told: Told | None,
    note: Warn,
) -> None:
    """Paint what the work folder still lacks, and save it piece by piece."""
    if work.whole:
        return
    steady, last = work.restore(smoothing)
    total = max(_expected(clip, begin, finish), work.frames)
    going_on = begin if last is None else last + 1
    following = clips.frames(clip, going_on, finish, note)
    shown: Pixels | None = None
    painted: Pixels | None = None
    done = work.frames
    for piece_frames in _pieces(following, piece_length(clip)):
        piece = Piece(coding)
        count = 0
        for frame in piece_frames:
            ticks = 0 if last is None else frame.pts - last
            calm = steady.calm(frame.pixels, float(ticks * clip.time_base))
            if painted is None or shown is None or not np.array_equal(calm, shown):
                painted = painter.paint_pixels(calm, look, steady.adjust)
                shown = calm
            piece.add(steady.settle(painted), frame.pts)
            last = frame.pts
            count += 1
            done += 1
            if told is not None:
                told(done, max(total, done))
        # A run that goes on from here has not painted the frame before: neither does this one.
        shown = painted = None
        if last is not None:
            work.save(piece, steady, count, last)
    work.finish()


def _pieces(following: Iterator[Frame], length: int) -> Iterator[Iterator[Frame]]:
    """Frames in stretches of a fixed length, so that pieces do not depend on when a run was cut."""
    for first in following:

        def stretch(first: Frame = first) -> Iterator[Frame]:
            yield first
            for _ in range(length - 1):
                frame = next(following, None)
                if frame is None:
                    return
                yield frame

        yield stretch()


def _expected(clip: Clip, begin: int, finish: int | None) -> int:
    """About how many frames there are between two ticks."""
    first = begin * clip.time_base
    last = Fraction(clip.seconds) if finish is None else finish * clip.time_base
    rate = clip.rate
    if clip.seconds:
        last = min(last, Fraction(clip.seconds))
        rate = Fraction(clip.frames / clip.seconds) if clip.frames else rate
    return max(1, round((last - first) * rate))


# --- places and times -----------------------------------------------------------------------


def default_film(clip: Path, painter: str = PAINT.painter) -> Path:
    """`<name>.<painter>.mp4` beside the clip; .mkv, .mov and .webm stay what they are."""
    kept = (".mkv", ".mov", ".webm", ".m4v")
    suffix = clip.suffix.lower() if clip.suffix.lower() in kept else ".mp4"
    return clip.parent / f"{clip.stem or 'clip'}.{painter}{suffix}"


def check_film(target: Path, source: Path, force: bool) -> None:
    """Raise OutputError where writing `target` would lose something or cannot work."""
    if target.suffix.lower() not in reels.CONTAINERS:
        raise OutputError(
            f"{target}: unknown film type {target.suffix!r}; use .mp4, .mov, .mkv or .webm."
        )
    files.check_free(target, force=True)
    if target.exists() and source.exists() and target.samefile(source):
        raise OutputError(f"{target} is the clip itself; name another file with -o.")
    files.check_free(target, force or is_ours(target))


def seconds_of(moment: float | str, name: str = "time") -> Fraction:
    """Seconds of a number, or of "s", "m:s" or "h:m:s". Raises UsageError."""
    parts = str(moment).strip().split(":")
    try:
        values = [Fraction(part) for part in parts]
    except (ValueError, ZeroDivisionError):
        values = []
    if not 1 <= len(values) <= 3 or any(value < 0 for value in values):
        raise UsageError(f"{name} {moment!r} found; give seconds, or h:m:s as in 1:02:30.5.")
    total = Fraction(0)
    for value in values:
        total = total * 60 + value
    return total


def _span(
    start: float | str | None, end: float | str | None
) -> tuple[Fraction | None, Fraction | None]:
    first = None if start is None else seconds_of(start, "start")
    last = None if end is None else seconds_of(end, "end")
    if last is not None and last <= (first or 0):
        raise UsageError(f"end {end} is not after start {start or 0}; give a later end.")
    return first, last


def _ticks(seconds: Fraction | None, clip: Clip) -> int | None:
    """The first tick at or after a moment."""
    return None if seconds is None else -int(-(seconds / clip.time_base) // 1)
