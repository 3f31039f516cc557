"""Networks, one thing a file, built from the specs of `pleinair.config`."""

from __future__ import annotations

from torch import nn

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
