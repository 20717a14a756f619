"""The pool of worker processes: started when a job needs one, reused while warm, ended when idle."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from goldwatch.errors import GoldwatchError
from goldwatch.ipc.channel import Channel, Closed
from goldwatch.ipc.codec import typed
from goldwatch.ipc.jobs import ErrorCode, Job, Progress, Request, Response
from goldwatch.redaction import redact_all, redact_known

JUDGES = "judge"
"""The key of the workers that do arithmetic."""

IDLE_LIMIT_S = 30.0
CALL_LIMIT_S = 300.0
"""How long a job may take that sends no requests of its own."""
_STDERR_BYTES = 4096
_LOOK_EVERY_S = 0.5


class WorkerDied(GoldwatchError):
    """A worker cannot start, or ended while it had a job; the text has the cause, and its last line on stderr."""


@dataclass(frozen=True, slots=True)
class Done(Generic[Response]):
    """The job has returned."""

    response: Response


@dataclass(frozen=True, slots=True)
class Failed:
    """The job has raised: why, for people, and what that is to the agent."""

    why: str
    code: ErrorCode


class Worker:
    """One worker process and the channel to it. Used by one thread at a time.

    `python` is the interpreter to run it, our own by default; another one gets `path` as its PYTHONPATH. It imports
    `modules` before its first job, and does not inherit the environment variables `hidden`. Raises OSError if the
    interpreter cannot be started.
    """

    def __init__(
        self, python: str = "", path: str = "", modules: Sequence[str] = (), hidden: Collection[str] = ()
    ) -> None:
        # What runtimes print belongs neither in the agent's log nor lost: the end of it explains a crash.
        self._stderr = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - lives as long as the worker
        ours, theirs = socket.socketpair()
        lifeline_read, self._lifeline = os.pipe()  # last: it would leak if one of the others failed
        inherited = (theirs.fileno(), lifeline_read)
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        try:
            self._process = subprocess.Popen(
                [python or sys.executable, "-m", "goldwatch.worker", *map(str, inherited), *modules],
                pass_fds=inherited,
                env=environment | ({"PYTHONPATH": path} if path else {}),
                stdin=subprocess.DEVNULL,
                stdout=self._stderr,
                stderr=self._stderr,
                start_new_session=True,
            )
        except OSError:
            ours.close()
            os.close(self._lifeline)
            self._stderr.close()
            raise
        finally:
            theirs.close()
            os.close(lifeline_read)
        self.channel = Channel(ours)
        self.idle_since_s = 0.0

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def has_ended(self) -> bool:
        """Say whether the process is gone."""
        return self._process.poll() is not None

    def resident_bytes(self) -> int:
        """Return the resident memory of the process, 0 if it has ended.

        Resident memory is the harm: a limit on address space or data (setrlimit) would also count what frameworks
        only reserve, and the stacks of their threads.
        """
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def send(self, job: Job[Request, Any], request: Request, descriptors: tuple[int, ...] = ()) -> None:
        """Hand the worker a job. Raises WorkerDied."""
        try:
            self.channel.send({"job": job.handler, "request": request}, descriptors)
        except Closed:
            raise WorkerDied(self.epitaph()) from None

    def receive(self, job: Job[Any, Response], timeout_s: float) -> Done[Response] | Failed | Progress | None:
        """Return the next message of a job, or None if none comes within the time. Raises WorkerDied."""
        readable = select.poll()  # unlike select, without a limit on descriptors
        readable.register(self.channel.socket, select.POLLIN)
        if not readable.poll(1e3 * max(timeout_s, 0)):
            return None
        try:
            message = redact_all(self.channel.receive()[0])
        except Closed:
            raise WorkerDied(self.epitaph()) from None
        if "progress" in message:
            return typed(Progress, message["progress"])
        if "failed" in message:
            return Failed(message["failed"], ErrorCode(message["code"]))
        return Done(typed(job.response, message["done"]))

    def epitaph(self) -> str:
        """Say how the process ended, waiting for it to do so."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        code = self._process.poll()
        how = f"by signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"with exit code {code}"
        last = self._last_line()
        return f"the worker process ended {how}" + (f': "{last}"' if last else "")

    def forget_output(self) -> None:
        """Let go of what was printed so far, which would fill the disk in the course of a year."""
        os.lseek(self._stderr.fileno(), 0, os.SEEK_SET)  # the worker writes at the same offset
        os.ftruncate(self._stderr.fileno(), 0)

    def end(self) -> None:
        """Kill the process and all that it started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.channel.close()
        os.close(self._lifeline)
        self._stderr.close()

    def _last_line(self) -> str:
        self._stderr.seek(max(0, os.fstat(self._stderr.fileno()).st_size - _STDERR_BYTES))
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return redact_known(lines[-1][:200]) if lines else ""


class Workers:
    """A pool of workers by key. Thread-safe.

    Workers with the same key are interchangeable: all served targets share one key, each in-process model that stays
    warm has its own, and so has judging.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[str, list[Worker]] = {}
        self._busy: set[Worker] = set()
        self._closed = False
        self._hidden: frozenset[str] = frozenset()

    def hide(self, variables: Collection[str]) -> None:
        """Keep these environment variables from workers: they run models, and get what they need over the channel.

        Idle workers that have inherited one of them are ended.
        """
        with self._lock:
            more = {name for name in variables if name in os.environ} - self._hidden
            if not more:
                return
            self._hidden |= more
            tired = [worker for workers in self._idle.values() for worker in workers]
            self._idle.clear()
        for worker in tired:
            worker.end()

    def take(self, key: str, python: str = "", path: str = "") -> Worker:
        """Return an idle worker of that key, or start one as `Worker` does. Raises WorkerDied if that cannot be.

        One that died while idle, for any reason, does not count against the target of the next job.
        """
        with self._lock:
            if self._closed:
                raise WorkerDied("goldwatch is stopping")
            idle = self._idle.get(key, [])
            while idle and idle[-1].has_ended():
                idle.pop().end()
            try:
                worker = idle.pop() if idle else Worker(python, path, hidden=self._hidden)
            except OSError as error:
                what = python or "a worker process"
                raise WorkerDied(f"{what} cannot be started: {error.strerror or error}") from None
            self._busy.add(worker)
        return worker

    def begin(self, key: str, *modules: str) -> None:
        """Start a worker that imports modules before its first job. If it cannot, the first job reports it."""
        with contextlib.suppress(OSError):
            self.give_back(key, Worker(modules=modules, hidden=self._hidden))

    def give_back(self, key: str, worker: Worker) -> None:
        """Keep a worker for the next job of that key."""
        worker.forget_output()
        worker.idle_since_s = time.monotonic()
        with self._lock:
            self._busy.discard(worker)
            self._idle.setdefault(key, []).append(worker)

    def drop(self, worker: Worker) -> None:
        """End a worker that has misbehaved or is not wanted any more."""
        with self._lock:
            self._busy.discard(worker)
        worker.end()

    def reap(self, idle_limit_s: float = IDLE_LIMIT_S, keep: frozenset[str] = frozenset()) -> None:
        """End all workers that have been idle for longer, except those whose key is in `keep`."""
        oldest = time.monotonic() - idle_limit_s
        tired: set[Worker] = set()
        with self._lock:
            for key, workers in list(self._idle.items()):
                tired |= {w for w in workers if key not in keep and w.idle_since_s <= oldest}
                self._idle[key] = [w for w in workers if w not in tired]
                if not self._idle[key]:  # targets come and go
                    del self._idle[key]
        for worker in tired:  # without the lock: ending may wait for a process that the kernel cannot kill at once
            worker.end()

    def close(self) -> None:
        """End all workers, the busy ones too: their jobs raise WorkerDied, and so do later requests for a worker."""
        with self._lock:
            self._closed = True
            idle = [worker for workers in self._idle.values() for worker in workers]
            self._idle.clear()
            for worker in self._busy:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(worker.pid, signal.SIGKILL)
        for worker in idle:
            worker.end()

    def call(
        self,
        key: str,
        job: Job[Request, Response],
        request: Request,
        descriptors: tuple[int, ...] = (),
        limit_s: float = CALL_LIMIT_S,
        why_not: Callable[[], str | None] | None = None,
    ) -> Response:
        """Run a job that answers once and return its result. Raises WorkerDied, or JobFailed with the job's error.

        The worker is ended, with that reason, once `why_not` gives one.
        """
        worker = self.take(key)
        try:
            worker.send(job, request, descriptors)
            answer = _answer(worker, job, limit_s, why_not)
        except WorkerDied:
            self.drop(worker)
            raise
        if answer is None:
            self.drop(worker)
            raise WorkerDied(f"the worker process gave no answer within {limit_s:.0f} s and was ended")
        self.give_back(key, worker)
        if isinstance(answer, Failed):
            raise JobFailed(answer.why, answer.code)
        return answer.response


def _answer(
    worker: Worker, job: Job[Any, Response], limit_s: float, why_not: Callable[[], str | None] | None
) -> Done[Response] | Failed | None:
    deadline_s = time.monotonic() + limit_s
    while (left_s := deadline_s - time.monotonic()) > 0:
        answer = worker.receive(job, left_s if why_not is None else min(_LOOK_EVERY_S, left_s))
        if isinstance(answer, Done | Failed):
            return answer
        if why_not is not None and (why := why_not()) is not None:
            raise WorkerDied(why)
    return None


class JobFailed(GoldwatchError):
    """The job raised; `code` is the class of its error for the agent."""

    def __init__(self, message: str, code: ErrorCode) -> None:
        super().__init__(message)
        self.code = code
