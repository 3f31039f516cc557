"""One file over the network: resumed where it broke off, length checked, renamed when whole."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from pleinair import files, parsing
from pleinair.errors import DataError, OutputError
from pleinair.settings import DATA

# What is done, bytes of it, bytes in all; or that, and why, a download is tried again.
Progress = Callable[[str, int, int | None], None]

_CHUNK = 2**18
_ROOM = "make room, or choose another place with --out"
_YES = ("1", "true", "yes", "on")


def silent(_what: str, _done: int, _all: int | None) -> None:
    """Nobody listens."""


def offline() -> bool:
    """Whether the user has said, by PLEINAIR_OFFLINE=1, that no network is to be touched."""
    return os.environ.get("PLEINAIR_OFFLINE", "").strip().lower() in _YES


class OtherFileError(DataError):
    """What is at an address has not the size that it had, or was told to have."""


class _Retry(Exception):  # noqa: N818 -- never leaves this file
    """Something that may go better the next time; its words end the sentence of the last try.

    unreached: there was no answer at all, of a name or of a server.
    """

    def __init__(self, words: str, wait: float | None = None, unreached: bool = False) -> None:
        super().__init__(words)
        self.wait = wait
        self.unreached = unreached


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not from https to where anybody may listen."""

    def redirect_request(
        self,
        req: Any,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        to = newurl.partition(":")[0].lower()
        if to not in ("http", "https") or (to == "http" and req.full_url.startswith("https:")):
            raise DataError(
                f"{_host(req.full_url)} leads from {req.type} to {newurl[:200]!r}; not followed."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(
    url: str,
    target: Path,
    size: int | None = None,
    headers: dict[str, str] | None = None,
    progress: Progress = silent,
    help_: str = "",
    most: int | None = None,
    room: str = _ROOM,
    instead: str = "",
    unreached_tries: int | None = None,
) -> None:
    """Download one file: into target.part, which a broken download leaves and the next goes on
    with, then renamed. `headers` go to the host of `url` only. most: bytes that are taken, by
    default DATA.max_download_bytes. room: what to do where the disk is full. instead: what else
    to do where the server has not got it, or is not there. unreached_tries: of a server that
    cannot be reached, by default DATA.tries.

    A part goes on only where the server says by ETag or date that the file is still the same.
    Tries again, ever later, until DATA.tries in a row bring nothing new. Raises DataError, also
    where the user wants no network; OutputError where the disk is full.
    """
    if offline():
        raise DataError(f"PLEINAIR_OFFLINE is set, so that {url} is not asked for; unset it.")
    part = target.with_name(f"{target.name}.part")
    if url.partition(":")[0].lower() not in ("http", "https"):
        raise DataError(f"{url[:200]} is no address of http or https; check it.")
    note = target.with_name(f"{target.name}.part.json")
    otherwise = f", or {instead}" if instead else ""
    request = _Download(
        url,
        part,
        note,
        size,
        headers or {},
        progress,
        (help_, otherwise),
        most or DATA.max_download_bytes,
        room,
    )
    failed, wait, most = 0, DATA.first_wait, 0
    while True:
        try:
            request.go_on()
            break
        except _Retry as error:
            now = request.done()
            failed = failed + 1 if now <= most else 1
            wait = DATA.first_wait if now > most else wait
            most = max(most, now)
            if failed >= ((error.unreached and unreached_tries) or DATA.tries):
                kept = (
                    f"; the {now:,} bytes of it are kept to go on with"
                    if request.can_go_on()
                    else ""
                )
                raise DataError(
                    f"{url} could not be downloaded: {error}{kept}; try again later{otherwise}."
                ) from error
            progress(f"trying again: {error}", now, size)
            time.sleep(min(error.wait if error.wait is not None else wait, DATA.longest_wait))
            wait *= 2
    part.replace(target)
    note.unlink(missing_ok=True)


class _Download:
    """One file in the coming: what is here, what the server said of it."""

    def __init__(
        self,
        url: str,
        part: Path,
        note: Path,
        size: int | None,
        headers: dict[str, str],
        progress: Progress,
        help_: tuple[str, str],
        most: int,
        room: str,
    ) -> None:
        self.url, self.part, self.note, self.size = url, part, note, size
        self.headers, self.progress = headers, progress
        self.help, self.otherwise = help_
        self.most, self.room = most, room
        self.opener = urllib.request.build_opener(_Redirects)

    def done(self) -> int:
        """Bytes that are here."""
        return self.part.stat().st_size if self.part.exists() else 0

    def can_go_on(self) -> bool:
        """Whether what is here counts the next time."""
        start, validator = self._part_to_go_on_with()
        return start > 0 and validator is not None

    def go_on(self) -> None:
        """Ask for what is missing and write it. Raises _Retry, DataError, OutputError."""
        url = urllib.parse.quote(self.url, safe="%/:=&?~#+!$,;'@()*[]")
        request = urllib.request.Request(url)  # noqa: S310 -- http and https only
        request.add_header("User-Agent", "pleinair")
        for name, value in self.headers.items():
            # Not sent on to where a redirect leads.
            request.add_unredirected_header(name, value)
        start, validator = self._part_to_go_on_with()
        if start and validator:
            request.add_header("Range", f"bytes={start}-")
            request.add_header("If-Range", validator)
        try:
            with self.opener.open(request, timeout=DATA.timeout) as answer:
                self._take(answer, start)
        except urllib.error.HTTPError as error:
            with error:
                self._refused(error, start)
        except ssl.SSLCertVerificationError as error:
            raise DataError(f"{_host(self.url)} has no valid certificate ({error}).") from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise DataError(
                    f"{_host(self.url)} has no valid certificate ({error.reason.verify_message})."
                ) from error
            raise _Retry(
                f"{_host(self.url)} cannot be reached ({error.reason})", unreached=True
            ) from error
        except http.client.InvalidURL as error:
            raise DataError(f"{self.url} is no address ({error}); check it.") from error
        except (http.client.HTTPException, OSError) as error:
            raise _Retry(f"the connection broke ({error or type(error).__name__})") from error

    def _part_to_go_on_with(self) -> tuple[int, str | None]:
        with contextlib.suppress(OSError, ValueError):
            kept = parsing.object_of(self.note.read_bytes())
            if kept.get("url") == self.url and isinstance(kept.get("validator"), str):
                return self.done(), kept["validator"]
        return 0, None

    def _take(self, answer: http.client.HTTPResponse, start: int) -> None:
        total = self._total(answer, start)
        if answer.status != 206:
            start = 0  # the server sends all of it, asked for or not
            self._remember(answer)
        limit = self.most if total is None else total
        if total is not None and total > self.most:
            raise DataError(
                f"{self.url} has {total:,} bytes, more than {self.most:,}; download it yourself."
            )
        if total is not None:
            self._check_space(total - start)
        done = start
        with files.writing(self.part, self.room):
            out = self.part.open("r+b" if start else "wb")
        with out:
            out.seek(start)
            self.progress("downloading", done, total)
            for chunk in _chunks(answer):
                done += len(chunk)
                if done > limit:
                    raise DataError(f"{self.url} sends more than {limit:,} bytes; not taken.")
                with files.writing(self.part, self.room):
                    out.write(chunk)
                self.progress("downloading", done, total)
        if total is not None and done < total:
            raise _Retry(f"the server promised {total:,} bytes and stopped after {done:,}")

    def _total(self, answer: http.client.HTTPResponse, start: int) -> int | None:
        total: int | None = None
        if answer.status == 206:
            match = re.fullmatch(
                r"bytes (\d+)-(\d+)/(\d+|\*)", answer.headers.get("Content-Range", "")
            )
            if match is None or int(match[1]) != start:
                self.note.unlink(missing_ok=True)  # from the beginning, next time
                raise _Retry("the server sent another part of the file than was asked for")
            total = int(match[3]) if match[3] != "*" else None
        elif (length := answer.headers.get("Content-Length", "")).isdecimal():
            total = int(length)
        if self.size is not None and total not in (None, self.size):
            raise OtherFileError(
                f"{self.url} has {total:,} bytes now, not {self.size:,}; it is another file."
            )
        return self.size if total is None else total

    def _remember(self, answer: http.client.HTTPResponse) -> None:
        tag = answer.headers.get("ETag", "")
        # A weak tag promises pictures that look alike, not the same bytes.
        validator = tag if tag.startswith('"') else answer.headers.get("Last-Modified")
        with files.writing(self.note, self.room):
            kept = json.dumps({"url": self.url, "validator": validator})
            self.note.write_text(kept, encoding="utf-8")

    def _refused(self, error: urllib.error.HTTPError, start: int) -> None:
        if error.code == 416:  # nothing is left to send: the part is the whole, or of another file
            if error.headers.get("Content-Range", "") == f"bytes */{start}":
                return
            self.note.unlink(missing_ok=True)
            raise _Retry("the server has another file now")
        if error.code in (408, 425, 429) or error.code >= 500:
            wait = error.headers.get("Retry-After", "")
            raise _Retry(
                f"the server answers {error.code} {error.reason}",
                float(wait) if wait.isdecimal() else None,
            )
        usual = "check the address" if error.code in (404, 410) else "it may want a login"
        what = (self.help or usual) + self.otherwise
        raise DataError(f"{self.url} is refused ({error.code} {error.reason}); {what}.")

    def _check_space(self, missing: int) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if missing > free:
            raise OutputError(
                f"{self.part.parent} has {free:,} bytes free and {missing:,} are missing; "
                f"{self.room}."
            )


def _chunks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := answer.read(_CHUNK):
            yield chunk
    except http.client.IncompleteRead as error:
        yield error.partial
        raise


def _host(url: str) -> str:
    return urllib.parse.urlsplit(url).hostname or url
