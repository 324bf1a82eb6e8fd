"""Data flows in one direction: events follow from final beats, and every count is the number of events."""

import csv
import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ectopy import pipeline, report
from ectopy.criteria import DEFAULT_CRITERIA, Criteria
from ectopy.datasets.simulate import draw_patient, simulate
from ectopy.ecg import Analysis, Event
from ectopy.model.classifier import SHIPPED_MODEL, classifier_in
from ectopy.readers import open_recording
from ectopy.report.statistics import Stats, recording_stats, stats
from ectopy.rhythm.events import find_events
from ectopy.rhythm.findings import find_findings
from ectopy.rhythm.kinds import KINDS
from tests.conftest import database
from tests.handmade import FS, analysis_of, beats_of, provenance_of, recording_for

DATABASES = (
    *(("mitdb", "1.0.0"), ("nstdb", "1.0.0"), ("svdb", "1.0.0"), ("vfdb", "1.0.0"), ("cudb", "1.0.0")),
    *(("aftdb", "1.0.0"), ("afpdb", "1.0.0"), ("ludb", "1.0.1"), ("challenge-2017", "1.0.0/training")),
)
LONGEST_S = math.inf if os.environ.get("ECTOPY_WHOLE_RECORDINGS") else 300.0
"""How much of each true recording is analysed: its first five minutes, unless somebody asks for all."""
FINDING_COUNTS = {
    "vt": r"(?<!supra)ventricular tachycardia: (\d+) (?:run|triplet)",
    "pause": r"(\d+) pauses? longer than",
    "af": r"Atrial fibrillation: (\d+) episode",
    "afl": r"Atrial flutter: (\d+) episode",
    "idioventricular_rhythm": r"Idioventricular rhythm: (\d+) (?:run|triplet)",
    "sv_run": r"upraventricular (?:runs|tachycardia): (\d+) (?:run|triplet)",
    "short_v_run": r"Short ventricular runs: (\d+) (?:run|triplet)",
    "paced": r"Paced rhythm: (\d+) episode",
    "veb_couplet": r"(\d+) ventricular couplet",
    "sveb_couplet": r"(\d+) supraventricular couplet",
    "bigeminy": r"Ventricular bigeminy: (\d+) episode",
    "trigeminy": r"Ventricular trigeminy: (\d+) episode",
    "sveb_bigeminy": r"Supraventricular bigeminy: (\d+) episode",
    "r_on_t": r"Possible R-on-T: (\d+) ventricular beats? ",
    "bradycardia": r"Bradycardia: (\d+) episode",
    "tachycardia": r"(?<!ventricular )Tachycardia: (\d+) episode",
}


def spans_of(analysis: Analysis, kind: str) -> list[list[int]]:
    time_s = analysis.beats.time_s
    spans = (analysis.beats.between(event.onset_s, event.offset_s) for event in analysis.events_of(kind))
    return [[span.start, span.stop] for span in spans if len(time_s)]


def assert_one_direction(analysis: Analysis) -> None:
    """Events are those of the final beats, and every count is the number of such events."""
    again = find_events(
        analysis.beats,
        analysis.rr_s,
        duration_s=analysis.duration_s,
        unreadable=analysis.unreadable,
        af=spans_of(analysis, "af"),
        flutter=spans_of(analysis, "afl"),
        paced=spans_of(analysis, "paced"),
        criteria=analysis.criteria,
    )
    assert_equal_events(again, analysis.events)
    number = Counter(event.kind for event in analysis.events)
    counts = stats(recording_stats(analysis), 0, analysis.duration_s)
    assert {name: counts[kind.count] for name, kind in KINDS.items()} == {
        name: number[name] if kind.is_sought(analysis.criteria) else None for name, kind in KINDS.items()
    }
    n_ventricular = integer(counts, "n_veb") + integer(counts, "n_fusion")
    n_in_couplets = 2 * integer(counts, "n_couplets")
    assert n_ventricular == (
        integer(counts, "n_veb_singles") + n_in_couplets + integer(counts, "veb_run_beats")
    )
    assert counts["n_veb_runs"] == number["vt"] + number["short_v_run"] + number["idioventricular_rhythm"]
    assert not (analysis.beats.label[in_af(analysis)] == "S").any()
    assert counts_in_findings(analysis) == dict(number)


def integer(counts: Stats, name: str) -> int:
    """Return a count, which must be an integer."""
    value = counts[name]
    assert isinstance(value, int)
    return value


