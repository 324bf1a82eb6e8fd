"""A record examined: every count as EC57's own functions give it, whatever way it is looked at."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from ectopy.annotations import Annotations, read_annotations, write_annotations
from ectopy.datasets.simulate import simulate_database
from ectopy.ec57 import compare_record, compute_metrics
from ectopy.ec57.reference import DETECTED, EC57_MAP, GIVEN
from ectopy.evaluation import EvaluationJob, beats_by_condition, evaluate_record
from ectopy.model.classifier import load_classifier
from ectopy.pipeline import analyse
from ectopy.readers import open_recording
from ectopy.report.data_files import annotations_of
from tests.evaluations import evaluation_of, marks, with_shutdown
from tests.small import write_model


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    return simulate_database(folder, recordings=1, minutes=6.0, seed=3) / "s3-001"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {letter: write_model(folder / letter, always=letter) for letter in "NV"}


@pytest.fixture(scope="module")
def examined(record, models):
    return evaluate_record(EvaluationJob(record, "simdb/s3-001", models["N"], (models["N"], models["V"])))


class TestExamine:
    def test_it_counts_what_the_command_counts_on_the_annotations_that_score_writes(
        self, examined, record, models
    ):
        recording = open_recording(record)
        test = annotations_of(analyse(recording, load_classifier(models["N"])))
        reference = read_annotations(record, "atr")
        expected = compare_record(reference, test, recording.fs, n_samples=recording.n_samples)
        told = examined.by_condition[EC57_MAP]
        pairs = (
            (told.beats, expected.beats),
            (told.ventricular, expected.runs["ventricular"]),
            (told.supraventricular, expected.runs["supraventricular"]),
            (told.af_epicmp, expected.episodes["AF"]),
        )
        for ours, theirs in pairs:
            assert ours.cells.tolist() == theirs.cells.tolist()

    def test_given_r_peaks_are_all_found(self, examined):
        told = examined.by_condition[GIVEN].beats
        assert (told.qrs_sensitivity, told.qrs_positive_predictivity) == (1.0, 1.0)

    def test_an_annotation_after_the_end_is_no_given_r_peak(self, record, models, tmp_path):
        for suffix in ("hea", "dat"):
            shutil.copy(f"{record}.{suffix}", tmp_path)
        copied, recording = tmp_path / record.name, open_recording(record)
        known = read_annotations(record, "atr")
        late = Annotations(
            np.append(known.sample, [recording.n_samples] * 2),
            np.append(known.symbol, ["N", "N"]),
            np.append(known.subtype, [0, 0]),
            (*known.aux, "", ""),
        )
        write_annotations(copied, "atr", late, fs=recording.fs)
        beats = evaluate_record(EvaluationJob(copied, "simdb/s3-001", models["N"])).by_condition[GIVEN].beats
        assert beats.qrs_positive_predictivity == 1.0

    def test_members_share_the_beats_found_and_differ_in_what_they_call_them(self, examined):
        normal, ventricular = examined.members
        assert normal.beats.counts.tolist() == examined.outcome.beats.counts.tolist()
        assert ventricular.beats.veb_sensitivity == ventricular.beats.qrs_sensitivity == 1.0
        assert ventricular.beats.count("NSV", "V") == normal.beats.count("NSV", "N") > 0

    def test_a_record_that_is_not_held_out_is_not_looked_at_with_given_r_peaks(self, record, models):
        seen = evaluate_record(EvaluationJob(record, "simdb/s3-001", models["N"], held_out=False))
        assert set(seen.by_condition) == {DETECTED, EC57_MAP}
        assert (seen.held_out, seen.members) == (False, ())

    def test_it_goes_from_one_process_to_another(self, examined):
        again = pickle.loads(pickle.dumps(examined))
        assert compute_metrics(again.outcome.beats) == pytest.approx(
            compute_metrics(examined.outcome.beats), nan_ok=True
        )

    def test_every_matched_beat_of_a_modelled_class_is_judged(self, examined):
        assert len(examined.calibration.reference) == examined.outcome.beats.count("NSV", "NSV")
        wrong = examined.outcome.beats.count("SV", "N")
        assert int((~examined.calibration.correct).sum()) == wrong


class TestOutcome:
    def test_runs_go_by_the_rules_of_ec57(self):
        #                       couplet  3 of 5 found  long run cut in two
        told = evaluation_of("r", "NVVNNVVVVVNNVVVVVVNN", "NVVNNVVVNNNNVVVNVVNN").outcome
        assert told.ventricular.tally("couplet")._asdict() == {
            "found": 1,
            "missed": 0,
            "confirmed": 2,
            "false": 0,
        }
        assert told.ventricular.tally("short_run")[:2] == (1, 0)
        assert told.ventricular.tally("long_run")[:2] == (0, 1)

    def test_a_supraventricular_couplet_of_escape_beats_is_one_by_the_map_of_ec57_alone(self):
        examined = evaluation_of("r", "NjjNAAN", "NNNNSSN")
        assert examined.by_condition[DETECTED].supraventricular.tally("couplet")[:2] == (1, 0)
        assert examined.by_condition[EC57_MAP].supraventricular.tally("couplet")[:2] == (1, 1)

    def test_paced_beats_make_a_paced_record(self):
        assert evaluation_of("r", "N/N", "NNN").outcome.paced
        assert not evaluation_of("r", "NVN", "NNN").outcome.paced

    def test_beats_in_a_shutdown_are_lost_and_missed(self):
        told = evaluation_of("r", "NNNVANNNN", with_shutdown(marks("NNN...NNN"), 3, 5)).outcome.beats
        assert (told.count("N", "X"), told.count("V", "X"), told.count("S", "X")) == (1, 1, 1)
        assert told.shutdown_s == pytest.approx(2.4)  # three beats of 0.8 s
        assert told.veb_sensitivity == 0


def test_beats_are_given_by_record_in_the_way_asked_for():
    by_name = {"r": evaluation_of("r", "NjN", "NNN")}
    assert beats_by_condition(by_name, DETECTED)["r"].count("S", "N") == 0
    assert beats_by_condition(by_name, EC57_MAP)["r"].count("S", "N") == 1


@pytest.mark.real
def test_flutter_of_record_203_is_apart_and_beats_are_those_of_a_training_record(
    mitdb: Path, models: dict[str, Path]
):
    # 203 is of DS1: a detector that never calls AF finds none of its episodes.
    told = evaluate_record(EvaluationJob(mitdb / "203", "mitdb/203", models["N"], held_out=False)).outcome
    assert told.af.reference_s == told.af_epicmp.reference_s > 900
    assert told.flutter.reference_s > 0
