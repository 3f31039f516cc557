"""What a picture file says beside its pixels: EXIF, XMP, IPTC, resolution, comments, its profile.

Kept as bytes wherever that is possible, and true of a painting: upright, with no thumbnail of the
photo, no gain map and no film behind it.
"""

from __future__ import annotations

import contextlib
import io
import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO

from PIL import Image

from pleinair import tiff

if TYPE_CHECKING:
    from PIL import ImageCms

EXIF_HEADER = b"Exif\0\0"
_XMP_KEYS = ("xmp", "XML:com.adobe.xmp")
_NO_TEXTS = (*_XMP_KEYS, "Raw profile type ")
_IPTC_RESOURCE = 0x0404
_MOST_IN_SEGMENT = 65_533  # bytes of a JPEG's segment
_MOST_TEXT = 2**20  # bytes of PNG texts that are kept
_MAKER_NOTE = 0x927C


@dataclass(frozen=True)
class Notes:
    """What travels from a photo to its painting, EXIF apart.

    xmp: an XMP packet. iptc: IPTC-IIM records. dpi: dots per inch across and down. comment: as
    JPEG and GIF have one. texts: keywords and texts of a PNG.
    """

    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    comment: bytes | None = None
    texts: tuple[tuple[str, str], ...] = ()


# --- reading --------------------------------------------------------------------------------


def notes_of(image: Image.Image) -> Notes:
    """What a loaded PIL image says beside its pixels and EXIF. What is broken is left out."""
    return Notes(_xmp(image), _iptc(image), _dpi(image), _comment(image), _texts(image))


def notes_of_tiff(tags: tiff.Tags) -> Notes:
    """The same of a TIFF file's tags, whatever its pixels are."""
    xmp = tags[tiff.XMP].data if tiff.XMP in tags else b""
    iptc = tags[tiff.IPTC].data if tiff.IPTC in tags else b""
    dpi = None
    with contextlib.suppress(KeyError, struct.error, ZeroDivisionError):
        places = (tiff.X_RESOLUTION, tiff.Y_RESOLUTION)
        across, down = (a / b for a, b in (struct.unpack("<II", tags[n].data) for n in places))
        inches = {2: 1.0, 3: 2.54}[sum(tags[tiff.RESOLUTION_UNIT].numbers())]
        dpi = _sensible(across * inches, down * inches)
    return Notes(kept_xmp(xmp) or None, iptc if iptc[:1] == b"\x1c" else None, dpi)


def exif_of(image: Image.Image) -> bytes | None:
    """A PIL image's EXIF block as a painting keeps it, with its "Exif" header, or None."""
    raw = image.info.get("exif")
    if isinstance(raw, bytes) and raw:
        return kept_exif(raw)
    with contextlib.suppress(Exception):  # a broken EXIF block is no reason not to paint
        exif = image.getexif().tobytes().removeprefix(EXIF_HEADER)
        tags = tiff.of_the_photo(tiff.read(io.BytesIO(exif)))
        return EXIF_HEADER + tiff.block(tags) if tags else None
    return None


def orientation_of(image: Image.Image) -> int:
    """1 to 8, how a PIL image's EXIF or XMP says that it was held; 1 where nothing does."""
    with contextlib.suppress(Exception):
        held = int(image.getexif().get(tiff.ORIENTATION, 1))
        return held if 1 <= held <= 8 else 1
    return 1


def orientation_of_tiff(tags: tiff.Tags) -> int:
    """The same of a TIFF file's tags."""
    if tiff.ORIENTATION in tags:
        held = sum(tags[tiff.ORIENTATION].numbers())
    else:
        xmp = tags[tiff.XMP].data if tiff.XMP in tags else b""
        found = re.search(rb"""tiff:Orientation(?:\s*=\s*["']|>)\s*(\d)""", xmp)
        held = int(found[1]) if found else 1
    return held if 1 <= held <= 8 else 1


def exif_of_tiff(file: BinaryIO) -> bytes | None:
    """The tags of a TIFF file that are about the photo as an EXIF block, or None."""
    tags = tiff.of_the_photo(tiff.read(file))
    return EXIF_HEADER + tiff.block(tags) if tags else None


def kept_exif(exif: bytes) -> bytes | None:
    """An EXIF block of an upright picture without a thumbnail; None for what is none."""
    upright = tiff.upright(exif.removeprefix(EXIF_HEADER))
    return EXIF_HEADER + upright if upright else None


