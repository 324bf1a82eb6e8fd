"""``ectopy stream`` and ``ectopy score --model``: the same beats, and an end that leaves results."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from ectopy.batch import planning
from ectopy.batch.planning import ModelSource, ScoreOptions
from ectopy.cli import main
from ectopy.cli import stream as stream_command
from ectopy.live.model_files import SHIPPED_LIVE_MODEL
from ectopy.live.network import save_live_model
from ectopy.readers import open_recording
from tests.live import live_model
from tests.scored import scored
from tests.small import signal_of, write_model, write_record

FS = 250.0
STARTS_S = 60  # imports, on a busy machine


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A directory with a small streaming model."""
    folder = tmp_path_factory.mktemp("models") / "live"
    one = live_model()
    save_live_model(folder, one.specification, one.weights)
    return folder


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """A minute with lost signal in the middle, of three leads, so that two are chosen."""
    signal = np.concatenate((signal_of(), 0.5 * signal_of()[:, :1]), axis=1)
    signal[6000:7000] = np.nan
    return write_record(tmp_path_factory.mktemp("records"), "r", signal)


@pytest.fixture(scope="module")
def batch(record, model, tmp_path_factory):
    """The results of ``ectopy score``."""
    return scored([record], tmp_path_factory.mktemp("batch"), ScoreOptions(model)) / "r"


