"""A whole page: one file that loads nothing."""

from __future__ import annotations

from goldwatch.face.html import Content, Html, join, tag
from goldwatch.face.style import CSS

_ALLOWED = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"
_GLYPHS = {
    "bad": '<path d="M3 3l10 10M13 3L3 13" stroke="currentColor" stroke-width="2.4"/>',
    "ok": '<path d="M2.5 8.6 6.4 12.4 13.6 4" fill="none" stroke="currentColor" stroke-width="1.9"/>',
    "un": '<circle cx="8" cy="8" r="6.7" fill="none" stroke="currentColor" stroke-width="1.4" '
    'stroke-dasharray="2.6 1.6"/>'
    '<path d="M5.9 6.4a2.1 2.1 0 1 1 3 1.9c-.7.3-.9.7-.9 1.4M8 11.2v1.2" fill="none" stroke="currentColor" '
    'stroke-width="1.4"/>',
}


def verdict(kind: str, words: str) -> Html:
    """Return a verdict: `bad`, `ok` or `un`known by shape, by colour and by word."""
    glyph = tag("svg", Html(_GLYPHS[kind]), class_="g", viewBox="0 0 16 16", aria_hidden="true")
    return tag("span", glyph, words, class_=f"vd {kind}")


def hero(kind: str, words: str, sentence: Content, more: Content) -> Html:
    """Return the answer of the page, with what it rests on."""
    return tag(
        "div",
        tag("div", verdict(kind, words), class_="big"),
        tag("div", tag("h1", sentence), tag("p", more)),
        class_=f"hero {kind}",
    )


def page(title: str, top: Content, *body: Content, style: str = "", refresh_s: int | None = None) -> Html:
    """Return the file. `title` is text; `top` is the line above all; the browser may load nothing.

    `style` follows that of reports. A page that is served live may ask to be loaded again after `refresh_s` seconds.
    """
    head = join(
        (
            Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'),
            Html(f'<meta http-equiv="Content-Security-Policy" content="{_ALLOWED}">'),
            tag("title", title),
            Html("" if refresh_s is None else f'<meta http-equiv="refresh" content="{refresh_s}">'),
            tag("style", Html(CSS + style)),
        )
    )
    inside = join((tag("header", top, class_="top"), tag("main", *body)))
    return Html(f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{inside}</body></html>\n')
