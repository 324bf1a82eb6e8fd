"""What the reader is asked first, what an answer changes, and what is not asked again."""

import numpy as np
import pytest

from ectopy.ecg import CLASSES, Analysis, Beats, Event, recording_of
from ectopy.review.clusters import Clusters, cluster_points
from ectopy.review.decisions import (
    ANSWERS,
    Answers,
    Decision,
    adapt,
    answers_in,
    beat_question,
    find_questions,
    follow,
    next_decisions,
)
from ectopy.review.documents import _asked, logged_label
from ectopy.review.edits import ARTEFACT, AcceptEvent, DeleteBeats, Entry, RelabelBeats
from ectopy.review.reviewed_events import event_ref
from ectopy.review.state import replay

FS = 100.0


def probabilities(*rows):
    """Give probabilities of N, S, V, F: rows of (number of beats, p_n, p_s, p_v)."""
    return np.concatenate([np.tile([n, s, v, 1 - n - s - v], (k, 1)) for k, n, s, v in rows]).astype("f4")


def made(*rows, apart=3.0):
    """Give clusters of beats, one for each row of (number, p_n, p_s, p_v), and the labels of the classifier."""
    probability = probabilities(*rows)
    cluster = np.repeat(np.arange(len(rows), dtype=np.int32), [row[0] for row in rows])
    points = np.random.default_rng(0).normal(scale=0.05, size=(len(cluster), 4))
    points[:, 0] += apart * cluster
    clusters = Clusters(100 * np.arange(1, len(cluster) + 1), cluster, points.astype(np.float16))
    label = np.array(CLASSES, dtype="U1")[probability.argmax(axis=1)]
    return clusters, probability, Answers(label, np.zeros(len(label), dtype=bool))


def answer(answers, members, label):
    """Give the answers after one more."""
    labels, answered = answers.label.copy(), answers.answered.copy()
    labels[members], answered[members] = label, True
    return Answers(labels, answered)


def asked(clusters, probability, answers):
    return find_questions(clusters, adapt(clusters, probability, answers), answers)


class TestOrder:
    def test_doubtful_beats_come_before_certain_ones(self):
        clusters, probability, answers = made((500, 0.999, 0.0005, 0.0005), (20, 0.6, 0.1, 0.3))
        assert [question.cluster for question in asked(clusters, probability, answers)] == [1, 0]

    def test_the_larger_of_two_equally_doubtful_clusters_comes_first(self):
        clusters, probability, answers = made((10, 0.7, 0.1, 0.2), (40, 0.7, 0.1, 0.2))
        assert asked(clusters, probability, answers)[0].cluster == 1

    def test_a_change_counts_relative_to_the_number_of_such_beats(self):
        """Ten beats that may be S matter more beside no S than ten that may be V beside 300 V."""
        clusters, probability, answers = made((300, 0.0, 0.0, 1.0), (10, 0.7, 0.0, 0.3), (10, 0.7, 0.3, 0.0))
        assert asked(clusters, probability, answers)[0].cluster == 2

    def test_beats_of_one_cluster_with_two_labels_are_two_questions(self):
        clusters, probability, answers = made((8, 0.6, 0.4, 0.0), (5, 0.4, 0.6, 0.0))
        together = Clusters(clusters.sample, np.zeros(13, dtype=np.int32), clusters.points)
        questions = asked(together, probability, answers)
        assert {(len(question.members), question.proposal) for question in questions} == {(8, "N"), (5, "S")}

    def test_what_cannot_change_a_count_is_not_asked(self):
        clusters, _, answers = made((50, 1.0, 0.0, 0.0))
        certain = np.eye(len(ANSWERS))[np.zeros(50, dtype=int)]
        assert find_questions(clusters, certain, answers) == []

    def test_the_order_is_the_same_each_time(self):
        clusters, probability, answers = made((9, 0.6, 0.2, 0.2), (9, 0.5, 0.3, 0.2), (30, 0.9, 0.05, 0.05))
        first, second = (asked(clusters, probability, answers) for _ in range(2))
        assert [question.cluster for question in first] == [question.cluster for question in second]

    def test_no_beats_no_questions(self):
        clusters = Clusters(np.empty(0, "i8"), np.empty(0, "i4"), np.empty((0, 4), np.float16))
        nothing = Answers(np.empty(0, "U1"), np.empty(0, dtype=bool))
        assert asked(clusters, probabilities((0, 1, 0, 0)), nothing) == []


