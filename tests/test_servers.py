"""The true servers of ``ectopy up``: other sites, programs without the password, and a browser with the link."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import pytest
from websockets import Subprotocol
from websockets.sync.client import connect

from ectopy.flows.local_stack import Ports, addresses, local_environment, servers
from ectopy.flows.server_access import ServerAccess, make_access
from ectopy.flows.supervisor import managed_children, start
from ectopy.settings import Settings

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CREATE = {"name": "evil", "flow_id": "00000000-0000-0000-0000-000000000000"}


class Stack(NamedTuple):
    """Both servers, as `ectopy up` starts them."""

    ports: Ports
    access: ServerAccess
    settings: Settings

    def status(self, port: int, path: str, method: str = "GET", **headers: str) -> int:
        body = json.dumps(CREATE) if method == "POST" else None
        with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            connection.request(method, path, body, headers={"Content-Type": "text/plain", **headers})
            answer = connection.getresponse()
            assert not answer.headers["access-control-allow-origin"]
            return answer.status

    @property
    def links(self) -> list[str]:
        return re.findall(
            r"http://\S+/enter#\S+", "\n".join(addresses(self.settings, self.ports, self.access))
        )


def free_ports() -> Ports:
    with socket.socket() as first, socket.socket() as second:
        for probe in (first, second):
            probe.bind(("127.0.0.1", 0))
        return Ports(first.getsockname()[1], second.getsockname()[1])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    store = shutil.copy(empty_store, folder)
    with pytest.MonkeyPatch.context() as patch, managed_children() as children:
        patch.setenv("PREFECT_HOME", str(folder / "home"))
        for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING"):
            patch.delenv(name, raising=False)
        settings, ports = Settings().model_copy(update={"tracking_uri": f"sqlite:///{store}"}), free_ports()
        access = make_access(settings, f"http://127.0.0.1:{ports.prefect}/api")
        start(children, servers(settings, ports), local_environment(access, ports))
        yield Stack(ports, access, settings)


PREFECT, MLFLOW = "/api/deployments/", "/ajax-api/2.0/mlflow/experiments/create"


class TestOtherSites:
    @pytest.mark.parametrize("headers", [{}, {"Origin": "http://evil.example"}, {"Host": "evil.example"}])
    def test_no_page_elsewhere_can_make_a_deployment_or_read_what_is_there(
        self, stack: Stack, headers: dict[str, str]
    ) -> None:
        for port, path in zip(stack.ports, (PREFECT, MLFLOW), strict=True):
            for method in ("POST", "OPTIONS"):
                assert stack.status(port, path, method, **headers) in {400, 401, 403, 405}
        for port, path in zip(stack.ports, ("/api/admin/version", "/"), strict=True):
            assert stack.status(port, path, **headers) in {400, 401, 403}

    def test_the_password_does_not_help_a_page_elsewhere(self, stack: Stack) -> None:
        right = {"Authorization": stack.access.authorization}
        for port, path in zip(stack.ports, ("/api/admin/version", "/"), strict=True):
            assert stack.status(port, path, **right) == 200
            assert stack.status(port, path, **right, Origin="http://evil.example") == 403
            assert stack.status(port, path, **right, Host=f"10.evil.example:{port}") == 400

    @pytest.mark.parametrize("path", ["events/in", "events/out", "logs/out"])
    def test_a_websocket_without_the_password_is_closed(self, stack: Stack, path: str) -> None:
        address = f"ws://127.0.0.1:{stack.ports.prefect}/api/{path}"
        with connect(address, subprotocols=[Subprotocol("prefect")]) as opened:
            opened.send(json.dumps({"type": "auth", "token": "wrong"}))
            with pytest.raises(Exception, match=r"1008|policy"):
                opened.recv(timeout=10)

    def test_the_variables_that_are_printed_let_the_prefect_command_in(self, stack: Stack) -> None:
        (line,) = [line for line in addresses(stack.settings, stack.ports, stack.access) if "export" in line]
        command = f"{line.partition(': ')[2]}; {Path(sys.executable).with_name('prefect')} work-pool ls"
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
class TestBrowser:
    """The links in a browser that may not reach the network, and keeps a list of what it wanted."""

    SHOWN = ("Logout", "Experiments")

    @pytest.mark.parametrize("number", [0, 1])
    def test_a_link_that_is_printed_leads_in_and_contacts_nobody_else(
        self, stack: Stack, number: int, tmp_path: Path
    ) -> None:
        page, wanted = browse(stack.links[number], tmp_path)
        assert self.SHOWN[number] in page
        assert {host for host in wanted if "127.0.0.1" not in host} == set()
        assert "127.0.0.1" in wanted

    @pytest.mark.parametrize("number", [0, 1])
    def test_a_wrong_password_shows_nothing(self, stack: Stack, number: int, tmp_path: Path) -> None:
        page, _ = browse(stack.links[number][:-1] + "x", tmp_path)
        assert self.SHOWN[number] not in page


def browse(address: str, folder: Path) -> tuple[str, set[str]]:
    """Show a page for some seconds; give its text, and every host that the page asked for."""
    log = folder / "net.json"
    done = subprocess.run(
        [
            *(
                str(CHROMIUM),
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                f"--user-data-dir={folder / 'profile'}",
            ),
            *(
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
            ),
            *("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--log-net-log={log}"),
            *("--virtual-time-budget=60000", "--dump-dom", address),
        ],
        env={**os.environ, "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    return done.stdout, hosts_of_pages(log)


def hosts_of_pages(log: Path) -> set[str]:
    """Read the hosts of the requests whose initiator is a page: the browser's own have none."""
    events = json.loads(re.sub(r",\s*$", "]}", log.read_text().rstrip()))["events"]
    asked = [event.get("params", {}) for event in events]
    return {
        re.sub(r"^\w+://([^/:]+).*", r"\1", params["url"], flags=re.DOTALL)
        for params in asked
        if "url" in params and "127.0.0.1" in str(params.get("initiator", ""))
    }
