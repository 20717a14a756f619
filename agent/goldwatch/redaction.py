"""Keeps secrets out of text that comes from outside: a server may send back what it was sent.

Used by the agent wherever such a text enters: answers of workers, and pages that it reads itself over HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_MASK = "***"
_MIN_TELLING = 4
"""Fewer characters of a secret, at the end of a text that was cut, say nothing."""


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with each secret replaced, and with its beginning replaced where the text was cut within it."""
    for secret in secrets:
        text = text.replace(secret, _MASK)
        cut = next((n for n in range(len(secret) - 1, _MIN_TELLING - 1, -1) if text.endswith(secret[:n])), 0)
        text = text[: len(text) - cut] + (_MASK if cut else "")
    return text


def header_secrets(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of headers that must not be shown: each whole, and without a scheme such as Bearer."""
    values = [value.strip() for value in headers.values()]
    return tuple(
        secret for value in values for secret in (value, value.rpartition(" ")[2]) if len(secret) >= _MIN_TELLING
    )
