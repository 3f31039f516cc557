"""`pleinair export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pleinair.cli.terminal import say, training_room


def export(
    run: Path,
    target: Path,
    /,
    *,
    licence: str = "",
    data: str = "",
    force: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Write the painter of a run as an ONNX file, checked against PyTorch.

    Parameters
    ----------
    run
        Folder of a training run, or a painter.safetensors file.
    target
        The .onnx file to write.
    licence
        Licence of the painter, for its card.
    data
        What it was trained on, for its card.
    force
        Overwrite a file that exists.
    """
    training_room()
    from pleinair.export import export_run

    difference = export_run(run, target, force, licence=licence, data=data)
    say(f"ONNX and PyTorch differ by at most {difference:.1g}.")
    print(target)
    return 0
