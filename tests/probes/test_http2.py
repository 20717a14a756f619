"""HTTP/2 as our client speaks it, against a server that sends frames as the test lists them, or h2's own."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from goldwatch.probe import BadAnswer, Unreachable
from goldwatch_probes._http2 import Answer, Connection, encoded

from tests.probes.http2_peer import Ended, Peer, Script, serving

HEAD = encoded([(":method", "POST"), (":scheme", "http"), (":path", "/m"), (":authority", "here"), ("x-key", "k" * 20)])
GOOD = ("grpc-status", "0")


def connection(url: str, limit_s: float = 10, max_bytes: int = 2**20) -> Connection:
    return Connection(url, time_limit_s=limit_s, max_bytes=max_bytes)


def asked(url: str, body: bytes = b"question", **limits: Any) -> Answer:
    client = connection(url, **limits)
    try:
        return client.send(HEAD, body, "here")
    finally:
        client.close()


def script(*answer: Callable[[Peer, int], Any], settings: dict[int, int] | None = None) -> Script:
    """Return a script that takes one request, does each of `answer`, and waits for the client to close."""

    def run(peer: Peer) -> None:
        peer.greet(settings)
        number, _, _ = peer.request()
        for act in answer:
            act(peer, number)
        with contextlib.suppress(OSError):
            peer.request()

    return run


def good(peer: Peer, number: int) -> None:
    peer.send(*peer.answer(number, b"answer", GOOD))


def test_requests_follow_one_another_on_one_connection() -> None:
    seen = []

    def run(peer: Peer) -> None:
        peer.greet()
        for _ in range(3):
            number, headers, body = peer.request()
            seen.append((number, headers[":path"], headers["x-key"], body))
            peer.send(*peer.answer(number, body * 2, GOOD, ("grpc-message", "fine")))
        peer.request()

    with serving(run) as url:
        client = connection(url)
        before_ns = time.monotonic_ns()
        for body in (b"a", b"", b"c" * 100_000):
            answer = client.send(HEAD, body, "here")
            assert (answer.status, answer.body) == (200, body * 2)
            assert answer.headers == {"content-type": "application/grpc", "grpc-status": "0", "grpc-message": "fine"}
            assert before_ns < answer.sent_ns < answer.arrived_ns <= time.monotonic_ns()
            before_ns = answer.arrived_ns
        client.close()
    assert [(n, path, key) for n, path, key, _ in seen] == [(n, "/m", "k" * 20) for n in (1, 3, 5)]


def test_an_answer_is_there_with_its_last_byte() -> None:
    sent_ns: list[int] = []

    def slowly(peer: Peer, number: int) -> None:
        head, body, end = peer.answer(number, b"answer", GOOD)
        for frame in (head, body, end):
            time.sleep(0.02)
            sent_ns.append(time.monotonic_ns())
            peer.send(frame)

    with serving(script(slowly)) as url:
        answer = asked(url)
    # A clock that is read twice in the kernel and thrice here may be some microseconds apart.
    assert answer.sent_ns < sent_ns[0]
    assert answer.arrived_ns > sent_ns[-1] - 1_000_000


def in_pieces(peer: Peer, number: int) -> None:
    for byte in b"".join(frame.serialize() for frame in peer.answer(number, b"answer", GOOD)):
        peer.sock.sendall(bytes([byte]))


def padded_and_continued(peer: Peer, number: int) -> None:
    early = peer.headers(number, (":status", "103"), ("link", "x"))
    whole = peer.encoder.encode([(":status", "200"), ("a", "b")])
    head = HeadersFrame(number, whole[:2], pad_length=5, depends_on=0, stream_weight=7, flags=["PADDED", "PRIORITY"])
    rest = ContinuationFrame(number, whole[2:], flags=["END_HEADERS"])
    body = DataFrame(number, b"answer", pad_length=200, flags=["PADDED"])
    peer.send(early, head, rest, body, peer.headers(number, GOOD, ends=True))


def among_others(peer: Peer, number: int) -> None:
    head, body, end = peer.answer(number, b"answer", GOOD)
    assert peer.acknowledged(b"12345678")
    peer.send(head, SettingsFrame(0, {4: 1, 5: 20_000}), PriorityFrame(number))
    raw(0x42, b"a kind of frame that is not known")(peer, number)
    assert peer.acknowledged(b"87654321")
    peer.send(body, WindowUpdateFrame(number, 10), PingFrame(0, b"pongpong", flags=["ACK"]), end)


def ends_soon(peer: Peer, number: int) -> None:
    """A server that shuts down gracefully first announces it, then names the last stream it answers."""
    head, body, end = peer.answer(number, b"answer", GOOD)
    peer.send(GoAwayFrame(0, last_stream_id=2**31 - 1), head, body, GoAwayFrame(0, last_stream_id=number), end)


def then_reset(peer: Peer, number: int) -> None:
    peer.send(*peer.answer(number, b"answer", GOOD), RstStreamFrame(number, 0))


@pytest.mark.parametrize("act", [good, in_pieces, padded_and_continued, among_others, ends_soon, then_reset])
def test_an_answer_may_come_in_many_ways(act: Callable[[Peer, int], None]) -> None:
    with serving(script(act)) as url:
        answer = asked(url)
    assert (answer.status, answer.body, answer.headers["grpc-status"]) == (200, b"answer", "0")


def until_ended(client: Connection) -> None:
    """Wait until the end of the connection has arrived, or the frame that announces it, which may follow the answer."""
    deadline = time.monotonic() + 60
    while (session := client._session) is not None and not (session._piece or session._line.has_input()):
        assert time.monotonic() < deadline, "the server did not close the connection"
        time.sleep(0.01)


@pytest.mark.parametrize("end", ["GOAWAY", "closed", "both", "RST", "junk", "closed as the request comes"])
def test_a_connection_that_ended_is_opened_again(end: str) -> None:
    """Nothing was run twice: it was over before the request, or the server reports that it did not process it."""

    def first(peer: Peer) -> None:
        peer.greet()
        number, _, _ = peer.request()
        peer.send(*peer.answer(number, b"first", GOOD))
        if end in ("GOAWAY", "both"):
            peer.send(GoAwayFrame(0, last_stream_id=number, additional_data=b"max_age"))
        if end == "junk":
            raw(8, b"abc")(peer, 0)
            assert not peer.sock.recv(100), "the client closes"
        if end == "RST":
            number, _, _ = peer.request()
            peer.send(RstStreamFrame(number, 7))
        elif end in ("GOAWAY", "closed as the request comes"):
            with contextlib.suppress(Ended):
                peer.request()

    with serving(first, script(good)) as url:
        client = connection(url)
        assert client.send(HEAD, b"", "here").body == b"first"
        if end in ("closed", "both", "junk"):
            until_ended(client)
        assert client.send(HEAD, b"", "here").body == b"answer"
        client.close()


def gone(peer: Peer, _: int) -> None:
    peer.send(GoAwayFrame(0, last_stream_id=0, error_code=11, additional_data=b"too_many_pings"))


def half(peer: Peer, number: int) -> None:
    peer.send(peer.answer(number, b"answer", GOOD)[0])
    peer.sock.shutdown(socket.SHUT_RDWR)


def nothing(peer: Peer, _: int) -> None:
    peer.sock.shutdown(socket.SHUT_RDWR)


def raw(kind: int, payload: bytes, flags: int = 0, number: int = 0) -> Callable[[Peer, int], None]:
    def run(peer: Peer, _: int) -> None:
        peer.sock.sendall(struct.pack(">BHBBI", 0, len(payload), kind, flags, number) + payload)

    return run


def continued_when_whole(peer: Peer, number: int) -> None:
    """A block that is decoded again with each frame makes a call of 2 s last a minute."""
    peer.send(peer.headers(number, (":status", "200")))
    peer.sock.sendall(ContinuationFrame(number, b"", flags=["END_HEADERS"]).serialize() * 100_000)


def pushed(peer: Peer, number: int) -> None:
    peer.send(PushPromiseFrame(number, 2, b"", flags=["END_HEADERS"]))


def many_heads(peer: Peer, number: int) -> None:
    """Each block is short, but there is no end of them."""
    for _ in range(100):
        peer.send(peer.headers(number, (":status", "103"), ("link", "x" * 1000)))


def endless_headers(peer: Peer, number: int) -> None:
    peer.send(HeadersFrame(number, b"\x00" * 16_000))
    for _ in range(5):
        peer.send(ContinuationFrame(number, b"\x00" * 16_000))


def bomb(peer: Peer, number: int) -> None:
    name = b"\x40\x01a\x7f\x81\x1e" + b"b" * 4000  # into the table, then 4,000 times out of it
    peer.send(HeadersFrame(number, name + b"\xbe" * 4000, flags=["END_HEADERS"]))


def endless_pings(peer: Peer, _: int) -> None:
    with contextlib.suppress(OSError):
        for _ in range(100_000):
            peer.send(PingFrame(0, b"12345678"))


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (gone, Unreachable, "^here: the server ended the connection: too_many_pings$"),
        (lambda p, n: p.send(RstStreamFrame(n, 7)), Unreachable, "^here: the server refused the request$"),
        (lambda p, n: p.send(RstStreamFrame(n, 2)), Unreachable, r"ended the request \(code 2 of HTTP/2\)$"),
        (half, Unreachable, "^here: the server closed the connection$"),
        (nothing, Unreachable, "^here: the server closed the connection$"),
        (
            lambda p, n: p.send(PushPromiseFrame(n, 2, b"", flags=["END_HEADERS"])),
            BadAnswer,
            r"not HTTP/2 \(Received pushed stream\)",
        ),
        (raw(0, b"a" * 16_385, number=1), BadAnswer, r"not HTTP/2 \(a frame of 16385 bytes\)"),
        (raw(0, b"\x09abc", flags=8, number=1), BadAnswer, r"not HTTP/2 \(Received frame with invalid padding\.\)"),
        (raw(0, b"", flags=8, number=1), BadAnswer, r"not HTTP/2 \(Frame data missing or invalid\)"),
        (raw(1, b"\xff\xff\xff\xff\xff", flags=4, number=1), BadAnswer, "the answer is not HTTP/2 "),
        (raw(0, b"a", flags=1, number=1), BadAnswer, r"not HTTP/2 \(cannot receive data before headers\)"),
        (lambda p, n: p.send(p.headers(n, GOOD, ends=True)), BadAnswer, r"not HTTP/2 \(it has no status\)"),
        (lambda p, n: p.send(WindowUpdateFrame(n, 2**31 - 1)), BadAnswer, r"not HTTP/2 \(code 3 of HTTP/2\)"),
        (raw(3, b"abc", number=1), BadAnswer, "the answer is not HTTP/2 "),
        (raw(4, b"abc"), BadAnswer, "the answer is not HTTP/2 "),
        (raw(7, b"abc"), BadAnswer, "the answer is not HTTP/2 "),
        (raw(8, b"abc"), BadAnswer, "the answer is not HTTP/2 "),
        (endless_headers, BadAnswer, "the answer has headers longer than the 65536 bytes allowed"),
        (bomb, BadAnswer, "the answer is not HTTP/2 .*65536"),
        (continued_when_whole, BadAnswer, r"the answer is not HTTP/2 \(.*RECV_CONTINUATION"),
        (many_heads, BadAnswer, "the answer has headers longer than the 65536 bytes allowed"),
        (lambda p, n: p.send(*p.answer(n, bytes(2**21))), BadAnswer, "longer than the 1048576 bytes allowed"),
    ],
)
def test_what_is_no_answer(act: Callable[[Peer, int], Any], error: type[Exception], message: str) -> None:
    def quietly(peer: Peer, number: int) -> None:
        with contextlib.suppress(OSError):  # the client may be gone before all was sent
            act(peer, number)

    with serving(script(quietly)) as url, pytest.raises(error, match=message) as caught:
        asked(url)
    assert type(caught.value) is error
    assert len(str(caught.value)) < 300


def test_frames_besides_the_answer_are_counted() -> None:
    with (
        serving(script(endless_pings)) as url,
        pytest.raises(BadAnswer, match=r"^the answer is longer than the 65536 bytes allowed$"),
    ):
        asked(url, max_bytes=2**16)


def test_frames_that_cost_more_time_than_bytes_end_at_the_deadline() -> None:
    """After 20,000 settings, h2 takes a millisecond for each further frame of them. The answer comes in one piece."""

    def run(peer: Peer, number: int) -> None:
        for start in range(1000, 21_000, 2000):
            raw(4, b"".join(struct.pack(">HI", name, 1) for name in range(start, start + 2000)))(peer, 0)
        assert peer.acknowledged(b"12345678")
        answer = [SettingsFrame(0)] * 6000 + peer.answer(number, b"answer", GOOD)
        with contextlib.suppress(OSError):
            peer.send(*answer)

    with serving(script(run)) as url, pytest.raises(TimeoutError, match=r"^no whole answer from here within 0\.5 s$"):
        asked(url, limit_s=0.5)


def test_a_server_that_does_not_speak_it() -> None:
    def http1(peer: Peer) -> None:
        peer.sock.recv(100)
        peer.sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with serving(http1) as url, pytest.raises(Unreachable, match=r"^here: the server does not speak HTTP/2$"):
        asked(url)
    with serving(lambda _: None) as url, pytest.raises(Unreachable, match=r"^here: "):
        asked(url)


def silent(peer: Peer, number: int) -> None:
    peer.send(peer.answer(number, b"answer", GOOD)[0])


@pytest.mark.parametrize("run", [script(silent), lambda peer: peer.frame(), script(settings={4: 0})])
def test_a_server_that_never_ends_is_given_up(run: Script) -> None:
    """It stops within an answer, does not greet, or takes no body."""
    with serving(run) as url, pytest.raises(TimeoutError, match=r"^no whole answer from here within 0\.5 s$"):
        asked(url, limit_s=0.5)


def test_an_answer_before_the_whole_question() -> None:
    """A refusal may come while the server takes no more; the next request starts clean."""

    def early(peer: Peer) -> None:
        peer.greet()
        while not isinstance(found := peer.frame(), DataFrame):
            pass
        peer.send(*peer.answer(found.stream_id, b"", ("grpc-status", "8")))
        peer.request()

    with serving(early, script(good)) as url:
        client = connection(url)
        assert client.send(HEAD, bytes(200_000), "here").headers["grpc-status"] == "8"
        assert client.send(HEAD, b"", "here").body == b"answer"
        client.close()


def test_a_long_head_is_continued() -> None:
    seen = {}

    def run(peer: Peer) -> None:
        peer.greet()
        number, headers, _ = peer.request()
        seen.update(headers)
        good(peer, number)

    with serving(run) as url:
        client = connection(url)
        client.send(HEAD + encoded([("token", "t" * 40_000)], indexed=False), b"body", "here")
        client.close()
    assert seen["token"] == "t" * 40_000
