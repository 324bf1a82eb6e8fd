import mmap
import re
import sys
import threading
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import pytest

from ectopy.beats import detection
from ectopy.beats.windows import WINDOW, pad_leads
from ectopy.ecg import VALUES_AT_ONCE, Recording, recording_of
from ectopy.features import extraction
from ectopy.readers import open_recording
from ectopy.signal.filters import WORKING_FS, working_length
from ectopy.signal.pacing_spikes import divide_spikes
from ectopy.signal.time_grid import TimeGrid
from tests.small import simulated


@pytest.fixture(scope="module")
def patient():
    return simulated()


def resident_bytes(array):
    """Return how much of the mapping that begins with an array is in memory."""
    at = array.__array_interface__["data"][0]
    mapping = Path("/proc/self/smaps").read_text(encoding="utf-8").partition(f"{at:x}-")[2]
    return 1024 * int(re.findall(r"^Rss:\s+(\d+)", mapping, re.MULTILINE)[0])


@pytest.mark.parametrize("block_s", [7.0, 33.3, 60.0, 1000.0])
def test_blocks_of_any_size_give_the_same_beats_and_windows(patient, block_s):
    whole = detection.detect_beats(patient.recording, (0, 1), block_s=3600).windows
    cut = detection.detect_beats(patient.recording, (0, 1), block_s=block_s).windows
    np.testing.assert_array_equal(cut.sample, whole.sample)
    np.testing.assert_array_equal(cut.readable, whole.readable)
    # half precision keeps three digits: one unit in the last place is 0.0005 of the largest deflection
    np.testing.assert_allclose(cut.signal.astype(float), whole.signal.astype(float), atol=1.1e-3)


class TestLongRecordings:
    """The next block is filtered in a thread, which changes nothing that a user sees."""

    def test_the_beats_and_waves_are_the_same(self, patient, monkeypatch):
        alone = detection.detect_beats(patient.recording, (0, 1), block_s=20)
        monkeypatch.setattr(detection, "LONG_S", 0.0)
        ahead = detection.detect_beats(patient.recording, (0, 1), block_s=20)
        for name in ("sample", "signal", "scale", "readable", "after_gap"):
            np.testing.assert_array_equal(getattr(ahead.windows, name), getattr(alone.windows, name))
        np.testing.assert_array_equal(ahead.waves.of_leads, alone.waves.of_leads)
        np.testing.assert_array_equal(ahead.unreadable, alone.unreadable)

    def test_windows_in_a_file_are_the_same(self, patient, monkeypatch):
        in_memory = detection.detect_beats(patient.recording, (0, 1)).windows
        monkeypatch.setattr(detection, "LONGEST_IN_MEMORY_S", 0.0)
        in_file = detection.detect_beats(patient.recording, (0, 1)).windows
        assert isinstance(in_file.signal.base, mmap.mmap)
        np.testing.assert_array_equal(in_file.signal, in_memory.signal)
        for some in (slice(3, 30), np.array([40, 2]), in_file.readable[:, 0]):
            np.testing.assert_array_equal(in_file.take(some).signal, in_memory.signal[some])

    def test_a_file_without_a_window_is_no_error(self, monkeypatch):
        monkeypatch.setattr(detection, "LONGEST_IN_MEMORY_S", 0.0)
        flat = recording_of(np.zeros((5000, 1), dtype=np.float32), 250.0)
        assert detection.detect_beats(flat, (0,)).windows.signal.shape == (0, 1, WINDOW)

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no disk that is always full")
    def test_a_full_disk_is_named(self, patient, monkeypatch):
        monkeypatch.setattr(detection, "LONGEST_IN_MEMORY_S", 0.0)
        monkeypatch.setattr(detection, "TemporaryFile", partial(Path("/dev/full").open, "wb"))
        with pytest.raises(OSError, match="No space left on device") as raised:
            detection.detect_beats(patient.recording, (0, 1))
        assert raised.value.filename == gettempdir()

    @pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
    def test_windows_in_a_file_are_in_memory_only_while_they_are_looked_at(self, patient, monkeypatch):
        monkeypatch.setattr(detection, "LONGEST_IN_MEMORY_S", 0.0)
        windows = detection.detect_beats(patient.recording, (0, 1)).windows
        windows.signal.sum()
        assert resident_bytes(windows.signal) >= windows.signal.nbytes
        windows.take(slice(0, 1))
        assert resident_bytes(windows.signal) == 0

    def test_a_recording_is_read_in_the_thread_of_its_user_at_most_one_block_ahead(self, monkeypatch):
        monkeypatch.setattr(detection, "LONG_S", 0.0)
        threads, n_read = set(), 0

        def read(start, stop):
            nonlocal n_read
            threads.add(threading.get_ident())
            n_read += 1
            return np.zeros((stop - start, 1), dtype=np.float32)

        recording = Recording("mine", 360.0, ("II",), 200 * 360, read)
        for number, _ in enumerate(detection.blocks(recording, (0,), block_s=20), start=1):
            assert number <= n_read <= number + 1
        assert threads == {threading.get_ident()}

    def test_a_function_of_the_user_may_return_the_same_memory_each_time(self, patient, monkeypatch):
        n_samples = patient.recording.n_samples
        signal = patient.recording.read(0, n_samples)[:, :1].copy()
        memory, has_read_again = np.empty_like(signal), threading.Event()

        def read(start, stop):
            memory[: stop - start] = signal[start:stop]
            if start:
                has_read_again.set()
            return memory[: stop - start]

        def divide_late(*of_a_block):
            assert has_read_again.wait(10)
            return divide_spikes(*of_a_block)

        alone = detection.detect_beats(recording_of(signal, 360), (0,), block_s=20).windows
        monkeypatch.setattr(detection, "divide_spikes", divide_late)
        monkeypatch.setattr(detection, "LONG_S", 0.0)
        ahead = detection.detect_beats(Recording("mine", 360.0, ("II",), n_samples, read), (0,), block_s=20)
        np.testing.assert_array_equal(ahead.windows.sample, alone.sample)
        np.testing.assert_array_equal(ahead.windows.signal, alone.signal)

    def test_an_error_while_reading_ends_the_analysis(self, monkeypatch):
        monkeypatch.setattr(detection, "LONG_S", 0.0)

        def read(start, stop):
            if start > 60 * 360:
                raise OSError("the disk is gone")
            return np.zeros((stop - start, 1), dtype=np.float32)

        with pytest.raises(OSError, match="the disk is gone"):
            detection.detect_beats(Recording("mine", 360.0, ("II",), 200 * 360, read), (0,), block_s=20)


