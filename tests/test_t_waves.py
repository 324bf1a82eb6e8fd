"""T waves are no beats, however tall; early ventricular beats and fast tachycardia are."""

from pathlib import Path

import numpy as np
import pytest

from ectopy.beats import detection
from ectopy.ecg import Samples, Signal
from ectopy.readers import open_recording
from tests.drawn_ecg import FS, WAVES, Waves, sketched, steady

SECONDS = 40
BEATS_S = steady(SECONDS)


def assert_beats(signal: Signal, expected_s: list[float]) -> None:
    found = detection.detect_qrs(signal, FS)
    assert len(found) == len(expected_s)
    assert np.abs(found / FS - np.array(sorted(expected_s))).max() <= 0.03


def wide_beat(qrs_width: float, t_height: float, t_width: float, *, gain: float = 1.0) -> Waves:
    """Draw a wide beat with a discordant T wave; ``t_height`` is a share of its R wave."""
    return (
        (0.0, qrs_width, 1.6 * gain),
        (0.07, qrs_width, -0.3 * gain),
        (0.27, t_width, -1.6 * t_height * gain),
    )


@pytest.mark.parametrize("every", [1, 2, 4])
@pytest.mark.parametrize(("t_height", "t_width"), [(0.6, 0.03), (0.9, 0.03)])
@pytest.mark.parametrize("qrs_width", [0.02, 0.04])
def test_the_t_wave_of_a_wide_beat_is_no_beat(
    every: int, t_height: float, t_width: float, qrs_width: float
) -> None:
    # Paced beats, bigeminy and quadrigeminy.
    wide_s = BEATS_S[every - 1 :: every]
    normal_s = sorted(set(BEATS_S) - set(wide_s))
    leads = [
        sketched({WAVES: normal_s, wide_beat(qrs_width, t_height, t_width, gain=gain): wide_s}, SECONDS)
        for gain in (1.0, -0.6)
    ]
    assert_beats(leads[0], BEATS_S)
    assert_beats(np.hstack(leads), BEATS_S)


def test_a_t_wave_as_large_as_its_beat_is_no_beat_where_every_beat_has_one() -> None:
    tented: Waves = (*WAVES[:-1], (0.28, 0.025, 1.6))
    assert_beats(sketched({tented: BEATS_S}, SECONDS), BEATS_S)


@pytest.mark.parametrize("coupling_s", [0.26, 0.3])
@pytest.mark.parametrize("height", [0.7, 1.6])
def test_a_ventricular_beat_on_the_t_wave_of_every_sixth_beat_is_a_beat(
    coupling_s: float, height: float
) -> None:
    wide: Waves = ((0.0, 0.02, height), (0.05, 0.02, -0.4 * height), (0.3, 0.06, -0.3 * height))
    early_s = [time_s + coupling_s for time_s in BEATS_S[3::6]]
    normal_s = [time_s for number, time_s in enumerate(BEATS_S) if number % 6 != 4]
    assert_beats(sketched({WAVES: normal_s, wide: early_s}, SECONDS), [*normal_s, *early_s])


@pytest.mark.parametrize("bpm", [190, 210, 240])
def test_fast_ventricular_tachycardia_loses_no_beat(bpm: float) -> None:
    tachycardia_s = (15.3 + np.arange(round(15 * bpm / 60)) * 60 / bpm).tolist()
    normal_s = [time_s for time_s in BEATS_S if not 15 < time_s < 31]
    leads = [
        sketched({WAVES: normal_s, ((0.0, 0.03, gain), (0.06, 0.03, -0.4 * gain)): tachycardia_s}, SECONDS)
        for gain in (1.6, -0.9)
    ]
    assert_beats(np.hstack(leads), [*normal_s, *tachycardia_s])


@pytest.mark.real
def test_record_119_has_no_couplet_of_a_ventricular_beat_and_its_t_wave(mitdb: Path) -> None:
    # It has 444 ventricular beats, each alone. Their T waves come after 270 ms; three were called beats.
    found: Samples = detection.detect_beats(open_recording(mitdb / "119"), (0, 1)).windows.sample
    assert np.diff(found).min() > 0.4 * 200
