"""A painter's ONNX file, written layer by layer from its weights. Needs onnx, and no torch.

What `networks.build(spec)` computes, in the operators that ONNX Runtime runs fastest. Weights keep
their parameter names, which have dots; all else in the graph has names without.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleinair.config import (
    DOUBLING_BLUR,
    HALVING_BLUR,
    LOW_PASS,
    LightSpec,
    ResNetSpec,
    Spec,
    UNetSpec,
    size_multiple,
)
from pleinair.errors import MissingExtraError, PainterError
from pleinair.settings import EXPORT
from pleinair.weights import Weights

try:
    from onnx import ModelProto, TensorProto, helper, numpy_helper

    from pleinair.modes import add_modes
except ImportError as _error:
    raise MissingExtraError("writing .onnx needs pip install 'pleinair[import]'.") from _error


def painter(weights: Weights) -> bytes:
    """The bytes of a painter's file: the graph of `model`, with `spec`, `card` and `pixels`.

    Raises PainterError where the weights are not those of their spec.
    """
    written = model(weights.spec, weights.arrays)
    helper.set_model_props(written, weights.described())
    data: bytes = written.SerializeToString()
    return data


def model(spec: Spec, arrays: Mapping[str, NDArray[Any]]) -> ModelProto:
    """A graph of both modes of `modes`, of dynamic height and width.

    Input `photo` and output `painting`: float32 (1, 3, H, W) in [-1, 1], sides multiples of
    `size_multiple(spec)`. Raises PainterError where an array is missing, of another shape than its
    layer, or left over.
    """
    return add_modes(plain(spec, arrays))


def plain(spec: Spec, arrays: Mapping[str, NDArray[Any]]) -> ModelProto:
    """The graph of `model` without its second mode: norms measure what they are given."""
    graph = _Graph(arrays)
    match spec:
        case LightSpec():
            _light(graph, spec)
        case ResNetSpec():
            _resnet(graph, spec)
        case UNetSpec(order="lab"):
            _unet(graph, spec)
        case UNetSpec():
            _pix2pix(graph, spec)
        case _:
            raise PainterError(f"{spec} is a discriminator; give the weights of a generator.")
    return graph.finished(size_multiple(spec))


class _Graph:
    """Nodes in the order in which they were asked for, and the arrays that they take."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.left = dict(arrays)
        self.nodes: list[Any] = []
        self.initializers: dict[str, NDArray[Any]] = {}

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Name of the one output of a new node."""
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """Name of an array that is no weight; the same name gives the same array."""
        self.initializers.setdefault(name, array)
        return name

    def weight(self, name: str, *shape: int) -> str:
        """Name of a parameter of this shape."""
        array = self.left.pop(name, None)
        if array is None:
            raise PainterError(f"weight {name} of {shape} is missing; give a whole file.")
        if array.shape != shape:
            raise PainterError(f"weight {name} has the shape {array.shape}, not {shape}.")
        self.initializers[name] = np.ascontiguousarray(array, np.float32)
        return name

    def conv(
        self,
        x: str,
        layer: str,
        inputs: int,
        outputs: int,
        kernel: int,
        pad: int,
        *,
        bias: bool = True,
        stride: int = 1,
    ) -> str:
        """A convolution, padded with zeros."""
        taken = [self.weight(f"{layer}.weight", outputs, inputs, kernel, kernel)]
        taken += [self.weight(f"{layer}.bias", outputs)] if bias else []
        return self.node("Conv", x, *taken, **_window(kernel, pad, stride))

    def transposed(
        self,
        x: str,
        layer: str,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        bias: bool = True,
        more: int = 0,
    ) -> str:
        """A transposed convolution of stride 2, padded by 1. more: rows and columns to add."""
        taken = [self.weight(f"{layer}.weight", inputs, outputs, kernel, kernel)]
        taken += [self.weight(f"{layer}.bias", outputs)] if bias else []
        window = _window(kernel, 1, 2)
        return self.node("ConvTranspose", x, *taken, **window, output_padding=[more] * 2)

    def norm(self, x: str, layer: str, channels: int, *, affine: bool, epsilon: float) -> str:
        """An instance norm, with a scale and a bias of its own or with 1 and 0."""
        if affine:
            scale = self.weight(f"{layer}.weight", channels)
            bias = self.weight(f"{layer}.bias", channels)
        else:
            scale = self.constant(f"ones{channels}", np.ones(channels, np.float32))
            bias = self.constant(f"zeros{channels}", np.zeros(channels, np.float32))
        return self.node("InstanceNormalization", x, scale, bias, epsilon=epsilon)

    def padded(self, x: str, pixels: int, mode: str) -> str:
        """Height and width with pixels around: reflect or edge."""
        around = np.array([0, 0, pixels, pixels] * 2, np.int64)
        return self.node("Pad", x, self.constant(f"around{pixels}", around), mode=mode)

    def finished(self, multiple: int) -> ModelProto:
        """The model, its last node being the output. Raises PainterError for what is left over."""
        if self.left:
            raise PainterError(
                f"{len(self.left)} weights are left over, the first being {min(self.left)}; they "
                "belong to another network than their spec says."
            )
        self.nodes[-1].output[0] = "painting"
        sides: list[str | int | None] = [1, 3, f"{multiple}*height", f"{multiple}*width"]
        graph = helper.make_graph(
            self.nodes,
            "painter",
            [helper.make_tensor_value_info("photo", TensorProto.FLOAT, sides)],
            [helper.make_tensor_value_info("painting", TensorProto.FLOAT, sides)],
            [numpy_helper.from_array(array, name) for name, array in self.initializers.items()],
        )
        opset = helper.make_opsetid("", EXPORT.opset)
        return helper.make_model(
            graph, opset_imports=[opset], ir_version=EXPORT.ir_version, producer_name="pleinair"
        )


def _window(kernel: int, pad: int, stride: int) -> dict[str, list[int]]:
    return {"kernel_shape": [kernel] * 2, "pads": [pad] * 4, "strides": [stride] * 2}


# --- the generators: each as its file in networks/ has it -------------------------------------


def _light(graph: _Graph, spec: LightSpec) -> None:
    half, wide, full = spec.half_channels, spec.channels, spec.detail_channels

    def conv(x: str, layer: str, inputs: int, outputs: int, *, bias: bool = True) -> str:
        return graph.conv(x, layer, inputs, outputs, 3, 1, bias=bias)

    def normed(x: str, layer: str) -> str:
        return graph.node("Relu", graph.norm(x, layer, wide, affine=True, epsilon=1e-5))

    at_half = graph.node("Relu", conv(_unshuffled(graph, "photo", 3), "half_in", 12, half))
    y = _unshuffled(graph, at_half, half)
    y = normed(conv(y, "quarter_in", 4 * half, wide, bias=False), "quarter_norm")
    for number in range(spec.blocks):
        block = f"blocks.{number}"
        change = normed(conv(y, f"{block}.first", wide, wide, bias=False), f"{block}.norm")
        y = graph.node("Add", y, conv(change, f"{block}.second", wide, wide))
    y = graph.node("Relu", conv(_doubled(graph, y), "half_out", wide, half))
    if spec.keeps != "colours":
        y = graph.node("Add", y, at_half)
    if spec.doubling == "shuffle":
        y = graph.node("Relu", conv(y, "half_detail", half, 4 * full))
        y = graph.node("DepthToSpace", y, blocksize=2, mode="CRD")
    else:
        y = _doubled(graph, graph.node("Relu", conv(y, "half_detail", half, full)))
    base = "photo"
    if spec.keeps != "detail":
        base = graph.node("AveragePool", "photo", kernel_shape=[4, 4], strides=[4, 4])
        base = _doubled(graph, _doubled(graph, base))
    detail = conv(base, "photo_detail", 3, full, bias=False)
    y = graph.node("Relu", graph.node("Add", conv(y, "full_detail", full, full), detail))
    y = conv(y, "full_out", full, 3)
    y = graph.node("Add", y, conv(base, "photo_out", 3, 3, bias=False))
    if spec.low_pass:
        kernel = graph.constant("low_pass", _blur(LOW_PASS, 3))
        y = graph.node("Conv", graph.padded(y, 3, "reflect"), kernel, **_window(7, 0, 1), group=3)
    low = graph.constant("least", np.array(-1.0, np.float32))
    graph.node("Clip", y, low, graph.constant("most", np.array(1.0, np.float32)))


def _unshuffled(graph: _Graph, x: str, channels: int) -> str:
    """(1, C, H, W) to (1, 4C, H/2, W/2), in the order of torch's pixel_unshuffle.

    SpaceToDepth has another order.
    """
    two = graph.constant("two", np.array([2], np.int64))
    one = graph.constant("one", np.array([1], np.int64))
    height = graph.node("Div", graph.node("Shape", x, start=2, end=3), two)
    width = graph.node("Div", graph.node("Shape", x, start=3, end=4), two)
    count = graph.constant(f"channels{channels}", np.array([channels], np.int64))
    parts = graph.node("Concat", one, count, height, two, width, two, axis=0)
    split = graph.node("Transpose", graph.node("Reshape", x, parts), perm=[0, 1, 3, 5, 2, 4])
    count = graph.constant(f"channels{4 * channels}", np.array([4 * channels], np.int64))
    return graph.node("Reshape", split, graph.node("Concat", one, count, height, width, axis=0))


def _doubled(graph: _Graph, x: str) -> str:
    """Twice as high and wide, bilinear."""
    scales = graph.constant("doubling", np.array([1, 1, 2, 2], np.float32))
    return graph.node(
        "Resize", x, "", scales, mode="linear", coordinate_transformation_mode="half_pixel"
    )


def _resnet(graph: _Graph, spec: ResNetSpec) -> None:
    width = spec.channels
    layers = (f"model.{number}" for number in itertools.count())  # padding and ReLUs count, too

    def normed(x: str, channels: int) -> str:
        x = graph.norm(x, next(layers), channels, affine=spec.affine, epsilon=1e-5)
        next(layers)
        return graph.node("Relu", x)

    next(layers)
    x = graph.conv(graph.padded("photo", 3, "reflect"), next(layers), 3, width, 7, 0)
    x = normed(x, width)
    for inputs, outputs in ((width, 2 * width), (2 * width, 4 * width)):
        stride = 1 if spec.blur_down else 2
        x = normed(graph.conv(x, next(layers), inputs, outputs, 3, 1, stride=stride), outputs)
        if spec.blur_down:
            next(layers)
            x = _halved(graph, x, outputs)
    for _ in range(spec.blocks):
        x = graph.node("Add", x, _change(graph, x, f"{next(layers)}.conv_block", spec))
    for inputs, outputs in ((4 * width, 2 * width), (2 * width, width)):
        if spec.blur_up:
            next(layers)
            x = graph.conv(_blurred_up(graph, x, inputs), next(layers), inputs, outputs, 3, 1)
        else:
            x = graph.transposed(x, next(layers), inputs, outputs, 3, more=1)
        x = normed(x, outputs)
    next(layers)
    graph.node("Tanh", graph.conv(graph.padded(x, 3, "reflect"), next(layers), width, 3, 7, 0))


def _change(graph: _Graph, x: str, block: str, spec: ResNetSpec) -> str:
    """What a residual block adds."""
    wide = 4 * spec.channels
    for number, activated in ((1, True), (5, False)):
        x = graph.conv(graph.padded(x, 1, "reflect"), f"{block}.{number}", wide, wide, 3, 0)
        layer = f"{block}.{number + 1}"
        x = graph.norm(x, layer, wide, affine=spec.affine, epsilon=1e-5)
        x = graph.node("Relu", x) if activated else x
    return x


def _halved(graph: _Graph, x: str, channels: int) -> str:
    kernel = graph.constant(f"halving{channels}", _blur(HALVING_BLUR, channels))
    x = graph.padded(x, 1, "reflect")
    return graph.node("Conv", x, kernel, kernel_shape=[3, 3], strides=[2, 2], group=channels)


def _blurred_up(graph: _Graph, x: str, channels: int) -> str:
    kernel = graph.constant(f"blur{channels}", 4.0 * _blur(DOUBLING_BLUR, channels))
    more = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [3] * 4, "group": channels}
    return graph.node("ConvTranspose", graph.padded(x, 1, "edge"), kernel, **more)


def _blur(row: tuple[float, ...], channels: int) -> NDArray[np.float32]:
    line = np.array(row, np.float32) / np.float32(sum(row))
    return np.tile(np.outer(line, line), (channels, 1, 1, 1))


def _unet(graph: _Graph, spec: UNetSpec) -> None:
    widths = [spec.channels * min(2**level, 8) for level in range(spec.depth)]
    x, skips = "photo", []
    for level, (inputs, outputs) in enumerate(zip([3, *widths], widths, strict=False)):
        x = graph.conv(x, f"down.{level}.conv", inputs, outputs, 4, 1, bias=False, stride=2)
        if level:
            x = _unet_norm(graph, x, f"down.{level}.norm", outputs, spec)
        x = graph.node("LeakyRelu", x, alpha=spec.slope)
        skips.append(x)
    inputs = widths[-1]
    for level, (outputs, skip) in enumerate(zip(widths[-2::-1], skips[-2::-1], strict=True)):
        x = graph.transposed(x, f"up.{level}.conv", inputs, outputs, 4, bias=False)
        x = graph.node("Relu", _unet_norm(graph, x, f"up.{level}.norm", outputs, spec))
        x = graph.node("Concat", x, skip, axis=1)
        inputs = 2 * outputs
    graph.node("Tanh", graph.transposed(x, "last", inputs, 3, 4))


def _pix2pix(graph: _Graph, spec: UNetSpec) -> None:
    widths = [spec.channels * min(2**level, 8) for level in range(spec.depth)]
    x, skips = "photo", []
    for level, (inputs, outputs) in enumerate(zip([3, *widths], widths, strict=False)):
        x = graph.node("LeakyRelu", x, alpha=spec.slope) if level else x
        x = graph.conv(x, f"down.{level}.conv", inputs, outputs, 4, 1, stride=2)
        if 0 < level < spec.depth - 1:
            x = _unet_norm(graph, x, f"down.{level}.norm", outputs, spec)
        skips.append(x)
    inputs = widths[-1]
    for level, (outputs, skip) in enumerate(zip(widths[-2::-1], skips[-2::-1], strict=True)):
        x = graph.transposed(graph.node("Relu", x), f"up.{level}.conv", inputs, outputs, 4)
        x = _unet_norm(graph, x, f"up.{level}.norm", outputs, spec)
        x = graph.node("Concat", skip, x, axis=1)
        inputs = 2 * outputs
    graph.node("Tanh", graph.transposed(graph.node("Relu", x), "last", inputs, 3, 4))


def _unet_norm(graph: _Graph, x: str, layer: str, channels: int, spec: UNetSpec) -> str:
    return graph.norm(x, layer, channels, affine=True, epsilon=spec.norm_epsilon)
