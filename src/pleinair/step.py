"""One step of training: what calls `.backward()`, and what it changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pleinair import anchors, losses
from pleinair.augment import augment
from pleinair.chance import Chance
from pleinair.config import FeatureSpec, Recipe
from pleinair.networks import Discriminator, Generator, PatchHeads, Seen
from pleinair.schedules import (
    cycle_weight,
    ema_decay,
    identity_weight,
    rate_factor,
    warmup_factor,
)
from pleinair.session import Losses, Session


def train_step(session: Session, photo: Tensor, painting: Tensor, progress: float) -> Losses:
    """Update all networks once, in as many parts as the recipe accumulates.

    photo, painting: float32 NCHW in [-1, 1], as a stream of the recipe gives them: the
    generators' pictures of all parts come first. Of paintings there are `candidates` for each.
    """
    recipe = session.recipe
    painting = _most_alike(session, photo, painting)
    factor = rate_factor(progress, recipe)
    own_step = session.step - recipe.warmup_steps
    for optimizer, rate, step in (
        (session.generator_optimizer, recipe.generator_rate, own_step),
        (session.discriminator_optimizer, recipe.discriminator_rate, session.step),
    ):
        for group in optimizer.param_groups:
            group["lr"] = rate * factor * warmup_factor(step, recipe)
    found: Losses = {}
    chance = Chance(recipe.accumulate)
    if own_step < 0:
        seen = _translated(session, photo, painting, chance)
    else:
        seen = _update_generators(session, photo, painting, progress, chance, found)
    _update_discriminators(session, (painting, photo), seen, chance, found)
    session.team.average(list(found.values()))
    if recipe.augment_above < 1.0:
        right = [float(found[key]) for key in found if key.endswith("_accuracy")]
        session.accuracy += 0.05 * (sum(right) / len(right) - session.accuracy)
    session.step += 1
    return found


def _most_alike(session: Session, photo: Tensor, painting: Tensor) -> Tensor:
    """Of each photo's candidates the painting whose scene is most like it.

    A discriminator that compares a lawn with water lilies asks for lilies on lawns. Richter et al.
    2021, "Enhancing Photorealism Enhancement", https://arxiv.org/abs/2105.04619, section 3.3, match
    crops by what a frozen network sees of them; here the deepest map of the discriminators' eye.
    """
    each, eye = session.recipe.candidates, session.recipe.discriminator
    if each == 1 or not isinstance(eye, FeatureSpec):
        return painting
    with torch.no_grad():
        # Half the size says as well what is in a picture, in a quarter of the time.
        shown = F.avg_pool2d(torch.cat([photo, painting]), 2)
        deepest = session.networks.painting_discriminator.look(shown)[eye.maps][-1]
        scenes = F.normalize(deepest.mean(dim=(2, 3)), dim=1)
        own, others = scenes[: len(photo)], scenes[len(photo) :].reshape(len(photo), each, -1)
        best = (others @ own[:, :, None]).squeeze(2).argmax(dim=1)
        first = torch.arange(0, len(painting), each, device=best.device)
    return painting[first + best]


def _translated(session: Session, photo: Tensor, painting: Tensor, chance: Chance) -> list[Seen]:
    """What discriminators see of translations, while generators do not learn yet."""
    parts = []
    with torch.no_grad():
        for rows in chance.turns(session.recipe.discriminator_batch):
            sources = (photo[rows], painting[rows])
            fakes = [g(x) for g, x in zip(session.networks.generators, sources, strict=False)]
            parts.append(_remembered(session, fakes, _looked_at(session, fakes, chance)))
    return [_joined(side) for side in zip(*parts, strict=True)]


def _update_generators(
    session: Session,
    photo: Tensor,
    painting: Tensor,
    progress: float,
    chance: Chance,
    found: Losses,
) -> list[Seen]:
    """Deceive the discriminators and stay with the photo; what they have seen, detached."""
    recipe, nets = session.recipe, session.networks
    for discriminator in nets.discriminators:
        discriminator.requires_grad_(False)
    way = _one_way if recipe.direction == "painting" else _both_ways
    session.generator_optimizer.zero_grad(set_to_none=True)
    parts, told = [], []
    for rows in chance.turns(recipe.batch):
        for discriminator in nets.discriminators:
            # Spectral norm's estimate moves with every pass in training: once a step.
            discriminator.train(chance.is_first)
        some: Losses = {}
        total, fakes, seen = way(session, photo[rows], painting[rows], progress, chance, some)
        (total / chance.parts).backward()  # type: ignore[no-untyped-call]
        parts.append(_remembered(session, fakes, seen))
        told.append(some)
    found |= _means(told)
    session.team.average_gradients([*nets.generators, *nets.heads])
    session.generator_optimizer.step()
    if session.ema:
        _average(session.ema.generators, nets.generators, ema_decay(session.step, recipe))
    return [_joined(side) for side in zip(*parts, strict=True)]


def _both_ways(
    session: Session,
    photo: Tensor,
    painting: Tensor,
    progress: float,
    chance: Chance,
    found: Losses,
) -> tuple[Tensor, list[Tensor], list[Seen]]:
    """CycleGAN: come back, and leave alone what is already there."""
    recipe, nets = session.recipe, session.networks
    paint, unpaint = nets.generators
    weight = identity_weight(progress, recipe)
    own_painting = painting if weight > 0 else None
    own_photo = photo if weight > 0 and not recipe.identity_one_way else None
    smooth = anchors.smooth(photo, recipe, chance)
    fake_painting, same_painting, rippled = _together(paint, photo, own_painting, smooth)
    # The way back of one side goes with the way there of the other.
    noisy = _noisy(fake_painting, recipe.cycle_noise, chance, "painting")
    fake_photo, photo_again, same_photo = _together(unpaint, painting, noisy, own_photo)
    painting_again = paint(_noisy(fake_photo, recipe.cycle_noise, chance, "photo"))
    fakes = [fake_painting, fake_photo]
    seen = _looked_at(session, fakes, chance)
    painting_loss, photo_loss = (
        losses.generator_loss(recipe.adversarial, discriminator.judge(one))
        for discriminator, one in zip(nets.discriminators, seen, strict=True)
    )
    pool = recipe.cycle_pool
    cycle = losses.cycle_loss(photo, photo_again, pool)
    cycle = cycle + losses.cycle_loss(painting, painting_again, pool)
    identity = photo.new_zeros(())
    if same_painting is not None:
        identity_painting = losses.identity_loss(painting, same_painting)
        painting_loss = painting_loss + weight * identity_painting
        identity = identity + identity_painting.detach()
    if same_photo is not None:
        identity_photo = losses.identity_loss(photo, same_photo)
        photo_loss = photo_loss + weight * identity_photo
        identity = identity + identity_photo.detach()
    if weight > 0:
        found["identity"] = identity
    weighted_cycle = cycle_weight(progress, recipe) * cycle
    # As the tutorial shows them: each generator's own losses and the whole cycle.
    found["painting_generator"] = (painting_loss + weighted_cycle).detach()
    found["photo_generator"] = (photo_loss + weighted_cycle).detach()
    found["cycle"] = cycle.detach()
    total = painting_loss + photo_loss + weighted_cycle
    total = total + anchors.held(session, photo, fake_painting, seen[0], chance, found)
    return total + anchors.ripple(rippled, recipe, chance, found), fakes, seen


def _one_way(
    session: Session,
    photo: Tensor,
    painting: Tensor,
    _progress: float,
    chance: Chance,
    found: Losses,
) -> tuple[Tensor, list[Tensor], list[Seen]]:
    """No way back. CUT: each place of the painting must be known again by the photo's own place.

    Park et al. 2020, https://arxiv.org/abs/2007.15651, eq. 5 (lambda_X = lambda_Y, halved as the
    authors' code does when both are there).
    """
    recipe, nets = session.recipe, session.networks
    paint, heads = nets.painting_generator, nets.patch_heads
    own = painting if heads is not None and recipe.nce_identity else None
    fake, same, rippled = _together(paint, photo, own, anchors.smooth(photo, recipe, chance))
    seen = _looked_at(session, [fake], chance)
    adversarial = losses.generator_loss(
        recipe.adversarial, nets.painting_discriminator.judge(seen[0])
    )
    total = adversarial
    if heads is not None:
        nce = _patch_nce(paint, heads, photo, fake, recipe, chance, "photo")
        if same is not None:
            other = _patch_nce(paint, heads, painting, same, recipe, chance, "painting")
            nce = 0.5 * (nce + other)
        found["nce"] = nce.detach()
        total = total + recipe.nce_weight * nce
    total = total + anchors.held(session, photo, fake, seen[0], chance, found)
    found["painting_generator"] = total.detach()
    return total + anchors.ripple(rippled, recipe, chance, found), [fake], seen


def _patch_nce(
    generator: Generator,
    heads: PatchHeads,
    source: Tensor,
    result: Tensor,
    recipe: Recipe,
    chance: Chance,
    name: str,
) -> Tensor:
    """Mean over the encoder's depths of the PatchNCE loss of places drawn anew at each."""
    with torch.no_grad():
        sources = generator.encode(source)
        places = chance.places(f"places {name}", sources, recipe.nce_patches)
        keys = heads(sources, places)
    queries = heads(generator.encode(result), places)
    found = [
        losses.patch_nce_loss(query, key, recipe.nce_temperature)
        for query, key in zip(queries, keys, strict=True)
    ]
    return torch.stack(found).mean()


