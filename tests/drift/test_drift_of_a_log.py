"""Live traffic from a log to the ticket and back: the agent's own path, with a clock that the test moves on."""

from __future__ import annotations

import asyncio
import functools
import json
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cloudevents.core.bindings.http import to_binary_event
from cloudevents.core.v1.event import CloudEvent

from goldwatch.commands.foresight import Outlook, notes, outlook, warnings
from goldwatch.core.judgement import Judgement, State, Verdict
from goldwatch.daemon import engine
from goldwatch.daemon.endpoints import Endpoints
from goldwatch.daemon.exports import Exports
from goldwatch.daemon.in_force import CannotStart, prepare
from goldwatch.daemon.ledger import Ledger
from goldwatch.daemon.runner import Runner
from goldwatch.daemon.tap import Taps
from goldwatch.ipc.judging_jobs import Notice
from goldwatch.ipc.workers import Workers
from goldwatch.testing.clock import FakeClock

from .traffic import config, golden, lines, requests, sessions

EVERY_S = 300.0
MOST = 40


class Agent:
    """An agent whose clock a test moves on from replay to replay, and a log that the test writes."""

    def __init__(self, folder: Path, workers: Workers, clock: FakeClock) -> None:
        self.log = folder / "requests.log"
        self.clock = clock
        self.seen: list[Judgement] = []
        self.ledger = Ledger(folder / "goldwatch.db")
        wanted = prepare(folder / "goldwatch.yaml", workers)
        (self._assignment,) = wanted.assignments
        self._config = wanted.config
        self.taps = Taps(clock.time)
        self.taps.enforce({w.name: w.live for w in wanted.config.watches.values() if w.live is not None})
        self.taps.read()
        observer: Callable[..., None] = lambda _, judgement, __: self.seen.append(judgement)  # noqa: E731
        self._runner = Runner(workers, self.ledger, Exports(), threading.Event(), observer, taps=self.taps)

    def replay(self, written: str = "") -> Verdict:
        """Write to the log, replay, and return the verdict of *drift*."""
        with self.log.open("a") as log:
            log.write(written)
        self._runner.tick(self._assignment, self._config, self.clock.time())
        self.clock.advance(EVERY_S)
        return self.said("drift")

    def said(self, monitor: str) -> Verdict:
        """Return the last verdict of a monitor."""
        return next(v for v in self.seen[-1].verdicts if v.monitor == monitor)

    def post(self, window: Iterable[tuple[str, dict[str, Any]]]) -> Verdict:
        """Post requests of sessions as events in binary mode, replay, and return the verdict of *drift*."""
        events = (CloudEvent({"type": "request", "source": "x", "session": of}, body) for of, body in window)
        messages = [to_binary_event(event) for event in events]

        async def posted() -> None:
            endpoints = Endpoints(lambda _: (b"", "text/plain"), lambda: None, lambda: None, self.taps)
            port = await endpoints.start("127.0.0.1", 0)
            try:
                async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
                    for message in messages:
                        body = bytes(message.body)
                        async with session.post("/live/model", headers=message.headers, data=body) as answer:
                            assert await answer.text() == "taken\n"
            finally:
                await endpoints.stop()

        asyncio.run(posted())
        return self.replay()

    def close(self) -> None:
        self.taps.close()
        self.ledger.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    found = FakeClock(1_800_000_000.0)
    monkeypatch.setattr(engine, "replay", functools.partial(engine.replay, wall=found.time))
    return found


@pytest.fixture
def agent(tmp_path: Path, workers: Workers, clock: FakeClock) -> Iterator[Agent]:
    golden(tmp_path / "golden")
    (tmp_path / "requests.log").write_text(lines(1, 500, shift=9))  # before goldwatch started: it is not read
    config(tmp_path, "{file: requests.log}")
    found = Agent(tmp_path, workers, clock)
    yield found
    found.close()


