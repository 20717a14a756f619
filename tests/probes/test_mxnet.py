"""The probe for MXNet, in the only interpreter where MXNet still runs."""

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.probes.formats import MXNET, ROOT, Formats, mxnet_python

PURE = ("pytest", "_pytest", "py", "pluggy", "iniconfig", "packaging", "pygments")
"""What the suite needs there beside goldwatch and numpy. All of it is Python alone, so it can be lent."""


def lend(folder: Path) -> None:
    for name in PURE:
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        origin = Path(spec.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (folder / source.name).symlink_to(source)


@pytest.mark.real
def test_the_suite_passes_in_an_interpreter_of_its_own(formats: Formats, tmp_path: Path) -> None:
    formats.options(MXNET)
    lend(tmp_path)
    path = os.pathsep.join(map(str, (tmp_path, ROOT / "agent", ROOT / "probes", ROOT)))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [mxnet_python(), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", "--noconftest"]
    done = subprocess.run(
        [*command, "--import-mode=importlib", "tests/probes/mxnet_suite.py"],
        cwd=ROOT,
        env={**kept, "PYTHONPATH": path, "GOLDWATCH_TEST_FORMATS": str(formats.folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "21 passed" in done.stdout, done.stdout
