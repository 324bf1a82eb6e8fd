"""The command ``ectopy``: parse, call, print.

Every command imports what it needs inside, so that ``--help`` answers at once.
"""

import logging
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from ectopy.batch.planning import ScoreOptions
    from ectopy.batch.results import SummaryRow
    from ectopy.registry.promotion import Change
    from ectopy.settings import Settings

app = typer.Typer(
    name="ectopy",
    help="Find, classify and report irregular heartbeats in ECG recordings. "
    "For research: not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

models = typer.Typer(
    help="Which version of the model is in use: list, promote, rollback.", no_args_is_help=True
)
app.add_typer(models, name="models")

# Errors of ours that mean wrong usage; by name, as importing them would cost --help half a second.
_WRONG_USAGE = {
    "SettingsError",
    "NothingToScoreError",
    "UnknownDatabaseError",
    "NothingToCompareError",
    "UnknownArchitectureError",
}
_PIPELINE = {"keras", "jax", "jax2onnx", "mlflow", "onnx", "prefect", "psutil", "sklearn"}

DataDir = Annotated[
    Path | None, typer.Option(help="Where databases and models lie. [env: ECTOPY_DATA_DIR, else data]")
]

ModelName = Annotated[str, typer.Option("--model", help="Name of the registered model.")]


class BeatMap(StrEnum):
    """The two AAMI maps in use: they differ in the escape beats e, j, n."""

    EC57 = "ec57"
    DECHAZAL = "dechazal"


class TableFormat(StrEnum):
    """How ``ec57`` prints: its own table, or the lines of a reference tool."""

    TABLE = "table"
    BXB = "bxb"
    RXR = "rxr"
    EPICMP = "epicmp"


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"ectopy {version('ectopy')}")
        raise typer.Exit


@app.callback()
def _common(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    # The level of a library is the user's to set; the command is its user here, and speaks for ours alone.
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("ectopy").setLevel(logging.INFO)


@app.command()
def ingest(
    database: Annotated[str, typer.Argument(help="A PhysioNet database, such as mitdb.")],
    source: Annotated[
        str | None, typer.Option(help="Base address or directory. [env: ECTOPY_SOURCE]")
    ] = None,
    data_dir: DataDir = None,
    records: Annotated[str | None, typer.Option(help="Only these, such as 100,101.")] = None,
) -> None:
    """Bring a PhysioNet database here, every file checked."""
    from ectopy.datasets.catalogue import find_database

    find_database(database)  # a misspelt name is said before Prefect is up
    settings = _settings(data_dir)
    _quiet_prefect()
    from ectopy.flows.ingest import IngestError
    from ectopy.flows.ingest import ingest as flow

    try:
        print(flow(database, source or settings.source, settings.data_dir, _names(records)))
    except IngestError as error:
        _say("\n".join(error.failures))
        raise typer.Exit(1) from error


@app.command()
def train(
    database: Annotated[str, typer.Option(help="The database to learn from.")] = "mitdb",
    data_dir: DataDir = None,
) -> None:
    """Train a challenger and register it in MLflow."""
    _quiet_prefect()
    from ectopy.flows.train import train as flow

    print(flow(database, _settings(data_dir).data_dir).uri)


@app.command()
def evaluate(
    database: Annotated[str, typer.Option(help="The database with held-out patients.")] = "mitdb",
    data_dir: DataDir = None,
    why: Annotated[
        str, typer.Option(help="Why the held-out patients are looked at; kept with the figures.")
    ] = "a challenger was trained",
    card_to: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the model card there: model-card.md, strips in model-card/."),
    ] = None,
) -> None:
    """Judge the challenger by EC57; promote it or say why not."""
    _quiet_prefect()
    from ectopy.flows.evaluate import evaluate as flow

    verdict = flow(database, _settings(data_dir).data_dir, why=why, card_to=card_to)
    print(f"{verdict.report}\n{'promoted' if verdict.promoted else 'not promoted'}: {verdict.reason}")


