"""DiffAugment: what a discriminator is shown, real and translated alike, in random variations.

Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training",
https://arxiv.org/abs/2006.10738, with weaker colour: a palette is what a painter has to learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_COLOUR = 0.1  # of the range [-1, 1]; the paper's 0.5 of [0, 1] would hide the palette
_SHIFT = 0.125  # of a side, as the paper
_CUTOUT = 0.25  # of a side; the paper's half leaves small crops too little


@dataclass(frozen=True)
class Variation:
    """How each picture of a batch is varied, as drawn from the CPU's random state."""

    colours: Tensor  # (N, 3) in [0, 1): brightness, saturation, contrast
    corners: Tensor  # (N, 4), pixels: top and left of the shift, middle of the hole

    @classmethod
    def draw(cls, count: int, height: int, width: int) -> Variation:
        """Of `count` pictures. The CPU's random state is what checkpoints keep, on any device."""
        colours = [torch.rand(count, 1, 1, 1).flatten() for _ in range(3)]
        reach_y, reach_x = _reach(height, width)
        ends = (2 * reach_y + 1, 2 * reach_x + 1, height + 1, width + 1)
        corners = [torch.randint(end, (count,)) for end in ends]
        return cls(torch.stack(colours, 1), torch.stack(corners, 1))

    def __getitem__(self, rows: slice) -> Variation:
        return Variation(self.colours[rows], self.corners[rows])


def augment(pictures: Tensor, variation: Variation) -> Tensor:
    """Each picture (NCHW, [-1, 1]) with its own brightness, shift and hole; differentiable."""
    return _cutout(_translation(_colour(pictures, variation), variation), variation)


def _reach(height: int, width: int) -> tuple[int, int]:
    return round(_SHIFT * height), round(_SHIFT * width)


def _colour(x: Tensor, variation: Variation) -> Tensor:
    """Brightness by up to 0.1, saturation and contrast by up to 10%."""
    draws = variation.colours.T.reshape(3, -1, 1, 1, 1).to(x.device)
    x = x + _COLOUR * (2.0 * draws[0] - 1.0)
    grey = x.mean(dim=1, keepdim=True)
    x = grey + (x - grey) * (1.0 + _COLOUR * (2.0 * draws[1] - 1.0))
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (x - mean) * (1.0 + _COLOUR * (2.0 * draws[2] - 1.0))


def _translation(x: Tensor, variation: Variation) -> Tensor:
    """Shifted by up to an eighth of each side; what comes in is grey."""
    height, width = x.shape[-2:]
    reach_y, reach_x = _reach(height, width)
    padded = F.pad(x, (reach_x, reach_x, reach_y, reach_y))
    shifted = [
        padded[index, :, top : top + height, left : left + width]
        for index, (top, left) in enumerate(variation.corners[:, :2].tolist())
    ]
    return torch.stack(shifted)


def _cutout(x: Tensor, variation: Variation) -> Tensor:
    """A grey square of a quarter of the side, anywhere, partly outside too."""
    count, _, height, width = x.shape
    tall, wide = round(_CUTOUT * height), round(_CUTOUT * width)
    mask = torch.ones(count, 1, height, width, device=x.device)
    for index, (middle_y, middle_x) in enumerate(variation.corners[:, 2:].tolist()):
        top, left = max(0, middle_y - tall // 2), max(0, middle_x - wide // 2)
        mask[index, :, top : middle_y - tall // 2 + tall, left : middle_x - wide // 2 + wide] = 0.0
    return x * mask
