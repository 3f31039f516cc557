"""The lab's U-Net among the parts of a saved Keras model, by the shapes of its weights.

The tutorial "Monet CycleGAN" (Amy Jang 2020,
https://www.kaggle.com/code/amyjang/monet-cyclegan-tutorial) and TensorFlow's own
(`pix2pix.unet_generator` of https://github.com/tensorflow/examples) build the same network.
Keras keeps the weights of a convolution as height, width, inputs, outputs, and those of a
transposed one as height, width, outputs, inputs (https://keras.io/api/layers/convolution_layers/);
PyTorch has outputs, inputs and inputs, outputs in front, so that one exchange of axes serves both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pleinair.config import UNetSpec
from pleinair.foreign.keras_config import Facts
from pleinair.foreign.parts import Part, Variable, layers, numbers_of, orders, quoted, unwrapped
from pleinair.weights import Arrays

_SCALES = ("gamma", "scale", "0")
_SHIFTS = ("beta", "offset", "1")
_LISTS = ("layers", "_layer_checkpoint_dependencies")  # no names of anybody's
_KERNEL = 4
_MAX_DEPTH = 10
_TUTORIAL_EPSILON = 1e-5  # of TensorFlow's tutorial, whose norms call their weights by other names


@dataclass(frozen=True)
class Network:
    """A U-Net of a file: where it stands in it, its spec, its arrays."""

    name: str  # names of the parts that lead to it, with / between
    spec: UNetSpec
    arrays: Arrays


@dataclass(frozen=True)
class _Norm:
    scale: Variable
    shift: Variable


@dataclass(frozen=True)
class _Layers:
    """The layers of a model in order, kind by kind."""

    kernels: list[Variable]
    biases: list[Variable | None]  # of each kernel
    norms: list[_Norm]


def networks(root: Part, facts: Facts, where: str) -> list[Network]:
    """Every U-Net in a saved model. where: the file, for sentences. Raises PainterError."""
    return list(_search(root, "", facts, where))


def discriminators(root: Part) -> int:
    """How many of a model's parts make a map of single logits."""
    return sum(
        any(
            len(v.shape) == 4 and v.shape[3] == 1 for layer in layers(part) for v in layer.variables
        )
        and _recognised(part, Facts()) is None
        for part in unwrapped(root).parts
    )


def described(root: Part) -> str:
    """What a model is made of, in short, where it is not the U-Net."""
    found = layers(root)
    kernels = [v for layer in found for v in layer.variables if len(v.shape) == 4]
    others = [layer for layer in found if not any(len(v.shape) == 4 for v in layer.variables)]
    names = sorted({quoted(layer.name) for layer in others})
    parts = [f"{len(kernels)} convolutions"] if kernels else []
    if kernels:
        shapes = ["x".join(map(str, kernel.shape)) for kernel in kernels]
        parts[0] += f" ({shapes[0]} ... {shapes[-1]})" if len(shapes) > 1 else f" ({shapes[0]})"
    if others:
        listed = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
        parts.append(f"{len(others)} other layers ({listed})")
    return " and ".join(parts) or "no weights"


def _search(part: Part, name: str, facts: Facts, where: str) -> Iterator[Network]:
    recognised = _recognised(part, facts)
    if recognised:
        found, spec = recognised
        yield Network(name, spec, _arrays(found, spec, facts, where))
        return
    for inner in part.parts:
        called = "" if inner.name in _LISTS else inner.called or inner.name
        yield from _search(inner, "/".join(filter(None, (name, called))), facts, where)


def _recognised(part: Part, facts: Facts) -> tuple[_Layers, UNetSpec] | None:
    """A part's layers and spec, if it is a U-Net."""
    kernels = sum(len(v.shape) == 4 for layer in layers(part) for v in layer.variables)
    if kernels % 2 or not 2 <= kernels // 2 <= _MAX_DEPTH:
        return None
    for order in orders(part):
        found = _sort(order)
        spec = _spec(found, facts) if found else None
        if found and spec:
            return found, spec
    return None


