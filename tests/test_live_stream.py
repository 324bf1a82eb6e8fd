"""A stream: the same final beats whatever the chunks, within seconds, and what it says before."""

import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ectopy import pipeline
from ectopy.ecg import NotAnalysableError, recording_of
from ectopy.live.analysis import analyse_live, as_beats, live_beats
from ectopy.live.candidates import Candidate
from ectopy.live.network import load_live_model, save_live_model
from ectopy.live.stream import FINAL_S, STEP_S, Stream
from ectopy.model.classifier import SPECIFICATION_FILE, ModelError
from tests.drawn_ecg import drawn, steady
from tests.live import live_model, random_live_model
from tests.small import simulated

MODEL = live_model()
RECORDING = simulated(minutes=1.5).recording


def stream_in_chunks(signal, fs, sizes, model=MODEL):
    stream, start, updates = Stream(fs, ["II", "V1"][: signal.shape[1]], model=model), 0, []
    for size in sizes:
        updates += stream.push(signal[start : start + size])
        start += size
    return [*updates, *stream.push(signal[start:]), *stream.finish()]


def final(updates):
    return [
        (one.sample, one.label, one.probabilities, one.confident) for one in updates if one.kind == "beat"
    ]


def with_faults(signal, fs):
    signal = signal.copy()
    signal[round(20 * fs) : round(26 * fs)] = np.nan
    signal[round(40 * fs) : round(45 * fs), 0] = 0.2
    return signal


@pytest.mark.no_cover
@settings(max_examples=6, deadline=None)
@given(sizes=st.lists(st.integers(0, 3000), max_size=60))
def test_chunks_do_not_change_final_beats(sizes):
    signal = with_faults(RECORDING.read(0, RECORDING.n_samples), RECORDING.fs)
    whole = final(stream_in_chunks(signal, RECORDING.fs, []))
    assert final(stream_in_chunks(signal, RECORDING.fs, sizes)) == whole
    assert len(whole) > 50


def test_one_sample_at_a_time_gives_the_same_as_all_at_once():
    signal = RECORDING.read(0, round(20 * RECORDING.fs))
    one_by_one = stream_in_chunks(signal, RECORDING.fs, [1] * len(signal))
    assert final(one_by_one) == final(stream_in_chunks(signal, RECORDING.fs, []))


