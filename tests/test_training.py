from __future__ import annotations

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pleinair import checkpoint, domains, exports, losses, monitoring, training, weights
from pleinair.beginnings import appoint_teacher
from pleinair.checkpoint import ImagePool
from pleinair.config import RECIPES, LightSpec, PatchSpec, Recipe, ResNetSpec, UNetSpec
from pleinair.errors import (
    CheckpointError,
    DataError,
    OutputError,
    PainterError,
    TrainingError,
    UsageError,
)
from pleinair.exports import export
from pleinair.monitoring import Score
from pleinair.networks import build, winograd
from pleinair.painter import Painter
from pleinair.plan import Plan, resumed_plan
from pleinair.retouch import retouched
from pleinair.schedules import ema_decay
from pleinair.session import Session
from pleinair.settings import EVALUATE, TRAIN
from pleinair.step import _most_alike, train_step
from pleinair.training import _Run, train

from .conftest import picture, tiny

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


def newest(run: Path):
    return checkpoint.load(checkpoint.numbered(run)[-1])


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
        if n == "patch_heads":
            continue  # their first layers may wait a step for the second ones
        moved = [not torch.equal(a, b) for a, b in zip(before[n], net.parameters(), strict=True)]
        assert any(moved), n
    sides = ("painting", "photo") if recipe.direction == "both" else ("painting",)
    assert {f"{side}_{kind}" for side in sides for kind in ("generator", "discriminator")} <= set(
        found
    )
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

    def given(value: float) -> float:
        near, far = pool.query((torch.full((1, 1, 1, 1), value), torch.full((1, 2, 1, 1), -value)))
        assert far[0, 0].item() == -near.item()  # what belongs together stays together
        return near.item()

    assert [given(float(value)) for value in range(3)] == [0, 1, 2]
    old = sum(given(9.0) != 9.0 for _ in range(3))
    again = [given(float(n)) != n for n in range(10, 410)]
    assert old <= 3
    assert 0.4 < sum(again) / 400 < 0.6
    assert len(pool.pictures) == 3
    assert len(pool.sample(5)) == 5
    assert ImagePool(0).sample(5) == []


def test_a_shared_step_is_that_of_a_plain_loop(monkeypatch):
    # Against a loop that looks at every picture anew: nothing remembered, nothing shared.
    bare = {"cycle_noise": 0.0, "ripple_weight": 0.0, "discriminator_shift": 0}
    bare |= {"content_weight": 0.0, "drift_weight": 0.0}  # they have tests of their own
    recipe = dataclasses.replace(tiny("light"), warmup_steps=0, **bare)
    photo, painting = batches(recipe)
    session = Session.start(recipe, 0, torch.device("cpu"))
    plain = Session.start(recipe, 0, torch.device("cpu")).networks
    found = train_step(session, photo, painting, 0.0)
    dp, df = plain.discriminators
    fakes = plain.painting_generator(photo[:1]), plain.photo_generator(painting[:1])
    g_loss = ((dp(fakes[0]) - 1) ** 2).mean()
    cycle = sum(
        losses.cycle_loss(x, back(fake), recipe.cycle_pool)
        for x, back, fake in (
            (photo[:1], plain.photo_generator, fakes[0]),
            (painting[:1], plain.painting_generator, fakes[1]),
        )
    )
    expected = g_loss + recipe.cycle_weight * cycle
    assert found["painting_generator"].item() == pytest.approx(expected.item(), rel=1e-4)
    for side, d, real, fake in (
        ("painting", dp, painting, fakes[0]),
        ("photo", df, photo, fakes[1]),
    ):
        # The pool has one translation yet, so it is shown twice. Spectral norm's estimate moves
        # with every pass: this loop makes as many as the step has made.
        if side == "photo":
            d(fake)
        loss = losses.discriminator_loss("lsgan", *d(torch.cat([real, fake, fake])).split(2))
        assert found[f"{side}_discriminator"].item() == pytest.approx(loss.item(), rel=1e-3)


def test_the_second_step_is_that_of_networks_without_a_memory(monkeypatch):
    # What a network keeps between passes must not outlive the weights that it was made of.
    recipe = dataclasses.replace(tiny("light"), warmup_steps=0, cycle_noise=0.0)
    recipe = dataclasses.replace(recipe, generator=LightSpec(channels=64), crop=128)
    recipe = dataclasses.replace(recipe, resize_min=128, resize_max=128)
    photo, painting = batches(recipe)
    ends = []
    for pays in (winograd.pays, lambda *_: False):
        monkeypatch.setattr(winograd, "pays", pays)
        session = Session.start(recipe, 0, torch.device("cpu"))
        for _ in range(3):
            torch.manual_seed(1)
            found = train_step(session, photo, painting, 0.0)
        ends.append({name: value.item() for name, value in found.items()})
    for name, value in ends[0].items():
        assert value == pytest.approx(ends[1][name], rel=2e-3, abs=1e-4), name


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
    rest = dataclasses.replace(resumed_plan(parts.out, print, device="cpu"), log_every=1)
    outcome = train(rest, Ear(), resume=True)
    assert (outcome.step, outcome.finished) == (4, True)
    first = newest(straight.out)[1]
    second = newest(parts.out)[1]
    for timed in ("seconds", "plan"):
        del first[timed], second[timed]
    for part in first:
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
    elif isinstance(a, list | tuple):
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{index}]")
    else:
        assert a == b, where


def test_a_run_leaves_all_that_people_look_for(plan):
    there = plan(tiny("light"), "run", steps=5)
    ear = Ear()
    train(there, ear)
    assert ear.steps == [1, 2, 3, 4, 5]
    assert np.float32(1e-39) * np.float32(1.0) != 0.0  # the caller's numbers are as before
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


@pytest.mark.parametrize("recipe", ["light", "paper"])
@pytest.mark.parametrize("step", [None, 2])
def test_the_way_back_is_a_painter_of_its_own(plan, tmp_path, recipe, step):
    there = plan(tiny(recipe), "run", steps=3)
    train(there, Ear())
    export(there.out, tmp_path / "photo.safetensors", direction="photo", step=step)
    made = weights.load(tmp_path / "photo.safetensors")
    _, state = checkpoint.load(checkpoint.path_of(there.out, step or 3))
    values = state["ema"][1] if state["ema"] else state["networks"]["photo_generator"]
    assert made.arrays.keys() == values.keys()
    assert all(np.array_equal(made.arrays[name], values[name]) for name in values)
    assert (made.card["direction"], made.card["steps"]) == ("photo", step or 3)


