"""The codec of the Open Inference Protocol as pure functions: what goes in comes out, and nothing bad comes through."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from goldwatch.probe import BadAnswer, CannotLoad, TensorSpec
from goldwatch_probes._v2_tensors import DTYPES, decode, encode_binary, encode_json, spec_of

NUMBERS = [np.dtype(dtype) for dtype in DTYPES.values() if dtype != "bytes"]
SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3)


def objects(elements: st.SearchStrategy[Any]) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.dtype(object), SHAPES, elements=elements)


def numbers(*, finite: bool) -> st.SearchStrategy[np.ndarray]:
    def of(dtype: np.dtype[Any]) -> st.SearchStrategy[np.ndarray]:
        elements = {"allow_nan": False, "allow_infinity": False} if finite and dtype.kind == "f" else None
        return hnp.arrays(dtype, SHAPES, elements=elements)

    return st.sampled_from(NUMBERS).flatmap(of)


def batches(arrays: st.SearchStrategy[np.ndarray]) -> st.SearchStrategy[dict[str, np.ndarray]]:
    return st.dictionaries(st.text(max_size=5), arrays, max_size=3)


def echo_json(body: bytes) -> bytes:
    return json.dumps({"model_name": "echo", "outputs": json.loads(body)["inputs"]}).encode()


def echo_binary(body: bytes, length: int) -> tuple[bytes, str]:
    head = echo_json(body[:length])
    return head + body[length:], str(len(head))


def assert_same(found: dict[str, np.ndarray], sent: dict[str, np.ndarray]) -> None:
    assert set(found) == set(sent)
    for name, array in sent.items():
        assert found[name].shape == array.shape
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@given(batches(numbers(finite=True) | objects(st.text(st.characters(exclude_categories=["Cs"])).map(str.encode))))
def test_json_round_trip(inputs: dict[str, np.ndarray]) -> None:
    assert_same(decode(echo_json(encode_json(inputs))), inputs)


@given(batches(numbers(finite=False) | objects(st.binary())))
def test_binary_round_trip(inputs: dict[str, np.ndarray]) -> None:
    assert_same(decode(*echo_binary(*encode_binary(inputs))), inputs)


@given(batches(numbers(finite=True)), st.data())
def test_any_cut_of_a_binary_answer_is_refused(inputs: dict[str, np.ndarray], data: st.DataObject) -> None:
    body, length = echo_binary(*encode_binary(inputs))
    with pytest.raises(BadAnswer):
        decode(body[: data.draw(st.integers(0, len(body) - 1))], length)


@given(st.binary(max_size=200), st.none() | st.text(max_size=5))
def test_garbage_is_refused(body: bytes, length: str | None) -> None:
    with pytest.raises(BadAnswer):
        decode(body, length)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(st.fixed_dictionaries({"name": JSON | st.just("y"), "datatype": st.sampled_from([*DTYPES, "BF16"]) | JSON,
                              "shape": JSON | st.just([1])}, optional={"data": JSON, "parameters": JSON}))  # fmt: skip
def test_whatever_an_output_holds_it_is_an_array_or_refused(tensor: dict[str, Any]) -> None:
    try:
        outputs = decode(json.dumps({"outputs": [tensor]}).encode())
    except BadAnswer:
        return
    assert all(isinstance(array, np.ndarray) for array in outputs.values())


@pytest.mark.parametrize("convert", [np.array, lambda v: np.array(v, dtype=object)])
def test_text_may_be_any_kind_of_string(convert: Callable[[list[str]], np.ndarray]) -> None:
    inputs = {"text": convert(["one", "zwölf"])}
    for found in (decode(echo_json(encode_json(inputs))), decode(*echo_binary(*encode_binary(inputs)))):
        assert found["text"].tolist() == [b"one", "zwölf".encode()]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([1j]), 'input "x" is complex128, which the Open Inference Protocol has no datatype for'),
        (np.array([np.nan]), "NaN or infinity, which JSON cannot carry; set `binary: true`"),
        (np.array([b"\xff"]), 'input "x" is not UTF-8 text, which JSON cannot carry; set `binary: true`'),
    ],
)
def test_inputs_that_cannot_be_sent(array: np.ndarray, message: str) -> None:
    with pytest.raises(CannotLoad, match=message):
        encode_json({"x": array})


def answer(datatype: str, shape: list[int], data: Any) -> bytes:
    return json.dumps({"outputs": [{"name": "y", "datatype": datatype, "shape": shape, "data": data}]}).encode()


@pytest.mark.parametrize(
    ("datatype", "data", "expected"),
    [
        ("FP32", [[1, 2.5]], [1, 2.5]),
        ("FP64", [1, None], [1, np.nan]),  # null is what some servers make of NaN
        ("FP16", [1e9, -1e9], [np.inf, -np.inf]),
        ("UINT64", [2**64 - 1, 1], [2**64 - 1, 1]),
        ("INT64", [-(2**63), 2**63 - 1], [-(2**63), 2**63 - 1]),
        ("BOOL", [True, False], [True, False]),
    ],
)
def test_values_as_servers_write_them(datatype: str, data: list[Any], expected: list[Any]) -> None:
    found = decode(answer(datatype, [2], data))["y"]
    np.testing.assert_array_equal(found, np.array(expected, dtype=DTYPES[datatype]))
    assert found.dtype == DTYPES[datatype]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the answer is not JSON"),
        (b'{"outputs": [', "the answer is not JSON"),
        (b"[" * 100_000, "the answer is not JSON"),
        (b"[1]", "a list and not an object"),
        (b"{}", 'no list "outputs"'),
        (b'{"outputs": [1]}', "lacks name, datatype or shape"),
        (answer("FP32", [-1], [1]), r'output "y" has shape \[-1\]'),
        (answer("FP32", [True], [1]), r'output "y" has shape \[True\]'),
        (answer("FP32", [2], [1]), r'output "y" has 1 values, its shape \[2\] needs 2'),
        (answer("FP32", [0, 10**30], []), r'output "y" has shape \[0, 1000'),
        (answer("FP32", [1], None), 'output "y" has no data'),
        (answer("FP32", [1], ["1.5"]), 'output "y" has values that are no FP32'),
        (answer("FP32", [3], [[1], [2, 3]]), 'output "y" has values that are no FP32'),
        (answer("INT8", [1], [128]), 'output "y" has values that are no INT8'),
        (answer("INT64", [1], [1.5]), 'output "y" has values that are no INT64'),
        (answer("UINT64", [2], [2**64, -1]), 'output "y" has values that are no UINT64'),
        (answer("BOOL", [1], [1]), 'output "y" has values that are no BOOL'),
        (answer("BYTES", [1], [1]), 'output "y" has values that are no BYTES'),
    ],
)
def test_answers_that_are_refused(body: bytes, message: str) -> None:
    with pytest.raises(BadAnswer, match=message):
        decode(body)


def binary_answer(datatype: str, shape: list[int], size: object, blob: bytes) -> tuple[bytes, str]:
    tensor = {"name": "y", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}
    head = json.dumps({"outputs": [tensor]}).encode()
    return head + blob, str(len(head))


@pytest.mark.parametrize(
    ("datatype", "size", "blob", "message"),
    [
        ("FP32", 8, b"1234", 'output "y" should have 8 bytes, 4 are there'),
        ("FP32", -1, b"1234", 'output "y" should have -1 bytes'),
        ("FP32", "4", b"1234", 'output "y" should have 4 bytes'),
        ("FP32", 3, b"123", 'output "y" has 3 bytes, no whole number of FP32'),
        ("FP32", 4, b"12345", "1 bytes are left after the last output"),
        ("BYTES", 3, b"\x01\x00\x00", 'output "y" ends inside a string'),
        ("BYTES", 5, b"\x02\x00\x00\x00a", 'output "y" ends inside a string'),
    ],
)
def test_binary_answers_that_are_refused(datatype: str, size: object, blob: bytes, message: str) -> None:
    with pytest.raises(BadAnswer, match=message):
        decode(*binary_answer(datatype, [1], size, blob))


@pytest.mark.parametrize("length", ["", "-1", "x", "999", "1" * 5000])
def test_a_header_length_that_cannot_be(length: str) -> None:
    with pytest.raises(BadAnswer, match="the JSON header should have"):
        decode(b"{}", length)


def test_the_metadata_gives_specs_without_batch() -> None:
    assert spec_of({"name": "x", "datatype": "FP32", "shape": [-1, 2, -1]}, {}) == TensorSpec("x", "float32", (2, -1))


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (None, "the metadata describes a tensor as None"),
        ({"name": "x"}, "the metadata describes a tensor as"),
        ({"name": "x", "datatype": "BF16", "shape": [1]}, 'tensor "x" is BF16, which numpy has no dtype for'),
        ({"name": "x", "datatype": "FP32", "shape": ["a"]}, r"tensor \"x\" has shape \['a'\] in the metadata"),
    ],
)
def test_metadata_that_is_refused(tensor: object, message: str) -> None:
    with pytest.raises(CannotLoad, match=message):
        spec_of(tensor, {})
