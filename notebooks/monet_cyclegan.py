# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Monet by CycleGAN
#
# In this notebook you build, piece by piece, a machine that turns photographs into paintings in the
# manner of Claude Monet, without ever seeing a photograph and a painting of the same place.
#
# 1. [What image style transfer is](#1.-What-image-style-transfer-is)
# 2. [GANs in a page](#2.-GANs-in-a-page)
# 3. [What is new in CycleGAN](#3.-What-is-new-in-CycleGAN)
# 4. [Data](#4.-Data)
# 5. [The networks](#5.-The-networks)
# 6. [The losses, by hand](#6.-The-losses,-by-hand)
# 7. [Training](#7.-Training)
# 8. [Pre-trained weights](#8.-Pre-trained-weights)
# 9. [Five photos and their paintings](#9.-Five-photos-and-their-paintings)
# 10. [Beyond the tutorial](#10.-Beyond-the-tutorial)
#
# It runs from top to bottom in two to four minutes on two cores, needs no GPU and no network, and
# everything it shows is computed here unless the text says otherwise. You should know a little
# Python, and what a convolution is. Install what it needs and open it, both in the root of the
# repository:
#
# ```sh
# pip install '.[notebook]'
# jupyter lab --notebook-dir . notebooks/monet_cyclegan.ipynb
# ```
#
# ## Setup
#
# `pleinair` is the package of this repository, `drawing` a module beside this notebook that draws
# its diagrams. The seed makes the pictures the same each time.

# %%
import sys
import time
from dataclasses import replace
from pathlib import Path

started = time.perf_counter()
HERE = Path.cwd() if (Path.cwd() / "drawing.py").is_file() else Path.cwd() / "notebooks"
if not (HERE / "drawing.py").is_file():
    raise FileNotFoundError(
        f"drawing.py is neither in {Path.cwd()} nor in its folder notebooks; open the notebook "
        "in notebooks/ or in the root of the repository."
    )
sys.path.insert(0, str(HERE))
SAMPLES, PAINTINGS = HERE.parent / "samples", HERE / "paintings"

import drawing
import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as nnf
from drawing import show
from torch import Tensor, nn

from pleinair import Painter, images

torch.manual_seed(0)
torch.set_flush_denormal(True)  # numbers too small to matter must not cost time
print("PyTorch", torch.__version__, "on", torch.get_num_threads(), "threads")

# %% [markdown]
# ## 1. What image style transfer is
#
# A picture has *content*, what is where, and *style*, how it is painted: palette, strokes, light.
# Style transfer keeps the one and changes the other.
#
# [Gatys et al. 2016](https://arxiv.org/abs/1508.06576) did it for *one* painting: an optimisation
# moves the pixels of a photo until its deep features correlate as the painting's do. A CycleGAN
# learns from a *collection*: not "in the style of this painting" but "as Monet would have painted
# this". And it learns a function, so that a new photo takes one pass through a network.
#
# This is where we are going, with a painter that was trained for some hours:

# %%
monet = Painter.load("monet")
photo_pixels = images.read_small(SAMPLES / "island.jpg", 560)
figure = drawing.picture_rows(
    [[photo_pixels, monet.paint(photo_pixels)]], titles=["photo", "painting"], width=11
)
show(figure, "Mont Saint-Michel as a photograph and as a painting", jpeg=True)

# %% [markdown]
# *Photo: "Mont Saint-Michel" by Ali Sabbagh, CC0-1.0; all credits are in
# [samples/CREDITS.md](../samples/CREDITS.md).*
#
# **Exercise.** What in the painting is content, and what is style? Is the colour of the sky one or
# the other? Paint again with `look=Look(colors="photo")` (`from pleinair import Look`) and decide.

# %% [markdown]
# ## 2. GANs in a page
#
# How can a network learn to paint when nobody can say, as a formula, what a good painting is? By a
# second network that learns to tell. A *generative adversarial network*
# ([Goodfellow et al. 2014](https://arxiv.org/abs/1406.2661)) is a game of two:

# %%
show(drawing.gan(), "Noise goes through the generator; the discriminator judges reals and fakes")

# %% [markdown]
# The discriminator $D$ gives the probability that what it sees is real, the generator $G$ wants it
# to be wrong (equation 1 of the paper):
#
# $$\min_G \max_D \;\; \mathbb{E}_{x \sim \mathrm{data}}[\log D(x)]
# + \mathbb{E}_{z \sim \mathrm{noise}}[\log(1 - D(G(z)))]$$
#
# In practice the generator maximises $\log D(G(z))$ instead (section 3 there): it pulls the same
# way, and does not vanish while $D$ still wins easily. Both sides are then *binary cross-entropy*,
# with the answer 1 for real and 0 for fake.
#
# A real one, small enough to watch. The data are points on a ring of eight spots; generator and
# discriminator have three layers each.

# %%
ANGLES = torch.arange(8) * (2 * torch.pi / 8)
SPOTS = 2 * torch.stack([ANGLES.cos(), ANGLES.sin()], dim=1)
SQUARE = torch.cartesian_prod(torch.linspace(-3, 3, 60), torch.linspace(-3, 3, 60))


def ring(count: int) -> Tensor:
    """Real points: (count, 2)."""
    return SPOTS[torch.randint(8, (count,))] + 0.1 * torch.randn(count, 2)


def layers(inputs: int, outputs: int, slope: float) -> nn.Sequential:
    """Three linear layers with (leaky) ReLU between."""
    return nn.Sequential(
        nn.Linear(inputs, 128),
        nn.LeakyReLU(slope),
        nn.Linear(128, 128),
        nn.LeakyReLU(slope),
        nn.Linear(128, outputs),
    )


def tiny_gan(rates: tuple[float, float], moments: list[int]) -> list[tuple[int, Tensor, Tensor]]:
    """Train; at these steps, 500 fakes and what the discriminator thinks of a square of places."""
    torch.manual_seed(0)
    generator, discriminator = layers(8, 2, slope=0.0), layers(2, 1, slope=0.2)
    optimizers = [
        torch.optim.Adam(network.parameters(), rate, betas=(0.5, 0.999), fused=True)
        for network, rate in zip((generator, discriminator), rates, strict=True)
    ]
    real, fake = torch.ones(256, 1), torch.zeros(256, 1)  # the right answers
    cross_entropy = nnf.binary_cross_entropy_with_logits
    seen = []
    for step in range(1, max(moments) + 1):
        # The discriminator learns to tell: real points up, fakes down.
        fakes = generator(torch.randn(256, 8)).detach()
        loss = cross_entropy(discriminator(ring(256)), real)
        loss = 0.5 * (loss + cross_entropy(discriminator(fakes), fake))
        optimizers[1].zero_grad()
        loss.backward()
        optimizers[1].step()
        # The generator learns to deceive: its fakes should be taken for real.
        loss = cross_entropy(discriminator(generator(torch.randn(256, 8))), real)
        optimizers[0].zero_grad()
        loss.backward()
        optimizers[0].step()
        if step in moments:
            with torch.no_grad():
                surface = torch.sigmoid(discriminator(SQUARE)).reshape(60, 60).T
                seen.append((step, generator(torch.randn(500, 8)), surface))
    return seen


