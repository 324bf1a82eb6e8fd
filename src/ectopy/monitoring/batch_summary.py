"""What a batch of recordings came to: figures and drift, for the memory of the project.

Rows and reasons can name patients; counts, distributions and kinds of failures cannot.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from heapq import nlargest
from pathlib import Path

import numpy as np

from ectopy.monitoring.drift import (
    MIN_RECORDINGS,
    MONITORED,
    Counts,
    Drift,
    Numbers,
    ReferenceProfile,
    compare,
)

RECORDING_METRICS = {
    "veb_burden_pct": "VEB, % of beats",
    "sveb_burden_pct": "SVEB, % of beats",
    "af_burden_pct": "AF, % of the time",
    "hr_mean_bpm": "mean heart rate, bpm",
    "unreadable_pct": "unreadable, % of the time",
    "unsure_pct": "unsure, % of beats",
}
"""What is told of each recording of a batch, one number each."""
N_WITH_EARLIER = 20
"""Recordings that drift is looked for in where a batch alone has too few: those scored before it are added.

A batch that can be judged is not: what changed in it would be thinned out by what came before.
"""


@dataclass(frozen=True, eq=False)
class BatchSummary:
    """A batch in numbers: ``measured`` has one a recording, by the names of BURDENS, NaN where undefined.

    ``model`` tells which model and where it came from; ``failures`` the recordings by kind of failure.
    """

    model: Mapping[str, str]
    counts: Mapping[str, int]
    failures: Mapping[str, int]
    by_recording: Mapping[str, Numbers]
    extent: Mapping[str, float]
    drift: Drift | None

    @property
    def metrics(self) -> dict[str, float]:
        """All numbers by name: recordings by status, extent, time, quantiles of what was measured, drift."""
        counts = {f"recordings/{status}": float(number) for status, number in self.counts.items()}
        spread = {
            f"{name}/{quantile}": float(np.nanquantile(values, at))
            for name, values in self.by_recording.items()
            if np.isfinite(values).any()
            for quantile, at in (("p10", 0.1), ("median", 0.5), ("p90", 0.9), ("max", 1.0))
        }
        return {**counts, **self.extent, **spread, **(self.drift.metrics if self.drift else {})}

    @property
    def drifted(self) -> bool:
        """Whether the recordings are unlike those learned from."""
        return bool(self.drift and self.drift.exceeds_bound.any())

    @property
    def verdict(self) -> str:
        """Say in one line whether the recordings are like those learned from."""
        return self.drift.verdict if self.drift else "the model has no training patients to compare with"


def summarise_batch(
    rows: Iterable[Mapping[str, object]],
    out: Path,
    *,
    model: Mapping[str, str],
    reference: ReferenceProfile | None,
    time_s: float,
) -> BatchSummary:
    """Sum up the rows of a batch whose results lie in ``out``; those skipped were in an earlier batch.

    ``model`` has ``model``, ``model_id`` and more, as provenance tells them.
    """
    rows = list(rows)
    scored = [row for row in rows if row["status"] == "scored"]
    measured = {name: np.array([_number(row, name) for row in scored]) for name in RECORDING_METRICS}
    duration_s, analysable_s = (
        np.array([_number(row, name) for row in scored]) for name in ("duration_s", "analysable_s")
    )
    n_beats = np.array([_number(row, "n_beats") for row in scored])
    n_unsure = np.array([_n_unsure(out / str(row["recording"])) for row in scored], dtype=float)
    measured["unreadable_pct"] = 100 * _ratio(duration_s - analysable_s, duration_s)
    measured["unsure_pct"] = 100 * _ratio(n_unsure, n_beats)
    reasons = (failure_kind(str(row["reason"]), Path(str(row["path"]))) for row in rows if row["status"] == "failed")
    return BatchSummary(
        model=model,
        counts={
            status: sum(row["status"] == status for row in rows) for status in ("scored", "failed", "skipped")
        },
        failures=dict(Counter(reasons).most_common()),
        by_recording=measured,
        extent={
            "time_s": time_s,
            "recorded_h": float(duration_s.sum() / 3600),
            "recorded_h_per_hour": float(duration_s.sum() / time_s),
            "beats": float(n_beats.sum()),
            "unreadable_pct": 100 * float(_ratio((duration_s - analysable_s).sum(), duration_s.sum())),
            "unsure_pct": 100 * float(_ratio(n_unsure.sum(), n_beats.sum())),
        },
        drift=compare(reference, read_profiles(scored, out, model["model_id"])) if reference else None,
    )


def read_profiles(scored: Sequence[Mapping[str, object]], out: Path, model_id: str) -> list[Counts]:
    """Read the profiles of a batch and, where it is too small, of those that the model scored last before."""
    paths = [out / str(row["recording"]) / "summary.json" for row in scored]
    if len(paths) < MIN_RECORDINGS:
        others = set(out.glob("[!.]*/summary.json")) - set(paths)
        paths += nlargest(N_WITH_EARLIER - len(paths), others, key=lambda path: path.stat().st_mtime_ns)
    read = (_profile(path, model_id) for path in paths)
    return [profile for profile in read if profile is not None]


def _profile(path: Path, model_id: str) -> Counts | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["provenance"]["model_id"] == model_id and told["profile"]:
            return np.array([told["profile"][name] for name in MONITORED], dtype=np.int64)
    return None


def failure_kind(reason: str, source: Path) -> str:
    """Give the kind of a failure: its reason without files, which may bear names, and without numbers."""
    for name in (str(source.with_suffix("")), str(source.parent), source.stem):
        if name not in {"", ".", "/"}:
            reason = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "", reason)
    reason = re.sub(r"'[^']*'|\S*(?:/|\.[A-Za-z])\S*", "a file", reason)
    return re.sub(r"\d+(\.\d+)?", "N", reason.removeprefix("a file ")).strip(": ")


def _n_unsure(folder: Path) -> int:
    """Count the beats that the classifier abstains on."""
    from pyarrow import parquet

    confident = parquet.read_table(folder / "beats.parquet", columns=["confident"])["confident"].to_numpy()
    return int(np.count_nonzero(~confident))


def _number(row: Mapping[str, object], name: str) -> float:
    value = row.get(name)
    return float("nan") if value in {None, ""} else float(str(value))


def _ratio(part: Numbers, whole: Numbers) -> Numbers:
    """Divide, NaN by nothing."""
    undefined = np.full(np.shape(whole), np.nan)
    return np.asarray(np.divide(part, whole, out=undefined, where=np.asarray(whole) > 0))
