"""Evaluate the challenger: promotion by cross-validation, EC57 metrics on held-out patients."""

from dataclasses import replace
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from ectopy.datasets import catalogue, download
from ectopy.evaluation import NothingToEvaluateError, log_evaluation, model_card, unseen
from ectopy.evaluation.jobs import challenger_jobs
from ectopy.flows.expected import without_traceback
from ectopy.flows.progress import announce
from ectopy.flows.tasks import evaluate_records
from ectopy.model.training_sources import digest_of
from ectopy.registry import model_versions, promotion, runs
from ectopy.registry.closing import of_overview
from ectopy.registry.promotion_gate import MinimumScores, PromotionDecision, decide
from ectopy.registry.shipped_champion import register_shipped
from ectopy.settings import load_settings

_SHOWN = 20
"""Rows of the overview that the terminal shows."""
_DESCRIPTION = """{name}: the metrics `held_out/` are of patients that no training used. They do not decide on
promotion; the cross-validation does.

* **Artifacts**: `at-a-glance.json` is the overview, `metrics.json` has all metrics, `promotion-gate.json` the
  comparison with the champion, `where-it-fails/` strips of typical errors, and `card.md` the model card."""


@flow
@without_traceback
def evaluate(  # noqa: PLR0913, PLR0917 - the parameters of a flow are its form in Prefect
    database: str = "mitdb",
    data_dir: Path | None = None,
    minimum: MinimumScores | None = None,
    experiment: str = "ectopy-evaluate",
    model: str = "ectopy",
    tracking_uri: str | None = None,
    reason: str = "a challenger was trained",
    card_to: Path | None = None,
) -> PromotionDecision:
    """Evaluate the challenger on held-out patients, and promote it if its cross-validation is good enough.

    Each use of the held-out patients is recorded, with its reason.

    Parameters
    ----------
    database
        The name of the database with held-out patients.
    data_dir
        The folder of databases and models; by default that of the settings.
    minimum
        The scores that a champion must reach in cross-validation.
    experiment
        The name of the MLflow experiment.
    model
        The name of the registered model.
    tracking_uri
        The MLflow tracking store; by default that of the settings.
    reason
        Why the held-out patients are used now; logged with the metrics.
    card_to
        A folder for the model card as a page, ``model-card.md``, with its strips in ``model-card/``.

    Returns
    -------
    The decision, its reason and the report.
    """
    settings = load_settings()
    data_dir = data_dir or settings.data_dir
    source, folder, present = require_held_out(database, data_dir)
    if card_to:  # now: the held-out patients are not to be used in vain for want of this folder
        card_to.mkdir(parents=True, exist_ok=True)
    runs.connect(tracking_uri or settings.tracking_uri, experiment)
    challenger = model_versions.challenger(model)
    register_shipped(model)  # a store of an earlier version of ectopy may lack it
    name = f"{model} {challenger.number} on {database}"
    with runs.run(name, description=_DESCRIPTION.format(name=name), tags={"why": reason}) as run_id:
        announce(run_id)
        provenance = {"model": challenger.uri, "model run": challenger.run_id, "why": reason}
        runs.log_parameters({**provenance, "database": database, "database version": source.version})
        ensemble = model_versions.fetch_model(challenger.uri)
        jobs = challenger_jobs(challenger, ensemble, source, [folder / record for record in present])
        evaluations = evaluate_records(jobs, settings.workers)
        held_out = [evaluation for evaluation in evaluations if evaluation.held_out]
        everyone = evaluations if len(evaluations) > len(held_out) else []
        names = [evaluation.record for evaluation in held_out]
        dataset = runs.log_test_data(
            f"{database} {source.version}, held-out records",
            source.address,
            digest=digest_of(folder, names),
        )
        tested = log_evaluation.Tested(model_versions.model_id_of(challenger), dataset)
        if database == "nstdb":
            report = log_evaluation.log_noise_evaluation(held_out, database)
            decision = PromotionDecision(False, "the noise stress test does not decide on promotion")
        else:
            report = log_evaluation.log_evaluation(held_out, everyone, database, tested)
            add_missing_evidence(challenger, data_dir, settings.workers)
            decision = decide(challenger, minimum or MinimumScores())
            card = (ensemble / "card.md").read_text()
            compared = _log_comparison(decision)
            promotion.record_decision(challenger, decision, card + report.card() + compared)
            runs.log_text(card + report.card(pictures=model_card.PICTURES_FOLDER) + compared, "card.md")
            if card_to:
                log_evaluation.write_card(card, report, card_to)
            if decision.promoted:
                promotion.promote(challenger, data_dir=data_dir, decision=decision)
            report = replace(report, details=compared + report.details)
        runs.describe(f"**{decision}**\n\n{_DESCRIPTION.format(name=name)}")
        create_markdown_artifact(f"**{decision}**\n{report.report}", key="examination")
    summary = "\n".join(of_overview(report.glance, _SHOWN))
    return replace(decision, report=report.report, summary=summary, run_id=run_id)


def require_held_out(database: str, data_dir: Path) -> tuple[catalogue.Database, Path, tuple[str, ...]]:
    """Find the records of a database to evaluate on; refuse before any work begins.

    Parameters
    ----------
    database
        The name of the database.
    data_dir
        The folder of databases.

    Returns
    -------
    The database, the folder of its records, and the names of the annotated ones.

    Raises
    ------
    NothingToEvaluateError
        If its labels do not test beats, or no record of a held-out patient is there.
    """
    source = catalogue.find_database(database)
    if "beats" not in source.uses:
        raise NothingToEvaluateError(
            f"{database}: its labels do not test beats. Choose a database for that, such as mitdb."
        )
    folder = download.database_folder(source, data_dir)
    present = download.annotated_records(folder)
    if not catalogue.split(source, present)[1]:
        raise NothingToEvaluateError(
            f"{folder}: no record of a held-out patient. Download some with `ectopy ingest {database}`."
        )
    return source, folder, present


def add_missing_evidence(challenger: model_versions.Version, data_dir: Path, workers: int) -> None:
    """Evaluate challenger and champion on training databases that only the other of them was trained on.

    Parameters
    ----------
    challenger
        The version in question.
    data_dir
        The folder of databases.
    workers
        The number of processes.
    """
    champion = model_versions.version_by_alias(challenger.model, model_versions.CHAMPION)
    if champion is None or champion == challenger:
        return
    for version, rival in ((champion, challenger), (challenger, champion)):
        if jobs := unseen.unseen_jobs(version, rival, data_dir):
            unseen.add_evidence(version, list(jobs), evaluate_records(list(jobs.values()), workers))


def _log_comparison(decision: PromotionDecision) -> str:
    """Log the table of the promotion gate; return it as a section of the card."""
    if not decision.comparison:
        return ""
    runs.log_table(decision.comparison, "promotion-gate.json")
    return model_card.section("Promotion", model_card.PROMOTION, model_card.markdown(decision.comparison))
