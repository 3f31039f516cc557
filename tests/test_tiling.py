from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pleinair import brushwork, graphs, grounds, images, tiling
from pleinair.config import LightSpec, ResNetSpec, UNetSpec, size_multiple
from pleinair.networks import build
from pleinair.networks.norm import InstanceNorm
from pleinair.painter import Painter
from pleinair.runtime import Measuring
from pleinair.settings import PAINT
from pleinair.tiling import Box
from pleinair.weights import Weights

from .conftest import picture


@pytest.fixture(scope="module")
def monet() -> Painter:
    return Painter.load("monet", threads=1)


@settings(max_examples=200, deadline=None)
@given(
    rows=st.integers(1, 90),
    columns=st.integers(1, 90),
    around=st.integers(0, 9),
    stride=st.sampled_from([1, 4, 32]),
    most=st.integers(1, 9000),
)
def test_tiles_cover_each_pixel_once_with_what_is_around_it(rows, columns, around, stride, most):
    height, width, halo = rows * stride, columns * stride, around * stride
    tiles = tiling.plan(height, width, halo, stride, most * stride * stride)
    covered = np.zeros((height, width), int)
    for tile in tiles:
        covered[tile.out.slices] += 1
        seen, out = tile.seen, tile.out
        assert all(n % stride == 0 for n in (seen.top, seen.left, seen.bottom, seen.right))
        assert 0 <= seen.top <= max(0, out.top - halo)
        assert 0 <= seen.left <= max(0, out.left - halo)
        assert min(height, out.bottom + halo) <= seen.bottom <= height
        assert min(width, out.right + halo) <= seen.right <= width
    assert (covered == 1).all()
    areas = {(tile.seen.height, tile.seen.width) for tile in tiles}
    assert len(areas) == 1  # batches of one size
    smallest = min(height, stride + 2 * halo) * min(width, stride + 2 * halo)
    if most * stride * stride >= smallest:
        assert tiles[0].seen.area <= most * stride * stride


def test_the_grid_that_looks_at_the_fewest_pixels_is_taken():
    # In strips of full width, six of them would look at a fifth more.
    tiles = tiling.plan(2944, 4368, 68, 4, 4_000_000)
    assert len(tiles) == 4
    assert tiling.plan(400, 400, 68, 4, 400 * 400) == [
        tiling.Tile(Box(0, 0, 400, 400), Box(0, 0, 400, 400))
    ]


