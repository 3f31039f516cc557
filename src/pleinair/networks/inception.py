"""Inception v3 as published scores use it: FID's own network of 2015, frozen.

Szegedy et al. 2015, https://arxiv.org/abs/1512.00567, in the version that Heusel et al. 2017 took,
https://arxiv.org/abs/1706.08500: TensorFlow's weights of 2015-12-05, its average pools, which leave
padding out, and its resizing. What torch-fidelity and pytorch-fid call "inception-v3-compat".
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pleinair.errors import DataError

SIDE = 299  # pixels
FEATURES = 2048
_EPSILON = 1e-3  # of the batch norms

# Convolutions and pools of each branch in turn; "/2" has stride 2, a pair splits in two.
Step = str | tuple[str, str]
Branches = tuple[tuple[Step, ...], ...]
_A: Branches = (
    ("branch1x1",),
    ("branch5x5_1", "branch5x5_2"),
    ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
    ("average", "branch_pool"),
)
_B: Branches = (
    ("branch3x3/2",),
    ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3/2"),
    ("maximum/2",),
)
_C: Branches = (
    ("branch1x1",),
    ("branch7x7_1", "branch7x7_2", "branch7x7_3"),
    tuple(f"branch7x7dbl_{number}" for number in range(1, 6)),
    ("average", "branch_pool"),
)
_D: Branches = (
    ("branch3x3_1", "branch3x3_2/2"),
    ("branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3", "branch7x7x3_4/2"),
    ("maximum/2",),
)
_FORKED: Branches = (
    ("branch1x1",),
    ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b")),
    ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b")),
)
_BLOCKS: dict[str, Branches] = {
    **dict.fromkeys(("Mixed_5b", "Mixed_5c", "Mixed_5d"), _A),
    "Mixed_6a": _B,
    **dict.fromkeys(("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"), _C),
    "Mixed_7a": _D,
    "Mixed_7b": (*_FORKED, ("average", "branch_pool")),
    "Mixed_7c": (*_FORKED, ("maximum", "branch_pool")),
}
_STEM = (
    "Conv2d_1a_3x3/2",
    "Conv2d_2a_3x3/valid",
    "Conv2d_2b_3x3",
    "maximum/2",
    "Conv2d_3b_1x1",
    "Conv2d_4a_3x3/valid",
    "maximum/2",
)


class Inception(nn.Module):
    """Levels of 0 to 255, (N, 3, H, W), to the features (N, 2048) behind FID.

    state: tensors under the names of torchvision's Inception v3, as the published file has them.
    Raises DataError where one is missing.
    """

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        names = [name for name in _STEM if not name.startswith("maximum")]
        for block, branches in _BLOCKS.items():
            for step in (step for branch in branches for step in branch):
                parts = step if isinstance(step, tuple) else (step,)
                names += [f"{block}.{part}" for part in parts if part not in _POOLS]
        try:
            for name in names:
                self._fold(state, name.split("/")[0])
        except KeyError as error:
            raise DataError(
                f"these are no weights of Inception v3 ({error} is missing); give "
                "pt_inception-2015-12-05-6726825d.pth."
            ) from error

    def forward(self, x: Tensor) -> Tensor:
        x = (resize(x, SIDE) - 128) / 128
        x = x.contiguous(memory_format=torch.channels_last)
        for step in _STEM:
            x = self._step(x, "", step)
        for block, branches in _BLOCKS.items():
            x = torch.cat([self._branch(x, f"{block}.", branch) for branch in branches], dim=1)
        return x.mean(dim=(2, 3))

    def _fold(self, state: dict[str, Tensor], name: str) -> None:
        norm = f"{name}.bn"
        scale = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + _EPSILON)
        weight = state[f"{name}.conv.weight"] * scale[:, None, None, None]
        bias = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
        for part, value in ("weight", weight), ("bias", bias):
            self.register_buffer(_buffer(name, part), value, persistent=False)

    def _branch(self, x: Tensor, block: str, steps: tuple[Step, ...]) -> Tensor:
        for step in steps:
            if isinstance(step, tuple):
                x = torch.cat([self._step(x, block, one) for one in step], dim=1)
            else:
                x = self._step(x, block, step)
        return x

    def _step(self, x: Tensor, block: str, step: str) -> Tensor:
        if step == "average":
            return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        if step == "maximum":
            return F.max_pool2d(x, 3, stride=1, padding=1)
        if step == "maximum/2":
            return F.max_pool2d(x, 3, stride=2)
        name, _, kind = step.partition("/")
        weight = self.get_buffer(_buffer(block + name, "weight"))
        bias = self.get_buffer(_buffer(block + name, "bias"))
        padding = (0, 0) if kind else (weight.shape[2] // 2, weight.shape[3] // 2)
        stride = 2 if kind == "2" else 1
        return F.relu(F.conv2d(x, weight, bias, stride, padding), inplace=True)


_POOLS = frozenset(["average", "maximum", "maximum/2"])


def resize(x: Tensor, side: int) -> Tensor:
    """(N, C, H, W) to (N, C, side, side) as TensorFlow 1 did it: bilinear, from corner to corner.

    A pixel's place is its number times the ratio of the sides, without the half pixel that others
    add, and nothing is smoothed where a picture shrinks. Scores of the field stand on it.
    """
    for axis in (2, 3):
        length = x.shape[axis]
        place = torch.arange(side, dtype=torch.float32, device=x.device)
        place = place * torch.tensor(length / side, dtype=torch.float32)
        low = place.floor()
        share = place - low
        low_at = low.long()
        high_at = (low_at + 1).clamp(max=length - 1)
        shape = (-1, 1) if axis == 2 else (-1,)
        below, above = x.index_select(axis, low_at), x.index_select(axis, high_at)
        x = below + (above - below) * share.reshape(shape)
    return x


def _buffer(name: str, part: str) -> str:
    return f"{name}_{part}".replace(".", "_")
