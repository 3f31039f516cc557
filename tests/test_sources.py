from __future__ import annotations

import builtins
import contextlib
import io
import json
import struct
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pleinair import archives, data, images, parquet, sources, tfrecord
from pleinair.errors import DataError, ImageError, MissingExtraError
from pleinair.settings import DATA
from pleinair.sources import open_source

from .conftest import picture


def jpeg(seed: int = 0, height: int = 40, width: int = 48) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(height, width, seed)).save(file, "JPEG")
    return file.getvalue()


def make_zip(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def pixels(source):
    """Every picture of a source, decoded."""
    return [images.read_small(source.read(i), 64) for i in range(len(source.names))]


# --- a writer of TFRecord that shares no line with the reader --------------------------------


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def example(features: dict[str, bytes | int]) -> bytes:
    entries = b""
    for name, value in features.items():
        kind = field(1, field(1, value)) if isinstance(value, bytes) else field(3, b"\x08\x07")
        entries += field(1, field(1, name.encode()) + field(2, kind))
    return field(1, entries)


def shard(*records: bytes) -> bytes:
    out = b""
    for record in records:
        length = struct.pack("<Q", len(record))
        out += length + masked(length) + record + masked(record)
    return out


def kaggle_shard(*pictures: bytes) -> bytes:
    return shard(*(example({"image": p, "image_name": b"x", "target": 7}) for p in pictures))


def test_the_checksum_is_that_of_the_standard():
    assert crc32c(b"123456789") == 0xE3069283


# --- folders ----------------------------------------------------------------------------------


def test_names_of_a_folder_are_sorted_relative_and_not_hidden(tmp_path):
    for name in ("b.jpg", "a/z.jpg", "a-b.jpg", ".hidden.jpg", ".git/x.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(jpeg())
    source = open_source(tmp_path)
    assert source.names == ["a/z.jpg", "a-b.jpg", "b.jpg"]
    assert source.read(0) == tmp_path / "a" / "z.jpg"
    assert source.held is None


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda p: p / "none", "is not a folder"),
        (lambda p: p, "holds no picture; put"),
        (lambda p: (p / "x.jpg").write_bytes(jpeg()) and p / "x.jpg", "of no kind"),
        (lambda p: (p / "x.jpg").write_bytes(jpeg()) and p / "x.jpg" / "y", "nor a zip file"),
        (lambda p: make_zip(p / "x.zip", {"a.jpg": b""}) and p, "but an archive; name .*x.zip"),
        (lambda p: p / ("x" * 300), "cannot be read|is not a folder"),
    ],
)
def test_places_without_pictures(tmp_path, make, sentence):
    with pytest.raises(DataError, match=sentence):
        open_source(make(tmp_path))


# --- zip files --------------------------------------------------------------------------------

KAGGLE = {
    "monet_jpg/1.jpg": jpeg(1),
    "monet_jpg/2.jpg": jpeg(2),
    "photo_jpg/1.jpg": jpeg(3),
    "monet_tfrec/monet00-2.tfrec": kaggle_shard(jpeg(1), jpeg(2)),
    "photo_tfrec/photo00-1.tfrec": kaggle_shard(jpeg(3)),
    "__MACOSX/monet_jpg/._1.jpg": b"resource fork",
}


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_archive_of_the_competition_is_read_in_place(tmp_path, compression):
    path = make_zip(tmp_path / "gan-getting-started.zip", KAGGLE, compression)
    files = open_source(path / "monet_jpg")
    assert files.names == ["1.jpg", "2.jpg"]
    assert files.read(0) == jpeg(1)
    records = open_source(path / "monet_tfrec")
    assert records.names == ["monet00-2.tfrec/0000000", "monet00-2.tfrec/0000001"]
    assert [records.read(index) for index in (1, 0)] == [jpeg(2), jpeg(1)]
    assert str(records.place).endswith("gan-getting-started.zip/monet_tfrec")
    one = open_source(path / "monet_tfrec" / "monet00-2.tfrec")
    assert one.read(1) == jpeg(2)
    assert len(data.Pictures(path / "photo_tfrec", 64, 0, print)) == 1
    assert np.array_equal(pixels(files)[0], pixels(records)[0])


def test_an_archive_of_several_folders_says_which_there_are(tmp_path):
    path = make_zip(tmp_path / "a.zip", KAGGLE)
    with pytest.raises(DataError) as caught:
        open_source(path)
    assert str(caught.value) == (
        f"{path} holds the folders monet_jpg, monet_tfrec, photo_jpg, photo_tfrec; "
        f"name one of them, as in {path}/monet_jpg."
    )
    deep = {f"monet2photo/{name}/1.jpg": jpeg() for name in ("trainA", "trainB")}
    with pytest.raises(DataError, match="the folders monet2photo/trainA, monet2photo/trainB;"):
        open_source(make_zip(tmp_path / "b.zip", deep))
    with pytest.raises(DataError, match="holds no picture nor TFRecord shard"):
        open_source(path / "monet")
    with pytest.raises(DataError, match="it holds notes"):
        open_source(make_zip(tmp_path / "c.zip", {"notes/a.txt": b""}))


