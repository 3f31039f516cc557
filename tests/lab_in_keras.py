"""The lab's U-Net in Keras 3 on PyTorch, saved in every format, for `test_foreign_keras`.

    python tests/lab_in_keras.py FOLDER

It runs in a process of its own, since Keras decides on its back end when it is imported. Beside
each NAME.* there is NAME.npy, what it makes of picture.npy (height x width x 3).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"
os.environ["KERAS_HOME"] = str(Path(sys.argv[1]) / "home")

import keras
import numpy as np
from keras import layers


@keras.saving.register_keras_serializable("Addons")
class InstanceNormalization(layers.GroupNormalization):
    """tensorflow_addons' name and weights."""

    def __init__(self, **settings):
        super().__init__(**{**settings, "groups": -1})


def down(filters, norm):
    block = [layers.Conv2D(filters, 4, strides=2, padding="same", use_bias=False)]
    return [*block, *([norm()] if norm else []), layers.LeakyReLU(**SETTINGS["slope"])]


def up(filters, norm, dropout):
    block = [layers.Conv2DTranspose(filters, 4, strides=2, padding="same", use_bias=False), norm()]
    return [*block, *([layers.Dropout(0.5)] if dropout else []), layers.ReLU()]


SETTINGS = {"slope": {}}


def applied(block, x, flat):
    if not flat:
        return keras.Sequential(block)(x)
    for layer in block:
        x = layer(x)
    return x


def generator(channels, depth, norm, *, flat=False, skip_first=False, side=None, name=None):
    """As the tutorial's Generator(). flat: no Sequential blocks; skip_first: as nobody has it."""
    widths = [channels * min(2**level, 8) for level in range(depth)]
    inputs = layers.Input(shape=[side, side, 3])
    x, skips = inputs, []
    for level, width in enumerate(widths):
        x = applied(down(width, norm if level else None), x, flat)
        skips.append(x)
    for level, (width, skip) in enumerate(zip(widths[-2::-1], skips[-2::-1], strict=True)):
        x = applied(up(width, norm, level < 3), x, flat)
        x = layers.Concatenate()([skip, x] if skip_first else [x, skip])
    x = layers.Conv2DTranspose(3, 4, strides=2, padding="same", activation="tanh")(x)
    model = keras.Model(inputs=inputs, outputs=x, **({"name": name} if name else {}))
    random = np.random.default_rng(channels + depth)
    model.set_weights(
        [
            random.normal(float("gamma" in weight.path), 0.2 if depth < 8 else 0.05, weight.shape)
            for weight in model.weights
        ]
    )
    return model


class CycleGan(keras.Model):
    def __init__(self, m_gen, p_gen, m_disc, p_disc):
        super().__init__()
        self.m_gen = m_gen
        self.p_gen = p_gen
        self.m_disc = m_disc
        self.p_disc = p_disc

    def call(self, x):
        return self.p_gen(self.m_gen(x))


class Painter(keras.Model):
    """A generator with lists of blocks for attributes, which Keras saves by their names."""

    def __init__(self, model):
        super().__init__()
        self.down_stack = [layer for layer in model.layers[1:9] if layer.weights]
        self.up_stack = [layer for layer in model.layers[9:-1] if layer.weights]
        self.last = model.layers[-1]
        self.built = True

    def call(self, x):
        return x


def discriminator():
    inputs = layers.Input(shape=[None, None, 3])
    x = keras.Sequential(down(4, None))(inputs)
    return keras.Model(inputs, layers.Conv2D(1, 4)(x))


def main(folder):
    picture = np.random.default_rng(0).uniform(-1, 1, (256, 256, 3)).astype(np.float32)
    np.save(folder / "picture.npy", picture)

    def paints(name, model):
        np.save(folder / f"{name}.npy", keras.ops.convert_to_numpy(model(picture[None]))[0])

    def group():
        return layers.GroupNormalization(groups=-1)

    lab = generator(2, 8, group)
    paints("lab", lab)
    paints("stacks", lab)
    lab.save(folder / "lab.h5")
    lab.save(folder / "lab.keras")
    lab.save_weights(folder / "lab.weights.h5")
    Painter(lab).save_weights(folder / "stacks.weights.h5")

    flat = generator(3, 4, InstanceNormalization, flat=True, name="photo2monet")
    paints("flat", flat)
    flat.save(folder / "flat.keras")
    flat.save_weights(folder / "flat.weights.h5")

    SETTINGS["slope"] = {"negative_slope": 0.1}
    odd = generator(2, 5, lambda: InstanceNormalization(epsilon=0.02), skip_first=True)
    paints("odd", odd)
    odd.save(folder / "odd.h5")
    odd.save(folder / "odd.keras")
    SETTINGS["slope"] = {}

    both = CycleGan(lab, generator(2, 3, group), discriminator(), discriminator())
    both(picture[None])
    both.save_weights(folder / "both.weights.h5")
    parts = [flat, generator(2, 3, group, name="photo_generator"), discriminator(), discriminator()]
    named = CycleGan(*parts)
    named(picture[None])
    named.save_weights(folder / "named.weights.h5")
    discriminator().save(folder / "discriminator.keras")
    discriminator().save_weights(folder / "discriminator.weights.h5")

    inputs = layers.Input(shape=[32, 32, 3])
    hidden = layers.Lambda(lambda x: x + 1)(generator(2, 3, group, side=32)(inputs))
    keras.Model(inputs, hidden).save(folder / "lambda.keras")
    for name, groups in (("groups", 2),):
        model = generator(2, 3, lambda: layers.GroupNormalization(groups=groups))  # noqa: B023
        model.save(folder / f"{name}.keras")

    real = generator(64, 8, group, side=256)
    paints("real", real)
    real.save(folder / "real.h5")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
