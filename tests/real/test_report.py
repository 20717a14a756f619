"""The report of `goldwatch check` in a real browser: readable in any look, and it asks nobody for anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from goldwatch.commands.gate import ObjectiveResult, Report, Result
from goldwatch.commands.gate_page import as_html
from goldwatch.core.judgement import Score, SliceStanding
from goldwatch.golden.shown import Shown
from goldwatch.ipc.judging_jobs import Calibration, Exhibit, ShownExample

from .browser import Tab, browser
from tests.builders import difference, judgement

pytestmark = pytest.mark.real

READABLE = 4.5
LOOKS = ({"color_scheme": "light"}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 844}})
LONG = "n" * 200
HEBREW = "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd"
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write the report of a language model with names and texts of all kinds."""
    slices = tuple(SliceStanding("topic", name, 50, 0.5, 0.75) for name in (LONG, HEBREW, HOSTILE))
    score = Score("accuracy", 0.8, 0.7, 0.9, 200, 0.9, slices)
    seen = judgement(
        difference=difference(), scores=(score, replace(score, name=HOSTILE)), slices=slices, task="generation"
    )
    texts = (Shown("prompt", "text", f"{HOSTILE} {HEBREW}"), Shown("x", "numbers", "1, 2"))
    examples = tuple(
        ShownExample(i, name, HOSTILE, "one two", f"one {HEBREW}", texts) for i, name in enumerate((LONG, HEBREW))
    )
    bins = (Calibration(0.55, 20, 10, 0.3, 0.7), Calibration(0.95, 180, 150, 0.77, 0.88))
    exhibit = Exhibit(examples, (LONG[:60], HEBREW), ((5, 1), (2, 7)), bins, {"model": LONG})
    golden = SimpleNamespace(deterministic=True, examples=200)
    limit = SimpleNamespace(limit_s=0.05, quantile=0.99)
    watch = SimpleNamespace(load=SimpleNamespace(samples=1), objectives=SimpleNamespace(latency=limit))
    target = SimpleNamespace(name=LONG, probe="openai", options={"url": "http://h"})
    assignment: Any = SimpleNamespace(golden=golden, watch=watch, target=target, key=(HEBREW, LONG), scores=())
    findings = tuple(ObjectiveResult(f"{HOSTILE}{r}", r, f"{LONG} {HOSTILE}") for r in Result)
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(as_html([Report(assignment, seen, findings, exhibit)]))
    return file.as_uri()


@pytest.fixture(scope="module")
def tab() -> Iterator[Callable[..., Tab]]:
    with browser("--no-sandbox") as tab:
        yield tab


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_anybody_can_read_it(page: str, tab: Callable[..., Tab], look: dict[str, Any], tmp_path: Path) -> None:
    seen = tab(**look)
    seen.page.goto(page)
    seen.page.screenshot(path=tmp_path / "report.png", full_page=True)
    assert not seen.is_wider_than_its_window()
    assert {text: ratio for text, ratio in seen.contrasts().items() if ratio < READABLE} == {}
    assert seen.told == []
    assert seen.asked == [page]
    assert seen.page.locator("script").count() == 0
    assert seen.page.locator("figure img").count() == 0
    drawings = seen.page.evaluate(
        "[...document.querySelectorAll('svg')].filter(e => !e.ariaLabel && !e.ariaHidden).length"
    )
    assert drawings == 0, "a drawing says what it shows, or is hidden from those who cannot see it"
    seen.page.context.close()
