"""The local stack: Prefect's server, a worker and MLflow's pages on one machine, with the flows deployed."""

import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple

from ectopy.batch.results import BusyError, lock_folder
from ectopy.flows.server_access import ServerAccess, access_file, make_access, prefect_home, read_access
from ectopy.flows.supervisor import HOST, Service, ServiceError, end_leftovers, managed_children, start, watch
from ectopy.guard import ENTRANCE
from ectopy.private_files import take_from_others
from ectopy.settings import Settings, local_database

logger = logging.getLogger(__name__)

POOL = "ectopy"
_STARTED_FOR = "_ECTOPY_UP"
"""Variable that all processes of a stack have: the home of Prefect that it serves."""
_ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # ten processes and 2 GB that ectopy does not need
    "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
}


class Ports(NamedTuple):
    """Ports of the web pages, which only this machine can reach, and only with the password."""

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
    _require_guard()
    prepare_folders(settings)
    with only_stack(), suppress(KeyboardInterrupt), managed_children() as children:
        access = make_access(settings, api_url(ports), mlflow_url(ports))
        environment = local_environment(access, ports)
        start(children, servers(settings, ports), environment)
        recover(folder, environment)
        start(children, [worker(ports, access)], environment)
        deploy(folder, environment)
        print("\n".join(addresses(settings, ports, access)), flush=True)  # noqa: T201
        watch(children)


def run_pages(settings: Settings, ports: Ports) -> None:
    """Run MLflow's pages alone, until Ctrl-C or SIGTERM.

    Parameters
    ----------
    settings
        Supplies the tracking store.
    ports
        The port of MLflow's pages.

    Raises
    ------
    ServiceError
        If there is no tracking store to show, or the server cannot be started.
    """
    _require_guard()
    service, store = pages(settings, ports), local_database(settings.tracking_uri)
    if store is None or not store.is_file():
        raise ServiceError(
            f"{store}: no such tracking store. `ectopy train` creates it; ECTOPY_TRACKING_URI names another."
        )
    earlier = read_access()
    with suppress(KeyboardInterrupt), managed_children() as children:
        access = make_access(settings, earlier.prefect_api_url if earlier else "", mlflow_url(ports))
        start(children, [service], {**os.environ, **_ENVIRONMENT, "ECTOPY_SERVER_PASSWORD": access.password})
        print(f"{mlflow_url(ports)}{ENTRANCE}#{access.password}\nCtrl-C ends it", flush=True)  # noqa: T201
        watch(children)


def _require_guard() -> None:
    if not entry_points(group="mlflow.app", name="ectopy"):
        raise ServiceError("this ectopy was installed before MLflow's pages had a guard. Run `uv sync`.")


@contextmanager
def only_stack() -> Iterator[None]:
    """Lock the home of Prefect, and end what a stack left there that was killed.

    Raises
    ------
    ServiceError
        If another stack runs there: two servers on one SQLite file would lock each other out.
    """
    try:
        with lock_folder(prefect_home()):
            end_leftovers(_STARTED_FOR, _home())
            yield
    except BusyError as error:
        raise ServiceError(
            f"{prefect_home()}: `ectopy up` runs there already. Stop it, or set PREFECT_HOME to another one."
        ) from error


def _home() -> str:
    return str(prefect_home().resolve())


def prepare_folders(settings: Settings) -> None:
    """Create the folders that are printed, and take from others the right to read what may be in them."""
    store, data = local_database(settings.tracking_uri), settings.data_dir
    for folder in (data / "inbox", data / "scored", prefect_home(), *([store.parent] if store else [])):
        folder.mkdir(parents=True, exist_ok=True)
    take_from_others(data, prefect_home(), *([store.parent] if store else []))


def local_environment(access: ServerAccess, ports: Ports) -> dict[str, str]:
    """Return the variables of the services.

    Parameters
    ----------
    access
        The address and the password.
    ports
        The ports of the servers.

    Returns
    -------
    Those of this process, the password for the servers, and what their clients need.
    """
    origins = (f"http://{host}:{ports.prefect}" for host in (HOST, "localhost"))
    return {
        **_ENVIRONMENT,
        **os.environ,
        **access.client_environment(),
        _STARTED_FOR: _home(),
        "ECTOPY_SERVER_PASSWORD": access.password,
        "PREFECT_SERVER_API_AUTH_STRING": access.auth_string,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(origins),
        "PREFECT_SERVER_UI_API_URL": "/api",  # whichever name or port, of a tunnel for instance, leads to it
    }


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
        command_of(
            *("uvicorn", "--factory", "ectopy.flows.prefect_server:app"),
            *("--host", HOST, "--port", str(ports.prefect), "--log-level", "warning"),
        ),
        ports.prefect,
        "/api/health",
    )
    return [prefect] if local_database(settings.tracking_uri) is None else [prefect, pages(settings, ports)]


