"""The flow that ingests: one task a record, a failed one stops nobody, and only the network is asked again."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL

from ectopy import cli
from ectopy.datasets import catalogue, download
from ectopy.flows.ingest import IngestError, fetch_index, fetch_record, ingest
from tests.faulty_server import FaultyServer, contents, garbled, half

pytestmark = pytest.mark.usefixtures("prefect_harness")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once."""
    for task in (fetch_index, fetch_record):
        monkeypatch.setattr(task, "retry_delay_seconds", 0)


def test_a_task_is_the_core_function_and_nothing_more() -> None:
    assert fetch_index.fn is download.fetch_index
    assert fetch_record.fn is download.fetch_record


def test_the_flow_brings_the_database_and_tells_where(simdb_source: Path, data_dir: Path) -> None:
    assert ingest("simdb", str(simdb_source), data_dir) == data_dir / "simdb" / "1.0.0"
    assert contents(data_dir) == contents(simdb_source)


def test_the_flow_brings_some_records_where_some_are_asked_for(simdb_source: Path, data_dir: Path) -> None:
    ingest("simdb", str(simdb_source), data_dir, ("s0-002",))
    assert {path.stem for path in data_dir.rglob("*.dat")} == {"s0-002"}


def test_settings_say_where_from_and_where_to(
    simdb_source: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECTOPY_SOURCE", str(simdb_source))
    monkeypatch.setenv("ECTOPY_DATA_DIR", str(data_dir))
    ingest("simdb", records=("s0-001",))
    assert {path.stem for path in data_dir.rglob("*.dat")} == {"s0-001"}


def test_a_failed_record_is_named_and_the_rest_is_kept(server: FaultyServer, data_dir: Path) -> None:
    server.faults = {"s0-001.dat": garbled, "s0-003.atr": 404}
    with pytest.raises(IngestError, match="simdb: 2 of 3 records failed") as caught:
        ingest("simdb", server.address, data_dir)
    broken, missing = caught.value.failures
    assert "s0-001.dat: SHA-256" in broken
    assert "s0-003.atr: the server answered 404" in missing
    assert {path.name for path in data_dir.rglob("s0-002.*")} == {"s0-002.hea", "s0-002.dat", "s0-002.atr"}


def test_the_final_state_of_a_flow_with_a_failed_record_is_failed_and_says_why(
    server: FaultyServer, data_dir: Path
) -> None:
    server.faults = {"s0-002.hea": 404}
    state = ingest("simdb", server.address, data_dir, return_state=True)
    assert state.is_failed()
    assert "simdb: 1 of 3 records failed" in str(state.message)
    assert "s0-002.hea: the server answered 404" in str(state.message)


@pytest.mark.usefixtures("impatient")
def test_a_connection_that_broke_off_is_tried_again(server: FaultyServer, data_dir: Path) -> None:
    server.faults = {"RECORDS": [503], "s0-002.dat": [half, 503]}
    ingest("simdb", server.address, data_dir)
    assert (server.asked["RECORDS"], server.asked["s0-002.dat"], server.asked["s0-001.dat"]) == (2, 3, 1)


@pytest.mark.usefixtures("impatient")
def test_a_server_that_stays_down_is_asked_four_times(server: FaultyServer, data_dir: Path) -> None:
    server.faults = {"s0-002.dat": 503}
    with pytest.raises(IngestError, match="1 of 3 records failed"):
        ingest("simdb", server.address, data_dir)
    assert server.asked["s0-002.dat"] == 4


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", [garbled, 404])
def test_what_another_try_cannot_mend_is_asked_for_once(
    server: FaultyServer, data_dir: Path, fault: object
) -> None:
    server.faults = {"s0-002.dat": fault}
    with pytest.raises(IngestError):
        ingest("simdb", server.address, data_dir)
    assert server.asked["s0-002.dat"] == 1


def test_an_unknown_record_fails_before_any_is_fetched(server: FaultyServer, data_dir: Path) -> None:
    with pytest.raises(catalogue.FetchError, match="simdb: no record 100 in"):
        ingest("simdb", server.address, data_dir, ("s0-001", "100"))
    assert not list(data_dir.rglob("*.hea"))


def command(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[object, str, list[str]]:
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return caught.value.code, output.out, output.err.splitlines()


def test_the_command_prints_where_the_database_is(
    simdb_source: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = command(
        *("ingest", "simdb", "--source", simdb_source, "--data-dir", data_dir, "--records", "s0-001, s0-003"),
        capsys=capsys,
    )
    assert (status, out) == (0, f"{data_dir / 'simdb' / '1.0.0'}\n")
    assert {path.stem for path in data_dir.rglob("*.dat")} == {"s0-001", "s0-003"}


def test_the_command_gives_a_line_for_each_failed_record_and_status_1(
    server: FaultyServer, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.faults = {"s0-001.dat": 404, "s0-003.atr": 404}
    status, out, err = command(
        "ingest", "simdb", "--source", server.address, "--data-dir", data_dir, capsys=capsys
    )
    assert (status, out) == (1, "")
    base = f"{server.address}simdb/1.0.0"
    expected = "the server answered 404. Check the address of the source."
    assert [f"{base}/{name}: {expected}" for name in ("s0-001.dat", "s0-003.atr")] == err[-2:]


def test_the_command_refuses_an_unknown_database_at_once(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # wrong usage, not a database that could not be had
    status, out, err = command("ingest", "mitbih", "--data-dir", data_dir, capsys=capsys)
    assert (status, out, len(err)) == (2, "", 1)
    assert err[0].startswith("ectopy: mitbih: unknown database. Choose one of mitdb,")


def made_source(root: Path, *databases: str) -> Path:
    """Write a source of databases of one record each, without signals."""
    for database in databases:
        folder = download.database_folder(catalogue.find_database(database), root)
        folder.mkdir(parents=True)
        (folder / "RECORDS").write_text("100\n")
        (folder / "100.hea").write_text("100 0 128\n")
        digest = hashlib.sha256((folder / "100.hea").read_bytes()).hexdigest()
        (folder / "SHA256SUMS.txt").write_text(f"{digest} 100.hea\n")
    return root


def test_the_command_takes_several_databases_each_once(
    tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = made_source(tmp_path / "source", "svdb", "challenge-2017")
    status, out, _ = command(
        *("ingest", "challenge-2017", "svdb", "svdb", "--source", source, "--data-dir", data_dir),
        capsys=capsys,
    )
    assert (status, out) == (0, f"{data_dir / 'challenge-2017/1.0.0/training'}\n{data_dir / 'svdb/1.0.0'}\n")
    assert contents(data_dir) == contents(source)


def test_the_command_brings_all_that_training_learns_from(
    tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = made_source(tmp_path / "source", "mitdb", "svdb", "vfdb")
    status, out, _ = command(
        "ingest", "--all-training", "--source", source, "--data-dir", data_dir, capsys=capsys
    )
    expected = [
        str(download.database_folder(catalogue.find_database(name), data_dir))
        for name in catalogue.training_databases()
    ]
    assert (status, out.splitlines()) == (0, expected)


def test_a_database_that_fails_does_not_stop_the_others(
    tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = made_source(tmp_path / "source", "mitdb", "svdb")
    (source / "mitdb/1.0.0/100.hea").write_text("garbled")
    status, out, err = command(
        *("ingest", "edb", "mitdb", "svdb", "--source", source, "--data-dir", data_dir), capsys=capsys
    )
    assert (status, out) == (1, f"{data_dir / 'svdb/1.0.0'}\n")
    absent, garbled_header = err
    assert absent.startswith(f"ectopy: {source / 'edb/1.0.0'}: no such directory.")
    assert garbled_header.startswith(f"{source / 'mitdb/1.0.0/100.hea'}: SHA-256 differs")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no database is given. Give one, such as mitdb, or --all-training."),
        (("mitdb", "svdb", "--records", "100"), "records of several databases. Give one database."),
        (("svdb", "mitbih"), "mitbih: unknown database."),
    ],
)
def test_the_command_refuses_what_it_cannot_do_before_it_starts(
    arguments: tuple[str, ...], message: str, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = command("ingest", *arguments, "--data-dir", data_dir, capsys=capsys)
    assert (status, out, len(err)) == (2, "", 1)
    assert message in err[0]


def test_the_command_speaks_for_itself_and_prefect_keeps_quiet(simdb_source: Path, data_dir: Path) -> None:
    """In a process of its own, as logging is set up once for each; on the tests' server, to save its start."""
    run = subprocess.run(
        [sys.executable, "-m", "ectopy", "ingest", "simdb", "--source", simdb_source, "--data-dir", data_dir],
        env={**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, f"{data_dir / 'simdb' / '1.0.0'}\n")
    said = [f"simdb s0-00{number}: 3 files, complete" for number in (1, 2, 3)]
    assert sorted(run.stderr.splitlines()) == said


def test_what_simulate_writes_can_be_ingested(
    tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = command(
        *("simulate", "--out", tmp_path, "--recordings", "2", "--minutes", "0.1", "--seed", "9"),
        capsys=capsys,
    )
    assert (status, out) == (0, f"{tmp_path / 'simdb' / '1.0.0'}\n")
    status, _, _ = command("ingest", "simdb", "--source", tmp_path, "--data-dir", data_dir, capsys=capsys)
    assert status == 0
    assert {path.stem for path in data_dir.rglob("*.hea")} == {"s9-001", "s9-002"}
