"""TensorFlow's files: tables, bundles, object graphs, SavedModels; and what becomes of damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pleinair import foreign, networks, protobuf
from pleinair.errors import MissingExtraError, PainterError
from pleinair.foreign import table, tensorflow
from pleinair.foreign.bundle import Bundle
from pleinair.foreign.keras_config import Facts
from tests.bundles import (
    HEADER,
    a_bundle,
    a_graph,
    a_table,
    checksum_field,
    child,
    entry,
    field,
    numbers,
    varint,
)
from tests.test_sources import forbid

DATA = Path(__file__).parent / "data" / "keras"
CHECKPOINT = DATA / "keras2" / "checkpoint" / "ckpt-1"
SAVED = DATA / "keras2" / "savedmodel"
EXPECTED = np.load(DATA / "expected.npz")


def paints(found, picture):
    """What a found network makes of a picture of NHWC."""
    network = networks.build(found.weights.spec).eval()
    arrays = {name: torch.from_numpy(array) for name, array in found.weights.arrays.items()}
    network.load_state_dict(arrays)
    with torch.no_grad():
        return network(torch.from_numpy(picture).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()


# --- whole files ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "ways"),
    [
        ("keras2/savedmodel", {"m_gen": "painting", "p_gen": "photo"}),
        ("keras2/savedmodel/saved_model.pb", {"m_gen": "painting", "p_gen": "photo"}),
        ("keras2/savedmodel/variables", {"m_gen": "painting", "p_gen": "photo"}),
        ("keras2/checkpoint", {"m_gen": "painting", "p_gen": "photo"}),
        ("keras2/checkpoint/checkpoint", {"m_gen": "painting", "p_gen": "photo"}),
        ("keras2/checkpoint/ckpt-1", {"m_gen": "painting", "p_gen": "photo"}),
        ("keras2/checkpoint/ckpt-1.index", {"m_gen": "painting", "p_gen": "photo"}),
        (
            "keras2/checkpoint/ckpt-1.data-00000-of-00001",
            {"m_gen": "painting", "p_gen": "photo"},
        ),
        ("keras2/tutorial", {"generator_g": "unknown"}),
        ("keras3/savedmodel", {"": "unknown"}),
        ("keras3/checkpoint", {"monet_generator": "painting"}),
    ],
)
def test_every_generator_paints_as_tensorflow_does(place, ways):
    found = foreign.networks(DATA / place)
    assert {one.name: one.way for one in found} == ways
    for one in found:
        wanted = {"generator_g": "tutorial", "": "keras3", "monet_generator": "keras3"}
        picture = EXPECTED["deep_picture" if one.name == "generator_g" else "picture"]
        painting = EXPECTED[wanted.get(one.name, one.name)]
        np.testing.assert_allclose(paints(one, picture), painting, atol=1e-4)


def test_the_painting_generator_is_chosen_without_asking():
    assert foreign.read(SAVED).name == "m_gen"
    assert foreign.read(SAVED, "p_gen").way == "photo"


def test_tensors_are_read_bit_for_bit():
    bundle = Bundle(CHECKPOINT)
    data = CHECKPOINT.with_name("ckpt-1.data-00000-of-00001").read_bytes()
    numbers = [key for key, entry in bundle.entries.items() if entry.kind != 7]
    assert len(numbers) == 15 + 15 + 6 + 6 + 32 + 1  # both ways, discriminators, Adam, a counter
    for key in numbers:
        entry = bundle.entries[key]
        array = bundle.read(key)
        assert array.shape == entry.shape
        assert array.tobytes() == data[entry.offset : entry.offset + entry.size]


def test_norms_of_the_tutorials_have_their_own_epsilon():
    assert foreign.read(DATA / "keras2" / "tutorial").weights.spec.norm_epsilon == 1e-5
    assert foreign.read(SAVED).weights.spec.norm_epsilon == 1e-3


def test_a_folder_with_several_checkpoints_means_the_latest(tmp_path):
    for name in ("ckpt-1", "ckpt-2"):
        for file in CHECKPOINT.parent.glob("ckpt-1.*"):
            shutil.copy(file, tmp_path / file.name.replace("ckpt-1", name))
    with pytest.raises(PainterError, match=r"several checkpoints, ckpt-1\.index, ckpt-2\.index"):
        foreign.networks(tmp_path)
    # As written elsewhere, and by a machine with other paths.
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/kaggle/working/ckpt-2"\n')
    assert foreign.read(tmp_path).weights.card["read from"] == "ckpt-2"
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "../../etc/ckpt-2"\n')
    assert foreign.read(tmp_path).weights.card["read from"] == "ckpt-2"


# --- configurations of a SavedModel -------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    return Path(shutil.copytree(SAVED, tmp_path / "saved"))


def test_settings_come_from_the_metadata(saved):
    metadata = saved / "keras_metadata.pb"
    text = metadata.read_bytes()
    metadata.write_bytes(
        text.replace(b'"epsilon": 0.001', b'"epsilon": 0.002').replace(
            b'"alpha": 0.30000001192092896', b'"alpha": 0.20000000298023224'
        )
    )
    spec = foreign.read(saved).weights.spec
    assert (spec.slope, spec.norm_epsilon) == (0.2, 0.002)
    metadata.write_bytes(text.replace(b'"activation": "tanh"', b'"activation": "relu"'))
    with pytest.raises(PainterError, match="ends in 'relu', and 'tanh' is the lab's"):
        foreign.read(saved)


def test_settings_that_keras_kept_in_the_saved_model_before_2_5(saved):
    metadata = memoryview((saved / "keras_metadata.pb").read_bytes())
    texts = [text.replace("0.001", "0.004") for text in tensorflow._nodes(metadata) if text]
    nodes = [field(1, field(4, field(3, text.encode()))) for text in [*texts, "no JSON"]]
    (saved / "keras_metadata.pb").unlink()
    (saved / "saved_model.pb").write_bytes(field(2, field(7, b"".join(nodes))))
    assert foreign.read(saved).weights.spec.norm_epsilon == 0.004


def test_a_saved_model_without_configurations_has_the_usual_settings():
    assert tensorflow._facts(DATA / "keras3" / "savedmodel") == Facts()


@pytest.mark.parametrize("content", [b"\x0a\xff", b"\x0a\x03\x2a\x01{", b"[" * 9])
def test_damaged_configurations(saved, content):
    (saved / "keras_metadata.pb").write_bytes(content)
    with pytest.raises(PainterError, match=r"keras_metadata\.pb is damaged or cut short"):
        foreign.read(saved)


# --- damage -----------------------------------------------------------------------------------


@pytest.fixture
def copied(tmp_path):
    """A checkpoint's prefix, to be damaged."""
    for file in CHECKPOINT.parent.glob("ckpt-1.*"):
        shutil.copy(file, tmp_path)
    return tmp_path / "ckpt-1"


