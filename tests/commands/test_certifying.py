"""`check --until-certified`: replays until the gate can decide on latency, at the error of one look."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from goldwatch.cli.app import app
from goldwatch.cli.measure import _report
from goldwatch.commands import gate
from goldwatch.commands.certifying import Bounds, Certified, certify
from goldwatch.commands.gate import ERROR, ObjectiveResult, Report, Result, latency
from goldwatch.config.quantities import LatencyObjective
from goldwatch.core.judgement import Judgement, Validity
from goldwatch.core.latency import needed

from tests.builders import judged, judgement
from tests.commands.test_gate import check

EXAMPLES, LIMIT_S = 200, 0.05
WATCH: Any = SimpleNamespace(
    watch=SimpleNamespace(objectives=SimpleNamespace(latency=LatencyObjective(LIMIT_S, 0.99))), key=("w", "w")
)
PLENTY = Bounds(3600, 100_000)


def replay(late: int = 0, **changes: Any) -> Judgement:
    latencies_s = [2 * LIMIT_S] * late + [LIMIT_S / 2] * (EXAMPLES - late)
    return judgement(**({"latencies_s": latencies_s, "outcomes": {"ok": EXAMPLES}, "errors": {}} | changes))


def certified(late: Callable[[], int], bounds: Bounds = PLENTY) -> tuple[Certified, Result]:
    found = certify(WATCH, replay(late()), lambda _: replay(late()), bounds, clock=lambda: 0.0)
    return found, latency(WATCH, found.judgement, found.error).result


def test_one_replay_says_how_many_requests_it_takes() -> None:
    assert latency(WATCH, replay()).reason.endswith(": p99 takes 459 requests with none over, 200 were sent")
    assert latency(WATCH, replay(1)).reason.endswith(": p99 takes 662 requests if no other is over, 200 were sent")
    assert latency(WATCH, replay(3)).reason.endswith(": not certain either way from 200 requests")


def test_replays_follow_until_the_latency_is_certified() -> None:
    found, result = certified(lambda: 0)
    assert result is Result.PASS
    assert len(found.judgement.run.latencies_s) == 600 >= needed(0, 0.99, found.error)
    assert found.judgement.findings.outcomes == {"ok": 600}
    assert found.judgement.findings.quantiles[-1].latency_s is None  # with one over, p99 takes 662


def test_a_late_request_takes_another_look_and_a_slow_model_is_a_regression() -> None:
    late = iter([1, 2, *[0] * 100])
    found, result = certified(lambda: next(late))
    assert (result, len(found.judgement.run.latencies_s), found.error) == (Result.PASS, 2400, ERROR / 16)
    slow, result = certified(lambda: 20)
    assert (result, slow.replays, slow.error) == (Result.REGRESSION, 1, ERROR / 2)


def test_it_stops_at_its_bounds_and_says_why() -> None:
    found, result = certified(lambda: 2, Bounds(3600, 1000))
    assert result is Result.UNMEASURED
    assert (len(found.judgement.run.latencies_s), found.stopped) == (
        600,
        "the next look takes 1,200 requests, of 1,000",
    )
    clock = count(0.0, 2.0)
    late = certify(WATCH, replay(), lambda _: replay(), Bounds(5, 100_000), clock=lambda: next(clock))
    assert late.stopped == "600 requests do not fit into 5s"
    assert len(late.judgement.run.latencies_s) == EXAMPLES


def test_a_later_replay_that_is_not_valid_erases_no_regression_and_is_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = replay(validity=Validity.INVALID, reasons=("the server is gone",))
    found = certify(WATCH, replay(), lambda _: lost, PLENTY)
    assert (found.replays, found.lost) == (1, "the server is gone")
    assert found.judgement.findings.validity is Validity.VALID

    for accuracy, overall in ((Result.REGRESSION, Result.REGRESSION), (Result.PASS, Result.UNMEASURED)):
        seen = (ObjectiveResult("accuracy", accuracy, ""),)
        monkeypatch.setattr(gate, "examine", lambda of, judgement, *_, seen=seen: Report(of, judgement, seen))
        report = _report(WATCH, judged(replay()), lambda _: judged(lost), PLENTY)
        assert report.result is overall
        assert report.findings[-1].objective == "replay"
        assert report.findings[-1].reason == "a later one: the server is gone"


def queue(late: int, bursts: int, n: int = 3000) -> Judgement:
    """Return an open load whose late requests come in bursts, evenly spread."""
    size = late // bursts
    latencies_s = [2 * LIMIT_S if i % (n // bursts) < size else LIMIT_S / 2 for i in range(n)]
    return judgement(latencies_s=latencies_s, outcomes={"ok": n}, errors={}, scenario="server")


def test_late_requests_of_a_queue_are_not_independent() -> None:
    spread, burst = queue(60, 60), queue(60, 2)
    assert latency(WATCH, spread).result is Result.REGRESSION
    found = latency(WATCH, burst)
    assert found.result is Result.UNMEASURED
    assert re.search(r"; [\d.]+ in a queue count as one: not certain either way$", found.reason)
    closed = replace(burst, run=replace(burst.run, scenario="single-stream"))
    assert latency(WATCH, closed).result is Result.REGRESSION
    assert latency(WATCH, queue(0, 1)).result is Result.PASS
    few = latency(WATCH, queue(0, 1, 59))
    assert few.result is Result.UNMEASURED
    assert few.reason.endswith(": too few requests of an open load, 60 answers are the least")


def test_an_open_load_at_its_limit_is_rarely_called_fast_or_slow() -> None:
    draw, n, runs = np.random.default_rng(7), 6000, 80

    def results() -> Iterator[Result]:
        for _ in range(runs):
            wait, taken_s = 0.0, []
            pairs = zip(draw.exponential(0.8, n).tolist(), draw.exponential(1.0, n).tolist(), strict=True)
            for service, gap in pairs:
                taken_s.append(wait + service)
                wait = max(wait + service - gap, 0.0)
            # Times in this M/M/1 queue are exponential with mean 0.8 / (1 - 0.8): the 99 % quantile becomes the limit.
            unit_s = LIMIT_S / (4 * math.log(100))
            latencies_s = [s * unit_s for s in taken_s]
            seen = judgement(latencies_s=latencies_s, outcomes={"ok": n}, errors={}, scenario="server")
            yield latency(WATCH, seen).result

    found = list(results())
    assert found.count(Result.PASS) <= 5  # 0.8 are expected at most, and 6 or more are in 0.02 % of such series
    assert found.count(Result.REGRESSION) <= 5


def test_models_that_just_keep_the_limit_are_rarely_called_fast_or_slow() -> None:
    draw, runs = np.random.default_rng(5), 150

    def results() -> Iterator[Result]:
        for _ in range(runs):
            yield certified(lambda: int(draw.binomial(EXAMPLES, 0.01)), Bounds(3600, 3000))[1]

    found = list(results())
    assert found.count(Result.PASS) <= 6  # 1.5 are expected at most, and 7 or more are in 0.1 % of such series
    assert found.count(Result.REGRESSION) <= 6


@pytest.mark.slow
def test_the_command_goes_on_until_p99_9_is_certified(tmp_path: Path) -> None:
    result = check(tmp_path, "--until-certified", latency="1s at p99.9")
    assert result.exit_code == 0, result.output
    assert "0 of 6,000 requests over 1s, 0.1% allowed: certified" in result.stdout
    short = check(tmp_path, "--until-certified", "--max-requests", "1000", latency="1s at p99.9")
    assert short.exit_code == 2
    assert "p99.9 takes 5,296 requests with none over, 600 were sent" in short.stdout
    assert "stopped before latency was certified: the next look takes 6,000 requests, of 1,000" in short.stderr


def test_a_bound_that_is_no_duration_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "goldwatch.yaml"
    result = CliRunner().invoke(app, ["check", str(config), "--until-certified", "--max-time", "soon"])
    assert result.exit_code == 3
    assert result.stderr.startswith('--max-time: "soon" is not a duration')
