"""Write the outputs for programs: WFDB annotations, Parquet, CSV, JSON."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ectopy.annotations import Annotations, write_annotations
from ectopy.criteria import DEFAULT_CRITERIA, schema_of_criteria
from ectopy.ecg import CLASSES, Analysis, Event, Labels, Mask, Samples
from ectopy.report.conclusion import draft_conclusion
from ectopy.report.confirmation import Confirmation
from ectopy.report.summary import Summary
from ectopy.rhythm.kinds import KINDS
from ectopy.rhythm.named_intervals import (
    ARTEFACT,
    NO_RHYTHM,
    RHYTHM_NAMES,
    NamedInterval,
    mit_rhythm,
    named_intervals,
    rhythms_at,
)

SCHEMA_VERSION = 3
"""Version of ``summary.schema.json``, which is in the folder of this module."""
NOTE_SAMPLE = np.array([1])
"""Sample of a note on the whole recording. Readers take a note at sample 0 for the header of the file."""
BEATS_AT_ONCE = 1 << 16
"""Beats whose annotations are in memory at once when they are written."""
LONGEST_GROUP, ROWS_IN_GROUP = 1 << 18, 1 << 16
"""Rows of ``beats.parquet`` that are one row group, as those of two days are, and of a row group of more."""
UNREADABLE_BEGINS, UNREADABLE_ENDS = -1, 0
"""Subtypes of noise marks as bxb reads them: the start and the end of a shutdown."""


def write_annotation_file(
    record: Path, analysis: Analysis, not_analysable: str, *, annotator: str = "ectopy"
) -> None:
    """Write the annotation file of a recording.

    Parameters
    ----------
    record
        Path of the file without its extension.
    analysis
        The analysis of the recording.
    not_analysable
        The reason if the recording has no beat. It is written as a note (``"``).
    annotator
        The suffix of the file.
    """
    write_annotations(record, annotator, annotation_parts(analysis, not_analysable), fs=analysis.fs)


def annotations_of(analysis: Analysis, not_analysable: str = "") -> Annotations:
    """Return the annotations of an analysis in order of time.

    Parameters
    ----------
    analysis
        The analysis of a recording.
    not_analysable
        The reason if the recording has no beat, for a note.

    Returns
    -------
    Beats, changes of rhythm, the edges of ventricular fibrillation, notes on events and marks of the patient,
    and noise marks.
    """
    return _joined(list(annotation_parts(analysis, not_analysable)))


def annotation_parts(
    analysis: Analysis, not_analysable: str = "", *, beats_at_once: int = BEATS_AT_ONCE
) -> Iterator[Annotations]:
    """Return the annotations of an analysis in parts, in order of time.

    Parameters
    ----------
    analysis, not_analysable
        As for :func:`annotations_of`.
    beats_at_once
        Largest number of beats in a part.

    Yields
    ------
    Consecutive parts; one if there is no beat.
    """
    marks, beats = _marks_beside_beats(analysis, not_analysable), analysis.beats
    starts = range(0, max(len(beats), 1), beats_at_once)
    next_beats = beats.sample[beats_at_once::beats_at_once]
    edges = [0, *np.searchsorted(marks.sample, next_beats).tolist(), len(marks)]
    for start, (first, stop) in zip(starts, pairwise(edges), strict=True):
        part, some = slice(start, start + beats_at_once), slice(first, stop)
        of_part = Annotations(marks.sample[some], marks.symbol[some], marks.subtype[some], marks.aux[some])
        yield _in_order([of_part, _marks(beats.sample[part], beats.label[part])])


def _marks_beside_beats(analysis: Analysis, not_analysable: str) -> Annotations:
    """Return all annotations but the beats, in order of time, none at the sample of another or of a beat."""
    changes, rhythms = rhythm_changes(analysis)
    note_samples, notes = event_notes(analysis)
    edges = analysis.unreadable.ravel()
    patient_marks = analysis.recording.marks
    mark_samples = np.round([mark.time_s * analysis.fs for mark in patient_marks]).astype(np.int64)
    fibrillation = fibrillation_edges(analysis)
    shutdowns = np.tile((UNREADABLE_BEGINS, UNREADABLE_ENDS), len(analysis.unreadable))
    groups = [
        _marks(edges, "~", subtype=shutdowns),
        _marks(fibrillation, np.tile(("[", "]"), len(fibrillation) // 2)),
        _marks(changes, "+", aux=rhythms),
        _marks(note_samples, '"', aux=notes),
        _marks(
            np.minimum(mark_samples, max(analysis.n_samples - 1, 0)),
            '"',
            aux=[": ".join(filter(None, ("patient mark", mark.text))) for mark in patient_marks],
        ),
    ]
    if not_analysable:
        groups.append(_marks(NOTE_SAMPLE, '"', aux=[f"not analysable: {not_analysable}"]))
    return _apart(_in_order(groups), analysis.beats.sample)


def rhythm_changes(analysis: Analysis) -> tuple[Samples, list[str]]:
    """Return the samples at which the rhythm changes, and the MIT rhythm strings."""
    beats = analysis.beats.sample
    intervals = named_intervals(analysis)
    if (
        intervals
        and RHYTHM_NAMES[intervals[-1].rhythm].mit == NO_RHYTHM
        and not _has_beat(intervals[-1], analysis)
    ):
        intervals = intervals[:-1]  # the rest after the last beat
    if {interval.rhythm for interval in intervals} <= {ARTEFACT}:
        return np.empty(0, dtype=np.int64), []
    mit = np.array([RHYTHM_NAMES[interval.rhythm].mit for interval in intervals], dtype="U6")
    changed = np.flatnonzero(np.append(True, mit[1:] != mit[:-1]))
    starts_s = np.array([interval.start_s for interval in intervals])[changed]
    # One sample before its beat: WFDB allows two marks at one time only on different leads.
    sample = np.round(starts_s * analysis.fs).astype(np.int64) - 1
    first = int(beats[0]) - 1 if len(beats) else 1
    sample[0] = first if len(sample) == 1 else min(first, int(sample[1]) - 1)
    return np.maximum(sample - _at_beats(sample, beats), 0), mit[changed].tolist()


def _at_beats(sample: Samples, beats: Samples) -> Mask:
    """Return which samples are those of beats, which are in order of time."""
    return np.asarray(np.searchsorted(beats, sample, side="right") > np.searchsorted(beats, sample))


def _has_beat(interval: NamedInterval, analysis: Analysis) -> bool:
    first, stop = np.searchsorted(analysis.beats.time_s, interval[1:])
    return bool(stop > first)


def fibrillation_edges(analysis: Analysis) -> Samples:
    """Return where ventricular flutter or fibrillation begins and ends, by turns, [2 k]."""
    edges_s = [(event.onset_s, event.offset_s) for event in analysis.events_of("vf")]
    edges = np.round(np.array(edges_s, dtype=np.float64).ravel() * analysis.fs).astype(np.int64)
    # Beside a beat that is there, because WFDB allows two marks at one time only on different leads.
    return np.minimum(edges, max(analysis.n_samples - 2, 0)) + _at_beats(edges, analysis.beats.sample)


def event_notes(analysis: Analysis) -> tuple[Samples, list[str]]:
    """Return the samples and the texts of notes on the events that have no MIT rhythm string."""
    names: dict[int, list[str]] = {}
    for event in analysis.events:
        if not mit_rhythm(KINDS[event.kind]):
            # One sample after its beat, because a rhythm change is one sample before.
            names.setdefault(round(event.onset_s * analysis.fs) + 1, []).append(event.kind)
    samples = sorted(names)
    return np.array(samples, dtype=np.int64), [", ".join(names[sample]) for sample in samples]


def _marks(
    sample: Samples, symbol: str | Labels, *, subtype: ArrayLike = 0, aux: Sequence[str] = ()
) -> Annotations:
    n = len(sample)
    return Annotations(
        sample, np.broadcast_to(symbol, n), np.broadcast_to(subtype, n), tuple(aux or [""] * n)
    )


def _apart(annotations: Annotations, beats: Samples) -> Annotations:
    """Move marks later that have the sample of another: WFDB allows that only on different leads."""
    sample = annotations.sample.copy()
    # Of several at one time, all but the first move, and what they then meet moves in the next round.
    while (moves := _at_beats(sample, beats) | (np.diff(sample, prepend=-1) == 0)).any():
        sample[moves] += 1
    return replace(annotations, sample=sample)


def _in_order(groups: Sequence[Annotations]) -> Annotations:
    whole = _joined(groups)
    order = np.argsort(whole.sample, kind="stable")
    aux = np.array(whole.aux, dtype=object)[order]
    return Annotations(whole.sample[order], whole.symbol[order], whole.subtype[order], tuple(aux))


def _joined(groups: Sequence[Annotations]) -> Annotations:
    return Annotations(
        np.concatenate([group.sample for group in groups]),
        np.concatenate([group.symbol for group in groups]),
        np.concatenate([group.subtype for group in groups]),
        tuple(text for group in groups for text in group.aux),
    )


def write_beats(path: Path, analysis: Analysis) -> None:
    """Write ``beats.parquet`` with one row per beat.

    ``rr_s`` is null for the first beat and across an unreadable interval.

    Parameters
    ----------
    path
        The file to write.
    analysis
        The analysis of a recording.
    """
    import pyarrow as pa
    from pyarrow import parquet

    n_beats = len(analysis.beats)
    step = ROWS_IN_GROUP if n_beats > LONGEST_GROUP else max(n_beats, 1)
    with parquet.ParquetWriter(path, _table_of_beats(analysis, slice(0)).schema) as writer:
        for start in range(0, max(n_beats, 1), step):
            writer.write_table(_table_of_beats(analysis, slice(start, start + step)))
    pa.default_memory_pool().release_unused()  # it would keep some of it


def _table_of_beats(analysis: Analysis, part: slice) -> Any:
    """Build the table of some beats."""
    import pyarrow as pa

    beats = analysis.beats
    columns = {
        "sample": _column(beats.sample[part]),
        "time_s": _column(beats.time_s[part]),
        "rr_s": _column(analysis.rr_s[part]),
        "label": _letters(beats.label[part]),
        **{
            f"p_{letter.lower()}": _column(beats.probability[part, column])
            for column, letter in enumerate(CLASSES)
        },
        "confident": _column(beats.confident[part]),
        "low_quality": _column(analysis.low_quality[part]),
    }
    return pa.Table.from_arrays([*columns.values()], [*columns], metadata={"fs": str(beats.fs)})


def _column(values: NDArray[Any]) -> Any:
    """Build a column, null where NaN, from plain buffers: pyarrow.array would import pandas for a second."""
    import pyarrow as pa

    validity = pa.py_buffer(_bits(~np.isnan(values))) if np.isnan(values).any() else None
    content = _bits(values) if values.dtype == bool else np.ascontiguousarray(values)
    return pa.Array.from_buffers(
        pa.from_numpy_dtype(values.dtype), len(values), [validity, pa.py_buffer(content)]
    )


def _letters(labels: Labels) -> Any:
    """Build a column of strings of one letter each."""
    import pyarrow as pa

    ends = np.arange(len(labels) + 1, dtype=np.int32)
    letters = np.ascontiguousarray(labels, dtype="U1").view(np.uint32).astype(np.uint8)
    return pa.StringArray.from_buffers(len(labels), pa.py_buffer(ends), pa.py_buffer(letters))


def _bits(mask: Mask) -> NDArray[np.uint8]:
    return np.packbits(mask, bitorder="little")


def write_events(path: Path, analysis: Analysis) -> None:
    """Write ``events.csv`` with one row per event; the rate is empty where it has no meaning.

    ``rhythm`` is that of the interval in which the event begins.

    Parameters
    ----------
    path
        The file to write.
    analysis
        The analysis of a recording.
    """
    onsets_s = [event.onset_s for event in analysis.events]
    rhythms = rhythms_at(named_intervals(analysis), onsets_s) if onsets_s else []
    rows = (
        (
            event.kind,
            f"{event.onset_s:.3f}",
            f"{event.offset_s:.3f}",
            event.n_beats,
            f"{event.rate_bpm:.1f}" if np.isfinite(event.rate_bpm) else "",
            rhythm,
        )
        for event, rhythm in zip(analysis.events, rhythms, strict=True)
    )
    _write_table(path, ("kind", "onset_s", "offset_s", "n_beats", "rate_bpm", "rhythm"), rows)


def write_rhythm(path: Path, analysis: Analysis) -> None:
    """Write ``rhythm.csv`` with one row per interval; together they cover the recording once.

    Parameters
    ----------
    path
        The file to write.
    analysis
        The analysis of a recording.
    """
    rows = ((name, f"{start_s:.3f}", f"{stop_s:.3f}") for name, start_s, stop_s in named_intervals(analysis))
    _write_table(path, ("rhythm", "start_s", "stop_s"), rows)


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def write_summary(  # noqa: PLR0913, PLR0917 - the parts of the document
    path: Path,
    analysis: Analysis,
    summary: Summary,
    provenance: Mapping[str, object],
    profile: Mapping[str, Sequence[int]] | None = None,
    confirmation: Confirmation | None = None,
) -> None:
    """Write ``summary.json``, which ``summary.schema.json`` describes.

    Parameters
    ----------
    path
        The file to write.
    analysis
        The analysis of a recording.
    summary
        Its summary.
    provenance
        As for :func:`ectopy.report.write_outputs`.
    profile
        The counts for drift detection by variable, or None.
    confirmation
        Who confirmed the results, or None.
    """
    document = _summary_document(analysis, summary, provenance) | {"profile": profile}
    if confirmation:
        document["review"] = {"confirmed_by": confirmation.by, "confirmed_at": confirmation.at}
    # One section per line: with an indent, json uses its Python encoder, which takes ten times as long.
    sections = (
        f"{json.dumps(name)}: {json.dumps(section, allow_nan=False, default=str, ensure_ascii=False)}"
        for name, section in document.items()
    )
    path.write_text("{\n" + ",\n".join(sections) + "\n}\n", encoding="utf-8")


def summary_schema() -> dict[str, Any]:
    """Return the JSON schema of ``summary.json``, which describes every field with its unit."""
    text = resources.files("ectopy.report").joinpath("summary.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    stats = schema["$defs"]["figures"]
    for kind in KINDS.values():
        if kind.count not in stats["properties"]:
            number = {
                "description": f"{kind.title}, by the default criteria {kind.stated(DEFAULT_CRITERIA).rule}. "
                "Null if it is not looked for.",
                "unit": "events",
                "type": ["integer", "null"],
                "minimum": 0,
            }
            stats["properties"][kind.count] = number
            stats["required"].append(kind.count)
    schema["properties"]["criteria"] = schema_of_criteria()
    return schema


def _summary_document(
    analysis: Analysis, summary: Summary, provenance: Mapping[str, object]
) -> dict[str, object]:
    """Build the document: the row, all statistics, the findings and the provenance."""
    return {
        "schema_version": SCHEMA_VERSION,
        "row": summary.row,
        "figures": summary.stats,
        "hrv": vars(summary.hrv),
        "findings": [
            {
                "urgency": finding.urgency.name.lower(),
                "text": finding.text,
                "example": _event(finding.event),
            }
            for finding in summary.findings
        ],
        "conclusion": draft_conclusion(summary),
        "patient": None if analysis.recording.patient is None else vars(analysis.recording.patient),
        "hourly": summary.hourly,
        "daily": summary.daily,
        "extremes": [
            {
                "kind": extremes.kind.name,
                "n_events": extremes.n_events,
                "longest": _event(extremes.longest),
                "fastest": _event(extremes.fastest),
                "slowest": _event(extremes.slowest),
            }
            for extremes in summary.extremes
        ],
        "marks": [
            {
                "time_s": round(moment.mark.time_s, 3),
                "text": moment.mark.text or None,
                "rhythm": moment.rhythm,
                "events": moment.events,
                **moment.stats,
            }
            for moment in summary.marks
        ],
        "recording": {
            "fs_hz": analysis.fs,
            "n_samples": analysis.n_samples,
            "start": None if analysis.start is None else analysis.start.isoformat(),
            "recorded_leads": analysis.recorded_leads,
            "leads": analysis.leads,
            "unreadable_samples": analysis.unreadable.tolist(),
            "artefact_samples": analysis.artefact.tolist(),
            "p_wave_samples": analysis.p_waves.tolist(),
        },
        "criteria": vars(analysis.criteria),
        "provenance": dict(provenance),
    }


def _event(event: Event | None) -> dict[str, object] | None:
    """Return an event as JSON values; a rate without a meaning is null."""
    if event is None:
        return None
    return {name: None if value != value else value for name, value in vars(event).items()}  # noqa: PLR0124 - NaN
