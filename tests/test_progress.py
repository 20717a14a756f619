"""Progress of long commands: on a terminal what is being done and how much of it, elsewhere nothing."""

from __future__ import annotations

import io
import sys

import pytest

from goldwatch.cli.progress import steps


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "150")
    return Terminal()


def work(terminal: Terminal | None = None) -> None:
    """Do three steps; with a terminal, its stderr is that."""
    if terminal is not None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stderr", terminal)
            work()
        return
    with steps("replaying fraud", 3) as progress:
        sys.stderr.write("replay 1\n")
        sys.stdout.write("a result\n")
        progress.step("replaying [b]fraud[/b] \x1b[2Jagain")
        progress.step()
        progress.say("freezing")


def test_a_terminal_shows_what_is_being_done_and_keeps_the_lines(terminal: Terminal) -> None:
    out = io.StringIO()
    sys.stdout, kept = out, sys.stdout
    try:
        work(terminal)
    finally:
        sys.stdout = kept
    shown = terminal.getvalue()
    assert "replaying fraud" in shown
    assert "freezing" in shown
    assert "2/3" in shown
    assert "replay 1" in shown
    assert "\x1b[2J" not in shown
    assert out.getvalue() == "a result\n"  # a pipe gets the result, and no progress


@pytest.mark.parametrize("variable", ["CI", "TERM"])
def test_a_pipeline_with_a_terminal_shows_nothing(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, {"CI": "true", "TERM": "dumb"}[variable])
    work(terminal)
    assert terminal.getvalue() == "replay 1\n"


def test_a_pipe_gets_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    work()
    assert capsys.readouterr() == ("a result\n", "replay 1\n")
