"""`goldwatch --help` shows each command in a group."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from goldwatch.cli.app import app


def test_each_command_is_in_a_group_or_hidden() -> None:
    commands = {str(c.name or (c.callback and c.callback.__name__)): c for c in app.registered_commands}
    assert {name for name, command in commands.items() if command.hidden} == {"webhook"}
    alone = [name for name, c in commands.items() if not c.hidden and not isinstance(c.rich_help_panel, str)]
    assert alone + [group.name for group in app.registered_groups if not isinstance(group.rich_help_panel, str)] == []


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("goldwatch replay {config} --watch ", ["digits", "other"]),
        ("goldwatch replay {config} --watch o", ["other"]),
        ("goldwatch top {config} --watch o", ["other"]),
        ("goldwatch golden calibrate {config} --target ", ["served"]),
        ("goldwatch replay {config}.missing --watch ", []),
        ("goldwatch fl", ["fleet"]),
    ],
)
def test_a_shell_completes_commands_and_names_of_the_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, names: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "fraud.yaml"
    config.write_text("targets: {served: 1}\nwatches: {digits: 1, other: 1}\n")
    line = words.format(config=config)
    asked = {"_GOLDWATCH_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    result = CliRunner().invoke(app, [], prog_name="goldwatch", env=asked)
    assert result.stdout.split() == names
