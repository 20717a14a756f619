"""The share of an agent that a config asks for, compared with what the agenda of an agent carries of it."""

from __future__ import annotations

import heapq
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldwatch.commands.capacity import Asked, add_up, summary
from goldwatch.config import Schedule
from goldwatch.daemon.agenda import IN_PROCESS, Agenda
from goldwatch.daemon.schedule import Timetable

from .test_gate import check

NOW = 1_800_000_000.0


def carried(watches: list[Asked], concurrent: int, seconds: float) -> float:
    """Play the watches to an agenda; return the share of the due replays that took place."""
    agenda = Agenda(concurrent)
    for number, each in enumerate(watches):
        timetable = Timetable(Schedule(interval_s=each.every_s), 0, str(number))
        agenda.put((str(number), ""), timetable, each.server, timetable.after(NOW))
    done, missed, now = 0, 0, NOW
    running: list[tuple[float, tuple[str, str]]] = []
    while now < NOW + seconds:
        while running and running[0][0] <= now:
            agenda.done(heapq.heappop(running)[1], now)
            done += 1
        missed += len(agenda.tick(now))
        while (turn := agenda.take()) is not None:
            heapq.heappush(running, (now + watches[int(turn.key[0])].replay_s, turn.key))
        now = min(agenda.next_at(), running[0][0] if running else now + 1)
    return done / (done + missed + len(running))


def test_fifty_watches_every_two_seconds_are_more_than_an_agent_carries() -> None:
    watches = [Asked(f"server-{number}", 0.08, 2) for number in range(50)]
    asking = add_up(watches, 1)
    assert asking.share == pytest.approx(2)
    assert carried(watches, 1, 200) == pytest.approx(1 / 2, abs=0.02)
    kind, text = summary(asking)
    assert kind == "warning"
    assert text == (
        "the watches ask for 200 % of what an agent carries, one at a time (replays.concurrent: 1). Replays would be "
        "late, and some skipped: write an `every` 2.5 times as long (5s in place of 2s); or split the watches over 3 "
        "agents; or raise `replays.concurrent`, if there are several servers and the agent has a core for each"
    )


def test_slots_do_not_help_where_all_watches_are_on_one_server_or_in_process() -> None:
    for server, limit in (("one", "one at a time on one"), (IN_PROCESS, "one model in process at a time")):
        watches = [Asked(server, 0.08, 2) for _ in range(50)]
        asking = add_up(watches, 8)
        assert asking.share == pytest.approx(2)
        assert (asking.limit, asking.slots) == (limit, False)
        assert carried(watches, 8, 100) == pytest.approx(1 / 2, abs=0.03)
        assert "replays.concurrent" not in summary(asking)[1]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["", "a", "b", "c"]), st.floats(0.2, 1), st.integers(1, 4)), min_size=1, max_size=8
    ),
    st.integers(1, 4),
)
def test_no_more_is_carried_than_was_said(drawn: list[tuple[str, float, int]], concurrent: int) -> None:
    watches = [Asked(server, replay_s, every_s) for server, replay_s, every_s in drawn]
    whole = sum(each.share for each in watches)
    if (asking := add_up(watches, concurrent)).share > 1.5:
        # Of a mix the agenda does not leave out the same share of each; but it is never carried whole.
        assert carried(watches, concurrent, 100) < 1
    assert whole / concurrent <= asking.share * (1 + 1e-9)
    assert asking.share <= whole * (1 + 1e-9)


def test_what_could_not_be_measured_is_not_counted_as_nothing() -> None:
    kind, text = summary(add_up([Asked("a", 0.3, 300)], 1), unknown=2)
    assert kind == "note"
    assert text.startswith("the watches ask for 0.1 % of what an agent carries, one at a time (replays.concurrent: 1);")
    assert text.endswith("; 2 more could not be measured")


@pytest.mark.slow
def test_check_says_what_the_config_asks_for(tmp_path: Path) -> None:
    found = check(tmp_path).stderr
    assert re.search(
        r"goldwatch.yaml: note: the watches ask for [\d.,]+ % of what an agent carries, one model in", found
    )
