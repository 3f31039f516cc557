"""A saved model as it was put together: layers with their variables, and models of layers.

Every room that reads a file of Keras or TensorFlow makes a tree of parts of it, without reading
numbers; what the tree is of is found out by `keras_unet`, which then reads those that it wants.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pleinair.errors import PainterError

_RUNS_TRIED = 5  # kinds of layers side by side whose order is tried out
_LONGEST = 80  # characters of a name in a sentence
_NUMBERED = re.compile(r"(.*)[_-](\d{1,9})", re.DOTALL)


@dataclass(frozen=True)
class Variable:
    """An array that is read when asked for. read raises PainterError, MissingExtraError."""

    name: str  # as `kernel` or `gamma`; a number where the file has no more
    shape: tuple[int, ...]
    read: Callable[[], NDArray[np.generic]]


@dataclass(frozen=True)
class Part:
    """A layer or a model.

    name: where it stands among its like. ordered: whether its parts stand in the order in which
    they work. called: what its maker named it, where a file tells that beside.
    """

    name: str
    variables: tuple[Variable, ...] = ()
    parts: tuple[Part, ...] = ()
    ordered: bool = True
    called: str = ""


def layers(part: Part) -> list[Part]:
    """All parts with variables of their own, as they stand."""
    own = [part] if part.variables else []
    return own + [layer for inner in part.parts for layer in layers(inner)]


def unwrapped(part: Part) -> Part:
    """The innermost part with the same layers."""
    filled = [inner for inner in part.parts if layers(inner)]
    return unwrapped(filled[0]) if len(filled) == 1 and not part.variables else part


def orders(part: Part) -> Iterator[list[Part]]:
    """The layers of a model in every order that its file leaves open.

    Keras 3 numbers layers of one class in the order in which they work, and says nothing of how
    those of two classes lie to each other.
    """
    part = unwrapped(part)
    runs: dict[str, list[Part]] = {}
    for inner in part.parts:
        if layers(inner):
            runs.setdefault(numbered(inner.name)[0], []).append(inner)
    if part.ordered or part.variables or len(runs) > _RUNS_TRIED:
        yield layers(part)
        return
    for order in itertools.permutations(runs.values()):
        yield [layer for run in order for inner in run for layer in layers(inner)]


def numbered(name: str) -> tuple[str, int]:
    """A name without its number, and the number: `conv2d_10` comes behind `conv2d_9`."""
    match = _NUMBERED.fullmatch(name)
    return (match[1], int(match[2])) if match else (name, -1)


def quoted(name: str) -> str:
    """A name out of a file, for sentences: in quotes, on one line, not too long."""
    return repr(name if len(name) <= _LONGEST else "..." + name[-_LONGEST:])


def numbers_of(variable: Variable, where: str) -> NDArray[np.float32]:
    """A variable's numbers, read and checked. where: the file, for the sentence.

    Raises PainterError for another shape than announced, and for NaN or infinity.
    """
    array = np.asarray(variable.read())
    if array.shape != variable.shape:
        raise PainterError(
            f"{where}: {quoted(variable.name)} has the shape {list(array.shape)}, and "
            f"{list(variable.shape)} is announced; get a whole copy."
        )
    numbers = array.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise PainterError(
            f"{where}: {quoted(variable.name)} holds numbers that are not finite, as training "
            "leaves them when it diverges; give an earlier checkpoint."
        )
    return numbers