def test_sound_rows_are_steady_and_moved_ones_a_ticket_that_explains_itself_and_closes(agent: Agent) -> None:
    assert agent.replay().state is State.UNKNOWN
    for seed in range(2, 6):
        assert agent.replay(lines(seed, 300)).state is State.STEADY
    assert agent.ledger.open_alert("model", "model") is None

    for seed in range(10, 10 + MOST):
        if agent.replay(lines(seed, 300, shift=0.7)).state is State.ALERTING:
            break
    alert = agent.ledger.open_alert("model", "model")
    assert alert is not None
    assert (alert.monitors, alert.severity) == (("drift",), "ticket")
    assert alert.headline.startswith("[TICKET] model is drifting: amount: ")
    assert "in the reference" in alert.headline
    lines_of_it = alert.text.splitlines()
    assert any(line.startswith("column   amount: 10% below -1.") for line in lines_of_it)
    assert any(line.strip().endswith(" now") for line in lines_of_it)
    assert any(line.startswith("rows     300 of 300 live requests between ") for line in lines_of_it)
    assert any(line.startswith("since    ") for line in lines_of_it)
    assert "do       Check what fills the column amount." in lines_of_it

    for seed in range(100, 100 + MOST):
        if agent.replay(lines(seed, 300)).state is State.RECOVERED:
            break
    assert agent.ledger.open_alert("model", "model") is None


def test_a_window_waits_for_requests_or_for_its_time_and_none_for_long_is_not_known(agent: Agent) -> None:
    waiting = agent.replay(lines(2, 150))
    assert waiting.state is State.UNKNOWN
    assert "150 requests wait for the next window" in waiting.summary
    full = agent.replay(lines(3, 50))
    assert (full.state, agent.seen[-1].findings.live and agent.seen[-1].findings.live.rows) == (State.STEADY, 200)

    some = agent.replay(lines(4, 30))
    assert some.state is State.STEADY
    assert "30 requests wait" in some.summary
    for _ in range(12):
        last = agent.replay()
    assert last.state is State.STEADY
    judged = [judgement.findings.live.rows for judgement in agent.seen if judgement.findings.live is not None]
    assert judged == [200, 30]

    agent.clock.advance(4 * 3600)
    last = agent.replay()
    assert last.state is State.UNKNOWN
    assert "no live rows for " in last.summary


def test_what_cannot_be_read_is_counted_and_said(agent: Agent) -> None:
    bad = '{"instances": [{"amount": "much", "ratios": [0, 1]}]}\n' * 3 + '{"instances": [[1, 2]]}\n' + "not JSON\n"
    agent.replay(lines(2, 200) + bad)
    found = agent.seen[-1].findings.live
    assert found is not None
    assert (found.requests, found.rows, found.unreadable) == (205, 200, 5)
    assert found.reasons["input amount holds a str, expected numbers"] == 3
    verdict = agent.replay("nothing of it is JSON\n" * 200)
    assert verdict.state is State.UNKNOWN
    assert verdict.summary == "100.0% of live rows cannot be read, so drift is not known"
    schema = agent.said("schema")
    assert schema.state is State.SUSPECT
    assert schema.summary == "100.0% of live rows cannot be read: it is not JSON (200)"


