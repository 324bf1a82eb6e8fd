"""Read back the results that ``ectopy score`` wrote, as an analysis with the signal of the original."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.batch.provenance import input_sha256
from ectopy.batch.results import earlier_result
from ectopy.batch.reviews import LOG_FILE, results_hash, review_folder
from ectopy.criteria import Criteria
from ectopy.ecg import CLASSES, Analysis, Beats, Event, Mark, PatientHeader, Recording, Samples, Signal
from ectopy.printable import printable
from ectopy.readers import open_recording
from ectopy.review.originals import find_original
from ectopy.rhythm.rhythm_events import event_between

_SNAP_S = 0.001  # events.csv has times in whole milliseconds
_RATE_BPM = 0.06  # and rates in tenths


class ResultError(ValueError):
    """Results that cannot be reviewed; the message names them and the remedy."""


@dataclass(frozen=True, eq=False)
class StoredResult:
    """The results of one recording, as they lie in ``out / name``.

    ``analysis`` is the automatic analysis. ``summary`` is the content of ``summary.json``, and ``base`` the
    hash of the beats and events, which changes when another scoring finds others. ``has_signal`` is False if
    the original is gone or has changed: every sample is then missing. ``notes`` state why, one sentence each.
    ``source`` is the original, and ``originals`` the folder in which it was sought.
    """

    out: Path
    name: str
    analysis: Analysis
    summary: Mapping[str, Any]
    base: str
    has_signal: bool
    notes: tuple[str, ...]
    source: Path
    originals: Path | None = None

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Where the results come from."""
        provenance: Mapping[str, Any] = self.summary["provenance"]
        return provenance

    @property
    def review_folder(self) -> Path:
        """Folder of the review."""
        return review_folder(self.out, self.name)

    @property
    def log_path(self) -> Path:
        """File of the log of edits."""
        return self.review_folder / LOG_FILE


def result_names(out: Path) -> list[str]:
    """Return the names of all recordings that have results in a folder."""
    folders = (path.parent for path in out.glob("[!.]*/summary.json"))
    return sorted(folder.name for folder in folders if earlier_result(folder))


def open_result(out: Path, name: str, *, verify: bool = True, originals: Path | None = None) -> StoredResult:
    """Read the results of one recording, and open the original.

    Parameters
    ----------
    out
        The folder of results.
    name
        The name of the recording there, one of :func:`result_names`.
    verify
        Whether to check that the original has not changed, which reads all of it.
    originals
        A folder in which the original is sought by its content, before the place where it was scored.

    Returns
    -------
    The results.

    Raises
    ------
    ResultError
        If they are missing or damaged.
    """
    folder = out / name
    if "/" in name or earlier_result(folder) is None:
        raise ResultError(f"{folder}: no results of a recording. Score it with `ectopy score`.")
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        source = _source(summary["provenance"], originals)
        recording, notes = _original(name, summary, source, verify=verify, originals=originals)
        analysis = _analysis(folder, summary, recording or _without_signal(name, summary))
        base = results_hash(folder)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ResultError(f"{folder}: damaged ({error}). Score the recording again with --force.") from error
    return StoredResult(out, name, analysis, summary, base, recording is not None, notes, source, originals)


def _source(provenance: Mapping[str, Any], originals: Path | None) -> Path:
    """Return the original: in a folder of originals if it is there, else where it was when it was scored."""
    scored = Path(provenance["path"])
    found = originals and find_original(originals, scored, provenance["input_sha256"])
    return found or scored


def _original(
    name: str, summary: Mapping[str, Any], path: Path, *, verify: bool, originals: Path | None
) -> tuple[Recording | None, tuple[str, ...]]:
    """Open the original; return None and a note if it is not what was scored."""
    provenance, settings = summary["provenance"], summary["provenance"]["settings"]
    try:
        if verify and input_sha256(path) != provenance["input_sha256"]:
            return None, (
                f"{path}: it has changed since it was scored, so no signal is shown. Score it again.",
            )
        recording = open_recording(path, fs=settings["fs_hz"], unit=settings.get("unit"))
    except (OSError, ValueError):
        remedy = (
            "Put it back there, or name the folder of the originals: `ectopy review OUT --recordings FOLDER`."
            if originals is None
            else "No recording in the folder of --recordings has its content."
        )
        return None, (f"{path}: the original cannot be opened, so no signal is shown. {remedy}",)
    marks = _marks(summary)  # those of a diary that the user named, or their texts, need not be in the file
    patient = _patient(summary)  # that of the lab, or none with pseudonyms
    return replace(recording, name=name, marks=marks, notes=_notes(summary), patient=patient), ()