def _xmp(image: Image.Image) -> bytes | None:
    for key in _XMP_KEYS:
        packet = image.info.get(key)
        if isinstance(packet, str):
            packet = packet.encode()
        if isinstance(packet, bytes) and packet:
            return kept_xmp(packet)
    return None


def kept_xmp(packet: bytes) -> bytes:
    """An XMP packet that says what is true of a painting, all else as it was."""
    for pattern, found in (
        (rb"""(tiff:Orientation\s*=\s*["'])\d+(["'])""", rb"\g<1>1\g<2>"),
        (rb"(<tiff:Orientation>)\s*\d+\s*(</tiff:Orientation>)", rb"\g<1>1\g<2>"),
        # A gain map or a film behind the photo's pixels is not behind the painting's.
        (rb"""\s(?:hdrgm|HDRGainMap):\w+\s*=\s*(?:"[^"]*"|'[^']*')""", b""),
        (rb"""(GCamera:(?:MotionPhoto|MicroVideo)\s*=\s*["'])1(["'])""", rb"\g<1>0\g<2>"),
    ):
        packet = re.sub(pattern, found, packet)
    return packet


def _iptc(image: Image.Image) -> bytes | None:
    found: Any = None
    if isinstance(resources := image.info.get("photoshop"), dict):
        found = resources.get(_IPTC_RESOURCE)
    elif image.format == "TIFF":
        with contextlib.suppress(Exception):
            found = image.tag_v2.get(tiff.IPTC)  # type: ignore[attr-defined]
    elif isinstance(profile := image.info.get("Raw profile type iptc"), str):
        with contextlib.suppress(ValueError):
            found = _without_resource(bytes.fromhex("".join(profile.split()[2:])))
    if isinstance(found, tuple):  # written as numbers of four bytes, as some programs do
        with contextlib.suppress(struct.error):
            found = struct.pack(f"<{len(found)}I", *found)
    return found if isinstance(found, bytes) and found[:1] == b"\x1c" else None


def _without_resource(data: bytes) -> bytes:
    """The IPTC records in a block of Photoshop's resources; bare records as they are."""
    at = data.find(b"8BIM\x04\x04")
    if at < 0:
        return data
    name = data[at + 6] if len(data) > at + 6 else 0
    start = at + 6 + (name + 2) // 2 * 2
    size = int.from_bytes(data[start : start + 4], "big")
    return data[start + 4 : start + 4 + size]


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    with contextlib.suppress(Exception):
        across, down = (float(value) for value in image.info["dpi"])
        return _sensible(across, down)
    return None


def _sensible(across: float, down: float) -> tuple[float, float] | None:
    # Pillow says 1 for a TIFF that says nothing.
    return (across, down) if 1 < across <= 65_535 and 1 < down <= 65_535 else None


def _comment(image: Image.Image) -> bytes | None:
    comment = image.info.get("comment") or image.info.get("Comment")
    if isinstance(comment, str):
        comment = comment.encode()
    return comment if isinstance(comment, bytes) and 0 < len(comment) < 2**16 else None


def _texts(image: Image.Image) -> tuple[tuple[str, str], ...]:
    if image.format != "PNG":
        return ()
    # Pillow reads an animation to its end to be sure of all texts.
    animated = getattr(image, "is_animated", False)
    texts = dict(image.info if animated else getattr(image, "text", {}))
    kept = [
        (key, str(text))
        for key, text in texts.items()
        if isinstance(text, str) and 0 < len(key) < 80 and not key.startswith(_NO_TEXTS)
    ]
    return tuple(kept) if sum(len(text) for _, text in kept) <= _MOST_TEXT else ()


# --- writing --------------------------------------------------------------------------------


def options(kind: str, exif: bytes | None, notes: Notes, profile: bytes | None) -> dict[str, Any]:
    """What Pillow's writer of this format takes to keep all that the format can hold."""
    found: dict[str, Any] = {}
    if profile and kind in ("JPEG", "PNG", "WEBP", "AVIF", "HEIF"):
        found["icc_profile"] = profile
    if notes.dpi and kind in ("JPEG", "PNG", "BMP"):
        found["dpi"] = notes.dpi
    match kind:
        case "JPEG":
            found |= _jpeg_options(exif, notes)
        case "PNG":
            found |= {"exif": exif} if exif else {}
            found["pnginfo"] = _png_texts(notes)
        case "WEBP" | "AVIF" | "HEIF":
            if exif:
                # Pillow rewrites the whole block of an AVIF where it finds an orientation in it.
                bare = tiff.upright(exif.removeprefix(EXIF_HEADER), forget=kind == "AVIF")
                found |= {"exif": bare} if bare else {}
            found |= {"xmp": notes.xmp} if notes.xmp else {}
    return found


