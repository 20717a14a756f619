"""How one request of a replay ended. The names are label values of metrics: few, and fixed."""

from enum import IntEnum


class Outcome(IntEnum):
    """The end of one request. A failure is an observation like any other."""

    NOT_SENT = 0
    OK = 1
    REJECTED = 2
    TIMEOUT = 3
    UNREACHABLE = 4
    BAD_ANSWER = 5
    CRASHED = 6

    @property
    def label(self) -> str:
        """The name as metrics and reports show it."""
        return self.name.lower()
