"""A recording under review: its state, its templates and open questions, while several windows edit it."""

import logging
import threading
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ectopy.batch.provenance import input_sha256
from ectopy.ecg import Samples
from ectopy.parallel.worker_pool import WorkerPool
from ectopy.review.background import (
    CLUSTERS_FILE,
    keep_count,
    write_clusters,
)
from ectopy.review.clusters import (
    ClusterDrawing,
    Clusters,
    draw_clusters,
    load_clusters,
    save_clusters,
    split,
)
from ectopy.review.confirm import confirm, settle_confirmation
from ectopy.review.decisions import Decision, next_decisions, similar_beats
from ectopy.review.edits import (
    ARTEFACT,
    Action,
    Confirm,
    DeleteBeats,
    EditError,
    LabelSimilar,
    Redo,
    RelabelBeats,
    Reopen,
    Undo,
    action_from_json,
    check_within,
)
from ectopy.review.history import history
from ectopy.review.log import EditConflictError, EditLog
from ectopy.review.recordings import StoredResult, open_result
from ectopy.review.reviewed_beats import review_beats
from ectopy.review.state import ReviewState, replay

logger = logging.getLogger(__name__)

WITHOUT_SIGNAL = "Without the signal, beats cannot be compared."


class OpenReview:
    """A recording under review: the automatic results, the log of edits, their state, and the clusters.

    Every method may be called by several threads. ``state`` and ``clusters`` are frozen values, which are
    replaced as a whole. Where ``follows`` is True, beats that nobody has labelled follow the answers on
    similar beats. Clusters are None until they are found, and ``failure`` says why they cannot be.
    """

    def __init__(self, stored: StoredResult, *, follows: bool = True) -> None:
        self.stored = stored
        self._follows = follows
        self.log = EditLog(stored.log_path)
        self.state = self._completed()
        self.clusters: Clusters | None = None
        self.drawings: dict[int, ClusterDrawing] = {}
        self.failure = "" if stored.has_signal else WITHOUT_SIGNAL
        self._lock = threading.RLock()
        self._deciding = threading.Lock()
        self._decisions: tuple[ReviewState, Clusters, Sequence[Decision]] | None = None
        if stored.has_signal:
            threading.Thread(target=self._prepare, daemon=True, name="prepare").start()

    def refresh(self) -> ReviewState:
        """Return the state with what other windows and processes have added."""
        with self._lock:
            self.log.refresh()
            # An edit that was refused has read those of others too, so the new entries alone do not tell.
            if self.state.last_id != self.log.last_id:
                self.state = self._completed()
            return self.state

    def edit(self, values: Mapping[str, Any], *, by: str, last_id: int) -> ReviewState:
        """Append an edit as a page sends it, and return the new state.

        Parameters
        ----------
        values
            The fields of an action without ``was``; or ``relabel_clusters`` with ``clusters`` and ``to``,
            and the ``arrangement`` that the page shows.
            If ``answer`` is True, it answers a question about beats, and similar beats follow.
        by
            Initials of the reader.
        last_id
            Id of the last entry that the page has seen.

        Returns
        -------
        The state after it.
        """
        with self._lock:
            fields = dict(values)
            is_answer = fields.pop("answer", False) is True
            self._append(self._action(fields), by, last_id)
            # The answer is saved. Where the disk is full now, or another process was faster, nothing follows
            # it, and the next answer brings the similar beats.
            with suppress(OSError, EditError, EditConflictError):
                if is_answer and self._follows and (similar := self._similar_beats()):
                    self._append(similar, by, self.log.last_id)
            self.state = self._replayed()
            return self.state

    def order(self, what: str, *, by: str, last_id: int, seconds: float | None = None) -> ReviewState:
        """Undo or redo an edit, confirm the results, or reopen them.

        Parameters
        ----------
        what
            ``undo``, ``redo``, ``confirm`` or ``reopen``.
        by, last_id
            As for :meth:`edit`.
        seconds
            How long the review took, for ``confirm``.

        Returns
        -------
        The state after it.
        """
        with self._lock:
            if what == "confirm":
                try:
                    confirm(self.stored, self.log, by=by, seconds=seconds, expected_last_id=last_id)
                finally:
                    self.state = self._replayed()
                return self.state
            self._append(self._step(what), by, last_id)
            self.state = self._completed()
            return self.state

    def decisions(self) -> Sequence[Decision]:
        """Return the open decisions, the most informative first; none until there are clusters."""
        with self._deciding:  # an edit need not wait for it
            state, clusters = self.state, self.clusters
            if clusters is None:
                return ()
            if self._decisions is None or self._decisions[:2] != (state, clusters):
                self._decisions = state, clusters, next_decisions(state, clusters)
                keep_count(self.stored.out / self.stored.name, len(self._decisions[2]), last_id=state.last_id)
            return self._decisions[2]

    @property
    def n_open(self) -> int | None:
        """The number of open decisions, if they have been found since the last edit."""
        found = self._decisions
        return None if found is None or found[0] is not self.state else len(found[2])

    @property
    def is_preparing(self) -> bool:
        """Whether the clusters are being found."""
        return self.clusters is None and not self.failure

    # --- clusters ---

    def cluster_of(self, samples: Samples) -> np.ndarray[Any, np.dtype[np.int32]]:
        """Return the number of the cluster of each beat, -1 for a beat that a reader has inserted."""
        clusters = self.clusters
        if clusters is None or not len(clusters.sample):
            return np.full(len(samples), -1, dtype=np.int32)
        at = np.minimum(np.searchsorted(clusters.sample, samples), len(clusters.sample) - 1)
        return np.where(clusters.sample[at] == samples, clusters.cluster[at], -1).astype(np.int32)

    @property
    def arrangement(self) -> int | None:
        """A checksum of which beats are in which cluster; None until there are clusters."""
        return None if self.clusters is None else zlib.crc32(self.clusters.cluster.tobytes())

    def split(self, number: int, samples: Samples | None = None) -> list[int]:
        """Split a cluster in up to four.

        Parameters
        ----------
        number
            Number of the cluster.
        samples
            Those of its beats that are split; the others stay together. By default all.

        Returns
        -------
        The numbers of its parts, the largest first.
        """
        with self._lock:
            clusters = self._known(number)
            members = clusters.members(number)
            if samples is not None:
                members = members[np.isin(clusters.sample[members], samples)]
            if not len(members):
                raise EditError("none of these beats is in the template.")
            after = split(clusters, number, members)
            self._rearrange(after)
            return [number, *range(clusters.n_clusters, after.n_clusters)]

    def move(self, samples: Samples, to: int) -> None:
        """Move beats to another cluster.

        Parameters
        ----------
        samples
            The beats.
        to
            Number of the cluster.
        """
        with self._lock:
            clusters = self._known(to)
            self._rearrange(_with_numbers(clusters, np.isin(clusters.sample, samples), to))

    def unite(self, numbers: Sequence[int], to: int) -> None:
        """Make one cluster of several.

        Parameters
        ----------
        numbers
            The clusters.
        to
            The one that stays.
        """
        with self._lock:
            clusters = self._known(to)
            self._rearrange(_with_numbers(clusters, np.isin(clusters.cluster, numbers), to))

    def _known(self, number: int) -> Clusters:
        if self.clusters is None or not 0 <= number < self.clusters.n_clusters:
            raise EditError(f"there is no template {number}.")
        return self.clusters

    def _rearrange(self, clusters: Clusters) -> None:
        """Keep other clusters than before, and draw those that changed."""
        assert self.clusters is not None
        changed = clusters.cluster != self.clusters.cluster
        numbers = {*clusters.cluster[changed].tolist(), *self.clusters.cluster[changed].tolist()}
        if not numbers:
            raise EditError("all beats of the template are alike.")
        self.drawings |= self._draw(clusters, sorted(numbers))
        self._keep(clusters)

    def _keep(self, clusters: Clusters) -> None:
        self.clusters = clusters
        folder = self.stored.review_folder
        try:
            folder.mkdir(exist_ok=True)
            save_clusters(folder / CLUSTERS_FILE, clusters, self.stored.base)
        except OSError as error:  # it is a cache
            logger.warning("%s: not kept (%s)", folder / CLUSTERS_FILE, error.strerror)

    def _draw(self, clusters: Clusters, numbers: Sequence[int]) -> dict[int, ClusterDrawing]:
        analysis = self.stored.analysis
        filled = [number for number in numbers if len(clusters.members(number))]
        drawings = draw_clusters(analysis.recording, analysis.columns, clusters, filled)
        return dict(zip(filled, drawings, strict=True))

    def _prepare(self) -> None:
        """Do what takes long and nobody should wait for: check the original, find the clusters."""
        stored = self.stored
        with suppress(OSError, ValueError):
            if input_sha256(stored.source) == stored.provenance["input_sha256"]:
                self._find_clusters()
                return
        with self._lock:  # it has changed, so its signal is not shown any more
            self.stored = open_result(stored.out, stored.name, originals=stored.originals)
            self.state, self.failure = self._replayed(), WITHOUT_SIGNAL

    def _find_clusters(self) -> None:
        """Find the clusters, or read those that were found before; the pages can be used meanwhile."""
        path, base = self.stored.review_folder / CLUSTERS_FILE, self.stored.base
        try:
            if (clusters := load_clusters(path, base)) is None:
                # In a process of its own: its memory is given back, and the pages get their answers at once.
                with WorkerPool(1) as process:
                    folder = self.stored.out / self.stored.name
                    process.call(partial(write_clusters, originals=self.stored.originals), folder)
                clusters = load_clusters(path, base)
            assert clusters is not None
            drawings = self._draw(clusters, range(clusters.n_clusters))
        except (OSError, ValueError, RuntimeError) as error:
            self.failure = f"The beats cannot be compared: {error}"
            return
        with self._lock:
            self.drawings, self.clusters = drawings, clusters

    # --- edits ---

    def _step(self, what: str) -> Action:
        """Return the action that undoes or redoes the edit whose turn it is, or reopens the results."""
        past = history(self.log.entries)
        if what == "undo" and past.next_undo:
            return Undo(past.next_undo[0].id)
        if what == "redo" and past.next_redo:
            return Redo(past.next_redo[0].id)
        if what == "reopen":
            return Reopen()
        raise EditError(f"{what}: there is no edit to {what}.")

    def _completed(self) -> ReviewState:
        """Return the state, and have the confirmed files be what the log says."""
        with suppress(OSError):  # such as a disk that is still full
            settle_confirmation(self.stored, self.log.entries)
        return self._replayed()

    def _replayed(self) -> ReviewState:
        return replay(self.stored.analysis, self.log.entries, base=self.stored.base)

    def _append(self, action: Action, by: str, last_id: int) -> None:
        """Append an action; the state is as before until it is replayed."""
        self.log.append(action, by=by, base=self.stored.base, expected_last_id=last_id)

    def _similar_beats(self) -> LabelSimilar | None:
        """Return the edit after which similar beats follow the answers in the log, if any do."""
        if self.clusters is None:
            return None
        automatic = self.stored.analysis
        reviewed = review_beats(automatic, history(self.log.entries).done, self.stored.base)
        return similar_beats(reviewed, self.clusters, automatic.beats.probability)

    def _action(self, fields: dict[str, Any]) -> Action:
        """Return the action that a page asks for; which labels the beats had, only the server knows."""
        name = str(fields.get("action"))
        if name == "relabel_clusters":
            return self._relabel_clusters(fields)
        if name in {"relabel_beats", "delete_beats"}:
            return self._of_beats(fields)
        action = action_from_json(fields)
        if isinstance(action, LabelSimilar | Undo | Redo | Confirm | Reopen):
            raise EditError(f"{name}: this is no edit of a reader. Ask for it by its own address.")
        check_within(action, self.stored.analysis.n_samples)
        return action

    def _relabel_clusters(self, fields: Mapping[str, Any]) -> Action:
        numbers = fields.get("clusters")
        if self.clusters is None or not isinstance(numbers, list) or not {*map(type, numbers)} <= {int}:
            raise EditError("relabel_clusters.clusters: give numbers of clusters.")
        if fields.get("arrangement", self.arrangement) != self.arrangement:
            raise EditError("the templates were rearranged meanwhile. Look at them again.")
        samples, was = self._labels()
        chosen = np.isin(self.cluster_of(samples), numbers)
        check = action_from_json({"action": "insert_beat", "sample": 0, "label": fields.get("to")})
        if not chosen.any():
            raise EditError("relabel_clusters.clusters: none of them has a beat.")
        return RelabelBeats(samples[chosen], check.label, "".join(was[chosen].tolist()))  # type: ignore[union-attr]

    def _of_beats(self, fields: dict[str, Any]) -> Action:
        given_samples = fields.get("samples")
        n = len(given_samples) if isinstance(given_samples, list) else 0
        given = action_from_json(fields | {"was": "N" * n})
        assert isinstance(given, RelabelBeats | DeleteBeats)
        samples, labels = self._labels()
        at = np.minimum(np.searchsorted(samples, given.samples), len(samples) - 1)
        if not len(samples) or not (samples[at] == given.samples).all():
            raise EditError("there is no beat any more where this edit has one. Look at it again.")
        return replace(given, was="".join(labels[at].tolist()))

    def _labels(self) -> tuple[Samples, np.ndarray[Any, np.dtype[np.str_]]]:
        """Return all beats with their labels, also those that a reader called artefact."""
        beats, artefacts = self.state.beats, self.state.artefacts
        samples = np.concatenate((beats.sample, artefacts))
        labels = np.concatenate((beats.label, np.full(len(artefacts), ARTEFACT, dtype="U1")))
        order = np.argsort(samples, kind="stable")
        return samples[order], labels[order]


def _with_numbers(clusters: Clusters, chosen: np.ndarray[Any, np.dtype[np.bool_]], to: int) -> Clusters:
    cluster = clusters.cluster.copy()
    cluster[chosen] = to
    return replace(clusters, cluster=cluster)
