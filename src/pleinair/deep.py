"""PNG and TIFF files of 16 bits a channel, and tiled TIFF: the only room that knows libvips.

It decodes and encodes pixels; what else the files say is read and written elsewhere.
"""

from __future__ import annotations

import atexit
import os
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleinair.errors import ImageError
from pleinair.metadata import srgb
from pleinair.png import SIGNATURE
from pleinair.settings import PAINT

Deep = NDArray[np.uint16]
_SPACES = {1: b"GRAY", 3: b"RGB ", 4: b"CMYK"}
_LOADERS = ("VipsForeignLoadPng", "VipsForeignLoadTiff")


def read(source: Path | bytes, name: str) -> tuple[Deep, Deep | None, bytes | None]:
    """RGB pixels in sRGB, alpha, and the profile they had; not yet upright.

    Pixels are uint16 (H, W, 3), alpha uint16 (H, W) or None. Raises ImageError.
    """
    vips = _vips(name)
    try:
        image = _opened(vips, source)
        if image.width * image.height > PAINT.max_pixels:
            raise ImageError(
                f"{name} claims {image.width}x{image.height} pixels, more than "
                f"{PAINT.max_pixels:,}; make it smaller first."
            )
        if image.bands > 5 or image.format != "ushort":
            raise ImageError(f"{name} has {image.bands} channels of {image.format}; give RGB.")
        fields = image.get_fields()
        icc = bytes(image.get("icc-profile-data")) if "icc-profile-data" in fields else None
        image = image.copy_memory()
        alpha = None
        if image.hasalpha():
            alpha = _array(image[image.bands - 1])[:, :, 0]
            alpha = None if bool((alpha == 65_535).all()) else alpha
            image = image[0 : image.bands - 1]
        pixels = _array(_to_srgb(vips, image, icc))
    except vips.Error as error:
        reason = " ".join(str(error).split())[:120]
        raise ImageError(f"{name} is damaged or cut short ({reason}); get a whole copy.") from error
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return pixels, alpha, icc


def _opened(vips: Any, source: Path | bytes) -> Any:
    options = {"access": "sequential", "fail_on": "error"}
    if isinstance(source, bytes):
        is_png = source.startswith(SIGNATURE)
        load = vips.Image.pngload_buffer if is_png else vips.Image.tiffload_buffer
        return load(source, **options)
    with source.open("rb") as file:
        is_png = file.read(8) == SIGNATURE
    load = vips.Image.pngload if is_png else vips.Image.tiffload
    return load(str(source), **options)


def _to_srgb(vips: Any, image: Any, icc: bytes | None) -> Any:
    # A profile that does not fit its pixels is ignored, as viewers do.
    if icc and (icc == srgb() or icc[16:20] != _SPACES.get(image.bands)):
        icc = None
    if icc or image.interpretation == "cmyk":
        own: dict[str, Any] = {"embedded": True} if icc else {}
        own |= {"input_profile": "cmyk"} if image.interpretation == "cmyk" else {}
        try:
            return image.icc_transform(_srgb_file(), depth=16, **own).copy_memory()
        except vips.Error:
            pass  # a broken one likewise
    if image.bands < 3:
        return image[0]
    if image.interpretation in ("rgb16", "rgb", "srgb", "multiband"):
        return image[0:3]
    return image.colourspace("rgb16")[0:3]


@lru_cache(maxsize=1)
def _srgb_file() -> str:
    # libvips takes profiles by name alone; its own sRGB differs by a few levels from what is sRGB.
    handle, path = tempfile.mkstemp(prefix="pleinair-", suffix=".icc")
    with os.fdopen(handle, "wb") as file:
        file.write(srgb())
    atexit.register(Path(path).unlink, missing_ok=True)
    return path


def _array(image: Any) -> Deep:
    raw = image.cast("ushort").write_to_memory()
    return np.frombuffer(raw, np.uint16).reshape(image.height, image.width, image.bands)


def png(pixels: Deep) -> bytes:
    """A bare PNG of uint16 (H, W, 3 or 4)."""
    made: bytes = _image(pixels).pngsave_buffer(bitdepth=16, filter=0xF8, keep="none")
    return made


def tiff_file(pixels: NDArray[Any], compression: str, tiled: bool) -> bytes:
    """A bare TIFF of uint8 or uint16 (H, W, 3 or 4); compression: none, lzw, deflate, packbits."""
    options: dict[str, Any] = {"tile": True, "tile_width": 256, "tile_height": 256} if tiled else {}
    if compression in ("lzw", "deflate"):
        options["predictor"] = "horizontal"
    made: bytes = _image(pixels).tiffsave_buffer(compression=compression, keep="none", **options)
    return made


def _image(pixels: NDArray[Any]) -> Any:
    vips = _vips("picture")
    height, width, channels = pixels.shape
    kind, meaning = ("ushort", "rgb16") if pixels.dtype == np.uint16 else ("uchar", "srgb")
    raw = np.ascontiguousarray(pixels)
    image = vips.Image.new_from_memory(raw.data, width, height, channels, kind)
    return image.copy(interpretation=meaning)


@lru_cache(maxsize=1)
def _loaded() -> Any:
    os.environ.setdefault("VIPS_WARNING", "1")  # its word for: do not talk on stderr
    import pyvips

    pyvips.cache_set_max(0)  # every photo is another one
    pyvips.block_untrusted_set(True)
    pyvips.operation_block_set("VipsForeignLoad", True)
    for loader in _LOADERS:
        pyvips.operation_block_set(loader, False)
    return pyvips


def _vips(name: str) -> Any:
    try:
        return _loaded()
    except (ImportError, OSError) as error:
        raise ImageError(
            f"{name} has 16 bits a channel, for which libvips is missing; "
            "run pip install 'pyvips[binary]' first."
        ) from error
