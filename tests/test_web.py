from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pleinair import hub, images, web
from pleinair.errors import PainterError
from pleinair.guard import ANY
from pleinair.orders import Orders
from pleinair.painter import Painter
from pleinair.policy import PAGE_HEADERS
from pleinair.web import make_app

from .broken import XMP, bombs, camera_exif, mutated, seeds
from .conftest import picture
from .serving import LIMITS, Slow, client, copyist, direct, jpeg, post, saved, until

ASYNC = {"prefer": "respond-async"}


@pytest.fixture(scope="module")
def app():
    with client() as made:
        yield made


def sentence(answer) -> str:
    detail = answer.json()["detail"]
    assert list(answer.json()) == ["detail"]
    assert "\n" not in detail
    assert detail.endswith(".")
    return detail


def size(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        return image.size


# --- paintings at once ------------------------------------------------------------------------


def test_a_photo_comes_back_painted(app):
    answer = post(app, jpeg(60, 40))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert (answer.headers["pleinair-width"], answer.headers["pleinair-height"]) == ("60", "40")
    assert float(answer.headers["pleinair-seconds"]) >= 0
    assert 'filename="photo.monet.jpg"' in answer.headers["content-disposition"]
    assert answer.headers["cache-control"] == "no-store"
    assert size(answer.content) == (60, 40)


def test_a_form_says_the_same(app):
    fields = {"brush": "2", "strength": "0", "format": "png", "side": "", "layers": ""}
    answer = app.post("/v1/paintings", files={"photo": ("beach.JPG", jpeg(60, 40))}, data=fields)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert 'filename="beach.monet.png"' in answer.headers["content-disposition"]


def test_fields_go_before_the_query(app):
    answer = app.post(
        "/v1/paintings?format=webp&side=20",
        files={"photo": ("a.jpg", jpeg(60, 40))},
        data={"format": "png"},
    )
    assert answer.headers["content-type"] == "image/png"
    assert size(answer.content) == (20, 13)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("jpeg", "image/jpeg"),
        ("jpg", "image/jpeg"),
        ("png", "image/png"),
        ("webp", "image/webp"),
        ("avif", "image/avif"),
        ("tiff", "image/tiff"),
        ("tif", "image/tiff"),
        ("gif", "image/gif"),
        ("bmp", "image/bmp"),
        ("heic", "image/heic"),
    ],
)
def test_formats(app, word, kind):
    answer = post(app, jpeg(), params={"format": word})
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert images.kind_of(answer.content[:64])


@pytest.mark.parametrize("name", ["png-deep", "tiff-deep", "gif-film", "webp-film", "heif", "png"])
def test_a_photo_keeps_its_kind(app, name):
    data = seeds()[name]
    answer = post(app, data, headers={"content-type": "application/octet-stream"})
    assert answer.status_code == 200
    assert images.kind_of(answer.content[:64]) == images.kind_of(data[:64])
    before, after = images.read_any(data), images.read_any(answer.content)
    assert type(before) is type(after)
    assert after.size == before.size
    if isinstance(after, images.Picture):
        assert after.deep == before.deep


@pytest.mark.parametrize("name", ["png", "png-deep", "gif-film"])
def test_a_side_shrinks_alpha_depth_and_frames_too(app, name):
    data = seeds()[name]
    answer = post(app, data, params={"side": 28})
    assert answer.status_code == 200
    found = images.read_any(answer.content)
    assert found.size == (28, 20)
    if name == "png":
        assert found.alpha is not None
        assert found.alpha.shape == (20, 28)
    if name == "png-deep":
        assert found.deep


def test_metadata_stays_unless_it_is_to_go(app):
    photo = jpeg(exif=camera_exif(), xmp=XMP)
    with Image.open(io.BytesIO(post(app, photo).content)) as kept:
        assert kept.getexif().get_ifd(0x8825)[2] == (48.0, 51.0, 30.5)
        assert kept.getexif()[0x010F] == "Camera"
        assert b"Poppies" in kept.info["xmp"]
    answer = post(app, photo, params={"strip_metadata": "true"})
    with Image.open(io.BytesIO(answer.content)) as stripped:
        assert not dict(stripped.getexif())
        assert "xmp" not in stripped.info


