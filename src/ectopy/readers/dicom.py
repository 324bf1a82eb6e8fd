"""Read the rhythm groups of DICOM waveforms (12-lead, ambulatory and general ECG) into memory."""

import math
import re
import warnings
import zlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import PatientHeader, Recording, UnreadableError
from ectopy.readers.in_memory import Piece, in_memory_recording
from ectopy.readers.lead_names import is_other, lead_of, lead_of_mdc, lead_of_number, name_for_notes
from ectopy.readers.patients import date_of_digits, patient_header
from ectopy.readers.validation import (
    LEAST_S,
    LOWEST_16_BIT,
    UNIT_REMEDY,
    check_file_size,
    leave_out,
    may_be_voltage,
    millivolts,
    note_on_unit,
    read_stored,
    scale_problem,
    unique_names,
    unit_problem,
)

SUFFIXES: tuple[str, ...] = (".dcm", ".dicom")
_WAVEFORM_CLASSES = b"1.2.840.10008.5.1.4.1.1.9."
_ECG_CLASSES = "1.2.840.10008.5.1.4.1.1.9.1."
"""Classes whose channels are all ECG leads; other waveforms are pressure, respiration or sound."""
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_LARGEST, _LARGEST_INFLATED = 2**30, 2**28
"""Maximum size of a file in bytes, and of its data once inflated; pydicom keeps that twice."""
_INFLATE_STEP = 2**20
# PS3.3 C.10.9: types by WaveformSampleInterpretation. MB and AB are for sound.
_DTYPES = {"SB": "i1", "UB": "u1", "SS": "i2", "US": "u2", "SL": "i4", "UL": "u4", "SV": "i8", "UV": "u8"}
_NO_RHYTHM = re.compile(r"median|average|template|representative|single", re.IGNORECASE)


class _Group(NamedTuple):
    """Multiplex group: leads by column, samples ``stored`` [n_samples, n_channels], and start in s."""

    fs: float
    start_s: float
    stored: NDArray[Any]
    leads: tuple["_Channel", ...]
    notes: tuple[str, ...]
    incomplete: bool


class _Channel(NamedTuple):
    column: int
    lead: str
    scale: float
    offset: float
    skew: float
    missing: float | None
    name: str
    unit: str
    problem: str


def matches(path: Path, head: bytes, *, fs: float | None = None) -> bool:  # noqa: ARG001
    """Return whether the file is DICOM of a waveform class; an image is not a recording."""
    return head[128:132] == b"DICM" and _WAVEFORM_CLASSES in head[:2048]


def companion_files(path: Path) -> tuple[Path, ...]:
    """Return the file: a recording is one file."""
    return (path,)


