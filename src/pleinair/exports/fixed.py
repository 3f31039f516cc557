"""What converters for phones need: networks in other layers or layouts that compute the same.

Their converters stumble over two of PyTorch's layers: the instance norm, which they take for a
batch norm of many batches, and a transposed convolution whose output is padded.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pleinair.networks.norm import InstanceNorm


class ChannelsLast(nn.Module):
    """float32 (1, H, W, 3) in [-1, 1] to the same."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, photo: Tensor) -> Tensor:
        out: Tensor = self.network(photo.permute(0, 3, 1, 2))
        return out.permute(0, 2, 3, 1)


class Levels(nn.Module):
    """[-1, 1] (1, 3, H, W) to levels of 0 to 255."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, photo: Tensor) -> Tensor:
        out: Tensor = self.network(photo)
        return (out.clamp(-1.0, 1.0) + 1.0) * 127.5


class _Norm(nn.Module):
    """An instance norm in means and products."""

    def __init__(self, norm: InstanceNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.epsilon = norm.weight, norm.bias, norm.epsilon

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean((2, 3), keepdim=True)
        variance = (centred * centred).mean((2, 3), keepdim=True)
        x = centred * torch.rsqrt(variance + self.epsilon)
        if self.weight is not None and self.bias is not None:
            x = x * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return x


def plainly(network: nn.Module) -> nn.Module:
    """Change a network in place and return it: the same numbers by layers that converters know."""
    for name, part in network.named_children():
        if isinstance(part, InstanceNorm):
            setattr(network, name, _Norm(part))
        elif isinstance(part, nn.ConvTranspose2d) and part.output_padding != (0, 0):
            setattr(network, name, _wider(part))
        else:
            plainly(part)
    return network


def _wider(layer: nn.ConvTranspose2d) -> nn.ConvTranspose2d:
    """The same layer by a kernel with a row and a column of zeros, in place of padding."""
    kernel = F.pad(layer.weight.detach(), (0, 1, 0, 1))
    wide = nn.ConvTranspose2d(
        layer.in_channels, layer.out_channels, 4, stride=2, padding=1, bias=layer.bias is not None
    )
    with torch.no_grad():
        wide.weight.copy_(kernel)
        if wide.bias is not None and layer.bias is not None:
            wide.bias.copy_(layer.bias)
    return wide


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Bars, advice and accounts of a converter are no talk of ours."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
