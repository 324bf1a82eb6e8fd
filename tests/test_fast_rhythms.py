"""Beats are found at any rate from 20 to 300 bpm, where nothing is quiet between them too."""

import numpy as np
import pytest

from ectopy.beats import detection
from ectopy.beats.detection import DetectedBeats
from ectopy.beats.fast_rhythms import beats_in_gaps
from ectopy.beats.qrs_candidates import Candidates, join
from ectopy.ec57 import match_beats
from ectopy.ecg import Signal, recording_of
from ectopy.readers import open_recording
from tests.conftest import database
from tests.drawn_ecg import FS, WAVES, WIDE_WAVES, Waves, sketched, steady

BEFORE_S, FAST_S, AFTER_S = 60.0, 60.0, 60.0
TOTAL_S = BEFORE_S + FAST_S + AFTER_S
KINDS = {"narrow": WAVES, "wide": WIDE_WAVES}


def squeezed(waves: Waves, rr_s: float) -> Waves:
    """Shorten QT by Bazett's formula; a P wave has no room at a high rate."""
    factor = min(np.sqrt(rr_s / 0.8), 1.1)
    kept = [wave for wave in waves if wave[0] > -0.1 or rr_s > 0.38]
    return tuple(
        (c * factor, w * factor, h) if abs(c) > 0.1 else (c, min(w, rr_s / 7), h) for c, w, h in kept
    )


def beats_of(detected: DetectedBeats) -> np.ndarray:
    return detected.windows.sample / 200


def with_episode(kind: str, bpm: int, n_leads: int) -> tuple[Signal, np.ndarray]:
    """Draw a sinus rhythm with an episode of another rate that begins and ends suddenly; return its beats."""
    sinus_s = [at for at in steady(TOTAL_S) if not BEFORE_S - 0.4 < at < BEFORE_S + FAST_S + 0.4]
    rng = np.random.default_rng(bpm)
    rr_s = 60 / bpm * np.exp(0.01 * rng.standard_normal(round(FAST_S * bpm / 60)))
    episode_s = BEFORE_S + np.cumsum(rr_s)
    episode_s = episode_s[episode_s < BEFORE_S + FAST_S]
    lead = sketched({WAVES: sinus_s, squeezed(KINDS[kind], 60 / bpm): episode_s.tolist()}, TOTAL_S)
    return np.hstack([lead, -0.6 * lead])[:, :n_leads], np.sort(np.concatenate((sinus_s, episode_s)))


@pytest.mark.parametrize("n_leads", [1, 2])
@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("bpm", [20, 60, 120, 160, 200, 220, 240, 260, 280, 300])
def test_a_ladder_of_rates_in_the_middle_of_sinus_rhythm(bpm: int, kind: str, n_leads: int) -> None:
    signal, true_s = with_episode(kind, bpm, n_leads)
    found_s = beats_of(detection.detect_beats(recording_of(signal, FS), range(n_leads)))
    tolerance = round(200 * min(0.15, 0.45 * 60 / bpm))
    matches = match_beats(
        np.round(true_s * 200).astype(int), np.round(found_s * 200).astype(int), tolerance=tolerance
    )
    assert len(matches.reference) >= 0.97 * len(true_s)
    assert len(matches.test) >= 0.97 * len(found_s)


@pytest.mark.parametrize("bpm", [60, 150, 200, 240])
def test_a_strip_of_ten_seconds_at_one_rate(bpm: int) -> None:
    true_s = np.arange(0.4, 9.8, 60 / bpm)
    signal = sketched({squeezed(WAVES, 60 / bpm): true_s.tolist()}, 10)
    found_s = beats_of(detection.detect_beats(recording_of(signal, FS), [0]))
    assert abs(len(found_s) - len(true_s)) <= 1


def test_waves_of_noise_that_are_alike_once_are_no_fast_rhythm() -> None:
    rng = np.random.default_rng(0)
    beats_s = steady(60)
    noise_s = np.sort(rng.uniform(1, 59, 200))
    wave: Waves = ((0.0, 0.015, 0.15),)
    signal = sketched({WAVES: beats_s, wave: noise_s.tolist()}, 60)
    found_s = beats_of(detection.detect_beats(recording_of(signal, FS), [0]))
    assert len(found_s) <= 1.1 * len(beats_s)


