"""How goldwatch itself was installed, and the command that adds a package to this installation.

No index has goldwatch before its first release, so `pip install 'goldwatch[grpc]'` works for some installations only.
Imports the standard library alone: probes call it in the interpreters of frameworks too.
"""

from __future__ import annotations

import json
import re
import shlex
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

_EXTRA = re.compile(r"""(?:\s*and\s*)?\bextra\s*==\s*['"]([^'"]+)['"]""")


def install_command(package: str) -> str:
    """Return the command that installs `package`, by the extra of goldwatch that brings it if there is one.

    It names what this goldwatch was installed from, as pip recorded it (PEP 610): a folder, a wheel, a repository, or
    nothing for an index. If that file or folder is gone, it names the packages of the extra.
    """
    try:
        goldwatch = metadata.distribution("goldwatch")
    except metadata.PackageNotFoundError:  # an interpreter that only has the framework of a target
        return f"pip install {package}"
    needs = _needs(goldwatch.requires or [])
    extra = extra_of(package, goldwatch.requires or [])
    if not extra:
        return f"pip install {package}"
    source = json.loads(goldwatch.read_text("direct_url.json") or "{}")
    url = source.get("url", "")
    if not url:
        return f"pip install 'goldwatch[{extra}]'"
    address = urlsplit(url)
    path = unquote(address.path)
    if address.scheme == "file" and not Path(path).exists():
        return f"pip install {' '.join(shlex.quote(need) for need in needs[extra])}"
    if "dir_info" in source:
        editable = "-e " if source["dir_info"].get("editable") else ""
        return f"pip install {editable}{_quoted(f'{path}[{extra}]')}"
    if vcs := source.get("vcs_info"):
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    if folder := source.get("subdirectory"):
        url += f"#subdirectory={folder}"
    return f"pip install {_quoted(f'goldwatch[{extra}] @ {url}')}"


def extra_of(package: str, requires: list[str]) -> str:
    """Return the extra that brings a package, the one with the fewest others; empty if there is none.

    `requires` are requirements as the metadata of goldwatch has them.
    """
    bringing = {
        extra: needs
        for extra, needs in _needs(requires).items()
        if any(_normal(re.split(r"[\s\[<>=!~;(]", need, maxsplit=1)[0]) == _normal(package) for need in needs)
    }
    return min(bringing, key=lambda extra: len(bringing[extra]), default="")


def _needs(requires: list[str]) -> dict[str, list[str]]:
    """Return the requirements of each extra, without the extra in their markers."""
    found: dict[str, list[str]] = {}
    for requirement in requires:
        need, _, marker = requirement.partition(";")
        if extra := _EXTRA.search(marker):
            rest = _EXTRA.sub("", marker).strip()
            found.setdefault(extra[1], []).append(f"{need.strip()}; {rest}" if rest else need.strip())
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _quoted(text: str) -> str:
    """Quote for a shell, always: some shells take brackets for a pattern."""
    return shlex.quote(text) if "'" in text else f"'{text}'"
