"""The object graph of a checkpoint of TensorFlow 2, as parts.

Message TrackableObjectGraph of
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/trackable_object_graph.proto:
nodes (1), each with children (1: number 1 of a node, name 2) and with values (2: name 1, full
name 2, key in the bundle 3). One object may be the child of many, and of itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import PurePosixPath
from typing import final

from pleinair import protobuf
from pleinair.errors import PainterError
from pleinair.foreign.bundle import Bundle
from pleinair.foreign.parts import Part, Variable, numbered

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"
_FLOATS = (1, 2, 14, 19)  # float32, float64, bfloat16, float16 of types.proto
_ELSEWHERE = (
    *("optimizer", "keras_api", "signatures", "save_counter", "losses", "metrics"),
    *("_all_variables", "trainable_variables"),
)
# Where Keras keeps a model's layers in the order of their work: Keras 3 here, 2 by their names.
_KERAS_3 = ("_operations", "_functional")
_KERAS_2 = "layer_with_weights"
_ALL = "variables"
_DEPTH = 40


@dataclass(frozen=True)
class _Node:
    children: list[tuple[str, int]]
    full_name: str
    key: str  # empty: it has no value


def tree(bundle: Bundle, name: str) -> Part:
    """All layers of what a checkpoint was made of, none twice. name: for sentences.

    Raises PainterError, MissingExtraError.
    """
    if _GRAPH not in bundle.entries:
        raise PainterError(
            f"{name} says nothing of layers, as TensorFlow 1 wrote it; save the model again with "
            "TensorFlow 2 or Keras."
        )
    try:
        view = memoryview(bundle.text(_GRAPH))
        nodes = [_node(message) for message in protobuf.messages(view, 1)]
        if any(not 0 <= child < len(nodes) for node in nodes for _, child in node.children):
            raise ValueError("an object that does not exist has a name")
        if any(node.key and node.key not in bundle.entries for node in nodes):
            raise ValueError("a variable of it has no tensor")
        return _Tree(bundle, nodes).part("", 0, 0)
    except (ValueError, IndexError) as error:
        raise PainterError(
            f"{name}: its object graph is damaged ({error}); get a whole copy."
        ) from error


def _node(message: memoryview) -> _Node:
    children = [
        (protobuf.text(child, 2), protobuf.numbers(child).get(1, 0))
        for child in protobuf.messages(message, 1)
    ]
    for value in protobuf.messages(message, 2):
        if protobuf.text(value, 1) == _VALUE:
            return _Node(children, protobuf.text(value, 2), protobuf.text(value, 3))
    return _Node(children, "", "")


def _in_order(children: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Children that may have weights, in the order of their work where it is known."""
    for name in _KERAS_3:
        found = [child for child in children if child[0] == name]
        if found:
            return found
    layers = [child for child in children if numbered(child[0])[0] == _KERAS_2]
    if layers:
        return sorted(layers, key=lambda child: numbered(child[0]))
    wanted = [child for child in children if not any(word in child[0] for word in _ELSEWHERE)]
    if all(name.isdecimal() for name, _ in wanted):
        return sorted(wanted, key=lambda child: (len(child[0]), child[0]))
    # All variables once more, in one list; in what `Model.export` writes, the only one.
    return sorted(wanted, key=lambda child: child[0] == _ALL)


@final
class _Tree:
    """A graph, walked from its root; what was seen is not visited again."""

    def __init__(self, bundle: Bundle, nodes: list[_Node]) -> None:
        self._bundle = bundle
        self._nodes = nodes
        self._seen: set[int] = set()

    def part(self, name: str, number: int, depth: int) -> Part:
        """An object with all that it has and that was not seen in another."""
        if depth > _DEPTH:
            raise ValueError(f"more than {_DEPTH} objects within each other")
        self._seen.add(number)
        variables: list[tuple[str, Variable]] = []
        parts: list[Part] = []
        for child, at in _in_order(self._nodes[number].children):
            node = self._nodes[at]
            if at in self._seen:
                continue
            if not node.key:
                parts.append(self.part(child, at, depth + 1))
                continue
            self._seen.add(at)
            if self._bundle.entries[node.key].kind in _FLOATS:
                variables.append((node.full_name, self._variable(child, node.key)))
        if variables and all(variable.name.isdecimal() for _, variable in variables):
            return Part(name, parts=(*_by_owner(variables), *parts))
        return Part(name, tuple(variable for _, variable in variables), tuple(parts))

    def _variable(self, name: str, key: str) -> Variable:
        return Variable(name, self._bundle.entries[key].shape, lambda: self._bundle.read(key))


def _by_owner(variables: list[tuple[str, Variable]]) -> list[Part]:
    """The layers of a bare list of variables, by their full names: `sequential/conv2d/kernel`."""
    named = [(PurePosixPath(full_name), variable) for full_name, variable in variables]
    return [
        Part(str(owner), tuple(replace(variable, name=path.name) for path, variable in own))
        for owner, own in groupby(named, lambda one: one[0].parent)
    ]