def test_where_there_is_no_way_back_it_is_told(plan, tmp_path):
    one_way = dataclasses.replace(tiny("light"), direction="painting")
    there = plan(one_way, "run", steps=1)
    train(there, Ear())
    with pytest.raises(CheckpointError, match="learned one way, from photos to paintings"):
        export(there.out, tmp_path / "photo.onnx", direction="photo")
    with pytest.raises(UsageError, match="is no run, which alone has a way back"):
        export("monet", tmp_path / "photo.onnx", direction="photo")


def test_the_painter_is_the_average(plan):
    there = plan(tiny("light"), "run", steps=3)
    train(there, Ear())
    state = newest(there.out)[1]
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
    longer = resumed_plan(there.out, print, steps=3, device="cpu")
    assert train(longer, Ear(), resume=True).step == 3


def test_a_run_can_begin_with_another(plan):
    first = plan(tiny("light"), "first", steps=3)
    train(first, Ear())
    state = newest(first.out)[1]
    second = plan(
        dataclasses.replace(tiny("light"), name="finer", warmup_steps=5),
        "second",
        steps=2,
        init_from=first.out,
    )
    train(second, Ear())
    _, now = newest(second.out)
    # In its warm-up a generator stays what it was: the average of the first run.
    for index, name in enumerate(("painting_generator", "photo_generator")):
        assert_same(now["networks"][name], state["ema"][index], name)
    assert [(b["recipe"]["name"], b["steps"]) for b in now["before"]] == [("light", 3)]
    rest = resumed_plan(second.out, print, steps=3, device="cpu")
    train(rest, Ear(), resume=True)
    card = weights.load(second.out / "painter.safetensors").card
    assert (card["steps"], card["before"][0]["steps"]) == (3, 3)
    assert card["recipe"]["steps"] == 3  # as --steps says, and not the recipe's own number


def test_a_new_run_takes_no_folder_of_another(plan):
    first = plan(tiny("light"), "first", steps=1)
    train(first, Ear())
    before = sorted((path, path.stat().st_mtime_ns) for path in first.out.rglob("*"))
    with pytest.raises(OutputError, match=r"first exists; go on with --resume"):
        train(first, Ear())
    assert before == sorted((path, path.stat().st_mtime_ns) for path in first.out.rglob("*"))


def test_a_run_can_begin_with_a_painter(plan, tmp_path):
    first = plan(tiny("light"), "first", steps=3)
    train(first, Ear())
    onnx = tmp_path / "mine.onnx"
    export(first.out, onnx)
    arrays = weights.load(first.out / "painter.safetensors").arrays
    for index, source in enumerate((onnx, first.out / "painter.safetensors")):
        second = plan(
            dataclasses.replace(tiny("light"), warmup_steps=5),
            f"second{index}",
            steps=2,
            init_from=source,
        )
        ear = Ear()
        train(second, ear)
        now = newest(second.out)[1]["networks"]["painting_generator"]
        for name, array in arrays.items():
            assert torch.equal(now[name], torch.from_numpy(array)), name
        before = weights.load(second.out / "painter.safetensors").card["before"]
        assert [(b["recipe"]["name"], b["steps"]) for b in before] == [("light", 3)]
        assert not any("spoil" in note for note in ear.notes)


def test_a_run_can_begin_with_a_narrower_generator(plan, tmp_path):
    first = plan(tiny("light"), "first", steps=3)
    train(first, Ear())
    onnx = tmp_path / "mine.onnx"
    export(first.out, onnx)
    narrow = tiny("light").generator
    wider = dataclasses.replace(narrow, channels=narrow.channels + 4, blocks=narrow.blocks + 2)
    recipe = dataclasses.replace(tiny("light"), generator=wider, warmup_steps=5)
    photo = torch.rand(1, 3, 32, 32) * 2 - 1
    for index, source in enumerate((first.out, onnx)):
        second = plan(recipe, f"second{index}", steps=2, init_from=source)
        ear = Ear()
        train(second, ear)  # no longer than the warm-up
        assert not any("keeps" in note for note in ear.notes)
        made = [weights.load(run.out / "painter.safetensors") for run in (first, second)]
        painted = []
        for one in made:
            generator = build(one.spec)
            values = {name: torch.from_numpy(array) for name, array in one.arrays.items()}
            generator.load_state_dict(values)
            with torch.no_grad():
                painted.append(generator.eval()(photo))
        assert made[1].spec == wider
        assert torch.allclose(*painted, atol=1e-5)
        assert made[1].card["before"][0]["recipe"]["generator"]["channels"] == narrow.channels
    other = dataclasses.replace(recipe, generator=dataclasses.replace(wider, keeps="colours"))
    ear = Ear()
    train(plan(other, "third", steps=1, init_from=onnx), ear)
    said = 'mine.onnx has keeps = "half" and this generator keeps = "colours": it begins'
    assert any(note.startswith(said) for note in ear.notes)


def test_a_run_can_begin_with_weights_of_other_programs(plan, tmp_path):
    recipe = tiny("paper")
    published = build(recipe.generator).state_dict()
    file = tmp_path / "latest_net_G.pth"
    torch.save(published, file)
    there = plan(recipe, "run", steps=1, init_from=file)
    train(there, Ear())
    now = newest(there.out)[1]["networks"]["painting_generator"]
    for name, value in published.items():  # after one small step
        assert (now[name] - value).abs().max() < 1e-2, name


def test_a_run_can_begin_with_the_painter_that_ships(plan):
    recipe = dataclasses.replace(tiny("light"), generator=RECIPES["light"].generator)
    recipe = dataclasses.replace(recipe, warmup_steps=0)
    there = plan(recipe, "run", steps=1, init_from=Path("monet"))
    ear = Ear()
    train(there, ear)
    assert any("spoil" in note for note in ear.notes)
    card = weights.load(there.out / "painter.safetensors").card
    assert card["before"][-1]["from"] == "monet"
    assert card["before"][-1]["steps"] == 10_000


# Begins as a copy, pixel by pixel, in which nothing of a scene is lost.
COPYING = LightSpec(channels=8, half_channels=4, detail_channels=4, blocks=1)


