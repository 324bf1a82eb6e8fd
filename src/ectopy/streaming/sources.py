"""Sources of a running signal, and the first of them: a recording that is played."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ectopy.ecg import Recording, Signal

POLL_S = 0.25
"""Time in seconds after which a source that waits for samples says that none came."""
_PACKET_S = 0.04
"""Length of a packet in seconds of a recording that is played, as recorders send them."""
_FAST_PACKET_S = 0.2
_LOOK_S = 0.1  # how often a wait looks whether it is over


class StreamSourceError(ValueError):
    """A source that cannot be used; the message states the problem and the remedy."""


class Stop:
    """Whether a stream is asked to end. A signal handler may set it; an Event could then wait for ever."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Ask for the end."""
        self._is_set = True

    def is_set(self) -> bool:
        """Return whether the end was asked for."""
        return self._is_set

    def wait(self, longest_s: float = np.inf) -> bool:
        """Wait until the end is asked for, or for some seconds; return whether it was asked for."""
        until = time.monotonic() + longest_s
        while not self._is_set and (rest_s := until - time.monotonic()) > 0:
            time.sleep(min(rest_s, _LOOK_S))
        return self._is_set


class Packet(NamedTuple):
    """Samples that came together, [n, n_leads] in mV; none if the source waits.

    ``time_s`` is the time of the first one on the clock of the sender; None if it has no clock.
    """

    samples: Signal
    time_s: float | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """A running signal.

    ``packets(stopped)`` yields what comes until there is no more, or until ``stopped`` is set. ``leads`` are
    all that it sends. ``waits`` is True if it may fall silent, as a file does not.
    """

    name: str
    fs: float
    leads: tuple[str, ...]
    packets: Callable[[Stop], Iterator[Packet]]
    waits: bool = False


def play(recording: Recording, columns: tuple[int, ...], *, speed: float = np.inf) -> Source:
    """Return a recording as a source.

    Parameters
    ----------
    recording
        The recording.
    columns
        Columns of the leads to send.
    speed
        Seconds of signal per second; infinite to send as fast as it is taken.

    Returns
    -------
    The source.
    """

    def packets(stopped: Stop) -> Iterator[Packet]:
        length_s = _PACKET_S * speed if speed < _FAST_PACKET_S / _PACKET_S else _FAST_PACKET_S
        step, block = max(round(length_s * recording.fs), 1), round(60 * recording.fs)
        began = time.monotonic()
        for first in range(0, recording.n_samples, block):
            signal = recording.read_leads(columns, first, min(first + block, recording.n_samples))
            for start in range(0, len(signal), step):
                samples = signal[start : start + step]
                due = began + (first + start + len(samples)) / recording.fs / speed
                if stopped.wait(max(due - time.monotonic(), 0.0)):
                    return
                yield Packet(samples)

    leads = tuple(recording.leads[column] for column in columns)
    return Source(recording.name, recording.fs, leads, packets)


def nothing(n_leads: int) -> Packet:
    """Return what a source yields while it waits."""
    return Packet(np.empty((0, n_leads), dtype=np.float32))