threads = torch.get_num_threads()
torch.set_num_threads(1)  # so small networks are faster with one
MOMENTS = [50, 300, 600, 1200]
fair = tiny_gan(rates=(1e-3, 1e-3), moments=MOMENTS)
hasty = tiny_gan(rates=(2e-3, 2e-4), moments=MOMENTS)
torch.set_num_threads(threads)

# %% [markdown]
# Below, black crosses are real points, yellow dots are what the generator makes. The colour behind
# is the discriminator's opinion of every place: blue for real, red for fake. Upper row: both learn
# equally fast. Dots are drawn to where the discriminator is blue, it turns red where too many are,
# and in the end the two are nearly in balance: every spot has its fakes, a few are left between.
#
# Lower row: the same, but the generator learns ten times faster than the discriminator. All its
# fakes stay together in one smear. They run to where the discriminator is blue; it slowly turns red
# there and blue on the other side, and they run on. A spot is hit in passing, at some moments none
# is, and never are all eight. This is *mode collapse*: whatever the noise, nearly the same comes
# out.

# %%
figure, axes = plt.subplots(2, 4, figsize=(10, 5.2), layout="constrained")
torch.manual_seed(1)
truth = ring(200)
for row, (name, seen) in zip(axes, (("in balance", fair), ("collapse", hasty)), strict=True):
    row[0].set_ylabel(name, fontsize=12)
    for axis, (step, fakes, surface) in zip(row, seen, strict=True):
        drawing.bare(axis).set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", title=f"step {step}")
        axis.imshow(
            surface, extent=(-3, 3, -3, 3), origin="lower", cmap="RdBu", vmin=0, vmax=1, alpha=0.75
        )
        axis.plot(*fakes.T, "o", color="#ffd23f", mec="#5a4500", mew=0.4, markersize=3.5)
        axis.plot(*truth.T, "x", color="black", markersize=4, markeredgewidth=0.9)
show(figure, "Fakes spread over the ring; with a hasty generator they stay in one smear", jpeg=True)

# %% [markdown]
# **Exercise.** Give the discriminator the higher rate, `(2e-4, 2e-3)`. Who wins, and what becomes
# of the generator's gradient? Then count how many of the eight spots have at least ten fakes
# nearby.

# %% [markdown]
# ## 3. What is new in CycleGAN
#
# A GAN whose input is a photo instead of noise would make *some* painting of it, but why one of
# this photo? With pairs (this photo, its painting) one could compare, as
# [pix2pix](https://arxiv.org/abs/1611.07004) does. Nobody has those pairs: Monet left no
# photographs.
#
# [Zhu et al. 2017](https://arxiv.org/abs/1703.10593) need only two piles of pictures, *unpaired*.
# Their idea: learn both ways at once, and ask that going there and back changes nothing.

# %%
show(drawing.cycle(), "Two mappings between two domains, and the cycles forward and backward")

# %% [markdown]
# | paper | here | what it does |
# |---|---|---|
# | $G: X \to Y$ | `painting_generator` | photo to painting |
# | $F: Y \to X$ | `photo_generator` | painting to photo |
# | $D_Y$ | `painting_discriminator` | is this a painting by Monet? |
# | $D_X$ | `photo_discriminator` | is this a photograph? |
#
# Each generator plays a GAN's game against the discriminator of the domain it paints into. On top
# of that comes *cycle consistency* (equation 2 of the paper): **forward**, a photo that becomes a
# painting must come back as that photo; **backward**, a painting that becomes a photo must come
# back as that painting.
#
# $$\mathcal{L}_{\mathrm{cyc}}(G, F) = \mathbb{E}_x \lVert F(G(x)) - x \rVert_1
# + \mathbb{E}_y \lVert G(F(y)) - y \rVert_1$$
#
# So $G$ cannot paint water lilies whatever it is shown: from water lilies $F$ could not find back.
#
# **Exercise.** Suppose $G$ paints perfect negatives, and $F$ inverts them back. What does the cycle
# loss say? Which of the other losses would notice? (It happens: see
# [docs/training.md](../docs/training.md#when-to-stop), "inverts light and dark".)

# %% [markdown]
# ## 4. Data
#
# The tutorial takes 300 paintings and 300 photographs. This notebook ships 24 paintings by Monet
# ([credits](paintings/CREDITS.md)) and the five sample photos: enough to see everything work, too
# few to learn a style. `Pictures` is a place with pictures, whatever their kind and size.

# %%
from pleinair.data import Pictures, Stream

paintings = Pictures(PAINTINGS, shortest=256, cache_bytes=2**26, warn=print)
photos = Pictures(SAMPLES, shortest=256, cache_bytes=2**26, warn=print)
print(len(photos), "photos,", len(paintings), "paintings")
shown = paintings.squares(24, 256)
figure = drawing.picture_rows([shown[row * 8 : row * 8 + 8] for row in range(3)], width=11)
show(figure, "The 24 paintings that the notebook ships", jpeg=True)

# %% [markdown]
# A `Stream` is an endless shuffled series of batches: resized, cropped to a square, perhaps
# flipped, as the *recipe* says. A recipe is a complete training configuration; `lab` is the
# tutorial's. Each domain has a stream of its own, since nothing is paired.
#
# Inside, pictures are float32 tensors of shape (batch, channels, height, width) with values in
# $[-1, 1]$, because the generator ends in a $\tanh$.

# %%
from pleinair.config import RECIPES

lab = RECIPES["lab"]
photo_stream, painting_stream = (
    Stream(photos, lab, seed=(0, 0)),
    Stream(paintings, lab, seed=(0, 1)),
)
photo = torch.from_numpy(photo_stream.next_batch())
painting = torch.from_numpy(painting_stream.next_batch())
print("a photo:", tuple(photo.shape), photo.dtype, f"{photo.min():.2f} to {photo.max():.2f}")


