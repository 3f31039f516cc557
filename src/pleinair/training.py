"""The trainer: draw, learn, tell, until the limit or an interrupt."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from pleinair import checkpoint, data, monitoring, prefetch, weights
from pleinair.config import TRAIN, Recipe, size_multiple
from pleinair.errors import CheckpointError, OutputError, TrainingError, UsageError
from pleinair.images import Pixels
from pleinair.recipes import recipe_to_dict
from pleinair.session import Losses, Session, engine, train_step


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
    begin_with: Path | None = None  # a run whose networks this one takes over


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
    photo_stream = prefetch.Prefetched(data.Stream(photos, recipe, (plan.seed, 0)))
    painting_stream = prefetch.Prefetched(data.Stream(paintings, recipe, (plan.seed, 1)))
    side = max(64, recipe.resize_min)
    fixed = monitoring.fixed_photos(
        photos.first(TRAIN.sample_photos), side, size_multiple(recipe.generator)
    )
    limit = _limit(plan, max(len(photos), len(paintings)))
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{plan.out} cannot be made ({error.strerror or error}).") from error

    if limit.steps is not None and limit.steps <= recipe.warmup_steps:
        listener.note(
            f"only the discriminators learn in the first {recipe.warmup_steps} steps of this "
            f"recipe, so {limit.steps} leave the painter as it is; give more --steps."
        )

    # Networks: fresh, those of another run, or all as they were.
    session = Session.start(recipe, plan.seed, _device(plan.device))
    if resume:
        _, state = checkpoint.load(checkpoint.latest(plan.out))
        session.restore(state)
        photo_stream.restore(state["photo_stream"])
        painting_stream.restore(state["painting_stream"])
        monitoring.rewind_history(plan.out / "history.jsonl", session.step)
    elif plan.begin_with is not None:
        session.begin_with(*checkpoint.load(checkpoint.latest(plan.begin_with)))

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
    with _interruptible() as interrupted, photo_stream, painting_stream:
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
        "before": session.before,
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
    fixed: list[Pixels],
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
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if there[kind]))
    if not there.get(name, False):
        found = ", ".join(["auto", *(kind for kind, is_there in there.items() if is_there)])
        raise UsageError(f"device {name!r} is not at hand; use one of {found}.")
    return torch.device(name)
