"""Mistakes of users over the whole command line: each is one line that names the thing and a remedy."""

import re
from pathlib import Path

import pytest

from ectopy import cli
from ectopy.model.network import TrainConfig, TrainConfigError
from tests.small import write_model, write_record

CLASS_NAME = re.compile(
    r"Traceback|\b\w*(?:Error|Exception|Invalid[A-Z]\w*)\b|Input should|Value error|\[Errno"
)
"""What no message of ours has: a traceback, a class of an error, the words of Pydantic or of the system."""

SCORE = "score in/r.hea --out out --model model"
EC57 = "ec57 --reference db --test db --annotator atr"
MISTAKES = {
    "--nope": ("No such option: --nope", 2),
    "nope": ("No such command 'nope'. Run `ectopy --help`", 2),
    "score": ("Missing argument 'PATH...'. Run `ectopy score --help` for its options", 2),
    "score nothing --out out": ("nothing: no such file", 2),
    "score in/r.hea --out file --model model": ("file: a file stands where a folder should go", 1),
    "score in/r.hea --out file/x --model model": ("a file stands where a folder should go", 1),
    "score in/r.hea --out out --model missing": ("missing: model directory not found", 2),
    "score in/r.hea --out out --model damaged": ("model.json: ", 1),
    f"{SCORE} --fs fast": ("'--fs': 'fast' is not valid. Give a number", 2),
    f"{SCORE} --fs nan": ("'--fs': 'nan' is not valid. Give at least 1", 2),
    f"{SCORE} --workers 0": ("'--workers': '0' is not valid. Give at least 1", 2),
    f"{SCORE} --workers 1.5": ("'--workers': '1.5' is not valid. Give a whole number", 2),
    f"{SCORE} --unit K": ("'--unit': 'K' is not one of 'mV'", 2),
    f"{SCORE} --runner x": ("--runner x: not a runner. Give local, dask", 2),
    f"{SCORE} --leads ,": ("',' names nothing. Give names separated by commas", 2),
    f"{EC57} --map x": ("'--map': 'x' is not one of 'ec57', 'dechazal'", 2),
    f"{EC57} --records 999": ("no annotation file 999.atr", 2),
    f"{EC57} --json nowhere/x.json": ("nowhere/x.json: there is no folder nowhere. Make it first", 2),
    f"{EC57} --json file/x.json": ("file/x.json: a file stands where a folder should go", 2),
    f"{EC57} --json db": ("db: is a directory. Give the name of a file", 1),
    f"{EC57} --json /dev/full": ("no space left on device. Free some space", 1),
    f"{EC57} --json {'x' * 300}": ("file name too long. Give a shorter name", 1),
    "ec57 --reference nowhere --test db --annotator atr": ("nowhere: no such directory", 2),
    "simulate --out file --minutes 0.2": ("a file stands where a folder should go", 1),
    "simulate --out s --minutes inf": ("'--minutes': 'inf' is not valid. Give at most 10080", 2),
    "simulate --out s --seed -1": ("'--seed': '-1' is not valid. Give at least 0", 2),
    "ingest nodb": ("nodb: unknown database. Choose one of mitdb", 2),
    "train --database nodb": ("ectopy: nodb: unknown database. Choose one of mitdb", 2),
    "evaluate --database nodb": ("ectopy: nodb: unknown database. Choose one of mitdb", 2),
    "evaluate-findings nodb": ("ectopy: nodb: unknown database. Choose one of mitdb", 2),
    "ablation --database nodb": ("ectopy: nodb: unknown database. Choose one of mitdb", 2),
    "evaluate": ("data/mitdb/1.0.0: the database mitdb is missing", 1),
    "train --database simdb": ("data/simdb/1.0.0: the database simdb is missing", 1),
    "ui": ("mlruns/mlflow.db: no such tracking store. `ectopy train` creates it", 1),
    "train --set epochs": ("--set: epochs: not of the form NAME=VALUE", 2),
    "ablation --lengths 0": ("--lengths: not whole numbers above 0: 0", 2),
    "ablation --seeds 0": ("'--seeds': '0' is not valid. Give at least 1", 2),
    "pseudonyms show x": ("ECTOPY_PSEUDONYM_SALT is not set", 2),
    "up --prefect-port 0": ("'--prefect-port': '0' is not valid. Give at least 1", 2),
    "models list": ("mlruns/mlflow.db: no such tracking store. `ectopy train` creates it", 1),
}
SETTINGS = {
    ("ECTOPY_WORKERS", "many"): "ECTOPY_WORKERS: 'many' is not valid. Give a whole number",
    ("ECTOPY_WORKERS", "0"): "ECTOPY_WORKERS: '0' is not valid. Give at least 1",
    ("ECTOPY_INBOX_QUIET_S", "nan"): "ECTOPY_INBOX_QUIET_S: 'nan' is not valid. Give a finite number",
    ("ECTOPY_RECORDING_TIME_S", "inf"): "ECTOPY_RECORDING_TIME_S: 'inf' is not valid. Give a finite number",
    ("ECTOPY_RECORDING_MEMORY_MB", "5"): "ECTOPY_RECORDING_MEMORY_MB: '5' is not valid. Give at least 1024",
    ("ECTOPY_ON_DRIFT", "panic"): "ECTOPY_ON_DRIFT: 'panic' is not valid. Give 'warn' or 'train'",
    ("ECTOPY_PSEUDONYM_SALT", "secret"): "ECTOPY_PSEUDONYM_SALT: too short. Give at least 16 characters",
    ("ECTOPY_WORKER", "2"): "ECTOPY_WORKER: unknown setting. Use one of",
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a recording, a model, a damaged one, a database and a plain file."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "ECTOPY_TRACKING_URI", "ECTOPY_PSEUDONYM_SALT"):
        monkeypatch.delenv(name, raising=False)
    write_record(tmp_path / "in")
    write_model(tmp_path / "model")
    (write_model(tmp_path / "damaged") / "model.json").write_text("{")
    (tmp_path / "file").write_text("mine")
    header = write_record(tmp_path / "db")
    header.write_text(header.read_text().replace("15000", "150000"))
    (tmp_path / "db" / "r.atr").write_bytes(bytes((0x64, 0x04, 0, 0)))
    return tmp_path


def said(command: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run a command; give its status and the last line that it says."""
    with pytest.raises(SystemExit) as ended:
        cli.main(command.split())
    text = capsys.readouterr().err
    assert not CLASS_NAME.search(text), text
    return int(ended.value.code or 0), text.strip().splitlines()[-1]


@pytest.mark.parametrize("command", MISTAKES, ids=lambda command: command[:60])
def test_a_mistake_is_one_line_that_names_it_and_a_remedy(
    command: str, capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    message, expected = MISTAKES[command]
    status, line = said(command, capsys)
    assert line.startswith("ectopy: ")
    assert message in line
    assert status == expected
    assert (here / "file").read_text() == "mine"


@pytest.mark.parametrize(("name", "value"), SETTINGS)
def test_a_wrong_setting_is_named_with_what_it_may_be(
    name: str, value: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    status, line = said(SCORE, capsys)
    assert line.startswith(f"ectopy: {SETTINGS[name, value]}")
    assert status == 2
    assert "secret" not in line


def test_a_damaged_tracking_store_is_named(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "ml.db").write_bytes(b"no database" * 500)
    monkeypatch.setenv("ECTOPY_TRACKING_URI", f"sqlite:///{here}/ml.db")
    status, line = said("models list", capsys)
    assert (status, "ml.db: the tracking store does not answer, is damaged" in line) == (1, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [("members", 0), ("dropout", 1.0), ("augmented_fraction", 1.1), ("class_weights", (1.0, -1.0, 1.0))],
)
def test_settings_of_a_training_have_bounds_in_python_too(name: str, value: object) -> None:
    with pytest.raises(TrainConfigError, match=rf"^{name}: .* is outside .* Give a value within"):
        TrainConfig(**{name: value})


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_arguments: object, **_more: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("ectopy.batch.planning.search", fails)
    with pytest.raises(KeyError):
        cli.main(SCORE.split())
