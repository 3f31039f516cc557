"""Batches made ready while a step runs, with the same batches and states as without."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from threading import get_ident
from typing import Any, NamedTuple, Self, final

from pleinair.data import Stream
from pleinair.images import Batch, Pixels
from pleinair.settings import DATA


class _Ready(NamedTuple):
    """What one turn of the worker made: a batch or an error, the state after it, words."""

    made: Batch | Exception
    state: dict[str, Any]
    notes: list[str]


@final
class Prefetched:
    """A stream some batches ahead of whoever takes them.

    One thread draws batches in order, so that they are those of the plain stream whatever the
    timing; others decode the pictures that come next. `state()` is that after the last batch that
    was handed out, so a run resumes bit for bit. An error is raised by the `next_batch()` whose
    batch it spoils; words for `pictures.warn` are said there too, in the caller's thread. Threads
    begin with the first batch; `close()` or leaving the context ends them, as do the garbage
    collector and the interpreter's exit. Until closed, the stream is used through this only.
    """

    def __init__(
        self, stream: Stream, ahead: int = DATA.batches_ahead, decoders: int = DATA.decoders
    ) -> None:
        self.stream = stream
        self._ahead, self._decoders = ahead, decoders
        self._state = stream.state()
        self._worker: _Worker | None = None
        self._stop: weakref.finalize[[], Prefetched] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def next_batch(self) -> Batch:
        """The next batch of the stream. Raises what the stream raises, again at every call."""
        if self._worker is None:
            self._worker = _Worker(self.stream, self._ahead, self._decoders)
            self._stop = weakref.finalize(self, self._worker.stop)
        ready = self._worker.take()
        for note in ready.notes:
            self._worker.warn(note)
        if isinstance(ready.made, Exception):
            self.close()
            raise ready.made
        self._state = ready.state
        return ready.made

    def state(self) -> dict[str, Any]:
        """All that the next batch to be handed out depends on, as plain values."""
        return self._state

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, as `Stream.restore`; batches that were made ready are dropped."""
        self.close()
        self.stream.restore(state)
        self._state = self.stream.state()

    def close(self) -> None:
        """End the threads and put the stream where its last batch left it; may be used again."""
        worker, stop = self._worker, self._stop
        if worker is None or stop is None:
            return
        stop()
        self._worker = self._stop = None
        for note in worker.untold():
            worker.warn(note)
        self.stream.restore(self._state)


@final
class _Worker:
    """The threads behind Prefetched: they know the stream, not who takes its batches."""

    def __init__(self, stream: Stream, ahead: int, decoders: int) -> None:
        self.stream = stream
        self.warn = stream.pictures.warn
        self._ahead = ahead
        self._notes: deque[str] = deque()
        self._ready: deque[_Ready] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._pending: dict[int, Future[Pixels | None]] = {}
        self._own: set[int] = set()  # idents of our threads
        self._pool = ThreadPoolExecutor(decoders, "decode", self._begin)
        stream.pictures.warn = self._notes.append
        stream.decode = self._decode
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    def take(self) -> _Ready:
        """The next of what was made, waited for."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready)
            self._changed.notify_all()
            return self._ready.popleft()

    def stop(self) -> None:
        """End the threads; the stream is a plain one again."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        # The garbage collector may call from a thread of ours, which cannot wait for itself.
        if get_ident() not in self._own:
            self._thread.join()
        self.stream.pictures.warn = self.warn
        self.stream.decode = None

    def untold(self) -> list[str]:
        """Words of batches that nobody took, once stopped."""
        return [*(note for ready in self._ready for note in ready.notes), *self._notes]

    def _begin(self) -> None:
        self._own.add(get_ident())
        if sys.platform == "linux":  # where threads have priorities of their own
            # A step's threads wait for each other: one pushed aside holds up both.
            least = max(os.getpriority(os.PRIO_PROCESS, 0), DATA.decoder_niceness)
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), least)

    def _run(self) -> None:
        self._begin()
        with self._pool:
            while self._has_room():
                ready = self._make()
                with self._changed:
                    self._ready.append(ready)
                    self._changed.notify_all()
                if isinstance(ready.made, Exception):
                    break
            self._pool.shutdown(cancel_futures=True)

    def _has_room(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._ready) < self._ahead)
            return not self._stopped

    def _make(self) -> _Ready:
        made: Batch | Exception
        try:
            self._decode_ahead()
            made = self.stream.next_batch()
        except Exception as error:  # raised again where the batch's turn comes
            made = error
        notes = [self._notes.popleft() for _ in range(len(self._notes))]
        return _Ready(made, self.stream.state(), notes)

    def _decode_ahead(self) -> None:
        # What comes after the next shuffle is not known yet, so decoding pauses there briefly.
        pictures = self.stream.pictures
        for index in self.stream.upcoming(self._ahead):
            if index not in self._pending and pictures.kept(index) is None:
                self._pending[index] = self._pool.submit(pictures.get, index)

    def _decode(self, index: int) -> Pixels | None:
        future = self._pending.pop(index, None)
        return self.stream.pictures.get(index) if future is None else future.result()
