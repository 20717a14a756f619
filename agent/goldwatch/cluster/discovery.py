"""Finds deployed models that ask to be watched: pods, Services, InferenceServices annotated goldwatch.dev/golden.

Each becomes a Watch, treated as all Watches are: validated, shown in `kubectl get watches`, part of a config. The
annotations are few on purpose; users who want more write a Watch, and that is never replaced.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from goldwatch.cluster.api import Api, ApiError, labels_of, name_of
from goldwatch.cluster.controllers import Failure
from goldwatch.cluster.events import reference, warn
from goldwatch.cluster.resource import API_VERSION, PLURAL

log = logging.getLogger("goldwatch")

Object = Mapping[str, Any]

DISCOVERED = "goldwatch.dev/discovered"
"""The label of a Watch that was made of annotations; its value says of what."""
GOLDEN = "goldwatch.dev/golden"
"""The annotation that asks for it: the path of the golden set at the agent, or its address, which needs a digest."""
_DIGEST = "goldwatch.dev/digest"
_OF_TARGET = {"goldwatch.dev/probe": "probe", "goldwatch.dev/model": "model"}
_OF_WATCH = {"goldwatch.dev/every": "every"}
_OF_OBJECTIVES = {
    "goldwatch.dev/latency": "latency",
    "goldwatch.dev/accuracy": "accuracy",
    "goldwatch.dev/errors": "errors",
}
_PORT = "goldwatch.dev/port"
_DEFAULT_PORT = "8000"
_HASH = "pod-template-hash"
_LONGEST_NAME = 63
_LIMIT_S = 15.0
_INFERENCE_VERSION = "serving.kserve.io/v1beta1"
_INFERENCE_SERVICES = f"/apis/{_INFERENCE_VERSION}/namespaces/{{}}/inferenceservices"
_MADE_FOR = "serving.kserve.io/inferenceservice"
"""The label of what KServe makes for an InferenceService, to which it copies the annotations too."""
_PROBES = {"v1": "tensorflow-serving", "v2": "open-inference", "grpc-v2": "open-inference-grpc"}
"""The probe for a protocol of KServe."""


@dataclass(frozen=True, slots=True)
class Discovered:
    """A Watch that is asked for, and the object that asks for it, as an Event names it."""

    watch: dict[str, Any]
    source: Mapping[str, str]


class Discovery:
    """Keeps the Watches made from annotations in a namespace equal to the annotations.

    `selector` chooses by their labels which objects may ask, as `kubectl get --selector` does; "" is all. `failed` is
    told of each write that the API server forbade or could not answer; one that it refused is for the owner to mend.
    """

    def __init__(self, api: Api, namespace: str, selector: str, failed: Callable[[ApiError], None]) -> None:
        self._api = api
        self._failed = failed
        self._selector = selector
        self._namespace = namespace
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._services = f"/api/v1/namespaces/{namespace}/services"
        self._inference_services = _INFERENCE_SERVICES.format(namespace)
        self._watches = f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}"
        self._told: dict[str, str] = {}

    async def run(self, watches: Iterable[Object]) -> bool:
        """Create, change and delete, and return whether anything was. Raises ApiError if nothing can be read."""
        existing = {name_of(watch): watch for watch in watches}
        asking = await self._asking()
        wanted = {name_of(found.watch): found for found in asking}
        changed = [await self._make(name, found, existing.get(name)) for name, found in wanted.items()]
        for name, watch in existing.items():
            if DISCOVERED in labels_of(watch) and name not in wanted:
                about = reference(watch, API_VERSION, "Watch")
                changed.append(await self._try(name, about, self._api.delete(f"{self._watches}/{name}", _LIMIT_S)))
        return any(changed)

    async def _asking(self) -> list[Discovered]:
        """Return all that ask; of several of one name the last is taken."""
        inference = await self._all_inference_services()
        by_themselves = {name_of(service) for service in inference if GOLDEN in _annotations(service)}

        async def others(path: str) -> list[dict[str, Any]]:
            found = await self._api.all_of(path, _LIMIT_S, self._selector)
            return [one for one in found if labels_of(one).get(_MADE_FOR) not in by_themselves]

        pods, services = await others(self._pods), await others(self._services)
        return [*of_pods(pods), *of_services(services), *of_inference_services(inference)]

    async def _all_inference_services(self) -> list[dict[str, Any]]:
        try:
            return await self._api.all_of(self._inference_services, _LIMIT_S, self._selector)
        except ApiError as error:
            if error.status == 404:  # there is no KServe here
                return []
            raise

    async def _make(self, name: str, found: Discovered, existing: Object | None) -> bool:
        watch = found.watch
        if existing is None:
            return await self._try(name, found.source, self._api.post(self._watches, watch, _LIMIT_S))
        if DISCOVERED not in labels_of(existing) or existing.get("spec") == watch["spec"]:
            return False
        body = {**existing, "spec": watch["spec"]}
        return await self._try(name, found.source, self._api.put(f"{self._watches}/{name}", body, _LIMIT_S))

    async def _try(self, name: str, about: Mapping[str, str], change: Awaitable[object]) -> bool:
        """Make a change and return whether it was made; report a failure once, in the log and by an Event."""
        try:
            await change
        except ApiError as error:
            if Failure.of(error) in (Failure.FORBIDDEN, Failure.UNREACHABLE):
                self._failed(error)
            if self._told.get(name) != str(error):
                log.warning("annotations make no Watch", extra={"name_of": name, "why": str(error)})
                await warn(self._api, self._namespace, about, "NotWatched", f"the annotations make no Watch: {error}")
            self._told[name] = str(error)
            return False
        self._told.pop(name, None)
        return True


def of_pods(pods: Iterable[Object]) -> list[Discovered]:
    """Return a Watch for each model that is served by pods which ask for it.

    The pods of one Deployment, or of another controller, serve one model. The one that has been ready for longest is
    asked, so that the target changes as seldom as may be.
    """
    ready: dict[str, list[Object]] = {}
    for pod in pods:
        if GOLDEN in _annotations(pod) and _ready_since(pod):
            ready.setdefault(_served_by(pod), []).append(pod)
    return [_of_pod(name, min(found, key=lambda p: (_ready_since(p), name_of(p)))) for name, found in ready.items()]


def of_services(services: Iterable[Object]) -> list[Discovered]:
    """Return a Watch for each Service that asks for it, at its name inside the cluster and the first of its ports."""
    found = []
    for service in services:
        annotations, name = _annotations(service), name_of(service)
        if GOLDEN not in annotations:
            continue
        ports = [str(port["port"]) for port in (service.get("spec") or {}).get("ports") or []]
        port = annotations.get(_PORT) or next(iter(ports), _DEFAULT_PORT)
        url = f"http://{name}.{service['metadata']['namespace']}:{port}"
        watch = _watch(name, "Service", {"probe": "open-inference", "url": url, "model": name}, annotations)
        found.append(Discovered(watch, reference(service, "v1", "Service")))
    return found


def of_inference_services(services: Iterable[Object]) -> list[Discovered]:
    """Return a Watch for each InferenceService that asks for it and has an address."""
    found = []
    for service in services:
        status = service.get("status") or {}
        url = (status.get("address") or {}).get("url") or status.get("url")
        if GOLDEN not in _annotations(service) or not url:
            continue
        model = ((service.get("spec") or {}).get("predictor") or {}).get("model") or {}
        probe = _PROBES.get(str(model.get("protocolVersion") or "v1").lower(), "open-inference")
        target = {"probe": probe, "url": url, "model": name_of(service)}
        watch = _watch(name_of(service), "InferenceService", target, _annotations(service))
        found.append(Discovered(watch, reference(service, _INFERENCE_VERSION, "InferenceService")))
    return found


def _of_pod(name: str, pod: Object) -> Discovered:
    annotations, address = _annotations(pod), str(pod["status"]["podIP"])
    host = f"[{address}]" if ":" in address else address
    url = f"http://{host}:{annotations.get(_PORT, _DEFAULT_PORT)}"
    target = {"probe": "open-inference", "url": url, "model": name}
    if _HASH in labels_of(pod):
        target["deployment"] = name
    return Discovered(_watch(name, "Pod", target, annotations), reference(pod, "v1", "Pod"))


def _watch(name: str, kind: str, target: dict[str, Any], annotations: Mapping[str, str]) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "target": target | _named(annotations, _OF_TARGET),
        "golden": _golden(annotations),
        **_named(annotations, _OF_WATCH),
    }
    if objectives := _named(annotations, _OF_OBJECTIVES):
        spec["objectives"] = objectives
    metadata = {"name": name[:_LONGEST_NAME], "labels": {DISCOVERED: kind}}
    return {"apiVersion": API_VERSION, "kind": "Watch", "metadata": metadata, "spec": spec}


def _golden(annotations: Mapping[str, str]) -> dict[str, str]:
    """Return the golden set as a Watch has it. Without headers: they are references, and an agent's secrets its own."""
    where = annotations[GOLDEN]
    if "://" in where:
        return {"url": where, "digest": annotations.get(_DIGEST, "")}  # without one it is refused, by name
    return {"path": where} | _named(annotations, {_DIGEST: "digest"})


def _named(annotations: Mapping[str, str], keys: Mapping[str, str]) -> dict[str, str]:
    return {key: annotations[annotation] for annotation, key in keys.items() if annotation in annotations}


def _served_by(pod: Object) -> str:
    """Return the name of what a pod belongs to: of its Deployment, or of its controller, or its own."""
    metadata = pod["metadata"]
    owner = next((o["name"] for o in metadata.get("ownerReferences") or [] if o.get("controller")), name_of(pod))
    of_template = (metadata.get("labels") or {}).get(_HASH)
    return str(owner).removesuffix(f"-{of_template}") if of_template else str(owner)


def _ready_since(pod: Object) -> str:
    """Return since when a pod is ready, as it is written there; empty if it is not, or has no address."""
    status = pod.get("status") or {}
    if not status.get("podIP") or pod["metadata"].get("deletionTimestamp"):
        return ""
    conditions = status.get("conditions") or []
    return next(
        (
            str(c.get("lastTransitionTime"))
            for c in conditions
            if c.get("type") == "Ready" and c.get("status") == "True"
        ),
        "",
    )


def _annotations(found: Object) -> Mapping[str, str]:
    annotations: Mapping[str, str] = found["metadata"].get("annotations") or {}
    return annotations
