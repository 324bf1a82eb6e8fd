"""Atrial fibrillation and rhythms that resemble it, simulated from a rule and chance, from several seeds."""

from dataclasses import replace
from math import erf, log
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

import ectopy
from ectopy.annotations import read_annotations
from ectopy.beats.detection import detect_beats
from ectopy.beats.windows import WINDOW as SHAPE
from ectopy.beats.windows import BeatWindows
from ectopy.datasets import simulate
from ectopy.ec57.episodes import EpisodeComparison, compare_episodes
from ectopy.model import augmentation
from ectopy.report.data_files import annotations_of
from ectopy.rhythm import atrial_fibrillation
from ectopy.rhythm.atrial_fibrillation import (
    BRIDGE_S,
    WINDOW,
    extend_over_runs,
    find_atrial_fibrillation,
    find_fibrillating_strip,
)
from ectopy.rhythm.events import analyse_rhythm
from ectopy.rhythm.findings import find_findings
from ectopy.signal import rolling
from tests.conftest import database
from tests.handmade import NOTHING_UNREADABLE, analysis_of, beats_of, recording_for

N_BEATS = 600
SEEDS = range(6)
Seconds = NDArray[np.float64]


def spans(
    rr_s: Seconds, labels: ArrayLike = "N", *, penalty: float = 0, shortest_s: float = 30
) -> list[list[int]]:
    """Find the episodes in a rhythm whose first beat comes after the first interval."""
    label = np.broadcast_to(np.asarray(labels), len(rr_s))
    episodes = find_atrial_fibrillation(
        np.cumsum(rr_s),
        np.where(np.arange(len(rr_s)) > 0, rr_s, np.nan),
        label == "V",
        label == "S",
        af_penalty=np.full(len(rr_s), penalty, dtype=np.float32),
        shortest_s=shortest_s,
    )
    return [[int(start), int(stop)] for start, stop in episodes]


def fibrillating(seed: int, *, n: int = N_BEATS, usual_s: float = 0.7, spread: float = 0.2) -> Seconds:
    """Return independent intervals; a spread of 0.1 is regular for fibrillation, 0.3 irregular."""
    rng = np.random.default_rng(seed)
    return np.maximum(usual_s * np.exp(spread * rng.standard_normal(n)), 0.3)


def sinus(seed: int, *, n: int = N_BEATS, usual_s: float = 0.8, depth: float = 0.03) -> Seconds:
    """Return a respiratory arrhythmia of about four beats per breath, by ``depth``, and 1 % of chance."""
    rng = np.random.default_rng(seed)
    cycles = 0.25 * np.exp(0.1 * rng.standard_normal(n)) * np.exp(0.1 * np.sin(np.arange(n) / 20))
    chance = 0.01 * rng.standard_normal(n)
    return np.asarray(usual_s * np.exp(depth * np.sin(2 * np.pi * cycles.cumsum()) + chance))


def with_early_beats(
    rr_s: Seconds, every: NDArray[np.bool_], *, coupling: ArrayLike = 0.65, sum_of_two: float = 2.0
) -> Seconds:
    """Make beats premature; a premature interval and the next one are ``sum_of_two`` usual intervals."""
    early = np.array(every)
    early[[0, -1]] = False
    early &= ~np.append(False, early[:-1])
    factor = np.where(early, coupling, 1.0)
    factor[1:][early[:-1]] = sum_of_two - factor[:-1][early[:-1]]
    return np.asarray(rr_s * factor)


def at_random(seed: int, share: float, n: int = N_BEATS) -> NDArray[np.bool_]:
    return np.random.default_rng(1000 + seed).random(n) < share


whole = [[0, N_BEATS]]


@pytest.mark.parametrize("seed", SEEDS)
class TestFibrillationIsFound:
    @pytest.mark.parametrize("usual_s", [0.4, 0.7, 1.2])
    def test_fast_and_slow(self, seed: int, usual_s: float) -> None:
        assert spans(fibrillating(seed, usual_s=usual_s)) == whole

    @pytest.mark.parametrize("spread", [0.15, 0.3])
    def test_little_and_very_irregular(self, seed: int, spread: float) -> None:
        assert spans(fibrillating(seed, spread=spread)) == whole

    def test_with_a_fifth_of_ventricular_beats(self, seed: int) -> None:
        ventricular = at_random(seed, 0.2)
        rr_s = with_early_beats(fibrillating(seed), ventricular)
        assert spans(rr_s, np.where(ventricular, "V", "N")) == whole

    def test_where_the_classifier_calls_half_of_its_early_beats_supraventricular(self, seed: int) -> None:
        rr_s = fibrillating(seed)
        assert spans(rr_s, np.where((rr_s < 0.85 * 0.7) & at_random(seed, 0.5), "S", "N")) == whole

    def test_where_every_second_beat_is_called_supraventricular(self, seed: int) -> None:
        # Nothing is left without them: then they count.
        assert spans(fibrillating(seed), np.resize(["N", "S"], N_BEATS)) == whole

    def test_with_one_beat_lost_in_fifty(self, seed: int) -> None:
        time_s = fibrillating(seed).cumsum()[~at_random(seed, 0.02)]
        assert spans(np.diff(time_s, prepend=0)) == [[0, len(time_s)]]


