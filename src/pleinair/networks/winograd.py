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
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and weight.shape[0] >= 32
        and weight.shape[1] >= 32
        and x.shape[-1] * x.shape[-2] >= 256
    )


class WinogradConv2d(nn.Conv2d):
    """A 3x3 convolution of stride 1, by tiles where that pays and a gradient is wanted.

    Parameters, their names and results are those of `nn.Conv2d`. Without gradients the plain
    operator runs, which is also what an exported graph gets.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled() or torch.compiler.is_exporting() or not pays(x, self.weight):
            return super().forward(x)
        bias = self.bias if self.bias is not None else x.new_zeros(self.out_channels)
        top, left = self.padding if isinstance(self.padding, tuple) else (0, 0)
        out: Tensor = _Winograd.apply(F.pad(x, (left, left, top, top)), self.weight)  # type: ignore[no-untyped-call]
        return out + bias[:, None, None] if self.bias is not None else out


class _Winograd(torch.autograd.Function):
    """(N, C, H, W) and (K, C, 3, 3) to (N, K, H - 2, W - 2)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolve(x, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        gradient = gradients[0]
        for_x = for_weight = None
        if ctx.needs_input_grad[0]:
            # A full correlation with the kernel turned round.
            turned = weight.flip(2, 3).transpose(0, 1)
            for_x = _convolve(F.pad(gradient, (2, 2, 2, 2)), turned)
        if ctx.needs_input_grad[1]:
            for_weight = _weight_gradient(x, gradient)
        return for_x, for_weight


def _tiles(x: Tensor, rows: int, columns: int) -> Tensor:
    """(N, C, 4 rows + 2, 4 columns + 2) as overlapping 6x6: (36, C * N * rows * columns)."""
    count, channels, _, _ = x.shape
    s = x.stride()
    view = x.as_strided(
        (6, 6, channels, count, rows, columns),
        (s[2], s[3], s[1], s[0], _TILE * s[2], _TILE * s[3]),
    )
    return view.reshape(36, channels * count * rows * columns)


def _filled(x: Tensor, rows: int, columns: int, more: int) -> Tensor:
    """Zeros below and to the right, up to whole tiles."""
    below = _TILE * rows + more - x.shape[2]
    right = _TILE * columns + more - x.shape[3]
    return F.pad(x, (0, right, 0, below)) if below or right else x.contiguous()


def _convolve(x: Tensor, weight: Tensor) -> Tensor:
    count, channels, height, width = x.shape
    outputs = weight.shape[0]
    rows, columns = -(-(height - 2) // _TILE), -(-(width - 2) // _TILE)
    into, kernel, out_of = _transforms()
    places = count * rows * columns
    tiles = (into @ _tiles(_filled(x, rows, columns, 2), rows, columns)).view(36, channels, places)
    kernels = (kernel @ weight.reshape(outputs * channels, 9).T).view(36, outputs, channels)
    products = torch.bmm(kernels, tiles).view(36, outputs * places)
    result = (out_of @ products).view(_TILE, _TILE, outputs, count, rows, columns)
    result = result.permute(3, 2, 4, 0, 5, 1)
    result = result.reshape(count, outputs, _TILE * rows, _TILE * columns)
    return result[:, :, : height - 2, : width - 2]


def _weight_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """The transforms transposed: of output tiles, of products, of kernels."""
    count, channels, height, width = x.shape
    outputs = gradient.shape[1]
    rows, columns = -(-(height - 2) // _TILE), -(-(width - 2) // _TILE)
    into, kernel, out_of = _transforms()
    places = count * rows * columns
    tiles = (into @ _tiles(_filled(x, rows, columns, 2), rows, columns)).view(36, channels, places)
    grid = _filled(gradient, rows, columns, 0).view(count, outputs, rows, _TILE, columns, _TILE)
    grid = grid.permute(3, 5, 1, 0, 2, 4).reshape(_TILE * _TILE, outputs * places)
    products = (out_of.T @ grid).view(36, outputs, places)
    kernels = torch.bmm(products, tiles.transpose(1, 2)).view(36, outputs * channels)
    return (kernel.T @ kernels).T.reshape(outputs, channels, 3, 3)
