"""Whatever happens to the bytes of a recording: it is read, or it is refused by name; nothing else."""

import re
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import edfio
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from pydicom.uid import DeflatedExplicitVRLittleEndian

from ectopy import annotations as wfdb_annotations
from ectopy import readers
from ectopy.ecg import UnreadableError
from ectopy.readers.ishne import read_annotations
from tests.format_files import (
    aecg,
    aecg_series,
    aecg_set,
    counts,
    dicom_group,
    edf_in_parts,
    edf_signal,
    ishne,
    ishne_annotations,
    limb_leads,
    scp,
    scp_file,
    scp_leads,
    scp_signals,
    sierra,
    two_aecg_leads,
    two_dicom_leads,
    without_sums,
    write_dicom,
    write_edf,
)

REFUSAL = re.compile(r"[^:]+: .+\. [A-Z].+\.", re.DOTALL)
"""Every message names the file, then the problem, then the remedy."""
READ_AT_ONCE = 2000
"""Samples at the beginning and at the end that are read of what opens."""


def edf(path: Path) -> None:
    write_edf(
        path,
        [edf_signal(counts()[:, 0], "ECG II"), edf_signal(counts()[:100, 1], "Resp", fs=25)],
        annotations=(),
    )


def bdf(path: Path) -> None:
    write_edf(path, [edf_signal(counts()[:, 0], "ECG", kind=edfio.BdfSignal)], kind=edfio.Bdf)


def edf_plus_d(path: Path) -> None:
    edf_in_parts(path, counts()[:, 0], [0, 1, 5, 7])


def dicom(path: Path) -> None:
    write_dicom(path, [dicom_group(counts(300), two_dicom_leads())])


def deflated_dicom(path: Path) -> None:
    write_dicom(path, [dicom_group(counts(300), two_dicom_leads())], syntax=DeflatedExplicitVRLittleEndian)


def scp_with_beats() -> bytes:
    """A lead with a table of its own, a reference beat subtracted once, and thinned out around it."""
    codes = [(1, 1, 1, 0, 0), (2, 10, 1, 0, 0b01), (2, 2, 0, 1, 0b11)]
    return scp_file(
        {
            2: struct.pack("<HH", 1, len(codes)) + b"".join(struct.pack("<BBBhI", *code) for code in codes),
            3: scp_leads([(1, 300)], (2,), flags=1),
            4: struct.pack("<HHHHIIIII", 160, 20, 1, 0, 81, 100, 120, 81, 120),
            5: scp_signals([bytes(20)], differences=1),
            6: scp_signals([bytes(100)], differences=2, bimodal=1),
        }
    )


def table(path: Path) -> None:
    parquet.write_table(
        pa.table({"time": np.arange(500) / 250, "II": counts(500)[:, 0] / 100}), path, row_group_size=200
    )


def csv(path: Path) -> None:
    rows = [f"{at / 250:.3f},{value / 100}" for at, value in enumerate(counts(300)[:, 0].tolist())]
    path.write_text("# unit: mV\ntime,II\n" + "\n".join(rows))


def wfdb(path: Path) -> None:
    path.write_text(
        "m/2 2 250 200\nb 100\n~ 100\n"
        if path.stem == "m"
        else "a 2 250 200\na.dat 212 100(5)/mV 12 0 3 7 0 I\na.dat 212 100 12 0 0 0 0 II\n"
    )


WRITERS: dict[str, Callable[[Path], object]] = {
    "a.edf": edf,
    "a.bdf": bdf,
    "d.edf": edf_plus_d,
    "a.ecg": lambda path: path.write_bytes(ishne(counts(300))),
    "a.scp": lambda path: path.write_bytes(scp(counts(300))),
    "b.scp": lambda path: path.write_bytes(scp(counts(300), order=2, coded=True)),
    "c.scp": lambda path: path.write_bytes(without_sums(scp(counts(300), order=2, coded=True))),
    "d.scp": lambda path: path.write_bytes(without_sums(scp_with_beats())),
    "a.dcm": dicom,
    "b.dcm": deflated_dicom,
    "a.xml": lambda path: path.write_text(aecg([aecg_series([aecg_set(two_aecg_leads(counts(300)))])])),
    "b.xml": lambda path: path.write_text(sierra(limb_leads(300))),
    "a.csv": csv,
    "a.parquet": table,
    "a.hea": wfdb,
}


