"""Files of PhysioNet databases, downloaded from PhysioNet or a mirror, or copied from a directory.

Every source has the layout ``<source>/<database>/<version>/``. The data directory has it too, so it can be
a source itself. A file is verified by the SHA-256 that the source publishes, and gets its name only when it
is complete. RECORDS is not verified, because a partial mirror lists only the records that it has. Only their
files are asked for, whatever else has a checksum.
"""

import logging
import re
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pooch
import requests

from ectopy.datasets.catalogue import DATABASES, Database, FetchError, find_database

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 10, 60
"""Timeouts of connections and reads, in seconds."""


class MissingFileError(FetchError):
    """A file that the source does not have."""


class UnreachableError(FetchError):
    """A source that did not answer or closed the connection; another try may succeed."""


def database_folder(database: Database, data_dir: Path) -> Path:
    """Return the folder of a database.

    Parameters
    ----------
    database
        The database.
    data_dir
        The data directory.

    Returns
    -------
    ``<data_dir>/<database>/<version>``, and the subfolder of the records if there is one.
    """
    return data_dir / database.name / database.version / database.subfolder


def read_records(folder: Path) -> tuple[str, ...]:
    """Read the record names in the RECORDS file of a database."""
    if not (folder / "RECORDS").is_file():
        name = next((part for part in reversed(folder.parts) if part in DATABASES), folder.parent.name)
        raise FetchError(
            f"{folder}: the database {name} is missing. Download it with `ectopy ingest {name}`."
        )
    names = tuple((folder / "RECORDS").read_text(encoding="latin-1").split())
    if not names:
        raise FetchError(f"{folder / 'RECORDS'}: it lists no record. Check the address of the source.")
    if bad := [name for name in names if not _is_inside(name)]:
        raise FetchError(
            f"{folder / 'RECORDS'}: {bad[0]!r:.60} is not a record name. Check the address of the source."
        )
    return names


def annotated_records(folder: Path) -> tuple[str, ...]:
    """Return the annotated records in a folder, including those that RECORDS of a partial mirror omits."""
    listed = read_records(folder)
    candidates = {*listed, *(header.stem for header in folder.glob("*.hea"))}
    present = {name for name in candidates if _is_annotated(folder / name)}
    if missing := [name for name in listed if name not in present]:
        logger.warning("%s: %d of %d records are missing", folder, len(missing), len(listed))
    return tuple(sorted(present))


def _is_annotated(record: Path) -> bool:
    return all(record.with_name(f"{record.name}.{suffix}").is_file() for suffix in ("hea", "atr"))


def fetch_index(
    name: str, *, source: str, data_dir: Path, records: Iterable[str] | None = None
) -> tuple[str, ...]:
    """Download the index of a database: RECORDS, ANNOTATORS, the checksums and labels of many records.

    A published version never changes, so its index is downloaded once. That of a directory is copied anew.

    Parameters
    ----------
    name
        Name of the database.
    source
        An http(s) address or a directory.
    data_dir
        The data directory.
    records
        The records to select; by default all.

    Returns
    -------
    Names of the selected records.

    Raises
    ------
    FetchError
        If the source lacks the database or a record.
    """
    database = find_database(name)
    _check_source(source, database)
    folder = database_folder(database, data_dir)
    _fetch("RECORDS", database, source, folder)
    _fetch_sums(database, source, data_dir)
    sums = _read_sums(folder)
    if "ANNOTATORS" in sums:
        with suppress(MissingFileError):  # a mirror of a part may lack it, and nothing reads it
            _fetch("ANNOTATORS", database, source, folder, sums["ANNOTATORS"])
    for file in database.label_files:
        if file in sums:
            _fetch(file, database, source, folder, sums[file])
    selected = read_records(folder) if records is None else tuple(records)
    if unknown := [record for record in selected if f"{record}.hea" not in sums]:
        raise FetchError(
            f"{name}: no record {', '.join(unknown)} in {folder / 'SHA256SUMS.txt'}. "
            "Choose records that RECORDS lists."
        )
    return selected


def fetch_record(name: str, record: str, *, source: str, data_dir: Path) -> tuple[Path, ...]:
    """Download header, signals and annotations of a record; complete files are not downloaded again.

    Call :func:`fetch_index` first.

    Parameters
    ----------
    name
        Name of the database.
    record
        Name of the record.
    source
        An http(s) address or a directory.
    data_dir
        The data directory.

    Returns
    -------
    Paths of the files, the header first.

    Raises
    ------
    FetchError
        If a file is missing or its checksum is wrong.
    """
    database = find_database(name)
    folder = database_folder(database, data_dir)
    sums = _read_sums(folder)
    header = _fetch_checked(f"{record}.hea", database, source, folder, sums)
    signals = [f"{record[: record.rfind('/') + 1]}{file}" for file in _signal_files(header)]
    annotations = [f"{record}.{annotator.suffix}" for annotator in database.annotators]
    files = [*signals, *(file for file in annotations if file in sums)]
    paths = (header, *(_fetch_checked(file, database, source, folder, sums) for file in files))
    logger.info("%s %s: %d files, complete", name, record, len(paths))
    return paths


