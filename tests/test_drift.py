"""Drift: no alarm for patients similar to the training patients, an alarm for other leads, rates or noise."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ectopy import open_recording
from ectopy.datasets import catalogue, download, simulate
from ectopy.ecg import Recording, recording_of
from ectopy.features.extraction import FEATURE_NAMES, Floats
from ectopy.model.classifier import ModelError, load_classifier
from ectopy.monitoring import drift
from ectopy.monitoring.drift import (
    MONITORED,
    Drift,
    ReferenceProfile,
    compare,
    fit_reference,
    stability_index,
)
from ectopy.pipeline import prepare
from ectopy.signal.noise import add_noise
from tests.small import write_model

K = len(FEATURE_NAMES)
N_BEATS = 300


def test_predictions_are_counted_in_parts(monkeypatch):
    probability = np.random.default_rng(0).dirichlet(np.ones(4), N_BEATS).astype(np.float32)
    reference = reference_of(patients(0, 3))
    whole = reference.count_predictions(probability)
    monkeypatch.setattr(drift, "_AT_ONCE", 7)
    np.testing.assert_array_equal(reference.count_predictions(probability), whole)
    assert whole.sum(axis=1).tolist() == [N_BEATS] * 3
    assert not reference.count_predictions(probability[:0]).any()


def normal(n_beats: int) -> np.ndarray:
    """Probabilities of beats that are all surely called N."""
    return np.tile(np.float32([1, 0, 0, 0]), (n_beats, 1))


def patients(seed: int, n: int, *, n_beats: int = N_BEATS, moved: float = 0.0) -> list[np.ndarray]:
    """Draw patients who differ as much from each other as the beats of each; ``moved`` goes on figure 0."""
    rng = np.random.default_rng(seed)
    drawn = [rng.normal(rng.normal(0, 1, K), 1, (n_beats, K)).astype(np.float32) for _ in range(n)]
    for features in drawn:
        features[:, 0] += np.float32(moved)
    return drawn


def reference_of(drawn: Sequence[np.ndarray]) -> ReferenceProfile:
    return fit_reference(drawn, [normal(len(features)) for features in drawn])


def compared(reference: ReferenceProfile, drawn: Sequence[np.ndarray]) -> Drift:
    found = compare(reference, [reference.profile(each, normal(len(each))) for each in drawn])
    assert found is not None
    return found


def crossed(found: Drift) -> list[str]:
    return [MONITORED[index] for index in found.order if found.exceeds_bound[index]]


@pytest.fixture(scope="module")
def known() -> ReferenceProfile:
    return reference_of(patients(100, 20))


class TestProfile:
    def test_every_beat_is_counted_once_for_each_figure(self, known: ReferenceProfile) -> None:
        profile = known.profile(patients(1, 1)[0], normal(N_BEATS))
        assert profile.shape == (len(MONITORED), drift.N_BINS)
        assert set(profile.sum(axis=1)) == {N_BEATS}

    def test_a_value_on_an_edge_is_in_the_bin_above_it(self, known: ReferenceProfile) -> None:
        features = np.tile(known.edges[0].astype(np.float32), (len(FEATURE_NAMES), 1)).T
        expected = np.searchsorted(known.edges[0], features[:, 0], side="right")
        row = known.profile(features, normal(len(features)))[0]
        assert row.tolist() == np.bincount(expected, minlength=drift.N_BINS).tolist()

    def test_a_tenth_of_the_training_patients_beats_is_in_each_bin(self, known: ReferenceProfile) -> None:
        shares = known.counts[:, :K].sum(axis=0) / known.counts[:, :K].sum(axis=(0, 2))[0]
        np.testing.assert_allclose(shares, 0.1, atol=0.002)

    def test_beats_beyond_all_learned_from_are_in_the_outer_bins(self, known: ReferenceProfile) -> None:
        profile = known.profile(np.repeat(np.float32([[-99], [99]]), K, axis=1), normal(2))
        assert profile[0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]

    def test_what_is_called_s_or_v_and_how_surely_is_counted_too(self) -> None:
        probability = np.float32([[0.9, 0.1, 0, 0], [0.2, 0.7, 0.1, 0], [0, 0.1, 0.9, 0]])
        columns = dict(zip(MONITORED[-drift.N_PREDICTED :], drift.predicted(probability), strict=True))
        assert columns["called S"].tolist() == [0, 1, 0]
        assert columns["called V"].tolist() == [0, 0, 1]
        np.testing.assert_allclose(columns["confidence"], [0.9, 0.7, 0.9])

    @pytest.mark.parametrize("cuts", [[], [1], [100, 101, 250]])
    def test_a_classifier_that_is_watched_counts_what_it_reads_in_parts(
        self, known: ReferenceProfile, cuts: list[int]
    ) -> None:
        features, answers = patients(1, 3)[0], np.roll(normal(N_BEATS), 1, axis=1)

        def classify(parts: Iterable[Floats]) -> tuple[Floats, NDArray[np.bool_]]:
            np.testing.assert_array_equal(np.concatenate([*parts]), features)
            return answers, np.ones(len(answers), dtype=bool)

        watched = drift.ProfilingClassifier(classify, known)
        probability, confident = watched(iter(np.split(features, cuts)))
        assert probability is answers
        assert confident.all()
        np.testing.assert_array_equal(watched.profile, known.profile(features, answers))

    def test_of_a_recording_without_beats_it_counts_nothing(self, known: ReferenceProfile) -> None:
        watched = drift.ProfilingClassifier(lambda parts: (normal(len([*parts])), np.ones(0, bool)), known)
        watched(iter(()))
        assert not watched.profile.any()

    def test_a_recording_without_beats_has_an_empty_profile(self, known: ReferenceProfile) -> None:
        assert not known.profile(np.empty((0, K), np.float32), normal(0)).any()

    def test_a_patient_with_many_beats_has_no_more_say_in_the_bins(self) -> None:
        few = patients(0, 20)
        many = [*few[:-1], np.repeat(few[-1], 50, axis=0)]
        np.testing.assert_allclose(reference_of(many).edges, reference_of(few).edges, atol=0.02)


class TestStabilityIndex:
    def test_it_is_the_sum_over_bins_of_difference_times_log_ratio(self) -> None:
        # Half to a fifth and half to four: 0.3 ln(0.5/0.2) + 0.3 ln(0.8/0.5) = 0.4159
        expected, found = np.zeros((2, drift.N_BINS))
        expected[:2], found[:2] = (0.5, 0.5), (0.2, 0.8)
        assert stability_index(expected, found) == pytest.approx(
            0.4159, rel=0.02
        )  # every bin has a little added

    def test_it_is_nothing_for_the_same_and_the_same_both_ways(self) -> None:
        one, other = np.random.default_rng(0).dirichlet(np.ones(drift.N_BINS), 2)
        assert stability_index(one, one) == 0
        assert stability_index(one, other) == pytest.approx(stability_index(other, one))

    def test_an_empty_bin_makes_it_large_and_not_infinite(self) -> None:
        everywhere, nowhere = np.full(drift.N_BINS, 0.1), np.eye(drift.N_BINS)[0]
        assert 4 < stability_index(everywhere, nowhere) < 10


class TestCompare:
    def test_like_patients_cross_a_bound_about_once_in_a_hundred_batches(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # By chance 1 %: of 200 batches 2 are expected, and more than 7 come once in a thousand times.
        monkeypatch.setattr(drift, "N_PERMUTATIONS", 200)
        rng = np.random.default_rng(0)
        alarms = 0
        for _ in range(200):
            shares = rng.dirichlet(np.full(drift.N_BINS, 0.3), (28, len(MONITORED)))
            psi, bound, _ = drift.permutation_test(shares[:20], shares[20:])
            alarms += bool((psi > bound).any())
        assert 0 < alarms <= 7

    def test_a_figure_that_moves_is_found_and_it_alone(self, known: ReferenceProfile) -> None:
        assert crossed(compared(known, patients(1, 20, moved=2.0))) == [MONITORED[0]]

    def test_the_more_recordings_the_smaller_a_change_is_told_from_chance(
        self, known: ReferenceProfile
    ) -> None:
        few, many = (compared(known, patients(1, n)).bound for n in (6, 60))
        assert (many <= few).mean() > 0.9
        assert np.median(many) < 0.6 * np.median(
            few
        )  # a spread of 1/20 + 1/60 beside one of 1/20 + 1/6: 0.55

    def test_one_odd_patient_among_twenty_is_no_drift(self, known: ReferenceProfile) -> None:
        batch = [*patients(1, 19), *patients(2, 1, moved=50.0)]
        assert crossed(compared(known, batch)) == []

    def test_a_recording_counts_the_same_however_long_it_is(self, known: ReferenceProfile) -> None:
        batch = patients(1, 8)
        longer = [np.repeat(batch[0], 20, axis=0), *batch[1:]]
        np.testing.assert_allclose(compared(known, longer).psi, compared(known, batch).psi)

    def test_fewer_than_five_recordings_are_described_and_not_judged(self, known: ReferenceProfile) -> None:
        found = compared(known, patients(1, 4, moved=50.0))
        assert found.psi[0] > found.bound[0]
        assert crossed(found) == []
        assert found.verdict == "4 recordings with enough beats, too few to compare"

    def test_a_recording_of_few_beats_takes_no_part(self, known: ReferenceProfile) -> None:
        batch = patients(1, 5)
        strips = patients(2, 20, n_beats=249, moved=50.0)
        found = compared(known, [*batch, *strips])
        assert found.n_recordings == 5
        np.testing.assert_array_equal(found.psi, compared(known, batch).psi)

    def test_without_a_recording_of_enough_beats_there_is_nothing_to_compare(
        self, known: ReferenceProfile
    ) -> None:
        assert compare(known, []) is None
        assert compare(known, [known.profile(np.zeros((9, K), np.float32), normal(9))]) is None

    def test_a_figure_that_is_the_same_for_everybody_never_crosses(self, known: ReferenceProfile) -> None:
        found = compared(known, patients(1, 20))
        same = MONITORED.index("confidence")
        assert (found.psi[same], found.p[same]) == (0, 1)
        assert np.isfinite(found.bound).all()

    def test_the_same_batch_gives_the_same_figures(self, known: ReferenceProfile) -> None:
        first, second = (compared(known, patients(1, 8)) for _ in range(2))
        np.testing.assert_array_equal(first.bound, second.bound)

    def test_the_verdict_names_the_farthest_figures_first(self, known: ReferenceProfile) -> None:
        batch = patients(1, 20)
        for features in batch:
            features[:, 1] += np.float32(2)
            features[:, 5] += np.float32(20)
        told = compared(known, batch).verdict
        assert told == f"20 recordings differ from the training patients: {MONITORED[5]}; {MONITORED[1]}"

    def test_figures_bear_names_that_mlflow_takes_and_the_table_has_a_row_each(
        self, known: ReferenceProfile
    ) -> None:
        found = compared(known, patients(1, 20, moved=2.0))
        assert (found.metrics["drift/recordings"], found.metrics["drift/crossed"]) == (20, 1)
        assert not any("," in name for name in found.metrics)
        table = found.table
        assert {len(column) for column in table.values()} == {len(MONITORED)}
        assert (table["figure"][0], table["crossed"][0]) == (MONITORED[0], True)


class TestModelOfFewerFeatures:
    """A model is monitored by the features that it reads, so one that is added later changes no profile."""

    names = (FEATURE_NAMES[5], FEATURE_NAMES[0], *drift.PREDICTED)
    rows = (5, 0, *range(K, K + drift.N_PREDICTED))

    @pytest.fixture
    def fewer(self, known: ReferenceProfile) -> ReferenceProfile:
        return ReferenceProfile(known.edges[[*self.rows]], known.counts[:, [*self.rows]], self.names)

    def test_its_profile_has_these_rows_of_the_profile_of_all(
        self, known: ReferenceProfile, fewer: ReferenceProfile
    ) -> None:
        features = patients(1, 1)[0]
        profile = fewer.profile(features, normal(N_BEATS))
        np.testing.assert_array_equal(profile, known.profile(features, normal(N_BEATS))[[*self.rows]])

    def test_what_it_counts_has_names(self, fewer: ReferenceProfile) -> None:
        watched = drift.ProfilingClassifier(
            lambda parts: (normal(len(np.concatenate([*parts]))), np.ones(N_BEATS, bool)), fewer
        )
        features = patients(1, 1)[0]
        watched(features)
        assert tuple(watched.by_name) == self.names
        assert watched.by_name[FEATURE_NAMES[5]] == known_row(fewer, features, 0)

    def test_its_drift_is_that_of_its_features(self, fewer: ReferenceProfile) -> None:
        found = compared(fewer, patients(1, 20, moved=2.0))
        assert [found.names[k] for k in found.order if found.exceeds_bound[k]] == [FEATURE_NAMES[0]]
        assert found.verdict == f"20 recordings differ from the training patients: {FEATURE_NAMES[0]}"
        assert {f"psi/{name.replace(',', '')}" for name in self.names} <= found.metrics.keys()
        assert sorted(map(str, found.table["figure"])) == sorted(self.names)

    def test_its_file_keeps_the_names(self, fewer: ReferenceProfile, tmp_path: Path) -> None:
        drift.write_reference(fewer, tmp_path)
        read = drift.read_reference(tmp_path)
        assert read is not None
        assert read.names == self.names


def known_row(reference: ReferenceProfile, features: np.ndarray, row: int) -> list[int]:
    counts: list[int] = reference.profile(features, normal(len(features)))[row].tolist()
    return counts


class TestFile:
    def test_a_reference_comes_back_from_its_file(self, known: ReferenceProfile, tmp_path: Path) -> None:
        drift.write_reference(known, tmp_path)
        read = drift.read_reference(tmp_path)
        assert read is not None
        np.testing.assert_array_equal(read.edges, known.edges)
        np.testing.assert_array_equal(read.counts, known.counts)

    def test_a_model_without_one_has_none(self, tmp_path: Path) -> None:
        assert load_classifier(write_model(tmp_path / "model")).reference is None

    def test_a_classifier_brings_its_own_along_and_keeps_its_id(
        self, known: ReferenceProfile, tmp_path: Path
    ) -> None:
        model = write_model(tmp_path / "model")
        before = load_classifier(model)
        drift.write_reference(known, model)
        after = load_classifier(model)
        assert after.reference is not None
        assert after.version_id == before.version_id  # labels are the same: nothing is to be scored again

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"watched": ["one"]}, "its variables are not those of this version"),
            ({"watched": ["one", *drift.PREDICTED]}, "its variables are not those of this version"),
            ({"watched": [*MONITORED[1:]]}, "edges must have the shape"),
            ({"edges": [[0.0]]}, "edges must have the shape"),
            ({"counts": "none"}, "invalid literal"),
            ({"watched": None}, "not iterable"),
        ],
    )
    def test_a_file_that_is_none_is_refused_by_name(
        self, known: ReferenceProfile, tmp_path: Path, change: dict[str, object], why: str
    ) -> None:
        model = write_model(tmp_path / "model")
        drift.write_reference(known, model)
        path = model / drift.REFERENCE_FILE
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
        with pytest.raises(ModelError, match=rf"reference\.json: .*{why}"):
            load_classifier(model)

    def test_no_json_is_refused_by_name(self, tmp_path: Path) -> None:
        model = write_model(tmp_path / "model")
        (model / drift.REFERENCE_FILE).write_text("{")
        with pytest.raises(ModelError, match=r"reference\.json: Expecting"):
            load_classifier(model)


def second_lead(recording: Recording) -> Recording:
    signal = recording.read(0, recording.n_samples)[:, 1]
    return recording_of(signal, recording.fs, leads=recording.leads[1:2])


def faster(recording: Recording) -> Recording:
    """The same samples said to be taken at half as high a rate again."""
    return replace(recording, fs=1.5 * recording.fs)


def noisy(recording: Recording) -> Recording:
    return add_noise(recording, np.random.default_rng(0), snr_db=(0, 12), noisy_fraction=1.0)


Change = Callable[[Recording], Recording]


def described(recordings: Sequence[Recording]) -> list[np.ndarray]:
    return [np.concatenate([*prepare(recording).features]) for recording in recordings]


def simulated(seed: int) -> list[Recording]:
    rng = np.random.default_rng(seed)
    drawn = (simulate.draw_patient(rng) for _ in range(12))
    return [simulate.simulate(patient, minutes=5, fs=200, rng=rng).recording for patient in drawn]


@pytest.fixture(scope="module")
def learned() -> ReferenceProfile:
    return reference_of(described(simulated(1)))


@pytest.fixture(scope="module")
def new() -> list[Recording]:
    return simulated(2)


class TestSimulated:
    """Twelve patients to learn from, twelve others whose recordings change."""

    def test_others_of_the_same_kind_are_quiet(self, learned: ReferenceProfile, new: list[Recording]) -> None:
        assert crossed(compared(learned, described(new))) == []

    @pytest.mark.parametrize(
        ("change", "figure"),
        [
            (second_lead, "lead 2: readable"),
            (faster, "local median rr"),
            (noisy, "lead 1: correlation with beat before"),
        ],
    )
    def test_another_lead_rate_or_noise_is_loud_and_named(
        self, learned: ReferenceProfile, new: list[Recording], change: Change, figure: str
    ) -> None:
        assert figure in crossed(compared(learned, described([change(recording) for recording in new])))


@pytest.mark.real
class TestReal:
    """DS1 in two halves, ten minutes each: the second's patients are new to what was learned of the first."""

    def halves(self, mitdb: Path) -> tuple[list[Recording], list[Recording]]:
        records, _ = catalogue.split(catalogue.find_database("mitdb"), download.annotated_records(mitdb))
        whole = (open_recording(mitdb / record) for record in records)
        recordings = [replace(each, n_samples=round(600 * each.fs)) for each in whole]
        return recordings[:11], recordings[11:]

    @pytest.mark.no_cover
    def test_patients_never_seen_are_quiet_and_another_lead_or_noise_is_loud(self, mitdb: Path) -> None:
        first, second = self.halves(mitdb)
        learned = reference_of(described(first))
        assert crossed(compared(learned, described(second))) == []
        assert "lead 2: readable" in crossed(compared(learned, described(list(map(second_lead, second)))))
        assert "lead 1: correlation with beat after" in crossed(
            compared(learned, described(list(map(noisy, second))))
        )
