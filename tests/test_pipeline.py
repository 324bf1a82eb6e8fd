from itertools import pairwise

import numpy as np
import pytest

from ectopy import features, pipeline, quality
from ectopy.annotations import read_annotations
from ectopy.classifier import SHIPPED_MODEL, load_classifier
from ectopy.ecg import CLASSES, Recording, recording_of
from ectopy.filters import WORKING_FS, working_length
from ectopy.readers import open_recording
from ectopy.shapes import all_slots
from ectopy.simulate import draw_patient, simulate


def all_normal(x):
    probability = np.zeros((len(x), len(CLASSES)), np.float32)
    probability[:, 0] = 1
    return probability, np.ones(len(x), bool)


def all_ventricular(x):
    probability, confident = all_normal(x)
    return np.roll(probability, CLASSES.index("V"), axis=1), confident


def simulated(*, minutes=3.0, fs=360.0, seed=4):
    rng = np.random.default_rng(seed)
    return simulate(draw_patient(rng), minutes=minutes, fs=fs, rng=rng)


def beat_samples(annotations):
    return annotations.sample[np.isin(annotations.symbol, list("NAV"))]


@pytest.fixture(scope="module")
def patient():
    return simulated()


@pytest.mark.parametrize("block_s", [7.0, 33.3, 60.0, 1000.0])
def test_blocks_of_any_size_give_the_same_beats_and_shapes(patient, block_s):
    whole = pipeline.find_beats(patient.recording, (0, 1), block_s=3600).shapes
    cut = pipeline.find_beats(patient.recording, (0, 1), block_s=block_s).shapes
    np.testing.assert_array_equal(cut.sample, whole.sample)
    np.testing.assert_array_equal(cut.readable, whole.readable)
    # half precision keeps three digits: one unit in the last place is 0.0005 of the largest deflection
    np.testing.assert_allclose(cut.windows.astype(float), whole.windows.astype(float), atol=1.1e-3)


@pytest.mark.parametrize("block_s", [11.0, 50.0])
def test_blocks_of_any_size_find_the_same_gaps(block_s):
    signal = simulated().recording.read(0, 60 * 360).copy()
    signal[20 * 360 : 35 * 360] = np.nan
    recording = recording_of(signal, 360)
    whole = pipeline.find_beats(recording, (0, 1), block_s=3600).unreadable
    cut = pipeline.find_beats(recording, (0, 1), block_s=block_s).unreadable
    np.testing.assert_array_equal(cut, whole)
    np.testing.assert_allclose(whole / 360, [[20, 35]], atol=0.2)


def same(one, other):
    """Two analyses to the last digit; a rate that says nothing is NaN, which equals nothing."""
    for of_beats in ("sample", "label", "probability", "confident"):
        np.testing.assert_array_equal(getattr(one.beats, of_beats), getattr(other.beats, of_beats))
    np.testing.assert_array_equal(one.unreadable, other.unreadable)
    assert str(one.events) == str(other.events)
    return True


@pytest.fixture(scope="module")
def shipped():
    return load_classifier(SHIPPED_MODEL)


@pytest.mark.parametrize("block_s", [9.7, 60.0])
def test_blocks_of_any_size_lead_to_the_same_labels_and_events(patient, shipped, block_s):
    whole = pipeline.analyse(patient.recording, shipped, block_s=3600)
    cut = pipeline.analyse(patient.recording, shipped, block_s=block_s)
    np.testing.assert_array_equal(cut.beats.label, whole.beats.label)
    np.testing.assert_array_equal(cut.beats.confident, whole.beats.confident)
    assert str(cut.events) == str(whole.events)


def test_looking_at_a_few_beats_at_a_time_changes_nothing(patient, shipped, monkeypatch):
    at_once = pipeline.analyse(patient.recording, shipped)
    monkeypatch.setattr(quality, "_CHUNK", 10)
    assert same(pipeline.analyse(patient.recording, shipped), at_once)


FILLINGS = {
    "flat": lambda rng, n: np.zeros((n, 2)),
    "at the rail": lambda rng, n: np.full((n, 2), 5.0),
    "missing": lambda rng, n: np.full((n, 2), np.nan),
    "noise": lambda rng, n: rng.normal(0, 3, (n, 2)),
}


