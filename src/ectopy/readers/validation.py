"""Checks that all formats share: units of voltage, rates, bounds on size, notes on what is left out."""

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import HIGHEST_HZ, LONGEST_S, LOWEST_HZ, NotAnalysableError, UnreadableError

# Bounds in samples x leads; ectopy.ecg.VALUES_AT_ONCE is that of a block.
MOST_LEADS = 2048
MOST_VALUES_PER_S = 2**22
"""Leads times rate: 2,048 leads at 2 kHz, or 83 leads at 50 kHz. A block then holds at least 2 s."""
MOST_VALUES_IN_MEMORY = 2**28
"""Values of a file that is read whole: 12 leads for a day at 250 Hz."""
MOST_VALUES = 2**34
"""Values of a recording, gaps included: 12 leads for 14 days at 1 kHz."""
LOWEST_16_BIT = -(2**15)
"""Missing sample of WFDB, with which its converters fill up other formats; else the end of the converter.

In EDF it may be a wave, as programs fit the range to the lowest sample.
"""
LEAST_S = 1.0
"""An incomplete file with less signal than this is refused."""

_PREFIXES = {
    1e-6: ("n", "nano"),
    1e-3: ("u", "micro", "mikro", "\N{GREEK SMALL LETTER MU}"),
    1.0: ("m", "milli"),
    1000.0: ("",),
}
# By case-folded name; folding also turns the micro sign of Latin-1 into a Greek mu.
MILLIVOLTS = {
    prefix + volt: factor
    for factor, prefixes in _PREFIXES.items()
    for prefix in prefixes
    for volt in ("v", "volt", "volts")
}
# The micro sign in another encoding: UTF-8 (of either character) or DOS read as Latin-1, or replaced.
_MISREAD_MICRO = re.compile(
    "^(\u00c2\u00b5|\u00ce\u00bc|\u00e6|\u00ef\u00bf\u00bd|\ufffd)(?=v)", re.IGNORECASE
)
_OTHER = """
% 1/min bar beats/min bpm c cm cmh2o db deg degc degf degree degrees f g hpa hz k kg kohm kohms kpa l l/min
l/s lpm lux m m/s m/s2 m/s^2 mbar mg min ml mm mmhg mmol/l ms ns ohm ohms pa percent ppm s sec us
"""
_UNKNOWN = "adu bit bits bool boolean code count counts digital n/a na none nu raw unit units"
_OTHER_UNITS, _UNKNOWN_UNITS = frozenset(_OTHER.split()), frozenset(_UNKNOWN.split())
"""Units that are no voltage, and words for an unknown unit. Messages may quote them: none is a name."""


def millivolts(unit: str, given: str | None = None) -> float | None:
    """Return how many mV one unit is.

    Parameters
    ----------
    unit
        The unit as the file states it, in any of the usual spellings.
    given
        Unit of voltage that the user gives. It counts if the stated unit is missing or unknown.

    Returns
    -------
    The factor; None if the unit is not a unit of voltage.
    """
    factor = MILLIVOLTS.get(_plain(unit))
    return MILLIVOLTS.get(_plain(given)) if factor is None and given and may_be_voltage(unit) else factor


def _plain(unit: str) -> str:
    bare = re.sub(r"[\s\0_\-\[\](){}]", "", unit).rstrip(".")
    return _MISREAD_MICRO.sub("\N{GREEK SMALL LETTER MU}", bare).casefold()


def check_unit(unit: str) -> str:
    """Check that a unit that a user gives is one of voltage; return it unchanged."""
    if millivolts(unit) is None:
        raise NotAnalysableError(f"{unit}: not a unit of voltage. Give mV, uV, V or nV.")
    return unit


def unit_problem(unit: str) -> str:
    """Return what is wrong with a unit that is no voltage. Free text is not quoted: it may be a name."""
    if not (plain := _plain(unit)):
        return "it has no unit"
    known = plain in _OTHER_UNITS | _UNKNOWN_UNITS or re.fullmatch(r"[.?]v", plain)
    return f"its unit {unit.strip()} is not a known unit of voltage" if known else "its unit is not known"


