"""A generator that begins as a narrower one."""

import dataclasses
from typing import Any

import pytest
import torch

from pleinair.config import LightSpec, ResNetSpec
from pleinair.networks import Light
from pleinair.networks.growth import holds, widened

SMALL = LightSpec(channels=8, half_channels=4, detail_channels=4, blocks=2)


def _wider(**more: Any) -> LightSpec:
    return dataclasses.replace(SMALL, **more)


@pytest.mark.parametrize(
    "more",
    [
        {"channels": 12},
        {"half_channels": 6},
        {"detail_channels": 7},
        {"blocks": 5},
        {"channels": 12, "half_channels": 6, "detail_channels": 7, "blocks": 5},
        {},
    ],
)
@pytest.mark.parametrize("doubling", ["bilinear", "shuffle"])
def test_it_paints_the_same_and_can_learn_with_all_that_is_new(doubling, more):
    torch.manual_seed(0)
    small = Light(dataclasses.replace(SMALL, doubling=doubling))
    for parameter in small.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.3)
    large = Light(_wider(doubling=doubling, **more))
    large.load_state_dict(widened(large, small.state_dict()))
    photo = torch.rand(2, 3, 24, 32) * 2 - 1
    target = torch.rand(2, 3, 24, 32) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(large(photo), small(photo), rtol=1e-4, atol=1e-4)
    optimizer = torch.optim.Adam(large.parameters(), lr=1e-2)
    for _ in range(2):  # what is new is first seen by what was there, and then learns itself
        optimizer.zero_grad()
        (large(photo) - target).square().mean().backward()
        optimizer.step()
    old = small.state_dict()
    for name, parameter in large.named_parameters():
        new = torch.ones_like(parameter, dtype=torch.bool)
        if name in old:
            new[tuple(slice(side) for side in old[name].shape)] = False
        if new.any():
            assert parameter.grad[new].abs().max() > 0, name


def test_only_a_wider_one_of_the_same_kind_begins_as_another():
    assert holds(SMALL, SMALL)
    assert holds(_wider(channels=9, blocks=3), SMALL)
    assert not holds(_wider(channels=7, blocks=3), SMALL)
    assert holds(_wider(channels=9, keeps="colours"), SMALL)
    assert not holds(_wider(channels=9, doubling="shuffle"), SMALL)
    assert not holds(_wider(low_pass=True), SMALL)
    assert not holds(SMALL, ResNetSpec())
    assert not holds(ResNetSpec(channels=8), ResNetSpec(channels=4))
    assert holds(ResNetSpec(), ResNetSpec())