@pytest.mark.parametrize("block_s", [11.0, 50.0])
def test_blocks_of_any_size_find_the_same_gaps(block_s):
    signal = simulated().recording.read(0, 60 * 360).copy()
    signal[20 * 360 : 35 * 360] = np.nan
    recording = recording_of(signal, 360)
    whole = detection.detect_beats(recording, (0, 1), block_s=3600).unreadable
    cut = detection.detect_beats(recording, (0, 1), block_s=block_s).unreadable
    np.testing.assert_array_equal(cut, whole)
    np.testing.assert_allclose(TimeGrid.of(recording).edges_to_recording(whole) / 360, [[20, 35]], atol=0.2)


@pytest.mark.parametrize("fs", [100.0, 128.0, 250.0, 257.3, 360.0, 500.0, 1000.0])
def test_every_working_sample_is_in_the_core_of_one_block(fs):
    recording = recording_of(np.zeros((round(100 * fs) + 1, 1)), fs)
    spans = [(block.start, block.stop) for block in detection.blocks(recording, (0,), block_s=7)]
    assert spans[0][0] == 0
    assert spans[-1][1] == working_length(recording.n_samples, recording.fs)
    assert all(earlier[1] == later[0] for earlier, later in pairwise(spans))


def test_a_block_at_a_high_rate_is_shorter_than_ten_minutes():
    n_read = []

    def read(start, stop):
        n_read.append(stop - start)
        return np.full((stop - start, 2), np.nan, dtype=np.float32)

    recording = Recording("fine", 50_000.0, ("II", "V1"), 300 * 50_000, read)
    spans = [(block.start, block.stop) for block in detection.blocks(recording, (0, 1))]
    assert spans[-1][1] == 300 * WORKING_FS
    assert max(n_read) * 2 < 1.5 * VALUES_AT_ONCE  # with the margins


@pytest.mark.parametrize("fs", [128.0, 250.0, 257.3, 360.0, 1000.0])
def test_the_signal_of_a_block_covers_its_core(fs):
    recording = recording_of(np.zeros((round(100 * fs) + 1, 1)), fs)
    for block in detection.blocks(recording, (0,), block_s=7):
        assert len(block.filtered[block.core]) == block.stop - block.start
        assert len(block.filtered) == len(block.usable)


def test_the_grids_are_inverse_to_half_a_sample():
    recording = recording_of(np.zeros(36_001), 360)
    sample = np.arange(0, 36_000, 7)
    grid = TimeGrid.of(recording)
    round_trip = grid.to_recording(grid.to_working(sample))
    assert np.abs(round_trip - sample).max() <= np.ceil(360 / WORKING_FS / 2)


@pytest.mark.parametrize("fs", [100.0, 200.0, 257.3, 360.0])
def test_no_index_is_converted_beyond_the_end(fs):
    grid = TimeGrid(fs, 1001)
    last, end = np.array([1000]), np.array([grid.n_working])
    assert grid.to_working(last + 50)[0] == grid.n_working - 1
    assert grid.to_recording(end)[0] == 1000
    assert grid.edges_to_recording(end)[0] == 1001  # the end of an interval is exclusive
    assert TimeGrid(fs, 0).to_recording(np.array([0])).tolist() == [0]


