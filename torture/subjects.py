"""The commands that are tried: what they read, what they are given, what is to come of it."""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from tests.conftest import picture
from tests.painters import SPECS, painter_of
from tests.test_training import TINY
from tests.test_video import clip, moving

from pleinair import checkpoint, files, graphs, registry, weights
from torture import wholeness
from torture.place import Ended, Place

PHOTOS = 40
FRAMES = 140  # two pieces and a rest
STEPS = 40
WATER = "/water.onnx"  # of the painter that is fetched, on a server of the suite's own


def make_inputs(folder: Path) -> None:
    """All that any of the commands reads."""
    folder.mkdir()
    painter = painter_of(SPECS["light"])
    weights.save(painter, folder / "tiny.safetensors")
    (folder / "tiny.onnx").write_bytes(graphs.painter(painter))
    for name, count, size in (
        ("photos", PHOTOS, (48, 64)),
        ("training-photos", 6, (40, 48)),
        ("training-paintings", 6, (48, 40)),
        ("scored-photos", 8, (64, 64)),
        ("scored-paintings", 8, (64, 64)),
    ):
        (folder / name / "more").mkdir(parents=True)
        for number in range(count):
            place = folder / name if number % 3 else folder / name / "more"
            seed = number + 100 * len(name)
            Image.fromarray(picture(*size, seed=seed)).save(place / f"{number:02}.png")
    Image.fromarray(picture(700, 900)).save(folder / "photo.png")
    steps = [512 * number for number in range(FRAMES)]
    clip(folder / "clip.mp4", steps, lambda number: moving(number % 25), options={"crf": "20"})
    (folder / "tiny.toml").write_text(TINY, encoding="utf-8")


class Subject(ABC):
    """A command."""

    name: ClassVar[str]
    sweeps: ClassVar[bool] = True  # the next run takes away hidden parts that a killed one left
    exact: ClassVar[bool] = True  # a file in its place has its last content, or that from before
    goes_on: ClassVar[bool] = False  # works without what it cannot write, and says so
    once: ClassVar[bool] = False  # refuses to write over what it has written

    def before(self, place: Place) -> None:
        """What the user has where results go."""
        place.out.mkdir(parents=True, exist_ok=True)
        (place.out / "notes.txt").write_text("mine\n", encoding="utf-8")

    @abstractmethod
    def words(self, place: Place) -> list[str]:
        """What a user types now, for the first time or again."""

    def own(self, place: Place) -> dict[str, str]:  # noqa: ARG002
        """What stands in the environment."""
        return {}

    def files(self, place: Place) -> dict[str, str]:
        """Digests of what lies where results go, work files aside."""
        return wholeness.digests(place.out)

    def result(self, place: Place, ended: Ended) -> dict[str, str]:  # noqa: ARG002
        """What came of it, by name: the same in every trial."""
        return self.files(place)


class Paint(Subject):
    """One photo, over a painting that is there."""

    name = "paint"
    sweeps = False

    def before(self, place: Place) -> None:
        super().before(place)
        Image.fromarray(picture(30, 40, 5)).save(place.out / "photo.png")

    def words(self, place: Place) -> list[str]:
        painter = str(place.inputs / "tiny.onnx")
        target = str(place.out / "photo.png")
        words = ["paint", str(place.inputs / "photo.png"), "-o", target, "--force"]
        return [*words, "--painter", painter]


class Folder(Subject):
    """A tree of photos."""

    name = "folder"

    def words(self, place: Place) -> list[str]:
        painter = str(place.inputs / "tiny.onnx")
        return ["paint", str(place.inputs / "photos"), "-o", str(place.out), "--painter", painter]


class Video(Subject):
    """A clip with sound; to VP9, for x264 does not write the same film twice."""

    name = "video"
    once = True

    def words(self, place: Place) -> list[str]:
        source, target = str(place.inputs / "clip.mp4"), str(place.out / "film.webm")
        return ["video", source, "-o", target, "--painter", str(place.inputs / "tiny.onnx")]


