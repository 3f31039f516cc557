"""The trainer: draw, learn, tell, until the limit or an interrupt."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from pleinair import beginnings, checkpoint, data, domains, files, monitoring, weights
from pleinair.board import Board
from pleinair.config import pictures_a_step, size_multiple
from pleinair.engines import engine
from pleinair.errors import TrainingError
from pleinair.images import Pixels
from pleinair.monitoring import Judge, Score
from pleinair.plan import Limit, Plan, check_new, dealt_among, make_folder, plan_to_dict
from pleinair.prefetch import Prefetched
from pleinair.session import Session
from pleinair.settings import TRAIN
from pleinair.step import train_step
from pleinair.tally import Tally
from pleinair.team import Team


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
    begun: bool  # whether the painter has learned anything yet, beyond a recipe's warm-up
    verdict: str


def train(plan: Plan, listener: Listener, resume: bool = False) -> Outcome:
    """Train until the plan's limit or an interrupt; leave a checkpoint, a painter and a sheet.

    Raises DataError, CheckpointError or TrainingError; what was saved before stays. OutputError
    where a new run's folder holds something.
    """
    with _flushed():
        return _trained(plan, listener, resume)


def _trained(plan: Plan, listener: Listener, resume: bool) -> Outcome:
    run = _Run.prepare(plan, listener, resume)
    team = run.session.team
    with _interruptible() as interrupted, closing(run):
        if not resume:
            with run.writing():
                run.save()  # a kill in the first minutes must find something to go on with
        ended = run.finished
        while not ended:
            run.step()
            with run.writing():
                run.score()
                ended = team.anyone(run.finished or interrupted())
                run.tell(ended)
    step, warmup = run.session.step, plan.recipe.warmup_steps
    verdict = monitoring.closing_words(run.scores, step, plan.out, warmup)
    return Outcome(plan.out, step, run.finished, step > warmup, verdict)


@contextmanager
def _flushed() -> Iterator[None]:
    """Denormal numbers are zero: a vanishing gradient must not cost 100 times more."""
    before = bool(torch.full((1,), 1e-39).mul(1.0) == 0.0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        # It is the thread's own setting, and whoever called may need them.
        torch.set_flush_denormal(before)


# --- a run in memory --------------------------------------------------------------------------


@dataclass
class _Run:
    """All that the loop works with: the session, the streams, and what was found so far."""

    plan: Plan
    listener: Listener
    session: Session
    photos: Prefetched
    paintings: Prefetched
    limit: Limit
    fixed: list[Pixels]
    held: tuple[data.Pictures, data.Pictures]  # to score by
    means: Tally
    scores: list[Score]
    started: float = 0.0
    judge: Judge | None = None
    board: Board | None = None

    @classmethod
    def prepare(cls, plan: Plan, listener: Listener, resume: bool) -> _Run:
        team = Team.join(plan.device)
        state = None
        if resume:
            _, state = checkpoint.load_latest(plan.out, listener.note)
            plan = dealt_among(plan, len(state["team"]), team.size, listener.note)
        elif team.is_first:
            check_new(plan.out)
        # Data: two endless streams, each with its own shuffle, and pictures to score by.
        recipe = plan.recipe
        say = listener.note
        softened = domains.zoomed(recipe)
        photos, held_photos = domains.open_domain(plan.photos, plan.val_photos, recipe, say)
        paintings, held_paintings = domains.open_domain(
            plan.paintings, plan.val_paintings, recipe, say
        )
        share = (team.rank, team.size)
        streams = [
            Prefetched(data.Stream(pictures, own, (plan.seed, domain), share, each))
            for domain, (pictures, own, each) in enumerate(
                ((photos, softened, 1), (paintings, recipe, recipe.candidates))
            )
        ]
        limit = Limit.of(plan, max(len(photos), len(paintings)), team.size)
        side = max(64, recipe.resize_min)
        multiple = size_multiple(recipe.generator)
        fixed = monitoring.fixed_photos(held_photos.first(TRAIN.sample_photos), side, multiple)
        if team.is_first:
            make_folder(plan.out)
        if limit.steps is not None and limit.steps <= recipe.warmup_steps:
            listener.note(
                f"only the discriminators learn in the first {recipe.warmup_steps} steps of this "
                f"recipe, so {limit.steps} leave the painter as it is; give more --steps."
            )
        if team.is_first and not resume:
            beginnings.warn_where_nothing_holds(recipe, say)
            domains.warn_of_a_mix_up(photos, paintings, team.device, say)
        # Networks: fresh, those of another run, or all as they were.
        session = Session.start(recipe, plan.seed, team)
        beginnings.appoint_teacher(session, plan.teacher)
        run = cls(
            plan=plan,
            listener=listener,
            session=session,
            photos=streams[0],
            paintings=streams[1],
            limit=limit,
            fixed=fixed,
            held=(held_photos, held_paintings),
            means=Tally(),
            scores=[],
        )
        if state is not None:
            run.restore(state)
        elif plan.init_from is not None:
            beginnings.init(session, plan.init_from, listener.note)
        if plan.tensorboard and team.is_first:
            run.board = Board(plan.out, session.step)
        run.started = time.perf_counter() - session.seconds
        return run

    @property
    def latest(self) -> Path:
        """Where the checkpoint of this very step lies, if it is kept."""
        return checkpoint.path_of(self.plan.out, self.session.step)

    def writing(self) -> AbstractContextManager[None]:
        """What a disk refuses is an OutputError that says how to go on."""
        out = self.plan.out
        return files.writing(
            out, f"the last checkpoint is whole: make room and go on with --resume {out}"
        )

    @property
    def finished(self) -> bool:
        """Whether the plan's limit is reached, or its patience is at an end."""
        patience = self.plan.patience
        bored = patience is not None and monitoring.stalled(self.scores, patience)
        return bored or self.progress >= 1.0

    @property
    def progress(self) -> float:
        """Part of the run done, in [0, 1]."""
        return self.limit.progress(self.session.step, self.session.seconds)

    def step(self) -> None:
        """Draw a batch of each domain and learn from it."""
        session = self.session
        photo = torch.from_numpy(self.photos.next_batch()).to(session.device)
        painting = torch.from_numpy(self.paintings.next_batch()).to(session.device)
        self.means.add(train_step(session, photo, painting, self.progress))
        session.seconds = session.team.first_says(time.perf_counter() - self.started)
        shown = self.means.shown
        if not all(math.isfinite(value) for value in shown.values()):
            raise self.diverged("a loss")
        self.listener.progress(session.step, self.progress, shown)

    def tell(self, ended: bool) -> None:
        """History, sheets, scores and checkpoints, each in its turn."""
        step, plan, team = self.session.step, self.plan, self.session.team
        if team.is_first:
            if step % plan.log_every == 0 or ended:
                seconds = round(self.session.seconds, 2)
                line = {"step": step, "seconds": seconds, **self.means.flush()}
                self.write(line)
            long_enough = bool(self.scores) or 2 * step >= plan.score_every
            if ended and self.finished and long_enough:
                self.score(last=True)
            if step % plan.sample_every == 0 or ended:
                self.sample()
        if step % plan.checkpoint_every == 0 or ended or team.first_says(self.is_best):
            self.save()

    def write(self, line: dict[str, Any]) -> None:
        """A line of history, for files and for TensorBoard."""
        monitoring.append_history(self.plan.out / "history.jsonl", line)
        if self.board is not None:
            self.board.scalars(line)

    def score(self, last: bool = False) -> None:
        """Where it is due, compare what the painter makes of photos with paintings."""
        step = self.session.step
        due = last or step % self.plan.score_every == 0
        if not due or not self.session.team.is_first:
            return
        if self.scores and self.scores[-1].step == step:
            return
        self.judge = self.judge or domains.appoint_judge(
            *self.held, self.plan.recipe, self.session.device
        )
        if self.judge is None:
            return
        paint = engine(self.session.best.painting_generator, self.session.device)
        found = self.judge.score(self.session.step, paint)
        self.scores.append(found)
        self.write(asdict(found))
        self.listener.note(
            f"step {found.step:,}: KID-Lite0 {found.kid:.4f} to the paintings "
            f"(photos {found.photos_kid:.4f})"
        )

    def sample(self) -> None:
        """A sheet of fixed photos, their signs of life, and the curves."""
        session, plan = self.session, self.plan
        back = session.best.photo_generator
        sheet = plan.out / "samples" / f"{session.step:08d}.png"
        health = monitoring.sample(
            self.fixed,
            engine(session.best.painting_generator, session.device),
            engine(back, session.device) if back is not None else None,
            sheet,
        )
        self.write({"step": session.step, **asdict(health)})
        if self.board is not None:
            self.board.sheet(sheet, session.step)
        history = monitoring.read_history(plan.out / "history.jsonl")
        monitoring.plot_losses(history, plan.out / "losses.png")
        if session.step < 2 * session.recipe.warmup_steps:
            return  # too early to tell
        shown = [value for name, value in self.means.shown.items() if name.endswith("_accuracy")]
        for verdict in monitoring.verdicts(health, sum(shown) / len(shown)):
            self.listener.note(f"step {session.step}: {verdict}")

    def save(self) -> None:
        """A checkpoint of now, and the painter where none was better. Raises CheckpointError."""
        session, out = self.session, self.plan.out
        if not session.is_finite():
            raise self.diverged("a weight")
        state = self.state()
        if not session.team.is_first:
            return
        checkpoint.save(self.latest, session.recipe, state)
        self.keep_painter()
        checkpoint.prune(out, TRAIN.checkpoints_kept)

    def keep_painter(self) -> None:
        """Write the painter of the checkpoint just saved or read, where none was better."""
        if not self.scores:
            save_painter(self.session, self.plan, None)
        elif self.is_best:
            checkpoint.keep_best(self.plan.out, self.session.step)
            save_painter(self.session, self.plan, self.scores[-1])

    @property
    def is_best(self) -> bool:
        """Whether the painter of this very step has the best score."""
        return bool(self.scores) and monitoring.best_of(self.scores).step == self.session.step

    def diverged(self, what: str) -> TrainingError:
        """What to say when something is no longer a number."""
        return TrainingError(
            f"{what} is no longer a number at step {self.session.step}; the last checkpoint is "
            "whole: lower generator_rate and discriminator_rate in a recipe file, and "
            f"--init-from {self.plan.out} from there."
        )

    def close(self) -> None:
        """Leave nothing waiting, and nobody."""
        self.photos.close()
        self.paintings.close()
        if self.board is not None:
            self.board.close()
        self.session.team.leave()

    def state(self) -> dict[str, Any]:
        """All that the rest of the run depends on, as plain values and tensors."""
        return {
            **self.session.state(),
            "team": self.session.team.gather(self.session.own_state()),
            "photo_stream": self.photos.state(),
            "painting_stream": self.paintings.state(),
            "means": self.means.state(),
            "scores": [asdict(score) for score in self.scores],
            "plan": plan_to_dict(self.plan),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`; forget what was told after it."""
        self.session.restore(state)
        self.session.restore_own(state["team"], self.plan.seed)
        self.photos.restore(state["photo_stream"])
        self.paintings.restore(state["painting_stream"])
        self.means.restore(state["means"])
        self.scores = [Score(**score) for score in state["scores"]]
        if not self.session.team.is_first:
            return
        with self.writing():
            monitoring.rewind_history(self.plan.out / "history.jsonl", self.session.step)
            # A kill may have come between this checkpoint and the painter that goes with it, or
            # before older ones were removed; of damaged ones the one before them must stay.
            self.keep_painter()
            if checkpoint.numbered(self.plan.out)[-1] == self.latest:
                checkpoint.prune(self.plan.out, TRAIN.checkpoints_kept)


def save_painter(session: Session, plan: Plan, score: Score | None) -> None:
    """Write RUN/painter.safetensors: the painting generator's best weights and its card."""
    state = session.best.painting_generator.state_dict()
    card = checkpoint.painter_card(
        session.recipe,
        plan_to_dict(plan),
        session.step,
        session.before,
        session.step * pictures_a_step(session.recipe, session.team.size),
        asdict(score) if score is not None else None,
    )
    arrays = {name: value.detach().float().cpu().numpy() for name, value in state.items()}
    weights.save(
        weights.Weights(session.recipe.generator, arrays, card), plan.out / "painter.safetensors"
    )


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
