"""`pleinair export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from pleinair.cli.terminal import give, say
from pleinair.errors import UsageError


def export(
    source: str,
    target: Path,
    /,
    *,
    precision: Literal["float32", "float16", "int8"] = "float32",
    size: str = "",
    calibrate: Path | None = None,
    step: int | None = None,
    direction: Literal["painting", "photo"] = "painting",
    licence: str = "",
    data: str = "",
    title: str = "",
    about: str = "",
    force: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Write a painter for other programs, compared with the original before it is kept.

    Parameters
    ----------
    source
        Folder of a training run, a painter's name, or its file: ours, or one that `pleinair import`
        reads, but for .onnx files of other programs.
    target
        The file to write. Its name says the kind: .onnx, .safetensors, .weights.h5 and .h5 (Keras,
        the tutorial's U-Net), .pt2 (PyTorch), .mlpackage (Core ML), .tflite (LiteRT).
    precision
        Of an .onnx file: float16 takes half the space, int8 less still, and less time.
    size
        Pixels of photos, for Core ML and LiteRT: one number, or WIDTHxHEIGHT. Default: 512.
    calibrate
        Folder of a dozen photos that int8 is fitted to. Default: pictures that are made.
    step
        Of a run: its painter at a step of which it keeps a checkpoint. Default: the best by score.
    direction
        Of a run: photo is its way back, which makes photographs of paintings.
    licence
        Licence of the painter, for its card.
    data
        What it was trained on, for its card.
    title
        What people call it, in lists and on the page. Default: by its file's name.
    about
        A sentence about it. Default: what it was trained on.
    force
        Overwrite a file that exists.
    """
    from pleinair import exports

    found = exports.export(
        source,
        target,
        precision=precision,
        size=_sides(size) if size else None,
        calibrate=calibrate,
        step=step,
        direction=direction,
        force=force,
        about={"licence": licence, "data": data, "title": title, "about": about},
    )
    say(found)
    give(target)
    return 0


def _sides(text: str) -> tuple[int, int]:
    """Width and height of `512` or `640x480`."""
    width, _, height = text.partition("x")
    if not width.isdecimal() or not (height or width).isdecimal():
        raise UsageError(f"--size {text!r} found; give pixels as 512 or as 640x480.")
    return int(width), int(height or width)
