"""The `goldwatch` command."""

from __future__ import annotations

import sys

from goldwatch.daemon import start


def main() -> None:
    """Run the command line. An error of goldwatch's own is no regression: its exit code is 2, not Python's 1."""
    if (asked := start.asked_plainly(sys.argv[1:])) is not None:
        start.become(*asked)
    try:
        from goldwatch.cli.app import app  # noqa: PLC0415 - the agent starts without

        app()
    except Exception:
        import traceback  # noqa: PLC0415

        from goldwatch.cli.base import put  # noqa: PLC0415

        put(f"{traceback.format_exc()}goldwatch failed; this is a bug: please report it with the lines above", err=True)
        sys.exit(2)
