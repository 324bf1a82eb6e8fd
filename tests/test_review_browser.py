"""The review pages in a true browser: a whole session by keyboard and mouse, and what must never happen.

Debian's Chromium does it, through Playwright; without one these tests are skipped.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.reviewed import write_results

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium; `apt-get install chromium` brings one")
MARKUP = "<img src=x onerror=document.title='broken'>"
WAIT_MS = 60_000  # the clusters are found in a process that is started first
AXE = "axe_playwright_python.sync_playwright"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a folder of results with two recordings: one as scored, one with markup for a name."""
    out, name = write_results(tmp_path_factory.mktemp("browser"))
    shutil.copytree(out / name, out / MARKUP.replace("/", ""))
    document = json.loads((out / name / "summary.json").read_text())
    document["row"]["recording"] = MARKUP
    (out / MARKUP / "summary.json").write_text(json.dumps(document))
    return out, name


@pytest.fixture(scope="module")
def address(results: tuple[Path, str]) -> Iterator[str]:
    """Run the command as a user does; return the address that it prints."""
    command = [
        sys.executable,
        "-m",
        "ectopy",
        "review",
        str(results[0]),
        "--port",
        "0",
        "--no-browser",
        "--by",
        "AB",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        yield process.stdout.readline().strip()
        process.send_signal(2)
        process.wait(20)
        said = process.stderr.read()
        assert process.returncode == 0
        assert "closed; every edit is saved" in said
        assert "Traceback" not in said


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with playwright.sync_playwright() as engine:
        launched = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser, address) -> Iterator[Callable[..., object]]:
    """Open windows that fail the test if a script fails or the policy of the page is broken."""
    contexts, troubles = [], []

    def opened(**options: object):
        context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: troubles.extend([message.text] * (message.type == "error")))
        page.on("request", lambda request: troubles.extend(addresses_elsewhere(request.url)))
        page.goto(address)
        page.wait_for_selector("tbody tr")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert troubles == []


def addresses_elsewhere(url: str) -> list[str]:
    return [] if url.startswith(("http://127.0.0.1:", "data:")) else [url]


def figure(page, name: str) -> str:
    return str(
        page.locator("#figures div", has=page.get_by_text(name, exact=True)).locator("dd").inner_text()
    )


def saved(page) -> None:
    """Wait until the server has every edit."""
    playwright.expect(page.locator(".saved")).to_have_text("Saved", timeout=WAIT_MS)


def log_of(results: tuple[Path, str]) -> list[dict[str, Any]]:
    out, name = results
    return [json.loads(line) for line in (out / f"{name}.review" / "edits.jsonl").read_text().splitlines()]


def enter(page, name: str, view: str, selector: str) -> None:
    page.evaluate("([name, view]) => (location.hash = `#/${name}/${view}`)", [name, view])
    page.wait_for_selector(selector)


