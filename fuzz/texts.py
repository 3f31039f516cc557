"""Parsers of texts: recipes, registries, votes, forms, and what ours keeps for its next run."""

from __future__ import annotations

import asyncio
import io
import json
import math
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np

from fuzz.promise import Target, scratch, written
from pleinair import (
    ballots,
    companions,
    config,
    download,
    files,
    ledger,
    manifest,
    monitoring,
    recipes,
    registry,
    site,
    stock,
    tree,
    uploads,
    work,
)
from pleinair.settings import ServeSettings
from pleinair.work import Work

_TOML = (
    *(b"[" * 3000, b"nan", b"-inf", b"9" * 5000, b"1e400", b"0x" + b"f" * 400, b"[[a]]"),
    *(b"[generator]\n", b"base = []\n", b'"""', b"1979-05-27", b"{}", b"true", b"{a.b = 1}"),
    *(b'kind = "unet"\n', b"depth = 999999999999\n", b"-1", b"0", b"1" + b"0" * 18),
)
_JSON = (
    *(b"[" * 3000, b'{"a":' * 1500, b"9" * 5000, b"NaN", b"1e999", b"null", b"[]", b"{}"),
    *(b"\xff", b"\0", b"\\ud800", b"true", b"-1", b"\n", b'"'),
)


# --- recipes and registries -----------------------------------------------------------------


def _recipes() -> list[bytes]:
    return [
        b'base = "light"\ncrop = 192\n\n[generator]\nchannels = 96\n',
        b'base = "lab"\nsteps = 7\n[generator]\nkind = "unet"\ndepth = 3\nslope = 0.2\n',
        b'content_weight = 0\n[generator]\nkind = "resnet"\n[discriminator]\nkind = "patch"\n',
        b'base = "cut"\nnce_weight = 2\ngenerator_rate = 1e-4\nadversarial = "hinge"\n',
    ]


def _recipe(data: bytes) -> None:
    found = recipes.load_recipe(str(written(data, "x.toml")))
    again = recipes.recipe_from_dict(json.loads(json.dumps(recipes.recipe_to_dict(found))))
    assert again == found
    for value in vars(found).values():
        assert not isinstance(value, float) or math.isfinite(value)
    assert 1 <= config.size_multiple(found.generator) <= found.crop


def _registries() -> list[bytes]:
    made = (
        '[painters.a]\nurl = "https://x.org/a.pth"\nsha256 = "' + "0" * 64 + '"\nsize = 5\n'
        'title = "A"\n[painters.b_2]\nurl = "b.onnx"\nnetwork = "g"\n'
    )
    return [made.encode(), b'[painters.x]\nurl = "hf://a/b@main/x.onnx"\nlicence = "CC0-1.0"\n']


def _registry(data: bytes) -> None:
    found = registry.parse(data, "x", base="https://example.org/list.toml")
    for entry in found.values():
        assert registry.may_name(entry.name)
        assert entry.url.startswith(("http://", "https://", "hf://"))
    assert registry.parse(registry.as_toml(found).encode(), "x") == found


# --- what is kept for the next run ------------------------------------------------------------


def _ledgers() -> list[bytes]:
    entry = ledger.Entry("a.jpg", 7, 8, "0" * 8, "a.png", 9, 10)
    return [ledger._line(entry).encode() * 2 + ledger._line(replace(entry, painting="b")).encode()]


def _ledger(data: bytes) -> None:
    folder = scratch() / "painted"
    folder.mkdir(exist_ok=True)
    (folder / ".x.jsonl").write_bytes(data)
    kept = ledger.Ledger(folder, ".x.jsonl")
    for entry in kept.find(folder / "a.png"):
        assert entry.photo_mark == (entry.size, entry.mtime_ns)
    kept.add([ledger.Entry("c.jpg", 1, 2, "x", "c.png", 3, 4)])
    kept.close()
    again = ledger.Ledger(folder, ".x.jsonl")
    assert again.find(folder / "c.png")
    again.close()


def _histories() -> list[bytes]:
    lines = [{"step": step, "cycle": 0.5, "kid": step / 9} for step in (1, 2, 3)]
    return ["".join(json.dumps(line) + "\n" for line in lines).encode()]


def _history(data: bytes) -> None:
    path = written(data, "history.jsonl")
    for line in monitoring.read_history(path):
        assert isinstance(line["step"], int)
    monitoring.rewind_history(path, 2)
    assert all(line["step"] <= 2 for line in monitoring.read_history(path))


def _notes() -> list[bytes]:
    lock = {"url": "https://x.org/a", "sha256": "0" * 64, "commit": "", "file": "", "size": 7}
    return [
        json.dumps(one).encode()
        for one in (
            lock,
            {"url": "x", "sha256": "0" * 64, "bytes": {"a": 7}},
            {"url": "x", "validator": '"tag"'},
            {"files": ["index.html"]},
        )
    ]


def _note(data: bytes) -> None:
    path = written(data, "kept.json")
    found = stock._read_lock(path)
    assert found is None or len(found.sha256) == 64
    part = download._Download("x", scratch() / "x.part", path, None, {}, print, ("", ""), 1, "")
    assert part._part_to_go_on_with()[0] >= 0
    written(data, site.MARK)
    assert site.MARK in site._listed(scratch())


@lru_cache(maxsize=1)
def _states() -> list[bytes]:
    buffer = io.BytesIO()
    np.savez(buffer, count=np.array(2), frames=np.array(9), last=np.array(40))
    packed = io.BytesIO()
    np.savez_compressed(packed, count=np.array(2), frames=np.array(9), last=np.array(40))
    return [buffer.getvalue(), packed.getvalue()]


