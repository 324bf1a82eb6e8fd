"""Judge the challenger: promotion by cross-validation, EC57 figures on held-out patients for the report."""

import shutil
from collections.abc import Mapping, Sequence
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
    _, records = databases.split(known, databases.read_records(folder))
    tracking.connect(tracking_uri or settings.tracking_uri, experiment)
    challenger = tracking.newest(model)
    with tracking.run(f"{model} {challenger.number} on {database}", tags={"why": why}):
        tracking.log_parameters({"model": challenger.uri, "database": database, "why": why})
        downloaded = tracking.download_model(challenger.uri)
        candidates = [
            evaluation.Candidate(folder / record, databases.patient_of(known, record), downloaded)
            for record in records
        ]
        examined = examine_records(candidates, settings.workers)
        sections = log_examination(examined, database)
        verdict = evaluation.judge(
            out_of_fold(challenger),
            out_of_fold(champion) if (champion := tracking.aliased(model, tracking.CHAMPION)) else None,
            floors or evaluation.Floors(),
        )
        tracking.tag(verdict="promoted" if verdict.promoted else "not promoted", reason=verdict.reason)
        text = (downloaded / "card.md").read_text() + sections
        tracking.describe(challenger, text)
        tracking.tag_version(challenger, {"promoted": str(verdict.promoted), "reason": verdict.reason})
        if verdict.promoted:
            promote(challenger, downloaded, text, data_dir / "models" / "champion")
        create_markdown_artifact(f"**{verdict.reason}**\n{sections}", key="examination")
    return verdict


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
    for beats in ("detected", "given"):
        records = {each.record: getattr(each, beats) for each in examined}
        title = f"Held-out patients of {database}, {beats} beats"
        figures = evaluation.by_subset(records, evaluation.DS2_SUBSETS)
        tracking.log_metrics(figures, prefix=f"{beats}/")
        tracking.log_table(evaluation.per_record(records), f"{beats}/by-record.json")
        tracking.log_table(evaluation.interval_table(records, patients), f"{beats}/intervals.json")
        tracking.log_figure(plots.confusion_matrix(gross(records.values()), title), f"{beats}/confusion.png")
        tracking.log_figure(plots.forest(records, title), f"{beats}/by-record.png")
        sections += card.examination(title, evaluation.grouped(figures))
    return sections


def out_of_fold(version: tracking.Version) -> Mapping[str, float]:
    """Give the cross-validation figures of a version, with detected beats."""
    return tracking.metrics_of(version, prefix="out_of_fold/detected/")


def promote(version: tracking.Version, downloaded: Path, text: str, champion: Path) -> None:
    """Let a version be the champion, and lay it where ``ectopy score`` finds it without MLflow."""
    fresh, earlier = (champion.with_name(f".{champion.name}.{state}") for state in ("fresh", "earlier"))
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
