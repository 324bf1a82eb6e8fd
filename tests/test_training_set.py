from dataclasses import replace

import numpy as np
import pytest

from ectopy.annotations import Annotations, read_annotations
from ectopy.datasets import catalogue
from ectopy.datasets.simulate import simulate_database
from ectopy.ec57.reference import Reference
from ectopy.features.extraction import FEATURE_NAMES
from ectopy.model import calibration, folds, training_set
from ectopy.model.augmentation import MIN_DONOR_VENTRICULAR
from ectopy.model.calibration import OutOfFoldPrediction
from ectopy.model.classifier import softmax
from ectopy.model.training_set import TrainingRecord, TrainingSequence
from ectopy.model.training_sources import TRAINED_LABELS, LabelledRecord, labelled_beats


def annotations_of(symbols, *, every=200, aux=None):
    n = len(symbols)
    blank = ("",) * n if aux is None else aux
    return Annotations(
        np.arange(1, n + 1) * every, np.array(list(symbols), dtype="U1"), np.zeros(n, int), tuple(blank)
    )


def record_of(record, patient, letters="NNNSVN"):
    label = np.array(list(letters), dtype="U1")
    x = np.random.default_rng(0).normal(size=(len(label), len(FEATURE_NAMES))).astype(np.float32)
    sample = np.arange(1, len(label) + 1) * 200
    annotations = annotations_of(letters)
    truth = Reference(record, patient, annotations, 200.0, 200 * len(label) + 200)
    variants = [
        TrainingSequence(record, patient, variant, sample, x, label) for variant in ("detected", "given")
    ]
    return TrainingRecord(tuple(variants), truth)


class TestLabels:
    def test_escape_beats_are_normal_and_f_and_q_teach_nothing(self):
        sample, label = labelled_beats(annotations_of("NLRejnAaJSVEF/Qf"))
        assert "|".join(label) == "N|N|N|N|N|N|S|S|S|S|V|V||||"
        assert len(sample) == 16

    def test_by_the_map_of_ec57_escape_beats_are_supraventricular(self):
        _, label = labelled_beats(annotations_of("NejnV"), "ec57")
        assert "".join(label) == "NSSSV"

    def test_what_is_no_beat_is_left_out(self):
        sample, _ = labelled_beats(annotations_of('+N~|V"'))
        assert sample.tolist() == [400, 1000]

    def test_a_detection_near_a_beat_takes_its_label_and_another_has_none(self):
        label = training_set.labels_near(
            np.array([190, 300, 410]), np.array([200, 400]), np.array(["N", "V"]), tolerance=30
        )
        assert label.tolist() == ["N", "", "V"]


class TestFolds:
    def test_no_patient_is_learned_from_and_judged(self):
        records = [record_of(f"simdb/{n}", f"patient {n // 2}") for n in range(12)]
        for fold in folds.split_folds(records, 3, seed=0):
            train = {
                training_record.reference.patient
                for training_record in folds.pick_records(records, fold.train)
            }
            test = {
                training_record.reference.patient
                for training_record in folds.pick_records(records, fold.test)
            }
            assert not train & test

    def test_every_record_is_held_out_once(self):
        keys = [f"simdb/{n}" for n in range(10)]
        records = [record_of(key, key) for key in keys]
        held = [record for fold in folds.split_folds(records, 5, seed=0) for record in fold.test]
        assert sorted(held) == keys

    def test_databases_are_spread_over_the_folds(self):
        keys = [f"{name}/{n}" for name in ("mitdb", "svdb") for n in range(8)]
        for fold in folds.split_folds([record_of(key, key) for key in keys], 4, seed=0):
            assert [key.partition("/")[0] for key in sorted(fold.test)] == ["mitdb"] * 2 + ["svdb"] * 2

    def test_fewer_patients_than_folds_are_refused_with_both_numbers(self):
        records = [record_of(str(n), f"patient {n // 2}") for n in range(6)]
        with pytest.raises(folds.TooFewPatientsError, match="3 patients are too few for 5 folds"):
            folds.split_folds(records, 5, seed=0)

    def test_201_and_202_are_one_patient(self):
        mitdb = catalogue.find_database("mitdb")
        assert catalogue.patient_of(mitdb, "201") == catalogue.patient_of(mitdb, "202")

    def test_the_noise_stress_records_are_training_patients(self):
        nstdb = catalogue.find_database("nstdb")
        assert catalogue.patient_of(nstdb, "118e06") == catalogue.patient_of(
            catalogue.find_database("mitdb"), "118"
        )


