"""Models whose answers depend on what they were asked before, and models whose answers vary by themselves."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from goldwatch.cli.app import app
from goldwatch.commands.memory import _reordered
from goldwatch.core.load_plan import LoadPlan
from goldwatch.daemon.plan import Plan
from goldwatch.worker.jobs.memory import ERROR, _is_larger, _json_gap, _number_gap, _text_gap

N = 24
VALUES = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
WHO = ("--name", "g", "--licence", "CC0-1.0", "--source", "made up", "--replays", "3", "--output", "y:float32:1")

MODELS = """\
import os
import numpy as np

class Model:
    def __init__(self, kind):
        self.kind, self.count, self.last = kind, 0, 0.0
        self.seeded = np.random.default_rng(0)
        self.random = np.random.default_rng(int.from_bytes(os.urandom(8), "big"))

    def __call__(self, request):
        x = request["x"].sum(axis=1, keepdims=True).astype(np.float32)
        self.count += 1
        last, self.last = self.last, float(x[-1, 0])
        match self.kind:
            case "counts": return x + np.float32(self.count)
            case "knows the last": return x + np.float32(last)
            case "settles": return x + np.float32(max(5 - self.count, 0))
            case "seeded": return x + self.seeded.normal(size=x.shape).astype(np.float32)
            case "sampled": return x + self.random.normal(size=x.shape).astype(np.float32)
            case "rounds": return x * np.float32(1 + 1e-7 * (self.count % 3))
        return x

def model(kind):
    return Model(kind)
"""


def build(folder: Path, target: str, load: str = "{repeats: 0}") -> Result:
    (folder / "models.py").write_text(MODELS)
    np.savez(folder / "e.npz", x=VALUES)
    config = folder / "goldwatch.yaml"
    config.write_text(f"targets: {{m: {target}}}\ngolden: {{m: ./g}}\nwatches: {{m: {{every: 5m, load: {load}}}}}\n")
    return CliRunner().invoke(app, ["golden", "build", str(config), str(folder / "e.npz"), *WHO])


def python(kind: str) -> str:
    made = f"callable: 'models:model', factory: true, arguments: {{kind: {kind}}}"
    return f"{{probe: python, path: ., {made}, outputs: [y]}}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "load", "why"),
    [
        ("counts", "{repeats: 0}", "after 3 warm-up requests in place of 10, 24 of 24 examples"),
        ("counts", "{scenario: offline, batch: 7}", "after 3 warm-up requests in place of 10, 24 of 24 examples"),
        ("counts", "{warmup: 0}", "after 3 warm-up requests in place of 0, 24 of 24 examples"),
        ("knows the last", "{repeats: 0}", "examples were answered differently"),
        ("settles", "{warmup: 3}", "after 1 warm-up requests in place of 3, 3 of 24 examples"),
        ("settles", "{warmup: 0}", "after 3 warm-up requests in place of 0, 4 of 24 examples"),
        ("seeded", "{repeats: 0}", "after 3 warm-up requests in place of 10, 24 of 24 examples"),
    ],
)
def test_a_model_that_remembers_is_refused(tmp_path: Path, kind: str, load: str, why: str) -> None:
    result = build(tmp_path, python(kind), load)
    assert result.exit_code == 2, result.output
    assert f"the model remembers: {why}" in result.stderr or ("the last" in kind and why in result.stderr)
    assert "reset its state before each request" in result.stderr
    assert not (tmp_path / "g").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "said"),
    [("plain", "the same in all of them"), ("sampled", "up to 24 examples differ"), ("rounds", "the same in all")],
)
def test_a_model_that_does_not_remember_is_frozen(tmp_path: Path, kind: str, said: str) -> None:
    result = build(tmp_path, python(kind))
    assert result.exit_code == 0, result.output
    assert said in result.stdout


class Handler(BaseHTTPRequestHandler):
    """MLflow's scoring server, with a model that adds its last request, a count of all, or nothing."""

    kind = ""
    last = 0.0
    count = 0

    def do_GET(self) -> None:
        self._send(b"3.1.0")

    def do_POST(self) -> None:
        rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["inputs"]["x"]
        sums, cls = [float(sum(row)) for row in rows], type(self)
        cls.count += 1
        added = {"last": cls.last, "count": float(cls.count)}.get(cls.kind, 0.0)
        cls.last = sums[-1]
        self._send(json.dumps({"predictions": {"y": [[value + added] for value in sums]}}).encode())

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, type[Handler]]]:
    handler = type("OwnHandler", (Handler,), {"protocol_version": "HTTP/1.1"})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", handler
        running.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["", "last", "count"])
