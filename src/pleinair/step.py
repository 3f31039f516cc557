"""One step of training: what calls `.backward()`, and what it changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pleinair import losses
from pleinair.augment import augment
from pleinair.config import Recipe
from pleinair.errors import TrainingError
from pleinair.networks import Generator, PatchHeads, Seen
from pleinair.schedules import (
    cycle_weight,
    ema_decay,
    identity_weight,
    rate_factor,
    warmup_factor,
)
from pleinair.session import Session

Losses = dict[str, Tensor]


def train_step(session: Session, photo: Tensor, painting: Tensor, progress: float) -> Losses:
    """Update all networks once. photo, painting: float32 NCHW in [-1, 1]."""
    recipe, nets = session.recipe, session.networks
    factor = rate_factor(progress, recipe)
    own_step = session.step - recipe.warmup_steps
    for optimizer, rate, step in (
        (session.generator_optimizer, recipe.generator_rate, own_step),
        (session.discriminator_optimizer, recipe.discriminator_rate, session.step),
    ):
        for group in optimizer.param_groups:
            group["lr"] = rate * factor * warmup_factor(step, recipe)
    found: Losses = {}
    if own_step < 0:
        with torch.no_grad():
            sources = (photo, painting)
            fakes = [g(x) for g, x in zip(nets.generators, sources, strict=False)]
            seen = _remembered(session, fakes, _looked_at(session, fakes))
    else:
        few = slice(recipe.batch)
        seen = _update_generators(session, photo[few], painting[few], progress, found)
    _update_discriminators(session, (painting, photo), seen, found)
    session.team.average(list(found.values()))
    if recipe.augment_above < 1.0:
        right = [float(found[key]) for key in found if key.endswith("_accuracy")]
        session.accuracy += 0.05 * (sum(right) / len(right) - session.accuracy)
    session.step += 1
    return found


def _update_generators(
    session: Session, photo: Tensor, painting: Tensor, progress: float, found: Losses
) -> list[Seen]:
    """Deceive the discriminators and stay with the photo; what they have seen, detached."""
    recipe, nets = session.recipe, session.networks
    for discriminator in nets.discriminators:
        discriminator.requires_grad_(False)
    way = _one_way if recipe.direction == "painting" else _both_ways
    total, fakes, seen = way(session, photo, painting, progress, found)
    session.generator_optimizer.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    session.team.average_gradients([*nets.generators, *nets.heads])
    session.generator_optimizer.step()
    if session.ema:
        _average(session.ema.generators, nets.generators, ema_decay(session.step, recipe))
    return _remembered(session, fakes, seen)


def _both_ways(
    session: Session, photo: Tensor, painting: Tensor, progress: float, found: Losses
) -> tuple[Tensor, list[Tensor], list[Seen]]:
    """CycleGAN: come back, and leave alone what is already there."""
    recipe, nets = session.recipe, session.networks
    paint, unpaint = nets.generators
    weight = identity_weight(progress, recipe)
    own_painting = painting if weight > 0 else None
    own_photo = photo if weight > 0 and not recipe.identity_one_way else None
    smooth = _smooth(photo, recipe)
    fake_painting, same_painting, rippled = _together(paint, photo, own_painting, smooth)
    # The way back of one side goes with the way there of the other.
    noisy = _noisy(fake_painting, recipe.cycle_noise)
    fake_photo, photo_again, same_photo = _together(unpaint, painting, noisy, own_photo)
    painting_again = paint(_noisy(fake_photo, recipe.cycle_noise))
    fakes = [fake_painting, fake_photo]
    seen = _looked_at(session, fakes)
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
    return total + _ripple(rippled, recipe, found), fakes, seen


def _one_way(
    session: Session, photo: Tensor, painting: Tensor, _progress: float, found: Losses
) -> tuple[Tensor, list[Tensor], list[Seen]]:
    """CUT: each place of the painting must be known again by the photo's own place.

    Park et al. 2020, https://arxiv.org/abs/2007.15651, eq. 5 (lambda_X = lambda_Y, halved as the
    authors' code does when both are there).
    """
    recipe, nets = session.recipe, session.networks
    paint, heads = nets.painting_generator, nets.patch_heads
    if heads is None:
        raise TrainingError("networks of one direction are expected; build them from the recipe.")
    own = painting if recipe.nce_identity else None
    fake, same, rippled = _together(paint, photo, own, _smooth(photo, recipe))
    nce = _patch_nce(paint, heads, photo, fake, recipe)
    if same is not None:
        nce = 0.5 * (nce + _patch_nce(paint, heads, painting, same, recipe))
    seen = _looked_at(session, [fake])
    adversarial = losses.generator_loss(
        recipe.adversarial, nets.painting_discriminator.judge(seen[0])
    )
    total = adversarial + recipe.nce_weight * nce
    found["painting_generator"] = total.detach()
    found["nce"] = nce.detach()
    return total + _ripple(rippled, recipe, found), [fake], seen


def _smooth(like: Tensor, recipe: Recipe) -> Tensor | None:
    return random_gradient(like) if recipe.ripple_weight > 0 else None


def _ripple(smooth: Tensor | None, recipe: Recipe, found: Losses) -> Tensor | float:
    """The weighted loss of what became of a smooth gradient."""
    if smooth is None:
        return 0.0
    edge = smooth.shape[-1] // 4  # its padding is an edge, which may be painted as one
    ripple = losses.ripple_loss(smooth[..., edge:-edge, edge:-edge])
    found["ripple"] = ripple.detach()
    return recipe.ripple_weight * ripple


def _patch_nce(
    generator: Generator, heads: PatchHeads, source: Tensor, result: Tensor, recipe: Recipe
) -> Tensor:
    """Mean over the encoder's depths of the PatchNCE loss of places drawn anew at each."""
    with torch.no_grad():
        sources = generator.encode(source)
        places = [_places(depth, recipe.nce_patches) for depth in sources]
        keys = heads(sources, places)
    queries = heads(generator.encode(result), places)
    found = [
        losses.patch_nce_loss(query, key, recipe.nce_temperature)
        for query, key in zip(queries, keys, strict=True)
    ]
    return torch.stack(found).mean()


