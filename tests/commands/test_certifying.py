"""`check --until-certified`: replays until the gate can decide on latency, at the error of one look."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from goldwatch.cli.app import app
from goldwatch.commands.certifying import Bounds, Certified, certify
from goldwatch.commands.gate import ERROR, Result, latency
from goldwatch.config.quantities import LatencyObjective
from goldwatch.core.judgement import Judgement, Validity
from goldwatch.core.latency import needed

from tests.builders import judgement
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
    assert len(found.judgement.run.latencies_s) == 600 >= needed(0, 0.99, ERROR / 2)
    assert found.judgement.findings.outcomes == {"ok": 600}
    assert found.judgement.findings.quantiles[-1].latency_s is None  # with one over, p99 takes 662


def test_a_late_request_takes_another_look_and_a_slow_model_is_a_regression() -> None:
    late = iter([1, 2, *[0] * 100])
    found, result = certified(lambda: next(late))
    assert (result, len(found.judgement.run.latencies_s), found.error) == (Result.PASS, 1200, ERROR / 4)
    assert certified(lambda: 20)[1] is Result.REGRESSION


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


def test_a_later_replay_that_is_not_valid_is_the_result() -> None:
    lost = replay(validity=Validity.INVALID, reasons=("the server is gone",))
    assert certify(WATCH, replay(), lambda _: lost, PLENTY).judgement is lost


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
    assert "0 of 5,400 requests over 1s, 0.1% allowed: certified" in result.stdout
    short = check(tmp_path, "--until-certified", "--max-requests", "1000", latency="1s at p99.9")
    assert short.exit_code == 2
    assert "p99.9 takes 4,603 requests with none over, 600 were sent" in short.stdout
    assert "stopped before latency was certified: the next look takes 5,400 requests, of 1,000" in short.stderr


def test_a_bound_that_is_no_duration_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "goldwatch.yaml"
    result = CliRunner().invoke(app, ["check", str(config), "--until-certified", "--max-time", "soon"])
    assert result.exit_code == 3
    assert result.stderr.startswith('--max-time: "soon" is not a duration')
