"""Every feature of every beat, against a plain computation beat by beat in float64.

The computation follows the definitions of the docstrings with loops instead of array operations. It shares no
code with the package. The recording has early beats with pauses, wide beats, and RR intervals beyond the limits.
One beat is upside down, one is ten times as high, one is flat. One electrode is off for a while.
"""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ectopy.beats.windows import BeatWindows, cut_windows
from ectopy.features import extraction, morphology
from ectopy.signal.filters import WORKING_FS

N_BEATS = 250  # so that a 15th, a 16th and a 17th of them differ
EPS = 1e-6
R = 30  # index of the R peak in a window at 100 Hz, which lasts from 0.30 s before it to 0.45 s after it
QRS, P_WAVE, T_WAVE = slice(R - 12, R + 15), slice(R - 28, R - 8), slice(R + 15, R + 45)

Array = Any


def recording(seed: int = 0) -> BeatWindows:
    """The beats of two leads at 200 Hz."""
    rng = np.random.default_rng(seed)
    rr = rng.integers(140, 190, N_BEATS)
    early = rng.choice(np.arange(5, N_BEATS - 5), 18, replace=False)
    rr[early] = rr[early] * 6 // 10
    rr[early + 1] = rr[early + 1] * 13 // 10
    rr[[40, 60]] = 1300, 18  # 6.5 s and 0.09 s: beyond the limits of 5 s and 0.1 s
    sample = 400 + np.cumsum(rr)
    signal = rng.normal(0, 0.01, (int(sample[-1]) + 400, 2))
    time_s = np.arange(-120, 180) / WORKING_FS
    for number, at in enumerate(sample):
        wide = number in early[:9]
        qrs_s = rng.uniform(0.034, 0.05) if wide else rng.uniform(0.010, 0.014)
        shape = math.exp(rng.normal(0, 0.05)) * np.exp(-0.5 * (time_s / qrs_s) ** 2)
        shape += rng.uniform(0.05, 0.2) * np.exp(-0.5 * ((time_s - 0.26) / 0.05) ** 2) * (-1 if wide else 1)
        if number not in early:
            shape += 0.12 * np.exp(-0.5 * ((time_s + 0.16) / 0.02) ** 2)
        shape *= {20: -2.6, 30: 10.0, 50: 0.0, 70: -0.4}.get(number, 1.0)
        signal[at - 120 : at + 180] += shape[:, None] * (1.0, 0.6 + 0.4 * wide)
    usable = np.ones(signal.shape, dtype=bool)
    usable[sample[80] : sample[95], 1] = False
    return cut_windows(signal.astype(np.float32), usable, sample.astype(np.int64))


def log_ratio(x: Array, unit: Array, limit: float = 1.5) -> Array:
    return np.clip(np.log((x + EPS) / (unit + EPS)), -limit, limit)


def fisher_z(correlation: Array) -> Array:
    return np.arctanh(np.clip(correlation, -0.999, 0.999))


def centred(x: Array) -> Array:
    return x - x.mean()


def correlation(x: Array, y: Array) -> float:
    x, y = centred(x), centred(y)
    return float(x @ y / ((np.linalg.norm(x) + EPS) * (np.linalg.norm(y) + EPS)))


