"""The API server, by the few requests that goldwatch makes of it, with the pod's own identity.

The official client would bring a second HTTP stack for these; aiohttp is here anyway.
"""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

from goldwatch.errors import GoldwatchError

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
Resource = dict[str, Any]

_PAGE = 500
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class NotInCluster(GoldwatchError):
    """This process does not run in a pod, or the pod was given no identity."""


class ApiError(GoldwatchError):
    """The API server refused, failed, or could not be reached. `status` is that of HTTP, 0 if there was no answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """The API server. Use within `async with`."""

    def __init__(self, url: str, account: Path) -> None:
        self.url = url
        self._account = account
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def in_cluster(cls, environ: Mapping[str, str] = os.environ) -> Api:
        """Return the API of this pod's cluster. Raises NotInCluster."""
        host = environ.get("KUBERNETES_SERVICE_HOST")
        account = Path(environ.get("GOLDWATCH_SERVICE_ACCOUNT", ACCOUNT))
        if not host:
            raise NotInCluster("KUBERNETES_SERVICE_HOST is not set; goldwatch has to run in a pod for that")
        if not (account / "token").is_file():
            raise NotInCluster(f"{account}/token is not there; set automountServiceAccountToken in the pod's spec")
        port = environ.get("KUBERNETES_SERVICE_PORT", "443")
        return cls(f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}", account)

    @property
    def token(self) -> str:
        """The pod's current service account token."""
        return (self._account / "token").read_text().strip()  # it is replaced every hour

    @property
    def authority(self) -> Path:
        """The file with the certificate authority of the API server."""
        return self._account / "ca.crt"

    @property
    def namespace(self) -> str:
        """The namespace of this pod."""
        return (self._account / "namespace").read_text().strip()

    async def __aenter__(self) -> Api:
        """Connect when the first request needs it."""
        trust = ssl.create_default_context(cafile=str(self.authority))
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, limit_s: float) -> Resource:
        """Read a resource. Raises ApiError."""
        return await self._ask("GET", path, None, limit_s)

    async def post(self, path: str, body: Resource, limit_s: float) -> Resource:
        """Create a resource. Raises ApiError, with status 409 if it is there."""
        return await self._ask("POST", path, body, limit_s)

    async def put(self, path: str, body: Resource, limit_s: float) -> Resource:
        """Replace a resource. Raises ApiError, with status 409 if it is not the version that was read."""
        return await self._ask("PUT", path, body, limit_s)

    async def patch(self, path: str, body: Resource, limit_s: float) -> Resource:
        """Apply `body` to a resource as a JSON merge patch. Raises ApiError."""
        return await self._ask("PATCH", path, body, limit_s, "application/merge-patch+json")

    async def delete(self, path: str, limit_s: float) -> Resource:
        """Delete a resource. Raises ApiError."""
        return await self._ask("DELETE", path, None, limit_s)

    async def all_of(
        self, path: str, limit_s: float, labels: str = "", *, fields: str = "", metadata_only: bool = False
    ) -> list[Resource]:
        """Return all resources of a collection, by selectors of labels and fields, page by page. Raises ApiError."""
        found: list[Resource] = []
        selectors = {"labelSelector": labels, "fieldSelector": fields}
        asked = {"limit": str(_PAGE)} | {key: text for key, text in selectors.items() if text}
        accept = _METADATA if metadata_only else ""
        while True:
            page = await self._ask("GET", path, None, limit_s, asked=asked, accept=accept)
            found += page.get("items") or []
            if not (token := (page.get("metadata") or {}).get("continue")):
                return found
            asked["continue"] = token

    async def _ask(
        self,
        method: str,
        path: str,
        body: Resource | None,
        limit_s: float,
        kind: str = "application/json",
        asked: Mapping[str, str] | None = None,
        accept: str = "",
    ) -> Resource:
        assert self._session is not None, "use within `async with`"  # noqa: S101
        limit = aiohttp.ClientTimeout(total=limit_s)
        try:
            headers = {"Authorization": f"Bearer {self.token}"} | ({} if body is None else {"Content-Type": kind})
            headers |= {"Accept": accept} if accept else {}
            url = self.url + path
            sent = self._session.request(method, url, params=asked, json=body, timeout=limit, headers=headers)
            async with sent as answer:
                text = await answer.text()
        except TimeoutError:
            raise ApiError(f"no answer from {self.url} within {limit_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ApiError(f"{self.url} could not be asked: {error}") from None
        try:
            found: Resource = json.loads(text)
        except ValueError:  # the answer for an unknown path is plain text
            found = {"message": text.strip()[:200] or answer.reason}
            if answer.status < 400:
                raise ApiError(f"{method} {path}: the answer is no JSON") from None
        if answer.status >= 400:
            raise ApiError(f"{method} {path}: {found.get('message', answer.reason)}", answer.status)
        return found


def name_of(found: Mapping[str, Any]) -> str:
    """Return the name of a resource."""
    name: str = found["metadata"]["name"]
    return name


def labels_of(found: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the labels of a resource."""
    labels: Mapping[str, str] = found["metadata"].get("labels") or {}
    return labels
