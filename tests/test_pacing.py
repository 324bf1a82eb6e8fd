"""Paced rhythm: spikes in the signal as it was recorded, beats that follow them, and what they no longer are."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ectopy
from ectopy.annotations import read_annotations
from ectopy.beats.detection import detect_beats
from ectopy.ecg import Analysis, Beats, Event, Signal, recording_of
from ectopy.rhythm.events import analyse_rhythm
from ectopy.rhythm.named_intervals import named_intervals
from ectopy.rhythm.pacing import find_pacing, without_paced_vt
from ectopy.rhythm.rhythm_intervals import Rhythm, RhythmInterval
from ectopy.signal import rolling
from ectopy.signal.pacing_spikes import divide_spikes, find_spikes, without_spikes
from tests.conftest import database
from tests.drawn_ecg import WAVES, WIDE_WAVES, Waves, sketched, steady
from tests.handmade import beats_of

SPIKE_BEFORE_S = 0.09
PULSE: Waves = ((-SPIKE_BEFORE_S, 0.0015, 0.4),)
"""What a recorder leaves of a pulse of 1 ms: a few samples."""
CHILD: Waves = ((-0.12, 0.015, 0.15), (0.0, 0.007, 1.5), (0.016, 0.006, -0.4), (0.2, 0.03, 0.3))
"""The narrow QRS complex of a child: 17 ms at half its height."""


def paced_signal(seconds: float, fs: float, *, pulse: Waves = PULSE, until_s: float = 1e9) -> Signal:
    """Draw wide beats, each after a spike, and narrow beats without one from some time on."""
    at_s = steady(seconds)
    paced_s = [time_s for time_s in at_s if time_s < until_s]
    narrow_s = [time_s for time_s in at_s if time_s >= until_s]
    return sketched({WIDE_WAVES + pulse: paced_s, WAVES: narrow_s}, seconds, fs=fs)


def spikes_s(signal: Signal, fs: float) -> list[float]:
    return [round(sample / fs, 2) for sample in find_spikes(signal, fs).tolist()]


class TestSpikes:
    @pytest.mark.parametrize("sign", [1, -1])
    @pytest.mark.parametrize("fs", [250.0, 360.0, 500.0, 1000.0, 2000.0])
    def test_each_is_found_at_any_sampling_rate(self, fs: float, sign: int) -> None:
        expected = [round(at - SPIKE_BEFORE_S, 2) for at in steady(20)]
        signal = paced_signal(20, fs, pulse=((-SPIKE_BEFORE_S, 0.0025, sign * 0.8),))
        assert spikes_s(signal, fs) == expected

    def test_one_lead_of_two_is_enough(self) -> None:
        hidden, shown = paced_signal(20, 500.0, pulse=()), paced_signal(20, 500.0)
        assert spikes_s(np.hstack([hidden, shown]), 500.0) == spikes_s(shown, 500.0)

    def test_the_wave_after_a_spike_may_be_on_the_other_lead(self) -> None:
        spikes = sketched({PULSE: steady(20)}, 20, fs=500.0)
        assert spikes_s(spikes, 500.0) == []
        assert len(spikes_s(np.hstack([spikes, paced_signal(20, 500.0, pulse=())]), 500.0)) == 24

    def test_below_200_hz_none_is_sought(self) -> None:
        assert spikes_s(paced_signal(20, 128.0), 128.0) == []

    @pytest.mark.parametrize("n_samples", [0, 1, 10, 100])
    def test_a_signal_that_is_too_short_has_none(self, n_samples: int) -> None:
        assert find_spikes(np.zeros((n_samples, 2), dtype=np.float32), 500.0).tolist() == []

    def test_missing_samples_hide_those_beside_them_and_no_others(self) -> None:
        signal = paced_signal(20, 500.0)
        signal[2000:2500] = np.nan
        left = [at for at in spikes_s(paced_signal(20, 500.0), 500.0) if not 3.7 < at < 5.1]
        assert spikes_s(signal, 500.0) == left

    @pytest.mark.parametrize("block_s", [1.9, 7.3])
    def test_blocks_of_any_size_give_the_same(self, block_s: float) -> None:
        recording = recording_of(paced_signal(20, 360.0), 360.0)
        whole, cut = (detect_beats(recording, [0], block_s=length_s).spikes for length_s in (600.0, block_s))
        assert len(whole) == 24
        np.testing.assert_array_equal(whole, cut)


class TestFalseFriends:
    """What is steep and is no spike."""

    @pytest.mark.parametrize("fs", [200.0, 250.0, 360.0, 500.0, 1000.0])
    @pytest.mark.parametrize("waves", [WAVES, WIDE_WAVES, CHILD])
    def test_beats_have_none(self, waves: Waves, fs: float) -> None:
        assert spikes_s(sketched({waves: steady(20)}, 20, fs=fs), fs) == []

    @pytest.mark.parametrize("hz", [50.0, 60.0, 100.0])
    def test_hum_has_none(self, hz: float) -> None:
        time_s = np.arange(20 * 500)[:, None] / 500
        hum = (0.3 * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)
        assert spikes_s(sketched({WIDE_WAVES: steady(20)}, 20, fs=500.0) + hum, 500.0) == []

    def test_noise_has_hardly_any_and_never_one_before_each_beat(self) -> None:
        noise = np.random.default_rng(3).normal(scale=0.1, size=(60 * 360, 1)).astype(np.float32)
        beats = beats_at(steady(60), 360.0)
        spikes = find_spikes(sketched({WAVES: steady(60)}, 60, fs=360.0) + noise, 360.0)
        assert not find_pacing(beats, spikes, None, duration_s=60).beats.any()

    def test_electrode_pops_are_not_locked_to_the_beats(self) -> None:
        rng = np.random.default_rng(5)
        pops: Waves = ((0.0, 0.002, 0.8),)
        pop_s = np.sort(rng.uniform(1, 59, 80)).tolist()
        signal = sketched({WIDE_WAVES: steady(60), pops: pop_s}, 60, fs=500.0)
        spikes = find_spikes(signal, 500.0)
        assert len(spikes) > 20
        assert not find_pacing(beats_at(steady(60), 500.0), spikes, None, duration_s=60).beats.any()


class TestLossOfCapture:
    """Pulses go on, and no wave of the ventricles follows: a pulse must not be taken for a beat."""

    SECONDS, LOST_S = 60.0, (25.0, 45.0)

    def signal(self, *more: tuple[float, float, float], fs: float = 500.0, height: float = 0.4) -> Signal:
        at_s = steady(self.SECONDS)
        pulse: Waves = ((-SPIKE_BEFORE_S, 0.0025, height), *more)
        captured_s = [time_s for time_s in at_s if not self.LOST_S[0] < time_s < self.LOST_S[1]]
        return sketched({pulse: at_s, WIDE_WAVES: captured_s}, self.SECONDS, fs=fs)

    @pytest.mark.parametrize("fs", [250.0, 500.0, 1000.0])
    def test_pulses_without_a_wave_are_bare_and_the_others_are_not(self, fs: float) -> None:
        captured, bare = divide_spikes(self.signal(fs=fs, height=0.8), fs)
        lost = [time_s for time_s in steady(self.SECONDS) if self.LOST_S[0] < time_s < self.LOST_S[1]]
        assert bare / fs == pytest.approx(np.array(lost) - SPIKE_BEFORE_S, abs=0.005)
        assert len(captured) == len(steady(self.SECONDS)) - len(lost)

    @pytest.mark.parametrize(("height", "tail"), [(0.4, 0.0), (1.5, -0.2)], ids=["bipolar", "unipolar"])
    def test_it_is_a_standstill(self, height: float, tail: float) -> None:
        analysis = ectopy.analyse(self.signal((-0.05, 0.03, tail), height=height), fs=500.0)
        (standstill,) = (*analysis.events_of("asystole"), *analysis.events_of("pause"))
        assert standstill.duration_s == pytest.approx(20, abs=1.5)
        assert not ((analysis.beats.time_s > 25.5) & (analysis.beats.time_s < 44.5)).any()
        assert len(analysis.p_waves) == 0

    def test_a_missing_lead_beside_does_not_hide_it(self) -> None:
        signal = self.signal()
        one_of_two = np.hstack([signal, np.full_like(signal, np.nan)])
        assert divide_spikes(one_of_two, 500.0)[1].tolist() == divide_spikes(signal, 500.0)[1].tolist()

    def test_only_the_spike_is_replaced(self) -> None:
        with_spikes = self.signal()
        without = without_spikes(with_spikes, divide_spikes(with_spikes, 500.0)[1], 500.0)
        changed = np.flatnonzero((with_spikes != without).any(axis=1))
        assert len(changed) < 17 * 26
        assert np.abs(without[26 * 500 : 44 * 500]).max() < 0.05
        assert without_spikes(with_spikes, np.empty(0, dtype=np.int64), 500.0) is with_spikes

    def test_no_beat_is_bare(self) -> None:
        for waves in (WAVES, WIDE_WAVES, CHILD):
            assert not len(divide_spikes(sketched({waves: steady(20)}, 20, fs=500.0), 500.0)[1])


def beats_at(time_s: list[float], fs: float, label: str = "N") -> Beats:
    beats = beats_of(label * len(time_s))
    return replace(beats, sample=np.round(np.array(time_s) * fs).astype(np.int64), fs=fs)


def spikes_before(beats: Beats, which: slice | list[int], delay_s: float = 0.05) -> np.ndarray:
    return beats.sample[which] - round(delay_s * beats.fs)


class TestPacedBeats:
    """On beats at 75 bpm, whose samples are hundredths of a second."""

    def test_all_that_follow_a_spike_are_paced(self) -> None:
        beats = beats_of("N" * 60)
        found = find_pacing(beats, spikes_before(beats, slice(20, 50)), None, duration_s=60)
        assert np.flatnonzero(found.beats).tolist() == list(range(20, 50))
        assert found.spans.tolist() == [[20, 50]]

    def test_less_than_ten_seconds_are_no_rhythm(self) -> None:
        # Of 13 beats, the last is 9.6 s after the first; of 14, it is 10.4 s.
        beats = beats_of("N" * 60)
        for n_beats, n_paced in ((13, 0), (14, 14)):
            spikes = spikes_before(beats, slice(20, 20 + n_beats))
            assert find_pacing(beats, spikes, None, duration_s=60).beats.sum() == n_paced

    def test_in_a_strip_of_ten_seconds_half_of_it_is_enough(self) -> None:
        beats = beats_of("N" * 12)
        found = find_pacing(beats, spikes_before(beats, slice(1, 9)), None, duration_s=10)
        assert found.spans.tolist() == [[1, 9]]

    @pytest.mark.parametrize(("delay_s", "paced"), [(-0.07, 0), (-0.05, 60), (0.0, 60), (0.3, 60), (0.32, 0)])
    def test_a_spike_comes_up_to_300_ms_before_or_60_ms_after_the_r_peak(
        self, delay_s: float, paced: int
    ) -> None:
        beats = beats_of("N" * 60)
        found = find_pacing(beats, spikes_before(beats, slice(0, 60), delay_s), None, duration_s=60)
        assert found.beats.sum() == paced

    def test_of_a_pacemaker_of_two_chambers_the_spike_of_the_ventricle_counts(self) -> None:
        beats = beats_of("N" * 60)
        ventricle, atrium = spikes_before(beats, slice(0, 60)), spikes_before(beats, slice(0, 60), 0.21)
        found = find_pacing(beats, np.sort(np.append(ventricle, atrium)), None, duration_s=60)
        assert found.beats.all()

    def test_spikes_at_random_times_pace_nothing(self) -> None:
        beats = beats_of("N" * 300)
        spikes = np.sort(np.random.default_rng(0).integers(0, 24_000, 300))
        assert not find_pacing(beats, spikes, None, duration_s=240).beats.any()

    def test_beats_of_its_own_between_paced_ones_are_not_paced(self) -> None:
        beats = beats_of("N" * 60)
        own = {10, 11, 20, 30, 31, 32, 45}
        found = find_pacing(
            beats, spikes_before(beats, [at for at in range(60) if at not in own]), None, duration_s=60
        )
        assert set(np.flatnonzero(~found.beats)) == own
        assert found.spans.tolist() == [[0, 60]]

    @pytest.mark.parametrize("spikes", [None, np.empty(0, dtype=np.int64)])
    def test_without_a_spike_none_is_paced(self, spikes: np.ndarray | None) -> None:
        found = find_pacing(beats_of("N" * 60), spikes, None, duration_s=60)
        assert (found.beats.sum(), len(found.spans)) == (0, 0)

    def test_without_a_beat_none_is_paced(self) -> None:
        assert find_pacing(beats_of(""), np.array([5, 900]), None, duration_s=60).spans.shape == (0, 2)


@pytest.mark.parametrize("at_once", [1, 7, 50])
def test_parts_of_the_beats_are_paced_as_the_whole(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    beats = beats_at(steady(200), 500.0)
    paced = np.flatnonzero(rng.random(len(beats)) < np.where(np.arange(len(beats)) < 120, 0.8, 0.1))
    spikes = spikes_before(beats, paced.tolist()) - rng.integers(0, 4, len(paced))
    whole = find_pacing(beats, spikes, None, duration_s=200)
    monkeypatch.setattr(rolling, "_AT_ONCE", at_once)
    parts = find_pacing(beats, spikes, None, duration_s=200)
    np.testing.assert_array_equal(parts.beats, whole.beats)
    np.testing.assert_array_equal(parts.spans, whole.spans)
    assert 50 < whole.beats.sum() < 150


def rhythm_of(letters: str, rr_s: float, which: list[int], **changes: Any) -> tuple[str, list[Event]]:
    """Return the final labels and the events of beats, some of which a spike precedes."""
    beats = beats_of(letters, rr_s)
    found = analyse_rhythm(
        beats,
        duration_s=float(beats.time_s[-1] + rr_s),
        unreadable=np.empty((0, 2), dtype=np.int64),
        spikes=spikes_before(beats, which),
        **changes,
    )
    return "".join(found.beats.label), list(found.events)


class TestWhatPacedBeatsAreNot:
    def test_wide_beats_of_a_pacemaker_are_unclassifiable_and_no_idioventricular_rhythm(self) -> None:
        label, events = rhythm_of("V" * 60, 0.8, list(range(60)))
        assert label == "Q" * 60
        assert [(event.kind, event.n_beats) for event in events] == [("paced", 60)]

    def test_nor_are_fast_ones_a_ventricular_tachycardia(self) -> None:
        _, events = rhythm_of("V" * 60, 0.5, list(range(60)))
        assert {event.kind for event in events} == {"paced", "tachycardia"}

    def test_a_tachycardia_of_its_own_is_one_in_paced_rhythm_too(self) -> None:
        letters = "V" * 30 + "V" * 5 + "V" * 30
        label, events = rhythm_of(letters, 0.5, [*range(30), *range(35, 65)])
        assert label == "Q" * 30 + "V" * 5 + "Q" * 30
        assert [(event.kind, event.n_beats) for event in events if event.kind == "vt"] == [("vt", 5)]

    def test_waves_of_paced_beats_are_no_tachycardia_but_others_are(self) -> None:
        beats = beats_of("N" * 60)
        paced = np.arange(60) < 30  # until 24 s
        intervals = [RhythmInterval(Rhythm.VT, 4, 12), RhythmInterval(Rhythm.VT, 20, 40)]
        assert without_paced_vt(intervals, beats, paced) == (intervals[1],)

    def test_fibrillation_stays_whatever_the_spikes(self) -> None:
        intervals = (RhythmInterval(Rhythm.VF, 10, 30),)
        _, events = rhythm_of("N" * 60, 0.8, list(range(60)), intervals=intervals)
        assert "vf" in {event.kind for event in events}

    def test_a_pause_of_a_pacemaker_is_a_pause(self) -> None:
        beats = beats_of("N" * 60, np.append(np.full(59, 0.8), 3.2))
        found = analyse_rhythm(
            beats, duration_s=51.0, unreadable=np.empty((0, 2), dtype=np.int64), spikes=beats.sample
        )
        assert [event.kind for event in found.events] == ["paced", "pause"]

    def test_paced_beats_are_confident_unless_they_lie_in_noise(self) -> None:
        beats = replace(beats_of("V" * 60), confident=np.zeros(60, dtype=bool))
        noisy = np.arange(60) >= 55
        found = analyse_rhythm(
            beats,
            duration_s=49,
            unreadable=np.empty((0, 2), dtype=np.int64),
            low_quality=noisy,
            spikes=beats.sample,
        )
        np.testing.assert_array_equal(found.beats.confident, ~noisy)


@pytest.fixture(scope="module")
def paced_then_sinus() -> Analysis:
    """A minute of paced rhythm, then two of sinus rhythm, by the shipped model."""
    lead = paced_signal(180, 500.0, until_s=60.0)
    return ectopy.analyse(np.hstack([lead, -0.5 * lead]), fs=500.0)


class TestWholeRecording:
    def test_it_is_paced_and_then_sinus_rhythm(self, paced_then_sinus: Analysis) -> None:
        (first, second) = named_intervals(paced_then_sinus)
        assert (first.rhythm, second.rhythm) == ("paced", "sinus")
        assert first.stop_s == pytest.approx(60, abs=1.0)

    def test_no_ectopic_beat_is_reported(self, paced_then_sinus: Analysis) -> None:
        beats = paced_then_sinus.beats
        assert set(beats.label[beats.time_s < 59]) == {"Q"}
        assert set(beats.label[beats.time_s > 61]) == {"N"}

    def test_without_spikes_it_is_not_paced(self) -> None:
        lead = paced_signal(60, 500.0, pulse=())
        assert not ectopy.analyse(lead, fs=500.0).events_of("paced")

    def test_a_paced_beat_whose_spike_is_hidden_looks_like_the_others(self) -> None:
        at_s = steady(60)
        hidden = at_s[10::4]
        shown = [time_s for time_s in at_s if time_s not in hidden]
        lead = sketched({WIDE_WAVES + PULSE: shown, WIDE_WAVES: hidden}, 60, fs=500.0)
        assert (ectopy.analyse(lead, fs=500.0).beats.label == "Q").sum() >= len(
            at_s
        ) - 2  # the ends may be cut


@pytest.mark.real
class TestRealRecords:
    """Paced records of mitdb, which are in neither its training nor its test set."""

    @pytest.mark.parametrize(("record", "share"), [("102", 0.97), ("104", 0.9), ("107", 0.7)])
    def test_most_paced_beats_are_found_and_no_beat_of_the_patient_is_paced(
        self, mitdb: Path, record: str, share: float
    ) -> None:
        marks = read_annotations(mitdb / record, "atr")
        beats = ectopy.analyse(mitdb / record).beats
        paced = beats.sample[beats.label == "Q"]

        def found(symbols: str) -> np.ndarray:
            sample = marks.sample[np.isin(marks.symbol, list(symbols))]
            return np.searchsorted(paced, sample + 54) > np.searchsorted(paced, sample - 54)

        assert found("/").mean() >= share
        assert found("NVA").sum() == 0

    @pytest.mark.parametrize("record", ["101", "106", "108", "114", "124"])
    def test_records_with_steep_narrow_waves_have_no_paced_rhythm(self, mitdb: Path, record: str) -> None:
        assert not ectopy.analyse(mitdb / record).events_of("paced")

    @pytest.mark.parametrize(("record", "n"), [("45", 1), ("93", 1), ("1", 0), ("111", 0)])
    def test_strips_of_ludb(self, record: str, n: int) -> None:
        # The recorder of 111 has drawn a step of 30 ms in the place of each spike.
        strip = database("ludb", "1.0.1") / "data" / record
        assert len(ectopy.analyse(strip).events_of("paced")) == n