@pytest.mark.parametrize(
    "spec",
    [
        LightSpec(blocks=2),
        LightSpec(blocks=2, keeps="half"),
        LightSpec(blocks=2, keeps="colours"),
        LightSpec(blocks=2, keeps="half", low_pass=True),
        LightSpec(),
        ResNetSpec(channels=4, blocks=2),
        ResNetSpec(channels=2),
        ResNetSpec(channels=4, blocks=1, blur_down=True),
        ResNetSpec(channels=4, blocks=2, blur_up=True),
        ResNetSpec(channels=2, blocks=1, blur_down=True, blur_up=True),
        UNetSpec(channels=4, depth=3),
        UNetSpec(channels=2, depth=5),
        UNetSpec(channels=4, depth=3, order="pix2pix"),
    ],
    ids=str,
)
def test_the_halo_is_the_receptive_field(spec, monkeypatch):
    """Linear networks of positive weights pass a gradient to every pixel that they look at."""
    monkeypatch.setattr(InstanceNorm, "forward", lambda self, x: x * 1.0)
    monkeypatch.setattr(torch.nn.functional, "relu", lambda x, *_: x)
    for layer in (nn.ReLU, nn.LeakyReLU, nn.Tanh):
        monkeypatch.setattr(layer, "forward", lambda self, x: x * 1.0)
    network = build(spec).double().eval()
    network.train(isinstance(spec, LightSpec))  # it clamps in evaluation only
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1 if parameter.dim() > 1 else 0.0)
    stride, halo = size_multiple(spec), tiling.halo(spec)
    side = -(-(2 * halo + 3 * stride) // stride) * stride
    photo = torch.zeros(1, 3, side, side, dtype=torch.double, requires_grad=True)
    first = (side // 2) // stride * stride
    part = network(photo)[0, :, first : first + stride, first : first + stride]
    (gradient,) = torch.autograd.grad(part.sum(), photo)
    places = gradient[0].abs().sum(0).nonzero()
    reach = max(int(first - places.min()), int(places.max()) - (first + stride - 1))
    assert halo - stride < reach <= halo


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 330),
    width=st.integers(1, 330),
    tall=st.booleans(),
    most=st.integers(150 * 150, 400 * 400),
)
def test_tiles_are_the_whole_with_the_same_statistics(monet, height, width, tall, most):
    """To 1e-4 anywhere, at any tile size, odd sizes and extreme shapes."""
    if height * width % 7 == 0:
        height, width = (1 + height % 3, 4 * width) if tall else (4 * height, 1 + width % 3)
    ground = grounds.Ground(picture(height, width), None, picture(height, width))
    sides = (-(-(side + 32) // 4) * 4 for side in (height, width))
    frame = grounds.Frame(ground, 16, *sides)
    whole = frame.batch(Box(0, 0, frame.tall, frame.wide))
    assert isinstance(monet.engine, Measuring)
    engine = monet.engine.fixed(monet.engine.measure(whole))
    expected = engine(whole)[0]
    joined = np.full_like(expected, np.nan)
    tiles = tiling.plan(frame.tall, frame.wide, tiling.halo(monet.spec), 4, most)
    for tile in tiles:
        painted = engine(frame.batch(tile.seen))[0]
        y, x = tile.out.within(tile.seen).slices
        joined[:, tile.out.slices[0], tile.out.slices[1]] = painted[:, y, x]
    np.testing.assert_allclose(joined, expected, atol=1e-4)
    # And what the file's plain mode makes of the whole.
    np.testing.assert_allclose(expected, monet.engine(whole)[0], atol=1e-4)


@pytest.mark.parametrize("size", [(301, 1433), (1200, 90), (700, 701)])
def test_a_painting_does_not_depend_on_the_memory(monet, size, monkeypatch):
    photo = picture(*size)
    roomy = brushwork.Brushwork(monet.engine, monet.spec, 2**40)
    # As on a machine so small that large photos are cut into many tiles.
    none = dict.fromkeys(("base_bytes", "least_measured", "weights_copies"), 0)
    small = {"least_tile_bytes": 2**24, "measured_bytes": 60 * 2**20, "sampled_pixels": 2**17}
    limits = replace(PAINT, **none, **small)
    monkeypatch.setattr(brushwork, "PAINT", limits)
    expected = roomy.paint(photo)
    tight = brushwork.Brushwork(monet.engine, monet.spec, 2**24)
    painted = tight.paint(photo)
    assert tight.tiles > 2 * roomy.tiles
    difference = np.abs(painted.astype(int) - expected.astype(int))
    # A level that rounds the other way in one layer is seen by the next.
    assert difference.max() <= 3
    assert difference.mean() < 0.02


@settings(max_examples=100, deadline=None)
@given(
    height=st.integers(1, 400),
    width=st.integers(1, 400),
    most=st.integers(100, 50_000),
    stride=st.sampled_from([1, 4]),
)
def test_samples_lie_inside_and_keep_to_the_budget(height, width, most, stride):
    height, width = height * stride, width * stride
    boxes = [box for row in tiling.samples(height, width, most, 24, stride) for box in row]
    assert boxes
    assert all(0 <= b.top < b.bottom <= height for b in boxes)
    assert all(0 <= b.left < b.right <= width for b in boxes)
    assert all(b.top % stride == b.left % stride == 0 for b in boxes)
    assert sum(b.area for b in boxes) <= max(most, 24 * 24)


def test_statistics_of_a_mosaic_are_near_those_of_the_whole(monet, monkeypatch):
    photo = images.resize(picture(500, 700), 1400, 1000)
    ground = grounds.Ground(photo, None, photo)
    frame = grounds.Frame(ground, 0, 1000, 1400)
    assert isinstance(monet.engine, Measuring)
    exact = monet.engine.measure(frame.whole())
    near = monet.engine.measure(frame.sample(2**18, 4))
    one_engine, other = monet.engine.fixed(exact), monet.engine.fixed(near)
    batch = frame.batch(Box(0, 0, 512, 512))
    assert np.abs(one_engine(batch) - other(batch)).mean() * 127.5 < 3


def test_adjusted_statistics_are_painted_with(monet):
    photo = picture(64, 96)
    heard = []

    def adjust(layer, measure):
        found = measure()
        heard.append((layer, found.shape))
        return found

    same = monet.paint_pixels(photo, adjust=adjust)
    assert heard == [(0, (2, 448))]
    assert np.abs(same.astype(int) - monet.paint_pixels(photo).astype(int)).max() <= 1

    def louder(layer, measure):
        return measure() * np.float32([[1.0], [4.0]])

    assert np.abs(same.astype(int) - monet.paint_pixels(photo, adjust=louder)).mean() > 3


@pytest.mark.parametrize("blurred", [False, True])
def test_a_resnet_paints_the_smallest_photos_and_rests_after_large_ones(blurred, monkeypatch):
    spec = ResNetSpec(channels=4, blocks=1, blur_down=blurred, blur_up=blurred)
    arrays = {name: value.numpy() for name, value in build(spec).state_dict().items()}
    painter = Painter.opened(graphs.painter(Weights(spec, arrays, {})), "a painter", threads=1)
    for size in ((1, 1), (3, 2), (1, 70)):
        assert painter.paint(picture(*size)).shape == (*size, 3)
    monkeypatch.setattr(brushwork, "PAINT", replace(PAINT, large_batch=1000))
    assert painter.paint(picture(60, 80)).shape == (60, 80, 3)