def multifocal(seed: int) -> Seconds:
    coupling = np.random.default_rng(seed).uniform(0.5, 0.9, N_BEATS)
    return with_early_beats(sinus(seed), at_random(seed, 0.1), coupling=coupling, sum_of_two=1.9)


def wenckebach(seed: int) -> Seconds:
    """Five conducted beats, their intervals ever shorter, then one that is not."""
    group = 0.7 * np.array([1.15, 1.08, 1.04, 1.02, 1.71])
    return np.resize(group, N_BEATS) * np.exp(0.01 * np.random.default_rng(seed).standard_normal(N_BEATS))


REGULAR_OF_A_KIND = {
    "sinus rhythm": sinus,
    "a rate that runs from 50 to 150": lambda seed: sinus(seed) * np.linspace(1.5, 0.5, N_BEATS),
    "breathing by 20 %": lambda seed: sinus(seed, depth=0.1),
    "breathing by 30 %": lambda seed: sinus(seed, depth=0.15),
    "bigeminy": lambda seed: with_early_beats(sinus(seed), np.arange(N_BEATS) % 2 == 1),
    "trigeminy": lambda seed: with_early_beats(sinus(seed), np.arange(N_BEATS) % 3 == 1),
    "a tenth of early beats": lambda seed: with_early_beats(sinus(seed), at_random(seed, 0.1)),
    "a tenth of early beats of many foci": multifocal,
    "Wenckebach periods": wenckebach,
    "flutter with every second wave conducted": lambda seed: sinus(seed, usual_s=0.4, depth=0.0),
    "every tenth beat blocked": lambda seed: sinus(seed) * np.where(at_random(seed, 0.1), 2, 1),
    "a pause of 2 s now and then": lambda seed: np.where(at_random(seed, 0.03), 2.0, sinus(seed)),
}


@pytest.mark.parametrize("seed", SEEDS)
class TestOtherRhythmsAreNot:
    @pytest.mark.parametrize("name", REGULAR_OF_A_KIND)
    def test_of_no_label_at_all(self, name: str, seed: int) -> None:
        assert spans(REGULAR_OF_A_KIND[name](seed)) == []

    @pytest.mark.parametrize("share", [0.15, 0.3])
    def test_ventricular_beats_however_many(self, share: float, seed: int) -> None:
        ventricular = at_random(seed, share)
        coupling = np.random.default_rng(seed).uniform(0.4, 0.9, N_BEATS)
        rr_s = with_early_beats(sinus(seed), ventricular, coupling=coupling)
        assert spans(rr_s, np.where(ventricular, "V", "N")) == []

    def test_early_beats_of_many_foci_that_the_classifier_knows(self, seed: int) -> None:
        early = at_random(seed, 0.2)
        coupling = np.random.default_rng(seed).uniform(0.5, 0.9, N_BEATS)
        rr_s = with_early_beats(sinus(seed), early, coupling=coupling, sum_of_two=1.9)
        assert spans(rr_s, np.where(early, "S", "N")) == []

    def test_a_beat_in_twenty_lost_and_a_false_one_in_thirty(self, seed: int) -> None:
        time_s = sinus(seed).cumsum()
        false_s = time_s[at_random(seed, 0.033)] + 0.3
        time_s = np.sort(np.concatenate([time_s[~at_random(seed + 100, 0.05)], false_s]))
        assert spans(np.diff(time_s, prepend=0)) == []

    def test_ventricular_beats_alone(self, seed: int) -> None:
        # No interval is left.
        assert spans(fibrillating(seed), "V") == []


class TestEpisodes:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_begin_and_end_within_a_quarter_of_a_window(self, seed: int) -> None:
        rr_s = np.concatenate([sinus(seed, n=200), fibrillating(seed, n=200), sinus(seed + 1, n=200)])
        ((start, stop),) = spans(rr_s)
        assert abs(start - 200) <= WINDOW // 4
        assert abs(stop - 400) <= WINDOW // 4

    def test_last_30_s(self) -> None:
        # 30 beats of 0.7 s are 21 s.
        rr_s = np.concatenate([sinus(0, n=200), fibrillating(0, n=30), sinus(1, n=200)])
        assert spans(rr_s) == []

    def test_of_a_short_strip_take_all_of_it(self) -> None:
        # 30 s, for which the rhythm's rules ask half.
        assert spans(fibrillating(0, n=43), shortest_s=15) == [[0, 43]]

    def test_are_not_called_from_a_dozen_beats(self) -> None:
        assert spans(fibrillating(0, n=12), shortest_s=4) == []

    @pytest.mark.parametrize("n", [0, 1, 2, 3])
    def test_of_hardly_a_beat_there_are_none(self, n: int) -> None:
        assert spans(fibrillating(0, n=n), shortest_s=0) == []

    def test_go_on_across_a_short_stretch_that_cannot_be_read(self) -> None:
        assert spans_around_a_gap(BRIDGE_S - 1) == whole

    def test_end_where_nothing_was_seen_for_long(self) -> None:
        assert spans_around_a_gap(BRIDGE_S + 1) == [[0, 300], [300, N_BEATS]]

    def test_do_not_span_a_night_between_few_beats(self) -> None:
        # 24 beats, an hour without one, 24 beats: too few on either side for a verdict.
        rr_s = np.concatenate([fibrillating(0, n=24), [3600], fibrillating(1, n=23)])
        assert spans(rr_s, shortest_s=10) == []

    def test_do_not_depend_on_where_a_recording_is_cut(self) -> None:
        rr_s = np.concatenate([part for seed in range(4) for part in (sinus(seed), fibrillating(seed))])
        # In the middle of the sinus rhythm after the second episode.
        assert spans(rr_s[: 9 * 300]) + [
            [start + 9 * 300, stop + 9 * 300] for start, stop in spans(rr_s[9 * 300 :])
        ] == spans(rr_s)

    def test_need_more_irregularity_where_the_morphology_speaks_against_them(self) -> None:
        # 1.95 is the penalty of constant P waves.
        assert spans(fibrillating(0, spread=0.15), penalty=0.3) == whole
        assert spans(fibrillating(0, spread=0.15), penalty=1.95) == []


