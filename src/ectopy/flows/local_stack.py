"""The local stack: Prefect's server, a worker and MLflow's pages on one machine, with the flows deployed."""

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ectopy.flows.supervisor import HOST, Service, ServiceError, managed_children, start, watch
from ectopy.settings import Settings

logger = logging.getLogger(__name__)

POOL = "ectopy"
_ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # ten processes and 2 GB that ectopy does not need
    "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}


class Ports(NamedTuple):
    """Ports of the web pages, which only this machine can reach."""

    prefect: int = 4200
    mlflow: int = 5000


def run_local_stack(settings: Settings, ports: Ports, folder: Path) -> None:
    """Run the servers and the worker, deploy the flows, and keep all running until Ctrl-C or SIGTERM.

    Parameters
    ----------
    settings
        Supplies the tracking store and the data directory.
    ports
        The ports of the servers.
    folder
        A clone of ectopy, with its ``prefect.yaml``.

    Raises
    ------
    ServiceError
        If a service cannot be started, or keeps crashing.
    """
    if not (folder / "prefect.yaml").is_file():
        raise ServiceError(f"{folder}: prefect.yaml not found. Run `ectopy up` in a clone of ectopy.")
    environment = {**_ENVIRONMENT, **os.environ, "PREFECT_API_URL": api_url(ports)}
    with suppress(KeyboardInterrupt), managed_children() as children:
        start(children, servers(settings, ports), environment)
        start(children, [worker(ports)], environment)
        deploy(folder, environment)
        print("\n".join(addresses(settings, ports)), flush=True)  # noqa: T201
        watch(children)


def servers(settings: Settings, ports: Ports) -> list[Service]:
    """Return Prefect's server, and MLflow's unless the tracking store is itself a server.

    Parameters
    ----------
    settings
        Supplies the tracking store.
    ports
        The ports of the servers.

    Returns
    -------
    The services to run.
    """
    prefect = Service(
        "Prefect server",
        command_of("prefect", "server", "start", "--host", HOST, "--port", str(ports.prefect)),
        ports.prefect,
        "/api/health",
    )
    store = local_store(settings.tracking_uri)
    if store is None:
        return [prefect]
    mlflow = command_of(
        *("mlflow", "server", "--host", HOST, "--port", str(ports.mlflow), "--workers", "1"),
        *("--uvicorn-opts", "--log-level warning"),
        *("--backend-store-uri", f"sqlite:///{store}"),
        *("--default-artifact-root", (store.parent / "artifacts").as_uri()),
    )
    return [prefect, Service("MLflow", mlflow, ports.mlflow, "/health")]


def worker(ports: Ports) -> Service:
    """Return the Prefect worker, which creates its work pool if necessary."""
    command = command_of("prefect", "worker", "start", "--pool", POOL, "--type", "process")
    return Service("worker", command, ports.prefect, f"/api/work_pools/{POOL}", listens=False)


def deploy(folder: Path, environment: Mapping[str, str]) -> None:
    """Register the flows and their schedules with the Prefect server.

    Parameters
    ----------
    folder
        The folder of ``prefect.yaml``.
    environment
        The environment variables, with the address of the server.

    Raises
    ------
    ServiceError
        If Prefect rejects the deployments.
    """
    done = subprocess.run(  # noqa: S603 - fixed arguments
        command_of("prefect", "--no-prompt", "deploy", "--all"),
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        output = " ".join((done.stdout + done.stderr).split())
        raise ServiceError(f"prefect.yaml: Prefect rejected the deployments: {output}. Correct the file.")


def addresses(settings: Settings, ports: Ports) -> list[str]:
    """Return where everything is, one line each.

    Parameters
    ----------
    settings
        Supplies the tracking store and the data directory.
    ports
        The ports of the servers.

    Returns
    -------
    The lines to print.
    """
    store, data = local_store(settings.tracking_uri), settings.data_dir.absolute()
    mlflow = f"http://{HOST}:{ports.mlflow}/#/experiments" if store else "the server of ECTOPY_TRACKING_URI"
    return [
        f"Prefect  http://{HOST}:{ports.prefect}/runs",
        f"MLflow   {mlflow}",
        f"inbox    {data / 'inbox'}, results in {data / 'scored'}",
        f"to use the prefect command in another terminal: export PREFECT_API_URL={api_url(ports)}",
        "Ctrl-C ends all of it",
    ]


def local_store(uri: str) -> Path | None:
    """Return the file of a tracking store in SQLite; None for the address of a server."""
    path = uri.removeprefix("sqlite:///")
    return None if path == uri else Path(path).absolute()


def command_of(name: str, *arguments: str) -> tuple[str, ...]:
    """Return the command of a program that is installed next to this Python."""
    return (str(Path(sys.executable).with_name(name)), *arguments)


def api_url(ports: Ports) -> str:
    """Return the address of Prefect's API."""
    return f"http://{HOST}:{ports.prefect}/api"
