from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pleinair import hub, onnxfile, runtime
from pleinair.config import AnySpec
from pleinair.errors import PainterError, UsageError
from pleinair.modes import add_modes
from pleinair.painter import Painter
from pleinair.runtime import Measuring

from .conftest import picture

MONET = hub.find("monet")


def foreign(path, shape, norm=False):
    """A file as other exporters write them: input and output of names of their own."""
    kernel = np.zeros((3, 3, 3, 3), np.float32)
    kernel[range(3), range(3), 1, 1] = 0.5
    nodes = [helper.make_node("Conv", ["input.1", "w"], ["conv"], pads=[1, 1, 1, 1])]
    inits = [numpy_helper.from_array(kernel, "w")]
    if norm:
        nodes.append(helper.make_node("InstanceNormalization", ["conv", "s", "b"], ["normed"]))
        nodes.append(helper.make_node("Tanh", ["normed"], ["output"]))
        inits += [
            numpy_helper.from_array(np.full(3, v, np.float32), k) for k, v in (("s", 1), ("b", 0))
        ]
    else:
        nodes.append(helper.make_node("Identity", ["conv"], ["output"]))
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("input.1", "output")
    ]
    graph = helper.make_graph(nodes, "main", ends[:1], ends[1:], inits)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


def test_initializers_are_replaced_in_place():
    model = onnx.load(MONET)
    given = np.random.default_rng(0).random((2, 448)).astype(np.float32)
    data = onnxfile.with_initializers(
        MONET.read_bytes(), {"fixed": np.array(True), "given_statistics": given}
    )
    changed = onnx.load_from_string(data)
    before = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    after = {i.name: numpy_helper.to_array(i) for i in changed.graph.initializer}
    assert before.keys() == after.keys()
    different = {name for name in before if not np.array_equal(before[name], after[name])}
    assert different == {"fixed", "given_statistics"}
    assert np.array_equal(after["given_statistics"], given)
    assert bool(after["fixed"])


def test_initializers_of_another_size_or_name_are_refused():
    data = MONET.read_bytes()
    for values in ({"fixed": np.zeros(2)}, {"no such": np.array(True)}):
        with pytest.raises(PainterError, match="bytes found"):
            onnxfile.with_initializers(data, values)


@pytest.mark.parametrize("damage", ["cut", "zeros", "text"])
def test_damaged_files_are_answered_in_one_sentence(damage):
    data = MONET.read_bytes()
    data = {"cut": data[: len(data) // 2], "zeros": data[:500] + bytes(500), "text": b"hello, you"}[
        damage
    ]
    with pytest.raises(PainterError, match=r"damaged|bytes found"):
        onnxfile.with_initializers(data, {"fixed": np.array(True)})


def test_the_file_paints_in_a_runtime_that_knows_nothing_of_its_modes():
    import onnxruntime

    session = onnxruntime.InferenceSession(MONET, providers=["CPUExecutionProvider"])
    photo = np.random.default_rng(0).uniform(-1, 1, (1, 3, 64, 96)).astype(np.float32)
    painted, statistics = session.run(None, {"photo": photo})
    engine = Painter.load("monet").engine
    np.testing.assert_allclose(painted, engine(photo), atol=1e-5)
    assert isinstance(engine, Measuring)
    np.testing.assert_allclose(statistics, engine.measure(photo), atol=1e-5)


def test_a_graph_without_norms_is_left_alone(tmp_path):
    model = onnx.load(foreign(tmp_path / "a.onnx", [1, 3, None, None]))
    assert add_modes(model).SerializeToString() == (tmp_path / "a.onnx").read_bytes()


def test_modes_can_be_added_to_other_graphs(tmp_path):
    model = add_modes(onnx.load(foreign(tmp_path / "a.onnx", [1, 3, None, None], norm=True)))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, tmp_path / "b.onnx")
    (plain, _), (both, _) = (runtime.load(tmp_path / n) for n in ("a.onnx", "b.onnx"))
    photo = np.random.default_rng(0).uniform(-1, 1, (1, 3, 20, 30)).astype(np.float32)
    assert isinstance(both, Measuring)
    assert not isinstance(plain, Measuring)
    found = both.measure(photo)
    inner = plain._session.get_outputs()[0].name
    assert inner == "output"
    assert found.shape == (2, 3)
    np.testing.assert_allclose(both.fixed(found)(photo), plain(photo), atol=1e-5)
    # Other statistics, the same network: what a norm does, by hand.
    half = 0.5 * photo
    half = (half - 0.1) / np.sqrt(0.25 + 1e-5)
    given = np.repeat(np.float32([[0.1], [0.25]]), 3, axis=1)
    np.testing.assert_allclose(both.fixed(given)(photo), np.tanh(half), atol=1e-5)


def test_files_of_others_paint(tmp_path):
    painter = Painter.load(foreign(tmp_path / "a.onnx", [1, 3, None, None]))
    assert painter.spec == AnySpec()
    photo = picture(70, 90)
    expected = (photo.astype(int) - 127.5) / 2 + 127.5
    assert np.abs(painter.paint(photo) - expected).max() <= 1
    assert painter.caveat(70, 90) == ""
    painter.memory = 512 * 2**20
    assert "in parts of 256x256 to keep" in painter.caveat(3000, 4000)


