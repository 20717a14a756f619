import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom

from goldwatch.core.judgement import Flip, OutputDifference, SliceShare, SliceStanding
from goldwatch.worker.evaluators.agreement import Expected, difference, each_output, standings
from goldwatch.worker.evaluators.slices import Slicing, tail

NAMES = ("cat", "dog", "owl")


def outputs(classes, count=3):
    return {"logits": np.eye(count, dtype=np.float32)[classes]}


def expected(classes, labels, **changes):
    fields = {"tolerances": {}, "decision": "logits", "labels": np.array(labels), "class_names": NAMES} | changes
    return Expected(outputs(classes), **fields)


def compare(now, golden, answered=None, **changes):
    answered = np.ones(len(golden.labels), dtype=bool) if answered is None else np.array(answered)
    return difference(now, answered, golden, **changes)


def test_every_kind_of_flip():
    golden = expected([0, 0, 1, 1, 2], labels=[0, 0, 0, 2, 2])
    found = compare(outputs([0, 1, 0, 0, 2]), golden)
    assert (found.compared, found.moved, found.harmful, found.helpful, found.neutral) == (5, 3, 1, 1, 1)
    assert found.largest == 1.0
    assert found.flips == (Flip(1, "cat", "cat", "dog"), Flip(2, "cat", "dog", "cat"), Flip(3, "owl", "dog", "cat"))
    assert compare(outputs([0, 1, 0, 0, 2]), golden, listed=1).flips == found.flips[:1]


def test_each_output_is_compared_by_its_own_tolerance():
    golden = Expected(
        {"logits": np.eye(3), "box": np.zeros((3, 4)), "why": np.array(["a", "b", "c"], dtype=object)},
        tolerances={"logits": 0.1, "box": 2},
        decision="logits",
        labels=np.arange(3),
    )
    now = {"logits": np.eye(3) + 0.5, "box": np.full((3, 4), 1.5), "why": np.array([b"a", b"x", b"y"])}
    now["box"][2] = 9
    found = tuple(each_output(now, np.array([True, False, True]), golden))
    assert found == (
        OutputDifference("logits", 2, 0.5, 0.1),
        OutputDifference("box", 1, 9.0, 2),
        OutputDifference("why", 1, None, 0.0),
    )
    assert compare(now, golden).largest is None


def test_an_unanswered_example_is_neither_compared_nor_flipped():
    golden = expected([0, 1, 2], labels=[0, 1, 2])
    found = compare(outputs([1, 2, 2]), golden, answered=[True, False, True])
    assert (found.compared, found.moved, found.harmful) == (2, 1, 1)
    nothing = compare(outputs([1, 2, 0]), golden, answered=[False] * 3)
    assert (nothing.compared, nothing.moved, nothing.harmful, nothing.largest, nothing.flips) == (0, 0, 0, 0.0, ())


@given(st.lists(st.tuples(*[st.integers(0, 2)] * 3, st.booleans()), min_size=1, max_size=40))
def test_the_kinds_are_apart_and_add_up(rows):
    then, now, labels, answered = (np.array(column) for column in zip(*rows, strict=True))
    found = compare(outputs(now), expected(then, labels), answered)
    flipped = int(np.sum((then != now) & answered))
    assert found.harmful + found.helpful + found.neutral == flipped == found.moved == len(found.flips)
    gained = int(np.sum((now == labels)[answered])) - int(np.sum((then == labels)[answered]))
    assert found.helpful - found.harmful == gained


def test_tolerance_is_by_output_and_beyond_it():
    golden = Expected(
        {"logits": np.zeros((3, 2)), "boxes": np.zeros((3, 4, 5))}, {"logits": 0.1}, "logits", np.zeros(3, dtype=int)
    )
    now = {"logits": np.array([[0.1, 0], [0.11, 0], [0, 0]]), "boxes": np.zeros((3, 4, 5))}
    now["boxes"][2, 3, 4] = -1e-9
    found = compare(now, golden)
    assert (found.moved, found.largest) == (2, 0.11)


