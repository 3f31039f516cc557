"""Generators of pytorch-CycleGAN-and-pix2pix and of CUT, found among tensors by their names.

Names, order of layers and shapes are those of the published code,
https://github.com/junyanz/pytorch-CycleGAN-and-pix2pix and
https://github.com/taesungp/contrastive-unpaired-translation (`models/networks.py`). What a network
is follows from them: how many blocks, how wide, with or without dropout, blurs and scaled norms.
Pure: arrays in, arrays out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pleinair.config import GeneratorSpec, ResNetSpec, UNetSpec
from pleinair.errors import PainterError
from pleinair.weights import Arrays

Tensors = Mapping[str, NDArray[Any]]
"""Floats of any precision by their full names, as `state_dict.netG_A.model.1.weight`."""


class Generator(NamedTuple):
    """One that was found: by what name, its spec, and its arrays under our parameters' names."""

    name: str
    spec: GeneratorSpec
    arrays: Arrays


# What tools wrap around a network, and its authors around its layers: no names of networks.
_WRAPPERS = frozenset(
    [
        "model",
        "module",
        "state_dict",
        "model_state_dict",
        "generator_state_dict",
        "net",
        "main",
        "weights",
        "params",
    ]
)
_DROPPED = ("running_mean", "running_var", "num_batches_tracked")
_ADVICE = "give a ResNet or U-Net generator of pytorch-CycleGAN-and-pix2pix or CUT"


def generators(tensors: Tensors, where: str) -> list[Generator]:
    """Every generator among the tensors of a file.

    where: the file, for messages. Raises PainterError where there is none, or one that differs from
    what was published.
    """
    found = []
    for prefix, kind in _roots(tensors):
        name = ".".join(part for part in prefix.split(".") if part and part not in _WRAPPERS)
        part = _Part(tensors, prefix, f"{where}, {name}" if name else where)
        spec, arrays = _resnet(part) if kind == "resnet" else _unet(part)
        part.check_all_taken()
        found.append(Generator(name, spec, arrays))
    if not found:
        raise PainterError(f"{where} holds {_stranger(tensors)}; {_ADVICE}.")
    return found


def _roots(tensors: Tensors) -> Iterator[tuple[str, str]]:
    """Where generators begin: the prefix of their layers' numbers, and which kind they are of."""
    for name, array in tensors.items():
        prefix, number, _ = _split(name)
        if number == 1 and array.ndim == 4 and array.shape[2:] == (7, 7):
            yield prefix, "resnet"
        if number == 0 and array.ndim == 4 and f"{prefix}1.model.1.weight" in tensors:
            yield prefix, "unet"


def _split(name: str) -> tuple[str, int, str]:
    """`model.1.weight` as `model.`, 1 and `weight`; -1 for what is no layer's weight."""
    found = re.fullmatch(r"(|.*\.)(\d{1,4})\.(weight)", name)
    return (found[1], int(found[2]), found[3]) if found else ("", -1, "")


class _Part:
    """The tensors of one network, each to be taken once."""

    def __init__(self, tensors: Tensors, prefix: str, where: str) -> None:
        self._left = {
            name[len(prefix) :]: array
            for name, array in tensors.items()
            if name.startswith(prefix) and not name.endswith(_DROPPED)
        }
        self.where = where

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor that has to be there, not yet taken."""
        if name not in self._left:
            raise PainterError(f"{self.where} has no {name}; {_ADVICE}.")
        return self._left[name].shape

    def take(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """A tensor of a known shape, as float32."""
        if self.shape(name) != shape:
            raise PainterError(
                f"{self.where} has {name} of shape {_times(self.shape(name))}, where "
                f"{_times(shape)} was expected; {_ADVICE}."
            )
        array = np.ascontiguousarray(self._left.pop(name), np.float32)
        wrong = array.size - int(np.isfinite(array).sum())
        if wrong:
            raise PainterError(
                f"{self.where} has {wrong} of {array.size} weights in {name} that are no numbers "
                "(NaN or infinite), with which nothing can be painted; get a whole copy, or one "
                "from before its training broke down."
            )
        return array

    def convolution(self, name: str, shape: tuple[int, ...], outputs: int) -> Arrays:
        """A layer's weight, and its bias; zeros where it has none, as before batch norms."""
        found = {"weight": self.take(f"{name}.weight", shape)}
        has = f"{name}.bias" in self
        found["bias"] = (
            self.take(f"{name}.bias", (outputs,)) if has else np.zeros(outputs, np.float32)
        )
        return found

    def norm(self, name: str, channels: int) -> Arrays:
        """A norm's own scale and bias, which it has to have."""
        return {key: self.take(f"{name}.{key}", (channels,)) for key in ("weight", "bias")}

    def drop_blur(self, name: str, channels: int, row: tuple[int, ...], gain: int) -> None:
        """An anti-aliasing kernel, which is no parameter: it has to be the binomial one."""
        kernel = np.outer(row, row) * (gain / sum(row) ** 2)
        found = self.take(f"{name}.filt", (channels, 1, len(row), len(row)))
        if np.abs(found - kernel).max() > 1e-3:
            raise PainterError(
                f"{self.where} blurs with a kernel of its own in {name}.filt, where "
                f"{len(row)}x{len(row)} binomial ones were expected; {_ADVICE}."
            )

    def check_all_taken(self) -> None:
        """Raise PainterError where something is left over: the network is another one."""
        if self._left:
            name = next(iter(self._left))
            raise PainterError(
                f"{self.where} has {name} of shape {_times(self._left[name].shape)}, which neither "
                f"published generator has; {_ADVICE}."
            )


