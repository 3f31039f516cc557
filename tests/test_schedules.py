from __future__ import annotations

import dataclasses

import pytest

from pleinair.config import RECIPES
from pleinair.schedules import (
    cycle_weight,
    ema_decay,
    identity_weight,
    rate_factor,
    warmup_factor,
)


def paper(**changes):
    return dataclasses.replace(RECIPES["paper"], **changes)


def test_rates_are_constant_then_fall_to_zero():
    half = paper(decay_from=0.5)
    assert [rate_factor(p, half) for p in (0, 0.49, 0.5, 0.75, 1.0)] == [1, 1, 1, 0.5, 0]
    assert rate_factor(1.0, paper(decay_from=1.0)) == 1.0


def test_a_cosine_falls_slowly_at_both_ends():
    recipe = paper(decay="cosine", decay_from=0.0)
    found = [rate_factor(p, recipe) for p in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert found == pytest.approx([1.0, 0.853553, 0.5, 0.146447, 0.0], abs=1e-6)


def test_rates_rise_from_the_first_step():
    recipe = paper(rate_warmup_steps=3)
    assert [warmup_factor(s, recipe) for s in (0, 1, 2, 3, 99)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert warmup_factor(0, paper()) == 1.0


def test_the_identity_weight_falls_over_its_ramp():
    recipe = paper(identity_weight=5.0, identity_end_weight=0.5, identity_ramp=0.3)
    found = [identity_weight(p, recipe) for p in (0, 0.15, 0.3, 1.0)]
    assert found == pytest.approx([5.0, 2.75, 0.5, 0.5])


def test_the_cycle_weight_falls_with_the_rate():
    recipe = RECIPES["light"]
    ends = [cycle_weight(p, recipe) for p in (0.0, recipe.decay_from, 1.0)]
    assert ends == [recipe.cycle_weight, recipe.cycle_weight, recipe.cycle_end_weight]
    assert cycle_weight(0.9, RECIPES["lab"]) == 10.0


def test_the_moving_average_forgets_the_start():
    recipe = RECIPES["light"]
    assert ema_decay(1, recipe) < 0.2
    assert ema_decay(10**6, recipe) == recipe.ema_decay
