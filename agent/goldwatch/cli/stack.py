"""The commands for Prometheus, Alertmanager and Grafana: rules, dashboards push."""

from __future__ import annotations

import json
import os
import re
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goldwatch.cli.base import CLUSTER, ConfigFile, app, fail, put

if TYPE_CHECKING:
    from goldwatch.commands.grafana import Mark

Labels = Annotated[list[str], typer.Option("--label", help="Added to each alert, such as team=fraud; may be repeated.")]
Runbooks = Annotated[str, typer.Option(help="Address of the folder of runbooks; by default alerts.runbooks.")]
Datasource = Annotated[str, typer.Option(help="The uid of the Prometheus that Grafana asks.")]
Name = Annotated[str, typer.Option(help="Tells these rules from those of other configs; by default the config's name.")]
Matches = Annotated[
    list[str],
    typer.Option("--match", help="Only agents scraped with this label, such as namespace=fraud; may be repeated."),
]
Severities = Annotated[
    list[str], typer.Option("--severity", help="Renames a severity, such as page=critical; may be repeated.")
]


_OUR_LABELS = frozenset({"alertname", "severity", "model", "watch", "target", "monitor"})
"""Alerts are routed by these: with one value for all of them, pages would go where tickets go."""


class RulesFormat(StrEnum):
    """The output of `goldwatch rules`."""

    PROMETHEUS = "prometheus"
    PROMETHEUSRULE = "prometheusrule"
    GRAFANA = "grafana"


class MetricSource(StrEnum):
    """How metrics reach Prometheus."""

    SCRAPE = "scrape"
    OTLP = "otlp"


@app.command(rich_help_panel=CLUSTER)
def rules(  # noqa: PLR0913, PLR0917 - the options of a command
    config: ConfigFile,
    style: Annotated[RulesFormat, typer.Option("--format", help="What to print.")] = RulesFormat.PROMETHEUS,
    name: Name = "",
    label: Labels = [],  # noqa: B006 - typer copies it
    match: Matches = [],  # noqa: B006 - typer copies it
    severity: Severities = [],  # noqa: B006 - typer copies it
    runbooks: Runbooks = "",
    datasource: Datasource = "prometheus",
    source: Annotated[MetricSource, typer.Option(help="How metrics reach Prometheus.")] = MetricSource.SCRAPE,
) -> None:
    """Print recording rules and alerts for the watches of a config."""
    from goldwatch.config import load  # noqa: PLC0415
    from goldwatch.rules import FORMATS, RuleOptions, scope_of  # noqa: PLC0415

    found = load(config)
    options = RuleOptions(
        name or _name(config), runbooks or found.alerts.runbooks, _labels(label), datasource, _severities(severity)
    )
    matched, pushed = _matches(match), source is MetricSource.OTLP
    if pushed and matched.keys() - {"job"}:
        fail("--match: metrics over OTLP have the namespace in the label job; write job=NAMESPACE/NAME")
    scope = scope_of(found, matched, pushed=pushed)
    put(FORMATS[style](scope, options))


def _name(config: Path) -> str:
    """Return the name of a config's rules: that of its file, in the letters that Kubernetes takes for a name."""
    return re.sub(r"[^a-z0-9]+", "-", config.stem.lower()).strip("-") or "goldwatch"


def _labels(written: list[str]) -> dict[str, str]:
    """Return labels written as NAME=VALUE."""
    labels = _pairs("--label", written, "team=fraud")
    for name in labels:
        if name in _OUR_LABELS:
            fail(f'--label "{name}={labels[name]}": the alerts set {name} themselves; choose another name')
    return labels


def _matches(written: list[str]) -> dict[str, str]:
    """Return labels of the scrape written as NAME=VALUE."""
    from goldwatch.rules import MATCHED  # noqa: PLC0415

    labels = _pairs("--match", written, "namespace=fraud")
    for name in labels:
        if name not in MATCHED:
            kept = f"{', '.join(MATCHED[:-1])} and {MATCHED[-1]}"
            fail(f'--match "{name}={labels[name]}": rules can be limited by {kept}; choose one of these')
    return labels


