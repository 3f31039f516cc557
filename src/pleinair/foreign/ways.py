"""What a generator makes, by what it is called."""

from __future__ import annotations

import re

from pleinair.foreign import Way

_PAINTING = frozenset({"monet", "painting", "paintings", "painter", "paint", "style", "m", "art"})
_PHOTO = frozenset({"photo", "photos", "photograph", "p"})
_BETWEEN = re.compile(r"2|_to_|-to-| to ")
_NO_PAINTING = frozenset({"gen", "generator", "g", "net", "netg", "model", "weights"})
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def way(*names: str) -> Way:
    """By the first of these names that says so: `monet_generator`, `p_gen`, `photo2monet`."""
    for name in names:
        found = _of(name)
        if found != "unknown":
            return found
    return "unknown"


def _of(name: str) -> Way:
    # What stands behind the 2 is what is made: photo2monet, monet_to_photo.
    last = _BETWEEN.split(name)[-1]
    words = {word.lower() for word in _WORD.findall(last)}
    painting, photo = bool(words & _PAINTING), bool(words & _PHOTO)
    if painting == photo:
        return "unknown"
    # A single letter says something beside a generator only: m_gen, not m.h5.
    if words & {"m", "p"} and not words & _NO_PAINTING:
        return "unknown"
    return "painting" if painting else "photo"
