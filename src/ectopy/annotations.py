"""Read and write WFDB annotation files; wfdb (and with it pandas) is imported only for reading."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Labels, Samples, UnreadableError

# Codes of ecgcodes.h; 15 and 17 are not used.
_SYMBOLS = ' NLRaVFJASEj/Q~\0|\0sT*D"=pB^t+u?![]en@xf()r'
CODES = {symbol: code for code, symbol in enumerate(_SYMBOLS) if symbol != "\0"}
"""Code of each annotation symbol, from ecgcodes.h of WFDB."""
_SKIP, _SUBTYPE, _AUX = 59, 61, 63
_MOST_GAP, _MOST_SKIP, _MOST_TEXT = 2**10 - 1, 2**31 - 1, 2**8 - 1
_END_OF_HEAD = bytes((0, _SKIP << 2, *4 * (255,), 1, 0))  # skip back by one sample, then an empty annotation


@dataclass(frozen=True, eq=False)
class Annotations:
    """Annotations of one file in order of time: sample number, MIT symbol, subtype and text (without NUL)."""

    sample: Samples
    symbol: Labels
    subtype: NDArray[np.int64]
    aux: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sample)


def read_annotations(record: Path, annotator: str) -> Annotations:
    """Read the annotation file ``<record>.<annotator>``.

    Parameters
    ----------
    record
        Path of the record without suffix.
    annotator
        Suffix of the annotation file, such as ``atr``.

    Returns
    -------
    The annotations; sample numbers count from 0.

    Raises
    ------
    UnreadableError
        The file is missing or not a WFDB annotation file.
    """
    path = record.parent / f"{record.name}.{annotator}"
    if not path.is_file():
        raise UnreadableError(
            f"{path}: annotation file not found. Check the name of the record and of the annotator."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas 3 deprecations inside wfdb
            import wfdb

            parsed = wfdb.rdann(str(record), annotator)
    except Exception as error:  # wfdb lets many exceptions through: ValueError, IndexError, struct.error ...
        raise UnreadableError(
            f"{path}: not a WFDB annotation file ({type(error).__name__}: {error}). Copy or export it again."
        ) from error
    return Annotations(
        np.asarray(parsed.sample, dtype=np.int64),
        # wfdb returns NaN for undefined codes; U1 would shorten it to n, the symbol of an escape beat
        np.array([mark if isinstance(mark, str) else "" for mark in parsed.symbol], dtype="U1"),
        np.asarray(parsed.subtype, dtype=np.int64),
        # zeros after the end of the file appear as one note too many
        tuple(note.rstrip("\x00") for note in parsed.aux_note[: len(parsed.sample)]),
    )


def write_annotations(record: Path, annotator: str, annotations: Annotations, *, fs: float) -> None:
    """Write the annotation file ``<record>.<annotator>`` in the MIT format of annot(5).

    The bytes equal those of ``wfdb.wrann``, without the second that importing wfdb and pandas takes.

    Parameters
    ----------
    record
        Path of the record without suffix.
    annotator
        Suffix of the annotation file, such as ``atr``.
    annotations
        The annotations, in order of time.
    fs
        Sampling rate in Hz.

    Raises
    ------
    ValueError
        The annotations are not in order, a symbol is unknown or a text is too long.
    """
    rate = str(round(fs) if round(fs, 8) == round(fs) else float(fs))
    head = _word('"', 0) + _text(f"## time resolution: {rate}") + _END_OF_HEAD
    (record.parent / f"{record.name}.{annotator}").write_bytes(head + _marks(annotations) + bytes(2))


def _marks(annotations: Annotations) -> bytes:
    """Encode the annotations: most take one 16-bit word; those that take more are inserted between."""
    gap = np.diff(annotations.sample, prepend=0)
    if (gap < 0).any():
        raise ValueError("annotations are not in order of time. Sort them by sample number.")
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
    distinct, index = np.unique(symbol, return_inverse=True)
    if unknown := set(distinct.tolist()) - CODES.keys():
        raise ValueError(
            f"unknown annotation symbols: {', '.join(sorted(unknown))}. Use the symbols of WFDB (ecgcodes.h)."
        )
    return np.array([CODES[mark] for mark in distinct.tolist()], dtype=np.int64)[index]


def _word(symbol: str, gap: int) -> bytes:
    return (CODES[symbol] << 10 | gap).to_bytes(2, "little")


def _after_skips(symbol: str, gap: int) -> bytes:
    """Encode an annotation after the skips that its gap needs; the high half of a skip comes first."""
    skips = b""
    while gap > _MOST_GAP:
        step = min(gap, _MOST_SKIP)
        halves = (step >> 16, step & 0xFFFF)
        skips += bytes((0, _SKIP << 2)) + b"".join(half.to_bytes(2, "little") for half in halves)
        gap -= step
    return skips + _word(symbol, gap)


def _text(text: str) -> bytes:
    """Encode a text, padded to whole 16-bit words."""
    encoded = text.encode("latin-1", errors="replace")
    if len(encoded) > _MOST_TEXT:
        raise ValueError(
            f"annotation text of {len(encoded)} characters, more than the limit of {_MOST_TEXT}. Shorten it."
        )
    return bytes((len(encoded), _AUX << 2)) + encoded + bytes(len(encoded) % 2)
