"""What a network learns from: databases, their training records, weights and label maps."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ectopy.annotations import Annotations
from ectopy.datasets import catalogue, download
from ectopy.datasets.doubtful_labels import doubtful_samples, is_near
from ectopy.ec57 import BeatMap, classes_of
from ectopy.ec57.classes import BEAT_CLASS
from ectopy.ecg import Labels, Samples

TRAINED_LABELS = ("N", "S", "V")
"""Classes of the network. F is left out: in each half of MIT-BIH nearly all F beats are of one patient."""
MATCH_S = 0.150
"""A detected beat takes the label of an annotated beat at most this far away, as in EC57."""
_HASHED = (".hea", ".dat", ".mat", ".atr")
_LARGEST_WEIGHT = 1000.0


class TrainingSourceError(ValueError):
    """A database, record or weight that cannot be trained with."""


def _repeated(names: Iterable[str]) -> str:
    """Return the names that are there more than once, separated by commas."""
    return ", ".join(sorted(name for name, n in Counter(names).items() if n > 1))


@dataclass(frozen=True)
class TrainingSource:
    """A database to train on.

    Parameters
    ----------
    database
        Its name.
    records
        The records to train on; none stands for all training records of the database that are present.
    weight
        How often a window of this database is drawn, relative to a record as long of another one.
    beat_map
        The class of escape beats: "dechazal" (N) or "ec57" (S).
    """

    database: str
    records: tuple[str, ...] = ()
    weight: float = 1.0
    beat_map: BeatMap = "dechazal"

    def __post_init__(self) -> None:
        if not 0 < self.weight <= _LARGEST_WEIGHT:
            raise TrainingSourceError(
                f"{self.database}: the weight {self.weight:g} is not between 0 and {_LARGEST_WEIGHT:g}. "
                "Leave a database out to give it no weight."
            )
        if self.beat_map not in BEAT_CLASS:
            raise TrainingSourceError(
                f"{self.database}: unknown map {self.beat_map!r}. Choose one of {', '.join(BEAT_CLASS)}."
            )
        if twice := _repeated(self.records):
            raise TrainingSourceError(f"{self.database}: {twice}: named twice. Name each record once.")

    @classmethod
    def parse(cls, text: str) -> "TrainingSource":
        """Return the source of a text such as ``svdb`` or ``svdb=0.5``, a database and its weight."""
        name, equals, weight = (part.strip() for part in text.partition("="))
        catalogue.find_database(name)
        try:
            return cls(name, weight=float(weight) if equals else 1.0)
        except ValueError as error:
            if isinstance(error, TrainingSourceError):
                raise
            raise TrainingSourceError(
                f"{text}: {weight!r} is not a weight. Give a number, such as {name}=0.5."
            ) from error


DEFAULT_SOURCES = tuple(TrainingSource(name) for name in catalogue.training_databases())
"""All databases that training learns from, each with weight 1; the shipped model is trained on them."""


@dataclass(frozen=True)
class LabelledRecord:
    """A record to train on, its patient, and how its beats are labelled.

    ``weight`` is that of its database. With ``use_doubtful``, doubtful labels are trained on like others.
    """

    database: str
    path: Path
    patient: str
    beat_map: BeatMap = "dechazal"
    weight: float = 1.0
    use_doubtful: bool = True

    @property
    def key(self) -> str:
        """Name of the record among those of all databases, such as ``mitdb/101``."""
        return f"{self.database}/{self.path.name}"

    def label_beats(self, annotations: Annotations, fs: float) -> tuple[Samples, Labels]:
        """Return the annotated beats and their labels.

        Parameters
        ----------
        annotations
            The reference annotations of the record.
        fs
            Their sampling rate in Hz.

        Returns
        -------
        Samples [n] and labels [n], which are '' for beats that must not be trained on.
        """
        sample, label = labelled_beats(annotations, self.beat_map)
        if not self.use_doubtful:
            doubtful = doubtful_samples(self.database, self.path.name)
            label = np.where(is_near(sample, doubtful, round(MATCH_S * fs)), "", label)
        return sample, label


def labelled_beats(annotations: Annotations, beat_map: BeatMap = "dechazal") -> tuple[Samples, Labels]:
    """Return the annotated beats and their classes; F and Q are ''.

    Parameters
    ----------
    annotations
        The reference annotations of a record.
    beat_map
        The class of escape beats; de Chazal's map (2004) counts them as N.

    Returns
    -------
    Samples [n] and labels [n].
    """
    label = classes_of(annotations.symbol, beat_map)
    is_beat = label != ""
    sample, label = annotations.sample[is_beat], label[is_beat]
    return sample, np.where(np.isin(label, TRAINED_LABELS), label, "")


@dataclass(frozen=True)
class SourceRecords:
    """The records of a training source: those to train on, those held out, and those in neither group."""

    source: TrainingSource
    database: catalogue.Database
    folder: Path
    training: tuple[str, ...]
    held_out: tuple[str, ...]
    left_out: tuple[str, ...]

    def labelled(self, *, use_doubtful: bool) -> list[LabelledRecord]:
        """Return the records to train on, with or without their doubtful labels."""
        return [
            LabelledRecord(
                self.database.name,
                self.folder / record,
                catalogue.patient_of(self.database, record),
                self.source.beat_map,
                self.source.weight,
                use_doubtful,
            )
            for record in self.training
        ]

    def without(self, patients: AbstractSet[str]) -> "SourceRecords":
        """Return the same database without the training records of some patients."""
        kept = tuple(
            record for record in self.training if catalogue.patient_of(self.database, record) not in patients
        )
        if not kept:
            raise TrainingSourceError(
                f"{self.folder}: all training patients are also among those to test. Choose other databases."
            )
        return replace(self, training=kept)

    def digest(self) -> str:
        """Compute the SHA-256 of the names and contents of all headers, signals and annotations."""
        return digest_of(self.folder, self.training)

    def parameters(self) -> dict[str, object]:
        """Return what the run of a training tells about this source, by name."""
        return {
            f"{self.database.name}/version": self.database.version,
            f"{self.database.name}/records": ",".join(self.training),
            f"{self.database.name}/weight": self.source.weight,
            f"{self.database.name}/map": self.source.beat_map,
            f"{self.database.name}/sha256": self.digest(),
        }


def digest_of(folder: Path, records: Sequence[str]) -> str:
    """Compute the SHA-256 of the names and contents of all headers, signals and annotations of records.

    Parameters
    ----------
    folder
        The folder of the records.
    records
        Their names.

    Returns
    -------
    The hash in hexadecimal digits.
    """
    total = hashlib.sha256()
    for record in records:
        for path in (folder / f"{record}{suffix}" for suffix in _HASHED):
            if path.is_file():
                total.update(f"{path.name}\n{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def require_known(sources: Sequence[TrainingSource]) -> None:
    """Refuse databases that cannot be trained on as they are named, by the catalogue alone.

    Parameters
    ----------
    sources
        The databases.

    Raises
    ------
    TrainingSourceError
        If a database is named twice or is not for training, or a record is not one to train on.
    """
    if twice := _repeated(source.database for source in sources):
        raise TrainingSourceError(f"{twice}: named twice. Name each database once.")
    for source in sources:
        database = catalogue.find_database(source.database)
        training, _ = catalogue.split(database, database.records)
        if not database.records:  # simulated patients, confirmed recordings: only their folder tells
            continue
        if not training:
            choice = ", ".join(catalogue.training_databases())
            raise TrainingSourceError(f"{database.name}: not a database to train on. Choose one of {choice}.")
        stems = {record.rpartition("/")[2] for record in training}  # a mirror may have other folders
        if wrong := [record for record in source.records if record.rpartition("/")[2] not in stems]:
            raise TrainingSourceError(
                f"{database.name}: {', '.join(wrong)}: not among its training records. "
                f"Choose some of {', '.join(training)}."
            )


def select_records(sources: Sequence[TrainingSource], data_dir: Path) -> list[SourceRecords]:
    """Find the records of the databases to train on.

    Parameters
    ----------
    sources
        The databases.
    data_dir
        The folder of databases.

    Returns
    -------
    The records of each database, in the same order.

    Raises
    ------
    TrainingSourceError
        If a database is named twice, or a record is not one to train on.
    FetchError
        If a database is missing.
    """
    if not sources:
        raise TrainingSourceError("no database to train on. Name one, such as mitdb.")
    require_known(sources)
    return [_select(source, data_dir) for source in sources]


def _select(source: TrainingSource, data_dir: Path) -> SourceRecords:
    database = catalogue.find_database(source.database)
    folder = download.database_folder(database, data_dir)
    present = download.annotated_records(folder)
    training, held_out = catalogue.split(database, present)
    if not training:
        raise TrainingSourceError(
            f"{folder}: no record to train on. Choose one of {', '.join(catalogue.training_databases())}."
        )
    if wrong := [record for record in source.records if record not in training]:
        raise TrainingSourceError(
            f"{folder}: {', '.join(wrong)}: not among the training records here. "
            f"Choose some of {', '.join(training)}."
        )
    left_out = tuple(record for record in present if record not in {*training, *held_out})
    return SourceRecords(source, database, folder, source.records or training, held_out, left_out)
