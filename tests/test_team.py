from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pleinair import checkpoint
from pleinair import session as session_room
from pleinair.errors import TrainingError, UsageError
from pleinair.plan import Plan, dealt_among, resumed_plan
from pleinair.session import Session, dealt
from pleinair.team import Team
from pleinair.training import train

from .conftest import tiny

accelerate = pytest.importorskip("accelerate")


class Alone:
    """What Accelerate makes of several processes on a machine without accelerators."""

    device = torch.device("cpu")
    process_index = 1

    def __init__(self, cpu: bool, kwargs_handlers: list) -> None:
        self.num_processes = 2 if cpu else 1


@pytest.fixture
def _two_processes_on_a_cpu(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.usefixtures("_two_processes_on_a_cpu")
@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_processes_without_an_accelerator_find_each_other(monkeypatch, device):
    # They were two runs in one folder, each sure that it was the first.
    monkeypatch.setattr(accelerate, "Accelerator", Alone)
    team = Team.join(device)
    assert (team.size, team.rank, team.is_first) == (2, 1, False)


@pytest.mark.usefixtures("_two_processes_on_a_cpu")
def test_processes_that_do_not_find_each_other_are_told(monkeypatch):
    monkeypatch.setattr(accelerate, "Accelerator", lambda **_: Alone(False, []))
    with pytest.raises(UsageError, match="2 processes were started and 1 found each other"):
        Team.join("auto")


@pytest.mark.usefixtures("_two_processes_on_a_cpu")
def test_a_device_that_is_not_at_hand_is_told_before_anybody_is_waited_for(monkeypatch):
    with pytest.raises(UsageError, match="'cuda' is not at hand"):
        Team.join("cuda")


# --- another number of processes ----------------------------------------------------------------


def begun(batch: int, both: int, accumulate: int = 1) -> Plan:
    recipe = replace(tiny("paper"), batch=batch, discriminator_batch=both, accumulate=accumulate)
    return Plan(Path("photos"), Path("paintings"), Path("RUN"), recipe)


@pytest.mark.parametrize(
    ("of", "before", "now", "expected"),
    [
        ((1, 2, 1), 2, 1, (1, 2, 2)),
        ((1, 2, 2), 1, 2, (1, 2, 1)),
        ((1, 1, 6), 1, 3, (1, 1, 2)),
        ((4, 8, 1), 3, 2, (3, 6, 2)),  # batches never grow: they may have filled the memory
        ((4, 6, 1), 1, 2, (2, 3, 1)),
        ((1, 3, 1), 4, 4, (1, 3, 1)),
    ],
)
def test_another_number_of_processes_shares_the_same_steps(of, before, now, expected):
    said: list[str] = []
    recipe = dealt_among(begun(*of), before, now, said.append).recipe
    assert (recipe.batch, recipe.discriminator_batch, recipe.accumulate) == expected
    assert len(said) == (before != now)


def test_a_number_that_cannot_share_a_step_is_told_which_can():
    with pytest.raises(UsageError, match=r"RUN learns from 6 photos a step, which 4 .* cannot"):
        dealt_among(begun(2, 4), 3, 4, print)
    with pytest.raises(UsageError, match=r"start 1 or 2 or 3 or 6, or a new run with --init-from"):
        dealt_among(begun(2, 4), 3, 4, print)


def test_pools_are_dealt_like_cards_and_none_twice():
    pools = [[("a",), ("b",), ("c",)], [("d",), ("e",)]]
    assert dealt(pools, 0, 1) == [("a",), ("d",), ("b",), ("e",), ("c",)]
    hands = [dealt(pools, rank, 3) for rank in range(3)]
    assert hands == [[("a",), ("e",)], [("d",), ("c",)], [("b",)]]


def test_who_was_there_keeps_its_random_numbers_and_who_is_new_has_others():
    recipe = tiny("light")
    state = []
    for rank, numbers in enumerate(((0, 1), (2, 3))):
        one = Session.start(recipe, 0, Team(torch.device("cpu"), rank, 2))
        one.painting_pool.pictures = [(torch.full((1,), float(n)),) for n in numbers]
        state.append(one.own_state())  # torch's random state is that of whoever drew last
    expected = torch.rand(3)
    drawn = []
    for rank in range(4):
        one = Session.start(recipe, 0, Team(torch.device("cpu"), rank, 4))
        one.step = 7
        one.restore_own(state, seed=0)
        assert [float(seen[0]) for seen in one.painting_pool.pictures] == [[0, 2, 1, 3][rank]]
        drawn.append(torch.rand(3))
    assert torch.equal(drawn[1], expected)
    assert len({tuple(one.tolist()) for one in drawn}) == 4
    alone = Session.start(recipe, 0, Team(torch.device("cpu")))
    alone.restore_own(state, seed=0)
    # No more than a pool holds.
    assert [float(seen[0]) for seen in alone.painting_pool.pictures] == [0, 2]


def test_a_machine_with_fewer_gpus_takes_the_random_states_it_has_devices_for(monkeypatch):
    session = Session.start(tiny("light"), 0, Team(torch.device("cpu")))
    own = session.own_state() | {"cuda_random": ["of 0", "of 1", "of 2", "of 3"]}
    told = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", told.append)
    monkeypatch.setattr(session_room, "_moved", lambda pool, _: pool)
    session.team = Team(torch.device("cuda"))
    session.restore_own([own], seed=0)
    assert told == [["of 0", "of 1"]]


# --- two processes, of which one is killed ------------------------------------------------------


MEMBER = """
import os, sys

log = open(sys.argv.pop(1) + os.environ["RANK"], "a", buffering=1)
run = os.path.realpath(sys.argv[sys.argv.index("--out") + 1])
WRITES = ("os.mkdir", "os.rename", "os.remove", "os.link", "os.rmdir", "os.truncate")

def watch(event, details):
    if event == "open":
        path, mode, flags = details
        writes = flags & (os.O_WRONLY | os.O_RDWR) if isinstance(flags, int) else 0
    elif event in WRITES:
        path, writes = details[0], True
    else:
        return
    if writes and isinstance(path, (str, bytes)):
        where = os.path.realpath(os.fsdecode(path))
        if where == run or where.startswith(run + os.sep):
            print(event, where[len(run) :], file=log)

sys.addaudithook(watch)
from pleinair.cli import main
main()
"""


def test_a_process_of_a_team_ends_before_python_is_taken_down():
    script = (
        "import atexit; atexit.register(print, 'taken down'); from pleinair.cli import main; main()"
    )
    words = [sys.executable, "-c", script, "--version"]
    for size, down in (("1", True), ("2", False)):
        own = os.environ | {"WORLD_SIZE": size}
        said = subprocess.run(words, capture_output=True, text=True, env=own, check=True).stdout
        assert said.startswith("pleinair")
        assert ("taken down" in said) == down


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is not for Windows")
def test_a_process_that_is_killed_ends_the_others_in_one_sentence(folder, tmp_path):
    # And as long as both live, one of them writes.
    out, recipe = tmp_path / "run", tmp_path / "tiny.toml"
    recipe.write_text(
        'base = "light"\ncrop = 32\nresize_min = 32\nresize_max = 36\nwarmup_steps = 1\n'
        "pool_size = 3\ncontent_weight = 0.0\n[generator]\nchannels = 8\nblocks = 1\n"
        '[discriminator]\nkind = "patch"\nchannels = 4\nlayers = 2\n'
    )
    options = ["--photos", folder("photos", 12), "--paintings", folder("paintings", 9, seed=9)]
    options += ["--recipe", recipe, "--steps", 100_000, "--checkpoint-every", 3]
    options += ["--sample-every", 2, "--score-every", 2, "--device", "cpu", "--out", out]
    team = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    members = [
        subprocess.Popen(
            [sys.executable, "-c", MEMBER, str(tmp_path / "log"), "train", *map(str, options)],
            env=os.environ | team | {"RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    first, second = members
    try:
        deadline = time.monotonic() + 300
        while not (out.exists() and len(checkpoint.numbered(out)) >= 2):
            assert time.monotonic() < deadline
            assert [member.poll() for member in members] == [None, None]
            time.sleep(0.05)
        second.send_signal(signal.SIGKILL)
        told = first.communicate(timeout=120)[1]
    finally:
        for member in members:
            member.kill()
            member.communicate()
    assert first.returncode == 1, told
    assert "Traceback" not in told
    last = told.splitlines()[-1]
    assert last.startswith("pleinair: another of the 2 processes was lost")
    assert last.endswith("start all of them again with --resume.")
    wrote = [(tmp_path / f"log{rank}").read_text() for rank in (0, 1)]
    assert "history.jsonl" in wrote[0]
    assert "checkpoints" in wrote[0]
    assert wrote[1] == ""
    # What is left goes on, here in one process: as many pictures a step, in two parts.
    step = checkpoint.load_latest(out, print)[1]["step"]
    train(resumed_plan(out, print, steps=step + 1, device="cpu"), Quiet(), resume=True)
    recipe, state = checkpoint.load_latest(out, print)
    assert (state["step"], recipe.accumulate) == (step + 1, 2)
    steps = [json.loads(line)["step"] for line in (out / "history.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)


class Quiet:
    def progress(self, step, part, values):
        pass

    def note(self, text):
        pass


def test_other_mistakes_of_an_exchange_are_told_as_well():
    class Broken:
        def reduce(self, tensor, reduction):
            raise RuntimeError("[/a/b/pair.cc:538] Connection closed by peer [127.0.0.1]:1\nmore")

    team = Team(torch.device("cpu"), 0, 2, Broken())
    with pytest.raises(TrainingError, match=r"lost \(Connection closed by peer \[127"):
        team.first_says(1.0)
    Broken.reduce = lambda *_, **__: (_ for _ in ()).throw(torch.OutOfMemoryError("full"))
    with pytest.raises(torch.OutOfMemoryError):
        team.average([torch.ones(2)])


def test_what_is_true_of_another_process_is_true_of_all():
    class Others:
        def __init__(self, value: float) -> None:
            self.value = value

        def reduce(self, tensor, reduction):
            assert reduction == "sum"
            return tensor + self.value

    for here, elsewhere in ((False, 0.0), (False, 1.0), (True, 0.0)):
        team = Team(torch.device("cpu"), 0, 2, Others(elsewhere))
        assert team.anyone(here) == (here or elsewhere > 0)
