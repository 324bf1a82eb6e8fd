"""The report in a true browser: on a phone nothing is cut off, and print has a head on every page.

Debian's Chromium does it, through Playwright; without one these tests are skipped.
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ectopy import report
from ectopy.ecg import Mark, PatientHeader
from tests.handmade import FS, analysis_of, beats_of, provenance_of, recording_for

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium; `apt-get install chromium` brings one")
PHONE = {"width": 390, "height": 844}
EVERYTHING = "NVVVNSSSNVVNSSNVNVNVNNVNNVNNVNSNSNSN" + "N" * 80
CUT_OFF = """() => [...document.querySelectorAll('main table')]
  .filter(table => table.checkVisibility() && table.scrollWidth > table.parentElement.clientWidth + 1)
  .map(table => table.caption.textContent)"""
SHOWN = (
    "selector => [...document.querySelectorAll(selector)].filter(element => element.checkVisibility()).length"
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write the report of 26 h with every kind of event, marks and a patient; return its address."""
    folder = tmp_path_factory.mktemp("report")
    beats = beats_of(EVERYTHING * 900, ([0.5] * 80 + [12.0] + [1.5] * 35) * 900)
    recording = replace(
        recording_for(beats, int(beats.sample[-1]) + round(FS)),
        marks=(Mark(100.0, "dizzy"), Mark(5000.0)),
        patient=PatientHeader("Doe, Jane", "4711", "1950-03-02", "female", "Syncope", "Lifecard CF"),
    )
    start = datetime(2024, 2, 28, 20, 15)  # noqa: DTZ001 - recorders know no time zone
    report.write_outputs(
        folder, analysis_of(recording, beats, whole=True, start=start), provenance_of(), mark_text=True
    )
    return (folder / "report.html").as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as engine:
        launched = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    window = browser.new_page(viewport=PHONE)
    window.goto(address)
    yield window
    window.close()


def test_a_phone_shows_every_column_of_every_table(page: Any) -> None:
    page.evaluate("() => document.querySelectorAll('details').forEach(folded => { folded.open = true })")
    assert page.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]
    assert page.evaluate("() => document.querySelectorAll('main table').length") > 15
    assert page.evaluate(CUT_OFF) == []


def test_the_values_of_a_row_have_their_names_on_a_phone(page: Any) -> None:
    name = "() => getComputedStyle(document.querySelector('.by-time tbody td:nth-of-type(2)'), '::before').content"
    assert page.evaluate(name) == '"Beats "'
    page.set_viewport_size({"width": 1280, "height": 900})
    assert page.evaluate(name) == "none"


def test_print_has_the_hours_of_each_day_and_no_list_that_is_folded(page: Any) -> None:
    hours, lists = ".by-hour tbody tr", ".episodes"
    assert (page.evaluate(SHOWN, hours), page.evaluate(SHOWN, lists)) == (0, 0)
    page.emulate_media(media="print")
    assert page.evaluate(SHOWN, hours) == 27  # 20:15 to 22:22 on the next day
    assert page.evaluate(SHOWN, lists) == 0


def test_every_printed_page_has_the_name_of_the_patient(page: Any, tmp_path: Path) -> None:
    rules = page.evaluate(
        "() => [...document.styleSheets].flatMap(sheet => [...sheet.cssRules]).map(rule => rule.cssText)"
        ".filter(text => text.startsWith('@page')).join(' ')"
    )
    assert "@top-left" in rules
    assert "Doe" in rules.replace("\\", "")
    page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    assert (tmp_path / "report.pdf").stat().st_size > 100_000


def test_the_figure_of_the_heart_rate_may_end_a_printed_page(page: Any) -> None:
    page.emulate_media(media="print")
    # It is not parted, so a page that must also hold what follows has no place for it.
    assert (
        page.evaluate("() => getComputedStyle(document.querySelector('.trend figcaption')).breakAfter")
        == "auto"
    )
