"""Two unpaired folders of pictures as endless streams of training batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pleinair import images
from pleinair.config import PICTURE_SUFFIXES, Recipe
from pleinair.errors import DataError, ImageError
from pleinair.images import Batch, Pixels

Warn = Callable[[str], None]


def find_pictures(folder: Path) -> list[Path]:
    """Picture files under a folder, by name, hidden ones left out. Raises DataError for none."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; name a folder of pictures.")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in PICTURE_SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
    )
    if not found:
        raise DataError(f"{folder} holds no picture; put JPEG, PNG or WebP files there.")
    return found


class Pictures:
    """The pictures of a folder, decoded once and kept as uint8 within a memory budget.

    A file that cannot be read is named through `warn` and never drawn again; when none is left,
    DataError is raised.
    """

    def __init__(self, folder: Path, shortest: int, cache_bytes: int, warn: Warn) -> None:
        self.folder = folder
        self.shortest = shortest
        self.warn = warn
        self.paths = find_pictures(folder)
        self.bad: set[int] = set()
        self._cache: dict[int, Pixels] = {}
        self._cache_left = cache_bytes
        for index, path in enumerate(self.paths):
            try:
                images.probe(path)
            except ImageError as error:
                self._skip(index, error)

    def __len__(self) -> int:
        return len(self.paths)

    def get(self, index: int) -> Pixels | None:
        """Pixels of one picture, uint8 (H, W, 3); None where the file cannot be read."""
        if index in self.bad:
            return None
        pixels = self._cache.get(index)
        if pixels is None:
            try:
                pixels = images.read_small(self.paths[index], self.shortest)
            except ImageError as error:
                self._skip(index, error)
                return None
            if pixels.nbytes <= self._cache_left:
                self._cache[index] = pixels
                self._cache_left -= pixels.nbytes
        return pixels

    def first(self, count: int) -> list[Pixels]:
        """The first `count` readable pictures by name, for sample sheets."""
        found: list[Pixels] = []
        for index in range(len(self.paths)):
            if len(found) == count:
                break
            pixels = self.get(index)
            if pixels is not None:
                found.append(pixels)
        return found

    def _skip(self, index: int, error: ImageError) -> None:
        self.bad.add(index)
        self.warn(f"skipped: {error}")
        if len(self.bad) == len(self.paths):
            raise DataError(f"no file in {self.folder} can be read as a picture.")


class Stream:
    """Endless batches of one domain: its own shuffle, each picture once before any comes again.

    Every domain has a stream of its own, so that unequal domains are both used in full.
    """

    def __init__(self, pictures: Pictures, recipe: Recipe, seed: tuple[int, ...]) -> None:
        self.pictures = pictures
        self.recipe = recipe
        self.random = np.random.default_rng(seed)
        self.order: list[int] = []

    def next_batch(self) -> Batch:
        """float32 (discriminator_batch, 3, crop, crop) in [-1, 1]: resized, cropped, flipped.

        The generators take the first `batch` of them.
        """
        count = self.recipe.discriminator_batch
        crops = [self._crop(self._next_picture()) for _ in range(count)]
        return images.to_batch(np.stack(crops))

    def _next_picture(self) -> Pixels:
        while True:
            if not self.order:
                self.order = self.random.permutation(len(self.pictures)).tolist()
            pixels = self.pictures.get(self.order.pop())
            if pixels is not None:
                return pixels

    def _crop(self, pixels: Pixels) -> Pixels:
        recipe, crop = self.recipe, self.recipe.crop
        shortest = int(self.random.integers(recipe.resize_min, recipe.resize_max, endpoint=True))
        if min(pixels.shape[:2]) != shortest:
            pixels = images.resize_shorter(pixels, shortest)
        top = int(self.random.integers(pixels.shape[0] - crop, endpoint=True))
        left = int(self.random.integers(pixels.shape[1] - crop, endpoint=True))
        pixels = pixels[top : top + crop, left : left + crop]
        if recipe.flip and self.random.random() < 0.5:
            pixels = pixels[:, ::-1]
        return pixels

    def state(self) -> dict[str, Any]:
        """All that the next batch depends on, as plain values."""
        return {
            "random": self.random.bit_generator.state,
            "order": list(self.order),
            "names": [str(path.relative_to(self.pictures.folder)) for path in self.pictures.paths],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`. Raises DataError where the folder holds other pictures than then."""
        if state["names"] != self.state()["names"]:
            raise DataError(
                f"{self.pictures.folder} holds other pictures than when the run began; "
                "restore them, or start a new run."
            )
        self.random.bit_generator.state = state["random"]
        self.order = list(state["order"])
