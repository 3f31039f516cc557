from __future__ import annotations

import resource
import time

import pytest
from fuzz import pictures

from pleinair.errors import ImageError

from .broken import bombs, mutated, seeds

GOOD = ("picture", "large picture", "frames", "ImageError")


def outcome(data: bytes) -> str:
    """What becomes of a file; anything but a picture, frames or one sentence is a failure."""
    try:
        return pictures.picture(data)
    except ImageError as error:
        return "ImageError" if "\n" not in str(error) else "lines"


@pytest.mark.parametrize("name", sorted(seeds()))
def test_seeds_are_good(name):
    assert outcome(seeds()[name]) == ("frames" if name.endswith("film") else "picture")


@pytest.mark.parametrize("part", range(10))
def test_bad_files_are_answered_by_a_picture_or_one_sentence(part, capfd):
    for number in range(part * 30, part * 30 + 30):
        name, data = mutated(number)
        try:
            found = outcome(data)
        except Exception as error:
            raise AssertionError(f"mutation {number} of {name}") from error
        assert found in GOOD, f"mutation {number} of {name}"
        said = capfd.readouterr()
        assert said.out + said.err == "", f"mutation {number} of {name}"


@pytest.mark.parametrize("name", sorted(bombs()))
def test_bombs_do_not_go_off(name):
    data = bombs()[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    assert outcome(data) in GOOD
    assert time.monotonic() - start < 60
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 3 * 2**20  # KiB: what a photo of the largest size that is taken needs
