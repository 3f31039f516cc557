from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pleinair import (
    anatomy,
    checkpoint,
    cli,
    exhibits,
    explaining,
    graphs,
    images,
    nameplate,
    onnxfile,
    opinions,
    pulse,
    runtime,
    swatches,
)
from pleinair.config import RECIPES, PatchSpec
from pleinair.engines import network_of
from pleinair.errors import ImageError, PainterError, UsageError
from pleinair.session import Session

from .conftest import SAMPLES, picture, tiny
from .painters import SPECS, painted, painter_of
from .test_cli import light, one_line, run


def silent(*_):
    pass


@pytest.fixture(scope="module")
def small():
    """Painters by kind of network: weights, the bytes of their files, their layers."""
    found = {}
    for name, spec in SPECS.items():
        weights = painter_of(spec)
        data = graphs.painter(weights)
        graph = anatomy.read(data)
        found[name] = (weights, data, graph, anatomy.layers(graph))
    return found


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "garden.png"
    Image.fromarray(picture(300, 340, 5)).save(path)
    return path


@pytest.fixture(scope="module")
def mine(tmp_path_factory, small):
    path = tmp_path_factory.mktemp("painters") / "mine.onnx"
    path.write_bytes(small["light"][1])
    return path


def batch_of(name, seed=1):
    side = 256 if name in ("unet", "pix2pix") else 64
    return images.to_batch(picture(side, side, seed))


def run_of(place, name):
    """The folder of a run that has just begun."""
    recipe = tiny(name)
    session = Session.start(recipe, 3, torch.device("cpu"))
    checkpoint.save(checkpoint.path_of(place, 0), recipe, session.state())
    return place


# --- layers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPECS)
def test_every_convolution_is_a_layer_and_gives_what_pytorch_gives(small, name):
    weights, data, _, layers = small[name]
    network, seen = network_of(weights), {}
    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    for part, module in network.named_modules():
        if isinstance(module, kinds):
            module.register_forward_hook(
                lambda _m, _i, out, part=part: seen.__setitem__(part, out.numpy())
            )
    batch = batch_of(name)
    expected = painted(network, batch)
    assert {layer.weight.removesuffix(".weight") for layer in layers} == seen.keys()
    more = sorted({layer.first for layer in layers} - {"painting"})
    session, _ = runtime.opened(anatomy.with_outputs(data, more), name, device="cpu")
    values = session.values([*more, "painting"], batch)
    np.testing.assert_allclose(values["painting"], expected, atol=1e-4)
    for layer in layers:
        theirs = seen[layer.weight.removesuffix(".weight")]
        scale = 1 + np.abs(theirs).max()
        np.testing.assert_allclose(values[layer.first] / scale, theirs / scale, atol=1e-4)
    assert sum(layer.parameters for layer in layers) == nameplate.parameters(data)


@pytest.mark.parametrize("name", SPECS)
def test_a_silenced_layer_is_one_whose_weights_are_zero(small, name):
    weights, data, _, layers = small[name]
    # Norms behind a constant would only make rounding large.
    layer = layers[-1 if name in ("resnet", "blurred") else 2]
    session, _ = runtime.opened(onnxfile.silenced(data, layer.weight), name, device="cpu")
    network = network_of(weights)
    with torch.no_grad():
        network.get_parameter(layer.weight).zero_()
    batch = batch_of(name)
    np.testing.assert_allclose(session(batch), painted(network, batch), atol=1e-4)


def test_layers_say_what_they_take_and_what_follows(small):
    layers = {layer.name: layer for layer in small["light"][3]}
    assert layers["half_in"].takes == ["photo"]
    assert "squares" in layers["half_in"].before[0]
    second = layers["blocks.0.second"]
    assert (second.joins, second.shown) == ("quarter_in", second.first)
    assert layers["half_out"].before == ["enlarged"]
    assert layers["photo_out"].shown == "painting"
    assert layers["photo_out"].joins == "full_out"
    assert layers["quarter_in"].words() == (
        "3x3 convolution, 16 to 8 channels, instance norm, ReLU"
    )
    skips = {layer.name: layer for layer in small["unet"][3]}
    assert skips["up.1"].takes == ["up.0", "down.6"]
    assert skips["down.0"].stride == 2
    blurred = {layer.name: layer for layer in small["blurred"][3]}
    assert any("blurred and halved" in layer.before for layer in blurred.values())


def test_what_is_no_graph_is_told():
    for broken in (b"\x3a\x7f\x00", b"\x3a\x02\x0a\x7f"):
        with pytest.raises(PainterError, match="get a whole copy"):
            anatomy.read(broken)


# --- on a photo -------------------------------------------------------------------------------


