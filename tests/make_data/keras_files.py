"""Write the files of Keras and TensorFlow that tests read: tests/data/keras, about half a megabyte.

Run once, in an environment of its own, since neither package is needed by anything else here:

    python -m venv /tmp/tensorflow
    /tmp/tensorflow/bin/pip install tensorflow-cpu==2.21.0 tf-keras==2.21.0
    /tmp/tensorflow/bin/python tests/make_data/keras_files.py

It builds the U-Net of the tutorial "Monet CycleGAN" (Amy Jang, 2020,
https://www.kaggle.com/code/amyjang/monet-cyclegan-tutorial) from its description, with 2 channels
and 3 halvings instead of 64 and 8, twice: with Keras 2, as the tutorial did, and with Keras 3.
Every gamma and beta is drawn at random, so that no layer is constant and none like another.

keras2/model.h5                 a whole generator, with its configuration
keras2/weights.h5               the same generator's weights alone
keras2/cyclegan.h5              all four networks of a subclassed model, by save_weights
keras2/generator.keras          the same generator as Keras 2 first wrote the later format
keras2/savedmodel/              all four networks, by model.save, with keras_metadata.pb
keras2/checkpoint/              all four and an optimizer with slots, by tf.train.Checkpoint
keras2/tutorial/                TensorFlow's CycleGAN tutorial: generator_g, its own instance norm
keras3/savedmodel/              a generator by model.export
keras3/checkpoint/              two networks by tf.train.Checkpoint
expected.npz                    a picture, and what each generator makes of it
                                (batch x height x width x 3)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["TF_USE_LEGACY_KERAS"] = "1" if sys.argv[1:] != ["keras3"] else "0"

import numpy as np
import tensorflow as tf

FOLDER = Path(__file__).parent.parent / "data" / "keras"
CHANNELS, DEPTH, SIDE = 2, 3, 16
DEEP = 6  # halvings of the tutorial's, with 1 channel: more layers than a digit numbers
keras = tf.keras


@keras.utils.register_keras_serializable("Addons")
class InstanceNormalization(keras.layers.Layer):
    """As tensorflow_addons has it, down to the names in its configuration."""

    def __init__(self, epsilon: float = 1e-3, **rest: Any) -> None:
        super().__init__(
            **{key: rest[key] for key in rest if key in ("name", "trainable", "dtype")}
        )
        self.epsilon = epsilon

    def build(self, shape: Any) -> None:
        self.gamma = self.add_weight(name="gamma", shape=(shape[-1],), initializer="ones")
        self.beta = self.add_weight(name="beta", shape=(shape[-1],), initializer="zeros")

    def call(self, x: Any) -> Any:
        mean, variance = tf.nn.moments(x, axes=[1, 2], keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, self.beta, self.gamma, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "groups": -1,
            "axis": -1,
            "epsilon": self.epsilon,
            "center": True,
            "scale": True,
        }


class ScaleOffset(keras.layers.Layer):
    """The instance norm of tensorflow_examples' pix2pix, which calls its weights otherwise."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(name="scale", shape=shape[-1:], initializer="ones")
        self.offset = self.add_weight(name="offset", shape=shape[-1:], initializer="zeros")

    def call(self, x: Any) -> Any:
        mean, variance = tf.nn.moments(x, axes=[1, 2], keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, self.offset, self.scale, 1e-5)


def group_norm() -> Any:
    """Keras' own, with one group a channel."""
    return keras.layers.GroupNormalization(groups=-1)


def down(filters: int, norm: Any) -> Any:
    """The tutorial's downsample()."""
    block = keras.Sequential()
    block.add(keras.layers.Conv2D(filters, 4, strides=2, padding="same", use_bias=False))
    if norm is not None:
        block.add(norm())
    block.add(keras.layers.LeakyReLU())
    return block


def up(filters: int, norm: Any, dropout: bool) -> Any:
    """The tutorial's upsample()."""
    block = keras.Sequential()
    block.add(keras.layers.Conv2DTranspose(filters, 4, strides=2, padding="same", use_bias=False))
    block.add(norm())
    if dropout:
        block.add(keras.layers.Dropout(0.5))
    block.add(keras.layers.ReLU())
    return block


def generator(norm: Any, seed: int, channels: int = CHANNELS, depth: int = DEPTH) -> Any:
    """The tutorial's Generator(), weights drawn from a seed."""
    widths = [channels * min(2**level, 8) for level in range(depth)]
    inputs = keras.layers.Input(shape=[None, None, 3])
    x, skips = inputs, []
    for level, width in enumerate(widths):
        x = down(width, norm if level else None)(x)
        skips.append(x)
    for level, (width, skip) in enumerate(zip(widths[-2::-1], skips[-2::-1], strict=True)):
        x = up(width, norm, dropout=level < 3)(x)
        x = keras.layers.Concatenate()([x, skip])
    x = keras.layers.Conv2DTranspose(3, 4, strides=2, padding="same", activation="tanh")(x)
    model = keras.Model(inputs=inputs, outputs=x)
    draw(model, seed)
    return model


