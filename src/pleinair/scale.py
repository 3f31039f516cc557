"""Whole libraries of photos, painted by the workers of a Ray cluster; the only room that knows Ray.

Names go to the workers and outcomes come back; photos and paintings pass from and to storage.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from pleinair import easel, memory, storage
from pleinair.campaign import Campaign, table_of
from pleinair.crew import Commission, Hand, Outcome, Wish
from pleinair.errors import MissingExtraError, OutputError, PleinairError, UsageError
from pleinair.settings import FOLDERS, LOOK, PAINT, PAINT_OPTIONS, SCALE, Look, PaintOptions
from pleinair.workers import Told

_PREFIX = "pleinair-ray-"
# Before Ray is imported: it is to phone nobody, and to say nothing of its own.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_DATA_LOG_LEVEL": "CRITICAL",  # what goes wrong becomes a sentence of ours
}


def paint_library(
    painter: str | Path,
    places: Sequence[str],
    out: str,
    *,
    look: Look = LOOK,
    workers: int | None = None,
    told: Told | None = None,
    options: PaintOptions = PAINT_OPTIONS,
) -> Generator[Outcome]:
    """Paint whole folders with many workers, and yield what became of each photo, as it is known.

    places, out: folders, or addresses as s3://bucket/folder; names of paintings are those that
    `folders.paint_many` gives. A photo that was painted into `out` before, and whose painting is
    as it was left, is skipped. The cluster is the one that RAY_ADDRESS names, or that this process
    has joined; without, the cores of this machine.
    workers: how many at most, each with a core, or with a GPU where `options.device` is one; by
    default as many as there are of these. told: called now and then.
    A photo that cannot be painted is yielded as failed, with a sentence. Raises UsageError,
    ImageError, OutputError, PainterError or MissingExtraError where nothing can be painted at all.
    Closing the iterator stops everything; paintings are whole or not there at all. Where one of
    Ray's own processes on this machine dies, Ray ends the process that uses it.

    >>> from pleinair.scale import paint_library
    >>> for done in paint_library("monet", ["s3://holiday/photos"], "s3://holiday/paintings"):
    ...     print(done.status, done.painting)
    painted s3://holiday/paintings/two.png
    painted s3://holiday/paintings/beach/one.jpg
    """
    ray = _ray()
    campaign = Campaign(painter, places, out, look, options, told)
    with campaign.alone():
        yield from campaign.begin()
        if campaign.wishes:
            commission = campaign.commission(options)  # what cannot be written to is told at once
            with _joined(ray, workers) as local:
                count, options = _dealt(options, _room(ray, workers, options), local)
                commission = replace(commission, options=options)
                painted = _painted(ray, campaign, commission, count, local)
                with contextlib.closing(painted):
                    yield from campaign.followed(painted)
        campaign.finish()


class _Worker:
    """What Ray keeps in each worker's process."""

    def __init__(self, commission: Commission) -> None:
        self._commission = commission
        self._hand: Hand | None = None

    def __call__(self, table: Any) -> Any:
        if self._hand is None:
            # Not sooner: what goes wrong in a constructor, Ray would try again and again.
            self._hand = Hand(self._commission)
        rows = table.to_pylist()
        share = rows[0]["share"]
        wishes = [Wish(**{name: row[name] for name in row if name != "share"}) for row in rows]
        outcomes = self._hand.paint(share, wishes)
        return table_of(Outcome, outcomes)


