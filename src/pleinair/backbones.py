"""Weights of backbones that are fetched when they are asked for, known by their SHA-256."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pleinair import files
from pleinair.download import Progress, fetch, silent
from pleinair.errors import DataError, OutputError


@dataclass(frozen=True)
class Weights:
    """A file on the network."""

    url: str
    size: int
    sha256: str


# The same bytes as pytorch-fid's pt_inception-2015-12-05-6726825d.pth. Apache-2.0.
INCEPTION = Weights(
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
    95_628_359,
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
)


def find(wanted: Weights, folder: Path, progress: Progress = silent) -> Path:
    """The file in a folder, fetched where it is missing: a broken download goes on next time.

    Raises DataError where the network has it not, or has another file of that name; OutputError.
    """
    path = folder / wanted.url.rsplit("/", 1)[-1]
    if path.exists():
        check(wanted, path)
    else:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder} cannot be made ({error.strerror}).") from error
        help_ = f"Or fetch it elsewhere and name the file with --inception-weights: {wanted.url}"
        fetch(wanted.url, path, wanted.size, progress=progress, help_=help_)
        if (found := files.sha256_of(path)) != wanted.sha256:
            path.unlink()
            raise DataError(f"{wanted.url} has the SHA-256 {found}, not {wanted.sha256}. {help_}")
    return path


def check(wanted: Weights, path: Path) -> None:
    """Raise DataError unless a file is the one that is wanted."""
    try:
        found = files.sha256_of(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check the path.") from error
    if found != wanted.sha256:
        raise DataError(
            f"{path} has the SHA-256 {found[:16]}..., not {wanted.sha256[:16]}...; remove it to "
            "fetch it again, or name another."
        )
