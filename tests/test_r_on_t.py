"""Test possible R-on-T: which beats are early enough, and after which beats."""

import numpy as np
import pytest

from ectopy.ecg import Event
from ectopy.rhythm.findings import find_findings
from ectopy.rhythm.heart_rate import rate_bpm, rr_intervals_s
from ectopy.rhythm.r_on_t import expected_qt_s, may_fall_on_t
from ectopy.rhythm.wording import Urgency
from tests.handmade import NOTHING_UNREADABLE, analysis_of, beats_of, events_of, recording_for

# Ten intervals of 1 s give a rate of 60 bpm, at which QT is expected to last 400 ms.
LEAD_IN = "N" * 10


def r_on_t_of(letters: str, coupling_s: float, *, unreadable: object = NOTHING_UNREADABLE) -> list[Event]:
    """Find R-on-T among beats a second apart, of which the one after LEAD_IN comes earlier."""
    rr_s = np.ones(len(letters))
    rr_s[len(LEAD_IN)] = coupling_s
    events = events_of(beats_of(letters, rr_s), unreadable=unreadable)
    return [event for event in events if event.kind == "r_on_t"]


class TestExpectedQt:
    def test_at_60_bpm_it_is_qtc(self) -> None:
        assert expected_qt_s(np.array([1.0])) == pytest.approx([0.40])

    def test_it_grows_with_the_cube_root_of_rr_as_in_fridericia_1920(self) -> None:
        # 0.125 s is an eighth of a second's RR: half of its QT.
        assert expected_qt_s(np.array([0.125, 8.0])) == pytest.approx([0.20, 0.80])


class TestRule:
    def test_a_ventricular_beat_before_the_expected_end_of_qt_may_be_r_on_t(self) -> None:
        (event,) = r_on_t_of(LEAD_IN + "VN", 0.38)
        assert (event.onset_s, event.offset_s, event.n_beats) == (10.0, 10.38, 2)

    def test_one_after_it_is_not(self) -> None:
        assert r_on_t_of(LEAD_IN + "VN", 0.40) == []

    def test_one_at_the_very_end_of_qt_is_not(self) -> None:
        # 400 ms at 60 bpm, without the rounding of a grid of samples.
        both = np.array([True, True])
        marked = [
            may_fall_on_t(np.array([1.0, coupling_s]), np.full(2, 60.0), both, both)[1]
            for coupling_s in (0.399, 0.40)
        ]
        assert marked == [True, False]

    @pytest.mark.parametrize("letter", "NSFQ")
    def test_only_veb_are_looked_at(self, letter: str) -> None:
        assert r_on_t_of(LEAD_IN + letter + "N", 0.38) == []

    def test_the_beat_before_may_be_supraventricular(self) -> None:
        assert len(r_on_t_of("N" * 9 + "SVN", 0.38)) == 1

    @pytest.mark.parametrize("letter", "VFQ")
    def test_after_a_ventricular_or_unknown_beat_nothing_is_known_of_qt(self, letter: str) -> None:
        assert r_on_t_of("N" * 9 + letter + "VN", 0.38) == []

    def test_without_eight_intervals_before_it_there_is_no_rate_to_expect_qt_from(self) -> None:
        beats = beats_of("NNNVN", [1, 1, 1, 0.3, 1])
        assert events_of(beats) == ()

    def test_an_unreadable_interval_is_none(self) -> None:
        assert r_on_t_of(LEAD_IN + "VN", 0.38, unreadable=[[1010, 1015]]) == []

    def test_qt_is_that_of_the_mean_rate_and_not_of_the_pause_before(self) -> None:
        # Bigeminy of 0.42 and 1.58 s: at the mean of 1 s QT ends after 0.40 s, at that of the pause after 0.47 s.
        letters = "NV" * 10
        beats = beats_of(letters, np.tile([1.58, 0.42], 10))
        rr_s = rr_intervals_s(beats, NOTHING_UNREADABLE)
        rate = rate_bpm(beats, rr_s)
        marked = may_fall_on_t(rr_s, rate, beats.label == "V", beats.label == "N")
        assert rate[8:] == pytest.approx(60.0)
        assert not marked.any()
        assert (rr_s[1::2] < expected_qt_s(rr_s[:-1:2]))[1:].all()

    def test_it_has_no_rate(self) -> None:
        (event,) = r_on_t_of(LEAD_IN + "VN", 0.38)
        assert np.isnan(event.rate_bpm)


class TestFinding:
    def test_it_is_a_note_by_timing_alone(self) -> None:
        rr_s = np.ones(25)
        rr_s[[10, 15, 20]] = 0.38, 0.30, 0.5
        letters = "".join("V" if beat in {10, 15, 20} else "N" for beat in range(25))
        beats = beats_of(letters, rr_s)
        (note,) = [
            finding
            for finding in find_findings(analysis_of(recording_for(beats, 6000), beats))
            if "R-on-T" in finding.text
        ]
        # The second begins at 15 beats less 0.62 s.
        assert note.urgency == Urgency.NOTE
        assert note.text == (
            "Possible R-on-T: 2 ventricular beats (66.7 %), shortest coupling 300 ms (timing only)"
        )

    def test_without_any_there_is_none(self) -> None:
        beats = beats_of("NNVNN")
        findings = find_findings(analysis_of(recording_for(beats, 6000), beats))
        assert not [finding for finding in findings if "R-on-T" in finding.text]
