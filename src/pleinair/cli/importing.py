"""`pleinair import`, whose own name would be no name of a module."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from pleinair.cli.terminal import give, say


def import_(
    source: Path,
    /,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    network: str | None = None,
    values: Literal["-1..1", "0..1", "0..255"] | None = None,
    licence: str = "",
    force: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Make a painter of weights that another program trained.

    Parameters
    ----------
    source
        File or folder: .h5, .weights.h5, .keras, a SavedModel, a checkpoint, .pth, .safetensors,
        .onnx. What is in it is worked out from its contents.
    out
        The .onnx file to write. Default: its name with .onnx, in the current folder.
    network
        Which of several networks in a file. Default: the one that makes paintings.
    values
        Between which numbers an .onnx file takes and gives pixels. Default: found out by trying.
    licence
        Licence of the weights, for the painter's card.
    force
        Overwrite a file that exists.
    """
    from pleinair.importing import import_painter

    done = import_painter(source, out, network=network, values=values, licence=licence, force=force)
    for line in done.lines():
        say(line)
    say(f"it paints with `pleinair paint PHOTO --painter {shlex.quote(str(done.path))}`")
    give(done.path)
    return 0
