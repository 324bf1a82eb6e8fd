"""What an examination tells: figures, tables and drawings to the tracking store, sections to the card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from ectopy.datasets.catalogue import noise_db
from ectopy.ec57 import gross
from ectopy.ec57.reference import CONDITIONS, DETECTED, EC57_MAP
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
"""The card as a page of the documentation, and the folder of its strips beside it."""


@dataclass(frozen=True, eq=False)
class EvaluationReport:
    """What was told of an examination: the table at a glance, sections in detail, and where the model fails.

    ``failures`` is None where nobody looked; ``strips`` are the drawings of ``failures`` by file name.
    """

    overview: str
    details: str
    failures: tuple[Failure, ...] | None
    strips: Mapping[str, Figure] = field(default_factory=dict)

    @property
    def report(self) -> str:
        """All of it to be read in a terminal, the table at a glance last."""
        return self.details + self._fails() + self.overview

    def card(self, *, pictures: str = "") -> str:
        """All of it for the model card, whose strips lie in a folder beside it."""
        return self.overview + self.details + self._fails(pictures)

    def _fails(self, pictures: str = "") -> str:
        return "" if self.failures is None else model_card.failures_section(self.failures, pictures)


def log_evaluation(held_out: Sequence[RecordEvaluation], everyone: Sequence[RecordEvaluation], database: str) -> EvaluationReport:
    """Log all about held-out records, and about every record by networks that have not seen it, if any."""
    judged = calibration.join(each.calibration for each in held_out)
    held = aggregate.summarise_group(_title(database), held_out, extra=calibration.metrics(judged))
    sums = {HELD_OUT: held, **_groups(everyone)}
    glance = log_overview(sums, held_out, everyone)
    detail = (
        log_beats(held_out, database) + log_runs(sums, held_out) + log_af(held_out) + log_confidence(held_out)
    )
    detail += log_shutdown(held_out, everyone) + log_seeds(held_out)
    failures = tuple(failure for kind in KINDS for failure in worst_records(held_out, kind))
    strips = {failure.picture_file: plots.strip(read_excerpt(failure), failure.text) for failure in failures}
    for file, strip in strips.items():
        runs.log_figure(strip, f"{model_card.PICTURES_FOLDER}/{file}")
    return EvaluationReport(glance, detail, failures, strips)


def log_noise_evaluation(examined: Sequence[RecordEvaluation], database: str) -> EvaluationReport:
    """Log the figures of the noise stress test, in all and by signal-to-noise ratio."""
    group = aggregate.summarise_group("all", examined)
    glance = model_card.section(
        "At a glance", model_card.GLANCE, model_card.markdown(tables.overview_table(group, {}))
    )
    detail = log_beats(examined, database) + log_shutdown(examined, ()) + log_noise(examined)
    return EvaluationReport(glance, detail, None)


def log_overview(
    sums: Mapping[str, aggregate.Group],
    held_out: Sequence[RecordEvaluation],
    everyone: Sequence[RecordEvaluation],
) -> str:
    """Log every figure of every group of records; give the table at a glance as a section."""
    for name, group in sums.items():
        runs.log_metrics(aggregate.metrics_with_bounds(group), prefix=f"{name}/")
    seeds = aggregate.spread(aggregate.member_metrics(held_out))
    table = tables.overview_table(sums[HELD_OUT], seeds, sums.get(NOT_PACED), sums.get(EVERYONE))
    runs.log_table(table, "at-a-glance.json")
    paced = " ".join(each.record for each in everyone if each.outcome.paced)
    shared = {"201", "202"} <= {each.record for each in everyone}
    notes = [
        model_card.GLANCE,
        *([model_card.EVERYONE] if everyone else []),
        *([model_card.SHARED] if shared else []),
        *([model_card.PACED.format(paced=paced)] if paced else []),
    ]
    return model_card.section("At a glance", *notes, model_card.markdown(table))


HELD_OUT, NOT_PACED, EVERYONE = "held_out", "everyone_not_paced", "everyone"
"""Groups of records, as their metrics' names begin."""


def _title(database: str) -> str:
    return "DS2" if database == "mitdb" else "held out"


def _groups(everyone: Sequence[RecordEvaluation]) -> dict[str, aggregate.Group]:
    """Sum up every record, and those that are not paced, the same where none is."""
    if not everyone:
        return {}
    clean = [each for each in everyone if not each.outcome.paced]
    if len(clean) == len(everyone):
        return {NOT_PACED: aggregate.summarise_group(f"all {len(clean)}", clean)}
    return {
        NOT_PACED: aggregate.summarise_group(f"all {len(clean)} not paced", clean),
        EVERYONE: aggregate.summarise_with_paced(f"all {len(everyone)}", everyone),
    }


def log_runs(sums: Mapping[str, aggregate.Group], held_out: Sequence[RecordEvaluation]) -> str:
    """Log the runs of each group of records, of held-out ones by EC57's map too; give them as a section."""
    other = aggregate.summarise_group("escape beats as S", held_out, condition=EC57_MAP)
    table = tables.run_table([*sums.values(), other])
    runs.log_table(table, "runs.json")
    return model_card.section("Runs", model_card.RUNS, model_card.markdown(table))


def log_af(examined: Sequence[RecordEvaluation]) -> str:
    """Log AF and flutter by record; give them as a section."""
    table = tables.af_table(examined)
    runs.log_table(table, "af-by-record.json")
    if not table["record"]:
        return model_card.section(
            "Atrial fibrillation", "No record has AF or flutter, and none was called so."
        )
    called = int(sum(each.outcome.af_epicmp.test_s > 0 for each in examined))
    told = f"AF was called in {called} of {len(examined)} records."
    return model_card.section("Atrial fibrillation", model_card.AF, told, model_card.markdown(table))


