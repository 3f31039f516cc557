"""Core ML for iPhones, iPads and Macs: an image in, an image out, of one size.

An MLProgram by coremltools, float32. Core ML itself runs on macOS only, so the comparison does.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pleinair.exports import fixed
from pleinair.exports.fixed import quiet

with quiet():  # it says which of its parts are for macOS, and which PyTorch it knows
    import coremltools

from pleinair import images, leaves
from pleinair.engines import network_of
from pleinair.errors import ExportError
from pleinair.exports.wish import Wish
from pleinair.settings import EXPORT, PIXEL_CONTRACT_IMAGE
from pleinair.weights import Weights


def write(painter: Weights, place: Path, wish: Wish) -> str:
    """Write an .mlpackage of one size and, on macOS, compare it with PyTorch.

    Input `photo`, output `painting`: RGB images. `spec`, `card` and `pixels` are its user-defined
    metadata. Raises CheckpointError, ExportError.
    """
    width, height = wish.size
    network = fixed.Levels(fixed.plainly(network_of(painter))).eval()
    photo = leaves.picture(0, height, width)
    model = _converted(network, torch.from_numpy(photo))
    model.short_description = str(painter.card.get("about") or "Turns photographs into paintings.")
    model.license = str(painter.card.get("licence") or "")
    model.input_description["photo"] = PIXEL_CONTRACT_IMAGE
    model.output_description["painting"] = PIXEL_CONTRACT_IMAGE
    model.user_defined_metadata.update(painter.described(PIXEL_CONTRACT_IMAGE))
    model.save(str(place))
    if sys.platform != "darwin":
        _check_described(place, painter)
        return (
            "Core ML runs on macOS only, so its painting was not compared here; "
            "look at one there first."
        )
    return _compared(network, place, photo)


def _converted(network: fixed.Levels, example: torch.Tensor) -> Any:
    image = {"color_layout": coremltools.colorlayout.RGB}
    with quiet(), torch.no_grad():
        program = torch.export.export(network, (example,)).run_decompositions({})
        try:
            return coremltools.convert(
                program,
                inputs=[
                    coremltools.ImageType(
                        "photo", tuple(example.shape), scale=1 / 127.5, bias=[-1.0] * 3, **image
                    )
                ],
                outputs=[coremltools.ImageType("painting", **image)],
                convert_to="mlprogram",
                minimum_deployment_target=coremltools.target.iOS16,
                compute_precision=coremltools.precision.FLOAT32,
                skip_model_load=sys.platform != "darwin",
            )
        except (ValueError, RuntimeError, NotImplementedError, TypeError) as error:
            raise ExportError(
                f"coremltools {coremltools.__version__} cannot convert this painter with PyTorch "
                f"{torch.__version__} ({str(error).splitlines()[0][:120]}); export .onnx."
            ) from error


def _check_described(place: Path, painter: Weights) -> None:
    """That the file opens and says what it is."""
    model = coremltools.models.MLModel(str(place), skip_model_load=True)
    found = dict(model.user_defined_metadata)
    if not painter.described(PIXEL_CONTRACT_IMAGE).items() <= found.items():
        raise ExportError("the .mlpackage does not read back as written; nothing was kept.")


def _compared(network: fixed.Levels, place: Path, photo: images.Batch) -> str:
    picture = images.from_array(images.from_batch(photo)[0])
    painted = coremltools.models.MLModel(str(place)).predict({"photo": images.to_pil(picture)})
    found = images.from_pil(painted["painting"].convert("RGB")).pixels
    seen = torch.from_numpy(images.to_batch(picture.pixels))
    with torch.inference_mode():
        expected = network(seen).numpy()[0].transpose(1, 2, 0)
    difference = float(np.abs(found - expected).max())
    if not difference <= EXPORT.image_tolerance:
        raise ExportError(
            f"Core ML and PyTorch differ by {difference:.2g} of 255 levels, more than "
            f"{EXPORT.image_tolerance:g}; nothing was kept."
        )
    return f"Core ML and PyTorch differ by at most {difference:.1f} of 255 levels."
