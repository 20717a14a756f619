"""The examples of docs/kubernetes.md render, are configs, and are watched."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("helm_python", reason="helm-python-sdk is not installed")

from goldwatch.cluster.discovery import of_pods
from goldwatch.cluster.watches import compose
from goldwatch.config import load

from tests.chart.rendered import of_kind, pod_specs, render, validate
from tests.cluster.test_discovery import pod

PAGE = Path(__file__).parents[2] / "docs/kubernetes.md"


def written(begins: str) -> dict[str, Any]:
    """Return the block of YAML that begins so."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (found,) = (block for block in blocks if block.startswith(begins))
    content: dict[str, Any] = yaml.safe_load(found)
    return content


def test_the_values_of_a_stand_alone_agent_install_it(tmp_path: Path) -> None:
    manifests = render(written("# values.yaml\n"))
    validate(manifests)
    (config,) = of_kind(manifests, "ConfigMap")
    file = tmp_path / "goldwatch.yaml"
    file.write_text(config["data"]["goldwatch.yaml"])
    found = load(file)
    (agent, _) = pod_specs(manifests)[::-1]
    mounted = {mount["mountPath"] for mount in agent["containers"][0]["volumeMounts"]}
    assert {str(golden.path) for golden in found.golden.values()} <= mounted


def test_the_values_of_a_parent_chart_are_admitted() -> None:
    values = written("# values.yaml of the model server's chart")["goldwatch"]
    assert {manifest["kind"] for manifest in render(values)} <= {"ServiceAccount"}


@pytest.mark.parametrize("values", ["operator", "webhook"])
def test_what_is_installed_beside_agents_renders_with_the_flags_that_are_shown(values: str) -> None:
    (flags,) = re.findall(rf"--set (standalone.enabled=false,{values}\S*)", PAGE.read_text())
    given: dict[str, Any] = {}
    for flag in flags.split(","):
        key, _, value = flag.partition("=")
        *sections, last = key.split(".")
        inner = given
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[last] = yaml.safe_load(value)
    manifests = render(given)
    validate(manifests)
    assert [m["metadata"]["name"] for m in of_kind(manifests, "Deployment")] == [f"release-goldwatch-{values}"]


def test_a_watch_is_one_and_so_are_the_annotations_that_ask_for_one() -> None:
    specs = {"fraud": written("apiVersion: goldwatch.dev")["spec"]}
    asked = written("annotations:\n  goldwatch.dev/golden")["annotations"]
    asked["goldwatch.dev/digest"] = asked["goldwatch.dev/digest"].replace("...", "c0ffee")
    annotations = {key.removeprefix("goldwatch.dev/"): value for key, value in asked.items()}
    (found,) = of_pods([pod("server", **annotations)])
    specs["found"] = found.watch["spec"]
    made = compose(specs, {})
    assert not made.problems
    assert set(yaml.safe_load(made.text)["watches"]) == {"fraud", "found"}