class TestSplit:
    def test_ds1_and_ds2_are_de_chazal_s_without_the_paced(self):
        every = [*catalogue.DS1, *catalogue.DS2, *catalogue.PACED]
        train, examined = catalogue.split(catalogue.find_database("mitdb"), every)
        assert (len(train), len(examined)) == (22, 22)
        assert not set(train) & set(examined)
        assert not (set(train) | set(examined)) & {"102", "104", "107", "217"}

    def test_every_third_simulated_patient_is_held_out_whichever_others_are_there(self):
        simdb, names = catalogue.find_database("simdb"), [f"s0-{number:03d}" for number in range(1, 10)]
        train, held_out = catalogue.split(simdb, names)
        assert held_out == ("s0-003", "s0-006", "s0-009")
        for there in (names[1:], names[::2], names[::-1], [*names, "noise"]):
            assert set(catalogue.split(simdb, there)[0]) == {*train, "noise"} & set(there)

    def test_all_of_the_noise_stress_test_is_examined_but_the_noise_alone(self):
        names = ["118e24", "119e_6", "bw", "em"]
        assert catalogue.split(catalogue.find_database("nstdb"), names) == ((), ("118e24", "119e_6"))

    @pytest.mark.parametrize(("record", "db"), [("118e24", 24), ("119e06", 6), ("118e_6", -6), ("em", None)])
    def test_a_name_tells_the_noise(self, record, db):
        assert catalogue.noise_db(record) == db


class TestCalibration:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 4000)
    logits = np.where(np.arange(3) == truth[:, None], 1.0, 0.0) + rng.normal(0, 1, (4000, 3))
    label = np.array(TRAINED_LABELS)[truth]

    def test_overconfident_logits_are_tempered_by_as_much(self):
        once = calibration.calibrate(self.logits.astype(np.float32), self.label, coverage=0.9)
        hot = calibration.calibrate((3 * self.logits).astype(np.float32), self.label, coverage=0.9)
        assert hot.temperature == pytest.approx(3 * once.temperature, rel=0.02)

    def test_tempering_makes_probabilities_mean_what_they_say(self):
        hot = calibration.calibrate((3 * self.logits).astype(np.float32), self.label, coverage=0.9)
        assert hot.expected_error < 0.03

    def test_the_abstention_rule_covers_what_it_was_asked_to(self):
        fitted = calibration.calibrate(self.logits.astype(np.float32), self.label, coverage=0.9)
        certainty = softmax(self.logits / fitted.temperature).max(axis=1)
        assert np.mean(certainty >= fitted.confidence_threshold) == pytest.approx(0.9, abs=0.01)

    def test_beats_without_a_label_have_no_say(self):
        blank = np.where(np.arange(4000) % 2, self.label, "")
        some = calibration.calibrate(self.logits.astype(np.float32), blank, coverage=0.9)
        same = calibration.calibrate(self.logits[1::2].astype(np.float32), self.label[1::2], coverage=0.9)
        assert some == same

    def test_perfect_certainty_that_is_right_half_the_time_errs_by_half(self):
        error = calibration.calibration_error(np.ones(10), np.arange(10) % 2 == 0)
        assert error == pytest.approx(0.5)


def test_the_calibration_error_of_a_database_is_that_of_its_own_beats():
    predictions = []
    for key, logits in (("mitdb/1", [9, 0, 0]), ("svdb/1", [0, 0, 9])):  # sure, and right on the first
        record = record_of(key, key, "NNNN")
        example = record.get("detected")
        example = replace(example, label=np.array(["N", "N", "", "N"]))
        predictions.append(
            OutOfFoldPrediction(example, record.reference, np.tile(np.float32(logits), (4, 1)))
        )
    errors = calibration.errors_by_database(predictions, calibration.UNCALIBRATED)
    assert errors == pytest.approx({"mitdb": 0, "svdb": 1}, abs=1e-3)


