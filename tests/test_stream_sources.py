"""Sources of a running signal: a file played, lines and numbers from a pipe, and what a session tells of them."""

import errno
import io
import json
import os
import time
from threading import Thread

import jsonschema
import numpy as np
import pytest

from ectopy.ecg import USUAL_MAX_MV, recording_of
from ectopy.live.stream import Stream, Update
from ectopy.readers import open_recording
from ectopy.streaming.lab_streaming import GAP_S, SteadyClock, _check_same, _without_gaps
from ectopy.streaming.lines import as_document, as_line, update_schema
from ectopy.streaming.pipes import csv_source, raw_source
from ectopy.streaming.recorder import Recorder, as_stored, header_names
from ectopy.streaming.session import SILENT_S, ListenerGoneError, Session
from ectopy.streaming.sources import Packet, Source, Stop, StreamSourceError, nothing, play
from tests.drawn_ecg import drawn
from tests.live import live_model

MODEL = live_model()
FS = 250.0
SIGNAL = drawn(np.arange(0.5, 19, 0.8).tolist(), 20, fs=FS)


def samples_of(source):
    """All samples of a source, [n, n_leads]."""
    parts = [packet.samples for packet in source.packets(Stop())]
    return np.concatenate([np.empty((0, len(source.leads)), dtype=np.float32), *parts])


class TestPlay:
    def test_a_file_comes_whole_and_in_order(self):
        recording = recording_of(np.repeat(SIGNAL, 3, axis=1) * [1, 2, 3], FS, leads=("I", "II", "V1"))
        source = play(recording, (2, 0))
        assert (source.leads, source.fs, source.waits) == (("V1", "I"), FS, False)
        np.testing.assert_array_equal(samples_of(source), recording.read_leads((2, 0), 0, len(SIGNAL)))

    def test_a_speed_is_kept(self):
        source = play(recording_of(SIGNAL[:1000], FS), (0,), speed=20)
        began = time.monotonic()
        assert len(samples_of(source)) == 1000
        assert 0.19 <= time.monotonic() - began < 3

    def test_packets_are_as_short_as_those_of_a_recorder(self):
        source = play(recording_of(SIGNAL, FS), (0,), speed=1)
        assert len(next(source.packets(Stop())).samples) == 10

    def test_a_stop_ends_it_at_once(self):
        stopped = Stop()
        packets = play(recording_of(SIGNAL, FS), (0,), speed=0.01).packets(stopped)
        stopped.set()
        assert list(packets) == []


class TestLines:
    @pytest.mark.parametrize("mark", [",", ";", "\t", " "])
    @pytest.mark.parametrize("header", ["", "II{}V1\n"])
    def test_numbers_come_as_they_are_written(self, mark, header):
        rows = "".join(f"{a:.3f}{mark}{-a:.3f}\n" for a in np.arange(5) / 10)
        source = csv_source(io.BytesIO((header.format(mark) + rows).encode()), FS)
        assert source.leads == (("II", "V1") if header else ("lead 1", "lead 2"))
        np.testing.assert_allclose(samples_of(source), np.outer(np.arange(5) / 10, (1, -1)), rtol=1e-6)

    def test_names_may_be_given(self):
        assert csv_source(io.BytesIO(b"0.1,0.2\n"), FS, ("I", "II")).leads == ("I", "II")

    def test_what_is_no_number_is_missing(self):
        source = csv_source(io.BytesIO(b"II,V1\r\n0.1,\r\nnan,0.2\r\nx,0.3\r\n0.4\r\n\r\n0.5,0.6"), FS)
        nan = np.nan
        expected = [[0.1, nan], [nan, 0.2], [nan, 0.3], [nan, nan], [0.5, 0.6]]
        np.testing.assert_allclose(samples_of(source), expected, rtol=1e-6)

    @pytest.mark.parametrize("content", [b"", b"\n", b"II,II\n0,0\n", b"II,\n0,0\n"])
    def test_what_is_no_table_is_refused(self, content):
        with pytest.raises(StreamSourceError, match="standard input"):
            csv_source(io.BytesIO(content), FS)

    @pytest.mark.parametrize("content", [bytes(200_000), b"II\n0.1\n" + b"1" * 300_000])
    def test_what_has_no_lines_does_not_fill_the_memory(self, content):
        with pytest.raises(StreamSourceError, match="no end of a line"):
            samples_of(csv_source(io.BytesIO(content), FS))

    def test_too_many_names_are_refused(self):
        with pytest.raises(StreamSourceError, match="1 columns for the leads I, II"):
            csv_source(io.BytesIO(b"0.1\n"), FS, ("I", "II"))

    def test_a_line_may_come_in_pieces_and_after_a_pause(self):
        read, write = os.pipe()
        with os.fdopen(read, "rb") as pipe, os.fdopen(write, "wb", buffering=0) as sender:
            sender.write(b"0.1\n0.")
            source, parts = csv_source(pipe, FS), []
            for packet in source.packets(Stop()):
                parts.append(packet.samples)
                if len(parts) == 2:
                    assert not len(packet.samples)  # it waits
                    sender.write(b"2\n")
                if len(parts) > 2 and len(packet.samples):
                    break
        assert np.concatenate(parts)[:, 0].tolist() == pytest.approx([0.1, 0.2])


