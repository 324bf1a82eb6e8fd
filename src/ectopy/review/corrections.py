"""Confirmed recordings as training patients: copied into the database ``corrections`` of this machine.

A copy is named by its patient and its content, so it holds no name. It has the signal and the confirmed
annotations in WFDB format, and where they come from. So a training can be repeated when OUT has changed.
"""

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from ectopy.annotations import read_annotations, write_annotations
from ectopy.batch.provenance import input_sha256
from ectopy.batch.results import atomic_file
from ectopy.batch.reviews import CONFIRMED, has_files
from ectopy.datasets.catalogue import CORRECTIONS, DATABASES, Database, find_database, split
from ectopy.datasets.download import database_folder
from ectopy.ecg import VALUES_AT_ONCE, Recording, UnreadableError
from ectopy.model.training_sources import SourceRecords
from ectopy.printable import printable
from ectopy.report import REVIEWED
from ectopy.review.confirm import read_changes, settle_confirmation
from ectopy.review.history import history
from ectopy.review.log import EditLog
from ectopy.review.recordings import StoredResult, open_result, result_names

PATIENTS_FILE: Final = "patients.csv"
"""In a folder of results: which recordings are of one patient, in columns ``recording`` and ``patient``."""
_HASH = 12  # hexadecimal digits
_MOST_STEPS, _STEPS_PER_MV = 32_000, 1000.0
_MISSING = -(2**15)
_PROVENANCE = ("input_sha256", "model", "model_id", "model_run")
_CHANGES = ("confirmed_at", "n_beats", "corrections", "corrections_per_1000_beats", "decisions", "seconds")


class CorrectionsError(ValueError):
    """Confirmed recordings that cannot be trained on; the message names them and the remedy."""


@dataclass(frozen=True, eq=False)
class Correction:
    """A confirmed recording, its patient, and the content of its ``changes.json``."""

    result: StoredResult
    patient: str
    changes: Mapping[str, Any]

    @property
    def record(self) -> str:
        """Name of its copy: the patient and a hash of the content."""
        return f"{self.patient}-{self.result.provenance['input_sha256'][:_HASH]}"

    @property
    def origin(self) -> dict[str, object]:
        """Where the labels come from, without any name."""
        provenance = {name: self.result.provenance.get(name) for name in _PROVENANCE}
        return provenance | {name: self.changes[name] for name in _CHANGES}


def import_corrections(outs: Sequence[Path], data_dir: Path) -> tuple[str, ...]:
    """Copy the confirmed recordings of some folders of results into the database ``corrections``.

    Parameters
    ----------
    outs
        Folders of results.
    data_dir
        The folder of databases.

    Returns
    -------
    The names of the copies, at least one. Of a recording that is confirmed in two folders, the last
    confirmation counts.

    Raises
    ------
    CorrectionsError
        If nothing is confirmed, if an original is gone or has changed, or if it is of a held-out patient.
    """
    found = [correction for out in outs for correction in find_corrections(out, data_dir)]
    by_content = {
        correction.result.provenance["input_sha256"]: correction
        for correction in sorted(found, key=lambda each: str(each.changes["confirmed_at"]))
    }
    if not by_content:
        raise CorrectionsError(
            f"{', '.join(map(str, outs))}: no confirmed recording. Confirm some with `ectopy review`."
        )
    folder = database_folder(find_database(CORRECTIONS), data_dir)
    folder.mkdir(parents=True, exist_ok=True)
    for correction in by_content.values():
        _copy(correction, folder)
    present = sorted(header.stem for header in folder.glob("*.hea"))
    (folder / "RECORDS").write_text("".join(f"{name}\n" for name in present), encoding="utf-8")
    return tuple(sorted(correction.record for correction in by_content.values()))


def origins(sources: Sequence[SourceRecords]) -> str:
    """Return where the labels of all corrections come from, by record, as JSON."""
    records = {
        record: json.loads((source.folder / f"{record}.json").read_text(encoding="utf-8"))
        for source in sources
        if source.database.name == CORRECTIONS
        for record in source.training
    }
    return json.dumps(records, indent=1)


