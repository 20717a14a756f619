"""Every object of the chart, in its three ways, applied to a real API server; and the pods that come of them.

The API server holds pods to the `restricted` standard by a PodSecurityPolicy, which is what its version has for that,
and has the ServiceAccount plug-in, so that pods have the volumes and identities that they have anywhere. There is no
controller here: pods are made of the templates by the tests.
"""

from __future__ import annotations

import contextlib
import copy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendered import BASE, CHART, NOT_OF_KUBERNETES, Manifest, of_kind, render
from tests.chart.test_situations import SITUATIONS
from tests.cluster.control_plane import ControlPlane, Refused
from tests.cluster.injecting import injecting
from tests.cluster.test_resource import DEFINITIONS, watch
from tests.real.agent import until

pytestmark = pytest.mark.cluster

NAMESPACES = ("models", "team-a", "search", "ads", "observability")
GOLDEN = [{"name": "fraud", "configMap": "golden-fraud"}, {"name": "risk", "persistentVolumeClaim": "golden-risk"}]
STANDALONE: dict[str, Any] = BASE | {
    "golden": GOLDEN,
    "secrets": [{"name": "fraud"}],
    "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "fraud", "key": "token"}}}],
    "standalone": {"replicas": 3},
    "rollouts": {"namespaces": ["models", "team-a"]},
    "operator": {"enabled": True, "discovery": True, "namespaces": ["models", "team-a"]},
    "dashboards": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "podDisruptionBudget": {"enabled": True},
}
WAYS: dict[str, dict[str, Any]] = {
    "stand-alone": STANDALONE,
    "stand-alone with a claim": BASE,
    "injection": {"standalone": {"enabled": False}, "webhook": {"enabled": True}, "golden": GOLDEN},
}
"""Watches, and the sidecar by another chart, are below. PodMonitor and its like have definitions that are not here."""

RESTRICTED: Manifest = {
    "apiVersion": "policy/v1beta1",
    "kind": "PodSecurityPolicy",
    "metadata": {
        "name": "restricted",
        "annotations": {"seccomp.security.alpha.kubernetes.io/allowedProfileNames": "runtime/default"},
    },
    "spec": {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "requiredDropCapabilities": ["ALL"],
        "readOnlyRootFilesystem": True,  # which the standard does not ask for
        "runAsUser": {"rule": "MustRunAsNonRoot"},
        "seLinux": {"rule": "RunAsAny"},
        "supplementalGroups": {"rule": "RunAsAny"},
        "fsGroup": {"rule": "RunAsAny"},
        "volumes": ["configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim", "projected", "secret"],
    },
}


@pytest.fixture(scope="module")
def restricted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    folder = tmp_path_factory.mktemp("restricted")
    flags = {
        "enable-admission-plugins": "PodSecurityPolicy",
        "disable-admission-plugins": "PersistentVolumeClaimResize",
        "feature-gates": "BoundServiceAccountTokenVolume=true",
    }
    plane = ControlPlane(folder, flags)
    for name in ("", "-operator", "-webhook"):
        plane.identity("models", f"release-goldwatch{name}")
    with plane.running():
        for namespace in NAMESPACES:
            plane.wait_for_namespace(namespace)
            for account in ("default", "fraud"):
                plane.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}}, namespace)
        plane.create(RESTRICTED)
        yield plane


def as_known(manifest: Manifest) -> Manifest:
    """Leave out what this version, 1.20, does not know; each is checked against newer schemas elsewhere."""
    manifest = copy.deepcopy(manifest)
    if manifest["apiVersion"] == "policy/v1":
        manifest["apiVersion"] = "policy/v1beta1"
    for hook in manifest.get("webhooks", []):
        hook.pop("matchConditions", None)
    template = manifest if manifest["kind"] == "Pod" else manifest.get("spec", {}).get("template", {})
    for container in template.get("spec", {}).get("initContainers", []):
        container.pop("restartPolicy", None)
    spec = manifest.get("spec", {})
    if manifest["kind"] == "PodDisruptionBudget":
        spec.pop("unhealthyPodEvictionPolicy", None)
    if manifest["kind"] == "NetworkPolicy":
        for port in (port for rule in spec["egress"] for port in rule["ports"]):
            port.pop("endPort", None)
    for claim in [manifest, *spec.get("volumeClaimTemplates", [])]:
        if "accessModes" in claim.get("spec", {}):
            claim["spec"]["accessModes"] = ["ReadWriteOnce"]
    return manifest


