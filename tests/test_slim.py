"""The smaller images have of scipy what goldwatch imports, and nothing else there needs more."""

from __future__ import annotations

import ast
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import scipy

ROOT = Path(__file__).parents[1]
SLIM = runpy.run_path(str(ROOT / "requirements/slim.py"))


def locked(extras: str) -> dict[str, str]:
    """Return the versions of what goes into the image of these extras."""
    text = (ROOT / f"requirements/{extras}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE))


def imported() -> Iterator[tuple[str, str, str]]:
    """Yield what goldwatch imports of scipy: the importing file, the module, and the name."""
    for file in sorted([*(ROOT / "agent").rglob("*.py"), *(ROOT / "probes").rglob("*.py")]):
        text = file.read_text()
        for node in ast.walk(ast.parse(text)) if "scipy" in text else ():
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "scipy":
                yield from ((file.name, str(node.module), alias.name) for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from ((file.name, a.name, "") for a in node.names if a.name.split(".")[0] == "scipy")


def test_goldwatch_imports_of_scipy_only_what_the_smaller_images_keep() -> None:
    assert {module for _, module, _ in imported()} == {f"scipy.{part}" for part in SLIM["KEPT"]}


def test_an_image_is_not_made_smaller_if_another_package_needs_scipy(tmp_path: Path) -> None:
    for name, needs in {"scikit-learn": "scipy>=1.10", "pydantic": "scipy; extra == 'all'", "scipy": "numpy"}.items():
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: {needs}\n")
    with pytest.raises(SystemExit, match="scipy is needed by scikit-learn too: take onnx out of SLIM"):
        SLIM["slim"]("onnx", tmp_path)


@pytest.fixture(scope="module")
def slimmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = [tuple(int(part) for part in v.split(".")[:2]) for v in (version("scipy"), locked("base")["scipy"])]
    if parts[0] < parts[1]:
        pytest.skip("the images have a newer scipy than this, whose parts depend on each other less")
    installed, packages = Path(scipy.__file__).parents[1], tmp_path_factory.mktemp("packages")
    for name in ("numpy", "numpy.libs", "scipy", "scipy.libs", f"scipy-{version('scipy')}.dist-info"):
        shutil.copytree(installed / name, packages / name, copy_function=os.symlink)
    SLIM["slim"]("base", packages)
    return packages


def run(packages: Path, program: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, env=environment, check=False
    )


@pytest.mark.slow
def test_all_that_goldwatch_imports_is_there_and_works_without_the_rest(slimmed: Path) -> None:
    imports = "".join(f"from {module} import {name}\n" for _, module, name in imported())
    shown = "import scipy\nprint(scipy.__file__, bdtr(1, 2, 0.5), round(stdtrit(9, 0.975), 6))"
    done = run(slimmed, imports + shown)
    assert done.stdout.split() == [str(slimmed / "scipy/__init__.py"), "0.75", "2.262157"], done.stderr
    libraries = {file.name.split("-")[0] for file in (slimmed / "scipy.libs").iterdir()}
    assert "libscipy_openblas" in libraries


@pytest.mark.slow
def test_what_is_left_out_says_so(slimmed: Path) -> None:
    done = run(slimmed, "import scipy.stats")
    assert done.stderr.splitlines()[-1].startswith(
        "ImportError: scipy.stats is left out of this image of goldwatch; take the image with EXTRAS=light, or"
    )
    assert f"scipy=={version('scipy')}" in done.stderr
    assert not list(slimmed.rglob("tests"))


def test_the_other_images_keep_all_of_it_but_tests_and_headers(tmp_path: Path) -> None:
    for package in ("numpy", "scipy"):
        for name in ("__init__.py", "stats/__init__.py", "stats/tests/test_a.py", "_core/include/a.h", "a.pyi"):
            (tmp_path / package / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / package / name).touch()
    SLIM["slim"]("all", tmp_path)
    left = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.*") if file.is_file())
    assert left == [
        f"{package}/{name}" for package in ("numpy", "scipy") for name in ("__init__.py", "stats/__init__.py")
    ]
