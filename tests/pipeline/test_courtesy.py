"""Stepping back: what is read of a target, and what becomes of a replay when there is no room."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.commands.gate import Result, examine
from goldwatch.commands.gate_report import as_table
from goldwatch.commands.rerun import rerun
from goldwatch.config.busy import Busy
from goldwatch.core.judgement import State, Validity
from goldwatch.daemon import pipeline
from goldwatch.daemon.courtesy import Courtesy, Seen, read, total
from goldwatch.daemon.exports import Exports
from goldwatch.daemon.in_force import Assignment, prepare
from goldwatch.daemon.ledger import Ledger
from goldwatch.daemon.pipeline import replay, run
from goldwatch.daemon.runner import Runner
from goldwatch.errors import GoldwatchError
from goldwatch.export import measurement
from goldwatch.export.store import Store
from goldwatch.http_reading import Unreadable
from goldwatch.ipc.workers import Workers
from goldwatch.testing.clock import FakeClock

from tests.loopback import serving

DIGITS = Path(__file__).parents[2] / "agent/goldwatch/demo/digits"

TRITON = """\
# HELP nv_inference_pending_request_count Instantaneous number of pending requests awaiting execution per-model.
# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count{model="fraud",version="1"} 5
nv_inference_pending_request_count{model="spam, \\"old\\"",version="2"} 7 1700000000000
nv_inference_pending_request_count_total{model="fraud"} 100
nv_gpu_utilization NaN
up 1
"""


def busy(**values: Any) -> Busy:
    return Busy.model_validate({"above": 8.0, "wait": "10s"} | values)


def pressure(file: Path, percent: float) -> str:
    file.write_text(f"some avg10={percent:.2f} avg60=0.00 avg300=0.00 total=1\nfull avg10=0 avg60=0 avg300=0 total=0\n")
    return str(file)


@pytest.mark.parametrize(
    ("selector", "value"),
    [
        ("nv_inference_pending_request_count", 12),
        ('nv_inference_pending_request_count{model="fraud"}', 5),
        ('nv_inference_pending_request_count{ version = "1", model="fraud" }', 5),
        ('nv_inference_pending_request_count{model="none"}', None),
        ("nv_inference_pending", None),
        ("nv_gpu_utilization", None),
        ("up", 1),
    ],
)
def test_a_metric_is_the_sum_of_its_series(selector: str, value: float | None) -> None:
    assert total(TRITON, selector) == value


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 1000)), min_size=1))
def test_a_label_chooses_and_the_choices_add_up(series: list[tuple[str, int]]) -> None:
    page = "".join(f'x{{n="{i}",of="{of}"}} {value}\n' for i, (of, value) in enumerate(series))
    parts = [total(page, f'x{{of="{of}"}}') for of in "ab"]
    assert sum(part or 0 for part in parts) == total(page, "x") == sum(value for _, value in series)


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    page = [TRITON]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.headers["X-Key"] == "k" else 403)
            self.end_headers()
            self.wfile.write(page[0].encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http, serving(http):
        yield f"http://127.0.0.1:{http.server_port}/metrics", page


def test_the_page_of_a_server(server: tuple[str, list[str]]) -> None:
    address, page = server
    wanted = busy(metric="nv_inference_pending_request_count", metrics=address, headers={"X-Key": "k"})
    assert read(wanted) == 12
    assert Seen.of(wanted).why_not == "nv_inference_pending_request_count is 12, above 8"
    page[0] = "up 1\n"
    assert Seen.of(wanted) == Seen(unreadable=f"{address} has no nv_inference_pending_request_count")
    with pytest.raises(Unreadable, match="HTTP 403"):
        read(busy(metric="up", metrics=address))


def test_pressure_is_a_share(tmp_path: Path) -> None:
    file = tmp_path / "cpu.pressure"
    wanted = busy(pressure=pressure(file, 25.0), above=0.2)
    assert Seen.of(wanted) == Seen(0.25, f"{file} is 0.25, above 0.2")
    file.write_text("nothing\n")
    assert "no file of pressure stall information" in Seen.of(wanted).unreadable
    file.unlink()
    assert Seen.of(wanted).unreadable == f"{file}: No such file or directory"


class Waiting(threading.Event):
    """A stop that never comes: waiting for it advances time, and may change the target."""

    def __init__(self, clock: FakeClock, then: Any) -> None:
        super().__init__()
        self._clock, self._then = clock, then

    def wait(self, timeout: float | None = None) -> bool:
        self._clock.advance(timeout or 0.0)
        self._then(self._clock.monotonic())
        return False


def test_a_target_is_waited_for_until_it_has_room_or_patience_ends(tmp_path: Path) -> None:
    file, clock = tmp_path / "cpu.pressure", FakeClock()
    wanted = busy(pressure=pressure(file, 50), above=0.2)
    start = clock.monotonic()
    courtesy = Courtesy(wanted, clock_s=clock.monotonic)
    assert courtesy.wait(Waiting(clock, lambda now: pressure(file, 1 if now - start >= 4 else 50))) is None
    found = courtesy.found()
    assert (found.before, found.most, found.waited_s) == (0.01, 0.5, 4.0)
    pressure(file, 60)
    courtesy = Courtesy(wanted, clock_s=clock.monotonic)
    assert courtesy.wait(Waiting(clock, lambda _: None)) == f"{file} is 0.6, above 0.2"
    assert courtesy.found().waited_s == 10.0


def test_what_cannot_be_read_keeps_nobody_from_replaying(tmp_path: Path) -> None:
    courtesy = Courtesy(busy(pressure=str(tmp_path / "none"), above=0.2))
    assert courtesy.wait(threading.Event()) is None
    assert courtesy.found().unreadable == f"{tmp_path}/none: No such file or directory"


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    pool = Workers()
    yield pool
    pool.close()


def prepared(folder: Path, workers: Workers, load: str = "", wait: str = "0s") -> Assignment:
    (folder / "goldwatch.yaml").write_text(f"""\
