import itertools
import json
import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldwatch.core.judgement import Severity, State
from goldwatch.worker.monitors.bands import Drift, Window, scaled_tolerance
from goldwatch.worker.monitors.columns import Categories, Numbers, columns
from goldwatch.worker.monitors.places import place_bets

ALPHA = 1 / (105_120 * 4)
COUNTRIES = np.array(["BR", "DE", "IN", ""], dtype=object)


def table(rows, random, shift=0.0, brazil=0.2):
    amount = random.lognormal(0, 1, rows)
    amount[random.random(rows) < 0.02] = np.nan
    shares = [brazil, 0.5, 0.78 - brazil - 0.3, 0.02]
    shares[2] = 1 - sum(shares) + shares[2]
    return {
        "age": random.normal(shift, 1, rows),
        "amount": amount,
        "visits": random.poisson(1.5, rows),
        "country": random.choice(COUNTRIES, rows, p=shares),
    }


@pytest.fixture(scope="module")
def drift():
    return Drift(columns(table(10_000, np.random.default_rng(0))), ALPHA)


def run(monitor, windows, state=None, start=0):
    state, verdicts = monitor.fresh() if state is None else state, []
    for at, window in enumerate(windows, start):
        state, verdict = monitor.update(window, state, float(at))
        verdicts.append(verdict)
    return state, verdicts


def windows(monitor, count, seed, **changes):
    random = np.random.default_rng(seed)
    return [monitor.count(table(200, random, **changes)) for _ in range(count)]


def test_steady_drift_and_recovery(drift):
    state, verdicts = run(drift, windows(drift, 500, 1))
    assert State.ALERTING not in {verdict.state for verdict in verdicts}
    state, verdicts = run(drift, windows(drift, 12, 2, shift=0.5), state, 500)
    assert verdicts[-1].state is State.ALERTING
    assert verdicts[-1].severity is Severity.TICKET
    assert verdicts[-1].since == 500
    assert verdicts[-1].summary.startswith("age: ")
    _, verdicts = run(drift, windows(drift, 60, 3), state, 512)
    assert State.RECOVERED in {verdict.state for verdict in verdicts}


def test_a_shift_of_a_whole_column_is_told_by_the_mean_place(drift):
    _, verdicts = run(drift, windows(drift, 60, 10, shift=0.15))
    assert verdicts[-1].state is State.ALERTING
    first = next(verdict for verdict in verdicts if verdict.state is State.ALERTING)
    assert first.summary.startswith("age: the 200 rows are at percentile 5")
    assert first.summary.endswith(" in the reference")


@given(st.lists(st.lists(st.integers(0, 10), min_size=2, max_size=2), min_size=1, max_size=8))
def test_the_mean_is_at_most_one_wherever_the_rows_are(drift, pairs):
    """Each row is at one of two places, missing ones included, as likely: all outcomes, at the edge of the null."""
    column, offset = drift.columns[0], drift._offsets[0]
    places = column.kind.places
    mean = float(np.mean([places[pair].mean() for pair in map(np.array, pairs)]))
    if not 0.01 < mean < 0.99:
        return
    bets = place_bets(column, offset, np.full(2, mean), np.array([mean / 2, (1 + mean) / 2]))
    total = np.zeros(2)
    for outcome in itertools.product(*pairs):
        inside = np.bincount(outcome, minlength=11)
        counts = np.zeros(drift._offsets[-1])
        counts[offset : offset + 9] = np.cumsum(inside[:9])
        counts[offset + len(column.usual) - 1] = inside[10]
        total += np.exp(bets.log_e(len(pairs), counts)) / 2 ** len(pairs)
    assert np.all(total <= 1 + 1e-9)


def test_the_band_of_the_mean_place_holds_it():
    random, missed = np.random.default_rng(11), 0
    for seed in range(200):
        (column,) = columns({"normal": random.normal(0, 1, 1000)}, seed)
        assert isinstance(column.kind, Numbers)
        assert column.place is not None
        truth = np.mean([math.erfc(-edge / math.sqrt(2)) / 2 for edge in column.kind.deciles])
        missed += not column.place.low <= truth <= column.place.high
        assert column.place.high - column.place.low < 0.12
    assert missed <= 200 * 0.03


def test_a_categorical_column_drifts_too(drift):
    _, verdicts = run(drift, windows(drift, 12, 4, brazil=0.45))
    assert verdicts[-1].state is State.ALERTING
    assert verdicts[-1].summary.startswith("country: ")


def test_a_new_category_and_missing_values_are_cells(drift):
    new, missing = windows(drift, 1, 5)[0], windows(drift, 1, 5)[0]
    new.counts["country"][:] = [40, 60, 40, 57, 3]
    missing.counts["amount"][-1] = 100
    assert run(drift, [new] * 3)[1][-1].summary.startswith("country: 28.5% of 200 rows of another category")
    assert run(drift, [missing] * 3)[1][-1].summary.startswith("amount: 50.0% of 200 rows missing")


