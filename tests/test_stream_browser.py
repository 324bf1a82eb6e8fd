"""The page of a running signal in a true browser: what it shows, and that it comes back by itself.

Debian's Chromium does it, through Playwright; without one these tests are skipped.
"""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ectopy.cli.review import bound
from ectopy.live.network import save_live_model
from ectopy.streaming.server import LivePage
from tests.drawn_ecg import drawn
from tests.live import live_model
from tests.small import write_record

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium; `apt-get install chromium` brings one")
WAIT_MS = 90_000
AXE = "axe_playwright_python.sync_playwright"
MARKUP = "<img src=x onerror=document.title='broken'>"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "live"
    one = live_model(look_ahead=0)
    save_live_model(folder, one.specification, one.weights)
    return folder


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """Ten minutes of one lead with early wide beats, and 8 s without signal after a minute."""
    peaks = np.arange(0.5, 599, 0.8)
    early = frozenset(range(20, len(peaks), 15))
    peaks[list(early)] -= 0.3
    signal = drawn(peaks.tolist(), 600, fs=250.0, wide=early)
    signal[60 * 250 : 68 * 250] = np.nan
    return write_record(tmp_path_factory.mktemp("records"), "r", signal)


class Command:
    """``ectopy stream --page`` as a user runs it; ``address`` is what it prints."""

    def __init__(self, *arguments, port=0, first=b"", **options):
        self.process: Any = subprocess.Popen(
            [
                *(sys.executable, "-m", "ectopy", "stream", *map(str, arguments)),
                *("--page", "--no-browser", "--port", str(port)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            **options,
        )
        self.said = []
        if first:
            self.send(first)
        while not (match := re.search(r"http://127\.0\.0\.1:(\d+)/\?token=\S+", self.line())):
            assert self.process.poll() is None, self.said
        self.address, self.port = match[0], int(match[1])

    def send(self, content):
        self.process.stdin.write(content)
        self.process.stdin.flush()

    def line(self):
        self.said.append(self.process.stderr.readline().decode())
        return self.said[-1]

    def end(self):
        """End it by Ctrl-C, and check that it ends well."""
        if self.process.poll() is None:
            self.process.send_signal(2)
        if self.process.stderr.closed:  # it has been ended before
            return
        self.process.wait(60)
        said = "".join(self.said) + self.process.stderr.read().decode()
        self.process.stderr.close()
        if self.process.stdin:
            self.process.stdin.close()
        assert self.process.returncode == 0, said
        assert "Traceback" not in said


@pytest.fixture
def start(model):
    commands = []

    def started(*arguments, **options):
        commands.append(Command(*arguments, "--model", model, **options))
        return commands[-1]

    yield started
    for command in commands:
        command.end()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as engine:
        launched = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser):
    """Open windows that fail the test if a script fails or asks for something elsewhere."""
    contexts, troubles = [], []

    def opened(address, init="", **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | options)
        contexts.append(context)
        page = context.new_page()
        page.add_init_script(init)
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: troubles.extend(elsewhere(request.url)))
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert troubles == []


def elsewhere(url):
    return [] if url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:")) else [url]


def expect(page, name, text):
    playwright.expect(page.locator(f"#{name}")).to_have_text(text, timeout=WAIT_MS)


def dark_share(page, canvas="#scope"):
    """The share of the pixels of a canvas that the trace has drawn, roughly: those much darker than paper."""
    return page.evaluate(
        """(name) => {
          const canvas = document.querySelector(name), context = canvas.getContext("2d");
          const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
          let n = 0;
          for (let at = 0; at < data.length; at += 4) n += data[at] + data[at + 1] + data[at + 2] < 250;
          return n / (data.length / 4);
        }""",
        canvas,
    )


def violations(page):
    axe = pytest.importorskip(AXE, reason="axe is not installed")
    found = axe.Axe().run(page).response["violations"]
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]


