"""A clip to a painted film: frames in, frames out, in pieces that outlive a killed process."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pleinair import clips, files, reels
from pleinair.clips import Clip, Frame, Pixels, Warn
from pleinair.config import PAINT, VIDEO, Look
from pleinair.errors import OutputError, UsageError, VideoError
from pleinair.reels import Coding, Piece
from pleinair.steadiness import Steadiness

Adjust = Callable[[int, NDArray[np.float32]], NDArray[np.float32]]
Told = Callable[[int, int], None]  # frames done, of about how many

_FORMAT = 1  # of the work folder


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
    begin, finish = _ticks(first, clip) or 0, _ticks(last, clip)
    settings = _settings(painter, clip, coding, look, begin, finish, smoothing)
    work = Work(aim, settings, force)
    resumed = work.frames
    with _written(aim):
        _paint(painter, clip, coding, work, look, begin, finish, smoothing, told, note)
        if not work.pieces():
            work.remove()
            raise VideoError(f"{clip.path} has no frame in that time; look at --start and --end.")
        whole = work.folder / f"film{aim.suffix}"
        reels.join(clip, coding, work.pieces(), whole, begin, finish, note)
        _put(whole, aim)
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
    for piece_frames in _pieces(following):
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
        work.save(piece, steady, count, last)
    work.finish()


def _pieces(following: Iterator[Frame]) -> Iterator[Iterator[Frame]]:
    """Frames in stretches of a fixed length, so that pieces do not depend on when a run was cut."""
    for first in following:

        def stretch(first: Frame = first) -> Iterator[Frame]:
            yield first
            for _ in range(VIDEO.segment_frames - 1):
                frame = next(following, None)
                if frame is None:
                    return
                yield frame

        yield stretch()


def _expected(clip: Clip, begin: int, finish: int | None) -> int:
    """About how many frames there are between two ticks."""
    first = begin * clip.time_base
    last = Fraction(clip.seconds) if finish is None else finish * clip.time_base
    if clip.seconds:
        last = min(last, Fraction(clip.seconds))
    return max(1, round((last - first) * clip.rate))


# --- what outlives a killed process ---------------------------------------------------------


class Work:
    """The folder beside the target where pieces wait: `.<target>.pleinair`.

    settings: what the film depends on; a folder of other settings raises OutputError unless
    `force`, which begins anew.
    """

    def __init__(self, target: Path, settings: dict[str, Any], force: bool) -> None:
        self.folder = target.with_name(f".{target.name}.pleinair")
        self._target = target
        self.frames = 0
        self.whole = False
        self._count = 0
        self._last: int | None = None
        self._state: dict[str, NDArray[Any]] = {}
        wanted = json.dumps(settings, sort_keys=True)
        record = self.folder / "settings.json"
        with _written(target):
            if force and self.folder.exists() and not _same(record, wanted):
                shutil.rmtree(self.folder)
            if not self.folder.exists():
                self.folder.mkdir(parents=True)
                files.write_bytes(record, wanted.encode())
            elif not record.exists() and not any(self.folder.glob("*.npz")):
                files.write_bytes(record, wanted.encode())  # killed before it was begun
        if not _same(record, wanted):
            raise OutputError(
                f"{self.folder} holds a film begun with other settings or from another clip "
                f"({_differing(record, settings)}); go on with those, or add --force to begin anew."
            )
        self._load()

    def pieces(self) -> list[Path]:
        """Whole pieces in order."""
        return [self.folder / f"{number:06}.npz" for number in range(self._count)]

    def ticks(self, begin: int) -> int:
        """From the film's beginning to the end of its last frame."""
        if not self._count:
            return 0
        times = np.sort(np.concatenate([np.load(piece)["pts"] for piece in self.pieces()]))
        usual = int(np.median(np.diff(times))) if len(times) > 1 else 0
        return int(times[-1]) - begin + usual

    def restore(self, smoothing: float) -> tuple[Steadiness, int | None]:
        """What frames so far have in common, and the tick of the last; None before the first."""
        return Steadiness.restored(smoothing, self._state), self._last

    def save(self, piece: Piece, steady: Steadiness, frames: int, last: int) -> None:
        """Keep a piece and all that the next one depends on. Raises OSError."""
        with files.replacing(self.folder / f"{self._count:06}.npz") as file:
            file.write(_packed(piece.close()))
        self._count += 1
        self.frames += frames
        self._last = last
        counted = {"count": self._count, "frames": self.frames, "last": last}
        state = {f"steady-{name}": values for name, values in steady.state().items()}
        # A piece counts once this is there: whatever was saved beside it is painted again.
        with files.replacing(self.folder / "state.npz") as file:
            file.write(_packed(state | {n: np.array(v, np.int64) for n, v in counted.items()}))

    def finish(self) -> None:
        """Every frame is painted: only joining is left."""
        self.whole = True
        files.write_bytes(self.folder / "painted", b"")

    def remove(self) -> None:
        """Nothing of the folder is needed any more."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _load(self) -> None:
        state = self.folder / "state.npz"
        if not state.exists():
            return
        try:
            with np.load(state, allow_pickle=False) as kept:
                self._count, self.frames = int(kept["count"]), int(kept["frames"])
                self._last = int(kept["last"])
                self._state = {
                    name.removeprefix("steady-"): kept[name]
                    for name in kept.files
                    if name.startswith("steady-")
                }
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise OutputError(
                f"{state} is damaged ({error}); remove {self.folder} and begin anew."
            ) from error
        self.whole = (self.folder / "painted").exists()


def _packed(arrays: dict[str, NDArray[Any]]) -> bytes:
    buffer = BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _same(record: Path, wanted: str) -> bool:
    try:
        return record.read_text(encoding="utf-8") == wanted
    except (OSError, UnicodeDecodeError):
        return False


def _differing(record: Path, settings: dict[str, Any]) -> str:
    try:
        before = json.loads(record.read_text(encoding="utf-8"))
        return ", ".join(
            f"{name}: {before.get(name)}, now {value}"
            for name, value in settings.items()
            if before.get(name) != value
        )
    except (OSError, ValueError, AttributeError):
        return "its settings cannot be read"


def _settings(
    painter: Brush,
    clip: Clip,
    coding: Coding,
    look: Look,
    begin: int,
    finish: int | None,
    smoothing: float,
) -> dict[str, Any]:
    """All that pixels of the film depend on, as JSON has it."""
    file = clip.path.stat()
    known = {
        "card": getattr(painter, "card", None),
        "spec": repr(getattr(painter, "spec", type(painter).__name__)),
    }
    digest = hashlib.sha256(json.dumps(known, sort_keys=True, default=repr).encode()).hexdigest()
    settings = {
        "format": _FORMAT,
        "clip": clip.path.name,
        "bytes": file.st_size,
        "modified": file.st_mtime_ns,
        "painter": digest[:16],
        **{f"look.{name}": value for name, value in asdict(look).items()},
        "begin": begin,
        "end": finish,
        "smoothing": smoothing,
        "coding": [coding.codec, coding.pixel_format, *map(list, coding.options)],
        "piece": VIDEO.segment_frames,
    }
    return dict(json.loads(json.dumps(settings)))


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
    files.check_free(target, force)


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


@contextlib.contextmanager
def _written(target: Path) -> Iterator[None]:
    """Turn a full disk and its like into one sentence."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{target} cannot be written ({error.strerror or error}); make room or choose "
            "another place with -o, then run the same again to go on."
        ) from error


def _put(whole: Path, target: Path) -> None:
    with whole.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(whole, target)


def rate(done: int, since: float) -> float:
    """Frames a second since a moment of `time.monotonic`."""
    return done / max(time.monotonic() - since, 1e-6)
