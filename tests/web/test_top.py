"""`goldwatch top` against the agent's real endpoints, and what it says where there is no agent."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from goldwatch.cli.app import app
from goldwatch.commands.top import Agent, address_of, draw, show
from goldwatch.config import load
from goldwatch.config.sections import Prometheus
from goldwatch.daemon.access import Access
from goldwatch.daemon.endpoints import Endpoints
from goldwatch.daemon.status import Status
from goldwatch.errors import GoldwatchError

from tests.web.test_http import ready, status

__all__ = ["status"]

TOKEN = "a-token-of-at-least-16-letters"


def served(status: Status, use: Callable[[str], object], token: str = "") -> None:
    """Serve a ledger, and let `use` ask at the address."""

    async def serve() -> None:
        endpoints = Endpoints(lambda _: (b"", "text/plain"), ready, lambda: status)
        if token:
            endpoints.access = Access.of(Prometheus.model_validate({"authorization": {"credentials": token}}))
        port = await endpoints.start("127.0.0.1", 0)
        try:
            await asyncio.to_thread(use, f"http://127.0.0.1:{port}")
        finally:
            await endpoints.stop()

    asyncio.run(serve())


def top(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(app, ["top", *arguments], env={"COLUMNS": "150", **environ})


def test_the_worst_watch_comes_first_and_is_shown_with_its_evidence_and_alert(status: Status) -> None:
    def use(url: str) -> None:
        lines = top(url, "--once").stdout.splitlines()
        assert lines[0] == f"{url}  2 watches: 1 alerting, 1 unknown"
        rows = [line.split() for line in lines]
        assert rows[3][:5] == ["digits", "served", "alerting", "0.9500", "2"]
        assert rows[4][:6] == ["other", "served", "unknown", "none", "yet", "not"]
        assert lines[4].rstrip().endswith("never")
        assert any(line.startswith("worse") and "evidence 7.9 of 5.6" in line for line in lines)
        assert any("alert 1" in line for line in lines)
        assert any("50 of 600 golden examples now wrong" in line for line in lines)
        other = top(url, "--once", "--watch", "other").stdout
        assert "no replay yet" in other
        assert "alert 1" not in other
        missing = top(url, "--once", "--watch", "fraud")
        assert (missing.exit_code, missing.stderr) == (
            2,
            f'{url}: no watch is named "fraud"; there are digits, other\n',
        )

    served(status, use)


def test_a_token_is_sent_and_a_missing_one_is_named(status: Status) -> None:
    def use(url: str) -> None:
        assert top(url, "--once", GOLDWATCH_TOKEN=TOKEN).exit_code == 0
        refused = top(url, "--once", GOLDWATCH_TOKEN="")
        assert refused.exit_code == 2
        assert "HTTP 401" in refused.stderr
        assert "from the variable GOLDWATCH_TOKEN" in refused.stderr

    served(status, use, TOKEN)


def test_without_an_agent_it_says_how_to_start_one() -> None:
    result = top("http://127.0.0.1:1", "--once")
    assert result.exit_code == 2
    assert "no agent runs there: start one with `goldwatch run CONFIG`" in result.stderr


@pytest.mark.parametrize(
    ("section", "address"),
    [
        ("{}", ("http://127.0.0.1:9870", "")),
        ('{listen: "[::1]:9871"}', ("http://[::1]:9871", "")),
        ("{authorization: {credentials: '${TOKEN}'}, listen: ':80'}", ("http://127.0.0.1:80", TOKEN)),
    ],
)
def test_the_address_and_the_token_are_those_of_the_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, section: str, address: tuple[str, str]
) -> None:
    monkeypatch.setenv("TOKEN", TOKEN)
    config = tmp_path / "goldwatch.yaml"
    config.write_text(
        "targets: {t: {probe: onnx-runtime, file: m.onnx}}\ngolden: {g: ./g}\nwatches: {w: {every: 5m}}\n"
        f"exporters: {{prometheus: {section}}}\n"
    )
    assert address_of(load(config)) == address


def test_a_watch_that_is_not_among_those_told_is_said_to_be_so(status: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def watches(limit: int) -> dict[str, Any]:
        asked.append(str(limit))
        return told | {"total": 1001}

    told = status.watches()
    monkeypatch.setattr(status, "watches", watches)

    def use(url: str) -> None:
        missing = top(url, "--once", "--watch", "fraud")
        assert missing.stderr == f'{url}: "fraud" is not among the 2 worst of 1,001 watches\n'
        assert top(url, "--once").exit_code == 0

    served(status, use)
    assert asked == ["1000", "200"]


def test_what_the_referee_found_in_a_valid_replay_is_not_called_unknown(status: Status) -> None:
    def use(url: str) -> None:
        frame = Agent(url).frame()
        said = []
        for validity in ("valid", "invalid"):
            detail = {**frame.watches[0], "validity": validity, "reasons": ["it varies"]}
            console = Console(width=150, no_color=True)
            with console.capture() as capture:
                console.print(draw(url, replace(frame, detail=detail), 10))
            said.append(capture.get())
        assert "The referee found: it varies" in said[0]
        assert "not known: it varies" in said[1]

    served(status, use)


def test_into_a_pipe_it_prints_one_frame_even_if_colour_is_forced(status: Status) -> None:
    def use(url: str) -> None:
        assert top(url, FORCE_COLOR="1", TERM="xterm").exit_code == 0

    served(status, use)


def test_a_screen_whose_agent_has_gone_says_that_it_is_old(status: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    console, frames = Console(width=150, height=40, force_terminal=True), itertools.count()
    seen: list[str] = []

    def use(url: str) -> None:
        agent = Agent(url)

        def sleep(_: float) -> None:
            agent.url = "http://127.0.0.1:1"
            if next(frames) == 1:
                raise KeyboardInterrupt

        with console.capture() as capture, pytest.raises(KeyboardInterrupt):
            show(agent, console, sleep=sleep)
        seen.append(capture.get())

    served(status, use)
    first, _, last = seen[0].partition("this is old: ")
    assert "alerting" in first
    assert "Connection refused" in last


def test_what_is_no_agent_is_no_traceback(status: Status) -> None:
    def use(url: str) -> None:
        with pytest.raises(GoldwatchError, match="HTTP 404"):
            Agent(f"{url}/nothing").frame()

    served(status, use)


def test_names_are_shown_as_they_are_written(status: Status) -> None:
    def use(url: str) -> None:
        frame = Agent(url).frame()
        frame.watches[0]["watch"] = "[red]x[/red]"  # type: ignore[index]
        console = Console(width=150, no_color=True)
        with console.capture() as capture:
            console.print(draw(url, frame, 10))
        assert "[red]x[/red]" in capture.get()

    served(status, use)
