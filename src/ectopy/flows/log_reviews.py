"""Log what readers confirmed and corrected as an MLflow run."""

from collections.abc import Sequence
from pathlib import Path

from ectopy.registry import runs
from ectopy.review.agreement import Review, read_reviews, review_metrics, review_table
from ectopy.review.corrections import CorrectionsError
from ectopy.rhythm.wording import count
from ectopy.settings import load_settings


def log_reviews(
    outs: Sequence[Path], experiment: str = "ectopy-review", tracking_uri: str | None = None
) -> str:
    """Log the confirmed recordings of some folders of results.

    Parameters
    ----------
    outs
        Folders of results.
    experiment
        The name of the MLflow experiment.
    tracking_uri
        The MLflow tracking store; by default that of the settings.

    Returns
    -------
    What was logged, in one line.
    """
    reviews = [review for out in outs for review in read_reviews(out)]
    if not reviews:
        raise CorrectionsError(
            f"{', '.join(map(str, outs))}: no confirmed recording. Confirm some with `ectopy review`."
        )
    runs.connect(tracking_uri or load_settings().tracking_uri, experiment)
    return log_review_batch(reviews, nested=False)


def log_review_batch(reviews: Sequence[Review], *, nested: bool) -> str:
    """Log reviews as a run.

    Parameters
    ----------
    reviews
        The reviews, at least one.
    nested
        Whether it is a child of the run in progress.

    Returns
    -------
    What was logged, in one line.
    """
    metrics = review_metrics(reviews)
    with runs.run(
        f"review of {count(len(reviews), 'recording')}",
        description="What readers corrected and confirmed. `reviews.json` has each recording.",
        nested=nested,
        log_system_metrics=False,
    ):
        runs.log_results(metrics, [name for name in metrics if not name.startswith("ec57/average/")])
        runs.log_table(review_table(reviews), "reviews.json")
    return (
        f"{count(len(reviews), 'recording')} confirmed, "
        f"{metrics['corrections_per_1000_beats']:.1f} corrections per 1,000 beats, "
        f"{metrics['decisions/median']:g} decisions and {metrics['seconds/median']:g} s in the median"
    )
