"""PhysioNet databases as data, and their files fetched from PhysioNet, a mirror or a directory.

Every source is laid out as ``<source>/<database>/<version>/``, and so is the data directory: it is a source
itself. A file is checked against the SHA-256 that the source publishes and bears its name only when it is
whole. RECORDS is the one file not checked: a mirror that holds part of a database lists just that part.
"""

import logging
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import pooch
import requests

from ectopy.datasets.catalogue import Database, FetchError, find_database

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 10, 60
"""Patience with a silent server."""


class UnreachableError(FetchError):
    """A source that did not answer, or broke off: worth another try."""


def database_folder(database: Database, data_dir: Path) -> Path:
    """Tell where a database lies in a data directory."""
    return data_dir / database.name / database.version


def read_records(folder: Path) -> tuple[str, ...]:
    """Read the names in a database's RECORDS file."""
    if not (folder / "RECORDS").is_file():
        name = folder.parent.name
        raise FetchError(
            f"{folder}: the database {name} expected, none there; `ectopy ingest {name}` brings it"
        )
    names = tuple((folder / "RECORDS").read_text(encoding="latin-1").split())
    if bad := [name for name in names if not _is_plain(name)]:
        raise FetchError(f"{folder / 'RECORDS'}: names of records expected, {bad[0]!r:.60} came")
    return names


def annotated_records(folder: Path) -> tuple[str, ...]:
    """Name the annotated records that are there, whether RECORDS of a partial mirror lists them or not."""
    listed = read_records(folder)
    here = {header.stem for header in folder.glob("*.hea") if header.with_suffix(".atr").is_file()}
    if lacking := [name for name in listed if name not in here]:
        logger.warning("%s: %d of %d records are not there", folder, len(lacking), len(listed))
    return tuple(sorted(here))


def fetch_index(
    name: str, *, source: str, data_dir: Path, records: Iterable[str] | None = None
) -> tuple[str, ...]:
    """Fetch what a database says about itself; return the records asked for, which are all by default.

    A published version never changes, so its index is fetched once; that of a directory is taken anew.
    """
    database = find_database(name)
    _check_source(source, database)
    folder = database_folder(database, data_dir)
    for file in ("RECORDS", "SHA256SUMS.txt"):
        _fetch(file, database, source, folder)
    if "ANNOTATORS" in (sums := _read_sums(folder)):
        _fetch("ANNOTATORS", database, source, folder, sums["ANNOTATORS"])
    asked = read_records(folder) if records is None else tuple(records)
    if strange := [record for record in asked if f"{record}.hea" not in sums]:
        raise FetchError(f"{name}: no record {', '.join(strange)} in {folder / 'SHA256SUMS.txt'}")
    return asked


def fetch_record(name: str, record: str, *, source: str, data_dir: Path) -> tuple[Path, ...]:
    """Fetch header, signals and annotations of one record, after :func:`fetch_index`; what is whole stays."""
    database = find_database(name)
    folder = database_folder(database, data_dir)
    sums = _read_sums(folder)
    header = _fetch_checked(f"{record}.hea", database, source, folder, sums)
    annotations = [f"{record}.{annotator}" for annotator in database.annotators]
    files = [*_signal_files(header), *(file for file in annotations if file in sums)]
    paths = (header, *(_fetch_checked(file, database, source, folder, sums) for file in files))
    logger.info("%s %s: %d files, complete", name, record, len(paths))
    return paths


def _check_source(source: str, database: Database) -> None:
    if "://" in source:
        if not _is_web(source):
            raise FetchError(f"{source}: an http(s) address or a directory expected as source")
    elif not database_folder(database, Path(source)).is_dir():
        raise FetchError(f"{database_folder(database, Path(source))}: the source holds no such directory")


def _is_web(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _is_plain(name: str) -> bool:
    """Tell whether a name stays in its folder; names come from files that others wrote."""
    return re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", name) is not None


def _read_sums(folder: Path) -> dict[str, str]:
    path = folder / "SHA256SUMS.txt"
    if not path.is_file():
        raise FetchError(f"{path}: checksums expected, none there; fetch the index first")
    lines = path.read_text(encoding="latin-1").splitlines()
    pairs = [re.fullmatch(r"([0-9a-fA-F]{64}) [ *]?(.+)", line.rstrip()) for line in lines if line.strip()]
    if not pairs or None in pairs:
        raise FetchError(f"{path}: lines of a SHA-256 and a file name expected, something else came")
    return {pair[2]: pair[1].lower() for pair in pairs if pair}


def _signal_files(header: Path) -> tuple[str, ...]:
    """Read the names of the signal files, each once; ``~`` stands for none."""
    lines = header.read_text(encoding="latin-1").splitlines()
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    first = re.match(r"(\S+)\s+(\d+)\b", lines[0]) if lines else None
    if first is None or "/" in first[1] or len(lines) < 1 + int(first[2]):
        raise FetchError(f"{header}: the WFDB header of one segment expected, something else came")
    names = [line.split()[0] for line in lines[1 : 1 + int(first[2])]]
    return tuple(dict.fromkeys(name for name in names if name != "~"))


def _fetch_checked(file: str, database: Database, source: str, folder: Path, sums: Mapping[str, str]) -> Path:
    if not _is_plain(file):
        raise FetchError(f"{database.name}: {file!r:.60} is no name of a file in the database's own folder")
    if file not in sums:
        raise FetchError(f"{database.name}: {file} is not in {folder / 'SHA256SUMS.txt'}")
    return _fetch(file, database, source, folder, sums[file])


def _fetch(file: str, database: Database, source: str, folder: Path, sha256: str | None = None) -> Path:
    """Fetch a file unless it is there with its checksum (or at all, where there is none)."""
    web = _is_web(source)
    base = (
        f"{source.rstrip('/')}/{database.name}/{database.version}"
        if web
        else database_folder(database, Path(source))
    )
    address = f"{base}/{file}"
    pooch.get_logger().setLevel(logging.ERROR)
    try:
        if not web and sha256 is None:
            sha256 = pooch.file_hash(address)
        pooch.retrieve(address, sha256, fname=file, path=folder, downloader=_download if web else _copy)
    except requests.RequestException as error:
        raise _web_error(address, error) from error
    except FileNotFoundError as error:
        raise FetchError(f"{address}: not there") from error
    except ValueError as error:  # pooch's word for a wrong checksum
        raise FetchError(f"{address}: SHA-256 {sha256} expected, another came") from error
    return folder / file


def _web_error(address: str, error: requests.RequestException) -> FetchError:
    if error.response is None:
        return UnreachableError(f"{address}: no answer, or broken off ({type(error).__name__})")
    error.response.close()  # pooch leaves it open
    status = error.response.status_code
    lasting = 400 <= status < 500 and status not in {408, 429}
    return (FetchError if lasting else UnreachableError)(f"{address}: the server answered {status}")


def _download(address: str, path: str, _pooch: object) -> None:
    Path(path).unlink()  # pooch makes its temporary file for the owner alone; made anew, all may read it
    pooch.HTTPDownloader(timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S), chunk_size=2**16)(address, path, None)


def _copy(address: str, path: str, _pooch: object) -> None:
    Path(path).unlink()
    shutil.copyfile(address, path)
