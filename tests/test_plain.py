"""The pipeline gives the same beats and labels as one whose filters and rolling statistics are those of scipy.

The plain path calls scipy once per step. Its import takes as long as the analysis of half an hour of signal, so
only this test uses it. Recordings are real and simulated.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage, signal

from ectopy import pipeline
from ectopy.beats import beat_selection, detection, qrs_candidates, signal_to_noise, windows
from ectopy.datasets.simulate import draw_patient, simulate
from ectopy.ecg import Analysis, Recording, Signal, recording_of
from ectopy.features import extraction, morphology, timing
from ectopy.model.classifier import SHIPPED_MODEL, Classifier, load_classifier
from ectopy.readers import open_recording
from ectopy.rhythm import atrial_fibrillation, atrial_flutter, hrv, tachycardia
from ectopy.signal import filters, rolling

FS = filters.WORKING_FS
MEAN, MAXIMUM, MINIMUM, MEDIAN = "uniform_filter1d", "maximum_filter1d", "minimum_filter1d", "median_filter"
ROLLING = {
    beat_selection: (MAXIMUM, MEDIAN),
    qrs_candidates: (MAXIMUM, MINIMUM, MEAN),
    signal_to_noise: (MEDIAN,),
    windows: (MINIMUM,),
    extraction: (MEDIAN,),
    morphology: (MEDIAN,),
    timing: (MEDIAN, MINIMUM, MEAN),
    atrial_fibrillation: (MEAN,),
    atrial_flutter: (MEAN,),
    tachycardia: (MAXIMUM, MEDIAN),
}
"""The rolling statistics that each module uses; a name that a module does not have is an error."""
ROUNDING = 1e-3
"""Of a probability: sums of float32 in another order, through a network that squares differences."""


def convolve(leads: Signal, taps: NDArray) -> NDArray:
    half = len(taps) // 2
    padded = np.pad(leads, ((half, half), (0, 0)), mode="edge")
    return signal.oaconvolve(padded, taps[:, None], mode="valid", axes=0)


def offsets_s(reach_s: float) -> NDArray[np.float64]:
    half = round(reach_s * FS)
    return np.arange(-half, half + 1) / FS


def bandpass(leads: Signal) -> Signal:
    taps = signal.firwin(801, (0.5, 40), pass_zero="bandpass", fs=FS)
    return convolve(leads, (taps - taps.mean()).astype(np.float32)).astype(np.float32)


def resample(leads: Signal, fs: float) -> Signal:
    up, down = filters.rate_ratio(fs).as_integer_ratio()
    return signal.resample_poly(leads, up, down, axis=0, padtype="edge").astype(np.float32)


def qrs_energy(clean: Signal) -> Signal:
    """A Gabor wavelet of 15 Hz, 6 Hz wide, three standard deviations to either side."""
    sd_s = 1 / (2 * np.pi * 6)
    time_s = offsets_s(3 * sd_s)
    window = np.exp(-0.5 * (time_s / sd_s) ** 2)
    wave = window * np.exp(2j * np.pi * 15 * time_s)
    wave -= window * wave.sum() / window.sum()
    return np.asarray(np.abs(convolve(clean, (2 * wave / np.abs(wave).sum()).astype(np.complex64))))


def without_baseline() -> Callable[[Signal], Signal]:
    taps = np.exp(-0.5 * (offsets_s(0.18) / 0.06) ** 2)
    return lambda clean: clean - convolve(clean, (taps / taps.sum()).astype(np.float32))


def like_ndimage(name: str) -> Callable[..., NDArray]:
    """Return the function of scipy; the mean of booleans is a fraction, for which scipy needs floats."""

    def filtered(values: NDArray, size: int, mode: str = "reflect") -> NDArray:
        along = {} if name == "median_filter" else {"axis": 0}
        if name == "uniform_filter1d" and values.dtype == bool:
            values = values.astype(np.float32)
        return np.asarray(getattr(ndimage, name)(values, size, mode=mode, **along))

    return filtered


@pytest.fixture(scope="module")
def classify() -> Classifier:
    return load_classifier(SHIPPED_MODEL)


@pytest.fixture
def plain(classify: Classifier) -> Callable[[Recording], Analysis]:
    """Analyse by the plain path."""

    def analyse(recording: Recording) -> Analysis:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(detection, "resample", resample)
            patch.setattr(detection, "bandpass", bandpass)
            patch.setattr(qrs_candidates, "_qrs_energy", qrs_energy)
            patch.setattr(qrs_candidates, "_without_baseline", without_baseline)
            for module, names in ROLLING.items():
                for name in names:
                    patch.setattr(module, name, like_ndimage(name))
            return pipeline.analyse(recording, classify)

    return analyse


def assert_same(fast: Analysis, slow: Analysis) -> None:
    np.testing.assert_array_equal(fast.beats.sample, slow.beats.sample)
    np.testing.assert_array_equal(fast.beats.label, slow.beats.label)
    np.testing.assert_array_equal(fast.beats.confident, slow.beats.confident)
    np.testing.assert_array_equal(fast.unreadable, slow.unreadable)
    np.testing.assert_allclose(fast.beats.probability, slow.beats.probability, atol=ROUNDING)
    assert [(event.kind, event.onset_s, event.n_beats) for event in fast.events] == [
        (event.kind, event.onset_s, event.n_beats) for event in slow.events
    ]


def test_the_plain_path_replaces_every_rolling_statistic_of_the_pipeline() -> None:
    functions = {getattr(rolling, name) for name in (MEAN, MAXIMUM, MINIMUM, MEDIAN)}
    used = {
        (module.__name__, name)
        for module in list(sys.modules.values())
        if module.__name__.startswith("ectopy.") and module is not rolling
        for name, value in vars(module).items()
        if isinstance(value, FunctionType) and value in functions
    }
    assert used == {(module.__name__, name) for module, names in ROLLING.items() for name in names}


# Fusion, every second beat ventricular, pauses, runs, fibrillation, flutter, noise, a lead that is off.
@pytest.mark.real
@pytest.mark.no_cover  # both paths are taken for simulated recordings too
@pytest.mark.parametrize("name", ["101", "106", "119", "201", "203", "207", "208", "209"])
def test_a_true_recording_has_the_same_beats_and_labels(
    mitdb: Path, plain: Callable, classify: Classifier, name: str
) -> None:
    recording = open_recording(mitdb / name)
    assert_same(pipeline.analyse(recording, classify), plain(recording))


@pytest.mark.parametrize("fs", [128.0, 200.0, 250.0, 257.0, 500.0, 1000.0])
def test_a_simulated_recording_has_the_same_beats_and_labels_at_any_rate(
    plain: Callable, classify: Classifier, fs: float
) -> None:
    rng = np.random.default_rng(round(fs))
    recording = simulate(draw_patient(rng), minutes=3, fs=fs, rng=rng).recording
    fast = pipeline.analyse(recording, classify)
    assert len(fast.beats) > 100
    assert_same(fast, plain(recording))


def test_so_has_one_with_gaps_noise_and_a_rail(plain: Callable, classify: Classifier) -> None:
    rng = np.random.default_rng(7)
    whole = simulate(draw_patient(rng), minutes=5, fs=360.0, rng=rng).recording
    mv = whole.read(0, whole.n_samples).copy()
    mv[20_000:24_000] = np.nan
    mv[40_000:44_000] += rng.normal(0, 2, (4000, mv.shape[1])).astype(np.float32)
    mv[60_000:62_000] = 5.0
    recording = recording_of(mv, 360.0, leads=whole.leads)
    fast = pipeline.analyse(recording, classify)
    assert len(fast.unreadable) > 0
    assert_same(fast, plain(recording))


@pytest.mark.parametrize("ratio", [(1, 1), (5, 9), (4, 5), (25, 16), (200, 257), (1, 5)])
def test_a_short_filter_is_that_of_scipy_at_every_ratio_of_rates(ratio: tuple[int, int]) -> None:
    up, down = ratio
    rng = np.random.default_rng(up)
    taps, lead = rng.normal(size=2 * 10 * max(ratio) + 1), rng.normal(size=3000).astype(np.float32)
    reach = -(-len(taps) // up)
    held = np.pad(lead, reach, mode="edge")
    every = signal.upfirdn(taps, held, up=up)[len(taps) // 2 + reach * up :][: len(lead) * up]
    found = filters.short_filter(taps, up=up, down=down)(lead[:, None])[: -(-len(lead) * up // down), 0]
    np.testing.assert_allclose(found, every[::down], atol=1e-5 * np.abs(taps).sum())


@pytest.mark.parametrize("n", [120, 350, 700])
def test_the_periodogram_is_that_of_scipy(n: int) -> None:
    rng = np.random.default_rng(n)
    time_s = np.cumsum(rng.normal(300 / n, 30 / n, n))
    nn_ms = 1000 * np.diff(time_s, prepend=time_s[0] - 0.8)
    step = np.arange(24, 241)  # 0.04 to 0.4 Hz
    expected = signal.lombscargle(time_s, signal.detrend(nn_ms), 2 * np.pi * step * hrv.STEP_HZ)
    found = hrv.periodogram(time_s, hrv.without_trend(nn_ms), step)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * expected.max())


def test_one_beat_has_no_trend() -> None:
    assert hrv.without_trend(np.array([800.0])).tolist() == [0]
