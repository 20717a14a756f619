from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from goldwatch.config import Config, Listen, Load, Objectives, Schedule

from tests.config.conftest import Load as LoadText
from tests.config.fakes import START


def test_the_ten_line_start_has_every_default(load_text: LoadText, tmp_path: Path) -> None:
    config = load_text(START)
    target = config.targets["fraud"]
    assert (target.probe, target.factory, target.served, target.warm) == ("open-inference", "fakes:Served", True, False)
    assert dict(target.options) == {"url": "http://localhost:8000", "model": "fraud"}
    assert target.secret_options == {"token", "secret_headers"}
    assert config.golden["fraud-2026q3"].path == tmp_path / "golden/fraud-2026q3"
    watch = config.watches["fraud"]
    assert (watch.golden, watch.targets) == ("fraud-2026q3", ("fraud",))
    assert watch.every == Schedule(interval_s=300.0)
    assert (watch.jitter_s, watch.deadline_s) == (30.0, 240.0)
    assert watch.load == Load(scenario="single-stream", warmup=10, time_limit=2.0, start_limit=60.0)
    assert watch.objectives.accuracy_loss == 0.01
    assert watch.objectives.error_rate == 0.001
    assert watch.objectives.latency is not None
    assert (watch.objectives.latency.limit_s, watch.objectives.latency.quantile) == (0.05, 0.99)
    assert config.alerts.false_alarms_per_year == 1.0
    assert config.exporters.prometheus.listen == Listen("", 9870)
    assert config.exporters.otlp is None
    assert config.ledger == tmp_path / "goldwatch.db"
    assert (config.log.format, config.log.level) == ("human", "info")
    assert config.source == Path("goldwatch.yaml")


def test_less_is_enough(load_text: LoadText) -> None:
    config = load_text(
        "targets: {a: {probe: onnx-runtime, file: m.onnx}}\ngolden: {b: {path: g}}\nwatches:\n  w:\nexporters:\n"
    )
    watch = config.watches["w"]
    assert (watch.golden, watch.targets, watch.every.interval_s) == ("b", ("a",), 300.0)
    assert watch.objectives == Objectives()


def test_a_name_like_the_watch_is_taken_before_others(load_text: LoadText) -> None:
    two = "targets: {a: {probe: onnx-runtime, file: m}, b: {probe: onnx-runtime, file: m}}\ngolden: {a: g, b: g}\n"
    config = load_text(
        f"{two}watches: {{b: {{}}, both: {{golden: a, targets: [a, b]}}, one: {{golden: b, target: a}}}}"
    )
    assert [(w.golden, w.targets) for w in config.watches.values()] == [
        ("b", ("b",)),
        ("a", ("a", "b")),
        ("b", ("a",)),
    ]


@pytest.mark.parametrize(
    ("written", "jitter_s", "deadline_s"),
    [
        ("every: 10s", 1.0, 8.0),
        ("every: 6h", 30.0, 3600.0),
        ("every: 6h, jitter: 5m, deadline: 2h", 300.0, 7200.0),
        ("every: 1m, jitter: 0s", 0.0, 48.0),
        ('every: "*/5 * * * mon-fri"', 0.0, 3600.0),
    ],
)
def test_jitter_and_deadline_follow_the_schedule(
    load_text: LoadText, written: str, jitter_s: float, deadline_s: float
) -> None:
    watch = load_text(START.replace("    every: 5m", f"    <<: {{{written}}}")).watches["fraud"]
    assert (watch.jitter_s, watch.deadline_s) == (jitter_s, deadline_s)


def test_anchors_and_merge_keys(load_text: LoadText) -> None:
    config = load_text("""\
targets:
  a: &base {probe: open-inference, url: http://a, retries: 3}
  b: {<<: *base, url: http://b}
golden: {g: g}
watches: {a: {}, b: {}}
""")
    assert dict(config.targets["b"].options) == {"url": "http://b", "retries": 3}


def test_references(load_text: LoadText, tmp_path: Path) -> None:
    (tmp_path / "name.txt").write_text("fraud\n")
    text = START.replace(
        "    model: fraud", "    retries: ${N}\n    model: ${file:name.txt}-${A:-x}-$$-$5\n    share: 1"
    )
    options = load_text(text, {"N": "3", "A": ""}).targets["fraud"].options
    assert dict(options) == {"url": "http://localhost:8000", "retries": 3, "model": "fraud-x-$-$5", "share": 1.0}
    assert "${file:name.txt}-${A:-x}" in repr(options)


def test_paths_are_absolute(load_text: LoadText, tmp_path: Path) -> None:
    text = START.replace(
        "open-inference\n    url: http://localhost:8000\n    model: fraud", "onnx-runtime\n    file: m/x.onnx"
    )
    assert load_text(text).targets["fraud"].options["file"] == str(tmp_path / "m/x.onnx")


def test_names_may_look_like_other_types(load_text: LoadText) -> None:
    config = load_text("targets: {8: {probe: onnx-runtime, file: f}}\ngolden: {no: g}\nwatches: {on: }\n")
    assert (config.watches["on"].golden, config.watches["on"].targets) == ("no", ("8",))


def test_the_effective_config_is_json_as_people_write_it(load_text: LoadText) -> None:
    config: Config = load_text(START)
    written = config.watches["fraud"].model_dump(mode="json", by_alias=True)
    assert written["every"] == "5m"
    assert written["load"]["time_limit"] == "2s"
    objectives: dict[str, object] = {
        "accuracy": "no worse than 1 point",
        "errors": "0.1%",
        "latency": "50ms at p99",
        "outputs": None,
        "slowdown": None,
        "energy": None,
        "cost": None,
        "scores": {},
        "gap": None,
    }
    assert written["objectives"] == objectives


def test_importing_the_config_imports_no_numpy() -> None:
    code = "import sys, goldwatch.config; sys.exit('numpy' in sys.modules or 'apscheduler' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_golden_set_that_is_fetched_has_a_folder_for_each_digest(load_text: LoadText, tmp_path: Path) -> None:
    digest = "sha256:" + "5ce757ab9d4f" + "0" * 52
    entry = f"{{url: 'https://host/sets/fraud', digest: '{digest}', headers: {{authorization: 'Bearer ${{TOKEN}}'}}}}"
    text = START.replace("./golden/fraud-2026q3", entry)
    config = load_text(text, {"TOKEN": "s3cret", "STATE_DIRECTORY": "/state"})
    golden = config.golden["fraud-2026q3"]
    assert golden.path == Path("/state/golden/fraud-2026q3-5ce757ab9d4f")
    assert golden.headers["authorization"].get_secret_value() == "Bearer s3cret"
    assert "s3cret" not in str(config.model_dump())
    kept = load_text(text.replace("{url", "{path: here, url"), {"TOKEN": "s3cret"}).golden["fraud-2026q3"]
    assert kept.path == tmp_path / "here"
