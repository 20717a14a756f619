"""A tap keeps a uniform sample of bounded size, whatever comes."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from goldwatch.config.live import Live
from goldwatch.daemon.tap import MOST_BYTES_EACH, MOST_REQUEST_BYTES, SAMPLED, Pace, Tap, Taps
from goldwatch.daemon.tap_sample import Sample

BODIES = st.lists(st.binary(max_size=60), max_size=80)


@given(BODIES, st.integers(1, 20), st.integers(60, 400), st.integers(0, 2**32))
def test_it_keeps_its_bounds_and_counts_all(bodies: list[bytes], most: int, most_bytes: int, seed: int) -> None:
    sample = Sample(most, most_bytes, random.Random(seed))
    for body in bodies:
        sample.offer(body)
        assert len(sample) <= most
        assert sample.held_bytes == sum(map(len, sample)) <= most_bytes
    assert sample.seen == len(bodies)
    assert not Counter(sample) - Counter(bodies)
    if len(bodies) <= most and sum(map(len, bodies)) <= most_bytes:
        assert Counter(sample) == Counter(bodies)


@given(BODIES, BODIES, st.integers(1, 20), st.integers(0, 2**32))
def test_two_halves_that_are_put_together_are_the_sample_of_the_whole(
    first: list[bytes], second: list[bytes], most: int, seed: int
) -> None:
    keys, again = random.Random(seed), random.Random(seed)
    whole, halves = Sample(most, 10_000, keys), [Sample(most, 10_000, again), Sample(most, 10_000, again)]
    for body in first + second:
        whole.offer(body)
    for half, bodies in zip(halves, (first, second), strict=True):
        for body in bodies:
            half.offer(body)
    halves[1].rejoin(halves[0])
    assert Counter(halves[1]) == Counter(whole)
    assert halves[1].seen == whole.seen


def test_each_request_is_as_likely_to_stay() -> None:
    kept: Counter[bytes] = Counter()
    for seed in range(2000):
        sample = Sample(5, 10_000, random.Random(seed))
        for number in range(20):
            sample.offer(b"%d" % number)
        kept.update(sample)
    assert all(400 < kept[b"%d" % number] < 600 for number in range(20))  # 500 each, of sd 19


def test_an_overload_is_bounded_in_memory_and_counted() -> None:
    taps = Taps()
    taps.enforce({f"w{number}": Live() for number in range(8)})
    tap = taps.of("w0")
    assert tap is not None
    body = b'"' + b"x" * (MOST_REQUEST_BYTES // 4 - 2) + b'"'
    for _ in range(500):
        tap.offer(body)
    tap.offer(b"x" * (MOST_REQUEST_BYTES + 1))
    taken = Tap.take(tap)
    assert not taken.bodies  # fewer of these large requests fit than a window needs: it ends by its time
    assert 1 <= taken.waiting <= 8
    small = Tap(20, 3600.0, MOST_BYTES_EACH)
    for number in range(100_000):
        small.offer(b"%d" % number)
    taken = small.take()
    assert (len(taken.bodies), taken.counts.seen) == (20 * SAMPLED, 100_000)
    assert taken.counts.sampled_out == 100_000 - 20 * SAMPLED


def test_a_window_that_was_not_judged_is_part_of_the_next_one() -> None:
    tap = Tap(3, 3600.0, clock=lambda: 100.0)
    for body in (b"1", b"2", b"3", b'{"x-goldwatch-replay": 1}'):
        tap.offer(body)
    taken = tap.take()
    tap.offer(b"4")
    tap.give_back(taken)
    again = tap.take()
    assert sorted(again.bodies) == [b"1", b"2", b"3", b"4"]
    assert (again.counts.seen, again.counts.synthetic, again.began_at) == (5, 1, 100.0)


def test_a_tap_whose_section_is_as_it_was_keeps_what_it_has() -> None:
    taps = Taps()
    taps.enforce({"a": Live(), "b": Live()})
    a, b = taps.of("a"), taps.of("b")
    taps.enforce({"a": Live(), "b": Live(requests=50), "c": Live()})
    assert taps.of("a") is a
    assert taps.of("b") is not b
    taps.enforce({"a": Live()})
    assert (taps.of("b"), taps.of("c")) == (None, None)


def test_no_more_pass_than_are_allowed_and_none_for_ever_are_too_many() -> None:
    pace = Pace(10)
    assert sum(pace.allows(0.0) for _ in range(100)) == 10
    assert sum(pace.allows(0.5) for _ in range(100)) == 5
    assert sum(pace.allows(1000.0) for _ in range(100)) == 10