def pod_of(manifest: Manifest) -> dict[str, Any]:
    """Return the pod that an object is, or makes: its metadata and its spec."""
    if manifest["kind"] == "Pod":
        return manifest
    if manifest["kind"] not in ("Deployment", "Job", "StatefulSet"):
        return {}
    found: dict[str, Any] = copy.deepcopy(manifest["spec"]["template"])
    for claim in manifest["spec"].get("volumeClaimTemplates", []):  # as the controller of StatefulSets does
        name = claim["metadata"]["name"]
        volume = {"name": name, "persistentVolumeClaim": {"claimName": f"{name}-{manifest['metadata']['name']}-0"}}
        found["spec"]["volumes"] = [*found["spec"]["volumes"], volume]
    return found


def apply(plane: ControlPlane, manifests: list[Manifest]) -> None:
    """Apply all, and fail by the first that is refused, or warned of."""
    for manifest in manifests:
        if manifest["kind"] != "Pod":
            _, warnings = plane.apply(as_known(manifest))
            assert not warnings, (manifest["kind"], warnings)


def admit(plane: ControlPlane, manifest: Manifest) -> dict[str, Any]:
    """Create the pod of an object, as its controller would. Raises Refused."""
    pod = pod_of(as_known(manifest))
    metadata = {k: v for k, v in pod["metadata"].items() if k in ("labels", "annotations")}
    whole = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata | {"generateName": "test-"}, "spec": pod["spec"]}
    created: dict[str, Any] = plane.create(whole)
    assert created["metadata"]["annotations"]["kubernetes.io/psp"] == "restricted"
    return created


def security_of(pod: dict[str, Any]) -> list[Any]:
    spec = pod["spec"]
    return [spec.get("securityContext"), *(c.get("securityContext") for c in everything_in(spec))]


