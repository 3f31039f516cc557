"""A painter explained on one photo, as one page: its layers, and where there is a run its cycle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pleinair import (
    __version__,
    converting,
    exhibits,
    hub,
    images,
    nameplate,
    opinions,
    press,
    pulse,
)
from pleinair.config import AnySpec, PainterSpec, size_multiple
from pleinair.errors import MissingExtraError, UsageError
from pleinair.images import Pixels
from pleinair.opinions import Quartet
from pleinair.painter import Painter
from pleinair.pulse import Told
from pleinair.settings import EXPLAIN, PIXEL_CONTRACT
from pleinair.strangers import Stranger

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Subject:
    """What is explained. data: the bytes of an .onnx file of our contract. networks: of a run."""

    name: str
    data: bytes
    spec: PainterSpec
    card: dict[str, Any]
    networks: Quartet | None = None


def explain(
    photo: Path, painter: str, told: Told, warn: Warn, side: int | None = None, network: str = ""
) -> str:
    """One HTML file about what a painter does to a photo.

    painter: a name, a file or folder of any kind that paints, or the folder of a training run,
    whose other networks are then shown, too. side: pixels of the square that networks see. network:
    which of several in a file. warn: hears of damaged checkpoints. Raises ImageError, PainterError,
    CheckpointError, UsageError, MissingExtraError.
    """
    subject = _of_run(Path(painter), warn) if hub.is_run(painter) else _of_painter(painter, network)
    pixels = _seen(photo, subject.spec, side)
    found = pulse.take(subject.data, subject.name, images.to_batch(pixels), told)
    back = opinions.returned(found.painting, subject.networks)
    title, about, licence = nameplate.words(subject.card, subject.name)
    return press.page(
        "explain.html",
        title=title,
        about=about,
        licence=licence,
        photo_name=photo.name,
        spec=nameplate.part(nameplate.metadata(subject.data), "spec"),
        parameters=nameplate.parameters(subject.data),
        height=pixels.shape[0],
        width=pixels.shape[1],
        pictures=exhibits.pictures(pixels, found.painting),
        layers=exhibits.layers(found),
        notes=exhibits.notes(found, pixels, subject.networks),
        cycle=opinions.cycle(pixels, found.painting, back, subject.networks),
        judges=opinions.judges(pixels, found.painting, back, subject.networks),
        run=subject.networks,
        version=__version__,
        gain=EXPLAIN.gain,
    )


# --- what is explained --------------------------------------------------------------------------


def _of_run(run: Path, warn: Warn) -> Subject:
    try:
        from pleinair import graphs, quartet
    except (ImportError, MissingExtraError) as error:
        raise MissingExtraError(
            f"the networks of the run {run} need pip install 'pleinair[train]'; without it, name "
            f"a painter's file, as {run / 'painter.onnx'}."
        ) from error
    networks = quartet.of_run(run, warn)
    spec = networks.recipe.generator
    return Subject(run.name, graphs.painter(networks.painter), spec, {}, networks)


def _of_painter(painter: str, network: str) -> Subject:
    path = hub.find(painter)
    data = converting.painter_bytes(path, network or None)
    told = nameplate.metadata(data)
    opened = Painter.opened(data, str(path), device="cpu")
    if isinstance(opened.engine, Stranger) and told.get("pixels") != PIXEL_CONTRACT:
        try:
            from pleinair import adapting
        except (ImportError, MissingExtraError) as error:
            raise MissingExtraError(
                f"{path} is of another program, and looking into it needs "
                "pip install 'pleinair[import]'."
            ) from error
        data = adapting.adapted(data, opened.engine, opened.card, str(path))
    return Subject(path.stem, data, opened.spec, opened.card)


def _seen(photo: Path, spec: PainterSpec, side: int | None) -> Pixels:
    """The photo as the networks see it: the middle square, or the size that a file asks for."""
    if isinstance(spec, AnySpec) and spec.height and spec.width:
        if side is not None and (side, side) != (spec.height, spec.width):
            raise UsageError(
                f"this painter's file takes {spec.width}x{spec.height} pixels only; leave --side "
                "out."
            )
        square = images.read_square(photo, max(spec.height, spec.width))
        return images.resize(square, spec.width, spec.height)
    multiple = size_multiple(spec)
    chosen = max(1, EXPLAIN.side // multiple) * multiple if side is None else side
    if chosen % multiple or not 16 <= chosen <= EXPLAIN.most_side:
        raise UsageError(
            f"--side {chosen} found; this painter takes multiples of {multiple} from "
            f"{max(16, multiple)} to {EXPLAIN.most_side}."
        )
    return np.ascontiguousarray(images.read_square(photo, chosen))
