from __future__ import annotations

import dataclasses
import json
import os
import signal
import threading
from pathlib import Path

import pytest
import torch

from pleinair import checkpoint, monitoring, training, weights
from pleinair.checkpoint import ImagePool
from pleinair.config import RECIPES, Recipe
from pleinair.errors import CheckpointError, DataError, TrainingError
from pleinair.session import (
    Session,
    cycle_weight,
    ema_decay,
    identity_weight,
    rate_factor,
    train_step,
)
from pleinair.training import Plan, train

from .conftest import tiny

NAMES = sorted(RECIPES)


class Ear:
    """A listener that remembers."""

    def __init__(self, at: int | None = None, action=None) -> None:
        self.steps: list[int] = []
        self.notes: list[str] = []
        self.at, self.action = at, action

    def progress(self, step, part, values):
        assert 0 <= part <= 1
        self.steps.append(step)
        if step == self.at:
            self.action()

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def plan(folder, tmp_path):
    photos, paintings = folder("photos", 3), folder("paintings", 2, seed=50)

    def make(recipe: Recipe, out: str, **more) -> Plan:
        settings = {"checkpoint_every": 2, "sample_every": 2, "log_every": 1, "device": "cpu"}
        return Plan(photos, paintings, tmp_path / out, recipe, **{**settings, **more})

    return make


# --- schedules --------------------------------------------------------------------------------


def test_rates_are_constant_then_fall_to_zero():
    assert [rate_factor(p, 0.5) for p in (0, 0.49, 0.5, 0.75, 1.0)] == [1, 1, 1, 0.5, 0]
    assert rate_factor(1.0, 1.0) == 1.0


def test_the_identity_weight_falls_over_its_ramp():
    recipe = dataclasses.replace(
        RECIPES["light"], identity_weight=5.0, identity_end_weight=1.0, identity_ramp=0.5
    )
    found = [identity_weight(p, recipe) for p in (0, 0.25, 0.5, 1.0)]
    assert found == [5.0, 3.0, 1.0, 1.0]


def test_the_cycle_weight_falls_with_the_rate():
    recipe = RECIPES["light"]
    ends = [cycle_weight(p, recipe) for p in (0.0, recipe.decay_from, 1.0)]
    assert ends == [recipe.cycle_weight, recipe.cycle_weight, recipe.cycle_end_weight]
    assert cycle_weight(0.9, RECIPES["lab"]) == 10.0


def test_the_moving_average_forgets_the_start():
    recipe = RECIPES["light"]
    assert ema_decay(1, recipe) < 0.2
    assert ema_decay(10**6, recipe) == recipe.ema_decay


# --- one step ---------------------------------------------------------------------------------


