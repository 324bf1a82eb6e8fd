"""Judge the challenger: promotion by cross-validation, EC57 figures on held-out patients for the report."""

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from ectopy import card, databases, evaluation, network, plots, tracking
from ectopy.ec57 import gross
from ectopy.settings import load_settings
from ectopy.workers import Workers


@flow
def evaluate(  # noqa: PLR0913, PLR0917 - parameters of a flow are its form
    database: str = "mitdb",
    data_dir: Path | None = None,
    floors: evaluation.Floors | None = None,
    experiment: str = "ectopy-evaluate",
    model: str = "ectopy",
    tracking_uri: str | None = None,
    why: str = "a challenger was trained",
) -> evaluation.Verdict:
    """Examine the challenger on held-out patients, and promote it if cross-validation says so.

    Computing figures on held-out patients opens the examination: ``why`` is kept with them.
    """
    settings = load_settings()
    data_dir = data_dir or settings.data_dir
    known = databases.known(database)
    folder = databases.folder_of(known, data_dir)
    _, records = databases.split(known, databases.present(folder))
    if not records:
        raise evaluation.NothingToExamineError(
            f"{folder}: a record of a held-out patient expected, none there"
        )
    tracking.connect(tracking_uri or settings.tracking_uri, experiment)
    challenger = tracking.newest(model)
    with tracking.run(f"{model} {challenger.number} on {database}", tags={"why": why}):
        tracking.log_parameters({"model": challenger.uri, "database": database, "why": why})
        downloaded = tracking.fetch_model(challenger.uri)
        candidates = candidates_of(challenger, downloaded, known, [folder / record for record in records])
        examined = examine_records(candidates, settings.workers)
        sections = log_examination(examined, database)
        if database == "nstdb":
            sections += log_noise(examined)
            verdict = evaluation.Verdict(False, "the noise stress test decides nothing; see its figures")
        else:
            verdict = decide(challenger, floors or evaluation.Floors())
            text = (downloaded / "card.md").read_text() + sections
            record_verdict(challenger, verdict, text)
            if verdict.promoted:
                promote(challenger, downloaded, text, data_dir / "models" / "champion")
        create_markdown_artifact(f"**{verdict.reason}**\n{sections}", key="examination")
    return replace(verdict, report=sections)


def candidates_of(
    challenger: tracking.Version, ensemble: Path, database: databases.Database, records: Sequence[Path]
) -> list[evaluation.Candidate]:
    """Pair each record with the model it is examined with: the ensemble, unless that has seen the patient."""
    patients = {record: databases.patient_of(database, record.name) for record in records}
    unseen = unseen_models(challenger, database, patients.values())
    return [
        evaluation.Candidate(record, patient, unseen.get(patient, ensemble))
        for record, patient in patients.items()
    ]


def unseen_models(
    challenger: tracking.Version, database: databases.Database, patients: Collection[str]
) -> dict[str, Path]:
    """Fetch, for training patients who are in another database too, a network that has not seen them."""
    trained_on = databases.known(tracking.tags_of(challenger).get("database", database.name))
    if trained_on == database:
        return {}  # examined on its held-out records, by the ensemble
    runs = {
        databases.patient_of(trained_on, record): run
        for record, run in tracking.unseen_by(challenger).items()
        if databases.patient_of(trained_on, record) in patients
    }
    return {patient: tracking.download_folder(run, "model") for patient, run in runs.items()}


def decide(challenger: tracking.Version, floors: evaluation.Floors) -> evaluation.Verdict:
    """Compare the challenger with the champion by their cross-validation, which must be on the same data."""
    champion = tracking.aliased(challenger.model, tracking.CHAMPION)
    if champion is None:
        return evaluation.judge(out_of_fold(challenger), None, floors)
    data, rival_data = (tracking.tags_of(version).get("database") for version in (challenger, champion))
    if data != rival_data:
        reason = f"trained on {data}, the champion on {rival_data}: their figures cannot be compared"
        return evaluation.Verdict(False, reason)
    return evaluation.judge(out_of_fold(challenger), out_of_fold(champion), floors)


