"""Everything on one machine: Prefect's server, a worker and MLflow's pages, with the flows deployed."""

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ectopy.flows.supervisor import HOST, Service, ServiceError, running, start, watch
from ectopy.settings import Settings

logger = logging.getLogger(__name__)

POOL = "ectopy"
_ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # ten processes and 2 GB that nothing here needs
    "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}


class Ports(NamedTuple):
    """Where the pages are, on this machine alone."""

    prefect: int = 4200
    mlflow: int = 5000


def run_local_stack(settings: Settings, ports: Ports, folder: Path) -> None:
    """Run the servers, deploy ``folder``'s ``prefect.yaml``, and look after all until told to end."""
    if not (folder / "prefect.yaml").is_file():
        raise ServiceError(
            f"{folder}: the flows expected, prefect.yaml is not there; start in a clone of ectopy"
        )
    environment = {**_ENVIRONMENT, **os.environ, "PREFECT_API_URL": api_of(ports)}
    with suppress(KeyboardInterrupt), running() as children:
        start(children, servers(settings, ports), environment)
        start(children, [worker(ports)], environment)
        deploy(folder, environment)
        print("\n".join(signposts(settings, ports)), flush=True)  # noqa: T201
        watch(children)


def servers(settings: Settings, ports: Ports) -> list[Service]:
    """Describe the servers: Prefect's, and MLflow's where the tracking store is no server itself."""
    prefect = Service(
        "Prefect server",
        program("prefect", "server", "start", "--host", HOST, "--port", str(ports.prefect)),
        ports.prefect,
        "/api/health",
    )
    store = local_store(settings.tracking_uri)
    if store is None:
        return [prefect]
    mlflow = program(
        *("mlflow", "server", "--host", HOST, "--port", str(ports.mlflow), "--workers", "1"),
        *("--uvicorn-opts", "--log-level warning"),
        *("--backend-store-uri", f"sqlite:///{store}"),
        *("--default-artifact-root", (store.parent / "artifacts").as_uri()),
    )
    return [prefect, Service("MLflow", mlflow, ports.mlflow, "/health")]


def worker(ports: Ports) -> Service:
    """Describe the worker, which makes its pool where there is none."""
    command = program("prefect", "worker", "start", "--pool", POOL, "--type", "process")
    return Service("worker", command, ports.prefect, f"/api/work_pools/{POOL}", listens=False)


def deploy(folder: Path, environment: Mapping[str, str]) -> None:
    """Tell the server of the flows and their schedules."""
    done = subprocess.run(  # noqa: S603 - a program of ours with fixed arguments
        program("prefect", "--no-prompt", "deploy", "--all"),
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServiceError(f"prefect.yaml: not deployed, {' '.join((done.stdout + done.stderr).split())}")


def signposts(settings: Settings, ports: Ports) -> list[str]:
    """Tell where everything is."""
    store, data = local_store(settings.tracking_uri), settings.data_dir.absolute()
    mlflow = f"http://{HOST}:{ports.mlflow}/#/experiments" if store else "where ECTOPY_TRACKING_URI says"
    return [
        f"Prefect  http://{HOST}:{ports.prefect}/runs",
        f"MLflow   {mlflow}",
        f"inbox    {data / 'inbox'}, results in {data / 'scored'}",
        f"commands of Prefect in another terminal: export PREFECT_API_URL={api_of(ports)}",
        "Ctrl-C ends all of it",
    ]


def local_store(uri: str) -> Path | None:
    """Give the file of a tracking store in SQLite; None for a server's address."""
    path = uri.removeprefix("sqlite:///")
    return None if path == uri else Path(path).absolute()


def program(name: str, *arguments: str) -> tuple[str, ...]:
    """Give the command of a program that was installed beside this Python."""
    return (str(Path(sys.executable).with_name(name)), *arguments)


def api_of(ports: Ports) -> str:
    """Give the address of Prefect's API."""
    return f"http://{HOST}:{ports.prefect}/api"
