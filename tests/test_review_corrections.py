"""Confirmed recordings as training patients: what is copied, under which name, and what is refused."""

import json
import shutil

import numpy as np
import pytest

import ectopy
from ectopy.annotations import read_annotations
from ectopy.batch.planning import ScoreOptions
from ectopy.datasets.catalogue import CORRECTIONS, find_database, patient_of, split
from ectopy.model.training_sources import TrainingSource, select_records
from ectopy.review.agreement import read_reviews, review_metrics
from ectopy.review.confirm import confirm
from ectopy.review.corrections import CorrectionsError, find_corrections, import_corrections, origins
from ectopy.review.edits import RelabelBeats, Reopen
from ectopy.review.log import EditLog
from ectopy.review.recordings import open_result
from tests.scored import scored
from tests.small import signal_of, write_model, write_record


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def out(tmp_path):
    """Two recordings, of which the first is confirmed with three beats relabelled."""
    model = write_model(tmp_path / "model")
    recordings = [
        write_record(tmp_path / "in", name, signal_of(seed=seed)) for seed, name in enumerate(("a", "b"))
    ]
    out = scored(recordings, tmp_path / "out", ScoreOptions(model))
    confirm_with_three(out, "a")
    return out


def confirm_with_three(out, name, to="V"):
    result = open_result(out, name)
    log = EditLog(result.log_path)
    samples = result.analysis.beats.sample[5:8]
    log.append(RelabelBeats(samples, to, "NNN"), by="AB", base=result.base)
    confirm(result, log, by="AB", seconds=9.0)


def folder_of(data):
    return data / "corrections" / "1.0.0"


def test_a_copy_is_a_record_with_the_labels_of_the_reader(out, data):
    (name,) = import_corrections([out], data)
    record = folder_of(data) / name
    assert (read_annotations(record, "atr").symbol == "V").sum() == 3
    copy, original = ectopy.read(record), open_result(out, "a").analysis.recording
    assert (copy.fs, copy.leads, copy.n_samples) == (original.fs, original.leads, original.n_samples)
    n = original.n_samples
    np.testing.assert_array_equal(copy.read(0, n), original.read(0, n))


def test_missing_samples_and_large_ones_are_kept(tmp_path, data):
    signal = signal_of().copy()
    signal[1000:1200, 0] = np.nan
    signal[:, 1] *= 15
    out = scored(
        [write_record(tmp_path, "r", signal)], tmp_path / "out", ScoreOptions(write_model(tmp_path / "m"))
    )
    confirm_with_three(out, "r")
    (name,) = import_corrections([out], data)
    original = open_result(out, "r").analysis.recording
    copied, read = (each.read(0, len(signal)) for each in (ectopy.read(folder_of(data) / name), original))
    np.testing.assert_array_equal(np.isnan(copied), np.isnan(read))
    np.testing.assert_allclose(copied, read, atol=0.001)


def test_the_database_is_one_to_train_on(out, data):
    names = import_corrections([out], data)
    (source,) = select_records([TrainingSource(CORRECTIONS, names, 0.5)], data)
    (labelled,) = source.labelled(use_doubtful=True)
    assert (labelled.weight, labelled.key) == (0.5, f"corrections/{names[0]}")
    assert source.held_out == ()
    origin = json.loads(origins([source]))[names[0]]
    assert (origin["corrections"], origin["decisions"], origin["seconds"]) == (3, 1, 9.0)
    assert origin["model"] == "small 1 (test)"
    assert source.database.address is None


def test_importing_again_takes_the_labels_that_were_confirmed_last(out, data):
    (name,) = import_corrections([out], data)
    result = open_result(out, "a")
    EditLog(result.log_path).append(Reopen(), by="AB", base=result.base)
    log = EditLog(result.log_path)
    log.append(RelabelBeats(result.analysis.beats.sample[5:6], "S", "V"), by="AB", base=result.base)
    with pytest.raises(CorrectionsError, match="no confirmed recording"):
        import_corrections([out], data)
    confirm(result, log, by="AB")
    assert import_corrections([out], data) == (name,)
    symbols = read_annotations(folder_of(data) / name, "atr").symbol
    assert ((symbols == "V").sum(), (symbols == "S").sum()) == (2, 1)


