"""One architecture: the same budget whatever the length, patients held out, times and losses that mean something."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from ectopy.ablation import compressed_variants, compression, parameters_of, run_attempt, select_architectures
from ectopy.ablation.compressed_variants import Variant
from ectopy.ablation.compression import Size
from ectopy.ablation.fold_runs import DISTANCES_BEATS, train_without
from ectopy.ablation.trials import Architecture, Attempt, Trial, costs_of
from ectopy.datasets.simulate import simulate_database
from ectopy.ec57.reference import DETECTED
from ectopy.model import training_set
from ectopy.model.architectures import ARCHITECTURES, CHOSEN
from ectopy.model.folds import Fold
from ectopy.model.network import TrainConfig, TrainConfigError
from ectopy.model.training_set import RecordJob
from ectopy.model.training_sources import LabelledRecord

CONFIG = TrainConfig(
    *(0, 2, 2),
    window_beats=16,
    dense_units=8,
    gru_units=4,
    epochs=3,
    windows_per_epoch=32,
    batch_windows=16,
    jitter_s=0.0,
)


@pytest.fixture(scope="module", autouse=True)
def a_short_day():
    """Have the thirteen variants timed on a thousand beats: no test here asks how fast they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compression, "DAY_BEATS", 1000)
        patch.setattr(compressed_variants, "CHUNK", 100)
        yield


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    data = tmp_path_factory.mktemp("comparison")
    simulate_database(data, recordings=2, minutes=6.0, seed=0)  # EC57 does not score the first five
    found = [
        RecordJob(
            LabelledRecord("simdb", data / "simdb" / "1.0.0" / name, name), data / f"{name}.npz", 0.0, 0
        )
        for name in ("s0-001", "s0-002")
    ]
    return tuple(training_set.run_job(job) for job in found)


@pytest.fixture(scope="module")
def attempt(jobs, tmp_path_factory):
    return Attempt(Architecture(CHOSEN, 16), 5, CONFIG, jobs, tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="module")
def trial(attempt):
    return run_attempt(attempt)


@pytest.fixture(scope="module")
def longer(attempt):
    return run_attempt(replace(attempt, architecture=Architecture("no-recurrence", 32)))


class TestArchitectures:
    @pytest.mark.parametrize("beats", [16, 32, 128, 256])
    def test_any_length_has_as_many_beats_a_step_and_steps_an_epoch(self, beats):
        usual = TrainConfig()
        changed = Architecture("gru", beats).config(usual)
        assert changed.window_beats == beats
        assert changed.window_beats * changed.batch_windows == usual.window_beats * usual.batch_windows
        assert (
            changed.windows_per_epoch / changed.batch_windows == usual.windows_per_epoch / usual.batch_windows
        )

    def test_nothing_else_changes(self):
        usual = TrainConfig()
        same = {"window_beats": 64, "windows_per_epoch": 1600, "batch_windows": 64}
        usual = replace(usual, **same)
        assert replace(Architecture("gru", 16).config(usual), **same) == usual

    def test_the_usual_length_of_the_chosen_kind_is_tried_once(self):
        listed = select_architectures(("gru", "lstm"), (16, 64), TrainConfig(window_beats=64))
        assert [each.name for each in listed] == ["gru, 64 beats", "lstm, 64 beats", "gru, 16 beats"]

    def test_an_unknown_kind_is_refused_before_anything_is_read(self):
        with pytest.raises(TrainConfigError, match="gru2"):
            select_architectures(("gru", "gru2"), (), TrainConfig())


