"""Photos in files and folders, and where their paintings go."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pleinair import files, images
from pleinair.errors import OutputError, UsageError
from pleinair.painter import default_output
from pleinair.settings import PICTURE_SUFFIXES

LEDGER = ".pleinair.jsonl"
RECORDS = ".pleinair"  # the folder of what a cluster painted


@dataclass(frozen=True)
class Job:
    """A photo and the file of its painting.

    out: the folder whose ledger knows the painting, None where no ledger is kept. data: the
    photo's bytes where it is no file; `photo` is then what to call it.
    """

    photo: Path
    target: Path
    out: Path | None = None
    data: bytes | None = None


@dataclass
class Plan:
    """What is to be painted, in order; folders that cannot be, each with a sentence; paintings."""

    jobs: list[Job] = field(default_factory=list)
    troubles: dict[Path, str] = field(default_factory=dict)
    paintings: list[Path] = field(default_factory=list)


def plan(places: Iterable[Path], out: Path | None, painter: str, suffix: str | None = None) -> Plan:
    """The photos of files and folders, and a painting for each.

    A folder's tree is mirrored under `out`, that of one among several folders under `out` and its
    name; without `out` beside it in a folder of its own, `<name>.<painter>`. A file's painting
    keeps its name under `out`; without it, it is `default_output`. suffix: of all paintings.
    Hidden files and folders of paintings are passed by. Raises UsageError, OutputError.
    """
    places = list(places)
    folders = [place for place in places if place.is_dir()]
    roots = _roots(folders, out, painter)
    made = Plan()
    seen: set[str] = set()
    for place in places:
        root = roots.get(place)
        if root is not None and len(places) > 1 and (place / LEDGER).exists():
            made.paintings.append(place)  # `paint *` finds the folders of last time, too
        elif root is not None:
            _plan_folder(place, root, out, painter, suffix, made, seen)
        elif (name := files.absolute(place)) not in seen:
            seen.add(name)
            if out is None:
                made.jobs.append(Job(place, default_output(place, painter, suffix)))
            else:
                made.jobs.append(Job(place, out / painting_names([place.name], suffix)[0], out))
    return made


def is_painting(name: str, painter: str) -> bool:
    """Whether a file's name is one that paintings of this painter, or their sheets, are given."""
    path = Path(name)
    stem = path.stem.removesuffix(".sheet") if path.suffix == ".jpg" else path.stem
    return images.can_write(path) and stem.endswith(f".{painter}")


def painting_names(photos: list[str], suffix: str | None = None) -> list[str]:
    """Names for the paintings of photos in one folder, all different.

    A photo keeps its own where its type is the one to write. Otherwise the type is exchanged; the
    full name stays in front of it where another photo has the same stem.
    """
    own = [_keeps_type(Path(name), suffix) for name in photos]
    ending = suffix or ".jpg"
    taken = Counter(name.casefold() for name, keeps in zip(photos, own, strict=True) if keeps)
    short = [f"{Path(name).stem}{ending}" for name in photos]
    wanted = taken + Counter(
        name.casefold() for name, keeps in zip(short, own, strict=True) if not keeps
    )
    names = []
    for photo, keeps, name in zip(photos, own, short, strict=True):
        if keeps:
            names.append(photo)
            continue
        if wanted[name.casefold()] > 1:
            name = f"{photo}{ending}"
            while name.casefold() in taken:
                name += ending
            taken[name.casefold()] += 1
        names.append(name)
    return names


def walk(folder: Path, troubles: dict[Path, str]) -> Iterator[tuple[Path, list[str]]]:
    """(Folder, sorted names of the picture files in it), depth first, for all that hold some.

    Every real folder is entered once: links that lead back into the tree are passed by, and so
    are hidden names and folders that hold a record of paintings. Folders that cannot be read are
    added to `troubles`.
    """
    top = os.path.realpath(folder)
    entered = {top}
    pending = [folder]
    while pending:
        here = pending.pop()
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError as error:
            troubles[here] = f"{here} cannot be read ({error.strerror}); check its permissions."
            continue
        entries = [entry for entry in entries if not entry.name.startswith(".")]
        names = [entry.name for entry in entries if _is_picture(entry)]
        if names:
            yield here, names
        below = []
        for entry in entries:
            if not _is_folder(entry):
                continue
            real = os.path.realpath(entry.path)
            if real in entered or (entry.is_symlink() and is_within(real, top)):
                continue
            entered.add(real)
            if not any(os.path.lexists(here / entry.name / name) for name in (LEDGER, RECORDS)):
                below.append(here / entry.name)
        pending += reversed(below)


def is_within(path: str, folder: str) -> bool:
    """Whether a real path is a folder's, or that of something in it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _plan_folder(
    folder: Path,
    root: Path,
    out: Path | None,
    painter: str,
    suffix: str | None,
    made: Plan,
    seen: set[str],
) -> None:
    out = out or root
    paintings = os.path.realpath(out)
    within = is_within(paintings, os.path.realpath(folder))
    for here, names in walk(folder, made.troubles):
        if within and is_within(os.path.realpath(here), paintings):
            continue
        photos = []
        for name in names:
            if is_painting(name, painter):
                made.paintings.append(here / name)
            else:
                photos.append(name)
        under = root / here.relative_to(folder)
        for name, painting in zip(photos, painting_names(photos, suffix), strict=True):
            photo = here / name
            if (known := files.absolute(photo)) not in seen:
                seen.add(known)
                made.jobs.append(Job(photo, under / painting, out))


def _roots(folders: list[Path], out: Path | None, painter: str) -> dict[Path, Path]:
    """Each folder's place for its paintings."""
    roots: dict[Path, Path] = {}
    for folder in dict.fromkeys(folders):
        name = folder.name if folder.name not in ("", "..") else folder.resolve().name
        if out is None:
            if not name:
                raise UsageError(f"{folder} has no folder beside it; name one with -o.")
            place = folder.resolve() if folder.name in ("", "..") else folder
            roots[folder] = place.with_name(f"{name}.{painter}")
        else:
            roots[folder] = out if len(set(folders)) == 1 else out / (name or "root")
        if roots[folder].exists() and not roots[folder].is_dir():
            raise OutputError(f"{roots[folder]} is a file; name a folder with -o.")
        if os.path.realpath(roots[folder]) == os.path.realpath(folder):
            raise UsageError(f"{folder} holds the photos themselves; name another folder with -o.")
    check_apart(roots.values())
    return roots


def check_apart(roots: Collection[object]) -> None:
    """Raise UsageError where photos of several places would go into one place of paintings."""
    if len(set(roots)) < len(roots):
        raise UsageError(
            "two folders of one name would be painted into one; paint them one after the other, "
            "each with its own -o."
        )


def _keeps_type(photo: Path, suffix: str | None) -> bool:
    if not images.can_write(photo):
        return False
    return suffix is None or images.kind_for(photo) == images.kind_for(Path(f"x{suffix}"))


def _is_picture(entry: os.DirEntry[str]) -> bool:
    if Path(entry.name).suffix.lower() not in PICTURE_SUFFIXES:
        return False
    try:
        return entry.is_file()
    except OSError:
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
