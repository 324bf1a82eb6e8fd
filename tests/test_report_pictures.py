"""Test the pictures of a whole recording: mean beats, Poincaré plot, full disclosure."""

import re
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

import numpy as np
import pytest

from ectopy.ecg import Analysis, BeatClass, recording_of
from ectopy.report import average_beats, full_disclosure, poincare, svg
from ectopy.report.signal_overview import signal_overview
from tests.handmade import FS, analysis_of, beats_of, recording_for
from tests.paths import heights, points


def overview_of(analysis: Analysis, signal: np.ndarray) -> full_disclosure.Disclosure:
    analysis = replace(analysis, recording=replace(recording_of(signal, FS), start=analysis.start))
    drawn = full_disclosure.full_disclosure(analysis, signal_overview(analysis))
    assert drawn is not None
    return drawn


def flat(letters: str, rr_s: float = 1.0, n_samples: int = 12_000, **facts: object) -> Analysis:
    return analysis_of(recording_of(np.zeros(n_samples), FS), beats_of(letters, rr_s), **facts)


class TestMeanBeats:
    def test_the_mean_is_that_of_beats_about_their_medians(self) -> None:
        # Spikes of 1 mV and 3 mV on baselines of 5 and -5 mV.
        cuts = np.zeros((2, 1, 80), dtype=np.float32)
        cuts[0], cuts[1] = 5, -5
        cuts[:, 0, 30] += (1, 3)
        mean = average_beats.mean(average_beats.level(cuts))
        assert np.flatnonzero(mean[0]).tolist() == [30]
        assert mean[0, 30] == pytest.approx(2.0)

    def test_missing_beats_are_left_out_of_the_mean(self) -> None:
        cuts = np.array([[[1.0, np.nan]], [[3.0, np.nan]], [[np.nan, np.nan]]], dtype=np.float32)
        mean = average_beats.mean(cuts.transpose(1, 2, 0))
        assert mean[0, 0] == 2
        assert np.isnan(mean[0, 1])
        assert np.isfinite(average_beats.level(cuts)[0, 0, 0])

    def test_each_class_in_each_lead_with_its_extent_and_confidence(self) -> None:
        beats = beats_of("NVNVN" * 4)
        beats.confident[[1, 2]] = False
        recording = recording_for(beats, 2000)
        analysis = analysis_of(recording, beats)
        normal, ventricular = average_beats.average_beats(analysis, signal_overview(analysis).cuts)
        assert (normal.label, normal.n_beats, normal.n_low_confidence, normal.n_drawn) == ("N", 12, 1, 12)
        assert (ventricular.label, ventricular.n_beats, ventricular.n_low_confidence) == ("V", 8, 1)
        assert [lead.name for lead in normal.leads] == ["II", "V1"]
        assert normal.extents == ["II +0.00 to +1.00 mV", "V1 +0.00 to +1.00 mV"]
        assert normal.height_mm == ventricular.height_mm

    def test_the_band_holds_the_middle_80_percent(self) -> None:
        # Eleven beats of 0, 0.1 .. 1 mV: the second to the tenth.
        values = np.arange(11, dtype=np.float32)[:, None, None] / 10
        low, high = svg.quantiles(values, 0.1, 0.9, axis=0)
        assert (low.item(), high.item()) == pytest.approx((0.1, 0.9))

    def test_of_few_beats_there_is_no_band(self) -> None:
        beats = beats_of("NVNNNNN")
        recording = recording_for(beats, 2000)
        analysis = analysis_of(recording, beats)
        normal, ventricular = average_beats.average_beats(analysis, signal_overview(analysis).cuts)
        assert all(normal.bands)
        assert ventricular.bands == ["", ""]

    def test_a_missing_lead_is_named_as_missing(self) -> None:
        signal = np.full((2000, 2), np.nan)
        signal[:, 0] = 1
        recording = recording_of(signal, FS, leads=("II", "V1"))
        analysis = analysis_of(recording, beats_of("NNN"))
        (normal,) = average_beats.average_beats(analysis, signal_overview(analysis).cuts)
        assert normal.extents[1] == "V1 missing"
        assert normal.leads[1].trace.path == ""

    @pytest.mark.parametrize("fs", [100.0, 500.0])
    def test_a_band_goes_there_and_back(self, fs: float) -> None:
        (path,) = svg.bands(np.zeros((1, 5)), np.full((1, 5), 0.5), fs)
        unit_mm, step = svg.units(fs)
        top = round(-5 / unit_mm)
        # Along the upper line, down, back along the lower one.
        assert path == f"M0{top}l{4 * step} 0 0 {-top}-{4 * step} 0z"

    def test_each_band_has_its_own_gaps(self) -> None:
        low, high = np.zeros((3, 9)), np.ones((3, 9))
        low[0, 4] = high[1] = np.nan
        drawn = svg.bands(low, high, 250.0)
        assert [path.count("z") for path in drawn] == [2, 0, 1]
        assert [path.count("M") for path in drawn] == [2, 0, 1]
        assert drawn[0].split("z")[1].startswith("M5-100l")


