"""A probe as the system under test of MLPerf's own LoadGen, as it runs inside a worker.

LoadGen decides when each query is issued and how long the test lasts, by its own clock; this module is what it calls.
Requests of one example are encoded while LoadGen loads samples, which it does not time; batches are made in its time.
Answers are kept as they came and read when the test is over, unless LoadGen logs them. One request is asked after the
other, in the call that issues a query: more than that is the deployed model's affair, not the client's.
"""

from __future__ import annotations

import gc
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.load_plan import LoadPlan
from goldwatch.errors import GoldwatchError
from goldwatch.golden.opened import GoldenSet
from goldwatch.installation import install_command
from goldwatch.ipc.jobs import LOADGEN, Emit, LoadGenRequest, LoadGenResponse, LoadGenSettings, handles
from goldwatch.probe import Context, Probe, Tensors, TensorSpec, kept_as, single_output
from goldwatch.worker.load.described import described
from goldwatch.worker.load.pace import Pace
from goldwatch.worker.load.requests import Requests
from goldwatch.worker.load.timed import make_probe, mapped

MOST_FAILURES_IN_A_ROW = 10
"""After so many the test is given up: LoadGen itself would go on to the end."""

LOADED = 1024
"""So many samples, or all if there are fewer, are in memory at a time and make up a performance test."""

_WARM_UP = 100
_SAMPLES = {"SingleStream": 1, "MultiStream": 8, "Server": 1}
"""The samples of one query, as LoadGen has them by default; in Offline all samples are one query."""

_MESSAGE_LENGTH = 200

_COMPLETED_AT_ONCE = 1024
"""So many samples of a query, or all if it has fewer, are completed in one call."""

_UNREAD_BYTES = 64 << 20
"""When the answers that are not read yet take so much, they are read between two queries, in Offline two requests."""

_MEASURED_EACH = 16
"""Of so many answers, fewer if they are large, the size of the last stands for all: to measure each takes 1 µs."""

_OBJECT_BYTES = 512


@handles(LOADGEN)
def run(request: LoadGenRequest, descriptors: list[int], emit: Emit) -> LoadGenResponse:  # noqa: ARG001 - a Handler
    """Run one test. Raises GoldwatchError, and ProbeError if the target cannot be used."""
    _loadgen()
    golden = GoldenSet.open(Path(request.path))
    inputs = {location.name: mapped(location) for location in golden.input_locations()}
    decision = golden.manifest.decision
    spec = golden.manifest.outputs[decision]
    output = TensorSpec(decision, spec.kept_dtype, spec.shape)
    probe = make_probe(
        request.factory, request.options, Context(request.time_limit_s, batch_axes=golden.manifest.batch_axes)
    )
    try:
        probe.open()
        description = described(probe)
        system = System(probe, inputs, output, request.settings, description.batch)
        expected_s = system.warm_up(Pace(LoadPlan(most_per_s=request.most_per_s)))
        gc.collect()
        gc.disable()
        _test(system, request, expected_s)
        system.read_answers()
    finally:
        gc.enable()
        probe.close()
    if system.given_up is not None:
        raise GoldwatchError(system.given_up)
    return LoadGenResponse(description, system.errors, system.requests)


