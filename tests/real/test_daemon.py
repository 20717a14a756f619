"""The daemon from outside: how it starts, reloads, keeps its schedule, keeps a secret, and ends."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from goldwatch.golden import kept

from .agent import DIGITS, GOLDEN, Agent, config, running, until
from tests.loopback import serving

pytestmark = pytest.mark.real

IN_PROCESS = {"probe": "onnx-runtime", "file": str(DIGITS / "digits.onnx"), "threads": 1, "warm": True}
DAMAGED = IN_PROCESS | {"file": str(DIGITS / "digits-quantised.onnx")}
OFTEN = {"every": "1s", "jitter": "0s", "deadline": "30s"}
SELDOM = OFTEN | {"every": "1h"}
SKIPPED, REPLAYS = "goldwatch_replays_skipped_total", "goldwatch_replays_total"

METADATA = {
    "name": "digits",
    "versions": ["1"],
    "platform": "slow",
    "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 8, 8]}],
    "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}],
}
ANSWER = {"outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [1, 10], "data": [0.1] * 10}]}


class SlowServer(ThreadingHTTPServer):
    """Just enough of the Open Inference Protocol, answered as slowly as told. Remembers who asked."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, delay_s: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.released = threading.Event()
        self.delay_s = delay_s
        self.requests = 0
        self.most_at_once = 0
        self.tokens: set[str | None] = set()
        self._at_once = 0
        self._lock = threading.Lock()

    @property
    def target(self) -> dict[str, Any]:
        return {"probe": "open-inference", "url": f"http://127.0.0.1:{self.server_port}", "model": "digits"}

    def infer(self, token: str | None) -> None:
        with self._lock:
            self.tokens.add(token)
            self.requests += 1
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        self.released.wait(self.delay_s)
        with self._lock:
            self._at_once -= 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one segment
    server: SlowServer

    def do_GET(self) -> None:
        self._answer(METADATA)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.infer(self.headers["Authorization"])
        self._answer(ANSWER)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def slow_server() -> Iterator[Callable[[float], SlowServer]]:
    servers = []

    def start(delay_s: float) -> SlowServer:
        server = SlowServer(delay_s)
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # its clients are killed in mid-request
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        servers.append((server, thread))
        return server

    yield start
    for server, thread in servers:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_sigterm_ends_it_while_it_is_idle(tmp_path: Path) -> None:
    with running(tmp_path, config({"digits": IN_PROCESS}, {"digits": SELDOM})) as agent:
        agent.until(agent.judgements, "a replay is recorded")
        assert agent.workers(), "the model is to be kept warm"
        assert agent.end() == 0
        until(agent.gone, "all workers have ended")


@pytest.mark.parametrize(("delay_s", "what"), [(0.5, "slow"), (60, "stuck in a request")])
def test_sigterm_ends_it_in_the_middle_of_a_replay(
    tmp_path: Path, slow_server: Callable[[float], SlowServer], delay_s: float, what: str
) -> None:
    server = slow_server(delay_s)
    watch = SELDOM | {"deadline": "1h", "load": {"warmup": 0, "time_limit": "5m"}}
    with running(tmp_path, config({"digits": server.target}, {"digits": watch})) as agent:
        agent.until(lambda: server.requests >= 1, f"the server is {what}")
        assert agent.end() == 0
        until(agent.gone, "all workers have ended")
        assert agent.judgements() == []  # a replay that goldwatch cut short is not judged
        assert "Traceback" not in agent.log


class _Drips(BaseHTTPRequestHandler):
    """A page that takes eight seconds, of which no second is silent."""

    begun, came_to_its_end = threading.Event(), threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(16):
            self.wfile.write(b"# waiting\n")
            self.begun.set()
            time.sleep(0.5)
        self.came_to_its_end.set()

    def log_message(self, *_: object) -> None:
        pass


def test_sigterm_waits_for_no_page_of_a_server(tmp_path: Path, slow_server: Callable[[float], SlowServer]) -> None:
    drips = ThreadingHTTPServer(("127.0.0.1", 0), _Drips)
    drips.daemon_threads, drips.block_on_close = True, False
    drips.handle_error = lambda *_: None  # type: ignore[method-assign] # the agent ends while it reads
    with drips, serving(drips):
        busy = {"metric": "waiting", "metrics": f"http://127.0.0.1:{drips.server_port}/metrics", "above": 4}
        target = slow_server(0.001).target | {"busy": busy}
        with running(tmp_path, config({"digits": target}, {"digits": SELDOM})) as agent:
            agent.until(_Drips.begun.is_set, "it looks how busy the target is")
            assert agent.end() == 0
            assert not _Drips.came_to_its_end.is_set()
            until(agent.gone, "all workers have ended")
            assert "Traceback" not in agent.log


