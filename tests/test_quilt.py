from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pleinair import brushwork, graphs, quilt
from pleinair.config import AnySpec, UNetSpec
from pleinair.engines import of_weights
from pleinair.grounds import Ground
from pleinair.networks import build
from pleinair.painter import Painter
from pleinair.settings import PAINT, Look
from pleinair.tiling import Box
from pleinair.weights import Weights

from .conftest import picture
from .reference import randomised

SPECS = {
    "lab": UNetSpec(channels=2),
    "pix2pix": UNetSpec(channels=2, slope=0.2, norm_epsilon=1e-5, order="pix2pix"),
}


def random_weights(spec: UNetSpec) -> Weights:
    network = randomised(build(spec))
    return Weights(spec, {k: v.numpy().copy() for k, v in network.state_dict().items()}, {})


def opened(weights: Weights) -> Painter:
    return Painter.opened(graphs.painter(weights), "a painter", threads=1)


@pytest.fixture(scope="module", params=SPECS)
def order(request):
    return request.param


@pytest.fixture(scope="module")
def weights(order) -> Weights:
    return random_weights(SPECS[order])


@pytest.fixture(scope="module")
def painter(weights) -> Painter:
    return opened(weights)


@pytest.mark.parametrize("size", [(256, 256), (256, 170), (40, 256)])
def test_up_to_256_pixels_a_painting_is_what_the_bare_network_makes(painter, weights, size):
    photo = picture(*size).astype(np.uint16) * 257
    below, right = 256 - size[0], 256 - size[1]
    batch = (photo / 32767.5 - 1).astype(np.float32).transpose(2, 0, 1)[None]
    edges = ((0, 0), (0, 0), (0, below), (0, right))
    while np.shape(batch)[2:] != (256, 256):  # np.pad reflects once more where it has to
        batch = np.pad(batch, edges, "reflect")
    expected = of_weights(weights)(batch)[0, :, : size[0], : size[1]].transpose(1, 2, 0)
    painted = painter.paint_pixels(photo) / 32767.5 - 1
    np.testing.assert_allclose(painted, expected, atol=1e-4)


def frame_of(photo: np.ndarray):
    ground = Ground(photo, None, photo)
    return ground, quilt.framed(ground, quilt.square(256))


def boxes(frame) -> list[Box]:
    tops, lefts = (range(0, side - 255, 128) for side in (frame.tall, frame.wide))
    return [Box(top, left, top + 256, left + 256) for top in tops for left in lefts]


def test_at_512_the_innermost_map_is_its_bias_in_every_square():
    import onnx

    weights = random_weights(SPECS["lab"])
    model = onnx.load_from_string(graphs.painter(weights))
    # The seventh norm from the photo on; its If gives the map first.
    norms = [node for node in model.graph.node if node.op_type == "If"]
    inner = norms[6].output[0]
    model.graph.output.append(onnx.helper.make_tensor_value_info(inner, 1, None))
    engine = Painter.opened(model.SerializeToString(), "a painter", threads=1).engine
    ground, frame = frame_of(picture(512, 512))
    fixed = engine.fixed(quilt.statistics(engine, ground, 256, SPECS["lab"]))
    bias = weights.arrays["down.7.norm.bias"]
    seen = boxes(frame)
    assert len(seen) == 16
    for box in seen:
        (found,) = fixed._session.run([inner], {"photo": frame.batch(box)})
        assert found.shape == (1, 16, 1, 1)
        np.testing.assert_allclose(found.ravel(), bias, atol=1e-6)
    awake = engine._session.run([inner], {"photo": frame.batch(Box(0, 0, 512, 512))})[0]
    assert np.abs(awake - bias[None, :, None, None]).max() > 0.5  # as it would be


@pytest.mark.parametrize("size", [(512, 512), (300, 700), (256, 257)])
def test_what_the_innermost_layer_of_the_lab_sees_changes_nothing(size):
    weights = random_weights(SPECS["lab"])
    other = weights.arrays | {"down.7.conv.weight": -2 * weights.arrays["down.7.conv.weight"]}
    one, two = opened(weights), opened(replace(weights, arrays=other))
    photo = picture(*size)
    difference = one.paint(photo).astype(int) - two.paint(photo)
    assert np.abs(difference).max() <= 1


def test_nor_in_frames_of_a_film():
    weights = random_weights(SPECS["lab"])
    other = weights.arrays | {"down.7.conv.weight": -2 * weights.arrays["down.7.conv.weight"]}
    painted = []
    for one in (opened(weights), opened(replace(weights, arrays=other))):
        adjust = brushwork.kept_statistics()
        one.paint_pixels(picture(256, 256), adjust=adjust)
        painted.append(one.paint_pixels(picture(256, 256, seed=1), adjust=adjust).astype(int))
    assert np.abs(painted[0] - painted[1]).max() <= 1


def test_squares_do_not_depend_on_the_memory(painter, monkeypatch):
    photo = picture(400, 520)
    roomy = brushwork.Brushwork(painter.engine, painter.spec, 2**40)
    expected = roomy.paint(photo)
    tight = brushwork.Brushwork(painter.engine, painter.spec, 2**21)
    assert np.array_equal(tight.paint(photo), expected)
    assert tight.tiles == roomy.tiles == 3 * 4
    assert painter.paint(photo, look=Look(layers=2)).shape == photo.shape