@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=12), st.integers(1, 4))
def test_the_mean_is_at_most_one_for_rows_of_unequal_shares_within_the_band(drift, shares, cluster):
    """Rows whose chances differ, their mean at either edge of each cell's band, in clusters that are one."""
    monitor = Drift(drift.columns, ALPHA, cluster=cluster)
    for bet in range(0, len(monitor._bets), 17):
        null = monitor._bets[bet].null
        up = monitor._bets[bet].alternative > null
        mean = float(np.mean(shares))
        chances = [p * min(1.0, null / mean) if up else 1 - (1 - p) * min(1.0, (1 - null) / (1 - mean)) for p in shares]
        pmf = np.ones(1)
        for p in chances:
            pmf = np.convolve(pmf, [1 - p, p])
        counts = np.zeros((len(pmf), monitor._offsets[-1]))
        # A row is in the cell or not; or, where the bet is on places, at or below all deciles or above them.
        cell, offset = monitor._bets[bet].cell, monitor._offsets[monitor._bets[bet].column]
        inside = slice(offset, offset + 9) if cell is None else slice(offset + cell, offset + cell + 1)
        counts[:, inside] = np.arange(len(pmf))[:, np.newaxis] * cluster
        e = np.exp(monitor.log_e(len(shares) * cluster, counts)[:, bet])
        assert pmf @ e <= 1 + 1e-9


@given(st.integers(1, 199))
@settings(max_examples=20)
def test_a_window_is_the_product_of_its_parts(drift, cut):
    rows = table(200, np.random.default_rng(6))
    parts = [{name: values[part] for name, values in rows.items()} for part in (slice(cut), slice(cut, None))]
    logs = [drift.log_e(window.rows, drift._counts(window)) for window in map(drift.count, [rows, *parts])]
    assert logs[0] == pytest.approx(logs[1] + logs[2], rel=1e-9, abs=1e-9)


@given(st.integers(0, 12))
@settings(max_examples=10)
def test_saving_and_restoring_changes_nothing(drift, cut):
    found = windows(drift, 12, 7, shift=0.4)
    before, _ = run(drift, found[:cut])
    restored, refused = drift.restore(json.loads(json.dumps(drift.save(before), allow_nan=False)))
    assert refused is None
    (end, straight), (other, again) = (run(drift, found[cut:], state) for state in (before, restored))
    assert straight == again
    assert drift.save(end) == drift.save(other)


def test_a_tolerated_shift_is_none():
    monitor = Drift(columns(table(10_000, np.random.default_rng(0))), ALPHA, tolerance=0.05)
    _, verdicts = run(monitor, windows(monitor, 500, 8, shift=0.1))
    assert State.ALERTING not in {verdict.state for verdict in verdicts}


def test_the_bands_hold_the_shares_that_made_them():
    """Over many references of a column with ties: at an error of 1 %, hardly one misses any of its shares."""
    random, missed = np.random.default_rng(9), 0
    truth = np.cumsum([math.exp(-1.5) * 1.5**k / math.factorial(k) for k in range(30)])
    for seed in range(200):
        (column,) = columns({"visits": random.poisson(1.5, 600)}, seed)
        assert isinstance(column.kind, Numbers)
        deciles = len(column.kind.deciles)
        shares = truth[column.kind.deciles.astype(int)]
        missed += bool(np.any((shares < column.low[:deciles]) | (shares > column.high[:deciles])))
    assert missed <= 200 * 0.03


