from __future__ import annotations

import asyncio
import base64
import copy
import json
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from goldwatch import http_serving
from goldwatch.cluster import webhook
from goldwatch.cluster.controllers import WebhookMetrics
from goldwatch.cluster.injection import CannotInject, Sidecar, patch, review
from goldwatch.errors import GoldwatchError

from tests.real.agent import free_port

CONFIGURED = {"name": "goldwatch-config", "configMap": {"name": "", "optional": True}}
NATIVE = Sidecar(
    {"name": "goldwatch", "restartPolicy": "Always"}, True, (CONFIGURED, {"name": "state", "emptyDir": {}})
)
BESIDE = Sidecar({"name": "goldwatch"}, False, NATIVE.volumes)


def pod(annotation: str | None = "fraud", **spec: Any) -> dict[str, Any]:
    annotations = {} if annotation is None else {"goldwatch.dev/config": annotation}
    return {"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": "server"}]} | spec}


def patched(document: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """Apply the few forms of operation that are made here."""
    result = copy.deepcopy(document)
    for operation in operations:
        *way, last = [step.replace("~1", "/") for step in operation["path"].split("/")[1:]]
        place: Any = result
        for step in way:
            place = place[step]
        if isinstance(place, list):
            place.insert(len(place) if last == "-" else int(last), operation["value"])
        else:
            place[last] = operation["value"]
    return result


@pytest.mark.parametrize(
    "before",
    [
        pod(),
        pod(initContainers=[{"name": "first"}]),
        pod(volumes=[{"name": "models"}]),
        pod() | {"metadata": {"annotations": {"goldwatch.dev/config": "fraud"}, "labels": {"app": "fraud"}}},
    ],
)
@pytest.mark.parametrize("sidecar", [NATIVE, BESIDE])
def test_it_is_added_once(before: dict[str, Any], sidecar: Sidecar) -> None:
    after = patched(before, patch(before, sidecar))
    where = after["spec"]["initContainers"] if sidecar.native else after["spec"]["containers"][::-1]
    assert where[0]["name"] == "goldwatch"
    config = next(v for v in after["spec"]["volumes"] if v["name"] == "goldwatch-config")
    assert config["configMap"] == {"name": "fraud", "optional": True}
    assert after["metadata"]["labels"]["goldwatch.dev/agent"] == "sidecar"
    kept = {c["name"] for c in before["spec"]["containers"]} | {v["name"] for v in before["spec"].get("volumes", [])}
    assert kept <= {c["name"] for c in after["spec"]["containers"]} | {v["name"] for v in after["spec"]["volumes"]}
    assert patch(after, sidecar) == []


@pytest.mark.parametrize("before", [{}, pod(None), {"metadata": {"annotations": None}}])
def test_who_does_not_ask_is_left_alone(before: dict[str, Any]) -> None:
    assert patch(before, NATIVE) == []


@pytest.mark.parametrize(
    ("before", "says"),
    [
        (pod("Not A Name"), 'annotation goldwatch.dev/config: "Not A Name" is not the name of a ConfigMap'),
        (pod(""), "is not the name of a ConfigMap"),
        (pod("../x"), "is not the name of a ConfigMap"),
        (pod(volumes=[{"name": "state"}]), "the pod has volumes of its own named state"),
    ],
)
def test_a_broken_annotation_admits_the_pod_with_a_warning(before: dict[str, Any], says: str) -> None:
    with pytest.raises(CannotInject, match=says.replace(".", r"\.")):
        patch(before, NATIVE)
    answer, problem = review({"uid": "1", "object": before}, NATIVE)
    assert answer["allowed"]
    assert "patch" not in answer
    assert says in answer["warnings"][0]
    assert says in str(problem)


def test_the_patch_is_encoded_as_the_api_server_reads_it() -> None:
    answer, _ = review({"uid": "1", "object": pod()}, NATIVE)
    assert answer["patchType"] == "JSONPatch"
    assert json.loads(base64.b64decode(answer["patch"])) == patch(pod(), NATIVE)


def asking(**changes: Any) -> bytes:
    request = {"uid": "1", "namespace": "models", "object": pod()} | changes
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "request": request}).encode()


REVIEWED = [asking(), asking(object={}), asking(object={"spec": {}})]
MALFORMED = [
    b"",
    b"{",
    b"\xff",
    b"[]",
    b"{}",
    b'{"request": {}}',
    b"[" * 100_000,
    b"[" + b"{}," * 250_000 + b"{}]",
    asking(uid=["1"]),
    asking(namespace=["models"]),
    asking(object=[1]),
    asking(object={"metadata": {"annotations": {"goldwatch.dev/config": 1}}}),
    asking(object={"metadata": {"annotations": {"goldwatch.dev/config": "a b"}, "ownerReferences": [{}]}}),
    asking(object=pod() | {"spec": {"volumes": [{"name": {}}]}}),
    asking(object=pod(containers=[["server"]])),
]


def test_a_malformed_request_gets_status_400_and_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async def statuses(bodies: list[bytes]) -> list[int]:
        app = webhook.Webhook(NATIVE, None, WebhookMetrics()).app()
        async with TestServer(app) as server, aiohttp.ClientSession() as session:
            url, odd = server.make_url("/inject"), {"Content-Type": "application/json; charset=none"}
            return [(await session.post(url, data=body, headers=odd)).status for body in bodies]

    assert asyncio.run(statuses(REVIEWED)) == [200] * len(REVIEWED)
    assert asyncio.run(statuses(MALFORMED)) == [400] * len(MALFORMED)
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("text", ["", "[", "containers: []", "containers: [{name: x}]\nvolumes: []"])
def test_another_file_is_no_sidecar(text: str, tmp_path: Path) -> None:
    (tmp_path / "sidecar.yaml").write_text(text)
    with pytest.raises(GoldwatchError, match=r"sidecar\.yaml"):
        Sidecar.read(tmp_path / "sidecar.yaml")


def test_a_certificate_that_cannot_be_used_yet_ends_nothing(
    tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A key that is renewed after its certificate does not belong to it for a moment."""
    monkeypatch.setattr(http_serving, "_RENEW_S", 0.05)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    sidecar, key, port = tmp_path / "sidecar.yaml", tmp_path / "key.pem", free_port()
    sidecar.write_text(json.dumps({"containers": [BESIDE.container], "volumes": [CONFIGURED]}))
    key.write_bytes(certificate.with_name("key.pem").read_bytes())
    trust = ssl.create_default_context(cafile=certificate)

    async def ready() -> bool:
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"https://127.0.0.1:{port}/readyz", ssl=trust) as answer,
            ):
                return answer.status == 200
        except aiohttp.ClientConnectorError:
            return False

    async def told() -> bool:
        return "the certificate is not renewed" in caplog.messages

    async def becomes(condition: Callable[[], Awaitable[bool]]) -> bool:
        for _ in range(1200):
            if await condition():
                return True
            await asyncio.sleep(0.05)
        return False

    async def renewed() -> None:
        serving = asyncio.create_task(webhook.serve(sidecar, certificate, key, "127.0.0.1", port, free_port()))
        assert await becomes(ready)
        key.write_text("half of a key")
        assert await becomes(told)
        assert await ready()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(renewed())
