"""Take the pictures of the review pages in docs/how-to/review.md, ``docs/review-*.png``.

``uv run python tools/review_pictures.py OUT RECORDING`` shows a recording of a folder of results in Chromium,
which must be installed. Reviews in the folder stay as they are.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).parents[1] / "docs"
WIDE = {"width": 1440, "height": 900}
TABLET = {"width": 820, "height": 1180}
SETTLED_MS = 1500
LONGEST_MS = 180_000
PLACES = {
    "templates": ("templates", ".card"),
    "events": ("events", ".event-row"),
    "disclosure": ("disclosure", "canvas.lines"),
}


def main() -> None:
    """Take all pictures: wide, on a tablet, and in the dark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("recording")
    chosen = parser.parse_args()
    command = [sys.executable, "-m", "ectopy", "review", str(chosen.out), "--port", "0", "--no-browser"]
    with (
        subprocess.Popen([*command, "--by", "AB"], stdout=subprocess.PIPE, text=True) as server,
        sync_playwright() as engine,
    ):
        try:
            assert server.stdout
            address = server.stdout.readline().strip()
            browser = engine.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport=WIDE)
            open_list(page, address)
            page.locator("td[data-name='Open questions'] .soft").first.wait_for(
                state="hidden", timeout=LONGEST_MS
            )  # the most urgent ones are counted
            take(page, "worklist")
            for name in PLACES:
                show(page, chosen.recording, name)
                take(page, name)
            for name, place, options in (
                ("dark", "templates", {"viewport": WIDE, "color_scheme": "dark"}),
                ("tablet", "events", {"viewport": TABLET, "has_touch": True}),
            ):
                page = browser.new_page(**options)
                open_list(page, address)
                show(page, chosen.recording, place)
                take(page, name)
            browser.close()
        finally:
            server.terminate()


def open_list(page: Page, address: str) -> None:
    """Open the work list."""
    page.set_default_timeout(LONGEST_MS)
    page.goto(address)
    page.wait_for_selector("tbody tr")


def show(page: Page, recording: str, name: str) -> None:
    """Show a page of a recording, with a template or an event that is worth a picture."""
    view, selector = PLACES[name]
    page.evaluate("([name, view]) => (location.hash = `#/${name}/${view}`)", [recording, view])
    page.wait_for_selector(selector)
    if name == "templates":
        page.locator(".card", has=page.locator(".what.V")).first.click()
    if name == "events":
        page.locator(".event-row .kind").nth(3).click()
    if name == "disclosure":
        page.keyboard.press(".")


def take(page: Page, name: str) -> None:
    """Take a picture once the page has settled."""
    page.wait_for_timeout(SETTLED_MS)
    path = DOCS / f"review-{name}.png"
    page.screenshot(path=path)
    Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    main()
