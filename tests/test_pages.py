from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pleinair import ballots, cli, evaluation, metrics
from pleinair.errors import DataError, UsageError

jinja2 = pytest.importorskip("jinja2", reason="jinja2 is not installed")
from pleinair import pages  # noqa: E402

from .test_evaluation import room, shelf  # noqa: E402


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    place = tmp_path_factory.mktemp("pages")
    photos = shelf(place / "photos", 12, 1)
    paintings = shelf(place / "paintings", 20, 2, tint=(60, 20, -40))
    for name, tint in (("near", (60, 20, -40)), ("far <b>&", (-60, 0, 0))):
        (place / name).mkdir()
        for file in photos.iterdir():
            pixels = np.asarray(Image.open(file)).astype(int) + np.array(tint)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(place / name / file.name)
    what = [str(place / "near"), str(place / "far <b>&")]
    return evaluation.evaluate(what, photos, paintings, room(place))


def silent(*_):
    pass


def test_the_report_shows_every_row_and_stands_alone(found):
    text = pages.report(found, silent)
    for row in found.rows:
        assert row.name.replace("<", "&lt;").replace("&", "&amp;").split("&")[0] in text
    assert "<b>&" not in text  # names are text, not markup
    assert f"{found.rows[0].scores['Palette'].kid:.4f}" in text
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", text)
    assert "http" not in text
    assert text.count("data:image/webp") >= 8 * 3
    assert found.warnings()[0] in text
    assert "SHA-256 0000000000000000" in text


def test_the_best_result_is_liker_to_the_paintings_than_the_worst(found):
    show = found.show
    best, worst = pages._extremes(show.entries[0], show)
    assert best[0]["likeness"] >= best[-1]["likeness"] >= worst[-1]["likeness"]
    assert worst[0]["likeness"] <= worst[-1]["likeness"]
    assert all(one["photo"] for one in best)


def test_a_painter_has_its_card_in_the_report(tmp_path):
    photos = shelf(tmp_path / "photos", 9, 1)
    paintings = shelf(tmp_path / "paintings", 9, 2)
    found = evaluation.evaluate(["monet"], photos, paintings, room(tmp_path))
    text = pages.report(found, silent)
    assert "recipe.generator.channels" in text
    assert "CC0-1.0" in text


def test_pages_need_something_to_show(found, tmp_path):
    photos, paintings = (found.show.photos[1].place, found.show.paintings[1].place)
    nothing = evaluation.evaluate([], photos, paintings, room(tmp_path))
    with pytest.raises(UsageError, match="name a painter"):
        pages.report(nothing, silent)
    one = evaluation.evaluate([str(found.rows[-2].name)], photos, paintings, room(tmp_path))
    with pytest.raises(UsageError, match="name two"):
        pages.ballot(one, silent)


def test_a_ballot_names_nobody_and_mixes_the_sides(found):
    text = pages.ballot(found, silent)
    assert "near" not in text.replace("linear", "")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL).group(1))
    assert len(data["pairs"]) == 12
    marks = {tuple(pair["marks"]) for pair in data["pairs"]}
    known = {ballots.mark(entry.digest) for entry in found.show.entries}
    assert {mark for pair in marks for mark in pair} == known
    other = pages.ballot(found, silent)
    assert other != text


def test_a_ballot_has_as_many_pairs_as_are_asked_for(found):
    assert pages.ballot(found, silent, 1).count('"marks"') == 1


# --- votes ----------------------------------------------------------------------------------

NAMES = {"a" * 64: "alpha", "b" * 64: "beta"}
A, B = "a" * 16, "b" * 16


def saved(path: Path, *votes, voter="v1", ballot="b1", **more) -> Path:
    content = {"kind": ballots.KIND, "ballot": ballot, "voter": voter, "votes": list(votes), **more}
    path.write_text(json.dumps(content))
    return path


def vote(photo, style, scene=None, swapped=False):
    left, right = (B, A) if swapped else (A, B)
    one = {"photo": str(photo), "left": left, "right": right, "style": style}
    return one | ({"scene": scene} if scene else {})


def test_votes_are_counted_whatever_the_side(tmp_path):
    cast = [vote(n, "left") for n in range(5)] + [vote(n, "right", swapped=True) for n in (5, 6, 7)]
    cast += [vote(8, "right"), vote(9, "equal", "right")]
    (style, scene) = ballots.count([saved(tmp_path / "v.json", *cast)], NAMES)
    assert (style.first, style.second, style.question) == ("alpha", "beta", "style")
    assert (style.wins, style.losses, style.ties, style.voters) == (8, 1, 1, 1)
    assert style.rate == pytest.approx(0.85)
    assert style.interval[0] < 0.85 < style.interval[1]
    assert (scene.wins, scene.losses, scene.ties) == (0, 1, 0)


def test_a_file_that_comes_twice_counts_once_and_the_later_answer_holds(tmp_path):
    first = saved(tmp_path / "1.json", vote(1, "left"), vote(2, "left"))
    later = saved(tmp_path / "2.json", vote(1, "right"), vote(2, "left"))
    other = saved(tmp_path / "3.json", vote(1, "left"), voter="v2")
    (duel,) = ballots.count([first, first, later, other], NAMES)
    assert (duel.wins, duel.losses, duel.voters) == (2, 1, 2)


