"""Write the patient header of a report."""

from datetime import date, datetime

from ectopy.ecg import Analysis


def patient_facts(analysis: Analysis) -> list[tuple[str, str]]:
    """Return the names and the texts of what is known of the patient; none if nothing is.

    Parameters
    ----------
    analysis
        The analysis of a recording.

    Returns
    -------
    For example ``("Born", "1950-03-02 (73 years)")``.
    """
    patient = analysis.recording.patient
    if patient is None:
        return []
    born = patient.birth_date
    years = _years(date.fromisoformat(born), analysis.start) if born and analysis.start else -1
    if years >= 0:  # a recording whose date is hidden may be older than its patient
        born += f" ({years} years)"
    facts = (
        ("Patient", patient.name),
        ("ID", patient.identifier),
        ("Born", born),
        ("Sex", patient.sex),
        ("Indication", patient.indication),
        ("Recorder", patient.recorder),
    )
    return [(name, text) for name, text in facts if text]


def running_head(analysis: Analysis, name: str) -> str:
    """Return what stands above each printed page.

    Parameters
    ----------
    analysis
        The analysis of a recording.
    name
        Name of the recording in the outputs.

    Returns
    -------
    The name, the patient and the day, as far as they are known.
    """
    patient, start = analysis.recording.patient, analysis.start
    who = (patient.name, patient.identifier) if patient else ()
    day = "" if start is None else f"{start:%Y-%m-%d}"
    return " \N{MIDDLE DOT} ".join(filter(None, (name, *who, day)))


def _years(born: date, on: datetime) -> int:
    """Return the age in whole years."""
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))
