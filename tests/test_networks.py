from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pleinair.config import (
    DOUBLING_BLUR,
    RECIPES,
    FeatureSpec,
    LightSpec,
    PatchSpec,
    UNetSpec,
    size_multiple,
)
from pleinair.networks import PatchHeads, build, build_generator, count_parameters, light
from pleinair.networks.blur import Blur, low_pass
from pleinair.networks.features import lite
from pleinair.networks.norm import InstanceNorm

from .conftest import tiny


@pytest.mark.parametrize(
    ("recipe", "generator", "discriminator"),
    [("lab", 54_414_979, 2_765_569), ("paper", 11_378_179, 2_764_737)],
)
def test_parameter_counts_are_the_published_ones(recipe, generator, discriminator):
    assert count_parameters(build(RECIPES[recipe].generator)) == generator
    assert count_parameters(build(RECIPES[recipe].discriminator)) == discriminator


def test_light_stays_light():
    assert 400_000 < count_parameters(build(RECIPES["light"].generator)) < 600_000


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_shapes(name):
    recipe = RECIPES[name]
    side = max(64, size_multiple(recipe.generator))
    x = torch.zeros(1, 3, side, 2 * side)
    with torch.inference_mode():
        painted = build(recipe.generator).eval()(x)
        logits = build(recipe.discriminator)(torch.zeros(1, 3, 256, 256))
    assert painted.shape == x.shape
    assert painted.abs().max() <= 1
    features = isinstance(recipe.discriminator, FeatureSpec)
    assert logits.shape == ((1, 3, 64, 64) if features else (1, 1, 30, 30))


def test_unet_parameters_come_in_keras_order():
    # model.weights of the lab: kernel, gamma, beta of each block; no norm in the first.
    names = [name for name, _ in build(UNetSpec(channels=2)).named_parameters()]
    assert names[:4] == [
        "down.0.conv.weight",
        "down.1.conv.weight",
        "down.1.norm.weight",
        "down.1.norm.bias",
    ]
    assert names[-5:] == [
        "up.6.conv.weight",
        "up.6.norm.weight",
        "up.6.norm.bias",
        "last.weight",
        "last.bias",
    ]
    assert len(names) == 1 + 7 * 3 + 7 * 3 + 2


def test_resnet_has_the_published_keys():
    state = build(RECIPES["paper"].generator).state_dict()
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    assert shapes["model.1.weight"] == (64, 3, 7, 7)
    assert shapes["model.10.conv_block.1.weight"] == (256, 256, 3, 3)
    assert shapes["model.18.conv_block.5.bias"] == (256,)
    assert shapes["model.19.weight"] == (256, 128, 3, 3)
    assert shapes["model.26.weight"] == (3, 64, 7, 7)
    assert len(shapes) == 2 * 24


def test_paper_discriminator_has_the_published_keys():
    state = build(RECIPES["paper"].discriminator).state_dict()
    assert [key for key in state if key.endswith("weight")] == [
        f"model.{index}.weight" for index in (0, 2, 5, 8, 11)
    ]


def test_instance_norm_is_that_of_torch():
    x = torch.randn(2, 5, 7, 9)
    ours = InstanceNorm(5, affine=False, epsilon=1e-3)(x)
    torch.testing.assert_close(ours, F.instance_norm(x, eps=1e-3))


@pytest.mark.parametrize("training", [True, False])
def test_instance_norm_of_one_pixel_is_its_bias(training):
    norm = InstanceNorm(3, affine=True, epsilon=1e-3).train(training)
    with torch.no_grad():
        norm.bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    out = norm(torch.randn(2, 3, 1, 1) * 100)
    # x * a + (bias - mean * a), as torch computes it, leaves a rounding error of x * a.
    torch.testing.assert_close(
        out, norm.bias.reshape(1, 3, 1, 1).expand(2, 3, 1, 1), rtol=0, atol=2e-3
    )


def test_unet_trains_although_its_innermost_norm_sees_one_pixel():
    network = build(UNetSpec(channels=2)).train()
    network(torch.randn(1, 3, 256, 256)).mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


def test_dropout_is_the_only_chance_in_the_unet():
    network = build(UNetSpec(channels=2, depth=5)).eval()
    x = torch.randn(1, 3, 32, 32)
    assert torch.equal(network(x), network(x))
    network.train()
    assert not torch.equal(network(x), network(x))


def test_light_begins_as_a_copy():
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        painted = build(LightSpec()).eval()(x)
    assert (painted - x).abs().mean() < 0.05


def test_light_keeps_a_flat_picture_flat():
    # No layer may bring in a period of its own, whatever the weights.
    network = build(LightSpec(channels=16, blocks=1)).eval()
    torch.nn.init.normal_(network.full_out.weight)
    with torch.inference_mode():
        painted = network(torch.full((1, 3, 128, 128), 0.2))
    centre = painted[:, :, 48:80, 48:80]
    assert (centre - centre.mean(dim=(2, 3), keepdim=True)).abs().max() < 1e-4