def test_the_unets_innermost_layers_are_dead_and_no_others(small):
    _, data, _, _ = small["unet"]
    found = pulse.take(data, "unet", batch_of("unet"), silent)
    assert [one.layer.name for one in found.layers if one.asleep] == ["down.7", "up.0"]
    roles = [exhibits.role(number, found.layers) for number in range(len(found.layers))]
    assert "a single place is left" in roles[7]
    assert roles[8].startswith("Dead")
    assert "down.7 and up.0 give the same of any photo" in " ".join(
        exhibits.notes(found, images.from_batch(batch_of("unet"))[0])
    )
    assert roles[-1].startswith("The way out")


def test_figures_of_layers_are_those_of_their_maps(small):
    _, data, _, _ = small["light"]
    batch = batch_of("light")
    told = []
    found = pulse.take(data, "light", batch, lambda *words: told.append(words))
    session, _ = runtime.opened(data, "light", device="cpu")
    np.testing.assert_array_equal(found.painting, images.from_batch(session(batch))[0])
    means, variances = session.measure(batch)
    norms = [one.norm for one in found.layers if one.norm]
    np.testing.assert_allclose(np.concatenate([n.means for n in norms]), means, atol=1e-5)
    deviations = np.concatenate([n.deviations for n in norms])
    np.testing.assert_allclose(deviations, np.sqrt(variances), atol=1e-4)
    first = found.layers[0]
    assert first.zeros == np.mean(first.maps == 0) > 0
    assert first.mean == pytest.approx(first.maps.mean())
    flat = first.maps.reshape(len(first.maps), -1).std(axis=1)
    assert flat[first.lively[0]] == flat.max()
    assert first.dead == np.sum(flat < 1e-6)
    assert told[-1][1] == told[-1][2]


def test_without_a_layer_the_painting_is_another(small):
    _, data, _, _ = small["resnet"]
    found = pulse.take(data, "resnet", batch_of("resnet"), silent)
    for one in found.layers:
        assert one.without.painting.shape == found.painting.shape
        assert one.without.colour + one.without.strokes > 0


def test_a_painting_that_is_nearly_the_photo_is_told_first(tmp_path, photo):
    """`light` begins as a copy: no layer of it makes strokes."""
    place = run_of(tmp_path / "run", "light")
    text = explaining.explain(photo, str(place), silent, silent, side=64)
    assert "The painting is nearly the photo" in text
    assert "only the discriminators learn" in text
    for words in ("Strokes come from", "Colour goes through", "says something"):
        assert words not in text


