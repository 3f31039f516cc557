"""What requests may say and answers do: the words of the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from pleinair import images
from pleinair.orders import Order
from pleinair.settings import LOOK, PAINT, PICTURE_SUFFIXES

# By Pillow's names of formats.
TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "TIFF": "image/tiff",
    "HEIF": "image/heic",
    "BMP": "image/bmp",
    "GIF": "image/gif",
}


def _plain_bool(value: object) -> object:
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("give true or false")
    return value


class Wishes(BaseModel):
    """How a photo is to be painted, as fields of a query or of a form."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    painter: str | SkipJsonSchema[None] = Field(
        None, description="Name of a painter; by default the default one."
    )
    brush: float = Field(
        LOOK.brush,
        ge=PAINT.least_brush,
        le=PAINT.most_brush,
        description="How large strokes are, relative to those that the painter learned.",
    )
    strength: float = Field(
        LOOK.strength,
        ge=0,
        le=PAINT.most_strength,
        description="0 is the photo, 1 the painting, up to 1.5 beyond it.",
    )
    colors: Literal["painter", "photo"] = Field(LOOK.colors, description="Whose colours.")
    layers: Annotated[int, Field(ge=1, le=PAINT.max_layers)] | SkipJsonSchema[None] = Field(
        None,
        description="How many times to paint, each with strokes half as large; else by the size.",
    )
    side: Annotated[int, Field(ge=16, le=65_535)] | SkipJsonSchema[None] = Field(
        None,
        description="Shrink the photo first, to so many pixels on its longest side.",
    )
    format: (
        Literal["jpeg", "jpg", "png", "webp", "avif", "tiff", "tif", "gif", "bmp", "heic"]
        | SkipJsonSchema[None]
    ) = Field(None, description="Type of the painting; by default the photo's own.")
    quality: Annotated[int, Field(ge=1, le=100)] | SkipJsonSchema[None] = Field(
        None, description="Of JPEG, WebP, AVIF and HEIC; else as the photo's."
    )
    strip_metadata: Annotated[bool, BeforeValidator(_plain_bool)] = Field(
        False, description="Leave out what the photo says of camera, time and place."
    )
    name: Annotated[str, Field(max_length=255)] | SkipJsonSchema[None] = Field(
        None, description="Name of the photo's file, where it is the body; a form's has its own."
    )


class Problem(BaseModel):
    """Why there is nothing else in the answer."""

    detail: str = Field(description="One sentence: what was found, expected, and to do.")


class Job(BaseModel):
    """A photo that is to be painted, and how far it is."""

    id: str
    state: Literal["waiting", "painting", "done", "failed"]
    progress: float = Field(ge=0, le=1)
    ahead: int = Field(ge=0, description="Photos that are painted before this one.")
    seconds_left: float | None
    error: str | None
    name: str = Field(description="Of the painting's file.")
    width: int
    height: int
    seconds: float | None = Field(description="That reading, painting and encoding took.")
    image: str | None = Field(description="Where the painting is, once it is done.")


class PainterTitle(BaseModel):
    """A painter."""

    name: str
    title: str
    about: str
    default: bool
    licence: str
    sha256: str


class Limits(BaseModel):
    """What the server takes."""

    bytes: int = Field(description="Of a photo's file.")
    pixels: int = Field(description="Of a photo; of an animation, of all frames together.")
    seconds: float = Field(description="That painting may take.")
    queue: int = Field(description="Photos that may wait.")
    accept: str = Field(description="Types of pictures, as a file input takes them.")


class Health(BaseModel):
    """That all is well."""

    status: Literal["ok", "ready"]


def accept() -> str:
    """Types of pictures that are read, as an <input type=file> takes them."""
    found = [*TYPES.values(), *sorted(PICTURE_SUFFIXES)]
    if images.suffix_for("HEIF") == ".jpg":  # those are neither read nor written
        found = [one for one in found if one not in ("image/heic", ".heic", ".heif", ".hif")]
    return ",".join(found)


def disposition(name: str) -> str:
    """Content-Disposition of a file to save under a name (RFC 6266, RFC 8187)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def picture_headers(order: Order) -> dict[str, str]:
    """Headers of a painting."""
    return {
        "content-disposition": disposition(order.ask.name),
        "pleinair-width": str(order.painted[0]),
        "pleinair-height": str(order.painted[1]),
        "pleinair-seconds": f"{order.seconds:.3f}",
    }


# --- the document -----------------------------------------------------------------------------

_SENTENCES = {
    400: "The request is malformed, or asks for a host that the server is not.",
    401: "The key is missing or wrong.",
    403: "A page of another site may not do this.",
    404: "There is no such painting.",
    408: "The body came too slowly.",
    409: "The painting is not done.",
    413: "The photo has too many bytes or pixels.",
    415: "That is no picture that can be read.",
    422: "A setting is out of its range, or the picture is damaged.",
    429: "All places are taken; try again after Retry-After seconds.",
    503: "The server is stopping or not ready, or painting took too long.",
}
_RETRY = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
_BINARY = {"type": "string", "format": "binary"}
PICTURES: dict[str, Any] = {kind: {"schema": _BINARY} for kind in TYPES.values()}
PICTURE_HEADERS: dict[str, Any] = {
    "Content-Disposition": {"schema": {"type": "string"}},
    "Pleinair-Width": {"description": "Pixels.", "schema": {"type": "integer"}},
    "Pleinair-Height": {"description": "Pixels.", "schema": {"type": "integer"}},
    "Pleinair-Seconds": {
        "description": "That reading, painting and encoding took.",
        "schema": {"type": "number"},
    },
}
PICTURE: dict[str, Any] = {
    "description": "The painting.",
    "content": PICTURES,
    "headers": PICTURE_HEADERS,
}
JOB_HEADERS: dict[str, Any] = {
    "Location": {"description": "Of the job.", "schema": {"type": "string"}},
    **_RETRY,
}
JOB_LINKS: dict[str, Any] = {
    name: {"operationId": name, "parameters": {"id": "$response.body#/id"}}
    for name in ("job", "image", "forget")
}


def problems(statuses: Iterable[int]) -> dict[int | str, dict[str, Any]]:
    """Answers of these statuses for the document."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        found[status] = {"model": Problem, "description": _SENTENCES[status]}
        if status == 429:
            found[status]["headers"] = _RETRY
    return found


def body(painters: list[str], with_wishes: bool) -> dict[str, Any]:
    """The body that a photo comes in: a form or the file itself."""
    properties: dict[str, Any] = {"photo": _BINARY | {"description": "The photo's file."}}
    if with_wishes:
        properties |= wishes(painters)
        properties.pop("name")  # a form's file has its own
    form = {
        "type": "object",
        "required": ["photo"],
        "properties": properties,
        "additionalProperties": False,
    }
    kinds = [*TYPES.values(), "application/octet-stream"]
    content = {"multipart/form-data": {"schema": form}, **{k: {"schema": _BINARY} for k in kinds}}
    return {"required": True, "content": content}


def wishes(painters: list[str]) -> dict[str, Any]:
    """The schema of each wish, with the painters there are."""
    found: dict[str, Any] = Wishes.model_json_schema()["properties"]
    found["painter"] |= {"enum": painters}
    return found
