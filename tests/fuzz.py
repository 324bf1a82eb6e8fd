"""Fuzz a reader for as long as one likes, guided by coverage: ``python -m tests.fuzz edf -max_total_time=600``.

Needs atheris (``pip install atheris``), which the tests do without. What follows the target goes to libFuzzer:
folders of further samples, ``-runs``, ``-max_total_time``. What crashes, hangs or takes too much memory lies in the
working directory afterwards. See docs/security.md.
"""

import resource
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import atheris
import soundfile

with atheris.instrument_imports(include=["ectopy"]):
    from ectopy import readers
    from ectopy.annotations import read_annotations
    from ectopy.datasets.catalogue import FetchError
    from ectopy.datasets.download import read_records
    from ectopy.ecg import UnreadableError
    from ectopy.model.classifier import SHIPPED_MODEL, ModelError, load_classifier
    from ectopy.readers import ishne
    from tests.format_files import counts, ishne_annotations
    from tests.test_readers_fuzz import content, read_or_refuse

PART = b"\0--\0"
"""Between the files of a recording that has several."""
MOST_BYTES, LONGEST_S, MOST_MB = 2**16, 20, 2048


def recording(name: str, *beside: str) -> Callable[[Path, bytes], None]:
    """Fuzz the recording of a file, and of others beside it."""

    def fuzz(folder: Path, data: bytes) -> None:
        for other, part in zip((name, *beside), data.split(PART), strict=False):
            (folder / other).write_bytes(part)
        readers.is_recording(folder / name)
        read_or_refuse(folder / name)

    return fuzz


def wfdb_annotations(folder: Path, data: bytes) -> None:
    (folder / "a.atr").write_bytes(data)
    with suppress(UnreadableError):
        read_annotations(folder / "a", "atr")


def ishne_marks(folder: Path, data: bytes) -> None:
    (folder / "a.ann").write_bytes(data)
    with suppress(UnreadableError):
        ishne.read_annotations(folder / "a.ann")


def records(folder: Path, data: bytes) -> None:
    (folder / "RECORDS").write_bytes(data)
    with suppress(FetchError):
        read_records(folder)


def specification(folder: Path, data: bytes) -> None:
    (folder / "model.json").write_bytes(data)
    if not (folder / "model.onnx").is_file():
        shutil.copy(SHIPPED_MODEL / "model.onnx", folder)
    with suppress(ModelError):
        load_classifier(folder)


def flac() -> tuple[bytes, bytes]:
    packed = BytesIO()
    soundfile.write(packed, counts(200).astype("int16"), 250, format="FLAC", subtype="PCM_16")
    return b"f 2 250 200\nf.dat 516 100 16 0 0 0 0 I\nf.dat 516 100 16 0 0 0 0 II\n", packed.getvalue()


WFDB = "a 2 250 200\na.dat 212 100(5)/mV 12 0 3 7 0 I\na.dat 212 100 12 0 0 0 0 II\n", bytes(600)
SEGMENTS = "m/2 2 250 200\na 100\n~ 100\n", WFDB[0].replace("200\n", "100\n", 1), bytes(600)
TARGETS: dict[str, tuple[Callable[[Path, bytes], None], Callable[[], bytes]]] = {
    "edf": (recording("a.edf"), lambda: content("a.edf")),
    "bdf": (recording("a.bdf"), lambda: content("a.bdf")),
    "edf-d": (recording("d.edf"), lambda: content("d.edf")),
    "ishne": (recording("a.ecg"), lambda: content("a.ecg")),
    "scp": (recording("c.scp"), lambda: content("c.scp")),
    "scp-beats": (recording("d.scp"), lambda: content("d.scp")),
    "dicom": (recording("a.dcm"), lambda: content("a.dcm")),
    "deflated": (recording("b.dcm"), lambda: content("b.dcm")),
    "aecg": (recording("a.xml"), lambda: content("a.xml")),
    "sierra": (recording("b.xml"), lambda: content("b.xml")),
    "csv": (recording("a.csv"), lambda: content("a.csv")),
    "parquet": (recording("a.parquet"), lambda: content("a.parquet")),
    "wfdb": (recording("a.hea", "a.dat"), lambda: WFDB[0].encode() + PART + WFDB[1]),
    "segments": (
        recording("m.hea", "a.hea", "a.dat"),
        lambda: PART.join([SEGMENTS[0].encode(), SEGMENTS[1].encode(), SEGMENTS[2]]),
    ),
    "flac": (recording("f.hea", "f.dat"), lambda: PART.join(flac())),
    "ishne-marks": (ishne_marks, lambda: ishne_annotations([("N", 100), ("V", 200)])),
    "wfdb-marks": (
        wfdb_annotations,
        lambda: bytes.fromhex("12701c50 640c 03fc 4e4f5a00 05fc 0000".replace(" ", "")) + bytes(2),
    ),
    "records": (records, lambda: b"100\n101\n"),
    "specification": (specification, (SHIPPED_MODEL / "model.json").read_bytes),
}


def main() -> None:
    """Fuzz the target that is named first; the rest is libFuzzer's."""
    program, target, *options = sys.argv
    fuzz, sample = TARGETS[target]
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (2 * MOST_MB << 20, -1))
    seeds = Path(tempfile.mkdtemp(prefix=f"fuzz-{target}-"))
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{target}-"))
    (seeds / "sample").write_bytes(sample())
    limits = [f"-max_len={MOST_BYTES}", f"-timeout={LONGEST_S}", f"-rss_limit_mb={MOST_MB}"]
    atheris.Setup([program, *limits, *options, str(seeds)], lambda data: fuzz(folder, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
