from __future__ import annotations

from pathlib import Path

import pytest

from goldwatch.config import ConfigError

from tests.config.conftest import Load
from tests.config.fakes import START

CANARY = "s3cr3t-canary"
OTLP = "exporters:\n  otlp:\n    endpoint: http://c:4318\n    headers: {authorization: 'Bearer ${TOKEN}'}\n"
WITH_SECRETS = START.replace("    model: fraud", "    token: ${TOKEN}") + OTLP


def test_a_secret_is_there_and_never_seen(load_text: Load) -> None:
    config = load_text(WITH_SECRETS, {"TOKEN": CANARY})
    target, otlp = config.targets["fraud"], config.exporters.otlp
    assert target.options["token"] == CANARY
    assert otlp is not None
    assert otlp.headers["authorization"].get_secret_value() == f"Bearer {CANARY}"
    for seen in (repr(config), str(config), repr(target.options), str(config.model_dump()), config.model_dump_json()):
        assert CANARY not in seen
        assert "**********" in seen


def test_the_variables_that_hold_secrets_are_known(load_text: Load) -> None:
    text = WITH_SECRETS.replace("endpoint: http://c:4318", "endpoint: ${ENDPOINT}")
    config = load_text(text, {"TOKEN": CANARY, "ENDPOINT": "http://c:4318"})
    assert config.secret_variables == {"TOKEN"}


def test_a_secret_is_text_whatever_it_looks_like(load_text: Load) -> None:
    config = load_text(WITH_SECRETS, {"TOKEN": "0123"})
    assert config.targets["fraud"].options["token"] == "0123"


@pytest.mark.parametrize(
    "written",
    [
        "retries: ${TOKEN}",
        "warm: ${TOKEN}",
        "probe: ${TOKEN}",
        "url: ${TOKEN}",  # the probe's own check quotes it
        "headers: ${TOKEN}",
        "headers: {a: {b: '${TOKEN}'}}",
        "modle: ${TOKEN}",
        "token: [[{a: '${TOKEN}'}]]",
    ],
)
def test_no_problem_of_a_target_shows_a_resolved_value(load_text: Load, written: str) -> None:
    key = written.split(":", maxsplit=1)[0]
    kept = [f"    {line}" for line in ("probe: open-inference", "url: http://a") if not line.startswith(f"{key}:")]
    text = START.replace("golden:\n", f"  two:\n    {written}\n" + "\n".join(kept) + "\ngolden:\n", 1)
    with pytest.raises(ConfigError) as caught:
        load_text(text.replace("  fraud:\n    every", "  fraud:\n    target: fraud\n    every"), {"TOKEN": CANARY})
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "written",
    [
        "watches: {fraud: {every: '${TOKEN}'}}",
        "watches: {fraud: {golden: '${TOKEN}', target: '${TOKEN}', load: '${TOKEN}'}}",
        "watches: {fraud: {objectives: {latency: '${TOKEN}', errors: '${TOKEN}', accuracy: '${TOKEN}'}}}",
        "log: {level: '${TOKEN}'}",
        "alerts: {false_alarms: '${TOKEN}'}",
        "exporters: {otlp: {endpoint: '${TOKEN}', headers: '${TOKEN}'}, prometheus: {listen: '${TOKEN}'}}",
    ],
)
@pytest.mark.parametrize("value", [CANARY, f"{CANARY} * * * *", f"http://{CANARY}:x"])
def test_no_problem_elsewhere_shows_a_resolved_value(load_text: Load, written: str, value: str) -> None:
    text = f"targets: {{t: {{probe: onnx-runtime, file: f}}}}\ngolden: {{g: g}}\nwatches: {{w: }}\n{written}"
    if written.startswith("watches"):
        text = text.replace("watches: {w: }\n", "")
    with pytest.raises(ConfigError) as caught:
        load_text(text, {"TOKEN": value})
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(("written", "complaint"), [
    ("hunter2", "a secret must not be written in the file; use ${NAME} or ${file:PATH}"),
    ("${T:-hunter2}", "a secret must not be written in the file, not even as a default; use ${NAME} or ${file:PATH}"),
    ("${EMPTY}", '"${EMPTY}" is empty; a secret is needed here'),
])  # fmt: skip
def test_a_secret_must_be_a_reference(load_text: Load, written: str, complaint: str) -> None:
    text = WITH_SECRETS.replace("Bearer ${TOKEN}", written).replace("${TOKEN}", written)
    with pytest.raises(ConfigError) as caught:
        load_text(text, {"EMPTY": ""})
    assert [str(problem) for problem in caught.value.problems] == [
        f"goldwatch.yaml:5:12  targets.fraud.token: {complaint}",
        f"goldwatch.yaml:17:30  exporters.otlp.headers.authorization: {complaint}",
    ]


def test_secrets_from_files(load_text: Load, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{CANARY}\n")
    config = load_text(WITH_SECRETS.replace("${TOKEN}", f"${{file:{tmp_path}/token}}"))
    assert config.targets["fraud"].options["token"] == CANARY


def test_a_mapping_of_secrets(load_text: Load) -> None:
    text = WITH_SECRETS.replace("token: ${TOKEN}", "secret_headers: {X-Key: '${TOKEN}', X-Pin: '${PIN}'}")
    config = load_text(text, {"TOKEN": CANARY, "PIN": "0123"})
    target = config.targets["fraud"]
    assert target.options["secret_headers"] == {"X-Key": CANARY, "X-Pin": "0123"}
    assert set(target.secrets()) == {CANARY, "0123"}
    for seen in (repr(config), str(target.options), config.model_dump_json()):
        assert CANARY not in seen
        assert "0123" not in seen


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("{X-Key: hunter2}", "secret_headers.X-Key: a secret must not be written in the file; use ${NAME} or"),
        ("{X-Key: '${T:-hunter2}'}", "secret_headers.X-Key: a secret must not be written in the file, not even as"),
        ("{X-Key: '${EMPTY}'}", 'secret_headers.X-Key: "${EMPTY}" is empty; a secret is needed here'),
    ],
)
def test_each_of_a_mapping_of_secrets_must_be_a_reference(load_text: Load, written: str, complaint: str) -> None:
    text = WITH_SECRETS.replace("token: ${TOKEN}", f"secret_headers: {written}")
    with pytest.raises(ConfigError) as caught:
        load_text(text, {"EMPTY": "", "TOKEN": CANARY})
    assert f"goldwatch.yaml:5:29  targets.fraud.{complaint}" in str(caught.value)
