"""What a file is that is no painter, by its first bytes, and what to do with it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import IO

from pleinair import nameplate

_HEAD = 512
_LIST = 4  # names that a sentence lists

# By first bytes: what it is and what to do.
_SIGNS: tuple[tuple[bytes, str], ...] = (
    (
        b"version https://git-lfs",
        "is a Git LFS pointer in place of the file; run `git lfs pull`, or download the file",
    ),
    (b"\xff\xd8\xff", "is a picture; give it to `pleinair paint`, and here a painter"),
    (b"\x89PNG", "is a picture; give it to `pleinair paint`, and here a painter"),
    (b"GIF8", "is a picture; give it to `pleinair paint`, and here a painter"),
    (b"\x1f\x8b", "is packed by gzip; unpack it and give what is inside"),
    (b"BZh", "is packed by bzip2; unpack it and give what is inside"),
    (b"\xfd7zXZ", "is packed by xz; unpack it and give what is inside"),
    (b"\x28\xb5\x2f\xfd", "is packed by zstd; unpack it and give what is inside"),
    (b"7z\xbc\xaf", "is a 7z archive; unpack it and give what is inside"),
    (b"Rar!", "is a RAR archive; unpack it and give what is inside"),
    (b"GGUF", "holds a language model (GGUF); give a network that makes pictures of pictures"),
    (b"\x93NUMPY", "is an array of NumPy without a network; give the weights' own file"),
    (b"%PDF", "is a PDF; give a painter"),
    (b"\x7fELF", "is a program; give a painter"),
    (b"MZ", "is a program; give a painter"),
    (
        b"\x89HDF\r\n\x1a\n",
        "is an HDF5 file that holds no network that is known; give Keras weights",
    ),
)


def described(path: Path) -> str:
    """What to say after its path: "is empty; ... get it again." Never raises."""
    try:
        if path.is_dir():
            return _folder(path) + "."
        size = path.stat().st_size
        with path.open("rb") as file:
            return _file(path.suffix.lower(), file.read(_HEAD), size, file) + "."
    except OSError as error:
        return f"cannot be read ({error.strerror or error}); check the path and its permissions."


def of_bytes(data: bytes, name: str) -> str:
    """The same of a file of this name that was read already."""
    return _file(Path(name).suffix.lower(), data[:_HEAD], len(data), io.BytesIO(data)) + "."


def _file(suffix: str, head: bytes, size: int, file: IO[bytes]) -> str:
    if not size:
        return "is empty; the download or the copy broke off, so get it again"
    if not head.strip(b"\0"):
        return "begins with zeros alone; the download or the copy broke off, so get it again"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return (
            f"is a web page of {size:,} bytes in place of the file; open its address in a browser: "
            "it may want a login, or be gone"
        )
    for sign, words in _SIGNS:
        if head.startswith(sign):
            return words
    if head.startswith(b"PK"):
        return _zip(file)
    if head[4:8] == b"TFL3":
        return (
            "is a TensorFlow Lite (LiteRT) model, made for phones; give what it was made of: an "
            ".onnx, .safetensors, .h5, .keras or SavedModel"
        )
    if head[257:262] == b"ustar":
        return "is a tar archive; unpack it and give what is inside"
    if _is_safetensors(head, size):
        return "is a safetensors file of a network that is not known; give a CycleGAN generator"
    if suffix == ".t7":
        return "is a file of Torch 7; its authors published the same painters as .pth"
    if head[0] == 0x08 and nameplate.is_model(_whole(file)):
        return "is an ONNX file by another name; give it a name that ends in .onnx"
    if text[:1] in (b"{", b"["):
        return "is JSON text, as beside a network's weights; give the weights"
    if _is_text(head):
        return "is a text file; give a painter"
    if suffix == ".onnx" or head[0] == 0x08:
        return "is a damaged ONNX file, or cut short; get a whole copy"
    if head[0] == 0x80 and 2 <= head[1] <= 5:
        return "is a pickle that holds no network that is known; give a state dict of a generator"
    if suffix in (".pth", ".pt", ".h5", ".keras", ".safetensors"):
        return f"does not begin as a {suffix} does; it is damaged, so get a whole copy"
    return (
        "is of no kind that is known; give an .onnx, a .pth, Keras' .h5 or .keras, or a "
        "SavedModel's folder"
    )


def _whole(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _zip(file: IO[bytes]) -> str:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "begins as a zip file, as .pth and .keras are, and is cut short; get a whole copy"
    if any(name.endswith("data.pkl") for name in names):
        return "is a PyTorch file that holds no network that is known; give a generator's"
    if "model.weights.h5" in names or "config.json" in names:
        return "is a Keras model that holds no network that is known; give a generator's"
    if any(name.endswith(("/archive_format", "data/sample_inputs/model.pt")) for name in names):
        return (
            "is PyTorch's ExportedProgram, made for other programs; give the .onnx or .safetensors "
            "of the same painter"
        )
    kinds = (".onnx", ".pth", ".pt", ".h5", ".keras", ".safetensors", "saved_model.pb")
    inside = [name for name in names if name.lower().endswith(kinds)]
    if inside:
        listed = ", ".join(name[:80] for name in inside[:_LIST])
        return f"is a zip file around {listed}; unpack it and give that"
    return f"is a zip file of {len(names)} files of which none is a painter; give a painter"


def _folder(path: Path) -> str:
    names = {entry.name for entry in path.iterdir()}
    points = sorted(name for name in names if name.endswith(".index"))
    if len(points) > 1:
        return f"holds several checkpoints, {', '.join(points[:_LIST])}; name one of them"
    if "saved_model.pb" in names or points:
        return "is a SavedModel or a checkpoint that is not whole; get all of its files again"
    if path.suffix.lower() == ".mlpackage" or {"Manifest.json", "Data"} <= names:
        return (
            "is a Core ML package, made for Apple's systems; give the .onnx or .safetensors of the "
            "same painter"
        )
    if "history.jsonl" in names:
        return "is a run without a painter yet; train until its first checkpoint"
    found = sorted(n for n in names if n.endswith((".onnx", ".pth", ".h5", ".keras")))
    if found:
        return f"is a folder that holds {', '.join(found[:_LIST])}; name one of them"
    return "is a folder without a painter; name a painter's file"


def _is_safetensors(head: bytes, size: int) -> bool:
    length = int.from_bytes(head[:8], "little")
    return len(head) > 8 and head[8:9] == b"{" and 8 + length <= size


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8", "replace")
    # A letter of several bytes may be cut where the head ends.
    return all(c.isprintable() or c in "\t\r\n\f" for c in text) and "\ufffd" not in text[:-3]
