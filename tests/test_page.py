from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pleinair import Painter
from pleinair.settings import LOOK

from .conftest import picture

sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
pytest.importorskip("fastapi", reason="fastapi is not installed")

from .serving import running  # noqa: E402
from .visiting import PAINTED, PLACE, Visit, file, jpeg, pixels  # noqa: E402

pytestmark = pytest.mark.xdist_group("page")  # one server for all


@pytest.fixture(scope="module")
def monet():
    return Painter.load("monet", threads=1)


@pytest.fixture(scope="module")
def address(monet):
    with running(monet) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture
def visit(browser, address):
    opened: list[Visit] = []

    def make(path="", **options) -> Visit:
        opened.append(Visit(browser, address, path, **options))
        return opened[-1]

    yield make
    for one in opened:
        one.context.close()


def test_a_photo_is_dropped_painted_compared_and_downloaded(visit, monet):
    one = visit().open()
    page, photo = one.page, jpeg()
    assert "this computer" in page.inner_text("#privacy")
    given = page.evaluate_handle(
        """(text) => {
            const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "sea side.jpg", { type: "image/jpeg" }));
            return transfer;
        }""",
        base64.b64encode(photo).decode(),
    )
    page.dispatch_event("body", "dragenter", {"dataTransfer": given})
    assert page.is_visible("#veil")
    page.dispatch_event("body", "drop", {"dataTransfer": given})
    assert not page.is_visible("#veil")
    one.painted()
    assert page.inner_text("#title") == "sea side"
    assert "256 × 192" in page.inner_text("#size")
    assert "sea side is painted" in page.inner_text("#spoken")

    name, content = one.download()
    assert name == "sea side.monet.jpg"
    assert np.abs(pixels(content) - pixels(monet.paint(photo))).max() <= 1
    exif = Image.open(io.BytesIO(content)).getexif()
    assert exif[0x010F] == "Camera of the test"
    assert exif.get_ifd(0x8825)[2] == PLACE[2]

    handle = page.locator("#handle")
    handle.focus()

    def at() -> int:
        return int(handle.get_attribute("aria-valuenow"))

    for key, expected in [
        ("Home", 0), ("ArrowRight", 1), ("Shift+ArrowRight", 11), ("PageUp", 21),
        ("ArrowLeft", 20), ("PageDown", 10), ("Shift+ArrowLeft", 0), ("ArrowLeft", 0),
        ("End", 100), ("ArrowUp", 100), ("b", 0), ("b", 100), ("PageDown", 90),
    ]:  # fmt: skip
        page.keyboard.press(key)
        assert at() == expected, key
    assert handle.get_attribute("aria-valuetext") == "90% photo, 10% painting"
    view, grip = page.locator("#view").bounding_box(), handle.bounding_box()
    page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + 20)
    page.mouse.down()
    page.mouse.move(view["x"] + view["width"] / 4, grip["y"] + 60, steps=4)
    page.mouse.up()
    assert abs(at() - 25) <= 1
    page.mouse.move(view["x"] + 3, view["y"] + 3)
    assert abs(at() - 25) <= 1
    page.dblclick("#view", position={"x": view["width"] * 0.8, "y": 20})
    assert at() == 100
    photo_box, painting_box = (page.locator(s).bounding_box() for s in ("#photo", "#painting"))
    assert photo_box == painting_box
    assert one.problems == []


def test_of_one_painter_there_is_no_choice(visit):
    one = visit()

    def first(route):
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json()[:1])

    one.page.route("**/v1/painters", first)
    one.open()
    one.add(file("a.jpg", jpeg(seed=1)))
    one.painted()
    assert not one.page.is_visible("#painter")


def test_looks_are_repainted(visit, monet):
    one = visit().open()
    page, photo = one.page, jpeg(seed=1)
    one.add(file("a.jpg", photo))
    one.painted()
    assert page.is_visible("#painter")
    page.focus("#brush")
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    assert page.inner_text("#brush-value") == "2 ×"
    page.wait_for_selector(PAINTED)
    one.reads("#manner", "^brush 2")
    page.click("label[for=colors-photo]")
    one.reads("#manner", r"photo’s colours")
    _, content = one.download()
    look = replace(LOOK, brush=2.0, colors="photo")
    assert np.abs(pixels(content) - pixels(monet.paint(photo, look=look))).max() <= 1
    page.click("button[type=reset]")
    one.reads("#manner", r"^painted in")
    _, content = one.download()
    assert np.abs(pixels(content) - pixels(monet.paint(photo))).max() <= 1
    assert one.problems == []


