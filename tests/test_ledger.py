from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pleinair import ledger
from pleinair.errors import OutputError
from pleinair.ledger import Entry, Ledger

NAME = ".ledger.jsonl"
ENTRY = Entry("../in/a.jpg", 10, 1_700_000_000_000_000_001, "abc", "a.jpg", 20, 2)


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_what_is_added_is_found_again(tmp_path):
    book = Ledger(tmp_path / "out", NAME)
    other = replace(ENTRY, painting="ü/b\n.jpg")
    book.add([ENTRY, other])
    assert [line["painting"] for line in lines(book.path)] == ["a.jpg", "ü/b\n.jpg"]
    book.close()
    book = Ledger(tmp_path / "out", NAME)
    assert book.find(tmp_path / "out" / "a.jpg") == [ENTRY]
    assert book.find(tmp_path / "out" / "ü" / "b\n.jpg") == [other]
    assert book.find(tmp_path / "out" / "c.jpg") == []
    book.close()


def test_a_line_that_was_cut_short_is_nothing(tmp_path):
    book = Ledger(tmp_path, NAME)
    book.add([ENTRY])
    book.close()
    whole = book.path.read_bytes()
    for cut in range(0, len(whole), 9):
        book.path.write_bytes(whole + whole[:cut])
        book = Ledger(tmp_path, NAME)
        book.add([replace(ENTRY, painting="b.jpg")])
        assert book.find(tmp_path / "b.jpg")
        assert set(book.find(tmp_path / "a.jpg")) == {ENTRY}
        book._file.close()  # as a kill does
        again = Ledger(tmp_path, NAME)
        assert again.find(tmp_path / "b.jpg")
        again.close()


@pytest.mark.parametrize("line", [b"[]", b"{}", b'"x"', b"\xff\xfe", b"null", b'{"photo": 3}'])
def test_lines_of_others_are_passed_by(tmp_path, line):
    (tmp_path / NAME).write_bytes(line + b"\n")
    book = Ledger(tmp_path, NAME)
    book.add([ENTRY])
    book.close()
    assert lines(book.path) == [json.loads(json.dumps(ENTRY.__dict__))]


def test_it_gets_shorter_at_the_end(tmp_path):
    book = Ledger(tmp_path, NAME)
    newer = replace(ENTRY, settings="new")
    book.add([ENTRY])
    book.add([newer])
    assert book.find(tmp_path / "a.jpg") == [ENTRY, newer]
    book.keep(newer)
    book.close()
    assert [line["settings"] for line in lines(book.path)] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_one_that_says_nothing_leaves_nothing(tmp_path):
    Ledger(tmp_path / "out", NAME).close()
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    Ledger(tmp_path / "full", NAME).close()
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]


@pytest.mark.skipif(ledger.fcntl is None, reason="no locks here")
def test_only_one_run_at_a_time(tmp_path):
    book = Ledger(tmp_path, NAME)
    with pytest.raises(OutputError, match="another run"):
        Ledger(tmp_path, NAME)
    book.add([ENTRY])
    book.add([ENTRY])
    book.keep(ENTRY)
    book.close()
    Ledger(tmp_path, NAME).close()


def test_one_that_cannot_be_kept_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be kept"):
        Ledger(tmp_path / "file", NAME)
    (tmp_path / NAME).mkdir()
    with pytest.raises(OutputError, match="cannot be kept"):
        Ledger(tmp_path, NAME)