def test_an_archive_of_one_folder_needs_no_name(tmp_path):
    members = {"album/1.jpg": jpeg(1), "album/more/2.jpg": jpeg(2)}
    source = open_source(make_zip(tmp_path / "a.zip", members))
    assert source.names == ["album/1.jpg", "album/more/2.jpg"]


def test_threads_may_share_an_archive(tmp_path):
    members = {f"{i}.jpg": jpeg(i) * 20 for i in range(40)}
    source = open_source(make_zip(tmp_path / "a.zip", members))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(source.read, list(range(40)) * 4))
    assert found == [members[name] for name in source.names] * 4


@pytest.mark.parametrize(
    "name", ["../x.jpg", "/x.jpg", "a/../../x.jpg", "C:/x.jpg", "a\\..\\x.jpg"]
)
def test_members_that_leave_their_folder_are_refused(tmp_path, name):
    path = make_zip(tmp_path / "a.zip", {"1.jpg": jpeg(), name: jpeg()})
    with pytest.raises(DataError, match="would leave its folder"):
        open_source(path)


def test_locked_archives_are_refused(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"1.jpg": jpeg()})
    raw = bytearray(path.read_bytes())
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match="locked with a password"):
        open_source(path)


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    path = make_zip(tmp_path / "a.zip", {"1.jpg": bytes(10**6), "2.jpg": jpeg()})
    small = replace(DATA, max_picture_bytes=10**5)
    monkeypatch.setattr(archives, "DATA", small)
    notes = []
    made = data.Pictures(path, 64, 0, notes.append)
    assert made.get(0) is None
    assert made.get(1) is not None
    assert "a.zip/1.jpg claims to unpack to 1,000,000 bytes, more than 100,000" in notes[0]


def test_a_member_that_lies_about_its_size_gives_no_more_than_it_claims(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"1.jpg": bytes(10**6)})
    raw = bytearray(path.read_bytes())
    at = raw.index(b"PK\x01\x02")
    raw[at + 24 : at + 28] = struct.pack("<I", 100)
    path.write_bytes(raw)
    with pytest.raises(ImageError, match=r"1\.jpg is damaged"):
        open_source(path).read(0)


def test_damaged_archives_and_members(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"1.jpg": jpeg(), "2.jpg": jpeg(2)}, zipfile.ZIP_STORED)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged or cut short"):
        open_source(path)
    broken = bytearray(whole)
    broken[200] ^= 0xFF
    path.write_bytes(broken)
    notes = []
    made = data.Pictures(path, 64, 0, notes.append)
    assert [made.get(i) is None for i in range(2)] == [True, False]
    assert "1.jpg is damaged or cut short (Bad CRC-32" in notes[0]


# --- TFRecord ---------------------------------------------------------------------------------


def test_shards_of_a_folder_and_a_single_one(tmp_path):
    (tmp_path / "photo00-2.tfrec").write_bytes(kaggle_shard(jpeg(1), jpeg(2)))
    (tmp_path / "x.tfrecord-00000-of-00001").write_bytes(kaggle_shard(jpeg(3)))
    source = open_source(tmp_path)
    assert source.names == [
        "photo00-2.tfrec/0000000",
        "photo00-2.tfrec/0000001",
        "x.tfrecord-00000-of-00001/0000000",
    ]
    assert source.read(2) == jpeg(3)
    nameless = tmp_path / "nameless"
    nameless.write_bytes(kaggle_shard(jpeg(1)))
    assert open_source(nameless).read(0) == jpeg(1)


@pytest.mark.parametrize("feature", tfrecord.FEATURES)
def test_the_features_that_hold_a_picture(feature):
    assert tfrecord.image_of(example({"label": 1, feature: b"data", "z": b"more"}), "x") == b"data"


