"""Simulated patients: recordings whose beats are all known, for the demo and the tests.

A beat is a sum of Gaussian waves, as in McSharry et al. (2003). A rhythm is a sequence of letters, one per
beat. ``N`` is sinus rhythm and ``f`` a beat in atrial fibrillation. ``A`` is an atrial and ``V`` a
ventricular extra beat. ``P`` is the beat that ends a pause. A recording depends only on a :class:`Patient`
and a random generator.

Simulated recordings exercise the pipeline. They do not represent real hearts, so no metric on them says how
good ectopy is.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ectopy.annotations import Annotations, write_annotations
from ectopy.ecg import Labels, Mask, Recording, Samples, recording_of
from ectopy.signal.noise import band_noise, on_and_off

LEADS = ("MLII", "V1")
DEFAULT_FS = 360.0
"""Sampling rate in Hz, as in MIT-BIH."""
STEPS_PER_MV = 200
"""Resolution of the simulated recorder, as in MIT-BIH."""
LIMIT_MV = 10.0
"""Amplitude at which the simulated amplifier saturates; it fits into the 12 bits of WFDB format 212."""
DATABASE, VERSION = "simdb", "1.0.0"

_SHORTEST_RR_S = 0.28
_MARK_S = 0.15  # time from a rhythm annotation to the first beat of its rhythm
_WAVE_REACH = 4  # in widths (sigma); farther from its centre a wave is below 0.1 % of its peak

Floats: TypeAlias = NDArray[np.float64]
Waves: TypeAlias = NDArray[np.float64]
"""[n, 4]: centre in s from the R peak, width (sigma) in s, amplitudes on MLII and V1 (R on MLII is 1)."""


class Pattern(NamedTuple):
    """Pattern of extra beats: ``unit`` is repeated, and its ``.`` leaves the beat of the rhythm unchanged.

    A fraction ``share`` of the patients has the pattern, ``low`` to ``high`` times in 1000 beats.
    """

    unit: str
    min_repeats: int
    max_repeats: int
    share: float
    low: float
    high: float


PATTERNS = {
    "single PVC": Pattern("V", 1, 1, 0.9, 5, 120),
    "couplet": Pattern("V", 2, 2, 0.4, 1, 8),
    "ventricular run": Pattern("V", 3, 10, 0.3, 1, 4),
    "bigeminy": Pattern("V.", 3, 15, 0.3, 1, 4),
    "trigeminy": Pattern("V..", 3, 10, 0.2, 1, 3),
    "single PAC": Pattern("A", 1, 1, 0.9, 5, 100),
    "atrial couplet": Pattern("A", 2, 2, 0.3, 1, 8),
    "atrial run": Pattern("A", 3, 12, 0.3, 1, 4),
    "pause": Pattern("P", 1, 1, 0.25, 1, 3),
}


@dataclass(frozen=True, eq=False)
class Shapes:
    """Waves of one patient. T waves are shifted by the QT interval, so their centres are near 0.

    ``foci`` are the beats of each ventricular focus, with their T wave. ``aberrant`` is the wide QRS of an
    aberrantly conducted beat.
    """

    p: Waves
    qrs: Waves
    t: Waves
    ectopic_p: Waves
    aberrant: Waves
    foci: tuple[Waves, ...]


@dataclass(frozen=True)
class Timing:
    """Timing of one patient, in seconds or as a fraction of the sinus RR interval."""

    rr_s: float
    breath_s: float
    breath_amplitude: float
    pvc_coupling: float
    pac_coupling: float
    ventricular_run_rr_s: float
    atrial_run_rr_s: float
    af_rr_s: float


@dataclass(frozen=True)
class Noise:
    """Noise in mV (rms); electrode motion is present for the fraction ``motion_share`` of the time."""

    baseline_mv: float = 0.0
    muscle_mv: float = 0.0
    motion_mv: float = 0.0
    motion_share: float = 0.0
    powerline_mv: float = 0.0
    powerline_hz: float = 60.0


NO_NOISE = Noise()


@dataclass(frozen=True, eq=False)
class Patient:
    """Parameters of one patient.

    ``episodes_per_1000`` holds the number of episodes of each of :data:`PATTERNS` in 1000 beats. ``af_share``
    is the fraction of beats in atrial fibrillation. ``aberrancy`` is the fraction of atrial extra beats that
    are conducted aberrantly.
    """

    r_mv: float
    shapes: Shapes
    timing: Timing
    episodes_per_1000: Mapping[str, float]
    noise: Noise
    af_share: float
    f_wave_mv: float
    aberrancy: float


@dataclass(frozen=True, eq=False)
class SimulatedRecording:
    """A recording with its annotations: beats N, V and A, rhythms ``(N`` and ``(AFIB``."""

    recording: Recording
    annotations: Annotations


@dataclass(frozen=True, eq=False)
class _Rhythm:
    sample: Samples
    kind: Labels
    rr_s: Floats
    fibrillating: Mask


def draw_patient(rng: np.random.Generator) -> Patient:
    """Draw a random patient with waves, rate, ectopic beats and noise of their own."""
    return Patient(
        r_mv=rng.uniform(0.5, 1.8),
        shapes=_draw_shapes(rng),
        timing=_draw_timing(rng),
        episodes_per_1000=_draw_episode_rates(rng),
        noise=_draw_noise(rng),
        af_share=float(rng.choice([0.0, 0.0, 0.3, 0.6])),
        f_wave_mv=rng.uniform(0.02, 0.08),
        aberrancy=float(rng.choice([0.0, 0.1, 0.3])),
    )


def _draw_shapes(rng: np.random.Generator) -> Shapes:
    narrow = rng.random() < 0.85  # the others have a bundle branch block
    width_s = rng.uniform(0.009, 0.013) if narrow else rng.uniform(0.017, 0.021)
    s_wave, v1 = rng.uniform(0.05, 0.4), rng.uniform(0.4, 1.2)
    return Shapes(
        p=_draw_p_wave(rng, upright=True),
        qrs=_qrs(width_s, s_wave, v1),
        t=np.array([[0.0, rng.uniform(0.04, 0.06), rng.uniform(0.1, 0.35), rng.uniform(-0.15, 0.3)]]),
        ectopic_p=_draw_p_wave(rng, upright=False),
        aberrant=_qrs(width_s * rng.uniform(1.3, 1.8), s_wave * 1.5, v1 * 0.6),
        foci=tuple(_draw_focus(rng) for _ in range(rng.integers(1, 3))),
    )


def _qrs(width_s: float, s_wave: float, v1: float) -> Waves:
    q, r, s = -2.2 * width_s, 0.0, 2.2 * width_s
    waves = [(q, 0.8, -0.08, 0.05), (r, 1.0, 1.0, 0.25), (s, 1.1, -s_wave, -v1)]
    return np.array([(centre, width * width_s, mlii, v1) for centre, width, mlii, v1 in waves])


def _draw_p_wave(rng: np.random.Generator, *, upright: bool) -> Waves:
    """Draw the P wave of sinus beats or of extra beats; the latter is lower, inverted or hidden."""
    mlii = rng.uniform(0.07, 0.17) if upright else rng.uniform(-0.12, 0.06)
    return np.array([[-rng.uniform(0.12, 0.19), rng.uniform(0.016, 0.024), mlii, rng.uniform(-0.06, 0.06)]])


def _draw_focus(rng: np.random.Generator) -> Waves:
    """Draw a wide QRS of two waves and a T wave of opposite sign; the R peak is the extreme on MLII."""
    width_s = rng.uniform(0.016, 0.034)
    mlii, v1 = rng.choice([-1.0, 1.0], 2) * rng.uniform(0.7, 1.7, 2)
    second = -rng.uniform(0.1, 0.7)
    waves = np.array(
        [
            (0.0, width_s, mlii, v1),
            (2.4 * width_s, 1.2 * width_s, mlii * second, v1 * second),
            (rng.uniform(0.26, 0.34), rng.uniform(0.05, 0.07), -0.3 * mlii, -0.3 * v1),
        ]
    )
    return _centred(waves)


def _centred(waves: Waves) -> Waves:
    grid_s = np.arange(-0.1, 0.1, 0.001)
    extreme_s = grid_s[np.argmax(np.abs(_sum_waves(waves, grid_s)[:, 0]))]
    return waves - (extreme_s, 0, 0, 0)


def _draw_timing(rng: np.random.Generator) -> Timing:
    return Timing(
        rr_s=rng.uniform(0.62, 1.05),
        breath_s=rng.uniform(3.0, 5.5),
        breath_amplitude=rng.uniform(0.01, 0.12),
        pvc_coupling=rng.uniform(0.5, 0.85),
        pac_coupling=rng.uniform(0.55, 0.88),
        ventricular_run_rr_s=rng.uniform(0.32, 0.48),
        atrial_run_rr_s=rng.uniform(0.36, 0.5),
        af_rr_s=rng.uniform(0.5, 0.8),
    )


def _draw_episode_rates(rng: np.random.Generator) -> dict[str, float]:
    return {
        name: float(np.exp(rng.uniform(np.log(pattern.low), np.log(pattern.high))))
        for name, pattern in PATTERNS.items()
        if rng.random() < pattern.share
    }


def _draw_noise(rng: np.random.Generator) -> Noise:
    return Noise(
        baseline_mv=rng.uniform(0.03, 0.3),
        muscle_mv=rng.uniform(0.01, 0.06),
        motion_mv=rng.uniform(0.1, 0.5),
        motion_share=rng.uniform(0.0, 0.06),
        powerline_mv=rng.uniform(0.0, 0.03),
        powerline_hz=float(rng.choice([50.0, 60.0])),
    )


def simulate(
    patient: Patient,
    *,
    minutes: float,
    fs: float = DEFAULT_FS,
    rng: np.random.Generator,
    name: str = "simulated",
) -> SimulatedRecording:
    """Simulate a recording of a patient, with the resolution of a 12-bit recorder.

    Parameters
    ----------
    patient
        The patient.
    minutes
        Length of the recording.
    fs
        Sampling rate in Hz.
    rng
        Source of randomness.
    name
        Name of the recording.

    Returns
    -------
    The recording and its annotations.
    """
    n_samples = round(minutes * 60 * fs)
    rhythm = _draw_rhythm(patient, n_samples, fs, rng)
    signal = _ecg(rhythm, patient, n_samples, fs, rng) + _disturbance(patient.noise, n_samples, fs, rng)
    signal += _fibrillation(rhythm, patient, n_samples, fs, rng)
    steps = np.round(np.clip(signal, -LIMIT_MV, LIMIT_MV) * STEPS_PER_MV)
    recording = recording_of(steps / STEPS_PER_MV, fs, name=name, leads=LEADS)
    return SimulatedRecording(recording, _annotate(rhythm, fs))


def _draw_rhythm(patient: Patient, n_samples: int, fs: float, rng: np.random.Generator) -> _Rhythm:
    n_beats = round(n_samples / fs / _SHORTEST_RR_S) + 1  # enough if every interval were the shortest
    fibrillating = on_and_off(n_beats, share=patient.af_share, mean_length=150, rng=rng)
    kind = _draw_kinds(patient.episodes_per_1000, fibrillating, rng)
    rr_s = _draw_rr_s(kind, fibrillating, patient.timing, rng)
    sample = np.round((np.cumsum(rr_s) - rr_s[0] * rng.random()) * fs).astype(np.int64)
    inside = sample < n_samples
    return _Rhythm(sample[inside], kind[inside], rr_s[inside], fibrillating[inside])


def _draw_kinds(
    episodes_per_1000: Mapping[str, float], fibrillating: Mask, rng: np.random.Generator
) -> Labels:
    kind = np.where(fibrillating, "f", "N")
    for name, per_1000 in episodes_per_1000.items():
        pattern = PATTERNS[name]
        starts = rng.integers(1, len(kind), rng.poisson(per_1000 * len(kind) / 1000))
        for start, repeats in zip(
            starts, rng.integers(pattern.min_repeats, pattern.max_repeats + 1, len(starts)), strict=True
        ):
            episode = np.array(list(pattern.unit * repeats))[: len(kind) - start]
            beats = kind[start : start + len(episode)]
            beats[episode != "."] = episode[episode != "."]
    kind[fibrillating & (kind == "A")] = "f"  # a fibrillating atrium has no extra beats
    return kind


def _draw_rr_s(kind: Labels, fibrillating: Mask, timing: Timing, rng: np.random.Generator) -> Floats:
    n = len(kind)
    before = np.roll(kind, 1)
    usual_s = np.where(fibrillating, timing.af_rr_s * rng.lognormal(0, 0.2, n), _sinus_rr_s(n, timing, rng))
    pvc_coupling = rng.normal(timing.pvc_coupling, 0.03, n)
    pac_coupling = rng.normal(timing.pac_coupling, 0.04, n)
    rr_s = np.select(
        [
            kind == "P",
            (kind == "V") & (before == "V"),
            (kind == "A") & (before == "A"),
            kind == "V",
            kind == "A",
            before == "V",  # a compensatory pause: the sinus node is not reset
            before == "A",  # no compensatory pause: it is reset
        ],
        [
            rng.uniform(2.1, 3.8, n),
            rng.normal(timing.ventricular_run_rr_s, 0.02, n),
            rng.normal(timing.atrial_run_rr_s, 0.02, n),
            pvc_coupling * usual_s,
            pac_coupling * usual_s,
            (2 - np.roll(pvc_coupling, 1)) * usual_s,
            rng.uniform(1.0, 1.2, n) * usual_s,
        ],
        usual_s,
    )
    return np.asarray(np.maximum(rr_s, _SHORTEST_RR_S))


def _sinus_rr_s(n: int, timing: Timing, rng: np.random.Generator) -> Floats:
    """Draw sinus RR intervals with respiratory arrhythmia, a slow drift over minutes and random jitter."""
    time_s = np.arange(n) * timing.rr_s
    breath = timing.breath_amplitude * _sine(time_s / timing.breath_s)
    periods_s = rng.uniform(60, 600, 3)
    drift = 0.04 * _sine(time_s[:, None] / periods_s + rng.random(3)).sum(axis=1)
    return np.asarray(timing.rr_s * (1 + breath + drift + rng.normal(0, 0.01, n)))


def _sine(cycles: NDArray[np.floating]) -> Floats:
    return np.asarray(np.sin(2 * np.pi * cycles))


def _ecg(rhythm: _Rhythm, patient: Patient, n_samples: int, fs: float, rng: np.random.Generator) -> Floats:
    shapes, kind = patient.shapes, rhythm.kind
    signal = np.zeros((n_samples, len(LEADS)))
    n_beats = len(kind)
    breath = _sine(rhythm.sample / fs / patient.timing.breath_s)
    scale = patient.r_mv * (1 + 0.05 * breath + rng.normal(0, 0.03, n_beats))
    focus = np.where(kind == "V", rng.integers(0, len(shapes.foci), n_beats), -1)
    aberrant = (kind == "A") & (rng.random(n_beats) < patient.aberrancy)
    qt = np.round(0.3 * np.sqrt(np.clip(rhythm.rr_s, 0.4, 1.2)) * fs).astype(np.int64)  # Bazett
    parts: list[tuple[Mask, Waves, Samples | int]] = [
        ((kind == "N") | (kind == "P"), shapes.p, 0),
        (kind == "A", shapes.ectopic_p, 0),
        (~aberrant & (kind != "V"), shapes.qrs, 0),
        (aberrant, shapes.aberrant, 0),
        (kind != "V", shapes.t, qt),
        *((focus == number, waves, 0) for number, waves in enumerate(shapes.foci)),
    ]
    for mask, waves, delay in parts:
        _add(signal, (rhythm.sample + delay)[mask], scale[mask], waves, fs)
    return signal


def _add(signal: Floats, sample: Samples, scale: Floats, waves: Waves, fs: float) -> None:
    """Add waves around each sample; parts beyond the ends of the signal are cut off."""
    reach = round(np.max(np.abs(waves[:, 0]) + _WAVE_REACH * waves[:, 1]) * fs)
    grid = np.arange(-reach, reach + 1)
    template = _sum_waves(waves, grid / fs)
    where = sample[:, None] + grid
    inside = (where >= 0) & (where < len(signal))
    for lead in range(signal.shape[1]):
        values = scale[:, None] * template[:, lead]
        signal[:, lead] += np.bincount(where[inside], values[inside], minlength=len(signal))


def _sum_waves(waves: Waves, time_s: Floats) -> Floats:
    bells = np.exp(-0.5 * ((time_s[:, None] - waves[:, 0]) / waves[:, 1]) ** 2)
    return np.asarray(bells @ waves[:, 2:])


def _disturbance(noise: Noise, n_samples: int, fs: float, rng: np.random.Generator) -> Floats:
    moving = on_and_off(n_samples, share=noise.motion_share, mean_length=10 * fs, rng=rng)
    muscle = np.exp(0.7 * _band(n_samples, fs, (0.005, 0.1), rng))  # muscle tension varies
    hum = np.sqrt(2) * _sine(noise.powerline_hz * np.arange(n_samples) / fs)
    return np.asarray(
        noise.baseline_mv * _band(n_samples, fs, (0.05, 0.5), rng)
        + noise.muscle_mv * _band(n_samples, fs, (15, 120), rng) * muscle
        + noise.motion_mv * _band(n_samples, fs, (1, 10), rng) * moving[:, None]
        + noise.powerline_mv * hum[:, None]
    )


def _fibrillation(
    rhythm: _Rhythm, patient: Patient, n_samples: int, fs: float, rng: np.random.Generator
) -> Floats:
    """Return the f waves of atrial fibrillation, which are strongest on V1."""
    next_beat = np.searchsorted(rhythm.sample, np.arange(n_samples))
    fibrillating = np.append(rhythm.fibrillating, False)[next_beat]
    waves_mv = patient.f_wave_mv * _band(n_samples, fs, (4, 8), rng) * (0.5, 1.0)
    return np.asarray(waves_mv * fibrillating[:, None])


def _band(n_samples: int, fs: float, band_hz: tuple[float, float], rng: np.random.Generator) -> Floats:
    return band_noise(n_samples, len(LEADS), fs, band_hz, rng)


def _annotate(rhythm: _Rhythm, fs: float) -> Annotations:
    changes = np.flatnonzero(np.diff(rhythm.fibrillating, prepend=~rhythm.fibrillating[:1]))
    marks = np.maximum(rhythm.sample[changes] - round(_MARK_S * fs), 0)
    sample = np.concatenate([marks, rhythm.sample])
    symbol = np.concatenate(
        [np.full(len(marks), "+"), np.where(np.isin(rhythm.kind, ("V", "A")), rhythm.kind, "N")]
    )
    names = np.where(rhythm.fibrillating[changes], "(AFIB", "(N")
    aux = np.concatenate([names, np.full(len(rhythm.sample), "")])
    order = np.argsort(sample, kind="stable")
    return Annotations(
        sample[order], symbol[order], np.zeros(len(order), np.int64), tuple(aux[order].tolist())
    )


def write(simulated: SimulatedRecording, folder: Path) -> Path:
    """Write a recording in WFDB format: header, signals (format 212) and ``.atr``.

    Parameters
    ----------
    simulated
        The recording with its annotations.
    folder
        The folder to write to.

    Returns
    -------
    Path of the header.
    """
    recording, leads = simulated.recording, simulated.recording.leads
    folder.mkdir(parents=True, exist_ok=True)
    import wfdb  # imports pandas too, so only when needed

    wfdb.wrsamp(
        recording.name,
        fs=recording.fs,
        units=["mV"] * len(leads),
        sig_name=list(leads),
        p_signal=recording.read(0, recording.n_samples).astype(np.float64),
        fmt=["212"] * len(leads),
        adc_gain=[float(STEPS_PER_MV)] * len(leads),
        baseline=[0] * len(leads),
        write_dir=str(folder),
    )
    write_annotations(folder / recording.name, "atr", simulated.annotations, fs=recording.fs)
    return folder / f"{recording.name}.hea"


def simulate_database(folder: Path, *, recordings: int, minutes: float, seed: int) -> Path:
    """Write recordings of simulated patients in the layout of a PhysioNet database.

    The folder is then a source for ``ectopy ingest simdb``. A patient does not depend on the number of
    recordings. Patients of different seeds have different names.

    Parameters
    ----------
    folder
        The folder of the database.
    recordings
        Number of recordings, one per patient.
    minutes
        Length of each recording.
    seed
        Seed of the patients.

    Returns
    -------
    ``<folder>/simdb/1.0.0``.
    """
    database = folder / DATABASE / VERSION
    names = [f"s{seed}-{number:03d}" for number in range(1, recordings + 1)]
    for number, name in enumerate(names, start=1):
        rng = np.random.default_rng([seed, number])
        write(simulate(draw_patient(rng), minutes=minutes, rng=rng, name=name), database)
    (database / "RECORDS").write_text("".join(f"{name}\n" for name in names))
    (database / "ANNOTATORS").write_text("atr\tthe simulated beats and rhythms\n")
    _write_checksums(database)
    return database


def _write_checksums(database: Path) -> None:
    files = sorted(path for path in database.iterdir() if path.name != "SHA256SUMS.txt")
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.name}\n" for path in files]
    (database / "SHA256SUMS.txt").write_text("".join(sums))
