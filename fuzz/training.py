"""Parsers of what painters are trained from: shards, archives, parquet, manifests."""

from __future__ import annotations

import io
import shutil
import zipfile
from functools import lru_cache

from tests import test_sources

from fuzz import mending
from fuzz.promise import Target, scratch, told, written
from pleinair import archives, sources, tfrecord

PICTURE = b"\xff\xd8\xff a picture"
_TEXT = (b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"image", b"image/encoded", b"\x0a\x00")


def _shard(data: bytes) -> None:
    records = tfrecord.index(io.BytesIO(data), 0, len(data), "x.tfrec")
    for record in records:
        assert record.offset + record.length + 4 <= len(data)
        with told():
            tfrecord.read(io.BytesIO(data), record, "x.tfrec")


def _shards() -> list[bytes]:
    return [
        test_sources.kaggle_shard(PICTURE, PICTURE * 3),
        test_sources.shard(b"", test_sources.example({"image/encoded": PICTURE, "label": 7})),
    ]


def _examples() -> list[bytes]:
    made: list[dict[str, bytes | int]] = [
        {"image": PICTURE, "target": 7},
        {"image_raw": b"", "image/encoded": PICTURE, "name": b"x"},
    ]
    return [test_sources.example(features) for features in made]


def _example(data: bytes) -> None:
    found = tfrecord.image_of(data, "a record")
    assert found in data or found == b""


def _zip(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    kinds = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, (name, content) in enumerate(members.items()):
            archive.writestr(name.replace("__", "/"), content, kinds[number % len(kinds)])
    return buffer.getvalue()


@lru_cache(maxsize=1)
def archives_of_every_kind() -> list[bytes]:
    """Zip files whose members are stored and packed in every way that Python knows."""
    return [
        _zip(**{"a.jpg": PICTURE, "b.jpg": PICTURE * 9, "c.png": PICTURE * 9, "d.png": PICTURE}),
        _zip(**{"x.tfrec": _shards()[0], "y.tfrec": _shards()[1]}),
        _zip(**{"photos__a.jpg": PICTURE, "paintings__b.jpg": PICTURE}),
    ]


def _archive(data: bytes) -> None:
    path = written(data, "x.zip")
    folder = scratch() / "unpacked"
    try:
        archives.unpack(path, folder)
        for file in folder.rglob("*"):
            assert file.resolve().is_relative_to(folder.resolve())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _source_of(name: str, data: bytes) -> None:
    source = sources.open_source(written(data, name))
    for number in range(len(source.names)):
        with told():
            found = source.read(number)
            assert isinstance(found, bytes) or found.is_relative_to(scratch())
    sources.split(source, 1)


@lru_cache(maxsize=1)
def _parquet() -> list[bytes]:
    pictures = [PICTURE, PICTURE * 2, PICTURE * 3]
    made = [
        test_sources.make_parquet(scratch() / f"seed-{kind}.parquet", pictures, kind).read_bytes()
        for kind in ("struct", "binary")
    ]
    return made


def _manifests() -> list[bytes]:
    return [
        b"path,split\na.jpg,train\nb/c.jpg,test\n",
        b'\xef\xbb\xbffile,label\n"a,1.jpg","x\ny"\n',
        b'{"path": "a.jpg", "split": "val"}\n\n{"path": "b.jpg", "n": 1}\n',
        b"path\tsplit\na.jpg\ttrain\n",
    ]


def _manifest(data: bytes) -> None:
    kind = ".jsonl" if b"{" in data[:4] else ".tsv" if b"\t" in data[:12] else ".csv"
    _source_of("x" + kind, data)


TARGETS = {
    "tfrecord": Target(_shard, _shards, mending.tfrecord, _TEXT),
    "example": Target(_example, _examples, words=_TEXT),
    "archive": Target(_archive, archives_of_every_kind, mending.members, (b"..", b"/", b"PK\1\2")),
    "zipped-pictures": Target(
        lambda data: _source_of("x.zip", data), archives_of_every_kind, mending.members
    ),
    "parquet": Target(lambda data: _source_of("x.parquet", data), _parquet),
    "manifest": Target(
        _manifest, _manifests, words=(b'"', b"[" * 3000, b"../", b"\0", b"path", b"9" * 5000)
    ),
}
