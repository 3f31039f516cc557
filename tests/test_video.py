from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av", reason="PyAV is part of pleinair[video]")

from pleinair import clips, video, work  # noqa: E402
from pleinair.errors import OutputError, UsageError, VideoError  # noqa: E402
from pleinair.settings import VIDEO, Look  # noqa: E402
from pleinair.video import paint_video, seconds_of  # noqa: E402

from .conftest import REPOSITORY, picture  # noqa: E402
from .test_cli import one_line, run  # noqa: E402

TICK = Fraction(1, 12_800)
EVEN = [512 * number for number in range(20)]  # 25 frames a second
LONG = [512 * number for number in range(90)]
UNEVEN = [0, 300, 1100, 1200, 1900, 2700, 3000, 4100, 4150, 5000, 6000, 6600, 7000, 8100]


class Stub:
    """Paints negatives, or the frames themselves, and counts."""

    digest = "stub"

    def __init__(self, negative: bool = False) -> None:
        self.negative = negative
        self.calls = 0
        self.kinds: set = set()
        self.looks: set = set()

    def paint_pixels(self, pixels, look, adjust=None):
        self.calls += 1
        self.kinds.add((pixels.dtype.name, pixels.shape))
        self.looks.add(look)
        if adjust is not None:
            adjust(0, lambda: np.ones((2, 5), np.float32))
        return np.iinfo(pixels.dtype).max - pixels if self.negative else pixels


def still(height: int = 48, width: int = 64) -> np.ndarray:
    """Four colours in the corners, smooth between, so that no turn of it is like another."""
    y, x = np.mgrid[0:height, 0:width] / [[[height - 1]], [[width - 1]]]
    corners = np.array([[[200, 40, 40], [40, 180, 60]], [[50, 60, 210], [200, 190, 60]]])
    top = corners[0, 0] * (1 - x[..., None]) + corners[0, 1] * x[..., None]
    low = corners[1, 0] * (1 - x[..., None]) + corners[1, 1] * x[..., None]
    return (top * (1 - y[..., None]) + low * y[..., None]).round().astype(np.uint8)


def moving(number: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A white square that goes to the right."""
    pixels = still(height, width)
    pixels[12:24, 2 * number : 2 * number + 12] = 255
    return pixels


def clip(
    path: Path,
    pts: list[int] | None = None,
    frame=moving,
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    tags: tuple[int, int, int, int] = (1, 1, 1, 1),
    aspect: Fraction = Fraction(1),
    turn: tuple[int, bool, bool] | None = None,
    sound: str = "aac",
    words: bool = False,
    options: dict | None = None,
) -> Path:
    """A clip as asked, with a sine of 440 Hz."""
    pts = EVEN if pts is None else pts
    with av.open(str(path), "w") as container:
        height, width = frame(0).shape[:2]
        pictures = container.add_stream(codec, rate=25, options=options or {"crf": "1"})
        pictures.width, pictures.height, pictures.pix_fmt = width, height, pixel_format
        pictures.time_base = pictures.codec_context.time_base = TICK
        pictures.codec_context.sample_aspect_ratio = aspect
        tag(pictures.codec_context, tags)
        if turn:
            pictures.set_display_rotation(turn[0], turn[1], turn[2])
        tone = container.add_stream(sound, rate=48_000) if sound else None
        if tone:
            tone.codec_context.layout = "mono"
        said = container.add_mux_stream("subrip") if words else None
        if said:
            said.time_base = Fraction(1, 1000)
            said.metadata["language"] = "fre"
        container.metadata["title"] = "Étretat"
        if path.suffix == ".mkv":
            chapter = {"id": 1, "start": 100, "end": 500, "time_base": Fraction(1, 1000)}
            container.set_chapters([{**chapter, "metadata": {"title": "Cliffs"}}])
        container.start_encoding()
        for number, when in enumerate(pts):
            rgb = av.VideoFrame.from_ndarray(frame(number), "rgb24")
            shaped = rgb.reformat(
                format=pixel_format,
                dst_colorspace={1: 1, 6: 5, 9: 9}.get(tags[2], 1),
                src_color_range=2,
                dst_color_range=tags[3] or 1,
                interpolation=clips.exact(),
            )
            tag(shaped, tags)
            shaped.pts, shaped.time_base, shaped.pict_type = when, TICK, 0
            container.mux(pictures.encode(shaped))
        container.mux(pictures.encode())
        for number in range(2 if said else 0):
            packet = av.Packet(f"word {number}".encode())
            packet.stream, packet.time_base, packet.is_keyframe = said, said.time_base, True
            packet.pts = packet.dts = 300 * number
            packet.duration = 200
            container.mux(packet)
        if tone:
            length = int(48_000 * (pts[-1] + 512) * TICK)
            wave = np.sin(np.arange(length) * 440 * 2 * np.pi / 48_000).astype(np.float32) * 0.3
            kind, size = tone.codec_context.format.name, tone.codec_context.frame_size or 960
            for begin in range(0, length, size):
                part = wave[None, begin : begin + size]
                samples = (part * 32767).astype(np.int16) if kind.startswith("s16") else part
                heard = av.AudioFrame.from_ndarray(samples, kind, "mono")
                heard.rate, heard.pts, heard.time_base = 48_000, begin, Fraction(1, 48_000)
                container.mux(tone.encode(heard))
            container.mux(tone.encode())
    return path


def tag(bearer, tags) -> None:
    bearer.color_primaries, bearer.color_trc, bearer.colorspace, bearer.color_range = tags


def watched(path: Path) -> tuple[list[Fraction], list[np.ndarray]]:
    """Moments and RGB pixels of every frame."""
    described = clips.probe(path)
    found = list(clips.frames(described, 0, None, lambda _: None))
    return [frame.pts * described.time_base for frame in found], [f.pixels for f in found]


def packets(path: Path, kind: str) -> list[tuple[bytes, Fraction]]:
    """Bytes and moments of a stream's packets."""
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams if s.type == kind)
        return [(bytes(p), p.pts * p.time_base) for p in container.demux(stream) if p.size]