def test_a_painting_is_what_the_painter_makes_of_it():
    photo = saved("PNG", 64, 48)
    painter = Painter.load("monet", threads=1)
    with client(painter) as made:
        answer = made.post(
            "/v1/paintings?brush=2&colors=photo",
            content=photo,
            headers={"content-type": "image/png"},
        )
    from pleinair.settings import Look

    expected = painter.paint(picture(48, 64), look=Look(brush=2, colors="photo"))
    with Image.open(io.BytesIO(answer.content)) as image:
        assert np.array_equal(np.asarray(image), expected)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("beach.jpg", "beach.monet.jpg"),
        ("beach.JPEG", "beach.monet.JPEG"),
        ("beach.png", "beach.monet.jpg"),  # which it is not
        ("../../etc/passwd", "passwd.monet.jpg"),
        ("C:\\photos\\été.jpg", "été.monet.jpg"),
        ("a\r\nSet-Cookie: x=1.jpg", "aSet-Cookie_ x=1.monet.jpg"),
        ("\u202egpj.exe", "gpj.monet.jpg"),
        ('a"b;c.jpg', "a_b;c.monet.jpg"),
        ("..", "photo.monet.jpg"),
        (".jpg", "photo.monet.jpg"),
        ("x" * 300 + ".jpg", "x" * 96 + ".monet.jpg"),
        ("夏日.jpg", "夏日.monet.jpg"),
    ],
)
def test_names_are_only_names(app, given, name):
    from urllib.parse import unquote

    answer = app.post("/v1/paintings", files={"photo": (given, jpeg())})
    header = answer.headers["content-disposition"]
    assert unquote(header.partition("filename*=UTF-8''")[2]) == name
    assert header.isascii()
    assert header.count('"') == 2
    if len(given) < 256:
        by_query = post(app, jpeg(), params={"name": given.partition("\r")[0]})
        assert by_query.status_code == 200


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("brush=99", "brush '99' found"),
        ("brush=nan", "finite number"),
        ("strength=2", "less than or equal to 1.5"),
        ("colors=blue", "'painter' or 'photo'"),
        ("layers=0", "greater than or equal to 1"),
        ("quality=101", "quality '101' found"),
        ("format=exe", "format 'exe' found"),
        ("painter=nobody", "painter 'nobody' is unknown; use monet"),
        ("side=1", "side '1' found"),
        ("sharpness=1", "unknown setting 'sharpness'"),
    ],
)
def test_settings_out_of_range(app, query, said):
    by_query = post(app, jpeg(), params=query)
    assert by_query.status_code == 422
    assert said in sentence(by_query)
    name, _, value = query.partition("=")
    by_form = app.post("/v1/paintings", files={"photo": ("a.jpg", jpeg())}, data={name: value})
    assert by_form.status_code == 422
    assert said in sentence(by_form)


@pytest.mark.parametrize(
    ("data", "kind", "status", "said"),
    [
        (b"text", "image/jpeg", 415, "not a picture"),
        (b"<svg/>", "image/svg+xml", 415, "not a picture"),
        (b"%PDF-1.7", "application/octet-stream", 415, "not a picture"),
        (jpeg(), "text/plain", 415, "'text/plain' found"),
        (jpeg(), "", 415, "no Content-Type"),
        (jpeg(), "image/", 415, "'image/' found"),
        (jpeg()[:400], "image/jpeg", 422, "damaged or cut short"),
        (jpeg()[:-200], "image/jpeg", 422, "damaged or cut short"),
        (b"", "image/jpeg", 415, "empty"),
        (b"x", "multipart/form-data", 400, "no boundary"),
        (b"x", "multipart/form-data; boundary=b", 400, "no well-formed"),
        (b"--b\r\n", "multipart/form-data; boundary=b", 400, "cut short"),
        (b"--b\r\n\r\nx\r\n--b--", "multipart/form-data; boundary=b", 400, "has no name"),
        (b"--b--\r\n", "multipart/form-data; boundary=b", 422, "no file named photo"),
    ],
)
def test_what_is_no_photo(app, data, kind, status, said):
    for path in ("/v1/paintings", "/v1/previews"):
        answer = app.post(path, content=data, headers={"content-type": kind} if kind else {})
        assert answer.status_code == status
        assert said in sentence(answer)


