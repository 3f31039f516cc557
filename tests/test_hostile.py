"""Files that once broke the promise of a parser, each made as small as it shows."""

from __future__ import annotations

import io
import struct
import sys
import tracemalloc
import zipfile
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzz import painters, texts
from PIL import Image

from pleinair import (
    anatomy,
    archives,
    ballots,
    checkpoint,
    companions,
    foreign,
    images,
    ledger,
    manifest,
    metadata,
    monitoring,
    nameplate,
    onnxfile,
    parsing,
    recipes,
    reels,
    registry,
    sources,
    tiff,
    tree,
)
from pleinair.errors import (
    CheckpointError,
    DataError,
    ImageError,
    OutputError,
    PainterError,
    PleinairError,
    RecipeError,
    VideoError,
)
from pleinair.foreign import hdf5
from pleinair.foreign.bundle import Bundle
from pleinair.painter import Painter
from pleinair.work import Work
from tests import bundles
from tests.test_sources import field, varint

DEEP = "[" * 5000
DIGITS = "9" * 5000


@contextmanager
def bounded(most):
    """Fails as soon as more functions were called than that, however long it would have taken."""
    left = most

    def count(frame, event, argument):
        nonlocal left
        left -= 1
        if left < 0:
            sys.setprofile(None)
            raise AssertionError(f"more than {most:,} calls")

    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(None)


# --- sentences ------------------------------------------------------------------------------


def test_a_sentence_is_one_line_whatever_names_are_in_it():
    error = DataError("a\nb\rc\x85d\u2028é\u3000\t is damaged.")
    assert str(error) == "a\\nb\\rc\\x85d\\u2028é\u3000\t is damaged."
    assert isinstance(error, PleinairError)


def test_a_manifest_whose_columns_have_several_lines(tmp_path):
    place = tmp_path / "x.csv"
    place.write_text('file,"x\ny"\na.jpg,b\n')
    with pytest.raises(DataError, match=r"the columns file, x\\ny; one must be named path"):
        sources.open_source(place)


# --- JSON and TOML ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [DEEP, '{"a":' * 5000, DIGITS, "\ud800", '"'],
    ids=["deep", "deep objects", "digits", "half a letter", "quote"],
)
def test_json_that_python_stumbles_over(tmp_path, text):
    data = text.encode("utf-8", "surrogatepass")
    with pytest.raises(ValueError, match=r"\S"):
        parsing.json_of(data)
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(DataError, match="holds no votes"):
        ballots.count([path], {})
    (tmp_path / "x.jsonl").write_bytes(data)
    with pytest.raises(DataError, match="cannot be read as a manifest"):
        sources.open_source(tmp_path / "x.jsonl")
    assert nameplate.part({"card": text}, "card") == {}
    texts._note(data)
    texts._same_settings(data)
    assert monitoring.read_history(path) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"crop = {DEEP}", "nested too deeply"),
        (f"crop = {DIGITS}", "cannot be read"),
        ("base = []", r"base \[\] is unknown"),
        ("[generator]\nkind = []", r"network kind \[\] is unknown"),
        ("generator." + "a." * 99 + "b = 1", "has no setting 'a'"),
        ("a." * 200_000 + "b = 1", "a line of more than 100 dots"),
        ("discriminator = [[" + "[" * 300 + "]" * 300 + "]]", "must be a table of settings"),
        ("crop = 0x" + "f" * 5000, "too large a number"),
        ("cycle_weight = 0x" + "f" * 400, "too large a number"),
        ("crop = " + repr("a" * 10**6), "must be of type int"),
        ("cycle_weight = nan", "must be a finite number"),
        ("generator_rate = inf", "must be a finite number"),
        ("[generator]\nchannels = 0", "channels = 0 must be from 1 to"),
        ("[generator]\nblocks = -1", "blocks = -1 must be from 0 to"),
        ('[generator]\nkind = "unet"\ndepth = 1', "depth = 1 must be from 2 to 16"),
        ('[generator]\nkind = "unet"\ndepth = 999999999999', "depth = 999999999999 must be from"),
        ("[discriminator]\nchannels = 4611686018427387904", "channels = 46116.* must be from 1"),
    ],
    ids=range(17),
)
def test_recipes(tmp_path, text, what):
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=what) as raised:
        recipes.load_recipe(str(path))
    assert len(str(raised.value)) < 2000


