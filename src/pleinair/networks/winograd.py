"""3x3 convolutions by Winograd's minimal filtering: four times fewer multiplications on a CPU.

Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks",
https://arxiv.org/abs/1509.09308, F(4x4, 3x3): an output tile of 4x4 pixels costs 36 products for
each pair of channels instead of 144. The products become 36 matrix products, which a CPU does at
its full rate. Results are those of `torch.nn.functional.conv2d` to float32 rounding, some 1e-5
relative; the gradients too, in the same way.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_TILE = 4

# Points 0, 1, -1, 2, -2 and infinity; rows as in section 4.2 of the paper.
_INPUT = (
    (4.0, 0.0, -5.0, 0.0, 1.0, 0.0),
    (0.0, -4.0, -4.0, 1.0, 1.0, 0.0),
    (0.0, 4.0, -4.0, -1.0, 1.0, 0.0),
    (0.0, -2.0, -1.0, 2.0, 1.0, 0.0),
    (0.0, 2.0, -1.0, -2.0, 1.0, 0.0),
    (0.0, 4.0, 0.0, -5.0, 0.0, 1.0),
)
_KERNEL = (
    (1 / 4, 0.0, 0.0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0.0, 0.0, 1.0),
)
_OUTPUT = (
    (1.0, 1.0, 1.0, 1.0, 1.0, 0.0),
    (0.0, 1.0, -1.0, 2.0, -2.0, 0.0),
    (0.0, 1.0, 1.0, 4.0, 4.0, 0.0),
    (0.0, 1.0, -1.0, 8.0, -8.0, 1.0),
)


@cache
def _transforms() -> tuple[Tensor, Tensor, Tensor]:
    """Both directions of each transform at once: (36, 36), (36, 9) and (16, 36)."""
    with torch.inference_mode(mode=False):
        tables = (torch.tensor(table) for table in (_INPUT, _KERNEL, _OUTPUT))
        first, second, third = (torch.kron(t, t).contiguous() for t in tables)
        return first, second, third


def pays(x: Tensor, weight: Tensor) -> bool:
    """Whether the way round through tiles is the faster one here, by what was measured."""
    fewest = min(weight.shape[:2])
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        # Fewer channels or places leave the products too little work beside the transforms.
        and fewest >= 64
        and fewest * x.shape[-1] * x.shape[-2] >= 2**15
    )


class WinogradConv2d(nn.Conv2d):
    """A 3x3 convolution of stride 1, by tiles where that pays and a gradient is wanted.

    Parameters, their names and results are those of `nn.Conv2d`. Without gradients the plain
    operator runs, which is also what an exported graph gets. Gradients cannot be differentiated
    once more.
    """

    _kernels: tuple[Tensor, Tensor] | None = None  # the weight of then, and what became of it

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled() or not pays(x, self.weight):
            return super().forward(x)
        # Once for all passes of a step. Not by the weight's version, which the optimiser that
        # updates all weights in one call leaves as it was.
        if self._kernels is None or not torch.equal(self._kernels[0], self.weight):
            weight = self.weight.detach().clone()
            self._kernels = weight, _transformed(weight)
        out: Tensor = _Winograd.apply(  # type: ignore[no-untyped-call]
            x, self.weight, self.bias, self.padding[0], self._kernels[1]
        )
        return out


class _Winograd(torch.autograd.Function):
    """(N, C, H, W) and (K, C, 3, 3) to (N, K, H + 2 padding - 2, W + 2 padding - 2).

    Inside, channels lie next to each other: tiles are then runs of memory. The way back is each
    linear step of the way there transposed, in reverse order.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, _weight: Tensor, bias: Tensor | None, padding: int, kernels: Tensor
    ) -> Tensor:
        tiles = _tiles(x, padding)
        out = _joined(torch.bmm(tiles, kernels), x.shape, padding)
        if bias is not None:
            out.add_(bias[:, None, None])
        ctx.save_for_backward(tiles)
        ctx.padding, ctx.kernels, ctx.shape = padding, kernels, x.shape
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (tiles,) = ctx.saved_tensors
        for_x = for_weight = for_bias = None
        products = _parted(gradient)
        if ctx.needs_input_grad[0]:
            of_tiles = torch.bmm(products, ctx.kernels.transpose(1, 2))
            for_x = _overlaid(of_tiles, ctx.shape, ctx.padding)
        if ctx.needs_input_grad[1]:
            for_weight = _untransformed(torch.bmm(tiles.transpose(1, 2), products))
        if ctx.needs_input_grad[2]:
            for_bias = gradient.sum(dim=(0, 2, 3))
        return for_x, for_weight, for_bias, None, None