@pytest.mark.parametrize("filling", FILLINGS)
def test_a_long_stretch_of_nothing_loses_no_beat_around_it(patient, filling):
    signal, fs = patient.recording.read(0, patient.recording.n_samples), 360
    half, long, near = len(signal) // 2, 30 * 60 * fs, 10 * fs
    nothing = FILLINGS[filling](np.random.default_rng(0), long)
    interrupted = recording_of(np.concatenate([signal[:half], nothing, signal[half:]]), fs)
    beats = pipeline.analyse(patient.recording, all_normal).beats.sample
    analysis = pipeline.analyse(interrupted, all_normal)
    found = analysis.beats.sample
    np.testing.assert_array_equal(found[found < half - near], beats[beats < half - near])
    np.testing.assert_array_equal(found[found > half + long + near] - long, beats[beats > half + near])
    # All of it is told to be unreadable, and no more than its edges beside it.
    assert 1800 - 5 <= analysis.duration_s - analysis.analysable_s <= 1800 + 10


@pytest.mark.parametrize("fs", [100.0, 128.0, 250.0, 257.3, 360.0, 500.0, 1000.0])
def test_blocks_answer_for_every_working_sample_once(fs):
    recording = recording_of(np.zeros((round(100 * fs) + 1, 1)), fs)
    spans = [(block.start, block.stop) for block in pipeline.blocks(recording, (0,), block_s=7)]
    assert spans[0][0] == 0
    assert spans[-1][1] == working_length(recording.n_samples, recording.fs)
    assert all(one[1] == other[0] for one, other in pairwise(spans))


@pytest.mark.parametrize("fs", [128.0, 250.0, 257.3, 360.0, 1000.0])
def test_a_block_s_signal_reaches_as_far_as_it_answers_for(fs):
    recording = recording_of(np.zeros((round(100 * fs) + 1, 1)), fs)
    for block in pipeline.blocks(recording, (0,), block_s=7):
        assert len(block.clean[block.answers_for]) == block.stop - block.start
        assert len(block.clean) == len(block.usable)


def test_the_grids_are_inverse_to_half_a_sample():
    recording = recording_of(np.zeros(36_001), 360)
    sample = np.arange(0, 36_000, 7)
    there_and_back = pipeline.to_recording(pipeline.to_working(sample, recording), recording)
    assert np.abs(there_and_back - sample).max() <= np.ceil(360 / WORKING_FS / 2)


@pytest.mark.parametrize("fs", [128.0512, 124.945, 999.56, 1017.25])
def test_times_do_not_drift_at_an_odd_rate(fs):
    """A ratio of small numbers stands for the rate; what is found must go back by the same ratio."""
    n_samples = round(5 * 3600 * fs)
    recording = Recording("odd", fs, ("II",), n_samples, lambda a, b: np.zeros((b - a, 1), np.float32))
    *_, last = pipeline.blocks(recording, (0,), block_s=3600)
    end = pipeline.to_recording(np.array([last.stop]), recording)[0]
    assert abs(int(end) - n_samples) <= np.ceil(fs / WORKING_FS)
    assert abs(int(pipeline.to_working(np.array([n_samples]), recording)[0]) - last.stop) <= 1


def test_simulated_beats_are_found_where_they_are(patient):
    analysis = pipeline.analyse(patient.recording, all_normal)
    truth = beat_samples(patient.annotations)
    off = np.abs(analysis.beats.sample[:, None] - truth).min(axis=0)
    assert np.mean(off <= 0.150 * 360) > 0.98


def test_given_r_peaks_are_kept_to_the_sample(patient):
    truth = beat_samples(patient.annotations)
    analysis = pipeline.analyse(patient.recording, all_normal, r_peaks=truth)
    np.testing.assert_array_equal(analysis.beats.sample, truth)


def test_the_likeliest_class_is_the_label(patient):
    def by_turns(x):
        return np.eye(4, dtype=np.float32)[np.arange(len(x)) % 4], np.ones(len(x), bool)

    label = pipeline.analyse(patient.recording, by_turns).beats.label
    assert "".join(label[:8]) == "NSVFNSVF"


