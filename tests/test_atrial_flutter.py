"""Atrial flutter, told from fibrillation by the waves between the beats; all signals are drawn, some from chance."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

import ectopy
from ectopy.beats.windows import BeatWindows, cut_windows
from ectopy.ecg import Event
from ectopy.report.statistics import recording_stats, stats
from ectopy.rhythm import atrial_flutter
from ectopy.rhythm.atrial_flutter import FLUTTER_ONSET, find_atrial_flutter, regularity_of_waves
from ectopy.rhythm.events import RhythmAnalysis, analyse_rhythm
from ectopy.rhythm.findings import find_findings
from ectopy.rhythm.named_intervals import named_intervals
from ectopy.signal.filters import WORKING_FS, bandpass
from tests.conftest import database
from tests.handmade import NOTHING_UNREADABLE, analysis_of, beats_of, recording_for

SEEDS = range(4)
Floats = NDArray[np.float64]
Windows = tuple[Floats, BeatWindows]


def sawtooth(time_s: Floats, per_min: ArrayLike, height: float = 0.1) -> Floats:
    """Return flutter waves, which fall slowly and rise fast; their rate may change from sample to sample."""
    cycles = np.cumsum(np.broadcast_to(per_min, time_s.shape)) / 60 / WORKING_FS
    return height * np.asarray(sum(np.sin(2 * np.pi * k * cycles) / k for k in (1, 2, 3)))


def fibrillating(time_s: Floats, seed: int, height: float = 0.1) -> Floats:
    """Return waves of fibrillation: chance between 4 and 9 Hz."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(len(time_s)))
    hz = np.fft.rfftfreq(len(time_s), 1 / WORKING_FS)
    waves = np.fft.irfft(np.where((hz > 4) & (hz < 9), spectrum, 0), len(time_s))
    return np.asarray(height * waves / waves.std())


def conducted(per_min: float, seed: int, seconds: float = 90) -> Floats:
    """Return the times of beats after every second to fifth wave, each with its own delay, as in Wenckebach."""
    rng = np.random.default_rng(seed)
    block = rng.integers(2, 6, round(seconds * per_min / 60 / 2))
    at_s = np.cumsum(block) * 60 / per_min + rng.uniform(0.1, 0.25, len(block))
    return np.asarray(at_s[at_s < seconds - 1])


def irregular(seed: int, seconds: float = 90, usual_s: float = 0.65) -> Floats:
    rng = np.random.default_rng(seed)
    at_s = np.cumsum(np.maximum(usual_s * np.exp(0.22 * rng.standard_normal(round(2 * seconds))), 0.3))
    return np.asarray(at_s[at_s < seconds - 1])


def regular(rr_s: ArrayLike, seed: int, seconds: float = 90) -> Floats:
    at_s = np.cumsum(np.resize(rr_s, 400) + np.random.default_rng(seed).normal(0, 0.005, 400))
    return np.asarray(at_s[at_s < seconds - 1])


def times(seconds: float = 90) -> Floats:
    return np.arange(round(seconds * WORKING_FS)) / WORKING_FS


def drawn(r_peaks_s: Floats, waves: Floats, *, p_wave: float = 0.0, seed: int = 0) -> Windows:
    """Draw a lead with QRS and T around each R peak, other waves and 10 uV of noise; return its windows."""
    signal = waves + np.random.default_rng(seed).normal(0, 0.01, len(waves))
    time_s = np.arange(len(waves)) / WORKING_FS
    for centre, width, height in ((0.0, 0.012, 1.0), (0.24, 0.04, 0.25), (-0.16, 0.025, p_wave)):
        for peak_s in r_peaks_s:
            near = slice(*np.searchsorted(time_s, (peak_s - 0.6, peak_s + 0.6)))
            signal[near] += height * np.exp(-0.5 * ((time_s[near] - peak_s - centre) / width) ** 2)
    filtered = bandpass(signal.astype(np.float32)[:, None])
    r_peaks = np.round(r_peaks_s * WORKING_FS).astype(np.int64)
    return r_peaks_s, cut_windows(filtered, np.ones(filtered.shape, dtype=bool), r_peaks)


