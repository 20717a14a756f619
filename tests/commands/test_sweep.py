"""`goldwatch sweep`: the search by made-up steps, and the command against a real server of a known capacity."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from goldwatch.cli.app import app
from goldwatch.commands import sweep
from goldwatch.commands.sweep import MET_ERROR, MISSED_ERROR, RateTrial, SweepVerdict, search
from goldwatch.core import validity
from goldwatch.core.dependence import effect_over
from goldwatch.core.disturbances import Found
from goldwatch.core.latency import needed

from tests.digits_server import GOLDEN, Digits, digits, target

pytestmark = pytest.mark.slow

RATES = st.floats(0.01, 1e5)


@given(RATES, st.floats(1, 1e4), st.floats(0.001, 1e3), st.floats(0.01, 1))
def test_of_a_server_that_only_grows_slower_the_rate_is_found(
    lowest: float, span: float, capacity: float, within: float
) -> None:
    highest, limit = lowest * span, lowest * capacity
    tried: list[float] = []

    def take(rate: float) -> SweepVerdict:
        tried.append(rate)
        return SweepVerdict.MET if rate <= limit else SweepVerdict.MISSED

    met, not_met = search(take, lowest, highest, within)
    assert all(lowest <= rate <= highest for rate in tried)
    if limit < lowest:
        assert (met, not_met, tried) == (None, lowest, [lowest])
    elif limit >= highest:
        assert (met, not_met) == (highest, None)
    else:
        assert met is not None
        assert not_met is not None
        assert met <= limit < not_met <= (1 + within) * met


@given(st.data(), RATES, st.floats(1, 1e4), st.floats(0.01, 1))
def test_whatever_the_steps_say_the_search_ends_and_says_nothing_that_no_step_said(
    data: st.DataObject, lowest: float, span: float, within: float
) -> None:
    said: dict[float, SweepVerdict] = {}

    def take(rate: float) -> SweepVerdict:
        assert rate not in said
        said[rate] = data.draw(st.sampled_from([*SweepVerdict, SweepVerdict.MET, SweepVerdict.MET]))
        return said[rate]

    met, not_met = search(take, lowest, lowest * span, within)
    assert len(said) < 100
    assert met is None or said[met] is SweepVerdict.MET
    assert not_met is None or said[not_met] not in (SweepVerdict.MET, SweepVerdict.STOPPED)
    assert met is None or not_met is None or met < not_met


@given(st.sampled_from([0.5, 0.9, 0.99, 0.999]), st.integers(0, 5000), st.data())
def test_a_word_is_certain_and_never_both(q: float, requests: int, data: st.DataObject) -> None:
    requests += needed(0, q)
    over = data.draw(st.integers(0, requests))
    word = RateTrial(requests, over).word(q)
    if word is SweepVerdict.MET:  # the rule of MLPerf's early stopping, and a little more for being asked several times
        assert requests >= needed(over, q)
        assert over < (1 - q) * requests
    if word is SweepVerdict.MISSED:
        assert over > (1 - q) * requests


def test_of_independent_requests_the_bounds_are_exact() -> None:
    from scipy.stats import binom

    q, n = 0.99, 1307
    most_met = max(over for over in range(50) if RateTrial(n, over).word(q) is SweepVerdict.MET)
    least_missed = min(over for over in range(50) if RateTrial(n, over).word(q) is SweepVerdict.MISSED)
    assert binom.cdf(most_met, n, 1 - q) <= MET_ERROR < binom.cdf(most_met + 1, n, 1 - q)
    assert binom.sf(least_missed - 1, n, 1 - q) <= MISSED_ERROR < binom.sf(least_missed - 2, n, 1 - q)


@given(st.integers(60, 20_000), st.floats(0, 1), st.floats(1, 60), st.sampled_from([0.5, 0.9, 0.99]))
def test_dependence_never_makes_a_rate_met(requests: int, share: float, effect: float, q: float) -> None:
    over = round(share * requests)
    if RateTrial(requests, over, effect=effect).word(q) is SweepVerdict.MET:
        assert RateTrial(requests, over).word(q) is SweepVerdict.MET


def test_one_stall_of_a_replay_is_no_miss_and_a_queue_that_grows_is_one() -> None:
    served = [0.001] * 4000
    stalled = [0.3 if 1000 <= i < 1120 else s for i, s in enumerate(served)]
    effect = effect_over(stalled, 0.05)
    assert RateTrial(4000, 120).word(0.99) is SweepVerdict.MISSED
    assert RateTrial(4000, 120, effect=effect).word(0.99) is SweepVerdict.UNSURE
    growing = [0.001 * i for i in range(4000)]
    over = sum(s > 0.05 for s in growing)
    assert RateTrial(4000, over, effect=effect_over(growing, 0.05)).word(0.99) is SweepVerdict.MISSED


SERVICE_S = 0.005


@pytest.fixture
def server() -> Iterator[Digits]:
    with digits() as http:
        http.service_s = SERVICE_S
        yield http


@pytest.fixture
def address(server: Digits) -> str:
    return server.url


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let goldwatch send late: how busy the machine of the tests is does not matter to the sweep."""
    monkeypatch.setattr(validity, "LATE_S", (10.0, 10.0))
    monkeypatch.setattr(validity, "MOST_DISTURBED", 1.0)


