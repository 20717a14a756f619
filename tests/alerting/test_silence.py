from hypothesis import given
from hypothesis import strategies as st

from goldwatch.core.event import Event, Rollout
from goldwatch.daemon.silence import Silence, in_force, of_rollout, rollouts

TIMES = st.floats(0, 1000)


def event(field: str, at: float = 100.0) -> Event:
    return Event(at, "served", field, "v17", "v18")


def test_a_silence_begins_and_ends_on_time_and_is_for_its_watch() -> None:
    one = Silence(10.0, 20.0, "maintenance", "digits")
    assert [one.covers("digits", at) for at in (9.9, 10.0, 19.9, 20.0)] == [False, True, True, False]
    assert not one.covers("other", 15.0)
    assert Silence(10.0, 20.0, "maintenance").covers("other", 15.0)


@given(st.lists(st.tuples(TIMES, TIMES).map(sorted)), TIMES)
def test_the_one_that_lasts_longest_is_in_force_and_none_only_where_none_covers(
    spans: list[list[float]], at: float
) -> None:
    silences = [Silence(begin, end, "why") for begin, end in spans]
    found = in_force(silences, "digits", at)
    covering = [s for s in silences if s.begins_at <= at < s.ends_at]
    assert (found is None) == (not covering)
    assert found is None or found.ends_at == max(s.ends_at for s in covering)


def test_a_rollout_silences_until_some_time_after_its_end_is_seen() -> None:
    under_way, over = Rollout("fraud", "17", "1 of 3"), Rollout("fraud", "18", "", ended_at=1000.0)
    (silence,) = of_rollout(under_way, 300.0)
    assert silence.covers("any", 1e12)
    (silence,) = of_rollout(over, 300.0)
    assert silence.covers("any", 1299.0)
    assert not silence.covers("any", 1300.0)
    assert of_rollout(Rollout("fraud", "18", ""), 300.0) == of_rollout(None, 300.0) == of_rollout(under_way, 0.0) == []


def test_a_change_of_the_model_silences_and_one_of_the_machine_does_not() -> None:
    events = [event("version"), event("device"), event("golden set"), event("digest", 150.0)]
    assert rollouts(events, 60.0) == [
        Silence(100.0, 160.0, "rollout: version v17 -> v18"),
        Silence(150.0, 210.0, "rollout: digest v17 -> v18"),
    ]
    assert rollouts(events, 0.0) == []
