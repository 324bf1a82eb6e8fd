"""Links of the pages lead somewhere in a clone, and so on a code host. ``mkdocs build --strict`` checks the site."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = sorted(
    path
    for folder in (".", "docs", "deploy", "data", "mlruns")
    for path in (ROOT / folder).glob("**/*.md" if folder == "docs" else "*.md")
)


def without_code(page: Path) -> str:
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def links(page: Path) -> list[tuple[Path, str]]:
    """Return the file and the anchor of each link that is not an address."""
    targets = re.findall(r"\]\(([^)\s]+)\)", without_code(page))
    parts = (target.partition("#") for target in targets if ":" not in target)
    return [((page.parent / path).resolve() if path else page, anchor) for path, _, anchor in parts]


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings, as MkDocs and code hosts make them of plain words."""
    headings = re.findall(r"^#+ (.+)$", without_code(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_pages_have_links_to_check() -> None:
    checked = [link for page in PAGES for link in links(page)]
    assert (ROOT / "docs/explanation/performance.md", "") in checked
    assert (ROOT / "docs/inspecting-runs.md", "the-promotion-gate") in checked


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_of_the_repository(page: Path) -> None:
    assert [path for path, _ in links(page) if not path.exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_anchor_is_a_heading_of_its_page(page: Path) -> None:
    wanted = [(path, anchor) for path, anchor in links(page) if anchor and path.suffix == ".md"]
    assert [(path.name, anchor) for path, anchor in wanted if anchor not in anchors(path)] == []
