"""What `torch.save` wrote: a zip file since PyTorch 1.6, a row of pickles before.

Opened by `torch.load(weights_only=True)` alone, which builds tensors, numbers, strings and
containers of them and refuses all else that a pickle may ask for, so that nothing of a stranger's
is run. https://docs.pytorch.org/docs/stable/notes/serialization.html
"""

from __future__ import annotations

import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pleinair import archives
from pleinair.errors import MissingExtraError, PainterError
from pleinair.foreign import Found
from pleinair.foreign.published import generators
from pleinair.foreign.ways import way
from pleinair.settings import IMPORT
from pleinair.weights import Weights

if TYPE_CHECKING:
    import torch

_GENERATORS = ("conv_block.1.weight", "1.model.1.weight")  # what `published` goes by, too
_ZIP = b"PK\x03\x04"
# A pickle of the number 0x1950a86a20f9469cfc6c: how files before 1.6 begin.
_LEGACY = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")


def knows(path: Path, head: bytes) -> bool:
    """Whether it is such a file, or a pickle of any kind."""
    if head.startswith(_ZIP):
        # The first member's name, at hand also where the end of the file is missing.
        length = int.from_bytes(head[26:28], "little")
        first = head[30 : 30 + length].decode("utf-8", "replace")
        return first.endswith("data.pkl") or any(n.endswith("data.pkl") for n in _names(path))
    return len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5


def read(path: Path) -> list[Found]:
    """Its generators. Raises PainterError, MissingExtraError."""
    with path.open("rb") as file:
        head = file.read(len(_LEGACY))
    if head.startswith(_ZIP):
        _check_zip(path)
        kind = "PyTorch"
    elif head == _LEGACY:
        kind = "PyTorch before 1.6"
    else:
        raise PainterError(
            f"{path} is a pickle that torch.save did not write, and pickles can run anything; give "
            "a file of torch.save(network.state_dict(), ...)."
        )
    held = _load(path)
    if isinstance(held, dict) and {"format", "recipe", "networks"} <= held.keys():
        run = path.absolute().parent.parent
        raise PainterError(f"{path} is a checkpoint of a run; give the run's folder, {run}.")
    tensors = dict(_flat(held, ""))
    return [
        Found(one.name, way(one.name, path), Weights(one.spec, one.arrays, {"format": kind}))
        for one in generators(tensors, str(path))
    ]


def _names(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except archives.BROKEN:
        return []


def _check_zip(path: Path) -> None:
    """Raise PainterError for a zip that torch.save cannot have written."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except archives.BROKEN as error:
        raise PainterError(
            f"{path} is cut short or damaged ({error}); get a whole copy."
        ) from error
    if any(PurePosixPath(member.filename).name == "constants.pkl" for member in members):
        raise PainterError(
            f"{path} is a TorchScript program; give its weights, saved with "
            "torch.save(network.state_dict(), ...), or an .onnx file."
        )
    check_members(members, path)


def check_members(members: list[zipfile.ZipInfo], path: Path) -> None:
    """Raise PainterError for members that torch.save never writes, and that could do harm."""
    for member in members:
        name = PurePosixPath(member.filename)
        if name.is_absolute() or ".." in name.parts or "\\" in member.filename:
            raise PainterError(
                f"{path} has a member {member.filename[:80]!r} that leaves its folder, which "
                "torch.save never writes; it may be hostile and was not opened."
            )
        if member.compress_type != zipfile.ZIP_STORED:
            raise PainterError(
                f"{path} has a compressed member {member.filename[:80]!r}, which torch.save never "
                "writes; unpack the file, or get the one that was packed."
            )


def _load(path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        _check_names(path)
        raise MissingExtraError(
            f"{path} is a PyTorch file, which needs pip install 'pleinair[import,train]'."
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of storages of old kinds
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a stranger's pickle brings about has no common root
        said = str(error)
        asked = re.search(r"GLOBAL (\S+)", said) or re.search(r"[Uu]nsupported \w+ (\S+)", said)
        if "weights_only" in said or "Weights only" in said or asked:
            what = f"asks for {asked[1]}" if asked else "asks for more than weights"
            raise PainterError(
                f"{path} {what}, and only tensors are read from a pickle, which can run anything; "
                "give a file of torch.save(network.state_dict(), ...)."
            ) from error
        first = (said.splitlines() or [type(error).__name__])[0][:120]
        raise PainterError(
            f"{path} is cut short or damaged ({first}); get a whole copy."
        ) from error


def _check_names(path: Path) -> None:
    """Raise PainterError where the names in a file are no generator's, told without torch.

    The pickle's instructions are listed, and none is followed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(one for one in archive.namelist() if one.endswith("data.pkl"))
            if archive.getinfo(name).file_size > IMPORT.header_bytes:
                return
            steps = list(pickletools.genops(archive.read(name)))
    except (*archives.BROKEN, StopIteration):
        return  # of a kind before zip files, or damaged, which torch says
    names = [one for _, one, _ in steps if isinstance(one, str) and one.endswith(".weight")]
    if names and not any(one.endswith(_GENERATORS) for one in names):
        patch = any(one.endswith("model.0.weight") for one in names)
        what = "a discriminator (net_D)" if patch else f"{names[0][:80]} and others"
        raise PainterError(
            f"{path} holds {what}, no generator; give a ResNet or U-Net generator of "
            "pytorch-CycleGAN-and-pix2pix or CUT."
        )


def _flat(value: Any, name: str, depth: int = 0) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Every tensor of floats in nested dictionaries, under its keys joined by dots."""
    import torch

    if isinstance(value, torch.Tensor):
        if value.is_floating_point():
            yield name, _array(value, name)
    elif isinstance(value, dict):
        if depth > IMPORT.most_nested or len(value) > IMPORT.most_tensors:
            raise PainterError(f"{name} holds dictionaries without end; give a plain state dict.")
        for key, inner in value.items():
            if isinstance(key, str):
                yield from _flat(inner, f"{name}.{key}" if name else key, depth + 1)


def _array(tensor: torch.Tensor, name: str) -> NDArray[np.float32]:
    strided = str(tensor.layout) == "torch.strided" and not tensor.is_quantized
    if not strided or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise PainterError(f"tensor {name} has no memory of its own; give a plain state dict.")
    array: NDArray[np.float32] = tensor.detach().float().numpy()
    return array
