"""Sinus tachycardia rises over tens of seconds; a supraventricular tachycardia begins within a few beats."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ectopy.beats.windows import BEFORE_S, N_LEADS, WINDOW, WINDOW_FS, BeatWindows
from ectopy.ecg import Beats
from ectopy.rhythm.events import analyse_rhythm
from ectopy.rhythm.tachycardia import name_wide_runs, settle_tachycardia
from ectopy.signal import rolling
from tests.handmade import beats_of, events_of, fibrillating_rr_s

SINUS_S = 0.8


def around(n: int, rr_s: float, seed: int = 0) -> NDArray[np.float64]:
    """Return regular RR intervals with the variation of a quiet sinus rhythm, 2 %."""
    return np.asarray(rr_s * np.exp(0.02 * np.random.default_rng(seed).standard_normal(n)))


def paroxysm(n: int, rr_s: float = 0.4, usual_s: float = SINUS_S) -> NDArray[np.float64]:
    """Return 40 sinus beats, ``n`` beats of a tachycardia, and 40 sinus beats."""
    return np.concatenate([around(40, usual_s, 1), around(n, rr_s, 2), around(40, usual_s, 3)])


def exercise(rising: int, fastest_s: float = 0.36) -> NDArray[np.float64]:
    """Return a sinus rhythm whose rate rises over ``rising`` beats, stays, and falls again."""
    rise = np.linspace(np.log(SINUS_S), np.log(fastest_s), rising)
    rr_s = np.exp(np.concatenate([rise, np.full(200, np.log(fastest_s)), rise[::-1]]))
    return np.asarray(rr_s * np.exp(0.01 * np.random.default_rng(0).standard_normal(len(rr_s))))


def settled(letters: str, rr_s: NDArray[np.float64]) -> str:
    beats = beats_of(letters, rr_s)
    return "".join(settle_tachycardia(beats, beats.rr_s).label)


def kinds_in(letters: str, rr_s: NDArray[np.float64]) -> set[str]:
    return {event.kind for event in events_of(beats_of(letters, rr_s))}


class TestParoxysm:
    @pytest.mark.parametrize("bpm", range(110, 231, 10))
    def test_fast_beats_between_two_sudden_steps_are_supraventricular(self, bpm: int) -> None:
        found = settled("N" * 120, paroxysm(40, 60 / bpm))

        assert found[38:82].strip("N").count("S") >= 38
        assert set(found[:36] + found[84:]) == {"N"}

    def test_it_becomes_one_run(self) -> None:
        events = events_of(beats_of("N" * 130, paroxysm(50)))

        assert [event.kind for event in events] == ["sv_run"]
        assert abs(events[0].n_beats - 50) <= 2

    def test_it_may_last_until_the_end_of_the_recording(self) -> None:
        assert settled("N" * 90, paroxysm(50)[:90])[-40:] == "S" * 40

    def test_ventricular_beats_in_it_stay_ventricular(self) -> None:
        letters = "N" * 55 + "V" + "N" * 74

        found = settled(letters, paroxysm(50))

        assert found[55] == "V"
        assert found[50:55] == found[57:62] == "SSSSS"

    def test_a_late_beat_in_it_is_no_part_of_it(self) -> None:
        rr_s = paroxysm(50)
        rr_s[60] = 0.9

        found = settled("N" * 130, rr_s)

        assert found[60] == "N"
        assert found[61] == "S"

    def test_five_beats_are_left_to_the_network(self) -> None:
        assert settled("N" * 85, paroxysm(5)) == "N" * 85

    def test_a_rate_below_100_is_no_tachycardia(self) -> None:
        assert settled("N" * 120, paroxysm(40, 0.66, usual_s=1.0)) == "N" * 120

    def test_regular_beats_after_an_irregular_rhythm_are_left(self) -> None:
        rr_s = np.concatenate([fibrillating_rr_s(60, 0.75), around(40, 0.42), fibrillating_rr_s(60, 0.75)])

        assert settled("N" * 160, rr_s) == "N" * 160

    def test_normal_and_supraventricular_probabilities_change_places(self) -> None:
        beats = beats_of("N" * 120, paroxysm(40))
        beats.probability[:] = (0.7, 0.1, 0.15, 0.05)

        changed = settle_tachycardia(beats, beats.rr_s)

        assert changed.probability[60].tolist() == pytest.approx([0.1, 0.7, 0.15, 0.05])
        assert changed.probability[10].tolist() == pytest.approx([0.7, 0.1, 0.15, 0.05])


@pytest.mark.parametrize("at_once", [1, 7, 50])
def test_parts_of_the_beats_are_settled_as_the_whole(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rr_s = np.concatenate([paroxysm(40, 60 / bpm) for bpm in range(110, 231, 20)])
    letters = "".join(np.random.default_rng(0).choice(list("NNNNNNNSSV"), len(rr_s)))
    whole = settled(letters, rr_s)
    monkeypatch.setattr(rolling, "_AT_ONCE", at_once)
    assert settled(letters, rr_s) == whole
    assert settled("N" * len(rr_s), rr_s).count("S") > 200


class TestSinusTachycardia:
    @pytest.mark.parametrize("rising", [40, 80, 200, 600])
    def test_a_rate_that_rises_slowly_is_sinus_whatever_the_network_says(self, rising: int) -> None:
        rr_s = exercise(rising)
        letters = "N" * rising + "S" * 200 + "N" * rising

        assert settled(letters, rr_s) == "N" * len(rr_s)

    def test_exercise_gives_no_supraventricular_run(self) -> None:
        rr_s = exercise(300)
        letters = "N" * 200 + "S" * 400 + "N" * 200

        assert "sv_run" not in kinds_in(letters, rr_s)

    def test_single_premature_beats_during_exercise_stay(self) -> None:
        rr_s = exercise(100)
        rr_s[200] *= 0.65
        letters = "N" * 200 + "S" + "N" * (len(rr_s) - 201)

        assert settled(letters, rr_s).count("S") == 1

    def test_a_run_that_begins_suddenly_stays(self) -> None:
        letters = "N" * 40 + "S" * 20 + "N" * 40

        assert settled(letters, paroxysm(20)) == letters

    def test_runs_between_single_late_beats_stay(self) -> None:
        # Sick sinus syndrome: most beats are of atrial runs, so that the median RR is theirs.
        letters = ("N" + "S" * 9) * 12
        rr_s = np.where(np.array(list(letters)) == "N", 1.4, 0.5)

        assert settled(letters, rr_s) == letters

    def test_three_beats_in_time_are_no_run(self) -> None:
        letters = "N" * 50 + "S" * 3 + "N" * 50

        assert settled(letters, around(103, 0.55)) == "N" * 103

    def test_three_early_beats_are_a_run_at_any_rate(self) -> None:
        rr_s = around(103, 0.55)
        rr_s[50:53] = 0.4
        letters = "N" * 50 + "S" * 3 + "N" * 50

        assert settled(letters, rr_s) == letters

    def test_a_couplet_is_left_to_the_network(self) -> None:
        letters = "N" * 50 + "S" * 2 + "N" * 50

        assert settled(letters, around(102, 0.55)) == letters


class TestAnyRhythm:
    def test_nothing_changes_in_a_few_beats(self) -> None:
        assert settled("NSN", np.array([0.8, 0.4, 0.9])) == "NSN"

    def test_no_beats_are_no_problem(self) -> None:
        beats = beats_of("", np.empty(0))

        assert len(settle_tachycardia(beats, beats.rr_s)) == 0

    @settings(deadline=None)
    @given(
        letters=st.text(alphabet="NSV", min_size=12, max_size=200),
        seed=st.integers(0, 2**32 - 1),
    )
    def test_only_normal_and_supraventricular_beats_change(self, letters: str, seed: int) -> None:
        rr_s = np.random.default_rng(seed).choice([0.3, 0.4, 0.6, 0.8, 1.1, 2.5], len(letters))
        before = beats_of(letters, rr_s)

        after = settle_tachycardia(before, before.rr_s)

        changed = before.label != after.label
        assert set(before.label[changed]) <= {"N", "S"}
        assert np.allclose(after.probability.sum(axis=1), 1)
        assert np.array_equal(after.label, most_likely(after))


def most_likely(beats: Beats) -> NDArray[np.str_]:
    return np.asarray(np.array(list("NSVF"))[beats.probability.argmax(axis=1)])


def windows_for(letters: str, *, wide: str = "", readable: bool = True) -> BeatWindows:
    """Return a narrow QRS for each letter, and a wide inverted one for the letters in ``wide``."""
    time_s = np.arange(WINDOW) / WINDOW_FS - BEFORE_S
    narrow, other = np.exp(-0.5 * (time_s / 0.012) ** 2), -np.exp(-0.5 * ((time_s - 0.03) / 0.05) ** 2)
    shapes = np.array([other if letter in wide else narrow for letter in letters])
    signal = np.repeat(shapes[:, None], N_LEADS, axis=1).astype(np.float16)
    ones = np.ones((len(letters), N_LEADS), dtype=np.float32)
    return BeatWindows(
        np.arange(len(letters)),
        signal,
        ones,
        ones.astype(bool) & readable,
        np.zeros(len(letters), dtype=bool),
    )


def named(letters: str, rr_s: NDArray[np.float64], windows: BeatWindows) -> str:
    beats = beats_of(letters, rr_s)
    return "".join(name_wide_runs(beats, beats.rr_s, windows).label)


class TestWideRuns:
    LETTERS = "N" * 40 + "S" * 30 + "N" * 40

    def test_a_tachycardia_of_another_qrs_is_ventricular(self) -> None:
        found = named(self.LETTERS, paroxysm(30), windows_for(self.LETTERS, wide="S"))

        assert found == self.LETTERS.replace("S", "V")

    def test_one_of_the_usual_qrs_is_supraventricular(self) -> None:
        assert named(self.LETTERS, paroxysm(30), windows_for(self.LETTERS)) == self.LETTERS

    def test_a_slow_run_keeps_its_name(self) -> None:
        rr_s = paroxysm(30, rr_s=0.75)

        assert named(self.LETTERS, rr_s, windows_for(self.LETTERS, wide="S")) == self.LETTERS

    def test_single_beats_and_couplets_keep_their_name(self) -> None:
        letters = "N" * 40 + "S" + "N" * 20 + "SS" + "N" * 40
        rr_s = np.where(np.array(list(letters)) == "S", 0.4, 0.8)

        assert named(letters, rr_s, windows_for(letters, wide="S")) == letters

    def test_without_normal_beats_before_it_nothing_is_usual(self) -> None:
        letters = "S" * 30 + "N" * 40

        assert named(letters, around(70, 0.4), windows_for(letters, wide="S")) == letters

    def test_a_few_normal_beats_among_ventricular_ones_are_not_usual(self) -> None:
        letters = "VVVVVN" * 12 + "S" * 30 + "N" * 20
        rr_s = np.where(np.array(list(letters)) == "S", 0.4, 0.9)

        assert named(letters, rr_s, windows_for(letters, wide="S")) == letters

    def test_where_no_lead_is_readable_nothing_is_said(self) -> None:
        windows = windows_for(self.LETTERS, wide="S", readable=False)

        assert named(self.LETTERS, paroxysm(30), windows) == self.LETTERS

    def test_noise_of_a_tenth_of_the_signal_changes_nothing(self) -> None:
        for wide in ("", "S"):
            windows = windows_for(self.LETTERS, wide=wide)
            noise = 0.1 * np.random.default_rng(0).standard_normal(windows.signal.shape)
            noisy = replace(windows, signal=(windows.signal + noise).astype(np.float16))

            assert ("V" in named(self.LETTERS, paroxysm(30), noisy)) == bool(wide)

    def test_normal_beats_that_the_network_missed_become_ventricular_in_the_end(self) -> None:
        letters = "N" * 110
        beats = beats_of(letters, paroxysm(30))
        windows = windows_for(self.LETTERS, wide="S")

        rhythm = analyse_rhythm(
            beats, duration_s=3600, unreadable=np.empty((0, 2), dtype=np.int64), windows=windows
        )

        assert {"vt"} <= {event.kind for event in rhythm.events}
        assert np.count_nonzero(rhythm.beats.label == "V") >= 29
