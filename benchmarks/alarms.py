"""Alarms of a stream: their delay from the true onset, missed episodes, and false alarms per 24 h.

``uv run python benchmarks/alarms.py data MODEL`` prints Markdown tables, where MODEL is the folder of a
streaming model. The network of the alarms is trained four times, each time without a quarter of the patients,
and judges only patients that it has not seen. The beats are those of MODEL, which may have learnt from
records of mitdb and svdb. Every record runs through :class:`ectopy.Stream`. ``--every 3`` takes every third
record of the databases without fibrillation.

An episode of ventricular fibrillation, flutter or tachycardia is told if an alarm of either name begins in
it or lasts at its onset. The delays are those of the former. cudb states 5 s windows, so its onsets are known
to 5 s.

An alarm is false outside of the episodes that the database states. An extreme rate is not false if the labels
of the beats have it too. vfdb has no such labels, and cudb states fibrillation alone, so there the other
alarms are not judged. afpdb states nothing, and all its alarms count as false.
"""

import argparse
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ectopy.annotations import read_annotations
from ectopy.beats.lead_selection import choose_leads
from ectopy.datasets import catalogue, download
from ectopy.ec57 import classes_of
from ectopy.ecg import Recording, true_intervals
from ectopy.evaluation.alarm_examples import WITH_FIBRILLATION, read_alarm_examples, training_records
from ectopy.evaluation.finding_reference import LABELS, Episode, FindingReference, read_reference
from ectopy.evaluation.rhythm_examples import with_standstill
from ectopy.live.alarm_network import AlarmModel
from ectopy.live.alarm_training import fit, split_patients
from ectopy.live.alarms import ALARMS, AlarmLimits
from ectopy.live.network import LiveModel, load_live_model
from ectopy.live.stream import Stream, Update
from ectopy.readers import open_recording

Floats = NDArray[np.float64]

DATABASES = ("vfdb", "cudb", "mitdb", "svdb", "nstdb", "afpdb")
SHORTEST_S = 5.0
"""Shorter episodes need no alarm."""
SETTLED_S = 10.0
"""Episodes that begin earlier are not judged: the stream is still learning."""
LATE_S = 5.0
"""An alarm so long after the end of an episode is still of it."""
MALIGNANT = {"vt": ("vt", "vf"), "vf": ("vt", "vf"), "asystole": ("asystole",)}
"""Alarms that tell an episode."""
JUDGED = {"cudb": ("vf",), "vfdb": ("vf", "vt", "asystole")}
"""Alarms that the labels of a database can refute; all of the other databases."""
UNCERTAIN = ("vt", "vf", "ivr", "asystole", "noise")
"""Episodes in and around which no alarm is false, whether they count or not."""
LIMITS = AlarmLimits()
NEAR = 1.05
"""A true rate so near to its limit is extreme too."""
RATE_S = 15.0
"""Time before an alarm in which its rate is sought."""
BLOCK_S = 60.0


class Alarm(NamedTuple):
    """An alarm: when it was told, and when its end was told."""

    name: str
    at_s: float
    end_s: float


class Job(NamedTuple):
    """A record with what its database states, its beats, and a model that has not seen its patient."""

    database: str
    recording: Recording
    reference: FindingReference
    model: LiveModel
    beats_s: Floats


