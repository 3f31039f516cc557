"""What a network makes, by the names that people give it: paintings of photos, or photos. Pure.

`G_A` alone does not say it: with the CycleGAN authors A and B are the two folders in the order of
the set's name, so that of `monet2photo` G_A makes photos and G_B paintings.
"""

from __future__ import annotations

import re
from pathlib import Path

from pleinair.foreign import Way

WORDS: dict[Way, str] = {
    "painting": "photo to painting",
    "photo": "painting to photo",
    "unknown": "which way it goes its names do not say",
}
_PHOTO = "photos?|pictures?|real|landscapes?|flickr"
_PAINTING = (
    "monets?|claude|paintings?|art|artworks?|style|vangogh|gogh|vincent|cezanne|ukiyoe|ukiyo"
)
_WAYS: tuple[tuple[str, Way], ...] = ((_PHOTO, "photo"), (_PAINTING, "painting"))
_BETWEEN = re.compile(r"([a-z]+)(?:_?2_?|_to_)([a-z]+)")


def way(network: str, path: Path) -> Way:
    """What a network of this name makes, in a file of this one or in a folder of that of its set.

    A network's own name counts first: `monet_generator`, `G_photo2monet`. Then those of its file
    and of the two folders around it: `style_monet.pth`, `monet2photo/latest_net_G_B.pth`.
    """
    own = _plain(network)
    said = _said(own)
    if said != "unknown":
        return said
    file, *folders = [_plain(path.stem), *(_plain(one.name) for one in list(path.parents)[:2])]
    # A folder of paintings may hold anything; one that is named as a set is named says more.
    sets = [name for name in folders if _between(name) or name.startswith("style_")]
    for place in [file, *sets]:
        said = _said(place)
        if said != "unknown":
            return _turned(said) if _between(place) and _is_second(own, file) else said
    return "unknown"


def _plain(name: str) -> str:
    # G_AB and gA are words too; camelCase ones fall apart before all is lower case.
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()).strip("_")


def _between(name: str) -> tuple[str, str] | None:
    """From what to what, where a name says both."""
    found = _BETWEEN.search(name)
    return (found[1], found[2]) if found else None


def _said(name: str) -> Way:
    ends = _between(name)
    if ends:
        known = _of(ends[0]), _of(ends[1])
        # horse2zebra says nothing, nor does photo2map.
        return known[1] if "unknown" not in known and known[0] != known[1] else "unknown"
    found = {_of(word) for word in name.split("_")} - {"unknown"}
    return found.pop() if len(found) == 1 else "unknown"


def _of(word: str) -> Way:
    return next((way for words, way in _WAYS if re.fullmatch(words, word)), "unknown")


def _turned(way: Way) -> Way:
    return "photo" if way == "painting" else "painting"


def _is_second(network: str, file: str) -> bool:
    """Whether this is the generator from the set's second folder back to its first."""
    back = re.compile(r"(^|_)(net_?)?(g|gen)_?(b|ba|b2a|b_to_a|yx|y_to_x)$")
    return any(back.search(name) for name in (network, file))
