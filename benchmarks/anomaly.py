"""Unusual intervals of 10 s: GRUs that learned without labels against simpler scores, at equal false alarms.

``uv run python benchmarks/anomaly.py data`` prints Markdown tables. ``data`` has the databases mitdb, svdb,
nstdb, vfdb and challenge-2017 (see ``ectopy ingest``). Only training records are read, and the paced records
of mitdb. What learns here sees mitdb and svdb alone, without labels, and never the patient: two folds. The
classifier and the rhythm network are the shipped ones. They have seen most patients, with their labels.
"""

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")  # read when Keras is imported

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from ectopy import pipeline
from ectopy.annotations import read_annotations
from ectopy.beats.windows import N_LEADS, Floats, pad_leads
from ectopy.datasets import catalogue, download
from ectopy.ecg import Labels
from ectopy.evaluation.finding_reference import LABELS, read_reference
from ectopy.features.rhythm import RHYTHM_FEATURES, iter_rhythm_features
from ectopy.model.classifier import SHIPPED_MODEL, load_classifier
from ectopy.model.rhythm_classifier import load_rhythm_classifier
from ectopy.readers import open_recording
from ectopy.rhythm.rhythm_intervals import RHYTHMS, Rhythm
from ectopy.signal.filters import WORKING_FS

LENGTH_S, TICKS = 10.0, 5  # an interval, and the ticks in it
PER_H = (1.0, 5.0)
"""False alarms per hour of sinus rhythm at which all scores are compared."""
KINDS = {
    "paced": "paced (`mitdb`)",
    "vt": "VT (`vfdb`)",
    "vf": "VF, flutter (`vfdb`, 207)",
    "asystole": "asystole (`vfdb`)",
    "noise": "noise (`vfdb`)",
    "0 dB": "0 and -6 dB (`nstdb`)",
    "12 dB": "12 and 6 dB (`nstdb`)",
    "24 dB": "24 and 18 dB (`nstdb`)",
    "noisy strip": "noisy strips (`challenge-2017`)",
    "V": "with V (`mitdb`, `svdb`)",
    "S": "with S (`mitdb`, `svdb`)",
    "normal strip": "normal strips (`challenge-2017`)",
}
"""Kinds of intervals other than sinus rhythm. Normal strips test the false alarms."""
_OF_DB = {-6: "0 dB", 0: "0 dB", 6: "12 dB", 12: "12 dB", 18: "24 dB", 24: "24 dB"}
DRAWS = 200  # of patients
N_FOLDS, SAME_FOLD = 2, ("mitdb/118", "mitdb/119", "mitdb/207")
COMPONENTS = 12  # of the windows of a lead
LIMIT = 8.0  # of a standardised value
STEPS, BATCH, SEQUENCE, UNITS, HIDDEN, NARROW = 300, 64, 48, 32, 48, 6
CHUNK, CONTEXT = 512, 32
HIDE = 0.15  # share of the values that a network for reconstruction does not see in training
NU = 4.0  # degrees of freedom of Student's t: ectopic beats in the training records then weigh little
EVENTS = "events: VT, VF, asystole, pause"
ORGANISED = "1 - probability of organised rhythm"
ADDED = ("beats: distance", "beats: linear forecast, distance", "beats: GRU forecast, likelihood")
"""Scores that are also measured relative to the patient, and together with the rhythm network."""
_LABELLED = ("p(v)", "p(s)", "low confidence")  # features by networks that learned from labels
_TICK_COLUMNS = [at for at, name in enumerate(RHYTHM_FEATURES) if name not in _LABELLED]

Score = Callable[[Floats], Floats]
"""Vectors [n, k] to scores [n], high where unusual."""
Scores = Callable[[Floats], dict[str, Floats]]
"""The same, to several scores by name."""