def test_a_changed_schema_is_a_ticket_that_names_the_input_and_ends_with_readable_windows(agent: Agent) -> None:
    """A client sends an amount as text in 85 % of its requests. It is a ticket of *schema*, and drift is not known."""
    assert agent.replay(lines(2, 200)).state is State.STEADY
    assert (agent.said("schema").state, agent.said("schema").summary) == (State.STEADY, "all live rows can be read")
    bad = '{"instances": [{"amount": "12.5", "ratios": [0, 1]}]}\n' * 170
    assert agent.replay(lines(3, 30) + bad).state is State.UNKNOWN
    assert agent.said("schema").state is State.SUSPECT
    assert agent.replay(lines(4, 30) + bad).state is State.UNKNOWN
    verdict = agent.said("schema")
    said = "85.0% of live rows cannot be read: input amount holds a str, expected numbers (170)"
    assert (verdict.state, verdict.severity, verdict.summary) == (State.ALERTING, "ticket", said)
    alert = agent.ledger.open_alert("model", "model")
    assert alert is not None
    assert (alert.monitors, alert.severity) == (("schema",), "ticket")
    assert alert.text.startswith("[TICKET] model is getting inputs that cannot be read: 85.0% of")
    assert "Check what sends the live requests of model: many cannot be" in alert.text
    assert "unread   170: input amount holds a str, expected numbers" in alert.text
    assert agent.replay().state is State.UNKNOWN
    assert agent.said("schema").state is State.ALERTING
    assert agent.replay(lines(5, 200)).state is State.STEADY
    assert agent.said("schema").state is State.ALERTING
    agent.replay(lines(6, 200))
    assert agent.said("schema").state is State.RECOVERED
    assert agent.ledger.open_alert("model", "model") is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "stated"),
    [
        ("file: requests.log, ", "10"),
        ("file: requests.log, ", "{key: session}"),
        ("file: requests.log, ", "unknown"),
        ("", "{key: session}"),
    ],
)
def test_sessions_are_no_drift_once_they_are_stated_and_a_shift_of_theirs_is(
    stated: str, source: str, tmp_path: Path, workers: Workers, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty clients send one row ten times each, to a log and as events; no identity leaves the worker."""
    monkeypatch.setattr("goldwatch.daemon.endpoints.MOST_EVENTS_PER_S", 10**6)
    golden(tmp_path / "golden", 2000)
    (tmp_path / "requests.log").touch()
    config(tmp_path, f"{{{source}season: none, clusters: {stated}}}")
    agent = Agent(tmp_path, workers, clock)

    def judged(seed: int, shift: float = 0.0) -> State:
        window = list(sessions(seed, shift=shift))
        if not source:
            return agent.post(window).state
        return agent.replay("".join(json.dumps({"session": of, "request": body}) + "\n" for of, body in window)).state

    try:
        assert State.ALERTING not in {judged(seed) for seed in range(100, 130)}
        assert any(judged(seed, 1.5) is State.ALERTING for seed in range(200, 240))
        assert all(judgement.findings.live and judgement.findings.live.rows == 200 for judgement in agent.seen)
        said = "".join(json.dumps(judgement.to_json()) for judgement in agent.seen)
    finally:
        agent.close()
    assert "secret-" not in said
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("goldwatch.db*"))
    assert b"amount" in kept
    assert b"secret-" not in kept


def test_rows_without_the_key_and_rows_too_many_of_one_are_counted_and_said(
    tmp_path: Path, workers: Workers, clock: FakeClock
) -> None:
    golden(tmp_path / "golden")
    (tmp_path / "requests.log").touch()
    config(tmp_path, "{file: requests.log, season: none, clusters: {key: session, max_rows: 5}}")
    agent = Agent(tmp_path, workers, clock)
    keyed = "".join(json.dumps({"session": of, "request": body}) + "\n" for of, body in sessions(7, each=20))
    try:
        assert agent.replay(keyed + lines(8, 10)).state is State.STEADY
        found = agent.seen[-1].findings.live
        assert found is not None
        assert (found.rows, found.cut, found.unreadable) == (100, 300, 10)
        assert found.reasons == {"it has no session, the key of live.clusters": 10}
        verdict = agent.replay(lines(9, 200))
        assert verdict.state is State.UNKNOWN
        assert "it has no session, the key of live.clusters (200)" in agent.said("schema").summary
    finally:
        agent.close()


def test_our_own_requests_are_no_live_traffic(agent: Agent) -> None:
    ours = lines(2, 250, shift=9).replace('{"instances"', '{"headers": {"X-Goldwatch-Replay": "1"}, "instances"')
    assert agent.replay(ours + lines(3, 200)).state is State.STEADY
    found = agent.seen[-1].findings.live
    assert found is not None
    assert (found.requests, found.synthetic, found.rows) == (450, 250, 200)


def test_a_window_that_could_not_be_judged_is_judged_later(agent: Agent, tmp_path: Path) -> None:
    agent.replay(lines(2, 200))
    (tmp_path / "golden").rename(tmp_path / "gone")
    lost = agent.replay(lines(3, 200))
    assert (lost.state, agent.seen[-1].findings.live) == (State.UNKNOWN, None)
    (tmp_path / "gone").rename(tmp_path / "golden")
    assert agent.replay(lines(4, 100)).state is State.STEADY
    found = agent.seen[-1].findings.live
    assert found is not None
    assert (found.requests, found.rows) == (300, 300)


def test_the_evidence_survives_a_restart(agent: Agent, tmp_path: Path, workers: Workers) -> None:
    first = agent.replay(lines(2, 300, shift=0.25))
    assert first.evidence is not None
    agent.close()
    again = Agent(tmp_path, workers, agent.clock)
    try:
        kept = again.replay()
        assert (kept.state, kept.summary) == (first.state, first.summary)
        assert kept.evidence == pytest.approx(first.evidence)
    finally:
        again.close()


def test_a_golden_set_that_is_too_small_needs_a_reference(tmp_path: Path, workers: Workers) -> None:
    golden(tmp_path / "golden", 100)
    with pytest.raises(CannotStart, match="has 100 examples, and a reference needs 400 at least; name a larger sample"):
        prepare(config(tmp_path, "{file: requests.log}"), workers)
    (tmp_path / "rows.jsonl").write_text(lines(1, 500))
    assert prepare(config(tmp_path, "{file: requests.log, reference: rows.jsonl}"), workers).assignments
    (tmp_path / "rows.jsonl").write_text(lines(1, 3) + '{"amount": []}\n' + lines(1, 500))
    with pytest.raises(CannotStart, match=r"rows.jsonl:4: input amount has 0 values, expected 1; correct the line"):
        prepare(config(tmp_path, "{file: requests.log, reference: rows.jsonl}"), workers)


def seasonal_reference(folder: Path, begin_at: float) -> Path:
    """Write a week of requests with their times, 60 an hour, and a config that compares with them."""
    hours = [int(begin_at // 3600) - 168 + hour for hour in range(168)]
    written = [
        json.dumps({"at": datetime.fromtimestamp(3600 * hour + 60, UTC).isoformat(), "request": request}) + "\n"
        for hour in hours
        for request in requests(hour, 60, shift=math.sin(2 * math.pi * hour / 24))
    ]
    (folder / "week.jsonl").write_text("".join(written))
    (folder / "requests.log").touch()
    return config(folder, "{file: requests.log, reference: week.jsonl, season: weekly, time: at, clusters: 1}", "1h")


@pytest.mark.slow
def test_traffic_with_a_season_is_judged_in_blocks_and_a_shift_of_it_is_a_ticket_across_a_restart(
    tmp_path: Path, workers: Workers, clock: FakeClock
) -> None:
    golden(tmp_path / "golden")
    seasonal_reference(tmp_path, clock.time())
    agent = Agent(tmp_path, workers, clock)

    def replay(shift: float = 0.0) -> Verdict:
        hour = int(clock.time() // 3600)
        clock.advance(3600 - EVERY_S)
        return agent.replay(lines(10_000 + hour, 200, shift=shift + math.sin(2 * math.pi * hour / 24)))

    assert "no whole 6 hours of live rows could be judged yet" in replay().summary
    verdicts = [replay() for _ in range(30)]
    assert {verdict.state for verdict in verdicts} == {State.UNKNOWN, State.STEADY}
    assert "; the " in verdicts[-1].summary
    assert agent.ledger.open_alert("model", "model") is None
    moved = [replay(0.7) for _ in range(9)]
    agent.close()
    agent = Agent(tmp_path, workers, clock)
    try:
        while moved[-1].state is not State.ALERTING and len(moved) < 48:
            moved.append(replay(0.7))
        alert = agent.ledger.open_alert("model", "model")
        assert alert is not None
        assert alert.headline.startswith("[TICKET] model is drifting: amount: ")
        assert "UTC" in alert.headline
        assert any(line.startswith("column   amount: 10% below ") for line in alert.text.splitlines())
    finally:
        agent.close()


def test_check_says_which_blocks_are_judged_and_warns_where_days_differ_by_more_than_is_tolerated(
    tmp_path: Path, workers: Workers
) -> None:
    golden(tmp_path / "golden")
    file = seasonal_reference(tmp_path, 1_800_000_000.0)
    found = outlook(prepare(file, workers).assignments[0], workers, declared_only=True)
    (note,) = notes(found)
    assert note == (
        "watches.model.live.season: weekly: drift judges whole weeks, days and blocks of 6 hours (UTC); not hours, "
        "for 168 of its 168 places in the week have under 100 reference rows"
    )
    assert warnings(found) == []
    (notice,) = [notice for notice in found.notices if notice.monitor == "drift"]
    assert notice.replays is not None
    untimed = config(tmp_path, "{file: requests.log, season: weekly, clusters: 1, tolerance: 10%}")
    (note,) = notes(outlook(prepare(untimed, workers).assignments[0], workers, declared_only=True))
    assert "drift judges whole weeks alone, since it is not known when the reference rows are from" in note
    (tmp_path / "week.jsonl").write_text(json.dumps({"at": "yesterday", "amount": 1, "ratios": [0, 1]}) + "\n")
    with pytest.raises(CannotStart, match=r'week.jsonl:1: at: "yesterday" is no time; expected one such as 2026-11-30'):
        prepare(seasonal_text(tmp_path), workers)


def test_what_is_usual_is_learned_where_that_is_asked_for_and_not_known_until_then(
    tmp_path: Path, workers: Workers, clock: FakeClock
) -> None:
    golden(tmp_path / "golden")
    (tmp_path / "requests.log").touch()
    file = config(tmp_path, "{file: requests.log, season: weekly, learn: true, clusters: none}", "1h")
    found = outlook(prepare(file, workers).assignments[0], workers)
    (note,) = notes(found)
    assert note.startswith("watches.model.live.learn: drift is unknown until it has learned from four weeks of live")
    assert warnings(found) == []
    assert not [notice for notice in found.notices if notice.monitor == "drift"]
    agent = Agent(tmp_path, workers, clock)
    try:
        agent.replay(lines(1, 200))
        clock.advance(3600)
        verdict = agent.replay(lines(2, 300))
        assert (verdict.state, verdict.summary) == (State.UNKNOWN, "learning what is usual: 0.0 of 28 days, 200 rows")
    finally:
        agent.close()


def seasonal_text(folder: Path) -> Path:
    return config(folder, "{file: requests.log, reference: week.jsonl, season: weekly, time: at}")


def test_check_warns_of_what_is_supposed_of_the_traffic_and_not_stated(tmp_path: Path, workers: Workers) -> None:
    golden(tmp_path / "golden")
    (bare,) = prepare(config(tmp_path, "{file: requests.log}"), workers).assignments
    season, clusters = warnings(Outlook(bare, ()))
    assert season.startswith("watches.model.live: a daily or weekly cycle of the traffic raises false tickets")
    assert clusters.startswith("watches.model.live: requests of a window are taken for independent")
    (stated,) = prepare(config(tmp_path, "{file: requests.log, season: none, clusters: 10}"), workers).assignments
    assert warnings(Outlook(stated, ())) == []
    assert stated.settings["live"]["clusters"] == 10
    (keyed,) = prepare(config(tmp_path, "{file: requests.log, season: none, clusters: {key: x}}"), workers).assignments
    assert keyed.settings["live"]["clusters"] == {"key": "x", "max_rows": 10}
    (note,) = notes(Outlook(keyed, (Notice("drift", "amount lies higher", True, 5.0, 33, 5),)))
    assert note == (
        "watches.model.live.clusters: those with the same x depend on each other, at most 10 rows are taken of each; "
        "drift notices that amount lies higher after 33 full windows, after 5 full windows if all requests were "
        "independent"
    )