class TestQuantile:
    def test_missing_values_are_left_out(self) -> None:
        values = np.array([3.0, np.nan, 1.0, 2.0])
        assert svg.quantiles(values, 0.5, axis=0)[0] == 2

    def test_of_nothing_there_is_none(self) -> None:
        assert np.isnan(svg.quantiles(np.array([np.nan, np.nan]), 0.5, axis=0)[0])

    @pytest.mark.parametrize("n", [1, 4, 5])
    def test_the_median_of_an_even_number_lies_between(self, n: int) -> None:
        values = np.random.default_rng(n).normal(size=(3, n + 2))
        values[:, [0, -1]] = np.nan
        assert svg.median(values)[:, 0].tolist() == np.nanmedian(values, axis=1).tolist()


class TestPoincare:
    def test_pairs_are_classed_by_their_three_beats(self) -> None:
        plot = poincare.poincare(flat("NNNNVNNNNSNNNN"))
        assert plot is not None
        # 14 beats, 12 pairs: three hold V, three S.
        assert (plot.n_normal, plot.n_ventricular, plot.n_supraventricular) == (6, 3, 3)
        assert plot.n_outside == 0

    def test_a_ventricular_beat_counts_before_a_supraventricular_one(self) -> None:
        plot = poincare.poincare(flat("NSV"))
        assert plot is not None
        assert (plot.n_ventricular, plot.n_supraventricular) == (1, 0)

    def test_an_unreadable_interval_makes_no_pair(self) -> None:
        # Unreadable between the third and the fourth of six beats: two of four pairs are left.
        plot = poincare.poincare(flat("NNNNNN", unreadable=np.array([[310, 390]])))
        assert plot is not None
        assert plot.n_normal == 2

    @pytest.mark.parametrize("letters", ["", "N", "NN"])
    def test_fewer_than_three_beats_make_no_plot(self, letters: str) -> None:
        assert poincare.poincare(flat(letters)) is None

    def test_a_pair_lies_in_its_cell_the_later_interval_upwards(self) -> None:
        # 0.6 s, then 1.0 s: columns of 16 ms from 0.2 s on, rows from the top.
        beats = beats_of("NNN", np.array([0.5, 0.6, 1.0]))
        plot = poincare.poincare(analysis_of(recording_of(np.zeros(1000), FS), beats))
        assert plot is not None
        assert plot.normal == ["M25 74h1", "", ""]

    def test_what_lies_beyond_the_axes_is_counted(self) -> None:
        beats = beats_of("NNNN", np.array([0.5, 0.8, 2.5, 0.8]))
        plot = poincare.poincare(analysis_of(recording_of(np.zeros(1000), FS), beats))
        assert plot is not None
        assert (plot.n_normal, plot.n_outside, plot.normal) == (2, 2, ["", "", ""])

    def test_cells_with_more_pairs_are_darker(self) -> None:
        # Every pair is (1, 1) s: one cell of ten or more.
        plot = poincare.poincare(flat("N" * 20))
        assert plot is not None
        assert [bool(path) for path in plot.normal] == [False, False, True]

    def test_cells_side_by_side_are_one_piece(self) -> None:
        mask = np.zeros((3, 5), dtype=bool)
        mask[1, [1, 2, 4]] = mask[2, 0] = True
        # The second dash begins one cell after the end of the first, the third five cells before it.
        assert poincare.squares(mask) == "M1 1h2m1 0h1m-5 1h1"

    def test_a_full_row_does_not_go_on_in_the_next(self) -> None:
        assert poincare.squares(np.ones((2, 3), dtype=bool)) == "M0 0h3m-3 1h3"

    def test_a_day_of_fibrillation_stays_light(self) -> None:
        # Every cell may be taken; a row of them costs few pieces.
        rr_s = np.random.default_rng(0).uniform(0.3, 1.5, size=100_000)
        beats = beats_of("N" * 100_000, rr_s)
        plot = poincare.poincare(analysis_of(recording_of(np.zeros(int(beats.sample[-1]) + 1), FS), beats))
        assert plot is not None
        assert sum(map(len, plot.normal)) < 100_000


