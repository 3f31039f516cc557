"""What goes with the pictures of a clip: sound, subtitles, attachments, chapters.

Copied where the film's container holds them, else put into another form or left out with a word.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from pleinair import clips
from pleinair.clips import Clip, Warn
from pleinair.settings import VIDEO

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.container.core import Chapter
    from av.packet import Packet
    from av.stream import Stream

Timed = tuple[Fraction, "Packet[Any]", "Stream"]
Step = Callable[["Packet[Any] | None"], list["Packet[Any]"]]

_AUDIO = {"mp4": "aac", "mov": "aac", "matroska": "aac", "webm": "libopus"}
_TEXT = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
_AAC_RATES = {8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000}
_TEXT_KINDS = {"mov_text", "subrip", "srt", "webvtt", "text", "ass", "ssa"}
_SUBTITLE_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, \
Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


EFFORTS = ("copy", "encode", "leave out")  # what to try in turn where a container balks


@dataclass(frozen=True)
class Span:
    """Seconds of the clip that the film shows, and FFmpeg's name of the film's container.

    effort: one of EFFORTS, the first unless it failed.
    """

    begin: Fraction
    end: Fraction | None
    container: str
    effort: str = "copy"


def streams(
    clip: Clip, source: InputContainer, film: OutputContainer, span: Span, warn: Warn
) -> Iterator[Timed]:
    """Open a stream of the film for each of the clip's that is no picture; then their packets.

    Each packet comes with the second at which it is due, in the clip's order.
    """
    steps: dict[int, tuple[Stream, Stream, Step]] = {}
    painted = clips.picture_stream(source, clip.path).index
    for stream in source.streams:
        if stream.index == painted:
            continue
        made = _opened(stream, film, span, clip, warn)
        if made is not None and made[1] is not None:
            steps[stream.index] = (stream, made[0], made[1])
    return _packets(clip, source, span, steps)


def chapters(clip: Clip, source: InputContainer, span: Span) -> list[Chapter]:
    """The clip's chapters within the span, in the film's time."""
    found: list[Chapter] = []
    for chapter in source.chapters():
        base = chapter["time_base"] or Fraction(1, 1000)
        shift = span.begin + clip.begins * clip.time_base
        begin = max(chapter["start"] * base - shift, Fraction(0))
        end = chapter["end"] * base - shift
        if span.end is not None:
            end = min(end, span.end - span.begin)
        if end > begin:
            found.append({**chapter, "start": round(begin / base), "end": round(end / base)})
    return found


def _opened(
    stream: Stream, film: OutputContainer, span: Span, clip: Clip, warn: Warn
) -> tuple[Stream, Step | None] | None:
    """A stream of the film for this one, and what becomes of its packets."""
    name = stream.codec_context.name if stream.codec_context else stream.type
    what = f"{stream.type} stream {stream.index} ({name}) of {clip.path}"
    if span.effort == "leave out":
        if stream.type != "video":
            warn(f"{what} cannot be written and is left out.")
        return None
    anew = span.effort == "encode" and stream.type == "audio"
    if stream.type != "video" and not anew and _holds(span.container, stream):
        copy = _like(film.add_stream_from_template(stream, opaque=True), stream)
        return copy, (None if stream.type == "attachment" else _copied)
    if stream.type == "audio" and stream.codec_context:
        warn(f"{what} does not fit into this container and is encoded anew.")
        return _audio(stream, film, span)
    if stream.type == "subtitle" and name in _TEXT_KINDS:
        return _text(stream, film, span, name)
    why = "is not the one that is painted" if stream.type == "video" else "does not fit here"
    warn(f"{what} {why} and is left out.")
    return None


def _like(made: Stream, stream: Stream) -> Stream:
    words = {k: v for k, v in stream.metadata.items() if k in ("language", "title", "filename")}
    words |= {k: v for k, v in stream.metadata.items() if k in ("mimetype", "handler_name")}
    made.metadata.update(words)
    made.disposition = stream.disposition
    if stream.time_base is not None and stream.type != "attachment":
        made.time_base = stream.time_base
    return made


def _holds(container: str, stream: Stream) -> bool:
    """Whether a container of this kind takes the stream as it is: its head is written to memory."""
    av = clips.pyav()
    trial = av.open(io.BytesIO(), "w", format=container)
    try:
        trial.add_stream_from_template(stream, opaque=True)
        trial.start_encoding()
    except av.error.MemoryError:
        raise
    except (ValueError, TypeError, av.error.FFmpegError):
        return False
    return True


def _copied(packet: Packet[Any] | None) -> list[Packet[Any]]:
    return [packet] if packet is not None else []


def _audio(stream: Stream, film: OutputContainer, span: Span) -> tuple[Stream, Step]:
    """Sound decoded and encoded anew."""
    av = clips.pyav()
    sound: Any = stream.codec_context
    codec = _AUDIO[span.container]
    rate = sound.sample_rate if codec == "aac" and sound.sample_rate in _AAC_RATES else 48_000
    made: Any = film.add_stream(codec, rate=rate)
    layouts = {1: "mono", 6: "5.1", 7: "5.1", 8: "5.1"}
    made.codec_context.layout = layouts.get(sound.layout.nb_channels, "stereo")
    made.codec_context.bit_rate = VIDEO.audio_rate
    made.metadata.update({k: v for k, v in stream.metadata.items() if k in ("language", "title")})
    made.codec_context.open()
    encoder = made.codec_context
    resampler = av.AudioResampler(encoder.format, encoder.layout, rate, encoder.frame_size or 960)

    def step(packet: Packet[Any] | None) -> list[Packet[Any]]:
        try:
            decoded = sound.decode(packet)
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError:
            decoded = []
        frames = [out for frame in decoded for out in resampler.resample(frame)]
        if packet is None:
            frames += resampler.resample(None)
        found = [out for frame in frames for out in encoder.encode(frame)]
        return found + (encoder.encode(None) if packet is None else [])

    return made, step


def _text(stream: Stream, film: OutputContainer, span: Span, name: str) -> tuple[Stream, Step]:
    """Subtitles as plain text in the container's own form."""
    av = clips.pyav()
    wanted = _TEXT[span.container]
    if wanted == "mov_text":
        made: Any = film.add_stream(wanted)
        made.codec_context.subtitle_header = _SUBTITLE_HEADER
        made.codec_context.time_base = Fraction(1, 1000)
    else:
        made = film.add_mux_stream(wanted)
    made.time_base = stream.time_base
    made.metadata.update({k: v for k, v in stream.metadata.items() if k in ("language", "title")})

    def step(packet: Packet[Any] | None) -> list[Packet[Any]]:
        if packet is None or not packet.size:
            return []
        text = _plain(bytes(packet), name)
        if not text:
            return []
        data = text.encode()
        new = av.Packet(len(data).to_bytes(2, "big") + data if wanted == "mov_text" else data)
        new.pts, new.dts, new.duration = packet.pts, packet.pts, packet.duration
        new.time_base = packet.time_base
        new.is_keyframe = True
        return [new]

    return made, step


