"""What PatchNCE compares by: small heads on the depths of a generator's own encoder.

Park et al. 2020, https://arxiv.org/abs/2007.15651, section 3: a two-layer perceptron of 256 units.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class PatchHeads(nn.Module):
    """A perceptron for each depth: maps (N, C, H, W) and places to (N, places, 256), length 1."""

    def __init__(self, channels: Sequence[int], features: int = 256) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(count, features), nn.ReLU(), nn.Linear(features, features))
            for count in channels
        )
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.normal_(part.weight, 0.0, 0.02)
                nn.init.zeros_(part.bias)

    def forward(self, maps: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """places: of each depth, indices into the H * W places of its map."""
        found = []
        for head, depth, chosen in zip(self.heads, maps, places, strict=True):
            rows = depth.flatten(2)[:, :, chosen].transpose(1, 2)  # (N, places, C)
            found.append(F.normalize(head(rows), dim=-1))
        return found