def everything_in(spec: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = spec.get("initContainers", []) + spec["containers"]
    return found


@pytest.mark.parametrize("way", WAYS)
def test_every_object_of_the_chart_is_taken_without_a_warning(restricted: ControlPlane, way: str) -> None:
    apply(restricted, render(WAYS[way]))


@pytest.mark.parametrize("way", WAYS)
def test_its_pods_are_admitted_under_the_restricted_standard_as_they_are(restricted: ControlPlane, way: str) -> None:
    apply(restricted, render(WAYS[way]))
    pods = [m for m in render(WAYS[way]) if pod_of(m)]
    assert pods
    for manifest in pods:
        created = admit(restricted, manifest)
        assert security_of(created) == security_of(pod_of(manifest)), "the policy had to add something"


def remove_agent(plane: ControlPlane) -> None:
    """Remove what an earlier test installed: claims of a StatefulSet cannot be changed in place."""
    for kind in ("deployments", "statefulsets"):
        with contextlib.suppress(Refused):
            plane.ask("DELETE", f"/apis/apps/v1/namespaces/models/{kind}/release-goldwatch")


NOT_IN_THIS_VERSION = {"air-gapped": "image volumes", "ipv6-only": "IPv6 beside IPv4, without a flag"}


@pytest.mark.parametrize("name", sorted(SITUATIONS.keys() - NOT_IN_THIS_VERSION.keys()))
def test_the_situations_of_platform_teams_are_taken(restricted: ControlPlane, name: str) -> None:
    manifests = render(SITUATIONS[name] | {"fullnameOverride": name})  # claims are for ever
    apply(restricted, [m for m in manifests if not m["apiVersion"].startswith(NOT_OF_KUBERNETES)])


def test_an_upgrade_from_the_last_chart_keeps_the_evidence(restricted: ControlPlane) -> None:
    """The claim with the ledger is the same object, and the agent finds it where it was. An agent reads its own ledgers
    of older versions: tests/ledger."""
    last = list(yaml.safe_load_all((CHART.parents[1] / "tests/chart/last-chart.yaml").read_text()))
    remove_agent(restricted)
    claim = "/api/v1/namespaces/models/persistentvolumeclaims/release-goldwatch-state"
    deployment = "/apis/apps/v1/namespaces/models/deployments/release-goldwatch"
    apply(restricted, last)
    before = restricted.ask("GET", claim), restricted.ask("GET", deployment)
    apply(restricted, render(BASE))
    after = restricted.ask("GET", claim), restricted.ask("GET", deployment)
    assert [each["metadata"]["uid"] for each in after] == [each["metadata"]["uid"] for each in before]
    assert after[0]["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    for found in before[1], after[1]:
        pod = found["spec"]["template"]["spec"]
        (state,) = (volume for volume in pod["volumes"] if volume["name"] == "goldwatch-state")
        assert state["persistentVolumeClaim"] == {"claimName": "release-goldwatch-state"}
        mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        assert mounts["goldwatch-state"] == "/var/lib/goldwatch"
        assert found["spec"]["strategy"] == {"type": "Recreate"}


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """Somebody else's chart, with goldwatch's below it."""
    folder = tmp_path / "model-server"
    shutil.copytree(Path(__file__).parents[1] / "chart/model-server", folder)
    shutil.copytree(CHART, folder / "charts/goldwatch")
    return folder


@pytest.mark.parametrize("native", [True, False])
def test_the_sidecar_of_another_chart_is_taken_and_admitted(
    restricted: ControlPlane, parent: Path, native: bool
) -> None:
    values = {"standalone": {"enabled": False}, "sidecar": {"native": native}, "golden": GOLDEN}
    manifests = render({"goldwatch": values}, parent)
    apply(restricted, manifests)
    (deployment,) = of_kind(manifests, "Deployment")
    created = admit(restricted, deployment)
    assert {c["name"] for c in everything_in(created["spec"])} == {"server", "goldwatch"}


def test_the_injected_sidecar_is_admitted(restricted: ControlPlane, tmp_path: Path) -> None:
    values = WAYS["injection"] | {"sidecar": {"native": False}}  # 1.20 knows no native one
    manifests = render(values)
    apply(restricted, [m for m in manifests if m["kind"] != "MutatingWebhookConfiguration"])
    server = {
        "name": "server",
        "image": "server:1",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    of_pod = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"securityContext": of_pod, "containers": [server]}
    metadata = {"name": "injected", "annotations": {"goldwatch.dev/config": "fraud-goldwatch"}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    account = restricted.folder / "account-models-release-goldwatch-webhook"
    with contextlib.suppress(Refused):  # the tests before have applied it, for a Service without endpoints here
        restricted.ask("DELETE", WEBHOOKS)
    with injecting(restricted, account, manifests, tmp_path):

        def injected() -> dict[str, Any] | None:
            """The API server takes a while to know of a new webhook."""
            created = admit(restricted, pod)
            return created if len(created["spec"]["containers"]) == 2 else None

        created = until(injected, "the API server asks it")
    assert created["spec"]["containers"][1]["name"] == "goldwatch"


WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/models-release-goldwatch-webhook"


def test_what_the_standard_forbids_is_refused(restricted: ControlPlane) -> None:
    """So that what is admitted above is known to have been looked at."""
    (plain,) = of_kind(render(BASE), "Deployment")
    (rapl,) = of_kind(render(BASE | {"access": {"rapl": {"enabled": True}}}), "Deployment")
    root, capable = copy.deepcopy(plain), copy.deepcopy(plain)
    (container,) = root["spec"]["template"]["spec"]["containers"]
    container["securityContext"]["runAsUser"] = 0
    (container,) = capable["spec"]["template"]["spec"]["containers"]
    container["securityContext"]["capabilities"] = {"add": ["SYS_ADMIN"]}
    apply(restricted, render(BASE))
    for manifest, says in (
        (rapl, "hostPath volumes are not allowed"),
        (root, "running with the root UID is forbidden"),
        (capable, "SYS_ADMIN"),
    ):
        with pytest.raises(Refused, match=says):
            admit(restricted, manifest)


def test_watches_are_taken_with_their_definition(restricted: ControlPlane) -> None:
    definition = yaml.safe_load((CHART / "crds/watches.yaml").read_text())
    _, warnings = restricted.apply(definition)
    assert not warnings

    def served() -> bool:
        found = restricted.ask("GET", f"{DEFINITIONS}/{definition['metadata']['name']}")
        with contextlib.suppress(Refused, StopIteration):
            restricted.apply(watch("fraud", every="5m"))
            return True
        return not found

    until(served, "Watches are served")
    made, warnings = restricted.apply(watch("fraud", every="5m", objectives={"latency": "50ms at p99"}))
    assert (made["spec"]["every"], warnings) == ("5m", [])


Rules = set[tuple[str, str, str, str]]


def allowed(plane: ControlPlane, account: str, namespace: str) -> Rules:
    """Return what an account may do in a namespace, besides what all may: verb, group, resource, name."""

    def rules(token: str) -> Rules:
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview"}
        asked = review | {"spec": {"namespace": namespace}}
        path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
        status = plane.ask("POST", path, asked, token=token)["status"]
        assert not status["incomplete"]
        return {
            (verb, group, resource, name)
            for rule in status["resourceRules"]
            for verb in rule["verbs"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for name in rule.get("resourceNames") or [""]
        }

    mine = (plane.folder / f"account-models-{account}/token").read_text()
    return {rule for rule in rules(mine) if rule[1] != "authorization.k8s.io"}


LEASE: Rules = {
    ("create", "coordination.k8s.io", "leases", ""),
    ("get", "coordination.k8s.io", "leases", "release-goldwatch"),
    ("update", "coordination.k8s.io", "leases", "release-goldwatch"),
}
LEASE_OF_OPERATOR: Rules = {(*rule[:3], rule[3] and f"{rule[3]}-operator") for rule in LEASE}
ROLLOUTS: Rules = {("get", "apps", "deployments", "")}
OPERATED: Rules = {
    *((verb, "goldwatch.dev", "watches", "") for verb in ("list", "watch", "create", "update", "delete")),
    ("patch", "goldwatch.dev", "watches/status", ""),
    *((verb, "", "configmaps", "") for verb in ("list", "create", "update")),
    ("list", "", "pods", ""),
    ("list", "", "services", ""),
    ("list", "serving.kserve.io", "inferenceservices", ""),
    ("create", "", "events", ""),
}
TOLD: Rules = {("create", "", "events", "")}


@pytest.mark.parametrize(
    ("account", "here", "there", "elsewhere"),
    [
        ("release-goldwatch", LEASE | ROLLOUTS, ROLLOUTS, set()),
        ("release-goldwatch-operator", LEASE_OF_OPERATOR | OPERATED, OPERATED, set()),
        ("release-goldwatch-webhook", TOLD, TOLD, TOLD),
    ],
)
def test_an_account_may_do_what_its_program_does_and_nothing_more(
    restricted: ControlPlane, account: str, here: Rules, there: Rules, elsewhere: Rules
) -> None:
    """That it is enough, the tests of lease, rollouts, operator and webhook show: there each has this role alone."""
    apply(restricted, render(STANDALONE) + render(WAYS["injection"]))
    assert allowed(restricted, account, "models") == here
    assert allowed(restricted, account, "team-a") == there
    assert allowed(restricted, account, "default") == elsewhere
