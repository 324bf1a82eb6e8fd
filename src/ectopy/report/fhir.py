"""Write a summary as FHIR R4: a DiagnosticReport and its Observations in a Bundle of type collection.

The resources have the status preliminary, and their text says automatic and unconfirmed. When a reader has
confirmed the results, the status is final, and the text says who and when. They name no recording, no file
and no time of the recording, and the patient only if the recording states one, which pseudonyms hide. Else
the receiving system knows the patient and adds ``subject``; it always adds ``effective``. The recording is
identified by the SHA-256 of its content.

Codes are LOINC where a code certainly fits. All others are text and the name of the value in summary.json.
Heart rates do not have LOINC 8867-4: with that code they would be vital signs, which need a subject and a
time.

``fhir.resources`` (the extra ``fhir``) validates the document. Its R4B models are used, because these
resources are the same in R4.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple
from uuid import NAMESPACE_OID, uuid5

from ectopy.ecg import PatientHeader
from ectopy.report.confirmation import Confirmation
from ectopy.report.summary import Summary
from ectopy.rhythm.kinds import KINDS

Resource = dict[str, Any]

ADVISORY = (
    "For research use only; not a medical device. "
    "Advisory: not the sole basis of a diagnosis, not for alarms or life support."
)
LOINC, UCUM, SUMMARY_VALUES = "http://loinc.org", "http://unitsofmeasure.org", "urn:ectopy:summary"
EKG_STUDY = {"system": LOINC, "code": "11524-6", "display": "EKG study"}
SDNN = {
    "system": LOINC,
    "code": "80404-7",
    "display": "R-R interval.standard deviation (Heart rate variability)",
}
ELECTROCARDIAC = {"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "EC"}
PROCEDURE = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "procedure"}


class MissingLibraryError(ValueError):
    """Error: an option needs a library of an extra that is not installed."""


class ObservedValue(NamedTuple):
    """Text and UCUM unit of the Observation of a value of the summary; the text names criteria in braces."""

    text: str
    unit: str


OBSERVED = {
    "analysable_s": ObservedValue("Analysable time of the recording", "s"),
    "n_beats": ObservedValue("Heartbeats", "{beats}"),
    "hr_mean_bpm": ObservedValue("Mean heart rate of the recording", "/min"),
    "hr_min_bpm": ObservedValue("Lowest heart rate, mean of 8 RR intervals", "/min"),
    "hr_max_bpm": ObservedValue("Highest heart rate, mean of 8 RR intervals", "/min"),
    "n_veb": ObservedValue("Ventricular ectopic beats", "{beats}"),
    "veb_burden_pct": ObservedValue("Share of beats that are ventricular ectopic", "%"),
    "n_couplets": ObservedValue("Ventricular couplets", "{couplets}"),
    "n_veb_triplets": ObservedValue("Ventricular triplets", "{triplets}"),
    "n_vt_runs": ObservedValue(
        "Ventricular tachycardias, {vt_beats} beats or more above {vt_bpm:g} per minute", "{runs}"
    ),
    "n_vt_sustained": ObservedValue("Ventricular tachycardias of {sustained_s:g} s or more", "{runs}"),
    "longest_vt_beats": ObservedValue("Beats of the longest ventricular tachycardia", "{beats}"),
    "fastest_vt_bpm": ObservedValue("Rate of the fastest ventricular tachycardia", "/min"),
    "n_idioventricular_runs": ObservedValue("Idioventricular runs", "{runs}"),
    "n_bigeminy": ObservedValue("Episodes of ventricular bigeminy", "{episodes}"),
    "n_trigeminy": ObservedValue("Episodes of ventricular trigeminy", "{episodes}"),
    "n_sveb": ObservedValue("Supraventricular ectopic beats", "{beats}"),
    "sveb_burden_pct": ObservedValue("Share of beats that are supraventricular ectopic", "%"),
    "n_sveb_couplets": ObservedValue("Supraventricular couplets", "{couplets}"),
    "n_sv_runs": ObservedValue(
        "Supraventricular runs, {sv_run_beats} beats or more above {sv_run_bpm:g} per minute", "{runs}"
    ),
    "longest_sv_run_s": ObservedValue("Longest supraventricular run", "s"),
    "n_pauses": ObservedValue("Pauses, RR intervals longer than {pause_s:g} s", "{pauses}"),
    "longest_pause_s": ObservedValue("Longest pause", "s"),
    "n_af": ObservedValue("Episodes of atrial fibrillation", "{episodes}"),
    "n_afl": ObservedValue("Episodes of atrial flutter", "{episodes}"),
    "af_burden_pct": ObservedValue("Share of the analysable time in atrial fibrillation or flutter", "%"),
    "longest_af_s": ObservedValue("Longest episode of atrial fibrillation or flutter", "s"),
    "sdnn_ms": ObservedValue("SDNN, standard deviation of normal-to-normal intervals", "ms"),
    "sdann_ms": ObservedValue(
        "SDANN, standard deviation of 5-minute means of normal-to-normal intervals", "ms"
    ),
    "rmssd_ms": ObservedValue("RMSSD of normal-to-normal intervals", "ms"),
}


def require_library() -> None:
    """Check that the library that validates FHIR is installed.

    Raises
    ------
    MissingLibraryError
        If it is not.
    """
    try:
        import fhir.resources.R4B  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingLibraryError(
            f"--fhir: {error.name} is not installed. Run `pip install 'ectopy[fhir]'`."
        ) from error


def write_fhir(
    folder: Path,
    summary: Summary,
    provenance: Mapping[str, object],
    confirmation: Confirmation | None = None,
) -> None:
    """Write ``fhir.json`` after validation against FHIR R4.

    Parameters
    ----------
    folder
        The output folder of the recording.
    summary
        The summary of one recording.
    provenance, confirmation
        As for :func:`ectopy.report.write_outputs`.
    """
    require_library()
    from fhir.resources.R4B.bundle import Bundle

    document = bundle(summary, provenance, confirmation)
    Bundle.model_validate(document)
    (folder / "fhir.json").write_text(
        json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def bundle(
    summary: Summary, provenance: Mapping[str, object], confirmation: Confirmation | None = None
) -> Resource:
    """Build the report and its observations; the same summary has the same ids.

    Parameters
    ----------
    summary
        The summary of one recording.
    provenance, confirmation
        As for :func:`ectopy.report.write_outputs`.

    Returns
    -------
    A Bundle as JSON values.
    """
    patient = summary.recording.analysis.recording.patient
    subject = {"subject": {"reference": _url(provenance, "patient")}} if patient else {}
    observations = [
        observation | _state(confirmation) | subject for observation in _observations(summary, provenance)
    ]
    entries = [
        {"fullUrl": _url(provenance, observation["code"]["coding"][-1]["code"]), "resource": observation}
        for observation in observations
    ]
    report = {
        "resourceType": "DiagnosticReport",
        "identifier": [_identifier(provenance)],
        "status": _state(confirmation)["status"],
        "category": [{"coding": [ELECTROCARDIAC]}],
        "code": {"coding": [EKG_STUDY], "text": _title(confirmation)},
        "result": [{"reference": entry["fullUrl"]} for entry in entries],
        "conclusion": f"{_note(confirmation)} {_rhythm(summary)}Findings: {summary.row['findings']}",
    }
    report |= subject
    if confirmation:
        report |= {
            "issued": confirmation.at,
            "resultsInterpreter": [{"display": f"Reader {confirmation.by}"}],
        }
    entries.insert(0, {"fullUrl": _url(provenance, "report"), "resource": report})
    if patient:
        entries.append({"fullUrl": _url(provenance, "patient"), "resource": _patient(patient)})
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def _patient(patient: PatientHeader) -> Resource:
    """Return the patient, with what is known."""
    known = {
        "identifier": [{"value": patient.identifier}] if patient.identifier else None,
        "name": [{"text": patient.name}] if patient.name else None,
        "gender": patient.sex,
        "birthDate": patient.birth_date,
    }
    return {"resourceType": "Patient"} | {name: value for name, value in known.items() if value}


def _rhythm(summary: Summary) -> str:
    return f"Rhythm: {summary.rhythm}. " if summary.rhythm else ""


def _observations(summary: Summary, provenance: Mapping[str, object]) -> Iterator[Resource]:
    hrv = asdict(summary.hrv)
    values = {**hrv, **summary.stats}
    criteria = asdict(summary.recording.analysis.criteria)
    kinds = {kind.count: ObservedValue(kind.title, "{events}") for kind in KINDS.values()}
    for name, observed in {**kinds, **OBSERVED}.items():
        if values[name] is not None:
            text = observed.text.format_map(criteria)
            if name in hrv and criteria["sveb_in_hrv"]:
                text += ", of supraventricular ectopic beats too"
            yield _observation(name, ObservedValue(text, observed.unit), values[name], provenance)


def _observation(
    name: str, observed: ObservedValue, value: object, provenance: Mapping[str, object]
) -> Resource:
    loinc = [SDNN] if name == "sdnn_ms" else []
    return {
        "resourceType": "Observation",
        "category": [{"coding": [PROCEDURE]}],
        "code": {"coding": [*loinc, {"system": SUMMARY_VALUES, "code": name}], "text": observed.text},
        "valueQuantity": {"value": value, "unit": observed.unit, "system": UCUM, "code": observed.unit},
        "device": {"display": _device(provenance)},
    }


def _state(confirmation: Confirmation | None) -> Resource:
    """Return the status of an observation, with a note that states it as text."""
    return {
        "status": "final" if confirmation else "preliminary",
        "note": [{"text": _note(confirmation)}],
    }


def _note(confirmation: Confirmation | None) -> str:
    return f"{confirmation or 'Automatic, unconfirmed.'} {ADVISORY}"


def _title(confirmation: Confirmation | None) -> str:
    if confirmation:
        return f"Analysis of an electrocardiogram, confirmed by {confirmation.by}"
    return "Automatic analysis of an electrocardiogram, unconfirmed"


def _device(provenance: Mapping[str, object]) -> str:
    versions = provenance["versions"]
    version = f" {versions['ectopy']}" if isinstance(versions, Mapping) else ""
    return f"ectopy{version}, model {provenance['model']}"


def _identifier(provenance: Mapping[str, object]) -> Resource:
    return {"system": "urn:ectopy:input-sha256", "value": str(provenance["input_sha256"])}


def _url(provenance: Mapping[str, object], name: str) -> str:
    """Return an id that depends only on the input, the model, the settings and the name of the resource."""
    decisive = [provenance["input_sha256"], provenance["model_id"], provenance["settings"], name]
    return f"urn:uuid:{uuid5(NAMESPACE_OID, json.dumps(decisive, sort_keys=True))}"
