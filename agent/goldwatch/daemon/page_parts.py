"""What the agent's pages share: the states as glyphs, badges and words, times, and the style of both on top of reports.

A state is never shown by colour alone: each has a shape, a word and an edge of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from goldwatch.daemon.words import plain
from goldwatch.face.html import Content, Html, name, tag

STATES = ("page", "ticket", "unknown", "suspect", "silenced", "recovered", "steady")
"""The states of a watch as people see them, the worst first."""

_DASHED = 'fill="none" stroke="currentColor" stroke-width="1.4" stroke-dasharray="2.6 1.6"'
_LINE = 'fill="none" stroke="currentColor" stroke-width="1.7"'
_GLYPHS = {
    "page": '<path fill="currentColor" fill-rule="evenodd" '
    'd="M8 .8 15.6 14.6H.4ZM7.2 5.6v5h1.6v-5ZM7.2 11.6v1.6h1.6v-1.6Z"/>',
    "ticket": f'<path {_LINE} d="M1.2 3.6H14.8V6.4a1.6 1.6 0 0 0 0 3.2V12.4H1.2V9.6a1.6 1.6 0 0 0 0-3.2Z"/>',
    "suspect": f'<path fill="currentColor" d="M8 1V15L1 8Z"/><path {_LINE} d="M8 1 15 8 8 15 1 8Z"/>',
    "unknown": f'<circle cx="8" cy="8" r="6.7" {_DASHED}/><path {_LINE} d="M5.9 6.4a2.1 2.1 0 1 1 3 1.9'
    'c-.7.3-.9.7-.9 1.4M8 11.2v1.2"/>',
    "silenced": f'<circle cx="8" cy="8" r="6.7" {_LINE}/><path {_LINE} d="M6.2 5.2v5.6M9.8 5.2v5.6"/>',
    "recovered": f'<path {_LINE} d="M3 7.5A5.2 5.2 0 1 1 5 12.2M2.6 3.4 3 7.6 7.2 7.2"/>',
    "steady": f'<path {_LINE} d="M2.5 8.6 6.4 12.4 13.6 4"/>',
}

STYLE = """
.st{font-weight:600;white-space:nowrap}.st.page,.st.ticket{color:var(--alert)}.st.suspect{color:var(--suspect)}
.st.steady,.st.recovered{color:var(--steady)}.st.unknown,.st.silenced{color:var(--unknown)}
:root{--suspect:#865300;--on-alert:#fff}
@media screen and (prefers-color-scheme:dark){:root{--suspect:#efba58;--on-alert:#2a0705}}
.badge{display:inline-block;font-weight:700;font-size:.75rem;letter-spacing:.06em;padding:.12rem .5rem;
  border-radius:3px;border:2px solid var(--alert);color:var(--alert);white-space:nowrap}
.badge.page{background:var(--alert);color:var(--on-alert)}
.badge.suspect{border-color:var(--suspect);color:var(--suspect)}
.badge.steady,.badge.recovered{border-color:transparent;color:var(--steady);padding-left:0}
.badge.silenced{border:2px dotted var(--quiet);color:var(--quiet)}
.badge.unknown{border:2px dashed var(--quiet);color:var(--quiet)}
.hero.page{border-color:var(--alert)}.hero.ticket{border-color:var(--alert);border-left-style:double}
.hero.silenced{border-style:dotted}.hero.unknown{border-style:dashed;border-color:var(--hatch)}
.hero.suspect{border-color:var(--suspect)}.hero.steady,.hero.recovered{border-width:1px;border-left-width:8px}
.top a{color:inherit}.top b.brand a{text-decoration:none}
.chips{display:flex;flex-wrap:wrap;gap:.5rem;margin:.5rem 0;padding:0;list-style:none}
.chips a{display:block;padding:.4rem .7rem;border:1px solid var(--line);border-radius:4px;background:var(--card);
  color:inherit;text-decoration:none}
.chips a[aria-current]{border-color:var(--accent);box-shadow:inset 0 0 0 1px var(--accent)}
"""


def kind_of(watch: Mapping[str, Any]) -> str:
    """Return the state of a watch as people see it, of `STATES`. An alert that calls nobody is silenced."""
    if watch["alert"] is not None and watch["silenced"]:
        return "silenced"
    if watch["severity"] is not None:
        return str(watch["severity"])
    if watch["state"] == "alerting":  # its alert is not open yet
        severities = {v["severity"] for v in watch["verdicts"] if v["state"] == "alerting"}
        return "page" if "page" in severities else "ticket"
    return str(watch["state"])


def glyph(kind: str) -> Html:
    """Return the shape of a state."""
    return tag("svg", Html(_GLYPHS[kind]), class_="g", viewBox="0 0 16 16", aria_hidden="true")


def state(kind: str) -> Html:
    """Return a state by shape, colour and word."""
    return tag("span", glyph(kind), kind, class_=f"st {kind}")


def badge(kind: str) -> Html:
    """Return a state as the answer of a page, or the kind of an alert."""
    return tag("span", glyph(kind), kind.upper(), class_=f"badge {kind}")


def text(value: str, most: int = 160) -> Html:
    """Return text from outside: on one line, isolated, without control characters, at most `most` letters."""
    return name(plain(value, most))


def link(address: str, content: Content) -> Html:
    """Return a link; `address` is relative, since the agent may be served under any path."""
    return tag("a", content, href=address)


def when(at: float) -> str:
    """Write Unix seconds as a date and time in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def age(seconds: float) -> str:
    """Write how long something lasts, in its largest unit alone."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def ago(at: float | None, now: float) -> str:
    """Write how long ago something was."""
    return "never" if at is None else f"{age(now - at)} ago"
