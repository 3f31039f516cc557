"""Sets of pictures as networks see them, looked at once and kept.

Every picture, photo, painting or result, becomes a square of 256 pixels first: the shorter side
resized, the middle taken. Painters paint those squares.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pleinair import __version__, appearance, files, hub, images, metrics, parsing, sources
from pleinair.errors import DataError, ImageError, lacks_memory
from pleinair.images import Pixels
from pleinair.metrics import Maps
from pleinair.painter import Painter
from pleinair.settings import EVALUATE

PROTOCOL = 3  # raise it when squares, resizing, features or measures change
Arrays = dict[str, NDArray[Any]]
Told = Callable[[str, int, int], None]  # what, how many done, of how many
Warn = Callable[[str], None]
Shown = tuple[Pixels | None, Pixels]  # a photo, where there is one, and what is shown of it

_PICTURES = "pictures"  # SHA-256 of each picture's file, beside all that is kept of it
_APPEARANCE = ("colours", "directions", "coherence")


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
    def resize(self) -> str:
        """How it resizes them."""

    @property
    def look(self) -> Callable[[list[Pixels]], tuple[NDArray[np.float32], Maps]]:
        """Pictures to rows of features, and to maps by stride."""


# --- sets of pictures -----------------------------------------------------------------------


class Squares:
    """The pictures of a place as squares. Raises DataError where it holds none."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.source = sources.open_source(place)
        self.names = self.source.names

    @cached_property
    def hashes(self) -> list[str]:
        """SHA-256 of each file. Raises DataError where one cannot be read."""
        return [hashlib.sha256(self._bytes(index)).hexdigest() for index in range(len(self.names))]

    @property
    def digest(self) -> str:
        """SHA-256 of the set, whatever its pictures are called."""
        return hashlib.sha256("".join(sorted(self.hashes)).encode()).hexdigest()

    def get(self, index: int) -> Pixels:
        """The square of a number. Raises ImageError where the picture cannot be read."""
        encoded = self.source.read(index)
        known = "" if isinstance(encoded, Path) else f"{self.place}: {self.names[index]}"
        return images.read_square(encoded, EVALUATE.side, known)

    @cached_property
    def by_stem(self) -> dict[str, int] | None:
        """Numbers by name without folder and suffix; None where two share one."""
        found = {PurePosixPath(name).stem: index for index, name in enumerate(self.names)}
        return found if len(found) == len(self.names) else None

    def _bytes(self, index: int) -> bytes:
        encoded = self.source.read(index)
        try:
            return encoded.read_bytes() if isinstance(encoded, Path) else encoded
        except OSError as error:
            name = f"{self.names[index]} of {self.place}"
            raise DataError(f"{name} cannot be read ({error.strerror}).") from error


