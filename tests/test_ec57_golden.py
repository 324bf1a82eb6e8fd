"""EC57 equals the reference tools: every line of their tables, for three annotators of all 48 records.

The annotators and what bxb, rxr, epicmp and sumstats 10.7 print for them lie beside the databases: in
``../../ec57`` of ECTOPY_SOURCE. ``tst`` has random errors of every kind, ``shd`` shutdowns as well, ``osea``
is the EP Limited classifier.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ectopy import ec57
from ectopy.ec57 import lines
from tests import sumstats

pytestmark = pytest.mark.real

Records = dict[str, ec57.RecordComparison]


@pytest.fixture(scope="session")
def annotators() -> Path:
    folder = Path(os.environ.get("ECTOPY_SOURCE", "-")) / "../../ec57"
    if not (folder / "reference").is_dir():
        pytest.skip("the reference tools' tables are not beside ECTOPY_SOURCE, in ../../ec57")
    return folder


@pytest.fixture(scope="session")
def compared(mitdb: Path, annotators: Path) -> Callable[[str], Records]:
    """Compare an annotator once for all tests."""
    done: dict[str, Records] = {}

    def compare(annotator: str) -> Records:
        if annotator not in done:
            done[annotator] = ec57.compare_directories(mitdb, annotators, annotator)
        return done[annotator]

    return compare


def beats(records: Records) -> dict[str, ec57.BeatComparison]:
    return {name: record.beats for name, record in records.items()}


def runs(records: Records, kind: ec57.RunKind) -> dict[str, ec57.RunComparison]:
    return {name: record.runs[kind] for name, record in records.items()}


def episodes(records: Records, kind: ec57.EpisodeKind) -> dict[str, ec57.EpisodeComparison]:
    return {name: record.episodes[kind] for name, record in records.items()}


WRITERS: dict[str, Callable[[Records], str]] = {
    "bxb_L": lambda records: lines.bxb_lines(beats(records)),
    "bxb_L2": lambda records: lines.shutdown_lines(beats(records)),
    "bxb_l": lambda records: lines.bxb_lines(beats(records), sveb=False),
    "bxb_l2": lambda records: lines.shutdown_lines(beats(records), sveb=False),
    "rxr_V": lambda records: lines.rxr_lines(runs(records, "ventricular"), "ventricular"),
    "rxr_S": lambda records: lines.rxr_lines(runs(records, "supraventricular"), "supraventricular"),
    "epic_AF": lambda records: lines.epicmp_lines(episodes(records, "AF"), "AF"),
    "epic_VF": lambda records: lines.epicmp_lines(episodes(records, "VF"), "VF"),
    "sum_bxb_L": lambda records: sumstats.bxb_sumstats(beats(records)),
    "sum_bxb_l": lambda records: sumstats.bxb_sumstats(beats(records), sveb=False),
    "sum_rxr_V": lambda records: sumstats.rxr_sumstats(runs(records, "ventricular"), "ventricular"),
    "sum_rxr_S": lambda records: sumstats.rxr_sumstats(runs(records, "supraventricular"), "supraventricular"),
    "sum_epic_AF": lambda records: sumstats.epicmp_sumstats(episodes(records, "AF"), "AF"),
    "sum_epic_VF": lambda records: sumstats.epicmp_sumstats(episodes(records, "VF"), "VF"),
}
OSEA = ("bxb_l", "bxb_l2", "rxr_V", "sum_bxb_l", "sum_rxr_V")  # it has no class S
TABLES = [(annotator, name) for annotator in ("tst", "shd") for name in WRITERS]
TABLES += [("osea", name) for name in OSEA]


@pytest.mark.parametrize(("annotator", "name"), TABLES)
def test_every_line_of_the_tools_is_printed_to_the_digit(
    annotators: Path, compared: Callable[[str], Records], annotator: str, name: str
) -> None:
    expected = (annotators / "reference" / f"{annotator}_{name}.txt").read_text()
    assert WRITERS[name](compared(annotator)).splitlines() == expected.splitlines()


@pytest.mark.parametrize("annotator", ["tst", "shd"])
def test_every_cell_of_every_matrix_equals(
    annotators: Path, compared: Callable[[str], Records], annotator: str
) -> None:
    # 45 cells a record: 7 of each of the 5 classes, 5 of O and of X.
    text = (annotators / "reference" / f"{annotator}_bxb_S.txt").read_text()
    printed = text.split("Beat-by-beat comparison results for record ")[1:]
    assert len(printed) == 48
    for report in printed:
        name = report.split()[0]
        rows = [line.split()[2:] for line in report.splitlines() if re.match(r" [NSVFQOX] \|", line)]
        expected = np.array([[int(cell) for cell in [*row, "0", "0"][:7]] for row in rows])
        np.testing.assert_array_equal(compared(annotator)[name].beats.counts, expected, err_msg=name)


def test_figures_of_bxb_itself_differ_from_sumstats_in_the_sveb_only(
    annotators: Path, compared: Callable[[str], Records]
) -> None:
    # bxb -S prints 819 / (819 + ...) with F called S among the false, the line format cannot.
    total: Any = ec57.gross(compared("tst").values()).beats
    assert total.count("S", "S") == 1933
    assert total.sveb_positive_predictivity == 1933 / (1933 + 756 + 104 + total.count("F", "S") + 146)
    assert total.sveb_positive_predictivity_sumstats == 1933 / (1933 + 756 + 104 + 146)


def test_paced_records_are_those_of_the_directory(compared: Callable[[str], Records]) -> None:
    assert [name for name, record in compared("tst").items() if record.paced] == ["102", "104", "107", "217"]
