"""Times bytes read from a socket by the kernel's receive timestamps.

A client that waits for a processor reads an answer late; by its own clock it would blame the server. Linux records
when each packet arrives, and returns that with the bytes (socket(7), SO_TIMESTAMPNS).
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time

_SO_TIMESTAMPNS = 35  # asm-generic/socket.h; Python has no name for it
_TIMESPEC = struct.Struct("@ll")
_ROOM = socket.CMSG_SPACE(_TIMESPEC.size) if sys.platform == "linux" else 0

_OUT_OF_ORDER = struct.Struct("@224xI")
"""`tcpi_rcv_ooopack` in `struct tcp_info` of linux/tcp.h, since Linux 5.4."""

_LITTLE_NS = 1_000_000
"""A wait so short is believed without asking whether a packet was lost: it makes a latency too short by no more."""

_PAUSE_NS = 20_000
"""Two readings of the clock that lie further apart than this had a pause between them."""


class Receiver:
    """Reads from a connected socket, with the arrival time of the bytes."""

    def __init__(self, sock: socket.socket) -> None:
        """Ask the kernel for times.

        Without them, which is so where it is not Linux, bytes come when they are read.
        """
        self._sock = sock
        self._stamped = False
        self._out_of_order = 0
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
                self._stamped = True

    def receive(self, most: int) -> tuple[bytes, int]:
        """Return up to `most` bytes, and when the last of them arrived, by `time.monotonic_ns`.

        Raises what `socket.recv` raises.
        """
        if not self._stamped:
            return self._sock.recv(most), time.monotonic_ns()
        piece, said, _, _ = self._sock.recvmsg(most, _ROOM)
        for _ in range(3):
            before_ns, wall_ns, now_ns = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
            if now_ns - before_ns < _PAUSE_NS:  # else the processor was taken away in between
                break
        return piece, now_ns - self._waited_ns(said, wall_ns)

    def _waited_ns(self, said: list[tuple[int, int, bytes]], wall_ns: int) -> int:
        """Return how long the bytes waited on this machine before the read; 0 if unknown."""
        if not said:
            return 0
        seconds, ns = _TIMESPEC.unpack(said[0][2])
        waited_ns = wall_ns - (seconds * 10**9 + ns)
        if waited_ns < 0:  # the clock was set back
            return 0
        return waited_ns if waited_ns < _LITTLE_NS or self._in_order() else 0

    def _in_order(self) -> bool:
        """Return whether all packets arrived in order since the last call.

        After a loss, the next packet has waited here when the lost one arrives again, and the kernel gives that
        packet's time for both.
        """
        try:
            (count,) = _OUT_OF_ORDER.unpack(
                self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _OUT_OF_ORDER.size)
            )
        except (OSError, struct.error):  # an older kernel does not count them
            return False
        before, self._out_of_order = self._out_of_order, count
        return bool(count == before)
