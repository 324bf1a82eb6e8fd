"""Log an evaluation to MLflow: metrics, tables and plots; the same content makes the model card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from ectopy.datasets.catalogue import noise_db
from ectopy.ec57 import gross
from ectopy.ec57.reference import CONDITIONS, DETECTED, EC57_MAP, GIVEN
from ectopy.evaluation import (
    aggregate,
    beats_by_condition,
    calibration,
    headline_metrics,
    model_card,
    plots,
    tables,
)
from ectopy.evaluation.evaluate_record import RecordEvaluation
from ectopy.evaluation.failures import KINDS, Failure, read_excerpt, worst_records
from ectopy.registry import runs

CARD, CARD_PICTURES = "model-card.md", "model-card"
"""The model card as a page of the documentation, and the folder beside it with its ECG strips."""
HELD_OUT, NOT_PACED, EVERYONE = "held_out", "everyone_not_paced", "everyone"
"""Groups of records; their metrics' names begin with these words."""
_HEADLINES = {HELD_OUT: headline_metrics.HELD_OUT, NOT_PACED: headline_metrics.EVERYONE}
"""Metrics of each group that the run shows in MLflow; its table has all."""


@dataclass(frozen=True, eq=False)
class EvaluationReport:
    """Report of an evaluation, as Markdown: the overview table, sections in detail, and the failures.

    ``failures`` is None if they were not searched for. ``strips`` are the plots of the failures by file name.
    ``glance`` is the overview table by column.
    """

    overview: str
    details: str
    failures: tuple[Failure, ...] | None
    strips: Mapping[str, Figure] = field(default_factory=dict)
    glance: Mapping[str, Sequence[object]] = field(default_factory=dict)

    @property
    def report(self) -> str:
        """Report for a terminal, which ends with the overview table."""
        return self.details + self._failures() + self.overview

    def card(self, *, pictures: str = "") -> str:
        """Return the report for the model card; ``pictures`` is the folder of the strips beside the card."""
        return self.overview + self.details + self._failures(pictures)

    def _failures(self, pictures: str = "") -> str:
        return "" if self.failures is None else model_card.failures_section(self.failures, pictures)


class Tested(NamedTuple):
    """The logged model that is evaluated, and the data set of the held-out patients."""

    model_id: str | None
    dataset: Any


def log_evaluation(
    held_out: Sequence[RecordEvaluation],
    everyone: Sequence[RecordEvaluation],
    database: str,
    tested: Tested,
) -> EvaluationReport:
    """Log all results of an evaluation.

    Parameters
    ----------
    held_out
        Records of held-out patients, evaluated with the ensemble.
    everyone
        All records, or none. Training records are evaluated with networks that have not seen the patient.
    database
        Name of the database.
    tested
        What the metrics on held-out patients belong to.

    Returns
    -------
    The report.
    """
    joined = calibration.join(evaluation.calibration for evaluation in held_out)
    group = aggregate.summarise_group(_title(database), held_out, extra=calibration.metrics(joined))
    groups = {HELD_OUT: group, **_groups(everyone)}
    glance, overview = _log_overview(groups, held_out, everyone, tested)
    details = (
        _log_beats(held_out, database)
        + _log_runs(groups, held_out)
        + _log_af(held_out)
        + _log_calibration(held_out)
        + _log_shutdown(held_out, everyone)
        + _log_members(held_out)
    )
    failures = tuple(failure for kind in KINDS for failure in worst_records(held_out, kind))
    strips = {failure.picture_file: plots.strip(read_excerpt(failure), failure.text) for failure in failures}
    for file, strip in strips.items():
        runs.log_figure(strip, f"{model_card.PICTURES_FOLDER}/{file}")
    return EvaluationReport(overview, details, failures, strips, glance)


def log_noise_evaluation(evaluations: Sequence[RecordEvaluation], database: str) -> EvaluationReport:
    """Log the results of the noise stress test, over all records and by signal-to-noise ratio.

    Parameters
    ----------
    evaluations
        The evaluated records.
    database
        Name of the database.

    Returns
    -------
    The report.
    """
    group = aggregate.summarise_group("all", evaluations)
    glance = tables.overview_table(group, {})
    overview = model_card.section("At a glance", model_card.GLANCE, model_card.markdown(glance))
    details = _log_beats(evaluations, database) + _log_shutdown(evaluations, ()) + _log_noise(evaluations)
    return EvaluationReport(overview, details, None, glance=glance)


