"""Find annotated beats whose label is doubtful, without a model that saw the patient.

Two witnesses must agree that a label is wrong, and on the class that would be right:

* **Networks** of several seeds and fold splits, each trained without the patient. All of them give the same
  class, with at least the probability that they give on average to beats labelled so. This is the threshold
  of confident learning (Northcutt et al. 2021).
* **Rules** of timing and shape, the same for all patients, which no network has learned. They compare the
  beat with the patient's own normal beats. Each rule has a name in :data:`RULES`.

A network alone proves nothing: where it disagrees with a label, the error is usually its own. A rule alone
proves little: in atrial fibrillation any interval is possible. A rule keeps silent where the label could be
right, such as after an interpolated ventricular beat.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ectopy.datasets.doubtful_labels import DoubtfulLabel
from ectopy.ec57 import match_beats
from ectopy.ecg import Labels, Mask
from ectopy.features.extraction import FEATURE_NAMES, Floats
from ectopy.model.calibration import OutOfFoldPrediction
from ectopy.model.classifier import softmax
from ectopy.model.training_sources import MATCH_S, TRAINED_LABELS

RULES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "early, not marked": (
            "N to S",
            "shaped like the normal beats, early after a normal interval, and the next interval is not short",
        ),
        "early, shaped like normal, no compensation": (
            "V to S",
            "shaped like the normal beats, early, and the pause is too short to be compensatory",
        ),
        "on time, shaped like its neighbours": (
            "S or V to N",
            "shaped like the normal beats, neither early nor followed by a pause, between beats labelled N",
        ),
        "wide, unlike normal": (
            "N or S to V",
            "wide and of another shape; compensated, or a rare shape that is usually early or with a pause",
        ),
    }
)
"""Meaning of each rule: the labels and the class it suggests, and what it finds in the beat."""

DELIBERATE = "aJejE"
"""Symbols that say more than S, N or V; whoever wrote them looked closely, so they are never doubted."""

# Logs of ratios of intervals, as in the timing features.
_EARLY, _NOT_EARLY = -0.12, -0.08
_ON_TIME, _NO_PAUSE = -0.05, 0.06
_COMPENSATED = 0.08  # RR and the next RR make two usual ones within this
# Shape in spreads of the normal beats, and log of width.
_LIKE_CORRELATION, _LIKE_RESIDUAL = -1.0, 1.0
_UNLIKE_CORRELATION, _UNLIKE_RESIDUAL, _WIDER = -1.3, 1.7, 0.25
_FEW = np.log(0.01 + 0.1)  # a tenth of the beats, in the units of the feature
_USUALLY_EARLY, _USUALLY_PAUSE = -0.1, 0.15


class Suggestions(NamedTuple):
    """For each beat the class that contradicts its label, and the rule; '' where nothing contradicts."""

    label: Labels
    rule: NDArray[np.str_]


def find_doubtful_labels(runs: Sequence[Sequence[OutOfFoldPrediction]]) -> list[DoubtfulLabel]:
    """Find the beats whose label both the networks and a rule contradict.

    Parameters
    ----------
    runs
        Predictions for the detected beats of the same records, from networks of several seeds or fold splits.
        No network was trained on the patient of its record.

    Returns
    -------
    The doubtful labels, by record and in order of time.
    """
    by_record: dict[str, list[OutOfFoldPrediction]] = {}
    for prediction in (prediction for run in runs for prediction in run):
        by_record.setdefault(prediction.sequence.record, []).append(prediction)
    records = [predictions for _, predictions in sorted(by_record.items())]
    thresholds = class_thresholds(records)
    return [doubt for predictions in records for doubt in _doubts(predictions, thresholds)]


def class_thresholds(records: Sequence[Sequence[OutOfFoldPrediction]]) -> Floats:
    """Compute the mean probability that the networks give to a class on the beats labelled so.

    Parameters
    ----------
    records
        For each record the predictions of all networks.

    Returns
    -------
    [n_labels], in the order of TRAINED_LABELS; 1 for a class without beats.
    """
    label = np.concatenate([predictions[0].sequence.label for predictions in records])
    probability = np.concatenate([_mean_probability(predictions) for predictions in records])
    return np.array(
        [
            probability[label == name, index].mean() if (label == name).any() else 1.0
            for index, name in enumerate(TRAINED_LABELS)
        ],
        dtype=np.float32,
    )


def agreed_labels(predictions: Sequence[OutOfFoldPrediction], thresholds: Floats) -> Labels:
    """Return the class on which all networks agree with confidence.

    Parameters
    ----------
    predictions
        The predictions of all networks for one record.
    thresholds
        [n_labels], the least mean probability of each class; see :func:`class_thresholds`.

    Returns
    -------
    Labels [n]; '' where the networks disagree or are not confident.
    """
    votes = np.stack([prediction.logits.argmax(axis=1) for prediction in predictions])
    agreed, rows = votes[0], np.arange(votes.shape[1])
    confident = _mean_probability(predictions)[rows, agreed] >= thresholds[agreed]
    return np.where((votes == agreed).all(axis=0) & confident, np.array(TRAINED_LABELS)[agreed], "")


def contradictions(features: Floats, label: Labels) -> Suggestions:
    """Apply the rules of timing and shape to the beats of a record.

    Parameters
    ----------
    features
        [n, k], the features of consecutive beats.
    label
        [n], their labels; '' is never contradicted.

    Returns
    -------
    The suggested class and the rule, or '' and ''.
    """

    def feature(name: str) -> Floats:
        return np.asarray(features[:, FEATURE_NAMES.index(name)])

    rr, two = feature("rr over local median"), feature("two rr over two local medians")
    next_over_rr, rr_over_before = feature("next rr over rr"), feature("rr over rr before")
    correlation, residual = feature("correlation in own spread"), feature("residual in own spread")
    like_normal = (correlation > _LIKE_CORRELATION) & (residual < _LIKE_RESIDUAL)
    wide = (correlation < _UNLIKE_CORRELATION) & (residual > _UNLIKE_RESIDUAL) & (_width(features) > _WIDER)
    early = rr < _EARLY
    single = early & (rr - rr_over_before > _NOT_EARLY) & (rr + next_over_rr > _ON_TIME)
    on_time = (rr > _ON_TIME) & (rr_over_before > -_NO_PAUSE) & (next_over_rr < _NO_PAUSE)
    ectopic_shape = (feature("share of similar beats") < _FEW) & (
        (feature("prematurity of similar beats") < _USUALLY_EARLY)
        | (feature("pause after similar beats") > _USUALLY_PAUSE)
    )
    between_normal = _between_normal(label)
    found = {
        "early, not marked": (label == "N") & like_normal & single & between_normal,
        "early, shaped like normal, no compensation": (
            (label == "V") & like_normal & single & (two < -_COMPENSATED)
        ),
        "on time, shaped like its neighbours": (
            np.isin(label, ["S", "V"]) & like_normal & on_time & between_normal
        ),
        "wide, unlike normal": (
            np.isin(label, ["N", "S"]) & wide & ((early & (np.abs(two) < _COMPENSATED)) | ectopic_shape)
        ),
    }
    suggested, rule = np.full(len(label), "", dtype="U1"), np.full(len(label), "", dtype="U64")
    for name, where in found.items():
        suggested[where], rule[where] = RULES[name][0][-1], name
    return Suggestions(suggested, rule)


def _doubts(predictions: Sequence[OutOfFoldPrediction], thresholds: Floats) -> list[DoubtfulLabel]:
    sequence, reference = predictions[0].sequence, predictions[0].reference
    suggestions = contradictions(sequence.features, sequence.label)
    agreed = agreed_labels(predictions, thresholds)
    annotations = reference.annotations
    matches = match_beats(annotations.sample, sequence.sample, tolerance=round(MATCH_S * reference.fs))
    database, _, record = sequence.record.rpartition("/")
    return [
        DoubtfulLabel(
            database,
            record,
            int(annotations.sample[annotated]),
            str(sequence.label[beat]),
            str(agreed[beat]),
            str(suggestions.rule[beat]),
        )
        for annotated, beat in zip(matches.reference, matches.test, strict=True)
        if suggestions.label[beat] == agreed[beat] != "" and annotations.symbol[annotated] not in DELIBERATE
    ]


def _mean_probability(predictions: Sequence[OutOfFoldPrediction]) -> Floats:
    return np.asarray(np.mean([softmax(prediction.logits) for prediction in predictions], axis=0))


def _width(features: Floats) -> Floats:
    """Compute the mean over the readable leads of the log of QRS width over that of the normal beats."""
    readable, width = (
        np.stack([features[:, FEATURE_NAMES.index(f"lead {lead}: {name}")] for lead in (1, 2)])
        for name in ("readable", "width")
    )
    return np.asarray((width * readable).sum(axis=0) / np.maximum(readable.sum(axis=0), 1))


def _between_normal(label: Labels) -> Mask:
    """Return which beats follow and precede a beat labelled N."""
    normal = np.concatenate(([False], label == "N", [False]))
    return np.asarray(normal[:-2] & normal[2:])