def _places(depth: Tensor, count: int) -> Tensor:
    size = depth.shape[-2] * depth.shape[-1]
    return torch.randperm(size)[:count].to(depth.device)


def _looked_at(session: Session, pictures: Sequence[Tensor]) -> list[Seen]:
    """What the discriminators' fixed part, the same in both, makes of pictures: in one pass."""
    shown = torch.cat([_as_shown(session, one) for one in pictures])
    maps = session.networks.painting_discriminator.look(shown)
    counts = [one.shape[0] for one in pictures]
    return list(zip(*(torch.split(part, counts) for part in maps), strict=True))


def _remembered(session: Session, fakes: Sequence[Tensor], seen: Sequence[Seen]) -> list[Seen]:
    """What discriminators learn from later: what they saw, or where that varies the pictures."""
    kept = [(fake,) for fake in fakes] if session.recipe.augment_above < 1.0 else seen
    return [tuple(part.detach() for part in one) for one in kept]


def _as_shown(session: Session, pictures: Tensor) -> Tensor:
    """What discriminators get to see: varied as long as they win too easily."""
    return augment(pictures) if session.accuracy > session.recipe.augment_above else pictures


def _update_discriminators(
    session: Session, reals: tuple[Tensor, Tensor], fakes: list[Seen], found: Losses
) -> None:
    """Tell pictures from translations, new ones and some of the past."""
    recipe, nets, kind = session.recipe, session.networks, session.recipe.adversarial
    for discriminator in nets.discriminators:
        discriminator.requires_grad_(True)
    session.discriminator_optimizer.zero_grad(set_to_none=True)
    pools = (session.painting_pool, session.photo_pool)
    if recipe.augment_above < 1.0:
        seen_reals: list[Seen] = [(real,) for real in reals]
    else:
        with torch.no_grad():
            seen_reals = _looked_at(session, reals[: len(fakes)])
    # zip ends with the shortest: a one-way run has one of each.
    for side, discriminator, real, real_seen, fake, pool in zip(
        *(("painting", "photo"), nets.discriminators, reals, seen_reals, fakes, pools),
        strict=False,
    ):
        shown = pool.query(fake)
        # Translations are dear, pictures are cheap: fill up with translations of the past.
        more = pool.sample(real.shape[0] - shown[0].shape[0])
        parts = [real_seen, shown, *(tuple(part[None] for part in one) for one in more)]
        both = tuple(torch.cat(maps) for maps in zip(*parts, strict=True))
        if recipe.augment_above < 1.0:
            both = discriminator.look(_as_shown(session, both[0]))
        # One pass over both: no layer mixes the pictures of a batch.
        logits = discriminator.judge(both)
        real_logits, fake_logits = logits[: real.shape[0]], logits[real.shape[0] :]
        loss = losses.discriminator_loss(kind, real_logits, fake_logits)
        found[f"{side}_discriminator"] = loss.detach()
        if recipe.r1_weight > 0 and session.step % recipe.r1_every == 0:
            penalty = losses.r1_penalty(discriminator, real)
            found[f"{side}_r1"] = penalty.detach()
            # Lazy: rarely, and so much more. Karras et al. 2020, arXiv:1912.04958, appendix B.
            loss = loss + recipe.r1_every * recipe.r1_weight * penalty
        loss.backward()  # type: ignore[no-untyped-call]
        found[f"{side}_accuracy"] = losses.discriminator_accuracy(
            kind, real_logits.detach(), fake_logits.detach()
        )
    session.team.average_gradients(nets.discriminators)
    session.discriminator_optimizer.step()


