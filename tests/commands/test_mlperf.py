"""`goldwatch mlperf`: the real LoadGen over real models."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from typer.testing import CliRunner

from goldwatch.cli.app import app
from goldwatch.commands import mlperf
from goldwatch.errors import GoldwatchError
from goldwatch.golden.freeze import freeze
from goldwatch.ipc.jobs import LoadGenSettings
from goldwatch.ipc.judging_jobs import AccuracyRequest
from goldwatch.probe import Probe, Tensors, TensorSpec
from goldwatch.worker.jobs.accuracy import accuracy
from goldwatch.worker.load import loadgen

from tests.digits_server import digits, target
from tests.language_server import golden_capitals, language_server

pytestmark = pytest.mark.slow

DIGITS = Path(__file__).parents[2] / "agent/goldwatch/demo/digits"
SOUND = f"{{probe: onnx-runtime, file: {DIGITS}/digits.onnx, threads: 1}}"
SHORT = ["--min-duration", "200ms", "--min-queries", "100"]

SUMMARY = """\
================================================
MLPerf Results Summary
================================================
SUT name : PySUT
Scenario : SingleStream
Mode     : PerformanceOnly
90.0th percentile latency (ns) : 12543
Result is : INVALID
  Min duration satisfied : NO
  Min queries satisfied : Yes
  Early stopping satisfied: Yes
Recommendations:
 * Decrease the expected latency so the loadgen pre-generates more queries.
Early Stopping Result:
 * Processed at least 64 queries (601).

================================================
Additional Stats
================================================
QPS w/o loadgen overhead        : 21793.14
"""


def config(folder: Path, section: str) -> Path:
    file = folder / "goldwatch.yaml"
    rest = f"golden: {{digits: {DIGITS}/golden}}\nwatches: {{digits: {{}}}}\n"
    file.write_text(f"targets:\n  digits: {section}\n{rest}")
    return file


def run(folder: Path, target: str, scenario: str, *options: str) -> tuple[int, str, Path]:
    """Run the command; return its exit code, what it printed, and the folder of LoadGen's logs."""
    command = [
        "mlperf",
        str(config(folder, target)),
        "--scenario",
        scenario,
        "--output",
        str(folder / "logs"),
        *options,
    ]
    done = CliRunner().invoke(app, command)
    return done.exit_code, done.output, folder / "logs/digits/digits"


@pytest.mark.parametrize("scenario", ["SingleStream", "MultiStream", "Server", "Offline"])
def test_the_verdict_is_that_of_loadgens_own_summary(tmp_path: Path, scenario: str) -> None:
    code, said, logs = run(tmp_path, SOUND, scenario, *SHORT, "--target-qps", "200", "--batch", "4")
    summary = (logs / "mlperf_log_summary.txt").read_text()
    assert f"Scenario : {scenario}" in summary
    assert code == (0 if "Result is : VALID" in summary else 1), said
    assert ("VALID" if code == 0 else "INVALID") in said.split()
    assert (logs / "mlperf_log_detail.txt").stat().st_size > 0
    assert str(logs) in said


def test_a_latency_that_cannot_be_met_is_invalid(tmp_path: Path) -> None:
    code, said, _ = run(tmp_path, SOUND, "Server", *SHORT, "--target-qps", "500", "--target-latency", "1us")
    assert code == 1
    assert "LoadGen says                    INVALID" in said
    assert "because                         Performance constraints satisfied: NO" in said


def test_a_budget_bounds_the_rate_that_may_be_asked_for(tmp_path: Path) -> None:
    target = SOUND[:-1] + ", at_most: 2000 per second}"
    code, said, _ = run(tmp_path, target, "Server", *SHORT, "--target-qps", "2001")
    assert code == 2
    assert "`at_most` allows 2000 per second, --target-qps is 2001; lower it" in said
    code, said, _ = run(tmp_path, target, "Server", *SHORT, "--target-qps", "1000")
    assert code in (0, 1)
    assert "LoadGen says" in said


