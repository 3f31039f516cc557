"""What is in a clip: its streams and tags, and its frames as upright RGB pixels.

With `reels` the only room that knows PyAV.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pleinair import images
from pleinair.errors import MissingExtraError, VideoError
from pleinair.settings import VIDEO

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

Pixels = NDArray[np.uint8] | NDArray[np.uint16]  # HWC, RGB
Warn = Callable[[str], None]

# Numbers of ITU-T H.273, as in the tags of streams.
_UNKNOWN, _RGB, _BT709, _BT601 = 2, 0, 1, 6
_HDR = {16: "PQ", 18: "HLG"}
_LIMITED, _FULL = 1, 2
# The matrices that swscale has, by its own numbers: it knows BT.601 as 5 alone.
_SWSCALE = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
# Clocks of these begin anywhere, and players take their first moment for zero.
_BROADCAST = {"mpegts", "mpeg"}
# These say when a frame is due to be decoded, not shown: frames come out in the same order.
_WITHOUT_PTS = {"avi"}
# What holds its own frames. FFmpeg reads lists of other files and of addresses, too, and rows of
# pictures: a clip of a stranger's would open what lies elsewhere on this computer.
_CONTAINERS = (
    "apng,asf,av1,avi,dv,flv,gif,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mpeg,mpegts,mpegvideo,mxf,"
    "nut,obu,ogg,rm,swf,wtv,yuv4mpegpipe"
)


@dataclass(frozen=True)
class Tags:
    """How YUV is to be read: numbers of H.273; range 1 (limited) or 2 (full), 0 where unsaid."""

    primaries: int
    transfer: int
    matrix: int
    range: int


@dataclass(frozen=True)
class Clip:
    """A clip before any of its frames is painted.

    width, height: pixels of its frames, upright. time_base: seconds of one tick. begins: ticks of
    its first moment. seconds, frames: its length, 0 where the file does not say. deep: more than
    8 bits a channel. aspect: width of a pixel by its height, upright.
    """

    path: Path
    kind: str
    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    begins: int
    seconds: float
    frames: int
    deep: bool
    aspect: Fraction
    tags: Tags
    turn: tuple[bool, bool, bool]  # transposed, then mirrored, then upside down
    interlaced: bool
    clear: bool  # with an alpha channel


@dataclass(frozen=True)
class Frame:
    """pixels: uint8, or uint16 of a deep clip, (H, W, 3). pts: ticks from the clip's beginning."""

    pixels: Pixels
    pts: int


