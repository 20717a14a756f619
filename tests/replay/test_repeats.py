"""Examples that are new and the same work, and a real server with a real cache before it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from goldwatch.core.judgement import Passed
from goldwatch.daemon.in_force import prepare
from goldwatch.daemon.pipeline import run
from goldwatch.ipc.workers import Workers
from goldwatch.worker.load.repeats import altered

from tests.loopback import serving

DIGITS = Path(__file__).parents[2] / "agent/goldwatch/demo/digits"


@given(
    st.sampled_from(["float32", "float64", "int64", "uint8"]).flatmap(
        lambda dtype: arrays.arrays(dtype, (1, 5), elements=st.integers(0, 100))
    ),
    st.integers(0, 2**32),
)
def test_an_altered_example_is_another_of_the_same_kind(value: np.ndarray, seed: int) -> None:
    before = value.copy()
    new = altered({"x": value, "y": value}, np.random.default_rng(seed))
    np.testing.assert_array_equal(value, before)
    if new is None:
        assert value.dtype.kind in "iu"
        assert not value.any()
        return
    assert (new["x"].dtype, new["x"].shape) == (value.dtype, value.shape)
    assert (new["x"] != value).any()
    assert (new["x"] >= 0).all() or value.dtype.kind == "f"
    assert np.abs(new["x"].astype(float) - value).max() <= (1.0 if value.dtype.kind in "iu" else 2.0)
    assert new["y"] is value


def text(value: str) -> np.ndarray:
    found = np.empty(1, dtype=object)
    found[0] = value
    return found


def test_prompts_and_messages_get_a_number() -> None:
    chance = np.random.default_rng(0)
    new = altered({"prompt": text("hello")}, chance)
    assert new is not None
    assert new["prompt"][0].endswith("] hello")
    messages = [{"role": "user", "content": "hello"}]
    new = altered({"messages": text(json.dumps(messages))}, chance)
    assert new is not None
    (message,) = json.loads(new["messages"][0])
    assert message["role"] == "user"
    assert message["content"].endswith("] hello")
    assert altered({"messages": text("[1, 2]")}, chance) is None


class Cached:
    """A model server that takes 100 ms for what it has not been asked before, if it has a cache."""

    def __init__(self, *, cache: bool) -> None:
        self.answers: dict[bytes, bytes] = {}
        self.cache = cache


@pytest.fixture(params=[True, False], ids=["cache", "no cache"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[Cached, str]]:
    model = Cached(cache=request.param)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not model.cache or body not in model.answers:
                time.sleep(0.1)
                model.answers[body] = json.dumps({"predictions": [[0.1] * 10]}).encode()
            self._answer(model.answers[body])

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        with serving(http):
            yield model, f"http://127.0.0.1:{http.server_port}"


@pytest.mark.slow
def test_a_cache_before_a_server_is_found_even_if_it_knows_the_golden_set(
    tmp_path: Path, server: tuple[Cached, str]
) -> None:
    model, address = server
    (tmp_path / "goldwatch.yaml").write_text(f"""\
targets:
  digits:
    probe: http
    url: {address}
    path: predict
    body: {{x: "{{image}}"}}
    outputs: {{probabilities: predictions}}
golden: {{digits: {DIGITS}/golden}}
watches: {{digits: {{load: {{scenario: offline, batch: 1, in_flight: 16}}}}}}
""")
    workers = Workers()
    try:
        (assignment,) = prepare(tmp_path / "goldwatch.yaml", workers).assignments
        for _ in range(2 if model.cache else 1):  # the second time it knows every example
            judgement = run(assignment, workers, {}).judgement
        assert judgement.findings.validity == "valid", (judgement.findings.reasons, judgement.findings.errors)
        (check,) = judgement.findings.checks
        assert check.passed is (Passed.NO if model.cache else Passed.YES), (check, judgement.findings.reasons)
        assert run(assignment, workers, {}, referee=False).judgement.findings.checks == ()
    finally:
        workers.close()
