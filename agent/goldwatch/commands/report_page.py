"""The frame that the reports of `golden show`, `sweep` and `backtest` share: one complete file for people."""

from __future__ import annotations

import time

from goldwatch import __version__
from goldwatch.config import format_moment
from goldwatch.face.html import Content, join, name, tag
from goldwatch.face.page import page


def report_page(command: str, who: str, holds: str, *body: Content) -> str:
    """Return the page of a command about something by its name; `holds` says what of a golden set it has in it."""
    top = join(
        (
            tag("b", f"goldwatch {command}", class_="brand"),
            tag("span", name(who)),
            tag("span", f"{format_moment(time.time())} · goldwatch {__version__}", class_="q"),
        )
    )
    foot = tag("footer", f"This file stands alone: no network, no script. {holds}", class_="foot")
    return page(f"goldwatch {command}: {who[:200]}", top, tag("article", *body), foot)
