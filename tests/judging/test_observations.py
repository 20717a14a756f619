"""The requests of a replay as the judge reads them from its columns."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.core.outcome import Outcome
from goldwatch.ipc.columns import Columns, Layout
from goldwatch.worker.jobs.observations import Observations

REQUEST = st.tuples(
    st.integers(1, 50), st.integers(0, 5), st.integers(1, 9), st.sampled_from([Outcome.OK, Outcome.TIMEOUT])
)


@given(st.lists(REQUEST, max_size=30), st.sampled_from([1, 3]))
def test_the_latencies_of_an_open_load_are_in_the_order_in_which_requests_were_due(
    requests: list[tuple[int, int, int, Outcome]], samples: int
) -> None:
    """Shards are merged in the order of the examples, and were replayed side by side."""
    columns = Columns.create(Layout(samples * len(requests), ()), range(samples * len(requests)))
    for row, (due_ns, delay_ns, latency_ns, outcome) in enumerate(each for each in requests for _ in range(samples)):
        columns.sent_ns[row], columns.dispatch_delay_ns[row] = due_ns + delay_ns, delay_ns
        columns.latency_ns[row], columns.outcome[row] = latency_ns, outcome
    answered = [each for each in requests if each[3] is Outcome.OK]
    in_due_order = [delay_ns + latency_ns for _, delay_ns, latency_ns, _ in sorted(answered, key=lambda each: each[0])]
    from_sending = [latency_ns for _, _, latency_ns, _ in answered]
    for is_open, expected_ns in ((True, in_due_order), (False, from_sending)):
        found = Observations(columns, samples, is_open=is_open).latencies_s()
        assert np.array_equal(found, np.array(expected_ns) / 1e9)
    columns.close()
