"""An ONNX file of half the size: kernels kept as float16, and computed with as float32.

Runtimes widen a constant once, while they load. So a photo costs what it did, sums cannot
overflow, and it runs where half precision cannot be computed with: most processors, and every
browser.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})


def halved(model: ModelProto) -> ModelProto:
    """Change a model in place and return it: convolutions' kernels are float16 behind a Cast.

    Biases and what norms take stay float32: a thousandth of the bytes.
    """
    graph = model.graph
    kernels = {node.input[1] for node in graph.node if node.op_type in _CONVOLUTIONS}
    widened: dict[str, str] = {}
    for tensor in graph.initializer:
        if tensor.name in kernels and tensor.data_type == TensorProto.FLOAT:
            with np.errstate(over="ignore"):  # what does not fit is found when it is compared
                half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
            widened[tensor.name] = f"wide{len(widened)}"  # without dots, which weights' names have
    for node in graph.node:
        if node.op_type in _CONVOLUTIONS:
            node.input[1] = widened.get(node.input[1], node.input[1])
    for name, wide in reversed(widened.items()):
        graph.node.insert(0, helper.make_node("Cast", [name], [wide], to=TensorProto.FLOAT))
    return model