def test_a_busy_target_is_not_tested(tmp_path: Path) -> None:
    (tmp_path / "cpu.pressure").write_text("some avg10=50.00 avg60=0.00 avg300=0.00 total=1\n")
    target = SOUND[:-1] + f", busy: {{pressure: {tmp_path}/cpu.pressure, above: 20%, wait: 0s}}}}"
    code, said, logs = run(tmp_path, target, "SingleStream", *SHORT)
    assert code == 2
    assert f"goldwatch stepped back: {tmp_path}/cpu.pressure is 0.5, above 0.2" in said
    assert not list(logs.iterdir())


@pytest.mark.parametrize("scenario", ["SingleStream", "Server"])
def test_a_target_that_becomes_busy_in_the_middle_ends_the_test(tmp_path: Path, scenario: str) -> None:
    with digits() as server:
        server.busy_after = 300  # the warm-up before the test is 100
        busy = f"busy: {{metrics: {server.url}/metrics, metric: pending_requests, above: 5, wait: 0s}}"
        options = ["--min-duration", "10m", "--min-queries", "1", "--target-qps", "200"]
        code, said, logs = run(tmp_path, f"\n{target(server.url, busy)}", scenario, *options)
        assert server.answered >= 300
    assert code == 2, said
    assert "goldwatch stepped back: pending_requests is 10, above 5" in said
    assert "VALID" not in said
    summary = logs / mlperf.SUMMARY
    assert not summary.exists() or "Result is" not in summary.read_text()


def test_accuracy_is_that_of_every_example_as_loadgen_logged_it(tmp_path: Path) -> None:
    code, said, logs = run(tmp_path, SOUND, "Offline", "--mode", "accuracy", "--batch", "7")
    assert code == 0
    assert "accuracy                        0.9517, reference 0.9517, 600 answers" in said
    assert {entry["qsl_idx"] for entry in json.loads((logs / mlperf.ACCURACY).read_text())} == set(range(600))


@pytest.mark.parametrize("scenario", ["SingleStream", "MultiStream", "Server", "Offline"])
def test_a_language_model_is_driven_too(tmp_path: Path, scenario: str) -> None:
    golden_capitals(tmp_path / "golden")
    with language_server() as server:
        section = f"{{probe: openai, url: '{server.url}', model: atlas}}"
        (tmp_path / "goldwatch.yaml").write_text(
            f"targets: {{capitals: {section}}}\ngolden: {{capitals: golden}}\nwatches: {{capitals: {{}}}}\n"
        )
        command = ["mlperf", str(tmp_path / "goldwatch.yaml"), "--output", str(tmp_path / "logs"), "--scenario"]
        measured = CliRunner().invoke(app, [*command, scenario, *SHORT, "--target-qps", "100"])
        compared = CliRunner().invoke(app, [*command, scenario, "--mode", "accuracy"])
    assert "LoadGen says                    " in measured.output, measured.output
    assert "requests failed" not in measured.output
    assert compared.exit_code == 0, compared.output
    assert "accuracy                        1.0000, reference 1.0000, 4 answers" in compared.output


def test_a_damaged_model_is_a_regression(tmp_path: Path) -> None:
    damaged = SOUND.replace("digits.onnx", "digits-quantised.onnx")
    code, said, _ = run(tmp_path, damaged, "SingleStream", "--mode", "accuracy")
    assert code == 1
    assert "verdict                         regression" in said


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ('{probe: open-inference, url: "http://127.0.0.1:1", model: digits}', "/v2/health/ready: Connection refused"),
        (
            SOUND[:-1] + ", at_most: 20/s}",
            "`at_most` allows 20 per second, and in SingleStream LoadGen sends",
        ),
        (SOUND[:-1] + ", cpu_at_most: 50%}", "LoadGen keeps no budget of tokens or CPU"),
        (SOUND[:-1] + ", python: /usr/bin/python3}", "is an interpreter of its own, and LoadGen runs in goldwatch's"),
    ],
)
def test_what_cannot_be_measured_has_exit_code_2(tmp_path: Path, target: str, why: str) -> None:
    code, said, _ = run(tmp_path, target, "SingleStream", *SHORT)
    assert code == 2
    assert why in said
    assert "Traceback" not in said


def test_a_target_that_only_fails_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def digits(inputs):\n    raise ValueError('no weights')\n")
    target = f'{{probe: python, path: {tmp_path}, callable: "broken:digits"}}'
    code, said, _ = run(tmp_path, target, "Server", *SHORT, "--target-qps", "500")
    assert code == 2
    assert "10 requests in a row failed, the last with: " in said
    assert "no weights" in said


