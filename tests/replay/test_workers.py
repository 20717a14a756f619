"""The pool of workers: what they survive, and what they do not outlive."""

import importlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from goldwatch.ipc import jobs, judging_jobs
from goldwatch.ipc.fence import Fence
from goldwatch.ipc.jobs import ErrorCode, Job, job_of
from goldwatch.ipc.workers import JobFailed, Worker, WorkerDied, Workers

from tests.replay.jobs import ABORT, ENVIRONMENT, HAS_IMPORTED, HOLD_THE_GIL, LEAVE, NO_SUCH, ON_LEASE, RAISE


@pytest.fixture(autouse=True)
def jobs_are_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.fixture
def workers() -> Iterator[Workers]:
    pool = Workers()
    yield pool
    pool.close()


def gone(pid: int, within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_a_job_that_raises_says_so_and_the_worker_lives(workers: Workers) -> None:
    with pytest.raises(JobFailed, match="AttributeError: module 'json' has no attribute 'no_such'"):
        workers.call("k", NO_SUCH, {})
    worker = workers.take("k")
    pid = worker.pid
    workers.give_back("k", worker)
    with pytest.raises(JobFailed):
        workers.call("k", NO_SUCH, {})
    again = workers.take("k")
    assert again.pid == pid
    workers.drop(again)


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [("Refused", "no route", ErrorCode.TARGET), ("ValueError", "ValueError: no route", ErrorCode.OTHER)],
)
def test_an_error_crosses_as_a_code_and_a_subclass_of_a_third_party_has_that_of_its_base(
    workers: Workers, error: str, text: str, code: ErrorCode
) -> None:
    with pytest.raises(JobFailed, match=f"^{text}$") as failed:
        workers.call("k", RAISE, {"error": error})
    assert failed.value.code is code


def test_a_job_that_needs_the_lease_is_refused_without_it_wherever_its_function_is(workers: Workers) -> None:
    fence = Fence.create()
    try:
        with pytest.raises(JobFailed, match=r"^another replica holds the lease$"):
            workers.call("k", ON_LEASE, {})
        assert workers.call("k", HAS_IMPORTED, {"module": "sys"})["imported"], "others go on"
    finally:
        fence.remove()


def test_each_job_is_handled_by_the_function_that_it_names() -> None:
    named = [job for module in (jobs, judging_jobs) for job in vars(module).values() if isinstance(job, Job)]
    assert len(named) > 15
    for job in named:
        module, _, name = job.handler.partition(":")
        assert job_of(getattr(importlib.import_module(module), name)) is job
    calling = {jobs.DESCRIBE.handler, jobs.REPLAY.handler, jobs.LOADGEN.handler}
    assert {job.handler for job in named if job.needs_lease} == calling


def test_a_worker_begun_before_its_job_takes_it_and_has_imported_what_it_was_told(workers: Workers) -> None:
    job, argument = HAS_IMPORTED, {"module": "wave"}
    workers.begin("k", "wave")
    begun = workers.take("k")
    workers.give_back("k", begun)
    assert workers.call("k", job, argument) == {"pid": begun.pid, "imported": True}
    assert not workers.call("other", job, argument)["imported"]