def discriminator(norm: Any, seed: int) -> Any:
    """A small PatchGAN as the tutorial's Discriminator()."""
    inputs = keras.layers.Input(shape=[None, None, 3])
    x = down(4, norm)(down(2, None)(inputs))
    x = keras.layers.Conv2D(1, 4, strides=1)(keras.layers.ZeroPadding2D()(x))
    model = keras.Model(inputs=inputs, outputs=x)
    draw(model, seed)
    return model


def draw(model: Any, seed: int) -> None:
    """Weights that keep a picture a picture, each number another."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        name = weight.name
        center = 1.0 if "gamma" in name or "scale" in name else 0.0
        weight.assign(random.normal(center, 0.25, weight.shape).astype(np.float32))


class CycleGan(keras.Model):
    """The tutorial's subclassed model, as far as saving it takes."""

    def __init__(self, m_gen: Any, p_gen: Any, m_disc: Any, p_disc: Any) -> None:
        super().__init__()
        self.m_gen = m_gen
        self.p_gen = p_gen
        self.m_disc = m_disc
        self.p_disc = p_disc

    def call(self, x: Any, training: bool = False) -> Any:
        return self.m_gen(x), self.p_gen(x), self.m_disc(x), self.p_disc(x)


def picture(side: int = SIDE) -> Any:
    return np.random.default_rng(0).uniform(-1, 1, (1, side, side, 3)).astype(np.float32)


def networks(norm: Any) -> list[Any]:
    return [generator(norm, 1), generator(norm, 2), discriminator(norm, 3), discriminator(norm, 4)]


def train_once(model: Any, optimizer: Any) -> None:
    """One step, so that the optimizer has slots; rate 0, so that nothing moves."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(picture()) ** 2)
    variables = model.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))


def keras2() -> dict[str, Any]:
    """Everything that Keras 2 writes."""
    folder = FOLDER / "keras2"
    folder.mkdir(parents=True)
    m_gen, p_gen, m_disc, p_disc = networks(InstanceNormalization)
    m_gen.save(folder / "model.h5", include_optimizer=False)
    m_gen.save_weights(folder / "weights.h5")
    m_gen.save(folder / "generator.keras")
    cyclegan = CycleGan(m_gen, p_gen, m_disc, p_disc)
    cyclegan(picture())
    cyclegan.save_weights(folder / "cyclegan.h5")
    cyclegan.save(folder / "savedmodel", save_format="tf", save_traces=False)

    optimizer = keras.optimizers.Adam(0.0)
    train_once(m_gen, optimizer)
    saved = tf.train.Checkpoint(
        m_gen=m_gen, p_gen=p_gen, m_disc=m_disc, p_disc=p_disc, m_gen_optimizer=optimizer
    )
    tf.train.CheckpointManager(saved, str(folder / "checkpoint"), max_to_keep=1).save()

    tutorial = generator(ScaleOffset, 5, 1, DEEP)
    saved = tf.train.Checkpoint(generator_g=tutorial, discriminator_x=discriminator(ScaleOffset, 6))
    tf.train.CheckpointManager(saved, str(folder / "tutorial"), max_to_keep=1).save()
    x, deep = picture(), picture(2**DEEP)
    return {
        "m_gen": m_gen(x),
        "p_gen": p_gen(x),
        "deep_picture": deep,
        "tutorial": tutorial(deep),
    }


def keras3() -> dict[str, Any]:
    """What Keras 3 writes with TensorFlow below it."""
    folder = FOLDER / "keras3"
    folder.mkdir(parents=True)
    painter = generator(group_norm, 7)
    painter.export(str(folder / "savedmodel"), verbose=False)
    saved = tf.train.Checkpoint(
        monet_generator=painter, monet_discriminator=discriminator(group_norm, 8)
    )
    tf.train.CheckpointManager(saved, str(folder / "checkpoint"), max_to_keep=1).save()
    return {"keras3": painter(picture())}


def main() -> None:
    if sys.argv[1:]:
        np.savez(FOLDER / "keras3.npz", **keras3())
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    expected = keras2()
    subprocess.run([sys.executable, __file__, "keras3"], check=True)
    with np.load(FOLDER / "keras3.npz") as other:
        expected |= dict(other)
    (FOLDER / "keras3.npz").unlink()
    arrays = {name: np.asarray(value) for name, value in expected.items()}
    np.savez_compressed(FOLDER / "expected.npz", picture=picture(), **arrays)


if __name__ == "__main__":
    main()
