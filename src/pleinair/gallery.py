"""Sets of pictures as networks see them, looked at once and kept.

Every picture, photo, painting or result, becomes a square of 256 pixels first: the shorter side
resized, the middle taken. Painters paint those squares.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pleinair import __version__, files, hub, images, metrics, sources
from pleinair.config import EVALUATE
from pleinair.errors import DataError, ImageError
from pleinair.images import Pixels
from pleinair.painter import Painter

PROTOCOL = 1  # raise it when squares, resizing or features change
Arrays = dict[str, NDArray[Any]]
Told = Callable[[str, int, int], None]  # what, how many done, of how many
Warn = Callable[[str], None]


class Eye(Protocol):
    """A frozen network that scores look through."""

    @property
    def label(self) -> str:
        """As it stands behind a score's name: KID-Lite0."""

    @property
    def sha256(self) -> str:
        """Of its weights."""

    @property
    def side(self) -> int:
        """Pixels to which it resizes pictures."""

    @property
    def features(self) -> Callable[[list[Pixels]], NDArray[np.float32]]:
        """Pictures to rows."""


# --- sets of pictures -----------------------------------------------------------------------


class Squares:
    """The pictures of a place as squares. Raises DataError where it holds none."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.source = sources.open_source(place)
        self.names = self.source.names

    def digest(self) -> str:
        """SHA-256 of all their files, in order."""
        whole = hashlib.sha256()
        for index in range(len(self.names)):
            encoded = self.source.read(index)
            try:
                data = encoded.read_bytes() if isinstance(encoded, Path) else encoded
            except OSError as error:
                name = f"{self.names[index]} of {self.place}"
                raise DataError(f"{name} cannot be read ({error.strerror}).") from error
            whole.update(hashlib.sha256(data).digest())
        return whole.hexdigest()

    def get(self, index: int) -> Pixels:
        """The square of a number. Raises ImageError where the picture cannot be read."""
        encoded = self.source.read(index)
        known = "" if isinstance(encoded, Path) else f"{self.place}: {self.names[index]}"
        return images.centre_square(images.read_small(encoded, EVALUATE.side, known), EVALUATE.side)


# --- what is seen of them, and kept -----------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """A set as networks saw it: rows of features by label, and what was measured beside them."""

    names: list[str]  # of the pictures that could be read
    features: dict[str, NDArray[np.float32]]
    content: Arrays = field(default_factory=dict)  # by measure, a number for each picture


class Gallery:
    """Looks at sets of pictures through some eyes and keeps what it saw.

    cache: a folder, made where it is missing; None keeps nothing. Two processes may share it:
    files appear whole, and the same question has the same answer.
    """

    def __init__(self, eyes: Sequence[Eye], cache: Path | None, told: Told, warn: Warn) -> None:
        self.eyes = eyes
        self.cache = cache
        self.told = told
        self.warn = warn

    def pictures(self, squares: Squares) -> Seen:
        """A set as it is."""
        return self._seen(squares, squares.digest(), "", None)

    def painted(self, squares: Squares, name_or_path: str | Path) -> Seen:
        """What a painter makes of a set, beside what it did to each photo."""
        path = hub.find(name_or_path)
        painter = Painter.load(path)
        of = hashlib.sha256(path.read_bytes()).hexdigest()
        return self._seen(squares, squares.digest(), f"{of} {__version__}", painter)

    def _seen(self, squares: Squares, digest: str, by: str, painter: Painter | None) -> Seen:
        keys = {
            eye.label: _key(digest, by, eye.label, eye.sha256, str(eye.side)) for eye in self.eyes
        }
        kept = {label: self._kept(key) for label, key in keys.items()}
        missing = [eye for eye in self.eyes if kept[eye.label] is None]
        if missing:
            made = self._look(squares, missing, painter)
            for eye in missing:
                kept[eye.label] = made[eye.label]
                self._keep(keys[eye.label], made[eye.label])
        known = {label: arrays for label, arrays in kept.items() if arrays is not None}
        first = next(iter(known.values()))
        numbers = first["numbers"].tolist()
        if not numbers:
            raise DataError(f"no file in {squares.place} can be read as a picture.")
        if len(numbers) < len(squares.names):
            left_out = len(squares.names) - len(numbers)
            self.warn(f"{squares.place}: {left_out} unreadable pictures are left out.")
        return Seen(
            [squares.names[number] for number in numbers],
            {label: arrays["features"] for label, arrays in known.items()},
            {name: first[name] for name in first if name not in ("features", "numbers")},
        )

    def _look(
        self, squares: Squares, eyes: Sequence[Eye], painter: Painter | None
    ) -> dict[str, Arrays]:
        rows: dict[str, list[NDArray[np.float32]]] = {eye.label: [] for eye in eyes}
        content: dict[str, list[float]] = {}
        numbers = []
        what = f"{'painting' if painter else 'looking at'} {squares.place}"
        self.told(what, 0, len(squares.names))
        for number in range(len(squares.names)):
            try:
                photo = squares.get(number)
            except ImageError as error:
                self.warn(f"left out: {error}")
                continue
            shown = photo if painter is None else painter.paint(photo)
            for eye in eyes:
                rows[eye.label].append(eye.features([shown])[0])
            if painter is not None:
                for name, value in metrics.signs(photo, shown).items():
                    content.setdefault(name, []).append(value)
            numbers.append(number)
            self.told(what, number + 1, len(squares.names))
        beside = {name: np.array(values) for name, values in content.items()}
        return {
            eye.label: {
                "features": np.array(rows[eye.label], np.float32),
                "numbers": np.array(numbers, np.int64),
                **beside,
            }
            for eye in eyes
        }

    def _kept(self, key: str) -> Arrays | None:
        """What was kept; None where nothing was, or nothing whole."""
        if self.cache is None:
            return None
        path = self.cache / f"{key}.npz"
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            count = len(arrays["numbers"])
            whole = all(len(a) == count and np.isfinite(a).all() for a in arrays.values())
        except FileNotFoundError:
            return None
        except Exception:  # whatever a damaged file makes a parser do
            whole = False
        if whole and arrays["features"].ndim == 2:
            return arrays
        self.warn(f"{path} is damaged and is made again.")
        return None

    def _keep(self, key: str, arrays: Arrays) -> None:
        if self.cache is None:
            return
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            files.write_bytes(self.cache / f"{key}.npz", buffer.getvalue())
        except OSError as error:
            self.warn(f"{self.cache} keeps nothing ({error.strerror}).")


def paired(photos: Squares, results: Squares) -> Arrays:
    """`metrics.signs` of results that were painted elsewhere, by the names of their photos.

    Empty where a result has no photo of its name.
    """
    by_stem = {PurePosixPath(name).stem: index for index, name in enumerate(photos.names)}
    stems = [PurePosixPath(name).stem for name in results.names]
    if len(set(stems)) != len(stems) or not all(stem in by_stem for stem in stems):
        return {}
    found: dict[str, list[float]] = {}
    for number, stem in enumerate(stems):
        try:
            photo, painting = photos.get(by_stem[stem]), results.get(number)
        except ImageError:
            continue  # left out of the scores, and told there
        for name, value in metrics.signs(photo, painting).items():
            found.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in found.items()}


def _key(*parts: str) -> str:
    text = json.dumps([PROTOCOL, EVALUATE.side, *parts])
    return hashlib.sha256(text.encode()).hexdigest()