class TestLimits:
    """Evidence of one value, and times on a grid of 1/64 s, which floats hold exactly."""

    def test_an_episode_must_exceed_the_onset_once(self) -> None:
        rr_s = fibrillating(0)
        time_s, none = rr_s.cumsum(), np.zeros(N_BEATS, dtype=bool)
        irregularity = plain_irregularity(time_s, rr_s, none.tolist(), none.tolist())
        for evidence, episodes in [(1.0, []), (1.09, []), (1.11, whole), (2.0, whole)]:
            penalty = (irregularity - evidence).astype(np.float32)
            found = find_atrial_fibrillation(time_s, rr_s, none, none, af_penalty=penalty, shortest_s=30)
            assert found.tolist() == episodes, evidence

    def test_a_gap_of_exactly_15_s_ends_an_episode(self) -> None:
        rr_s = np.round(fibrillating(0) * 64) / 64
        rr_s[300] = 15
        assert spans(rr_s) == [[0, 300], [300, N_BEATS]]
        rr_s[300] = 15 - 1 / 64
        assert spans(rr_s) == whole

    def test_an_interruption_is_measured_from_the_last_beat_to_the_next_episode(self) -> None:
        # A beat a second: beat 19 is the last of the first episode, and 33 and 34 are 14 and 15 s later.
        time_s = np.arange(60.0)
        joined = [
            atrial_fibrillation._join(np.array([[0, 20], [start, 50]]), time_s).tolist() for start in (33, 34)
        ]
        assert joined == [[[0, 50]], [[0, 20], [34, 50]]]

    def test_an_episode_of_exactly_the_shortest_length_counts(self) -> None:
        rr_s = np.round(fibrillating(0, n=60) * 64) / 64
        lasting_s = float(rr_s[1:].sum())
        assert spans(rr_s, shortest_s=lasting_s) == [[0, 60]]
        assert spans(rr_s, shortest_s=lasting_s + 1 / 64) == []


def spans_around_a_gap(gap_s: float) -> list[list[int]]:
    rr_s = fibrillating(0)
    rr_s[300] = gap_s
    return spans(rr_s)


class TestRunsOfEarlyBeats:
    """Beats half a second apart: BRIDGE_S is 30 of them."""

    time_s = np.arange(1000) * 0.5

    def joined(self, spans: ArrayLike, runs: ArrayLike) -> list[list[int]]:
        first, second = (np.array(pairs, dtype=np.intp).reshape(-1, 2) for pairs in (spans, runs))
        return [[int(start), int(stop)] for start, stop in extend_over_runs(first, second, self.time_s)]

    def test_that_go_over_into_fibrillation_or_come_out_of_it_are_of_it(self) -> None:
        assert self.joined([[300, 400]], [[200, 290], [402, 450]]) == [[200, 450]]

    def test_carry_it_on_to_the_next_run(self) -> None:
        assert self.joined([[300, 400]], [[410, 450], [460, 480]]) == [[300, 480]]

    def test_join_two_episodes(self) -> None:
        assert self.joined([[300, 400], [500, 600]], [[405, 495]]) == [[300, 600]]

    def test_within_an_episode_change_nothing(self) -> None:
        assert self.joined([[300, 400]], [[310, 320]]) == [[300, 400]]

    def test_a_quarter_of_a_minute_away_are_a_tachycardia_of_their_own(self) -> None:
        # The last beat of the episode is 399: 15 s later is 429.
        assert self.joined([[300, 400]], [[429, 450]]) == [[300, 400]]
        assert self.joined([[300, 400]], [[428, 450]]) == [[300, 450]]

    def test_without_fibrillation_are_none(self) -> None:
        assert self.joined([], [[100, 200]]) == []


