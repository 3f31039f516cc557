"""HDF5 without libhdf5: what its own library finds in a file, and nothing that lies elsewhere."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pleinair import foreign
from pleinair.errors import PainterError
from pleinair.foreign import hdf5
from tests.test_bundle import DATA

KERAS2 = DATA / "keras2"


def walk(group, path=""):
    """Paths of all arrays and groups as this package sees them."""
    for name in group.names():
        inner = group.groups().get(name)
        yield f"{path}/{name}", inner
        if inner is not None:
            yield from walk(inner, f"{path}/{name}")


@pytest.mark.parametrize("name", ["model.h5", "weights.h5", "cyclegan.h5"])
def test_files_hold_what_their_own_library_finds(name):
    theirs = {}
    with h5py.File(KERAS2 / name) as file:
        file.visititems(lambda path, one: theirs.update({f"/{path}": one}))
        with hdf5.opened(KERAS2 / name, name) as root:
            ours = dict(walk(root))
            assert ours.keys() == theirs.keys()
            for path, one in theirs.items():
                if isinstance(one, h5py.Dataset):
                    assert ours[path] is None
                    found = root.variable(path, "x").read()
                    assert found.dtype == one.dtype
                    assert found.tobytes() == one[()].tobytes()
                    continue
                for attribute, value in one.attrs.items():
                    texts = [
                        t.decode() if isinstance(t, bytes) else str(t) for t in np.ravel(value)
                    ]
                    assert ours[path].texts(attribute) == texts


def made(path, fill, **how):
    with h5py.File(path, "w", **how) as file:
        fill(file)
    return path


def test_numbers_of_every_kind(tmp_path):
    values = np.arange(-6, 6).reshape(3, 4)
    kinds = ["<f2", "<f4", "<f8", "i1", "<i4", "<i8", "<u2"]

    def fill(file):
        for kind in kinds:
            file[kind] = values.astype(kind)
        file["scalar"] = np.float32(7)
        file["halves"] = np.frombuffer(np.float32([1, -2.5]).tobytes(), "V2")[1::2]
        file[">f4"] = values.astype(">f4")

    with hdf5.opened(made(tmp_path / "x.h5", fill), "x") as root:
        for kind in kinds:
            found = root.variable(kind, "x").read()
            assert found.dtype == kind
            np.testing.assert_array_equal(found, values.astype(kind))
        assert root.variable("scalar", "x").read() == 7
        np.testing.assert_array_equal(root.variable("halves", "x").read(), np.float32([1, -2.5]))
        with pytest.raises(PainterError, match="'/>f4' holds no numbers"):
            root.variable(">f4", "x")


def test_groups_of_many_and_attributes_in_pieces(tmp_path):
    def fill(file):
        for number in range(700):  # more than one node of the tree of names holds
            file[f"layer_{number}"] = np.float32([number])
        file.attrs["names0"] = [b"a", b"b"]
        file.attrs["names1"] = [b"c"]
        file.attrs["one"] = "ä" * 3000
        file.attrs["number"] = 5

    with hdf5.opened(made(tmp_path / "x.h5", fill), "x") as root:
        assert len(root.names()) == 700
        assert root.variable("layer_699", "x").read() == 699
        assert root.texts("names") == ["a", "b", "c"]
        assert root.text("one") == "ä" * 3000
        assert root.texts("number") is None
        assert root.text("none") is None


def legacy(kernel):
    """What writes a file of one layer, whose kernel `kernel` makes."""

    def fill(file):
        file.attrs["layer_names"] = [b"conv"]
        group = file.create_group("conv")
        group.attrs["weight_names"] = [b"conv/kernel:0"]
        kernel(group)

    return fill


def external_link(group):
    group["conv"] = h5py.ExternalLink("/etc/passwd", "/")


def soft_link(group):
    group["conv"] = h5py.SoftLink("/elsewhere")


def soft_dataset(group):
    group.create_group("conv")["kernel:0"] = h5py.SoftLink("/conv/conv/other")


def external_storage(group):
    shape = (4, 4, 3, 2)
    files = [("/etc/passwd", 0, 384)]
    group.create_dataset("conv/kernel:0", shape, "f4", external=files)


def virtual(group):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4,))
    group.create_virtual_dataset("conv/kernel:0", layout)


def huge(group):
    group.create_dataset("conv/kernel:0", (2**14,) * 4, "f4")  # never written: no bytes of its own


def squeezed(group):
    shape = (2**10, 2**10, 64)
    group.create_dataset("conv/kernel:0", shape, "f4", chunks=(64, 1024, 64), compression="gzip")


@pytest.mark.parametrize(
    ("kernel", "what"),
    [
        (external_link, "links of the newer kind|a link of the newer kind"),
        (soft_link, "'conv' is a link to another place"),
        (soft_dataset, "'kernel:0' is a link to another place"),
        (external_storage, "numbers in another file"),
        (virtual, "lie in pieces or elsewhere|newer"),
        (huge, "were never written|announces"),
        (squeezed, "compressed numbers"),
    ],
)
def test_numbers_that_lie_elsewhere_or_nowhere(tmp_path, kernel, what):
    with pytest.raises(PainterError, match=what) as raised:
        foreign.networks(made(tmp_path / "x.h5", legacy(kernel)))
    assert "\n" not in str(raised.value)


def test_the_newer_format_says_so(tmp_path):
    path = made(tmp_path / "x.h5", lambda file: file.create_group("a"), libver="latest")
    with pytest.raises(PainterError, match="newer format"):
        foreign.networks(path)


def test_a_group_that_holds_itself(tmp_path):
    def fill(file):
        file.create_group("layers")["layers"] = file["/"]

    with pytest.raises(PainterError, match="more than"):
        foreign.networks(made(tmp_path / "x.weights.h5", fill))


def test_many_texts_that_are_one_long_text(tmp_path):
    """Bytes of a file that would be gigabytes of names."""

    def fill(file):
        file.attrs.create("layer_names", ["x" * 60_000] * 2000, dtype=h5py.string_dtype())

    path = made(tmp_path / "x.h5", fill)
    content = bytearray(path.read_bytes())
    # All point to the first: length, heap, number of each are 16 bytes.
    sixty = (60_000).to_bytes(4, "little")
    at = content.index(sixty + content[content.index(sixty) + 4 :][:12])
    first = content[at : at + 16]
    assert content.count(sixty) >= 2000
    for place in range(at, at + 16 * 2000, 16):
        content[place : place + 16] = first
    path.write_bytes(content[: len(content)])
    with pytest.raises(PainterError, match="a text of"):
        foreign.networks(path)


def test_descriptions_that_overlap_are_not_read_for_ever(tmp_path):
    """A heap of names as long as the file, in each of many groups."""

    def fill(file):
        for number in range(300):
            file.create_group(f"group_{number}/x")
        file["bulk"] = np.zeros(2**20, np.float32)

    path = made(tmp_path / "x.weights.h5", fill)
    content = bytearray(path.read_bytes())
    at = content.find(b"HEAP")
    while at >= 0:
        content[at + 8 : at + 16] = (2**21).to_bytes(8, "little")
        at = content.find(b"HEAP", at + 1)
    path.write_bytes(content)
    with pytest.raises(PainterError, match="bytes of descriptions"):
        foreign.networks(path)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_any_damage_is_one_sentence(tmp_path_factory, data):
    name = data.draw(st.sampled_from(["model.h5", "weights.h5", "cyclegan.h5", "generator.keras"]))
    content = bytearray((KERAS2 / name).read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        content[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(content[: data.draw(st.one_of(st.none(), st.integers(0, len(content))))])
    said = ""
    try:
        foreign.networks(path)
    except PainterError as error:
        said = str(error)
    assert "\n" not in said
