from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from cyclopts import App
from PIL import Image

from pleinair import cli, images, metrics
from pleinair.cli import terminal
from pleinair.cli import train as train_command
from pleinair.config import RECIPES
from pleinair.errors import MissingExtraError
from pleinair.recipes import recipe_from_dict

from .conftest import SAMPLES, picture
from .test_images import bomb, saved


def run(*arguments: object, capsys=None) -> int:
    """The command line in this process: its exit code."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr(sys, "argv", ["pleinair", *map(str, arguments)])
        cli.main()
    return stopped.value.code


@pytest.fixture
def photo(tmp_path) -> Path:
    path = tmp_path / "my photö.jpg"
    Image.fromarray(picture(70, 90)).save(path)
    return path


def look(path: Path) -> Image.Image:
    """A picture file, read to its end and closed."""
    with Image.open(path) as image:
        image.load()
        return image


def one_line(capsys) -> str:
    """What was said on standard error: one line of ours, no traceback."""
    said = capsys.readouterr().err.strip()
    assert said.startswith("pleinair: ")
    assert "\n" not in said
    assert "Traceback" not in said
    return said


# --- paint ------------------------------------------------------------------------------------


def test_a_photo_is_painted_beside_itself(photo, capsys):
    assert run("paint", photo) == 0
    out = photo.with_name("my photö.monet.jpg")
    assert capsys.readouterr().out.strip() == str(out)
    assert look(out).size == (90, 70)


def test_a_painting_is_not_overwritten(photo, capsys):
    run("paint", photo)
    before = photo.with_name("my photö.monet.jpg").read_bytes()
    capsys.readouterr()
    assert run("paint", photo) == 1
    assert "exists; remove it or add --force" in one_line(capsys)
    assert photo.with_name("my photö.monet.jpg").read_bytes() == before
    assert run("paint", photo, "--force") == 0


def test_the_photo_itself_is_never_overwritten(photo, capsys):
    before = photo.read_bytes()
    assert run("paint", photo, "-o", photo, "--force") == 1
    assert "the photo itself" in one_line(capsys)
    assert photo.read_bytes() == before


def test_out_may_be_a_file_or_a_folder(photo, tmp_path):
    assert run("paint", photo, "-o", tmp_path / "b.png") == 0
    assert look(tmp_path / "b.png").format == "PNG"
    assert run("paint", photo, "-o", tmp_path / "new" / "folder") == 0
    assert (tmp_path / "new" / "folder" / "my photö.monet.jpg").exists()


def test_a_sheet_shows_both(photo, tmp_path, capsys):
    assert run("paint", photo, "-o", tmp_path / "out", "--sheet") == 0
    sheet = tmp_path / "out" / "my photö.monet.sheet.jpg"
    assert str(sheet) in capsys.readouterr().out
    assert look(sheet).width > 2 * look(sheet).height


def test_a_bad_photo_does_not_stop_the_others(photo, tmp_path, capsys):
    bad = tmp_path / "bad.jpg"
    bad.write_text("text")
    out = tmp_path / "out"
    assert run("paint", bad, photo, "-o", out, "--sheet") == 1
    said = capsys.readouterr()
    assert "bad.jpg is not a picture" in said.err
    assert "1 of 2 photos were not painted" in said.err
    assert sorted(p.name for p in out.iterdir()) == ["my photö.monet.jpg", "sheet.jpg"]


def test_paintings_of_last_time_are_not_painted_again(photo, tmp_path, capsys):
    assert run("paint", photo) == 0
    painting = photo.with_name("my photö.monet.jpg")
    assert run("paint", photo, painting, "-o", tmp_path / "out") == 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == [painting.name]
    assert "is a painting already" in capsys.readouterr().err


def test_out_with_a_slash_is_a_folder_and_one_file_is_not_for_many(photo, tmp_path, capsys):
    assert run("paint", photo, "-o", f"{tmp_path}/folder.d/") == 0
    assert (tmp_path / "folder.d" / "my photö.monet.jpg").exists()
    capsys.readouterr()
    assert run("paint", photo, tmp_path / "b.jpg", "-o", tmp_path / "c.jpg") == 1
    assert "names one file; name a folder for 2" in one_line(capsys)


def test_a_sheet_of_many_photos_fits_into_a_jpeg(tmp_path):
    for index in range(200):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{index:03}.png")
    assert run("paint", *sorted(tmp_path.glob("*.png")), "-o", tmp_path / "o", "--sheet") == 0
    assert look(tmp_path / "o" / "sheet.jpg").height < 65_500


def test_folders_without_a_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("paint", ".") == 1
    assert "no picture to paint is in .;" in one_line(capsys)
    assert run("paint", "/") == 1
    assert "has no folder beside it; name one with -o" in one_line(capsys)


def test_names_beyond_the_limit_of_the_file_system(tmp_path, capsys):
    long = tmp_path / ("x" * 251 + ".jpg")
    assert run("paint", long) == 1
    assert "name too long" in one_line(capsys)


def test_a_device_that_is_not_there(folder, tmp_path, capsys):
    pictures = folder("p", 1)
    options = ("--photos", pictures, "--paintings", pictures, "--out", tmp_path / "run")
    assert run("train", *options, "--device", "tpu", "--steps", 1) == 1
    assert "use one of auto, cpu" in capsys.readouterr().err


def test_two_photos_of_one_name_do_not_meet(photo, tmp_path, capsys):
    other = tmp_path / "other" / photo.name
    other.parent.mkdir()
    other.write_bytes(photo.read_bytes())
    assert run("paint", photo, other, "-o", tmp_path / "out", "--force") == 1
    assert "another photo of that name" in capsys.readouterr().err


def frames() -> bytes:
    first, second = (Image.new("RGB", (40, 30), colour) for colour in ("red", "blue"))
    return saved(first, "GIF", save_all=True, append_images=[second])


JPEG = saved(Image.fromarray(picture(60, 80)), "JPEG")
TRANSPARENT = saved(Image.fromarray(picture(60, 80)).quantize(8), "PNG", transparency=0)
CMYK = saved(Image.fromarray(picture(60, 80)).convert("CMYK"), "JPEG")
PAINTED = {
    "one.png": (saved(Image.fromarray(picture(1, 1)), "PNG"), (1, 1)),
    "strip.png": (saved(Image.fromarray(picture(1, 5000)), "PNG"), (5000, 1)),
    "cmyk.jpg": (CMYK, (80, 60)),
    "palette.png": (TRANSPARENT, (80, 60)),
    "moving.gif": (frames(), (40, 30)),
}
REFUSED = {
    "empty.jpg": b"",
    "text.jpg": b"Dear diary, today I painted.",
    "truncated.jpg": JPEG[: len(JPEG) // 2],
    "bomb.bmp": bomb(30_000, 30_000),
}


@pytest.mark.parametrize("name", PAINTED)
def test_odd_pictures_are_painted(name, tmp_path, capsys):
    data, size = PAINTED[name]
    folder = tmp_path / "Fotos aus der Bretagne – été 2024"
    folder.mkdir()
    (folder / name).write_bytes(data)
    assert run("paint", folder / name) == 0
    assert capsys.readouterr().err == ""
    kind = Path(name).suffix if images.can_write(Path(name)) else ".jpg"
    assert look(folder / f"{Path(name).stem}.monet{kind}").size == size


@pytest.mark.parametrize("name", REFUSED)
def test_bad_pictures_are_answered_in_one_sentence(name, tmp_path, capsys):
    (tmp_path / name).write_bytes(REFUSED[name])
    assert run("paint", tmp_path / name) == 1
    assert name in one_line(capsys)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_layers_are_counted_from_one(photo, capsys):
    assert run("paint", photo, "--layers", 0) == 1
    assert "--layers 0 found" in one_line(capsys)
    assert run("paint", photo, "--layers", 2) == 0
    assert look(photo.with_name("my photö.monet.jpg")).size == (90, 70)


def test_a_folder_without_photos(tmp_path, capsys):
    (tmp_path / "text.txt").write_text("no picture")
    assert run("paint", tmp_path) == 1
    assert "no picture to paint is in" in one_line(capsys)
    assert not tmp_path.with_name(f"{tmp_path.name}.monet").exists()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that even root cannot fill")
def test_an_output_folder_without_permission(photo, capsys):
    assert run("paint", photo, "-o", "/proc/paintings/") == 1
    assert "cannot be written" in one_line(capsys)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_output_folder(photo, tmp_path, capsys):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    assert run("paint", photo, "-o", folder) == 1
    assert "cannot be written" in one_line(capsys)


def test_an_unknown_painter(photo, capsys):
    assert run("paint", photo, "--painter", "degas") == 1
    use = "use monet, london, monet-large, monet-small, photo, "
    use += "another of `pleinair painters list`, or the path"
    assert use in one_line(capsys)


# --- train and export -------------------------------------------------------------------------

RECIPE = """
base = "{base}"
crop = 32
resize_min = 32
resize_max = 36
content_weight = 0.0
[generator]
channels = 4
{more}
[discriminator]
kind = "patch"
channels = 4
layers = 2
"""
BASES = {"light": "blocks = 1", "paper": "blocks = 1", "lab": "depth = 5"}


@pytest.mark.parametrize("base", sorted(BASES))
def test_from_folders_to_a_painting(base, folder, tmp_path, photo, capsys):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE.format(base=base, more=BASES[base]))
    photos, paintings, out = folder("photos", 2), folder("paintings", 2, seed=9), tmp_path / "run"
    options = ("--photos", photos, "--paintings", paintings, "--out", out)
    assert run("train", *options, "--recipe", recipe, "--steps", 2) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(out)
    assert "finished at step 2" in said.err
    assert run("train", "--resume", out, "--steps", 3) == 0
    assert "finished at step 3" in capsys.readouterr().err
    onnx = tmp_path / "mine.onnx"
    assert run("export", out, onnx, "--licence", "CC0-1.0", "--data", "noise") == 0
    assert capsys.readouterr().out.strip() == str(onnx)
    assert run("paint", photo, "--painter", onnx) == 0
    assert look(photo.with_name("my photö.mine.jpg")).size == (90, 70)
    assert run("export", out, onnx) == 1
    assert "exists" in capsys.readouterr().err


def test_a_log_gets_a_line_a_minute(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("pleinair.cli.train.time.monotonic", lambda: now[0])
    with terminal.progress_bar(quiet=True) as progress:
        ear = train_command._Bar(progress)
        for step in range(1, 8):
            now[0] += 25
            ear.progress(step, step / 10, {"painting_generator": 1.25})
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "min left" in said[0]
    assert "painting G 1.250" in said[0]


def in_terminal(*arguments: object, tmp_path: Path) -> tuple[int, str]:
    """The command line as somebody sees it who sits before a terminal."""
    pty = pytest.importorskip("pty", reason="no pseudo terminals here")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pleinair", *map(str, arguments)]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    with (tmp_path / "stdout").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=theirs, env=environment)
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # Linux' word for: the other side is closed
            break
        if not piece:
            break
        seen += piece
    os.close(ours)
    return process.wait(), seen.decode()


def test_a_terminal_shows_a_bar(photo, tmp_path):
    second = tmp_path / "second.png"
    look(photo).save(second)
    code, seen = in_terminal("paint", photo, second, tmp_path=tmp_path)
    assert code == 0, seen
    assert "painting" in seen
    assert "100%" in seen
    assert len((tmp_path / "stdout").read_text().splitlines()) == 2


def test_a_terminal_shows_losses(folder, tmp_path):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE.format(base="light", more=BASES["light"]))
    options = ("--photos", folder("photos", 2), "--paintings", folder("paintings", 2, seed=9))
    code, seen = in_terminal(
        *("train", *options, "--out", tmp_path / "run", "--recipe", recipe, "--steps", 2),
        tmp_path=tmp_path,
    )
    assert code == 0, seen
    assert "step 2" in seen
    assert "photo D" in seen


def test_a_dry_run_prints_the_recipe(capsys):
    assert run("train", "--recipe", "lab", "--dry-run") == 0
    assert recipe_from_dict(json.loads(capsys.readouterr().out)) == RECIPES["lab"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--photos", "."], "needs --photos DIR --paintings DIR --out RUN"),
        (["--recipe", "degas"], "light, swift, paper, cut, lab"),
        (["--steps", "5", "--minutes", "5"], "one of --steps"),
        (["--steps", "0"], "positive"),
        (["--epochs", "nan"], "positive"),
        (["--checkpoint-every", "0"], "at least 1"),
        (["--resume", "nowhere"], "holds no checkpoint"),
        (["--resume", "x", "--recipe", "paper"], "leave --recipe"),
        (["--photos", "no", "--paintings", "no", "--out", "new"], "is not a folder"),
    ],
)
def test_bad_training_is_answered_in_one_sentence(arguments, message, capsys, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert run("train", *arguments) == 1
    assert message in one_line(capsys)


def test_a_run_is_not_started_in_a_folder_that_is_in_use(folder, capsys):
    full = folder("full", 1)
    assert run("train", "--photos", full, "--paintings", full, "--out", full) == 1
    assert "go on with --resume" in one_line(capsys)


def test_exporting_nothing(tmp_path, capsys):
    assert run("export", tmp_path, tmp_path / "a.onnx") == 1
    assert "holds no painter" in one_line(capsys)
    assert run("export", tmp_path, tmp_path / "a.txt") == 1
    assert "must end in .onnx" in one_line(capsys)


# --- the light install ------------------------------------------------------------------------

BLOCK = """
import sys
for name in ("torch", "onnx", "onnxscript", "matplotlib", "safetensors"):
    sys.modules[name] = None
