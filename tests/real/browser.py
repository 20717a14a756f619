"""A real browser, headless: its console, its requests, and how readable text is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.programs import program

_OPTIONS = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync")
_LIMIT_MS = 30_000

_CONTRASTS = """() => {
  const values = colour => colour.match(/[\\d.]+/g).map(Number);
  // what color-mix() makes is color(srgb R G B), of shares of 1
  const numbers = colour => values(colour).map((v, i) => colour.startsWith("color(srgb") && i < 3 ? 255 * v : v);
  const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, a = 1] = numbers(getComputedStyle(at).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text) continue;
    const own = luminance(numbers(getComputedStyle(element).color)), other = luminance(behind(element));
    found.push([text, (Math.max(own, other) + 0.05) / (Math.min(own, other) + 0.05)]);
  }
  return found;
}"""
"""The ratio of each text's luminance to that of what is behind it, as WCAG 2 defines it."""


@dataclass
class Tab:
    """One page in the browser. `told` are warnings and errors of the console, `asked` all addresses asked for."""

    page: Any
    told: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(_LIMIT_MS)
        self.page.on("console", lambda m: self.told.append(m.text) if m.type in ("warning", "error") else None)
        self.page.on("pageerror", lambda error: self.told.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def contrasts(self) -> dict[str, float]:
        """Return the contrast of each text that is on the page."""
        return dict(self.page.evaluate(_CONTRASTS))

    def is_wider_than_its_window(self) -> bool:
        """Say whether it has to be moved sideways to be read."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


@contextmanager
def browser(*options: str) -> Iterator[Any]:
    """Start a browser, with more `options`; give what makes tabs: called with Playwright's options of a context."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("playwright is not installed")
    executable = program("chromium", "chromium-browser", "google-chrome")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=[*_OPTIONS, *options], timeout=_LIMIT_MS)
        try:
            yield lambda **options: Tab(started.new_context(**options).new_page())
        finally:
            started.close()