@app.command()
def score(  # noqa: PLR0913, PLR0917 - one parameter an option
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Recordings, directories or globs.")],
    out: Annotated[Path, typer.Option(help="Where results go.")],
    model: Annotated[
        str | None,
        typer.Option(help="Model directory, or models:/NAME@ALIAS. [default: champion, else shipped]"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes. [env: ECTOPY_WORKERS, else all cores]")
    ] = None,
    fs: Annotated[
        float | None, typer.Option(min=1.0, metavar="HZ", help="Sampling rate of formats that carry none.")
    ] = None,
    leads: Annotated[str | None, typer.Option(help="Leads to analyse, such as II,V1.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Score again what is already done.")] = False,
    fhir: Annotated[
        bool, typer.Option("--fhir", help="Write fhir.json too: FHIR R4, preliminary. Needs ectopy[fhir].")
    ] = False,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Write each report as report.pdf too. Needs ectopy[pdf].")
    ] = False,
    runner: Annotated[
        str | None,
        typer.Option(help="By Prefect on dask, or on the Dask at an address. Needs ectopy[dask]."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Score recordings: beats, events and a report for each."""
    from ectopy.parallel.blas_threads import limit_blas_threads

    limit_blas_threads()
    from ectopy.batch import planning
    from ectopy.batch.pseudonyms import from_salt

    settings = _settings(data_dir)
    found = planning.search(paths, out, fs)
    _require_libraries(fhir=fhir, pdf=pdf)
    how = planning.ScoreOptions(
        planning.find_model(model, settings.data_dir),
        _names(leads) or (),
        fs,
        force=force,
        fhir=fhir,
        pdf=pdf,
        pseudonyms=from_salt(settings.pseudonym_salt),
    )
    _say(f"model: {planning.load_model(how.model).name}, {planning.model_source(how.model)}")
    if runner:
        rows = _score_on(runner, paths, out, how, workers)
    else:
        rows = _score_here(found.recordings, out, how, workers or settings.workers)
    _print_batch(out, rows, found.n_other)
    if any(row["status"] == "failed" for row in rows):
        raise typer.Exit(1)


def _require_libraries(*, fhir: bool, pdf: bool) -> None:
    if fhir:
        from ectopy.report.fhir import require_library

        require_library()
    if pdf:
        from ectopy.report.pdf import require_weasyprint

        require_weasyprint()


def _score_here(
    recordings: Sequence[Path], out: Path, how: "ScoreOptions", workers: int
) -> "list[SummaryRow]":
    from ectopy.batch import planning, results
    from ectopy.batch import runner as batch

    rows: list[SummaryRow] = []
    with results.lock_output(out):
        jobs = planning.plan(recordings, out, how)
        try:
            rows.extend(_with_progress(batch.run(jobs, workers=workers), len(jobs)))
        finally:  # what is done is done, also when the run is broken off
            results.write_summary(out, rows)
    return rows


def _score_on(
    runner: str, paths: list[str], out: Path, how: "ScoreOptions", workers: int | None
) -> "list[SummaryRow]":
    if how.fhir or how.pdf:
        _fail("--runner writes neither FHIR nor PDF", 2)
    _quiet_prefect()
    try:
        import prefect_dask  # noqa: F401 - said before anything is scored
    except ImportError:
        _fail("--runner needs prefect-dask: pip install 'ectopy[dask]'", 1)
    from ectopy.flows.score import score as flow
    from ectopy.flows.task_runners import one_server

    with one_server():
        return flow(
            paths,
            out,
            model=str(how.model),
            leads=how.leads,
            fs=how.fs,
            force=how.force,
            runner=runner,
            workers=workers,
        )


@app.command()
def ec57(  # noqa: PLR0913, PLR0917
    reference: Annotated[Path, typer.Option(help="Directory of the reference annotations.")],
    test: Annotated[Path, typer.Option(help="Directory of the annotations to be judged.")],
    annotator: Annotated[str, typer.Option(help="Suffix of the annotations to be judged.")],
    reference_annotator: Annotated[str, typer.Option(help="Suffix of the reference annotations.")] = "atr",
    records: Annotated[str | None, typer.Option(help="Only these, such as 100,101.")] = None,
    beat_map: Annotated[
        BeatMap, typer.Option("--map", help="dechazal counts the escape beats e, j, n as N.")
    ] = BeatMap.EC57,
    table_format: Annotated[
        TableFormat, typer.Option("--format", help="The lines of a reference tool, and nothing else.")
    ] = TableFormat.TABLE,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every count here.")] = None,
) -> None:
    """Judge annotations against a reference as ANSI/AAMI EC57 demands."""
    from json import dumps

    from ectopy.ec57 import as_json, compare_directories, text

    compared = compare_directories(
        reference,
        test,
        annotator,
        reference_annotator=reference_annotator,
        records=_names(records),
        beat_map=beat_map.value,
    )
    if json:
        json.write_text(dumps(as_json(compared, beat_map=beat_map.value), indent=1) + "\n", encoding="utf-8")
    print(text(compared, table_format.value, beat_map=beat_map.value), end="")


@app.command()
def simulate(
    out: Annotated[Path, typer.Option(help="Where the recordings go.")],
    recordings: Annotated[int, typer.Option(min=1)] = 10,
    minutes: Annotated[float, typer.Option(min=0.1)] = 30.0,
    seed: int = 0,
) -> None:
    """Write simulated recordings whose every beat is known.

    OUT can be scored, and is a --source of the database simdb.
    """
    from ectopy.datasets.simulate import simulate_database

    print(simulate_database(out, recordings=recordings, minutes=minutes, seed=seed))


@app.command()
def compare(  # noqa: PLR0913, PLR0917
    database: Annotated[str, typer.Option(help="The database to learn from.")] = "mitdb",
    data_dir: DataDir = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds each kind is given.")] = 3,
    architectures: Annotated[
        str | None, typer.Option(help="Only these, such as gru,lstm. [default: all six]")
    ] = None,
    lengths: Annotated[
        str, typer.Option(help="Beats a sequence that the GRU also learns from; '' for none.")
    ] = "16,32,64,128,256",
    out: Annotated[Path | None, typer.Option(help="Where the page and its figure go, too.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Hardly train: shows that it works, not which is better.")
    ] = False,
) -> None:
    """Compare kinds of networks on the same data and budget.

    RNN, GRU, LSTM, GRU + attention, Transformer, no recurrence; by cross-validation on training patients.
    """
    beats = _counts("--lengths", lengths)
    _quiet_prefect()
    from ectopy.ablation import ARCHITECTURES
    from ectopy.flows.compare import QUICK
    from ectopy.flows.compare import compare as flow

    kinds = _names(architectures) or tuple(ARCHITECTURES)
    config = QUICK if quick else None
    print(flow(database, _settings(data_dir).data_dir, seeds, kinds, beats, config, out))


@models.command("list")
def models_list(model: ModelName = "ectopy", data_dir: DataDir = None) -> None:
    """List the versions, the newest first: out-of-fold figures, and what became of each."""
    from ectopy.batch import planning
    from ectopy.evaluation.model_card import markdown
    from ectopy.registry import promotion

    settings = _registry(data_dir)
    table = promotion.version_table(model)
    print(markdown(table) if table else f"{model}: no version yet; `ectopy train` makes one")
    used = planning.find_model(None, settings.data_dir)
    print(f"in use here: {planning.load_model(used).name}, {planning.model_source(used)}")


@models.command("promote")
def models_promote(
    version: Annotated[str, typer.Argument(help="Number of the version.")],
    why: Annotated[str, typer.Option(help="Why, against or before the gate; kept on the version.")],
    model: ModelName = "ectopy",
    data_dir: DataDir = None,
) -> None:
    """Let a version be the champion, whatever the gate says."""
    from ectopy.registry import model_versions, promotion

    settings = _registry(data_dir)
    chosen = model_versions.version_by_number(model, version)
    _print_change(promotion.promote(chosen, data_dir=settings.data_dir, decided_by="hand", reason=why))


@models.command("rollback")
def models_rollback(
    why: Annotated[str, typer.Option(help="Why; kept on both versions.")],
    model: ModelName = "ectopy",
    data_dir: DataDir = None,
) -> None:
    """Let the champion before be champion again."""
    from ectopy.registry import promotion

    settings = _registry(data_dir)
    _print_change(promotion.rollback(model, data_dir=settings.data_dir, reason=why))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("ectopy-demo"),
) -> None:
    """Walk the whole road offline, on simulated patients.

    Ingest, train, evaluate, promote, score, report.
    """
    _say(f"everything goes to {out}; loading takes a moment")
    _quiet_prefect()
    from ectopy.flows.demo import demo as flow

    print(flow(out))


def _registry(data_dir: Path | None) -> "Settings":
    from ectopy.registry import model_versions

    settings = _settings(data_dir)
    model_versions.connect_registry(settings.tracking_uri)
    return settings


def _print_change(change: "Change") -> None:
    before = f", in place of {change.previous.number}" if change.previous not in {None, change.current} else ""
    print(f"champion: {change.current.uri}{before}")


@app.command()
def pseudonym(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Recordings, without suffix.")],
) -> None:
    """Tell what recordings are called where the setting ECTOPY_PSEUDONYM_SALT makes them nameless."""
    from ectopy.batch.pseudonyms import from_salt

    if not (pseudonyms := from_salt(_settings(None).pseudonym_salt)):
        _fail("a salt expected in ECTOPY_PSEUDONYM_SALT, none there", 2)
    print("\n".join(f"{pseudonyms.of(name)}\t{name}" for name in names))


@app.command()
def up(
    prefect_port: Annotated[int, typer.Option(min=1, max=65535, help="Where Prefect's pages are.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="Where MLflow's pages are.")] = 5000,
    data_dir: DataDir = None,
) -> None:
    """Run Prefect, a worker and MLflow on this machine, and the flows on their schedule.

    In a clone of ectopy. Everything listens on 127.0.0.1 alone. Ctrl-C ends all of it.
    """
    from ectopy.flows.local_stack import Ports
    from ectopy.flows.local_stack import run_local_stack as run_all

    run_all(_settings(data_dir), Ports(prefect_port, mlflow_port), Path.cwd())


def _quiet_prefect() -> None:
    from ectopy.flows.quiet_logging import quiet_logging

    quiet_logging()


def _settings(data_dir: Path | None) -> "Settings":
    from ectopy.settings import load_settings

    settings = load_settings()
    return settings.model_copy(update={"data_dir": data_dir}) if data_dir else settings


def _with_progress(rows: Iterable["SummaryRow"], total: int) -> Iterator["SummaryRow"]:
    """Show a bar on a terminal, else a line a recording; failures are said in both."""
    if not sys.stderr.isatty():
        for row in rows:
            _say(_line(row))
            yield row
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("scoring", total=total)
        for row in rows:
            progress.advance(task)
            if row["status"] == "failed":
                progress.console.print(_line(row), markup=False, highlight=False, soft_wrap=True)
            yield row


def _line(row: "SummaryRow") -> str:
    return ": ".join(str(row[column]) for column in ("recording", "status", "reason") if row[column])


def _print_batch(out: Path, rows: Sequence["SummaryRow"], n_other: int) -> None:
    if n_other:
        _say("1 other file is no recording" if n_other == 1 else f"{n_other} other files are no recordings")
    counts = sorted(Counter(str(row["status"]) for row in rows).items())
    told = ", ".join(f"{number} {status}" for status, number in counts)
    print(f"{len(rows)} recording{'' if len(rows) == 1 else 's'}: {told}")
    print(out / "summary.csv", out / "index.html", sep="\n")


def _names(listed: str | None) -> tuple[str, ...] | None:
    """Split what is separated by commas; None, which means all, stays None."""
    return tuple(name.strip() for name in listed.split(",") if name.strip()) if listed else None


def _counts(option: str, listed: str) -> tuple[int, ...]:
    """Read whole numbers above zero, separated by commas."""
    names = _names(listed) or ()
    if wrong := [name for name in names if not name.isdecimal() or int(name) < 1]:
        raise typer.BadParameter(
            f"whole numbers above 0 expected, {', '.join(wrong)} came", param_hint=option
        )
    return tuple(int(name) for name in names)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``ectopy``; what a user can mend is one line on stderr, never a traceback."""
    try:
        app(args=arguments, prog_name="ectopy")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _PIPELINE:
            raise
        _fail(f"{error.name} is not installed: this needs `pip install 'ectopy[pipeline]'`", 1)
    except ValueError as error:
        if type(error).__module__.partition(".")[0] != "ectopy":
            raise  # not an error of ours: a bug, which deserves its traceback
        _fail(str(error), 2 if type(error).__name__ in _WRONG_USAGE else 1)
    except OSError as error:
        _fail(str(error), 2 if isinstance(error, FileNotFoundError) else 1)
    sys.exit(0)


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _fail(message: str, status: int) -> NoReturn:
    _say(f"ectopy: {' '.join(message.split())}")
    sys.exit(status)
