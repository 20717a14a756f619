"""HTTP/2 as our client speaks it, with lengths, windows and frames that Hypothesis generates."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import SettingsFrame
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from goldwatch.probe import BadAnswer
from goldwatch_probes._http2 import Connection, _Session, encoded
from goldwatch_probes._line import Budget, Line

HEAD = encoded([(":method", "POST"), (":scheme", "http"), (":path", "/m"), (":authority", "here")])
HEADER_BLOCKS = [b"\x88", b"\x88\x40\x01a\x01b", b"\x20\x88", b"\xbe", b"\x48\x03abc", b"\x80", b"\xff" * 5]
FRAMES = st.builds(
    lambda kind, flags, number, payload: struct.pack(">BHBBI", 0, len(payload), kind, flags, number) + payload,
    st.integers(0, 11),
    st.sampled_from([0, 1, 4, 5, 8, 0x20, 0x2D]),
    st.sampled_from([0, 1, 1, 1, 2, 3, 2**31 + 1]),
    st.one_of(
        st.binary(max_size=40), st.sampled_from(HEADER_BLOCKS), st.integers(0, 2**31).map(lambda n: n.to_bytes(4))
    ),
)


@settings(max_examples=50, deadline=None, phases=[Phase.generate])
@given(said=st.lists(FRAMES, max_size=8).map(b"".join))
def test_whatever_a_server_sends_is_an_answer_or_an_error_that_is_expected(said: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        budget = Budget(10, 2**20)
        session = _Session(Line(ours, budget), budget)
        theirs.sendall(SettingsFrame(0).serialize())
        session.greet()
        theirs.sendall(said)
        theirs.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError, BadAnswer, h2.exceptions.H2Error, HyperframeError):
            assert session.ask(HEAD, b"question").status >= 100


@settings(max_examples=40, deadline=None)
@given(
    body=st.integers(0, 300_000),
    reply=st.integers(0, 100_000),
    window=st.sampled_from([1000, 16_384, 65_535, 10**6]),
    frame=st.sampled_from([16_384, 20_000, 2**24 - 1]),
    requests=st.integers(1, 3),
)
def test_any_length_through_any_window(body: int, reply: int, window: int, frame: int, requests: int) -> None:
    """h2 as the server: it checks each frame against the rules and its own limits."""
    question = (b"0123456789" * (body // 10 + 1))[:body]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        heard: list[bytes] = []
        limits = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window, h2.settings.SettingCodes.MAX_FRAME_SIZE: frame}
        thread = threading.Thread(target=echo, args=(listener, limits, reply, heard), daemon=True)
        thread.start()
        client = Connection(f"http://127.0.0.1:{listener.getsockname()[1]}", time_limit_s=30, max_bytes=2**20)
        for _ in range(requests):
            answer = client.send(HEAD, question, "here")
            assert (answer.status, answer.body) == (200, b"r" * reply)
        client.close()
        thread.join(30)
    assert heard == [question] * requests


def echo(listener: socket.socket, limits: dict[Any, int], reply: int, heard: list[bytes]) -> None:
    """Take requests with h2, acknowledge what came bit by bit, and answer each."""
    sock, _ = listener.accept()
    with sock:
        server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        server.local_settings = h2.settings.Settings(client=False, initial_values=limits)
        server.max_inbound_frame_size = server.local_settings.max_frame_size
        server.initiate_connection()
        sock.sendall(server.data_to_send())
        body = b""
        while piece := sock.recv(65_536):
            for event in server.receive_data(piece):
                if isinstance(event, h2.events.DataReceived):
                    body += event.data
                    server.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    heard.append(body)
                    body = b""
                    server.send_headers(event.stream_id, [(":status", "200")])
                    for start in range(0, reply, 16_384):
                        server.send_data(event.stream_id, b"r" * min(16_384, reply - start))
                    server.send_headers(event.stream_id, [("grpc-status", "0")], end_stream=True)
            sock.sendall(server.data_to_send())
