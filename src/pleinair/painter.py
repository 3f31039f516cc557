"""A photo of any size and kind to a painting of the same size and kind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from pleinair import (
    brushwork,
    converting,
    files,
    hub,
    images,
    memory,
    nameplate,
    parsing,
    runtime,
    strangers,
)
from pleinair.brushwork import Adjust, Brushwork, Told
from pleinair.config import (
    AnySpec,
    FeatureSpec,
    LightSpec,
    PainterSpec,
    PatchSpec,
    Spec,
    UNetSpec,
)
from pleinair.errors import OutputError, PainterError, RecipeError
from pleinair.images import Picture
from pleinair.nameplate import Words
from pleinair.ranges import Values
from pleinair.recipes import spec_from_text
from pleinair.runtime import Engine, Measuring
from pleinair.settings import LOOK, PAINT, PIXEL_CONTRACT, Look

if TYPE_CHECKING:
    from pleinair.images import Animation

Photo = TypeVar("Photo", bound=Any)


class Painter:
    """An engine with what it needs to paint a whole photo.

    engine: float32 (1, 3, H, W) in [-1, 1] to the same, H and W multiples of those of `spec`. One
    that is `runtime.Measuring`, too, paints photos of any size in tiles that cannot be seen.
    card: what the painter's file says of it. memory: bytes that the process may take; None: what
    is free, up to PAINT.memory.
    """

    def __init__(
        self,
        engine: Engine,
        spec: PainterSpec | None = None,
        card: dict[str, Any] | None = None,
        memory: int | None = None,
    ) -> None:
        self.engine = engine
        self.spec: PainterSpec = spec or LightSpec()
        self.card = card or {}
        self.memory = memory

    @classmethod
    def load(
        cls,
        name_or_path: str | Path = PAINT.painter,
        threads: int = 0,
        *,
        memory: int | None = None,
        device: str = "auto",
        network: str | None = None,
        values: Values | None = None,
    ) -> Painter:
        """The painter of this name, or of this file or folder, whoever wrote it.

        An .onnx file is opened as it is; Keras', TensorFlow's and PyTorch's weights are converted
        in memory, which `pleinair import` does once and for all. threads: 0 takes every core.
        device: one of `runtime.devices()`; auto: the fastest at hand. network: which of several in
        a file. values: that an .onnx file of others takes and gives; None: found out by trying.
        Raises PainterError where there is none or the file is not a painter, MissingExtraError.
        """
        path = hub.find(name_or_path)
        data = converting.painter_bytes(path, network)
        return cls.opened(data, str(path), threads, memory=memory, device=device, values=values)

    @classmethod
    def opened(
        cls,
        data: bytes,
        name: str,
        threads: int = 0,
        *,
        memory: int | None = None,
        device: str = "auto",
        values: Values | None = None,
    ) -> Painter:
        """The painter in the bytes of an .onnx file of this name; see `load`."""
        engine, metadata = runtime.opened(data, name, threads, device)
        spec: Spec | AnySpec
        try:
            card = parsing.object_of(metadata.get("card", "{}"))
            if "spec" not in metadata:
                imported = metadata.get("pixels") == PIXEL_CONTRACT
                stranger = strangers.known(engine, name, "-1..1" if imported else values)
                return cls(stranger, stranger.spec, card, memory)
            spec = spec_from_text(metadata["spec"])
        except (KeyError, ValueError, RecipeError) as error:
            raise PainterError(
                f"{name} does not say rightly which network it holds; give a file that "
                "`pleinair export` wrote."
            ) from error
        if values is not None:
            raise PainterError(f"{name} says itself which values it takes; leave them out.")
        if isinstance(spec, PatchSpec | FeatureSpec):
            raise PainterError(f"{name} holds a discriminator; give a file of a painter.")
        return cls(engine, spec, card, memory)

    @property
    def digest(self) -> str:
        """What this painter is known by: SHA-256 of its card and its network's spec."""
        known = json.dumps([repr(self.spec), self.card], sort_keys=True, default=str)
        return hashlib.sha256(known.encode()).hexdigest()

    def words(self, name: str) -> Words:
        """What people are told of it, by its card or by the name of its file."""
        return nameplate.words(self.card, name)

    def caveat(self, height: int, width: int) -> str:
        """What to tell of a photo of this size before it is painted; empty where all is well."""
        allowed, held = memory.allowed(self.memory), height * width * 3
        size = f"a photo of {width}x{height}"
        if isinstance(self.engine, Measuring) or isinstance(self.spec, UNetSpec):
            return ""
        most = brushwork.pixels_at_once(self.spec, allowed - PAINT.base_bytes - 2 * held)
        patch = brushwork.patch_of(self.spec, height, width, most)
        if patch is None:
            return ""
        parts = f"{patch.wide}x{patch.tall}"
        if isinstance(self.spec, AnySpec) and self.spec.height:
            return f"this painter's file takes {parts} pixels; {size} is painted in such parts."
        return (
            f"this painter's file takes no statistics, so {size} is painted in parts of {parts} "
            "to keep within the memory; more of it (--memory) makes them larger."
        )

    def paint(
        self,
        photo: Photo,
        *,
        out: str | Path | None = None,
        force: bool = False,
        look: Look = LOOK,
    ) -> Photo:
        """Paint a photo and return the kind that was given, in its size.

        photo: a uint8 or uint16 array (H, W, 3 or 4) or (H, W), a PIL image, the bytes of a
        picture file, or a path; of an animation every frame is painted. An array comes back as
        RGB, with its alpha if it had one; bytes in the same file format where it can be written,
        else as PNG; a path is painted to `out`, by default `<name>.monet.jpg` beside it (.png of
        a PNG, and so on), whose path is returned.
        look: brush, strength, colours and layers. A photo is painted in layers, each over the one
        before at about twice its size, so that strokes of all sizes meet; by default once where
        the longer side has up to 724 pixels and once more for each doubling, and always once with
        `unet` and `resnet`.
        Raises ImageError for what is no picture, OutputError where `out` exists and not `force`,
        UsageError for a look beyond its limits.
        """
        result: Any
        match photo:
            case str() | Path():
                source = Path(photo)
                target = Path(out) if out is not None else default_output(source)
                check_target(target, source, force)
                images.write_any(self.paint_any(images.read_any(source), look), target)
                result = type(photo)(target)
            case bytes():
                kind = images.format_of(photo)
                result = images.encode_any(self.paint_any(images.read_any(photo), look), kind)
            case _ if images.is_pil(photo):
                result = images.to_pil(self.paint_picture(images.from_pil(photo), look))
            case np.ndarray():
                result = images.to_array(self.paint_picture(images.from_array(photo), look))
            case _:
                raise TypeError(
                    f"{type(photo).__name__} found; give a path, bytes, a PIL image or an array."
                )
        return result  # type: ignore[no-any-return]

    def paint_picture(
        self, picture: Picture, look: Look = LOOK, told: Told | None = None
    ) -> Picture:
        """Paint a Picture: same size, depth, alpha and metadata. told: hears the part done."""
        painted = self.paint_pixels(images.for_painting(picture), look, told=told)
        return images.finished(picture, painted)

    def paint_animation(
        self, animation: Animation, look: Look = LOOK, told: Told | None = None
    ) -> Animation:
        """Paint every frame of an animation, each when it is asked for; times are kept.

        Frames that resemble each other are painted with the same statistics, so that what stands
        still does not flicker.
        """
        adjust = brushwork.kept_statistics()

        def frames() -> Iterator[tuple[Picture, float]]:
            for number, (picture, duration) in enumerate(animation.frames):
                pixels = self.paint_pixels(images.for_painting(picture), look, adjust)
                if told:
                    told((number + 1) / animation.count)
                yield images.finished(picture, pixels), duration

        return replace(animation, frames=frames())

    @overload
    def paint_any(self, shown: Picture, look: Look = ..., told: Told | None = ...) -> Picture: ...

    @overload
    def paint_any(
        self, shown: Animation, look: Look = ..., told: Told | None = ...
    ) -> Animation: ...

    def paint_any(
        self, shown: Picture | Animation, look: Look = LOOK, told: Told | None = None
    ) -> Picture | Animation:
        """`paint_picture` or `paint_animation`."""
        if isinstance(shown, Picture):
            return self.paint_picture(shown, look, told)
        return self.paint_animation(shown, look, told)

    def paint_pixels(
        self,
        pixels: NDArray[Any],
        look: Look = LOOK,
        adjust: Adjust | None = None,
        told: Told | None = None,
    ) -> NDArray[Any]:
        """Paint uint8 or uint16 (H, W, 3): the same shape and depth.

        adjust: from a layer's number, and a function that measures its statistics, to those to
        paint it with, for pictures that belong together, as frames of a film do. Measuring takes
        about as long as painting; an array given again costs nothing, another one 20 to 40 ms.
        Raises UsageError.
        """
        brushwork.check_look(look)
        work = Brushwork(self.engine, self.spec, memory.allowed(self.memory))
        return work.paint(pixels, look, adjust, told)


def default_output(photo: Path, painter: str = PAINT.painter, suffix: str | None = None) -> Path:
    """`<name>.<painter>.<type>` beside the photo: of its own type where it can be written.

    suffix: of the type to write in place of the photo's own, as .png.
    """
    suffix = suffix or (photo.suffix if images.can_write(photo) else ".jpg")
    return photo.parent / f"{photo.stem or 'photo'}.{painter}{suffix}"


def check_target(target: Path, source: Path, force: bool) -> None:
    """Raise OutputError where writing `target` would lose something or cannot work."""
    images.check_output(target)
    files.check_free(target, force=True)
    if target.exists() and source.exists() and target.samefile(source):
        raise OutputError(f"{target} is the photo itself; name another file with -o.")
    files.check_free(target, force)