def _painted(
    ray: Any, campaign: Campaign, commission: Commission, count: int, local: bool
) -> Generator[Outcome]:
    """Outcomes as shares end."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = 2**20  # outcomes are small, and so is the local object store
    shares = campaign.shares(count)
    count = min(count, len(shares))
    # A worker that dies is replaced, and its share done again, as often as it takes.
    pool = {"size": count} if local else {"min_size": 1, "max_size": count}
    dataset = ray.data.from_arrow(shares).map_batches(
        _Worker,
        fn_constructor_args=(commission,),
        batch_size=None,
        batch_format="pyarrow",
        zero_copy_batch=True,
        compute=ray.data.ActorPoolStrategy(max_tasks_in_flight_per_actor=2, **pool),
        num_cpus=1,
        num_gpus=int(_on_gpu(commission.options)),
        memory=None if local else commission.options.memory,
    )
    try:
        for table in dataset.iter_batches(
            batch_size=None, batch_format="pyarrow", prefetch_batches=0
        ):
            for row in table.to_pylist():
                yield Outcome(**row)
    except ray.exceptions.RayError as error:
        raise _meant(error) from error


def _meant(error: BaseException) -> PleinairError:
    """Our own error behind one of Ray's, or one with Ray's words."""
    known: BaseException | None = error
    while known is not None:
        if isinstance(known, PleinairError):
            return known
        known = getattr(known, "cause", None) or known.__cause__
    last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return OutputError(
        f"the cluster gave up ({last}); see to it, then run the same again: what is done is kept."
    )


@contextlib.contextmanager
def _joined(ray: Any, workers: int | None) -> Iterator[bool]:
    """A cluster meanwhile, and whether it is this machine alone. Raises OutputError."""
    if ray.is_initialized():
        yield False
    elif address := os.environ.get("RAY_ADDRESS"):
        _check_answers(address)
        try:
            _begin(ray, tries=1)
            yield False
        finally:
            ray.shutdown()
    else:
        with _local(ray, workers or easel.cores()):
            yield True


def _check_answers(address: str) -> None:
    """Ray itself would look for a machine that is not there for a minute, and not be stopped."""
    host, colon, port = address.rpartition(":")
    if not colon or "/" in address or not port.isdecimal():
        return  # as auto
    try:
        socket.create_connection((host.strip("[]"), int(port)), SCALE.answer_seconds).close()
    except (OSError, OverflowError) as error:
        raise OutputError(
            f"nobody answers at {address} ({storage.why(error)}); see that RAY_ADDRESS names a "
            "cluster that runs."
        ) from error


def _begin(ray: Any, tries: int = SCALE.starts, **settings: Any) -> None:
    for left in reversed(range(tries)):
        try:
            ray.init(logging_level=logging.CRITICAL, log_to_driver=False, **settings)
            break
        except Exception as error:  # Ray raises all kinds, of these one that has no name
            ray.shutdown()
            if left:  # on a busy machine its parts do not find each other in time
                continue
            where = os.environ.get("RAY_ADDRESS") or "this machine"
            why = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise OutputError(
                f"Ray does not answer on {where} ({why}); see that "
                "RAY_ADDRESS names a cluster that runs, or that this machine is not too busy."
            ) from error
    # What it says of workers that died would stand among the data on standard output.
    ray._private.worker._worker_logs_enabled = False


@contextlib.contextmanager
def _local(ray: Any, count: int) -> Iterator[None]:
    """Ray on this machine's cores alone, and nothing left of it."""
    base = Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir())  # noqa: S108
    _sweep(base)
    # Sockets lie in it, whose names may have some hundred characters.
    place = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=base))
    try:
        _begin(
            ray,
            address="local",
            num_cpus=count,
            include_dashboard=False,
            object_store_memory=SCALE.object_store,
            _temp_dir=str(place),
        )
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(place, ignore_errors=True)


def _sweep(base: Path) -> None:
    """Remove what those left behind who were killed."""
    for folder in base.glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _dealt(options: PaintOptions, room: int, local: bool) -> tuple[int, PaintOptions]:
    """Workers, at most `room`, and the options of each: what it may take of the memory."""
    if not local:  # how many share a machine is Ray's to know
        return room, replace(options, memory=options.memory or PAINT.memory)
    whole = memory.most(options.memory)
    # Rather fewer workers than a machine without memory, where Ray itself would be ended.
    count = max(1, min(room, whole // (PAINT.least_memory + FOLDERS.bytes_ahead)))
    each = max(PAINT.least_memory, whole // count - FOLDERS.bytes_ahead)
    return count, replace(options, memory=min(each, max(PAINT.memory, options.memory or 0)))


def _on_gpu(options: PaintOptions) -> bool:
    return options.device not in ("auto", "cpu")


def _room(ray: Any, asked: int | None, options: PaintOptions) -> int:
    """Workers that there is room for, at most as many as are asked for. Raises UsageError."""
    kind = "GPU" if _on_gpu(options) else "CPU"
    room = int(ray.cluster_resources().get(kind, 0))
    if not room:
        raise UsageError(
            f"Ray knows of no {kind} here; "
            + ("leave --device out." if kind == "GPU" else "start a machine with some first.")
        )
    return min(asked or room, room)


def _ray() -> Any:
    """Ray, told how to behave before it is imported, since it does not listen after."""
    wanted = dict(_QUIET)
    ours = not os.environ.get("RAY_ADDRESS") and "RAY_AUTH_MODE" not in os.environ
    if ours:
        # Of its own, it listens on all addresses of the machine, and to everybody.
        wanted |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    loaded = sys.modules.get("ray")
    if loaded is None:
        os.environ |= {name: os.environ.get(name, value) for name, value in wanted.items()}
    elif ours and not loaded.is_initialized():
        raise UsageError(
            "ray was imported before it could be guarded by a token; import it after the first "
            "paint_library, or begin it by ray.init()."
        )
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError(
            f"--cluster needs {error.name}; run pip install 'pleinair[scale]' first."
        ) from error
    return ray
