"""Notifications and their times, by a fake clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from goldwatch.config import Config, load
from goldwatch.core.event import Rollout
from goldwatch.core.judgement import Quantile, State, Validity, Verdict
from goldwatch.daemon.alarms import Alarms, Settled
from goldwatch.daemon.alert import Alert
from goldwatch.daemon.in_force import Assignment, assignments
from goldwatch.daemon.ledger import Ledger
from goldwatch.daemon.silence import Silence
from goldwatch.golden.facts import GoldenFacts
from goldwatch.testing.clock import FakeClock

from tests.builders import description, difference, judged, judgement, verdict

FACTS = GoldenFacts("somewhere", "digits", "sha256:00", "00", "classification", 600, True, (), ())
CONFIG = """\
targets: {served: {probe: open-inference, url: "http://localhost:8000", model: digits}}
golden: {digits: golden}
watches:
  digits: {every: 5m, jitter: 0s}
  other: {every: 1h, jitter: 0s}
exporters: {prometheus: {listen: "127.0.0.1:9870"}}
"""
EVERY_S = 300.0


class Desk:
    """An agent without replays: time passes, judgements come in, and a notification is sent or is not."""

    def __init__(self, ledger: Ledger, load_more: Callable[[str], Config]) -> None:
        self.clock = FakeClock(1_800_000_000.0)
        self.ledger = ledger
        self.alarms = Alarms(ledger, clock_s=self.clock.monotonic)
        self._load = load_more
        self.configure("")
        self.look()  # the agent starts

    def configure(self, alerts: str, config: str = CONFIG) -> None:
        self.config = self._load(config + alerts)
        self.assignments = {a.watch.name: a for a in assignments(self.config, {"digits": FACTS})}

    def replay(self, *verdicts: Verdict, watch: str = "digits", **values: Any) -> Settled:
        told = judgement(
            watch=watch, started_at=self.clock.time(), duration_s=0.0, verdicts=verdicts or (verdict(),), **values
        )
        settled = self.alarms.settle(self.assignments[watch], judged(told), self.config)
        changed = settled.alert if settled.alert != settled.before else None
        self.ledger.record(settled.judgement, {}, changed, settled.events, None, settled.circumstances)
        return settled

    def look(self) -> list[Alert]:
        found = self.alarms.look(self.assignments.values(), self.config, self.clock.time())
        return [settled.alert for settled in found if settled.alert is not None]

    def alert(self, watch: str = "digits") -> Alert | None:
        return self.ledger.open_alert(watch, "served")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    def load_text(text: str) -> Config:
        (tmp_path / "goldwatch.yaml").write_text(text)
        return load(tmp_path / "goldwatch.yaml")

    with Ledger(tmp_path / "goldwatch.db") as ledger:
        yield Desk(ledger, load_text)


def worse(**values: Any) -> Verdict:
    return verdict("worse", State.ALERTING, evidence=7.9, since=1_800_000_000.0, **values)


def invalid(desk: Desk, **values: Any) -> Settled:
    return desk.replay(verdict(state=State.UNKNOWN), validity=Validity.INVALID, reasons=("no worker",), **values)


def silent(settled: Settled) -> Verdict:
    return next(v for v in settled.judgement.verdicts if v.monitor == "silent")


def test_a_watch_that_does_not_run_says_so_after_three_intervals(desk: Desk) -> None:
    assert silent(desk.replay()).state is State.STEADY
    desk.clock.advance(3 * EVERY_S - 1)
    assert desk.look() == []
    desk.clock.advance(1)
    (alert,) = desk.look()
    assert (alert.watch, alert.monitors, alert.severity, alert.calls) == ("digits", ("silent",), "ticket", True)
    assert alert.headline == (
        "[TICKET] served is silent: no valid replay for 15m, and one is due every 5m: the model is not watched"
    )
    assert desk.look() == []  # reported once
    desk.clock.advance(EVERY_S)
    assert desk.look() == []
    settled = desk.replay()
    assert silent(settled).state is State.STEADY
    assert settled.alert is not None
    assert settled.alert.closed_at == desk.clock.time()
    assert desk.alert() is None


@pytest.mark.parametrize("jump_s", [10 * EVERY_S, -10 * EVERY_S])
def test_a_clock_that_was_set_and_a_machine_that_slept_make_no_watch_silent(
    desk: Desk, jump_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    desk.replay()
    desk.clock.advance(EVERY_S)
    assert desk.look() == []
    passed, desk.clock = desk.clock, FakeClock(desk.clock.time() + jump_s)
    assert desk.look() == []
    (said,) = caplog.records
    assert (said.message, said.jump_s) == ("the clock was set, or the machine slept", jump_s)  # type: ignore[attr-defined]
    for step_s in (2 * EVERY_S - 1, 1.0):  # by the clock of before, three intervals have passed then
        passed.advance(step_s)
        desk.clock.advance(step_s)
        alerts = desk.look()
        if jump_s > 0:
            assert [alert.watch for alert in alerts] == ["digits"] * (step_s == 1.0)
    passed.advance(EVERY_S)  # one that was set back restarts its wait
    desk.clock.advance(EVERY_S)
    desk.look()
    assert desk.alert() is not None


def test_a_new_term_forgets_what_alerts(desk: Desk) -> None:
    about = judgement(watch="digits", target="served")
    desk.ledger.record(about, {"worse": {"of": "worse"}, "slower": {"of": "slower"}})
    desk.replay(worse())
    assert desk.alert() is not None
    desk.clock.advance(3600)  # another replica leads, and the model recovers
    (closed,) = desk.alarms.begin_term(desk.clock.time())
    assert (closed.monitors, closed.closed_at) == (("worse",), desk.clock.time())
    assert desk.ledger.states("digits", "served", about.subject.golden_digest) == {"slower": {"of": "slower"}}
    assert desk.alarms.last_judgement("digits", "served") is None
    assert desk.look() == []
    assert desk.alert() is None
    assert invalid(desk).alert is None, "a replay that says nothing opens no alert of before"
    desk.clock.advance(EVERY_S)
    desk.replay()
    assert desk.alarms.last_judgement("digits", "served") is not None


def test_a_watch_that_never_ran_says_so_too(desk: Desk) -> None:
    desk.clock.advance(3 * EVERY_S)
    assert [alert.watch for alert in desk.look()] == ["digits"]
    desk.clock.advance(3 * 3600)
    assert [alert.watch for alert in desk.look()] == ["other"]


@pytest.mark.parametrize("validity", [Validity.INVALID, Validity.INSUFFICIENT])
def test_a_restarted_agent_does_not_end_the_alert_of_a_silent_watch(desk: Desk, validity: Validity) -> None:
    desk.replay()
    desk.clock.advance(3 * EVERY_S)
    (opened,) = desk.look()
    desk.alarms = Alarms(desk.ledger, clock_s=desk.clock.monotonic)
    desk.clock.advance(60)
    assert desk.look() == []
    found = silent(desk.replay(verdict(state=State.UNKNOWN), validity=validity, reasons=("no worker",)))
    assert (found.state, found.since) == (State.ALERTING, 1_800_000_000.0)
    assert found.summary.startswith("no valid replay for 16m, and one is due every 5m")
    assert desk.alert() == opened
    closed = desk.replay().alert
    assert closed is not None
    assert closed.closed_at == desk.clock.time()


def test_a_cron_line_that_pauses_over_the_weekend_is_not_silent(desk: Desk) -> None:
    desk.configure("", CONFIG.replace("digits: {every: 5m", "digits: {every: '*/5 8-17 * * mon-fri'"))

    def silent_at(day: int, hour: int, minute: int) -> bool:
        desk.clock.advance(datetime(2027, 1, day, hour, minute, tzinfo=UTC).timestamp() - desk.clock.time())
        desk.look()
        return desk.alert() is not None

    silent_at(15, 17, 55)  # a Friday
    desk.replay()
    assert desk.alert() is None
    assert not silent_at(15, 22, 0)  # the mean interval is 17 minutes
    assert not silent_at(18, 7, 59)
    assert not silent_at(18, 8, 30)
    assert silent_at(18, 8, 40)


def test_replays_that_are_not_valid_are_no_news(desk: Desk) -> None:
    desk.replay()
    states = []
    for _ in range(4):
        desk.clock.advance(EVERY_S)
        desk.look()
        states.append(silent(invalid(desk)).state)
    assert states == [State.UNKNOWN, State.UNKNOWN, State.ALERTING, State.ALERTING]
    alert = desk.alert()
    assert alert is not None
    assert alert.monitors == ("silent",)


def test_the_verdicts_of_a_silent_watch_are_unknown_but_for_those_that_alert(desk: Desk) -> None:
    desk.replay(verdict("failing"), verdict("changed", State.ALERTING))
    desk.clock.advance(3 * EVERY_S)
    (settled,) = desk.alarms.look(desk.assignments.values(), desk.config, desk.clock.time())
    assert {v.monitor: v.state for v in settled.judgement.verdicts} == {
        "failing": State.UNKNOWN,
        "changed": State.ALERTING,
        "silent": State.ALERTING,
    }


def test_replays_that_are_cut_short_are_left_to_failing_for_a_while(desk: Desk) -> None:
    desk.replay()
    states = []
    for _ in range(9):
        desk.clock.advance(EVERY_S)
        desk.look()
        states.append(silent(desk.replay(verdict("failing"), validity=Validity.INSUFFICIENT)).state)
    assert states == [State.UNKNOWN] * 8 + [State.ALERTING]


def test_a_dead_server_is_failing_and_nothing_else(desk: Desk) -> None:
    failing = verdict("failing", State.ALERTING, summary="600 of 600 requests failed")
    desk.replay()
    for _ in range(5):
        desk.clock.advance(EVERY_S)
        settled = desk.replay(failing, validity=Validity.INSUFFICIENT)
        desk.look()
    assert silent(settled).state is State.UNKNOWN
    assert [alert.monitors for alert in desk.ledger.alerts()] == [("failing",)]


def test_what_was_before_the_agent_started_is_not_its_silence(desk: Desk) -> None:
    desk.replay()
    desk.clock.advance(86_400)
    desk.alarms = Alarms(desk.ledger, clock_s=desk.clock.monotonic)
    assert desk.look() == []
    desk.clock.advance(3 * EVERY_S)
    assert [alert.watch for alert in desk.look()] == ["digits"]


def test_a_silence_of_the_config_gathers_evidence_and_is_raised_at_its_end(desk: Desk) -> None:
    desk.configure('alerts: {silences: [{from: "2027-01-15 08:00", until: "2027-01-15 08:10", why: maintenance}]}')
    settled = desk.replay(worse(), difference=difference())
    assert settled.alert is not None
    assert (settled.alert.calls, settled.alert.silenced_why) == (False, "maintenance")
    desk.clock.advance(EVERY_S)
    assert desk.replay(worse()).alert == settled.alert
    desk.clock.advance(EVERY_S - 1)
    assert desk.look() == []
    desk.clock.advance(1)
    (alert,) = desk.look()
    assert alert == replace(settled.alert, silenced_why="", silenced_until=None)
    assert alert.calls


def test_an_alert_that_ends_within_its_silence_never_calls(desk: Desk) -> None:
    desk.ledger._db.execute("INSERT INTO silences VALUES (0, 1800000600, 'a command', 'digits')")
    assert desk.ledger.silences(desk.clock.time()) == [Silence(0, 1_800_000_600, "a command", "digits")]
    desk.replay(worse())
    desk.clock.advance(EVERY_S)
    settled = desk.replay(verdict(state=State.RECOVERED))
    assert settled.alert is not None
    assert settled.alert.closed_at is not None
    desk.clock.advance(EVERY_S)
    desk.look()
    (alert,) = desk.ledger.alerts()
    assert (alert.silenced_why, alert.calls) == ("a command", False)


def test_a_rollout_that_is_seen_silences_for_a_while(desk: Desk) -> None:
    desk.replay()
    desk.clock.advance(EVERY_S)
    settled = desk.replay(worse(), description=description(version="2"))
    assert settled.alert is not None
    assert settled.alert.silenced_why == "rollout: version 1 -> 2"
    desk.clock.advance(299)
    assert desk.look() == []
    desk.clock.advance(1)
    (alert,) = desk.look()
    assert alert.calls
    assert "changed  08:05:00 version 1 -> 2" in alert.text
    assert alert.explanation is not None
    same = set(alert.explanation.unchanged)
    assert {"model", "device", "golden set", "node", "goldwatch", "config"} <= same
    assert "version" not in same
    assert alert.explanation.action is not None
    assert alert.explanation.action.title == "Roll served back to 1."


def test_a_rollout_of_the_deployment_silences_and_is_an_event(desk: Desk) -> None:
    seen: dict[str, Rollout] = {"served": Rollout("fraud", "17", "")}
    desk.alarms = Alarms(desk.ledger, seen.get, desk.clock.monotonic)
    desk.replay()
    desk.clock.advance(EVERY_S)
    seen["served"] = Rollout("fraud", "18", "1 of 3 replicas updated")
    settled = desk.replay(worse())
    assert settled.alert is not None
    assert not settled.alert.calls
    assert settled.alert.silenced_why == "rollout of the Deployment fraud"
    assert settled.alert.silenced_until is None
    assert ("deployment revision", "17", "18") in [(e.field, e.before, e.after) for e in settled.events]
    desk.clock.advance(60)
    assert desk.look() == [], "it is not told again and again while the rollout goes on"
    seen["served"] = Rollout("fraud", "18", "", ended_at=desk.clock.time())
    desk.clock.advance(301)
    (alert,) = [alert for alert in desk.look() if alert.calls]
    assert alert.number == settled.alert.number


def test_rollouts_can_be_told_to_silence_nothing(desk: Desk) -> None:
    desk.configure("alerts: {rollout: 0s}")
    desk.replay()
    settled = desk.replay(worse(), description=description(version="2"))
    assert settled.alert is not None
    assert settled.alert.calls


def test_two_watches_of_a_dead_server_call_once_and_the_second_when_the_first_is_over(desk: Desk) -> None:
    failing = verdict("failing", State.ALERTING, summary="600 of 600 requests failed")
    first = desk.replay(failing).alert
    second = desk.replay(failing, watch="other").alert
    assert first is not None
    assert second is not None
    assert (first.calls, second.calls, second.silenced_why) == (True, False, "the same cause as alert 1")
    desk.clock.advance(EVERY_S)
    desk.replay(verdict("failing", State.RECOVERED))
    (raised,) = desk.look()
    assert (raised.number, raised.calls) == (2, True)


def test_an_alert_of_what_is_no_longer_watched_is_closed_and_silences_nobody(desk: Desk) -> None:
    desk.replay(verdict("failing", State.ALERTING), watch="digits")
    del desk.assignments["digits"]  # the watch is renamed, and its target still fails
    second = desk.replay(verdict("failing", State.ALERTING), watch="other").alert
    assert second is not None
    assert not second.calls
    (closed,) = desk.alarms.abandon(desk.assignments.values(), desk.clock.time())
    assert (closed.number, closed.closed_at) == (1, desk.clock.time())
    assert desk.alert("digits") is None
    (raised,) = desk.look()
    assert (raised.number, raised.calls) == (2, True)
    assert desk.alarms.abandon(desk.assignments.values(), desk.clock.time()) == []


def test_an_alert_names_its_page_and_the_config_that_replays_it(desk: Desk) -> None:
    settled = desk.replay(worse(), difference=difference())
    assert settled.alert is not None
    assert "http" not in settled.alert.text, "without an external URL there is no link that a phone could not open"
    assert settled.alert.explanation is not None
    assert settled.alert.explanation.replay == (
        f"goldwatch replay {desk.config.source} --watch digits --examples 0,1,2,3,4,5,6,7,8,9,10,11"
    )


def test_links_begin_with_the_external_url(desk: Desk) -> None:
    desk.configure(
        "", CONFIG.replace('"127.0.0.1:9870"', '"127.0.0.1:9870", external_url: "https://gw.example/fraud/"')
    )
    settled = desk.replay(worse(), difference=difference())
    assert settled.alert is not None
    assert "alert    https://gw.example/fraud/alerts/1\n" in settled.alert.text
    assert "runbook  https://gw.example/fraud/runbooks/worse\n" in settled.alert.text
    assert settled.alert.summary()["page"] == "https://gw.example/fraud/alerts/1"


def test_the_action_of_the_config_comes_first_and_its_places_are_filled_in(desk: Desk) -> None:
    desk.configure('alerts: {rollout: 0s, actions: {worse: "deploy {target} {from}"}}')
    desk.replay()
    settled = desk.replay(worse(), description=description(version="v 2"), difference=difference())
    assert settled.alert is not None
    assert settled.alert.explanation is not None
    assert settled.alert.explanation.action is not None
    assert settled.alert.explanation.action.command == "deploy served 1"


def test_an_action_of_no_monitor_is_refused(desk: Desk) -> None:
    with pytest.raises(ValueError, match=r"actions.wrse: no monitor has this name; there are failing, worse"):
        desk.configure('alerts: {actions: {wrse: "deploy"}}')


def test_the_size_is_that_of_the_last_valid_replays_before_the_onset(desk: Desk) -> None:
    for latency_s in (0.010, 0.011, 0.5, 0.012, 0.011):
        desk.replay(quantiles=(Quantile(0.5, latency_s), Quantile(0.99, None)))
        desk.clock.advance(EVERY_S)
    settled = desk.replay(
        verdict("slow", State.ALERTING, since=desk.clock.time()), quantiles=(Quantile(0.5, 0.055), Quantile(0.99, None))
    )
    assert settled.alert is not None
    text = " ".join(settled.alert.text.split())
    assert "latency p50 11 -> 55 ms 5 times" in text
    assert "errors 10 of 3,000 -> 2 of 600" in text


def test_a_watch_whose_replays_miss_their_deadline_says_so_and_how_much_slower_the_model_is(desk: Desk) -> None:
    for _ in range(3):
        desk.replay(quantiles=(Quantile(0.5, 0.010),))
        desk.clock.advance(EVERY_S)
    reason = ("the deadline of 240 s had passed",)
    for _ in range(9):
        cut = desk.replay(validity=Validity.INSUFFICIENT, reasons=reason, quantiles=(Quantile(0.5, 0.052),), scores=())
        desk.clock.advance(EVERY_S)
        desk.look()
    assert cut.judgement.findings.quantiles[0].latency_s == 0.052
    alert = desk.alert()
    assert alert is not None
    assert alert.explanation is not None
    assert alert.explanation.cause == (
        "8 of the last 8 replays missed their deadline: the deadline of 240 s had passed; "
        "a request takes 52 ms, 5.2 times as long as before (10 ms)"
    )
    assert "do       Find out why served is slow: its load, its node, its queue." in alert.text


def test_an_alert_that_lasts_reads_no_history_at_each_replay(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    first = desk.replay(worse(), difference=difference()).alert
    monkeypatch.setattr(desk.ledger, "valid_before", lambda *_, **__: pytest.fail("the alert was composed again"))
    desk.clock.advance(EVERY_S)
    assert desk.replay(worse(), difference=difference()).alert == first


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({"skipped": "busy", "reasons": ("skipped, the target had no room: 9 requests wait",)}, "the target was busy"),
        ({"reasons": ("the golden set was changed",)}, "were not valid: the golden set was changed"),
    ],
)
def test_a_silent_watch_says_why(desk: Desk, values: dict[str, Any], cause: str) -> None:
    desk.replay()
    for _ in range(4):
        desk.clock.advance(EVERY_S)
        desk.look()
        desk.replay(verdict(state=State.UNKNOWN), validity=Validity.INVALID, **values)
    alert = desk.alert()
    assert alert is not None
    assert cause in " ".join(alert.text.split())


def test_another_config_is_a_change_that_an_alert_names(desk: Desk) -> None:
    desk.replay()
    before: Assignment = desk.assignments["digits"]
    desk.assignments["digits"] = replace(before, watch=before.watch.model_copy(update={"jitter_s": 1.0}))
    settled = desk.replay(worse())
    assert [event.field for event in settled.events] == ["config"]


def test_the_first_replay_after_an_upgrade_compares_with_the_judgement_before(desk: Desk) -> None:
    desk.ledger.record(judgement(started_at=desk.clock.time() - 300), {})
    settled = desk.replay(description=description(version="2"))
    assert [(event.field, event.before, event.after) for event in settled.events] == [("version", "1", "2")]


def test_an_alert_of_a_watch_that_is_gone_silences_no_other(desk: Desk) -> None:
    desk.replay(worse())
    other = desk.replay(worse(), watch="other").alert
    assert other is not None
    assert other.silenced_why == "the same cause as alert 1"
    desk.configure("", CONFIG.replace("  digits: {every: 5m, jitter: 0s}\n", ""))
    (other,) = desk.look()
    assert (other.watch, other.calls, other.silenced_why) == ("other", True, "")
