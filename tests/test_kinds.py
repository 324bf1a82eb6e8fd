"""Test that a kind of event is one row of the registry, from which every output follows."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb
from jsonschema import Draft202012Validator

from ectopy import report
from ectopy.report.data_files import summary_schema
from ectopy.rhythm import findings, kinds
from ectopy.rhythm.kinds import KINDS, EventKind
from tests.handmade import analysis_of, beats_of, provenance_of, recording_for

ROOT = Path(__file__).resolve().parent.parent

EVERY_Q = EventKind(
    name="unclassifiable_pair",
    title="Pair of unclassifiable beats",
    rule="2 Q in a row",
    urgency="a note",
    find=lambda context: np.array(
        [
            [beat, beat + 2]
            for beat in range(len(context.beats) - 1)
            if (context.beats.label[beat : beat + 2] == "Q").all()
        ],
        dtype=np.intp,
    ).reshape(-1, 2),
    count="n_unclassifiable_pairs",
    colour="note",
)


@pytest.fixture
def more_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a row, as a programmer would; nothing else."""
    monkeypatch.setitem(KINDS, EVERY_Q.name, EVERY_Q)
    monkeypatch.setattr(findings, "FURTHER", (*kinds.FURTHER, EVERY_Q))


@pytest.mark.usefixtures("more_kinds")
def test_a_new_row_reaches_every_output(tmp_path: Path) -> None:
    beats = beats_of("NNQQNNNNQQNN")
    row = report.write_outputs(tmp_path, analysis_of(recording_for(beats, 6000), beats), provenance_of())
    with (tmp_path / "events.csv").open(newline="", encoding="utf-8") as file:
        assert [event["kind"] for event in csv.DictReader(file)] == ["unclassifiable_pair"] * 2
    document = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert document["figures"]["n_unclassifiable_pairs"] == 2
    Draft202012Validator(summary_schema()).validate(document)
    assert "note: Pair of unclassifiable beats: 2 episodes, 1.6 s in all" in str(row["findings"])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "2 Q in a row; a note" in page
    marks = wfdb.rdann(str(tmp_path / "r1"), "ectopy")
    notes = [(sample, note) for sample, note in zip(marks.sample, marks.aux_note, strict=True) if note]
    # One sample after the first beat of each pair, at 2.4 s and 7.2 s.
    assert [(int(sample), note.rstrip(chr(0))) for sample, note in notes if "pair" in note] == [
        (241, "unclassifiable_pair"),
        (721, "unclassifiable_pair"),
    ]


@pytest.mark.usefixtures("more_kinds")
def test_a_new_row_with_a_rhythm_names_its_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, EVERY_Q.name, replace(EVERY_Q, rhythm="svt"))
    beats = beats_of("NNQQNN")
    changes = report.data_files.rhythm_changes(analysis_of(recording_for(beats, 6000), beats))
    assert changes[1] == ["(N", "(SVTA", "(N"]


def test_events_of_one_time_share_a_note() -> None:
    # A ventricular beat on the T wave that ends a couplet: both begin where the beat before begins.
    beats = beats_of("N" * 10 + "VVN", [1.0] * 10 + [0.38, 0.4, 1.0])
    analysis = analysis_of(recording_for(beats, 6000), beats)
    assert [event.kind for event in analysis.events] == ["r_on_t", "veb_couplet"]
    samples, notes = report.data_files.event_notes(analysis)
    assert (samples.tolist(), notes) == ([1001, 1039], ["r_on_t", "veb_couplet"])


def test_names_counts_and_titles_are_distinct() -> None:
    for column in ("name", "title", "count"):
        values = [getattr(kind, column) for kind in KINDS.values()]
        assert len(set(values)) == len(values)


def test_the_table_in_the_documentation_is_that_of_the_registry() -> None:
    printed = subprocess.run(
        [sys.executable, ROOT / "tools" / "event_table.py"], capture_output=True, text=True, check=True
    ).stdout
    assert (ROOT / "docs" / "reference" / "events.md").read_text(encoding="utf-8") == printed


def test_a_limit_stands_in_one_place() -> None:
    # 2 s for a pause was text in six files.
    written = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "src").rglob("*.py")
        if "2 s" in path.read_text(encoding="utf-8") and "ause" in path.read_text(encoding="utf-8")
    ]
    assert [path for path in written if "2 s" in _code_of(ROOT / path)] == []


def _code_of(path: Path) -> str:
    """Return the lines of a file that speak of pauses and are no docstring or comment."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if "pause" in line.lower() and '"' in line and '"""' not in line)
