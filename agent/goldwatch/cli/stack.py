"""The commands for Prometheus, Alertmanager and Grafana: rules."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from goldwatch.cli.base import ConfigFile, app, fail

Labels = Annotated[list[str], typer.Option("--label", help="Added to each alert, such as team=fraud; may be repeated.")]
Runbooks = Annotated[str, typer.Option(help="Address of the folder of runbooks; by default alerts.runbooks.")]
Datasource = Annotated[str, typer.Option(help="The uid of the Prometheus that Grafana asks.")]


class RulesFormat(StrEnum):
    """What `goldwatch rules` prints."""

    PROMETHEUS = "prometheus"
    PROMETHEUSRULE = "prometheusrule"
    GRAFANA = "grafana"


@app.command()
def rules(
    config: ConfigFile,
    style: Annotated[RulesFormat, typer.Option("--format", help="What to print.")] = RulesFormat.PROMETHEUS,
    name: Annotated[str, typer.Option(help="Tells these rules from those of other configs.")] = "goldwatch",
    label: Labels = [],  # noqa: B006 - typer copies it
    runbooks: Runbooks = "",
    datasource: Datasource = "prometheus",
) -> None:
    """Print recording rules and alerts for the watches of a config."""
    from goldwatch.config import ConfigError, load  # noqa: PLC0415
    from goldwatch.rules import FORMATS, Options, scope_of  # noqa: PLC0415

    try:
        found = load(config)
    except ConfigError as error:
        fail(str(error))
    options = Options(name, runbooks or found.alerts.runbooks, _labels(label), datasource)
    sys.stdout.write(FORMATS[style](scope_of(found), options))


def _labels(written: list[str]) -> dict[str, str]:
    """Return labels written as NAME=VALUE."""
    pairs = [text.partition("=") for text in written]
    for name, equals, value in pairs:
        if not (equals and value and name.isidentifier() and name.isascii()):
            fail(f'--label "{name}{equals}{value}" is not NAME=VALUE, such as team=fraud')
    return {name: value for name, _, value in pairs}
