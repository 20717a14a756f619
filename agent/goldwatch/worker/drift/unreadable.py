"""The one error of reading live rows. It is counted, not raised any further."""

from __future__ import annotations


class Unreadable(ValueError):
    """A request, or a row of it, is in no form that is known, or does not fit the inputs; the text says why."""
