"""All commands, registered. Each imports what it needs when it runs: `--help` stays quick."""

from __future__ import annotations

from typing import Annotated

import typer

from goldwatch import __version__
from goldwatch.cli.base import app

# They register their commands in the order of `--help`.
# isort: off
from goldwatch.cli import measure
from goldwatch.cli import top
from goldwatch.cli import alerts
from goldwatch.cli import explain
from goldwatch.cli import fleet
from goldwatch.cli import sweep
from goldwatch.cli import mlperf
from goldwatch.cli import golden
from goldwatch.cli import first
from goldwatch.cli import stack
from goldwatch.cli import cluster
from goldwatch.cli import about

# isort: on

__all__ = [
    "about",
    "alerts",
    "app",
    "cluster",
    "explain",
    "first",
    "fleet",
    "golden",
    "measure",
    "mlperf",
    "stack",
    "sweep",
    "top",
]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"goldwatch {__version__}")  # noqa: T201
        raise typer.Exit


@app.callback()
def _goldwatch(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Watch deployed models: replay golden sets on a schedule, alert when there is evidence."""