class TestEntropy:
    def test_of_chance_is_how_seldom_one_interval_is_like_another(self) -> None:
        # Two draws of a normal distribution differ by less than t with a chance of erf(t / 2 spread): 0.195.
        expected = -np.log(erf(atrial_fibrillation.TOLERANCE / (2 * 0.2)))
        entropy = atrial_fibrillation.conditional_entropy(fibrillating(0, n=20_000, usual_s=5))
        assert np.median(entropy) == pytest.approx(expected, abs=0.05)

    def test_of_a_metronome_is_almost_0(self) -> None:
        # What is added to the counts leaves 0.001.
        assert np.abs(atrial_fibrillation.conditional_entropy(np.full(100, 0.8))).max() < 0.01

    def test_does_not_depend_on_the_rate(self) -> None:
        rr_s = fibrillating(0, usual_s=5)
        assert atrial_fibrillation.conditional_entropy(rr_s) == pytest.approx(
            atrial_fibrillation.conditional_entropy(1.5 * rr_s)
        )

    def test_is_the_same_forwards_and_backwards_in_time(self) -> None:
        # But for pairs that are counted at their later interval, a third beat further on.
        rr_s = fibrillating(0, n=5_000)
        forwards, backwards = (
            np.median(atrial_fibrillation.conditional_entropy(rr)) for rr in (rr_s, rr_s[::-1])
        )
        assert forwards == pytest.approx(backwards, abs=0.02)


def shapes_of(p_waves: NDArray[np.floating], qrs: NDArray[np.floating]) -> BeatWindows:
    """Return beats [n] with a P wave (by amplitude) and a QRS (with noise), and a second, unreadable lead."""
    n, x = len(p_waves), np.arange(SHAPE)
    windows = np.zeros((n, 2, SHAPE), dtype=np.float16)
    windows[:, 0] = p_waves[:, None] * np.exp(-0.5 * ((x - 14) / 2) ** 2)
    windows[:, 0] += np.exp(-0.5 * ((x - 30) / 1.5) ** 2)
    windows[:, 0, 22:40] += qrs[:, :18]
    readable = np.tile([True, False], (n, 1))
    ones = np.ones((n, 2), dtype=np.float32)
    return BeatWindows(np.arange(n) * 160, windows, ones, readable, np.zeros(n, dtype=bool))


def plain_entropy(rr_s: Seconds) -> list[float]:
    """Compute the conditional entropy with loops, from the description of the method alone."""
    n = len(rr_s)
    # Whether each interval is like that of so many beats before.
    alike = [
        [lag <= later and abs(log(rr_s[later] / rr_s[later - lag])) < 0.07 for lag in range(13)]
        for later in range(n)
    ]
    entropy = []
    for middle in range(n):
        singles, triples = [], []
        # 33 intervals; a pair counts half of the 12 lags before its later interval.
        for later in range(max(middle - 16 + 6, 0), min(middle + 16 + 6, n - 1) + 1):
            for lag in range(1, 13):
                if later - lag >= 0:
                    singles.append(alike[later][lag])
                if later - lag >= 2:
                    triples.append(all(alike[later - back][lag] for back in range(3)))
        one = (sum(singles) + 1) / (len(singles) + 1)
        three = (sum(triples) + 0.25) / (len(triples) + 1)
        entropy.append(0.5 * float(np.log(one / three)) if len(triples) >= 150 else 0.0)
    return entropy


def plain_irregularity(time_s: Seconds, rr_s: Seconds, ventricular: list[bool], early: list[bool]) -> Seconds:
    """Compute the irregularity around each beat with loops."""
    n = len(time_s)

    def allowed(ectopic: list[bool]) -> list[bool]:
        return [not ectopic[beat] and not (beat and ectopic[beat - 1]) for beat in range(n)]

    def around(usable: list[int]) -> Seconds:
        values = np.zeros(n)
        if len(usable) <= 12:
            return values
        entropy = plain_entropy(rr_s[usable])
        for beat in range(n):
            nearest = int(np.argmin(np.abs(np.array(usable) - beat)))
            first, last = max(nearest - 22, 0), min(nearest + 22, len(usable) - 1)
            close = abs(time_s[usable[nearest]] - time_s[beat]) < 15
            if close and time_s[usable[last]] - time_s[usable[first]] < 180:
                values[beat] = entropy[nearest]
        return values

    plausible = [0.2 < rr < 3 for rr in rr_s]
    usable = [p and v for p, v in zip(plausible, allowed(ventricular), strict=True)]
    on_time = [u and e for u, e in zip(usable, allowed(early), strict=True)]
    with_early, without_early = (around(np.flatnonzero(mask).tolist()) for mask in (usable, on_time))
    for beat in range(n):
        window = slice(max(beat - 16, 0), beat + 17)
        if sum(on_time[window]) * 4 > sum(usable[window]):
            with_early[beat] = min(with_early[beat], without_early[beat])
    return with_early