def pixels(batch: Tensor) -> drawing.Pixels:
    """The first picture of a batch in [-1, 1] as uint8, height x width x 3."""
    return images.from_batch(batch[:1].detach().numpy())[0]


castle = images.read_square(SAMPLES / "castle.jpg", 256)  # the middle square, 256x256
village = images.read_square(SAMPLES / "village.jpg", 256)
x = torch.from_numpy(images.to_batch(castle))
print("and back:", np.abs(pixels(x).astype(int) - castle).max(), "levels of difference")

# %% [markdown]
# **Exercise.** Draw three batches from `photo_stream` and show them. Why does the paper resize to
# 286 pixels and then cut 256 at random, and flip half of the pictures? (`RECIPES["paper"]`)

# %% [markdown]
# ## 5. The networks
#
# ### Downsampling block
#
# A convolution of stride 2 halves the picture's sides and, with more filters, turns "what colour"
# into "what is here". *Instance norm* ([Ulyanov et al. 2016](https://arxiv.org/abs/1607.08022))
# then brings each channel $c$ of each picture $n$ to mean 0 and variance 1, and gives it a learned
# scale and shift:
#
# $$\hat x_{nc} = \gamma_c \frac{x_{nc} - \mu_{nc}}{\sqrt{\sigma_{nc}^2 + \epsilon}} + \beta_c$$
#
# A leaky ReLU follows: what is negative is multiplied by 0.3 instead of being cut off. The first
# block has no norm, since the picture's own brightness and contrast should be seen once.


# %%
def down_block(inputs: int, outputs: int, *, norm: bool = True) -> nn.Sequential:
    """(N, inputs, H, W) to (N, outputs, H / 2, W / 2)."""
    convolution = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
    norms = [nn.InstanceNorm2d(outputs, eps=1e-3, affine=True)] if norm else []
    return nn.Sequential(convolution, *norms, nn.LeakyReLU(0.3))


torch.manual_seed(0)
blocks = [down_block(3, 64, norm=False), down_block(64, 128), down_block(128, 256)]
features = [x]
for block in blocks:
    features.append(block(features[-1]))
print(" -> ".join(str(tuple(one.shape)) for one in features))

# %% [markdown]
# Six channels after each block, of a photo of Chenonceau, with weights that are still random.
# What they show, each stretched from black to white, is mostly the photo once more in grey, or its
# negative: neighbouring pixels are nearly alike, so a random kernel sees little more than the sum
# of its weights times the brightness. From block to block the map is coarser, and walls and windows
# stand out against flat sky and water. Filters that answer to an edge of one direction, or to one
# colour, are what training has to find.

# %%
rows = [drawing.maps_of(one[0].detach().numpy(), 6) for one in features[1:]]
figure = drawing.picture_rows(
    [[castle, *row] for row in rows], labels=["128²", "64²", "32²"], width=10.5
)
show(figure, "The photo and six feature maps after one, two and three blocks", jpeg=True)

# %% [markdown]
# ### Upsampling block
#
# The way back: a *transposed* convolution of stride 2 lays a 4x4 stamp of each input pixel onto the
# output and doubles the sides. Instance norm, in the first three blocks dropout, and a ReLU follow.


# %%
def up_block(inputs: int, outputs: int, *, dropout: bool = False) -> nn.Sequential:
    """(N, inputs, H, W) to (N, outputs, 2 H, 2 W)."""
    convolution = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
    norm = nn.InstanceNorm2d(outputs, eps=1e-3, affine=True)
    return nn.Sequential(convolution, norm, nn.Dropout(0.5 if dropout else 0.0), nn.ReLU())


doubled = up_block(256, 128)(features[-1])
print(tuple(features[-1].shape), "->", tuple(doubled.shape))
figure = drawing.picture_rows([drawing.maps_of(doubled[0].detach().numpy(), 4)], width=10.3)
show(figure, "Four maps after an upsampling block: the castle's outline, in a grid", jpeg=True)

# %% [markdown]
# The castle is still there, behind a grid: the stamps show. [Part 10](#Checkerboards) says more.
#
# ### Generator
#
# Eight blocks down, eight up: 256 pixels become a single one with 512 channels, and grow again.
# That alone would forget where everything was, so each block on the way up also gets what the
# block of the same size on the way down had seen: *skip connections*, which make a
# [U-Net](https://arxiv.org/abs/1505.04597). The package builds it from a *spec*, a few plain
# numbers:

# %%
from pleinair.networks import build_discriminator, build_generator, count_parameters

torch.manual_seed(0)
generator = build_generator(lab.generator)
print(lab.generator, f"\n{count_parameters(generator):,} parameters")

# %% [markdown]
# What each block gives, noted while a photo passes through:

# %%
Shapes = list[tuple[int, int]]


def shapes_of(network: nn.Module, parts: list[nn.Module], given: Tensor) -> tuple[Shapes, Tensor]:
    """(channels, side) of what each part gives while a picture passes, and the result."""
    found: Shapes = []
    hooks = [
        part.register_forward_hook(lambda _part, _given, out: found.append(tuple(out.shape[1:3])))
        for part in parts
    ]
    with torch.no_grad():
        result = network(given)
    for hook in hooks:
        hook.remove()
    return found, result


downs, ups = list(generator.down), [*generator.up, generator.last]
shapes, untrained = shapes_of(generator, [*downs, *ups], x)
print("block      given to the next    parameters")
for index, (part, (channels, side)) in enumerate(zip([*downs, *ups], shapes, strict=True)):
    way = f"down {index + 1}" if index < 8 else f"up {index - 7}"
    print(f"{way:8} {channels:5} x {side:3} x {side:3} {count_parameters(part):13,}")
show(drawing.u_net(shapes[:8], shapes[8:]), "The U-Net: eight blocks down, eight up, seven skips")

# %% [markdown]
# Bars are blocks (channels below, size in grey, height by logarithm). Nearly all of the 54 million
# numbers sit where pictures are smallest: kernels of 512 x 512 channels. Is the package's block
# the one that we wrote above? Give ours its weights and compare:

# %%
ours, theirs = down_block(64, 128), generator.down[1]
ours[0].load_state_dict(theirs.conv.state_dict())
ours[1].load_state_dict(theirs.norm.state_dict())
given = torch.randn(1, 64, 32, 32)
torch.testing.assert_close(ours(given), theirs(given))
print("The same block.")

# %% [markdown]
# And what does the untrained generator paint? Almost nothing: its weights are drawn from
# $\mathcal{N}(0, 0.02)$, so $\tanh$ stays near 0, which is grey. At the right, the same stretched
# to its own range.

