"""Features of a stream's beats: they know the past only, and mean what they say."""

import numpy as np
import pytest

from ectopy.live.beat_features import (
    FEATURES,
    N_LEADS,
    N_SHAPES,
    WINDOW_AFTER,
    WINDOW_BEFORE,
    Patient,
    T,
    describe,
    t_wave_between,
)
from ectopy.live.front_end import LIVE_FS

BOTH, FIRST = np.array([True, True]), np.array([True, False])
TIME_S = np.arange(-WINDOW_BEFORE, WINDOW_AFTER + 1) / LIVE_FS
NO_T = np.zeros((N_LEADS, T.stop - T.start), dtype=np.float32)


def wave(width_s=0.02, height=1.0, p_height=0.15):
    one = height * np.exp(-0.5 * (TIME_S / width_s) ** 2) + p_height * np.exp(
        -0.5 * ((TIME_S + 0.16) / 0.02) ** 2
    )
    return np.stack([one, -0.5 * one]).astype(np.float32)


def noisy(window, seed):
    return window + np.random.default_rng(seed).normal(scale=0.01, size=window.shape).astype(np.float32)


def described(beats, readable=BOTH):
    """Describe beats; return a row of named features for each, and the patient after all.

    A beat is a window, an RR interval in s, and the T wave of the beat before unless it is unknown.
    """
    patient, rows = Patient(), []
    for number, (window, rr_s, *known) in enumerate(beats):
        before = known[0] if known else NO_T
        features, patient = describe(patient, noisy(window, number), before, readable, rr_s)
        assert features.shape == (len(FEATURES),)
        assert np.isfinite(features).all()
        rows.append(dict(zip(FEATURES, features.tolist(), strict=True)))
    return rows, patient


NORMAL = [(wave(), 0.8)] * 30
WIDE = wave(width_s=0.05, height=-1.6, p_height=0)


def test_a_regular_rhythm_is_its_own_measure():
    row = described(NORMAL)[0][-1]
    for name in ("rr over local", "rr over rr before", "rr over late rr", "irregularity", "lead 1: width"):
        assert row[name] == pytest.approx(0, abs=0.05), name
    assert row["lead 1: polarity"] == pytest.approx(1, abs=0.05)
    assert row["lead 1: correlation"] > 2.5
    assert row["local rr"] == pytest.approx(np.log(0.8), abs=1e-3)
    assert row["share of shape"] == pytest.approx(np.log(1.01), abs=0.01)


def test_a_wide_early_beat_stands_out():
    row = described([*NORMAL, (WIDE, 0.45)])[0][-1]
    assert row["rr over local"] == pytest.approx(np.log(0.45 / 0.8), abs=0.01)
    assert row["lead 1: width"] > 0.4
    assert row["lead 1: polarity"] < 0
    assert row["share of shape"] < -2.5
    assert row["prematurity of shape"] < -0.4
    assert row["lead 1: P correlation"] < 1


def test_an_early_beat_with_the_usual_shape_has_the_usual_shape():
    row = described([*NORMAL, (wave(), 0.5)])[0][-1]
    assert row["rr over local"] < -0.4
    assert row["lead 1: correlation"] > 2.5
    assert row["share of shape"] > -0.1


def test_the_pause_after_a_shape_is_learnt_when_it_is_over():
    bigeminy = [*NORMAL, *[(WIDE, 0.5), (wave(), 1.1)] * 8, (WIDE, 0.5)]
    assert described(bigeminy)[0][-1]["pause after shape"] > 0.5


def test_the_normal_shape_is_not_the_premature_one_in_bigeminy():
    bigeminy = [(WIDE, 0.5), (wave(), 1.1)] * 30
    rows, _ = described(bigeminy)
    assert rows[-1]["lead 1: polarity"] == pytest.approx(1, abs=0.1)  # the last is a usual beat
    assert rows[-2]["lead 1: polarity"] < 0


def test_no_beat_knows_the_beats_after_it():
    beats = [*NORMAL, (WIDE, 0.45), (wave(), 1.15), *NORMAL]
    whole, _ = described(beats)
    for stop in (1, 7, 31, 32):
        assert described(beats[:stop])[0] == whole[:stop]


def test_what_was_known_before_a_guess_is_not_changed_by_it():
    _, patient = described(NORMAL)
    before, _ = describe(patient, wave(), NO_T, BOTH, 0.8)
    describe(patient, WIDE, NO_T, BOTH, 0.4)
    again, _ = describe(patient, wave(), NO_T, BOTH, 0.8)
    np.testing.assert_array_equal(again, before)


