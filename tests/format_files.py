"""Tiny recordings of every format with known numbers, written apart from the readers that they test."""

import base64
import struct
from binascii import crc_hqx
from datetime import date, datetime, time
from pathlib import Path

import edfio
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

Counts = NDArray[np.int64]
TWELVE = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def counts(n_samples: int = 1000, n_leads: int = 2, *, seed: int = 7, limit: int = 300) -> Counts:
    """Smooth numbers, no two leads alike, so that a shift, a swap or a wrong sign shows."""
    steps = np.random.default_rng(seed).integers(-9, 10, (n_samples, n_leads)).cumsum(axis=0)
    return steps % limit - limit // 2


# EDF


def edf_signal(
    stored: Counts,
    label: str,
    *,
    fs: float = 250,
    unit: str = "uV",
    kind: type = edfio.EdfSignal,
    **more: object,
):
    """One signal whose stored numbers are its values in ``unit``."""
    full = (-(2**15), 2**15 - 1) if kind is edfio.EdfSignal else (-(2**23), 2**23 - 1)
    return kind(
        stored.astype(np.float64),
        fs,
        label=label,
        physical_dimension=unit,
        physical_range=full,
        digital_range=full,
        **more,
    )


def write_edf(path: Path, signals: list, *, kind: type = edfio.Edf, **more: object) -> Path:
    options = {
        "recording": edfio.Recording(startdate=date(2024, 2, 29)),
        "starttime": time(23, 59, 58),
        "data_record_duration": 1,
    }
    kind(signals, **(options | more)).write(path)
    return path


def patch(path: Path, at: int, field: str) -> Path:
    """Write a text over a header's field."""
    content = bytearray(path.read_bytes())
    content[at : at + len(field)] = field.encode("latin-1")
    path.write_bytes(content)
    return path


def edf_in_parts(path: Path, stored: Counts, onsets: list[float], *, per_record: int = 250) -> Path:
    """EDF+D by hand: a record of 1 s at each onset, one lead in uV and the annotations that say when."""
    labels = [("ECG", "uV", per_record), ("EDF Annotations", "", 20)]
    fields = [
        [label.ljust(16) for label, _, _ in labels],
        [" " * 80] * 2,
        [unit.ljust(8) for _, unit, _ in labels],
        ["-32768  "] * 2,
        ["32767   "] * 2,
        ["-32768  "] * 2,
        ["32767   "] * 2,
        [" " * 80] * 2,
        [str(n).ljust(8) for _, _, n in labels],
        [" " * 32] * 2,
    ]
    fixed = f"{'0':8}{'X X X X':80}{'Startdate 01-JAN-2024 X X X':80}01.01.2400.00.00{768:<8}{'EDF+D':44}{len(onsets):<8}{1:<8}{2:<4}"
    content = (fixed + "".join("".join(field) for field in fields)).encode("ascii")
    for number, onset in enumerate(onsets):
        part = stored[number * per_record : (number + 1) * per_record]
        content += part.astype("<i2").tobytes() + f"+{onset:.10g}\x14\x14\x00".encode().ljust(40, b"\0")
    path.write_bytes(content)
    return path


# ISHNE


def ishne(
    stored: Counts,
    *,
    fs: int = 200,
    codes: tuple[int, ...] = (6, 11),
    nanovolts: int = 5000,
    n_said: int | None = None,
    variable: bytes = b"",
    day: tuple[int, int, int] = (29, 2, 2024),
    clock: tuple[int, int, int] = (23, 59, 58),
) -> bytes:
    n_leads = stored.shape[1]
    header = bytearray(522)
    header[:8] = b"ISHNE1.0"
    said = len(stored) if n_said is None else n_said
    struct.pack_into("<4ih", header, 10, len(variable), said, 522, 522 + len(variable), 1)
    header[28:36] = b"Jane Doe"
    struct.pack_into("<3h", header, 138, *day)
    struct.pack_into("<3h", header, 150, *clock)
    padded = [*codes, *[-9] * 12][:12]
    struct.pack_into("<13h", header, 156, n_leads, *padded)
    struct.pack_into("<12h", header, 206, *[nanovolts if at < n_leads else -9 for at in range(12)])
    struct.pack_into("<h", header, 272, fs)
    struct.pack_into("<H", header, 8, crc_hqx(bytes(header[10:]) + variable, 0xFFFF))
    return bytes(header) + variable + stored.astype("<i2").tobytes()


