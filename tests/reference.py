"""The generators of pytorch-CycleGAN-and-pix2pix and of CUT, built anew from their description.

Layer order, names and defaults as published; nothing here is shared with `pleinair.networks`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def norm_of(kind: str, channels: int) -> nn.Module:
    """instance, as both projects use it; old: with running statistics, as before PyTorch 0.4."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    return nn.InstanceNorm2d(channels, affine=False, track_running_stats=kind == "old")


class BlurPool(nn.Module):
    """CUT's halving: a binomial 3x3 kernel at every other pixel, edges reflected."""

    def __init__(self, channels):
        super().__init__()
        row = torch.tensor([1.0, 2.0, 1.0])
        kernel = torch.outer(row, row) / 16
        self.register_buffer("filt", kernel.expand(channels, 1, 3, 3).clone())

    def forward(self, x):
        return F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), self.filt, stride=2, groups=x.shape[1])


class BlurDouble(nn.Module):
    """CUT's doubling: edges repeated, a binomial 4x4 kernel transposed, a row and column cut."""

    def __init__(self, channels):
        super().__init__()
        row = torch.tensor([1.0, 3.0, 3.0, 1.0])
        kernel = torch.outer(row, row) / 64 * 4
        self.register_buffer("filt", kernel.expand(channels, 1, 4, 4).clone())

    def forward(self, x):
        x = F.pad(x, (1, 1, 1, 1), "replicate")
        out = F.conv_transpose2d(x, self.filt, stride=2, padding=2, groups=x.shape[1])
        return out[:, :, 1:, 1:][:, :, :-1, :-1]


class Block(nn.Module):
    def __init__(self, width, norm, dropout, bias):
        super().__init__()
        layers = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3, bias=bias)]
        layers += [norm_of(norm, width), nn.ReLU(True)]
        layers += [nn.Dropout(0.5)] if dropout else []
        layers += [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3, bias=bias)]
        self.conv_block = nn.Sequential(*layers, norm_of(norm, width))

    def forward(self, x):
        return x + self.conv_block(x)


class ResnetGenerator(nn.Module):
    def __init__(
        self, width=4, blocks=2, norm="instance", dropout=False, down=False, up=False, rgb=(3, 3)
    ):
        super().__init__()
        bias = norm != "batch"
        layers = [nn.ReflectionPad2d(3), nn.Conv2d(rgb[0], width, 7, bias=bias)]
        layers += [norm_of(norm, width), nn.ReLU(True)]
        for inputs, outputs in ((width, 2 * width), (2 * width, 4 * width)):
            stride = 1 if down else 2
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=bias)]
            layers += [norm_of(norm, outputs), nn.ReLU(True)]
            layers += [BlurPool(outputs)] if down else []
        layers += [Block(4 * width, norm, dropout, bias) for _ in range(blocks)]
        for inputs, outputs in ((4 * width, 2 * width), (2 * width, width)):
            if up:
                layers += [BlurDouble(inputs), nn.Conv2d(inputs, outputs, 3, 1, 1, bias=bias)]
            else:
                layers += [nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, 1, bias=bias)]
            layers += [norm_of(norm, outputs), nn.ReLU(True)]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, rgb[1], 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        return self.model(x)


class UnetBlock(nn.Module):
    def __init__(self, outer, inner, inside, norm, dropout=False, place="middle", inputs=None):
        super().__init__()
        bias = norm != "batch"
        self.outermost = place == "outermost"
        down = nn.Conv2d(inputs or outer, inner, 4, 2, 1, bias=bias)
        twice = inner if place == "innermost" else 2 * inner
        up = nn.ConvTranspose2d(twice, outer, 4, 2, 1, bias=self.outermost or bias)
        if place == "outermost":
            layers = [down, inside, nn.ReLU(True), up, nn.Tanh()]
        elif place == "innermost":
            layers = [nn.LeakyReLU(0.2, True), down, nn.ReLU(True), up, norm_of(norm, outer)]
        else:
            layers = [nn.LeakyReLU(0.2, True), down, norm_of(norm, inner), inside]
            layers += [nn.ReLU(True), up, norm_of(norm, outer)]
            layers += [nn.Dropout(0.5)] if dropout else []
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


class UnetGenerator(nn.Module):
    def __init__(self, width=4, depth=5, norm="instance", dropout=False, rgb=(3, 3)):
        super().__init__()
        block = UnetBlock(8 * width, 8 * width, None, norm, place="innermost")
        for _ in range(depth - 5):
            block = UnetBlock(8 * width, 8 * width, block, norm, dropout)
        for times in (4, 2, 1):
            block = UnetBlock(times * width, 2 * times * width, block, norm)
        self.model = UnetBlock(rgb[1], width, block, norm, place="outermost", inputs=rgb[0])

    def forward(self, x):
        return self.model(x)


class Discriminator(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        layers = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
        layers += [nn.Conv2d(width, 2 * width, 4, 2, 1), nn.InstanceNorm2d(2 * width)]
        self.model = nn.Sequential(*layers, nn.LeakyReLU(0.2, True), nn.Conv2d(2 * width, 1, 4))


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """Every weight drawn anew, biases and scales too, so that none can be left out unnoticed."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if value.ndim > 1:
                nn.init.normal_(value, 0, 1.4 / value[0].numel() ** 0.5)
            else:
                nn.init.normal_(value, float(name.endswith("weight")), 0.3)
        for name, value in network.named_buffers():
            if "running" in name:
                nn.init.uniform_(value, 0.5, 2.0)
    return network


@torch.no_grad()
def painted(network: nn.Module, photo) -> torch.Tensor:
    """What a network makes of a picture by the picture's own statistics, as at test time."""
    for part in network.modules():
        own = isinstance(part, nn.BatchNorm2d | nn.InstanceNorm2d)
        part.training = own and not getattr(part, "track_running_stats", False)
        if isinstance(part, nn.BatchNorm2d):
            part.training = True
        if isinstance(part, nn.InstanceNorm2d):
            part.track_running_stats = False
            part.running_mean = part.running_var = None
    return network(torch.from_numpy(photo)).numpy()
