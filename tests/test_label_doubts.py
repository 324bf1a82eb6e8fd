"""Doubtful labels of beats made here: shape and interval of each beat are chosen, then some labels changed."""

from dataclasses import replace

import numpy as np
import pytest

from ectopy.annotations import Annotations
from ectopy.beats.windows import BEFORE, WINDOW, WINDOW_FS, BeatWindows
from ectopy.datasets.doubtful_labels import DoubtfulLabel
from ectopy.ec57.reference import Reference
from ectopy.features.extraction import extract_features
from ectopy.model import label_doubts
from ectopy.model.calibration import OutOfFoldPrediction
from ectopy.model.label_doubts import RULES, contradictions, find_doubtful_labels
from ectopy.model.training_set import TrainingSequence
from ectopy.model.training_sources import TRAINED_LABELS
from ectopy.signal.filters import WORKING_FS

ALL_NORMAL = "N" * 96
RR_S = {"N": (0.80, 0.80), "S": (0.56, 0.86), "V": (0.50, 1.10), "I": (0.40, 0.40), "L": (0.78, 0.82)}
"""RR and next RR of each kind: I is an interpolated and L a late (end-diastolic) ventricular beat."""
WIDE = "VIL"


def placed(kind, *positions, among=ALL_NORMAL):
    kinds = list(among)
    for position in positions:
        kinds[position] = kind
    return "".join(kinds)


TRUTH = placed("S", 11, among=placed("V", 81))
"""Each class is there, so that each has a usual probability."""


def wave(time_s, centre_s, width_s):
    return np.exp(-(((time_s - centre_s) / width_s) ** 2))


def beats_of(kinds):
    rr_s = np.full(len(kinds) + 1, 0.80)
    for index, kind in enumerate(kinds):
        if kind != "N":
            rr_s[index : index + 2] = RR_S[kind]
    rng = np.random.default_rng(0)
    time_s = (np.arange(WINDOW) - BEFORE) / WINDOW_FS
    normal = wave(time_s, 0.0, 0.02) - 0.3 * wave(time_s, 0.04, 0.02) + 0.2 * wave(time_s, 0.28, 0.06)
    wide = -0.9 * wave(time_s, 0.03, 0.06) + 0.4 * wave(time_s, 0.34, 0.08)
    shape = np.array([wide if kind in WIDE else normal for kind in kinds])
    leads = np.stack([shape, 0.6 * shape], axis=1) + 0.04 * rng.standard_normal((len(kinds), 2, WINDOW))
    scale = np.abs(leads).max(axis=2)
    jitter_s = 0.01 * rng.standard_normal(len(kinds))
    return BeatWindows(
        np.round((np.cumsum(rr_s[:-1]) + jitter_s) * WORKING_FS).astype(np.int64),
        (leads / scale[..., None]).astype(np.float16),
        scale.astype(np.float32),
        np.ones((len(kinds), 2), dtype=bool),
        np.zeros(len(kinds), dtype=bool),
    )


def true_labels(kinds):
    return np.array(list(kinds.replace("I", "V").replace("L", "V")))


def logits_for(label, confidence=4.0):
    """Return logits that are half as confident on every fifth beat, as networks differ between beats."""
    confidences = np.where(np.arange(len(label)) % 5 == 1, confidence / 2, confidence)
    return (confidences[:, None] * (label[:, None] == np.array(TRAINED_LABELS))).astype(np.float32)


def prediction_of(kinds, label, logits, *, symbols=None, record="svdb/800"):
    beats = beats_of(kinds)
    symbol = np.array(list(symbols)) if symbols else label
    annotations = Annotations(beats.sample, symbol, np.zeros(len(label), int), ("",) * len(label))
    reference = Reference(record, record, annotations, WORKING_FS, int(beats.sample[-1]) + 400)
    sequence = TrainingSequence(record, record, "detected", beats.sample, extract_features(beats), label)
    return OutOfFoldPrediction(sequence, reference, logits)


def doubts(kinds, label, predicted, *, symbols=None):
    """Find doubtful labels where two networks predict these classes."""
    runs = [[prediction_of(kinds, label, logits_for(predicted, c), symbols=symbols)] for c in (4.0, 5.0)]
    return find_doubtful_labels(runs)


WRONG = [
    ("S", "N", "early, not marked"),
    ("S", "V", "early, shaped like normal, no compensation"),
    ("N", "S", "on time, shaped like its neighbours"),
    ("N", "V", "on time, shaped like its neighbours"),
    ("V", "S", "wide, unlike normal"),
    ("V", "N", "wide, unlike normal"),
]


class TestPlantedLabels:
    @pytest.mark.parametrize(("kind", "given", "rule"), WRONG)
    def test_a_wrong_label_is_found_with_its_class_and_its_rule(self, kind, given, rule):
        kinds = placed(kind, 20, 40, 60, among=TRUTH)
        truth = true_labels(kinds)
        label = truth.copy()
        label[40] = given
        sample = int(beats_of(kinds).sample[40])
        assert doubts(kinds, label, truth) == [DoubtfulLabel("svdb", "800", sample, given, kind, rule)]

    def test_a_late_ventricular_beat_is_found_by_its_shape_where_others_of_that_shape_are_early(self):
        kinds = placed("L", 40, among=placed("V", 20, 30, 60, 70, among=TRUTH))
        label = true_labels(kinds)
        label[40] = "N"
        (doubt,) = doubts(kinds, label, true_labels(kinds))
        assert (doubt.label, doubt.suggested, doubt.reason) == ("N", "V", "wide, unlike normal")

    def test_doubts_come_by_record_and_in_order_of_time(self):
        kinds = placed("S", 20, 40, among=TRUTH)
        label = true_labels(TRUTH)
        run = [
            prediction_of(kinds, label, logits_for(true_labels(kinds)), record=record)
            for record in ("svdb/801", "mitdb/101")
        ]
        found = [(doubt.database, doubt.record, doubt.sample) for doubt in find_doubtful_labels([run])]
        early, late = beats_of(kinds).sample[[20, 40]].tolist()
        assert found == [
            (database, record, sample)
            for database, record in (("mitdb", "101"), ("svdb", "801"))
            for sample in (early, late)
        ]