def _plain(data: bytes, name: str) -> str:
    """The words of a subtitle packet."""
    if name == "mov_text":
        data = data[2 : 2 + int.from_bytes(data[:2], "big")]
    text = data.decode("utf-8", "replace")
    if name in ("ass", "ssa"):
        text = text.split(",", 8)[-1]
        # Behind the last } no { ends; looking for its end from each would take hours.
        styled, end, rest = text.rpartition("}")
        text = (
            (re.sub(r"\{[^}]*\}", "", styled + end) + rest)
            .replace("\\N", "\n")
            .replace("\\n", "\n")
        )
    return text.strip("\r\n\0")


def _packets(
    clip: Clip, source: InputContainer, span: Span, steps: dict[int, tuple[Stream, Stream, Step]]
) -> Iterator[Timed]:
    """The clip's packets within the span, in the film's time, as each stream's step makes them."""
    if not steps:
        return
    av = clips.pyav()
    shift = span.begin + clip.begins * clip.time_base
    try:
        for packet in source.demux([stream for stream, _, _ in steps.values()]):
            if packet.pts is None:  # the last of each stream, and empty
                continue
            stream, made, step = steps[packet.stream.index]
            if stream.time_base is None:
                continue
            base = stream.time_base
            if not _fits(packet, base, shift, span, stream):
                continue
            packet.pts -= round(shift / base)
            packet.dts = packet.pts if packet.dts is None else packet.dts - round(shift / base)
            yield from _timed(step(packet), made)
    except av.error.MemoryError:
        raise
    except av.error.FFmpegError:
        pass  # the file ends here, as was said when its pictures were read
    for _, made, step in steps.values():
        yield from _timed(step(None), made)


def _fits(packet: Packet[Any], base: Fraction, shift: Fraction, span: Span, of: Stream) -> bool:
    """Whether the packet is of the span; a subtitle that stands when it begins is shortened."""
    begins = packet.pts * base - shift if packet.pts is not None else Fraction(0)
    if span.end is not None and begins >= span.end - span.begin:
        return False
    if begins >= 0:
        return True
    if of.type == "subtitle" and packet.duration:
        left = begins + packet.duration * base
        if left <= 0:
            return False
        packet.pts = packet.dts = round(shift / base)
        packet.duration = round(left / base)
        return True
    if span.begin > 0:
        return False
    # What a decoder warms up on lies before zero. Matroska has a field for as much as the codec
    # says it needs; for more, it would move the pictures.
    if span.container not in ("matroska", "webm") or not of.codec_context:
        return True
    sound: Any = of.codec_context
    return of.type == "audio" and begins >= -Fraction(sound.delay + 1, sound.sample_rate) - base


def _timed(packets: list[Packet[Any]], made: Stream) -> Iterator[Timed]:
    for packet in packets:
        if packet.dts is not None and packet.time_base is not None:
            yield packet.dts * packet.time_base, packet, made