def _student(**more: Any) -> Recipe:
    return dataclasses.replace(
        tiny("light"),
        generator=COPYING,
        direction="painting",
        warmup_steps=0,
        identity_weight=0.0,
        identity_end_weight=0.0,
        content_weight=0.0,
        drift_weight=0.0,
        **{"teacher_weight": 100.0, "teacher_feature_weight": 10.0, **more},
    )


def _teacher(file: Path) -> Path:
    """A painter that exchanges light and dark, of another width than its students."""
    spec = LightSpec(channels=16, half_channels=4, detail_channels=4, blocks=1)
    values = build(spec).state_dict()
    values["photo_out.weight"].neg_()
    arrays = {name: value.numpy() for name, value in values.items()}
    weights.save(weights.Weights(spec, arrays, {}), file)
    return file


def test_a_painter_learns_what_its_teacher_paints(plan, tmp_path):
    recipe, teacher = _student(generator_rate=1e-2), _teacher(tmp_path / "teacher.safetensors")
    session = Session.start(recipe, 0, torch.device("cpu"))
    appoint_teacher(session, teacher)
    before = {name: value.clone() for name, value in session.teacher.state_dict().items()}
    told = [train_step(session, *batches(recipe), 0.0) for _ in range(150)]
    for name in ("teacher", "teacher_features"):
        found = [float(one[name]) for one in told]
        assert sum(found[-10:]) < 0.5 * sum(found[:10]), name
    assert "nce" not in told[0]
    for name, value in session.teacher.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_teacher_is_corrected_before_it_is_learned_from(tmp_path):
    teacher = _teacher(tmp_path / "teacher.safetensors")
    plain = Session.start(_student(), 0, torch.device("cpu"))
    corrections = {"flecks": 0.5, "dusk": 0.4, "light": 1.5}
    asked = {f"teacher_{name}": value for name, value in corrections.items()}
    recipe = _student(**asked, teacher_dabs=0.7)
    session = Session.start(recipe, 0, torch.device("cpu"))
    photo, painting = batches(recipe)
    for each in (plain, session):
        appoint_teacher(each, teacher)
        fake = each.networks.painting_generator(photo[: recipe.batch])
        wanted = each.teacher(photo[: recipe.batch])
        if each is session:
            wanted = retouched(wanted, **corrections, dabbed=0.7)
        by_hand = float((fake.detach().clamp(-1, 1) - wanted).abs().mean())
        told = float(train_step(each, photo, painting, 0.0)["teacher"])
        assert told == pytest.approx(by_hand, rel=1e-4)


def test_a_run_keeps_its_teacher_when_it_goes_on(plan, tmp_path):
    teacher = _teacher(tmp_path / "teacher.safetensors")
    whole = plan(_student(), "whole", steps=4, teacher=teacher)
    train(whole, Ear())
    part = plan(_student(), "part", steps=2, teacher=teacher)
    train(part, Ear())
    rest = resumed_plan(part.out, print, steps=4, device="cpu")
    assert rest.teacher == teacher
    train(rest, Ear(), resume=True)
    card = weights.load(part.out / "painter.safetensors").card
    assert card["teacher"] == "teacher.safetensors"
    told = monitoring.read_history(part.out / "history.jsonl")
    assert any("teacher_features" in line for line in told)
    one, other = (newest(each.out)[1]["networks"] for each in (whole, part))
    assert_same(one["painting_generator"], other["painting_generator"], "painting_generator")


def test_a_teacher_and_a_recipe_that_wants_one_go_together(plan, tmp_path):
    teacher = _teacher(tmp_path / "teacher.safetensors")
    with pytest.raises(TrainingError, match="name a painter with --teacher"):
        train(plan(_student(), "none", steps=1), Ear())
    with pytest.raises(TrainingError, match="learns from no teacher; set teacher_weight"):
        train(plan(tiny("light"), "useless", steps=1, teacher=teacher), Ear())
    judge = PatchSpec(channels=4, layers=2)
    arrays = {name: value.numpy() for name, value in build(judge).state_dict().items()}
    weights.save(weights.Weights(judge, arrays, {}), tmp_path / "judge.safetensors")
    with pytest.raises(PainterError, match="holds a discriminator"):
        train(plan(_student(), "judge", steps=1, teacher=tmp_path / "judge.safetensors"), Ear())
    odd = UNetSpec(channels=2)
    arrays = {name: value.numpy() for name, value in build(odd).state_dict().items()}
    weights.save(weights.Weights(odd, arrays, {}), tmp_path / "odd.safetensors")
    with pytest.raises(
        TrainingError, match=r"multiples of 256 pixels.*crops of 32; set crop = 256"
    ):
        train(plan(_student(), "odd", steps=1, teacher=tmp_path / "odd.safetensors"), Ear())


@pytest.mark.parametrize("direction", ["both", "painting"])
def test_where_nothing_holds_a_painting_to_its_photo_it_is_said(plan, direction):
    bare = {"content_weight": 0.0, "cycle_weight": 0.0, "cycle_end_weight": 0.0}
    recipe = dataclasses.replace(tiny("light"), direction=direction, **bare)
    ear = Ear()
    train(plan(recipe, "bare", steps=1), ear)
    assert any("holds a painting to its photo" in note for note in ear.notes)
    ear = Ear()
    train(plan(dataclasses.replace(recipe, content_weight=0.1), "held", steps=1), ear)
    assert not any("holds a painting to its photo" in note for note in ear.notes)


def test_a_run_cannot_begin_with_another_generator(plan):
    first = plan(tiny("paper"), "first", steps=1)
    train(first, Ear())
    with pytest.raises(TrainingError, match=r"another generator .* recipe light; .*kind = .resnet"):
        train(plan(tiny("light"), "second", init_from=first.out), Ear())
    wider = dataclasses.replace(tiny("paper"), generator=ResNetSpec(channels=8, blocks=1))
    with pytest.raises(TrainingError, match=r"whose \[generator\] has channels = 4\."):
        train(plan(wider, "third", init_from=first.out), Ear())