def divided(windows: Windows, *, shortest_s: float = 30.0) -> tuple[list[list[int]], list[list[int]]]:
    """Divide a whole recording into fibrillation and flutter."""
    time_s, shapes = windows
    n = len(time_s)
    whole, none = np.array([[0, n]]), np.zeros(n, dtype=bool)
    rest, flutter = find_atrial_flutter(whole, time_s, shapes, none, shortest_s=shortest_s)
    return rest.tolist(), flutter.tolist()


def regularity(windows: Windows) -> Floats:
    n = len(windows[1])
    return np.asarray(regularity_of_waves(windows[1], np.zeros(n, dtype=bool), 0, n), dtype=np.float64)


def is_flutter(windows: Windows) -> bool:
    rest, flutter = divided(windows)
    assert [*rest, *flutter] == [[0, len(windows[1])]]
    return bool(flutter)


@pytest.mark.parametrize("seed", SEEDS)
class TestFlutter:
    @pytest.mark.parametrize("per_min", [230, 280, 340])
    def test_with_a_changing_block_is_found(self, per_min: float, seed: int) -> None:
        assert is_flutter(drawn(conducted(per_min, seed), sawtooth(times(), per_min), seed=seed))

    def test_with_any_times_of_the_beats_is_found(self, seed: int) -> None:
        assert is_flutter(drawn(irregular(seed), sawtooth(times(), 300), seed=seed))

    @pytest.mark.parametrize("usual_s", [0.5, 1.2])
    def test_at_fast_and_slow_rates_is_found(self, usual_s: float, seed: int) -> None:
        # Windows of beats hold half of an interval of 1.2 s. In one of 0.5 s, little lies between QRS and T.
        assert is_flutter(drawn(irregular(seed, usual_s=usual_s), sawtooth(times(), 290), seed=seed))

    def test_that_slows_down_by_a_tenth_is_found(self, seed: int) -> None:
        per_min = np.linspace(300, 270, len(times()))
        assert is_flutter(drawn(irregular(seed), sawtooth(times(), per_min), seed=seed))

    def test_of_small_waves_is_found(self, seed: int) -> None:
        assert is_flutter(drawn(irregular(seed), sawtooth(times(), 300, height=0.05), seed=seed))

    def test_in_one_of_two_leads_is_found(self, seed: int) -> None:
        at_s = irregular(seed)
        waves = (sawtooth(times(), 300), fibrillating(times(), seed))
        one, other = (drawn(at_s, lead, seed=seed)[1] for lead in waves)
        two = replace(
            other,
            signal=np.concatenate([other.signal, one.signal], axis=1),
            scale=np.column_stack([other.scale[:, 0], one.scale[:, 0]]),
            readable=np.ones((len(at_s), 2), dtype=bool),
        )
        assert is_flutter((at_s, two))
        unread = replace(two, readable=np.tile([True, False], (len(at_s), 1)))
        assert not is_flutter((at_s, unread))

    def test_with_a_constant_block_is_not_found(self, seed: int) -> None:
        # What keeps its distance from the QRS complex is part of it. See the explanation of the rhythms.
        at_s = 4 * 60 / 280 * np.arange(1, 100) + np.random.default_rng(seed).normal(0, 0.005, 99)
        assert regularity(drawn(at_s, sawtooth(times(), 280))).max() < FLUTTER_ONSET


@pytest.mark.parametrize("seed", SEEDS)
class TestOtherRhythmsAreNot:
    def test_fibrillation(self, seed: int) -> None:
        assert not is_flutter(drawn(irregular(seed), fibrillating(times(), seed), seed=seed))

    def test_fibrillation_with_waves_too_small_to_see(self, seed: int) -> None:
        assert not is_flutter(drawn(irregular(seed), np.zeros(len(times())), seed=seed))

    def test_waves_whose_rate_wanders(self, seed: int) -> None:
        # Coarse fibrillation: each wave looks like flutter, but no two seconds have one rate.
        rng = np.random.default_rng(seed)
        per_min = 300 + np.interp(times(), np.arange(0, 91, 1.5), rng.normal(0, 45, 61))
        assert not is_flutter(drawn(irregular(seed), sawtooth(times(), per_min), seed=seed))

    @pytest.mark.parametrize("per_min", [150, 420])
    def test_waves_too_slow_or_too_fast(self, per_min: float, seed: int) -> None:
        waves = 0.1 * np.sin(2 * np.pi * per_min / 60 * times())
        assert not is_flutter(drawn(irregular(seed), waves, seed=seed))

    @pytest.mark.parametrize("rr_s", [0.36, 0.4, 0.43])
    def test_sinus_tachycardia_with_large_p_and_t(self, rr_s: float, seed: int) -> None:
        # At 150 bpm, P and T halve the cycle like waves of flutter with every second one conducted.
        assert not is_flutter(drawn(regular(rr_s, seed), np.zeros(len(times())), p_wave=0.25, seed=seed))

    def test_bigeminy(self, seed: int) -> None:
        assert not is_flutter(
            drawn(regular([0.6, 1.0], seed), np.zeros(len(times())), p_wave=0.15, seed=seed)
        )


