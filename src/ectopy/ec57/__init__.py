"""Comparison of annotations as ANSI/AAMI EC57 demands, equal to bxb, rxr, epicmp and sumstats.

The reference annotator is always the first argument and the test annotator the second. Durations are in
seconds at the interface and in samples inside. Metrics are fractions, and NaN where undefined. The rules,
their sources and their tests are listed in ``docs/ec57.md``.
"""

from ectopy.ec57.beats import BeatComparison, Matches, compare_beats, match_beats
from ectopy.ec57.classes import BEAT_CLASS, LEARNING_S, MATCH_WINDOW_S, BeatMap, classes_of
from ectopy.ec57.disclosure import Compared, database_of, disclosure
from ectopy.ec57.episodes import EpisodeComparison, EpisodeKind, compare_episodes
from ectopy.ec57.files import NothingToCompareError, compare_directories
from ectopy.ec57.records import EPISODE_KINDS, RUN_KINDS, RecordComparison, compare_record
from ectopy.ec57.report import as_json, table, text
from ectopy.ec57.runs import RunComparison, RunKind, compare_runs
from ectopy.ec57.summary import Comparison, average, bootstrap, compute_metrics, gross, intervals

__all__ = [
    "BEAT_CLASS",
    "EPISODE_KINDS",
    "LEARNING_S",
    "MATCH_WINDOW_S",
    "RUN_KINDS",
    "BeatComparison",
    "BeatMap",
    "Compared",
    "Comparison",
    "EpisodeComparison",
    "EpisodeKind",
    "Matches",
    "NothingToCompareError",
    "RecordComparison",
    "RunComparison",
    "RunKind",
    "as_json",
    "average",
    "bootstrap",
    "classes_of",
    "compare_beats",
    "compare_directories",
    "compare_episodes",
    "compare_record",
    "compare_runs",
    "compute_metrics",
    "database_of",
    "disclosure",
    "gross",
    "intervals",
    "match_beats",
    "table",
    "text",
]
