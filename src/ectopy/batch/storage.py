"""Storage of an inbox: a folder of this machine, or an fsspec address such as ``s3://bucket/inbox``."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Protocol

from ectopy.batch.search import files_below
from ectopy.ecg import UnreadableError
from ectopy.readers import HEAD_BYTES, companion_files
from ectopy.readers.diary import diary_path

QUARANTINE = "quarantine"
_TAIL_BYTES = 2**20  # a Parquet file has its metadata at the end
_PARQUET = b"PAR1"


class UnreachableError(OSError):
    """A storage that does not answer. The recordings are not to blame."""


class AddressError(ValueError):
    """An address that cannot be an inbox."""


class FileInfo(NamedTuple):
    """A file of a storage.

    ``changed_s`` is when it changed, in seconds since 1970; None if unknown. ``stamp`` changes with the file.
    """

    changed_s: float | None
    stamp: str


class Storage(Protocol):
    """Interface between an inbox and its storage. Names are relative, with ``/``."""

    address: str
    quarantine: str
    """Address of the quarantine, a folder next to the inbox in the same storage."""

    def list_files(self) -> dict[str, FileInfo]:
        """List all files, also in subfolders; names that begin with a dot are ignored."""

    def describe(self, names: Iterable[str]) -> dict[str, FileInfo]:
        """Return what is known now of those of these files that exist."""

    def preview(self, names: Iterable[str]) -> Any:
        """Return a context with the absolute path of a folder in which the format of these files shows."""

    def uri(self, name: str) -> Path | str:
        """Return the path or the address of a file."""

    def move(self, name: str, target: str) -> None:
        """Move a file within the storage.

        Parameters
        ----------
        name
            The name of the file, relative to the inbox.
        target
            The new address, which may be outside of the inbox.
        """

    def write(self, target: str, text: str) -> None:
        """Write a file.

        Parameters
        ----------
        target
            The address of the file, which may be outside of the inbox.
        text
            Its content.
        """


def storage_at(address: str | Path) -> Storage:
    """Open the storage at an fsspec address, or at the path of a folder."""
    return Bucket(str(address)) if "://" in str(address) else Folder(Path(address))


class Folder:
    """A folder of this machine; it is created if it does not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.address = str(self.path)
        self.quarantine = str(self.path.parent / QUARANTINE)
        self.path.mkdir(parents=True, exist_ok=True)

    def list_files(self) -> dict[str, FileInfo]:
        """List all files; one that vanishes meanwhile or cannot be reached is left out."""
        files = {}
        for path in files_below(self.path, _ignore):
            with suppress(OSError):
                files[path.relative_to(self.path).as_posix()] = _info_of(path)
        return files

    def describe(self, names: Iterable[str]) -> dict[str, FileInfo]:
        """Return what is known now of those of these files that exist."""
        files = {}
        for name in names:
            with suppress(FileNotFoundError):
                files[name] = _info_of(self.path / name)
        return files

    @contextmanager
    def preview(self, names: Iterable[str]) -> Iterator[Path]:  # noqa: ARG002 - all are here
        """Yield the folder itself."""
        yield self.path

    def uri(self, name: str) -> Path:
        """Return the path of a file."""
        return self.path / name

    def move(self, name: str, target: str) -> None:
        """Move a file, also to another disk.

        Parameters
        ----------
        name
            The name of the file, relative to the inbox.
        target
            The new path.
        """
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(self.path / name, target)

    def write(self, target: str, text: str) -> None:
        """Write a file and the folders above it.

        Parameters
        ----------
        target
            The path of the file.
        text
            Its content.
        """
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).write_text(text, encoding="utf-8")


