"""Planning of a batch: which recordings, which model, which options, and the name of each result."""

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ectopy.batch.cache_folder import CacheFolder
from ectopy.batch.pseudonyms import Pseudonyms
from ectopy.batch.results import earlier_rows
from ectopy.batch.search import FoundRecordings, find_recordings
from ectopy.criteria import DEFAULT_CRITERIA, Criteria
from ectopy.parallel.worker_pool import ResourceLimits, WorkerPool
from ectopy.printable import printable

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from ectopy.ecg import PatientHeader
    from ectopy.live.network import LiveModel
    from ectopy.model.classifier import Classifier
    from ectopy.settings import Settings

Model: TypeAlias = "Classifier | LiveModel"
"""What scores recordings: a network that sees them whole, or one that sees them as a stream does."""
LIVE = "live"
"""Name of the streaming model that ships with ectopy."""
_MAX_NAME_LENGTH = 100


class NothingToScoreError(ValueError):
    """A search that did not find any recording."""


class DiaryError(ValueError):
    """A diary that cannot belong to the recordings."""


class PatientTableError(ValueError):
    """A table of patients that is not there, or must not be used."""


class ModelSource(StrEnum):
    """Origin of a model: shipped with the package, promoted on this machine, or named by the user."""

    SHIPPED = "shipped"
    CHAMPION = "champion"
    GIVEN = "given"


class SelectedModel(NamedTuple):
    """A model directory and its origin."""

    folder: Path
    source: ModelSource


@dataclass(frozen=True)
class ScoreOptions:
    """Options that all recordings of a batch share.

    ``leads`` are the leads to analyse; if there are none, the analysis chooses. ``fs`` is the sampling rate
    in Hz of files that do not state one. ``unit`` is the unit of leads whose unit is missing or unknown.
    ``force`` scores recordings again that have results. ``fhir`` and ``pdf`` add ``fhir.json`` and
    ``report.pdf``. With ``pseudonyms``, no output or message names a file. ``criteria`` decide what is called
    a pause, a run or an episode. ``diary`` is the diary of the only recording; by default each recording may
    have one beside it. ``mark_text`` shows what the marks of a patient say. ``patients`` is a table of the
    lab with their names. ``cache`` keeps what does not depend on the model, and changes no result.
    """

    model: Path
    leads: tuple[str, ...] = ()
    fs: float | None = None
    force: bool = False
    fhir: bool = False
    pdf: bool = False
    pseudonyms: Pseudonyms | None = None
    model_source: ModelSource = ModelSource.GIVEN
    unit: str | None = None
    criteria: Criteria = DEFAULT_CRITERIA
    diary: Path | None = None
    mark_text: bool = False
    patients: Path | None = None
    cache: CacheFolder | None = None

    @property
    def settings(self) -> dict[str, object]:
        """The options, apart from the model, that decide a result."""
        settings: dict[str, object] = {"leads": list(self.leads), "fs_hz": self.fs}
        # What is not given is left out, so that results without it stay valid.
        given = {"unit": self.unit, "criteria": self.criteria.changed(), "mark_text": self.mark_text}
        return settings | {name: value for name, value in given.items() if value}


@dataclass(frozen=True)
class Job:
    """One recording to score into ``out / name``. Unlike a recording, it can be sent to another process.

    ``address`` is set if the recording must be downloaded before it can be read. With ``complete_only``, a
    file that has less than its header states is an error: it may still be uploading. ``error`` is set if the
    recording must not be opened, see :class:`ectopy.batch.search.FoundRecordings`. ``patient`` is what the
    lab knows of the patient. ``stop`` is the number of samples that count, if a stream ended before the file.
    """

    source: Path
    name: str
    out: Path
    options: ScoreOptions
    address: str = ""
    complete_only: bool = False
    error: Exception | None = None
    patient: "PatientHeader | None" = field(default=None, repr=False)
    stop: int | None = None

    @property
    def path(self) -> str:
        """The file or the address of the recording."""
        return printable(self.address or self.source)

    @property
    def display_path(self) -> str:
        """The path that outputs state; a pseudonym if there are any."""
        return display_name(self.path, self.options)


