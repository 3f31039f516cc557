"""Painters in ONNX Runtime: the only room that knows it.

A painter's file holds one graph of two modes. As it lies there, every instance norm measures the
picture that it is given, and `statistics` says what it measured. With the initializer `fixed` set
and `given_statistics` filled in, the norms are constants that ONNX Runtime folds into the
convolutions before them: an eighth faster, and what a pixel becomes depends only on the pixels
around it, so that a picture can be painted in tiles.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pleinair import identify, nameplate, onnxfile
from pleinair.errors import PainterError, UsageError, lacks_memory
from pleinair.images import Batch
from pleinair.settings import PAINT

# Some builds of ONNX Runtime tell their makers how they are used, unless this is set before they
# are imported. Photos and what is done to them are nobody's business.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

Statistics = NDArray[np.float32]
"""(2, C): the means and the variances of all channels of all instance norms, in their order."""


class Engine(Protocol):
    """float32 NCHW in [-1, 1] to the same shape and range."""

    def __call__(self, batch: Batch, /) -> Batch: ...


@runtime_checkable
class Measuring(Engine, Protocol):
    """An engine that tells its norms' statistics, and paints with given ones."""

    def measure(self, batch: Batch, /) -> Statistics:
        """The statistics of a picture, (1, 3, H, W)."""

    def fixed(self, statistics: Statistics, /) -> Engine:
        """The same network with these statistics, whatever it is given: local, so tiles agree."""

    def rest(self, side: int, /) -> None:
        """Give back working memory that batches of another size have no use for.

        side: of the least square that the network takes.
        """


DEVICES = {
    # By the name of ONNX Runtime's execution provider for it.
    "cuda": "CUDAExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cpu": "CPUExecutionProvider",
}


def devices() -> list[str]:
    """Names of what the installed ONNX Runtime can paint on; `cpu` is always there, the last."""
    import onnxruntime

    available = onnxruntime.get_available_providers()
    return [name for name, provider in DEVICES.items() if provider in available]


@dataclass(frozen=True)
class Way:
    """Where sessions run, and on how many threads; 0: on every core."""

    device: str = "cpu"
    threads: int = 0


class Session:
    """A network of any kind in an ONNX file, with one input and its picture as first output."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Of the input; None where any number will do."""
        sides = self._session.get_inputs()[0].shape
        return tuple(side if isinstance(side, int) else None for side in sides)

    @property
    def takes(self) -> list[str]:
        """What each input takes: `float`, `float16`, `uint8` and the like."""
        kinds = [str(entry.type) for entry in self._session.get_inputs()]
        return [kind.removeprefix("tensor(").removesuffix(")") for kind in kinds]

    @property
    def gives(self) -> list[str]:
        """Names of the outputs, the picture's first."""
        return [str(entry.name) for entry in self._session.get_outputs()]

    def __call__(self, batch: Batch) -> Batch:
        out: Batch = self._run(self._output, batch)
        return out

    def values(self, names: Sequence[str], batch: Batch) -> dict[str, Any]:
        """What these outputs are for a batch, by name."""
        return dict(zip(names, self._all(list(names), batch), strict=True))

    def _run(self, output: str, batch: Batch, options: Any = None) -> Any:
        return self._all([output], batch, options)[0]

    def _all(self, outputs: list[str], batch: Batch, options: Any = None) -> Any:
        try:
            return self._session.run(outputs, {self._input: batch}, options)
        except Exception as error:  # onnxruntime's exceptions have no common root but this
            if lacks_memory(error):
                raise MemoryError(str(error)) from error
            raise