@pytest.mark.parametrize(
    "text", [DEEP, f"a = {DIGITS}", f"[painters.{'a.' * 5000}b]"], ids=["deep", "digits", "dots"]
)
def test_registries(text):
    with pytest.raises(PainterError, match=r"is no registry"):
        registry.parse(text.encode(), "x")


@pytest.mark.parametrize(
    "text",
    [DEEP, DIGITS, "[]", "5", "null", '"x"', '{"kind": []}'],
    ids=["deep", "digits", "list", "number", "null", "text", "kind"],
)
@pytest.mark.parametrize("part", ["spec", "card"])
def test_what_a_painter_says_of_itself(tmp_path, part, text):
    from safetensors.numpy import save_file

    said = {"spec": '{"kind": "light"}', "card": "{}"} | {part: text}
    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "x.safetensors", said)
    data = _painter()
    for key, value in said.items():
        data = nameplate.with_metadata(data, key, value)
    if part == "card" and text.startswith("{"):
        return  # which is a card
    with pytest.raises(PainterError, match="does not say which network"):
        foreign.networks(tmp_path / "x.safetensors")
    with pytest.raises(PainterError, match="does not say rightly which network"):
        Painter.opened(data, "x.onnx")


def _painter() -> bytes:
    from tests.conftest import REPOSITORY

    return (REPOSITORY / "src" / "pleinair" / "painters" / "monet.onnx").read_bytes()


# --- what the next run reads ------------------------------------------------------------------


def test_a_ledger_with_half_a_letter(tmp_path):
    """Such a line could be read and never be written again, which ended the run with it."""
    whole = ledger.Entry("a.jpg", 1, 2, "s", "a.png", 3, 4)
    (tmp_path / "x").write_text(
        ledger._line(whole).replace("a.jpg", "\\ud800") + DEEP + "\n" + ledger._line(whole)
    )
    kept = ledger.Ledger(tmp_path, "x")
    assert kept.find(tmp_path / "a.png") == [whole]
    kept.close()
    assert (tmp_path / "x").read_text() == ledger._line(whole)


def test_a_history_that_a_disk_damaged(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_bytes(b'{"step": 1}\n\xff\x80\n[]\n{"loss": 1}\n{"step": "2"}\n{"step": 3}\n{"st')
    assert monitoring.read_history(path) == [{"step": 1}, {"step": 3}]
    monitoring.rewind_history(path, 2)
    assert path.read_bytes() == b'{"step": 1}\n'


def _npz(write=np.savez, **arrays) -> bytes:
    buffer = io.BytesIO()
    write(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\5\6",
        _npz(count=np.zeros(2), frames=1, last=1),
        _npz(count=2, frames=1, last=np.inf),
        _npz(count=10**15, frames=1, last=1),
        _npz(count=-1, frames=1, last=1),
        _npz(count=1),
        _npz(np.savez_compressed, count=np.zeros(10**7), frames=1, last=1),
        _npz(count=1, frames=1, last=1).replace(b"PK\1\2-\3-\0", b"PK\1\2-\3\xa2\0"),
        _npz(count=1, frames=1, last=1).replace(b"PK\1\2-\3-\0\0", b"PK\1\2-\3-\0\x40"),
    ],
    ids=[
        "empty",
        "cut",
        "two numbers",
        "infinite",
        "pieces without end",
        "none",
        "incomplete",
        "bomb",
        "version to come",
        "encrypted",
    ],
)
def test_a_film_whose_state_is_damaged(tmp_path, data):
    folder = tmp_path / ".x.mp4.pleinair"
    folder.mkdir()
    (folder / "settings.json").write_bytes(b"{}")
    (folder / "state.npz").write_bytes(data)
    for piece in ("000000.npz", "000001.npz"):
        (folder / piece).touch()
    with pytest.raises(OutputError, match="is damaged"):
        Work(tmp_path / "x.mp4", {}, force=False)