class System:
    """The system under test and its library of samples."""

    def __init__(
        self, probe: Probe, inputs: Tensors, output: TensorSpec, settings: LoadGenSettings, fixed_batch: int = 0
    ) -> None:
        """`fixed_batch` is the one size of batch that the model takes, 0 for any."""
        self.errors: Counter[str] = Counter()
        self.requests = 0
        self.given_up: str | None = None
        self.examples = len(next(iter(inputs.values())))
        self._probe, self._settings = probe, settings
        offline = settings.scenario == "Offline"
        # Only LoadGen knows how many samples Offline has, and so how many the last batch lacks.
        self._batches = Requests(probe, inputs, max(fixed_batch, settings.batch if offline else 0))
        in_query = settings.batch if offline else _SAMPLES[settings.scenario]
        self._has_one_query = offline
        self._load, self._in_query = LoadPlan(samples=min(settings.batch, in_query)), in_query
        self._output = (output.name, output.dtype, output.shape)
        self._keeps = settings.mode == "accuracy" or settings.audit is not None
        self._encoded: dict[int, Any] = {}
        self._failed_in_a_row = self._unreadable_in_a_row = 0
        self._unread: list[tuple[Any, int]] = []
        self._unread_bytes = self._unmeasured = 0
        self._due = 1
        """After so many answers more the size of one is looked at."""
        width = math.prod(n for n in output.shape if n > 0) * np.dtype(kept_as(output.dtype)).itemsize
        self._least_bytes = width * settings.batch  # where an answer does not show what it holds

    def warm_up(self, pace: Pace) -> float:
        """Send batches of each size that the test sends, as far apart as `pace` requires.

        Returns the fewest seconds that a sample took. Failures of the target show in the test itself.
        """
        taken = []
        for i, row in enumerate(self._load.warm_up(self._in_query, _WARM_UP)):
            size = self._load.query_examples(self._in_query, row)
            request = self._batches.encode([(i * size + k) % self.examples for k in range(size)])
            pace.wait()
            began = time.perf_counter()
            try:
                self._probe.predict(request)
            except Exception:
                break
            taken.append((time.perf_counter() - began) / size)
        return min(taken, default=1e-3)

    def load(self, samples: Sequence[int]) -> None:
        """Encode samples: outside of what is timed."""
        if self._settings.batch == 1:
            self._encoded = {index: self._batches.encode([index]) for index in samples}

    def unload(self, samples: Sequence[int]) -> None:
        """Forget samples."""
        for index in samples:
            self._encoded.pop(index, None)

    def issue(self, samples: Sequence[Any]) -> None:
        """Answer a query of LoadGen. Each sample is completed once, a failure too: LoadGen waits for all of them."""
        if self._settings.batch == 1 and not self._keeps:
            start = 0
            while start < len(samples):
                end = start + (self._due if self._has_one_query else len(samples))
                self._issue_plain(samples[start:end])
                start = end
            return
        batch = self._settings.batch
        completed: list[tuple[Any, NDArray[Any] | None]] = []
        for start in range(0, len(samples), batch):
            some = samples[start : start + batch]
            kept = None if self.given_up is not None else self._ask(some)
            completed += [(sample, None if kept is None else kept[i : i + 1]) for i, sample in enumerate(some)]
            if len(completed) >= _COMPLETED_AT_ONCE:
                _complete(completed)
                completed = []
            if self._has_one_query:
                self._make_room()
        _complete(completed)
        self._make_room()

    def _issue_plain(self, samples: Sequence[Any]) -> None:
        """Ask for one sample after the other, complete all, and only then count and keep what came.

        LoadGen's time of a query ends with its completion, so nothing else comes before it.
        """
        predict, encoded, answers = self._probe.predict, self._encoded, self._unread
        for sample in samples:
            if self.given_up is None:
                self.requests += 1
                try:
                    answers.append((predict(encoded[sample.index]), 1))
                except Exception as error:  # a failure is an observation, whatever its class
                    self._failed_in_a_row = self._failed(error, self._failed_in_a_row + 1)
                else:
                    self._failed_in_a_row = 0
        loadgen = _loadgen()
        made = loadgen.QuerySampleResponse
        loadgen.QuerySamplesComplete([made(sample.id, 0, 0) for sample in samples])
        self._unmeasured += len(samples)
        if self._unmeasured >= self._due and answers:
            size = _OBJECT_BYTES + max(_held_bytes(answers[-1][0]), self._least_bytes)
            self._unread_bytes += self._unmeasured * size
            self._unmeasured = 0
            self._make_room()
            self._due = max(1, min((_UNREAD_BYTES - self._unread_bytes) // size, _MEASURED_EACH))

    def flush(self) -> None:
        """Do nothing: no query is held back."""

    def read_answers(self) -> None:
        """Decode and check the answers that were not read yet: outside of what is timed."""
        unread, self._unread, self._unread_bytes = self._unread, [], 0
        for response, examples in unread:
            try:
                self._read(response, examples)
            except Exception as error:  # as below
                self._unreadable_in_a_row = self._failed(error, self._unreadable_in_a_row + 1)
            else:
                self._unreadable_in_a_row = 0

    def _make_room(self) -> None:
        if self._unread_bytes >= _UNREAD_BYTES:
            self.read_answers()

    def _ask(self, samples: Sequence[Any]) -> NDArray[Any] | None:
        """Ask for one batch. Returns the outputs if LoadGen logs them; None where it does not, or for a failure."""
        self.requests += 1
        try:
            if self._settings.batch == 1:
                request = self._encoded[samples[0].index]
            else:
                request = self._batches.encode([sample.index for sample in samples])
            response = self._probe.predict(request)
            found = np.ascontiguousarray(self._read(response, len(samples))) if self._keeps else None
        except Exception as error:  # a failure is an observation, whatever its class
            self._failed_in_a_row = self._failed(error, self._failed_in_a_row + 1)
            return None
        self._failed_in_a_row = 0
        if found is None:
            self._unread.append((response, len(samples)))
            self._unread_bytes += _OBJECT_BYTES + max(_held_bytes(response), self._least_bytes)
        return found

    def _read(self, response: Any, examples: int) -> NDArray[Any]:  # noqa: ANN401 - the probe's own affair
        return single_output(self._batches.decode(response, examples), *self._output, examples)

    def _failed(self, error: Exception, in_a_row: int) -> int:
        """Count a failure, the last of `in_a_row`, which is returned."""
        message = (str(error) or type(error).__name__)[:_MESSAGE_LENGTH]
        self.errors[message] += 1
        if in_a_row == MOST_FAILURES_IN_A_ROW:
            self.given_up = f"{in_a_row} requests in a row failed, the last with: {message}"
        return in_a_row


def _held_bytes(held: Any) -> int:  # noqa: ANN401 - whatever a probe answers with
    """Return about how many bytes the arrays and the texts of an answer take, wherever in it they are."""
    if (size := getattr(held, "nbytes", None)) is not None:
        return int(size)
    if isinstance(held, str | bytes | bytearray):
        return len(held)
    if isinstance(held, Mapping):
        return sum(map(_held_bytes, held.values()))
    if isinstance(held, list | tuple):
        return sum(map(_held_bytes, held))
    return sum(_held_bytes(getattr(held, part.name)) for part in fields(held)) if is_dataclass(held) else 0


def _complete(answers: Sequence[tuple[Any, NDArray[Any] | None]]) -> None:
    """Tell LoadGen that samples are answered, with the row of outputs that it is to log, or none."""
    loadgen = _loadgen()
    made = loadgen.QuerySampleResponse
    loadgen.QuerySamplesComplete(
        [
            made(sample.id, 0, 0) if row is None else made(sample.id, row.ctypes.data, row.nbytes)
            for sample, row in answers
        ]
    )


@cache
def _loadgen() -> Any:  # noqa: ANN401 - it ships no types
    try:
        import mlperf_loadgen  # noqa: PLC0415 - an extra
    except ImportError:
        raise GoldwatchError(f"MLPerf's LoadGen is not installed; {install_command('mlcommons-loadgen')}") from None
    return mlperf_loadgen


def _test(system: System, request: LoadGenRequest, expected_s: float) -> None:
    loadgen = _loadgen()
    sut = loadgen.ConstructSUT(system.issue, system.flush)
    library = loadgen.ConstructQSL(system.examples, min(LOADED, system.examples), system.load, system.unload)
    log = loadgen.LogSettings()
    log.log_output.outdir = request.output
    log.enable_trace = False
    # Without a name LoadGen takes an audit.config of the current folder, and says so nowhere.
    audit = request.settings.audit or str(Path(request.output) / "no-audit.config")
    try:
        loadgen.StartTestWithLogSettings(sut, library, _settings(loadgen, request.settings, expected_s), log, audit)
    finally:
        loadgen.DestroyQSL(library)
        loadgen.DestroySUT(sut)


def _settings(loadgen: Any, wanted: LoadGenSettings, expected_s: float) -> Any:  # noqa: ANN401 - it ships no types
    """Return LoadGen's settings; if it needs the target's speed beforehand, that comes from the warm-up."""
    made = loadgen.TestSettings()
    made.scenario = getattr(loadgen.TestScenario, wanted.scenario)
    made.mode = loadgen.TestMode.AccuracyOnly if wanted.mode == "accuracy" else loadgen.TestMode.PerformanceOnly
    made.min_duration_ms = round(1000 * wanted.min_duration_s)
    made.min_query_count = wanted.min_queries
    # From these LoadGen makes its queries beforehand; if the target is faster, it runs short of them: INVALID.
    made.single_stream_expected_latency_ns = round(5e8 * expected_s)
    made.multi_stream_samples_per_query = _SAMPLES["MultiStream"]
    made.multi_stream_expected_latency_ns = round(5e8 * expected_s * made.multi_stream_samples_per_query)
    made.offline_expected_qps = wanted.target_qps or 1.5 / expected_s
    if wanted.target_qps is not None:
        made.server_target_qps = wanted.target_qps
    if wanted.target_latency_s is not None:
        made.server_target_latency_ns = round(1e9 * wanted.target_latency_s)
    return made
