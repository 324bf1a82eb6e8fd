"""The reviewed state: what each edit means for beats, RR intervals, events and statistics."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ectopy.ecg import CLASSES, Event
from ectopy.report.statistics import recording_stats, stats
from ectopy.review.edits import (
    AcceptEvent,
    Action,
    AddEvent,
    ChooseStrip,
    Comment,
    Confirm,
    DeleteBeats,
    EventRef,
    ExcludeRates,
    InsertBeat,
    LabelSimilar,
    MarkInterval,
    MoveEvent,
    Redo,
    RejectEvent,
    RelabelBeats,
    RelabelEvent,
    Reopen,
    Undo,
)
from ectopy.review.history import history
from ectopy.review.reviewed_beats import Conflict
from ectopy.review.state import replay
from tests.edited import BASE, analysis_from, entries_of, kinds, letters, ref, relabel, same
from tests.handmade import FS

OTHER_BASE = "1" * 64


def review(automatic, *actions, base=BASE):
    return replay(automatic, entries_of(actions), base=base)


def figures(analysis):
    return stats(recording_stats(analysis), 0, analysis.duration_s)


class TestNothing:
    def test_without_edits_the_results_are_the_automatic_ones(self):
        automatic = analysis_from("NNVVVVNNSNNVVN" * 5, 0.5)
        state = review(automatic)
        assert same(state.analysis, automatic)
        assert (state.status, state.last_id, state.conflicts) == ("automatic", 0, ())
        assert {item.status for item in state.events} == {"automatic"}

    def test_a_recording_without_beats_can_be_reviewed(self):
        automatic = replace(
            analysis_from("NNN"), beats=analysis_from("N").beats, events=(), rr_s=np.full(1, np.nan)
        )
        automatic = replace(automatic, low_quality=np.zeros(1, dtype=bool))
        one = automatic.beats.sample
        empty = review(automatic, DeleteBeats(one, "N"), RelabelBeats(one, "V", "N"))
        assert len(empty.beats) == 0
        assert letters(review(automatic, DeleteBeats(one, "N"), InsertBeat(150, "V")).analysis) == "V"


class TestBeats:
    def test_a_relabelled_beat_changes_the_counts_and_the_events(self):
        automatic = analysis_from("NNNNNNNN", 0.5)
        state = review(automatic, relabel(automatic, [3, 4, 5], "V"))
        assert letters(state.analysis) == "NNNVVVNN"
        assert kinds(state.analysis) == ["vt"]
        assert figures(state.analysis)["n_veb"] == 3
        assert state.by_reader.tolist() == [3 <= beat <= 5 for beat in range(8)]

    def test_a_label_of_a_reader_is_certain(self):
        automatic = analysis_from("NNNN")
        automatic = replace(automatic, beats=replace(automatic.beats, confident=np.zeros(4, dtype=bool)))
        state = review(automatic, relabel(automatic, [1], "S"), relabel(automatic, [2], "Q"))
        assert state.beats.probability[1].tolist() == [0, 1, 0, 0]
        assert state.beats.probability[2].tolist() == [0, 0, 0, 0]
        assert state.beats.confident.tolist() == [False, True, True, False]

    def test_no_rule_changes_a_label_of_a_reader(self):
        """In atrial fibrillation ectopy calls no beat supraventricular; a reader may."""
        automatic = analysis_from("N" * 40)
        episode = Event("af", float(automatic.beats.time_s[5]), float(automatic.beats.time_s[30]), 26, 75.0)
        automatic = replace(automatic, events=(episode,))
        state = review(automatic, relabel(automatic, [10], "S"))
        assert letters(state.analysis)[10] == "S"
        assert kinds(state.analysis) == ["af"]

    def test_similar_beats_follow_and_what_a_reader_says_goes_before(self):
        automatic = analysis_from("NNNNNNNN", 0.5)
        similar = LabelSimilar(automatic.beats.sample[[2, 4, 5]], "VVS", "NNN")
        state = review(automatic, relabel(automatic, [3, 4], "F"), similar)
        assert letters(state.analysis) == "NNVFFSNN"
        assert np.flatnonzero(state.by_reader).tolist() == [3, 4]
        assert state.beats.confident.tolist() == (automatic.beats.confident | state.by_reader).tolist()
        p, before = state.beats.probability, automatic.beats.probability
        assert (p[2, CLASSES.index("V")], p[5, CLASSES.index("S")]) == (before[2].max(), before[5].max())
        later = review(automatic, similar, relabel(automatic, [2], "N"))
        assert letters(later.analysis) == "NNNNVSNN"

    def test_beats_that_nobody_relabelled_keep_their_probabilities(self):
        automatic = analysis_from("NNQNVNN", 0.5)
        similar = LabelSimilar(automatic.beats.sample[[0]], "|", "N")
        state = review(automatic, similar)
        assert letters(state.analysis) == "NQNVNN"
        np.testing.assert_array_equal(state.beats.probability, automatic.beats.probability[1:])

    def test_a_deleted_beat_joins_its_intervals_and_an_artefact_does_not(self):
        automatic = analysis_from("NNNNNN")
        beat = automatic.beats.sample[3:4]
        deleted = review(automatic, DeleteBeats(beat, "N")).analysis
        artefact = review(automatic, RelabelBeats(beat, "|", "N")).analysis
        assert deleted.rr_s[3] == pytest.approx(1.6)
        assert np.isnan(artefact.rr_s[3])
        assert len(deleted.beats) == len(artefact.beats) == 5
        assert review(automatic, RelabelBeats(beat, "|", "N")).artefacts.tolist() == beat.tolist()

    def test_a_missed_beat_ends_a_pause(self):
        automatic = analysis_from("NNNN", 2.4)
        middle = int(automatic.beats.sample[1] + 120)
        state = review(automatic, InsertBeat(middle, "V"))
        assert kinds(automatic) == ["pause"] * 3
        assert kinds(state.analysis) == ["pause"] * 2
        assert letters(state.analysis) == "NNVNN"

    def test_a_beat_inserted_beside_another_relabels_it(self):
        automatic = analysis_from("NNNN")
        state = review(automatic, InsertBeat(int(automatic.beats.sample[2]) + 4, "V"))
        assert letters(state.analysis) == "NNVN"

    def test_a_beat_after_the_end_is_a_conflict(self):
        automatic = analysis_from("NNNN")
        state = review(automatic, InsertBeat(automatic.n_samples, "V"))
        assert same(state.analysis, automatic)
        assert state.conflicts == (Conflict(1, "insert_beat: it lies after the end of the recording"),)

    def test_a_beat_in_noise_that_a_reader_changes_could_be_read(self):
        automatic = analysis_from("NNNNNN", 0.5)
        noisy = np.array([False, False, True, True, True, False])
        rr_s = np.where(noisy | np.append(False, noisy[:-1]), np.nan, automatic.rr_s)
        automatic = replace(automatic, low_quality=noisy, rr_s=rr_s)
        state = review(automatic, relabel(automatic, [2, 3, 4], "V"))
        assert kinds(state.analysis) == ["vt"]
        assert np.isnan(review(automatic, relabel(automatic, [2], "N")).analysis.rr_s[2])


class TestIntervals:
    def test_in_artefact_nothing_counts(self):
        automatic = analysis_from("NNNNVVVVNNNN", 0.5)
        start, stop = int(automatic.beats.sample[4]) - 10, int(automatic.beats.sample[7]) + 10
        state = review(automatic, MarkInterval(start, stop, "artefact"))
        assert letters(state.analysis) == "NNNNNNNN"
        assert kinds(state.analysis) == []
        assert state.analysis.unreadable.tolist() == [[start, stop]]
        assert figures(state.analysis)["analysable_s"] == pytest.approx(
            automatic.duration_s - (stop - start) / FS
        )

    def test_the_last_mark_of_an_interval_counts(self):
        automatic = analysis_from("NNNNVVVVNNNN", 0.5)
        artefact = MarkInterval(100, 500, "artefact")
        assert same(review(automatic, artefact, MarkInterval(100, 500, "sinus")).analysis, automatic) is False
        state = review(automatic, artefact, MarkInterval(200, 300, "sinus"))
        assert state.analysis.unreadable.tolist() == [[100, 200], [300, 500]]

    def test_a_rhythm_that_is_marked_is_an_event(self):
        automatic = analysis_from("N" * 60)
        state = review(automatic, MarkInterval(800, 2400, "af"))
        (event,) = state.analysis.events
        assert (event.kind, event.onset_s, event.offset_s, event.n_beats) == ("af", 8.0, 24.0, 21)
        assert state.events[0].status == "added"

    def test_sinus_rhythm_cuts_an_episode_in_two(self):
        automatic = analysis_from("N" * 60)
        state = review(automatic, MarkInterval(800, 4000, "af"), MarkInterval(1600, 2400, "sinus"))
        spans = [(event.onset_s, event.offset_s) for event in state.analysis.events_of("af")]
        assert spans == [(8.0, 16.0), (24.0, 40.0)]

    def test_rates_without_an_artefact(self):
        """The fastest rate of a recording at 75 bpm is that of nine beats at 150 bpm; without them it is 75."""
        rr_s = np.r_[np.full(30, 0.8), np.full(12, 0.4), np.full(30, 0.8)]
        automatic = analysis_from("N" * len(rr_s), rr_s)
        assert figures(automatic)["hr_max_bpm"] == 150
        first, last = automatic.beats.sample[[30, 41]].tolist()
        state = review(automatic, ExcludeRates(first, last + 1))
        assert figures(state.analysis)["hr_max_bpm"] == 75
        assert len(state.beats) == len(automatic.beats)


class TestEvents:
    def test_a_rejected_event_does_not_count_and_stays_to_be_seen(self):
        automatic = analysis_from("NNVVVVNNNVVVN", 0.5)
        state = review(automatic, RejectEvent(ref(automatic, "vt")))
        assert len(state.analysis.events_of("vt")) == 1
        assert [item.status for item in state.events if item.event.kind == "vt"] == ["rejected", "automatic"]
        assert figures(state.analysis)["n_vt_runs"] == 1

    def test_an_accepted_event_stays_as_it_is(self):
        automatic = analysis_from("NNVVVVNN", 0.5)
        state = review(automatic, AcceptEvent(ref(automatic, "vt")))
        assert same(state.analysis, automatic)
        assert [item.status for item in state.events] == ["accepted"]

    def test_a_rejection_holds_when_the_event_is_found_a_beat_longer(self):
        automatic = analysis_from("NNVVVVNN", 0.5)
        state = review(automatic, RejectEvent(ref(automatic, "vt")), relabel(automatic, [6], "V"))
        assert kinds(state.analysis) == []

    def test_a_moved_event_has_the_beats_between_its_new_edges(self):
        automatic = analysis_from("NNVVVVNN", 0.5)
        onset, offset = automatic.beats.sample[[1, 6]].tolist()
        state = review(automatic, MoveEvent(ref(automatic, "vt"), onset, offset))
        (item,) = state.events
        assert (item.event.n_beats, item.event.rate_bpm) == (6, 120.0)
        assert (item.status, item.was) == ("changed", automatic.events[0])

    def test_a_relabelled_event_is_one_of_the_other_kind(self):
        automatic = analysis_from("NNVVVVNN", 0.5)
        state = review(automatic, RelabelEvent(ref(automatic, "vt"), "sv_run"))
        assert kinds(state.analysis) == ["sv_run"]
        assert state.events[0].was == automatic.events[0]

    def test_an_added_event_replaces_those_of_its_kind_that_it_overlaps(self):
        automatic = analysis_from("NNVVVVNN", 0.5)
        state = review(automatic, AddEvent("vt", 60, 420))
        assert [(item.status, item.event.onset_s) for item in state.events] == [
            ("added", 0.6),
            ("rejected", 1.5),
        ]

    def test_a_kind_without_a_rate_has_none(self):
        state = review(analysis_from("NNNN"), AddEvent("pause", 80, 240))
        assert np.isnan(state.analysis.events[0].rate_bpm)

    def test_ventricular_fibrillation_that_is_added_has_no_rr_intervals_and_one_that_is_rejected_has(self):
        automatic = analysis_from("N" * 40)
        added = review(automatic, AddEvent("vf", 1000, 2000))
        assert np.isnan(added.analysis.rr_s[20])
        vf = replace(automatic, events=(Event("vf", 10.0, 20.0, 12, float("nan")),))
        assert np.isnan(review(vf).analysis.rr_s[20])
        assert np.isfinite(review(vf, RejectEvent(EventRef("vf", 1000, 2000))).analysis.rr_s[20])

    def test_strips_and_comments_belong_to_their_event(self):
        automatic = analysis_from("NNVVVVNN", 0.5)
        vt = ref(automatic, "vt")
        state = review(
            automatic, ChooseStrip(vt, 40), Comment(vt, "typical"), Comment(None, "a"), Comment(None, "b")
        )
        (item,) = state.events
        assert (item.strip_start, item.comment, item.status) == (40, "typical", "automatic")
        assert state.comment == "b"

    def test_an_edit_of_an_event_that_is_gone_is_a_conflict(self):
        automatic = analysis_from("NNVVVVNN", 0.5)
        state = review(automatic, RejectEvent(EventRef("af", 100, 200)))
        assert state.conflicts == (Conflict(1, "Reject event: this event is not found any more"),)


class TestAnotherScoring:
    """The edits of a reader after the recording has been scored again, by another model."""

    def test_a_label_that_the_new_model_agrees_with_is_no_conflict(self):
        edit = relabel(analysis_from("NNNN"), [2], "V")
        for scored in ("NNNN", "NNVN"):
            state = review(analysis_from(scored), edit, base=OTHER_BASE)
            assert (letters(state.analysis), state.conflicts) == ("NNVN", ())

    def test_a_third_label_is_a_conflict_and_the_reader_counts(self):
        edit = relabel(analysis_from("NNNN"), [2], "V")
        state = review(analysis_from("NNSN"), edit, base=OTHER_BASE)
        assert letters(state.analysis) == "NNVN"
        assert state.conflicts == (Conflict(1, "relabel_beats: 1 beats that were called V are S now"),)

    def test_a_beat_found_a_little_beside_is_the_same_and_one_not_found_a_conflict(self):
        edit = relabel(analysis_from("NNNNN"), [1, 3], "V")
        scored = analysis_from("NNNN", [0.8, 0.83, 0.77, 1.6])
        state = review(scored, edit, base=OTHER_BASE)
        assert letters(state.analysis) == "NVNN"
        (conflict,) = state.conflicts
        assert conflict.text == "relabel_beats: 1 beats that were called V are not found any more"

    def test_results_that_were_confirmed_stay_so_and_are_outdated(self):
        automatic = analysis_from("NNNN")
        state = review(automatic, Confirm(60.0), base=OTHER_BASE)
        assert (state.status, state.is_outdated) == ("confirmed", True)
        assert not review(automatic, Confirm(60.0)).is_outdated
        assert review(automatic, Confirm(60.0), Reopen()).status == "in review"


LETTERS = "NNVNNSNVVVNNNNVNVNVNNNQNNVVNNN" * 2
AUTOMATIC = analysis_from(LETTERS, 0.6)
BEATS = st.lists(st.integers(0, len(AUTOMATIC.beats) - 1), min_size=1, max_size=8, unique=True).map(sorted)
SAMPLES = st.integers(0, AUTOMATIC.n_samples - 1)
SPANS = st.tuples(SAMPLES, st.integers(1, 600)).map(lambda span: (span[0], span[0] + span[1]))
EVENTS = st.sampled_from(
    [EventRef(e.kind, round(e.onset_s * FS), round(e.offset_s * FS)) for e in AUTOMATIC.events]
)
EDITS = st.one_of(
    st.builds(lambda beats, to: relabel(AUTOMATIC, beats, to), BEATS, st.sampled_from("NSVFQ|")),
    st.builds(lambda beats: DeleteBeats(AUTOMATIC.beats.sample[beats], "N" * len(beats)), BEATS),
    st.builds(InsertBeat, SAMPLES, st.sampled_from("NSV")),
    st.builds(
        lambda span, rhythm: MarkInterval(span[0], span[1], rhythm),
        SPANS,
        st.sampled_from(["artefact", "sinus", "af", "vt"]),
    ),
    st.builds(lambda span: ExcludeRates(*span), SPANS),
    st.builds(AcceptEvent, EVENTS),
    st.builds(RejectEvent, EVENTS),
    st.builds(RelabelEvent, EVENTS, st.sampled_from(["vt", "sv_run", "pause"])),
    st.builds(lambda event, span: MoveEvent(event, *span), EVENTS, SPANS),
    st.builds(lambda span: AddEvent("vt", *span), SPANS),
)
LOGS = st.lists(st.one_of(EDITS, st.just("undo"), st.just("redo")), max_size=25)


def actions_of(steps):
    """Turn the steps of a reader into actions; an undo or redo with nothing to do is left out."""
    actions: list[Action] = []
    for step in steps:
        past = history(entries_of(actions))
        if step == "undo":
            actions += [Undo(past.next_undo[0].id)] if past.next_undo else []
        elif step == "redo":
            actions += [Redo(past.next_redo[0].id)] if past.next_redo else []
        else:
            actions.append(step)
    return actions


@settings(max_examples=60, deadline=None)
@given(LOGS)
def test_a_log_always_gives_the_same_state_which_holds_together(steps):
    actions = actions_of(steps)
    state, again = review(AUTOMATIC, *actions), review(AUTOMATIC, *actions)
    assert same(state.analysis, again.analysis)
    assert (np.diff(state.beats.sample) > 0).all()
    assert "|" not in letters(state.analysis)
    assert [item.event for item in state.events if item.counts] == list(state.analysis.events)
    numbers = figures(state.analysis)
    assert numbers["n_beats"] == len(state.beats)
    assert numbers["n_vt_runs"] == len(state.analysis.events_of("vt"))


@settings(max_examples=40, deadline=None)
@given(LOGS, st.integers(1, 25))
def test_undo_goes_back_step_by_step_and_redo_forward_again(steps, n_undone):
    edits = [step for step in steps if not isinstance(step, str)]
    n_undone = min(n_undone, len(edits))
    undone = actions_of([*edits, *["undo"] * n_undone])
    assert same(
        review(AUTOMATIC, *undone).analysis, review(AUTOMATIC, *edits[: len(edits) - n_undone]).analysis
    )
    redone = actions_of([*edits, *["undo"] * n_undone, *["redo"] * n_undone])
    assert same(review(AUTOMATIC, *redone).analysis, review(AUTOMATIC, *edits).analysis)


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(6)))
def test_the_order_of_edits_of_different_beats_does_not_matter(order):
    groups = [[beat, beat + 1] for beat in range(0, 60, 10)]
    edits = [relabel(AUTOMATIC, group, to) for group, to in zip(groups, "NSVFQ|", strict=True)]
    in_order, shuffled = review(AUTOMATIC, *edits), review(AUTOMATIC, *(edits[at] for at in order))
    assert same(in_order.analysis, shuffled.analysis)
