"""The command ``ectopy review``."""

import secrets
import socket
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from ectopy.cli.common import fail, print_message, print_result
from ectopy.parallel.blas_threads import limit_blas_threads
from ectopy.parallel.memory import return_memory_at_once

USUAL_PORT = 8765
"""A browser keeps theme and initials for each address, so the port is the same if it is free."""


def review(  # noqa: PLR0913, PLR0917 - the options of a command
    out: Annotated[
        Path | None,
        typer.Argument(help="Folder of results, as `ectopy score --out` wrote it.", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port on 127.0.0.1. [default: 8765, or another if it is taken]"),
    ] = None,
    by: Annotated[str, typer.Option(metavar="INITIALS", help="Your initials, kept with every edit.")] = "",
    alone: Annotated[
        bool, typer.Option("--alone", help="Relabel the beats of an answer alone; no similar beats follow.")
    ] = False,
    recordings: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder of the originals, if they were moved or have pseudonyms in OUT."
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address only; open no browser.")
    ] = False,
) -> None:
    """Review results in the browser: look at beats and events, correct them, confirm the report."""
    limit_blas_threads()
    return_memory_at_once()
    from ectopy.review.recordings import result_names
    from ectopy.review.server import INITIALS, serve

    if out is None:
        fail("Which results? Give the folder that `ectopy score` wrote, such as `ectopy review results/`.", 2)
    if by and not INITIALS.fullmatch(by):
        fail(f"--by {by}: no initials. Give up to 20 letters, digits, spaces, dots and hyphens.", 2)
    if not out.is_dir() or not result_names(out):
        fail(f"{out}: no results to review. Run `ectopy score PATH... --out {out}` first.", 2)
    if recordings is not None and not recordings.is_dir():
        fail(f"--recordings {recordings}: no folder. Give the folder with the original recordings.", 2)
    token = secrets.token_urlsafe(24)
    with bound(port, USUAL_PORT) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/?token={token}"
        print_result(address)
        print_message("Open this address in a browser. Every edit is saved at once. Ctrl-C ends the server.")
        if not no_browser:
            webbrowser.open(address)
        with suppress(KeyboardInterrupt):  # the server may also end by itself, of which no error is left
            serve(out, listening, token, by=by, follows=not alone, originals=recordings)
        print_message("closed; every edit is saved")


def bound(port: int | None, usual: int) -> socket.socket:
    """Bind a socket of this machine alone.

    Parameters
    ----------
    port
        The port that was asked for, or None.
    usual
        The port to take if it is free and none was asked for.

    Returns
    -------
    The socket, which listens.
    """
    for number in [usual, 0] if port is None else [port]:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", number))
            listening.listen()  # the browser may be faster than the server
        except OSError:
            listening.close()
        else:
            return listening
    return fail(f"--port {port}: cannot be used; another program may have it. Give another, or none.", 1)