# %%
low, high = untrained.min(), untrained.max()
stretched = 2 * (untrained - low) / (high - low) - 1
figure = drawing.picture_rows(
    [[castle, pixels(untrained), pixels(stretched)]],
    titles=["photo", f"painting ({low:.2f} to {high:.2f})", "stretched"],
    width=9,
)
show(figure, "A photo, the grey that an untrained generator paints, and that stretched", jpeg=True)

# %% [markdown]
# ### Discriminator
#
# Style is a matter of small parts: a square of 70 pixels is enough to see strokes. So the
# discriminator is a *PatchGAN* ([Isola et al. 2017](https://arxiv.org/abs/1611.07004), section
# 3.2.2): it gives no single verdict, but a map of 30x30 *logits*, each for one overlapping patch.
# Its loss is the mean of all. That needs fewer weights, works at any size, and gives 900 answers a
# picture.

# %%
discriminator = build_discriminator(lab.discriminator)
convolutions = [part for part in discriminator.model if isinstance(part, nn.Conv2d)]
patch_shapes, logits = shapes_of(discriminator, convolutions, x)
print(f"{count_parameters(discriminator):,} parameters, logits {tuple(logits.shape)}")
for part, (channels, side) in zip(convolutions, patch_shapes, strict=True):
    text = f"{channels:4} x {side:3} x {side:3}"
    print(f"convolution 4x4, stride {part.stride[0]}: {text} {count_parameters(part):10,}")
figure = drawing.patch_gan([(3, 256), *patch_shapes])
show(figure, "The PatchGAN: five convolutions from 256 pixels to a map of 30 logits a side")

# %% [markdown]
# Why 70? Walk back from one logit: a convolution with kernel $k$ and stride $s$ makes $r$ pixels
# out of $(r - 1) s + k$. We can also *ask the network*: the gradient of one logit by the input is
# zero wherever the logit does not look. (We build it without norms for this; a norm's mean and
# variance know a little of the whole picture.)

# %%
reach = 1
for part in reversed(convolutions):
    reach = (reach - 1) * part.stride[0] + part.kernel_size[0]
plain = build_discriminator(replace(lab.discriminator, norm="none"))
looked = x.clone().requires_grad_(True)
plain(looked)[0, 0, 15, 15].backward()
seen_at = looked.grad[0].abs().sum(0) > 0
height, width = int(seen_at.any(1).sum()), int(seen_at.any(0).sum())
print(f"computed: {reach} pixels; by the gradient: {height} x {width}")

