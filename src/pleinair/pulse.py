"""What flows through the layers of a painter while it paints a photo, and what each is good for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pleinair import anatomy, images, onnxfile, runtime, swatches
from pleinair.anatomy import Layer, Maps
from pleinair.errors import PainterError
from pleinair.images import Batch, Pixels
from pleinair.runtime import Session
from pleinair.settings import EXPLAIN

Told = Callable[[str, int, int], None]  # what, how many are done, of how many


@dataclass(frozen=True)
class Norm:
    """What an instance norm takes out of each channel: its mean and its standard deviation."""

    means: NDArray[np.float32]
    deviations: NDArray[np.float32]


@dataclass(frozen=True)
class Without:
    """What is painted where a layer's weights are 0. colour, strokes: mean change in levels."""

    painting: Pixels
    colour: float
    strokes: float


@dataclass(frozen=True)
class Measured:
    """A layer on one photo.

    maps: (channels, height, width) of what it gives. zeros: their share behind a ReLU; None where
    there is none. dead: channels that are the same everywhere. asleep: whether it gives the same of
    any photo. norm: None without one. without: None where its weights cannot be set.
    """

    layer: Layer
    maps: Maps
    mean: float
    spread: float
    zeros: float | None
    dead: int
    asleep: bool
    norm: Norm | None
    without: Without | None = None

    @property
    def lively(self) -> NDArray[np.intp]:
        """Channels, those that vary most first."""
        spread = self.maps.reshape(len(self.maps), -1).std(axis=1)
        return np.argsort(-spread, kind="stable")


@dataclass(frozen=True)
class Pulse:
    """A painting, uint8 (H, W, 3), and the layers that it came through."""

    painting: Pixels
    layers: list[Measured]


def take(data: bytes, name: str, photo: Batch, told: Told) -> Pulse:
    """Measure every layer of a painter's graph on a photo, (1, 3, H, W) in [-1, 1].

    data: of an .onnx file that takes and gives pictures in [-1, 1]. name: the file's, for
    messages. Raises PainterError, also where there is no layer to look at.
    """
    found = anatomy.layers(anatomy.read(data))
    if not found:
        raise PainterError(
            f"{name} has no convolutions with weights of their own, so there are no layers to show."
        )
    steps = len(found) + 2
    told("painting", 0, steps)
    flow = _flow(data, name, found)
    values = flow(photo)
    painting = images.from_batch(values[""])[0]
    told("another picture", 1, steps)
    noise = np.random.default_rng(0).uniform(-1, 1, photo.shape).astype(np.float32)
    other = flow(noise)
    measured = [_measured(layer, values, other) for layer in found]

    def heard(seen: Measured) -> Measured:
        return replace(seen, without=_without(data, name, seen.layer, photo, painting))

    told("painting without", 2, steps)
    # Small networks keep one core busy each, not all.
    workers = min(EXPLAIN.most_workers, os.cpu_count() or 1)
    with ThreadPoolExecutor(1 if len(data) > EXPLAIN.side_by_side else workers) as pool:
        whole = []
        for number, one in enumerate(pool.map(heard, measured), 3):
            whole.append(one)
            told(f"painting without {one.layer.name}", number, steps)
    return Pulse(painting, whole)


def _flow(data: bytes, name: str, layers: Sequence[Layer]) -> Callable[[Batch], dict[str, Maps]]:
    """Batches to the values that layers give, without their first axis; "": the painting's."""
    plain, _ = runtime.opened(data, name, 1, device="cpu")
    wanted = {value for layer in layers for value in (layer.first, layer.shown)}
    more = sorted(wanted - set(plain.gives))
    session, _ = runtime.opened(anatomy.with_outputs(data, more), name, device="cpu")

    def flow(batch: Batch) -> dict[str, Maps]:
        found = session.values(sorted(wanted | {plain.gives[0]}), batch)
        maps = {key: np.asarray(value[0], np.float32) for key, value in found.items()}
        return maps | {"": found[plain.gives[0]]}

    return flow


def _measured(layer: Layer, values: dict[str, Maps], other: dict[str, Maps]) -> Measured:
    maps, elsewhere = values[layer.shown], other[layer.shown]
    flat = maps.reshape(len(maps), -1)
    scale = 1.0 + float(np.abs(maps).max())
    norm = None
    if layer.norm == "instance norm":
        before = values[layer.first].reshape(layer.outputs, -1)
        norm = Norm(before.mean(axis=1), before.std(axis=1))
    return Measured(
        layer,
        maps,
        mean=float(maps.mean()),
        spread=float(maps.std()),
        zeros=float(np.mean(maps == 0)) if layer.activation == "ReLU" else None,
        dead=int(np.sum(flat.std(axis=1) <= 1e-6 * scale)),
        asleep=bool(np.abs(maps - elsewhere).max() <= 1e-5 * scale),
        norm=norm,
    )


def _without(
    data: bytes, name: str, layer: Layer, photo: Batch, painting: Pixels
) -> Without | None:
    # Its bias stays: the layer says the same of every place and of every photo.
    silenced = onnxfile.silenced(data, layer.weight)
    if silenced is None:
        return None
    threads = 0 if len(data) > EXPLAIN.side_by_side else 1
    session: Session = runtime.opened(silenced, name, threads, device="cpu")[0]
    result = images.from_batch(session(photo))[0]
    change = result.astype(np.float32) - painting
    colour, strokes = swatches.parted(change, EXPLAIN.wide)
    return Without(result, float(np.abs(colour).mean()), float(np.abs(strokes).mean()))
