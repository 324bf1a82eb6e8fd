"""Whose records are compared: records of one patient are drawn together, because they are not independent."""

from collections.abc import Iterable

from ectopy.datasets.catalogue import DATABASES, patient_of


def patients_of(database: str, records: Iterable[str]) -> dict[str, str]:
    """Return the patient of each record, where the catalogue of databases knows more than one.

    Parameters
    ----------
    database
        Name of the database, such as "mitdb".
    records
        Names of the records.

    Returns
    -------
    Patients by record. Each record is a patient of its own if the database is not in the catalogue, or if
    all these records are one group there: from a single patient there is no interval.

    Examples
    --------
    >>> patients_of("mitdb", ["200", "201", "202"])
    {'200': 'mitdb/200', '201': 'mitdb/201', '202': 'mitdb/201'}
    >>> patients_of("my-records", ["201", "202"])
    {'201': '201', '202': '202'}
    """
    names = [*records]
    known = DATABASES.get(database)
    patients = {name: patient_of(known, name) for name in names} if known else {}
    return patients if len({*patients.values()}) > 1 else {name: name for name in names}
