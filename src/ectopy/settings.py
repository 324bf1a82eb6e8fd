"""What belongs to the machine: directories, sources, servers, workers; read by flows and the CLI only."""

import os
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PHYSIONET = "https://physionet.org/files/"


class Settings(BaseSettings):
    """Settings from ``ECTOPY_*``; a misspelt one is refused, see :func:`load_settings`."""

    model_config = SettingsConfigDict(env_prefix="ECTOPY_", frozen=True, extra="forbid")

    data_dir: Path = Path("data")
    source: str = PHYSIONET
    tracking_uri: str = Field(
        default="sqlite:///mlruns/mlflow.db",
        validation_alias=AliasChoices("ECTOPY_TRACKING_URI", "MLFLOW_TRACKING_URI"),
    )
    pseudonym_salt: SecretStr | None = Field(default=None, min_length=16)
    """Whose recordings are to be nameless; a short salt could be found by trying."""
    inbox_quiet_s: float = Field(default=60, ge=0)
    inbox_patience_s: float = Field(default=3600, ge=0)
    inbox_tries: int = Field(default=3, ge=1)
    recording_time_s: float = Field(default=3600, gt=0)
    recording_memory_mb: int = Field(default=4096, ge=1024)
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    on_drift: Literal["warn", "train"] = "warn"


class SettingsError(ValueError):
    """A setting that is misspelt or has an impossible value."""


def load_settings() -> Settings:
    """Read the settings; refuse unknown ``ECTOPY_*`` names, which are misspellings."""
    known = {f"ECTOPY_{name.upper()}" for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.startswith("ECTOPY_") and name not in known)
    if unknown:
        raise SettingsError(f"unknown setting {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(f"ECTOPY_{str(first['loc'][0]).upper()}: {first['msg']}") from error