def batches(recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    shape = (recipe.discriminator_batch, 3, recipe.crop, recipe.crop)
    return tuple(torch.rand(shape, generator=random) * 2 - 1 for _ in range(2))  # type: ignore


@pytest.mark.parametrize("name", NAMES)
def test_a_step_moves_all_four_networks_and_tells_all_losses(name):
    recipe = dataclasses.replace(tiny(name), warmup_steps=0)
    session = Session.start(recipe, 0, torch.device("cpu"))
    before = {
        n: [p.detach().clone() for p in net.parameters()]
        for n, net in session.networks.by_name().items()
    }
    found = train_step(session, *batches(recipe), 0.0)
    for n, net in session.networks.by_name().items():
        moved = [not torch.equal(a, b) for a, b in zip(before[n], net.parameters(), strict=True)]
        assert any(moved), n
    assert set(monitoring.LOSSES) <= set(found)
    assert ("identity" in found) == (recipe.identity_weight > 0)


def test_warming_up_leaves_the_generators_alone():
    recipe = dataclasses.replace(tiny("light"), warmup_steps=1)
    session = Session.start(recipe, 0, torch.device("cpu"))
    before = [p.detach().clone() for g in session.networks.generators for p in g.parameters()]
    found = train_step(session, *batches(recipe), 0.0)
    after = [p for g in session.networks.generators for p in g.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert "painting_generator" not in found
    train_step(session, *batches(recipe), 0.0)
    assert not all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_step_is_that_of_the_formulas():
    # Against the losses written out, one pass at a time, as the tutorial has them.
    recipe = dataclasses.replace(tiny("paper"), pool_size=0)
    photo, painting = batches(recipe)
    session = Session.start(recipe, 0, torch.device("cpu"))
    plain = Session.start(recipe, 0, torch.device("cpu"))
    found = train_step(session, photo, painting, 0.0)

    nets = plain.networks
    g, f = nets.painting_generator, nets.photo_generator
    dg, df = nets.painting_discriminator, nets.photo_discriminator
    cycle = (f(g(photo)) - photo).abs().mean() + (g(f(painting)) - painting).abs().mean()
    g_loss = ((dg(g(photo)) - 1) ** 2).mean() + 5 * (g(painting) - painting).abs().mean()
    f_loss = ((df(f(painting)) - 1) ** 2).mean() + 5 * (f(photo) - photo).abs().mean()
    d_loss = 0.5 * (((dg(painting) - 1) ** 2).mean() + (dg(g(photo)) ** 2).mean())
    close = pytest.approx
    assert found["cycle"].item() == close(cycle.item(), rel=1e-5)
    assert found["painting_generator"].item() == close((g_loss + 10 * cycle).item(), rel=1e-5)
    assert found["photo_generator"].item() == close((f_loss + 10 * cycle).item(), rel=1e-5)
    assert found["painting_discriminator"].item() == close(d_loss.item(), rel=1e-5)

    gradients = torch.autograd.grad(g_loss + f_loss + 10 * cycle, list(g.parameters()))
    largest = max(float(x.abs().max()) for x in gradients)
    for ours, theirs in zip(
        session.networks.painting_generator.parameters(), gradients, strict=True
    ):
        torch.testing.assert_close(ours.grad, theirs, rtol=1e-3, atol=1e-5 * largest)


def test_the_average_follows_the_networks():
    recipe = dataclasses.replace(tiny("light"), warmup_steps=0, ema_decay=0.5)
    session = Session.start(recipe, 0, torch.device("cpu"))
    start = [p.detach().clone() for p in session.networks.painting_generator.parameters()]
    train_step(session, *batches(recipe), 0.0)
    decay = ema_decay(0, recipe)
    for first, now, mean in zip(
        start,
        session.networks.painting_generator.parameters(),
        session.best.painting_generator.parameters(),
        strict=True,
    ):
        torch.testing.assert_close(mean, decay * first + (1 - decay) * now)


def test_the_pool_gives_old_pictures_half_of_the_time():
    torch.manual_seed(0)
    pool = ImagePool(3)
    for value in range(3):
        assert pool.query(torch.full((1, 1, 1, 1), float(value))).item() == value
    old = sum(pool.query(torch.full((1, 1, 1, 1), 9.0)).item() != 9.0 for _ in range(3))
    again = [pool.query(torch.full((1, 1, 1, 1), float(n))).item() != n for n in range(10, 410)]
    assert old <= 3
    assert 0.4 < sum(again) / 400 < 0.6
    assert len(pool.pictures) == 3
    assert len(pool.sample(5)) == 5
    assert ImagePool(0).sample(5) == []


# --- whole runs -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_four_steps_are_two_and_two(plan, name):
    recipe = tiny(name)
    straight = plan(recipe, "straight", steps=4)
    train(straight, Ear())
    parts = plan(recipe, "parts", steps=4)
    ear = Ear(at=2, action=lambda: os.kill(os.getpid(), signal.SIGINT))
    outcome = train(parts, ear)
    assert (outcome.step, outcome.finished) == (2, False)
    rest = dataclasses.replace(training.resumed_plan(parts.out, device="cpu"), log_every=1)
    outcome = train(rest, Ear(), resume=True)
    assert (outcome.step, outcome.finished) == (4, True)
    first = checkpoint.load(checkpoint.latest(straight.out))[1]
    second = checkpoint.load(checkpoint.latest(parts.out))[1]
    for part in ("networks", "ema", "generator_optimizer", "painting_pool", "torch_random"):
        assert_same(first[part], second[part], part)
    losses = [
        [
            {k: v for k, v in line.items() if k != "seconds"}
            for line in monitoring.read_history(out / "history.jsonl")
            if "cycle" in line
        ]
        for out in (straight.out, parts.out)
    ]
    assert losses[0] == losses[1]


def assert_same(a, b, where):
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list):
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{index}]")
    else:
        assert a == b, where


