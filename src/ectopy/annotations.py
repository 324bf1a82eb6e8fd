"""WFDB annotation files, read and written; wfdb, and pandas with it, is imported when one is read."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Labels, Samples, UnreadableError

# Codes of ecgcodes.h; 15 and 17 stand for nothing.
_SYMBOLS = ' NLRaVFJASEj/Q~\0|\0sT*D"=pB^t+u?![]en@xf()r'
CODES = {symbol: code for code, symbol in enumerate(_SYMBOLS) if symbol != "\0"}
"""Number of each symbol of a mark, after ecgcodes.h of WFDB."""
_SKIP, _SUBTYPE, _AUX = 59, 61, 63
_MOST_GAP, _MOST_SKIP, _MOST_TEXT = 2**10 - 1, 2**31 - 1, 2**8 - 1
_END_OF_HEAD = bytes((0, _SKIP << 2, *4 * (255,), 1, 0))  # back by one sample, then a mark that is none


@dataclass(frozen=True, eq=False)
class Annotations:
    """One annotation file: sample, MIT symbol, subtype and text (NUL-free) of each mark, in order of time."""

    sample: Samples
    symbol: Labels
    subtype: NDArray[np.int64]
    aux: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sample)


def read_annotations(record: Path, annotator: str) -> Annotations:
    """Read ``<record>.<annotator>``, ``record`` being the path without suffix."""
    path = record.parent / f"{record.name}.{annotator}"
    if not path.is_file():
        raise UnreadableError(f"{path}: an annotation file expected, none there")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas 3 deprecations inside wfdb
            import wfdb

            read = wfdb.rdann(str(record), annotator)
    except Exception as error:  # wfdb raises whatever comes: ValueError, IndexError, struct.error ...
        raise UnreadableError(
            f"{path}: WFDB annotations expected, {type(error).__name__}: {error}"
        ) from error
    return Annotations(
        np.asarray(read.sample, dtype=np.int64),
        # codes that WFDB leaves undefined come as NaN, of which U1 would keep the n of an escape beat
        np.array([mark if isinstance(mark, str) else "" for mark in read.symbol], dtype="U1"),
        np.asarray(read.subtype, dtype=np.int64),
        # zeros after the end of a file come as a note too many
        tuple(note.rstrip("\x00") for note in read.aux_note[: len(read.sample)]),
    )


def write_annotations(record: Path, annotator: str, annotations: Annotations, *, fs: float) -> None:
    """Write ``<record>.<annotator>`` in the MIT format of annot(5); marks must be in order of time.

    The bytes are those of ``wfdb.wrann``, without the second that importing it and pandas takes.
    """
    rate = str(round(fs) if round(fs, 8) == round(fs) else float(fs))
    head = _word('"', 0) + _text(f"## time resolution: {rate}") + _END_OF_HEAD
    (record.parent / f"{record.name}.{annotator}").write_bytes(head + _marks(annotations) + bytes(2))


def _marks(annotations: Annotations) -> bytes:
    """Encode the marks: most are one word, the others are put in between."""
    gap = np.diff(annotations.sample, prepend=0)
    if (gap < 0).any():
        raise ValueError("marks in order of time expected")
    code = _codes(annotations.symbol)
    words = (code << 10 | gap & _MOST_GAP).astype("<u2")
    noted = np.array([text != "" for text in annotations.aux], dtype=bool)
    parts, done = [], 0
    for mark in np.flatnonzero((gap > _MOST_GAP) | (annotations.subtype != 0) | noted).tolist():
        parts.append(words[done:mark].tobytes())
        parts.append(_after_skips(str(annotations.symbol[mark]), int(gap[mark])))
        if subtype := int(annotations.subtype[mark]):
            parts.append(bytes((subtype & 0xFF, _SUBTYPE << 2)))
        parts.append(_text(annotations.aux[mark]) if annotations.aux[mark] else b"")
        done = mark + 1
    return b"".join([*parts, words[done:].tobytes()])


def _codes(symbol: Labels) -> NDArray[np.int64]:
    known, which = np.unique(symbol, return_inverse=True)
    if unknown := set(known.tolist()) - CODES.keys():
        raise ValueError(f"symbols of WFDB expected, {', '.join(sorted(unknown))} came")
    return np.array([CODES[mark] for mark in known.tolist()], dtype=np.int64)[which]


def _word(symbol: str, gap: int) -> bytes:
    return (CODES[symbol] << 10 | gap).to_bytes(2, "little")


def _after_skips(symbol: str, gap: int) -> bytes:
    """Encode a mark after the skips that its gap needs; of their lengths the high half comes first."""
    skips = b""
    while gap > _MOST_GAP:
        step = min(gap, _MOST_SKIP)
        halves = (step >> 16, step & 0xFFFF)
        skips += bytes((0, _SKIP << 2)) + b"".join(half.to_bytes(2, "little") for half in halves)
        gap -= step
    return skips + _word(symbol, gap)


def _text(text: str) -> bytes:
    """Encode a text, padded to whole words."""
    written = text.encode("latin-1", errors="replace")
    if len(written) > _MOST_TEXT:
        raise ValueError(f"a text of {_MOST_TEXT} characters at most expected, {len(written)} came")
    return bytes((len(written), _AUX << 2)) + written + bytes(len(written) % 2)
