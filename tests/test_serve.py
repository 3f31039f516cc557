"""Servers that listen: in a thread with a painter of ours, and `pleinair serve` as a process."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pleinair import images, listening
from pleinair.cli import app as cli
from pleinair.cli import main
from pleinair.errors import MissingExtraError
from pleinair.web import make_app

from .conftest import REPOSITORY, SAMPLES
from .serving import LIMITS, Slow, jpeg, running, until

# `pleinair serve` itself, but that it does not wait as long for those who are slow.
SERVE = """
import sys
from dataclasses import replace
from pleinair import settings
settings.SERVE = replace(
    settings.SERVE, head_seconds=0.5, body_seconds=1.0, linger_seconds=0.5, fetch_seconds=1.0,
    linger_bytes=8 * 2**20,
)
from pleinair.cli import main
main()
"""


def ask(port: int, path: str, data: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, method=None)
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def post(port: int, data: bytes, query: str = "", **headers: str) -> tuple[int, bytes]:
    return ask(port, f"/v1/paintings{query}", data, Content_Type="image/jpeg", **headers)


def metric(port: int, name: str) -> float:
    lines = ask(port, "/metrics")[1].decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), 0.0)


def until_closed(wire: socket.socket, seconds: float = 5.0) -> bytes:
    """All that comes until the other side closes."""
    wire.settimeout(seconds)
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while part := wire.recv(65536):
            got += part
    return got


@pytest.fixture
def served(tmp_path) -> Iterator[tuple[subprocess.Popen[str], int, Path]]:
    with serving(tmp_path) as made:
        yield made


@contextlib.contextmanager
def serving(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], int, Path]]:
    """A process, its port, and its folder of temporary files."""
    temporary = folder / "tmp"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SERVE, "serve", "--port", "0", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
        # The tests may run in the background, where SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        line = process.stdout.readline().strip()
        assert line.startswith("http://127.0.0.1:"), process.stderr.read()
        port = int(line.rstrip("/").rpartition(":")[2])
        until(lambda: ask(port, "/readyz")[0] == 200)
        yield process, port, temporary
    finally:
        process.kill()
        process.communicate()


# --- a process --------------------------------------------------------------------------------


def test_who_is_slow_is_shown_the_door(served):
    _process, port, temporary = served
    began = time.monotonic()
    head = socket.create_connection(("127.0.0.1", port))
    head.sendall(b"GET /v1/limits HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    silent = socket.create_connection(("127.0.0.1", port))
    body = socket.create_connection(("127.0.0.1", port))
    body.sendall(
        b"POST /v1/paintings HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
        b"Content-Length: 5000\r\n\r\n"
    )
    drops = 0
    for wire in (head, body):  # a byte at a time
        wire.settimeout(0.01)
    while drops < 40 and time.monotonic() - began < 0.9:
        for wire in (head, body):
            with contextlib.suppress(OSError):
                wire.sendall(b"x")
        drops += 1
        time.sleep(0.05)
    assert b" 408 " in until_closed(head)
    assert until_closed(silent) == b""
    answer = until_closed(body)
    assert b" 408 " in answer
    assert b"did not come within 1 seconds" in answer
    assert time.monotonic() - began < 15
    for wire in (head, silent, body):
        wire.close()
    assert metric(port, "pleinair_waiting") == 0
    # A second request on a connection has to come in time, too.
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in wire.recv(65536)
        wire.sendall(b"GET /healthz HTT")
        assert b" 408 " in until_closed(wire)
    # Bodies without end, with and without a length that lies.
    for length in (b"Transfer-Encoding: chunked", b"Content-Length: 100000000000"):
        with socket.create_connection(("127.0.0.1", port)) as wire:
            wire.sendall(
                b"POST /v1/paintings HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
                + length
                + b"\r\n\r\n"
            )
            part = b"100000\r\n" + bytes(2**20) + b"\r\n"
            sent = 0
            with contextlib.suppress(OSError):
                wire.settimeout(3)
                while sent < 400:
                    wire.sendall(part)
                    sent += 1
            assert sent < 120  # MiB: 64 of a photo, 8 thrown away, the rest on its way
    status, found = post(port, SAMPLES[0].read_bytes(), "?side=64")
    assert (status, found[:2]) == (200, b"\xff\xd8")
    assert list(temporary.iterdir()) == []


def test_sigterm_finishes_what_is_painted(served):
    process, port, temporary = served
    photo = jpeg(1200, 1000)  # a second or two: time to see it painted
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(post(port, photo))) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: metric(port, "pleinair_painting") >= 1)
    process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(30)
    assert process.wait(20) == 0
    codes = sorted(code for code, _ in answers)
    assert codes in ([200, 200], [200, 503])
    assert process.stderr.read() == ""
    assert list(temporary.iterdir()) == []


def test_ctrl_c_ends_it(served):
    process, _port, _ = served
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert process.stderr.read() == ""


def test_a_port_in_use(monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        monkeypatch.setattr(sys, "argv", ["pleinair", "serve", "--port", port])
        with pytest.raises(SystemExit):
            main()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"127.0.0.1 port {port} cannot be listened on (Address already in use)" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--port", "70000"], "--port 70000 found; give a number from 0 to 65,535."),
        (["--queue", "0"], "--queue 0 found"),
        (["--max-bytes", "much"], "--max-bytes much found; give a size of 1 or more"),
        (["--max-pixels", "0"], "--max-pixels 0 found"),
        (["--timeout", "0"], "--timeout 0"),
        (["--key", "é"], "an empty or odd key"),
        (["--jobs", "0"], "--jobs 0 found"),
        (["--allow-host", "https://a.example/"], "give a host's name alone"),
        (["nobody"], "painter 'nobody' is unknown"),
    ],
)
def test_words_that_make_no_sense(words, sentence, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pleinair", "serve", *words])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    assert sentence in capsys.readouterr().err


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pleinair.web", None)
    monkeypatch.delattr("pleinair.web", raising=False)
    with pytest.raises(MissingExtraError, match=r"pleinair\[serve\]"):
        cli(["serve", "--port", "0"], exit_on_error=False)


# --- in a thread ------------------------------------------------------------------------------


def test_who_leaves_gives_up_their_place():
    slow = Slow()
    with running(slow.painter) as port:
        photo = jpeg(600, 400)
        wires = []
        for _ in range(3):
            wire = socket.create_connection(("127.0.0.1", port))
            wire.sendall(
                b"POST /v1/paintings?layers=4 HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b" % (len(photo), photo)
            )
            wires.append(wire)
        # And one that leaves while it still sends.
        early = socket.create_connection(("127.0.0.1", port))
        early.sendall(
            b"POST /v1/paintings HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
            b"Content-Length: 50000\r\n\r\nx"
        )
        assert slow.begun.wait(5)
        until(lambda: metric(port, "pleinair_waiting ") == 2)
        for wire in [early, *wires]:
            wire.close()
        until(lambda: metric(port, "pleinair_waiting ") == 0)
        slow.go.set()
        until(lambda: metric(port, "pleinair_painting ") == 0)
        assert slow.calls == 1  # of four layers of the first
        assert post(port, jpeg())[0] == 200


def test_an_answer_that_is_not_taken_is_not_kept():
    with running(limits=replace(LIMITS, answer_seconds=0.2)) as port:
        photo = jpeg(1600, 1300)
        wire = socket.socket()
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.connect(("127.0.0.1", port))
        wire.sendall(
            b"POST /v1/paintings?format=bmp HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b" % (len(photo), photo)
        )
        until(lambda: metric(port, "pleinair_painted_seconds_count") == 1)
        time.sleep(1.5)
        wire.settimeout(5)
        got = 0
        with contextlib.suppress(ConnectionResetError):
            while part := wire.recv(65536):
                got += len(part)
        wire.close()
        assert got < 1600 * 1300 * 3


def test_what_is_no_http():
    with running() as port, socket.create_connection(("127.0.0.1", port)) as wire:
        wire.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        head, _, body = until_closed(wire).partition(b"\r\n\r\n")
        assert b" 400 " in head
        assert "no HTTP" in json.loads(body)["detail"]


def test_connections_are_bounded():
    with running(limits=replace(LIMITS, connections=3)) as port:
        wires = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        with socket.create_connection(("127.0.0.1", port)) as wire:
            answer = until_closed(wire)
        assert b" 503 " in answer
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["detail"].endswith(".")
        wires[0].sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in wires[0].recv(65536)
        assert ask(port, "/healthz")[0] == 200  # in the place of one that was idle
        until_closed(wires[0])  # which fails where it is not
        for wire in wires:
            wire.close()


def test_a_second_signal_ends_it_at_once_and_in_one_line(tmp_path):
    with serving(tmp_path, "--timeout", "60") as (process, port, _):
        found: list[tuple[int, bytes]] = []
        photo = jpeg(1900, 1900)
        asking = threading.Thread(target=lambda: found.append(post(port, photo)))
        asking.start()
        until(lambda: metric(port, "pleinair_painting") == 1)
        process.send_signal(signal.SIGINT)
        until(lambda: ask(port, "/readyz")[0] == 503)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) in (0, 130)
        asking.join(20)
        assert found[0][0] in (200, 503)
        assert "Traceback" not in process.stderr.read()


def test_a_job_is_fetched_after_sigterm():
    slow = Slow()
    at = listening.bound("127.0.0.1", 0)
    port = at.getsockname()[1]
    app = make_app(slow.painter, LIMITS)
    server = listening.Server(app, LIMITS)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [at]})
    thread.start()
    job = json.loads(post(port, jpeg(), Prefer="respond-async")[1])
    assert slow.begun.wait(5)
    server.should_exit = True
    until(lambda: ask(port, "/readyz")[0] == 503)
    assert post(port, jpeg())[0] == 503
    slow.go.set()
    place = f"/v1/paintings/{job['id']}"
    until(lambda: json.loads(ask(port, place)[1])["state"] == "done")
    assert ask(port, f"{place}/image")[0] == 200
    thread.join(10)
    assert not thread.is_alive()
    app.state.orders.stop()


def test_a_refusal_reaches_who_is_still_sending():
    with running(limits=replace(LIMITS, bytes=10_000)) as port:
        # urllib asks for the connection to be closed, and sends everything before it listens.
        status, said = post(port, bytes(3_000_000))
        assert status == 413
        assert b"more than 10,000 bytes" in said


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_examples_of_the_docs(tmp_path):
    text = (REPOSITORY / "docs" / "serve.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if "curl " in line]
    assert len(lines) > 10
    (tmp_path / "beach.jpg").write_bytes(jpeg(90, 60))
    with running() as port:
        until(lambda: ask(port, "/readyz")[0] == 200)
        script = "set -e\n" + "\n".join(lines).replace("127.0.0.1:8000", f"127.0.0.1:{port}")
        subprocess.run(["bash", "-c", script], cwd=tmp_path, check=True, capture_output=True)
    for name in ("beach.monet.jpg", "beach.monet.png", "small.jpg", "painted.jpg", "preview.jpg"):
        assert images.kind_of((tmp_path / name).read_bytes()[:64])
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, "serve.md", "exec"), {})


def head(path: str, kind: str, length: int) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def answered(wire: socket.socket) -> int:
    """The status of one whole answer on a connection that stays."""
    got = b""
    while b"\r\n\r\n" not in got:
        part = wire.recv(65536)
        assert part, got
        got += part
    first, _, rest = got.partition(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", first.lower())[1])
    while len(rest) < length:
        part = wire.recv(65536)
        assert part, got
        rest += part
    assert len(rest) == length
    return int(first.split()[1])


def test_a_request_right_behind_an_early_answer_is_answered_too():
    photo = jpeg()
    with running() as port, socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
        wire.sendall(head("/v1/paintings", "text/plain", 1000))
        assert answered(wire) == 415  # before its body has come
        half = len(photo) // 2
        again = head("/v1/paintings", "image/jpeg", len(photo))
        wire.sendall(bytes(1000) + again + photo[:half])
        time.sleep(0.3)
        wire.sendall(photo[half:])
        assert answered(wire) == 200


def test_a_connection_may_rest_between_requests():
    limits = replace(LIMITS, head_seconds=0.3)
    with (
        running(limits=limits) as port,
        socket.create_connection(("127.0.0.1", port), timeout=20) as wire,
    ):
        wire.sendall(head("/v1/paintings", "text/plain", 1000))
        assert answered(wire) == 415
        wire.sendall(bytes(1000))
        time.sleep(0.8)  # longer than a head may take
        wire.sendall(head("/v1/paintings", "image/jpeg", len(photo := jpeg())) + photo)
        assert answered(wire) == 200