def test_unsigned_integers_do_not_wrap_and_equal_infinities_are_equal():
    golden = Expected({"out": np.array([[3, 250]], dtype=np.uint8)}, {"out": 1.0}, "out", np.array([1]))
    assert compare({"out": np.array([[4, 249]], dtype=np.uint8)}, golden).largest == 1.0
    masked = Expected({"out": np.array([[-np.inf, 1.0]])}, {}, "out", np.array([1]))
    assert compare({"out": np.array([[-np.inf, 1.0]])}, masked).moved == 0


def test_equal_outputs_go_to_the_lower_index_and_a_class_without_a_name_to_its_index():
    golden = Expected({"out": np.array([[0.0, 1.0]])}, {}, "out", np.array([1]))
    assert compare({"out": np.array([[1.0, 1.0]])}, golden).flips == (Flip(0, "1", "1", "0"),)


def test_finds_the_slice_that_the_flips_are_in():
    random, n = np.random.default_rng(0), 2000
    labels = random.integers(0, 3, n)
    country, device = (random.random(n) < 0.12).astype(int), random.integers(-1, 2, n)
    now = labels.copy()
    hit = np.flatnonzero(country == 1)[:38].tolist() + np.flatnonzero(country == 0)[:3].tolist()
    now[hit] = (labels[hit] + 1) % 3
    slices = {"country": Slicing(country, ("US", "BR")), "device": Slicing(device, ("phone", "desk"))}
    found = compare(outputs(now), expected(labels, labels, slices=slices))
    first, *others = found.where
    assert first == SliceShare("country", "BR", 38, int(np.sum(country)), beyond_chance=True, p_value=first.p_value)
    assert first.p_value is not None
    assert first.p_value < 1e-20
    assert {(s.slice, s.value) for s in others} == {("country", "US"), ("device", "phone"), ("device", "desk")}
    assert not any(s.beyond_chance for s in others)
    assert [s.p_value for s in others] == sorted(s.p_value for s in others)


def test_a_slice_that_is_all_of_the_set_is_no_finding():
    labels = np.zeros(100, dtype=int)
    slices = {"all": Slicing(np.zeros(100, dtype=int), ("yes",))}
    (all_of_it,) = compare(outputs(np.repeat([1, 0], 50)), expected(labels, labels, slices=slices)).where
    assert (all_of_it.beyond_chance, all_of_it.p_value) == (False, pytest.approx(1.0))


@given(st.integers(1, 300), st.data())
def test_the_tail_is_the_hypergeometric_distributions(population, data):
    members, draws = (data.draw(st.integers(0, population)) for _ in range(2))
    inside = data.draw(st.integers(0, min(members, draws)))
    assert tail(inside, population, members, draws) == pytest.approx(
        hypergeom.sf(inside - 1, population, members, draws), rel=1e-8, abs=1e-12
    )


def test_refuses_an_output_of_another_shape_and_a_missing_one():
    golden = expected([0], labels=[0])
    with pytest.raises(ValueError, match="output 'logits' has shape"):
        compare({"logits": np.zeros((1, 4))}, golden)
    with pytest.raises(KeyError):
        compare({}, golden)


def test_each_slice_stands_by_its_answered_examples_alone():
    right, usually = np.array([True, False, True, True]), np.array([1.0, 0.9, 0.5, 1.0])
    cuts = {"size": Slicing(np.array([0, 0, 1, -1]), ("small", "large", "huge"))}
    found = standings(right, usually, np.ones(4, dtype=bool), cuts)
    assert found == (SliceStanding("size", "small", 2, 0.5, 0.95), SliceStanding("size", "large", 1, 1.0, 0.5))
    assert standings(right, usually, np.array([True, False, False, True]), cuts) == (
        SliceStanding("size", "small", 1, 1.0, 1.0),
    )


@given(st.data())
def test_the_slices_of_a_partition_add_up_to_the_whole(data):
    n = data.draw(st.integers(1, 40))
    right, answered = (np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n))) for _ in range(2))
    codes = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    found = standings(right, right.astype(float), answered, {"cut": Slicing(codes, ("a", "b", "c", "d"))})
    assert sum(s.examples for s in found) == answered.sum()
    assert sum(s.examples * s.right for s in found) == pytest.approx((right & answered).sum())
