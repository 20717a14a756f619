"""The wheel, installed as users install it: the base and each extra into an environment of its own."""

import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

UV = Path(sys.executable).with_name("uv")
ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

IMPORT_ALL = """
import importlib, pkgutil, sys, goldwatch, goldwatch_probes
authors_need_pytest = ("goldwatch.testing.conformance", "goldwatch.testing.scores")
operators_need_kopf = "goldwatch.cluster.operator"
grpc_needs_h2 = "goldwatch_probes._http2"
for package in (goldwatch, goldwatch_probes):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if module.name not in (*authors_need_pytest, operators_need_kopf, grpc_needs_h2):
            importlib.import_module(module.name)
"""


def run(*arguments: object, **kwargs: object) -> str:
    done = subprocess.run([*map(str, arguments)], capture_output=True, text=True, check=False, **kwargs)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The one folder of all environments, each in place of the last: so what they share is compiled once."""
    folder = tmp_path_factory.mktemp("installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPYCACHEPREFIX", str(folder / "compiled"))
        yield folder / "venv"


def install(wheel: Path, folder: Path, extra: str) -> Path:
    wanted = f"{wheel}[{extra}]" if extra else str(wheel)
    run(sys.executable, "-m", "venv", "--clear", *([] if extra == "torch" else ["--without-pip"]), folder)
    python = folder / "bin/python"
    if extra == "torch":  # pip finds the build of PyTorch for CPUs where there is one; uv takes gigabytes for CUDA
        run(python, "-m", "pip", "install", "-q", "--no-compile", "torch==2.13.0")
    run(UV, "pip", "install", "-q", "--python", python, wanted)
    return python


BROUGHT = {
    "": "aiohttp",
    "aws": "botocore",
    "light": "onnxruntime, h2, jmespath",
    "grpc": "goldwatch_probes._http2, google.protobuf",
    "energy": "pynvml",
    "grafana": "grafana_client",
    "http": "jmespath",
    "jax": "jax, flatbuffers",
    "litert": "ai_edge_litert.interpreter",
    "mlperf": "mlperf_loadgen",
    "onnx": "onnxruntime",
    "openvino": "openvino",
    "operator": "kopf, goldwatch.cluster.operator",
    "otlp": "opentelemetry.exporter.otlp.proto.http.metric_exporter, opentelemetry.exporter.otlp.proto.grpc",
    "parquet": "pyarrow.parquet",
    "ray": "ray",
    "scores": "jiwer, jsonschema, py3langid, rouge_score, sacrebleu",
    "sklearn": "sklearn, skops.io",
    "tensorflow": "tensorflow, keras",
    "torch": "torch, safetensors.torch",
}
"""What each extra must make importable."""


@pytest.mark.parametrize("extra", ["", *PROJECT["optional-dependencies"]])
def test_every_module_imports_after_a_plain_install(wheel: Path, place: Path, tmp_path: Path, extra: str) -> None:
    python = install(wheel, place, extra)
    run(python, "-W", "error", "-c", IMPORT_ALL, cwd=tmp_path)
    run(python, "-c", f"import {BROUGHT[extra]}", cwd=tmp_path)
    goldwatch = python.with_name("goldwatch")
    assert run(goldwatch, "--version", cwd=tmp_path) == f"goldwatch {PROJECT['version']}\n"
    said = run(goldwatch, "doctor", cwd=tmp_path)
    assert f"goldwatch[{extra}]" not in said, "the extra brings what doctor looks for"
    run(UV, "pip", "check", "--python", python)


def test_the_base_install_has_eleven_direct_dependencies_and_no_framework() -> None:
    assert len(PROJECT["dependencies"]) <= 11
    names = " ".join(PROJECT["dependencies"]).lower()
    assert not [n for n in ("pandas", "torch", "tensorflow", "onnxruntime", "scikit-learn") if n in names]


def test_a_plain_install_names_the_extra_that_a_probe_needs(wheel: Path, place: Path, tmp_path: Path) -> None:
    python = install(wheel, place, "")
    said = run(python.with_name("goldwatch"), "doctor", cwd=tmp_path)
    command = f"pip install 'goldwatch[onnx] @ {wheel.as_uri()}'"
    assert f"onnx-runtime             missing: onnxruntime is not installed: {command}" in said


def test_the_wheel_carries_the_digits_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "goldwatch/demo/digits/golden/golden.json" in names
    assert "goldwatch/demo/digits/digits.onnx" in names
    assert not [name for name in names if name.startswith("tests")]
