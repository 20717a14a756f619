"""The command for fleets of many models: fleet."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from goldwatch.cli.base import WATCH, app, fail, put


@app.command(rich_help_panel=WATCH)
def fleet(
    prometheus: Annotated[
        str,
        typer.Argument(metavar="URL", help="The Prometheus that scrapes the agents, such as http://prometheus:9090."),
    ],
    limit: Annotated[
        int, typer.Option(min=1, max=1000, help="The most monitors to show, those with most evidence first.")
    ] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """Rank the monitors of all models by their evidence together: which of them are significant among all.

    A bearer token, if the server wants one, is read from the variable PROMETHEUS_TOKEN.
    """
    from goldwatch.commands import fleet as whole  # noqa: PLC0415

    token = os.environ.get("PROMETHEUS_TOKEN")
    found = whole.read(prometheus, {"Authorization": f"Bearer {token}"} if token else {}, limit)
    if not found.monitors:
        fail(f"{prometheus} knows no evidence of any monitor; does it scrape the agents?")
    put((whole.as_json if as_json else whole.as_text)(found))
