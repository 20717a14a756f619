"""The commands about goldwatch itself: schema, doctor, demo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from goldwatch.cli.base import TOOLS, app, put


@app.command(rich_help_panel=TOOLS)
def schema() -> None:
    """Print the JSON schema of the config, for completion and checks in editors."""
    from goldwatch.config import json_schema  # noqa: PLC0415

    put(json.dumps(json_schema(), indent=2))


@app.command(rich_help_panel=TOOLS)
def doctor(
    config: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG]", help="With a config, its meters are opened too.")
    ] = None,
) -> None:
    """Say what is installed, which probes load, what is missing and the command that installs it."""
    from goldwatch.commands import doctor as examination  # noqa: PLC0415

    put(examination.report(config))


@app.command(rich_help_panel=TOOLS)
def demo(
    seconds: Annotated[float, typer.Option(min=10, help="End after this many seconds; 0 for never.")] = 0,
    language_model: Annotated[
        bool, typer.Option("--language-model", help="A language model server that gets a wrong chat template.")
    ] = False,
) -> None:
    """Watch a real model while it is silently damaged, and see the one alert that follows."""
    from goldwatch.demo import show  # noqa: PLC0415

    raise typer.Exit(show.run(seconds, language_model=language_model))
