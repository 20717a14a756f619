"""The commands for the on-call engineer: alert, replay, silence, relearn."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer

from goldwatch.cli.base import (
    WATCH,
    ConfigFile,
    TargetName,
    WatchName,
    app,
    fail,
    pick,
    pick_target,
    put,
    select,
    watch_names,
)


@app.command(rich_help_panel=WATCH)
def alert(
    config: ConfigFile,
    number: Annotated[int, typer.Argument(metavar="[N]", help="The alert's number; without it, the newest.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Show an alert: what changed, since when, the examples that flipped. The agent may be running or not."""
    from goldwatch.commands.alert_report import alert_text  # noqa: PLC0415
    from goldwatch.config import load  # noqa: PLC0415
    from goldwatch.daemon.history import History  # noqa: PLC0415
    from goldwatch.daemon.status import Status  # noqa: PLC0415

    ledger = load(config).ledger
    with History.open(ledger) as history:
        newest = history.alerts(limit=1)
        found = history.alert(number) if number else (newest[0] if newest else None)
    if found is None:
        fail(f"there is no alert {number}" if newest else "there has been no alert")
    if as_json:
        put(json.dumps(Status(ledger, lambda: None).alert(found.number), indent=2))
    else:
        put(alert_text(found))


@app.command(rich_help_panel=WATCH)
def replay(
    config: ConfigFile,
    examples: Annotated[str, typer.Option(help="The examples to replay, such as 17,203,911.")],
    watch: WatchName = "",
    target: TargetName = "",
) -> None:
    """Replay some examples now, and show each answer with its reference. Nothing is recorded."""
    from goldwatch.commands.alert_report import rerun_text  # noqa: PLC0415
    from goldwatch.commands.rerun import rerun  # noqa: PLC0415
    from goldwatch.daemon.in_force import prepare  # noqa: PLC0415
    from goldwatch.ipc.workers import Workers  # noqa: PLC0415

    numbers = examples.replace(",", " ").split()
    if not numbers or not all(number.isascii() and number.isdigit() for number in numbers):
        fail(f'--examples: "{examples}" is not a list of examples; write their numbers, such as 17,203,911')
    workers = Workers()
    try:
        assignment = select(prepare(config, workers), watch, target)
        put(rerun_text(rerun(assignment, [int(number) for number in numbers], workers)))
    finally:
        workers.close()


@app.command(rich_help_panel=WATCH)
def silence(
    config: ConfigFile,
    lasts: Annotated[str, typer.Option("--for", help="How long from now, such as 30m or 2h.")] = "",
    why: Annotated[str, typer.Option(help="The reason, which is shown with each alert that it silences.")] = "",
    watch: Annotated[str, typer.Option(help="The watch to silence; without it, all.", autocompletion=watch_names)] = "",
    end: Annotated[bool, typer.Option("--end", help="End the silences that were begun by this command.")] = False,
) -> None:
    """Mute notifications for a while: alerts are gathered and shown, and raised afterwards if they still hold."""
    from goldwatch.config import QuantityError, format_moment, load, parse_duration  # noqa: PLC0415
    from goldwatch.daemon.ledger import add_silence, end_silences  # noqa: PLC0415
    from goldwatch.daemon.silence import Silence  # noqa: PLC0415

    now = time.time()
    try:
        found = load(config)
        if end:
            count = end_silences(found.ledger, now)
            put(f"{count} silence{'' if count == 1 else 's'} ended")
            return
        if not lasts or not why:
            fail("silence for how long, and why? Write --for 2h --why 'moving the database', or --end")
        if watch and watch not in found.watches:
            fail(f'no watch is named "{watch}"; there are {", ".join(found.watches)}')
        until = now + parse_duration(lasts, low_s=1, high_s=7 * 86_400)
        add_silence(found.ledger, Silence(now, until, why, watch))
    except QuantityError as error:
        fail(f"--for: {error}")
    put(f"{watch or 'all watches'} silenced until {format_moment(until)}: {why}")


@app.command(rich_help_panel=WATCH)
def relearn(
    config: ConfigFile,
    watch: WatchName = "",
    target: TargetName = "",
) -> None:
    """Forget what is usual, and learn it again. The agent may be running.

    That is how long replays take, what they cost, and with `live.learn` the values of live traffic.
    """
    from goldwatch.config import load  # noqa: PLC0415
    from goldwatch.core.kinds import KINDS  # noqa: PLC0415
    from goldwatch.daemon.ledger import forget  # noqa: PLC0415

    found = load(config)
    wanted = pick(found, watch)
    name = pick_target(wanted, target)
    learned = [kind.name for kind in KINDS if kind.relearns(wanted)]
    knew = [monitor for monitor in learned if forget(found.ledger, monitor, wanted.name, name)]
    put(f"{wanted.name} {name}: {'learning again from the next replay on' if knew else 'nothing had been learned'}")
