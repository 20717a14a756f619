"""Real model servers, each in an environment of its own: the golden digits replayed against them, and all agree.

`tests/environments/make NAME` makes the environment, which takes minutes the first time; so do these tests.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from goldwatch.daemon.engine import Replay, replay
from goldwatch.daemon.plan import Plan
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.workers import Workers
from goldwatch.probe import TensorSpec

from .agent import DIGITS, GOLDEN, ROOT, free_port

pytestmark = [pytest.mark.real, pytest.mark.servers]

HEAD = """\
# Servers, proven

The digits behind real servers on loopback, each serving `digits.onnx` by ONNX Runtime, replayed by goldwatch over all
600 examples of the golden set. `make test-servers` does it; this page is written by
`GOLDWATCH_WRITE_PROVEN=1 .venv/bin/python -m pytest tests/real/test_servers.py`.

No package carries the server of TensorFlow Serving: the probe for its REST API is tested against a server of ours that
implements the documented API over the digits.

A language model is SmolLM2-135M-Instruct behind llama.cpp's server, which xllamacpp 2026.10.11549 carries: its answers,
streamed, and its embeddings agree with their reference (tests/real/test_language_model.py).

| package | spoken | the server says that it is | largest difference | flips |
|---|---|---|---|---|
"""
ENVIRONMENTS = ROOT / "tests/environments"
MODEL = str(DIGITS / "digits.onnx")
START_S = 240
V2, GRPC = "goldwatch_probes.open_inference:OpenInference", "goldwatch_probes.open_inference_grpc:OpenInferenceGrpc"
MLFLOW, TORCHSERVE = "goldwatch_probes.mlflow_scoring:MlflowScoring", "goldwatch_probes.torchserve:TorchServe"
TEMPLATE = "goldwatch_probes.http_template:HttpTemplate"
Command = Callable[[Path, Path, list[int]], list[str]]


class Target(NamedTuple):
    """How to speak to a server, and its expected identity: framework and version of the model."""

    factory: str
    port: int
    options: dict[str, Any]
    framework: str = ""
    version: str = ""


def script(name: str) -> Command:
    """The server is a script of ours, with the model and the ports as its arguments."""
    return lambda bin_, _, ports: [
        str(bin_ / "python"),
        str(ENVIRONMENTS / f"{name}_digits.py"),
        MODEL,
        *map(str, ports),
    ]


def bentoml(bin_: Path, _: Path, ports: list[int]) -> list[str]:
    where = ["--working-dir", str(ENVIRONMENTS), "--host", "127.0.0.1", "--port", str(ports[0]), "--api-workers", "1"]
    return [str(bin_ / "bentoml"), "serve", "bentoml_digits:Digits", *where]


def mlflow(bin_: Path, folder: Path, ports: list[int]) -> list[str]:
    subprocess.run([bin_ / "python", ENVIRONMENTS / "mlflow_digits.py", MODEL, folder / "model"], check=True)
    where = ["-m", str(folder / "model"), "-h", "127.0.0.1", "-p", str(ports[0]), "--workers", "1"]
    return [str(bin_ / "mlflow"), "models", "serve", "--env-manager", "local", *where]


def torchserve(bin_: Path, folder: Path, ports: list[int]) -> list[str]:
    archive = ["--model-name", "digits", "--version", "1.0", "--handler", str(ENVIRONMENTS / "torchserve_digits.py")]
    more = ["--extra-files", MODEL, "--export-path", str(folder)]
    subprocess.run([bin_ / "torch-model-archiver", *archive, *more], check=True)
    names = ("inference_address", "management_address", "metrics_address")
    lines = [f"{name}=http://127.0.0.1:{port}" for name, port in zip(names, ports[:3], strict=True)]
    lines += [f"grpc_inference_port={ports[3]}", f"grpc_management_port={ports[4]}", "default_workers_per_model=1"]
    (folder / "config.properties").write_text("\n".join(lines))
    start = ["--start", "--foreground", "--no-config-snapshots", "--disable-token-auth"]
    models = ["--model-store", str(folder), "--models", "digits.mar"]
    return [str(bin_ / "torchserve"), *start, *models, "--ts-config", str(folder / "config.properties")]


def template(health: str) -> dict[str, Any]:
    outputs = {"probabilities": "probabilities"}
    return {"path": "/predict", "health": health, "body": {"image": "{image}"}, "outputs": outputs}


DIGITS_MODEL = {"model": "digits"}
SERVERS: dict[str, tuple[Command, int, dict[str, Target]]] = {
    "bentoml": (bentoml, 1, {"http": Target(TEMPLATE, 0, template("/readyz"))}),
    "kserve": (
        script("kserve"),
        2,
        {
            "v2": Target(V2, 0, DIGITS_MODEL, "kserve"),
            "v2 binary": Target(V2, 0, DIGITS_MODEL | {"binary": True}, "kserve"),
            "grpc": Target(GRPC, 1, DIGITS_MODEL, "kserve"),
        },
    ),
    "litserve": (script("litserve"), 1, {"http": Target(TEMPLATE, 0, template("/health"))}),
    "mlflow": (mlflow, 1, {"inputs": Target(MLFLOW, 0, {}, "mlflow")}),
    "mlserver": (
        script("mlserver"),
        2,
        {"v2": Target(V2, 0, DIGITS_MODEL, "mlserver"), "grpc": Target(GRPC, 1, DIGITS_MODEL, "mlserver")},
    ),
    "torchserve": (
        torchserve,
        5,
        {
            "predictions": Target(
                TORCHSERVE,
                0,
                {"model": "digits", "examples": "image", "output": "probabilities"},
                "torchserve",
                "1.0",
            )
        },
    ),
    "triton": (
        script("triton"),
        2,
        {
            "v2": Target(V2, 0, DIGITS_MODEL, "triton", "1"),
            "v2 binary": Target(V2, 0, DIGITS_MODEL | {"binary": True}, "triton", "1"),
            "grpc": Target(GRPC, 1, DIGITS_MODEL, "triton", "1"),
            "grpc, version 1": Target(GRPC, 1, DIGITS_MODEL | {"version": "1"}, "triton", "1"),
        },
    ),
}


@contextmanager
def running(name: str, folder: Path) -> Iterator[list[str]]:
    """Start a server in its environment on free ports; give its addresses."""
    command, count, _ = SERVERS[name]
    subprocess.run([ENVIRONMENTS / "make", name], check=True)
    bin_, ports = ROOT / f".venv-{name}/bin", [free_port() for _ in range(count)]
    ask = "import sysconfig; print(sysconfig.get_config_var('LIBDIR'))"
    library = subprocess.run([bin_ / "python", "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
    # Triton's stub loads this Python's library; some servers start others by name; BentoML's service reads DIGITS.
    more = {"LD_LIBRARY_PATH": library, "PATH": f"{bin_}:{os.environ['PATH']}", "DIGITS": MODEL}
    arguments = command(bin_, folder, ports)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            arguments,
            env={**os.environ, **more, "BENTOML_DO_NOT_TRACK": "true", "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,  # they start further processes, which end with the group
        )
    try:
        yield [f"http://127.0.0.1:{port}" for port in ports]
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for signal_, limit_s in ((signal.SIGTERM, 20), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, signal_)
            process.wait(limit_s)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


@pytest.fixture(scope="module")
def golden() -> GoldenSet:
    return GoldenSet.open(GOLDEN)


def plan(golden: GoldenSet, factory: str, options: dict[str, Any]) -> Plan:
    output = golden.manifest.outputs["probabilities"]
    return Plan(
        factory=factory,
        options=options,
        served=True,
        warm=False,
        key=json.dumps([factory, options]),
        inputs=golden.input_locations(),
        outputs=(TensorSpec("probabilities", output.dtype, output.shape),),
        examples=range(golden.examples),
        time_limit_s=5,
    )


def replayed(workers: Workers, wanted: Plan) -> Replay:
    """Return a replay of the whole set, asked for again until the server has started."""
    deadline = time.monotonic() + START_S
    while (result := replay(wanted, workers)).failure is not None:
        assert time.monotonic() < deadline, result.failure
        result.columns.close()
        time.sleep(0.5)
    return result


def package(name: str) -> str:
    """Return the line of a server's environment that brings the server itself."""
    prefix = {"triton": "nvidia-pytriton"}.get(name, name) + "=="
    return next(line for line in (ENVIRONMENTS / f"{name}.txt").read_text().splitlines() if line.startswith(prefix))