def may_be_voltage(unit: str) -> bool:
    """Check whether a unit is one of voltage, or is missing or unknown."""
    return _plain(unit) not in _OTHER_UNITS


def note_on_unit(stated: Sequence[tuple[str, str]], given: str | None) -> tuple[str, ...]:
    """Return a note on the leads whose unit the user gives.

    Parameters
    ----------
    stated
        Name and stated unit of each lead.
    given
        Unit that the user gives.

    Returns
    -------
    One note, or none.
    """
    names = [name for name, unit in stated if millivolts(unit) is None]
    return (f"{_leads(names)} read in {given}, as given: the file has no known unit",) if names else ()


def check_rate(path: Path, fs: float) -> float:
    """Check that a sampling rate is plausible for an ECG.

    Parameters
    ----------
    path
        File to name in the message.
    fs
        Sampling rate in Hz.

    Returns
    -------
    The rate, unchanged.

    Raises
    ------
    UnreadableError
        The rate is outside 50 Hz to 50 kHz.
    """
    if not LOWEST_HZ <= fs <= HIGHEST_HZ:
        raise UnreadableError(
            f"{path}: the sampling rate is {fs:g} Hz, outside {LOWEST_HZ:g} to {HIGHEST_HZ:g} Hz. "
            "Correct the rate in the file, or the value of --fs."
        )
    return fs


def check_length(path: Path, n_samples: int, fs: float) -> int:
    """Check that the length of a recording is plausible.

    Parameters
    ----------
    path
        File to name in the message.
    n_samples
        Number of samples of each lead.
    fs
        Sampling rate in Hz.

    Returns
    -------
    The number of samples, unchanged.

    Raises
    ------
    UnreadableError
        The recording would be longer than 100 days.
    """
    if not 0 <= n_samples <= LONGEST_S * fs:
        raise UnreadableError(
            f"{path}: {n_samples} samples at {fs:g} Hz are longer than {LONGEST_S / 86_400:g} days. "
            "Correct the length or the time stamps in the file."
        )
    return n_samples


def check_size(path: Path, n_samples: int, fs: float, *, n_leads: int) -> int:
    """Check the size of a recording: leads, leads x rate, and samples x leads.

    Parameters
    ----------
    path
        File to name in the message.
    n_samples
        Number of samples of each lead, gaps included.
    fs
        Sampling rate in Hz.
    n_leads
        Number of leads.

    Returns
    -------
    The number of samples, unchanged.

    Raises
    ------
    UnreadableError
        A bound of this module is exceeded.
    """
    check_length(path, n_samples, fs)
    if n_leads > MOST_LEADS:
        raise UnreadableError(
            f"{path}: {n_leads} leads, more than the limit of {MOST_LEADS}. Split the recording by leads."
        )
    if n_leads * fs > MOST_VALUES_PER_S:
        raise UnreadableError(
            f"{path}: {n_leads} leads at {fs:g} Hz are more than {MOST_VALUES_PER_S:,} samples a second. "
            "Split the recording by leads, or export it at a lower rate."
        )
    if n_samples * n_leads > MOST_VALUES:
        raise UnreadableError(
            f"{path}: {n_samples:,} samples of {n_leads} leads are more than {MOST_VALUES:,} values. "
            "Split the recording into shorter files."
        )
    return n_samples


def check_in_memory(path: Path, n_values: int) -> None:
    """Check that a file that is read whole does not fill the memory.

    Parameters
    ----------
    path
        File to name in the message.
    n_values
        Samples times leads.

    Raises
    ------
    UnreadableError
        There are more than MOST_VALUES_IN_MEMORY.
    """
    if n_values > MOST_VALUES_IN_MEMORY:
        raise UnreadableError(
            f"{path}: {n_values:,} samples x leads in a file that is read whole, more than the limit of "
            f"{MOST_VALUES_IN_MEMORY:,}. Split the recording, or export it as EDF or WFDB."
        )


HEADER_REMEDY = "Correct the header, or export the recording again."
UNIT_REMEDY = "Give the unit if you know it, such as --unit uV, or correct the header."
_MOST_NAMED = 6
"""Number of leads that a note names."""


