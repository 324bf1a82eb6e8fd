"""How the automatic results agree with the readers who confirmed them: a batch of reviews, for MLflow.

Names of recordings and of readers stay out of it: a recording is named by a hash of its content.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ectopy.annotations import read_annotations
from ectopy.batch.reviews import CONFIRMED, review_folder
from ectopy.ec57 import BeatComparison, compare_beats, compute_metrics
from ectopy.evaluation import headline_metrics
from ectopy.report import REVIEWED
from ectopy.review.confirm import read_changes
from ectopy.review.recordings import open_result, result_names

_RECORD_METRICS = (
    "veb_sensitivity",
    "veb_positive_predictivity",
    "sveb_sensitivity",
    "sveb_positive_predictivity",
)


@dataclass(frozen=True, eq=False)
class Review:
    """A confirmed recording: the content of ``changes.json``, and the automatic beats against the confirmed.

    ``record`` is a hash of its content.
    """

    record: str
    changes: Mapping[str, Any]
    beats: BeatComparison


def read_reviews(out: Path) -> Iterator[Review]:
    """Read the confirmed recordings of a folder of results.

    The beats of all of a recording are compared by EC57, which leaves the first five minutes out elsewhere.

    Parameters
    ----------
    out
        The folder of results.

    Yields
    ------
    The reviews, in order of name.
    """
    for name in result_names(out):
        folder = review_folder(out, name) / CONFIRMED
        if (folder / "changes.json").is_file():
            facts = open_result(out, name, verify=False)
            fs, n_samples = facts.analysis.fs, facts.analysis.n_samples
            confirmed = read_annotations(folder / name, REVIEWED)
            automatic = read_annotations(out / name / name, "ectopy")
            beats = compare_beats(confirmed, automatic, fs, learning_s=0.0, n_samples=n_samples)
            yield Review(str(facts.provenance["input_sha256"])[:12], read_changes(folder), beats)


def review_metrics(reviews: Sequence[Review]) -> dict[str, float]:
    """Compute the metrics of a batch of reviews.

    Parameters
    ----------
    reviews
        The reviews, at least one.

    Returns
    -------
    Metrics by name: corrections, decisions and seconds per recording, and EC57 of the automatic beats.
    """
    values = {
        name: np.array([review.changes[name] for review in reviews], dtype=float)
        for name in ("n_beats", "corrections", "decisions", "seconds")
    }
    n_beats = float(values["n_beats"].sum())
    per_recording = {
        f"{name}/{quantile}": float(np.quantile(values[name], share))
        for name in ("decisions", "seconds")
        for quantile, share in (("median", 0.5), ("p90", 0.9))
    }
    ec57 = headline_metrics.summarise({review.record: review.beats for review in reviews})
    return {
        "recordings": float(len(reviews)),
        "beats": n_beats,
        "corrections": float(values["corrections"].sum()),
        "corrections_per_1000_beats": 1000 * float(values["corrections"].sum()) / n_beats
        if n_beats
        else np.nan,
        **per_recording,
        **{f"ec57/{name}": value for name, value in ec57.items()},
    }


def review_table(reviews: Sequence[Review]) -> dict[str, list[object]]:
    """Return the reviews as a table with one row per recording.

    Parameters
    ----------
    reviews
        The reviews.

    Returns
    -------
    Columns by name.
    """
    changes = ("model_id", "n_beats", "corrections", "corrections_per_1000_beats", "decisions", "seconds")
    table: dict[str, list[object]] = {"record": [review.record for review in reviews]}
    table |= {name: [review.changes[name] for review in reviews] for name in changes}
    metrics = [compute_metrics(review.beats) for review in reviews]
    return table | {name: [values[name] for values in metrics] for name in _RECORD_METRICS}