def _without_signal(name: str, summary: Mapping[str, Any]) -> Recording:
    """Return the recording that the results describe, every sample of it missing."""
    facts = summary["recording"]
    leads, start = tuple(facts["recorded_leads"]), facts["start"]

    def read(first: int, stop: int) -> Signal:
        return np.full((stop - first, len(leads)), np.nan, dtype=np.float32)

    return Recording(
        name,
        facts["fs_hz"],
        leads,
        facts["n_samples"],
        read,
        start=None if start is None else datetime.fromisoformat(start),
        notes=_notes(summary),
        marks=_marks(summary),
        patient=_patient(summary),
    )


def _marks(summary: Mapping[str, Any]) -> tuple[Mark, ...]:
    return tuple(Mark(mark["time_s"], mark["text"] or "") for mark in summary["marks"])


def _patient(summary: Mapping[str, Any]) -> PatientHeader | None:
    stated = summary.get("patient")
    return PatientHeader(**{name: text or "" for name, text in stated.items()}) if stated else None


def _notes(summary: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(filter(None, summary["row"]["notes"].split("; ")))


def _analysis(folder: Path, summary: Mapping[str, Any], recording: Recording) -> Analysis:
    facts, fs = summary["recording"], recording.fs
    columns = _columns(folder / "beats.parquet")
    probability = np.stack([columns.pop(f"p_{letter.lower()}") for letter in CLASSES], axis=1)
    label = columns["label"].astype("U1")
    beats = Beats(columns["sample"], label, probability.astype(np.float32), columns["confident"], fs)
    names = [printable(lead) for lead in recording.leads]
    unreadable = _intervals(facts["unreadable_samples"])
    return Analysis(
        recording,
        tuple(names.index(lead) for lead in facts["leads"]),
        beats,
        columns["rr_s"],
        columns["low_quality"],
        tuple(_events(folder / "events.csv", beats, [*(unreadable.ravel() / fs), recording.duration_s])),
        unreadable,
        Criteria(**summary["criteria"]),
        _intervals(facts.get("artefact_samples", [])),
        _intervals(facts.get("p_wave_samples", [])),
    )


def _columns(path: Path) -> dict[str, NDArray[Any]]:
    """Read the columns of the beats one after the other, so that little is in memory twice."""
    from pyarrow import parquet

    file = parquet.ParquetFile(path)
    names = [name for name in file.schema_arrow.names if name != "time_s"]  # the samples say it
    return {
        name: _values(file.read(columns=[name], use_threads=False)[name].combine_chunks()) for name in names
    }


def _values(column: Any) -> NDArray[Any]:
    """Return a column from its buffers: read_table and to_numpy would import pandas, a second and 80 MB."""
    n, (validity, *_, content) = len(column), column.buffers()
    kind = str(column.type)
    if kind == "bool":
        return _mask(content, n)
    dtype = {"string": "S1", "int64": "<i8", "double": "<f8", "float": "<f4"}[kind]
    values = np.frombuffer(content, dtype, n).copy()
    if column.null_count:
        values[~_mask(validity, n)] = np.nan
    return values


def _mask(bits: Any, n: int) -> NDArray[np.bool_]:
    return np.unpackbits(np.frombuffer(bits, np.uint8), count=n, bitorder="little").astype(bool)


def _intervals(pairs: list[list[int]]) -> Samples:
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _events(path: Path, beats: Beats, edges_s: Sequence[float]) -> Iterator[Event]:
    """Read the events, with times and rates as exact as they were: an event begins at a beat or an edge."""
    exact_s = np.sort(np.append(beats.time_s, edges_s))
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            onset_s, offset_s = (_exact_s(float(row[edge]), exact_s) for edge in ("onset_s", "offset_s"))
            event = Event(
                row["kind"], onset_s, offset_s, int(row["n_beats"]), float(row["rate_bpm"] or "nan")
            )
            exact = event_between(event.kind, onset_s, offset_s, beats)
            same = exact.n_beats == event.n_beats and abs(exact.rate_bpm - event.rate_bpm) < _RATE_BPM
            yield exact if same else event


def _exact_s(time_s: float, exact_s: NDArray[np.float64]) -> float:
    """Return the time that was rounded to ``time_s``; that itself if there is none."""
    at = int(np.searchsorted(exact_s, time_s - _SNAP_S))
    return float(exact_s[at]) if at < len(exact_s) and exact_s[at] <= time_s + _SNAP_S else time_s
