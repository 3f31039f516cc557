"""Pictures in and out: the door to the rooms that know pixels, files, metadata and animations.

`pictures` knows arrays, `reading` and `writing` files, `metadata` and `tiff` what these say beside
their pixels, `deep` 16 bits a channel, `animation`, `gif` and `png` frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pleinair.kinds import kind_of
from pleinair.metadata import Notes
from pleinair.pictures import (
    Batch,
    Deep,
    Picture,
    Pixels,
    Source,
    captioned,
    centre_square,
    eight_bits,
    finished,
    for_painting,
    from_array,
    from_batch,
    is_pil,
    on_white,
    resize,
    resize_shorter,
    resize_to_height,
    row_height,
    sheet,
    sixteen_bits,
    to_array,
    to_batch,
    to_pil,
)
from pleinair.reading import (
    Header,
    content,
    from_pil,
    header,
    name_of,
    probe,
    read,
    read_small,
    read_square,
)
from pleinair.writing import (
    can_write,
    check_output,
    encode,
    format_of,
    kind_for,
    suffix_for,
    suffix_of,
    write,
)

if TYPE_CHECKING:
    from pleinair.animation import Animation, encode_any, encode_for, read_any, write_any

__all__ = [
    "Animation",
    "Batch",
    "Deep",
    "Header",
    "Notes",
    "Picture",
    "Pixels",
    "Source",
    "can_write",
    "captioned",
    "centre_square",
    "check_output",
    "content",
    "eight_bits",
    "encode",
    "encode_any",
    "encode_for",
    "finished",
    "for_painting",
    "format_of",
    "from_array",
    "from_batch",
    "from_pil",
    "header",
    "is_pil",
    "kind_for",
    "kind_of",
    "name_of",
    "on_white",
    "probe",
    "read",
    "read_any",
    "read_small",
    "read_square",
    "resize",
    "resize_shorter",
    "resize_to_height",
    "row_height",
    "sheet",
    "sixteen_bits",
    "suffix_for",
    "suffix_of",
    "to_array",
    "to_batch",
    "to_pil",
    "write",
    "write_any",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pleinair import animation  # for those who ask for it

    return getattr(animation, name)