def find_corrections(out: Path, data_dir: Path) -> Iterator[Correction]:
    """Find the confirmed recordings in a folder of results.

    Parameters
    ----------
    out
        The folder of results.
    data_dir
        The folder of databases: a recording that is in one has the patient that it has there.

    Yields
    ------
    The recordings.

    Raises
    ------
    CorrectionsError
        As :func:`import_corrections`.
    """
    if not out.is_dir():
        raise CorrectionsError(f"{out}: no such folder. Give a folder of results.")
    patients = _patients(out)
    for name in result_names(out):
        result = open_result(out, name)
        entries = EditLog(result.log_path).entries
        if entry := history(entries).confirmed:
            if not result.has_signal:
                raise CorrectionsError(f"{name} in {out} is not trained on. {result.notes[0]}")
            settle_confirmation(result, entries)
            if not has_files(result.review_folder, entry.at):
                raise CorrectionsError(
                    f"{name} in {out} is not trained on: its confirmed files are missing. "
                    "Reopen and confirm it again with `ectopy review`."
                )
            known = _published(result, data_dir)
            yield Correction(
                result,
                known or _hash(patients.get(name) or result.provenance["input_sha256"]),
                read_changes(result.review_folder / CONFIRMED),
            )


def _patients(out: Path) -> dict[str, str]:
    """Read which recordings are of one patient; each is of its own if there is no such file."""
    path = out / PATIENTS_FILE
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        table = csv.DictReader(file)
        if not {"recording", "patient"} <= set(table.fieldnames or ()):
            raise CorrectionsError(f"{path}: no columns recording and patient. Name them in the first line.")
        return {row["recording"]: row["patient"] for row in table if row["patient"]}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH]


def _published(result: StoredResult, data_dir: Path) -> str:
    """Return database and record of a published recording, "" for another; refuse one that is held out."""
    path, digest = Path(result.provenance["path"]), result.provenance["input_sha256"]
    for database in DATABASES.values():
        record = database_folder(database, data_dir) / f"{path.stem}.hea"
        is_copy = database.name in path.parts or (record.is_file() and _has_digest(record, digest))
        if "beats" in database.uses and path.stem in _records(database, record) and is_copy:
            if path.stem not in split(database, [path.stem])[0]:
                raise CorrectionsError(
                    f"{result.name} in {result.out} is not trained on: it is {database.name}/{path.stem}, "
                    "which is not for training. Leave it unconfirmed, or move it to another folder."
                )
            return f"{database.name}_{path.stem}"
    return ""


def _records(database: Database, record: Path) -> tuple[str, ...]:
    """Return the published records; of simulated patients, the one that is here."""
    return database.records or ((record.stem,) if record.is_file() else ())


def _has_digest(record: Path, digest: str) -> bool:
    try:
        return input_sha256(record) == digest
    except (OSError, UnreadableError):
        return False


def _copy(correction: Correction, folder: Path) -> None:
    """Write signal, annotations and origin; the header comes last, so that a record is complete."""
    result, record = correction.result, correction.record
    header = folder / f"{record}.hea"
    annotations = read_annotations(result.review_folder / CONFIRMED / result.name, REVIEWED)
    write_annotations(folder / record, "atr", annotations, fs=result.analysis.fs)
    with atomic_file(folder / f"{record}.json") as path:
        path.write_text(json.dumps(correction.origin, indent=1) + "\n", encoding="utf-8")
    if not header.exists():
        steps = _write_signal(folder / f"{record}.dat", result.analysis.recording)
        with atomic_file(header) as path:
            path.write_text(_header(record, result.analysis.recording, steps), encoding="utf-8")


def _write_signal(path: Path, recording: Recording) -> list[float]:
    """Write all leads in format 16, and return the steps per mV of each: as many as its range allows."""
    most = np.zeros(len(recording.leads))
    for start, stop in _blocks(recording):
        most = np.fmax(most, np.fmax.reduce(np.abs(_read(recording, start, stop)), axis=0, initial=0))
    steps = np.minimum(_STEPS_PER_MV, _MOST_STEPS / np.maximum(most, 1e-9))
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        for start, stop in _blocks(recording):
            signal = _read(recording, start, stop) * steps
            file.write(np.where(np.isnan(signal), _MISSING, np.rint(signal)).astype("<i2").tobytes())
    return [float(value) for value in steps]


def _read(recording: Recording, start: int, stop: int) -> Any:
    return recording.read_leads(range(len(recording.leads)), start, stop)


def _blocks(recording: Recording) -> Iterator[tuple[int, int]]:
    step = max(VALUES_AT_ONCE // len(recording.leads), 1)
    return pairwise(chain(range(0, recording.n_samples, step), [recording.n_samples]))


def _header(record: str, recording: Recording, steps: Sequence[float]) -> str:
    """Return the WFDB header; it holds no time and no comment."""
    lines = [f"{record} {len(recording.leads)} {recording.fs:.10g} {recording.n_samples}"]
    for lead, per_mv in zip(recording.leads, steps, strict=True):
        lines.append(f"{record}.dat 16 {per_mv:.8g}(0)/mV 16 0 0 0 0 {printable(lead)}")
    return "\n".join(lines) + "\n"
