from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from goldwatch.cluster.watches import BadDefaults, compose, read_defaults
from goldwatch.config import ConfigError, load

SPEC = {
    "target": {"probe": "open-inference", "url": "http://fraud:8000", "model": "fraud"},
    "golden": {"path": "/golden/fraud"},
    "every": "5m",
}
WRONG: dict[str, Any] = {
    "an unknown probe": {"target": {"probe": "open-inferense"}},
    "an unknown option": {"target": SPEC["target"] | {"modle": "x"}},  # type: ignore[operator]
    "a time that is none": {"every": "5 minuts"},
    "what does not fit together": {"load": {"scenario": "offline"}, "objectives": {"latency": "50ms at p99"}},
    "no target": {"target": None},
}

names = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8).map(lambda text: f"a{text}")
dotted = st.lists(names, min_size=1, max_size=3).map(".".join)


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(dotted, st.sampled_from([None, *WRONG]), min_size=1, max_size=6))
def test_each_is_in_the_config_or_has_a_problem_of_its_own(wanted: dict[str, str | None]) -> None:
    specs = {name: SPEC | WRONG.get(wrong or "", {}) for name, wrong in wanted.items()}
    made = compose(specs, {})
    assert set(made.problems) == {name for name, wrong in wanted.items() if wrong}
    assert all(line.startswith("spec.") for text in made.problems.values() for line in text.splitlines())
    held = yaml.safe_load(made.text)["watches"] if made.text else {}
    assert set(held) == wanted.keys() - made.problems.keys()


def test_what_it_makes_is_a_config(tmp_path: Path) -> None:
    file = tmp_path / "goldwatch.yaml"
    file.write_text(compose({"fraud": SPEC, "a.b": SPEC}, {"alerts": {"false_alarms": "2 per year"}}).text)
    found = load(file)
    assert list(found.watches) == ["a.b", "fraud"]
    assert found.watches["fraud"].golden == found.watches["fraud"].targets[0] == "fraud"


def test_a_wrong_change_leaves_what_was_in_force() -> None:
    before = compose({"fraud": SPEC, "risk": SPEC}, {}).text
    made = compose({"fraud": SPEC | {"every": "never"}, "risk": SPEC | {"every": "1m"}}, {}, before)
    held = yaml.safe_load(made.text)["watches"]
    assert (held["fraud"]["every"], held["risk"]["every"]) == ("5m", "1m")
    assert list(made.problems) == ["fraud"]


def test_what_was_in_force_goes_when_it_is_wrong_by_now() -> None:
    before = compose({"fraud": SPEC}, {}).text.replace("open-inference", "gone-inference")
    assert compose({"fraud": SPEC | {"every": "never"}}, {}, before).text == ""


@pytest.mark.parametrize("before", ["", "[", "watches: 3", "watches: {fraud: {}}"])
def test_what_cannot_be_read_was_not_in_force(before: str) -> None:
    assert compose({"fraud": SPEC | {"every": "never"}}, {}, before).text == ""


def test_references_are_not_followed() -> None:
    target = {
        "probe": "open-inference",
        "url": "${URL}",
        "model": "${file:/etc/hostname}",
        "token": "${file:/dev/zero}",
    }
    policy = {"references": ["URL", "file:/etc/hostname", "file:/dev/zero"]}
    made = compose({"fraud": SPEC | {"target": target}}, {"policy": policy})
    assert made.problems == {}
    assert yaml.safe_load(made.text)["targets"]["fraud"] == target
    assert yaml.safe_load(made.text)["policy"] == policy


