"""Two unpaired sets of pictures as endless streams of training batches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleinair import images, sources
from pleinair.config import Recipe
from pleinair.errors import DataError, ImageError, lacks_memory
from pleinair.images import Batch, Pixels
from pleinair.sources import Source

Warn = Callable[[str], None]


def set_apart(place: Path, val: Path | None, most: int) -> tuple[Source, Source | None]:
    """The pictures of a place to train on, and those to score by.

    The latter are those of `val`, else those that a manifest holds out, else `most` by a hash of
    their names where there are twenty times as many; else None. Raises DataError.
    """
    source = sources.open_source(place)
    if val is not None:
        return sources.split(source, 0)[0], sources.open_source(val)
    enough = len(source.names) >= 20 * most
    return sources.split(source, most if enough else 0)


class Pictures:
    """The pictures of a place, decoded once and kept as uint8 within a memory budget.

    Of a source that holds some out itself, as a manifest may, the others are taken. A file that
    cannot be read is named through `warn` and never drawn again; when none is left, DataError is
    raised. Threads may share one.
    """

    def __init__(self, folder: Path | Source, shortest: int, cache_bytes: int, warn: Warn) -> None:
        source = sources.open_source(folder) if isinstance(folder, Path) else folder
        self.source, _ = sources.split(source, 0)
        self.shortest = shortest
        self.warn = warn
        self.bad: set[int] = set()
        self._cache: dict[int, Pixels] = {}
        self._cache_left = cache_bytes
        self._lock = threading.Lock()
        if self.source.files:  # elsewhere a header costs as much as the picture
            for index in range(len(self)):
                try:
                    images.probe(self.source.read(index))
                except ImageError as error:
                    self._skip(index, error)
        self.bad_from_start = frozenset(self.bad)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def names(self) -> list[str]:
        """Names of the pictures, relative to their place, in the order of their numbers."""
        return self.source.names

    @property
    def place(self) -> Path:
        """Where the pictures are, for people."""
        return self.source.place

    def get(self, index: int) -> Pixels | None:
        """Pixels of one picture, uint8 (H, W, 3); None where the file cannot be read."""
        pixels = self.kept(index)
        if pixels is not None:
            return pixels
        if index in self.bad:
            self._check_left()
            return None
        try:
            pixels = images.read_small(self.source.read(index), self.shortest, self._known(index))
        except ImageError as error:
            self._skip(index, error)
            return None
        with self._lock:
            if index not in self._cache and pixels.nbytes <= self._cache_left:
                self._cache[index] = pixels
                self._cache_left -= pixels.nbytes
        return pixels

    def kept(self, index: int) -> Pixels | None:
        """Pixels of a picture that is in memory already, else None."""
        return self._cache.get(index)

    def first(self, count: int) -> list[Pixels]:
        """The first `count` readable pictures by name, for sample sheets."""
        found: list[Pixels] = []
        for index in range(len(self)):
            if len(found) == count:
                break
            pixels = self.get(index)
            if pixels is not None:
                found.append(pixels)
        return found

    def squares(self, count: int, side: int) -> list[Pixels]:
        """The first `count` readable pictures as `pleinair evaluate` sees them: (side, side, 3)."""
        found: list[Pixels] = []
        for index in range(len(self)):
            if len(found) == count:
                break
            if index in self.bad:
                continue
            try:
                found.append(images.read_square(self.source.read(index), side, self._known(index)))
            except ImageError as error:
                self._skip(index, error)
        return found

    def _known(self, index: int) -> str:
        """What a picture is called where it has no path of its own."""
        return "" if self.source.files else f"{self.place}: {self.names[index]}"

    def _skip(self, index: int, error: ImageError) -> None:
        if lacks_memory(error):
            raise error  # it is not the picture's fault, and a run is not to depend on it
        with self._lock:
            is_new = index not in self.bad
            self.bad.add(index)
        if is_new:
            self.warn(f"skipped: {error}")
        self._check_left()

    def _check_left(self) -> None:
        if len(self.bad) == len(self):
            raise DataError(f"no file in {self.place} can be read as a picture.")


class Stream:
    """Endless batches of one domain: its own shuffle, each picture once before any comes again.

    Every domain has a stream of its own, so that unequal domains are both used in full. Which
    picture is the nth, and how it is cropped and flipped, depends on the seed and the pictures
    alone: not on how many a batch has, nor on who takes it. share: (rank, size) of a team whose
    streams draw the same batches, `size` times as large, of which each decodes its own part.
    each: crops of a batch where there would be one, side by side, for a step to choose from.
    `decode`, which gives the pixels of a number or None, may be any cache of `pictures.get`.
    """

    def __init__(
        self,
        pictures: Pictures,
        recipe: Recipe,
        seed: tuple[int, ...],
        share: tuple[int, int] = (0, 1),
        each: int = 1,
    ) -> None:
        self.pictures = pictures
        self.recipe = recipe
        self.random = np.random.default_rng(seed)
        self.order: list[int] = []  # drawn from the end
        self.decode: Callable[[int], Pixels | None] | None = None
        rank, size = share
        few = each * recipe.accumulate * recipe.batch
        more = each * recipe.accumulate * recipe.discriminator_batch - few
        # The generators' part of the whole batch comes first, as it does in one process.
        self._whole = size * (few + more)
        self._own = [*range(rank * few, (rank + 1) * few)]
        self._own += range(size * few + rank * more, size * few + (rank + 1) * more)

    def next_batch(self) -> Batch:
        """float32 (pictures, 3, crop, crop) in [-1, 1], of a step: resized, cropped, flipped.

        They are `each` for every one of accumulate * discriminator_batch; generators take the
        first accumulate * batch of these.
        """
        crops = []
        for position in range(self._whole):
            pixels = self._next_picture(position in self._own)
            draws = self.random.random(4)  # as many whatever the picture, for those who skip it
            if pixels is not None:
                crops.append(self._crop(pixels, draws))
        return images.to_batch(np.stack(crops))

    def upcoming(self, batches: int) -> list[int]:
        """Numbers of the pictures to decode for so many batches, up to the next shuffle."""
        return [
            index
            for place, index in enumerate(reversed(self.order[-batches * self._whole :]))
            if place % self._whole in self._own
        ]

    def _next_picture(self, own: bool) -> Pixels | None:
        if not self.order:
            # What was found bad at the start is so in every process of a team, and after a
            # resume; what turns out bad on the way is not, and keeps its place in the order.
            bad = self.pictures.bad_from_start
            shuffled = self.random.permutation(len(self.pictures)).tolist()
            self.order = [index for index in shuffled if index not in bad]
        index = self.order.pop()
        return self._readable(index) if own else None

    def _readable(self, index: int) -> Pixels:
        """A picture, or where it cannot be read the next by name that can. Raises DataError."""
        # Not the next in the order, which may be another process's to decode.
        decode = self.decode or self.pictures.get
        while (pixels := decode(index)) is None:
            index = (index + 1) % len(self.pictures)
        return pixels

    def _crop(self, pixels: Pixels, draws: NDArray[np.float64]) -> Pixels:
        """draws: four numbers in [0, 1) for size, top, left and flip."""
        recipe, crop = self.recipe, self.recipe.crop
        sizes = recipe.resize_max - recipe.resize_min + 1
        shortest = recipe.resize_min + int(draws[0] * sizes)
        if min(pixels.shape[:2]) != shortest:
            pixels = images.resize_shorter(pixels, shortest)
        top = int(draws[1] * (pixels.shape[0] - crop + 1))
        left = int(draws[2] * (pixels.shape[1] - crop + 1))
        pixels = pixels[top : top + crop, left : left + crop]
        if recipe.flip and draws[3] < 0.5:
            pixels = pixels[:, ::-1]
        return pixels

    def state(self) -> dict[str, Any]:
        """All that the next batch depends on, as plain values."""
        return {
            "random": self.random.bit_generator.state,
            "order": list(self.order),
            "names": self.pictures.names,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, bit for bit where the pictures are those of then, by name.

        Where some came or went, a word through `pictures.warn`: those that are gone are left out,
        new ones join with the next shuffle. Raises DataError where none of then is left.
        """
        then, now = state["names"], self.pictures.names
        order = list(state["order"])
        if then != now:
            number = {name: index for index, name in enumerate(now)}
            order = [number[then[index]] for index in order if then[index] in number]
            gone, new = len(set(then) - set(now)), len(set(now) - set(then))
            if gone == len(then):
                raise DataError(
                    f"{self.pictures.place} holds none of the {len(then)} pictures that the run "
                    "began with; restore them, or start a new run."
                )
            self.pictures.warn(
                f"{self.pictures.place} lacks {gone} of the pictures that the run began with and "
                f"has {new} new ones: the run goes on, no longer as an exact continuation."
            )
        self.random.bit_generator.state = state["random"]
        self.order = order