def swept(folder: Path, url: str, objective: str, *options: str, more: str = "", load: str = "") -> Result:
    config = folder / "goldwatch.yaml"
    config.write_text(f"""\
targets:
  model:
{target(url, more.strip())}golden: {{digits: {GOLDEN}}}
watches: {{digits: {{load: {{time_limit: 1m{load}}}, objectives: {{{objective}}}}}}}
""")
    return CliRunner().invoke(app, ["sweep", str(config), *options])


@pytest.mark.real
@pytest.mark.usefixtures("unhurried")
def test_the_capacity_of_a_real_server_is_found(tmp_path: Path, address: str) -> None:
    steps = ("--min-rate", "20/s", "--max-rate", "320/s", "--step", "4s", "--longest-step", "4s")
    result = swept(tmp_path, address, "latency: 150ms at p50", *steps, "--within", "50%", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert 20 <= found["rate_per_s"] < 1 / SERVICE_S
    assert found["not_kept_per_s"] <= 1.5 * found["rate_per_s"]
    assert found["bound_by"] in ("missed", "not certifiable")
    for step in found["steps"]:
        assert step["requests"] >= 4 * step["rate_per_s"]
        assert step["failed"] == 0
        assert (step["p50_s"] <= 0.15) == (2 * step["over"] <= step["requests"])
        assert step["p50_s"] >= SERVICE_S


@pytest.mark.usefixtures("unhurried")
def test_the_ends_are_told_as_they_are(tmp_path: Path, address: str) -> None:
    options = ("--min-rate", "40/s", "--max-rate", "60/s", "--step", "500ms", "--longest-step", "1s")
    result = swept(tmp_path, address, "latency: 1ms at p50", *options)
    assert result.exit_code == 1, result.output
    assert result.stdout.splitlines()[-1] == (
        "  no rate was shown to keep 1ms at p50: 40 per second does not keep it; lower --min-rate to look below"
    )
    result = swept(tmp_path, address, "latency: 30s at p50", *options)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert " ".join(lines[1].split()) == "rate /s requests over failed turned wrong p50 p99 in flight"
    assert [line.split()[0] for line in lines[2:-1]] == ["40", "60"]
    assert lines[-1] == (
        "  60 per second keeps 30s at p50: the highest rate that was tried; raise --max-rate to find where it ends"
    )


def test_what_goldwatch_could_not_send_in_time_says_nothing_of_the_server(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validity, "LATE_S", (-1.0, -1.0))  # so that all of it is late
    result = swept(tmp_path, address, "latency: 30s at p50", "--max-rate", "60/s", "--step", "100ms", "--json")
    assert result.exit_code == 2, result.output
    found = json.loads(result.stdout)
    (step,) = found["steps"]
    assert (step["word"], step["requests"], step["replays"]) == ("invalid", 0, 3)
    assert (found["rate_per_s"], found["bound_by"]) == (None, "invalid")
    assert "goldwatch itself was the limit, not the target: goldwatch sent" in found["summary"]


FEW = ", scenario: server, rate: 10/s, in_flight: 8"
"""So that not 256 connections are made, which a limit of 30 s would take."""

FAST = ("--min-rate", "120/s", "--max-rate", "120/s", "--step", "1s", "--longest-step", "2s", "--json")


@pytest.mark.usefixtures("unhurried")
def test_a_rate_at_which_answers_turn_wrong_is_not_kept_however_fast_they_are(tmp_path: Path, server: Digits) -> None:
    server.service_s, server.wrong = 0.0, 10
    found = json.loads(
        swept(tmp_path, server.url, "latency: 30s at p50, accuracy: no worse than 1 point", *FAST, load=FEW).stdout
    )
    (step,) = found["steps"]
    assert (found["exit_code"], step["word"], step["over"], step["failed"]) == (1, "missed", 0, 0)
    assert step["replays"] == 2
    assert step["compared"] == step["requests"] == 240
    assert 16 <= step["turned_wrong"] <= 28  # a tenth; a few of all digits are wrong by themselves
    assert re.search(
        r"120 per second does not keep it: \d+ of 120 answers are wrong where the reference is right", found["summary"]
    )
    found = json.loads(
        swept(tmp_path, server.url, "latency: 30s at p50, accuracy: no worse than 20 points", *FAST, load=FEW).stdout
    )
    assert (found["exit_code"], found["rate_per_s"]) == (0, 120)


@pytest.mark.usefixtures("unhurried")
def test_a_rate_at_which_requests_fail_is_not_kept_however_fast_they_are(tmp_path: Path, server: Digits) -> None:
    server.service_s, server.failing = 0.0, 5
    found = json.loads(swept(tmp_path, server.url, "latency: 30s at p50, errors: 1%", *FAST, load=FEW).stdout)
    (step,) = found["steps"]
    assert (found["exit_code"], step["word"], step["turned_wrong"]) == (1, "missed", 0)
    assert step["failed"] == step["over"] == step["requests"] - step["compared"] > 0
    assert re.search(r"\d+ of 120 requests failed, 1% allowed; lower --min-rate to look below$", found["summary"])
    found = json.loads(swept(tmp_path, server.url, "latency: 30s at p50, errors: 50%", *FAST, load=FEW).stdout)
    assert (found["exit_code"], found["rate_per_s"]) == (0, 120)


@pytest.mark.usefixtures("unhurried")
def test_a_stall_is_repeated_and_told(tmp_path: Path, server: Digits) -> None:
    server.service_s, server.stalls = 0.0, {60: 4.0}  # at 120 a second the second half of 120 requests waits
    found = json.loads(swept(tmp_path, server.url, "latency: 2s at p90", *FAST, load=FEW).stdout)
    (step,) = found["steps"]
    assert (found["rate_per_s"], step["word"], step["replays_say"][-1]) == (120, "met", "met")
    assert step["replays_not_kept"] >= 1
    assert found["summary"].endswith(
        f"warning: 120 per second in {step['replays_not_kept']} of {len(step['replays_say'])} replays did not keep it, "
        "and did when repeated"
    )


@pytest.mark.usefixtures("unhurried")
def test_a_client_without_a_core_to_spare_is_told_from_a_slow_server(
    tmp_path: Path, server: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(objective: str) -> dict[str, Any]:
        (found,) = json.loads(swept(tmp_path, server.url, objective, *FAST, load=FEW).stdout)["steps"]
        assert isinstance(found, dict)
        return found

    server.service_s = 0.002  # longer than the limit, and no queue: requests are as good as independent
    late, kept = "latency: 1ms at p50", "latency: 30s at p50"
    monkeypatch.setattr(sweep, "_BUSY_CLIENT", 1e9)  # no process is so busy
    assert step(late)["word"] == "missed"
    monkeypatch.setattr(sweep, "_BUSY_CLIENT", 0.0)  # and each is busier than that
    found = step(late)
    assert (found["word"], found["replays"], found["requests"]) == ("invalid", 3, 0)
    assert re.fullmatch(r"goldwatch's own process took \d+ % of a core to send them", found["reasons"][0])
    assert step(kept)["word"] == "met"  # what was kept was kept, however busy the client was


@given(st.floats(0.001, 1000), st.floats(0, 4))
def test_four_fifths_of_a_core_are_where_a_client_is_its_own_limit(seconds: float, cores: float) -> None:
    assert sweep.client_busy(Found(seconds, cpu_s=cores * seconds)) == (cores * seconds > 0.8 * seconds)


@pytest.mark.usefixtures("unhurried")
def test_too_few_connections_are_not_the_servers_limit(tmp_path: Path, address: str) -> None:
    options = (
        "--min-rate",
        "2000/s",
        "--max-rate",
        "2000/s",
        "--step",
        "500ms",
        "--longest-step",
        "500ms",
        "--within",
        "1",
        "--json",
    )
    more = ", scenario: server, rate: 10/s, in_flight: 2"
    result = swept(tmp_path, address, "latency: 120ms at p50", *options, load=more)
    (step,) = json.loads(result.stdout)["steps"]
    assert step["in_flight"] == 2
    assert step["word"] in ("invalid", "missed")  # on a stalled machine, two requests may take that long
    if step["word"] == "invalid":
        assert "counted from sending, the objective is met" in step["reasons"][0]


@pytest.mark.usefixtures("unhurried")
def test_a_target_that_says_it_is_busy_ends_the_rise(tmp_path: Path, address: str) -> None:
    (tmp_path / "cpu.pressure").write_text("some avg10=50.00 avg60=0.00 avg300=0.00 total=1\n")
    busy = f"    busy: {{pressure: {tmp_path}/cpu.pressure, above: 20%, wait: 0s}}"
    result = swept(tmp_path, address, "latency: 30s at p50", "--max-rate", "60/s", more=busy)
    assert result.exit_code == 2, result.output
    assert f"the target had no room: {tmp_path}/cpu.pressure is 0.5, above 0.2" in result.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("objective", "options", "more", "error"),
    [
        (
            "errors: 1%",
            ("--max-rate", "60/s"),
            "",
            "has no `latency` to find a rate for; write one, such as 50ms at p99",
        ),
        (
            "latency: 1s at p50",
            ("--max-rate", "60/s"),
            "    at_most: 20 per second",
            "up to 60 per second is more than `at_most` allows, 20 per second",
        ),
        ("latency: 1s at p50", ("--max-rate", "fast"), "", '"fast" is not a rate of requests'),
        ("latency: 1s at p50", ("--max-rate", "9/s", "--min-rate", "10/s"), "", "--min-rate 10/s is more than"),
        ("latency: 1s at p50", ("--max-rate", "9/s", "--watch", "none"), "", 'no watch is named "none"'),
        ("latency: 1s at p50", (), "", "Missing option '--max-rate'"),
        ("latency: 1s at p50", ("--max-rate", "9/s", "--within", "0.1%"), "", "0.1% is not between 1% and 100%"),
        ("latency: 1s at p50", ("--max-rate", "9/s", "--longest-step", "1s"), "", "--longest-step 1s is less than"),
    ],
)
def test_what_may_not_be_swept_is_not(
    tmp_path: Path, objective: str, options: tuple[str, ...], more: str, error: str
) -> None:
    result = swept(tmp_path, "http://127.0.0.1:1", objective, *options, more=more)
    assert result.exit_code == 2
    assert error in " ".join(result.output.split())


def test_a_target_that_is_not_there_ends_the_sweep(tmp_path: Path) -> None:
    files = [part for name in ("sweep.txt", "sweep.json") for part in ("--output", str(tmp_path / name))]
    result = swept(tmp_path, "http://127.0.0.1:1", "latency: 1s at p50", "--max-rate", "60/s", "--json", *files)
    found: dict[str, Any] = json.loads(result.stdout)
    assert json.loads((tmp_path / "sweep.json").read_text()) == found
    assert found["summary"] in (tmp_path / "sweep.txt").read_text()
    assert (result.exit_code, found["bound_by"], len(found["steps"])) == (2, "stopped", 1)
    assert "Connection refused" in found["summary"]
