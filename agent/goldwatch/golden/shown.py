"""An input of an example, as a page shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shown:
    """One input: `kind` is image (a PNG), sound (a WAV), text or numbers; `content` is text, or bytes as base64."""

    name: str
    kind: str
    content: str
