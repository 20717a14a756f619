"""Memory that requests leave behind while the garbage collector is off, as it is during a replay."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from goldwatch.core.outcome import without_frames
from goldwatch.probe import BadAnswer
from goldwatch_probes import _http, _http2

from tests.probes.http2_peer import Peer
from tests.probes.http2_peer import serving as serving_http2

REQUESTS = 2_000
BODY = b"x" * 50_000
LIMITS: Any = {"time_limit_s": 30.0, "max_bytes": 2**20}


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Large:
    """Stands for an answer of some megabytes, which unlike bytes can be watched."""


def fail(answer: Large) -> None:
    try:
        float(repr(answer))
    except ValueError as error:
        wrong = BadAnswer("no number")
        raise wrong from error


def fail_for_another_cause(answer: Large) -> None:
    """The error that was handled, its context, is not the one that is named as its cause."""
    handled = ValueError("no number")
    try:
        raise handled
    except ValueError:
        raise BadAnswer("no number") from KeyError(str(answer))


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("failing", [fail, fail_for_another_cause])
def test_an_error_that_is_kept_does_not_keep_the_answer(failing: Callable[[Large], None]) -> None:
    answer = Large()
    alive = weakref.ref(answer)
    try:
        failing(answer)
    except BadAnswer as error:
        kept = without_frames(error)
    del answer
    assert alive() is None
    assert str(kept) == "no number"


def http_client() -> Iterator[Callable[[], object]]:
    def run(peer: Peer) -> None:
        while peer.sock.recv(2**16):
            peer.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY))

    with serving_http2(run) as url:
        connection = _http.Connection(url, **LIMITS)
        request = connection.written("POST", "model", b"{}")
        yield lambda: connection.send(request)
        connection.close()


def http2_client() -> Iterator[Callable[[], object]]:
    def run(peer: Peer) -> None:
        peer.greet()
        while True:
            number, _, _ = peer.request()
            peer.seen.clear()
            peer.send(*peer.answer(number, BODY, ("grpc-status", "0")))

    with serving_http2(run) as url:
        connection = _http2.Connection(url, **LIMITS)
        head = _http2.encoded([(":method", "POST"), (":scheme", "http"), (":path", "/m"), (":authority", "here")])
        yield lambda: connection.send(head, b"question", "here")
        connection.close()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


@pytest.mark.slow
@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("client", [http_client, http2_client])
def test_answers_leave_no_memory_behind(client: Callable[[], Iterator[Callable[[], object]]]) -> None:
    for send in client():
        for _ in range(100):
            send()
        before = resident_bytes()
        for _ in range(REQUESTS):
            send()
        more = resident_bytes() - before
        assert more < REQUESTS * len(BODY) / 20, f"{more / 2**20:.0f} MiB more after {REQUESTS} answers"