targets:
  digits:
    probe: onnx-runtime
    file: {DIGITS}/digits.onnx
    at_most: 2000 per second
    busy: {{pressure: {folder}/cpu.pressure, above: 20%, wait: {wait}}}
golden: {{digits: {DIGITS}/golden}}
watches: {{digits: {{every: 5m{load}}}}}
""")
    (found,) = prepare(folder / "goldwatch.yaml", workers).assignments
    return found


def test_a_busy_target_is_not_replayed_and_the_gate_says_so(tmp_path: Path, workers: Workers) -> None:
    pressure(tmp_path / "cpu.pressure", 50)
    assignment = prepared(tmp_path, workers)
    judged = run(assignment, workers, {"worse": {"kept": 1}})
    judgement = judged.judgement
    assert (judgement.findings.validity, judgement.extras.skipped, judgement.findings.outcomes) == (
        Validity.INVALID,
        "busy",
        {},
    )
    assert judged.states == {"worse": {"kept": 1}}
    assert judgement.findings.reasons == (
        f"skipped, the target had no room: {tmp_path}/cpu.pressure is 0.5, above 0.2; waited for 0s",
    )
    report = examine(assignment, judgement)
    assert report.result is Result.UNMEASURED
    assert f"busy           at most 0.5 of 0.2   {tmp_path}/cpu.pressure" in as_table([report])
    store = Store()
    store.publish(measurement.of_watch("digits", "digits"))
    store.publish(measurement.of_judgement(judgement))
    told = {m.name: s for m, s in store.snapshot()}
    assert told["goldwatch_replays_skipped_total"]["digits", "digits", "busy"] == 1
    assert told["goldwatch_replays_stepped_back_total"]["digits", "digits", "skipped"] == 1
    assert told["goldwatch_replays_total"]["digits", "digits", "invalid"] == 0
    assert told["goldwatch_target_load"]["digits", "digits"] == 0.5


def test_a_replay_with_room_is_as_any_other_and_keeps_to_the_budget(tmp_path: Path, workers: Workers) -> None:
    pressure(tmp_path / "cpu.pressure", 10)
    judgement = run(prepared(tmp_path, workers), workers, {}).judgement
    assert judgement.findings.validity is Validity.VALID, judgement.findings.reasons
    assert judgement.extras.server_load is not None
    assert (judgement.extras.server_load.most, judgement.extras.server_load.held_s) == (0.1, 0.0)
    assert judgement.run.most_per_s == 2000
    assert judgement.findings.throughput is not None
    assert judgement.findings.throughput <= 2000 * 600 / 599  # 600 requests have 599 gaps


def test_whoever_replays_by_hand_steps_back_too(tmp_path: Path, workers: Workers) -> None:
    pressure(tmp_path / "cpu.pressure", 50)
    assignment = prepared(tmp_path, workers)
    result = replay(assignment, workers)
    assert result.ended == f"goldwatch stepped back: {tmp_path}/cpu.pressure is 0.5, above 0.2"
    assert result.outcomes() == {"not_sent": 600}
    result.columns.close()
    with pytest.raises(GoldwatchError, match=r"above 0\.2"):
        rerun(assignment, [1, 2], workers)


def test_a_watch_that_is_skipped_again_and_again_is_silent(
    tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    pressure(tmp_path / "cpu.pressure", 10)
    assignment = prepared(tmp_path, workers, ", jitter: 0s")
    config = prepare(tmp_path / "goldwatch.yaml", workers).config
    clock = FakeClock(time.time())
    monkeypatch.setattr(pipeline, "time", clock)  # the clock that dates a skipped replay
    with Ledger(tmp_path / "goldwatch.db") as ledger:
        runner = Runner(workers, ledger, Exports(), threading.Event())
        runner.tick(assignment, config, clock.time())
        pressure(tmp_path / "cpu.pressure", 50)
        for skipped in range(1, 5):
            clock.advance(390.0)  # a little more than the interval: the first replay takes some real time
            runner.tick(assignment, config, clock.time())
            last = ledger.last_judgement(*assignment.key)
            assert last is not None
            assert last.extras.skipped == "busy"
            states = {v.monitor: v.state for v in last.verdicts}
            assert State.STEADY not in states.values()
            assert states["silent"] is (State.ALERTING if skipped >= 3 else State.UNKNOWN)
        alert = ledger.open_alert(*assignment.key)
        assert alert is not None
        assert alert.monitors == ("silent",)
        assert "no valid replay for 1" in alert.text


@pytest.mark.slow
def test_an_open_load_ends_when_the_target_becomes_busy(tmp_path: Path, workers: Workers) -> None:
    pressure(tmp_path / "cpu.pressure", 10)
    assignment = prepared(tmp_path, workers, ", load: {scenario: constant, rate: 20 per second}")
    later = threading.Timer(5.0, lambda: pressure(tmp_path / "cpu.pressure", 90))
    later.start()
    judgement = run(assignment, workers, {}).judgement
    assert judgement.findings.validity is Validity.INVALID
    assert judgement.findings.reasons == (f"goldwatch stepped back: {tmp_path}/cpu.pressure is 0.9, above 0.2",)
    assert judgement.findings.outcomes["withheld"] > 0
    assert all(v.state is State.UNKNOWN for v in judgement.verdicts)


def test_the_agent_comes_back_later_and_then_skips(tmp_path: Path, workers: Workers) -> None:
    pressure(tmp_path / "cpu.pressure", 50)
    patient = prepared(tmp_path, workers, wait="1h")
    config = prepare(tmp_path / "goldwatch.yaml", workers).config
    with Ledger(tmp_path / "goldwatch.db") as ledger:
        runner = Runner(workers, ledger, Exports(), threading.Event())
        assert runner.tick(patient, config, 0.0) == 1.0
        assert ledger.last_judgement(*patient.key) is None
        assert runner.tick(prepared(tmp_path, workers), config, 0.0) is None
        skipped = ledger.last_judgement(*patient.key)
        assert skipped is not None
        assert skipped.extras.skipped == "busy"
        pressure(tmp_path / "cpu.pressure", 0)
        assert runner.tick(patient, config, 0.0) is None
        replayed = ledger.last_judgement(*patient.key)
        assert replayed is not None
        assert replayed.findings.validity is Validity.VALID
