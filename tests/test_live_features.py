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
    describe,
)
from ectopy.live.front_end import LIVE_FS

BOTH, FIRST = np.array([True, True]), np.array([True, False])
TIME_S = np.arange(-WINDOW_BEFORE, WINDOW_AFTER + 1) / LIVE_FS


def wave(width_s=0.02, height=1.0, p_height=0.15):
    one = height * np.exp(-0.5 * (TIME_S / width_s) ** 2) + p_height * np.exp(
        -0.5 * ((TIME_S + 0.16) / 0.02) ** 2
    )
    return np.stack([one, -0.5 * one]).astype(np.float32)


def noisy(window, seed):
    return window + np.random.default_rng(seed).normal(scale=0.01, size=window.shape).astype(np.float32)


def described(beats, readable=BOTH):
    """Describe beats (window, RR in s); return a row of named features for each, and the patient after all."""
    patient, rows = Patient(), []
    for number, (window, rr_s) in enumerate(beats):
        features, patient = describe(patient, noisy(window, number), readable, rr_s)
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
    before, _ = describe(patient, wave(), BOTH, 0.8)
    describe(patient, WIDE, BOTH, 0.4)
    again, _ = describe(patient, wave(), BOTH, 0.8)
    np.testing.assert_array_equal(again, before)


@pytest.mark.parametrize("gain", [0.1, 20.0])
def test_gain_does_not_matter(gain):
    beats = [*NORMAL, (WIDE, 0.45)]
    patient, scaled = Patient(), Patient()
    for number, (window, rr_s) in enumerate(beats):
        plain, patient = describe(patient, noisy(window, number), BOTH, rr_s)
        large, scaled = describe(scaled, np.float32(gain) * noisy(window, number), BOTH, rr_s)
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