class TestAnswers:
    def test_before_the_first_answer_the_classifier_is_believed(self):
        clusters, probability, answers = made((9, 0.6, 0.2, 0.2), (9, 0.1, 0.1, 0.8))
        adapted = adapt(clusters, probability, answers)
        assert adapted[:, : len(CLASSES)] == pytest.approx(probability, abs=0.005)

    def test_nothing_is_asked_twice(self):
        clusters, probability, answers = made((9, 0.6, 0.2, 0.2), (9, 0.5, 0.3, 0.2), (9, 0.4, 0.5, 0.1))
        seen = np.zeros(27, dtype=int)
        while questions := asked(clusters, probability, answers):
            seen[questions[0].members] += 1
            answers = answer(answers, questions[0].members, "N")
        assert seen.max() == 1

    def test_an_answer_tells_of_similar_beats_in_another_cluster(self):
        """Cluster 1 is like cluster 0 and far from cluster 2; all had the same probabilities."""
        clusters, probability, answers = made((30, 0.6, 0.0, 0.4), (30, 0.6, 0.0, 0.4), (30, 0.6, 0.0, 0.4))
        points = clusters.points.copy()
        points[:, 0] = np.repeat([0.0, 0.3, 3.0], 30)
        clusters = Clusters(clusters.sample, clusters.cluster, points)
        answers = answer(answer(answers, clusters.members(0), "V"), clusters.members(2), "N")
        adapted = adapt(clusters, probability, answers)
        assert (ANSWERS[adapted[clusters.members(1)].mean(axis=0).argmax()]) == "V"
        (question,) = asked(clusters, probability, answers)
        assert question.proposal == "V"

    def test_an_artefact_can_be_proposed(self):
        clusters, probability, answers = made((30, 0.4, 0.0, 0.6), (30, 0.4, 0.0, 0.6), apart=0.1)
        adapted = adapt(clusters, probability, answer(answers, clusters.members(0), ARTEFACT))
        assert adapted[clusters.members(1), ANSWERS.index(ARTEFACT)].mean() > 0.3

    def test_probabilities_sum_to_one(self):
        clusters, probability, answers = made((30, 0.6, 0.1, 0.3), (30, 0.2, 0.1, 0.7))
        adapted = adapt(clusters, probability, answer(answers, clusters.members(0), "S"))
        assert adapted.sum(axis=1) == pytest.approx(np.ones(60), abs=1e-5)


class TestFollow:
    def test_open_beats_take_the_likeliest_label(self):
        clusters, probability, answers = made((30, 0.6, 0.0, 0.4), (30, 0.6, 0.0, 0.4), apart=0.1)
        answers = answer(answers, clusters.members(0), "V")
        after = follow(adapt(clusters, probability, answers), answers)
        assert set(after.label[clusters.members(1)].tolist()) == {"V"}

    def test_what_a_reader_answered_stays(self):
        clusters, probability, answers = made((30, 0.999, 0.0, 0.001), (30, 0.999, 0.0, 0.001), apart=0.1)
        answers = answer(answers, clusters.members(0)[:1], "S")
        after = follow(adapt(clusters, probability, answers), answers)
        assert after.label[0] == "S"
        assert after.answered.sum() == 1


def entry(number, action):
    return Entry(number, "2026-11-30T00:00:00Z", "AB", "", action)


@pytest.fixture
def reviewed():
    """A minute of 60 beats in two clusters, the second doubtful, with a run of V in it."""
    clusters, probability, answers = made((50, 0.99, 0.005, 0.005), (10, 0.3, 0.1, 0.6))
    beats = Beats(clusters.sample, answers.label, probability, np.ones(60, dtype=bool), FS)
    recording = recording_of(np.zeros((6200, 1), dtype=np.float32), FS)
    rr_s = np.append(np.nan, np.full(59, 1.0))
    quiet = np.zeros(60, dtype=bool)
    none = np.empty((0, 2), dtype=np.int64)
    run = Event("vt", 51.0, 60.0, 10, 60.0)
    return Analysis(recording, (0,), beats, rr_s, quiet, (run,), none), clusters