@pytest.mark.parametrize(
    "written", ["${SECRET}", "${file:/etc/hostname}", "x${FILE}", "${file:/secrets/fraud/../other}", "${SECRET:-none}"]
)
@pytest.mark.parametrize("policy", [{}, {"references": ["file:/secrets/fraud"]}])
def test_a_reference_is_refused_unless_the_defaults_allow_it(written: str, policy: dict[str, Any]) -> None:
    """Whoever may create a Watch must not read the secrets of the agent: it would send them to any server."""
    target = SPEC["target"] | {"model": written}  # type: ignore[operator]
    problem = compose({"fraud": SPEC | {"target": target}, "sound": SPEC}, {"policy": policy}).problems["fraud"]
    assert problem.startswith("spec.target.model: the reference ")
    assert "is not allowed" in problem
    watched = SPEC | {"live": {"file": "${file:/etc/hostname}"}}
    assert "spec.live.file: the reference " in compose({"fraud": watched}, {}).problems["fraud"]


@pytest.mark.parametrize(
    "target",
    [
        {"probe": "python", "callable": "os:system", "factory": True, "arguments": {"command": "id"}},
        {"probe": "onnx-runtime", "file": "/models/digits.onnx"},
        {"probe": "open-inference", "url": "http://fraud:8000", "model": "fraud", "python": "/bin/sh"},
    ],
)
def test_a_watch_runs_no_code_in_the_agent(target: dict[str, Any], tmp_path: Path) -> None:
    made = compose({"fraud": SPEC | {"target": target}, "sound": SPEC}, {})
    assert list(made.problems) == ["fraud"]
    assert list(yaml.safe_load(made.text)["watches"]) == ["sound"]
    # The agent refuses it too, as long as the policy is in the ConfigMap, whatever wrote it.
    file = tmp_path / "goldwatch.yaml"
    specs = {"targets": {"fraud": target}, "golden": {"fraud": SPEC["golden"]}, "watches": {"fraud": {}}}
    file.write_text(yaml.safe_dump({"policy": None, **specs}))
    with pytest.raises(ConfigError, match=r"not allowed|not in `policy\.probes`"):
        load(file, {})


def test_the_defaults_may_allow_a_probe_that_runs_models() -> None:
    target = {"probe": "onnx-runtime", "file": "/models/digits.onnx"}
    policy = {"probes": ["onnx-runtime"]}
    assert compose({"fraud": SPEC | {"target": target}}, {"policy": policy}).problems == {}


def test_a_key_that_is_not_known_is_wrong_whatever_it_holds() -> None:
    target = SPEC["target"] | {"tokem": "${TOKEN}"}  # type: ignore[operator]
    policy = {"references": ["TOKEN"]}
    assert "unknown key" in compose({"fraud": SPEC | {"target": target}}, {"policy": policy}).problems["fraud"]


def test_a_secret_must_be_a_reference_here_too() -> None:
    target = SPEC["target"] | {"token": "hunter2"}  # type: ignore[operator]
    problem = compose({"fraud": SPEC | {"target": target}}, {}).problems["fraud"]
    assert "must not be written" in problem
    assert "hunter2" not in problem


def test_what_all_share_is_nobodys_fault() -> None:
    with pytest.raises(BadDefaults, match=r"alerts\.false_alarms"):
        compose({"fraud": SPEC}, {"alerts": {"false_alarms": "seldom"}})
    with pytest.raises(BadDefaults, match=r"^alerts\.weights\.wrose: no monitor of this name has a share"):
        compose({"fraud": SPEC}, {"alerts": {"weights": {"wrose": 2}}})


def test_too_much_for_one_config_map_says_what_to_do() -> None:
    long = SPEC | {"golden": {"path": "/golden/" + "x" * 4000}}
    with pytest.raises(BadDefaults, match="too much for one ConfigMap"):
        compose({f"w{i}": long for i in range(250)}, {})


@pytest.mark.parametrize(
    ("text", "says"),
    [("[]", "no mapping"), ("watches: {}", "watches come from Watches"), ("a: [", "cannot be read")],
)
def test_defaults_that_are_none(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "defaults.yaml"
    file.write_text(text)
    with pytest.raises(BadDefaults, match=says):
        read_defaults(file)
