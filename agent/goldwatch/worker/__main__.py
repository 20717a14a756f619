"""The worker process: waits for jobs from the agent, runs one at a time, and ends when the agent is gone.

A job names a function (`module:name`) and its argument, JSON both. The function is called with the argument, the
descriptors that came with it and `emit`, which sends the agent a message while the job runs. Timed replays and the
judging of their columns both run this way, so that the agent itself never needs a framework, numpy or scipy.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import os
import select
import socket
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

from goldwatch.ipc.channel import Channel, Closed, Emit
from goldwatch.ipc.fence import within_lease

Job: TypeAlias = Callable[[dict[str, Any], list[int], Emit], dict[str, Any]]


def main() -> None:
    """Serve jobs on the inherited descriptors: `worker CHANNEL LIFELINE [MODULE...]`, which it imports first."""
    channel_fd, lifeline_fd = map(int, sys.argv[1:3])
    _end_with(lifeline_fd)
    for module in sys.argv[3:]:
        importlib.import_module(module)
    channel = Channel(socket.socket(fileno=channel_fd))
    try:
        while True:
            message, descriptors = channel.receive()
            channel.send(_answer(message, descriptors, channel.send))
    except Closed:
        return


def _answer(message: dict[str, Any], descriptors: list[int], emit: Emit) -> dict[str, Any]:
    try:
        module, _, name = message["job"].partition(":")
        job: Job = getattr(importlib.import_module(module), name)
        # Only what sends requests needs the lease: a replica that stands by opens golden sets, and judges nothing.
        with within_lease() if module.startswith("goldwatch.worker.load.") else contextlib.nullcontext():
            return {"done": job(message["argument"], descriptors, emit)}
    except Exception as error:  # whatever a model or runtime raises is an observation
        ours = type(error).__module__.startswith("goldwatch.")  # such an error is written for people
        return {"failed": str(error) if ours else f"{type(error).__name__}: {error}", "kind": type(error).__name__}


def _end_with(lifeline_fd: int) -> None:
    """Let the kernel end this process when the agent's end of the pipe closes, even inside a call that holds the GIL.

    Nothing is ever written to the pipe; its hang-up raises SIGIO, whose default action is to terminate.
    """
    fcntl.fcntl(lifeline_fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline_fd, fcntl.F_SETFL, fcntl.fcntl(lifeline_fd, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(lifeline_fd, 0)
    if poll.poll(0):  # the agent died before the signal was armed
        sys.exit(0)


if __name__ == "__main__":
    main()
