"""Test the overview of the signal: extremes in bins, and cuts around beats, for blocks of any size."""

from dataclasses import replace

import numpy as np
import pytest

from ectopy.ecg import Analysis, BeatClass, Recording, recording_of
from ectopy.report import signal_overview as overview_module
from ectopy.report.signal_overview import LINE_BINS, bin_edges, lines_of, signal_overview
from tests.handmade import FS, analysis_of, beats_of, recording_for


def noise_of(n_samples: int, fs: float = FS) -> Recording:
    signal = np.random.default_rng(0).normal(size=(n_samples, 2)).astype(np.float32)
    return recording_of(signal, fs, leads=("II", "V1"))


def with_beats(recording: Recording, letters: str, rr_s: float = 0.8) -> Analysis:
    return analysis_of(recording, beats_of(letters, rr_s))


class TestLines:
    @pytest.mark.parametrize(
        ("duration_s", "line_s"),
        [
            (10, 10),  # one line, however short
            (59.9, 59.9),
            (60, 60),
            (1806, 60),
            (9000, 60),  # 150 lines of a minute
            (9001, 300),
            (86_400, 600),  # a day: 144 lines
            (14 * 86_400, 14_400),  # two weeks: 84
            (60 * 86_400, 14_400),
        ],
    )
    def test_a_line_is_as_long_as_150_of_them_need(self, duration_s: float, line_s: float) -> None:
        assert lines_of(duration_s, 250.0)[0] == line_s

    def test_no_bin_is_less_than_a_sample(self) -> None:
        assert lines_of(60, 1.0) == (60.0, 60)
        assert lines_of(60, 250.0) == (60.0, LINE_BINS)
        assert lines_of(2, 250.0) == (2, 500)

    def test_bins_cover_every_sample_once(self) -> None:
        # 250 Hz, 75 ms: 18.75 samples.
        edges = bin_edges(1000, 18.75)
        assert (edges[0], edges[-1]) == (0, 1000)
        assert set(np.diff(edges)[:-1]) == {18, 19}

    def test_an_empty_recording_has_no_bin(self) -> None:
        assert len(bin_edges(0, 18.75)) == 1


class TestExtremes:
    def test_each_bin_has_its_least_and_its_greatest(self) -> None:
        recording = noise_of(6000)
        overview = signal_overview(with_beats(recording, "NNN"))
        lead = recording.read(0, 6000)[:, 0]
        assert len(overview.low) == LINE_BINS
        for start, stop, low, high in zip(
            overview.edges, overview.edges[1:], overview.low, overview.high, strict=False
        ):
            assert (low, high) == (lead[start:stop].min(), lead[start:stop].max())

    def test_missing_samples_are_left_out_and_a_bin_without_any_is_missing(self) -> None:
        signal = np.ones(6000, dtype=np.float32)
        signal[[0, 3]] = np.nan
        signal[300:600] = np.nan
        recording = recording_of(signal, FS)
        overview = signal_overview(analysis_of(recording, beats_of("")))
        assert np.flatnonzero(np.isnan(overview.low)).tolist() == list(range(40, 80))  # 7.5 samples each
        assert overview.low[0] == 1

    def test_the_first_analysed_lead_is_shown(self) -> None:
        recording = recording_of(np.tile([1.0, 2.0], (6000, 1)), FS, leads=("II", "V1"))
        overview = signal_overview(analysis_of(recording, beats_of(""), leads=("V1", "II")))
        assert set(overview.high.tolist()) == {2.0}

    @pytest.mark.parametrize("block_s", [0.01, 1.0, 7.3, 60.0])
    def test_blocks_of_any_size_show_the_same(self, block_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
        recording = noise_of(20_000)
        analysis = with_beats(recording, "NVNNSNNV" * 20)
        whole = signal_overview(analysis)
        monkeypatch.setattr(overview_module, "BLOCK_S", block_s)
        again = signal_overview(analysis)
        assert np.array_equal(again.low, whole.low)
        assert np.array_equal(again.high, whole.high)
        for letter, cuts in whole.cuts.items():
            assert np.array_equal(again.cuts[letter], cuts, equal_nan=True)

    def test_every_sample_is_read_and_hardly_one_twice(self) -> None:
        whole = noise_of(100_000)
        asked: list[int] = []

        def read(start: int, stop: int) -> np.ndarray:
            asked.append(stop - start)
            return whole.read(start, stop)

        recording = Recording("counted", FS, whole.leads, whole.n_samples, read)
        signal_overview(with_beats(recording, "NNN"))
        # Four blocks of 300 s; 0.8 s of each reach into the next.
        assert 100_000 <= sum(asked) <= 100_000 + 4 * 80
        assert max(asked) <= 30_080


class TestCuts:
    def test_a_cut_is_the_signal_around_its_beat(self) -> None:
        recording = noise_of(6000)
        analysis = with_beats(recording, "NVN")
        cuts = signal_overview(analysis).cuts
        assert set(cuts) == {BeatClass.NORMAL, BeatClass.VEB}
        # 0.3 s before the R peak at 1.6 s and 0.5 s after it.
        assert np.array_equal(cuts[BeatClass.VEB][0], recording.read(130, 210).T)

    def test_of_many_beats_300_are_cut_from_the_first_to_the_last(self) -> None:
        beats = beats_of("N" * 1000)
        recording = recording_for(beats, 81_000)
        cuts = signal_overview(analysis_of(recording, beats)).cuts[BeatClass.NORMAL]
        assert cuts.shape == (300, 2, 80)
        assert (cuts[:, :, 30] == 1).all()

    def test_a_beat_at_the_edge_gives_what_there_is_of_it(self) -> None:
        beats = beats_of("N", 0.1)
        recording = recording_for(beats, 40)
        cut = signal_overview(analysis_of(recording, beats)).cuts[BeatClass.NORMAL][0]
        # Ten samples before the beat instead of 30, 30 from it on instead of 50.
        assert np.flatnonzero(np.isfinite(cut[0])).tolist() == list(range(20, 60))


def test_leads_of_one_name_are_read_by_their_column() -> None:
    signal = np.arange(6000, dtype=np.float32)[:, None] * np.array([0.125, 0.25, 0.5], np.float32)
    recording = recording_of(signal, FS, leads=("SpO2", "ECG", "ECG"))
    analysis = replace(analysis_of(recording, beats_of("")), columns=(1, 2))
    assert analysis.leads == ("ECG", "ECG")
    assert analysis.read(10, 11).tolist() == [[2.5, 5.0]]
