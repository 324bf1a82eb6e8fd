"""Read the waveforms of Philips Sierra XML (1.03, 1.04 and later) into memory.

As in the open-source sierra-ecg-tools, limb leads III, aVR, aVL and aVF are stored as the difference to their
value computed from I and II.
"""

import binascii
import re
from base64 import b64decode
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import PatientHeader, Recording, UnreadableError
from ectopy.readers.in_memory import Piece, in_memory_recording
from ectopy.readers.lead_names import lead_of
from ectopy.readers.patients import date_of_digits, patient_header
from ectopy.readers.safe_xml import finite, first, local, read_tree, root_name, text_of
from ectopy.readers.sierra.xli import expand
from ectopy.readers.validation import LEAST_S, unique_names

SUFFIXES: tuple[str, ...] = ()
_ROOT = "restingecgdata"
_TYPES = {"SierraECG", "PhilipsECG"}
_STANDARD = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
_LIMB = _STANDARD[:6]
_MOST_LEADS = 32
_LARGEST = 2**21
"""Maximum number of samples of a lead; a resting ECG has some thousands."""

Lead = NDArray[np.int64]


class _Waveforms(NamedTuple):
    """Waveforms as stored, with their description; ``microvolts`` is the size of a stored unit."""

    fs: float
    microvolts: float
    zero: float
    leads: tuple[str, ...]
    n_samples: int
    compression: str
    stored: bytes


def matches(path: Path, head: bytes, *, fs: float | None = None) -> bool:  # noqa: ARG001
    """Return whether the root element is that of Sierra XML."""
    return root_name(head) == _ROOT


def companion_files(path: Path) -> tuple[Path, ...]:
    """Return the file: a recording is one file."""
    return (path,)


def open_recording(path: Path, *, fs: float | None = None, unit: str | None = None) -> Recording:  # noqa: ARG001 - it has a rate
    """Open the rhythm waveforms, not the representative beats."""
    root = read_tree(path)
    if local(root) != _ROOT or text_of(first(root, "documentinfo", "documenttype")) not in _TYPES:
        raise UnreadableError(
            f"{path}: the document type is neither {' nor '.join(sorted(_TYPES))}. "
            "Export the recording as Philips XML."
        )
    waves = _waveforms(path, root)
    leads = _unpacked(path, waves)
    if waves.leads[:6] == _LIMB and (waves.compression == "XLI" or _are_differences(leads)):
        leads = [*_limb_leads(leads[:6]), *leads[6:]]
    scale = waves.microvolts * 1e-3
    recorded = _without_calibration(np.stack(leads).astype(np.float64))
    pieces = [
        Piece(name, lead, scale, -waves.zero * scale)
        for name, lead in zip(unique_names(waves.leads), recorded, strict=True)
    ]
    n_samples, incomplete = recorded.shape[1], recorded.shape[1] < waves.n_samples
    note = f"the file states {waves.n_samples} samples of a lead, and has {n_samples}, which are read"
    return in_memory_recording(
        *(path, pieces),
        fs=waves.fs,
        start=_start(root),
        notes=(note,) if incomplete else (),
        incomplete=incomplete,
        patient=_patient(root),
    )


def _waveforms(path: Path, root: Element) -> _Waveforms:
    about = first(root, "dataacquisition", "signalcharacteristics")
    waves = next((element for element in root.iter() if local(element) == "parsedwaveforms"), None)
    if waves is None:
        raise UnreadableError(f"{path}: the file has no waveforms. Export it again with the ECG signals.")
    metadata = (
        {local(element): text_of(element) for element in about if about is not None}
        if about is not None
        else {}
    )
    metadata |= {name: value for name, value in waves.attrib.items() if value.strip()}
    fs = finite(path, metadata.get("samplespersecond") or metadata.get("samplingrate"), "sampling rate")
    duration_s = finite(path, metadata.get("durationperchannel"), "duration") / 1000
    return _Waveforms(
        fs,
        finite(path, metadata.get("resolution") or metadata.get("signalresolution"), "resolution"),
        finite(path, metadata.get("signaloffset") or "0", "offset"),
        _leads(path, metadata),
        round(max(min(duration_s * fs, _LARGEST), 0)),
        metadata.get("compressmethod") or metadata.get("compression") or "Uncompressed",
        _bytes(path, metadata.get("dataencoding", ""), waves.text or ""),
    )