def analysed(windows: Windows, seconds: float = 90) -> RhythmAnalysis:
    time_s, shapes = windows
    beats = beats_of("N" * len(time_s), np.diff(time_s, prepend=0))
    beats = replace(beats, sample=np.round(time_s * beats.fs).astype(np.int64))
    return analyse_rhythm(beats, duration_s=seconds, unreadable=NOTHING_UNREADABLE, windows=shapes)


@pytest.mark.parametrize("seed", SEEDS)
class TestInARecording:
    def test_flutter_is_an_event_of_its_own(self, seed: int) -> None:
        found = analysed(drawn(irregular(seed), sawtooth(times(), 300), seed=seed)).events
        assert {event.kind for event in found} & {"af", "afl"} == {"afl"}

    def test_fibrillation_stays_what_it_was(self, seed: int) -> None:
        found = analysed(drawn(irregular(seed), fibrillating(times(), seed), seed=seed)).events
        assert {event.kind for event in found} & {"af", "afl"} == {"af"}

    @pytest.mark.parametrize("rr_s", [0.4, 0.8])
    def test_sinus_rhythm_with_a_tremor_is_neither(self, rr_s: float, seed: int) -> None:
        # Only an irregular rhythm is examined. In fibrillation, a tremor of 5 Hz would look like flutter.
        tremor = 0.1 * np.sin(2 * np.pi * 5 * times())
        found = analysed(drawn(regular(rr_s, seed), tremor, p_wave=0.15, seed=seed)).events
        assert not {event.kind for event in found} & {"af", "afl"}

    def test_no_beat_of_flutter_is_supraventricular(self, seed: int) -> None:
        time_s, shapes = drawn(irregular(seed), sawtooth(times(), 300), seed=seed)
        letters = np.where(np.diff(time_s, prepend=0) < 0.5, "S", "N")
        beats = beats_of("".join(letters), np.diff(time_s, prepend=0))
        result = analyse_rhythm(beats, duration_s=90, unreadable=NOTHING_UNREADABLE, windows=shapes)
        assert "afl" in {event.kind for event in result.events}
        assert not (result.beats.label == "S").any()


