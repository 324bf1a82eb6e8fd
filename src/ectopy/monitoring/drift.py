"""Drift: whether recordings differ from the training patients, by features, labels and confidence.

Beats of one patient are not independent, so the unit is the recording. The profile of a recording counts its
beats in each tenth of the training patients' values. A batch is compared with the training patients by the
population stability index. A permutation test tells drift from chance: recordings and training patients are
exchanged at random. The bound is the value that the largest index of all variables seldom exceeds
(Westfall & Young 1993).
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import CLASSES, BeatClass, Mask
from ectopy.features.extraction import FEATURE_NAMES, Floats, as_parts, feature_columns

if TYPE_CHECKING:
    from ectopy.pipeline import Classify

REFERENCE_FILE = "reference.json"
"""File in a model directory with the profile of the training patients; without it, drift is not computed."""
PREDICTED = ("confidence", "called S", "called V")
"""Monitored variables of the predictions: largest probability, whether classified as S or V."""
MONITORED = (*FEATURE_NAMES, *PREDICTED)
"""Variables that a model is monitored by which reads all features, one number per beat."""
N_PREDICTED = len(PREDICTED)
N_BINS = 10
MIN_BEATS = 250
"""Recordings with fewer beats, about four minutes, are too short for a profile and are left out."""
MIN_RECORDINGS = 5
"""Number of recordings from which drift can be told from a few unusual patients."""
FALSE_ALARM_RATE = 0.01
"""Share of batches that exceed the bound of any variable although their patients do not differ."""
MIN_BOUND = 0.25
"""Lowest bound, however similar the patients are; an index of 0.25 is customarily called a shift."""
N_PERMUTATIONS = 1000
_SMOOTHING = 1e-3
"""Added to the share of every bin, so that an empty bin makes the index large but not infinite."""
_SAMPLED_BEATS = 1000
_AT_ONCE = 65_536  # beats
_MAX_NAMED = 3

Counts: TypeAlias = NDArray[np.int64]
"""Beats by bin, [..., k, N_BINS], where k is the number of variables."""
Numbers: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ReferenceProfile:
    """Profiles of the training patients, and the edges of the bins, [k, N_BINS - 1].

    ``names`` are the k variables: the features that the model reads, then PREDICTED.
    """

    edges: Numbers
    counts: Counts
    names: tuple[str, ...] = MONITORED

    def __post_init__(self) -> None:
        unknown = [name for name in self.names[:-N_PREDICTED] if name not in FEATURE_NAMES]
        if unknown or self.names[-N_PREDICTED:] != PREDICTED:
            raise ValueError(
                "its variables are not those of this version of ectopy. Train the model with this version."
            )
        n = len(self.names)
        if self.edges.shape != (n, N_BINS - 1) or self.counts.shape[1:] != (n, N_BINS):
            raise ValueError(
                f"edges must have the shape {(n, N_BINS - 1)}, not {self.edges.shape}, "
                f"and counts [n, {n}, {N_BINS}], not {self.counts.shape}. "
                "Train the model with this version of ectopy."
            )

    def profile(self, features: Floats, probability: Floats) -> Counts:
        """Count the beats of a recording by bin.

        Parameters
        ----------
        features
            Features, [n, len(FEATURE_NAMES)].
        probability
            Predicted probabilities, [n, 4].

        Returns
        -------
        Profile [k, N_BINS].
        """
        return np.concatenate((self.count_features(features), self.count_predictions(probability)))

    def count_features(self, features: Floats) -> Counts:
        """Count features [n, len(FEATURE_NAMES)] by bin; they are the first part of a profile."""
        return _by_bin(self.edges[:-N_PREDICTED], features.T[feature_columns(self.names[:-N_PREDICTED])])

    def count_predictions(self, probability: Floats) -> Counts:
        """Count predictions [n, 4] by bin; they are the last N_PREDICTED rows of a profile."""
        counts = np.zeros((N_PREDICTED, N_BINS), dtype=np.int64)
        for first in range(0, len(probability), _AT_ONCE):
            counts += _by_bin(self.edges[-N_PREDICTED:], predicted(probability[first : first + _AT_ONCE]))
        return counts


def _by_bin(edges: Numbers, columns: Floats | Sequence[Floats]) -> Counts:
    """Count the values of each column [k, n] by bin; to sort them takes less than to find the bin of each."""
    in_order = np.sort(columns, axis=1)
    below = [np.searchsorted(*of_column) for of_column in zip(in_order, edges, strict=True)]
    return np.diff(below, axis=1, prepend=0, append=in_order.shape[1])


class ProfilingClassifier:
    """Classifier that also counts its features and predictions, as :meth:`ReferenceProfile.profile` does.

    ``profile`` is the sum over all beats that it has classified, whether in one part or several.
    """

    def __init__(self, classify: "Classify", reference: ReferenceProfile) -> None:
        self.profile: Counts = np.zeros((len(reference.names), N_BINS), dtype=np.int64)
        self._classify, self._reference = classify, reference

    @property
    def by_name(self) -> dict[str, list[int]]:
        """The profile by variable, as results keep it."""
        return dict(zip(self._reference.names, self.profile.tolist(), strict=True))

    def __call__(self, features: Floats | Iterable[Floats]) -> tuple[Floats, Mask]:
        """Classify beats by their features, [n, len(FEATURE_NAMES)] or successive parts of them."""
        probability, confident = self._classify(self._counted(as_parts(features)))
        self.profile[-N_PREDICTED:] += self._reference.count_predictions(probability)
        return probability, confident

    def _counted(self, parts: Iterable[Floats]) -> Iterator[Floats]:
        for part in parts:
            self.profile[:-N_PREDICTED] += self._reference.count_features(part)
            yield part


@dataclass(frozen=True, eq=False)
class Drift:
    """Comparison of a batch of recordings with the training patients, by variable as in ``names``.

    ``expected`` and ``observed`` are shares of beats by bin, in which each recording has the same weight.
    ``psi`` is the population stability index and ``bound`` the value that it seldom exceeds by chance. ``p``
    is the probability that any variable reaches the relative index of this one by chance.
    """

    n_recordings: int
    expected: Numbers
    observed: Numbers
    psi: Numbers
    bound: Numbers
    p: Numbers
    names: tuple[str, ...] = MONITORED

    @property
    def exceeds_bound(self) -> Mask:
        """Mask of the variables that differ by more than chance; empty if there are too few recordings."""
        return np.asarray((self.psi > self.bound) & (self.n_recordings >= MIN_RECORDINGS))

    @property
    def order(self) -> list[int]:
        """Variables in the order of their index relative to its bound, the largest first."""
        return [int(index) for index in np.argsort(-self.psi / self.bound, kind="stable")]

    @property
    def verdict(self) -> str:
        """One line on whether the recordings differ from the training patients."""
        if self.n_recordings < MIN_RECORDINGS:
            return f"{self.n_recordings} recordings with enough beats, too few to compare"
        names = [self.names[index] for index in self.order if self.exceeds_bound[index]]
        if not names:
            return f"{self.n_recordings} recordings similar to the training patients"
        more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
        listed = "; ".join(names[:_MAX_NAMED])
        return f"{self.n_recordings} recordings differ from the training patients: {listed}{more}"

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics by name."""
        names = (f"psi/{name.replace(',', '')}" for name in self.names)  # MLflow allows no comma
        psi = dict(zip(names, map(float, self.psi), strict=True))
        return {
            "drift/recordings": float(self.n_recordings),
            "drift/crossed": float(self.exceeds_bound.sum()),
            "drift/farthest": float((self.psi / self.bound).max()),
            **psi,
        }

    @property
    def table(self) -> dict[str, list[object]]:
        """Table by column, one row per variable in the order of :attr:`order`."""
        order = self.order
        return {
            "figure": [self.names[index] for index in order],
            "psi": self.psi[order].round(3).tolist(),
            "bound": self.bound[order].round(3).tolist(),
            "p": self.p[order].round(4).tolist(),
            "crossed": self.exceeds_bound[order].tolist(),
        }