@pytest.mark.parametrize("scenario", ["SingleStream", "MultiStream", "Server", "Offline"])
def test_an_answer_that_cannot_be_decoded_is_completed_once(scenario: str) -> None:
    system = made_up(scenario, lambda n: zeros(7 if n % 2 else 10))
    completed = ask(system, 16, query=4)
    assert not system.errors  # nothing was looked at while LoadGen's clock ran
    system.read_answers()
    assert completed == list(range(16))
    assert (system.requests, sum(system.errors.values())) == (16, 8)
    assert system.given_up is None


@pytest.mark.parametrize("scenario", ["SingleStream", "Offline"])
def test_failures_with_answers_between_them_are_not_in_a_row(scenario: str) -> None:
    system = made_up(scenario, lambda n: zeros(10) if n % 2 else fail())
    ask(system, 40)
    system.read_answers()
    assert (system.errors, system.given_up) == ({"no weights": 20}, None)


@pytest.mark.parametrize(("right", "requests"), [(0, 10), (5, 15)])
def test_a_system_that_only_fails_is_given_up_after_ten_requests(right: int, requests: int) -> None:
    system = made_up("SingleStream", lambda n: zeros(10) if n < right else fail())
    assert ask(system, 40) == list(range(40))
    assert system.requests == requests
    assert system.given_up == "10 requests in a row failed, the last with: no weights"


def test_answers_that_can_none_be_decoded_are_failures_in_a_row_however_often_they_are_read() -> None:
    system = made_up("SingleStream", lambda _: zeros(7))
    for _ in range(5):
        ask(system, 3)
        system.read_answers()
    assert system.given_up is not None
    assert system.given_up.startswith("10 requests in a row failed, the last with: ")