def pyav() -> ModuleType:
    """PyAV, quiet. Raises MissingExtraError where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise MissingExtraError(
            f"{error.name} is not installed; run pip install 'pleinair[video]' first."
        ) from error
    av.logging.set_level(None)
    return av


@contextlib.contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """A clip to read. Raises VideoError where there is none that FFmpeg reads."""
    av = pyav()
    if path.is_dir():
        raise VideoError(f"{path} is a folder; name the clips in it, as in {path}/*.mp4.")
    try:
        container = av.open(
            str(path.absolute()),
            "r",
            metadata_errors="replace",
            options={"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"},
        )
    except FileNotFoundError as error:
        raise VideoError(f"{path} does not exist; check the path.") from error
    except PermissionError as error:
        raise VideoError(f"{path} may not be read; check its permissions.") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(
            f"{path} is not a clip that can be read, or its index is missing "
            f"({_reason(error)}); give a whole video file."
        ) from error
    with container:
        yield container


def probe(path: Path) -> Clip:
    """Read what a clip says of itself, and its first frame.

    Raises VideoError where it has no video, no frame, or HDR colours.
    """
    with opened(path) as container:
        stream = picture_stream(container, path)
        first = next(_decoded(container, stream, lambda _: None), None)
        if first is None:
            raise VideoError(f"{path} holds no frame that can be read; get a whole copy.")
        tags = _tags(first)
        if tags.transfer in _HDR:
            raise VideoError(
                f"{path} is HDR ({_HDR[tags.transfer]}), and painters know SDR only; "
                "convert it first (ffmpeg with its filters zscale and tonemap)."
            )
        turn = _turn(first)
        across, down = first.width, first.height
        aspect = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
        if turn[0]:
            across, down, aspect = down, across, 1 / aspect
        base = Fraction(stream.time_base or Fraction(1, 90_000))
        begins = 0
        if container.format.name in _BROADCAST and container.start_time:
            begins = round(Fraction(container.start_time, 1_000_000) / base)
        length = container.duration or 0
        return Clip(
            path=path,
            kind=container.format.name,
            width=across,
            height=down,
            time_base=base,
            rate=Fraction(stream.average_rate or stream.guessed_rate or 25),
            begins=begins,
            seconds=length / 1_000_000,
            frames=stream.frames,
            deep=_bits(first) > 8,
            aspect=aspect,
            tags=tags,
            turn=turn,
            interlaced=first.interlaced_frame,
            clear=any(part.is_alpha for part in first.format.components),
        )


def picture_stream(container: InputContainer, path: Path) -> VideoStream:
    """The video stream that is a film, not a cover. Raises VideoError where there is none."""
    av = pyav()
    cover = av.stream.Disposition.attached_pic
    films = [s for s in container.streams.video if not s.disposition & cover]
    if not films:
        found = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        raise VideoError(f"{path} has no video ({found} found); give a clip with pictures.")
    films = [s for s in films if s.codec_context is not None]
    if not films:
        raise VideoError(f"{path} is encoded in a way that is not known; convert it first.")
    best = container.streams.best("video")
    return best if best in films else films[0]


def frames(clip: Clip, begin: int, end: int | None, warn: Warn) -> Iterator[Frame]:
    """Frames from tick `begin` (0: the very first) to before tick `end`, in order of time.

    What is broken is left out or as the decoder conceals it, and `warn` is told once; so it is
    where the clip ends before its time. Raises VideoError.
    """
    last, shown = -1, Fraction(0)
    for frame in _shaped(clip, begin, end, warn):
        last = frame.pts
        shown = (frame.pts + 1) * clip.time_base
        yield frame
    missing = Fraction(clip.seconds) - shown
    if end is None and last >= 0 and missing > max(Fraction(VIDEO.cut_short), 2 / clip.rate):
        if _film_is_shorter(clip, shown):
            return
        warn(
            f"{clip.path} is cut short: it ends at {float(shown):.1f} of {clip.seconds:.1f} s; "
            "what it holds is painted."
        )


def _shaped(clip: Clip, begin: int, end: int | None, warn: Warn) -> Iterator[Frame]:
    """`frames` without a word on the end."""
    reformatter = pyav().video.reformatter.VideoReformatter()
    step = max(1, round(1 / (clip.rate * clip.time_base)))
    with opened(clip.path) as container, opened(clip.path) as again:
        decoded_frames = _wound(container, again, clip, begin, warn)
        before: int | None = None
        jumped = 0  # ticks by which a clock was set back, as where recordings were put together
        for decoded in decoded_frames:
            if decoded.pts is None:
                pts = 0 if before is None else before + step
            else:
                pts = decoded.pts - clip.begins + jumped
            if before is not None and (before - pts) * clip.time_base > VIDEO.clock_back:
                jumped += before + step - pts
                pts = before + step
                warn(f"{clip.path} sets its clock back; from there on sound may be missing.")
            if before is not None and pts <= before:
                continue  # shown by nobody: the time of the frame before it has not passed
            before = pts
            if begin > 0 and pts < begin:
                continue
            if end is not None and pts >= end:
                return
            yield Frame(_pixels(decoded, clip, reformatter), pts)


def _wound(
    container: InputContainer, again: InputContainer, clip: Clip, begin: int, warn: Warn
) -> Iterator[VideoFrame]:
    """Decoded frames from well before tick `begin` on, or all where that cannot be found."""
    margin = round(VIDEO.seek_margin / float(clip.time_base))
    # A clock that may be set back on the way leads to the wrong place.
    if begin > margin and clip.kind not in _BROADCAST:
        stream = picture_stream(container, clip.path)
        with contextlib.suppress(pyav().error.FFmpegError):
            container.seek(begin - margin + clip.begins, stream=stream)
            following = _decoded(container, stream, warn)
            first = next(following, None)
            if first is not None and first.pts is not None and first.pts - clip.begins <= begin:
                return itertools.chain([first], following)
    return _decoded(again, picture_stream(again, clip.path), warn)


def _decoded(container: InputContainer, stream: VideoStream, warn: Warn) -> Iterator[VideoFrame]:
    """Every frame that can be decoded; `warn` is told of the first that cannot."""
    av = pyav()
    told = False
    stream.thread_type = "AUTO"
    due: list[int] | None = [] if container.format.name in _WITHOUT_PTS else None
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.MemoryError:
            raise  # the clip is not broken
        except av.error.FFmpegError:
            packet = None  # the file ends within a packet; what is decoded so far is still due
        if due is not None and packet is not None and packet.dts is not None:
            heapq.heappush(due, packet.dts)
        try:
            found = stream.codec_context.decode(packet)
        except av.error.EOFError:
            return
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError as error:
            found = []
            if not told:
                warn(
                    f"{Path(container.name).name} is broken in places ({_reason(error)}); frames "
                    "that cannot be read are left out, and those before them stay longer."
                )
                told = True
        for frame in found:
            if due is not None:
                frame.pts = heapq.heappop(due) if due else None
            yield frame
        if packet is None:
            return


# --- pixels ---------------------------------------------------------------------------------


def _pixels(frame: VideoFrame, clip: Clip, reformatter: Any) -> Pixels:
    """A decoded frame as upright RGB of the clip's size."""
    tags = _tags(frame)
    wide = (clip.height, clip.width) if clip.turn[0] else (clip.width, clip.height)
    kinds = {False: ("rgb24", "rgb48le"), True: ("rgba", "rgba64le")}
    rgb = reformatter.reformat(
        frame,
        width=wide[0],  # of a stream whose size changes on the way, too
        height=wide[1],
        format=kinds[clip.clear][clip.deep],
        src_colorspace=swscale_matrix(tags, frame.height),
        src_color_range=tags.range or _LIMITED,
        dst_color_range=_FULL,
        interpolation=exact(),
    )
    pixels: Any = rgb.to_ndarray()
    if clip.clear:
        pixels = images.on_white(images.from_array(pixels))
    transposed, mirrored, upended = clip.turn
    if transposed:
        pixels = pixels.transpose(1, 0, 2)
    if mirrored:
        pixels = pixels[:, ::-1]
    if upended:
        pixels = pixels[::-1]
    upright: Pixels = np.ascontiguousarray(pixels)
    return upright


