"""Run the examples as their READMEs say, from nothing to the regression, and keep the report of each.

`python examples/run.py FOLDER [NAME...]` writes FOLDER/NAME.html. The documentation is built with it.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

EXAMPLES = Path(__file__).parent
NAMES = ("image", "tabular", "text-classification", "regression")

PASS, REGRESSION = 0, 1


def commands(readme: Path) -> list[list[str]]:
    """Return the commands of a README, those of all its blocks marked `sh`, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", readme.read_text(), re.DOTALL | re.MULTILINE)
    return [shlex.split(line, comments=True) for line in "".join(blocks).replace("\\\n", " ").splitlines()]


def copied(name: str, folder: Path) -> Path:
    """Copy the example into `folder`, without what an earlier run made, and return its place."""
    place = folder / name
    shutil.copytree(EXAMPLES / name, place, ignore=shutil.ignore_patterns("made", "__pycache__", "*.db*", "*.html"))
    return place


def walk(place: Path, execute: Callable[[Sequence[str]], int]) -> None:
    """Execute the commands of the example; the checks pass until `--damage`, and then find the regression.

    Raises RuntimeError at a command that ends otherwise.
    """
    expected = PASS
    for command in commands(place / "README.md"):
        checks = command[:2] == ["goldwatch", "check"]
        found = execute(command)
        if found != (expected if checks else PASS):
            raise RuntimeError(f"{place.name}: {shlex.join(command)} ended with exit code {found}")
        expected = REGRESSION if "--damage" in command else expected


def main() -> None:
    """Write the report of each example."""
    folder, names = Path(sys.argv[1]), sys.argv[2:] or NAMES
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        with tempfile.TemporaryDirectory(prefix="goldwatch-example-") as scratch:
            place = copied(name, Path(scratch))
            walk(place, lambda command: subprocess.run(executable(command), cwd=place, check=False).returncode)  # noqa: B023
            shutil.copy(place / "report.html", folder / f"{name}.html")


def executable(command: Sequence[str]) -> list[str]:
    """Return a command with the interpreter that runs this file, and its goldwatch."""
    if command[0] == "goldwatch":
        return [sys.executable, "-c", "from goldwatch.cli import main; main()", *command[1:]]
    return [sys.executable, *command[1:]]


if __name__ == "__main__":
    main()
