"""Whether recordings are like those learned from, by features, labels and confidence.

Beats of one patient are not independent, so the unit is the recording. Each is summed up by a profile: how
many of its beats lie in each tenth of the training patients. A batch differs from them by the population
stability index. Whether by chance is told by permutation: recordings and training patients change places, and
the largest index of all figures must seldom come to as much (Westfall & Young 1993).
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import CLASSES, BeatClass, Mask
from ectopy.features.extraction import FEATURE_NAMES, Floats, in_parts

if TYPE_CHECKING:
    from ectopy.pipeline import Classify

REFERENCE_FILE = "reference.json"
"""Lies in a model directory; a model without it has no figures of drift."""
MONITORED = (*FEATURE_NAMES, "confidence", "called S", "called V")
"""What is compared, a number a beat each: features, the largest probability, whether it is called S or V."""
N_PREDICTED = len(MONITORED) - len(FEATURE_NAMES)
N_BINS = 10
MIN_BEATS = 250
"""A recording with fewer beats, about four minutes, tells too little of its patient and takes no part."""
MIN_RECORDINGS = 5
"""Recordings from which on a batch can be told from a few unusual patients; fewer are described only."""
FALSE_ALARM_RATE = 0.01
"""Share of batches that cross a bound, of any figure, though their patients are like those learned from."""
MIN_BOUND = 0.25
"""The index that is customarily called a shift; no bound is lower, however alike the patients are."""
N_PERMUTATIONS = 1000
_LEAST_SHARE = 1e-3
"""Added to every bin: one that is empty on one side makes a large index, no infinite one."""
_SAMPLED_BEATS = 1000
_TOLD = 3

Counts: TypeAlias = NDArray[np.int64]
"""Beats by bin, [..., len(WATCHED), N_BINS]."""
Numbers: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ReferenceProfile:
    """The training patients: edges of bins [len(WATCHED), N_BINS - 1], and a profile of each patient."""

    edges: Numbers
    counts: Counts

    def __post_init__(self) -> None:
        watched = len(MONITORED)
        if self.edges.shape != (watched, N_BINS - 1) or self.counts.shape[1:] != (watched, N_BINS):
            raise ValueError(
                f"edges of shape {(watched, N_BINS - 1)} and counts of [n, {watched}, {N_BINS}] expected, "
                f"{self.edges.shape} and {self.counts.shape} came"
            )

    def profile(self, features: Floats, probability: Floats) -> Counts:
        """Count a recording's beats by bin, from features [n, k] and probabilities [n, 4]."""
        return np.concatenate((self.count_features(features), self.count_predictions(probability)))

    def count_features(self, features: Floats) -> Counts:
        """Count by bin what the network reads of beats, [n, k]: the part of a profile that comes first."""
        return _by_bin(self.edges[:-N_PREDICTED], features.T)

    def count_predictions(self, probability: Floats) -> Counts:
        """Count by bin what it answers, [n, 4]: the last N_ANSWERED figures of a profile."""
        return _by_bin(self.edges[-N_PREDICTED:], predicted(probability))


def _by_bin(edges: Numbers, columns: Iterable[Floats]) -> Counts:
    index = (np.searchsorted(*each, side="right") for each in zip(edges, columns, strict=True))
    return np.stack([np.bincount(bins, minlength=N_BINS) for bins in index])


class ProfilingClassifier:
    """A classifier that sums up what it reads and answers: ``profile`` as of :meth:`ReferenceProfile.profile`.

    That of all the recordings it is called with, in parts too.
    """

    def __init__(self, classify: "Classify", reference: ReferenceProfile) -> None:
        self.profile: Counts = np.zeros((len(MONITORED), N_BINS), dtype=np.int64)
        self._classify, self._reference = classify, reference

    def __call__(self, features: Floats | Iterable[Floats]) -> tuple[Floats, Mask]:
        """Classify beats by their features, [n, k] or parts of them in turn."""
        probability, confident = self._classify(self._counted(in_parts(features)))
        self.profile[-N_PREDICTED:] += self._reference.count_predictions(probability)
        return probability, confident

    def _counted(self, parts: Iterable[Floats]) -> Iterator[Floats]:
        for part in parts:
            self.profile[:-N_PREDICTED] += self._reference.count_features(part)
            yield part


@dataclass(frozen=True, eq=False)
class Drift:
    """How a batch of recordings differs from the training patients; arrays are in the order of WATCHED.

    ``expected`` and ``found`` are shares of beats by bin, each recording counting the same; ``psi`` may come
    to ``bound`` by chance; ``p`` is the chance that any figure comes as far as this one.
    """

    n_recordings: int
    expected: Numbers
    observed: Numbers
    psi: Numbers
    bound: Numbers
    p: Numbers

    @property
    def exceeds_bound(self) -> Mask:
        """Which figures differ by more than chance; none where the recordings are too few to say so."""
        return np.asarray((self.psi > self.bound) & (self.n_recordings >= MIN_RECORDINGS))

    @property
    def order(self) -> list[int]:
        """Figures by how far they are towards their bounds, the farthest first."""
        return [int(index) for index in np.argsort(-self.psi / self.bound, kind="stable")]

    @property
    def verdict(self) -> str:
        """Say in one line whether the recordings are like those learned from."""
        if self.n_recordings < MIN_RECORDINGS:
            return f"{self.n_recordings} recordings with enough beats, too few to compare"
        names = [MONITORED[index] for index in self.order if self.exceeds_bound[index]]
        if not names:
            return f"{self.n_recordings} recordings like those learned from"
        more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
        return f"{self.n_recordings} recordings unlike those learned from: {'; '.join(names[:_TOLD])}{more}"

    @property
    def metrics(self) -> dict[str, float]:
        """Give the numbers by name."""
        names = (f"psi/{name.replace(',', '')}" for name in MONITORED)  # MLflow allows no comma
        psi = dict(zip(names, map(float, self.psi), strict=True))
        return {
            "drift/recordings": float(self.n_recordings),
            "drift/crossed": float(self.exceeds_bound.sum()),
            "drift/farthest": float((self.psi / self.bound).max()),
            **psi,
        }

    @property
    def table(self) -> dict[str, list[object]]:
        """Give the numbers as a table by column, the farthest first."""
        order = self.order
        return {
            "figure": [MONITORED[index] for index in order],
            "psi": self.psi[order].round(3).tolist(),
            "bound": self.bound[order].round(3).tolist(),
            "p": self.p[order].round(4).tolist(),
            "crossed": self.exceeds_bound[order].tolist(),
        }


