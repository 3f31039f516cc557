"""Whether what lies in a folder is whole: every file is read to its last byte."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pleinair import checkpoint, weights
from torture.errors import LostError

# Work files that the documentation names, by path in the folder; all are hidden but downloads.
WORK = re.compile(
    r"(.*/)?(\.pleinair\.jsonl|\.[^/]*\.part(/.*)?|\.pleinair/.*|\.[^/]*\.pleinair/.*|\.?[^/]*\.lock"
    r"|fetching-[0-9a-f]{16}/.*)"
)
# Those that may stay once all is done.
KEPT = re.compile(r"(.*/)?(\.pleinair\.jsonl|\.pleinair/[^/]*|\.?[^/]*\.lock)")
_TODAY = re.compile(rb'(exported\\?": ?\\?")\d{4}-\d\d-\d\d')


def check(folder: Path) -> None:
    """Raise LostError where a file is not whole, or is no result and no work file either."""
    for path in files_of(folder):
        name = path.relative_to(folder).as_posix()
        if WORK.fullmatch(name):
            continue
        if any(part.startswith(".") for part in Path(name).parts):
            raise LostError(f"{name} is hidden and named nowhere")
        read(path)


def read(path: Path) -> None:
    """Read a file to its end as what its name says. Raises LostError."""
    reader = _READERS.get(path.suffix)
    if reader is None:
        raise LostError(f"{path.name} is no result and no hidden work file")
    try:
        reader(path)
    except Exception as error:  # whatever half a file makes a parser do
        raise LostError(f"{path} is not whole: {type(error).__name__}: {error}") from error


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a folder but work files, by path in it."""
    found = {path.relative_to(folder).as_posix(): path for path in files_of(folder)}
    return {name: digest(path) for name, path in found.items() if not WORK.fullmatch(name)}


def digest(path: Path) -> str:
    """SHA-256 of a file, the date of an export aside: midnight is no fault.

    Of a film: of its pictures and its sound, since containers are numbered at random.
    """
    if path.suffix == ".webm":
        return hashlib.sha256(repr(_shown_and_heard(path)).encode()).hexdigest()
    return hashlib.sha256(_TODAY.sub(rb"\1", path.read_bytes())).hexdigest()


def files_of(folder: Path) -> Iterator[Path]:
    """All files at any depth, in order."""
    return (path for path in sorted(folder.rglob("*")) if not path.is_dir())


# --- readers ----------------------------------------------------------------------------------


def _picture(path: Path) -> None:
    with Image.open(path) as image:
        image.load()


def _lines(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        json.loads(line)


def _arrays(path: Path) -> None:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
        for name in kept.files:
            kept[name].sum() if kept[name].dtype.kind == "f" else kept[name].tobytes()


def _graph(path: Path) -> None:
    import onnx

    onnx.checker.check_model(onnx.load(path))


def _shown_and_heard(path: Path) -> list[tuple[int | None, str]]:
    """Every frame and every packet of sound, with its time. Raises what PyAV does."""
    import av

    with av.open(str(path)) as film:
        frames = [(one.pts, one.to_ndarray(format="rgb24")) for one in film.decode(video=0)]
    with av.open(str(path)) as film:
        packets = [(one.pts, bytes(one)) for one in film.demux(audio=0)]
    if not frames:
        raise ValueError("no frame")
    told = [(pts, pixels.tobytes()) for pts, pixels in frames] + packets
    return [(pts, hashlib.sha256(data).hexdigest()) for pts, data in told]


_READERS: dict[str, Callable[[Path], Any]] = {
    ".png": _picture,
    ".jpg": _picture,
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    ".jsonl": _lines,
    ".npz": _arrays,
    ".onnx": _graph,
    ".pt": checkpoint.load,
    ".safetensors": weights.load,
    ".mp4": _shown_and_heard,
    ".webm": _shown_and_heard,
    ".toml": lambda path: tomllib.loads(path.read_text(encoding="utf-8")),
    ".txt": Path.read_bytes,
}
