"""A trained painter as an ONNX file, checked against PyTorch before it is kept."""

from __future__ import annotations

import datetime
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pleinair import files, weights
from pleinair.config import Spec, size_multiple
from pleinair.errors import CheckpointError, ExportError, OutputError
from pleinair.networks import build
from pleinair.painter import Painter
from pleinair.runtime import Measuring
from pleinair.settings import EXPORT
from pleinair.weights import Weights


def export_run(run: Path, target: Path, force: bool = False, **about: str) -> float:
    """Export the painter of a run, or a weights file of ours; return the largest difference.

    about: what to add to the card, as licence="CC0-1.0". Raises CheckpointError where the run
    holds no painter, PainterError for a damaged one, OutputError, ExportError.
    """
    if target.suffix != ".onnx":
        raise OutputError(f"{target} must end in .onnx.")
    files.check_free(target, force)
    source = run / "painter.safetensors" if run.is_dir() else run
    if not source.is_file():
        raise CheckpointError(f"{run} holds no painter yet; train until the first checkpoint.")
    loaded = weights.load(source)
    network = build(loaded.spec)
    try:
        network.load_state_dict({k: torch.from_numpy(v) for k, v in loaded.arrays.items()})
    except RuntimeError as error:
        raise CheckpointError(f"{source} does not fit its own spec ({error}).") from error
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    card = {**loaded.card, "exported": today, **{k: v for k, v in about.items() if v}}
    return export(network, loaded.spec, card, target)


def export(network: nn.Module, spec: Spec, card: dict[str, Any], target: Path) -> float:
    """Write an ONNX file of dynamic height and width; return the largest difference to PyTorch.

    Input `photo` and output `painting`: float32 (1, 3, H, W) in [-1, 1]. Both modes of `modes` are
    in it and checked. Metadata: `spec` and `card` as JSON, `pixels` in words. Raises ExportError
    beyond EXPORT.tolerance, OutputError.
    """
    from pleinair import graphs

    network.eval()
    arrays = {name: value.numpy(force=True) for name, value in network.state_dict().items()}
    data = graphs.painter(Weights(spec, arrays, card))
    handle, name = tempfile.mkstemp(suffix=".onnx")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        difference = compare(network, Painter.load(Path(name)), size_multiple(spec))
    finally:
        os.unlink(name)
    if not difference <= EXPORT.tolerance:
        raise ExportError(
            f"ONNX and PyTorch differ by {difference:.2g}, more than {EXPORT.tolerance:g}; "
            "nothing was written."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(target, data)
    except OSError as error:
        raise OutputError(f"{target} cannot be written ({error.strerror or error}).") from error
    return difference


def compare(network: nn.Module, painter: Painter, multiple: int) -> float:
    """Largest absolute difference between PyTorch and ONNX over several sizes, in either mode."""
    random = np.random.default_rng(0)
    worst = 0.0
    for height, width in ((64, 64), (256, 256), (132, 260), (96, 512)):
        height, width = (max(multiple, n // multiple * multiple) for n in (height, width))
        photo = random.uniform(-1, 1, (1, 3, height, width)).astype(np.float32)
        with torch.inference_mode():
            expected = network(torch.from_numpy(photo)).numpy()
        engines = [painter.engine]
        if isinstance(painter.engine, Measuring):
            engines.append(painter.engine.fixed(painter.engine.measure(photo)))
        for engine in engines:
            worst = max(worst, float(np.abs(engine(photo) - expected).max()))
    return worst
