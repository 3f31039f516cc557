"""What a Keras configuration says beside the weights: it is JSON, and read as data only.

A model's configuration lists its layers with their settings and with the layers that each reads
(https://keras.io/guides/serialization_and_saving/). From the output back to the input, the
lab's U-Net is followed through it, and anything else is refused; nothing in it is ever called, a
Lambda layer's code least of all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pleinair import parsing

_MODELS = ("Functional", "Model", "Sequential")
_NORMS = ("InstanceNormalization", "GroupNormalization")
_ASLEEP = ("Dropout", "SpatialDropout2D", "GaussianNoise", "Identity")  # when a picture is painted
_PLACES = 6  # decimals of a slope, which goes through float32 on its way to a file


@dataclass(frozen=True)
class Facts:
    """What weights do not tell; None where nothing tells it.

    skips_first: of each transposed convolution behind a concatenation, the innermost first,
    whether it reads the skip before what comes from below. Empty: none does.
    """

    slope: float | None = None
    epsilon: float | None = None
    skips_first: tuple[bool, ...] = ()


@dataclass(eq=False)
class _Op:
    """A layer at work, and what it reads."""

    kind: str
    settings: dict[str, Any]
    inputs: list[_Op] = field(default_factory=list)


def parse(text: str | bytes) -> Any:
    """JSON as data. Raises ValueError."""
    return parsing.json_of(text, _plain)


def _plain(value: dict[str, Any]) -> Any:
    """A tuple as SavedModels write it, as the list that it is everywhere else."""
    return value.get("items") if value.get("class_name") == "__tuple__" else value


def facts(config: Any) -> Facts:
    """What the configuration of a U-Net says, or of a model that holds some.

    Raises ValueError, saying what is not as the lab's U-Net has it.
    """
    try:
        if isinstance(config, dict) and _kind(config) in _MODELS:
            return _facts(config)
        return _agreed(list(_models(config)))
    except RecursionError as error:
        raise ValueError("its configuration is nested too deeply") from error


def name(config: Any) -> str:
    """What a model is called, or nothing."""
    inner = config.get("config") if isinstance(config, dict) else None
    found = inner.get("name") if isinstance(inner, dict) else None
    return found if isinstance(found, str) else ""


def _facts(model: dict[str, Any]) -> Facts:
    """What one model's says. Raises ValueError."""
    try:
        return _followed(_output(model))
    except (KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
        raise ValueError(f"its configuration is none of Keras ({error!r:.80})") from error


def _agreed(models: list[dict[str, Any]]) -> Facts:
    """What all generators among these say."""
    said, refused = set(), []
    for model in models:
        try:
            said.add(_facts(model))
        except ValueError as error:
            # Blocks and discriminators are none; what makes pictures should have been one.
            if _kind(model) != "Sequential" and "Conv2DTranspose" in json.dumps(model):
                refused.append(error)
    if not said and refused:
        raise refused[0]
    if len(said) > 1:
        raise ValueError("its configurations contradict each other")
    return said.pop() if said else Facts()


# --- from JSON to what reads what -----------------------------------------------------------


def _models(config: Any) -> Iterator[dict[str, Any]]:
    """Configurations of models in that of something else."""
    if isinstance(config, dict):
        if _kind(config) in _MODELS:
            yield config
            return
        for value in config.values():
            yield from _models(value)
    elif isinstance(config, list):
        for value in config:
            yield from _models(value)


def _kind(layer: dict[str, Any]) -> str:
    """A layer's class without the package that it was registered under."""
    found = layer.get("class_name")
    return found.rsplit(">", 1)[-1] if isinstance(found, str) else ""


def _output(model: dict[str, Any]) -> _Op:
    return _applied(model, [_Op("InputLayer", {})])


def _applied(layer: dict[str, Any], inputs: list[_Op]) -> _Op:
    """What comes of a layer or a model that reads these."""
    kind, settings = _kind(layer), layer["config"]
    if kind == "Sequential":
        # Keras 1 has the list alone.
        inner = settings if isinstance(settings, list) else settings["layers"]
        (found,) = inputs
        for one in inner:
            found = found if _kind(one) == "InputLayer" else _applied(one, [found])
        return found
    if kind in _MODELS:
        return _graph(settings, inputs)
    return _Op(kind, settings, inputs)


def _graph(settings: dict[str, Any], inputs: list[_Op]) -> _Op:
    """The output of a functional model; Keras lists its layers in the order of their work."""
    ops: dict[str, _Op] = {}
    for layer in settings["layers"]:
        if _kind(layer) == "InputLayer":
            (ops[layer["name"]],) = inputs
            continue
        if len(layer["inbound_nodes"]) != 1:
            raise ValueError(f"its layer {layer['name']!r:.80} works more than once")
        ops[layer["name"]] = _applied(layer, [ops[name] for name in _read(layer["inbound_nodes"])])
    (output,) = _read(settings["output_layers"])
    return ops[output]


def _read(node: Any) -> list[str]:
    """Names of the layers that a node reads: [name, number, number, ...] at any depth."""
    if isinstance(node, dict):
        return [name for value in node.values() for name in _read(value)]
    if not isinstance(node, list):
        return []
    if len(node) >= 3 and isinstance(node[0], str) and isinstance(node[1], int):
        return [node[0]]
    return [name for value in node for name in _read(value)]


# --- along the U-Net, from its output to its input ------------------------------------------


@dataclass
class _Said:
    """Settings that must be the same all over the network."""

    slopes: set[float] = field(default_factory=set)
    epsilons: set[float] = field(default_factory=set)


def _followed(output: _Op) -> Facts:
    """Facts of the network that ends here. Raises ValueError."""
    said = _Said()
    op = _awake(output)
    ends = op.kind == "Activation"
    if ends:
        op = _activation(op, "tanh")
    op = _convolution(op, "Conv2DTranspose", "linear" if ends else "tanh")
    merges: list[tuple[_Op, bool]] = []  # outermost first
    while op.kind == "Concatenate":
        skip, first, op = _merged(op)
        merges.append((skip, first))
        op = _norm(_relu(op), said)
        op = _convolution(op, "Conv2DTranspose", "linear")
    downs: list[_Op] = []  # innermost first
    while op.kind != "InputLayer":
        downs.append(op)
        op = _leaky(op, said)
        op = _norm(op, said) if op.kind in _NORMS else op
        op = _convolution(op, "Conv2D", "linear")
    if [skip for skip, _ in merges] != downs[:0:-1]:
        raise ValueError("its skips do not join what is of one size")
    if len(said.slopes) != 1 or len(said.epsilons) > 1:
        raise ValueError("its layers of one kind have different slopes or epsilons")
    firsts = tuple(first for _, first in reversed(merges))
    epsilon = said.epsilons.pop() if said.epsilons else None
    return Facts(said.slopes.pop(), epsilon, firsts if any(firsts) else ())


def _awake(op: _Op) -> _Op:
    while op.kind in _ASLEEP:
        (op,) = op.inputs
    return op


def _before(op: _Op) -> _Op:
    (found,) = op.inputs
    return _awake(found)


def _expect(op: _Op, *kinds: str) -> None:
    if op.kind not in kinds:
        raise ValueError(f"its configuration has {op.kind[:60]!r} where {kinds[0]} belongs")


def _convolution(op: _Op, kind: str, activation: str) -> _Op:
    _expect(op, kind)
    wanted = {
        "kernel_size": [4, 4],
        "strides": [2, 2],
        "dilation_rate": [1, 1],
        "padding": "same",
        "data_format": "channels_last",
        "groups": 1,
        "output_padding": None,
    }
    for setting, value in wanted.items():
        found = op.settings.get(setting, value)
        if found != value:
            raise ValueError(f"its {kind} has {setting} {found!r:.60}, and {value!r} is the lab's")
    found = _function(op.settings.get("activation", "linear"))
    if found != activation:
        raise ValueError(f"its {kind} ends in {found!r:.60}, and {activation!r} is the lab's")
    return _before(op)


def _function(activation: Any) -> Any:
    """An activation's name, plain or as Keras 3 writes a function."""
    return activation.get("config") if isinstance(activation, dict) else activation or "linear"


def _activation(op: _Op, function: str) -> _Op:
    found = _function(op.settings["activation"])
    if found != function:
        raise ValueError(f"its configuration has {found!r:.60} where {function} belongs")
    return _before(op)


def _relu(op: _Op) -> _Op:
    op = _awake(op)
    if op.kind == "Activation":
        return _activation(op, "relu")
    _expect(op, "ReLU")
    for setting in ("max_value", "negative_slope", "threshold"):
        if op.settings.get(setting):
            raise ValueError(f"its ReLU has a {setting}")
    return _before(op)


def _leaky(op: _Op, said: _Said) -> _Op:
    _expect(op, "LeakyReLU")
    slope = op.settings["alpha"] if "alpha" in op.settings else op.settings["negative_slope"]
    if not 0 <= float(slope) <= 1:
        raise ValueError(f"its LeakyReLU has the slope {slope!r:.60}")
    said.slopes.add(round(float(slope), _PLACES))
    return _before(op)


def _norm(op: _Op, said: _Said) -> _Op:
    _expect(op, *_NORMS)
    if op.settings.get("axis", -1) not in (-1, 3):
        raise ValueError(f"its {op.kind} works along axis {op.settings['axis']!r:.60}")
    before = _before(op)
    groups = op.settings.get("groups", -1)
    if groups not in (-1, before.settings.get("filters")):
        raise ValueError(f"its {op.kind} has {groups!r:.60} groups, and one a channel is the lab's")
    epsilon = op.settings.get("epsilon")
    if epsilon is not None:
        if not 0 < float(epsilon) < 1:
            raise ValueError(f"its {op.kind} has the epsilon {epsilon!r:.60}")
        said.epsilons.add(round(float(epsilon), 9))
    return before


def _merged(op: _Op) -> tuple[_Op, bool, _Op]:
    """A concatenation's skip, whether it comes first, and the other."""
    if op.settings.get("axis", -1) not in (-1, 3) or len(op.inputs) != 2:
        raise ValueError("its Concatenate does not join the channels of two")
    first, second = (_awake(one) for one in op.inputs)
    if first.kind == "LeakyReLU":
        return first, True, second
    return second, False, first