def _looked_at(session: Session, pictures: Sequence[Tensor], chance: Chance) -> list[Seen]:
    """What the discriminators' fixed part, the same in both, makes of pictures: in one pass."""
    shown = torch.cat(
        [_as_shown(session, one, chance, f"side {side}") for side, one in enumerate(pictures)]
    )
    maps = session.networks.painting_discriminator.look(shown)
    counts = [one.shape[0] for one in pictures]
    return list(zip(*(torch.split(part, counts) for part in maps), strict=True))


def _remembered(session: Session, fakes: Sequence[Tensor], seen: Sequence[Seen]) -> list[Seen]:
    """What discriminators learn from later: what they saw, or where that varies the pictures."""
    kept = [(fake,) for fake in fakes] if session.recipe.augment_above < 1.0 else seen
    return [tuple(part.detach() for part in one) for one in kept]


def _as_shown(session: Session, pictures: Tensor, chance: Chance, name: str) -> Tensor:
    """What discriminators get to see: varied as long as they win too easily."""
    # Their grid of strides and the generators' would always lie alike, and a lattice in its place.
    pictures = chance.shifted(pictures, session.recipe.discriminator_shift)
    if session.accuracy <= session.recipe.augment_above:
        return pictures
    return augment(pictures, chance.variation(name, pictures))