shaded = np.where(seen_at.numpy()[..., None], castle, castle // 3)
figure = drawing.picture_rows(
    [[shaded, logits[0, 0].numpy()]],
    titles=["what logit (15, 15) sees", "patch map, still untrained"],
    width=7,
)
show(figure, "The patch of 70 pixels that one logit sees, and the map of logits", jpeg=True)

# %% [markdown]
# **Exercise.** How large are the patches with two or four layers of stride 2
# (`replace(lab.discriminator, layers=4)`)? What would a discriminator of 16-pixel patches overlook?

# %% [markdown]
# ## 6. The losses, by hand
#
# Four losses make a CycleGAN, and all of them fit in a few lines of PyTorch. We compute them on one
# photo and one painting, then ask the package for the same numbers.
#
# From here on the networks are a quarter as wide (`little`), so that a step takes a fraction of
# the time, and learn at five times the rate; not a line of the arithmetic depends on it. Dropout
# is off in this part: it would roll its dice anew for each of us. And the last layer of the
# discriminators is made strong: an untrained one gives logits of about 0, whatever it sees, so that
# all adversarial losses would be $\log 2$ and no mistake in them would show.

# %%
from pleinair.session import Session

little = replace(
    lab,
    name="little",
    generator=replace(lab.generator, channels=16),
    discriminator=replace(lab.discriminator, channels=16),
    generator_rate=1e-3,
)
calm = replace(little, generator=replace(little.generator, dropout=0.0))
session = Session.start(calm, 0, torch.device("cpu"))  # four networks and their optimisers
G, F = session.networks.generators
D_painting, D_photo = session.networks.discriminators
for name, network in session.networks.by_name().items():
    print(f"{name:24}{count_parameters(network):10,} parameters")
for network in (D_painting, D_photo):
    with torch.no_grad():
        network.model[-1].weight.mul_(3000)
        network.model[-1].bias.fill_(0.5)

with torch.no_grad():
    fake_painting, fake_photo = G(photo), F(painting)
    photo_again, painting_again = F(fake_painting), G(fake_photo)  # there and back
    same_painting, same_photo = G(painting), F(photo)  # what is already there

# %% [markdown]
# **Adversarial loss.** With $\sigma$ the sigmoid, a logit $l$ says "real" with probability
# $\sigma(l)$. Binary cross-entropy for the right answer $a$ (1: real, 0: fake) is
#
# $$\mathrm{BCE}(l, a) = -\,\mathbb{E}\,[\,a \log \sigma(l) + (1 - a) \log(1 - \sigma(l))\,]$$
#
# The generator wants its fakes to be called real. The discriminator wants both answers right, and
# its loss is *halved* (section 4 of the paper), which slows it against the generator:
#
# $$\mathcal{L}_G = \mathrm{BCE}(D(G(x)), 1), \qquad
# \mathcal{L}_D = \tfrac{1}{2}\,[\,\mathrm{BCE}(D(y), 1) + \mathrm{BCE}(D(G(x)), 0)\,]$$

# %%
from pleinair import losses


def bce(logits: Tensor, answer: float) -> Tensor:
    """Binary cross-entropy of a map of logits with one answer for all."""
    real = torch.sigmoid(logits)
    return -(answer * real.log() + (1 - answer) * (1 - real).log()).mean()


with torch.no_grad():
    deceive_painting, deceive_photo = bce(D_painting(fake_painting), 1), bce(D_photo(fake_photo), 1)
    tell_painting = 0.5 * (bce(D_painting(painting), 1) + bce(D_painting(fake_painting), 0))
    tell_photo = 0.5 * (bce(D_photo(photo), 1) + bce(D_photo(fake_photo), 0))
    on_real, on_fake = D_photo(photo), D_photo(fake_photo)
    package = losses.generator_loss("bce", on_fake)
    torch.testing.assert_close(deceive_photo, package, rtol=1e-4, atol=1e-5)
    package = losses.discriminator_loss("bce", on_real, on_fake)
    torch.testing.assert_close(tell_photo, package, rtol=1e-4, atol=1e-5)
    swapped = losses.discriminator_loss("bce", on_fake, on_real)
print(
    f"photo discriminator's logits: {on_real.mean():.2f} of a real, {on_fake.mean():.2f} of a fake"
)
print(f"to deceive it: {deceive_photo:.4f}, to tell: {tell_photo:.4f}; chance is {np.log(2):.4f}")
print(f"to tell, with real and fake swapped: {swapped:.4f}")

# %% [markdown]
# **Cycle-consistency loss** (equation 2): the mean absolute difference of what went out and what
# came back, both ways, weighted by $\lambda = 10$. **Identity loss** (section 5.2): a painting is
# one already, so $G$ should leave it alone, and $F$ a photo. It keeps colours in place, and weighs
# $0.5 \lambda$.
#
# $$\mathcal{L}_{\mathrm{id}}(G, F) = \mathbb{E}_y \lVert G(y) - y \rVert_1
# + \mathbb{E}_x \lVert F(x) - x \rVert_1$$

# %%
cycle = (photo_again - photo).abs().mean() + (painting_again - painting).abs().mean()
identity_painting = (same_painting - painting).abs().mean()
identity_photo = (same_photo - photo).abs().mean()

package = losses.cycle_loss(photo, photo_again) + losses.cycle_loss(painting, painting_again)
torch.testing.assert_close(cycle, package)
torch.testing.assert_close(identity_photo, losses.identity_loss(photo, same_photo))
identity = identity_painting + identity_photo
print(f"cycle: {cycle:.4f}, identity: {identity:.4f}; both fall as the generators learn to copy")

# %% [markdown]
# **All together.** Each generator minimises its own adversarial and identity loss and the whole
# cycle. `train_step` is the package's step: it computes all this, moves all four networks once,
# and returns what the losses were. They are ours:

# %%
from pleinair.step import train_step

by_hand = {
    "painting_generator": deceive_painting + 10 * cycle + 5 * identity_painting,
    "photo_generator": deceive_photo + 10 * cycle + 5 * identity_photo,
    "painting_discriminator": tell_painting,
    "photo_discriminator": tell_photo,
    "cycle": cycle,
    "identity": identity,
}
found = train_step(session, photo, painting, progress=0.0)
print("loss                     by hand    package")
for name, value in by_hand.items():
    print(f"{name:24}{value:8.4f} {found[name]:10.4f}")
    torch.testing.assert_close(value, found[name], rtol=1e-4, atol=1e-5)

# %% [markdown]
# **Exercise.** The paper uses least squares, $\mathbb{E}(D(G(x)) - 1)^2$, in place of BCE (LSGAN,
# section 4). Write it and compare with `losses.generator_loss("lsgan", ...)`. For a fake that is
# far from passing, which of the two has the larger gradient?

# %% [markdown]
# ## 7. Training
#
# Now the same step again and again. A `Plan` says what to train on, with which recipe, for how
# long and where to put it; `train` does it and tells a *listener* how it goes. On the command line
# this is `pleinair train --photos ... --paintings ... --recipe ... --out ...`.
#
# Forty steps on the pictures that ship, into a new folder below `notebooks/runs`. Where the run
# notes a pattern of two pixels in its paintings, that is a lattice, which
# [part 10](#Checkerboards) explains:

# %%
from pleinair.plan import Plan, resumed_plan
from pleinair.training import train


class Notes:
    """A listener that prints what there is to say."""

    def progress(self, step: int, part: float, values: dict[str, float]) -> None:
        """After every step, with running means of the losses."""
        if step % 10 == 0:
            print(f"step {step}, {100 * part:.0f}%: cycle {values['cycle']:.3f}")

    def note(self, text: str) -> None:
        """One sentence for people."""
        print(text.replace(str(HERE), "notebooks"))


RUN = drawing.free_folder(HERE / "runs")
notes = Notes()
plan = Plan(photos=SAMPLES, paintings=PAINTINGS, out=RUN, recipe=little, steps=40, log_every=2)
outcome = train(plan, notes)

# %% [markdown]
# The run left a checkpoint with everything that the next step depends on: networks, both
# optimisers, random states, the order of pictures. So it can go on *exactly* as if it had not
# stopped, after Ctrl-C or a power cut as well. We move its end and resume, to step 80:

# %%
plan = resumed_plan(RUN, print, steps=80)
outcome = train(plan, notes, resume=True)
for path in sorted(RUN.rglob("*")):
    if path.is_file():
        print(f"{path.relative_to(RUN)!s:36}{path.stat().st_size / 2**20:8.2f} MiB")

# %% [markdown]
# Losses of all four networks. Left, our 80 steps. Right, the whole epoch of 300 steps with the
# full networks, on 300 paintings and 300 photographs, which took about an hour on two cores: its
# figures lie in [docs/lab-history.jsonl](../docs/lab-history.jsonl).

# %%
from pleinair.monitoring import LOSSES, read_history


def told_in(history: Path) -> list[dict[str, float]]:
    """The lines of a run's history that tell losses."""
    return [line for line in read_history(history) if LOSSES[0] in line]


runs = told_in(RUN / "history.jsonl"), told_in(HERE.parent / "docs" / "lab-history.jsonl")
figure, axes = plt.subplots(
    2, 2, figsize=(10, 5.6), sharex="col", sharey="row", layout="constrained"
)
for column, lines in enumerate(runs):
    steps = [line["step"] for line in lines]
    for name in LOSSES:
        axis = axes[0 if "generator" in name else 1, column]
        axis.plot(steps, [line[name] for line in lines], label=name.replace("_", " "))
for axis in axes.flat:
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small", loc="best")
axes[0, 0].set(title="here: quarter width, 80 steps", ylabel="generators")
axes[0, 1].set(title="the tutorial's epoch: 300 steps")
axes[1, 0].set(xlabel="step", ylabel="discriminators")
axes[1, 1].set(xlabel="step")
for axis, place in zip(axes[1], ("lower left", "lower right"), strict=True):
    axis.axhline(np.log(2), ls="--", color="gray", label="chance, log 2")
    axis.legend(fontsize="small", loc=place)
show(figure, "Losses of the four networks, of 80 steps here and of the whole epoch")

# %% [markdown]
# The generators' losses fall: cycle and identity are most of them, and copying brings both down.
#
# The discriminators begin at $\log 2 \approx 0.69$, which is chance. In our 80 steps they have
# hardly learned to tell: both end a little below. In the whole epoch the photo discriminator gets
# down to 0.39 at step 130, so it tells real from fake rather well, until its generator catches up.
# The painting one falls to 0.50 at step 100, then jumps: its generator has found something that
# passes, and for some steps it is up to 0.75, worse than a coin would be. Around step 200 the
# photo one is above chance as well; from step 220 on both stay below or at it.
#
# Note what these curves do *not* say: whether the paintings are any good
# ([part 10](#When-to-stop)).
#
# Each run keeps a sheet of the same photos. Left the last of ours, with what comes back from the
# painting; right that of the whole epoch, which keeps photo and painting only.

# %%
ours = images.read_small(sorted((RUN / "samples").iterdir())[-1], 400)
theirs = images.read_small(HERE.parent / "docs" / "lab-sheet.jpg", 400)
figure = drawing.picture_rows(
    [[*drawing.columns_of(ours, 3), *drawing.columns_of(theirs, 2)]],
    titles=["photo", "painted, 80 steps", "and back", "photo", "painted, 300 steps"],
    width=9.5,
)
show(
    figure,
    "Five photos after 80 steps of the little networks, and after the whole epoch",
    jpeg=True,
)

# %% [markdown]
# ### The whole epoch
#
# To make the tutorial's epoch yourself, let it run for an hour or so. Data: 300 of each from any
# set; `pleinair data get` knows some ([docs/data.md](../docs/data.md)). In a terminal:
#
# ```sh
# pleinair train --photos PHOTOS --paintings PAINTINGS --recipe lab --epochs 1 --out lab
# pleinair train --resume lab        # after Ctrl-C, a crash, a power cut
# pleinair export lab lab.onnx
# ```
#
# or here, in Python, on the pictures that ship:
#
# ```python
# lab_run = HERE / "runs" / "lab"
# train(Plan(photos=SAMPLES, paintings=PAINTINGS, out=lab_run, recipe=lab, steps=300), notes)
# train(resumed_plan(RUN, print, steps=300), notes, resume=True)  # or our little run, up to 300
# ```
#
# **Exercise.** Resume the little run to step 200 and look at its newest sheet. Then begin another
# with `cycle_weight=0.0` (`replace(little, cycle_weight=0.0, cycle_end_weight=0.0)`): what is lost
# first?

# %% [markdown]
# ## 8. Pre-trained weights
#
# An hour is short for a painter. `Painter.load` takes one that somebody trained for longer, by
# name or by file, and says on its *card* where it comes from. `monet` ships with the package:
# a hundredth of the parameters, and 40 minutes on one core of a CPU: 10,000 steps of recipe
# `swift`, which trains one direction, and holds the painting to its photo by features of a frozen
# network in place of a cycle ([its card in words](../src/pleinair/painters/monet.md)).

# %%
print(monet.spec)
for key in ("recipe", "steps", "licence"):
    value = monet.card.get(key)
    value = f"{value['name']} (of the last run)" if key == "recipe" else value
    value = f"{value:,} (of the last run)" if key == "steps" else value
    print(f"{key}: {value}")

mine = Painter.load(RUN)  # the folder of part 7 is a painter, too
print(mine.spec)

# %% [markdown]
# Weights of other programs open as well, exactly and without those programs
# ([docs/import.md](../docs/import.md)). If you have the tutorial's Keras file, this is all:
#
# ```python
# painter = Painter.load("monet_generator.h5")  # pip install 'pleinair[import]'
# ```
#
# or once and for all, in a terminal:
#
# ```sh
# pleinair import monet_generator.h5 -o mine.onnx
# pleinair paint holiday.jpg --painter mine.onnx
# ```
#
# The authors' own painters (`style_monet`, `style_vangogh`, ...) have names: `pleinair painters
# list`.
#
# **Exercise.** Paint `castle` with `mine` and with `monet`. Then run `pleinair doctor monet` and
# `pleinair doctor notebooks/runs/1` in a terminal: what does it find in yours?

# %% [markdown]
# ## 9. Five photos and their paintings
#
# `paint` takes an array, an image, bytes or a path and gives the same kind back, in its size.

# %%
beside = []
for path in sorted(SAMPLES.glob("*.jpg")):
    taken = images.read_small(path, 540)[:540, :810]
    beside.append([taken, monet.paint(taken)])
figure = drawing.picture_rows(beside, titles=["photo", "painting"], width=9.4)
show(figure, "Five photographs and, beside them, their paintings", jpeg=True)

# %% [markdown]
# *Photos, from the top: "aitzgorri" by Aitzol Berasategi, CC-BY-4.0; "Château de Chenonceau" by
# Alf van Beem, public domain; "Mont Saint-Michel" by Ali Sabbagh, CC0-1.0; "life" by Aitzol
# Berasategi, CC-BY-4.0; "Rocamadour" by François Darras, public domain. The paintings are changes
# to them and keep their licences. All cropped; sources in
# [samples/CREDITS.md](../samples/CREDITS.md).*
#
# **Exercise.** Put a photo of your own in place of one of these. What does the painter do well
# (water, foliage), and what does it spoil (faces, text)? Think of what it has learned from.

# %% [markdown]
# ## 10. Beyond the tutorial
#
# ### Checkerboards
#
# A transposed convolution stamps kernels that overlap. With kernel 3 and stride 2 some outputs are
# stamped by two inputs and some by one, so a pattern is there before anything is learned ([Odena
# et al. 2016](https://distill.pub/2016/deconv-checkerboard/)). Kernel 4 and stride 2 overlap
# evenly, in number; but even and odd outputs still come from different weights of the kernel, and
# nothing makes these agree. *Resize, then convolve* treats all outputs alike.

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 2.3), layout="constrained")
drawing.kernel_overlap(axes[0], 3, 2)
drawing.kernel_overlap(axes[1], 4, 2)
show(figure, "Kernel 3 with stride 2 overlaps unevenly, kernel 4 with stride 2 evenly")

