"""An ONNX file whose residual blocks compute in 8 bits, by ONNX Runtime's own quantizer.

What is near the photo or the painting stays float32: measured on `light`, quantizing that too
takes 8 dB and saves little, since the blocks hold nine tenths of the weights and of the work.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import ModelProto
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from pleinair import graphs
from pleinair.images import Batch
from pleinair.modes import add_modes
from pleinair.weights import Weights

_BLOCKS = ("blocks.", ".conv_block.")  # in names of weights, of light and of resnet


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    """Pictures one at a time, as the quantizer asks for them."""

    def __init__(self, pictures: list[Batch]) -> None:
        self._left = iter(pictures)

    def get_next(self) -> dict[str, Batch] | None:
        picture = next(self._left, None)
        return None if picture is None else {"photo": picture}


def quantised(painter: Weights, pictures: list[Batch]) -> ModelProto:
    """A model of both modes. pictures: float32 (1, 3, H, W) that ranges are taken from.

    Weights are signed, one scale for each channel, and of 7 bits: on processors without VNNI a sum
    of two products of 8 bits does not fit. Activations are unsigned; a hundred-thousandth of them
    may lie outside their range, which gains 1 dB.
    """
    model = graphs.plain(painter.spec, painter.arrays)
    for node in model.graph.node:
        node.name = node.output[0]
    outside = [
        node.name
        for node in model.graph.node
        if node.op_type == "Conv" and not any(part in node.input[1] for part in _BLOCKS)
    ]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        found = Path(folder, "int8.onnx")
        quantize_static(
            model,
            found,
            _Pictures(pictures),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=outside,
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
            calibrate_method=CalibrationMethod.Percentile,
        )
        model = onnx.load(found)
    model.producer_name = "pleinair"
    return add_modes(model)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantizer prints to standard output, which is for data, and gives advice of its own."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
