"""Networks, one thing a file, built from the specs of `pleinair.config`."""

from __future__ import annotations

from torch import nn

from pleinair.config import FeatureSpec, LightSpec, PatchSpec, ResNetSpec, Spec, UNetSpec
from pleinair.networks.features import FeaturePatch
from pleinair.networks.light import Light
from pleinair.networks.patch import Patch
from pleinair.networks.resnet import ResNet
from pleinair.networks.unet import UNet

__all__ = ["FeaturePatch", "Light", "Patch", "ResNet", "UNet", "build", "count_parameters"]


def build(spec: Spec) -> nn.Module:
    """The network of a spec, freshly initialised from torch's global random state.

    In: float32 NCHW of 3 channels in [-1, 1]. Out: the same shape and range from a generator,
    (N, 1, h, w) logits from a discriminator.
    """
    match spec:
        case UNetSpec():
            return UNet(spec)
        case ResNetSpec():
            return ResNet(spec)
        case LightSpec():
            return Light(spec)
        case PatchSpec():
            return Patch(spec)
        case FeatureSpec():
            return FeaturePatch(spec)


def count_parameters(network: nn.Module) -> int:
    """Number of trainable scalars."""
    return sum(parameter.numel() for parameter in network.parameters())
