"""Results read back: the same analysis as was written, with the original's signal or without it."""

import json
import shutil
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pytest

import ectopy
from ectopy import cli
from ectopy.batch.planning import ScoreOptions
from ectopy.model.classifier import SHIPPED_MODEL
from ectopy.report.data_files import summary_schema
from ectopy.review import desk, open_review
from ectopy.review.recordings import ResultError, open_result, result_names
from ectopy.review.state import replay
from tests.edited import same
from tests.scored import scored
from tests.small import Here, write_record

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """One recording of a minute, scored with the shipped model; not to be changed."""
    folder = tmp_path_factory.mktemp("scored")
    header = write_record(folder)
    return scored([header], folder / "out", ScoreOptions(SHIPPED_MODEL))


@pytest.fixture
def out(once, tmp_path):
    """A copy of it, whose original is in the copy too."""
    shutil.copytree(once.parent, tmp_path / "copy")
    out = tmp_path / "copy" / "out"
    summary = out / "r" / "summary.json"
    summary.write_text(summary.read_text().replace(str(once.parent), str(out.parent)))
    return out


def test_what_was_written_is_the_analysis_that_is_read(once):
    """Times, rates and RR intervals are exact, though events.csv has rounded ones."""
    result = open_result(once, "r")
    written = ectopy.analyse(once.parent / "r.hea")
    assert len(written.beats) > 40
    assert same(result.analysis, written)
    assert result.has_signal
    np.testing.assert_array_equal(result.analysis.read(1000, 2000), written.read(1000, 2000))
    assert same(replay(result.analysis, ()).analysis, written)


@pytest.mark.real
@pytest.mark.parametrize("record", ["106", "119", "203", "208"])
def test_true_recordings_are_read_back_exactly(mitdb, tmp_path, record):
    out = scored([mitdb / f"{record}.hea"], tmp_path / "out", ScoreOptions(SHIPPED_MODEL))
    read = open_result(out, record).analysis
    written = ectopy.analyse(mitdb / record)
    assert same(read, written)
    assert same(replay(read, ()).analysis, written)
    assert asdict(read.criteria) == asdict(written.criteria)


def test_the_names_are_those_of_results(once, out):
    (out / "r.review").mkdir()
    (out / "notes").mkdir()
    assert result_names(once) == result_names(out) == ["r"]


def test_an_original_that_is_gone_is_said_and_the_rest_can_be_reviewed(out):
    (out.parent / "r.dat").unlink()
    result = open_result(out, "r")
    assert not result.has_signal
    assert result.notes == (
        (
            f"{out.parent / 'r.hea'}: the original cannot be opened, so no signal is shown. "
            "Put it back there, or name the folder of the originals: `ectopy review OUT --recordings FOLDER`."
        ),
    )
    assert np.isnan(result.analysis.read(0, 100)).all()
    assert len(result.analysis.beats) > 40


def test_an_original_that_has_changed_is_not_shown(out):
    original = out.parent / "r.dat"
    original.write_bytes(original.read_bytes()[:-2] + b"\0\0")
    result = open_result(out, "r")
    assert not result.has_signal
    assert "has changed since it was scored" in result.notes[0]


def test_another_scoring_with_other_beats_has_another_base(once, out):
    assert open_result(once, "r").base == open_result(out, "r").base
    events = out / "r" / "events.csv"
    events.write_text(events.read_text() + "vt,1.000,2.000,3,100.0,vt\n")
    assert open_result(once, "r").base != open_result(out, "r").base


@pytest.mark.parametrize("name", ["q", "../out/r", "r/../r", ".", ""])
def test_what_is_no_result_is_refused(out, name):
    with pytest.raises(ResultError, match="no results of a recording"):
        open_result(out, name)


@pytest.mark.parametrize("file", ["beats.parquet", "events.csv"])
def test_damaged_results_are_refused_by_name(out, file):
    (out / "r" / file).write_bytes(b"kind\nvt\n")
    with pytest.raises(ResultError, match=r"r: damaged .*Score the recording again with --force"):
        open_result(out, "r")


def test_results_of_an_earlier_version_without_artefact_can_be_reviewed(out):
    path: Path = out / "r" / "summary.json"
    summary = json.loads(path.read_text())
    del summary["recording"]["artefact_samples"]
    path.write_text(json.dumps(summary))
    assert open_result(out, "r").analysis.artefact.shape == (0, 2)
    assert "artefact_samples" not in summary_schema()["properties"]["recording"]["required"]


class TestOriginalsElsewhere:
    """The originals were moved, or results hold a pseudonym in place of their path."""

    @pytest.fixture
    def moved(self, out):
        folder = out.parent / "archive" / "2026"
        folder.mkdir(parents=True)
        for file in out.parent.glob("r.*"):
            file.rename(folder / file.name)
        return folder

    @pytest.mark.usefixtures("moved")
    def test_the_note_names_the_option(self, out):
        result = open_result(out, "r")
        assert not result.has_signal
        assert "`ectopy review OUT --recordings FOLDER`" in result.notes[0]

    @pytest.mark.parametrize("path", ["", "P-2A91/P-77F0.hea"])
    def test_the_original_is_found_by_its_content_below_the_folder(self, out, moved, path):
        write_record(moved.parent, name="other", fs=200.0)  # the same suffix, and not the same content
        summary = out / "r" / "summary.json"
        document = json.loads(summary.read_text())
        if path:
            document["provenance"]["path"] = path
            summary.write_text(json.dumps(document))
        result = open_result(out, "r", originals=moved.parent)
        assert (result.has_signal, result.source, result.notes) == (True, moved / "r.hea", ())
        assert np.isfinite(result.analysis.read(1000, 2000)).all()

    @pytest.mark.usefixtures("moved")
    def test_a_folder_without_it_is_said_not_to_have_it(self, out):
        empty = out.parent / "empty"
        empty.mkdir()
        result = open_result(out, "r", originals=empty)
        assert not result.has_signal
        assert "No recording in the folder of --recordings has its content" in result.notes[0]

    def test_another_signal_under_the_same_name_is_not_taken(self, out, moved):
        signal = moved / "r.dat"
        signal.write_bytes(signal.read_bytes()[:-2] + b"\1\1")
        assert not open_result(out, "r", originals=moved.parent).has_signal

    def test_the_templates_are_found_with_it(self, out, moved, monkeypatch):
        monkeypatch.setattr(open_review, "WorkerPool", lambda _n: Here())
        review = desk.Desk(out, originals=moved).open("r")
        while review.is_preparing:
            time.sleep(0.02)
        assert review.failure == ""
        assert review.stored.has_signal


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Give the folder that `ectopy score` wrote, such as `ectopy review results/`"),
        (["nowhere"], "nowhere: no results to review. Run `ectopy score PATH... --out nowhere` first"),
        (["OUT", "--recordings", "nowhere"], "--recordings nowhere: no folder"),
        (["OUT", "--by", "<b>"], "no initials"),
    ],
)
def test_a_command_that_cannot_work_says_what_would(once, capsys, arguments, said):
    with pytest.raises(SystemExit) as ended:
        cli.main(["review", *[str(once) if argument == "OUT" else argument for argument in arguments]])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err.replace("\n", " ")