def predicted(probability: Floats) -> list[Floats]:
    """Return the monitored variables of predictions [n, 4]: the last N_PREDICTED of MONITORED, [n] each."""
    most_likely = probability.argmax(axis=1)
    classes = [np.float32(most_likely == CLASSES.index(name)) for name in (BeatClass.SVEB, BeatClass.VEB)]
    return [probability.max(axis=1), *classes]


def fit_reference(features: Sequence[Floats], probability: Sequence[Floats]) -> ReferenceProfile:
    """Compute the bins and the profiles of the training patients.

    Parameters
    ----------
    features
        Features of each patient, [n, k].
    probability
        Predicted probabilities of each patient, [n, 4]. They should come from networks that have not seen the
        patient, because the networks have not seen new patients either.

    Returns
    -------
    The reference of later comparisons.
    """
    patients = list(zip(features, probability, strict=True))
    tenths = np.arange(1, N_BINS) / N_BINS
    variables = ([*of_patient.T, *predicted(predictions)] for of_patient, predictions in patients)
    sampled = [[column[_sample(len(column))] for column in columns] for columns in variables]
    edges = np.array([np.quantile(np.concatenate(columns), tenths) for columns in zip(*sampled, strict=True)])
    bins = ReferenceProfile(edges, np.zeros((0, len(MONITORED), N_BINS), dtype=np.int64))
    return ReferenceProfile(edges, np.stack([bins.profile(*patient) for patient in patients]))


