import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.worker.jobs.observed import bin_latency_s, bits, observe

LATENCIES = st.lists(st.floats(1e-6, 600), max_size=50)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=100), LATENCIES)
def test_what_was_observed_is_there_again(pairs: list[tuple[bool, bool]], latencies_s: list[float]) -> None:
    right, answered = np.array(pairs).T
    seen = observe(right, answered, len(pairs), np.array(latencies_s))
    assert bits(seen.right, seen.examples).tolist() == right.tolist()
    assert bits(seen.answered, seen.examples).tolist() == answered.tolist()
    assert sum(seen.latency.values()) == len(latencies_s)
    again = sorted(bin_latency_s(name) for name, count in seen.latency.items() for _ in range(count))
    for now, then in zip(again, sorted(latencies_s), strict=True):
        assert abs(math.log(now / then)) <= 0.5 / 25 + 1e-9


def test_a_sound_replay_is_kept_in_little() -> None:
    seen = observe(np.ones(100_000, np.bool_), np.ones(100_000, np.bool_), 100_000, np.full(100_000, 0.01))
    assert len(str(seen.to_json())) < 500


@pytest.mark.parametrize(("text", "why"), [("%", "damaged"), ("AAAA", "damaged")])
def test_damaged_bits_are_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        bits(text, 8)


def test_bits_of_another_set_are_refused() -> None:
    seen = observe(np.ones(8, np.bool_), np.ones(8, np.bool_), 8, np.ones(8))
    with pytest.raises(ValueError, match="not the bits of 600 examples"):
        bits(seen.right, 600)
