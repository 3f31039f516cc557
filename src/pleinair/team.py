"""Processes that train one painter together: who they are and what they tell each other.

`torchrun` or `accelerate launch` start them; Hugging Face Accelerate connects them. Alone, which
is the usual case, nothing here costs anything and Accelerate is not even imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor

from pleinair.errors import MissingExtraError, TrainingError, UsageError

# The longest that the others wait for one, as for the first while it scores; then it is lost.
_PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True)
class Team:
    """One process among `size`, numbered from 0; the first writes files and talks."""

    device: torch.device
    rank: int = 0
    size: int = 1
    accelerator: Any = None

    @classmethod
    def join(cls, device: str) -> Team:
        """The team of this process. device: auto, cpu, cuda or mps.

        Raises UsageError where the device is not at hand, MissingExtraError without Accelerate.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls(find_device(device))
        try:
            from accelerate import Accelerator, InitProcessGroupKwargs
        except ImportError as error:
            raise MissingExtraError(
                "training in several processes needs pip install 'pleinair[train]'."
            ) from error
        # Left to itself it makes one process each of a team that has no accelerator.
        accelerator = Accelerator(
            cpu=find_device(device).type == "cpu",
            kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
        )
        found = accelerator.device
        if device not in ("auto", found.type):
            raise UsageError(f"device {device!r} was asked for, and {found.type!r} is at hand.")
        if accelerator.num_processes != int(os.environ["WORLD_SIZE"]):
            raise UsageError(
                f"{os.environ['WORLD_SIZE']} processes were started and {accelerator.num_processes}"
                f" found each other on {found.type!r}; start one, or all with --device cpu."
            )
        return cls(found, accelerator.process_index, accelerator.num_processes, accelerator)

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files and talks."""
        return self.rank == 0

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over all processes, in one exchange."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
        with self._all_there():
            flat = self.accelerator.reduce(flat, reduction="mean")
        start = 0
        for tensor in tensors:
            count = tensor.numel()
            tensor.detach().copy_(flat[start : start + count].view_as(tensor))
            start += count

    def average_gradients(self, networks: Sequence[torch.nn.Module]) -> None:
        """Make each parameter's gradient the mean over all processes."""
        if self.size > 1:
            parameters = [p for network in networks for p in network.parameters()]
            self.average([p.grad for p in parameters if p.grad is not None])

    def first_says(self, value: float) -> float:
        """The first process's value, told to all."""
        return self._sum(value if self.is_first else 0.0)

    def anyone(self, value: bool) -> bool:
        """Whether it is true of any process."""
        return self._sum(float(value)) > 0

    def _sum(self, value: float) -> float:
        if self.size == 1:
            return value
        with self._all_there():
            told = torch.tensor(value, dtype=torch.float64).to(self.device)
            return float(self.accelerator.reduce(told, reduction="sum"))

    def gather(self, value: Any) -> list[Any]:
        """Everybody's value by rank, for the first alone; nothing for the others."""
        if self.size == 1:
            return [value]
        found = [None] * self.size if self.is_first else None
        with self._all_there():
            torch.distributed.gather_object(value, found, dst=0)
        return found or []

    @contextmanager
    def _all_there(self) -> Iterator[None]:
        """What PyTorch raises of a process that is gone, as one sentence."""
        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            # Its first line names a file of PyTorch's in brackets.
            reason = str(error).partition("\n")[0].rpartition(".cc")[2].partition("] ")[2]
            raise TrainingError(
                f"another of the {self.size} processes was lost"
                f"{f' ({reason[:80]})' if reason else ''}; the last checkpoint is whole: start "
                "all of them again with --resume."
            ) from error

    def leave(self) -> None:
        """Say goodbye, so that nobody waits for this process."""
        if self.accelerator is not None:
            self.accelerator.end_training()


def find_device(name: str) -> torch.device:
    """auto, cpu, cuda or mps. Raises UsageError where it is not at hand."""
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if there[kind]))
    if not there.get(name, False):
        found = ", ".join(["auto", *(kind for kind, is_there in there.items() if is_there)])
        raise UsageError(f"device {name!r} is not at hand; use one of {found}.")
    return torch.device(name)