def test_the_same_recording_in_two_folders_counts_once_as_confirmed_last(tmp_path, out, data):
    other = tmp_path / "other"
    shutil.copytree(out, other)
    shutil.rmtree(other / "a.review")
    confirm_with_three(other, "a", to="S")
    for outs in ([out, other], [other, out]):
        (name,) = import_corrections(outs, data)
        assert (read_annotations(folder_of(data) / name, "atr").symbol == "S").sum() == 3


def test_recordings_are_grouped_by_patient_if_a_table_says_so(out, data):
    confirm_with_three(out, "b")
    database = find_database(CORRECTIONS)
    names = import_corrections([out], data)
    assert len({patient_of(database, name) for name in names}) == 2
    (out / "patients.csv").write_text("recording,patient\na,Miller\nb,Miller\n")
    names = import_corrections([out], data)
    (patient,) = {patient_of(database, name) for name in names}
    assert patient.startswith("corrections/")
    assert "Miller" not in patient
    assert split(database, names) == (names, ())


def test_a_table_without_the_columns_is_refused(out, data):
    (out / "patients.csv").write_text("name,id\na,1\n")
    with pytest.raises(CorrectionsError, match=r"patients.csv: no columns recording and patient"):
        import_corrections([out], data)


def test_a_recording_whose_original_has_changed_is_refused_by_name(tmp_path, out, data):
    original = tmp_path / "in" / "a.dat"
    original.write_bytes(original.read_bytes()[:-2] + b"\1\1")
    with pytest.raises(
        CorrectionsError, match=r"a in .*out is not trained on.*it has changed since it was scored"
    ):
        import_corrections([out], data)
    original.unlink()
    with pytest.raises(CorrectionsError, match="the original cannot be opened"):
        import_corrections([out], data)


def test_a_folder_that_is_not_there_is_refused(tmp_path, data):
    with pytest.raises(CorrectionsError, match="nowhere: no such folder"):
        import_corrections([tmp_path / "nowhere"], data)


@pytest.mark.parametrize(
    ("record", "patient"), [("101", "mitdb/101"), ("201", "mitdb/201"), ("100", None), ("102", None)]
)
def test_a_published_recording_keeps_its_patient_and_one_that_is_held_out_is_refused(
    tmp_path, data, record, patient
):
    """Record 100 is of the test set, and 102 is paced. The signal here is made."""
    header = write_record(tmp_path / "mitdb" / "1.0.0", record)
    out = scored([header], tmp_path / "out", ScoreOptions(write_model(tmp_path / "m")))
    confirm_with_three(out, record)
    if patient:
        (name,) = import_corrections([out], data)
        assert patient_of(find_database(CORRECTIONS), name) == patient
    else:
        with pytest.raises(CorrectionsError, match=f"mitdb/{record}, which is not for training"):
            import_corrections([out], data)


def test_a_copy_of_a_published_recording_is_known_by_its_content(tmp_path, data):
    header = write_record(data / "mitdb" / "1.0.0", "103")
    elsewhere = tmp_path / "clinic"
    shutil.copytree(header.parent, elsewhere)
    out = scored([elsewhere / "103.hea"], tmp_path / "out", ScoreOptions(write_model(tmp_path / "m")))
    confirm_with_three(out, "103")
    with pytest.raises(CorrectionsError, match="mitdb/103, which is not for training"):
        [*find_corrections(out, data)]
    with (elsewhere / "103.dat").open("r+b") as file:
        file.write(b"\2\2")
    other = scored([elsewhere / "103.hea"], tmp_path / "again", ScoreOptions(tmp_path / "m"))
    confirm_with_three(other, "103")
    (correction,) = find_corrections(other, data)
    assert "mitdb" not in correction.patient


def test_the_metrics_of_reviews_compare_the_automatic_beats_with_the_confirmed(out):
    reviews = [*read_reviews(out)]
    metrics = review_metrics(reviews)
    assert (metrics["recordings"], metrics["corrections"], metrics["decisions/median"]) == (1, 3, 1)
    assert metrics["seconds/median"] == 9
    assert metrics["ec57/gross/veb_sensitivity"] == 0
    assert metrics["ec57/gross/qrs_sensitivity"] == 1
    assert reviews[0].beats.count("V", "N") == 3
