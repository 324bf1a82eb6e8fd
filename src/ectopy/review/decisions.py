"""What to ask the reader next: the question whose answer is expected to change the report most.

The answers so far adapt the probabilities of the classifier to the patient, as in the patient-adapted
classifiers of Llamedo & Martinez (2012) and Wiens & Guttag (2010). The log-odds of the classifier are the
prior of a multinomial logistic regression on the points of the beats. Its weights are 0 before the first
answer. So an answer on one cluster also tells of beats like it elsewhere. It changes what is asked next and
which answer is proposed. :func:`follow` gives other beats the label that the answers make likeliest.

A question is about the beats of one cluster that have the same label, and for which the same answer is
expected. What a reader has answered is not asked again.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ectopy.ecg import CLASSES, BeatClass, Event, Labels, Mask, Samples
from ectopy.features.extraction import Floats
from ectopy.report.beat_letters import BEAT_NAMES, PACED
from ectopy.review.clusters import Clusters, Points, cluster_centres, in_chunks, spread_evenly
from ectopy.review.edits import ARTEFACT, LabelSimilar
from ectopy.review.reviewed_beats import ReviewedBeats
from ectopy.review.reviewed_events import EventStatus
from ectopy.review.state import ReviewState
from ectopy.rhythm.kinds import LEADING

ANSWERS = (*map(str, CLASSES), str(BeatClass.UNKNOWN), ARTEFACT)
"""What a reader may call a beat."""
NAMES = dict(
    zip(
        ANSWERS,
        ("normal", "supraventricular ectopic", "ventricular ectopic", "fusion", "unknown", "an artefact"),
        strict=True,
    )
)
_COUNTED = [ANSWERS.index(BeatClass.SVEB), ANSWERS.index(BeatClass.VEB)]
_LEAST = 1e-4  # probability of a class below which the classifier is not believed
_RARE = 1e-3  # probability of Q and of artefact, which the classifier does not know
_COUNT_PRIOR = 3.0  # beats added to a count, so that the first ectopic beat is no change without limit
_GROUP_POWER = 0.3  # errors of like beats come together: n of them are n ** 0.7 that are independent
_LINEAR, _WIDTH, _PENALTY = 2.0, 0.5, 0.3
_PER_ANSWER = 30  # beats that stand for an answer
_ITERATIONS = 15
_NEGLIGIBLE = 1e-4  # of the count of a class


class Question(NamedTuple):
    """Some beats of a cluster, ``members``, and the proposed answer, one of ANSWERS.

    ``gain`` is the change of the counts of ectopic beats that is expected from the answer, relative to them.
    """

    cluster: int
    members: NDArray[np.intp]
    proposal: str
    gain: float


class Decision(NamedTuple):
    """A question to the reader about beats of a cluster or an event, and the proposed answer.

    ``samples`` are the R peaks of the beats, [n]; none for an event. ``gain`` orders the decisions.
    """

    cluster: int | None
    event: Event | None
    question: str
    proposal: str
    samples: Samples
    gain: float


@dataclass(frozen=True, eq=False)
class Answers:
    """The labels of n beats at a stage of the review, and which of them a reader has given.

    ``label`` is one of ANSWERS, or "" for a beat that was deleted.
    """

    label: Labels
    answered: Mask


def next_decisions(state: ReviewState, clusters: Clusters) -> list[Decision]:
    """Return the open decisions, that with the largest expected change of the report first.

    Parameters
    ----------
    state
        The state of a recording.
    clusters
        The clusters of its automatic beats.

    Returns
    -------
    Decisions on beats and on events that can be urgent.
    """
    answers = answers_in(state, clusters)
    probability = adapt(clusters, state.automatic.beats.probability, answers)
    decisions = [
        Decision(
            question.cluster,
            None,
            beat_question(len(question.members), answers.label[question.members[0]], question.proposal),
            question.proposal,
            clusters.sample[question.members],
            question.gain,
        )
        for question in find_questions(clusters, probability, answers)
    ]
    decisions += _on_events(state, clusters, probability, answers)
    return sorted(decisions, key=lambda decision: -decision.gain)


def answers_in(state: ReviewState | ReviewedBeats, clusters: Clusters) -> Answers:
    """Return the labels of the clustered beats as a reader has left them.

    Parameters
    ----------
    state
        The state of a recording, or its beats alone.
    clusters
        The clusters of its automatic beats.

    Returns
    -------
    Their labels, and which of them the reader gave.
    """
    now = state.beats
    at = np.minimum(np.searchsorted(now.sample, clusters.sample), max(len(now) - 1, 0))
    there = now.sample[at] == clusters.sample if len(now) else np.zeros(len(at), dtype=bool)
    label = np.where(np.isin(clusters.sample, state.artefacts), ARTEFACT, "")
    answered = np.ones(len(label), dtype=bool)
    label[there], answered[there] = now.label[at[there]], state.by_reader[at[there]]
    return Answers(label, answered)


def find_questions(clusters: Clusters, probability: Floats, answers: Answers) -> list[Question]:
    """Find what is left to ask about beats.

    Parameters
    ----------
    clusters
        The clusters.
    probability
        Probabilities of ANSWERS for each beat, [n, len(ANSWERS)].
    answers
        The labels of the beats, and which the reader gave.

    Returns
    -------
    The questions, that with the largest gain first.
    """
    open_ = np.flatnonzero(~answers.answered)
    label, p = _codes(answers.label[open_]), probability[open_]
    proposal = p.argmax(axis=1)
    count = probability.sum(axis=0)
    gain = np.zeros(len(open_), dtype=np.float32)
    for letter in _COUNTED:
        changes = np.where(label == letter, 1 - p[:, letter], p[:, letter])
        gain += changes / (count[letter] + _COUNT_PRIOR)
    group = (clusters.cluster[open_] * len(ANSWERS) + label) * len(ANSWERS) + proposal
    size = np.bincount(group)
    total = np.bincount(group, gain) / np.maximum(size, 1) ** _GROUP_POWER
    members = np.split(np.argsort(group, kind="stable"), np.cumsum(size)[:-1])
    return [
        Question(
            number // len(ANSWERS) ** 2,
            open_[members[number]],
            ANSWERS[number % len(ANSWERS)],
            float(total[number]),
        )
        for number in np.argsort(-total, kind="stable").tolist()
        if total[number] > _NEGLIGIBLE
    ]


def adapt(clusters: Clusters, probability: NDArray[np.float32], answers: Answers) -> Floats:
    """Adapt the probabilities of the classifier to what the reader has answered.

    Parameters
    ----------
    clusters
        The clusters.
    probability
        Probabilities of the classifier in the order of CLASSES, [n, 4].
    answers
        The labels of the beats, and which the reader gave. The labels of the others change nothing.

    Returns
    -------
    Probabilities of ANSWERS, [n, len(ANSWERS)]; those of the classifier where nothing was answered.
    """
    chosen, weight = _examples(clusters, answers)
    if not len(chosen):
        return _softmax(_log_prior(probability))
    basis = _Basis.of(clusters)
    coefficients = _fit(
        basis.of_points(clusters.points[chosen]),
        _log_prior(probability[chosen]),
        _codes(answers.label[chosen]),
        weight,
    )
    adapted = np.empty((len(probability), len(ANSWERS)), dtype=np.float32)
    for part in in_chunks(len(probability)):
        evidence = basis.of_points(clusters.points[part]) @ coefficients
        adapted[part] = _softmax(_log_prior(probability[part]) + evidence)
    return adapted


def _log_prior(probability: NDArray[np.float32]) -> Floats:
    """Return the log probabilities of ANSWERS by the classifier, [n, len(ANSWERS)]."""
    log_prior = np.full((len(probability), len(ANSWERS)), np.log(_RARE), dtype=np.float32)
    log_prior[:, : len(CLASSES)] = np.log(np.maximum(probability, _LEAST))
    return log_prior


def similar_beats(
    reviewed: ReviewedBeats, clusters: Clusters, probability: NDArray[np.float32]
) -> LabelSimilar | None:
    """Find the beats whose label does not follow the answers on similar beats.

    Parameters
    ----------
    reviewed
        The beats as a reader has left them.
    clusters
        The clusters of the automatic beats.
    probability
        Probabilities of the classifier in the order of CLASSES, [n, 4].

    Returns
    -------
    The edit after which they do; None if there are none, or if nothing was answered.
    """
    answers = answers_in(reviewed, clusters)
    if not answers.answered.any():
        return None
    followed = follow(adapt(clusters, probability, answers), answers)
    changed = followed.label != answers.label
    if not changed.any():
        return None
    labels, was = ("".join(some.label[changed].tolist()) for some in (followed, answers))
    return LabelSimilar(clusters.sample[changed], labels, was)


def follow(probability: Floats, answers: Answers) -> Answers:
    """Return answers where the labels of all other beats follow the adapted probabilities.

    Parameters
    ----------
    probability
        Adapted probabilities of ANSWERS, [n, len(ANSWERS)].
    answers
        The labels of the beats, and which the reader gave.

    Returns
    -------
    The same, with other labels where the reader gave none.
    """
    likeliest = np.array(ANSWERS)[probability.argmax(axis=1)]
    return replace(answers, label=np.where(answers.answered, answers.label, likeliest))


class _Basis(NamedTuple):
    """Functions of a point: a constant, its coordinates, and how near it is to the centre of each cluster."""

    mean: Floats
    scale: Floats
    centres: Floats

    @classmethod
    def of(cls, clusters: Clusters) -> "_Basis":
        some = spread_evenly(clusters.points).astype(np.float32)
        centres = cluster_centres(clusters.points, clusters.cluster)
        scale = _LINEAR / (np.sqrt(some.shape[1]) * (some.std(axis=0) + np.float32(1e-3)))
        return cls(some.mean(axis=0), scale.astype(np.float32), centres)

    def of_points(self, points: Points) -> Floats:
        """Return the functions of some points, [n, 1 + k + n_clusters]."""
        x = points.astype(np.float32)
        square = (x**2).sum(axis=1)[:, None] + (self.centres**2).sum(axis=1) - 2 * x @ self.centres.T
        near = np.exp(-np.maximum(square, 0) / (2 * _WIDTH**2))
        linear = np.clip((x - self.mean) * self.scale, -_LINEAR, _LINEAR)
        return np.concatenate([np.ones((len(x), 1), dtype=np.float32), linear, near], axis=1)


def _examples(clusters: Clusters, answers: Answers) -> tuple[NDArray[np.intp], Floats]:
    """Choose beats that stand for the answers, with weights: n beats of a cluster weigh as sqrt(n)."""
    known = np.flatnonzero(answers.answered & (answers.label != ""))
    key = clusters.cluster[known].astype(np.int64) * len(ANSWERS) + _codes(answers.label[known])
    chosen, weight = [np.empty(0, dtype=np.intp)], [np.empty(0)]
    for group in np.unique(key):
        members = known[key == group]
        chosen.append(spread_evenly(members, _PER_ANSWER))
        weight.append(np.full(len(chosen[-1]), np.sqrt(len(members)) / len(chosen[-1])))
    return np.concatenate(chosen), np.concatenate(weight).astype(np.float32)


def _fit(basis: Floats, log_prior: Floats, label: NDArray[np.intp], weight: Floats) -> Floats:
    """Fit a multinomial logistic regression with a quadratic penalty, [n_functions, len(ANSWERS)]."""
    wanted = np.eye(len(ANSWERS), dtype=np.float32)[label]
    shape = (basis.shape[1], len(ANSWERS))

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        coefficients = flat.reshape(shape)
        probability = _softmax(log_prior + basis @ coefficients)
        likelihood = np.log(np.maximum((probability * wanted).sum(axis=1), np.finfo(np.float32).tiny))
        gradient = basis.T @ (weight[:, None] * (probability - wanted)) + _PENALTY * coefficients
        return float(_PENALTY / 2 * flat @ flat - weight @ likelihood), gradient.ravel()

    start = np.zeros(shape[0] * shape[1])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS})
    return np.asarray(found.x.reshape(shape), dtype=np.float32)


def _softmax(logits: NDArray[Any]) -> NDArray[Any]:
    """Compute probabilities in place of logits."""
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits


def _codes(label: Labels) -> NDArray[np.intp]:
    """Return the position of each label in ANSWERS."""
    order = np.argsort(ANSWERS)
    return np.asarray(order[np.searchsorted(np.array(ANSWERS)[order], label)])


def beat_question(n: int, letter: str, proposal: str) -> str:
    """Ask what some beats are.

    Parameters
    ----------
    n
        Number of beats.
    letter
        Their letter on the pages.
    proposal
        The letter of the answer that is proposed.

    Returns
    -------
    The question.
    """
    beats = "1 beat" if n == 1 else f"{n:,} beats"
    names = {**NAMES, PACED: BEAT_NAMES[PACED].lower()}
    if proposal == letter:
        return f"{beats} labelled {letter}: {names[letter]}?"
    return f"{beats} labelled {letter}, probably {proposal}: {names[proposal]}?"


def _on_events(
    state: ReviewState, clusters: Clusters, probability: Floats, answers: Answers
) -> list[Decision]:
    """Ask about events of kinds that can be urgent, as far as the beats in them are in doubt."""
    titles = {kind.name: kind.title for kind in LEADING}
    open_ = np.flatnonzero(~answers.answered)
    doubt = np.zeros(len(probability))
    doubt[open_] = 1 - probability[open_, _codes(answers.label[open_])]
    time_s = clusters.sample / state.analysis.fs
    decisions = []
    for item in state.events:
        if item.status != EventStatus.AUTOMATIC or item.event.kind not in titles:
            continue
        first, last = np.searchsorted(time_s, (item.event.onset_s, item.event.offset_s)).tolist()
        gain = float(doubt[first : last + 1].mean()) if first < len(doubt) else 0.0
        title = titles[item.event.kind]
        question = f"Is this finding right: {title[0].lower()}{title[1:]}?"
        proposal = "accept" if gain <= 0.5 else "reject"
        decisions.append(Decision(None, item.event, question, proposal, clusters.sample[:0], gain))
    return decisions
