"""PatchGAN discriminators: a map of logits, one for each overlapping patch.

Isola et al. 2017, https://arxiv.org/abs/1611.07004, section 3.2.2.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from pleinair.config import PatchSpec
from pleinair.networks.norm import InstanceNorm, init_normal


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
            stride = 2 if level < spec.layers else 1
            layers.append(nn.Conv2d(inputs, width, 4, stride=stride, padding=1, bias=spec.bias))
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
        out: Tensor = self.model(x)
        return out
