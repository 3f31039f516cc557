"""Every parser against some hundred bad files; `make fuzz` tries millions."""

from __future__ import annotations

import io
import logging
import struct
import sys
import zlib
from pathlib import Path

import pytest
from fuzz import mending, numbered, promise, targets
from hypothesis import given, settings
from hypothesis import strategies as st

from pleinair import tfrecord
from pleinair.errors import ImageError
from pleinair.foreign import table
from tests import bundles, test_sources
from tests.conftest import REPOSITORY

TARGETS = targets.TARGETS
# Seeds that are refused as they stand: weights of no whole network, and a form without a name.
REFUSED = {
    "form": 1,
    "hdf5": 2,
    "keras-config": 1,
    "safetensors": 2,
    "torch-file": 2,
    "torch-pickle": 4,
    "checkpoint": 3,
    "zipped-pictures": 1,
    "manifest": 1,
}


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable()  # the parser of forms logs what is wrong with each
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_good_files_are_taken(name):
    target = TARGETS[name]
    for mended in (promise.as_it_is, target.mended):
        found = [promise.outcome(target, mended(seed)) for seed in target.seeds()]
        assert found.count("refused") <= REFUSED.get(name, 0), found


@pytest.mark.parametrize("name", sorted(name for name, one in TARGETS.items() if one.examples))
def test_bad_files_are_taken_or_refused_in_one_sentence(name, capfd):
    for number in range(TARGETS[name].examples):
        try:
            promise.outcome(TARGETS[name], numbered.file_of(name, number))
        except Exception as error:
            raise AssertionError(f"python -m fuzz.numbered {name} --first {number}") from error
    said = capfd.readouterr()
    assert said.out + said.err == ""


def test_seeds_are_small_and_targets_are_written_about():
    page = (REPOSITORY / "docs" / "fuzzing.md").read_text(encoding="utf-8")
    for name, target in TARGETS.items():
        assert f"`{name}`" in page, name
        assert max(map(len, target.seeds())) < 100_000, name


def test_every_room_that_parses_is_written_about():
    page = (REPOSITORY / "docs" / "fuzzing.md").read_text(encoding="utf-8")
    # Of the table the rooms alone, since some parsers have the names of other rooms.
    cells = [line.split("|")[3:4] for line in page.splitlines() if line.startswith("| `")]
    reasons = [line for line in page.splitlines() if line.startswith("- `")]
    written = " ".join([*(cell for row in cells for cell in row), *reasons])
    signs = ("struct.unpack", "from_bytes(", "frombuffer(", "json_of(", "object_of(", "toml_of(")
    signs += ("arrays_of(", "json.loads(", "tomllib.", "np.load(", "zipfile.ZipFile(", "tarfile.")
    signs += ("ParquetFile(", "read_table(")
    root = REPOSITORY / "src" / "pleinair"
    for path in sorted(root.rglob("*.py")):
        if any(sign in path.read_text(encoding="utf-8") for sign in signs):
            room = ".".join(path.relative_to(root).with_suffix("").parts)
            assert f"`{room}`" in written, room


# --- what a reader finds is what a writer wrote ------------------------------------------------


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=6))
def test_shards_are_read_as_they_were_written(records):
    data = test_sources.kaggle_shard(*records)
    found = tfrecord.index(io.BytesIO(data), 0, len(data), "x")
    assert [tfrecord.read(io.BytesIO(data), record, "x") for record in found] == records
    assert mending.tfrecord(data) == data


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.dictionaries(st.binary(min_size=1, max_size=30), st.binary(max_size=60), max_size=8))
def test_tables_are_read_as_they_were_written(pairs):
    content, last = b"", b""
    for key, value in sorted(pairs.items()):
        shared = next((n for n in range(len(key)) if key[n : n + 1] != last[n : n + 1]), len(key))
        content += bundles.entry(shared, key[shared:], value)
        last = key
    data = bundles.a_table(content)
    assert table.entries(data) == pairs
    assert mending.table(data) == data


def test_mending_makes_checksums_right():
    shard = bytearray(test_sources.kaggle_shard(b"a picture"))
    shard[20] ^= 1
    data = mending.tfrecord(bytes(shard))
    (record,) = tfrecord.index(io.BytesIO(data), 0, len(data), "x")
    with pytest.raises(ImageError, match=r"has the features im.ge, "):
        tfrecord.read(io.BytesIO(data), record, "x")
    png = bytearray(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 1) + b"tEXtx" + bytes(4))
    assert mending.png_chunks(bytes(png))[-4:] == struct.pack(">I", zlib.crc32(b"tEXtx"))


# --- the ways to run it ------------------------------------------------------------------------


def test_files_have_numbers():
    assert numbered.file_of("png", 7) == numbered.file_of("png", 7)
    assert numbered.file_of("png", 7) != numbered.file_of("png", 8)


def test_many_files_in_workers(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", "example", "--files", "20", "--workers", "1"])
    assert numbered.main() == 0
    assert "20 files in" in capsys.readouterr().out


def test_a_broken_promise_is_told(capsys, monkeypatch):
    def stumbling(data: bytes) -> None:
        raise KeyError(len(data))

    broken = promise.Target(stumbling, lambda: [b"a file"])
    with pytest.raises(KeyError):
        promise.outcome(broken, b"x")
    wordy = promise.Target(stumbling, lambda: [b"a file"], refuses=(KeyError,))
    assert promise.outcome(wordy, b"x") == "refused"


def test_without_atheris_it_says_so(capsys, monkeypatch):
    from fuzz import __main__ as runner

    monkeypatch.setattr(runner.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["x"])
    assert runner.main() == 0
    assert "atheris is not installed here" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["x", "nothing"])
    with pytest.raises(SystemExit):
        runner.main()
    assert "nothing found; parsers are" in capsys.readouterr().err


def test_guided_by_what_it_reaches(tmp_path, monkeypatch):
    pytest.importorskip("atheris", reason="atheris has no wheel for this machine")
    from fuzz import __main__ as runner

    monkeypatch.setattr(runner, "ROOM", tmp_path)
    monkeypatch.chdir(REPOSITORY)
    line = runner.tried("subtitles", 1)
    assert "BROKEN" not in line
    assert "inputs" in line
    assert any(Path(tmp_path, "subtitles", "corpus").iterdir())