@pytest.mark.parametrize(
    "change", [{"sizes": [9]}, {"pts": []}, {"sizes": [4, -1]}, {"data": np.float32(1)}]
)
def test_a_piece_of_a_film_that_is_damaged(tmp_path, change):
    good = {"data": np.zeros(3, np.uint8), "sizes": [3], "pts": [7], "keys": [True]}
    piece = tmp_path / "000000.npz"
    piece.write_bytes(_npz(**good))
    assert reels.moments(piece).tolist() == [7]
    piece.write_bytes(_npz(**good | change))
    with pytest.raises(VideoError, match=r"is damaged .* begin anew"):
        reels.moments(piece)
    piece.write_bytes(_npz(**good)[:-30])
    with pytest.raises(VideoError, match=r"is damaged .* begin anew"):
        reels.moments(piece)


@pytest.mark.parametrize(
    "instructions",
    [
        b"\x80\x02\xff.",
        b"\x80\x63}.",
        b"\x80\x02X\x04\0\0\0\xff\xff\xff\xff.",
        b"\x80\x02]K\x01Q.",
        b"\x80\x02(J\x01.",
        b"\x80\x02}.",
        b"\x80\x02}X\x06\0\0\0formatK\x01s.",
        b"\x80\x02}(X\x06\0\0\0formatK\x01X\x06\0\0\0recipeK\x07u.",
    ],
)
def test_checkpoints_with_other_instructions(tmp_path, instructions):
    path = tmp_path / "x.pt"
    path.write_bytes(painters._around(instructions))
    with pytest.raises(CheckpointError, match="checkpoint"):
        checkpoint.load(path)
    path = tmp_path / "x.pth"
    path.write_bytes(painters._around(instructions))
    with pytest.raises(PainterError, match=r"x\.pth"):
        foreign.networks(path)


def records(place, **columns):
    """A manifest of one painting in a place of paintings, with other columns than ours."""
    whole = manifest._table([manifest.Row("/in/a.jpg", "1", "a.jpg", "s", manifest.now(), 1, "2")])
    for name, column in columns.items():
        whole = whole.set_column(whole.schema.get_field_index(name), name, column)
    path = place / tree.RECORDS / "manifest.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(whole, path)
    return path


def text(data):
    """A column that claims to be text."""
    offsets = pa.py_buffer(struct.pack("<2q", 0, len(data)))
    return pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(data)])


ELSEWHERE = ("a\0b", "/etc/passwd", "..", "../a.jpg", "b/../../a.jpg", "b/..", "", "b//c")


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("input", text(b"caf\xe9.jpg")),
        ("error", text(b"\xff\xff")),
        ("finished", pa.array([2**62], pa.timestamp("us", tz="UTC"))),
        ("finished", pa.array([-(2**62)], pa.timestamp("us", tz="UTC"))),
        ("attempts", pa.array([-(2**31)], pa.int32())),
        ("attempts", pa.array([2**40], pa.int64())),
        ("seconds", pa.array([None], pa.float64())),
        ("seconds", pa.array([float("nan")], pa.float64())),
        ("settings", pa.array([None], pa.large_string())),
        ("output", pa.array([None], pa.large_string())),
        *(("output", pa.array([name], pa.large_string())) for name in ELSEWHERE),
    ],
)
def test_a_manifest_of_a_library_with_what_no_row_has(tmp_path, name, column):
    path = records(tmp_path, **{name: column})
    with pytest.raises(OutputError, match=r"manifest\.parquet is no whole manifest of ours"):
        manifest.Manifest(str(tmp_path)).settle()
    part = tmp_path / tree.RECORDS / "parts" / "x" / "0000001" / "001.parquet"
    part.parent.mkdir(parents=True)
    path.rename(part)
    for read in (lambda kept: kept.settle(), lambda kept: kept.earlier("x", 1)):
        with pytest.raises(OutputError, match=r"001\.parquet is no whole manifest of ours"):
            read(manifest.Manifest(str(tmp_path)))


