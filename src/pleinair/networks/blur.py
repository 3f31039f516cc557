"""Half and twice the size without aliasing: blurs that no training changes.

Zhang 2019, "Making Convolutional Networks Shift-Invariant Again",
https://arxiv.org/abs/1904.11486.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pleinair.config import DOUBLING_BLUR, HALVING_BLUR


class Blur(nn.Module):
    """A binomial blur of stride 2, of as many pixels as `row` has numbers, 3 or 4.

    (N, C, H, W) to (N, C, H / 2, W / 2) for even sides; pad: what lies beyond the edges.
    """

    def __init__(
        self, row: tuple[float, ...], pad: Literal["replicate", "reflect"] = "replicate"
    ) -> None:
        super().__init__()
        self.pad = pad
        self.register_buffer("kernel", _kernel(row), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        channels, kernel = x.shape[1], self.get_buffer("kernel")
        kernel = kernel.expand(channels, 1, *kernel.shape)
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode=self.pad), kernel, stride=2, groups=channels)


class BlurDown(Blur):
    """CUT's halving: 3x3, edges reflected."""

    def __init__(self) -> None:
        super().__init__(HALVING_BLUR, "reflect")


class BlurUp(nn.Module):
    """CUT's doubling: zeros between pixels, then a blur of 4x4. (N, C, H, W) to (N, C, 2H, 2W)."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", 4.0 * _kernel(DOUBLING_BLUR), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        channels, kernel = x.shape[1], self.get_buffer("kernel")
        kernel = kernel.expand(channels, 1, *kernel.shape)
        x = F.pad(x, (1, 1, 1, 1), mode="replicate")
        return F.conv_transpose2d(x, kernel, stride=2, padding=3, groups=channels)


def _kernel(row: tuple[float, ...]) -> Tensor:
    line = torch.tensor(row) / sum(row)
    return torch.outer(line, line)
