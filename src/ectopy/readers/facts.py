"""What every format has in common: units of voltage, plausible rates, names that tell leads apart."""

from collections.abc import Iterable
from pathlib import Path

from ectopy.ecg import UnreadableError

LOWEST_HZ, HIGHEST_HZ = 50.0, 50_000.0
"""Below, no QRS complex is left; above, no recorder of ECG is known."""

# By case-folded name, which also makes the micro sign of Latin-1 a Greek mu.
MILLIVOLTS = {"nv": 1e-6, "uv": 1e-3, "\N{GREEK SMALL LETTER MU}v": 1e-3, "mv": 1.0, "v": 1000.0}


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


def distinct(names: Iterable[str]) -> tuple[str, ...]:
    """Tell leads of one name apart by a number: ECG, ECG 2."""
    found: list[str] = []
    for name in names:
        again = (f"{name} {number}" for number in range(2, 1000))
        found.append(next(other for other in (name, *again) if other not in found))
    return tuple(found)