# %% [markdown]
# Now for real: three such layers in a row, with random weights, on a smooth blob; the middle 64
# pixels.


# %%
def stack(make_layer: str) -> nn.Sequential:
    """Three doubling layers of 24 channels and a mean over channels."""
    torch.manual_seed(3)
    parts: list[nn.Module] = []
    for _ in range(3):
        if make_layer == "resize":
            parts += [nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(24, 24, 3, padding=1)]
        else:
            kernel = int(make_layer)
            parts.append(
                nn.ConvTranspose2d(24, 24, kernel, stride=2, padding=1, output_padding=kernel % 2)
            )
        parts.append(nn.LeakyReLU(0.3))
    return nn.Sequential(*parts)


axis_y, axis_x = torch.meshgrid(torch.linspace(-2, 2, 20), torch.linspace(-2, 2, 20), indexing="ij")
blob = torch.exp(-(axis_x**2 + axis_y**2)).expand(1, 24, 20, 20)
maps = []
for kind in ("3", "4", "resize"):
    with torch.no_grad():
        out = stack(kind)(blob)[0, :, 48:112, 48:112]
    maps.append(out[out.flatten(1).std(1).argmax()].numpy())
titles = ["kernel 3, stride 2", "kernel 4, stride 2", "resize, then convolution 3"]
show(drawing.picture_rows([maps], titles=titles, width=10), "Lattices, and none after resizing")

