import dataclasses
import json

import pytest

from goldwatch.core.event import Event
from goldwatch.core.judgement import Judgement, LiveWindow, Move, Severity, State, Verdict
from goldwatch.daemon.alert import Alert, advance, hushed
from goldwatch.daemon.alert_explanation import Explanation, Picture, Surroundings
from goldwatch.daemon.alert_text import as_text
from goldwatch.daemon.silence import Silence

from tests.builders import difference, judgement, verdict

AT = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC
AROUND = Surroundings(
    last_good_at=AT - 300,
    events=[Event(AT - 60, "served", "version", "v17", "v18")],
    tolerance="1 point",
    budget="1 false alarm a year",
)


def alerting(monitor: str = "worse", **values: object) -> Verdict:
    return verdict(monitor, State.ALERTING, evidence=7.9, since=AT, **values)


def damaged(*verdicts: Verdict) -> Judgement:
    return judgement(verdicts=verdicts or (alerting(),), difference=difference())


def test_an_alert_explains_itself() -> None:
    alert = advance(None, damaged(), AROUND, 42)
    assert alert is not None
    assert alert.text.splitlines() == [
        "[PAGE] served is worse: 50 of 600 golden examples now wrong that were",
        "       right (3 the other way)",
        "",
        "do       Roll served back to v17: the validated model was right on all",
        "         50.",
        "why      version v17 -> v18 at 07:59:00 is the only recorded change",
        "",
        "accuracy 0.9520 -> 0.9500   -0.2 points, tolerance 1 point",
        "latency  p50 unknown -> 2 ms",
        "errors   unknown -> 2 of 600",
        "evidence 7.9 of 5.6 needed  budget 1 false alarm a year",
        "",
        "since    08:00:00 UTC (between the replays of 07:55:00 and 08:00:00)",
        "messages 2 x no answer within 2 s",
        "where    digit=8  40 of the 50, 10% of the set  beyond chance",
        "changed  07:59:00 version v17 -> v18",
        "unknown  latency and errors before (no valid replay before this one is",
        "         kept)",
        "examples 0: 8 -> 1, right is 8",
        "         1: 8 -> 1, right is 8",
        "         2: 8 -> 1, right is 8",
        "         3: 8 -> 1, right is 8",
        "         4: 8 -> 1, right is 8",
        "         and 50 more",
    ]
    assert (alert.number, alert.severity, alert.monitors) == (42, Severity.PAGE, ("worse",))


def test_what_is_not_known_has_no_line() -> None:
    failing = verdict("failing", State.ALERTING, summary="600 of 600 requests failed")
    told = judgement(verdicts=(failing,), errors={})
    alert = advance(None, told, Surroundings(None, [], "1 point", "1 false alarm a year"), 1)
    assert alert is not None
    assert alert.text.splitlines() == [
        "[PAGE] served is failing: 600 of 600 requests failed",
        "",
        "do       Look at the server of served and its log.",
        "why      nothing that goldwatch records has changed",
        "",
        "accuracy 0.9520 -> 0.9500   -0.2 points",
        "latency  p50 unknown -> 2 ms",
        "errors   unknown -> 2 of 600",
        "evidence 0.5 of 5.6 needed  budget 1 false alarm a year",
        "",
        "unknown  latency and errors before (no valid replay before this one is",
        "         kept)",
    ]


def test_a_fact_needs_no_evidence_in_its_alert() -> None:
    fact = verdict("changed", State.ALERTING, severity=Severity.TICKET, evidence=None, threshold=None, since=AT)
    alert = advance(None, damaged(fact), AROUND, 1)
    assert alert is not None
    assert alert.severity is Severity.TICKET
    assert "accuracy 0.9520 -> 0.9500  -0.2 points, tolerance 1 point" in alert.text
    assert "evidence" not in alert.text


def test_no_monitor_alerting_is_no_alert() -> None:
    assert advance(None, judgement(verdicts=(verdict(state=State.SUSPECT),)), AROUND, 1) is None


def test_one_cause_is_one_alert() -> None:
    first = advance(None, damaged(alerting("changed")), AROUND, 1)
    joined = advance(first, damaged(alerting("changed"), alerting("worse")), AROUND, 2)
    assert first is not None
    assert joined is not None
    assert joined.number == 1
    assert joined.opened_at == first.opened_at
    assert joined.monitors == ("worse", "changed")
    assert joined.name == "worse"