def swscale_matrix(tags: Tags, height: int) -> int:
    """Number of swscale's for the matrix that is meant; where none is said, that of players."""
    guess = _BT709 if height >= 720 else _BT601
    return _SWSCALE.get(tags.matrix, _SWSCALE[guess])


def exact() -> int:
    """Flags of swscale for conversions whose rounding does not depend on the processor."""
    kind = pyav().video.reformatter.Interpolation
    flags = (kind.BICUBIC, kind.ACCURATE_RND, kind.BITEXACT, kind.FULL_CHR_H_INT)
    return sum(int(flag) for flag in (*flags, kind.FULL_CHR_H_INP))


def _tags(frame: VideoFrame) -> Tags:
    matrix, span = int(frame.colorspace), int(frame.color_range)
    if frame.format.name.startswith("yuvj"):
        span = _FULL
    if frame.format.is_rgb or frame.format.has_palette:
        matrix, span = _RGB, _FULL
    return Tags(int(frame.color_primaries), int(frame.color_trc), matrix, span)


def _bits(frame: VideoFrame) -> int:
    return max((part.bits for part in frame.format.components), default=8)


def _turn(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """How stored pixels become upright ones: transposed, then mirrored, then upside down.

    From the display matrix, which takes a pixel (x, y) to (a x + c y, b x + d y). Angles between
    quarter turns are not applied.
    """
    for side in frame.side_data:
        data = side if not isinstance(side, str) else None
        if data is None or data.type.name != "DISPLAYMATRIX":
            continue
        a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
        if abs(b) + abs(c) > abs(a) + abs(d):
            return True, c < 0, b < 0
        return False, a < 0, d < 0
    return False, False, False


def _film_is_shorter(clip: Clip, shown: Fraction) -> bool:
    """Whether the video stream itself claims no more: its sound may well go on without it."""
    with opened(clip.path) as container:
        stream = picture_stream(container, clip.path)
        if stream.duration is None or stream.time_base is None:
            return len(container.streams) > 1 and clip.kind in _BROADCAST
        whole = (stream.duration + (stream.start_time or 0) - clip.begins) * stream.time_base
        return whole - shown <= max(Fraction(VIDEO.cut_short), 2 / clip.rate)


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(".")
