"""Philips Sierra XML (1.03, 1.04 and later): the waveforms, whole in memory.

As the open-source sierra-ecg-tools read them: limb leads III, aVR, aVL and aVF are stored as what is left
once they are reckoned from I and II.
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

from ectopy.ecg import Recording, UnreadableError
from ectopy.readers.in_memory import Piece, in_memory_recording
from ectopy.readers.lead_names import lead_of
from ectopy.readers.safe_xml import finite, first, local, read_tree, root_name, text_of
from ectopy.readers.sierra.xli import expand
from ectopy.readers.validation import unique_names

SUFFIXES: tuple[str, ...] = ()
_ROOT = "restingecgdata"
_TYPES = {"SierraECG", "PhilipsECG"}
_STANDARD = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
_LIMB = _STANDARD[:6]
_MOST_LEADS = 32
_LARGEST = 2**21
"""Samples a lead; a resting ECG has some thousands."""

Lead = NDArray[np.int64]


class _Waveforms(NamedTuple):
    """What is said of the waveforms; ``microvolts`` a stored unit."""

    fs: float
    microvolts: float
    zero: float
    leads: tuple[str, ...]
    n_samples: int
    compression: str
    stored: bytes


def matches(path: Path, head: bytes, *, fs: float | None = None) -> bool:  # noqa: ARG001
    """Tell by the name of the first element."""
    return root_name(head) == _ROOT


def companion_files(path: Path) -> tuple[Path, ...]:
    """Give the file: it is all there is."""
    return (path,)


def open_recording(path: Path, *, fs: float | None = None) -> Recording:  # noqa: ARG001 - it has a rate
    """Open the waveforms; representative beats are none, and who was recorded is dropped unread."""
    root = read_tree(path)
    if local(root) != _ROOT or text_of(first(root, "documentinfo", "documenttype")) not in _TYPES:
        raise UnreadableError(f"{path}: a document of {' or '.join(sorted(_TYPES))} expected, another came")
    waves = _waveforms(path, root)
    leads = _unpacked(path, waves)
    if waves.leads[:6] == _LIMB and (waves.compression == "XLI" or _is_rest(leads)):
        leads = [*_limb_leads(leads[:6]), *leads[6:]]
    scale = waves.microvolts * 1e-3
    recorded = _without_calibration(np.stack(leads).astype(np.float64))
    pieces = [
        Piece(name, lead, scale, -waves.zero * scale)
        for name, lead in zip(unique_names(waves.leads), recorded, strict=True)
    ]
    return in_memory_recording(path, pieces, fs=waves.fs, start=_start(root))


def _waveforms(path: Path, root: Element) -> _Waveforms:
    about = first(root, "dataacquisition", "signalcharacteristics")
    found = next((element for element in root.iter() if local(element) == "parsedwaveforms"), None)
    if found is None:
        raise UnreadableError(f"{path}: waveforms expected, none came")
    said = (
        {local(element): text_of(element) for element in about if about is not None}
        if about is not None
        else {}
    )
    said |= {name: value for name, value in found.attrib.items() if value.strip()}
    fs = finite(path, said.get("samplespersecond") or said.get("samplingrate"), "sampling rate")
    duration_s = finite(path, said.get("durationperchannel"), "duration") / 1000
    return _Waveforms(
        fs,
        finite(path, said.get("resolution") or said.get("signalresolution"), "resolution"),
        finite(path, said.get("signaloffset") or "0", "offset"),
        _leads(path, said),
        round(max(min(duration_s * fs, _LARGEST), 0)),
        said.get("compressmethod") or said.get("compression") or "Uncompressed",
        _bytes(path, said.get("dataencoding", ""), found.text or ""),
    )


def _leads(path: Path, said: dict[str, str]) -> tuple[str, ...]:
    """Give the names of the leads: those that are listed, else those of the standard twelve."""
    listed = said.get("leadlabels", "").replace(",", " ").split()
    number = finite(
        path, said.get("numberofleads") or said.get("numberchannelsallocated") or str(len(listed)), "leads"
    )
    if not 1 <= number <= _MOST_LEADS or (listed and len(listed) < number):
        raise UnreadableError(f"{path}: 1 to {_MOST_LEADS} leads with names expected, {number:g} came")
    names = listed or [*_STANDARD, *(f"lead {at}" for at in range(13, _MOST_LEADS + 1))]
    return tuple(lead_of(name) or name for name in names[: round(number)])


def _bytes(path: Path, encoding: str, text: str) -> bytes:
    if encoding.casefold() != "base64":
        raise UnreadableError(f"{path}: waveforms in Base64 expected, another encoding came")
    try:
        return b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnreadableError(f"{path}: waveforms in Base64 expected, something else came") from error


def _unpacked(path: Path, waves: _Waveforms) -> list[Lead]:
    """Give the stored numbers of each lead, all of one length."""
    if waves.compression == "XLI":
        leads = expand(path, waves.stored, n_leads=len(waves.leads), most_samples=_LARGEST)
    elif waves.compression.casefold() == "uncompressed":
        flat = np.frombuffer(waves.stored[: len(waves.stored) // 2 * 2], "<i2").astype(np.int64)
        leads = [flat[at * waves.n_samples :][: waves.n_samples] for at in range(len(waves.leads))]
    else:
        raise UnreadableError(f"{path}: waveforms packed by XLI or not at all expected, another way came")
    shortest = min(map(len, leads))
    if shortest < waves.n_samples:
        raise UnreadableError(f"{path}: {waves.n_samples} samples a lead promised, {shortest} came")
    return [lead[: waves.n_samples] for lead in leads]


def _is_rest(leads: list[Lead]) -> bool:
    """Tell whether III is what is left after II - I rather than the lead itself."""
    one, two, three = leads[:3]
    return bool(np.abs(three).sum() < np.abs(two - one - three).sum())


def _limb_leads(stored: list[Lead]) -> list[Lead]:
    """Reckon III, aVR, aVL and aVF from I, II and what is left of them."""
    one, two = stored[:2]
    three = two - one - stored[2]
    avr = -stored[3] - (one + two) // 2
    avl = (one - three) // 2 - stored[4]
    avf = (two + three) // 2 - stored[5]
    return [one, two, three, avr, avl, avf]


def _without_calibration(leads: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take the calibration pulse at the end away: it is the same in all leads, which no heart can do."""
    differing = np.flatnonzero((leads != leads[0]).any(axis=0))
    first = int(differing[-1]) + 1 if len(differing) else 0
    if len(leads) > 1 and 0 < first < leads.shape[1] and np.ptp(leads[0, first:]) > 0:
        leads[:, first:] = np.nan
    return leads


def _start(root: Element) -> datetime | None:
    """Give when the waveforms were acquired, else when the report was made."""
    for name in ("dataacquisition", "reportinfo"):
        found: Any = first(root, name)
        clock = re.fullmatch(r"(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})(\.\d+)?", _date_and_time(found))
        if clock:
            with suppress(ValueError):
                return datetime.fromisoformat(f"{clock[1]} {clock[2]}")
    return None


def _date_and_time(element: Element | None) -> str:
    return f"{element.get('date', '')} {element.get('time', '')}" if element is not None else ""
