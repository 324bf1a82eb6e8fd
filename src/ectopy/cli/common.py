"""Shared parts of the commands: options, settings, messages."""

import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ectopy.printable import PrintableFormatter, printable, printable_lines

if TYPE_CHECKING:
    from ectopy.settings import Settings

DataDir = Annotated[
    Path | None, typer.Option(help="Folder of databases and models. [env: ECTOPY_DATA_DIR, else data]")
]
Records = Annotated[str | None, typer.Option(help="Only these records, such as 100,101.")]


def show_version(wanted: bool) -> None:
    """Print the version and end, if it is wanted."""
    if wanted:
        print(f"ectopy {version('ectopy')}")
        raise typer.Exit


def configure_logging() -> None:
    """Show warnings of all libraries and the progress of ectopy on stderr."""
    # A library must not choose its log level. The command may: here it is the user of the library.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("ectopy").setLevel(logging.INFO)


def load_settings(data_dir: Path | None) -> "Settings":
    """Read the settings; the option ``--data-dir`` overrides the environment."""
    from ectopy.settings import load_settings as load

    settings = load()
    return settings.model_copy(update={"data_dir": data_dir}) if data_dir else settings


def prepare_prefect(own_home: Path | None = None) -> None:
    """Silence Prefect and MLflow, and choose the Prefect server; call this before either is imported.

    Parameters
    ----------
    own_home
        A folder for everything that Prefect keeps. By default runs go to the server of ``ectopy up``, if it
        runs, else to a temporary server on the same database.
    """
    from ectopy.flows.quiet_logging import quiet_logging
    from ectopy.flows.server_access import use_own_home, use_running_server

    quiet_logging()
    if own_home:
        use_own_home(own_home)
    else:
        use_running_server()


def split_names(text: str | None) -> tuple[str, ...] | None:
    """Split names separated by commas; None, which means all, stays None."""
    if not text:
        return None
    if not (names := tuple(name.strip() for name in text.split(",") if name.strip())):
        raise typer.BadParameter(f"{text!r} names nothing. Give names separated by commas.")
    return names


def print_message(message: str) -> None:
    """Print a message as one line to stderr; stdout is for results."""
    print(printable(message), file=sys.stderr, flush=True)


def print_messages(*texts: str) -> None:
    """Print texts of one line or more to stderr."""
    for text in texts:
        for line in text.splitlines():
            print_message(line)


def print_result(text: object) -> None:
    """Print the result of a command, of one line or more, to stdout."""
    print(printable_lines(text), flush=True)


def fail(message: str, status: int) -> NoReturn:
    """Print an error as one line to stderr and end with a status."""
    print_message(f"ectopy: {' '.join(message.split())}")
    sys.exit(status)
