"""The base class of goldwatch's errors. It imports nothing, so that probes and workers stay light.

    GoldwatchError            raised itself if no caller distinguishes the case
    ├── ConfigError           the config file: every problem in it (UnreadableConfig: it cannot be read at all)
    ├── CannotStart           the agent or a command cannot begin; has the reason as a label value
    ├── GoldenError           a golden set
    ├── LedgerError           the ledger
    ├── QuantityError         a duration, rate or other quantity; a ValueError too, for pydantic
    ├── ProbeError            a model or its server: the public errors of `goldwatch.probe`
    ├── Unreadable            a meter or an HTTP server cannot be read (Implausible: the reading makes no sense)
    ├── JobFailed, WorkerDied a job in a worker process
    └── ApiError, NotInCluster the Kubernetes API

The command line and the agent catch GoldwatchError in one place each: its text is complete and goes to stderr, and the
exit code is 2, or 3 where a verdict was asked for and the config cannot be used. Any other exception is a bug and
keeps its traceback.
"""

from __future__ import annotations


class GoldwatchError(Exception):
    """Something outside of the code is wrong. The text states where, what was found, what was expected, what to do."""

    of_config = False
    """Whether the config or a golden set is what cannot be used."""