@pytest.mark.parametrize("scenario", ["SingleStream", "Offline"])
@pytest.mark.parametrize("wrap", [lambda a: {"other": a}, lambda a: [(a,)], lambda a: a.tobytes()])
def test_all_that_an_unread_answer_holds_counts_for_the_room(
    scenario: str, wrap: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decision output is 40 bytes; beside it each answer holds 4,000, so that four of them are too many."""
    monkeypatch.setattr(loadgen, "_UNREAD_BYTES", 16_000)
    system = made_up(scenario, lambda _: zeros(10) | {"more": wrap(zeros(1000)["p"])})
    most = 0
    for _ in range(10):
        ask(system, 1)
        most = max(most, len(system._unread))
    assert most == 3
    ask(system, 20, query=20)
    assert len(system._unread) <= (3 if scenario == "Offline" else 0)


def test_json_answers_lie_as_text_and_are_scored_from_the_log(tmp_path: Path) -> None:
    settings = LoadGenSettings("SingleStream", "accuracy", 0.0, 1)
    output = TensorSpec("boxes", "J16384", ())
    system = loadgen.System(cast("Probe", SimpleNamespace()), {"x": np.zeros((2, 2))}, output, settings)
    assert system._least_bytes == 16384
    kept = {"inputs.x": np.zeros((2, 1), np.float32)}
    lines = [{"inputs": {}, "outputs": {"boxes": text}} for text in ("[[1.0]]", "[]")]
    parts = {"dtype": "json", "shape": [], "tolerance": 0.5, "max_bytes": 16384}
    manifest = {
        "name": "boxes",
        "version": "1",
        "licence": "CC0-1.0",
        "provenance": {"source": "made up"},
        "task": "embedding",
        "examples": 2,
        "decision": "boxes",
        "inputs": {"x": {"dtype": "float32", "shape": [1]}},
        "outputs": {"boxes": parts},
        "reference": {"replays": [1, 1], "deterministic": True},
    }
    freeze(tmp_path / "golden", manifest, kept | {"reference.right": np.ones((2, 2), np.int64)}, lines)
    answers = np.array([b"[[1.2]]", b"[[9.0]]"], "S16384")
    log = tmp_path / "log.json"
    log.write_text(json.dumps([{"qsl_idx": i, "data": answers[i : i + 1].tobytes().hex()} for i in range(2)]))
    found = accuracy(AccuracyRequest(str(tmp_path / "golden"), str(log)), [], lambda _: None).headline
    assert found is not None
    assert (found.name, found.value) == ("agreement", 0.5)


def zeros(width: int) -> dict[str, Any]:
    return {"p": np.zeros((1, width), np.float32)}


def fail() -> dict[str, Any]:
    raise ValueError("no weights")


def ask(system: loadgen.System, count: int, query: int = 1) -> list[int]:
    """Issue so many samples as LoadGen does, in queries of some; return those that were completed, in their order."""
    completed: list[int] = []
    samples = [SimpleNamespace(id=i, index=i % 3) for i in range(count)]
    fake = SimpleNamespace(
        QuerySampleResponse=lambda *given: given,
        QuerySamplesComplete=lambda responses: completed.extend(given[0] for given in responses),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loadgen, "_loadgen", lambda: fake)
        system.load([0, 1, 2])
        for start in range(0, count, query):
            system.issue(samples[start : start + query])
    return completed


def made_up(scenario: str, answer: Callable[[int], dict[str, Any]]) -> loadgen.System:
    """Return a system over a model with such an nth answer to one example; ten numbers are right."""
    calls = iter(range(1000))

    class Model:
        def encode(self, inputs: Tensors) -> Tensors:
            return inputs

        def decode(self, response: Tensors) -> Tensors:
            return {"p": response["p"]}

        def predict(self, request: Tensors) -> dict[str, Any]:
            return answer(next(calls))

    settings = LoadGenSettings(scenario, "performance", 0.0, 1)
    return loadgen.System(cast("Probe", Model()), {"x": np.zeros((3, 2))}, TensorSpec("p", "float32", (10,)), settings)


def test_an_audit_is_read_only_if_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audit = tmp_path / "audit.config"
    audit.write_text("*.*.mode = 2\n*.*.accuracy_log_rng_seed = 720381539\n*.*.accuracy_log_sampling_target = 20\n")
    monkeypatch.chdir(tmp_path)
    _, said, logs = run(tmp_path, SOUND, "SingleStream", *SHORT)
    assert "audit" not in [line.split()[0] for line in said.splitlines() if line.strip()]
    assert json.loads((logs / mlperf.ACCURACY).read_text() or "[]") == []
    _, said, logs = run(tmp_path, SOUND, "SingleStream", *SHORT, "--audit", str(audit))
    assert f"{audit}: LoadGen's word is on the test of the audit, not on a submission" in said
    entries = json.loads((logs / mlperf.ACCURACY).read_text())
    assert entries
    assert all(len(entry["data"]) == 2 * 4 * 10 for entry in entries)  # ten float32 in hexadecimal


def test_loadgens_warnings_are_told(tmp_path: Path) -> None:
    entry = (
        '{"key": "warning_generic_message", "value": "too slow", "metadata": {"is_error": false, "is_warning": true}}'
    )
    line = f":::MLLOG {entry}"
    (tmp_path / "detail.txt").write_text(f"{line}\n{line}\n:::MLLOG {{}}\n")
    assert mlperf.warnings(tmp_path / "detail.txt") == ("warning_generic_message: too slow (2 times)",)


def test_a_bad_duration_is_one_clear_message(tmp_path: Path) -> None:
    code, said, _ = run(tmp_path, SOUND, "SingleStream", "--min-duration", "soon")
    assert code == 2
    assert '"soon" is not a duration' in said


def test_the_summary_is_read_as_it_is_written() -> None:
    said, figures, why = mlperf.read(SUMMARY)
    assert said == "INVALID"
    assert figures["90.0th percentile latency (ns)"] == "12543"
    assert figures["QPS w/o loadgen overhead"] == "21793.14"
    assert why == (
        "Min duration satisfied: NO",
        "Decrease the expected latency so the loadgen pre-generates more queries.",
    )
    assert mlperf.read(SUMMARY.replace("INVALID", "VALID"))[::2] == ("VALID", ())
    assert mlperf.read("") == (mlperf.NOTHING, {}, ())


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlperf_loadgen", None)
    loadgen._loadgen.cache_clear()
    with pytest.raises(GoldwatchError, match=r"pip install .*\[mlperf\]'"):
        loadgen._loadgen()
