"""The definition of Watch at a real API server: it is structural, refuses what the config would, and prints."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from goldwatch.cluster.resource import structural
from goldwatch.cluster.watches import compose

from tests.chart.rendered import CHART
from tests.cluster.conftest import Cluster
from tests.cluster.control_plane import Refused
from tests.real.agent import until

DEFINITION = yaml.safe_load((CHART / "crds/watches.yaml").read_text())
WATCHES = "/apis/goldwatch.dev/v1alpha1/namespaces/models/watches"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def watch(name: str, labels: dict[str, str] | None = None, target: Any = None, **spec: Any) -> dict[str, Any]:
    target = target or {"probe": "open-inference", "url": "http://fraud:8000", "model": "fraud"}
    metadata = {"name": name, "labels": labels or {}}
    whole = {"target": target, "golden": {"path": "/golden/fraud"}, **spec}
    return {"apiVersion": "goldwatch.dev/v1alpha1", "kind": "Watch", "metadata": metadata, "spec": whole}


def define(cluster: Cluster) -> None:
    """Create the definition, if it is not there, and wait until it is served."""
    name = DEFINITION["metadata"]["name"]
    with contextlib.suppress(Refused):  # it is there already, or is waited for in vain
        cluster.plane.ask("POST", DEFINITIONS, DEFINITION)

    def conditions() -> dict[str, str]:
        found = cluster.plane.ask("GET", f"{DEFINITIONS}/{name}")
        return {c["type"]: c["status"] for c in found.get("status", {}).get("conditions") or []}

    until(lambda: conditions().get("Established") == "True", "the definition is established")

    def served() -> bool:
        try:
            return bool(cluster.plane.ask("GET", WATCHES))
        except Refused:
            return False

    until(served, "Watches are served")


def rows(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """Return what `kubectl get watches` prints, by name: the API's own Table, a cell by the name of its column."""
    kind = "application/json;as=Table;v=v1;g=meta.k8s.io"
    table = cluster.plane.ask("GET", WATCHES, accept=kind)
    names = [column["name"] for column in table["columnDefinitions"]]
    return {row["cells"][0]: dict(zip(names, row["cells"], strict=True)) for row in table["rows"]}


@pytest.mark.cluster
def test_the_api_server_takes_it_as_structural(cluster: Cluster) -> None:
    define(cluster)
    found = cluster.plane.ask("GET", f"{DEFINITIONS}/{DEFINITION['metadata']['name']}")
    conditions = {c["type"]: c["status"] for c in found["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert "NonStructuralSchema" not in conditions


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"every": "5 minuts"}, 'spec.every: Invalid value: "5 minuts"'),
        ({"objectives": {"errors": "many"}}, "spec.objectives.errors"),
        ({"load": {"scenario": "sometimes"}}, "spec.load.scenario: Unsupported value"),
        ({"load": {"warmup": -1}}, "spec.load.warmup"),
        ({"target": {"url": "http://fraud:8000"}}, "spec.target.probe: Required value"),
        ({"golden": {}}, "spec.golden.path: Required value"),
        ({"golden": {"url": "https://sets/fraud"}}, '"spec.golden" must validate at least one schema (anyOf)'),
    ],
)
def test_what_the_types_refuse_is_refused_when_it_is_applied(cluster: Cluster, spec: Any, says: str) -> None:
    define(cluster)
    wrong = watch("wrong")
    wrong["spec"] |= spec
    with pytest.raises(Refused) as refused:
        cluster.plane.ask("POST", WATCHES, wrong)
    assert refused.value.status == 422
    assert says in str(refused.value)


@pytest.mark.cluster
def test_a_long_name_would_be_no_name_in_the_config(cluster: Cluster) -> None:
    define(cluster)
    with pytest.raises(Refused, match=r"metadata\.name"):
        cluster.plane.ask("POST", WATCHES, watch("x" * 64))


@pytest.mark.cluster
def test_a_probe_keeps_its_own_options_and_status_is_written_apart(cluster: Cluster) -> None:
    define(cluster)
    target = {"probe": "http", "url": "http://fraud:8000", "body": {"deep": [1, {"x": "{{ input }}"}]}}
    created = cluster.plane.create(watch("kept", target=target) | {"status": {"verdict": "steady"}})
    assert created["spec"]["target"] == target
    assert "status" not in created
    changed = created | {"status": {"verdict": "steady", "evidence": "0.4 of 5.6"}, "spec": watch("x")["spec"]}
    cluster.plane.ask("PUT", f"{WATCHES}/kept/status", changed)
    found = cluster.plane.ask("GET", f"{WATCHES}/kept")
    assert (found["spec"]["target"], found["status"]["verdict"]) == (target, "steady")
    row = rows(cluster)["kept"]
    assert list(row) == ["Name", "Verdict", "Evidence", "Last Replay", "Config", "Message", "Age"]
    assert (row["Verdict"], row["Evidence"]) == ("steady", "0.4 of 5.6")
    cluster.plane.ask("DELETE", f"{WATCHES}/kept")


@pytest.mark.cluster
def test_a_field_that_is_not_known_is_kept_for_the_operator_to_refuse(cluster: Cluster) -> None:
    define(cluster)
    created = cluster.plane.create(watch("misspelt", evry="5m", objectives={"latncy": "50ms at p99"}))
    assert (created["spec"]["evry"], created["spec"]["objectives"]) == ("5m", {"latncy": "50ms at p99"})
    problem = compose({"misspelt": created["spec"]}, {}).problems["misspelt"]
    assert 'spec.evry: unknown key "evry"' in problem
    assert 'spec.objectives.latncy: unknown key "latncy"' in problem
    cluster.plane.ask("DELETE", f"{WATCHES}/misspelt")


def test_kubectl_explains_every_field() -> None:
    def bare(schema: dict[str, Any], at: str) -> Iterator[str]:
        for name, about in schema.get("properties", {}).items():
            if not about.get("description"):
                yield f"{at}.{name}"
            yield from bare(about, f"{at}.{name}")
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), dict):
                yield from bare(schema[key], f"{at}[]")

    (version,) = copy.deepcopy(DEFINITION["spec"]["versions"])
    own = version["schema"]["openAPIV3Schema"]["properties"]
    del own["metadata"]  # which Kubernetes describes
    assert list(bare({"properties": own}, "watch")) == []


@pytest.mark.parametrize(
    ("schema", "made"),
    [
        ({"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None, "title": "N"}, {"type": "integer"}),
        ({"$ref": "#/$defs/A", "description": "that"}, {"type": "string", "description": "that"}),
        ({"type": "string", "pattern": "^(?!x).+"}, {"type": "string"}),
        (
            {"anyOf": [{"type": "number"}, {"type": "string"}], "description": "either"},
            {"description": "either", "x-kubernetes-preserve-unknown-fields": True},
        ),
        (
            {"type": "object", "patternProperties": {"^a": {"type": "number"}}},
            {"type": "object", "additionalProperties": {"type": "number"}},
        ),
    ],
)
def test_schemas_are_made_structural(schema: dict[str, Any], made: dict[str, Any]) -> None:
    assert structural(schema, {"A": {"type": "string", "title": "A"}}) == made
