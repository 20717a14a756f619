"""Tensors as nested lists in JSON: what is sent is what was given, what comes is read or refused."""

import json
from contextlib import suppress
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.probe import BadAnswer, CannotLoad, Context
from goldwatch_probes import _json_tensors as tensors
from goldwatch_probes.http_template import HttpTemplate, _Filling
from goldwatch_probes.mlflow_scoring import _table
from goldwatch_probes.tensorflow_serving import TensorFlowServing, _text, _unmarked

NUMBERS = st.sampled_from(["bool", "uint8", "int8", "int32", "int64", "float16", "float32", "float64"])
FINITE = {"allow_nan": False, "allow_infinity": False}
SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, max_side=4)
TWO: dict[str, np.ndarray] = {
    "a": np.array([[1, 2], [3, 4]], dtype=np.int64),
    "b": np.array([0.5, 1.5], dtype=np.float32),
}


@given(NUMBERS.flatmap(lambda d: hnp.arrays(d, SHAPES, elements=FINITE if d.startswith("float") else None)))
def test_numbers_come_back_as_they_were_declared(values: np.ndarray) -> None:
    sent = json.loads(tensors.dump(tensors.nested("x", values)))
    found = tensors.array(sent, "x", values.dtype.name)
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


@given(hnp.arrays(object, SHAPES, elements=st.one_of(st.text(), st.binary())))
def test_text_and_bytes_come_back_through_the_mark_of_tensorflow_serving(values: np.ndarray) -> None:
    wanted = [v if isinstance(v, bytes) else v.encode() for v in values.ravel().tolist()]
    sent = json.loads(
        tensors.dump(tensors.nested("x", np.reshape(np.array([*wanted, b""], object)[:-1], values.shape), _text))
    )
    found = tensors.array(_unmarked(sent), "x", "bytes")
    assert found.shape == values.shape
    assert found.ravel().tolist() == wanted


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=12))
def test_whatever_comes_is_an_array_or_a_bad_answer(value: Any) -> None:
    for dtype in ("", "float32", "int64", "bool", "bytes"):
        with suppress(BadAnswer):
            found = tensors.outputs(value, "y", {"y": dtype})
            assert all(isinstance(array, np.ndarray) for array in found.values())


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        ([1, 2], "", "int64"),
        ([1, 2.5], "", "float64"),
        ([True], "", "bool"),
        ([["a"], ["b"]], "", "object"),
        ([1, None], "", "float64"),
        ([1, None], "float32", "float32"),
        ([2**63], "uint64", "uint64"),
        ([], "float32", "float32"),
    ],
)
def test_what_is_inferred(value: Any, dtype: str, expected: str) -> None:
    assert tensors.array(value, "y", dtype).dtype == expected


@pytest.mark.parametrize(
    ("value", "dtype"),
    [([0.5], "int64"), ([300], "uint8"), (["a"], "float32"), ([1], "bytes"), ([1], "bool"), ([{}], ""), (None, "")],
)
def test_values_that_are_something_else(value: Any, dtype: str) -> None:
    with pytest.raises(BadAnswer, match='output "y"'):
        tensors.array(value, "y", dtype)


def test_rows_and_columns() -> None:
    assert tensors.columns(TWO) == {"a": [[1, 2], [3, 4]], "b": [0.5, 1.5]}
    assert tensors.rows(TWO, named=True) == [{"a": [1, 2], "b": 0.5}, {"a": [3, 4], "b": 1.5}]
    assert tensors.rows({"b": TWO["b"]}, named=False) == [0.5, 1.5]
    with pytest.raises(CannotLoad, match="there are a, b"):
        tensors.rows(TWO, named=False)
    for layout in (tensors.rows(TWO, named=True), tensors.columns(TWO)):
        found = tensors.outputs(layout, "unused", {"b": "float32"})
        assert {name: array.tolist() for name, array in found.items()} == tensors.columns(TWO)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_json_has_no_such_number(value: float) -> None:
    with pytest.raises(CannotLoad, match="NaN or infinity"):
        tensors.dump(tensors.nested("x", np.array([value])))


def test_bytes_that_are_not_text() -> None:
    with pytest.raises(CannotLoad, match='input "x" is not UTF-8 text'):
        tensors.nested("x", np.array([b"\xff"], dtype=object))


def test_a_data_frame() -> None:
    b = TWO["b"]
    assert _table({"b": b, "c": b}, ()) == {"columns": ["b", "c"], "data": [[0.5, 0.5], [1.5, 1.5]]}
    assert _table(TWO, ()) == {"data": [[1, 2, 0.5], [3, 4, 1.5]]}
    assert _table(TWO, ("p", "q", "r"))["columns"] == ["p", "q", "r"]
    with pytest.raises(CannotLoad, match="`columns` names 1 columns, the inputs have 3"):
        _table(TWO, ("p",))
    with pytest.raises(CannotLoad, match=r'input "x" has examples of shape \[2, 2\], which no row can hold'):
        _table({"x": np.zeros((1, 2, 2))}, ())


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (
            {"a": "{a}", "b": "{b}", "n": [1, "{", "x{a}", None]},
            {"a": [[1, 2]], "b": [0.5], "n": [1, "{", "x{a}", None]},
        ),
        ({"rows": "{*}"}, {"rows": [{"a": [1, 2], "b": 0.5}]}),
        ("{*[0]}", {"a": [1, 2], "b": 0.5}),
        (["{a[0]}", "{b[0]}"], [[1, 2], 0.5]),
    ],
)
def test_a_template_is_filled_in(template: Any, expected: Any) -> None:
    filling = _Filling({name: array[:1] for name, array in TWO.items()}, {})
    assert filling.fill(template) == expected
    filling.check_all_used()


def test_nothing_is_encoded_before_it_is_open() -> None:
    context = Context(time_limit_s=1)
    with pytest.raises(CannotLoad, match="not open"):
        TensorFlowServing(TensorFlowServing.Options(url="http://h", model="m"), context).encode(TWO)
    options = HttpTemplate.Options(url="http://h", path="p", body="{*}", outputs={"y": "y"})
    with pytest.raises(CannotLoad, match="not open"):
        HttpTemplate(options, context).encode(TWO)
