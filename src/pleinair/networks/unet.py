"""The lab's U-Net generator, layer for layer and in Keras' order of weights.

Isola et al. 2017, https://arxiv.org/abs/1611.07004, appendix 6.1, as the tutorial builds it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pleinair.config import UNetSpec
from pleinair.networks.norm import InstanceNorm, init_normal


class Down(nn.Module):
    """Convolution 4x4 of stride 2, instance norm (not in the first), leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, spec: UNetSpec, *, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
        self.norm = (
            InstanceNorm(outputs, affine=True, epsilon=spec.norm_epsilon) if norm else nn.Identity()
        )
        self.slope = spec.slope

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.norm(self.conv(x)), self.slope)


class Up(nn.Module):
    """Transposed convolution 4x4 of stride 2, instance norm, dropout, ReLU."""

    def __init__(self, inputs: int, outputs: int, spec: UNetSpec, *, dropout: bool) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
        self.norm = InstanceNorm(outputs, affine=True, epsilon=spec.norm_epsilon)
        self.dropout = nn.Dropout(spec.dropout) if dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.dropout(self.norm(self.conv(x))))


class UNet(nn.Module):
    """3 channels in [-1, 1], sides multiples of 2**depth, to the same. 54,414,979 parameters."""

    def __init__(self, spec: UNetSpec) -> None:
        super().__init__()
        widths = [spec.channels * min(2**level, 8) for level in range(spec.depth)]
        self.down = nn.ModuleList(
            Down(inputs, outputs, spec, norm=level > 0)
            for level, (inputs, outputs) in enumerate(zip([3, *widths], widths, strict=False))
        )
        up_widths = widths[-2::-1]
        # Each block but the first reads the block below it beside the skip of the same size.
        up_inputs = [widths[-1], *(2 * width for width in up_widths[:-1])]
        self.up = nn.ModuleList(
            Up(inputs, outputs, spec, dropout=level < 3)
            for level, (inputs, outputs) in enumerate(zip(up_inputs, up_widths, strict=True))
        )
        self.last = nn.ConvTranspose2d(2 * up_widths[-1], 3, 4, stride=2, padding=1)
        self.encoder_channels = (3, *widths[:4])
        init_normal(self)
        for part in self.modules():
            if isinstance(part, InstanceNorm) and part.weight is not None:
                nn.init.normal_(part.weight, 0.0, 0.02)  # the lab's gamma_initializer

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            x = torch.cat([block(x), skip], dim=1)
        return torch.tanh(self.last(x))

    def encode(self, x: Tensor) -> list[Tensor]:
        """Maps at the encoder's depths, of `encoder_channels`, for PatchNCE."""
        found = [x]
        for block in list(self.down)[: len(self.encoder_channels) - 1]:
            found.append(block(found[-1]))
        return found
