"""Answers of the Open Inference Protocol over gRPC: the outputs in them, and those that are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from goldwatch.probe import BadAnswer, TensorSpec
from goldwatch_probes._v2_answers import outputs
from goldwatch_probes._v2_proto import messages

ANSWER = messages()["ModelInferResponse"]
FIELD = "raw_output_contents"
SPECS = (TensorSpec("scores", "float32", (3,)), TensorSpec("label", "int64", ()))


def tensor(name: str, array: Any, **changed: Any) -> dict[str, Any]:
    datatype = {"float32": "FP32", "int64": "INT64", "bool": "BOOL", "float64": "FP64"}[str(array.dtype)]
    return {"name": name, "datatype": datatype, "shape": array.shape} | changed


def answer_of(kind: str, value: int) -> bytes:
    """Return an answer with values of its own, as it should be or odd in some way."""
    scores, label = np.full((1, 3), value, np.float32), np.array([value])
    declared = [tensor("scores", scores), tensor("label", label)]
    raw = [scores.tobytes(), label.tobytes()]
    more: dict[str, Any] = {}
    match kind:
        case "another version":
            more = {"model_version": str(value)}
        case "turned":
            declared, raw = declared[::-1], raw[::-1]
        case "twice":
            declared, raw = [*declared, declared[1]], [*raw, raw[1]]
        case "short":
            raw[0] = raw[0][:-4]
        case "as numbers of 64 bits":
            declared[0] = tensor("scores", scores.astype(np.float64))
            raw[0] = scores.astype(np.float64).tobytes()
        case "one raw":
            raw = raw[:1]
        case "typed":
            declared[0]["contents"] = {"fp32_contents": scores.ravel()}
            declared[1]["contents"] = {"int64_contents": label}
            raw = []
        case "two rows":
            declared = [tensor("scores", scores, shape=[2, 3]), tensor("label", label, shape=[2])]
            raw = [part * 2 for part in raw]
        case "no message":
            return b"\xff\xff"
    body: bytes = ANSWER(model_name="m", outputs=declared, raw_output_contents=raw, **more).SerializeToString()
    return body


KINDS = ["another version", "turned", "twice", "short", "as numbers of 64 bits", "one raw", "typed", "two rows"]


READ = {"right", "another version", "turned", "twice", "typed", "two rows"}


@pytest.mark.parametrize("kind", ["right", *KINDS, "no message"])
def test_an_answer_is_read_or_refused(kind: str) -> None:
    if kind not in READ:
        with pytest.raises(BadAnswer):
            outputs(ANSWER, answer_of(kind, 3), SPECS)
        return
    found = outputs(ANSWER, answer_of(kind, 3), SPECS)
    rows = 2 if kind == "two rows" else 1
    np.testing.assert_array_equal(found["scores"], np.full((rows, 3), 3, np.float32), strict=True)
    np.testing.assert_array_equal(found["label"], np.full(rows, 3), strict=True)


def test_truth_values_are_read_as_such_each_time() -> None:
    for raw in (b"\0\1", b"\2\0"):
        declared = [{"name": "yes", "datatype": "BOOL", "shape": [2]}]
        body = ANSWER(model_name="m", outputs=declared, raw_output_contents=[raw]).SerializeToString()
        found = outputs(ANSWER, body, ())["yes"]
        assert found.dtype == np.bool_
        assert found.tolist() == [bool(byte) for byte in raw]
