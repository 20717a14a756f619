"""Renders the chart with Helm's own engine, and validates what comes out against the Kubernetes schemas.

Imported by the tests, and by the property tests that run in an environment of their own.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helm_python as helm
import kubernetes_validate
import yaml
from kubernetes_validate import utils

CHART = Path(__file__).parents[2] / "helm/goldwatch"
VERSIONS = ("1.33", "1.35", "1.37")
CONFIG: dict[str, Any] = {
    "targets": {"fraud": {"probe": "open-inference", "url": "http://fraud:8000", "model": "fraud"}},
    "golden": {"fraud": "/golden/fraud"},
    "watches": {"fraud": {"every": "5m"}},
}
BASE: dict[str, Any] = {"config": CONFIG, "golden": [{"name": "fraud", "configMap": "golden-fraud"}]}

Manifest = dict[str, Any]
NOT_OF_KUBERNETES = (
    "cert-manager.io/",
    "gateway.networking.k8s.io/",
    "grafana.integreatly.org/",
    "monitoring.coreos.com/",
)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# It parses all definitions of a version for each object otherwise, which takes longer than anything else here.
utils.schema_contents = functools.lru_cache(maxsize=128)(utils.schema_contents)


def render(values: Mapping[str, Any], chart: Path = CHART) -> list[Manifest]:
    """Return the objects that `helm install` would make. Raises helm.HelmError."""
    with helm.Chart.load(str(chart)) as loaded:
        loaded.validate_schema(dict(values))
        texts = loaded.render(dict(values), name="release", namespace="models")
    documents = [d for path, text in texts.items() if path.endswith(".yaml") for d in yaml.load_all(text, _LOADER)]
    return [document for document in documents if document]


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def validate(manifests: list[Manifest], versions: tuple[str, ...] = VERSIONS) -> None:
    """Hold every object against the schemas of each version, strictly: an unknown field is an error."""
    for manifest in manifests:
        if not manifest["apiVersion"].startswith(NOT_OF_KUBERNETES):
            for version in versions:
                kubernetes_validate.validate(manifest, version, strict=True)


def pod_specs(manifests: list[Manifest]) -> list[dict[str, Any]]:
    """Return the spec of each pod that the objects are or make."""
    pods = [m["spec"] for m in of_kind(manifests, "Pod")]
    return pods + [
        m["spec"]["template"]["spec"] for m in manifests if m["kind"] in ("Deployment", "StatefulSet", "Job")
    ]


def breaches(pod: dict[str, Any]) -> list[str]:
    """Return in what a pod's spec breaks the `restricted` Pod Security Standard, by the rules' own wording."""
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    allowed = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
    }
    for volume in pod.get("volumes", []):
        found += [f"volume {kind}" for kind in volume.keys() - {"name"} - allowed - {"secret"}]
    of_pod = pod.get("securityContext", {})
    for container in pod.get("initContainers", []) + pod["containers"]:
        of_container = container.get("securityContext", {})
        both = {**of_pod, **of_container}
        if of_container.get("privileged"):
            found.append("privileged")
        if of_container.get("allowPrivilegeEscalation") is not False:
            found.append("allowPrivilegeEscalation")
        if of_container.get("capabilities", {}).get("drop") != ["ALL"] or of_container["capabilities"].get("add"):
            found.append("capabilities")
        if both.get("runAsNonRoot") is not True or both.get("runAsUser") == 0:
            found.append("runAsNonRoot")
        if both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            found.append("seccompProfile")
        found += [f"hostPort {port['hostPort']}" for port in container.get("ports", []) if port.get("hostPort")]
    return found
