"""A standstill in which P waves go on is told from one without, and neither is less urgent than the other."""

from dataclasses import replace

import numpy as np
import pytest

from ectopy.ecg import Analysis, Event, Signal, recording_of
from ectopy.pipeline import find_p_waves
from ectopy.rhythm.findings import find_findings
from ectopy.rhythm.named_intervals import named_intervals
from ectopy.rhythm.wording import Urgency
from ectopy.signal.p_waves import has_p_waves
from tests.drawn_ecg import WAVES, Waves, sketched, steady
from tests.handmade import analysis_of, beats_of, recording_for

P: Waves = ((0.0, 0.025, 0.1),)
NAN = float("nan")


def p_waves(seconds: float, bpm: float, *, fs: float = 250.0, height: float = 1.0) -> Signal:
    return height * sketched({P: np.arange(0.3, seconds, 60 / bpm).tolist()}, seconds, fs=fs)


class TestSignal:
    @pytest.mark.parametrize("fs", [128.0, 250.0, 1000.0])
    @pytest.mark.parametrize("bpm", [45, 60, 80, 110, 140])
    def test_p_waves_at_any_sinus_rate_go_on(self, bpm: float, fs: float) -> None:
        assert has_p_waves(p_waves(12, bpm, fs=fs), fs)

    @pytest.mark.parametrize("sign", [1, -1])
    def test_on_one_of_two_leads_and_upside_down_they_do_too(self, sign: int) -> None:
        noise = np.random.default_rng(0).normal(scale=0.01, size=(3000, 1)).astype(np.float32)
        assert has_p_waves(np.hstack([noise, p_waves(12, 75, height=sign)]), 250.0)

    @pytest.mark.parametrize("seed", range(20))
    def test_noise_has_none(self, seed: int) -> None:
        noise = np.random.default_rng(seed).normal(scale=0.02, size=(3000, 2)).astype(np.float32)
        assert not has_p_waves(noise, 250.0)

    @pytest.mark.parametrize("hz", [0.3, 0.7, 1.0, 1.7, 2.5, 5.0, 50.0])
    def test_what_sways_all_the_time_has_none(self, hz: float) -> None:
        # Breathing, a rocking electrode, fibrillation of the atria or the ventricles, hum.
        wave = 0.1 * np.sin(2 * np.pi * hz * np.arange(5000) / 250)
        noise = np.random.default_rng(0).normal(scale=0.005, size=5000)
        assert not has_p_waves((wave + noise).astype(np.float32)[:, None], 250.0)

    @pytest.mark.parametrize("seconds", [0, 1, 2.9])
    def test_three_seconds_are_needed_to_tell(self, seconds: float) -> None:
        assert not has_p_waves(p_waves(seconds, 100), 250.0)

    def test_a_flat_or_missing_signal_has_none(self) -> None:
        assert not has_p_waves(np.zeros((2500, 2), dtype=np.float32), 250.0)
        assert not has_p_waves(np.full((2500, 2), np.nan, dtype=np.float32), 250.0)

    def test_p_waves_in_a_part_of_a_standstill_are_not_enough(self) -> None:
        quiet = np.random.default_rng(0).normal(scale=0.005, size=(5000, 1)).astype(np.float32)
        assert not has_p_waves(np.vstack([p_waves(8, 75), quiet]), 250.0)
        assert has_p_waves(np.vstack([p_waves(32, 75), quiet[:2000]]), 250.0)


class TestStandstill:
    """Beats until 20 s and from 35 s on; between them, P waves or nothing."""

    def found(self, *, with_p: bool, event: Event) -> list[list[int]]:
        beats_s = [at for at in steady(60) if not 20 < at < 34.9]
        between = p_waves(60, 75)
        between[: 20 * 250] = between[35 * 250 :] = 0
        signal = sketched({WAVES: beats_s}, 60, fs=250.0) + between * with_p
        recording = recording_of(signal, 250.0)
        analysis = analysis_of(recording_for(beats_of("N"), 6000), beats_of("N"))
        intervals: list[list[int]] = find_p_waves(recording, [0], [event], analysis.criteria).tolist()
        return intervals

    @pytest.mark.parametrize("kind", ["asystole", "pause"])
    def test_the_whole_event_is_one_with_p_waves(self, kind: str) -> None:
        event = Event(kind, 20.0, 35.0, 2, NAN)
        assert self.found(with_p=True, event=event) == [[5000, 8750]]
        assert self.found(with_p=False, event=event) == []

    def test_the_beats_beside_it_are_no_p_waves_and_a_short_pause_is_no_standstill(self) -> None:
        assert self.found(with_p=False, event=Event("asystole", 19.5, 35.0, 2, NAN)) == []
        assert self.found(with_p=True, event=Event("pause", 20.0, 29.9, 2, NAN)) == []


def still(kind: str, *, with_p: bool) -> Analysis:
    """Return an analysis with a standstill from 8 s to 20 s."""
    beats = beats_of("N" * 50, [*[0.8] * 10, 12.0, *[0.8] * 39])
    analysis = analysis_of(recording_for(beats, 6000), beats)
    intervals = np.array([[800, 2000]] * with_p, dtype=np.int64).reshape(-1, 2)
    return replace(analysis, events=(Event(kind, 8.0, 20.0, 2 * (kind == "pause"), NAN),), p_waves=intervals)


class TestResults:
    @pytest.mark.parametrize("kind", ["asystole", "pause"])
    def test_it_is_a_rhythm_of_its_own(self, kind: str) -> None:
        assert named_intervals(still(kind, with_p=True))[1] == ("standstill_with_p", 8.0, 20.0)
        assert named_intervals(still(kind, with_p=False))[1] == ("asystole", 8.0, 20.0)

    @pytest.mark.parametrize(
        ("kind", "text"),
        [
            ("asystole", "Ventricular standstill with P waves: 1 episode, longest 12.0 s at 0:00:08"),
            ("pause", "No beat for 12.0 s at 0:00:08: ventricular standstill with P waves"),
        ],
    )
    def test_the_finding_says_so_and_is_as_urgent(self, kind: str, text: str) -> None:
        with_p, without = (find_findings(still(kind, with_p=some)) for some in (True, False))
        assert with_p[0].text == text
        assert [finding.urgency for finding in with_p] == [finding.urgency for finding in without]
        assert with_p[0].urgency == Urgency.URGENT

    def test_of_two_standstills_each_has_its_finding(self) -> None:
        analysis = still("asystole", with_p=True)
        both = replace(analysis, events=(*analysis.events, Event("asystole", 40.0, 55.0, 0, NAN)))
        texts = [finding.text for finding in find_findings(both)]
        assert texts[0].startswith("Asystole: 1 episode")
        assert texts[1].startswith("Ventricular standstill with P waves: 1 episode")
