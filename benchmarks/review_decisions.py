"""How many decisions a review takes, if an oracle answers by the reference labels.

``uv run python benchmarks/review_decisions.py data models:/ectopy/2 docs/explanation/review-decisions``
prints Markdown tables and writes a figure. Each record is analysed by the networks of the fold that held out
its patient. DS2 and the held-out records of svdb are not read.

The oracle answers the first question of :func:`ectopy.review.decisions.find_questions`. If the beats are of
one reference class, it gives them this class. If not, it splits them in up to four; a split is a decision
too. A detection without a reference beat is an artefact. F, Q and beats in ventricular flutter count in
neither F1, so the oracle leaves them with the others, but it does not call F supraventricular.
"""

import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt

from ectopy import ec57, pipeline
from ectopy.annotations import Annotations, read_annotations
from ectopy.ecg import Analysis, Labels, Samples, is_inside
from ectopy.evaluation.finding_jobs import find_model, finding_jobs
from ectopy.evaluation.record_findings import FindingJob, classifier_of
from ectopy.model.rhythm_classifier import load_rhythm_classifier
from ectopy.parallel.blas_threads import one_blas_thread
from ectopy.readers import open_recording
from ectopy.report.data_files import annotations_of
from ectopy.review.clusters import Clusters, find_clusters, split
from ectopy.review.decisions import Answers, adapt, find_questions, follow
from ectopy.review.edits import ARTEFACT

PACED = ("102", "104", "107", "217")
"""Paced records of mitdb: no training record and not in DS2."""
VEB_F1, SVEB_F1 = 0.99, 0.95
MOST = 100
"""Decisions after which the review is given up."""
WAYS: dict[str, dict[str, Any]] = {
    "alone": {"follows": False, "share": 0.0},
    "similar beats follow": {"follows": True, "share": 0.0},
    "similar beats follow, 2 % overlooked": {"follows": True, "share": 0.02},
}
"""Ways to review: whether the labels of other beats follow, and the share of other classes overlooked."""
_ANY = ("F", "Q", "")


@dataclass(frozen=True)
class Course:
    """Course of the review of a record: F1 of VEB and SVEB before each decision, and after the last."""

    key: str
    f1: tuple[tuple[float, float], ...]
    n_splits: int
    n_clusters: int
    best: tuple[float, float]
    """F1 if every detected beat had its reference label."""

    @property
    def decisions(self) -> float:
        """Decisions until both F1 are reached; infinite if they never are."""
        reached = [n for n, f1 in enumerate(self.f1) if is_reached(f1)]
        return reached[0] if reached else np.inf


def is_reached(f1: tuple[float, float]) -> bool:
    """Check both targets."""
    return f1[0] >= VEB_F1 and f1[1] >= SVEB_F1


def course_of(analysis: Analysis, reference: Annotations, key: str, *, follows: bool, share: float) -> Course:
    """Return the course of the oracle's review of a record; with ``follows``, similar beats follow."""
    truth = true_labels(analysis, reference)
    clusters = find_clusters(analysis.recording, analysis.columns, analysis.beats)
    n_clusters, n_splits = clusters.n_clusters, 0
    answers = Answers(analysis.beats.label.copy(), np.zeros(len(truth), dtype=bool))
    best = f1_of(analysis, np.where(np.isin(truth, _ANY), answers.label, truth), reference)
    course = [f1_of(analysis, answers.label, reference)]
    probability = adapt(clusters, analysis.beats.probability, answers)
    while not is_reached(course[-1]) and len(course) <= MOST:
        questions = find_questions(clusters, probability, answers)
        if not questions:
            break
        asked = questions[0]
        answer = oracle(truth[asked.members], share)
        if answer is None:
            clusters, n_splits = split_apart(clusters, asked.cluster, asked.members), n_splits + 1
            course.append(course[-1])
            continue
        label, answered = answers.label.copy(), answers.answered.copy()
        label[asked.members], answered[asked.members] = answer, True
        before, answers = answers.label, Answers(label, answered)
        probability = adapt(clusters, analysis.beats.probability, answers)
        answers = follow(probability, answers) if follows else answers
        same = (before == answers.label).all()
        course.append(course[-1] if same else f1_of(analysis, answers.label, reference))
    return Course(key, tuple(course), n_splits, n_clusters, best)


