"""`pleinair serve`."""

from __future__ import annotations

import ipaddress
import logging
import re
import signal
import webbrowser
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from pleinair.cli.fetching import at_hand
from pleinair.cli.looks import options_of, size_of
from pleinair.cli.terminal import give, leave_at_once, say, shown
from pleinair.errors import MissingExtraError, UsageError
from pleinair.settings import PAINT, SERVE, PaintOptions

_WHO = Group.create_ordered("Who may ask")
_LIMITS = Group.create_ordered("What is taken")
_WORK = Group.create_ordered("How the work is done")


def serve(
    painter: Annotated[str, Parameter(name="PAINTER")] = PAINT.painter,
    /,
    *,
    painters: Path | None = None,
    open_page: Annotated[bool, Parameter(name="--open", negative=())] = False,
    host: Annotated[str, Parameter(group=_WHO)] = SERVE.host,
    port: Annotated[int, Parameter(group=_WHO)] = SERVE.port,
    key: Annotated[str | None, Parameter(env_var="PLEINAIR_KEY", group=_WHO)] = None,
    allow_host: Annotated[tuple[str, ...], Parameter(negative=(), group=_WHO)] = (),
    max_bytes: Annotated[str, Parameter(group=_LIMITS)] = f"{SERVE.bytes // 2**20}M",
    max_pixels: Annotated[int, Parameter(group=_LIMITS)] = SERVE.pixels,
    queue: Annotated[int, Parameter(group=_LIMITS)] = SERVE.queue,
    timeout: Annotated[float, Parameter(group=_LIMITS)] = SERVE.seconds,
    jobs: Annotated[int | None, Parameter(group=_WORK)] = SERVE.jobs,
    memory: Annotated[str | None, Parameter(group=_WORK)] = None,
    device: Annotated[str, Parameter(group=_WORK)] = PaintOptions.device,
) -> int:
    """Paint over HTTP: a page for people, and an API.

    Nobody but this computer can ask unless --host says so. The address is printed when the server
    listens. Ctrl-C or SIGTERM ends it when what is painted is done.

    Parameters
    ----------
    painter
        Name of the painter, its file, or a folder of painters.
    painters
        A folder of more painters to choose from; it may change while the server runs.
    open_page
        Open the page in a browser.
    host
        Address to listen at; 0.0.0.0 is every one that this computer has.
    port
        Port to listen at; 0: any that is free.
    key
        What requests have to bring, as Authorization: Bearer KEY.
    allow_host
        Name under which the server is reached, as paint.example.org; may be given again. Without
        any, a server at another address than this computer's own answers to every name if it has a
        key, else to addresses in numbers alone.
    max_bytes
        Of a photo's file.
    max_pixels
        Of a photo; of an animation, of all its frames together.
    queue
        How many photos may wait; one more is answered with 429.
    timeout
        Seconds that one painting may take.
    jobs
        How many photos to paint at once. Default: small ones side by side, large ones alone.
    memory
        How much painting takes, 512M or more, as 1.5G. Default: by what is free, up to 1.4G.
    device
        Where to paint: auto, cpu, or another that the painter's engine has.
    """
    options = options_of(None, None, False, False, memory, device, jobs)
    for name, value, least, most in (
        ("--port", port, 0, 65_535),
        ("--max-pixels", max_pixels, 1, PAINT.max_pixels),
        ("--queue", queue, 1, 100_000),
        ("--timeout", timeout, 1, 86_400),
    ):
        if not least <= value <= most:
            raise UsageError(f"{name} {value} found; give a number from {least} to {most:,}.")
    if key is not None and not (key.isascii() and key.isprintable() and key.strip() == key != ""):
        raise UsageError(
            "an empty or odd key found in --key or PLEINAIR_KEY; give one of letters, digits and "
            "signs of ASCII, or none."
        )
    for name in allow_host:
        if name != "*" and not re.fullmatch(r"[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]", name):
            raise UsageError(
                f"--allow-host {name!r} found; give a host's name alone, as paint.example.org, or "
                "'*' for any."
            )
    size = size_of(max_bytes, "--max-bytes", 1)
    limits = replace(
        SERVE,
        bytes=size,
        bytes_waiting=max(SERVE.bytes_waiting, size),
        pixels=max_pixels,
        queue=queue,
        seconds=timeout,
        jobs=jobs,
    )
    try:
        from pleinair import guard, listening, web
    except ImportError as error:
        raise MissingExtraError(
            f"serving needs {error.name}; run pip install 'pleinair[serve]' first."
        ) from error
    _log()
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # a bad form is no news
    at_hand(painter)
    private = _is_loopback(host)
    if private or allow_host:
        hosts = (*guard.LOOPBACK, *allow_host)
    else:
        hosts = guard.ANY if key is not None else (*guard.NUMBERS, host)
    app = web.make_app(painter, limits, painters=painters, key=key, hosts=hosts, options=options)
    at = listening.bound(host, port)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{at.getsockname()[1]}/"
    if not private and key is None:
        say(f"warning: whoever reaches {address} may paint; --key asks them for a key.")

    def told() -> None:
        give(address)
        if open_page:
            webbrowser.open(address if key is None else f"{address}#key={key}")

    # uvicorn stops at these signals, and raises them once more when it has ended.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    whole = listening.listen(app, at, limits, told)
    if app.state.orders.at_work or not whole:
        # A painting at work cannot be stopped; nothing of it is on the disk.
        leave_at_once(0 if whole else 130)
    return 0


def _log() -> None:
    """Have what goes wrong told on stderr."""

    class Shown(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return shown(super().format(record))

    handler = logging.StreamHandler()
    handler.setFormatter(Shown("pleinair: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
