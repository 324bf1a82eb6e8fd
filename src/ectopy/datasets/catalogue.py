"""Catalogue of PhysioNet databases: versions, patients, and the split into training and held-out records."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from types import MappingProxyType

# de Chazal et al. (2004), IEEE Trans Biomed Eng 51(7). The paced records are in neither. 201 and 202 are the
# same patient, but 201 is in DS1 and 202 in DS2. Metrics on DS2 are therefore also reported without 202.
DS1 = (
    *("101", "106", "108", "109", "112", "114", "115", "116", "118", "119", "122"),
    *("124", "201", "203", "205", "207", "208", "209", "215", "220", "223", "230"),
)
DS2 = (
    *("100", "103", "105", "111", "113", "117", "121", "123", "200", "202", "210"),
    *("212", "213", "214", "219", "221", "222", "228", "231", "232", "233", "234"),
)
PACED = ("102", "104", "107", "217")


class FetchError(ValueError):
    """A file or record that is missing, or differs from what the database publishes."""


class UnknownDatabaseError(FetchError):
    """A database that is not in the catalogue."""


@dataclass(frozen=True)
class Database:
    """A database on PhysioNet; the RECORDS file of the source lists its records.

    ``patients`` has pairs (pattern of record names, patient) for patients with several records; see
    :func:`patient_of`.
    """

    name: str
    title: str
    version: str = "1.0.0"
    annotators: tuple[str, ...] = ("atr",)
    patients: tuple[tuple[str, str], ...] = ()
    note: str = ""


# Number of records of each of incartdb's 32 patients, in order from I01. Source: its file
# files-patients-diagnoses.txt.
_INCART_RECORDS = (
    *(2, 3, 2, 1, 3, 3, 1, 2, 2, 3, 2, 2, 2, 4, 2, 3),
    *(2, 2, 2, 3, 2, 2, 3, 3, 2, 3, 3, 3, 2, 2, 2, 2),
)


def _incart_patients() -> Iterable[tuple[str, str]]:
    for patient, (last, count) in enumerate(
        zip(accumulate(_INCART_RECORDS), _INCART_RECORDS, strict=True), 1
    ):
        numbers = "|".join(f"{number:02d}" for number in range(last - count + 1, last + 1))
        yield f"I({numbers})", f"incartdb/patient {patient}"


DATABASES: Mapping[str, Database] = MappingProxyType(
    {
        database.name: database
        for database in (
            Database(
                "mitdb",
                "MIT-BIH Arrhythmia Database",
                patients=(("201|202", "mitdb/201"),),
                note="114 has its leads swapped (V5 first); 102 and 104 have no MLII; four are paced",
            ),
            Database(
                "nstdb",
                "MIT-BIH Noise Stress Test Database",
                patients=((r"(118|119)e.*", r"mitdb/\1"),),
                note="118 and 119 of mitdb with added noise; bw, em and ma are pure noise without beats",
            ),
            Database(
                "afdb",
                "MIT-BIH Atrial Fibrillation Database",
                annotators=("atr", "qrs"),
                note="atr has rhythms, qrs has beats that nobody corrected; 00735 and 03665 have no signals",
            ),
            Database("svdb", "MIT-BIH Supraventricular Arrhythmia Database"),
            Database(
                "incartdb",
                "St Petersburg INCART 12-lead Arrhythmia Database",
                patients=tuple(_incart_patients()),
                note="an algorithm placed the beat annotations in the middle of the QRS of all leads",
            ),
            Database("ltdb", "MIT-BIH Long-Term ECG Database"),
            Database("nsrdb", "MIT-BIH Normal Sinus Rhythm Database"),
            Database(
                "edb",
                "European ST-T Database",
                patients=((".*", "edb"),),
                note="90 records of 79 patients; it is not published whose they are, so all are one group",
            ),
            Database(
                "qtdb",
                "QT Database",
                patients=(
                    (r"sel([12]\d\d)", r"mitdb/\1"),
                    (r"sel(8\d\d)", r"svdb/\1"),
                    (r"sel(1[45]\d{3})", r"ltdb/\1"),
                    (r"sel(16\d{3}|17453)", r"nsrdb/\1"),
                    (r"sele.*", "edb"),
                ),
                note="excerpts of other databases' patients",
            ),
            Database("simdb", "Simulated patients", note="written by `ectopy simulate`"),
        )
    }
)


def find_database(name: str) -> Database:
    """Return the database with a PhysioNet name."""
    if name not in DATABASES:
        raise UnknownDatabaseError(f"{name}: unknown database. Choose one of {', '.join(DATABASES)}.")
    return DATABASES[name]


def patient_of(database: Database, record: str) -> str:
    """Return the patient of a record, such as ``mitdb/118`` for record 118e24 of nstdb.

    A patient has the same name in every database.

    Parameters
    ----------
    database
        The database.
    record
        Name of the record.

    Returns
    -------
    ``<database>/<record>``, where the record is one of the patient's.
    """
    for pattern, patient in database.patients:
        if match := re.fullmatch(pattern, record):
            return match.expand(patient)
    return f"{database.name}/{record}"


def split(database: Database, records: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split records into training and held-out records.

    These are DS1 and DS2 for mitdb, without the paced records. The whole of nstdb is held out. Of the other
    databases every third record is held out.

    Parameters
    ----------
    database
        The database.
    records
        Names of its records.

    Returns
    -------
    Training records, held-out records.
    """
    names = tuple(records)
    if database.name == "mitdb":
        return tuple(n for n in names if n in DS1), tuple(n for n in names if n in DS2)
    if database.name == "nstdb":
        return (), tuple(name for name in names if noise_db(name) is not None)
    held_out = names[2::3]
    return tuple(name for name in names if name not in held_out), held_out


def noise_db(record: str) -> int | None:
    """Return the signal-to-noise ratio of an nstdb record, such as -6 dB for 118e_6; None for pure noise."""
    match = re.fullmatch(r"\d+e(_?)(\d+)", record)
    return None if match is None else int(match[2]) * (-1 if match[1] else 1)