def test_forms_that_make_no_sense(app):
    def said(**form):
        answer = app.post("/v1/paintings", **form)
        assert answer.status_code == 422
        return sentence(answer)

    photo = ("photo", ("a.jpg", jpeg()))
    assert "no file named photo" in said(files={"image": ("a.jpg", b"x")})
    assert "two photos" in said(files=[photo, photo])
    assert "'brush' found; send one" in said(files=[photo], data={"brush": ["1", "2"]})
    assert "more than 1,000 bytes" in said(files=[photo], data={"name": "x" * 2000})
    assert "name its file" in said(files=[photo], data={"name": "x"})
    answer = app.post("/v1/previews", files=[photo], data={"brush": "1"})
    assert answer.status_code == 422
    assert "unknown field 'brush'" in sentence(answer)


def test_an_animation_does_not_fit_into_a_jpeg(app):
    answer = post(app, seeds()["gif-film"], params={"format": "jpeg"})
    assert answer.status_code == 422
    assert "holds one picture" in sentence(answer)


def test_too_many_bytes():
    with client(limits=replace(LIMITS, bytes=20_000, frame_bytes=1000)) as made:
        assert post(made, jpeg()).status_code == 200
        large = bytes(25_000)
        for answer in (
            post(made, large),
            post(made, large, headers={"content-length": "10"}),  # which lies
            made.post("/v1/paintings", files={"photo": ("a.jpg", large)}),
            made.post("/v1/previews", files={"photo": ("a.jpg", large)}),
        ):
            assert answer.status_code == 413
            assert "more than 20,000 bytes" in sentence(answer)
        # All together may hold only so much.
    with client(limits=replace(LIMITS, bytes_waiting=1)) as made:
        assert post(made, jpeg()).status_code == 200


def test_too_many_pixels_are_seen_in_the_header():
    with client(limits=replace(LIMITS, pixels=2000)) as made:
        answer = post(made, jpeg(60, 40))
        assert answer.status_code == 413
        assert "60x40" in sentence(answer)
        film = post(made, seeds()["gif-film"])  # 56 x 40 pixels, four times
        assert film.status_code == 413
    with client(limits=replace(LIMITS, pixels=3000)) as made:
        assert "4 frames of 56x40" in sentence(post(made, seeds()["gif-film"]))


@pytest.mark.parametrize("name", sorted(bombs()))
def test_bombs_do_not_go_off(app, name):
    answer = post(app, bombs()[name])
    assert answer.status_code in (200, 202, 413, 415, 422)
    if answer.status_code > 202:
        sentence(answer)


def test_a_painting_that_takes_too_long():
    slow = Slow()
    with client(slow.painter, replace(LIMITS, seconds=0.05)) as made:
        threading.Timer(0.2, slow.go.set).start()
        answer = post(made, jpeg())
        assert answer.status_code == 503
        assert "longer than 0.05 seconds" in sentence(answer)
        assert answer.headers["retry-after"] == "60"


def test_an_error_of_ours_is_one_sentence(caplog):
    def broken(batch):
        raise ZeroDivisionError

    with client(Painter(broken)) as made:
        answer = post(made, jpeg())
        assert answer.status_code == 500
        assert "log" in sentence(answer)
        assert "ZeroDivisionError" in caplog.text
        caplog.clear()
        assert made.get("/healthz").status_code == 200


# --- jobs -------------------------------------------------------------------------------------


