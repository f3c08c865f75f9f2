"""The pages in a real browser: no error, no request, no sideways scrolling, readable under the policies of CI servers.

Without Chromium these tests are left out and say how to get it, except in CI, where a missing browser is a failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import CHROMIUM, HOW
from made_runs import ALL

pytestmark = pytest.mark.slow

PAGES = [f"{name}/report.html" for name in ALL] + ["index.html"]
# What Jenkins sends with every archived page: not even a page's own style sheet is applied.
JENKINS = "sandbox; default-src 'none'; img-src 'self'; style-src 'self';"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        pytest.fail(HOW, pytrace=False)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def opened(browser: Any, made_suite: Path) -> Iterator[Any]:
    contexts: list[Any] = []

    def open_(page: str, *, width: int = 1180, dark: bool = False, policy: str | None = None) -> tuple[Any, list[str]]:
        """Open a page as a CI server would show it; return it with whatever went wrong or was asked for."""
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        odd: list[str] = []
        shown = context.new_page()
        html = (made_suite / page).read_text(encoding="utf-8")
        headers = {"Content-Type": "text/html; charset=utf-8"}
        if policy is not None:
            headers["Content-Security-Policy"] = policy
        first = f"http://ci.test/{page}"

        def answer(route: Any) -> None:
            if route.request.url == first:
                route.fulfill(body=html, headers=headers)
            else:
                odd.append(f"asked for {route.request.url}")
                route.abort()

        shown.route("**/*", answer)
        shown.on("pageerror", lambda error: odd.append(str(error)))
        if policy is None:
            shown.on("console", lambda message: odd.append(message.text))
        shown.goto(first)
        return shown, odd

    yield open_
    for context in contexts:
        context.close()


@pytest.mark.parametrize("page", PAGES)
def test_nothing_goes_wrong_and_nothing_is_asked_for(opened: Any, page: str) -> None:
    shown, odd = opened(page)
    assert shown.title()
    assert odd == []


@pytest.mark.parametrize("page", PAGES)
def test_a_phone_does_not_scroll_sideways(opened: Any, page: str) -> None:
    shown, _ = opened(page, width=400)
    assert shown.evaluate("document.documentElement.scrollWidth") <= 400


def test_dark_and_light_differ_in_the_page_and_in_the_drawing(opened: Any) -> None:
    seen = []
    for dark in (False, True):
        shown, _ = opened("pass/report.html", dark=dark)
        body = shown.evaluate("getComputedStyle(document.body).backgroundColor")
        label = shown.evaluate("getComputedStyle(document.querySelector('.plot text')).fill")
        curve = shown.evaluate("getComputedStyle(document.querySelector('.plot .s-curve')).stroke")
        seen.append((body, label, curve))
    assert all(light != dark for light, dark in zip(*seen, strict=True))


OVERLAPS = """() => {
  const plot = document.querySelector('svg.plot'), frame = plot.getBoundingClientRect();
  const texts = [...plot.querySelectorAll('text')].map(t => {
    const title = t.querySelector('title');
    const words = t.textContent.slice(title ? title.textContent.length : 0);
    return {words, box: t.getBoundingClientRect()};
  });
  const found = texts.filter(t => t.box.left < frame.left || t.box.right > frame.right + 0.5).map(t => t.words);
  for (const [k, a] of texts.entries()) for (const b of texts.slice(k + 1)) {
    const wide = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
    const high = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);
    // A line's box is higher than its letters.
    if (wide > 0.5 && high > 3.5) found.push(`${a.words} / ${b.words}`);
  }
  return found;
}"""


@pytest.mark.parametrize("run", ALL)
@pytest.mark.parametrize("width", [1180, 640])
def test_texts_of_the_timeline_do_not_overlap(opened: Any, run: str, width: int) -> None:
    page, _ = opened(f"{run}/report.html", width=width)
    assert page.evaluate(OVERLAPS) == []


def test_under_a_policy_without_styles_the_drawing_is_still_drawn(opened: Any) -> None:
    shown, odd = opened("fail/report.html", policy=JENKINS)
    assert odd == []
    assert shown.evaluate("getComputedStyle(document.querySelector('.plot .s-curve')).stroke") == "rgb(31, 111, 235)"
    assert shown.evaluate("document.querySelector('.plot').getBoundingClientRect().width") > 600
    assert "FeaturesStale fired too late" in shown.inner_text("main")


def test_a_citation_leads_to_its_line(opened: Any) -> None:
    shown, _ = opened("fail/report.html")
    link = shown.locator("a[href^='#line-']").first
    target = link.get_attribute("href")
    link.click()
    assert shown.evaluate("document.querySelector(':target').id") == target[1:]


def test_screen_readers_get_a_description_of_each_drawing(opened: Any) -> None:
    shown, _ = opened("pass/report.html")
    label = shown.locator("svg.plot").get_attribute("aria-label")
    assert "detected 11.8 s" in label
    assert "recovered 26.4 s" in label
    assert shown.evaluate("[...document.querySelectorAll('section')].every(s => s.getAttribute('aria-labelledby'))")
