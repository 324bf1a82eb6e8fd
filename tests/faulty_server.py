"""A real server on loopback that fails as told, for whoever fetches."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any


class FaultyHandler(SimpleHTTPRequestHandler):
    """Serves a directory, counts what it is asked for, and fails where the server is told to."""

    server: "FaultyServer"

    def do_GET(self) -> None:
        name = Path(self.path).name
        self.server.asked[name] += 1
        fault = self.server.faults.get(name)
        if isinstance(fault, list):
            fault = fault.pop(0) if fault else None
        if isinstance(fault, int):
            self.send_error(fault)
        elif fault:
            body = Path(self.translate_path(self.path)).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(fault(body))
            self.close_connection = True
        else:
            super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep the test's output clean."""


class FaultyServer(ThreadingHTTPServer):
    """``faults`` by file name: a status, what to make of the body, or a list of those for one request each."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(FaultyHandler, directory=str(root)))
        self.asked: Counter[str] = Counter()
        self.faults: dict[str, Any] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


def half(body: bytes) -> bytes:
    return body[: len(body) // 2]


def garbled(body: bytes) -> bytes:
    return bytes([body[0] ^ 1]) + body[1:]


@contextmanager
def serving(root: Path) -> Iterator[FaultyServer]:
    """Serve a directory on a port of its own."""
    with FaultyServer(root) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
