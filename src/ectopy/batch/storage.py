"""Where an inbox lies: a folder of this machine, or an address of fsspec, such as ``s3://bucket/inbox``."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Protocol

from ectopy.ecg import UnreadableError
from ectopy.readers import HEAD_BYTES, companion_files

QUARANTINE = "quarantine"
_TAIL_BYTES = 2**20  # a Parquet file says at its end what it holds
_PARQUET = b"PAR1"


class UnreachableError(OSError):
    """A place that does not answer: no recording is to blame."""


class AddressError(ValueError):
    """An address that is none of an inbox."""


class FileInfo(NamedTuple):
    """A file of a place: when it changed, in s since 1970 (None: not told), and what changes with it."""

    changed_s: float | None
    stamp: str


class Storage(Protocol):
    """What an inbox asks of where it lies; names are relative, with ``/``."""

    address: str
    quarantine: str
    """Address of a folder of the same kind, beside it."""

    def listing(self) -> dict[str, FileInfo]:
        """List all files, in folders too; what begins with a dot is not meant for us."""

    def preview(self, names: Iterable[str]) -> Any:
        """Give a context with a folder, absolute, in which these files can at least be recognised."""

    def uri(self, name: str) -> Path | str:
        """Give what a file is scored by."""

    def move(self, name: str, target: str) -> None:
        """Move a file to an address of the same kind."""

    def write(self, target: str, text: str) -> None:
        """Write a file at an address of the same kind."""


def storage_at(address: str | Path) -> Storage:
    """Tell an address from a path."""
    return Bucket(str(address)) if "://" in str(address) else Folder(Path(address))


class Folder:
    """A folder of this machine, made when it does not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.address = str(self.path)
        self.quarantine = str(self.path.parent / QUARANTINE)
        self.path.mkdir(parents=True, exist_ok=True)

    def listing(self) -> dict[str, FileInfo]:
        """List all files; one that vanishes meanwhile is not there."""
        listed = {}
        for parent, folders, names in os.walk(self.path):
            folders[:] = [name for name in folders if name[0] != "."]
            for path in (Path(parent, name) for name in names if name[0] != "."):
                with suppress(FileNotFoundError):
                    stat = path.stat()
                    changed_s = max(stat.st_mtime, stat.st_ctime)  # a copy may keep the time of its original
                    stamp = f"{stat.st_size} {stat.st_mtime_ns}"
                    listed[path.relative_to(self.path).as_posix()] = FileInfo(changed_s, stamp)
        return listed

    @contextmanager
    def preview(self, names: Iterable[str]) -> Iterator[Path]:  # noqa: ARG002 - all can be seen
        """Give the folder itself."""
        yield self.path

    def uri(self, name: str) -> Path:
        """Give the path of a file."""
        return self.path / name

    def move(self, name: str, target: str) -> None:
        """Move a file, to another disk too."""
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(self.path / name, target)

    def write(self, target: str, text: str) -> None:
        """Write a file."""
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).write_text(text, encoding="utf-8")


class Bucket:
    """Whatever fsspec opens; options such as keys come from the environment, as its own documents say."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self._system, root = _open(self.address)
        self._root = root.rstrip("/")
        parent, _, _ = self.address.rpartition("/")
        if parent.endswith("/"):
            raise AddressError(f"{address}: a folder of a bucket expected, a bucket came")
        self.quarantine = f"{parent}/{QUARANTINE}"

    def listing(self) -> dict[str, FileInfo]:
        """List all files; a key that would lead out of a folder, such as ``../x``, is not meant for us."""
        self._system.invalidate_cache()
        with _reached(self.address):
            try:
                found: dict[str, dict[str, Any]] = self._system.find(self._root, detail=True)
            except FileNotFoundError as error:  # not of a recording: there is no such bucket
                raise UnreachableError(f"{self.address}: {error}") from error
        relative = {path[len(self._root) + 1 :]: info for path, info in found.items()}
        return {
            name: _listed(info)
            for name, info in relative.items()
            if all(part and part[0] != "." for part in name.split("/"))
        }

    @contextmanager
    def preview(self, names: Iterable[str]) -> Iterator[Path]:
        """Give a folder with the beginnings of files, holes in between, and the ends of those of Parquet."""
        with TemporaryDirectory(prefix="ectopy-") as folder:
            for name in names:
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                with _reached(self.address), suppress(FileNotFoundError):
                    self._glimpse(f"{self._root}/{name}", path)
            yield Path(folder)

    def _glimpse(self, remote: str, path: Path) -> None:
        size = int(self._system.info(remote)["size"])
        head = self._system.cat_file(remote, start=0, end=min(size, HEAD_BYTES)) if size else b""
        with path.open("wb") as file:
            file.write(head)
            file.truncate(size)
            if size > len(head) and (head.startswith(_PARQUET) or path.suffix == ".hea"):
                at = max(size - _TAIL_BYTES, len(head))
                file.seek(at)
                file.write(self._system.cat_file(remote, start=at, end=size))

    def uri(self, name: str) -> str:
        """Give the address of a file."""
        return f"{self.address}/{name}"

    def move(self, name: str, target: str) -> None:
        """Move an object."""
        with _reached(self.address):
            self._system.mv(f"{self._root}/{name}", self._system._strip_protocol(target))  # noqa: SLF001

    def write(self, target: str, text: str) -> None:
        """Write an object."""
        with _reached(self.address):
            self._system.pipe_file(self._system._strip_protocol(target), text.encode())  # noqa: SLF001


@contextmanager
def download(address: str) -> Iterator[Path]:
    """Bring a recording here, with all files that it names, for as long as it is read."""
    system, path = _open(address)
    place, _, name = path.rpartition("/")
    with TemporaryDirectory(prefix="ectopy-") as folder:
        here = Path(folder, name)
        asked: set[Path] = set()
        while new := {here, *files_or_itself(here)} - asked:
            asked |= new
            for file in new:
                file.parent.mkdir(parents=True, exist_ok=True)
                with _reached(address), suppress(FileNotFoundError):
                    system.get_file(f"{place}/{file.relative_to(folder).as_posix()}", str(file))
        try:
            yield here
        except UnreadableError as error:
            raise UnreadableError(str(error).replace(folder, address.rpartition("/")[0])) from error


def files_or_itself(path: Path) -> tuple[Path, ...]:
    """Give the files of a recording, the one that is opened first; of what cannot be read, itself."""
    try:
        return companion_files(path)
    except UnreadableError:
        return (path,)


def _open(address: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs

        system, path = url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise AddressError(f"{address}: {error}; `pip install 'ectopy[s3]'` reads s3://") from error
    return system, str(path)


def _listed(info: dict[str, Any]) -> FileInfo:
    told = next(
        (info[key] for key in ("LastModified", "mtime", "last_modified", "created") if key in info), None
    )
    changed_s = told.timestamp() if isinstance(told, datetime) else told
    return FileInfo(changed_s, f"{info.get('size')} {info.get('ETag', '')} {changed_s}")


@contextmanager
def _reached(address: str) -> Iterator[None]:
    """Tell apart what a place answers, and that it does not: every kind of it has errors of its own."""
    try:
        yield
    except (FileNotFoundError, UnreachableError):
        raise
    except Exception as error:
        raise UnreachableError(f"{address}: {type(error).__name__}: {error}") from error
