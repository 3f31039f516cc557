"""What a run's other networks make of a photo and its painting, as plain values for a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pleinair import images, press, swatches
from pleinair.config import Adversarial, FeatureSpec, PatchSpec, Recipe
from pleinair.images import Batch, Pixels
from pleinair.settings import EXPLAIN
from pleinair.weights import Weights

Values = dict[str, Any]
Network = Callable[[Batch], Batch]


@dataclass(frozen=True)
class Quartet:
    """The networks of one checkpoint, with averaged weights where the recipe averages them.

    painter: weights of the painting generator. photo_generator, photo_discriminator: None in a run
    of one direction. Discriminators give logits (1, maps, h, w).
    """

    recipe: Recipe
    step: int
    painter: Weights
    photo_generator: Network | None
    painting_discriminator: Network
    photo_discriminator: Network | None


def returned(painting: Pixels, networks: Quartet | None) -> Pixels | None:
    """The photo that is made of a painting; None without a way back."""
    if networks is None or networks.photo_generator is None:
        return None
    back: Pixels = images.from_batch(networks.photo_generator(images.to_batch(painting)))[0]
    return back


def cycle(
    photo: Pixels, painting: Pixels, back: Pixels | None, networks: Quartet | None
) -> Values | None:
    """There and back, and what became of the photo on the way; None without a way back."""
    if back is None or networks is None or networks.photo_generator is None:
        return None
    same = images.from_batch(networks.photo_generator(images.to_batch(photo)))[0]
    return {
        "photo": press.uri(photo),
        "painting": press.uri(painting),
        "back": press.uri(back),
        "difference": press.uri(_difference(photo, back)),
        "l1": _l1(photo, back),
        "same": press.uri(same),
        "same_difference": press.uri(_difference(photo, same)),
        "same_l1": _l1(photo, same),
    }


def _difference(a: Pixels, b: Pixels) -> Pixels:
    return swatches.on_grey(b.astype(np.float32) - a, EXPLAIN.gain)


def _l1(a: Pixels, b: Pixels) -> float:
    """Mean absolute difference in units of [-1, 1], as losses count it."""
    return float(np.abs(a.astype(np.float64) - b).mean() / 127.5)


def judges(
    photo: Pixels, painting: Pixels, back: Pixels | None, networks: Quartet | None
) -> list[Values]:
    """What each discriminator says of the pictures that it meets in training."""
    if networks is None:
        return []
    found = [
        _judge(
            "painting",
            networks.painting_discriminator,
            networks,
            {"the painting": painting, "the photo": photo},
        )
    ]
    if networks.photo_discriminator is not None and back is not None:
        shown = {"the photo": photo, "the reconstruction": back}
        found.append(_judge("photo", networks.photo_discriminator, networks, shown))
    return found


def _judge(side: str, network: Network, networks: Quartet, shown: dict[str, Pixels]) -> Values:
    recipe = networks.recipe
    return {
        "side": side,
        "subjects": [
            {
                "of": words,
                "picture": press.uri(pixels),
                "maps": _opinions(recipe, network(images.to_batch(pixels))[0], pixels),
            }
            for words, pixels in shown.items()
        ],
        "scale": SCALES[recipe.adversarial],
        "patch": patch_pixels(recipe),
    }


def _opinions(recipe: Recipe, logits: NDArray[np.float32], pixels: Pixels) -> list[Values]:
    """Each map of logits (maps, h, w) over the picture that it is of."""
    found = []
    for (label, coarser), raw in zip(_labels(recipe, len(logits)), logits, strict=True):
        one = belief(recipe.adversarial, raw)
        found.append(
            {
                "label": label,
                "picture": press.uri(swatches.judged(pixels, one)),
                # Coarse maps are repeated to the size of the first.
                "size": [length // coarser for length in one.shape],
                "share": float(np.mean(one > 0)),
                "mean": float(raw.mean()),
            }
        )
    return found


SCALES = {
    "lsgan": "It was taught to say 1 of what is real and 0 of what is made; 0.5 is the middle.",
    "bce": "It gives logits: above 0 it believes more in real than in made, below 0 the reverse.",
    "hinge": "It was taught to say more than 1 of what is real and less than -1 of what is made.",
}


def belief(kind: Adversarial, logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits of any shape as -1 (made) over 0 (undecided) to 1 (real)."""
    match kind:
        case "lsgan":
            return np.asarray(np.clip(2.0 * logits - 1.0, -1.0, 1.0), np.float32)
        case "bce":
            return np.asarray(np.tanh(logits / 2.0), np.float32)  # 2 sigmoid(x) - 1
        case "hinge":
            return np.asarray(np.clip(logits, -1.0, 1.0), np.float32)


def _labels(recipe: Recipe, count: int) -> list[tuple[str, int]]:
    """What each map is of, and how many times coarser than the first."""
    if isinstance(spec := recipe.discriminator, FeatureSpec):
        eye = [(f"through features of stride {s}", s // spec.finest) for s in spec.strides]
        side = spec.palette
        colours = (f"mean colours of {side}x{side} pixels", max(side // spec.finest, 1))
        return [*eye, colours][:count]
    sizes = ["full size", "half size", "a quarter", "an eighth"][:count] if count > 1 else [""]
    return [(size, 2**level) for level, size in enumerate(sizes)]


def patch_pixels(recipe: Recipe) -> int | None:
    """Pixels of the side of the patch behind one value; None where it is not known so simply."""
    spec = recipe.discriminator
    if not isinstance(spec, PatchSpec) or spec.blur or spec.detail_channels:
        return None
    side = 7  # of the two last convolutions of 4x4 and stride 1
    for _ in range(spec.layers):
        side = 2 * side + 2
    return side
