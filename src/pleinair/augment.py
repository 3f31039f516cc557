"""DiffAugment: what a discriminator is shown, real and translated alike, in random variations.

Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training",
https://arxiv.org/abs/2006.10738, with weaker colour: a palette is what a painter has to learn.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_COLOUR = 0.1  # of the range [-1, 1]; the paper's 0.5 of [0, 1] would hide the palette
_SHIFT = 0.125  # of a side, as the paper
_CUTOUT = 0.25  # of a side; the paper's half leaves small crops too little


def augment(pictures: Tensor) -> Tensor:
    """Each picture (NCHW, [-1, 1]) with its own brightness, shift and hole; differentiable."""
    return _cutout(_translation(_colour(pictures)))


def _draw(like: Tensor) -> Tensor:
    # From the CPU's random state, which checkpoints keep, wherever the pictures are.
    return torch.rand(like.shape[0], 1, 1, 1).to(like.device)


def _colour(x: Tensor) -> Tensor:
    """Brightness by up to 0.1, saturation and contrast by up to 10%."""
    x = x + _COLOUR * (2.0 * _draw(x) - 1.0)
    grey = x.mean(dim=1, keepdim=True)
    x = grey + (x - grey) * (1.0 + _COLOUR * (2.0 * _draw(x) - 1.0))
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (x - mean) * (1.0 + _COLOUR * (2.0 * _draw(x) - 1.0))


def _translation(x: Tensor) -> Tensor:
    """Shifted by up to an eighth of each side; what comes in is grey."""
    count, _, height, width = x.shape
    reach_y, reach_x = round(_SHIFT * height), round(_SHIFT * width)
    padded = F.pad(x, (reach_x, reach_x, reach_y, reach_y))
    tops = torch.randint(2 * reach_y + 1, (count,)).tolist()
    lefts = torch.randint(2 * reach_x + 1, (count,)).tolist()
    shifted = [
        padded[index, :, top : top + height, left : left + width]
        for index, (top, left) in enumerate(zip(tops, lefts, strict=True))
    ]
    return torch.stack(shifted)


def _cutout(x: Tensor) -> Tensor:
    """A grey square of a quarter of the side, anywhere, partly outside too."""
    count, _, height, width = x.shape
    tall, wide = round(_CUTOUT * height), round(_CUTOUT * width)
    mask = torch.ones(count, 1, height, width, device=x.device)
    tops = torch.randint(height + 1, (count,)).tolist()
    lefts = torch.randint(width + 1, (count,)).tolist()
    for index, (middle_y, middle_x) in enumerate(zip(tops, lefts, strict=True)):
        top, left = max(0, middle_y - tall // 2), max(0, middle_x - wide // 2)
        mask[index, :, top : middle_y - tall // 2 + tall, left : middle_x - wide // 2 + wide] = 0.0
    return x * mask
