"""Keras' files: .h5 of every age, .weights.h5 and .keras."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pleinair import archives
from pleinair.errors import DataError, PainterError
from pleinair.foreign import Found, hdf5, keras_config, keras_h5, keras_unet
from pleinair.foreign.parts import Part
from pleinair.foreign.tutorial import found

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MAX_CONFIG = 2**26  # bytes
_GAIN = 4  # times: Keras stores without compression, and weights hardly compress
_SLACK = 2**20  # bytes


def knows(path: Path, head: bytes) -> bool:
    """Whether this is HDF5, or a zip with Keras' members."""
    if head.startswith(hdf5.SIGNATURE):
        return True
    if not head.startswith(b"PK"):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except archives.BROKEN:
        return path.suffix == ".keras"
    return _CONFIG in names and any(name.startswith("model.weights") for name in names)


def read(path: Path) -> list[Found]:
    """All generators in it. Raises PainterError, MissingExtraError."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    with _archive(path) if zipped else _file(path) as (root, config, kind):
        try:
            facts = keras_config.facts(config) if config is not None else keras_config.Facts()
        except ValueError as error:
            raise PainterError(
                f"{path} is not the lab's U-Net: {error}; it holds {keras_unet.described(root)}."
            ) from error
        return found(root, facts, path, kind, keras_config.name(config))


@contextmanager
def _file(path: Path) -> Iterator[tuple[Part, Any, str]]:
    with hdf5.opened(path, str(path)) as root:
        if keras_h5.is_older(root):
            yield keras_h5.older(root, str(path)), keras_h5.config(root, str(path)), "Keras .h5"
        else:
            yield keras_h5.newer(root), None, "Keras .weights.h5"


@contextmanager
def _archive(path: Path) -> Iterator[tuple[Part, Any, str]]:
    """A .keras file: two members of a zip are read, into memory; nothing is unpacked."""
    try:
        with archives.open_zip(path) as archive:
            config = keras_config.parse(_member(archive, _CONFIG, _MAX_CONFIG, path))
            limit = _GAIN * path.stat().st_size + _SLACK
            weights = _member(archive, _WEIGHTS, limit, path)
    except DataError as error:
        raise PainterError(str(error)) from error
    except ValueError as error:
        raise PainterError(
            f"{path} is damaged: {_CONFIG} is no JSON ({error}); get a whole copy."
        ) from error
    with hdf5.opened(weights, f"{path}/{_WEIGHTS}") as root:
        yield keras_h5.newer(root), config, "Keras .keras"


def _member(archive: zipfile.ZipFile, name: str, limit: int, path: Path) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        raise PainterError(
            f"{path} has no member {name}; save the model again with model.save('x.keras') and "
            "no max_shard_size."
        ) from error
    if info.file_size > limit:
        raise PainterError(
            f"{path}: {name} claims to unpack to {info.file_size:,} bytes, far more than a file "
            "of this size holds; get it from a source that you trust."
        )
    try:
        return archive.read(info)
    except archives.BROKEN as error:
        raise PainterError(
            f"{path}: {name} is damaged or cut short ({error}); get a whole copy."
        ) from error
