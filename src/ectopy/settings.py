"""Settings of the machine: directories, servers, workers, limits. Read by flows and the command line only."""

import os
import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PHYSIONET = "https://physionet.org/files/"


class Settings(BaseSettings):
    """Settings from the environment variables ``ECTOPY_*``, see :func:`load_settings`."""

    model_config = SettingsConfigDict(env_prefix="ECTOPY_", frozen=True, extra="forbid")

    data_dir: Path = Path("data")
    """Folder of databases, models, the inbox and results."""
    source: str = PHYSIONET
    """Base address, or a directory laid out like it, from which databases are copied."""
    tracking_uri: str = Field(
        default="sqlite:///mlruns/mlflow.db",
        validation_alias=AliasChoices("ECTOPY_TRACKING_URI", "MLFLOW_TRACKING_URI"),
    )
    """Address of the tracking store of MLflow."""
    pseudonym_salt: SecretStr | None = Field(default=None, min_length=16)
    """If set, pseudonyms replace the names of recordings. A short salt could be found by trial."""
    criteria: Path | None = None
    """TOML file with the criteria of the study, by which events are named; by default those of ectopy."""
    patients: Path | None = None
    """Table of the lab with the patients of recordings, for their reports."""
    mark_text: bool = False
    """Whether results show what the marks of a patient say, which may be personal."""
    cache_dir: Path | None = None
    """Folder that keeps what does not depend on the model, for scoring with another one; by default none."""
    cache_gb: float = Field(default=20, gt=0, le=1e6, allow_inf_nan=False)
    """Largest size of that cache in GB."""
    inbox_quiet_s: float = Field(default=60, ge=0, allow_inf_nan=False)
    """A recording of the inbox is scored when none of its files has changed for this many seconds."""
    inbox_patience_s: float = Field(default=3600, ge=0, allow_inf_nan=False)
    """An unreadable recording is quarantined if it has not changed for this many seconds."""
    inbox_tries: int = Field(default=3, ge=1)
    """A recording is quarantined after it has crashed this many processes."""
    recording_time_s: float = Field(default=3600, gt=0, le=1e9, allow_inf_nan=False)
    """Wall time in s that one recording may take."""
    recording_memory_mb: int = Field(default=4096, ge=1024, le=10**9)
    """Memory in MB that one recording may take."""
    server_password: SecretStr | None = Field(default=None, min_length=16)
    """Password of Prefect and MLflow, letters and digits. By default `ectopy up` makes one and keeps it."""
    server_hosts: str = "127.0.0.1,localhost"
    """The names by which browsers and programs may address Prefect and MLflow, separated by commas."""
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    """Number of processes that score, or of workers on a local Dask cluster."""
    on_drift: Literal["warn", "train"] = "warn"
    """What drift causes: a warning only, or also a run of the deployment ``train``."""
    notify_webhook: SecretStr | None = None
    """Address to which a message is posted if a recording has an urgent finding; by default none is sent."""
    notify_smtp: SecretStr | None = None
    """Mail server for such messages, ``smtps://USER:PASSWORD@HOST``, or ``smtp://`` for STARTTLS."""
    notify_email: str = Field(default="", validate_default=True)
    """Who gets a mail of urgent findings, separated by commas."""
    notify_from: str = "ectopy@localhost"
    """Sender of these mails."""
    notify_link: str = ""
    """Address of the folder of results, for the links in messages; by default its path."""
    notify_tries: int = Field(default=3, ge=1, le=10)
    """Times that a message is tried."""

    @field_validator("notify_webhook")
    @classmethod
    def _check_webhook(cls, address: SecretStr | None) -> SecretStr | None:
        return _checked(address, ("https", "http"), "https://HOST/PATH")

    @field_validator("notify_smtp")
    @classmethod
    def _check_smtp(cls, address: SecretStr | None) -> SecretStr | None:
        return _checked(address, ("smtps", "smtp"), "smtps://USER:PASSWORD@HOST or smtp://HOST:PORT")

    @field_validator("notify_email")
    @classmethod
    def _check_email(cls, recipients: str, info: ValidationInfo) -> str:
        has_server = bool(info.data.get("notify_smtp", recipients))  # absent if it was refused itself
        if recipients and not has_server:
            raise ValueError("no mail server to send with. Set ECTOPY_NOTIFY_SMTP too.")
        if wrong := [part for part in recipients.split(",") if part.strip() and not _is_mail(part)]:
            raise ValueError(f"{wrong[0].strip()!r} is no mail address. {_MAIL_EXAMPLE}")
        if has_server and not recipients.strip(", "):
            raise ValueError("nobody to send to, but ECTOPY_NOTIFY_SMTP is set. Give an address.")
        return recipients

    @field_validator("notify_from")
    @classmethod
    def _check_from(cls, sender: str) -> str:
        if not _is_mail(sender):
            raise ValueError(f"{sender!r} is no mail address. {_MAIL_EXAMPLE}")
        return sender


