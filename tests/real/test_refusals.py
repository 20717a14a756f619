"""An agent that cannot start writes one clear message."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .agent import GOLDEN, RUN, Agent, config, running
from .test_daemon import IN_PROCESS, SELDOM

pytestmark = pytest.mark.real


def start(folder: Path, contents: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Start an agent that is expected to end by itself."""
    agent = Agent(folder)
    agent.write(contents)
    command = [*RUN, str(agent.config_file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Return the error of an agent that does not start, having checked that there is no other output."""
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_port_in_use_is_one_clear_message(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        exporters = {"prometheus": {"listen": address}}
        done = start(tmp_path, config({"digits": IN_PROCESS}, {"digits": SELDOM}, exporters=exporters))
    assert refused(done) == (
        f"{tmp_path}/goldwatch.yaml: exporters.prometheus.listen: cannot listen on {address}: "
        "address already in use; choose another port, or end what uses it\n"
    )


def test_a_broken_golden_set_is_one_clear_message(tmp_path: Path) -> None:
    golden = Path(shutil.copytree(GOLDEN, tmp_path / "golden"))
    (golden / "golden.json").write_text("{")
    contents = config({"digits": IN_PROCESS}, {"digits": SELDOM}) | {"golden": {"digits": "golden"}}
    said = refused(start(tmp_path, contents)).splitlines()
    assert said[0].startswith(f"{golden}: golden.json is not usable JSON: ")
    assert said[-1] == "1 unusable golden set; nothing was started."


def test_a_broken_config_is_one_clear_message(tmp_path: Path) -> None:
    said = refused(start(tmp_path, config({"digits": IN_PROCESS}, {"digits": SELDOM | {"evry": "1s"}}))).splitlines()
    assert len(said) == 2
    assert 'watches.digits.evry: unknown key "evry" (did you mean "every"?)' in said[0]
    assert said[-1] == "1 problem; nothing was started."


def test_a_config_that_is_not_there_is_one_clear_message(tmp_path: Path) -> None:
    done = subprocess.run([*RUN, str(tmp_path / "none.yaml")], capture_output=True, text=True, timeout=60, check=False)
    assert f"{tmp_path}/none.yaml" in refused(done)


def test_a_ledger_in_use_is_one_clear_message(tmp_path: Path) -> None:
    contents = config({"digits": IN_PROCESS}, {"digits": SELDOM})
    with running(tmp_path, contents):
        other = tmp_path / "other"
        other.mkdir()
        done = start(other, contents | {"ledger": str(tmp_path / "goldwatch.db")})
    expected = f"{tmp_path}/goldwatch.db: another goldwatch is using this ledger; give each its own `ledger:`\n"
    assert refused(done) == expected