@pytest.mark.no_cover  # each sample alone
def test_samples_wait_until_a_step_is_complete():
    signal, fs = RECORDING.read(0, round(30 * RECORDING.fs)), RECORDING.fs
    step = round(STEP_S * fs)
    one_by_one = stream_in_chunks(signal, fs, [1] * len(signal))
    told = [one for one in one_by_one if one.kind == "provisional"]
    assert len(told) > 20
    assert all(round(one.at_s * fs) % step == 0 for one in told)
    assert one_by_one == stream_in_chunks(signal, fs, [step] * (len(signal) // step))


def test_the_buffer_of_a_packet_may_be_used_again():
    signal, fs = RECORDING.read(0, round(20 * RECORDING.fs)), RECORDING.fs
    stream, buffer, updates = Stream(fs, ["II", "V1"], model=MODEL), np.empty((7, 2), dtype=np.float32), []
    for start in range(0, len(signal), 7):
        part = buffer[: len(signal) - start]
        part[:] = signal[start : start + 7]
        updates += stream.push(part)
        buffer[:] = np.nan
    assert final([*updates, *stream.finish()]) == final(stream_in_chunks(signal, fs, []))


def test_a_beat_is_told_within_half_a_second_and_final_within_five():
    signal, fs = RECORDING.read(0, RECORDING.n_samples), RECORDING.fs
    first, last = {}, {}
    for update in stream_in_chunks(signal, fs, [round(fs / 25)] * (len(signal) // round(fs / 25))):
        if update.kind in {"provisional", "beat"} and 10 < update.time_s < RECORDING.duration_s - 6:
            first.setdefault(update.sample, update.at_s - update.time_s)
            last[update.sample] = update.at_s - update.time_s
    assert np.median(list(first.values())) < 0.26
    assert np.quantile(list(first.values()), 0.95) < 0.3
    assert max(last.values()) <= FINAL_S + 0.1


def test_a_slow_heart_is_final_in_time_too():
    peaks = np.arange(0.5, 59, 2.4).tolist()
    signal, fs = drawn(peaks, 60), 360.0
    updates = stream_in_chunks(signal, fs, [36] * 600)
    late = [one.at_s - one.time_s for one in updates if one.kind == "beat" and 10 < one.time_s < 50]
    assert len(late) >= 15
    assert max(late) <= FINAL_S + 0.15


def test_a_wide_early_beat_is_ventricular_at_once():
    peaks = np.arange(0.5, 39, 0.8)
    peaks[30] -= 0.3
    signal = drawn(peaks.tolist(), 40, wide=frozenset({30}))
    updates = stream_in_chunks(signal, 360.0, [36] * 400, live_model(look_ahead=0))
    (beat,) = [one for one in updates if one.kind == "beat" and one.label == "V"]
    assert beat.time_s == pytest.approx(peaks[30], abs=0.05)
    told = next(one for one in updates if one.label == "V")
    assert told.kind == "provisional"
    assert told.at_s - told.time_s < 0.45


def test_a_provisional_beat_is_settled_or_revoked():
    rng = np.random.default_rng(3)
    signal = drawn(np.arange(0.5, 59, 0.8).tolist(), 60)
    signal[20 * 360 : 24 * 360, 0] += rng.standard_normal(4 * 360) * 0.6  # movement
    updates = stream_in_chunks(signal, 360.0, [36] * 600)
    state = {}
    for one in updates:
        if one.kind == "revoked":
            assert state.pop(one.sample) == "provisional"
        elif one.kind in {"provisional", "beat"}:
            state[one.sample] = one.kind
    assert set(state.values()) == {"beat"}


def test_a_beat_after_a_gap_is_not_early():
    peaks = np.arange(0.5, 59, 0.8).tolist()
    signal = drawn(peaks, 60)
    signal[30 * 360 : 34 * 360] = np.nan
    assert Counter(one.label for one in stream_in_chunks(signal, 360.0, []) if one.kind == "beat").keys() == {
        "N"
    }


def test_recording_and_stream_have_the_same_beats_and_labels():
    columns = pipeline.analysed_columns(RECORDING)
    analysis = analyse_live(RECORDING, MODEL)
    updates = stream_in_chunks(
        RECORDING.read_leads(columns, 0, RECORDING.n_samples), RECORDING.fs, [777] * 20
    )
    streamed = as_beats(updates, RECORDING.fs, RECORDING.n_samples)
    np.testing.assert_array_equal(analysis.beats.sample, streamed.sample)
    np.testing.assert_array_equal(analysis.beats.label, streamed.label)
    np.testing.assert_array_equal(analysis.beats.probability, streamed.probability)


def test_the_leads_of_a_recording_are_chosen_once(monkeypatch):
    calls = []

    def look(recording):
        calls.append(recording)
        return frozenset({0})

    monkeypatch.setattr("ectopy.pipeline.disconnected_leads", look)
    analysis = analyse_live(RECORDING, MODEL)
    assert len(calls) == 1
    assert analysis.columns == (1,)


def test_events_come_from_the_labels_of_the_stream():
    analysis = analyse_live(RECORDING, MODEL)
    n_single = sum(event.n_beats == 1 for event in analysis.events if event.kind == "veb")
    assert n_single <= (analysis.beats.label == "V").sum()
    assert len(analysis.beats) == len(live_beats(RECORDING, analysis.columns, MODEL))


@pytest.mark.parametrize("signal", [np.zeros((4000, 1)), np.full((4000, 1), np.nan)])
def test_nothing_recorded_has_no_beat(signal):
    assert final(stream_in_chunks(signal, 250.0, [250] * 16)) == []


def test_a_short_strip_has_the_beats_that_were_learnt_from():
    recording = recording_of(drawn([1.0, 1.8, 2.6, 3.4, 4.2], 5), 360.0)
    assert len(live_beats(recording, (0,), MODEL)) == 5


def test_a_model_is_read_as_it_was_written(tmp_path):
    save_live_model(tmp_path / "live", MODEL.specification, MODEL.weights)
    again = load_live_model(tmp_path / "live")
    assert again.specification == MODEL.specification
    features = np.random.default_rng(0).normal(size=len(MODEL.specification.features)).astype(np.float32)
    for one, other in zip(
        again.step(again.start(), features), MODEL.step(MODEL.start(), features), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("harm", ["missing", "not json", "a list", "no weights", "cut", "unknown feature"])
def test_a_damaged_model_is_named(tmp_path, harm):
    folder = tmp_path / "live"
    save_live_model(folder, MODEL.specification, MODEL.weights)
    specification = folder / SPECIFICATION_FILE
    if harm == "missing":
        specification.unlink()
    elif harm == "not json":
        specification.write_text("{")
    elif harm == "a list":
        specification.write_text("[]")
    elif harm == "cut":
        whole = (folder / "weights.npz").read_bytes()
        (folder / "weights.npz").write_bytes(whole[: len(whole) // 2])
    elif harm == "no weights":
        (folder / "weights.npz").write_bytes(b"PK")
    else:
        specification.write_text(specification.read_text().replace("rr over local", "moon over local"))
    with pytest.raises(ModelError, match=r"live|moon"):
        load_live_model(folder)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda weights, _: weights.update(kernel=weights["kernel"][:, :-1]), "kernel has the shape"),
        (
            lambda weights, _: weights.update(out=np.vstack((weights["out"], weights["out"][:1]))),
            "out has the",
        ),
        (lambda weights, _: weights.update(bias=weights["bias"] * np.nan), "bias has values that are no"),
        (lambda _, read: read.update(mean=read["mean"][1:]), "mean is not"),
        (lambda _, read: read.update(temperature=[1.0]), "temperature is not 3 numbers"),
        (lambda _, read: read.update(temperature=[1.0, 0.0, 1.0]), "above 0"),
        (lambda _, read: read.update(labels=["N", "S", "X"]), "X is no class"),
    ],
)
def test_a_model_of_wrong_shapes_is_named_before_the_first_beat(tmp_path, change, problem):
    weights, folder = dict(MODEL.weights), tmp_path / "live"
    save_live_model(folder, MODEL.specification, weights)
    specification = json.loads((folder / SPECIFICATION_FILE).read_text())
    change(weights, specification)
    save_live_model(folder, MODEL.specification, weights)
    (folder / SPECIFICATION_FILE).write_text(json.dumps(specification))
    with pytest.raises(ModelError, match=f"live: not a complete streaming model .*{problem}"):
        load_live_model(folder)


def test_one_impossible_sample_does_not_end_the_alarms():
    # The fourth power of 9e9 is beyond float32: the belief in each rhythm was no number from there on.
    signal = drawn(steady(40), 40, fs=250.0)
    signal[2000:2010] = 9e9
    stream = Stream(250.0, ["II"], model=load_live_model())
    stream.push(signal)
    assert np.isfinite(stream._alarms._belief).all()
    assert stream._alarms._belief.argmax() == 0


def test_positions_of_a_rate_with_many_digits_do_not_drift():
    # Over a week, 359.9995 Hz and the nearest fraction that is resampled with differ by 0.8 s.
    stream, clock = Stream(359.9995, ["II"], model=MODEL), 7 * 86_400 * 125
    ratio = stream._front_end.ratio
    at = stream._position(clock)[0]
    assert (
        abs(at + stream._front_end.delay_s * stream.fs - clock * ratio.numerator / ratio.denominator) <= 0.5
    )
    assert abs(at - clock / 125 * stream.fs) > 100


def test_the_model_that_ships_finds_beats_of_simulated_patients():
    beats = live_beats(RECORDING, (0, 1), load_live_model())
    assert len(beats) > 60
    assert (beats.label == "N").mean() > 0.5


@pytest.mark.no_cover
@pytest.mark.parametrize("before_s", [-0.1, 0.0, 0.1, 0.2, 0.3, 0.5])
def test_a_gap_beside_a_beat_is_the_same_in_all_chunks(before_s):
    peaks = np.arange(0.5, 29, 0.8).tolist()
    signal = drawn(peaks, 30)
    start = round((peaks[20] - before_s) * 360)
    signal[start : start + 144] = np.nan
    whole = final(stream_in_chunks(signal, 360.0, []))
    for size in (7, 36, 100):
        assert final(stream_in_chunks(signal, 360.0, [size] * (len(signal) // size))) == whole


@settings(max_examples=15, deadline=None)
@given(
    lost_s=st.lists(st.tuples(st.floats(0, 29), st.floats(0.02, 5)), max_size=8),
    one_lead=st.booleans(),
    sizes=st.lists(st.integers(0, 400), max_size=60),
)
def test_lost_signal_anywhere_is_the_same_in_all_chunks(lost_s, one_lead, sizes):
    lead = drawn(steady(30), 30, fs=250.0)
    signal = np.hstack((lead, -0.6 * lead))
    for start_s, length_s in lost_s:
        lost = slice(round(250 * start_s), round(250 * (start_s + length_s)))
        signal[lost, : 1 if one_lead else 2] = np.nan
    whole, cut = (stream_in_chunks(signal, 250.0, one, random_live_model()) for one in ([], sizes))
    assert final(cut) == final(whole)
    gaps = [[(one.sample, one.reason) for one in part if one.kind == "gap"] for part in (whole, cut)]
    assert gaps[0] == gaps[1]


@pytest.mark.parametrize(
    ("before", "at", "is_known"),
    [(100, 199, True), (100, 200, False), (100, 300, False), (220, 300, False), (249, 300, True)],
)
def test_rr_is_unknown_if_signal_between_two_beats_was_lost(before, at, is_known):
    # Samples 200 to 249 are lost, and the detector may take the edge of a gap for a beat.
    stream = Stream(125.0, ["II"], model=MODEL)
    stream._lost.append((200, 250))
    rr_s = stream._rr_s(Candidate(at, at, (1.0,)), Candidate(before, before, (1.0,)))
    assert (not math.isnan(rr_s)) == is_known


def test_rr_is_unknown_while_signal_is_lost():
    stream = Stream(125.0, ["II"], model=MODEL)
    stream._lost.append((200, math.inf))
    rr_s = [stream._rr_s(Candidate(at, at, (1.0,)), Candidate(150, 150, (1.0,))) for at in (199, 200, 10_000)]
    assert [math.isnan(one) for one in rr_s] == [False, True, True]


@pytest.mark.parametrize("second_s", [7.0, 10.0, 10.2, 12.0])
def test_a_long_silence_while_the_stream_learns_is_the_same_in_all_chunks(second_s):
    peaks = [0.9, *np.arange(second_s, 18, 0.8).tolist()]
    signal = drawn(peaks, 20, fs=250.0)
    signal[: round(0.65 * 250)] = signal[round(1.05 * 250) : round((second_s - 0.25) * 250)] = 0.1
    whole = final(stream_in_chunks(signal, 250.0, [], random_live_model()))
    for size in (10, 20, 100):
        cut = stream_in_chunks(signal, 250.0, [size] * (len(signal) // size), random_live_model())
        assert final(cut) == whole
    assert len(whole) >= len(peaks) - 1


def test_a_beat_whose_signal_is_gone_cannot_be_read():
    # One beat, then a constant: too few candidates to learn from, until the stream ends.
    signal = drawn([0.9], 30, fs=125.0)
    signal[: round(0.65 * 125)] = signal[round(1.05 * 125) :] = 0.1
    stream = Stream(125.0, ["II"], model=MODEL)
    stream.push(signal)
    (beat,) = final(stream.finish())
    assert beat[0] == pytest.approx(0.9 * 125, abs=3)
    assert not stream._window(beat[0])[1].any()


def test_after_its_end_a_stream_takes_nothing_more():
    stream = Stream(250.0, ["II"], model=MODEL)
    stream.push(np.zeros((500, 1), dtype=np.float32))
    stream.finish()
    for again in (stream.finish, lambda: stream.push(np.zeros((1, 1), dtype=np.float32))):
        with pytest.raises(NotAnalysableError, match=r"has ended.*Begin a new"):
            again()
