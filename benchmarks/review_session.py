"""Time of a review in a true browser, and memory of its server.

``uv run python benchmarks/review_session.py --json results.json`` simulates a day, scores it, and reviews it
with Chromium: the first page, twelve decisions, a relabelled group of most beats, and the confirmed report.
``--out FOLDER`` takes results that are there, and removes their reviews first. ``--think-s`` waits so long
before each decision, as a reader would.
"""

import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import ectopy, options, report
from playwright.sync_api import Page, expect, sync_playwright

DECISIONS = 12
LONGEST_MS = 900_000  # 14 days of beats are compared with each other


def main() -> None:
    """Measure one session on each recording of a folder of results."""
    parser = options(__doc__ or "")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--minutes", type=float, default=1440.0)
    parser.add_argument("--think-s", type=float, default=0.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = chosen.out or simulated(Path(folder), chosen.minutes)
        for review in out.glob("*.review"):
            shutil.rmtree(review)
        names = sorted(path.parent.name for path in out.glob("*/summary.json"))
        report("review", {name: session(out, name, chosen.think_s) for name in names}, chosen.json)


def simulated(folder: Path, minutes: float) -> Path:
    """Simulate a patient and score the recording."""
    subprocess.run(
        ectopy("simulate", "--out", folder / "in", "--recordings", "1", "--minutes", str(minutes)), check=True
    )
    subprocess.run(ectopy("score", folder / "in", "--out", folder / "out"), check=True)
    return folder / "out"


def session(out: Path, name: str, think_s: float) -> dict[str, Any]:
    """Review one recording, and return what it took."""
    command = ectopy("review", out, "--port", "0", "--no-browser", "--by", "AB")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, sync_playwright() as engine:
        try:
            assert server.stdout
            address = server.stdout.readline().strip()
            browser = engine.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(LONGEST_MS)
            metrics = review(page, address, name, think_s)
            status = Path(f"/proc/{server.pid}/status").read_text()
            for field, title in (("VmRSS", "server_mb"), ("VmHWM", "server_peak_mb")):
                metrics[title] = round(int(re.findall(rf"{field}:\s+(\d+)", status)[0]) / 1024)
            browser.close()
            return metrics
        finally:
            server.terminate()


def review(page: Page, address: str, name: str, think_s: float) -> dict[str, Any]:
    """Go through a session as the tests do."""
    page.goto(address)
    page.wait_for_selector("tbody tr")
    metrics: dict[str, Any] = {}

    def shown(view: str, selector: str) -> Callable[[], None]:
        def show() -> None:
            page.evaluate("([name, view]) => (location.hash = `#/${name}/${view}`)", [name, view])
            page.wait_for_selector(selector)

        return show

    metrics["first_page_s"] = seconds(shown("events", ".event-row"))
    metrics["disclosure_s"] = seconds(shown("disclosure", "canvas.lines"))
    metrics["templates_found_s"] = seconds(shown("templates", ".card"))
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector("tbody tr")
    metrics["templates_again_s"] = seconds(shown("templates", ".card"))
    metrics["beats"] = int(page.locator("#figures dd").first.inner_text().replace(",", ""))

    start = time.perf_counter()
    for _ in range(DECISIONS):
        page.wait_for_timeout(1000 * think_s)
        page.keyboard.press("Enter")
    metrics["decisions_s"] = seconds(lambda: saved(page)) + time.perf_counter() - start
    entries = page.evaluate("performance.getEntriesByName('next item drawn').map(({ duration }) => duration)")
    metrics["key_to_next_item_ms"] = {
        "median": round(statistics.median(entries[-DECISIONS:]), 1),
        "worst": round(max(entries[-DECISIONS:]), 1),
    }

    page.get_by_label("Class", exact=True).select_option("N")
    page.locator(".card").first.click()
    page.locator(".card").last.click(modifiers=["Shift"])
    heading = page.locator(".question h1").inner_text()
    metrics["relabelled_beats"] = int(re.sub(r"\D", "", heading.partition(",")[2]))
    page.wait_for_timeout(300)
    page.keyboard.press("v")
    metrics["relabel_s"] = seconds(lambda: saved(page))
    page.keyboard.press("z")
    metrics["undo_s"] = seconds(lambda: saved(page))

    def confirm() -> None:
        page.keyboard.press("Control+Enter")
        page.get_by_role("button", name="Confirm as AB").click()
        nevertheless = page.get_by_role("button", name="Confirm nevertheless")
        link = page.get_by_role("link", name="Open the report")
        nevertheless.or_(link).wait_for()
        if nevertheless.count():  # questions are open
            page.keyboard.press("c")
            link.wait_for()

    metrics["confirm_s"] = seconds(confirm)
    metrics["session_s"] = round(
        sum(
            metrics[step] for step in ("templates_again_s", "decisions_s", "relabel_s", "undo_s", "confirm_s")
        ),
        2,
    )
    return metrics


def saved(page: Page) -> None:
    """Wait until the server has every edit and the figures are those after it."""
    expect(page.locator(".saved")).to_have_text("Saved", timeout=LONGEST_MS)


def seconds(function: Callable[[], None]) -> float:
    """Return how long a function takes."""
    start = time.perf_counter()
    function()
    return round(time.perf_counter() - start, 3)


if __name__ == "__main__":
    main()
