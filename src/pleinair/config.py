"""Every default and limit, once. Standard library only: the command line imports this first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Adversarial = Literal["lsgan", "bce", "hinge"]
DiscriminatorNorm = Literal["none", "instance", "affine"]
Decay = Literal["linear", "cosine"]
Direction = Literal["both", "painting"]


# --- networks -------------------------------------------------------------------------------


@dataclass(frozen=True)
class UNetSpec:
    """The lab's generator: 8 stride-2 blocks down, 8 up, skips; takes multiples of 256 pixels."""

    channels: int = 64
    depth: int = 8
    dropout: float = 0.5
    slope: float = 0.3  # Keras' LeakyReLU default
    norm_epsilon: float = 1e-3  # tensorflow_addons' InstanceNormalization default


@dataclass(frozen=True)
class ResNetSpec:
    """The paper's generator: 7x7, two down, residual blocks, two up, 7x7; multiples of 4 pixels."""

    channels: int = 64
    blocks: int = 9


@dataclass(frozen=True)
class LightSpec:
    """Ours: residual blocks at a quarter of the size, the photo's own detail beside the output."""

    channels: int = 64  # at 1/4, where the residual blocks work
    half_channels: int = 16  # at 1/2
    detail_channels: int = 16  # at full size
    blocks: int = 6


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
    """Patch discriminators on frozen ImageNet features of strides 4, 8 and 16."""

    channels: int = 64
    slope: float = 0.2


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


def edge_margin(spec: Spec | AnySpec, longest: int) -> int:
    """Pixels to add around a picture, by reflection, so that its edges are painted like the rest.

    A network that pads with zeros darkens or lightens a frame of about its first layers' reach;
    the lab's paints its 256 pixels as they are, and the paper's reflects by itself.
    """
    if not isinstance(spec, LightSpec):
        return 0
    # The padding's reach is 48 pixels, faint beyond 16; where layers follow they would show it.
    return 16 if longest <= 256 else 48


