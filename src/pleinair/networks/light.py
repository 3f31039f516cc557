"""Our generator: most of the work at a quarter of the size, fine detail from the photo itself.

A network that must invent detail on its way up from a quarter of the size paints a lattice of
that period. So the way up is bilinear with a convolution behind it (Odena et al. 2016,
https://distill.pub/2016/deconv-checkerboard/), and the last stage works at full size on the
photo beside those features: grain and edges come from the picture, strokes from the trunk.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pleinair.config import LightSpec
from pleinair.networks.blur import low_pass
from pleinair.networks.norm import InstanceNorm
from pleinair.networks.winograd import WinogradConv2d


def _conv(inputs: int, outputs: int, *, bias: bool = True) -> nn.Conv2d:
    # Zero padding: ONNX Runtime runs it inside the convolution, reflection costs a quarter more.
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


def _double(x: Tensor) -> Tensor:
    """Twice as high and wide, bilinear."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class ResidualBlock(nn.Module):
    """Convolution, instance norm, ReLU, convolution, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = WinogradConv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = InstanceNorm(channels, affine=True)
        self.second = WinogradConv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.second(F.relu(self.norm(self.first(x))))
        return x + change


class Light(nn.Module):
    """3 channels in [-1, 1], sides multiples of 4, to the same. About 0.5 M parameters."""

    def __init__(self, spec: LightSpec) -> None:
        super().__init__()
        half, full = spec.half_channels, spec.detail_channels
        self.keeps, self.doubling, self.low_pass = spec.keeps, spec.doubling, spec.low_pass
        self.half_in = _conv(3 * 4, half)
        self.quarter_in = _conv(half * 4, spec.channels, bias=False)
        self.quarter_norm = InstanceNorm(spec.channels, affine=True)
        self.blocks = nn.Sequential(*(ResidualBlock(spec.channels) for _ in range(spec.blocks)))
        self.half_out = _conv(spec.channels, half)
        self.half_detail = _conv(half, full * (4 if spec.doubling == "shuffle" else 1))
        # Two convolutions added are one over both, in a form that ONNX Runtime runs faster.
        self.full_detail = _conv(full, full)
        self.photo_detail = _conv(3, full, bias=False)
        self.full_out = _conv(full, 3)
        self.photo_out = _conv(3, 3, bias=False)
        self.encoder_channels = (3, half, spec.channels, spec.channels, spec.channels)
        self._init(spec)

    def _init(self, spec: LightSpec) -> None:
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
        for part in self.modules():
            if isinstance(part, ResidualBlock):
                # A sum of `blocks` branches keeps its variance if each starts small.
                nn.init.normal_(part.second.weight, 0.0, 0.02 / spec.blocks**0.5)
        # Start as a copy: cycles hold from the first step, and light and dark stay upright.
        with torch.no_grad():
            self.full_out.weight.mul_(0.01)
            nn.init.dirac_(self.photo_out.weight)

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            # Channels side by side: the stages of few channels and the doublings between them,
            # there and back, take a fifth to a half less time so.
            x = x.contiguous(memory_format=torch.channels_last)
        half, y = self._down(x)
        y = self.blocks(y)  # (N, channels, H/4, W/4)
        y = F.relu(self.half_out(_double(y)))
        if self.keeps != "colours":
            y = y + half
        y = F.relu(self.half_detail(y))
        # (N, detail, H, W)
        y = F.pixel_shuffle(y, 2) if self.doubling == "shuffle" else _double(y)
        base = x if self.keeps == "detail" else _double(_double(F.avg_pool2d(x, 4)))
        y = F.relu(self.full_detail(y) + self.photo_detail(base))
        out: Tensor = self.full_out(y) + self.photo_out(base)
        out = low_pass(out) if self.low_pass else out
        # A bound in training would stop the gradient of white and black; images clamp anyway.
        return out if self.training else out.clamp(-1.0, 1.0)

    def _down(self, x: Tensor) -> tuple[Tensor, Tensor]:
        half = F.relu(self.half_in(F.pixel_unshuffle(x, 2)))  # (N, half, H/2, W/2)
        return half, F.relu(self.quarter_norm(self.quarter_in(F.pixel_unshuffle(half, 2))))

    def encode(self, x: Tensor) -> list[Tensor]:
        """Maps at the encoder's depths, of `encoder_channels`, for PatchNCE."""
        half, y = self._down(x)
        first = self.blocks[0](y)
        middle = self.blocks[1 : (len(self.blocks) + 1) // 2](first)
        return [x, half, y, first, middle]
