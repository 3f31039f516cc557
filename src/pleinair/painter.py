"""A photo of any size and kind to a painting of the same size and kind."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pleinair import files, hub, images
from pleinair.config import (
    PAINT,
    LightSpec,
    Spec,
    edge_margin,
    paints_in_layers,
    size_multiple,
    working_bytes_per_pixel,
)
from pleinair.errors import OutputError, PainterError, RecipeError
from pleinair.images import Batch, Picture, Pixels
from pleinair.recipes import spec_from_dict

Engine = Callable[[Batch], Batch]
"""float32 NCHW in [-1, 1] to the same shape and range."""

Photo = TypeVar("Photo", bound=Any)


class Painter:
    """An engine with what it needs to paint a whole photo.

    engine: float32 (1, 3, H, W) in [-1, 1] to the same, H and W multiples of those of `spec`.
    card: what the painter's file says of it.
    """

    def __init__(
        self, engine: Engine, spec: Spec | None = None, card: dict[str, Any] | None = None
    ) -> None:
        self.engine = engine
        self.spec = spec or LightSpec()
        self.card = card or {}

    @classmethod
    def load(cls, name_or_path: str | Path = PAINT.painter, threads: int = 0) -> Painter:
        """The painter of this name, or of this .onnx file. threads: 0 takes every core.

        Raises PainterError where there is none or the file is not a painter.
        """
        path = hub.find(name_or_path)
        session = _onnx_session(path, threads)
        metadata = session.get_modelmeta().custom_metadata_map
        try:
            spec = spec_from_dict(json.loads(metadata["spec"]))
            card = json.loads(metadata["card"])
        except (KeyError, ValueError, AttributeError, RecipeError) as error:
            raise PainterError(
                f"{path} does not say which network it holds; give a file that "
                "`pleinair export` wrote."
            ) from error
        name = session.get_inputs()[0].name

        def engine(batch: Batch) -> Batch:
            out: Batch = session.run(None, {name: batch})[0]
            return out

        return cls(engine, spec, card)

    def paint(
        self,
        photo: Photo,
        *,
        out: str | Path | None = None,
        force: bool = False,
        layers: int | None = None,
    ) -> Photo:
        """Paint a photo and return the kind that was given, in its size.

        photo: a uint8 array (H, W, 3 or 4) or (H, W), a PIL image, the bytes of a picture file,
        or a path. An array comes back as RGB, with its alpha if it had one; bytes in the same file
        format where it can be written, else as PNG; a path is painted to `out`, by default
        `<name>.monet.jpg` beside it, whose path is returned.
        layers: how often to paint, each time over the layer before at twice its size, so that
        strokes of all sizes meet; by default once where the longer side has up to 724 pixels and
        once more for each doubling, and always once with `unet` and `resnet`.
        Raises ImageError for what is no picture, OutputError where `out` exists and not `force`.
        """
        result: Any
        match photo:
            case str() | Path():
                source = Path(photo)
                target = Path(out) if out is not None else default_output(source)
                check_target(target, source, force)
                images.write(self.paint_picture(images.read(source), layers), target)
                result = type(photo)(target)
            case bytes():
                kind = images.format_of(photo)
                result = images.encode(self.paint_picture(images.read(photo), layers), kind)
            case _ if images.is_pil(photo):
                result = images.to_pil(self.paint_picture(images.from_pil(photo), layers))
            case np.ndarray():
                result = images.to_array(self.paint_picture(images.from_array(photo), layers))
            case _:
                raise TypeError(
                    f"{type(photo).__name__} found; give a path, bytes, a PIL image or an array."
                )
        return result  # type: ignore[no-any-return]

    def paint_picture(self, picture: Picture, layers: int | None = None) -> Picture:
        """Paint a Picture: same size, same alpha, same EXIF. layers: as for `paint`."""
        pixels = images.eight_bits(images.for_painting(picture))
        height, width = pixels.shape[:2]
        budget = PAINT.working_bytes / working_bytes_per_pixel(self.spec)
        if height * width > budget:
            # The whole picture at once does not fit: paint it smaller, then enlarge.
            scale = (budget / (height * width)) ** 0.5
            small = images.resize(pixels, max(1, int(width * scale)), max(1, int(height * scale)))
            painted = images.resize(self._paint_layers(small, layers), width, height)
        else:
            painted = self._paint_layers(pixels, layers)
        return images.finished(picture, painted)

    def _paint_layers(self, photo: Pixels, layers: int | None) -> Pixels:
        """From broad strokes to fine: paint small, enlarge, paint over, as often as asked."""
        height, width = photo.shape[:2]
        if layers is None:
            layers = self._default_layers(max(height, width))
        if layers < 1:
            raise ValueError(f"layers = {layers}; give 1 or more.")
        views = [
            images.resize(photo, max(1, width >> n), max(1, height >> n)) if n else photo
            for n in reversed(range(layers))
        ]
        painting = self._paint_whole(views[0])
        for view in views[1:]:
            painting = self._over(painting, view)
        return painting

    def _default_layers(self, longest: int) -> int:
        if not paints_in_layers(self.spec):
            return 1
        return 1 + max(0, round(math.log2(longest / PAINT.first_layer)))

    def _over(self, below: Pixels, photo: Pixels) -> Pixels:
        """One more layer on the enlarged layer below, with strokes that are half as large."""
        height, width = photo.shape[:2]
        coarse = images.resize(photo, below.shape[1], below.shape[0])
        below = images.resize(below, width, height)
        detail = photo.astype(np.float32) - images.resize(coarse, width, height)
        ground = _levels(below + PAINT.layer_detail * detail)
        painted = self._paint_whole(ground)
        # Each pass moves colours toward the palette; over several, light and dark would meet.
        drift = _broad(below) - _broad(painted)
        return _levels(painted + PAINT.layer_colour * drift)

    def _paint_whole(self, pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        multiple = size_multiple(self.spec)
        margin = edge_margin(self.spec, max(height, width))
        below, right = -(height + 2 * margin) % multiple, -(width + 2 * margin) % multiple
        around = ((margin, margin + below), (margin, margin + right), (0, 0))
        padded = np.pad(pixels, around, mode="reflect")
        painted = images.from_batch(self.engine(images.to_batch(padded)))[0]
        return np.ascontiguousarray(painted[margin:, margin:][:height, :width])


def _levels(values: NDArray[np.floating[Any]]) -> Pixels:
    levels: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return levels


def _broad(pixels: Pixels) -> NDArray[np.float32]:
    """The picture with nothing finer than 16 pixels."""
    height, width = pixels.shape[:2]
    small = images.resize(pixels, max(1, width // 16), max(1, height // 16))
    return images.resize(small, width, height).astype(np.float32)


def default_output(photo: Path, painter: str = PAINT.painter) -> Path:
    """`<name>.<painter>.jpg` beside the photo."""
    return photo.parent / f"{photo.stem or 'photo'}.{painter}.jpg"


def check_target(target: Path, source: Path, force: bool) -> None:
    """Raise OutputError where writing `target` would lose something or cannot work."""
    images.check_output(target)
    files.check_free(target, force=True)
    if target.exists() and source.exists() and target.samefile(source):
        raise OutputError(f"{target} is the photo itself; name another file with -o.")
    files.check_free(target, force)


def _onnx_session(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # errors arrive as exceptions; the library itself is quiet
    try:
        return onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's exceptions have no common root but this
        raise PainterError(
            f"{path} is not a painter that can be loaded ({str(error).splitlines()[0][:120]})."
        ) from error
