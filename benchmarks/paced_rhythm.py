"""Paced rhythm: how much of it is found, and where it is called without a pacemaker.

``uv run python benchmarks/paced_rhythm.py data`` prints Markdown tables. ``data`` has databases of the
catalogue (see ``ectopy ingest``). Only training records are read, and the paced records of mitdb, which are
in neither of its sets.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ectopy import analyse
from ectopy.annotations import read_annotations
from ectopy.datasets import catalogue, download
from ectopy.datasets.catalogue import Database
from ectopy.ecg import Mask, is_inside
from ectopy.rhythm.named_intervals import named_intervals

PACED = {"mitdb": ("102", "104", "107", "217"), "vfdb": ("602",)}
"""Records of patients with a pacemaker, by their annotations; those of ludb are named in the headers."""
DATABASES = ("mitdb", "vfdb", "svdb", "cudb", "ludb", "nstdb", "challenge-2017", "aftdb", "afpdb")
BEATS = "/fNVASEFQLRaJej"
STEP_S = 0.1  # in which the time in paced rhythm is counted


def is_paced(record: Path, database: Database) -> bool:
    """Return whether the patient has a pacemaker that is at work in the record."""
    if database.name == "ludb":
        header = record.with_name(f"{record.name}.hea").read_text(encoding="latin-1")
        return bool(re.search(r"\bpacing\b", header))
    return record.name in PACED.get(database.name, ())


def records_of(database: Database, data_dir: Path) -> Iterator[Path]:
    """Yield the records that are present and not held out."""
    wanted = {Path(record).name for record in (*database.training, *database.left_out)}
    for header in sorted(download.database_folder(database, data_dir).rglob("*.hea")):
        if header.stem in wanted:
            yield header.with_suffix("")


def paced_row(record: Path, database: Database) -> str:
    """Score a paced record: its paced time and beats by its annotations, if it has some, and by ectopy."""
    analysis = analyse(record)
    found_s = np.array([row[1:] for row in named_intervals(analysis) if row.rhythm == "paced"]).reshape(-1, 2)
    called_s = float(np.diff(found_s).sum())
    row = (
        f"| `{database.name}` {record.name} | {analysis.fs:g} | {called_s:.0f} of {analysis.duration_s:.0f} s"
    )
    if database.name != "mitdb":
        return f"{row} | - | - | - | - |"
    marks, beats = read_annotations(record, "atr"), analysis.beats
    changes = np.flatnonzero(marks.symbol == "+")
    names = [marks.aux[change].strip("\0 ") for change in changes]
    time_s = np.arange(0, analysis.duration_s, STEP_S)
    at = np.searchsorted(marks.sample[changes] / analysis.fs, time_s, side="right") - 1
    true, called = np.array([name == "(P" for name in names])[np.maximum(at, 0)], is_inside(time_s, found_s)
    is_beat = np.isin(marks.symbol, list(BEATS))
    nearest = np.abs(beats.sample[:, None] - marks.sample[is_beat]).argmin(axis=1)
    label, symbol = beats.label, marks.symbol[is_beat][nearest]
    n_hidden = int(((label == "Q") & np.isin(symbol, list("NVA"))).sum())
    return (
        f"{row} | {percent(called[true])} | {percent(true[called])} | {percent(label[symbol == '/'] == 'Q')} "
        f"| {int((label[symbol == '/'] == 'V').sum()):,}, {n_hidden:,} |"
    )


def percent(mask: Mask) -> str:
    """Return how much of a mask is True."""
    return f"{100 * mask.mean():.1f} %" if len(mask) else "-"


def main() -> None:
    """Print a table of the paced records and one of the others."""
    data_dir, others = Path(sys.argv[1] if len(sys.argv) > 1 else "data"), []
    print("| record | Hz | called paced | time, Se | time, +P | paced beats with class Q | V, and others Q |")
    print("|---|---|---|---|---|---|---|")
    for name in DATABASES:
        database = catalogue.find_database(name)
        hours = n_records = n_false = 0.0
        for record in records_of(database, data_dir):
            if is_paced(record, database):
                print(paced_row(record, database), flush=True)
                continue
            analysis = analyse(record)
            hours, n_records = hours + analysis.duration_s / 3600, n_records + 1
            n_false += len(analysis.events_of("paced"))
        if n_records:
            others.append(f"| `{name}` | {n_records:.0f} | {hours:.1f} | {n_false:.0f} |")
    print("\n| database | records without a pacemaker | hours | paced rhythms called |\n|---|---|---|---|")
    print("\n".join(others))


if __name__ == "__main__":
    main()
