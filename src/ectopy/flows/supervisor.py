"""Programs that are to run for good: started in order, started again when they die, ended whole.

``python -m ectopy.flows.supervisor 4200 /api/health`` ends with status 0 if that answers: a health check.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from types import FrameType

import psutil

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
"""Nothing listens to another machine: whoever comes from one brings a tunnel, or sees deploy/."""
READY_S = 180.0
"""A first start makes a database, and a busy machine takes its time."""
GRACE_S, IDLE_S, TERMINATE_TIMEOUT_S = 30.0, 3.0, 10.0
"""What is being worked on may end; what does not is told to, and may say so; then all are killed."""
STABLE_AFTER_S = 60.0
"""Who ran so long before it died is not counted as dying again and again."""
MOST_DEATHS = 5
_POLL_S = 0.2


class ServiceError(ValueError):
    """A service that cannot be started, or that does not stay."""


@dataclass(frozen=True)
class Service:
    """A program by its command; it can be used once ``path`` answers on ``port`` with status 200.

    ``listens`` is false where that is the answer of another service, which this one cannot do without.
    """

    name: str
    command: tuple[str, ...]
    port: int
    path: str
    listens: bool = True


class Child:
    """A service as a process of a session of its own: Ctrl-C goes to the parent, who ends it in order."""

    def __init__(self, service: Service, environment: Mapping[str, str]) -> None:
        self.service, self._environment = service, dict(environment)
        self.deaths, self._again_at_s = 0, 0.0
        self._start()

    def _start(self) -> None:
        self._started_s = time.monotonic()
        self._again_at_s = 0.0
        self._process = subprocess.Popen(  # noqa: S603 - the command of a service, no input of a user
            self.service.command, env=self._environment, stdin=subprocess.DEVNULL, start_new_session=True
        )

    def wait_until_ready(self, timeout_s: float = READY_S) -> None:
        """Wait for its answer; ServiceError where it ends before, or says nothing in time."""
        name, deadline_s = self.service.name, time.monotonic() + timeout_s
        while not answers(self.service.port, self.service.path):
            if (status := self._process.poll()) is not None:
                raise ServiceError(f"{name}: ended with status {status} before it could be used")
            if time.monotonic() > deadline_s:
                raise ServiceError(f"{name}: an answer within {timeout_s:g} s expected, none came")
            time.sleep(_POLL_S)

    def look_after(self) -> None:
        """Start it again where it died, later each time; ServiceError where that is of no use."""
        if (status := self._process.poll()) is None:
            return
        now_s = time.monotonic()
        if not self._again_at_s:
            self._buried(status, now_s)
        elif now_s >= self._again_at_s and self._can_start():
            self._start()

    def _can_start(self) -> bool:
        return self.service.listens or answers(self.service.port, self.service.path)

    def _buried(self, status: int, now_s: float) -> None:
        name = self.service.name
        self._kill_group()  # its own processes would hold the port; flow runs have sessions of their own
        self.deaths = 1 if now_s - self._started_s > STABLE_AFTER_S else self.deaths + 1
        if self.deaths >= MOST_DEATHS:
            raise ServiceError(f"{name}: died {self.deaths} times in a row, at last with status {status}")
        delay_s = 2.0 ** (self.deaths - 1)
        logger.warning("%s ended with status %d; it is started again in %g s", name, status, delay_s)
        self._again_at_s = now_s + delay_s

    def stop(self, grace_s: float = GRACE_S) -> None:
        """Let it finish what it works on, then end it and all it started."""
        family = self._family()
        with suppress(psutil.NoSuchProcess):
            self._process.terminate()
        # An idle worker of Prefect waits to be told twice.
        if not self._ended_within(grace_s if family else min(grace_s, IDLE_S)):
            for process in family:  # flow runs, which report that they were broken off
                with suppress(psutil.NoSuchProcess):
                    process.terminate()
            self._process.terminate()
            self._ended_within(TERMINATE_TIMEOUT_S)
        for process in psutil.wait_procs(family, timeout=_POLL_S)[1]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._kill_group()
        self._process.wait()

    def _family(self) -> list[psutil.Process]:
        try:
            return list(psutil.Process(self._process.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return []

    def _ended_within(self, timeout_s: float) -> bool:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return self._process.returncode is not None

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


@contextmanager
def running() -> Iterator[list[Child]]:
    """Give a list for the children to be; whatever ends the block ends them, the last one first."""
    children: list[Child] = []
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield children
    finally:
        for child in reversed(children):
            logger.info("%s is ended", child.service.name)
            child.stop()
        signal.signal(signal.SIGTERM, before)


def start(children: list[Child], services: Sequence[Service], environment: Mapping[str, str]) -> None:
    """Start services side by side and wait until each can be used; their ports must be free."""
    for service in services:
        if service.listens and not is_free(service.port):
            raise ServiceError(
                f"{service.name}: port {service.port} is taken; choose another, or end what has it"
            )
    fresh = []
    for service in services:
        fresh.append(Child(service, environment))
        children.append(fresh[-1])
    for child in fresh:
        child.wait_until_ready()


def watch(children: Sequence[Child]) -> None:
    """Look after the children until the process is told to end."""
    while True:
        for child in children:
            child.look_after()
        time.sleep(_POLL_S)


def is_free(port: int) -> bool:
    """Tell whether nobody listens on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) != 0


def answers(port: int, path: str) -> bool:
    """Tell whether a server of this machine answers with status 200; no proxy is asked."""
    connection = HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(not answers(int(sys.argv[1]), sys.argv[2]))
