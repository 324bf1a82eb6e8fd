"""The nouns: recordings, beats, events and analyses, as frozen values with units."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property, wraps
from html import escape
from numbers import Integral
from typing import TYPE_CHECKING, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ectopy.criteria import DEFAULT_CRITERIA, Criteria
from ectopy.plotting import plot_strip
from ectopy.printable import printable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Signal: TypeAlias = NDArray[np.float32]
"""Samples in mV; [n_samples] for one lead, [n_samples, n_leads] for several. NaN where missing."""
Samples: TypeAlias = NDArray[np.int64]
"""Indices on a recording's time grid."""
Edge = TypeVar("Edge", np.int64, np.float64)
"""An edge of an interval, in samples or in seconds."""
Mask: TypeAlias = NDArray[np.bool_]
Labels: TypeAlias = NDArray[np.str_]
"""One letter a beat, see :class:`BeatClass`."""


LOWEST_HZ, HIGHEST_HZ = 50.0, 50_000.0
"""Below, QRS complexes are lost; above, no ECG recorder is known."""
LONGEST_S = 100 * 86_400.0
"""No recorder runs longer without a new file; a damaged time stamp would give an absurd gap."""
MOST_LEADS = 2048
"""More than any recorder has; a damaged header could give more."""
STANDARD_LEADS = 12
"""An array of more leads than these, and fewer samples, has the leads first."""
WIDEST_MV, NARROWEST_MV = 100.0, 0.02
"""Range of an array in most seconds: above, it is in other units than mV; below, perhaps in V."""


def true_intervals(mask: Mask) -> NDArray[np.intp]:
    """Return the half-open [start, stop) intervals in which a mask is True, [k, 2]."""
    if not mask.any():  # true of most masks of rare events
        return np.empty((0, 2), dtype=np.intp)
    edges = np.diff(np.concatenate(([False], mask, [False])).astype(np.int8))
    return np.flatnonzero(edges).reshape(-1, 2)


def merge_intervals(spans: NDArray[Edge]) -> NDArray[Edge]:
    """Merge half-open [start, stop) intervals in any order, [k, 2], that overlap or touch."""
    if not len(spans):  # as of most kinds of events
        return spans
    spans = spans[(spans[:, 0] < spans[:, 1])]
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    reached = np.maximum.accumulate(spans[:, 1])
    apart = spans[1:, 0] > reached[:-1]
    first, last = np.append(True, apart)[: len(spans)], np.append(apart, True)[: len(spans)]
    return np.stack((spans[first, 0], reached[last]), axis=1)


def distinct(values: NDArray[Edge]) -> NDArray[Edge]:
    """Return the distinct values of a sorted array; np.unique would import masked arrays, for 17 ms."""
    return values[np.diff(values, prepend=values[:1] - 1) > 0]


def is_inside(sample: NDArray[Edge], spans: NDArray[Edge]) -> Mask:
    """Check which samples lie in some intervals.

    Parameters
    ----------
    sample
        Samples or times in order, [n].
    spans
        Half-open [start, stop) intervals in the same unit, [k, 2], in order and apart.

    Returns
    -------
    Mask [n].
    """
    begun, ended = (np.searchsorted(spans[:, edge], sample, side="right") for edge in (0, 1))
    return np.asarray(begun > ended)


def after_gap(sample: Samples, gaps: Samples) -> Mask:
    """Find the samples that have a gap between them and the sample before.

    Parameters
    ----------
    sample
        Samples in increasing order, [n].
    gaps
        Half-open [start, stop) intervals in samples, [k, 2], in order and apart.

    Returns
    -------
    Mask [n]; False for the first sample.
    """
    begun = np.searchsorted(gaps[:, 0], sample[1:], side="left")
    ended = np.searchsorted(gaps[:, 1], sample[:-1], side="right")
    return np.append(False, begun > ended)[: len(sample)]


class BeatClass(StrEnum):
    """The five beat classes of ANSI/AAMI EC57."""

    NORMAL = "N"
    SVEB = "S"
    VEB = "V"
    FUSION = "F"
    UNKNOWN = "Q"


CLASSES = (BeatClass.NORMAL, BeatClass.SVEB, BeatClass.VEB, BeatClass.FUSION)
"""Order of the columns of :attr:`Beats.probability`."""


