"""PyTorch's ExportedProgram: a graph with its weights that PyTorch runs without our code.

TorchScript, its forerunner, is deprecated. An ExportedProgram is what ExecuTorch (phones) and
AOTInductor (C++) compile from; https://docs.pytorch.org/docs/stable/export.html.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.fx.experimental import _config

from pleinair.config import size_multiple
from pleinair.engines import network_of
from pleinair.errors import ExportError
from pleinair.exports.wish import Wish
from pleinair.settings import EXPORT
from pleinair.weights import Weights

_TRACES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")


def write(painter: Weights, place: Path, wish: Wish) -> str:  # noqa: ARG001
    """Write a .pt2 file of dynamic height and width, load it and compare.

    `spec`, `card` and `pixels` are its extra files. Raises CheckpointError, ExportError.
    """
    network, multiple = network_of(painter), size_multiple(painter.spec)
    told = painter.described()
    torch.export.save(_program(network, multiple), place, extra_files=dict(told))
    found = dict.fromkeys(told, "")
    loaded = torch.export.load(place, extra_files=found).module()
    difference = largest_difference(network, loaded, multiple)
    if found != told or not difference <= EXPORT.tolerance:
        raise ExportError(
            f"ExportedProgram and PyTorch differ by {difference:.2g}, more than "
            f"{EXPORT.tolerance:g}; nothing was kept."
        )
    return f"ExportedProgram and PyTorch differ by at most {difference:.1g}."


def largest_difference(network: nn.Module, other: Any, multiple: int) -> float:
    """In units of [-1, 1], over pictures of several sizes, the smallest among them."""
    random, worst = np.random.default_rng(0), 0.0
    for rows, columns in ((1, 1), (1, 3), (2, 1)):
        sides = [max(multiple, 64 // multiple * multiple) * count for count in (rows, columns)]
        photo = torch.from_numpy(random.uniform(-1, 1, (1, 3, *sides)).astype(np.float32))
        with torch.inference_mode():
            worst = max(worst, float((network(photo) - other(photo)).abs().max()))
    return worst


def _program(network: nn.Module, multiple: int) -> torch.export.ExportedProgram:
    # Sizes that differ, so that the trace cannot take height and width for one.
    step = multiple * max(1, 32 // multiple)
    example = torch.zeros(1, 3, 2 * step, 3 * step)
    height = multiple * torch.export.Dim("height", min=1)
    width = multiple * torch.export.Dim("width", min=1)
    # Else a trace at two steps refuses one: the U-Net's innermost maps are a single pixel there.
    # Without gradients: layers take ways of their own while they train.
    settings: Any = _config
    with settings.patch(backed_size_oblivious=True), torch.no_grad():
        program = torch.export.export(network, (example,), dynamic_shapes=({2: height, 3: width},))
    for node in program.graph.nodes:  # paths and code of this machine
        for trace in _TRACES:
            node.meta.pop(trace, None)
    return program
