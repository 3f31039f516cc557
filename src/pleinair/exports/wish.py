"""What is asked of an export, and what every exported file says of its painter."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pleinair.config import LightSpec, ResNetSpec, Spec, UNetSpec
from pleinair.recipes import spec_to_dict
from pleinair.settings import EXPORT
from pleinair.weights import Weights

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


def described(painter: Weights, pixels: str) -> dict[str, str]:
    """What every kind of file says of its painter, in whatever place it has for words.

    pixels: what goes in and comes out, as PIXEL_CONTRACT says it.
    """
    return {
        "spec": json.dumps(spec_to_dict(painter.spec)),
        "card": json.dumps(painter.card),
        "pixels": pixels,
    }


def name_of(spec: Spec) -> str:
    """What people call the network of a spec."""
    match spec:
        case LightSpec():
            return "light"
        case ResNetSpec():
            return "resnet"
        case UNetSpec():
            return "unet"
        case _:
            return "discriminator"
