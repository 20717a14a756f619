"""The alerts, receivers and delays of each cause: `promtool` plays it to the rules that ship, minute by minute.

The table in docs/alerts.md is what comes out. tests/real/test_causes.py drives real agents into the same causes.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.programs import program
from tests.rules.causes import CAUSES, Cause, Phase

ROOT = Path(__file__).parents[2]
PAGE, RULES = ROOT / "docs/alerts.md", ROOT / "dashboards/rules/prometheus.yaml"
BEGIN, END = "<!-- GOLDWATCH_WRITE_PROVEN=1 python -m pytest tests/rules/test_causes.py -->\n", "<!-- end -->\n"
HEAD = ["cause", "alert", "severity", "receiver", "fires after", "ends when", "ends after"]
FIRING = 'ALERTS{alertstate="firing"}'


@pytest.mark.slow
def test_the_table_of_causes_is_up_to_date(tmp_path: Path) -> None:
    rows = [row for cause in CAUSES for row in rows_of(cause, tmp_path)]
    assert {row[1].strip("`") for row in rows} == alerts()
    lines = ["| " + " | ".join(row) + " |\n" for row in [HEAD, ["---"] * len(HEAD), *rows]]
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    table, _, after = rest.partition(END)
    if os.environ.get("GOLDWATCH_WRITE_PROVEN"):
        PAGE.write_text(f"{before}{BEGIN}{''.join(lines)}{END}{after}")
    else:
        assert table == "".join(lines), f"run the command in {PAGE.name}"


def alerts() -> set[str]:
    return {rule["alert"] for rule in rules() if "alert" in rule}


def rules() -> Iterator[dict[str, str]]:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        yield from group["rules"]


def rows_of(cause: Cause, folder: Path) -> Iterator[list[str]]:
    """Yield a row for each alert of a cause. Fails if there is another, or one twice."""
    firing = {minute: list(found) for minute, found in fired(cause, folder).items()}
    names = {labels["alertname"] for found in firing.values() for labels in found}
    assert names == set(cause.alerts), cause.text
    for name, ending in cause.alerts.items():
        at = [m for m, found in firing.items() if name in [labels["alertname"] for labels in found]]
        labels = firing[at[0]][0]
        assert all(len([x for x in firing[m] if x["alertname"] == name]) == 1 for m in at), (
            f"{cause.text}: {name} twice"
        )
        assert labels["namespace"] == "ml", f"{cause.text}: {name} cannot be routed by its namespace"
        assert at == list(range(at[0], at[-1] + 1, cause.step)), f"{cause.text}: {name} flaps"
        ends = cause.begins + cause.lasts
        assert (at[0] < cause.begins) == (name in cause.held), cause.text
        assert ends - cause.step <= at[-1] < ends + cause.after - cause.step, (
            f"{cause.text}: {name} ends too early or late"
        )
        after = "stays open" if name in cause.held else duration(at[0] - cause.begins)
        severity = next(x["severity"] for x in firing[at[0]] if x["alertname"] == name)
        yield [
            cause.text, f"`{name}`", severity, receiver(name, severity), after, ending,
            duration(at[-1] + cause.step - ends),
        ]  # fmt: skip


def fired(cause: Cause, folder: Path) -> dict[int, list[dict[str, str]]]:
    """Return the labels of the alerts that fire, by the minute.

    The test expects that none fires at any minute; promtool prints those that do.
    """
    end = cause.begins + cause.lasts + cause.after
    asked = [
        {"expr": FIRING, "eval_time": f"{m}m", "exp_samples": []} for m in range(cause.begins - 10, end, cause.step)
    ]
    series = [{"series": name, "values": written(values, cause.step)} for name, values in cause.series.items()]
    test = {"interval": f"{cause.step}m", "input_series": series, "promql_expr_test": asked}
    order = [group["name"] for group in yaml.safe_load(RULES.read_text())["groups"]]  # or promtool draws one
    about = {"rule_files": [str(RULES)], "evaluation_interval": f"{cause.step}m", "group_eval_order": order}
    (folder / "causes.yaml").write_text(yaml.safe_dump(about | {"tests": [test]}))
    command = [program("promtool"), "test", "rules", str(folder / "causes.yaml")]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    output = said.stdout + said.stderr
    found = re.findall(r"time: (\S+),\n\s+exp: nil\n\s+got: (.*)", output)
    assert found, output
    return {minutes(time): list(series_in(got)) for time, got in found}


def written(values: Iterable[Phase], step: int) -> str:
    """Return samples in promtool's notation; a series that ends gets a staleness marker."""
    text, there = [], False
    for sample, lasts in values:
        count = lasts // step
        if sample is not None:
            text.append(f"{sample}x{count - 1}" if "+" in sample else f"{sample}+0x{count - 1}")
        else:
            text.append(f"stale _x{count - 1}" if there else f"_x{count}")
        there = sample is not None
    return " ".join(text)


def minutes(text: str) -> int:
    units = {"d": 1440, "h": 60, "m": 1, "s": 0}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([dhms])", text))


def series_in(text: str) -> Iterator[dict[str, str]]:
    for labels in re.findall(r"\{(.*?)\} 1E\+00", text):
        yield dict(re.findall(r'(\w+)="(.*?)"', labels))


def duration(minutes: int) -> str:
    if not minutes:
        return "at once"
    hours, rest = divmod(minutes, 60)
    return " ".join(f"{n} {unit}" for n, unit in ((hours, "h"), (rest, "min")) if n)


def receiver(name: str, severity: str) -> str:
    """Return the receiver of an alert by the example for Alertmanager."""
    config = ROOT / "dashboards/alertmanager/alertmanager.yaml"
    command = [program("amtool"), "config", "routes", "test", f"--config.file={config}"]
    found = subprocess.run(
        [*command, f"alertname={name}", f"severity={severity}"], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()
