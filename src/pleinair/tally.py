"""Losses as people are told them: read from the device seldom, averaged, kept for a resumed run."""

from __future__ import annotations

from typing import Any

import torch

from pleinair.session import Losses


class Tally:
    """Means of the losses since the last line of history, and exponential ones to show."""

    # To read a number from an accelerator is to wait for it: every tenth step is often enough.
    _EVERY = 10

    def __init__(self) -> None:
        self.shown: dict[str, float] = {}
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._waiting: list[Losses] = []

    def add(self, found: Losses) -> None:
        """The losses of one more step."""
        self._waiting.append(found)
        on_cpu = all(value.device.type == "cpu" for value in found.values())
        if on_cpu or len(self._waiting) >= self._EVERY:
            self._read()

    def _read(self) -> None:
        for found in self._waiting:
            names = list(found)
            values: list[float] = torch.stack([found[name].float() for name in names]).tolist()
            for name, value in zip(names, values, strict=True):
                self.shown[name] = value + 0.95 * (self.shown.get(name, value) - value)
                self._sums[name] = self._sums.get(name, 0.0) + value
                self._counts[name] = self._counts.get(name, 0) + 1
        self._waiting.clear()

    def flush(self) -> dict[str, float]:
        """Means since the last flush."""
        self._read()
        means = {name: round(total / self._counts[name], 5) for name, total in self._sums.items()}
        self._sums.clear()
        self._counts.clear()
        return means

    def state(self) -> dict[str, Any]:
        """All that later means depend on, as plain values."""
        self._read()
        return {"shown": dict(self.shown), "sums": dict(self._sums), "counts": dict(self._counts)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.shown = dict(state["shown"])
        self._sums = dict(state["sums"])
        self._counts = dict(state["counts"])
