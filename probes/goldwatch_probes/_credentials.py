"""Credentials that do not last: tokens of OAuth 2.0 or of a command, and signatures of AWS.

Runs in the worker, outside the timed part. Tokens are kept until shortly before they expire, and thrown away when a
server answers 401. Every token is remembered, so that no message shows it.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import importlib
import json
import math
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from goldwatch.probe import BadAnswer, CannotLoad, Unreachable, install_command, remember_secrets
from goldwatch_probes._answers import parse_object
from goldwatch_probes._http import Connection
from goldwatch_probes._remote import RemoteOptions, split_target, split_url, trust

_MAX_BYTES = 2**16
_LIFETIME_S = 300.0
"""How long a token is kept that does not say how long it is good for."""
_MARGIN_S = 30.0
"""A token is renewed so long before it expires, or at half of its lifetime if that is later. And no token is thrown
away for a 401 within that time of the one before: a server may refuse them all."""

_now_s = time.monotonic

Sign = Callable[[str, str, bytes, str], Mapping[str, str]]
"""Of method, URL, body and content type of a request: the headers that authorize it."""


class Credentials:
    """The credentials of one target. Thread-safe."""

    def __init__(self, options: RemoteOptions, time_limit_s: float) -> None:
        """Check the options; ask for nothing yet. Raises CannotLoad."""
        _check(options)
        self._fetch: Callable[[], tuple[str, float]] | None = None
        self._sign: Sign | None = None
        self._token, self._until_s, self._refused_s = "", 0.0, -math.inf
        self._lock = threading.Lock()
        if options.oauth_url:
            self._fetch = _oauth(options, time_limit_s)
        elif options.token_command:
            self._fetch = lambda: _printed(options.token_command, time_limit_s)
        elif options.aws_service:
            self._sign = _aws_signer(options.aws_service, options.aws_region)

    def headers(self, method: str = "", url: str = "", body: bytes = b"", content_type: str = "") -> Mapping[str, str]:
        """Return the headers that authorize a request.

        Raises CannotLoad, also if the source of tokens cannot be reached: that says nothing of the model.
        """
        if self._sign is not None:
            return self._sign(method, url, body, content_type)
        if self._fetch is None:
            return {}
        with self._lock:
            if _now_s() >= self._until_s:
                token, lifetime_s = self._fetch()
                if not token or not (token.isascii() and token.isprintable()) or " " in token:
                    raise CannotLoad(
                        "the token is empty, or holds a blank or another character not allowed in a header"
                    )
                remember_secrets([token])
                self._token = token
                self._until_s = _now_s() + max(lifetime_s - _MARGIN_S, lifetime_s / 2)
            return {"Authorization": f"Bearer {self._token}"}

    def refused(self) -> None:
        """Forget the token, unless one was refused a short while ago: the server answered 401."""
        with self._lock:
            if _now_s() - self._refused_s >= _MARGIN_S:
                self._until_s, self._refused_s = 0.0, _now_s()


def _check(options: RemoteOptions) -> None:
    kinds = {"token": options.token, "oauth_url": options.oauth_url, "token_command": options.token_command}
    given = [name for name, value in (kinds | {"aws_service": options.aws_service}).items() if value]
    if len(given) > 1:
        raise CannotLoad(f"{' and '.join(f'`{name}`' for name in given)} are both given; leave all but one out")
    for name, of in (
        ("oauth_client", "oauth_url"),
        ("oauth_secret", "oauth_url"),
        ("oauth_scope", "oauth_url"),
        ("oauth_parameters", "oauth_url"),
        ("aws_region", "aws_service"),
    ):
        if getattr(options, name) and not getattr(options, of):
            raise CannotLoad(f"`{name}` is given without `{of}`")
    if options.oauth_url and not (options.oauth_client and options.oauth_secret):
        raise CannotLoad("`oauth_url` is given without `oauth_client` or `oauth_secret`")
    written = [name for name in (*options.headers, *options.secret_headers) if name.lower() == "authorization"]
    if written and given:
        raise CannotLoad(f"header {written[0]!r} and `{given[0]}` are both given; leave one out")


def _oauth(options: RemoteOptions, time_limit_s: float) -> Callable[[], tuple[str, float]]:
    """Return what asks for a token by client credentials (RFC 6749, 4.4), the client named by Basic (2.3.1)."""
    server, target = split_target(options.oauth_url, "oauth_url")
    where = options.oauth_url.partition("?")[0]
    tls = trust(options, public=True) if split_url(server).secure else None
    pair = f"{quote(options.oauth_client, safe='')}:{quote(options.oauth_secret, safe='')}"
    secret = base64.b64encode(pair.encode()).decode()
    remember_secrets([options.oauth_secret, secret])
    form = {"grant_type": "client_credentials", **options.oauth_parameters}
    form |= {"scope": options.oauth_scope} if options.oauth_scope else {}
    sent = {
        "Authorization": f"Basic {secret}",
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
    }

    def fetch() -> tuple[str, float]:
        connection = Connection(server, time_limit_s=time_limit_s, max_bytes=_MAX_BYTES, tls=tls)
        try:
            answer = connection.send(connection.written("POST", target, urlencode(form).encode(), sent))
            found = parse_object(answer.body) if answer.status == 200 else {}
        except (TimeoutError, Unreachable) as error:
            raise CannotLoad(f"`oauth_url`: {error}") from error
        except BadAnswer as error:
            raise CannotLoad(f"`oauth_url`: {where}: {error}") from error
        finally:
            connection.close()
        token, lifetime_s = found.get("access_token"), found.get("expires_in")
        if not isinstance(token, str):
            raise CannotLoad(f"`oauth_url`: {where} gives no token: {_why(answer.status, answer.body)}")
        known = isinstance(lifetime_s, int | float) and lifetime_s > 0
        return token, float(lifetime_s or 0) if known else _LIFETIME_S

    return fetch


def _why(status: int, body: bytes) -> str:
    """Return what an error of a token endpoint says (RFC 6749, 5.2)."""
    said: Mapping[str, Any] = {}
    with contextlib.suppress(BadAnswer):
        said = parse_object(body)
    texts = [str(said[name])[:200] for name in ("error", "error_description") if said.get(name)]
    return f"answered {status}: {' '.join(texts)}".rstrip(": ")


def _printed(command: Sequence[str], time_limit_s: float) -> tuple[str, float]:
    """Return the token that a command prints, and for how many seconds it is good. Raises CannotLoad."""
    deadline_s = time.monotonic() + time_limit_s
    try:
        process = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise CannotLoad(f"`token_command`: {command[0]}: {why}") from error
    try:
        found = _output(process, deadline_s)
        code = process.wait(max(deadline_s - time.monotonic(), 0.01))
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        raise CannotLoad(f"`token_command`: {command[0]} did not end within {time_limit_s:g} s") from error
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    if code:
        raise CannotLoad(f"`token_command`: {command[0]} ended with exit code {code}; run it by hand to see why")
    token = found.decode("ascii", "replace").strip()
    return token, _lifetime_s(token)


def _output(process: subprocess.Popen[bytes], deadline_s: float) -> bytes:
    """Read what a command prints. Raises TimeoutError, and CannotLoad if it is too long."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    fd, found, poll = process.stdout.fileno(), b"", select.poll()
    poll.register(fd, select.POLLIN)
    while True:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0 or not poll.poll(1e3 * left_s):
            raise TimeoutError
        piece = os.read(fd, _MAX_BYTES)
        if not piece:
            return found
        found += piece
        if len(found) > _MAX_BYTES:
            raise CannotLoad(
                f"`token_command` prints more than {_MAX_BYTES // 1024} KiB; it must print the token alone"
            )