class TestRaw:
    @pytest.mark.parametrize("kind", ["int16", "float32"])
    def test_numbers_are_read_whatever_the_pieces(self, kind):
        signal = np.stack((np.arange(50), -np.arange(50)), axis=1) / 200
        stored = np.round(signal * 200).astype("<i2") if kind == "int16" else signal.astype("<f4")

        class Slow(io.BytesIO):
            def read1(self, _size=-1, /):
                return self.read(7)

        source = raw_source(Slow(stored.tobytes()), FS, ("I", "II"), kind)
        np.testing.assert_allclose(samples_of(source), signal, rtol=1e-6)

    def test_the_lowest_number_is_missing(self):
        source = raw_source(
            io.BytesIO(np.array([100, -32768], dtype="<i2").tobytes()), FS, ("I",), "int16", gain=100
        )
        np.testing.assert_array_equal(samples_of(source), [[1], [np.nan]])


class Full:
    """A file on a disk that is full."""

    def __init__(self, file):
        self.close = file.close

    def write(self, _content):
        raise OSError(errno.ENOSPC, "No space left on device")


class TestRecorder:
    def test_a_record_is_read_as_it_was_analysed(self, tmp_path):
        signal = np.concatenate((SIGNAL, -SIGNAL), axis=1)
        signal[100:120] = np.nan
        signal[130] = (2 * USUAL_MAX_MV, -2 * USUAL_MAX_MV)
        kept = as_stored(signal)
        with Recorder(tmp_path / "recorded", "r", FS, ("II", "V1")) as recorder:
            recorder.write(kept[:60])
            recorder.write_missing(40)
            recorder.write(kept[60:])
        recording = open_recording(recorder.path)
        assert (recording.leads, recording.fs, recording.incomplete) == (("II", "V1"), FS, False)
        assert recording.start is not None
        missing = np.full((40, 2), np.nan)
        expected = np.concatenate((kept[:60], missing, kept[60:]))
        np.testing.assert_array_equal(recording.read_leads((0, 1), 0, len(signal) + 40), expected)
        assert np.isnan(kept[130]).all()
        np.testing.assert_allclose(kept[:100], signal[:100], atol=3e-6)

    def test_after_a_crash_what_was_written_can_be_read(self, tmp_path):
        recorder = Recorder(tmp_path, "r", FS, ("II",))
        recorder.write(as_stored(SIGNAL))
        assert open_recording(recorder.path).n_samples == len(SIGNAL)
        recorder.__exit__()

    def test_on_a_full_disk_all_that_was_written_can_be_read(self, tmp_path, monkeypatch):
        recorder = Recorder(tmp_path, "r", FS, ("II",))
        recorder.write(as_stored(SIGNAL[:700]))
        with recorder._samples_path.open("ab") as other:  # a write that came half as far
            other.write(bytes(4 * 300 + 2))
        monkeypatch.setattr(recorder, "_file", Full(recorder._file))
        with pytest.raises(OSError, match="No space left") as failed, recorder:
            recorder.write(as_stored(SIGNAL[700:]))
        assert failed.value.filename.endswith("r.dat")
        assert "r 1 250 1000 " in recorder.path.read_text()

    def test_two_streams_of_one_name_do_not_write_one_file(self, tmp_path):
        with Recorder(tmp_path, "r", FS, ("II",)) as recorder:
            recorder.write(as_stored(SIGNAL))
            with pytest.raises(StreamSourceError, match=r"r\.dat: another stream writes it"):
                Recorder(tmp_path, "r", FS, ("II",))
        assert open_recording(recorder.path).n_samples == len(SIGNAL)

    def test_names_fit_a_header(self):
        assert header_names(["II", "1", "a\nb", "", "II"]) == ("II", "lead 1", "a b", "lead 4", "II (5)")


