"""Whether a challenger is promoted: by cross-validation in training patients, never by the examination."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

GATE_METRICS = ("gross/veb_f1", "gross/sveb_f1", "average/veb_f1", "average/sveb_f1")
"""Out-of-fold figures, with detected beats, that decide on promotion."""


@dataclass(frozen=True)
class MinimumScores:
    """What a champion must reach in cross-validation at the very least, as fractions."""

    veb_f1: float = 0.85
    sveb_f1: float = 0.40

    def minimum_of(self, figure: str) -> float:
        """Give the floor of a figure such as ``gross/veb_f1``."""
        return self.veb_f1 if figure.endswith("/veb_f1") else self.sveb_f1


@dataclass(frozen=True)
class PromotionDecision:
    """Whether a challenger is promoted, and why or why not; ``report`` has the figures, as Markdown."""

    promoted: bool
    reason: str
    report: str = ""


def decide_promotion(
    challenger: Mapping[str, float], champion: Mapping[str, float] | None, minimum: MinimumScores
) -> PromotionDecision:
    """Compare out-of-fold figures of training patients; the examination set has no say.

    Only gross figures have floors: a record's average hangs on records with a handful of ectopic beats.
    """
    against = [
        f"{figure} {_percent(challenger.get(figure))} is under the floor of {_percent(minimum.minimum_of(figure))}"
        for figure in GATE_METRICS
        if figure.startswith("gross/") and not challenger.get(figure, -1.0) >= minimum.minimum_of(figure)
    ]
    if champion is not None:
        against += [
            f"{figure} {_percent(challenger.get(figure))} < the champion's {_percent(champion[figure])}"
            for figure in GATE_METRICS
            if figure in champion and not challenger.get(figure, -1.0) >= champion[figure]
        ]
    if against:
        return PromotionDecision(False, "; ".join(against))
    told = ", ".join(f"{figure} {_percent(challenger[figure])}" for figure in GATE_METRICS if figure in challenger)
    rival = "no champion before it" if champion is None else "at least the champion's"
    return PromotionDecision(True, f"out of fold: {told}; above the floors and {rival}")


def _percent(value: float | None) -> str:
    return "undefined" if value is None or math.isnan(value) else f"{100 * value:.1f} %"