def short_pieces(patch: pytest.MonkeyPatch, frames: int = 5) -> None:
    settings = replace(VIDEO, segment_frames=frames)
    for room in (video, work):
        patch.setattr(room, "VIDEO", settings)


# --- what is kept -----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm", ".ts", ".avi"])
def test_every_container_becomes_a_film_with_all_frames_and_sound(tmp_path, suffix):
    codec, sound = ("libvpx-vp9", "libopus") if suffix == ".webm" else ("libx264", "aac")
    pts = EVEN
    source = clip(tmp_path / f"a{suffix}", pts, codec=codec, sound=sound)
    stub = Stub(negative=True)
    film = paint_video(stub, source, smoothing=0)
    stays = suffix in (".mkv", ".mov", ".webm")
    assert film.path == tmp_path / f"a.monet{suffix if stays else '.mp4'}"
    assert (film.frames, stub.calls, film.notes) == (20, 20, ())
    assert film.seconds == pytest.approx(0.8, abs=0.03)
    before, after = watched(source), watched(film.path)
    assert [t - before[0][0] for t in before[0]] == [t - after[0][0] for t in after[0]]
    assert np.abs(255 - before[1][7].astype(int) - after[1][7]).mean() < 6
    heard, kept = ([data[-40:] for data, _ in packets(p, "audio")][1:] for p in (source, film.path))
    assert kept[-len(heard) + 1 :] == heard[1:]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([source.name, film.path.name])


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("late", [0, 691])
def test_uneven_timing_is_kept_to_the_tick(tmp_path, monkeypatch, suffix, late):
    short_pieces(monkeypatch)
    times = [late + when for when in UNEVEN]
    source = clip(tmp_path / "a.mp4", times)
    film = paint_video(Stub(), source, tmp_path / f"b{suffix}")
    found = watched(source)[0]
    assert watched(film.path)[0] == found
    assert [when - found[0] for when in found] == [when * TICK for when in UNEVEN]
    with av.open(str(film.path)) as made:
        assert made.streams.video[0].time_base == TICK


