"""Alarms of a running signal: drawn fibrillation, standstill, runs, rates, noise and gaps, whatever the chunks."""

from collections import Counter, defaultdict
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ectopy.annotations import Annotations, write_annotations
from ectopy.datasets import catalogue
from ectopy.ecg import recording_of
from ectopy.evaluation.alarm_examples import features_of, read_alarm_examples, training_records
from ectopy.evaluation.rhythm_examples import draw_p_waves
from ectopy.live.alarm_network import (
    ALARMS_FILE,
    N_FEATURES,
    WINDOW_S,
    live_waves,
    load_alarm_model,
    next_belief,
    over_leads,
    save_alarm_model,
)
from ectopy.live.alarm_training import N_FOLDS, AlarmExample, fit, split_patients
from ectopy.live.alarms import AlarmLimits, LiveBeat, are_steady
from ectopy.live.front_end import LIVE_FS
from ectopy.live.live_card import build_live_card
from ectopy.live.network import LiveModel, load_live_model, save_live_model
from ectopy.live.stream import Stream
from ectopy.model.classifier import ModelError
from ectopy.rhythm.rhythm_intervals import RHYTHMS, Rhythm
from ectopy.signal.noise import draw_noise
from ectopy.signal.waves import WAVES, measure_waves
from tests.drawn_ecg import drawn, steady
from tests.live import live_model
from tests.small import write_record

FS = 250.0
LETHAL = {"vf", "vt", "asystole"}


def sinus(seconds):
    return drawn(steady(seconds), seconds, fs=FS)


def fibrillation(seconds, seed=1):
    """Waves of 4 to 6 Hz whose frequency and size wander."""
    rng = np.random.default_rng(seed)
    n = round(seconds * FS)
    wander = np.interp(
        np.arange(n), np.linspace(0, n, 3 * round(seconds)), rng.normal(0, 1, 3 * round(seconds))
    )
    phase = 2 * np.pi * np.cumsum(5 + 0.6 * wander) / FS
    return (0.5 * np.exp(0.2 * wander) * np.sin(phase))[:, None].astype(np.float32)


def still(seconds, *, p_waves=False):
    rng = np.random.default_rng(2)
    n = round(seconds * FS)
    return (rng.normal(0, 0.01, (n, 1)) + p_waves * draw_p_waves(n, 1, FS, rng)).astype(np.float32)


def wide_run(before, n, rr_s, after):
    """Sinus rhythm with a run of n wide beats."""
    start = before + rr_s
    peaks = [*steady(before), *(start + rr_s * np.arange(n)).tolist()]
    peaks += [start + n * rr_s + 0.8 * beat for beat in range(1, round(after / 0.8))]
    n_before = len(steady(before))
    return drawn(peaks, start + n * rr_s + after, fs=FS, wide=frozenset(range(n_before, n_before + n)))


@cache
def model():
    """Train the network of the alarms on drawn signals that follow a sinus rhythm."""
    rng = np.random.default_rng(3)
    signals = {
        Rhythm.ORGANISED: [
            drawn(np.arange(0.5, 39, rr_s).tolist(), 40, fs=FS, wide=frozenset(range(first, 400, 2)))
            for rr_s, first in ((0.3, 400), (0.4, 400), (1.8, 400), (0.8, 0), (0.75, 0))
        ],
        Rhythm.VT: [drawn(np.arange(0.5, 39, 0.4).tolist(), 40, fs=FS, wide=frozenset(range(200)))],
        Rhythm.VF: [fibrillation(40, seed) for seed in (11, 12, 13)],
        Rhythm.ASYSTOLE: [still(40), still(40, p_waves=True)],
        Rhythm.ARTEFACT: [(2 * draw_noise(round(40 * FS), 1, FS, rng)).astype(np.float32) for _ in range(8)],
    }
    examples = []
    for rhythm, drawings in signals.items():
        for number, signal in enumerate(drawings):
            features = features_of(recording_of(together(sinus(20), signal), FS))
            allowed = np.tile(np.isin(RHYTHMS, (rhythm,)), (len(features), 1, 1))
            allowed[: 20 - WINDOW_S + 1] = np.isin(RHYTHMS, (Rhythm.ORGANISED,))
            allowed[20 - WINDOW_S + 1 : 20 - 1] = True  # around the change
            examples.append(AlarmExample(f"drawn/{rhythm}", f"{rhythm}{number}", features, allowed))
    of_beats = live_model(look_ahead=0)
    return LiveModel(of_beats.specification, of_beats.weights, "", fit(examples, steps=400))


