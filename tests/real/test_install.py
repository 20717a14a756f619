"""The wheel, installed as users install it: the base and each extra into an environment of its own."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

UV = Path(sys.executable).with_name("uv")
ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

IMPORT_ALL = """
import importlib, pkgutil, sys, goldwatch, goldwatch_probes
authors_need_pytest = "goldwatch.testing.conformance"
for package in (goldwatch, goldwatch_probes):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if module.name != authors_need_pytest:
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


def install(wheel: Path, folder: Path, extra: str) -> Path:
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin/python"
    run(UV, "pip", "install", "-q", "--python", python, f"{wheel}[{extra}]" if extra else wheel)
    return python


# The others bring a framework each, gigabytes together; the probes' own tests run them from one environment.
LIGHT = ["", "all", "grpc", "http", "onnx", "otlp"]


@pytest.mark.parametrize("extra", LIGHT)
def test_every_module_imports_after_a_plain_install(wheel: Path, tmp_path: Path, extra: str) -> None:
    python = install(wheel, tmp_path / "venv", extra)
    run(python, "-W", "error", "-c", IMPORT_ALL, cwd=tmp_path)
    goldwatch = python.with_name("goldwatch")
    assert run(goldwatch, "--version", cwd=tmp_path) == f"goldwatch {PROJECT['version']}\n"
    assert "onnx-runtime" in run(goldwatch, "doctor", cwd=tmp_path)
    run(UV, "pip", "check", "--python", python)


def test_the_base_install_has_ten_direct_dependencies_and_no_framework() -> None:
    assert len(PROJECT["dependencies"]) <= 10
    names = " ".join(PROJECT["dependencies"]).lower()
    assert not [n for n in ("pandas", "torch", "tensorflow", "onnxruntime", "scikit-learn") if n in names]


def test_a_plain_install_names_the_extra_that_a_probe_needs(wheel: Path, tmp_path: Path) -> None:
    python = install(wheel, tmp_path / "venv", "")
    said = run(python.with_name("goldwatch"), "doctor", cwd=tmp_path)
    assert "onnx-runtime         missing: onnxruntime is not installed: pip install 'goldwatch[onnx]'" in said


def test_the_wheel_carries_the_digits_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "goldwatch/demo/digits/golden/golden.json" in names
    assert "goldwatch/demo/digits/digits.onnx" in names
    assert not [name for name in names if name.startswith("tests")]
