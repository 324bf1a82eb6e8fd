"""Reference annotations of a record, and the conditions under which a classifier is compared with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from ectopy.annotations import Annotations
from ectopy.ec57 import BeatComparison, BeatMap, compare_beats
from ectopy.ecg import Labels, Samples

DETECTED, GIVEN, EC57_MAP = "detected", "given", "detected-ec57-map"
CONDITIONS: Mapping[str, str] = MappingProxyType(
    {
        DETECTED: "detected beats, escape beats as N (de Chazal's map)",
        GIVEN: "given R peaks, escape beats as N (de Chazal's map)",
        EC57_MAP: "detected beats, escape beats as SVEB (the map of EC57 and bxb)",
    }
)


@dataclass(frozen=True, eq=False)
class Reference:
    """Reference annotations of a record, and its patient."""

    record: str
    patient: str
    annotations: Annotations
    fs: float
    n_samples: int

    def compare(self, test: Annotations, *, beat_map: BeatMap = "dechazal") -> BeatComparison:
        """Compare a test annotator of the record with the reference, beat by beat.

        Parameters
        ----------
        test
            Annotations to judge.
        beat_map
            Class of escape beats; de Chazal's map counts them as N.

        Returns
        -------
        The comparison by EC57.
        """
        return compare_beats(self.annotations, test, self.fs, beat_map=beat_map, n_samples=self.n_samples)

    def compare_labels(self, sample: Samples, label: Labels) -> BeatComparison:
        """Compare beats and their classes with the reference, with de Chazal's map.

        Parameters
        ----------
        sample
            The beats in samples, [n].
        label
            Their classes, [n].

        Returns
        -------
        The comparison by EC57.
        """
        zeros = np.zeros(len(label), dtype=np.int64)
        return self.compare(Annotations(sample, label, zeros, ("",) * len(label)))