def test_the_running_signal_is_shown(start, open_page, record, tmp_path):
    """The trace, the rate, the beats, a gap and the end of it; then dark and light, and no violation."""
    page = open_page(start(record, "--speed", "10").address)
    expect(page, "state", "receiving")
    expect(page, "name", "r")
    expect(page, "model", "small live (test)")
    playwright.expect(page.locator("#rate")).to_have_text(re.compile("7[0-9]"), timeout=WAIT_MS)
    assert "token" not in page.url
    light = dark_share(page)
    assert 0.002 < light < 0.2
    playwright.expect(page.locator("#n-v")).not_to_have_text("0", timeout=WAIT_MS)
    playwright.expect(page.locator("#gaps")).to_contain_text("Signal is back after 7.9 s", timeout=WAIT_MS)
    playwright.expect(page.locator("#gaps li").nth(1)).to_contain_text("No lead can be read")
    assert violations(page) == []
    page.get_by_role("button", name="Dark").click()
    assert page.locator("html").get_attribute("data-shade") == "dark"
    page.wait_for_timeout(300)
    assert dark_share(page) > 0.5
    assert violations(page) == []


def test_a_window_that_opens_later_and_a_phone_see_the_last_half_minute(start, open_page, record):
    command = start(record, "--speed", "20")
    first = open_page(command.address)
    playwright.expect(first.locator("#time")).to_have_text(re.compile(r"[1-9]:\d\d"), timeout=WAIT_MS)
    phone = open_page(command.address, viewport={"width": 375, "height": 700}, color_scheme="dark")
    expect(phone, "state", "receiving")
    assert phone.locator("html").get_attribute("data-shade") == "dark"
    playwright.expect(phone.locator("#gaps")).to_contain_text("Signal is back")  # told long before
    wide = phone.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0
    assert violations(phone) == []


def test_a_silent_sender_is_shown_and_its_return_too(start, open_page):
    command = start("-", "--fs", "250", stdin=subprocess.PIPE, first=lines(0, 10))
    page = open_page(command.address)
    expect(page, "state", "sender silent")
    playwright.expect(page.locator("#trouble")).to_contain_text("What is shown is the past")
    expect(page, "rate", "-")
    command.send(lines(10, 12))
    playwright.expect(page.locator("#gaps")).to_contain_text("The sender is back after", timeout=WAIT_MS)
    command.process.stdin.close()
    expect(page, "state", "ended")


def lines(start_s, stop_s):
    signal = drawn(np.arange(0.5, 29, 0.8).tolist(), 30, fs=250.0)[
        round(start_s * 250) : round(stop_s * 250), 0
    ]
    return "".join(f"{value:.4f}\n" for value in signal).encode()


def test_a_command_that_was_ended_is_shown(start, open_page, record):
    command = start(record, "--speed", "10")
    page = open_page(command.address)
    expect(page, "state", "receiving")
    command.end()
    expect(page, "state", "ended")
    playwright.expect(page.locator("#trouble")).to_contain_text("What is shown is the past")
    playwright.expect(page.locator("#alarm")).to_be_hidden()


def test_a_connection_that_is_lost_is_shown(start, open_page, record):
    command = start(record, "--speed", "10")
    page = open_page(command.address)
    expect(page, "state", "receiving")
    command.process.kill()
    command.process.wait(60)
    command.process.stderr.close()
    expect(page, "state", "not connected")
    playwright.expect(page.locator("#trouble")).to_be_visible()


def test_a_broken_connection_is_made_again(start, open_page, record):
    """The first connection of the page breaks after a while; it connects again, and knows all that came."""
    break_first = """
      const Plain = window.WebSocket;
      let first = true;
      window.WebSocket = class extends Plain {
        constructor(...given) {
          super(...given);
          window.connections = (window.connections ?? 0) + 1;
          if (first) setTimeout(() => this.close(), 1500);
          first = false;
        }
      };
    """
    page = open_page(start(record, "--speed", "10").address, init=break_first)
    until = time.monotonic() + WAIT_MS / 1000
    while page.evaluate("window.connections ?? 0") < 2 and time.monotonic() < until:
        page.wait_for_timeout(100)
    assert page.evaluate("window.connections") >= 2
    expect(page, "state", "receiving")
    playwright.expect(page.locator("#rate")).to_have_text(re.compile("7[0-9]"), timeout=WAIT_MS)