def scale_problem(scale: float) -> str:
    """Return what is wrong with a factor from stored numbers to mV; nothing if it is finite and not 0."""
    return "" if math.isfinite(scale) and scale else f"its gain is {scale:g}"


def leave_out(
    path: Path, problems: Sequence[tuple[str, str]], *, remedy: str = HEADER_REMEDY
) -> tuple[list[int], tuple[str, ...]]:
    """Leave out the leads that cannot be used.

    Parameters
    ----------
    path
        File to name in the message.
    problems
        The name of each lead for messages, and its problem; the problem of a usable lead is empty.
    remedy
        What the user can do if no lead is left.

    Returns
    -------
    Numbers of the usable leads in ``problems``, and notes on the others.

    Raises
    ------
    UnreadableError
        No lead is left.
    """
    usable = [number for number, (_, problem) in enumerate(problems) if not problem]
    names: dict[str, list[str]] = {}
    for name, problem in problems:
        if problem:
            names.setdefault(problem, []).append(name)
    notes = tuple(f"{_leads(named)} left out: {problem}" for problem, named in names.items())
    if not usable:
        raise UnreadableError(
            f"{path}: no lead can be read ({'; '.join(notes) or 'there is none'}). {remedy}"
        )
    return usable, notes


def _leads(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"lead {names[0]} is"
    shown = ", ".join(names[:_MOST_NAMED])
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"leads {shown}{more} are"


def most_common_rate(rates: Mapping[int, float]) -> tuple[list[int], tuple[str, ...]]:
    """Return the leads that share the most common sampling rate; on a tie the higher rate counts.

    Parameters
    ----------
    rates
        Sampling rate of each lead, by the number of the lead.

    Returns
    -------
    Numbers of the leads in their order, and a note if other leads are left out.
    """
    counted = Counter(rates.values())
    rate = max(counted, key=lambda rate: (counted[rate], rate))
    others = len(rates) - counted[rate]
    note = f"leads of another sampling rate are left out (number of leads: {others})"
    return [number for number, own in rates.items() if own == rate], (note,) if others else ()


def unique_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names with a number appended to each repeated one: ECG, ECG 2."""
    unique: dict[str, None] = {}
    last: dict[str, int] = {}  # a damaged header may give the same name to thousands of leads
    for name in names:
        free = name
        while free in unique:
            last[name] = last.get(name, 1) + 1
            free = f"{name} {last[name]}"
        unique[free] = None
    return tuple(unique)


def check_file_size(path: Path, *, limit: int) -> None:
    """Check that a file is not too large to be read whole.

    Parameters
    ----------
    path
        The file.
    limit
        Maximum size in bytes.

    Raises
    ------
    UnreadableError
        The file is larger.
    """
    if (size := path.stat().st_size) > limit:
        raise UnreadableError(
            f"{path}: the file has {size} bytes, more than the limit of {limit}. "
            "Split the recording into shorter files."
        )


def read_whole(path: Path, *, limit: int) -> bytes:
    """Read a whole file into memory.

    Parameters
    ----------
    path
        The file.
    limit
        Maximum size in bytes.

    Returns
    -------
    The content of the file.

    Raises
    ------
    UnreadableError
        The file cannot be read, or is larger than the limit.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise UnreadableError(
            f"{path}: cannot read the file ({error.strerror}). Check that it exists and may be read."
        ) from error
    if len(content) > limit:
        check_file_size(path, limit=limit)
    return content


def read_stored(path: Path, dtype: str, *, first: int, count: int) -> NDArray[Any]:
    """Read stored numbers from a file.

    Parameters
    ----------
    path
        The file.
    dtype
        NumPy type of a stored number.
    first
        Byte at which the first number begins.
    count
        How many numbers to read.

    Returns
    -------
    The numbers, [count].

    Raises
    ------
    UnreadableError
        The file cannot be read, or has fewer numbers.
    """
    try:
        stored = np.fromfile(path, dtype, count, offset=first)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise UnreadableError(
            f"{path}: cannot read the samples ({reason}). Check that the file still exists and may be read."
        ) from error
    if len(stored) < count:
        raise UnreadableError(
            f"{path}: the file ends too early ({len(stored)} of {count} numbers read). "
            "Copy the complete file again."
        )
    return stored
