"""Silence Prefect and MLflow in commands that run a flow.

Call this before either is imported.
"""

import os
from pathlib import Path

# Variables that the user has set keep their values.
_QUIET = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "PREFECT_LOGGING_SETTINGS_PATH": str(Path(__file__).with_name("logging.yml")),
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",  # a busy machine is slow
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
}


def quiet_logging() -> None:
    """Set the environment variables that silence Prefect and MLflow."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
