from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pleinair import foreign, weights
from pleinair.config import PatchSpec, ResNetSpec, UNetSpec
from pleinair.engines import of_weights
from pleinair.errors import PainterError
from pleinair.foreign.ways import way
from pleinair.networks import build
from pleinair.painter import Painter
from pleinair.weights import Weights

from .reference import Discriminator, ResnetGenerator, UnetGenerator, painted, randomised

RESNETS = {
    "plain": {},
    "3 blocks": {"blocks": 3, "width": 6},
    "dropout": {"dropout": True},
    "blur down": {"down": True},
    "blur up": {"up": True},
    "CUT": {"down": True, "up": True},
    "old norms": {"norm": "old"},
    "old norms with dropout": {"norm": "old", "dropout": True},
    "batch norms": {"norm": "batch"},
    "batch norms, dropout, CUT": {"norm": "batch", "dropout": True, "down": True, "up": True},
}
UNETS = {
    "plain": {},
    "7 deep": {"depth": 7},
    "dropout": {"depth": 6, "dropout": True},
    "batch norms": {"norm": "batch"},
    "old norms": {"norm": "old"},
}


def photo(side: int = 64) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (1, 3, side, side)).astype(np.float32)


def agrees(network: torch.nn.Module, path: Path, side: int = 64) -> None:
    found = foreign.read(path)
    expected = painted(network, photo(side))
    for ours in (of_weights(found.weights), Painter.load(path).engine):
        np.testing.assert_allclose(ours(photo(side)), expected, atol=1e-4)
    assert np.ptp(expected) > 0.3


@pytest.mark.parametrize("options", RESNETS.values(), ids=RESNETS)
def test_published_resnets_paint_as_they_did(tmp_path, options):
    network = randomised(ResnetGenerator(**options))
    torch.save(network.state_dict(), tmp_path / "latest_net_G.pth")
    spec = foreign.read(tmp_path / "latest_net_G.pth").weights.spec
    assert spec == ResNetSpec(
        options.get("width", 4),
        options.get("blocks", 2),
        options.get("down", False),
        options.get("up", False),
        options.get("norm") == "batch",
    )
    agrees(network, tmp_path / "latest_net_G.pth")


@pytest.mark.parametrize("options", UNETS.values(), ids=UNETS)
def test_published_unets_paint_as_they_did(tmp_path, options):
    network = randomised(UnetGenerator(**options))
    torch.save(network.state_dict(), tmp_path / "latest_net_G.pth")
    depth = options.get("depth", 5)
    spec = foreign.read(tmp_path / "latest_net_G.pth").weights.spec
    assert spec == UNetSpec(4, depth, slope=0.2, norm_epsilon=1e-5, order="pix2pix")
    agrees(network, tmp_path / "latest_net_G.pth", side=2**depth)


def wrapped(network: torch.nn.Module, prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in network.state_dict().items()}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda n: n.state_dict(),
        lambda n: wrapped(n, "module."),
        lambda n: {"state_dict": n.state_dict(), "epoch": 3, "lr": [1e-4], "opt": {"a": None}},
        lambda n: OrderedDict(wrapped(n, "model.")),
        lambda n: {"params": dict(n.named_parameters())},
    ],
    ids=["plain", "DataParallel", "checkpoint", "within another", "parameters"],
)
def test_what_is_wrapped_around_a_network_is_no_part_of_it(tmp_path, wrap, legacy):
    network = randomised(ResnetGenerator())
    path = tmp_path / "any name"  # known by what is in it
    torch.save(wrap(network), path, _use_new_zipfile_serialization=not legacy)
    found = foreign.read(path)
    assert found.name == ""
    assert found.weights.card["format"] == ("PyTorch before 1.6" if legacy else "PyTorch")
    agrees(network, path)


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_several_networks_of_one_file_have_their_names(tmp_path, suffix):
    names = ("netG_A", "netG_B")
    pair = {name: randomised(ResnetGenerator(), seed) for seed, name in enumerate(names)}
    flat = {k: v for name, one in pair.items() for k, v in wrapped(one, f"{name}.").items()}
    flat |= wrapped(Discriminator(), "netD_A.")
    path = tmp_path / f"photo2monet{suffix}"
    if suffix == ".ckpt":
        torch.save({"state_dict": flat, "hyper_parameters": {"lr": 1e-4}}, path)
    else:
        save_file(flat, path)
    found = foreign.networks(path)
    assert [(one.name, one.way) for one in found] == [("netG_A", "painting"), ("netG_B", "photo")]
    assert foreign.read(path).name == "netG_A"
    assert foreign.read(path, "netG_B").way == "photo"
    with pytest.raises(PainterError, match="no network 'G'; it holds netG_A, netG_B"):
        foreign.read(path, "G")
    for name, one in pair.items():
        ours = of_weights(foreign.read(path, name).weights)
        np.testing.assert_allclose(ours(photo()), painted(one, photo()), atol=1e-4)
    nested = tmp_path / "nested.pth"
    torch.save({name: one.state_dict() for name, one in pair.items()}, nested)
    assert [one.name for one in foreign.networks(nested)] == list(names)
    with pytest.raises(PainterError, match="netG_A, netG_B; name one with --network"):
        foreign.read(nested)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_converted(tmp_path, dtype):
    network = randomised(ResnetGenerator()).to(dtype)
    torch.save(network.state_dict(), tmp_path / "a.pth")
    arrays = foreign.read(tmp_path / "a.pth").weights.arrays
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(
        arrays["model.1.weight"], network.model[1].weight.detach().float().numpy()
    )


