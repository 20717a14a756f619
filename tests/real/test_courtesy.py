"""A real agent steps back from a target that is busy by a real Prometheus, and goes on when it has room again."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from .agent import DIGITS, config, running, until
from .stack import prometheus
from tests.loopback import serving

pytestmark = pytest.mark.real


class Server:
    """The metrics of a model server whose queue the test sets."""

    waiting = 0


@pytest.fixture
def server() -> Iterator[tuple[Server, int]]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            for model, share in (("a", told.waiting), ("b", 1)):
                self.wfile.write(f'vllm:num_requests_waiting{{model_name="{model}"}} {share}\n'.encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http, serving(http):
        yield told, http.server_port


def test_stepping_back_by_a_query_and_by_the_servers_own_page(tmp_path: Path, server: tuple[Server, int]) -> None:
    told, port = server
    (tmp_path / "prometheus").mkdir()
    (tmp_path / "agent").mkdir()
    with prometheus(tmp_path / "prometheus", port) as ask:
        until(lambda: ask("query", query="vllm:num_requests_waiting")["result"], "Prometheus knows of the queue")
        model = {"probe": "onnx-runtime", "file": str(DIGITS / "digits.onnx"), "threads": 1, "warm": True}
        query = {"query": "sum(vllm:num_requests_waiting)", "prometheus": ask.url}
        page = {
            "metric": 'vllm:num_requests_waiting{model_name="a"}',
            "metrics": f"http://127.0.0.1:{port}/metrics",
        }
        targets = {
            "asked": {**model, "busy": {**query, "above": 4, "wait": "1s"}},
            "own": {**model, "busy": {**page, "above": 4, "wait": "1s"}},
        }
        watch = {"every": "2s", "jitter": "0s", "deadline": "30s", "golden": "digits"}
        watches = {name: {**watch, "target": name} for name in targets}
        with running(tmp_path / "agent", config(targets, watches)) as agent:

            def count(watch: str, name: str, **labels: str) -> float:
                return agent.value(name, watch=watch, **labels) or 0.0

            def more(name: str, **labels: str) -> None:
                before = {w: count(w, name, **labels) for w in targets}
                agent.until(lambda: all(count(w, name, **labels) > before[w] for w in targets), f"more of {name}", 60)

            more("goldwatch_replays_total", validity="valid")
            told.waiting = 7
            more("goldwatch_replays_skipped_total", reason="busy")
            assert agent.value("goldwatch_target_load", watch="asked") == 8
            assert agent.value("goldwatch_target_load", watch="own") == 7
            last = agent.judgements("own")[-1]
            assert (last["validity"], last["skipped"]) == ("invalid", "busy")
            assert "num_requests_waiting" in agent.get("/")[1]
            assert "is 7, above 4" in agent.log
            told.waiting = 0
            more("goldwatch_replays_total", validity="valid")
            assert agent.value("goldwatch_replays_stepped_back_total", watch="own", step="skipped")
