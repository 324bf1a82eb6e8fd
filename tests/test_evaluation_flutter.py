"""Flutter apart: neither right nor wrong, whatever was called there."""

import numpy as np
import pytest

from ectopy.ec57 import compare_episodes
from ectopy.ecg import true_intervals
from ectopy.evaluation.flutter import clear_rhythm, flutter_intervals
from tests.evaluations import FS, RR_S, at_s, evaluation_of, marks

N = 100


def outcome(reference, test):
    """Judge rhythms that begin at beats: the reference's and the test's."""
    return evaluation_of("r", marks("N" * N, reference), marks("N" * N, test)).outcome


def seconds(beats):
    return pytest.approx(beats * RR_S, abs=0.02)  # marks stand a sample before their beat


class TestFlutter:
    def test_its_stretches_go_from_its_mark_to_the_next(self):
        reference = marks("N" * N, {0: "(N", 10: "(AFL", 30: "(AFIB", 50: "(AFL", 60: "(N"})
        expected = [[round(at_s(k) * FS) - 1 for k in pair] for pair in ((10, 30), (50, 60))]
        assert flutter_intervals(reference).tolist() == expected

    def test_one_that_nothing_follows_has_no_end(self):
        ((start, stop),) = flutter_intervals(marks("N" * N, {10: "(AFL"}))
        assert (start, stop) == (round(at_s(10) * FS) - 1, np.iinfo(np.int64).max)

    def test_where_there_is_none_epicmp_has_the_last_word(self):
        told = outcome({0: "(N", 20: "(AFIB", 60: "(N"}, {0: "(N", 30: "(AFIB", 80: "(N"})
        assert told.af == told.af_epicmp
        assert (told.af.reference_s, told.af.test_s) == (seconds(40), seconds(50))
        assert told.af.reference_overlap_s == seconds(30)

    def test_called_af_all_through_it_is_neither_right_nor_wrong(self):
        told = outcome({0: "(N", 20: "(AFL", 60: "(N"}, {0: "(N", 20: "(AFIB", 60: "(N"})
        assert (told.af.test_s, told.af.false) == (0, 0)
        assert (told.af_epicmp.test_s, told.af_epicmp.false) == (seconds(40), 1)

    def test_what_was_called_af_on_either_side_of_it_is_judged(self):
        told = outcome({0: "(N", 20: "(AFL", 60: "(N"}, {0: "(N", 10: "(AFIB", 70: "(N"})
        assert told.af.test_s == seconds(20)
        assert told.af.test_overlap_s == 0

    def test_fibrillation_beside_it_counts_in_full(self):
        told = outcome({0: "(AFIB", 30: "(AFL", 60: "(AFIB", 90: "(N"}, {0: "(AFIB", 90: "(N"})
        assert (told.af.reference_s, told.af.reference_overlap_s) == (seconds(60), seconds(60))
        assert (told.af.test_s, told.af.test_overlap_s) == (seconds(60), seconds(60))

    def test_missed_fibrillation_is_missed_though_flutter_follows(self):
        told = outcome({0: "(AFIB", 30: "(AFL"}, {0: "(N", 30: "(AFIB"})
        assert (told.af.found, told.af.missed) == (0, 1)
        assert told.af.reference_overlap_s == 0

    def test_fibrillation_called_flutter_is_found_but_not_by_epicmp(self):
        told = outcome({0: "(AFIB", 60: "(N"}, {0: "(AFIB", 30: "(AFL", 60: "(N"})
        assert (told.af.reference_overlap_s, told.af.found) == (seconds(60), 1)
        assert told.af_epicmp.reference_overlap_s == seconds(30)

    def test_how_much_of_it_was_called_af_is_told(self):
        told = outcome({0: "(AFIB", 20: "(AFL", 60: "(N"}, {0: "(AFIB", 30: "(N"})
        assert (told.flutter.reference_s, told.flutter.reference_overlap_s) == (seconds(40), seconds(10))


class TestSilence:
    def test_the_rhythm_goes_on_afterwards_as_it_would_have(self):
        test = clear_rhythm(marks("N" * 10, {0: "(AFIB"}), np.array([[round(at_s(k) * FS) for k in (3, 6)]]))
        told = [(int(s), note) for s, note in zip(test.sample, test.aux, strict=True) if note]
        begins = [round(at_s(0) * FS) - 1, *(round(at_s(k) * FS) for k in (3, 6))]
        assert told == list(zip(begins, ("(AFIB", "(N", "(AFIB"), strict=True))

    def test_beats_are_left_as_they_are_and_time_goes_on(self):
        test = marks("NNNVNNNSNN", {0: "(N", 4: "(AFIB", 6: "(N"})
        silent = clear_rhythm(test, np.array([[round(at_s(3) * FS), round(at_s(8) * FS)]]))
        assert "".join(silent.symbol[silent.symbol != "+"]) == "NNNVNNNSNN"
        assert (np.diff(silent.sample) >= 0).all()
        assert "(AFIB" not in silent.aux

    @pytest.mark.parametrize("seed", range(20))
    def test_of_any_rhythms_just_what_lies_in_flutter_is_taken_away(self, seed):
        """Drawn beat by beat, compared as masks over time: AF or flutter called, outside the reference's flutter."""
        rng = np.random.default_rng(seed)
        reference, test = (
            {int(k): str(rng.choice(["(N", "(AFIB", "(AFL", "(B"])) for k in [0, *rng.integers(1, N, 8)]}
            for _ in range(2)
        )
        af, flutter, called = (
            np.isin(np.repeat(list(notes.values()), np.diff([*notes, N])), wanted)
            for notes, wanted in (
                (dict(sorted(reference.items())), ["(AFIB"]),
                (dict(sorted(reference.items())), ["(AFL"]),
                (dict(sorted(test.items())), ["(AFIB", "(AFL"]),
            )
        )
        told = outcome(dict(sorted(reference.items())), dict(sorted(test.items()))).af
        assert told.reference_s == seconds(af.sum())
        assert told.test_s == seconds((called & ~flutter).sum())
        assert told.test_overlap_s == seconds((called & af).sum())
        assert told.confirmed + told.false == len(true_intervals(called & ~flutter))


def test_silence_of_nothing_changes_nothing():
    test = marks("NVN", {0: "(AFIB"})
    reference = marks("NVN", {0: "(AFIB"})
    assert clear_rhythm(test, flutter_intervals(reference)) is test
    assert compare_episodes(reference, test, FS, kind="AF").missed == 0
