"""docs/probes.md: its example runs, its tables are the options, its configs are taken."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from goldwatch_probes.onnx_runtime import OnnxRuntime
from goldwatch_probes.open_inference import OpenInference

TEXT = (Path(__file__).parents[2] / "docs" / "probes.md").read_text()
PROBES: dict[str, Any] = {"open-inference": OpenInference, "onnx-runtime": OnnxRuntime}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_example_passes_the_conformance_suite(tmp_path: Path) -> None:
    for block in blocks("python"):
        (tmp_path / block.splitlines()[0].removeprefix("# ")).write_text(block)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d\d passed", done.stdout)


def row(field: dataclasses.Field[Any]) -> str:
    if field.default is dataclasses.MISSING:
        default = "required" if field.default_factory is dataclasses.MISSING else "none"
    else:
        default = f"`{json.dumps(field.default)}`" if field.default not in ("", None) else "none"
    secret = " (secret)" if field.metadata["secret"] else ""
    return f"| `{field.name}` | {default} | {field.metadata['text']}{secret} |"


@pytest.mark.parametrize("name", PROBES)
def test_the_table_is_the_options(name: str) -> None:
    section = TEXT.split(f"## {name}:")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [row(field) for field in dataclasses.fields(PROBES[name].Options)]


def test_the_configs_name_options_that_exist() -> None:
    configs = [target for block in blocks("yaml") for target in yaml.safe_load(block)["targets"].values()]
    assert {target["probe"] for target in configs} == set(PROBES)
    for target in configs:
        PROBES[target.pop("probe")].Options(**target)
