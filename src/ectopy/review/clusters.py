"""Clusters of beats: a day of 100,000 beats becomes tens of groups that a reader looks at, one by one.

Each beat is a point. Its coordinates are the shape of its QRS complex in every lead, how premature it is, and
the log-odds of its class. Timing is needed because a supraventricular ectopic beat has the shape of a normal
one. Beats of different automatic labels are never in one cluster.

Points are first condensed, as in BIRCH (Zhang, Ramakrishnan & Livny 1996): they are split in two by 2-means,
again and again, always the most diverse part first (bisecting k-means, Steinbach, Karypis & Kumar 2000). The
seeds are on either side of the mean along the first principal component (Boley 1998), so nothing is random.
Parts that are near each other are then united by average linkage, which keeps a rare shape that is far from
all others apart. A reader who splits a cluster takes two steps of 2-means more, so it becomes four.

The signal is read once, hours at a time. Of each beat, only its point stays in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.fft import dct

from ectopy.batch.results import atomic_file
from ectopy.beats.detection import detect_beats
from ectopy.beats.windows import N_LEADS
from ectopy.ecg import Beats, Labels, Recording, Samples, Signal
from ectopy.features.extraction import FEATURE_NAMES, Floats, describe_segments
from ectopy.report.average_beats import level, mean

MAX_PER_LABEL = 20
"""Maximum number of clusters of one label that are found; a reader may split them further."""
MAX_SUPERIMPOSED = 40
"""Maximum number of beats of a cluster that are drawn above each other."""
DRAW_BEFORE_S, DRAW_AFTER_S = 0.3, 0.5
"""Extent of a drawn beat around its R peak, in seconds."""
PART_S = 6 * 3600.0
"""Length of the parts of a recording whose windows are in memory at once, in seconds."""
NEAR = 0.3
"""Parts whose points are closer than this on average are one cluster."""

Points = NDArray[np.float16]
"""[n, k], a point for each beat."""

_COEFFICIENTS = 12  # of 27 cosines: up to 22 Hz
_TIMING = [
    FEATURE_NAMES.index(name) for name in ("rr over local median", "rr over shortest non-premature rr nearby")
]
_TIMING_WEIGHT, _CLASS_WEIGHT = 2.0, 0.1  # a beat that is 30 % early is as far away as 0.6 of a QRS complex
_LEAST_PROBABILITY = 1e-3
_PARTS = 150  # into which the beats of a label are split before they are united
_ALIKE = 0.02  # a part whose points have this distance from their centre is not split
_SAMPLED = 20_000  # beats from which the centres and the spread of a part are computed
_ROUNDS = 10
_HALVINGS = 2  # into how many times two parts a reader splits a cluster
_CHUNK = 4096  # points that are in memory in single precision at once


@dataclass(frozen=True, eq=False)
class Clusters:
    """The clusters of n beats, numbered from 0, the largest first; those of splits follow.

    ``sample`` are the R peaks on the grid of the recording, [n]. ``cluster`` is the number of the cluster of
    each beat, [n]. ``points`` are the coordinates of the beats, [n, k].
    """

    sample: Samples
    cluster: NDArray[np.int32]
    points: Points

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return int(self.cluster.max(initial=-1)) + 1

    def members(self, number: int) -> NDArray[np.intp]:
        """Return the indices of the beats of a cluster."""
        return np.flatnonzero(self.cluster == number)


class ClusterDrawing(NamedTuple):
    """A cluster drawn: its average beat, and beats of it above each other.

    ``average`` is [n_leads, m] and ``superimposed`` [at most MAX_SUPERIMPOSED, n_leads, m], in mV, from
    DRAW_BEFORE_S before the R peak; NaN where missing. ``sample`` are the R peaks of the latter.
    """

    average: Signal
    superimposed: Signal
    sample: Samples


def find_clusters(recording: Recording, columns: Sequence[int], beats: Beats) -> Clusters:
    """Find the clusters of the beats of a recording.

    Parameters
    ----------
    recording
        The recording.
    columns
        Columns of the leads that were analysed.
    beats
        Its classified beats.

    Returns
    -------
    The clusters, at most MAX_PER_LABEL of each label.
    """
    points = beat_points(recording, columns, beats)
    return Clusters(beats.sample, cluster_points(points, beats.label), points)


def cluster_points(points: Points, label: Labels) -> NDArray[np.int32]:
    """Find clusters of points, apart for each label.

    Parameters
    ----------
    points
        The points of the beats.
    label
        Their labels, [n].

    Returns
    -------
    The number of the cluster of each beat, [n]; the largest cluster has number 0.
    """
    cluster, n_clusters = np.zeros(len(points), dtype=np.intp), 0
    for letter in np.unique(label):
        members = np.flatnonzero(label == letter)
        found = _unite(points, members, _bisect(points, members))
        cluster[members] = found + n_clusters
        n_clusters += int(found.max()) + 1
    rank = np.argsort(np.argsort(-np.bincount(cluster, minlength=1), kind="stable"))
    return np.asarray(rank[cluster], dtype=np.int32)


def split(clusters: Clusters, number: int, members: NDArray[np.intp] | None = None) -> Clusters:
    """Split a cluster in two, and each half again: one decision of a reader shows more than with halves.

    Parameters
    ----------
    clusters
        The clusters.
    number
        The cluster to split. Its largest part keeps the number.
    members
        Indices of those of its beats that are to be split; the others keep the number. By default all.

    Returns
    -------
    At most three clusters more; none if all beats of the cluster are the same.
    """
    parts = [clusters.members(number) if members is None else members]
    for _ in range(_HALVINGS):
        halves = [(part, _second_half(clusters.points[part])) for part in parts]
        parts = [half for part, second in halves for half in (part[~second], part[second]) if len(half)]
    parts.sort(key=len, reverse=True)
    cluster = clusters.cluster.copy()
    for new, part in enumerate(parts[1:], clusters.n_clusters):
        cluster[part] = new
    return replace(clusters, cluster=cluster)


def draw_clusters(
    recording: Recording, columns: Sequence[int], clusters: Clusters, numbers: Sequence[int]
) -> list[ClusterDrawing]:
    """Draw some clusters: beats spread over the recording are read, and no others.

    Parameters
    ----------
    recording, columns
        As for :func:`find_clusters`.
    clusters
        The clusters.
    numbers
        The clusters to draw.

    Returns
    -------
    A drawing of each.
    """
    chosen = [
        clusters.sample[spread_evenly(clusters.members(number), MAX_SUPERIMPOSED)] for number in numbers
    ]
    return [_draw(recording, columns, sample) for sample in chosen]


def save_clusters(path: Path, clusters: Clusters, key: str) -> None:
    """Write clusters to a file, which may be deleted at any time.

    Parameters
    ----------
    path
        The file, ``*.npz``.
    clusters
        The clusters.
    key
        States what they were computed from, such as a hash of the beats.
    """
    with atomic_file(path) as new, new.open("wb") as file:
        np.savez(file, key=key, sample=clusters.sample, cluster=clusters.cluster, points=clusters.points)


def load_clusters(path: Path, key: str) -> Clusters | None:
    """Read clusters from a file.

    Parameters
    ----------
    path, key
        As for :func:`save_clusters`.

    Returns
    -------
    The clusters; None if the file is missing or damaged, or if they were computed from something else.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if str(arrays["key"]) != key:
                return None
            return Clusters(arrays["sample"], arrays["cluster"], arrays["points"])
    except (OSError, ValueError, KeyError, BadZipFile):
        return None