def _rgb(part: _Part, inputs: int, outputs: int) -> None:
    if (inputs, outputs) != (3, 3):
        raise PainterError(
            f"{part.where} takes {inputs} channels and gives {outputs}; painters take and give "
            "three, red, green and blue."
        )


# --- ResNet ---------------------------------------------------------------------------------


def _resnet(part: _Part) -> tuple[ResNetSpec, Arrays]:
    """Layers are numbered, those without weights too, so that numbers tell what lies between."""
    width, inputs = part.shape("1.weight")[:2]
    blur_down = "7.filt" in part
    first = 12 if blur_down else 10
    blocks = next(n for n in range(1000) if f"{first + n}.conv_block.1.weight" not in part)
    if not blocks:
        raise PainterError(
            f"{part.where} is no ResNet of two halvings with reflected edges: it has no "
            f"{first}.conv_block.1.weight; {_ADVICE}."
        )
    up = first + blocks
    blur_up = f"{up}.filt" in part
    if not blur_up and f"{up}.weight" not in part and f"{up + 1}.weight" in part:
        raise PainterError(
            f"{part.where} enlarges by repeating or blending pixels, not by transposed "
            f"convolutions or CUT's blur; {_ADVICE}."
        )
    last = up + (9 if blur_up else 7)
    _rgb(part, inputs, part.shape(f"{last}.weight")[0])
    spec = ResNetSpec(width, blocks, blur_down, blur_up, affine="2.weight" in part)
    arrays: Arrays = {}

    def layer(at: int, shape: tuple[int, ...], outputs: int, norm: bool = True) -> None:
        _put(arrays, f"model.{at}", part.convolution(str(at), shape, outputs))
        if norm and spec.affine:
            _put(arrays, f"model.{at + 1}", part.norm(str(at + 1), outputs))

    layer(1, (width, 3, 7, 7), width)
    for level in (1, 2):
        at, outputs = (4 * level if blur_down else 1 + 3 * level), width * 2**level
        layer(at, (outputs, outputs // 2, 3, 3), outputs)
        if blur_down:
            part.drop_blur(str(at + 3), outputs, (1, 2, 1), 1)
    for number in range(first, up):
        _block(part, number, 4 * width, spec.affine, arrays)
    for level in (1, 2):
        inputs, outputs = width * 2 ** (3 - level), width * 2 ** (2 - level)
        at = up + (4 * level - 4 if blur_up else 3 * level - 3)
        if blur_up:
            part.drop_blur(str(at), inputs, (1, 3, 3, 1), 4)
        # A transposed convolution's weight has its inputs first.
        shape = (outputs, inputs, 3, 3) if blur_up else (inputs, outputs, 3, 3)
        layer(at + blur_up, shape, outputs)
    layer(last, (3, width, 7, 7), 3, norm=False)
    return spec, arrays


def _block(part: _Part, number: int, width: int, affine: bool, arrays: Arrays) -> None:
    """A residual block; dropout between its convolutions moves the second by one."""
    dropout = f"{number}.conv_block.6.weight" in part and (
        part.shape(f"{number}.conv_block.6.weight") != (width,)
    )
    for ours, theirs in ((1, 1), (5, 6 if dropout else 5)):
        name = f"{number}.conv_block"
        _put(
            arrays,
            f"model.{name}.{ours}",
            part.convolution(f"{name}.{theirs}", (width, width, 3, 3), width),
        )
        if affine:
            _put(arrays, f"model.{name}.{ours + 1}", part.norm(f"{name}.{theirs + 1}", width))


def _put(arrays: Arrays, name: str, values: Arrays) -> None:
    arrays.update({f"{name}.{key}": value for key, value in values.items()})


# --- U-Net ----------------------------------------------------------------------------------


def _unet(part: _Part) -> tuple[UNetSpec, Arrays]:
    """Blocks lie in each other: the outermost holds 0, 1 (the next), 3; others 1, 3 (the next), 5.

    The innermost, which holds no other, has its transposed convolution as 3.
    """
    width, inputs = part.shape("0.weight")[:2]
    prefixes = [""]
    while f"{(inner := _inner(prefixes))}1.weight" in part:
        prefixes.append(inner)
    depth = len(prefixes)
    _rgb(part, inputs, part.shape("3.weight")[1])
    widths = [width * min(2**level, 8) for level in range(depth)]
    _with_norms(part, prefixes[1])
    arrays: Arrays = {}
    for level, prefix in enumerate(prefixes):
        outer = widths[level - 1] if level else 3
        innermost = level == depth - 1
        down = f"{prefix}{1 if level else 0}"
        up = f"{prefix}{5 if level and not innermost else 3}"
        shape = (widths[level], outer, 4, 4)
        _put(arrays, f"down.{level}.conv", part.convolution(down, shape, widths[level]))
        if level and not innermost:
            _put(arrays, f"down.{level}.norm", _norm_or_ones(part, f"{prefix}2", widths[level]))
        # Beside what comes from the block within lies what went into it.
        shape = (widths[level] * (1 if innermost else 2), outer, 4, 4)
        ours = f"up.{depth - 1 - level}" if level else "last"
        _put(arrays, f"{ours}.conv" if level else ours, part.convolution(up, shape, outer))
        if level:
            norm = f"{prefix}{4 if innermost else 6}"
            _put(arrays, f"{ours}.norm", _norm_or_ones(part, norm, outer))
    spec = UNetSpec(width, depth, slope=0.2, norm_epsilon=1e-5, order="pix2pix")
    return spec, arrays


def _inner(prefixes: list[str]) -> str:
    """Where the block within the last of these lies."""
    return f"{prefixes[-1]}{1 if len(prefixes) == 1 else 3}.model."


def _norm_or_ones(part: _Part, name: str, channels: int) -> Arrays:
    if f"{name}.weight" in part or f"{name}.bias" in part:
        return part.norm(name, channels)
    return {"weight": np.ones(channels, np.float32), "bias": np.zeros(channels, np.float32)}


def _with_norms(part: _Part, second: str) -> None:
    """A convolution has a bias of its own, or a norm with one behind it, or there is no norm."""
    if f"{second}1.bias" not in part and f"{second}2.weight" not in part:
        raise PainterError(
            f"{part.where} is a U-Net without norms, which {_ADVICE.removeprefix('give ')} has; "
            "give another one."
        )


# --- what else it may be ---------------------------------------------------------------------


def _stranger(tensors: Tensors) -> str:
    """What tensors look like that are no generator we know."""
    names = list(tensors)
    joined = " ".join(names).lower()
    if not names:
        return "no weights"
    if any(word in joined for word in ("to_rgb", "torgb", "modulat", "mapping.")):
        return "what looks like a StyleGAN"
    if any(name.split(".")[0].startswith("mlp_") for name in names):
        return "the projection heads of CUT (net_F), no generator"
    for name, array in tensors.items():
        if _split(name)[1] == 0 and array.ndim == 4 and array.shape[2:] == (4, 4):
            return "a discriminator (net_D), no generator"
    first = names[0]
    return (
        f"{len(names)} tensors, the first {first} of shape {_times(tensors[first].shape)}, and "
        "no generator that is known"
    )


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in shape) or "()"
