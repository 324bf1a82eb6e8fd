"""Test the statistics by topic: counts that add up, times of extremes, conventions by name."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from ectopy.ecg import Event
from ectopy.report.statistics import Stats, recording_stats, stats
from ectopy.rhythm.finders import count_groups, runs
from ectopy.rhythm.findings import find_findings
from tests.handmade import FS, NOTHING_UNREADABLE, analysis_of, beats_of, recording_for


def of(
    letters: str,
    rr_s: ArrayLike = 0.8,
    *,
    unreadable: ArrayLike = NOTHING_UNREADABLE,
    start_s: float = 0,
    stop_s: float = 600,
) -> Stats:
    beats = beats_of(letters, rr_s)
    recording = recording_for(beats, round(600 * FS))
    analysis = analysis_of(recording, beats, unreadable=np.asarray(unreadable, dtype=np.int64))
    return stats(recording_stats(analysis), start_s, stop_s)


def findings_of(letters: str, rr_s: ArrayLike) -> list[tuple[int, str]]:
    beats = beats_of(letters, rr_s)
    findings = find_findings(analysis_of(recording_for(beats, 60_000), beats))
    return [(finding.urgency, finding.text) for finding in findings]


class TestGroups:
    def test_singles_couplets_triplets_and_longer_runs_are_counted_separately(self) -> None:
        values = of("NVNVVNVVVNVVVVVN", 0.5)
        names = ("n_veb", "n_veb_singles", "n_couplets", "n_veb_triplets", "n_veb_runs", "veb_run_beats")
        assert [values[name] for name in names] == [11, 1, 1, 1, 2, 8]

    def test_supraventricular_ones_too(self) -> None:
        letters = "NSNSSNSSSNSSSSSN"
        values = of(letters, np.where(np.array(list(letters)) == "S", 0.4, 0.8))
        names = (
            "n_sveb",
            "n_sveb_singles",
            "n_sveb_couplets",
            "n_sveb_triplets",
            "n_sveb_runs",
            "sveb_run_beats",
        )
        assert [values[name] for name in names] == [11, 1, 1, 1, 2, 8]

    def test_fusion_extends_a_run_as_in_ec57_and_is_no_veb(self) -> None:
        values = of("NVFVNFN", 0.5)
        assert (values["n_veb"], values["n_fusion"], values["n_vt_runs"], values["n_veb_singles"]) == (
            2,
            2,
            1,
            1,
        )

    @pytest.mark.no_cover
    @settings(max_examples=200, deadline=None)
    @given(
        letters=st.text("NSVFQ", max_size=60),
        rr_s=st.lists(st.sampled_from([0.3, 0.5, 0.8, 2.5]), min_size=60, max_size=60),
        lost=st.integers(0, 3000),
    )
    def test_beats_couplets_and_runs_add_up_whatever_the_rhythm(
        self, letters: str, rr_s: list[float], lost: int
    ) -> None:
        values = of(letters, rr_s[: len(letters)], unreadable=[[lost, lost + 20]])
        count = {name: value for name, value in values.items() if isinstance(value, int)}
        assert count["n_veb"] + count["n_fusion"] == (
            count["n_veb_singles"] + 2 * count["n_couplets"] + count["veb_run_beats"]
        )
        assert count["n_sveb"] == (
            count["n_sveb_singles"] + 2 * count["n_sveb_couplets"] + count["sveb_run_beats"]
        )
        assert count["n_veb_runs"] == count["n_vt_runs"] + count["n_idioventricular_runs"]
        assert count["n_veb_triplets"] <= count["n_veb_runs"]
        assert count["n_vt_sustained"] <= count["n_vt_runs"]

    @pytest.mark.no_cover
    @settings(max_examples=100, deadline=None)
    @given(letters=st.text("NV", max_size=60))
    def test_hours_add_up_to_the_whole(self, letters: str) -> None:
        total = of(letters)
        halves = [of(letters, start_s=0, stop_s=20), of(letters, start_s=20, stop_s=600)]
        for name in (
            "n_beats",
            "n_veb",
            "n_veb_singles",
            "n_couplets",
            "n_veb_runs",
            "n_bigeminy",
            "n_pauses",
        ):
            assert total[name] == sum(int(str(half[name])) for half in halves)

    def test_a_group_is_counted_where_it_begins(self) -> None:
        # Three V at 0.8, 1.6, 2.4 s.
        assert of("VVVN", stop_s=1.0)["veb_run_beats"] == 3
        assert of("VVVN", start_s=1.0)["veb_run_beats"] == 0

    def test_none_are_none(self) -> None:
        assert count_groups(runs(np.zeros(0, dtype=bool), np.zeros(0))) == (0, 0, 0, 0, 0)


class TestVentricularTachycardia:
    def test_30_s_are_sustained_and_less_are_not(self) -> None:
        # 61 beats 0.5 s apart are 30 s from the first to the last.
        longer, shorter = of("V" * 61, 0.5), of("V" * 60, 0.5)
        assert (longer["n_vt_sustained"], longer["longest_vt_s"]) == (1, 30.0)
        assert (shorter["n_vt_sustained"], shorter["longest_vt_s"]) == (0, 29.5)

    def test_the_fastest_need_not_be_the_longest(self) -> None:
        values = of("NVVVNVVVVN", [1, 1, 0.3, 0.3, 1, 1, 0.5, 0.5, 0.5, 1])
        assert (values["fastest_vt_bpm"], values["longest_vt_beats"], values["longest_vt_s"]) == (
            200.0,
            4,
            1.5,
        )

    def test_a_slow_sustained_run_is_urgent_beside_a_fast_one_of_more_beats(self) -> None:
        # 56 beats 0.55 s apart last 30.25 s; 70 beats 0.3 s apart, though more, 20.7 s.
        findings = findings_of(
            "N" + "V" * 56 + "N" + "V" * 70 + "N", [1] * 2 + [0.55] * 55 + [1] * 2 + [0.3] * 69 + [1]
        )
        assert [(urgency, text.split(":")[0]) for urgency, text in findings[:2]] == [
            (3, "Sustained ventricular tachycardia"),
            (3, "Non-sustained ventricular tachycardia"),
        ]
        assert findings[0][1].endswith("1 run of 56 beats (30.2 s) at 0:00:02, 109 bpm")

    def test_at_100_bpm_it_is_idioventricular(self) -> None:
        values = of("NVVVN", 0.6)
        assert (values["n_vt_runs"], values["n_idioventricular_runs"], values["n_veb_triplets"]) == (0, 1, 1)


class TestSupraventricularRuns:
    def test_the_longest_and_the_fastest(self) -> None:
        values = of("NSSSNSSSSN", [1, 1, 0.3, 0.3, 1, 1, 0.5, 0.5, 0.5, 1])
        names = ("n_sv_runs", "longest_sv_run_beats", "longest_sv_run_s", "fastest_sv_run_bpm")
        assert [values[name] for name in names] == [2, 4, 1.5, 200.0]

    def test_above_30_s_it_is_a_tachycardia_and_urgent_whatever_run_has_more_beats(self) -> None:
        findings = findings_of(
            "N" + "S" * 56 + "N" + "S" * 70 + "N", [1] * 2 + [0.55] * 55 + [1] * 2 + [0.3] * 69 + [1]
        )
        assert findings[0][0] == 3
        assert findings[0][1].startswith("Sustained supraventricular tachycardia: 1 run of 56 beats (30.2 s)")
        assert any(text.startswith("Supraventricular runs: 1 run of 70 beats") for _, text in findings)

    def test_a_slow_one_is_no_event_yet_its_beats_are_counted(self) -> None:
        values = of("NSSSN", 0.8)
        assert (values["n_sv_runs"], values["n_sveb_runs"], values["sveb_run_beats"]) == (0, 1, 3)


class TestPauses:
    def test_the_longest_comes_with_its_time_and_3_s_are_counted_apart(self) -> None:
        values = of("NNNNN", [1, 2.5, 3.0, 1, 2.0])
        names = ("n_pauses", "n_pauses_3s", "longest_pause_s", "longest_pause_at_s")
        assert [values[name] for name in names] == [2, 1, 3.0, 3.5]

    def test_without_one_there_is_no_time(self) -> None:
        values = of("NNN")
        assert (values["n_pauses"], values["longest_pause_s"], values["longest_pause_at_s"]) == (
            0,
            None,
            None,
        )


class TestRates:
    def test_least_and_greatest_come_with_their_times(self) -> None:
        # As in rhythm: beats 10 and 20 begin the first windows of one rate alone, at 10 and 15 s.
        values = of("N" * 30, [1.0] * 10 + [0.5] * 10 + [2.0] * 10)
        names = ("hr_min_bpm", "hr_min_at_s", "hr_max_bpm", "hr_max_at_s")
        assert [values[name] for name in names] == [30.0, 15.0, 120.0, 10.0]

    def test_slow_and_fast_time_is_that_which_lies_in_the_part(self) -> None:
        # 120 bpm from 0.5 to 100 s.
        assert of("N" * 200, 0.5)["tachycardia_s"] == 99.5
        assert of("N" * 200, 0.5, start_s=40, stop_s=60)["tachycardia_s"] == 20.0
        assert of("N" * 40, 1.25)["bradycardia_s"] == 48.75

    def test_without_a_beat_there_is_none(self) -> None:
        values = of("")
        assert [values[name] for name in ("hr_mean_bpm", "hr_min_at_s", "af_burden_pct")] == [None] * 3


class TestFibrillation:
    def test_episodes_count_where_they_begin_and_burden_where_they_are(self) -> None:
        beats = beats_of("N" * 500)
        analysis = analysis_of(recording_for(beats, 60_000), beats)
        analysis = replace(analysis, events=(Event("af", 90.0, 150.0, 76, 75.0),))
        first, second = (stats(recording_stats(analysis), start, start + 100) for start in (0, 100))
        names = ("n_af", "longest_af_s", "af_burden_pct")
        assert [first[name] for name in names] == [1, 60.0, 10.0]
        assert [second[name] for name in names] == [0, None, 50.0]

    def test_its_intervals_are_not_normal(self) -> None:
        beats = beats_of("N" * 500)
        analysis = analysis_of(recording_for(beats, 60_000), beats)
        share_pct = stats(recording_stats(analysis), 0, 400)["nn_share_pct"]
        analysis = replace(analysis, events=(Event("af", 0.0, 200.0, 250, 75.0),))
        half = stats(recording_stats(analysis), 0, 400)
        assert share_pct == pytest.approx(100, abs=0.5)
        assert (half["nn_share_pct"], half["sdnn_ms"]) == (pytest.approx(50, abs=0.5), None)


class TestVariability:
    def test_five_minutes_of_normal_beats_have_it_and_less_has_not(self) -> None:
        parts = [of("N" * 500, stop_s=stop_s) for stop_s in (299, 300)]
        assert [part["sdnn_ms"] for part in parts] == [None, 0.0]
        assert [part["rmssd_ms"] for part in parts] == [None, 0.0]


def test_a_part_is_computed_once_and_every_answer_is_its_own() -> None:
    beats = beats_of("NVN" * 20)
    recording = recording_stats(analysis_of(recording_for(beats, 60_000), beats))
    first, again = stats(recording, 0, 600), stats(recording, 0.0, 600.0)
    assert first == again
    assert len(recording.known) == 1
    first["n_veb"] = None
    assert stats(recording, 0, 600)["n_veb"] == again["n_veb"] == 20
