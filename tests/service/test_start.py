"""`goldwatch run` asked for plainly begins at once, and the command line knows the same options."""

from __future__ import annotations

import sys

import pytest
import typer.main

from goldwatch import cli
from goldwatch.cli.app import app
from goldwatch.daemon import start


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["run", "a.yaml"], ("a.yaml", [])),
        (["run", "--follow", "a.yaml", "--patient"], ("a.yaml", ["--follow", "--patient"])),
        (["run", "--listen=:9871", "a.yaml"], ("a.yaml", ["--listen=:9871"])),
        (["run", "--listen", ":9871", "a.yaml"], None),
        (["run", "--listen", "a.yaml"], None),
        (["run", "--patient=yes", "a.yaml"], None),
        (["run"], None),
        (["run", "a.yaml", "b.yaml"], None),
        (["run", "a.yaml", "--fast"], None),
        (["run", "a.yaml", "--help"], None),
        (["run", "--", "--patient"], None),
        (["check", "a.yaml"], None),
        (["--version"], None),
        ([], None),
    ],
)
def test_what_is_plain(words: list[str], asked: tuple[str, list[str]] | None) -> None:
    assert start.asked_plainly(words) == asked


def test_the_command_line_has_the_same_options() -> None:
    group = typer.main.get_command(app)
    command = group.get_command(typer.Context(group), "run")  # type: ignore[attr-defined] # typer's class of groups
    options = {option.opts[0]: option.help for option in command.params if option.param_type_name == "option"}
    assert options == start.OPTIONS


@pytest.mark.parametrize("more", [[], ["--"]])
def test_it_becomes_the_agent_in_both_ways(monkeypatch: pytest.MonkeyPatch, more: list[str]) -> None:
    class Became(BaseException):
        pass

    def execv(path: str, program: list[str]) -> None:
        raise Became(path, program)

    monkeypatch.setattr("os.execv", execv)
    monkeypatch.setattr("sys.argv", ["goldwatch", "run", "--follow", *more, "a.yaml"])
    with pytest.raises(Became) as became:
        cli.main()
    program = [sys.executable, "-P", "-m", "goldwatch.daemon.start", "a.yaml", "--follow"]
    assert became.value.args == (sys.executable, program)