def test_a_whole_session_by_keyboard_and_mouse(open_page, results):  # noqa: PLR0915 - one session
    """Open, decide twelve times, edit an event, insert a beat, undo, redo, confirm: the report is there."""
    out, name = results
    page = open_page()
    page.get_by_role("link", name=name, exact=True).click()
    page.wait_for_selector(".card")
    # A template is split: its parts are chosen, one beside the other, and in view.
    page.locator(".card").first.click()
    page.keyboard.press("p")
    parts = page.locator(".card.chosen")
    playwright.expect(parts).to_have_count(4)
    assert page.locator(".card.chosen + .card.chosen").count() == 3
    for part in parts.all():
        playwright.expect(part).to_be_in_viewport()
    page.keyboard.press("Space")
    # Twelve decisions: what is proposed.
    asked = []
    for _ in range(12):
        asked.append(page.locator(".question h1").inner_text())
        page.keyboard.press("Enter")
    saved(page)
    assert len(set(asked)) > 3  # each answer brings the next question
    entries = [entry for entry in log_of(results) if entry["action"] != "label_similar"]
    assert len(entries) == 12
    assert {entry["action"] for entry in entries} <= {"relabel_beats", "accept_event"}

    # An event: its offset is dragged by a tenth of a second, then it is accepted.
    page.keyboard.press("2")
    page.wait_for_selector(".event-row")
    page.locator(
        ".event-row .kind", has_text=re.compile("couplet|run|tachycardia|fibrillation")
    ).first.click()
    page.wait_for_timeout(300)
    edges = page.evaluate(
        """() => { const c = document.querySelector('canvas.strip'), b = c.getBoundingClientRect();
        const d = c.getContext('2d').getImageData(0, c.height / 2, c.width, 1).data, hit = [];
        for (let x = 0; x < c.width; x++) if (d[4*x] === 10 && d[4*x+1] === 101) hit.push(x * b.width / c.width);
        return [b.left + Math.max(...hit) - 3, b.top + b.height / 2]; }"""
    )
    page.mouse.move(*edges)
    page.mouse.down()
    page.mouse.move(edges[0] + 12, edges[1], steps=3)
    page.mouse.up()
    saved(page)
    moved = log_of(results)[-1]
    assert moved["action"] == "move_event"
    assert moved["offset"] > moved["event"]["offset"]

    # A beat is inserted where there is none, undone and done again.
    page.keyboard.press("3")
    page.wait_for_selector("canvas.lines")
    page.wait_for_timeout(300)
    before = int(figure(page, "Beats").replace(",", ""))
    box = page.locator("canvas.strip").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + 394.5, box["y"] + 120, steps=3)
    page.mouse.up()
    assert re.match(
        r"(99|100)\d ms  ·  \d\.\d\d mV  ·  60 bpm",
        page.locator(".readout").text_content(),
    )
    for press, beats in (("i", before + 1), ("z", before), ("Shift+Z", before + 1)):
        page.keyboard.press(press)
        saved(page)
        playwright.expect(page.locator("#figures dd").first).to_have_text(str(beats))
    assert [entry["action"] for entry in log_of(results)[-3:]] == ["insert_beat", "undo", "redo"]

    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Confirm as AB").press("Enter")
    page.get_by_role(
        "heading", name=re.compile(r"\d+ questions? (is|are) open. Confirm nevertheless")
    ).wait_for()
    assert "confirm" not in {entry["action"] for entry in log_of(results)}
    page.keyboard.press("c")
    link = page.get_by_role("link", name="Open the report")
    link.wait_for()
    confirmed = out / f"{name}.review" / "confirmed"
    assert {"report.html", "summary.json", "beats.parquet"} <= {path.name for path in confirmed.iterdir()}
    with page.context.expect_page() as opened:
        link.click()
    report = opened.value
    report.wait_for_selector("h1")
    assert report.locator("h1").inner_text() == name
    assert (
        report.evaluate("getComputedStyle(document.querySelector('section')).borderRadius") == "10px"
    )  # styled


def test_every_page_passes_axe_in_light_and_dark(open_page, results):
    axe_module = pytest.importorskip(AXE)
    page = open_page()
    axe, found = axe_module.Axe(), {}

    def check(what: str) -> None:
        found[what] = [
            f"{rule['id']}: {rule['nodes'][0]['html'][:90]}" for rule in axe.run(page).response["violations"]
        ]

    check("work list")
    for view, selector in (("templates", ".card"), ("events", ".event-row"), ("disclosure", "canvas.lines")):
        enter(page, results[1], view, selector)
        assert page.evaluate(
            "document.documentElement.scrollHeight <= innerHeight"
        )  # panels scroll, not the page
        check(view)
        page.get_by_role("button", name="Light or dark").click()
        check(f"{view}, dark")
        page.get_by_role("button", name="Light or dark").click()
    page.keyboard.press("?")
    check("keys")
    assert {what: rules for what, rules in found.items() if rules} == {}


def test_a_name_with_markup_is_shown_as_it_is(open_page):
    page = open_page()
    link = page.get_by_role("link", name=MARKUP)
    link.click()
    page.wait_for_selector("#header .name")
    assert page.locator("#header .name").inner_text() == MARKUP
    assert page.locator("img").count() == 0
    assert page.title().startswith(MARKUP)