def said(signal, sizes=(), *, limits=None):
    """Return all that the alarms say of a signal that comes in chunks of these sizes."""
    stream, start, updates = Stream(FS, ["II"], model=model(), limits=limits), 0, []
    for size in [*sizes, len(signal)]:
        updates += stream.push(signal[start : start + size])
        start += size
    return [one for one in updates if one.kind in {"alarm", "alarm_end", "rhythm"}]


def alarms(signal, **options):
    return [one for one in said(signal, **options) if one.kind == "alarm"]


def together(*parts):
    return np.concatenate(parts)


def test_fibrillation_is_told_once_within_8_seconds_and_its_end_too():
    updates = said(together(sinus(40), fibrillation(30), sinus(30)))
    lethal = [one for one in updates if one.kind == "alarm" and one.label in LETHAL]
    assert {one.label for one in lethal} <= {"vf", "vt"}
    assert lethal[-1].label == "vf"  # it may be taken for tachycardia first
    assert 40 < lethal[0].at_s <= 48
    assert lethal[0].time_s == pytest.approx(40, abs=4)
    ends = [one for one in updates if one.kind == "alarm_end"]
    assert Counter(one.label for one in ends) == Counter(one.label for one in updates if one.kind == "alarm")
    assert 70 < ends[-1].at_s < 85


def test_rhythm_follows_the_alarm():
    names = [
        one.label for one in said(together(sinus(40), fibrillation(30), sinus(40))) if one.kind == "rhythm"
    ]
    assert names[0] == "regular"
    assert "vf" in names
    assert names[-1] == "regular"
    assert all(now != later for now, later in pairwise(names))


@pytest.mark.parametrize("p_waves", [False, True])
def test_standstill_is_told_4_to_6_seconds_after_the_last_beat(p_waves):
    updates = said(together(sinus(40), still(15, p_waves=p_waves), sinus(20)))
    (alarm,) = [one for one in updates if one.kind == "alarm"]
    assert alarm.label == "asystole"
    assert alarm.time_s == pytest.approx(steady(40)[-1], abs=0.05)
    assert 4 <= alarm.at_s - alarm.time_s <= 6
    (end,) = [one for one in updates if one.kind == "alarm_end"]
    assert 55 < end.at_s < 60


def test_a_pause_shorter_than_the_limit_is_no_alarm():
    assert alarms(together(sinus(40), still(2), sinus(20))) == []


def test_the_limit_of_asystole_can_be_changed():
    signal = together(sinus(40), still(9), sinus(20))
    assert "asystole" in [one.label for one in alarms(signal)]
    assert "asystole" not in [one.label for one in alarms(signal, limits=AlarmLimits(asystole_s=12.0))]


@pytest.mark.parametrize("lost", [np.nan, 0.2])
def test_lost_signal_is_no_asystole(lost):
    updates = said(together(sinus(40), np.full((round(20 * FS), 1), lost, np.float32), sinus(20)))
    assert not [one for one in updates if one.kind == "alarm"]
    assert "artefact" in [one.label for one in updates if one.kind == "rhythm"]


@pytest.mark.parametrize("seed", range(4))
def test_noise_is_no_fibrillation_and_no_standstill(seed):
    rng = np.random.default_rng(seed)
    signal = sinus(80)
    signal[round(30 * FS) : round(60 * FS)] += draw_noise(round(30 * FS), 1, FS, rng)
    assert alarms(signal) == []


def test_what_is_large_in_noise_makes_no_standstill_of_what_follows():
    signal = sinus(80)
    signal[round(20 * FS) : round(50 * FS)] += 8 * draw_noise(round(30 * FS), 1, FS, np.random.default_rng(0))
    assert "asystole" not in [one.label for one in alarms(signal)]


