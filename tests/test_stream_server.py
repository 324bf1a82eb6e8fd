"""The server of the page: what a window gets when it opens, and what happens to one that is too slow."""

import asyncio
import json
import sys
import time

import numpy as np
import pytest

from ectopy.cli.review import bound
from ectopy.streaming import server
from ectopy.streaming.server import HISTORY_S, LivePage

client = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")

from websockets.exceptions import ConnectionClosed  # noqa: E402 - skipped where it is missing

TOKEN = "secret"
START = {
    **dict.fromkeys(("sample", "time_s", "at_s"), 0),
    "kind": "start",
    "name": "r",
    "fs_hz": 100.0,
    "leads": ["II"],
    "model": "m",
}


@pytest.fixture
def page():
    with bound(0, 0) as listening, LivePage(listening, TOKEN) as served:
        yield served


def window(page):
    cookie = f"ectopy-review-{page.port}={TOKEN}"
    return client.connect(f"ws://127.0.0.1:{page.port}/updates", additional_headers={"Cookie": cookie})


def document(kind, at_s, **fields):
    return {"kind": kind, "sample": round(100 * at_s), "time_s": at_s, "at_s": at_s, **fields}


def messages(opened, n):
    return [json.loads(opened.recv(timeout=20)) for _ in range(n)]


def read_all(opened):
    while True:
        opened.recv(timeout=20)


def test_a_window_gets_what_was_and_what_comes_in_order_and_once(page):
    page.tell(START)
    page.show(0, np.array([[0.1234567], [np.nan]], dtype=np.float32))
    page.tell(document("beat", 0.5, label="V"))
    with window(page) as opened:
        before = messages(opened, 3)
        for number in range(100):
            page.tell(document("beat", 1 + number, label="N"))
        after = messages(opened, 100)
    assert [one["kind"] for one in before] == ["start", "signal", "beat"]
    assert before[1] == {"kind": "signal", "sample": 0, "values": [[0.123, None]]}
    assert [one["at_s"] for one in after] == [1 + number for number in range(100)]


def test_a_window_that_opens_late_gets_the_last_half_minute_and_all_gaps(page):
    page.tell(START)
    page.tell(document("gap", 1.0, reason="lost"))
    for second in range(100):
        page.tell(document("beat", float(second), label="N"))
    with window(page) as opened:
        kinds = messages(opened, 2)
        beats = messages(opened, round(HISTORY_S) + 1)
    assert [one["kind"] for one in kinds] == ["start", "gap"]
    assert [one["at_s"] for one in beats] == list(range(69, 100))


def test_a_window_that_is_too_slow_is_closed(page, monkeypatch):
    """Its messages would fill the memory. The page then connects again, and gets the last half minute."""
    monkeypatch.setattr(server, "_MOST_WAITING", 3)
    slow = server._Waiting()
    page._windows.add(slow)
    for number in range(5):
        page._spread((number, "text"))
    assert slow not in page._windows
    assert [slow.get_nowait()[0] for _ in range(slow.qsize())] == [0, 1, 2, -1]


def test_long_messages_do_not_fill_the_memory_either(page, monkeypatch):
    monkeypatch.setattr(server, "_MOST_CHARACTERS", 100)
    slow, quick = server._Waiting(), server._Waiting()
    page._windows |= {slow, quick}
    for number in range(6):
        page._spread((number, "x" * 40))
        assert asyncio.run(quick.get()) == (number, "x" * 40)
    assert page._windows == {quick}
    assert [slow.get_nowait()[0] for _ in range(slow.qsize())] == [0, 1, 2, -1]


def test_a_closed_window_is_forgotten(page):
    page.tell(START)
    with window(page) as opened:
        opened.recv(timeout=20)
        assert len(page._windows) == 1
    until = time.monotonic() + 20
    while page._windows and time.monotonic() < until:
        time.sleep(0.05)
    assert not page._windows


def test_the_end_closes_all_windows():
    with bound(0, 0) as listening:
        with LivePage(listening, TOKEN) as page:
            page.tell(START)
            opened = window(page)
            opened.recv(timeout=20)
        with pytest.raises(ConnectionClosed):
            read_all(opened)
    page.tell(START)  # a session that still goes on tells nobody


def test_without_the_library_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "websockets", None)
    with bound(0, 0) as listening, pytest.raises(ModuleNotFoundError, match="websockets"):
        LivePage(listening, TOKEN)
