"""ONNX files that somebody else exported: any network from picture to picture, as an engine.

What it takes is read from its input where that says it, and tried out where it does not: height and
width fixed or free, channels first or last, whole numbers or floats, and which range of values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from pleinair import ranges
from pleinair.config import AnySpec
from pleinair.errors import PainterError
from pleinair.pictures import Batch
from pleinair.ranges import Contract, Values
from pleinair.runtime import Session
from pleinair.settings import IMPORT

Layout = Literal["NCHW", "NHWC"]
_KINDS = {"float": np.float32, "float16": np.float16, "double": np.float64, "uint8": np.uint8}


@dataclass(frozen=True)
class Stranger:
    """An engine around somebody's network: (1, 3, H, W) in [-1, 1] in and out."""

    session: Session
    layout: Layout
    kind: str  # of its input's numbers
    spec: AnySpec
    contract: Contract = field(default_factory=Contract)

    def __call__(self, batch: Batch) -> Batch:
        given = self.bare(ranges.to(batch, self.contract.takes))
        return np.ascontiguousarray(ranges.back(given, self.contract.gives), np.float32)

    def bare(self, batch: Any) -> Any:
        """(1, 3, H, W) in the network's own values, in and out."""
        if self.kind == "uint8":
            batch = np.clip(np.rint(batch), 0, 255)
        batch = np.asarray(batch, _KINDS[self.kind])
        if self.layout == "NHWC":
            batch = batch.transpose(0, 2, 3, 1)
        given = self.session(np.ascontiguousarray(batch))
        if self.layout == "NHWC" and given.ndim == 4:
            given = given.transpose(0, 3, 1, 2)
        return given.astype(np.float32)


def known(session: Session, name: str, values: Values | None = None) -> Stranger:
    """What is to be known of a file that somebody else exported, by looking and by trying.

    name: the file's, for messages. values: of both ends, where they are told; else they are found
    out. Raises PainterError for what takes or gives no pictures.
    """
    if len(session.takes) != 1 or session.takes[0] not in _KINDS:
        raise PainterError(
            f"{name} has {len(session.takes)} inputs, of {', '.join(session.takes)}; a painter has "
            "one, of floats or bytes."
        )
    failed: PainterError | None = None
    for layout, spec in _layouts(session.shape, name):
        found = Stranger(session, layout, session.takes[0], spec)
        try:
            _check_trial(found, name)
        except PainterError as error:
            failed = failed or error
            continue
        contract = Contract(values, values) if values else _contract(found, name)
        return Stranger(session, layout, found.kind, spec, contract)
    assert failed is not None  # noqa: S101 -- there is one layout at least
    raise failed


def _layouts(shape: tuple[int | None, ...], name: str) -> list[tuple[Layout, AnySpec]]:
    """The layouts that an input's shape allows, with the sides that it takes."""
    found: list[tuple[Layout, AnySpec]] = []
    if len(shape) == 4 and shape[0] in (None, 1):
        if shape[1] in (None, 3):
            found.append(("NCHW", AnySpec(shape[2], shape[3])))
        if shape[3] in (None, 3):
            found.append(("NHWC", AnySpec(shape[1], shape[2])))
        found = [one for one in found if shape[1 if one[0] == "NCHW" else 3] == 3] or found
    if not found:
        sides = " x ".join("any" if side is None else str(side) for side in shape)
        raise PainterError(
            f"{name} takes an array of shape {sides}; a painter takes 1 x 3 x height x width, or "
            "1 x height x width x 3."
        )
    whole = [one for one in found if (one[1].height is None) == (one[1].width is None)]
    if not whole:
        raise PainterError(f"{name} takes one side of any length only; export it with both free.")
    return whole


def sides(spec: AnySpec) -> tuple[int, int]:
    """Height and width of a picture to try a network on."""
    return spec.height or IMPORT.trial_side, spec.width or IMPORT.trial_side


def _check_trial(stranger: Stranger, name: str) -> None:
    """Raise PainterError where a picture of the right size does not give one of that size."""
    height, width = sides(stranger.spec)
    try:
        given = stranger.bare(np.zeros((1, 3, height, width), np.float32))
    except Exception as error:  # onnxruntime's exceptions have no common root but this
        said = (str(error).splitlines() or [""])[0][:120]
        raise PainterError(
            f"{name} does not take a picture of {width}x{height} ({said})."
        ) from error
    if given.shape != (1, 3, height, width):
        got = " x ".join(map(str, given.shape))
        raise PainterError(
            f"{name} makes an array of shape {got} of a picture of {width}x{height}; a painter's "
            "paintings have the size of their photos."
        )


def _contract(stranger: Stranger, name: str) -> Contract:
    try:
        return ranges.detected(stranger.bare, *sides(stranger.spec))
    except PainterError as error:
        raise PainterError(f"{name}: {error}") from error