def test_a_lead_that_fails_is_no_standstill_if_another_has_beats():
    signal = np.hstack([sinus(60), 0.5 * sinus(60)])
    signal[round(40 * FS) : round(50 * FS), 0] = 0.01 * np.random.default_rng(0).normal(size=round(10 * FS))
    stream = Stream(FS, ["II", "V1"], model=model())
    assert not [one for one in stream.push(signal) if one.kind == "alarm"]
    signal[round(40 * FS) : round(50 * FS), 1] = signal[round(40 * FS) : round(50 * FS), 0]
    stream = Stream(FS, ["II", "V1"], model=model())
    assert "asystole" in [one.label for one in stream.push(signal) if one.kind == "alarm"]


@pytest.mark.parametrize(
    ("label", "rr_s", "steady"),
    [
        *[("N", [0.6] * 5, True), ("N", [0.4] * 5, False), ("N", [0.6, 0.8, 0.6, 0.8], False)],
        *[("V", [0.9] * 5, True), ("V", [0.5] * 5, False), ("N", [0.6] * 2, False)],
    ],
)
def test_regular_beats_speak_against_fibrillation_unless_they_are_fast(label, rr_s, steady):
    at = np.cumsum([0, *rr_s]) * LIVE_FS
    beats = [LiveBeat(round(sample), label, (1.0,)) for sample in at.tolist()]
    assert are_steady(beats, beats[-1].sample + 20, 100.0) is steady
    assert not are_steady(beats, beats[-1].sample + 2 * LIVE_FS, 100.0)  # they have stopped


def test_an_idioventricular_rhythm_is_no_tachycardia_though_its_waves_are_as_wide():
    assert alarms(wide_run(40, 20, 0.9, 10)) == []
    assert "vt" in [one.label for one in alarms(wide_run(40, 30, 0.4, 10))]


def test_a_run_of_five_wide_beats_is_told_within_two_seconds():
    signal = wide_run(40, 8, 0.4, 20)
    (alarm,) = alarms(signal)
    assert alarm.label == "vt"
    assert alarm.at_s - (40 + 5 * 0.4) < 3


@pytest.mark.parametrize(("n", "rr_s"), [(3, 0.4), (8, 0.75)])
def test_a_short_or_a_slow_run_is_no_tachycardia(n, rr_s):
    by_beats = Stream(FS, ["II"], model=live_model(look_ahead=0))
    assert not [one for one in by_beats.push(wide_run(40, n, rr_s, 20)) if one.kind == "alarm"]


def test_a_very_slow_heart_is_told_after_five_beats():
    peaks = [*steady(40), *(41.5 + 1.8 * np.arange(12)).tolist()]
    found = alarms(drawn(peaks, 64, fs=FS))
    assert [one.label for one in found] == ["extreme_bradycardia"]
    assert found[0].at_s < 41.5 + 4 * 1.8 + 2


def test_a_very_fast_heart_is_told_after_ten_beats():
    peaks = [*steady(40), *(40.2 + 0.3 * np.arange(40)).tolist()]
    assert "extreme_tachycardia" in [one.label for one in alarms(drawn(peaks, 52, fs=FS))]
    slower = [*steady(40), *(40.3 + 0.4 * np.arange(30)).tolist()]
    assert "extreme_tachycardia" not in [one.label for one in alarms(drawn(slower, 52, fs=FS))]


def test_an_irregular_rhythm_is_named_and_no_alarm():
    rr_s = np.random.default_rng(5).uniform(0.45, 1.05, 80)
    updates = said(together(sinus(40), drawn((0.6 + np.cumsum(rr_s)).tolist(), 58, fs=FS)))
    assert [one.label for one in updates] == ["regular", "irregular"]


EVENTFUL = together(sinus(25), fibrillation(12), sinus(15), still(8), wide_run(15, 8, 0.4, 8))
EVENTFUL[round(48 * FS) : round(49 * FS)] = np.nan


