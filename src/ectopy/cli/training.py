"""The commands from database to model, such as ``ingest``, ``train`` and ``evaluate``."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from ectopy.cli.common import (
    DataDir,
    Records,
    load_settings,
    prepare_prefect,
    print_message,
    print_messages,
    print_result,
    split_names,
)

if TYPE_CHECKING:
    from ectopy.model.network import TrainConfig
    from ectopy.model.training_sources import TrainingSource
    from ectopy.registry.closing import Study
    from ectopy.settings import Settings

Databases = Annotated[
    list[str] | None,
    typer.Option(
        "--database",
        metavar="NAME[=WEIGHT]",
        help="A training database, and how often it is drawn, such as svdb=0.5. Repeatable. "
        "[default: mitdb and svdb]",
    ),
]
Values = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change a field of TrainConfig, such as learning_rate=0.003. Repeatable.",
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Settings and databases in TOML. --set and --database count before it.",
    ),
]


def ingest(
    databases: Annotated[
        list[str] | None,
        typer.Argument(metavar="DATABASE", help="PhysioNet databases, such as mitdb svdb."),
    ] = None,
    all_training: Annotated[
        bool, typer.Option("--all-training", help="Also every database that training learns from.")
    ] = False,
    source: Annotated[
        str | None, typer.Option(help="Base address or directory. [env: ECTOPY_SOURCE]")
    ] = None,
    data_dir: DataDir = None,
    records: Records = None,
) -> None:
    """Download PhysioNet databases and verify the checksum of every file.

    A database or record that fails does not stop the others; the exit status is then 1.
    """
    names = _databases_to_ingest(databases or (), all_training)
    wanted = split_names(records)
    if wanted and len(names) > 1:
        raise typer.BadParameter("records of several databases. Give one database.", param_hint="--records")
    settings = load_settings(data_dir)
    prepare_prefect()
    source = source or settings.source
    complete = [_ingest(name, source, settings.data_dir, wanted) for name in names]
    if not all(complete):
        raise typer.Exit(1)


def _databases_to_ingest(given: Sequence[str], all_training: bool) -> tuple[str, ...]:
    """Return the databases that the command line names, once each; refuse a misspelt one."""
    from ectopy.datasets.catalogue import find_database, training_databases

    names = tuple(dict.fromkeys((*given, *(training_databases() if all_training else ()))))
    if not names:
        raise typer.BadParameter("no database is given. Give one, such as mitdb, or --all-training.")
    for name in names:
        find_database(name)
    return names


def _ingest(database: str, source: str, data_dir: Path, records: tuple[str, ...] | None) -> bool:
    """Print the folder of a database once it is complete, else what failed; return whether it is complete."""
    from ectopy.datasets.catalogue import FetchError
    from ectopy.flows.ingest import IngestError
    from ectopy.flows.ingest import ingest as flow

    try:
        print_result(flow(database, source, data_dir, records))
    except IngestError as error:
        for failure in error.failures:
            print_message(failure)
    except FetchError as error:
        print_message(f"ectopy: {error}")
    else:
        return True
    return False


def train(  # noqa: PLR0913, PLR0917 - one parameter for each option
    databases: Databases = None,
    data_dir: DataDir = None,
    values: Values = None,
    config_file: ConfigFile = None,
    corrections: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR", help="Also train on what readers confirmed in this folder of results. Repeatable."
        ),
    ] = None,
    corrections_weight: Annotated[
        float, typer.Option(help="How often confirmed recordings are drawn, relative to a database.")
    ] = 1.0,
) -> None:
    """Train a challenger and register it in MLflow."""
    changes, sources = _assignments(values or ()), _sources(databases)
    settings = _prepare(data_dir)
    config, sources = _of_file(config_file, sources)  # a mistake is told before MLflow and Prefect load
    config = config.with_values(changes)
    from ectopy.flows import train as training
    from ectopy.flows.progress import link_to
    from ectopy.registry.closing import of_training

    if not corrections:  # they bring patients of their own
        training.require_training(sources, settings.data_dir, config)
    version = training.train(
        sources,
        settings.data_dir,
        config,
        corrections=tuple(corrections or ()),
        corrections_weight=corrections_weight,
    )
    print_messages(of_training(version), link_to(version.run_id), "next: ectopy evaluate")
    print_result(version.uri)


def log_reviews(
    outs: Annotated[list[Path], typer.Argument(metavar="OUT...", help="Folders of results.")],
) -> None:
    """Log what readers confirmed as an MLflow run.

    Corrections per 1,000 beats, decisions and seconds per recording, and EC57 of automatic beats.
    """
    from ectopy.flows.log_reviews import log_reviews as log

    print_result(log(outs))


def train_rhythm(
    data_dir: DataDir = None,
    model: Annotated[
        str, typer.Option(help="The beat classifier: shipped, or one of the registry.")
    ] = "shipped",
) -> None:
    """Train the network that names malignant rhythms and artefact, and evaluate it by cross-validation."""
    settings = _prepare(data_dir)
    from ectopy.flows.train_rhythm import train_rhythm as flow

    print_result(flow(settings.data_dir, model))


def train_live(
    databases: Databases = None,
    data_dir: DataDir = None,
    values: Values = None,
    config_file: ConfigFile = None,
    look_ahead: Annotated[
        int, typer.Option(min=0, max=8, help="Beats after a beat that its final label considers.")
    ] = 1,
) -> None:
    """Train the model of `ectopy stream`: a forward GRU, registered as a model of its own."""
    changes, sources = _assignments(values or ()), _sources(databases)
    settings = _prepare(data_dir)
    from ectopy.flows.progress import link_to
    from ectopy.flows.train import require_training
    from ectopy.flows.train_live import train_live as flow

    config, sources = _of_file(config_file, sources)
    config = config.with_values(changes)
    require_training(sources, settings.data_dir, config)
    version = flow(sources, settings.data_dir, config, look_ahead)
    print_messages(link_to(version.run_id))
    print_result(version.uri)


def _prepare(data_dir: Path | None) -> "Settings":
    """Read the settings, say that loading takes a while, and choose the Prefect server."""
    settings = load_settings(data_dir)
    print_message("loading Keras, MLflow and Prefect")
    prepare_prefect()
    return settings


def _require_databases(*names: str) -> None:
    """Refuse an unknown database before anything is loaded."""
    from ectopy.datasets.catalogue import find_database

    for name in names:
        find_database(name)


def _sources(texts: Sequence[str] | None) -> "Sequence[TrainingSource]":
    from ectopy.model.training_sources import TrainingSource

    return [TrainingSource.parse(text) for text in texts or ()]


def _assignments(texts: Sequence[str]) -> dict[str, str]:
    """Split each NAME=VALUE at its first equals sign."""
    parts = [text.partition("=") for text in texts]
    if malformed := [
        text for text, (name, equals, _) in zip(texts, parts, strict=True) if not (name and equals)
    ]:
        raise typer.BadParameter(f"{', '.join(malformed)}: not of the form NAME=VALUE", param_hint="--set")
    return {name.strip(): value.strip() for name, _, value in parts}


def _of_file(
    path: Path | None, sources: "Sequence[TrainingSource]"
) -> "tuple[TrainConfig, Sequence[TrainingSource]]":
    """Return the settings of the file of a training, and the databases that are given, else its own."""
    from ectopy.model.network import TrainConfig
    from ectopy.model.train_file import TrainFile, read_train_file
    from ectopy.model.training_sources import DEFAULT_SOURCES

    of_file = read_train_file(path) if path else TrainFile(TrainConfig(), DEFAULT_SOURCES)
    return of_file.config, sources or of_file.sources


def _print_study(study: "Study") -> None:
    """Print the summary of a study, where its page lies, and a link to its run."""
    from ectopy.flows.progress import link_to

    print_result(study.summary)
    print_messages(f"all of it: {link_to(study.run_id)}", "the page:")
    print_result(study.path)


def cross_database(  # noqa: PLR0913, PLR0917 - one parameter for each option
    databases: Databases = None,
    data_dir: DataDir = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of networks in each ensemble.")] = 3,
    out: Annotated[
        Path | None, typer.Option(help="Also write the page, its figure and the counts of each record there.")
    ] = None,
    values: Values = None,
    config_file: ConfigFile = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Hardly train: a check that it works; the metrics mean nothing.")
    ] = False,
) -> None:
    """Evaluate on patients of several databases that no network has seen.

    Out of fold over all databases, and on each with networks that were trained on the others.
    """
    changes, sources = _assignments(values or ()), _sources(databases)
    settings = _prepare(data_dir)
    from ectopy.flows import cross_database as study
    from ectopy.flows.tasks import hardly_train

    config, sources = _of_file(config_file, sources)
    config = (hardly_train(config) if quick else config).with_values(changes)
    study.require_databases(sources, settings.data_dir, config)
    _print_study(study.cross_database(sources, settings.data_dir, seeds, config, out))


def evaluate(
    database: Annotated[str, typer.Option(help="The database with the held-out patients.")] = "mitdb",
    data_dir: DataDir = None,
    reason: Annotated[
        str, typer.Option(help="Why the held-out patients are used now; logged with the metrics.")
    ] = "a challenger was trained",
    card_to: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write the model card there: model-card.md, with strips in model-card/."
        ),
    ] = None,
) -> None:
    """Evaluate the challenger by EC57; promote it, or report why not."""
    _require_databases(database)
    settings = _prepare(data_dir)
    from ectopy.flows import evaluate as evaluation
    from ectopy.flows.progress import link_to

    evaluation.require_held_out(database, settings.data_dir)
    decision = evaluation.evaluate(database, settings.data_dir, reason=reason, card_to=card_to)
    print_result(decision.summary)
    print_messages(f"all of it: {link_to(decision.run_id)}")
    print_result("\n".join(wrap(str(decision), 100)))


def evaluate_findings(
    databases: Annotated[
        list[str] | None,
        typer.Argument(metavar="DATABASE", help="Databases, such as vfdb. [default: all that are here]"),
    ] = None,
    data_dir: DataDir = None,
    model: Annotated[
        str, typer.Option(help="shipped, or a model of the registry: models:/ectopy@champion.")
    ] = "shipped",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Also write the page there.")] = None,
    held_out: Annotated[
        str | None,
        typer.Option(
            metavar="REASON",
            help="Evaluate the held-out records instead of those for training; why they are used now.",
        ),
    ] = None,
) -> None:
    """Evaluate findings: episodes found, and false findings per 24 h by urgency.

    Ventricular tachycardia and fibrillation, asystole, atrial fibrillation, supraventricular tachycardia; on
    each database that has labels, and by a model that has not seen the patient.
    """
    _require_databases(*(databases or ()))
    settings = _prepare(data_dir)
    from ectopy.flows.evaluate_findings import evaluate_findings as flow

    _print_study(flow(tuple(databases or ()), settings.data_dir, model, out, held_out))


def ablation(  # noqa: PLR0913, PLR0917 - one parameter for each option
    database: Annotated[str, typer.Option(help="The training database.")] = "mitdb",
    data_dir: DataDir = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds for each architecture.")] = 3,
    architectures: Annotated[
        str | None, typer.Option(help="Only these, such as gru,lstm. [default: all six]")
    ] = None,
    lengths: Annotated[
        str, typer.Option(help="Sequence lengths, in beats, that the GRU is also trained on; '' for none.")
    ] = "16,32,64,128,256",
    out: Annotated[Path | None, typer.Option(help="Also write the page and its figure there.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Hardly train: a check that it works; the metrics mean nothing.")
    ] = False,
) -> None:
    """Compare network architectures on the same data and budget.

    RNN, GRU, LSTM, GRU + attention, Transformer, no recurrence; by cross-validation on training patients.
    """
    beats = _positive_integers("--lengths", lengths)
    _require_databases(database)
    settings = _prepare(data_dir)
    from ectopy.flows import compare
    from ectopy.flows.tasks import hardly_train
    from ectopy.model.architectures import ARCHITECTURES
    from ectopy.model.network import TrainConfig

    names = split_names(architectures) or tuple(ARCHITECTURES)
    config = hardly_train(TrainConfig()) if quick else TrainConfig()
    compare.require_architectures(database, settings.data_dir, names, beats, config)
    _print_study(compare.compare(database, settings.data_dir, seeds, names, beats, config, out))


def _positive_integers(option: str, text: str) -> tuple[int, ...]:
    """Read whole numbers above zero, separated by commas."""
    numbers = split_names(text) or ()
    if wrong := [number for number in numbers if not number.isdecimal() or int(number) < 1]:
        raise typer.BadParameter(
            f"not whole numbers above 0: {', '.join(wrong)}. Separate numbers by commas.", param_hint=option
        )
    return tuple(int(number) for number in numbers)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything that the demo writes.")] = Path(
        "ectopy-demo"
    ),
) -> None:
    """Run the whole pipeline offline, on simulated patients.

    Ingest, train, evaluate, promote, score, report.
    """
    print_message(f"everything goes to {out}; loading Keras, MLflow and Prefect takes a while the first time")
    prepare_prefect(own_home=out / "prefect")
    from ectopy.flows.demo import demo as flow

    print_result(flow(out))