def test_one_description_serves_several_classifiers(patient):
    described = pipeline.describe(patient.recording)
    one, other = (pipeline.conclude(described, classify) for classify in (all_normal, all_ventricular))
    np.testing.assert_array_equal(
        one.beats.sample, pipeline.analyse(patient.recording, all_normal).beats.sample
    )
    assert (set(one.beats.label), set(other.beats.label)) == ({"N"}, {"V"})


def test_leads_are_analysed_as_wanted(patient):
    analysis = pipeline.analyse(patient.recording, all_normal, leads=("V1",))
    assert (analysis.leads, analysis.recorded_leads) == (("V1",), ("MLII", "V1"))


@pytest.mark.parametrize("n_samples", [0, 1, 10, 500])
def test_a_recording_too_short_for_anything_is_analysed_all_the_same(n_samples):
    analysis = pipeline.analyse(recording_of(np.zeros((n_samples, 2)), 250), all_normal)
    assert len(analysis.beats) == 0


@pytest.mark.parametrize("value", [0.0, 5.12, np.nan])
def test_a_signal_of_nothing_has_no_beats_and_no_analysable_time(value):
    analysis = pipeline.analyse(recording_of(np.full((20_000, 2), value), 250), all_normal)
    assert (len(analysis.beats), analysis.analysable_s) == (0, 0.0)


def test_one_lead_off_leaves_the_other_to_find_the_beats(patient):
    signal = patient.recording.read(0, patient.recording.n_samples).copy()
    signal[:, 1] = np.nan
    both = pipeline.analyse(patient.recording, all_normal).beats.sample
    one = pipeline.analyse(recording_of(signal, 360), all_normal).beats.sample
    near = np.abs(one[:, None] - both).min(axis=0) <= 0.05 * 360
    assert near.mean() > 0.97


def test_features_see_a_lost_lead_as_unreadable(patient):
    shapes = pipeline.find_beats(patient.recording, (0,)).shapes
    assert shapes.readable[:, 0].all()
    assert not shapes.readable[:, 1].any()
    assert shapes.windows.shape[1] == 1
    assert not all_slots(shapes.windows)[:, 1].any()
    assert features.features(shapes).shape == (len(shapes), len(features.FEATURE_NAMES))


@pytest.mark.real
def test_record_101_has_all_its_beats_in_the_first_minute(mitdb):
    # 101 begins with 71 N in the first 60 s, none of them premature.
    recording = open_recording(mitdb / "101")
    minute = recording_of(recording.read(0, 60 * 360), 360, leads=recording.leads)
    assert len(pipeline.analyse(minute, all_normal).beats) == 71


@pytest.mark.real
@pytest.mark.parametrize("record", ["119", "203", "208"])
def test_blocks_of_true_records_give_the_same_beats_labels_and_events(mitdb, shipped, record):
    recording = open_recording(mitdb / record)
    whole = pipeline.analyse(recording, shipped, block_s=3600)
    for block_s in (47.3, 600.0):
        cut = pipeline.analyse(recording, shipped, block_s=block_s)
        np.testing.assert_array_equal(cut.beats.sample, whole.beats.sample)
        np.testing.assert_array_equal(cut.beats.label, whole.beats.label)
        np.testing.assert_array_equal(cut.unreadable, whole.unreadable)
        assert str(cut.events) == str(whole.events)


@pytest.mark.real
def test_the_long_ventricular_flutter_of_record_207_is_told_as_time_without_a_beat(mitdb, shipped):
    events = pipeline.analyse(open_recording(mitdb / "207"), shipped).events
    longest = max((event for event in events if event.kind == "pause"), key=lambda e: e.offset_s - e.onset_s)
    annotations = read_annotations(mitdb / "207", "atr")
    edges = annotations.sample[np.isin(annotations.symbol, ["[", "]"])].reshape(-1, 2) / 360
    begin_s, end_s = edges[np.diff(edges)[:, 0].argmax()]
    # 98 s, of which the first 16 have something that looks like beats.
    shared_s = min(end_s, longest.offset_s) - max(begin_s, longest.onset_s)
    assert shared_s / (end_s - begin_s) > 0.8
