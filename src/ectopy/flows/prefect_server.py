"""Prefect's server behind the guard: ``uvicorn --factory ectopy.flows.prefect_server:app``.

Prefect itself asks for the password (``PREFECT_SERVER_API_AUTH_STRING``), also in its WebSockets.
"""

from prefect.server.api.server import create_app
from starlette.types import ASGIApp

from ectopy.guard import guarded
from ectopy.settings import load_settings


def app() -> ASGIApp:
    """Return the server."""
    return guarded(create_app(final=True), load_settings().server_hosts.split(","))
