"""Ranking many models: the procedure, and the command against a server that answers as Prometheus does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from goldwatch.cli.app import app
from goldwatch.commands.fleet import MonitorStanding, rank


def monitors(*beyond: float) -> list[MonitorStanding]:
    return [MonitorStanding("watch", f"model-{i}", "worse", 5.0 + each, 5.0) for i, each in enumerate(beyond)]


def test_one_alone_needs_so_many_times_its_threshold_and_several_less() -> None:
    assert rank(monitors(1.9, *[-5.0] * 99)).k == 0
    assert rank(monitors(2.0, *[-5.0] * 99)).k == 1
    assert rank(monitors(*[1.0] * 10, *[-5.0] * 90)).k == 10
    assert rank(monitors(3.0, 1.0, *[-5.0] * 98)).k == 1
    assert rank([]).k == 0


@given(st.lists(st.floats(-8, 8), min_size=1, max_size=30), st.integers(0, 29), st.floats(0, 5))
def test_more_evidence_makes_no_fewer_stand_out(beyond: list[float], which: int, more: float) -> None:
    raised = [each + more * (i == which % len(beyond)) for i, each in enumerate(beyond)]
    assert rank(monitors(*raised)).k >= rank(monitors(*beyond)).k


def test_the_share_of_false_ones_is_what_e_values_give() -> None:
    """Half of the models are bad, the e-values of the others have a mean of 1: at thresholds of 1/alpha, alpha / 2."""
    alpha, rng, shares = 0.2, np.random.default_rng(11), []
    for _ in range(4000):
        z = rng.normal(0, 1, 20)
        log_e = 2 * z - 2  # a likelihood ratio of normal laws: of mean 1
        log_e[10:] += 6
        found = rank(monitors(*(log_e / np.log(10) + np.log10(alpha))))
        chosen = [int(each.target.removeprefix("model-")) for each in found.monitors[: found.k]]
        shares.append(sum(i < 10 for i in chosen) / max(len(chosen), 1))
    assert np.mean(shares) <= alpha / 2


class Prometheus(ThreadingHTTPServer):
    answer: Any = None
    token: str | None = None


class Handler(BaseHTTPRequestHandler):
    server: Prometheus

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)["query"][0]
        if self.server.token and self.headers["Authorization"] != f"Bearer {self.server.token}":
            self.send_error(401)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.server.answer(query)).encode())

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


def vector(values: dict[tuple[str, str], float]) -> dict[str, Any]:
    result = [
        {"metric": {"watch": target, "target": target, "monitor": monitor}, "value": [0, str(value)]}
        for (target, monitor), value in values.items()
    ]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def test_the_command_says_who_stands_out(prometheus: Prometheus) -> None:
    evidence = {(f"model-{i}", "worse"): 0.1 for i in range(50)} | {("fraud", "worse"): 9.4, ("spam", "slow"): 3.1}
    prometheus.answer = lambda query: vector(dict.fromkeys(evidence, 5.5) if "threshold" in query else evidence)
    lines = fleet(prometheus).stdout.splitlines()
    assert lines[0] == "52 monitors of 52 targets, 1 stands out"
    assert lines[2].split() == ["stands", "out", "fraud", "fraud", "worse", "9.4", "5.5"]
    assert lines[3].split() == ["suspect", "spam", "spam", "slow", "3.1", "5.5"]
    assert len(lines) == 4
    found = json.loads(fleet(prometheus, "--json").stdout)
    assert (found["stand_out"], found["monitors"][0]["target"], len(found["monitors"])) == (1, "fraud", 52)


def test_a_prometheus_that_knows_nothing_or_is_none_is_told(prometheus: Prometheus) -> None:
    prometheus.answer = lambda query: vector({})
    found = fleet(prometheus)
    assert found.exit_code == 2
    assert "knows no evidence of any monitor; does it scrape the agents?" in found.stderr
    prometheus.answer = lambda query: {"status": "error", "error": "bad_data"}
    assert "bad_data" in fleet(prometheus).stderr
    prometheus.answer = lambda query: []
    assert "did not answer as Prometheus does" in fleet(prometheus).stderr


def test_models_of_one_name_in_two_namespaces_are_two(prometheus: Prometheus) -> None:
    def answer(query: str) -> dict[str, Any]:
        assert "max by (namespace, job, watch, target, monitor)" in query
        own = {"watch": "w", "target": "ranker", "monitor": "worse", "job": "goldwatch"}
        found = [("search", "9.4"), ("ads", "0.1")]
        value = {"search": "5.5", "ads": "5.5"} if "threshold" in query else dict(found)
        result = [{"metric": own | {"namespace": place}, "value": [0, value[place]]} for place, _ in found]
        return {"status": "success", "data": {"resultType": "vector", "result": result}}

    prometheus.answer = answer
    lines = fleet(prometheus).stdout.splitlines()
    assert lines[0] == "2 monitors of 2 targets, 1 stands out"
    assert lines[2].split() == ["stands", "out", "search/ranker", "w", "worse", "9.4", "5.5"]


def test_the_token_of_the_environment_is_sent_and_never_shown(
    prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    prometheus.token, prometheus.answer = "s3cret", lambda query: vector({("fraud", "worse"): 9.4})
    refused = fleet(prometheus)
    assert (refused.exit_code, "HTTP 401" in refused.stderr) == (2, True)
    monkeypatch.setenv("PROMETHEUS_TOKEN", "s3cret")
    assert fleet(prometheus).stdout.startswith("1 monitor of 1 target")
    monkeypatch.setenv("PROMETHEUS_TOKEN", "other-s3cret")
    assert "s3cret" not in fleet(prometheus).output