def _update_discriminators(
    session: Session,
    reals: tuple[Tensor, Tensor],
    fakes: list[Seen],
    chance: Chance,
    found: Losses,
) -> None:
    """Tell pictures from translations, new ones and some of the past."""
    recipe, nets = session.recipe, session.networks
    for discriminator in nets.discriminators:
        discriminator.requires_grad_(True)
    session.discriminator_optimizer.zero_grad(set_to_none=True)
    pools = (session.painting_pool, session.photo_pool)
    seen_reals = _seen_reals(session, reals[: len(fakes)], chance)
    # zip ends with the shortest: a one-way run has one of each.
    for side, discriminator, real, seen, fake, pool in zip(
        *(("painting", "photo"), nets.discriminators, reals, seen_reals, fakes, pools),
        strict=False,
    ):
        # Translations are dear, pictures are cheap: fill up with translations of the past.
        new = pool.query(fake)
        past = pool.sample(real.shape[0] - new[0].shape[0])
        shown = _joined([new, *(tuple(maps[None] for maps in one) for one in past)])
        if recipe.augment_above < 1.0:
            varied = _as_shown(session, torch.cat([real, *shown]), Chance(1), "both")
            seen, shown = (varied[: len(real)],), (varied[len(real) :],)
        dealt = zip(*(_dealt(one, chance) for one in ((real,), seen, shown)), strict=True)
        told = []
        for _, ((some,), *both) in zip(chance.turns(1), dealt, strict=True):
            discriminator.train(chance.is_first)
            told.append(_told_apart(session, discriminator, some, both, chance))
        found |= {f"{side}_{name}": value for name, value in _means(told).items()}
    session.team.average_gradients(nets.discriminators)
    session.discriminator_optimizer.step()


