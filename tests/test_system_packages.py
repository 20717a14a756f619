"""The packages of `tests/system-packages`; each target of the Makefile asks for the programs of its tests."""

from __future__ import annotations

import ctypes
import os
import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = runpy.run_path(str(ROOT / "tests/system-packages"))
PACKAGES: dict[str, str] = SCRIPT["PACKAGES"]
OTHER_NAMES: dict[str, list[str]] = SCRIPT["OTHER_NAMES"]
main: Callable[[list[str]], int] = SCRIPT["main"]

APT = """#!/bin/sh
# Refuse `npm` as apt does next to NodeSource's Node.js, and make the programs of any other package.
echo "$*" >>"{log}"
case " $* " in
    *" npm "*) echo " npm : Depends: node-agent-base"; echo "E: you have held broken packages."; exit 100 ;;
esac
for word; do case $word in
{programs}
esac; done
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of one folder, with every program and library; the user is root."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in PACKAGES:
        (folder / program).symlink_to("/bin/true")

    def load(library: str) -> None:
        name = "libpython.so" if "libpython" in library else library
        if not (folder / name).exists():
            raise OSError(f"{library}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return folder


@pytest.fixture
def apt(path: Path, tmp_path: Path) -> Callable[[], list[str]]:
    """An apt-get on the PATH. Give the packages of each install that was tried."""
    log = tmp_path / "apt.log"
    made = [f'{package}) /bin/ln -s /bin/true "{path}/{program}" ;;' for program, package in PACKAGES.items()]
    (path / "apt-get").write_text(APT.format(log=log, programs="\n".join(made)))
    (path / "apt-get").chmod(0o755)
    return lambda: re.findall(r" install (.*)", log.read_text() if log.exists() else "")


@pytest.mark.parametrize("program", PACKAGES)
def test_a_program_off_the_path_is_the_only_one_to_install(
    path: Path, program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--print"]) == 0
    assert capsys.readouterr().out == ""
    (path / program).unlink()
    assert main(["--print"]) == 0
    assert capsys.readouterr().out == f"{PACKAGES[program]}\n"
    others = [name for name in PACKAGES if name != program]
    assert main(["--print", *others]) == 0
    assert capsys.readouterr().out == "", "only the programs that are named"


@pytest.mark.parametrize(("program", "other"), [(name, other) for name, all_ in OTHER_NAMES.items() for other in all_])
def test_a_program_may_have_another_name(
    path: Path, program: str, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (path / program).rename(path / other)
    assert main(["--print"]) == 0
    assert capsys.readouterr().out == ""


def test_nothing_is_asked_of_apt_if_nothing_is_missing(apt: Callable[[], list[str]]) -> None:
    assert main([]) == 0
    assert apt() == []


def test_what_apt_refuses_is_named_with_its_reason_and_the_rest_is_installed(
    path: Path, apt: Callable[[], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    for program in ("java", "nginx", "npm"):
        (path / program).unlink()
    assert main(["java", "nginx", "npm"]) == 0
    assert apt() == ["nginx-light npm openjdk-17-jre-headless", "nginx-light", "npm", "openjdk-17-jre-headless"]
    assert (path / "java").exists()
    assert (path / "nginx").exists()
    output = capsys.readouterr().err
    assert "npm cannot be installed:\n npm : Depends: node-agent-base\nE: you have held broken packages." in output
    assert "missing: npm; install with: apt-get install npm\n" in output


def test_a_user_who_is_not_root_sees_the_command(
    path: Path,
    apt: Callable[[], list[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for program in ("promtool", "prometheus", "java"):
        (path / program).unlink()
    assert main(["java", "prometheus", "promtool"]) == 0
    assert apt() == []
    missing = "missing: java, prometheus, promtool; install with: apt-get install openjdk-17-jre-headless prometheus\n"
    assert missing in capsys.readouterr().err


def test_a_program_that_has_no_package_here_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["promtol"]) == 2
    assert "'promtol' is none of alertmanager, amtool, " in capsys.readouterr().err


def test_each_target_that_runs_tests_first_installs_what_they_drive() -> None:
    rules = re.split(r"\n(?=\S)", (ROOT / "Makefile").read_text())
    testing = {rule.partition(":")[0]: rule for rule in rules if "-m pytest" in rule}
    assert testing.keys() == {"check", "test", "test-oldest", "test-servers", "test-cluster"}
    for target, rule in testing.items():
        first = rule.partition("-m pytest")[0]
        assert "tests/system-packages " in first or "tests/kube-apiserver" in first, target
    quick = re.search(r"^QUICK_NEEDS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert quick is not None
    asked = {*quick[1].split(), *re.findall(r"[a-z]+", testing["test"].partition("environments")[0])}
    sources = [file.read_text() for file in (ROOT / "tests").rglob("*.py")]
    driven = {name for text in sources for name in re.findall(r'\b(?:program|tool)\("([a-z-]+)"', text)}
    same = {other: name for name, others in OTHER_NAMES.items() for other in others}
    assert {same.get(name, name) for name in driven} <= asked


@pytest.mark.parametrize("marker", ["servers", "cluster"])
def test_each_marked_test_is_in_the_folder_that_its_target_collects(marker: str) -> None:
    folder = re.search(rf"-m {marker} (tests/\w+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert folder is not None
    marked = [file for file in (ROOT / "tests").rglob("*.py") if f"mark.{marker}" in file.read_text()]
    assert marked
    assert all(file.is_relative_to(ROOT / folder[1]) for file in marked), marked
