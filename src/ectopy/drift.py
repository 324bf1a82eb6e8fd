"""Whether recordings are like those learned from, by features, labels and confidence.

Beats of one patient are not independent, so the unit is the recording. Each is summed up by a profile: how
many of its beats lie in each tenth of the training patients. A batch is compared by the population stability
index, whose bound is what batches of the training patients themselves come to, and by the ranks of its
recordings (Mann & Whitney), corrected for the many figures (Benjamini & Hochberg 1995).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import CLASSES, BeatClass, Mask
from ectopy.features import FEATURE_NAMES, Floats

REFERENCE_FILE = "reference.json"
"""Lies in a model directory; a model without it has no figures of drift."""
WATCHED = (*FEATURE_NAMES, "confidence", "called S", "called V")
"""What is compared, a number a beat each: features, the largest probability, whether it is called S or V."""
N_BINS = 10
ENOUGH_BEATS = 250
"""A recording with fewer beats, about four minutes, tells too little of its patient and takes no part."""
FEWEST = 5
"""Recordings from which on a batch can be told from a few unusual patients; fewer are described only."""
FALSE_ALARMS = 0.01
"""Share of batches of training patients that cross a bound, and of differences by ranks that are none."""
SHIFT = 0.25
"""The index that is customarily called a shift; no bound is lower, however alike training patients are."""
N_DRAWS = 1000
_LEAST_SHARE = 1e-3
"""Added to every bin: one that is empty on one side makes a large index, no infinite one."""
_PICKED = 1000

Counts: TypeAlias = NDArray[np.int64]
"""Beats by bin, [..., len(WATCHED), N_BINS]."""
Numbers: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reference:
    """The training patients: edges of bins [len(WATCHED), N_BINS - 1], and a profile of each patient."""

    edges: Numbers
    counts: Counts

    def __post_init__(self) -> None:
        watched = len(WATCHED)
        if self.edges.shape != (watched, N_BINS - 1) or self.counts.shape[1:] != (watched, N_BINS):
            raise ValueError(
                f"edges of shape {(watched, N_BINS - 1)} and counts of [n, {watched}, {N_BINS}] expected, "
                f"{self.edges.shape} and {self.counts.shape} came"
            )

    def profile(self, features: Floats, probability: Floats) -> Counts:
        """Count a recording's beats by bin, from features [n, k] and probabilities [n, 4]."""
        columns = zip(self.edges, watched(features, probability), strict=True)
        index = (np.searchsorted(edges, column, side="right") for edges, column in columns)
        return np.stack([np.bincount(bins, minlength=N_BINS) for bins in index])


@dataclass(frozen=True, eq=False)
class Drift:
    """How a batch of recordings differs from the training patients; arrays are in the order of WATCHED.

    ``expected`` and ``found`` are shares of beats by bin, each recording counting the same; ``psi`` may come
    to ``bound`` without a reason; ``q`` is the p value of the ranks after correction.
    """

    n_recordings: int
    expected: Numbers
    found: Numbers
    psi: Numbers
    bound: Numbers
    q: Numbers

    @cached_property
    def crossed(self) -> Mask:
        """Which figures differ by more than chance."""
        return np.asarray((self.psi > self.bound) | (self.q < FALSE_ALARMS))

    @property
    def told(self) -> bool:
        """Whether the batch differs, and is large enough to say so."""
        return self.n_recordings >= FEWEST and bool(self.crossed.any())

    @property
    def order(self) -> list[int]:
        """Figures by how far they are towards their bounds, the farthest first."""
        return [int(index) for index in np.argsort(-self.psi / self.bound, kind="stable")]


def watched(features: Floats, probability: Floats) -> list[Floats]:
    """Give what is watched of each beat, an array [n] for each of WATCHED."""
    called = probability.argmax(axis=1)
    classes = [np.float32(called == CLASSES.index(name)) for name in (BeatClass.SVEB, BeatClass.VEB)]
    return [*features.T, probability.max(axis=1), *classes]


