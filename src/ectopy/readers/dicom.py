"""DICOM waveforms (12-lead, ambulatory, general ECG): the groups that hold rhythm, whole in memory."""

import logging
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Recording, UnreadableError
from ectopy.readers.in_memory import Piece, in_memory_recording
from ectopy.readers.lead_names import is_other, lead_of, lead_of_mdc, lead_of_number
from ectopy.readers.validation import millivolts, read_whole, unique_names

logger = logging.getLogger(__name__)

SUFFIXES: tuple[str, ...] = (".dcm", ".dicom")
_WAVEFORM_CLASSES = b"1.2.840.10008.5.1.4.1.1.9."
_ECG_CLASSES = "1.2.840.10008.5.1.4.1.1.9.1."
"""Of which every channel is a lead of ECG; other waveforms are pressures, breathing, sound."""
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_LARGEST = 2**30
# PS3.3 C.10.9: by WaveformSampleInterpretation. MB and AB are sound.
_DTYPES = {"SB": "i1", "UB": "u1", "SS": "i2", "US": "u2", "SL": "i4", "UL": "u4", "SV": "i8", "UV": "u8"}
_NO_RHYTHM = re.compile(r"median|average|template|representative|single", re.IGNORECASE)


class _Group(NamedTuple):
    """One multiplex group: its leads by column, ``stored`` [n_samples, n_channels], and when it begins."""

    fs: float
    start_s: float
    stored: NDArray[Any]
    leads: tuple["_Channel", ...]


class _Channel(NamedTuple):
    column: int
    lead: str
    scale: float
    offset: float
    skew: float
    missing: float | None


def matches(path: Path, head: bytes, *, fs: float | None = None) -> bool:  # noqa: ARG001
    """Tell by the mark of DICOM and a class of waveforms: an image is no recording."""
    return head[128:132] == b"DICM" and _WAVEFORM_CLASSES in head[:2048]


def companion_files(path: Path) -> tuple[Path, ...]:
    """Give the file: it is all there is."""
    return (path,)


def open_recording(path: Path, *, fs: float | None = None) -> Recording:  # noqa: ARG001 - DICOM has a rate
    """Open the rhythm of a file; who was recorded is dropped unread."""
    content = read_whole(path, limit=_LARGEST)
    if content[128:132] == b"DICM" and _DEFLATED in content[:2048]:
        _check_inflated(path, content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # pydicom's remarks on values that are not as the standard has them
            import pydicom

            data = pydicom.dcmread(BytesIO(content))
            groups = _rhythm(path, list(_groups(path, data)))
            start = _start(data)
    except UnreadableError:
        raise
    except (
        Exception
    ) as error:  # pydicom raises whatever comes: struct.error, KeyError, NotImplementedError ...
        raise UnreadableError(f"{path}: a DICOM waveform expected, {type(error).__name__} came") from error
    return in_memory_recording(path, _pieces(groups), fs=groups[0].fs, start=start)


def _check_inflated(path: Path, content: bytes) -> None:
    """Refuse a file that swells beyond all reason: pydicom would inflate it whole."""
    try:
        after_meta = 132 + 12 + int.from_bytes(content[140:144], "little")
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content[after_meta:], _LARGEST)
    except zlib.error as error:
        raise UnreadableError(f"{path}: a deflated DICOM data set expected, something else came") from error
    if len(inflated) >= _LARGEST:
        raise UnreadableError(f"{path}: at most {_LARGEST} bytes expected, more came once inflated")


def _groups(path: Path, data: Any) -> Iterator[tuple[Any, _Group]]:
    """Give each multiplex group that holds leads of ECG, with what the file says of it."""
    if "WaveformSequence" not in data:
        raise UnreadableError(f"{path}: a waveform expected, the file has none")
    for item in data.WaveformSequence:
        n_channels, n_samples = int(item.NumberOfWaveformChannels), int(item.NumberOfWaveformSamples)
        dtype = _dtype(path, item, big_endian=data.original_encoding[1] is False)
        stored = item.WaveformData
        promised = n_channels * n_samples * dtype.itemsize
        if n_channels < 1 or n_samples < 0 or len(stored) < promised:
            raise UnreadableError(f"{path}: {promised} bytes of samples promised, {len(stored)} came")
        if (n_described := len(item.ChannelDefinitionSequence)) != n_channels:
            raise UnreadableError(
                f"{path}: a channel description for each of {n_channels} expected, {n_described} came"
            )
        samples = np.frombuffer(stored, dtype, n_channels * n_samples).reshape(n_samples, n_channels)
        if leads := _channels(item, dtype, only_ecg=str(data.get("SOPClassUID")).startswith(_ECG_CLASSES)):
            offset_s = float(item.get("MultiplexGroupTimeOffset") or 0) / 1000
            yield item, _Group(float(item.SamplingFrequency), offset_s, samples, leads)


def _dtype(path: Path, item: Any, *, big_endian: bool) -> np.dtype[Any]:
    interpretation = str(item.WaveformSampleInterpretation)
    if interpretation not in _DTYPES:
        raise UnreadableError(f"{path}: samples as {', '.join(_DTYPES)} expected, {interpretation[:16]} came")
    dtype = np.dtype(_DTYPES[interpretation])
    if (bits := int(item.WaveformBitsAllocated)) != 8 * dtype.itemsize:
        raise UnreadableError(f"{path}: {8 * dtype.itemsize} bits a sample expected, {bits} came")
    return dtype.newbyteorder(">" if big_endian else "<")


