from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pleinair import hub, images, metrics, weights
from pleinair.config import LightSpec, ResNetSpec, UNetSpec, size_multiple
from pleinair.errors import ImageError, OutputError, PainterError, UsageError
from pleinair.networks import build, count_macs
from pleinair.painter import Painter
from pleinair.settings import PAINT, Look

from .conftest import SAMPLES, picture


def copyist(spec=None) -> Painter:
    """A painter whose engine is the identity, and who checks what it is given."""
    spec = spec or LightSpec()

    def engine(batch):
        assert batch.dtype == np.float32
        assert batch.shape[:2] == (1, 3)
        assert batch.shape[2] % size_multiple(spec) == 0
        assert batch.shape[3] % size_multiple(spec) == 0
        assert -1 <= batch.min() <= batch.max() <= 1
        return batch

    return Painter(engine, spec)


@pytest.fixture(scope="module")
def monet() -> Painter:
    return Painter.load("monet")


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    spec=st.sampled_from([LightSpec(), ResNetSpec(), UNetSpec(depth=6)]),
)
def test_the_identity_paints_every_size_as_it_is(height, width, spec):
    pixels = picture(height, width)
    assert np.array_equal(copyist(spec).paint(pixels), pixels)


def test_large_photos_are_painted_from_broad_to_fine():
    seen = []

    def engine(batch):
        seen.append(batch.shape[2:])
        return batch

    margin = 2 * 48
    Painter(engine, LightSpec()).paint(picture(300, 1000))
    assert seen == [(154 + margin + 2, 512 + margin), (300 + margin, 1000 + margin)]
    for longest, layers in ((724, 1), (725, 2), (1448, 2), (1449, 3), (6000, 5)):
        seen.clear()
        Painter(engine, LightSpec()).paint(picture(3, longest))
        assert len(seen) == layers, longest
    for spec, expected in ((ResNetSpec(), 1), (LightSpec(), 3)):
        seen.clear()
        Painter(engine, spec).paint(picture(40, 60), look=Look(layers=None if expected == 1 else 3))
        assert len(seen) == expected


def test_layers_of_the_identity_are_the_photo_a_little_softer():
    pixels = np.asarray(
        Image.fromarray(picture(64, 64)).resize((256, 256), Image.Resampling.BICUBIC)
    )
    painted = copyist().paint(pixels, look=Look(layers=3))
    assert metrics.luma_correlation(pixels, painted) > 0.97
    assert np.abs(painted.astype(int) - pixels.astype(int)).mean() < 8


def test_broad_colours_come_from_the_first_layer():
    calls = []

    def darker(batch):
        calls.append(1)
        return np.clip(batch - 0.2, -1, 1)

    gray = np.full((64, 64, 3), 200, np.uint8)
    once, thrice = (Painter(darker).paint(gray, look=Look(layers=n)).mean() for n in (1, 3))
    assert len(calls) == 4
    assert once == pytest.approx(200 - 25.5, abs=1)
    # Two more layers darken by 30% of their own each, not by all of it.
    assert thrice == pytest.approx(once - 2 * 0.3 * 25.5, abs=2)


def test_what_is_given_comes_back_in_kind(tmp_path):
    pixels = picture(20, 30)
    painter = copyist()
    image = painter.paint(Image.fromarray(pixels))
    assert isinstance(image, Image.Image)
    assert image.size == (30, 20)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True)
    answer = painter.paint(buffer.getvalue())
    assert isinstance(answer, bytes)
    assert Image.open(io.BytesIO(answer)).format == "WEBP"
    photo = tmp_path / "my photo.png"
    Image.fromarray(pixels).save(photo)
    assert painter.paint(photo) == tmp_path / "my photo.monet.png"
    assert painter.paint(str(photo), out=tmp_path / "b.png") == str(tmp_path / "b.png")
    assert painter.paint(photo, out=str(tmp_path / "c.png")) == tmp_path / "c.png"
    with pytest.raises(TypeError, match="int found"):
        painter.paint(3)


def test_bytes_of_a_format_that_cannot_be_written_come_back_as_png():
    buffer = io.BytesIO()
    Image.fromarray(picture(9, 9)).save(buffer, "PPM")
    answer = copyist().paint(buffer.getvalue())
    assert Image.open(io.BytesIO(answer)).format == "PNG"