def test_names_of_paintings_that_lead_nowhere_else_are_taken(tmp_path):
    for name in ("..a.jpg", "a..", "b.../..c/d e.jpg", "b/.c.jpg", "é\n.jpg"):
        records(tmp_path, output=pa.array([name], pa.large_string()))
        kept = manifest.Manifest(str(tmp_path))
        assert kept.settle() == 1
        assert kept.find([name])[0].output == name


def test_a_manifest_of_a_library_that_cannot_be_unpacked(tmp_path):
    path = records(tmp_path)
    good = path.read_bytes()
    path.write_bytes(good[:4] + bytes(40) + good[44:])
    with pytest.raises(OutputError, match="is no whole manifest of ours"):
        manifest.Manifest(str(tmp_path)).settle()


def test_a_manifest_of_a_library_that_grows_is_refused(tmp_path):
    path = records(tmp_path)
    one = pq.read_table(path)
    rows = pa.concat_tables([one] * 10**6).combine_chunks()
    long = one.set_column(0, "input", pa.array(["a" * 2**18], pa.large_string()))
    lists = pa.array([[None] * 10**7], pa.list_(pa.int64()))
    for bomb in (rows, pa.concat_tables([long] * 1000), one.set_column(0, "input", lists)):
        pq.write_table(bomb, path, compression="zstd")
        assert path.stat().st_size < 50_000
        pool = pa.proxy_memory_pool(pa.system_memory_pool())
        before = pa.default_memory_pool()
        pa.set_memory_pool(pool)
        try:
            with pytest.raises(OutputError, match="is no whole manifest of ours"):
                manifest.Manifest(str(tmp_path)).settle()
        finally:
            pa.set_memory_pool(before)
        assert pool.max_memory() < 2**23


# --- archives and shards ----------------------------------------------------------------------


def test_a_damaged_member_packed_by_lzma(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.jpg", b"a picture " * 99)
    data = bytearray(buffer.getvalue())
    at = data.index(b"a.jpg") + 5
    data[at + 9 : at + 30] = b"\xff" * 21
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    with pytest.raises(ImageError, match="is damaged or cut short"):
        sources.open_source(path).read(0)
    with pytest.raises(DataError, match="is damaged or cut short"):
        archives.unpack(path, tmp_path / "new")


def test_a_zip_of_several_disks(tmp_path):
    path = tmp_path / "x.zip"
    whole = painters._torch()[0]
    locator = b"PK\6\7" + struct.pack("<IQI", 0, 0, 3)
    at = whole.rindex(b"PK\5\6")
    path.write_bytes(whole[:at] + locator + whole[at:])
    with pytest.raises(DataError, match="span multiple disks"):
        sources.open_source(path)
    with pytest.raises(DataError, match="holds no picture but an archive"):
        sources.open_source(tmp_path)


@pytest.mark.parametrize("name", ["x.pth", "x.keras", "x.zip"])
def test_a_zip_of_a_version_to_come(tmp_path, name):
    data = bytearray(painters._torch()[0])
    at = data.index(b"PK\1\2")
    data[at + 6] = 200
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(PainterError, match=name):
        foreign.networks(path)


def test_parquet_of_a_million_rows_in_a_kilobyte(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"image": pa.array([None] * 10**6, pa.binary())}), path)
    assert path.stat().st_size < 10_000
    with pytest.raises(DataError, match=r"it claims 1,000,000 rows"):
        sources.open_source(path)


