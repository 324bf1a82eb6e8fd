"""The command ``ectopy``: parse, call, print.

========= ================================================================================
score     score recordings
stream    analyse a running signal
review    review results in the browser
training  ingest, train, train-rhythm, train-live, evaluate, evaluate-findings, cross-database, ablation,
          log-reviews, demo
models    models list, show, promote, rollback
live      export
tools     ec57, simulate, criteria, pseudonyms, clean, up, ui
common    options, settings and messages that several commands share
========= ================================================================================

Every command imports its packages inside the function, so that ``--help`` answers at once.
"""

import errno
import os
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, NoReturn

import typer

from ectopy.cli import live, models, review, score, stream, tools, training
from ectopy.cli.common import configure_logging, fail, show_version
from ectopy.private_files import deny_others

# Names of version 0.1, still accepted, not shown in the help. To be removed in version 0.3.
_OLD_NAMES = {"why": "reason", "compare": "ablation"}

app = typer.Typer(
    name="ectopy",
    help="Find, classify and report irregular heartbeats in ECG recordings. "
    "For research: not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"token_normalize_func": lambda name: _OLD_NAMES.get(name, name)},
)

for command in (
    *(
        training.ingest,
        training.train,
        training.evaluate,
        score.score,
        stream.stream,
        review.review,
        tools.criteria,
    ),
    *(tools.ec57, tools.simulate),
    live.export,
    *(
        training.train_rhythm,
        training.train_live,
        training.evaluate_findings,
        training.cross_database,
        training.ablation,
        training.log_reviews,
    ),
    *(training.demo, tools.up, tools.ui, tools.clean),
):
    app.command()(command)
app.command("pseudonym", hidden=True)(tools.show_pseudonyms)  # the name of version 0.1
app.add_typer(tools.pseudonyms_app, name="pseudonyms")
app.add_typer(models.app, name="models")

# Errors of ectopy that mean wrong usage. They are listed by name: importing them would slow --help down.
_WRONG_USAGE = {
    "SettingsError",
    "CriteriaError",
    "DiaryError",
    "NothingToScoreError",
    "UnknownDatabaseError",
    "NothingToCompareError",
    "OptionsError",
    "TrainConfigError",
    "TrainingSourceError",
}
_REMEDIES = {
    errno.ENOENT: "Check the path; folders of a file to write must exist.",
    errno.EISDIR: "Give the name of a file.",
    errno.EACCES: "Ask for the permission, or give another path.",
    errno.EPERM: "Ask for the permission, or give another path.",
    errno.EROFS: "Give a path on a disk that can be written.",
    errno.ENOSPC: "Free some space, then run it again.",
    errno.EDQUOT: "Free some space, then run it again.",
    errno.ENAMETOOLONG: "Give a shorter name.",
}
_STORE = {"mlflow", "sqlalchemy", "sqlite3", "alembic"}
"""Packages whose errors are those of the tracking store."""
_EXTRAS = {
    **dict.fromkeys(
        ("keras", "jax", "jax2onnx", "mlflow", "onnx", "prefect", "psutil", "sklearn"), "pipeline"
    ),
    **dict.fromkeys(("starlette", "uvicorn"), "review"),
    **dict.fromkeys(("pylsl", "websockets"), "live"),
}
"""The extra that brings a package which may be missing."""


@app.callback()
def _common(
    _version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    configure_logging()
    deny_others()


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``ectopy``; an error that the user can correct is one line on stderr, without a traceback."""
    with suppress(ValueError):  # only the main thread of a process has signals
        signal.signal(signal.SIGTERM, _end)  # Python would end at once, and leave runs that seem to go on
    try:
        status = app(args=arguments, prog_name="ectopy", standalone_mode=False)
        sys.exit(status or 0)
    except ModuleNotFoundError as error:
        if (extra := _EXTRAS.get((error.name or "").partition(".")[0])) is None:
            raise
        fail(f"{error.name} is not installed. Run `pip install 'ectopy[{extra}]'`.", 1)
    except ValueError as error:
        if type(error).__module__.partition(".")[0] != "ectopy":
            raise  # not an error of ectopy: a bug, which needs its traceback
        fail(str(error), 2 if type(error).__name__ in _WRONG_USAGE else 1)
    except OSError as error:
        _fail_system(error)
    except MemoryError:
        fail("out of memory. Give less at once, or fewer workers.", 1)
    except (typer.Abort, KeyboardInterrupt):
        fail("interrupted. Run the same command again to continue.", 130)
    except Exception as error:
        if type(error).__module__.partition(".")[0] == "ectopy":  # such as a worker process that died
            fail(str(error), 1)
        _fail_of_library(error)
        raise  # a bug, which needs its traceback


def _end(*_: object) -> NoReturn:
    """End as SIGTERM asks: locks are released, worker processes end, and runs in MLflow are closed."""
    os.write(sys.stderr.fileno(), b"ectopy: ended by SIGTERM. Run the same command again to continue.\n")
    sys.exit(128 + signal.SIGTERM)


def _fail_of_library(error: Exception) -> None:
    """End with a message if an error of a library means a wrong command line or an unusable store."""
    if hasattr(error, "format_message"):
        _fail_usage(error)
    if type(error).__module__.partition(".")[0] in _STORE:
        _fail_store(error)


def _fail_system(error: OSError) -> NoReturn:
    """Print an error of the system as one line, with a remedy if its own message has none."""
    if isinstance(error, BrokenPipeError):  # as of `ectopy ec57 ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    if isinstance(error, FileExistsError | NotADirectoryError):
        fail(f"{error.filename}: a file stands where a folder should go. Give another folder.", 1)
    status = 2 if isinstance(error, FileNotFoundError) else 1
    if error.errno is None or error.strerror is None:
        fail(str(error), status)
    where = f"{error.filename}: " if error.filename else ""
    remedy = _REMEDIES.get(error.errno, "Check the path and the disk.")
    fail(f"{where}{error.strerror[:1].lower()}{error.strerror[1:]}. {remedy}", status)


def _fail_store(error: Exception) -> NoReturn:
    """Print which tracking store cannot be used; its address without a password."""
    from ectopy.settings import load_settings

    address = re.sub(r"//[^/@]*@", "//", load_settings().tracking_uri)
    if "database is locked" in str(error):
        fail(f"{address}: another process has locked the tracking store. Try again when it has ended.", 1)
    fail(
        f"{address}: the tracking store does not answer, is damaged, or lacks what was asked for. "
        "Check ECTOPY_TRACKING_URI, and restore a damaged store from a backup.",
        1,
    )


def _fail_usage(error: Any) -> NoReturn:
    """Print what is wrong with the command line as one line, or the help of a command without arguments."""
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message(), file=sys.stderr)
        sys.exit(error.exit_code)
    if type(error.__cause__).__name__ == "ValidationError":  # Typer checks values with Pydantic
        from ectopy.settings import problem_of

        error.message = problem_of(error.__cause__)
    command = error.ctx.command_path if error.ctx else "ectopy"
    fail(f"{error.format_message().rstrip('.')}. Run `{command} --help` for its options.", error.exit_code)