class TestDocuments:
    def test_a_beat_has_its_class_and_its_probabilities(self):
        beat = Update("beat", 250, 1.0, 1.2345678, "V", (0.1, 0.2, 0.7, 0.0), confident=False)
        document = as_document(beat)
        assert document["at_s"] == 1.234568
        assert document["confident"] is False
        assert document["probabilities"] == {"N": 0.1, "S": 0.2, "V": 0.7, "F": 0.0}
        jsonschema.validate(document, update_schema())

    def test_other_kinds_have_what_is_known(self):
        gap = Update("gap", 250, 1.0, 1.1, reason="back", duration_s=2.5)
        assert as_document(gap) == {
            "kind": "gap",
            "sample": 250,
            "time_s": 1.0,
            "at_s": 1.1,
            "reason": "back",
            "duration_s": 2.5,
        }
        assert set(as_document(Update("revoked", 250, 1.0, 1.1))) == {"kind", "sample", "time_s", "at_s"}

    def test_a_line_is_one_line_of_json(self):
        line = as_line(as_document(Update("revoked", 250, 1.0, 1.1)))
        assert json.loads(line)["kind"] == "revoked"
        assert "\n" not in line


class Heard:
    """A listener that keeps what it hears, and leaves after so many lines."""

    def __init__(self, most=10**9):
        self.documents, self.samples, self.most = [], [], most

    def tell(self, document):
        if len(self.documents) == self.most:
            raise ListenerGoneError
        self.documents.append(document)

    def show(self, first, samples):
        self.samples.append((first, samples))

    def kinds(self):
        return [one["kind"] for one in self.documents]


def session(packets, *, waits=True, **options):
    source = Source("r", FS, ("II",), lambda _stopped: iter(packets), waits=waits)
    heard = Heard(options.pop("most", 10**9))
    return Session(source, Stream(FS, ["II"], model=MODEL), [0], [heard], "r", **options), heard


class TestSession:
    def test_a_session_begins_tells_and_ends_in_the_schema(self):
        signal = SIGNAL.copy()
        signal[8 * 250 : 10 * 250] = np.nan
        running, heard = session([Packet(part) for part in np.array_split(signal, 100)])
        assert running.run(Stop())
        for document in heard.documents:
            jsonschema.validate(document, update_schema())
        kinds = heard.kinds()
        assert (kinds[0], kinds[-1]) == ("start", "end")
        assert {"provisional", "beat", "gap"} <= set(kinds)
        assert heard.documents[-1]["n_beats"] == kinds.count("beat") > 15
        assert heard.documents[-1]["sample"] == len(signal)
        np.testing.assert_array_equal(np.concatenate([part for _, part in heard.samples]), as_stored(signal))

    def test_silence_is_told_once_and_its_end_too(self):
        now = iter(np.arange(0, 1000, 0.5).tolist())
        waiting = [nothing(1)] * 12
        packets = [Packet(SIGNAL[:500]), *waiting, Packet(SIGNAL[500:])]
        running, heard = session(packets, clock=lambda: next(now))
        running.run(Stop())
        gaps = [one for one in heard.documents if one["kind"] == "gap"]
        assert [one["reason"] for one in gaps] == ["silent", "resumed"]
        assert SILENT_S <= gaps[0]["duration_s"] < gaps[1]["duration_s"]
        assert gaps[0]["time_s"] == 2.0

    def test_a_sender_with_a_clock_that_comes_back_leaves_a_gap(self, tmp_path):
        packets = [Packet(SIGNAL[:2500], 100.0), Packet(SIGNAL[2500:], 130.0)]
        running, heard = session(packets)
        with Recorder(tmp_path, "r", FS, ("II",)) as recorder:
            running.recorder = recorder
            running.run(Stop())
        assert [one["reason"] for one in heard.documents if one["kind"] == "gap"] == ["lost", "back"]
        assert heard.samples[1][0] == 30 * 250
        recording = open_recording(tmp_path / "r.hea")
        assert recording.n_samples == 40 * 250
        assert np.isnan(recording.read(2500, 7500)).all()

    def test_a_stop_ends_it_with_all_that_is_known(self):
        stopped = Stop()

        def packets(_stopped):
            yield Packet(SIGNAL[:2500])
            stopped.set()
            yield Packet(SIGNAL[2500:2510])
            yield Packet(SIGNAL[2510:])

        running, heard = session([])
        running.source = Source("r", FS, ("II",), packets)
        assert not running.run(stopped)
        assert heard.documents[-1] == {**heard.documents[-1], "kind": "end", "sample": 2510}

    def test_nobody_listens_any_more(self):
        running, heard = session([Packet(part) for part in np.array_split(SIGNAL, 50)], most=3)
        assert not running.run(Stop())
        assert len(heard.documents) == 3


