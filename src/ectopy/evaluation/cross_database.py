"""Evaluation across databases: patients that no network has seen, on one database and on all together.

There are two kinds of tests. In the first, all databases are pooled, and each patient is analysed by networks
that were trained without the patients of one fold. In the second, the networks were trained without the
database: each patient comes from another database than those of the training.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from ectopy.datasets.doubtful_labels import doubtful_samples, is_near
from ectopy.ec57 import BeatComparison, average, classes_of, compute_metrics, gross, intervals
from ectopy.ec57.reference import DETECTED, EC57_MAP, GIVEN, Reference
from ectopy.ecg import Samples
from ectopy.evaluation.aggregate import Spread, spread
from ectopy.evaluation.evaluate_record import RecordEvaluation
from ectopy.evaluation.headline_metrics import HEADLINE
from ectopy.model.training_sources import MATCH_S

WITHOUT_DOUBTFUL = "without doubtful labels"
VIEWS: Mapping[str, str] = MappingProxyType(
    {
        DETECTED: "Detected beats, escape beats as N (de Chazal's map)",
        EC57_MAP: "Detected beats, escape beats as SVEB (EC57's map)",
        WITHOUT_DOUBTFUL: "Detected beats, escape beats as N, beats with a doubtful label as unclassifiable",
        GIVEN: "Given R peaks, escape beats as N (de Chazal's map)",
    }
)
"""How the beats are compared, with titles."""
_UNCLASSIFIABLE = "Q"


@dataclass(frozen=True, eq=False)
class CrossTest:
    """A test on patients that no network has seen.

    ``evaluations`` are by key of the record, such as ``mitdb/101``. ``training`` are the databases of the
    networks.
    """

    name: str
    training: tuple[str, ...]
    tested: tuple[str, ...]
    evaluations: Mapping[str, RecordEvaluation]

    @property
    def n_patients(self) -> int:
        """Number of patients."""
        return len({evaluation.reference.patient for evaluation in self.evaluations.values()})

    def on(self, database: str) -> "CrossTest":
        """Return the part of the test that is on one database."""
        part = {
            key: evaluation for key, evaluation in self.evaluations.items() if key.startswith(f"{database}/")
        }
        return replace(self, tested=(database,), evaluations=part)

    def parts(self) -> list["CrossTest"]:
        """Return the whole test, and its part on each database if there are several."""
        return [self, *(self.on(database) for database in self.tested)] if len(self.tested) > 1 else [self]

    def beats(self, view: str) -> dict[str, BeatComparison]:
        """Return the beat comparison of each record by the ensemble, in one of VIEWS."""
        return {key: _compare(key, evaluation, view) for key, evaluation in self.evaluations.items()}


def _compare(key: str, evaluation: RecordEvaluation, view: str) -> BeatComparison:
    if view != WITHOUT_DOUBTFUL:
        return evaluation.by_condition[view].beats
    database, _, record = key.partition("/")
    reference = evaluation.reference
    return without_doubtful(reference, doubtful_samples(database, record)).compare(evaluation.test)


def without_doubtful(reference: Reference, doubtful: Samples) -> Reference:
    """Return a reference in which beats with a doubtful label are unclassifiable.

    They still count for the detection of beats. As beats of class Q, they are neither missed nor false VEB or
    SVEB (EC57).

    Parameters
    ----------
    reference
        The annotated record.
    doubtful
        Samples [n] of the doubtful beats, in order of time.

    Returns
    -------
    The same record with other symbols.
    """
    annotations, tolerance = reference.annotations, round(MATCH_S * reference.fs)
    is_beat = classes_of(annotations.symbol) != ""
    is_doubtful = is_beat & is_near(annotations.sample, doubtful, tolerance)
    symbol = np.where(is_doubtful, _UNCLASSIFIABLE, annotations.symbol)
    return replace(reference, annotations=replace(annotations, symbol=symbol))


@dataclass(frozen=True, eq=False)
class Summary:
    """The headline metrics of a test in one view, as fractions by name, such as ``veb_f1``.

    ``low`` and ``high`` are the 95 % interval of ``gross`` by bootstrap over patients. ``seeds`` is the
    spread of the gross metric over single networks, which is known for detected beats and de Chazal's map.
    """

    gross: Mapping[str, float]
    low: Mapping[str, float]
    high: Mapping[str, float]
    average: Mapping[str, float]
    seeds: Mapping[str, Spread]


def summarise(test: CrossTest, view: str) -> Summary:
    """Compute the headline metrics of a test.

    Parameters
    ----------
    test
        The test.
    view
        One of VIEWS.

    Returns
    -------
    Metrics, intervals and spread.
    """
    beats = test.beats(view)
    by_patient: dict[str, list[BeatComparison]] = {}
    for key, comparison in beats.items():
        by_patient.setdefault(test.evaluations[key].reference.patient, []).append(comparison)
    bounds = intervals(by_patient.values(), rng=np.random.default_rng(0))
    pooled, mean = compute_metrics(gross(beats.values())), average([*beats.values()])
    return Summary(
        gross={name: pooled[name] for name in HEADLINE},
        low={name: bounds[name][0] for name in HEADLINE},
        high={name: bounds[name][1] for name in HEADLINE},
        average={name: mean[name] for name in HEADLINE},
        seeds=_seeds(test) if view == DETECTED else {},
    )


def _seeds(test: CrossTest) -> dict[str, Spread]:
    by_record = [[member.beats for member in each.members] for each in test.evaluations.values()]
    spreads = spread([compute_metrics(gross(beats)) for beats in zip(*by_record, strict=True)])
    return {name: spreads[name] for name in HEADLINE if name in spreads}


def metrics_of(test: CrossTest) -> dict[str, float]:
    """Return all metrics of a test by name, such as ``svdb/detected/gross/veb_f1``, to be logged.

    The first part is the database, or ``all``. Bounds end in ``_low`` and ``_high``, and the spread over
    single networks in ``_mean`` and ``_sd``.
    """
    metrics: dict[str, float] = {}
    for part in test.parts():
        where = part.tested[0] if len(part.tested) == 1 else "all"
        for view in VIEWS:
            summary, prefix = summarise(part, view), f"{where}/{view.replace(' ', '_')}"
            for name in HEADLINE:
                metrics[f"{prefix}/gross/{name}"] = summary.gross[name]
                metrics[f"{prefix}/gross/{name}_low"] = summary.low[name]
                metrics[f"{prefix}/gross/{name}_high"] = summary.high[name]
                metrics[f"{prefix}/average/{name}"] = summary.average[name]
                if name in summary.seeds:
                    metrics[f"{prefix}/gross/{name}_mean"] = summary.seeds[name].mean
                    metrics[f"{prefix}/gross/{name}_sd"] = summary.seeds[name].sd
    return metrics
