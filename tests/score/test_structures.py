"""Distances of JSON answers: laws, and values by hand."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.probe import BadAnswer, single_output
from goldwatch.worker.evaluators.structures import distance, largest_difference, read

LEAVES = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=3)
VALUES: Any = st.recursive(
    LEAVES, lambda each: st.lists(each, max_size=4) | st.dictionaries(st.sampled_from("abc"), each, max_size=3)
)


@given(VALUES, VALUES, st.sampled_from([0.0, 0.5]))
def test_a_distance_is_one(a: Any, b: Any, tolerance: float) -> None:
    assert distance(a, a, tolerance) == 0
    assert 0 <= distance(a, b, tolerance) <= 1
    assert distance(a, b, tolerance) == pytest.approx(distance(b, a, tolerance))
    largest = largest_difference(a, b)
    assert (distance(a, b, tolerance) == 0) == (largest is not None and largest <= tolerance)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0], [3.0, 4.0]], 1 / 2),
        ([[3.0, 4.0]], [[1.0, 2.0], [3.0, 4.0]], 1 / 2),  # aligned, not by place
        (["a", "b", "c"], ["a", "c"], 1 / 3),
        ([7, 8, 9], [7, 9], 2 / 3),  # numbers alone: by place
        ([10_001], [10_002], 1),  # tokens
        ([1.0], [3.0], 0.5),
        ({"label": "cat", "box": [1.0]}, {"label": "dog", "box": [1.0]}, 1 / 2),
        ({"a": 1}, {}, 1),
        ([0] * 100, [0] * 99 + [1], 1 / 100),
        ([], [], 0),
        ("a", "b", 1),
        (True, 1, 1),
    ],
)
def test_distances_by_hand(a: Any, b: Any, expected: float) -> None:
    assert distance(a, b, 0) == pytest.approx(expected)


def test_answers_are_kept_as_json() -> None:
    boxes = [np.array([[0.1, 2]], np.float32), np.zeros((0, 4)), [{"box": np.arange(2)}], "[1]", b"cat"]
    ragged = np.empty(5, object)
    ragged[:] = boxes
    kept = single_output({"boxes": ragged}, "boxes", "J40", (), 5)
    assert kept.tolist() == [b"[[0.1, 2.0]]", b"[]", b'[{"box": [0, 1]}]', b"[1]", b"cat"]
    assert list(map(read, kept.tolist())) == [[[0.1, 2.0]], [], [{"box": [0, 1]}], [1], "cat"]
    array = single_output({"boxes": np.ones((1, 2, 3), np.float32)}, "boxes", "J40", (), 1)
    assert read(array[0]) == np.ones((2, 3)).tolist()


@pytest.mark.parametrize("text", ["[NaN]", '{"a": -Infinity}', "[1e999]", f"[{'9' * 301}]", f"[{'9' * 5000}]"])
def test_numbers_that_cannot_be_compared_are_text(text: str) -> None:
    assert read(text.encode()) == text
    assert distance(read(text), read("[1.0]"), 0.5) == 1
    assert distance(read("[1.0]"), read(text), 0.5) == 1


def test_the_longest_integers_are_compared() -> None:
    assert distance(read(f"[{'9' * 300}]"), read("[1.5]"), 0.5) == pytest.approx(1)
    assert single_output({"a": np.array(["NaN and more"], object)}, "a", "J40", (), 1).tolist() == [b"NaN and more"]


def test_long_lists_of_lists_of_numbers_are_compared_by_place_within() -> None:
    a = [[float(i + j) for j in range(64)] for i in range(8)]
    assert distance(a, a[1:], 0) == pytest.approx(1 / 8)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (np.full((1, 1), np.nan), "contains NaN or infinity"),
        (np.ones((2, 1)), "has 2 values, expected one for each of 1 examples"),
        (np.ones((1, 99)), "has more than the 40 bytes"),
        ([{1, 2}], "holds set, which is no JSON"),
        (["[1, NaN]"], "contains NaN or infinity"),
        ([b"-Infinity"], "contains NaN or infinity"),
        (["[1e999]"], "contains NaN or infinity"),
    ],
)
def test_values_that_are_no_json(values: Any, problem: str) -> None:
    with pytest.raises(BadAnswer, match=problem):
        single_output({"boxes": values}, "boxes", "J40", (), 1)


def test_long_nested_answers_are_compared_place_by_place() -> None:
    polygons = [[[float(x), float(y)] for x in range(40)] for y in range(40)]
    assert distance(polygons[1:], polygons, 0) == distance(polygons[1:], polygons, 0, aligned=False)
    few = [polygon[:20] for polygon in polygons[:3]]
    assert distance(few[1:], few, 0) == pytest.approx(1 / 3)
    assert distance(few[1:], few, 0, aligned=False) > 0.34


def test_whole_numbers_longer_than_a_float_are_told_apart() -> None:
    assert distance(2**53 + 1, 2**53, 0) == 1
    assert largest_difference(2**53 + 1, 2**53) == 1


def test_huge_numbers_have_a_distance() -> None:
    assert distance(1e308, 1.5e308, 0) == pytest.approx(0.2)
