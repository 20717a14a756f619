"""The commands about the effective config, the monitors' sensitivity and past replays."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from goldwatch.cli import outputs
from goldwatch.cli.base import TOOLS, WATCH, ConfigFile, TargetName, WatchName, app, put, select
from goldwatch.cli.progress import steps


@app.command(rich_help_panel=TOOLS)
def explain(
    config: ConfigFile,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Print the whole effective config, and where each value comes from: a line, a convention, or the default."""
    from dataclasses import asdict  # noqa: PLC0415

    from goldwatch.config.effective import as_yaml, effective  # noqa: PLC0415

    settings = effective(config)
    if as_json:
        put(json.dumps([asdict(setting) for setting in settings], indent=2))
    else:
        put(as_yaml(settings))


@app.command(rich_help_panel=WATCH)
def explain_budget(
    config: ConfigFile,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say what the false-alarm budget buys: each monitor's threshold, what it notices, and after how many replays."""
    from goldwatch.commands import foresight  # noqa: PLC0415
    from goldwatch.daemon import in_force  # noqa: PLC0415
    from goldwatch.ipc.workers import Workers  # noqa: PLC0415

    workers = Workers()
    try:
        wanted = in_force.prepare(config, workers)
        found = [foresight.outlook(assignment, workers) for assignment in wanted.assignments]
    finally:
        workers.close()
    put((foresight.as_json if as_json else foresight.as_text)(wanted.config, found))


@app.command(rich_help_panel=WATCH)
def backtest(
    config: ConfigFile,
    history: Annotated[
        Path | None, typer.Option(help="A ledger, or a table in CSV; without it, the ledger of the config.")
    ] = None,
    watch: WatchName = "",
    target: TargetName = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    output: outputs.Outputs = None,
) -> None:
    """Play recorded replays through the monitors: which would have alerted, and when, compared with common rules."""
    from goldwatch.commands import backtest as playing  # noqa: PLC0415 - it brings numpy
    from goldwatch.commands import backtest_page, backtest_report, common_rules  # noqa: PLC0415
    from goldwatch.daemon import in_force  # noqa: PLC0415
    from goldwatch.daemon.history import History  # noqa: PLC0415
    from goldwatch.golden.opened import GoldenSet  # noqa: PLC0415
    from goldwatch.ipc.workers import Workers  # noqa: PLC0415

    files = outputs.check(output, ("table", "json", "html"))
    workers = Workers()
    try:
        wanted = in_force.prepare(config, workers)
        assignment = select(wanted, watch, target)
        golden, file = GoldenSet.open(Path(assignment.golden.path)), history or wanted.config.ledger
        is_table = file.suffix.lower() == ".csv"
        with steps(f"reading {file}"):
            if is_table:
                records = playing.from_table(file, golden.examples, assignment.ceilings)
            else:
                with History.open(file) as ledger:
                    records = playing.from_ledger(ledger, assignment)
    finally:
        workers.close()
    with steps(f"playing {len(records):,} replays") as progress:
        played = playing.play(assignment, golden, records, counts=is_table, told=progress.say)
    right, replays = golden.tensor("reference.right").sum(), sum(golden.manifest.reference.replays)
    rules = common_rules.fired(records, float(right) / (replays * golden.examples))
    title = " ".join(dict.fromkeys(assignment.key))
    forms = {
        "table": partial(backtest_report.as_text, title, played, rules),
        "json": partial(backtest_report.as_json, title, played, rules),
        "html": partial(backtest_page.as_html, title, played, rules),
    }
    put(forms["json" if as_json else "table"]())
    outputs.write(files, forms)
