from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

helm = pytest.importorskip("helm_python", reason="helm-python-sdk is not installed")

from goldwatch.config import load  # noqa: E402

from tests.chart.rendered import BASE, CHART, CONFIG, breaches, of_kind, pod_specs, render, validate  # noqa: E402

SHIPPED = CHART.parents[1] / "dashboards"
EVERYTHING: dict[str, Any] = {
    "commonLabels": {"team": "risk", "app.kubernetes.io/name": "not-ours"},
    "image": {"repository": "registry.example/goldwatch", "digest": "sha256:" + "a" * 64, "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "pull"}],
    "serviceAccount": {"annotations": {"example.com/role": "x"}},
    "env": [
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "fraud", "key": "token"}}},
        {"name": "ZONE", "value": "1"},
    ],
    "secrets": [{"name": "fraud"}],
    "standalone": {
        "replicas": 3,
        "podLabels": {"a": "b"},
        "podAnnotations": {"c": "true"},
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}
        ],
        "priorityClassName": "high",
    },
    "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    "dashboards": {"enabled": True},
    "networkPolicy": {
        "enabled": True,
        "scrapers": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
        "egress": [{"to": [{"podSelector": {}}], "ports": [{"port": 8000}]}],
    },
    "podDisruptionBudget": {"enabled": True},
}

MATRIX: dict[str, dict[str, Any]] = {
    "default": {},
    "everything": EVERYTHING,
    "three ways to a golden set": {
        "golden": [
            {"name": "a", "configMap": "a"},
            {"name": "b", "persistentVolumeClaim": "b"},
            {"name": "c", "image": "registry.example/golden/fraud@sha256:" + "b" * 64},
        ]
    },
    "persistence": {"standalone": {"persistence": {"size": "5Gi", "storageClass": "fast"}}},
    "an own claim": {"standalone": {"persistence": {"existingClaim": "mine"}}},
    "no claim": {"standalone": {"persistence": {"enabled": False}}},
    "service monitor": {"serviceMonitor": {"enabled": True}},
    "an own config": {"existingConfigMap": "mine"},
    "gpu": {"access": {"gpu": {"enabled": True, "runtimeClassName": "nvidia", "visibleDevices": "0,1"}}},
    "rapl": {"access": {"rapl": {"enabled": True}}},
    "no identity": {"serviceAccount": {"create": False, "name": "theirs"}},
    "webhook": {"webhook": {"enabled": True}},
    "webhook by cert-manager": {"webhook": {"enabled": True, "certManager": {"enabled": True, "issuer": "ours"}}},
    "rollouts": {"rollouts": {"namespaces": ["a", "b"]}, "networkPolicy": {"enabled": True}},
    "discovery": {
        "operator": {
            "enabled": True,
            "discovery": True,
            "selector": "team in (a, b)",
            "image": {"digest": "sha256:" + "c" * 64},
        }
    },
    "operator": {
        "operator": {"enabled": True, "namespaces": ["a", "b"], "defaults": {"alerts": {"false_alarms": "2 per year"}}}
    },
    "nothing": {"standalone": {"enabled": False}},
    "names": {"fullnameOverride": "x" * 60},
}


@pytest.mark.slow
@pytest.mark.parametrize("values", MATRIX.values(), ids=MATRIX.keys())
def test_what_renders_is_valid_for_three_versions_of_kubernetes(values: dict[str, Any]) -> None:
    validate(render(BASE | values))


@pytest.mark.parametrize("values", MATRIX.values(), ids=MATRIX.keys())
def test_it_passes_lint(values: dict[str, Any]) -> None:
    report = helm.lint(str(CHART), BASE | values, strict=True, namespace="models")
    assert report["errors"] == []
    assert [m for m in report["messages"] if m["severity"] > 1] == []


@pytest.mark.parametrize("name", [name for name in MATRIX if name != "rapl"])
def test_every_pod_meets_the_restricted_standard(name: str) -> None:
    for pod in pod_specs(render(BASE | MATRIX[name])):
        assert breaches(pod) == []
        assert all(c["securityContext"]["readOnlyRootFilesystem"] for c in pod["containers"])
        assert all(c["resources"]["limits"]["memory"] for c in pod["containers"])


