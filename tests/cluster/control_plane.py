"""A real API server with etcd, on loopback, with RBAC; and identities in it as a pod finds its own."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.real.agent import free_port, until

BUILDER = Path(__file__).parents[1] / "kube-apiserver"
DEFAULT = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "goldwatch-tests/kubernetes-1.20.2"


def programs() -> tuple[str, str]:
    """Return the paths of etcd and kube-apiserver. Skips, or fails in CI, if they are missing."""
    etcd, server = shutil.which("etcd"), DEFAULT / "kube-apiserver"
    if etcd is None or not server.exists():
        reason = "etcd or kube-apiserver is missing: run tests/kube-apiserver as root"
        assert os.environ.get("CI") != "true", reason
        pytest.skip(reason)
    return etcd, str(server)


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class ControlPlane:
    """The API server, asked as an administrator."""

    folder: Path
    extra: dict[str, str] = field(default_factory=dict)
    """Flags of kube-apiserver in place of, or beside, those below."""
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.admin = secrets.token_hex()
        self._trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # once: a default one reads all authorities of the system
        self._trust.check_hostname, self._trust.verify_mode = False, ssl.CERT_NONE
        self._resources: dict[tuple[str, str], dict[str, Any]] = {}
        self._tokens = [f"{self.admin},admin,admin,system:masters"]

    def identity(self, namespace: str, name: str) -> Path:
        """Return the folder that a pod of that service account would get; call before `running`."""
        token = secrets.token_hex()
        user = f"system:serviceaccount:{namespace}:{name}"
        groups = f'"system:serviceaccounts,system:serviceaccounts:{namespace},system:authenticated"'
        self._tokens.append(f"{token},{user},{user},{groups}")
        account = self.folder / f"account-{namespace}-{name}"
        account.mkdir()
        (account / "token").write_text(token)
        (account / "namespace").write_text(namespace)
        return account

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        etcd, server = programs()
        (self.folder / "tokens.csv").write_text("\n".join(self._tokens))
        key = self.folder / "sa.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-out", f"{key}.pub"], check=True, capture_output=True)
        clients, peers = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
        store = [etcd, "--data-dir", self.folder / "etcd", "--unsafe-no-fsync"]
        store += ["--listen-client-urls", clients, "--advertise-client-urls", clients]
        store += ["--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers]
        store += ["--initial-cluster", f"default={peers}"]
        flags = {
            "etcd-servers": clients,
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            "secure-port": self.port,
            "insecure-port": 0,
            "cert-dir": self.folder / "certs",
            "service-account-issuer": "https://test",
            "service-account-key-file": f"{key}.pub",
            "service-account-signing-key-file": key,
            "token-auth-file": self.folder / "tokens.csv",
            "authorization-mode": "RBAC",
            "service-cluster-ip-range": "10.0.0.0/24",
            "allow-privileged": "true",
            "disable-admission-plugins": "ServiceAccount",
        } | self.extra
        with contextlib.ExitStack() as ending:
            self._start(store, "etcd", ending)
            self._start([server, *(f"--{name}={value}" for name, value in flags.items())], "apiserver", ending)
            until(self._is_ready, "the API server is ready", 180)
            for account in self.folder.glob("account-*"):
                shutil.copy(self.folder / "certs/apiserver.crt", account / "ca.crt")
            yield

    def _start(self, command: list[Any], name: str, ending: contextlib.ExitStack) -> None:
        log = ending.enter_context((self.folder / f"{name}.log").open("wb"))
        process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, cwd=self.folder)
        ending.callback(process.wait)
        ending.callback(process.kill)

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError, Refused):
            self.ask("GET", "/readyz")
            return True
        return False

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        token: str = "",
        kind: str = "application/json",
        accept: str = "application/json",
    ) -> Any:
        """Send one request. Raises Refused with the server's own message."""
        return self._send(method, path, body, token or self.admin, kind, accept)[0]

    def apply(self, manifest: dict[str, Any], namespace: str = "models") -> tuple[dict[str, Any], list[str]]:
        """Apply an object as `kubectl apply --server-side` does; return what it became, and what the server warned of.

        A field that the server does not know is an error.
        """
        path = f"{self._folder(manifest, namespace)}/{manifest['metadata']['name']}?fieldManager=test&force=true"
        json_kind, apply_kind = "application/json", "application/apply-patch+yaml"
        return self._send("PATCH", path, manifest, self.admin, apply_kind, json_kind)

    def _send(self, method: str, path: str, body: Any, token: str, kind: str, accept: str) -> tuple[Any, list[str]]:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind, "Accept": accept}
        data = None if body is None else json.dumps(body).encode()
        url = f"https://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30, context=self._trust) as answer:
                text, warnings = answer.read().decode(), answer.headers.get_all("Warning") or []
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode()
            message = json.loads(text).get("message", text) if text.startswith("{") else text
            raise Refused(error.code, message) from None
        return json.loads(text) if text.startswith("{") else text, warnings

    def create(self, manifest: dict[str, Any], namespace: str = "models") -> Any:
        """Create an object of any kind that the server knows."""
        return self.ask("POST", f"{self._folder(manifest, namespace)}", manifest)

    def _folder(self, manifest: dict[str, Any], namespace: str) -> str:
        version = manifest["apiVersion"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        asked = version, manifest["kind"]
        if asked not in self._resources:
            resources = self.ask("GET", root)["resources"]
            self._resources[asked] = next(r for r in resources if r["kind"] == asked[1] and "/" not in r["name"])
        of_kind = self._resources[asked]
        within = f"/namespaces/{manifest['metadata'].get('namespace', namespace)}" if of_kind["namespaced"] else ""
        return f"{root}{within}/{of_kind['name']}"

    def wait_for_namespace(self, name: str) -> None:
        def there() -> bool:
            with contextlib.suppress(Refused):
                self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
                return True
            time.sleep(0.1)
            return False

        until(there, f"namespace {name}")