# %% [markdown]
# Training can weaken the lattice, and the discriminator punishes it, but it stays the easiest
# mistake to make. That is why `light` enlarges bilinearly.
#
# **Exercise.** Try kernel 6 with stride 3, and kernel 2 with stride 2. Which patterns do you
# expect?
#
# ### Why instance norm and not batch norm
#
# Batch norm ([Ioffe and Szegedy 2015](https://arxiv.org/abs/1502.03167)) takes mean and variance
# over the whole *batch*, so a picture's result depends on who stands beside it. Instance norm
# takes them from the picture alone. Here is one photo, normalised next to a dark neighbour and
# next to a bright one:

# %%
with torch.no_grad():
    dark, bright = 0.4 * x - 0.6, 0.4 * torch.from_numpy(images.to_batch(village)) + 0.6
    row_of: dict[str, list[drawing.Pixels]] = {}
    apart = {}
    for name, norm in (
        ("batch norm", nn.BatchNorm2d(3, affine=False)),
        ("instance norm", nn.InstanceNorm2d(3)),
    ):
        beside_dark, beside_bright = (norm(torch.cat([x, other]))[:1] for other in (dark, bright))
        apart[name] = float((beside_dark - beside_bright).abs().mean())
        weak = norm(torch.cat([0.3 * x + 0.4, dark]))[:1]
        row_of[name] = [pixels(one / 2.5) for one in (beside_dark, beside_bright, weak)]
figure = drawing.picture_rows(
    [[castle, *row_of[name]] for name in row_of],
    titles=["photo", "beside a dark one", "beside a bright one", "faded, beside a dark one"],
    labels=list(row_of),
    width=10,
)
show(figure, "Batch norm changes with the neighbour, instance norm does not", jpeg=True)
for name, value in apart.items():
    print(f"{name}: the two results differ by {value:.4f} on average")

# %% [markdown]
# Two lessons. Batch norm adds noise from neighbours, in a task where every pixel of *this* photo
# matters (and with one picture a batch, as here, it would use running means when painting that it
# never used while learning). And instance norm takes away a picture's own contrast: the faded
# photo, last column, comes out as the strong one did. For style that is a gift, since contrast is
# part of it.
#
# **Exercise.** Instance norm also has a price: a large photo cut into tiles would have each tile
# normalised for itself. What would you see? ([docs/photos.md](../docs/photos.md) tells what is
# done about it.)
#
# ### The dead innermost layer
#
# At 256 pixels the innermost map of the U-Net has 1x1 pixels. What is the mean of one pixel?
# Itself. So $x - \mu = 0$: the norm gives $\beta$, whatever the photo shows. Look at what comes
# out of it, for two photos:

# %%
innermost = generator.down[7]
caught: list[Tensor] = []
hook = innermost.norm.register_forward_hook(lambda _part, _given, out: caught.append(out))
with torch.no_grad():
    for side in (256, 512):
        for name in ("castle", "village"):
            square = images.read_square(SAMPLES / f"{name}.jpg", side)
            generator(torch.from_numpy(images.to_batch(square)))
            size = tuple(caught[-1].shape[2:])
            print(f"{name:8} at {side}: map {size}, largest value {caught[-1].abs().max():.4f}")
hook.remove()

# %% [markdown]
# At 256, exactly zero (here $\beta = 0$; after training, a constant). Nothing flows forward, so
# nothing flows back: the gradient of its kernel is zero too, whatever is wanted of its output. Here
# a sum of it with random weights, of which each would like another value:

# %%
weight = innermost.conv.weight
for side in (2, 4):  # what a picture of 256 or 512 pixels leaves for this layer
    weight.grad = None
    out = innermost(torch.randn(1, 512, side, side))
    (torch.randn_like(out) * out).sum().backward()
    found_gradient = f"largest gradient {weight.grad.abs().max():.3g}"
    print(f"map {tuple(out.shape[2:])}: {weight.numel():,} weights, {found_gradient}")

# %% [markdown]
# Four million weights that never learn anything. At 512 pixels the map has 2x2 values, the layer
# wakes up, and feeds numbers into the network that it has never seen: one reason why this U-Net is
# not simply run on larger photos ([docs/import.md](../docs/import.md#larger-photos)).
#
# **Exercise.** pix2pix leaves the norm of the innermost block out (`order="pix2pix"` of
# `UNetSpec`). Does that repair it? And what would a U-Net of seven blocks (`depth=7`) lose?
#
# ### Scores
#
# How near are the paintings to Monet's? Let a network that was trained on ImageNet look at both
# sets: each picture becomes a row of $d$ = 1,280 features. The *kernel distance* (KID,
# [Binkowski et al. 2018](https://arxiv.org/abs/1801.01401)) compares the two clouds of rows. How
# alike two rows are, says the kernel $k(a, b) = (a \cdot b / d + 1)^3$, and
#
# $$\mathrm{KID} = \mathbb{E}\,k(a, a') + \mathbb{E}\,k(b, b') - 2\,\mathbb{E}\,k(a, b)$$
#
# Here $a$ and $a'$ are rows of two *different* pictures of the first set, $b$ and $b'$ of two
# different pictures of the second, and each $\mathbb{E}$ is the mean over all such pairs; in the
# last, over all pairs of one picture from each set. In words: how alike are the pictures within the
# sets, less how alike across?
#
# KID is 0 where the sets are alike, and it is an *estimate*: with few pictures it has much noise.
# To see how much, the paintings are scored against each other, twelve against the other twelve,
# two hundred times.

# %%
from pleinair import metrics
from pleinair.engines import features as features_on

look = features_on(torch.device("cpu"))
random = np.random.default_rng(0)


def crops(count: int) -> list[drawing.Pixels]:
    """Squares of 256 pixels from all over the five photos."""
    found = []
    for index in range(count):
        whole = images.read_small(sorted(SAMPLES.glob("*.jpg"))[index % 5], 384)
        top, left = (int(random.integers(side - 255)) for side in whole.shape[:2])
        found.append(whole[top : top + 256, left : left + 256])
    return found