def test_a_run_leaves_all_that_people_look_for(plan):
    there = plan(tiny("light"), "run", steps=5)
    ear = Ear()
    train(there, ear)
    assert ear.steps == [1, 2, 3, 4, 5]
    names = {str(path.relative_to(there.out)) for path in there.out.rglob("*") if path.is_file()}
    assert {"history.jsonl", "losses.png", "painter.safetensors"} <= names
    assert {"samples/00000002.png", "samples/00000004.png", "samples/00000005.png"} <= names
    assert {n for n in names if n.endswith(".pt")} == {
        f"checkpoints/{step:08d}.pt" for step in (2, 4, 5)
    }
    lines = [json.loads(x) for x in (there.out / "history.jsonl").read_text().splitlines()]
    last = next(line for line in lines if line["step"] == 5)
    assert {"step", "seconds", "cycle", *monitoring.LOSSES} <= set(last)
    assert any("luma_correlation" in line for line in lines)
    painter = weights.load(there.out / "painter.safetensors")
    assert painter.spec == there.recipe.generator
    assert painter.card["steps"] == 5


def test_the_painter_is_the_average(plan):
    there = plan(tiny("light"), "run", steps=3)
    train(there, Ear())
    state = checkpoint.load(checkpoint.latest(there.out))[1]
    arrays = weights.load(there.out / "painter.safetensors").arrays
    for key, value in state["ema"][0].items():
        assert torch.equal(value, torch.from_numpy(arrays[key])), key


@pytest.mark.parametrize(
    ("limit", "steps"), [({"epochs": 2.0}, 6), ({"minutes": 0.0001}, 1), ({}, 4)]
)
def test_limits(plan, limit, steps):
    assert train(plan(tiny("paper"), "run", **limit), Ear()).step == steps


def test_more_steps_extend_a_finished_run(plan):
    there = plan(tiny("light"), "run", steps=2)
    train(there, Ear())
    longer = training.resumed_plan(there.out, steps=3, device="cpu")
    assert train(longer, Ear(), resume=True).step == 3


def test_a_run_can_begin_with_another(plan):
    first = plan(tiny("light"), "first", steps=3)
    train(first, Ear())
    state = checkpoint.load(checkpoint.latest(first.out))[1]
    second = plan(
        dataclasses.replace(tiny("light"), name="finer", warmup_steps=5),
        "second",
        steps=2,
        begin_with=first.out,
    )
    train(second, Ear())
    _, now = checkpoint.load(checkpoint.latest(second.out))
    # In its warm-up a generator stays what it was: the average of the first run.
    for index, name in enumerate(("painting_generator", "photo_generator")):
        assert_same(now["networks"][name], state["ema"][index], name)
    assert [(b["recipe"]["name"], b["steps"]) for b in now["before"]] == [("light", 3)]
    rest = training.resumed_plan(second.out, steps=3, device="cpu")
    train(rest, Ear(), resume=True)
    card = weights.load(second.out / "painter.safetensors").card
    assert (card["steps"], card["before"][0]["steps"]) == (3, 3)


def test_a_run_cannot_begin_with_another_generator(plan):
    first = plan(tiny("paper"), "first", steps=1)
    train(first, Ear())
    with pytest.raises(TrainingError, match="another generator"):
        train(plan(tiny("light"), "second", begin_with=first.out), Ear())


