"""Conversion of sample indices between a recording and the working grid of 200 Hz."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from ectopy.ecg import Recording, Samples
from ectopy.signal.filters import rate_ratio, working_length


@dataclass(frozen=True)
class TimeGrid:
    """The two grids of a recording: its own, and the working grid at WORKING_FS.

    Indices are converted by the same ratio of whole numbers that the signal was resampled by. Times therefore
    do not drift at odd sampling rates such as 128.0512 Hz.
    """

    fs: float
    """Sampling rate of the recording in Hz."""
    n_samples: int
    """Number of samples of the recording."""

    @classmethod
    def of(cls, recording: Recording) -> Self:
        """Return the grids of a recording."""
        return cls(recording.fs, recording.n_samples)

    @property
    def n_working(self) -> int:
        """Number of samples on the working grid."""
        return working_length(self.n_samples, self.fs)

    def to_working(self, sample: Samples) -> Samples:
        """Convert sample indices of the recording to the working grid."""
        moved = np.round(sample * float(rate_ratio(self.fs))).astype(np.int64)
        return np.minimum(moved, max(self.n_working - 1, 0))

    def to_recording(self, sample: Samples) -> Samples:
        """Convert sample indices of the working grid to the recording."""
        return np.minimum(self.edges_to_recording(sample), max(self.n_samples - 1, 0))

    def edges_to_recording(self, edge: Samples) -> Samples:
        """Convert edges of intervals to the recording; the last edge may be the end of the recording."""
        moved = np.round(edge / float(rate_ratio(self.fs))).astype(np.int64)
        return np.minimum(moved, self.n_samples)