def test_safetensors_of_ours_say_what_they_are(tmp_path):
    spec = ResNetSpec(channels=4, blocks=1)
    arrays = {k: v.numpy() for k, v in build(spec).state_dict().items()}
    weights.save(Weights(spec, arrays, {"name": "ours"}), tmp_path / "a.safetensors")
    found = foreign.read(tmp_path / "a.safetensors")
    assert (found.weights.spec, found.weights.card) == (spec, {"name": "ours"})
    judge = PatchSpec(channels=4)
    arrays = {k: v.numpy() for k, v in build(judge).state_dict().items()}
    weights.save(Weights(judge, arrays, {}), tmp_path / "d.safetensors")
    with pytest.raises(PainterError, match="holds a discriminator"):
        foreign.read(tmp_path / "d.safetensors")


# --- what is refused --------------------------------------------------------------------------


def refused(path: Path, match: str) -> None:
    with pytest.raises(PainterError, match=match) as caught:
        foreign.read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hacked",)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_hostile_pickle_is_not_run(tmp_path, monkeypatch, legacy):
    monkeypatch.chdir(tmp_path)
    state = {**ResnetGenerator().state_dict(), "extra": Hostile()}
    torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    refused(tmp_path / "a.pth", "asks for posix.system, and only tensors are read")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Hostile()))
    refused(tmp_path / "b.pth", "a pickle that torch.save did not write")
    assert not (tmp_path / "hacked").exists()