def test_a_reload_brings_new_watches_and_ends_the_series_of_those_that_are_gone(tmp_path: Path) -> None:
    def with_watches(*names: str) -> dict[str, Any]:
        return config({"digits": IN_PROCESS}, dict.fromkeys(names, OFTEN))

    def judged(watch: str) -> float | None:
        return agent.value(REPLAYS, watch=watch, validity="valid")

    with running(tmp_path, with_watches("kept", "old")) as agent:
        agent.until(lambda: judged("kept") and judged("old"), "both watches replay")
        before = judged("kept")
        assert before is not None
        agent.reload(with_watches("kept", "new"))
        agent.until(lambda: judged("new"), "the new watch replays")
        agent.until(lambda: 'watch="old"' not in agent.get("/metrics")[1], "the series of the old watch end")
        agent.until(lambda: (judged("kept") or 0) > before, "the other watch goes on, with its counters")
        assert agent.value("goldwatch_config_last_reload_successful") == 1
        assert agent.judgements("old"), "its history stays"


def test_a_watch_that_is_removed_while_it_replays_leaves_no_series(
    tmp_path: Path, slow_server: Callable[[float], SlowServer]
) -> None:
    server = slow_server(0.05)
    targets = {"slow": server.target, "digits": IN_PROCESS}
    slow = SELDOM | {"deadline": "2s", "golden": "digits", "target": "slow"}
    with running(tmp_path, config(targets, {"slow": slow, "digits": OFTEN})) as agent:
        agent.until(lambda: server.requests >= 1, "the slow watch replays")
        agent.reload(config(targets, {"digits": OFTEN}))
        agent.until(lambda: agent.judgements("slow"), "its replay in flight ends")
        agent.until(lambda: agent.value(REPLAYS, watch="digits", validity="valid"), "the other watch replays")
        assert 'watch="slow"' not in agent.get("/metrics")[1]


def test_a_fetched_golden_set_that_nobody_names_any_more_is_deleted(tmp_path: Path) -> None:
    """The previous one is swept when the config is loaded, the one that is named is not."""
    for name in ("digits-before", "digits-now"):
        shutil.copytree(GOLDEN, tmp_path / "golden" / name)
        kept.mark(tmp_path / "golden" / name)
        os.utime(tmp_path / f"golden/.{name}.fetched", (0, 0))
    named = {"golden": {"digits": str(tmp_path / "golden/digits-now")}}
    with running(tmp_path, config({"digits": IN_PROCESS}, {"digits": SELDOM}, **named)) as agent:
        agent.until(lambda: not (tmp_path / "golden/digits-before").exists(), "the set of before is gone")
        agent.until(lambda: "digits-before" in agent.log, "it is said")
        agent.until(agent.judgements, "the set that is named is replayed")
    assert (tmp_path / "golden/.digits-now.fetched").stat().st_mtime > 0


def test_a_broken_new_config_changes_nothing_and_says_so(tmp_path: Path) -> None:
    good = config({"digits": IN_PROCESS}, {"digits": OFTEN})
    broken = config({"digits": IN_PROCESS}, {"digits": OFTEN | {"every": "5 minuts"}})
    with running(tmp_path, good) as agent:
        agent.reload(broken)
        agent.until(lambda: agent.value("goldwatch_config_last_reload_successful") == 0, "the metric says so")
        assert "the new config is not in force" in agent.log
        assert '"5 minuts" is not a duration; write 30s, 5m, 2h or a cron line' in agent.log
        assert "Traceback" not in agent.log
        before = len(agent.judgements())
        agent.until(lambda: len(agent.judgements()) > before, "the old config goes on")
        assert agent.get("/readyz")[0] == 200
        agent.reload(good)
        agent.until(lambda: agent.value("goldwatch_config_last_reload_successful") == 1, "a good config is taken")


