"""The tables of docs/scaling.md, and the arithmetic under them."""

from __future__ import annotations

import importlib
import sys

import pytest

from pleinair.checkpoint import Networks
from pleinair.config import RECIPES
from pleinair.networks import count_parameters

from .conftest import REPOSITORY

DOCS = REPOSITORY / "docs"


@pytest.fixture(scope="module")
def scaling():
    sys.path.insert(0, str(DOCS))
    try:
        yield importlib.import_module("scaling")
    finally:
        sys.path.remove(str(DOCS))
        sys.modules.pop("scaling", None)


def test_the_page_has_the_tables_that_are_computed(scaling):
    page = (DOCS / "scaling.md").read_text(encoding="utf-8")
    for table in scaling.tables():
        assert table in page, f"docs/scaling.md lacks this; print all by docs/scaling.py:\n{table}"


def test_what_is_counted_is_what_the_benchmarks_counted(scaling):
    step = scaling.step_of(RECIPES["light"])
    networks = Networks.build(RECIPES["light"]).by_name().values()
    assert step.parameters == sum(count_parameters(one) for one in networks) == 1_544_366


def test_a_ring_sends_what_is_known_of_rings(scaling):
    step = scaling.Step(parameters=250_000_000, operations=40e12, pools=0)
    assert (step.bytes, step.seconds) == (1_000_000_000, 1.0)
    # Two processes send each other half of it and half of the mean: once the whole, in two hops.
    quick = scaling.HOP * 2 * scaling.EXCHANGES
    assert step.exchange(2, 1e9 / scaling.LINE) == pytest.approx(1.0 + quick)
    assert step.efficiency(2, 1e9 / scaling.LINE) == pytest.approx(1 / (2 + quick))
    # However many there are, none sends it more than twice.
    many = step.exchange(1000, 1e9 / scaling.LINE) - 1998 * scaling.HOP * scaling.EXCHANGES
    assert many == pytest.approx(2.0, rel=1e-2)
