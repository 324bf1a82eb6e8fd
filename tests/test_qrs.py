"""Beats are found whatever the gain, polarity, lead, rate, gap or block, on drawn leads and on real records."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from ectopy import compiled
from ectopy.annotations import read_annotations
from ectopy.beats import beat_selection, detection, qrs_candidates
from ectopy.ecg import Mask, Samples, Signal
from ectopy.signal import quality
from ectopy.signal.filters import MARGIN_S, WORKING_FS, bandpass, fill_gaps, resample
from tests.drawn_ecg import FS, drawn, steady

BEAT_SYMBOLS = set("NLRBAaJSVrFejnE/fQ?")


def detected(signal: Signal, fs: float = FS) -> Samples:
    return detection.detect_qrs(signal, fs)


def assert_beats(found: Samples, r_peak_s: list[float], *, fs: float = FS, within_s: float = 0.02) -> None:
    """The very beats, none missed, none invented, each within 20 ms."""
    assert len(found) == len(r_peak_s)
    assert np.abs(found / fs - np.array(r_peak_s)).max() <= within_s


@pytest.fixture(scope="module")
def beats_s() -> list[float]:
    return steady(30)


@pytest.fixture(scope="module")
def lead(beats_s: list[float]) -> Signal:
    return drawn(beats_s, 30)


def test_every_beat_of_a_clean_lead_is_found_at_its_r_peak(lead: Signal, beats_s: list[float]) -> None:
    # Half a second from either end too: a strip of 10 s must not lose its first and last beat.
    assert_beats(detected(lead), beats_s)


@pytest.mark.parametrize("seconds", [2, 5, 10])
def test_a_short_strip_is_enough(seconds: int) -> None:
    assert_beats(detected(drawn(steady(seconds), seconds)), steady(seconds))


def test_a_lead_may_come_as_a_plain_array(lead: Signal) -> None:
    np.testing.assert_array_equal(detected(lead[:, 0]), detected(lead))


@pytest.mark.parametrize("gain", [1e-4, 1e-2, 1e2, 1e4])
def test_gain_does_not_matter(lead: Signal, gain: float) -> None:
    np.testing.assert_array_equal(detected(lead * np.float32(gain)), detected(lead))


@pytest.mark.parametrize("offset_mv", [-5.12, 0.3, 100.0])
def test_offset_does_not_matter(lead: Signal, offset_mv: float) -> None:
    np.testing.assert_array_equal(detected(lead + np.float32(offset_mv)), detected(lead))


def test_polarity_does_not_matter(lead: Signal) -> None:
    np.testing.assert_array_equal(detected(-lead), detected(lead))


@pytest.mark.parametrize("fs", [100.0, 128.0, 200.0, 250.0, 257.0, 500.0, 1000.0])
def test_the_sampling_rate_does_not_matter(beats_s: list[float], fs: float) -> None:
    assert_beats(detected(drawn(beats_s, 30, fs=fs), fs), beats_s, fs=fs)


@pytest.mark.parametrize("shift_s", [0.37, 3.1, 20.0])
def test_beats_later_in_time_are_found_later(lead: Signal, shift_s: float) -> None:
    by = round(shift_s * FS / 9) * 9  # whole samples on both grids
    later = np.concatenate([np.repeat(lead[:1], by, axis=0), lead])
    np.testing.assert_array_equal(detected(later), detected(lead) + by)


def test_a_flat_stretch_in_the_middle_costs_no_beat_beside_it(lead: Signal, beats_s: list[float]) -> None:
    middle = round((beats_s[15] + 0.45) * FS)  # between two beats
    gap = round(8 * FS)
    padded = np.concatenate([lead[:middle], np.repeat(lead[middle : middle + 1], gap, axis=0), lead[middle:]])
    later = [time_s + 8 * (time_s * FS > middle) for time_s in beats_s]
    assert_beats(detected(padded), later)


def test_missing_samples_cost_the_beats_among_them_and_no_others(lead: Signal, beats_s: list[float]) -> None:
    torn = lead.copy()
    torn[round((beats_s[10] - 0.4) * FS) : round((beats_s[13] - 0.4) * FS)] = np.nan
    assert_beats(detected(torn), beats_s[:10] + beats_s[13:])


def test_single_missing_samples_cost_nothing(lead: Signal, beats_s: list[float]) -> None:
    torn = lead.copy()
    torn[:: round(0.5 * FS)] = np.nan
    assert_beats(detected(torn), beats_s)


def test_a_wide_early_beat_is_found_and_its_t_wave_is_not() -> None:
    times_s = steady(30)
    early = {8, 20}
    times_s = [time_s - 0.35 * (number in early) for number, time_s in enumerate(times_s)]
    assert_beats(detected(drawn(times_s, 30, wide=frozenset(early))), times_s)


def test_a_pause_is_left_empty(beats_s: list[float]) -> None:
    # Four seconds without a beat: noise is not promoted to fill it.
    kept = [time_s for time_s in beats_s if not 12 < time_s < 16]
    assert_beats(detected(drawn(kept, 30)), kept)


def test_bigeminy_of_tall_wide_beats_does_not_hide_the_small_ones() -> None:
    times_s = [0.5 + 0.75 * number - 0.25 * (number % 2) for number in range(38)]
    ventricular = frozenset(range(1, 38, 2))
    assert_beats(detected(drawn(times_s, 30, wide=ventricular)), times_s)


@pytest.mark.parametrize("other", ["flat", "missing", "noise", "inverted", "weak"])
def test_a_second_lead_takes_no_beat_away(lead: Signal, beats_s: list[float], other: str) -> None:
    noise = np.random.default_rng(1).normal(size=lead.shape).astype(np.float32)
    second = {
        "flat": np.zeros_like(lead),
        "missing": np.full_like(lead, np.nan),
        "noise": noise,
        "inverted": -0.4 * lead,
        "weak": 0.02 * lead + 0.005 * noise,
    }[other]
    assert_beats(detected(np.hstack([lead, second])), beats_s)
    assert_beats(detected(np.hstack([second, lead])), beats_s)


def test_a_lead_that_comes_off_is_replaced_by_the_other(lead: Signal, beats_s: list[float]) -> None:
    first, second = lead.copy(), 0.7 * lead
    rng = np.random.default_rng(2)
    first[: round(10 * FS)] = rng.normal(scale=0.01, size=(round(10 * FS), 1))
    second[round(20 * FS) :] = np.nan
    assert_beats(detected(np.hstack([first, second])), beats_s)


@pytest.mark.real
def test_record_203_has_no_pause_where_one_electrode_jumps(mitdb: Path) -> None:
    # At 24:47 the first lead lacks its beats for four seconds. V1 has them throughout.
    first, last = 1440 * 360, 1530 * 360
    signal = wfdb.rdrecord(str(mitdb / "203"), sampfrom=first, sampto=last).p_signal
    assert np.diff(detected(np.asarray(signal, dtype=np.float32))).max() < 2 * 360


def candidates_of_two_leads(off_s: tuple[float, float]) -> qrs_candidates.Candidates:
    """Candidates every 0.4 s, every second one a beat; the second lead is off for some time."""
    sample = 80 * np.arange(1, 151)
    beat = np.arange(150) % 2 == 0
    strength = np.where(beat, 1.0, 0.25).astype(np.float32)[:, None].repeat(2, axis=1)
    off = (sample >= off_s[0] * WORKING_FS) & (sample < off_s[1] * WORKING_FS)
    strength[off, 1] = 0.02
    return qrs_candidates.Candidates(sample, strength, strength, strength / 10)


def test_a_lead_that_is_off_has_no_vote_on_the_beats() -> None:
    # Beats four times as high as the rest are weak evidence; a lead of a fiftieth of its height would outvote it.
    candidates = candidates_of_two_leads((20, 26))
    beats = beat_selection.select_beats(candidates)
    # At its edges, the lead still has a beat within the two seconds that decide whether it is off.
    time_s = candidates.sample / WORKING_FS
    inside = np.flatnonzero((time_s >= 22) & (time_s < 24))
    np.testing.assert_array_equal(np.intersect1d(beats, inside), inside[inside % 2 == 0])


@pytest.mark.parametrize(
    "signal",
    [
        np.empty((0, 2)),
        np.zeros((1, 1)),
        np.zeros((5000, 2)),
        np.full((5000, 1), 3.3),
        np.full((5000, 2), np.nan),
    ],
    ids=["empty", "one sample", "flat", "flat off zero", "missing"],
)
def test_where_there_is_no_heart_there_is_no_beat(signal: Signal) -> None:
    assert len(detected(signal)) == 0


def test_a_clipped_lead_still_beats(lead: Signal, beats_s: list[float]) -> None:
    # The recorder's rail cuts every R peak at 0.5 mV: a tip is gone, not the lead.
    assert_beats(detected(np.clip(lead, -5, 0.5)), beats_s)


@given(seed=st.integers(0, 2**32 - 1), n_leads=st.integers(1, 3), seconds=st.floats(0.1, 20))
@settings(max_examples=25, deadline=None)
def test_noise_gives_beats_in_order_and_no_nearer_than_the_refractory_period(
    seed: int, n_leads: int, seconds: float
) -> None:
    noise = np.random.default_rng(seed).standard_cauchy((round(seconds * FS), n_leads)).astype(np.float32)
    found = detected(noise)
    assert ((found >= 0) & (found < len(noise))).all()
    assert (np.diff(found) >= 0.24 * FS - 2).all()  # a sample of rounding at either end


def cleaned(signal: Signal, fs: float) -> tuple[Signal, Mask]:
    return bandpass(resample(fill_gaps(signal, fs), fs)), quality.usable(signal, fs)


def by_blocks(signal: Signal, fs: float, seconds: float) -> qrs_candidates.Candidates:
    """Find candidates as the pipeline does: blocks with an overlap of what filters and features reach."""
    step, margin = round(seconds * WORKING_FS), round((MARGIN_S + qrs_candidates.REACH_S) * WORKING_FS)
    ratio = Fraction(fs) / Fraction(WORKING_FS)
    parts = []
    for start in range(0, round(len(signal) / ratio), step):
        first = max(start - margin, 0)
        block = signal[round(first * ratio) : round((start + step + margin) * ratio)]
        parts.append(
            qrs_candidates.find_candidates(*cleaned(block, fs)).shifted(first).between(start, start + step)
        )
    return qrs_candidates.join(parts)


@pytest.mark.parametrize("seconds", [9, 27.9, 60])
def test_blocks_of_any_size_give_the_same_candidates(seconds: float) -> None:
    signal = np.hstack([drawn(steady(90), 90), 0.5 * drawn(steady(90), 90)])
    signal[round(20 * FS) : round(41 * FS), 0] = np.nan  # a gap longer than some blocks
    signal[round(60 * FS) : round(60.05 * FS)] = np.nan
    whole, blocks = qrs_candidates.find_candidates(*cleaned(signal, FS)), by_blocks(signal, FS, seconds)
    np.testing.assert_array_equal(blocks.sample, whole.sample)
    np.testing.assert_allclose(blocks.strength, whole.strength, rtol=1e-3, atol=1e-6)
    known = ~np.isnan(whole.strength)
    np.testing.assert_allclose(blocks.background[known], whole.background[known], rtol=1e-3)
    np.testing.assert_array_equal(beat_selection.select_beats(blocks), beat_selection.select_beats(whole))


def test_a_lead_has_no_strength_where_it_cannot_be_used(lead: Signal) -> None:
    clean, usable = cleaned(np.hstack([lead, lead]), FS)
    usable[:2000, 1] = False
    found = qrs_candidates.find_candidates(clean, usable)
    np.testing.assert_array_equal(np.isnan(found.strength[:, 1]), found.sample < 2000)
    assert not np.isnan(found.strength[:, 0]).any()


def test_there_are_few_candidates_to_a_beat(lead: Signal, beats_s: list[float]) -> None:
    # R, T and at times P: each candidate's window is kept until its fate is known.
    assert len(beats_s) <= len(qrs_candidates.find_candidates(*cleaned(lead, FS))) <= 3 * len(beats_s)


def test_the_background_is_what_lies_between_beats(lead: Signal) -> None:
    # P and T waves at first; then twice the noise is nearly twice the background, for those are in it too.
    noise = np.random.default_rng(0).normal(scale=0.05, size=lead.shape).astype(np.float32)
    quiet, loud, louder = (
        qrs_candidates.find_candidates(*cleaned(lead + gain * noise, FS))
        for gain in np.array([0, 1, 2], np.float32)
    )
    assert np.median(quiet.background) < 0.04 * quiet.strength.max()
    assert 1.3 < np.median(louder.background) / np.median(loud.background) < 2
    assert louder.strength.max() == pytest.approx(loud.strength.max(), rel=0.2)


def test_the_background_leaves_out_what_cannot_be_used(lead: Signal) -> None:
    torn = lead + np.random.default_rng(0).normal(scale=0.05, size=lead.shape).astype(np.float32)
    whole = qrs_candidates.find_candidates(*cleaned(torn, FS))
    torn[round(10 * FS) : round(12.5 * FS)] = np.nan
    found = qrs_candidates.find_candidates(*cleaned(torn, FS))
    assert np.median(found.background) == pytest.approx(float(np.median(whole.background)), rel=0.1)
    assert found.background.min() > 0.5 * whole.background.min()


def test_a_lead_as_good_as_silent_between_beats_has_a_background() -> None:
    clean = np.zeros((4000, 1), dtype=np.float32)
    clean[::160] = 1.0
    found = qrs_candidates.find_candidates(clean, np.ones_like(clean, dtype=bool))
    assert (found.background > 0).all()


def test_noise_gives_no_more_candidates_than_fit_apart() -> None:
    clean, usable = cleaned(np.random.default_rng(3).normal(size=(36000, 1)).astype(np.float32), FS)
    assert len(qrs_candidates.find_candidates(clean, usable)) <= 100 / 0.12 + 1


def test_candidates_are_sliced_shifted_and_joined() -> None:
    sample = np.array([3, 8, 20], dtype=np.int64)
    strength = np.array([[1.0], [2.0], [3.0]], dtype=np.float32)
    found = qrs_candidates.Candidates(sample, strength, strength, strength / 10)
    assert found.between(8, 20).sample.tolist() == [8]
    both = qrs_candidates.join([found, found.shifted(100)])
    assert both.sample.tolist() == [3, 8, 20, 103, 108, 120]
    assert both[np.array([4])].strength.tolist() == [[2.0]]


def test_nothing_to_choose_from_gives_nothing() -> None:
    nothing = np.empty((0, 2), dtype=np.float32)
    none = qrs_candidates.Candidates(np.empty(0, dtype=np.int64), nothing, nothing, nothing)
    assert len(beat_selection.select_beats(none)) == 0


def test_the_work_of_choosing_grows_with_the_candidates_only(monkeypatch: pytest.MonkeyPatch) -> None:
    # Worst case: every candidate as strong as the next, 0.12 s apart, so that none can be left out.
    calls = 0

    def counted(x: float) -> float:
        nonlocal calls
        calls += 1
        return float(np.log(x))

    monkeypatch.setattr(compiled, "_library", None)  # the loop in Python is counted; that in C is the same
    monkeypatch.setattr(math, "log", counted)
    sample = 24 * np.arange(3000, dtype=np.int64)
    alike = np.ones((3000, 1), dtype=np.float32)
    beat_selection.select_beats(qrs_candidates.Candidates(sample, alike, alike, alike))
    assert 0 < calls <= 4 * 14 * 3000  # one first guess and three rounds, fourteen candidates back


def reference(record: Path) -> Samples:
    marks = read_annotations(record, "atr")
    return marks.sample[[symbol in BEAT_SYMBOLS for symbol in marks.symbol.tolist()]]


def misses(found: Samples, expected: Samples, *, tolerance: int) -> tuple[int, int]:
    """Count expected beats without, and found beats without, a partner."""
    gap = np.abs(found[:, None] - expected[None, :])
    return int((gap.min(axis=0) > tolerance).sum()), int((gap.min(axis=1) > tolerance).sum())


@pytest.fixture(scope="module")
def record_101(mitdb: Path) -> tuple[Signal, Samples]:
    """Two minutes of record 101 and their beats."""
    signal = wfdb.rdrecord(str(mitdb / "101"), sampto=43200).p_signal
    expected = reference(mitdb / "101")
    return np.asarray(signal, dtype=np.float32), expected[expected < 43200]


@pytest.mark.real
def test_record_101_two_minutes(record_101: tuple[Signal, Samples]) -> None:
    # 140 N, none missed, none invented, every R peak within 20 ms.
    signal, expected = record_101
    assert len(expected) == 140
    assert misses(detected(signal), expected, tolerance=round(0.02 * FS)) == (0, 0)


@pytest.mark.real
@pytest.mark.parametrize("fs", [100, 250, 1000])
def test_record_101_at_another_rate_has_the_same_beats(record_101: tuple[Signal, Samples], fs: int) -> None:
    signal, expected = record_101
    resampled = resample_poly(signal, fs, 360, padtype="edge").astype(np.float32)
    found = np.round(detected(resampled, fs) * 360 / fs).astype(np.int64)
    assert misses(found, expected, tolerance=round(0.03 * FS)) == (0, 0)


@pytest.mark.real
def test_record_208_bigeminy_of_two_shapes(mitdb: Path) -> None:
    # Minutes 10 to 12: 82 N, 67 V and 50 F in turn, none missed, none invented.
    first, last = 600 * 360, 720 * 360
    signal = wfdb.rdrecord(str(mitdb / "208"), sampfrom=first, sampto=last).p_signal
    expected = reference(mitdb / "208")
    expected = expected[(expected >= first) & (expected < last)] - first
    assert misses(detected(np.asarray(signal, dtype=np.float32)), expected, tolerance=54) == (0, 0)


@pytest.mark.real
def test_noise_at_12_db_costs_no_beat(nstdb: Path) -> None:
    # 118e12, minutes 5 to 7: 148 R and 9 A under electrode motion on both leads, none missed, none invented.
    first, last = 300 * 360, 420 * 360
    signal = wfdb.rdrecord(str(nstdb / "118e12"), sampfrom=first, sampto=last).p_signal
    expected = reference(nstdb / "118e12")
    expected = expected[(expected >= first) & (expected < last)] - first
    assert misses(detected(np.asarray(signal, dtype=np.float32)), expected, tolerance=54) == (0, 0)


@pytest.mark.parametrize("clear", [0.0, 0.5, 0.95, 1.0])
def test_certain_beats_need_not_be_searched_for(clear, monkeypatch):
    """The reference searches everything, because no beat is certain."""
    rng = np.random.default_rng(round(100 * clear))
    for n in (0, 1, 2, 7, 40, 300):
        time_s = np.cumsum(rng.choice([0.05, 0.13, 0.3, 0.8, 2.5], n))
        llr = np.where(rng.random(n) < clear, rng.uniform(9, 18, n), rng.uniform(-9, 9, n))
        usual_s = rng.uniform(0.5, 1.2, n)
        found = beat_selection._most_likely_beats(time_s, llr, usual_s)
        with monkeypatch.context() as patch:
            patch.setattr(beat_selection, "_certain_beats", lambda time_s, _: np.zeros(len(time_s), bool))
            np.testing.assert_array_equal(found, beat_selection._most_likely_beats(time_s, llr, usual_s))


def test_a_beat_with_strong_evidence_and_no_neighbour_is_certain():
    time_s, llr = np.array([1.0, 1.1, 2.0, 3.0]), np.array([18.0, 2.0, 8.1, 7.9])
    assert beat_selection._certain_beats(time_s, llr).tolist() == [True, False, True, False]