class Train(Subject):
    """A training, gone on with by --resume; the state at its end, bit for bit."""

    name = "train"
    exact = False

    def words(self, place: Place) -> list[str]:
        run = place.out / "run"
        if (run / "checkpoints").is_dir() and checkpoint.numbered(run):
            return ["train", "--resume", str(run), "--device", "cpu"]
        photos, paintings = (str(place.inputs / f"training-{n}") for n in ("photos", "paintings"))
        words = ["train", "--photos", photos, "--paintings", paintings, "--out", str(run)]
        words += ["--recipe", str(place.inputs / "tiny.toml"), "--steps", str(STEPS)]
        words += ["--checkpoint-every", "4", "--sample-every", "16", "--score-every", "1000"]
        return [*words, "--device", "cpu"]

    def result(self, place: Place, ended: Ended) -> dict[str, str]:  # noqa: ARG002
        run = place.out / "run"
        _, state = checkpoint.load_latest(run, print)
        for timed in ("seconds", "plan"):
            del state[timed]
        found = {"state": _digest(state)}
        for name, told in wholeness.digests(place.out).items():
            timed_file = name.endswith((".jsonl", ".pt"))
            found[name] = "" if timed_file else told
        history = (run / "history.jsonl").read_text(encoding="utf-8").splitlines()
        lines = [json.loads(line) for line in history]
        seconds = [line.pop("seconds") for line in lines if "seconds" in line]
        found["time goes forward"] = str(seconds == sorted(seconds))
        found["run/history.jsonl"] = str(lines)
        return found


class Export(Subject):
    """A painter's file."""

    name = "export"
    sweeps = False
    once = True

    def words(self, place: Place) -> list[str]:
        return ["export", str(place.inputs / "tiny.safetensors"), str(place.out / "mine.onnx")]


class Download(Subject):
    """A painter over the network. url: of its file."""

    name = "download"
    sweeps = False

    def __init__(self, url: str) -> None:
        self.url = url

    def before(self, place: Place) -> None:
        super().before(place)
        painters = place.out / "data" / "painters"
        painters.mkdir(parents=True)
        data = (place.inputs / "tiny.onnx").read_bytes()
        sha256 = files.sha256_of(place.inputs / "tiny.onnx")
        entry = registry.Entry("water", self.url, sha256, len(data))
        registry.save({"water": entry}, painters / "painters.toml")

    def words(self, place: Place) -> list[str]:  # noqa: ARG002
        return ["painters", "fetch", "water"]

    def files(self, place: Place) -> dict[str, str]:
        """Each trial has an address of its own, which notes hold and locks are named by."""
        found = {}
        for path in wholeness.files_of(place.out):
            name = path.relative_to(place.out).as_posix()
            if not wholeness.WORK.fullmatch(name):
                data = path.read_bytes().replace(self.url.encode(), b"URL")
                name = re.sub("locks/[0-9a-f]{32}", "locks/one", name)
                found[name] = hashlib.sha256(data).hexdigest()
        return found

    def own(self, place: Place) -> dict[str, str]:
        return {
            "PLEINAIR_CACHE": str(place.out / "cache"),
            "PLEINAIR_DATA": str(place.out / "data"),
        }


class Evaluate(Subject):
    """Scores, and what networks saw, kept for the next time."""

    name = "evaluate"
    sweeps = False
    goes_on = True

    def words(self, place: Place) -> list[str]:
        photos, paintings = (str(place.inputs / f"scored-{n}") for n in ("photos", "paintings"))
        words = ["evaluate", str(place.inputs / "tiny.onnx"), "--photos", photos]
        words += ["--paintings", paintings, "--cache", str(place.out / "seen"), "--json"]
        return [*words, "--device", "cpu"]

    def result(self, place: Place, ended: Ended) -> dict[str, str]:
        told = re.sub(re.escape(str(place.folder)), "", ended.out)
        return super().result(place, ended) | {"told": told}


def _digest(value: Any) -> str:
    """Of a checkpoint's state: tensors by their bytes."""
    if isinstance(value, dict):
        return str({key: _digest(one) for key, one in value.items()})
    if isinstance(value, list | tuple):
        return str([_digest(one) for one in value])
    if isinstance(value, torch.Tensor):
        return f"{value.dtype}{tuple(value.shape)}{hash(value.numpy().tobytes())}"
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}{hash(value.tobytes())}"
    return repr(value)