def test_a_large_photo_is_sketched_first_and_seen_at_100_percent(visit):
    one = visit(viewport={"width": 640, "height": 600}, reduced_motion="reduce").open()
    page = one.page
    page.evaluate(
        """() => {
            window.seen = [];
            const manner = document.querySelector("#manner");
            const note = () => seen.push(manner.textContent);
            new MutationObserver(note).observe(manner, { childList: true });
        }"""
    )
    one.add(file("a.jpg", jpeg(510, 680)))
    one.painted()
    assert any("a sketch" in text for text in page.evaluate("seen"))
    first, second = one.posts()
    assert "prefer" not in first.headers
    assert second.headers["prefer"] == "respond-async"
    sizes = page.evaluate("sent")
    assert sizes[0] < sizes[1]

    page.click("#zoom")
    assert page.get_attribute("#zoom", "aria-pressed") == "true"
    before = page.locator("#painting").bounding_box()
    assert (before["width"], before["height"]) == (680, 510)
    assert page.locator("#photo").bounding_box() == before
    page.focus("#view")
    page.keyboard.press("ArrowRight")
    after = page.locator("#painting").bounding_box()
    assert after["x"] == before["x"] - 60
    view = page.locator("#view").bounding_box()
    page.mouse.move(view["x"] + view["width"] - 30, view["y"] + 30)
    page.mouse.down()
    page.mouse.move(view["x"] + view["width"] - 10, view["y"] + 20)
    page.mouse.up()
    moved = page.locator("#painting").bounding_box()
    assert (moved["x"], moved["y"]) == (after["x"] + 20, after["y"] - 10)
    page.keyboard.press("z")
    assert page.locator("#painting").bounding_box()["width"] < 680

    # A slider that is dragged asks for sketches, and for the whole when it is let go.
    count = len(one.posts())
    page.locator("#strength").scroll_into_view_if_needed()
    box = page.locator("#strength").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.66, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2, steps=3)
    one.reads("#manner", r"a sketch")
    sketched = one.posts()[count:]
    assert all("prefer" not in post.headers for post in sketched)
    page.mouse.up()
    one.reads("#manner", r"^strength")
    assert "prefer" in one.posts()[-1].headers
    assert one.problems == []


def test_several_photos_hang_and_are_saved(visit):
    one = visit().open()
    page = one.page
    one.add(*(file(f"{name}.jpg", jpeg(seed=n)) for n, name in enumerate("aab")))
    assert page.is_visible("#rail")
    page.wait_for_selector("#frames li.painted:nth-child(3)")
    assert page.inner_text("#title") == "a"
    page.locator(".frame").nth(1).focus()
    page.keyboard.press("ArrowRight")
    one.reads("#title", "^b$")
    assert page.locator(".frame").nth(2).get_attribute("aria-current") == "true"
    assert page.locator(".frame").nth(2).get_attribute("aria-label") == "b is painted"

    page.evaluate("delete window.showDirectoryPicker")
    files = []
    page.on("download", lambda file: files.append(file))
    page.click("#save-all")
    one.reads("#spoken", r"3 paintings")
    for _ in range(50):  # what is said may come before the word of the last of them
        if len(files) == 3:
            break
        page.wait_for_timeout(100)
    assert [f.suggested_filename for f in files] == [
        "a.monet.jpg", "a.monet (2).jpg", "b.monet.jpg",
    ]  # fmt: skip

    page.click("label[for=colors-photo]")
    one.reads("#manner", r"photo’s colours")
    page.click("#alike")
    page.wait_for_selector("#alike", state="hidden")
    one.hangs(3)
    page.click("#frames li:nth-child(1) .frame")
    assert page.is_checked("#colors-photo")

    page.focus("#frames li:nth-child(1) .takedown")
    page.keyboard.press("Enter")
    sync.expect(page.locator("#frames li")).to_have_count(2)
    page.keyboard.press("Tab")
    page.click("#remove")
    page.click("#remove")
    assert page.is_visible("#welcome")
    assert page.evaluate("document.activeElement.id") == "choose"
    assert page.evaluate("live.size") == 3  # the three downloads, for a minute
    assert one.problems == []


