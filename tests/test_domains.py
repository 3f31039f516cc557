from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pleinair import domains, evaluation, images, monitoring
from pleinair.config import RECIPES
from pleinair.data import Pictures
from pleinair.engines import backbone, features
from pleinair.gallery import Gallery
from pleinair.painter import Painter
from pleinair.settings import TRAIN, Look

from .conftest import SAMPLES, picture, tiny


@pytest.fixture(scope="module")
def both() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The sample photographs, small, and what the painter that ships makes of them."""
    monet = Painter.load("monet")
    photos = [images.resize_shorter(images.read(path).pixels, 256) for path in SAMPLES]
    return photos, [monet.paint(photo, look=Look(layers=3)) for photo in photos]


def test_photos_and_paintings_are_told_apart(both):
    look = features(torch.device("cpu"))
    photos, paintings = (look(pictures) for pictures in both)
    assert monitoring.look_swapped(paintings, photos)
    assert not monitoring.look_swapped(photos, paintings)
    assert not monitoring.look_swapped(photos, photos)


def test_folders_that_were_mixed_up_are_named(both, tmp_path, monkeypatch):
    monkeypatch.setattr(domains, "TRAIN", replace(TRAIN, score_least=5))
    places = []
    for name, pictures in zip(("photos", "paintings"), both, strict=True):
        place = tmp_path / name
        place.mkdir()
        for index, pixels in enumerate(pictures):
            Image.fromarray(pixels).save(place / f"{index}.png")
        places.append(Pictures(place, 256, 10**9, print))
    said: list[str] = []
    domains.warn_of_a_mix_up(places[0], places[1], torch.device("cpu"), said.append)
    assert said == []
    domains.warn_of_a_mix_up(places[1], places[0], torch.device("cpu"), said.append)
    assert len(said) == 1
    assert "mixed up" in said[0]
    assert "\n" not in said[0]


def test_one_folder_twice_and_one_picture_are_spoken_of(folder):
    photos, one = folder("photos", 2), folder("one", 1)
    said: list[str] = []
    cpu = torch.device("cpu")
    first = Pictures(photos, 64, 10**9, print)
    domains.warn_of_a_mix_up(first, Pictures(photos, 64, 10**9, print), cpu, said.append)
    domains.warn_of_a_mix_up(first, Pictures(one, 64, 10**9, print), cpu, said.append)
    assert ["both" in said[0], "holds one picture" in said[1]] == [True, True]


def test_what_is_held_out_is_told(folder, monkeypatch):
    monkeypatch.setattr(domains, "TRAIN", replace(TRAIN, score_photos=1))
    said: list[str] = []
    trained, held = domains.open_domain(folder("photos", 20), None, tiny("light"), said.append)
    assert (len(trained), len(held)) == (19, 1)
    assert "1 pictures of" in said[0]
    trained, held = domains.open_domain(folder("few", 3), None, tiny("light"), said.append)
    assert trained is held


def test_a_score_in_training_is_that_of_evaluate(tmp_path):
    photos, paintings = tmp_path / "photos", tmp_path / "paintings"
    for place, seed in ((photos, 0), (paintings, 40)):
        place.mkdir()
        for number in range(10):
            pixels = picture(300 + number, 700 - 9 * number, seed + number)
            Image.fromarray(pixels).save(place / f"{number}.jpg")
    device = torch.device("cpu")
    sets = [Pictures(place, 286, 2**24, print) for place in (photos, paintings)]
    judge = domains.appoint_judge(*sets, RECIPES["light"], device)
    room = Gallery([backbone("lite0", device)], None, lambda *_: None, print)
    found = evaluation.evaluate([], photos, paintings, room)
    assert judge.photos_kid == pytest.approx(found.rows[0].scores["Lite0"].kid, rel=1e-4)