@pytest.fixture(scope="module")
def rows() -> Iterator[list[str]]:
    found: list[str] = []
    yield found
    if os.environ.get("GOLDWATCH_WRITE_PROVEN") == "1":
        (ROOT / "docs" / "servers-proven.md").write_text(HEAD + "".join(sorted(found)))


def check_agrees(result: Replay, golden: GoldenSet, name: str) -> str:
    """Return the server's identity, the largest difference and the flips, as cells of the table."""
    assert result.failure is None
    assert result.outcomes() == {"ok": golden.examples}, result.errors
    assert result.description is not None
    found = result.columns.array("output.probabilities")
    reference = golden.tensor("outputs.probabilities")
    flips = int((found.argmax(axis=1) != reference.argmax(axis=1)).sum())
    difference = float(np.abs(found - reference).max())
    p50_ms = float(np.median(result.latencies_s())) * 1e3
    what = f"{result.description.framework} {result.description.framework_version}".strip() or "nothing"
    print(f"\n{name}: {what}: flips {flips} of {golden.examples}, difference {difference:.2g}, p50 {p50_ms:.2f} ms")
    assert flips == 0
    assert difference <= golden.manifest.outputs["probabilities"].tolerance
    return f"{what} | {difference:.1e} | {flips}"


@pytest.mark.parametrize("name", SERVERS)
def test_the_digits_behind_a_real_server(
    name: str, workers: Workers, golden: GoldenSet, tmp_path: Path, rows: list[str]
) -> None:
    targets = SERVERS[name][2]
    with running(name, tmp_path) as addresses:
        for label, target in targets.items():
            options = {"url": addresses[target.port]} | target.options
            if target.factory == TORCHSERVE:
                options["management_url"] = addresses[1]
            result = replayed(workers, plan(golden, target.factory, options))
            cells = check_agrees(result, golden, f"{name} {label}")
            rows.append(f"| {package(name)} | {label} | {cells} |\n")
            assert result.description is not None
            assert (result.description.framework, result.description.version) == (target.framework, target.version)
            if "model" in target.options:
                missing = replay(plan(golden, target.factory, options | {"model": "no", "version": ""}), workers)
                assert missing.failure is not None