def test_what_is_wrong_with_a_shard_is_said(tmp_path):
    path = tmp_path / "x.tfrec"
    whole = kaggle_shard(jpeg(1), jpeg(2))
    second = 16 + struct.unpack("<Q", whole[:8])[0]

    def opened(content):
        path.write_bytes(content)
        return open_source(path)

    for end in (len(whole) - 1, second + 5, second + 100):
        with pytest.raises(DataError, match=r"x\.tfrec is cut short at byte"):
            opened(whole[:end])
    broken = bytearray(whole)
    broken[second] ^= 1
    with pytest.raises(DataError, match="length of record 1 does not match its checksum"):
        opened(broken)
    broken = bytearray(whole)
    broken[second + 50] ^= 1
    source = opened(broken)
    assert source.read(0) == jpeg(1)
    with pytest.raises(ImageError, match="0000001 does not match its checksum"):
        source.read(1)
    with pytest.raises(DataError, match="compressed as a whole; unpack it with gunzip"):
        opened(b"\x1f\x8b" + whole)
    with pytest.raises(DataError, match="holds no record"):
        opened(b"")
    length = struct.pack("<Q", 2**60)
    with pytest.raises(DataError, match="has a record of 1,152,921,504,606,846,976 bytes"):
        opened(length + masked(length))
    with pytest.raises(ImageError, match="has the features label; one of image,"):
        opened(shard(example({"label": 1}))).read(0)
    with pytest.raises(ImageError, match=r"is no tf\.train\.Example"):
        opened(shard(b"\x0a\xff")).read(0)
    source = opened(whole)
    path.write_bytes(whole[:-3])
    with pytest.raises(ImageError, match="cut short"):
        source.read(1)


@given(st.binary(max_size=60))
def test_a_record_of_anything_is_a_picture_or_an_error_of_ours(content):
    with contextlib.suppress(ImageError):
        tfrecord.image_of(content, "x")


def test_shards_without_the_library(tmp_path, monkeypatch):
    forbid(monkeypatch, "google_crc32c")
    (tmp_path / "x.tfrec").write_bytes(kaggle_shard(jpeg(1)))
    with pytest.raises(MissingExtraError, match=r"pip install 'pleinair\[import\]'"):
        open_source(tmp_path)


def forbid(monkeypatch, name):
    real = builtins.__import__

    def without(wanted, *rest):
        if wanted.split(".")[0] == name:
            raise ImportError(name=name)
        return real(wanted, *rest)

    monkeypatch.setattr(builtins, "__import__", without)


# --- parquet ----------------------------------------------------------------------------------


def make_parquet(path: Path, pictures: list[bytes], kind: str = "struct", group: int = 2) -> Path:
    values = [{"bytes": p, "path": f"{i}.jpg"} for i, p in enumerate(pictures)]
    schema = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    column = pa.array(values, schema) if kind == "struct" else pa.array(pictures, pa.binary())
    table = pa.table({"image": column, "label": list(range(len(pictures)))})
    pq.write_table(table, path, row_group_size=group)
    return path


@pytest.mark.parametrize("kind", ["struct", "binary"])
def test_parquet_shards(tmp_path, kind, monkeypatch):
    for number in range(2):
        pictures = [jpeg(10 * number + i) for i in range(5)]
        make_parquet(tmp_path / f"train-{number:05d}-of-00002.parquet", pictures, kind)
    monkeypatch.setattr(parquet, "DATA", replace(DATA, row_group_bytes=1))  # one group at a time
    source = open_source(tmp_path)
    assert len(source.names) == 10
    assert source.names[6] == "train-00001-of-00002.parquet/0000001"
    for index in (9, 0, 4, 6, 3):
        assert source.read(index) == jpeg(10 * (index // 5) + index % 5)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(source.read, range(10))) == [source.read(i) for i in range(10)]
    one = open_source(tmp_path / "train-00000-of-00002.parquet")
    assert one.names[0] == "train-00000-of-00002.parquet/0000000"
    assert source.held is None


def test_parquet_shards_named_test_are_held_out(tmp_path):
    make_parquet(tmp_path / "train-00000-of-00001.parquet", [jpeg(1), jpeg(2)])
    make_parquet(tmp_path / "test-00000-of-00001.parquet", [jpeg(3)])
    trained, held = sources.split(open_source(tmp_path), 0)
    assert trained.names == [f"train-00000-of-00001.parquet/000000{i}" for i in range(2)]
    assert held.read(0) == jpeg(3)
    assert len(data.Pictures(tmp_path, 64, 0, print)) == 2


def test_what_is_wrong_with_parquet_is_said(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"picture": [b"a"], "label": [1]}), path)
    with pytest.raises(DataError, match="has the columns picture, label; one named image"):
        open_source(path)
    pq.write_table(pa.table({"image": [1]}), path)
    with pytest.raises(DataError, match="has int64 in its column image"):
        open_source(path)
    make_parquet(path, [])
    with pytest.raises(DataError, match="holds no row"):
        open_source(path)
    make_parquet(path, [jpeg(), None])
    with pytest.raises(ImageError, match="0000001 holds no bytes"):
        open_source(path).read(1)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(DataError, match="no whole parquet file"):
        open_source(path)
    broken = bytearray(whole)
    broken[8:600] = bytes(592)
    path.write_bytes(broken)
    with pytest.raises(ImageError):
        images.read_small(open_source(path).read(0), 64)


