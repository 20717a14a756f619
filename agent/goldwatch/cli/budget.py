"""The command that says, before anything runs, what will be noticed: explain-budget."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from goldwatch.cli.base import ConfigFile, app, fail


@app.command()
def explain_budget(
    config: ConfigFile,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say what the false-alarm budget buys: each monitor's threshold, what it notices, and after how many replays."""
    from goldwatch import foresight, pipeline  # noqa: PLC0415
    from goldwatch.replay.workers import Workers  # noqa: PLC0415

    workers = Workers()
    try:
        wanted = pipeline.prepare(config, workers)
        found = [foresight.outlook(assignment, workers) for assignment in wanted.assignments]
    except (pipeline.CannotStart, pipeline.UnusableSet) as error:
        fail(str(error))
    finally:
        workers.close()
    sys.stdout.write((foresight.as_json if as_json else foresight.as_text)(wanted.config, found))
