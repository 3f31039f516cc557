"""Every default and limit of the commands, once. Standard library only: read before anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
    base_bytes: int = 98 * 2**20  # of the process before it paints
    least_tile_bytes: int = 64 * 2**20
    measured_bytes: int = 368 * 2**20  # at work while statistics are measured
    least_measured: int = 2**18  # pixels that are measured whole whatever the network takes
    weights_copies: int = 6
    sampled_pixels: int = 2**19  # of pictures that are too large to be measured whole
    sample_side: int = 96  # pixels of the squares that they are measured on in large pictures
    quilt_margin: int = 32  # reflected pixels around a photo that is painted in blended squares
    large_batch: int = 2**18  # pixels above which working memory is given back after a layer
    trial_side: int = 256  # pixels of a picture on which devices are compared
    trial_runs: int = 3  # of which the fastest counts
    trial_tolerance: float = 0.02  # from the processor's result, in units of [-1, 1]
    sessions_kept: int = 4  # networks with their statistics, compiled ...
    kept_bytes: int = 256 * 2**20  # ... as long as their weights together take no more
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
    small_bytes: int = 8 * 2**20  # of the file of such a photo
    most_jobs: int = 256
    pictures_ahead: int = 4  # decoded while others are painted, as far as bytes allow
    bytes_ahead: int = 128 * 2**20
    files_together: int = 64  # put on the disk in one go ...
    seconds_together: float = 0.5  # ... or all that come within so long
    settle_seconds: float = 1.0  # without a change after which an arriving photo is whole
    look_again_seconds: float = 60.0  # for arrivals that nobody told of
    watch_tries: int = 3  # of a photo that cannot be read, each after twice the wait


@dataclass(frozen=True)
class ScaleSettings:
    """Limits of painting libraries with many workers, and of what is asked of an object store."""

    photos_together: int = 128  # that a worker is given at once ...
    bytes_together: int = 32 * 2**20  # ... as long as their files together take no more
    shares: int = 4  # that every worker gets at least, where there are enough photos
    requests: int = 8  # at once, of each worker
    bytes_ahead: int = 32 * 2**20  # of photos' files that are fetched while others are painted
    tries: int = 4  # of a request that fails
    first_wait: float = 0.5  # seconds before the second try, then twice as long each time
    careful_after: int = 2  # deaths of a worker over the same photos, which then go one by one
    deaths: int = 2  # of a worker over one photo, which is then passed over
    starts: int = 3  # of Ray on this machine, which gives up after a minute
    answer_seconds: float = 10.0  # after which a cluster's machine is not there
    object_store: int = 128 * 2**20  # bytes of Ray's own, for names and results


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
    ir_version: int = 10  # which ONNX Runtime knows since 1.19
    tolerance: float = 1e-4  # largest difference to PyTorch, in units of [-1, 1]
    side: int = 512  # pixels, for kinds of files that take one size only
    half_psnr: float = 54.0  # decibels of float16 to float32: half a level of 0 to 255
    least_psnr: float = 40.0  # decibels of int8 to float32, each on the worst picture tried
    calibrating: int = 8  # pictures that int8 takes its ranges from
    checking: int = 4  # others that float16 and int8 are tried on
    trial_side: int = 256  # pixels of both
    device_tolerance: float = 1e-3  # of LiteRT, whose sums are in another order, in [-1, 1]
    image_tolerance: float = 2.0  # largest difference in levels, of what rounds to 8 bits


@dataclass(frozen=True)
class ImportSettings:
    """Limits of files that other programs wrote, and how they are tried out."""

    header_bytes: int = 100_000_000  # of a safetensors file, as its own library has it
    most_nested: int = 8  # dictionaries in each other
    most_tensors: int = 100_000
    most_weights: int = 2**29  # numbers of one array of an ONNX file
    graph_depth: int = 16  # graphs in each other in an ONNX file
    trial_side: int = 256  # pixels of the picture on which a network of unknown values is tried
    plain: float = 0.8  # of the error with equal ranges, below which unequal ones are believed
    tolerance: float = 1e-4  # largest difference of a written file to PyTorch, where it is there


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
class HubSettings:
    """Limits of painters that are fetched, and of what others say of them."""

    bytes: int = 2 * 2**30  # of a painter's file; the largest known has 218 MB
    registry_bytes: int = 2**20
    unreached_tries: int = 2  # of a server that does not answer: whoever paints is waiting
    words: int = 300  # characters of a title, a licence and so on
    cache_format: int = 1  # of painters in the cache; another number, and they are made anew
    sheet_side: int = 256  # pixels of the pictures on a published sheet
    licences: tuple[str, ...] = (  # that are known to the Hugging Face Hub by these words
        "apache-2.0",
        "mit",
        "bsd-2-clause",
        "bsd-3-clause",
        "cc0-1.0",
        "cc-by-4.0",
        "cc-by-sa-4.0",
        "cc-by-nc-4.0",
        "cc-by-nc-sa-4.0",
        "gpl-3.0",
        "unlicense",
    )


@dataclass(frozen=True)
class DoctorSettings:
    """Where a painter's fault begins. Levels are of 0 to 255.

    Figures of `monet`, of healthy and of broken painters behind each limit are in docs/doctor.md.
    """

    side: int = 256  # pixels of test pictures; and twice that, to see whether size matters
    beyond: float = 0.05  # of [-1, 1] by which values may miss it: of networks that do not clip
    share_beyond: float = 0.02  # of values that may lie further out
    hundreds: float = 8.0  # a value that no network of [-1, 1] gives: 0 to 255 is meant
    dead: float = 2.0  # levels of deviation in the painting of a landscape, below which it is flat
    same: float = 0.1  # of the difference of two photos that their paintings must have at least
    repeat: float = 1e-3  # difference of two paintings of one photo, in [-1, 1]
    inverted: float = -0.1  # correlation of light and dark, below which they are exchanged
    little_left: float = 0.3  # the same, below which little of the photo is left
    copy: float = 2.0  # median change in levels, below which the photo is copied ...
    near_copy: float = 5.0  # ... or nearly so
    lattice_2: float = 30.0  # spectral ratio; photographs have 1 to 4, lattices hundreds
    lattice_4: float = 60.0  # photographs have 3 to 8
    lattice_levels: float = 1.0  # deviation of what repeats in a smooth gradient, as eyes see it
    swapped: float = 0.3  # by which red must be more like blue than like red
    colourless: float = 0.15  # of the photo's colour that is left
    frame: float = 14.0  # levels by which the outer pixels of flat grey differ
    frame_pixels: int = 8
    size: float = 10.0  # levels that mean colours may move between 256 and 512 pixels
    speed_side: int = 1024  # pixels of what is painted by turns with monet, if that takes at most
    speed_seconds: float = 4.0
    grain: float = 6.0  # times the noise of a flat surface that may come out
    shift: int = 3  # pixels by which an edge may be moved


@dataclass(frozen=True)
class ExplainSettings:
    """What a page that explains a painter shows."""

    side: int = 256  # pixels of the square that the networks see
    most_side: int = 1024
    maps: int = 16  # of a layer's channels, those that vary most
    map_side: int = 128  # pixels within which a map is shown
    map_quality: int = 62  # of WebP
    wide: int = 8  # pixels around a place whose mean is its colour; what is finer is strokes
    gain: float = 4.0  # by which a cycle's difference is shown larger
    most_workers: int = 4  # paintings without a layer, made side by side with one core each ...
    side_by_side: int = 64 * 2**20  # ... by networks of up to so many bytes


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


@dataclass(frozen=True)
class ServeSettings:
    """Defaults and limits of `pleinair serve`."""

    host: str = "127.0.0.1"
    port: int = 8000
    bytes: int = 64 * 2**20  # of a photo's file
    pixels: int = 50_000_000  # of a photo; of an animation, of all its frames together
    queue: int = 32  # photos that are received or wait, beside those that are painted
    bytes_waiting: int = 256 * 2**20  # of files that are received, wait or are painted
    jobs: int | None = None  # painted at once; None: small ones side by side, large ones alone
    seconds: float = 300.0  # for one painting
    head_seconds: float = 10.0  # for the head of a request to come
    body_seconds: float = 60.0  # for its body
    answer_seconds: float = 120.0  # without a byte of an answer being taken
    linger_seconds: float = 2.0  # that a body is still taken, and thrown away, after its answer
    linger_bytes: int = 128 * 2**20  # of it at most: on a fast line, seconds are gigabytes
    idle_seconds: float = 75.0  # between requests; longer than clients keep connections
    connections: int = 500  # beyond which idle ones are closed
    field_bytes: int = 1000  # of a field of a form that is no file
    frame_bytes: int = 2**16  # of a form beside its file
    name_length: int = 100  # characters of a file's name that are kept
    at_once_pixels: int = 4_000_000  # up to which a painting is the answer itself, no job
    kept: int = 256  # jobs that are remembered
    kept_seconds: float = 600.0  # without being asked for, after which a job is forgotten
    kept_bytes: int = 256 * 2**20  # of paintings that wait to be fetched
    longest_pause: float = 60.0  # seconds before who is sent away, or waits, is to ask again
    sweep_seconds: float = 5.0  # between looks for jobs to forget
    stop_seconds: float = 60.0  # for what is painted when the server is told to stop
    fetch_seconds: float = 5.0  # for paintings of jobs to be fetched before it does
    megapixel_seconds: float = 2.0  # that painting takes, before anything was painted
    preview_side: int = 2048  # pixels of the longest side of what /v1/previews answers
    preview_quality: int = 85
    look_again_seconds: float = 1.0  # between looks at the folder of painters
    painters_kept: int = 4  # loaded, in each way of painting


@dataclass(frozen=True)
class SiteSettings:
    """Limits of painting in a browser."""

    max_bytes: int = 64 * 2**20  # of a photo's file
    max_pixels: int = 64_000_000  # some 12 bytes each at work; tablets have little memory
    band_pixels: int = 2**21  # that pass through a canvas at a time
    kept_bytes: int = 96 * 2**20  # of photos and paintings, each kept for the next look
    unknown_memory: int = 700 * 2**20  # bytes to paint with where a browser does not tell
    least_memory: int = 256 * 2**20
    most_threads: int = 8  # more wait for each other
    accept: tuple[str, ...] = (
        "image/jpeg",
        "image/png",
        "image/webp",
        "image/avif",
        "image/gif",
        "image/bmp",
    )


PAINT = PaintSettings()
SITE = SiteSettings()
FOLDERS = FolderSettings()
SCALE = ScaleSettings()
TRAIN = TrainSettings()
EVALUATE = EvaluateSettings()
KAGGLE = KaggleSettings()
EXPORT = ExportSettings()
IMPORT = ImportSettings()
DATA = DataSettings()
HUB = HubSettings()
DOCTOR = DoctorSettings()
EXPLAIN = ExplainSettings()
VIDEO = VideoSettings()
SERVE = ServeSettings()

_COMMON = frozenset([".jpg", ".jpeg", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp"])
_OTHERS = frozenset([".tif", ".tiff", ".ppm", ".pgm", ".avif", ".heic", ".heif", ".hif"])
PICTURE_SUFFIXES = _COMMON | _OTHERS
# Of other programs' weights, and of ours before they are exported.
WEIGHT_SUFFIXES = frozenset([".h5", ".keras", ".pth", ".pt", ".ckpt", ".safetensors"])
MANIFEST_SUFFIXES = frozenset([".csv", ".tsv", ".jsonl"])
PIXEL_CONTRACT = "float32 NCHW, RGB in sRGB, [-1, 1]"
# Where others have channels last, or pictures as they are shown.
PIXEL_CONTRACT_LAST = "float32 NHWC, RGB in sRGB, [-1, 1]"
PIXEL_CONTRACT_IMAGE = "an RGB image in sRGB, 8 bits a channel"
