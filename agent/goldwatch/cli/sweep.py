"""The command that looks for the highest rate at which a target keeps its latency objective."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from goldwatch.cli import outputs
from goldwatch.cli.base import COMPARE, ConfigFile, TargetName, WatchName, app, fail, put, select
from goldwatch.cli.progress import steps

if TYPE_CHECKING:
    from goldwatch.commands.sweep import SweepStep


@app.command(rich_help_panel=COMPARE)
def sweep(  # noqa: PLR0913, PLR0917 - the options of a command
    config: ConfigFile,
    max_rate: Annotated[str, typer.Option(help="The highest rate that may be tried, such as '500 per second'.")],
    min_rate: Annotated[str, typer.Option(help="The lowest; without it, a sixteenth of the highest.")] = "",
    watch: WatchName = "",
    target: TargetName = "",
    within: Annotated[str, typer.Option(help="How near to find it, such as 3% or 0.03; 1% at least.")] = "5%",
    step: Annotated[str, typer.Option(help="The shortest replay at one rate.")] = "10s",
    longest_step: Annotated[
        str, typer.Option(help="The longest, where requests in a queue depend on each other and more are needed.")
    ] = "2m",
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    output: outputs.Outputs = None,
) -> None:
    """Find the highest rate within the latency limit: exit code 0 found, 1 none, 2 not measured, 3 unusable config."""
    from goldwatch.commands import sweep as sweeping  # noqa: PLC0415
    from goldwatch.commands import sweep_page, sweep_report  # noqa: PLC0415
    from goldwatch.config import parse_duration, parse_percentage, parse_request_rate  # noqa: PLC0415
    from goldwatch.daemon import in_force  # noqa: PLC0415
    from goldwatch.ipc.workers import Workers  # noqa: PLC0415

    highest = parse_request_rate(max_rate)
    lowest = parse_request_rate(min_rate) if min_rate else highest / 16
    step_s = parse_duration(step, 0.1, 3600)
    longest_s = parse_duration(longest_step, 0.1, 86_400)
    if longest_s < step_s:
        fail(f"--longest-step {longest_step} is less than --step {step}")
    if lowest > highest:
        fail(f"--min-rate {min_rate} is more than --max-rate {max_rate}")
    try:
        near = parse_percentage(within) if within.endswith("%") else float(within)
    except ValueError:
        near = math.nan
    if not 0.01 <= near <= 1:
        fail(f"--within {within} is not between 1% and 100%; write 5% or 0.05")
    wanted = sweeping.SweepOptions(lowest, highest, near, step_s, longest_s)
    files = outputs.check(output, ("table", "json", "html"))
    workers = Workers()
    try:
        assignment = select(in_force.prepare(config, workers), watch, target)
        if not as_json:
            put(sweep_report.head(assignment))
        with steps("replaying at rising rates") as progress:

            def tell(step: SweepStep) -> None:
                if not as_json:
                    put(sweep_report.row(step))
                progress.say(f"{step.rate_per_s:,.4g} per second: {step.word}; replaying at the next rate")

            found = sweeping.sweep(assignment, workers, wanted, tell=tell)
    finally:
        workers.close()
    put(sweep_report.as_json(found) if as_json else f"  {sweep_report.in_words(found)}\n")
    forms = {
        "table": partial(sweep_report.as_text, found),
        "json": partial(sweep_report.as_json, found),
        "html": partial(sweep_page.as_html, found),
    }
    outputs.write(files, forms, sweep_report.exit_code(found))