@pytest.mark.no_cover
@settings(max_examples=5, deadline=None)
@given(sizes=st.lists(st.integers(0, 4000), max_size=40))
def test_chunks_change_no_alarm(sizes):
    whole = said(EVENTFUL)
    assert said(EVENTFUL, sizes) == whole
    assert {"vf", "asystole"} <= {one.label for one in whole if one.kind == "alarm"}


@pytest.mark.no_cover
def test_single_samples_give_the_same_alarms():
    signal = EVENTFUL[: round(34 * FS)]
    assert said(signal, [1] * len(signal)) == said(signal)


def test_a_restored_stream_says_the_same(tmp_path):
    at = round(30 * FS)  # in fibrillation
    stream = Stream(FS, ["II"], model=model())
    stream.push(EVENTFUL[:at])
    stream.save(tmp_path / "state")
    again = Stream.restore(tmp_path / "state", model=model())
    rest = stream.push(EVENTFUL[at:])
    assert again.push(EVENTFUL[at:]) == rest
    assert "vf" in [one.label for one in rest if one.kind == "alarm_end"]


def test_without_a_network_the_beats_alone_are_judged():
    stream = Stream(FS, ["II"], model=live_model())
    updates = stream.push(together(sinus(40), still(10)))
    assert [one.label for one in updates if one.kind == "alarm"] == ["asystole"]


def test_limits_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="vt_beats: 1 is not"):
        AlarmLimits(vt_beats=1)


def test_belief_needs_some_seconds_of_evidence():
    belief, fibrillating = np.eye(5, dtype=np.float32)[0], np.array([0.02, 0.06, 0.9, 0.01, 0.01], np.float32)
    beliefs = []
    for _ in range(10):
        belief = next_belief(belief, fibrillating)
        beliefs.append(float(belief[2]))
    assert beliefs[0] < 0.1
    assert beliefs[-1] > 0.9
    assert float(belief.sum()) == pytest.approx(1, abs=1e-5)


def test_a_lead_in_noise_hardly_counts():
    of_leads = np.array([[0.9, 0, 0, 0, 0.1], [0, 0, 0.1, 0, 0.9]], dtype=np.float32)
    assert over_leads(of_leads, np.array([True, True]))[0] > 0.75
    assert over_leads(of_leads, np.array([False, False])).argmax() == RHYTHMS.index(Rhythm.ARTEFACT)