def _channels(item: Any, dtype: np.dtype[Any], *, only_ecg: bool) -> tuple[_Channel, ...]:
    """Describe the channels that are leads of ECG in a unit of voltage."""
    padding = item.get("WaveformPaddingValue")
    missing = (
        float(np.frombuffer(padding, dtype, 1)[0]) if padding and len(padding) >= dtype.itemsize else None
    )
    found = []
    for column, channel in enumerate(item.ChannelDefinitionSequence):
        unit = next(iter(channel.get("ChannelSensitivityUnitsSequence") or ()), None)
        in_mv = millivolts(str(unit.CodeValue)) if unit is not None else None
        lead = _lead(channel, column, only_ecg=only_ecg)
        if lead and in_mv and channel.get("ChannelSensitivity") is not None:
            correction = channel.get("ChannelSensitivityCorrectionFactor")
            scale = float(channel.ChannelSensitivity) * float(1 if correction is None else correction) * in_mv
            offset = float(channel.get("ChannelBaseline") or 0) * in_mv
            found.append(_Channel(column, lead, scale, offset, _skew(channel, item), missing))
    names = unique_names(channel.lead for channel in found)
    return tuple(channel._replace(lead=name) for channel, name in zip(found, names, strict=True))


def _skew(channel: Any, item: Any) -> float:
    """Give how many samples after its group a channel begins."""
    if (in_samples := channel.get("ChannelSampleSkew")) is not None:
        return float(in_samples or 0)
    return float(channel.get("ChannelTimeSkew") or 0) * float(item.SamplingFrequency)


def _lead(channel: Any, column: int, *, only_ecg: bool) -> str | None:
    """Give the lead of a channel by its code, else by its name; None where it is none of ECG."""
    source: Any = next(iter(channel.get("ChannelSourceSequence") or ()), {})
    code, scheme = str(source.get("CodeValue") or ""), str(source.get("CodingSchemeDesignator") or "").upper()
    if known := _lead_of_code(code, scheme):
        return known
    said = [str(source.get("CodeMeaning") or ""), str(channel.get("ChannelLabel") or "")]
    names = [re.sub(r"\([^)]*\)", "", name) for name in said]
    named = next(filter(None, map(lead_of, names)), None)
    return named or (f"lead {column + 1}" if only_ecg and not any(map(is_other, names)) else None)


def _lead_of_code(code: str, scheme: str) -> str | None:
    """Read ``5.6.3-9-2`` (SCPECG), ``2:2``, ``131330`` or ``MDC_ECG_LEAD_II`` (MDC), all of them lead II."""
    if code.upper().startswith("MDC_ECG_"):
        return lead_of_mdc(code.upper())
    if scheme == "SCPECG" and (found := re.fullmatch(r"5\.6\.3-9-(\d{1,3})(-\d+)?", code)):
        return lead_of_number(int(found[1]))
    if scheme == "MDC" and (found := re.fullmatch(r"2:(\d{1,5})", code)):
        return lead_of_number(int(found[1]) % 256)
    if scheme == "MDC" and code.isdigit() and int(code) >> 16 == 2:
        return lead_of_number(int(code) % 256)
    return None


def _rhythm(path: Path, groups: Sequence[tuple[Any, _Group]]) -> list[_Group]:
    """Choose the groups of rhythm, of one rate: no template of a beat, recorded ones before derived."""
    rhythm = [
        (item, group)
        for item, group in groups
        if not _NO_RHYTHM.search(str(item.get("MultiplexGroupLabel") or ""))
    ]
    original = [
        pair for pair in rhythm if str(pair[0].get("WaveformOriginality") or "ORIGINAL") == "ORIGINAL"
    ]
    chosen = [group for _, group in original or rhythm]
    if not chosen:
        raise UnreadableError(f"{path}: a group of ECG leads expected, none came")
    longest = max(chosen, key=lambda group: len(group.stored) / group.fs if group.fs > 0 else 0)
    alike = [group for group in chosen if group is not longest and group.fs == longest.fs]
    if len(chosen) > len(alike) + 1:
        logger.warning("%s: groups of one rate are read, others are not", path)
    return [longest, *alike]


def _pieces(groups: Sequence[_Group]) -> list[Piece]:
    """Lay groups of one rate on one grid of time, which begins with the first of them."""
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
    ]


def _start(data: Any) -> datetime | None:
    """Give when the recording began; a zone, where it is said, changes no clock."""
    moments = (
        data.get("AcquisitionDateTime"),
        *(
            f"{data.get(f'{of}Date') or ''}{data.get(f'{of}Time') or ''}"
            for of in ("Acquisition", "Content", "Study")
        ),
    )
    for moment in moments:
        found = re.match(r"(\d{14})(\.\d{1,6})?", str(moment or ""))
        if found:
            with suppress(ValueError):
                return datetime.strptime(found[1] + (found[2] or ".0"), "%Y%m%d%H%M%S.%f")  # noqa: DTZ007
    return None