def test_an_alert_that_goes_on_stays_as_it_was() -> None:
    first = advance(None, damaged(), AROUND, 1)
    assert advance(first, damaged(alerting(summary="other words")), AROUND, 2) is first


def test_a_ticket_turns_into_a_page_but_not_back() -> None:
    ticket = advance(None, damaged(alerting("changed", severity=Severity.TICKET)), AROUND, 1)
    page = advance(ticket, damaged(alerting("changed")), AROUND, 2)
    again = advance(page, damaged(alerting("changed", severity=Severity.TICKET)), AROUND, 3)
    assert ticket is not None
    assert page is not None
    assert (ticket.severity, page.severity) == (Severity.TICKET, Severity.PAGE)
    assert again is page


def test_an_alert_closes_when_no_monitor_is_alerting() -> None:
    first = advance(None, damaged(alerting("changed"), alerting("worse")), AROUND, 1)
    half = advance(first, damaged(alerting("worse"), verdict("changed", State.RECOVERED)), AROUND, 2)
    closed = advance(half, judgement(verdicts=(verdict(state=State.RECOVERED),)), AROUND, 2)
    assert half is first
    assert closed is not None
    assert closed.closed_at == AT + 1.5


def test_a_failing_target_is_told_by_its_errors_or_by_the_reason_why_there_are_none() -> None:
    failing = verdict("failing", State.ALERTING, summary="600 of 600 requests failed")
    around = dataclasses.replace(AROUND, events=[])
    rejected = advance(None, judgement(verdicts=(failing,), errors={"answered 500": 70, "reset": 530}), around, 1)
    gone = advance(None, judgement(verdicts=(failing,), errors={}, reasons=("connection refused",)), around, 1)
    assert rejected is not None
    assert gone is not None
    assert "messages 530 x reset\n         70 x answered 500\n" in rejected.text
    assert "why      reset; nothing that goldwatch records has changed\n" in rejected.text
    assert "messages connection refused" in gone.text.splitlines()


def test_what_stayed_the_same_is_said_beside_what_changed_and_where_to_read_on() -> None:
    around = dataclasses.replace(
        AROUND,
        unchanged=["device", "node"],
        runbooks="https://wiki/runbooks/",
        page="https://gw.example/alerts/42",
        config="my configs/goldwatch.yaml",
    )
    alert = advance(None, damaged(), around, 42)
    assert alert is not None
    lines = alert.text.splitlines()
    assert "same     device, node" in lines
    assert lines[-8:] == [
        "         and 50 more",
        "         goldwatch replay 'my configs/goldwatch.yaml' --watch digits \\",
        "           --examples 0,1,2,3,4,5,6,7,8,9,10,11",
        "",
        "alert    https://gw.example/alerts/42",
        "runbook  https://wiki/runbooks/worse.md",
        "silence  goldwatch silence 'my configs/goldwatch.yaml' --watch digits \\",
        "           --for 2h --why 'served is worse: I am on it'",
    ]


def test_an_explanation_survives_json() -> None:
    alert = advance(None, damaged(), AROUND, 42)
    assert alert is not None
    assert alert.explanation is not None
    told = alert.explanation.with_pictures([Picture(3, ("▀ ▄", "  █"))])
    assert Explanation.from_json(json.loads(json.dumps(told.to_json()))) == told
    assert as_text(told) == alert.text


def an_alert(number: int, *monitors: str, watch: str = "digits", target: str = "served", **values: object) -> Alert:
    return Alert(number, watch, target, Severity.PAGE, monitors, AT, "it is so", **values)  # type: ignore[arg-type]


def test_a_silenced_alert_calls_nobody_and_does_so_once_the_silence_has_ended() -> None:
    silenced = hushed(an_alert(1, "worse"), Silence(AT, AT + 60, "maintenance"), [])
    assert (silenced.calls, silenced.silenced_why, silenced.silenced_until) == (False, "maintenance", AT + 60)
    assert hushed(silenced, None, []) == an_alert(1, "worse")


