"""The documentation of EC57: docs/ec57.md names tests that exist, and the examples of the docstrings run."""

import doctest
import importlib
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
    headers = [line for line in unnamed if re.match(r"\| (rule|metric) \|", line)]
    assert [line for line in unnamed if line not in headers] == []


@pytest.mark.parametrize("name", NAMED)
def test_every_test_it_names_exists(name: str) -> None:
    if (ROOT / "tests" / f"{name}.py").is_file():
        return
    defined = [found for path in sources() for found in re.findall(r"(?:def|class) (\w+)", path.read_text())]
    assert any(found.startswith(name) for found in defined)


# The number of functions with an example in each module.
EXAMPLES = {"beats": 2, "runs": 1, "episodes": 1, "records": 1, "files": 1}


@pytest.mark.parametrize("module", EXAMPLES)
def test_the_examples_of_the_docstrings_run(module: str) -> None:
    tests = doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(f"ectopy.ec57.{module}"))
    with_examples = [test for test in tests if test.examples]
    runner = doctest.DocTestRunner()
    assert len(with_examples) == EXAMPLES[module]
    assert [runner.run(test).failed for test in with_examples] == [0] * EXAMPLES[module]