def test_the_notes_of_a_copy_and_of_a_painting(small):
    _, data, _, _ = small["light"]
    batch = batch_of("light")
    found = pulse.take(data, "light", batch, silent)
    pixels = images.from_batch(batch)[0]
    told = exhibits.notes(found, found.painting ^ 1)
    assert told[0].startswith("The painting is nearly the photo: half of its values moved by 1 ")
    assert told[0].endswith("This painter has hardly trained, or has learned to copy.")
    assert "Strokes" not in " ".join(told)
    changed = exhibits.notes(found, np.where(pixels < 128, found.painting // 2, 255))
    assert changed[0].startswith("Colour goes through")
    assert changed[1].startswith("Strokes come from")
    assert changed[2:] == told[1:]


def test_channels_are_counted_by_what_they_vary(small):
    _, data, _, _ = small["light"]
    found = pulse.take(data, "light", batch_of("light"), silent)
    dead = sum(one.dead for one in found.layers)
    every = sum(len(one.maps) for one in found.layers)
    words = f"{dead} of {every} channels are" if dead else f"None of {every} channels is"
    assert exhibits.notes(found, found.painting)[-1].startswith(words)


def test_a_graph_without_convolutions_has_nothing_to_show():
    from onnx import TensorProto, helper

    sides = [1, 3, "height", "width"]
    graph = helper.make_graph(
        [helper.make_node("Tanh", ["photo"], ["painting"])],
        "g",
        [helper.make_tensor_value_info("photo", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("painting", TensorProto.FLOAT, sides)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    with pytest.raises(PainterError, match="no layers to show"):
        pulse.take(model.SerializeToString(), "x.onnx", batch_of("light"), silent)


# --- pictures of numbers ----------------------------------------------------------------------


def test_colours_of_values():
    ends = swatches.rising(np.array([0.0, 1.0], np.float32)).sum(axis=-1)
    assert ends[0] < 120 < 600 < ends[1]
    low, middle, high = swatches.signed(np.array([-1.0, 0.0, 1.0], np.float32)).astype(int)
    assert low[2] > low[0]
    assert high[0] > high[2]
    assert np.ptp(middle) < 20


def test_a_sprite_holds_each_map_in_its_place():
    maps = np.zeros((5, 8, 8), np.float32)
    maps[4] = 1.0
    page = swatches.sprite(maps, 64, 2)
    assert page.shape == (3 * 32, 2 * 32, 3)
    assert (page[64:, :32] == page[64, 0]).all()
    assert page[64, 0].sum() > page[0, 0].sum()
    assert swatches.sprite(np.ones((1, 256, 200), np.float32), 64, 1).shape == (64, 50, 3)


def test_a_change_is_parted_into_what_is_wide_and_what_is_fine():
    random = np.random.default_rng(0)
    change = random.normal(0, 20, (40, 50, 3)).astype(np.float32)
    wide, fine = swatches.parted(change, 8)
    np.testing.assert_allclose(wide + fine, change, atol=1e-4)
    assert wide.std() < 0.2 * change.std()
    flat = np.full((20, 20, 3), 7.0, np.float32)
    np.testing.assert_allclose(swatches.blurred(flat, 3), flat, atol=1e-4)
    line = np.zeros((1, 9, 1), np.float32)
    line[0, 4] = 9.0
    np.testing.assert_allclose(swatches.blurred(line, 1)[0, :, 0], [0, 0, 1, 2, 3, 2, 1, 0, 0])


def test_what_a_discriminator_believes():
    for kind, made, real in (("lsgan", 0.0, 1.0), ("hinge", -1.0, 1.0), ("bce", -30.0, 30.0)):
        middle = 0.5 * (made + real)
        found = opinions.belief(kind, np.array([made, middle, real], np.float32))
        np.testing.assert_allclose(found, [-1, 0, 1], atol=1e-6)
    assert opinions.patch_pixels(RECIPES["paper"]) == 70
    assert opinions.patch_pixels(RECIPES["lab"]) == 70
    assert opinions.patch_pixels(RECIPES["light"]) is None


# --- pages ------------------------------------------------------------------------------------


def stands_alone(text):
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", text)
    assert "http" not in text
    assert len(text) < 3_000_000
    return text


@pytest.fixture(scope="module")
def monet_page():
    return explaining.explain(SAMPLES[0], "monet", silent, silent, side=64)


def test_the_page_of_the_shipped_painter(monet_page):
    text = stands_alone(monet_page)
    assert text.count('<details class="layer') == 20
    assert "559,636" in text
    card = Path(explaining.__file__).with_name("painters") / "monet.md"
    assert "`light`, 559,636 parameters" in card.read_text(encoding="utf-8")
    assert "What a run would add" in text
    assert "There and back" not in text
    assert "CC0-1.0" in text


@pytest.mark.parametrize("name", ["light", "paper", "lab"])
def test_the_page_of_a_run_has_its_cycle_and_its_judges(tmp_path, photo, name):
    place = run_of(tmp_path / "run", name)
    text = stands_alone(explaining.explain(photo, str(place), silent, silent, side=64))
    pixels = images.read_square(photo, 64)
    state = checkpoint.load(checkpoint.path_of(place, 0))[1]
    networks = checkpoint.Networks.build(tiny(name))
    for network, kept in zip(networks.generators, ("painting", "photo"), strict=True):
        network.load_state_dict(state["networks"][f"{kept}_generator"])
        network.eval()
    painting = images.from_batch(painted(networks.generators[0], images.to_batch(pixels)))[0]
    back = images.from_batch(painted(networks.generators[1], images.to_batch(painting)))[0]
    l1 = np.abs(pixels.astype(float) - back).mean() / 127.5
    assert f"L1: {l1:.4f} in units" in text
    assert text.count("discriminator</h3>") == 2
    assert "What a run would add" not in text


def test_the_page_of_a_run_of_one_direction(tmp_path, photo):
    place = run_of(tmp_path / "run", "cut")
    text = stands_alone(explaining.explain(photo, str(place), silent, silent, side=64))
    assert "trains one way only" in text
    assert text.count("discriminator</h3>") == 1


def test_maps_of_several_scales_have_names():
    recipe = tiny("paper")
    two = opinions._labels(
        type(recipe)(**{**vars(recipe), "discriminator": PatchSpec(scales=2)}), 2
    )
    assert two == [("full size", 1), ("half size", 2)]
    assert opinions._labels(recipe, 1) == [("", 1)]
    light = RECIPES["light"]
    assert opinions._labels(light, 3)[2] == ("through features of stride 16", 4)
    judge = dataclasses.replace(light.discriminator, finest=2, palette=8)
    assert opinions._labels(dataclasses.replace(light, discriminator=judge), 5) == [
        ("through features of stride 2", 1),
        ("through features of stride 4", 2),
        ("through features of stride 8", 4),
        ("through features of stride 16", 8),
        ("mean colours of 8x8 pixels", 4),
    ]


def test_weights_and_files_of_other_programs_are_explained(tmp_path, photo):
    from onnx import TensorProto, helper, numpy_helper

    from pleinair import weights

    weights.save(painter_of(SPECS["light"]), tmp_path / "mine.safetensors")
    text = explaining.explain(photo, str(tmp_path / "mine.safetensors"), silent, silent, side=64)
    assert "Somebody, layer by layer" in text

    kernel = np.zeros((3, 3, 3, 3), np.float32)
    kernel[range(3), range(3), 1, 1] = 0.9
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["in", "w"], ["c"], pads=[1] * 4, kernel_shape=[3, 3]),
            helper.make_node("Sigmoid", ["c"], ["out"]),
        ],
        "g",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 3, 64, 64])],
        [numpy_helper.from_array(kernel, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    (tmp_path / "theirs.onnx").write_bytes(model.SerializeToString())
    text = stands_alone(explaining.explain(photo, str(tmp_path / "theirs.onnx"), silent, silent))
    assert "convolution 1" in text
    assert "64x64" in text
    with pytest.raises(UsageError, match="64x64 pixels only"):
        explaining.explain(photo, str(tmp_path / "theirs.onnx"), silent, silent, side=128)


def test_names_are_text_and_no_markup(tmp_path, mine):
    file = tmp_path / "a <b>&.png"
    Image.fromarray(picture(80, 80)).save(file)
    text = explaining.explain(file, str(mine), silent, silent, side=64)
    assert "a &lt;b&gt;&amp;.png" in text
    assert "<b>&" not in text


def test_sides_that_a_painter_cannot_take(photo, tmp_path):
    for side in (0, 63, 4000, -4):
        with pytest.raises(UsageError, match="multiples of 4 from 16"):
            explaining.explain(photo, "monet", silent, silent, side=side)
    with pytest.raises(ImageError):
        explaining.explain(tmp_path / "none.jpg", "monet", silent, silent)


# --- the command ------------------------------------------------------------------------------


def test_the_command_writes_a_page_and_never_over_another(
    tmp_path, photo, mine, capsys, monkeypatch
):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    page = photo.with_name("garden.mine.html")
    command = ("explain", photo, "--painter", mine, "--side", 32)
    assert run(*command) == 0
    out, err = capsys.readouterr()
    assert out == f"{page}\n"
    assert page.name not in err
    assert list(elsewhere.iterdir()) == []
    before = page.read_bytes()
    assert run(*command) == 1
    assert "add --force" in one_line(capsys)
    assert run(*command, "--force") == 0
    assert page.read_bytes() == before
    capsys.readouterr()
    assert run("explain", photo, "-o", tmp_path / "page.pdf") == 1
    assert "ends in .html" in one_line(capsys)
    assert run("explain", tmp_path / "none.jpg", "--side", 64) == 1
    assert "none.jpg" in one_line(capsys)
    assert run("explain", photo, "--painter", "nobody") == 1
    assert "nobody" in one_line(capsys)
    assert "explain" in cli.COMMANDS


def test_the_light_install_explains_what_ships_and_says_what_a_run_needs(tmp_path, photo):
    done = light("explain", photo, "--side", 64, "-o", tmp_path / "page.html")
    assert done.returncode == 0, done.stderr
    place = run_of(tmp_path / "run", "light")
    done = light("explain", photo, "--painter", place, "-o", tmp_path / "run.html")
    assert done.returncode == 1
    assert "pip install 'pleinair[train]'" in done.stderr
    assert done.stderr.count("\n") == 1


# --- in a browser -----------------------------------------------------------------------------


def test_the_page_is_used_by_keys_and_by_pointer(browser, monet_page, tmp_path):
    (tmp_path / "page.html").write_text(monet_page, encoding="utf-8")
    context = browser.new_context(viewport={"width": 360, "height": 800})
    page, problems = context.new_page(), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda r: r.url.startswith(("file:", "data:")) or problems.append(r.url))
    page.goto((tmp_path / "page.html").as_uri())
    at = "getComputedStyle(document.querySelector('.compare')).getPropertyValue('--at')"
    assert page.evaluate(at) == "50%"
    page.focus(".compare input")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(at) == "51%"
    page.focus(".stairs a:nth-child(3)")
    page.keyboard.press("Enter")
    page.wait_for_selector("#layer3[open]")
    assert page.evaluate("document.activeElement.closest('details').id") == "layer3"
    page.focus("#layer3 .map")
    page.keyboard.press("Enter")
    words = page.inner_text("dialog p span")
    assert words.startswith("blocks.0.first, channel ")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("dialog p span") != words
    page.keyboard.press("Escape")
    assert not page.is_visible("dialog")
    page.click("#all")
    assert page.locator("details.layer[open]").count() == 20
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not page.evaluate(wide)
    assert problems == []
    context.close()


def test_the_page_can_be_read_by_everybody(browser, monet_page, tmp_path):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    (tmp_path / "page.html").write_text(monet_page, encoding="utf-8")
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto((tmp_path / "page.html").as_uri())
        page.evaluate("document.getElementById('layer2').open = true")
        found = axe.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        context.close()