def test_a_painter_learns_to_leave_a_smooth_gradient_smooth():
    recipe = dataclasses.replace(tiny("light"), warmup_steps=0, ripple_weight=100.0)
    session = Session.start(recipe, 0, torch.device("cpu"))
    with torch.no_grad():
        session.networks.painting_generator.full_out.weight.normal_(0.0, 0.3)
    found = [float(train_step(session, *batches(recipe), 0.0)["ripple"]) for _ in range(60)]
    assert sum(found[-10:]) < 0.5 * sum(found[:10])


@pytest.mark.parametrize("palette", [0, 8])
def test_of_the_candidates_the_one_most_like_the_photo_is_learned_from(palette):
    recipe = dataclasses.replace(tiny("light"), candidates=3, discriminator_batch=2)
    judge = dataclasses.replace(recipe.discriminator, palette=palette)
    recipe = dataclasses.replace(recipe, discriminator=judge)
    session = Session.start(recipe, 0, torch.device("cpu"))
    photo = torch.rand(2, 3, 64, 64) * 2 - 1
    painting = torch.rand(6, 3, 64, 64).lerp(torch.zeros(6, 3, 1, 1), 0.9)
    painting[1], painting[5] = photo[0], photo[1]
    chosen = _most_alike(session, photo, painting)
    assert torch.equal(chosen, photo)
    found = train_step(session, photo, painting, 0.0)
    assert all(torch.isfinite(value) for value in found.values())


def test_a_run_draws_as_many_candidates_as_its_recipe_says(plan):
    recipe = dataclasses.replace(tiny("light"), candidates=2, warmup_steps=0)
    found = plan(recipe, "run", steps=2)
    assert train(found, Ear()).finished


@pytest.mark.parametrize("direction", ["both", "painting"])
@pytest.mark.parametrize("name", ["content", "drift", "chroma", "fleck", "lattice"])
def test_a_painting_is_held_to_its_photo(direction, name):
    weights = {"content_weight": 0.0, "drift_weight": 0.0, f"{name}_weight": 100.0}
    weights |= {"drift_margin": 0.0, "chroma_margin": 0.0, "fleck_margin": 0.0}
    weights |= {"discriminator_shift": 0, "warmup_steps": 0}
    weights |= {"identity_weight": 0.0, "identity_end_weight": 0.0, "direction": direction}
    recipe = dataclasses.replace(tiny("light"), generator=COPYING, **weights)
    session = Session.start(recipe, 0, torch.device("cpu"))
    with torch.no_grad():
        session.networks.painting_generator.full_out.weight.normal_(0.0, 0.3)
    found = [float(train_step(session, *batches(recipe), 0.0)[name]) for _ in range(120)]
    assert sum(found[-10:]) < 0.7 * sum(found[:10])


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
    assert train(resumed_plan(there.out, print, steps=3), ear, resume=True).step == 3
    assert [note for note in ear.notes if "no longer as an exact continuation" in note]
    for file in there.photos.iterdir():
        file.rename(file.with_stem(f"other-{file.stem}"))
    with pytest.raises(DataError, match="none of the 2 pictures"):
        train(resumed_plan(there.out, print, steps=4), Ear(), resume=True)
    assert not [thread for thread in threading.enumerate() if thread.name == "batches"]


def test_damaged_checkpoints_are_answered_in_one_sentence(tmp_path):
    run = tmp_path / "run"
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        resumed_plan(run, print)
    file = run / "checkpoints" / "00000001.pt"
    file.parent.mkdir(parents=True)
    for data in (b"", b"nonsense", b"PK\x03\x04 half a zip"):
        file.write_bytes(data)
        with pytest.raises(CheckpointError, match="damaged"):
            resumed_plan(run, print)


def test_a_checkpoint_executes_nothing(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "owned"),))

    file = tmp_path / "00000001.pt"
    torch.save({"format": 1, "recipe": Hostile()}, file)
    with pytest.raises(CheckpointError):
        checkpoint.load(file)
    assert not (tmp_path / "owned").exists()


