"""PatchGAN discriminators: a map of logits, one for each overlapping patch.

Isola et al. 2017, https://arxiv.org/abs/1611.07004, section 3.2.2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from pleinair.config import DOUBLING_BLUR, PatchSpec
from pleinair.networks.blur import Blur
from pleinair.networks.norm import InstanceNorm, init_normal

Seen = tuple[Tensor, ...]
"""What a discriminator's fixed part makes of pictures, (N, C, h, w) each; what learns judges it."""


def _conv(inputs: int, outputs: int, spec: PatchSpec, stride: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 4, stride=stride, padding=1, bias=spec.bias)


def _halving(inputs: int, outputs: int, spec: PatchSpec) -> list[nn.Module]:
    if not spec.blur:
        return [_conv(inputs, outputs, spec, 2)]
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=spec.bias), Blur(DOUBLING_BLUR)]


class MultiScalePatch(nn.Module):
    """PatchGANs of their own on the picture and on its halves, each scale weighing the same.

    Wang et al. 2018, "pix2pixHD", https://arxiv.org/abs/1711.11585, section 3.2. 3 channels in
    [-1, 1] to (N, scales, h, w) logits; the coarse maps are repeated to the size of the finest.
    """

    def __init__(self, spec: PatchSpec) -> None:
        super().__init__()
        self.scales = nn.ModuleList(Patch(spec) for _ in range(spec.scales))

    def forward(self, x: Tensor) -> Tensor:
        return self.judge(self.look(x))

    def look(self, x: Tensor) -> Seen:
        """What is fixed of the way from pictures to logits: nothing."""
        return (x,)

    def judge(self, seen: Seen) -> Tensor:
        """Logits of what `look` gave."""
        (x,) = seen
        maps: list[Tensor] = []
        for index, patch in enumerate(self.scales):
            x = F.avg_pool2d(x, 2) if index else x
            maps.append(patch(x))
        size = maps[0].shape[-2:]
        return torch.cat([F.interpolate(m, size, mode="nearest") for m in maps], dim=1)


class Patch(nn.Module):
    """3 channels in [-1, 1] to (N, 1, h, w) logits; 70x70 patches with three layers.

    2,764,737 parameters with the paper's spec, 2,765,569 with the lab's.
    """

    def __init__(self, spec: PatchSpec) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        if spec.detail_channels:
            layers += [
                nn.Conv2d(inputs, spec.detail_channels, 3, padding=1),
                nn.LeakyReLU(spec.slope),
            ]
            inputs = spec.detail_channels
        widths = [spec.channels * min(2**level, 8) for level in range(spec.layers + 1)]
        for level, width in enumerate(widths):
            halves = level < spec.layers
            layers += _halving(inputs, width, spec) if halves else [_conv(inputs, width, spec, 1)]
            if level > 0 and spec.norm != "none":
                layers.append(
                    InstanceNorm(width, affine=spec.norm == "affine", epsilon=spec.norm_epsilon)
                )
            layers.append(nn.LeakyReLU(spec.slope))
            inputs = width
        layers.append(nn.Conv2d(inputs, 1, 4, padding=1))
        self.model = nn.Sequential(*layers)
        init_normal(self)
        for part in self.modules():
            if isinstance(part, InstanceNorm) and part.weight is not None:
                nn.init.normal_(part.weight, 0.0, 0.02)  # the lab's gamma_initializer
        if spec.spectral_norm:
            for part in self.model:
                if isinstance(part, nn.Conv2d):
                    # The published N(0, 0.02) only slows the power iteration's first estimate.
                    nn.init.orthogonal_(part.weight)
                    spectral_norm(part)

    def forward(self, x: Tensor) -> Tensor:
        return self.judge(self.look(x))

    def look(self, x: Tensor) -> Seen:
        """What is fixed of the way from pictures to logits: nothing."""
        return (x,)

    def judge(self, seen: Seen) -> Tensor:
        """Logits of what `look` gave."""
        out: Tensor = self.model(seen[0])
        return out