VALUES_AT_ONCE = 2**23
"""Samples x leads that are read at once: 12 leads for ten minutes at 1 kHz, or 32 MiB in float32."""
MAX_MV = 10_000.0
"""Samples beyond this, 10 V, count as missing. An amplifier with electrodes on the skin gives far less.

Electrodes add up to 300 mV, and a recorder without a high-pass filter stores them.
"""
USUAL_MAX_MV, USUAL_FACTOR = 500.0, 1000.0
"""Samples beyond 0.5 V count as missing too, if they are so many times the median size of their lead.

So fill values such as 9999 and -999 are missing. A lead with an offset, or in microvolts, keeps its waves.
"""
WRONG_UNIT_FACTOR = 100.0
"""Limit of a lead whose unit is wrong, as a multiple of the median of its absolute samples."""
MAX_WRONG_UNIT = 1e10
"""Greatest value that a wrong unit explains: steps of a converter of 32 bits; others are fill values."""
SEGMENT_S, N_SEGMENTS = 10.0, 8
"""Length in seconds and number of the segments that stand for a recording."""


class UnreadableError(ValueError):
    """A file that cannot be read as a recording; the message names it, what was expected and what came."""


class NotAnalysableError(ValueError):
    """A request that does not fit the recording, such as a lead it does not have."""


@dataclass(frozen=True)
class Mark:
    """Moment that the patient marked, in seconds from the start of the recording.

    ``text`` is what the file or the diary says about it; it may hold personal data, and "" is none.
    """

    time_s: float
    text: str = field(default="", repr=False)


