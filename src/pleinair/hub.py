"""Painters by name. Today those that ship inside the package."""

from __future__ import annotations

from pathlib import Path

from pleinair.errors import PainterError

_SHIPPED = Path(__file__).parent / "painters"


def names() -> list[str]:
    """Names of the painters at hand."""
    return sorted(path.stem for path in _SHIPPED.glob("*.onnx"))


def find(name_or_path: str | Path) -> Path:
    """The file of a painter. Raises PainterError where there is none."""
    text = str(name_or_path)
    if text in names():
        return _SHIPPED / f"{text}.onnx"
    path = Path(name_or_path)
    if text and path.is_dir():
        inside = held(path)
        if inside is not None:
            return inside
        raise PainterError(
            f"{path} is a folder; export a run with `pleinair export {path} painter.onnx` first."
        )
    index = Path(f"{path}.index")
    if text and not path.exists() and index.is_file():
        return index  # a checkpoint goes by what the names of its files begin with
    if path.suffix == ".onnx" and not path.exists():
        raise PainterError(f"painter {path} does not exist; check the path.")
    if not path.is_file():
        raise PainterError(
            f"painter {text!r} is unknown; use {', '.join(names())} or the path of an .onnx file."
        )
    return path


def held(folder: Path) -> Path | None:
    """What paints in a folder: a run's painter, or the folder itself, of TensorFlow's kinds."""
    run = folder / "painter.safetensors"
    if run.is_file():
        return run
    signs = ("saved_model.pb", "checkpoint", "*.index")
    return folder if any(True for sign in signs for _ in folder.glob(sign)) else None