@cache
def content(name: str) -> bytes:
    """Give a sound file of a format, made once."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        WRITERS.get(name, wfdb)(path)
        return path.read_bytes()


@st.composite
def damaged(draw: st.DrawFn, name: str) -> bytes:
    """Overwrite, cut out, double or cut off some bytes, mostly of the first thousand, where headers are."""
    data = bytearray(content(name))
    for _ in range(draw(st.integers(1, 4))):
        limit = draw(st.sampled_from([64, 512, 1200, max(len(data), 1)]))
        at = draw(st.integers(0, max(min(limit, len(data)) - 1, 0)))
        kind = draw(st.sampled_from(["overwrite", "digits", "cut out", "double", "cut off"]))
        length = draw(st.integers(1, 16))
        if kind == "overwrite":
            data[at : at + length] = draw(st.binary(min_size=1, max_size=length))
        elif kind == "digits":  # a number that is still one: the best way past the first check
            text = draw(st.text("0123456789-+.eE na", min_size=1, max_size=8)).encode()
            data[at : at + len(text)] = text
        elif kind == "cut out":
            del data[at : at + length]
        elif kind == "double":
            data[at:at] = data[at : at + length] * draw(st.integers(1, 20))
        else:
            del data[at:]
    return bytes(data)


def read_or_refuse(path: Path) -> None:
    """Read a recording as scoring does; what it gives must be what it promised."""
    try:
        recording = readers.open_recording(path, fs=250)
        n = recording.n_samples
        for start, stop in ((0, min(READ_AT_ONCE, n)), (max(n - READ_AT_ONCE, 0), n)):
            block = recording.read(start, stop)
            assert block.shape == (stop - start, len(recording.leads))
            assert block.dtype == np.float32
        assert 50 <= recording.fs <= 50_000
        assert len(set(recording.leads)) == len(recording.leads)
    except UnreadableError as error:
        refusal = str(error)
    else:
        return
    assert str(path) in refusal or path.stem in refusal
    assert REFUSAL.fullmatch(refusal), refusal


@pytest.mark.parametrize("name", WRITERS)
def test_a_sound_file_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content(name))
    path.with_suffix(".dat").write_bytes(bytes(600))
    recording = readers.open_recording(path)
    assert recording.read(0, recording.n_samples).shape[0] >= 200


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WRITERS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(name: str, data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data.draw(damaged(name)))
        path.with_suffix(".dat").write_bytes(bytes(600))
        readers.is_recording(path)
        read_or_refuse(path)


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=20, deadline=None)
@given(noise=st.binary(max_size=600))
def test_noise_under_any_name_is_read_or_refused(name: str, noise: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(noise)
        readers.is_recording(path)
        read_or_refuse(path)


@settings(max_examples=60, deadline=None)
@given(noise=st.binary(max_size=600), at=st.integers(0, 540))
def test_damaged_annotations_are_read_or_refused(noise: bytes, at: int) -> None:
    sound = ishne_annotations([("N", 100), ("V", 200)])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.ann"
        path.write_bytes(sound[:at] + noise)
        with suppress(UnreadableError):
            found = read_annotations(path)
            assert len(found.sample) == len(found.symbol)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=40, deadline=None)
@given(noise=st.binary(max_size=200), at=st.integers(0, 20))
def test_damaged_wfdb_annotations_are_read_or_refused(noise: bytes, at: int) -> None:
    sound = bytes.fromhex("1270 1c50 640c 03fc 4e4f 5a00 05fc 0000".replace(" ", "")) + bytes(2)
    with TemporaryDirectory() as folder:
        (Path(folder) / "a.atr").write_bytes(sound[:at] + noise)
        with suppress(UnreadableError):
            found = wfdb_annotations.read_annotations(Path(folder) / "a", "atr")
            assert len(found.sample) == len(found.symbol) == len(found.subtype) == len(found.aux)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_header_of_segments_or_of_one_segment_is_read_or_refused(data: st.DataObject) -> None:
    lines = {
        "m.hea": data.draw(damaged("m.hea")) if data.draw(st.booleans()) else content("m.hea"),
        "b.hea": data.draw(damaged("a.hea")).replace(b"a.dat", b"b.dat"),
    }
    with TemporaryDirectory() as folder:
        for name, text in lines.items():
            (Path(folder) / name).write_bytes(text)
        (Path(folder) / "b.dat").write_bytes(bytes(600))
        read_or_refuse(Path(folder) / "m.hea")
