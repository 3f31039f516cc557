"""ONNX in three precisions. Each file has both modes of `modes`, and `Painter.load` opens it.

float32 is compared with PyTorch. float16 and int8 are compared with float32 in ONNX Runtime, in
levels of 0 to 255, since that is what people see.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper

from pleinair import files, graphs, images, leaves, runtime, sources
from pleinair.config import LightSpec, ResNetSpec, size_multiple
from pleinair.errors import ExportError, MissingExtraError, UsageError
from pleinair.exports import halves, integers
from pleinair.exports.wish import Wish
from pleinair.images import Batch
from pleinair.recipes import spec_name
from pleinair.settings import EXPORT
from pleinair.weights import Weights


def write(painter: Weights, place: Path, wish: Wish) -> str:
    """Write an .onnx file and say how far it is from what it was made from.

    Raises UsageError, DataError, MissingExtraError, ExportError.
    """
    match wish.precision:
        case "float32":
            return _whole(painter, place)
        case "float16":
            return _half(painter, place)
        case "int8":
            return _integers(painter, place, wish.calibrate)


def _whole(painter: Weights, place: Path) -> str:
    data = graphs.painter(painter)
    difference = difference_to_pytorch(painter, data)
    if not difference <= EXPORT.tolerance:
        raise ExportError(
            f"ONNX and PyTorch differ by {difference:.2g}, more than {EXPORT.tolerance:g}; "
            "nothing was written."
        )
    files.write_bytes(place, data)
    return f"ONNX and PyTorch differ by at most {difference:.1g}."


def difference_to_pytorch(painter: Weights, data: bytes) -> float:
    """The largest, in units of [-1, 1], of an ONNX file over several sizes, in either mode.

    Raises MissingExtraError, CheckpointError for weights of another network.
    """
    try:
        from pleinair import engines
    except ImportError as error:
        raise MissingExtraError(
            f"ONNX is compared with PyTorch, and {error.name} is not installed; run "
            "pip install 'pleinair[train]' first."
        ) from error
    network, multiple = engines.of_weights(painter), size_multiple(painter.spec)
    written = runtime.opened(data, "what was written", device="cpu")[0]
    random, worst = np.random.default_rng(0), 0.0
    for height, width in ((64, 64), (256, 256), (132, 260), (96, 512)):
        height, width = (max(multiple, n // multiple * multiple) for n in (height, width))
        photo = random.uniform(-1, 1, (1, 3, height, width)).astype(np.float32)
        expected = network(photo)
        for way in _ways(written, photo):
            worst = max(worst, float(np.abs(way(photo) - expected).max()))
    return worst


def _ways(engine: runtime.Engine, photo: Batch) -> list[runtime.Engine]:
    """An engine in both its modes, if it has two."""
    if not isinstance(engine, runtime.Measuring):
        return [engine]
    return [engine, engine.fixed(engine.measure(photo))]


def _half(painter: Weights, place: Path) -> str:
    model = halves.halved(graphs.model(painter.spec, painter.arrays))
    found = _compared(painter, model, place, _trials(painter, EXPORT.checking))
    words = f"float16 and float32 differ by at most {found.most:.2g} of 255 levels"
    if not found.psnr >= EXPORT.half_psnr:
        raise ExportError(
            f"{words} ({found.psnr:.1f} dB, and {EXPORT.half_psnr:g} are needed); use --precision "
            "float32."
        )
    return f"{words}."


def _integers(painter: Weights, place: Path, photos: Path | None) -> str:
    if not isinstance(painter.spec, LightSpec | ResNetSpec):
        raise UsageError(
            f"int8 is for the residual blocks of light and resnet, and {spec_name(painter.spec)} "
            "has none; use --precision float16, which halves the file."
        )
    pictures = _trials(painter, EXPORT.calibrating + EXPORT.checking, photos)
    # Those it was not calibrated on decide, a third of a folder that is small.
    apart = min(EXPORT.calibrating, 2 * len(pictures) // 3)
    model = integers.quantised(painter, pictures[:apart])
    found = _compared(painter, model, place, pictures[apart:])
    words = (
        f"int8 and float32 differ by {found.mean:.2f} of 255 levels on average, {found.most:.0f} "
        f"at most ({found.psnr:.1f} dB on the worst of {len(pictures) - apart} pictures)"
    )
    if not found.psnr >= EXPORT.least_psnr:
        raise ExportError(
            f"{words}, and {EXPORT.least_psnr:g} dB are needed for damage that cannot be seen; use "
            "--precision float16, or photos to calibrate with."
        )
    return f"{words}."


class _Distance(NamedTuple):
    """In levels of 0 to 255, and decibels of the worst picture."""

    mean: float
    most: float
    psnr: float


def _compared(painter: Weights, model: ModelProto, place: Path, pictures: list[Batch]) -> _Distance:
    """Write a model, and how far both its modes are from the painter in float32."""
    helper.set_model_props(model, painter.described())
    files.write_bytes(place, model.SerializeToString())
    exact = place.with_name("float32.onnx")
    exact.write_bytes(graphs.painter(painter))
    differences = list(_differences(exact, place, pictures))
    exact.unlink()
    return _Distance(
        float(np.mean([np.abs(one).mean() for one in differences])),
        float(np.max([np.abs(one).max() for one in differences])),
        float(np.min([10 * np.log10(255**2 / (np.mean(one**2) + 1e-12)) for one in differences])),
    )


def _differences(
    exact: Path, changed: Path, pictures: list[Batch]
) -> Iterator[NDArray[np.float32]]:
    """Levels between two painters' paintings, of each mode of the second."""
    first, second = runtime.load(exact, device="cpu")[0], runtime.load(changed, device="cpu")[0]
    for picture in pictures:
        expected = np.clip(first(picture), -1, 1)
        for way in _ways(second, picture):
            yield (np.clip(way(picture), -1, 1) - expected) * 127.5


def _trials(painter: Weights, count: int, photos: Path | None = None) -> list[Batch]:
    """Pictures of a folder, or made ones, as the network takes them.

    Raises DataError, UsageError where there are fewer than two.
    """
    multiple = size_multiple(painter.spec)
    side = max(multiple, EXPORT.trial_side // multiple * multiple)
    if photos is None:
        return leaves.pictures(range(count), side, side)
    source = sources.open_source(photos)
    if len(source.names) < 2:
        raise UsageError(f"{photos} holds one picture; give two or more, best a dozen.")
    # Spread over the folder: neighbours by name are often alike.
    chosen = np.linspace(0, len(source.names) - 1, min(count, len(source.names))).astype(int)
    found = [images.read_square(source.read(index), side) for index in chosen.tolist()]
    order = [*range(0, len(found), 3), *range(1, len(found), 3), *range(2, len(found), 3)]
    return [images.to_batch(found[index]) for index in order]
