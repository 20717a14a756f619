"""Answers over gRPC that differ in their values alone are read without parsing; what is read is the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.probe import BadAnswer, TensorSpec
from goldwatch_probes._proto import Mould, parsed
from goldwatch_probes._v2_answers import Answers
from goldwatch_probes._v2_proto import messages

ANSWER = messages()["ModelInferResponse"]
FIELD = "raw_output_contents"
SPECS = (TensorSpec("scores", "float32", (3,)), TensorSpec("label", "int64", ()))

LENGTHS = st.lists(st.integers(0, 200), min_size=1, max_size=3)


def message_of(values: list[bytes], version: str = "1") -> bytes:
    body: bytes = ANSWER(model_name="m", model_version=version, raw_output_contents=values).SerializeToString()
    return body


@given(st.data(), LENGTHS)
def test_a_filled_mould_is_the_message_of_these_values(data: st.DataObject, lengths: list[int]) -> None:
    first, second = ([data.draw(st.binary(min_size=n, max_size=n)) for n in lengths] for _ in range(2))
    mould = Mould.of(ANSWER, FIELD, message_of(first))
    assert mould is not None
    assert mould.filled(second) == message_of(second)
    assert mould.fits(message_of(second))
    assert [message_of(second)[at : at + n] for at, n in zip(mould.offsets, lengths, strict=True)] == second


@given(st.data(), st.lists(st.binary(max_size=4), min_size=1, max_size=3))
def test_whatever_fits_differs_in_the_values_alone(data: st.DataObject, values: list[bytes]) -> None:
    whole = message_of(values)
    mould = Mould.of(ANSWER, FIELD, whole)
    assert mould is not None
    changed = bytearray(whole)
    for at in data.draw(st.sets(st.integers(0, len(whole) - 1), max_size=3)):
        changed[at] = data.draw(st.integers(0, 255))
    if mould.fits(bytes(changed)):
        expected = ANSWER(model_name="m", model_version="1")
        getattr(expected, FIELD).extend(
            bytes(changed[at : at + len(value)]) for at, value in zip(mould.offsets, values, strict=True)
        )
        assert parsed(ANSWER, bytes(changed)) == expected


@pytest.mark.parametrize(
    "body",
    [
        message_of([]),
        message_of([b"abcd"]) + ANSWER(model_name="later").SerializeToString(),
        message_of([b"abcd"]) + b"\x7a\x06" + message_of([b"abcd"])[-6:],  # a field unknown to us, 15, that looks so
    ],
)
def test_there_is_no_mould_unless_the_values_come_last(body: bytes) -> None:
    assert Mould.of(ANSWER, FIELD, body) is None


def test_an_answer_that_is_no_message_has_no_mould() -> None:
    with pytest.raises(BadAnswer, match="no message of the protocol"):
        Mould.of(ANSWER, FIELD, b"\xff")


def tensor(name: str, array: Any, **changed: Any) -> dict[str, Any]:
    datatype = {"float32": "FP32", "int64": "INT64", "bool": "BOOL", "float64": "FP64"}[str(array.dtype)]
    return {"name": name, "datatype": datatype, "shape": array.shape} | changed


def answer_of(kind: str, value: int) -> bytes:
    """Return an answer with values of its own, as it should be or odd in some way."""
    scores, label = np.full((1, 3), value, np.float32), np.array([value])
    outputs = [tensor("scores", scores), tensor("label", label)]
    raw = [scores.tobytes(), label.tobytes()]
    more: dict[str, Any] = {}
    match kind:
        case "another version":
            more = {"model_version": str(value)}
        case "turned":
            outputs, raw = outputs[::-1], raw[::-1]
        case "twice":
            outputs, raw = [*outputs, outputs[1]], [*raw, raw[1]]
        case "short":
            raw[0] = raw[0][:-4]
        case "as numbers of 64 bits":
            outputs[0] = tensor("scores", scores.astype(np.float64))
            raw[0] = scores.astype(np.float64).tobytes()
        case "one raw":
            raw = raw[:1]
        case "typed":
            outputs[0]["contents"] = {"fp32_contents": scores.ravel()}
            outputs[1]["contents"] = {"int64_contents": label}
            raw = []
        case "two rows":
            outputs = [tensor("scores", scores, shape=[2, 3]), tensor("label", label, shape=[2])]
            raw = [part * 2 for part in raw]
        case "no message":
            return b"\xff\xff"
    body: bytes = ANSWER(model_name="m", outputs=outputs, raw_output_contents=raw, **more).SerializeToString()
    return body


KINDS = ["another version", "turned", "twice", "short", "as numbers of 64 bits", "one raw", "typed", "two rows"]


def read(answers: Answers, body: bytes) -> Any:
    try:
        return answers.outputs(body)
    except BadAnswer as error:
        return str(error)


@given(st.lists(st.one_of(st.just("right"), st.sampled_from([*KINDS, "no message"])), min_size=1, max_size=12))
def test_answers_read_after_one_another_are_those_read_alone(kinds: list[str]) -> None:
    together = Answers(ANSWER, SPECS)
    for value, kind in enumerate(kinds):
        body = answer_of(kind, value)
        found, alone = read(together, body), read(Answers(ANSWER, SPECS), body)
        if isinstance(alone, str):
            assert found == alone
            continue
        assert list(found) == list(alone)
        for name, expected in alone.items():
            np.testing.assert_array_equal(found[name], expected, strict=True)


def test_of_answers_that_are_alike_only_the_first_is_parsed() -> None:
    made: list[Any] = []

    def message(**fields: Any) -> Any:
        made.append(fields)
        return ANSWER(**fields)

    answers = Answers(message, SPECS)
    answers.outputs(answer_of("right", 1))
    before = len(made)
    for value in range(2, 5):
        assert answers.outputs(answer_of("right", value))["label"].tolist() == [value]
    assert len(made) == before
    answers.outputs(answer_of("another version", 5))
    assert len(made) == before + 1


def test_truth_values_are_read_as_such_each_time() -> None:
    answers = Answers(ANSWER, ())
    for raw in (b"\0\1", b"\2\0"):
        outputs = [{"name": "yes", "datatype": "BOOL", "shape": [2]}]
        body = ANSWER(model_name="m", outputs=outputs, raw_output_contents=[raw]).SerializeToString()
        found = answers.outputs(body)["yes"]
        assert found.dtype == np.bool_
        assert found.tolist() == [bool(byte) for byte in raw]
