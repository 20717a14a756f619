"""Meters that ask a server, the estimate, carbon and what an inference comes to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from goldwatch.energy.attribution import Interval
from goldwatch.energy.carbon import ByHour, Fixed, FromApi
from goldwatch.energy.estimate import Estimate
from goldwatch.energy.footprint import Load, Per, Prices, footprint
from goldwatch.energy.meter import Sum
from goldwatch.energy.prometheus_query import PrometheusQuery
from goldwatch.http_reading import Unreadable

NOON = 1_800_014_400.0  # 2027-01-15T12:00Z


class Server:
    """Answers over HTTP on loopback with the answer set last."""

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] = (200, b"")
        self.asked: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, dict(self.headers)))
                self.send_response(outer.answer[0])
                self.end_headers()
                self.wfile.write(outer.answer[1])

            def log_message(self, *_: Any) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()

    def says(self, value: Any, status: int = 200) -> None:
        self.answer = (status, json.dumps(value).encode())

    def series(self, *values: float) -> None:
        self.says(
            {
                "status": "success",
                "data": {"resultType": "vector", "result": [{"metric": {}, "value": [0, str(v)]} for v in values]},
            }
        )

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def test_a_counter_in_any_unit_becomes_joules(server: Server) -> None:
    query = 'sum(kepler_pod_cpu_joules_total{pod_name="fraud"})'
    meter = PrometheusQuery(server.url, query, unit="millijoules", scrape_s=30, headers={"Authorization": "Bearer x"})
    server.series(5000)
    meter.open()
    server.series(12000)
    assert meter.read() == 7
    path, headers = server.asked[0]
    assert parse_qs(urlsplit(path).query) == {"query": [query]}
    assert headers["Authorization"] == "Bearer x"
    assert meter.detail.endswith("up to 30 s late")
    assert meter.least_window_s == 1500


def test_power_is_integrated(server: Server) -> None:
    times = iter([0.0, 10.0, 20.0])
    meter = PrometheusQuery(server.url, "plug_watts", unit="watts", clock_s=lambda: next(times))
    server.series(100)
    meter.open()
    assert meter.read() == 1000
    server.series(200)
    assert meter.read() == 2500


@pytest.mark.parametrize(
    ("values", "says"),
    [((), "gives no series"), ((1, 2), r"2 series; put sum\(\) around it"), ((float("nan"),), "is nan")],
)
def test_what_is_not_one_number_is_refused(server: Server, values: tuple[float, ...], says: str) -> None:
    server.series(*values)
    with pytest.raises(Unreadable, match=says):
        PrometheusQuery(server.url, "x").open()


def test_a_counter_that_began_anew_ends_the_measurement(server: Server) -> None:
    meter = PrometheusQuery(server.url, "x")
    server.series(10)
    meter.open()
    server.series(3)
    with pytest.raises(Unreadable, match="went back from 10 to 3"):
        meter.read()


def test_errors_of_the_server_are_told_without_secrets(server: Server) -> None:
    server.says("no", status=403)
    with pytest.raises(Unreadable, match="HTTP 403") as error:
        FromApi(f"{server.url}/v3?token=secret", "carbonIntensity", {"auth-token": "secret"}).at(NOON)
    assert "secret" not in str(error.value)
    with pytest.raises(Unreadable, match="refused"):
        PrometheusQuery("http://127.0.0.1:1", "x").open()
    server.answer = (200, b"<html>")
    with pytest.raises(Unreadable, match="does not answer with JSON"):
        PrometheusQuery(server.url, "x").open()


def test_an_intensity_from_an_api_by_its_key(server: Server) -> None:
    server.says({"zone": "DE", "data": [{"intensity": {"actual": 302}}]})
    assert FromApi(server.url, "data.0.intensity.actual").at(NOON) == 302
    with pytest.raises(Unreadable, match=r"has no data\.1\.x"):
        FromApi(server.url, "data.1.x").at(NOON)
    with pytest.raises(Unreadable, match="is 'DE', no grams"):
        FromApi(server.url, "zone").at(NOON)


def test_an_intensity_by_the_hour(tmp_path: Path) -> None:
    file = tmp_path / "intensity.csv"
    file.write_text("hour,gCO2e_per_kWh\n12,300\n2027-01-15T13:00+01:00,200\n13,400\n")
    found = ByHour.read(file)
    assert found.at(NOON) == 200  # 13:00+01:00 is noon: that very hour comes before the hour of every day
    assert found.at(NOON + 86400) == 300
    assert found.at(NOON + 3600) == 400
    with pytest.raises(Unreadable, match="nor for the hour 14"):
        found.at(NOON + 7200)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", r":1: the columns are \['a', 'b'\]"),
        ("hour,gCO2e_per_kWh\n24,2\n", ':2: "24" is no hour'),
        ("hour,gCO2e_per_kWh\n1,2\n2027-01-15T13:00,2\n", ":3: .* is no hour"),
        ("hour,gCO2e_per_kWh\n1,much\n", ':2: "much" is no intensity'),
        ("hour,gCO2e_per_kWh\n", "has no row"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "intensity.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=says):
        ByHour.read(file)


def test_an_estimate_says_that_it_is_one() -> None:
    meter = Estimate(watts=10, accuracy=0.5)
    meter.open()
    sum(range(2_000_000))
    assert meter.read() >= 0
    assert meter.estimated
    assert meter.detail == "estimate: processor time of the machine x 10 W, declared within 50%"
    with pytest.raises(Unreadable, match='no process is named "tritonserver"'):
        Estimate(10, 0.5, "tritonserver").open()


def test_a_sum_is_unreadable_if_a_part_is(server: Server) -> None:
    server.series(1)
    fine = PrometheusQuery(server.url, "x")
    both = Sum([fine, Estimate(10, 0.3, "no-such-process")])
    assert (both.source, both.estimated, both.accuracy) == ("prometheus+estimate", True, 0.3)
    with pytest.raises(Unreadable):
        both.open()
    with pytest.raises(Unreadable, match="not open"):
        fine.read()


def test_money_is_the_sum_of_all_that_has_a_price_or_nothing() -> None:
    load = Load(inferences_per_s=10, right_ratio=0.5)
    found = footprint(None, load, Prices("USD", machine_per_hour=3.6), Fixed(350).at(NOON))
    assert found is not None
    assert found.right_answer is not None
    assert found.inference.money == pytest.approx(0.0001)
    assert found.right_answer.money == pytest.approx(0.0002)
    assert found.inference == Per(None, None, None, found.inference.money)
    assert found.token is None
    assert footprint(None, load, Prices("USD", machine_per_hour=3.6, energy_per_kwh=0.3), None) is None
    assert footprint(None, load, None, 350.0) is None


def test_a_token_has_the_price_of_its_answer() -> None:
    load = Load(inferences_per_s=10, input_tokens=200, output_tokens=50)
    found = footprint(None, load, Prices("USD", per_input_token=1e-6, per_output_token=4e-6), None)
    assert found is not None
    assert found.inference.money == pytest.approx(4e-4)
    assert found.token is not None
    assert found.token.money == pytest.approx(8e-6)
    assert found.token == Per(None, None, None, found.token.money)
    unknown = Load(inferences_per_s=10, input_tokens=200)
    assert footprint(None, unknown, Prices("USD", per_input_token=1e-6, per_output_token=4e-6), None) is None


def test_an_interval_scales() -> None:
    assert Interval(2, 1, 3).times(2) == Interval(4, 2, 6)
    with pytest.raises(ValueError, match="turned round"):
        Interval(2, 1, 3).times(-1)
