"""Summary of a batch of recordings: metrics, kinds of failures and drift, for MLflow.

Rows and failure reasons can contain the names of patients. Counts, distributions and kinds of failures
cannot, so only these are logged.
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
    N_BINS,
    Counts,
    Drift,
    Numbers,
    ReferenceProfile,
    compare,
)

RECORDING_METRICS = {
    "veb_burden_pct": "VEB, % of beats",
    "sveb_burden_pct": "SVEB, % of beats",
    "af_burden_pct": "AF or flutter, % of the time",
    "hr_mean_bpm": "mean heart rate, bpm",
    "unreadable_pct": "unreadable, % of the time",
    "unsure_pct": "low confidence, % of beats",
}
"""Metrics of each recording of a batch, with their titles in plots."""
HEADLINE = (
    *("recordings/scored", "recordings/failed", "recordings/skipped"),
    *("beats", "recorded_h", "time_s", "recorded_h_per_hour", "unreadable_pct", "unsure_pct"),
    *(f"{name}/median" for name in ("veb_burden_pct", "sveb_burden_pct", "af_burden_pct", "hr_mean_bpm")),
    *("drift/recordings", "drift/crossed", "drift/farthest"),
    *("readers/recordings", "readers/agreement_pct", "readers/corrections_per_1000_beats"),
)
"""Metrics of a batch that its run shows in MLflow; its table has all."""
N_WITH_EARLIER = 20
"""Number of recordings to compare if a batch is too small: the ones scored last before it are added.

A batch that is large enough is compared alone, so that earlier recordings do not hide a change in it.
"""

MIN_AGREEMENT_PCT = 95.0
"""Lowest agreement with the readers, in percent of the beats, that is no drift."""
_DAMAGED = (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError)
"""Errors of a ``summary.json`` that somebody changed; its recording is left out."""


@dataclass(frozen=True)
class Agreement:
    """How readers agree with the results of a model: beats of confirmed recordings, and those corrected."""

    n_recordings: int
    n_beats: int
    corrections: int

    @property
    def pct(self) -> float:
        """Share of beats that the readers left as they were, in percent."""
        return 100 * max(1 - self.corrections / self.n_beats, 0.0)

    @property
    def is_low(self) -> bool:
        """Whether it is too low, in enough recordings that a few unusual patients do not explain it."""
        return self.n_recordings >= MIN_RECORDINGS and self.pct < MIN_AGREEMENT_PCT

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics by name."""
        return {
            "readers/recordings": float(self.n_recordings),
            "readers/agreement_pct": self.pct,
            "readers/corrections_per_1000_beats": 1000 * self.corrections / self.n_beats,
        }

    def __str__(self) -> str:
        low = ", too little" if self.is_low else ""
        return f"readers agree on {self.pct:.1f} % of the beats of {self.n_recordings} recordings{low}"


@dataclass(frozen=True, eq=False)
class BatchSummary:
    """Summary of a batch.

    ``origin`` holds the model, its origin and the criteria. ``counts`` are recordings by status, and
    ``failures`` recordings by kind of failure. ``by_recording`` has one value per scored recording for each
    of RECORDING_METRICS, NaN where undefined. ``extent`` has totals of the batch. ``agreement`` is that of
    the readers with all results of the model in the folder, None if nothing was confirmed.
    """

    origin: Mapping[str, str]
    counts: Mapping[str, int]
    failures: Mapping[str, int]
    by_recording: Mapping[str, Numbers]
    extent: Mapping[str, float]
    drift: Drift | None
    agreement: Agreement | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """All metrics by name: counts by status, totals, quantiles over recordings, and drift."""
        counts = {f"recordings/{status}": float(number) for status, number in self.counts.items()}
        quantiles = {
            f"{name}/{quantile}": float(np.nanquantile(values, fraction))
            for name, values in self.by_recording.items()
            if np.isfinite(values).any()
            for quantile, fraction in (("p10", 0.1), ("median", 0.5), ("p90", 0.9), ("max", 1.0))
        }
        drift = {
            **(self.drift.metrics if self.drift else {}),
            **(self.agreement.metrics if self.agreement else {}),
        }
        return {**counts, **self.extent, **quantiles, **drift}

    @property
    def drifted(self) -> bool:
        """Whether the recordings differ from the training patients, or readers disagree with the results."""
        differ = bool(self.drift and self.drift.exceeds_bound.any())
        return differ or bool(self.agreement and self.agreement.is_low)

    @property
    def verdict(self) -> str:
        """One line on whether the recordings differ from the training patients."""
        drift = self.drift.verdict if self.drift else "the model has no profile of its training patients"
        return f"{drift}; {self.agreement}" if self.agreement else drift