def log_confidence(examined: Sequence[RecordEvaluation]) -> str:
    """Log calibration, and the error that abstaining leaves; give them as a section."""
    records = {each.record: each.calibration for each in examined}
    subsets = {
        headline_metrics.SUBSET_TITLES[name]: calibration.join_without(records, without)
        for name, without in headline_metrics.applicable_subsets(records).items()
    }
    judged = calibration.join(records.values())
    reliability, risk = calibration.calibration_table(subsets), calibration.risk_table(judged)
    runs.log_table(reliability, "confidence/calibration.json")
    runs.log_table(risk, "confidence/risk-coverage.json")
    if len(judged.reference):
        runs.log_figure(plots.reliability(judged, "Reliability"), "confidence/reliability.png")
        runs.log_figure(plots.risk_coverage(judged, "Risk and coverage"), "confidence/risk-coverage.png")
    texts = [
        model_card.CONFIDENCE,
        model_card.markdown(reliability),
        model_card.RISK,
        model_card.markdown(risk),
    ]
    return model_card.section("Confidence", *texts, calibration.abstention_sentence(judged))


def log_shutdown(held_out: Sequence[RecordEvaluation], everyone: Sequence[RecordEvaluation]) -> str:
    """Log the time that could not be read, by record; give it as a section."""
    table = tables.shutdown_table(everyone or held_out)
    runs.log_table(table, "unreadable.json")
    told = [
        f"{title}: {100 * share['shutdown/share']:.2f} % of the time, {share['shutdown/seconds']:.1f} s, "
        f"and {share['shutdown/beats_lost']:.0f} beats."
        for title, records in (("Held out", held_out), ("All records", everyone))
        if records
        for share in (aggregate.shutdown_metrics(records),)
    ]
    return model_card.section("Unreadable", model_card.SHUTDOWN, " ".join(told), model_card.markdown(table))


def log_seeds(examined: Sequence[RecordEvaluation]) -> str:
    """Log how the members of the ensemble do alone; give it as a section, '' where there is none."""
    text = []
    for name, without in headline_metrics.applicable_subsets([each.record for each in examined]).items():
        kept = [each for each in examined if each.record not in without]
        alone = aggregate.member_metrics(kept)
        if not alone:
            return ""
        runs.log_metrics(aggregate.seed_metrics(aggregate.spread(alone)), prefix=f"seeds/{name}/")
        rows = tables.BEAT_ROWS if without else tables.ROWS
        ensemble = aggregate.gross_metrics([each.outcome for each in kept])
        table = tables.seed_table(ensemble, alone, rows=rows)
        runs.log_table(table, f"seeds/{name}.json")
        text += [f"{headline_metrics.SUBSET_TITLES[name].capitalize()}:", model_card.markdown(table)]
    return model_card.section("Seeds", model_card.SEEDS, *text)


def log_noise(examined: Sequence[RecordEvaluation]) -> str:
    """Log figures by signal-to-noise ratio with detected beats; give them as a section."""
    by_name = {each.record: each for each in examined}
    noise = {record: noise_db(record) or 0 for record in by_name}
    found = headline_metrics.by_noise(beats_by_condition(by_name, DETECTED), noise)
    for level, figures in found.items():
        runs.log_metrics(figures, prefix="by_noise/", step=level)
    runs.log_figure(plots.noise_curve(found, "Noise stress test, detected beats"), "by-noise.png")
    table = model_card.noise_table(found)
    runs.log_text(table, "by-noise.md")
    return model_card.section("By signal-to-noise ratio, detected beats", table)


def log_beats(examined: Sequence[RecordEvaluation], database: str) -> str:
    """Log figures beat by beat in every way, with tables and drawings; give the card's sections on them."""
    text = ""
    by_name = {each.record: each for each in examined}
    patients = {each.record: each.reference.patient for each in examined}
    for way, how in CONDITIONS.items():
        records = beats_by_condition(by_name, way)
        title = f"Held-out patients of {database}: {how}"
        figures = headline_metrics.by_subset(records)
        intervals = headline_metrics.interval_table(records, patients)
        by_record = headline_metrics.metrics_by_record(records)
        runs.log_metrics(figures, prefix=f"{way}/")
        runs.log_metrics(headline_metrics.interval_metrics(intervals), prefix=f"{way}/")
        runs.log_table(by_record, f"{way}/by-record.json")
        runs.log_table(intervals, f"{way}/intervals.json")
        runs.log_figure(plots.confusion_matrix(gross(records.values()), title), f"{way}/confusion.png")
        spread = headline_metrics.bootstrap_intervals(records, patients)
        runs.log_figure(plots.forest(records, title, spread), f"{way}/by-record.png")
        text += model_card.held_out_section(title, headline_metrics.group_by_subset(figures), intervals)
        if way == DETECTED:
            text += model_card.record_table(by_record)
    return text


def write_card(before: str, told: EvaluationReport, folder: Path) -> None:
    """Write the card as a page of the documentation, its strips in a folder beside it; older ones go.

    ``before`` is what the card said before the examination.
    """
    pictures = folder / CARD_PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    for old in pictures.glob("*.png"):
        old.unlink()
    for file, strip in told.strips.items():
        strip.savefig(pictures / file)
    page = before + told.card(pictures=CARD_PICTURES)
    (folder / CARD).write_text(page, encoding="utf-8")