def test_wilson_of_known_counts():
    low, high = metrics.wilson(8, 10)
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert metrics.wilson(0, 10)[0] == 0
    assert metrics.wilson(10, 10)[1] == pytest.approx(1)
    assert metrics.wilson(0, 0) == (0, 1)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"[]", b"{}", b'{"kind": "pleinair votes"}', b"null"],
)
def test_other_files_are_no_votes(tmp_path, content):
    path = tmp_path / "votes.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match="holds no votes"):
        ballots.count([path], NAMES)


def test_votes_of_other_painters_or_with_other_words(tmp_path):
    with pytest.raises(DataError, match="not scored here"):
        ballots.count([saved(tmp_path / "1.json", vote(1, "left"))], {"a" * 64: "alpha"})
    with pytest.raises(DataError, match="holds no votes"):
        ballots.count([saved(tmp_path / "2.json", vote(1, "both"))], NAMES)
    same = vote(1, "left") | {"right": A}
    with pytest.raises(DataError, match="holds no votes"):
        ballots.count([saved(tmp_path / "3.json", same)], NAMES)
    with pytest.raises(DataError, match="check the path"):
        ballots.count([tmp_path / "none.json"], NAMES)


# --- in a browser ---------------------------------------------------------------------------


def opened(browser, path: Path):
    page = browser.new_context(accept_downloads=True).new_page()
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda m: page.problems.append(m.text) if m.type == "error" else None)
    page.on("request", lambda r: page.problems.append(r.url) if "http" in r.url else None)
    page.goto(path.as_uri())
    return page


def test_the_report_in_a_browser(browser, found, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(pages.report(found, silent), encoding="utf-8")
    page = opened(browser, path)
    assert page.problems == []
    broken = page.evaluate("[...document.images].filter(i => !i.naturalWidth).length")
    assert broken == 0
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        # Wide tables scroll in their own frames; the page itself does not.
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width


def test_a_ballot_is_voted_on_with_keys_and_read_again(browser, found, tmp_path):
    path = tmp_path / "ballot.html"
    path.write_text(pages.ballot(found, silent), encoding="utf-8")
    page = opened(browser, path)
    page.click("text=Begin")
    near = ballots.mark(found.show.entries[0].digest)
    data = json.loads(page.inner_text("#data") or page.evaluate("data && JSON.stringify(data)"))
    for index, pair in enumerate(data["pairs"]):
        side = "ArrowLeft" if pair["marks"][0] == near else "ArrowRight"
        page.keyboard.press(side)
        if index == 0:  # a slip, taken back
            page.keyboard.press("ArrowDown")
            page.keyboard.press("Backspace")
        if index == 4:  # a reload loses nothing
            page.reload()
            page.click("text=Go on")
            assert page.is_visible("#photo")
            assert not page.is_visible("#references")
        page.click("#equal")
    assert page.inner_text("#summary") == "24 of 24 questions answered."
    with page.expect_download() as waiting:
        page.click("#save")
    votes = tmp_path / "votes.json"
    waiting.value.save_as(votes)
    assert page.problems == []
    names = {entry.digest: entry.row.name for entry in found.show.entries}
    style, scene = ballots.count([votes], names)
    assert (style.wins, style.losses, style.ties) == (12, 0, 0)
    assert (scene.wins, scene.losses, scene.ties) == (0, 0, 12)
    assert style.first == found.show.entries[0].row.name
    assert "before" not in pages.report(found, silent)


def test_the_command_writes_pages_and_reads_votes(found, tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch", reason="torch is not installed")
    show = found.show
    words = ["evaluate", *(entry.row.name for entry in show.entries)]
    words += ["--photos", str(show.photos[1].place), "--paintings", str(show.paintings[1].place)]
    words += ["--cache", str(tmp_path / "seen"), "--device", "cpu"]
    marks = [ballots.mark(entry.digest) for entry in show.entries]
    one = {"photo": "p", "left": marks[1], "right": marks[0], "style": "right", "scene": "equal"}
    votes = saved(tmp_path / "votes.json", one)
    report, ballot = tmp_path / "r.html", tmp_path / "b.html"
    made = ["--report", str(report), "--ballot", str(ballot)]

    def run(*more):
        monkeypatch.setattr(sys, "argv", ["pleinair", *words, *more])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capsys.readouterr()

    code, out, err = run(*made, "--votes", str(votes))
    assert code == 0
    assert "What people say" in out
    assert "100%" in out
    assert "What people say" in report.read_text(encoding="utf-8")
    assert f"{ballot} is written" in err
    before = report.read_bytes()
    code, _, err = run(*made)
    assert (code, report.read_bytes()) == (1, before)
    assert "exists; remove it or add --force" in err
    assert run("--report", str(tmp_path / "r.txt"))[0] == 1
    code, _, err = run("--votes", str(report))
    assert code == 1
    assert "holds no votes" in err
