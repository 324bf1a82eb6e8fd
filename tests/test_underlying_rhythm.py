"""The rhythm that a report names first, its share of the time analysed, and what counts as analysed."""

from dataclasses import replace

import numpy as np
import pytest

from ectopy.ecg import Analysis, Event
from ectopy.report.summary import summarise
from ectopy.report.trend import rhythm_band
from ectopy.rhythm.named_intervals import named_intervals
from ectopy.rhythm.underlying_rhythm import rhythm_shares, underlying_rhythm
from tests.handmade import FS, analysis_of, beats_of, provenance_of, recording_for


def analysis_with(*events: Event, n_beats: int = 200) -> Analysis:
    """Return an analysis of beats 0.5 s apart with some events, of which nothing is unreadable."""
    beats = beats_of("N" * n_beats, 0.5)
    recording = recording_for(beats, round(0.5 * n_beats * FS) + 1)
    return replace(analysis_of(recording, beats, whole=True), events=events)


def test_sinus_rhythm_is_all_that_has_no_other_name() -> None:
    assert underlying_rhythm(analysis_with()) == "Sinus rhythm throughout"


def test_the_longest_rhythm_comes_first_and_each_has_its_share() -> None:
    # 60 s of 100 s: an episode lasts until the next beat.
    analysis = analysis_with(Event("af", 30.0, 89.5, 120, 120.0))
    assert underlying_rhythm(analysis) == (
        "Atrial fibrillation for 60.0 % of the time analysed, with sinus rhythm for 40.0 %"
    )


def test_patterns_and_rates_are_part_of_sinus_rhythm() -> None:
    analysis = analysis_with(
        Event("bigeminy", 10.0, 29.5, 40, 120.0), Event("tachycardia", 50.0, 79.5, 60, 120.0)
    )
    assert underlying_rhythm(analysis) == (
        "Sinus rhythm throughout (sinus tachycardia for 30.0 % and ventricular bigeminy for 20.0 %)"
    )


def test_a_tachycardia_during_fibrillation_is_both() -> None:
    fibrillation, tachycardia = Event("af", 0.0, 100.0, 200, 120.0), Event("vt", 40.0, 49.5, 20, 120.0)
    analysis = analysis_with(fibrillation, tachycardia)
    seconds = dict(rhythm_shares(analysis))
    assert seconds["af"] == pytest.approx(analysis.duration_s)
    assert seconds["vt"] == pytest.approx(10.0)
    assert underlying_rhythm(analysis) == (
        "Atrial fibrillation throughout, with ventricular tachycardia for 10.0 %"
    )


def test_artefact_is_no_time_analysed() -> None:
    analysis = replace(analysis_with(), artefact=np.array([[0, round(35 * FS)]]))
    assert analysis.analysable_s == pytest.approx(analysis.duration_s - 35)
    assert underlying_rhythm(analysis) == "Sinus rhythm throughout"
    named_s = {name: stop_s - start_s for name, start_s, stop_s in named_intervals(analysis)}
    assert named_s["artefact"] == pytest.approx(analysis.duration_s - analysis.analysable_s)


def test_artefact_within_unreadable_time_counts_once() -> None:
    analysis = replace(
        analysis_with(),
        unreadable=np.array([[1000, 2000], [8000, 9000]]),
        artefact=np.array([[1500, 2500], [8200, 8400], [9990, 20_000]]),
    )
    assert analysis.not_analysed.tolist() == [[1000, 2500], [8000, 9000], [9990, 10_001]]
    assert analysis.readable_s(0, 30) == 15.0


@pytest.mark.parametrize("letters", ["", "N"])
def test_hardly_a_beat(letters: str) -> None:
    beats = beats_of(letters)
    analysis = analysis_of(recording_for(beats, 1000), beats, whole=True)
    assert underlying_rhythm(analysis) == ("Sinus rhythm throughout" if letters else "")


def test_the_summary_has_it_with_the_rate_of_its_own_columns() -> None:
    beats = beats_of("N" * 30, [1.0] * 10 + [0.8] * 20)
    summary = summarise(analysis_of(recording_for(beats, 2700), beats, whole=True), provenance_of())
    # 29 intervals in 25 s are 69.6 bpm.
    assert summary.row["hr_mean_bpm"] == 69.6
    assert summary.rhythm == "Sinus rhythm throughout, mean 70 bpm, lowest 60, highest 75"
    assert summary.row["rhythm"] == summary.rhythm


def test_the_band_has_the_shares_of_the_findings() -> None:
    # 40 of 100 s are artefact: VT for 36 s is 60 % of the time analysed, in the finding and in the band.
    artefact = np.array([[0, round(40 * FS)]])
    analysis = replace(analysis_with(Event("vt", 60.0, 95.5, 72, 120.0)), artefact=artefact)
    assert underlying_rhythm(analysis) == (
        "Ventricular tachycardia for 60.0 % of the time analysed, with sinus rhythm for 40.0 %"
    )
    assert [(part.title, part.share) for part in rhythm_band(analysis)] == [
        ("Artefact, or not recorded", "40.0 % of the recording"),
        ("Sinus rhythm", "40.0 %"),
        ("Ventricular tachycardia", "60.0 %"),
    ]
