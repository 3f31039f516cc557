"""The U-Net generator of pix2pix, as its authors published it, in their order of channels.

Isola et al. 2017, https://arxiv.org/abs/1611.07004, appendix 6.1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pleinair.config import UNetSpec
from pleinair.networks.norm import InstanceNorm, init_normal


class Down(nn.Module):
    """Convolution 4x4 of stride 2 with a bias, then instance norm but in the first and last."""

    def __init__(self, inputs: int, outputs: int, spec: UNetSpec, *, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)
        self.norm = (
            InstanceNorm(outputs, affine=True, epsilon=spec.norm_epsilon) if norm else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.conv(x))
        return out


class Up(nn.Module):
    """ReLU, transposed convolution 4x4 of stride 2 with a bias, instance norm, dropout."""

    def __init__(self, inputs: int, outputs: int, spec: UNetSpec, *, dropout: bool) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
        self.norm = InstanceNorm(outputs, affine=True, epsilon=spec.norm_epsilon)
        self.dropout = nn.Dropout(spec.dropout) if dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dropout(self.norm(self.conv(F.relu(x))))
        return out


class Pix2PixUNet(nn.Module):
    """3 channels in [-1, 1], sides multiples of 2**depth, to the same."""

    def __init__(self, spec: UNetSpec) -> None:
        super().__init__()
        widths = [spec.channels * min(2**level, 8) for level in range(spec.depth)]
        self.down = nn.ModuleList(
            Down(inputs, outputs, spec, norm=0 < level < spec.depth - 1)
            for level, (inputs, outputs) in enumerate(zip([3, *widths], widths, strict=False))
        )
        up_widths = widths[-2::-1]
        # Each block but the first reads the skip of the same size beside the block below it.
        up_inputs = [widths[-1], *(2 * width for width in up_widths[:-1])]
        self.up = nn.ModuleList(
            Up(inputs, outputs, spec, dropout=0 < level < spec.depth - 4)
            for level, (inputs, outputs) in enumerate(zip(up_inputs, up_widths, strict=True))
        )
        self.last = nn.ConvTranspose2d(2 * up_widths[-1], 3, 4, stride=2, padding=1)
        self.slope = spec.slope
        self.encoder_channels = (3, *widths[:4])
        init_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(F.leaky_relu(x, self.slope) if level else x)
            skips.append(x)
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            x = torch.cat([skip, block(x)], dim=1)
        return torch.tanh(self.last(F.relu(x)))

    def encode(self, x: Tensor) -> list[Tensor]:
        """Maps at the encoder's depths, of `encoder_channels`, for PatchNCE."""
        found = [x]
        for level, block in enumerate(list(self.down)[: len(self.encoder_channels) - 1]):
            found.append(block(F.leaky_relu(found[-1], self.slope) if level else x))
        return found
