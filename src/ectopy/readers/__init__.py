"""Readers of recordings: one module per file format, and the choice of the module that reads a file."""

import errno
import os
from itertools import chain
from pathlib import Path
from typing import Protocol

from ectopy.ecg import Recording, UnreadableError
from ectopy.readers import aecg, dicom, edf, ishne, scp, sierra, tables, wfdb
from ectopy.readers.diary import add_diary, diary_beside, is_diary
from ectopy.readers.validation import check_unit

HEAD_BYTES = 2**14
"""Number of bytes from the start of a file that are read to recognise its format."""


class Format(Protocol):
    """Interface of a file format: a module or package with one constant and three functions.

    A new format needs such a module and one more entry in :data:`FORMATS`. The order there matters: the first
    format whose ``matches`` returns True reads the file. A minimal module looks like this::

        SUFFIXES: tuple[str, ...] = (".xyz",)
        _MAGIC = b"XYZ1"
        _HEADER_BYTES = 16


        def matches(path: Path, head: bytes, *, fs: float | None = None) -> bool:
            return head.startswith(_MAGIC)


        def companion_files(path: Path) -> tuple[Path, ...]:
            return (path,)


        def open_recording(path: Path, *, fs: float | None = None, unit: str | None = None) -> Recording:
            content = read_whole(path, limit=2**28)
            if not content.startswith(_MAGIC):
                raise UnreadableError(f"{path}: not an XYZ file. Check that it was exported as XYZ.")

            stored = np.frombuffer(content[_HEADER_BYTES:], "<i2")
            piece = Piece("II", stored, scale=0.005)  # 5 uV per stored unit, so 0.005 mV
            return in_memory_recording(path, [piece], fs=250.0)

    Helpers that every reader needs:

    * :mod:`ectopy.readers.validation` checks rate, length and gain, converts units to mV and reads bytes.
    * :mod:`ectopy.readers.in_memory` builds a recording from numbers in memory. A format for long recordings
      should read blocks from its file instead, see :mod:`ectopy.readers.ishne`.
    * :mod:`ectopy.readers.lead_names` recognises the leads of ECG by their labels.
    * :mod:`ectopy.readers.safe_xml` parses XML from untrusted sources.

    Rules for every format:

    * Any damaged file raises :class:`ectopy.ecg.UnreadableError` with ``{path}: {problem}. {remedy}.``
      The message must not quote the file, which may contain a patient's name.
    * Patient data in the file goes into :func:`ectopy.readers.patients.patient_header` and nowhere else. What
      is wrong with it never stops the recording.
    * Third-party libraries are imported inside the functions that need them: ``import ectopy`` must be fast.
    * Test the format in ``tests/test_readers_<format>.py``, and add a small file to ``WRITERS`` in
      ``tests/test_readers_fuzz.py``.
    """

    SUFFIXES: tuple[str, ...]
    """Lower-case suffixes, with dot. A file that no format matches is opened by the format of its suffix."""

    def matches(self, path: Path, head: bytes, *, fs: float | None = None) -> bool:
        """Return whether a file is a recording of this format.

        This is called for every file of a searched folder, so it must be fast. It must not raise exceptions.

        Parameters
        ----------
        path
            The file.
        head
            Its first :data:`HEAD_BYTES` bytes.
        fs
            Sampling rate in Hz that the user gives for files without one; None if not given.
        """

    def companion_files(self, path: Path) -> tuple[Path, ...]:
        """Return all files that the recording consists of; the one that is opened comes first.

        A file that is named but missing is listed too. No file may lie outside the folder of ``path``.
        """

    def open_recording(self, path: Path, *, fs: float | None = None, unit: str | None = None) -> Recording:
        """Open a recording.

        Parameters
        ----------
        path
            The file, of any content.
        fs
            Sampling rate in Hz, used only if the file has none, or times that cannot be used.
        unit
            Unit of voltage, used only for leads whose unit is missing or unknown.

        Returns
        -------
        The recording, with leads in mV. Samples are read when they are needed, or kept in memory.

        Raises
        ------
        UnreadableError
            The file is damaged, incomplete or not of this format.
        """


FORMATS: tuple[Format, ...] = (wfdb, edf, ishne, scp, dicom, aecg, sierra, tables)
"""All formats, in the order in which they are tried."""


def is_recording(path: Path, *, fs: float | None = None) -> bool:
    """Check whether a file has one of the supported formats.

    Parameters
    ----------
    path
        The file.
    fs
        Sampling rate in Hz for files without one. If it is given, tables without lead names match too.

    Returns
    -------
    False also for a file that cannot be opened.
    """
    try:
        return _matching_format(path, fs) is not None
    except OSError:
        return False