def test_only_the_energy_counters_of_the_node_break_it() -> None:
    broken = [breaches(pod) for pod in pod_specs(render(BASE | MATRIX["rapl"]))]
    assert sorted(broken) == [[], ["volume hostPath"]]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "targets"),
        (BASE | {"replicas": 3}, "additional properties 'replicas' not allowed"),
        (BASE | {"port": 80}, "at '/port': minimum: got 80, want 1,024"),
        (BASE | {"podSecurityContext": {"runAsUser": 0}}, "at '/podSecurityContext/runAsUser': minimum"),
        (BASE | {"podSecurityContext": {"runAsNonRoot": False}}, "at '/podSecurityContext/runAsNonRoot'"),
        (BASE | {"golden": [{"name": "a"}]}, "at '/golden/0': missing property 'image'"),
        (BASE | {"golden": [{"name": "A", "configMap": "a"}]}, "at '/golden/0/name'"),
        (BASE | {"env": [{"name": "A"}]}, "at '/env/0': missing property 'value'"),
        (BASE | {"standalone": {"replicas": 0}}, "at '/standalone/replicas': minimum: got 0, want 1"),
        (
            BASE | {"standalone": {"replicas": 2, "persistence": {"existingClaim": "mine"}}},
            "standalone.persistence.existingClaim: one claim cannot be shared by 2 replicas",
        ),
        (
            BASE | {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}},
            "podMonitor.enabled and serviceMonitor.enabled: both would scrape the same pods",
        ),
        (
            BASE | {"webhook": {"enabled": True, "certManager": {"enabled": True}}},
            "at '/webhook/certManager/issuer': minLength: got 0, want 1",
        ),
        (
            BASE | {"web": {"tokenSecret": "web"}, "operator": {"enabled": True}},
            "at '/web/tokenSecret': maxLength: got 3, want 0",
        ),
        (
            BASE | {"config": CONFIG | {"exporters": {"prometheus": {"tls_server_config": {"cert_file": "/a"}}}}},
            "the probes of the pod must know of TLS; leave it out, and write `web.tlsSecret`",
        ),
        (
            BASE | {"config": CONFIG | {"exporters": {"prometheus": {"listen": "127.0.0.1:9870"}}}},
            'config.exporters.prometheus.listen is "127.0.0.1:9870", but the probes of the pod ask port 9870',
        ),
        (
            BASE | {"port": 9999, "config": CONFIG | {"exporters": {"prometheus": {"listen": ":9870"}}}},
            'is ":9870", but the probes of the pod ask port 9999 on all its addresses; leave it out, and write `port`',
        ),
    ],
)
def test_what_is_wrong_is_refused_by_name(values: dict[str, Any], says: str) -> None:
    with pytest.raises(helm.HelmError) as refused:
        render(values)
    assert says in str(refused.value)


WRONG: dict[str, Any] = {"string": [1], "integer": "many", "boolean": "perhaps"}


