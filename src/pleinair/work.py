"""What of a film outlives a killed process: its pieces, and what the next one depends on."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleinair import files, parsing, reels
from pleinair.clips import Clip
from pleinair.errors import OutputError
from pleinair.ledger import mark_of
from pleinair.reels import Coding, Piece
from pleinair.settings import VIDEO, Look
from pleinair.steadiness import Steadiness

_FORMAT = 1  # of the work folder
ROOM = "make room or choose another place with -o, then run the same again to go on"


class Work:
    """The folder beside the target where pieces wait: `.<target>.pleinair`.

    settings: what the film depends on; a folder of other settings raises OutputError unless
    `force`, which begins anew.
    """

    def __init__(self, target: Path, settings: dict[str, Any], force: bool) -> None:
        self.folder = _folder(target)
        self._target = target
        self.frames = 0
        self.whole = False
        self._count = 0
        self._last: int | None = None
        self._state: dict[str, NDArray[Any]] = {}
        wanted = json.dumps(settings, sort_keys=True)
        record = self.folder / "settings.json"
        with files.writing(target, ROOM):
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
        return [self._piece(number) for number in range(self._count)]

    def _piece(self, number: int) -> Path:
        return self.folder / f"{number:06}.npz"

    def ticks(self, begin: int) -> int:
        """From the film's beginning to the end of its last frame."""
        if not self._count:
            return 0
        times = np.sort(np.concatenate([reels.moments(piece) for piece in self.pieces()]))
        usual = int(np.median(np.diff(times))) if len(times) > 1 else 0
        return int(times[-1]) - begin + usual

    def restore(self, smoothing: float) -> tuple[Steadiness, int | None]:
        """What frames so far have in common, and the tick of the last; None before the first."""
        return Steadiness.restored(smoothing, self._state), self._last

    def save(self, piece: Piece, steady: Steadiness, frames: int, last: int) -> None:
        """Keep a piece and all that the next one depends on. Raises OSError."""
        with files.replacing(self._piece(self._count)) as file:
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

    def place(self, whole: Path) -> None:
        """Put the whole film where it was to be. Raises OSError.

        What it will look like there is noted first: after a kill between this and `remove` the
        next call knows the film as its own, see `is_ours`.
        """
        for error in files.sync_all([whole]):
            if error is not None:
                raise error
        files.write_bytes(_note(self._target), json.dumps(mark_of(whole)).encode())
        os.replace(whole, self._target)

    def remove(self) -> None:
        """Nothing of the folder is needed any more."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _load(self) -> None:
        state = self.folder / "state.npz"
        if not state.exists():
            return
        try:
            kept = parsing.arrays_of(state.read_bytes())
            counts = (int(kept[name].item()) for name in ("count", "frames", "last"))
            self._count, self.frames, self._last = counts
            if self._count < 1 or not self._piece(self._count - 1).exists():
                raise ValueError("its pieces are not there")
            self._state = {
                name.removeprefix("steady-"): values
                for name, values in kept.items()
                if name.startswith("steady-")
            }
        except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
            raise OutputError(
                f"{state} is damaged ({error}); remove {self.folder} and begin anew."
            ) from error
        self.whole = (self.folder / "painted").exists()


def is_ours(target: Path) -> bool:
    """Whether a film is there that a killed call had put in its place, just before its end."""
    try:
        noted = json.loads(_note(target).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    found = mark_of(target)
    return found is not None and noted == list(found)


def _note(target: Path) -> Path:
    return _folder(target) / "placed"


def _folder(target: Path) -> Path:
    return target.with_name(f".{target.name}.pleinair")


def piece_length(clip: Clip) -> int:
    """Frames of a piece: by the clip alone, so that a run that was cut makes the same pieces."""
    fitting = VIDEO.segment_pixels // (clip.width * clip.height)
    return min(VIDEO.segment_frames, max(VIDEO.least_segment_frames, fitting))


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
        before = parsing.object_of(record.read_bytes())
        return ", ".join(
            f"{name}: {before.get(name)}, now {value}"
            for name, value in settings.items()
            if before.get(name) != value
        )
    except (OSError, ValueError):
        return "its settings cannot be read"


def settings_of(
    painter: object,
    clip: Clip,
    coding: Coding,
    look: Look,
    begin: int,
    finish: int | None,
    smoothing: float,
) -> dict[str, Any]:
    """All that pixels of the film depend on, as JSON has it."""
    file = clip.path.stat()
    found = {
        "format": _FORMAT,
        "clip": clip.path.name,
        "bytes": file.st_size,
        "modified": file.st_mtime_ns,
        "painter": str(getattr(painter, "digest", type(painter).__name__))[:16],
        **{f"look.{name}": value for name, value in asdict(look).items()},
        "begin": begin,
        "end": finish,
        "smoothing": smoothing,
        "coding": [coding.codec, coding.pixel_format, *map(list, coding.options)],
        "piece": piece_length(clip),
    }
    return dict(json.loads(json.dumps(found)))
