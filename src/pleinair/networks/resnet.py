"""The paper's generator, with the published key names and order of weights.

Zhu et al. 2017, https://arxiv.org/abs/1703.10593, section 7.2; Johnson et al. 2016.
"""

from __future__ import annotations

from torch import Tensor, nn

from pleinair.config import ResNetSpec
from pleinair.networks.blur import BlurDown, BlurUp
from pleinair.networks.norm import InstanceNorm, init_normal
from pleinair.networks.winograd import WinogradConv2d


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with reflection padding and instance norm, added to the input."""

    def __init__(self, channels: int, spec: ResNetSpec) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            WinogradConv2d(channels, channels, 3),
            InstanceNorm(channels, affine=spec.affine),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            WinogradConv2d(channels, channels, 3),
            InstanceNorm(channels, affine=spec.affine),
        )

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.conv_block(x)
        return x + change


class ResNet(nn.Module):
    """3 channels in [-1, 1], sides multiples of 4, to the same. 11,378,179 parameters."""

    def __init__(self, spec: ResNetSpec) -> None:
        super().__init__()
        width = spec.channels
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7)]
        layers += _normed(width, spec)
        for inputs, outputs in ((width, 2 * width), (2 * width, 4 * width)):
            stride = 1 if spec.blur_down else 2
            layers.append(nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1))
            layers += _normed(outputs, spec)
            layers += [BlurDown()] if spec.blur_down else []
        quarter = len(layers) - 1  # the last layer of the way down
        layers += [ResidualBlock(4 * width, spec) for _ in range(spec.blocks)]
        for inputs, outputs in ((4 * width, 2 * width), (2 * width, width)):
            layers += _doubling(inputs, outputs, spec)
            layers += _normed(outputs, spec)
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)
        # Pixels, both halvings, the first block and the fifth (or the last), as CUT has them.
        blur = int(spec.blur_down)
        self.depths = (0, 4, 7 + blur, quarter + 1, quarter + min(5, spec.blocks))
        self.encoder_channels = (3, 2 * width, 4 * width, 4 * width, 4 * width)
        init_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.model(x)
        return out

    def encode(self, x: Tensor) -> list[Tensor]:
        """Maps at the encoder's depths, of `encoder_channels`, for PatchNCE."""
        found = []
        for index, layer in enumerate(self.model):
            x = layer(x)
            found += [x] * self.depths.count(index)
            if index == self.depths[-1]:
                break
        return found


def _normed(width: int, spec: ResNetSpec) -> list[nn.Module]:
    return [InstanceNorm(width, affine=spec.affine), nn.ReLU(inplace=True)]


def _doubling(inputs: int, outputs: int, spec: ResNetSpec) -> list[nn.Module]:
    if spec.blur_up:
        return [BlurUp(), nn.Conv2d(inputs, outputs, 3, padding=1)]
    return [nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)]