def plain_spans(evidence: Seconds, time_s: Seconds, shortest_s: float) -> list[list[int]]:
    """Find the episodes from the evidence with loops."""
    n = len(time_s)
    linked = [False] * n  # to the beat before
    last = -1
    beat = 0
    while beat < n:
        stop = beat
        while stop < n and evidence[stop] > 0.75:
            stop += 1
        if stop > beat and max(evidence[beat:stop]) > 1.1:
            first = max(beat - 10, 0)
            begin = last if last >= 0 and time_s[first] - time_s[last] < 15 else first
            last = min(stop + 10, n) - 1
            for linked_beat in range(begin + 1, last + 1):
                linked[linked_beat] = time_s[linked_beat] - time_s[linked_beat - 1] < 15
        beat = stop + 1
    spans: list[list[int]] = []
    for beat in range(1, n):
        if linked[beat] and spans and spans[-1][1] == beat:
            spans[-1][1] = beat + 1
        elif linked[beat]:
            spans.append([beat - 1, beat + 1])
    return [[start, stop] for start, stop in spans if time_s[stop - 1] - time_s[start] >= shortest_s]


def mixed_rhythm(seed: int) -> tuple[Seconds, NDArray[np.str_]]:
    """Sinus rhythm and fibrillation in turns, with ectopic beats of both origins, gaps and artefacts."""
    rng = np.random.default_rng(seed)
    parts = [
        make(seed + part, n=int(rng.integers(20, 90)))
        for part, make in enumerate((sinus, fibrillating, sinus, fibrillating, sinus, fibrillating))
    ]
    rr_s = np.concatenate(parts)
    label = rng.choice(list("NSV"), size=len(rr_s), p=[0.8, 0.12, 0.08])
    label[: len(parts[0])] = np.where(rng.random(len(parts[0])) < 0.4, "S", "N")
    rr_s[rng.choice(len(rr_s), 6, replace=False)] = [0.15, 0.2, 3.0, 3.5, 14.0, 16.0]
    return rr_s, label


