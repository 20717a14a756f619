"""How `goldwatch run` becomes the process of the agent, which stays for as long as the pod.

The command line would take 2 MB of its memory for good, and a third of a second to import. So the process executes
itself again without it, at once if the arguments are plain; a worker for judging starts while it imports the agent.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

OPTIONS = {
    "--patient": "If it cannot start, serve /metrics and /readyz with the reason, and try again, rather than end.",
    "--follow": "Reload the config when its file changes, as if by SIGHUP.",
    "--listen": "The address of /metrics if the config names none or cannot be read, such as :9870.",
    "--cert-file": "The certificate to serve with, if the config names none.",
    "--key-file": "The private key of --cert-file.",
    "--credentials-file": "A file with the token that requests must carry, if the config asks for none.",
    "--allowed-hosts": "Names under which browsers may open the pages, by commas, if the config has no allowed_hosts.",
}
"""The options of `goldwatch run`, and what they do. All but the first two take a value."""
_VALUED = ("--listen=", "--cert-file=", "--key-file=", "--credentials-file=", "--allowed-hosts=")


def asked_plainly(words: Sequence[str]) -> tuple[str, list[str]] | None:
    """Return config and options of `run CONFIG [OPTION...]`; None for all else, which the command line reads."""
    options = [word for word in words[1:] if word.startswith("-")]
    configs = [word for word in words[1:] if not word.startswith("-")]
    if list(words[:1]) != ["run"] or len(configs) != 1 or not all(map(_is_plain, options)):
        return None
    return configs[0], options


def _is_plain(option: str) -> bool:
    return option.startswith(_VALUED) or (option in OPTIONS and f"{option}=" not in _VALUED)


def become(config: str, options: Iterable[str]) -> NoReturn:
    """Become the process of the agent."""
    # -P: modules in the working directory must not be imported.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "goldwatch.daemon.start", config, *options])  # noqa: S606 - no shell


def main() -> int:
    """Run the agent: `start CONFIG [OPTION...]`. Returns its exit code."""
    from goldwatch.ipc.workers import JUDGES, Workers  # noqa: PLC0415 - only in the process of the agent

    workers = Workers()
    workers.begin(JUDGES, "goldwatch.worker.jobs.judge", "scipy.special")

    from goldwatch.daemon import process  # noqa: PLC0415 - after the worker was started, which imports meanwhile

    return process.main(workers, *sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