def oracle(truth: Labels, share: float) -> str | None:
    """Answer for some beats; None to split them. At most ``share`` of them may be of other classes."""
    counted = truth[~np.isin(truth, _ANY)]
    if not len(counted):
        return "Q" if "F" not in truth else "F"
    letters, counts = np.unique(counted, return_counts=True)
    answer = str(letters[counts.argmax()])
    wrong = len(counted) - counts.max() + ((truth == "F").sum() if answer == "S" else 0)
    return answer if wrong <= share * len(truth) else None


def split_apart(clusters: Clusters, number: int, members: np.ndarray[Any, Any]) -> Clusters:
    """Split some beats of a cluster in two; beats that are all the same are parted in order of time."""
    after = split(clusters, number, members)
    if after.n_clusters > clusters.n_clusters:
        return after
    cluster = clusters.cluster.copy()
    cluster[members[len(members) // 2 :]] = clusters.n_clusters
    return replace(clusters, cluster=cluster)


def true_labels(analysis: Analysis, reference: Annotations) -> Labels:
    """Return the reference class of each detected beat, the artefact, or "" in ventricular flutter."""
    label = ec57.classes_of(reference.symbol, "dechazal")
    is_beat = label != ""
    tolerance = round(ec57.MATCH_WINDOW_S * analysis.fs)
    pairs = ec57.match_beats(reference.sample[is_beat], analysis.beats.sample, tolerance=tolerance)
    truth = np.full(len(analysis.beats), ARTEFACT, dtype="U1")
    truth[is_inside(analysis.beats.sample, _flutter(reference, analysis.n_samples))] = ""
    truth[pairs.test] = label[is_beat][pairs.reference]
    return truth


def _flutter(reference: Annotations, n_samples: int) -> Samples:
    begins, ends = (reference.sample[reference.symbol == mark] for mark in "[]")
    ends = np.append(ends, n_samples)[np.searchsorted(ends, begins)]
    return np.stack([begins, ends], axis=1)


def f1_of(analysis: Analysis, label: Labels, reference: Annotations) -> tuple[float, float]:
    """Compute F1 of VEB and SVEB by EC57: 1 without such beats, and 0 if they are found where none is."""
    kept = label != ARTEFACT
    of_beats = {name: getattr(analysis.beats, name)[kept] for name in ("sample", "probability", "confident")}
    beats = replace(analysis.beats, label=label[kept], **of_beats)
    rr_s, low_quality = analysis.rr_s[kept], analysis.low_quality[kept]
    test = annotations_of(replace(analysis, beats=beats, rr_s=rr_s, low_quality=low_quality, events=()))
    counts = ec57.compare_beats(
        reference, test, analysis.fs, beat_map="dechazal", n_samples=analysis.n_samples
    )
    return _f1(counts, "V", "NSOX"), _f1(counts, "S", "NVFOX")


def _f1(counts: ec57.BeatComparison, letter: str, false: str) -> float:
    true, present = counts.count(letter, letter), counts.count(letter, "NSVFQOX")
    errors = present - true + counts.count(false, letter)
    return 2 * true / (2 * true + errors) if true + errors else 1.0


def analyses(jobs: list[FindingJob], cache: Path | None) -> Iterator[tuple[FindingJob, Analysis]]:
    """Analyse the records, or read the analyses that an earlier call kept."""
    for job in jobs:
        recording = open_recording(job.record)
        kept = cache / f"{job.key.replace('/', '-')}.pickle" if cache else None
        if kept and kept.is_file():
            yield job, Analysis(recording, *pickle.loads(kept.read_bytes()))  # noqa: S301 - our own
            continue
        name_rhythm = load_rhythm_classifier(job.rhythm_model) if job.rhythm_model else None
        analysis = pipeline.analyse(recording, classifier_of(job), name_rhythm=name_rhythm)
        if kept:
            fields = [
                getattr(analysis, name) for name in Analysis.__dataclass_fields__ if name != "recording"
            ]
            kept.write_bytes(pickle.dumps(fields))
        yield job, analysis


def print_summary(by_way: dict[str, list[Course]]) -> None:
    """Print a row for each way and group of records, then a row for each record."""
    groups = {"mitdb, DS1": is_ds1, "mitdb, paced": is_paced, "svdb": lambda key: key.startswith("svdb")}
    print(
        "| answers | records | n | without a decision | reached | median | 90th percentile |\n"
        + "|---" * 7
        + "|"
    )
    for way, courses in by_way.items():
        for name, belongs in groups.items():
            decisions = np.array([course.decisions for course in courses if belongs(course.key)])
            if len(decisions):
                at_once, reached = (decisions == 0).sum(), np.isfinite(decisions).sum()
                median, high = (_said(np.quantile(decisions, q, method="higher")) for q in (0.5, 0.9))
                print(f"| {way} | {name} | {len(decisions)} | {at_once} | {reached} | {median} | {high} |")
    print("\n| record | VEB, SVEB F1 before | possible | " + " | ".join(by_way) + " |")
    print("|---" * (3 + len(by_way)) + "|")
    for courses in zip(*by_way.values(), strict=True):
        before, best = (f"{100 * v:.1f}, {100 * s:.1f}" for v, s in (courses[0].f1[0], courses[0].best))
        cells = " | ".join(_said(course.decisions) for course in courses)
        print(f"| {courses[0].key} | {before} | {best} | {cells} |")


def is_paced(key: str) -> bool:
    """Check whether a record is a paced one of mitdb."""
    return key.startswith("mitdb/") and key[6:] in PACED


def is_ds1(key: str) -> bool:
    """Check whether a record is one of DS1."""
    return key.startswith("mitdb/") and key[6:] not in PACED


def _said(decisions: float) -> str:
    return f"{decisions:.0f}" if np.isfinite(decisions) else "never"


def draw(by_way: dict[str, list[Course]], path: Path) -> None:
    """Draw the share of records that have reached both F1 by the number of decisions."""
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    counts = np.arange(MOST + 1)
    for way, courses in by_way.items():
        for name, belongs in (("mitdb, DS1", is_ds1), ("svdb", lambda key: key.startswith("svdb"))):
            decisions = np.array([course.decisions for course in courses if belongs(course.key)])
            if len(decisions):
                shares = [100 * (decisions <= n).mean() for n in counts]
                axes.step(counts, shares, where="post", label=f"{name}: {way}")
    axes.set(
        xlabel="decisions", ylabel="records at VEB F1 99 and\nSVEB F1 95 (%)", ylim=(0, 100), xlim=(0, MOST)
    )
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def jobs_of(data_dir: Path, model: str) -> list[FindingJob]:
    """Return the training records and the paced ones, each with networks that have not seen the patient."""
    found = find_model(model)
    jobs = finding_jobs(found, ["mitdb", "svdb"], data_dir)
    folder = next(job.record.parent for job in jobs if job.database == "mitdb")
    paced = [
        FindingJob("mitdb", folder / name, f"mitdb/{name}", found.folder, found.calibration) for name in PACED
    ]
    return sorted([*jobs, *paced], key=lambda job: job.key)


def main(data_dir: Path, model: str, figure: Path, cache: Path | None = None) -> None:
    """Compute the courses of all records, then write the tables and the figure."""
    by_way: dict[str, list[Course]] = {way: [] for way in WAYS}
    with one_blas_thread():
        for job, analysis in analyses(jobs_of(data_dir, model), cache):
            reference = read_annotations(job.record, "atr")
            for way, settings in WAYS.items():
                by_way[way].append(course_of(analysis, reference, job.key, **settings))
    print_summary(by_way)
    draw(by_way, figure.with_suffix(".png"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), *(Path(folder) for folder in sys.argv[4:5]))
