"""Reviews as an MLflow run: corrections, decisions and seconds, and no name."""

import pytest

from ectopy import cli
from ectopy.batch.planning import ScoreOptions
from ectopy.flows.log_reviews import log_reviews
from ectopy.registry import runs
from ectopy.review.confirm import confirm
from ectopy.review.corrections import CorrectionsError
from ectopy.review.edits import RelabelBeats
from ectopy.review.log import EditLog
from ectopy.review.recordings import open_result
from tests.scored import scored
from tests.small import signal_of, write_model, write_record


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Two confirmed recordings: three beats of the first were corrected, in one decision; none of the second."""
    folder = tmp_path_factory.mktemp("reviews")
    headers = [
        write_record(folder, name, signal_of(seed=seed)) for seed, name in enumerate(("Miller", "Smith"))
    ]
    out = scored(headers, folder / "out", ScoreOptions(write_model(folder / "model")))
    for name, seconds in (("Miller", 60.0), ("Smith", 20.0)):
        result = open_result(out, name)
        log = EditLog(result.log_path)
        if name == "Miller":
            edit = RelabelBeats(result.analysis.beats.sample[:3], "V", "NNN")
            log.append(edit, by="XYZ", base=result.base)
        confirm(result, log, by="XYZ", seconds=seconds)
    return out


def test_the_run_has_what_the_readers_did(out, tracking_uri):
    import mlflow

    told = log_reviews([out], tracking_uri=tracking_uri)
    (run,) = mlflow.search_runs(experiment_names=["ectopy-review"], output_format="list")
    metrics = run.data.metrics
    assert run.info.run_name == "review of 2 recordings"
    assert (metrics["recordings"], metrics["corrections"]) == (2, 3)
    assert metrics["corrections_per_1000_beats"] == pytest.approx(3000 / metrics["beats"])
    assert (metrics["decisions/median"], metrics["seconds/median"]) == (0.5, 40)
    assert metrics["ec57/gross/veb_sensitivity"] == 0
    assert len(metrics) <= 20
    assert runs.all_metrics(run.info.run_id)["ec57/average/veb_sensitivity"] == 0
    rate = metrics["corrections_per_1000_beats"]
    assert told == (
        f"2 recordings confirmed, {rate:.1f} corrections per 1,000 beats, "
        "0.5 decisions and 40 s in the median"
    )


def test_no_name_of_a_recording_or_a_reader_reaches_the_store(out, tracking_uri):
    import mlflow

    log_reviews([out], experiment="named", tracking_uri=tracking_uri)
    (run,) = mlflow.search_runs(experiment_names=["named"], output_format="list")
    table = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/reviews.json")
    assert not [name for name in ("Miller", "Smith", "XYZ") if name in table + str(run.data)]


def test_a_folder_without_a_confirmed_recording_is_refused(tmp_path, tracking_uri):
    with pytest.raises(CorrectionsError, match=r"no confirmed recording. Confirm some with `ectopy review`"):
        log_reviews([tmp_path], tracking_uri=tracking_uri)


def test_the_command_prints_one_line_and_a_mistake_is_one_too(
    out, tmp_path, tracking_uri, monkeypatch, capsys
):
    monkeypatch.setenv("ECTOPY_TRACKING_URI", tracking_uri)
    for folder, status, said in (
        (out, 0, "2 recordings confirmed, "),
        (tmp_path, 1, "no confirmed recording"),
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main(["log-reviews", str(folder)])
        assert ended.value.code == status
        shown = capsys.readouterr()
        assert said in (shown.err if status else shown.out)
