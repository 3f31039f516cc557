"""Instance norm that is defined on a single pixel too."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class InstanceNorm(nn.Module):
    """(x - mean) / sqrt(variance + epsilon) * weight + bias over each channel of each picture.

    Shapes: NCHW in and out. Ulyanov et al. 2016, https://arxiv.org/abs/1607.08022.

    The U-Net's innermost norm sees 1x1 pixels at 256: the variance is 0 and the result is the
    bias, which Keras returns and `nn.InstanceNorm2d` refuses in training. The operator behind
    `nn.InstanceNorm2d` has no such check, and exports to ONNX as one node.
    """

    def __init__(self, channels: int, *, affine: bool, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() and _lies_by_place(x):
            # Of a single picture it is a batch norm, which knows this layout.
            ones = [self._of_one(one) for one in torch.split(x, 1)]
            return ones[0] if len(ones) == 1 else torch.cat(ones)
        return torch.instance_norm(
            x, self.weight, self.bias, None, None, True, 0.0, self.epsilon, False
        )

    def _of_one(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.epsilon)


def _lies_by_place(x: Tensor) -> bool:
    """Whether the channels of a place lie side by side (NHWC in memory), and places are several."""
    by_place = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return by_place and x.shape[2] * x.shape[3] > 1


def init_normal(module: nn.Module, deviation: float = 0.02) -> None:
    """Draw every convolution's weights from N(0, deviation) and set its bias to 0.

    As published: https://arxiv.org/abs/1703.10593, section 7.1.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, 0.0, deviation)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
