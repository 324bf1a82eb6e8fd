"""How regular the waves between the beats are in each irregular episode: flutter against fibrillation.

``uv run python benchmarks/atrial_flutter.py data models:/ectopy/N`` prints a Markdown table of the databases
in ``data``, with networks that have not seen the patient, as ``ectopy evaluate-findings`` does. DS2 is not
read.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ectopy import pipeline
from ectopy.ecg import Analysis
from ectopy.evaluation.finding_jobs import FindingJob, find_model, finding_jobs
from ectopy.evaluation.record_findings import classifier_of
from ectopy.model.rhythm_classifier import load_rhythm_classifier
from ectopy.readers import open_recording
from ectopy.rhythm.atrial_flutter import regularity_of_waves
from ectopy.rhythm.finders import ventricular

HEADER = ("database", "records", "hours", "fibrillation", "largest regularity", "flutter", "records with it")


def analyse(job: FindingJob) -> tuple[Analysis, dict[str, list[float]]]:
    """Analyse a record; return also the largest regularity of each episode of ``af`` and of ``afl``."""
    prepared = pipeline.prepare(open_recording(job.record))
    name_rhythm = load_rhythm_classifier(job.rhythm_model) if job.rhythm_model else None
    analysis = pipeline.classify_beats(prepared, classifier_of(job), name_rhythm=name_rhythm)
    wide = ventricular(analysis.beats)
    largest = {
        kind: [
            float(regularity_of_waves(prepared.windows, wide, part.start, part.stop).max())
            for event in analysis.events_of(kind)
            if (part := analysis.beats.between(event.onset_s, event.offset_s)).start < part.stop
        ]
        for kind in ("af", "afl")
    }
    return analysis, largest


def rows(jobs: list[FindingJob]) -> Iterator[tuple[str, ...]]:
    """Yield one row for each database."""
    for name in dict.fromkeys(job.database for job in jobs):
        found = [analyse(job) for job in jobs if job.database == name]
        hours = sum(analysis.duration_s for analysis, _ in found) / 3600
        fibrillation, flutter = (
            [value for _, largest in found for value in largest[kind]] for kind in ("af", "afl")
        )
        named = [analysis.name for analysis, largest in found if largest["afl"]]
        regularity = f"{np.median(fibrillation):.2f}, up to {max(fibrillation):.2f}" if fibrillation else "-"
        counts = (f"{len(found)}", f"{hours:.1f}", f"{len(fibrillation)}", regularity, f"{len(flutter)}")
        yield name, *counts, ", ".join(named) or "-"


def main(data_dir: Path, model: str) -> None:
    """Print the table."""
    print(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}")
    for row in rows(finding_jobs(find_model(model), (), data_dir)):
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
