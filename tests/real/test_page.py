"""The status page and the page of an alert, in a real browser at a real agent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .agent import DIGITS, Agent, config, free_port, running
from .browser import Tab, browser

pytestmark = pytest.mark.real

READABLE = 4.5
"""The least contrast of text that WCAG 2 accepts at level AA."""
LOOKS = ({"color_scheme": "light"}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 844}})


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """An agent with one target that is sound, one that is damaged and one that is not there."""
    onnx = {"probe": "onnx-runtime", "threads": 1, "warm": True}
    targets = {
        "sound": onnx | {"file": str(DIGITS / "digits.onnx")},
        "damaged": onnx | {"file": str(DIGITS / "digits-quantised.onnx")},
        "gone": {"probe": "open-inference", "url": f"http://127.0.0.1:{free_port()}", "model": "digits"},
    }
    each = {"every": "2s", "jitter": "0s", "deadline": "30s", "golden": "digits"}
    watches = {name: each | {"target": name} for name in targets}
    with running(tmp_path_factory.mktemp("agent"), config(targets, watches)) as agent:
        agent.until(lambda: len(agent.alerts()) >= 2, "both alerts open", 60)
        agent.until(lambda: all(agent.judgements(name) for name in targets), "all have replayed", 60)
        yield agent


@pytest.fixture(scope="module")
def tab() -> Iterator[Callable[..., Tab]]:
    with browser() as tab:
        yield tab


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_a_person_can_read_the_verdicts_with_nothing_but_the_agent(
    agent: Agent, tab: Callable[..., Tab], look: dict[str, object], tmp_path: Path
) -> None:
    home = f"http://127.0.0.1:{agent.port}"
    seen = tab(**look)
    page = seen.page
    page.goto(f"{home}/")
    rows = page.locator("tbody tr").filter(has_text="digits@")
    states = {row.locator("b").inner_text(): row.locator(".st").inner_text() for row in rows.all()}
    assert states == {"sound": "steady", "damaged": "page", "gone": "page"}
    marks = page.evaluate("[...document.querySelectorAll('.bar')].map(e => getComputedStyle(e, '::before').content)")
    assert set(marks) == {"none"}, "a bar shows evidence and nothing else"
    assert rows.last.locator("b").inner_text() == "sound", "the worst first"
    assert not seen.is_wider_than_its_window()
    assert {text: ratio for text, ratio in seen.contrasts().items() if ratio < READABLE} == {}

    page.get_by_role("link", name="damaged", exact=True).click()
    page.wait_for_url("**/watches/damaged?target=damaged")
    assert page.locator(".badge").first.inner_text() == "PAGE"
    assert page.locator(".lane a.page").count() == 1
    assert page.locator(".plot svg").count() == 3, "score, latency and evidence"
    assert not seen.is_wider_than_its_window()
    assert {text: ratio for text, ratio in seen.contrasts().items() if ratio < READABLE} == {}
    page.get_by_role("link", name="7 days").click()
    page.wait_for_url("**/watches/damaged?target=damaged&days=7")
    page.get_by_role("link", name="goldwatch", exact=True).click()
    page.wait_for_url(f"{home}/")
    page.get_by_role("searchbox").fill("DAMAGED")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**/?q=DAMAGED&order=worst")
    assert page.locator(".all tbody tr").count() == 1

    page.get_by_role("row").filter(has_text="damaged").get_by_role("link", name="alert").click()
    page.wait_for_url("**/alerts/*")
    assert "golden examples now wrong that were right" in page.locator("h1").inner_text()
    assert page.locator(".first").bounding_box()["y"] < 600, "the first action is on the first screen of a phone"
    assert page.locator(".first .command").count() == 1
    assert page.locator(".pictures figure").count() > 0
    assert "digit=8" in page.locator("body").inner_text()
    assert "→" in page.locator(".figures").inner_text()
    page.screenshot(path=tmp_path / "alert.png", full_page=True)
    page.get_by_role("link", name="Runbook").click()
    page.wait_for_url("**/runbooks/worse")
    page.go_back()
    page.wait_for_url("**/alerts/*")
    assert not seen.is_wider_than_its_window()
    assert {text: ratio for text, ratio in seen.contrasts().items() if ratio < READABLE} == {}
    page.get_by_role("link", name="goldwatch").click()
    page.wait_for_url(f"{home}/")

    assert seen.told == []
    assert [address for address in seen.asked if not address.startswith(f"{home}/")] == []
    page.context.close()