class TestSteadyClock:
    def test_jitter_and_drift_leave_no_gap(self):
        clock, rng, expected = SteadyClock(FS), np.random.default_rng(0), None
        for number in range(1000):
            time_s = clock.time_of(100 + number * 0.0404 + rng.uniform(0, 0.3), 10)
            assert expected is None or abs(time_s - expected) < 0.1
            expected = time_s + 0.04

    @pytest.mark.parametrize("jump_s", [GAP_S, 20.0, -5.0])
    def test_a_jump_stays(self, jump_s):
        clock = SteadyClock(FS)
        clock.time_of(10.0, 250)
        assert clock.time_of(11.0 + jump_s, 250) == pytest.approx(11.0 + jump_s)

    def test_a_chunk_is_cut_where_samples_are_missing(self):
        stamps = np.concatenate((np.arange(10), 1000 + np.arange(5))) / FS
        assert _without_gaps(stamps, FS) == [(0, 10), (10, 15)]
        assert _without_gaps(stamps[:0], FS) == []


def test_a_stream_of_the_lab_comes_through(monkeypatch):
    """An outlet of this process, received by name, with its labels and its unit."""
    pylsl = pytest.importorskip("pylsl", reason="pylsl is not installed")
    from ectopy.streaming.lab_streaming import lsl_source

    info = pylsl.StreamInfo("ectopy-test", "ECG", 2, FS, "float32", "ectopy-test-1")
    channels = info.desc().append_child("channels")
    for label in ("II", "V1"):
        channel = channels.append_child("channel")
        channel.append_child_value("label", label)
        channel.append_child_value("unit", "microvolts")
    outlet = pylsl.StreamOutlet(info)
    try:
        source = lsl_source("ectopy-test", wait_s=5)
    except StreamSourceError:
        pytest.skip("no stream is found on this machine: multicast does not work here")
    assert (source.leads, source.fs) == (("II", "V1"), FS)
    ended, received = Stop(), []

    def send():
        outlet.wait_for_consumers(5)
        for start in range(0, 1000, 50):
            outlet.push_chunk(np.repeat(SIGNAL[start : start + 50] * 1000, 2, axis=1).astype(np.float32))
            time.sleep(0.02)

    Thread(target=send, daemon=True).start()
    for packet in source.packets(ended):
        received.append(packet.samples)
        if sum(map(len, received)) >= 1000:
            ended.set()
    signal = np.concatenate(received)
    np.testing.assert_allclose(signal[-500:, 0], SIGNAL[500:1000, 0], atol=1e-5)


class Sender:
    """What the library tells of a sender."""

    def __init__(self, n_channels, fs):
        self.channel_count, self.nominal_srate = (lambda: n_channels), (lambda: fs)


def test_a_sender_that_comes_back_with_another_signal_is_refused():
    # Its numbers were taken for those of the leads before.
    _check_same(Sender(2, FS), "ECG", FS, 2)
    for sender in (Sender(1, FS), Sender(3, FS), Sender(2, 500.0)):
        with pytest.raises(StreamSourceError, match=r"--lsl ECG: it came back with .* Start `ectopy stream`"):
            _check_same(sender, "ECG", FS, 2)


def test_a_stream_of_the_lab_that_is_not_there_is_named():
    pytest.importorskip("pylsl", reason="pylsl is not installed")
    from ectopy.streaming.lab_streaming import lsl_source

    with pytest.raises(StreamSourceError, match="--lsl nobody-sends-this: no stream of this name"):
        lsl_source("nobody-sends-this", wait_s=0.1)