def search(paths: Sequence[str], out: Path, workers: WorkerPool, fs: float | None = None) -> FoundRecordings:
    """Find the recordings that the user named.

    Parameters
    ----------
    paths
        Recordings, directories or globs.
    out
        The folder of results, which is not searched.
    workers
        The processes that look at the files.
    fs
        The sampling rate in Hz of files that do not state one.

    Returns
    -------
    At least one recording or one folder that cannot be listed, and the number of other files.

    Raises
    ------
    NothingToScoreError
        If there is no recording.
    """
    result = find_recordings(paths, workers, outside=out.absolute(), fs=fs)
    if not result.recordings and not result.unlisted:
        raise NothingToScoreError(
            f"{', '.join(paths)}: no recording found in {result.n_other} files. "
            "Name a file or a directory with recordings."
        )
    return result


def check_diary(diary: Path | None, found: FoundRecordings) -> None:
    """Check that a diary that the user named exists, and that it belongs to one recording.

    Parameters
    ----------
    diary
        The diary, or None.
    found
        The recordings.

    Raises
    ------
    DiaryError
        If it does not.
    """
    if diary and not diary.is_file():
        raise DiaryError(f"--diary {diary}: no such file. Check its path.")
    if diary and len(found.recordings) != 1:
        raise DiaryError(
            f"--diary {diary}: it belongs to one recording, but {len(found.recordings)} were found. "
            "Name that recording, or put NAME.diary.csv beside each one."
        )


def check_patients(patients: Path | None, pseudonyms: Pseudonyms | None) -> None:
    """Check that a table of patients exists, and that nobody wants pseudonyms in place of names.

    Parameters
    ----------
    patients
        The table, or None.
    pseudonyms
        The pseudonyms, or None.

    Raises
    ------
    PatientTableError
        If they do not go together.
    """
    if patients and pseudonyms:
        raise PatientTableError(
            f"--patients {patients}: pseudonyms hide all patients. "
            "Leave the table out, or unset ECTOPY_PSEUDONYM_SALT."
        )
    if patients and not patients.is_file():
        raise PatientTableError(f"--patients {patients}: no such file. Check its path.")


def plan_batch(found: FoundRecordings, out: Path, options: ScoreOptions) -> list[Job]:
    """Return a job for each recording that a search has found, and for each folder that cannot be listed.

    Parameters
    ----------
    found
        The result of the search.
    out
        The folder of results, which exists.
    options
        How the recordings are scored.

    Returns
    -------
    The jobs.
    """
    return plan(found.recordings, out, options, {**found.errors, **found.unlisted})


def limits_of(settings: "Settings") -> ResourceLimits:
    """Return the limits of time and memory for one recording."""
    return ResourceLimits(settings.recording_time_s, settings.recording_memory_mb)


def find_model(model: str | None, data_dir: Path) -> SelectedModel:
    """Find the model directory to score with.

    Parameters
    ----------
    model
        A directory, an address of the registry, ``shipped`` for the model that ships with ectopy, or ``live``
        for the streaming model that ships with it. By default the champion, else the shipped model.
    data_dir
        The folder with the champion.

    Returns
    -------
    The model directory and its origin.

    Raises
    ------
    FileNotFoundError
        If the directory does not exist.
    """
    from ectopy.live.model_files import SHIPPED_LIVE_MODEL
    from ectopy.model.classifier import SHIPPED_MODEL

    champion = data_dir / "models" / "champion"
    if model is None:
        folder = champion if champion.is_dir() else SHIPPED_MODEL
    elif model == ModelSource.SHIPPED:
        folder = SHIPPED_MODEL
    elif model == LIVE:
        folder = SHIPPED_LIVE_MODEL
    elif model.startswith("models:/"):
        from ectopy.registry.model_versions import download_model
        from ectopy.settings import load_settings

        folder = download_model(model, load_settings().tracking_uri)
    elif Path(model).is_dir():
        folder = Path(model)
    else:
        raise FileNotFoundError(f"{model}: model directory not found. Check the path given with --model.")
    # The champion is a link, followed once: a promotion meanwhile does not change the model of a batch.
    folder = folder.resolve()
    known = {champion.resolve(): ModelSource.CHAMPION} | {
        shipped.resolve(): ModelSource.SHIPPED for shipped in (SHIPPED_MODEL, SHIPPED_LIVE_MODEL)
    }
    return SelectedModel(folder, known.get(folder, ModelSource.GIVEN))


