"""One contender: the same budget whatever the length, patients held out, times and losses that mean something."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from ectopy.ablation import compressed_variants, parameters_of, select_architectures, try_out
from ectopy.ablation.architectures import ARCHITECTURES, CHOSEN, UnknownArchitectureError
from ectopy.ablation.compressed_variants import Variant
from ectopy.ablation.compression import Size
from ectopy.ablation.fold_runs import DISTANCES, train_without
from ectopy.ablation.trials import Architecture, Attempt, Trial
from ectopy.datasets.simulate import simulate_database
from ectopy.ec57.reference import DETECTED
from ectopy.model import training_set
from ectopy.model.folds import Fold
from ectopy.model.network import TrainConfig
from ectopy.model.training_set import RecordJob

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


@pytest.fixture(scope="module")
def readings(tmp_path_factory):
    data = tmp_path_factory.mktemp("comparison")
    simulate_database(data, recordings=2, minutes=6.0, seed=0)  # EC57 does not score the first five
    found = [
        RecordJob(data / "simdb" / "1.0.0" / name, name, data / f"{name}.npz", 0.0, 0)
        for name in ("s0-001", "s0-002")
    ]
    return tuple(training_set.read(reading) for reading in found)


@pytest.fixture(scope="module")
def attempt(readings, tmp_path_factory):
    return Attempt(Architecture(CHOSEN, 16), 5, CONFIG, readings, tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="module")
def trial(attempt):
    return try_out(attempt)


@pytest.fixture(scope="module")
def longer(attempt):
    return try_out(replace(attempt, contender=Architecture("no-recurrence", 32)))


class TestContenders:
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
        with pytest.raises(UnknownArchitectureError, match="gru2"):
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
        assert {"gross/veb_f1", "average/sveb_f1"} <= set(trial.figures)
        assert trial.figures["gross/qrs_sensitivity"] > 0.95  # found by our detector on a clean simulation

    def test_the_same_seed_gives_the_same_and_another_does_not(self, attempt, longer):
        kind = replace(attempt, contender=longer.contender)
        again, other = (try_out(replace(kind, seed=seed)) for seed in (5, 6))
        assert again.losses == longer.losses
        assert again.figures == pytest.approx(longer.figures, nan_ok=True)
        assert other.losses != longer.losses

    def test_recurrence_reaches_other_beats_and_its_own_is_the_measure(self, trial):
        assert trial.reach[0] == 1
        assert trial.reach[1] > 0

    def test_without_recurrence_no_other_beat_is_reached(self, longer):
        assert longer.reach == (1.0,) + (0.0,) * (len(DISTANCES) - 1)

    def test_only_the_chosen_kind_at_the_usual_length_comes_in_every_form(self, trial, longer):
        assert [variant.form for variant in trial.smaller] == list(compressed_variants.every())
        assert longer.smaller == ()

    def test_what_a_run_chose_is_what_was_trained_with(self, longer):
        told = parameters_of(longer, CONFIG)
        assert (told["architecture"], told["window_beats"], told["seed"]) == ("no-recurrence", 32, 5)
        assert (told["windows_per_epoch"], told["batch_windows"]) == (16, 8)


class TestForms:
    def form(self, trial, name):
        (variant,) = (each for each in trial.smaller if each.form == name)
        return variant

    @pytest.mark.parametrize("name", ["traced", "native"])
    def test_exports_judge_as_keras_does(self, name, trial):
        assert self.form(trial, name).figures == pytest.approx(trial.figures, nan_ok=True)

    @pytest.mark.parametrize("name", ["pruned 50%", "pruned 90%", "pruned 80%, refined"])
    def test_as_many_zeros_as_named(self, name, trial):
        share = int(name.removeprefix("pruned ").partition("%")[0]) / 100
        assert self.form(trial, name).sparsity == pytest.approx(share, abs=0.002)

    def test_further_training_does_not_wake_what_was_pruned(self, trial):
        assert self.form(trial, "pruned 90%, refined").sparsity >= 0.9 - 0.002

    def test_further_training_changes_what_is_left(self, trial):
        assert (
            self.form(trial, "pruned 90%, refined").size.zipped != self.form(trial, "pruned 90%").size.zipped
        )

    def test_eight_bits_are_fewer(self, trial):
        assert self.form(trial, "weights in int8").size.plain < self.form(trial, "native").size.plain


class TestTimes:
    def trial(self, losses, epoch_s):
        exported = Variant("native", Size(2, 1), 0.1, 0.01)
        return Trial(Architecture("gru", 64), 0, 10, losses, epoch_s, 1.0, (), {}, exported)

    def test_the_best_epoch_is_that_of_least_loss_counted_from_one(self):
        trial = self.trial((0.5, 0.2, 0.3), (1.0, 2.0, 4.0))
        assert (trial.best_epoch, trial.best_s, trial.training_s) == (2, 3.0, 7.0)


class TestHeldOut:
    def test_no_patient_of_a_fold_is_learned_from(self, readings):
        lessons = [reading.load() for reading in readings]
        fold = Fold(("s0-001",), ("s0-002",))
        tried = train_without(lessons, fold, replace(CONFIG, epochs=1), "no-recurrence")
        assert {example.patient for example in tried.learned} == {"s0-001"}
        assert {(each.patient, each.variant) for _, each in tried.judged} == {("s0-002", DETECTED)}


def test_every_kind_can_be_tried():
    assert len(select_architectures(tuple(ARCHITECTURES), (), CONFIG)) == 6


def test_readings_are_named_by_paths_that_a_process_can_open(readings):
    assert all(isinstance(reading.lesson, Path) and reading.lesson.is_file() for reading in readings)


def test_what_was_made_with_a_held_out_patient_s_beats_is_not_learned_from(readings):
    one, other = (reading.load() for reading in readings)
    own = one.view(DETECTED)
    lent = replace(own, view="made: with a beat of another", donor=other.truth.patient)
    fold = Fold((one.truth.record,), (other.truth.record,))
    fitted = train_without((replace(one, examples=(own, lent)), other), fold, CONFIG, CHOSEN)
    assert [example.variant for example in fitted.learned] == [DETECTED]
