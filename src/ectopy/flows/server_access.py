"""Address and password of the servers of ``ectopy up``, in a file that only its owner can read.

The file belongs to the home of Prefect, because it says who serves the database there. Commands find the
running server by it: two servers on one SQLite file would lock each other out.
"""

import json
import os
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from ectopy.flows.supervisor import HOST, answers
from ectopy.guard import USER, basic_authorization
from ectopy.settings import Settings


@dataclass(frozen=True)
class ServerAccess:
    """The address of Prefect's API, and the password of both servers."""

    prefect_api_url: str
    password: str = field(repr=False)
    mlflow_url: str = ""

    @property
    def auth_string(self) -> str:
        """The user and the password, as Prefect wants them."""
        return f"{USER}:{self.password}"

    @property
    def authorization(self) -> str:
        """The value of the HTTP header ``Authorization``."""
        return basic_authorization(self.auth_string)

    def client_environment(self) -> dict[str, str]:
        """Return the variables with which a program uses the Prefect server."""
        return {"PREFECT_API_URL": self.prefect_api_url, "PREFECT_API_AUTH_STRING": self.auth_string}

    def answers(self) -> bool:
        """Check that the server runs on this machine and takes the password."""
        port = urlsplit(self.prefect_api_url).port
        return port is not None and answers(port, "/api/admin/version", self.authorization)


def prefect_home() -> Path:
    """Return the folder of Prefect's database."""
    return Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()


def access_file() -> Path:
    """Return the path of the file."""
    return prefect_home() / "ectopy.json"


def mlflow_address() -> str:
    """Return the address of MLflow's pages on this machine, whether or not they run now."""
    access = read_access()
    return (access.mlflow_url if access else "") or f"http://{HOST}:5000"


def make_access(settings: Settings, prefect_api_url: str, mlflow_url: str = "") -> ServerAccess:
    """Write the address to the file, with the password of the settings, of earlier or a new one.

    Parameters
    ----------
    settings
        Supplies the password, if the user has chosen one.
    prefect_api_url
        The address of Prefect's API.
    mlflow_url
        The address of MLflow's pages.

    Returns
    -------
    What the file now contains.
    """
    chosen, earlier = settings.server_password, read_access()
    if chosen is not None:
        password = chosen.get_secret_value()
    else:
        password = earlier.password if earlier else secrets.token_hex(16)
    access, path = ServerAccess(prefect_api_url, password, mlflow_url), access_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # a program that has the old file open must not read the new password
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(access), file)
    return access


def read_access() -> ServerAccess | None:
    """Return what the file contains; None without a file, or if it cannot be used."""
    with suppress(OSError, ValueError, TypeError):
        return ServerAccess(**json.loads(access_file().read_text()))
    return None


def use_running_server() -> None:
    """Set the variables of the server of ``ectopy up``, if it runs; call this before Prefect is imported."""
    access = read_access()
    chosen = os.environ.get("PREFECT_API_URL")
    if access and chosen in {None, access.prefect_api_url} and access.answers():
        os.environ |= access.client_environment()


def use_own_home(home: Path) -> None:
    """Set the variables for a Prefect of one's own in a folder; call this before Prefect is imported.

    Parameters
    ----------
    home
        The folder of Prefect's database.
    """
    for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_DATABASE_CONNECTION_URL"):
        os.environ.pop(name, None)
    home.mkdir(parents=True, exist_ok=True)  # Prefect makes one level only, and cannot start without
    os.environ["PREFECT_HOME"] = str(home.absolute())