@pytest.mark.parametrize("rr_s", [1.6, 2.0, 3.0])
@pytest.mark.parametrize("height", [0.1, 0.2, 0.3])
def test_flutter_waves_between_slow_beats_are_no_beats(rr_s: float, height: float) -> None:
    beats_s = np.arange(1, 119, rr_s).tolist()
    flutter: Waves = ((0.0, 0.025, height),)
    signal = sketched({WAVES[1:4]: beats_s, flutter: np.arange(0.1, 119.9, 0.21).tolist()}, 120)
    assert len(detection.detect_beats(recording_of(signal, FS), [0]).windows) == len(beats_s)


@pytest.mark.real
def test_a_clean_supraventricular_tachycardia_of_214_bpm_keeps_its_beats() -> None:
    recording = open_recording(database("svdb") / "848")
    assert len(detection.detect_beats(recording, [0, 1]).windows) > 4100  # 3,850 before; 4,140 are annotated


@pytest.mark.real
def test_an_irregular_tachycardia_is_no_row_of_pauses() -> None:
    recording = open_recording(
        database("svdb") / "848"
    )  # RR of 0.25 and 0.42 s in turn, between 1,016 and 1,060 s
    time_s = beats_of(detection.detect_beats(recording, [0, 1]))
    assert np.diff(time_s).max() < 3.0  # 5.6 s before


def candidates_of(sample: list[int], strength: list[float], background: float) -> Candidates:
    """Return candidates with the same strength in each lead, and the background of the first lead."""
    of_leads = [background] + [0.1] * (len(strength) - 1)
    size, between = (
        np.tile(np.array(values, dtype=np.float32), (len(sample), 1)) for values in (strength, of_leads)
    )
    return Candidates(np.array(sample), size, size, between)


class TestBeatsInGaps:
    beats_s = (*np.arange(0, 20, 0.8), *np.arange(25.6, 45, 0.8))
    left_out_s = (20.1, 20.4, 20.9, 21.2, 21.7, 22.0, 22.5, 23.0, 23.6)

    def found(self, strength: float, background: float, n: int = 9, second_lead: float | None = None) -> int:
        second = [] if second_lead is None else [second_lead]
        beats, others = (
            np.round(200 * np.array(times)).astype(int) for times in (self.beats_s, self.left_out_s[:n])
        )
        candidates = join(
            [
                candidates_of(beats.tolist(), [1.0, *(1.0 for _ in second)], 0.1),
                candidates_of(others.tolist(), [strength, *second], background),
            ]
        )
        order = np.argsort(candidates.sample)
        beat = np.arange(len(candidates)) < len(beats)
        left_out = beats_in_gaps(candidates[order], beat[order])
        assert not (left_out & beat[order]).any()
        return int(left_out.sum())

    def test_candidates_as_large_as_the_beats_around_are_beats(self) -> None:
        assert self.found(strength=0.9, background=0.15) == 9

    def test_one_lead_is_enough_where_the_other_has_lost_contact(self) -> None:
        assert self.found(strength=0.9, background=0.15, second_lead=0.1) == 9

    def test_smaller_waves_are_none(self) -> None:
        assert self.found(strength=0.5, background=0.05) == 0

    def test_noise_does_not_stand_out_of_the_background(self) -> None:
        assert self.found(strength=0.9, background=0.3) == 0

    def test_a_few_artefacts_do_not_hide_a_pause(self) -> None:
        assert self.found(strength=0.9, background=0.15, n=3) == 0


@pytest.mark.real
def test_large_ventricular_tachycardia_keeps_its_beats() -> None:
    recording = open_recording(database("vfdb") / "611")
    time_s = beats_of(detection.detect_beats(recording, [0, 1]))
    rr_s = np.diff(time_s[time_s > 1196])  # 138 bpm until the end
    assert np.median(rr_s) == pytest.approx(60 / 138, abs=0.02)
    assert (rr_s > 2).sum() <= 3


@pytest.mark.real
@pytest.mark.parametrize(
    ("record", "start_s", "stop_s", "least"),
    [
        ("418", 1440, 1500, 110),  # ventricular flutter that comes and goes; 75 before
        ("421", 1140, 1260, 210),  # runs of ventricular tachycardia; none before
        ("430", 1380, 1560, 450),  # ventricular fibrillation, large; 216 before
    ],
)
def test_malignant_rhythms_keep_their_beats(record: str, start_s: float, stop_s: float, least: int) -> None:
    time_s = beats_of(detection.detect_beats(open_recording(database("vfdb") / record), [0, 1]))
    assert ((time_s >= start_s) & (time_s < stop_s)).sum() >= least
