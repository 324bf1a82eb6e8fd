"""What docs/ec57.md says of the tests is so."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

NAMED = sorted(set(re.findall(r"`(test_\w+|Test\w+)(?:\.\.\.)?`", (ROOT / "docs/ec57.md").read_text())))


def sources() -> list[Path]:
    return sorted((ROOT / "tests").glob("test_ec57*.py"))


def test_it_names_a_test_for_each_rule() -> None:
    rules = [line for line in (ROOT / "docs/ec57.md").read_text().splitlines() if line.startswith("| ")]
    unnamed = [line for line in rules if "`test_" not in line and "`Test" not in line]
    headers = [line for line in unnamed if re.match(r"\| (rule|figure) \|", line)]
    assert [line for line in unnamed if line not in headers] == []


@pytest.mark.parametrize("name", NAMED)
def test_every_test_it_names_exists(name: str) -> None:
    if (ROOT / "tests" / f"{name}.py").is_file():
        return
    defined = [found for path in sources() for found in re.findall(r"(?:def|class) (\w+)", path.read_text())]
    assert any(found.startswith(name) for found in defined)