def test_a_job_from_beginning_to_end():
    slow = Slow()
    with client(slow.painter) as made:
        answer = post(made, jpeg(60, 40), headers=ASYNC, params={"name": "a.jpg"})
        assert answer.status_code == 202
        assert answer.headers["preference-applied"] == "respond-async"
        assert int(answer.headers["retry-after"]) >= 1
        place, job = answer.headers["location"], answer.json()
        assert place == f"/v1/paintings/{job['id']}"
        second = post(made, jpeg(), headers=ASYNC).json()
        assert slow.begun.wait(5)
        found = made.get(place).json()
        assert found["state"] == "painting"
        assert 0 <= found["progress"] < 1
        assert found["seconds_left"] >= 0
        waiting = made.get(f"/v1/paintings/{second['id']}").json()
        assert (waiting["state"], waiting["ahead"], waiting["image"]) == ("waiting", 1, None)
        early = made.get(f"{place}/image")
        assert early.status_code == 409
        assert "not done" in sentence(early)
        slow.go.set()
        found = until(lambda: (j := made.get(place).json())["state"] == "done" and j)
        assert found["progress"] == 1
        assert (found["name"], found["width"], found["height"]) == ("a.monet.jpg", 60, 40)
        assert found["error"] is None
        assert found["seconds_left"] is None
        image = made.get(found["image"])
        assert size(image.content) == (60, 40)
        assert image.headers["content-disposition"].startswith("attachment")
        assert made.delete(place).status_code == 204
        for method, path in (("get", place), ("get", f"{place}/image"), ("delete", place)):
            gone = getattr(made, method)(path)
            assert gone.status_code == 404
            sentence(gone)


def test_large_photos_become_jobs():
    with client(limits=replace(LIMITS, at_once_pixels=1000)) as made:
        assert post(made, jpeg()).status_code == 202
        assert post(made, jpeg(), params={"side": 20}).status_code == 200


def test_progress_is_told():
    told: list[float] = []
    slow = Slow()
    slow.go.set()
    with client(slow.painter) as made:
        orders: Orders = made.app.state.orders
        original = slow._paint

        def watched(batch):
            told.extend(o.progress for o in orders._painting)
            return original(batch)

        slow.painter.engine = watched
        job = post(made, jpeg(600, 400), headers=ASYNC, params={"layers": 4}).json()
        place = f"/v1/paintings/{job['id']}"
        until(lambda: made.get(place).json()["state"] == "done")
    assert told == sorted(told)
    assert len(set(told)) == 4


def test_cancelling_gives_up_what_is_painted():
    slow = Slow()
    with client(slow.painter) as made:
        orders: Orders = made.app.state.orders
        first = post(made, jpeg(600, 400), headers=ASYNC, params={"layers": 4})
        second = post(made, jpeg(), headers=ASYNC)
        assert slow.begun.wait(5)
        for answer in (second, first):
            assert made.delete(answer.headers["location"]).status_code == 204
        assert orders.waiting == 0
        slow.go.set()
        until(lambda: not orders.at_work)
        assert slow.calls == 1  # of four layers
        assert not orders._seats
        assert "cancelled" in made.get("/metrics").text


def test_a_failed_job_says_why(app):
    job = post(app, jpeg(300, 200)[:-2000], headers=ASYNC).json()
    place = f"/v1/paintings/{job['id']}"
    found = until(lambda: (j := app.get(place).json())["state"] == "failed" and j)
    assert "damaged or cut short" in found["error"]
    answer = app.get(f"{place}/image")
    assert answer.status_code == 409
    assert "damaged" in sentence(answer)


def test_jobs_are_forgotten_in_time():
    with client(limits=replace(LIMITS, kept_seconds=1.0)) as made:
        place = post(made, jpeg(), headers=ASYNC).headers["location"]
        assert made.get(place).status_code == 200
        until(lambda: not made.app.state.orders._kept)
        assert made.get(place).status_code == 404


