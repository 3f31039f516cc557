"""That `make ratios` fails when something of ours is slow; the speed itself it measures alone."""

from __future__ import annotations

import importlib
import re
import sys

import pytest

from .conftest import REPOSITORY


@pytest.fixture
def ratios(monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    names = ("ratios", "folder", "plain_loop", "speed")
    yield importlib.import_module("ratios")
    for name in names:
        sys.modules.pop(name, None)


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def measured(ratios, delays: list[float]):
    """A ratio whose other side takes 3 seconds and ours 1, and a delay more in each round."""
    clock, late = Clock(), iter(delays)
    rounds = len(delays) - 1
    pairs = ratios.in_turn(
        lambda: clock.sleep(3.0), lambda: clock.sleep(1.0 + next(late)), rounds, clock=clock
    )
    return ratios.Ratio("ours / theirs", 3.0, 1.5, lambda: pairs)


def test_what_is_as_fast_as_usual_passes(ratios, capsys):
    assert ratios.main((measured(ratios, [0.0, 0.0, 0.0]),)) == 0
    assert "3.00" in capsys.readouterr().out


def test_what_has_become_slow_fails_and_is_named(ratios, capsys):
    slow, well = measured(ratios, [1.5, 1.5, 1.5]), measured(ratios, [0.0, 0.0])
    assert ratios.main((well, slow)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ours / theirs: 1.20 times as fast, where 3.00 is usual and 1.50")


def test_one_quiet_round_is_enough(ratios):
    # Other work on the machine delays; it never makes anything faster. The first warms up.
    assert ratios.main((measured(ratios, [0.0, 40.0, 0.0, 9.0]),)) == 0
    assert ratios.main((measured(ratios, [0.0, 40.0, 9.0]),)) == 1


def test_every_ratio_stands_on_the_page_with_its_bound(ratios):
    page = (REPOSITORY / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for ratio in ratios.RATIOS:
        assert ratio.least <= 0.55 * ratio.usual
        assert re.search(rf"^\| {re.escape(ratio.what)} .*\| {ratio.least} \|$", page, re.M)
