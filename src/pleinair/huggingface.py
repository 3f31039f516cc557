"""Painters in repositories of the Hugging Face Hub: the only room that knows huggingface_hub.

Its own settings hold: HF_ENDPOINT, HF_HUB_OFFLINE, and the token of who has logged in.
"""

from __future__ import annotations

import contextlib
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pleinair.download import Progress, offline
from pleinair.errors import MissingExtraError, PainterError
from pleinair.registry import plain

# What a painter's file may be called, the most welcome first.
_KINDS = (".onnx", ".safetensors", ".pth", ".pt", ".keras", ".h5")
_COPY = ", or add a copy that you have: `pleinair painters add NAME FILE`"
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


@dataclass(frozen=True)
class Address:
    """hf://owner/name[@revision][/path/of/file]; a slash in a revision is written %2F."""

    repository: str  # owner/name
    revision: str | None = None
    file: str | None = None


@dataclass(frozen=True)
class Remote:
    """A painter's file in a repository, as it was at one commit."""

    repository: str
    commit: str
    file: str
    size: int | None
    sha256: str | None  # of large files the Hub knows it
    licence: str


def address(text: str) -> Address:
    """Parse an address. Raises PainterError."""
    owner, _, rest = text.removeprefix("hf://").partition("/")
    name, _, file = rest.partition("/")
    name, at, revision = name.partition("@")
    good = text.startswith("hf://") and all(_PART.fullmatch(part) for part in (owner, name))
    parts = PurePosixPath(file).parts
    if not good or (at and not revision) or ".." in parts or file.startswith("/"):
        raise PainterError(
            f"{text[:200]!r} is no address at the Hugging Face Hub; give hf://owner/name, and if "
            "need be @revision and /file."
        )
    return Address(f"{owner}/{name}", urllib.parse.unquote(revision) or None, file or None)


def resolve(wanted: Address, commit: str | None = None) -> Remote:
    """Which file is meant, at which commit. commit: what was found before, to stay with it.

    Raises PainterError, MissingExtraError.
    """
    hub = _hub()
    with _asking(f"hf://{wanted.repository}", _COPY):
        info = hub.HfApi().model_info(
            wanted.repository, revision=commit or wanted.revision, files_metadata=True
        )
    siblings = {one.rfilename: one for one in info.siblings or []}
    file = wanted.file or _painter_of(list(siblings), wanted)
    # A name becomes that of a file here.
    if file not in siblings or ".." in PurePosixPath(file).parts or file.startswith("/"):
        raise PainterError(f"hf://{wanted.repository} has no file {file!r}; check its name.")
    found = siblings[file]
    licence = (info.card_data or {}).get("license") if info.card_data else ""
    return Remote(
        wanted.repository,
        str(info.sha),
        file,
        found.size,
        found.lfs.sha256 if found.lfs else None,
        plain(", ".join(licence) if isinstance(licence, list) else str(licence or "")),
    )


def _painter_of(names: list[str], wanted: Address) -> str:
    """The one file of a repository that is a painter's, of the kind that is most welcome."""
    stem = wanted.repository.partition("/")[2]
    for kind in _KINDS:
        found = [name for name in names if name.lower().endswith(kind)]
        if len(found) > 1:
            named = (f"{stem}{kind}", f"painter{kind}", f"model{kind}")
            found = [name for name in found if name in named] or found
        if len(found) == 1:
            return found[0]
        if found:
            raise PainterError(
                f"hf://{wanted.repository} holds {', '.join(sorted(found)[:6])}; add the name of "
                "one to the address."
            )
    raise PainterError(
        f"hf://{wanted.repository} holds no painter; it would be a file of {', '.join(_KINDS)}."
    )


def download(remote: Remote, folder: Path, progress: Progress) -> Path:
    """The file, in a folder of its own; a broken download goes on there. Raises PainterError."""
    hub = _hub()

    class Bar(hub.utils.tqdm):  # type: ignore[name-defined,misc]
        """Tells what it is told, and draws nothing."""

        def __init__(self, *args: Any, **settings: Any) -> None:
            super().__init__(*args, **{**settings, "disable": True})

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            progress("downloading", int(self.n), int(self.total) if self.total else None)

    with _asking(f"hf://{remote.repository}", _COPY):
        found = hub.hf_hub_download(
            remote.repository,
            remote.file,
            revision=remote.commit,
            local_dir=folder,
            tqdm_class=Bar,
        )
    return Path(found)


def upload(repository: str, contents: Mapping[str, bytes], force: bool, private: bool) -> str:
    """Put files into a repository in one commit, making it if need be; the commit's address.

    Raises PainterError where one of them is there already and not `force`, or the Hub refuses.
    """
    hub = _hub()
    api = hub.HfApi()
    with _asking(f"hf://{repository}"):
        api.create_repo(repository, exist_ok=True, private=private or None)
        there = set(api.list_repo_files(repository))
    # The Hub writes .gitattributes itself.
    taken = sorted(there & set(contents))
    if taken and not force:
        raise PainterError(
            f"hf://{repository} has {', '.join(taken)} already; add --force to replace them."
        )
    with _asking(f"hf://{repository}"):
        done = api.create_commit(
            repository,
            [hub.CommitOperationAdd(name, data) for name, data in contents.items()],
            commit_message="A painter, by pleinair publish",
        )
    return str(done.commit_url)


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtraError("hf:// needs pip install 'pleinair[hub]'.") from error
    return huggingface_hub


@contextlib.contextmanager
def _asking(what: str, instead: str = "") -> Iterator[None]:
    """Turn whatever the Hub, its library or the network says into one sentence.

    instead: what else to do where nobody answers.
    """
    from huggingface_hub import errors

    if offline():
        raise PainterError(f"PLEINAIR_OFFLINE is set, so that {what} is not asked for; unset it.")
    try:
        yield
    except errors.OfflineModeIsEnabled as error:
        raise PainterError(f"HF_HUB_OFFLINE is set and {what} is wanted; unset it.") from error
    except errors.GatedRepoError as error:
        raise PainterError(
            f"{what} is given to those who accept its terms; do so on its page, then run "
            "`hf auth login`."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise PainterError(
            f"{what} is not there, or not for you; check its name, or `hf auth login` first."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise PainterError(f"{what} has no such revision; check what follows the @.") from error
    except errors.EntryNotFoundError as error:
        raise PainterError(f"{what} has no such file at that revision; check its name.") from error
    except Exception as error:  # of the network, of httpx: they have no common root but this
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise PainterError(
            f"{what} does not answer ({reason}); try again later{instead}."
        ) from error