def _check_source(source: str, database: Database) -> None:
    if "://" in source:
        if not _is_web(source):
            raise FetchError(f"{source}: not a supported source. Use an http(s) address or a directory.")
    elif not database_folder(database, Path(source)).is_dir():
        raise FetchError(
            f"{database_folder(database, Path(source))}: no such directory. "
            "The source must have the layout DATABASE/VERSION."
        )


def _is_web(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _is_inside(name: str) -> bool:
    """Check that a file name, with folders or without, cannot lead out of the folder of the database.

    The names come from files of the source.
    """
    return re.fullmatch(r"([A-Za-z0-9_-][A-Za-z0-9_.-]*/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*", name) is not None


def _fetch_sums(database: Database, source: str, data_dir: Path) -> Path:
    """Download the checksums from the folder of the records, else from that of the version."""
    folder = database_folder(database, data_dir)
    try:
        return _fetch("SHA256SUMS.txt", database, source, folder)
    except MissingFileError:
        if not database.subfolder:
            raise
        return _fetch_sums(replace(database, subfolder=""), source, data_dir)


def _read_sums(folder: Path) -> dict[str, str]:
    """Read the checksum of each file in a folder; those of the folder above are used if it has none."""
    if (folder / "SHA256SUMS.txt").is_file():
        return _read_sums_file(folder / "SHA256SUMS.txt")
    if (folder.parent / "SHA256SUMS.txt").is_file():
        sums, inside = _read_sums_file(folder.parent / "SHA256SUMS.txt"), f"{folder.name}/"
        return {file.removeprefix(inside): sums[file] for file in sums if file.startswith(inside)}
    raise FetchError(f"{folder / 'SHA256SUMS.txt'}: no checksums. Download the index of the database first.")


def _read_sums_file(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="latin-1").splitlines()
    pairs = [re.fullmatch(r"([0-9a-fA-F]{64}) [ *]?(.+)", line.rstrip()) for line in lines if line.strip()]
    if not pairs or None in pairs:
        raise FetchError(
            f"{path}: not a list of SHA-256 checksums and file names. Check the address of the source."
        )
    return {pair[2]: pair[1].lower() for pair in pairs if pair}


def _signal_files(header: Path) -> tuple[str, ...]:
    """Read the names of the signal files without repetition; ``~`` stands for no file."""
    lines = header.read_text(encoding="latin-1").splitlines()
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    first = re.match(r"(\S+)\s+(\d+)\b", lines[0]) if lines else None
    if first is None or "/" in first[1] or len(lines) < 1 + int(first[2]):
        raise FetchError(
            f"{header}: not a WFDB header of a single segment. Records of several segments are not supported."
        )
    names = [line.split()[0] for line in lines[1 : 1 + int(first[2])]]
    return tuple(dict.fromkeys(name for name in names if name != "~"))


def _fetch_checked(file: str, database: Database, source: str, folder: Path, sums: Mapping[str, str]) -> Path:
    if not _is_inside(file):
        raise FetchError(
            f"{database.name}: {file!r:.60} is not a file name inside the folder of the database. "
            "Do not use this source."
        )
    if file not in sums:
        raise FetchError(
            f"{database.name}: {file} has no checksum in {folder / 'SHA256SUMS.txt'}. "
            "Use a source with all checksums."
        )
    return _fetch(file, database, source, folder, sums[file])


def _fetch(file: str, database: Database, source: str, folder: Path, sha256: str | None = None) -> Path:
    """Download a file unless it is present with the right checksum, or present at all if it has none."""
    web = _is_web(source)
    base = source.rstrip("/") if web else Path(source)
    address = f"{base}/{database_folder(database, Path()).as_posix()}/{file}"
    pooch.get_logger().setLevel(logging.ERROR)
    try:
        if not web and sha256 is None:
            sha256 = pooch.file_hash(address)
        path = folder / file
        pooch.retrieve(
            address, sha256, fname=path.name, path=path.parent, downloader=_download if web else _copy
        )
    except requests.RequestException as error:
        raise _web_error(address, error) from error
    except FileNotFoundError as error:
        raise MissingFileError(f"{address}: file not found. Use a complete copy of the database.") from error
    except ValueError as error:  # raised by pooch for a wrong checksum
        raise FetchError(
            f"{address}: SHA-256 differs from {sha256}, so the file is damaged. "
            "Delete it there or use another source."
        ) from error
    return path


def _web_error(address: str, error: requests.RequestException) -> FetchError:
    if error.response is None:
        return UnreachableError(f"{address}: the server did not answer or closed the connection. Try again.")
    error.response.close()  # pooch leaves it open
    status = error.response.status_code
    if 400 <= status < 500 and status not in {408, 429}:
        refusal = MissingFileError if status in {404, 410} else FetchError
        return refusal(f"{address}: the server answered {status}. Check the address of the source.")
    return UnreachableError(f"{address}: the server answered {status}. Try again.")


def _download(address: str, path: str, _pooch: object) -> None:
    Path(path).unlink()  # only its owner can read pooch's temporary file; a new one gets the usual mode
    pooch.HTTPDownloader(timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S), chunk_size=2**16)(address, path, None)


def _copy(address: str, path: str, _pooch: object) -> None:
    Path(path).unlink()
    shutil.copyfile(address, path)
