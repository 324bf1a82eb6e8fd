"""Test the rhythm of each interval: its features, the decoding of probabilities, and the events that follow."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ectopy
from ectopy import pipeline, report
from ectopy.annotations import Annotations, write_annotations
from ectopy.beats.detection import Waves, detect_beats
from ectopy.datasets import catalogue
from ectopy.ecg import Event, recording_of, true_intervals
from ectopy.evaluation.finding_reference import Episode, FindingReference, Window
from ectopy.evaluation.record_findings import FindingJob
from ectopy.evaluation.rhythm_examples import allowed_rhythms, read_examples, with_standstill
from ectopy.features.rhythm import RHYTHM_FEATURES, iter_rhythm_features
from ectopy.flows.train_rhythm import split_patients
from ectopy.model.classifier import SHIPPED_MODEL, ModelError, load_classifier
from ectopy.model.folds import TooFewPatientsError
from ectopy.model.rhythm_classifier import SHIPPED_RHYTHM_MODEL, load_rhythm_classifier
from ectopy.model.rhythm_network import train
from ectopy.model.rhythm_training import RhythmExample, RhythmTrainConfig
from ectopy.readers import open_recording
from ectopy.report.data_files import annotations_of
from ectopy.rhythm.events import analyse_rhythm
from ectopy.rhythm.findings import find_findings
from ectopy.rhythm.rhythm_events import without_beats_in_asystole, without_unreadable
from ectopy.rhythm.rhythm_intervals import (
    ENTRY_COST,
    RHYTHMS,
    Rhythm,
    RhythmInterval,
    _viterbi,
    decode,
    find_rhythm_intervals,
    without_slow_vt,
)
from ectopy.signal.waves import TICK, WAVES, waves_of_ticks
from tests.conftest import database
from tests.drawn_ecg import FS, drawn, steady
from tests.handmade import analysis_of, beats_of, provenance_of, recording_for
from tests.small import simulated, write_record

NOTHING = np.empty((0, 2), dtype=np.int64)


def waves_of(signal):
    """Name the median properties of the waves of one lead at 200 Hz."""
    filtered = np.asarray(signal, dtype=np.float32)[:, None]
    waves, _ = waves_of_ticks(filtered, np.ones(filtered.shape, dtype=bool), 0, 0, len(filtered))
    return dict(zip(WAVES, np.median(waves[:, 0].astype(float), axis=0), strict=True))


class TestWaves:
    time_s = np.arange(200 * 30) / 200

    def test_a_sine_of_4_hz_has_its_frequency_and_repeats_itself(self):
        waves = waves_of(np.sin(2 * np.pi * 4 * self.time_s))
        assert waves["peak frequency"] == pytest.approx(4 / 5, abs=0.01)
        assert waves["power near the peak"] > 0.99
        assert waves["autocorrelation"] > 0.9
        assert waves["lag"] == pytest.approx(0.25, abs=0.02)
        assert waves["size"] == pytest.approx(np.log(np.sqrt(0.5)), abs=0.02)
        assert waves["kurtosis"] == pytest.approx(np.log(1.5), abs=0.03)

    def test_a_flat_line_is_small_and_finite(self):
        waves = waves_of(np.zeros(6000))
        assert waves["size"] < np.log(0.001)
        assert np.isfinite(list(waves.values())).all()

    def test_beats_stand_out_of_a_quiet_baseline(self):
        beats, sine = drawn(steady(30), 30, fs=200)[:, 0], np.sin(2 * np.pi * 4 * self.time_s)
        assert waves_of(beats)["kurtosis"] > waves_of(sine)["kurtosis"] + 1
        assert waves_of(beats)["flat part"] > 0.5 > waves_of(sine)["flat part"]

    def test_noise_does_not_repeat_itself(self):
        assert waves_of(np.random.default_rng(0).normal(size=6000))["autocorrelation"] < 0.5

    def test_a_tick_without_a_usable_lead_has_a_share_of_zero(self):
        usable = np.ones((5 * TICK, 2), dtype=bool)
        usable[TICK : 2 * TICK] = False
        usable[2 * TICK : 3 * TICK, 0] = False
        share = waves_of_ticks(np.zeros((5 * TICK, 2), dtype=np.float32), usable, 0, 0, 5 * TICK)[1]
        assert share.tolist() == [1, 0, 1, 1, 1]

    @pytest.mark.parametrize("block_s", [7.3, 61.0])
    def test_blocks_of_any_size_have_the_same_waves(self, block_s):
        recording = simulated().recording
        whole, cut = (detect_beats(recording, (0, 1), block_s=size).waves for size in (600.0, block_s))
        assert len(whole.usable) == int(recording.duration_s // 2)
        np.testing.assert_allclose(cut.of_leads.astype(float), whole.of_leads.astype(float), atol=0.02)
        np.testing.assert_array_equal(cut.usable, whole.usable)

    @pytest.mark.parametrize("seconds", [0, 0.5, 1.9, 2.0, 3.0, 5.0])
    def test_a_short_recording_has_its_whole_ticks(self, seconds):
        recording = recording_of(np.random.default_rng(0).normal(size=(round(250 * seconds), 1)), 250)
        assert len(detect_beats(recording, (0,)).waves.usable) == int(seconds // 2)


class TestFeatures:
    def test_they_are_named_and_describe_the_beats(self):
        signal = drawn(steady(60), 60, fs=250.0)
        prepared = pipeline.prepare(recording_of(signal, 250.0))
        beats = beats_of("N" * len(prepared.sample), np.diff(prepared.sample / 250.0, prepend=0))
        (features,) = iter_rhythm_features(prepared.waves, beats, prepared.windows)
        assert features.shape == (30, len(RHYTHM_FEATURES))
        middle = dict(zip(RHYTHM_FEATURES, np.median(features, axis=0), strict=True))
        assert middle["beats"] == pytest.approx(1.0, abs=0.21)  # five in 4 s
        assert middle["rr"] == pytest.approx(np.log(0.8), abs=0.03)
        assert middle["p(v)"] == middle["low confidence"] == 0
        assert min(middle["likeness to the beat before"], middle["likeness to the usual beat"]) > 0.98
        assert middle["more regular lead: size"] == middle["other lead: size"]
        assert middle["usable"] == 1

    def test_parts_of_any_length_have_the_same_features(self, monkeypatch):
        prepared = pipeline.prepare(recording_of(drawn(steady(60), 60, fs=250.0), 250.0))
        beats = beats_of("NVNSN" * (len(prepared.sample) // 5), 0.8)
        windows = prepared.windows.take(slice(len(beats)))
        (whole,) = iter_rhythm_features(prepared.waves, beats, windows)
        monkeypatch.setattr("ectopy.features.rhythm._TICKS_AT_ONCE", 7)
        parts = list(iter_rhythm_features(prepared.waves, beats, windows))
        assert [len(part) for part in parts] == [7, 7, 7, 7, 2]
        np.testing.assert_array_equal(np.concatenate(parts), whole)

    def test_without_a_beat_the_nearest_is_far(self):
        prepared = pipeline.prepare(recording_of(np.zeros((2500, 1)), 250.0))
        (features,) = iter_rhythm_features(prepared.waves, beats_of(""), prepared.windows)
        assert set(features[:, list(RHYTHM_FEATURES).index("nearest beat")]) == {10.0}


def probability_of(letters, sure=0.97):
    """Return the probabilities of ticks named by letters, o v f a n."""
    column = np.array(["ovfan".index(letter) for letter in letters], dtype=int)
    probability = np.full((len(letters), len(RHYTHMS)), (1 - sure) / 4, dtype=np.float32)
    probability[np.arange(len(letters)), column] = sure
    return probability


def decoded(letters, sure=0.97):
    return "".join("ovfan"[number] for number in decode(probability_of(letters, sure)))


class TestDecoding:
    def test_what_lasts_is_named_and_a_single_tick_is_not(self):
        letters = "o" * 20 + "v" + "o" * 20 + "fffff" + "o" * 20
        assert decoded(letters, 0.9) == letters.replace("v", "o")

    def test_a_gap_of_one_tick_in_fibrillation_is_none(self):
        assert decoded("o" * 9 + "fffffofffff" + "o" * 9, 0.9) == "o" * 9 + "f" * 11 + "o" * 9

    def test_a_recording_may_begin_and_end_in_any_rhythm(self):
        assert decoded("ffffffaaaaaa") == "ffffffaaaaaa"

    def test_cutting_where_the_rhythm_is_sure_changes_nothing(self):
        rng = np.random.default_rng(0)
        for _ in range(20):
            logits = rng.normal(size=(400, len(RHYTHMS))).cumsum(axis=0) * 0.5
            logits[:, 0] += 5 * (np.arange(400) % 90 < 45)
            power = np.exp(logits - logits.max(axis=1, keepdims=True))
            probability = (power / power.sum(axis=1, keepdims=True)).astype(np.float32)
            np.testing.assert_array_equal(decode(probability), _viterbi(probability, np.array(ENTRY_COST)))

    def test_the_intervals_cover_the_recording_once(self):
        usable = np.ones(30)
        usable[20:22] = 0.2
        intervals = find_rhythm_intervals(probability_of("o" * 10 + "f" * 5 + "o" * 15), usable, 61.3)
        assert intervals == (
            RhythmInterval(Rhythm.ORGANISED, 0, 20),
            RhythmInterval(Rhythm.VF, 20, 30),
            RhythmInterval(Rhythm.ORGANISED, 30, 40),
            RhythmInterval(Rhythm.ARTEFACT, 40, 44),
            RhythmInterval(Rhythm.ORGANISED, 44, 61.3),
        )

    def test_a_recording_without_a_tick_is_one_interval(self):
        assert find_rhythm_intervals(probability_of(""), np.empty(0), 1.0) == (
            RhythmInterval(Rhythm.ORGANISED, 0.0, 1.0),
        )


def rhythm_of(beats, *intervals, duration_s=60.0):
    named = [RhythmInterval(Rhythm(name), start_s, stop_s) for name, start_s, stop_s in intervals]
    return analyse_rhythm(beats, duration_s=duration_s, unreadable=NOTHING, intervals=named)


def kinds_of(beats, *intervals):
    return [event.kind for event in rhythm_of(beats, *intervals).events]


class TestEvents:
    runs = beats_of("N" * 10 + "VVVV" + "N" * 55, [0.8] * 10 + [0.4] * 4 + [0.9] * 55)  # VT from 8.4 to 9.6 s

    def test_an_interval_of_fibrillation_is_an_event_and_its_beats_are_none(self):
        rhythm = rhythm_of(self.runs, ("organised", 0, 6), ("vf", 6, 20), ("organised", 20, 60))
        (event,) = rhythm.events
        assert (event.kind, event.onset_s, event.offset_s) == ("vf", 6, 20)
        inside = (rhythm.beats.time_s >= 6) & (rhythm.beats.time_s < 20)
        np.testing.assert_array_equal(rhythm.beats.confident, ~inside)

    def test_tachycardia_in_artefact_is_no_event(self):
        assert kinds_of(self.runs) == ["vt"]
        assert kinds_of(self.runs, ("artefact", 6, 12)) == []

    def test_tachycardia_that_the_beats_do_not_show_is_an_event(self):
        (event,) = rhythm_of(beats_of("N" * 90, 0.6), ("vt", 20, 30)).events
        assert (event.kind, event.onset_s, event.offset_s) == ("vt", 20, 30)
        assert event.rate_bpm == pytest.approx(100)

    def test_tachycardia_that_the_beats_show_is_one_event(self):
        beats = beats_of("N" * 20 + "V" * 30 + "N" * 20, [0.8] * 20 + [0.4] * 30 + [0.8] * 20)
        (event,) = [event for event in rhythm_of(beats, ("vt", 16, 28)).events if event.kind == "vt"]
        assert event.n_beats == 30

    def test_a_run_in_a_longer_tachycardia_is_part_of_it(self):
        (event,) = rhythm_of(self.runs, ("vt", 8, 20)).events
        assert (event.kind, event.onset_s, event.offset_s) == ("vt", 8, 20)

    def test_a_long_standstill_is_asystole_and_a_short_one_stays_a_pause(self):
        beats = beats_of("N" * 46, [1.0] * 15 + [14.0] + [1.0] * 30)
        assert kinds_of(beats) == ["pause"]
        assert kinds_of(beats, ("asystole", 16, 28)) == ["asystole"]
        short = beats_of("N" * 55, [1.0] * 15 + [5.0] + [1.0] * 39)
        assert kinds_of(short, ("asystole", 16, 20)) == ["pause"]

    def test_an_interval_of_one_tick_is_no_event(self):
        beats = beats_of("N" * 70, 0.8)
        assert kinds_of(beats, ("vf", 4, 6), ("vt", 10, 12), ("asystole", 20, 22)) == []

    def test_a_lethal_rhythm_is_the_first_finding_and_stands_in_the_annotations(self):
        beats = beats_of("N" * 46, [*[0.8] * 37, 20.8, *[0.8] * 8])
        analysis = analysis_of(recording_for(beats, 6000), beats)
        rhythm = rhythm_of(beats, ("vf", 10, 20), ("asystole", 30, 50), ("vt", 52, 58))
        analysis = replace(analysis, beats=rhythm.beats, events=rhythm.events)
        texts = [str(finding) for finding in find_findings(analysis)]
        assert texts[0] == "urgent: Ventricular flutter or fibrillation: 1 episode, longest 10.0 s at 0:00:10"
        assert texts[1] == "urgent: Asystole: 1 episode, longest 20.8 s at 0:00:29"
        annotations = annotations_of(analysis)
        marks = np.isin(annotations.symbol, ("[", "]"))
        assert "".join(annotations.symbol[marks]) == "[]"
        np.testing.assert_allclose(annotations.sample[marks] / 100, (10, 20), atol=0.02)
        assert "(VFL" in annotations.aux

    def test_tachycardia_without_a_beat_has_no_rate_in_its_finding(self):
        beats = beats_of("NN", [1.0, 58.0])
        analysis = analysis_of(recording_for(beats, 6000), beats)
        rhythm = rhythm_of(beats, ("vt", 10, 50))
        (text,) = [
            finding.text
            for finding in find_findings(replace(analysis, events=rhythm.events))
            if "tachycardia" in finding.text
        ]
        assert text == "Sustained ventricular tachycardia: 1 run of 0 beats (40.0 s) at 0:00:10"


class TestNetwork:
    def test_it_answers_one_probability_for_each_rhythm_whatever_the_parts(self):
        features = np.random.default_rng(0).normal(size=(1500, len(RHYTHM_FEATURES))).astype(np.float32)
        network = load_rhythm_classifier()
        whole = network([features])
        assert whole.shape == (1500, len(RHYTHMS))
        np.testing.assert_allclose(whole.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_array_equal(network(np.array_split(features, 7)), whole)
        assert network([]).shape == (0, len(RHYTHMS))

    def test_it_needs_no_keras(self):
        code = "import ectopy, numpy as np, sys; ectopy.analyse(np.zeros((5000, 1)), fs=250.0); print('keras' in sys.modules)"
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert ended.stdout.strip() == "False"

    def test_it_has_no_held_out_patient(self):
        from ectopy.datasets.catalogue import find_database, patient_of

        trained = set(load_rhythm_classifier().specification.trained_on)
        for name in ("mitdb", "svdb", "vfdb", "cudb", "challenge-2017"):
            data = find_database(name)
            held_out = {patient_of(data, record) for record in data.held_out}
            # Record 202 of DS2 is of the same patient as 201 of DS1.
            assert trained & held_out <= {"mitdb/201"}

    def test_a_damaged_directory_is_named(self, tmp_path):
        with pytest.raises(ModelError, match=r"model\.json: no specification of a rhythm network"):
            load_rhythm_classifier(tmp_path / "none")
        text = (SHIPPED_RHYTHM_MODEL / "model.json").read_text()
        (tmp_path / "model.json").write_text(text.replace('"usable"', '"useful"'))
        with pytest.raises(ModelError, match="trained with other features"):
            load_rhythm_classifier(tmp_path)
        (tmp_path / "model.json").write_text(text)
        with pytest.raises(ModelError, match=r"model\.onnx: not a complete ONNX network"):
            load_rhythm_classifier(tmp_path)([np.zeros((9, len(RHYTHM_FEATURES)), dtype=np.float32)])

    def test_sinus_rhythm_of_simulated_patients_is_organised(self):
        analysis = pipeline.analyse(
            simulated(seed=3).recording, load_classifier(SHIPPED_MODEL), name_rhythm=load_rhythm_classifier()
        )
        assert not [event for event in analysis.events if event.kind in {"vf", "asystole", "vt"}]


def reference_of(key, *, episodes=(), windows=(), strip=""):
    return FindingReference(key, key, 60.0, frozenset(), tuple(episodes), windows=tuple(windows), strip=strip)


class TestExamples:
    def allowed(self, reference):
        """Return the first letters of what is allowed at 11, 31 and 51 s."""
        rows = allowed_rhythms(reference, np.array([11.0, 31.0, 51.0]))
        return [
            "".join(name for name, is_allowed in zip("ovfan", row, strict=True) if is_allowed) for row in rows
        ]

    def test_marks_of_rhythm_allow_that_rhythm_alone(self):
        episodes = [Episode("vt", 10, 20), Episode("asystole", 30, 40), Episode("noise", 50, 60)]
        assert self.allowed(reference_of("vfdb/1", episodes=episodes)) == ["v", "a", "n"]

    def test_a_pause_between_beats_may_be_organised_and_a_short_or_uncertain_episode_is_anything(self):
        episodes = [Episode("asystole", 10, 20), Episode("vt", 30, 32), Episode("vt", 50, 60, counts=False)]
        assert self.allowed(reference_of("mitdb/1", episodes=episodes)) == ["oa", "ovfan", "ovfan"]

    def test_windows_of_cudb_are_fibrillation_or_anything_else(self):
        windows = [Window(10, 15, shockable=True), Window(30, 35, shockable=False)]
        assert self.allowed(reference_of("cudb/1", windows=windows)) == ["f", "ovan", "o"]

    def test_a_strip_of_noise_may_have_beats_and_others_have(self):
        assert self.allowed(reference_of("challenge-2017/1", strip="noise")) == ["on"] * 3
        assert self.allowed(reference_of("challenge-2017/1", strip="af")) == ["o"] * 3

    def test_made_standstill_is_quiet_and_begins_and_ends_at_the_level_of_the_signal(self):
        rng = np.random.default_rng(3)
        recording = recording_of(drawn(steady(300), 300) + 0.5, FS)
        before = recording.read(0, recording.n_samples)
        signal, still = with_standstill(recording, rng)
        assert 0.02 < still.mean() < 0.5
        np.testing.assert_array_equal(signal[~still], before[~still])
        assert np.ptp(signal[still]) < 0.6 * np.ptp(before)
        for start, stop in true_intervals(still).tolist():
            assert abs(signal[start, 0] - before[start, 0]) < 0.3
            assert abs(signal[stop - 1, 0] - before[stop - 1, 0]) < 0.3

    def test_no_patient_is_in_two_folds(self):
        none = np.empty((0, len(RHYTHM_FEATURES)), dtype=np.float32)
        examples = [
            RhythmExample(f"svdb/{number}", f"svdb/{number // 2}", none, none[:, :5] > 0)
            for number in range(20)
        ]
        folds = split_patients(examples, RhythmTrainConfig(n_folds=3))
        assert sorted(patient for fold in folds for patient in fold) == sorted({e.patient for e in examples})
        with pytest.raises(TooFewPatientsError, match="1 patients are too few for 3 folds"):
            split_patients(examples[:2], RhythmTrainConfig(n_folds=3))

    @pytest.mark.parametrize("name", ["members", "n_folds", "epochs", "window_ticks"])
    def test_a_number_of_the_settings_is_at_least_one(self, name: str) -> None:
        with pytest.raises(ValueError, match=f"{name}: 0 is less than 1. Give a whole number"):
            replace(RhythmTrainConfig(), **{name: 0})

    def test_a_network_is_trained_and_names_what_it_has_seen(self, tmp_path):
        rng = np.random.default_rng(0)
        examples = []
        for number in range(4):
            features = rng.normal(size=(200, len(RHYTHM_FEATURES))).astype(np.float32)
            fibrillates = np.arange(200) >= 100
            features[fibrillates, 0] += 4
            allowed = np.zeros((200, len(RHYTHMS)), dtype=bool)
            allowed[~fibrillates, 0] = allowed[fibrillates, 2] = True
            examples.append(RhythmExample(f"vfdb/{number}", f"vfdb/{number}", features, allowed))
        config = RhythmTrainConfig(
            members=2,
            epochs=2,
            steps=60,
            batch_windows=16,
            dense_units=8,
            gru_units=8,
            learning_rate=0.02,
        )
        train(examples[:3], config, tmp_path, name="small")
        network = load_rhythm_classifier(tmp_path)
        assert network.specification.trained_on == ("vfdb/0", "vfdb/1", "vfdb/2")
        named = network([examples[3].features]).argmax(axis=1)
        assert (named[:95] == 0).mean() > 0.9
        assert (named[105:] == 2).mean() > 0.9


def events_in(record):
    analysis = pipeline.analyse(
        open_recording(record), load_classifier(SHIPPED_MODEL), name_rhythm=load_rhythm_classifier()
    )
    return [event for event in analysis.events if event.kind in {"vf", "vt", "asystole"}]


@pytest.mark.real
class TestTrueRecords:
    @pytest.mark.parametrize("record", ["421", "430"])
    def test_a_record_that_ends_in_fibrillation_has_a_malignant_event_of_half_a_minute(self, record):
        events = events_in(database("vfdb") / record)
        assert max(event.duration_s for event in events) > 30

    def test_fibrillation_of_cu01_begins_when_it_is_labelled(self):
        fibrillation = [event for event in events_in(database("cudb") / "cu01") if event.kind == "vf"]
        # windows_5s.csv has VF from then on.
        assert fibrillation[0].onset_s == pytest.approx(215, abs=20)

    @pytest.mark.parametrize("record", ["101", "106", "122"])
    def test_a_record_without_such_a_rhythm_has_neither_fibrillation_nor_asystole(self, mitdb, record):
        assert {event.kind for event in events_in(mitdb / record)} <= {"vt"}


@pytest.mark.real
def test_vt_whose_beats_are_hard_to_find_is_named() -> None:
    analysis = ectopy.analyse(database("vfdb") / "602")
    assert max(event.duration_s for event in analysis.events_of("vt")) > 300  # 386 s are labelled


def test_asystole_and_vt_that_could_not_be_read_are_left_out() -> None:
    intervals = (
        RhythmInterval(Rhythm.ASYSTOLE, 0.0, 20.0),
        RhythmInterval(Rhythm.VF, 20.0, 40.0),
        RhythmInterval(Rhythm.ASYSTOLE, 60.0, 80.0),
        RhythmInterval(Rhythm.VT, 80.0, 90.0),
    )
    kept = without_unreadable(intervals, np.array([[0.0, 12.0], [15.0, 40.0], [60.0, 65.0], [78.0, 90.0]]))
    assert kept == intervals[1:3]


def test_artefact_has_no_ectopic_beats() -> None:
    beats = beats_of("N" * 20 + "VSVNV" + "N" * 20 + "V")
    artefact = RhythmInterval(Rhythm.ARTEFACT, 16.0, 21.0)
    analysis = analyse_rhythm(beats, duration_s=60.0, unreadable=NOTHING, intervals=(artefact,))
    assert "".join(analysis.beats.label) == "N" * 20 + "QQQNQ" + "N" * 20 + "V"
    assert analysis.artefact.tolist() == [[1600, 2100]]
    assert not analysis.beats.confident[19:26].any()
    assert analysis.beats.confident[26:].all()


class TestSlowVt:
    intervals = (
        RhythmInterval(Rhythm.ORGANISED, 0.0, 10.0),
        RhythmInterval(Rhythm.VT, 10.0, 20.0),
        RhythmInterval(Rhythm.ORGANISED, 20.0, 60.0),
    )

    def named(self, period_s: float, limit_bpm: float = 100.0) -> list[Rhythm]:
        periods_s = np.full(30, 0.3)
        periods_s[5:10] = period_s
        return [interval.rhythm for interval in without_slow_vt(self.intervals, periods_s, limit_bpm)]

    def test_waves_below_the_rate_of_vt_are_decided_by_the_beats(self) -> None:
        assert self.named(period_s=1.2) == [Rhythm.ORGANISED] * 3  # svdb 801: aberrant conduction

    def test_some_ticks_of_vt_have_the_period_of_two_beats(self) -> None:  # vfdb 602
        periods_s = np.full(30, 0.3)
        periods_s[5:8] = 1.2
        assert without_slow_vt(self.intervals, periods_s, 100.0) == self.intervals

    @pytest.mark.parametrize("bpm", [112, 140, 180, 240])
    def test_vt_stays_though_its_beats_may_alternate(self, bpm: int) -> None:
        assert self.named(period_s=60 / bpm)[1] == Rhythm.VT
        assert self.named(period_s=2 * 60 / bpm)[1] == Rhythm.VT

    def test_the_reader_says_how_fast_it_is(self) -> None:
        assert self.named(period_s=0.8)[1] == Rhythm.VT
        assert self.named(period_s=0.8, limit_bpm=150.0)[1] == Rhythm.ORGANISED

    def test_fibrillation_has_no_rate(self) -> None:
        vf = (RhythmInterval(Rhythm.VF, 0.0, 60.0),)
        assert without_slow_vt(vf, np.full(30, 1.5), 100.0) == vf

    def test_the_period_is_that_of_the_more_regular_lead(self) -> None:
        of_leads = np.zeros((1, 2, len(WAVES)), dtype=np.float16)
        of_leads[0, :, list(WAVES).index("autocorrelation")] = 0.4, 0.9
        of_leads[0, :, list(WAVES).index("lag")] = 1.5, 0.25
        assert Waves(of_leads, np.ones(1, dtype=np.float16)).period_s.tolist() == [0.25]


def test_fast_beats_in_a_rhythm_interval_of_vt_are_ventricular() -> None:
    beats = beats_of("N" * 20 + "SSSSSSSSSS" + "N" * 20 + "SS", [0.8] * 20 + [0.4] * 10 + [0.8] * 22)
    vt = RhythmInterval(Rhythm.VT, 16.1, 21.0)
    analysis = analyse_rhythm(beats, duration_s=60.0, unreadable=NOTHING, intervals=(vt,))
    assert "".join(analysis.beats.label) == "N" * 20 + "VVVVVVVVVV" + "N" * 20 + "SS"
    assert [event.kind for event in analysis.events if event.n_beats > 2] == ["vt"]


def test_an_irregular_ventricular_tachycardia_is_no_atrial_fibrillation() -> None:
    rr_s = [0.8] * 40 + np.random.default_rng(0).uniform(0.3, 0.6, 150).tolist() + [0.8] * 40
    beats = beats_of("N" * len(rr_s), rr_s)
    start_s, stop_s = beats.time_s[[39, 190]]

    def kinds(*intervals: RhythmInterval) -> set[str]:
        duration_s = float(beats.time_s[-1]) + 1
        analysis = analyse_rhythm(beats, duration_s=duration_s, unreadable=NOTHING, intervals=intervals)
        return {event.kind for event in analysis.events}

    assert "af" in kinds()
    assert {"vt", "af"} & kinds(RhythmInterval(Rhythm.VT, start_s, stop_s)) == {"vt"}  # vfdb 421


def test_a_tachycardia_of_which_beats_were_missed_has_no_rate() -> None:
    beats = beats_of("N" * 30, [0.8] * 10 + [0.9] * 10 + [0.8] * 10)
    vt = RhythmInterval(Rhythm.VT, 9.0, 17.0)
    (event,) = analyse_rhythm(beats, duration_s=25.0, unreadable=NOTHING, intervals=(vt,)).events
    assert (event.kind, event.onset_s, event.offset_s) == ("vt", 9.0, 17.0)
    assert np.isnan(event.rate_bpm)


class TestDoubtfulBeatsOfStrips:
    """A single ventricular beat of a strip must be certain and out of noise."""

    def labels(
        self, labels: str, probability: float, duration_s: float = 30.0, noisy: int | None = None
    ) -> str:
        beats = beats_of(labels)
        of_classes = np.where(np.arange(4) == 2, probability, (1 - probability) / 3)
        of_beats = np.where((beats.label == "V")[:, None], of_classes, beats.probability).astype(np.float32)
        low_quality = np.arange(len(beats)) == (len(beats) if noisy is None else noisy)
        analysis = analyse_rhythm(
            replace(beats, probability=of_beats),
            duration_s=duration_s,
            unreadable=NOTHING,
            low_quality=low_quality,
        )
        return "".join(analysis.beats.label)

    def test_a_doubtful_single_or_couplet_is_normal(self) -> None:
        assert self.labels("NNNVNNNVVNNN", 0.7) == "N" * 12

    def test_a_certain_one_stays(self) -> None:
        assert self.labels("NNNVNNNVVNNN", 0.9) == "NNNVNNNVVNNN"

    def test_a_run_stays(self) -> None:
        assert self.labels("NNNVVVNNVNNN", 0.7) == "NNNVVVNNNNNN"

    def test_one_in_noise_cannot_be_classified(self) -> None:
        assert self.labels("NNNVNNNVNNNN", 0.9, noisy=3) == "NNNQNNNVNNNN"

    def test_a_longer_recording_knows_the_usual_beat(self) -> None:
        assert self.labels("NNNVNNNVVNNN", 0.7, duration_s=61.0) == "NNNVNNNVVNNN"


def test_a_beat_that_an_end_cuts_off_is_not_ectopic() -> None:
    beats = replace(beats_of("VNSVS"), sample=np.array([5, 80, 160, 240, 325]))
    analysis = analyse_rhythm(beats, duration_s=3.3, unreadable=NOTHING)
    assert "".join(analysis.beats.label) == "NNSVN"
    assert analysis.beats.probability[0, 0] == beats.probability[0, 2]


def test_asystole_in_which_the_heart_beats_is_left_out() -> None:
    """At 0.5 beats a second and more; waves in noise do not count."""
    intervals = (RhythmInterval(Rhythm.ASYSTOLE, 10.0, 14.0), RhythmInterval(Rhythm.ORGANISED, 14.0, 50.0))
    assert without_beats_in_asystole(intervals, np.array([9.0, 11.0, 13.0, 15.0])) == intervals[1:]
    assert without_beats_in_asystole(intervals, np.array([9.0, 12.0, 15.0])) == intervals
    beats = beats_of("N" * 60)
    in_noise = (beats.time_s > 10) & (beats.time_s < 14)
    kinds = [
        {
            event.kind
            for event in analyse_rhythm(
                beats, duration_s=50.0, unreadable=NOTHING, low_quality=mask, intervals=intervals
            ).events
        }
        for mask in (in_noise, ~in_noise)
    ]
    assert kinds == [{"asystole"}, set()]


def test_a_tachycardia_without_countable_beats_is_written_to_all_files(tmp_path: Path) -> None:
    beats = beats_of("N" * 30)
    vt = Event("vt", 2.0, 20.0, 0, float("nan"))
    analysis = replace(analysis_of(recording_for(beats, 30 * 250), beats), events=(vt,))
    report.write_outputs(tmp_path, analysis, provenance_of())
    findings = json.loads((tmp_path / "summary.json").read_text())["findings"]
    assert any("entricular tachycardia" in finding["text"] for finding in findings)


def test_no_sentence_has_a_rate_that_is_unknown() -> None:
    beats = beats_of("N" * 40)
    runs = (Event("vt", 2.0, 10.0, 0, float("nan")), Event("vt", 15.0, 25.0, 0, float("nan")))
    analysis = replace(analysis_of(recording_for(beats, 40 * 250), beats), events=runs)
    (finding,) = [finding for finding in find_findings(analysis) if "achycardia" in finding.text]
    assert "2 runs" in finding.text
    assert "nan" not in finding.text


@pytest.mark.usefixtures("prefect_harness")
def test_the_flow_trains_a_network_that_names_every_tick(
    tmp_path: Path, tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ectopy.flows.train_rhythm import train_rhythm

    monkeypatch.setenv("ECTOPY_WORKERS", "1")
    folder = tmp_path / "vfdb" / "1.0.0"
    records = catalogue.find_database("vfdb").training[:2]  # one to hold out of either fold
    for record in records:
        write_record(folder, record)
        marks = Annotations(np.array([0, 7000]), np.array(["+", "+"]), np.zeros(2, int), ("(N", "(VFL"))
        write_annotations(folder / record, "atr", marks, fs=250.0)
    (folder / "RECORDS").write_text("".join(f"{record}\n" for record in records))
    config = RhythmTrainConfig(
        n_folds=2, members=1, dense_units=4, gru_units=2, epochs=1, steps=2, batch_windows=4
    )
    model = train_rhythm(tmp_path, config=config, tracking_uri=tracking_uri)
    features = np.zeros((7, len(RHYTHM_FEATURES)), dtype=np.float32)
    probability = load_rhythm_classifier(model)([features])
    assert probability.shape == (7, len(RHYTHMS))
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)


def test_a_training_record_has_a_feature_and_a_label_for_every_tick(tmp_path: Path) -> None:
    folder = tmp_path / "mitdb" / "1.0.0"
    write_record(folder, "101")
    symbols = np.array(["+", "N", "~", "+"])
    marks = Annotations(np.array([0, 500, 5000, 10_000]), symbols, np.zeros(4, int), ("(N", "", "", "(VFL"))
    write_annotations(folder / "101", "atr", marks, fs=250.0)
    example, noisy, still = read_examples(FindingJob("mitdb", folder / "101", "mitdb/101", SHIPPED_MODEL))
    assert (example.key, example.patient, example.database) == ("mitdb/101", "mitdb/101", "mitdb")
    assert example.features.shape == (len(example.allowed), len(RHYTHM_FEATURES))
    allowed = [
        "".join(rhythm[0] for rhythm, yes in zip(RHYTHMS, row, strict=True) if yes) for row in example.allowed
    ]
    near_artefact, in_flutter = allowed[10], allowed[-2]
    assert (allowed[2], near_artefact, in_flutter) == ("o", "oa", "v")
    assert (noisy.key, noisy.patient, len(noisy.features)) == (example.key, example.patient, len(allowed))
    # In strong noise artefact is allowed, and nothing else where the noise hides the beats.
    artefact = RHYTHMS.index(Rhythm.ARTEFACT)
    assert noisy.allowed[:, artefact].mean() > example.allowed[:, artefact].mean() + 0.1
    hidden = noisy.allowed.sum(axis=1) < example.allowed.sum(axis=1) + noisy.allowed[:, artefact]
    assert noisy.allowed[hidden, artefact].all()
    of_still = still.allowed[:, RHYTHMS.index(Rhythm.ASYSTOLE)]
    assert len(still.features) == len(allowed)
    assert of_still.mean() > example.allowed[:, RHYTHMS.index(Rhythm.ASYSTOLE)].mean()
