"""Keeps secrets out of text that comes from outside: a server may send back what it was sent.

Every config that is loaded passes on the values of its secrets, which are then known in the whole process. They are
replaced where text enters the agent (answers of workers, pages read over HTTP), so that ledger, metrics, traces and
pages are free of them, and again where text leaves it (log, terminal).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

_MASK = "***"
_MIN_TELLING = 4
"""Fewer characters of a secret, at the end of a text that was cut, say nothing."""
_MIN_KNOWN = 8
"""Of what is redacted everywhere. Four characters of a digest could be the beginning of a secret by chance."""
_MAX_KNOWN = 1000
"""Tokens are rotated: the oldest are forgotten."""
_WORD = re.compile("[a-z_]{1,15}")
"""Might be a name of ours, such as `insufficient`, that must arrive as it was sent."""

_known: tuple[str, ...] = ()


def remember(secrets: Iterable[str]) -> None:
    """Redact these values in this process from now on.

    Values shorter than eight characters and plain words are not remembered: they would be found everywhere.
    """
    global _known  # noqa: PLW0603 - a log record has no config
    fresh = {s for s in secrets if len(s) >= _MIN_KNOWN and not _WORD.fullmatch(s)} - set(_known)
    if fresh:
        _known = (*_known, *sorted(fresh))[-_MAX_KNOWN:]


def redact_known(text: str) -> str:
    """Return `text` without the secrets of the configs loaded in this process."""
    return redact(text, _known, _MIN_KNOWN)


def redact_all(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return a JSON value with `redact_known` applied to all its texts, the keys of mappings included."""
    texts = "\n".join(_texts(value))  # one search for each secret, not one for each text
    likely = [secret for secret in _known if secret[:_MIN_KNOWN] in texts]
    return _redacted(value, likely) if likely else value


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401 - as above
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _redacted(value: Any, secrets: Sequence[str]) -> Any:  # noqa: ANN401 - as above
    if isinstance(value, str):
        return redact(value, secrets, _MIN_KNOWN)
    if isinstance(value, dict):
        return {redact(key, secrets, _MIN_KNOWN): _redacted(item, secrets) for key, item in value.items()}
    return [_redacted(item, secrets) for item in value] if isinstance(value, list) else value


def redact(text: str, secrets: Iterable[str], min_telling: int = _MIN_TELLING) -> str:
    """Return `text` with each secret replaced, and with its beginning replaced where the text was cut within it.

    A beginning has `min_telling` characters or more.
    """
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, _MASK)
        text = _without_beginning(text, secret, min_telling)
    return text


def _without_beginning(text: str, secret: str, min_telling: int) -> str:
    at = text.find(secret[:min_telling], max(len(text) - len(secret) + 1, 0))
    while at >= 0 and len(secret) > min_telling:
        if secret.startswith(text[at:]):
            return text[:at] + _MASK
        at = text.find(secret[:min_telling], at + 1)
    return text


def header_secrets(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of headers that must not be shown: each whole, and without a scheme such as Bearer."""
    values = [value.strip() for value in headers.values()]
    return tuple(
        secret for value in values for secret in (value, value.rpartition(" ")[2]) if len(secret) >= _MIN_TELLING
    )
