"""Ranking many models: the procedure, and the command against a server that is none. Real ones: tests/real."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from goldwatch.cli.app import app
from goldwatch.commands.fleet import MonitorStanding, Ranked, as_json, as_text, significant


def stand_out(beyond: Sequence[float]) -> int:
    return significant(len(beyond), lambda least: sum(each >= least for each in beyond))


def test_one_alone_needs_so_many_times_its_threshold_and_several_less() -> None:
    assert stand_out([1.9, *[-5.0] * 99]) == 0
    assert stand_out([2.0, *[-5.0] * 99]) == 1
    assert stand_out([*[1.0] * 10, *[-5.0] * 90]) == 10
    assert stand_out([3.0, 1.0, *[-5.0] * 98]) == 1
    assert stand_out([]) == 0


@given(st.lists(st.floats(-8, 8), max_size=60))
def test_counting_gives_what_sorting_does(beyond: list[float]) -> None:
    ordered, n = sorted(beyond, reverse=True), len(beyond)
    by_sorting = max((k for k, each in enumerate(ordered, 1) if each >= np.log10(n / k)), default=0)
    assert stand_out(beyond) == by_sorting


def test_the_share_of_false_ones_is_what_e_values_give() -> None:
    """Half of the models are bad, the e-values of the others have a mean of 1: at thresholds of 1/alpha, alpha / 2."""
    alpha, rng, shares = 0.2, np.random.default_rng(11), []
    for _ in range(4000):
        z = rng.normal(0, 1, 20)
        log_e = 2 * z - 2  # a likelihood ratio of normal laws: of mean 1
        log_e[10:] += 6
        beyond = log_e / np.log(10) + np.log10(alpha)
        k = stand_out(beyond.tolist())
        chosen = np.argsort(-beyond)[:k]
        shares.append(float((chosen < 10).sum()) / max(k, 1))
    assert np.mean(shares) <= alpha / 2


def test_what_is_not_shown_is_counted() -> None:
    shown = MonitorStanding("spam", "spam", "slow", 3.1, 5.5)
    ranked = Ranked(100_000, 25_000, 0, 12, (shown,))
    assert as_text(ranked).splitlines()[0] == "100,000 monitors of 25,000 targets, 0 stand out"
    assert as_text(ranked).splitlines()[-1] == "  and 11 more with less evidence; --limit shows more"
    found = json.loads(as_json(ranked))
    assert (found["total"], found["targets"], found["suspects"], found["left_out"]) == (100_000, 25_000, 12, 11)


class Prometheus(ThreadingHTTPServer):
    answer: Any = None
    token: str | None = None


class Handler(BaseHTTPRequestHandler):
    server: Prometheus

    def do_GET(self) -> None:
        if self.server.token and self.headers["Authorization"] != f"Bearer {self.server.token}":
            self.send_error(401)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.server.answer).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def prometheus() -> Iterator[Prometheus]:
    with Prometheus(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def fleet(server: Prometheus, *options: str) -> Any:
    return CliRunner().invoke(app, ["fleet", f"http://127.0.0.1:{server.server_port}", *options])


def test_a_server_that_is_no_prometheus_is_told(prometheus: Prometheus) -> None:
    prometheus.answer = {"status": "error", "error": "bad_data"}
    assert "bad_data" in fleet(prometheus).stderr
    prometheus.answer = []
    assert "did not answer as Prometheus does" in fleet(prometheus).stderr
    prometheus.answer = {"status": "success", "data": {"resultType": "vector", "result": []}}
    found = fleet(prometheus)
    assert (found.exit_code, "did not answer as Prometheus does" in found.stderr) == (2, True)


def test_the_token_of_the_environment_is_sent_and_never_shown(
    prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    prometheus.token = "s3cret"
    prometheus.answer = {"status": "success", "data": {"resultType": "scalar", "result": [0, "0"]}}
    refused = fleet(prometheus)
    assert (refused.exit_code, "HTTP 401" in refused.stderr) == (2, True)
    monkeypatch.setenv("PROMETHEUS_TOKEN", "s3cret")
    assert "knows no evidence of any monitor; does it scrape the agents?" in fleet(prometheus).stderr
    monkeypatch.setenv("PROMETHEUS_TOKEN", "other-s3cret")
    assert "s3cret" not in fleet(prometheus).output
