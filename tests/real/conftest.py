"""A real Prometheus that has scraped a real agent, and one whose judgements are made up where that takes a GPU."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from goldwatch.core.judgement import LiveWindow
from goldwatch.core.token_use import TokenUse
from goldwatch.energy.footprint import Load, Prices, footprint
from goldwatch.export import catalogue as c
from goldwatch.export.measurement import Measurement, of_judgement
from goldwatch.export.prometheus import PrometheusExporter

from .agent import DIGITS, Agent, config, running, until
from .stack import Ask, prometheus
from tests.builders import energy, judgement, verdict


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    target = {"probe": "onnx-runtime", "file": str(DIGITS / "digits-quantised.onnx"), "threads": 1, "warm": True}
    owed = {"latency": "2s at p99", "outputs": "1%"}
    watch = {"every": "2s", "jitter": "0s", "deadline": "30s", "objectives": owed}
    with running(tmp_path_factory.mktemp("agent"), config({"digits": target}, {"digits": watch})) as agent:
        agent.until(lambda: agent.value("goldwatch_alert_active", severity="page") == 1, "an alert opens")
        yield agent


@pytest.fixture(scope="module")
def metered() -> Iterator[int]:
    """The exporter of an agent that meters a language model, which takes a GPU: its judgement is made up."""
    exporter, ended = PrometheusExporter(), threading.Event()
    found = energy(source="nvml")
    paid = Prices("USD", machine_per_hour=2.1, per_output_token=1e-6)
    told = judgement(
        watch="atlas",
        target="atlas",
        energy=found,
        footprint=footprint(found, Load(10, 0.9, 20, 5), paid, 350.0),
        live=LiveWindow(300, 60, 10, 20, 200, 10, time.time(), time.time(), {"it is not JSON": 10}),
        verdicts=(verdict("drift"),),
        tokens=TokenUse(
            80,
            40,
            {"stop": 7, "length": 1},
            (0.02, 0.03),
            (0.004, 0.005),
            (0.003, 0.006),
            {"together": 6},
            {"count": 6},
            8,
            8,
        ),
    )

    atlas = {"watch": "atlas", "target": "atlas"}
    owed = [Measurement(c.OBJECTIVE_ENERGY, atlas | {"per": per}, 9.0) for per in ("inference", "right_answer")]
    owed.append(Measurement(c.OBJECTIVE_COST, atlas | {"per": "output_token", "currency": "USD"}, 1e-4))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content, kind = exporter.render(self.headers.get("Accept", ""))
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    def replay() -> None:
        while not ended.wait(0.3):
            exporter.publish([*of_judgement(told), *owed])

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threads = [threading.Thread(target=server.serve_forever), threading.Thread(target=replay)]
        for thread in threads:
            thread.start()
        yield server.server_port
        ended.set()
        server.shutdown()
        for thread in threads:
            thread.join()


@pytest.fixture(scope="module")
def ask(watched: Agent, metered: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    with prometheus(tmp_path_factory.mktemp("prometheus"), [watched.port, metered]) as ask:
        goal = len(watched.judgements()) + 4
        watched.until(lambda: len(watched.judgements()) >= goal, "it replays", 60)
        until(lambda: ask("query", query="goldwatch_requests_late_total")["result"], "the series are there")
        time.sleep(2)  # a rate needs two scrapes
        yield ask
