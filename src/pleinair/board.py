"""A run's curves and sheets for TensorBoard, for those who keep one open."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from pleinair import images
from pleinair.errors import MissingExtraError
from pleinair.monitoring import Health

_GROUPS = {
    **dict.fromkeys((f.name for f in fields(Health)), "signs"),
    **dict.fromkeys(("kid", "photos_kid"), "scores"),
    "seconds": "time",
}


class Board:
    """Writes RUN/tensorboard; `tensorboard --logdir RUN` shows it. Raises MissingExtraError."""

    def __init__(self, run: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError(
                "--tensorboard needs pip install 'pleinair[tensorboard]'."
            ) from error
        # What a killed run wrote after its last checkpoint is told again, and so purged.
        self._writer = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1)

    def scalars(self, line: dict[str, Any]) -> None:
        """A line of history: every number in it under its name."""
        for name, value in line.items():
            if name != "step" and isinstance(value, int | float):
                self._writer.add_scalar(
                    f"{_GROUPS.get(name, 'losses')}/{name}", value, line["step"]
                )

    def sheet(self, path: Path, step: int) -> None:
        """A sample sheet."""
        pixels = images.read(path).pixels
        self._writer.add_image("samples", pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Write what is waiting."""
        self._writer.close()
