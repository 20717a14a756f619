"""The conformance suite that every probe must pass.

Derive a class from `ProbeConformance`, name it `Test...`, and give it the four methods below; pytest does the rest.
An autouse fixture of the class sets on `self` what a method needs from fixtures, such as a model file in `tmp_path`.
"""

# ruff: noqa: S101, D102 - a test says what it checks by its name and its asserts

from __future__ import annotations

import copy
import dataclasses
import gc
import inspect
import os
import pickle
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldwatch.probe import (
    CannotLoad,
    Description,
    EncodesEach,
    KnowsTimes,
    NotReady,
    Probe,
    ProbeError,
    Tensors,
    Unreachable,
    dtype_name,
    example,
)

FRAMEWORKS = frozenset(
    {"ai_edge_litert", "jax", "mxnet", "onnx", "onnxruntime", "openvino", "paddle", "sklearn", "tensorflow"}
    | {"tflite_runtime", "torch", "transformers", "tritonclient", "xgboost"}
)
"""Packages that a probe may import only when a target is opened."""


class ProbeConformance:
    """The behaviour that the engine relies on in every probe."""

    rtol = 1e-5
    """Relative difference allowed between outputs that should be equal; text must be equal."""

    atol = 1e-6
    """Absolute difference allowed."""

    frameworks = FRAMEWORKS
    """Packages that importing the probe's module must not import."""

    def make_probe(self) -> Probe:
        """Return a new probe of a model that works, not open."""
        raise NotImplementedError

    def make_missing(self) -> Probe:
        """Return a new probe of a model that does not exist."""
        raise NotImplementedError

    def inputs(self) -> Tensors:
        """Return a batch of two examples or more that differ."""
        raise NotImplementedError

    def expected(self) -> Tensors:
        """Return the right outputs of that batch."""
        raise NotImplementedError

    def test_it_is_a_probe_with_documented_options(self) -> None:
        probe = self.make_probe()
        assert isinstance(probe, Probe)
        assert isinstance(type(probe).served, bool)
        assert dataclasses.is_dataclass(probe.Options)
        for field in dataclasses.fields(probe.Options):
            assert field.metadata.get("text"), f"make the option {field.name} with goldwatch.probe.option and a text"
            assert field.kw_only, f"the option {field.name} can be given by position"

    def test_secrets_are_not_shown(self) -> None:
        for field in dataclasses.fields(self.make_probe().Options):
            assert not (field.metadata["secret"] and field.repr), f"repr shows the secret {field.name}"

    def test_round_trip_gives_the_expected_outputs(self) -> None:
        with _opened(self.make_probe()) as probe:
            self.assert_equal(_answer(probe, self.inputs()), self.expected())

    def test_examples_alone_and_in_a_batch_get_the_same_answer(self) -> None:
        inputs = self.inputs()
        size = len(next(iter(inputs.values())))
        assert size >= 2, "inputs() must return two examples or more"
        with _opened(self.make_probe()) as probe:
            alone = [_answer(probe, example(inputs, i)) for i in range(size)]
        joined = {name: np.concatenate([outputs[name] for outputs in alone]) for name in alone[0]}
        self.assert_equal(joined, self.expected())

    def test_description_is_stable(self) -> None:
        with _opened(self.make_probe()) as probe:
            first = probe.describe()
            _answer(probe, self.inputs())
            assert probe.describe() == first
        with _opened(self.make_probe()) as again:
            assert again.describe() == first
        assert isinstance(first, Description)
        assert hash(first) == hash(copy.deepcopy(first))
        assert first.model

    def test_description_matches_inputs_and_outputs(self) -> None:
        with _opened(self.make_probe()) as probe:
            description = probe.describe()
            outputs = _answer(probe, self.inputs())
        if description.inputs:
            _assert_described({spec.name: spec for spec in description.inputs}, self.inputs())
        if description.outputs:
            _assert_described({spec.name: spec for spec in description.outputs}, outputs)

    def test_a_request_survives_and_can_be_repeated(self) -> None:
        inputs = self.inputs()
        before = copy.deepcopy(dict(inputs))
        with _opened(self.make_probe()) as probe:
            request = probe.encode(inputs)
            for _ in range(3):
                self.assert_equal(probe.decode(probe.predict(request)), self.expected())
        self.assert_equal(inputs, before)

    def test_a_response_outlives_the_next_request(self) -> None:
        inputs = self.inputs()
        turned = {name: array[::-1].copy() for name, array in inputs.items()}
        with _opened(self.make_probe()) as probe:
            first, second = probe.encode(inputs), probe.encode(turned)
            response = probe.predict(first)
            probe.predict(second)
            self.assert_equal(probe.decode(response), self.expected())

    def test_a_request_is_sent_and_its_answer_comes_while_it_is_waited_for(self) -> None:
        probe = self.make_probe()
        if not isinstance(probe, KnowsTimes):
            pytest.skip("the probe does not know these times")
        with _opened(probe):
            request = probe.encode(self.inputs())
            began_ns = time.monotonic_ns()
            response = probe.predict(request)
            sent_ns, came_ns = probe.times_ns(response)
            assert began_ns <= sent_ns < came_ns <= time.monotonic_ns()

    def test_requests_made_at_once_are_those_made_one_by_one(self) -> None:
        probe, inputs = self.make_probe(), self.inputs()
        if not isinstance(probe, EncodesEach):
            pytest.skip("the probe makes requests one by one")
        size = len(next(iter(inputs.values())))
        with _opened(probe):
            assert list(probe.encode_each(inputs, [])) == []
            requests = probe.encode_each(inputs, list(range(size))[::-1])
            answers = [probe.decode(probe.predict(request)) for request in requests][::-1]
            with pytest.raises(CannotLoad, match="no_such_"):
                probe.encode_each({f"no_such_{name}": array for name, array in inputs.items()}, [0])
        self.assert_equal({name: np.concatenate([a[name] for a in answers]) for name in answers[0]}, self.expected())

    def test_an_unknown_input_cannot_be_encoded(self) -> None:
        unknown = {f"no_such_{name}": array for name, array in self.inputs().items()}
        with _opened(self.make_probe()) as probe:
            if not probe.describe().inputs:
                pytest.skip("the target does not say what its inputs are")
            with pytest.raises(CannotLoad, match="no_such_"):
                probe.encode(unknown)

    def test_close_is_forgiving(self) -> None:
        probe = self.make_probe()
        probe.close()
        probe.open()
        probe.close()
        probe.close()

    def test_it_can_be_opened_again(self) -> None:
        probe = self.make_probe()
        for _ in range(2):
            with _opened(probe):
                self.assert_equal(_answer(probe, self.inputs()), self.expected())

    def test_use_after_close_is_an_error_of_the_probe(self) -> None:
        probe = self.make_probe()
        with _opened(probe):
            request = probe.encode(self.inputs())
        with pytest.raises(ProbeError):
            probe.describe()
        with pytest.raises(ProbeError):
            probe.encode(self.inputs())
        with pytest.raises(ProbeError):
            probe.predict(request)

    def test_use_before_open_is_an_error_of_the_probe(self) -> None:
        with pytest.raises(ProbeError):
            self.make_probe().describe()

    def test_a_missing_model_is_told_in_words(self) -> None:
        with closing(self.make_missing()) as probe, pytest.raises((CannotLoad, NotReady, Unreachable)) as caught:
            probe.open()
        assert str(caught.value).strip()

    def test_requests_leave_nothing_in_memory_while_the_collector_is_off(self) -> None:
        """The engine turns the garbage collector off during a replay, so that reference cycles would add up.

        Counts what code of the probe's own folder has allocated: the server may run in this process.
        """
        requests, inputs = 50, example(self.inputs(), 0)
        with _opened(self.make_probe()) as probe:
            folder = Path(inspect.getfile(type(probe))).parent
            for _ in range(20):  # caches and connections
                _answer(probe, inputs)
            gc.collect()
            gc.disable()
            tracemalloc.start()
            snapshots = []
            try:
                for _ in range(2):  # the first round also fills CPython's lists of free objects
                    for _ in range(requests):
                        _answer(probe, inputs)
                    own = [tracemalloc.Filter(True, f"{folder}/*")]
                    snapshots.append(tracemalloc.take_snapshot().filter_traces(own))
            finally:
                tracemalloc.stop()
                gc.enable()
        before, after = snapshots
        # A server in this process may keep two or three tuples a request, of 64 bytes, that were first allocated here.
        grown = [line for line in after.compare_to(before, "lineno") if line.size_diff > 200 * requests]
        assert not grown, f"memory is held after {requests} requests, allocated at {grown}"

    def test_importing_it_imports_no_framework(self) -> None:
        module = type(self.make_probe()).__module__
        code = f"import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        assert not self.frameworks & set(done.stdout.split())

    def test_nothing_is_pickled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            pytest.fail("the probe uses pickle, which runs what a file or a server says")

        for name in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler"):
            monkeypatch.setattr(pickle, name, refuse)
        with _opened(self.make_probe()) as probe:
            _answer(probe, self.inputs())

    def assert_equal(self, found: Tensors, expected: Tensors) -> None:
        """Compare outputs by name, shape and value."""
        assert set(found) == set(expected)
        for name, array in expected.items():
            assert found[name].shape == array.shape, name
            if array.dtype.kind in "SUO":
                assert found[name].tolist() == array.tolist(), name
            else:
                np.testing.assert_allclose(found[name], array, rtol=self.rtol, atol=self.atol, err_msg=name)


@contextmanager
def _opened(probe: Probe) -> Iterator[Probe]:
    try:
        probe.open()
        yield probe
    finally:
        with suppress(ProbeError):
            probe.close()


def _answer(probe: Probe, inputs: Tensors) -> Tensors:
    outputs = probe.decode(probe.predict(probe.encode(inputs)))
    assert isinstance(outputs, Mapping)
    assert all(isinstance(array, np.ndarray) for array in outputs.values())
    return outputs


def _assert_described(specs: Mapping[str, Any], arrays: Tensors) -> None:
    assert set(specs) == set(arrays)
    for name, array in arrays.items():
        spec = specs[name]
        assert dtype_name(array) == spec.dtype, name
        assert array.ndim == len(spec.shape) + 1, name
        assert all(want in (-1, got) for got, want in zip(array.shape[1:], spec.shape, strict=True)), name