squares = crops(24)
painting_rows, photo_rows = look(shown), look(squares)
painted_rows = look([monet.paint(square) for square in squares])
scores: dict[str, list[float]] = {"photos": [], "painted by monet": [], "other Monets": []}
for _ in range(200):
    order = random.permutation(24)
    some, others = painting_rows[order[:12]], painting_rows[order[12:]]
    few = random.permutation(24)[:12]
    scores["photos"].append(metrics.kernel_distance(photo_rows[few], some))
    scores["painted by monet"].append(metrics.kernel_distance(painted_rows[few], some))
    scores["other Monets"].append(metrics.kernel_distance(others, some))
for name, values in scores.items():
    print(f"{name:18} KID-Lite0 {np.mean(values):7.4f}, spread {np.std(values):.4f}")

# %% [markdown]
# Above, these scores of sets of twelve, their means as black bars. Below, what is on the painter's
# [card](../src/pleinair/painters/monet.md): 300 photos against 100 paintings that no training saw,
# with 95% intervals as lines; "other Monets" are 50 of these paintings against the other 50. Its
# recipes had 40 minutes each. What is in both comes in the same order; the noise is another.

# %%
import re

card = (HERE.parent / "src" / "pleinair" / "painters" / "monet.md").read_text(encoding="utf-8")
pattern = r"^\| \**([^|*]+?)\** \| (-?[\d.]+) \((-?[\d.]+) to (-?[\d.]+)\)"
names = {  # as they are called above; a recipe keeps its name
    "the photographs themselves": "photos",
    "monet": "painted by monet",
    "50 of the paintings against the other 50": "other Monets",
}
told: dict[str, tuple[float, ...]] = dict.fromkeys(names.values(), ())
for name, *numbers in re.findall(pattern, card, re.M)[:6]:  # the first column of the first table
    name = name.replace("`", "").replace(", 40 minutes", "")
    told[names.get(name, name)] = tuple(map(float, numbers))

color_of = {"photos": drawing.PHOTO, "other Monets": drawing.GREEN}  # whatever is painted is red
figure, (upper, lower) = plt.subplots(
    2, 1, figsize=(9, 5.6), layout="constrained", height_ratios=[1, 1.5], sharex=True
)
for place, (name, values) in enumerate(scores.items()):
    color, height = color_of.get(name, drawing.PAINTING), place + random.uniform(-0.2, 0.2, 200)
    upper.plot(values, height, ".", color=color, markersize=3, alpha=0.5)
    upper.plot(np.mean(values), place, "|", color="black", markersize=24)
for place, (name, (kid, least, most)) in enumerate(told.items()):
    color = color_of.get(name, drawing.PAINTING)
    lower.plot([least, most], [place, place], color=color, lw=2)
    lower.plot(kid, place, "o", color=color, markersize=6)
upper.set(title="here: sets of twelve, drawn 200 times")
lower.set(title="the card: 300 photos, 100 paintings", xlabel="KID-Lite0")
for axis, labels in ((upper, scores), (lower, told)):
    axis.set_yticks(range(len(labels)), list(labels))
    axis.axvline(0, color="gray", lw=0.8)
    axis.invert_yaxis()
show(
    figure, "KID of photos, of paintings by monet and of real ones; and the card's, with intervals"
)

# %% [markdown]
# A difference smaller than the noise is none. And a score sees only what its network sees: look at
# the pictures, too, and ask people ([docs/scores.md](../docs/scores.md)).
#
# **Exercise.** Score a set against itself plus a little noise, and `squares` against blurred
# copies of themselves. Is KID a measure of style, of quality, or of both?
#
# ### When to stop
#
# A GAN's losses do not tell: two networks that pull against each other can both hold still while
# the painter gets better, or worse. So one scores now and then, with pictures that are not trained
# on, and keeps the best painter. This curve is from a run of an earlier `light` on 934 paintings
# and 2,500 photographs ([its history](light-history.jsonl)), scored every 100 steps:

# %%
history = read_history(HERE / "light-history.jsonl")
scored = [line for line in history if "kid" in line]
lost = [line for line in history if LOSSES[0] in line]
figure, (upper, lower) = plt.subplots(2, 1, figsize=(9, 4.4), sharex=True, layout="constrained")
steps, kids = [line["step"] for line in scored], [line["kid"] for line in scored]
upper.plot(steps, kids, "o-", label="painter")
upper.axhline(scored[0]["photos_kid"], ls="--", color=drawing.PHOTO, label="the photos themselves")
best = int(np.argmin(kids))
upper.annotate(
    f"best: {kids[best]:.3f}", (steps[best], kids[best]), (0, 36), textcoords="offset points",
    ha="center", arrowprops={"arrowstyle": "->"},
)  # fmt: skip
upper.set(ylabel="KID-Lite0", ylim=(0, 1.5 * max(kids)))
upper.legend(loc="lower left")
for name in LOSSES:
    steps_of = [line["step"] for line in lost if name in line]
    lower.plot(
        steps_of, [line[name] for line in lost if name in line], label=name.replace("_", " ")
    )
lower.set(xlabel="step", ylabel="losses", ylim=(0, 1.3))
lower.legend(fontsize="small", ncols=2, loc="upper right")
for axis in (upper, lower):
    axis.grid(alpha=0.3)
show(figure, "The score falls in steps, while the losses say little about it")

# %% [markdown]
# Look at steps 200 to 400: there it seemed to have stopped. Then the score falls again, which the
# losses below hardly show. A score or two without progress are no reason to stop, since they are
# noisy themselves: `pleinair train --patience 5` stops after five without a better one, and the
# best painter is kept ([docs/training.md](../docs/training.md#when-to-stop)). This run ended long
# before it was done; the painter that ships had 10,000 steps of `swift`, and scores 0.023.
#
# **Exercise.** The best of many noisy scores is better than it deserves. Why, and how would you
# report an honest one?
#
# ## Where to go from here
#
# - Train on paintings of your own choice: [docs/training.md](../docs/training.md).
# - Read the code: networks in `src/pleinair/networks`, the step in `src/pleinair/step.py`, the
# loop in `src/pleinair/training.py`; [CONTRIBUTING.md](../CONTRIBUTING.md) says where everything
# lives.
# - Read the papers: [GAN](https://arxiv.org/abs/1406.2661),
# [pix2pix](https://arxiv.org/abs/1611.07004), [CycleGAN](https://arxiv.org/abs/1703.10593), and
# [CUT](https://arxiv.org/abs/2007.15651), which does without the cycle.
#
# How long did it take?

# %%
print(f"{time.perf_counter() - started:.0f} seconds from top to bottom")
