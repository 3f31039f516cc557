"""One step of training: what it reads and what it changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pleinair import losses
from pleinair.augment import augment
from pleinair.checkpoint import ImagePool, Networks
from pleinair.config import Recipe, Spec
from pleinair.errors import TrainingError
from pleinair.networks import Generator, PatchHeads
from pleinair.recipes import recipe_to_dict
from pleinair.schedules import (
    cycle_weight,
    ema_decay,
    identity_weight,
    rate_factor,
    warmup_factor,
)
from pleinair.team import Team
from pleinair.weights import Weights

Losses = dict[str, Tensor]
GENERATORS = ("painting_generator", "photo_generator")
DISCRIMINATORS = ("painting_discriminator", "photo_discriminator")

# --- state -----------------------------------------------------------------------------------


@dataclass
class Session:
    """A run in memory: all that a step reads and changes."""

    recipe: Recipe
    team: Team
    networks: Networks
    ema: Networks | None  # the generators' moving averages; its discriminators are not used
    generator_optimizer: torch.optim.Adam
    discriminator_optimizer: torch.optim.Adam
    painting_pool: ImagePool
    photo_pool: ImagePool
    step: int = 0
    seconds: float = 0.0
    accuracy: float = 0.5  # of the discriminators, a moving average
    before: list[dict[str, Any]] = field(default_factory=list)  # runs that this one began with

    @classmethod
    def start(cls, recipe: Recipe, seed: int, team: Team | torch.device) -> Session:
        """Fresh networks from a seed, the same in every process of a team."""
        team = Team(team) if isinstance(team, torch.device) else team
        device = team.device
        torch.manual_seed(seed)
        networks = Networks.build(recipe)
        for network in networks.by_name().values():
            network.to(device).train()
        ema = deepcopy(networks) if recipe.ema_decay > 0 else None
        if team.rank > 0:
            torch.manual_seed(seed + 1_000_003 * team.rank)  # dropout and noise of its own
        return cls(
            recipe,
            team,
            networks,
            ema,
            _adam([*networks.generators, *networks.heads], recipe.generator_rate, recipe),
            _adam(networks.discriminators, recipe.discriminator_rate, recipe),
            ImagePool(recipe.pool_size),
            ImagePool(recipe.pool_size),
        )

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.team.device

    @property
    def best(self) -> Networks:
        """The networks that samples and exports use."""
        return self.ema or self.networks

    def state(self) -> dict[str, Any]:
        """All that the next step depends on but the data streams, for a checkpoint."""
        return {
            "networks": {n: net.state_dict() for n, net in self.networks.by_name().items()},
            "ema": [net.state_dict() for net in self.ema.generators] if self.ema else [],
            "generator_optimizer": self.generator_optimizer.state_dict(),
            "discriminator_optimizer": self.discriminator_optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "accuracy": self.accuracy,
            "before": self.before,
        }

    def own_state(self) -> dict[str, Any]:
        """What each process of a team has for itself: pools and random states."""
        cuda = torch.cuda.get_rng_state_all() if self.device.type == "cuda" else []
        return {
            "painting_pool": [picture.cpu() for picture in self.painting_pool.pictures],
            "photo_pool": [picture.cpu() for picture in self.photo_pool.pictures],
            "torch_random": torch.get_rng_state(),
            "cuda_random": cuda,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, which a session of the same recipe gave."""
        for name, network in self.networks.by_name().items():
            network.load_state_dict(state["networks"][name])
        if self.ema:
            for network, values in zip(self.ema.generators, state["ema"], strict=True):
                network.load_state_dict(values)
        self.generator_optimizer.load_state_dict(state["generator_optimizer"])
        self.discriminator_optimizer.load_state_dict(state["discriminator_optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.accuracy = state.get("accuracy", 0.5)
        self.before = state.get("before", [])

    def restore_own(self, own: dict[str, Any]) -> None:
        """Go on from `own`, which the same process of a team of the same size gave."""
        self.painting_pool.pictures = [p.to(self.device) for p in own["painting_pool"]]
        self.photo_pool.pictures = [p.to(self.device) for p in own["photo_pool"]]
        torch.set_rng_state(own["torch_random"])
        if self.device.type == "cuda" and own["cuda_random"]:
            torch.cuda.set_rng_state_all(own["cuda_random"])

    def is_finite(self) -> bool:
        """Whether every weight is still a number."""
        sums = [p.sum() for net in self.networks.by_name().values() for p in net.parameters()]
        return bool(torch.isfinite(torch.stack(sums)).all())

    def init_from(self, recipe: Recipe, state: dict[str, Any]) -> None:
        """Take over the networks of another run; rates, pools and the step begin anew.

        The generators are its averaged ones, which is what its painter is. Discriminators of
        another shape stay fresh, and so does what only one of a one-way and a two-way run has.
        Raises TrainingError where the generators differ in shape.
        """
        self._expect(recipe.generator)
        done = {"recipe": recipe_to_dict(recipe), "steps": state["step"]}
        self.before = [*state.get("before", []), done]
        averages = state["ema"] or [
            state["networks"][name] for name in GENERATORS if name in state["networks"]
        ]
        for networks in (self.networks, self.ema) if self.ema else (self.networks,):
            for network, values in zip(networks.generators, averages, strict=False):
                network.load_state_dict(values)
        if recipe.discriminator == self.recipe.discriminator:
            for name, network in self.networks.by_name().items():
                if name in DISCRIMINATORS and name in state["networks"]:
                    network.load_state_dict(state["networks"][name])

    def init_from_painter(self, painter: Weights) -> None:
        """Take over a painter; the other networks stay fresh.

        Raises TrainingError where its generator differs in shape from the recipe's.
        """
        self._expect(painter.spec)
        card = painter.card
        self.before = [
            *card.get("before", []),
            {"recipe": card.get("recipe"), "steps": card.get("steps")},
        ]
        values = {name: torch.from_numpy(array) for name, array in painter.arrays.items()}
        for networks in (self.networks, self.ema) if self.ema else (self.networks,):
            networks.painting_generator.load_state_dict(values)

    def _expect(self, generator: Spec) -> None:
        if generator != self.recipe.generator:
            raise TrainingError(
                f"what the run is to begin with has another generator ({generator}); "
                f"{self.recipe.generator} is expected: choose its recipe."
            )


def _adam(networks: Sequence[nn.Module], rate: float, recipe: Recipe) -> torch.optim.Adam:
    parameters = [p for network in networks for p in network.parameters()]
    return torch.optim.Adam(parameters, lr=rate, betas=(recipe.beta1, recipe.beta2), fused=True)


# --- one step --------------------------------------------------------------------------------


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
    else:
        few = slice(recipe.batch)
        fakes = _update_generators(session, photo[few], painting[few], progress, found)
    _update_discriminators(session, (painting, photo), fakes, found)
    session.team.average(list(found.values()))
    if recipe.augment_above < 1.0:
        right = [float(found[key]) for key in found if key.endswith("_accuracy")]
        session.accuracy += 0.05 * (sum(right) / len(right) - session.accuracy)
    session.step += 1
    return found


def _update_generators(
    session: Session, photo: Tensor, painting: Tensor, progress: float, found: Losses
) -> list[Tensor]:
    """Deceive the discriminators and stay with the photo; the translations, detached."""
    recipe, nets = session.recipe, session.networks
    for discriminator in nets.discriminators:
        discriminator.requires_grad_(False)
    way = _one_way if recipe.direction == "painting" else _both_ways
    total, fakes = way(session, photo, painting, progress, found)
    if recipe.ripple_weight > 0:
        smooth = nets.painting_generator(_gradient(photo))
        edge = smooth.shape[-1] // 4  # its padding is an edge, which may be painted as one
        ripple = losses.ripple_loss(smooth[..., edge:-edge, edge:-edge])
        total = total + recipe.ripple_weight * ripple
        found["ripple"] = ripple.detach()
    session.generator_optimizer.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    session.team.average_gradients([*nets.generators, *nets.heads])
    session.generator_optimizer.step()
    if session.ema:
        _average(session.ema.generators, nets.generators, ema_decay(session.step, recipe))
    return [fake.detach() for fake in fakes]


def _both_ways(
    session: Session, photo: Tensor, painting: Tensor, progress: float, found: Losses
) -> tuple[Tensor, list[Tensor]]:
    """CycleGAN: come back, and leave alone what is already there."""
    recipe, nets = session.recipe, session.networks
    paint, unpaint = nets.generators
    weight = identity_weight(progress, recipe)
    fake_painting, same_painting = _translate(paint, photo, painting, weight > 0)
    one_way = recipe.identity_one_way
    fake_photo, same_photo = _translate(unpaint, painting, photo, weight > 0 and not one_way)
    photo_again = unpaint(_noisy(fake_painting, recipe.cycle_noise))
    painting_again = paint(_noisy(fake_photo, recipe.cycle_noise))
    painting_loss = _adversarial(session, nets.discriminators[0], fake_painting)
    photo_loss = _adversarial(session, nets.discriminators[1], fake_photo)
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
    return painting_loss + photo_loss + weighted_cycle, [fake_painting, fake_photo]


def _one_way(
    session: Session, photo: Tensor, painting: Tensor, _progress: float, found: Losses
) -> tuple[Tensor, list[Tensor]]:
    """CUT: each place of the painting must be known again by the photo's own place.

    Park et al. 2020, https://arxiv.org/abs/2007.15651, eq. 5 (lambda_X = lambda_Y, halved as the
    authors' code does when both are there).
    """
    recipe, nets = session.recipe, session.networks
    paint, heads = nets.painting_generator, nets.patch_heads
    if heads is None:
        raise TrainingError("networks of one direction are expected; build them from the recipe.")
    fake, same = _translate(paint, photo, painting, recipe.nce_identity)
    nce = _patch_nce(paint, heads, photo, fake, recipe)
    if same is not None:
        nce = 0.5 * (nce + _patch_nce(paint, heads, painting, same, recipe))
    total = _adversarial(session, nets.discriminators[0], fake) + recipe.nce_weight * nce
    found["painting_generator"] = total.detach()
    found["nce"] = nce.detach()
    return total, [fake]


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


def _adversarial(session: Session, discriminator: nn.Module, fake: Tensor) -> Tensor:
    return losses.generator_loss(
        session.recipe.adversarial, discriminator(_as_shown(session, fake))
    )


def _as_shown(session: Session, pictures: Tensor) -> Tensor:
    """What discriminators get to see: varied as long as they win too easily."""
    return augment(pictures) if session.accuracy > session.recipe.augment_above else pictures


def _update_discriminators(
    session: Session, reals: tuple[Tensor, Tensor], fakes: list[Tensor], found: Losses
) -> None:
    """Tell pictures from translations, new ones and some of the past."""
    recipe, nets, kind = session.recipe, session.networks, session.recipe.adversarial
    for discriminator in nets.discriminators:
        discriminator.requires_grad_(True)
    session.discriminator_optimizer.zero_grad(set_to_none=True)
    pools = (session.painting_pool, session.photo_pool)
    # zip ends with the shortest: a one-way run has one of each.
    for side, discriminator, real, fake, pool in zip(
        ("painting", "photo"), nets.discriminators, reals, fakes, pools, strict=False
    ):
        shown = pool.query(fake)
        # Translations are dear, pictures are cheap: fill up with translations of the past.
        more = pool.sample(real.shape[0] - shown.shape[0])
        shown = torch.cat([shown, torch.stack(more)]) if more else shown
        # One pass over both: no layer mixes the pictures of a batch.
        logits = discriminator(_as_shown(session, torch.cat([real, shown])))
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


def _translate(
    generator: nn.Module, source: Tensor, target: Tensor, identity: bool
) -> tuple[Tensor, Tensor | None]:
    """Translation of the source and, in the same pass, what becomes of the target itself."""
    if not identity:
        return generator(source), None
    translated, same = generator(torch.cat([source, target])).chunk(2)
    return translated, same


def _noisy(picture: Tensor, deviation: float) -> Tensor:
    # A cycle can be closed by a message hidden in faint detail, which shows as a lattice in flat
    # skies; noise drowns it. Bashkirova et al. 2019, https://arxiv.org/abs/1908.01517.
    return picture + deviation * torch.randn_like(picture) if deviation else picture


def _gradient(like: Tensor) -> Tensor:
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
        for mean, value in zip(average.parameters(), network.parameters(), strict=True):
            mean.lerp_(value, 1.0 - decay)