def test_a_long_text_among_categories_costs_its_own_length_and_no_more():
    values = np.array(["x" * 2**20, *["a"] * 199], dtype=object)
    tracemalloc.start()
    counts = Categories(("a", "b")).count(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert counts.tolist() == [199, 0, 1, 0]
    assert peak < 2**22


def test_cells_of_categories():
    kind = Categories(("a", "b"))
    assert kind.count(np.array(["a", "c", None, "", "a"], dtype=object)).tolist() == [2, 0, 1, 2]
    assert kind.cells == ("equal to 'a'", "equal to 'b'", "of another category", "missing")
    numbers = Numbers.of(np.repeat([1.0, 2.0, 5.0], [200, 100, 1]))
    assert numbers.cells == (
        *("at most 1", "at most 2", "at most 5", "below 1", "below 2", "equal to 1", "equal to 2"),
        *("above 1 and at most 2", "above 2 and at most 5", "missing"),
    )
    assert numbers.count(np.array([0, 1, 1.5, 3, np.nan])).tolist() == [2, 3, 4, 1, 3, 1, 0, 1, 1, 1]


def test_a_whole_number_is_one_category_in_any_notation():
    kind = columns({"code": np.array([1, 2.0, "3", "007", "1.10"] * 100, dtype=object)})[0].kind
    assert isinstance(kind, Categories)
    assert kind.names == ("007", "1", "1.10", "2", "3")
    live = np.array(["1", 1.0, 1, "1.0", "2.00", 7, "1.1", True], dtype=object)
    assert kind.count(live).tolist() == [0, 4, 0, 1, 0, 3, 0]


@st.composite
def references(draw):
    """Draw a column [2000] of any kind: a part of it continuous, and up to six values that many rows share."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    atoms = draw(st.lists(st.integers(-50, 50), max_size=6, unique=True))
    loose = 0 if len(atoms) and draw(st.booleans()) else draw(st.integers(1, 2000))
    values = random.lognormal(0, draw(st.floats(0.1, 3)), 2000)
    if atoms:
        values = np.where(np.arange(2000) < loose, values, random.choice(atoms, 2000, p=weights_of(random, len(atoms))))
    return random.permutation(values)


def weights_of(random, count):
    weights = random.random(count) + 0.02
    return weights / weights.sum()


def moves_of(kind, values):
    """Yield what may happen to a column: rows [n] that may move, where to, and the cell that gains or loses them."""
    cells = {words: cell for cell, words in enumerate(kind.cells)}
    deciles, outer = len(kind.deciles), len(kind.outer)
    below, equal = deciles + outer, deciles + outer + len(kind.lowest)
    everything = np.full(len(values), True)
    nested = np.concatenate([kind.deciles, kind.outer])
    yield everything, kind.edges[0] - 1e6, below + int(np.argmin(kind.lowest))
    yield everything, kind.edges[-1] + 1e6, int(np.argmax(nested))
    yield everything, np.nan, cells["missing"]
    for number, atom in enumerate(kind.atoms):
        yield values == atom, np.nextafter(atom, -np.inf), below + kind.lowest.tolist().index(atom)
        yield values == atom, np.nextafter(atom, np.inf), nested.tolist().index(atom)
        yield values != atom, atom, equal + number
    for number, edge in enumerate(nested):
        yield values <= edge, np.nextafter(edge, np.inf), number
        yield values > edge, edge, number
    for number, (low, high) in enumerate(itertools.pairwise(kind.edges)):
        inside = (values > low) & (values <= high)
        yield ~inside, (low + high) / 2 if (low + high) / 2 > low else high, equal + len(kind.atoms) + number


@given(references(), st.data(), st.sampled_from([0.0, 0.02, 0.05]), st.floats(0.005, 0.3))
@settings(max_examples=40, deadline=None)
def test_whatever_moves_more_than_the_band_and_the_tolerance_is_noticed(values, data, tolerance, more):
    """Proposition (i) to (iv): to beyond the smallest or largest value, off or onto an atom, over an edge, between."""
    (column,) = columns({"c": values})
    monitor = Drift([column], ALPHA, tolerance)
    movable, to, cell = data.draw(st.sampled_from(list(moves_of(column.kind, values))))
    usual = float(column.kind.count(values)[cell]) / len(values)
    band = max(column.high[cell] - usual, usual - column.low[cell])
    least = band + scaled_tolerance(float(column.usual[cell]), tolerance)
    # A bet on the mildest alternative grows from halfway to it on.
    count = math.ceil((least + 0.011 + more) * len(values))
    (rows,) = np.nonzero(movable)
    if count > len(rows):
        return  # there is not enough to move
    live = values.copy()
    live[rows[:count]] = to
    state = monitor.fresh()
    for window in range(2000):
        state, verdict = monitor.update(monitor.count({"c": live}), state, float(window))
        if verdict.state is State.ALERTING:
            return
    raise AssertionError(f"{count} of {len(values)} rows moved to {to}: {column.kind.cells[cell]}")


@pytest.mark.parametrize("constant", [1.0, "BR", 0.0, -1.5])
def test_a_constant_column_is_watched(constant):
    """A few rows of any other value are a change, on either side of it."""
    text = isinstance(constant, str)
    values = np.full(2000, constant, dtype=object if text else np.float64)
    monitor = Drift(columns({"c": values}), ALPHA, tolerance=0.05)
    for other in ("DE", None) if text else (constant - 1e9, constant + 1e-9, math.nan, math.inf, -math.inf):
        live = values[:200].copy()
        live[:10] = other
        _, verdicts = run(monitor, [monitor.count({"c": live})] * 12)
        assert verdicts[-1].state is State.ALERTING, other


def test_a_column_that_is_all_missing_can_be_watched():
    (column,) = columns({"empty": np.full(500, np.nan)})
    monitor = Drift([column], ALPHA)
    _, verdicts = run(monitor, [monitor.count({"empty": np.zeros(200)})] * 3)
    assert verdicts[-1].state is State.ALERTING


def test_refuses_what_does_not_fit(drift):
    ragged: dict[str, Any] = {"a": np.zeros(500), "b": np.zeros(400)}
    for rows in (ragged, {"a": np.zeros(100)}, {}):
        with pytest.raises(ValueError, match="columns of one length, at least 400 rows"):
            columns(rows)
    with pytest.raises(ValueError, match="no counts"):
        drift.update(Window(10, {}), drift.fresh(), 0.0)
    window = windows(drift, 1, 0)[0]
    with pytest.raises(ValueError, match="impossible for 3 rows"):
        drift.update(Window(3, window.counts), drift.fresh(), 0.0)
    with pytest.raises(ValueError, match="cannot be watched"):
        Drift(drift.columns, ALPHA, tolerance=1.0)
    with pytest.raises(ValueError, match="could be distinguished from its band"):
        Drift([], ALPHA)