class TestSilence:
    @pytest.mark.parametrize("kind", ["S", "V", "I", "L"])
    def test_true_labels_are_never_doubted_whatever_the_networks_answer(self, kind):
        kinds = placed(kind, 20, 40, 60, among=TRUTH)
        truth = true_labels(kinds)
        for answer in TRAINED_LABELS:
            assert doubts(kinds, truth, np.full(len(truth), answer)) == []

    def test_where_only_the_networks_disagree_nothing_is_found(self):
        label = true_labels(TRUTH)
        for answer in "SV":
            predicted = label.copy()
            predicted[30:50] = answer
            assert doubts(TRUTH, label, predicted) == []

    def test_where_only_a_rule_disagrees_nothing_is_found(self):
        kinds, label = placed("S", 20, 40, among=TRUTH), true_labels(TRUTH)
        assert contradictions(prediction_of(kinds, label, logits_for(label)).sequence.features, label).label[
            20
        ]
        assert doubts(kinds, label, label) == []

    def test_the_beat_after_an_interpolated_one_is_early_for_a_good_reason(self):
        kinds = placed("I", 20, 40, among=TRUTH)
        label = true_labels(kinds)
        predicted = label.copy()
        predicted[[21, 41]] = "S"
        assert doubts(kinds, label, predicted) == []

    def test_bigeminy_labelled_s_is_right_although_s_is_the_usual_interval(self):
        kinds = placed("S", *range(21, 75, 2), among=TRUTH)
        label = true_labels(kinds)
        assert doubts(kinds, label, np.full(len(label), "N")) == []

    def test_beats_without_a_label_are_never_doubted(self):
        kinds = placed("S", 20, 40, among=TRUTH)
        label = true_labels(TRUTH)
        label[[20, 40]] = ""
        assert doubts(kinds, label, true_labels(kinds)) == []

    def test_an_aberrated_beat_is_the_decision_of_its_annotator(self):
        kinds = placed("V", 20, 40, 60, among=TRUTH)
        label = true_labels(kinds)
        label[40] = "S"
        symbols = "".join(label)
        assert len(doubts(kinds, label, true_labels(kinds), symbols=symbols)) == 1
        assert doubts(kinds, label, true_labels(kinds), symbols=symbols[:40] + "a" + symbols[41:]) == []


class TestNetworks:
    def prediction(self, predicted, confidence=4.0):
        label = true_labels(TRUTH)
        return prediction_of(TRUTH, label, logits_for(predicted, confidence))

    def test_one_network_that_disagrees_with_the_others_is_enough_to_keep_silent(self):
        predicted = true_labels(placed("S", 20, 40, among=TRUTH))
        other = predicted.copy()
        other[40] = "N"
        agreed = label_doubts.agreed_labels(
            [self.prediction(predicted), self.prediction(other)], np.zeros(3, np.float32)
        )
        assert agreed[[19, 20, 40]].tolist() == ["N", "S", ""]

    def test_a_class_given_with_less_than_its_usual_probability_does_not_count(self):
        predictions = [self.prediction(true_labels(placed("S", 20, among=TRUTH)), confidence=1.0)]
        usual = label_doubts.agreed_labels(predictions, np.array([0.5, 0.57, 0.5], np.float32))
        strict = label_doubts.agreed_labels(predictions, np.array([0.5, 0.58, 0.5], np.float32))
        assert (usual[20], strict[20]) == ("S", "")  # softmax of (0, 1, 0) is 0.576

    def test_thresholds_are_the_mean_probability_of_a_class_on_its_own_beats(self):
        label = np.array(list("NNSV" * 24))
        logits = 9.0 * (label[:, None] == np.array(TRAINED_LABELS))
        logits[::4] = 0.0  # half of the beats labelled N: a third for each class
        prediction = self.prediction(label)
        sequence = replace(prediction.sequence, label=label)
        thresholds = label_doubts.class_thresholds([[replace(prediction, sequence=sequence, logits=logits)]])
        assert thresholds == pytest.approx([(1 + 1 / 3) / 2, 1, 1], abs=1e-3)

    def test_a_class_that_nobody_has_is_never_suggested(self):
        label = true_labels(ALL_NORMAL)
        prediction = prediction_of(ALL_NORMAL, label, logits_for(label))
        assert label_doubts.class_thresholds([[prediction]])[1:].tolist() == [1, 1]


def test_every_rule_is_documented_with_the_class_that_it_suggests():
    assert {rule for _, _, rule in WRONG} == set(RULES)
    assert {change.rpartition(" ")[2] for change, _ in RULES.values()} == set(TRAINED_LABELS)