class Bucket:
    """A folder in anything that fsspec opens; access keys come from the environment, as fsspec documents."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self._system, root = _open(self.address)
        self._root = root.rstrip("/")
        parent, _, _ = self.address.rpartition("/")
        if parent.endswith("/"):
            raise AddressError(
                f"{address}: a bucket, not a folder in one. Add a folder, such as {address}/inbox."
            )
        self.quarantine = f"{parent}/{QUARANTINE}"

    def list_files(self) -> dict[str, FileInfo]:
        """List all files; keys that would lead out of the folder, such as ``../x``, are ignored."""
        self._system.invalidate_cache()
        with _network_errors(self.address):
            try:
                objects: dict[str, dict[str, Any]] = self._system.find(self._root, detail=True)
            except FileNotFoundError as error:  # the bucket is missing, not a recording
                raise UnreachableError(f"{self.address}: {error}") from error
        relative = {path[len(self._root) + 1 :]: info for path, info in objects.items()}
        return {
            name: _file_info(info)
            for name, info in relative.items()
            if all(part and part[0] != "." for part in name.split("/"))
        }

    def describe(self, names: Iterable[str]) -> dict[str, FileInfo]:
        """Return what is known now of those of these objects that exist."""
        self._system.invalidate_cache()
        files = {}
        for name in names:
            with _network_errors(self.address), suppress(FileNotFoundError):
                files[name] = _file_info(self._system.info(f"{self._root}/{name}"))
        return files

    @contextmanager
    def preview(self, names: Iterable[str]) -> Iterator[Path]:
        """Yield a folder with sparse copies of the files: their beginnings, and the ends of Parquet files."""
        with TemporaryDirectory(prefix="ectopy-fetched-") as folder:
            for name in names:
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                with _network_errors(self.address), suppress(FileNotFoundError):
                    self._download_ends(f"{self._root}/{name}", path)
            yield Path(folder)

    def _download_ends(self, remote: str, path: Path) -> None:
        size = int(self._system.info(remote)["size"])
        head = self._system.cat_file(remote, start=0, end=min(size, HEAD_BYTES)) if size else b""
        with path.open("wb") as file:
            file.write(head)
            file.truncate(size)
            if size > len(head) and (head.startswith(_PARQUET) or path.suffix == ".hea"):
                start = max(size - _TAIL_BYTES, len(head))
                file.seek(start)
                file.write(self._system.cat_file(remote, start=start, end=size))

    def uri(self, name: str) -> str:
        """Return the address of a file."""
        return f"{self.address}/{name}"

    def move(self, name: str, target: str) -> None:
        """Move an object.

        Parameters
        ----------
        name
            The name of the object, relative to the inbox.
        target
            The new address.
        """
        with _network_errors(self.address):
            self._system.mv(f"{self._root}/{name}", self._system._strip_protocol(target))  # noqa: SLF001

    def write(self, target: str, text: str) -> None:
        """Write an object.

        Parameters
        ----------
        target
            The address of the object.
        text
            Its content.
        """
        with _network_errors(self.address):
            self._system.pipe_file(self._system._strip_protocol(target), text.encode())  # noqa: SLF001


@contextmanager
def download(address: str) -> Iterator[Path]:
    """Download a recording, all files that it names and its diary; delete them when the block ends."""
    system, path = _open(address)
    parent, _, name = path.rpartition("/")
    with TemporaryDirectory(prefix="ectopy-fetched-") as folder:
        local = Path(folder, name)
        requested: set[Path] = set()
        while new := {local, diary_path(local), *recording_files(local)} - requested:
            requested |= new
            for file in new:
                file.parent.mkdir(parents=True, exist_ok=True)
                with _network_errors(address), suppress(FileNotFoundError):
                    system.get_file(f"{parent}/{file.relative_to(folder).as_posix()}", str(file))
        try:
            yield local
        except UnreadableError as error:
            raise UnreadableError(str(error).replace(folder, address.rpartition("/")[0])) from error


def recording_files(path: Path) -> tuple[Path, ...]:
    """Return the files of a recording, the one to open first; return only itself if it cannot be read."""
    try:
        return companion_files(path)
    except UnreadableError:
        return (path,)


def _open(address: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs

        system, path = url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise AddressError(
            f"{address}: {error}. Check the address; for s3:// run `pip install 'ectopy[s3]'`."
        ) from error
    return system, str(path)


def _info_of(path: Path) -> FileInfo:
    stat = path.stat()
    changed_s = max(stat.st_mtime, stat.st_ctime)  # a copy may have the mtime of its original
    return FileInfo(changed_s, f"{stat.st_size} {stat.st_mtime_ns}")


def _ignore(folder: Path, error: OSError) -> None:
    """Leave out a folder that cannot be listed; the search names it."""


def _file_info(info: dict[str, Any]) -> FileInfo:
    changed = next(
        (info[key] for key in ("LastModified", "mtime", "last_modified", "created") if key in info), None
    )
    changed_s = changed.timestamp() if isinstance(changed, datetime) else changed
    return FileInfo(changed_s, f"{info.get('size')} {info.get('ETag', '')} {changed_s}")


@contextmanager
def _network_errors(address: str) -> Iterator[None]:
    """Turn the errors of any fsspec implementation into UnreachableError, except for a missing file."""
    try:
        yield
    except (FileNotFoundError, UnreachableError):
        raise
    except Exception as error:
        raise UnreachableError(f"{address}: {type(error).__name__}: {error}") from error