def test_held_out_logits_are_judged_by_their_likeliest_label():
    training_record = record_of("r", "p", "N" * 400 + "V")  # the first five minutes are not scored
    example = training_record.get("given")
    logits = np.zeros((401, 3), np.float32)
    logits[:, 0], logits[400, 2] = 1, 2
    comparison = OutOfFoldPrediction(example, training_record.reference, logits).compare()
    assert (comparison.count("V", "V"), comparison.count("N", "V")) == (1, 0)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    source = simulate_database(tmp_path_factory.mktemp("training"), recordings=1, minutes=2, seed=3)
    folder = source if (source / "RECORDS").is_file() else next(source.rglob("RECORDS")).parent
    return folder / (folder / "RECORDS").read_text().split()[0]


@pytest.fixture(scope="module")
def training_record(simulated, donor):
    lender = LabelledRecord("simdb", donor, "donor")
    return training_set.read_training_record(
        LabelledRecord("simdb", simulated, "patient", weight=0.5), jitter_s=0.02, donors=[lender]
    )


@pytest.fixture(scope="module")
def donor(tmp_path_factory):
    """Another patient, with ventricular beats to lend."""
    for seed in range(20):
        source = simulate_database(tmp_path_factory.mktemp("donor"), recordings=1, minutes=3, seed=seed)
        record = next(source.rglob("*.hea")).with_suffix("")
        _, label = labelled_beats(read_annotations(record, "atr"))
        if (label == "V").sum() >= MIN_DONOR_VENTRICULAR:
            return record
    raise AssertionError("no simulated patient with ventricular beats")


class TestTrainingRecord:
    def test_a_record_is_looked_at_in_every_way(self, training_record):
        variants = {example.variant for example in training_record.sequences}
        expected = {"detected", "given", "jittered", "noisy", "strips", "given, swapped", "given, first lead"}
        assert expected <= variants

    def test_patients_made_of_true_ones_are_marked_as_made(self, training_record):
        made = {example.variant for example in training_record.sequences if example.augmented}
        assert made
        assert all(variant.startswith("augmented: ") for variant in made)

    def test_a_training_record_survives_being_written(self, training_record, simulated, tmp_path):
        training_set.save_training_record(training_record, tmp_path / "record.npz")
        record = LabelledRecord("simdb", simulated, "patient", weight=0.5)
        again = training_set.load_training_record(tmp_path / "record.npz", record)
        assert again.key == f"simdb/{simulated.name}"
        assert [e.variant for e in again.sequences] == [e.variant for e in training_record.sequences]
        for one, other in zip(again.sequences, training_record.sequences, strict=True):
            np.testing.assert_array_equal(one.features, other.features)
            np.testing.assert_array_equal(one.label, other.label)
            assert one.patients == other.patients
            assert (one.record, one.weight) == (other.record, other.weight) == (again.key, 0.5)
        (alone,) = training_set.load_training_record(tmp_path / "record.npz", record, {"given"}).sequences
        assert alone.variant == "given"

    def test_a_lost_lead_changes_features_and_no_label(self, training_record):
        both, one = training_record.get("given"), training_record.get("given, first lead")
        assert not np.array_equal(both.features, one.features)
        np.testing.assert_array_equal(both.label, one.label)

    def test_a_patient_made_of_two_is_known_as_both(self, training_record):
        owners = {example.variant: example.patients for example in training_record.sequences}
        lent = {variant for variant, patients in owners.items() if patients == {"patient", "donor"}}
        assert {variant.partition(",")[0] for variant in lent} == set(training_set.BORROWED_VARIANTS)
        assert all(owners[variant] == {"patient"} for variant in owners.keys() - lent)

    def test_nobody_lends_who_has_nothing_to_lend(self, simulated):
        alone = training_set.read_training_record(LabelledRecord("simdb", simulated, "patient"))
        assert all(example.patients == {"patient"} for example in alone.sequences)

    def test_strips_are_described_without_what_lies_around_them(self, training_record):
        whole, strips = training_record.get("detected"), training_record.get("strips")
        np.testing.assert_array_equal(whole.label, strips.label)
        assert whole.features.shape == strips.features.shape
        assert not np.allclose(whole.features, strips.features)

    @pytest.mark.parametrize("n_beats", [0, 1, 11, 12, 13, 1000])
    def test_strips_are_the_whole_record_in_order(self, n_beats):
        cut = training_set._strips(n_beats, np.random.default_rng(0))
        beats = np.concatenate([np.arange(n_beats)[strip] for strip in cut])
        np.testing.assert_array_equal(beats, np.arange(n_beats))

    def test_beats_are_in_order_of_time(self, training_record):
        for example in training_record.sequences:
            assert (np.diff(example.sample) > 0).all()
