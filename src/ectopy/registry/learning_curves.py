"""Learning curves of a training on its own run: one line for each fold, and one for the ensemble."""

from collections import Counter
from collections.abc import Mapping
from statistics import fmean
from threading import Lock

from ectopy.model.training import EpochReport
from ectopy.registry import runs

PREFIX = "by_epoch/loss "
"""Beginning of the metrics' names. MLflow shows groups of charts by the alphabet, and so this one first."""


class LearningCurves:
    """The mean loss by epoch over the networks of each group, logged as soon as all of them have it.

    ``groups`` names the group of each network, such as ``fold 0``. Threads may share it.
    """

    def __init__(self, run_id: str, groups: Mapping[str, str]) -> None:
        self._run_id, self._groups = run_id, groups
        self._size = Counter(groups.values())
        self._losses: dict[tuple[str, int], dict[str, float]] = {}
        self._lock = Lock()

    def add(self, report: EpochReport) -> None:
        """Add the losses of a network in an epoch; what was added before changes nothing."""
        network, epoch, losses = report
        group = self._groups[network]
        with self._lock:
            at_epoch = self._losses.setdefault((group, epoch), {})
            if network in at_epoch or "loss" not in losses:
                return
            at_epoch[network] = losses["loss"]
            if len(at_epoch) == self._size[group]:
                mean = fmean(at_epoch.values())
                runs.log_metrics({f"{PREFIX}{group}": mean}, step=epoch, run_id=self._run_id)
