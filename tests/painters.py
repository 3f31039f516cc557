"""Small painters of every network, and what their exported files have to say."""

from __future__ import annotations

import json

import torch

from pleinair import weights
from pleinair.config import LightSpec, ResNetSpec, UNetSpec
from pleinair.networks import build
from pleinair.recipes import spec_to_dict
from pleinair.weights import Weights

SPECS = {
    "light": LightSpec(channels=8, half_channels=4, detail_channels=4, blocks=2),
    "resnet": ResNetSpec(channels=4, blocks=2),
    "unet": UNetSpec(channels=4),
    "blurred": ResNetSpec(channels=4, blocks=1, blur_down=True, blur_up=True, affine=True),
    "pix2pix": UNetSpec(channels=4, order="pix2pix"),
}


def painter_of(spec, seed=3, spread=0.2) -> Weights:
    torch.manual_seed(seed)
    network = build(spec).eval()
    for parameter in network.parameters():  # far from the copy that `light` starts as
        torch.nn.init.normal_(parameter, 0, spread)
    arrays = {name: value.numpy() for name, value in network.state_dict().items()}
    return Weights(spec, arrays, {"steps": 7, "title": "Somebody"})


def painted(network, photo):
    with torch.inference_mode():
        return network(torch.from_numpy(photo)).numpy()


def says_what_it_is(told, source, pixels):
    painter = weights.load(source)
    assert json.loads(told["spec"]) == spec_to_dict(painter.spec)
    card = json.loads(told["card"])
    assert card.pop("exported")
    assert card == painter.card
    assert told["pixels"] == pixels
