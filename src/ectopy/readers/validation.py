"""What every format has in common: units of voltage, plausible rates, bounded reading, names of leads."""

import logging
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import UnreadableError

logger = logging.getLogger(__name__)

LOWEST_HZ, HIGHEST_HZ = 50.0, 50_000.0
"""Below, no QRS complex is left; above, no recorder of ECG is known."""
LONGEST_S = 100 * 86_400.0
"""No recorder runs longer without a new file; a damaged time stamp gives gaps beyond all reason."""

_NAMES_OF_VOLTAGE = {
    1e-6: ("nv", "nanovolt", "nanovolts"),
    1e-3: ("uv", "\N{GREEK SMALL LETTER MU}v", "microv", "microvolt", "microvolts", "uvolt", "uvolts"),
    1.0: ("mv", "milliv", "millivolt", "millivolts", "mvolt", "mvolts"),
    1000.0: ("v", "volt", "volts"),
}
# By case-folded name, which also makes the micro sign of Latin-1 a Greek mu.
MILLIVOLTS = {name: factor for factor, names in _NAMES_OF_VOLTAGE.items() for name in names}


def millivolts(unit: str) -> float | None:
    """Give how many mV one ``unit`` is; None where it is no voltage."""
    return MILLIVOLTS.get(unit.strip().casefold())


def check_rate(path: Path, fs: float) -> float:
    """Return a sampling rate in Hz that a recording of ECG can have; refuse another."""
    if not LOWEST_HZ <= fs <= HIGHEST_HZ:
        raise UnreadableError(
            f"{path}: a sampling rate of {LOWEST_HZ:g} to {HIGHEST_HZ:g} Hz expected, {fs:g} Hz came"
        )
    return fs


def check_length(path: Path, n_samples: int, fs: float) -> int:
    """Return a number of samples that a recorder can have made; refuse another."""
    if not 0 <= n_samples <= LONGEST_S * fs:
        raise UnreadableError(f"{path}: at most {LONGEST_S:g} s expected, {n_samples} samples came")
    return n_samples


def check_scale(path: Path, scale: float, lead: str) -> float:
    """Return a factor from stored numbers to mV that means something; refuse another."""
    if not (math.isfinite(scale) and scale):
        raise UnreadableError(f"{path}: a gain expected for lead {lead}, none that is finite and not 0 came")
    return scale


def unique_names(names: Iterable[str]) -> tuple[str, ...]:
    """Tell leads of one name apart by a number: ECG, ECG 2."""
    found: dict[str, None] = {}
    last: dict[str, int] = {}  # a damaged header may give one name to thousands
    for name in names:
        free = name
        while free in found:
            last[name] = last.get(name, 1) + 1
            free = f"{name} {last[name]}"
        found[free] = None
    return tuple(found)


def most_common_rate(path: Path, rates: Mapping[int, float]) -> list[int]:
    """Choose the leads, by number, of the rate that most have; of several such rates the highest."""
    counted = Counter(rates.values())
    rate = max(counted, key=lambda rate: (counted[rate], rate))
    if others := len(rates) - counted[rate]:
        logger.warning("%s: leads of one rate are read, %d of another are not", path, others)
    return [number for number, own in rates.items() if own == rate]


def read_whole(path: Path, *, limit: int) -> bytes:
    """Read a file that a format keeps in memory; refuse one of more bytes than ``limit``."""
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise UnreadableError(f"{path}: a recording expected, {error.strerror}") from error
    if len(content) > limit:
        raise UnreadableError(f"{path}: at most {limit} bytes expected, {path.stat().st_size} came")
    return content


def read_stored(path: Path, dtype: str, *, first: int, count: int) -> NDArray[Any]:
    """Read ``count`` stored numbers from byte ``first``; refuse a file that has fewer."""
    try:
        stored = np.fromfile(path, dtype, count, offset=first)
    except OSError as error:
        raise UnreadableError(f"{path}: samples expected, {os.strerror(error.errno or 0)}") from error
    if len(stored) < count:
        raise UnreadableError(f"{path}: {count} samples expected, {len(stored)} came")
    return stored