def _severities(written: list[str]) -> dict[str, str]:
    """Return the receiver's names of our severities, written as OURS=THEIRS."""
    renamed = _pairs("--severity", written, "page=critical")
    for ours in renamed:
        if ours not in ("page", "ticket"):
            fail(f'--severity "{ours}={renamed[ours]}": the severities are page and ticket; write page=critical')
    return renamed


def _pairs(option: str, written: list[str], example: str) -> dict[str, str]:
    pairs = [text.partition("=") for text in written]
    for name, equals, value in pairs:
        if not (equals and value and name.isidentifier() and name.isascii()):
            fail(f'{option} "{name}{equals}{value}" is not NAME=VALUE, such as {example}')
    return {name: value for name, _, value in pairs}


dashboards_app = typer.Typer(no_args_is_help=True, help="Bring dashboards, alert rules and annotations into a Grafana.")
app.add_typer(dashboards_app, name="dashboards", rich_help_panel=CLUSTER)


@dashboards_app.callback()
def _dashboards() -> None:
    """Bring dashboards, alert rules and annotations into a Grafana."""


@dashboards_app.command()
def push(  # noqa: PLR0913, PLR0917 - the options of a command
    config: ConfigFile,
    url: Annotated[str, typer.Option(envvar="GRAFANA_URL", help="The address of Grafana.")] = "http://localhost:3000",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before changing anything.")] = False,
    name: Name = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace rules of another config that have the name.")
    ] = False,
    label: Labels = [],  # noqa: B006 - typer copies it
    match: Matches = [],  # noqa: B006 - typer copies it
    severity: Severities = [],  # noqa: B006 - typer copies it
    runbooks: Runbooks = "",
    datasource: Datasource = "prometheus",
) -> None:
    """Show how a Grafana differs from our dashboards and from the rules of a config, and mend it.

    The token of a service account is read from the variable GRAFANA_TOKEN.
    """
    from goldwatch.commands import grafana  # noqa: PLC0415
    from goldwatch.config import load  # noqa: PLC0415
    from goldwatch.rules import RuleOptions, grafana_groups, scope_of  # noqa: PLC0415
    from goldwatch.shipped import shipped  # noqa: PLC0415

    found = load(config)
    options = RuleOptions(
        name or _name(config), runbooks or found.alerts.runbooks, _labels(label), datasource, _severities(severity)
    )
    boards = [json.loads(path.read_text()) for path in sorted(shipped("json").glob("*.json"))]
    api = grafana.connect(url, os.environ.get("GRAFANA_TOKEN", ""))
    marks = _marks(found.ledger, sorted(found.targets))
    changes = grafana.differences(
        api, boards, grafana_groups(scope_of(found, _matches(match)), options), marks, replace=replace
    )
    for change in changes:
        put("\n  ".join([change.what, *change.lines]))
    put(f"{len(changes)} change{'' if len(changes) == 1 else 's'}{' to make' if changes else ': all is there'}")
    if changes and not dry_run and (yes or typer.confirm("Make them?")):
        grafana.apply(changes)
        put("made")


def _marks(ledger: Path, targets: list[str]) -> list[Mark]:
    """Return the events of the last 30 days; nothing if no agent has run with this config."""
    from goldwatch.commands import grafana  # noqa: PLC0415
    from goldwatch.daemon.history import History  # noqa: PLC0415

    if not ledger.exists():
        return []
    since = time.time() - 30 * 86_400
    with History.open(ledger) as history:
        alerts = [alert for alert in history.alerts() if alert.opened_at >= since]
        events = [event for target in targets for event in history.events(target, since)]
    return list(grafana.marks_of(alerts, events))