class TestDisclosure:
    def test_lines_of_a_minute_bear_their_time(self) -> None:
        drawn = overview_of(flat("N", start=datetime(2024, 1, 1, 23, 59)), np.zeros(12_000))  # noqa: DTZ001
        assert [line.time for line in drawn.lines] == ["23:59:00", "00:00:00"]
        assert (drawn.line_s, drawn.width) == (60.0, 1600)

    def test_the_greatest_and_the_least_reach_the_edges(self) -> None:
        signal = np.tile([1.0, -1.0], 3000)
        drawn = overview_of(flat("", n_samples=6000), signal)
        assert drawn.height_mv == pytest.approx(2.0)
        ((letter, path),) = drawn.lines[0].paths
        assert letter == "N"
        # Downwards in one bin, upwards in the next; what two bins have at their border is one point.
        assert path.startswith(f"M0 0l1 {drawn.height} 2-{drawn.height} 2 {drawn.height}")

    def test_a_flat_lead_is_a_line_in_the_middle(self) -> None:
        drawn = overview_of(flat(""), np.zeros(12_000))
        assert drawn.height_mv == full_disclosure.MIN_HEIGHT_MV
        assert drawn.lines[0].paths[0][1].startswith(f"M0 {drawn.height // 2}l1 0 2 0")

    def test_each_line_has_its_own_baseline(self) -> None:
        signal = np.repeat([5.0, -5.0], 6000)
        drawn = overview_of(flat(""), signal)
        assert drawn.lines[0].paths == drawn.lines[1].paths

    def test_ectopic_beats_have_a_path_and_a_tick_of_their_own(self) -> None:
        # V at 2 s and S at 4 s; a bin is 75 ms, so their R peaks lie in bins 26 and 53.
        drawn = overview_of(flat("NVNSN", n_samples=6000), np.zeros(6000))
        line = drawn.lines[0]
        assert [letter for letter, _ in line.paths] == ["N", "S", "V"]
        assert line.above == "M53 0v5"
        assert line.below == f"M107 {drawn.height - 5}v5"
        # From 0.15 s before to 0.35 s after, joined to what lies before: bins 24 to 31.
        assert re.match(r"M47 \d+l", dict(line.paths)["V"])

    def test_the_paths_of_a_line_are_whole(self) -> None:
        noise = np.random.default_rng(0).normal(size=6000)
        line = overview_of(flat("NVNSNNVVV", n_samples=6000), noise).lines[0]
        steps = [
            (before, after)
            for _, path in line.paths
            for piece in points(path)
            for before, after in pairwise(piece)
        ]
        # From the first of 1600 points to the last, each part in one path only.
        covered = [x for before, after in steps for x in range(before[0], after[0])]
        assert sorted(covered) == list(range(1599))

    def test_extremes_are_kept_to_a_unit(self) -> None:
        noise = np.random.default_rng(0).normal(scale=0.1, size=6000)
        drawn = overview_of(flat("", n_samples=6000), noise)
        (piece,) = points(drawn.lines[0].paths[0][1])
        assert len(piece) < 1600  # some are one
        overview = signal_overview(analysis_of(recording_of(noise, FS), beats_of("")))
        exact = full_disclosure._heights(overview, drawn.height)[0].ravel()
        off = [(y - int(exact[x])) for x, y in piece]
        # One that stands for two is the outer one: upwards or downwards, never inwards.
        assert set(off) == {-1, 0, 1}
        assert heights(piece).min() == exact.min()
        assert heights(piece).max() == exact.max()

    def test_missing_samples_are_a_gap_and_unreadable_ones_grey(self) -> None:
        signal = np.zeros(6000)
        signal[3000:4500] = np.nan
        analysis = flat("", n_samples=6000, unreadable=np.array([[3000, 4500]]))
        line = overview_of(analysis, signal).lines[0]
        assert line.unreadable == "M400 0h200v1H400z"
        assert len(points(line.paths[0][1])) == 2

    def test_without_a_sample_there_is_no_overview(self) -> None:
        recording = recording_of(np.full(6000, np.nan), FS)
        analysis = analysis_of(recording, beats_of(""))
        assert full_disclosure.full_disclosure(analysis, signal_overview(analysis)) is None

    def test_in_long_lines_a_beat_colours_its_bin_alone(self) -> None:
        # Three hours: five minutes a line, 0.375 s a bin; V at 2 s is in bin 5.
        analysis = flat("NVN", n_samples=1_080_000)
        overview = signal_overview(analysis)
        assert np.flatnonzero(full_disclosure.classes(analysis, overview)).tolist() == [5]

    def test_intervals_cover_the_bins_that_they_reach_into(self) -> None:
        edges = np.array([0, 10, 20, 30])
        mask = full_disclosure.covered(np.array([5, 29]), np.array([11, 40]), edges)
        assert mask.tolist() == [True, True, True]
        assert full_disclosure.covered(np.array([10]), np.array([20]), edges).tolist() == [False, True, False]

    def test_every_class_has_a_name(self) -> None:
        assert set(full_disclosure.COLOURED) | {BeatClass.NORMAL} == set(BeatClass)
