"""Urgent findings are told by webhook and e-mail, without patient data; failures never stop scoring."""

import csv
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Event, Thread

import pytest

from ectopy import cli
from ectopy.batch import notify
from ectopy.batch.notify import LOG_FILE, Channels, channels_of, notify_urgent
from ectopy.datasets import simulate
from ectopy.settings import SettingsError, load_settings

NAME = "Smith_Anna"
HASH = "3f2a9c01b7de" + 52 * "0"


def row(findings: str = "urgent: Asystole of 4.1 s at 03:12", **changed: object) -> dict[str, object]:
    """Return a row of the summary, of a recording that is named after its patient."""
    return {
        "recording": NAME,
        "path": f"/clinic/{NAME}.edf",
        "status": "scored",
        "findings": findings,
        "input_sha256": HASH,
        **changed,
    }


@contextmanager
def serving(server: ThreadingTCPServer) -> Iterator[int]:
    """Run a server on this machine; give its port."""
    server.daemon_threads = True
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class Webhook:
    """A webhook that answers with each status in turn, then with 200."""

    def __init__(self, *statuses: int) -> None:
        self.bodies: list[bytes] = []
        left, bodies = list(statuses), self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(left.pop(0) if left else 200)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep the output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


class EndlessWebhook:
    """A webhook that accepts a message, and then talks until nobody listens any more."""

    def __init__(self) -> None:
        self.closed = closed = Event()

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                self.request.recv(1 << 16)
                try:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                    while True:
                        self.wfile.write(b"x" * 65536)
                except OSError:
                    closed.set()

        self.server = ThreadingTCPServer(("127.0.0.1", 0), Handler)


