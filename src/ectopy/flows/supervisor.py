"""Supervisor of long-running programs: start them in order, restart them after a crash, stop them.

``python -m ectopy.flows.supervisor 4200 /api/health`` is a health check: its status is 0 if that path of the
port on this machine answers.
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
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from types import FrameType

import psutil

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
"""No service is reachable from other machines; for those use a tunnel, or see deploy/."""
READY_TIMEOUT_S = 180.0
"""Long, because the first start creates a database and the machine may be busy."""
SHUTDOWN_TIMEOUT_S, IDLE_SHUTDOWN_TIMEOUT_S, TERMINATE_TIMEOUT_S = 30.0, 3.0, 10.0
"""Time for work in progress (for an idle service the second); then time to react to SIGTERM; then SIGKILL."""
STABLE_AFTER_S = 60.0
"""A crash after this many seconds does not count as one of a series."""
MAX_CRASHES = 5
_POLL_S = 0.2


class ServiceError(ValueError):
    """A service that cannot be started, or that keeps crashing."""


@dataclass(frozen=True)
class Service:
    """A program and its command. It is ready when ``path`` answers on ``port`` with status 200.

    ``listens`` is false if another service, which this one needs, gives that answer. ``authorization`` is
    the HTTP header that ``path`` needs.
    """

    name: str
    command: tuple[str, ...]
    port: int
    path: str
    listens: bool = True
    authorization: str = field(default="", repr=False)

    def answers(self) -> bool:
        """Check whether it is ready."""
        return answers(self.port, self.path, self.authorization)


class Child:
    """A running service. Its process has its own session: Ctrl-C reaches the parent only, which stops it."""

    def __init__(self, service: Service, environment: Mapping[str, str]) -> None:
        self.service, self._environment = service, dict(environment)
        self.crashes, self._restart_at_s = 0, 0.0
        self._start()

    def _start(self) -> None:
        self._started_s = time.monotonic()
        self._restart_at_s = 0.0
        self._process = subprocess.Popen(  # noqa: S603 - a fixed command
            self.service.command, env=self._environment, stdin=subprocess.DEVNULL, start_new_session=True
        )

    def wait_until_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until it is ready; raise ServiceError if it ends before, or is not ready in time."""
        name, deadline_s = self.service.name, time.monotonic() + timeout_s
        while not self.service.answers():
            if (status := self._process.poll()) is not None:
                raise ServiceError(
                    f"{name}: ended with status {status} before it was ready. See its messages above."
                )
            if time.monotonic() > deadline_s:
                raise ServiceError(
                    f"{name}: not ready after {timeout_s:g} s. Try again when the machine is less busy."
                )
            time.sleep(_POLL_S)

    def check(self) -> None:
        """Restart it if it has crashed, later each time; raise ServiceError if it keeps crashing."""
        if (status := self._process.poll()) is None:
            return
        now_s = time.monotonic()
        if not self._restart_at_s:
            self._restart_later(status, now_s)
        elif now_s >= self._restart_at_s and self._can_start():
            self._start()

    def _can_start(self) -> bool:
        return self.service.listens or self.service.answers()

    def _restart_later(self, status: int, now_s: float) -> None:
        name = self.service.name
        self._kill_group()  # its child processes would keep the port; flow runs have their own sessions
        self.crashes = 1 if now_s - self._started_s > STABLE_AFTER_S else self.crashes + 1
        if self.crashes >= MAX_CRASHES:
            raise ServiceError(
                f"{name}: crashed {self.crashes} times in a row, last with status {status}. "
                "See its messages above."
            )
        delay_s = 2.0 ** (self.crashes - 1)
        logger.warning("%s ended with status %d; restarting it in %g s", name, status, delay_s)
        self._restart_at_s = now_s + delay_s

    def stop(self, grace_s: float = SHUTDOWN_TIMEOUT_S) -> None:
        """Wait until it has finished its work, then end it and all processes that it has started."""
        descendants = self._descendants()
        with suppress(psutil.NoSuchProcess):
            self._process.terminate()
        # An idle Prefect worker ends at the second SIGTERM.
        if not self._ended_within(grace_s if descendants else min(grace_s, IDLE_SHUTDOWN_TIMEOUT_S)):
            for process in descendants:  # flow runs, which report to Prefect that they were interrupted
                with suppress(psutil.NoSuchProcess):
                    process.terminate()
            self._process.terminate()
            self._ended_within(TERMINATE_TIMEOUT_S)
        for process in psutil.wait_procs(descendants, timeout=_POLL_S)[1]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._kill_group()
        self._process.wait()

    def _descendants(self) -> list[psutil.Process]:
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
def managed_children() -> Iterator[list[Child]]:
    """Yield an empty list for the children; stop them when the block ends, the last one first."""
    children: list[Child] = []
    handler = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield children
    finally:
        for child in reversed(children):
            logger.info("stopping %s", child.service.name)
            child.stop()
        signal.signal(signal.SIGTERM, handler)


def start(children: list[Child], services: Sequence[Service], environment: Mapping[str, str]) -> None:
    """Start services at the same time and wait until all are ready.

    Parameters
    ----------
    children
        The list of running services, to which these are added.
    services
        The services to start.
    environment
        Their environment variables.

    Raises
    ------
    ServiceError
        If a port is in use, or a service does not get ready.
    """
    for service in services:
        if service.listens and not is_free(service.port):
            raise ServiceError(
                f"{service.name}: port {service.port} is in use. Choose another, or stop its program."
            )
    logger.info("starting %s", ", ".join(service.name for service in services))
    started = []
    for service in services:
        started.append(Child(service, environment))
        children.append(started[-1])
    for child in started:
        child.wait_until_ready()


def end_leftovers(variable: str, value: str) -> None:
    """End all processes of an earlier supervisor that was killed, so that they could not be stopped by it.

    Parameters
    ----------
    variable
        An environment variable that the services and their children have, and nothing else.
    value
        Its value.
    """
    leftovers = [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get(variable) == value and process.pid != os.getpid()
    ]
    for process in leftovers:
        logger.warning("ending process %d, which an earlier start has left behind", process.pid)
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(leftovers, timeout=TERMINATE_TIMEOUT_S)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(leftovers, timeout=TERMINATE_TIMEOUT_S)


def watch(children: Sequence[Child]) -> None:
    """Check the children again and again, until a signal ends the process."""
    while True:
        for child in children:
            child.check()
        time.sleep(_POLL_S)


def is_free(port: int) -> bool:
    """Check that no program listens on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) != 0


def answers(port: int, path: str, authorization: str = "") -> bool:
    """Check whether a server of this machine answers with status 200; proxies are not used.

    Parameters
    ----------
    port
        The port of the server.
    path
        The path to request.
    authorization
        The HTTP header of that name, if it needs one.

    Returns
    -------
    True if the status is 200.
    """
    connection = HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path, headers={"Authorization": authorization} if authorization else {})
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(not answers(int(sys.argv[1]), sys.argv[2]))
