"""EDF at the limits of its rules: parts of the file, times that jitter, and padding, each with its number."""

from pathlib import Path

import numpy as np
import pytest

from ectopy import readers
from ectopy.ecg import UnreadableError
from ectopy.readers.edf import reader
from tests.format_files import counts, edf_in_parts, edf_signal, write_edf


@pytest.mark.parametrize("read_bytes", [1, 540, 1200, 1620])
def test_onsets_are_read_in_parts_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_bytes: int
) -> None:
    # A data record has 540 bytes: 250 samples and 20 words of annotations. Seven of them, with two gaps.
    onsets = [0.0, 1.0, 4.0, 5.0, 6.0, 9.0, 10.0]
    stored = counts(7 * 250, 1)[:, 0]
    path = edf_in_parts(tmp_path / "a.edf", stored, onsets)
    expected = np.full(11 * 250, np.nan)
    for number, onset in enumerate(onsets):
        expected[round(onset * 250) :][:250] = stored[number * 250 :][:250] / 1000
    monkeypatch.setattr(reader, "_READ_BYTES", read_bytes)
    recording = readers.open_recording(path)
    assert recording.n_samples == len(expected)
    np.testing.assert_allclose(recording.read(0, len(expected))[:, 0], expected, rtol=1e-6)


@pytest.mark.parametrize(("late_s", "n_samples"), [(0.008, 500), (0.012, 503), (-0.008, 500)])
def test_parts_within_10_ms_are_contiguous(tmp_path: Path, late_s: float, n_samples: int) -> None:
    # At 250 Hz 10 ms are 2.5 samples, rounded to 2: a part 3 samples late leaves a gap of 3.
    path = edf_in_parts(tmp_path / "a.edf", counts(500, 1)[:, 0], [0, 1 + late_s])
    assert readers.open_recording(path).n_samples == n_samples


def test_a_part_that_begins_earlier_than_that_overlaps(tmp_path: Path) -> None:
    path = edf_in_parts(tmp_path / "a.edf", counts(500, 1)[:, 0], [0, 0.988])
    with pytest.raises(UnreadableError, match="overlap"):
        readers.open_recording(path)


def test_at_a_low_rate_one_sample_of_jitter_is_allowed(tmp_path: Path) -> None:
    # 10 ms at 60 Hz are 0.6 samples, rounded to 1; 20 ms late is 1 sample, 40 ms are 2.
    stored = counts(120, 1)[:, 0]
    for late_s, n_samples in ((0.02, 120), (0.04, 122)):
        path = edf_in_parts(tmp_path / "a.edf", stored, [0, 1 + late_s], per_record=60)
        assert readers.open_recording(path).n_samples == n_samples


def test_a_discontinuous_file_of_too_many_parts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = edf_in_parts(tmp_path / "a.edf", counts(750, 1)[:, 0], [0, 1, 2])
    monkeypatch.setattr(reader, "_MOST_PARTED", 3)
    assert readers.open_recording(path).n_samples == 750
    monkeypatch.setattr(reader, "_MOST_PARTED", 2)
    with pytest.raises(UnreadableError, match="3 data records in a discontinuous file"):
        readers.open_recording(path)


@pytest.mark.parametrize(("n_padded", "n_missing"), [(0, 0), (1, 0), (2, 2), (249, 249), (250, 250)])
def test_two_samples_of_padding_or_more_are_missing(tmp_path: Path, n_padded: int, n_missing: int) -> None:
    # One alone may be a recorded sample of the lowest value.
    stored = counts(1000, 2)
    stored[1000 - n_padded :] = -(2**15)
    path = write_edf(
        tmp_path / "a.edf", [edf_signal(stored[:, i], lead) for i, lead in enumerate(("II", "V1"))]
    )
    missing = np.isnan(readers.open_recording(path).read(0, 1000))
    assert missing.all(axis=1).sum() == missing.any(axis=1).sum() == n_missing
    assert not missing[: 1000 - n_missing].any()


def test_padding_of_one_lead_only_is_signal(tmp_path: Path) -> None:
    stored = counts(1000, 2)
    stored[900:, 0] = -(2**15)
    path = write_edf(
        tmp_path / "a.edf", [edf_signal(stored[:, i], lead) for i, lead in enumerate(("II", "V1"))]
    )
    assert np.isfinite(readers.open_recording(path).read(0, 1000)).all()


def test_padding_is_missing_in_a_block_that_starts_in_it(tmp_path: Path) -> None:
    stored = counts(1000, 2)
    stored[900:] = -(2**15)
    path = write_edf(
        tmp_path / "a.edf", [edf_signal(stored[:, i], lead) for i, lead in enumerate(("II", "V1"))]
    )
    recording = readers.open_recording(path)
    assert np.isnan(recording.read(950, 1000)).all()
    assert np.isnan(recording.read(890, 1000)).all(axis=1).tolist() == [False] * 10 + [True] * 100


def test_24_bits_have_a_sign(tmp_path: Path) -> None:
    raw = np.array([[0, 0, 0], [255, 255, 127], [0, 0, 128], [255, 255, 255], [1, 2, 3]], dtype=np.uint8)
    assert reader._whole_numbers(raw, 3).tolist() == [0, 2**23 - 1, -(2**23), -1, 1 + 2 * 2**8 + 3 * 2**16]
    assert reader._whole_numbers(raw[:, :2], 2).tolist() == [0, -1, 0, -1, 1 + 2 * 2**8]


def test_the_fields_of_twelve_leads_are_told_apart(tmp_path: Path) -> None:
    # Every lead has its own samples, and every field of the header twelve entries of its own width.
    names = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
    stored = counts(1000, 12)
    path = write_edf(tmp_path / "a.edf", [edf_signal(stored[:, i], lead) for i, lead in enumerate(names)])
    recording = readers.open_recording(path)
    assert (recording.leads, recording.fs) == (names, 250)
    np.testing.assert_allclose(recording.read(0, 1000), stored / 1000, rtol=1e-6)