def ishne_annotations(marks: list[tuple[str, int]], *, first: int = 0) -> bytes:
    """An annotation file: labels, each with its samples since the one before."""
    header = bytearray(ishne(np.zeros((1, 2), dtype=np.int64))[:522])
    header[:8] = b"ANN  1.0"
    return (
        bytes(header)
        + struct.pack("<i", first)
        + b"".join(struct.pack("<ccH", label.encode(), b"#", interval) for label, interval in marks)
    )


# SCP-ECG


def scp_section(number: int, data: bytes, *, reserved: bytes = b"") -> bytes:
    data += b"\0" * (len(data) % 2)
    body = struct.pack("<HIBB6s", number, len(data) + 16, 20, 20, reserved) + data
    return struct.pack("<H", crc_hqx(body, 0xFFFF)) + body


def scp_file(sections: dict[int, bytes]) -> bytes:
    """Put sections together, with their pointers and check sums."""
    numbers = sorted({*range(12), *sections})
    made = {number: scp_section(number, data) for number, data in sections.items()}
    n_pointers = 16 + 10 * len(numbers)
    at, pointers = 7 + n_pointers, struct.pack("<HII", 0, n_pointers, 7)
    for number in numbers[1:]:
        length = len(made.get(number, b""))
        pointers += struct.pack("<HII", number, length, at if length else 0)
        at += length
    body = scp_section(0, pointers, reserved=b"SCPECG") + b"".join(made[number] for number in sorted(made))
    content = struct.pack("<I", len(body) + 6) + body
    return struct.pack("<H", crc_hqx(content, 0xFFFF)) + content


def without_sums(content: bytes) -> bytes:
    """Say of no section what its check sum is, as some programs do: damage gets as far as it can."""
    changed = bytearray(content)
    for at in range(22, 6 + struct.unpack_from("<I", content, 10)[0], 10):
        length, index = struct.unpack_from("<II", content, at + 2)
        if length:
            changed[index - 1 : index + 1] = b"\0\0"
    return bytes(changed)


def scp_about(moment: datetime = datetime(2024, 2, 29, 23, 59, 58)) -> bytes:  # noqa: DTZ001
    tags = [
        (0, b"Doe\0"),
        (25, struct.pack("<HBB", moment.year, moment.month, moment.day)),
        (26, bytes((moment.hour, moment.minute, moment.second))),
        (255, b""),
    ]
    return b"".join(struct.pack("<BH", tag, len(value)) + value for tag, value in tags)


def scp_leads(spans: list[tuple[int, int]], ids: tuple[int, ...], *, flags: int = 0) -> bytes:
    return bytes((len(ids), flags)) + b"".join(
        struct.pack("<IIB", first, last, number) for (first, last), number in zip(spans, ids, strict=True)
    )


def scp_signals(
    leads: list[bytes],
    *,
    nanovolts: int = 5000,
    interval_us: int = 4000,
    differences: int = 0,
    bimodal: int = 0,
) -> bytes:
    """Section 5 or 6."""
    lengths = struct.pack(f"<{len(leads)}H", *map(len, leads))
    return struct.pack("<HHBB", nanovolts, interval_us, differences, bimodal) + lengths + b"".join(leads)


def plain(lead: Counts) -> bytes:
    return lead.astype("<i2").tobytes()


def differences(lead: Counts, order: int) -> Counts:
    """First or second differences; before them stand as many samples as they are."""
    for _ in range(order):
        lead = np.concatenate((lead[:1], np.diff(lead)))
    if order == 2:
        lead[1] += 2 * lead[0]  # the second sample stands as it is, too
    return lead


