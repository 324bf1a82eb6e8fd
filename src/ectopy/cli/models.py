"""The commands ``ectopy models ...``: which version of the model is in use."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ectopy.cli.common import DataDir, load_settings, print_result

if TYPE_CHECKING:
    from ectopy.registry.promotion import Change
    from ectopy.settings import Settings

app = typer.Typer(
    help="Show or change which version of the model is in use: list, show, promote, rollback.",
    no_args_is_help=True,
)

ModelName = Annotated[str, typer.Option("--model", help="Name of the registered model.")]


@app.command("list")
def list_versions(model: ModelName = "ectopy", data_dir: DataDir = None) -> None:
    """List the versions, newest first, with their out-of-fold metrics and their history."""
    from ectopy.batch import planning
    from ectopy.registry import promotion
    from ectopy.registry.closing import of_versions

    settings = _connect(data_dir)
    table = promotion.version_table(model)
    print_result(
        of_versions(table) if table else f"model {model}: no version yet. Run `ectopy train` to make one."
    )
    print_result(f"in use here: {planning.describe_model(planning.find_model(None, settings.data_dir))}")


@app.command("show")
def show(
    version: Annotated[str, typer.Argument(help="Number of the version.")],
    model: ModelName = "ectopy",
    data_dir: DataDir = None,
) -> None:
    """Show what happened to a version, and how the promotion gate compares it with the champion now."""
    from ectopy.evaluation.model_card import markdown
    from ectopy.registry import model_versions, promotion
    from ectopy.registry.promotion_gate import MinimumScores, decide

    _connect(data_dir)
    chosen = model_versions.version_by_number(model, version)
    print_result(", ".join([chosen.uri, *model_versions.aliases_of(chosen)]))
    print_result("\n".join(model_versions.history(chosen)[:-1]))
    print_result(promotion.last_event(chosen))
    if model_versions.CHAMPION not in model_versions.aliases_of(chosen):
        decision = decide(chosen, MinimumScores())
        print_result(markdown(decision.comparison) if decision.comparison else "")
        print_result(f"the gate: {decision}")


@app.command("promote")
def promote(
    version: Annotated[str, typer.Argument(help="Number of the version.")],
    reason: Annotated[str, typer.Option(help="Why this version is chosen by hand; kept on the version.")],
    model: ModelName = "ectopy",
    data_dir: DataDir = None,
) -> None:
    """Promote a version, bypassing the automatic check; its history keeps who did it and why."""
    from ectopy.registry import model_versions, promotion

    settings = _connect(data_dir)
    chosen = model_versions.version_by_number(model, version)
    _print_change(promotion.promote_by_hand(chosen, data_dir=settings.data_dir, reason=reason))


@app.command("rollback")
def rollback(
    reason: Annotated[str, typer.Option(help="Why the champion is replaced; kept on both versions.")],
    model: ModelName = "ectopy",
    data_dir: DataDir = None,
) -> None:
    """Make the previous champion the champion again."""
    from ectopy.registry import promotion

    settings = _connect(data_dir)
    _print_change(promotion.rollback(model, data_dir=settings.data_dir, reason=reason))


def _connect(data_dir: Path | None) -> "Settings":
    from ectopy.registry import model_versions

    settings = load_settings(data_dir)
    model_versions.connect_registry(settings.tracking_uri)
    return settings


def _print_change(change: "Change") -> None:
    previous = change.previous
    replaced = "" if previous is None or previous == change.current else f", in place of {previous.number}"
    print_result(f"champion: {change.current.uri}{replaced}")