_REMEDIES = {
    "float_parsing": "Give a number.",
    "int_parsing": "Give a whole number.",
    "int_from_float": "Give a whole number.",
    "finite_number": "Give a finite number.",
    "greater_than": "Give more than {gt:g}.",
    "greater_than_equal": "Give at least {ge:g}.",
    "less_than_equal": "Give at most {le:g}.",
    "literal_error": "Give {expected}.",
    "too_short": "too short. Give at least {min_length} characters.",
}
"""What to give instead of a value that Pydantic refuses, by the kind of its error."""


_MAIL_EXAMPLE = "Give one such as ward@example.org."
_MAIL = re.compile(r"""([\w.-][\w .-]*)?<?[^\s@<>()\[\]\\,;:"']+@[\w.-]+>?""")


def _is_mail(text: str) -> bool:
    """Return whether a text is a mail address, perhaps with a name: ``ECG lab <ecg@example.org>``."""
    return bool(_MAIL.fullmatch(text.strip())) and ("<" in text) == (">" in text)


def _checked(address: SecretStr | None, schemes: tuple[str, ...], example: str) -> SecretStr | None:
    """Return an address if it is one of the schemes; the message does not quote it, as it may be a secret."""
    if address is None:
        return None
    try:
        parts = urlsplit(address.get_secret_value())
        right = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        right = False
    if not right:
        raise ValueError(f"not an address. Give {example}.")
    return address


class SettingsError(ValueError):
    """A setting that is misspelt or has an invalid value."""


def load_settings() -> Settings:
    """Read the settings.

    Raises
    ------
    SettingsError
        If a value is invalid, or a variable ``ECTOPY_*`` is unknown, which is a misspelling.
    """
    known = {f"ECTOPY_{name.upper()}" for name in Settings.model_fields} | {"ECTOPY_COMPILED"}
    unknown = sorted(name for name in os.environ if name.startswith("ECTOPY_") and name not in known)
    if unknown:
        raise SettingsError(f"{', '.join(unknown)}: unknown setting. Use one of {', '.join(sorted(known))}.")
    try:
        return Settings()
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0]).upper().removeprefix("ECTOPY_")
        raise SettingsError(f"ECTOPY_{name}: {problem_of(error)}") from error


def problem_of(error: ValidationError) -> str:
    """Return what is wrong with a value that Pydantic refuses, and what to give; a secret is not quoted."""
    first = error.errors()[0]
    context, kind = first.get("ctx", {}), first["type"]
    if kind == "value_error":
        return str(context["error"])
    remedy = _REMEDIES.get(kind, f"{first['msg']}.").format_map(context)
    return remedy if kind == "too_short" else f"{first['input']!r} is not valid. {remedy}"


def local_database(uri: str) -> Path | None:
    """Return the file of a tracking store in SQLite, or None for the address of a server."""
    path = uri.removeprefix("sqlite:///")
    return None if path == uri else Path(path).absolute()
