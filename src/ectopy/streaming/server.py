"""The page of a running signal: a server on this machine alone, which sends what is new to each window."""

import asyncio
import json
import socket
from collections import deque
from importlib import import_module, resources
from math import isfinite
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Self

import numpy as np
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import FileResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from ectopy.ecg import Signal
from ectopy.review.guard import Guard
from ectopy.streaming.lines import as_line

HISTORY_S = 30.0
"""Signal and beats that a window gets when it opens."""
_LISTED = 200  # messages that are kept for longer, such as gaps
_MOST_WAITING = 4000
"""Messages that may wait for a window; one that is slower is closed, and connects again."""
_MOST_CHARACTERS = 2**25
"""So many characters may wait for a window: packets of a fast pipe are long."""
_DIGITS = 3  # of mV: 1 uV
_SHORT_LIVED = frozenset({"signal", "provisional", "beat", "revoked"})
_CLOSE_S = 3.0
_CLOSE = (-1, "")
"""Message that closes a window."""


class LivePage:
    """A listener of a session that shows it in windows of a browser; use it as a context manager.

    ``port`` is the port of this machine on which it answers.

    Parameters
    ----------
    listening
        A socket that is bound to a port of 127.0.0.1.
    token
        Secret that the address must have once.
    """

    def __init__(self, listening: socket.socket, token: str) -> None:
        require_websockets()
        self._listening = listening
        self.port = int(listening.getsockname()[1])
        self._history = _History()
        self._windows: set[_Waiting] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Any = None
        self._fs = 1.0
        self._ready = Event()
        self.app = self._build(token)
        self._thread = Thread(target=self._serve, daemon=True, name="page")

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._close_windows)
        self._thread.join(_CLOSE_S)

    def tell(self, document: dict[str, Any]) -> None:
        """Send a line to all windows."""
        if document["kind"] == "start":
            self._fs = float(document["fs_hz"])
        self._publish(str(document["kind"]), float(document["at_s"]), as_line(document))

    def show(self, first: int, samples: Signal) -> None:
        """Send samples to all windows.

        Parameters
        ----------
        first
            Number of the first sample.
        samples
            [n, n_leads] in mV.
        """
        rounded = np.round(samples.T.astype(np.float64), _DIGITS)
        values = [[value if isfinite(value) else None for value in lead] for lead in rounded.tolist()]
        text = json.dumps({"kind": "signal", "sample": first, "values": values}, separators=(",", ":"))
        self._publish("signal", (first + len(samples)) / self._fs, text)

    def _publish(self, kind: str, at_s: float, text: str) -> None:
        message = self._history.add(kind, at_s, text)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._spread, message)

    def _spread(self, message: tuple[int, str]) -> None:
        for window in list(self._windows):
            slow = window.qsize() >= _MOST_WAITING or window.n_characters >= _MOST_CHARACTERS
            if slow:
                self._windows.discard(window)
            window.put_nowait(_CLOSE if slow else message)

    def _close_windows(self) -> None:
        for window in self._windows:
            window.put_nowait(_CLOSE)

    def _build(self, token: str) -> Starlette:
        pages = Path(str(resources.files("ectopy.streaming").joinpath("pages")))
        shared = Path(str(resources.files("ectopy.review").joinpath("pages"))) / "static"
        hosts = frozenset({f"127.0.0.1:{self.port}", f"localhost:{self.port}"})
        return Starlette(
            routes=[
                Route("/", lambda _request: FileResponse(pages / "index.html")),
                WebSocketRoute("/updates", self._window),
                Mount("/static", StaticFiles(directory=pages / "static")),
                Mount("/shared", StaticFiles(directory=shared)),
            ],
            middleware=[Middleware(Guard, token=token, hosts=hosts)],
        )

    def _serve(self) -> None:
        import uvicorn

        config = uvicorn.Config(
            self.app,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="websockets-sansio",
            timeout_graceful_shutdown=round(_CLOSE_S),
        )
        self._server = uvicorn.Server(config)

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            self._ready.set()
            await self._server.serve(sockets=[self._listening])

        try:
            asyncio.run(serve())
        finally:
            self._ready.set()

    async def _window(self, websocket: WebSocket) -> None:
        """Send a window what was, and then what is new."""
        await websocket.accept()
        waiting = _Waiting()
        self._windows.add(waiting)
        listening = asyncio.create_task(_until_closed(websocket, waiting))
        try:
            last, texts = self._history.so_far()
            for text in texts:
                await websocket.send_text(text)
            while (message := await waiting.get())[0] >= 0:
                if message[0] > last:
                    await websocket.send_text(message[1])
            await websocket.close()
        except (WebSocketDisconnect, RuntimeError):  # the window was closed meanwhile
            pass
        finally:
            self._windows.discard(waiting)
            listening.cancel()


def require_websockets() -> None:
    """Raise ModuleNotFoundError if the library is missing: uvicorn would only refuse each window."""
    import_module("websockets")


async def _until_closed(websocket: WebSocket, waiting: "_Waiting") -> None:
    """Wait until a window is closed; what it sends is not read."""
    try:
        while (await websocket.receive())["type"] != "websocket.disconnect":
            pass
    except RuntimeError:
        pass
    waiting.put_nowait(_CLOSE)


class _Waiting(asyncio.Queue[tuple[int, str]]):
    """The messages that wait for a window, and how many characters they have."""

    n_characters = 0

    def put_nowait(self, item: tuple[int, str]) -> None:
        """Append a message."""
        super().put_nowait(item)
        self.n_characters += len(item[1])

    async def get(self) -> tuple[int, str]:
        """Return the next message, once there is one."""
        item = await super().get()
        self.n_characters -= len(item[1])
        return item


class _History:
    """What a window that opens must know: the start, the last gaps, and the last half minute."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._n = 0
        self._start: list[tuple[int, str]] = []
        self._listed: deque[tuple[int, str]] = deque(maxlen=_LISTED)
        self._recent: deque[tuple[float, tuple[int, str]]] = deque()

    def add(self, kind: str, at_s: float, text: str) -> tuple[int, str]:
        """Keep a message, and return it with its number."""
        with self._lock:
            message = (self._n, text)
            self._n += 1
            if kind == "start":
                self._start = [message]
            elif kind in _SHORT_LIVED:
                self._recent.append((at_s, message))
                while self._recent[0][0] < at_s - HISTORY_S:
                    self._recent.popleft()
            else:
                self._listed.append(message)
            return message

    def so_far(self) -> tuple[int, list[str]]:
        """Return the number of the last message, and what is kept in order."""
        with self._lock:
            recent = [message for _, message in self._recent]
            kept = sorted([*self._start, *self._listed, *recent])
            return self._n - 1, [text for _, text in kept]
