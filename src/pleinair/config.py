"""Networks and recipes as plain values, once. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Adversarial = Literal["lsgan", "bce", "hinge"]
DiscriminatorNorm = Literal["none", "instance", "affine"]
Decay = Literal["linear", "cosine"]
Direction = Literal["both", "painting"]
Way = Literal["painting", "photo"]  # what a generator makes of the other
Order = Literal["lab", "pix2pix"]
Keeps = Literal["detail", "half", "colours"]
Doubling = Literal["bilinear", "shuffle"]


# --- networks -------------------------------------------------------------------------------


@dataclass(frozen=True)
class UNetSpec:
    """The lab's generator: 8 stride-2 blocks down, 8 up, skips; takes multiples of 256 pixels.

    order: lab: convolution, norm, activation, and skips are activated; pix2pix, as its authors
    published it: activation, convolution with a bias, norm, and no norm in the innermost block.
    """

    channels: int = 64
    depth: int = 8
    dropout: float = 0.5
    slope: float = 0.3  # Keras' LeakyReLU default
    norm_epsilon: float = 1e-3  # tensorflow_addons' InstanceNormalization default
    order: Order = "lab"


@dataclass(frozen=True)
class ResNetSpec:
    """The paper's generator: 7x7, two down, residual blocks, two up, 7x7; multiples of 4 pixels.

    blur_down, blur_up: convolutions of stride 1 with an anti-aliasing blur behind or before them,
    as CUT has them. affine: norms with a scale and a bias of their own.
    """

    channels: int = 64
    blocks: int = 9
    blur_down: bool = False
    blur_up: bool = False
    affine: bool = False


@dataclass(frozen=True)
class LightSpec:
    """Ours: residual blocks at a quarter of the size, the photo's own detail beside the output.

    keeps: what the layers behind the blocks see of the photo. detail: the photo, and its map at
    1/2. half: that map, and colours of squares of 4 pixels. colours: those alone, so that all
    that is finer has to be painted.
    """

    channels: int = 64  # at 1/4, where the residual blocks work
    half_channels: int = 16  # at 1/2
    detail_channels: int = 16  # at full size
    blocks: int = 6
    keeps: Keeps = "detail"
    doubling: Doubling = "bilinear"  # to full size; shuffle: squares of 2x2 pixels, each its own
    low_pass: bool = False  # periods of 2 pixels are taken out of what is painted


@dataclass(frozen=True)
class AnySpec:
    """A generator that somebody else exported, of which nothing is known but the sides it takes."""

    height: int | None = None  # None: any
    width: int | None = None


@dataclass(frozen=True)
class PatchSpec:
    """A PatchGAN: `layers` stride-2 4x4 convolutions, one of stride 1, one to a map of logits."""

    channels: int = 64
    layers: int = 3
    norm: DiscriminatorNorm = "instance"
    norm_epsilon: float = 1e-5
    slope: float = 0.2
    bias: bool = True  # of all convolutions but the last, which always has one
    spectral_norm: bool = False
    detail_channels: int = 0  # of a 3x3 convolution at full size in front; 0: none
    blur: bool = False  # 3x3 convolutions, each with an anti-aliasing blur of stride 2 behind it
    scales: int = 1  # 2: a second one, on the picture at half its size


@dataclass(frozen=True)
class FeatureSpec:
    """Patch discriminators on frozen ImageNet features of strides `finest` to `deepest`."""

    channels: int = 64
    slope: float = 0.2
    deepest: int = 16  # stride: 4, 8, 16 or 32; deeper is what is where, finer is strokes
    finest: int = 4  # stride: 2 or 4
    low_pass: bool = False  # periods of 2 pixels are taken out before it looks
    palette: int = 0  # pixels of squares whose mean colours one more judges alone; 0: none

    @property
    def strides(self) -> tuple[int, ...]:
        """Of the features, from fine to coarse."""
        return tuple(s for s in (2, 4, 8, 16, 32) if self.finest <= s <= self.deepest)

    @property
    def maps(self) -> slice:
        """Of what is looked at, what is seen; a palette, which is judged alone, comes behind."""
        return slice(len(self.strides))

    @property
    def coarse(self) -> slice:
        """The maps of strides 8 and more: finer ones see strokes, and not what is where."""
        return slice(sum(stride < 8 for stride in self.strides), self.maps.stop)


DiscriminatorSpec = PatchSpec | FeatureSpec
GeneratorSpec = UNetSpec | ResNetSpec | LightSpec
PainterSpec = GeneratorSpec | AnySpec
Spec = GeneratorSpec | DiscriminatorSpec
SPEC_KINDS: dict[str, type[Spec]] = {
    "unet": UNetSpec,
    "resnet": ResNetSpec,
    "light": LightSpec,
    "patch": PatchSpec,
    "features": FeatureSpec,
}


HALVING_BLUR = (1.0, 2.0, 1.0)
DOUBLING_BLUR = (1.0, 3.0, 3.0, 1.0)
"""Rows of the binomial blurs against aliasing, before they are scaled to a sum of 1."""

LOW_PASS = (1.0, -6.0, 15.0, 44.0, 15.0, -6.0, 1.0)
"""A row that takes out periods of 2 pixels, before it is scaled: networks.blur.low_pass."""


def size_multiple(spec: Spec | AnySpec) -> int:
    """Pixels that both sides of a picture must be a multiple of for this generator."""
    match spec:
        case AnySpec():
            return 256  # which every published U-Net of eight halvings takes
        case UNetSpec():
            return int(2**spec.depth)
        case ResNetSpec() | LightSpec():
            return 4
        case PatchSpec() | FeatureSpec():
            return 1


def least_side(spec: Spec | AnySpec) -> int:
    """Pixels that both sides must have at least: a single pixel has nothing to be reflected."""
    return 8 if isinstance(spec, ResNetSpec) else size_multiple(spec)


SMALL_SIDE = 256
"""Pixels of the longer side up to which a picture has a small margin."""


def edge_margin(spec: Spec | AnySpec, longest: int, layers: int = 1) -> int:
    """Pixels to add around a picture, by reflection, so that its edges are painted like the rest.

    A network that pads with zeros darkens or lightens a frame of about its first layers' reach;
    the lab's paints its 256 pixels as they are, and the paper's reflects by itself.
    """
    if not isinstance(spec, LightSpec):
        return 0
    # The padding's reach is 48 pixels, faint beyond 16. Two take away the line that it draws along
    # the edge, and are all that small pictures, painted by the thousand, have time for; but
    # layers over others would show what is left.
    if longest > SMALL_SIDE:
        return 48
    if spec.keeps != "detail":
        return 24  # who paints the detail itself paints a frame around plain skies, too
    return 16 if layers > 1 else 2


def working_bytes_per_pixel(spec: Spec | AnySpec) -> int:
    """About what one pixel of a picture costs in memory while this generator runs.

    Measured in ONNX Runtime at the default widths, with what is made ready for it.
    """
    match spec:
        case LightSpec():
            return 15 * (spec.detail_channels + spec.half_channels // 4 + spec.channels // 16)
        case UNetSpec():
            return 11 * spec.channels
        case ResNetSpec():
            # Its 7x7 convolutions at full size are unrolled into matrices; with blurs, the next
            # layer is as large.
            return (57 + 30 * spec.blur_down + 10 * spec.blur_up) * spec.channels
        case AnySpec():
            return 57 * 64  # as the paper's
        case PatchSpec() | FeatureSpec():
            return 16 * spec.channels


def paints_in_layers(spec: Spec | AnySpec) -> bool:
    """Whether large photos are painted coarse to fine unless told: true of painters of strokes."""
    return isinstance(spec, LightSpec)


# --- recipes --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recipe:
    """A complete training configuration. Weights multiply losses; rates are Adam's.

    What a setting computes is said where it is computed: `schedules` (decay, ramps, warm-up),
    `losses` (adversarial, cycle, identity, R1, PatchNCE), `augment`, `session`.
    """

    name: str
    generator: GeneratorSpec
    discriminator: DiscriminatorSpec
    adversarial: Adversarial
    crop: int  # pixels
    resize_min: int  # pixels of the shorter side, drawn in [resize_min, resize_max]
    resize_max: int
    photo_zoom: float = 1.0  # photos' resize_max is so many times as large; paintings' is not
    flip: bool = True
    batch: int = 1
    discriminator_batch: int = 1  # pictures of each kind in a discriminator's step; >= batch
    discriminator_shift: int = 0  # pixels that what they look at is moved by, by chance
    candidates: int = 1  # paintings drawn for each photo; the one most like it is learned from
    accumulate: int = 1  # batches a step, one after the other, whose gradients are averaged
    steps: int = 10_000
    direction: Direction = "both"  # painting: photo to painting only, held to the photo by PatchNCE

    cycle_weight: float = 10.0
    cycle_end_weight: float = 10.0  # reached at the end, as the rates fall
    cycle_pool: int = 1  # pixels of the squares whose means have to come back
    cycle_noise: float = 0.0  # standard deviation, in units of [-1, 1]
    ripple_weight: float = 0.0  # of what a painter makes of a perfectly smooth gradient
    lattice_weight: float = 0.0  # of what all squares of 4x4 pixels of a painting have in common
    content_weight: float = 0.0  # of what of the scene is lost, seen by the discriminators' eye
    drift_weight: float = 0.0  # of colours that move further than `drift_margin`
    drift_margin: float = 0.25  # in units of [-1, 1]: so far, a palette may differ
    drift_pool: int = 16  # pixels of the squares whose mean colours are compared
    chroma_weight: float = 0.0  # of chroma that moves further than `chroma_margin`: coloured flecks
    chroma_margin: float = 0.25  # in units of [-1, 1]
    chroma_pool: int = 4  # pixels of the squares whose mean chroma is compared
    fleck_weight: float = 0.0  # of chroma that is finer than the photo's by more than
    fleck_margin: float = 0.05  # this, in units of [-1, 1]: strokes of odd colours in plain places
    teacher_weight: float = 0.0  # of the difference to what a teacher paints, pixel by pixel
    teacher_feature_weight: float = 0.0  # of the same, seen by the discriminators' eye
    teacher_flecks: float = 1.0  # what fine chroma of its paintings is multiplied by before that
    teacher_dusk: float = 0.0  # violet that is added to their black, in units of [-1, 1]
    teacher_dabs: float = 0.0  # how much of its paintings is in dabs that are even inside
    teacher_light: float = 1.0  # power of how far they are from white; above 1, lighter
    identity_weight: float = 5.0  # at 0 the identity pass is not computed
    identity_end_weight: float = 5.0
    identity_ramp: float = 1.0  # part of the run over which the one becomes the other
    identity_one_way: bool = False  # of the painting generator only
    nce_weight: float = 0.0  # direction "painting" only
    nce_identity: bool = True  # PatchNCE of what becomes of a painting, too
    nce_patches: int = 256
    nce_temperature: float = 0.07

    generator_rate: float = 2e-4
    discriminator_rate: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999
    rate_warmup_steps: int = 0  # over which rates rise from 0
    decay: Decay = "linear"
    decay_from: float = 1.0  # part of the run after which rates fall to 0; 1: never
    warmup_steps: int = 0  # in which only the discriminators learn

    r1_weight: float = 0.0  # of the discriminators' gradient on pictures
    r1_every: int = 16  # steps
    augment_above: float = 1.0  # DiffAugment while the discriminators are right more often than so
    pool_size: int = 0
    ema_decay: float = 0.0  # 0: samples and exports use the raw weights


def pictures_a_step(recipe: Recipe, processes: int) -> int:
    """Photos, and as many paintings, that generators learn from in a step of all processes."""
    return recipe.batch * recipe.accumulate * processes


_LIGHT = Recipe(
    name="light",
    # Strokes are painted at full size, so that is where it is wider than its default.
    generator=LightSpec(half_channels=32, detail_channels=32, keeps="half"),
    discriminator=FeatureSpec(low_pass=True),
    adversarial="lsgan",
    crop=128,
    resize_min=256,
    resize_max=300,
    steps=10_000,
    discriminator_batch=2,
    discriminator_shift=8,
    cycle_weight=0.5,  # the scene is held by its features; a cycle of weight hides a lattice
    cycle_end_weight=0.1,
    cycle_pool=4,
    cycle_noise=0.03,
    ripple_weight=10.0,
    content_weight=0.15,
    drift_weight=20.0,
    identity_weight=0.0,  # its generators begin as copies: colours need no other anchor
    identity_end_weight=0.0,
    generator_rate=3e-4,
    discriminator_rate=4e-4,
    decay_from=0.5,
    warmup_steps=100,  # until then a copy passes for a painting
    pool_size=50,
    ema_decay=0.999,
)

_PAPER = Recipe(
    name="paper",
    generator=ResNetSpec(),
    discriminator=PatchSpec(),
    adversarial="lsgan",
    crop=256,
    resize_min=286,
    resize_max=286,
    steps=250_000,
    decay_from=0.5,
    pool_size=50,
)

_SWIFT = replace(
    _LIGHT,
    name="swift",
    direction="painting",
    cycle_weight=0.0,
    cycle_end_weight=0.0,
    cycle_noise=0.0,
)

RECIPES: dict[str, Recipe] = {
    "light": _LIGHT,
    "swift": _SWIFT,
    "paper": _PAPER,
    "cut": replace(
        _PAPER,
        name="cut",
        steps=400_000,
        direction="painting",
        nce_weight=1.0,
        identity_weight=0.0,
        identity_end_weight=0.0,
        pool_size=0,
    ),
    "lab": Recipe(
        name="lab",
        generator=UNetSpec(),
        discriminator=PatchSpec(norm="affine", norm_epsilon=1e-3, slope=0.3, bias=False),
        adversarial="bce",
        crop=256,
        resize_min=256,
        resize_max=256,
        flip=False,
        steps=300,
    ),
}