@dataclass(frozen=True, eq=False)
class Record:
    """A record: vectors of its beats [n, k] and ticks [m, k], windows [n, N_LEADS, w], kinds of intervals."""

    key: str
    patient: str
    kind: Labels
    time_s: NDArray[np.float64]
    windows: Floats
    beats: Floats
    ticks: Floats
    now: Mapping[str, Floats]
    """Scores of the intervals by what ectopy has already."""

    @property
    def learns(self) -> bool:
        """Whether scores may learn from the record."""
        database, name = self.key.split("/")
        return database == "svdb" or (database == "mitdb" and name in catalogue.DS1)


def of_beats(time_s: NDArray[np.float64], score: Floats, n: int) -> Floats:
    """Compute the mean score of the beats of each interval. Without a beat it is the highest of all."""
    at = (time_s // LENGTH_S).astype(int)
    count, total = np.bincount(at, minlength=n)[:n], np.bincount(at, score, minlength=n)[:n]
    return np.where(count > 0, total / np.maximum(count, 1), 1e9)


def of_ticks(score: Floats, n: int) -> Floats:
    """Compute the mean score of the ticks of each interval."""
    return score[: TICKS * n].reshape(n, TICKS).mean(axis=1)


def read_record(database: catalogue.Database, path: Path) -> Record | None:
    """Read a record; None if it has no beat or no interval."""
    recording, classify, rhythm = (
        open_recording(path),
        load_classifier(SHIPPED_MODEL),
        load_rhythm_classifier(),
    )
    prepared, n = pipeline.prepare(recording), int(recording.duration_s // LENGTH_S)
    if not n or not len(prepared.sample):
        return None
    features, windows = np.concatenate([*prepared.features]), prepared.windows
    analysis = pipeline.classify_beats(prepared, classify, features=[features], name_rhythm=rhythm)
    ticks = np.concatenate([*iter_rhythm_features(prepared.waves, analysis.beats, windows)])
    time_s = windows.sample / WORKING_FS
    rr = np.log(np.clip(np.diff(time_s, prepend=time_s[0] - 1), 0.2, 3))
    size = windows.scale / np.maximum(np.median(windows.scale, axis=0), 1e-3)
    size = np.log(np.maximum(size, 1e-3)) * windows.readable
    deviation = np.abs(rr - np.median(rr))
    events = [e for e in analysis.events if e.kind in {"vt", "vf", "asystole", "pause"}]
    now = {
        EVENTS: covered_s(((e.onset_s, e.offset_s) for e in events), n),
        "beats of low confidence": of_beats(time_s, 1.0 - analysis.beats.confident, n),
        "1 - largest probability of a class": of_beats(time_s, 1 - analysis.beats.probability.max(axis=1), n),
        ORGANISED: of_ticks(1 - rhythm([ticks])[:, RHYTHMS.index(Rhythm.ORGANISED)], n),
        "RR against the patient's median": of_beats(time_s, deviation / (np.median(deviation) + 0.02), n),
    }
    return Record(
        f"{database.name}/{path.name}",
        catalogue.patient_of(database, path.name),
        kinds_of(database, path, recording.fs, recording.n_samples),
        time_s,
        pad_leads(windows.signal).astype(np.float32) * windows.readable[:, :, None],
        np.concatenate((features, size, rr[:, None]), axis=1, dtype=np.float32),
        ticks[:, _TICK_COLUMNS],
        now,
    )


def covered_s(spans: Iterable[tuple[float, float]], n: int) -> Floats:
    """Compute how much of each interval some spans cover, in seconds."""
    start_s = LENGTH_S * np.arange(n)
    covered = np.zeros(n)
    for start, stop in spans:
        covered += np.clip(np.minimum(stop, start_s + LENGTH_S) - np.maximum(start, start_s), 0, None)
    return covered


def kinds_of(database: catalogue.Database, path: Path, fs: float, n_samples: int) -> Labels:
    """Return the kind of each interval by the labels; "" for what is mixed or of another kind."""
    n = int(n_samples / fs // LENGTH_S)
    reference = read_reference(database, path, patient="", fs=fs, n_samples=n_samples)
    kind = np.full(n, f"{reference.strip} strip" if reference.strip else "", dtype="U12")
    kind[kind == "noise strip"] = "noisy strip"
    if reference.strip:
        return kind
    if database.name == "nstdb":  # noise begins after 5 min, and every second 2 min are without
        noisy = covered_s(((start, start + 120.0) for start in range(300, 1800, 240)), n) == LENGTH_S
        kind[noisy] = _OF_DB[catalogue.noise_db(path.name) or 0]
        return kind
    if LABELS[database.name].beats:
        annotations = read_annotations(path, "atr")

        def count(symbols: str, margin_s: float = 0.0) -> NDArray[np.intp]:
            at_s = annotations.sample[np.isin(annotations.symbol, list(symbols))] / fs
            edges_s = LENGTH_S * np.arange(n)
            return np.diff(
                np.searchsorted(at_s, (edges_s - margin_s, edges_s + LENGTH_S + margin_s)), axis=0
            )[0]

        clean, beats = count("~|", 2.0) == 0, count("NLRBAaJSVrFejnE/fQ?")
        other = covered_s(((e.start_s, e.stop_s) for e in reference.episodes), n)
        kind[(beats >= 4) & (count("NLR") == beats) & clean & (other == 0)] = "sinus"
        kind[(count("AaJS") > 0) & clean] = "S"
        kind[(count("VE") > 0) & clean] = "V"
        kind[(beats >= 4) & (2 * count("/") > beats)] = "paced"
    wanted = ("vt", "vf", "asystole", "noise") if database.name == "vfdb" else ("vf", "af")
    for rhythm in wanted:
        spans = ((e.start_s, e.stop_s) for e in reference.episodes if e.rhythm == rhythm)
        kind[covered_s(spans, n) >= 0.6 * LENGTH_S] = rhythm
    return kind


def with_components(records: Sequence[Record]) -> dict[str, Floats]:
    """Return the vectors of beats with principal components of their windows, by record.

    Training records give the components, 300 beats of each lead.
    """
    rng = np.random.default_rng(0)
    learning = [record.windows for record in records if record.learns]
    drawn = np.concatenate([lead[rng.choice(len(lead), 300)] for w in learning for lead in w.swapaxes(0, 1)])
    drawn = drawn[np.abs(drawn).max(axis=1) > 0]  # a lead that cannot be read is 0
    basis = np.linalg.svd(drawn - drawn.mean(axis=0), full_matrices=False)[2][:COMPONENTS]
    return {
        record.key: np.concatenate(
            (
                record.beats,
                ((record.windows - drawn.mean(axis=0)) @ basis.T).reshape(-1, N_LEADS * COMPONENTS),
            ),
            axis=1,
            dtype=np.float32,
        )
        for record in records
    }


def distance(x: Floats) -> Score:
    """Return the log of Mahalanobis' distance from what is usual in x."""
    covariance = np.cov(x.T)
    covariance = 0.95 * covariance + np.diag(0.05 * np.diag(covariance) + 1e-4)
    mean, precision = x.mean(axis=0), np.linalg.inv(covariance)
    return lambda v: np.log1p((((v - mean) @ precision) * (v - mean)).sum(axis=1))


def neighbours(v: Floats, gap: int) -> Floats:
    """Return the four vectors on either side of each, from the ``gap``-th on, and a constant."""
    offsets = np.arange(gap, gap + 4)
    at = np.arange(len(v))[:, None] + np.concatenate((-offsets, offsets))
    return np.column_stack((v[np.clip(at, 0, len(v) - 1)].reshape(len(v), -1), np.ones(len(v))))


def linear(sequences: Sequence[Floats], gap: int) -> Score:
    """Return the distance of what a linear model of the neighbours leaves."""
    size = neighbours(sequences[0], gap).shape[1]
    square, product = 10 * np.eye(size), 0.0
    for v in sequences:
        near = neighbours(v, gap)
        square, product = square + near.T @ near, product + near.T @ v
    weights = np.linalg.solve(square, product)
    left = distance(np.concatenate([v - neighbours(v, gap) @ weights for v in sequences]))
    return lambda v: left(v - neighbours(v, gap) @ weights)


def shifted(h: keras.KerasTensor, by: int) -> keras.KerasTensor:
    """Shift a sequence by some steps, later if positive."""
    none = ops.zeros_like(h[:, : abs(by)])
    return ops.concatenate((none, h[:, :-by]) if by > 0 else (h[:, -by:], none), axis=1)


def forecaster(n_features: int, gap: int) -> keras.Model:
    """Build a GRU in each direction that predicts each vector from those before and after the gap."""
    x = keras.Input((None, n_features))
    dense = keras.layers.Dense(HIDDEN, activation="relu")(x)
    before = keras.layers.GRU(UNITS, return_sequences=True)(dense)
    after = keras.layers.GRU(UNITS, return_sequences=True, go_backwards=True)(dense)
    before = keras.layers.Lambda(lambda h: shifted(h, gap))(before)
    after = keras.layers.Lambda(lambda h: shifted(ops.flip(h, 1), -gap))(after)
    both = keras.layers.Dense(HIDDEN, activation="relu")(keras.layers.Concatenate()((before, after)))
    return keras.Model(x, keras.layers.Dense(2 * n_features)(both))


def reconstructor(n_features: int) -> keras.Model:
    """Build a GRU in each direction that reconstructs each vector from a few numbers."""
    x = keras.Input((None, n_features))
    dense = keras.layers.Dense(HIDDEN, activation="relu")(x)
    both = keras.layers.Bidirectional(keras.layers.GRU(UNITS, return_sequences=True))(dense)
    wide = keras.layers.Dense(HIDDEN, activation="relu")(keras.layers.Dense(NARROW)(both))
    return keras.Model(x, keras.layers.Dense(2 * n_features)(wide))


def surprise(x: Floats, y: Floats, xp: object = ops) -> Floats:
    """Compute minus the log of Student's t, without its constant, for means and log scales y."""
    k = x.shape[-1]
    log_scale = xp.clip(y[..., k:], -3.0, 3.0)
    squared = ((x - y[..., :k]) * xp.exp(-log_scale)) ** 2
    return (NU + 1) / 2 * xp.log1p(squared / NU) + log_scale


def train(
    model: keras.Model, sequences: Sequence[Floats], seed: int, hide: float = 0.0
) -> tuple[Score, Score]:
    """Train a network; return its surprise, and the distance of what it leaves."""
    rng = np.random.default_rng(seed)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, STEPS)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=1e-2, clipnorm=1.0)
    model.compile(optimizer, loss=lambda x, y: ops.mean(surprise(x, y), axis=-1))
    chance = np.sqrt([len(v) for v in sequences])
    for _ in range(STEPS):
        drawn = [sequences[at] for at in rng.choice(len(sequences), BATCH, p=chance / chance.sum())]
        starts = [rng.integers(len(v) - SEQUENCE + 1) for v in drawn]
        x = np.stack([v[start : start + SEQUENCE] for v, start in zip(drawn, starts, strict=True)])
        seen = (x + 0.05 * rng.standard_normal(x.shape, dtype=np.float32)) * (rng.random(x.shape) >= hide)
        model.train_on_batch(seen.astype(np.float32), x)
    left = distance(np.concatenate([v - predicted(model, v)[:, : v.shape[1]] for v in sequences]))

    def scores(v: Floats) -> dict[str, Floats]:
        y = predicted(model, v)
        return {"likelihood": surprise(v, y, np).mean(axis=1), "distance": left(v - y[:, : v.shape[1]])}

    return scores


def predicted(model: keras.Model, v: Floats) -> Floats:
    """Apply a network to a sequence, in chunks with context."""
    n, step = len(v), CHUNK - 2 * CONTEXT
    starts = [*range(0, max(n - CHUNK, 0), step), max(n - CHUNK, 0)]
    x = np.stack([np.pad(part := v[s : s + CHUNK], ((0, CHUNK - len(part)), (0, 0))) for s in starts])
    y = np.empty((max(n, CHUNK), 2 * v.shape[1]), dtype=np.float32)
    for start, chunk in zip(starts, x, strict=True):  # one shape, compiled once
        skip = CONTEXT if start else 0
        y[start + skip : start + CHUNK] = model.predict_on_batch(chunk[None])[0, skip:]
    return y[:n]


def folds_of(records: Sequence[Record]) -> dict[str, int]:
    """Deal the training patients of each database to folds; those of nstdb and 207 share the first."""
    rng, folds = np.random.default_rng(0), dict.fromkeys(SAME_FOLD, 0)
    for database in ("mitdb", "svdb"):
        patients = {r.patient for r in records if r.learns and r.key.startswith(database)}
        for number, at in enumerate(rng.permutation(sorted(patients - folds.keys())).tolist()):
            folds[at] = number % N_FOLDS
    return folds


def learned_scores(records: Sequence[Record]) -> dict[str, dict[str, Floats]]:
    """Compute the scores of intervals that learn from mitdb and svdb, by name and record, out of fold.

    The mean of all folds scores the patients of other records.
    """
    folds, beats = folds_of(records), with_components(records)
    found: dict[str, dict[str, list[Floats]]] = {}
    for fold in range(N_FOLDS):
        for unit, vectors, gap in (
            ("beats", beats, 1),
            ("ticks", {record.key: record.ticks for record in records}, 2),
        ):
            known = [vectors[r.key] for r in records if r.learns and folds[r.patient] != fold]
            joined = np.concatenate(known)
            middle, (low, high) = np.median(joined, axis=0), np.percentile(joined, (16, 84), axis=0)
            scale = np.maximum((high - low) / 2, 0.3 * joined.std(axis=0)) + 1e-3

            def standard(v: Floats, middle: Floats = middle, scale: Floats = scale) -> Floats:
                return np.clip((v - middle) / scale, -LIMIT, LIMIT).astype(np.float32)

            sequences = [standard(v) for v in known if len(v) >= SEQUENCE]
            keras.utils.set_random_seed(fold)
            width = sequences[0].shape[1]
            simple = {
                f"{unit}: distance": distance(np.concatenate(sequences)),
                f"{unit}: linear forecast, distance": linear(sequences, gap),
            }
            networks = {f"{unit}: GRU forecast": train(forecaster(width, gap), sequences, fold)}
            if unit == "beats":
                rebuild = train(reconstructor(width), sequences, fold, HIDE)
                networks["beats: GRU reconstruction"] = rebuild
            for record in records:
                if folds.get(record.patient, fold) != fold:
                    continue
                n, v = len(record.kind), standard(vectors[record.key])
                scores = {name: score(v) for name, score in simple.items()}
                for name, network in networks.items():
                    scores |= {f"{name}, {what}": values for what, values in network(v).items()}
                for name, values in scores.items():
                    mean = of_beats(record.time_s, values, n) if unit == "beats" else of_ticks(values, n)
                    found.setdefault(name, {}).setdefault(record.key, []).append(mean)
    return {name: {key: np.mean(values, axis=0) for key, values in of.items()} for name, of in found.items()}


def either(
    records: Sequence[Record], first: Mapping[str, Floats], second: Mapping[str, Floats]
) -> dict[str, Floats]:
    """Return the larger of two scores of intervals, each as its rank among those of sinus rhythm."""
    ranks = []
    for score in (first, second):
        sinus = np.sort(np.concatenate(by_patient(records, score, "sinus")))
        ranks.append({key: np.searchsorted(sinus, values) for key, values in score.items()})
    return {key: np.maximum(values, ranks[1][key]).astype(float) for key, values in ranks[0].items()}


def against_patient(score: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the distance of scores from the median of their record, over the median distance."""
    relative = {}
    for key, values in score.items():
        deviation = values - np.median(values)
        relative[key] = deviation / (np.median(np.abs(deviation)) + 0.05)
    return relative


def by_patient(records: Sequence[Record], score: Mapping[str, Floats], kind: str) -> list[Floats]:
    """Return the scores of the intervals of a kind, an array for each patient."""
    parts: dict[str, list[Floats]] = {}
    for record in records:
        if (inside := record.kind == kind).any():
            parts.setdefault(record.patient, []).append(score[record.key][inside])
    return [np.concatenate(part) for part in parts.values()]


def limits(sinus: Sequence[Floats], per_h: float) -> Floats:
    """Return the score that sinus rhythm exceeds ``per_h`` times an hour, then that of drawn patients."""
    rng, n = np.random.default_rng(0), len(sinus)
    groups = [sinus, *([sinus[at] for at in rng.integers(n, size=n)] for _ in range(DRAWS))]
    share = per_h * LENGTH_S / 3600
    return np.array([np.quantile(np.concatenate(group), 1 - share, method="higher") for group in groups])


def found(of_kind: Sequence[Floats], limits: Floats) -> str:
    """Return the share above a limit in percent, with its 90 % interval over patients."""
    above = np.stack([len(part) - np.searchsorted(np.sort(part), limits, side="right") for part in of_kind])
    size = np.array([len(part) for part in of_kind])
    patients = np.random.default_rng(1).integers(len(size), size=(DRAWS, len(size)))
    drawn = above[patients, 1 + np.arange(DRAWS)[:, None]].sum(axis=1) / size[patients].sum(axis=1)
    low, high = np.percentile(drawn, (5, 95))
    return f"{100 * above[:, 0].sum() / size.sum():.0f} ({100 * low:.0f} - {100 * high:.0f})"


def area(of_kind: Sequence[Floats], sinus: Sequence[Floats]) -> str:
    """Return the area under the ROC curve."""
    usual, unusual = np.sort(np.concatenate(sinus)), np.concatenate(of_kind)
    below = (np.searchsorted(usual, unusual) + np.searchsorted(usual, unusual, "right")) / 2
    return f"{below.mean() / len(usual):.2f}"


def main(data_dir: Path) -> None:
    """Print a table for each number of false alarms."""
    records = []
    for name in ("mitdb", "svdb", "nstdb", "vfdb", "challenge-2017"):
        database = catalogue.find_database(name)
        wanted = {*database.training, *database.left_out} if name != "nstdb" else set(database.held_out)
        folder = download.database_folder(database, data_dir)
        paths = [path.with_suffix("") for path in sorted(folder.rglob("*.hea")) if path.stem in wanted]
        records += [record for path in paths if (record := read_record(database, path))]
    scores = {name: {record.key: record.now[name] for record in records} for name in records[0].now}
    learned = learned_scores(records)
    rhythm = scores[ORGANISED]
    scores |= learned
    scores |= {f"{name}, against the patient": against_patient(learned[name]) for name in ADDED}
    scores |= {f"{ORGANISED}, or {name}": either(records, rhythm, learned[name]) for name in ADDED}
    some = by_patient(records, next(iter(scores.values())), "sinus")
    print(f"{sum(map(len, some))} intervals of sinus rhythm of {len(some)} patients\n")
    flagged = np.concatenate(by_patient(records, scores[EVENTS], "sinus")) > 0
    print(f"{EVENTS}: in {3600 / LENGTH_S * flagged.mean():.2f} of them per hour\n")
    for per_h in (None, *PER_H):
        what = f"% found at {per_h:g} false alarms per hour" if per_h else "Area under the ROC curve"
        print(f"{what}\n\n| score | {' | '.join(KINDS.values())} |")
        print("|---" * (len(KINDS) + 1) + "|")
        for name, score in scores.items():
            sinus = by_patient(records, score, "sinus")
            cell = partial(found, limits=limits(sinus, per_h)) if per_h else partial(area, sinus=sinus)
            print(f"| {name} | {' | '.join(cell(by_patient(records, score, kind)) for kind in KINDS)} |")
        print()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