def test_a_whole_module_is_refused_with_what_to_save_instead(tmp_path):
    torch.save(ResnetGenerator(), tmp_path / "a.pth")
    refused(tmp_path / "a.pth", r"asks for tests.reference.ResnetGenerator.*network.state_dict")
    with zipfile.ZipFile(tmp_path / "b.pt", "w") as archive:  # its way to lay out a program
        archive.writestr("b/data.pkl", b"")
        archive.writestr("b/code/__torch__/a.py", "def forward(self): ...", zipfile.ZIP_DEFLATED)
        archive.writestr("b/constants.pkl", b"")
    refused(tmp_path / "b.pt", "TorchScript program")


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "a\\..\\evil"])
def test_a_zip_that_leaves_its_folder_is_refused(tmp_path, name):
    torch.save(ResnetGenerator().state_dict(), tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth", "a") as archive:
        archive.writestr(name, b"data")
    refused(tmp_path / "a.pth", "leaves its folder")


def test_a_zip_that_grows_is_refused(tmp_path):
    torch.save(ResnetGenerator().state_dict(), tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth", "a") as archive:
        archive.writestr("a/data/999", bytes(10**6), zipfile.ZIP_DEFLATED)
    refused(tmp_path / "a.pth", "compressed member")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_truncated_files_are_answered_in_one_sentence(tmp_path, legacy, part):
    path = tmp_path / "a.pth"
    torch.save(ResnetGenerator().state_dict(), path, _use_new_zipfile_serialization=not legacy)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    refused(path, "cut short or damaged")


def header(text: dict, data: bytes = b"", length: int | None = None) -> bytes:
    raw = json.dumps(text).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def test_bad_safetensors_are_answered_in_one_sentence(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(header({}, length=2 * 2**30))
    refused(path, "header has 2147483648 bytes")
    one = {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}
    path.write_bytes(header({"model.1.weight": one}, bytes(100)))
    refused(path, "cannot be read as safetensors")
    save_file(ResnetGenerator().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-1000])
    refused(path, "cannot be read as safetensors")
    path.write_bytes(b"{" * 20)
    refused(path, "bytes, where at most")


def test_weights_that_are_no_numbers_are_told(tmp_path):
    network = ResnetGenerator()
    with torch.no_grad():
        network.model[10].conv_block[1].weight[0, 0, 0, :2] = float("nan")
    torch.save(network.state_dict(), tmp_path / "a.pth")
    refused(tmp_path / "a.pth", r"2 of 2304 weights in 10.conv_block.1.weight that are no numbers")


def test_tensors_larger_than_their_memory_are_refused(tmp_path):
    state = ResnetGenerator().state_dict()
    state["model.1.weight"] = torch.zeros(1).expand(2**20, 3, 7, 7)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(PainterError, match="has no memory of its own"):
        foreign.read(tmp_path / "a.pth")


def edited(**changes: object) -> dict[str, torch.Tensor]:
    """A good state dict with entries changed; None takes one away. Dots are written as `__`."""
    state = dict(ResnetGenerator().state_dict())
    for name, value in changes.items():
        key = name.replace("__", ".")
        if value is None:
            state.pop(key)
        else:
            state[key] = value
    return state


STRANGERS = {
    "a discriminator": (Discriminator().state_dict(), "a discriminator"),
    "gray": (ResnetGenerator(rgb=(1, 3)).state_dict(), "takes 1 channels and gives 3"),
    "gray painting": (UnetGenerator(rgb=(3, 1)).state_dict(), "takes 3 channels and gives 1"),
    "StyleGAN": ({"conv1.modulation.weight": torch.ones(3)}, "StyleGAN"),
    "CUT's heads": ({"mlp_0.0.weight": torch.ones(3, 3)}, "projection heads"),
    "a classifier": ({"fc.weight": torch.ones(10, 20)}, "1 tensors, the first fc.weight .* 10x20"),
    "nothing": ({}, "no weights"),
    "numbers": ([1, 2, 3], "no weights"),
    "a layer missing": (edited(model__4__weight=None), "has no 4.weight"),
    "a layer more": (edited(model__30__weight=torch.ones(3)), "has 30.weight of shape 3, which"),
    "another shape": (
        edited(model__4__weight=torch.ones(8, 4, 5, 5)),
        "4.weight of shape 8x4x5x5, where 8x4x3x3",
    ),
    "no blocks": (ResnetGenerator(blocks=0).state_dict(), "no ResNet of two halvings"),
    "another blur": (
        {
            k: v * 1.1 if k == "model.7.filt" else v
            for k, v in ResnetGenerator(down=True).state_dict().items()
        },
        "a kernel of its own in 7.filt",
    ),
    "enlarged otherwise": (
        {k: v for k, v in ResnetGenerator(up=True).state_dict().items() if "filt" not in k},
        "enlarges by repeating",
    ),
    "a U-Net without norms": (
        {
            k: v
            for k, v in UnetGenerator().state_dict().items()
            if not k.endswith("bias") or k.count("model") == 2
        },
        "without norms",
    ),
}


@pytest.mark.parametrize(("state", "message"), STRANGERS.values(), ids=STRANGERS)
def test_other_networks_are_refused_with_what_was_found(tmp_path, state, message):
    torch.save(state, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", message)


# --- which way --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "file", "expected"),
    [
        ("", "style_monet.pth", "painting"),
        ("", "style_vangogh_pretrained/latest_net_G.pth", "painting"),
        ("", "monet2photo.pth", "photo"),
        ("", "monet2photo/latest_net_G_A.pth", "photo"),
        ("", "monet2photo/latest_net_G_B.pth", "painting"),
        ("netG_B", "monet2photo.ckpt", "painting"),
        ("", "photo2monet/latest_net_G.pth", "painting"),
        ("", "photo_to_cezanne.pth", "painting"),
        ("", "horse2zebra.pth", "unknown"),
        ("", "latest_net_G_A.pth", "unknown"),
        ("netG_A", "net.pth", "unknown"),
        ("monet_generator", "weights.h5", "painting"),
        ("photo_generator", "monet.h5", "photo"),
        ("G_photo2monet", "a.ckpt", "painting"),
        ("", "paintings/latest_net_G.pth", "unknown"),
        ("", "photo2map.pth", "unknown"),
        ("", "monetGenerator.pth", "painting"),
    ],
)
def test_the_way_is_told_by_names_alone(network, file, expected):
    assert way(network, Path("home") / file) == expected