def test_the_oldest_jobs_are_forgotten_where_there_is_much():
    with client(limits=replace(LIMITS, kept_bytes=1, sweep_seconds=60)) as made:
        places = [post(made, jpeg(), headers=ASYNC).headers["location"] for _ in range(3)]
        until(lambda: made.get(places[-1]).json()["state"] == "done")
        made.app.state.orders.sweep()
        assert [made.get(place).status_code for place in places] == [404, 404, 200]


# --- the line ---------------------------------------------------------------------------------


def test_a_full_line_says_so_at_once():
    slow = Slow()
    with client(slow.painter, replace(LIMITS, queue=2)) as made:
        orders: Orders = made.app.state.orders
        for _ in range(3):
            assert post(made, jpeg(), headers=ASYNC).status_code == 202
        for path in ("/v1/paintings", "/v1/previews"):
            read = []

            def body(read=read):
                read.append(1)
                yield jpeg()

            answer = made.post(path, content=body(), headers={"content-type": "image/jpeg"})
            assert answer.status_code == 429
            assert 1 <= int(answer.headers["retry-after"]) <= 60
            assert "try again in" in sentence(answer)
        slow.go.set()
        until(lambda: not orders._seats)
        assert post(made, jpeg()).status_code == 200
        assert 'pleinair_refused_total{reason="full"} 2.0' in made.get("/metrics").text


def test_bytes_that_wait_are_bounded():
    slow, photo = Slow(), jpeg()
    limits = replace(LIMITS, bytes_waiting=2 * len(photo) + 10)
    with client(slow.painter, limits) as made:
        answers = [post(made, photo, headers=ASYNC).status_code for _ in range(3)]
        assert answers == [202, 202, 429]
        slow.go.set()
        until(lambda: not made.app.state.orders._seats)


def test_photos_are_painted_in_their_order_and_side_by_side():
    most, now, lock = [0], [0], threading.Lock()

    def engine(batch):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        threading.Event().wait(0.02)
        with lock:
            now[0] -= 1
        return batch

    with client(Painter(engine), replace(LIMITS, jobs=3)) as made, ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda n: post(made, jpeg(seed=n)).status_code, range(16)))
    assert codes == [200] * 16
    assert most[0] == 3


def test_stopping_finishes_what_is_painted_and_refuses_the_rest():
    slow = Slow()
    with client(slow.painter) as made, ThreadPoolExecutor(2) as pool:
        orders: Orders = made.app.state.orders
        until(lambda: made.get("/readyz").status_code == 200)
        painting = pool.submit(post, made, jpeg())
        assert slow.begun.wait(5)
        waiting = pool.submit(post, made, jpeg())
        until(lambda: orders.waiting)
        orders.close()
        assert waiting.result(5).status_code == 503
        refused = post(made, jpeg())
        assert refused.status_code == 503
        assert "stopping" in sentence(refused)
        assert made.get("/readyz").status_code == 503
        assert made.get("/healthz").status_code == 200
        slow.go.set()
        assert painting.result(5).status_code == 200


# --- who may ask ------------------------------------------------------------------------------


