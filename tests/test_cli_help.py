"""`goldwatch --help` shows each command in a group."""

from __future__ import annotations

from goldwatch.cli.app import app


def test_each_command_is_in_a_group_or_hidden() -> None:
    commands = {str(c.name or (c.callback and c.callback.__name__)): c for c in app.registered_commands}
    assert {name for name, command in commands.items() if command.hidden} == {"webhook"}
    alone = [name for name, c in commands.items() if not c.hidden and not isinstance(c.rich_help_panel, str)]
    assert alone + [group.name for group in app.registered_groups if not isinstance(group.rich_help_panel, str)] == []
