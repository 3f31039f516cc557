"""Steps in parts are those of one large batch: same numbers drawn, same gradients."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import torch

from pleinair.chance import Chance
from pleinair.config import PatchSpec, Recipe
from pleinair.networks.features import lite
from pleinair.session import Session
from pleinair.step import train_step

from .conftest import tiny

VARIED = {"augment_above": 0.2, "pool_size": 3, "ripple_weight": 10.0, "cycle_noise": 0.1}
SPECTRAL = PatchSpec(channels=4, layers=2, norm="none", spectral_norm=True)
RECIPES = {
    "light": tiny("light"),
    "light, shifted": dataclasses.replace(
        tiny("light"), discriminator_shift=8, content_weight=1.0, drift_weight=1.0
    ),
    "light, with a palette": dataclasses.replace(
        tiny("light"),
        discriminator=dataclasses.replace(tiny("light").discriminator, palette=8),
        content_weight=1.0,
    ),
    "light, varied": dataclasses.replace(tiny("light"), **VARIED),
    "paper": tiny("paper"),
    "paper, all that is drawn": dataclasses.replace(
        tiny("paper"), r1_weight=0.1, r1_every=2, **VARIED
    ),
    "light, spectral norm": dataclasses.replace(
        tiny("light"), discriminator=SPECTRAL, content_weight=0.0, **VARIED
    ),
    "cut": dataclasses.replace(tiny("cut"), nce_patches=20, **VARIED | {"cycle_noise": 0.0}),
}


@pytest.fixture(autouse=True)
def _exactly() -> Iterator[None]:
    """Rounding of float32 would hide a small mistake, and Adam enlarges it."""
    torch.set_default_dtype(torch.float64)
    lite.cache_clear()  # one for the whole process, which other tests want in float32
    yield
    lite.cache_clear()
    torch.set_default_dtype(torch.float32)


def trained(recipe: Recipe, steps: int) -> tuple[Session, list[dict[str, float]], torch.Tensor]:
    """A session after some steps of 4 and 8 pictures, their losses, and the random state then."""
    session = Session.start(recipe, 0, torch.device("cpu"))
    for networks in filter(None, (session.networks, session.ema)):
        for network in networks.by_name().values():
            network.double()  # what is frozen was read as it lies in its file
    random = torch.Generator().manual_seed(1)
    told = []
    for step in range(steps):
        shape = (8, 3, recipe.crop, recipe.crop)
        photo, painting = (torch.rand(shape, generator=random) * 2 - 1 for _ in range(2))
        found = train_step(session, photo, painting, step / steps)
        told.append({name: value.item() for name, value in found.items()})
    return session, told, torch.get_rng_state()


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("parts", [2, 4])
def test_a_step_in_parts_is_that_of_one_batch(name, parts):
    recipe = RECIPES[name]
    large = dataclasses.replace(recipe, batch=4, discriminator_batch=8)
    whole, expected, random = trained(large, steps=5)
    small = dataclasses.replace(
        recipe, batch=4 // parts, discriminator_batch=8 // parts, accumulate=parts
    )
    session, found, drawn = trained(small, steps=5)
    assert session.step == whole.step == 5
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-6)
    for ours, theirs in zip(
        session.networks.by_name().values(), whole.networks.by_name().values(), strict=True
    ):
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            # A bias before a norm has rounding for a gradient, which Adam enlarges.
            if other.ndim > 1:
                torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)
    assert torch.equal(drawn, random)


def test_what_a_batch_has_once_is_drawn_once():
    chance = Chance(3)
    drawn = []
    for rows in chance.turns(2):
        drawn.append(rows)
        (places,) = chance.places("here", [torch.zeros(1, 1, 4, 5)], 6)
        assert chance.is_first == (rows.start == 0)
        assert places is chance.places("here", [], 0)[0]
        assert len(set(places.tolist())) == 6
        noise = chance.noise("there", torch.zeros(2, 3, 4, 5))
        assert noise.shape == (2, 3, 4, 5)
        assert torch.equal(noise, chance.once("there", list)[rows])
    assert drawn == [slice(0, 2), slice(2, 4), slice(4, 6)]


def test_what_is_looked_at_is_shifted_alike_within_a_step():
    pictures = torch.arange(2.0 * 3 * 16 * 16).reshape(2, 3, 16, 16)
    seen = set()
    for _ in range(50):
        chance = Chance(2)
        for _rows in chance.turns(1):
            one, other = (chance.shifted(p, 4) for p in (pictures, -pictures))
            assert one.shape == (2, 3, 12, 12)
            assert torch.equal(one, -other)
        seen.add(float(one[0, 0, 0, 0]))
    assert len(seen) > 10
    assert chance.shifted(pictures, 0) is pictures
