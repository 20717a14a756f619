"""Values as platform teams write them, and the keys that they know from other charts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

helm = pytest.importorskip("helm_python", reason="helm-python-sdk is not installed")

from tests.chart.rendered import BASE, Manifest, breaches, of_kind, pod_specs, render, validate  # noqa: E402

FOLDER = Path(__file__).parent
SITUATIONS = {file.stem: yaml.safe_load(file.read_text()) for file in sorted(FOLDER.glob("situations/*.yaml"))}
VERSIONS = ["1.29", "1.31", "1.33", "1.37"]
KNOBS: list[list[Any]] = yaml.safe_load((FOLDER / "knobs.yaml").read_text())
TAKEN = [knob for knob in KNOBS if len(knob) == 3]
REFUSED = {name: values for name, values, *shows in KNOBS if not shows}


@pytest.fixture(scope="module")
def situations() -> dict[str, list[Manifest]]:
    return {name: render(values) for name, values in SITUATIONS.items()}


@pytest.mark.parametrize("name", SITUATIONS)
def test_each_situation_is_valid_and_restricted(situations: dict[str, list[Manifest]], name: str) -> None:
    manifests = situations[name]
    assert pod_specs(manifests)
    validate(manifests, ("1.35",))
    for pod in pod_specs(manifests):
        user_is_the_platforms = name.startswith("openshift")
        assert breaches(pod) == []
        assert ("runAsUser" in pod["securityContext"]) != user_is_the_platforms


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_each_situation_is_valid_for_every_version(situations: dict[str, list[Manifest]], version: str) -> None:
    for name, manifests in situations.items():
        if name != "air-gapped" or version >= "1.31":  # which has an image volume
            validate(manifests, (version,))


def test_openshift_chooses_users_and_groups_in_all_three_ways(situations: dict[str, list[Manifest]]) -> None:
    for name in ("openshift-nulls", "openshift-forced"):
        written = yaml.safe_dump_all(situations[name])  # the sidecar that the webhook injects included
        assert "sidecar.yaml" in written
        for key in ("runAsUser", "runAsGroup", "fsGroup"):
            assert f"{key}:" not in written
    (secret,) = (
        volume["secret"]
        for pod in pod_specs(situations["openshift-nulls"])
        for volume in pod.get("volumes", [])
        if volume["name"] == "secret-ranker"
    )
    assert secret["defaultMode"] == 0o444, "its group is not known"


def test_links_in_alerts_lead_to_the_pages(situations: dict[str, list[Manifest]]) -> None:
    for name in ("public-pages", "gateway"):
        texts = [m["data"].get("goldwatch.yaml") for m in of_kind(situations[name], "ConfigMap")]
        (config,) = (yaml.safe_load(text) for text in texts if text)
        assert config["exporters"]["prometheus"]["external_url"] == "https://goldwatch.example"


def test_a_registry_of_ones_own_replaces_that_of_the_image(situations: dict[str, list[Manifest]]) -> None:
    images = {c["image"].partition("@")[0] for pod in pod_specs(situations["air-gapped"]) for c in pod["containers"]}
    assert images == {"harbor.intern.example:8443/mlops/goldwatch"}


def test_alerts_carry_the_names_of_the_team(situations: dict[str, list[Manifest]]) -> None:
    (rule,) = of_kind(situations["prometheus-operator"], "PrometheusRule")
    alerts = [each for group in rule["spec"]["groups"] for each in group["rules"] if "alert" in each]
    assert {each["labels"]["severity"] for each in alerts} == {"critical", "warning"}
    assert {each["labels"]["team"] for each in alerts} == {"search"}
    assert all(
        each["annotations"]["runbook_url"] == f"https://runbooks.example/goldwatch/{each['alert']}" for each in alerts
    )
    assert "GoldwatchPushesFail" not in [each["alert"] for each in alerts]


def test_each_replica_has_a_claim_of_its_own(situations: dict[str, list[Manifest]]) -> None:
    (several,) = of_kind(situations["three-zones"], "StatefulSet")
    (claim,) = several["spec"]["volumeClaimTemplates"]
    pod = several["spec"]["template"]["spec"]
    assert claim["metadata"]["name"] == "goldwatch-state"
    assert "goldwatch-state" in [mount["name"] for mount in pod["containers"][0]["volumeMounts"]]
    assert "goldwatch-state" not in [volume["name"] for volume in pod["volumes"]]
    (kept,) = of_kind(situations["quantities"], "PersistentVolumeClaim")
    assert kept["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    (single,) = of_kind(situations["quantities"], "Deployment")
    assert single["spec"]["strategy"] == {"type": "Recreate"}


def merged(into: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merged(into[key], value)
        elif isinstance(value, list) and isinstance(into.get(key), list):
            into[key] = into[key] + value
        else:
            into[key] = yaml.safe_load(yaml.safe_dump(value))
    return into


def test_the_keys_that_are_known_from_other_charts_are_taken() -> None:
    everything: dict[str, Any] = {"config": BASE["config"]}
    for _, values, _ in TAKEN:
        merged(everything, values)
    written = yaml.safe_dump_all(render(everything), width=10_000)
    missing = [name for name, _, shows in TAKEN if str(shows) not in written]
    assert missing == []


@pytest.mark.parametrize("name", REFUSED)
def test_the_other_keys_are_refused_with_what_to_write_instead(name: str) -> None:
    said = yaml.safe_load((FOLDER.parents[1] / "helm/goldwatch/files/refused.yaml").read_text())
    with pytest.raises(helm.HelmError) as refused:
        render(BASE | REFUSED[name])
    assert any(f": {key}: {instead}" in str(refused.value) for key, instead in said.items()), refused.value


def test_every_key_of_the_list_is_one_of_the_two() -> None:
    assert len(TAKEN) + len(REFUSED) == len(KNOBS) > 110
