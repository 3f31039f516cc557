from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pleinair import images
from pleinair.errors import ImageError, OutputError
from pleinair.metadata import kept_exif
from pleinair.settings import PAINT

from .broken import NOTES, camera_exif, saved
from .conftest import picture

SIZE = (36, 24)


def flat(*colours: tuple[int, int, int]) -> np.ndarray:
    """A picture of a few colours in stripes."""
    pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    for number, colour in enumerate(colours):
        pixels[:, number * SIZE[0] // len(colours) :] = colour
    return pixels


def film(frames: list[images.Picture], times: list[float], loop: int = 0) -> images.Animation:
    pairs = zip(frames, times, strict=True)
    return images.Animation("", frames[0].size, loop, len(frames), iter(pairs))


def frames_of(count: int = 5, alpha: bool = False) -> list[images.Picture]:
    found = []
    for number in range(count):
        pixels = flat((200, 30, 30), (30, 200, 30), (30, 30, 200))
        pixels[4:10, number * 5 : number * 5 + 6] = 250
        cover = None
        if alpha:
            cover = np.full(pixels.shape[:2], 255, np.uint8)
            cover[12:18, number * 5 : number * 5 + 9] = 0
        found.append(images.Picture(pixels, cover))
    return found


def seen(picture: images.Picture) -> np.ndarray:
    """What is seen of it: RGBA, transparent places black."""
    cover = 255 if picture.alpha is None else picture.alpha
    shape = picture.pixels.shape[:2]
    rgba = np.dstack([picture.pixels, np.broadcast_to(np.uint8(cover), shape)])
    return rgba * (rgba[:, :, 3:] > 0)


@pytest.mark.parametrize("alpha", [False, True], ids=["opaque", "alpha"])
@pytest.mark.parametrize("loop", [0, 1, 5])
@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_frames_times_and_loops_come_back(kind, loop, alpha):
    frames = [replace(f, source=images.Source("WEBP", lossless=True)) for f in frames_of(5, alpha)]
    times = [40, 100, 20, 1_000, 70]
    data = images.encode_any(film(frames, times, loop), kind)
    found = images.read_any(data)
    assert (found.format, found.size, found.loop, found.count) == (kind, SIZE, loop, 5)
    pairs = list(found.frames)
    assert [duration for _, duration in pairs] == times
    for frame, (picture_, _) in zip(frames, pairs, strict=True):
        assert np.array_equal(seen(picture_), seen(frame))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF"])
def test_an_animation_through_painting_stays_one(kind):
    options = {"save_all": True, "duration": [30, 90, 60], "loop": 0}
    images_ = [Image.fromarray(f.pixels) for f in frames_of(3)]
    data = saved(images_[0], kind, append_images=images_[1:], **options)
    found = images.read_any(data)
    painted = replace(found, frames=((images.finished(p, p.pixels), t) for p, t in found.frames))
    again = images.read_any(images.encode_any(painted, kind))
    assert (again.count, again.size) == (3, SIZE)
    assert [round(t) for _, t in again.frames] == [30, 90, 60]


def test_frames_are_decoded_as_they_are_asked_for():
    data = images.encode_any(film(frames_of(5), [10] * 5), "PNG")
    at = data.rindex(b"fdAT")
    found = images.read_any(data[: at + 6])  # the last frame is missing
    frames = found.frames
    for _ in range(4):
        next(frames)
    with pytest.raises(ImageError):
        next(frames)


def test_gif_times_do_not_drift():
    data = images.encode_any(film(frames_of(4) * 15, [1000 / 60] * 60), "GIF")
    times = [duration for _, duration in images.read_any(data).frames]
    assert set(times) == {10, 20}
    assert sum(times) == 1000


def test_apng_times_are_exact():
    times = [1000 / 30, 1000 / 24, 0, 70_000, 12.5]
    data = images.encode_any(film(frames_of(5), times), "PNG")
    assert [t for _, t in images.read_any(data).frames] == pytest.approx(times, rel=1e-12)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_frames_that_are_alike_are_still_frames(kind):
    data = images.encode_any(film(frames_of(1) * 4, [20] * 4), kind)
    found = images.read_any(data)
    assert [t for _, t in found.frames] == [20] * 4


def test_still_places_of_a_gif_do_not_flicker():
    # Thousands of colours: each frame has a palette of its own, what stands still does not change.
    frames = []
    for number in range(4):
        pixels = picture(60, 80)
        pixels[:, 60:] = picture(60, 20, seed=number + 1)
        frames.append(images.Picture(pixels))
    found = images.read_any(images.encode_any(film(frames, [50] * 4), "GIF"))
    shown = [p.pixels for p, _ in found.frames]
    for one in shown[1:]:
        assert np.array_equal(one[:, :60], shown[0][:, :60])
    assert np.abs(shown[2].astype(int) - frames[2].pixels).mean() < 6


def test_painted_alpha_of_a_gif_uncovers_what_was_there():
    bare = images.Picture(flat((9, 9, 9)), np.zeros(SIZE[::-1], np.uint8))
    frames = [frames_of(1)[0], bare, frames_of(1)[0]]
    found = images.read_any(images.encode_any(film(frames, [50] * 3), "GIF"))
    covers = [1.0 if p.alpha is None else (p.alpha > 0).mean() for p, _ in found.frames]
    assert covers == [1.0, 0.0, 1.0]


def test_a_still_gif_keeps_its_colours_and_its_alpha():
    frame = frames_of(2, alpha=True)[1]
    found = images.read(images.encode(frame, "GIF"))
    assert np.array_equal(seen(found), seen(frame))
    rich = images.read(images.encode(images.Picture(picture(90, 120)), "GIF")).pixels
    assert np.abs(rich.astype(int) - picture(90, 120)).mean() < 8


def test_the_picture_for_those_who_know_no_apng_is_no_frame():
    shown = [Image.fromarray(f.pixels) for f in frames_of(3)]
    cover = Image.new("RGB", SIZE, "white")
    data = saved(cover, "PNG", save_all=True, append_images=shown, default_image=True, duration=50)
    found = images.read_any(data)
    assert found.count == 3
    assert np.array_equal(next(found.frames)[0].pixels, frames_of(1)[0].pixels)


def test_what_the_first_frame_says_is_said_of_all():
    first, *rest = frames_of(3)
    first = replace(first, exif=kept_exif(camera_exif()), notes=NOTES)
    for kind in ("PNG", "WEBP", "AVIF"):
        data = images.encode_any(film([first, *rest], [50] * 3), kind)
        found, _ = next(images.read_any(data).frames)
        assert b"Camera" in found.exif
        assert b"Poppies" in found.notes.xmp
        stripped = images.encode_any(film([first, *rest], [50] * 3), kind, strip=True)
        assert next(images.read_any(stripped).frames)[0].exif is None


def test_one_frame_is_a_picture_and_many_do_not_fit_into_a_jpeg(tmp_path):
    one = images.encode_any(film(frames_of(1), [50]), "PNG")
    assert isinstance(images.read_any(one), images.Picture)
    assert isinstance(images.read_any(saved(Image.new("RGB", (4, 4)), "GIF")), images.Picture)
    with pytest.raises(OutputError, match="one picture, not 2 frames"):
        images.write_any(film(frames_of(2), [50] * 2), tmp_path / "a.jpg")
    with pytest.raises(OutputError, match="one picture, not 2 frames"):
        images.encode_any(film(frames_of(2), [50] * 2), "TIFF")
    path = tmp_path / "new" / "a.webp"
    images.write_any(film(frames_of(2), [50] * 2), path)
    assert images.read_any(path).count == 2
    images.write_any(frames_of(1)[0], tmp_path / "a.jpg")


def test_a_frame_of_another_size_and_no_frames_are_told():
    frames = [frames_of(1)[0], images.Picture(picture(5, 5))]
    for kind in ("GIF", "PNG", "WEBP"):
        with pytest.raises(OutputError, match="frame 2 has 5x5 pixels"):
            images.encode_any(film(frames, [50, 50]), kind)
    for promised in (2, 4):
        promise = replace(film(frames_of(3), [50] * 3), count=promised)
        with pytest.raises(OutputError, match="frames came"):
            images.encode_any(promise, "WEBP")
    with pytest.raises(OutputError, match="no frames"):
        images.encode_any(images.Animation("GIF", SIZE, 0, 0, iter([])), "GIF")


def test_too_many_frames_are_refused(monkeypatch):
    data = images.encode_any(film(frames_of(5), [50] * 5), "GIF")
    monkeypatch.setattr("pleinair.animation.PAINT", replace(PAINT, max_frames=4))
    with pytest.raises(ImageError, match="5 frames of 36x24"):
        images.read_any(data)
    monkeypatch.setattr("pleinair.animation.PAINT", replace(PAINT, max_frame_pixels=100))
    with pytest.raises(ImageError, match="frames of 36x24 pixels"):
        images.read_any(data)


def test_a_gif_frame_that_reaches_over_its_canvas_is_cut():
    data = bytearray(images.encode_any(film(frames_of(3), [50] * 3), "GIF"))
    width = data.index(SIZE[0].to_bytes(2, "little") + SIZE[1].to_bytes(2, "little"))
    data[width : width + 2] = (SIZE[0] - 6).to_bytes(2, "little")
    first = images.read_any(bytes(data))  # whose first frame says how large it is
    assert first.size == SIZE
    places = [at for at in range(len(data)) if data[at : at + 2] == b"\0,"]
    data[places[-1] + 2 : places[-1] + 4] = (30).to_bytes(2, "little")
    found = images.read_any(bytes(data))
    assert {picture_.size for picture_, _ in found.frames} == {SIZE}


def test_a_failing_painter_is_heard_through_the_writer():
    def frames():
        yield frames_of(1)[0], 50
        raise ImageError("no paint left")

    for kind in ("GIF", "PNG", "WEBP", "AVIF"):
        with pytest.raises(ImageError, match="no paint left"):
            images.encode_any(images.Animation(kind, SIZE, 0, 2, frames()), kind)


def test_every_gif_disposal_is_understood():
    frames = [Image.fromarray(np.dstack([f.pixels, f.alpha])) for f in frames_of(4, alpha=True)]
    for disposal in (0, 1, 2, 3):
        data = saved(
            frames[0],
            "GIF",
            save_all=True,
            append_images=frames[1:],
            duration=50,
            disposal=disposal,
        )
        reference = Image.open(io.BytesIO(data))
        for number, (frame, _) in enumerate(images.read_any(data).frames):
            reference.seek(number)
            rgba = np.asarray(reference.convert("RGBA"))
            assert np.array_equal(seen(frame), rgba * (rgba[:, :, 3:] > 0))
