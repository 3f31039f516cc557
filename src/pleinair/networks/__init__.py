"""Networks, one thing a file, built from the specs of `pleinair.config`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pleinair.config import (
    DiscriminatorSpec,
    FeatureSpec,
    GeneratorSpec,
    LightSpec,
    PatchSpec,
    ResNetSpec,
    Spec,
    UNetSpec,
)
from pleinair.networks.features import FeaturePatch
from pleinair.networks.light import Light
from pleinair.networks.nce import PatchHeads
from pleinair.networks.patch import MultiScalePatch, Patch, Seen
from pleinair.networks.pix2pix import Pix2PixUNet
from pleinair.networks.resnet import ResNet
from pleinair.networks.unet import UNet

__all__ = [
    "Discriminator",
    "FeaturePatch",
    "Generator",
    "Light",
    "MultiScalePatch",
    "Patch",
    "PatchHeads",
    "Pix2PixUNet",
    "ResNet",
    "Seen",
    "UNet",
    "build",
    "build_discriminator",
    "build_generator",
    "count_macs",
    "count_parameters",
]


Generator = UNet | Pix2PixUNet | ResNet | Light
Discriminator = Patch | MultiScalePatch | FeaturePatch


def build_generator(spec: GeneratorSpec) -> Generator:
    """The generator of a spec, as `build` makes it."""
    match spec:
        case UNetSpec():
            return UNet(spec) if spec.order == "lab" else Pix2PixUNet(spec)
        case ResNetSpec():
            return ResNet(spec)
        case LightSpec():
            return Light(spec)


def build_discriminator(spec: DiscriminatorSpec) -> Discriminator:
    """The discriminator of a spec, as `build` makes it."""
    match spec:
        case PatchSpec():
            return Patch(spec) if spec.scales == 1 else MultiScalePatch(spec)
        case FeatureSpec():
            return FeaturePatch(spec)


def build(spec: Spec) -> nn.Module:
    """The network of a spec, freshly initialised from torch's global random state.

    In: float32 NCHW of 3 channels in [-1, 1]. Out: the same shape and range from a generator,
    (N, maps, h, w) logits from a discriminator.
    """
    if isinstance(spec, PatchSpec | FeatureSpec):
        return build_discriminator(spec)
    return build_generator(spec)


def count_parameters(network: nn.Module) -> int:
    """Number of trainable scalars."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_macs(network: nn.Module, side: int) -> int:
    """Multiply-accumulates of all convolutions for one picture of side x side."""
    total = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        weight = module.weight
        assert isinstance(weight, Tensor)  # noqa: S101 -- for types
        # A transposed convolution spends its weights on every input pixel, not output pixel.
        places = inputs[0] if isinstance(module, nn.ConvTranspose2d) else output
        total += places.shape[-1] * places.shape[-2] * weight.numel()

    hooks = [
        part.register_forward_hook(count)
        for part in network.modules()
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d)
    ]
    with torch.inference_mode():
        network(torch.zeros(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    return total
