"""Test the rhythm of every interval of a recording, from events and artefact to the band and the files."""

import gc
import weakref
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ectopy.ecg import Event
from ectopy.rhythm.kinds import KINDS
from ectopy.rhythm.named_intervals import RHYTHM_NAMES, NamedInterval, mit_rhythm, named_intervals, rhythms_at
from tests.handmade import analysis_of, beats_of, recording_for

NAN = float("nan")


def intervals_of(letters, rr_s=0.8, *, noisy=(), length_s=60.0, **changes):
    """Return the intervals of a minute with some beats, the first at 0.8 s; some of them in noise."""
    beats = beats_of(letters, rr_s)
    analysis = analysis_of(recording_for(beats, round(length_s * beats.fs)), beats)
    low_quality = np.isin(np.arange(len(beats)), noisy)
    analysis = replace(analysis, low_quality=low_quality)
    return named_intervals(replace(analysis, **changes))


class TestFromEvents:
    def test_without_an_event_all_of_it_is_sinus_rhythm(self):
        assert intervals_of("N" * 70) == (NamedInterval("sinus", 0.0, 60.0),)

    def test_a_run_lasts_from_its_first_beat_to_the_next_normal_one(self):
        # The run begins at 3.7 s, and the normal beat after it is at 5.7 s.
        found = intervals_of("NNNN" + "VVVV" + "N" * 60, [*[0.8] * 4, *[0.5] * 5, *[0.8] * 59])
        assert [(s.rhythm, round(s.start_s, 2)) for s in found] == [("sinus", 0), ("vt", 3.7), ("sinus", 5.7)]

    def test_a_pause_after_a_run_belongs_to_it_for_two_seconds(self):
        found = intervals_of("NNNN" + "VVVV" + "N" * 60, [*[0.5] * 8, 5.0, *[0.8] * 59])
        assert found[1] == ("vt", 2.5, 6.0)

    def test_slow_and_fast_sinus_rhythm_have_names(self):
        assert {s.rhythm for s in intervals_of("N" * 42, 1.4)} >= {"sinus_bradycardia"}
        assert {s.rhythm for s in intervals_of("N" * 118, 0.5)} >= {"sinus_tachycardia"}

    def test_the_more_urgent_of_two_events_names_the_rhythm(self):
        events = (Event("af", 5.0, 40.0, 45, 80.0), Event("vt", 20.0, 24.0, 6, 150.0))
        found = intervals_of("N" * 73, events=events)
        assert [s.rhythm for s in found] == ["sinus", "af", "vt", "af", "sinus"]

    def test_fibrillation_needs_no_beat(self):
        found = intervals_of("N" * 20, events=(Event("vf", 30.0, 55.0, 0, NAN),))
        assert found == (("sinus", 0.0, 30.0), ("vf", 30.0, 55.0), ("sinus", 55.0, 60.0))

    @pytest.mark.parametrize(("noisy", "name"), [((), "asystole"), ((9,), "asystole"), ((9, 10), "artefact")])
    def test_a_standstill_between_beats_in_noise_is_lost_signal(self, noisy, name):
        found = intervals_of("N" * 50, [*[0.8] * 10, 12.0, *[0.8] * 39], noisy=noisy)
        assert found[1] == (name, 8.0, 20.0)

    def test_a_pause_of_a_few_seconds_is_no_rhythm_of_its_own(self):
        assert [s.rhythm for s in intervals_of("N" * 60, [*[0.8] * 10, 4.0, *[0.8] * 49])] == ["sinus"]


class TestArtefact:
    def test_what_cannot_be_read_and_what_is_artefact_are_one_rhythm(self):
        found = intervals_of(
            "N" * 70, unreadable=np.array([[1000, 2000]]), artefact=np.array([[1900, 2500], [4000, 4100]])
        )
        assert found == (
            ("sinus", 0.0, 10.0),
            ("artefact", 10.0, 25.0),
            ("sinus", 25.0, 40.0),
            ("artefact", 40.0, 41.0),
            ("sinus", 41.0, 60.0),
        )

    def test_less_than_a_second_between_artefact_is_artefact_too(self):
        found = intervals_of("N" * 70, artefact=np.array([[1000, 2000], [2090, 2500], [2650, 3000]]))
        assert [round(interval.start_s, 1) for interval in found] == [0, 10, 25, 26.5, 30]

    def test_a_standstill_interrupts_fibrillation_of_the_atria_and_slow_rates(self):
        events = (Event("af", 5.0, 40.0, 30, 50.0), Event("bradycardia", 5.0, 50.0, 30, 40.0))
        found = intervals_of("N" * 60, events=(*events, Event("pause", 20.0, 32.0, 2, NAN)))
        assert [interval.rhythm for interval in found[:4]] == ["sinus", "af", "asystole", "af"]

    def test_an_episode_goes_on_through_artefact(self):
        found = intervals_of(
            "N" * 70, events=(Event("af", 5.0, 40.0, 44, 80.0),), unreadable=np.array([[1000, 1100]])
        )
        assert [s.rhythm for s in found] == ["sinus", "af", "sinus"]

    def test_a_recording_that_cannot_be_read_is_artefact(self):
        assert intervals_of("", unreadable=np.array([[0, 6000]])) == (("artefact", 0.0, 60.0),)

    def test_an_empty_recording_has_none(self):
        assert intervals_of("", length_s=0.0) == ()


SPANS = st.lists(st.tuples(st.floats(0, 59), st.floats(0.01, 20)), max_size=6)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["vf", "vt", "af", "sv_run", "bradycardia"]), SPANS), SPANS)
def test_the_stretches_cover_any_recording_once_and_neighbours_differ(spans, lost):
    events = tuple(
        Event(kind, onset, min(onset + length, 60.0), 0, NAN)
        for kind, each in spans.items()
        for onset, length in each
    )
    unreadable = np.array([(100 * at, min(100 * (at + length), 6000)) for at, length in lost], dtype=np.int64)
    found = intervals_of("N" * 70, events=events, artefact=unreadable.reshape(-1, 2))
    assert (found[0].start_s, found[-1].stop_s) == (0.0, 60.0)
    for before, after in pairwise(found):
        assert before.stop_s == after.start_s > before.start_s
        assert before.rhythm != after.rhythm


def test_the_rhythm_at_a_time_is_that_of_its_stretch():
    intervals = (
        NamedInterval("sinus", 0.0, 2.5),
        NamedInterval("vt", 2.5, 4.5),
        NamedInterval("sinus", 4.5, 60.0),
    )
    assert rhythms_at(intervals, (-1.0, 0.0, 2.4, 2.5, 4.4, 4.5, 99.0)) == [
        "sinus", "sinus", "sinus", "vt", "vt", "sinus", "sinus"
    ]  # fmt: skip


def test_every_kind_with_a_rhythm_has_its_title_and_string():
    assert all(kind.rhythm in RHYTHM_NAMES for kind in KINDS.values() if kind.rhythm)
    assert mit_rhythm(KINDS["vf"]) == "(VFL"
    assert mit_rhythm(KINDS["tachycardia"]) == mit_rhythm(KINDS["veb_couplet"]) == ""


def test_the_intervals_are_found_once_and_go_with_their_analysis() -> None:
    beats = beats_of("NNNN", 0.8)
    analysis = analysis_of(recording_for(beats, 3600), beats)
    assert named_intervals(analysis) is named_intervals(analysis)
    of_analysis = weakref.ref(analysis)
    del analysis
    gc.collect()
    assert of_analysis() is None
