"""Guard of web pages on this machine: no other site may use them, or be contacted by them.

A page of any site in the browser of a user can send requests to 127.0.0.1. So a server on that address needs

* a check of the header ``Host``: a site can let its own name point to 127.0.0.1 (DNS rebinding);
* a check of the header ``Origin``: it names the site whose page sends the request;
* a password, because programs of other users on this machine send neither.
"""

import base64
import hmac
from collections.abc import Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

USER = "ectopy"
ENTRANCE = "/enter"
"""A link to this path with the password after ``#`` logs a browser in. It never sends that part anywhere."""
_HEADERS = {
    # A page may load from its own server and contact nothing else: no analytics, no fonts, no pictures.
    "content-security-policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "frame-ancestors 'self'; form-action 'self'; base-uri 'self'",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
# Prefect's pages keep the password in the local storage; the cookie is for the guard itself. MLflow's pages
# keep there that they show trainings and not chat bots, and that the panel of their assistant need not open.
_ENTRANCE_PAGE = """<!doctype html><title>ectopy</title><script>
const password = location.hash.slice(1);
localStorage.setItem("prefect-password", btoa("%s:" + password));
localStorage.setItem("mlflow.workflowType_v1", '"machine_learning"');
localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
document.cookie = "%s=" + password + "; path=/; SameSite=Strict";
location.replace("/");
</script>"""


def guarded(app: ASGIApp, hosts: Sequence[str], password: str | None = None, open_path: str = "") -> ASGIApp:
    """Return a server behind the guard.

    Parameters
    ----------
    app
        The server, an ASGI application.
    hosts
        The names by which it may be addressed, without port.
    password
        The password, if the server does not ask for one itself.
    open_path
        The path of the health check, which needs no password.

    Returns
    -------
    The ASGI application to run.
    """
    return TrustedHostMiddleware(Guard(app, password, open_path), list(hosts), www_redirect=False)


class Guard:
    """ASGI middleware that refuses requests of other sites, and requests without the password."""

    def __init__(self, app: ASGIApp, password: str | None, open_path: str) -> None:
        self.app, self._password, self._open_path = app, password, open_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        answer = None if scope["type"] == "lifespan" else self._answer(scope)
        await (answer or self.app)(scope, receive, send_with_headers)

    def _answer(self, scope: Scope) -> Response | None:
        headers, path = Headers(scope=scope), scope["path"]
        if not _is_own(headers):
            return PlainTextResponse("A page of another site may not use this server.", 403)
        if path == ENTRANCE:
            return HTMLResponse(_ENTRANCE_PAGE % (USER, _cookie_name(headers)))
        if self._password and path != self._open_path and not self._knows_password(headers):
            return PlainTextResponse(
                "Password needed. Open the link that `ectopy up` has printed.",
                401,
                {"www-authenticate": f'Basic realm="{USER}"'},
            )
        return None

    def _knows_password(self, headers: Headers) -> bool:
        authorization, password = basic_authorization(f"{USER}:{self._password}"), str(self._password)
        return _equal(headers.get("authorization", ""), authorization) or _equal(_cookie(headers), password)


def basic_authorization(user_and_password: str) -> str:
    """Return the value of the header ``Authorization`` for ``user:password``."""
    return f"Basic {base64.b64encode(user_and_password.encode()).decode()}"


def _equal(given: str, secret: str) -> bool:
    """Compare in a time that does not depend on how much is right."""
    return hmac.compare_digest(given.encode(), secret.encode())


def _is_own(headers: Headers) -> bool:
    """Check that no page of another site asks, and that the address has a valid port."""
    origin, host = headers.get("origin"), headers["host"]
    try:
        _ = urlsplit(f"//{host}").port
        return origin is None or urlsplit(origin).netloc == host
    except ValueError:
        return False


def _cookie_name(headers: Headers) -> str:
    """Return a name with the port: browsers send a cookie to every port of a host."""
    return f"{USER}-{urlsplit('//' + headers['host']).port}"


def _cookie(headers: Headers) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(_cookie_name(headers))
    except (CookieError, ValueError):
        return ""
    return morsel.value if morsel else ""