def test_saving_into_a_folder_overwrites_nothing(visit):
    one = visit().open()
    page = one.page
    one.add(*(file(f"{name}.jpg", jpeg(48, 64)) for name in "ab"))
    one.hangs(2)
    page.evaluate("() => { window.showDirectoryPicker = () => navigator.storage.getDirectory(); }")
    for count in (2, 4):
        page.click("#save-all")
        page.wait_for_selector("#save-all:not([disabled])")
        names = page.evaluate(
            """async () => {
                const found = [];
                const folder = await navigator.storage.getDirectory();
                for await (const name of folder.keys()) found.push(name);
                return found.sort();
            }"""
        )
        assert len(names) == count
    assert names[:2] == ["a.monet (2).jpg", "a.monet.jpg"]
    page.evaluate(
        """() => {
            const no = () => Promise.reject(new DOMException("no folder", "AbortError"));
            window.showDirectoryPicker = no;
        }"""
    )
    page.click("#save-all")
    page.wait_for_selector("#save-all:not([disabled])")
    assert one.problems == []


def test_a_photo_is_pasted_and_tiff_is_shown(visit):
    one = visit().open()
    page = one.page
    page.evaluate(
        """(text) => {
            const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File([bytes], "image.png", { type: "image/png" }));
            dispatchEvent(new ClipboardEvent("paste", { clipboardData }));
        }""",
        base64.b64encode(png()).decode(),
    )
    one.painted()
    assert one.download()[0] == "image.monet.png"
    buffer = io.BytesIO()
    Image.fromarray(picture(48, 64)).save(buffer, "TIFF")
    one.add(file("scan.tiff", buffer.getvalue(), "image/tiff"))
    page.click("#frames li:nth-child(2) .frame")
    page.wait_for_selector("#download[download='scan.monet.tiff']")
    assert page.is_visible("#handle")  # both are shown by previews
    assert Image.open(io.BytesIO(one.download()[1])).format == "TIFF"
    one.add(file("turned.jpg", turned()))
    page.click("#frames li:nth-child(3) .frame")
    page.wait_for_selector("#download[download='turned.monet.jpg']")
    sides = "['photo', 'painting'].map((id) => document.getElementById(id).naturalHeight)"
    assert page.evaluate(sides) == [256, 256]
    assert "192 × 256" in page.inner_text("#size")
    assert one.problems == []


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture(48, 64)).save(buffer, "PNG")
    return buffer.getvalue()