def run(*arguments, capsys):
    """Run the command in this process; return its status, its lines and its messages."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with pytest.raises(SystemExit) as ended:
        main(["stream", *map(str, arguments)])
    for number, handler in handlers.items():
        signal.signal(number, handler)
    said = capsys.readouterr()
    return ended.value.code, [json.loads(line) for line in said.out.splitlines()], said.err


def beats_of(lines):
    return [(one["sample"], one["label"], one["confident"]) for one in lines if one["kind"] == "beat"]


def beats_in(folder):
    table = pd.read_parquet(folder / "beats.parquet")
    return list(zip(table["sample"], table["label"], table["confident"], strict=True))


class TestFile:
    def test_the_beats_are_those_of_the_batch(self, record, model, batch, capsys):
        status, lines, _ = run(record, "--model", model, capsys=capsys)
        assert status == 0
        assert len(beats_of(lines)) > 40
        assert [one[:2] for one in beats_of(lines)] == [one[:2] for one in beats_in(batch)]
        gaps = [one["reason"] for one in lines if one["kind"] == "gap"]
        assert gaps == ["lost", "back"]

    def test_the_results_are_those_of_the_batch(self, record, model, batch, tmp_path, capsys):
        status, lines, said = run(record, "--model", model, "--out", tmp_path / "out", capsys=capsys)
        assert status == 0
        folder = tmp_path / "out" / "r"
        assert f"results: {folder / 'report.html'}" in said
        assert {path.name for path in folder.iterdir()} == {path.name for path in batch.iterdir()}
        for name in ("beats.parquet", "events.csv", "rhythm.csv", "r.ectopy", "report.html"):
            assert (folder / name).read_bytes() == (batch / name).read_bytes(), name
        row, expected = (
            json.loads((one / "summary.json").read_text())["provenance"] for one in (folder, batch)
        )
        assert row == expected
        assert row["model"] == "small live (test)"
        assert lines[-1]["n_beats"] == len(beats_in(folder))

    def test_provenance_names_the_model_and_no_second_run_scores_again(self, record, model, tmp_path):
        options = ScoreOptions(model)
        scored([record], tmp_path, options)
        before = (tmp_path / "r" / "beats.parquet").stat().st_mtime_ns
        scored([record], tmp_path, options)
        assert (tmp_path / "r" / "beats.parquet").stat().st_mtime_ns == before
        origin = json.loads((tmp_path / "r" / "summary.json").read_text())["provenance"]
        assert origin["model_id"] == planning.load_model(model).version_id

    def test_a_record_may_be_named_without_the_suffix_of_its_header(
        self, record, model, batch, tmp_path, capsys
    ):
        status, _, _ = run(record.with_suffix(""), "--model", model, "--out", tmp_path, capsys=capsys)
        assert status == 0
        assert beats_in(tmp_path / "r") == beats_in(batch)

    def test_leads_may_be_named(self, record, model, capsys):
        _, lines, _ = run(record, "--model", model, "--leads", "V5", capsys=capsys)
        assert lines[0]["leads"] == ["V5"]

    def test_a_slow_recording_fails_with_the_reason(self, model, tmp_path):
        slow = write_record(tmp_path / "in", "slow", signal_of()[::4], fs=62.5)
        out = scored([slow], tmp_path / "out", ScoreOptions(model))
        assert "A stream needs one from 100 to 10000 Hz" in (out / "summary.csv").read_text()


class TestModels:
    def test_the_shipped_streaming_model_has_a_name(self, tmp_path):
        selected = planning.find_model("live", tmp_path)
        assert selected == (SHIPPED_LIVE_MODEL.resolve(), ModelSource.SHIPPED)

    def test_a_streaming_model_is_described_like_another(self, model, tmp_path):
        assert planning.choose_model(str(model), tmp_path)[1] == "small live (test), given"

    def test_another_model_cannot_stream(self, record, tmp_path, capsys):
        status, _, said = run(record, "--model", write_model(tmp_path / "m"), capsys=capsys)
        assert status == 2
        assert "is not a streaming model. Train one with `ectopy train-live`" in said


class TestWrongUsage:
    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            ([], "Which signal?"),
            (["r.hea", "--lsl", "ECG"], "Which signal?"),
            (["r.hea", "--raw", "int16"], "--raw is for numbers on standard input"),
            (["r.hea", "--speed", "fast"], "--speed fast: no speed"),
            (["r.hea", "--speed", "0"], "--speed 0: no speed"),
            (["r.hea", "--page", "--speed", "max"], "too fast for a page"),
            (["r.hea", "--model", "nowhere"], "nowhere: model directory not found"),
        ],
    )
    def test_it_is_told_in_one_line(self, arguments, problem, capsys):
        status, lines, said = run(*arguments, capsys=capsys)
        assert (status, lines) == (2, [])
        assert problem in said
        assert said.count("\n") == 1

    def test_standard_input_needs_a_rate(self, model, capsys):
        status, _, said = run("-", "--model", model, capsys=capsys)
        assert (status, "Give --fs HZ" in said) == (2, True)

    def test_a_file_that_is_not_there_is_named(self, model, capsys):
        status, lines, said = run("nowhere.edf", "--model", model, capsys=capsys)
        assert (status, lines) == (1, [])
        assert "nowhere.edf" in said


def command(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "ectopy", "stream", *map(str, arguments)],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options,
    )


def csv_of(samples):
    return "".join(f"{','.join(f'{value:.4f}' for value in row)}\n" for row in samples.tolist())


class TestProcess:
    @pytest.mark.parametrize("raw", ["", "int16"])
    def test_standard_input(self, model, tmp_path, raw):
        samples = signal_of()[:7500]
        if raw:
            options, content = (
                ["--raw", raw, "--leads", "II,V1"],
                np.round(samples * 200).astype("<i2").tobytes(),
            )
        else:
            options, content = [], b"II,V1\n" + csv_of(samples).encode()
        process = command(
            *("-", "--fs", FS, "--model", model, "--out", tmp_path, *options),
            stdin=subprocess.PIPE,
            text=False,
        )
        told, said = process.communicate(content, timeout=5 * STARTS_S)
        assert process.returncode == 0, said
        lines = [json.loads(line) for line in told.splitlines()]
        assert lines[0]["leads"] == ["II", "V1"]
        (kept,) = (tmp_path / "recorded").glob("*.hea")
        assert open_recording(kept).n_samples == 7500
        table = beats_in(tmp_path / kept.stem)
        assert [one[:2] for one in beats_of(lines)] == [one[:2] for one in table]
        assert len(table) > 20
        again = scored([kept], tmp_path / "again", ScoreOptions(model, ("II", "V1"))) / kept.stem
        assert (again / "beats.parquet").read_bytes() == (tmp_path / kept.stem / "beats.parquet").read_bytes()

    @pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
    def test_a_signal_ends_it_with_results_of_what_was_played(self, record, model, tmp_path, number, status):
        process = command(record, "--speed", "2", "--model", model, "--out", tmp_path)
        lines = [json.loads(process.stdout.readline())]
        while lines[-1]["kind"] != "beat":
            lines.append(json.loads(process.stdout.readline()))
        process.send_signal(number)
        with process.stdout, process.stderr:  # communicate would lose the lines that are buffered
            told, said = process.stdout.read(), process.stderr.read()
        assert process.wait(5 * STARTS_S) == status, said
        assert "Traceback" not in said
        lines += [json.loads(line) for line in told.splitlines()]
        assert lines[-1]["kind"] == "end"
        summary = json.loads((tmp_path / "r" / "summary.json").read_text())
        assert summary["row"]["duration_s"] == pytest.approx(lines[-1]["time_s"])
        assert 6 < lines[-1]["time_s"] < 59
        assert summary["provenance"]["settings"]["n_samples"] == lines[-1]["sample"]
        assert f"ended after {lines[-1]['time_s']:.1f} s of 60.0 s" in summary["row"]["notes"]
        assert [one[:2] for one in beats_of(lines)] == [one[:2] for one in beats_in(tmp_path / "r")]

    def test_a_closed_pipe_ends_it_with_results(self, record, model, tmp_path):
        process = command(record, "--speed", "20", "--model", model, "--out", tmp_path)
        assert json.loads(process.stdout.readline())["kind"] == "start"
        process.stdout.close()
        assert process.wait(5 * STARTS_S) == 0
        assert "Traceback" not in process.stderr.read()
        process.stderr.close()
        assert (tmp_path / "r" / "report.html").is_file()

    def test_a_line_comes_at_once_though_the_signal_goes_on(self, model):
        process = command("-", "--fs", FS, "--model", model, stdin=subprocess.PIPE)
        kinds = Counter()
        os.set_blocking(process.stdout.fileno(), False)
        sent, until = 0, time.monotonic() + 5 * STARTS_S
        while not kinds["beat"] and time.monotonic() < until:
            process.stdin.write(csv_of(signal_of()[sent : sent + 250]))
            process.stdin.flush()
            sent += 250
            time.sleep(0.2)
            kinds.update(json.loads(line)["kind"] for line in iter(process.stdout.readline, ""))
            if sent >= len(signal_of()):
                break
        assert kinds["beat"]
        process.stdin.close()
        process.wait(STARTS_S)
        process.stdout.close()
        process.stderr.close()


def test_the_help_names_every_source(capsys):
    with pytest.raises(SystemExit):
        main(["stream", "--help"])
    text = capsys.readouterr().out
    assert all(word in text for word in ("--lsl", "--raw", "--page", "--speed", "standard input"))


def test_asking_twice_ends_it_at_once():
    end = stream_command._End()
    end.ask(signal.SIGINT, None)
    with pytest.raises(KeyboardInterrupt):
        end.ask(signal.SIGINT, None)
