"""Judge the challenger: promotion by cross-validation, EC57 figures on held-out patients for the report."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from ectopy.datasets import catalogue, download
from ectopy.evaluation import (
    EvaluationJob,
    NothingToEvaluateError,
    RecordEvaluation,
    evaluate_record,
    log_evaluation,
    model_card,
)
from ectopy.parallel.worker_pool import WorkerPool
from ectopy.registry import model_versions, promotion, runs
from ectopy.registry.promotion_gate import MinimumScores, PromotionDecision, decide_promotion
from ectopy.settings import load_settings


@flow
def evaluate(  # noqa: PLR0913, PLR0917 - parameters of a flow are its form
    database: str = "mitdb",
    data_dir: Path | None = None,
    floors: MinimumScores | None = None,
    experiment: str = "ectopy-evaluate",
    model: str = "ectopy",
    tracking_uri: str | None = None,
    why: str = "a challenger was trained",
    card_to: Path | None = None,
) -> PromotionDecision:
    """Examine the challenger on held-out patients, and promote it if cross-validation says so.

    Computing figures on held-out patients opens the examination: ``why`` is kept with them. ``card_to`` is
    a folder for the model card as a page, ``model-card.md``, with its strips in ``model-card/``.
    """
    settings = load_settings()
    data_dir = data_dir or settings.data_dir
    known = catalogue.find_database(database)
    folder = download.database_folder(known, data_dir)
    present = download.annotated_records(folder)
    if not catalogue.split(known, present)[1]:
        raise NothingToEvaluateError(f"{folder}: a record of a held-out patient expected, none there")
    if card_to:  # now: an opening is not to be lost to a folder that cannot be made
        card_to.mkdir(parents=True, exist_ok=True)
    runs.connect(tracking_uri or settings.tracking_uri, experiment)
    challenger = model_versions.challenger(model)
    with runs.run(f"{model} {challenger.number} on {database}", tags={"why": why}):
        of_model = {"model": challenger.uri, "model run": challenger.run_id, "why": why}
        runs.log_parameters({**of_model, "database": database, "database version": known.version})
        downloaded = model_versions.fetch_model(challenger.uri)
        candidates = candidates_of(challenger, downloaded, known, [folder / record for record in present])
        examined = examine_records(candidates, settings.workers)
        held_out = [each for each in examined if each.held_out]
        everyone = examined if len(examined) > len(held_out) else []
        if database == "nstdb":
            told = log_evaluation.log_noise_evaluation(held_out, database)
            verdict = PromotionDecision(False, "the noise stress test decides nothing; see its figures")
        else:
            told = log_evaluation.log_evaluation(held_out, everyone, database)
            verdict = decide(challenger, floors or MinimumScores())
            text = (downloaded / "card.md").read_text()
            record_verdict(challenger, verdict, text + told.card())
            runs.log_text(text + told.card(pictures=model_card.PICTURES_FOLDER), "card.md")
            if card_to:
                log_evaluation.write_card(text, told, card_to)
            if verdict.promoted:
                promotion.promote(challenger, data_dir=data_dir, decided_by="the gate", reason=verdict.reason)
        create_markdown_artifact(f"**{verdict.reason}**\n{told.report}", key="examination")
    return replace(verdict, report=told.report)


def candidates_of(
    challenger: model_versions.Version, ensemble: Path, database: catalogue.Database, records: Sequence[Path]
) -> list[EvaluationJob]:
    """Pair each record with the model it is examined with: the ensemble, unless that has seen the patient.

    Of the challenger's own database every record is examined, if the networks of its folds were kept.
    """
    learned, held_out = catalogue.split(database, [record.name for record in records])
    patients = {record: catalogue.patient_of(database, record.name) for record in records}
    members = tuple(
        model_versions.download_folder(run, "model") for run in model_versions.member_runs(challenger)
    )
    if trained_on(challenger, database) == database:
        unseen = {name: model for name, model in unseen_models(challenger).items() if name in learned}
        whole = set(unseen) == set(learned)
        models = {record: unseen.get(record.name, ensemble) for record in records}
    else:
        by_patient = unseen_patients(challenger, database)
        whole = False
        models = {record: by_patient.get(patient, ensemble) for record, patient in patients.items()}
    return [
        EvaluationJob(
            record,
            patients[record],
            model,
            members if model == ensemble and record.name in held_out else (),
            held_out=record.name in held_out,
        )
        for record, model in models.items()
        if whole or record.name in held_out
    ]


def trained_on(challenger: model_versions.Version, database: catalogue.Database) -> catalogue.Database:
    """Tell which database a version was trained on; that of the examination where it does not say."""
    return catalogue.find_database(model_versions.tags_of(challenger).get("database", database.name))


def unseen_models(challenger: model_versions.Version) -> dict[str, Path]:
    """Fetch, for each record learned from, a network of the folds that has not seen its patient."""
    runs = model_versions.out_of_fold_runs(challenger)
    models = {run: model_versions.download_folder(run, "model") for run in set(runs.values())}
    return {record: models[run] for record, run in runs.items()}


def unseen_patients(challenger: model_versions.Version, database: catalogue.Database) -> dict[str, Path]:
    """Fetch the same for each patient learned from: one may be in another database too."""
    learned = trained_on(challenger, database)
    return {
        catalogue.patient_of(learned, record): model for record, model in unseen_models(challenger).items()
    }


def decide(challenger: model_versions.Version, floors: MinimumScores) -> PromotionDecision:
    """Compare the challenger with the champion by their cross-validation, which must be on the same data."""
    if why := model_versions.tags_of(challenger).get(promotion.ROLLED_BACK):
        return PromotionDecision(
            False, f"it was rolled back: {why}; `ectopy models promote` would take that back"
        )
    champion = model_versions.version_by_alias(challenger.model, model_versions.CHAMPION)
    if champion is None:
        return decide_promotion(out_of_fold(challenger), None, floors)
    data, rival_data = (model_versions.tags_of(version).get("database") for version in (challenger, champion))
    if data != rival_data:
        reason = f"trained on {data}, the champion on {rival_data}: their figures cannot be compared"
        return PromotionDecision(False, reason)
    return decide_promotion(out_of_fold(challenger), out_of_fold(champion), floors)


def record_verdict(challenger: model_versions.Version, verdict: PromotionDecision, text: str) -> None:
    """Write verdict and card where people look for them: on the run and on the version."""
    runs.tag(verdict="promoted" if verdict.promoted else "not promoted", reason=verdict.reason)
    model_versions.set_description(challenger, text)
    model_versions.tag_version(challenger, {"promoted": str(verdict.promoted), "reason": verdict.reason})


def examine_records(candidates: Sequence[EvaluationJob], workers: int) -> list[RecordEvaluation]:
    """Examine the records side by side, a task each."""
    with WorkerPool(workers) as processes:

        @task(task_run_name="examine {candidate.record.name}", cache_policy=NO_CACHE)
        def examine_record(candidate: EvaluationJob) -> RecordEvaluation:
            return processes.call(evaluate_record, candidate)

        return examine_record.map(candidates).result()


def out_of_fold(version: model_versions.Version) -> Mapping[str, float]:
    """Give the cross-validation figures of a version, with detected beats."""
    return model_versions.metrics_of(version, prefix="out_of_fold/detected/")


if __name__ == "__main__":
    evaluate()
