"""Painted frames into compressed pieces, and pieces into one film beside the clip's sound.

With `clips` and `companions` the only room that knows PyAV.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pleinair import clips, companions, parsing
from pleinair.clips import Clip, Pixels, Tags, Warn
from pleinair.companions import Span
from pleinair.errors import OutputError, VideoError
from pleinair.settings import VIDEO

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame

CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
}
_OURS = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
_GLOBAL_HEADER = 1 << 22


@dataclass(frozen=True)
class Coding:
    """How painted frames are compressed: even sizes for 4:2:0 of H.264, every tag of the clip."""

    codec: str
    pixel_format: str
    options: tuple[tuple[str, str], ...]
    codec_tag: str
    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    aspect: Fraction
    tags: Tags


def coding(clip: Clip, target: Path, quality: int | None) -> Coding:
    """What fits the clip and the target's container. Raises OutputError for an unknown one.

    quality: CRF, from 0 (best) to 51, or 63 in .webm; None for the default.
    """
    kind = CONTAINERS.get(target.suffix.lower())
    if kind is None:
        raise OutputError(
            f"{target}: unknown film type {target.suffix!r}; use .mp4, .mov, .mkv or .webm."
        )
    best, most = (
        (VIDEO.open_crf, VIDEO.most_open_crf) if kind == "webm" else (VIDEO.crf, VIDEO.most_crf)
    )
    if quality is not None and not 0 <= quality <= most:
        raise OutputError(f"quality {quality} found; give a CRF from 0 (best) to {most}.")
    crf = ("crf", str(best if quality is None else quality))
    options: tuple[tuple[str, str], ...]
    pixel_format, tag = "yuv420p10le" if clip.deep else "yuv420p", ""
    if kind == "webm" and clip.deep:
        codec, options = "libsvtav1", (crf, ("preset", "8"))
    elif kind == "webm":
        codec = "libvpx-vp9"
        options = (crf, ("b", "0"), ("row-mt", "1"), ("deadline", "good"), ("cpu-used", "4"))
    elif clip.deep:
        # Few players show H.264 of 10 bits, nearly all HEVC, Apple's if it is called hvc1.
        codec, options = (
            "libx265",
            (crf, ("preset", "fast"), ("x265-params", "log-level=none:open-gop=0")),
        )
        tag = "hvc1" if kind in ("mp4", "mov") else ""
    else:
        codec, options = "libx264", (crf, ("preset", "medium"))
    odd = 1 if kind == "webm" else 2
    tags = clip.tags
    if tags.matrix == 0:  # the clip was RGB
        tags = Tags(tags.primaries, tags.transfer, 1, 1)
    return Coding(
        codec=codec,
        pixel_format=pixel_format,
        options=options,
        codec_tag=tag,
        width=clip.width + clip.width % odd,
        height=clip.height + clip.height % odd,
        time_base=clip.time_base,
        rate=clip.rate,
        aspect=clip.aspect,
        tags=tags,
    )


class Piece:
    """One stretch of film on its way into an encoder of its own: it begins with a keyframe.

    Frames go in by `add`; `close` gives what to save: arrays for `numpy.savez`.
    """

    def __init__(self, coding: Coding) -> None:
        self._coding = coding
        av = clips.pyav()
        os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 speaks to stderr on its own account
        self._encoder = av.CodecContext.create(coding.codec, "w")
        _set(self._encoder, coding)
        self._encoder.options = dict(coding.options)
        self._encoder.flags |= _GLOBAL_HEADER
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._packets: list[tuple[bytes, int, bool]] = []

    def add(self, pixels: Pixels, pts: int) -> None:
        """Encode a frame: uint8 or uint16 (H, W, 3) of the clip's size."""
        av, coding = clips.pyav(), self._coding
        around = ((0, coding.height - pixels.shape[0]), (0, coding.width - pixels.shape[1]))
        if around != ((0, 0), (0, 0)):
            padded: Any = np.pad(pixels, (*around, (0, 0)), mode="edge")
            pixels = padded
        kind = "rgb48le" if pixels.dtype == np.uint16 else "rgb24"
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), kind)
        frame = self._reformatter.reformat(
            rgb,
            format=coding.pixel_format,
            src_color_range=2,
            dst_color_range=coding.tags.range or 1,
            dst_colorspace=clips.swscale_matrix(coding.tags, coding.height),
            interpolation=clips.exact(),
        )
        _tag(frame, coding.tags)
        frame.pts, frame.time_base = pts, coding.time_base
        frame.pict_type = 0  # the encoder's choice
        self._encode(frame)

    def close(self) -> dict[str, NDArray[Any]]:
        """The piece, compressed. Nothing can be added after."""
        self._encode(None)
        return {
            "data": np.frombuffer(b"".join(data for data, _, _ in self._packets), np.uint8),
            "sizes": np.array([len(data) for data, _, _ in self._packets], np.int64),
            "pts": np.array([pts for _, pts, _ in self._packets], np.int64),
            "keys": np.array([key for _, _, key in self._packets], np.bool_),
        }

    def _encode(self, frame: VideoFrame | None) -> None:
        coding = self._coding
        try:
            packets = self._encoder.encode(frame)
        except clips.pyav().error.FFmpegError as error:
            raise OutputError(
                f"{coding.codec} cannot encode {coding.width}x{coding.height} pixels "
                f"({error.strerror}); name a film of another kind with -o."
            ) from error
        for packet in packets:
            if packet.pts is not None:
                self._packets.append((bytes(packet), packet.pts, packet.is_keyframe))


