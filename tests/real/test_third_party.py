"""A probe in a third party's package: one file and one entry point, and it is used like our own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .agent import DIGITS, ROOT

pytestmark = pytest.mark.real

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "acme-probe"
version = "1.0"

[project.entry-points."goldwatch.probes"]
acme = "acme_probe:Acme"

[tool.hatch.build.targets.wheel]
include = ["acme_probe.py"]
"""

PROBE = '''\
"""Answers what a file of outputs holds, in order."""

from dataclasses import dataclass
from pathlib import Path

from goldwatch.probe import CannotLoad, Description, option


class Acme:
    served = False

    @dataclass(frozen=True)
    class Options:
        answers: Path = option("The outputs, an .npy file", path=True)

    def __init__(self, options, context):
        self._file = options.answers
        self._answers = None

    def open(self):
        import numpy as np

        self._answers = iter(np.load(self._file))

    def describe(self):
        return Description(model="acme", version="7")

    def encode(self, inputs):
        if "image" not in inputs:
            raise CannotLoad("no image")
        return inputs["image"]

    def predict(self, request):
        return next(self._answers)

    def decode(self, response):
        return {"probabilities": response[None]}

    def close(self):
        self._answers = None
'''

CONFIG = f"""\
targets: {{digits: {{probe: acme, answers: answers.npy}}}}
golden: {{digits: {DIGITS}/golden}}
watches: {{digits: {{load: {{warmup: 0}}}}}}
"""

FREEZE_ANSWERS = f"""
import numpy as np
from pathlib import Path
from goldwatch.golden.opened import GoldenSet
np.save("answers.npy", GoldenSet.open(Path("{DIGITS}/golden")).tensor("outputs.probabilities"))
"""


def test_a_probe_of_another_package_is_one_file_and_one_entry_point(tmp_path: Path) -> None:
    package = tmp_path / "acme"
    package.mkdir()
    (package / "pyproject.toml").write_text(PYPROJECT)
    (package / "acme_probe.py").write_text(PROBE)
    (tmp_path / "goldwatch.yaml").write_text(CONFIG)
    python = tmp_path / "venv/bin/python"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    subprocess.run([uv, "pip", "install", "-q", "--python", python, ROOT, package], check=True)
    subprocess.run([python, "-c", FREEZE_ANSWERS], cwd=tmp_path, check=True)
    command = [str(python.with_name("goldwatch")), "check", "goldwatch.yaml", "--format", "json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (watch,) = json.loads(done.stdout)["watches"]
    assert (watch["probe"], watch["description"]["model"], watch["description"]["version"]) == ("acme", "acme", "7")
    assert watch["difference"]["moved"] == 0
    misspelt = CONFIG.replace("answers:", "answrs:")
    (tmp_path / "goldwatch.yaml").write_text(misspelt)
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert refused.returncode == 3
    assert 'targets.digits.answrs: unknown key "answrs" (did you mean "answers"?)' in refused.stderr
