"""How one request of a replay ended. The names are label values of metrics: few, and fixed."""

from enum import IntEnum


class Outcome(IntEnum):
    """The end of one request. A failure is an observation like any other.

    Two kinds were never sent. NOT_SENT is the target's doing: it failed or was too slow, so the replay gave up.
    WITHHELD is goldwatch's own: it was stopped, or stepped back. Columns hold NOT_SENT for both; the judge
    distinguishes them.
    """

    NOT_SENT = 0
    OK = 1
    REJECTED = 2
    TIMEOUT = 3
    UNREACHABLE = 4
    BAD_ANSWER = 5
    CRASHED = 6
    WITHHELD = 7

    @property
    def label(self) -> str:
        """The name as metrics and reports show it."""
        return self.name.lower()


def without_frames(error: Exception) -> Exception:
    """Drop the tracebacks and causes of an error that is kept as an observation; return it.

    A traceback holds the local variables of its frames, such as a whole answer, and forms a reference cycle with them.
    While requests are timed the garbage collector is off, so such a cycle would stay in memory until the replay ends.
    """
    links: list[BaseException] = [error]
    while links:
        link = links.pop()
        links += [each for each in (link.__cause__, link.__context__) if each is not None]
        link.__traceback__ = link.__cause__ = link.__context__ = None
    return error


UNSENT = frozenset({Outcome.NOT_SENT.label, Outcome.WITHHELD.label})
"""The labels of requests that no server saw."""