def moments(piece: Path) -> NDArray[np.int64]:
    """Ticks of a saved piece's frames, in the order of decoding. Raises VideoError."""
    times: NDArray[np.int64] = _kept(piece)["pts"]
    return times


def _kept(piece: Path) -> dict[str, NDArray[Any]]:
    """What `Piece.close` gave, whole."""
    try:
        found = parsing.arrays_of(piece.read_bytes())
        sizes, data = found["sizes"], found["data"]
        if sizes.min(initial=0) < 0 or int(sizes.sum()) != len(data):
            raise ValueError("its frames do not fill it")
        if not len(sizes) == len(found["pts"]) == len(found["keys"]):
            raise ValueError("its frames are not all there")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VideoError(
            f"{piece} is damaged ({error}); remove {piece.parent} and begin anew."
        ) from error
    return found


def join(
    clip: Clip,
    coding: Coding,
    pieces: Sequence[Path],
    target: Path,
    begin: int,
    end: int | None,
    warn: Warn,
) -> None:
    """Write the pieces as one film, with sound, subtitles, chapters and words of the clip.

    target: a new file whose suffix says what it is to be. begin, end: ticks of the clip between
    which the film lies. Raises OutputError where it cannot be written.
    """
    av = clips.pyav()
    kind = CONTAINERS[target.suffix.lower()]
    span = companions.Span(begin * coding.time_base, _seconds(end, coding), kind)
    for effort in companions.EFFORTS:
        try:
            _join(clip, coding, pieces, target, begin, replace(span, effort=effort), warn)
            return
        except MemoryError:
            target.unlink(missing_ok=True)
            raise
        except (av.error.FFmpegError, OSError, ValueError) as error:
            target.unlink(missing_ok=True)  # its room may be what is lacking
            if isinstance(error, OSError) or effort == companions.EFFORTS[-1]:
                reason = getattr(error, "strerror", None) or error
                raise OutputError(
                    f"{target.name} cannot be written ({reason}); make room or choose another "
                    "place with -o."
                ) from error


