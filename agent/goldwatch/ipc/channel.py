"""Messages between agent and worker: JSON with a length prefix, and file descriptors. No pickle."""

from __future__ import annotations

import array
import json
import socket
import struct
from typing import Any

from goldwatch.errors import GoldwatchError
from goldwatch.ipc.codec import plain

_LENGTH = struct.Struct("<Q")
_MOST_DESCRIPTORS = 2


class Closed(GoldwatchError):
    """The other side has gone."""


class Channel:
    """One end of a connected pair of Unix sockets."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock

    def send(self, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        """Send one message. Raises Closed if the other end is closed."""
        body = json.dumps(message, separators=(",", ":"), default=plain).encode()
        try:
            socket.send_fds(self.socket, [_LENGTH.pack(len(body))], list(descriptors))
            self.socket.sendall(body)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error

    def receive(self) -> tuple[dict[str, Any], list[int]]:
        """Wait for one message and its descriptors, which the caller then owns. Raises Closed."""
        # MSG_WAITALL does not join what ancillary data splits, so the first read may be short.
        space = socket.CMSG_SPACE(_MOST_DESCRIPTORS * array.array("i").itemsize)
        head, ancillary, _, _ = self._recvmsg(_LENGTH.size, space)
        descriptors = array.array("i")
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        head += self._exactly(_LENGTH.size - len(head))
        (length,) = _LENGTH.unpack(head)
        message: dict[str, Any] = json.loads(self._exactly(length))
        return message, list(descriptors)

    def close(self) -> None:
        """Close this end; the other reads Closed."""
        self.socket.close()

    def _recvmsg(self, size: int, space: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, Any]:
        try:
            received = self.socket.recvmsg(size, space, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError as error:
            raise Closed from error
        if not received[0]:
            raise Closed
        return received

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            try:
                part = self.socket.recv(min(size - len(parts), 1 << 20))
            except ConnectionResetError as error:
                raise Closed from error
            if not part:
                raise Closed
            parts += part
        return bytes(parts)
