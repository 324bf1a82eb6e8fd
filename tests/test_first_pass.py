from itertools import pairwise

import numpy as np
import pytest

from ectopy.beats import detection
from ectopy.beats.windows import WINDOW, pad_leads
from ectopy.ecg import Recording, recording_of
from ectopy.features import extraction
from ectopy.readers import open_recording
from ectopy.signal.filters import WORKING_FS, working_length
from tests.small import simulated


@pytest.fixture(scope="module")
def patient():
    return simulated()


@pytest.mark.parametrize("block_s", [7.0, 33.3, 60.0, 1000.0])
def test_blocks_of_any_size_give_the_same_beats_and_shapes(patient, block_s):
    whole = detection.detect_beats(patient.recording, (0, 1), block_s=3600).shapes
    cut = detection.detect_beats(patient.recording, (0, 1), block_s=block_s).shapes
    np.testing.assert_array_equal(cut.sample, whole.sample)
    np.testing.assert_array_equal(cut.readable, whole.readable)
    # half precision keeps three digits: one unit in the last place is 0.0005 of the largest deflection
    np.testing.assert_allclose(cut.windows.astype(float), whole.windows.astype(float), atol=1.1e-3)


@pytest.mark.parametrize("block_s", [11.0, 50.0])
def test_blocks_of_any_size_find_the_same_gaps(block_s):
    signal = simulated().recording.read(0, 60 * 360).copy()
    signal[20 * 360 : 35 * 360] = np.nan
    recording = recording_of(signal, 360)
    whole = detection.detect_beats(recording, (0, 1), block_s=3600).unreadable
    cut = detection.detect_beats(recording, (0, 1), block_s=block_s).unreadable
    np.testing.assert_array_equal(cut, whole)
    np.testing.assert_allclose(detection.edges_to_recording(whole, recording) / 360, [[20, 35]], atol=0.2)


@pytest.mark.parametrize("fs", [100.0, 128.0, 250.0, 257.3, 360.0, 500.0, 1000.0])
def test_blocks_answer_for_every_working_sample_once(fs):
    recording = recording_of(np.zeros((round(100 * fs) + 1, 1)), fs)
    spans = [(block.start, block.stop) for block in detection.blocks(recording, (0,), block_s=7)]
    assert spans[0][0] == 0
    assert spans[-1][1] == working_length(recording.n_samples, recording.fs)
    assert all(one[1] == other[0] for one, other in pairwise(spans))


@pytest.mark.parametrize("fs", [128.0, 250.0, 257.3, 360.0, 1000.0])
def test_a_block_s_signal_reaches_as_far_as_it_answers_for(fs):
    recording = recording_of(np.zeros((round(100 * fs) + 1, 1)), fs)
    for block in detection.blocks(recording, (0,), block_s=7):
        assert len(block.clean[block.answers_for]) == block.stop - block.start
        assert len(block.clean) == len(block.usable)


def test_the_grids_are_inverse_to_half_a_sample():
    recording = recording_of(np.zeros(36_001), 360)
    sample = np.arange(0, 36_000, 7)
    there_and_back = detection.to_recording(detection.to_working(sample, recording), recording)
    assert np.abs(there_and_back - sample).max() <= np.ceil(360 / WORKING_FS / 2)


@pytest.mark.parametrize("fs", [128.0512, 124.945, 999.56, 1017.25])
def test_times_do_not_drift_at_an_odd_rate(fs):
    """A ratio of small numbers stands for the rate; what is found must go back by the same ratio."""
    n_samples = round(5 * 3600 * fs)
    recording = Recording("odd", fs, ("II",), n_samples, lambda a, b: np.zeros((b - a, 1), np.float32))
    *_, last = detection.blocks(recording, (0,), block_s=3600)
    end = detection.to_recording(np.array([last.stop]), recording)[0]
    assert abs(int(end) - n_samples) <= np.ceil(fs / WORKING_FS)
    assert abs(int(detection.to_working(np.array([n_samples]), recording)[0]) - last.stop) <= 1


def test_features_see_a_lost_lead_as_unreadable(patient):
    shapes = detection.detect_beats(patient.recording, (0,)).shapes
    assert shapes.readable[:, 0].all()
    assert not shapes.readable[:, 1].any()
    assert shapes.windows.shape[1] == 1
    assert not pad_leads(shapes.windows)[:, 1].any()
    assert extraction.extract_features(shapes).shape == (len(shapes), len(extraction.FEATURE_NAMES))


@pytest.fixture(scope="module")
def long():
    """Half an hour, with a gap, noise without a beat, and noise over beats."""
    rng = np.random.default_rng(11)
    whole = simulated(minutes=30, fs=200.0, seed=11).recording
    mv = whole.read(0, whole.n_samples).copy()
    mv[60_000:75_000] = np.nan
    mv[150_000:170_000] = rng.normal(0, 1, (20_000, 2))
    mv[250_000:280_000] += rng.normal(0, 0.4, (30_000, 2))
    return recording_of(mv, 200.0, leads=whole.leads)


