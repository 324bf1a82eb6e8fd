"""HL7 annotated ECG (aECG, PORT_MT020001): the rhythm series, never the beats derived from it."""

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np

from ectopy.ecg import Recording, UnreadableError
from ectopy.readers.in_memory import Piece, in_memory_recording
from ectopy.readers.lead_names import lead_of, lead_of_mdc
from ectopy.readers.safe_xml import children, finite, first, local, read_tree, root_name
from ectopy.readers.validation import check_rate, millivolts, unique_names

logger = logging.getLogger(__name__)

SUFFIXES: tuple[str, ...] = (".aecg",)
_ROOT = "AnnotatedECG"
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0}
_TIME_CODES = {"TIME_ABSOLUTE", "TIME_RELATIVE"}


class _Set(NamedTuple):
    """One set of sequences: the time of its first sample, absolute or in s, its rate, its leads."""

    moment: datetime | None
    start_s: float
    fs: float
    leads: tuple[Piece, ...]


def matches(path: Path, head: bytes, *, fs: float | None = None) -> bool:  # noqa: ARG001
    """Tell by the name of the first element."""
    return root_name(head) == _ROOT


def companion_files(path: Path) -> tuple[Path, ...]:
    """Give the file: it is all there is."""
    return (path,)


def open_recording(path: Path, *, fs: float | None = None) -> Recording:  # noqa: ARG001 - aECG has a rate
    """Open the longest rhythm series; who was recorded is dropped unread."""
    root = read_tree(path)
    if local(root) != _ROOT:
        raise UnreadableError(f"{path}: an annotated ECG expected, another document came")
    series = [
        (one, list(_sets(path, one))) for one in children(root, "component", "series") if _is_rhythm(one)
    ]
    held = [(one, sets) for one, sets in series if sets]
    if not held:
        raise UnreadableError(f"{path}: a rhythm series with leads expected, none came")
    if len(held) > 1:
        logger.warning("%s: %d rhythm series, the longest is read", path, len(held))
    one, sets = max(held, key=lambda pair: _duration_s(pair[1]))
    return _recording(path, one, [found for found in sets if found.fs == sets[0].fs])


def _is_rhythm(series: Element) -> bool:
    """Tell a series of rhythm; one without a code is taken for one, and what is derived lies elsewhere."""
    code = first(series, "code")
    return code is None or code.get("code", "RHYTHM").upper() == "RHYTHM"


def _duration_s(sets: list[_Set]) -> float:
    return sum(max(len(piece.stored) for piece in found.leads) / found.fs for found in sets)


def _recording(path: Path, series: Element, sets: list[_Set]) -> Recording:
    """Lay the sets of a series on one grid of time, which begins with the first of them."""
    moments = [found.moment for found in sets if found.moment]
    origin, fs = min(moments) if len(moments) == len(sets) else None, sets[0].fs
    begin_s = min(found.start_s for found in sets)
    pieces = []
    for found in sets:
        after_s = (
            (found.moment - origin).total_seconds() if origin and found.moment else found.start_s - begin_s
        )
        pieces += [_shifted(piece, round(after_s * fs)) for piece in found.leads]
    low = first(series, "effectiveTime", "low")
    start = origin or _moment(low.get("value", "") if low is not None else "")
    return in_memory_recording(path, pieces, fs=fs, start=start)


def _shifted(piece: Piece, start: int) -> Piece:
    return Piece(piece.lead, piece.stored, piece.scale, piece.offset, start)


def _sets(path: Path, series: Element) -> Iterator[_Set]:
    """Give the sets of sequences of a series that have a time and leads in a unit of voltage."""
    for found in children(series, "component", "sequenceSet"):
        sequences = [(_code(one), first(one, "value")) for one in children(found, "component", "sequence")]
        times = [value for code, value in sequences if code in _TIME_CODES and value is not None]
        leads = [(code, value) for code, value in sequences if code not in _TIME_CODES and value is not None]
        held = list(filter(None, (_piece(path, code, value) for code, value in leads)))
        if times and held:
            names = unique_names(piece.lead for piece in held)
            named = (
                Piece(name, piece.stored, piece.scale, piece.offset)
                for name, piece in zip(names, held, strict=True)
            )
            yield _Set(*_time(path, times[0]), tuple(named))


def _code(sequence: Element) -> str:
    code = first(sequence, "code")
    return code.get("code", "") if code is not None else ""


def _time(path: Path, value: Element) -> tuple[datetime | None, float, float]:
    """Read the time of a set: a moment or the seconds of its first sample, and the rate in Hz."""
    head, increment = first(value, "head"), first(value, "increment")
    if increment is None:
        raise UnreadableError(f"{path}: an increment of time expected, none came")
    rate = _rate(path, increment.get("value", ""), _SECONDS.get(increment.get("unit", "s"), 0.0))
    said = head.get("value", "") if head is not None else ""
    if moment := _moment(said):
        return moment, 0.0, rate
    head_unit = _SECONDS.get(head.get("unit", "s"), 1.0) if head is not None else 1.0
    with suppress(UnreadableError):
        return None, finite(path, said, "time of the first sample") * head_unit, rate
    return None, 0.0, rate


def _rate(path: Path, said: str, unit_s: float) -> float:
    """Give the rate of a step; 0.00333 s is 300 Hz, said with as few digits."""
    step_s = finite(path, said, "increment of time") * unit_s
    if step_s <= 0:
        raise UnreadableError(f"{path}: an increment of time in s expected, another came")
    rate = check_rate(path, 1 / step_s)
    digits, exponent = Decimal(said).as_tuple()[1:]
    is_rounded = abs(1 / round(rate) - step_s) <= 0.5 * 10.0 ** int(exponent) * unit_s
    return float(round(rate)) if is_rounded and len(digits) > 1 else rate


def _moment(text: str) -> datetime | None:
    """Read YYYYMMDDHHMMSS.ssss+zone; a zone, where it is said, changes no clock."""
    found = re.match(r"(\d{8})(\d{2})(\d{2})(\d{2})?(\.\d{1,6})?\d*([+-]\d{4})?$", text)
    if found:
        with suppress(ValueError):
            clock = f"{found[1]}{found[2]}{found[3]}{found[4] or '00'}{found[5] or '.0'}"
            return datetime.strptime(clock, "%Y%m%d%H%M%S.%f")  # noqa: DTZ007
    return None


def _piece(path: Path, code: str, value: Element) -> Piece | None:
    """Read the digits of a lead; None for a sequence in no unit of voltage or of no lead."""
    scale, origin = first(value, "scale"), first(value, "origin")
    lead = lead_of_mdc(code)
    in_mv = millivolts(scale.get("unit", "")) if scale is not None else None
    if scale is None or in_mv is None or (not code.startswith("MDC_ECG_") and lead_of(lead) is None):
        return None
    offset = 0.0
    if origin is not None and origin.get("value"):
        offset = finite(path, origin.get("value"), "origin") * (millivolts(origin.get("unit", "")) or in_mv)
    step = finite(path, scale.get("value"), "scale") * in_mv
    return Piece(
        lead, _digits(path, "".join(text.text or "" for text in children(value, "digits"))), step, offset
    )


def _digits(path: Path, text: str) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what is no number ends the reading with a mere warning
            return np.fromstring(text, dtype=np.float32, sep=" ")
    except (ValueError, DeprecationWarning) as error:
        raise UnreadableError(f"{path}: numbers expected as samples, something else came") from error
