"""SavedModel folders and checkpoints of TensorFlow 2, without TensorFlow.

Both keep weights in a tensor bundle, and in it, as a string, what object has which: the message
TrackableObjectGraph of trackable_object_graph.proto. A SavedModel has beside it saved_model.pb,
whose message SavedObjectGraph (saved_object_graph.proto) or whose neighbour keras_metadata.pb
(Keras 2.5 and later: saved_metadata.proto of tf-keras) holds configurations of Keras models. All in
https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core/protobuf;
https://www.tensorflow.org/guide/checkpoint and /guide/saved_model explain them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pleinair import protobuf
from pleinair.errors import PainterError
from pleinair.foreign import Found, keras_config, objects, table
from pleinair.foreign.bundle import Bundle
from pleinair.foreign.keras_config import Facts
from pleinair.foreign.tutorial import found

_DATA = re.compile(r"(.+)\.data-\d{5}-of-\d{5}")
_LATEST = re.compile(r'^model_checkpoint_path: "((?:[^"\\]|\\.)*)"', re.MULTILINE)
_MAX_TEXT = 2**20  # bytes of a `checkpoint` file
_MAX_DESCRIPTION = 2**30  # bytes of saved_model.pb


def knows(path: Path, head: bytes) -> bool:
    """Whether this is a SavedModel, a checkpoint, a folder of them, or one of their files."""
    if path.is_dir():
        return _in_folder(path) is not None
    if path.name in ("saved_model.pb", "checkpoint"):
        return _in_folder(path.parent) is not None
    if _DATA.fullmatch(path.name):
        return True
    if path.suffix == ".index" and head:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - 8))
            return table.is_table(file.read()) or _DATA.fullmatch(_first_data(path)) is not None
    return not head and _index(path).is_file()


def read(path: Path) -> list[Found]:
    """All generators in it. Raises PainterError, MissingExtraError."""
    prefix = _prefix(path)
    bundle = Bundle(prefix)
    root = objects.tree(bundle, str(prefix))
    model = prefix.parent.parent if prefix.parent.name == "variables" else prefix.parent
    saved = (model / "saved_model.pb").is_file()
    facts = _facts(model) if saved else Facts()
    kind = "TensorFlow SavedModel" if saved else "TensorFlow checkpoint"
    return found(root, facts, model if saved else prefix, kind)


def _prefix(path: Path) -> Path:
    """What the names of a checkpoint's files begin with. Raises PainterError."""
    if path.is_dir() or path.name in ("saved_model.pb", "checkpoint"):
        folder = path if path.is_dir() else path.parent
        prefix = _in_folder(folder)
        if prefix is None:
            raise PainterError(f"{folder} holds no checkpoint; give the folder with its .index.")
        return prefix
    data = _DATA.fullmatch(path.name)
    if data:
        return path.with_name(data[1])
    return path.with_suffix("") if path.suffix == ".index" else path


def _in_folder(folder: Path) -> Path | None:
    """A SavedModel's or the only or latest checkpoint's prefix."""
    for variables in (folder / "variables" / "variables", folder / "variables"):
        if _index(variables).is_file() or (folder / "saved_model.pb").is_file():
            return variables
    latest = _latest(folder / "checkpoint")
    if latest is not None:
        return latest
    only = list(folder.glob("*.index"))
    return only[0].with_suffix("") if len(only) == 1 else None


def _latest(file: Path) -> Path | None:
    """The checkpoint that a `checkpoint` file names, in the file's own folder."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_MAX_TEXT).decode("utf-8", "replace")
    except OSError:
        return None
    named = _LATEST.search(text)
    # Paths of the machine that wrote it lead nowhere, or somewhere else, on this one.
    name = re.split(r"[/\\]", named[1])[-1] if named else ""
    return file.parent / name if name and _index(file.parent / name).is_file() else None


def _index(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".index")


def _first_data(index: Path) -> str:
    return next((one.name for one in index.parent.glob(f"{index.stem}.data-*-of-*")), "")


# --- configurations -------------------------------------------------------------------------


def _facts(folder: Path) -> Facts:
    """What the configurations of a SavedModel say of its U-Nets."""
    metadata = folder / "keras_metadata.pb"
    file = metadata if metadata.is_file() else folder / "saved_model.pb"
    try:
        if file.stat().st_size > _MAX_DESCRIPTION:
            raise PainterError(
                f"{file} has more than {_MAX_DESCRIPTION:,} bytes, far more than a description "
                "of networks; get a whole copy."
            )
        view = memoryview(file.read_bytes())
        texts = list(_nodes(view) if file is metadata else _objects(view))
        return keras_config.facts([keras_config.parse(text) for text in texts if text])
    except OSError as error:
        raise PainterError(f"{file} cannot be read ({error.strerror or error}).") from error
    except (ValueError, IndexError) as error:
        raise PainterError(
            f"{file} is damaged or cut short ({error}); get a whole copy."
        ) from error


def _nodes(view: memoryview) -> Iterator[str]:
    """Configurations of the message SavedMetadata: field 5 of each of its nodes."""
    for node in protobuf.messages(view, 1):
        yield protobuf.text(node, 5)


def _objects(view: memoryview) -> Iterator[str]:
    """Configurations of the message SavedModel, as Keras wrote them before 2.5.

    They are in its graphs (2), their objects (7), of these the nodes (1), of these what is of users
    (4), there the metadata (3).
    """
    for graph in protobuf.messages(view, 2):
        for described in protobuf.messages(graph, 7):
            for node in protobuf.messages(described, 1):
                for user in protobuf.messages(node, 4):
                    text = protobuf.text(user, 3)
                    if text.startswith("{"):
                        yield text
