"""The cache of what does not depend on the model: the same results, whatever is in it and whatever happens."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ectopy import pipeline
from ectopy.batch import prepared_cache, runner
from ectopy.batch.cache_folder import CacheFolder, open_cache
from ectopy.batch.planning import Job, ScoreOptions
from ectopy.batch.provenance import InputFiles
from ectopy.readers import open_recording
from tests.small import signal_of, write_model, write_record


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "normal")


@pytest.fixture
def cache(tmp_path: Path) -> CacheFolder:
    found = open_cache(tmp_path / "cache", max_gb=1)
    assert found
    return found


@pytest.fixture
def options(model: Path, cache: CacheFolder) -> ScoreOptions:
    return ScoreOptions(model, cache=cache)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return write_record(tmp_path / "records")


def score(record: Path, out: Path, options: ScoreOptions) -> dict[str, bytes]:
    """Score a recording, and return the content of each of its files."""
    out.mkdir(exist_ok=True)
    row = runner.score_one(Job(record, "r", out, options))
    assert row["status"] == "scored"
    return {path.name: path.read_bytes() for path in (out / "r").iterdir()}


def entries(cache: CacheFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in cache.path.iterdir()}


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the recordings that were prepared and not found in the cache, in order."""
    names = []
    prepare = pipeline.prepare

    def noted(recording: Any, **options: Any) -> Any:
        names.append(recording.name)
        return prepare(recording, **options)

    monkeypatch.setattr(pipeline, "prepare", noted)
    return names


def with_gap() -> NDArray[np.float32]:
    signal = signal_of().copy()
    signal[2000:6000] = np.nan
    return signal


RECORDINGS: dict[str, Callable[[], NDArray[np.float32]]] = {
    "two leads": signal_of,
    "one lead": lambda: signal_of()[:, :1],
    "a gap": with_gap,
    "flat": lambda: np.zeros((5000, 2), dtype=np.float32),
    "all missing": lambda: np.full((5000, 2), np.nan, dtype=np.float32),
    "half a second": lambda: signal_of()[:125],
}


class TestResults:
    @pytest.mark.parametrize("of", RECORDINGS)
    def test_every_file_is_the_same_without_a_cache_with_an_empty_and_with_a_full_one(
        self, tmp_path: Path, options: ScoreOptions, cache: CacheFolder, prepared: list[str], of: str
    ) -> None:
        record = write_record(tmp_path / "records", signal=RECORDINGS[of]())
        other = write_model(tmp_path / "other", name="small 2 (test)", always="V")
        without = score(record, tmp_path / "without", replace(options, model=other, cache=None))
        score(record, tmp_path / "first", options)
        assert prepared == ["r", "r"]
        assert score(record, tmp_path / "again", replace(options, model=other)) == without
        assert prepared == ["r", "r"]  # not again
        shutil.rmtree(cache.path)
        cache.path.mkdir()
        assert score(record, tmp_path / "empty", replace(options, model=other)) == without

    def test_the_features_come_in_the_parts_in_which_they_were_computed(
        self, record: Path, options: ScoreOptions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ectopy.features.extraction.SEGMENT_S", 20.0)
        files = InputFiles.of(record)
        parts = []
        for with_cache in (replace(options, cache=None), options, options):
            with prepared_cache.prepared(open_recording(record), with_cache, files) as (_, features):
                parts.append(list(features))
        without, first, again = parts
        assert (
            [len(part) for part in without] == [len(part) for part in first] == [len(part) for part in again]
        )
        assert len(without) == 3
        for expected, *others in zip(without, first, again, strict=True):
            assert all(np.array_equal(expected, other) for other in others)