def _sample(n_beats: int) -> NDArray[np.intp]:
    """Choose evenly spaced beats, as many from every patient, so that all have the same weight."""
    return np.linspace(0, n_beats - 1, _SAMPLED_BEATS if n_beats else 0).round().astype(np.intp)


def compare(reference: ReferenceProfile, profiles: Sequence[Counts]) -> Drift | None:
    """Compare a batch with the training patients.

    Parameters
    ----------
    reference
        The training patients.
    profiles
        Profiles of the recordings, [k, N_BINS] each.

    Returns
    -------
    The comparison, or None if no recording or no training patient has enough beats.
    """
    n = len(reference.names)
    training = bin_shares(reference.counts)
    batch = bin_shares(np.array(profiles, dtype=np.int64).reshape(-1, n, N_BINS))
    if not len(batch) or not len(training):
        return None
    psi, bound, p = permutation_test(training, batch)
    return Drift(len(batch), training.mean(axis=0), batch.mean(axis=0), psi, bound, p, reference.names)


def bin_shares(counts: Counts) -> Numbers:
    """Return the profiles [n, k, N_BINS] with enough beats as shares of beats by bin."""
    n_beats = counts.sum(axis=2, keepdims=True)
    enough = n_beats[:, 0, 0] >= MIN_BEATS
    return np.asarray(counts[enough] / n_beats[enough])


def stability_index(expected: Numbers, observed: Numbers) -> Numbers:
    """Compute the population stability index along the last axis.

    Parameters
    ----------
    expected, observed
        Shares by bin.

    Returns
    -------
    The index, 0 for equal shares.
    """
    expected, observed = ((share + _SMOOTHING) / (1 + N_BINS * _SMOOTHING) for share in (expected, observed))
    return np.asarray(((observed - expected) * np.log(observed / expected)).sum(axis=-1))


def permutation_test(training: Numbers, batch: Numbers, *, seed: int = 0) -> tuple[Numbers, Numbers, Numbers]:
    """Compare two groups of recordings by a permutation test over all variables.

    To be comparable, the index of each variable is divided by the value that it seldom exceeds.

    Parameters
    ----------
    training
        Shares by bin of the training patients, [n, k, N_BINS].
    batch
        Shares by bin of the batch, [m, k, N_BINS].
    seed
        Seed of the permutations.

    Returns
    -------
    Stability index, its bound and its p value, [k] each.
    """
    both, rng = np.concatenate([training, batch]), np.random.default_rng(seed)
    in_batch = np.arange(len(both)) >= len(training)
    masks = [in_batch, *(rng.permutation(in_batch) for _ in range(N_PERMUTATIONS))]
    batch_sum = np.tensordot(np.stack(masks).astype(float), both, axes=1)
    index = stability_index((both.sum(axis=0) - batch_sum) / len(training), batch_sum / len(batch))
    usual = np.maximum(np.quantile(index, 0.95, axis=0), 1e-9)  # a variable may be the same for everybody
    largest = (index / usual).max(axis=1)
    p = (largest[:, None] >= index[0] / usual).mean(axis=0)
    return index[0], np.maximum(usual * np.quantile(largest, 1 - FALSE_ALARM_RATE), MIN_BOUND), p


def read_reference(folder: Path) -> ReferenceProfile | None:
    """Read the profile of the training patients from a model directory.

    Returns None if the model has none, and raises ValueError if its file is not valid.
    """
    path = folder / REFERENCE_FILE
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        names, edges, counts = tuple(stored["watched"]), np.array(stored["edges"]), np.array(stored["counts"])
        return ReferenceProfile(edges.astype(np.float64), counts.astype(np.int64), names)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def write_reference(reference: ReferenceProfile, folder: Path) -> None:
    """Write ``reference.json``, which contains only numbers and no names of patients or records.

    Parameters
    ----------
    reference
        The profile of the training patients.
    folder
        The model directory.
    """
    content = {
        "watched": reference.names,
        "edges": reference.edges.tolist(),
        "counts": reference.counts.tolist(),
    }
    text = json.dumps(content, separators=(",", ":")) + "\n"
    (folder / REFERENCE_FILE).write_text(text, encoding="utf-8")