def test_what_cannot_change_in_a_running_agent_is_refused_by_name(tmp_path: Path) -> None:
    good = config({"digits": IN_PROCESS}, {"digits": SELDOM})
    with running(tmp_path, good) as agent:
        agent.reload(good | {"ledger": "other.db", "log": {"format": "json"}})
        agent.until(lambda: "cannot change while goldwatch runs; restart it" in agent.log, "it says so")
        assert f"{agent.config_file}: ledger, log cannot change" in agent.log
        assert agent.value("goldwatch_config_last_reload_successful") == 0


def test_a_replay_that_outlives_its_interval_is_never_overlapped_and_what_it_delays_is_counted(
    tmp_path: Path, slow_server: Callable[[float], SlowServer]
) -> None:
    server = slow_server(0.05)
    watch = OFTEN | {"deadline": "4s"}
    with running(tmp_path, config({"digits": server.target}, {"digits": watch})) as agent:
        agent.until(lambda: len(agent.judgements()) >= 2, "two replays have ended")
        assert (agent.value(SKIPPED, reason="still_running") or 0) >= 4
        assert server.most_at_once == 1
        first, second = agent.judgements()[:2]
        assert second["started_at"] >= first["started_at"] + first["duration_s"]
        assert first["reasons"] == ["the deadline of 4 s had passed"]
        assert agent.log.count("skipped: the replay before is still running") >= 4
        assert agent.value(SKIPPED, reason="internal_error") == 0


def test_two_servers_are_replayed_at_once_if_that_is_allowed_and_one_server_never_twice(
    tmp_path: Path, slow_server: Callable[[float], SlowServer]
) -> None:
    one, two = slow_server(0.02), slow_server(0.02)
    elsewhere = two.target | {"url": two.target["url"].replace("127.0.0.1", "localhost")}
    watches = {name: SELDOM | {"deadline": "3s", "target": name, "golden": "digits"} for name in ("a", "b", "c")}
    targets = {"a": one.target, "b": one.target, "c": elsewhere}
    with running(tmp_path, config(targets, watches, replays={"concurrent": 2})) as agent:
        agent.until(lambda: all(agent.judgements(name) for name in watches), "all three are replayed", 60)
        spans = {
            name: (j["started_at"], j["started_at"] + j["duration_s"])
            for name in watches
            for j in agent.judgements(name)
        }
        first, second = sorted((spans["a"], spans["b"]))
        assert first[1] <= second[0]
        assert spans["c"][0] < first[1]
        assert (one.most_at_once, two.most_at_once) == (1, 1)
        late = {name: agent.judgements(name)[0]["lateness_s"] for name in watches}
        assert max(late["a"], late["b"]) > 2, "waiting for the server counts as lateness"


def test_a_restart_replays_nothing_that_is_not_due_and_forgets_nothing(tmp_path: Path) -> None:
    watched = config({"digits": IN_PROCESS}, {"digits": SELDOM})
    with running(tmp_path, watched) as agent:
        agent.until(agent.judgements, "a new watch is replayed at once")
        accuracy = agent.until(lambda: agent.value("goldwatch_score", score="accuracy"), "the score is told")
        assert agent.end() == 0
    for _ in range(3):
        with running(tmp_path, watched) as agent:
            assert agent.value("goldwatch_score", score="accuracy") == accuracy
            assert agent.value(REPLAYS, validity="valid") == 0
            due = agent.value("goldwatch_replay_next_timestamp_seconds")
            assert due is not None
            assert time.time() < due < time.time() + 5400
            assert agent.end() == 0
        assert len(agent.judgements()) == 1


def test_a_restart_replays_what_has_become_overdue(tmp_path: Path) -> None:
    watched = config({"digits": IN_PROCESS}, {"digits": OFTEN | {"every": "2s"}})
    with running(tmp_path, watched) as agent:
        agent.until(agent.judgements, "it is replayed")
        agent.kill()
    before = len(agent.judgements())
    time.sleep(3.1)  # one and a half intervals: the longest time between two due times
    with running(tmp_path, watched) as agent:
        agent.until(lambda: len(agent.judgements()) > before, "it is replayed again")
        assert agent.judgements()[before]["lateness_s"] > 0.1


def test_an_alert_that_is_open_is_told_at_once_after_a_restart(tmp_path: Path) -> None:
    with running(tmp_path, config({"digits": DAMAGED}, {"digits": SELDOM})) as agent:
        agent.until(agent.alerts, "the damage is alerted")
        assert agent.end() == 0
    midnight = {"every": "0 0 29 feb *"}  # no replay will help
    with running(tmp_path, config({"digits": DAMAGED}, {"digits": midnight})) as agent:
        assert agent.value("goldwatch_alert_active", severity="page") == 1


