"""The guard of web pages: who is let in, and what a page may contact. The server behind it is a toy."""

import base64

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket

from ectopy.guard import ENTRANCE, guarded

PASSWORD = "a-password-of-a-test"
HERE, SOCKET = "http://127.0.0.1:4200", "ws://127.0.0.1:4200/socket"


def client(password: str | None = PASSWORD) -> TestClient:
    async def accept(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    async def hello(_request: object) -> PlainTextResponse:
        return PlainTextResponse("hello")

    routes = [Route(path, hello, methods=["GET", "POST"]) for path in ("/", "/health")]
    app = Starlette(routes=[*routes, WebSocketRoute("/socket", accept)])
    return TestClient(guarded(app, ["127.0.0.1", "localhost"], password, "/health"), base_url=HERE)


def basic(user_and_password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(user_and_password.encode()).decode()}"}


RIGHT = basic(f"ectopy:{PASSWORD}")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic(f"other:{PASSWORD}"),
        basic("ectopy:"),
        basic("ectopy:None"),
        {"Authorization": "Basic"},
        {"Authorization": "Basic \u00e9".encode("latin-1")},
        {"Cookie": "ectopy-4200=wrong"},
        {"Cookie": "ectopy-4200="},
        {"Cookie": f"ectopy-5000={PASSWORD}"},
        {"Cookie": "=;;\x01"},
    ],
)
def test_without_the_password_nothing_is_answered(headers: dict) -> None:
    answer = client().get("/", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert "hello" not in answer.text


@pytest.mark.parametrize("headers", [RIGHT, {"Cookie": f"x=1; ectopy-4200={PASSWORD}"}])
def test_a_program_and_a_browser_with_the_password_are_let_in(headers: dict) -> None:
    assert client().get("/", headers=headers).text == "hello"


def test_the_health_check_needs_no_password_and_its_neighbours_do() -> None:
    assert client().get("/health").text == "hello"
    for path in ("/health/", "//health", "/x/health", "/health/../"):
        assert client().get(path).status_code == 401


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "", "http://127.0.0.1:8888", "http://127.0.0.1", "http://localhost:4200"],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_page_of_another_site_is_refused_even_with_the_password(origin: str, method: str) -> None:
    answer = client().request(method, "/", headers={**RIGHT, "Origin": origin})
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("headers", [{"Origin": "http://["}, {"Host": "127.0.0.1:99999999"}])
@pytest.mark.parametrize("path", ["/", ENTRANCE])
def test_an_address_that_is_none_is_refused_and_no_error_of_the_server(headers: dict, path: str) -> None:
    assert client().get(path, headers=headers | RIGHT).status_code == 403


def test_its_own_page_may_use_it() -> None:
    assert client().post("/", headers={**RIGHT, "Origin": HERE}).text == "hello"


@pytest.mark.parametrize("host", ["evil.example", "10.evil.example:4200", "127.0.0.1.evil.example", ""])
def test_a_name_that_was_made_to_point_here_is_refused(host: str) -> None:
    for path in ("/", "/health", ENTRANCE):
        assert client().get(path, headers={**RIGHT, "Host": host}).status_code == 400


@pytest.mark.parametrize(
    "headers", [{}, {**RIGHT, "Origin": "http://evil.example"}, {**RIGHT, "Host": "evil"}]
)
def test_a_websocket_is_refused_in_the_same_way(headers: dict) -> None:
    with pytest.raises(WebSocketDenialResponse), client().websocket_connect(SOCKET, headers=headers):
        pytest.fail("it was accepted")


def test_a_websocket_with_the_password_is_accepted() -> None:
    with client().websocket_connect(SOCKET, headers=RIGHT) as socket:
        assert socket.receive_text() == "hello"


def test_a_server_with_a_password_of_its_own_is_guarded_from_other_sites_only() -> None:
    assert client(None).get("/").text == "hello"
    assert client(None).get("/", headers={"Origin": "http://evil.example"}).status_code == 403


def test_no_page_may_contact_another_host() -> None:
    for answer in (client().get("/", headers=RIGHT), client().get(ENTRANCE), client().get("/")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "http" not in policy


def test_the_link_s_page_contains_no_password_and_nothing_of_the_request() -> None:
    page = client().get(f"{ENTRANCE}?<script>x</script>").text
    assert PASSWORD not in page
    assert "x</script>" not in page
