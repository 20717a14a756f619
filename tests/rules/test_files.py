"""Files that are generated, committed and linked: rules, runbooks, the example for Alertmanager."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from goldwatch.cli.app import app
from goldwatch.core.kinds import KINDS
from goldwatch.export.catalogue import CATALOGUE
from goldwatch.export.catalogue.controllers import CONTROLLERS
from goldwatch.export.metric import LABELS, Kind, pushed_label
from goldwatch.rules import FORMATS, AlertRule, RecordingRule, RuleGroup, RuleOptions, Scope, groups

from tests.programs import program

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "dashboards"
MONITORS = {kind.name for kind in KINDS}
SCOPES = [
    Scope(),
    Scope((("fraud", "eu"),), match=(("namespace", "ml"),)),
    Scope((("fraud", "eu"), ("fraud", "us"), ("next.one", "eu"))),
]
SCOPES += [replace(scope, pushed=True) for scope in SCOPES]


def all_rules(scope: Scope, *, recorded: bool = True) -> list[RecordingRule | AlertRule]:
    return [rule for group in groups(scope, recorded=recorded) for rule in group.rules]


@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize("folder", ["rules", "rules/otlp"])
def test_the_committed_rules_are_up_to_date(style: str, folder: str) -> None:
    committed = (SHIPPED / folder / f"{style}.yaml").read_text()
    generated = FORMATS[style](Scope(pushed=folder.endswith("otlp")), RuleOptions())
    assert committed.partition("\n")[2] == generated, "run: python -m goldwatch.rules dashboards/rules"


def test_each_alert_and_monitor_has_a_runbook_and_each_runbook_is_of_one() -> None:
    wanted = {rule.runbook for rule in all_rules(Scope()) if isinstance(rule, AlertRule)} | MONITORS
    assert {path.stem for path in (SHIPPED / "runbooks").glob("*.md")} == wanted


def test_whoever_is_called_is_led_to_the_runbook_of_every_monitor() -> None:
    texts = [(SHIPPED / "runbooks" / f"{severity}.md").read_text() for severity in ("page", "ticket")]
    linked = {name for text in texts for name in re.findall(r"\[(\w+)\]\(\1\.md\)", text)}
    assert linked == MONITORS


def test_a_runbook_tells_the_silence_that_reaches_its_alert() -> None:
    by_agent = {
        path.stem for path in (SHIPPED / "runbooks").glob("*.md") if "goldwatch silence CONFIG" in path.read_text()
    }
    by_prometheus = {rule.runbook for rule in all_rules(Scope()) if isinstance(rule, AlertRule)} - {"page", "ticket"}
    assert by_agent == MONITORS | {"page", "ticket"}
    for name in by_prometheus:
        assert "**Silence.** In Alertmanager" in (SHIPPED / "runbooks" / f"{name}.md").read_text()


@pytest.mark.parametrize("path", sorted((SHIPPED / "runbooks").glob("*.md")), ids=lambda path: path.stem)
def test_a_runbook_is_short_and_says_all_that_is_asked_at_night(path: Path) -> None:
    text = path.read_text()
    parts = re.findall(r"^\*\*(.+?)\.\*\*", text, re.MULTILINE)
    assert parts == ["What it means", "Check first", "Decide", "Fix", "Silence"]
    assert len(text.split()) < 250
    linked = re.findall(r"\]\((.+?\.md)\)", text)
    assert all((path.parent / name).exists() for name in linked)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("recorded", [True, False])
def test_each_metric_is_in_the_catalogue_or_recorded(scope: Scope, recorded: bool) -> None:
    known = {
        m.name + ("_bucket" if m.kind is Kind.HISTOGRAM and not scope.pushed else "")
        for m in (*CATALOGUE, *CONTROLLERS)
    }
    known |= {pushed_label(label) for label in LABELS} if scope.pushed else set()
    found = all_rules(scope, recorded=recorded)
    known |= {rule.name for rule in found if isinstance(rule, RecordingRule)}
    for rule in found:
        texts = [rule.expr] + ([rule.details] if isinstance(rule, AlertRule) else [])
        named = {name for text in texts for name in re.findall(r"(?:\w+:)?goldwatch_\w+(?::\w+)?", text)}
        assert named <= known, rule.name


def test_rules_for_otlp_use_no_label_of_a_scrape() -> None:
    for recorded in (True, False):
        for rule in all_rules(SCOPES[-1], recorded=recorded):
            queries = [rule.expr] + (re.findall("`(.*?)`", rule.details) if isinstance(rule, AlertRule) else [])
            names = {n for q in queries for n in re.findall(r"[\w:]+\b(?!\s*\()", re.sub(r'"[^"]*"', "", q))}
            assert not names & (LABELS.keys() | {"up", "le"}), rule.name


def test_a_label_that_a_metric_does_not_have_is_refused() -> None:
    with pytest.raises(KeyError, match="goldwatch_replays_total has no label outcome"):
        Scope().of(next(m for m in CATALOGUE if m.name == "goldwatch_replays_total"), outcome="ok")


@pytest.mark.parametrize("scope", SCOPES)
def test_promtool_accepts_the_rules(scope: Scope, tmp_path: Path) -> None:
    options = RuleOptions("fraud", "https://wiki", {"team": "a"})
    (tmp_path / "rules.yaml").write_text(FORMATS["prometheus"](scope, options))
    command = [program("promtool"), "check", "rules", "--lint-fatal", str(tmp_path / "rules.yaml")]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_operator_gets_the_same_groups() -> None:
    plain = yaml.safe_load(FORMATS["prometheus"](Scope(), RuleOptions()))
    resource = yaml.safe_load(FORMATS["prometheusrule"](Scope(), RuleOptions()))
    assert (resource["apiVersion"], resource["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert resource["spec"] == plain


def test_grafana_gets_the_same_alerts() -> None:
    alerts = [rule for rule in all_rules(SCOPES[2]) if isinstance(rule, AlertRule)]
    file = yaml.safe_load(FORMATS["grafana"](SCOPES[2], RuleOptions("fraud")))
    rules = [rule for group in file["groups"] for rule in group["rules"]]
    titles = [f"fraud: {alert.name}" for alert in alerts]
    assert [rule["title"] for rule in rules] == titles
    assert len({rule["uid"] for rule in rules}) == len(rules)
    for rule in rules:
        assert re.fullmatch(r"[a-z0-9-]{1,40}", rule["uid"])
        assert "watch_target:" not in rule["data"][0]["model"]["expr"], "Grafana has no recording rules of ours"
        told = str(rule["annotations"])
        assert "| query" not in told, "Grafana's templates cannot ask for other series"
        assert "$value" not in told, "the value is always 1"
    assert [group.name for group in groups(SCOPES[2], recorded=False)] == [
        group["name"].removeprefix("fraud-") for group in file["groups"]
    ]


def test_the_example_for_alertmanager_is_accepted() -> None:
    command = [program("amtool"), "check-config", str(SHIPPED / "alertmanager/alertmanager.yaml")]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize(
    ("severity", "receiver"),
    [("page", "on-call"), ("critical", "on-call"), ("ticket", "owners"), ("warning", "owners"), ("info", "nobody")],
)
def test_the_example_delivers_renamed_severities_too(severity: str, receiver: str) -> None:
    config = f"--config.file={SHIPPED / 'alertmanager/alertmanager.yaml'}"
    command = [program("amtool"), "config", "routes", "test", config, "alertname=GoldwatchPage", f"severity={severity}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == receiver


def test_the_gates_ask_for_metrics_of_the_catalogue() -> None:
    known = {metric.name for metric in CATALOGUE}
    for path in (SHIPPED / "rollouts").glob("*.yaml"):
        text = path.read_text()
        assert all("kind" in document for document in yaml.safe_load_all(text))
        named = set(re.findall(r"goldwatch_\w+(?=\{)", text))
        assert named
        assert named <= known


@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize("source", ["scrape", "otlp"])
def test_the_command_writes_the_rules_of_a_config(style: str, source: str) -> None:
    config = ROOT / "examples/digits.yaml"
    arguments = ["rules", str(config), "--format", style, "--label", "team=fraud", "--runbooks", "https://wiki/r"]
    found = CliRunner().invoke(app, [*arguments, "--source", source])
    assert found.exit_code == 0, found.output
    (pair,) = {(watch, target) for watch in ("digits",) for target in ("digits",)}
    scope = Scope((pair,), pushed=source == "otlp")
    assert found.output == FORMATS[style](scope, RuleOptions("digits", "https://wiki/r", {"team": "fraud"}))


def test_a_label_that_is_none_is_refused() -> None:
    found = CliRunner().invoke(app, ["rules", str(ROOT / "examples/digits.yaml"), "--label", "team"])
    assert found.exit_code == 2
    assert '--label "team" is not NAME=VALUE, such as team=fraud' in found.output


@pytest.mark.parametrize("name", ["severity", "model", "watch", "target", "alertname", "monitor"])
def test_a_label_that_alerts_are_routed_by_is_not_replaced(name: str) -> None:
    found = CliRunner().invoke(app, ["rules", str(ROOT / "examples/digits.yaml"), "--label", f"{name}=page"])
    assert found.exit_code == 2
    assert f'--label "{name}=page": the alerts set {name} themselves; choose another name' in found.output


def test_rules_are_limited_to_a_namespace() -> None:
    config = ROOT / "examples/digits.yaml"
    found = CliRunner().invoke(app, ["rules", str(config), "--match", "namespace=ml"])
    assert found.output == FORMATS["prometheus"](
        Scope((("digits", "digits"),), match=(("namespace", "ml"),)), RuleOptions("digits")
    )
    found = CliRunner().invoke(app, ["rules", str(config), "--source", "otlp", "--match", "namespace=ml"])
    assert (found.exit_code, "write job=NAMESPACE/NAME" in found.output) == (2, True)
    found = CliRunner().invoke(app, ["rules", str(config), "--match", "team=fraud"])
    assert found.exit_code == 2
    assert '--match "team=fraud": rules can be limited by cluster, namespace and job; choose one' in found.output


def test_each_alert_links_to_its_runbook() -> None:
    rules = yaml.safe_load(FORMATS["prometheus"](Scope(), RuleOptions()))
    alerts = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    assert [rule["alert"] for rule in alerts if "/runbooks/" not in rule["annotations"]["runbook_url"]] == []


def test_severities_are_renamed_for_the_receiver() -> None:
    arguments = ["rules", str(ROOT / "examples/digits.yaml"), "--severity", "page=critical"]
    found = CliRunner().invoke(app, arguments)
    rules = [rule for group in yaml.safe_load(found.output)["groups"] for rule in group["rules"] if "alert" in rule]
    assert {rule["alert"]: rule["labels"]["severity"] for rule in rules}["GoldwatchPage"] == "critical"
    assert {rule["labels"]["severity"] for rule in rules} == {"critical", "ticket"}


def test_a_severity_that_is_none_of_ours_is_refused() -> None:
    found = CliRunner().invoke(app, ["rules", str(ROOT / "examples/digits.yaml"), "--severity", "info=low"])
    assert found.exit_code == 2
    assert '--severity "info=low": the severities are page and ticket; write page=critical' in found.output


def test_the_generator_writes_what_is_committed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "goldwatch.rules", str(tmp_path)], check=True, timeout=60)
    written = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.yaml")}
    assert written == {path: (SHIPPED / "rules" / path).read_text() for path in written}
    assert {str(path) for path in written} == {f"{at}{style}.yaml" for at in ("", "otlp/") for style in FORMATS}


def test_groups_have_names_of_their_own() -> None:
    names = [group.name for group in groups(Scope())]
    assert len(set(names)) == len(names)
    assert all(isinstance(group, RuleGroup) for group in groups(Scope()))
