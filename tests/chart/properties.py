"""Values that the schema admits render and are valid, resources that are not of Kubernetes itself too.

Run by test_properties.py in an environment of its own.
"""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[2]))

from cloudcoil.models.cert_manager import v1 as cert_manager
from cloudcoil.models.prometheus_operator import v1 as prometheus_operator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_jsonschema import from_schema

from tests.chart.rendered import BASE, CHART, Manifest, breaches, of_kind, pod_specs, render, validate

SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def decided_by_the_chart(schema: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is only passed on to Kubernetes: such a value may be any object, and Kubernetes refuses most."""
    found = copy.deepcopy(schema)
    if "properties" in found:
        kept = {k: decided_by_the_chart(v) for k, v in found["properties"].items() if not is_passed_on(v)}
        found["properties"] = kept
    if "items" in found:
        found["items"] = decided_by_the_chart(found["items"])
    return found


def is_passed_on(schema: dict[str, Any]) -> bool:
    return "$comment" in schema or "$comment" in schema.get("items", {})


PROPERTIES = decided_by_the_chart(SCHEMA)["properties"]
VALUES = st.fixed_dictionaries(
    {}, optional={name: from_schema(p) for name, p in PROPERTIES.items() if name not in ("global", "config", "golden")}
)


def distinct(values: dict[str, Any]) -> bool:
    """Say whether names are given once, as Kubernetes asks of a list that is a map by name."""
    for of in (values, values.get("operator", {}), values.get("webhook", {})):
        for key in ("env", "secrets"):
            names = [entry["name"] for entry in of.get(key, [])]
            if len(names) != len(set(names)):
                return False
    return not scraped_twice(values)


def scraped_twice(values: dict[str, Any]) -> bool:
    """Say whether both monitors are wanted, or a claim for several replicas: the templates refuse that."""
    both = all(values.get(monitor, {}).get("enabled") for monitor in ("podMonitor", "serviceMonitor"))
    agent = values.get("standalone", {})
    return both or bool(agent.get("persistence", {}).get("existingClaim") and agent.get("replicas", 1) > 1)


CUSTOM = {
    "Certificate": cert_manager.Certificate,
    "PodMonitor": prometheus_operator.PodMonitor,
    "PrometheusRule": prometheus_operator.PrometheusRule,
    "ServiceMonitor": prometheus_operator.ServiceMonitor,
}
"""Types made of the definitions of these resources, by their authors' own schemas."""


SCRAPED = ("prometheus-operator", "sidecars-scraped", "cert-manager")
"""Situations that have all of these."""


def validate_custom(manifests: list[Manifest]) -> set[str]:
    """Hold objects of custom resources against their types; return the kinds that there were.

    The types ignore what they do not know: so what they give back must be what they were given.
    """
    found = set()
    for manifest in manifests:
        if (kind := manifest["kind"]) in CUSTOM:
            read = CUSTOM[kind].model_validate(manifest)
            known = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
            assert known["spec"] == manifest["spec"], kind
            found.add(kind)
    return found


def custom_resources_are_what_their_definitions_say() -> None:
    files = [Path(__file__).parent / f"situations/{name}.yaml" for name in SCRAPED]
    manifests = [manifest for file in files for manifest in render(yaml.safe_load(file.read_text()))]
    assert validate_custom(manifests) == set(CUSTOM)
    monitor = of_kind(manifests, "PodMonitor")[0]
    monitor["spec"]["podMetricsEndpoints"][0]["intervall"] = "30s"
    try:
        validate_custom([monitor])
    except AssertionError:
        return
    raise AssertionError("a field that is misspelt is not seen")


@settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(VALUES.filter(distinct))
def admitted_renders_and_validates(values: dict[str, Any]) -> None:
    manifests = render(BASE | values)
    validate(manifests, ("1.35",))
    validate_custom(manifests)
    rapl = values.get("access", {}).get("rapl", {}).get("enabled", False)
    host = values.get("webhook", {}).get("hostNetwork", False)
    for pod in pod_specs(manifests):
        assert set(breaches(pod)) <= {*(["volume hostPath"] if rapl else []), *(["hostNetwork"] if host else [])}
    services = of_kind(manifests, "Service")
    selectors = {json.dumps(m["spec"]["selector"], sort_keys=True) for m in services}
    assert len(selectors) == len(services), "no service may find the pods of another"


if __name__ == "__main__":
    custom_resources_are_what_their_definitions_say()
    admitted_renders_and_validates()
    print("60 values rendered, and were valid")
