"""Checks that all formats share: units of voltage, plausible rates, unique lead names, bounded reading."""

import logging
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import HIGHEST_HZ, LONGEST_S, LOWEST_HZ, UnreadableError

logger = logging.getLogger(__name__)

_NAMES_OF_VOLTAGE = {
    1e-6: ("nv", "nanovolt", "nanovolts"),
    1e-3: ("uv", "\N{GREEK SMALL LETTER MU}v", "microv", "microvolt", "microvolts", "uvolt", "uvolts"),
    1.0: ("mv", "milliv", "millivolt", "millivolts", "mvolt", "mvolts"),
    1000.0: ("v", "volt", "volts"),
}
# By case-folded name; folding also turns the micro sign of Latin-1 into a Greek mu.
MILLIVOLTS = {name: factor for factor, names in _NAMES_OF_VOLTAGE.items() for name in names}


def millivolts(unit: str) -> float | None:
    """Return how many mV one ``unit`` is; None if it is not a unit of voltage."""
    return MILLIVOLTS.get(unit.strip().casefold())


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


def check_scale(path: Path, scale: float, lead: str) -> float:
    """Check that the factor from stored numbers to mV is finite and not 0.

    Parameters
    ----------
    path
        File to name in the message.
    scale
        Factor in mV per stored unit.
    lead
        Lead to name in the message.

    Returns
    -------
    The factor, unchanged.

    Raises
    ------
    UnreadableError
        The factor is 0, infinite or NaN.
    """
    if not (math.isfinite(scale) and scale):
        raise UnreadableError(
            f"{path}: the gain of lead {lead} is {scale:g}, not a finite number other than 0. "
            "Correct the gain in the file."
        )
    return scale


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


def most_common_rate(path: Path, rates: Mapping[int, float]) -> list[int]:
    """Return the leads that share the most common sampling rate; on a tie the higher rate counts.

    Parameters
    ----------
    path
        File to name in the log.
    rates
        Sampling rate of each lead, by the number of the lead.

    Returns
    -------
    Numbers of the leads, in their order.
    """
    counted = Counter(rates.values())
    rate = max(counted, key=lambda rate: (counted[rate], rate))
    if others := len(rates) - counted[rate]:
        logger.warning("%s: leads of other sampling rates are not read (number of leads: %d)", path, others)
    return [number for number, own in rates.items() if own == rate]


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
        raise UnreadableError(
            f"{path}: the file has {path.stat().st_size} bytes, more than the limit of {limit}. "
            "Split the recording into shorter files."
        )
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
