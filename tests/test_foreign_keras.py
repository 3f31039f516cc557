"""Keras' files of every age paint here as they do in Keras; what is hostile is refused."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pleinair import foreign, graphs
from pleinair.config import UNetSpec
from pleinair.errors import PainterError
from pleinair.foreign import keras_config
from pleinair.foreign.parts import numbered
from tests.test_bundle import DATA, EXPECTED, paints

pytestmark = pytest.mark.xdist_group("keras")  # Keras makes its files once

KERAS2 = DATA / "keras2"


@pytest.fixture(scope="session")  # a module's is made anew where other tests come between
def saved(tmp_path_factory):
    """Everything that Keras 3 saves, by `lab_in_keras`."""
    folder = tmp_path_factory.mktemp("keras3")
    script = Path(__file__).parent / "lab_in_keras.py"
    subprocess.run([sys.executable, script, folder], check=True, capture_output=True)
    yield folder
    shutil.rmtree(folder)


def expected(folder, name):
    return np.load(folder / "picture.npy")[None], np.load(folder / f"{name}.npy")[None]


# --- parity -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.h5", "weights.h5", "generator.keras"])
def test_keras_2(name):
    found = foreign.read(KERAS2 / name)
    assert found.weights.spec == UNetSpec(channels=2, depth=3)
    np.testing.assert_allclose(paints(found, EXPECTED["picture"]), EXPECTED["m_gen"], atol=1e-4)


def test_all_networks_of_a_subclassed_model():
    monet, photo = foreign.networks(KERAS2 / "cyclegan.h5")
    assert (monet.name, monet.way, photo.name, photo.way) == (
        *("model", "painting"),
        *("model_1", "photo"),
    )
    for found, name in ((monet, "m_gen"), (photo, "p_gen")):
        np.testing.assert_allclose(paints(found, EXPECTED["picture"]), EXPECTED[name], atol=1e-4)
    assert foreign.read(KERAS2 / "cyclegan.h5").name == "model"


@pytest.mark.parametrize(
    ("file", "spec"),
    [
        ("lab.h5", UNetSpec(channels=2)),
        ("lab.keras", UNetSpec(channels=2)),
        ("lab.weights.h5", UNetSpec(channels=2)),
        ("stacks.weights.h5", UNetSpec(channels=2)),
        ("flat.keras", UNetSpec(channels=3, depth=4)),
        ("flat.weights.h5", UNetSpec(channels=3, depth=4)),
        # What only a configuration tells: slope, epsilon, and that skips come first.
        ("odd.h5", UNetSpec(channels=2, depth=5, slope=0.1, norm_epsilon=0.02)),
        ("odd.keras", UNetSpec(channels=2, depth=5, slope=0.1, norm_epsilon=0.02)),
    ],
)
def test_keras_3(saved, file, spec):
    found = foreign.read(saved / file)
    assert found.weights.spec == spec
    picture, painting = expected(saved, file.split(".")[0])
    np.testing.assert_allclose(paints(found, picture), painting, atol=1e-4)


def test_the_labs_own_size_as_a_painter(saved):
    found = foreign.read(saved / "real.h5")
    assert found.weights.spec == UNetSpec()
    assert sum(array.size for array in found.weights.arrays.values()) == 54_414_979
    picture, painting = expected(saved, "real")
    session = onnxruntime.InferenceSession(graphs.painter(found.weights))
    name = session.get_inputs()[0].name
    (out,) = session.run(None, {name: picture.transpose(0, 3, 1, 2)})[:1]
    np.testing.assert_allclose(out.transpose(0, 2, 3, 1), painting, atol=1e-4)


def test_several_networks_in_keras_3(saved):
    found = foreign.networks(saved / "named.weights.h5")
    assert [(one.name, one.way) for one in found] == [
        ("photo2monet", "painting"),
        ("photo_generator", "photo"),
    ]
    # Nobody named these: the tutorial's order tells.
    assert [one.way for one in foreign.networks(saved / "both.weights.h5")] == ["painting", "photo"]


@pytest.mark.parametrize(
    ("file", "what"),
    [
        ("discriminator.keras", "not the lab's U-Net: its configuration has 'Conv2D' where"),
        ("discriminator.weights.h5", r"holds no U-Net .* but 2 convolutions \(4x4x4x1 \.\.\."),
        ("lambda.keras", "'Lambda' where Conv2DTranspose belongs"),
        ("groups.keras", "2 groups, and one a channel is the lab's"),
    ],
)
def test_other_networks_say_what_they_are(saved, file, what):
    with pytest.raises(PainterError, match=what):
        foreign.networks(saved / file)


# --- numbers and archives -----------------------------------------------------------------------


def test_numbers_that_are_not_finite(tmp_path):
    path = tmp_path / "x.h5"
    shutil.copy(KERAS2 / "weights.h5", path)
    with h5py.File(path, "r+") as file:
        file["sequential/conv2d/kernel:0"][0, 0, 0, 0] = np.nan
    with pytest.raises(PainterError, match="'kernel' holds numbers that are not finite"):
        foreign.networks(path)


def zipped(path, **members):
    """generator.keras with other or more members; None leaves one out."""
    with zipfile.ZipFile(KERAS2 / "generator.keras") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content |= {name.replace("__", "."): data for name, data in members.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            if data is not None:
                archive.writestr(name, data)
    return path


def test_a_member_that_leaves_its_folder(tmp_path):
    path = zipped(tmp_path / "x.keras", **{"../evil": b"x"})
    with pytest.raises(PainterError, match="would leave its folder"):
        foreign.networks(path)
    assert list(tmp_path.iterdir()) == [path]


def test_members_that_unpack_to_very_much(tmp_path):
    path = zipped(tmp_path / "x.keras", model__weights__h5=b"\0" * 2**24)
    with pytest.raises(PainterError, match="claims to unpack to 16,777,216 bytes"):
        foreign.networks(path)
    path = zipped(tmp_path / "y.keras", config__json=b" " * (2**26 + 1))
    with pytest.raises(PainterError, match=r"config\.json claims to unpack to"):
        foreign.networks(path)


def test_members_that_are_missing_or_something_else(tmp_path):
    path = zipped(tmp_path / "x.keras", model__weights__h5=None, model__weights__json=b"{}")
    with pytest.raises(PainterError, match=r"has no member model\.weights\.h5"):
        foreign.networks(path)
    path = zipped(tmp_path / "x.keras", config__json=b"[" * 100_000)
    with pytest.raises(PainterError, match="nested too deeply"):
        foreign.networks(path)
    path = zipped(tmp_path / "x.keras", model__weights__h5=b"no HDF5")
    with pytest.raises(PainterError, match="damaged, or not as Keras writes it"):
        foreign.networks(path)
    path.write_bytes(b"PK" + b"x" * 500)
    with pytest.raises(PainterError, match="damaged or cut short"):
        foreign.networks(path)


# --- configurations -----------------------------------------------------------------------------


@pytest.fixture
def config():
    with h5py.File(KERAS2 / "model.h5") as file:
        return file.attrs["model_config"]


def test_facts_of_a_configuration(config):
    assert keras_config.facts(json.loads(config)) == keras_config.Facts(0.3, 0.001)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('"strides": [2, 2]', '"strides": [1, 1]', "has strides"),
        ('"padding": "same"', '"padding": "valid"', "has padding 'valid'"),
        ('"activation": "tanh"', '"activation": "sigmoid"', "ends in 'sigmoid'"),
        ('"class_name": "ReLU"', '"class_name": "Lambda"', "has 'Lambda' where ReLU belongs"),
        ('"class_name": "LeakyReLU"', '"class_name": "ReLU"', "where"),
        ('"alpha": 0.30000001192092896', '"alpha": 0.2', None),
        ('"groups": -1', '"groups": 3', "has 3 groups"),
        ('"epsilon": 0.001', '"epsilon": "much"', "could not convert"),
        ('"epsilon": 0.001', '"epsilon": NaN', "has the epsilon nan"),
        ('"alpha": 0.30000001192092896', '"alpha": 1' + "0" * 400, "none of Keras"),
        ('"alpha": 0.30000001192092896', '"alpha": -1', "has the slope -1"),
        ('"axis": -1', '"axis": 1', "does not join the channels of two"),
        ('"groups": -1, "axis": -1', '"groups": -1, "axis": 1', "along axis 1"),
        ('"class_name": "Concatenate"', '"class_name": "Add"', "has 'Add' where LeakyReLU belongs"),
        # A skip from the wrong depth, and a layer that reads what comes later.
        ('1, 0, {}], ["sequential_1"', '1, 0, {}], ["sequential"', "do not join what is of one"),
        ('[["concatenate", 0', '[["concatenate_1", 0', "none of Keras"),
        ('"layers"', '"leyers"', "none of Keras"),
    ],
)
def test_configurations_of_something_else(config, old, new, what):
    assert old in config
    changed = json.loads(config.replace(old, new))
    if what is None:
        assert keras_config.facts(changed).slope == 0.2
        return
    with pytest.raises(ValueError, match=what):
        keras_config.facts(changed)


def test_a_layer_of_another_slope(config):
    changed = json.loads(config.replace("0.30000001192092896", "0.1", 1))
    with pytest.raises(ValueError, match="different slopes or epsilons"):
        keras_config.facts(changed)


@given(st.recursive(st.none() | st.text(max_size=3) | st.integers(), lambda inner: st.lists(inner)))
def test_a_configuration_of_anything_is_an_error_of_ours(value):
    with contextlib.suppress(ValueError):
        keras_config.facts({"class_name": "Functional", "config": value})


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("monet_generator.h5", "painting"),
        ("photo_generator.h5", "photo"),
        ("photo2monet.h5", "painting"),
        ("generator.h5", "unknown"),
    ],
)
def test_a_files_name_says_what_is_made(tmp_path, name, made):
    shutil.copy(KERAS2 / "weights.h5", tmp_path / name)
    assert foreign.read(tmp_path / name).way == made


def test_numbers_behind_names():
    names = ["conv2d_10", "conv2d_9", "conv2d", "layer_with_weights-2"]
    assert [numbered(name) for name in names] == [
        ("conv2d", 10),
        ("conv2d", 9),
        ("conv2d", -1),
        ("layer_with_weights", 2),
    ]


def test_files_of_no_kind(tmp_path):
    path = tmp_path / "x.h5"
    path.write_bytes(b"no weights")
    with pytest.raises(PainterError, match="is a text file"):
        foreign.networks(path)
    empty = io.BytesIO()
    with h5py.File(empty, "w") as file:
        file.create_group("something")
    path.write_bytes(empty.getvalue())
    with pytest.raises(PainterError, match="holds no U-Net of the lab's kind, but no weights"):
        foreign.networks(path)
