"""The worker process: waits for jobs from the agent, runs one at a time, and ends when the agent is gone.

Each job (`goldwatch.ipc.jobs`) names its function; what that needs is imported when the first such job comes.
Timed replays and the judging of their columns both run this way, so that the agent itself never needs a framework,
numpy or scipy.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import os
import select
import socket
import sys
from typing import Any

from goldwatch.errors import GoldwatchError
from goldwatch.ipc.channel import Channel, Closed
from goldwatch.ipc.codec import typed
from goldwatch.ipc.fence import within_lease
from goldwatch.ipc.jobs import ErrorCode, Handler, Progress, job_of
from goldwatch.redaction import redact_known


def main() -> None:
    """Serve jobs on the inherited descriptors: `worker CHANNEL LIFELINE [MODULE...]`, which it imports first."""
    channel_fd, lifeline_fd = map(int, sys.argv[1:3])
    _end_with(lifeline_fd)
    for module in sys.argv[3:]:
        importlib.import_module(module)
    channel = Channel(socket.socket(fileno=channel_fd))

    def emit(progress: Progress) -> None:
        channel.send({"progress": progress})

    try:
        while True:
            message, descriptors = channel.receive()
            try:
                answer = {"done": _done(message, descriptors, emit)}
            except Exception as error:  # whatever a model or runtime raises is an observation
                answer = {"failed": _told(error), "code": ErrorCode.of(error)}
            channel.send(answer)
    except Closed:
        return


def _done(message: dict[str, Any], descriptors: list[int], emit: Any) -> Any:  # noqa: ANN401 - the response of the job
    module, _, name = message["job"].partition(":")
    function: Handler[Any, Any] = getattr(importlib.import_module(module), name)
    job = job_of(function)
    # Only jobs that send requests need the lease: a replica without it opens golden sets, and judges nothing.
    with within_lease() if job.needs_lease else contextlib.nullcontext():
        return function(typed(job.request, message["request"]), descriptors, emit)


def _told(error: Exception) -> str:
    # A worker knows tokens that the agent does not: those that it was given for the secrets of the config.
    return redact_known(str(error) if isinstance(error, GoldwatchError) else f"{type(error).__name__}: {error}")


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