def turned() -> bytes:
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(picture(192, 256)).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def test_a_finger_draws_the_line_and_scrolls_the_page(visit):
    phone = {"viewport": {"width": 360, "height": 500}, "has_touch": True, "is_mobile": True}
    one = visit(**phone, reduced_motion="reduce").open()
    page = one.page
    assert page.is_visible("#camera")
    assert page.get_attribute("#shot", "capture") == "environment"
    one.add(file("a.jpg", jpeg()))
    one.painted()
    assert not one.wide()
    box = page.locator("#view").bounding_box()
    finger = one.context.new_cdp_session(page)

    def draw(*places: tuple[float, float]) -> None:
        for kind, points in [
            ("touchStart", places[:1]),
            *[("touchMove", [place]) for place in places[1:]],
            ("touchEnd", []),
        ]:
            points = [
                {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
                for x, y in points
            ]
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    draw((0.9, 0.5), (0.85, 0.5), (0.7, 0.5), (0.6, 0.5))
    at = page.get_attribute("#handle", "aria-valuenow")
    assert abs(int(at) - 60) <= 2
    draw((0.2, 0.9), (0.2, 0.7), (0.2, 0.4), (0.2, 0.1))
    assert page.get_attribute("#handle", "aria-valuenow") == at
    assert page.evaluate("scrollY") > 0
    assert one.problems == []


def test_bad_files_are_told_beside_them(visit):
    one = visit()
    page = one.page
    few = '{"bytes": 20000, "pixels": 100000, "accept": "image/*"}'
    page.route("**/v1/limits", lambda r: r.fulfill(body=few, content_type="application/json"))
    one.open().add(
        file("cut.jpg", jpeg()[:700]),
        file("nothing.jpg", b""),
        file("vast.jpg", b"\xff" * 30_000),
        file("broad.jpg", flat(400, 300)),
        file("good.jpg", jpeg(48, 64)),
    )
    page.wait_for_selector("#frames li.painted")
    assert page.locator("#frames li.failed").count() == 4
    assert page.inner_text("#trouble").endswith(".")
    assert page.is_visible("#again")
    page.click("#frames li:nth-child(2) .frame")
    one.reads("#trouble", "^This file is empty; choose another.$")
    page.click("#frames li:nth-child(3) .frame")
    one.reads("#trouble", "make it smaller first")
    page.click("#remove")
    one.reads("#title", "^broad$")
    assert "0.1 megapixels" in page.inner_text("#trouble")
    page.click("#remove")
    one.reads("#title", "^good$")
    assert page.inner_text("#trouble") == ""
    assert [p for p in one.problems if "Failed to load resource" not in p] == []


def flat(height: int, width: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(buffer, "JPEG")
    return buffer.getvalue()


HELD = '{"state": "painting", "progress": 0.4, "ahead": 0, "error": null}'


def held(route):
    if route.request.method == "GET" and not route.request.url.endswith("image"):
        return route.fulfill(body=HELD, content_type="application/json")
    return route.continue_()


def test_a_painting_is_cancelled_and_begun_again(visit):
    one = visit().open()
    page = one.page
    page.route("**/v1/paintings/*", held)
    one.add(file("a.jpg", jpeg()))
    one.reads("#pace", r"^40%")
    assert page.get_attribute("#progress", "value") == "0.4"
    with page.expect_request(lambda request: request.method == "DELETE"):
        page.click("#cancel")
    assert "was stopped" in page.inner_text("#spoken")
    page.unroute("**/v1/paintings/*")
    assert page.inner_text("#again") == "Paint it"
    page.click("#again")
    one.painted()
    before = page.inner_text("#manner")
    # A repainting that is cancelled leaves the painting that was there.
    page.route("**/v1/paintings/*", held)
    page.click("label[for=colors-photo]")
    one.reads("#pace", r"^40%")
    assert not page.is_visible("#download")
    page.click("#cancel")
    one.painted()
    assert page.inner_text("#manner") == before
    assert page.is_checked("#colors-painter")
    assert one.problems == []


def test_a_job_that_is_begun_while_one_turns_away_is_cancelled(visit):
    one = visit().open()
    page = one.page
    answered = []

    def slow(route):
        response = route.fetch()
        page.click("#cancel")  # while the answer is on its way
        answered.append(response.json()["id"])
        route.fulfill(response=response)

    page.route("**/v1/paintings", slow, times=1)
    with page.expect_request(lambda request: request.method == "DELETE") as deleted:
        one.add(file("a.jpg", jpeg(48, 64)))
    assert deleted.value.url.endswith(answered[0])
    assert one.problems == []


def test_a_busy_server_is_waited_for_and_a_lost_one_told(visit):
    one = visit().open()
    page = one.page
    busy = {"status": 429, "headers": {"Retry-After": "1"}, "body": '{"detail": "Full."}'}
    page.route("**/v1/paintings", lambda route: route.fulfill(**busy), times=1)
    one.add(file("a.jpg", jpeg(48, 64)))
    one.reads("#pace", "^Waiting for a place")
    one.painted()
    page.route("**/v1/paintings", lambda route: route.abort())
    page.click("label[for=colors-photo]")
    page.wait_for_selector("#trouble:not(:empty)")
    assert "does not answer" in page.inner_text("#trouble")
    page.unroute("**/v1/paintings")
    page.click("#again")
    one.reads("#manner", "photo’s colours")  # the painting before hangs there until then
    one.painted()


def test_a_key_in_the_address_is_kept_and_sent(visit):
    one = visit("#key=s%C3%A4cret").open()
    assert "#" not in one.page.url
    sent = [r.headers.get("authorization") for r in one.requests if "/v1/" in r.url]
    assert sent
    assert all(value == "Bearer säcret" or value for value in sent)
    one.page.reload()
    one.page.wait_for_selector("html.ready")
    assert one.requests[-1].headers["authorization"]
    refused = visit()
    refused.page.route("**/v1/painters", lambda r: r.fulfill(status=401, body="{}"))
    refused.open()
    assert "asks for a key" in refused.page.inner_text("#closed")
    assert refused.page.is_disabled("#choose")


def test_a_painter_is_chosen_where_there_are_several(visit):
    one = visit()
    two = """[{"name": "monet", "title": "Monet", "about": "Light and water.", "default": true},
        {"name": "mine", "title": "Mine", "about": "My own.", "default": false}]"""
    one.page.route("**/v1/painters", lambda r: r.fulfill(body=two, content_type="application/json"))
    one.page.route("**/v1/paintings", lambda r: r.continue_())
    one.open().add(file("a.jpg", jpeg(48, 64)))
    one.painted()
    assert "Light and water." in one.page.inner_text("#about")
    one.page.select_option("#painter", "mine")
    with one.page.expect_request("**/v1/paintings") as asked:
        pass
    assert b"mine" in asked.value.post_data_buffer


def test_every_state_is_accessible_and_fits(visit):
    one = visit(reduced_motion="reduce").open()
    page = one.page
    page.evaluate(axe.Axe().axe_script)

    def check(state: str) -> None:
        for scheme, options in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
            page.emulate_media(color_scheme=scheme)
            options["resultTypes"] = ["violations"]
            found = page.evaluate("(options) => axe.run(options)", options)["violations"]
            assert [(v["id"], v["nodes"][0]["html"]) for v in found] == [], (state, scheme)
        for width, height in ((360, 740), (720, 450), (1100, 800)):  # 720: 1440 zoomed to 200%
            page.set_viewport_size({"width": width, "height": height})
            assert not one.wide(), (state, width)

    check("empty")
    page.route("**/v1/paintings/*", held)
    one.add(file("a.jpg", jpeg(300, 700)))
    one.reads("#pace", r"^40%")
    check("painting")
    page.unroute("**/v1/paintings/*")
    one.painted()
    check("painted")
    page.click("#zoom")
    page.click("summary")
    check("at 100%, with keys")
    one.add(file("b.jpg", jpeg(48, 64)), file("cut.jpg", jpeg()[:700]))
    page.wait_for_selector("#frames li.failed")
    check("several")
    page.click("#frames li:nth-child(3) .frame")
    check("error")
    assert [p for p in one.problems if not re.search("Failed to load", p)] == []


def test_everything_is_done_by_keyboard_alone(visit):
    one = visit()
    page = one.page
    page.on("filechooser", lambda _: None)  # from now on they are caught
    one.open()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "choose"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([file("a.jpg", jpeg(48, 64)), file("b.jpg", jpeg(48, 64))])
    one.hangs(2)
    assert page.evaluate("document.activeElement.id") == "title"
    seen = []
    for _ in range(30):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
        if seen.count("handle") > 1:
            break
    wanted = ["more", "handle", "download", "remove", "frame", "takedown", "save-all", "brush"]
    wanted += ["strength", "colors-painter"]
    assert [name for name in wanted if name not in seen] == []


def test_what_hangs_can_be_had_though_a_new_painting_fails(visit):
    one = visit().open()
    one.add(file("a.jpg", jpeg()))
    one.painted()
    first = one.download()[1]
    one.page.route("**/v1/paintings", lambda route: route.abort())
    one.page.locator("#brush").focus()
    one.page.keyboard.press("ArrowRight")
    one.reads("#trouble", "^The server does not answer")
    assert one.download()[1] == first


def test_a_key_may_be_written_behind_the_address_of_the_open_page(browser, monet):
    with running(monet, key="of-this-test") as port:
        one = Visit(browser, f"http://127.0.0.1:{port}/")
        try:
            one.open()
            one.reads("#closed", "^This server asks for a key")
            one.page.evaluate("location.hash = '#key=wrong'")
            one.reads("#closed", "^The key is not this server’s")
            one.page.evaluate("location.hash = '#key=of-this-test'")
            one.page.wait_for_selector("#choose:not([disabled])")
            assert "key" not in one.page.url
        finally:
            one.context.close()