def beat_points(recording: Recording, columns: Sequence[int], beats: Beats) -> Points:
    """Compute the point of each beat from the signal, part by part.

    Parameters
    ----------
    recording, columns, beats
        As for :func:`find_clusters`.

    Returns
    -------
    The points: distances between them are in units of the norm of the usual QRS complex of a lead.
    """
    n_parts = max(round(recording.duration_s / PART_S), 1)
    edges = [round(part * recording.n_samples / n_parts) for part in range(n_parts + 1)]
    parts = [np.empty((0, N_LEADS * _COEFFICIENTS + len(_TIMING)), dtype=np.float16)]
    for start, stop in pairwise(edges):
        first, last = np.searchsorted(beats.sample, (start, stop))
        part = _part_of(recording, start, stop)
        windows = detect_beats(part, columns, r_peaks=beats.sample[first:last] - start).windows
        parts += [_shape_and_timing(*segment) for segment in describe_segments(windows)]
    evidence = _CLASS_WEIGHT * np.log(np.maximum(beats.probability, _LEAST_PROBABILITY))
    return np.concatenate([np.concatenate(parts), evidence], axis=1, dtype=np.float16)


def _part_of(recording: Recording, start: int, stop: int) -> Recording:
    def read(first: int, last: int) -> Signal:
        return recording.read_leads(range(len(recording.leads)), start + first, start + last)

    return replace(recording, n_samples=stop - start, read=read, marks=())


def _shape_and_timing(features: Floats, qrs: Floats) -> Points:
    """Return coordinates of shape and timing, [n, k]; cosines keep the distances of smooth curves."""
    leads = qrs.reshape(len(qrs), N_LEADS, -1)
    cosines = dct(leads, norm="ortho", axis=-1)[..., :_COEFFICIENTS].reshape(len(qrs), -1)
    return np.concatenate([cosines, _TIMING_WEIGHT * features[:, _TIMING]], axis=1, dtype=np.float16)


