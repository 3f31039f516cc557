from __future__ import annotations

import pytest
import torch

from pleinair.errors import UsageError
from pleinair.team import Team

accelerate = pytest.importorskip("accelerate")


class Alone:
    """What Accelerate makes of several processes on a machine without accelerators."""

    device = torch.device("cpu")
    process_index = 1

    def __init__(self, cpu: bool) -> None:
        self.num_processes = 2 if cpu else 1


@pytest.fixture(autouse=True)
def _two_processes_on_a_cpu(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_processes_without_an_accelerator_find_each_other(monkeypatch, device):
    # They were two runs in one folder, each sure that it was the first.
    monkeypatch.setattr(accelerate, "Accelerator", Alone)
    team = Team.join(device)
    assert (team.size, team.rank, team.is_first) == (2, 1, False)


def test_processes_that_do_not_find_each_other_are_told(monkeypatch):
    monkeypatch.setattr(accelerate, "Accelerator", lambda cpu: Alone(cpu=False))
    with pytest.raises(UsageError, match="2 processes were started and 1 found each other"):
        Team.join("auto")


def test_a_device_that_is_not_at_hand_is_told_before_anybody_is_waited_for(monkeypatch):
    with pytest.raises(UsageError, match="'cuda' is not at hand"):
        Team.join("cuda")