from pleinair.cli import main
main()
"""


def light(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command line where the parts for training are not installed."""
    command = [sys.executable, "-c", BLOCK, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_painting_needs_no_torch(photo):
    done = light("paint", photo)
    assert (done.returncode, done.stderr) == (0, "")


def test_training_without_torch_says_what_to_install():
    for command in (("train", "--photos", "."), ("export", "monet", "b.onnx")):
        done = light(*command)
        assert done.returncode == 1
        assert "pip install 'pleinair[train]'" in done.stderr
        assert done.stderr.count("\n") == 1


def test_importing_without_its_parts_says_what_to_install(tmp_path):
    import torch
    from safetensors.torch import save_file

    state = {"model.1.weight": torch.zeros(4, 3, 7, 7)}
    torch.save(state, tmp_path / "a.pth")
    torch.save({"model.10.conv_block.1.weight": torch.zeros(1)}, tmp_path / "b.pth")
    save_file(state, tmp_path / "a.safetensors")
    for name, extra in (("b.pth", "import,train"), ("a.safetensors", "import")):
        done = light("import", tmp_path / name)
        assert done.returncode == 1
        assert f"pip install 'pleinair[{extra}]'" in done.stderr
        assert done.stderr.count("\n") == 1
    done = light("import", tmp_path / "a.pth")  # which need not be installed for to be told bad
    assert "a.pth holds model.1.weight and others, no generator" in done.stderr


def test_the_list_of_commands_says_what_each_says_of_itself():
    for name, words in cli.COMMANDS.items():
        home, function = cli.HOMES.get(name, (name, name))
        command = getattr(import_module(f"pleinair.cli.{home}"), function)
        said = command.help if isinstance(command, App) else command.__doc__
        assert said.splitlines()[0] == words


def test_the_list_of_commands_loads_none_of_them():
    code = (
        "import sys; from pleinair import cli\n"
        "try: cli.app(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in sys.modules if m.startswith('pleinair')], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "['pleinair', 'pleinair.errors', 'pleinair.cli']"


def test_importing_is_cheap():
    code = (
        "import sys, pleinair, pleinair.cli;"
        "print([m for m in ('torch', 'onnxruntime', 'numpy', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_samples_become_paintings(tmp_path):
    # What `make demo` does, in small.
    small = []
    for sample in SAMPLES:
        small.append(tmp_path / sample.name)
        look(sample).resize((128, 96)).save(small[-1])
    assert len(small) == 5
    assert run("paint", *small, "-o", tmp_path / "demo", "--sheet") == 0
    assert (tmp_path / "demo" / "sheet.jpg").exists()
    for path in small:
        painting = np.asarray(look(tmp_path / "demo" / f"{path.stem}.monet.jpg"))
        assert metrics.luma_correlation(np.asarray(look(path)), painting) > 0.6


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("evaluate",), "--photos is missing; `pleinair evaluate --help` says"),
        (("explain",), "PHOTO is missing; `pleinair explain --help` says"),
        (("painters", "fetch"), "is missing; `pleinair painters fetch --help` says"),
        (("evaluate", "monet", "--paintings"), "--paintings requires an argument"),
        (("evaluate", "monet", "--paintngs", "x"), "Did you mean --paintings?"),
        (
            ("train", "--photos", "a", "--paintings", "b", "--out", "c", "--minutes", "0"),
            "--minutes 0.0 found; give a positive number",
        ),
    ],
)
def test_what_is_missing_or_misspelt_is_named(words, said, capsys):
    assert run(*words) == 1
    assert said in one_line(capsys)