class TestTrial:
    def test_it_goes_from_process_to_process(self, trial):
        assert repr(pickle.loads(pickle.dumps(trial))) == repr(trial)  # NaN equals nothing, itself included

    def test_there_is_a_loss_and_a_time_an_epoch(self, trial):
        assert len(trial.losses) == len(trial.epoch_s) == CONFIG.epochs
        assert all(0 < loss < 10 for loss in trial.losses)
        assert all(second > 0 for second in trial.epoch_s)

    def test_compiling_is_set_up_and_no_part_of_an_epoch(self, trial):
        assert trial.set_up_s > 3 * max(trial.epoch_s)

    def test_figures_are_of_detected_beats_of_all_records(self, trial):
        assert {"gross/veb_f1", "average/sveb_f1"} <= set(trial.metrics)
        assert trial.metrics["gross/qrs_sensitivity"] > 0.95  # found by our detector on a clean simulation

    def test_the_same_seed_gives_the_same_and_another_does_not(self, attempt, longer):
        other_kind = replace(attempt, architecture=longer.architecture)
        again, other = (run_attempt(replace(other_kind, seed=seed)) for seed in (5, 6))
        assert again.losses == longer.losses
        assert again.metrics == pytest.approx(longer.metrics, nan_ok=True)
        assert other.losses != longer.losses

    def test_recurrence_reaches_other_beats_and_its_own_is_the_measure(self, trial):
        assert trial.receptive_field[0] == 1
        assert trial.receptive_field[1] > 0

    def test_without_recurrence_no_other_beat_is_reached(self, longer):
        assert longer.receptive_field == (1.0,) + (0.0,) * (len(DISTANCES_BEATS) - 1)

    def test_only_the_chosen_kind_at_the_usual_length_comes_in_every_form(self, trial, longer):
        assert [variant.name for variant in trial.variants] == list(compressed_variants.all_variants())
        assert longer.variants == ()

    def test_what_a_run_chose_is_what_was_trained_with(self, longer):
        parameters = parameters_of(longer, CONFIG)
        assert (parameters["architecture"], parameters["window_beats"], parameters["seed"]) == (
            "no-recurrence",
            32,
            5,
        )
        assert (parameters["windows_per_epoch"], parameters["batch_windows"]) == (16, 8)

    def test_the_size_of_the_network_is_measured_not_chosen(self, longer):
        assert "n_parameters" not in parameters_of(longer, CONFIG)
        assert costs_of(longer)["n_parameters"] == longer.n_parameters


class TestVariants:
    def variant(self, trial, name):
        (variant,) = (each for each in trial.variants if each.name == name)
        return variant

    @pytest.mark.parametrize("name", ["Keras exporter", "native"])
    def test_exports_judge_as_keras_does(self, name, trial):
        assert self.variant(trial, name).metrics == pytest.approx(trial.metrics, nan_ok=True)

    @pytest.mark.parametrize("name", ["pruned 50%", "pruned 90%", "pruned 80%, refined"])
    def test_as_many_zeros_as_named(self, name, trial):
        share = int(name.removeprefix("pruned ").partition("%")[0]) / 100
        assert self.variant(trial, name).sparsity == pytest.approx(share, abs=0.002)

    def test_further_training_does_not_wake_what_was_pruned(self, trial):
        assert self.variant(trial, "pruned 90%, refined").sparsity >= 0.9 - 0.002

    def test_further_training_changes_what_is_left(self, trial):
        assert (
            self.variant(trial, "pruned 90%, refined").size.zipped
            != self.variant(trial, "pruned 90%").size.zipped
        )

    def test_eight_bits_are_fewer(self, trial):
        assert self.variant(trial, "weights in int8").size.plain < self.variant(trial, "native").size.plain


class TestTimes:
    def trial(self, losses, epoch_s):
        exported = Variant("native", Size(2, 1), 0.1, 0.01)
        return Trial(Architecture("gru", 64), 0, 10, losses, epoch_s, 1.0, (), {}, exported)

    def test_the_best_epoch_is_that_of_least_loss_counted_from_one(self):
        trial = self.trial((0.5, 0.2, 0.3), (1.0, 2.0, 4.0))
        assert (trial.best_epoch, trial.best_s, trial.training_s) == (2, 3.0, 7.0)


class TestPredictions:
    def test_no_patient_of_a_fold_is_learned_from(self, jobs):
        records = [job.load() for job in jobs]
        fold = Fold(("simdb/s0-001",), ("simdb/s0-002",))
        tried = train_without(records, fold, replace(CONFIG, epochs=1, architecture="no-recurrence"))
        assert {example.patient for example in tried.train_sequences} == {"s0-001"}
        assert {(each.patient, each.variant) for _, each in tried.test_sequences} == {("s0-002", DETECTED)}


def test_every_kind_can_be_tried():
    assert len(select_architectures(tuple(ARCHITECTURES), (), CONFIG)) == len(ARCHITECTURES)


def test_jobs_are_named_by_paths_that_a_process_can_open(jobs):
    assert all(isinstance(job.training_record, Path) and job.training_record.is_file() for job in jobs)


def test_what_was_made_with_a_held_out_patient_s_beats_is_not_learned_from(jobs):
    one, other = (job.load() for job in jobs)
    own = one.get(DETECTED)
    lent = replace(own, variant="augmented: with a beat of another", donor=other.reference.patient)
    fold = Fold((one.key,), (other.key,))
    fitted = train_without((replace(one, sequences=(own, lent)), other), fold, CONFIG)
    assert [example.variant for example in fitted.train_sequences] == [DETECTED]
