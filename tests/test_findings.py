"""Findings: the sentence and the urgency of each, at the limits too."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from ectopy.ecg import Analysis, Beats, Event
from ectopy.rhythm import wording
from ectopy.rhythm.findings import find_findings
from ectopy.rhythm.limits import CERTAIN_PROBABILITY
from ectopy.rhythm.wording import Finding, Urgency, is_certain
from tests.handmade import FS, analysis_of, beats_of, fibrillating_rr_s, recording_for


def supraventricular_run(n_beats: int) -> tuple[str, list[float]]:
    """Return letters and RR intervals of a run at 120 bpm that begins and ends suddenly."""
    return "NN" + "S" * n_beats + "NN", [0.8, 0.8, *[0.5] * n_beats, 0.8, 0.8]


class TestFindings:
    @staticmethod
    def of(
        letters: str,
        rr_s: ArrayLike = 0.8,
        *,
        n_samples: int = 360_000,
        low: Sequence[int] = (),
        noisy: Sequence[int] = (),
    ) -> list[tuple[int, str]]:
        """Return the findings where the classifier abstains on some beats, and some lie in noise."""
        beats = beats_of(letters, rr_s)
        beats.confident[[*low, *noisy]] = False
        analysis = analysis_of(recording_for(beats, n_samples), beats)
        in_noise = np.isin(np.arange(len(beats)), noisy)
        findings = find_findings(replace(analysis, low_quality=in_noise))
        return [(finding.urgency, finding.text) for finding in findings]

    def test_a_recording_without_events_has_one_finding(self) -> None:
        assert self.of("N" * 50) == [(0, "No ectopic beat, run, pause or change of rate found")]

    def test_six_beats_of_ventricular_tachycardia_are_urgent_five_are_not(self) -> None:
        assert self.of("N" + "V" * 6 + "N", 0.5)[0] == (
            3,
            "Non-sustained ventricular tachycardia: 1 run of 6 beats at 0:00:01, 120 bpm",
        )
        assert self.of("N" + "V" * 5 + "N", 0.5)[0][0] == 2

    def test_tachycardia_is_sustained_from_30_s_on(self) -> None:
        assert self.of("V" * 61, 0.5)[0][1].startswith("Sustained")
        assert self.of("V" * 60, 0.5)[0][1].startswith("Non-sustained")

    def test_several_runs_name_the_longest_and_the_fastest(self) -> None:
        letters = "N" + "VVV" + "N" + "VVVV" + "N"
        rr_s = [1, 1, 0.4, 0.4, 1, 1, 0.5, 0.5, 0.5, 1]
        assert self.of(letters, rr_s)[0][1] == (
            "Non-sustained ventricular tachycardia: 2 runs (1 triplet), longest 4 beats at 0:00:04, fastest 150 bpm at 0:00:02"
        )

    @pytest.mark.parametrize(
        ("letters", "number"),
        [
            ("VVVNVVVNVVVVN", "3 runs (2 triplets), "),
            ("VVVVNVVVVN", "2 runs, "),
            ("VVVNVVVN", "2 triplets, the first at 0:00:01"),
        ],
    )
    def test_runs_of_three_are_counted_among_the_runs(self, letters: str, number: str) -> None:
        assert self.of("N" + letters, 0.5)[0][1].startswith(
            f"Non-sustained ventricular tachycardia: {number}"
        )

    def test_a_pause_is_urgent_from_3_s_on(self) -> None:
        assert self.of("NN", [1, 3]) == [(3, "1 pause longer than 2 s, longest 3.0 s at 0:00:01")]
        assert self.of("NNN", [1, 2.99, 2.5]) == [(1, "2 pauses longer than 2 s, longest 3.0 s at 0:00:01")]

    def test_ten_seconds_without_a_beat_are_a_finding_of_their_own(self) -> None:
        assert self.of("NN", [1, 70])[0] == (
            3,
            "No beat for 1 min 10 s at 0:00:01: asystole, ventricular fibrillation or lost signal",
        )

    @pytest.mark.parametrize(
        ("n_veb", "urgency", "word"),
        [(9, 0, "Rare"), (10, 1, "Frequent"), (100, 1, "Frequent"), (101, 2, "Very")],
    )
    def test_ventricular_ectopy_is_rare_below_1_and_very_frequent_above_10_percent(
        self, n_veb: int, urgency: int, word: str
    ) -> None:
        # 1000 beats, the ventricular ones every fifth.
        letters = ("NNNNV" * n_veb).ljust(1000, "N")
        burden = [(level, text) for level, text in self.of(letters) if "ventricular ectopy" in text]
        assert [(level, text.split()[0]) for level, text in burden] == [(urgency, word)]

    def test_a_share_has_the_digits_of_the_table_of_recordings(self) -> None:
        # 1 of 2,222 beats is 0.045 %: summary.csv holds 0.05, which tables show as 0.1.
        letters = "N" * 2000 + "V" + "N" * 221
        [text] = [text for _, text in self.of(letters, n_samples=720_000) if "ventricular ectopy" in text]
        assert text.startswith("Rare ventricular ectopy: 1 beat (0.1 %)")

    def test_counts_by_the_hour_and_words_for_how_frequent_need_a_quarter_of_one(self) -> None:
        assert self.of("NNVN")[0][1] == "Very frequent ventricular ectopy: 1 beat (25.0 %), 1 per hour"
        assert self.of("NNVN", n_samples=90_001)[0][1].startswith("Very frequent")
        assert self.of("NNVN", n_samples=90_000)[0] == (1, "Ventricular ectopy: 1 beat (25.0 %)")

    def test_a_strip_of_few_beats_has_a_finding_on_its_mean_rate_where_it_is_slow_or_fast(self) -> None:
        # 7 beats are six intervals, and a heart rate is one over eight.
        texts = [self.of("N" * 7, rr_s, n_samples=1100)[0][1] for rr_s in (1.48, 1.19, 0.61, 0.5)]
        nothing = "No ectopic beat, run, pause or change of rate found"
        assert texts == [
            "Bradycardia: 41 bpm, mean of 7 beats",
            nothing,
            nothing,
            "Tachycardia: 120 bpm, mean of 7 beats",
        ]

    def test_two_intervals_are_no_rate(self) -> None:
        assert self.of("NNN", 1.48)[0][0] == self.of("NNNN", 1.19)[0][0] == 0
        assert self.of("NNNN", 1.48)[0][0] == 1

    def test_ectopic_beats_of_low_confidence_are_counted_apart(self) -> None:
        letters = "NNVNNNVNNN" + "N" * 90
        assert self.of(letters)[0][1] == "Frequent ventricular ectopy: 2 beats (2.0 %), 2 per hour"
        ends = {(2,): "2 per hour, 1 of them uncertain", (2, 6): "2 per hour, uncertain", (3,): "2 per hour"}
        for low, end in ends.items():
            (burden,) = (text for _, text in self.of(letters, low=low) if "ventricular ectopy" in text)
            assert burden.endswith(end)

    def test_a_run_is_uncertain_where_half_of_its_beats_are(self) -> None:
        tachycardia = "Non-sustained ventricular tachycardia: 1 run of 6 beats at 0:00:01, 120 bpm"
        first = [self.of("N" + "V" * 6 + "N", 0.5, low=low)[0] for low in ((1, 2), (1, 2, 6))]
        # A long run stays urgent: a classifier may well abstain on a tachycardia unlike its training records.
        assert first == [(3, tachycardia), (3, f"{tachycardia}, uncertain")]

    @pytest.mark.parametrize(
        ("letters", "noisy", "urgency"),
        [("NVVVN", (), 2), ("NVVVN", (2,), 1), ("NVVVVN", (2,), 2), ("NVVVVVN", (1, 2, 3), 1)],
    )
    def test_a_short_run_needs_three_beats_out_of_noise_and_more_than_half(
        self, letters: str, noisy: tuple[int, ...], urgency: int
    ) -> None:
        assert self.of(letters + "N" * 40, 0.5, noisy=noisy)[0][0] == urgency

    def test_a_run_in_a_strip_on_which_the_classifier_abstains_stays_loud(self) -> None:
        """With fewer than 30 beats none is confident."""
        assert self.of("NNVVVVVNNN", 0.4, n_samples=1200, low=range(10))[0][0] == 2
        assert self.of("NNVVVVVVNN", 0.4, n_samples=1200, low=range(10))[0][0] == 3

    def test_a_run_of_three_seconds_is_important_even_in_noise(self) -> None:
        """Flutter that shows few beats."""
        assert self.of("N" * 40 + "VVV" + "N" * 40, 0.55, noisy=(40, 41, 42))[0][0] == 1
        beats = beats_of("N" * 40)
        flutter = Event("vt", 5.0, 27.0, 4, 180.0)
        analysis = analysis_of(recording_for(beats, 360_000), beats)
        assert find_findings(replace(analysis, events=(flutter,)))[0].urgency == 2

    def test_a_certain_triplet_among_those_in_noise_is_important(self) -> None:
        assert self.of("NVVVNNVVVN" + "N" * 40, 0.5, noisy=(1, 2, 3))[0][0] == 2

    @pytest.mark.parametrize(("noisy", "is_clear"), [((), 1), ((1,), 1), ((2,), 1), ((1, 2), 0)])
    def test_a_pause_between_two_beats_in_noise_may_be_lost_signal(
        self, noisy: tuple[int, ...], is_clear: int
    ) -> None:
        four, twelve = (
            self.of("NNNN" + "N" * 40, [0.8, 0.8, pause_s] + [0.8] * 41, noisy=noisy)[0]
            for pause_s in (4, 12)
        )
        assert four == (3, "1 pause longer than 2 s, longest 4.0 s at 0:00:01") or not is_clear
        assert four == (1, "1 pause longer than 2 s, longest 4.0 s at 0:00:01, in noise") or is_clear
        # A standstill is worth a look even then.
        assert twelve[0] == 2 + is_clear
        assert twelve[1].startswith("No beat for 12.0 s at 0:00:01" + (":" if is_clear else ", in noise:"))

    def test_a_pause_between_beats_on_which_the_classifier_abstains_is_urgent(self) -> None:
        assert self.of("NNNNN", [0.8, 0.8, 6.5, 0.8, 0.8], n_samples=1200, low=range(5))[0][0] == 3

    def test_the_longest_of_all_pauses_is_named_and_the_longest_clear_one_is_urgent(self) -> None:
        rr_s = [0.8] * 5 + [3.5] + [0.8] * 10 + [9.0] + [0.8] * 30
        assert self.of("N" * len(rr_s), rr_s, noisy=(15, 16))[0] == (
            3,
            "2 pauses longer than 2 s, longest 9.0 s at 0:00:15, 1 of them in noise",
        )

    def test_only_beats_out_of_noise_make_a_burden_important(self) -> None:
        letters = "NNNNV" * 10 + "N" * 20
        confident, uncertain = (self.of(letters, noisy=noisy) for noisy in ((), range(70)))
        assert confident[0] == (2, "Very frequent ventricular ectopy: 10 beats (14.3 %), 10 per hour")
        assert (0, "Very frequent ventricular ectopy: 10 beats (14.3 %), 10 per hour, uncertain") in uncertain

    def test_two_ventricular_beats_of_a_strip_are_a_note(self) -> None:
        two, three = (self.of("NNNNNV" * n + "NNN", n_samples=2000)[0][0] for n in (2, 3))
        assert (two, three) == (1, 2)

    def test_without_a_beat_what_needs_none_is_found(self) -> None:
        flutter = Event("vf", 2.0, 50.0, 0, float("nan"))
        analysis = replace(analysis_for("", n_samples=6000), events=(flutter,))
        found = find_findings(analysis, "no beat was found")
        assert [(finding.urgency, finding.text.split(":")[0]) for finding in found] == [
            (3, "Ventricular flutter or fibrillation"),
            (2, "not analysable"),
        ]
        lost = replace(analysis, events=(), unreadable=np.array([[0, 4000]]))
        assert find_findings(lost, "no beat was found")[0].urgency == 1

    def test_supraventricular_beats_of_a_strip_are_a_note(self) -> None:
        """In 30 s of respiratory arrhythmia, four beats are a tenth of all."""
        letters = "NNNNS" * 8
        assert max(self.of(letters, n_samples=90_000))[0] == 1
        assert max(self.of(letters))[0] == 2

    def test_of_several_runs_the_uncertain_ones_are_counted(self) -> None:
        letters = "NVVVNNVVVN"
        texts = [self.of(letters, 0.5, low=low)[0][1] for low in ((1, 2), (1, 2, 6, 7, 8))]
        assert [text.partition("at 0:00:01, ")[2] for text in texts] == [
            "fastest 120 bpm at 0:00:01, 1 of them uncertain",
            "fastest 120 bpm at 0:00:01, all uncertain",
        ]

    def test_idioventricular_rhythm_is_important_unless_all_of_it_is_uncertain(self) -> None:
        # Noise over normal beats makes them look wide, and the classifier abstains.
        assert self.of("NVVVN", 1.0)[0][0] == 2
        rhythm = [text for text in self.of("NVVVN" + "N" * 40, 1.0, low=(1, 2)) if "Idio" in text[1]]
        assert rhythm == [(1, "Idioventricular rhythm: 1 triplet at 0:00:02, 60 bpm, uncertain")]

    def test_couplets_tell_how_many_are_uncertain(self) -> None:
        letters = "NVVN" + "N" * 30 + "VVN"
        texts = [text for _, text in self.of(letters, low=(1,)) if "couplet" in text]
        assert texts == ["2 ventricular couplets, shortest interval 800 ms at 0:00:01, 1 of them uncertain"]

    def test_fibrillation_is_described_by_burden_longest_and_rate(self) -> None:
        beats = beats_of("N" * 100, fibrillating_rr_s(100))
        rate_bpm = 60 * 99 / (beats.time_s[-1] - beats.time_s[0])
        urgency, text = self.of("N" * 100, fibrillating_rr_s(100))[0]
        # 72 s of an hour.
        extent = "1 episode, 2.0 % of the time analysed, longest 1 min 12 s at 0:00:00"
        assert (urgency, text) == (2, f"Atrial fibrillation: {extent}, mean {rate_bpm:.0f} bpm")

    def test_fibrillation_is_urgent_above_110_bpm(self) -> None:
        # About 85, 107 and 125 bpm.
        urgency = [self.of("N" * 200, fibrillating_rr_s(200, s))[0][0] for s in (0.7, 0.55, 0.47)]
        assert urgency == [2, 2, 3]

    def test_several_episodes_name_the_longest_the_mean_rate_and_the_fastest(self) -> None:
        slow, regular, fast = fibrillating_rr_s(200), np.full(100, 0.8), fibrillating_rr_s(150, 0.45)
        urgency, text = self.of("N" * 450, np.concatenate([slow, regular, fast]))[0]
        # The three parts last 143 s, 80 s and 70 s.
        assert urgency == 3
        assert text == (
            "Atrial fibrillation: 2 episodes, 5.8 % of the time analysed, longest 2 min 19 s at 0:00:00, mean 99 bpm, "
            "fastest 129 bpm at 0:03:43"
        )

    def test_supraventricular_runs_are_urgent_above_30_s(self) -> None:
        assert self.of(*supraventricular_run(62))[0][0] == 3
        assert self.of(*supraventricular_run(61))[0] == (
            2,
            "Very frequent supraventricular ectopy: 61 beats (93.8 %), 61 per hour",
        )

    def test_the_most_urgent_comes_first(self) -> None:
        urgencies = [urgency for urgency, _ in self.of("NNVVN" + "NNVVVN" + "NN", [0.5] * 12 + [3.5])]
        assert urgencies == sorted(urgencies, reverse=True)
        assert urgencies[0] == 3

    def test_time_that_was_lost_is_important_from_half_of_it_on(self) -> None:
        beats = beats_of("NNN")
        recording = recording_for(beats, 360_000)
        lost = {
            share: find_findings(
                analysis_of(recording, beats, unreadable=np.array([[360_000 - share * 3600, 360_000]]))
            )[0]
            for share in (4, 49, 50)
        }
        assert [(lost[share].urgency, lost[share].text) for share in (49, 50)] == [
            (1, "Not analysed: 29 min 24 s (49.0 %), artefact or no signal"),
            (2, "Not analysed: 30 min 0 s (50.0 %), artefact or no signal"),
        ]

    def test_a_strip_that_was_lost_is_a_note_because_it_is_easily_recorded_again(self) -> None:
        beats = beats_of("NNN")
        lost = analysis_of(recording_for(beats, 6000), beats, unreadable=np.array([[600, 6000]]))
        assert find_findings(lost)[0].urgency == 1
        empty = analysis_of(recording_for(beats_of("N"), 6000), beats_of(""))
        assert find_findings(empty, "the signal is flat")[0].urgency == 1

    def test_low_confidence_beats_are_counted(self) -> None:
        beats = beats_of("N" * 200)
        low = np.arange(200) < 2
        beats = Beats(beats.sample, beats.label, beats.probability, ~low, FS)
        findings = find_findings(analysis_of(recording_for(beats, 60_000), beats))
        assert findings[0].text == "Class uncertain: 2 beats (1.0 %)"

    def test_the_example_of_ectopy_is_a_beat_that_is_isolated_and_confident(self) -> None:
        beats = beats_of("NVVNVNNVN")
        doubtful = Beats(beats.sample, beats.label, beats.probability, np.arange(9) != 4, FS)
        (ectopy,) = (
            finding
            for finding in find_findings(analysis_of(recording_for(beats, 6000), doubtful))
            if "ctopy" in finding.text
        )
        # The pair is not isolated, the fifth beat has low confidence: the eighth, at 6.4 s.
        assert ectopy.event is not None
        assert (ectopy.event.kind, ectopy.event.onset_s) == ("V", 6.4)

    def test_no_text_contains_the_separator_of_findings_in_the_summary(self) -> None:
        every = self.of("NVVVNSSSNVVNSSNVNVNVNNVNNVNNVNSNSNSN" + "N" * 80, [0.5] * 80 + [12] + [1.5] * 35)
        assert len(every) > 8
        assert not any(";" in text for _, text in every)


class TestTimes:
    @pytest.mark.parametrize(
        ("seconds", "written"), [(0, "0:00:00"), (59.9, "0:00:59"), (3661, "1:01:01"), (360_000, "100:00:00")]
    )
    def test_elapsed(self, seconds: float, written: str) -> None:
        assert wording.elapsed(seconds) == written

    @pytest.mark.parametrize(
        ("seconds", "written"),
        [
            (0.256, "256 ms"),
            (2.5, "2.5 s"),
            (59.94, "59.9 s"),
            (59.95, "1 min 0 s"),
            (59.97, "1 min 0 s"),
            (221, "3 min 41 s"),
            (3600, "1 h 0 min"),
        ],
    )
    def test_duration(self, seconds: float, written: str) -> None:
        assert wording.duration(seconds) == written


def analysis_for(letters: str, rr_s: ArrayLike = 0.8, n_samples: int = 360_000) -> Analysis:
    beats = beats_of(letters, rr_s)
    return analysis_of(recording_for(beats, n_samples), beats)


def texts_about(word: str, analysis: Analysis) -> list[str]:
    return [str(finding) for finding in find_findings(analysis) if word in finding.text]


class TestAtTheLimits:
    """Each limit belongs to one side, and the sentence on each side is whole."""

    def test_a_ventricular_tachycardia_of_exactly_30_s_is_sustained(self) -> None:
        # 60 intervals of 0.5 s.
        assert texts_about("ventricular tachycardia", analysis_for("V" * 61, 0.5)) == [
            "urgent: Sustained ventricular tachycardia: 1 run of 61 beats (30.0 s) at 0:00:00, 120 bpm"
        ]
        assert texts_about("ventricular tachycardia", analysis_for("V" * 60, 0.5)) == [
            "urgent: Non-sustained ventricular tachycardia: 1 run of 60 beats at 0:00:00, 120 bpm"
        ]

    def test_a_supraventricular_run_of_exactly_30_s_is_not_yet_sustained(self) -> None:
        assert texts_about("upraventricular runs", analysis_for(*supraventricular_run(61))) == [
            "note: Supraventricular runs: 1 run of 61 beats (30.0 s) at 0:00:02, 120 bpm"
        ]
        assert texts_about("upraventricular tachycardia", analysis_for(*supraventricular_run(61))) == []
        # One interval of 0.51 s more than 59 of 0.5 s: 30.01 s.
        letters, rr_s = supraventricular_run(61)
        longer = analysis_for(letters, [*rr_s[:62], 0.51, *rr_s[63:]])
        assert texts_about("upraventricular runs", longer) == []
        assert texts_about("upraventricular tachycardia", longer) == [
            "urgent: Sustained supraventricular tachycardia: 1 run of 61 beats (30.0 s) at 0:00:02, 120 bpm"
        ]

    def test_a_pause_is_longer_than_2_s_and_urgent_from_3_s_on(self) -> None:
        assert [
            texts_about("pause longer", analysis_for("NN", [1, rr_s])) for rr_s in (2.0, 2.01, 2.99, 3.0)
        ] == [
            [],
            ["note: 1 pause longer than 2 s, longest 2.0 s at 0:00:01"],
            ["note: 1 pause longer than 2 s, longest 3.0 s at 0:00:01"],
            ["urgent: 1 pause longer than 2 s, longest 3.0 s at 0:00:01"],
        ]

    def test_exactly_10_s_without_a_beat_may_be_asystole(self) -> None:
        assert texts_about("No beat", analysis_for("NN", [1, 9.99])) == []
        assert texts_about("No beat", analysis_for("NN", [1, 10.0])) == [
            "urgent: No beat for 10.0 s at 0:00:01: asystole, ventricular fibrillation or lost signal"
        ]

    @pytest.mark.parametrize(("rate_bpm", "urgency"), [(110.0, Urgency.IMPORTANT), (110.1, Urgency.URGENT)])
    def test_fibrillation_at_exactly_110_bpm_is_not_yet_urgent(
        self, rate_bpm: float, urgency: Urgency
    ) -> None:
        episodes = (Event("af", 0.0, 60.0, 111, 90.0), Event("af", 100.0, 130.0, 56, rate_bpm))
        (finding,) = wording.atrial_fibrillation(episodes, analysis_for("N" * 200))
        # 165 intervals in 90 s; 90 s of an hour are 2.5 %.
        assert finding == Finding(
            urgency,
            "Atrial fibrillation: 2 episodes, 2.5 % of the time analysed, longest 1 min 0 s at 0:00:00, "
            "mean 110 bpm, fastest 110 bpm at 0:01:40",
            episodes[1] if urgency == Urgency.URGENT else episodes[0],
        )

    def test_the_mean_rate_of_a_strip_is_a_finding_below_50_and_above_100_bpm_only(self) -> None:
        # 49.6, 50.4, 98.4 and 101.7 bpm.
        rates = [
            texts_about("mean of", analysis_for("N" * 5, rr_s, 1000)) for rr_s in (1.21, 1.19, 0.61, 0.59)
        ]
        assert rates == [
            ["note: Bradycardia: 50 bpm, mean of 5 beats"],
            [],
            [],
            ["note: Tachycardia: 102 bpm, mean of 5 beats"],
        ]

    def test_eight_intervals_have_a_rate_and_need_no_mean(self) -> None:
        # 120 bpm: nine beats have a rate, yet 4 s are no episode.
        assert texts_about("mean of", analysis_for("N" * 8, 0.5)) == [
            "note: Tachycardia: 120 bpm, mean of 8 beats"
        ]
        assert texts_about("mean of", analysis_for("N" * 9, 0.5)) == []

    @pytest.mark.parametrize(
        ("lost_samples", "level"),
        [(17_999, "info"), (18_000, "note"), (179_999, "note"), (180_000, "important")],
    )
    def test_unreadable_time_is_a_note_from_5_percent_and_important_from_half_on(
        self, lost_samples: int, level: str
    ) -> None:
        # Of an hour, 360,000 samples.
        beats = beats_of("NNN")
        unreadable = np.array([[360_000 - lost_samples, 360_000]])
        analysis = analysis_of(recording_for(beats, 360_000), beats, unreadable=unreadable)
        (text,) = texts_about("Not analysed", analysis)
        assert text.startswith(f"{level}: ")

    def test_low_confidence_beats_are_a_note_from_1_percent_on(self) -> None:
        beats = beats_of("N" * 200)
        texts = []
        for number in (1, 2):
            low = replace(beats, confident=np.arange(200) >= number)
            texts += texts_about("Class uncertain", analysis_of(recording_for(low, 60_000), low))
        assert texts == [
            "info: Class uncertain: 1 beat (0.5 %)",
            "note: Class uncertain: 2 beats (1.0 %)",
        ]

    def test_a_run_of_which_exactly_half_is_of_low_confidence_is_uncertain(self) -> None:
        beats = beats_of("NVVVVN", 0.5)
        uncertain = []
        for n_low in (1, 2):
            analysis = analysis_of(recording_for(beats, 6000), replace(beats, confident=np.arange(6) > n_low))
            (run,) = analysis.events_of("vt")
            uncertain.append(wording.is_uncertain(run, analysis))
        assert uncertain == [False, True]

    def test_a_rate_of_ectopic_beats_counts_by_the_time_analysed(self) -> None:
        # Half an hour of an hour is readable: 1 beat there is 2 per hour.
        beats = beats_of("NNVN")
        analysis = analysis_of(
            recording_for(beats, 360_000), beats, unreadable=np.array([[180_000, 360_000]])
        )
        assert texts_about("ectopy", analysis) == [
            "important: Very frequent ventricular ectopy: 1 beat (25.0 %), 2 per hour"
        ]

    def test_the_example_is_the_middle_one_of_the_isolated_beats(self) -> None:
        # V at 1.6, 4.0, 6.4 and 8.8 s: the third of four.
        findings = find_findings(analysis_for("NVNNVNNVNNVN"))
        (ectopy,) = (finding for finding in findings if "ectopy" in finding.text)
        assert ectopy.event == Event("V", 6.4, 6.4, 1, pytest.approx(float("nan"), nan_ok=True))

    def test_without_an_isolated_beat_any_ectopic_beat_is_the_example(self) -> None:
        # A pair at 1.6 and 2.4 s.
        findings = find_findings(analysis_for("NVVN"))
        (ectopy,) = (finding for finding in findings if "ectopy" in finding.text)
        assert ectopy.event is not None
        assert (ectopy.event.kind, ectopy.event.onset_s) == ("V", 2.4)

    def test_a_recording_without_a_beat_shows_its_middle(self) -> None:
        analysis = analysis_for("", n_samples=360_000)
        (finding,) = find_findings(analysis, "the signal is flat")
        assert (finding.urgency, finding.text) == (Urgency.IMPORTANT, "not analysable: the signal is flat")
        assert finding.event is not None
        assert (finding.event.kind, finding.event.onset_s, finding.event.offset_s, finding.event.n_beats) == (
            "signal",
            1800.0,
            1800.0,
            0,
        )

    def test_an_empty_recording_shows_nothing(self) -> None:
        (finding,) = find_findings(analysis_for("", n_samples=0), "the recording is empty")
        assert finding.event is None


class TestShares:
    episodes = (Event("af", 10.0, 20.0, 9, 60.0), Event("af", 30.0, 50.0, 9, 60.0))

    def test_the_overlap_with_a_part_is_the_time_inside_it(self) -> None:
        # 15 to 20 s and 30 to 40 s.
        assert wording.overlap_s(self.episodes, 15.0, 40.0) == 15.0
        assert wording.overlap_s(self.episodes, 20.0, 30.0) == 0.0
        # Between the two, 2 s from either.
        assert wording.overlap_s(self.episodes, 22.0, 28.0) == 0.0

    @given(st.floats(0, 1200), st.floats(0, 1200))
    def test_the_overlap_with_many_events_is_the_sum_of_each(self, start_s: float, stop_s: float) -> None:
        many = [Event("af", 10.0 * n, 10.0 * n + n % 11, 9, 60.0) for n in range(100)]
        alone = sum(wording.overlap_s([event], start_s, stop_s) for event in many)
        assert wording.overlap_s(many, start_s, stop_s) == pytest.approx(alone)

    def test_the_burden_is_the_share_of_the_readable_time(self) -> None:
        # 25 s are asked for, 5 s of the first episode are unreadable: 10 of 20 s.
        beats = beats_of("NN")
        analysis = analysis_of(
            recording_for(beats, 6000), beats, unreadable=np.array([[1500, 2000], [5500, 6000]])
        )
        assert wording.burden_pct(self.episodes, analysis, 15.0, 40.0) == 50.0
        assert np.isnan(wording.burden_pct(self.episodes, analysis, 55.0, 60.0))


class TestWords:
    def test_only_one_is_singular(self) -> None:
        assert [wording.count(number, "beat") for number in (0, 1, 2, 1234)] == [
            "0 beats",
            "1 beat",
            "2 beats",
            "1,234 beats",
        ]

    def test_a_triplet_has_a_name_and_four_beats_have_a_number(self) -> None:
        # 2 runs, of which 1 of three beats; both 0.5 s apart.
        assert texts_about("Non-sustained", analysis_for("NVVVN", 0.5))[0].endswith(
            "1 triplet at 0:00:01, 120 bpm"
        )
        assert texts_about("Non-sustained", analysis_for("NVVVVN", 0.5))[0].endswith(
            "1 run of 4 beats at 0:00:01, 120 bpm"
        )


def test_the_few_intervals_that_noise_leaves_have_no_mean_rate_worth_a_finding() -> None:
    # 34 beats at 75 bpm, of which noise leaves three intervals of 1.5 s: 40 bpm say nothing of the strip.
    beats = beats_of("N" * 34, [0.8] * 31 + [1.5] * 3)
    analysis = analysis_of(recording_for(beats, 3000), beats)
    rr_s = np.where(np.arange(34) > 30, analysis.rr_s, np.nan)
    findings = find_findings(replace(analysis, rr_s=rr_s))
    assert not [finding for finding in findings if "Bradycardia" in finding.text]


def test_beats_that_are_too_far_apart_have_no_mean_rate() -> None:
    # No interval of 30 s is one of a heart rate, so its mean is missing: once it was called a tachycardia.
    beats = beats_of("N" * 20, 30.0)
    texts = [finding.text for finding in find_findings(analysis_of(recording_for(beats, 160_000), beats))]
    assert not [text for text in texts if "Tachycardia" in text or "Bradycardia" in text or "nan" in text]


def test_a_beat_is_certain_if_its_class_is_probable_and_it_does_not_lie_in_noise() -> None:
    analysis = analysis_for("NSVFQ" * 40)
    rng, n = np.random.default_rng(0), 200
    probability = rng.dirichlet(np.full(4, 0.05), n).astype(np.float32)
    low_quality = rng.random(n) < 0.2
    analysis = replace(
        analysis, beats=replace(analysis.beats, probability=probability), low_quality=low_quality
    )
    certain = [
        letter in "NSVF" and values["NSVF".index(letter)] >= CERTAIN_PROBABILITY and not noisy
        for letter, values, noisy in zip(analysis.beats.label, probability, low_quality, strict=True)
    ]
    assert is_certain(analysis).tolist() == certain
    assert 10 < sum(certain) < 100