def test_alpha_is_kept():
    pixels = np.dstack([picture(20, 30), np.full((20, 30), 255, np.uint8)])
    pixels[:7, :, 3] = 40
    painted = copyist().paint(pixels)
    assert painted.shape == (20, 30, 4)
    assert np.array_equal(painted[:, :, 3], pixels[:, :, 3])
    assert copyist().paint(Image.fromarray(pixels)).mode == "RGBA"


def test_exif_is_kept():
    image = Image.fromarray(picture(8, 8))
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    answer = copyist().paint(buffer.getvalue())
    assert Image.open(io.BytesIO(answer)).getexif()[0x010F] == "Camera"
    assert copyist().paint(Image.open(buffer)).getexif()[0x010F] == "Camera"


def test_a_truncated_pil_image_is_an_image_error():
    buffer = io.BytesIO()
    Image.fromarray(picture(90, 90)).save(buffer, "JPEG")
    half = io.BytesIO(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    with pytest.raises(ImageError, match="cut short"):
        copyist().paint(Image.open(half))


def test_gray_comes_back_in_colour():
    assert copyist().paint(picture(8, 8)[:, :, 0]).shape == (8, 8, 3)


def test_nothing_is_overwritten(tmp_path):
    photo = tmp_path / "a.png"
    Image.fromarray(picture(8, 8)).save(photo)
    target = tmp_path / "a.monet.png"
    target.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists"):
        copyist().paint(photo)
    assert target.read_bytes() == b"precious"
    copyist().paint(photo, force=True)
    assert target.read_bytes() != b"precious"
    with pytest.raises(OutputError, match="the photo itself"):
        copyist().paint(photo, out=photo, force=True)


def test_without_statistics_a_photo_beyond_the_memory_is_painted_in_blended_parts():
    sizes = []

    def engine(batch):
        sizes.append(batch.shape[2:])
        return batch

    photo = picture(120, 200)
    painter = Painter(engine, ResNetSpec(channels=20_000), memory=PAINT.least_memory)
    assert "takes no statistics, so a photo of 200x120 is painted in parts" in (
        painter.caveat(120, 200)
    )
    painted = painter.paint(photo)
    assert all(height * width < 120 * 200 / 4 for height, width in sizes)
    assert len(sizes) > 4
    assert np.abs(painted.astype(int) - photo).max() <= 1  # nothing was shrunk on the way


def test_a_network_that_fits_nowhere_is_shown_the_least_that_it_takes():
    sizes = []
    painter = Painter(
        lambda batch: sizes.append(batch.shape[2:]) or batch,
        ResNetSpec(channels=2_000_000),
        memory=PAINT.least_memory,
    )
    photo = picture(20, 30)
    assert np.abs(painter.paint(photo).astype(int) - photo).max() <= 1
    assert set(sizes) == {(8, 8)}


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 50),
    width=st.integers(1, 50),
    deep=st.booleans(),
    kind=st.sampled_from(["PNG", "TIFF"]),
    orientation=st.integers(1, 8),
    profile=st.booleans(),
)
def test_files_come_back_as_they_were_but_painted_where_opaque(
    height, width, deep, kind, orientation, profile
):
    dtype = np.uint16 if deep else np.uint8
    full = np.iinfo(dtype).max
    random = np.random.default_rng(height * 51 + width)
    pixels = random.integers(0, full, (height, width, 3), dtype, endpoint=True)
    alpha = random.choice(np.array([0, full // 3, full], dtype), (height, width))
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    source = images.Source(kind, profile=profile)
    told = images.Picture(pixels, alpha, exif.tobytes()[6:], source=source)
    data = images.encode(told, kind)
    if not deep and kind == "PNG":
        image = Image.open(io.BytesIO(data))
        exif[0x0112] = orientation
        buffer = io.BytesIO()
        image.save(buffer, "PNG", exif=exif, icc_profile=image.info.get("icc_profile"))
        data = buffer.getvalue()
    before = images.read(data)
    after = images.read(Painter(lambda batch: -batch).paint(data, look=Look(layers=1)))
    assert after.size == before.size
    assert after.pixels.dtype == before.pixels.dtype == dtype
    assert (after.alpha is None) == (before.alpha is None)
    shown = np.ones(before.pixels.shape[:2], bool)
    if before.alpha is not None:
        assert np.array_equal(after.alpha, before.alpha)
        shown = before.alpha > 0
    assert np.array_equal(after.pixels[~shown], before.pixels[~shown])
    assert np.array_equal(after.pixels[shown], full - before.pixels[shown])
    assert (after.exif, after.source) == (before.exif, before.source)


def test_deep_pixels_stay_deep():
    deep = np.random.default_rng(0).integers(0, 65536, (40, 60, 3), dtype=np.uint16)
    painted = copyist().paint_pixels(deep)
    assert painted.dtype == np.uint16
    assert np.array_equal(painted, deep)


def test_deep_pixels_are_painted_as_shallow_ones_but_finer(monet):
    photo = picture(64, 96)
    painted = monet.paint_pixels(photo.astype(np.uint16) * 257)
    assert np.abs(painted / 257 - monet.paint_pixels(photo)).max() <= 0.51
    assert len(np.unique(painted)) > 1000  # not 255 levels, spread


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, 1.5])
def test_strength_goes_from_the_photo_to_beyond_the_painting(strength):
    gray = np.full((20, 30, 3), 100, np.uint8)
    lighter = Painter(lambda batch: batch + np.float32(20 / 127.5))
    painted = lighter.paint(gray, look=Look(strength=strength))
    assert np.array_equal(painted, np.full_like(gray, 100 + 20 * strength))


def test_colours_of_the_photo_are_kept():
    pixels = picture(40, 50)
    tinted = Painter(lambda b: np.clip(b + np.float32([[[[0.2]], [[0.0]], [[-0.2]]]]), -1, 1))
    painted = tinted.paint(pixels, look=Look(colors="photo")).astype(int)
    chroma = np.diff(painted - pixels.astype(int), axis=2)
    assert np.abs(chroma).max() <= 1
    gray = np.repeat(pixels[:, :, :1], 3, axis=2)
    assert np.ptp(tinted.paint(gray, look=Look(colors="photo")).astype(int), axis=2).max() == 0


@pytest.mark.parametrize(
    "look",
    [
        Look(brush=0.1),
        Look(brush=9),
        Look(strength=1.6),
        Look(strength=-0.1),
        Look(layers=0),
        Look(layers=17),
        Look(colors="van gogh"),
        Look(brush=float("nan")),
    ],
    ids=str,
)
def test_a_look_beyond_its_limits_is_answered_in_one_sentence(look):
    with pytest.raises(UsageError, match="found; give"):
        copyist().paint(picture(8, 8), look=look)


def test_the_brush_sets_the_first_layer_relative_to_the_picture():
    seen = []

    def engine(batch):
        seen.append(max(batch.shape[2:]))
        return batch

    for brush, first in ((0.5, 1024), (1.0, 512), (2.0, 256), (3.0, 171)):
        seen.clear()
        Painter(engine).paint(picture(30, 2000), look=Look(brush=brush))
        margin = 96 if first > 256 else 32
        assert abs(seen[0] - margin - first) <= 4
        assert seen[-1] == 2096


def test_the_part_that_is_done_rises_to_one():
    told = []
    copyist().paint_picture(images.Picture(picture(900, 1500)), told=told.append)
    assert told == sorted(told)
    assert told[-1] == 1
    assert len(told) == 3


def test_little_memory_is_refused_in_one_sentence():
    with pytest.raises(UsageError, match="takes 512 MiB or more"):
        Painter(lambda batch: batch, memory=100 * 2**20).paint(picture(8, 8))


def test_bad_painters_are_answered_in_one_sentence(tmp_path):
    text = tmp_path / "text.onnx"
    text.write_text("not a graph")
    for source, message in (
        (text, "is a text file"),
        ("degas", "'degas' is unknown; use monet"),
        (tmp_path, "is a folder"),
        (tmp_path / "no.onnx", "does not exist"),
        ("", "'' is unknown"),
    ):
        with pytest.raises(PainterError, match=message) as caught:
            Painter.load(source)
        assert "\n" not in str(caught.value)


def test_a_bad_photo_is_an_image_error():
    with pytest.raises(ImageError, match="not a picture"):
        copyist().paint(b"text")


# --- the painter that ships -------------------------------------------------------------------


SHIPPED = ["monet", "london", "monet-large", "monet-small", "photo"]


@pytest.fixture(scope="module", params=SHIPPED)
def shipped(request):
    """Each painter that ships."""
    return Painter.load(request.param)


def test_these_painters_ship():
    assert hub.names() == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_painter_says_what_it_is_and_nothing_of_the_machine_that_wrote_it(name):
    file = hub.find(name)
    card = Painter.load(name).card
    assert b'File "' not in file.read_bytes()
    assert card["recipe"]["name"] == name
    assert card["licence"] == "CC0-1.0"
    assert "934 paintings by Claude Monet" in card["data"]
    assert file.with_suffix(".md").exists()
    assert file.stat().st_size < {"monet-small": 1e6, "monet-large": 7e6}.get(name, 4e6)


def test_monet_was_trained_from_nothing(monet):
    assert monet.card["steps"] == 10_000
    assert not monet.card["before"]


def test_the_small_one_is_for_phones():
    painter = weights.load(hub.find("monet-small"))
    assert count_macs(build(painter.spec), 256) < 0.6e9
    assert painter.card["teacher"] == "monet"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_what_ships_paints_and_keeps_the_scene(shipped, sample):
    photo = images.resize_shorter(images.read(sample).pixels, 256)
    painting = shipped.paint(photo)
    assert painting.shape == photo.shape
    assert metrics.luma_correlation(photo, painting) > 0.7  # not inverted, still readable
    assert metrics.median_change(photo, painting) > 5  # not a copy


def engine_pixels(painter: Painter, pixels: np.ndarray) -> np.ndarray:
    """A painting in floats of 0 to 255, not rounded, without its edges."""
    batch = (pixels.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
    painted = (painter.engine(np.ascontiguousarray(batch))[0] + 1) * 127.5
    return painted.transpose(1, 2, 0)[128:-128, 128:-128].astype(np.float64)


@pytest.mark.parametrize("period", [2, 4])
@pytest.mark.parametrize("level", [40, 128, 220])
def test_what_ships_paints_no_lattice_on_a_flat_gray(shipped, level, period):
    flat = np.full((512, 512, 3), float(level))
    assert metrics.lattice_ratio(engine_pixels(shipped, flat), period) <= 2


@pytest.mark.parametrize("period", [2, 4])
@pytest.mark.parametrize("direction", ["across", "down", "aslant"])
def test_what_ships_paints_no_lattice_on_a_smooth_gradient(shipped, direction, period):
    y, x = np.mgrid[0:512, 0:512] / 511.0
    ramp = {"across": x, "down": y, "aslant": (x + y) / 2}[direction]
    gradient = np.repeat((60 + 140 * ramp)[:, :, None], 3, axis=2)
    assert metrics.lattice_ratio(engine_pixels(shipped, gradient), period) <= 2


@pytest.mark.parametrize("period", [2, 4])
def test_monet_paints_no_lattice_in_layers(monet, period):
    flat = np.full((1100, 1100, 3), 180, np.uint8)
    assert metrics.lattice_ratio(monet.paint(flat)[128:-128, 128:-128], period) <= 2


def test_a_photo_of_one_colour_is_painted(monet):
    assert monet.paint(np.full((30, 30, 3), 200, np.uint8)).shape == (30, 30, 3)


def test_monet_paints_extreme_shapes(monet):
    for height, width in ((1, 1), (1, 5000), (5000, 1), (3, 2)):
        assert monet.paint(picture(height, width)).shape == (height, width, 3)


def test_the_frame_is_painted_like_the_middle(shipped):
    painted = shipped.paint(np.full((600, 600, 3), 180, np.uint8)).astype(int)
    assert np.abs(painted - painted[300, 300]).max() <= 2


def test_loading_from_a_path_is_loading_by_name(monet):
    pixels = picture(40, 40)
    assert np.array_equal(Painter.load(Path(hub.find("monet"))).paint(pixels), monet.paint(pixels))