def test_parquet_whose_bytes_are_a_number(tmp_path):
    """Python makes as many bytes of it: this once took five gigabytes."""
    path = tmp_path / "x.parquet"
    kind = pa.struct([("bytes", pa.int64())])
    pq.write_table(pa.table({"image": pa.array([{"bytes": 5 * 10**9}], kind)}), path)
    with pytest.raises(DataError, match="it must hold encoded pictures"):
        sources.open_source(path)


# --- painters of other programs ------------------------------------------------------------------


def test_sides_without_end_of_no_number(tmp_path):
    sides = field(2, bundles.numbers(n1=0)) + field(2, bundles.numbers(n1=2**64 - 1))
    entry = bundles.numbers(n1=1, m2=sides) + bundles.checksum_field(b"")
    bundle = Bundle(bundles.a_bundle(tmp_path, bundles.HEADER, {b"a": entry}))
    with pytest.raises(PainterError, match="no array is"):
        bundle.read("a")
    form = hdf5._Type(1, 4, "<f4")
    with pytest.raises(PainterError, match="damaged"), hdf5._File(b"", "x").sentence():
        hdf5._numbers(b"", form, (0, 2**64 - 1))


def test_names_that_are_each_the_end_of_one_long_name(tmp_path):
    """A megabyte and a thousand places in it would be a gigabyte of names."""
    import h5py

    path = tmp_path / "x.weights.h5"
    with h5py.File(path, "w") as file:
        for number in range(300):
            file.create_group(f"{number:03}" + "x" * 1000)
    content = bytearray(path.read_bytes())
    at = content.index(b"HEAP")
    size, start = struct.unpack_from("<Q8xQ", content, at + 8)
    content[start : start + size - 1] = b"x" * (size - 1)
    many = content + b"x" * 2**20
    # The heap of names lies at the end now, and is as long as that.
    struct.pack_into("<Q8xQ", many, at + 8, 2**20, len(content))
    many[-1] = 0
    path.write_bytes(many)
    with pytest.raises(PainterError, match="bytes of names"):
        foreign.networks(path)


def test_an_array_of_a_hundred_thousand_dimensions():
    """Multiplying these takes hours."""
    dims = field(1, varint(2**62) * 100_000)
    model = field(7, field(1, field(4, b"Conv")) + field(5, dims + field(8, b"a.weight")))
    for read in (
        lambda: onnxfile.check(model, "x"),
        lambda: nameplate.parameters(model),
        lambda: anatomy.read(model),
    ):
        with bounded(100_000), pytest.raises(PainterError, match="more than 64 dimensions"):
            read()


# --- pictures -----------------------------------------------------------------------------------


def test_directories_of_tags_that_hold_each_other():
    """Each entry of thousands led to a directory of thousands: a small file took hours."""
    count = 2000
    second = 8 + 2 + 12 * count + 4
    to_second = struct.pack("<HHII", tiff.EXIF, tiff.LONG, 1, second) * count
    to_first = struct.pack("<HHII", tiff.EXIF, tiff.LONG, 1, 8) * count
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", count) + to_second + bytes(4)
    data += struct.pack("<H", count) + to_first + bytes(4)
    with bounded(100_000):
        tiff.read(io.BytesIO(data))
        metadata.tiff_tags(data, metadata.Notes(), None)


@pytest.mark.parametrize("mode", ["F", "I", "I;16"])
def test_numbers_of_32_bits_take_little_more_than_they_are(mode):
    image = Image.new(mode, (3000, 2000), 1)
    tracemalloc.start()
    try:
        picture = images.from_pil(image)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert picture.pixels[0, 0, 0] == {"F": 255, "I": 1, "I;16": 0}[mode]
    assert peak < 3000 * 2000 * 12 + 2**26  # bytes


def test_subtitles_of_braces():
    """Looking for the end of each took hours."""
    many = b"0,0,Default,,0,0,0,,{\\b1}a{\\b0}b" + b"{" * 10**6
    assert companions._plain(many, "ass") == "ab" + "{" * 10**6
    assert companions._plain(b"0,0,Default,,0,0,0,,{a{b}c}", "ass") == "c}"