def over_neighbours(function: Any, x: Array, size: int) -> Array:
    """Apply a function to the ``size`` values around each; at the ends the last value is repeated."""
    index = [np.clip(np.arange(i - size // 2, i + size // 2 + 1), 0, len(x) - 1) for i in range(len(x))]
    return np.array([function(x[i]) for i in index])


def rr_intervals(sample: Array) -> Array:
    rr = [(sample[max(i, 1)] - sample[max(i, 1) - 1]) / 200 for i in range(len(sample))]
    return np.clip(rr, 0.1, 5.0)


def template_beats(rr: Array) -> Array:
    """The latest 15 % of beats for the local pace, at least five; a pause after an early beat is not late."""
    before = np.array([rr[max(i - 1, 0)] for i in range(len(rr))])
    pace = over_neighbours(np.median, (rr + before) / 2, 21)
    lateness = np.minimum(rr, (2 * before + rr) / 3) / pace
    n = max(min(5, len(rr)), round(0.15 * len(rr)))
    return np.array(sorted(sorted(range(len(rr)), key=lambda i: lateness[i])[-n:]))


def timing_features(rr: Array, template: Array) -> Array:
    n = len(rr)
    after = np.array([rr[min(i + 1, n - 1)] for i in range(n)])
    before = np.array([rr[max(i - 1, 0)] for i in range(n)])
    local = over_neighbours(np.median, rr, 21)
    late = np.median(rr[template])
    longer = over_neighbours(np.median, np.maximum(rr, after), 21)
    two_before = np.array([rr[i - 2] if i > 1 else rr[i] for i in range(n)])
    step, deviation = abs(log_ratio(rr, before)), log_ratio(rr, local)
    spread = over_neighbours(np.mean, abs(deviation), 65)
    shortest = over_neighbours(np.min, np.where(deviation > -0.08, rr, 9.0), 15)
    single, double = np.zeros(n), np.zeros(n)
    for i in range(n):
        for lag in range(1, 24):
            if i >= lag and abs(math.log(rr[i] / rr[i - lag])) < 0.05:
                single[i] += 1
                double[i] += i > lag and abs(math.log(rr[i - 1] / rr[i - 1 - lag])) < 0.05
    single, double = (0.2 + over_neighbours(np.mean, x, 49) for x in (single, double))
    columns = [
        *(log_ratio(rr, late), log_ratio(after, late), log_ratio(rr, np.median(rr)), deviation),
        *(log_ratio(after, rr), log_ratio(rr, before), log_ratio(rr + after, 2 * local)),
        *(over_neighbours(np.median, step, 33), over_neighbours(np.mean, step, 129), log_ratio(local, 1.0)),
        *(np.clip(deviation / (spread + 0.02), -5, 5), np.log(single / double), np.log(single)),
        *(log_ratio(rr, shortest), over_neighbours(np.mean, (deviation < -0.12) * 1.0, 61)),
        *(log_ratio(rr, np.maximum(before, after)), log_ratio(rr, longer), log_ratio(rr + before, longer)),
        over_neighbours(np.median, abs(log_ratio(rr, two_before)), 33),
    ]
    return np.stack(columns, axis=1)


def width_s(deviation: Array) -> float:
    weight = deviation**2 + EPS
    time_s = np.arange(27) / 100
    centre = np.average(time_s, weights=weight)
    return math.sqrt(12 * np.average((time_s - centre) ** 2, weights=weight))


def lead_features(
    windows: Array, scale: Array, readable: Array, rr: Array, template: Array
) -> tuple[Array, Array, Array]:
    """Features of one lead, and QRS complexes and their template in units of the template."""
    template = np.array([i for i in template if readable[i]])
    beats = windows * (scale / np.median(scale[template]))[:, None]
    typical, fits, aligned = np.median(beats[template], axis=0), [], []
    for beat in beats:
        shifted = [np.pad(beat, 4, mode="edge")[shift : shift + 76] for shift in range(9)]
        fit = [correlation(candidate[QRS], typical[QRS]) for candidate in shifted]
        fits.append(max(fit))
        aligned.append(shifted[int(np.argmax(fit))])
    beats = np.array(aligned)
    typical = np.median(beats[template], axis=0)
    t, flat = typical[QRS], abs(typical[QRS] - np.median(typical[QRS]))
    between = [fisher_z(correlation(a[QRS], b[QRS])) for a, b in itertools.pairwise(beats)]
    baseline = np.median(typical[P_WAVE])
    rows = []
    for i, beat in enumerate(beats):
        q = beat[QRS]
        # The P wave 0.28 to 0.08 s before R lies so many samples after the R peak of the beat before.
        after_r = [R - 30 + round(float(np.float32(rr[i]) * 100)) + k for k in range(2, 22)]
        t_before = [baseline if k < R + 15 else typical[min(k, 75)] for k in after_r]
        under_t = beat[P_WAVE] - np.array(t_before)
        deviation = abs(q - np.median(q))
        p, typical_p = centred(beat[P_WAVE]), centred(typical[P_WAVE])
        rows.append(
            [
                *(fisher_z(fits[i]), log_ratio(np.linalg.norm(q - t), np.linalg.norm(t), 3)),
                *(log_ratio(np.ptp(q), np.ptp(t)), log_ratio(width_s(deviation), width_s(flat))),
                *(log_ratio(deviation.sum(), flat.sum()), np.clip(q @ t / (t @ t + EPS), -2, 3)),
                *(10 * width_s(deviation), fisher_z(correlation(p, typical_p))),
                *(log_ratio(np.linalg.norm(p - typical_p), np.ptp(t), 3),),
                *(fisher_z(correlation(under_t, typical_p)),),
                *(log_ratio(np.linalg.norm(centred(under_t)), np.ptp(t), 3),),
                *(fisher_z(correlation(beat[T_WAVE], typical[T_WAVE])),),
                *(between[max(i - 1, 0)], between[min(i, len(between) - 1)], 1.0),
            ]
        )
    unit = np.linalg.norm(centred(t)) + EPS
    qrs = np.array([centred(beat[QRS]) / unit for beat in beats])
    seen = readable[:, None]
    return np.array(rows) * seen, qrs * seen, centred(t) / unit * seen


def in_own_spread(x: Array, template: Array) -> Array:
    middle = np.median(x[template])
    spread = 1.48 * np.median(abs(x[template] - middle))
    return np.clip((x - middle) / (2 * spread + 0.05), -6, 6)


def similarity_features(qrs: Array, template: Array, timing: Array) -> Array:
    """How many beats are similar to each, and how early those came; all beats are probes here."""
    early, pause = timing[:, 3], timing[:, 4]
    power = (qrs**2).sum(axis=1)
    distance = np.array(
        [
            np.linalg.norm(qrs - q, axis=1) / np.sqrt(power + q_power + EPS)
            for q, q_power in zip(qrs, power, strict=True)
        ]
    )
    near = np.median([np.sort(distance[i])[len(qrs) // 16] for i in template])
    weight = np.clip(2 - distance / (1.5 * np.clip(near, 0.05, 0.4)), 0, 1) + EPS
    in_time = (early > -0.05) & (pause < 0.15)
    means = [(weight * x).sum(axis=1) / weight.sum(axis=1) for x in (early, pause, in_time)]
    return np.stack([np.log(weight.sum(axis=1) / len(qrs) + 0.01), *means], axis=1)


def plain_features(beats: BeatWindows) -> Array:
    """All columns of FEATURE_NAMES, in their order."""
    rr = rr_intervals(beats.sample)
    template = template_beats(rr)
    timing = timing_features(rr, template)
    leads = [
        lead_features(
            beats.signal[:, lead].astype(float),
            beats.scale[:, lead].astype(float),
            beats.readable[:, lead],
            rr,
            template,
        )
        for lead in range(2)
    ]
    qrs, typical = (np.concatenate([lead[part] for lead in leads], axis=1) for part in (1, 2))
    size = np.linalg.norm(typical, axis=1)
    fit = (qrs * typical).sum(axis=1) / (np.linalg.norm(qrs, axis=1) * size + EPS)
    residual = log_ratio(np.linalg.norm(qrs - typical, axis=1), size, 3)
    p_correlation = np.maximum(*(lead[0][:, 7] for lead in leads))
    nearby = over_neighbours(np.median, p_correlation, 33)
    own = np.stack([*(in_own_spread(x, template) for x in (fisher_z(fit), residual)), nearby], axis=1)
    return np.concatenate(
        [timing, own, similarity_features(qrs, template, timing), *(lead[0] for lead in leads)], axis=1
    )


BEATS = recording()
FEATURES = extraction.extract_features(BEATS)
EXPECTED = plain_features(BEATS)


@pytest.mark.parametrize("column", range(len(extraction.FEATURE_NAMES)), ids=extraction.FEATURE_NAMES)
def test_each_feature_is_the_plain_computation(column: int) -> None:
    # float32 leaves 1e-6 of a correlation near 1, of which Fisher's z makes 5e-4.
    np.testing.assert_allclose(FEATURES[:, column], EXPECTED[:, column], atol=2e-3)


def recording_of(sample: Array) -> BeatWindows:
    """Beats of any times, all with the same window."""
    n = len(sample)
    window = np.exp(-0.5 * (np.arange(-30, 46) / 3) ** 2).astype(np.float16)
    windows = np.broadcast_to(window, (n, 2, 76))
    ones = np.ones((n, 2), np.float32)
    return BeatWindows(np.asarray(sample), windows, ones, ones.astype(bool), np.zeros(n, bool))


@pytest.mark.parametrize(
    ("hours", "n_segments"), [(0.1, 1), (0.7, 1), (0.76, 2), (1.0, 2), (1.2, 2), (1.3, 3), (24.0, 48)]
)
def test_segments_are_as_near_to_half_an_hour_as_they_come(hours: float, n_segments: int) -> None:
    # Beats every second: the recording is split into equal parts, 24 h into 48 of 1800 beats.
    sample = np.arange(0, round(hours * 3600) * 200 + 1, 200)
    parts = extraction.segments(sample)
    assert len(parts) == n_segments
    lengths = [part.stop - part.start for part in parts]
    assert sum(lengths) == len(sample)
    assert max(lengths) - min(lengths) <= 1
    assert [part.start for part in parts[1:]] == [part.stop for part in parts[:-1]]


def test_a_segment_without_beats_has_no_part() -> None:
    # Two minutes at either end of two hours: of the four segments the two in the middle are empty.
    minutes = np.arange(0, 120 * 200, 200)
    sample = np.concatenate([minutes, minutes + 2 * 3600 * 200])
    assert extraction.segments(sample) == [slice(0, 120), slice(120, 240)]


def test_each_segment_is_described_by_its_own_beats() -> None:
    # One hour at 60 and one at 120 beats a minute: relative to its own segment no beat is early.
    slow = np.arange(0, 3600 * 200, 200)
    fast = np.arange(3600 * 200, 7200 * 200, 100)
    x = extraction.extract_features(recording_of(np.concatenate([slow, fast])))
    assert len(x) == 3600 + 7200
    column = x[:, extraction.FEATURE_NAMES.index("rr over segment median")]
    assert np.abs(column).max() == pytest.approx(math.log(2), abs=1e-5)
    assert int((np.abs(column) > 0.01).sum()) == 1  # the first fast beat ends a slow interval


def test_few_template_beats_are_five_or_all() -> None:
    # 15 % of 20 beats are 3; five are taken. Of four beats all are.
    rr = np.linspace(0.8, 1.2, 20, dtype=np.float32)
    assert len(extraction._template_beats(rr)) == 5
    assert len(extraction._template_beats(rr[:4])) == 4
    assert len(extraction._template_beats(np.ones(100, dtype=np.float32))) == 15


def test_the_probes_of_a_long_segment_are_256_beats_spread_over_it() -> None:
    # 1,000 equal beats with one of another shape, which is no probe: it is similar to none of them.
    beats = recording_of(np.arange(200, 200_200, 200))
    windows = beats.signal.copy()
    probes = np.unique(np.linspace(0, 999, 256).round().astype(int))
    other = next(i for i in range(500, 600) if i not in probes)
    windows[other] = np.sin(np.arange(76)).astype(np.float16)
    changed = replace(beats, signal=windows)
    x = extraction.extract_features(changed)
    share = x[:, len(extraction.TIMING) + len(morphology.ALL_LEADS)]
    assert len(probes) == 256
    assert share[other] == pytest.approx(math.log(0.01), abs=1e-3)
    assert np.delete(share, other) == pytest.approx(math.log(1.01), abs=1e-3)


def test_of_a_single_beat_nothing_is_compared() -> None:
    # Its neighbours are itself: a correlation of 1 by definition, and a share of similar beats of 1.
    x = extraction.extract_features(recording_of(np.array([400])))[0]
    values = dict(zip(extraction.FEATURE_NAMES, x.tolist(), strict=True))
    assert values["lead 1: correlation with beat before"] == 1.0
    assert values["lead 1: correlation with beat after"] == 1.0
    assert values["lead 1: readable"] == 1.0
    assert x[len(extraction.TIMING) + len(morphology.ALL_LEADS)] == pytest.approx(math.log(1.01), abs=1e-3)


def test_correlations_of_plus_and_minus_1_are_finite() -> None:
    # They are taken as 0.999, whose Fisher z is 3.80.
    assert morphology._fisher_z(np.array([-1.0, 0.0, 1.0])) == pytest.approx([-3.8002, 0.0, 3.8002], abs=1e-4)
