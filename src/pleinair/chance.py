"""What is random in a step, drawn for the whole batch at once, in however many parts it is made."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol, Self, TypeVar, cast, final

import torch
from torch import Tensor

from pleinair.augment import Variation


class _Rows(Protocol):
    """What a batch has of each picture, as a tensor has it."""

    def __getitem__(self, rows: slice, /) -> Self: ...


Drawn = TypeVar("Drawn")
Each = TypeVar("Each", bound=_Rows)


@final
class Chance:
    """The random numbers of one step, from torch's global state.

    What each picture has of its own is drawn for the whole batch when the first part asks, and
    every part takes its rows; what a batch has once is the same in all parts. So a step in parts
    draws the numbers of one large batch, in the same order.
    """

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self._part = 0
        self._drawn: dict[str, Any] = {}

    def turns(self, count: int) -> Iterator[slice]:
        """The rows of each part in its turn, `count` pictures at a time."""
        for part in range(self.parts):
            self._part = part
            yield self._rows(count)

    @property
    def is_first(self) -> bool:
        """Whether it is the first part's turn."""
        return self._part == 0

    def once(self, name: str, draw: Callable[[], Drawn]) -> Drawn:
        """What a batch has once, under a name of its own."""
        if name not in self._drawn:
            self._drawn[name] = draw()
        return cast(Drawn, self._drawn[name])

    def each(self, name: str, count: int, draw: Callable[[int], Each]) -> Each:
        """What each of `count` pictures has of its own; `draw` is told how many a batch has."""
        return self.once(name, lambda: draw(self.parts * count))[self._rows(count)]

    def _rows(self, count: int) -> slice:
        return slice(self._part * count, (self._part + 1) * count)

    # --- what steps draw ----------------------------------------------------------------------

    def noise(self, name: str, like: Tensor) -> Tensor:
        """Normal noise of deviation 1 in the shape of a part's pictures."""

        def draw(count: int) -> Tensor:
            # Not randn_like: drawing in another order of memory takes ten times as long.
            return torch.randn((count, *like.shape[1:]), device=like.device, dtype=like.dtype)

        return self.each(name, like.shape[0], draw)

    def variation(self, name: str, like: Tensor) -> Variation:
        """How each of a part's pictures (NCHW) is varied before a discriminator sees it."""
        height, width = like.shape[-2:]
        return self.each(name, like.shape[0], lambda count: Variation.draw(count, height, width))

    def shifted(self, pictures: Tensor, most: int) -> Tensor:
        """Pictures (NCHW) without `most` rows and columns, of either side by the step's chance."""
        if most == 0:
            return pictures
        top, left = self.once("shift", lambda: torch.randint(most + 1, (2,)).tolist())
        height, width = pictures.shape[-2:]
        return pictures[..., top : top + height - most, left : left + width - most]

    def places(self, name: str, depths: list[Tensor], most: int) -> list[Tensor]:
        """Up to `most` places in maps (NCHW) of each depth, the same in every picture."""
        return self.once(name, lambda: [_places(depth, most) for depth in depths])


def _places(depth: Tensor, count: int) -> Tensor:
    size = depth.shape[-2] * depth.shape[-1]
    return torch.randperm(size)[:count].to(depth.device)


def random_gradient(like: Tensor) -> Tensor:
    """A random linear gradient of one colour to another, in the shape of one picture."""
    height, width = like.shape[-2:]
    # Half of them along an axis, where a lattice lies.
    turn = torch.rand(()).item() * 2 * math.pi
    if torch.rand(()).item() < 0.5:
        turn = math.floor(turn / (math.pi / 2)) * math.pi / 2
    x = torch.linspace(-0.5, 0.5, width, device=like.device)
    y = torch.linspace(-0.5, 0.5, height, device=like.device)[:, None]
    along = math.cos(turn) * x + math.sin(turn) * y
    tint = 0.1 * torch.randn(2, 3, 1, 1)
    middle = (1.6 * torch.rand(()) - 0.8 + tint[0]).to(like.device)
    slope = (1.6 * torch.rand(()) + tint[1]).to(like.device)
    return (middle + slope * along).clamp(-1.0, 1.0)[None]