def huffman(lead: Counts) -> bytes:
    """Code numbers by the default table of EN 1064: n ones, a zero, the sign; or 8 or 16 bits as they are."""
    bits = []
    for number in lead.tolist():
        if number == 0:
            bits.append("0")
        elif abs(number) <= 8:
            bits.append("1" * abs(number) + "0" + ("1" if number < 0 else "0"))
        elif -128 <= number <= 127:
            bits.append("1111111110" + f"{number & 0xFF:08b}")
        else:
            bits.append("1111111111" + f"{number & 0xFFFF:016b}")
    joined = "".join(bits)
    joined += "0" * (-len(joined) % 16)
    return int(joined, 2).to_bytes(len(joined) // 8, "big")


def scp(
    stored: Counts, *, ids: tuple[int, ...] = (1, 2), order: int = 0, coded: bool = False, **more: int
) -> bytes:
    """A whole file of leads that were recorded together."""
    steps = [differences(stored[:, at], order) for at in range(stored.shape[1])]
    leads = [huffman(step) if coded else plain(step) for step in steps]
    sections = {
        1: scp_about(),
        3: scp_leads([(1, len(stored))] * len(ids), ids, flags=4 | len(ids) << 3),
        6: scp_signals(leads, differences=order, **more),
    }
    return scp_file(sections | ({2: struct.pack("<H", 19999)} if coded else {}))


# DICOM


def dicom_channel(number: int = 0, *, code: str = "5.6.3-9-1", scheme: str = "SCPECG", meaning: str = "Lead", unit: str = "uV",
                  sensitivity: float = 5.0, **more: object) -> Dataset:  # fmt: skip
    channel, source, units = Dataset(), Dataset(), Dataset()
    source.CodeValue, source.CodingSchemeDesignator, source.CodeMeaning = code, scheme, meaning
    units.CodeValue, units.CodingSchemeDesignator, units.CodeMeaning = unit, "UCUM", unit
    channel.WaveformChannelNumber = number + 1
    channel.ChannelSourceSequence = Sequence([source])
    channel.ChannelSensitivity = sensitivity
    channel.ChannelSensitivityUnitsSequence = Sequence([units])
    channel.ChannelSensitivityCorrectionFactor = 1
    channel.ChannelBaseline = 0
    channel.ChannelSampleSkew = 0
    channel.WaveformBitsStored = 16
    for name, value in more.items():
        setattr(channel, name, value)
    return channel


def dicom_group(stored: Counts, channels: list[Dataset], *, fs: float = 500, label: str = "RHYTHM", dtype: str = "<i2",
                interpretation: str = "SS", **more: object) -> Dataset:  # fmt: skip
    group = Dataset()
    group.WaveformOriginality = "ORIGINAL"
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = len(channels), len(stored)
    group.SamplingFrequency = fs
    group.MultiplexGroupLabel = label
    group.ChannelDefinitionSequence = Sequence(channels)
    group.WaveformBitsAllocated = 8 * np.dtype(dtype).itemsize
    group.WaveformSampleInterpretation = interpretation
    group.WaveformData = stored.astype(dtype).tobytes()
    for name, value in more.items():
        setattr(group, name, value)
    return group


def write_dicom(path: Path, groups: list[Dataset], *, sop_class: str = "1.2.840.10008.5.1.4.1.1.9.1.1",
                syntax: str = ExplicitVRLittleEndian, **more: object) -> Path:  # fmt: skip
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.UID(sop_class)
    meta.MediaStorageSOPInstanceUID = pydicom.uid.UID("1.2.3.4")
    meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.PatientName = "Doe^Jane"
    data.AcquisitionDateTime = "20240229235958.5+0100"
    data.WaveformSequence = Sequence(groups)
    for name, value in more.items():
        setattr(data, name, value)
    data.set_original_encoding(meta.TransferSyntaxUID.is_implicit_VR, meta.TransferSyntaxUID.is_little_endian)
    data.save_as(path, enforce_file_format=True)
    return path


def two_dicom_leads(**more: object) -> list[Dataset]:
    return [dicom_channel(at, code=f"5.6.3-9-{at + 1}", **more) for at in range(2)]


# XML


def aecg_lead(code: str, digits: Counts, *, scale: str = "5", unit: str = "uV", origin: str = "0") -> str:
    return (
        f'<component><sequence><code code="{code}"/><value xsi:type="SLIST_PQ"><origin value="{origin}" unit="{unit}"/>'
        f'<scale value="{scale}" unit="{unit}"/><digits>{" ".join(map(str, digits.tolist()))}</digits></value>'
        "</sequence></component>"
    )


def aecg_set(
    leads: list[str], *, head: str = '<head value="20240229235958.5"/>', step: str = "0.002", unit: str = "s"
) -> str:
    return (
        '<component><sequenceSet><component><sequence><code code="TIME_ABSOLUTE"/><value xsi:type="GLIST_TS">'
        f'{head}<increment value="{step}" unit="{unit}"/></value></sequence></component>{"".join(leads)}</sequenceSet></component>'
    )


def aecg_series(sets: list[str], *, code: str = "RHYTHM", derived: str = "") -> str:
    return (
        f'<component><series><code code="{code}"/><effectiveTime><low value="20240229235958"/></effectiveTime>'
        f"{''.join(sets)}<derivation><derivedSeries>{derived}</derivedSeries></derivation></series></component>"
    )


def aecg(series: list[str]) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!-- made for a test -->\n'
        '<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<name>Jane Doe</name>{''.join(series)}</AnnotatedECG>"
    )


