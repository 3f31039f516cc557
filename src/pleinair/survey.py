"""A library looked through: which photos there are, where their paintings go, what is to be done.

Names of paintings are those that `tree` gives them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pleinair import storage, tree
from pleinair.errors import ImageError, OutputError, UsageError
from pleinair.manifest import Row


@dataclass(frozen=True)
class Found:
    """A photo in a listing, and what stands where its painting goes.

    mark, size: of the photo. output: of the painting, relative to the place of all of them.
    present: mark of what stands there, None where nothing does. beside: outputs by photo, of all
    photos in its folder.
    """

    photo: str
    mark: str
    size: int
    output: str
    present: str | None
    beside: Mapping[str, str] = field(repr=False)


def look_through(
    places: Sequence[str], out: str, painter: str, suffix: str | None, troubles: list[str]
) -> Iterator[Found]:
    """All photos of folders and addresses, folder by folder.

    painter: its name, which tells paintings from photos. suffix: of all paintings. troubles: gets
    a sentence for each folder that cannot be read. Raises UsageError, ImageError, OutputError.
    """
    for place, under in _roots(places, out).items():
        try:
            for here, seen in storage.store_of(place).walk(place, troubles):
                if _within(here, out) and _within(out, place):
                    continue
                known = _tellable(here, seen, troubles)
                yield from _folder(here, under + here[len(place) :], known, out, painter, suffix)
        except OSError as error:
            raise ImageError(
                f"{place} cannot be read ({storage.why(error)}); name a folder that is there, or "
                "see to the rights to it."
            ) from error


def is_done(found: Found, row: Row | None, settings: str) -> bool:
    """Whether a photo's painting is there, as it was left, and of the photo as it is.

    row: what the manifest knows of the painting. settings: what it is to be painted with.
    """
    if row is None or not row.painted or row.output_mark != found.present:
        return False
    known = (row.input, row.input_mark, row.settings)
    return known == (found.photo, found.mark, settings)


def check_free(found: Found, row: Row | None) -> None:
    """Raise OutputError where painting a photo would lose what somebody else made."""
    if found.present is None:
        return
    if row is None or row.output_mark is None:
        raise OutputError(f"{found.output} exists; remove it or add --force.")
    if row.output_mark != found.present:
        raise OutputError(
            f"{found.output} was changed since it was painted; remove it or add --force."
        )
    if row.input != found.photo and found.beside.get(row.input, found.output) == found.output:
        raise OutputError(
            f"{found.output} was painted from another photo, {row.input}; paint {found.photo} "
            "into another place or add --force."
        )


def _folder(
    here: str,
    under: str,
    seen: Mapping[str, storage.Seen],
    out: str,
    painter: str,
    suffix: str | None,
) -> Iterator[Found]:
    photos = [name for name in seen if not tree.is_painting(name, painter)]
    names = tree.painting_names(photos, suffix)
    prefix = under[len(out) + 1 :] + "/" if under != out else ""
    beside = {f"{here}/{photo}": prefix + name for photo, name in zip(photos, names, strict=True)}
    with storage.reaching(under):
        present = storage.store_of(out).listing(under) if photos else {}
    for photo, name in zip(photos, names, strict=True):
        place = f"{here}/{photo}"
        there = present.get(name)
        size, mark = seen[photo]
        yield Found(place, mark, size, beside[place], there.mark if there else None, beside)


def _tellable(
    here: str, seen: Mapping[str, storage.Seen], troubles: list[str]
) -> dict[str, storage.Seen]:
    """Photos whose names tables can hold, which is text; of the others a sentence each."""
    found = {}
    for name, one in seen.items():
        try:
            f"{here}/{name}".encode()
        except UnicodeEncodeError:
            troubles.append(
                f"{here}/{name} cannot be painted so, since its name is no UTF-8; rename it."
            )
        else:
            found[name] = one
    return found


def _roots(places: Sequence[str], out: str) -> dict[str, str]:
    """Each place's folder of paintings."""
    places = list(dict.fromkeys(places))
    roots = {place: f"{out}/{place.rpartition('/')[2]}" for place in places}
    if len(places) == 1:
        roots = {places[0]: out}
    real = {storage.real(place) for place in places}
    for under in [out, *roots.values()]:
        if storage.real(under) in real:
            raise UsageError(f"{under} holds the photos themselves; name another place with -o.")
    tree.check_apart(roots.values())
    return roots


def _within(place: str, folder: str) -> bool:
    return place == folder or place.startswith(f"{folder}/")