def test_a_json_log_is_an_object_a_line_with_fields(tmp_path: Path) -> None:
    contents = config({"digits": DAMAGED}, {"digits": OFTEN}, log={"format": "json"})
    with running(tmp_path, contents) as agent:
        agent.until(agent.alerts, "an alert opens")
        agent.reload({**contents, "targets": {}})
        agent.until(lambda: "is not in force" in agent.log, "it says that the new config is broken")
        assert agent.end() == 0
        records = [json.loads(line) for line in agent.log.splitlines()]
    assert all({"time", "level", "logger", "message"} <= record.keys() for record in records)
    replayed = next(r for r in records if r["message"] == "replayed")
    assert (replayed["watch"], replayed["target"], replayed["validity"]) == ("digits", "digits", "valid")
    assert (replayed["level"], replayed["accuracy"]) == ("info", 0.785)
    # A later replay may add to the same alert: that outputs have changed, too.
    alert = next(r for r in records if r["message"].startswith("alert 1\n[PAGE] digits is worse: 109 of 600"))
    assert (alert["level"], alert["severity"], alert["monitors"][0]) == ("error", "page", "worse")
    assert alert["headline"].startswith("[PAGE] digits is worse: 109 of 600")
    assert alert["action"].startswith("Replay the examples below")


def test_a_secret_is_sent_to_its_target_and_shown_nowhere(
    tmp_path: Path, slow_server: Callable[[float], SlowServer]
) -> None:
    secret = "open-sesame-4711"
    server = slow_server(0.001)
    target = server.target | {"token": "${DIGITS_TOKEN}"}
    contents = config({"digits": target}, {"digits": OFTEN}, log={"level": "debug"})
    command_lines: list[str] = []
    with running(tmp_path, contents, DIGITS_TOKEN=secret) as agent:

        def replayed() -> bool:
            command_lines.extend(_command_lines(agent))
            return len(agent.judgements()) >= 2

        agent.until(replayed, "it replays")
        agent.reload(contents | {"alerts": {"false_alarms": "never", "token": "${DIGITS_TOKEN}"}})
        agent.until(lambda: "is not in force" in agent.log, "it says that the new config is broken")
        shown = agent.get("/metrics")[1] + agent.get("/")[1] + agent.log
        kept = b"".join(file.read_bytes() for file in tmp_path.glob("goldwatch.*"))
        assert agent.end() == 0
    assert server.tokens == {f"Bearer {secret}"}
    assert any("goldwatch.worker" in line for line in command_lines)
    assert secret not in shown + agent.log + "".join(command_lines)
    assert secret.encode() not in kept


def _command_lines(agent: Agent) -> list[str]:
    found = []
    for process in [psutil.Process(agent.process.pid), *agent.children()]:
        try:
            found.append(" ".join(process.cmdline()))
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    """A golden set whose file of tensors takes longer to verify than is waited for, and no place on the disk."""
    folder = Path(shutil.copytree(GOLDEN, tmp_path / "huge"))
    size = 128 * 2**30
    manifest = json.loads((folder / "golden.json").read_text())
    manifest["files"]["tensors.safetensors"]["bytes"] = size
    (folder / "golden.json").write_text(json.dumps(manifest))
    with (folder / "tensors.safetensors").open("r+b") as file:
        file.truncate(size)
    return folder


@pytest.mark.parametrize("while_it", ["starts", "reloads"])
def test_sigterm_is_heard_while_a_golden_set_is_verified(tmp_path: Path, huge: Path, while_it: str) -> None:
    good = config({"digits": IN_PROCESS}, {"digits": SELDOM})
    slow = good | {"golden": {"digits": str(huge)}}
    agent = Agent(tmp_path)
    try:
        agent.write(slow if while_it == "starts" else good)
        agent.start()
        if while_it == "reloads":
            agent.wait_ready()
            agent.until(agent.judgements, "the first replay has ended")
            agent.reload(slow)
        agent.until(lambda: _reads(huge, agent), "the set is being verified")
        assert agent.end() == 0
        assert "Traceback" not in agent.log
        assert agent.gone()
    finally:
        agent.clean_up()


def _reads(folder: Path, agent: Agent) -> bool:
    """Say whether a worker has the file of tensors open."""
    wanted = str(folder / "tensors.safetensors")
    return any(file.path == wanted for worker in agent.workers() for file in worker.open_files())
