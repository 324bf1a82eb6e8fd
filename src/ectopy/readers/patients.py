"""The patient header of a recording: from the fields of its file, and from a table of the lab.

A table has a line of names with ``recording`` and some of ``name``, ``id``, ``birth_date``, ``sex``,
``indication`` and ``recorder``. A recording is named by its file, with or without the suffix. What the table
says counts before what the file says.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Final

from ectopy.ecg import PatientHeader, UnreadableError
from ectopy.readers.diary import read_rows
from ectopy.readers.marks import clean_text

COLUMNS: Final = ("recording", "name", "id", "birth_date", "sex", "indication", "recorder")
_FIELDS: Final = {"id": "identifier"}
"""Columns whose field has another name."""
_SEXES: Final = {
    **dict.fromkeys(("f", "female", "w", "2"), "female"),
    **dict.fromkeys(("m", "male", "1"), "male"),
    **dict.fromkeys(("o", "other", "un", "d"), "other"),
}
_FIRST_YEAR = 1880
_MOST_BYTES = 2**24


class PatientsError(ValueError):
    """A table of patients that cannot be used; the message says why, and quotes none of its texts."""


def patient_header(  # noqa: PLR0913 - one parameter for each field
    *,
    name: str = "",
    identifier: str = "",
    birth_date: str = "",
    sex: str = "",
    indication: str = "",
    recorder: str = "",
) -> PatientHeader | None:
    """Return the patient header of a file; None if the file states nothing.

    Parameters
    ----------
    name, identifier, indication, recorder
        Texts of the file; each becomes one printable line, and a mere X, which hides a text, is none.
    birth_date
        A date in ISO 8601, as :func:`iso_date` returns it.
    sex
        The letter, the word or the number by which the format codes it; an unknown one is none.

    Returns
    -------
    The header.
    """
    texts = (
        "" if set(text.upper()) <= set("X -") else text
        for text in map(clean_text, (name, identifier, indication, recorder))
    )
    name, identifier, indication, recorder = texts
    header = PatientHeader(
        name, identifier, birth_date, _SEXES.get(sex.strip().lower(), ""), indication, recorder
    )
    return header if any(asdict(header).values()) else None


def iso_date(year: int, month: int, day: int) -> str:
    """Return a date of birth in ISO 8601.

    Parameters
    ----------
    year, month, day
        The date.

    Returns
    -------
    The date; "" if there is no such day, or nobody who lives was born then.
    """
    with suppress(ValueError):
        if year >= _FIRST_YEAR:
            return date(year, month, day).isoformat()
    return ""


def date_of_digits(text: str) -> str:
    """Return a date written as YYYYMMDD, perhaps with a time after it, in ISO 8601; "" if it is none."""
    digits = re.match(r"(\d{4})(\d{2})(\d{2})", text)
    return iso_date(*map(int, digits.groups())) if digits else ""


def completed(header: PatientHeader | None, of_file: PatientHeader | None) -> PatientHeader | None:
    """Return a header with the fields of the file where it has none.

    Parameters
    ----------
    header
        What the table of the lab says, or None.
    of_file
        What the file says, or None.

    Returns
    -------
    The header; None if neither is there.
    """
    if header is None or of_file is None:
        return header or of_file
    stated = {name: text for name, text in asdict(header).items() if text}
    return PatientHeader(**{**asdict(of_file), **stated})


def read_patients(path: Path) -> Mapping[str, PatientHeader]:
    """Read a table of patients.

    Parameters
    ----------
    path
        The table, in CSV.

    Returns
    -------
    The header of each recording, by the name of its file as the table writes it.

    Raises
    ------
    PatientsError
        If it cannot be used. The message names the file and the line.
    """
    try:
        rows = read_rows(path, "table of patients", limit=_MOST_BYTES, strict=True)
    except (UnreadableError, OSError) as error:
        reason = getattr(error, "strerror", None)
        raise PatientsError(f"{path}: {reason}. Check its path." if reason else str(error)) from error
    columns = [name.strip().lower() for name in rows[0]] if rows else []
    if "recording" not in columns or not set(columns) & set(COLUMNS[1:]):
        raise PatientsError(
            f"{path}: the first line names no column recording, or no other that is known. "
            f"Begin it with the line: {','.join(COLUMNS)}"
        )
    patients: dict[str, PatientHeader] = {}
    for number, row in enumerate(rows[1:], 2):
        cells = {name: cell.strip() for name, cell in zip(columns, row, strict=False) if name in COLUMNS}
        recording = cells.pop("recording", "")
        if recording in patients:
            raise PatientsError(f"{path}: line {number} repeats a recording. Keep one line for each.")
        if recording and (header := _of_cells(cells, f"{path}: line {number}")):
            patients[recording] = header
    return patients


def patient_of(patients: Mapping[str, PatientHeader], source: Path) -> PatientHeader | None:
    """Return the header of a recording from a table.

    Parameters
    ----------
    patients
        The table, as :func:`read_patients` returns it.
    source
        The file of the recording, which the table names with or without its suffix.

    Returns
    -------
    The header, or None.
    """
    return patients.get(source.name) or patients.get(source.stem)


def shared_lines(patients: Mapping[str, PatientHeader], sources: Iterable[Path]) -> set[str]:
    """Find the lines of a table that name recordings in several folders, perhaps of several patients.

    Parameters
    ----------
    patients
        The table, as :func:`read_patients` returns it.
    sources
        The files of the recordings.

    Returns
    -------
    The names in these lines.
    """
    folders: dict[str, set[Path]] = {}
    for source in sources:
        line = source.name if source.name in patients else source.stem
        folders.setdefault(line, set()).add(source.parent)
    return {line for line, parents in folders.items() if line in patients and len(parents) > 1}


def _of_cells(cells: Mapping[str, str], place: str) -> PatientHeader | None:
    born, sex = cells.get("birth_date", ""), cells.get("sex", "")
    if born and not (re.fullmatch(r"\d{4}-\d{2}-\d{2}", born) and date_of_digits(born.replace("-", ""))):
        raise PatientsError(f"{place}: the birth date is not valid. Write it as 1950-03-02.")
    if sex and sex.lower() not in _SEXES:
        raise PatientsError(f"{place}: the sex is not valid. Write female, male or other.")
    return patient_header(**{_FIELDS.get(name, name): cell for name, cell in cells.items()})
