"""The samples of a source as a WFDB record, written while they come.

A sample is stored as a whole number of 5 nV, and the analysis gets what is stored. So a recording that is
read again has the same samples, and the same beats.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import numpy as np

from ectopy.ecg import USUAL_MAX_MV, Signal
from ectopy.printable import printable
from ectopy.streaming.sources import StreamSourceError

GAIN = 200_000.0
"""Stored units per mV."""
_MISSING = np.iinfo(np.int32).min
_FORMAT = 32


def as_stored(samples: Signal) -> Signal:
    """Return samples as a record keeps them. What is beyond USUAL_MAX_MV is no ECG, and missing.

    Parameters
    ----------
    samples
        Signal in mV, [n, n_leads].
    """
    whole = np.round(samples.astype(np.float64) * GAIN)
    known = np.abs(samples) <= USUAL_MAX_MV
    return np.where(known, whole / GAIN, np.nan).astype(np.float32)


class Recorder:
    """Write a record; use it as a context manager, at whose end the header states the length.

    ``path`` is the header.

    Parameters
    ----------
    folder
        The folder of the record, which is made.
    name
        Name of the record.
    fs
        Sampling rate in Hz.
    leads
        Names of the leads, as :func:`header_names` returns them.
    """

    def __init__(self, folder: Path, name: str, fs: float, leads: tuple[str, ...]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{name}.hea"
        self._samples_path = folder / f"{name}.dat"
        self._fs = fs
        self.leads = leads
        self._start = datetime.now(UTC).astimezone()
        try:
            self._file = self._samples_path.open("xb")
        except FileExistsError as error:
            raise StreamSourceError(
                f"{self._samples_path}: another stream writes it. Start again, or give another folder."
            ) from error
        self._write_header()  # so that the samples can be read after a crash

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._file.close()
        finally:  # also if the disk is full
            self._write_header()

    def write(self, samples: Signal) -> None:
        """Append samples, [n, n_leads] in mV."""
        known = np.isfinite(samples)
        stored = np.full(samples.shape, _MISSING, dtype="<i4")
        stored[known] = np.round(samples[known].astype(np.float64) * GAIN)
        self._append(stored.tobytes())

    def write_missing(self, n: int) -> None:
        """Append samples that the time stamps show to be missing."""
        for start in range(0, n, 2**20):
            self.write(np.full((min(n - start, 2**20), len(self.leads)), np.nan, dtype=np.float32))

    def _append(self, content: bytes) -> None:
        try:
            self._file.write(content)
            self._file.flush()
        except OSError as error:  # such as of a full disk, which does not name the file
            raise OSError(error.errno, error.strerror, str(self._samples_path)) from error

    def _write_header(self) -> None:
        start = self._start.strftime("%H:%M:%S %d/%m/%Y")
        n = self._samples_path.stat().st_size // (4 * len(self.leads))
        length = f" {n}" if n else ""
        record = f"{self.path.stem} {len(self.leads)} {self._fs:.12g}{length}{f' {start}' if length else ''}"
        leads = [
            f"{self._samples_path.name} {_FORMAT} {GAIN:.0f}(0)/mV 0 0 0 0 0 {lead}" for lead in self.leads
        ]
        self.path.write_text("\n".join((record, *leads, "")), encoding="utf-8")


def header_names(leads: Sequence[str]) -> tuple[str, ...]:
    """Return the names of leads as a header can hold them: one line each, and no digit at the beginning."""
    names: list[str] = []
    for number, lead in enumerate(leads, start=1):
        name = printable(" ".join(lead.split())) or f"lead {number}"
        name = f"lead {name}" if name[0].isdigit() else name
        names.append(f"{name} ({number})" if name in names else name)
    return tuple(names)