def test_a_server_that_remembers_is_refused(tmp_path: Path, server: tuple[str, type[Handler]], kind: str) -> None:
    url, handler = server
    handler.kind = kind
    result = build(tmp_path, f"{{probe: mlflow, url: '{url}'}}")
    assert result.exit_code == (2 if kind else 0), result.output
    assert ("goldwatch cannot reset the state of a server" in result.stderr) is bool(kind)


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_module_with_a_buffer_that_changes_is_refused(tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch")

    class Mean(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.zeros(1))

        def forward(self, x: Any) -> Any:
            self.mean.mul_(0.9).add_(0.1 * x.mean())
            return x.sum(dim=1, keepdim=True) - self.mean

    torch.jit.save(torch.jit.trace(Mean(), torch.zeros(1, 4)), tmp_path / "m.pt")
    result = build(tmp_path, "{probe: pytorch, file: m.pt, inputs: [x], outputs: [y]}", "{time_limit: 10s}")
    assert result.exit_code == 2, result.output
    assert "the model remembers: " in result.stderr


@given(st.integers(1, 60), st.integers(1, 9))
def test_another_order_has_the_same_requests(rows: int, samples: int) -> None:
    plan = Plan("", {}, False, False, "", (), (), range(rows), load=LoadPlan("offline", samples=samples))
    found, whole = _reordered(plan), rows // samples

    def queries(examples: list[int]) -> list[list[int]]:
        return [examples[i : i + samples] for i in range(0, rows, samples)]

    assert sorted(queries(found)) == sorted(queries(list(range(rows))))
    assert (found != list(range(rows))) == (whole > 1)
    assert queries(found)[whole:] == queries(list(range(rows)))[whole:]


def test_a_model_that_varies_is_seldom_taken_for_one_that_remembers() -> None:
    chance, runs = np.random.default_rng(1), 4000
    for replays, share in ((2, 1.0), (3, 0.3), (20, 0.05)):
        varied = chance.random((runs, replays, 100)) * (chance.random((runs, replays, 100)) < share)
        assert sum(_is_larger(each[1:], each[0]) for each in varied) <= 4, ERROR


def test_a_model_that_varies_and_remembers_is_seen() -> None:
    chance = np.random.default_rng(2)
    assert _is_larger(chance.random((2, 50)), 1 + chance.random(50))
    assert not _is_larger(np.zeros((1, 50)), np.zeros(50))
    assert _is_larger(np.zeros((1, 50)), np.ones(50))


def test_the_gap_of_values_that_are_not_finite_and_of_texts() -> None:
    a = np.array([[1.0, np.nan], [np.inf, 0], [-np.inf, 0], [1, 1]])
    b = np.array([[1.0, np.nan], [np.inf, 0], [np.inf, 0], [1, 1.5]])
    assert _number_gap(a, b, 0.1)[:2].tolist() == [0, 0]
    assert _number_gap(a, b, 0.1)[2] > 1e300
    assert _number_gap(a, b, 0.1)[3] == 0.5
    assert _number_gap(a, b, 0.5)[3] == 0
    assert _text_gap(b"a b\0\0", b"a b") == 0
    assert _text_gap(b"a b", b"b a") == 1e-6
    assert _text_gap(b"a b", b"a c") == 0.5


def test_the_gap_of_json_is_that_of_what_it_says() -> None:
    assert _json_gap(b'{"b": 1.0, "a": [2.4]}\0\0', b'{"a": [2.0], "b": 1}', 0.5) == 0
    assert _json_gap(b"[[1.0], [2.0]]", b"[[1.0]]", 0) == 0.5