def in_af(analysis: Analysis) -> np.ndarray:
    mask = np.zeros(len(analysis.beats), dtype=bool)
    for start, stop in spans_of(analysis, "af"):
        mask[start:stop] = True
    return mask


def assert_equal_events(first: tuple[Event, ...], second: tuple[Event, ...]) -> None:
    # By their text, in which NaN equals NaN.
    assert [repr(event) for event in first] == [repr(event) for event in second]


def counts_in_findings(analysis: Analysis) -> dict[str, int]:
    """Read the counts back out of the sentences."""
    numbers: Counter[str] = Counter()
    for finding in find_findings(analysis):
        text = finding.text.replace(",", "")
        for kind, pattern in FINDING_COUNTS.items():
            if match := re.search(pattern, text):
                numbers[kind] += int(match[1])
    return dict(numbers)


def records() -> Iterator[object]:
    """Yield the available records, in groups of forty per test."""
    for name, version in DATABASES:
        try:
            folder = database(name, version)
        except pytest.skip.Exception:
            yield pytest.param((), id=name, marks=pytest.mark.skip(reason=f"{name} is not available"))
            continue
        headers = sorted(folder.rglob("*.hea"))
        for first in range(0, len(headers), 40):
            yield pytest.param(
                tuple(headers[first : first + 40]), id=f"{name}-{first}", marks=pytest.mark.real
            )


@pytest.mark.no_cover  # hours of true signals go through lines that simulated ones go through too
@pytest.mark.parametrize("headers", list(records()))
def test_true_recordings(headers: tuple[Path, ...]) -> None:
    classify = classifier_in(SHIPPED_MODEL)
    for header in headers:
        recording = open_recording(header)
        first = replace(recording, n_samples=min(recording.n_samples, round(LONGEST_S * recording.fs)))
        assert_one_direction(pipeline.analyse(first, classify))


@pytest.mark.parametrize("seed", range(6))
def test_simulated_recordings(seed: int) -> None:
    rng = np.random.default_rng(seed)
    recording = simulate(draw_patient(rng), minutes=10, rng=rng).recording
    assert_one_direction(pipeline.analyse(recording, classifier_in(SHIPPED_MODEL)))


@pytest.mark.no_cover
@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("NNNNSVVFQ"), st.sampled_from([0.3, 0.5, 0.62, 0.8, 1.3, 2.5, 11.0])),
        max_size=60,
    ),
    st.sampled_from(
        [
            DEFAULT_CRITERIA,
            Criteria(vt_beats=4, sv_run_beats=5, pattern_cycles=2, detect_af=False),
            Criteria(pause_s=0.7, pauses_beside_ectopic_beats=False, vt_bpm=130, sv_prematurity_pct=25),
        ]
    ),
)
def test_beats_of_any_kind_by_any_criteria(drawn: list[tuple[str, float]], criteria: Criteria) -> None:
    letters = "".join(letter for letter, _ in drawn)
    beats = beats_of(letters, [rr_s for _, rr_s in drawn])
    assert_one_direction(analysis_of(recording_for(beats, 100_000), beats, whole=True, criteria=criteria))


@pytest.mark.real
@pytest.mark.parametrize(("record", "kind", "number"), [("201", "veb_couplet", 6), ("203", "vt", 18)])
def test_one_number_everywhere(mitdb: Path, tmp_path: Path, record: str, kind: str, number: int) -> None:
    # Before 0.2, summary.csv said 7 couplets of 201 and events.csv listed 3; of 203, 28 runs and 24.
    analysis = pipeline.analyse(open_recording(mitdb / f"{record}.hea"), classifier_in(SHIPPED_MODEL))
    row = report.write_outputs(tmp_path, analysis, provenance_of())
    with (tmp_path / "events.csv").open(newline="", encoding="utf-8") as file:
        listed = Counter(event["kind"] for event in csv.DictReader(file))
    document = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    title = KINDS[kind].title
    shown = re.search(rf">{title}</th><td>(\d+)</td>", page)
    assert shown is not None
    numbers = [
        listed[kind],
        document["figures"][KINDS[kind].count],
        sum(hour[KINDS[kind].count] for hour in document["hourly"]),
        row[KINDS[kind].count],
        counts_in_findings(analysis)[kind],
        int(shown[1]),
    ]
    assert numbers == [number] * 6


def test_a_beat_in_noise_has_no_interval_in_any_output(tmp_path: Path) -> None:
    beats = beats_of("N" * 30)
    analysis = analysis_of(recording_for(beats, round(30 * FS)), beats)
    assert np.isfinite(analysis.rr_s[1:]).all()
    assert_one_direction(analysis)
