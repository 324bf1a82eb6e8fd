"""The C export says what the Python stream says: the same beats, labels and updates."""

import logging
import os
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from ectopy import pipeline
from ectopy.datasets.catalogue import DS1
from ectopy.ecg import recording_of
from ectopy.live.analysis import live_beats
from ectopy.live.export_c import MODEL_HEADER, export_c
from ectopy.live.model_files import SHIPPED_LIVE_MODEL
from ectopy.live.network import load_live_model
from ectopy.live.quantisation import quantise, quantised
from ectopy.live.stream import Stream
from ectopy.readers import open_recording
from tests import compiled
from tests.drawn_ecg import drawn, steady
from tests.live import live_model, random_live_model
from tests.small import simulated

pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not installed")

EQUAL_LABELS = 0.9995
"""Least share of equal labels over DS1."""


MODEL = random_live_model()


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Compile a program for a model, a rate and a kind of weights once."""
    done = {}

    def get(fs, weights="int8"):
        if (fs, weights) not in done:
            folder = tmp_path_factory.mktemp("c")
            done[fs, weights] = compiled.compiled(folder, MODEL, fs, weights=weights)
        return done[fs, weights]

    return get


def assert_same_beats(told, signal, fs, model):
    """Check that a program found the beats, labels and probabilities of the Python stream; return how many."""
    columns = tuple(range(signal.shape[1]))
    beats = live_beats(recording_of(signal, fs), columns, model)
    final = [one for one in told if one.kind == "beat"]
    sample = np.minimum([one.sample for one in final], len(signal) - 1)
    np.testing.assert_array_equal(sample, beats.sample)
    np.testing.assert_array_equal([one.label for one in final], beats.label)
    np.testing.assert_array_equal([one.confident for one in final], beats.confident)
    probability = np.array([one.probabilities for one in final]).reshape(-1, 4)
    np.testing.assert_allclose(probability, beats.probability, atol=2e-4)
    return len(final)


def two_leads(seconds=60.0, fs=360.0):
    """Draw a rhythm with early and wide beats in two leads, and noise in the second."""
    peaks = np.array(steady(seconds))
    peaks[8] -= 0.3
    peaks[16] -= 0.25
    first = drawn(peaks.tolist(), seconds, fs=fs, wide=frozenset({8, 9}))
    noise = np.random.default_rng(5).normal(scale=0.05, size=first.shape)
    return np.hstack((first, 0.4 * first + noise)).astype(np.float32)


def with_faults(signal, fs):
    """Return a signal with a gap in all leads, a short one, and a lead that comes off."""
    signal = signal.copy()
    signal[round(20 * fs) : round(26 * fs)] = np.nan
    signal[round(30 * fs) : round(30.05 * fs)] = np.nan
    signal[round(40 * fs) : round(45 * fs), 0] = 0.2
    return signal


@pytest.mark.parametrize(("weights", "model"), [("float", MODEL), ("int8", quantised(MODEL))])
def test_c_says_what_python_says(program, weights, model):
    signal = two_leads()
    told = compiled.run(program(360.0, weights), signal)
    assert assert_same_beats(told, signal, 360.0, model) > 60
    assert len({one.label for one in told if one.kind == "beat"}) > 1


def test_a_simulated_patient_with_gaps_has_the_same_beats(program):
    recording = simulated(minutes=1.5).recording
    signal = with_faults(recording.read(0, recording.n_samples).astype(np.float32), recording.fs)
    told = compiled.run(program(recording.fs), signal)
    assert assert_same_beats(told, signal, recording.fs, quantised(MODEL)) > 60


def test_one_lead_has_the_same_beats(program):
    signal = with_faults(two_leads()[:, :1], 360.0)
    told = compiled.run(program(360.0), signal)
    assert assert_same_beats(told, signal, 360.0, quantised(MODEL)) > 50


@pytest.mark.parametrize("fs", [100.0, 257.5, 500.0])
def test_any_rate_has_the_same_beats(program, fs):
    signal = two_leads(20, fs)
    assert assert_same_beats(compiled.run(program(fs), signal), signal, fs, quantised(MODEL)) > 15


@pytest.mark.no_cover  # Python is given each sample alone
def test_what_is_told_at_once_is_equal_too(program):
    signal = two_leads(40)
    signal[20 * 360 : 23 * 360, 0] += np.random.default_rng(3).normal(scale=0.8, size=3 * 360)  # movement
    stream = Stream(360.0, ["II", "V1"], model=quantised(MODEL))
    updates = [update for at in range(len(signal)) for update in stream.push(signal[at : at + 1])]
    updates += stream.finish()
    told = compiled.run(program(360.0), signal)
    kinds = {"beat", "provisional", "revoked"}  # the program has no alarms
    expected = [(one.kind, one.sample, one.label) for one in updates if one.kind in kinds]
    assert [(one.kind, one.sample, one.label) for one in told] == expected
    assert kinds == {one.kind for one in told}


def test_a_sudden_tachycardia_is_supraventricular_in_c_too(tmp_path):
    peaks = np.concatenate((np.arange(0.5, 30, 0.85), np.arange(30, 50, 0.4)))
    signal = drawn(peaks.tolist(), 50)
    model = live_model(look_ahead=1)
    program = compiled.compiled(tmp_path, model, 360.0, weights="float", options=compiled.OPTIMISED)
    told = compiled.run(program, signal)
    assert assert_same_beats(told, signal, 360.0, model) > 70
    assert [one.label for one in told if one.kind == "beat"][-10:] == ["S"] * 10


@pytest.mark.parametrize("seconds", [0.01, 1.0, 5.0, 6.5])
def test_a_short_strip_ends_as_in_python(program, seconds):
    signal = two_leads(20)[: round(seconds * 360)]
    assert_same_beats(compiled.run(program(360.0), signal), signal, 360.0, quantised(MODEL))


@pytest.mark.parametrize("silence_s", [5.0, 9.3, 14.0, 30.0])
def test_a_silence_while_the_stream_learns_is_as_in_python(program, silence_s):
    peaks = [0.9, *np.arange(0.9 + silence_s, 17, 0.8).tolist()]
    signal = drawn(peaks, 20)
    signal[: round(0.65 * 360)] = signal[round(1.05 * 360) : round((0.65 + silence_s) * 360)] = 0.1
    told = compiled.run(program(360.0), signal)
    assert assert_same_beats(told, signal, 360.0, quantised(MODEL)) >= 1


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_nothing_recorded_has_no_beat(program, value):
    assert compiled.run(program(360.0), np.full((4000, 2), value, dtype=np.float32)) == []


def test_noise_and_faults_corrupt_no_memory(program):
    # Hours of what is no ECG: steps, noise, gaps of random length. The sanitizers end the program at an error.
    rng = np.random.default_rng(1)
    parts = [rng.normal(scale=scale, size=(2000, 2)) for scale in rng.choice([0, 0.01, 1, 30], size=40)]
    for part in parts[::3]:
        part[rng.integers(2000) :, rng.integers(2)] = np.nan
    signal = np.concatenate(parts).astype(np.float32)
    signal[5000], signal[6000] = np.inf, 3e9
    assert all(one.sample < len(signal) + 200 for one in compiled.run(program(360.0), signal))


LATE = """
#include "ectopy.c"
int main(void)
{
    static ectopy_stream stream;
    ectopy_node node = {0};
    ectopy_init(&stream, 1);
    node.sample = 1 << 27; /* twelve days, beyond what float can count */
    note_recent(&stream, &node);
    node.sample += 313;
    note_recent(&stream, &node);
    return stream.n_recent;
}
"""


def test_after_days_a_candidate_of_long_ago_is_still_forgotten(tmp_path):
    export_c(tmp_path, MODEL, 250.0)
    (tmp_path / "late.c").write_text(LATE)
    subprocess.run(["gcc", "-std=c99", "late.c", "-lm", "-o", "late"], cwd=tmp_path, check=True)
    assert subprocess.run([str(tmp_path / "late")], check=False).returncode == 1


def test_a_line_with_fewer_columns_has_missing_values(program):
    # The second lead once kept its last value, and a beat that stood still is no beat.
    signal = two_leads(20)
    lines = [f"{one:.6g},{other:.6g}" for one, other in signal.tolist()]
    said = []
    for half in ("", ","):
        rows = "\n".join([*lines[:5000], *(line.split(",")[0] + half for line in lines[5000:]), ""])
        ended = subprocess.run([str(program(360.0))], input=rows, capture_output=True, text=True, check=True)
        said.append(ended.stdout)
    assert said[0] == said[1]
    assert said[0].count("beat,") > 10


@pytest.mark.skipif(not compiled.can_sanitize("clang"), reason="clang or its sanitizers are not installed")
def test_clang_compiles_it_without_warnings_and_with_the_same_answers(tmp_path):
    program = compiled.compiled(tmp_path, MODEL, 360.0, compiler="clang")
    signal = with_faults(two_leads(), 360.0)
    assert_same_beats(compiled.run(program, signal), signal, 360.0, quantised(MODEL))


@pytest.mark.skipif(not shutil.which("cmake"), reason="cmake is not installed")
def test_cmake_builds_the_example(tmp_path):
    export_c(tmp_path, MODEL, 250.0)
    subprocess.run(["cmake", "-S", ".", "-B", "build"], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run(["cmake", "--build", "build"], cwd=tmp_path, check=True, capture_output=True)
    signal = two_leads(20, 250.0)
    told = compiled.run(tmp_path / "build/ectopy_example", signal)
    assert assert_same_beats(told, signal, 250.0, quantised(MODEL)) > 15


def test_quantised_weights_are_within_half_a_step():
    weights = np.random.default_rng(0).normal(size=(40, 7)).astype(np.float32)
    weights[:, 3] = 0  # an output without inputs
    integers, scale = quantise(weights)
    assert np.abs(integers).max() == 127
    assert np.all(np.abs(integers * scale - weights) <= scale / 2 * 1.001)


def test_a_name_cannot_end_the_comment_of_the_header(tmp_path):
    model = replace(MODEL, specification=replace(MODEL.specification, name="a */ int x;\n#error"))
    export_c(tmp_path, model, 250.0)
    assert (tmp_path / MODEL_HEADER).read_text().splitlines()[0].count("*/") == 1
    export_c(tmp_path, MODEL, 250.0)  # and an export replaces the one before


FEW = {"106": 5, "116": 30.1, "208": 5}
"""Minutes of a few records; beats of 116 once waited for ever, somewhere in its half an hour."""


@pytest.mark.real
@pytest.mark.no_cover  # Python runs each sample of half an hour
def test_ds1_has_the_same_labels(mitdb, tmp_path):
    if not SHIPPED_LIVE_MODEL.is_dir():
        pytest.skip("no streaming model ships with this version")
    model = load_live_model()
    program = compiled.compiled(tmp_path, model, 360.0, options=compiled.OPTIMISED)
    n_equal = n_beats = 0
    records = dict.fromkeys(DS1, 30.1) if os.environ.get("ECTOPY_ALL_OF_DS1") else FEW
    for record, minutes in records.items():
        recording = open_recording(mitdb / record)
        columns = pipeline.analysed_columns(recording)
        stop = min(recording.n_samples, round(minutes * 60 * recording.fs))
        signal = recording.read_leads(columns, 0, stop).astype(np.float32)
        beats = live_beats(recording_of(signal, recording.fs), tuple(range(len(columns))), quantised(model))
        told = {one.sample: one.label for one in compiled.run(program, signal) if one.kind == "beat"}
        n_equal += sum(
            told.get(sample) == label
            for sample, label in zip(beats.sample.tolist(), beats.label.tolist(), strict=True)
        )
        n_beats += max(len(told), len(beats))
    logging.getLogger(__name__).info("%d of %d labels are equal", n_equal, n_beats)
    assert n_equal / n_beats >= EQUAL_LABELS