def summarise_batch(
    rows: Iterable[Mapping[str, object]],
    out: Path,
    *,
    origin: Mapping[str, str],
    reference: ReferenceProfile | None,
    time_s: float,
) -> BatchSummary:
    """Summarise a batch. Skipped recordings were part of an earlier batch, so they are counted only.

    Parameters
    ----------
    rows
        The rows of ``summary.csv`` for this batch.
    out
        The folder with the results.
    origin
        What all results have in common: ``model``, ``model_id`` and more.
    reference
        Profile of the training patients, or None if the model has none.
    time_s
        Duration of the scoring, in seconds.

    Returns
    -------
    The summary.
    """
    rows = list(rows)
    scored = [row for row in rows if row["status"] == "scored"]
    by_recording = {name: np.array([_number(row, name) for row in scored]) for name in RECORDING_METRICS}
    duration_s, analysable_s = (
        np.array([_number(row, name) for row in scored]) for name in ("duration_s", "analysable_s")
    )
    n_beats = np.array([_number(row, "n_beats") for row in scored])
    n_low_confidence = np.array(
        [_n_low_confidence(out / str(row["recording"])) for row in scored], dtype=float
    )
    by_recording["unreadable_pct"] = 100 * _ratio(duration_s - analysable_s, duration_s)
    by_recording["unsure_pct"] = 100 * _ratio(n_low_confidence, n_beats)
    kinds = (
        failure_kind(str(row["reason"]), Path(str(row["path"]))) for row in rows if row["status"] == "failed"
    )
    return BatchSummary(
        origin=origin,
        counts={
            status: sum(row["status"] == status for row in rows) for status in ("scored", "failed", "skipped")
        },
        failures=dict(Counter(kinds).most_common()),
        by_recording=by_recording,
        extent={
            "time_s": time_s,
            "recorded_h": float(duration_s.sum() / 3600),
            "recorded_h_per_hour": float(duration_s.sum() / time_s),
            "beats": float(n_beats.sum()),
            "unreadable_pct": 100 * float(_ratio((duration_s - analysable_s).sum(), duration_s.sum())),
            "unsure_pct": 100 * float(_ratio(n_low_confidence.sum(), n_beats.sum())),
        },
        drift=compare(reference, read_profiles(scored, out, origin["model_id"], reference.names))
        if reference
        else None,
        agreement=read_agreement(out, origin["model_id"]),
    )


def read_agreement(out: Path, model_id: str) -> Agreement | None:
    """Read how the readers agree with the results of a model.

    Parameters
    ----------
    out
        The folder with the results and their reviews.
    model_id
        Id of the model. Reviews of results of another one are left out.

    Returns
    -------
    The agreement, or None if nothing was confirmed.
    """
    found = (_read_changes(path, model_id) for path in sorted(out.glob("*.review/confirmed/changes.json")))
    counts = [pair for pair in found if pair is not None]
    n_beats, corrections = (sum(numbers) for numbers in zip(*counts, strict=True)) if counts else (0, 0)
    return Agreement(len(counts), n_beats, corrections) if n_beats else None


def _read_changes(path: Path, model_id: str) -> tuple[int, int] | None:
    """Read the number of beats and of corrections; None for another model or a damaged file."""
    with suppress(*_DAMAGED):
        changes = json.loads(path.read_text(encoding="utf-8"))
        counts = int(changes["n_beats"]), int(changes["corrections"])
        return counts if changes["model_id"] == model_id and min(counts) >= 0 else None
    return None


def read_profiles(
    scored: Sequence[Mapping[str, object]], out: Path, model_id: str, names: Sequence[str] = MONITORED
) -> list[Counts]:
    """Read the profiles of a batch; a small batch is extended by the recordings scored last before it.

    Parameters
    ----------
    scored
        Rows of the scored recordings.
    out
        The folder with the results.
    model_id
        Id of the model. Recordings that another model scored are left out.
    names
        The monitored variables of the model.

    Returns
    -------
    Profiles [len(names), N_BINS].
    """
    paths = [out / str(row["recording"]) / "summary.json" for row in scored]
    if len(paths) < MIN_RECORDINGS:
        earlier = set(out.glob("[!.]*/summary.json")) - set(paths)
        paths += nlargest(N_WITH_EARLIER - len(paths), earlier, key=lambda path: path.stat().st_mtime_ns)
    profiles = (_read_profile(path, model_id, names) for path in paths)
    return [profile for profile in profiles if profile is not None]


def _read_profile(path: Path, model_id: str, names: Sequence[str]) -> Counts | None:
    with suppress(*_DAMAGED):
        summary = json.loads(path.read_text(encoding="utf-8"))
        if summary["provenance"]["model_id"] == model_id and summary["profile"]:
            counts = np.array([summary["profile"][name] for name in names], dtype=np.int64)
            return counts if counts.shape == (len(names), N_BINS) else None
    return None


def failure_kind(reason: str, source: Path) -> str:
    """Return the kind of a failure: its reason without file names, which may name patients, and numbers.

    Parameters
    ----------
    reason
        The error message.
    source
        Path of the recording.

    Returns
    -------
    Text that is the same for all recordings with this failure.
    """
    # A folder is removed where it stands as a path: the word "in" of a sentence is no folder of that name.
    for name, end in (
        (source.with_suffix(""), r"(?!\w)"),
        (source.parent, r"(?=[/:]|$)"),
        (source.stem, r"(?!\w)"),
    ):
        if str(name) not in {"", ".", "/"}:
            reason = re.sub(rf"(?<!\w){re.escape(str(name))}{end}", "", reason)
    reason = re.sub(r"'[^']*'|\S*(?:/|\.[A-Za-z])\S*", "a file", reason)
    return re.sub(r"\d+(\.\d+)?", "N", reason.removeprefix("a file ")).strip(": ")


def _n_low_confidence(folder: Path) -> int:
    """Read the number of low-confidence beats of a scored recording."""
    with suppress(*_DAMAGED):
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        return int(summary["figures"]["n_low_confidence"])
    from pyarrow import parquet  # for results of version 0.1, whose summary has no such field

    confident = parquet.read_table(folder / "beats.parquet", columns=["confident"])["confident"].to_numpy()
    return int(np.count_nonzero(~confident))


def _number(row: Mapping[str, object], name: str) -> float:
    value = row.get(name)
    return float("nan") if value in {None, ""} else float(str(value))


def _ratio(part: Numbers, whole: Numbers) -> Numbers:
    """Divide; the result is NaN where the divisor is not positive."""
    undefined = np.full(np.shape(whole), np.nan)
    return np.asarray(np.divide(part, whole, out=undefined, where=np.asarray(whole) > 0))