def describe_model(model: SelectedModel) -> str:
    """Return the name of a model and its origin, for the user."""
    return printable(f"{load_model(model.folder).name}, {model.source}")


def choose_model(model: str | None, data_dir: Path) -> tuple[SelectedModel, str]:
    """Find the model directory to score with and load it, so that an unusable one fails before any recording.

    Parameters
    ----------
    model
        A directory, or an address of the registry. By default the champion, else the shipped model.
    data_dir
        The folder with the champion.

    Returns
    -------
    The model directory, and its name and origin for the user.
    """
    selected = find_model(model, data_dir)
    return selected, describe_model(selected)


def load_model(model: Path) -> Model:
    """Load a model, once per process; load a classifier again if the directory has been replaced."""
    from ectopy.live.model_files import is_live_model
    from ectopy.model.classifier import classifier_in

    if is_live_model(model):
        from ectopy.live.network import load_live_model

        return load_live_model(model)
    return classifier_in(model)


def plan(
    recordings: Iterable[Path | str],
    out: Path,
    options: ScoreOptions,
    errors: Mapping[Path, Exception] | None = None,
) -> list[Job]:
    """Return a job for each recording, with its former name in ``out`` or a new one.

    Parameters
    ----------
    recordings
        Paths of files on this machine, or addresses as text.
    out
        The folder of results, which exists.
    options
        How the recordings are scored.
    errors
        Why some recordings must not be opened, and why some folders cannot be listed; each has a job.

    Returns
    -------
    The jobs, in the order of the recordings.
    """
    errors = errors or {}
    earlier = earlier_rows(out)
    still_there = [path for row in earlier if (path := Path(str(row["path"]))).exists()]
    patient_of = _patient_lookup(options, [*map(Path, recordings), *errors, *still_there])
    former_names = {row["path"]: str(row["recording"]) for row in earlier}
    taken = {str(row["recording"]).casefold() for row in earlier} | {
        entry.name.casefold() for entry in out.iterdir()
    }
    numbers: Counter[str] = Counter()
    jobs = []
    for source in dict.fromkeys([*recordings, *errors]):
        address = source if isinstance(source, str) else ""
        stem = display_name(Path(source).stem, options)
        name = former_names.get(display_name(printable(source), options)) or _free_name(stem, taken, numbers)
        taken.add(name.casefold())
        error, patient = errors.get(Path(source)), patient_of(Path(source))
        jobs.append(Job(Path(source), name, out, options, address, error=error, patient=patient))
    return jobs


def _patient_lookup(
    options: ScoreOptions, sources: Iterable[Path]
) -> "Callable[[Path], PatientHeader | None]":
    """Return a function that finds what the table of the lab says about a recording.

    It says nothing where files in several folders have one name: a report must not name the wrong patient.
    """
    if options.patients is None:
        return lambda _source: None
    # In a worker only: it imports numpy.
    from ectopy.readers.patients import patient_of, read_patients, shared_lines

    patients = read_patients(options.patients)
    if shared := shared_lines(patients, sources):
        logger.warning(
            "%s: %d of its lines cannot be used: recordings in several folders have their name. "
            "Give each recording a name of its own, or score the folders apart.",
            options.patients,
            len(shared),
        )
    return partial(patient_of, {name: header for name, header in patients.items() if name not in shared})


def _free_name(stem: str, taken: set[str], numbers: Counter[str]) -> str:
    """Return a valid WFDB name, with a number if it is taken; some file systems ignore case.

    ``numbers`` has the last number of each name, so that thousands of equal names take no search.
    """
    name = re.sub(r"[^A-Za-z0-9_-]", "_", stem)[:_MAX_NAME_LENGTH]
    while True:
        numbers[name.casefold()] += 1
        number = numbers[name.casefold()]
        free = name if number == 1 else f"{name}-{number}"
        if free.casefold() not in taken:
            return free


def display_name(name: str, options: ScoreOptions) -> str:
    """Return the name or path that outputs state.

    Parameters
    ----------
    name
        The true name or path of a recording.
    options
        Contains the pseudonyms, if there are any.

    Returns
    -------
    The name itself, or its pseudonym.
    """
    return options.pseudonyms.of(name) if options.pseudonyms else name
