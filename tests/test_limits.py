"""Values that no heart and no electrode can cause count as missing and are named; offsets do not matter."""

import numpy as np
import pytest

import ectopy
from ectopy.ecg import (
    MAX_MV,
    USUAL_MAX_MV,
    NotAnalysableError,
    Recording,
    Signal,
    recording_in_any_unit,
    recording_of,
)
from ectopy.report.summary import not_analysable_reason
from tests.small import signal_of

FS = 250.0
FILLS = (9.96921e36, -1e15, 2e4, np.inf, -np.inf, 1e300, 9999.0, -9999.0, -999.0, 999.9)


def beats_of(signal: Signal) -> list[tuple[int, str]]:
    beats = ectopy.analyse(signal, fs=FS).beats
    return list(zip(beats.sample.tolist(), beats.label.tolist(), strict=True))


@pytest.fixture(scope="module")
def clean() -> Signal:
    return signal_of(minutes=12.0, seed=3)


def filled(signal: Signal, value: float) -> np.ndarray:
    """Put a value into one sample of every minute of the first lead."""
    signal = signal.astype(np.float64)
    signal[1234 :: round(60 * FS), 0] = value
    return signal


@pytest.mark.parametrize("value", FILLS)
def test_a_fill_value_costs_no_beat_and_is_noted(clean, value):
    analysis = ectopy.analyse(filled(clean, value), fs=FS)
    expected = ectopy.analyse(clean, fs=FS)
    np.testing.assert_array_equal(analysis.beats.label, expected.beats.label)
    assert np.abs(analysis.beats.sample - expected.beats.sample).max() <= 2
    assert analysis.recording.notes == ("12 samples of lead lead 1 beyond 0.5 V count as missing",)
    assert "Note: 12 samples" in str(analysis)


@pytest.mark.parametrize("value", FILLS)
def test_qrs_detection_of_an_array_passes_the_same_limit(clean, value):
    found, expected = (ectopy.detect_qrs(signal, FS) for signal in (filled(clean, value), clean))
    assert np.abs(found - expected).max() <= 2


def test_the_analysis_and_its_strips_read_the_value_as_missing(clean):
    analysis = ectopy.analyse(filled(clean, 1e36), fs=FS)
    assert np.isnan(analysis.read(1234, 1235)).tolist() == [[True, False]]


def test_a_clean_recording_has_no_note_and_is_read_once(clean):
    reads = []

    def read(start: int, stop: int) -> Signal:
        reads.append((start, stop))
        part: Signal = clean[start:stop]
        return part

    analysis = ectopy.analyse(Recording("r", FS, ("II", "V1"), len(clean), read))
    assert analysis.recording.notes == ()
    assert sum(stop - start for start, stop in reads) < 1.1 * len(clean)


@pytest.mark.parametrize("offset_mv", [300.0, -2500.0, 5000.0])
@pytest.mark.parametrize("fs", [250.0, 360.0, 500.0])
def test_an_electrode_offset_of_volts_hides_no_beat(offset_mv, fs):
    signal = signal_of(minutes=2.0, fs=fs, seed=5)
    found, expected = (ectopy.analyse(x, fs=fs).beats for x in (signal + np.float32(offset_mv), signal))
    np.testing.assert_allclose(found.sample, expected.sample, atol=0.02 * fs)
    np.testing.assert_array_equal(found.label, expected.label)


def test_most_samples_beyond_the_limit_mean_a_wrong_unit_and_not_a_lost_lead(clean):
    signal = clean * np.float32(1e6)
    signal[5000, 1] = 1e30
    analysis = ectopy.analyse(recording_in_any_unit(signal, FS))
    assert [sample for sample, _ in beats_of(clean)] == analysis.beats.sample.tolist()
    units = [f"the unit of lead lead {n} is wrong: most samples are beyond 10 V" for n in (1, 2)]
    limit = f"{analysis.recording.limits_mv[1] / 1000:g} V"
    assert analysis.recording.notes == (*units, f"1 sample of lead lead 2 beyond {limit} count as missing")


def test_a_recording_of_fill_values_only_says_that_every_sample_is_missing():
    recording = recording_of(np.full((9000, 2), 9.96921e36), FS)
    assert not_analysable_reason(recording) == "every sample is missing"
    assert len(ectopy.analyse(recording).beats) == 0


@pytest.mark.parametrize("factor", [400.0, 1000.0])
def test_a_lead_in_other_units_keeps_its_largest_waves(clean, factor):
    recording = recording_in_any_unit(clean * np.float32(factor), FS)
    assert np.abs(clean).max() * factor > USUAL_MAX_MV
    assert np.isfinite(recording.read_leads([0, 1], 0, len(clean))).all()


def test_the_limit_itself_is_possible():
    signal = np.full((100, 1), MAX_MV, dtype=np.float32)
    assert recording_of(signal, FS).read_leads([0], 0, 100)[0, 0] == MAX_MV


def test_leads_keep_their_own_limits():
    signal = np.tile(np.array([[1e6, 0.5]], dtype=np.float32), (5000, 1))
    signal[7] = 2e5
    read = recording_of(signal, FS).read_leads([1, 0], 0, 10)
    assert np.isnan(read[7, 0])
    assert read[7, 1] == 2e5


def test_a_lead_that_does_not_exist_is_still_the_users_mistake(clean):
    with pytest.raises(NotAnalysableError):
        ectopy.analyse(recording_of(filled(clean, 1e36), FS), leads="V9")
