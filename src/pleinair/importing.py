"""Other programs' weights as a painter's file of ours: read, written, tried and told.

https://github.com/onnx/onnx is all that writing needs; what reading needs is the kind's affair.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pleinair import converting, files, foreign, hub, ranges, runtime, strangers
from pleinair.config import AnySpec, PainterSpec, ResNetSpec, UNetSpec, size_multiple
from pleinair.errors import ExportError, OutputError, PainterError
from pleinair.foreign import Way
from pleinair.foreign.ways import WORDS
from pleinair.painter import Painter
from pleinair.ranges import Contract, Values
from pleinair.settings import IMPORT
from pleinair.weights import Weights


@dataclass(frozen=True)
class Imported:
    """What was written, and what it is.

    kind: of file that it was read from. network: its name there, empty where it has none.
    parameters: their number; 0 where it is not known. contract: values that an ONNX file took.
    difference: the largest to the same network in PyTorch; None where that is not installed.
    """

    path: Path
    kind: str
    network: str
    way: Way
    spec: PainterSpec
    parameters: int
    contract: Contract | None = None
    difference: float | None = None

    def lines(self) -> list[str]:
        """What people are told, a line each."""
        named = f"network {self.network}, " if self.network else ""
        size = f", {self.parameters:,} parameters" if self.parameters else ""
        told = [f"{self.kind}: {named}{_words(self.spec)}{size}; {WORDS[self.way]}."]
        if self.contract:
            told.append(f"It takes values of {self.contract.takes}, gives {self.contract.gives}.")
        if self.difference is not None:
            told.append(f"ONNX and PyTorch differ by at most {self.difference:.1g}.")
        return told


def import_painter(
    source: str | Path,
    target: str | Path | None = None,
    *,
    network: str | None = None,
    values: Values | None = None,
    licence: str = "",
    force: bool = False,
) -> Imported:
    """Write a painter's .onnx file from a file or folder of another program.

    target: by default `<name>.onnx` in the current folder. network: which of several. values: that
    an ONNX file takes and gives; None: found out by trying. licence: for its card. Raises
    PainterError for what is no painter, MissingExtraError, OutputError, and ExportError where the
    written graph does not paint as its network does.
    """
    path = hub.find(source)
    out = Path(target) if target is not None else Path(f"{name_of(Path(source))}.onnx")
    _check_target(out, path, force)
    card: dict[str, Any] = {"origin": path.name, "sha256": files.sha256_of(path)}
    card["imported"] = datetime.datetime.now(datetime.UTC).date().isoformat()
    if licence:
        card["licence"] = licence
    found = converting.read(path, network)
    if isinstance(found, bytes):
        data, done = _of_onnx(found, path, out, card, values)
    else:
        if values is not None:
            raise PainterError(f"{path} is no .onnx file; only of those --values have to be told.")
        data, done = _of_weights(found, out, card)
    with files.writing(out, "choose another place"):
        out.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(out, data)
    return done


def name_of(source: Path) -> str:
    """What a painter from this file or folder is called: `monet` of `monet.weights.h5`."""
    return source.resolve().name.split(".")[0] or "painter"


def _of_weights(found: foreign.Found, out: Path, card: dict[str, Any]) -> tuple[bytes, Imported]:
    read = found.weights
    data = converting.written(found, card)
    painter = Painter.opened(data, str(out), device="cpu")
    side = max(size_multiple(painter.spec), IMPORT.trial_side)
    painted = _tried(painter, side, side)
    difference = _difference(read, painted, side)
    parameters = sum(array.size for array in read.arrays.values())
    kind = str(read.card.get("format") or "weights of ours")
    return data, Imported(
        out, kind, found.name, found.way, painter.spec, parameters, None, difference
    )


def _of_onnx(
    data: bytes, path: Path, out: Path, card: dict[str, Any], values: Values | None
) -> tuple[bytes, Imported]:
    engine, metadata = runtime.opened(data, str(path), device="cpu")
    if "spec" in metadata or "pixels" in metadata:
        raise PainterError(f"{path} is a painter of ours already; paint with it as it is.")
    stranger = strangers.known(engine, str(path), values)
    from pleinair import adapting
    from pleinair.foreign.ways import way

    contract = stranger.contract
    direction = way("", path)
    card |= {"format": "ONNX", "way": direction}
    card["values"] = f"{contract.takes} in, {contract.gives} out"
    written = adapting.adapted(data, stranger, card, str(path))
    painter = Painter.opened(written, str(out), device="cpu")
    height, width = strangers.sides(stranger.spec)
    painted = _tried(painter, height, width)
    # The same network, but for what rounding in another order does.
    expected = stranger(ranges.trial(height, width))
    if not np.abs(painted - expected).max() <= 100 * IMPORT.tolerance:
        raise ExportError(f"{path} paints otherwise once it is imported; nothing was written.")
    return written, Imported(out, "ONNX", "", direction, stranger.spec, 0, contract)


def _tried(painter: Painter, height: int, width: int) -> Any:
    """What a written file makes of the trial picture. Raises ExportError where that is none."""
    painted = painter.engine(ranges.trial(height, width))
    if not (np.isfinite(painted).all() and np.abs(painted).max() <= 1.001):
        raise ExportError(
            "the written graph does not give numbers in [-1, 1]; nothing was written, since its "
            "weights are damaged or of another network."
        )
    return painted


def _difference(weights: Weights, painted: Any, side: int) -> float | None:
    """The largest difference to PyTorch on the trial picture. Raises ExportError beyond 1e-4."""
    try:
        from pleinair import engines
    except ImportError:  # the light install
        return None
    expected = engines.of_weights(weights)(ranges.trial(side, side))
    difference = float(np.abs(painted - expected).max())
    if not difference <= IMPORT.tolerance:
        raise ExportError(
            f"ONNX and PyTorch differ by {difference:.2g}, more than {IMPORT.tolerance:g}; nothing "
            "was written."
        )
    return difference


def _check_target(out: Path, source: Path, force: bool) -> None:
    if out.suffix != ".onnx":
        raise OutputError(f"{out} must end in .onnx.")
    if out.exists() and out.samefile(source):
        raise OutputError(f"{out} is the file to import itself; name another with -o.")
    files.check_free(out, force)


def _words(spec: PainterSpec) -> str:
    match spec:
        case ResNetSpec():
            more = {"blurred halvings": spec.blur_down, "blurred doublings": spec.blur_up}
            extra = [*(words for words, has in more.items() if has)]
            extra += ["scaled norms"] if spec.affine else []
            listed = f" with {' and '.join(extra)}" if extra else ""
            return f"resnet of {spec.blocks} blocks and {spec.channels} channels{listed}"
        case UNetSpec():
            return f"U-Net of {spec.depth} halvings and {spec.channels} channels ({spec.order})"
        case AnySpec():
            sides = f"{spec.width}x{spec.height}" if spec.width else "any size"
            return f"a network for pictures of {sides}"
        case _:
            return "a light painter"
