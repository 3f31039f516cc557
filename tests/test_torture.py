"""The suite of faults itself: that it tries something, and that it would see what is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from torture import wholeness
from torture.errors import LostError
from torture.place import Ended

from .conftest import REPOSITORY, picture


@pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX")
def test_one_kill(tmp_path):
    figures = tmp_path / "figures.json"
    words = ["--seed", "1", "--times", "1", "--only", "kill -9/folder", "--json", str(figures)]
    done = subprocess.run(
        [sys.executable, "-m", "torture", *words],
        cwd=REPOSITORY,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(figures.read_text())["scenarios"]
    assert (found["fault"], found["command"], found["lost"]) == ("kill -9", "folder", [])
    assert found["survived"] == found["tried"] >= 1
    assert "| kill -9 | folder |" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]


def test_half_a_file_is_seen(tmp_path):
    Image.fromarray(picture(40, 50)).save(tmp_path / "a.png")
    np.savez(tmp_path / "b.npz", values=np.arange(1000))
    (tmp_path / "c.json").write_text('{"a": 1}')
    (tmp_path / ".pleinair.jsonl").write_text("{}\n")
    wholeness.check(tmp_path)
    for name in ("a.png", "b.npz", "c.json"):
        path = tmp_path / name
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(LostError, match="is not whole"):
            wholeness.check(tmp_path)
        path.write_bytes(whole)


@pytest.mark.parametrize("name", ["a.png.part", ".hidden", "a.png~"])
def test_what_nobody_expects_is_seen(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(LostError):
        wholeness.check(tmp_path)


def test_a_failure_without_a_sentence_is_seen():
    assert Ended(1, "", "pleinair: it is full.\n", 0).sentence() == "pleinair: it is full."
    for error in ("", "Traceback (most recent call last):\n"):
        with pytest.raises(LostError):
            Ended(1, "", error, 0).sentence()