def _counts(shape: torch.Size, padding: int) -> tuple[int, int]:
    """Rows and columns of output tiles."""
    rows, columns = (-(-(side + 2 * padding - 2) // _TILE) for side in shape[2:])
    return rows, columns


def _transformed(weight: Tensor) -> Tensor:
    """(K, C, 3, 3) to (36, C, K)."""
    outputs, inputs = weight.shape[:2]
    taps = weight.permute(2, 3, 1, 0).reshape(9, inputs * outputs)
    return (_transforms()[1] @ taps).view(36, inputs, outputs)


def _untransformed(kernels: Tensor) -> Tensor:
    """`_transformed` transposed: (36, C, K) to (K, C, 3, 3)."""
    inputs, outputs = kernels.shape[1:]
    taps = (_transforms()[1].T @ kernels.view(36, -1)).view(3, 3, inputs, outputs)
    return taps.permute(3, 2, 0, 1).contiguous()


def _tiles(x: Tensor, padding: int) -> Tensor:
    """(N, C, H, W) to overlapping 6x6 tiles, transformed: (36, places, C)."""
    count, channels, height, width = x.shape
    rows, columns = _counts(x.shape, padding)
    below = _TILE * rows + 2 - height - padding
    right = _TILE * columns + 2 - width - padding
    if padding or below or right:
        x = F.pad(x, (padding, right, padding, below))
    s = x.stride()
    view = x.as_strided(
        (6, 6, count, rows, columns, channels),
        (s[2], s[3], s[0], _TILE * s[2], _TILE * s[3], s[1]),
    )
    return (_transforms()[0] @ view.reshape(36, -1)).view(36, count * rows * columns, channels)


def _overlaid(tiles: Tensor, shape: torch.Size, padding: int) -> Tensor:
    """`_tiles` transposed: tiles are laid over each other and added, to (N, C, H, W)."""
    count, channels, height, width = shape
    rows, columns = _counts(shape, padding)
    parts = (_transforms()[0].T @ tiles.view(36, -1)).view(6, 6, count, rows, columns, channels)
    parts = parts.permute(2, 3, 0, 4, 1, 5)  # (N, rows, 6, columns, 6, C)
    # A tile's last two rows and columns lie on the first two of the next.
    x = parts.new_empty(count, rows + 1, _TILE, columns + 1, _TILE, channels)
    x[:, -1:] = 0.0
    x[:, :, :, -1:] = 0.0
    x[:, :-1, :, :-1] = parts[:, :, :_TILE, :, :_TILE]
    x[:, 1:, :2, :-1] += parts[:, :, _TILE:, :, :_TILE]
    x[:, :-1, :, 1:, :2] += parts[:, :, :_TILE, :, _TILE:]
    x[:, 1:, :2, 1:, :2] += parts[:, :, _TILE:, :, _TILE:]
    x = x.view(count, _TILE * (rows + 1), _TILE * (columns + 1), channels)
    x = x[:, padding : padding + height, padding : padding + width]
    return x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def _joined(products: Tensor, shape: torch.Size, padding: int) -> Tensor:
    """Products (36, places, K) brought back to (N, K, H + 2 padding - 2, W + 2 padding - 2)."""
    count, outputs = shape[0], products.shape[2]
    rows, columns = _counts(shape, padding)
    results = (_transforms()[2] @ products.view(36, -1)).view(4, 4, count, rows, columns, outputs)
    results = results.permute(2, 3, 0, 4, 1, 5)
    results = results.reshape(count, _TILE * rows, _TILE * columns, outputs)
    height, width = (side + 2 * padding - 2 for side in shape[2:])
    return results[:, :height, :width].permute(0, 3, 1, 2)


def _parted(gradient: Tensor) -> Tensor:
    """`_joined` transposed: (N, K, h, w) to (36, places, K)."""
    count, outputs, height, width = gradient.shape
    rows, columns = -(-height // _TILE), -(-width // _TILE)
    below, right = _TILE * rows - height, _TILE * columns - width
    if below or right:
        gradient = F.pad(gradient, (0, right, 0, below))
    grid = gradient.permute(0, 2, 3, 1).reshape(count, rows, _TILE, columns, _TILE, outputs)
    grid = grid.permute(2, 4, 0, 1, 3, 5).reshape(16, -1)
    return (_transforms()[2].T @ grid).view(36, -1, outputs)