class TestWhereOneFollowsTheOther:
    AT_S = irregular(1, seconds=240)

    def windows(self, flutter_from_s: float, to_s: float) -> Windows:
        time_s = times(240)
        inside = (time_s >= flutter_from_s) & (time_s < to_s)
        return drawn(self.AT_S, np.where(inside, sawtooth(time_s, 300), fibrillating(time_s, 3)))

    def test_each_has_its_time(self) -> None:
        ((start, one), (other, stop)), ((first, last),) = divided(self.windows(80, 170))
        assert (start, stop) == (0, len(self.AT_S))
        # Shares are averaged over 22 s, half of them on either side.
        assert self.AT_S[[first, last - 1]] == pytest.approx([80, 170], abs=12)
        assert (one, other) == (first + 1, last - 1), "they share a beat, so that no time is lost"

    def test_a_short_rest_is_not_left(self) -> None:
        # Neither 20 s of fibrillation before flutter nor 20 s of it in between are an episode.
        assert divided(self.windows(20, 240)) == ([], [[0, len(self.AT_S)]])
        rest, flutter = divided(self.windows(20, 240), shortest_s=5)
        assert len(rest) == len(flutter) == 1

    def test_too_little_flutter_is_fibrillation(self) -> None:
        assert divided(self.windows(100, 125), shortest_s=60) == ([[0, len(self.AT_S)]], [])

    def test_the_result_does_not_depend_on_the_chunks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        windows = self.windows(80, 170)
        whole = regularity(windows)
        monkeypatch.setattr(atrial_flutter, "_CHUNK", 99)
        assert regularity(windows) == pytest.approx(whole, abs=1e-4)

    def test_ventricular_beats_do_not_disturb(self) -> None:
        time_s, shapes = self.windows(0, 240)
        wide = np.random.default_rng(0).random(len(time_s)) < 0.15
        signal = shapes.signal.copy()
        signal[wide] = np.sin(np.arange(signal.shape[2]) / 5).astype(np.float16)
        shapes = replace(shapes, signal=signal)
        whole = np.array([[0, len(time_s)]])
        rest, flutter = find_atrial_flutter(whole, time_s, shapes, wide, shortest_s=30)
        assert (len(rest), flutter.tolist()) == (0, whole.tolist())

    def test_long_intervals_are_no_evidence(self) -> None:
        # At 30 bpm, windows of beats hold less than a third of the waves.
        assert regularity(drawn(regular(2.0, 0), sawtooth(times(), 290))).max() == 0

    def test_two_beats_are_too_few(self) -> None:
        time_s, shapes = self.windows(0, 240)
        whole = np.array([[0, 2]])
        none = np.zeros(len(time_s), dtype=bool)
        rest, flutter = find_atrial_flutter(whole, time_s, shapes, none, shortest_s=0.1)
        assert (rest.tolist(), len(flutter)) == ([[0, 2]], 0)


class TestWhatIsShown:
    EVENTS = (Event("af", 8.0, 48.0, 51, 75.0), Event("afl", 48.0, 88.0, 51, 75.0))

    def analysis(self) -> ectopy.Analysis:
        beats = beats_of("N" * 200)
        return replace(analysis_of(recording_for(beats, 16_400), beats), events=self.EVENTS)

    def test_both_count_as_burden_of_af_and_each_is_named(self) -> None:
        analysis = self.analysis()
        row = stats(recording_stats(analysis), 0, analysis.duration_s)
        assert (row["n_af"], row["n_afl"], row["longest_af_s"]) == (1, 1, 40.0)
        assert row["af_burden_pct"] == pytest.approx(100 * 80 / analysis.duration_s, abs=0.01)

    def test_each_has_its_finding(self) -> None:
        texts = [str(finding).split(":")[1].strip() for finding in find_findings(self.analysis())]
        assert texts[:2] == ["Atrial fibrillation", "Atrial flutter"]

    def test_each_has_its_rhythm(self) -> None:
        assert [part.rhythm for part in named_intervals(self.analysis())] == ["sinus", "af", "afl", "sinus"]


def rhythms_of(name: str, record: str) -> list[tuple[str, int, int]]:
    events = ectopy.analyse(database(name) / record).events
    return [(e.kind, round(e.onset_s), round(e.offset_s)) for e in events if e.kind in {"af", "afl"}]


@pytest.mark.real
def test_flutter_of_true_records_is_found_where_the_block_changes() -> None:
    # Cycles of 0.2 s between QRS complexes at 69 and 138 bpm; the table of doubtful labels has 867 too.
    kinds = {kind for kind, onset_s, offset_s in rhythms_of("svdb", "867") if onset_s < 600 < offset_s}
    assert kinds == {"afl"}


@pytest.mark.real
def test_flutter_that_fibrillates_in_the_end_is_both() -> None:
    assert [kind for kind, _, _ in rhythms_of("afpdb", "p04c")] == ["afl", "af"]


@pytest.mark.real
@pytest.mark.parametrize("record", ["n01", "n06", "s03", "s06", "t05", "t06", "t10"])
def test_fibrillation_that_ends_of_itself_stays_fibrillation(record: str) -> None:
    # Of 27 such records, these have the slowest and the most regular waves.
    found = rhythms_of("aftdb", f"learning-set/{record}")
    assert {kind for kind, _, _ in found} == {"af"}
