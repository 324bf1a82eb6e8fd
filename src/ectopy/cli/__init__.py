"""The command ``ectopy``: parse, call, print.

========= =================================================================
score     score recordings
training  ingest, train, evaluate, ablation, demo
models    models list, promote, rollback
tools     ec57, simulate, pseudonyms, up
common    options, settings and messages that several commands share
========= =================================================================

Every command imports its packages inside the function, so that ``--help`` answers at once.
"""

import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from ectopy.cli import models, score, tools, training
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
    *(training.ingest, training.train, training.evaluate, score.score, tools.ec57, tools.simulate),
    *(training.ablation, training.demo, tools.up),
):
    app.command()(command)
app.command("pseudonym", hidden=True)(tools.show_pseudonyms)  # the name of version 0.1
app.add_typer(tools.pseudonyms_app, name="pseudonyms")
app.add_typer(models.app, name="models")

# Errors of ectopy that mean wrong usage. They are listed by name: importing them would slow --help down.
_WRONG_USAGE = {
    "SettingsError",
    "NothingToScoreError",
    "UnknownDatabaseError",
    "NothingToCompareError",
    "UnknownArchitectureError",
    "TrainConfigError",
}
_PIPELINE = {"keras", "jax", "jax2onnx", "mlflow", "onnx", "prefect", "psutil", "sklearn"}


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
    try:
        app(args=arguments, prog_name="ectopy")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _PIPELINE:
            raise
        fail(f"{error.name} is not installed. Run `pip install 'ectopy[pipeline]'`.", 1)
    except ValueError as error:
        if type(error).__module__.partition(".")[0] != "ectopy":
            raise  # not an error of ectopy: a bug, which needs its traceback
        fail(str(error), 2 if type(error).__name__ in _WRONG_USAGE else 1)
    except (FileExistsError, NotADirectoryError) as error:
        fail(f"{error.filename}: a file stands where a folder should go. Give another folder.", 1)
    except OSError as error:
        fail(str(error), 2 if isinstance(error, FileNotFoundError) else 1)
    sys.exit(0)