def test_a_painter_learns_to_leave_a_smooth_gradient_smooth():
    recipe = dataclasses.replace(tiny("light"), warmup_steps=0, ripple_weight=100.0)
    session = Session.start(recipe, 0, torch.device("cpu"))
    with torch.no_grad():
        session.networks.painting_generator.full_out.weight.normal_(0.0, 0.3)
    found = [float(train_step(session, *batches(recipe), 0.0)["ripple"]) for _ in range(60)]
    assert sum(found[-10:]) < 0.5 * sum(found[:10])


def test_a_loss_that_is_no_number_stops_the_run(plan, monkeypatch):
    def broken(session, *_):
        session.step += 1
        return {"cycle": torch.tensor(float("nan"))}

    monkeypatch.setattr(training, "train_step", broken)
    with pytest.raises(TrainingError, match="no longer a number"):
        train(plan(tiny("light"), "run"), Ear())


def test_resuming_goes_on_with_what_is_left(plan):
    there = plan(tiny("light"), "run", steps=2)
    train(there, Ear())
    (there.photos / "000.png").unlink()
    ear = Ear()
    assert train(training.resumed_plan(there.out, steps=3), ear, resume=True).step == 3
    assert [note for note in ear.notes if "no longer as an exact continuation" in note]
    for file in there.photos.iterdir():
        file.rename(file.with_stem(f"other-{file.stem}"))
    with pytest.raises(DataError, match="none of the 2 pictures"):
        train(training.resumed_plan(there.out, steps=4), Ear(), resume=True)
    assert not [thread for thread in threading.enumerate() if thread.name == "batches"]


def test_damaged_checkpoints_are_answered_in_one_sentence(tmp_path):
    run = tmp_path / "run"
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        training.resumed_plan(run)
    file = run / "checkpoints" / "00000001.pt"
    file.parent.mkdir(parents=True)
    for data in (b"", b"nonsense", b"PK\x03\x04 half a zip"):
        file.write_bytes(data)
        with pytest.raises(CheckpointError, match="damaged"):
            training.resumed_plan(run)


def test_a_checkpoint_executes_nothing(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "owned"),))

    file = tmp_path / "00000001.pt"
    torch.save({"format": 1, "recipe": Hostile()}, file)
    with pytest.raises(CheckpointError):
        checkpoint.load(file)
    assert not (tmp_path / "owned").exists()


def test_a_full_disk_keeps_the_previous_checkpoint(tmp_path, monkeypatch):
    file = tmp_path / "00000001.pt"
    checkpoint.save(file, RECIPES["light"], {"step": 1})
    before = file.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left"):
        checkpoint.save(file, RECIPES["light"], {"step": 2})
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


# --- what people are told ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("health", "accuracy", "word"),
    [
        ((-0.6, 80, 1, 1), 0.7, "inverts"),
        ((0.99, 1, 1, 1), 0.7, "copies"),
        ((0.9, 20, 1, 1), 1.0, "always win"),
        ((0.9, 20, 1, 1), 0.45, "are lost"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(health, accuracy, word):
    found = monitoring.verdicts(monitoring.Health(*health), accuracy)
    assert len(found) == 1
    assert word in found[0]
    assert "\n" not in found[0]


def test_nothing_is_said_when_all_is_well():
    assert monitoring.verdicts(monitoring.Health(0.9, 20, 1, 1), 0.75) == []


def test_history_is_rewound_to_the_checkpoint(tmp_path: Path):
    file = tmp_path / "history.jsonl"
    for step in (1, 2, 3):
        monitoring.append_history(file, {"step": step})
    with file.open("a") as out:
        out.write('{"step": 4, "cyc')  # cut short by a kill
    monitoring.rewind_history(file, 2)
    assert monitoring.read_history(file) == [{"step": 1}, {"step": 2}]
