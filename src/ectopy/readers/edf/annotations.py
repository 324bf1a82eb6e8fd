"""Read the texts of the annotation signals of EDF+ and BDF+: the marks of the patient."""

import re
from collections.abc import Iterator

import numpy as np

from ectopy.readers.edf.header import ANNOTATIONS, Header
from ectopy.readers.marks import MOST_CHARACTERS, MOST_MARKS, Moment
from ectopy.readers.validation import read_stored

_READ_BYTES = 2**24
# A list of annotations: its onset, perhaps a duration, and texts that each end with byte 20.
_LIST = re.compile(rb"([+-]\d{1,12}(?:\.\d{0,9})?)(?:\x15[\d.]{0,20})?\x14(.+)", re.DOTALL)
_NO_TEXT = b"\x14\x14"
_OF_PROGRAMS = re.compile(r"recording (starts|ends)|lights (on|off)|sleep stage .*", re.IGNORECASE)
"""Standard texts of EDF+ that no patient gives."""


def read_moments(header: Header, n_records: int, first_onset_s: float) -> list[Moment]:
    """Read the annotations of data records.

    Parameters
    ----------
    header
        Header of the file.
    n_records
        Number of data records to read.
    first_onset_s
        Onset of the first one, in seconds after the start that the header states.

    Returns
    -------
    Times in seconds from the first sample, and texts; at most one more than MOST_MARKS.
    """
    moments: list[Moment] = []
    for onset_s, text in _texts(header, n_records):
        if text and not _OF_PROGRAMS.fullmatch(text):
            moments.append((onset_s - first_onset_s, text))
        if len(moments) > MOST_MARKS:
            break
    return moments


def _texts(header: Header, n_records: int) -> Iterator[tuple[float, str]]:
    for piece in _pieces(header, n_records):
        # Each record has a list without a text, which only states its time.
        for part in re.findall(rb"[^\0]+", piece):
            if part.endswith(_NO_TEXT) and part.count(b"\x14") == 2:
                continue
            if found := _LIST.match(part):
                for text in found[2].split(b"\x14"):
                    yield float(found[1]), text[: 8 * MOST_CHARACTERS].decode(errors="replace").strip()


def _pieces(header: Header, n_records: int) -> Iterator[bytes]:
    """Yield the bytes of all annotation signals, some data records at a time, zeros between them."""
    signals = zip(header.signals, header.places, strict=True)
    places = [place for signal, place in signals if signal.label in ANNOTATIONS]
    step = max(_READ_BYTES // header.record_bytes, 1)
    for first in range(0, n_records if places else 0, step):
        begin, count = header.n_bytes + first * header.record_bytes, min(step, n_records - first)
        if count == 1:
            for place in places:
                size = min(place.stop - place.start, _READ_BYTES)
                yield read_stored(header.path, "u1", first=begin + place.start, count=size).tobytes()
            continue
        raw = read_stored(header.path, "u1", first=begin, count=count * header.record_bytes)
        for place in places:
            rows = raw.reshape(count, -1)[:, place]
            yield np.pad(rows, ((0, 0), (0, 1))).tobytes()