class MailServer:
    """A mail server that takes every message, or refuses every sender, or a recipient."""

    def __init__(self, *, refuses: bool = False, unknown: str = "nobody") -> None:
        self.messages: list[str] = []
        self.lines: list[str] = []
        messages, lines = self.messages, self.lines

        class Handler(StreamRequestHandler):
            def say(self, line: str) -> None:
                self.wfile.write(f"{line}\r\n".encode())

            def handle(self) -> None:
                self.say("220 here")
                while line := self.rfile.readline().decode().strip():
                    lines.append(line)
                    command = line[:4].upper()
                    if command == "DATA":
                        self.say("354 go on")
                        messages.append(self.read_message())
                    if command == "QUIT":
                        self.say("221 bye")
                        return
                    no = (refuses and command == "MAIL") or (unknown in line and command == "RCPT")
                    self.say("550 no" if no else "250 ok")

            def read_message(self) -> str:
                text = ""
                while not text.endswith("\r\n.\r\n"):
                    text += self.rfile.readline().decode()
                return text

        self.server = ThreadingTCPServer(("127.0.0.1", 0), Handler)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the times that were waited, without waiting."""
    waited: list[float] = []
    monkeypatch.setattr("ectopy.batch.notify.time.sleep", waited.append)
    return waited


def recorded(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / LOG_FILE).read_text().splitlines()]


class TestWebhook:
    def test_it_has_the_pseudonym_and_a_link(self, tmp_path: Path) -> None:
        hook = Webhook()
        with serving(hook.server) as port:
            channels = Channels(webhook=f"http://127.0.0.1:{port}/secret", link="https://ecg.example/scored/")
            notify_urgent([row(recording="p-12ab")], tmp_path, channels, pseudonyms=True)
        (body,) = hook.bodies
        content = json.loads(body)
        link = "https://ecg.example/scored/p-12ab/report.html"
        assert content["recordings"] == [{"recording": "p-12ab", "link": link}]
        assert content["text"].startswith(f"Urgent finding in recording p-12ab: {link}\n")
        (entry,) = recorded(tmp_path)
        assert (entry["channel"], entry["sent"], entry["tries"]) == ("webhook", True, 1)

    def test_without_pseudonyms_neither_name_nor_finding_leave(self, tmp_path: Path) -> None:
        hook = Webhook()
        with serving(hook.server) as port:
            channels = Channels(webhook=f"http://127.0.0.1:{port}")
            notify_urgent([row()], tmp_path, channels, pseudonyms=False)
        (body,) = hook.bodies
        assert json.loads(body)["recordings"] == [
            {"recording": "3f2a9c01b7de", "link": f"{tmp_path.resolve()}/index.html"}
        ]
        kept = body.decode() + (tmp_path / LOG_FILE).read_text()
        assert not [secret for secret in ("Smith", "Anna", "Asystole", "03:12") if secret in kept]

    def test_several_recordings_are_one_message(self, tmp_path: Path) -> None:
        hook = Webhook()
        with serving(hook.server) as port:
            rows = [row(input_sha256=f"{number:064x}"[::-1]) for number in range(60)]
            notify_urgent(rows, tmp_path, Channels(webhook=f"http://127.0.0.1:{port}"), pseudonyms=False)
        (body,) = hook.bodies
        assert len(json.loads(body)["recordings"]) == 50
        assert "and in 10 more" in json.loads(body)["text"]

    @pytest.mark.parametrize(
        "other",
        [
            row("important: Atrial fibrillation; note: urgent: no"),
            row(""),
            row(status="skipped"),
            row(status="failed"),
        ],
    )
    def test_only_an_urgent_finding_of_this_run_is_told(self, tmp_path: Path, other: dict) -> None:
        hook = Webhook()
        with serving(hook.server) as port:
            notify_urgent([other], tmp_path, Channels(webhook=f"http://127.0.0.1:{port}"), pseudonyms=False)
        assert hook.bodies == []
        assert not (tmp_path / LOG_FILE).exists()


class TestFailures:
    def test_a_server_that_recovers_is_tried_again(self, tmp_path: Path, no_waiting: list[float]) -> None:
        hook = Webhook(503, 500)
        with serving(hook.server) as port:
            notify_urgent([row()], tmp_path, Channels(webhook=f"http://127.0.0.1:{port}"), pseudonyms=False)
        (entry,) = recorded(tmp_path)
        assert (len(hook.bodies), entry["sent"], entry["tries"]) == (3, True, 3)
        assert no_waiting == [1.0, 2.0]

    def test_tries_are_bounded_and_the_failure_is_recorded(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        hook = Webhook(*[500] * 9)
        with serving(hook.server) as port:
            channels = Channels(webhook=f"http://127.0.0.1:{port}/token", tries=2)
            notify_urgent([row()], tmp_path, channels, pseudonyms=False)
        (entry,) = recorded(tmp_path)
        assert (len(hook.bodies), entry["sent"], entry["problem"]) == (2, False, "status 500")
        assert "webhook of 1 urgent recordings not sent: status 500" in caplog.text

    def test_a_redirection_is_not_followed(self, tmp_path: Path) -> None:
        hook = Webhook(307)
        with serving(hook.server) as port:
            channels = Channels(webhook=f"http://127.0.0.1:{port}", tries=1)
            notify_urgent([row()], tmp_path, channels, pseudonyms=False)
        assert (len(hook.bodies), recorded(tmp_path)[0]["problem"]) == (1, "status 307")

    @pytest.mark.parametrize("status", [302, 304])
    def test_a_redirection_without_an_address_is_not_taken_for_success(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
    ) -> None:
        hook = Webhook(status)
        monkeypatch.setattr(
            hook.server.RequestHandlerClass, "send_header", lambda *_: None
        )  # neither Location nor Content-Length
        with serving(hook.server) as port:
            channels = Channels(webhook=f"http://127.0.0.1:{port}", tries=1)
            notify_urgent([row()], tmp_path, channels, pseudonyms=False)
        assert recorded(tmp_path)[0]["problem"] == f"status {status}"

    def test_an_answer_without_end_is_not_read(self, tmp_path: Path) -> None:
        hook = EndlessWebhook()
        with serving(hook.server) as port:
            notify_urgent([row()], tmp_path, Channels(webhook=f"http://127.0.0.1:{port}"), pseudonyms=False)
            assert hook.closed.wait(10)
        assert recorded(tmp_path)[0]["sent"]

    def test_an_absent_server_stops_nothing_and_its_address_is_in_no_log(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        channels = Channels(
            webhook="http://127.0.0.1:9/token-of-the-chat",
            smtp="smtp://user:password-of-mail@127.0.0.1:9",
            recipients=("a@example.org",),
        )
        with caplog.at_level(logging.DEBUG, "ectopy"):
            notify_urgent([row()], tmp_path, channels, pseudonyms=False)
        assert [entry["channel"] for entry in recorded(tmp_path) if not entry["sent"]] == [
            "webhook",
            "e-mail",
        ]
        said = [record.getMessage() for record in caplog.records if record.name.startswith("ectopy")]
        kept = "".join([(tmp_path / LOG_FILE).read_text(), *said])
        assert "token-of-the-chat" not in kept + repr(channels)
        assert "password-of-mail" not in kept + repr(channels)

    def test_a_log_that_cannot_be_written_stops_nothing(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / LOG_FILE).mkdir()
        notify_urgent([row()], tmp_path, Channels(webhook="http://127.0.0.1:9"), pseudonyms=False)
        assert "notifications.jsonl: not written" in caplog.text


class TestMail:
    def test_it_goes_to_every_recipient(self, tmp_path: Path) -> None:
        mail = MailServer()
        with serving(mail.server) as port:
            channels = Channels(
                smtp=f"smtp://127.0.0.1:{port}",
                recipients=("ward@example.org", "night@example.org"),
                sender="ecg@example.org",
            )
            notify_urgent([row()], tmp_path, channels, pseudonyms=False)
        (message,) = mail.messages
        assert "Subject: ectopy: urgent finding in 1 recording\r\n" in message
        assert "From: ecg@example.org\r\nTo: ward@example.org, night@example.org\r\n" in message
        assert "Urgent finding in recording 3f2a9c01b7de" in message.replace("=\r\n", "")
        assert "Smith" not in message
        assert [line for line in mail.lines if line.lower().startswith("rcpt")] == [
            "rcpt TO:<ward@example.org>",
            "rcpt TO:<night@example.org>",
        ]

    def test_a_refusal_is_recorded(self, tmp_path: Path) -> None:
        mail = MailServer(refuses=True)
        with serving(mail.server) as port:
            channels = Channels(smtp=f"smtp://127.0.0.1:{port}", recipients=("a@example.org",), tries=2)
            notify_urgent([row()], tmp_path, channels, pseudonyms=False)
        (entry,) = recorded(tmp_path)
        assert (entry["channel"], entry["sent"], entry["problem"]) == ("e-mail", False, "SMTPSenderRefused")

    def test_a_recipient_who_is_refused_is_recorded_and_the_others_get_one_mail(self, tmp_path: Path) -> None:
        mail = MailServer()
        with serving(mail.server) as port:
            recipients = ("ward@example.org", "nobody@example.org")
            channels = Channels(smtp=f"smtp://127.0.0.1:{port}", recipients=recipients)
            notify_urgent([row()], tmp_path, channels, pseudonyms=False)
        (entry,) = recorded(tmp_path)
        assert (len(mail.messages), entry["tries"]) == (1, 1)
        assert (entry["sent"], entry["problem"]) == (False, "1 of 2 recipients refused")

    def test_a_password_is_not_sent_in_the_clear(self, tmp_path: Path) -> None:
        mail = MailServer()
        with serving(mail.server) as port:
            address = f"smtp://me:secret@127.0.0.1:{port}"
            channels = Channels(smtp=address, recipients=("a@example.org",), tries=1)
            notify_urgent([row()], tmp_path, channels, pseudonyms=False)
        assert mail.messages == []
        assert not [line for line in mail.lines if line.upper().startswith("AUTH")]
        assert "no encryption" in str(recorded(tmp_path)[0]["problem"])


class TestSettings:
    def test_nothing_is_sent_by_default(self, tmp_path: Path) -> None:
        channels = channels_of(load_settings())
        assert channels == Channels()
        notify_urgent([row()], tmp_path, channels, pseudonyms=False)
        assert list(tmp_path.iterdir()) == []

    def test_they_name_the_channels(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {
            "WEBHOOK": "https://chat.example/hook",
            "SMTP": "smtps://me:pw@mail.example",
            "EMAIL": "a@example.org, b@example.org",
            "FROM": "ecg@example.org",
            "LINK": "https://ecg.example",
            "TRIES": "5",
        }.items():
            monkeypatch.setenv(f"ECTOPY_NOTIFY_{name}", value)
        assert channels_of(load_settings()) == Channels(
            *("https://chat.example/hook", "smtps://me:pw@mail.example", ("a@example.org", "b@example.org")),
            *("ecg@example.org", "https://ecg.example", 5),
        )

    @pytest.mark.parametrize(
        ("name", "value", "problem"),
        [
            ("WEBHOOK", "chat.example/secret", r"ECTOPY_NOTIFY_WEBHOOK: not an address\. Give https://"),
            ("SMTP", "mail.example:25/secret", r"ECTOPY_NOTIFY_SMTP: not an address\. Give smtps://"),
            ("SMTP", "smtp://mail.example:port", r"ECTOPY_NOTIFY_SMTP: not an address\. Give smtps://"),
            ("TRIES", "99", r"ECTOPY_NOTIFY_TRIES: .* Give at most 10\."),
            ("SMTP", "smtp://mail.example", r"ECTOPY_NOTIFY_EMAIL: nobody to send to.*Give an address"),
            ("FROM", "ectopy", r"ECTOPY_NOTIFY_FROM: 'ectopy' is no mail address\. Give one such as"),
            ("FROM", "a@b\nBcc: c@d", r"ECTOPY_NOTIFY_FROM: .* is no mail address"),
            ("EMAIL", "a@example.org", r"ECTOPY_NOTIFY_EMAIL: no mail server .* Set ECTOPY_NOTIFY_SMTP"),
        ],
    )
    def test_a_wrong_one_is_refused_before_anything_is_scored(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str
    ) -> None:
        monkeypatch.setenv(f"ECTOPY_NOTIFY_{name}", value)
        with pytest.raises(SettingsError, match=problem) as refused:
            load_settings()
        assert "secret" not in str(refused.value)

    # Python's parser of addresses breaks on these with an IndexError or an AttributeError.
    @pytest.mark.parametrize("address", ["<", "a <", '"', '"a"@', "a@[", "a@b\nBcc: x@y", "a@b>", " , "])
    def test_a_recipient_who_cannot_be_written_to_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, address: str
    ) -> None:
        monkeypatch.setenv("ECTOPY_NOTIFY_SMTP", "smtp://mail.example")
        monkeypatch.setenv("ECTOPY_NOTIFY_EMAIL", address)
        with pytest.raises(SettingsError, match=r"ECTOPY_NOTIFY_EMAIL: .*Give (one such as|an address)"):
            load_settings()

    @pytest.mark.parametrize(
        "address", ["ward+night@example.org", "ECG lab <ecg@example.org>", "a@localhost"]
    )
    def test_a_recipient_may_have_a_name(self, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
        monkeypatch.setenv("ECTOPY_NOTIFY_SMTP", "smtp://mail.example")
        monkeypatch.setenv("ECTOPY_NOTIFY_EMAIL", f"x@y.z, {address}")
        assert channels_of(load_settings()).recipients == ("x@y.z", address)


class TestScore:
    @pytest.mark.parametrize("salt", ["", "a salt of many letters"])
    def test_the_command_tells_of_what_it_has_scored(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, salt: str
    ) -> None:
        simulate.simulate_database(tmp_path, recordings=1, minutes=0.5, seed=3)
        (header,) = tmp_path.rglob("*.hea")
        if salt:
            monkeypatch.setenv("ECTOPY_PSEUDONYM_SALT", salt)
        # A healthy heart: which finding is urgent is the subject of other tests.
        monkeypatch.setattr(notify, "_is_urgent", lambda row: row["status"] == "scored")
        hook, out = Webhook(503), tmp_path / "out"
        with serving(hook.server) as port:
            monkeypatch.setenv("ECTOPY_NOTIFY_WEBHOOK", f"http://127.0.0.1:{port}")
            for _ in range(2):  # the second run has nothing to score, and tells nobody
                with pytest.raises(SystemExit) as ended:
                    cli.main(["score", str(header), "--out", str(out), "--workers", "1"])
                assert ended.value.code == 0
        first, second = map(json.loads, hook.bodies)
        assert first == second  # after the failure
        (told,) = first["recordings"]
        with (out / "summary.csv").open() as file:
            (scored,) = csv.DictReader(file)
        number = scored["recording"] if salt else scored["input_sha256"][:12]
        assert told["recording"] == number
        assert Path(told["link"]).is_file()
        assert header.stem not in str(first)
        (entry,) = recorded(out)
        assert (entry["recordings"], entry["sent"], entry["tries"]) == ([number], True, 2)