def predicted(probability: Floats) -> list[Floats]:
    """Give what is watched of each answer, [n, 4]: the last N_ANSWERED of WATCHED, an array [n] each."""
    called = probability.argmax(axis=1)
    classes = [np.float32(called == CLASSES.index(name)) for name in (BeatClass.SVEB, BeatClass.VEB)]
    return [probability.max(axis=1), *classes]


def fit_reference(features: Sequence[Floats], probability: Sequence[Floats]) -> ReferenceProfile:
    """Sum up the training patients, whose beats are [n, k] and [n, 4] each.

    Probabilities should be those of networks that have not seen the patient: new ones are not seen either.
    """
    patients = list(zip(features, probability, strict=True))
    tenths = np.arange(1, N_BINS) / N_BINS
    watched = ([*seen.T, *predicted(answers)] for seen, answers in patients)
    picked = [[column[_spread(len(column))] for column in columns] for columns in watched]
    edges = np.array([np.quantile(np.concatenate(columns), tenths) for columns in zip(*picked, strict=True)])
    nobody = ReferenceProfile(edges, np.zeros((0, len(MONITORED), N_BINS), dtype=np.int64))
    return ReferenceProfile(edges, np.stack([nobody.profile(*each) for each in patients]))


def _spread(n_beats: int) -> NDArray[np.intp]:
    """Choose as many beats of every patient, spread over all: one with many has no more say."""
    return np.linspace(0, n_beats - 1, _SAMPLED_BEATS if n_beats else 0).round().astype(np.intp)


def compare(reference: ReferenceProfile, profiles: Sequence[Counts]) -> Drift | None:
    """Compare a batch with the training patients; None where either side has too few beats to."""
    known, new = bin_shares(reference.counts), bin_shares(np.array(profiles, dtype=np.int64))
    if not len(new) or not len(known):
        return None
    psi, bound, p = permutation_test(known, new)
    return Drift(len(new), known.mean(axis=0), new.mean(axis=0), psi, bound, p)


def bin_shares(counts: Counts) -> Numbers:
    """Turn the profiles with enough beats into shares of beats by bin."""
    counts = counts.reshape(-1, len(MONITORED), N_BINS)
    n_beats = counts.sum(axis=2, keepdims=True)
    enough = n_beats[:, 0, 0] >= MIN_BEATS
    return np.asarray(counts[enough] / n_beats[enough])


def stability_index(expected: Numbers, found: Numbers) -> Numbers:
    """Give the population stability index between shares by bin, along the last axis."""
    expected, found = ((share + _LEAST_SHARE) / (1 + N_BINS * _LEAST_SHARE) for share in (expected, found))
    return np.asarray(((found - expected) * np.log(found / expected)).sum(axis=-1))


def permutation_test(known: Numbers, new: Numbers, *, seed: int = 0) -> tuple[Numbers, Numbers, Numbers]:
    """Give of each figure the index between two groups of recordings, its bound, and its p value.

    ``known`` and ``new`` are shares [n, len(WATCHED), N_BINS]. To be comparable, each figure's index is taken
    relative to what it seldom exceeds.
    """
    both, rng = np.concatenate([known, new]), np.random.default_rng(seed)
    is_new = np.arange(len(both)) >= len(known)
    drawn = np.stack([is_new, *(rng.permutation(is_new) for _ in range(N_PERMUTATIONS))]).astype(float)
    sum_new = np.tensordot(drawn, both, axes=1)
    index = stability_index((both.sum(axis=0) - sum_new) / len(known), sum_new / len(new))
    usual = np.maximum(np.quantile(index, 0.95, axis=0), 1e-9)  # a figure may be the same for everybody
    largest = (index / usual).max(axis=1)
    p = (largest[:, None] >= index[0] / usual).mean(axis=0)
    return index[0], np.maximum(usual * np.quantile(largest, 1 - FALSE_ALARM_RATE), MIN_BOUND), p


def read_reference(folder: Path) -> ReferenceProfile | None:
    """Read the reference of a model directory, if it has one; ValueError where it is none."""
    path = folder / REFERENCE_FILE
    if not path.is_file():
        return None
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        names, edges, counts = tuple(told["watched"]), np.array(told["edges"]), np.array(told["counts"])
        reference = ReferenceProfile(edges.astype(np.float64), counts.astype(np.int64))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    if names != MONITORED:
        raise ValueError(f"{path}: the figures that this version watches expected, others came")
    return reference


def write_reference(reference: ReferenceProfile, folder: Path) -> None:
    """Write ``reference.json``: numbers only, no name of a patient or a record."""
    told = {"watched": MONITORED, "edges": reference.edges.tolist(), "counts": reference.counts.tolist()}
    (folder / REFERENCE_FILE).write_text(json.dumps(told, separators=(",", ":")) + "\n", encoding="utf-8")