def _bisect(points: Points, members: NDArray[np.intp]) -> NDArray[np.intp]:
    """Split the most diverse part until there are _PARTS, or all are alike; return the part of each."""
    part = np.zeros(len(members), dtype=np.intp)
    diversity = [_diversity(points[spread_evenly(members)], len(members))]
    while len(diversity) < min(_PARTS, len(members)) and max(diversity) > 0:
        number = int(np.argmax(diversity))
        inside = np.flatnonzero(part == number)
        second = _second_half(points[members[inside]])
        part[inside[second]] = len(diversity) if second.any() else number
        diversity.append(0.0)
        for half in (number, len(diversity) - 1):
            of_half = members[part == half]
            diversity[half] = _diversity(points[spread_evenly(of_half)], len(of_half))
    return np.unique(part, return_inverse=True)[1]


def _diversity(sampled: Points, n: int) -> float:
    """Compute the sum of squared distances of n points from their centre; 0 if they are alike."""
    variance = float(sampled.astype(np.float32).var(axis=0).sum()) if n else 0.0
    return n * variance if variance > _ALIKE**2 else 0.0


def _unite(points: Points, members: NDArray[np.intp], part: NDArray[np.intp]) -> NDArray[np.intp]:
    """Unite the parts that are near each other; return the cluster of each member, from 0."""
    if not part.any():
        return part
    centres = cluster_centres(points[members], part)
    tree = linkage(centres, "average")
    number = fcluster(tree, NEAR, "distance")
    if number.max() > MAX_PER_LABEL:
        number = fcluster(tree, MAX_PER_LABEL, "maxclust")
    return np.asarray(number[part] - 1, dtype=np.intp)


def cluster_centres(points: Points, cluster: NDArray[np.integer]) -> Floats:
    """Compute the mean point of each cluster that has points, from some thousand of them at most.

    Parameters
    ----------
    points
        The points of the beats.
    cluster
        The number of the cluster of each, [n].

    Returns
    -------
    The means, [n_clusters, k].
    """
    size = np.unique(cluster, return_counts=True)[1]
    groups = np.split(np.argsort(cluster, kind="stable"), np.cumsum(size)[:-1])
    return np.stack([points[spread_evenly(group)].mean(axis=0, dtype=np.float32) for group in groups])


def _second_half(points: Points) -> NDArray[np.bool_]:
    """Split points in two by 2-means, and return which are in the smaller half."""
    some = spread_evenly(points).astype(np.float32)
    centred = some - some.mean(axis=0)
    direction = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    second = centred @ direction > 0
    for _ in range(_ROUNDS):
        if second.all() or not second.any():
            return np.zeros(len(points), dtype=bool)
        normal, offset = _border(some[~second].mean(axis=0), some[second].mean(axis=0))
        before, second = second, some @ normal > offset
        if (second == before).all():
            break
    whole = np.concatenate(
        [points[part].astype(np.float32) @ normal > offset for part in in_chunks(len(points))]
    )
    return np.asarray(whole if 2 * whole.sum() <= len(whole) else ~whole)


def in_chunks(n: int) -> list[slice]:
    """Return slices that part n points, so that what is computed of a part stays in the processor's cache."""
    return [slice(first, first + _CHUNK) for first in range(0, max(n, 1), _CHUNK)]


def _border(first: Floats, second: Floats) -> tuple[Floats, float]:
    """Return the normal and the offset of the plane halfway between two centres."""
    normal = second - first
    return normal, float(normal @ (first + second) / 2)


def spread_evenly(values: NDArray[Any], most: int = _SAMPLED) -> NDArray[Any]:
    """Return at most so many of some values, evenly spread along the first axis.

    Parameters
    ----------
    values
        Values in their order, [n, ...].
    most
        Maximum number.

    Returns
    -------
    Some of the values, or all.
    """
    return values[np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(np.intp)]


def _draw(recording: Recording, columns: Sequence[int], sample: Samples) -> ClusterDrawing:
    before, after = (round(reach_s * recording.fs) for reach_s in (DRAW_BEFORE_S, DRAW_AFTER_S))
    cuts = np.full((len(sample), before + after, len(columns)), np.nan, dtype=np.float32)
    for cut, r_peak in zip(cuts, sample.tolist(), strict=True):
        first, last = max(r_peak - before, 0), min(r_peak + after, recording.n_samples)
        begin = first - r_peak + before
        cut[begin : begin + last - first] = recording.read_leads(columns, first, last)
    levelled = level(cuts.transpose(0, 2, 1))
    return ClusterDrawing(mean(levelled), levelled.transpose(2, 0, 1), sample)