def test_windows_end_at_whole_seconds():
    signal = np.random.default_rng(0).normal(size=(7 * LIVE_FS, 2)).astype(np.float32)
    long, short = live_waves(signal)
    assert long.shape == short.shape == (7 - WINDOW_S + 1, 2, len(WAVES))
    alone = live_waves(signal[2 * LIVE_FS : 6 * LIVE_FS])
    for whole, part in zip((long, short), alone, strict=True):
        np.testing.assert_allclose(whole[2], part[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("hz", [2.0, 5.0])
def test_waves_of_a_sine_have_its_frequency_at_each_rate(hz):
    for fs in (50, 125):
        sine = np.sin(2 * np.pi * hz * np.arange(4 * fs) / fs).astype(np.float32)[None]
        waves = dict(zip(WAVES, measure_waves(sine, fs, window_s=4, hop_s=1)[0, 0].tolist(), strict=True))
        assert 5 * waves["peak frequency"] == pytest.approx(hz, abs=0.3)
        assert waves["size"] == pytest.approx(np.log(np.sqrt(0.5)), abs=0.01)
        assert waves["kurtosis"] == pytest.approx(np.log(1.5), abs=0.01)


def test_no_patient_is_in_two_folds():
    nothing = np.zeros((0, 1, N_FEATURES), dtype=np.float32)
    examples = [
        AlarmExample(f"db/{record}", f"db/{record // 2}", nothing, nothing.astype(bool))
        for record in range(20)
    ]
    folds = split_patients(examples)
    assert len(folds) == N_FOLDS
    assert sum(map(len, folds)) == len(frozenset.union(*folds)) == 10


def test_weights_are_read_as_they_were_written(tmp_path):
    alarms_model = model().alarms
    save_live_model(tmp_path, model().specification, model().weights)
    assert load_live_model(tmp_path).alarms is None
    load_live_model.cache_clear()
    save_alarm_model(alarms_model, tmp_path)
    again = load_live_model(tmp_path).alarms
    assert again is not None
    assert alarms_model is not None
    features = np.random.default_rng(0).normal(size=(2, N_FEATURES)).astype(np.float32)
    np.testing.assert_allclose(again.of_leads(features), alarms_model.of_leads(features), atol=1e-3)


@pytest.mark.parametrize("text", ["{", "[]", '{"mean": [1.0]}', '{"moon": 1}'])
def test_damaged_weights_are_named(tmp_path, text):
    (tmp_path / ALARMS_FILE).write_text(text)
    with pytest.raises(ModelError, match=r"alarms\.json"):
        load_alarm_model(tmp_path)


def labelled(folder, name):
    """Write a record of a minute with a flutter from 40 s on."""
    write_record(folder, name)
    marks = Annotations(
        np.array([0, 500, 10_000]), np.array(["+", "N", "+"]), np.zeros(3, int), ("(N", "", "(VFL")
    )
    write_annotations(folder / name, "atr", marks, fs=FS)


def names_of(allowed):
    return "".join(rhythm[:2] for rhythm, yes in zip(RHYTHMS, allowed, strict=True) if yes)


def test_a_training_record_is_read_as_it_is_with_noise_and_with_standstill(tmp_path):
    folder = tmp_path / "mitdb" / "1.0.0"
    labelled(folder, "101")
    plain, noisy, stopped = read_alarm_examples("mitdb", folder / "101")
    assert (plain.key, plain.patient) == ("mitdb/101", "mitdb/101")
    assert plain.features.shape[2] == N_FEATURES
    # A window that ends at 39.5 s is before the flutter, at 41 s around its onset, and at 43 s after it.
    at = [names_of(plain.allowed[end - WINDOW_S, 0]) for end in (39, 41, 43)]
    assert at == ["or", "orvf", "vf"]
    artefact, asystole = (RHYTHMS.index(one) for one in (Rhythm.ARTEFACT, Rhythm.ASYSTOLE))
    assert noisy.allowed[..., artefact].any()
    assert stopped.allowed[..., asystole].any()
    assert not plain.allowed[..., [artefact, asystole]].any()
    assert plain.features.shape == noisy.features.shape == stopped.features.shape


def test_a_recording_shorter_than_a_window_has_no_features():
    assert features_of(recording_of(sinus(4)[: round(3.5 * FS)], FS)).shape == (0, 1, N_FEATURES)


def test_the_card_says_from_which_records_the_alarms_have_learnt():
    settings = defaultdict(int)
    with_, without = (
        build_live_card("m", [], settings, 1, "", records) for records in ({"vfdb": ["418"]}, {})
    )
    assert "* vfdb: 418\n" in with_
    assert "Never for life support" in with_
    assert "`vf` is never said" in without


def test_the_shipped_model_says_fibrillation():
    stream = Stream(FS, ["II"])
    updates = stream.push(together(sinus(40), fibrillation(20)))
    assert "vf" in [one.label for one in updates if one.kind == "alarm" and one.at_s <= 50]
    assert not [one for one in updates if one.kind == "alarm" and one.at_s <= 40]


def test_training_writes_weights_if_there_is_fibrillation(tmp_path, monkeypatch):
    from ectopy.flows.train_live import train_alarms

    monkeypatch.setattr("ectopy.live.alarm_training._STEPS", 2)
    out = tmp_path / "model"
    out.mkdir()
    folder = tmp_path / "mitdb" / "1.0.0"
    labelled(folder, "101")
    assert train_alarms(tmp_path, out) == {}
    assert load_alarm_model(out) is None
    labelled(tmp_path / "vfdb" / "1.0.0", catalogue.find_database("vfdb").training[0])
    assert train_alarms(tmp_path, out) == {"vfdb": ["418"], "mitdb": ["101"]}
    trained = load_alarm_model(out)
    assert trained is not None
    assert trained.hidden.shape[0] == N_FEATURES
    assert [name for name, _ in training_records(tmp_path)] == ["vfdb", "mitdb"]