def _jpeg_options(exif: bytes | None, notes: Notes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if exif and len(exif) > _MOST_IN_SEGMENT:
        exif = _without_maker_note(exif)
    if exif and len(exif) <= _MOST_IN_SEGMENT:
        found["exif"] = exif
    if notes.xmp and len(notes.xmp) <= _MOST_IN_SEGMENT - 29:
        found["xmp"] = notes.xmp
    if notes.comment:
        found["comment"] = notes.comment[:_MOST_IN_SEGMENT]
    if notes.iptc and len(notes.iptc) <= _MOST_IN_SEGMENT - 26:
        segment = b"Photoshop 3.0\0" + _resource(notes.iptc)
        found["extra"] = b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment
    return found


def _without_maker_note(exif: bytes) -> bytes | None:
    tags = tiff.of_the_photo(tiff.read(io.BytesIO(exif.removeprefix(EXIF_HEADER))))
    within = tags[tiff.EXIF].within if tiff.EXIF in tags else None
    if within:
        within.pop(_MAKER_NOTE, None)
    return EXIF_HEADER + tiff.block(tags) if tags else None


def _resource(iptc: bytes) -> bytes:
    header = b"8BIM" + struct.pack(">HHI", _IPTC_RESOURCE, 0, len(iptc))
    return header + iptc + b"\0" * (len(iptc) % 2)


def _png_texts(notes: Notes) -> Any:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, text in notes.texts:
        with contextlib.suppress(ValueError):
            info.add_itxt(key, text) if not text.isascii() else info.add_text(key, text)
    if notes.comment and "Comment" not in dict(notes.texts):
        info.add_itxt("Comment", notes.comment.decode(errors="replace"))
    if notes.xmp:
        info.add_itxt(_XMP_KEYS[1], notes.xmp.decode(errors="replace"))
    if notes.iptc:
        resource = _resource(notes.iptc).hex()
        lines = [resource[at : at + 72] for at in range(0, len(resource), 72)]
        text = f"\niptc\n{len(resource) // 2:8}\n" + "\n".join(lines) + "\n"
        info.add_text("Raw profile type iptc", text, zip=True)
    return info


def tiff_tags(exif: bytes | None, notes: Notes, profile: bytes | None) -> tiff.Tags:
    """The same as the tags of a TIFF file."""
    block = exif.removeprefix(EXIF_HEADER) if exif else b""
    tags = tiff.of_the_photo(tiff.read(io.BytesIO(block)))
    for number, kind, data in (
        (tiff.XMP, tiff.BYTE, notes.xmp),
        (tiff.IPTC, tiff.UNDEFINED, notes.iptc),
        (tiff.PROFILE, tiff.UNDEFINED, profile),
    ):
        if data:
            tags[number] = tiff.Tag(kind, data)
    if notes.dpi:
        for number, value in zip((tiff.X_RESOLUTION, tiff.Y_RESOLUTION), notes.dpi, strict=True):
            tags[number] = tiff.Tag(tiff.RATIONAL, struct.pack("<II", round(value * 1000), 1000))
        tags[tiff.RESOLUTION_UNIT] = tiff.Tag(tiff.SHORT, struct.pack("<H", 2))
    return tags


# --- colour ---------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def srgb() -> bytes:
    """A small ICC profile of sRGB, the same bytes at any time."""
    from PIL import ImageCms  # many photos have no profile

    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    date = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    return made[:24] + date + made[36:]


def to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """RGB, L or CMYK pixels with this profile as RGB in sRGB; without one, as they are."""
    if not icc or icc == srgb() or image.mode not in ("RGB", "L", "CMYK"):
        return image
    from PIL import ImageCms

    try:
        converted = ImageCms.applyTransform(image, _transform(icc, image.mode))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image  # a profile that does not fit its pixels is ignored, as viewers do
    return converted if converted is not None else image


@lru_cache(maxsize=16)
def _transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    from PIL import ImageCms

    # A folder's photos share a profile, and building this takes longer than decoding a small one.
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    target = ImageCms.ImageCmsProfile(io.BytesIO(srgb()))
    return ImageCms.buildTransform(profile, target, mode, "RGB")