def test_alarms_and_rhythms_are_shown(open_page):
    """An alarm stands above the signal while it lasts, and stays in the list; the rhythm has its colour."""
    with bound(0, 0) as listening, LivePage(listening, "secret") as served:
        page = open_page(f"http://127.0.0.1:{listening.getsockname()[1]}/?token=secret")
        moment = {"sample": 0, "time_s": 0.0, "at_s": 0.0}
        about = {"name": "r", "fs_hz": 250.0, "leads": ["II"], "model": "m"}
        served.tell({"kind": "start", **moment, **about})
        served.tell({"kind": "rhythm", **moment, "label": "sinus"})
        served.tell({"kind": "rhythm", **moment, "time_s": 3.0, "label": "vt"})
        served.show(0, np.zeros((2500, 1), dtype=np.float32))
        served.tell(
            {"kind": "alarm", **moment, "time_s": 3.0, "at_s": 10.0, "label": "ventricular_tachycardia"}
        )
        alarm = page.locator("#alarm")
        playwright.expect(alarm).to_have_text("ventricular tachycardia", timeout=WAIT_MS)
        assert violations(page) == []
        red = """() => {
          const canvas = document.querySelector("#band"), context = canvas.getContext("2d");
          const at = context.getImageData((canvas.width * 5) / 600, 4, 1, 1).data;
          return at[0] > 150 && at[1] < 80;
        }"""
        page.wait_for_timeout(500)
        assert page.evaluate(red)
        served.tell({"kind": "alarm_end", **moment, "time_s": 8.0, "label": "ventricular_tachycardia"})
        served.tell({"kind": "a kind of the future", **moment})
        playwright.expect(alarm).to_be_hidden()
        playwright.expect(page.locator("#alarms")).to_have_text("0:03ventricular tachycardia until 0:08")


def test_a_name_is_text_and_never_markup(start, open_page, record, tmp_path):
    for path in record.parent.glob("r.*"):
        shutil.copy(path, tmp_path / path.name)
    header = (tmp_path / "r.hea").read_text().splitlines()
    header[1] = header[1].replace("MLII", MARKUP)
    (tmp_path / "r.hea").write_text("\n".join(header) + "\n")
    page = open_page(start(tmp_path / "r.hea", "--speed", "10").address)
    expect(page, "state", "receiving")
    page.wait_for_timeout(1000)
    assert page.title() == "r - ectopy stream"


def test_strangers_are_refused(start, record):
    """Neither the page nor the signal is for a page of another server, or for a program without the secret."""
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    command = start(record, "--speed", "1")
    address = f"ws://127.0.0.1:{command.port}/updates"
    with pytest.raises(InvalidStatus, match="403"), connect(address):
        pass
    cookie = cookie_of(command)
    with pytest.raises(InvalidStatus, match="403"):
        connect(address, additional_headers={"Cookie": cookie}, origin="http://evil.example")
    with connect(address, additional_headers={"Cookie": cookie}) as window:
        assert json.loads(window.recv())["kind"] == "start"


def cookie_of(command):
    from http.client import HTTPConnection

    connection = HTTPConnection("127.0.0.1", command.port)
    connection.request("GET", command.address.partition(str(command.port))[2])
    answer = connection.getresponse()
    connection.close()
    return answer.headers["set-cookie"].partition(";")[0]


def test_the_page_brings_nothing_from_elsewhere():
    pages = Path(__file__).parents[1] / "src" / "ectopy" / "streaming" / "pages"
    for path in pages.rglob("*.*"):
        assert "https://" not in path.read_text(), path