def test_spectral_norm_bounds_every_convolution():
    network = build(PatchSpec(channels=8, norm="none", spectral_norm=True, detail_channels=4))
    for _ in range(30):
        network(torch.randn(1, 3, 64, 64))
    for layer in network.model:
        if isinstance(layer, torch.nn.Conv2d):
            assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2) < 1.05


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_pictures_of_a_batch_do_not_mix(name):
    # The trainer sends several pictures through a network at once and relies on this.
    recipe = RECIPES[name]
    torch.manual_seed(0)
    network = build(recipe.discriminator).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        both = network(x)
        alone = torch.cat([network(x[:1]), network(x[1:])])
    # Rounding is relative to the largest sums behind a logit, not to a logit near 0.
    scale = float(both.abs().max())
    torch.testing.assert_close(both, alone, rtol=1e-4, atol=1e-5 * max(1.0, scale))


def test_the_frozen_eye_is_frozen_and_known():
    eye = lite("lite0")
    assert list(eye.parameters()) == []
    assert eye.state_dict() == {}
    random = np.random.default_rng(0).uniform(-1, 1, (1, 3, 224, 224)).astype(np.float32)
    with torch.inference_mode():
        features = eye(torch.from_numpy(random))
        taps = eye.taps(torch.from_numpy(random))
    assert features.shape == (1, 1280)
    assert {stride: tuple(t.shape[1:]) for stride, t in taps.items()} == {
        4: (24, 56, 56),
        8: (40, 28, 28),
        16: (112, 14, 14),
        32: (320, 7, 7),
    }
    # Of the package efficientnet-lite-pytorch 0.1.0 on the same input.
    assert float(features.mean()) == pytest.approx(0.107681, rel=1e-3)
    assert float(features.std()) == pytest.approx(0.443139, rel=1e-3)


def test_feature_discriminators_pass_gradients_to_the_picture_only_through_the_eye():
    network = build(FeatureSpec(channels=8))
    x = torch.zeros(1, 3, 32, 32, requires_grad=True)
    network(x).mean().backward()
    assert x.grad.abs().max() > 0
    assert {name.split(".")[0] for name, _ in network.named_parameters()} == {"heads"}


def test_feature_discriminators_look_as_closely_as_they_are_told():
    network = build(FeatureSpec(channels=8, finest=2))
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 4, 32, 32)


def test_a_judge_of_the_palette_sees_colours_and_no_shapes():
    torch.manual_seed(0)
    spec = FeatureSpec(channels=8, palette=8)
    network = build(spec)
    picture = torch.rand(1, 3, 64, 64) * 2 - 1
    order = torch.randperm(64)
    squares = F.unfold(picture, 8, stride=8).reshape(3, 64, 64)[:, order]
    turned = F.fold(squares.reshape(1, 192, 64), 64, 8, stride=8)
    seen = network.look(torch.cat([picture, turned]))
    assert [one.shape[1:] for one in seen[-2:]] == [(112, 4, 4), (3, 8, 8)]
    maps = network.judge(seen)
    assert maps.shape == (2, 4, 16, 16)
    assert torch.allclose(maps[0, 3], maps[1, 3], atol=1e-5)
    assert not torch.allclose(maps[0, :3], maps[1, :3], atol=1e-2)
    # The scene is not held by it.
    assert spec.coarse == FeatureSpec(channels=8).coarse
    assert len(seen[spec.coarse]) == 2


def test_a_judge_of_the_palette_learns_what_the_shadows_are():
    torch.manual_seed(0)
    network = build(FeatureSpec(channels=8, palette=8))
    luma = torch.rand(16, 1, 32, 32) * 2 - 1
    black = luma.expand(-1, 3, -1, -1)
    violet = black + (-0.2 - luma).clamp_min(0.0) * torch.tensor([0.1, 0.0, 0.4])[:, None, None]
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(80):
        maps = network.judge(network.look(torch.cat([violet, black])))[:, 3]
        loss = (maps[:16] - 1).square().mean() + maps[16:].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert maps[:16].mean() > maps[16:].mean() + 0.05


def test_feature_discriminators_may_be_blind_to_periods_of_two_pixels():
    torch.manual_seed(0)
    photo = F.interpolate(torch.rand(1, 3, 16, 16) * 2 - 1, (64, 64))
    columns = 0.05 * (torch.arange(64) % 2 * 2.0 - 1.0)
    for pattern in (columns, columns[:, None], columns * columns[:, None] / 0.05):
        both = torch.cat([photo, photo + pattern])
        seen = []
        for blind in (False, True):
            maps = build(FeatureSpec(low_pass=blind)).look(both)
            # In from the borders, where the pattern is reflected.
            seen.append([float((m[0] - m[1])[:, 4:-4, 4:-4].abs().max()) for m in maps[:1]])
        assert seen[0][0] > 0.1
        assert seen[1][0] < 1e-3