def record_verdict(challenger: tracking.Version, verdict: evaluation.Verdict, text: str) -> None:
    """Write verdict and card where people look for them: on the run and on the version."""
    tracking.tag(verdict="promoted" if verdict.promoted else "not promoted", reason=verdict.reason)
    tracking.describe(challenger, text)
    tracking.tag_version(challenger, {"promoted": str(verdict.promoted), "reason": verdict.reason})


def log_noise(examined: Sequence[evaluation.Examined]) -> str:
    """Log figures by signal-to-noise ratio with detected beats; give them as a section."""
    noise_db = {each.record: databases.noise_db(each.record) or 0 for each in examined}
    found = evaluation.by_noise(evaluation.in_way(examined, evaluation.DETECTED), noise_db)
    for level, figures in found.items():
        tracking.log_metrics(figures, prefix="by_noise/", step=level)
    tracking.log_figure(plots.noise_curve(found, "Noise stress test, detected beats"), "by-noise.png")
    table = card.noise_table(found)
    tracking.log_text(table, "by-noise.md")
    return f"\n## By signal-to-noise ratio, detected beats\n\n{table}\n"


def examine_records(candidates: Sequence[evaluation.Candidate], workers: int) -> list[evaluation.Examined]:
    """Examine the records side by side, a task each."""
    with Workers(workers) as processes:

        @task(task_run_name="examine {candidate.record.name}", cache_policy=NO_CACHE)
        def examine_record(candidate: evaluation.Candidate) -> evaluation.Examined:
            return processes.call(evaluation.examine, candidate)

        return examine_record.map(candidates).result()


def log_examination(examined: Sequence[evaluation.Examined], database: str) -> str:
    """Log figures, tables and drawings; give the model card's sections on them."""
    sections = ""
    patients = {each.record: each.patient for each in examined}
    for way, how in evaluation.WAYS.items():
        records = evaluation.in_way(examined, way)
        title = f"Held-out patients of {database}: {how}"
        figures = evaluation.by_subset(records, evaluation.DS2_SUBSETS)
        intervals = evaluation.interval_table(records, patients)
        by_record = evaluation.per_record(records)
        tracking.log_metrics(figures, prefix=f"{way}/")
        tracking.log_metrics(evaluation.bounds(intervals), prefix=f"{way}/")
        tracking.log_table(by_record, f"{way}/by-record.json")
        tracking.log_table(intervals, f"{way}/intervals.json")
        tracking.log_figure(plots.confusion_matrix(gross(records.values()), title), f"{way}/confusion.png")
        spread = evaluation.uncertainty(records, patients)
        tracking.log_figure(plots.forest(records, title, spread), f"{way}/by-record.png")
        sections += card.examination(title, evaluation.grouped(figures), intervals)
        if way == evaluation.DETECTED:
            sections += card.record_table(by_record)
    return sections


def out_of_fold(version: tracking.Version) -> Mapping[str, float]:
    """Give the cross-validation figures of a version, with detected beats."""
    return tracking.metrics_of(version, prefix="out_of_fold/detected/")


def promote(version: tracking.Version, downloaded: Path, text: str, champion: Path) -> None:
    """Let a version be the champion, and lay it where ``ectopy score`` finds it without MLflow."""
    fresh, earlier = (champion.with_name(f".{champion.name}.{state}") for state in ("fresh", "earlier"))
    if earlier.is_dir() and not champion.is_dir():
        earlier.rename(champion)  # a promotion that was broken off between its two steps
    for leftover in (fresh, earlier):
        shutil.rmtree(leftover, ignore_errors=True)
    network.copy_for_scoring(downloaded, fresh)
    (fresh / "card.md").write_text(text)
    if champion.is_dir():
        champion.rename(earlier)
    fresh.rename(champion)
    shutil.rmtree(earlier, ignore_errors=True)
    tracking.set_alias(version, tracking.CHAMPION)


if __name__ == "__main__":
    evaluate()