def _state(data: bytes) -> None:
    folder = scratch() / ".x.mp4.pleinair"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "settings.json").write_bytes(b"{}")
    (folder / "state.npz").write_bytes(data)
    (folder / "000001.npz").touch()
    found = Work(scratch() / "x.mp4", {}, force=False)
    assert len(found.pieces()) < 10**6


def _day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


@lru_cache(maxsize=1)
def _manifests() -> list[bytes]:
    on_its_way = [
        manifest.Row(f"/in/{day}.ppm", "7-8", f"b/{day}.jpg", "0" * 16, _day(day), 1)
        for day in (1, 2, 3, 4)
    ]
    rows = [
        replace(on_its_way[0], output_mark="7-9", sha256="0" * 64, seconds=0.5),
        replace(on_its_way[1], error="/in/2.ppm is not a picture."),
        on_its_way[2],
        replace(on_its_way[3], sha256="0" * 64),
    ]
    # Of what is packed hardly a changed byte is unpacked; another writer need not pack it.
    plain = io.BytesIO()
    manifest.arrow().parquet.write_table(
        manifest._table(rows),
        plain,
        compression="none",
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
    )
    return [manifest._bytes(manifest._table(rows)), plain.getvalue()]


def _records(data: bytes) -> None:
    out = scratch() / "library"
    shutil.rmtree(out, ignore_errors=True)
    part = out / tree.RECORDS / "parts" / "x" / "0000001" / "001.parquet"
    part.parent.mkdir(parents=True)
    part.write_bytes(data)
    (out / tree.RECORDS / "manifest.parquet").write_bytes(data)
    kept = manifest.Manifest(str(out))
    rows = [row for told in kept.earlier("x", 1) for row in told]
    for row in rows:
        assert Path(files.absolute(out / row.output)).is_relative_to(out)
        assert row.finished.tzinfo is not None
    count = kept.settle()
    known = kept.find([row.output for row in rows])
    assert None not in known
    again = manifest.Manifest(str(out))
    assert again.settle() == count <= len(rows)
    assert again.find([row.output for row in rows]) == known


def _same_settings(data: bytes) -> None:
    work._differing(written(data, "settings.json"), {"a": 1})


# --- from people and browsers --------------------------------------------------------------------


def _votes() -> list[bytes]:
    vote = {"photo": "a", "left": "0" * 16, "right": "1" * 16, "style": "left", "scene": "equal"}
    made = {
        "kind": ballots.KIND,
        "ballot": "b",
        "voter": "v",
        "votes": [vote, {**vote, "photo": "b"}],
    }
    return [json.dumps(made).encode()]


def _vote(data: bytes) -> None:
    ballots.count([written(data, "votes.json")], {"0" * 64: "zero", "1" * 64: "one"})


_HEAD = b"multipart/form-data; boundary=x"


def _forms() -> list[bytes]:
    def part(head: bytes, body: bytes) -> bytes:
        return b"--x\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + body + b"\r\n"

    photo = part(b'name="photo"; filename="a %22.jpg"\r\nContent-Type: image/jpeg', b"\xff\xd8\xff")
    words = part(b'name="brush"', b"2") + part(b'name="strength"', b"1.5")
    return [
        _HEAD + b"\n" + photo + words + b"--x--\r\n",
        _HEAD + b"\n" + part(b"name*=utf-8''photo; filename*=utf-8'en'%41", b"x") + b"--x--\r\n",
        b"image/jpeg; q=1\n\xff\xd8\xff picture",
        b"application/octet-stream\n\0",
    ]


def _form(data: bytes) -> None:
    kind, _, body = data.partition(b"\n")
    limits = ServeSettings(bytes=2**16, field_bytes=100)
    kept = 0

    def grow(count: int) -> None:
        nonlocal kept
        kept += count
        assert kept <= limits.bytes

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 64):
            yield body[at : at + 64]

    head = kind.decode("latin-1")
    uploads.check_head(head, str(len(body)), limits)
    found = asyncio.run(uploads.received(head, pieces(), limits, grow))
    assert found.content in body
    name = uploads.clean_name(found.name, 40)
    assert 0 < len(name) <= 46
    assert not set("/\\\0\n") & set(name)
    for value in found.fields.values():
        assert len(value) <= limits.field_bytes


def _subtitles() -> list[bytes]:
    return [
        b"ass\n0,0,Default,,0,0,0,,{\\b1}Hello\\Nworld{\\b0}",
        b"mov_text\n\0\5Hello",
        b"subrip\n<i>Hello</i>",
    ]


def _subtitle(data: bytes) -> None:
    name, _, words = data.partition(b"\n")
    companions._plain(words, name.decode("utf-8", "replace"))


TARGETS = {
    "recipe": Target(_recipe, _recipes, words=_TOML),
    "registry": Target(_registry, _registries, words=_TOML),
    "ledger": Target(_ledger, _ledgers, words=_JSON),
    "history": Target(_history, _histories, words=_JSON),
    "notes": Target(_note, _notes, words=_JSON),
    "film-state": Target(_state, _states),
    "film-settings": Target(_same_settings, lambda: [b'{"a": 2}'], words=_JSON),
    "records": Target(_records, _manifests, words=(b"../", b"\0", b"/", b"\xff", b"PAR1")),
    "votes": Target(_vote, _votes, words=_JSON),
    "form": Target(_form, _forms, words=(b"--x", b"\r\n", b"name*=", b"''", b'"', b"%22")),
    "subtitles": Target(_subtitle, _subtitles, words=(b"{", b"}", b",", b"{" * 500)),
}