def _told_apart(
    session: Session, discriminator: Discriminator, real: Tensor, both: list[Seen], chance: Chance
) -> Losses:
    """What a discriminator makes of a part of what it is shown: its gradients, added.

    real: the pictures themselves; both: what is seen of them, and of translations.
    """
    recipe, kind = session.recipe, session.recipe.adversarial
    shown = _joined(both)
    if recipe.augment_above < 1.0:
        shown = discriminator.look(shown[0])
    # One pass over both: no layer mixes the pictures of a batch.
    logits = discriminator.judge(shown)
    real_logits, fake_logits = logits[: real.shape[0]], logits[real.shape[0] :]
    loss = losses.discriminator_loss(kind, real_logits, fake_logits)
    found = {"discriminator": loss.detach()}
    if recipe.r1_weight > 0 and session.step % recipe.r1_every == 0:
        penalty = losses.r1_penalty(discriminator, real)
        found["r1"] = penalty.detach()
        # Lazy: rarely, and so much more. Karras et al. 2020, arXiv:1912.04958, appendix B.
        loss = loss + recipe.r1_every * recipe.r1_weight * penalty
    (loss / chance.parts).backward()  # type: ignore[no-untyped-call]
    found["accuracy"] = losses.discriminator_accuracy(
        kind, real_logits.detach(), fake_logits.detach()
    )
    return found


def _seen_reals(session: Session, reals: Sequence[Tensor], chance: Chance) -> list[Seen]:
    """What the discriminators' fixed part makes of pictures; themselves where it is varied."""
    if session.recipe.augment_above < 1.0:
        return [(real,) for real in reals]
    with torch.no_grad():
        parts = [
            _looked_at(session, [real[rows] for real in reals], chance)
            for rows in chance.turns(session.recipe.discriminator_batch)
        ]
    return [_joined(side) for side in zip(*parts, strict=True)]


def _joined(parts: Sequence[Seen]) -> Seen:
    """Maps of several parts as those of one batch."""
    return tuple(torch.cat(maps) for maps in zip(*parts, strict=True))


def _dealt(whole: Seen, chance: Chance) -> list[Seen]:
    """Maps of a batch as those of its parts."""
    return list(zip(*(maps.chunk(chance.parts) for maps in whole), strict=True))


def _means(parts: Sequence[Losses]) -> Losses:
    """The losses of a step from those of its parts; what one part alone has stands for all."""
    names = dict.fromkeys(name for one in parts for name in one)
    values = {name: [one[name] for one in parts if name in one] for name in names}
    return {name: torch.stack(some).mean() for name, some in values.items()}


def _together(generator: nn.Module, *pictures: Tensor | None) -> Any:
    """What becomes of several pictures in one pass; None of None."""
    there = [one for one in pictures if one is not None]
    results = iter(torch.split(generator(torch.cat(there)), [one.shape[0] for one in there]))
    return [None if one is None else next(results) for one in pictures]


def _noisy(picture: Tensor, deviation: float, chance: Chance, name: str) -> Tensor:
    # A cycle can be closed by a message hidden in faint detail, which shows as a lattice in flat
    # skies; noise drowns it. Bashkirova et al. 2019, https://arxiv.org/abs/1908.01517.
    return picture + deviation * chance.noise(name, picture) if deviation else picture


@torch.no_grad()
def _average(averages: list[nn.Module], networks: list[nn.Module], decay: float) -> None:
    for average, network in zip(averages, networks, strict=True):
        torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1.0 - decay)
