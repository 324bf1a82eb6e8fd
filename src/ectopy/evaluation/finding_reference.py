"""Reference for findings: which rhythm each database states, from when to when, and what it leaves open.

The rhythms are rows of :data:`RHYTHMS`. A new kind of event needs its name in one of them. How each database
states them is a row of :data:`LABELS`: as marks of rhythm, as labels of beats, or as a label of each strip.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np

from ectopy.annotations import Annotations, read_annotations
from ectopy.criteria import Criteria
from ectopy.datasets.catalogue import Database, FetchError
from ectopy.ec57 import classes_of
from ectopy.ecg import Labels, Samples, merge_intervals, true_intervals
from ectopy.rhythm.kinds import ATRIAL, KINDS
from ectopy.rhythm.limits import CONSECUTIVE_S, RUN_BEATS

_CRITERIA = Criteria()
"""Their defaults define the reference too."""
NOISE = "noise"
"""Rhythm of intervals in which no finding is judged."""
_NOISE_MARK = "(NOISE"
_UNCERTAIN_MARKS = {"(HGEA": "vt"}
"""Marks of what may contain episodes of a rhythm: high-grade ventricular ectopic activity."""
_ARTEFACTS = ("~", "|")
"""Symbols of noise and artefacts, between which beats may lack an annotation."""
_NOT_BEATS = ("!", "[", "]")
"""Symbols of ventricular flutter or fibrillation, which is not a pause."""

Strip = Literal["normal", "af", "other", "noise", ""]
"""Label of a whole strip; "" for a recording without one."""
STRIPS: tuple[Strip, ...] = ("normal", "af", "other", "noise")


@dataclass(frozen=True)
class Rhythm:
    """A rhythm of which findings are evaluated.

    Parameters
    ----------
    name
        Name in metrics.
    title
        Name on the page.
    marks
        The rhythm strings of MIT-BIH that state it.
    kinds
        Kinds of events that name it. They may be planned: see :attr:`has_event`.
    also
        Kinds of events that point to it without naming it. They find it, and they can be false.
    accepts
        Other rhythms in which such an event is not false.
    malignant
        Whether it is immediately dangerous. An event that names a malignant rhythm is not false in another.
    shortest_s
        Shorter episodes need not be found, in seconds.
    shortest_event_s
        Shorter events are no finding of this rhythm, in seconds.
    """

    name: str
    title: str
    marks: tuple[str, ...]
    kinds: tuple[str, ...]
    also: tuple[str, ...] = ()
    accepts: tuple[str, ...] = ()
    malignant: bool = False
    shortest_s: float = 0.0
    shortest_event_s: float = 0.0

    @property
    def has_event(self) -> bool:
        """Whether ectopy has a kind of event that names the rhythm, or points to it."""
        return not KINDS.keys().isdisjoint((*self.kinds, *self.also))


RHYTHMS = (
    Rhythm("vt", "Ventricular tachycardia", ("(VT",), ("vt",), accepts=("ivr",), malignant=True),
    Rhythm(
        "vf",
        "Ventricular flutter or fibrillation",
        ("(VFL", "(VF", "(VFIB"),
        ("vf",),
        malignant=True,
    ),
    Rhythm(
        "asystole",
        f"Asystole, or a pause of {_CRITERIA.urgent_pause_s:g} s or more",
        ("(ASYS",),
        ("asystole",),
        also=("pause",),
        malignant=True,
        shortest_s=_CRITERIA.urgent_pause_s,
        shortest_event_s=_CRITERIA.urgent_pause_s,
    ),
    Rhythm(
        "af",
        f"Atrial fibrillation or flutter of {_CRITERIA.af_s:g} s or more",
        ("(AFIB", "(AFL"),
        ATRIAL,
        shortest_s=_CRITERIA.af_s,
    ),
    Rhythm("svt", "Supraventricular tachycardia", ("(SVTA",), ("sv_run",), accepts=("af",)),
    Rhythm("ivr", "Idioventricular rhythm", ("(IVR", "(VER"), ("idioventricular_rhythm",), accepts=("vt",)),
)
"""The rhythms of which findings are evaluated."""
BY_NAME: Mapping[str, Rhythm] = MappingProxyType({rhythm.name: rhythm for rhythm in RHYTHMS})
ALL_RHYTHMS = frozenset(BY_NAME)


@dataclass(frozen=True)
class Episode:
    """An episode of a rhythm, in seconds.

    If ``counts`` is False, it is uncertain or too short: it need not be found, and a finding in it is not
    false.
    """

    rhythm: str
    start_s: float
    stop_s: float
    counts: bool = True

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.stop_s - self.start_s


@dataclass(frozen=True)
class Window:
    """An interval in seconds, and whether it has ventricular tachycardia or fibrillation."""

    start_s: float
    stop_s: float
    shockable: bool


@dataclass(frozen=True)
class FindingReference:
    """What a database states about the rhythm of one record.

    ``known`` are the names of the rhythms of which it states all episodes; only they can be false. With
    ``timed``, onset and end of atrial fibrillation are stated too.
    """

    key: str
    patient: str
    duration_s: float
    known: frozenset[str]
    episodes: tuple[Episode, ...] = ()
    timed: bool = False
    windows: tuple[Window, ...] = ()
    strip: Strip = ""

    def has(self, *rhythms: str) -> bool:
        """Return whether the record has an episode of any of some rhythms, certain or not."""
        return any(episode.rhythm in rhythms for episode in self.episodes)


@dataclass(frozen=True)
class LabelSource:
    """How a database states its rhythms.

    ``known`` is as in :class:`FindingReference`, of the whole database. ``marks`` is True if its annotations
    have marks of rhythm, and ``beats`` if they have labels of beats. Otherwise there are labels of strips or
    of windows.
    """

    known: frozenset[str] = frozenset()
    marks: bool = False
    beats: bool = False


_BY_BEATS = frozenset({"vt", "vf", "asystole", "svt", "ivr"})
LABELS: Mapping[str, LabelSource] = MappingProxyType(
    {
        "mitdb": LabelSource(ALL_RHYTHMS, marks=True, beats=True),
        "nstdb": LabelSource(ALL_RHYTHMS, marks=True, beats=True),
        "svdb": LabelSource(_BY_BEATS, beats=True),
        "incartdb": LabelSource(_BY_BEATS, beats=True),
        "ltdb": LabelSource(_BY_BEATS, beats=True),
        "nsrdb": LabelSource(_BY_BEATS, beats=True),
        "afdb": LabelSource(frozenset({"af"}), marks=True),
        "vfdb": LabelSource(ALL_RHYTHMS, marks=True),
        "cudb": LabelSource(),
        "aftdb": LabelSource(),
        "afpdb": LabelSource(),
        "ludb": LabelSource(),
        "challenge-2017": LabelSource(),
    }
)
"""The databases whose findings can be evaluated."""


def read_reference(
    database: Database, record: Path, *, patient: str, fs: float, n_samples: int
) -> FindingReference:
    """Read what a database states about the rhythm of a record.

    Parameters
    ----------
    database
        The database.
    record
        Path of the record without suffix.
    patient
        The patient.
    fs
        Sampling rate of the record in Hz.
    n_samples
        Its length in samples.

    Returns
    -------
    The reference.

    Raises
    ------
    FetchError
        If a file of labels is missing, or has no label of the record.
    UnreadableError
        If the annotations are missing or damaged.
    """
    source, key, duration_s = LABELS[database.name], f"{database.name}/{record.name}", n_samples / fs
    if source.marks or source.beats:
        annotations = read_annotations(record, "atr")
        episodes = episodes_of(annotations, source, fs=fs, n_samples=n_samples)
        timed = source.marks and "af" in source.known
        return FindingReference(key, patient, duration_s, source.known, episodes, timed)
    if database.name == "cudb":
        windows = tuple(read_windows(record.parent / "windows_5s.csv", record.name))
        return FindingReference(key, patient, duration_s, frozenset(), windows=windows)
    reference = strip_reference(key, patient, duration_s, _strip_label(database, record))
    # A record of afpdb that begins in atrial fibrillation may end without it.
    return replace(reference, timed=False) if database.name == "afpdb" and reference.episodes else reference


def episodes_of(
    annotations: Annotations, source: LabelSource, *, fs: float, n_samples: int
) -> tuple[Episode, ...]:
    """Find the episodes that the annotations of a record state.

    Parameters
    ----------
    annotations
        The annotations.
    source
        Whether to read marks of rhythm, labels of beats, or both.
    fs
        Their sampling rate in Hz.
    n_samples
        Length of the record in samples.

    Returns
    -------
    Episodes in order of onset. Those of one rhythm that overlap are one.
    """
    found = [
        *(_by_marks(annotations, n_samples) if source.marks else ()),
        *(_by_beats(annotations, fs) if source.beats else ()),
    ]
    groups = sorted({(rhythm, counts) for rhythm, _, counts in found})
    episodes = [
        Episode(rhythm, start / fs, stop / fs, counts)
        for rhythm, counts in groups
        for start, stop in merge_intervals(
            np.array([span for name, span, certain in found if (name, certain) == (rhythm, counts)])
        ).tolist()
    ]
    return tuple(sorted(episodes, key=lambda episode: (episode.start_s, episode.rhythm)))


_Found = tuple[str, tuple[int, int], bool]
"""Rhythm, samples [start, stop), and whether it counts."""


def _by_marks(annotations: Annotations, n_samples: int) -> Iterator[_Found]:
    """Yield the rhythms that are marked, each until the next mark or the end of the record."""
    changes = np.flatnonzero(annotations.symbol == "+")
    edges = [*annotations.sample[changes].tolist(), n_samples]
    rhythm_of = {mark: rhythm.name for rhythm in RHYTHMS for mark in rhythm.marks}
    for change, start, stop in zip(changes.tolist(), edges[:-1], edges[1:], strict=True):
        mark = annotations.aux[change].strip("\0 ")
        if mark == _NOISE_MARK:
            yield NOISE, (start, stop), True
        elif mark in rhythm_of or mark in _UNCERTAIN_MARKS:
            certain = mark in rhythm_of
            yield (rhythm_of if certain else _UNCERTAIN_MARKS)[mark], (start, stop), certain


def _by_beats(annotations: Annotations, fs: float) -> Iterator[_Found]:
    """Yield runs of ectopic beats and long pauses between beats."""
    label = classes_of(annotations.symbol, "dechazal")
    at = np.flatnonzero(label != "")
    sample, label = annotations.sample[at], label[at]
    runs = (("VF", "vt", "ivr", _CRITERIA.vt_bpm), ("S", "svt", "", _CRITERIA.sv_run_bpm))
    for classes, rhythm, slow, limit_bpm in runs:
        for start, stop in _runs(sample, label, classes, fs):
            span = (int(sample[start]), int(sample[stop - 1]))
            fast = 60 * fs * (stop - 1 - start) > limit_bpm * (span[1] - span[0])
            if fast or slow:
                yield rhythm if fast else slow, span, True
    for first in np.flatnonzero(np.diff(sample) >= _CRITERIA.urgent_pause_s * fs).tolist():
        between = annotations.symbol[at[first] + 1 : at[first + 1]]
        if not np.isin(between, _NOT_BEATS).any():
            certain = not np.isin(between, _ARTEFACTS).any()
            yield "asystole", (int(sample[first]), int(sample[first + 1])), certain


def _runs(sample: Samples, label: Labels, classes: str, fs: float) -> list[tuple[int, int]]:
    """Find [start, stop) of each run of RUN_BEATS or more beats of some classes; a pause ends a run."""
    inside = np.isin(label, list(classes))
    breaks = np.flatnonzero(np.diff(sample) > CONSECUTIVE_S * fs) + 1
    runs = []
    for start, stop in true_intervals(inside).tolist():
        edges = [start, *breaks[(breaks > start) & (breaks < stop)].tolist(), stop]
        runs += [pair for pair in pairwise(edges) if pair[1] - pair[0] >= RUN_BEATS]
    return runs


def strip_reference(key: str, patient: str, duration_s: float, strip: Strip) -> FindingReference:
    """Return the reference of a record of which only one label is known.

    Parameters
    ----------
    key
        Name of the record, such as ``ludb/1``.
    patient
        The patient.
    duration_s
        Length of the record in seconds.
    strip
        The label. A normal strip has none of the rhythms. One in atrial fibrillation is so from beginning to
        end. One of another rhythm is free of atrial fibrillation. Nothing is known of noise.

    Returns
    -------
    The reference.
    """
    known = {"normal": ALL_RHYTHMS, "af": frozenset({"af"}), "other": frozenset({"af"})}
    episodes = (Episode("af", 0.0, duration_s),) if strip == "af" else ()
    return FindingReference(
        key,
        patient,
        duration_s,
        known.get(strip, frozenset()),
        episodes=episodes,
        timed=strip in known,
        strip=strip,
    )


_CHALLENGE: Mapping[str, Strip] = MappingProxyType({"N": "normal", "A": "af", "O": "other", "~": "noise"})


def _strip_label(database: Database, record: Path) -> Strip:
    if database.name == "aftdb":
        return "af"
    if database.name == "afpdb":
        return _afpdb_label(record.name)
    if database.name == "ludb":
        return _ludb_label(record)
    path = record.parent / database.label_files[0]
    labels = {row[0]: row[1] for row in _rows(path) if len(row) > 1}
    if (label := _CHALLENGE.get(labels.get(record.name, ""))) is None:
        raise FetchError(
            f"{path}: no label of {record.name}. Download it with `ectopy ingest {database.name}`."
        )
    return label


def _afpdb_label(name: str) -> Strip:
    """Return the label of a record of afpdb: n has no atrial fibrillation, and an even p..c begins in it."""
    if name.startswith("n"):
        return "other"
    continued = re.fullmatch(r"p(\d\d)c", name)
    return "af" if continued and int(continued[1]) % 2 == 0 else ""


def _ludb_label(record: Path) -> Strip:
    """Return the label of a record of ludb from the comments of its header."""
    header = record.with_name(f"{record.name}.hea").read_text(encoding="latin-1")
    rhythm = re.search(r"^#\s*Rhythm:\s*(.*)", header, re.MULTILINE)
    if rhythm is None:
        raise FetchError(f"{record}.hea: no comment on the rhythm. Download it with `ectopy ingest ludb`.")
    text = rhythm[1].lower()
    if "fibrillation" in text or "flutter" in text:
        return "af"
    return "normal" if text.startswith("sinus") else "other"


def read_windows(path: Path, record: str) -> Iterator[Window]:
    """Read the labels of the windows of a record.

    Parameters
    ----------
    path
        A table with the columns record, start_s, end_s and shockable, such as ``windows_5s.csv`` of cudb.
    record
        Name of the record.

    Yields
    ------
    The windows.

    Raises
    ------
    FetchError
        If the file is missing, or a value in it is not a number.
    """
    if not path.is_file():
        raise FetchError(
            f"{path}: the labels of windows are missing. PhysioNet does not have them. Copy them from a "
            "mirror that adds them, or name the other databases on the command line."
        )
    for name, *values in _rows(path)[1:]:
        if name == record:
            try:
                start_s, stop_s, shockable = map(float, values)
            except ValueError as error:
                raise FetchError(f"{path}: {values} are not three numbers. Copy it again.") from error
            yield Window(start_s, stop_s, bool(shockable))


def _rows(path: Path) -> Sequence[Sequence[str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [row for row in csv.reader(file) if row]
    except FileNotFoundError as error:
        raise FetchError(f"{path}: the labels are missing. Download them with `ectopy ingest`.") from error