def _sort(order: list[Part]) -> _Layers | None:
    """Layers kind by kind; None where one is of another kind."""
    found = _Layers([], [], [])
    for layer in order:
        kernels = [v for v in layer.variables if len(v.shape) == 4]
        vectors = [v for v in layer.variables if len(v.shape) == 1]
        if len(kernels) + len(vectors) != len(layer.variables) or len(kernels) > 1:
            return None
        if kernels and len(vectors) <= 1:
            found.kernels.append(kernels[0])
            found.biases.append(vectors[0] if vectors else None)
            continue
        scale = [v for v in vectors if v.name in _SCALES]
        shift = [v for v in vectors if v.name in _SHIFTS]
        if kernels or len(vectors) != 2 or len(scale) != 1 or len(shift) != 1:
            return None
        found.norms.append(_Norm(scale[0], shift[0]))
    return found


def _spec(found: _Layers, facts: Facts) -> UNetSpec | None:
    """The spec whose network has exactly these layers; None where none has."""
    spec = UNetSpec(channels=found.kernels[0].shape[3], depth=len(found.kernels) // 2)
    kernels, norms = _shapes(spec)
    if [kernel.shape for kernel in found.kernels] != kernels:
        return None
    if [(norm.scale.shape, norm.shift.shape) for norm in found.norms] != [
        ((width,), (width,)) for width in norms
    ]:
        return None
    *others, last = found.biases
    if any(others) or last is None or last.shape != (3,):
        return None
    tutorial = found.norms[0].scale.name == "scale"
    epsilon = _TUTORIAL_EPSILON if tutorial else spec.norm_epsilon
    return replace(
        spec,
        slope=spec.slope if facts.slope is None else facts.slope,
        norm_epsilon=epsilon if facts.epsilon is None else facts.epsilon,
    )


def _shapes(spec: UNetSpec) -> tuple[list[tuple[int, ...]], list[int]]:
    """Shapes of all kernels as Keras keeps them, and channels of all norms, in order."""
    widths = [spec.channels * min(2**level, 8) for level in range(spec.depth)]
    outs = [*widths[-2::-1], 3]
    ins = [widths[-1], *(2 * width for width in outs[:-1])]
    downs = zip([3, *widths[:-1]], widths, strict=True)
    kernels: list[tuple[int, ...]] = [(_KERNEL, _KERNEL, one, other) for one, other in downs]
    kernels += [(_KERNEL, _KERNEL, out, into) for out, into in zip(outs, ins, strict=True)]
    return kernels, [*widths[1:], *outs[:-1]]


def _arrays(found: _Layers, spec: UNetSpec, facts: Facts, where: str) -> Arrays:
    """By parameter names of `networks.unet`."""
    depth = spec.depth
    names = [f"down.{level}" for level in range(depth)]
    names += [f"up.{level}" for level in range(depth - 1)]
    arrays: Arrays = {}
    for place, (name, kernel) in enumerate(zip([*names, "last"], found.kernels, strict=True)):
        numbers = numbers_of(kernel, where)
        if place > depth and facts.skips_first and facts.skips_first[place - depth - 1]:
            numbers = _skip_behind(numbers)
        key = f"{name}.weight" if name == "last" else f"{name}.conv.weight"
        arrays[key] = np.ascontiguousarray(numbers.transpose(3, 2, 0, 1))
    for name, norm in zip(names[1:], found.norms, strict=True):
        arrays[f"{name}.norm.weight"] = numbers_of(norm.scale, where)
        arrays[f"{name}.norm.bias"] = numbers_of(norm.shift, where)
    last = found.biases[-1]
    if last is not None:
        arrays["last.bias"] = numbers_of(last, where)
    return arrays


def _skip_behind(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """A transposed kernel that reads the skip first, as one that reads it behind the other half.

    Both halves are of one width.
    """
    half = kernel.shape[3] // 2
    return np.concatenate([kernel[..., half:], kernel[..., :half]], axis=3)
