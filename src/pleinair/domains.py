"""The two domains of a run: what is trained on, what is held out to score by, what looks wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from pleinair import data, monitoring
from pleinair.config import Recipe, size_multiple
from pleinair.engines import features
from pleinair.monitoring import Judge
from pleinair.settings import EVALUATE, TRAIN

Say = Callable[[str], None]


def zoomed(recipe: Recipe) -> Recipe:
    """The recipe as the stream of photos is to have it.

    Those shown larger are soft, as a layer's ground is on which a painter paints finer strokes; the
    paintings stay as they are, and so do the strokes that it learns.
    """
    return replace(recipe, resize_max=round(recipe.photo_zoom * recipe.resize_max))


def open_domain(
    place: Path, val: Path | None, recipe: Recipe, say: Say
) -> tuple[data.Pictures, data.Pictures]:
    """Pictures to train on, and those to score by: held out of them where there are many."""
    cache = TRAIN.cache_mib * 2**20 // 2
    source, held = data.set_apart(place, val, TRAIN.score_photos)
    pictures = data.Pictures(source, recipe.resize_max, cache, say)
    if held is None:
        return pictures, pictures
    if val is None:
        say(f"{len(held.names)} pictures of {place} are kept to score by.")
    return pictures, data.Pictures(held, max(recipe.resize_max, EVALUATE.side), 0, say)


def warn_of_a_mix_up(
    photos: data.Pictures, paintings: data.Pictures, device: torch.device, say: Say
) -> None:
    """Say what is likely a mistake about the two places; it is the user's to decide."""
    if photos.place == paintings.place:
        say(
            f"photos and paintings are both {photos.place}, so there is no style to learn; "
            "stop and name two places unless that is meant."
        )
        return
    for pictures in (photos, paintings):
        if len(pictures) == 1:
            say(f"{pictures.place} holds one picture; crops of it are all there is.")
    if min(len(photos), len(paintings)) < TRAIN.score_least:
        return
    look = features(device)
    seen = [look(pictures.first(TRAIN.likeness_pictures)) for pictures in (photos, paintings)]
    if monitoring.look_swapped(*seen):
        say(
            f"the pictures of {photos.place} look like paintings and those of {paintings.place} "
            "like photos; if --photos and --paintings were mixed up, stop and swap them."
        )


def appoint_judge(
    photos: data.Pictures, paintings: data.Pictures, recipe: Recipe, device: torch.device
) -> Judge | None:
    """A judge by pictures that were held out, or None where they are too few."""
    if min(len(photos), len(paintings)) < TRAIN.score_least:
        return None
    multiple = size_multiple(recipe.generator)
    side = max(multiple, EVALUATE.side // multiple * multiple)  # that of scores, for our networks
    shown = photos.squares(TRAIN.score_photos, side)
    aims = paintings.squares(TRAIN.score_paintings, EVALUATE.side)
    if min(len(shown), len(aims)) < 2:  # the others could not be read
        return None
    return Judge(shown, aims, features(device))