def _log_overview(
    groups: Mapping[str, aggregate.Group],
    held_out: Sequence[RecordEvaluation],
    everyone: Sequence[RecordEvaluation],
    tested: Tested,
) -> tuple[dict[str, list[object]], str]:
    """Log every metric of every group of records; return the overview table, by column and as a section."""
    for name, group in groups.items():
        on_data = tested._asdict() if name == HELD_OUT else {}
        metrics = aggregate.metrics_with_bounds(group)
        runs.log_results(metrics, _HEADLINES.get(name, ()), prefix=f"{name}/", **on_data)
    seeds = aggregate.spread(aggregate.member_metrics(held_out))
    table = tables.overview_table(groups[HELD_OUT], seeds, groups.get(NOT_PACED), groups.get(EVERYONE))
    runs.log_table(table, "at-a-glance.json")
    paced = " ".join(evaluation.record for evaluation in everyone if evaluation.outcome.paced)
    shared = {"201", "202"} <= {evaluation.record for evaluation in everyone}
    notes = [
        model_card.GLANCE,
        *([model_card.EVERYONE] if everyone else []),
        *([model_card.SHARED] if shared else []),
        *([model_card.PACED.format(paced=paced)] if paced else []),
    ]
    return table, model_card.section("At a glance", *notes, model_card.markdown(table))


def _title(database: str) -> str:
    return "DS2" if database == "mitdb" else "held out"


def _groups(everyone: Sequence[RecordEvaluation]) -> dict[str, aggregate.Group]:
    """Summarise all records, and those without paced beats; return a single group if none is paced."""
    if not everyone:
        return {}
    not_paced = [evaluation for evaluation in everyone if not evaluation.outcome.paced]
    if len(not_paced) == len(everyone):
        return {NOT_PACED: aggregate.summarise_group(f"all {len(not_paced)}", not_paced)}
    return {
        NOT_PACED: aggregate.summarise_group(f"all {len(not_paced)} not paced", not_paced),
        EVERYONE: aggregate.summarise_with_paced(f"all {len(everyone)}", everyone),
    }


def _log_runs(groups: Mapping[str, aggregate.Group], held_out: Sequence[RecordEvaluation]) -> str:
    """Log the runs of each group, and of held-out records by the map of EC57; return them as a section."""
    by_ec57_map = aggregate.summarise_group("escape beats as S", held_out, condition=EC57_MAP)
    table = tables.run_table([*groups.values(), by_ec57_map])
    runs.log_table(table, "runs.json")
    return model_card.section("Runs", model_card.RUNS, model_card.markdown(table))


def _log_af(evaluations: Sequence[RecordEvaluation]) -> str:
    """Log AF and flutter by record; return them as a section."""
    table = tables.af_table(evaluations)
    runs.log_table(table, "af-by-record.json")
    if not table["record"]:
        return model_card.section(
            "Atrial fibrillation", "No record has AF or flutter, and AF was detected in none."
        )
    n_detected = int(sum(evaluation.outcome.af_epicmp.test_s > 0 for evaluation in evaluations))
    sentence = f"AF was detected in {n_detected} of {len(evaluations)} records."
    return model_card.section("Atrial fibrillation", model_card.AF, sentence, model_card.markdown(table))


def _log_calibration(evaluations: Sequence[RecordEvaluation]) -> str:
    """Log calibration, and the error when low-confidence beats are left out; return them as a section."""
    records = {evaluation.record: evaluation.calibration for evaluation in evaluations}
    subsets = {
        headline_metrics.SUBSET_TITLES[name]: calibration.join_without(records, without)
        for name, without in headline_metrics.applicable_subsets(records).items()
    }
    joined = calibration.join(records.values())
    reliability, risk = calibration.calibration_table(subsets), calibration.risk_table(joined)
    runs.log_table(reliability, "confidence/calibration.json")
    runs.log_table(risk, "confidence/risk-coverage.json")
    if len(joined.reference):
        runs.log_figure(plots.reliability(joined, "Reliability"), "confidence/reliability.png")
        runs.log_figure(plots.risk_coverage(joined, "Risk and coverage"), "confidence/risk-coverage.png")
    paragraphs = [
        model_card.CONFIDENCE,
        model_card.markdown(reliability),
        model_card.RISK,
        model_card.markdown(risk),
    ]
    return model_card.section("Confidence", *paragraphs, calibration.abstention_sentence(joined))


