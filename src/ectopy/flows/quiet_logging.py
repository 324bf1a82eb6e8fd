"""Prefect and MLflow without their own noise, for commands that run a flow.

To be called before either is imported.
"""

import os
from pathlib import Path

# Only what the user has not set otherwise.
_QUIET = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "PREFECT_LOGGING_SETTINGS_PATH": str(Path(__file__).with_name("logging.yml")),
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",  # a busy machine takes its time
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
}


def quiet_logging() -> None:
    """Keep Prefect and MLflow from talking over the command that runs a flow."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
