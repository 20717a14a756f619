"""The control group of this process, and how long tasks have been stalled, as the kernel's files state it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")


def folders(cgroups: Path, proc: Path, controller: str = "") -> Iterator[Path]:
    """Yield the folders of this process's control group and of those above it.

    Of version 2, or with a `controller` of its hierarchy in version 1. A container may see its own group as the root,
    or by a path that is not there: so the root is always the last.
    """
    root, group = cgroups / controller, own_group(proc, controller)
    folder = root / group if ".." not in group else root
    yield from (parent for parent in (folder, *folder.parents) if parent.is_relative_to(root))


def own_group(proc: Path = PROC, controller: str = "") -> str:
    """Return the path of this process's control group, without a slash before it.

    That in version 2 of them, or with a `controller` that in its hierarchy of version 1; empty if there is none.
    """
    try:
        lines = [line.split(":", 2) for line in (proc / "self" / "cgroup").read_text().splitlines()]
    except OSError:
        return ""
    return next((path.strip("/") for _, names, path in lines if controller in names.split(",")), "")


def pressure_us(file: Path, line: str) -> int | None:
    """Return the total of a line (`some` or `full`) of a file of pressure stall information, in microseconds."""
    try:
        return int(pressure(file, line, "total"))
    except (OSError, ValueError):
        return None


def pressure(file: Path, line: str, field: str) -> float:
    """Return a field of a line of a file of pressure stall information. Raises OSError, ValueError."""
    lines = [words.split() for words in file.read_text("ascii", "replace").splitlines()]
    found = {words[0]: dict(word.partition("=")[::2] for word in words[1:]) for words in lines if words}
    try:
        return float(found[line][field])
    except KeyError:
        raise ValueError(f"there is no {field} of {line} in it") from None
