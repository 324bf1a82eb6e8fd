"""The promotion gate: it decides whether a challenger replaces the champion.

The gate compares the cross-validation of both versions in the training patients. The challenger is promoted
if no metric of :data:`GATE_METRICS` is worse than the champion's and all reach :class:`MinimumScores`.
Metrics on held-out patients have no influence, otherwise the models would be selected on the test set.
:mod:`ectopy.registry.promotion` carries the decision out. A person may decide otherwise with
``ectopy models promote`` or ``rollback``, which ask for a reason.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ectopy.registry import model_versions
from ectopy.registry.model_versions import CHAMPION, ROLLED_BACK, Version

GATE_METRICS = ("gross/veb_f1", "gross/sveb_f1", "average/veb_f1", "average/sveb_f1")
"""Metrics of the cross-validation with detected beats that decide on promotion."""

OUT_OF_FOLD_PREFIX = "out_of_fold/detected/"
"""Prefix of the metrics of the cross-validation with detected beats, on the run that trained a version."""


@dataclass(frozen=True)
class MinimumScores:
    """Gross scores that any champion must reach in cross-validation, as fractions."""

    veb_f1: float = 0.85
    sveb_f1: float = 0.40

    def minimum_of(self, metric: str) -> float:
        """Return the minimum of a metric such as ``gross/veb_f1``."""
        return self.veb_f1 if metric.endswith("/veb_f1") else self.sveb_f1


@dataclass(frozen=True)
class PromotionDecision:
    """Whether a challenger is promoted, and why or why not; ``report`` has the metrics, as Markdown."""

    promoted: bool
    reason: str
    report: str = ""


def decide(challenger: Version, minimum: MinimumScores) -> PromotionDecision:
    """Decide whether a challenger replaces the champion, by cross-validation on the same database.

    A version that was rolled back is not promoted again.

    Parameters
    ----------
    challenger
        The version in question.
    minimum
        The scores that any champion must reach.

    Returns
    -------
    The decision and its reason.
    """
    if cause := model_versions.tags_of(challenger).get(ROLLED_BACK):
        reason = f"it was rolled back: {cause}; `ectopy models promote` promotes it all the same"
        return PromotionDecision(False, reason)
    champion = model_versions.version_by_alias(challenger.model, CHAMPION)
    if champion is None:
        return decide_promotion(out_of_fold_metrics(challenger), None, minimum)
    data, champion_data = (
        model_versions.tags_of(version).get("database") for version in (challenger, champion)
    )
    if data != champion_data:
        reason = (
            f"trained on {data}, the champion on {champion_data}: their metrics cannot be compared. "
            f"`ectopy models promote {challenger.number} --reason ...` promotes it by hand"
        )
        return PromotionDecision(False, reason)
    return decide_promotion(out_of_fold_metrics(challenger), out_of_fold_metrics(champion), minimum)


def decide_promotion(
    challenger: Mapping[str, float], champion: Mapping[str, float] | None, minimum: MinimumScores
) -> PromotionDecision:
    """Compare the out-of-fold metrics of two versions.

    Minimum scores apply to gross metrics only. Averages over records depend on records with a handful of
    ectopic beats.

    Parameters
    ----------
    challenger
        Metrics of the challenger by name, as fractions.
    champion
        Metrics of the champion, or None if there is no champion.
    minimum
        The scores that any champion must reach.

    Returns
    -------
    The decision and its reason.
    """
    failures = [
        f"{metric} {_percent(challenger.get(metric))} is below the minimum of "
        f"{_percent(minimum.minimum_of(metric))}"
        for metric in GATE_METRICS
        if metric.startswith("gross/") and not challenger.get(metric, -1.0) >= minimum.minimum_of(metric)
    ]
    if champion is not None:
        failures += [
            f"{metric} {_percent(challenger.get(metric))} < the champion's {_percent(champion[metric])}"
            for metric in GATE_METRICS
            if metric in champion and not challenger.get(metric, -1.0) >= champion[metric]
        ]
    if failures:
        return PromotionDecision(False, "; ".join(failures))
    scores = ", ".join(
        f"{metric} {_percent(challenger[metric])}" for metric in GATE_METRICS if metric in challenger
    )
    rival = "there is no champion" if champion is None else "at least the champion's"
    return PromotionDecision(True, f"out of fold: {scores}; above the minimum and {rival}")


def out_of_fold_metrics(version: Version) -> dict[str, float]:
    """Read the metrics of a version's cross-validation with detected beats."""
    return model_versions.metrics_of(version, prefix=OUT_OF_FOLD_PREFIX)


def _percent(value: float | None) -> str:
    return "undefined" if value is None or math.isnan(value) else f"{100 * value:.1f} %"