@pytest.mark.parametrize("fs", [128.0512, 124.945, 999.56, 1017.25])
def test_times_do_not_drift_at_an_odd_rate(fs):
    """The rate is approximated by a ratio of small numbers; indices must be converted by the same ratio."""
    n_samples = round(5 * 3600 * fs)
    recording = Recording("odd", fs, ("II",), n_samples, lambda a, b: np.zeros((b - a, 1), np.float32))
    *_, last = detection.blocks(recording, (0,), block_s=3600)
    grid = TimeGrid.of(recording)
    end = grid.to_recording(np.array([last.stop]))[0]
    assert abs(int(end) - n_samples) <= np.ceil(fs / WORKING_FS)
    assert abs(int(grid.to_working(np.array([n_samples]))[0]) - last.stop) <= 1


def test_features_see_a_lost_lead_as_unreadable(patient):
    windows = detection.detect_beats(patient.recording, (0,)).windows
    assert windows.readable[:, 0].all()
    assert not windows.readable[:, 1].any()
    assert windows.signal.shape[1] == 1
    assert not pad_leads(windows.signal)[:, 1].any()
    assert extraction.extract_features(windows).shape == (len(windows), len(extraction.FEATURE_NAMES))


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


class TestChunks:
    """Beats are selected in chunks of some hours; the context on either side is enough for every selection."""

    @pytest.mark.parametrize(("chunk_s", "block_s"), [(300, 600.0), (300, 70.0), (420, 100.0), (1e6, 3600.0)])
    def test_chunks_of_any_length_have_the_same_beats(self, long, in_one, chunk_s, block_s):
        detected = detection.detect_beats(long, (0, 1), block_s=block_s, chunk_s=chunk_s, context_s=200.0)
        assert len(in_one.unreadable) >= 2
        np.testing.assert_array_equal(detected.windows.sample, in_one.windows.sample)
        np.testing.assert_array_equal(detected.windows.readable, in_one.windows.readable)
        np.testing.assert_array_equal(detected.low_quality, in_one.low_quality)
        np.testing.assert_array_equal(detected.unreadable, in_one.unreadable)

    def test_a_chunk_without_context_has_other_beats(self, long, in_one):
        detected = detection.detect_beats(long, (0, 1), chunk_s=60, context_s=0.0)
        assert not np.array_equal(detected.windows.sample, in_one.windows.sample)

    @pytest.mark.parametrize("r_peaks", [None, np.arange(500, 359_000, 170)])
    def test_every_array_has_one_row_per_beat(self, long, r_peaks):
        detected = detection.detect_beats(long, (0,), r_peaks=r_peaks)
        assert len(detected.windows) == len(detected.low_quality) == len(detected.windows.signal)
        if r_peaks is not None:
            np.testing.assert_array_equal(detected.windows.sample, r_peaks)

    @pytest.mark.real
    @pytest.mark.parametrize("record", ["203", "207", "222"])
    def test_chunks_of_real_records_have_the_same_beats(self, mitdb, record):
        recording = open_recording(mitdb / record)
        whole = detection.detect_beats(recording, (0, 1))
        detected = detection.detect_beats(recording, (0, 1), chunk_s=400, context_s=200.0)
        np.testing.assert_array_equal(detected.windows.sample, whole.windows.sample)
        np.testing.assert_array_equal(detected.unreadable, whole.unreadable)

    @pytest.mark.parametrize("chunk_s", [200, 300, 600])
    def test_a_chunk_may_end_where_a_block_does(self, long, in_one, chunk_s):
        detected = detection.detect_beats(long, (0, 1), block_s=100.0, chunk_s=chunk_s, context_s=200.0)
        np.testing.assert_array_equal(detected.windows.sample, in_one.windows.sample)

    def test_noise_longer_than_a_chunk_and_its_context_is_found(self, long):
        """An hour of noise; its edges may differ by a few beats, whose similar beats may lie in another chunk."""
        rng = np.random.default_rng(2)
        mv, fs = long.read(0, 120_000), 200
        noise = rng.normal(0, 3, (3600 * fs, 2)).astype(np.float32)
        recording = recording_of(np.concatenate([mv, noise, mv]), fs, leads=long.leads)
        whole = detection.detect_beats(recording, (0, 1))
        detected = detection.detect_beats(recording, (0, 1), chunk_s=1200)
        differ = np.setxor1d(detected.windows.sample, whole.windows.sample)
        assert np.abs(differ[:, None] - (600 * fs, 4200 * fs)).min(axis=1).max(initial=0) < 5 * fs
        np.testing.assert_allclose(detected.unreadable, whole.unreadable, atol=5 * fs)
        assert np.diff(detected.unreadable).max() > 3590 * fs

    @pytest.mark.parametrize("n_samples", [0, 1, 700])
    @pytest.mark.parametrize("r_peaks", [None, np.empty(0, dtype=np.int64)])
    def test_a_recording_without_heart_has_no_beats(self, n_samples, r_peaks):
        detected = detection.detect_beats(
            recording_of(np.zeros((n_samples, 1)), 250.0), (0,), r_peaks=r_peaks
        )
        assert (len(detected.windows), len(detected.low_quality)) == (0, 0)
        assert detected.windows.signal.shape[1:] == (1, WINDOW)
