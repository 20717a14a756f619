import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.worker.monitors.detector import Detector

LOG_E = st.lists(st.floats(-1e7, 3.0), min_size=2, max_size=2)
STREAMS = st.lists(LOG_E, min_size=1, max_size=20)


def detector(alpha=1e-6, parameters=(0.1, 0.2)):
    return Detector([1, 3], alpha, parameters)


def run(detector, stream, sums=None, start=0):
    sums = detector.fresh() if sums is None else sums
    for at, log_e in enumerate(stream, start):
        step = detector.update(sums, np.array(log_e), float(at))
        sums = step.sums
    return step


def through_json(detector, sums):
    restored, refused = detector.restore(json.loads(json.dumps(detector.save(sums), allow_nan=False)))
    assert refused is None
    return restored


@given(STREAMS)
def test_is_the_weighted_sum_of_the_products_from_every_start(stream):
    step = run(detector(alpha=1e-300), stream)
    logs = np.array(stream)
    starts = [logs[k:].sum(axis=0) for k in range(len(logs))]
    expected = np.logaddexp.reduce(np.logaddexp.reduce(starts, axis=0) + np.log([0.25, 0.75])) / math.log(10)
    assert step.evidence == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(STREAMS)
def test_since_is_the_start_that_maximises_the_product(stream):
    step = run(detector(alpha=1e-300), stream)
    logs = np.array(stream)
    products = np.array([logs[k:].sum(axis=0) for k in range(len(logs))]) + np.log([0.25, 0.75])
    assert products[int(step.since), step.best] == pytest.approx(products.max(), rel=1e-9, abs=1e-6)


@given(STREAMS, STREAMS)
def test_saving_and_restoring_changes_nothing(before, after):
    d = detector()
    sums = run(d, before).sums
    straight, restored = run(d, after, sums), run(d, after, through_json(d, sums))
    assert d.save(straight.sums) == d.save(restored.sums)
    assert straight.evidence == restored.evidence


def test_pages_at_the_threshold_and_starts_again():
    d = detector(alpha=0.01)
    step = run(d, [[0.0, 0.0], [5.0, 5.0]])
    assert step.paged
    assert step.evidence >= d.threshold == 2.0
    assert d.save(step.sums) == d.save(d.fresh())


def test_an_update_leaves_the_old_sums_as_they_were():
    d = detector()
    sums = run(d, [[1.0, -1.0]]).sums
    before = d.save(sums)
    d.update(sums, np.array([1.0, 1.0]), 1.0)
    assert d.save(sums) == before
    with pytest.raises(ValueError, match="read-only"):
        sums.log_m[0] = 1.0


@pytest.mark.parametrize("log_e", [1e300, -1e300, -math.inf])
def test_neither_overflows_nor_underflows(log_e):
    step = run(detector(), [[log_e, log_e]] * 3)
    assert not np.isnan(step.evidence)
    assert step.paged == (log_e > 0)


def test_refuses_sums_of_other_bets_and_says_so():
    d = detector()
    saved = d.save(run(d, [[1.0, 1.0]]).sums)
    for other in (detector(parameters=(0.1, 0.3)), Detector([1, 2], 1e-6, (0.1, 0.2))):
        sums, refused = other.restore(saved)
        assert refused == "the saved evidence belongs to another reference, tolerance or objective"
        assert other.save(sums) == other.save(other.fresh())
    assert detector(alpha=0.5).restore(saved)[1] is None  # evidence outlives a change of the budget


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "not of version 1"),
        ({"log_m": [0.0]}, "damaged"),
        ({"log_m": ["1", 2.0]}, "damaged"),
        ({"started": [math.nan, 0.0]}, "damaged"),
        ({"log_run": None}, "damaged"),
    ],
)
def test_refuses_damage(change, message):
    d = detector()
    assert message in d.restore(d.save(d.fresh()) | change)[1]
    assert "not of version 1" in d.restore([])[1]


def test_refuses_what_is_no_detector():
    with pytest.raises(ValueError, match="alpha must be between 0 and 1"):
        Detector([1], 1.0, ())
    with pytest.raises(ValueError, match="at least one bet"):
        Detector([], 0.1, ())
    with pytest.raises(ValueError, match="positive weights"):
        Detector([1, 0], 0.1, ())


def test_false_pages_keep_to_alpha_per_replay_at_the_edge_of_the_null():
    """With e-values of mean exactly 1 and runs of dependence, pages stay below alpha T; the bound is not empty."""
    random, alpha, replays, d = np.random.default_rng(0), 1 / 50, 20_000, detector(alpha=1 / 50)
    sums, pages = d.fresh(), 0
    up = 1
    for at in range(replays):
        # The size of the bet follows the past: a martingale, and anything but independent.
        bold = 0.9 if up else 0.3
        up = int(random.integers(2))
        log_e = np.log([1 + bold * (2 * up - 1), 1 + 0.2 * (2 * up - 1)])
        step = d.update(sums, log_e, float(at))
        sums, pages = step.sums, pages + step.paged
    assert 0.2 * alpha * replays < pages <= alpha * replays + 3 * math.sqrt(alpha * replays)


def test_stakes_that_sum_to_one_make_an_e_process():
    """At the edge of the null, with fair coins, the share of paths that ever pass 1/alpha is at most alpha."""
    random, d, passed = np.random.default_rng(1), Detector([1], 0.2, ()), 0
    for _ in range(300):
        sums = d.fresh()
        for k in range(1, 60):
            log_e = np.log([1.5 if random.integers(2) else 0.5])
            step = d.update(sums, log_e, 0.0, log_stake=-math.log(k * (k + 1)))
            sums = step.sums
            if step.paged:
                passed += 1
                break
    assert 0.02 < passed / 300 <= 0.2 + 3 * math.sqrt(0.2 * 0.8 / 300)
