"""The server's end of an HTTP/2 connection, frame by frame, so that a test controls what comes when."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence

import hpack
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LIMIT_S = 30


class Ended(Exception):
    """The client closed the connection."""


class Peer:
    """One connection. `seen` has all frames that came, but for the acknowledgements."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.seen: list[Frame] = []

    def greet(self, settings: dict[int, int] | None = None) -> None:
        assert self._bytes(len(PREFACE)) == PREFACE
        self.send(SettingsFrame(0, settings or {}))

    def send(self, *frames: Frame) -> None:
        self.sock.sendall(b"".join(frame.serialize() for frame in frames))

    def headers(self, stream: int, *headers: tuple[str, str], ends: bool = False) -> HeadersFrame:
        flags = ["END_HEADERS", "END_STREAM"] if ends else ["END_HEADERS"]
        return HeadersFrame(stream, self.encoder.encode(headers), flags=flags)

    def answer(self, stream: int, body: bytes, *trailers: tuple[str, str]) -> list[Frame]:
        """Return the frames of an ordinary answer."""
        end = [self.headers(stream, *trailers, ends=True)] if trailers else []
        pieces = [body[i : i + 16_384] for i in range(0, len(body), 16_384)] or [b""]
        data = [DataFrame(stream, piece) for piece in pieces]
        if not end:
            data[-1].flags.add("END_STREAM")
        return [self.headers(stream, (":status", "200"), ("content-type", "application/grpc")), *data, *end]

    def frame(self) -> Frame:
        """Return the next frame; acknowledgements are passed over."""
        while True:
            head = self._bytes(9)
            found, length = Frame.parse_frame_header(memoryview(head))
            found.parse_body(memoryview(self._bytes(length)))
            if "ACK" not in found.flags:
                self.seen.append(found)
                return found

    def request(self) -> tuple[int, dict[str, str], bytes]:
        """Read until a request is whole, and let more of it come all the time; return its stream, headers and body."""
        headers: dict[str, str] = {}
        body = b""
        block = b""
        while True:
            found = self.frame()
            if isinstance(found, DataFrame):
                body += found.data
                if more := len(found.data):
                    self.send(WindowUpdateFrame(0, more), WindowUpdateFrame(found.stream_id, more))
            elif found.stream_id:
                assert isinstance(found, HeadersFrame | ContinuationFrame)
                block += found.data
                if "END_HEADERS" in found.flags:
                    headers = {str(name): str(value) for name, value in self.decoder.decode(block)}
            if found.stream_id and "END_STREAM" in found.flags:
                return found.stream_id, headers, body

    def acknowledged(self, opaque: bytes) -> bool:
        """Send a ping and return whether it is answered; frames before that are skipped."""
        self.send(PingFrame(0, opaque))
        while True:
            head = self._bytes(9)
            found, length = Frame.parse_frame_header(memoryview(head))
            found.parse_body(memoryview(self._bytes(length)))
            if isinstance(found, PingFrame):
                return "ACK" in found.flags and found.opaque_data == opaque

    def _bytes(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            piece = self.sock.recv(count - len(found))
            if not piece:
                raise Ended
            found += piece
        return found


Script = Callable[[Peer], object]


@contextlib.contextmanager
def serving(*scripts: Script) -> Iterator[str]:
    """Serve a connection for each script, one after the other, each then closed; give the address."""
    failed: list[BaseException] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LIMIT_S)
        thread = threading.Thread(target=_serve, args=(listener, scripts, failed), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(LIMIT_S)
        assert not thread.is_alive()
    if failed:
        raise failed[0]


def _serve(listener: socket.socket, scripts: Sequence[Script], failed: list[BaseException]) -> None:
    try:
        for script in scripts:
            sock, _ = listener.accept()
            with sock, contextlib.suppress(Ended, ConnectionError):  # the client may be gone
                sock.settimeout(LIMIT_S)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                script(Peer(sock))
    except BaseException as error:
        failed.append(error)