class TwoModes(Session):
    """A painter that `pleinair export` wrote. Safe to use from several threads."""

    def __init__(self, session: Any, data: bytes, name: str, way: Way) -> None:
        super().__init__(session)
        self._data, self._name, self._way = data, name, way
        self._kept: OrderedDict[bytes, Session] = OrderedDict()
        self._lock = threading.Lock()
        self._folds: bool | None = None  # not known yet
        self.weight_bytes = len(data)

    def measure(self, batch: Batch) -> Statistics:
        """Means and variances of every norm's channels on one picture, (1, 3, H, W)."""
        found: Statistics = self._run("statistics", batch)
        return found

    def rest(self, side: int) -> None:
        """Give back the working memory of all sessions, which they share."""
        # It is given back after a run, and only then; this one takes a millisecond.
        self._run(self._output, np.zeros((1, 3, side, side), np.float32), _giving_back())

    def fixed(self, statistics: Statistics) -> Engine:
        """The network with these statistics, compiled in 20 to 40 ms; the latest few are kept."""
        values = np.ascontiguousarray(statistics, np.float32)
        key = values.tobytes()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        if self._folds is None:
            self._folds = self._folds_rightly()
        session = self._compiled(values, self._folds)
        with self._lock:
            self._kept[key] = session
            most = min(PAINT.sessions_kept, PAINT.kept_bytes // self.weight_bytes)
            while len(self._kept) > max(1, most):
                self._kept.popitem(last=False)
        return session

    def _compiled(self, values: Statistics, optimised: bool) -> Session:
        patched = onnxfile.with_initializers(
            self._data, {"fixed": np.array(True), "given_statistics": values}
        )
        return Session(_session(patched, self._name, self._way, optimised))

    def _folds_rightly(self) -> bool:
        """Whether this ONNX Runtime may fold given statistics: some do it wrong, without a word.

        1.24 and 1.25 fail or give other numbers; 1.19 to 1.23 and 1.32 are right. Without any
        optimisation all are right, and slower.
        """
        side = PAINT.trial_side
        trial = np.random.default_rng(0).uniform(-1, 1, (1, 3, side, side)).astype(np.float32)
        try:
            painted = self._compiled(self.measure(trial), True)(trial)
        except PainterError:
            return False
        return bool(np.abs(painted - self(trial)).max() <= PAINT.trial_tolerance)


def load(path: Path, threads: int = 0, device: str = "auto") -> tuple[Session, dict[str, str]]:
    """The network in a file, with the file's metadata; see `opened`. Raises PainterError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PainterError(f"{path} cannot be read ({error.strerror}).") from error
    return opened(data, str(path), threads, device)


def opened(
    data: bytes, name: str, threads: int = 0, device: str = "auto"
) -> tuple[Session, dict[str, str]]:
    """The network in the bytes of a file of this name, with the file's metadata.

    device: one of `devices()`, or auto: where there are several, the fastest of those that paint
    as the processor does. Raises PainterError, UsageError.
    """
    if not nameplate.is_model(data):
        raise PainterError(f"{name} {identify.of_bytes(data, name)}")
    onnxfile.check(data, name)
    found = devices()
    if device not in (*found, "auto"):
        raise UsageError(
            f"device {device!r} found; use auto or what ONNX Runtime has here: {', '.join(found)}."
        )
    if device == "auto":
        device = _fastest(data, name, found, threads) if len(found) > 1 else "cpu"
    way = Way(device, threads)
    session = _session(data, name, way)
    metadata: dict[str, str] = session.get_modelmeta().custom_metadata_map
    if "statistics" in [output.name for output in session.get_outputs()]:
        return TwoModes(session, data, name, way), metadata
    return Session(session), metadata


def _fastest(data: bytes, name: str, names: list[str], threads: int) -> str:
    """The device that paints a trial picture first, of those that paint it right."""
    side = PAINT.trial_side
    trial = np.random.default_rng(0).uniform(-1, 1, (1, 3, side, side)).astype(np.float32)
    expected, best, winner = None, float("inf"), "cpu"
    for device in reversed(names):  # the processor first: it says what is right
        try:
            session = Session(_session(data, name, Way(device, threads)))
            painted = session(trial)  # the first run prepares
            seconds = float("inf")
            for _ in range(PAINT.trial_runs):
                start = time.perf_counter()
                session(trial)
                seconds = min(seconds, time.perf_counter() - start)
        except Exception:
            if device == "cpu":
                raise
            continue  # a device that is offered and does not work is passed over
        expected = painted if expected is None else expected
        agrees = float(np.abs(painted - expected).max()) <= PAINT.trial_tolerance
        if agrees and seconds < best:
            best, winner = seconds, device
    return winner


@lru_cache(maxsize=1)
def _giving_back() -> Any:
    """To give back working memory after a run: what the next one needs may not fit its gaps."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


@lru_cache(maxsize=1)
def _shared_memory() -> None:
    """One store of working memory for all sessions of the process, in place of one each."""
    import onnxruntime

    kind = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    # It grows by what is asked for; doubling would take half as much again.
    onnxruntime.create_and_register_allocator(
        kind, onnxruntime.OrtArenaCfg({"arena_extend_strategy": 1})
    )


def _session(data: bytes, name: str, way: Way, optimised: bool = True) -> Any:
    import onnxruntime

    _shared_memory()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = way.threads
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.enable_mem_pattern = False  # it would hold a second copy of it all
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # errors arrive as exceptions; the library itself is quiet
    try:
        # What a device cannot do is done by the processor.
        providers = dict.fromkeys([DEVICES[way.device], DEVICES["cpu"]])
        return onnxruntime.InferenceSession(data, options, providers=list(providers))
    except Exception as error:
        if lacks_memory(error):
            raise MemoryError(str(error)) from error
        raise PainterError(
            f"{name} is not a painter that can be loaded ({str(error).splitlines()[0][:120]})."
        ) from error
