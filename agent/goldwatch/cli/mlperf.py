"""The command that lets MLPerf's own LoadGen judge."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from goldwatch.cli.base import COMPARE, ConfigFile, app, fail, put


class Scenario(StrEnum):
    """LoadGen's scenarios, by its names."""

    SINGLE_STREAM = "SingleStream"
    MULTI_STREAM = "MultiStream"
    SERVER = "Server"
    OFFLINE = "Offline"


class Mode(StrEnum):
    """The goal of a test."""

    PERFORMANCE = "performance"
    ACCURACY = "accuracy"


@app.command(rich_help_panel=COMPARE)
def mlperf(  # noqa: PLR0913, PLR0917 - the options of a command
    config: ConfigFile,
    scenario: Annotated[Scenario, typer.Option(help="How LoadGen issues queries.")],
    mode: Annotated[Mode, typer.Option(help="Measure speed, or every example once and its answer.")] = Mode.PERFORMANCE,
    output: Annotated[Path, typer.Option(help="The folder for LoadGen's logs: DIR/WATCH/TARGET.")] = Path("mlperf"),
    min_duration: Annotated[str, typer.Option(help="LoadGen's min_duration; official tests take 10m.")] = "10s",
    min_queries: Annotated[int, typer.Option(min=1, help="LoadGen's min_query_count.")] = 100,
    target_qps: Annotated[
        float | None, typer.Option(min=0.001, help="Server: the rate (LoadGen's own: 1). Offline: the rate expected.")
    ] = None,
    target_latency: Annotated[str, typer.Option(help="Server: the limit for 99 % of the latencies.")] = "100ms",
    audit: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="The audit.config of a compliance test, which changes settings."
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Examples in one request, where a query has several.")] = 1,
) -> None:
    """Run MLPerf's LoadGen over every watch: exit code 0 VALID, 1 INVALID, 2 could not measure, 3 unusable config."""
    from goldwatch.commands import gate  # noqa: PLC0415
    from goldwatch.commands import mlperf as referee  # noqa: PLC0415
    from goldwatch.config import parse_duration  # noqa: PLC0415
    from goldwatch.daemon import in_force  # noqa: PLC0415
    from goldwatch.ipc.jobs import LoadGenSettings  # noqa: PLC0415
    from goldwatch.ipc.workers import Workers  # noqa: PLC0415

    duration_s = parse_duration(min_duration, 0.1, 86_400)
    latency_s = parse_duration(target_latency, 1e-6, 3600)
    wanted = LoadGenSettings(
        scenario, mode, duration_s, min_queries, batch, target_qps, latency_s, str(audit.absolute()) if audit else None
    )
    workers, results = Workers(), []
    try:
        for assignment in in_force.prepare(config, workers).assignments:
            tested = referee.test(assignment, workers, wanted, output)
            put(referee.as_text(tested, wanted))
            results.append(tested.result)
    except OSError as error:
        fail(f"{output}: the logs cannot be written: {error.strerror or error}")
    finally:
        workers.close()
    raise typer.Exit(gate.EXIT_CODES[gate.worst(results)])
