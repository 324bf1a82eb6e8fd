"""A stream of the Lab Streaming Layer as a source. It waits for the sender, also for one that comes back."""

import time
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from ectopy.ecg import Signal
from ectopy.readers.validation import millivolts
from ectopy.streaming.sources import POLL_S, Packet, Source, Stop, StreamSourceError, nothing

GAP_S = 0.5
"""A time stamp that is later than expected by this is a gap; the times of packets differ by less."""
_FOLLOW = 0.05  # share of a smaller difference that the expected time takes over: two clocks drift
_BUFFER_S = 360
_AT_ONCE = 4096
_QUIET = "[log]\nlevel = -3\n"


def lsl_source(name: str, *, wait_s: float = np.inf) -> Source:
    """Return a stream of the Lab Streaming Layer as a source.

    Parameters
    ----------
    name
        Name of the stream.
    wait_s
        Longest time to search in seconds.

    Returns
    -------
    The source. Channels with a unit of voltage are converted to mV; others are in mV already.

    Raises
    ------
    StreamSourceError
        If there is no such stream, or it has no constant sampling rate or no numbers.
    """
    pylsl = _library()
    found = _find(name, wait_s)
    inlet = _inlet(found)
    info = inlet.info(timeout=5.0)
    fs, n_leads = float(info.nominal_srate()), int(info.channel_count())
    if fs <= 0 or info.channel_format() == pylsl.cf_string:
        raise StreamSourceError(
            f"--lsl {name}: not a signal with a constant sampling rate. Name another stream."
        )
    leads, factors = _channels(info, n_leads)

    def packets(stopped: Stop) -> Iterator[Packet]:
        nonlocal inlet
        steady = SteadyClock(fs)
        while not stopped.is_set():
            try:
                rows, stamps = inlet.pull_chunk(timeout=POLL_S, max_samples=_AT_ONCE)
            except pylsl.util.LostError:
                yield nothing(n_leads)
                if again := _look(name, POLL_S):
                    _check_same(again, name, fs, n_leads)
                    inlet = _inlet(again)
                continue
            if not stamps:
                yield nothing(n_leads)
            for start, stop in _without_gaps(np.asarray(stamps), fs):
                samples = np.asarray(rows[start:stop], dtype=np.float64) * factors
                yield Packet(_as_signal(samples), steady.time_of(stamps[start], stop - start))

    return Source(name, fs, leads, packets, waits=True)


class SteadyClock:
    """The time of packets without their jitter: the expected time, unless a gap or a jump is between.

    Parameters
    ----------
    fs
        Sampling rate in Hz.
    """

    def __init__(self, fs: float) -> None:
        self._fs = fs
        self._expected = np.nan

    def time_of(self, stamp: float, n: int) -> float:
        """Return the time of the first sample of a packet.

        Parameters
        ----------
        stamp
            Its time stamp in seconds.
        n
            Number of samples of the packet.

        Returns
        -------
        The time in seconds.
        """
        late = stamp - self._expected
        time_s = self._expected + _FOLLOW * late if abs(late) < GAP_S else stamp
        self._expected = time_s + n / self._fs
        return float(time_s)


def _without_gaps(stamps: np.ndarray[Any, np.dtype[np.float64]], fs: float) -> list[tuple[int, int]]:
    """Return the parts of a chunk between its gaps, as half-open intervals."""
    if not len(stamps):
        return []
    edges = [0, *(np.flatnonzero(np.abs(np.diff(stamps) - 1 / fs) >= GAP_S) + 1).tolist(), len(stamps)]
    return list(pairwise(edges))


def _find(name: str, wait_s: float) -> Any:
    until = time.monotonic() + wait_s
    while time.monotonic() < until:
        if found := _look(name, POLL_S):
            return found
    raise StreamSourceError(
        f"--lsl {name}: no stream of this name was found. Start the sender, or check the name."
    )


def _look(name: str, wait_s: float) -> Any:
    found = _library().resolve_byprop("name", name, minimum=1, timeout=wait_s)
    return found[0] if found else None


def _check_same(again: Any, name: str, fs: float, n_leads: int) -> None:
    """Raise StreamSourceError if a sender that comes back sends another signal."""
    sent = float(again.nominal_srate()), int(again.channel_count())
    if sent != (fs, n_leads):
        raise StreamSourceError(
            f"--lsl {name}: it came back with {sent[1]} channels at {sent[0]:g} Hz, not with {n_leads} "
            f"at {fs:g} Hz. Start `ectopy stream` again."
        )


def _inlet(found: Any) -> Any:
    pylsl = _library()
    return pylsl.StreamInlet(found, max_buflen=_BUFFER_S, processing_flags=pylsl.proc_clocksync)


@lru_cache(maxsize=1)
def _library() -> Any:
    """Import pylsl, whose own log would stand among the messages of the command."""
    import pylsl

    pylsl.set_config_content(_QUIET)
    return pylsl


def _channels(info: Any, n_leads: int) -> tuple[tuple[str, ...], np.ndarray[Any, np.dtype[np.float64]]]:
    """Return the names of the channels, each once, and the mV of one unit of each."""
    names, factors = [], []
    channel = info.desc().child("channels").child("channel")
    for number in range(1, n_leads + 1):
        name = " ".join(channel.child_value("label").split()) or f"lead {number}"
        names.append(f"{name} ({number})" if name in names else name)
        factors.append(millivolts(channel.child_value("unit")) or 1.0)
        channel = channel.next_sibling("channel")
    return tuple(names), np.array(factors)


def _as_signal(samples: np.ndarray[Any, np.dtype[np.float64]]) -> Signal:
    with np.errstate(over="ignore"):
        return samples.astype(np.float32)