def working_bytes_per_pixel(spec: Spec | AnySpec) -> int:
    """About what one pixel of a picture costs in memory while this generator runs."""
    match spec:
        case LightSpec():
            # In ONNX Runtime 290 to 350 at the default widths, and what is made ready for it.
            return 15 * (spec.detail_channels + spec.half_channels // 4 + spec.channels // 16)
        case AnySpec():
            return 1024  # as the paper's
        case UNetSpec() | ResNetSpec() | PatchSpec() | FeatureSpec():
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
    flip: bool = True
    batch: int = 1
    discriminator_batch: int = 1  # pictures of each kind in a discriminator's step; >= batch
    steps: int = 10_000
    direction: Direction = "both"  # painting: photo to painting only, held to the photo by PatchNCE

    cycle_weight: float = 10.0
    cycle_end_weight: float = 10.0  # reached at the end, as the rates fall
    cycle_pool: int = 1  # pixels of the squares whose means have to come back
    cycle_noise: float = 0.0  # standard deviation, in units of [-1, 1]
    ripple_weight: float = 0.0  # of what a painter makes of a perfectly smooth gradient
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

RECIPES: dict[str, Recipe] = {
    "light": Recipe(
        name="light",
        generator=LightSpec(),
        discriminator=FeatureSpec(),
        adversarial="lsgan",
        crop=128,
        resize_min=256,
        resize_max=300,
        steps=10_000,
        discriminator_batch=2,
        cycle_weight=3.0,
        cycle_end_weight=0.5,
        cycle_pool=4,
        cycle_noise=0.03,
        ripple_weight=10.0,
        identity_weight=0.0,  # its generators begin as copies: colours need no other anchor
        identity_end_weight=0.0,
        generator_rate=3e-4,
        discriminator_rate=4e-4,
        decay_from=0.5,
        warmup_steps=100,  # until then a copy passes for a painting
        pool_size=50,
        ema_decay=0.999,
    ),
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


# --- commands -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Look:
    """How a photo is to be painted."""

    layers: int | None = None  # each with strokes half as large; None: by the photo's size
    brush: float = 1.0  # how large strokes are relative to the picture
    strength: float = 1.0  # 0: the photo, 1: the painting, up to 1.5: beyond it
    colors: Literal["painter", "photo"] = "painter"  # photo: keep the photo's own chroma


LOOK = Look()


@dataclass(frozen=True)
class PaintSettings:
    """Defaults and limits of painting."""

    painter: str = "monet"
    jpeg_quality: int = 92  # and of WebP; where the photo's own is not known
    avif_quality: int = 80  # and of HEIC, which at this number look like a JPEG of 92
    max_pixels: int = 200_000_000  # of a photo; above it the header is taken for a bomb
    max_frame_pixels: int = 40_000_000  # of an animation; 8K has 33 million
    max_film_pixels: int = 4_000_000_000  # of all its frames together
    max_frames: int = 20_000
    sheet_height: int = 512  # pixels of each picture on a sheet
    max_layers: int = 16
    memory: int = 1400 * 2**20  # bytes that painting takes where as much is free
    least_memory: int = 512 * 2**20
    base_bytes: int = 110 * 2**20  # of the process before it paints
    least_tile_bytes: int = 64 * 2**20
    measured_bytes: int = 368 * 2**20  # at work while statistics are measured
    sampled_pixels: int = 2**19  # of pictures that are too large to be measured whole
    sample_side: int = 96  # pixels of the squares that they are measured on in large pictures
    large_batch: int = 2**18  # pixels above which working memory is given back after a layer
    trial_side: int = 256  # pixels of a picture on which devices are compared
    trial_runs: int = 3  # of which the fastest counts
    trial_tolerance: float = 0.02  # from the processor's result, in units of [-1, 1]
    sessions_kept: int = 4  # networks with their statistics, compiled
    kept_drift: float = 0.2  # of statistics between frames of one scene, in deviations
    band_pixels: int = 2**19  # of a painting that are finished at a time
    least_brush: float = 0.25
    most_brush: float = 8.0
    most_strength: float = 1.5
    broad: int = 16  # pixels below which colour is no broad colour
    first_layer: int = 512  # pixels, about, of the longer side under the broadest strokes
    layer_detail: float = 0.5  # of the photo's finer detail that a layer paints over, in [0, 1]
    layer_colour: float = 0.7  # how far a layer keeps the broad colours below it, in [0, 1]


@dataclass(frozen=True)
class PaintOptions:
    """How paintings are made and written, apart from their look."""

    suffix: str | None = None  # type of the paintings, as .png; None: the photo's own, else .jpg
    quality: int | None = None  # of JPEG and WebP, 1 to 100; None: PaintSettings.jpeg_quality
    strip: bool = False  # leave the photo's metadata out
    force: bool = False  # overwrite what we did not paint
    memory: int | None = None  # bytes for the whole process; None: chosen by what is free
    device: str = "auto"


PAINT_OPTIONS = PaintOptions()


@dataclass(frozen=True)
class FolderSettings:
    """Limits of painting many photos, and of waiting for more."""

    small_pixels: int = 600_000  # up to which photos are faster side by side, a core each
    most_jobs: int = 256
    pictures_ahead: int = 4  # decoded while others are painted, as far as bytes allow
    bytes_ahead: int = 128 * 2**20
    files_together: int = 64  # put on the disk in one go ...
    seconds_together: float = 0.5  # ... or all that come within so long
    settle_seconds: float = 1.0  # without a change after which an arriving photo is whole
    look_again_seconds: float = 60.0  # for arrivals that nobody told of
    watch_tries: int = 3  # of a photo that cannot be read, each after twice the wait


@dataclass(frozen=True)
class TrainSettings:
    """Defaults of a training run that are not part of its recipe."""

    recipe: str = "light"
    seed: int = 0
    checkpoint_every: int = 500  # steps
    sample_every: int = 250  # steps
    score_every: int = 1000  # steps
    log_every: int = 10  # steps between lines of history.jsonl
    sample_photos: int = 5
    score_photos: int = 100  # painted for a score; held out where there are 20 times as many
    score_paintings: int = 300  # that they are compared with
    score_least: int = 8  # pictures of either kind; fewer tell nothing
    likeness_pictures: int = 24  # of each kind, looked at for folders that were mixed up
    cache_mib: int = 2048  # decoded pictures kept in memory, both domains together
    checkpoints_kept: int = 3  # beside the best


@dataclass(frozen=True)
class EvaluateSettings:
    """The protocol of scores."""

    side: int = 256  # pixels of the square that every picture becomes
    backbones: tuple[str, ...] = ("lite0", "lite2")
    batch: int = 16  # pictures that a backbone looks at together; fewer are slower on one core
    most_workers: int = 8  # batches at once, each with some 400 MB
    scene_strides: tuple[int, ...] = (8, 16)  # where a map tells what is in the picture
    strangers: int = 32  # pairs of unlike photos behind the baseline of a scene that is lost
    sheet_photos: int = 8  # rows of a report's sheet
    extremes: int = 6  # best and worst results of a report
    ballot_pairs: int = 30  # that a person is asked about
    ballot_references: int = 8  # paintings shown beside them
    page_quality: int = 85  # of WebP pictures in pages
    nearest: int = 6  # results that are shown beside the paintings they are most alike
    resamples: int = 1000  # bootstrap samples behind an interval
    subsets: int = 50  # behind KID's mean and deviation
    subset_size: int = 100
    least: int = 8  # pictures of either kind
    frechet_least: int = 2048  # pictures below which a Frechet distance comes with a warning


@dataclass(frozen=True)
class KaggleSettings:
    """What the competition `gan-getting-started` takes as images.zip."""

    side: int = 256  # pixels
    fewest: int = 7_000
    most: int = 10_000
    most_workers: int = 8


@dataclass(frozen=True)
class ExportSettings:
    """How an exported graph is written and checked."""

    opset: int = 18
    tolerance: float = 1e-4  # largest difference to PyTorch, in units of [-1, 1]


@dataclass(frozen=True)
class DataSettings:
    """Limits of training sets: what is read, decoded ahead, downloaded and unpacked."""

    batches_ahead: int = 4  # of each domain, ready while a step runs
    decoders: int = 2  # threads of each domain
    decoder_niceness: int = 10
    max_picture_bytes: int = 512 * 2**20  # of one picture inside an archive or a shard
    max_download_bytes: int = 64 * 2**30
    max_unpacked_bytes: int = 64 * 2**30  # of a whole archive
    max_unpacked_files: int = 2_000_000
    row_group_bytes: int = 256 * 2**20  # of parquet kept in memory
    timeout: float = 30.0  # seconds without a word from a server
    tries: int = 5  # in a row that bring nothing new
    first_wait: float = 1.0  # seconds before the second try, then twice as long each time
    longest_wait: float = 60.0


@dataclass(frozen=True)
class VideoSettings:
    """Defaults and limits of painting clips. Levels are of 0 to 255, whatever the bit depth."""

    smoothing: float = 0.6  # seconds over which what stands still is averaged
    most_smoothing: float = 10.0
    segment_frames: int = 60  # painted between two savings; each begins with a keyframe
    least_segment_frames: int = 15
    segment_pixels: int = 60 * 1280 * 720  # of larger frames fewer: that many pixels together
    crf: int = 18  # of H.264 and HEVC: nothing of a stroke is lost to the eye
    most_crf: int = 51
    open_crf: int = 24  # of VP9 and AV1: about as good
    most_open_crf: int = 63
    audio_rate: int = 160_000  # bits a second, where audio cannot be copied
    seek_margin: float = 10.0  # seconds that are decoded before the frame to go on from
    clock_back: float = 1.0  # seconds; by less, a frame is out of order
    cut_short: float = 1.5  # seconds that a clip may lack at its end before that is said
    block: int = 4  # pixels of the squares that move or stand still
    thumbnail: int = 16  # pixels of the squares by which cuts are seen
    cut_levels: float = 12.0  # mean difference of two frames that may be a cut
    cut_likeness: float = 0.6  # correlation of two frames at or above which there is none
    noise: tuple[float, float] = (0.5, 12.0)  # levels of a camera's, at least and at most
    still_noise: float = 2.5  # levels of difference that may be noise whatever the picture's grain
    moves: tuple[float, float] = (1.3, 2.2)  # times the noise: a square begins to move, and does
    flutter: tuple[float, float] = (0.04, 0.10)  # of the picture's light: it begins to be followed
    reach: int = 2  # squares around what moves whose strokes change with it
    dead_band: float = 0.75  # levels below which a pixel to paint stays as it is
    measure_every: float = 0.25  # seconds between two measurements of statistics in one scene
    drift: float = 0.03  # of statistics, in deviations, below which they stay as they are
    jump: float = 1.5  # of statistics, in deviations, that is a cut


PAINT = PaintSettings()
FOLDERS = FolderSettings()
TRAIN = TrainSettings()
EVALUATE = EvaluateSettings()
KAGGLE = KaggleSettings()
EXPORT = ExportSettings()
DATA = DataSettings()
VIDEO = VideoSettings()

PICTURE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".png",
        ".webp",
        ".bmp",
        ".tif",
        ".tiff",
        ".gif",
        ".ppm",
        ".pgm",
        ".avif",
        ".jfif",
        ".apng",
        ".heic",
        ".heif",
        ".hif",
    ]
)
MANIFEST_SUFFIXES = frozenset([".csv", ".tsv", ".jsonl"])
PIXEL_CONTRACT = "float32 NCHW, RGB in sRGB, [-1, 1]"
