"""The review pages as a local web application.

Pages and modules are files of this package. All else is under ``/api/``: JSON, and bytes where there are many
numbers. Nothing is changed but the log of edits, and what confirming writes.
"""

import errno
import json
import re
import socket
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ectopy.batch.results import BusyError
from ectopy.batch.reviews import CONFIRMED, has_files
from ectopy.ecg import NotAnalysableError, UnreadableError
from ectopy.review.desk import Desk, UnknownRecordingError
from ectopy.review.documents import (
    asked_bytes,
    beats_bytes,
    changes_document,
    clusters_document,
    decisions_document,
    logged_label,
    recording_document,
    shapes_bytes,
)
from ectopy.review.edits import EditError, LabelSimilar
from ectopy.review.guard import Guard, TooLargeError
from ectopy.review.log import DamagedLogError, EditConflictError
from ectopy.review.open_review import OpenReview
from ectopy.review.recordings import ResultError
from ectopy.review.signals import envelope
from ectopy.rhythm.wording import count

INITIALS = re.compile(r"[^\W_][\w .\-]{0,19}")
"""What a reader may be called: up to 20 letters, digits, spaces, dots and hyphens."""
LONGEST_REVIEW_S = 30 * 86_400
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""The report has its styles in itself, and no script."""
_STATUS = {
    UnknownRecordingError: 404,
    EditConflictError: 409,
    DamagedLogError: 409,
    BusyError: 409,
    ResultError: 409,
    TooLargeError: 413,
    EditError: 422,
    NotAnalysableError: 422,
    UnreadableError: 422,
    OSError: 507,
}


_FULL = "the disk is full. Free some space and go on"
_NOT_WRITABLE = "the folder of results cannot be written to. Allow that and go on"
_WHY = dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _FULL) | dict.fromkeys(
    (errno.EROFS, errno.EACCES, errno.EPERM), _NOT_WRITABLE
)
"""Why an edit was not saved, and the remedy, by the number of the error; no path of this machine is told."""


def create_app(  # noqa: PLR0913 - each has a default
    out: Path,
    token: str,
    *,
    port: int,
    by: str = "",
    follows: bool = True,
    originals: Path | None = None,
) -> Starlette:
    """Return the application.

    Parameters
    ----------
    out
        The folder of results, as ``ectopy score`` wrote it.
    token
        Secret that the address must have once.
    port
        Port of this machine on which it answers.
    by
        Initials of the reader, if they are known.
    follows
        Whether beats that nobody has labelled follow the answers on similar beats.
    originals
        A folder of originals, if they are not where they were scored.

    Returns
    -------
    An ASGI application.
    """
    desk = Desk(out, follows=follows, originals=originals)
    api = _Api(desk, by)
    pages = Path(str(resources.files("ectopy.review").joinpath("pages")))
    one = "/api/recordings/{name}"
    routes = [
        Route("/", lambda _request: FileResponse(pages / "index.html")),
        Route("/api/recordings", api.recordings),
        Route(one, api.recording),
        Route(f"{one}/beats", api.beats),
        Route(f"{one}/signal", api.signal),
        Route(f"{one}/clusters", api.clusters),
        Route(f"{one}/clusters", api.rearrange, methods=["POST"]),
        Route(f"{one}/clusters/shapes", api.shapes),
        Route(f"{one}/decisions", api.decisions),
        Route(f"{one}/decisions/beats", api.asked),
        Route(f"{one}/changes", api.changes),
        Route(f"{one}/changed", api.changed),
        Route(f"{one}/report", api.report),
        *(
            Route(f"{one}/{what}", partial(api.change, what), methods=["POST"])
            for what in ("edits", "undo", "redo", "confirm", "reopen")
        ),
        Mount("/static", StaticFiles(directory=pages / "static")),
    ]
    hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, token=token, hosts=hosts)],
        exception_handlers=dict.fromkeys(_STATUS, _explain),
    )
    app.state.desk = desk
    return app


def serve(  # noqa: PLR0913 - each has a default
    out: Path,
    sockets: socket.socket,
    token: str,
    *,
    by: str = "",
    follows: bool = True,
    originals: Path | None = None,
) -> None:
    """Answer on a socket until the process is interrupted.

    Parameters
    ----------
    out, token, by, follows, originals
        As for :func:`create_app`.
    sockets
        A socket that is bound to a port of 127.0.0.1.
    """
    import uvicorn

    app = create_app(out, token, port=sockets.getsockname()[1], by=by, follows=follows, originals=originals)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # addresses have names of recordings
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=3,
    )
    count = app.state.desk.count_in_background()
    try:
        uvicorn.Server(config).run(sockets=[sockets])
    finally:
        count.stop()


class _Api:
    """The answers to what the pages ask. All that computes or reads a file runs in a thread."""

    def __init__(self, desk: Desk, by: str) -> None:
        self._desk = desk
        self._by = by

    def recordings(self, _request: Request) -> Response:
        return JSONResponse({"recordings": self._desk.rows(), "by": self._by})

    def recording(self, request: Request) -> Response:
        review = self._review(request)
        review.refresh()
        return JSONResponse(recording_document(review))

    def beats(self, request: Request) -> Response:
        return _bytes(beats_bytes(self._review(request)))

    def signal(self, request: Request) -> Response:
        start, stop, step = (_whole(request, name) for name in ("start", "stop", "step"))
        analysis = self._review(request).stored.analysis
        return _bytes(
            envelope(analysis.recording, analysis.columns, start, stop, step).astype("<f4").tobytes()
        )

    def clusters(self, request: Request) -> Response:
        return JSONResponse(clusters_document(self._review(request)))

    def shapes(self, request: Request) -> Response:
        return _bytes(shapes_bytes(self._review(request)))

    def changes(self, request: Request) -> Response:
        review = self._review(request)
        state = review.refresh()
        return JSONResponse(
            {
                "last_id": state.last_id,
                "status": state.status,
                "signal": review.stored.has_signal,
                "arrangement": review.arrangement,
            }
        )

    def decisions(self, request: Request) -> Response:
        return JSONResponse({"decisions": decisions_document(self._review(request))})

    def asked(self, request: Request) -> Response:
        return _bytes(asked_bytes(self._review(request)))

    def changed(self, request: Request) -> Response:
        return JSONResponse({"changes": changes_document(self._review(request))})

    def report(self, request: Request) -> Response:
        review = self._review(request)
        stored, entry = review.stored, review.refresh().history.confirmed
        is_confirmed = entry is not None and has_files(stored.review_folder, entry.at)
        path = stored.review_folder / CONFIRMED if is_confirmed else stored.out / stored.name
        path /= "report.html"
        return FileResponse(path, headers={"content-security-policy": REPORT_POLICY})

    async def rearrange(self, request: Request) -> Response:
        body = await _body(request)
        numbers = await run_in_threadpool(lambda: _rearrange(self._review(request), body))
        return JSONResponse({"numbers": numbers})

    async def change(self, what: str, request: Request) -> Response:
        body = await _body(request)
        return await run_in_threadpool(lambda: self._change(what, self._review(request), body))

    def _change(self, what: str, review: OpenReview, body: dict[str, Any]) -> Response:
        by, last_id = body.pop("by", None), body.pop("last_id", None)
        if not (isinstance(by, str) and INITIALS.fullmatch(by)):
            raise EditError("Who edits? Give initials of up to 20 letters and digits.")
        if type(last_id) is not int or last_id < 0:
            raise EditError("last_id: give a whole number from 0 on.")
        order = (
            partial(review.edit, _for_log(body))
            if what == "edits"
            else partial(review.order, what, seconds=_seconds(body))
        )
        merged = review.refresh().last_id > last_id
        order(by=by, last_id=last_id)
        said = "Another window changed this recording too. Both edits are kept." if merged else ""
        if (
            not said
            and what == "edits"
            and isinstance(similar := review.log.entries[-1].action, LabelSimilar)
        ):
            said = f"{count(len(similar.samples), 'similar beat')} followed. Z undoes both."
        return JSONResponse({"recording": recording_document(review), "said": said})

    def _review(self, request: Request) -> OpenReview:
        return self._desk.open(request.path_params["name"])


def _rearrange(review: OpenReview, body: dict[str, Any]) -> list[int]:
    """Split a cluster or some beats of it, unite some, or move beats to one; return those to look at."""
    members = body.get("members")
    if _are_whole([body.get("split")]) and (members is None or _are_whole(members)):
        return review.split(body["split"], None if members is None else np.array(members, dtype=np.int64))
    if _are_whole(body.get("unite")) and _are_whole([body.get("to")]):
        review.unite(body["unite"], body["to"])
    elif _are_whole(body.get("samples")) and _are_whole([body.get("to")]):
        review.move(np.array(body["samples"], dtype=np.int64), body["to"])
    else:
        raise EditError("clusters: give whole numbers.")
    return [body["to"]]


def _are_whole(numbers: object) -> bool:
    """Check for a list of whole numbers that an array can hold."""
    return isinstance(numbers, list) and all(type(each) is int and abs(each) < 2**53 for each in numbers)


def _seconds(body: dict[str, Any]) -> float | None:
    """Return how long the review took, if the page says it."""
    seconds = body.get("seconds")
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds < LONGEST_REVIEW_S:
        return float(seconds)
    return None


def _for_log(body: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an edit with the letters of the log."""
    return {
        name: logged_label(value) if name in {"to", "label"} and isinstance(value, str) else value
        for name, value in body.items()
    }


async def _body(request: Request) -> dict[str, Any]:
    """Read a JSON object; a page of another server cannot send this type without asking first."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise EditError("The request is not JSON.")
    content = await request.body()
    try:
        body = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, EditError) else EditError("The request is not JSON.") from error
    if not isinstance(body, dict):
        raise EditError("The request is not a JSON object.")
    return body


def _refuse_constant(name: str) -> None:
    raise EditError(f"The request has the number {name}. Give finite numbers.")


def _whole(request: Request, name: str) -> int:
    text = request.query_params.get(name, "")
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise EditError(f"{name}: give a whole number from 0 on.")
    return int(text)


def _bytes(content: bytes) -> Response:
    return Response(content, media_type="application/octet-stream")


def _explain(_request: Request, error: Exception) -> Response:
    """Return an error as a sentence that the page can show."""
    status = next(status for kind, status in _STATUS.items() if isinstance(error, kind))
    text = str(error)
    if isinstance(error, TooLargeError):
        text = "The request is too large."
    if isinstance(error, OSError):
        text = f"Nothing was saved: {_WHY.get(error.errno or 0, error.strerror or 'the disk failed')}."
    return JSONResponse({"error": text}, status_code=status)
