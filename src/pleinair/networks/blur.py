"""Half and twice the size without aliasing: blurs that no training changes.

Zhang 2019, "Making Convolutional Networks Shift-Invariant Again",
https://arxiv.org/abs/1904.11486.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pleinair.config import DOUBLING_BLUR, HALVING_BLUR, LOW_PASS


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


def low_pass(x: Tensor) -> Tensor:
    """Pictures (N, C, H, W) without what has a period of 2 pixels along a side.

    An eye that begins with every other pixel takes such a pattern, too faint to see, for what it is
    not; a generator finds out, and paints it in place of strokes. Of the frequency f in cycles a
    pixel 1 - sin(pi f)^6 is left: nothing at 1/2, 0.88 at 1/4, and a colour as it is. What lies
    beyond the edges is what they reflect; sides are 4 pixels or more.
    """
    row = x.new_tensor(LOW_PASS) / sum(LOW_PASS)
    channels = x.shape[1]
    x = F.pad(x, (3, 3, 3, 3), mode="reflect")
    x = F.conv2d(x, row.expand(channels, 1, 1, 7), groups=channels)
    return F.conv2d(x, row[:, None].expand(channels, 1, 7, 1), groups=channels)
