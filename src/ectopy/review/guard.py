"""What stands before every request to the review pages: who may ask, from where, and how much.

The pages show data of patients and take orders, on an address that every program of the machine can reach.
A request needs the token that only the terminal has shown. It must name this server as its host, and must not
come from the page of another. Every answer forbids whatever the pages do not need.
"""

import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 2**24
"""Largest body of a request: the samples of a million beats fit in."""
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class TooLargeError(ValueError):
    """A body that is larger than any that the pages send."""


class Guard:
    """Middleware that answers strangers itself and lets everyone else through.

    Parameters
    ----------
    app
        What it guards.
    token
        The secret of this run of the server.
    hosts
        What may stand in the header ``Host``, such as ``127.0.0.1:8765``.
    """

    def __init__(self, app: ASGIApp, *, token: str, hosts: frozenset[str]) -> None:
        self._app = app
        self._token = token
        self._hosts = hosts
        # Cookies do not know of ports: two servers on one machine need two names.
        self._cookie = f"ectopy-review-{min(hosts).rpartition(':')[2]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] == "websocket" and self._refusal(scope):
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: status 403
            return
        if scope["type"] != "http":  # a websocket that may ask, or "lifespan"
            await self._app(scope, receive, send)
            return
        answer = self._refusal(scope) or self._entrance(scope)
        app = answer or self._app
        await app(scope, _limited(receive), _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the answer to a request that must not get further, or None."""
        headers = Headers(scope=scope)
        host, origin, length = (headers.get(name, "") for name in ("host", "origin", "content-length"))
        if host not in self._hosts:
            return _refuse(421, "This server answers under its own address only.")
        if origin and origin != f"http://{host}":
            return _refuse(403, "The page of another server must not ask here.")
        if not _is_same(self._shown(scope, headers), self._token):
            return _refuse(403, "The token is missing or wrong. Open the address that the terminal shows.")
        if length and not (length.isdecimal() and int(length) <= MOST_BYTES):
            return _refuse(413, f"The request is too large. At most {MOST_BYTES:,} bytes are read.")
        return None

    def _shown(self, scope: Scope, headers: Headers) -> str:
        """Return the token that a request shows: in the address of the entrance, else in the cookie."""
        if in_address := _token_in_address(scope):
            return in_address
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return ""
        return str(morsel.value) if morsel else ""

    def _entrance(self, scope: Scope) -> Response | None:
        """Move the token from the address to a cookie, so that it stays in no history and on no picture."""
        if not _token_in_address(scope):
            return None
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
        return answer


def _token_in_address(scope: Scope) -> str:
    if scope["path"] != "/":
        return ""
    query = parse_qs(bytes(scope["query_string"]).decode("latin-1"))
    return query.get("token", [""])[0]


def _is_same(shown: str, token: str) -> bool:
    return secrets.compare_digest(shown.encode("utf-8", "replace"), token.encode())


def _refuse(status: int, reason: str) -> Response:
    return PlainTextResponse(f"{reason}\n", status_code=status)


def _limited(receive: Receive) -> Receive:
    """Return a ``receive`` that ends a body without a stated length when it becomes too large."""
    n_bytes = 0

    async def limited() -> Message:
        nonlocal n_bytes
        message = await receive()
        n_bytes += len(message.get("body", b""))
        if n_bytes > MOST_BYTES:
            raise TooLargeError
        return message

    return limited


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers
