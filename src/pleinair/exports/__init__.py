"""Painters for other programs: a kind of file each, and one place where a file is kept or not.

A room writes a file and compares it with what it was made from; beyond its tolerance it raises,
and nothing takes the target's place. What is told is one sentence with the figure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from pleinair import files, foreign, hub
from pleinair.config import GeneratorSpec, Way, size_multiple
from pleinair.errors import (
    CheckpointError,
    MissingExtraError,
    OutputError,
    PainterError,
    UsageError,
)
from pleinair.exports.wish import Precision, Wish
from pleinair.recipes import spec_name
from pleinair.weights import Weights

Writer = Callable[[Weights, Path, Wish], str]
"""Writes a painter to a path and returns what a comparison found. Raises ExportError."""


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    room: imports what writes it, which needs the extra. sized: whether it takes one size only.
    folder: whether it is a folder in truth.
    """

    words: str
    room: Callable[[], Writer]
    extra: str
    sized: bool = False
    folder: bool = False


def _graph() -> Writer:
    from pleinair.exports import graph

    return graph.write


def _own() -> Writer:
    from pleinair.exports import own

    return own.write


def _keras() -> Writer:
    from pleinair.exports import keras

    return keras.write


def _program() -> Writer:
    from pleinair.exports import program

    return program.write


def _coreml() -> Writer:
    from pleinair.exports import coreml

    return coreml.write


def _litert() -> Writer:
    from pleinair.exports import litert

    return litert.write


KINDS = {
    ".onnx": Kind("ONNX", _graph, "train"),
    ".safetensors": Kind("our weights", _own, "train"),
    ".weights.h5": Kind("Keras 3 weights", _keras, "import"),
    ".h5": Kind("Keras 2 weights", _keras, "import"),
    ".pt2": Kind("PyTorch's ExportedProgram", _program, "train"),
    ".mlpackage": Kind("Core ML", _coreml, "coreml", sized=True, folder=True),
    ".tflite": Kind("LiteRT", _litert, "litert", sized=True),
}
"""By the end of a file's name; the first that fits counts."""


def export(
    source: str | Path,
    target: Path,
    *,
    precision: Precision = "float32",
    size: tuple[int, int] | None = None,
    calibrate: Path | None = None,
    step: int | None = None,
    direction: Way = "painting",
    force: bool = False,
    about: dict[str, str] | None = None,
) -> str:
    """Write a painter as the kind of file that the target's name says; what was found, in words.

    source: a run, a file of ours, of Keras, TensorFlow or PyTorch, or a painter's name.
    precision, size, calibrate: see `Wish`. step: of a run, whose painter of then is written; None:
    its best one. direction: "photo" for a run's way back, from paintings to photos. about: what to
    add to its card, as {"licence": "CC0-1.0"}. Raises UsageError, OutputError, CheckpointError
    where a run holds no painter, PainterError for a damaged one, MissingExtraError, and ExportError
    for a file that does not agree with its painter, which is not kept.
    """
    kind = kind_of(target)
    if precision not in get_args(Precision):
        raise UsageError(f"precision {precision!r} found; use float32, float16 or int8.")
    if precision != "float32" and kind is not KINDS[".onnx"]:
        raise UsageError(f"{target} cannot be of {precision}; that is for .onnx files.")
    if calibrate is not None and precision != "int8":
        raise UsageError("photos to calibrate with are for --precision int8 alone.")
    if size is not None and not kind.sized:
        raise UsageError(f"{target} takes photos of any size; --size is for those of one size.")
    _check_free(target, kind, force)
    try:
        write = kind.room()
    except ImportError as error:
        raise MissingExtraError(
            f"{kind.words} needs {error.name}; run pip install 'pleinair[{kind.extra}]' first."
        ) from error
    painter = read(source, step, direction)
    # In the card, by which painters are told apart, since it paints a little differently.
    precise = "" if precision == "float32" else precision
    painter = painter.carded(**(about or {}), precision=precise)
    wish = Wish(precision, size or Wish.size, calibrate)
    if kind.sized:
        _check_size(painter, wish.size)
    with files.writing(target, "choose another place"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with files.placing(target) as place:
            return write(painter, place, wish)


def kind_of(target: Path) -> Kind:
    """By the end of its name. Raises OutputError for an unknown one."""
    for suffix, kind in KINDS.items():
        if target.name.lower().endswith(suffix):
            return kind
    known = ", ".join(f"{suffix} ({kind.words})" for suffix, kind in KINDS.items())
    raise OutputError(f"{target} is of no kind that can be written; its name must end in {known}.")


def read(source: str | Path, step: int | None = None, direction: Way = "painting") -> Weights:
    """The painter of a run, of a file of ours or of other programs, or of this name.

    step: of a run, at which it kept a checkpoint; None: its best. direction: see `export`. Raises
    UsageError, CheckpointError where a run holds none, PainterError, MissingExtraError.
    """
    path = Path(source)
    if step is not None or direction == "photo":
        if not hub.is_run(source):
            word = "steps; leave --step" if step is not None else "a way back; leave --direction"
            raise UsageError(f"{source} is no run, which alone has {word} out.")
        try:
            from pleinair import checkpoint
        except ImportError as error:
            raise MissingExtraError(
                f"a run's checkpoints need {error.name}; run pip install 'pleinair[train]' first."
            ) from error
        return checkpoint.painter_at(path, step, direction)
    if path.is_dir() and hub.held(path) is None:
        raise CheckpointError(f"{source} holds no painter yet; train until the first checkpoint.")
    found = foreign.weights_of(hub.find(source))
    if not isinstance(found.spec, GeneratorSpec):
        raise PainterError(f"{source} holds a discriminator; give a file of a painter.")
    return found


def _check_free(target: Path, kind: Kind, force: bool) -> None:
    if not kind.folder or not target.is_dir():
        files.check_free(target, force)
    elif not force:
        raise OutputError(f"{target} exists; remove it or add --force (in Python, force=True).")


def _check_size(painter: Weights, size: tuple[int, int]) -> None:
    width, height = size
    multiple = size_multiple(painter.spec)
    if width % multiple or height % multiple or min(width, height) < multiple:
        raise UsageError(
            f"a size of {width}x{height} pixels was asked for; {spec_name(painter.spec)} takes "
            f"multiples of {multiple}."
        )
