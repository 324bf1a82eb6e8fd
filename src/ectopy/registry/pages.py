"""MLflow's server behind the guard: ``mlflow server --app-name ectopy`` finds it by its entry point."""

import os

from starlette.types import ASGIApp

from ectopy.guard import guarded
from ectopy.settings import SettingsError, load_settings


def app() -> ASGIApp:
    """Return the server; raise SettingsError if there is no password."""
    settings = load_settings()
    if settings.server_password is None:
        raise SettingsError("ECTOPY_SERVER_PASSWORD: not set. Set it, or start MLflow with `ectopy up`.")
    hosts = settings.server_hosts.split(",")
    # MLflow checks hosts too, with their ports. Its default includes names such as 10.attacker.example.
    os.environ["MLFLOW_SERVER_ALLOWED_HOSTS"] = ",".join(f"{host},{host}:*" for host in hosts)
    from mlflow.server.fastapi_app import app as mlflow

    return guarded(mlflow, hosts, settings.server_password.get_secret_value(), "/health")
