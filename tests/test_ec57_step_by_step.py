"""EC57 on 24 made-up records of nothing but trouble, everywhere and without the true database.

Both annotators hold beats in and out of VF, marks that never end, shutdowns of every kind. What is expected
was counted by following the reading loops of bxb, rxr and epicmp 10.7 mark by mark, in a program of its own
that shares nothing with ours.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from ectopy import ec57
from tests.ec57_marks import cells, lengths, marks

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "data/ec57_step_by_step.json").read_text())

numbered = pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))


def annotators(case: dict[str, Any]) -> tuple[Any, Any, float]:
    return marks(case["reference"], start=0), marks(case["test"], start=0), case["fs"]


def options(case: dict[str, Any]) -> dict[str, Any]:
    return {"learning_s": case["learning_s"], "n_samples": case["n_samples"]}


@numbered
def test_beats(case: dict[str, Any]) -> None:
    found = ec57.compare_beats(*annotators(case), **options(case))
    assert cells(found) == case["beats"]


@numbered
def test_rr_intervals(case: dict[str, Any]) -> None:
    found = ec57.compare_beats(*annotators(case), **options(case))
    assert found.n_rr == case["n_rr"]
    assert found.rr_square_error_s2 * case["fs"] ** 2 == pytest.approx(case["rr_square_error"])


@numbered
def test_runs(case: dict[str, Any]) -> None:
    compared = [ec57.compare_runs(*annotators(case), kind=kind, **options(case)) for kind in ec57.RUN_KINDS]
    expected = [{(int(i), int(j)): n for (i, j), n in matrix.items()} for matrix in case["runs"]]
    assert [lengths(matrix) for found in compared for matrix in found.counts] == expected


@numbered
@pytest.mark.parametrize("kind", ["AF", "VF"])
def test_episodes(case: dict[str, Any], kind: ec57.EpisodeKind) -> None:
    found = ec57.compare_episodes(*annotators(case), kind=kind, **options(case))
    seconds = (found.reference_s, found.reference_overlap_s, found.test_s, found.test_overlap_s)
    reference, reference_overlap, test, test_overlap = (round(each * case["fs"]) for each in seconds)
    assert [
        *(found.found, found.missed, reference, reference_overlap),
        *(found.confirmed, found.false, test, test_overlap),
    ] == case["episodes"][kind]