def test_a_full_disk_keeps_the_previous_checkpoint(tmp_path):
    resource = pytest.importorskip("resource", reason="no file size limits here")
    file = tmp_path / "checkpoints" / "00000001.pt"
    checkpoint.save(file, RECIPES["light"], {"step": 1})
    before = file.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write then fails, as on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(CheckpointError, match=r"cannot be written .* before is whole") as told:
            checkpoint.save(file, RECIPES["light"], {"weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert f"--resume {tmp_path}" in str(told.value)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_a_truncated_checkpoint_is_named_and_the_one_before_taken(plan):
    straight = plan(tiny("light"), "straight", steps=6)
    train(straight, Ear())
    there = plan(tiny("light"), "run", steps=4)
    train(there, Ear())
    last = checkpoint.numbered(there.out)[-1]
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    said: list[str] = []
    longer = resumed_plan(there.out, said.append, steps=6)
    assert "00000004.pt is damaged" in said[0]
    assert "one before" in said[0]
    assert train(longer, Ear(), resume=True).step == 6
    assert_same(
        newest(there.out)[1]["networks"].keys(), newest(straight.out)[1]["networks"].keys(), ""
    )


@pytest.mark.parametrize(
    "written", ["monitoring.append_history", "monitoring.plot_losses", "weights.save"]
)
def test_a_full_disk_is_one_sentence_whatever_is_written(plan, monkeypatch, written):
    there = plan(tiny("light"), "run", steps=4, checkpoint_every=2, log_every=1, sample_every=2)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    def fill(ear: Ear) -> None:
        patch.setattr(f"pleinair.{written}", full)

    with monkeypatch.context() as patch:
        ear = Ear(at=3, action=lambda: fill(ear))
        with pytest.raises(OutputError, match=f"No space left.*--resume {there.out}") as caught:
            train(there, ear)
    assert "\n" not in str(caught.value)
    assert train(resumed_plan(there.out, print), Ear(), resume=True).finished


def test_three_checkpoints_and_the_best_are_kept(plan, monkeypatch):
    scored = iter([0.3, 0.1, 0.2, 0.25, 0.22])
    monkeypatch.setattr(domains, "appoint_judge", lambda *_: FakeJudge(scored))
    there = plan(tiny("light"), "run", steps=10, score_every=2, checkpoint_every=1)
    (there.out / "checkpoints").mkdir(parents=True)
    (there.out / "checkpoints" / ".00000001.pt.x.part").write_bytes(b"what a kill left")
    outcome = train(there, Ear())
    names = sorted(path.name for path in (there.out / "checkpoints").iterdir())
    assert names == ["00000008.pt", "00000009.pt", "00000010.pt", "best.pt"]
    assert checkpoint.load(checkpoint.best(there.out))[1]["step"] == 4
    card = weights.load(there.out / "painter.safetensors").card
    assert (card["steps"], card["score"]["kid"]) == (4, 0.1)
    assert "stopped improving (KID-Lite0 0.1000 at step 4" in outcome.verdict
    lines = monitoring.read_history(there.out / "history.jsonl")
    assert [line["kid"] for line in lines if "kid" in line] == [0.3, 0.1, 0.2, 0.25, 0.22]


def test_a_kill_before_old_checkpoints_went_is_made_good(plan, monkeypatch):
    there = plan(tiny("light"), "run", steps=4, checkpoint_every=1)
    with monkeypatch.context() as patch:
        patch.setattr("pleinair.checkpoint.prune", lambda *_: None)
        train(there, Ear())
    (there.out / "checkpoints" / ".00000004.pt.x.part").write_bytes(b"what a kill left")
    (there.out / ".x.part").mkdir()  # and in the export at the end
    (there.out / ".x.part" / "painter.onnx").write_bytes(b"half")
    assert train(resumed_plan(there.out, print), Ear(), resume=True).finished
    names = sorted(path.name for path in (there.out / "checkpoints").iterdir())
    assert names == ["00000002.pt", "00000003.pt", "00000004.pt"]
    assert not list(there.out.rglob("*.part"))


def test_a_kill_before_the_best_was_kept_is_made_good(plan, monkeypatch):
    scored = iter([0.3, 0.1])
    monkeypatch.setattr(domains, "appoint_judge", lambda *_: FakeJudge(scored))
    there = plan(tiny("light"), "run", steps=4, score_every=2)
    train(there, Ear())
    # As a kill leaves it right after the checkpoint of the best step.
    checkpoint.best(there.out).unlink()
    (there.out / "painter.safetensors").unlink()
    longer = resumed_plan(there.out, print, steps=5, score_every=50)
    monkeypatch.setattr(_Run, "score", lambda *_, **__: None)
    train(longer, Ear(), resume=True)
    assert checkpoint.load(checkpoint.best(there.out))[1]["step"] == 4
    card = weights.load(there.out / "painter.safetensors").card
    assert (card["steps"], card["score"]["kid"]) == (4, 0.1)


def test_a_run_of_an_earlier_version_is_refused_in_one_sentence(tmp_path):
    checkpoint.save(checkpoint.path_of(tmp_path, 1), tiny("light"), {"step": 1, "plan": {}})
    with pytest.raises(CheckpointError, match="begin a new run with --init-from"):
        resumed_plan(tmp_path, print)


def test_patience_ends_a_run_that_stopped_improving(plan, monkeypatch):
    scored = iter([0.3, 0.2, 0.25, 0.25, 0.1])
    monkeypatch.setattr(domains, "appoint_judge", lambda *_: FakeJudge(scored))
    there = plan(tiny("light"), "run", steps=50, score_every=1, patience=2)
    outcome = train(there, Ear())
    assert (outcome.step, outcome.finished) == (4, True)


@pytest.mark.parametrize(("steps", "scores"), [(2, 0), (3, 1)])
def test_a_run_of_half_a_score_s_length_is_scored_at_its_end(plan, monkeypatch, steps, scores):
    monkeypatch.setattr(domains, "appoint_judge", lambda *_: FakeJudge(iter([0.3])))
    there = plan(tiny("light"), "run", steps=steps, score_every=6)
    train(there, Ear())
    assert len(newest(there.out)[1]["scores"]) == scores


class FakeJudge:
    def __init__(self, scored) -> None:
        self.scored = scored

    def score(self, step, paint):
        return Score(step, next(self.scored), 0.9, 0.9, 20.0)


def test_a_score_is_of_what_the_painter_makes(plan, monkeypatch):
    monkeypatch.setattr(domains, "TRAIN", dataclasses.replace(TRAIN, score_least=2))
    monkeypatch.setattr(domains, "EVALUATE", dataclasses.replace(EVALUATE, side=64))
    there = plan(dataclasses.replace(tiny("light"), warmup_steps=9), "run", steps=2, score_every=2)
    ear = Ear()
    train(there, ear)
    (score,) = newest(there.out)[1]["scores"]
    assert score["luma_correlation"] > 0.99  # a light generator begins as a copy
    assert any("KID-Lite0" in note for note in ear.notes)


def test_a_judge_compares_with_paintings_and_with_photos():
    def features(pictures):
        return np.stack([p.reshape(-1, 3).mean(axis=0) / 255 for p in pictures]).astype("float32")

    photos = [picture(64, 64, seed) for seed in range(8)]
    paintings = [255 - picture(64, 64, seed) for seed in range(8, 16)]
    judge = monitoring.Judge(photos, paintings, features)
    same = judge.score(1, lambda batch: batch)
    assert same.kid == same.photos_kid > 0
    assert (same.luma_correlation, same.median_change) == (1.0, 0.0)
    inverted = judge.score(2, lambda batch: -batch)
    assert inverted.kid < same.kid
    assert inverted.luma_correlation == -1.0


def test_few_pictures_are_not_scored(plan):
    there = plan(tiny("light"), "run", steps=2, score_every=1)
    outcome = train(there, Ear())
    assert "too few" in outcome.verdict
    assert newest(there.out)[1]["scores"] == []


@pytest.mark.parametrize(
    ("kids", "luma", "word"),
    [
        ([], 0.9, "too few"),
        ([0.5], 0.1, "inverts"),
        ([0.85], 0.9, "has not learned"),
        ([0.4], 0.9, "learned something"),
        ([0.5, 0.4], 0.9, "still improving"),
        ([0.4, 0.5], 0.9, "stopped improving"),
    ],
)
def test_a_run_ends_with_a_verdict(kids, luma, word):
    scores = [Score(100 * n, kid, 0.9, luma, 20.0) for n, kid in enumerate(kids, 1)]
    words = monitoring.closing_words(scores, 250, Path("run"))
    assert word in words
    assert "\n" not in words


def test_a_run_that_ends_in_its_warm_up_says_that_nothing_was_learned(plan):
    recipe = dataclasses.replace(tiny("light"), warmup_steps=3)
    ended = train(plan(recipe, "run", steps=3), Ear())
    assert not ended.begun
    assert "in the first 3 steps of this recipe only the discriminators learn" in ended.verdict
    assert "--steps 30" in ended.verdict
    on = train(resumed_plan(ended.run, print, steps=4, device="cpu"), Ear(), resume=True)
    assert on.begun
    assert "discriminators" not in on.verdict


def test_an_earlier_painter_can_be_had(plan, tmp_path):
    there = plan(tiny("light"), "run", steps=4, checkpoint_every=2)
    train(there, Ear())
    two, four = (exports.read(there.out, step) for step in (2, 4))
    assert (two.card["steps"], two.card["pictures_seen"]) == (2, 2)
    assert two.card.keys() == four.card.keys() == exports.read(there.out).card.keys()
    assert_same(
        {name: torch.from_numpy(array) for name, array in two.arrays.items()},
        dict(checkpoint.load(checkpoint.path_of(there.out, 2))[1]["ema"][0]),
        "arrays",
    )
    export(there.out, tmp_path / "two.onnx", step=2)
    assert Painter.load(tmp_path / "two.onnx").card["steps"] == 2
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 3; .* \(0, 2, 4\)"):
        exports.read(there.out, 3)
    with pytest.raises(UsageError, match="is no run"):
        exports.read("monet", 3)


def test_a_checkpoint_is_no_painters_file(plan):
    run = train(plan(tiny("light"), "run", steps=1), Ear()).run
    with pytest.raises(PainterError, match=rf"checkpoint of a run; give the run's folder, {run}"):
        Painter.load(checkpoint.path_of(run, 1))


def test_weights_that_are_no_numbers_are_not_saved(plan, monkeypatch):
    there = plan(tiny("light"), "run", steps=4, checkpoint_every=1)

    def breaking(session, photo, painting, progress):
        found = train_step(session, photo, painting, progress)
        if session.step == 2:
            with torch.no_grad():
                session.networks.photo_generator.full_out.weight[0] = float("nan")
        return found

    monkeypatch.setattr(training, "train_step", breaking)
    with pytest.raises(TrainingError, match="a weight is no longer a number at step 2"):
        train(there, Ear())
    assert [path.name for path in checkpoint.numbered(there.out)] == ["00000000.pt", "00000001.pt"]


def test_a_run_goes_on_where_its_pictures_were_moved_to(plan, tmp_path):
    there = plan(tiny("light"), "run", steps=2)
    train(there, Ear())
    moved = there.photos.rename(tmp_path / "elsewhere")
    longer = resumed_plan(there.out, print, steps=3, photos=moved)
    assert train(longer, Ear(), resume=True).step == 3


def test_a_resumed_run_keeps_its_plan(plan):
    there = plan(tiny("light"), "run", steps=2, sample_every=1, score_every=7, patience=3)
    train(there, Ear())
    again = resumed_plan(there.out, print)
    assert dataclasses.replace(again, device="cpu") == there
    other = resumed_plan(there.out, print, minutes=1.5, sample_every=9)
    assert (other.steps, other.minutes, other.sample_every, other.patience) == (None, 1.5, 9, 3)
    with pytest.raises(UsageError, match="at step 2 already"):
        resumed_plan(there.out, print, steps=1)


# --- several processes ------------------------------------------------------------------------


def test_two_processes_give_the_losses_of_one_with_twice_the_batch(folder, tmp_path):
    pytest.importorskip("accelerate")
    options = ["--photos", folder("photos", 5), "--paintings", folder("paintings", 3, seed=9)]
    options += ["--steps", 4, "--device", "cpu", "--checkpoint-every", 2, "--sample-every", 2]
    torchrun = [Path(sys.executable).parent / "torchrun", "--standalone", "--nproc-per-node", "2"]
    runs = {}
    for processes in (2, 1):
        batch = 2 // processes
        recipe, out = tmp_path / f"{processes}.toml", tmp_path / f"run{processes}"
        recipe.write_text(
            f'base = "paper"\nbatch = {batch}\ndiscriminator_batch = {2 * batch}\n'
            "crop = 32\nresize_min = 32\nresize_max = 40\npool_size = 0\n"
            "[generator]\nchannels = 4\nblocks = 1\n[discriminator]\nchannels = 4\nlayers = 2\n"
        )
        start = torchrun if processes == 2 else [sys.executable]
        command = [*start, "-m", "pleinair", "train", *options, "--recipe", recipe, "--out", out]
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == [str(out)]
        runs[processes] = newest(out)[1]
    assert len(runs[2]["team"]) == 2
    shown = runs[1]["means"]["shown"]
    assert len(shown) == 8
    for name, value in shown.items():
        assert runs[2]["means"]["shown"][name] == pytest.approx(value, rel=1e-4), name
    for name, value in runs[1]["networks"]["painting_generator"].items():
        if value.ndim > 1:  # a bias before a norm has rounding for a gradient, which Adam enlarges
            torch.testing.assert_close(
                runs[2]["networks"]["painting_generator"][name], value, rtol=1e-3, atol=2e-5
            )
    # With another number of processes it goes on with the same pictures, and says so.
    ears = {}
    for processes in (2, 1):
        ears[processes] = Ear()
        again = resumed_plan(tmp_path / f"run{processes}", print, steps=6)
        assert train(again, ears[processes], resume=True).step == 6
    assert not any("processes" in note for note in ears[1].notes)
    (note,) = (note for note in ears[2].notes if "processes" in note)
    assert "had 2 processes and now has 1" in note
    assert "(batch = 1, accumulate = 2)" in note
    (recipe, joined), (_, whole) = newest(tmp_path / "run2"), newest(tmp_path / "run1")
    assert (recipe.batch, recipe.discriminator_batch, recipe.accumulate) == (1, 2, 2)
    assert len(joined["team"]) == 1
    for stream in ("photo_stream", "painting_stream"):
        assert joined[stream] == whole[stream]
    for name, value in whole["means"]["shown"].items():
        assert joined["means"]["shown"][name] == pytest.approx(value, rel=1e-4), name
    cards = [weights.load(tmp_path / run / "painter.safetensors").card for run in ("run1", "run2")]
    assert [card["pictures_seen"] for card in cards] == [12, 12]


# --- TensorBoard ------------------------------------------------------------------------------


def test_tensorboard_gets_curves_and_sheets_once_each(plan):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    there = plan(tiny("light"), "run", steps=4, tensorboard=True)
    train(there, Ear(at=3, action=lambda: os.kill(os.getpid(), signal.SIGINT)))
    train(resumed_plan(there.out, print), Ear(), resume=True)
    board = EventAccumulator(str(there.out / "tensorboard"))
    board.Reload()
    tags = board.Tags()
    assert "samples" in tags["images"]
    assert "losses/cycle" in tags["scalars"]
    assert [event.step for event in board.Scalars("losses/painting_discriminator")] == [1, 2, 3, 4]


# --- kill -9 ----------------------------------------------------------------------------------


TINY = """
base = "light"
crop = 32
resize_min = 32
resize_max = 36
warmup_steps = 2
pool_size = 3
content_weight = 0.0
augment_above = 0.4
r1_weight = 0.1
r1_every = 3
[generator]
channels = 8
blocks = 1
[discriminator]
kind = "patch"
channels = 4
layers = 2
"""


def test_twenty_kills_at_random_moments_change_nothing(folder, tmp_path):
    """N steps are N steps, however often a power cut comes between; also while it writes."""
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY)
    options = ["--photos", folder("photos", 3), "--paintings", folder("paintings", 2, seed=9)]
    options += ["--recipe", recipe, "--steps", 400, "--checkpoint-every", 7]
    options += ["--sample-every", 200, "--score-every", 150, "--device", "cpu"]

    def start(out: Path) -> subprocess.Popen[bytes]:
        resume = checkpoint.numbered(out) if out.exists() else []
        arguments = ["--resume", out] if resume else [*options, "--out", out]
        command = [sys.executable, "-m", "pleinair", "train", *map(str, arguments)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment
        )

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    undisturbed = start(whole)
    random = np.random.default_rng(20)
    kills, writing = 0, 0
    while kills < 20:
        process = start(parts)
        deadline = time.monotonic() + 60
        before = {path.name for path in checkpoint.numbered(parts)} if parts.exists() else set()
        if kills % 4:
            # Mostly once it trains: a process spends most of so short a life on starting.
            while time.monotonic() < deadline and process.poll() is None:
                if parts.exists() and {p.name for p in checkpoint.numbered(parts)} - before:
                    break
                time.sleep(0.01)
            time.sleep(random.random() * 0.3)
        else:
            time.sleep(random.random() * 4.0)
        ended = process.poll() is not None
        process.kill()
        error = process.communicate()[1].decode()
        assert "Traceback" not in error, error
        if ended:
            assert process.returncode == 0, error
            break  # so fast a machine: the kills that were are enough
        kills += 1
        writing += any(parts.rglob("*.part"))
    process = start(parts)
    assert process.wait(300) == 0, process.communicate()[1].decode()
    process.communicate()
    assert undisturbed.wait(300) == 0, undisturbed.communicate()[1].decode()
    undisturbed.communicate()
    assert kills >= 15
    (_, first), (_, second) = newest(whole), newest(parts)
    assert first["step"] == second["step"] == 400
    for timed in ("seconds", "plan"):
        del first[timed], second[timed]
    assert_same(first, second, "state")
    same = [
        path.read_bytes()
        for path in (whole / "samples", parts / "samples")
        for path in sorted(path.iterdir())
    ]
    assert same[: len(same) // 2] == same[len(same) // 2 :]
    assert not list(parts.rglob("*.part"))


HALF = """
import io, os, sys, torch
whole = torch.save

def half(state, file):
    if state["step"] == 4:
        buffer = io.BytesIO()
        whole(state, buffer)
        file.write(buffer.getvalue()[:5000])
        file.flush()
        os.kill(os.getpid(), 9)
    whole(state, file)

torch.save = half
from pleinair.cli import main
main()
"""


def test_a_kill_during_the_write_leaves_the_checkpoint_before(folder, tmp_path, plan):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY)
    out = tmp_path / "run"
    photos, paintings = folder("a", 3), folder("b", 2, seed=50)
    options = ["--photos", photos, "--paintings", paintings, "--recipe", recipe, "--out", out]
    options += ["--steps", 6, "--checkpoint-every", 2, "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-c", HALF, "train", *map(str, options)], capture_output=True, check=False
    )
    assert done.returncode == -9, done.stderr
    assert len(list(out.rglob("*.part"))) == 1
    assert [path.name for path in checkpoint.numbered(out)] == ["00000000.pt", "00000002.pt"]
    again = resumed_plan(out, print)
    train(again, Ear(), resume=True)
    straight = dataclasses.replace(again, out=tmp_path / "straight")
    train(straight, Ear())
    (_, first), (_, second) = newest(out), newest(straight.out)
    assert_same(first["networks"], second["networks"], "networks")
    assert not list(out.rglob("*.part"))