def two_aecg_leads(stored: Counts) -> list[str]:
    return [aecg_lead("MDC_ECG_LEAD_I", stored[:, 0]), aecg_lead("MDC_ECG_LEAD_AVR", stored[:, 1])]


def lzw(data: bytes) -> bytes:
    """Pack by LZW with codes of ten bits, none beyond 1022, and all ones as the end."""
    codes = {bytes((byte,)): byte for byte in range(256)}
    bits, current = [], b""
    for byte in data:
        longer = current + bytes((byte,))
        if longer in codes:
            current = longer
            continue
        bits.append(f"{codes[current]:010b}")
        if len(codes) <= 1022:
            codes[longer] = len(codes)
        current = bytes((byte,))
    joined = "".join([*bits, f"{codes[current]:010b}" if current else "", "1" * 10])
    joined += "0" * (-len(joined) % 8)
    return int(joined, 2).to_bytes(len(joined) // 8, "big")


def xli(lead: Counts) -> bytes:
    """Pack one lead: the first two samples, then how far a straight line misses each, 64 too high."""
    missed = 2 * lead[1:-1] - lead[:-2] - lead[2:]
    stored = np.concatenate((lead[:2], missed[1:] + 64, [64])).astype(">i2").tobytes()
    packed = lzw(stored[::2] + stored[1::2])
    return struct.pack("<ihh", len(packed), 0, int(missed[0])) + packed


def rest_of_limb_leads(leads: Counts) -> Counts:
    """Leave of III, aVR, aVL and aVF what cannot be reckoned from I and II."""
    one, two, three = leads[:, 0], leads[:, 1], leads[:, 2]
    rest = leads.copy()
    rest[:, 2] = two - one - three
    rest[:, 3] = -leads[:, 3] - (one + two) // 2
    rest[:, 4] = (one - three) // 2 - leads[:, 4]
    rest[:, 5] = (two + three) // 2 - leads[:, 5]
    return rest


def sierra(leads: Counts, *, compressed: bool = True, rest: bool = True, version: str = "1.04", kind: str = "PhilipsECG",
           names: tuple[str, ...] = TWELVE, duration_ms: int | None = None, **said: str) -> str:  # fmt: skip
    """A document of 500 Hz and 5 uV a unit."""
    stored = rest_of_limb_leads(leads) if rest else leads
    packed = b"".join(map(xli, stored.T)) if compressed else stored.T.astype("<i2").tobytes()
    attributes = {
        "dataencoding": "Base64",
        "compression": "XLI" if compressed else "Uncompressed",
        "numberofleads": str(len(names)),
        "leadlabels": " ".join(names),
        "durationperchannel": str(2 * len(leads) if duration_ms is None else duration_ms),
    } | said
    listed = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return (
        '<?xml version="1.0" encoding="UTF-8"?><restingecgdata xmlns="http://www3.medical.philips.com">'
        f"<documentinfo><documenttype>{kind}</documenttype><documentversion>{version}</documentversion></documentinfo>"
        '<dataacquisition date="2024-02-29" time="23:59:58"><signalcharacteristics><samplingrate>500</samplingrate>'
        "<resolution>5</resolution><signaloffset>0</signaloffset><acquisitiontype>STD-12</acquisitiontype>"
        f"<numberchannelsallocated>{len(names)}</numberchannelsallocated></signalcharacteristics></dataacquisition>"
        f"<waveforms><parsedwaveforms {listed}>{base64.encodebytes(packed).decode()}</parsedwaveforms></waveforms>"
        "</restingecgdata>"
    )


def limb_leads(n_samples: int = 600) -> Counts:
    """Twelve leads of which III, aVR, aVL and aVF nearly follow from I and II, as of a true body."""
    leads = counts(n_samples, 12)
    one, two = leads[:, 0], leads[:, 1]
    leads[:, 2] = two - one
    leads[:, 3] = -(one + two) // 2
    leads[:, 4] = (2 * one - two) // 2
    leads[:, 5] = (2 * two - one) // 2
    return leads
