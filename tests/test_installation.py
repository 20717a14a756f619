"""The command that installs a missing package into this installation of goldwatch."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from goldwatch.commands import doctor
from goldwatch.config import installed_probes
from goldwatch.installation import extra_of, install_command
from goldwatch.probe import NeedsPackage

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def name_of(requirement: str) -> str:
    return re.split(r"[\s\[<>=;]", requirement, maxsplit=1)[0]


def requires() -> list[str]:
    """Return the requirements as hatchling writes them: with `light` expanded, and the extra last in the marker."""
    found = []
    for extra, needs in EXTRAS.items():
        inner = re.search(r"goldwatch\[(.*)\]", needs[0])
        for need in [one for name in inner[1].split(",") for one in EXTRAS[name]] if inner else needs:
            text, _, marker = need.partition("; ")
            found.append(f"{text}; ({marker}) and extra == '{extra}'" if marker else f"{text}; extra == '{extra}'")
    return found


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any] | None], None]:
    """Give what puts metadata of goldwatch before that of the real one, with this `direct_url.json`."""

    def install(source: dict[str, Any] | None) -> None:
        folder = tmp_path / "site/goldwatch-0.1.0.dist-info"
        folder.mkdir(parents=True, exist_ok=True)
        lines = ["Metadata-Version: 2.4", "Name: goldwatch", "Version: 0.1.0"]
        (folder / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {need}" for need in requires())]) + "\n")
        probes = [f"{name} = {value}" for name, value in PROJECT["entry-points"]["goldwatch.probes"].items()]
        (folder / "entry_points.txt").write_text("\n".join(["[goldwatch.probes]", *probes]) + "\n")
        if source is not None:
            (folder / "direct_url.json").write_text(json.dumps(source))
        monkeypatch.syspath_prepend(str(folder.parent))

    return install


def test_an_index_needs_only_the_name(installed: Callable[[dict[str, Any] | None], None]) -> None:
    installed(None)
    assert install_command("h2") == "pip install 'goldwatch[grpc]'"


@pytest.mark.parametrize("name", ["clone", "my clone", "it's a clone"])
def test_a_folder_and_a_wheel_are_named_whatever_their_path(
    tmp_path: Path, name: str, installed: Callable[[dict[str, Any] | None], None]
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    wheel = folder / "goldwatch-0.1.0-py3-none-any.whl"
    wheel.touch()
    installed({"url": folder.as_uri(), "dir_info": {"editable": True}})
    assert shlex.split(install_command("torch")) == ["pip", "install", "-e", f"{folder}[torch]"]
    installed({"url": folder.as_uri(), "dir_info": {}})
    assert shlex.split(install_command("torch")) == ["pip", "install", f"{folder}[torch]"]
    installed({"url": wheel.as_uri(), "archive_info": {}})
    assert shlex.split(install_command("torch")) == ["pip", "install", f"goldwatch[torch] @ {wheel.as_uri()}"]


def test_a_repository_is_named_with_its_commit(installed: Callable[[dict[str, Any] | None], None]) -> None:
    vcs = {"vcs": "git", "requested_revision": "main", "commit_id": "0123abcd"}
    installed({"url": "https://git.example/goldwatch.git", "vcs_info": vcs, "subdirectory": "python"})
    expected = "pip install 'goldwatch[onnx] @ git+https://git.example/goldwatch.git@0123abcd#subdirectory=python'"
    assert install_command("onnxruntime") == expected


def test_where_the_wheel_is_gone_the_packages_of_the_extra_are_named(
    installed: Callable[[dict[str, Any] | None], None],
) -> None:
    installed({"url": "file:///build/dist/goldwatch-0.1.0-py3-none-any.whl", "archive_info": {}})
    assert shlex.split(install_command("h2")) == ["pip", "install", *EXTRAS["grpc"]]
    command = install_command("keras")
    assert "tensorflow-cpu>=2.18; (platform_machine == " in command
    assert "extra" not in command


def test_what_no_extra_brings_is_installed_by_its_own_name(
    installed: Callable[[dict[str, Any] | None], None],
) -> None:
    installed(None)
    assert install_command("mxnet") == "pip install mxnet"


@pytest.mark.parametrize("extra", sorted(EXTRAS.keys() - {"light"}))
def test_each_package_of_each_extra_leads_to_that_extra(
    extra: str, installed: Callable[[dict[str, Any] | None], None]
) -> None:
    installed(None)
    for need in EXTRAS[extra]:
        assert install_command(name_of(need)) == f"pip install 'goldwatch[{extra}]'"
        assert extra_of(name_of(need).upper().replace("-", "_"), requires()) == extra


def test_each_package_that_a_probe_needs_is_in_an_extra_but_mxnet() -> None:
    needed = {probe.needs for entry in installed_probes().values() if isinstance(probe := entry.load(), NeedsPackage)}
    assert {"h2", "torch", "keras"} <= needed
    assert {package for package in needed if not extra_of(package, requires())} == {"mxnet"}


def test_doctor_names_an_extra_for_all_that_has_one(
    installed: Callable[[dict[str, Any] | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(None)

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    report = doctor.report()
    assert re.findall(r"^  (\S+) .*no extra of goldwatch brings it", report, re.MULTILINE) == ["mxnet"]
    grpc = "missing: h2 is not installed: pip install 'goldwatch[grpc]'"
    assert f"open-inference-grpc      {grpc}\n" in report
    assert f"tensorflow-serving-grpc  {grpc}\n" in report


def test_no_command_is_written_by_hand() -> None:
    sources = [*(ROOT / "agent").rglob("*.py"), *(ROOT / "probes").rglob("*.py")]
    hand = [file.name for file in sources if "pip install 'goldwatch[" in file.read_text()]
    assert hand == ["installation.py"]
