"""Reads the dates of a certificate from its DER: the standard library gives only those of a verified peer."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_FIELDS_BEFORE_VALIDITY = 3
"""Of a TBSCertificate after its version (RFC 5280, 4.1): serialNumber, signature, issuer."""


def validity(file: Path) -> tuple[float, float] | None:
    """Return the Unix times from and until which the first certificate of a PEM file is valid; None if not readable."""
    try:
        found = _PEM.search(file.read_text())
        return None if found is None else _validity(ssl.PEM_cert_to_DER_cert(found[0]))
    except (OSError, ValueError, IndexError):
        return None


def _validity(der: bytes) -> tuple[float, float]:
    """Raise ValueError or IndexError for anything but a certificate."""
    ((_, certificate),) = _elements(der)
    (_, signed), *_ = _elements(certificate)
    fields = [element for element in _elements(signed) if element[0] != _VERSION]
    kind, dates = fields[_FIELDS_BEFORE_VALIDITY]
    if kind != _SEQUENCE:
        raise ValueError("the validity is no sequence")
    begins, ends = (_time(*element) for element in _elements(dates))
    return begins, ends


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each element."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:  # the length has this number of bytes of its own
            size = length & 0x7F
            at, length = at + size, int.from_bytes(der[at : at + size], "big")
        if at + length > len(der):
            raise ValueError("an element is longer than what holds it")
        yield tag, der[at : at + length]
        at += length


def _time(tag: int, content: bytes) -> float:
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text >= "50" else "20") + text  # RFC 5280, 4.1.2.5.1
    elif tag != _GENERALIZED_TIME:
        raise ValueError(f"tag {tag:#x} is no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