def pages(settings: Settings, ports: Ports) -> Service:
    """Return MLflow's server.

    Parameters
    ----------
    settings
        Supplies the tracking store, which is a local file.
    ports
        The ports of the servers.

    Returns
    -------
    The service.
    """
    store = local_database(settings.tracking_uri)
    if store is None:
        raise ServiceError(f"{settings.tracking_uri}: it is a server already. Open it in the browser.")
    mlflow = command_of(
        *("mlflow", "server", "--app-name", "ectopy", "--workers", "1"),
        *("--host", HOST, "--port", str(ports.mlflow)),
        *("--uvicorn-opts", "--log-level warning"),
        "--no-serve-artifacts",  # they are files of this machine; nothing is uploaded
        *("--backend-store-uri", f"sqlite:///{store}"),
        *("--default-artifact-root", (store.parent / "artifacts").as_uri()),
    )
    return Service("MLflow", mlflow, ports.mlflow, "/health")


def worker(ports: Ports, access: ServerAccess) -> Service:
    """Return the Prefect worker, which creates its work pool if necessary.

    Parameters
    ----------
    ports
        The ports of the servers.
    access
        The password of the Prefect server.

    Returns
    -------
    The service. Its limit holds when many runs come due at once, for instance after the machine has slept.
    """
    return Service(
        "worker",
        command_of(*("prefect", "worker", "start", "--pool", POOL, "--type", "process", "--limit", "4")),
        ports.prefect,
        f"/api/work_pools/{POOL}",
        listens=False,
        authorization=access.authorization,
    )


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
    logger.info("deploying the flows; the links follow")
    done = _run(command_of("prefect", "--no-prompt", "deploy", "--all"), folder, environment)
    if done.returncode:
        output = " ".join((done.stdout + done.stderr).split())
        raise ServiceError(f"prefect.yaml: Prefect rejected the deployments: {output}. Correct the file.")


def recover(folder: Path, environment: Mapping[str, str]) -> None:
    """End in Prefect what a power cut has interrupted, and go on with the inbox; no worker may run yet.

    Parameters
    ----------
    folder
        The working directory.
    environment
        The environment variables, with the address of the server.
    """
    done = _run((sys.executable, "-m", "ectopy.flows.recovery", POOL), folder, environment)
    if done.returncode:
        logger.warning("Prefect may show runs that a power cut has ended:\n%s", done.stderr)


def _run(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - fixed arguments
        command, cwd=folder, env=dict(environment), capture_output=True, text=True, check=False
    )


def addresses(settings: Settings, ports: Ports, access: ServerAccess) -> list[str]:
    """Return where everything is, one line each.

    Parameters
    ----------
    settings
        Supplies the tracking store and the data directory.
    ports
        The ports of the servers.
    access
        The password. A link with it logs a browser in.

    Returns
    -------
    The lines to print.
    """
    store, data = local_database(settings.tracking_uri), settings.data_dir.absolute()
    password = access.password
    mlflow = f"http://{HOST}:{ports.mlflow}{ENTRANCE}#{password}" if store else "at ECTOPY_TRACKING_URI"
    variables = [f"{name}={shlex.quote(value)}" for name, value in access.client_environment().items()]
    return [
        f"Prefect  http://{HOST}:{ports.prefect}{ENTRANCE}#{password}",
        f"MLflow   {mlflow}",
        f"inbox    {data / 'inbox'}, results in {data / 'scored'}",
        f"password {access_file()}",
        f"to use the prefect command in another terminal: export {' '.join(variables)}",
        "Ctrl-C ends all of it",
    ]


def command_of(name: str, *arguments: str) -> tuple[str, ...]:
    """Return the command of a program that is installed next to this Python."""
    return (str(Path(sys.executable).with_name(name)), *arguments)


def mlflow_url(ports: Ports) -> str:
    """Return the address of MLflow's pages."""
    return f"http://{HOST}:{ports.mlflow}"


def api_url(ports: Ports) -> str:
    """Return the address of Prefect's API."""
    return f"http://{HOST}:{ports.prefect}/api"