# --- too little memory ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("can't start new thread"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        ImportError("libx.so: failed to map segment from shared object", name="_core"),
        SystemError("error return without exception set"),
        SystemError("<built-in function exec> returned NULL without setting an exception"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_too_little_memory_is_one_sentence_whatever_a_library_makes_of_it(
    error, photo, monkeypatch, capsys
):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr("pleinair.tree.plan", fails)
    monkeypatch.setattr("pleinair.cli.paint._Outing.run", fails)
    assert run("paint", photo) == 1
    assert "not enough memory" in one_line(capsys)


def test_a_missing_extra_is_not_blamed_for_too_little_memory(photo, monkeypatch, capsys):
    def fails(*_, **__):
        try:
            raise ImportError("libx.so: failed to map segment from shared object", name="_core")
        except ImportError as error:
            raise MissingExtraError("_core is not installed; run pip install it.") from error

    monkeypatch.setattr("pleinair.cli.paint._Outing.run", fails)
    assert run("paint", photo) == 1
    assert "not enough memory" in one_line(capsys)


def test_what_else_is_not_expected_stays_a_traceback(photo, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("ours to mend")

    monkeypatch.setattr("pleinair.cli.paint._Outing.run", fails)
    monkeypatch.setattr(sys, "argv", ["pleinair", "paint", str(photo)])
    with pytest.raises(RuntimeError, match="ours to mend"):
        cli.main()