class Tally:
    """Delays of episodes by database and rhythm, false alarms by database and name, and hours."""

    def __init__(self) -> None:
        self.delays: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.named: dict[tuple[str, str], int] = defaultdict(int)
        self.lasting: dict[tuple[str, str], int] = defaultdict(int)
        self.missed: list[str] = []
        self.false: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.false_in: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.hours: dict[str, float] = defaultdict(float)

    def add_episode(self, group: str, key: str, episode: Episode, alarms: list[Alarm]) -> None:
        """Judge an episode."""
        place = (group, episode.rhythm)
        inside = [
            one
            for one in alarms
            if one.name in MALIGNANT[episode.rhythm]
            and one.at_s <= episode.stop_s + LATE_S
            and one.end_s >= episode.start_s
        ]
        if not inside:
            self.missed.append(
                f"{key}: {episode.rhythm} at {episode.start_s:.0f} s, {episode.duration_s:.0f} s"
            )
            self.delays[place].append(np.inf)
            return
        delay_s = min(one.at_s for one in inside) - episode.start_s
        self.lasting[place] += delay_s < 0
        self.delays[place] += [delay_s] if delay_s >= 0 else []
        self.named[place] += any(one.name == episode.rhythm for one in inside)

    def add_false(self, job: Job, alarms: list[Alarm]) -> None:
        """Count the alarms that begin in no episode, and the hours outside of episodes."""
        around = [(one.start_s - SHORTEST_S, one.stop_s + LATE_S) for one in _all_episodes(job.reference)]
        for alarm in alarms:
            is_near = any(start <= alarm.at_s <= stop for start, stop in around)
            if not is_near and not _is_true_rate(job.beats_s, alarm):
                self.false[job.database][alarm.name] += 1
                self.false_in[job.reference.key][alarm.name] += 1
        inside = sum(one.duration_s for one in _all_episodes(job.reference))
        self.hours[job.database] += max(job.recording.duration_s - inside, 0) / 3600


def _is_true_rate(beats_s: Floats, alarm: Alarm) -> bool:
    """Return whether the labelled beats before an alarm have the extreme rate that it tells."""
    slow = alarm.name == "extreme_bradycardia"
    n = (LIMITS.bradycardia_beats if slow else LIMITS.tachycardia_beats) - 1
    near_s = beats_s[(beats_s > alarm.at_s - RATE_S) & (beats_s <= alarm.at_s)]
    if not alarm.name.startswith("extreme") or len(near_s) <= n:
        return False
    bpm = 60 * n / (near_s[n:] - near_s[:-n])
    return bool(
        bpm.min() < NEAR * LIMITS.bradycardia_bpm if slow else bpm.max() > LIMITS.tachycardia_bpm / NEAR
    )


def _all_episodes(reference: FindingReference) -> list[Episode]:
    """Return the episodes of a record; of cudb, the runs of windows with fibrillation."""
    found: list[Episode] = [one for one in reference.episodes if one.rhythm in UNCERTAIN]
    for window in reference.windows:
        if window.shockable and found and found[-1].stop_s >= window.start_s:
            found[-1] = replace(found[-1], stop_s=window.stop_s)
        elif window.shockable:
            found.append(Episode("vf", window.start_s, window.stop_s))
    return found


def alarms_of(recording: Recording, model: LiveModel) -> list[Alarm]:
    """Run a record through a stream."""
    columns = choose_leads(recording.leads)
    names = [str(column) for column in columns]  # two leads of vfdb have one name
    stream, step, updates = Stream(recording.fs, names, model=model), round(BLOCK_S * recording.fs), []
    for start in range(0, recording.n_samples, step):
        stop = min(start + step, recording.n_samples)
        updates += stream.push(recording.read_leads(columns, start, stop))
    return _paired(updates, recording.duration_s)


def _paired(updates: list[Update], duration_s: float) -> list[Alarm]:
    open_, alarms = {}, []
    for one in updates:
        if one.kind == "alarm":
            open_[one.label] = one.at_s
        elif one.kind == "alarm_end":
            alarms.append(Alarm(one.label, open_.pop(one.label), one.at_s))
    return [*alarms, *(Alarm(name, at_s, duration_s) for name, at_s in open_.items())]


def fold_models(data_dir: Path) -> tuple[list[frozenset[str]], list[AlarmModel]]:
    """Train the network of the alarms without the patients of each fold."""
    examples = [
        one for name, record in training_records(data_dir) for one in read_alarm_examples(name, record)
    ]
    folds = split_patients(examples)
    return folds, [fit([one for one in examples if one.patient not in fold]) for fold in folds]


