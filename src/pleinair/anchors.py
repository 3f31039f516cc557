"""The losses that hold a painting to its photo, or to a teacher's painting, without a way back."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pleinair import losses
from pleinair.chance import Chance, random_gradient
from pleinair.config import FeatureSpec, Recipe
from pleinair.networks import Seen
from pleinair.retouch import retouched
from pleinair.session import Losses, Session


def held(
    session: Session, photo: Tensor, fake: Tensor, seen: Seen, chance: Chance, found: Losses
) -> Tensor:
    """The weighted sum of them, each told in `found` as it is before its weight.

    photo and fake, its painting: NCHW in [-1, 1]; seen: what the painting's discriminator looks at.
    """
    recipe, total = session.recipe, photo.new_zeros(())

    def look(pictures: Tensor) -> Seen:
        shown = chance.shifted(pictures, recipe.discriminator_shift)
        return session.networks.painting_discriminator.look(shown)

    by_features = max(recipe.content_weight, recipe.teacher_feature_weight) > 0
    if by_features and recipe.augment_above < 1.0:
        seen = look(fake)  # what was looked at may have been varied, and a photo is not
    if recipe.content_weight > 0 and isinstance(recipe.discriminator, FeatureSpec):
        with torch.no_grad():
            shown = look(photo)
        coarse = recipe.discriminator.coarse
        content = losses.content_loss(seen[coarse], shown[coarse])
        found["content"] = content.detach()
        total = total + recipe.content_weight * content
    if recipe.drift_weight > 0:
        drift = losses.drift_loss(photo, fake, recipe.drift_pool, recipe.drift_margin)
        found["drift"] = drift.detach()
        total = total + recipe.drift_weight * drift
    if recipe.chroma_weight > 0:
        chroma = losses.chroma_loss(photo, fake, recipe.chroma_pool, recipe.chroma_margin)
        found["chroma"] = chroma.detach()
        total = total + recipe.chroma_weight * chroma
    if recipe.fleck_weight > 0:
        fleck = losses.fleck_loss(photo, fake, recipe.fleck_margin)
        found["fleck"] = fleck.detach()
        total = total + recipe.fleck_weight * fleck
    if recipe.lattice_weight > 0:
        lattice = losses.lattice_loss(fake)
        found["lattice"] = lattice.detach()
        total = total + recipe.lattice_weight * lattice
    if session.teacher is not None:
        with torch.no_grad():
            wanted = session.teacher(photo)
            wanted = retouched(
                wanted,
                flecks=recipe.teacher_flecks,
                dusk=recipe.teacher_dusk,
                light=recipe.teacher_light,
                dabbed=recipe.teacher_dabs,
            )
        # What is beyond black and white never shows, and no teacher has it.
        taught = F.l1_loss(fake.clamp(-1.0, 1.0), wanted)
        found["teacher"] = taught.detach()
        total = total + recipe.teacher_weight * taught
        if recipe.teacher_feature_weight > 0 and isinstance(recipe.discriminator, FeatureSpec):
            with torch.no_grad():
                shown = look(wanted)
            maps = recipe.discriminator.maps
            features = losses.content_loss(seen[maps], shown[maps])
            found["teacher_features"] = features.detach()
            total = total + recipe.teacher_feature_weight * features
    return total


def smooth(like: Tensor, recipe: Recipe, chance: Chance) -> Tensor | None:
    """A smooth gradient to translate beside `like`, where the recipe asks what becomes of it."""
    # A batch has one, so one of its parts has it.
    return random_gradient(like) if recipe.ripple_weight > 0 and chance.is_first else None


def ripple(smooth: Tensor | None, recipe: Recipe, chance: Chance, found: Losses) -> Tensor | float:
    """The weighted loss of what became of a smooth gradient."""
    if smooth is None:
        return 0.0
    edge = smooth.shape[-1] // 4  # its padding is an edge, which may be painted as one
    rippled = losses.ripple_loss(smooth[..., edge:-edge, edge:-edge])
    found["ripple"] = rippled.detach()
    return chance.parts * recipe.ripple_weight * rippled
