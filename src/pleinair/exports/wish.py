"""What is asked of an export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pleinair.settings import EXPORT

Precision = Literal["float32", "float16", "int8"]


@dataclass(frozen=True)
class Wish:
    """How a painter is to be written.

    precision: of an .onnx file's weights. size: width and height in pixels, for kinds of files
    that take one size only. calibrate: a folder of photos that int8 takes its ranges from; None:
    pictures of `leaves`.
    """

    precision: Precision = "float32"
    size: tuple[int, int] = (EXPORT.side, EXPORT.side)
    calibrate: Path | None = None