def test_a_key():
    with client(key="secret words") as made:
        for path in ("/v1/painters", "/v1/limits", "/v1/paintings/x", "/metrics"):
            for headers in ({}, {"authorization": "Bearer x"}, {"authorization": "secret words"}):
                answer = made.get(path, headers=headers)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
                assert "Bearer KEY" in sentence(answer)
        assert post(made, jpeg()).status_code == 401
        good = {"authorization": "Bearer secret words"}
        assert post(made, jpeg(), headers=good).status_code == 200
        assert made.get("/metrics", headers=good).status_code == 200
        for path in ("/", "/healthz", "/readyz", "/openapi.json"):
            assert made.get(path).status_code in (200, 503)
        document = made.get("/openapi.json").json()
        assert document["paths"]["/v1/painters"]["get"]["security"] == [{"key": []}]
        assert "401" in document["paths"]["/v1/painters"]["get"]["responses"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:80", "[::1]:8000"])
def test_names_of_this_computer(app, host):
    assert app.get("/v1/limits", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8000", "", "[::2]"])
def test_other_names_are_refused(app, host):
    answer = app.get("/v1/limits", headers={"host": host})
    assert answer.status_code == 400
    assert "--allow-host" in sentence(answer)
    assert app.get("/healthz", headers={"host": host}).status_code == 200


def test_names_that_are_allowed():
    with client(hosts=("paint.example.org",)) as made:
        assert made.get("/v1/limits", headers={"host": "paint.example.org"}).status_code == 200
        assert made.get("/v1/limits").status_code == 400
    with client(hosts=ANY) as made:
        assert made.get("/v1/limits", headers={"host": "whatever"}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:3000"])
def test_pages_of_others_may_not_post(app, origin):
    answer = post(app, jpeg(), headers={"origin": origin})
    assert answer.status_code == 403
    sentence(answer)
    assert app.delete("/v1/paintings/x", headers={"origin": origin}).status_code == 403
    read = app.get("/v1/limits", headers={"origin": origin})
    assert "access-control-allow-origin" not in read.headers


def test_the_page_itself_may_post(app):
    answer = post(app, jpeg(), headers={"origin": "http://localhost"})
    assert answer.status_code == 200


# --- the rest ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/v1/limits", "/nothing", "/openapi.json"])
def test_every_answer_is_guarded(app, path):
    headers = app.get(path).headers
    assert headers["content-security-policy"] == PAGE_HEADERS["Content-Security-Policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert not [name for name in headers if name.startswith("access-control")]


def test_methods(app):
    allowed = app.options("/v1/paintings/x")
    assert (allowed.status_code, allowed.headers["allow"]) == (204, "DELETE, GET, HEAD, OPTIONS")
    assert app.head("/v1/limits").status_code == 200
    assert app.head("/v1/limits").content == b""
    for method, path, allow in (
        ("GET", "/v1/paintings", "OPTIONS, POST"),
        ("HEAD", "/v1/previews", "OPTIONS, POST"),
        ("PUT", "/v1/paintings/x", "DELETE, GET, HEAD, OPTIONS"),
        ("POST", "/", "GET, HEAD, OPTIONS"),
    ):
        answer = app.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allow)


def test_the_page_is_served_as_it_lies_there(tmp_path):
    (tmp_path / "index.html").write_text("<p>hello")
    (tmp_path / "app.js").write_text("export {}")
    (tmp_path / "manifest.webmanifest").write_text("{}")
    (tmp_path.parent / "secret.txt").write_text("secret")
    with client(page=tmp_path) as made:
        page = made.get("/")
        assert (page.text, page.headers["cache-control"]) == ("<p>hello", "no-cache")
        again = made.get("/", headers={"if-none-match": page.headers["etag"]})
        assert again.status_code == 304
        assert made.get("/app.js").headers["content-type"].startswith("text/javascript")
        kind = made.get("/manifest.webmanifest").headers["content-type"]
        assert kind.startswith("application/manifest+json")
        for path in ("/%2e%2e/secret.txt", "/..%2fsecret.txt", "/%00", "/none.js"):
            assert made.get(path).status_code == 404
    with client(page=tmp_path / "nowhere") as made:
        assert "openapi.json" in made.get("/").text
        assert made.get("/app.js").status_code == 404


def test_limits_and_previews(app):
    limits = app.get("/v1/limits").json()
    assert limits["bytes"] == LIMITS.bytes
    assert "image/jpeg" in limits["accept"]
    data = images.encode(images.from_array(picture(40, 3000)), "TIFF")
    answer = app.post("/v1/previews", content=data, headers={"content-type": "image/tiff"})
    assert answer.headers["content-type"] == "image/jpeg"
    assert size(answer.content) == (2048, 27)
    turned = app.post("/v1/previews", files={"photo": ("a.jpg", jpeg(exif=camera_exif(6)))})
    assert size(turned.content) == (32, 48)


def test_metrics(app):
    post(app, jpeg(60, 40))
    post(app, jpeg()[:400])
    text = app.get("/metrics").text
    assert 'pleinair_requests_total{method="POST",route="/v1/paintings",status="200"}' in text
    for name in ("waiting", "painting", "waited_seconds_bucket", "painted_seconds_bucket"):
        assert f"pleinair_{name}" in text
    assert 'pleinair_refused_total{reason="damaged"}' in text
    with client() as other:  # which counts for itself
        assert "/v1/paintings" not in other.get("/metrics").text


# --- painters ---------------------------------------------------------------------------------


def test_painters_of_a_folder_come_and_go(tmp_path, caplog):
    monet = hub.find("monet").read_bytes()
    limits = replace(LIMITS, look_again_seconds=0.0)
    with client("monet", limits, painters=tmp_path) as made:

        def names() -> list[str]:
            return [one["name"] for one in made.get("/v1/painters").json()]

        first = made.get("/v1/painters").json()[0]
        assert first["default"]
        assert first["licence"] == "CC0-1.0"
        assert first["title"] == "Monet"
        assert len(first["sha256"]) == 64
        (tmp_path / "mine.onnx").write_bytes(monet)
        assert names() == ["monet", *sorted(["mine", *hub.names()[1:]])]
        answer = post(made, jpeg(), params={"painter": "mine"})
        assert answer.status_code == 200
        assert "photo.mine.jpg" in answer.headers["content-disposition"]
        assert "mine" in str(made.get("/openapi.json").json())
        (tmp_path / "broken.onnx").write_bytes(b"not a network")
        assert names() == ["monet", *sorted(["mine", *hub.names()[1:]])]
        assert names() == ["monet", *sorted(["mine", *hub.names()[1:]])]
        assert caplog.text.count("broken.onnx is a text file") == 1
        caplog.clear()
        (tmp_path / "broken.onnx").write_bytes(monet)
        assert names() == ["monet", *sorted(["broken", "mine", *hub.names()[1:]])]
        (tmp_path / "mine.onnx").unlink()
        assert names() == ["monet", *sorted(["broken", *hub.names()[1:]])]
        gone = post(made, jpeg(), params={"painter": "mine"})
        assert gone.status_code == 422
        assert "use monet, broken" in sentence(gone)


def test_a_folder_as_painter(tmp_path):
    with pytest.raises(PainterError, match="two folders"):
        web.make_app(tmp_path, painters=tmp_path / "more")
    (tmp_path / "zola.onnx").write_bytes(hub.find("monet").read_bytes())
    with client(tmp_path) as made:
        found = made.get("/v1/painters").json()
        assert [(one["name"], one["default"]) for one in found] == [
            ("zola", True),
            *((name, False) for name in sorted(hub.names())),
        ]


def test_weights_in_the_folder_are_passed_by_and_told_once(tmp_path, caplog):
    (tmp_path / "zola.onnx").write_bytes(hub.find("monet").read_bytes())
    for name in ("latest_net_G.pth", "generator.keras", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    with client(tmp_path, replace(LIMITS, look_again_seconds=0.0)) as made:
        for _ in range(2):
            assert len(made.get("/v1/painters").json()) == 1 + len(hub.names())
    told = [record.message for record in caplog.records if "passed by" in record.message]
    advice = "`pleinair import` makes an .onnx file of it"
    assert [one.split("; ")[1] for one in told] == [advice] * 2
    assert "generator.keras" in told[0]
    assert "latest_net_G.pth" in told[1]


def test_a_painter_of_the_folder_by_name(tmp_path):
    (tmp_path / "zola.onnx").write_bytes(hub.find("monet").read_bytes())
    limits = replace(LIMITS, look_again_seconds=0.0)
    with client("zola", limits, painters=tmp_path) as made:
        assert [one["name"] for one in made.get("/v1/painters").json()] == [
            "zola",
            *sorted(hub.names()),
        ]
        # One that has the name of a shipped one takes its place.
        (tmp_path / "monet.onnx").write_bytes(hub.find("monet").read_bytes())
        made.get("/v1/painters")
        shelf = made.app.state.orders.shelf
        assert shelf.find("monet").path == tmp_path / "monet.onnx"
        (tmp_path / "zola.onnx").unlink()
        assert shelf.find(None).name == "monet"


def test_a_painting_at_work_keeps_its_painter(tmp_path, monkeypatch):
    monet = hub.find("monet").read_bytes()
    (tmp_path / "zola.onnx").write_bytes(monet)
    with client("zola", replace(LIMITS, look_again_seconds=0.0), painters=tmp_path) as made:
        orders: Orders = made.app.state.orders
        until(lambda: orders.ready)
        loaded, go, load = threading.Event(), threading.Event(), orders.shelf.load

        def held(*asked: Any) -> Painter:
            painter = load(*asked)
            loaded.set()
            assert go.wait(30)
            return painter

        monkeypatch.setattr(orders.shelf, "load", held)
        job = post(made, jpeg(), headers=ASYNC).json()
        assert loaded.wait(10)
        assert orders.at_work == 1
        (tmp_path / "zola.onnx").unlink()
        assert [one["name"] for one in made.get("/v1/painters").json()] == hub.names()
        go.set()
        place = f"/v1/paintings/{job['id']}"
        until(lambda: made.get(place).json()["state"] == "done")


def test_painters_that_are_none(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"x")
    for painter in ("nobody", tmp_path / "bad.onnx", tmp_path / "none.onnx"):
        with pytest.raises(PainterError):
            web.make_app(painter)
    with pytest.raises(PainterError, match="no folder"):
        web.make_app(painters=tmp_path / "none")


# --- files by the thousand --------------------------------------------------------------------


def test_thousands_of_bad_files_crash_nothing(capfd, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    counts: Counter[int] = Counter()
    app = web.make_app(copyist(), replace(LIMITS, jobs=2))
    numbers = iter(range(2000))

    async def send() -> None:
        for number in numbers:
            name, data = mutated(number)
            status, body = await direct(app, data)
            assert status in (200, 202, 413, 415, 422), f"mutation {number} of {name}"
            if status > 202:
                assert json.loads(body)["detail"].endswith("."), f"mutation {number} of {name}"
            counts[status] += 1

    async def run() -> None:
        await asyncio.gather(*(send() for _ in range(4)))

    asyncio.run(run())
    app.state.orders.stop()
    assert counts[200] > 200
    assert counts[422] > 200
    said = capfd.readouterr()
    assert said.out + said.err == ""
    assert list(tmp_path.iterdir()) == []


def test_painting_alone_needs_no_web():
    code = (
        "import sys; from pleinair.cli import app; import pleinair.cli.paint, pleinair.folders; "
        "bad = {'fastapi', 'starlette', 'uvicorn', 'pydantic', 'prometheus_client'}; "
        "sys.exit(bool(bad & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_large_photo_is_waited_for_where_the_client_says_so():
    large = jpeg(200, 100)
    with client(limits=replace(LIMITS, at_once_pixels=10_000)) as made:
        assert post(made, large).status_code == 202
        answer = post(made, large, headers={"prefer": "handling=lenient, wait=300"})
        assert answer.status_code == 200
        assert answer.headers["pleinair-width"] == "200"


def test_a_painting_asked_for_too_early_says_when_to_come_again():
    slow = Slow()
    with client(slow.painter) as made:
        place = post(made, jpeg(), headers={"prefer": "respond-async"}).headers["location"]
        early = made.get(f"{place}/image")
        slow.go.set()
        assert (early.status_code, early.headers["retry-after"]) == (409, "1")


def test_a_file_in_another_field_is_named():
    with client() as made:
        answer = made.post("/v1/paintings", files={"file": ("a.jpg", jpeg(), "image/jpeg")})
        assert answer.status_code == 422
        assert answer.json()["detail"] == "no file named photo but 'file' found; name it photo."


def test_a_folder_alone_has_to_hold_a_painter(tmp_path):
    with pytest.raises(PainterError, match="holds no painter"):
        make_app(tmp_path)
    make_app("monet", painters=tmp_path)  # it may come later