def _log_shutdown(held_out: Sequence[RecordEvaluation], everyone: Sequence[RecordEvaluation]) -> str:
    """Log the unreadable time by record; return it as a section."""
    table = tables.shutdown_table(everyone or held_out)
    runs.log_table(table, "unreadable.json")
    sentences = [
        f"{title}: {100 * share['shutdown/share']:.2f} % of the time, {share['shutdown/seconds']:.1f} s, "
        f"and {share['shutdown/beats_lost']:.0f} beats."
        for title, records in (("Held out", held_out), ("All records", everyone))
        if records
        for share in (aggregate.shutdown_metrics(records),)
    ]
    return model_card.section(
        "Unreadable", model_card.SHUTDOWN, " ".join(sentences), model_card.markdown(table)
    )


def _log_members(evaluations: Sequence[RecordEvaluation]) -> str:
    """Log the metrics of each network of the ensemble; return them as a section, "" if there are none."""
    paragraphs = []
    names = [evaluation.record for evaluation in evaluations]
    for name, without in headline_metrics.applicable_subsets(names).items():
        subset = [evaluation for evaluation in evaluations if evaluation.record not in without]
        members = aggregate.member_metrics(subset)
        if not members:
            return ""
        runs.log_results(aggregate.seed_metrics(aggregate.spread(members)), (), prefix=f"seeds/{name}/")
        rows = tables.BEAT_ROWS if without else tables.ROWS
        ensemble = aggregate.gross_metrics([evaluation.outcome for evaluation in subset])
        table = tables.seed_table(ensemble, members, rows=rows)
        runs.log_table(table, f"seeds/{name}.json")
        title = headline_metrics.SUBSET_TITLES[name].capitalize()
        paragraphs += [f"{title}:", model_card.markdown(table)]
    return model_card.section("Seeds", model_card.SEEDS, *paragraphs)


def _log_noise(evaluations: Sequence[RecordEvaluation]) -> str:
    """Log metrics by signal-to-noise ratio with detected beats; return them as a section."""
    by_name = {evaluation.record: evaluation for evaluation in evaluations}
    noise = {record: noise_db(record) or 0 for record in by_name}
    by_noise = headline_metrics.by_noise(beats_by_condition(by_name, DETECTED), noise)
    for level, metrics in by_noise.items():
        runs.log_metrics(metrics, prefix="by_noise/", step=level)
    runs.log_figure(plots.noise_curve(by_noise, "Noise stress test, detected beats"), "by-noise.png")
    table = model_card.noise_table(by_noise)
    runs.log_text(table, "by-noise.md")
    return model_card.section("By signal-to-noise ratio, detected beats", table)


def _log_beats(evaluations: Sequence[RecordEvaluation], database: str) -> str:
    """Log beat metrics under every condition, with tables and plots; return the card's sections on them."""
    text = ""
    by_name = {evaluation.record: evaluation for evaluation in evaluations}
    patients = {evaluation.record: evaluation.reference.patient for evaluation in evaluations}
    for condition, description in CONDITIONS.items():
        records = beats_by_condition(by_name, condition)
        title = f"Held-out patients of {database}: {description}"
        metrics = headline_metrics.by_subset(records)
        intervals = headline_metrics.interval_table(records, patients)
        by_record = headline_metrics.metrics_by_record(records)
        headline = headline_metrics.UNDER_A_CONDITION if condition == GIVEN else ()
        bounds = headline_metrics.interval_metrics(intervals)
        runs.log_results({**metrics, **bounds}, headline, prefix=f"{condition}/")
        runs.log_table(by_record, f"{condition}/by-record.json")
        runs.log_table(intervals, f"{condition}/intervals.json")
        confusion = plots.confusion_matrix(gross(records.values()), title)
        runs.log_figure(confusion, f"{condition}/confusion.png")
        by_patient = headline_metrics.bootstrap_intervals(records, patients)
        runs.log_figure(plots.forest(records, title, by_patient), f"{condition}/by-record.png")
        by_subset = headline_metrics.group_by_subset(metrics)
        text += model_card.held_out_section(title, by_subset, intervals)
        if condition == DETECTED:
            text += model_card.record_table(by_record)
    return text


def write_card(before: str, report: EvaluationReport, folder: Path) -> None:
    """Write the model card as a page of the documentation, with its strips in a folder beside it.

    Strips of an earlier evaluation are deleted.

    Parameters
    ----------
    before
        The model card before the evaluation, as Markdown.
    report
        The report of the evaluation.
    folder
        The folder of the page.
    """
    pictures = folder / CARD_PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    for old in pictures.glob("*.png"):
        old.unlink()
    for file, strip in report.strips.items():
        strip.savefig(pictures / file)
    page = before + report.card(pictures=CARD_PICTURES)
    (folder / CARD).write_text(page, encoding="utf-8")