@pytest.mark.parametrize(
    ("later", "first", "one"),
    [
        (("failing",), ("failing",), True),
        (("silent", "slow"), ("failing",), True),
        (("worse",), ("worse", "changed"), True),
        (("worse", "slow"), ("failing",), False),
        (("failing",), ("worse",), False),
        (("slow",), ("changed",), False),
    ],
)
def test_watches_of_one_target_that_see_the_same_thing_are_one_alert(
    later: tuple[str, ...], first: tuple[str, ...], one: bool
) -> None:
    alert = hushed(an_alert(2, *later, watch="other"), None, [an_alert(1, *first)])
    assert alert.calls is not one
    assert alert.silenced_why == ("the same cause as alert 1" if one else "")


@pytest.mark.parametrize(
    "other",
    [
        an_alert(1, "failing", target="another"),
        an_alert(1, "failing", closed_at=AT),
        an_alert(1, "failing", silenced_why="maintenance"),
        an_alert(3, "failing"),
    ],
)
def test_another_target_a_silenced_a_closed_and_a_later_alert_are_no_reason_to_call_nobody(other: Alert) -> None:
    assert hushed(an_alert(2, "failing", watch="other"), None, [other]).calls


def test_a_watch_that_goes_silent_takes_nothing_from_what_its_alert_has_said() -> None:
    first = advance(None, damaged(), AROUND, 1)
    silent = verdict("silent", State.ALERTING, severity=Severity.TICKET, evidence=None, threshold=None, summary="quiet")
    nothing = judgement(verdicts=(alerting(summary="not known: quiet"), silent), scores=(), difference=None)
    after = advance(first, nothing, AROUND, 2)
    assert first is not None
    assert after is not None
    assert after.monitors == ("worse", "silent")
    assert (after.number, after.severity) == (1, Severity.PAGE)
    assert [line for line in after.text.splitlines() if line not in first.text.splitlines()] == [
        "also     silent: quiet"
    ]
    old = advance(dataclasses.replace(first, explanation=None), nothing, AROUND, 2)
    assert old is not None
    assert old.text == f"{first.text}\nalso     silent: quiet"


def test_a_drift_says_which_columns_moved_how_they_lay_and_what_rows_those_are() -> None:
    moves = (Move("amount", "10% below 1, 50% below 2, 90% below 3", "10% below 2, 50% below 4, 90% below 6"),)
    at = 1_799_999_000.0
    live = LiveWindow(1000, 100, 20, 480, 390, 10, at, at + 300, {"it is not JSON": 10}, moves)
    drifting = verdict("drift", State.ALERTING, severity=Severity.TICKET, summary="amount: 9% of 390 rows at most 2")
    alert = advance(None, judgement(live=live, verdicts=(drifting,)), AROUND, 1)
    assert alert is not None
    assert alert.text.splitlines()[0] == "[TICKET] served is drifting: amount: 9% of 390 rows at most 2"
    assert (
        "column   amount: 10% below 1, 50% below 2, 90% below 3 in the reference\n"
        "         10% below 2, 50% below 4, 90% below 6 now\n"
        "rows     390 of 1,000 live requests between 07:43:20 and 07:48:20 UTC,\n"
        "         10 could not be read\n"
        "unread   10: it is not JSON\n"
    ) in alert.text
    assert "do       Check what fills the column amount.\n" in alert.text
    other = advance(None, judgement(live=live, verdicts=(verdict(state=State.ALERTING),)), AROUND, 1)
    assert other is not None
    assert "live requests" not in other.text


def test_people_are_called_by_the_monitors_that_give_the_severity() -> None:
    ticket = alerting("moved", severity=Severity.TICKET)
    both = advance(None, damaged(alerting("worse"), alerting("slow"), ticket), AROUND, 1)
    assert both is not None
    assert both.callers == ("worse", "slow")


def test_a_page_of_changed_calls_as_worse_so_that_it_pages_once() -> None:
    first = advance(None, damaged(alerting("changed")), AROUND, 1)
    assert first is not None
    assert first.callers == ("worse",)
    then = advance(first, damaged(alerting("changed"), alerting("worse")), AROUND, 1)
    assert then is not None
    assert then.callers == ("worse",)


def test_a_ticket_of_changed_calls_by_its_own_name() -> None:
    alert = advance(None, damaged(alerting("changed", severity=Severity.TICKET)), AROUND, 1)
    assert alert is not None
    assert alert.callers == ("changed",)
