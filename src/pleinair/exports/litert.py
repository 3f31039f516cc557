"""LiteRT, once TensorFlow Lite: for Android and small devices, of one size, channels last.

By litert-torch, compared in the interpreter that devices have, too (ai-edge-litert).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from pleinair.exports import fixed
from pleinair.exports.fixed import quiet

with quiet():
    import flatbuffers
    import litert_torch
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter

from pleinair import files, leaves
from pleinair.engines import network_of
from pleinair.errors import ExportError
from pleinair.exports.wish import Wish
from pleinair.settings import EXPORT, PIXEL_CONTRACT_LAST
from pleinair.weights import Weights

_IDENTIFIER = b"TFL3"  # of the file, https://github.com/google-ai-edge/LiteRT, schema.fbs


def write(painter: Weights, place: Path, wish: Wish) -> str:
    """Write a .tflite file of one size and compare it with PyTorch.

    In and out: float32 (1, H, W, 3) in [-1, 1]. `spec`, `card` and `pixels` are its metadata.
    Raises CheckpointError, ExportError.
    """
    width, height = wish.size
    network = fixed.ChannelsLast(fixed.plainly(network_of(painter))).eval()
    photo = np.ascontiguousarray(leaves.picture(0, height, width).transpose(0, 2, 3, 1))
    told = painter.described(PIXEL_CONTRACT_LAST)
    _convert(network, photo, place)
    files.write_bytes(place, _described(place.read_bytes(), told))
    with torch.inference_mode():
        expected = network(torch.from_numpy(photo)).numpy()
    difference = float(np.abs(_painted(place, photo) - expected).max())
    if not difference <= EXPORT.device_tolerance:
        raise ExportError(
            f"LiteRT and PyTorch differ by {difference:.2g}, more than "
            f"{EXPORT.device_tolerance:g}; nothing was kept."
        )
    return f"LiteRT and PyTorch differ by at most {difference:.1g}."


def _convert(network: fixed.ChannelsLast, photo: Any, place: Path) -> None:
    with quiet(), torch.no_grad():
        try:
            litert_torch.convert(network, (torch.from_numpy(photo),)).export(str(place))
        except Exception as error:  # whatever its passes raise: they have no common root
            raise ExportError(
                "litert-torch cannot convert this painter "
                f"({str(error).strip().splitlines()[0][:120]}); export .onnx."
            ) from error


def _described(data: bytes, told: dict[str, str]) -> bytes:
    """The same model with words in its metadata."""
    model = schema.ModelT.InitFromPackedBuf(data)
    model.metadata = model.metadata or []
    for key, text in told.items():
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(text.encode(), np.uint8)
        model.buffers.append(buffer)
        entry = schema.MetadataT()
        entry.name, entry.buffer = key, len(model.buffers) - 1
        model.metadata.append(entry)
    builder = flatbuffers.Builder(len(data) + sum(map(len, told.values())))
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def _painted(place: Path, photo: Any) -> Any:
    interpreter = Interpreter(model_path=str(place))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], photo)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
