"""The project's Markdown as its tests read it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt

from .conftest import REPOSITORY

FOLDERS = (".github", "benchmarks", "docs", "notebooks", "samples", "src", "tests")
PAGES = sorted(
    [
        *REPOSITORY.glob("*.md"),
        *(page for folder in FOLDERS for page in (REPOSITORY / folder).rglob("*.md")),
    ]
)
MADE = {REPOSITORY / "docs" / "cli.md", REPOSITORY / "docs" / "api.md"}
NOT_RUN = re.compile(r"<!-- not run: .{8,} -->")


@dataclass(frozen=True)
class Block:
    """A fenced block; `skipped` where the line before it says why it is not run."""

    page: Path
    line: int
    language: str
    text: str
    skipped: bool

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


@cache
def tokens(page: Path):
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def blocks(*languages: str, pages=None) -> list[Block]:
    found = []
    for page in pages or PAGES:
        before = None
        for token in tokens(page):
            if token.type == "fence":
                language = token.info.split()[0] if token.info.strip() else ""
                comment = before.content if before and before.type == "html_block" else ""
                skipped = NOT_RUN.search(comment) is not None
                # Blocks with a title are files of docs/adding.md, which has a test of its own.
                if language in languages and "title=" not in token.info:
                    found.append(Block(page, token.map[0] + 1, language, token.content, skipped))
            before = token
    return found


def inline(page: Path):
    for token in tokens(page):
        if token.type == "inline":
            yield from token.children


def code_words(page: Path) -> list[str]:
    return [child.content for child in inline(page) if child.type == "code_inline"]


def links(page: Path) -> list[str]:
    found = []
    for child in inline(page):
        target = child.attrGet("href") if child.type == "link_open" else None
        target = target or (child.attrGet("src") if child.type == "image" else None)
        if target is not None:
            found.append(str(target))
    return found


@cache
def anchors(page: Path) -> frozenset[str]:
    """As hosts of code make them of headings; the second of a name gets a number."""
    found: list[str] = []
    stream = tokens(page)
    for token, after in pairwise(stream):
        if token.type != "heading_open":
            continue
        parts = [c.content for c in after.children if c.type in ("text", "code_inline")]
        title = "".join(parts).lower()
        name = re.sub(r"[^\w\- ]", "", title).replace(" ", "-")
        found.append(f"{name}-{found.count(name)}" if name in found else name)
    return frozenset(found)


def calls(block: str) -> list[list[str]]:
    """The words after `pleinair` of each call of it in lines of a shell."""
    found = []
    for line in block.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        lexer.commenters = "#"
        command: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("();<>|&"):
                found += one_call(command)
                command = []
            else:
                command.append(word)
    return found


def one_call(command: list[str]) -> list[list[str]]:
    while command and re.match(r"[A-Z_]+=", command[0]):
        command = command[1:]
    if command[:1] == ["pleinair"]:
        return [command[1:]]
    launched = command[:1] and Path(command[0]).name in ("accelerate", "python", "torchrun")
    if launched and "-m" in command:
        at = command.index("-m")
        if command[at + 1 : at + 2] == ["pleinair"]:
            return [command[at + 2 :]]
    return []
