"""One step of training: what it reads and changes, and how rates change over a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pleinair import losses
from pleinair.checkpoint import ImagePool, Networks
from pleinair.config import Recipe
from pleinair.errors import TrainingError
from pleinair.images import Batch
from pleinair.recipes import recipe_to_dict

Losses = dict[str, Tensor]

# --- schedules: pure functions of the run's progress -----------------------------------------


def rate_factor(progress: float, decay_from: float) -> float:
    """Factor of a learning rate at `progress` in [0, 1]: constant, then linear to 0."""
    if progress < decay_from:
        return 1.0
    return max(0.0, (1.0 - progress) / (1.0 - decay_from)) if decay_from < 1.0 else 1.0


def identity_weight(progress: float, recipe: Recipe) -> float:
    """Weight of the identity loss at `progress` in [0, 1]: linear over `identity_ramp`."""
    part = min(1.0, progress / recipe.identity_ramp)
    return recipe.identity_weight + part * (recipe.identity_end_weight - recipe.identity_weight)


def cycle_weight(progress: float, recipe: Recipe) -> float:
    """Weight of the cycle loss at `progress` in [0, 1]: it falls as the learning rate does."""
    kept = rate_factor(progress, recipe.decay_from)
    return recipe.cycle_end_weight + kept * (recipe.cycle_weight - recipe.cycle_end_weight)


def ema_decay(step: int, recipe: Recipe) -> float:
    """Decay of the moving average at a step: short at first, so that it forgets the start."""
    return min(recipe.ema_decay, (1 + step) / (10 + step))


# --- state -----------------------------------------------------------------------------------


@dataclass
class Session:
    """A run in memory: all that a step reads and changes."""

    recipe: Recipe
    device: torch.device
    networks: Networks
    ema: Networks | None  # the generators' moving averages; its discriminators are not used
    generator_optimizer: torch.optim.Adam
    discriminator_optimizer: torch.optim.Adam
    painting_pool: ImagePool
    photo_pool: ImagePool
    step: int = 0
    seconds: float = 0.0
    before: list[dict[str, Any]] = field(default_factory=list)  # runs that this one began with

    @classmethod
    def start(cls, recipe: Recipe, seed: int, device: torch.device) -> Session:
        """Fresh networks from a seed."""
        torch.manual_seed(seed)
        networks = Networks.build(recipe)
        for network in networks.by_name().values():
            network.to(device).train()
        ema = deepcopy(networks) if recipe.ema_decay > 0 else None
        return cls(
            recipe,
            device,
            networks,
            ema,
            _adam(networks.generators, recipe.generator_rate, recipe.beta1),
            _adam(networks.discriminators, recipe.discriminator_rate, recipe.beta1),
            ImagePool(recipe.pool_size),
            ImagePool(recipe.pool_size),
        )

    @property
    def best(self) -> Networks:
        """The networks that samples and exports use."""
        return self.ema or self.networks

    def state(self) -> dict[str, Any]:
        """All that the next step depends on but the data streams, for a checkpoint."""
        cuda = torch.cuda.get_rng_state_all() if self.device.type == "cuda" else []
        return {
            "networks": {n: net.state_dict() for n, net in self.networks.by_name().items()},
            "ema": [net.state_dict() for net in self.ema.generators] if self.ema else [],
            "generator_optimizer": self.generator_optimizer.state_dict(),
            "discriminator_optimizer": self.discriminator_optimizer.state_dict(),
            "painting_pool": self.painting_pool.pictures,
            "photo_pool": self.photo_pool.pictures,
            "torch_random": torch.get_rng_state(),
            "cuda_random": cuda,
            "step": self.step,
            "seconds": self.seconds,
            "before": self.before,
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
        self.painting_pool.pictures = [p.to(self.device) for p in state["painting_pool"]]
        self.photo_pool.pictures = [p.to(self.device) for p in state["photo_pool"]]
        self.step, self.seconds = state["step"], state["seconds"]
        self.before = state.get("before", [])
        torch.set_rng_state(state["torch_random"])
        if self.device.type == "cuda" and state["cuda_random"]:
            torch.cuda.set_rng_state_all(state["cuda_random"])

    def begin_with(self, recipe: Recipe, state: dict[str, Any]) -> None:
        """Take over the networks of another run; rates, pools and the step begin anew.

        The generators are its averaged ones, which is what its painter is. Discriminators of
        another shape stay fresh. Raises TrainingError where the generators differ in shape.
        """
        if recipe.generator != self.recipe.generator:
            raise TrainingError(
                f"the run to begin with has another generator ({recipe.generator}); "
                f"{self.recipe.generator} is expected: choose its recipe."
            )
        done = {"recipe": recipe_to_dict(recipe), "steps": state["step"]}
        self.before = [*state.get("before", []), done]
        averages = state["ema"] or [
            state["networks"][name] for name in ("painting_generator", "photo_generator")
        ]
        for networks in (self.networks, self.ema) if self.ema else (self.networks,):
            for network, values in zip(networks.generators, averages, strict=True):
                network.load_state_dict(values)
        if recipe.discriminator == self.recipe.discriminator:
            for name in ("painting_discriminator", "photo_discriminator"):
                self.networks.by_name()[name].load_state_dict(state["networks"][name])


def _adam(networks: list[nn.Module], rate: float, beta1: float) -> torch.optim.Adam:
    parameters = [p for network in networks for p in network.parameters()]
    return torch.optim.Adam(parameters, lr=rate, betas=(beta1, 0.999), fused=True)


# --- one step --------------------------------------------------------------------------------


def train_step(session: Session, photo: Tensor, painting: Tensor, progress: float) -> Losses:
    """Update all four networks once. photo, painting: float32 NCHW in [-1, 1]."""
    recipe, nets = session.recipe, session.networks
    factor = rate_factor(progress, recipe.decay_from)
    for optimizer, rate in (
        (session.generator_optimizer, recipe.generator_rate),
        (session.discriminator_optimizer, recipe.discriminator_rate),
    ):
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
    found: Losses = {}
    if session.step < recipe.warmup_steps:
        with torch.no_grad():
            fakes = nets.painting_generator(photo), nets.photo_generator(painting)
    else:
        few = slice(recipe.batch)
        fakes = _update_generators(session, photo[few], painting[few], progress, found)
    _update_discriminators(session, (painting, photo), fakes, found)
    session.step += 1
    return found


def _update_generators(
    session: Session, photo: Tensor, painting: Tensor, progress: float, found: Losses
) -> tuple[Tensor, Tensor]:
    """Deceive the discriminators, come back, leave alone what is already there."""
    recipe, nets, kind = session.recipe, session.networks, session.recipe.adversarial
    for discriminator in nets.discriminators:
        discriminator.requires_grad_(False)
    weight = identity_weight(progress, recipe)
    fake_painting, same_painting = _translate(nets.painting_generator, photo, painting, weight)
    fake_photo, same_photo = _translate(nets.photo_generator, painting, photo, weight)
    photo_again = nets.photo_generator(_noisy(fake_painting, recipe.cycle_noise))
    painting_again = nets.painting_generator(_noisy(fake_photo, recipe.cycle_noise))
    painting_loss = losses.generator_loss(kind, nets.painting_discriminator(fake_painting))
    photo_loss = losses.generator_loss(kind, nets.photo_discriminator(fake_photo))
    pool = recipe.cycle_pool
    cycle = losses.cycle_loss(photo, photo_again, pool)
    cycle = cycle + losses.cycle_loss(painting, painting_again, pool)
    if same_painting is not None and same_photo is not None:
        identity_painting = losses.identity_loss(painting, same_painting)
        identity_photo = losses.identity_loss(photo, same_photo)
        painting_loss = painting_loss + weight * identity_painting
        photo_loss = photo_loss + weight * identity_photo
        found["identity"] = (identity_painting + identity_photo).detach()
    session.generator_optimizer.zero_grad(set_to_none=True)
    weighted_cycle = cycle_weight(progress, recipe) * cycle
    total = painting_loss + photo_loss + weighted_cycle
    if recipe.ripple_weight > 0:
        smooth = nets.painting_generator(_gradient(photo))
        edge = smooth.shape[-1] // 4  # its padding is an edge, which may be painted as one
        ripple = losses.ripple_loss(smooth[..., edge:-edge, edge:-edge])
        total = total + recipe.ripple_weight * ripple
        found["ripple"] = ripple.detach()
    total.backward()  # type: ignore[no-untyped-call]
    session.generator_optimizer.step()
    if session.ema:
        _average(session.ema.generators, nets.generators, ema_decay(session.step, recipe))
    # As the tutorial shows them: each generator's own losses and the whole cycle.
    found["painting_generator"] = (painting_loss + weighted_cycle).detach()
    found["photo_generator"] = (photo_loss + weighted_cycle).detach()
    found["cycle"] = cycle.detach()
    return fake_painting.detach(), fake_photo.detach()


def _update_discriminators(
    session: Session, reals: tuple[Tensor, Tensor], fakes: tuple[Tensor, Tensor], found: Losses
) -> None:
    """Tell pictures from translations, new ones and some of the past."""
    nets, kind = session.networks, session.recipe.adversarial
    for discriminator in nets.discriminators:
        discriminator.requires_grad_(True)
    session.discriminator_optimizer.zero_grad(set_to_none=True)
    pools = (session.painting_pool, session.photo_pool)
    for side, discriminator, real, fake, pool in zip(
        ("painting", "photo"), nets.discriminators, reals, fakes, pools, strict=True
    ):
        shown = pool.query(fake)
        # Translations are dear, pictures are cheap: fill up with translations of the past.
        more = pool.sample(real.shape[0] - shown.shape[0])
        shown = torch.cat([shown, torch.stack(more)]) if more else shown
        # One pass over both: no layer mixes the pictures of a batch.
        logits = discriminator(torch.cat([real, shown]))
        real_logits, fake_logits = logits[: real.shape[0]], logits[real.shape[0] :]
        loss = losses.discriminator_loss(kind, real_logits, fake_logits)
        loss.backward()  # type: ignore[no-untyped-call]
        found[f"{side}_discriminator"] = loss.detach()
        found[f"{side}_accuracy"] = losses.discriminator_accuracy(
            kind, real_logits.detach(), fake_logits.detach()
        )
    session.discriminator_optimizer.step()


def _translate(
    generator: nn.Module, source: Tensor, target: Tensor, identity: float
) -> tuple[Tensor, Tensor | None]:
    """Translation of the source and, in the same pass, what becomes of the target itself."""
    if identity == 0:
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


def engine(network: nn.Module, device: torch.device) -> Callable[[Batch], Batch]:
    """A network as a callable of float32 NCHW arrays in [-1, 1], in evaluation mode."""

    @torch.inference_mode()
    def run(batch: Batch) -> Batch:
        training = network.training
        network.eval()
        out: Batch = network(torch.from_numpy(batch).to(device)).float().cpu().numpy()
        network.train(training)
        return out

    return run