def test_sound_words_chapters_and_title_are_kept(tmp_path):
    source = clip(tmp_path / "a.mkv", words=True)
    film = paint_video(Stub(), source)
    for kind in ("audio", "subtitle"):
        assert packets(film.path, kind) == packets(source, kind)
    with av.open(str(film.path)) as made:
        assert made.metadata["title"] == "Étretat"
        assert made.streams.subtitles[0].language == "fre"
        [chapter] = made.chapters()
        assert chapter["metadata"] == {"title": "Cliffs"}
        assert chapter["start"] * chapter["time_base"] == Fraction(1, 10)


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv"])
def test_words_take_the_form_of_the_container(tmp_path, suffix):
    source = clip(tmp_path / "a.mkv", words=True)
    film = paint_video(Stub(), source, tmp_path / f"b{suffix}")
    said = [(data[2:] if suffix == ".mp4" else data, when) for data, when in words_of(film.path)]
    assert said == [(b"word 0", 0), (b"word 1", Fraction(3, 10))]
    again = paint_video(Stub(), film.path, tmp_path / "c.mkv")
    assert [data for data, _ in words_of(again.path)] == [b"word 0", b"word 1"]


def words_of(path: Path) -> list[tuple[bytes, Fraction]]:
    return [(data, when) for data, when in packets(path, "subtitle") if len(data) > 2]


