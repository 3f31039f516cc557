"""The painters that a server has: those that ship and those of a folder, found anew on change."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pleinair import easel, files, hub
from pleinair.easel import Share
from pleinair.errors import PainterError, PleinairError
from pleinair.ledger import Mark, mark_of
from pleinair.painter import Painter
from pleinair.settings import (
    FOLDERS,
    PAINT,
    PAINT_OPTIONS,
    SERVE,
    WEIGHT_SUFFIXES,
    PaintOptions,
    ServeSettings,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Title:
    """What people are told of a painter.

    path: its file, mark: that file's size and time; None and None where a Painter was given.
    """

    name: str
    title: str
    about: str
    licence: str
    sha256: str
    default: bool = False
    path: Path | None = None
    mark: Mark | None = None


class Shelf:
    """Painters by name, loaded when they are asked for; safe to use from several threads.

    painter: the one that paints where none is named: a name, a file, a Painter, or a folder of
    painters, of which it is the first by name. folder: of more painters; one that has the name of
    a shipped one takes its place. A file that holds no painter is passed by, and told in the log.
    clock: seconds. Raises PainterError where there is no such painter or folder.
    """

    def __init__(
        self,
        painter: Painter | str | Path = PAINT.painter,
        folder: Path | None = None,
        options: PaintOptions = PAINT_OPTIONS,
        limits: ServeSettings = SERVE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options, self._limits, self._clock = options, limits, clock
        self._given = painter if isinstance(painter, Painter) else None
        self._file: Path | None = None
        self._name = ""
        alone = False  # whether the folder is all that was named
        if not isinstance(painter, Painter):
            given, folder = folder, self._take(painter, folder)
            alone = given is None and folder is not None
        if folder is not None and not folder.is_dir():
            raise PainterError(f"{folder} is no folder; name one that holds .onnx files.")
        self._folder = folder
        self._lock = threading.RLock()
        self._looked = float("-inf")
        self._known: dict[Path, tuple[Mark, Title | None]] = {}
        self._titles: dict[str, Title] = {}
        self._told: set[Path] = set()  # of what was passed by
        self._loaded: OrderedDict[tuple[Path, Mark | None, Share], Painter] = OrderedDict()
        self._look()
        mine = [one for one in self._titles.values() if one.path and one.path.parent == folder]
        if not self._titles or (alone and not mine):
            raise PainterError(f"{folder} holds no painter; put .onnx files into it.")
        if self._file is not None and self._name not in self._titles:
            Painter.load(self._file, threads=1)  # which says what is wrong with it

    def _take(self, painter: str | Path, folder: Path | None) -> Path | None:
        if not hub.knows(str(painter)) and _holds_painters(Path(painter)):
            if folder is not None and folder != Path(painter):
                raise PainterError(f"two folders of painters, {painter} and {folder}; give one.")
            return Path(painter)
        plain = folder is not None and Path(painter).name == str(painter)
        known = folder / f"{painter}.onnx" if folder is not None and plain else Path()
        if str(painter) in hub.names() or known.is_file():
            self._name = str(painter)
        else:
            self._file = hub.find(painter)
            self._name = self._file.stem
        return folder

    @property
    def given(self) -> bool:
        """Whether the painter came loaded, so that its threads are not ours to choose."""
        return self._given is not None

    def titles(self) -> list[Title]:
        """All painters there are now, the default one first, the others by name."""
        with self._lock:
            if self._clock() - self._looked >= self._limits.look_again_seconds:
                self._look()
            return sorted(self._titles.values(), key=lambda one: (not one.default, one.name))

    def find(self, name: str | None) -> Title:
        """The painter of this name, or the default one. Raises PainterError."""
        titles = self.titles()
        found = next((one for one in titles if name in (None, one.name)), None)
        if found is None:
            known = ", ".join(one.name for one in titles)
            raise PainterError(f"painter {str(name)[:80]!r} is unknown; use {known}.")
        return found

    def load(self, title: Title, share: Share) -> Painter:
        """A painter for a share of the machine. Raises PainterError where its file is gone."""
        if title.path is None:
            assert self._given is not None  # noqa: S101 -- only its title has no path
            return self._given
        key = title.path, title.mark, share
        with self._lock:
            if key not in self._loaded:
                self._loaded[key] = easel.load(
                    title.path, share.threads, self._options, share.shares, FOLDERS.bytes_ahead
                )
                ways = 2  # alone, and side by side
                while len(self._loaded) > ways * self._limits.painters_kept:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(key)
            return self._loaded[key]

    # --- looking ----------------------------------------------------------------------------

    def _look(self) -> None:
        self._looked = self._clock()
        # What is only known is not fetched because somebody asks over the web.
        paths = list(hub.at_hand().values())
        if self._folder is not None:
            paths += sorted(self._folder.glob("*.onnx"))
            self._pass_by(self._folder)
        if self._file is not None:
            paths.append(self._file)
        titles = {}
        for path in paths:
            title = self._title(path)
            if title is not None:
                titles[title.name] = title
        if self._given is not None:
            name = str(self._given.card.get("name") or PAINT.painter)
            titles[name] = _title_of(self._given, name, self._given.digest)
            self._name = name
        self._known = {path: known for path, known in self._known.items() if path in paths}
        self._loaded = OrderedDict(
            (key, painter)
            for key, painter in self._loaded.items()
            if key[:2] in {(one.path, one.mark) for one in titles.values()}
        )
        default = self._name if self._name in titles else self._first(titles)
        self._titles = {name: replace(one, default=name == default) for name, one in titles.items()}

    def _pass_by(self, folder: Path) -> None:
        """Tell, once each, of weights that would have to be converted at every start."""
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in WEIGHT_SUFFIXES and path not in self._told:
                self._told.add(path)
                _log.warning("passed by: %s; `pleinair import` makes an .onnx file of it", path)

    def _first(self, titles: dict[str, Title]) -> str:
        mine = [n for n, one in titles.items() if one.path and one.path.parent == self._folder]
        usual = titles.keys() & {PAINT.painter}
        return min(mine or usual or titles, default="")

    def _title(self, path: Path) -> Title | None:
        mark = mark_of(path)
        if mark is None:
            return None
        known = self._known.get(path)
        if known is None or known[0] != mark:
            try:
                painter = Painter.load(path, threads=1, device="cpu")
                found = _title_of(painter, path.stem, files.sha256_of(path))
                known = mark, replace(found, path=path, mark=mark)
            except (PleinairError, OSError) as error:
                _log.warning("passed by: %s", error)
                known = mark, None
            self._known[path] = known
        return known[1]


def _holds_painters(path: Path) -> bool:
    """Whether this is a folder to serve from, and not one that is a painter itself."""
    return path.is_dir() and (hub.held(path) is None or any(path.glob("*.onnx")))


def _title_of(painter: Painter, name: str, sha256: str) -> Title:
    return Title(name, *painter.words(name), sha256)
