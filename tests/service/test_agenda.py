"""Whose turn it is, under a fake clock: the most overdue first, and nothing that disturbs another."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from goldwatch.config import Schedule
from goldwatch.daemon.agenda import IN_PROCESS, Agenda, Missed, Turn
from goldwatch.daemon.schedule import Timetable
from goldwatch.testing.clock import FakeClock

NOW = 1_800_000_000.0
EVERY_MINUTE = Timetable(Schedule(interval_s=60), 0, "any")


def key(name: str) -> tuple[str, str]:
    return name, "target"


def agenda(concurrent: int = 1, **watches: tuple[str, float]) -> Agenda:
    """Make an agenda of watches by name, each with its server and when it is due after NOW."""
    made = Agenda(concurrent)
    for name, (server, due_s) in watches.items():
        made.put(key(name), EVERY_MINUTE, server, NOW + due_s)
    return made


def turns(made: Agenda) -> list[str]:
    found: Iterable[Turn | None] = iter(made.take, None)
    return [turn.key[0] for turn in found if turn is not None]


def test_the_most_overdue_goes_first() -> None:
    made = agenda(a=("one", 3), b=("two", 1), c=(IN_PROCESS, 2))
    assert made.tick(NOW + 10) == []
    order = []
    while (turn := made.take()) is not None:
        order.append((turn.key[0], turn.due_at - NOW))
        assert made.take() is None
        made.done(turn.key, NOW + 10)
    assert order == [("b", 1), ("c", 2), ("a", 3)]


def test_nothing_is_due_before_its_time() -> None:
    made = agenda(a=("one", 3))
    assert made.next_at() == NOW + 3
    assert made.tick(NOW + 2) == []
    assert made.take() is None


def test_one_whose_energy_is_due_has_the_machine_alone() -> None:
    due = {key("b")}
    made = Agenda(3, wants_machine=due.__contains__)
    for name, due_s in (("a", 1), ("b", 2), ("c", 3)):
        made.put(key(name), EVERY_MINUTE, name, NOW + due_s)
    made.tick(NOW + 10)
    assert made.take() == Turn(key("a"), NOW + 1, alone=False)
    assert made.take() is None, "it waits for the one before it, and nobody overtakes it"
    made.done(key("a"), NOW + 11)
    assert made.take() == Turn(key("b"), NOW + 2, alone=True)
    assert made.take() is None
    due.clear()
    made.put(key("b"), EVERY_MINUTE, "b", NOW + 70)  # a reload does not take the machine from it
    assert made.take() is None
    made.done(key("b"), NOW + 12)
    assert [turn.alone for turn in iter(made.take, None)] == [False, False]


def test_served_targets_run_at_once_up_to_the_number_and_never_two_on_a_server() -> None:
    made = agenda(2, a=("one", 1), b=("one", 2), c=("two", 3), d=("three", 4))
    made.tick(NOW + 10)
    assert turns(made) == ["a", "c"]
    made.done(key("c"), NOW + 11)
    assert turns(made) == ["d"]
    made.done(key("a"), NOW + 12)
    assert turns(made) == ["b"]


def test_a_model_in_process_runs_alone_and_is_not_overtaken_for_ever() -> None:
    made = agenda(3, a=("one", 1), b=(IN_PROCESS, 2), c=("two", 3))
    made.tick(NOW + 10)
    assert turns(made) == ["a"]
    made.done(key("a"), NOW + 11)
    assert turns(made) == ["b"]
    made.done(key("b"), NOW + 12)
    assert turns(made) == ["c"]


def test_a_clock_that_was_set_back_leaves_nobody_waiting_for_the_time_that_it_was_wrong_by() -> None:
    wrong = NOW + 10 * 365 * 86_400
    made = agenda(a=("one", 0), b=("two", 0))
    made.tick(wrong)
    assert turns(made) == ["a"]
    made.defer(key("a"), wrong, wrong + 1)
    assert turns(made) == ["b"]
    assert made.tick(NOW) == []
    assert turns(made) == []
    made.done(key("b"), NOW)
    assert turns(made) == ["a"]
    assert NOW + 30 <= made.next_at() <= NOW + 90
    assert NOW + 30 <= made.due_at(key("b")) <= NOW + 90


def test_times_that_pass_meanwhile_are_told_and_not_made_up_for() -> None:
    made = agenda(a=("one", 0), b=("two", 1))
    made.tick(NOW + 1)
    assert turns(made) == ["a"]
    clock = FakeClock(NOW + 1)
    missed = []
    while clock.time() < NOW + 301:
        clock.advance(made.next_at() - clock.time())
        missed += made.tick(clock.time())
    assert {(name, why) for (name, _), why in missed} == {("a", Missed.STILL_RUNNING), ("b", Missed.WAITING)}
    assert 8 <= len(missed) <= 12
    made.done(key("a"), clock.time())
    assert turns(made) == ["b"]


def test_who_finds_no_room_lets_others_go_first_and_comes_back_with_its_lateness() -> None:
    made = agenda(a=("one", 0), b=("two", 1))
    made.tick(NOW + 1)
    assert turns(made) == ["a"]
    made.defer(key("a"), NOW + 1, NOW + 4)
    assert turns(made) == ["b"]
    assert made.next_at() == NOW + 4
    made.done(key("b"), NOW + 2)
    assert made.take() is None
    assert made.tick(NOW + 4) == []
    assert made.take() == Turn(key("a"), NOW)
    made.defer(key("a"), NOW + 4, NOW + 100)
    assert made.tick(NOW + 70) == [(key("a"), Missed.WAITING)]
    made.remove(key("a"))
    assert turns(made) == ["b"]
    made.tick(NOW + 100)
    assert made.take() is None


def test_other_settings_are_replayed_after_the_replay_under_way() -> None:
    made = agenda(a=("one", 0))
    made.tick(NOW)
    assert turns(made) == ["a"]
    made.put(key("a"), EVERY_MINUTE, "other", NOW + 1)
    assert made.tick(NOW + 1) == []
    assert made.take() is None
    made.done(key("a"), NOW + 5)
    assert made.take() == Turn(key("a"), NOW + 5)


def test_what_is_removed_gets_no_turn() -> None:
    made = agenda(a=("one", 0), b=("one", 0), c=("one", 5))
    made.tick(NOW)
    assert turns(made) == ["a"]
    for name in "abc":
        made.remove(key(name))
    made.done(key("a"), NOW + 1)
    assert made.tick(NOW + 100) == []
    assert made.take() is None
    assert made.next_at() == float("inf")


def test_a_watch_that_comes_back_while_its_last_replay_runs_does_not_overlap_with_it() -> None:
    made = agenda(2, a=("one", 0))
    made.tick(NOW)
    assert turns(made) == ["a"]
    made.remove(key("a"))
    made.put(key("a"), EVERY_MINUTE, "two", NOW + 1)
    made.tick(NOW + 1)
    assert made.take() is None
    made.done(key("a"), NOW + 2)
    assert turns(made) == ["a"]


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.sampled_from([IN_PROCESS, "one", "two", "three"]), st.floats(0, 60)), min_size=1),
    st.data(),
)
def test_whatever_comes_everyone_gets_a_turn_and_nobody_is_disturbed(
    concurrent: int, watches: list[tuple[str, float]], data: st.DataObject
) -> None:
    made = agenda(concurrent, **{str(i): watch for i, watch in enumerate(watches)})
    made.tick(NOW + 60)
    running: list[str] = []
    seen = set()
    for _ in range(2 * len(watches)):
        running += turns(made)
        servers = [watches[int(name)][0] for name in running]
        assert len(running) <= concurrent
        assert len(set(servers)) == len(servers)
        assert IN_PROCESS not in servers or len(servers) == 1
        seen |= set(running)
        if running:
            ended = running.pop(data.draw(st.integers(0, len(running) - 1)))
            made.done(key(ended), NOW + 60)
    assert len(seen) == len(watches)