def smooth(painted: np.ndarray) -> np.ndarray:
    """Means of squares of 32 pixels, without the outermost 64."""
    inner = painted[64:-64, 64:-64].astype(float)
    height, width = (n // 32 for n in inner.shape[:2])
    return inner[: 32 * height, : 32 * width].reshape(height, 32, width, 32, 3).mean((1, 3))


def test_a_flat_sky_has_the_same_tint_in_every_square():
    """The network's edges and what else is in a square leave no trace in the sky."""
    # Untrained, but as in training most of what it paints is what it was shown.
    weights = random_weights(SPECS["lab"])
    one = opened(weights)
    photo = picture(640, 900)
    photo[:400] = (150, 180, 220)
    painted = smooth(one.paint(photo))[
        :7
    ]  # the sky that no square with land in it reaches far into
    own = Painter(lambda batch: one.engine(batch), one.spec)  # without statistics given
    alone = smooth(own.paint(photo))[:7]
    along, along_alone = (np.abs(np.diff(part, 4, axis=1)).mean() for part in (painted, alone))
    assert along < 0.5 * along_alone


@pytest.mark.parametrize("tint", [-0.3, 0.3])
def test_a_network_that_paints_a_frame_leaves_no_lattice(tint):
    def engine(batch):
        out = batch.copy()
        for edge in (np.s_[:, :, :6], np.s_[:, :, -6:], np.s_[..., :6], np.s_[..., -6:]):
            out[edge] = batch[edge] + tint
        return out

    flat = np.full((700, 900, 3), 128, np.uint8)
    painted = Painter(engine, UNetSpec()).paint(flat).astype(int)
    assert np.abs(painted - 128).max() <= 1


@settings(max_examples=50, deadline=None)
@given(
    length=st.integers(1, 1000),
    side=st.sampled_from([32, 100, 256]),
    shared=st.sampled_from([2, 4]),
)
def test_weights_of_neighbours_add_up_to_one(length, side, shared):
    whole = quilt._covered(length, side, shared)
    assert max(length, side) <= whole < max(length, side) + side
    places = quilt._places(whole, side, shared)
    total = np.zeros(whole)
    for place in places:
        total[place : place + side] += quilt._weights(place, places, side, shared)
    np.testing.assert_allclose(total, 1, atol=1e-6)


def tinted(batch):
    """Every picture its own tint, as norms that measure give it."""
    return np.clip(batch - 0.8 * batch.mean((2, 3), keepdims=True), -1, 1)


@pytest.mark.parametrize(("spec", "memory"), [(AnySpec(64, 96), None), (AnySpec(), 2**29)])
def test_networks_of_others_paint_large_photos_in_parts_without_tints(spec, memory, monkeypatch):
    monkeypatch.setattr(brushwork, "working_bytes_per_pixel", lambda _: 3000)
    seen = []

    def engine(batch):
        seen.append(batch.shape[2:])
        return tinted(batch)

    painter = Painter(engine, spec, memory=memory)
    tall, wide = (300, 500) if spec.height else (900, 1100)
    y, x = np.mgrid[:tall, :wide]
    photo = np.stack([60 + x * 120 // wide, 60 + y * 120 // tall, 90 + 0 * x], axis=2)
    photo = photo.astype(np.uint8)
    painted = painter.paint(photo).astype(int)
    assert len(set(seen)) <= 2  # batches of one size, and the small picture
    assert painter.caveat(tall, wide)
    # As the whole is painted: a ramp less most of its mean.
    expected = (tinted((photo / 127.5 - 1).transpose(2, 0, 1)[None])[0] + 1) * 127.5
    off = np.abs(painted - expected.transpose(1, 2, 0))
    assert off.mean() < 2.5
    assert np.percentile(off, 99) < 12
    # No edges of parts: neighbours differ as they do in the photo.
    assert np.abs(np.diff(painted, axis=0)).max() <= 3
    assert np.abs(np.diff(painted, axis=1)).max() <= 3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_identity_in_squares_is_the_photo(dtype):
    photo = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (150, 333, 3), dtype)
    painter = Painter(lambda batch: batch, UNetSpec(depth=5))
    told: list[float] = []
    painted = painter.paint_pixels(photo, told=told.append)
    assert np.abs(painted.astype(int) - photo).max() <= (dtype == np.uint16)
    assert told == sorted(told)
    assert told[-1] == 1


def test_statistics_of_several_pictures_are_those_of_their_pixels():
    random = np.random.default_rng(0)
    pixels = random.normal(random.normal(0, 3, (5, 1, 7)), 2, (5, 100, 7))
    each = np.stack([pixels.mean(1), pixels.var(1)], axis=1)
    found = quilt._pooled(each)
    np.testing.assert_allclose(found[0], pixels.reshape(-1, 7).mean(0))
    np.testing.assert_allclose(found[1], pixels.reshape(-1, 7).var(0))


def test_only_the_labs_innermost_norm_is_put_to_sleep():
    spec = UNetSpec(channels=4, depth=5)
    widths = 8 + 16 + 32 + 32 + 32 + 16 + 8 + 4
    asleep = quilt.asleep(np.ones((2, widths), np.float32), spec)
    assert np.flatnonzero(asleep[1] != 1).tolist() == list(range(8 + 16 + 32, 8 + 16 + 32 + 32))
    other = replace(spec, order="pix2pix")
    assert (quilt.asleep(np.ones((2, 9), np.float32), other) == 1).all()
    assert torch.finfo(torch.float32).max > asleep.max()
    assert PAINT.quilt_margin <= 128
