"""The live screen of a running agent: top."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from goldwatch.cli.base import WATCH, app, watch_names


@app.command(rich_help_panel=WATCH)
def top(
    place: Annotated[
        str, typer.Argument(metavar="CONFIG|URL", help="The config of an agent on this machine, or an agent's address.")
    ] = "goldwatch.yaml",
    watch: Annotated[
        str,
        typer.Option(
            help="The watch to show in detail; without it, the one in most trouble.", autocompletion=watch_names
        ),
    ] = "",
    every: Annotated[float, typer.Option(min=0.5, max=3600, help="Seconds between two frames.")] = 2,
    once: Annotated[bool, typer.Option("--once", help="Print one frame and end, as into a pipe.")] = False,
) -> None:
    """Watch a running agent: its watches, those in trouble first, their evidence, and one of them in detail.

    A bearer token is read from the config or, with an address, from the variable GOLDWATCH_TOKEN.
    """
    from rich.console import Console  # noqa: PLC0415 - `--help` stays quick

    from goldwatch.commands import top as screen  # noqa: PLC0415
    from goldwatch.config import load  # noqa: PLC0415

    is_address = place.startswith(("http://", "https://"))
    url, token = (place, os.environ.get("GOLDWATCH_TOKEN", "")) if is_address else screen.address_of(load(Path(place)))
    console = Console()
    once = once or not sys.stdout.isatty() or console.is_dumb_terminal  # colour may be forced into a pipe
    try:
        screen.show(screen.Agent(url, token), console, watch, every, once=once)
    except KeyboardInterrupt:
        raise typer.Exit from None