def test_sound_that_does_not_fit_is_encoded_anew_with_a_word(tmp_path):
    source = clip(tmp_path / "a.mp4")
    film = paint_video(Stub(), source, tmp_path / "b.webm")
    assert "encoded anew" in film.notes[0]
    with av.open(str(film.path)) as made:
        samples = [f.to_ndarray() for f in made.decode(audio=0)]
        rate = made.streams.audio[0].rate
    wave = np.concatenate(samples, axis=1)[0]
    assert len(wave) / rate == pytest.approx(0.8, abs=0.05)
    spectrum = np.abs(np.fft.rfft(wave[: rate // 2]))
    assert spectrum.argmax() * 2 == pytest.approx(440, abs=4)


@pytest.mark.parametrize(
    "turn", [(90, False, False), (180, False, False), (-90, False, False), (0, True, False)]
)
def test_a_turned_clip_is_painted_upright(tmp_path, turn):
    source = clip(tmp_path / "a.mp4", EVEN[:3], lambda _: still(), turn=turn)
    stub = Stub()
    film = paint_video(stub, source)
    quarter = turn[0] in (90, -90)
    upright = np.rot90(still(), turn[0] // 90)
    upright = upright[:, ::-1] if turn[1] else upright
    assert (film.width, film.height) == ((48, 64) if quarter else (64, 48))
    _, [first, *_] = watched(film.path)
    assert np.abs(first.astype(int) - upright).mean() < 4
    with av.open(str(film.path)) as made:
        assert next(made.decode(video=0)).rotation == 0


@pytest.mark.parametrize("quarter", [False, True])
def test_the_shape_of_pixels_is_kept(tmp_path, quarter):
    turn = (90, False, False) if quarter else None
    source = clip(tmp_path / "a.mp4", EVEN[:3], aspect=Fraction(4, 3), turn=turn)
    film = paint_video(Stub(), source)
    with av.open(str(film.path)) as made:
        wanted = Fraction(3, 4) if quarter else Fraction(4, 3)
        assert made.streams.video[0].sample_aspect_ratio == wanted


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("tags", [(1, 1, 1, 1), (1, 1, 1, 2), (6, 6, 6, 1), (9, 14, 9, 1)])
def test_colour_tags_are_used_and_kept(tmp_path, suffix, tags):
    source = clip(tmp_path / "a.mp4", EVEN[:3], lambda _: still(), tags=tags)
    seen = []

    class Looker(Stub):
        def paint_pixels(self, pixels, look, adjust=None):
            seen.append(pixels)
            return pixels

    film = paint_video(Looker(), source, tmp_path / f"b{suffix}", smoothing=0)
    assert np.abs(seen[0].astype(int) - still()).mean() < 2.5
    assert np.abs(watched(film.path)[1][0].astype(int) - still()).mean() < 5
    with av.open(str(film.path)) as made:
        of = made.streams.video[0].codec_context
        found = (of.color_primaries, of.color_trc, of.colorspace, of.color_range)
    assert found == tags


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_odd_sides_are_painted_as_they_are(tmp_path, suffix):
    source = clip(
        tmp_path / "a.mkv",
        EVEN[:4],
        lambda _: still(47, 63),
        codec="ffv1",
        pixel_format="yuv444p",
        options={},
    )
    stub = Stub()
    film = paint_video(stub, source, tmp_path / f"b{suffix}")
    assert stub.kinds == {("uint8", (47, 63, 3))}
    even = suffix == ".mp4"
    assert (film.width, film.height) == ((64, 48) if even else (63, 47))
    assert any("63x47 becomes 64x48" in note for note in film.notes) is even
    first = watched(film.path)[1][0]
    assert np.abs(first[:47, :63].astype(int) - still(47, 63)).mean() < 5


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_ten_bits_are_painted_at_sixteen_and_kept(tmp_path, suffix):
    kind = {"codec": "ffv1", "pixel_format": "yuv420p10le", "options": {}}
    source = clip(tmp_path / "a.mkv", EVEN[:4], lambda _: still(64, 80), sound="", **kind)
    stub = Stub()
    film = paint_video(stub, source, tmp_path / f"b{suffix}")
    assert stub.kinds == {("uint16", (64, 80, 3))}
    with av.open(str(film.path)) as made:
        assert made.streams.video[0].codec_context.pix_fmt == "yuv420p10le"
    pixels = watched(film.path)[1][0]
    assert pixels.dtype == np.uint16
    assert np.abs(pixels / 257 - still(64, 80)).mean() < 5


def test_rgb_becomes_tagged_yuv(tmp_path):
    kind = {"codec": "ffv1", "pixel_format": "bgr0", "options": {}, "tags": (2, 2, 0, 2)}
    source = clip(tmp_path / "a.mkv", EVEN[:3], lambda _: still(), **kind)
    film = paint_video(Stub(), source, tmp_path / "b.mp4")
    assert np.abs(watched(film.path)[1][0].astype(int) - still()).mean() < 4
    with av.open(str(film.path)) as made:
        assert made.streams.video[0].codec_context.colorspace == 1


def test_a_cover_a_font_and_six_channels(tmp_path):
    source = tmp_path / "a.mkv"
    with av.open(str(source), "w") as container:
        streams = [container.add_stream(codec, rate=25) for codec in ("libx264", "mpeg4")]
        for made in streams:
            made.width, made.height, made.pix_fmt = 64, 48, "yuv420p"
        tone = container.add_stream("pcm_s16le", rate=96_000)
        tone.codec_context.layout = "5.1"
        container.add_attachment("font.ttf", "application/x-truetype-font", b"font")
        for number in range(5):
            for made in streams:
                frame = av.VideoFrame.from_ndarray(moving(number), "rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(made.encode(frame))
        for made in streams:
            container.mux(made.encode())
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 6 * 19_200), np.int16), "s16", "5.1")
        heard.rate, heard.pts = 96_000, 0
        container.mux(tone.encode(heard))
    kinds = {}
    for suffix in (".mkv", ".mp4", ".webm"):
        film = paint_video(Stub(), source, tmp_path / f"b{suffix}")
        assert any("not the one that is painted" in note for note in film.notes)
        with av.open(str(film.path)) as made:
            kinds[suffix] = [s.type for s in made.streams]
            assert made.streams.audio[0].codec_context.layout.nb_channels == 6
    assert kinds[".mkv"] == ["video", "audio", "attachment"]
    assert kinds[".mp4"] == kinds[".webm"] == ["video", "audio"]


def test_interlacing_is_said(tmp_path):
    options = {"crf": "10", "x264-params": "tff=1"}
    source = clip(tmp_path / "a.mp4", EVEN[:3], options=options)
    [said] = paint_video(Stub(), source).notes
    assert "interlaced" in said


def test_the_look_reaches_the_painter_and_quality_the_encoder(tmp_path):
    def noisy(number):
        return picture(48, 64, seed=number)

    source = clip(tmp_path / "a.mp4", EVEN[:6], noisy)
    stub = Stub()
    sizes = []
    for quality in (5, 45):
        target = tmp_path / f"{quality}.mp4"
        paint_video(stub, source, target, look=Look(layers=2), quality=quality, smoothing=0)
        sizes.append(target.stat().st_size)
    assert sizes[0] > 1.5 * sizes[1]
    assert stub.looks == {Look(layers=2)}


def test_transparent_parts_are_laid_on_white(tmp_path):
    source = tmp_path / "a.mkv"
    with av.open(str(source), "w") as container:
        pictures = container.add_stream("ffv1", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuva444p"
        pixels = np.full((48, 64, 4), (200, 20, 20, 255), np.uint8)
        pixels[:, 32:, 3] = 0
        frame = av.VideoFrame.from_ndarray(pixels, "rgba").reformat(format="yuva444p")
        container.mux(pictures.encode(frame))
        container.mux(pictures.encode())
    film = paint_video(Stub(), source, tmp_path / "b.mp4")
    [first] = watched(film.path)[1]
    assert np.abs(first[:, :28].astype(int) - (200, 20, 20)).mean() < 5
    assert first[:, 36:].min() > 245


def swept(number: int) -> np.ndarray:
    pixels = still()
    pixels[:, 2 * number % 64] = 255
    pixels[number % 48] = 0
    return pixels


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi", ".h264"])
def test_a_part_far_into_a_clip_is_the_right_one(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(clips, "VIDEO", replace(VIDEO, seek_margin=0.5))
    options = {"crf": "1", "g": "12"}
    source = clip(tmp_path / f"a{suffix}", LONG, swept, sound="", options=options)
    times, pixels = watched(source)
    assert len(times) == len(LONG)
    film = paint_video(Stub(), source, tmp_path / "b.mp4", start=3, end=3.2, smoothing=0)
    wanted = [p for t, p in zip(times, pixels, strict=True) if 3 <= t < Fraction("3.2")]
    found = watched(film.path)[1]
    assert len(found) == len(wanted) == 5
    for a, b in zip(found, wanted, strict=True):
        assert np.abs(a.astype(int) - b).mean() < 6


# --- a part -----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_part_begins_and_ends_at_its_frames(tmp_path, suffix):
    source = clip(tmp_path / "a.mkv", words=True)
    film = paint_video(Stub(), source, tmp_path / f"b{suffix}", start=0.2, end="0:0:0.6")
    assert film.frames == 10
    assert film.seconds == pytest.approx(0.4)
    times, pixels = watched(film.path)
    assert times == [Fraction(n, 25) for n in range(10)]
    assert np.abs(pixels[0].astype(int) - watched(source)[1][5]).mean() < 5
    heard = packets(source, "audio")
    shifted = {data: when - Fraction(1, 5) for data, when in heard}
    sound = packets(film.path, "audio")
    assert 16 <= len(sound) <= 19
    assert all(abs(when - shifted[data]) <= Fraction(1, 900) for data, when in sound)
    assert words_of(film.path)[0][1] == Fraction(1, 10)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1:30", 90), ("1:02:03.5", 3723.5), (0.25, 0.25)]
)
def test_moments_are_seconds_or_hours_minutes_seconds(text, seconds):
    assert seconds_of(text) == Fraction(seconds)


@pytest.mark.parametrize("text", ["", "x", "-1", "1:2:3:4", "1/0", "nan", "inf"])
def test_other_moments_are_refused(text):
    with pytest.raises(UsageError, match="give seconds, or h:m:s"):
        seconds_of(text)


def test_a_part_without_frames_is_said(tmp_path):
    source = clip(tmp_path / "a.mp4")
    with pytest.raises(VideoError, match="no frame in that time"):
        paint_video(Stub(), source, start=5)
    with pytest.raises(UsageError, match="not after start"):
        paint_video(Stub(), source, start=5, end=4)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


# --- killed, interrupted, gone on -------------------------------------------------------------

KILLED = """
import sys, time
from dataclasses import replace
import numpy as np
from pleinair import reels, video, work
from pleinair.settings import VIDEO
video.VIDEO = work.VIDEO = replace(VIDEO, segment_frames=4)
usual = reels.coding
def same_each_time(*where):
    # x264 does not write the same film twice while it plans bits along the motion of blocks.
    coding = usual(*where)
    return replace(coding, options=(*coding.options, ("x264-params", "mbtree=0")))
reels.coding = same_each_time
class Slow:
    def paint_pixels(self, pixels, look, adjust=None):
        time.sleep(float(sys.argv[3]))
        adjust(0, lambda: np.full((2, 3), pixels.mean(), np.float32))
        return np.roll(pixels, 1, axis=2)
video.paint_video(Slow(), sys.argv[1], sys.argv[2])
"""


def test_a_film_killed_in_the_middle_goes_on_as_if_it_had_not_been(tmp_path):
    def noisy(number):
        noise = np.random.default_rng(number).normal(0, 3, (48, 64, 3))
        return np.clip(moving(number) + noise, 0, 255).astype(np.uint8)

    source = clip(tmp_path / "a.mp4", frame=noisy)
    once, twice = tmp_path / "once.mp4", tmp_path / "twice.mp4"

    def painting(target: Path, pause: float) -> subprocess.Popen:
        arguments = [sys.executable, "-c", KILLED, str(source), str(target), str(pause)]
        return subprocess.Popen(arguments)

    killed = painting(twice, 0.1)
    folder = tmp_path / ".twice.mp4.pleinair"
    limit = time.monotonic() + 60
    while not (folder / "000001.npz").exists() and time.monotonic() < limit:
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert (folder / "state.npz").exists()
    assert not twice.exists()
    (folder / "000004.npz").write_bytes(b"half a piece that was never counted")
    assert painting(twice, 0).wait() == 0
    assert painting(once, 0).wait() == 0
    assert not folder.exists()
    (times, pixels), (wanted, undisturbed) = watched(twice), watched(once)
    assert times == wanted == [when * TICK for when in EVEN]
    assert all(np.array_equal(a, b) for a, b in zip(pixels, undisturbed, strict=True))


class Tired(Stub):
    """Stops at a frame as Ctrl-C does."""

    def paint_pixels(self, pixels, look, adjust=None):
        if self.calls == 13:
            raise KeyboardInterrupt
        return super().paint_pixels(pixels, look, adjust)


def test_what_was_painted_is_not_painted_again(tmp_path, monkeypatch):
    short_pieces(monkeypatch)
    source = clip(tmp_path / "a.mp4")
    with pytest.raises(KeyboardInterrupt):
        paint_video(Tired(), source, smoothing=0)
    stub, told = Stub(), []
    film = paint_video(stub, source, smoothing=0, told=lambda *found: told.append(found))
    assert (film.resumed, stub.calls, film.frames) == (10, 10, 20)
    assert told[0] == (11, 20)
    assert told[-1] == (20, 20)
    assert watched(film.path)[0] == [when * TICK for when in EVEN]


def test_work_of_other_settings_is_named_and_force_begins_anew(tmp_path, monkeypatch):
    short_pieces(monkeypatch)
    source = clip(tmp_path / "a.mp4")
    with pytest.raises(KeyboardInterrupt):
        paint_video(Tired(), source)
    with pytest.raises(OutputError, match=r"look.strength: 1.0, now 0.5") as caught:
        paint_video(Stub(), source, look=Look(strength=0.5))
    assert "\n" not in str(caught.value)
    film = paint_video(Stub(), source, look=Look(strength=0.5), force=True)
    assert (film.resumed, film.frames) == (0, 20)


def test_work_that_is_damaged_is_named(tmp_path, monkeypatch):
    short_pieces(monkeypatch)
    source = clip(tmp_path / "a.mp4")
    with pytest.raises(KeyboardInterrupt):
        paint_video(Tired(), source)
    state = tmp_path / ".a.monet.mp4.pleinair" / "state.npz"
    state.write_bytes(state.read_bytes()[:50])
    with pytest.raises(OutputError, match="is damaged"):
        paint_video(Stub(), source)


# --- what goes wrong --------------------------------------------------------------------------


def test_what_is_no_clip_is_said_in_one_sentence(tmp_path):
    text = tmp_path / "a.mp4"
    text.write_text("this is a text")
    empty = tmp_path / "b.mkv"
    empty.write_bytes(b"")
    sound = tmp_path / "c.m4a"
    with av.open(str(sound), "w") as container:
        tone = container.add_stream("aac", rate=48_000)
        tone.codec_context.layout = "mono"
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        heard.rate, heard.pts = 48_000, 0
        container.mux(tone.encode(heard))
        container.mux(tone.encode())
    cases = {
        text: "not a clip that can be read",
        empty: "not a clip that can be read",
        sound: "has no video",
        tmp_path: "is a folder",
        tmp_path / "no.mp4": "does not exist",
    }
    for path, said in cases.items():
        with pytest.raises(VideoError, match=said) as caught:
            paint_video(Stub(), path, tmp_path / "out.mp4")
        assert "\n" not in str(caught.value)
    assert not (tmp_path / ".out.mp4.pleinair").exists()


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_in_one_sentence(tmp_path, transfer, name):
    source = clip(tmp_path / "a.mp4", EVEN[:3], tags=(9, transfer, 9, 1))
    with pytest.raises(VideoError, match=f"HDR \\({name}\\)"):
        paint_video(Stub(), source)


def test_broken_frames_are_left_out_with_one_warning(tmp_path):
    source = clip(tmp_path / "a.mkv", codec="mjpeg", pixel_format="yuvj420p", options={})
    places = packets(source, "video")
    data = source.read_bytes()
    for number in (8, 9):
        jpeg = places[number][0]
        data = data.replace(jpeg, b"\0" * len(jpeg))
    source.write_bytes(data)
    said = []
    film = paint_video(Stub(), source, warn=said.append)
    assert len(said) == 1
    assert "broken in places" in said[0]
    assert film.notes == tuple(said)
    times = watched(film.path)[0]
    assert times == [when * TICK for n, when in enumerate(EVEN) if n not in (8, 9)]


@pytest.mark.parametrize("suffix", [".ts", ".mkv"])
def test_a_clip_cut_short_gives_what_it_holds(tmp_path, suffix):
    def noisy(number):
        return picture(48, 64, seed=number)

    source = clip(tmp_path / f"a{suffix}", [512 * n for n in range(100)], noisy)
    data = source.read_bytes()
    source.write_bytes(data[: int(len(data) * 0.4)])
    film = paint_video(Stub(), source, tmp_path / "b.mp4", smoothing=0)
    assert 15 < film.frames < 60
    if suffix == ".mkv":  # which says at its head how long it is
        assert any("cut short" in note for note in film.notes)


def test_a_clock_that_is_set_back_loses_no_frame(tmp_path):
    source = clip(tmp_path / "a.ts", LONG[:40])
    source.write_bytes(source.read_bytes() * 2)
    film = paint_video(Stub(), source, tmp_path / "b.mp4", smoothing=0)
    assert film.frames == 80
    assert any("sets its clock back" in note for note in film.notes)
    times = watched(film.path)[0]
    assert max(b - a for a, b in itertools.pairwise(times)) <= Fraction(2, 25)


def test_nothing_is_overwritten_in_silence(tmp_path):
    source = clip(tmp_path / "a.mp4", EVEN[:3])
    target = tmp_path / "b.mp4"
    target.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists; remove it or add --force"):
        paint_video(Stub(), source, target)
    with pytest.raises(OutputError, match="the clip itself"):
        paint_video(Stub(), source, source, force=True)
    with pytest.raises(OutputError, match=r"unknown film type '\.gif'"):
        paint_video(Stub(), source, tmp_path / "b.gif")
    with pytest.raises(OutputError, match="CRF"):
        paint_video(Stub(), source, tmp_path / "c.mp4", quality=90)
    assert target.read_bytes() == b"mine"
    paint_video(Stub(), source, target, force=True)
    assert len(watched(target)[0]) == 3


def test_a_full_disk_is_said_and_what_is_painted_stays(tmp_path, monkeypatch):
    short_pieces(monkeypatch)
    source = clip(tmp_path / "a.mp4")
    pieces = []

    def full(descriptor):
        pieces.append(descriptor)
        if len(pieces) > 9:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match="No space left") as caught:
            paint_video(Stub(), source)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a.monet.mp4").exists()
    assert paint_video(Stub(), source).resumed in (5, 10)


# --- command line -----------------------------------------------------------------------------


@pytest.fixture
def stub(monkeypatch) -> Stub:
    from pleinair.painter import Painter

    made = Stub()
    monkeypatch.setattr(Painter, "load", lambda *_, **__: made)
    return made


def test_the_command_paints_clips_into_a_folder(tmp_path, capsys, stub):
    for name in "ab":
        clip(tmp_path / f"{name}.mp4", EVEN[:3])
    (tmp_path / "bad.mp4").write_text("text")
    names = [tmp_path / f"{name}.mp4" for name in ("a", "bad", "b")]
    options = ["--brush", 2, "--strength", 0.5, "--colors", "photo", "--layers", 1]
    assert run("video", *names, "-o", tmp_path / "out", *options) == 1
    said = capsys.readouterr()
    assert said.out.split() == [str(tmp_path / "out" / f"{n}.monet.mp4") for n in "ab"]
    assert "1 of 3 clips were not painted" in said.err
    assert stub.looks == {Look(layers=1, brush=2.0, strength=0.5, colors="photo")}


def test_the_command_says_how_to_go_on(tmp_path, capsys, monkeypatch, stub):
    def tired(*_):
        raise KeyboardInterrupt

    source = clip(tmp_path / "a.mp4", EVEN[:3])
    with monkeypatch.context() as patch:
        patch.setattr(stub, "paint_pixels", tired)
        assert run("video", source) == 130
    assert "run the same again to go on" in capsys.readouterr().err
    assert run("video", source) == 0
    assert run("video", source) == 1
    assert "exists" in one_line(capsys)


@pytest.mark.parametrize(
    "options", [["--start", "x"], ["--layers", 0], ["--strength", 2], ["--smoothing", -1]]
)
def test_options_out_of_range_are_said(tmp_path, capsys, stub, options):
    source = clip(tmp_path / "a.mp4", EVEN[:3])
    assert run("video", source, *options) == 1
    one_line(capsys)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_without_pyav_the_extra_is_named(tmp_path, capsys, monkeypatch, stub):
    source = clip(tmp_path / "a.mp4", EVEN[:3])
    monkeypatch.setitem(sys.modules, "av", None)
    assert run("video", source) == 1
    assert "pip install 'pleinair[video]'" in one_line(capsys)


def test_the_python_of_the_page_runs(tmp_path, monkeypatch, stub):
    monkeypatch.chdir(tmp_path)
    clip(tmp_path / "holiday.mp4", EVEN[:6])
    text = (REPOSITORY / "docs" / "video.md").read_text(encoding="utf-8")
    exec(compile(text.split("```python\n")[1].split("```")[0], "video.md", "exec"), {})
    assert (tmp_path / "holiday.monet.mp4").exists()


def test_a_film_that_was_in_its_place_when_the_kill_came_is_known_as_ours(tmp_path, monkeypatch):
    source = clip(tmp_path / "a.mp4")
    with monkeypatch.context() as patch:
        patch.setattr(work.Work, "remove", lambda _: None)  # it came just before that
        first = paint_video(Stub(), source).path
    before = watched(first)
    stub = Stub()
    film = paint_video(stub, source)
    assert stub.calls == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.monet.mp4", "a.mp4"]
    (times, pixels), (wanted, undisturbed) = watched(film.path), before
    assert times == wanted
    assert all(np.array_equal(a, b) for a, b in zip(pixels, undisturbed, strict=True))
    with pytest.raises(OutputError, match="exists"):
        paint_video(Stub(), source)


def test_a_film_that_somebody_put_there_since_is_not_ours(tmp_path, monkeypatch):
    source = clip(tmp_path / "a.mp4")
    with monkeypatch.context() as patch:
        patch.setattr(work.Work, "remove", lambda _: None)
        film = paint_video(Stub(), source).path
    film.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists"):
        paint_video(Stub(), source)
    assert film.read_bytes() == b"mine"


def test_too_little_memory_is_no_fault_of_the_clip(tmp_path, monkeypatch):
    """Frames that did not fit were left out, and the film was shorter than its clip."""
    source = clip(tmp_path / "a.mp4")

    class Full:
        """Packets, then no room for more."""

        def __init__(self, real):
            self._real, self._left = real, 5

        def __iter__(self):
            return self

        def __next__(self):
            self._left -= 1
            if self._left < 0:
                raise av.error.MemoryError(12, "Cannot allocate memory")
            return next(self._real)

    class Container:
        """A clip to read whose packets end so."""

        def __init__(self, real):
            self._real = real

        def __getattr__(self, name):
            return getattr(self._real, name)

        def demux(self, stream):
            return Full(self._real.demux(stream))

    with clips.opened(source) as real:
        stream = clips.picture_stream(real, source)
        with pytest.raises(MemoryError):
            list(clips._decoded(Container(real), stream, print))
