"""Read and write WFDB annotation files.

They are decoded here because ``wfdb.rdann`` drops the last annotation of a file without end mark in silence.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Labels, Samples, UnreadableError

logger = logging.getLogger(__name__)

# Codes of ecgcodes.h; 15 and 17 are not used.
_SYMBOLS = ' NLRaVFJASEj/Q~\0|\0sT*D"=pB^t+u?![]en@xf()r'
CODES = {symbol: code for code, symbol in enumerate(_SYMBOLS) if symbol != "\0"}
"""Code of each annotation symbol, from ecgcodes.h of WFDB."""
_SKIP, _NUMBER, _SUBTYPE, _CHANNEL, _AUX = 59, 60, 61, 62, 63
_FIELDS = (_NUMBER, _SUBTYPE, _CHANNEL, _AUX)
_UNDEFINED = range(len(_SYMBOLS), 50)  # codes that a file may define for itself
_MOST_BYTES = 2**24
"""Size of the annotations of a month at 190 beats a minute."""
_MOST_GAP, _MOST_SKIP, _MOST_TEXT = 2**10 - 1, 2**31 - 1, 2**8 - 1
_END_OF_HEAD = bytes((0, _SKIP << 2, *4 * (255,), 1, 0))  # skip back by one sample, then an empty annotation


@dataclass(frozen=True, eq=False)
class Annotations:
    """Annotations of one file in order of time: sample number, MIT symbol, subtype and text (without NUL).

    The symbol of a code without a standard meaning is "". ``notes`` state what is wrong with the file.
    """

    sample: Samples
    symbol: Labels
    subtype: NDArray[np.int64]
    aux: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.sample)


def read_annotations(record: Path, annotator: str) -> Annotations:
    """Read the annotation file ``<record>.<annotator>``; log a warning if it is damaged but readable.

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
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UnreadableError(
            f"{path}: annotation file not found. Check the name of the record and of the annotator."
        ) from error
    except OSError as error:
        raise UnreadableError(
            f"{path}: cannot read the file ({error.strerror}). Check that it may be read."
        ) from error
    if len(content) > _MOST_BYTES:
        raise UnreadableError(
            f"{path}: more than {_MOST_BYTES} bytes, too many for an annotation file. Split the record."
        )
    try:
        annotations = _decode(content)
    except ValueError as error:
        raise UnreadableError(
            f"{path}: not a WFDB annotation file ({error}). Copy or export it again."
        ) from error
    for note in annotations.notes:
        logger.warning("%s: %s. Copy or export it again.", path, note)
    return annotations


def _decode(content: bytes) -> Annotations:
    """Decode the MIT format of annot(5): words of a 6-bit code and a 10-bit number, then an end mark of 0."""
    words = np.frombuffer(content, "<u2", count=len(content) // 2).tolist()
    if not words:
        raise ValueError("it has no whole annotation")
    marks: list[_Mark] = []
    sample = at = 0
    while at < len(words) and words[at]:
        code, value = divmod(words[at], 1 << 10)
        size = _size_in_words(code, value)
        if at + size > len(words):
            break  # the file ends within a skip or a text
        if code == _SKIP:
            skip = words[at + 1] << 16 | words[at + 2]
            sample += skip - (skip >> 31 << 32)  # signed
        elif code < len(_SYMBOLS) or code in _UNDEFINED:
            sample += value
            marks.append(_Mark(sample, code))
        elif code not in _FIELDS or not marks:
            raise ValueError(f"byte {2 * at} is not an annotation")
        elif code == _SUBTYPE:
            marks[-1].subtype = (value & 0xFF ^ 0x80) - 0x80  # signed
        elif code == _AUX:
            first = 2 * at + 2
            marks[-1].aux = content[first : first + (value & 0xFF)].decode("latin-1").rstrip("\0")
        at += size
    return _annotations([mark for mark in marks if not mark.is_empty], _damage(content, 2 * at))


@dataclass(slots=True)
class _Mark:
    """An annotation while it is decoded."""

    sample: int
    code: int
    subtype: int = 0
    aux: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether this is no annotation: a code of 0, or a definition at the head of the file."""
        return self.code == 0 or (self.code == CODES['"'] and self.sample == 0)


def _size_in_words(code: int, value: int) -> int:
    return 3 if code == _SKIP else 1 + ((value & 0xFF) + 1) // 2 if code == _AUX else 1


def _damage(content: bytes, end: int) -> tuple[str, ...]:
    """Return what is wrong with the end of a file that was decoded up to a byte."""
    if len(content) < end + 2 or any(content[end : end + 2]):
        return ("the annotations have no end mark, so some may be missing",)
    if any(content[end:]):
        return ("the annotations go on after an end mark, and the rest was not read",)
    return ()


def _annotations(marks: Sequence[_Mark], notes: tuple[str, ...]) -> Annotations:
    symbols = [_SYMBOLS[mark.code].strip("\0") if mark.code < len(_SYMBOLS) else "" for mark in marks]
    return Annotations(
        np.array([mark.sample for mark in marks], dtype=np.int64),
        np.array(symbols, dtype="U1"),
        np.array([mark.subtype for mark in marks], dtype=np.int64),
        tuple(mark.aux for mark in marks),
        notes,
    )


def write_annotations(
    record: Path, annotator: str, annotations: Annotations | Iterable[Annotations], *, fs: float
) -> None:
    """Write the annotation file ``<record>.<annotator>`` in the MIT format of annot(5).

    The bytes equal those of ``wfdb.wrann``, without the second that importing wfdb and pandas takes.

    Parameters
    ----------
    record
        Path of the record without suffix.
    annotator
        Suffix of the annotation file, such as ``atr``.
    annotations
        The annotations in order of time, or consecutive parts of them: only one of these is in memory then.
    fs
        Sampling rate in Hz.

    Raises
    ------
    ValueError
        The annotations are not in order, a symbol is unknown or a text is too long.
    """
    rate = str(round(fs) if round(fs, 8) == round(fs) else float(fs))
    parts, last = [annotations] if isinstance(annotations, Annotations) else annotations, 0
    encoded = [_word('"', 0) + _text(f"## time resolution: {rate}") + _END_OF_HEAD]
    for part in parts:
        encoded.append(_marks(part, last))
        last = int(part.sample[-1]) if len(part) else last
    (record.parent / f"{record.name}.{annotator}").write_bytes(b"".join([*encoded, bytes(2)]))


def _marks(annotations: Annotations, last: int) -> bytes:
    """Encode annotations, the first of which comes after the sample ``last``.

    Most take one 16-bit word; those that take more are inserted between.
    """
    gap = np.diff(annotations.sample, prepend=last)
    if (gap < 0).any():
        raise ValueError("annotations are not in order of time. Sort them by sample number.")
    code = _codes(annotations.symbol)
    words = (code << 10 | gap & _MOST_GAP).astype("<u2")
    noted = np.fromiter(map(bool, annotations.aux), bool, len(words))
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
    distinct = set(symbol.tolist())
    if unknown := distinct - CODES.keys():
        raise ValueError(
            f"unknown annotation symbols: {', '.join(sorted(unknown))}. Use the symbols of WFDB (ecgcodes.h)."
        )
    codes = np.empty(len(symbol), dtype=np.int64)
    for mark in distinct:
        codes[symbol == mark] = CODES[mark]
    return codes


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