def _join(
    clip: Clip,
    coding: Coding,
    pieces: Sequence[Path],
    target: Path,
    begin: int,
    span: Span,
    warn: Warn,
) -> None:
    """`join`, with what goes beside the pictures as the span says. Raises what PyAV does."""
    av = clips.pyav()
    options = {}
    if span.container in ("mp4", "mov"):
        # A film that does not begin at zero says so in this clock; the default is milliseconds.
        clock = coding.time_base.denominator
        options = {"movflags": "+faststart", "movie_timescale": str(min(clock, 2**31 - 1))}
    name = str(target.absolute())
    with (
        clips.opened(clip.path) as source,
        closing(av.open(name, "w", format=span.container, container_options=options)) as film,
    ):
        pictures = film.add_stream(coding.codec, rate=coding.rate, options=dict(coding.options))
        _set(pictures.codec_context, coding)
        if coding.codec_tag:
            pictures.codec_context.codec_tag = coding.codec_tag
        pictures.time_base = coding.time_base
        others = companions.streams(clip, source, film, span, warn)
        film.metadata.update(
            {name: text for name, text in source.metadata.items() if name not in _OURS}
        )
        film.set_chapters(companions.chapters(clip, source, span))
        film.start_encoding()
        timed = _pictures(pieces, coding, begin)
        for _, _, packet, stream in heapq.merge(
            ((when, 0, packet, pictures) for when, packet in timed),
            ((when, 1, packet, stream) for when, packet, stream in others),
            key=lambda entry: entry[:2],
        ):
            packet.stream = stream
            try:
                film.mux(packet)
            except (av.error.InvalidDataError, av.error.ArgumentError):
                if stream is pictures:
                    raise
                warn(f"the {stream.type} of {clip.path} is broken in places and lacks them.")


def _seconds(tick: int | None, coding: Coding) -> Fraction | None:
    return None if tick is None else tick * coding.time_base


def _pictures(
    pieces: Sequence[Path], coding: Coding, begin: int
) -> Iterator[tuple[Fraction, Packet[Any]]]:
    """Packets of all pieces with the second at which each is due to be decoded."""
    av = clips.pyav()
    times = [moments(piece) - begin for piece in pieces]
    shown = np.sort(np.concatenate(times))
    if len(np.unique(shown)) < len(shown):
        raise VideoError("two pieces of the film overlap; remove its work folder and begin anew.")
    due = _decoding_times(np.concatenate(times), shown)
    usual = int(np.median(np.diff(shown))) if len(shown) > 1 else 1
    lasts = dict(zip(shown.tolist(), [*np.diff(shown).tolist(), usual], strict=True))
    number = 0
    for piece in pieces:
        kept = _kept(piece)
        data, sizes, keys = kept["data"].tobytes(), kept["sizes"], kept["keys"]
        pts = kept["pts"] - begin
        place = 0
        for size, when, key in zip(sizes.tolist(), pts.tolist(), keys.tolist(), strict=True):
            packet = av.Packet(data[place : place + size])
            place += size
            packet.time_base = coding.time_base
            packet.pts, packet.dts = when, int(due[number])
            packet.duration = lasts[when]
            packet.is_keyframe = key
            number += 1
            yield packet.dts * coding.time_base, packet


def _decoding_times(coded: NDArray[np.int64], shown: NDArray[np.int64]) -> NDArray[np.int64]:
    """When each frame is due to be decoded: pts in order, as many places late as B-frames ask.

    Encoders of pieces know nothing of each other, so that their own would overlap.
    coded: pts in the order of decoding. shown: the same in order.
    """
    places = np.arange(len(coded)) - np.searchsorted(shown, coded)
    late = int(places.max(initial=0))
    step = int(np.diff(shown).min()) if len(shown) > 1 else 1
    early = shown[0] - step * np.arange(late, 0, -1)
    due: NDArray[np.int64] = np.concatenate([early, shown])[: len(coded)]
    return due


def _set(encoder: VideoCodecContext, coding: Coding) -> None:
    encoder.width, encoder.height = coding.width, coding.height
    encoder.pix_fmt = coding.pixel_format
    encoder.time_base, encoder.framerate = coding.time_base, coding.rate
    encoder.sample_aspect_ratio = coding.aspect
    encoder.thread_count = 0  # as many as there are cores
    _tag(encoder, coding.tags)


def _tag(bearer: Any, tags: Tags) -> None:
    bearer.color_primaries, bearer.color_trc = tags.primaries, tags.transfer
    bearer.colorspace, bearer.color_range = tags.matrix, tags.range
