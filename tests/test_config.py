from __future__ import annotations

import dataclasses

import pytest

from pleinair.config import RECIPES, LightSpec, UNetSpec, edge_margin, size_multiple
from pleinair.errors import RecipeError
from pleinair.recipes import (
    load_recipe,
    recipe_from_dict,
    recipe_to_dict,
    spec_from_dict,
    spec_to_dict,
)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_survives_as_plain_values(name):
    assert recipe_from_dict(recipe_to_dict(RECIPES[name])) == RECIPES[name]


def test_a_spec_survives_as_plain_values():
    spec = LightSpec(channels=32)
    assert spec_from_dict(spec_to_dict(spec)) == spec


def test_recipes_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RECIPES["light"].crop = 1  # type: ignore[misc]


def test_the_lab_is_the_lab():
    lab = RECIPES["lab"]
    assert (lab.cycle_weight, lab.identity_weight, lab.adversarial) == (10.0, 5.0, "bce")
    assert (lab.generator_rate, lab.beta1, lab.batch, lab.steps) == (2e-4, 0.5, 1, 300)
    assert size_multiple(lab.generator) == 256


def test_a_recipe_file_names_its_base_and_what_differs(tmp_path):
    file = tmp_path / "wide.toml"
    file.write_text('base = "light"\ncycle_weight = 5\n[generator]\nchannels = 96\n')
    recipe = load_recipe(str(file))
    assert recipe.name == "wide"
    assert recipe.cycle_weight == 5.0
    assert recipe.generator == dataclasses.replace(RECIPES["light"].generator, channels=96)
    assert recipe.discriminator == RECIPES["light"].discriminator


def test_a_recipe_file_may_take_another_generator(tmp_path):
    file = tmp_path / "mix.toml"
    file.write_text('crop = 256\n[generator]\nkind = "unet"\nchannels = 8\n')
    assert load_recipe(str(file)).generator == UNetSpec(channels=8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cycle_wait = 5", "cycle_wait"),
        ("crop = 130", "multiple of 4"),
        ('adversarial = "wgan"', "lsgan, bce, hinge"),
        ("batch = 0", "at least 1"),
        ("batch = 2.5", "of type int"),
        ("[generator]\nwidth = 3", "width"),
        ('[generator]\nkind = "vit"', "vit"),
        ("generator = 3", "table"),
        ('base = "heavy"', "heavy"),
        ("= nonsense", "cannot be read"),
        ("ema_decay = 1.0", "ema_decay"),
        ("crop = 512", "resize_min"),
        ("drift_pool = 0", "drift_pool = 0 must be from 1 to crop"),
        ("drift_margin = -0.1", "weights, cycle_noise and margins must not be negative"),
        ("chroma_margin = -0.1", "weights, cycle_noise and margins must not be negative"),
        ("fleck_margin = -0.1", "weights, cycle_noise and margins must not be negative"),
        ("fleck_weight = -0.1", "weights, cycle_noise and margins must not be negative"),
        ("chroma_pool = 0", "chroma_pool = 0 must be from 1 to crop"),
        ("lattice_weight = -1", "weights, cycle_noise and margins must not be negative"),
        (
            "crop = 8\ndrift_pool = 8\nlattice_weight = 1",
            "asks for a crop of 12 pixels or more, not 8",
        ),
        ("candidates = 0", "candidates, accumulate"),
        ('base = "paper"\ncandidates = 2', "candidates ask for a discriminator of kind"),
        ('base = "paper"\ncontent_weight = 1', "content_weight asks for a discriminator of kind"),
        ('base = "paper"\nteacher_feature_weight = 1', "asks for a discriminator of kind"),
        ("teacher_weight = -1", "weights, .* must not be negative"),
        ("teacher_weight = 1\nteacher_flecks = 3", "teacher_flecks must be from 0 to 2"),
        ("teacher_weight = 1\nteacher_dusk = -1", "teacher_dusk and teacher_dabs from 0 to 1"),
        ("teacher_weight = 1\nteacher_light = 0.5", "teacher_light from 1 to 2"),
        ("teacher_weight = 1\nteacher_dabs = 2", "teacher_dusk and teacher_dabs from 0 to 1"),
        ("teacher_dusk = 0.3", "so they ask for a teacher_weight or a teacher_feature_weight"),
        ("[discriminator]\ndeepest = 5", "must be 4, 8, 16 or 32"),
        ("[discriminator]\nfinest = 8", "must be 2 or 4"),
        ("[discriminator]\npalette = -1", "must be from 0 to half of crop -"),
        ("[discriminator]\npalette = 61", "must be from 0 to half of crop -"),
        ("photo_zoom = 0.5", "must be from 1 to 8"),
        ("discriminator_shift = 65", "must be from 0 to half of crop"),
    ],
)
def test_a_bad_recipe_file_is_answered_in_one_sentence(tmp_path, text, message):
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(str(file))
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_lists_the_known_ones():
    with pytest.raises(RecipeError, match="light, swift, paper, cut, lab"):
        load_recipe("monet")


def test_a_setting_that_is_nearly_one_is_guessed(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('base = "light"\ncorp = 96\n', encoding="utf-8")
    with pytest.raises(RecipeError, match=r"no setting 'corp'; did you mean crop\?"):
        load_recipe(str(path))


def test_who_paints_the_detail_paints_beyond_the_edge_too():
    assert edge_margin(LightSpec(), 256) == 2
    assert edge_margin(LightSpec(keeps="half"), 256) == 24
    assert edge_margin(LightSpec(keeps="half"), 256, layers=2) == 24