def outcome(prefix):
    """Arrays of both generators; None for an error of one sentence."""
    found = said = None
    try:
        found = foreign.networks(prefix)
    except PainterError as error:
        said = str(error)
    assert said is None or "\n" not in said
    return found and [one.weights.arrays for one in found]


def same(found, wanted):
    return all(
        np.array_equal(one[name], other[name])
        for one, other in zip(found, wanted, strict=True)
        for name in other
    )


def test_a_flipped_byte_of_the_index_is_found_wherever_it_is():
    content = CHECKPOINT.with_name("ckpt-1.index").read_bytes()
    for at in range(len(content)):
        with pytest.raises((ValueError, IndexError)):
            table.entries(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])


def test_a_flipped_byte_of_the_numbers_is_found_or_not_read(copied):
    file = copied.with_name("ckpt-1.data-00000-of-00001")
    content, whole = file.read_bytes(), outcome(copied)
    found = 0
    for at in range(0, len(content), 211):
        file.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
        arrays = outcome(copied)
        found += arrays is None
        assert arrays is None or same(arrays, whole), at
    assert found > len(content) // 211 // 3  # the rest is the optimizer's and the discriminators'


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_damage_is_one_sentence(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    whole = outcome(CHECKPOINT)
    for file in CHECKPOINT.parent.glob("ckpt-1.*"):
        content = bytearray(file.read_bytes())
        for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
            content[at] = data.draw(st.integers(0, 255))
        cut = data.draw(st.one_of(st.none(), st.integers(0, len(content))))
        (folder / file.name).write_bytes(content[:cut])
    arrays = outcome(folder / "ckpt-1")
    assert arrays is None or same(arrays, whole)


def test_what_is_missing_or_cut_short_is_named(copied):
    data = copied.with_name("ckpt-1.data-00000-of-00001")
    content = data.read_bytes()
    data.write_bytes(content[:1000])
    with pytest.raises(PainterError, match=r"is cut short: 1,000 bytes found, .* ends at"):
        foreign.networks(copied)
    data.unlink()
    with pytest.raises(PainterError, match=r"a checkpoint is its \.index and all its .data files"):
        foreign.networks(copied)
    index = copied.with_name("ckpt-1.index")
    index.write_bytes(index.read_bytes()[:-60])
    with pytest.raises(PainterError, match="does not end as a table of tensors does"):
        foreign.networks(copied)
    index.unlink()
    with pytest.raises(PainterError, match="does not exist; give a file or folder of weights"):
        foreign.networks(copied)


def test_checksums_need_their_library(monkeypatch):
    forbid(monkeypatch, "google_crc32c")
    with pytest.raises(MissingExtraError, match=r"pip install 'pleinair\[import\]'"):
        foreign.networks(CHECKPOINT)


# --- tables made to deceive -----------------------------------------------------------------------


def test_a_table_keeps_what_keys_share():
    content = entry(0, b"apple", b"1") + entry(4, b"y", b"2")
    assert table.entries(a_table(content)) == {b"apple": b"1", b"apply": b"2"}


@pytest.mark.parametrize(
    ("content", "kind", "what"),
    [
        (entry(0, b"b", b"") + entry(0, b"a", b""), 0, "out of order"),
        (entry(0, b"b", b"") + entry(1, b"", b""), 0, "out of order"),
        (entry(0, b"b", b"") + entry(2, b"a", b""), 0, "reaches beyond its block"),
        (varint(0) + varint(2**40) + varint(1) + b"a", 0, "reaches beyond its block"),
        (b"\xff" * 12, 0, "more than 10 bytes"),
        (entry(0, b"a", b"1"), 1, "Snappy"),
        (entry(0, b"a", b"1"), 7, "kind 7"),
        # 4 bytes an entry that each stand for a longer key than the one before.
        (entry(0, b"a" * 30_000, b"") + entry(30_000, b"a", b"") * 1, 0, None),
    ],
)
def test_tables_with_true_checksums_and_lies(content, kind, what):
    if what is None:
        assert len(table.entries(a_table(content))) == 2
        return
    with pytest.raises(ValueError, match=what):
        table.entries(a_table(content, kind))


def test_keys_that_would_unpack_to_very_much():
    grown = b"".join(entry(60_000 + n, b"a", b"") for n in range(2000))
    with pytest.raises(ValueError, match="out of order"):
        table.entries(a_table(entry(0, b"a" * 60_000, b"") + grown))


@pytest.mark.parametrize(
    ("message", "what"),
    [
        (numbers(n1=1, n5=2**50), "do not make"),
        (numbers(n1=1, n4=2**63, n5=4), "cut short"),
        (numbers(n1=1, m2=field(2, numbers(n1=2**62)), n5=4), "do not make"),
        (numbers(n1=1, m2=field(2, numbers(n1=2**40)), n5=2**42), "cut short"),
        (numbers(n1=1, n3=7, n5=4), "cannot be read"),
        (numbers(n1=99, n5=4), "TensorFlow's type 99"),
        (numbers(n1=1, n5=4, m7=b""), "cut into slices"),
        (numbers(n1=1, n5=4), "does not match its checksum"),
    ],
)
def test_entries_that_lie(tmp_path, message, what):
    bundle = Bundle(a_bundle(tmp_path, HEADER, {b"v": message}, b"\0" * 8))
    with pytest.raises(PainterError, match=what):
        bundle.read("v")


@pytest.mark.parametrize(
    ("header", "what"),
    [
        (numbers(n1=0), "0 data files"),
        (numbers(n1=2**60), "data files"),
        (numbers(n1=1, n2=1), "big-endian"),
        (b"\x0f", "wire type 7"),
    ],
)
def test_headers_that_lie(tmp_path, header, what):
    with pytest.raises(PainterError, match=what):
        Bundle(a_bundle(tmp_path, header, {}))


def test_halves_become_floats(tmp_path):
    value = np.float32([1.5, -2, 3e20])
    data = (value.view(np.uint32) >> 16).astype("<u2").tobytes()
    message = numbers(n1=14, m2=field(2, numbers(n1=3)), n5=6) + checksum_field(data)
    found = Bundle(a_bundle(tmp_path, HEADER, {b"v": message}, data)).read("v")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, value, rtol=0.01)


