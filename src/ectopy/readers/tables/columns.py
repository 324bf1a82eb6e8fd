"""What the columns of a table are, by their names, and which samples its times stand for."""

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
    """Columns by number: the time, in units of ``time_s`` seconds; leads with their names and mV a unit."""

    time: int | None
    time_s: float
    leads: Mapping[int, str]
    in_mv: Mapping[int, float]
    named: bool
    """Whether a name says that it is ECG."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Rate in Hz, and runs of rows without a gap: the first row of each and the sample that it is."""

    fs: float
    row: NDArray[np.int64]
    sample: NDArray[np.int64]


def split_unit(name: str) -> tuple[str, str]:
    """Part ``II (mV)``, ``II [uV]`` and ``time_ms`` into name and unit; the unit may be empty."""
    found = _WITH_UNIT.fullmatch(name)
    unit = found["unit"].casefold() if found else ""
    if found and (millivolts(unit) or unit in SECONDS):
        return found["name"].strip(), unit
    return name, ""


def infer_columns(
    names: Sequence[str], units: Sequence[str] = (), *, unit: str = "", lead: str = ""
) -> Columns:
    """Tell the columns apart by name; ``unit`` is what the table says of all leads, ``lead`` of its one."""
    parts = [split_unit(name.strip(" '\"\ufeff")[:_LONGEST_NAME]) for name in names]
    plain = [name for name, _ in parts]
    own = [said or (units[at].strip(" '\"") if at < len(units) else "") for at, (_, said) in enumerate(parts)]
    time = next(
        (at for at, name in enumerate(plain) if _TIME.fullmatch(name) and not millivolts(own[at])), None
    )
    in_mv = {at: millivolts(own[at] or unit or "mV") for at in range(len(plain)) if at != time}
    volts = {at: factor for at, factor in in_mv.items() if factor}
    known = {at: name for at in volts if (name := lead_of(plain[at]))}
    found = known or {
        at: lead if lead and len(volts) == 1 else plain[at] or f"lead {at + 1}"
        for at in volts
        if not _COUNTER.fullmatch(plain[at])
        and not is_other(plain[at])
        and (_VALUES.fullmatch(plain[at]) or is_numbered(plain[at]))
    }
    return Columns(
        time=time,
        time_s=_seconds(own[time], plain[time]) if time is not None else 1.0,
        leads=dict(zip(found, unique_names(found.values()), strict=True)),
        in_mv={at: volts[at] for at in found},
        named=bool(known) or bool(found and (time is not None or lead)),
    )


def _seconds(unit: str, name: str) -> float:
    return SECONDS.get(unit.casefold(), SECONDS.get(name.casefold(), 1.0))


def rate_in(metadata: Mapping[str, str]) -> float | None:
    """Give the rate in Hz that keys such as ``fs`` say; None where none does."""
    for key, value in metadata.items():
        found = re.search(r"\d+(\.\d+)?", value)
        if re.sub(r"[\s\-]+", "_", key.strip().casefold()) in RATE_KEYS and found:
            return float(found[0])
    return None


def infer_time_grid(path: Path, batches: Iterable[NDArray[np.float64]]) -> Grid:
    """Find rate and gaps of times in s, in order, by batch; refuse times that are not evenly spaced."""
    steps_s, n_steps, n_uneven, period_s = 0.0, 0, 0, 0.0
    rows, gaps = [0], [0.0]
    last, row = None, 0
    for times in batches:
        joined = times if last is None else np.concatenate(([last], times))
        steps = np.diff(joined)
        if not np.isfinite(joined).all() or (steps <= 0).any():
            raise UnreadableError(f"{path}: times in order expected, others came")
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
            raise UnreadableError(f"{path}: evenly spaced times expected, others came")
        if len(times):
            last, row = times[-1], row + len(times)
    if not n_steps:
        raise UnreadableError(f"{path}: at least two times expected, {row} came")
    fs = rounded_rate(n_steps / steps_s, tolerance=max(2e-4, 0.5 / n_steps))
    skipped = np.cumsum([0, *(max(round(gap_s * fs) - 1, 0) for gap_s in gaps[1:])])
    return Grid(fs, np.array(rows), np.array(rows) + skipped)


def rounded_rate(fs: float, *, tolerance: float) -> float:
    """Give the whole number of Hz that a rate taken from written times stands for, if it is so near."""
    return float(round(fs)) if abs(fs - round(fs)) < tolerance * fs else fs
