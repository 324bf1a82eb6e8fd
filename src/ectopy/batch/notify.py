"""Notifications of urgent findings: a webhook by HTTP POST, an e-mail through SMTP. Off by default.

A message names a recording by its pseudonym, or by a number if it has none: the first digits of its
``input_sha256`` in ``summary.csv``. It has a link to the results and nothing else of the patient, not even
the finding. Notifications never stop scoring. What was sent and what failed is in ``notifications.jsonl``.
"""

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ectopy.batch.results import SummaryRow
from ectopy.row_findings import findings_of

if TYPE_CHECKING:
    from ectopy.settings import Settings

logger = logging.getLogger(__name__)

LOG_FILE = "notifications.jsonl"
"""File in the folder of results: a line for each message, with what became of it."""
TIMEOUT_S = 10.0
FIRST_WAIT_S = 1.0
"""Time before the second try; it doubles with each further one."""

_DIGITS = 12
_LISTED = 50
"""Recordings that one message lists at most."""

_ACCEPTED = range(200, 300)
"""Statuses of HTTP that say that a message was accepted; a redirect is none, with or without an address."""
_CLOSING = "ectopy found it; nobody has confirmed it. Research software, no medical device."


class NotificationError(ValueError):
    """A message that was not accepted; the text names no address, because it may be a secret."""


@dataclass(frozen=True)
class Channels:
    """Where messages go. ``link`` is the address of the folder of results; by default its path is sent."""

    webhook: str = field(default="", repr=False)
    smtp: str = field(default="", repr=False)
    recipients: tuple[str, ...] = ()
    sender: str = "ectopy@localhost"
    link: str = ""
    tries: int = 3


def channels_of(settings: "Settings") -> Channels:
    """Return the channels that the settings name; by default there is none."""
    return Channels(
        settings.notify_webhook.get_secret_value() if settings.notify_webhook else "",
        settings.notify_smtp.get_secret_value() if settings.notify_smtp else "",
        tuple(part.strip() for part in settings.notify_email.split(",") if part.strip()),
        settings.notify_from,
        settings.notify_link,
        settings.notify_tries,
    )


def notify_urgent(rows: Sequence[SummaryRow], out: Path, channels: Channels, *, pseudonyms: bool) -> None:
    """Send one message over each channel if recordings that were scored now have an urgent finding.

    Parameters
    ----------
    rows
        The rows of the summary of this run.
    out
        The folder of results, whose ``notifications.jsonl`` keeps what became of each message.
    channels
        Where messages go.
    pseudonyms
        Whether the names of the recordings are pseudonyms, which may leave the machine.
    """
    ways: dict[str, Callable[[Sequence[tuple[str, str]]], str]] = {}
    if channels.webhook:
        ways["webhook"] = lambda urgent: _post(channels.webhook, urgent)
    if channels.smtp and channels.recipients:
        ways["e-mail"] = lambda urgent: _mail(channels, urgent)
    base = (channels.link or str(out.resolve())).rstrip("/")
    urgent = [_named(row, base, pseudonyms=pseudonyms) for row in rows if _is_urgent(row)]
    for way, send in ways.items() if urgent else ():
        problem, n_tries = _try(send, urgent, channels.tries)
        if problem:
            logger.warning("%s of %d urgent recordings not sent: %s", way, len(urgent), problem)
        _record(out, way, [name for name, _ in urgent], n_tries, problem)


def _is_urgent(row: SummaryRow) -> bool:
    return row["status"] == "scored" and any(urgency == "urgent" for urgency, _ in findings_of(row))


def _named(row: SummaryRow, base: str, *, pseudonyms: bool) -> tuple[str, str]:
    """Return how a message names a recording, and its link; the name of a file is in neither."""
    if pseudonyms:
        return str(row["recording"]), f"{base}/{row['recording']}/report.html"
    return str(row["input_sha256"])[:_DIGITS], f"{base}/index.html"


def _text(urgent: Sequence[tuple[str, str]]) -> str:
    lines = [f"Urgent finding in recording {name}: {link}" for name, link in urgent[:_LISTED]]
    if len(urgent) > _LISTED:
        lines.append(f"and in {len(urgent) - _LISTED} more")
    return "\n".join([*lines, _CLOSING])


def _post(address: str, urgent: Sequence[tuple[str, str]]) -> str:
    """Post a message as JSON; chat services show its ``text``. Of the answer only the status is read."""
    import requests

    recordings = [{"recording": name, "link": link} for name, link in urgent[:_LISTED]]
    content = {"event": "urgent finding", "text": _text(urgent), "recordings": recordings}
    with requests.post(
        address, json=content, timeout=TIMEOUT_S, allow_redirects=False, stream=True
    ) as response:
        if response.status_code not in _ACCEPTED:
            raise NotificationError(f"status {response.status_code}")
    return ""


def _mail(channels: Channels, urgent: Sequence[tuple[str, str]]) -> str:
    """Send a message by e-mail; return whether some recipients were refused: the others have it by then."""
    import smtplib
    import ssl
    from email.message import EmailMessage

    message = EmailMessage()
    message["Subject"] = f"ectopy: urgent finding in {len(urgent)} recording{'s' if len(urgent) > 1 else ''}"
    message["From"], message["To"] = channels.sender, ", ".join(channels.recipients)
    message.set_content(_text(urgent))
    server = urlsplit(channels.smtp)
    host, secure = server.hostname or "", ssl.create_default_context()
    encrypted = server.scheme == "smtps"
    with (
        smtplib.SMTP_SSL(host, server.port or 465, timeout=TIMEOUT_S, context=secure)
        if encrypted
        else smtplib.SMTP(host, server.port or 587, timeout=TIMEOUT_S)
    ) as smtp:
        if not encrypted and smtp.ehlo() and smtp.has_extn("starttls"):
            smtp.starttls(context=secure)
            encrypted = True
        if server.username:
            if not encrypted:
                raise NotificationError("the mail server offers no encryption, so the password was not sent")
            smtp.login(unquote(server.username), unquote(server.password or ""))
        refused = smtp.send_message(message)
    return f"{len(refused)} of {len(channels.recipients)} recipients refused" if refused else ""


def _try(
    send: Callable[[Sequence[tuple[str, str]]], str], urgent: Sequence[tuple[str, str]], tries: int
) -> tuple[str, int]:
    """Send a message, again after a failure; return what was wrong at last, if anything, and the tries."""
    problem = ""
    for attempt in range(tries):
        if attempt:
            time.sleep(FIRST_WAIT_S * 2 ** (attempt - 1))
        try:
            return send(urgent), attempt + 1
        except NotificationError as error:
            problem = str(error)
        except (OSError, ValueError) as error:  # requests and smtplib derive theirs from OSError
            problem = type(error).__name__  # its text may have the address, which may be a secret
    return problem, tries


def _record(out: Path, way: str, recordings: list[str], n_tries: int, problem: str) -> None:
    """Append what became of a message to the log in the folder of results."""
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "channel": way,
        "recordings": recordings,
        "sent": not problem,
        "tries": n_tries,
        "problem": problem,
    }
    try:
        with (out / LOG_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError as error:
        logger.warning("%s: not written (%s). Free some space.", LOG_FILE, error.strerror)