@pytest.mark.parametrize(
    ("graph", "what"),
    [
        (b"", "its object graph is damaged"),
        (b"\x0a\xff", "its object graph is damaged"),
        (field(1, child(9, b"x")), "an object that does not exist has a name"),
        (field(1, child(2**64 - 1, b"x")), "an object that does not exist has a name"),
        (
            field(1, child(1, b"x"))
            + field(1, field(2, field(1, b"VARIABLE_VALUE") + field(3, b"v"))),
            "a variable of it has no tensor",
        ),
        (b"".join(field(1, child(n + 1, b"x")) for n in range(99)) + field(1, b""), "within each"),
        (field(1, child(0, b"x")), "holds no U-Net of the lab's kind, but no weights"),
        (field(1, child(0, b"\xff")), "its object graph is damaged"),
    ],
)
def test_object_graphs_that_lie(tmp_path, graph, what):
    with pytest.raises(PainterError, match=what):
        foreign.networks(a_graph(tmp_path, graph))


def test_a_checkpoint_of_tensorflow_1_says_so(tmp_path):
    with pytest.raises(PainterError, match="as TensorFlow 1 wrote it"):
        foreign.networks(a_bundle(tmp_path, HEADER, {}))


@given(st.binary(max_size=80))
def test_a_message_of_anything_is_numbers_or_an_error(content):
    try:
        protobuf.numbers(memoryview(content))
        list(protobuf.messages(memoryview(content), 1))
    except (ValueError, IndexError):
        pass


def test_fixtures_are_small():
    sizes = [file.stat().st_size for file in DATA.rglob("*") if file.is_file()]
    assert sum(sizes) < 1_000_000
