"""The trainer: what one step does, how rates change, and the loop."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from pleinair import checkpoint, data, losses, monitoring, weights
from pleinair.checkpoint import ImagePool, Networks
from pleinair.config import TRAIN, Recipe, recipe_to_dict, size_multiple
from pleinair.errors import CheckpointError, OutputError, TrainingError
from pleinair.images import Batch

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
            "ema": {n: net.state_dict() for n, net in self.ema.by_name().items()}
            if self.ema
            else None,
            "generator_optimizer": self.generator_optimizer.state_dict(),
            "discriminator_optimizer": self.discriminator_optimizer.state_dict(),
            "painting_pool": self.painting_pool.pictures,
            "photo_pool": self.photo_pool.pictures,
            "torch_random": torch.get_rng_state(),
            "cuda_random": cuda,
            "step": self.step,
            "seconds": self.seconds,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, which a session of the same recipe gave."""
        for name, network in self.networks.by_name().items():
            network.load_state_dict(state["networks"][name])
        if self.ema:
            for name, network in self.ema.by_name().items():
                network.load_state_dict(state["ema"][name])
        self.generator_optimizer.load_state_dict(state["generator_optimizer"])
        self.discriminator_optimizer.load_state_dict(state["discriminator_optimizer"])
        self.painting_pool.pictures = [p.to(self.device) for p in state["painting_pool"]]
        self.photo_pool.pictures = [p.to(self.device) for p in state["photo_pool"]]
        self.step, self.seconds = state["step"], state["seconds"]
        torch.set_rng_state(state["torch_random"])
        if self.device.type == "cuda" and state["cuda_random"]:
            torch.cuda.set_rng_state_all(state["cuda_random"])


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
    total = painting_loss + photo_loss + recipe.cycle_weight * cycle
    total.backward()  # type: ignore[no-untyped-call]
    session.generator_optimizer.step()
    if session.ema:
        _average(session.ema.generators, nets.generators, ema_decay(session.step, recipe))
    # As the tutorial shows them: each generator's own losses and the whole cycle.
    found["painting_generator"] = (painting_loss + recipe.cycle_weight * cycle).detach()
    found["photo_generator"] = (photo_loss + recipe.cycle_weight * cycle).detach()
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


Losses = dict[str, Tensor]


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


@torch.no_grad()
def _average(averages: list[nn.Module], networks: list[nn.Module], decay: float) -> None:
    for average, network in zip(averages, networks, strict=True):
        for mean, value in zip(average.parameters(), network.parameters(), strict=True):
            mean.lerp_(value, 1.0 - decay)


# --- the loop --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """What to train on, how long, and where to put it."""

    photos: Path
    paintings: Path
    out: Path
    recipe: Recipe
    seed: int = TRAIN.seed
    steps: int | None = None  # the recipe's own when neither this nor another limit is given
    epochs: float | None = None  # passes over the larger folder
    minutes: float | None = None  # of training, over all resumed parts together
    checkpoint_every: int = TRAIN.checkpoint_every
    sample_every: int = TRAIN.sample_every
    log_every: int = TRAIN.log_every
    device: str = "auto"


class Listener(Protocol):
    """Whoever wants to know how a run goes."""

    def progress(self, step: int, part: float, values: dict[str, float]) -> None:
        """After every step: its number, the part of the run done in [0, 1], the mean losses."""

    def note(self, text: str) -> None:
        """One sentence for people."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    run: Path
    step: int
    finished: bool  # False: interrupted, `--resume` goes on


def train(plan: Plan, listener: Listener, resume: bool = False) -> Outcome:
    """Train until the plan's limit or an interrupt; leave a checkpoint, a painter and a sheet.

    Raises DataError, CheckpointError or TrainingError; what was saved before stays.
    """
    # Data: two endless streams, each with its own shuffle.
    recipe = plan.recipe
    torch.set_flush_denormal(True)  # a vanishing gradient must not cost 100 times more
    cache = TRAIN.cache_mib * 2**20 // 2
    photos = data.Pictures(plan.photos, recipe.resize_max, cache, listener.note)
    paintings = data.Pictures(plan.paintings, recipe.resize_max, cache, listener.note)
    photo_stream = data.Stream(photos, recipe, (plan.seed, 0))
    painting_stream = data.Stream(paintings, recipe, (plan.seed, 1))
    side = max(64, recipe.resize_min)
    fixed = monitoring.fixed_photos(
        photos.first(TRAIN.sample_photos), side, size_multiple(recipe.generator)
    )
    limit = _limit(plan, max(len(photos), len(paintings)))
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{plan.out} cannot be made ({error.strerror or error}).") from error

    # Networks: fresh, or all of them as they were.
    session = Session.start(recipe, plan.seed, _device(plan.device))
    if resume:
        _, state = checkpoint.load(checkpoint.latest(plan.out))
        session.restore(state)
        photo_stream.restore(state["photo_stream"])
        painting_stream.restore(state["painting_stream"])
        monitoring.rewind_history(plan.out / "history.jsonl", session.step)

    def save() -> None:
        streams = {"photo_stream": photo_stream.state(), "painting_stream": painting_stream.state()}
        plain = {k: str(v) for k, v in asdict(plan).items() if k in ("photos", "paintings")}
        limits = {"seed": plan.seed, "steps": limit.steps, "minutes": plan.minutes}
        path = plan.out / "checkpoints" / f"{session.step:08d}.pt"
        state = {**session.state(), **streams, "plan": {**plain, **limits}}
        checkpoint.save(path, recipe, state)
        checkpoint.prune(plan.out, TRAIN.checkpoints_kept)
        save_painter(session, plan)

    # Steps: draw, learn, tell.
    started = time.perf_counter() - session.seconds
    means = _Means()
    with _interruptible() as interrupted:
        while not limit.reached(session) and not interrupted():
            photo = torch.from_numpy(photo_stream.next_batch()).to(session.device)
            painting = torch.from_numpy(painting_stream.next_batch()).to(session.device)
            found = train_step(session, photo, painting, limit.progress(session))
            session.seconds = time.perf_counter() - started
            values = means.add(found)
            if not all(math.isfinite(value) for value in values.values()):
                raise TrainingError(
                    f"a loss is no longer a number at step {session.step}; the last checkpoint is "
                    "whole: lower the rates and start again."
                )
            listener.progress(session.step, limit.progress(session), values)
            ended = limit.reached(session) or interrupted()
            if session.step % plan.log_every == 0 or ended:
                monitoring.append_history(
                    plan.out / "history.jsonl",
                    {"step": session.step, "seconds": round(session.seconds, 2), **means.flush()},
                )
            if session.step % plan.sample_every == 0 or ended:
                _sample(session, plan, fixed, values, listener)
            if session.step % plan.checkpoint_every == 0 or ended:
                save()
        return Outcome(plan.out, session.step, limit.reached(session))


def save_painter(session: Session, plan: Plan) -> None:
    """Write RUN/painter.safetensors: the painting generator's best weights and its card."""
    state = session.best.painting_generator.state_dict()
    card = {
        "recipe": recipe_to_dict(session.recipe),
        "steps": session.step,
        "pictures_seen": session.step * session.recipe.batch,
        "photos": plan.photos.name,
        "paintings": plan.paintings.name,
        "seed": plan.seed,
    }
    arrays = {name: value.detach().float().cpu().numpy() for name, value in state.items()}
    weights.save(
        weights.Weights(session.recipe.generator, arrays, card), plan.out / "painter.safetensors"
    )