def test_a_worker_does_not_inherit_the_secrets_of_the_agent(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    monkeypatch.setenv("REGION", "here")
    begun = workers.call("k", ENVIRONMENT, {})
    assert begun["TOKEN"] == "s3cret", "before the config was read"
    workers.hide({"TOKEN", "NOT_SET"})
    hidden = workers.call("k", ENVIRONMENT, {})
    assert "TOKEN" not in hidden
    assert hidden["REGION"] == "here"
    same = workers.take("k")
    workers.give_back("k", same)
    workers.hide({"TOKEN"})
    again = workers.take("k")
    assert again is same, "nothing more is hidden, so no worker is ended"
    workers.drop(again)


def test_a_worker_that_could_not_begin_is_replaced(workers: Workers) -> None:
    workers.begin("k", "no_such_module")
    begun = workers.take("k")
    assert begun.epitaph().endswith("""ModuleNotFoundError: No module named 'no_such_module'\"""")
    workers.give_back("k", begun)
    assert workers.call("k", HAS_IMPORTED, {"module": "wave"})["pid"] != begun.pid


def test_a_worker_that_dies_says_how(workers: Workers) -> None:
    with pytest.raises(WorkerDied, match=r"^the worker process ended by signal SIGABRT"):
        workers.call("k", ABORT, {})
    with pytest.raises(WorkerDied, match=r'^the worker process ended with exit code 3: "last words"$'):
        workers.call("k", LEAVE, {})


def test_a_job_is_ended_once_there_is_a_reason(workers: Workers, tmp_path: Path) -> None:
    started = tmp_path / "started"
    with pytest.raises(WorkerDied, match="12 wait, above 8"):
        workers.call(
            "k",
            HOLD_THE_GIL,
            {"file": str(started)},
            why_not=lambda: "12 wait, above 8" if started.exists() else None,
        )


def test_workers_of_different_keys_are_not_mixed(workers: Workers) -> None:
    a = workers.take("a")
    workers.give_back("a", a)
    b = workers.take("b")
    assert b.pid != a.pid
    assert workers.take("a") is a
    workers.drop(a)
    workers.drop(b)


def test_idle_workers_end_unless_they_are_kept(workers: Workers) -> None:
    kept, ended = workers.take("kept"), workers.take("other")
    workers.give_back("kept", kept)
    workers.give_back("other", ended)
    workers.reap(idle_limit_s=3600)
    assert psutil.pid_exists(ended.pid)
    workers.reap(idle_limit_s=0, keep=frozenset({"kept"}))
    assert not psutil.pid_exists(ended.pid)
    assert psutil.pid_exists(kept.pid)


def test_one_that_takes_long_to_end_keeps_nobody_waiting(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    tired = workers.take("tired")
    workers.give_back("tired", tired)
    ending, may_end, end = threading.Event(), threading.Event(), Worker.end

    def end_late(worker: Worker) -> None:
        ending.set()
        may_end.wait(60)
        end(worker)

    monkeypatch.setattr(Worker, "end", end_late)
    reaping = threading.Thread(target=workers.reap, args=(0,))
    reaping.start()
    try:
        assert ending.wait(60)
        workers.give_back("other", workers.take("other"))
    finally:
        may_end.set()
        reaping.join()


def test_a_pool_works_in_an_agent_with_many_files_and_a_worker_that_cannot_be_had_costs_none() -> None:
    """In a process of its own, whose limits are raised and whose folder for temporary files is none."""
    program = """
import os, resource, tempfile
from goldwatch.ipc.workers import JobFailed, WorkerDied, Workers
from tests.replay.jobs import NO_SUCH
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard if 0 < hard < 2000 else 2000, hard))
held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
workers = Workers()
try:
    workers.call("k", NO_SUCH, {})
except JobFailed:
    print("answered")
workers.close()
tempfile.tempdir = "/no/such/folder"
workers, before = Workers(), len(os.listdir("/dev/fd"))
for _ in range(3):
    try:
        workers.take("k")
    except WorkerDied as error:
        print(error)
print(len(os.listdir("/dev/fd")) - before)
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    refused = "a worker process cannot be started: No such file or directory"
    assert found.stdout.splitlines() == ["answered", *[refused] * 3, "0"], found.stderr


def test_a_busy_worker_does_not_outlive_the_agent_even_in_a_call_that_holds_the_gil(tmp_path: Path) -> None:
    program = """
import sys, threading, time
from goldwatch.ipc.workers import Workers
from tests.replay.jobs import HOLD_THE_GIL
workers = Workers()
worker = workers.take("k")
worker.send(HOLD_THE_GIL, {"file": sys.argv[1]})
print(worker.pid, flush=True)
time.sleep(60)
"""
    started = tmp_path / "started"
    agent = subprocess.Popen([sys.executable, "-c", program, str(started)], stdout=subprocess.PIPE, text=True)
    with agent:
        assert agent.stdout is not None
        pid = int(agent.stdout.readline())
        while not started.exists():
            time.sleep(0.01)
        agent.kill()
    assert gone(pid)


def test_a_worker_that_died_while_it_was_idle_is_not_handed_out(workers: Workers) -> None:
    died = workers.take("k")
    workers.give_back("k", died)
    psutil.Process(died.pid).kill()
    assert gone(died.pid)
    fresh = workers.take("k")
    assert fresh.pid != died.pid
    workers.give_back("k", fresh)
    with pytest.raises(JobFailed):  # it works
        workers.call("k", NO_SUCH, {})
