"""Keras' HDF5 files of both layouts, as parts.

The older one (Keras 1 and 2, and `model.save("x.h5")` to this day): attributes `layer_names` and
`weight_names` list layers and weights in the order in which they work; a whole model has them
in the group `model_weights`, and its configuration in the attribute `model_config`
(https://keras.io/2.16/api/models/model_saving_apis/ and keras/src/legacy/saving/legacy_h5_format.py
in https://github.com/keras-team/keras). The newer one (`.weights.h5`): groups within groups, as
attributes of Python objects are named, numbers in `vars` (keras/src/saving/saving_lib.py there).
"""

from __future__ import annotations

from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

from pleinair.errors import PainterError
from pleinair.foreign import keras_config
from pleinair.foreign.hdf5 import Group
from pleinair.foreign.parts import Part, Variable, numbered

_DEPTH = 12  # of models in models
_ELSEWHERE = ("optimizer", "metrics", "seed_generator")


def is_older(root: Group) -> bool:
    """Whether a file has the older layout."""
    return "model_weights" in root.names() or root.texts("layer_names") is not None


def config(root: Group, name: str) -> Any:
    """A whole model's configuration; None where the file has weights alone."""
    text = root.text("model_config")
    if text is None:
        return None
    try:
        return keras_config.parse(text)
    except ValueError as error:
        raise PainterError(
            f"{name} is damaged: its configuration is no JSON ({error}); get a whole copy."
        ) from error


# --- the older layout -----------------------------------------------------------------------


def older(root: Group, name: str) -> Part:
    """All layers as a file of the older layout lists them."""
    group = root.group("model_weights") if "model_weights" in root.names() else root
    layers = group.texts("layer_names")
    if layers is None:
        raise PainterError(f"{name} lists no layers; give a file that Keras wrote.")
    return Part("", parts=tuple(_listed(group.group(layer), layer) for layer in layers))


def _listed(group: Group, name: str) -> Part:
    """A layer, or a model whose weights are listed one after another."""
    paths = [PurePosixPath(path) for path in group.texts("weight_names") or []]
    parts = []
    for owner, weights in groupby(paths, lambda path: path.parent):
        variables = tuple(
            group.variable(str(path), path.name.partition(":")[0]) for path in weights
        )
        parts.append(Part(str(owner), variables))
    return Part(name, parts=tuple(parts))


# --- the newer layout -----------------------------------------------------------------------


def newer(group: Group, name: str = "", depth: int = 0) -> Part:
    """A model, a list of layers or a layer."""
    if depth > _DEPTH:
        raise PainterError(f"{name} lies in more than {_DEPTH} models; get another copy.")
    variables: list[Variable] = []
    parts: list[Part] = []
    called = ""
    for inner, found in sorted(group.groups().items(), key=lambda one: numbered(one[0])):
        if inner == "vars":
            numbers = sorted(found.names(), key=lambda one: (len(one), one))
            variables = [found.variable(number, number) for number in numbers]
            called = found.text("name") or ""
        elif not any(word in inner for word in _ELSEWHERE):
            parts.append(newer(found, inner, depth + 1))
    return Part(name, tuple(variables), tuple(parts), ordered=False, called=called)
