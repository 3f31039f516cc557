"""Votes of people, from the files that a ballot page saves, as win rates."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pleinair import metrics, parsing
from pleinair.errors import DataError

KIND = "pleinair votes"
QUESTIONS = {"style": "more like the paintings", "scene": "keeps the scene"}  # which of the two
_ANSWERS = ("left", "right", "equal")


@dataclass(frozen=True)
class Duel:
    """How often people took one painter before another. Ties are half a win of each."""

    question: str  # "style" or "scene"
    first: str
    second: str
    wins: int  # of the first
    losses: int
    ties: int
    voters: int
    rate: float  # of the first, 0 to 1
    interval: tuple[float, float]  # of 95%; votes of one person on many pairs count as many


def mark(digest: str) -> str:
    """A painter's name on a ballot, which tells a voter nothing."""
    return digest[:16]


def count(paths: Sequence[Path], names: Mapping[str, str]) -> list[Duel]:
    """Win rates of all votes in files. names: of the painters, by their SHA-256.

    A file that comes twice, or a vote that was changed and saved again, counts once, as the later
    file says it. Raises DataError for what is no file of votes, or of other painters.
    """
    known = {mark(digest): name for digest, name in names.items()}
    votes: dict[tuple[str, str, str], dict[str, str]] = {}
    for path in paths:
        ballot, voter, cast = _read(path)
        for vote in cast:
            for side in ("left", "right"):
                if vote[side] not in known:
                    raise DataError(
                        f"{path} compares painters that are not scored here; name the same two "
                        "painters that its ballot was made of."
                    )
            votes[ballot, voter, vote["photo"]] = vote
    found = []
    for first, second in itertools.combinations(known, 2):
        for question in QUESTIONS:
            here = {
                key: vote
                for key, vote in votes.items()
                if {vote["left"], vote["right"]} == {first, second} and question in vote
            }
            if here:
                found.append(_duel(question, first, second, known, here))
    return found


def _duel(
    question: str,
    first: str,
    second: str,
    names: Mapping[str, str],
    votes: Mapping[tuple[str, str, str], Mapping[str, str]],
) -> Duel:
    taken = [None if vote[question] == "equal" else vote[vote[question]] for vote in votes.values()]
    wins, losses, ties = taken.count(first), taken.count(second), taken.count(None)
    score = wins + ties / 2
    return Duel(
        question,
        names[first],
        names[second],
        wins,
        losses,
        ties,
        len({voter for _, voter, _ in votes}),
        score / len(taken),
        metrics.wilson(score, len(taken)),
    )


def _read(path: Path) -> tuple[str, str, list[dict[str, str]]]:
    try:
        content: Any = parsing.json_of(path.read_bytes())
        if content["kind"] != KIND:
            raise ValueError(content["kind"])
        ballot, voter = str(content["ballot"]), str(content["voter"])
        votes = [{str(k): str(v) for k, v in vote.items()} for vote in content["votes"]]
        for vote in votes:
            if not {"photo", "left", "right"} <= vote.keys() or vote["left"] == vote["right"]:
                raise ValueError(vote)
            if any(vote.get(question, "equal") not in _ANSWERS for question in QUESTIONS):
                raise ValueError(vote)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check the path.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} holds no votes; give a file that a ballot page saved.") from error
    return ballot, voter, votes