@pytest.mark.parametrize("gain", [0.1, 20.0])
def test_gain_does_not_matter(gain):
    beats = [*NORMAL, (WIDE, 0.45)]
    patient, scaled = Patient(), Patient()
    for number, (window, rr_s) in enumerate(beats):
        plain, patient = describe(patient, noisy(window, number), NO_T, BOTH, rr_s)
        large, scaled = describe(scaled, np.float32(gain) * noisy(window, number), NO_T, BOTH, rr_s)
    np.testing.assert_allclose(large, plain, atol=0.05)


def test_a_lead_that_cannot_be_read_has_no_features():
    rows, _ = described(NORMAL, readable=FIRST)
    assert all(value == 0 for name, value in rows[-1].items() if name.startswith("lead 2"))
    assert rows[-1]["lead 1: readable"] == 1


def test_an_interval_across_a_gap_takes_the_local_one():
    row = described([*NORMAL, (wave(), np.nan)])[0][-1]
    assert row["rr over local"] == pytest.approx(0, abs=1e-6)


def test_memory_does_not_grow():
    _, few = described(NORMAL * 3)
    _, many = described(NORMAL * 10)
    for name, value in vars(few).items():
        if isinstance(value, tuple):
            assert len(getattr(many, name)) == len(value), name
    assert many.shapes.shape[:2] == (N_SHAPES, N_LEADS)


def test_without_any_lead_the_timing_is_left():
    rows, _ = described(NORMAL, readable=np.array([False, False]))
    assert rows[-1]["rr over local"] == pytest.approx(0, abs=1e-6)


def t_wave(at_s=0.3, height=0.4):
    """Return a T wave that comes so long after its R peak."""
    time_s = np.arange(T.start, T.stop) / LIVE_FS
    one = height * np.exp(-0.5 * ((time_s - at_s) / 0.04) ** 2)
    return np.stack([one, -0.5 * one]).astype(np.float32)


WITH_T = [(wave(), 0.8, t_wave())] * 30


def test_the_t_wave_of_the_beat_before_is_compared_with_that_of_normal_beats():
    same, inverted = (described([*WITH_T, (wave(), 0.8, one)])[0][-1] for one in (t_wave(), -t_wave()))
    for lead in ("lead 1", "lead 2"):
        assert same[f"{lead}: T correlation of beat before"] > 2
        assert inverted[f"{lead}: T correlation of beat before"] < -2


def test_a_t_wave_that_is_unknown_is_like_none_and_is_not_learnt():
    rows, patient = described([*WITH_T, (wave(), 0.8, NO_T)])
    assert rows[-1]["lead 1: T correlation of beat before"] == 0
    assert patient.n_t_waves == described(WITH_T)[1].n_t_waves
    of_one_lead = t_wave() * np.array([[1], [0]], dtype=np.float32)
    kept = described([*WITH_T, *[(wave(), 0.8, of_one_lead)] * 9])[1]
    np.testing.assert_allclose(kept.t_wave[1], described(WITH_T)[1].t_wave[1])
    unread = described(WITH_T, FIRST)[1]
    assert unread.t_wave[0].any()
    assert not unread.t_wave[1].any()


def test_the_t_wave_after_a_ventricular_beat_is_not_that_of_normal_beats():
    _, patient = described([*WITH_T, (WIDE, 0.45, t_wave()), (wave(), 1.1, -t_wave())])
    correlation = np.corrcoef(patient.t_wave[0], t_wave()[0])[0, 1]
    assert correlation > 0.99


def early(*, with_p):
    """Return a beat that comes 0.44 s after another, so that its P wave lies on the T wave of that one."""
    window, rr_s = wave(p_height=0.15 if with_p else 0), 0.44
    below = 0.4 * np.exp(-0.5 * ((TIME_S + rr_s - 0.3) / 0.04) ** 2)
    return window + np.stack([below, -0.5 * below]).astype(np.float32), rr_s, t_wave()


def test_a_p_wave_is_seen_on_a_t_wave():
    name = "lead 1: P correlation without T"
    with_p, without = (described([*WITH_T, early(with_p=one)])[0][-1] for one in (True, False))
    assert with_p[name] > 1.5
    assert with_p[name] > with_p["lead 1: P correlation"] + 0.5
    assert without[name] < 0.8
    assert without["lead 1: P residual without T"] < with_p["lead 1: P residual without T"] - 0.5


@pytest.mark.parametrize(
    ("rr_s", "known"), [(0.8, True), (0.25, False), (5.0, True), (5.1, False), (np.nan, False)]
)
def test_a_t_wave_is_known_when_it_has_ended(rr_s, known):
    assert t_wave_between(rr_s) is known
