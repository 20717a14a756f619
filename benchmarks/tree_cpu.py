"""The CPU seconds of a command with all processes that it starts, those that outlive it included.

Linux adds the CPU of a process to its parent's only when the parent waits for it. So a helper between, `python -m
benchmarks.tree_cpu COMMAND`, adopts what the command leaves behind (PR_SET_CHILD_SUBREAPER) and waits for everything.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence

_PR_SET_CHILD_SUBREAPER = 36
_GRACE_S = 60.0
"""What the command leaves behind has so long to end."""


def run(command: Sequence[str]) -> tuple[str, float]:
    """Return what a command printed, and the CPU seconds of its whole tree. Raises RuntimeError if it fails."""
    helper = [sys.executable, "-m", "benchmarks.tree_cpu", *command]
    done = subprocess.run(helper, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(
            f"{command[0]} ended with exit code {done.returncode}: {(done.stderr or done.stdout)[-2000:]}"
        )
    printed, _, cpu_s = done.stdout.rstrip("\n").rpartition("\n")
    return printed, float(cpu_s)


def main() -> None:
    """Run the command, print the CPU seconds as the last line, and end as it did."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    code = subprocess.run(sys.argv[1:], check=False).returncode
    _wait_for_the_rest()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"\n{used.ru_utime + used.ru_stime}", flush=True)
    sys.exit(code)


def _wait_for_the_rest() -> None:
    deadline_s = time.monotonic() + _GRACE_S
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0) or time.monotonic() < deadline_s:
            time.sleep(0.01)
    except ChildProcessError:
        return
    sys.exit(f"{sys.argv[1]} left processes behind that did not end within {_GRACE_S:g} s")


if __name__ == "__main__":
    main()
