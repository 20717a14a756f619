"""The agent stays small: it imports neither numpy nor a framework, in whatever way it is started."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples/digits.yaml"
HEAVY = ("numpy", "scipy", "onnxruntime", "onnx", "sklearn", "torch", "tensorflow", "rich", "opentelemetry", "grpc")
SELDOM = (
    "typer",
    "difflib",
    "statistics",
    "goldwatch.cli",
    "goldwatch.commands",
    "goldwatch.daemon.metering",
    "goldwatch.energy.nvml",
)
"""What a command, a mistake in the config or a meter needs, and an agent at rest does not."""


def heavy_after(program: str, names: tuple[str, ...] = HEAVY) -> list[str]:
    """Run a program in a fresh interpreter and return which of the names it has imported."""
    script = f"{program}\nimport sys\nprint('loaded', *[name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize(
    "module",
    [
        "daemon.service",
        "daemon.runner",
        "daemon.pipeline",
        "daemon.ledger",
        "daemon.alert",
        "daemon.endpoints",
        "log",
        "daemon.schedule",
        "daemon.engine",
        "ipc.workers",
    ],
)
def test_no_part_of_the_agent_imports_numpy_or_a_framework(module: str) -> None:
    assert heavy_after(f"import goldwatch.{module}") == []


def test_no_module_on_the_agents_side_of_the_wall_needs_numpy() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (sides,) = (c["source_modules"] for c in contracts if "numpy" in c.get("forbidden_modules", ()))
    program = f"""
import importlib, pkgutil
for side in {sides}:
    module = importlib.import_module(side)
    for each in pkgutil.walk_packages(getattr(module, "__path__", ()), side + "."):
        if not each.name.endswith("__main__"):
            importlib.import_module(each.name)
"""
    assert heavy_after(program, ("numpy", "scipy", "goldwatch.worker", "goldwatch_probes")) == []


def test_loading_a_config_imports_the_probes_it_names_and_no_framework() -> None:
    assert (
        heavy_after(f"from pathlib import Path\nfrom goldwatch.config import load\nload(Path({str(EXAMPLE)!r}))") == []
    )


def test_a_config_can_be_prepared_and_a_replay_judged_without_numpy_in_the_agent() -> None:
    program = f"""
from pathlib import Path
from goldwatch.daemon.in_force import prepare
from goldwatch.daemon.pipeline import run
from goldwatch.ipc.workers import Workers
workers = Workers()
(assignment,) = prepare(Path({str(EXAMPLE)!r}), workers).assignments
assert run(assignment, workers, {{}}).judgement.findings.scores
workers.close()
"""
    assert heavy_after(program) == []


def test_the_process_of_the_agent_holds_nothing_of_the_command_line_and_no_meter() -> None:
    program = f"""
import goldwatch.daemon.process
from pathlib import Path
from goldwatch.daemon.in_force import prepare
from goldwatch.ipc.workers import Workers
workers = Workers()
prepare(Path({str(EXAMPLE)!r}), workers)
workers.close()
"""
    assert heavy_after(program, HEAVY + SELDOM) == []


def test_the_command_line_imports_no_framework() -> None:
    assert set(heavy_after("import goldwatch.cli.app")) <= {"rich"}  # typer may bring it


def test_the_agent_begins_before_anything_is_imported() -> None:
    assert (
        heavy_after("import goldwatch.cli", (*HEAVY, "typer", "pydantic", "asyncio", "goldwatch.daemon.process")) == []
    )


def test_what_judges_imports_neither_config_nor_command_line() -> None:
    """Each replay may start it again."""
    names = ("typer", "yaml", "asyncio", "aiohttp", "goldwatch.config")
    assert heavy_after("import goldwatch.worker.jobs.judge", names) == []