def _lifetime_s(token: str) -> float:
    """Return the seconds until a JSON Web Token expires (RFC 7519, 4.1.4); a default for any other token."""
    parts = token.split(".")
    if len(parts) != 3:
        return _LIFETIME_S
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return max(float(claims["exp"]) - time.time(), 1.0)
    except (binascii.Error, ValueError, KeyError, TypeError, RecursionError):
        return _LIFETIME_S


def _aws_signer(service: str, region: str) -> Sign:
    """Return what signs requests by Signature Version 4, with the credentials that botocore finds.

    Raises CannotLoad.
    """
    try:
        auth, awsrequest, session = (importlib.import_module(f"botocore.{name}") for name in _BOTOCORE)
    except ImportError as error:
        raise CannotLoad(f"botocore cannot be imported ({error}); {install_command('botocore')}") from error
    aws = session.Session()
    region = region or aws.get_config_variable("region") or ""
    if not region:
        raise CannotLoad("`aws_region` is empty, and so is AWS_REGION; name the region of the server")
    found = aws.get_credentials()
    if found is None:
        raise CannotLoad("`aws_service`: botocore finds no credentials; give the pod a role, or set AWS_ACCESS_KEY_ID")

    def sign(method: str, url: str, body: bytes, content_type: str) -> dict[str, str]:
        try:
            frozen = found.get_frozen_credentials()  # new ones, if they are about to expire
        except Exception as error:  # of botocore, or of what it asks
            raise CannotLoad(f"`aws_service`: {type(error).__name__}: {str(error)[:200]}") from error
        remember_secrets([secret for secret in (frozen.secret_key, frozen.token) if secret])
        headers = {"Content-Type": content_type} if content_type else {}
        request = awsrequest.AWSRequest(method=method, url=url, data=body, headers=headers)
        auth.SigV4Auth(frozen, service, region).add_auth(request)
        return {name: value for name, value in request.headers.items() if name != "Content-Type"}

    return sign


_BOTOCORE = ("auth", "awsrequest", "session")
