"""Children are started, started again and ended as they should; the children are true processes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ectopy.flows import supervisor
from ectopy.flows.local_stack import Ports, local_environment, only_stack
from ectopy.flows.server_access import ServerAccess
from ectopy.flows.supervisor import (
    HOST,
    Child,
    Service,
    ServiceError,
    answers,
    end_leftovers,
    is_free,
    managed_children,
    start,
)

WEB = "import sys, http.server as h; h.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), h.SimpleHTTPRequestHandler).serve_forever()"
DEAF = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WEB
"""A server that does not end when it is told to, as a Prefect worker with a flow run in progress."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def program(code: str, port: int, name: str = "web") -> Service:
    return Service(name, (sys.executable, "-c", code, str(port)), port, "/")


def wait_for(truth: Callable[[], bool], *, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not truth():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.chdir(tmp_path)  # what the servers show
    monkeypatch.setattr(supervisor, "TERMINATE_TIMEOUT_S", 0.5)
    return free_port()


@pytest.fixture
def children() -> Iterator[list[Child]]:
    with managed_children() as children:
        yield children


def pid_of(child: Child) -> int:
    return child._process.pid


def kill(child: Child) -> None:
    os.kill(pid_of(child), signal.SIGKILL)
    child._process.wait()


class TestStarting:
    def test_it_waits_until_a_service_answers(self, port: int, children: list[Child]) -> None:
        late = "import time; time.sleep(0.7); " + WEB
        start(children, [program(late, port)], os.environ)
        assert answers(port, "/")

    def test_what_is_waited_for_is_told_before_it_answers(
        self, port: int, children: list[Child], caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level("INFO"), pytest.raises(ServiceError):
            start(children, [program("raise SystemExit(3)", port, "Prefect server")], os.environ)
        assert caplog.messages[0] == "starting Prefect server"

    def test_a_path_that_is_not_there_is_no_answer(self, port: int, children: list[Child]) -> None:
        start(children, [program(WEB, port)], os.environ)
        assert not answers(port, "/health")  # status 404

    def test_one_that_ends_at_once_is_told_with_its_status(self, port: int, children: list[Child]) -> None:
        with pytest.raises(ServiceError, match=r"^web: ended with status 3 before it was ready\."):
            start(children, [program("raise SystemExit(3)", port)], os.environ)

    def test_one_that_never_answers_is_waited_for_so_long(self, port: int, children: list[Child]) -> None:
        children.append(Child(program("import time; time.sleep(60)", port), os.environ))
        with pytest.raises(ServiceError, match=r"^web: not ready after 0\.3 s\."):
            children[0].wait_until_ready(0.3)

    def test_a_port_that_is_taken_is_said_before_anything_is_started(
        self, port: int, children: list[Child]
    ) -> None:
        with socket.socket() as other:
            other.bind((HOST, port))
            other.listen()
            with pytest.raises(ServiceError, match=f"^web: port {port} is in use\\. "):
                start(children, [program(WEB, free_port(), "first"), program(WEB, port)], os.environ)
        assert children == []

    def test_no_proxy_is_asked_for_a_server_of_this_machine(
        self, port: int, children: list[Child], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", f"http://{HOST}:9")
        start(children, [program(WEB, port)], os.environ)
        assert answers(port, "/")


class TestDying:
    def test_one_that_was_killed_is_there_again_after_a_second(
        self, port: int, children: list[Child]
    ) -> None:
        start(children, [program(WEB, port)], os.environ)
        (child,) = children
        kill(child)
        killed_s, before = time.monotonic(), pid_of(child)
        while is_free(port):
            child.check()
            time.sleep(0.05)
        wait_for(lambda: answers(port, "/"))
        assert pid_of(child) != before
        assert time.monotonic() - killed_s >= 1.0

    def test_each_time_in_a_row_it_waits_twice_as_long(
        self, port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        at = [0.0]
        monkeypatch.setattr(time, "monotonic", lambda: at[0])
        child = Child(program("raise SystemExit(7)", port), os.environ)

        def half_a_second() -> None:
            child._process.wait()
            child.check()
            at[0] += 0.5

        with pytest.raises(ServiceError, match=r"^web: crashed 5 times in a row, last with status 7\."):
            deque(iter(half_a_second, 0))  # for ever
        told = [message.rpartition(" in ")[2] for message in caplog.messages]
        assert told == ["1 s", "2 s", "4 s", "8 s"]

    def test_one_that_ran_for_an_hour_begins_anew_at_a_second(
        self, port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        at = [0.0]
        monkeypatch.setattr(time, "monotonic", lambda: at[0])
        child = Child(program("raise SystemExit(7)", port), os.environ)
        for _ in range(20):
            child._process.wait()
            at[0] += 3600
            child.check()
            at[0] += 1
            child.check()
        child._process.wait()
        assert {message.rpartition(" in ")[2] for message in caplog.messages} == {"1 s"}

    def test_what_a_dead_one_leaves_behind_does_not_hold_its_port(
        self, port: int, children: list[Child]
    ) -> None:
        # The parent dies, and the process of its own that listens lives on: as the processes of a web server do.
        forking = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WEB!r}, sys.argv[1]])"
        start(children, [program(forking, port)], os.environ)
        (child,) = children
        kill(child)
        assert answers(port, "/")
        child.check()
        wait_for(lambda: is_free(port))

    def test_one_that_needs_another_waits_for_that(self, port: int, children: list[Child]) -> None:
        # A worker that begins without its server gives up what it watches cancellations by.
        start(children, [program(WEB, port, "server")], os.environ)
        sleeper = program("import time; time.sleep(60)", port, "worker")
        start(children, [replace(sleeper, listens=False)], os.environ)
        server, worker = children
        for child in children:
            kill(child)
            child.check()
        time.sleep(1.2)
        worker.check()
        assert worker._process.returncode == -signal.SIGKILL
        server.check()
        wait_for(lambda: answers(port, "/"))
        worker.check()
        assert worker._process.poll() is None


class TestEnding:
    def test_whatever_ends_the_block_ends_all_in_reverse_order(
        self, port: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        with managed_children() as children:
            start(children, [program(WEB, port, "first"), program(WEB, free_port(), "second")], os.environ)
        assert caplog.messages[-2:] == ["stopping second", "stopping first"]
        assert not any(psutil.pid_exists(pid_of(child)) for child in children)
        assert is_free(port)

    def test_sigterm_ends_the_block_as_ctrl_c_does(self) -> None:
        before = signal.getsignal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt), managed_children():
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is before

    def test_one_that_does_not_listen_is_killed_after_its_grace(self, port: int) -> None:
        child = Child(program(DEAF, port), os.environ)
        child.wait_until_ready()
        child.stop(grace_s=0.3)
        assert child._process.returncode == -signal.SIGKILL

    def test_what_it_started_in_sessions_of_their_own_may_say_a_last_word(
        self, port: int, tmp_path: Path
    ) -> None:
        # A worker starts flow runs so, and goes on while they do: told to end, they report that they crashed.
        run = (
            "import pathlib, signal, sys, time;"
            f"signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path({str(tmp_path / 'word')!r}).write_text('crashed'), sys.exit()));"
            f"pathlib.Path({str(tmp_path / 'up')!r}).touch(); time.sleep(60)"
        )
        worker = (
            "import signal, subprocess, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
            f"subprocess.run([sys.executable, '-c', {run!r}], start_new_session=True)"
        )
        child = Child(program(worker, port), os.environ)
        wait_for((tmp_path / "up").exists)
        (flow_run,) = child._descendants()
        child.stop(grace_s=0.3)
        assert (tmp_path / "word").read_text() == "crashed"
        assert not flow_run.is_running()

    def test_one_that_is_gone_already_is_no_error(self, port: int) -> None:
        child = Child(program("", port), os.environ)
        child._process.wait()
        child.stop()


class TestLeftovers:
    """What a killed ``ectopy up`` leaves behind; the next one finds it by a variable."""

    def test_they_and_their_children_end_also_the_deaf_and_no_other_process_does(
        self, port: int, children: list[Child]
    ) -> None:
        nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {DEAF!r}, sys.argv[1]])"
        start(children, [program(nested, port, "left")], os.environ | {"OF_A_TEST": str(port)})
        start(children, [program(WEB, free_port(), "other")], os.environ | {"OF_A_TEST": "other"})
        end_leftovers("OF_A_TEST", str(port))
        assert is_free(port)
        assert [child._process.poll() is None for child in children] == [False, True]

    def test_of_two_stacks_in_one_home_the_second_does_not_start_and_harms_nothing(
        self, port: int, children: list[Child], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
        with only_stack():
            environment = local_environment(ServerAccess("http://127.0.0.1:4200/api", "x"), Ports())
            start(children, [program(WEB, port)], environment)
            with pytest.raises(ServiceError, match=r"`ectopy up` runs there already\. Stop it"), only_stack():
                pass
            assert answers(port, "/")
        with only_stack():
            assert is_free(port)


@pytest.mark.parametrize(("path", "status"), [("/", 0), ("/health", 1)])
def test_the_health_check_of_deploy_is_an_exit_status(
    port: int, children: list[Child], path: str, status: int
) -> None:
    start(children, [program(WEB, port)], os.environ)
    command = [sys.executable, "-m", "ectopy.flows.supervisor", str(port), path]
    assert subprocess.run(command, check=False).returncode == status
