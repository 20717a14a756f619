"""Events about objects, as `kubectl describe` shows them: why something that was asked for is not done."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from goldwatch.cluster.api import Api, ApiError, Resource

_LIMIT_S = 2.0
_LONGEST_MESSAGE = 1000


def reference(found: Mapping[str, Any], api_version: str, kind: str) -> dict[str, str]:
    """Return an Event's reference to an object; items of a list carry neither their version nor their kind."""
    metadata = found["metadata"]
    about = {"apiVersion": api_version, "kind": kind, "name": metadata.get("name") or metadata.get("generateName", "")}
    return about | ({"uid": metadata["uid"]} if "uid" in metadata else {})


async def warn(api: Api, namespace: str, about: Mapping[str, str], reason: str, message: str) -> None:
    """Make a warning about an object. That it cannot be made is no reason to stop: the log has it too."""
    with contextlib.suppress(ApiError):
        path = f"/api/v1/namespaces/{namespace}/events"
        await api.post(path, _event(namespace, about, reason, message), _LIMIT_S)


def _event(namespace: str, about: Mapping[str, str], reason: str, message: str) -> Resource:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "metadata": {"generateName": "goldwatch-", "namespace": namespace},
        "involvedObject": {**about, "namespace": namespace},
        "type": "Warning",
        "reason": reason,
        "message": message[:_LONGEST_MESSAGE],
        "source": {"component": "goldwatch"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
