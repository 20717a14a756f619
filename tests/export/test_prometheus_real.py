"""A real Prometheus scrapes what is rendered, and answers the queries of the reference."""

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from goldwatch.core.judgement import Judgement
from goldwatch.export import measurement as m
from goldwatch.export.prometheus import PrometheusExporter
from goldwatch.export.reference import QUERIES
from goldwatch.probe import Description

from tests.export.watches import of_watch
from tests.loopback import serving

pytestmark = pytest.mark.real

_CONFIG = """
global: {{scrape_interval: 500ms, scrape_timeout: 400ms}}
scrape_configs: [{{job_name: goldwatch, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
"""


@pytest.fixture
def exporter() -> PrometheusExporter:
    return PrometheusExporter()


@pytest.fixture
def endpoint(exporter: PrometheusExporter) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body, content_type = exporter.render(self.headers.get("Accept", ""))
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, serving(server):
        yield server.server_port


@pytest.fixture
def ask(endpoint: int, tmp_path: Path, tool: Callable[[str], str]) -> Iterator[Callable[[str], list[Any]]]:
    """Start Prometheus; give a function that evaluates PromQL and returns the resulting vector."""
    (tmp_path / "prometheus.yml").write_text(_CONFIG.format(port=endpoint))
    log = (tmp_path / "log").open("w+b")
    command = [tool("prometheus"), f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    process = subprocess.Popen([*command, "--web.listen-address=127.0.0.1:0"], stderr=log)

    def port() -> int | None:
        for line in (tmp_path / "log").read_text().splitlines():
            if "Listening on" in line:
                return int(line.rpartition("127.0.0.1:")[2].split()[0].strip('"'))
        return None

    def evaluate(query: str) -> list[Any]:
        url = f"http://127.0.0.1:{listening}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(url, timeout=5) as response:
            found: list[Any] = json.load(response)["data"]["result"]
        return found

    try:
        listening = until(port)
        until(lambda: _ready(listening))
        yield evaluate
    finally:
        process.kill()
        process.wait()
        log.close()


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5) as response:
            return bool(response.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        pass
    return False


def until(condition: Callable[[], Any], limit_s: float = 60) -> Any:
    """Poll until the condition gives something true, and return that."""
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def test_prometheus_answers_with_the_values(
    exporter: PrometheusExporter,
    ask: Callable[[str], list[Any]],
    judgement: Callable[..., Judgement],
    endpoint: int,
) -> None:
    exporter.publish(of_watch())
    until(lambda: ask("goldwatch_requests_total"))
    exporter.publish(m.of_judgement(judgement(), 0.05))
    # Each is waited for: a scrape that a machine which stalls has missed takes all series away for a moment.
    scores = {s["metric"]["score"]: float(s["value"][1]) for s in until(lambda: ask("goldwatch_score"))}
    assert scores == {"accuracy": 0.75, "ece": 0.1}
    (evidence,) = until(lambda: ask("goldwatch_evidence_log10 / goldwatch_evidence_threshold_log10"))
    assert float(evidence["value"][1]) == pytest.approx(2.5 / 5.62)
    (failed,) = ask('sum(increase(goldwatch_requests_total{outcome!~"ok|withheld"}[1m]))')
    assert float(failed["value"][1]) > 0  # seen since the counter was there at zero before
    until(lambda: ask("rate(goldwatch_request_latency_seconds_count[1m]) > 0"))
    for query in QUERIES.values():
        until(partial(ask, query))

    exporter.publish(m.of_judgement(judgement(description=Description("fraud", "v18")), 0.05))
    until(lambda: [s["metric"]["version"] for s in ask("goldwatch_target_info")] == ["v18"])
    exporter.retire("fraud", "fraud-eu")
    until(lambda: not ask('{__name__=~"goldwatch_.+", target="fraud-eu"}'))
    until(lambda: ask("up == 1"))
