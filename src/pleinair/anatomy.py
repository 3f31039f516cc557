"""The layers of an ONNX painter and what each does to a photo, without the onnx package.

Of a model (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto) the graph is field 7; of a graph
nodes are field 1, initializers 5 and outputs 12. A value becomes an output when its name is added
to the latter, so that ONNX Runtime hands over what flows between layers. A layer is a convolution
with what follows it alone: norm, activation, the sum that it is added to.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pleinair.errors import PainterError
from pleinair.protobuf import field_of, messages, repeated, shape, text

_GRAPH, _NODE, _INITIALIZER, _OUTPUT = 7, 1, 5, 12
_TAKES, _GIVES, _KIND, _ATTRIBUTES = 1, 2, 4, 5  # of a node
_DIMS, _TENSOR_NAME = 1, 8  # of an initializer
_NAME, _SUBGRAPH, _INTS = 1, 6, 8  # of an attribute

_NORMS = ("InstanceNormalization", "BatchNormalization")
_ACTIVATIONS = {
    "Relu": "ReLU",
    "LeakyRelu": "leaky ReLU",
    "PRelu": "PReLU",
    "Elu": "ELU",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Clip": "cut off at both ends",
}
_FOLLOWS = (*_NORMS, *_ACTIVATIONS, "Add", "Identity")
# What may lie between two layers, in the words that tell it.
_BETWEEN = {
    "Resize": "enlarged",
    "Upsample": "enlarged",
    "Transpose": "squares of pixels side by side as channels",
    "Pad": "edges continued",
    "Conv": "blurred and halved",
    "ConvTranspose": "doubled and blurred",
    "MaxPool": "halved",
    "AveragePool": "halved",
}

Maps = NDArray[np.float32]
"""(channels, height, width): what a layer gives of one picture."""


@dataclass(frozen=True)
class Node:
    """One operator: what it takes and gives by name. An If of two modes is its norm."""

    kind: str
    takes: list[str]
    gives: str
    sizes: dict[str, list[int]] = field(default_factory=dict)  # attributes that are whole numbers


@dataclass(frozen=True)
class Graph:
    """Nodes in order, and the shapes of initializers by name."""

    nodes: list[Node]
    shapes: dict[str, list[int]]

    @property
    def makers(self) -> dict[str, Node]:
        """The node that gives a value, by its name."""
        return {node.gives: node for node in self.nodes}


@dataclass(frozen=True)
class Layer:
    """A convolution and what follows it alone.

    name: of its weight. kernel: height and width. before: words for what happened to its input on
    the way. takes: the layer that this comes from; `photo` for the photo. joins: what it is added
    to. first: the name of what the convolution itself gives; last: of what comes of it; shown: of
    what to look at, which in a sum that nothing follows is what the layer adds. parameters: with
    those of its norm.
    """

    name: str
    weight: str
    transposed: bool
    kernel: tuple[int, int]
    stride: int
    inputs: int
    outputs: int
    before: list[str]
    takes: list[str]
    joins: str
    norm: str
    activation: str
    first: str
    last: str
    shown: str
    parameters: int

    def words(self) -> str:
        """As `3x3 convolution, 64 to 64 channels, instance norm, ReLU`."""
        kind = "transposed convolution" if self.transposed else "convolution"
        step = f" of stride {self.stride}" if self.stride > 1 else ""
        told = [
            f"{self.kernel[0]}x{self.kernel[1]} {kind}{step}",
            f"{self.inputs} to {self.outputs} channels",
        ]
        return ", ".join(one for one in (*told, self.norm, self.activation) if one)


# --- reading ----------------------------------------------------------------------------------


def read(data: bytes) -> Graph:
    """The graph of a model. Raises PainterError where the bytes are none."""
    view = memoryview(data)
    nodes: list[Node] = []
    shapes: dict[str, list[int]] = {}
    try:
        for graph in messages(view, _GRAPH):
            nodes += [_node(part) for part in messages(graph, _NODE)]
            for part in messages(graph, _INITIALIZER):
                shapes[text(part, _TENSOR_NAME)] = shape(part, 0, len(part), _DIMS)
    except (ValueError, IndexError) as error:
        raise PainterError(f"the graph cannot be read ({error}); get a whole copy.") from error
    return Graph(nodes, shapes)


def _node(part: memoryview) -> Node:
    kind = text(part, _KIND)
    takes = [bytes(one).decode() for one in messages(part, _TAKES)]
    gives = next((bytes(one).decode() for one in messages(part, _GIVES)), "")
    if kind == "If":
        for attribute in messages(part, _ATTRIBUTES):
            for branch in messages(attribute, _SUBGRAPH):
                for inner in messages(branch, _NODE):
                    norm = _node(inner)
                    if norm.kind == "InstanceNormalization":
                        return Node(norm.kind, norm.takes, gives)
    sizes = {
        text(one, _NAME): list(repeated(one, 0, len(one), _INTS))
        for one in messages(part, _ATTRIBUTES)
    }
    return Node(kind, takes, gives, {name: ints for name, ints in sizes.items() if ints})


def with_outputs(data: bytes, names: Iterable[str]) -> bytes:
    """The bytes of a model that gives these values, too.

    A message that stands there twice is one: what the second adds comes behind what the first has.
    """
    more = b"".join(field_of(_OUTPUT, field_of(_NAME, name.encode())) for name in names)
    return data + field_of(_GRAPH, more)


# --- layers -----------------------------------------------------------------------------------


def layers(graph: Graph) -> list[Layer]:
    """Every convolution with what follows it alone, in the order in which they are computed."""
    makers = graph.makers
    places = {node.gives: place for place, node in enumerate(graph.nodes)}
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.takes:
            readers.setdefault(name, []).append(node)
    found: list[Layer] = []
    ends: dict[str, str] = {}  # the layer that a value is of
    for node in graph.nodes:
        if not _learns(node, graph):
            continue
        layer = _layer(node, graph, readers, places, ends, len(found) + 1)
        found.append(layer)
        for value in _between(layer.first, layer.last, makers):
            ends[value] = layer.name
    return found


def _learns(node: Node, graph: Graph) -> bool:
    """Whether this is a convolution with weights of its own, and no blur between two."""
    if node.kind not in ("Conv", "ConvTranspose") or len(node.takes) < 2:
        return False
    shape = graph.shapes.get(_weight(node.takes[1], graph), [])
    return len(shape) == 4 and not _is_blur(node, shape)


def _is_blur(node: Node, shape: list[int]) -> bool:
    # Ours have a name without a dot, which weights have, and one kernel for each channel.
    return len(node.takes) == 2 and "." not in node.takes[1] and shape[1] == 1 < shape[0]


def _weight(name: str, graph: Graph) -> str:
    """The initializer behind a value: itself, or what is read as 8 bits."""
    made = graph.makers.get(name)
    return made.takes[0] if made and made.kind == "DequantizeLinear" else name


def _layer(
    conv: Node,
    graph: Graph,
    readers: Mapping[str, list[Node]],
    places: Mapping[str, int],
    ends: Mapping[str, str],
    number: int,
) -> Layer:
    weight = _weight(conv.takes[1], graph)
    shape = graph.shapes[weight]
    transposed = conv.kind == "ConvTranspose"
    parameters = [weight, *conv.takes[2:3]]
    norm = activation = joins = ""
    added = last = conv.gives
    while len(readers.get(last, [])) == 1:
        (after,) = readers[last]
        if after.kind not in _FOLLOWS or (after.kind == "Add" and joins):
            break
        if after.kind == "Add":
            other = next((name for name in after.takes if name != last), last)
            if places.get(other, -1) > places[conv.gives] or other in graph.shapes:
                break  # whoever comes later takes the sum
            joins = " and ".join(_origin(other, graph, ends)[1])
            added = last
        elif after.kind in _NORMS and not norm:
            norm = "instance norm" if after.kind == _NORMS[0] else "batch norm"
            parameters += [name for name in after.takes[1:3] if "." in name]
        elif after.kind in _ACTIVATIONS:
            activation = _ACTIVATIONS[after.kind]
        last = after.gives
    before, takes = _origin(conv.takes[0], graph, ends)
    return Layer(
        name=_spoken(weight, number),
        weight=weight,
        transposed=transposed,
        kernel=(shape[2], shape[3]),
        stride=max(conv.sizes.get("strides", [1])),
        inputs=shape[0] if transposed else shape[1],
        outputs=shape[1] if transposed else shape[0],
        before=before,
        takes=takes,
        joins=joins,
        norm=norm,
        activation=activation,
        first=conv.gives,
        last=last,
        shown=added if graph.makers[last].kind == "Add" else last,
        parameters=sum(math.prod(graph.shapes.get(name, [0])) for name in parameters),
    )


def _spoken(weight: str, number: int) -> str:
    name = weight.removesuffix("_quantized").removesuffix(".weight").removesuffix(".conv")
    name = name.removeprefix("own.")
    return name if "." in weight and "::" not in name else f"convolution {number}"


def _between(first: str, last: str, makers: Mapping[str, Node]) -> list[str]:
    """Names of the values from one to another, which follows it alone."""
    found = [last]
    while found[-1] != first:
        node = makers[found[-1]]
        if node.kind == "Add":
            # The side that goes back to where the layer began.
            nexts = [name for name in node.takes if _reaches(name, first, makers)]
            found.append(nexts[0])
        else:
            found.append(node.takes[0])
    return found


def _reaches(name: str, first: str, makers: Mapping[str, Node]) -> bool:
    while name != first:
        node = makers.get(name)
        if node is None or node.kind not in (*_NORMS, *_ACTIVATIONS, "Identity"):
            return False
        name = node.takes[0]
    return True


def _origin(name: str, graph: Graph, ends: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """What happened on the way to a value, and the layers or the photo that it comes from."""
    before: list[str] = []
    takes: list[str] = []
    makers, left, seen = graph.makers, [name], set()
    while left:
        value = left.pop(0)
        if value in seen or value in graph.shapes or not value:
            continue
        seen.add(value)
        node = makers.get(value)
        if value in ends:
            takes.append(ends[value])
        elif node is None:
            takes.append("photo")
        else:
            if node.kind in _BETWEEN and _BETWEEN[node.kind] not in before:
                before.insert(0, _BETWEEN[node.kind])
            if node.kind in _ACTIVATIONS:
                before.insert(0, _ACTIVATIONS[node.kind])
            many = node.kind in ("Add", "Concat", "Mul", "Sub")
            left += node.takes if many else node.takes[:1]
    return before, list(dict.fromkeys(takes))