def wrong_values(properties: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Return the place of each value of one plain type, and something that it cannot be."""
    for name, about in properties.items():
        if "properties" in about:
            yield from wrong_values(about["properties"], (*above, name))
        elif isinstance(about.get("type"), str) and about["type"] in WRONG:
            yield (*above, name), WRONG[about["type"]]


def test_each_value_of_a_wrong_type_is_refused_with_its_place() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    places = list(wrong_values(schema["properties"]))
    assert len(places) > 40
    with helm.Chart.load(str(CHART)) as chart:
        for place, wrong in places:
            values = functools.reduce(lambda inner, key: {key: inner}, reversed(place), wrong)
            with pytest.raises(helm.HelmError) as refused:
                chart.validate_schema(BASE | values)
            assert f"at '/{'/'.join(place)}'" in str(refused.value)


def test_a_single_agent_may_do_nothing_in_the_cluster() -> None:
    manifests = render(BASE)
    assert not of_kind(manifests, "Role") + of_kind(manifests, "ClusterRole")
    assert all(not pod["automountServiceAccountToken"] for pod in pod_specs(manifests))


def test_replicas_may_use_their_own_lease_and_nothing_else() -> None:
    manifests = render(BASE | {"standalone": {"replicas": 3}})
    (role,) = of_kind(manifests, "Role")
    assert [(r["resources"], r["verbs"], r.get("resourceNames")) for r in role["rules"]] == [
        (["leases"], ["create"], None),
        (["leases"], ["get", "update"], ["release-goldwatch"]),
    ]
    assert not of_kind(manifests, "ClusterRole")


@pytest.mark.parametrize("kind", ["PodMonitor", "ServiceMonitor"])
def test_operator_and_webhook_are_scraped_where_they_export(kind: str) -> None:
    """Not with the token, the TLS and the labels of the agents: they have none of them."""
    controllers: dict[str, Any] = {"operator": {"enabled": True}, "webhook": {"enabled": True}}
    section = kind[0].lower() + kind[1:]
    of_agents = {"scheme": "https", "tlsConfig": {"insecureSkipVerify": True}, "jobLabel": "team"}
    manifests = render(BASE | controllers | {section: {"enabled": True} | of_agents})
    (monitor,) = (m for m in of_kind(manifests, kind) if m["metadata"]["name"] == "release-goldwatch-controllers")
    selector = monitor["spec"]["selector"]
    (chosen,) = selector["matchExpressions"]

    def is_chosen(labels: dict[str, str]) -> bool:
        alike = selector["matchLabels"].items() <= labels.items()
        return alike and labels.get(chosen["key"]) in chosen["values"]

    pods = [m["spec"]["template"] for m in of_kind(manifests, "Deployment")]
    found = [pod for pod in pods if is_chosen(pod["metadata"]["labels"])]
    assert {pod["spec"]["containers"][0]["name"] for pod in found} == {"operator", "webhook"}
    assert all("metrics" in [port["name"] for port in pod["spec"]["containers"][0]["ports"]] for pod in found)
    (endpoint,) = monitor["spec"]["podMetricsEndpoints" if kind == "PodMonitor" else "endpoints"]
    assert endpoint["port"] == "metrics"
    assert not of_agents.keys() & (endpoint.keys() | monitor["spec"].keys())
    services = [m for m in of_kind(manifests, "Service") if is_chosen(m["metadata"]["labels"])]
    named = [s for s in services if "metrics" in [port["name"] for port in s["spec"]["ports"]]]
    assert len(named) == (1 if kind == "PodMonitor" else 2)
    plain = render(BASE | {"web": {"tokenSecret": "web"}, "webhook": {"enabled": True}, section: {"enabled": True}})
    theirs = [m for m in of_kind(plain, kind) if m["metadata"]["name"].endswith("-controllers")]
    assert len(theirs) == 1
    assert "authorization" not in str(theirs)


def test_a_new_config_makes_new_pods() -> None:
    def checksum(values: dict[str, Any]) -> str:
        (deployment,) = of_kind(render(BASE | values), "Deployment")
        found: str = deployment["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
        return found

    assert checksum({}) == checksum({"port": 9870})
    assert checksum({}) != checksum({"config": BASE["config"] | {"alerts": {"false_alarms": "2 per year"}}})


@pytest.mark.parametrize("replicas", [1, 3])
def test_the_agent_takes_the_config_that_the_chart_writes(replicas: int, tmp_path: Path) -> None:
    values = BASE | {"port": 9999, "standalone": {"replicas": replicas}}
    (made,) = of_kind(render(values), "ConfigMap")
    file = tmp_path / "goldwatch.yaml"
    file.write_text(made["data"]["goldwatch.yaml"])
    config = load(file, {"STATE_DIRECTORY": "/var/lib/goldwatch"})
    assert config.exporters.prometheus.listen.port == 9999
    assert config.ledger == Path("/var/lib/goldwatch/goldwatch.db")
    assert (config.cluster.lease is not None) == (replicas > 1)


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """Somebody else's chart, with goldwatch's below it."""
    folder = tmp_path / "model-server"
    shutil.copytree(Path(__file__).parent / "model-server", folder)
    shutil.copytree(CHART, folder / "charts/goldwatch")
    return folder


@pytest.mark.parametrize("native", [True, False])
def test_another_chart_takes_the_sidecar(parent: Path, native: bool) -> None:
    values = {"standalone": {"enabled": False}, "sidecar": {"native": native}}
    manifests = render({"goldwatch": values}, parent)
    validate(manifests)
    (pod,) = pod_specs(manifests)
    where = pod["initContainers"] if native else pod["containers"][1:]
    (sidecar,) = where
    assert sidecar.get("restartPolicy") == ("Always" if native else None)
    assert sidecar["args"][:3] == ["run", "--patient", "--listen=:9870"]
    assert {m["name"] for m in sidecar["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
    assert next(v for v in pod["volumes"] if v["name"] == "goldwatch-config")["configMap"] == {
        "name": "fraud-goldwatch",
        "optional": True,
    }


def test_a_missing_configmap_or_secret_does_not_keep_a_model_server_from_starting(parent: Path) -> None:
    """The sidecar is patient: it reports what is missing. An agent in its own pod waits for them, as any other does."""
    keys = {"secretKeyRef": {"name": "s", "key": "k"}}, {"configMapKeyRef": {"name": "c", "key": "k"}}
    env = [{"name": f"E{i}", "valueFrom": key} for i, key in enumerate(keys)]
    values = {"golden": BASE["golden"], "secrets": [{"name": "fraud"}], "env": env}
    beside = render({"goldwatch": values | {"standalone": {"enabled": False}}}, parent)
    injected = of_kind(render(BASE | values | {"webhook": {"enabled": True}}), "ConfigMap")
    (sidecar,) = [yaml.safe_load(m["data"]["sidecar.yaml"]) for m in injected if "sidecar.yaml" in m["data"]]
    for pod in (*pod_specs(beside), sidecar):
        named = [v[kind] for v in pod["volumes"] for kind in ("configMap", "secret") if kind in v]
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            named += [
                n for e in container.get("env", []) for kind, n in e.get("valueFrom", {}).items() if "Key" in kind
            ]
        assert len(named) == 5
        assert all(each["optional"] for each in named)
    validate(beside)
    own = next(pod for pod in pod_specs(render(BASE | values)) if "volumes" in pod)
    assert not any(v[kind]["optional"] for v in own["volumes"] for kind in ("configMap", "secret") if kind in v)


def test_a_sidecar_sees_the_log_of_the_server_and_an_injected_one_does_not(parent: Path) -> None:
    values = {"standalone": {"enabled": False}, "sidecar": {"logs": "requests"}}
    mount = {"name": "requests", "mountPath": "/var/log/model", "readOnly": True}
    (pod,) = pod_specs(render({"goldwatch": values}, parent))
    (sidecar,) = [c for c in [*pod.get("initContainers", []), *pod["containers"]] if c["name"] == "goldwatch"]
    assert mount in sidecar["volumeMounts"]
    injected = render(BASE | {"webhook": {"enabled": True}, "sidecar": {"logs": "requests"}})
    assert "/var/log/model" not in str(injected)


def test_the_defaults_are_what_the_schema_admits() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    with helm.Chart.load(str(CHART)) as chart:
        chart.validate_schema(values | BASE)


def test_every_agent_has_an_identity_of_its_own() -> None:
    manifests = render(BASE)
    (account,) = of_kind(manifests, "ServiceAccount")
    (deployment,) = of_kind(manifests, "Deployment")
    assert deployment["spec"]["template"]["spec"]["serviceAccountName"] == account["metadata"]["name"] != "default"


def test_the_operator_has_a_role_in_its_namespaces_and_nowhere_else() -> None:
    manifests = render(BASE | {"standalone": {"enabled": False}} | MATRIX["operator"])
    lease, *roles = of_kind(manifests, "Role")
    assert [(r["resources"], r["verbs"], r.get("resourceNames")) for r in lease["rules"]] == [
        (["leases"], ["create"], None),
        (["leases"], ["get", "update"], ["release-goldwatch-operator"]),
    ]
    assert [role["metadata"]["namespace"] for role in roles] == ["a", "b"]
    assert not of_kind(manifests, "ClusterRole")
    allowed = {
        (resource, verb) for rule in roles[0]["rules"] for resource in rule["resources"] for verb in rule["verbs"]
    }
    assert allowed == {
        ("watches", "list"),
        ("watches", "watch"),
        ("watches/status", "patch"),
        ("configmaps", "list"),
        ("configmaps", "create"),
        ("configmaps", "update"),
        ("pods", "list"),
        ("events", "create"),
    }
    (_, here) = of_kind(render(BASE | {"operator": {"enabled": True}}), "Role")
    assert here["metadata"]["namespace"] == "models"


def test_only_discovery_may_make_and_delete_watches() -> None:
    (_, role) = of_kind(render(BASE | {"operator": {"enabled": True, "discovery": True}}), "Role")
    assert role["rules"][0]["verbs"] == ["list", "watch", "create", "update", "delete"]
    assert role["rules"][-2:] == [
        {"apiGroups": [""], "resources": ["services"], "verbs": ["list"]},
        {"apiGroups": ["serving.kserve.io"], "resources": ["inferenceservices"], "verbs": ["list"]},
    ]


def test_rollouts_are_read_where_that_is_allowed() -> None:
    manifests = render(BASE | {"rollouts": {"namespaces": ["a"]}})
    (role,) = of_kind(manifests, "Role")
    assert role["metadata"]["namespace"] == "a"
    assert role["rules"] == [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}]
    (deployment,) = of_kind(manifests, "Deployment")
    assert deployment["spec"]["template"]["spec"]["automountServiceAccountToken"] is True


def test_an_agent_and_its_metrics_know_where_they_are() -> None:
    manifests = render(BASE | {"podMonitor": {"enabled": True}})
    (pod, _) = pod_specs(manifests)[::-1]
    fields = {
        e["name"]: e["valueFrom"]["fieldRef"]["fieldPath"] for e in pod["containers"][0]["env"] if "valueFrom" in e
    }
    assert {"name": "POD_CONTAINER", "value": pod["containers"][0]["name"]} in pod["containers"][0]["env"]
    assert fields == {
        "POD_NAME": "metadata.name",
        "POD_NAMESPACE": "metadata.namespace",
        "POD_UID": "metadata.uid",
        "NODE_NAME": "spec.nodeName",
        "NODE_ZONE": "metadata.labels['topology.kubernetes.io/zone']",
        "NODE_REGION": "metadata.labels['topology.kubernetes.io/region']",
    }
    (pods,) = of_kind(manifests, "PodMonitor")
    (services,) = of_kind(render(BASE | {"serviceMonitor": {"enabled": True}}), "ServiceMonitor")
    (endpoint,) = pods["spec"]["podMetricsEndpoints"]
    assert [rule["targetLabel"] for rule in endpoint["relabelings"]] == ["node", "zone", "region"]
    assert services["spec"]["endpoints"][0]["relabelings"] == endpoint["relabelings"]


def test_an_agent_follows_a_config_that_is_not_the_charts() -> None:
    def arguments(values: dict[str, Any]) -> list[str]:
        (deployment,) = of_kind(render(BASE | values), "Deployment")
        found: list[str] = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
        return found

    assert arguments({}) == ["run", "/etc/goldwatch/goldwatch.yaml"]
    assert arguments({"existingConfigMap": "fraud"}) == ["run", "--follow", "/etc/goldwatch/goldwatch.yaml"]


WEB = {"web": {"tokenSecret": "web", "tlsSecret": "web-tls"}}
WEB_OPTIONS = [
    "--credentials-file=/secrets/web/token",
    "--cert-file=/secrets/web-tls/tls.crt",
    "--key-file=/secrets/web-tls/tls.key",
]


def test_an_agent_asks_for_a_token_over_tls_and_monitors_send_it() -> None:
    manifests = render(BASE | WEB | {"podMonitor": {"enabled": True}})
    validate(manifests, ("1.35",))
    (deployment,) = of_kind(manifests, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (agent,) = pod["containers"]
    assert agent["args"] == ["run", "--follow", *WEB_OPTIONS, "/etc/goldwatch/goldwatch.yaml"]
    assert {agent[probe]["httpGet"]["scheme"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")} == {
        "HTTPS"
    }
    assert {v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v} == {"web", "web-tls"}
    (pods,) = of_kind(manifests, "PodMonitor")
    (services,) = of_kind(render(BASE | WEB | {"serviceMonitor": {"enabled": True}}), "ServiceMonitor")
    for endpoint in (*pods["spec"]["podMetricsEndpoints"], *services["spec"]["endpoints"]):
        assert endpoint["authorization"] == {"credentials": {"name": "web", "key": "token"}}
        assert endpoint["scheme"] == "https"
        assert endpoint["tlsConfig"] == {
            "ca": {"secret": {"name": "web-tls", "key": "ca.crt"}},
            "serverName": "release-goldwatch.models.svc",
        }
    (ready,) = of_kind(manifests, "Pod")
    assert ready["spec"]["containers"][0]["args"] == ["health", "https://release-goldwatch:9870/readyz"]


def test_browsers_may_use_the_names_of_the_chart() -> None:
    named = {"web": {"allowedHosts": ["goldwatch.example", ".corp.example"]}, "webhook": {"enabled": True}}
    manifests = render(BASE | named)
    (alone,) = [m for m in of_kind(manifests, "Deployment") if m["metadata"]["name"] == "release-goldwatch"]
    (written,) = [m for m in of_kind(manifests, "ConfigMap") if "sidecar.yaml" in m["data"]]
    for pod in (alone["spec"]["template"]["spec"], yaml.safe_load(written["data"]["sidecar.yaml"])):
        (agent,) = pod["containers"]
        assert "--allowed-hosts=goldwatch.example,.corp.example" in agent["args"]


def test_an_injected_agent_asks_for_a_token_over_tls() -> None:
    manifests = render(BASE | WEB | {"webhook": {"enabled": True}, "secrets": [{"name": "web"}]})
    (written,) = [m for m in of_kind(manifests, "ConfigMap") if "sidecar.yaml" in m["data"]]
    sidecar = yaml.safe_load(written["data"]["sidecar.yaml"])
    assert set(WEB_OPTIONS) < set(sidecar["containers"][0]["args"])
    secrets = [volume["secret"] for volume in sidecar["volumes"] if "secret" in volume]
    assert [(each["secretName"], each["optional"]) for each in secrets] == [("web", True), ("web-tls", True)]


def test_the_network_policy_lets_in_scrapes_and_nothing_else() -> None:
    (policy,) = of_kind(render(BASE | {"networkPolicy": {"enabled": True}}), "NetworkPolicy")
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["spec"]["ingress"] == [{"ports": [{"port": "goldwatch", "protocol": "TCP"}]}]
    assert policy["spec"]["egress"] == [{"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}]


def test_where_scrapers_are_named_the_pods_of_the_release_may_still_ask() -> None:
    values = BASE | {"networkPolicy": EVERYTHING["networkPolicy"], "operator": {"enabled": True}}
    manifests = render(values)
    (policy, of_operator) = of_kind(manifests, "NetworkPolicy")
    assert of_operator["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "operator"
    named, ours = policy["spec"]["ingress"][0]["from"]
    assert named == EVERYTHING["networkPolicy"]["scrapers"][0]
    wanted = ours["podSelector"]["matchLabels"].items()
    (ready,) = of_kind(manifests, "Pod")
    (operator,) = [m for m in of_kind(manifests, "Deployment") if m["metadata"]["name"].endswith("-operator")]
    for metadata in (ready["metadata"], operator["spec"]["template"]["metadata"]):
        assert wanted <= metadata["labels"].items()


def test_the_ledger_of_a_pod_may_take_what_its_volume_would_have() -> None:
    (pod, _) = pod_specs(render(BASE | MATRIX["no claim"]))[::-1]
    state = next(volume for volume in pod["volumes"] if volume["name"] == "goldwatch-state")
    size = yaml.safe_load((CHART / "values.yaml").read_text())["standalone"]["persistence"]["size"]
    assert state["emptyDir"] == {"sizeLimit": size}


def test_a_sidecar_can_read_its_secrets_whatever_the_group_of_the_pod(parent: Path) -> None:
    (pod,) = pod_specs(render({"goldwatch": {"secrets": [{"name": "fraud"}]}}, parent))
    (volume,) = [v for v in pod["volumes"] if v["name"] == "secret-fraud"]
    assert volume["secret"] == {"secretName": "fraud", "defaultMode": 0o444, "optional": True}
    mounts = {
        c["name"]: {m["name"] for m in c.get("volumeMounts", [])} for c in (*pod["initContainers"], *pod["containers"])
    }
    assert [name for name, mounted in mounts.items() if "secret-fraud" in mounted] == ["goldwatch"]


def test_secrets_are_references() -> None:
    (pod, _) = pod_specs(render(BASE | EVERYTHING))[::-1]
    (volume,) = [v for v in pod["volumes"] if "secret" in v]
    assert volume["secret"] == {"secretName": "fraud", "defaultMode": 0o440, "optional": False}
    assert not of_kind(render(BASE | EVERYTHING), "Secret")


def test_an_image_is_named_by_its_digest() -> None:
    images = {c["image"] for pod in pod_specs(render(BASE | EVERYTHING)) for c in pod["containers"]}
    assert images == {"registry.example/goldwatch@sha256:" + "a" * 64}


def test_dashboards_and_rules_are_those_of_the_repository() -> None:
    manifests = render(BASE | {"prometheusRule": {"enabled": True}, "dashboards": {"enabled": True}})
    (rule,) = of_kind(manifests, "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((SHIPPED / "rules/prometheus.yaml").read_text())
    (pushed,) = of_kind(render(BASE | {"prometheusRule": {"enabled": True, "source": "otlp"}}), "PrometheusRule")
    assert pushed["spec"] == yaml.safe_load((SHIPPED / "rules/otlp/prometheus.yaml").read_text())
    boards = [m for m in of_kind(manifests, "ConfigMap") if m["metadata"]["labels"].get("grafana_dashboard") == "1"]
    held = {name: json.loads(text) for board in boards for name, text in board["data"].items()}
    assert held == {file.name: json.loads(file.read_text()) for file in (SHIPPED / "json").glob("*.json")}
