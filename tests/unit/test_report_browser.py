"""The page in a browser: nothing goes wrong, nothing is asked for, what can be chosen is shown.

Needs a Chromium of the machine (Debian: `apt install chromium`) and skips without.
"""

import base64
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from speciarl.report.build import build_report
from speciarl.report.economy import Economy
from speciarl.report.examples import Example, Said
from speciarl.report.page import Evidence
from speciarl.verifiers.audit import PREDICTIONS as KEPT
from tests.report_input import (
    GROUPS,
    MEASURES,
    PREDICTIONS,
    PUBLISHED,
    ROLLOUTS,
    RUNS,
    SEEN,
    STOPS,
    TRAINING,
    WEIGHTS,
    scored,
)

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

SEEN_OF = {"food101": 30, "cub200": 3}  # examples


def thumbnail(color: str) -> str:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), color).save(file, "WEBP")
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def examples() -> list[Example]:
    """Of each dataset the first is lost by speciarl, of food101 the others are gained by sft."""
    return [
        Example(dataset, f"class {i}", thumbnail("teal") if i else None, [
            Said("zero_shot", "bird", "generic", "same"),
            Said("sft", *(("soup", "specific", "gained") if i else (None, "failed", None))),
            Said("speciarl", "x", *(("generic", "same") if i else ("wrong", "lost"))),
        ])
        for dataset, count in SEEN_OF.items() for i in range(count)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def page_file(tmp_path_factory) -> Path:
    kept = [(step, "Gull", "bird", "generic", 2) for step in range(3)]
    groups = {**GROUPS, "stanford_cars": "very fine-grained"}
    evidence = Evidence(
        *scored(PREDICTIONS, groups, ["flowers102", "food101", "stanford_cars"]),
        TRAINING, {"speciarl": pl.DataFrame(kept, KEPT, orient="row")}, RUNS, WEIGHTS, PUBLISHED,
        SEEN, ("images",), rollouts=ROLLOUTS, examples=examples(),
        economy=[Economy("training", 9, 4, 2, 1.0)], measures=MEASURES, stops=STOPS,
    )  # fmt: skip
    into = tmp_path_factory.mktemp("page")
    build_report(evidence, {"Parameters": {"grpo": 1}}, into)
    return into / "report.html"


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as playwright:
        yield (
            running := playwright.chromium.launch(
                executable_path=CHROMIUM,
                args=["--no-sandbox"],  # which root in a container needs
            )
        )
        running.close()


@pytest.fixture
def opened(browser, page_file) -> Iterator:
    """Opens the page as it is asked to, with all its charts drawn; what went wrong fails."""
    wrong, contexts = [], []

    def open_page(width: int = 1280, **how):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **how))
        page = contexts[-1].new_page()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        asked: list[str] = []
        page.goto(page_file.as_uri())
        if how.get("java_script_enabled", True):
            for chart in page.locator(".chart").all():
                chart.scroll_into_view_if_needed()
                chart.locator(".vega-embed svg").wait_for()
        outside = [url for url in asked if not url.startswith("data:")]
        assert outside == [page_file.as_uri()]
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_breaks_no_rule_of_accessibility(opened, width, scheme):
    page = opened(width, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    # Contrast, names and alternative texts of what is seen; SVG text has no background to axe.
    found = axe.Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "best-practice"]})
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_section_says_something(opened):
    page = opened()
    sections = page.locator("main > section").all()
    assert len(sections) >= 15
    for section in sections:
        assert len(section.inner_text()) > len(section.locator("h2").inner_text()) + 40


def test_charts_keep_their_names_and_tell_values_on_hover(opened):
    page = opened()
    charts = page.locator(".chart svg.marks")
    assert charts.count() == page.locator(".chart").count() > 5
    assert all(svg.get_attribute("aria-label") for svg in charts.all())
    page.set_default_timeout(5000)
    page.locator("section[aria-labelledby=harmonic_means] .mark-symbol path").first.hover()
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert "zero_shot" in tooltip.inner_text() and "HM" in tooltip.inner_text()


def shown(page) -> list[tuple[str, str]]:
    cards = page.locator(".example:visible")
    return [
        (card.get_attribute("data-dataset"), card.locator("figcaption b").inner_text())
        for card in cards.all()
    ]


def test_a_filter_changes_what_is_shown(opened):
    page = opened()
    assert len(shown(page)) == 24 and page.locator("#chosen").inner_text() == "24 of 33 examples"
    page.locator("#more").click()
    assert len(shown(page)) == 33 and page.locator("#more").is_hidden()
    page.select_option("[name=dataset]", "cub200")
    assert shown(page) == [("cub200", f"class {i}") for i in range(3)]
    page.select_option("[name=change]", "lost")
    assert shown(page) == [("cub200", "class 0")]
    assert page.locator(".meant:visible").count() == 1
    page.select_option("[name=run]", "sft")  # one run must meet both
    assert shown(page) == [] and page.locator("#chosen").inner_text() == "0 of 0 examples"
    page.select_option("[name=change]", "gained")
    page.select_option("[name=verdict]", "specific")
    assert shown(page) == [("cub200", "class 1"), ("cub200", "class 2")]
    page.locator("[type=reset]").click()
    api.expect(page.locator("#chosen")).to_have_text("24 of 33 examples")


def test_without_scripts_all_is_there(opened):
    page = opened(java_script_enabled=False)
    assert len(shown(page)) == 33 and page.locator("#choose").is_hidden()
    assert page.locator(".chart svg").count() == page.locator(".chart").count()


def test_it_prints_without_what_cannot_be_pressed(opened, page_file):
    page = opened()
    page.emulate_media(media="print")
    assert page.locator("#choose").is_hidden() and page.locator("#more").is_hidden()
    assert page.pdf().startswith(b"%PDF")
    assert page_file.stat().st_size < 3_000_000
