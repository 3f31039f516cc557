"""The networks of the CycleGAN tutorials in a saved model, each with what it makes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from pleinair.errors import PainterError
from pleinair.foreign import Found, Way, keras_unet
from pleinair.foreign.keras_config import Facts
from pleinair.foreign.parts import Part
from pleinair.foreign.ways import way
from pleinair.weights import Weights

# What Keras calls a model that nobody named.
_TUTORIAL: dict[str, Way] = {"m_gen": "painting", "p_gen": "photo"}
_LONGEST = 80  # characters of a name
_UNNAMED = re.compile(r"(model|functional|sequential)(_\d+)?")


def found(root: Part, facts: Facts, path: Path, kind: str, name: str = "") -> list[Found]:
    """All generators of a saved model.

    kind: of the file, for the card. name: what the model is called where it is a single network.
    Raises PainterError where there is none, or where weights are damaged.
    """
    networks = keras_unet.networks(root, facts, str(path))
    if not networks:
        raise PainterError(
            f"{path} holds no U-Net of the lab's kind, but {keras_unet.described(root)}; give "
            "the weights of a CycleGAN generator as the tutorials build it."
        )
    painters = []
    for network in networks:
        called = network.name or ("" if _UNNAMED.fullmatch(name) else name)
        called = "".join(letter for letter in called if letter.isprintable())[:_LONGEST]
        # The name of a file with several says nothing of one of them.
        named = path if len(networks) == 1 else Path()
        card = {"read from": path.name, "format": kind, "network": called}
        painters.append(
            Found(called, _way(called, named), Weights(network.spec, network.arrays, card))
        )
    return _by_order(painters, keras_unet.discriminators(root))


def _way(called: str, path: Path) -> Way:
    """What a generator makes, by the tutorial's names or by those of people."""
    return _TUTORIAL.get(called.rsplit("/", 1)[-1]) or way(called, path)


def _by_order(painters: list[Found], discriminators: int) -> list[Found]:
    """Two generators and two discriminators without names: Monet's comes first.

    The tutorial's model is given and keeps m_gen, p_gen, m_disc, p_disc, and Keras saves in the
    order in which a model was given its parts.
    """
    unnamed = all(_UNNAMED.fullmatch(one.name) for one in painters)
    if len(painters) != 2 or discriminators != 2 or not unnamed:
        return painters
    painting, photo = painters
    return [replace(painting, way="painting"), replace(photo, way="photo")]
