"""The one error of reading live requests. Callers count it."""

from __future__ import annotations

from goldwatch.errors import GoldwatchError


class UnreadableRequest(GoldwatchError):
    """A request or one of its rows has no known form, or does not fit the inputs; the text has the reason."""