# --- what people are told ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("health", "accuracy", "word"),
    [
        ((-0.6, 80, 1, 1, 0), 0.7, "inverts"),
        ((0.99, 1, 1, 1, 0), 0.7, "copies"),
        ((0.9, 20, 1, 22, 1.4), 0.7, "a pattern of 4 pixels stands out 22 times"),
        ((0.9, 20, 30, 16, 0), 0.7, "a pattern of 2 pixels stands out 30 times"),
        ((0.9, 20, 3, 5, 1.4), 0.7, "a fine weave stands out (weave 1.4"),
        ((0.9, 20, 1, 1, 0), 1.0, "always win"),
        ((0.9, 20, 1, 1, 0), 0.45, "are lost"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(health, accuracy, word):
    found = monitoring.verdicts(monitoring.Health(*health), accuracy)
    assert len(found) == 1
    assert word in found[0]
    assert "\n" not in found[0]


def test_nothing_is_said_when_all_is_well():
    assert monitoring.verdicts(monitoring.Health(0.9, 20, 4, 8, 0.3), 0.75) == []


def test_history_is_rewound_to_the_checkpoint(tmp_path: Path):
    file = tmp_path / "history.jsonl"
    for step in (1, 2, 3):
        monitoring.append_history(file, {"step": step})
    with file.open("a") as out:
        out.write('{"step": 4, "cyc')  # cut short by a kill
    monitoring.rewind_history(file, 2)
    assert monitoring.read_history(file) == [{"step": 1}, {"step": 2}]


# --- settings of a recipe ---------------------------------------------------------------------


def test_identity_may_bind_the_painting_generator_alone():
    recipe = dataclasses.replace(tiny("paper"), pool_size=0)
    photo, painting = batches(recipe)
    found = {}
    for one_way in (False, True):
        changed = dataclasses.replace(recipe, identity_one_way=one_way)
        session = Session.start(changed, 0, torch.device("cpu"))
        found[one_way] = train_step(session, photo, painting, 0.0)
    nets = Session.start(recipe, 0, torch.device("cpu")).networks
    same = (nets.painting_generator(painting) - painting).abs().mean().item()
    also = (nets.photo_generator(photo) - photo).abs().mean().item()
    assert found[True]["identity"].item() == pytest.approx(same, rel=1e-5)
    assert found[False]["identity"].item() == pytest.approx(same + also, rel=1e-5)
    less = found[False]["photo_generator"] - found[True]["photo_generator"]
    assert less.item() == pytest.approx(5 * also, rel=1e-4)


def test_r1_comes_rarely_and_so_much_more():
    recipe = dataclasses.replace(tiny("paper"), r1_weight=1.0, r1_every=3)
    session = Session.start(recipe, 0, torch.device("cpu"))
    told = ["painting_r1" in train_step(session, *batches(recipe), 0.0) for _ in range(7)]
    assert told == [True, False, False, True, False, False, True]

    # With steps of gradient descent, a lazy step is the plain gradient and three times R1's.
    photo, painting = batches(recipe)
    plain = Session.start(dataclasses.replace(recipe, r1_weight=0.0), 0, torch.device("cpu"))
    lazy = Session.start(recipe, 0, torch.device("cpu"))
    for one in (plain, lazy):
        train_step(one, photo, painting, 0.0)
    fresh = Session.start(recipe, 0, torch.device("cpu"))
    penalty = losses.r1_penalty(fresh.networks.painting_discriminator, painting)
    penalties = torch.autograd.grad(
        penalty, list(fresh.networks.painting_discriminator.parameters()), allow_unused=True
    )
    for with_r1, without, own in zip(
        lazy.networks.painting_discriminator.parameters(),
        plain.networks.painting_discriminator.parameters(),
        penalties,
        strict=True,
    ):
        if own is not None:
            difference = with_r1.grad - without.grad
            torch.testing.assert_close(difference, 3 * own, rtol=1e-3, atol=1e-6)


def test_pictures_are_varied_only_while_the_discriminators_win(monkeypatch):
    recipe = dataclasses.replace(tiny("paper"), augment_above=0.8)
    session = Session.start(recipe, 0, torch.device("cpu"))
    seen: list[int] = []
    monkeypatch.setattr(
        "pleinair.step.augment", lambda pictures, _: (seen.append(len(pictures)), pictures)[1]
    )
    train_step(session, *batches(recipe), 0.0)
    assert seen == []
    before = session.accuracy
    session.accuracy = 0.9
    train_step(session, *batches(recipe), 0.0)
    # Both translations on the way to the generators, pictures and translations afterwards.
    assert seen == [1, 1, 2, 2]
    assert session.accuracy != 0.9
    assert before != 0.5
    assert train_step(session, *batches(recipe), 0.0)


def test_rates_rise_and_fall_in_the_optimisers():
    recipe = dataclasses.replace(
        tiny("light"), warmup_steps=1, rate_warmup_steps=1, decay="cosine", decay_from=0.5
    )
    session = Session.start(recipe, 0, torch.device("cpu"))
    rates = []
    for progress in (0.0, 0.1, 0.2, 0.75):
        train_step(session, *batches(recipe), progress)
        rates.append(
            (
                session.generator_optimizer.param_groups[0]["lr"] / recipe.generator_rate,
                session.discriminator_optimizer.param_groups[0]["lr"] / recipe.discriminator_rate,
            )
        )
    # A generator's own first step comes after the discriminators' warm-up.
    assert rates[1:] == [(0.5, 1.0), (1.0, 1.0), (0.5, 0.5)]
    assert rates[0][1] == 0.5


def test_one_direction_is_the_formula_of_cut():
    recipe = dataclasses.replace(tiny("cut"), nce_patches=10_000)  # all places: nothing is drawn
    photo, painting = batches(recipe)
    session = Session.start(recipe, 0, torch.device("cpu"))
    found = train_step(session, photo, painting, 0.0)
    nets = Session.start(recipe, 0, torch.device("cpu")).networks
    assert nets.photo_generator is None
    assert nets.photo_discriminator is None
    g, d, heads = nets.painting_generator, nets.painting_discriminator, nets.patch_heads

    def nce(source, result):
        total = 0.0
        for depth, (x, y) in enumerate(zip(g.encode(source), g.encode(result), strict=True)):
            keys, queries = (
                torch.nn.functional.normalize(heads.heads[depth](m.flatten(2)[0].T), dim=-1)
                for m in (x, y)
            )
            answers = torch.arange(len(keys))
            total += torch.nn.functional.cross_entropy(queries @ keys.T / 0.07, answers)
        return total / 5

    expected = 0.5 * (nce(photo, g(photo)) + nce(painting, g(painting)))
    adversarial = ((d(g(photo)) - 1) ** 2).mean()
    assert found["nce"].item() == pytest.approx(expected.item(), rel=1e-4)
    assert found["painting_generator"].item() == pytest.approx(
        (adversarial + expected).item(), rel=1e-4
    )
    assert set(found) == {
        *("painting_generator", "nce", "painting_discriminator", "painting_accuracy")
    }


def test_a_scene_is_compared_as_it_is_where_discriminators_see_it_varied():
    recipe = dataclasses.replace(tiny("light"), warmup_steps=0, content_weight=1.0)
    recipe = dataclasses.replace(recipe, generator=COPYING)
    told = []
    for above in (1.0, 0.0):  # at 0 all that discriminators see is varied
        session = Session.start(
            dataclasses.replace(recipe, augment_above=above), 0, torch.device("cpu")
        )
        told.append(float(train_step(session, *batches(recipe), 0.0)["content"]))
    assert told[1] == pytest.approx(told[0])
    assert max(told) < 1e-3
