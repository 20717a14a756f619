"""Adds the sidecar to pods that ask for it by the annotation goldwatch.dev/config: what the admission webhook answers.

The sidecar is what the chart's own template makes of it, handed over as a file: there is no second definition here. A
pod is never refused. Whatever is wrong with its annotation is a warning, and the pod starts without the sidecar.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldwatch.errors import GoldwatchError

ANNOTATION = "goldwatch.dev/config"
LABEL = "goldwatch.dev/agent"
CONTAINER = "goldwatch"
_CONFIG_VOLUME = "goldwatch-config"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")

Object = dict[str, Any]


class CannotInject(GoldwatchError):
    """The annotation does not name what can be added to this pod; the text is for who wrote it."""


@dataclass(frozen=True)
class Sidecar:
    """The container, whether it goes below `initContainers` (native), and the volumes that it mounts."""

    container: Object
    native: bool
    volumes: tuple[Object, ...]

    @classmethod
    def read(cls, file: Path) -> Sidecar:
        """Read what the chart wrote. Raises GoldwatchError."""
        import yaml  # noqa: PLC0415 - only the webhook reads one

        try:
            found = yaml.safe_load(file.read_text())
            (container,), volumes = found["containers"], found["volumes"]
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            raise GoldwatchError(f"{file}: not the sidecar that the chart writes: {error}") from None
        if container.get("name") != CONTAINER or not any(v.get("name") == _CONFIG_VOLUME for v in volumes):
            raise GoldwatchError(f"{file}: the container {CONTAINER} or the volume {_CONFIG_VOLUME} is missing")
        return cls(container, container.get("restartPolicy") == "Always", tuple(volumes))


def patch(pod: Mapping[str, Any], sidecar: Sidecar) -> list[Object]:
    """Return the JSON patch that adds the sidecar, if the pod asks for it and lacks it. Raises CannotInject."""
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    wanted = (metadata.get("annotations") or {}).get(ANNOTATION)
    containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    if wanted is None or any(c.get("name") == CONTAINER for c in containers):
        return []
    if not _NAME.fullmatch(wanted):
        raise CannotInject(f'annotation {ANNOTATION}: "{wanted[:80]}" is not the name of a ConfigMap')
    volumes = [_configured(volume, wanted) for volume in sidecar.volumes]
    if taken := {v["name"] for v in volumes} & {v.get("name") for v in spec.get("volumes") or []}:
        raise CannotInject(f"annotation {ANNOTATION}: the pod has volumes of its own named {', '.join(sorted(taken))}")
    where = "initContainers" if sidecar.native else "containers"
    # A native sidecar comes first, so that it is there before the server, and ends after it.
    found = _added("/spec", spec, where, [sidecar.container], first=sidecar.native)
    found += _added("/spec", spec, "volumes", volumes)
    labels = metadata.get("labels")
    if not labels:
        found.append({"op": "add", "path": "/metadata/labels", "value": {LABEL: "sidecar"}})
    elif LABEL not in labels:
        found.append({"op": "add", "path": f"/metadata/labels/{LABEL.replace('/', '~1')}", "value": "sidecar"})
    return found


def _configured(volume: Object, config: str) -> Object:
    """Return the volume, with the ConfigMap of the annotation where it is that of the config."""
    if volume["name"] != _CONFIG_VOLUME:
        return volume
    return volume | {"configMap": volume["configMap"] | {"name": config}}


def _added(parent: str, spec: Mapping[str, Any], key: str, new: list[Object], *, first: bool = False) -> list[Object]:
    if not spec.get(key):
        return [{"op": "add", "path": f"{parent}/{key}", "value": new}]
    at = 0 if first else "-"
    return [{"op": "add", "path": f"{parent}/{key}/{at}", "value": value} for value in new]


def review(request: Mapping[str, Any], sidecar: Sidecar) -> tuple[Object, str | None]:
    """Answer an AdmissionReview's request: always allowed, and what is wrong with the annotation, if anything is."""
    answer: Object = {"uid": request["uid"], "allowed": True}
    try:
        operations = patch(request.get("object") or {}, sidecar)
    except CannotInject as error:
        return answer | {"warnings": [f"goldwatch: {error}; the pod starts without it"]}, str(error)
    if operations:
        encoded = base64.b64encode(json.dumps(operations).encode()).decode()
        answer |= {"patchType": "JSONPatch", "patch": encoded}
    return answer, None