class TestAgainstAPlainComputation:
    """Loops without windows, from the description of the method and its numbers."""

    @pytest.mark.parametrize("seed", range(4))
    def test_the_entropy_of_every_interval_is_that_of_counted_pairs(self, seed: int) -> None:
        rr_s = np.concatenate([sinus(seed, n=45), fibrillating(seed, n=50), sinus(seed, n=25)])
        entropy = atrial_fibrillation.conditional_entropy(rr_s)
        assert entropy == pytest.approx(plain_entropy(rr_s), abs=1e-9)
        assert np.ptp(entropy) > 1

    @pytest.mark.parametrize("n", [13, 21, 22, 23, 24, 40])
    def test_a_result_needs_150_pairs(self, n: int) -> None:
        rr_s = fibrillating(1, n=n)
        assert atrial_fibrillation.conditional_entropy(rr_s) == pytest.approx(plain_entropy(rr_s), abs=1e-9)

    def test_chunks_have_that_of_the_whole(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rr_s = fibrillating(0)
        whole = atrial_fibrillation.conditional_entropy(rr_s)
        monkeypatch.setattr(atrial_fibrillation, "_CHUNK", 70)
        np.testing.assert_array_equal(atrial_fibrillation.conditional_entropy(rr_s), whole)

    @pytest.mark.parametrize("at_once", [1, 7, 100])
    @pytest.mark.parametrize("seed", range(4))
    def test_parts_of_the_beats_have_the_irregularity_of_the_whole(
        self, seed: int, at_once: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rr_s, label = mixed_rhythm(seed)
        rr_s[100:140] = 5.0  # the nearest interval that is used is in another part
        beats = rr_s.cumsum(), rr_s, label == "V", label == "S"
        whole = atrial_fibrillation._irregularity(*beats)
        monkeypatch.setattr(rolling, "_AT_ONCE", at_once)
        np.testing.assert_array_equal(atrial_fibrillation._irregularity(*beats), whole)
        assert np.ptp(whole) > 0.5

    @pytest.mark.parametrize("rr_s", [0.2, 3.0])
    def test_intervals_of_exactly_200_ms_and_3_s_are_left_out(self, rr_s: float) -> None:
        # All others are left: fibrillation with every tenth interval replaced.
        rhythm = np.where(np.arange(200) % 10 == 5, rr_s, fibrillating(2, n=200))
        time_s, none = rhythm.cumsum(), np.zeros(200, dtype=bool)
        expected = plain_irregularity(time_s, rhythm, none.tolist(), none.tolist())
        # A penalty of what loops find leaves evidence of 0.8 everywhere, and 1.2 at one beat of the middle.
        penalty = (expected - np.where(np.arange(200) == 100, 1.2, 0.8)).astype(np.float32)
        episodes = find_atrial_fibrillation(time_s, rhythm, none, none, af_penalty=penalty, shortest_s=30)
        assert episodes.tolist() == [[0, 200]]

    @pytest.mark.no_cover  # the loops are slow
    @pytest.mark.parametrize("seed", range(8))
    def test_episodes_are_those_of_loops(self, seed: int) -> None:
        rr_s, label = mixed_rhythm(seed)
        time_s = rr_s.cumsum()
        rr_s[0] = np.nan
        penalty = np.where(np.arange(len(rr_s)) % 100 < 80, 0.0, 0.4).astype(np.float32)
        ventricular, early = label == "V", label == "S"
        irregularity = plain_irregularity(time_s, rr_s, ventricular.tolist(), early.tolist())
        for shortest_s in (10.0, 30.0):
            spans_found = find_atrial_fibrillation(
                time_s, rr_s, ventricular, early, af_penalty=penalty, shortest_s=shortest_s
            )
            assert spans_found.tolist() == plain_spans(irregularity - penalty, time_s, shortest_s), shortest_s

    def test_the_mixed_rhythms_have_episodes_of_several_numbers(self) -> None:
        numbers = set()
        for seed in range(8):
            rr_s, label = mixed_rhythm(seed)
            numbers.add(len(spans(rr_s, label, shortest_s=10)))
        assert len(numbers) > 2

    def test_the_penalty_is_that_of_loops(self) -> None:
        rng = np.random.default_rng(5)
        n = 90
        shapes = shapes_of(0.1 + 0.05 * rng.standard_normal(n), 0.6 * rng.standard_normal((n, 18)))
        sample = np.cumsum(rng.choice([90, 100, 101, 160], n))
        readable = np.column_stack((rng.random(n) < 0.9, rng.random(n) < 0.3))
        shapes = replace(shapes, sample=sample, readable=readable)
        shapes.signal[:, 0, :19] += 0.03 * rng.standard_normal((n, 19))
        shapes.signal[:, 1] = rng.standard_normal((n, SHAPE))
        ventricular = rng.random(n) < 0.1
        # The first beat counts: no beat before it, so no T wave.
        readable[0, 0], ventricular[0] = True, False
        penalty = atrial_fibrillation.af_penalty_from_morphology(shapes, ventricular)
        assert penalty == pytest.approx(plain_penalty(shapes, ventricular), abs=1e-3)
        assert np.ptp(penalty) > 0.1


def plain_penalty(shapes: BeatWindows, ventricular: NDArray[np.bool_]) -> list[float]:
    """Compute the penalty of the morphology with loops over beats and leads."""
    n = len(shapes)
    # 300 to 120 ms before the R peak at sample 30 of a window at 100 Hz, and 80 ms to either side of it.
    p_wave, qrs = slice(0, 19), slice(22, 39)

    def flat(wave: Seconds) -> Seconds:
        x = np.linspace(-1, 1, len(wave))
        wave = wave - wave.mean()
        return np.asarray(wave - x * (x @ wave) / (x @ x))

    def correlations(lead: int, part: slice, usable: list[bool]) -> list[float]:
        """Return the correlation of each usable beat with the sum of its own neighbours; 0 of the others."""
        waves = [flat(shapes.signal[beat, lead, part].astype(float)) for beat in range(n)]
        values = []
        for beat, wave in enumerate(waves):
            neighbours = [
                waves[other]
                for other in range(max(beat - 16, 0), min(beat + 16, n - 1) + 1)
                if usable[other] and other != beat
            ]
            others = np.sum(neighbours, axis=0) if neighbours else np.zeros(len(wave))
            alike = float(wave @ others) / float(np.linalg.norm(wave) * np.linalg.norm(others) + 1e-6)
            values.append(alike if usable[beat] else 0.0)
        return values

    def around(beat: int, values: list[float], usable: list[bool], min_share: float) -> float:
        """Return the mean of the usable beats around one, of which there must be enough."""
        near = slice(max(beat - 16, 0), beat + 17)
        return sum(values[near]) / 33 / max(sum(usable[near]) / 33, min_share)

    leads = []
    for lead in range(2):
        usable = [bool(shapes.readable[beat, lead] and not ventricular[beat]) for beat in range(n)]
        # A P wave needs an RR interval of more than 0.5 s before its beat: 100 samples.
        after_t = [
            usable[beat] and (beat == 0 or shapes.sample[beat] - shapes.sample[beat - 1] > 100)
            for beat in range(n)
        ]
        leads.append((correlations(lead, p_wave, after_t), after_t, correlations(lead, qrs, usable), usable))
    penalty = []
    for beat in range(n):
        p = max(around(beat, of_p, after_t, 1 / 4) for of_p, after_t, _, _ in leads)
        alike = max(around(beat, of_qrs, usable, 1 / 33) for _, _, of_qrs, usable in leads)
        penalty.append(3 * max(p - 0.35, 0) + 4 * max(0.75 - alike, 0))
    return penalty


class TestPenaltyFromMorphology:
    rng = np.random.default_rng(0)
    nothing = np.zeros((200, 18))
    none = np.zeros(200, dtype=bool)

    def test_constant_p_waves_rule_fibrillation_out(self) -> None:
        penalty = atrial_fibrillation.af_penalty_from_morphology(
            shapes_of(np.full(200, 0.1), self.nothing), self.none
        )
        # Their correlation is 1.
        assert penalty == pytest.approx(np.full(200, (1 - 0.35) * 3), abs=0.02)

    def test_a_wave_before_fast_beats_may_be_the_t_wave_before(self) -> None:
        # 100 samples at 200 Hz are 0.5 s.
        shapes = shapes_of(np.full(200, 0.1), self.nothing)
        fast, slow = (replace(shapes, sample=np.arange(200) * step) for step in (100, 101))
        assert not atrial_fibrillation.af_penalty_from_morphology(fast, self.none)[1:].any()
        assert atrial_fibrillation.af_penalty_from_morphology(slow, self.none).min() > 1.9

    def test_waves_of_any_sign_do_not(self) -> None:
        fibrillatory = self.rng.standard_normal(200) * 0.1
        assert not atrial_fibrillation.af_penalty_from_morphology(
            shapes_of(fibrillatory, self.nothing), self.none
        ).any()

    def test_beats_that_are_not_alike_are_likely_noise(self) -> None:
        noise = 2 * self.rng.standard_normal((200, 18))
        assert (
            atrial_fibrillation.af_penalty_from_morphology(shapes_of(np.zeros(200), noise), self.none).min()
            > 1
        )

    def test_ventricular_beats_are_left_out(self) -> None:
        # Two of three have something where a P wave would be.
        ventricular = np.arange(200) % 3 > 0
        shapes = shapes_of(0.3 * ventricular, self.nothing)
        assert atrial_fibrillation.af_penalty_from_morphology(shapes, self.none)[100] == pytest.approx(
            (2 / 3 - 0.35) * 3, abs=0.02
        )
        assert not atrial_fibrillation.af_penalty_from_morphology(shapes, ventricular).any()

    def test_only_ventricular_beats_have_the_greatest_penalty_of_qrs(self) -> None:
        shapes = shapes_of(np.zeros(200), self.nothing)
        assert atrial_fibrillation.af_penalty_from_morphology(shapes, ~self.none).min() == 3.0  # 4 times 0.75

    def test_chunks_of_any_length_have_the_same_penalty(self, monkeypatch: pytest.MonkeyPatch) -> None:
        shapes = shapes_of(self.rng.uniform(0, 0.1, 200), self.rng.standard_normal((200, 18)))
        at_once = atrial_fibrillation.af_penalty_from_morphology(shapes, self.none)
        monkeypatch.setattr(atrial_fibrillation, "_CHUNK", 37)
        assert atrial_fibrillation.af_penalty_from_morphology(shapes, self.none) == pytest.approx(
            at_once, abs=1e-5
        )

    def test_no_beats_no_penalty(self) -> None:
        shapes = shapes_of(np.zeros(0), np.zeros((0, 18)))
        assert atrial_fibrillation.af_penalty_from_morphology(shapes, np.zeros(0, dtype=bool)).shape == (0,)


def test_augmented_patients_fibrillate_or_breathe_as_intended() -> None:
    # Respiratory arrhythmia keeps its P waves; fibrillation has none.
    rng = np.random.default_rng(3)
    patient = replace(simulate.draw_patient(rng), episodes_per_1000={}, af_share=0.0, noise=simulate.NO_NOISE)
    recording = simulate.simulate(patient, minutes=6, rng=rng).recording
    shapes = detect_beats(recording, (0, 1)).windows
    label = np.full(len(shapes), "N")
    augmented = {
        "fibrillates": augmentation.simulate_af(shapes, label, rng)[0],
        "breathes": augmentation.add_respiratory_arrhythmia(shapes, label, rng)[0],
    }
    none = np.zeros(len(shapes), dtype=bool)
    penalty = {
        name: np.median(atrial_fibrillation.af_penalty_from_morphology(windows, none))
        for name, windows in augmented.items()
    }
    assert penalty["fibrillates"] == 0
    assert penalty["breathes"] > 0.5


def compare(mitdb: Path, record: str) -> EpisodeComparison:
    analysis = ectopy.analyse(mitdb / record)
    reference = read_annotations(mitdb / record, "atr")
    return compare_episodes(
        reference, annotations_of(analysis), analysis.fs, kind="AF", n_samples=analysis.n_samples
    )


@pytest.mark.real
def test_fibrillation_of_record_201_is_found(mitdb: Path) -> None:
    # DS1, on which the limits were chosen: of its three episodes, 306 s after the learning period, two are found.
    # The one of 37 s is missed since 0.3: the network calls few of its early beats S, so that no run of them
    # lies beside it. 75 s with a beat early in two are called too.
    episodes = compare(mitdb, "201")
    assert (episodes.found, episodes.missed, episodes.false) == (2, 1, 1)
    assert episodes.reference_overlap_s / episodes.reference_s > (306 - 37) / 306 - 0.01


@pytest.mark.real
@pytest.mark.parametrize("record", ["108", "115", "119", "124", "207", "209", "220", "223"])
def test_the_least_regular_records_of_ds1_without_fibrillation_have_none(mitdb: Path, record: str) -> None:
    # 115 breathes by 20 %, 119 has bigeminy, 209 and 220 early beats in runs, 207 and 223 much of everything.
    assert [event for event in ectopy.analyse(mitdb / record).events if event.kind == "af"] == []


@pytest.mark.real
@pytest.mark.parametrize("record", ["118e00", "118e_6", "119e00", "119e_6"])
def test_noise_as_strong_as_the_signal_is_no_fibrillation(nstdb: Path, record: str) -> None:
    assert [event for event in ectopy.analyse(nstdb / record).events if event.kind == "af"] == []


def windows_of(rr_s: Seconds, *, p_wave: bool, seed: int = 0) -> BeatWindows:
    """Return windows of one lead with one QRS complex each, with the same P wave or with waves of chance."""
    rng, n = np.random.default_rng(seed), len(rr_s)
    at = np.arange(SHAPE)
    shape = np.exp(-0.5 * ((at - 30) / 2) ** 2) + np.zeros((n, 1, 1))
    before = 0.15 * np.exp(-0.5 * ((at - 14) / 2) ** 2) if p_wave else 0
    drifting = np.cumsum(rng.standard_normal((n, 1, SHAPE)), axis=2) * 0.03
    signal = shape + (before + 0.005 * rng.standard_normal((n, 1, SHAPE)) if p_wave else drifting)
    sample = np.round(200 * np.cumsum(rr_s)).astype(np.int64)
    return BeatWindows(
        sample,
        signal.astype(np.float16),
        np.ones((n, 2), dtype=np.float32),
        np.tile([True, False], (n, 1)),
        np.zeros(n, dtype=bool),
    )


@pytest.mark.parametrize("seed", SEEDS)
class TestStrips:
    """Ten seconds have a dozen beats, which are too few for the entropy of a window."""

    @staticmethod
    def fibrillates(
        rr_s: Seconds, *, p_wave: bool, ventricular: ArrayLike = False, early: ArrayLike = False
    ) -> bool:
        known = np.where(np.arange(len(rr_s)) > 0, rr_s, np.nan)
        is_v = np.broadcast_to(np.asarray(ventricular), len(rr_s))
        early = np.broadcast_to(np.asarray(early), len(rr_s))
        shapes = windows_of(rr_s, p_wave=p_wave)
        return bool(len(find_fibrillating_strip(np.cumsum(rr_s), known, is_v, early, shapes)))

    def test_irregular_without_a_p_wave_is_fibrillation(self, seed: int) -> None:
        assert self.fibrillates(fibrillating(seed, n=14), p_wave=False)

    def test_irregular_with_one_p_wave_is_not(self, seed: int) -> None:
        assert not self.fibrillates(fibrillating(seed, n=14, spread=0.12), p_wave=True)

    def test_regular_without_a_p_wave_is_not(self, seed: int) -> None:
        assert not self.fibrillates(sinus(seed, n=14), p_wave=False)

    def test_a_strip_of_few_intervals_between_ventricular_beats_is_not(self, seed: int) -> None:
        every_third = np.arange(14) % 3 == 0
        assert not self.fibrillates(fibrillating(seed, n=14), p_wave=False, ventricular=every_third)

    def test_early_beats_in_a_regular_rhythm_are_not(self, seed: int) -> None:
        early = np.isin(np.arange(24), (4, 8, 15, 19))
        rr_s = with_early_beats(sinus(seed, n=24), early)
        assert not self.fibrillates(rr_s, p_wave=False, early=early)

    def test_it_ends_at_a_long_interval(self, seed: int) -> None:
        rr_s = fibrillating(seed, n=30)
        rr_s[20] = 8.0
        known = np.where(np.arange(30) > 0, rr_s, np.nan)
        none = np.zeros(30, dtype=bool)
        shapes = windows_of(rr_s, p_wave=False)
        found = find_fibrillating_strip(np.cumsum(rr_s), known, none, none, shapes)
        assert found.tolist() == [[0, 20], [20, 30]]


def test_a_strip_is_said_to_be_shorter_than_the_definition() -> None:
    beats = beats_of("N" * 14, fibrillating(0, n=14))
    windows = windows_of(np.nan_to_num(beats.rr_s, nan=0.7), p_wave=False)
    analysis = analyse_rhythm(beats, duration_s=12.0, unreadable=NOTHING_UNREADABLE, windows=windows)
    assert [(event.kind, event.n_beats) for event in analysis.events if event.kind == "af"] == [("af", 14)]
    recording = recording_for(beats, 1200)
    found = find_findings(replace(analysis_of(recording, beats), events=analysis.events))
    assert "shorter than 30 s (record longer to confirm)" in found[0].text
    longer = analyse_rhythm(beats, duration_s=70.0, unreadable=NOTHING_UNREADABLE, windows=windows)
    assert not [event for event in longer.events if event.kind == "af"]


@pytest.mark.real
def test_strips_of_ludb_in_fibrillation_are_called_and_those_in_sinus_rhythm_are_not() -> None:
    called = {
        name: any(event.kind == "af" for event in ectopy.analyse(database("ludb") / "data" / name).events)
        for name in ("109", "129", "51", "11", "13", "15", "17", "19")
    }
    assert called == dict.fromkeys(("109", "129", "51"), True) | dict.fromkeys(
        ("11", "13", "15", "17", "19"), False
    )