# --- what is seen of them, and kept -----------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """A set as networks saw it, in the order of its files' SHA-256, so that names say nothing.

    features: rows by label. content: by measure, a number for each picture, of what became of
    photos; empty where there are none. appearance: what `pleinair.appearance` says of each.
    """

    names: list[str]  # of the pictures that could be read
    numbers: list[int]  # by which `Squares.get` gives them
    features: dict[str, NDArray[np.float32]]
    content: Arrays
    appearance: Arrays


class Gallery:
    """Looks at sets of pictures through some eyes and keeps what it saw.

    eyes: the first also tells how much of a scene is left. cache: a folder, made where it is
    missing; None keeps nothing. Two processes may share it: files appear whole, and the same
    question has the same answer. workers: threads that look at once, each on a core of its own if
    the eyes keep to one.
    """

    def __init__(
        self,
        eyes: Sequence[Eye],
        cache: Path | None,
        told: Told,
        warn: Warn,
        workers: int = 1,
    ) -> None:
        self.eyes = eyes
        self.workers = workers
        self.cache = cache
        self.told = told
        self.warn = warn

    def pictures(self, squares: Squares) -> Seen:
        """A set as it is."""
        return self._seen(squares, "", lambda index: (None, squares.get(index)))

    def painted(self, photos: Squares, name_or_path: str | Path) -> Seen:
        """What a painter makes of a set, and what became of each photo."""
        path = hub.find(name_or_path)
        painter = Painter.load(path, threads=1 if self.workers > 1 else 0)

        def show(index: int) -> Shown:
            photo = photos.get(index)
            return photo, painter.paint(photo)

        of = files.sha256_of(path)
        return self._seen(photos, f"{of} {__version__}", show, f"{Path(name_or_path).stem} paints")

    def results(self, results: Squares, photos: Squares) -> Seen:
        """What something else painted, beside the photos of the same names where all have one."""
        partners, stems = photos.by_stem, results.by_stem
        if partners is None or stems is None or not stems.keys() <= partners.keys():
            self.warn(
                f"{results.place}: not every result has a photo of its name; what became of the "
                "photos is left out."
            )
            return self.pictures(results)
        partner = {number: partners[stem] for stem, number in stems.items()}
        matched = hashlib.sha256()  # which belongs to which, not only which there are
        for number in sorted(partner, key=lambda n: (results.hashes[n], n)):
            matched.update(photos.hashes[partner[number]].encode())
        return self._seen(
            results, matched.hexdigest(), lambda n: (photos.get(partner[n]), results.get(n))
        )

    def strangers(self, photos: Squares) -> Seen:
        """Photos beside other photos: what is measured where nothing of a scene is left."""
        order = sorted(range(len(photos.names)), key=lambda index: photos.hashes[index])
        following = dict(zip(order, order[1:] + order[:1], strict=True))
        return self._seen(
            photos,
            "strangers",
            lambda index: (photos.get(following[index]), photos.get(index)),
            eyes=(),
            only=order[: EVALUATE.strangers],
        )

    def _seen(
        self,
        squares: Squares,
        by: str,
        show: Callable[[int], Shown],
        doing: str = "looking at",
        eyes: Sequence[Eye] | None = None,
        only: Sequence[int] | None = None,
    ) -> Seen:
        eyes = self.eyes if eyes is None else eyes
        lead = self.eyes[0]
        keys = {eye.label: _key(squares.digest, by, eye) for eye in eyes}
        keys[""] = _key(squares.digest, f"signs {by}", lead)
        kept = {label: self._kept(key) for label, key in keys.items()}
        if missing := {label for label, arrays in kept.items() if arrays is None}:
            numbers = range(len(squares.names)) if only is None else only
            made = self._look(squares, show, numbers, missing, f"{doing} {squares.place}")
            for label in missing:
                kept[label] = made[label]
                self._keep(keys[label], made[label])
        whole = {label: _sorted(arrays) for label, arrays in kept.items() if arrays is not None}
        signs = whole.pop("")
        names, numbers = _named(signs.pop(_PICTURES), squares)
        if not names:
            raise DataError(f"no file in {squares.place} can be read as a picture.")
        if only is None and len(names) < len(squares.names):
            left_out = len(squares.names) - len(names)
            self.warn(f"{squares.place}: {left_out} unreadable pictures are left out.")
        looks = {name: signs.pop(name) for name in _APPEARANCE}
        rows = {label: arrays["features"] for label, arrays in whole.items()}
        return Seen(names, numbers, rows, signs, looks)

    def _look(
        self,
        squares: Squares,
        show: Callable[[int], Shown],
        numbers: Sequence[int],
        missing: set[str],
        what: str,
    ) -> dict[str, Arrays]:
        found: dict[str, dict[str, list[Any]]] = {label: {} for label in missing}
        read: list[str] = []
        parts = [numbers[at : at + EVALUATE.batch] for at in range(0, len(numbers), EVALUATE.batch)]
        done = 0
        self.told(what, done, len(numbers))
        pool = ThreadPoolExecutor(self.workers)
        try:
            looking = pool.map(lambda part: self._look_at(part, show, missing), parts)
            for part, (good, failed, arrays) in zip(parts, looking, strict=True):
                for error in failed:
                    self.warn(f"left out: {error}")
                read.extend(squares.hashes[number] for number in good)
                for label, more in arrays.items():
                    for name, values in more.items():
                        found[label].setdefault(name, []).extend(values)
                done += len(part)
                self.told(what, done, len(numbers))
        finally:
            pool.shutdown(cancel_futures=True)
        pictures = np.array(read, "S64")
        return {
            label: {_PICTURES: pictures, **{name: np.array(rows) for name, rows in arrays.items()}}
            for label, arrays in found.items()
        }

    def _look_at(
        self, numbers: Sequence[int], show: Callable[[int], Shown], missing: set[str]
    ) -> tuple[list[int], list[ImageError], dict[str, Arrays]]:
        lead = self.eyes[0]
        good, failed, batch = [], [], list[Shown]()
        for number in numbers:
            try:
                batch.append(show(number))
            except ImageError as error:
                if lacks_memory(error):
                    raise  # or what is kept would lack a picture that is whole
                failed.append(error)
                continue
            good.append(number)
        if not batch:
            return good, failed, {}
        eyes = [eye for eye in self.eyes if eye.label in missing]
        looked = {eye.label: eye.look([shown for _, shown in batch]) for eye in eyes}
        arrays: dict[str, Arrays] = {eye.label: {"features": looked[eye.label][0]} for eye in eyes}
        if "" in missing:
            arrays[""] = _signs(batch, lead, looked.get(lead.label))
        return good, failed, arrays

    def _kept(self, key: str) -> Arrays | None:
        """What was kept; None where nothing was, or nothing whole."""
        if self.cache is None:
            return None
        path = self.cache / f"{key}.npz"
        try:
            arrays = parsing.arrays_of(path.read_bytes())
            if _is_whole(arrays):
                return arrays
        except FileNotFoundError:
            return None
        except Exception:  # noqa: S110 -- whatever a damaged file makes a parser do
            pass
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


def _signs(
    batch: list[Shown], lead: Eye, looked: tuple[NDArray[np.float32], Maps] | None
) -> Arrays:
    """What is measured of each picture, and of what became of its photo."""
    shown = [picture for _, picture in batch]
    drawn = [appearance.strokes(picture) for picture in shown]
    found: Arrays = {
        "colours": np.array([appearance.colours(picture) for picture in shown]),
        "directions": np.array([shares for shares, _ in drawn]),
        "coherence": np.array([coherence for _, coherence in drawn]),
    }
    pairs = [(photo, picture) for photo, picture in batch if photo is not None]
    if pairs:
        signs = [metrics.signs(*pair) for pair in pairs]
        found |= {name: np.array([one[name] for one in signs]) for name in signs[0]}
        after = (looked or lead.look(shown))[1]
        before = lead.look([photo for photo, _ in pairs])[1]
        scene = {stride: before[stride] for stride in EVALUATE.scene_strides}
        found["scene_distance"] = metrics.map_distance(scene, after)
        found["perceptual_change"] = metrics.map_distance(before, after)
    return found


def _is_whole(arrays: Arrays) -> bool:
    pictures = arrays[_PICTURES]
    values = [array for name, array in arrays.items() if name != _PICTURES]
    whole = pictures.dtype == "S64" and all(
        len(array) == len(pictures) and bool(np.isfinite(array).all()) for array in values
    )
    shaped = "colours" in arrays or ("features" in arrays and arrays["features"].ndim == 2)
    return whole and (shaped or not len(pictures))


def _sorted(arrays: Arrays) -> Arrays:
    order = np.argsort(arrays[_PICTURES], kind="stable")
    return {name: values[order] for name, values in arrays.items()}


def _named(pictures: NDArray[Any], squares: Squares) -> tuple[list[str], list[int]]:
    """Names and numbers of pictures that are known by their files' SHA-256."""
    by_hash: dict[str, list[int]] = {}
    for number, digest in enumerate(squares.hashes):
        by_hash.setdefault(digest, []).append(number)
    # Copies of one file come as often as there are names for them.
    numbers = [by_hash[digest.decode()].pop(0) for digest in pictures.tolist()]
    return [squares.names[number] for number in numbers], numbers


def _key(digest: str, by: str, eye: Eye) -> str:
    text = json.dumps([PROTOCOL, EVALUATE.side, digest, by, eye.label, eye.sha256, eye.side])
    return hashlib.sha256(text.encode()).hexdigest()