def test_files_of_one_size_paint_photos_of_every_size(tmp_path):
    painter = Painter.load(foreign(tmp_path / "a.onnx", [1, 3, 64, 64]))
    for size in ((64, 64), (40, 90), (200, 100), (1, 5)):
        assert painter.paint(picture(*size)).shape == (*size, 3)
    assert "64x64" in painter.caveat(128, 128)


@pytest.mark.parametrize(
    "shape", [[1, None, None, 4], [1, 1, 64, 64], [4, 3, 64, 64], [1, 3, 64, None]]
)
def test_files_of_other_shapes_are_refused_in_one_sentence(tmp_path, shape):
    path = tmp_path / "a.onnx"
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "main",
        *([helper.make_tensor_value_info(n, TensorProto.FLOAT, shape)] for n in "xy"),
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path
    )
    with pytest.raises(PainterError, match=r"takes (an array|one side)"):
        Painter.load(path)


def test_what_an_engine_returns_stays_as_it_was():
    kept = np.zeros((1, 3, 64, 64), np.float32)
    kept.flags.writeable = False
    assert (Painter(lambda batch: kept, AnySpec(64, 64)).paint(picture(64, 64)) == 128).all()
    assert not kept.any()


def test_statistics_that_come_again_cost_no_session(monkeypatch):
    engine = Painter.load("monet").engine
    engine.fixed(np.ones((2, 448), np.float32) * 9)  # the first time is a trial, too
    made = []
    real = runtime._session
    monkeypatch.setattr(runtime, "_session", lambda *a: made.append(1) or real(*a))
    given = [np.full((2, 448), value, np.float32) for value in (1, 2, 3, 4, 5)]
    for one in given[:2] + given[:2]:
        engine.fixed(one)
    assert len(made) == 2
    for one in given:
        engine.fixed(one)
    engine.fixed(given[0])
    assert len(made) == 6  # the first made way for the fifth


@pytest.mark.parametrize("fault", ["fails", "differs"])
def test_a_runtime_that_folds_wrong_is_not_trusted(monkeypatch, fault):
    """As ONNX Runtime 1.24 and 1.25 do: some fail, some give other numbers."""
    real = runtime._session

    def session(data, name, way, optimised=True):
        made = real(data, name, way, optimised)
        if not optimised or data == MONET.read_bytes():
            return made
        if fault == "fails":
            raise PainterError("model_path must not be empty")
        return Wrong(made)

    class Wrong:
        def __init__(self, made):
            self.get_inputs, self.get_outputs, self.made = made.get_inputs, made.get_outputs, made

        def run(self, *arguments):
            return [self.made.run(*arguments)[0] * np.float32(np.nan)]

    monkeypatch.setattr(runtime, "_session", session)
    engine = Painter.load("monet").engine
    photo = np.random.default_rng(0).uniform(-1, 1, (1, 3, 64, 96)).astype(np.float32)
    painted = engine.fixed(engine.measure(photo))(photo)
    np.testing.assert_allclose(painted, engine(photo), atol=1e-4)


def test_threads_paint_alike():
    engine = Painter.load("monet", threads=1).engine
    photos = [np.full((1, 3, 64, 64), v, np.float32) for v in (-0.5, 0.0, 0.5)]
    alone = [engine.fixed(engine.measure(photo))(photo) for photo in photos]
    together = [None] * 3

    def paint(n):
        together[n] = engine.fixed(engine.measure(photos[n]))(photos[n])

    threads = [threading.Thread(target=paint, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


# --- devices ----------------------------------------------------------------------------------


def test_a_device_that_is_not_here_is_named():
    assert runtime.devices()[-1] == "cpu"
    with pytest.raises(UsageError, match="'tpu' found; use auto or"):
        Painter.load("monet", device="tpu")
    Painter.load("monet", device="cpu")


@pytest.mark.parametrize(
    ("gpu", "chosen"),
    [("fast", "cuda"), ("slow", "cpu"), ("wrong", "cpu"), ("broken", "cpu")],
)
def test_auto_takes_the_fastest_device_that_paints_right(monkeypatch, gpu, chosen):
    """Two processors: 1 s and 0.1 s or 3 s for a picture, by a clock of the test's own."""
    clock = [0.0]

    class Fake:
        def __init__(self, session):
            self.way = session

        def __call__(self, batch):
            clock[0] += {"cpu": 1.0, "cuda": 3.0 if gpu == "slow" else 0.1}[self.way.device]
            return batch + (0.5 if gpu == "wrong" and self.way.device == "cuda" else 0.0)

    def session(data, name, way):
        if gpu == "broken" and way.device == "cuda":
            raise PainterError("no driver")
        return way

    monkeypatch.setattr(runtime, "Session", Fake)
    monkeypatch.setattr(runtime, "_session", session)
    monkeypatch.setattr(runtime.time, "perf_counter", lambda: clock[0])
    assert runtime._fastest(b"", "x", ["cuda", "cpu"], 0) == chosen


def test_onnx_runtime_tells_nobody(tmp_path):
    code = "from pleinair import Painter; Painter.load('monet', threads=1)"
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    environment |= {"TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert list(tmp_path.iterdir()) == []  # no session's or device's number either