class TestNextDecisions:
    def test_a_decision_names_its_beats_and_its_proposal(self, reviewed):
        automatic, clusters = reviewed
        decisions = next_decisions(replay(automatic, ()), clusters)
        first = next(decision for decision in decisions if decision.cluster == 1)
        assert (first.samples == clusters.sample[50:]).all()
        assert first.proposal == "V"
        assert first.question == "10 beats labelled V: ventricular ectopic?"

    def test_gains_never_rise(self, reviewed):
        automatic, clusters = reviewed
        gains = [decision.gain for decision in next_decisions(replay(automatic, ()), clusters)]
        assert gains == sorted(gains, reverse=True)

    def test_labelled_beats_are_not_asked_again(self, reviewed):
        automatic, clusters = reviewed
        relabel = RelabelBeats(clusters.sample[50:], "S", "V" * 10)
        decisions = next_decisions(replay(automatic, [entry(1, relabel)]), clusters)
        assert all(decision.cluster != 1 for decision in decisions)

    def test_deleted_beats_and_artefacts_are_answered(self, reviewed):
        automatic, clusters = reviewed
        edits = [
            entry(1, DeleteBeats(clusters.sample[50:55], "V" * 5)),
            entry(2, RelabelBeats(clusters.sample[55:], ARTEFACT, "V" * 5)),
        ]
        answers = answers_in(replay(automatic, edits), clusters)
        assert answers.label[50:].tolist() == [""] * 5 + [ARTEFACT] * 5
        assert answers.answered.tolist() == [False] * 50 + [True] * 10
        assert all(d.cluster == 0 for d in next_decisions(replay(automatic, edits), clusters) if not d.event)

    def test_an_accepted_event_is_not_asked_again(self, reviewed):
        automatic, clusters = reviewed
        before = replay(automatic, ())
        (event,) = {decision.event for decision in next_decisions(before, clusters) if decision.event}
        after = replay(automatic, [entry(1, AcceptEvent(event_ref(event, FS)))])
        assert not [decision for decision in next_decisions(after, clusters) if decision.event]

    def test_events_of_certain_beats_gain_little(self, reviewed):
        automatic, clusters = reviewed
        edits = [entry(1, RelabelBeats(clusters.sample[50:], "V", "V" * 10))]
        (decision,) = [d for d in next_decisions(replay(automatic, edits), clusters) if d.event]
        assert decision.gain < 0.01
        assert decision.proposal == "accept"


def test_shapes_that_are_clearly_apart_are_never_mixed():
    """Three beats of another shape among 5,000 are a cluster of their own, whatever the order."""
    rng = np.random.default_rng(3)
    points = rng.normal(scale=0.03, size=(5003, 6)).astype(np.float16)
    odd = rng.choice(5003, 3, replace=False)
    points[odd, 2] += 1.5
    cluster = cluster_points(points, np.full(5003, "N"))
    assert len(set(cluster[odd].tolist())) == 1
    assert (cluster == cluster[odd[0]]).sum() == 3
    assert cluster.max() < 10


def test_labels_are_never_mixed():
    points = np.zeros((40, 3), dtype=np.float16)
    label = np.repeat(["N", "V"], 20)
    assert cluster_points(points, label).tolist() == [0] * 20 + [1] * 20


@pytest.mark.parametrize(
    ("n", "letter", "proposal", "question"),
    [
        (1, "V", "V", "1 beat labelled V: ventricular ectopic?"),
        (1200, "P", "P", "1,200 beats labelled P: paced?"),
        (3, "P", "N", "3 beats labelled P, probably N: normal?"),
        (2, "Q", "|", "2 beats labelled Q, probably |: an artefact?"),
    ],
)
def test_a_question_names_the_beats_as_the_pages_do(n: int, letter: str, proposal: str, question: str):
    assert beat_question(n, letter, proposal) == question


def test_paced_beats_are_asked_about_as_paced():
    decision = Decision(0, None, "2 beats labelled Q: unknown?", "Q", np.array([10, 20]), 1.0)
    assert _asked(decision, is_paced=False) == {"question": decision.question, "proposal": "Q"}
    assert _asked(decision, is_paced=True) == {"question": "2 beats labelled P: paced?", "proposal": "P"}
    assert logged_label("P") == "Q"
