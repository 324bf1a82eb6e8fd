"""The command ``ectopy score``."""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ectopy.cli.common import (
    DataDir,
    fail,
    load_settings,
    prepare_prefect,
    print_message,
    print_result,
    split_names,
)
from ectopy.printable import printable

if TYPE_CHECKING:
    from ectopy.batch.planning import ScoreOptions
    from ectopy.batch.results import SummaryRow
    from ectopy.batch.search import FoundRecordings
    from ectopy.parallel.worker_pool import WorkerPool


class Unit(StrEnum):
    """Units of voltage that a user can give."""

    MILLIVOLT = "mV"
    MICROVOLT = "uV"
    VOLT = "V"
    NANOVOLT = "nV"


def score(  # noqa: PLR0913, PLR0917 - one parameter for each option
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Recordings, directories or globs.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    model: Annotated[
        str | None,
        typer.Option(help="Model directory, live, or models:/NAME@ALIAS. [default: champion, else shipped]"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of processes. [env: ECTOPY_WORKERS, else all cores]")
    ] = None,
    fs: Annotated[
        float | None,
        typer.Option(min=1.0, metavar="HZ", help="Sampling rate of files that do not state it."),
    ] = None,
    unit: Annotated[
        Unit | None, typer.Option(help="Unit of leads whose unit is missing or unknown in the file.")
    ] = None,
    leads: Annotated[str | None, typer.Option(help="Leads to analyse, such as II,V1.")] = None,
    criteria: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="TOML file of criteria, as `ectopy criteria` prints it. [env: ECTOPY_CRITERIA]",
        ),
    ] = None,
    diary: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Diary of the patient, for one recording. [default: NAME.diary.csv beside the recording]",
        ),
    ] = None,
    patients: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV of the lab: recording, name, id, birth_date, sex, indication, recorder. "
            "[env: ECTOPY_PATIENTS]",
        ),
    ] = None,
    mark_text: Annotated[
        bool,
        typer.Option(
            "--mark-text",
            help="Show what the marks of the patient say, not only when. [env: ECTOPY_MARK_TEXT]",
        ),
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep there what does not depend on the model, for another one. [env: ECTOPY_CACHE_DIR]",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Score recordings again that have results.")] = False,
    fhir: Annotated[
        bool,
        typer.Option("--fhir", help="Also write fhir.json: FHIR R4, preliminary. Needs ectopy[fhir]."),
    ] = False,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Also write each report as report.pdf. Needs ectopy[pdf].")
    ] = False,
    runner: Annotated[
        str | None,
        typer.Option(help="Run with Prefect: on 'dask', or on the Dask at an address. Needs ectopy[dask]."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Score recordings: find the beats and events of each, and write a report."""
    from ectopy.batch import planning
    from ectopy.batch import runner as batch
    from ectopy.batch.cache_folder import open_cache
    from ectopy.batch.notify import channels_of, notify_urgent
    from ectopy.batch.pseudonyms import from_salt
    from ectopy.criteria import as_text, read_criteria
    from ectopy.parallel.worker_pool import WorkerPool

    if runner and not re.fullmatch(r"local|dask|(\w+://)?\S+:\d+", runner):
        fail(f"--runner {runner}: not a runner. Give local, dask, or the address tcp://HOST:PORT.", 2)
    settings = load_settings(data_dir)
    mark_text = mark_text or settings.mark_text
    if workers:
        settings = settings.model_copy(update={"workers": workers})
    criteria, patients = criteria or settings.criteria, patients or settings.patients
    pseudonyms = from_salt(settings.pseudonym_salt)
    by_study = read_criteria(criteria)
    with WorkerPool(settings.workers, planning.limits_of(settings)) as processes:
        processes.start(batch.import_libraries)  # while this process goes on
        search = planning.search(paths, out, processes, fs)
        planning.check_diary(diary, search)
        planning.check_patients(patients, pseudonyms)
        _require_libraries(fhir=fhir, pdf=pdf)
        selected, described = processes.call(partial(planning.choose_model, model), settings.data_dir)
        options = planning.ScoreOptions(
            selected.folder,
            split_names(leads) or (),
            fs,
            force=force,
            fhir=fhir,
            pdf=pdf,
            pseudonyms=pseudonyms,
            model_source=selected.source,
            unit=unit.value if unit else None,
            criteria=by_study,
            diary=diary.absolute() if diary else None,
            mark_text=mark_text,
            patients=patients,
            cache=open_cache(cache or settings.cache_dir, settings.cache_gb),
        )
        print_message(f"model: {described}")
        if by_study.changed():
            print_message(f"criteria: {as_text(by_study)}")
        if not runner:
            rows = _score_here(search, out, options, processes)
            notify_urgent(rows, out, channels_of(settings), pseudonyms=pseudonyms is not None)
    if runner:
        rows = _score_with_prefect(runner, paths, out, options, workers, settings.data_dir, criteria, cache)
    _print_batch(out, rows, search.n_other)
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
    search: "FoundRecordings", out: Path, options: "ScoreOptions", processes: "WorkerPool"
) -> "list[SummaryRow]":
    from ectopy.batch import planning, results
    from ectopy.batch import runner as batch

    rows: list[SummaryRow] = []
    with results.lock_output(out):
        jobs = processes.call(partial(planning.plan_batch, search, out), options)
        try:
            rows.extend(_with_progress(batch.run(jobs, processes), len(jobs)))
        except BaseException:  # an interrupted run keeps its finished recordings
            results.write_summary(out, rows)
            raise
        processes.call(partial(results.write_summary, out), rows)
    return rows


def _score_with_prefect(  # noqa: PLR0913, PLR0917 - what the flow takes
    runner: str,
    paths: list[str],
    out: Path,
    options: "ScoreOptions",
    workers: int | None,
    data_dir: Path,
    criteria: Path | None,
    cache: Path | None,
) -> "list[SummaryRow]":
    if options.fhir or options.pdf:
        fail("--runner does not write FHIR or PDF. Leave --fhir and --pdf out, or score without --runner.", 2)
    prepare_prefect()
    if find_spec("prefect_dask") is None:  # reported before anything is scored
        fail("--runner: prefect-dask is not installed. Run `pip install 'ectopy[dask]'`.", 1)
    from ectopy.flows.score import score as flow
    from ectopy.flows.task_runners import one_server

    with one_server():
        return flow(
            paths,
            out,
            model=str(options.model),
            leads=options.leads,
            fs=options.fs,
            unit=options.unit,
            force=options.force,
            runner=runner,
            workers=workers,
            data_dir=data_dir,
            criteria=criteria,
            diary=options.diary,
            mark_text=options.mark_text,
            patients=options.patients,
            cache=cache,
        )


def _with_progress(rows: Iterable["SummaryRow"], total: int) -> Iterator["SummaryRow"]:
    """Show a progress bar on a terminal, else a line per recording; both show failures."""
    if not sys.stderr.isatty():
        for row in rows:
            print_message(_line(row))
            yield row
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("scoring", total=total)
        for row in rows:
            progress.advance(task)
            if row["status"] == "failed" or row["notes"]:
                progress.console.print(printable(_line(row)), markup=False, highlight=False, soft_wrap=True)
            yield row


def _line(row: "SummaryRow") -> str:
    columns = ("recording", "status", "reason", "notes")
    return ": ".join(str(row[column]) for column in columns if row[column])


def _print_batch(out: Path, rows: Sequence["SummaryRow"], n_other: int) -> None:
    if n_other:
        print_message(
            "1 other file is not a recording" if n_other == 1 else f"{n_other} other files are not recordings"
        )
    counts = sorted(Counter(str(row["status"]) for row in rows).items())
    by_status = ", ".join(f"{number} {status}" for status, number in counts)
    print_result(f"{len(rows)} recording{'' if len(rows) == 1 else 's'}: {by_status}")
    print_result(f"{out / 'summary.csv'}\n{out / 'index.html'}")