def learn(features: Sequence[Floats], probability: Sequence[Floats]) -> Reference:
    """Sum up the training patients, whose beats are [n, k] and [n, 4] each.

    Probabilities should be those of networks that have not seen the patient: new ones are not seen either.
    """
    patients = list(zip(features, probability, strict=True))
    tenths = np.arange(1, N_BINS) / N_BINS
    picked = [[column[_spread(len(column))] for column in watched(*each)] for each in patients]
    edges = np.array([np.quantile(np.concatenate(columns), tenths) for columns in zip(*picked, strict=True)])
    nobody = Reference(edges, np.zeros((0, len(WATCHED), N_BINS), dtype=np.int64))
    return Reference(edges, np.stack([nobody.profile(*each) for each in patients]))


def _spread(n_beats: int) -> NDArray[np.intp]:
    """Choose as many beats of every patient, spread over all: one with many has no more say."""
    return np.linspace(0, n_beats - 1, _PICKED if n_beats else 0).round().astype(np.intp)


def compare(reference: Reference, profiles: Sequence[Counts]) -> Drift | None:
    """Compare a batch with the training patients; None where either side has too few beats to."""
    known, new = shares(reference.counts), shares(np.array(profiles, dtype=np.int64))
    if not len(new) or len(known) < 2:
        return None
    expected, found = known.mean(axis=0), new.mean(axis=0)
    psi = stability_index(expected, found)
    return Drift(len(new), expected, found, psi, bounds(known, len(new)), corrected(known, new))


def shares(counts: Counts) -> Numbers:
    """Turn the profiles with enough beats into shares of beats by bin."""
    counts = counts.reshape(-1, len(WATCHED), N_BINS)
    n_beats = counts.sum(axis=2, keepdims=True)
    enough = n_beats[:, 0, 0] >= ENOUGH_BEATS
    return np.asarray(counts[enough] / n_beats[enough])


def stability_index(expected: Numbers, found: Numbers) -> Numbers:
    """Give the population stability index between shares by bin, along the last axis."""
    both = np.stack(np.broadcast_arrays(expected, found)) + _LEAST_SHARE
    expected, found = both / both.sum(axis=-1, keepdims=True)
    return np.asarray(((found - expected) * np.log(found / expected)).sum(axis=-1))


def bounds(known: Numbers, n_recordings: int, *, seed: int = 0) -> Numbers:
    """Give the index that batches of so many training patients, against the others, seldom exceed.

    Of each figure a high quantile, and all of them raised until few batches cross any. Half of the patients
    are the largest batch that can be drawn; for larger ones the bounds are on the safe side.
    """
    rng, n_drawn = np.random.default_rng(seed), min(n_recordings, len(known) // 2)
    orders = (rng.permutation(len(known)) for _ in range(N_DRAWS))
    drawn = np.stack(
        [
            stability_index(known[order[n_drawn:]].mean(axis=0), known[order[:n_drawn]].mean(axis=0))
            for order in orders
        ]
    )
    usual = np.maximum(np.quantile(drawn, 1 - FALSE_ALARMS, axis=0), SHIFT)
    return np.asarray(usual * max(np.quantile((drawn / usual).max(axis=1), 1 - FALSE_ALARMS), 1.0))


def corrected(known: Numbers, new: Numbers) -> Numbers:
    """Test whether recordings lie higher or lower than the training patients, by their mean bin."""
    from scipy.stats import false_discovery_control, mannwhitneyu  # half a second that --help need not pay

    middle = np.arange(N_BINS)
    with np.errstate(divide="ignore", invalid="ignore"):  # all the same: no p value, and no difference
        p = mannwhitneyu(known @ middle, new @ middle, axis=0).pvalue
    return np.asarray(false_discovery_control(np.nan_to_num(p, nan=1.0)))


def read_reference(folder: Path) -> Reference | None:
    """Read the reference of a model directory, if it has one; ValueError where it is none."""
    path = folder / REFERENCE_FILE
    if not path.is_file():
        return None
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        names, edges, counts = tuple(told["watched"]), np.array(told["edges"]), np.array(told["counts"])
        reference = Reference(edges.astype(np.float64), counts.astype(np.int64))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    if names != WATCHED:
        raise ValueError(f"{path}: the figures that this version watches expected, others came")
    return reference


def write_reference(reference: Reference, folder: Path) -> None:
    """Write ``reference.json``: numbers only, no name of a patient or a record."""
    told = {"watched": WATCHED, "edges": reference.edges.tolist(), "counts": reference.counts.tolist()}
    (folder / REFERENCE_FILE).write_text(json.dumps(told, separators=(",", ":")) + "\n", encoding="utf-8")