def jobs(
    data_dir: Path, model: LiveModel, folds: list[frozenset[str]], models: list[AlarmModel], every: int
) -> Iterator[Job]:
    """Pair the records with a model that has not seen the patient; any will do for an unknown patient."""
    for name in DATABASES:
        database = catalogue.find_database(name)
        wanted = {Path(record).name for record in database.training}
        headers = sorted(download.database_folder(database, data_dir).rglob("*.hea"))
        present = [header for header in headers if not wanted or header.stem in wanted]
        for header in present if name in WITH_FIBRILLATION else present[::every]:
            record, patient = header.with_suffix(""), catalogue.patient_of(database, header.stem)
            recording = open_recording(record)
            reference = read_reference(
                database, record, patient=patient, fs=recording.fs, n_samples=recording.n_samples
            )
            number = next((place for place, fold in enumerate(folds) if patient in fold), 0)
            beats_s = beats_of(record, recording.fs) if LABELS[name].beats else np.empty(0)
            yield Job(name, recording, reference, replace(model, alarms=models[number]), beats_s)


def beats_of(record: Path, fs: float) -> Floats:
    """Return the times of the labelled beats of a record."""
    annotations = read_annotations(record, "atr")
    return np.asarray(annotations.sample[classes_of(annotations.symbol) != ""] / fs)


def judge(job: Job, tally: Tally) -> None:
    """Run a record, and for mitdb the same with standstill."""
    alarms = alarms_of(job.recording, job.model)
    if job.database in WITH_FIBRILLATION:
        for episode in _all_episodes(job.reference):
            counts = episode.counts and episode.rhythm in MALIGNANT and episode.start_s >= SETTLED_S
            if counts and episode.duration_s >= SHORTEST_S:
                tally.add_episode(job.database, job.reference.key, episode, alarms)
    tally.add_false(job, alarms)
    if job.database == "mitdb":
        rng = np.random.default_rng(zlib.crc32(job.reference.key.encode()))
        signal, still = with_standstill(job.recording, rng)
        stopped = replace(job.recording, read=lambda start, stop: signal[start:stop])
        found = alarms_of(stopped, job.model)
        for start, stop in (true_intervals(still) / job.recording.fs).tolist():
            if start >= SETTLED_S and stop - start >= SHORTEST_S:
                episode = Episode("asystole", start, stop)
                tally.add_episode("mitdb with standstill", job.reference.key, episode, found)


def report(tally: Tally) -> str:
    """Return the tables."""
    lines = [
        "| episodes | number | told | by their own name | already | delay: median | 90th | 95th percentile |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (group, rhythm), values in tally.delays.items():
        lasting = tally.lasting[group, rhythm]
        number = len(values) + lasting
        told = (np.isfinite(values).sum() + lasting) / number
        named = tally.named[group, rhythm] / number
        shares = (0.5, 0.9, 0.95)
        delay = [
            f"{np.quantile(values, share, method='higher'):.1f} s" if values else "-" for share in shares
        ]
        cells = [group, rhythm, number, f"{told:.0%}", f"{named:.0%}", lasting, *delay]
        lines.append(f"| {cells[0]} {cells[1]} | {' | '.join(map(str, cells[2:]))} |")
    lines += [
        "",
        f"| false alarms in 24 h | hours | {' | '.join(ALARMS)} |",
        "|---" * (2 + len(ALARMS)) + "|",
    ]
    for database, hours in tally.hours.items():
        judged = JUDGED.get(database, ALARMS)
        rates = [
            f"{24 * tally.false[database][name] / hours:.1f}" if name in judged else "-" for name in ALARMS
        ]
        lines.append(f"| {database} | {hours:.1f} | {' | '.join(rates)} |")
    lines += ["", "Missed:", "", *(f"* {one}" for one in tally.missed), "", "False:", ""]
    lines += [f"* {key}: {dict(count)}" for key, count in tally.false_in.items()]
    return "\n".join(lines).replace("inf s", "missed")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--every", type=int, default=1)
    arguments = parser.parse_args()
    folds, models = fold_models(arguments.data)
    tally = Tally()
    for job in jobs(arguments.data, load_live_model(arguments.model), folds, models, arguments.every):
        judge(job, tally)
    print(report(tally))


if __name__ == "__main__":
    main()