@dataclass(frozen=True)
class PatientHeader:
    """Who was recorded, why and with what, by the file or a table of the lab; never write it to a log.

    ``birth_date`` is a date (ISO 8601) and ``sex`` is ``female``, ``male`` or ``other``. What is not known is
    "". The representation shows nothing of it.
    """

    name: str = field(default="", repr=False)
    identifier: str = field(default="", repr=False)
    birth_date: str = field(default="", repr=False)
    sex: str = field(default="", repr=False)
    indication: str = field(default="", repr=False)
    recorder: str = field(default="", repr=False)


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording: its metadata, and a function that reads its samples when they are needed.

    ``fs`` is the sampling rate in Hz and ``start`` the time of day at the first sample. ``read(start, stop)``
    returns float32 [stop - start, n_leads] in mV, NaN where a sample is missing. ``notes`` state what the
    reader left out or mended, one sentence each, such as "lead V5 is left out: it has no physical range".
    ``incomplete`` is True if the file has less than its header states; it may still be uploading. ``marks``
    are moments that the patient marked, in order of time, within the recording. ``patient`` is who was
    recorded, if the file states it.
    """

    name: str
    fs: float
    leads: tuple[str, ...]
    n_samples: int
    read: Callable[[int, int], Signal] = field(repr=False)
    start: datetime | None = None
    notes: tuple[str, ...] = ()
    incomplete: bool = False
    marks: tuple[Mark, ...] = field(default=(), repr=False)
    patient: PatientHeader | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.leads, str):
            raise UnreadableError(f"{self.name}: leads are the text {self.leads!r}. Give a tuple of names.")
        if not self.leads:
            raise UnreadableError(f"{self.name}: no lead. Name at least one.")
        if len(self.leads) > MOST_LEADS:
            raise UnreadableError(f"{self.name}: {len(self.leads)} leads. Give at most {MOST_LEADS}.")
        check_rate(self.fs, self.name)
        if not (isinstance(self.n_samples, Integral) and 0 <= self.n_samples <= LONGEST_S * self.fs):
            raise UnreadableError(
                f"{self.name}: {self.n_samples!r} samples at {self.fs:g} Hz. "
                f"Give a whole number of samples, of at most {LONGEST_S / 86_400:g} days."
            )
        times_s = [mark.time_s for mark in self.marks]
        if times_s != sorted(times_s) or not all(0 <= time_s <= self.duration_s for time_s in times_s):
            raise UnreadableError(
                f"{self.name}: a mark is not within the recording, or the marks are not in order of time. "
                f"Give times from 0 to {self.duration_s:g} s in their order."
            )
        if not callable(self.read):
            raise UnreadableError(
                f"{self.name}: read is no function of start and stop. Use recording_of for an array."
            )

    @property
    def duration_s(self) -> float:
        """Length of the recording."""
        return self.n_samples / self.fs

    def read_leads(self, columns: Sequence[int], start: int, stop: int) -> Signal:
        """Read some of the leads. Samples beyond the limit of their lead are missing.

        The other leads are in memory for VALUES_AT_ONCE samples x leads at most.

        Parameters
        ----------
        columns
            Columns of ``leads``.
        start, stop
            Half-open interval of samples.

        Returns
        -------
        Signal in mV, float32 [stop - start, n_columns]; NaN where a sample is missing.

        Raises
        ------
        NotAnalysableError
            If the interval is not within the recording.
        UnreadableError
            If ``read`` does not return what it should.
        """
        if not 0 <= start <= stop <= self.n_samples:
            raise NotAnalysableError(
                f"{self.name}: samples {start} to {stop} are not within the recording. "
                f"Choose some from 0 to {self.n_samples}."
            )
        if list(columns) == list(range(len(self.leads))):
            signal = self._read(start, stop)
        else:
            step = max(VALUES_AT_ONCE // len(self.leads), 1)
            firsts = range(start, stop, step) or [start]  # an empty interval has a shape too
            parts = [self._read(first, min(first + step, stop))[:, list(columns)] for first in firsts]
            signal = parts[0] if len(parts) == 1 else np.concatenate(parts)
        signal = np.asfortranarray(signal)  # each lead contiguous in memory: all steps go along the leads
        if within(signal, USUAL_MAX_MV):  # so nearly always
            return signal
        return np.where(np.abs(signal) <= self.limits_mv[list(columns)], signal, np.float32(np.nan))

    def _read(self, start: int, stop: int) -> Signal:
        """Read all leads, and check what ``read`` returns, which may be a function of the user."""
        signal, expected = self.read(start, stop), (stop - start, len(self.leads))
        if not isinstance(signal, np.ndarray) or signal.shape != expected or signal.dtype.kind != "f":
            shape, dtype = np.shape(signal), getattr(signal, "dtype", type(signal).__name__)
            raise UnreadableError(
                f"{self.name}: read({start}, {stop}) returned {dtype} of shape {shape}. "
                f"It must return float32 in mV of shape {expected}, [n_samples, n_leads]."
            )
        with np.errstate(over="ignore"):  # such a sample is beyond every limit
            return _unmasked(signal, signal.astype(np.float32, copy=False))

    @cached_property
    def limits_mv(self) -> NDArray[np.float32]:
        """Largest possible sample of each lead in mV, [n_leads]; one beyond it is a fill value or an error.

        The limit is USUAL_MAX_MV, or USUAL_FACTOR times the median size of the lead, but at most MAX_MV.
        Where most samples are beyond MAX_MV, the unit of the lead is wrong. Beats are compared with each
        other, so such a lead can be analysed all the same. Its limit is WRONG_UNIT_FACTOR times their median
        size.
        """
        size = np.array([_median_size(self._read(*segment)) for segment in _segments(self)])
        usual = np.median(size, axis=0)
        limits: NDArray[np.float32] = np.clip(USUAL_FACTOR * usual, USUAL_MAX_MV, MAX_MV).astype(np.float32)
        limits[usual > MAX_MV] = WRONG_UNIT_FACTOR * usual[usual > MAX_MV]
        return limits

    @property
    def exceeds_limits(self) -> bool:
        """Whether a sample beyond USUAL_MAX_MV was read so far; only then is ``limits_mv`` computed."""
        return "limits_mv" in self.__dict__


def within(signal: Signal, limit: float) -> bool:
    """Check that no sample is beyond a limit in either direction; missing samples (NaN) are not.

    Parameters
    ----------
    signal
        Samples of any shape.
    limit
        The limit.

    Returns
    -------
    Whether all samples are within it.
    """
    highest = np.fmax.reduce(signal, axis=None, initial=0)
    return bool(highest <= limit and np.fmin.reduce(signal, axis=None, initial=0) >= -limit)


def sample_segments(recording: Recording) -> Iterator[Signal]:
    """Read N_SEGMENTS segments, spread evenly over a recording, [n, n_leads] each.

    A segment of very many leads is shorter, so that no more than VALUES_AT_ONCE samples x leads are read.
    """
    every = range(len(recording.leads))
    return (recording.read_leads(every, *segment) for segment in _segments(recording))


def _segments(recording: Recording) -> list[tuple[int, int]]:
    most = min(round(SEGMENT_S * recording.fs), max(VALUES_AT_ONCE // len(recording.leads), 1))
    length = min(recording.n_samples, most)
    starts = np.linspace(0, recording.n_samples - length, N_SEGMENTS).round().astype(int).tolist()
    return [(start, start + length) for start in starts]


def _median_size(segment: Signal) -> NDArray[np.float32]:
    """Compute the median absolute sample of each lead, [n_leads]; 0 for a lead of fill values only."""
    size = np.abs(segment)
    known = size <= MAX_WRONG_UNIT  # fill values say nothing about the unit
    return np.array(
        [np.median(lead[use]) if use.any() else 0 for lead, use in zip(size.T, known.T, strict=True)]
    )


def check_rate(fs: object, name: str) -> None:
    """Check that a sampling rate is plausible for an ECG.

    Parameters
    ----------
    fs
        Sampling rate in Hz.
    name
        Name of the recording, for the message.

    Raises
    ------
    UnreadableError
        If it is no number from 50 Hz to 50 kHz.
    """
    number = isinstance(fs, int | float | np.integer | np.floating) and not isinstance(fs, bool)
    if not (number and LOWEST_HZ <= fs <= HIGHEST_HZ):  # type: ignore[operator] # it is a number
        raise UnreadableError(
            f"{name}: the sampling rate is {fs!r} Hz. Give one from {LOWEST_HZ:g} to {HIGHEST_HZ:g} Hz."
        )


def recording_of(
    signal: NDArray[np.floating], fs: float, *, name: str = "recording", leads: tuple[str, ...] = ()
) -> Recording:
    """Return an array as a recording.

    Parameters
    ----------
    signal
        Signal in mV, [n_samples] or [n_samples, n_leads]; NaN or masked where a sample is missing.
    fs
        Sampling rate in Hz.
    name
        Name of the recording.
    leads
        Names of the leads; by default they are numbered.

    Returns
    -------
    The recording.

    Raises
    ------
    NotAnalysableError
        If the array is no signal in mV, or if it has the leads first.
    UnreadableError
        If the rate is implausible, or the array has not as many leads as there are names.
    """
    recording = recording_in_any_unit(signal, fs, name=name, leads=leads)
    return replace(recording, notes=_check_unit(recording))


def recording_in_any_unit(
    signal: NDArray[np.floating], fs: float, *, name: str = "recording", leads: tuple[str, ...] = ()
) -> Recording:
    """Return an array as a recording, whatever its unit is.

    Parameters
    ----------
    signal, fs, name, leads
        As for :func:`recording_of`.

    Returns
    -------
    The recording.
    """
    array = _as_signal(signal, name)
    leads = leads or tuple(f"lead {number}" for number in range(1, array.shape[1] + 1))
    if array.shape[1] != len(leads):
        raise UnreadableError(
            f"{name}: {len(leads)} lead names for an array of shape {array.shape}. Give [n_samples, n_leads]."
        )
    check_rate(fs, name)
    return Recording(name, float(fs), leads, len(array), lambda start, stop: array[start:stop])


def _as_signal(values: object, name: str) -> Signal:
    """Return an array of real numbers as float32 [n_samples, n_leads], missing samples as NaN."""
    if hasattr(values, "columns"):
        raise NotAnalysableError(
            f"{name}: a table, whose columns may be times. "
            "Give those of its leads as an array in mV, such as table[['II', 'V1']].to_numpy()."
        )
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise NotAnalysableError(f"{name}: rows of different lengths. Give one value per sample.") from error
    if array.ndim == 0:
        what = "a single number" if isinstance(values, np.ndarray) else type(values).__name__
        raise NotAnalysableError(
            f"{name}: an ECG cannot be read from {what}. Give a path, a Recording, or an array in mV."
        )
    if array.dtype.kind in "iu":
        raise NotAnalysableError(
            f"{name}: an array of integers ({array.dtype}). Are these the units of an ADC? "
            "Give mV: (array - baseline) / gain, with the gain in units per mV."
        )
    if array.dtype.kind != "f":
        raise NotAnalysableError(f"{name}: an array of {array.dtype}. Give real numbers in mV.")
    if array.ndim > 2:
        raise NotAnalysableError(
            f"{name}: an array of shape {array.shape}. Give [n_samples] or [n_samples, n_leads]."
        )
    if array.ndim == 2 and len(array) and array.shape[1] > max(len(array), STANDARD_LEADS):
        raise NotAnalysableError(
            f"{name}: an array of shape {array.shape} has more leads than samples. "
            "Give its transpose, array.T."
        )
    with np.errstate(over="ignore"):  # what float32 cannot hold is no voltage
        signal = array.astype(np.float32, copy=False)
    signal = _unmasked(values, signal)
    return signal[:, None] if signal.ndim == 1 else signal


def _unmasked(values: object, signal: Signal) -> Signal:
    """Return the signal of an array, as missing where that is masked, such as one from a netCDF file."""
    if type(values) is not np.ndarray and isinstance(values, np.ma.MaskedArray):  # np.ma is imported here
        return np.where(np.ma.getmaskarray(values), np.float32(np.nan), signal)
    return signal


def _check_unit(recording: Recording) -> tuple[str, ...]:
    """Refuse a signal that cannot be in mV; return a note on one that may not be."""
    second = min(round(recording.fs), recording.n_samples)
    starts = np.linspace(0, recording.n_samples - second, 60).astype(int).tolist()
    signals = (recording.read(start, start + second) for start in starts if second)
    seconds = (np.where(np.isfinite(signal), signal, np.float64(np.nan)) for signal in signals)
    ranges_mv = [np.fmax.reduce(signal, axis=0) - np.fmin.reduce(signal, axis=0) for signal in seconds]
    known = [values for values in ranges_mv if np.isfinite(values).all()]
    if not known:
        return ()
    usual_mv, widest_mv = float(np.median(known, axis=0).max()), float(np.max(known))
    if usual_mv > WIDEST_MV:
        raise NotAnalysableError(
            f"{recording.name}: the signal spans {usual_mv:.3g} mV in a second. "
            "Is it in \N{GREEK SMALL LETTER MU}V or in the units of an ADC? Give mV."
        )
    if 0 < widest_mv < NARROWEST_MV:
        return (f"the signal spans {widest_mv:.2g} mV only; if it is in V, multiply it by 1000",)
    return ()


@dataclass(frozen=True, eq=False)
class Beats:
    """Labelled heartbeats in order of time.

    ``probability`` is float32 [n, 4], its columns in the order of :data:`CLASSES`.

    ``confident`` never changes a label. It is False for three reasons. The highest probability is below the
    threshold of the model. The recording has too few beats for the model (both are decided in
    :mod:`ectopy.model.classifier`). The beat lies in noise (:mod:`ectopy.beats.signal_to_noise`).
    """

    sample: Samples
    label: Labels
    probability: NDArray[np.float32]
    confident: Mask
    fs: float

    def __post_init__(self) -> None:
        n = len(self.sample)
        if not (len(self.label) == len(self.confident) == n and self.probability.shape == (n, len(CLASSES))):
            raise ValueError(
                f"{n} beats, {len(self.label)} labels, {len(self.confident)} flags, "
                f"probabilities of shape {self.probability.shape}"
            )
        if n > 1 and not (np.diff(self.sample) > 0).all():
            raise ValueError("beats must be in strictly increasing order of time")

    def __len__(self) -> int:
        return len(self.sample)

    @cached_property
    def time_s(self) -> NDArray[np.float64]:
        """R-peak times in seconds from the start of the recording; computed once, read-only."""
        time_s = self.sample / self.fs
        time_s.flags.writeable = False
        return time_s

    @property
    def rr_s(self) -> NDArray[np.float64]:
        """RR intervals in seconds, each ending at its beat; NaN for the first."""
        return np.diff(self.time_s, prepend=np.nan)

    def between(self, start_s: float, stop_s: float) -> slice:
        """Find the beats between two times, both included.

        Parameters
        ----------
        start_s, stop_s
            The two times, in seconds from the start of the recording.

        Returns
        -------
        A slice of the beats.
        """
        first = int(np.searchsorted(self.time_s, start_s))
        return slice(first, int(np.searchsorted(self.time_s, stop_s, side="right")))

    def to_frame(self) -> "pd.DataFrame":
        """Return a pandas table with one row a beat: its time, class and probabilities."""
        import pandas as pd

        probabilities = {f"p_{name.lower()}": self.probability[:, at] for at, name in enumerate(CLASSES)}
        return pd.DataFrame(
            {
                "sample": self.sample,
                "time_s": self.time_s,
                "rr_s": self.rr_s,
                "label": self.label.astype(object),
                **probabilities,
                "confident": self.confident,
            }
        )


NO_BEATS_PROBABILITY = np.empty((0, len(CLASSES)), dtype=np.float32)


def no_beats(fs: float) -> Beats:
    """Return the beats of a recording that has none."""
    none = np.empty(0, dtype=np.int64)
    return Beats(none, none.astype("U1"), NO_BEATS_PROBABILITY, none.astype(bool), fs)


@dataclass(frozen=True)
class Event:
    """A finding with an extent in time; ``rate_bpm`` is NaN where a rate means nothing."""

    kind: str
    onset_s: float
    offset_s: float
    n_beats: int
    rate_bpm: float

    @property
    def duration_s(self) -> float:
        """Length of the event in seconds."""
        return self.offset_s - self.onset_s


@dataclass(frozen=True, eq=False)
class Analysis:
    """The result of analysing one recording.

    ``columns`` are the columns of ``recording.leads`` that were analysed. ``rr_s``, float64 [n], are the RR
    intervals in seconds on which all rates and events rest: NaN for the first beat, across an unreadable
    interval, and beside a beat of ``low_quality`` [n], which lies in noise. ``events`` are in order of onset.
    ``unreadable`` are half-open [start, stop) intervals in samples, int64 [k, 2], in which no analysed lead
    could be read. ``artefact`` are those that the rhythm network calls so, and ``p_waves`` the standstills in
    which P waves go on. ``criteria`` are those by which the events were found.
    """

    recording: Recording
    columns: tuple[int, ...]
    beats: Beats
    rr_s: NDArray[np.float64]
    low_quality: Mask
    events: tuple[Event, ...]
    unreadable: Samples
    criteria: Criteria = DEFAULT_CRITERIA
    artefact: Samples = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))
    p_waves: Samples = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))

    @property
    def name(self) -> str:
        """Name of the recording."""
        return self.recording.name

    @property
    def fs(self) -> float:
        """Sampling rate in Hz."""
        return self.recording.fs

    @property
    def n_samples(self) -> int:
        """Number of samples of each lead."""
        return self.recording.n_samples

    @property
    def start(self) -> datetime | None:
        """Time of day at the first sample, if the recording knows it."""
        return self.recording.start

    @property
    def recorded_leads(self) -> tuple[str, ...]:
        """Names of all leads of the recording."""
        return self.recording.leads

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the leads that were analysed."""
        return tuple(self.recording.leads[column] for column in self.columns)

    @property
    def duration_s(self) -> float:
        """Length of the recording in seconds."""
        return self.recording.duration_s

    @cached_property
    def in_noise(self) -> Mask:
        """Which beats lie in noise or artefact, [n]."""
        return np.asarray(self.low_quality | is_inside(self.beats.sample, self.artefact))

    @cached_property
    def not_analysed(self) -> Samples:
        """Half-open [start, stop) intervals of unreadable signal and of artefact in samples, [k, 2]."""
        return merge_intervals(np.clip(np.concatenate((self.unreadable, self.artefact)), 0, self.n_samples))

    @property
    def analysable_s(self) -> float:
        """Time in seconds in which at least one lead could be read, and is no artefact."""
        return self.readable_s(0.0, self.duration_s)

    def readable_s(self, start_s: float, stop_s: float) -> float:
        """Compute the time between two times of the recording that could be analysed.

        Parameters
        ----------
        start_s, stop_s
            The two times, in seconds.

        Returns
        -------
        Seconds.
        """
        edges = np.clip(self.not_analysed / self.fs, start_s, stop_s)
        return float(stop_s - start_s - (edges[:, 1] - edges[:, 0]).sum())

    def events_of(self, kind: str) -> list[Event]:
        """Return the events of one kind, such as ``"vt"``, in order of onset."""
        return list(self._events_by_kind.get(kind, ()))

    @cached_property
    def _events_by_kind(self) -> dict[str, list[Event]]:
        by_kind: dict[str, list[Event]] = {}
        for event in self.events:
            by_kind.setdefault(event.kind, []).append(event)
        return by_kind

    def events_frame(self) -> "pd.DataFrame":
        """Return a pandas table, one row an event: kind, onset, offset, number of beats, rate."""
        import pandas as pd

        return pd.DataFrame([vars(event) for event in self.events], columns=list(Event.__dataclass_fields__))

    def plot(self, *, start_s: float = 0.0, duration_s: float = 10.0) -> "Figure":
        """Draw a strip of the analysed leads on ECG paper, with the class of each beat.

        Parameters
        ----------
        start_s
            Start of the strip since the start of the recording, in seconds.
        duration_s
            Length of the strip in seconds.

        Returns
        -------
        A Matplotlib figure; see :func:`ectopy.plot_strip`.
        """
        start = min(max(round(start_s * self.fs), 0), self.n_samples)
        stop = min(start + round(duration_s * self.fs), self.n_samples)
        if stop <= start:
            raise NotAnalysableError(
                f"{self.name}: no signal at {start_s:g} s. Choose a time within its {self.duration_s:.1f} s."
            )
        return plot_strip(
            self.read(start, stop), self.fs, leads=self.leads, beats=self.beats, start_s=start / self.fs
        )

    def __str__(self) -> str:
        return "\n".join(f"{name}: {printable(text)}" for name, text in self._facts())

    def _repr_html_(self) -> str:
        """Return the summary as a small table for Jupyter."""
        facts = ((escape(name), escape(printable(text))) for name, text in self._facts())
        rows = (f"<tr><th>{name}</th><td>{text}</td></tr>" for name, text in facts)
        return f"<table>{''.join(rows)}</table>"

    def _facts(self) -> list[tuple[str, str]]:
        """Return the lines of the summary: a name and a text each."""
        per_class = (f"{int((self.beats.label == letter).sum()):,} {letter}" for letter in BeatClass)
        known = self.rr_s[np.isfinite(self.rr_s)]
        rate = f"{60 / np.median(known):.0f} bpm" if len(known) else "unknown"
        kinds = Counter(event.kind for event in self.events)
        share = 100 * self.analysable_s / self.duration_s if self.n_samples else 0.0
        return [
            ("Recording", f"{self.name}, {self.duration_s:,.0f} s at {self.fs:g} Hz"),
            ("Leads", f"{', '.join(self.leads)} of {', '.join(self.recorded_leads)}"),
            ("Analysed", f"{share:.1f} % of the time"),
            ("Beats", f"{len(self.beats):,}: {', '.join(per_class)}"),
            ("Median heart rate", rate),
            ("Events", ", ".join(f"{number:,} {kind}" for kind, number in kinds.items()) or "none"),
            *(("Note", note) for note in self.recording.notes),
        ]

    def read(self, start: int, stop: int) -> Signal:
        """Read the analysed leads.

        Parameters
        ----------
        start, stop
            Half-open interval of samples.

        Returns
        -------
        Signal in mV, float32 [stop - start, n_leads].
        """
        return self.recording.read_leads(self.columns, start, stop)


Said = TypeVar("Said")


def once(function: Callable[[Analysis], Said]) -> Callable[[Analysis], Said]:
    """Keep the result of a function of an analysis as long as the analysis: several outputs ask for it."""
    known: WeakKeyDictionary[Analysis, Said] = WeakKeyDictionary()

    @wraps(function)
    def of(analysis: Analysis) -> Said:
        if analysis not in known:
            known[analysis] = function(analysis)
        return known[analysis]

    return of