def resumed_plan(
    run: Path,
    steps: int | None = None,
    minutes: float | None = None,
    checkpoint_every: int = TRAIN.checkpoint_every,
    sample_every: int = TRAIN.sample_every,
    device: str = "auto",
) -> Plan:
    """The plan that a run's newest checkpoint holds, with another limit where one is given."""
    recipe, state = checkpoint.load(checkpoint.latest(run))
    try:
        kept = state["plan"]
        limited = steps is not None or minutes is not None
        return Plan(
            photos=Path(kept["photos"]),
            paintings=Path(kept["paintings"]),
            out=run,
            recipe=recipe,
            seed=kept["seed"],
            steps=steps if limited else kept["steps"],
            minutes=minutes if limited else kept["minutes"],
            checkpoint_every=checkpoint_every,
            sample_every=sample_every,
            device=device,
        )
    except KeyError as error:
        raise CheckpointError(f"{run}: the checkpoint lacks {error}; start a new run.") from error


def _sample(
    session: Session,
    plan: Plan,
    fixed: list[Any],
    values: dict[str, float],
    listener: Listener,
) -> None:
    health = monitoring.sample(
        fixed,
        engine(session.best.painting_generator, session.device),
        engine(session.best.photo_generator, session.device),
        plan.out / "samples" / f"{session.step:08d}.png",
    )
    path = plan.out / "history.jsonl"
    monitoring.append_history(path, {"step": session.step, **asdict(health)})
    monitoring.plot_losses(monitoring.read_history(path), plan.out / "losses.png")
    accuracy = 0.5 * (values["painting_accuracy"] + values["photo_accuracy"])
    if session.step < 2 * session.recipe.warmup_steps:
        return  # too early to tell
    for verdict in monitoring.verdicts(health, accuracy):
        listener.note(f"step {session.step}: {verdict}")


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


@dataclass(frozen=True)
class _Limit:
    steps: int | None
    seconds: float | None

    def progress(self, session: Session) -> float:
        by_steps = session.step / self.steps if self.steps else 0.0
        by_time = session.seconds / self.seconds if self.seconds else 0.0
        return min(1.0, max(by_steps, by_time))

    def reached(self, session: Session) -> bool:
        return self.progress(session) >= 1.0


def _limit(plan: Plan, largest: int) -> _Limit:
    steps = plan.steps
    if plan.epochs is not None:
        steps = math.ceil(plan.epochs * largest / plan.recipe.batch)
    if steps is None and plan.minutes is None:
        steps = plan.recipe.steps
    return _Limit(steps, plan.minutes * 60 if plan.minutes is not None else None)


class _Means:
    """Means of the losses since the last line of history, and exponential ones to show."""

    def __init__(self) -> None:
        self.shown: dict[str, float] = {}
        self.sums: dict[str, list[float]] = {}

    def add(self, found: Losses) -> dict[str, float]:
        for name, tensor in found.items():
            value = float(tensor)
            self.shown[name] = value + 0.95 * (self.shown.get(name, value) - value)
            self.sums.setdefault(name, []).append(value)
        return self.shown

    def flush(self) -> dict[str, float]:
        means = {name: round(float(np.mean(values)), 5) for name, values in self.sums.items()}
        self.sums.clear()
        return means


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C and SIGTERM end the loop after the step at hand; a second one ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = False
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def ask(_number: int, _frame: object) -> None:
        nonlocal asked
        asked = True
        for kind, handler in before.items():
            signal.signal(kind, handler)

    for kind in before:
        signal.signal(kind, ask)
    try:
        yield lambda: asked
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _device(name: str) -> torch.device:
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
