"""Infer the columns of a table from their names, and the samples of its rows from a column of times."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import UnreadableError
from ectopy.readers.lead_names import is_numbered, is_other, lead_of
from ectopy.readers.validation import millivolts, unique_names

# By case-folded name.
SECONDS = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "ms": 1e-3,
    "msec": 1e-3,
    "milliseconds": 1e-3,
}
SECONDS |= {"us": 1e-6, "\N{GREEK SMALL LETTER MU}s": 1e-6, "ns": 1e-9, "min": 60.0}
_TIME = re.compile(
    r"(elapsed\s*)?(time\w*|t|timestamp\w*|date\s*time|seconds?|sec|msec|ms|zeit|temps|tiempo|tempo)",
    re.IGNORECASE,
)
_COUNTER = re.compile(
    r"(unnamed: 0|index|idx|n|no\.?|row|samples?(\s*(#|no\.?|number|index|num))?|#|)", re.IGNORECASE
)
_VALUES = re.compile(
    r"(values?|signals?|voltage|amplitude|potential|data|raw|ecg\w*|ekg\w*|m?v|uv)", re.IGNORECASE
)
_WITH_UNIT = re.compile(r"(?P<name>.*?)[\s_]*[(\[/_,]\s*(?P<unit>[^\W\d_]{1,12})\s*[)\]]?")

RATE_KEYS = (
    "fs",
    "sampling_rate",
    "sample_rate",
    "sampling_frequency",
    "samplerate",
    "rate",
    "frequency",
    "hz",
)
_MOST_RUNS = 100_000
_LONGEST_NAME = 100
_UNEVEN_SHARE, _GAP_SHARE = 0.01, 0.05


@dataclass(frozen=True)
class Columns:
    """Columns by number: time in units of ``time_s`` seconds, names of leads, and their units in mV."""

    time: int | None
    time_s: float
    leads: Mapping[int, str]
    in_mv: Mapping[int, float]
    named: bool
    """Whether a column name identifies the table as ECG."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Time grid: rate in Hz, and the first row of each run without a gap with its sample number."""

    fs: float
    row: NDArray[np.int64]
    sample: NDArray[np.int64]


def split_unit(name: str) -> tuple[str, str]:
    """Split ``II (mV)``, ``II [uV]`` and ``time_ms`` into name and unit; the unit may be empty."""
    match = _WITH_UNIT.fullmatch(name)
    unit = match["unit"].casefold() if match else ""
    if match and (millivolts(unit) or unit in SECONDS):
        return match["name"].strip(), unit
    return name, ""


def infer_columns(
    names: Sequence[str], units: Sequence[str] = (), *, unit: str = "", lead: str = ""
) -> Columns:
    """Find the columns of time and leads by their names.

    Parameters
    ----------
    names
        Names of the columns, possibly with units.
    units
        Units of the columns, if the table has a row of them.
    unit
        Unit of all leads, from the metadata of the table.
    lead
        Name of the only lead, from the metadata of the table.

    Returns
    -------
    The columns; those that are neither a time nor a lead are left out.
    """
    parts = [split_unit(name.strip(" '\"\ufeff")[:_LONGEST_NAME]) for name in names]
    plain = [name for name, _ in parts]
    own = [
        part_unit or (units[column].strip(" '\"") if column < len(units) else "")
        for column, (_, part_unit) in enumerate(parts)
    ]
    time = next((n for n, name in enumerate(plain) if _TIME.fullmatch(name) and not millivolts(own[n])), None)
    in_mv = {n: millivolts(own[n] or unit or "mV") for n in range(len(plain)) if n != time}
    volts = {n: factor for n, factor in in_mv.items() if factor}
    named = {n: name for n in volts if (name := lead_of(plain[n]))}
    leads = named or {
        n: lead if lead and len(volts) == 1 else plain[n] or f"lead {n + 1}"
        for n in volts
        if not _COUNTER.fullmatch(plain[n])
        and not is_other(plain[n])
        and (_VALUES.fullmatch(plain[n]) or is_numbered(plain[n]))
    }
    return Columns(
        time=time,
        time_s=_seconds(own[time], plain[time]) if time is not None else 1.0,
        leads=dict(zip(leads, unique_names(leads.values()), strict=True)),
        in_mv={n: volts[n] for n in leads},
        named=bool(named) or bool(leads and (time is not None or lead)),
    )


def _seconds(unit: str, name: str) -> float:
    return SECONDS.get(unit.casefold(), SECONDS.get(name.casefold(), 1.0))


def rate_in(metadata: Mapping[str, str]) -> float | None:
    """Return the rate in Hz from keys such as ``fs``; None if there is no such key."""
    for key, value in metadata.items():
        number = re.search(r"\d+(\.\d+)?", value)
        if re.sub(r"[\s\-]+", "_", key.strip().casefold()) in RATE_KEYS and number:
            return float(number[0])
    return None


def infer_time_grid(path: Path, batches: Iterable[NDArray[np.float64]]) -> Grid:
    """Find the sampling rate and the gaps of a column of times.

    Parameters
    ----------
    path
        File to name in messages.
    batches
        Times in s, in batches, in ascending order.

    Returns
    -------
    The time grid of the rows.

    Raises
    ------
    UnreadableError
        The times are not in order or not evenly spaced, or there are fewer than two.
    """
    steps_s, n_steps, n_uneven, period_s = 0.0, 0, 0, 0.0
    rows, gaps = [0], [0.0]
    last, row = None, 0
    for times in batches:
        joined = times if last is None else np.concatenate(([last], times))
        steps = np.diff(joined)
        if not np.isfinite(joined).all() or (steps <= 0).any():
            raise UnreadableError(
                f"{path}: the times are not in ascending order, or some are missing. "
                "Correct the column of times, or remove it and give --fs HZ."
            )
        if len(steps):
            period_s = period_s or float(np.median(steps))
            gap = np.flatnonzero(steps > 1.5 * period_s)
            even = steps[steps <= 1.5 * period_s]
            steps_s, n_steps = steps_s + float(even.sum()), n_steps + len(even)
            n_uneven += int((np.abs(even - period_s) > 0.5 * period_s).sum())
            first = row if last is None else row - 1
            rows += (first + gap + 1).tolist()
            gaps += steps[gap].tolist()
        most_gaps = min(_MOST_RUNS, _GAP_SHARE * n_steps + 10)
        if len(rows) > most_gaps or n_uneven > _UNEVEN_SHARE * n_steps + 1:
            raise UnreadableError(
                f"{path}: the times are not evenly spaced. "
                "Correct the column of times, or remove it and give --fs HZ."
            )
        if len(times):
            last, row = times[-1], row + len(times)
    if not n_steps:
        raise UnreadableError(
            f"{path}: {row} times are too few for a sampling rate. "
            "Give more rows, or remove the column of times."
        )
    fs = _rounded_rate(n_steps / steps_s, tolerance=max(2e-4, 0.5 / n_steps))
    skipped = np.cumsum([0, *(max(round(gap_s * fs) - 1, 0) for gap_s in gaps[1:])])
    return Grid(fs, np.array(rows), np.array(rows) + skipped)


def _rounded_rate(fs: float, *, tolerance: float) -> float:
    """Return the nearest whole number of Hz if the rate, found from rounded times, is close enough."""
    return float(round(fs)) if abs(fs - round(fs)) < tolerance * fs else fs
