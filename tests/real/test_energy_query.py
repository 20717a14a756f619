"""The query meter against a real Prometheus that scrapes counters which a test sets, like Kepler's or a plug's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from goldwatch.energy.prometheus_query import PrometheusQuery
from goldwatch.http_reading import Unreadable

from .agent import until
from .stack import prometheus

pytestmark = pytest.mark.real


class Source:
    """Counters of pods, as Kepler exposes them."""

    def __init__(self) -> None:
        self.joules = {"fraud-0": 100.0, "fraud-1": 40.0}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                lines = [f'kepler_pod_cpu_joules_total{{pod_name="{p}"}} {j}' for p, j in outer.joules.items()]
                content = "\n".join(["# TYPE kepler_pod_cpu_joules_total counter", *lines, ""]).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture(scope="module")
def source() -> Iterator[Source]:
    made = Source()
    thread = threading.Thread(target=made.http.serve_forever, daemon=True)
    thread.start()
    yield made
    made.http.shutdown()
    made.http.server_close()
    thread.join()


@pytest.fixture(scope="module")
def server(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus(tmp_path_factory.mktemp("prometheus"), source.http.server_port) as ask:
        until(lambda: ask("query", query="kepler_pod_cpu_joules_total")["result"], "it is scraped")
        yield ask.url


def test_it_counts_what_the_pod_took_and_nothing_else(source: Source, server: str) -> None:
    meter = PrometheusQuery(server, 'sum(kepler_pod_cpu_joules_total{pod_name="fraud-0"})', scrape_s=0.5)
    meter.open()
    source.joules = {"fraud-0": 170.0, "fraud-1": 900.0}
    until(lambda: meter.read() == 70, "the scrape has arrived")
    source.joules["fraud-0"] = 171.5
    until(lambda: meter.read() == 71.5, "the next one has")
    meter.close()


def test_several_series_and_none_are_refused_as_prometheus_answers_them(server: str) -> None:
    with pytest.raises(Unreadable, match=r"gives 2 series; put sum\(\) around it"):
        PrometheusQuery(server, "kepler_pod_cpu_joules_total").open()
    with pytest.raises(Unreadable, match="gives no series"):
        PrometheusQuery(server, "kepler_node_cpu_joules_total").open()
    PrometheusQuery(server, "scalar(sum(kepler_pod_cpu_joules_total))").open()


def test_a_query_that_does_not_parse_is_refused_with_its_reason(server: str) -> None:
    with pytest.raises(Unreadable, match=r"HTTP 400: .*parse error"):
        PrometheusQuery(server, "sum(").open()


def test_a_pod_that_was_started_anew_ends_the_measurement(source: Source, server: str) -> None:
    meter = PrometheusQuery(server, 'sum(kepler_pod_cpu_joules_total{pod_name="fraud-1"})', scrape_s=0.5)
    meter.open()
    source.joules["fraud-1"] = 1.0

    def refused() -> bool:
        try:
            meter.read()
        except Unreadable as why:
            return "went back" in str(why)
        return False

    until(refused, "the counter went back")