def test_two_windows_see_each_others_edits(open_page, results):
    name = MARKUP
    first, second = open_page(), open_page()
    for page in (first, second):
        page.get_by_role("link", name=name).click()
        page.wait_for_selector(".card")
    before = figure(second, "Ventricular ectopy")
    first.locator(".card", has=first.locator(".what.N")).first.click()
    first.keyboard.press("v")
    saved(first)
    there = second.locator("#figures div", has=second.get_by_text("Ventricular ectopy", exact=True)).locator(
        "dd"
    )
    playwright.expect(there).not_to_have_text(before, timeout=WAIT_MS)
    assert figure(second, "Ventricular ectopy") == figure(first, "Ventricular ectopy")
    assert second.locator("#undo").is_enabled()


def test_the_first_edit_asks_who_reads_and_is_kept(browser, results, tmp_path):
    """Started without initials, the first answer waits for them; refused, nothing is saved, and that is said."""
    out = tmp_path / "out"
    shutil.copytree(results[0], out, ignore=shutil.ignore_patterns("*.review"))
    command = [sys.executable, "-m", "ectopy", "review", str(out), "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto(process.stdout.readline().strip())
        page.wait_for_selector("tbody tr")
        enter(page, results[1], "templates", ".templates .primary kbd")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Who reads?").wait_for()
        page.keyboard.press("Escape")
        playwright.expect(page.locator("#said")).to_contain_text("Nothing was saved")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Who reads?").wait_for()
        page.keyboard.type("CD")
        page.keyboard.press("Enter")
        saved(page)
        assert [entry["by"] for entry in log_of((out, results[1]))] == ["CD"]
        check_full_disk(page, process.pid, (out, results[1]))
        page.context.close()
        process.send_signal(2)


def check_full_disk(page, server: int, results: tuple[Path, str]) -> None:
    """Check that an edit for which the disk has no room is said, shown as it was, and possible afterwards."""
    import resource

    before = figure(page, "Ventricular ectopy")
    n_saved = len(log_of(results))
    limits = resource.prlimit(server, resource.RLIMIT_FSIZE)
    resource.prlimit(server, resource.RLIMIT_FSIZE, (100, limits[1]))
    page.locator(".card", has=page.locator(".what.N")).first.click()
    page.keyboard.press("v")
    playwright.expect(page.locator(".saved")).to_have_text("Not saved", timeout=WAIT_MS)
    playwright.expect(page.locator("#said")).to_contain_text("Nothing was saved: the disk is full")
    assert figure(page, "Ventricular ectopy") == before
    assert len(log_of(results)) == n_saved
    resource.prlimit(server, resource.RLIMIT_FSIZE, limits)
    page.locator(".card", has=page.locator(".what.N")).first.click()
    page.keyboard.press("v")
    saved(page)
    assert log_of(results)[n_saved]["to"] == "V"
    assert figure(page, "Ventricular ectopy") != before


def test_enter_saves_a_comment_and_a_name_is_found_before_a_finding(open_page):
    page = open_page()
    page.get_by_role("link", name=MARKUP).click()  # nobody has confirmed it
    page.wait_for_selector(".card")
    page.keyboard.press("2")
    page.wait_for_selector(".event-row")
    page.keyboard.press("End")
    page.keyboard.press("c")
    page.keyboard.insert_text("seen\ntwice")
    page.keyboard.press("Enter")
    playwright.expect(page.locator(".comment")).to_have_text("seen twice")

    # Every kind has a key of its own.
    page.keyboard.press("t")
    page.get_by_role("heading", name="This event is").wait_for()
    keys = [name.lower() for name in page.locator("dialog kbd").all_inner_texts()]
    assert len(keys) == len(set(keys)) == page.locator("dialog li").count() > 10
    page.keyboard.press(keys[1])
    playwright.expect(page.locator(".about h1")).to_contain_text("Asystole")  # the event stays chosen

    names = page.evaluate(
        """async () => {
        const { WorkList } = await import("/static/worklist.js");
        const one = (name, urgency, text) => ({ name, urgency, veb_pct: 0, status: "automatic", findings: [{ text }] });
        const list = new WorkList({ recordings: [one("421", "urgent", "119 of them uncertain"), one("119", "note", "")] });
        list.query = "119";
        return list.shown().map(({ name }) => name);
        }"""
    )
    assert names == ["119", "421"]
