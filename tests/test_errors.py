"""All errors of goldwatch have one base class, which the command line and the agent catch."""

from __future__ import annotations

import ast
import builtins
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from goldwatch.cli.app import app
from goldwatch.errors import GoldwatchError

AGENT = Path(__file__).parents[1] / "agent/goldwatch"
BUILT_IN = {name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, Exception)}


def test_no_public_error_has_a_base_of_its_own() -> None:
    """A private error of one file is control flow there."""
    found = []
    for file in AGENT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                if bases & BUILT_IN and "GoldwatchError" not in bases and node.name != "GoldwatchError":
                    found.append(f"{file.relative_to(AGENT)}: {node.name}")
    assert found == []


def test_a_command_ends_with_the_text_of_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise GoldwatchError("golden.json: 3 is wrong; write 4")

    commands = [*app.registered_commands, typer.models.CommandInfo("fails", callback=fails)]
    monkeypatch.setattr(app, "registered_commands", commands)
    result = CliRunner().invoke(app, ["fails"])
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", "golden.json: 3 is wrong; write 4\n")