@pytest.fixture(scope="module")
def in_one(long):
    return detection.detect_beats(long, (0, 1))


class TestChapters:
    """Beats are chosen some hours at a time; no choice rests on more than what is known around a chapter."""

    @pytest.mark.parametrize(
        ("chapter_s", "block_s"), [(300, 600.0), (300, 70.0), (420, 100.0), (1e6, 3600.0)]
    )
    def test_chapters_of_any_length_have_the_same_beats(self, long, in_one, chapter_s, block_s, monkeypatch):
        monkeypatch.setattr(detection, "CHAPTER_S", chapter_s)
        monkeypatch.setattr(detection, "AROUND_S", 200.0)
        found = detection.detect_beats(long, (0, 1), block_s=block_s)
        assert len(in_one.unreadable) >= 2
        np.testing.assert_array_equal(found.shapes.sample, in_one.shapes.sample)
        np.testing.assert_array_equal(found.shapes.readable, in_one.shapes.readable)
        np.testing.assert_array_equal(found.doubtful, in_one.doubtful)
        np.testing.assert_array_equal(found.unreadable, in_one.unreadable)

    def test_a_chapter_that_knows_nothing_around_it_would_have_others(self, long, in_one, monkeypatch):
        monkeypatch.setattr(detection, "CHAPTER_S", 60)
        monkeypatch.setattr(detection, "AROUND_S", 0.0)
        found = detection.detect_beats(long, (0, 1))
        assert not np.array_equal(found.shapes.sample, in_one.shapes.sample)

    @pytest.mark.parametrize("r_peaks", [None, np.arange(500, 359_000, 170)])
    def test_what_is_kept_is_of_the_beats_alone(self, long, r_peaks):
        found = detection.detect_beats(long, (0,), r_peaks=r_peaks)
        assert len(found.shapes) == len(found.doubtful) == len(found.shapes.windows)
        if r_peaks is not None:
            np.testing.assert_array_equal(found.shapes.sample, r_peaks)

    @pytest.mark.real
    @pytest.mark.parametrize("record", ["203", "207", "222"])
    def test_so_have_chapters_of_true_records(self, mitdb, record, monkeypatch):
        recording = open_recording(mitdb / record)
        whole = detection.detect_beats(recording, (0, 1))
        monkeypatch.setattr(detection, "CHAPTER_S", 400)
        monkeypatch.setattr(detection, "AROUND_S", 200.0)
        found = detection.detect_beats(recording, (0, 1))
        np.testing.assert_array_equal(found.shapes.sample, whole.shapes.sample)
        np.testing.assert_array_equal(found.unreadable, whole.unreadable)

    @pytest.mark.parametrize("chapter_s", [200, 300, 600])
    def test_a_chapter_may_end_where_a_block_does(self, long, in_one, chapter_s, monkeypatch):
        monkeypatch.setattr(detection, "CHAPTER_S", chapter_s)
        monkeypatch.setattr(detection, "AROUND_S", 200.0)
        found = detection.detect_beats(long, (0, 1), block_s=100.0)
        np.testing.assert_array_equal(found.shapes.sample, in_one.shapes.sample)

    def test_noise_that_outlasts_what_is_known_around_a_chapter_is_found_all_the_same(
        self, long, monkeypatch
    ):
        """An hour of it; where it begins and ends it is told to a few beats, whose like a chapter may not see."""
        rng = np.random.default_rng(2)
        mv, fs = long.read(0, 120_000), 200
        noise = rng.normal(0, 3, (3600 * fs, 2)).astype(np.float32)
        recording = recording_of(np.concatenate([mv, noise, mv]), fs, leads=long.leads)
        whole = detection.detect_beats(recording, (0, 1))
        monkeypatch.setattr(detection, "CHAPTER_S", 1200)
        found = detection.detect_beats(recording, (0, 1))
        differ = np.setxor1d(found.shapes.sample, whole.shapes.sample)
        assert np.abs(differ[:, None] - (600 * fs, 4200 * fs)).min(axis=1).max(initial=0) < 5 * fs
        np.testing.assert_allclose(found.unreadable, whole.unreadable, atol=5 * fs)
        assert np.diff(found.unreadable).max() > 3590 * fs

    @pytest.mark.parametrize("n_samples", [0, 1, 700])
    @pytest.mark.parametrize("r_peaks", [None, np.empty(0, dtype=np.int64)])
    def test_nothing_has_no_beats(self, n_samples, r_peaks):
        found = detection.detect_beats(recording_of(np.zeros((n_samples, 1)), 250.0), (0,), r_peaks=r_peaks)
        assert (len(found.shapes), len(found.doubtful)) == (0, 0)
        assert found.shapes.windows.shape[1:] == (1, WINDOW)
