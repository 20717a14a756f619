"""From what servers write down to rows and columns, and to the counts of the monitor."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.worker.drift import features
from goldwatch.worker.drift.clusters import Key
from goldwatch.worker.drift.features import Features, Input, golden_rows, inputs_of
from goldwatch.worker.drift.reference import compared
from goldwatch.worker.drift.rows import read
from goldwatch.worker.monitors.bands import Drift
from goldwatch.worker.monitors.drift import LiveDrift
from goldwatch.worker.monitors.live import Live

from .traffic import golden, requests, rows

INPUTS = (Input("amount", ()), Input("ratios", (2,)), Input("country", (), text=True))
ROW = {"amount": 1.5, "ratios": [0.25, 0.75], "country": "BR"}
TENSORS: list[dict[str, Any]] = [
    {"name": "amount", "shape": [2, 1], "datatype": "FP32", "data": [1.5, 2.5]},
    {"name": "ratios", "shape": [2, 2], "datatype": "FP32", "data": [[0.25, 0.75], [0, 1]]},
    {"name": "country", "shape": [2], "datatype": "BYTES", "data": ["BR", "AR"]},
]
EVENT = {"specversion": "1.0", "type": "org.kubeflow.serving.inference.request", "id": "1", "source": "x"}


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    "request_",
    [
        {"instances": [ROW]},
        {"inputs": {"amount": [1.5], "ratios": [[0.25, 0.75]], "country": ["BR"]}},
        {"inputs": [t | {"shape": [1, *t["shape"][1:]], "data": t["data"][:1]} for t in TENSORS]},
        ROW | {"request_id": "17", "timestamp": 1.0},
        EVENT | {"data": {"instances": [ROW]}},
        EVENT | {"data": json.dumps({"instances": [ROW]})},
        EVENT | {"data_base64": base64.b64encode(text(ROW)).decode()},
        {"headers": {}, "status": 200, "request": {"instances": [ROW]}},
    ],
)
def test_every_form_gives_the_same_row(request_: dict[str, Any]) -> None:
    found = read([text(request_)], INPUTS)
    assert (found.count, found.reasons) == (1, {})
    assert {name: values.tolist() for name, values in found.rows.items()} == {
        "amount": [[1.5]],
        "ratios": [[0.25, 0.75]],
        "country": ["BR"],
    }


def test_a_model_of_one_input_is_asked_without_its_name() -> None:
    one = (Input("x", (2,)),)
    tensor = {"name": "input-0", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}
    for request in ({"instances": [[1, 2], [3, 4]]}, {"inputs": [tensor]}):
        assert read([text(request)], one).rows["x"].tolist() == [[1, 2], [3, 4]]


def test_of_a_request_with_many_rows_so_many_are_taken_whenever_it_came() -> None:
    bodies = [text({"instances": [ROW | {"amount": n} for n in range(start, start + 50)]}) for start in (0, 100)]
    for most in (1, 8):
        found = read(bodies, INPUTS, most)
        assert found.count == 2 * most
        again = read(bodies[::-1], INPUTS, most)
        assert sorted(again.rows["amount"].tolist()) == sorted(found.rows["amount"].tolist())


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"\x00\xff", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[1]", "it is no JSON object"),
        (text({}), "it has neither instances nor inputs, nor a key with the name of an input"),
        (text({"instances": [[1, 2]]}), "an instance has no names of inputs, and several are watched"),
        (text(ROW | {"amount": "much"}), "input amount holds a str, expected numbers"),
        (text(ROW | {"ratios": [1, 2, 3]}), "input ratios has 3 values, expected 2"),
        (text({"inputs": {"amount": [1]}}), "input ratios has"),
        (text({"inputs": [{"name": "amount", "shape": [1]}]}), "input amount has no data in JSON"),
        (text(EVENT | {"data_base64": "?"}), "the data of the event are not base64 of JSON"),
        (text({"inputs": [{"name": "other", "shape": [1], "data": [1]}]}), "it has no input amount"),
        (text({"inputs": [{"name": ["amount"], "shape": [1], "data": [1]}]}), "it has no input amount"),
        (text({"request": "\ud800"}), "it is not JSON"),
    ],
)
def test_what_cannot_be_read_is_counted_with_the_reason(body: bytes, why: str) -> None:
    found = read([body, text(ROW)], INPUTS)
    if why.endswith("has"):
        assert found.count == 2  # an input that is left out is missing, and no mistake
        assert np.isnan(found.rows["ratios"][0]).all()
        return
    assert found.count == 1
    (said,) = found.reasons
    assert said.startswith(why)


def test_an_answer_that_is_logged_beside_its_request_is_passed_over() -> None:
    answer = EVENT | {"type": "org.kubeflow.serving.inference.response", "data": {"predictions": [1]}}
    found = read([text(answer), text(ROW)], INPUTS)
    assert (found.count, found.reasons) == (1, {})


KEYED = Key("session", 3)


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("session", *(EVENT | {"session": of, "data": {"instances": [ROW]}} for of in "ab")),
        ("session", *({"session": of, "request": {"instances": [ROW]}} for of in "ab")),
        ("session", *({"instances": [ROW], "session": of} for of in "ab")),
        ("session", *(ROW | {"session": of} for of in (1, 2))),
        ("session", *({"session": "gateway", "instances": [ROW | {"session": of}]} for of in "ab")),
        ("parameters.user", *({"inputs": TENSORS, "parameters": {"user": of}} for of in "ab")),
        ("headers.x-session-id", *({"headers": {"X-Session-Id": of}, "request": ROW} for of in "ab")),
        ("metadata.x-session-id", *(EVENT | {"metadata": f'{{"X-Session-Id":["{of}"]}}', "data": ROW} for of in "ab")),
    ],
)
def test_a_key_is_found_at_any_level_and_the_innermost_counts(key: str, one: Any, other: Any) -> None:
    found = read([text(one), text(other), text(one)], INPUTS, 1, Key(key, 3))
    assert (found.count, found.reasons, found.cut) == (3, {}, 0)
    assert found.clusters is not None
    assert found.clusters.tolist() == [0, 1, 0]


@pytest.mark.parametrize("of", [{}, {"session": None}, {"session": ""}, {"session": {}}, {"session": []}])
def test_a_row_without_the_key_is_counted_as_unreadable(of: dict[str, Any]) -> None:
    found = read([text(ROW | of), text(ROW | {"session": "secret-7"})], INPUTS, 1, KEYED)
    assert (found.count, found.reasons) == (1, {"it has no session, the key of live.clusters": 1})
    assert found.clusters is not None
    assert found.clusters.tolist() == [0]


def test_of_a_large_cluster_some_rows_are_taken_at_random_and_the_same_ones_again() -> None:
    bodies = [text(ROW | {"amount": n, "session": "a" if n < 50 else str(n)}) for n in range(60)]
    found, again = (read(bodies, INPUTS, 1, KEYED) for _ in range(2))
    assert (found.count, found.cut) == (13, 47)
    assert found.rows["amount"].tolist() == again.rows["amount"].tolist()
    assert found.clusters is not None
    assert np.bincount(found.clusters).tolist() == [3] + [1] * 10
    firsts = [read([*bodies, text(ROW | {"session": "x", "amount": n})], INPUTS, 1, KEYED) for n in range(40)]
    chosen = {amount for each in firsts for amount in each.rows["amount"][:3, 0].tolist()}
    assert len(chosen) > 25  # which ones follows from the whole window


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["instances", "inputs", "request", "data", "shape", "name", "amount", "specversion", "session", "a"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON_VALUES, max_size=6), st.sampled_from([None, KEYED, Key("session.a", 1)]))
def test_nothing_that_comes_from_outside_is_an_error(values: list[Any], key: Key | None) -> None:
    found = read([text(value) for value in values], INPUTS, key=key)
    assert all(len(column) == found.count for column in found.rows.values())
    assert key is None or (found.clusters is not None and len(found.clusters) == found.count)


def test_what_is_not_a_scalar_or_a_short_vector_is_summarised() -> None:
    image, words, code = Input("image", (4, 4)), Input("words", (), text=True), Input("code", (), text=True)
    reference = {
        "image": np.arange(32.0).reshape(2, 16),
        "words": np.array([f"text {n}" for n in range(60)], dtype=object),
        "code": np.array(["a", "b", None], dtype=object),
    }
    table = Features.of((image, words, code), reference).table(reference)
    assert list(table) == ["image mean", "image sd", "image smallest", "image largest", "words length", "code"]
    assert [float(table[f"image {what}"][1]) for what in ("mean", "smallest", "largest")] == [23.5, 16, 31]
    assert list(
        Features.of(INPUTS, {"country": reference["code"]}).table(
            {"amount": np.zeros((1, 1)), "ratios": np.zeros((1, 2)), "country": reference["code"][:1]}
        )
    ) == ["amount", "ratios[0]", "ratios[1]", "country"]


def test_of_a_large_golden_set_some_rows_are_the_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = golden(tmp_path / "golden")
    inputs = inputs_of(found)
    whole = golden_rows(found, inputs)
    monkeypatch.setattr(features, "MOST_GOLDEN_ROWS", 450)
    some = golden_rows(found, inputs)
    assert some["ratios"].shape == (450, 2)
    assert {tuple(row) for row in some["ratios"].tolist()} <= {tuple(row) for row in whole["ratios"].tolist()}
    with pytest.raises(ValueError, match="the golden set has no input 'age'; it has amount, ratios"):
        inputs_of(found, ["age"])


@pytest.fixture(scope="module")
def monitor(tmp_path_factory: pytest.TempPathFactory) -> tuple[LiveDrift, Any]:
    found = compared(golden(tmp_path_factory.mktemp("set") / "golden"), "", ())
    return LiveDrift(found.table, 1e-5, 0.05, 1, 3600.0), found


def test_what_is_counted_is_what_the_columns_count(monitor: tuple[LiveDrift, Any]) -> None:
    drift, reference = monitor
    bodies = [text(request) for request in requests(7, 300)]
    table, _ = reference.rows(bodies, 1)
    direct = rows(7, 300)
    expected = {"amount": direct["amount"], "ratios[0]": direct["ratios"][:, 0], "ratios[1]": direct["ratios"][:, 1]}
    assert isinstance(drift._drift, Drift)
    window = drift._drift.count(table)
    for column in drift.columns:
        assert window.counts[column.name].tolist() == column.kind.count(expected[column.name]).tolist()


@given(st.randoms(use_true_random=False), st.floats(-1, 1))
def test_the_order_of_rows_and_saving_between_windows_change_nothing(
    monitor: tuple[LiveDrift, Any], shuffle: Any, shift: float
) -> None:
    drift, reference = monitor
    state, other = drift.fresh(), drift.fresh()
    for seed in range(3):
        bodies = [text(request) for request in requests(seed + 20, 60, shift)]
        mixed = list(bodies)
        shuffle.shuffle(mixed)
        state, verdict = drift.update(Live(reference.rows(bodies, 1)[0], float(seed)), state, float(seed))
        restored, refused = drift.restore(json.loads(json.dumps(drift.save(other))))
        assert refused is None
        other, same = drift.update(Live(reference.rows(mixed, 1)[0], float(seed)), restored, float(seed))
        assert same == verdict
    assert drift.save(state) == drift.save(other)


def test_a_state_of_another_reference_is_refused(monitor: tuple[LiveDrift, Any], tmp_path: Path) -> None:
    drift, _ = monitor
    other = LiveDrift({"amount": rows(3, 500)["amount"]}, 1e-5, 0.05, 1, 3600.0)
    state, refused = other.restore(drift.save(drift.fresh()))
    assert refused == "the saved evidence belongs to another reference, tolerance or objective"
    assert state.at is None
