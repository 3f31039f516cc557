"""What a server says no to, each with its status of HTTP and one sentence."""

from __future__ import annotations

from pleinair.errors import ImageError, OutputError, PainterError, PleinairError, UsageError


class RefusedError(PleinairError):
    """A request that gets no painting.

    status: of HTTP. reason: a word for counting. seconds: after which it may be tried again.
    """

    def __init__(
        self, status: int, sentence: str, reason: str = "", seconds: float | None = None
    ) -> None:
        super().__init__(sentence)
        self.status, self.reason, self.seconds = status, reason or str(status), seconds


def full(seconds: float) -> RefusedError:
    """There is no place for one photo more."""
    wait = f"{seconds:.0f} second{'' if round(seconds) == 1 else 's'}"
    return RefusedError(
        429, f"all places are taken by other photos; try again in {wait}.", "full", seconds
    )


def stopping() -> RefusedError:
    """The server is about to end."""
    return RefusedError(503, "the server is stopping; try again in a minute.", "stopping", 60)


def too_long(seconds: float) -> RefusedError:
    """A painting took more time than it may."""
    return RefusedError(
        503,
        f"painting took longer than {seconds:g} seconds and was given up; give a smaller photo "
        "or a larger brush.",
        "too long",
        60,
    )


def too_many_bytes(most: int) -> RefusedError:
    """A file is too large."""
    size = f"{most / 2**20:.4g} MiB" if most >= 2**20 else f"{most:,} bytes"
    return RefusedError(413, f"the photo has more than {size}; make it smaller first.", "bytes")


def too_many_pixels(found: str, most: int) -> RefusedError:
    """A picture is too large. found: what it is, as 100x200 pixels."""
    return RefusedError(
        413, f"the photo has {found}, more than {most:,} pixels; make it smaller first.", "pixels"
    )


def no_picture(sentence: str) -> RefusedError:
    """Something else than a picture that can be read."""
    return RefusedError(415, sentence, "type")


def unknown() -> RefusedError:
    """No such job."""
    return RefusedError(
        404, "there is no such painting; it was never asked for, or is forgotten.", "unknown"
    )


def of(error: Exception) -> RefusedError:
    """What to answer after an error of whatever room."""
    match error:
        case RefusedError():
            return error
        case MemoryError():
            return RefusedError(
                413, "the photo does not fit into memory; make it smaller.", "memory"
            )
        case ImageError():
            return RefusedError(422, str(error), "damaged")
        case OutputError() | UsageError() | PainterError():
            return RefusedError(422, str(error), "settings")
    return RefusedError(500, "the server failed at this; its log says how.", "failed")
