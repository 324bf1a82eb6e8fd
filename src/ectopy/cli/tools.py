"""The other commands: ``ec57``, ``simulate``, ``criteria``, ``pseudonyms show``, ``clean`` and ``up``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ectopy.cli.common import DataDir, Records, fail, load_settings, print_result, split_names
from ectopy.printable import printable

pseudonyms_app = typer.Typer(
    help="Pseudonyms of recordings, made with the setting ECTOPY_PSEUDONYM_SALT.", no_args_is_help=True
)


class BeatMap(StrEnum):
    """The two label maps in use. They differ in the escape beats e, j, n."""

    EC57 = "ec57"
    DECHAZAL = "dechazal"


class TableFormat(StrEnum):
    """Output of ``ec57``: its own table, or the lines of a reference tool."""

    TABLE = "table"
    BXB = "bxb"
    RXR = "rxr"
    EPICMP = "epicmp"


def ec57(  # noqa: PLR0913, PLR0917 - one parameter for each option
    reference: Annotated[Path, typer.Option(help="Directory of the reference annotations.")],
    test: Annotated[Path, typer.Option(help="Directory of the annotations to be evaluated.")],
    annotator: Annotated[str, typer.Option(help="Suffix of the annotations to be evaluated.")],
    reference_annotator: Annotated[str, typer.Option(help="Suffix of the reference annotations.")] = "atr",
    records: Records = None,
    beat_map: Annotated[
        BeatMap, typer.Option("--map", help="dechazal counts the escape beats e, j, n as N.")
    ] = BeatMap.EC57,
    table_format: Annotated[
        TableFormat,
        typer.Option("--format", help="Print the lines of a reference tool instead of the table."),
    ] = TableFormat.TABLE,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write every count there.")] = None,
    disclosure: Annotated[
        bool,
        typer.Option("--disclosure", help="Print the tables to disclose by IEC 60601-2-47, as Markdown."),
    ] = False,
    results: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the metrics there, as CSV."),
    ] = None,
    detector: Annotated[
        str, typer.Option(help="Name of the detector in that file. [default: the annotator]")
    ] = "",
    second: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Directory of a second annotator."),
    ] = None,
    second_annotator: Annotated[
        str, typer.Option(help="Suffix of the second annotator. [default: that of the first]")
    ] = "",
) -> None:
    """Compare annotations with a reference by the rules of ANSI/AAMI EC57."""
    from ectopy.ec57.command import Comparing, run

    comparing = Comparing(
        reference=reference,
        test=test,
        annotator=annotator,
        reference_annotator=reference_annotator,
        records=split_names(records),
        beat_map=beat_map.value,
        output_format=table_format.value,
        json=json,
        disclosure=disclosure,
        results=results,
        detector=detector,
        second=second,
        second_annotator=second_annotator,
    )
    print_result(run(comparing))


def simulate(
    out: Annotated[Path, typer.Option(help="Folder for the recordings.")],
    recordings: Annotated[int, typer.Option(min=1)] = 10,
    minutes: Annotated[
        float, typer.Option(min=0.1, max=10_080, help="Length of each; at most a week.")
    ] = 30.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Write simulated recordings with annotations of every beat.

    OUT can be scored. It can also be the --source from which `ectopy ingest simdb` copies.
    """
    from ectopy.datasets.simulate import simulate_database

    print_result(simulate_database(out, recordings=recordings, minutes=minutes, seed=seed))


def criteria(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Criteria of a study, to print with all that it leaves out."),
    ] = None,
) -> None:
    """Print the criteria by which events are named, as a TOML file to edit.

    `ectopy criteria > study.toml` writes the defaults, and `ectopy score --criteria study.toml` uses them.
    """
    from ectopy.criteria import as_toml, read_criteria

    print_result(as_toml(read_criteria(file)).removesuffix("\n"))


@pseudonyms_app.callback()
def _pseudonyms() -> None:
    """Keep ``show`` a subcommand: Typer merges a lone command into its group."""


@pseudonyms_app.command("show")
def show_pseudonyms(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Names of recordings, without suffix.")
    ],
) -> None:
    """Print the pseudonym of each recording, then a tab and its name."""
    from ectopy.batch.pseudonyms import from_salt

    if not (pseudonyms := from_salt(load_settings(None).pseudonym_salt)):
        fail("ECTOPY_PSEUDONYM_SALT is not set. Set it to the salt that the results were made with.", 2)
    print("\n".join(f"{pseudonyms.of(name)}\t{printable(name)}" for name in names))


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the pages.")] = 5000,
    data_dir: DataDir = None,
) -> None:
    """Show runs and models in the browser: MLflow's pages, on 127.0.0.1, with a password.

    Open the link that it prints. Ctrl-C ends it.
    """
    from ectopy.flows.local_stack import Ports, run_pages

    run_pages(load_settings(data_dir), Ports(mlflow=port))


def up(
    prefect_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Prefect's pages.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of MLflow's pages.")] = 5000,
    data_dir: DataDir = None,
) -> None:
    """Run Prefect, a worker and MLflow on this machine, and the flows on their schedules.

    Start it in a clone of ectopy. Everything listens on 127.0.0.1 only. Ctrl-C ends all of it.
    """
    from ectopy.flows.local_stack import Ports, run_local_stack

    run_local_stack(load_settings(data_dir), Ports(prefect_port, mlflow_port), Path.cwd())


def clean(
    results: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[OUT...]", exists=True, file_okay=False, help="Folders of results too."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Remove caches, after a list of them and a question; never results, models or databases."""
    from ectopy.review.caches import find_caches, remove

    settings = load_settings(data_dir)
    caches = find_caches([settings.data_dir / "scored", *(results or [])], settings.cache_dir)
    if not caches:
        print_result("nothing to remove")
        return
    for cache in caches:
        print_result(f"{cache.n_bytes / 1e6:8.1f} MB  {cache.path}  ({cache.what})")
    total = sum(cache.n_bytes for cache in caches)
    if not yes and not typer.confirm(f"Remove these {len(caches)} ({total / 1e6:.1f} MB)?", err=True):
        print_result("nothing removed")
        return
    print_result(f"{remove(caches) / 1e6:.1f} MB removed")
