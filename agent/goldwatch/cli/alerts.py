"""The commands for whom an alert wakes: silence."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from goldwatch.cli.base import ConfigFile, app, fail


@app.command()
def silence(
    config: ConfigFile,
    lasts: Annotated[str, typer.Option("--for", help="How long from now, such as 30m or 2h.")] = "",
    why: Annotated[str, typer.Option(help="The reason, which is shown with each alert that it silences.")] = "",
    watch: Annotated[str, typer.Option(help="The watch to silence; without it, all.")] = "",
    end: Annotated[bool, typer.Option("--end", help="End the silences that were begun by this command.")] = False,
) -> None:
    """Let nobody be called for a while: alerts are gathered and shown, and raised afterwards if they still hold."""
    from goldwatch.config import ConfigError, QuantityError, format_moment, load, parse_duration  # noqa: PLC0415
    from goldwatch.ledger import LedgerError, add_silence, end_silences  # noqa: PLC0415
    from goldwatch.silence import Silence  # noqa: PLC0415

    now = time.time()
    try:
        found = load(config)
        if end:
            count = end_silences(found.ledger, now)
            print(f"{count} silence{'' if count == 1 else 's'} ended")  # noqa: T201
            return
        if not lasts or not why:
            fail("silence for how long, and why? Write --for 2h --why 'moving the database', or --end")
        if watch and watch not in found.watches:
            fail(f'no watch is named "{watch}"; there are {", ".join(found.watches)}')
        until = now + parse_duration(lasts, low_s=1, high_s=7 * 86_400)
        add_silence(found.ledger, Silence(now, until, why, watch))
    except (ConfigError, LedgerError) as error:
        fail(str(error))
    except QuantityError as error:
        fail(f"--for: {error}")
    print(f"{watch or 'all watches'} silenced until {format_moment(until)}: {why}")  # noqa: T201