def _leads(path: Path, metadata: dict[str, str]) -> tuple[str, ...]:
    """Return the names of the leads: those of the file, else those of the standard 12-lead ECG."""
    listed = metadata.get("leadlabels", "").replace(",", " ").split()
    number = finite(
        path,
        metadata.get("numberofleads") or metadata.get("numberchannelsallocated") or str(len(listed)),
        "leads",
    )
    if not 1 <= number <= _MOST_LEADS or (listed and len(listed) < number):
        raise UnreadableError(
            f"{path}: the file states {number:g} leads, outside 1 to {_MOST_LEADS}, or more than it names. "
            "Export the recording again."
        )
    names = listed or [*_STANDARD, *(f"lead {n}" for n in range(13, _MOST_LEADS + 1))]
    return tuple(lead_of(name) or name for name in names[: round(number)])


def _bytes(path: Path, encoding: str, text: str) -> bytes:
    if encoding.casefold() != "base64":
        raise UnreadableError(
            f"{path}: the waveforms are not encoded in Base64. Export the recording again as Philips XML."
        )
    try:
        return b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnreadableError(
            f"{path}: the Base64 text of the waveforms is damaged. Copy or export the file again."
        ) from error


def _unpacked(path: Path, waves: _Waveforms) -> list[Lead]:
    """Return the stored numbers of each lead, all of the same length."""
    if waves.compression == "XLI":
        leads = expand(path, waves.stored, n_leads=len(waves.leads), most_samples=_LARGEST)
    elif waves.compression.casefold() == "uncompressed":
        flat = np.frombuffer(waves.stored[: len(waves.stored) // 2 * 2], "<i2").astype(np.int64)
        leads = [flat[n * waves.n_samples :][: waves.n_samples] for n in range(len(waves.leads))]
    else:
        raise UnreadableError(
            f"{path}: unknown compression of the waveforms. Export the recording with XLI or uncompressed."
        )
    shortest = min(map(len, leads))
    packed = waves.compression == "XLI"
    if shortest < waves.n_samples and not (packed and shortest >= LEAST_S * waves.fs):
        raise UnreadableError(
            f"{path}: a lead has {shortest} samples, but the file states {waves.n_samples}. "
            "Copy or export the file again."
        )
    return [lead[: min(shortest, waves.n_samples)] for lead in leads]


def _are_differences(leads: list[Lead]) -> bool:
    """Check whether III is stored as the difference to II - I rather than as the lead itself."""
    one, two, three = leads[:3]
    return bool(np.abs(three).sum() < np.abs(two - one - three).sum())


def _limb_leads(stored: list[Lead]) -> list[Lead]:
    """Compute III, aVR, aVL and aVF from I, II and the stored differences."""
    one, two = stored[:2]
    three = two - one - stored[2]
    avr = -stored[3] - (one + two) // 2
    avl = (one - three) // 2 - stored[4]
    avf = (two + three) // 2 - stored[5]
    return [one, two, three, avr, avl, avf]


def _without_calibration(leads: NDArray[np.float64]) -> NDArray[np.float64]:
    """Remove the calibration pulse at the end: unlike any heartbeat, it is equal in all leads."""
    differing = np.flatnonzero((leads != leads[0]).any(axis=0))
    first = int(differing[-1]) + 1 if len(differing) else 0
    if len(leads) > 1 and 0 < first < leads.shape[1] and np.ptp(leads[0, first:]) > 0:
        leads[:, first:] = np.nan
    return leads


def _start(root: Element) -> datetime | None:
    """Return the time of acquisition, else that of the report."""
    for name in ("dataacquisition", "reportinfo"):
        element: Any = first(root, name)
        clock = re.fullmatch(r"(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})(\.\d+)?", _date_and_time(element))
        if clock:
            with suppress(ValueError):
                return datetime.fromisoformat(f"{clock[1]} {clock[2]}")
    return None


def _date_and_time(element: Element | None) -> str:
    return f"{element.get('date', '')} {element.get('time', '')}" if element is not None else ""


def _patient(root: Element) -> PatientHeader | None:
    def text(*names: str) -> str:
        return text_of(first(root, "patient", "generalpatientdata", *names))

    return patient_header(
        name=", ".join(filter(None, (text("name", "lastname"), text("name", "firstname")))),
        identifier=text("patientid"),
        birth_date=date_of_digits(text("age", "dateofbirth").replace("-", "")),
        sex=text("sex"),
    )
