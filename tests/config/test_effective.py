"""The effective config: all of it, each value with its origin, and as a file that means the same."""

from pathlib import Path

from typer.testing import CliRunner

from goldwatch.cli.app import app
from goldwatch.config import load
from goldwatch.config.effective import as_yaml, effective

CONFIG = """\
targets:
  fraud:
    probe: open-inference
    url: http://${HOST}:8000
    model: fraud
    headers: {authorization: "${TOKEN}"}
    at_most: 100 per second
golden: {fraud: ./golden/fraud}
watches:
  fraud:
    every: 10m
    objectives: {latency: 50ms at p99, errors: 0.1%}
alerts: {weights: {worse: 2}}
"""
ENVIRON = {"HOST": "model", "TOKEN": "Bearer abc"}


def written(folder: Path, text: str = CONFIG) -> Path:
    file = folder / "goldwatch.yaml"
    file.write_text(text)
    return file


def test_each_value_says_where_it_comes_from(tmp_path: Path) -> None:
    found = {".".join(map(str, s.route)): s for s in effective(written(tmp_path), ENVIRON)}
    assert found["watches.fraud.every"].origin == "line 11"
    assert found["watches.fraud.golden"].origin == "by convention"
    assert found["watches.fraud.jitter"].origin == "default, from every"
    assert found["golden.fraud.path"].origin == "line 8"
    assert found["targets.fraud.at_most"].origin == "line 7"
    assert found["alerts.weights.worse"].origin == "line 13"
    assert (found["alerts.false_alarms"].value, found["alerts.false_alarms"].origin) == ("1 per year", "default")
    assert found["targets.fraud.url"].origin == "line 4, ${HOST}"


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    text = as_yaml(effective(written(tmp_path), ENVIRON))
    assert "abc" not in text
    assert "${HOST}" in text


def test_it_is_a_config_that_means_the_same(tmp_path: Path) -> None:
    plain = CONFIG.replace("${HOST}", "model").replace('    headers: {authorization: "${TOKEN}"}\n', "")
    first = load(written(tmp_path, plain), ENVIRON)
    again = load(written(tmp_path, as_yaml(effective(tmp_path / "goldwatch.yaml", ENVIRON))), ENVIRON)
    assert again.model_dump(mode="json") | {"targets": {}} == first.model_dump(mode="json") | {"targets": {}}
    wanted, target = first.targets["fraud"], again.targets["fraud"]
    assert target.model_dump(exclude={"options"}) == wanted.model_dump(exclude={"options"})
    assert dict(target.options).items() >= dict(wanted.options).items()  # the probe's defaults are written out


def test_the_command_prints_it_or_what_is_wrong(tmp_path: Path) -> None:
    file = written(tmp_path, CONFIG.replace("${HOST}", "model").replace("${TOKEN}", "${file:token}"))
    (tmp_path / "token").write_text("Bearer abc")
    result = CliRunner().invoke(app, ["explain", str(file)])
    assert result.exit_code == 0, result.output
    assert "    every: 10m" in result.stdout
    wrong = CliRunner().invoke(app, ["explain", str(written(tmp_path, "targets: {}"))])
    assert (wrong.exit_code, "nothing was started" in wrong.stderr) == (2, True)


def test_the_time_zone_of_a_cron_line_is_shown_and_read_back(tmp_path: Path) -> None:
    text = CONFIG.replace("${HOST}", "model").replace("${TOKEN}", "${file:token}")
    (tmp_path / "token").write_text("Bearer abc")
    file = written(tmp_path, text.replace("every: 10m", "every: 0 9 * * mon-fri\n    timezone: Europe/Berlin"))
    shown = CliRunner().invoke(app, ["explain", str(file)])
    assert shown.exit_code == 0, shown.output
    assert "    timezone: Europe/Berlin" in shown.stdout
    again = CliRunner().invoke(app, ["explain", str(written(tmp_path, shown.stdout))])
    assert "    timezone: Europe/Berlin" in again.stdout, again.output
