"""When lines of a reference are from: what is read, and what is wrong with a line."""

from __future__ import annotations

import json

import pytest

from goldwatch.worker.drift.times import hours_of

HOUR = 497_000  # 2026-09-12T08:00:00Z


def line(**keys: object) -> bytes:
    return json.dumps(keys).encode()


@pytest.mark.parametrize(
    "written",
    [
        "2026-09-12T08:59:59Z",
        "2026-09-12T10:00:00+02:00",
        "2026-09-12 08:30:00.123+00:00",
        3600 * HOUR,
        3600.0 * HOUR + 0.5,
        3_600_000 * HOUR + 7,
    ],
)
def test_a_time_is_a_text_with_an_offset_or_seconds_or_milliseconds(written: object) -> None:
    assert hours_of([line(at=written)], "at") == [HOUR]
    assert hours_of([line(meta={"at": written})], "meta.at") == [HOUR]
    assert hours_of([line(specversion="1.0", time=written, data={})], "") == [HOUR]


def test_lines_without_times_are_of_no_known_hour() -> None:
    event = line(specversion="1.0", time="2026-09-12T08:00:00Z")
    assert hours_of([event, line(amount=1)], "") is None
    assert hours_of([line(time="2026-09-12T08:00:00Z")], "") is None


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("2026-09-12T08:00:00", '2: at: "2026-09-12T08:00:00" has no offset from UTC'),
        ("noon", '2: at: "noon" is no time; expected one such as'),
        (None, "2: at: found null, expected a time such as"),
        (True, "2: at: found true, expected a time such as"),
        (float("inf"), "2: at: found Infinity, expected a time such as"),
    ],
)
def test_what_is_no_time_is_an_error_that_names_the_line(written: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        hours_of([line(at=3600), line(at=written)], "at")
    with pytest.raises(ValueError, match="2: at: found null"):
        hours_of([line(at=3600), b"no JSON"], "at")
