"""A source played through a stream: each packet is analysed at once, and what is new is told."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ectopy.ecg import Signal
from ectopy.live.stream import Stream, Update
from ectopy.streaming.lines import as_document
from ectopy.streaming.recorder import Recorder, as_stored
from ectopy.streaming.sources import Source, Stop

SILENT_S = 2.0
"""A source from which nothing has come for this time is silent."""


class Listener(Protocol):
    """What hears of a session."""

    def tell(self, document: dict[str, Any]) -> None:
        """Take a line."""

    def show(self, first: int, samples: Signal) -> None:
        """Take the analysed samples.

        Parameters
        ----------
        first
            Number of the first sample.
        samples
            [n, n_leads] in mV.
        """


class ListenerGoneError(Exception):
    """Nobody listens any more, such as at the other end of a pipe: the session ends."""


@dataclass(eq=False)
class Session:
    """A source, the stream that analyses it, and who listens.

    ``columns`` are those of the source that are analysed. ``recorder`` keeps all of its leads. ``name`` is
    what listeners are told. ``clock`` is a clock in seconds.
    """

    source: Source
    stream: Stream
    columns: Sequence[int]
    listeners: Sequence[Listener]
    name: str
    recorder: Recorder | None = None
    clock: Callable[[], float] = time.monotonic
    n_beats: int = 0
    _heard: float = field(default=0.0, init=False)
    _silent: bool = field(default=False, init=False)

    def run(self, stopped: Stop) -> bool:
        """Play the source to its end, or until ``stopped`` is set or nobody listens; return which."""
        try:
            self._tell(
                {
                    **self._moment("start"),
                    "name": self.name,
                    "fs_hz": self.source.fs,
                    "leads": list(self.stream.leads),
                    "model": self.stream.model.name,
                }
            )
            self._play(stopped)
            self._tell_all(self.stream.finish())
            self._tell({**self._moment("end"), "n_beats": self.n_beats})
        except ListenerGoneError:
            return False
        return not stopped.is_set()

    def _play(self, stopped: Stop) -> None:
        self._heard = self.clock()
        for packet in self.source.packets(stopped):
            if len(packet.samples):
                self._resume()
                self._take(packet.samples, packet.time_s)
            elif self.source.waits:
                self._wait()
            if stopped.is_set():
                return

    def _take(self, samples: Signal, time_s: float | None) -> None:
        kept = as_stored(samples) if self.source.waits else samples
        analysed, before = kept[:, list(self.columns)], self.stream.n_samples
        updates = self.stream.push(analysed, time_s)
        n_missing = self.stream.n_samples - before - len(kept)
        if self.recorder:
            self.recorder.write_missing(n_missing)
            self.recorder.write(kept)
        for listener in self.listeners:
            listener.show(before + n_missing, analysed)
        self._tell_all(updates)

    def _wait(self) -> None:
        """Report once that nothing comes."""
        if not self._silent and self.clock() - self._heard >= SILENT_S:
            self._silent = True
            self._tell(self._gap("silent"))

    def _resume(self) -> None:
        now = self.clock()
        if self._silent:
            self._silent = False
            self._tell(self._gap("resumed"))
        self._heard = now

    def _gap(self, reason: str) -> dict[str, Any]:
        since = round(self.clock() - self._heard, 3)
        return {**self._moment("gap"), "reason": reason, "duration_s": since}

    def _moment(self, kind: str) -> dict[str, Any]:
        now = round(self.stream.duration_s, 6)
        return {"kind": kind, "sample": self.stream.n_samples, "time_s": now, "at_s": now}

    def _tell_all(self, updates: Sequence[Update]) -> None:
        for update in updates:
            self.n_beats += update.kind == "beat"
            self._tell(as_document(update))

    def _tell(self, document: dict[str, Any]) -> None:
        for listener in self.listeners:
            listener.tell(document)
