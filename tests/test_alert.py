import dataclasses

import pytest

from goldwatch.alert import Event, Surroundings, advance, changes
from goldwatch.judgement import Judgement, Severity, State, Verdict

from tests.builders import description, difference, judgement, verdict

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
        "[page] served is worse: 50 of 600 golden examples now wrong that were right (3 the other way)",
        "accuracy 0.952 -> 0.950, tolerance 1 point · evidence 7.9 of 5.6 needed · budget 1 false alarm a year",
        "since    08:00:00 UTC (between the replays of 07:55:00 and 08:00:00)",
        "errors   2 x no answer within 2 s",
        "where    40 of the 50 are in slice digit=8 (10% of the set)",
        "changed  07:59:00 version v17 -> v18",
        "examples 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...",
    ]
    assert (alert.number, alert.severity, alert.monitors) == (42, Severity.PAGE, ("worse",))


def test_what_is_not_known_has_no_line() -> None:
    failing = verdict("failing", State.ALERTING, summary="600 of 600 requests failed")
    told = judgement(verdicts=(failing,), errors={})
    alert = advance(None, told, Surroundings(None, [], "1 point", "1 false alarm a year"), 1)
    assert alert is not None
    assert alert.text.splitlines() == [
        "[page] served is failing: 600 of 600 requests failed",
        "evidence 0.5 of 5.6 needed · budget 1 false alarm a year",
    ]


def test_a_fact_needs_no_evidence_in_its_alert() -> None:
    fact = verdict("changed", State.ALERTING, severity=Severity.TICKET, evidence=None, threshold=None, since=AT)
    alert = advance(None, damaged(fact), AROUND, 1)
    assert alert is not None
    assert alert.severity is Severity.TICKET
    assert alert.text.splitlines()[1] == "accuracy 0.952 -> 0.950, tolerance 1 point"


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


@pytest.mark.parametrize("field", ["model", "version", "framework", "framework_version", "device", "digest"])
def test_a_change_of_what_the_target_is_is_an_event(field: str) -> None:
    before, after = judgement(), judgement(description=description(**{field: "new"}), started_at=AT + 5)
    (event,) = changes(before, after)
    assert event == Event(AT + 5, "served", field.replace("_", " "), getattr(before.description, field), "new")


def test_another_golden_set_is_an_event_and_no_description_is_none() -> None:
    before = judgement()
    assert [e.field for e in changes(before, dataclasses.replace(before, golden_digest="sha256:c"))] == ["golden set"]
    assert changes(before, judgement(description=None)) == []
    assert changes(None, before) == []


def test_a_failing_target_is_told_by_its_errors_or_by_the_reason_why_there_are_none() -> None:
    failing = verdict("failing", State.ALERTING, summary="600 of 600 requests failed")
    rejected = advance(None, judgement(verdicts=(failing,), errors={"answered 500": 70, "reset": 530}), AROUND, 1)
    gone = advance(None, judgement(verdicts=(failing,), errors={}, reasons=("connection refused",)), AROUND, 1)
    assert rejected is not None
    assert gone is not None
    assert [line for line in rejected.text.splitlines() if line.startswith("errors")] == [
        "errors   530 x reset",
        "errors   70 x answered 500",
    ]
    assert "accuracy" not in rejected.text
    assert "errors   connection refused" in gone.text.splitlines()