def recording_files(path: Path, *, fs: float | None = None) -> tuple[Path, ...]:
    """Find the files of a recording.

    Parameters
    ----------
    path
        The file to open.
    fs
        Sampling rate in Hz for files without one. If it is given, tables without lead names match too.

    Returns
    -------
    The files, that of ``path`` first; none if it is not a recording. A file that cannot be opened is one, as
    nobody can tell: otherwise its loss would go unnoticed.
    """
    try:
        candidate = _matching_format(path, fs)
    except OSError as error:
        return (path,) if _may_be_recording(path, error) else ()
    if candidate is None:
        return ()
    try:
        return _with_diary(path, candidate.companion_files(path))
    except (UnreadableError, OSError):
        return (path,)


def open_recording(
    path: str | Path, *, fs: float | None = None, unit: str | None = None, diary: str | Path | None = None
) -> Recording:
    """Open a recording of any supported format, with the marks of the patient.

    Parameters
    ----------
    path
        The file. A WFDB record may be given without the suffix ``.hea``.
    fs
        Sampling rate in Hz, used only if the file has none, or times that cannot be used.
    unit
        Unit of voltage such as ``uV``, used only for leads whose unit is missing or unknown.
    diary
        Diary of the patient, see :mod:`ectopy.readers.diary`; by default ``<name>.diary.csv`` beside it.

    Returns
    -------
    The recording, with leads in mV.

    Raises
    ------
    UnreadableError
        The file or the diary is missing, damaged or not of a supported format.
    """
    try:
        path = locate(Path(path))
        found = _format_of(path)
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise UnreadableError(
            f"{path}: cannot be opened ({error.strerror}). Check the path and its permissions."
        ) from error
    recording = found.open_recording(path, fs=fs, unit=unit and check_unit(unit))
    if diary := diary or diary_beside(path):
        # Annotations of a record with several rates count its frames.
        annotation_fs = wfdb.frames_per_s(path) if found is wfdb else None
        return add_diary(recording, Path(diary), annotation_fs=annotation_fs)
    return recording


def companion_files(path: Path) -> tuple[Path, ...]:
    """Return all files that a recording consists of, its diary too; the one that is opened comes first."""
    return _with_diary(path, _format_of(path).companion_files(path))


def _with_diary(path: Path, files: tuple[Path, ...]) -> tuple[Path, ...]:
    diary = diary_beside(path)
    return (*files, diary) if diary else files


def locate(path: Path) -> Path:
    """Return the file to open for a path: the path itself, or the WFDB header of that name."""
    header = path.parent / f"{path.name}.hea"
    if _is_file(header) and not (_is_file(path) and is_recording(path)):
        return header
    return path


def _is_file(path: Path) -> bool:
    """Return whether a path is a file; False, and no error, if a folder on the way may not be entered."""
    return os.path.isfile(path)


def _format_of(path: Path) -> Format:
    _check_kind(path)
    try:
        matching = _matching_format(path)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise UnreadableError(
                f"{path}: a link to a file that does not exist. Copy the file itself, or remove the link."
            ) from error
        raise UnreadableError(f"{path}: no such file. Check the path.") from error
    except OSError as error:
        raise UnreadableError(
            f"{path}: cannot open the file ({error.strerror}). Check that you may read it."
        ) from error
    if matching:
        return matching
    for candidate in FORMATS:
        if path.suffix.lower() in candidate.SUFFIXES:
            return candidate
    raise UnreadableError(
        f"{path}: Unsupported file format. "
        "Supported: WFDB, EDF, ISHNE, DICOM, SCP, aECG, Sierra, CSV, Parquet."
    )


def _check_kind(path: Path) -> None:
    """Check that a path may be that of a file with a recording."""
    if "\0" in str(path):
        raise UnreadableError(f"{path}: no such file, as the path has a null byte. Check the path.")
    if os.path.isdir(path):
        raise UnreadableError(f"{path}: a folder, not a file. Name a file in it.")
    if os.path.exists(path) and not _is_file(path):
        raise UnreadableError(f"{path}: a pipe or a device, not a file. Copy its content to a file.")
    if is_diary(path):
        raise UnreadableError(f"{path}: a diary, not a recording. Name the recording beside it.")


def _may_be_recording(path: Path, error: OSError) -> bool:
    """Return whether a file that cannot be opened counts as a recording, which then fails with the reason."""
    if error.errno in {errno.ENOENT, errno.ELOOP}:  # a link that leads nowhere; or the file has just vanished
        known = path.suffix.lower() in chain.from_iterable(candidate.SUFFIXES for candidate in FORMATS)
        return known and path.is_symlink()
    # Signals and annotations beside a header are no recordings of their own.
    return path.suffix == ".hea" or not _is_file(path.with_suffix(".hea"))


def _matching_format(path: Path, fs: float | None = None) -> Format | None:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if is_diary(path):
        return None
    return next((candidate for candidate in FORMATS if candidate.matches(path, head, fs=fs)), None)