def _together(generator: nn.Module, *pictures: Tensor | None) -> Any:
    """What becomes of several pictures in one pass; None of None."""
    there = [one for one in pictures if one is not None]
    results = iter(torch.split(generator(torch.cat(there)), [one.shape[0] for one in there]))
    return [None if one is None else next(results) for one in pictures]


def _noisy(picture: Tensor, deviation: float) -> Tensor:
    # A cycle can be closed by a message hidden in faint detail, which shows as a lattice in flat
    # skies; noise drowns it. Bashkirova et al. 2019, https://arxiv.org/abs/1908.01517.
    if not deviation:
        return picture
    # Not randn_like: drawing in another order of memory takes ten times as long.
    noise = torch.randn(picture.shape, device=picture.device, dtype=picture.dtype)
    return picture + deviation * noise


def random_gradient(like: Tensor) -> Tensor:
    """A random linear gradient of one colour to another, in the shape of one picture."""
    height, width = like.shape[-2:]
    # Half of them along an axis, where a lattice lies.
    turn = torch.rand(()).item() * 2 * math.pi
    if torch.rand(()).item() < 0.5:
        turn = math.floor(turn / (math.pi / 2)) * math.pi / 2
    x = torch.linspace(-0.5, 0.5, width, device=like.device)
    y = torch.linspace(-0.5, 0.5, height, device=like.device)[:, None]
    along = math.cos(turn) * x + math.sin(turn) * y
    tint = 0.1 * torch.randn(2, 3, 1, 1)
    middle = (1.6 * torch.rand(()) - 0.8 + tint[0]).to(like.device)
    slope = (1.6 * torch.rand(()) + tint[1]).to(like.device)
    return (middle + slope * along).clamp(-1.0, 1.0)[None]


@torch.no_grad()
def _average(averages: list[nn.Module], networks: list[nn.Module], decay: float) -> None:
    for average, network in zip(averages, networks, strict=True):
        torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1.0 - decay)