def test_what_is_left_of_each_frequency_is_that_of_the_formula():
    for period in (2, 3, 4, 8, 1000):
        wave = torch.cos(2 * math.pi * torch.arange(6000) / period).expand(1, 1, 8, -1)
        found = low_pass(wave)[..., 3000] / wave[..., 3000]
        left = 1 - math.sin(math.pi / period) ** 6
        torch.testing.assert_close(found, torch.full_like(found, left), atol=1e-4, rtol=0)


def test_a_painter_may_leave_periods_of_two_pixels_out():
    torch.manual_seed(0)
    left = {}
    for without in (False, True):
        spec = LightSpec(channels=8, half_channels=4, detail_channels=4, low_pass=without)
        network = build(spec)
        torch.manual_seed(1)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, 0.0, 0.2)
        with torch.no_grad():
            painting = network(torch.rand(1, 3, 64, 64) * 2 - 1)[..., 8:-8, 8:-8]
        window = torch.hann_window(48)  # lest what is slow leaks into what alternates
        alternating = painting * window * torch.tensor([1.0, -1.0]).repeat(24)
        left[without] = float(alternating.mean(dim=-1).abs().mean() / painting.std())
    assert left[True] < 0.05 * left[False]


def test_the_smallest_photo_is_painted_without_these_periods():
    network = build(LightSpec(channels=8, low_pass=True)).eval()
    assert network(torch.zeros(1, 3, 4, 4)).shape == (1, 3, 4, 4)


@pytest.mark.parametrize(("deepest", "maps"), [(4, 1), (8, 2), (16, 3), (32, 4)])
def test_feature_discriminators_look_as_deep_as_they_are_told(deepest, maps):
    network = build(FeatureSpec(channels=8, deepest=deepest))
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, maps, 16, 16)


def test_a_blurred_discriminator_halves_as_the_plain_one_does():
    plain = build(PatchSpec(channels=8))(torch.randn(1, 3, 64, 64))
    blurred = build(PatchSpec(channels=8, blur=True))(torch.randn(1, 3, 64, 64))
    assert plain.shape == (1, 1, 6, 6)
    assert blurred.shape == (1, 1, 6, 6)


def test_a_blur_leaves_what_is_flat_and_drowns_what_alternates():
    blur = Blur(DOUBLING_BLUR)
    flat = torch.full((1, 2, 8, 8), 0.7)
    torch.testing.assert_close(blur(flat), torch.full((1, 2, 4, 4), 0.7))
    stripes = torch.ones(1, 1, 8, 8)
    stripes[..., ::2] = -1.0
    assert blur(stripes)[..., 1:-1].abs().max() < 1e-6


def test_two_scales_are_two_discriminators_of_the_same_weight():
    torch.manual_seed(0)
    two = build(PatchSpec(channels=8, scales=2, norm="none"))
    picture = torch.randn(2, 3, 64, 64)
    logits = two(picture)
    assert logits.shape == (2, 2, 6, 6)
    fine, coarse = two.scales
    torch.testing.assert_close(logits[:, 0:1], fine(picture))
    half = coarse(torch.nn.functional.avg_pool2d(picture, 2))
    assert half.shape[-1] == 2
    torch.testing.assert_close(logits[:, 1].mean(), half.mean())


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_encoder_is_that_of_the_generator(name):
    spec = tiny(name).generator
    network = build_generator(spec).eval()
    picture = torch.randn(1, 3, 64, 64)
    maps = network.encode(picture)
    assert tuple(depth.shape[1] for depth in maps) == network.encoder_channels
    assert len(maps) == 5
    sides = [depth.shape[-1] for depth in maps]
    assert sides == sorted(sides, reverse=True)


def test_heads_give_unit_rows_of_the_places_asked_for():
    torch.manual_seed(0)
    heads = PatchHeads((3, 8))
    maps = [torch.randn(2, 3, 4, 4), torch.randn(2, 8, 2, 2)]
    places = [torch.tensor([5, 0, 3]), torch.tensor([1])]
    rows = heads(maps, places)
    assert [tuple(row.shape) for row in rows] == [(2, 3, 256), (2, 1, 256)]
    for row in rows:
        torch.testing.assert_close(row.norm(dim=-1), torch.ones(row.shape[:2]))
    direct = heads.heads[0](maps[0][:, :, 1, 1])  # place 5 of a 4x4 map
    torch.testing.assert_close(rows[0][:, 0], torch.nn.functional.normalize(direct, dim=-1))


def test_doubling_by_products_is_the_operator():
    x = torch.randn(2, 32, 5, 8, requires_grad=True)
    expected = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    torch.testing.assert_close(light._double(x), expected)
    with torch.no_grad():
        assert torch.equal(light._double(x), expected)


@pytest.mark.parametrize("count", [1, 2])
def test_instance_norm_is_the_same_in_either_layout(count):
    norm = InstanceNorm(8, affine=True)
    x = torch.randn(count, 8, 6, 5)
    torch.testing.assert_close(norm(x.contiguous(memory_format=torch.channels_last)), norm(x))