def open_recording(path: Path, *, fs: float | None = None, unit: str | None = None) -> Recording:  # noqa: ARG001 - DICOM has a rate
    """Open the rhythm of a file."""
    check_file_size(path, limit=_LARGEST)
    head = bytes(read_stored(path, "u1", first=0, count=min(2048, path.stat().st_size)))
    if head[128:132] == b"DICM" and _DEFLATED in head:
        _check_inflated(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom warns of values that deviate from the standard
            import pydicom

            data = pydicom.dcmread(path)
            groups = _groups(path, data, unit)
            start, patient = _start(data), _patient(data)
    except UnreadableError:
        raise
    except Exception as error:  # pydicom lets many through: struct.error, KeyError, NotImplementedError ...
        raise UnreadableError(
            f"{path}: cannot read the DICOM waveform. Copy or export the file again."
        ) from error
    incomplete = any(group.incomplete for group in groups)
    if incomplete and all(len(group.stored) < LEAST_S * group.fs for group in groups):
        raise UnreadableError(
            f"{path}: {'; '.join(note for group in groups for note in group.notes)}. "
            "Copy or export the complete file again."
        )
    channels = [channel for group in groups for channel in group.leads]
    _, left_out = leave_out(
        path, [(channel.name, channel.problem) for channel in channels], remedy=UNIT_REMEDY
    )
    recorded = [(channel.name, channel.unit) for channel in channels if not channel.problem]
    of_groups = [note for group in groups for note in group.notes]
    return in_memory_recording(
        path,
        _pieces(groups),
        fs=groups[0].fs,
        start=start,
        notes=(*left_out, *note_on_unit(recorded, unit), *of_groups),
        incomplete=incomplete,
        patient=patient,
    )


def _check_inflated(path: Path) -> None:
    """Check the size of a deflated file once inflated, as pydicom would inflate all of it."""
    inflated, inflater = 0, zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        with path.open("rb") as file:
            file.seek(140)
            file.seek(132 + 12 + int.from_bytes(file.read(4), "little"))
            while not inflater.eof and inflated <= _LARGEST_INFLATED:
                packed = inflater.unconsumed_tail or file.read(_INFLATE_STEP)
                if not packed:
                    break
                inflated += len(inflater.decompress(packed, _INFLATE_STEP))
    except zlib.error as error:
        raise UnreadableError(
            f"{path}: the deflated DICOM data is damaged. Copy or export the file again."
        ) from error
    if inflated > _LARGEST_INFLATED:
        raise UnreadableError(
            f"{path}: the inflated file exceeds the limit of {_LARGEST_INFLATED} bytes. "
            "Split the recording into shorter files, or export it without compression."
        )


def _groups(path: Path, data: Any, unit: str | None) -> list[_Group]:
    """Return the rhythm groups; another group that cannot be read is left out with a note."""
    if "WaveformSequence" not in data:
        raise UnreadableError(f"{path}: the file has no waveform. Export the ECG as a DICOM waveform object.")
    groups, errors = [], []
    for item in data.WaveformSequence:
        try:
            group = _group(path, data, item, unit)
            groups += [(item, group)] if group.leads else []
        except Exception as error:  # noqa: BLE001 - as in open_recording
            errors.append(error)
    try:
        first, *others = _rhythm(path, groups)
    except UnreadableError:
        if errors:
            raise errors[0] from None
        raise
    note = (f"{len(errors)} of {len(data.WaveformSequence)} waveforms cannot be read and are left out",)
    return [first._replace(notes=(*first.notes, *(note if errors else ()))), *others]


def _group(path: Path, data: Any, item: Any, unit: str | None) -> _Group:
    """Return the group of an item of the DICOM sequence."""
    n_channels, n_stated = int(item.NumberOfWaveformChannels), int(item.NumberOfWaveformSamples)
    n_described = len(item.ChannelDefinitionSequence)
    if n_channels < 1 or n_described != n_channels:
        raise UnreadableError(
            f"{path}: a waveform has {n_channels} channels, but describes {n_described}. "
            "Export the recording again."
        )
    dtype = _dtype(path, item, big_endian=data.original_encoding[1] is False)
    n_samples = _n_samples(item, n_stated, n_channels * dtype.itemsize)
    only_ecg = str(data.get("SOPClassUID")).startswith(_ECG_CLASSES)
    samples = np.frombuffer(item.WaveformData, dtype, n_channels * n_samples)
    note = f"the file states {n_stated} samples of a waveform, and has {n_samples}"
    return _Group(
        float(item.SamplingFrequency),
        float(item.get("MultiplexGroupTimeOffset") or 0) / 1000,
        samples.reshape(n_samples, n_channels),
        _channels(item, dtype, only_ecg=only_ecg, unit=unit),
        (note,) if n_samples != n_stated else (),
        incomplete=n_samples < n_stated,
    )


def _n_samples(item: Any, n_stated: int, frame_bytes: int) -> int:
    """Return the number of whole samples of a waveform; a last byte may only make its length even."""
    size = len(item.WaveformData)
    return (size - (size - n_stated * frame_bytes == 1)) // frame_bytes


def _dtype(path: Path, item: Any, *, big_endian: bool) -> np.dtype[Any]:
    interpretation = str(item.WaveformSampleInterpretation)
    if interpretation not in _DTYPES:
        raise UnreadableError(
            f"{path}: unsupported sample type. Export the samples as one of {', '.join(_DTYPES)}."
        )
    dtype = np.dtype(_DTYPES[interpretation])
    if (bits := int(item.WaveformBitsAllocated)) != 8 * dtype.itemsize:
        raise UnreadableError(
            f"{path}: {bits} bits per sample do not fit the sample type {interpretation}. "
            "Export the recording again."
        )
    return dtype.newbyteorder(">" if big_endian else "<")


def _channels(item: Any, dtype: np.dtype[Any], *, only_ecg: bool, unit: str | None) -> tuple[_Channel, ...]:
    """Return the channels that are ECG leads in a unit of voltage, or in one that is missing or unknown."""
    padding = item.get("WaveformPaddingValue")
    missing: float | None = LOWEST_16_BIT if dtype.newbyteorder("=") == np.int16 else None
    if padding and len(padding) >= dtype.itemsize:
        missing = float(np.frombuffer(padding, dtype, 1)[0])
    channels = []
    for column, channel in enumerate(item.ChannelDefinitionSequence):
        units = next(iter(channel.get("ChannelSensitivityUnitsSequence") or ()), None)
        stated = str(units.get("CodeValue") or "") if units is not None else ""
        lead = _lead(channel, column, only_ecg=only_ecg)
        if lead and may_be_voltage(stated):
            in_mv = millivolts(stated, unit)
            sensitivity, offset = _calibration(channel)
            channels.append(
                _Channel(
                    column,
                    lead,
                    sensitivity * (in_mv or 1),
                    offset * (in_mv or 1),
                    _skew(channel, item),
                    missing,
                    name_for_notes(lead, column + 1),
                    stated,
                    _problem(sensitivity, stated, in_mv),
                )
            )
    names = unique_names(channel.lead for channel in channels)
    return tuple(channel._replace(lead=name) for channel, name in zip(channels, names, strict=True))


def _problem(sensitivity: float, unit: str, in_mv: float | None) -> str:
    """Return why a channel cannot be used; nothing if it can."""
    if in_mv is None:
        return unit_problem(unit)
    return "it has no sensitivity" if scale_problem(sensitivity) else ""


def _calibration(channel: Any) -> tuple[float, float]:
    """Return sensitivity and baseline of a channel; NaN if one is missing or no number."""
    with suppress(AttributeError, ValueError, TypeError, OverflowError):
        correction = channel.get("ChannelSensitivityCorrectionFactor")
        sensitivity = float(channel.ChannelSensitivity) * float(1 if correction is None else correction)
        return sensitivity, float(channel.get("ChannelBaseline") or 0)
    return math.nan, math.nan


def _skew(channel: Any, item: Any) -> float:
    """Return by how many samples a channel starts after its group."""
    if (in_samples := channel.get("ChannelSampleSkew")) is not None:
        return float(in_samples or 0)
    return float(channel.get("ChannelTimeSkew") or 0) * float(item.SamplingFrequency)


def _lead(channel: Any, column: int, *, only_ecg: bool) -> str | None:
    """Return the lead of a channel by its code, else by its name; None if it is not an ECG lead."""
    source: Any = next(iter(channel.get("ChannelSourceSequence") or ()), {})
    code, scheme = str(source.get("CodeValue") or ""), str(source.get("CodingSchemeDesignator") or "").upper()
    if lead := _lead_of_code(code, scheme):
        return lead
    labels = [str(source.get("CodeMeaning") or ""), str(channel.get("ChannelLabel") or "")]
    names = [re.sub(r"\([^)]*\)", "", name) for name in labels]
    named = next(filter(None, map(lead_of, names)), None)
    return named or (f"lead {column + 1}" if only_ecg and not any(map(is_other, names)) else None)


def _lead_of_code(code: str, scheme: str) -> str | None:
    """Return the lead of a code; lead II is ``5.6.3-9-2`` (SCPECG), ``2:2``, ``131330`` or a name (MDC)."""
    if code.upper().startswith("MDC_ECG_"):
        return lead_of_mdc(code.upper())
    if scheme == "SCPECG" and (match := re.fullmatch(r"5\.6\.3-9-(\d{1,3})(-\d+)?", code)):
        return lead_of_number(int(match[1]))
    if scheme == "MDC" and (match := re.fullmatch(r"2:(\d{1,5})", code)):
        return lead_of_number(int(match[1]) % 256)
    if scheme == "MDC" and code.isdigit() and int(code) >> 16 == 2:
        return lead_of_number(int(code) % 256)
    return None


def _rhythm(path: Path, groups: Sequence[tuple[Any, _Group]]) -> list[_Group]:
    """Return the rhythm groups of one rate, without beat templates; original ones before derived ones."""
    rhythm = [
        (item, group)
        for item, group in groups
        if not _NO_RHYTHM.search(str(item.get("MultiplexGroupLabel") or ""))
    ]
    original = [
        pair for pair in rhythm if str(pair[0].get("WaveformOriginality") or "ORIGINAL") == "ORIGINAL"
    ]
    readable = [group for _, group in original or rhythm if not all(lead.problem for lead in group.leads)]
    chosen = readable or [group for _, group in original or rhythm]
    if not chosen:
        raise UnreadableError(
            f"{path}: no waveform with ECG leads in a unit of voltage. Export the recording with its rhythm."
        )
    longest = max(chosen, key=lambda group: len(group.stored) / group.fs if group.fs > 0 else 0)
    alike = [group for group in chosen if group is not longest and group.fs == longest.fs]
    if len(chosen) > len(alike) + 1:
        longest = longest._replace(notes=(*longest.notes, "waveforms of another sampling rate are left out"))
    if any(_repeats(group, other) for group, other in combinations([longest, *alike], 2)):
        longest = longest._replace(notes=(*longest.notes, "a second waveform of a lead and time is left out"))
    return [longest, *alike]


def _repeats(group: _Group, other: _Group) -> bool:
    """Return whether two groups of one rate have a lead in common and begin at the same time."""
    common = {channel.lead for channel in group.leads} & {channel.lead for channel in other.leads}
    return bool(common) and group.start_s == other.start_s


def _pieces(groups: Sequence[_Group]) -> list[Piece]:
    """Place groups of one rate on a common time grid, which starts with the first group."""
    origin = min(group.start_s for group in groups)
    return [
        Piece(
            channel.lead,
            group.stored[:, channel.column],
            channel.scale,
            channel.offset,
            start=max(round((group.start_s - origin) * group.fs + channel.skew), 0),
            missing=channel.missing,
        )
        for group in groups
        for channel in group.leads
        if not channel.problem
    ]


def _start(data: Any) -> datetime | None:
    """Return local date and time of the start; a time zone is ignored."""
    moments = (
        data.get("AcquisitionDateTime"),
        *(
            f"{data.get(f'{event}Date') or ''}{data.get(f'{event}Time') or ''}"
            for event in ("Acquisition", "Content", "Study")
        ),
    )
    for moment in moments:
        match = re.match(r"(\d{14})(\.\d{1,6})?", str(moment or ""))
        if match:
            with suppress(ValueError):
                return datetime.strptime(match[1] + (match[2] or ".0"), "%Y%m%d%H%M%S.%f")  # noqa: DTZ007
    return None


def _patient(data: Any) -> PatientHeader | None:
    """Return who was recorded; nobody where pydicom cannot decode it."""
    try:
        return _stated_patient(data)
    except Exception:  # noqa: BLE001 - pydicom lets many through; the recording can be read without it
        return None


def _stated_patient(data: Any) -> PatientHeader | None:
    """Return who was recorded; a name is FAMILY^GIVEN, perhaps with other writings after ``=``."""

    def text(name: str) -> str:
        return str(data.get(name) or "")

    family, _, given = text("PatientName").partition("=")[0].partition("^")
    indications = map(text, ("ReasonForTheRequestedProcedure", "ReasonForStudy"))
    return patient_header(
        name=", ".join(filter(None, (family.strip(), given.replace("^", " ").strip()))),
        identifier=text("PatientID"),
        birth_date=date_of_digits(text("PatientBirthDate")),
        sex=text("PatientSex"),
        indication=next(filter(None, indications), ""),
        recorder=" ".join(filter(None, map(text, ("Manufacturer", "ManufacturerModelName")))),
    )