def test_parquet_without_the_extra(tmp_path, monkeypatch):
    path = make_parquet(tmp_path / "x.parquet", [jpeg()])
    forbid(monkeypatch, "pyarrow")
    with pytest.raises(MissingExtraError, match=r"pip install 'pleinair\[parquet\]'"):
        open_source(path)


# --- manifests --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "lines"),
    [
        (".csv", ["path,split,title", 'b.jpg,val,"Lilies, white"', "a.jpg,train,", "c/d.jpg,,"]),
        (".tsv", ["title\tfile_name\tsplit", "x\tb.jpg\ttest", "\ta.jpg\t", "\tc/d.jpg\tTRAIN"]),
        (
            ".jsonl",
            [
                json.dumps({"file_name": "b.jpg", "split": "validation"}),
                "",
                json.dumps({"file_name": "a.jpg", "split": None, "size": 3}),
                json.dumps({"file_name": "c/d.jpg"}),
            ],
        ),
    ],
)
def test_the_split_of_a_manifest(tmp_path, suffix, lines):
    (tmp_path / "c").mkdir()
    for seed, name in enumerate(("a.jpg", "b.jpg", "c/d.jpg", "unlisted.jpg")):
        (tmp_path / name).write_bytes(jpeg(seed))
    path = tmp_path / f"list{suffix}"
    path.write_text("\n".join(lines), encoding="utf-8-sig")
    trained, held = sources.split(open_source(path), 100)  # the manifest's word counts
    assert trained.names == ["a.jpg", "c/d.jpg"]
    assert held.names == ["b.jpg"]
    assert held.read(0) == tmp_path / "b.jpg"
    assert data.Pictures(path, 64, 0, print).names == ["a.jpg", "c/d.jpg"]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("x.csv", "picture,split\na.jpg,train\n", "row 2, has the columns picture, split; one"),
        ("x.csv", "path\n../a.jpg\n", r"row 2, names '\.\./a.jpg'; give a path below"),
        ("x.csv", "path\n/etc/a.jpg\n", "give a path below"),
        ("x.csv", "path\n\n \n", "give a path below"),
        ("x.csv", "path\na.jpg\na.jpg\n", r"lists a\.jpg again"),
        ("x.csv", "path,split\na.jpg,other\n", "has the split 'other'; use train"),
        ("x.csv", "path\n", "lists no picture"),
        ("x.jsonl", "{", "cannot be read as a manifest"),
        ("x.jsonl", "[1]", "row 1, is no JSON object"),
        ("x.tsv", b"path\n\xff\n", "cannot be read as a manifest"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_said(tmp_path, name, text, sentence):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=sentence):
        open_source(path)


# --- held-out pictures ------------------------------------------------------------------------


def test_a_split_depends_on_names_alone(tmp_path):
    def folder(place, names):
        return sources.Folder(tmp_path / place, names)

    names = [f"{i}.jpg" for i in range(100)]
    trained, held = sources.split(folder("a", names), 20)
    assert len(held.names) == 20
    assert sorted([*trained.names, *held.names]) == sorted(names)
    _, again = sources.split(folder("b", names[::-1]), 20)
    assert set(again.names) == set(held.names)
    _, more = sources.split(folder("a", [*names, "new.jpg"]), 20)
    assert len(set(more.names) & set(held.names)) >= 19
    assert held.read(0) == tmp_path / "a" / held.names[0]
    assert sources.split(folder("a", names), 0)[1] is None
    with pytest.raises(DataError, match="holds all of them out"):
        sources.split(folder("a", names), 100)


def test_every_kind_trains_alike(tmp_path):
    # The same pictures from every kind of place: the same pixels.
    pictures = [jpeg(seed) for seed in range(3)]
    (tmp_path / "folder").mkdir()
    for number, content in enumerate(pictures):
        (tmp_path / "folder" / f"{number}.jpg").write_bytes(content)
    (tmp_path / "folder" / "list.csv").write_text("path\n0.jpg\n1.jpg\n2.jpg\n")
    (tmp_path / "x.tfrec").write_bytes(kaggle_shard(*pictures))
    places = [
        tmp_path / "folder",
        make_zip(tmp_path / "x.zip", {f"{i}.jpg": p for i, p in enumerate(pictures)}),
        tmp_path / "x.tfrec",
        make_parquet(tmp_path / "x.parquet", pictures),
        tmp_path / "folder" / "list.csv",
    ]
    expected = pixels(open_source(places[0]))
    for place in places:
        made = data.Pictures(place, 64, 0, print)
        for index, one in enumerate(expected):
            assert np.array_equal(made.get(index), one), place
