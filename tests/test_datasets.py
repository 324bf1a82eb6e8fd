"""Files come whole and checked from a directory or a real server, or do not come at all."""

import hashlib
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from ectopy.datasets import catalogue, download, simulate
from ectopy.datasets.catalogue import DATABASES, DS1, DS2, PACED, Database, FetchError
from ectopy.datasets.download import UnreachableError
from tests.conftest import ROOT
from tests.conftest import database as find
from tests.faulty_server import FaultyServer, contents, garbled, half, serving

MITDB, SVDB = DATABASES["mitdb"], DATABASES["svdb"]


@pytest.fixture
def source(simdb_source: Path, tmp_path: Path) -> Path:
    """A source of one's own."""
    return Path(shutil.copytree(simdb_source, tmp_path / "source"))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def fetch(name: str, source: object, data_dir: Path, records: tuple[str, ...] | None = None) -> list[Path]:
    asked = download.fetch_index(name, source=str(source), data_dir=data_dir, records=records)
    fetched = [download.fetch_record(name, record, source=str(source), data_dir=data_dir) for record in asked]
    return [path for paths in fetched for path in paths]


def resum(folder: Path) -> None:
    """Publish the sums of what is there, as an honest or a hostile source would."""
    (folder / "SHA256SUMS.txt").unlink(missing_ok=True)
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.name}\n" for path in folder.iterdir()]
    (folder / "SHA256SUMS.txt").write_text("".join(sums))


# What comes


def test_a_database_comes_whole_from_a_directory(simdb_source: Path, data_dir: Path) -> None:
    fetch("simdb", simdb_source, data_dir)
    assert contents(data_dir) == contents(simdb_source)


def test_a_database_comes_whole_from_a_server(
    server: FaultyServer, simdb_source: Path, data_dir: Path
) -> None:
    fetch("simdb", server.address, data_dir)
    assert contents(data_dir) == contents(simdb_source)


def test_a_source_is_named_with_or_without_its_last_slash(server: FaultyServer, data_dir: Path) -> None:
    assert len(fetch("simdb", server.address.rstrip("/"), data_dir)) == 9


def test_the_data_directory_is_a_source_itself(simdb_source: Path, data_dir: Path, tmp_path: Path) -> None:
    fetch("simdb", simdb_source, data_dir)
    fetch("simdb", data_dir, tmp_path / "second")
    assert contents(tmp_path / "second") == contents(simdb_source)


def test_a_database_may_be_ingested_into_its_own_source(source: Path) -> None:
    before = contents(source)
    fetch("simdb", source, source)
    assert contents(source) == before


def test_only_what_is_asked_for_comes(server: FaultyServer, data_dir: Path) -> None:
    paths = fetch("simdb", server.address, data_dir, ("s0-002",))
    assert [path.name for path in paths] == ["s0-002.hea", "s0-002.dat", "s0-002.atr"]
    index = {"RECORDS": 1, "SHA256SUMS.txt": 1, "ANNOTATORS": 1}
    assert server.asked == {**index, "s0-002.hea": 1, "s0-002.dat": 1, "s0-002.atr": 1}


def test_a_second_run_asks_the_server_for_nothing(server: FaultyServer, data_dir: Path) -> None:
    fetch("simdb", server.address, data_dir)
    asked = server.asked.copy()
    fetch("simdb", server.address, data_dir)
    assert server.asked == asked


def test_a_complete_database_needs_no_server(server: FaultyServer, data_dir: Path) -> None:
    fetch("simdb", server.address, data_dir)
    server.faults = dict.fromkeys(server.asked, 503)
    assert len(fetch("simdb", server.address, data_dir)) == 9


def test_only_a_file_that_was_damaged_here_comes_again(server: FaultyServer, data_dir: Path) -> None:
    fetch("simdb", server.address, data_dir)
    server.asked.clear()
    damaged = data_dir / "simdb/1.0.0/s0-002.dat"
    damaged.write_bytes(half(damaged.read_bytes()))
    fetch("simdb", server.address, data_dir)
    assert server.asked == {"s0-002.dat": 1}


def test_a_directory_that_changed_is_taken_anew(tmp_path: Path, data_dir: Path) -> None:
    """Simulated again, longer: the same names with other beats."""
    for minutes in (0.1, 0.2):
        simulate.simulate_database(tmp_path / "source", recordings=1, minutes=minutes, seed=0)
        fetch("simdb", tmp_path / "source", data_dir)
        assert contents(data_dir) == contents(tmp_path / "source")


def test_a_mirror_of_a_part_gives_its_part(source: Path, data_dir: Path) -> None:
    """Its RECORDS differs from the published one, and so from its published sum."""
    (source / "simdb/1.0.0/RECORDS").write_text("s0-003\n")
    assert {path.stem for path in fetch("simdb", source, data_dir)} == {"s0-003"}


def test_others_may_read_what_was_fetched(server: FaultyServer, data_dir: Path, tmp_path: Path) -> None:
    """A data directory is often shared; a download must not end up readable by its owner alone."""
    plain = tmp_path / "plain"
    plain.touch()
    for path in fetch("simdb", server.address, data_dir):
        assert path.stat().st_mode == plain.stat().st_mode


def with_header(source: Path, text: str) -> Path:
    folder = source / "simdb/1.0.0"
    (folder / "s0-001.hea").write_text(text)
    resum(folder)
    return source


def test_a_record_without_signals_is_header_and_annotations(source: Path, data_dir: Path) -> None:
    """Such as 00735 and 03665 of afdb."""
    paths = fetch("simdb", with_header(source, "s0-001 0 250 9205760\n"), data_dir, ("s0-001",))
    assert [path.name for path in paths] == ["s0-001.hea", "s0-001.atr"]


def test_a_record_without_annotations_is_header_and_signals(source: Path, data_dir: Path) -> None:
    """Such as the pure noise of nstdb."""
    (source / "simdb/1.0.0/s0-001.atr").unlink()
    resum(source / "simdb/1.0.0")
    paths = fetch("simdb", source, data_dir, ("s0-001",))
    assert [path.name for path in paths] == ["s0-001.hea", "s0-001.dat"]


def test_leads_in_one_file_fetch_it_once_and_a_tilde_fetches_none(source: Path, data_dir: Path) -> None:
    header = "# a remark\ns0-001 3 360 4320\ns0-001.dat 212 200\ns0-001.dat 212 200\n~ 0 200\n# another\n"
    paths = fetch("simdb", with_header(source, header), data_dir, ("s0-001",))
    assert [path.name for path in paths] == ["s0-001.hea", "s0-001.dat", "s0-001.atr"]


# Other layouts and kinds of labels


def mirror(folder: Path, records: str, *files: str) -> Path:
    """Write a made mirror of a database; a header names the signal file of its record, next to it."""
    signals = {Path(file).stem: Path(file).name for file in files if file.endswith((".dat", ".mat"))}
    for file in files:
        path, stem = folder / file, Path(file).stem
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{stem} 1 128\n{signals[stem]} 212\n" if file.endswith(".hea") else f"made {file}")
    sums = [f"{hashlib.sha256((folder / file).read_bytes()).hexdigest()} {file}\n" for file in files]
    (folder / "SHA256SUMS.txt").write_text("".join(sums))
    (folder / "RECORDS").write_text(records)
    return folder


def unpublish(folder: Path, *files: str) -> None:
    """Delete files whose sums stay, as in a mirror of a part."""
    for file in files:
        (folder / file).unlink()


def test_records_in_folders_come_into_the_same_folders(tmp_path: Path, data_dir: Path) -> None:
    files = ("learning-set/n01.hea", "learning-set/n01.dat", "learning-set/n01.qrs")
    folder = mirror(tmp_path / "aftdb/1.0.0", "learning-set/n01\n", *files)
    paths = fetch("aftdb", tmp_path, data_dir)
    assert [str(path.relative_to(data_dir / "aftdb/1.0.0")) for path in paths] == list(files)
    assert contents(data_dir / "aftdb/1.0.0") == contents(folder)


def test_the_waves_of_each_lead_come(tmp_path: Path, data_dir: Path) -> None:
    leads = [f"data/1.{annotator.suffix}" for annotator in DATABASES["ludb"].annotators]
    mirror(tmp_path / "ludb/1.0.1", "data/1\n", "data/1.hea", "data/1.dat", *leads)
    assert [path.suffix for path in fetch("ludb", tmp_path, data_dir)][2:] == [
        *(".i", ".ii", ".iii", ".avr", ".avl", ".avf"),
        *(".v1", ".v2", ".v3", ".v4", ".v5", ".v6"),
    ]


def test_labels_of_windows_come_with_the_index(tmp_path: Path, data_dir: Path) -> None:
    """Only some records have beats: whatever has a checksum comes."""
    files = ("cu01.hea", "cu01.dat", "cu01.atr", "cu03.hea", "cu03.dat", "windows_5s.csv")
    folder = mirror(tmp_path / "cudb/1.0.0", "cu01\ncu03\n", *files)
    fetch("cudb", tmp_path, data_dir)
    assert contents(data_dir / "cudb/1.0.0") == contents(folder)


def test_garbled_labels_are_refused(tmp_path: Path, data_dir: Path) -> None:
    folder = mirror(tmp_path / "cudb/1.0.0", "cu01\n", "cu01.hea", "cu01.dat", "windows_5s.csv")
    (folder / "windows_5s.csv").write_text("garbled")
    with pytest.raises(FetchError, match=r"windows_5s\.csv: SHA-256 differs"):
        fetch("cudb", tmp_path, data_dir)


STRIPS = ("A00/A00001.hea", "A00/A00001.mat", "REFERENCE.csv")


def test_strips_come_from_a_mirror_with_the_checksums_next_to_them(tmp_path: Path, data_dir: Path) -> None:
    folder = mirror(tmp_path / "challenge-2017/1.0.0/training", "A00/A00001\n", *STRIPS)
    fetch("challenge-2017", tmp_path, data_dir)
    assert contents(data_dir / "challenge-2017/1.0.0/training") == contents(folder)


@pytest.mark.parametrize("kind", ["server", "directory"])
def test_strips_come_from_physionet_with_the_checksums_above_them(
    tmp_path: Path, data_dir: Path, kind: str
) -> None:
    version = tmp_path / "source/challenge-2017/1.0.0"
    mirror(version, "training/\n", *(f"training/{file}" for file in STRIPS))
    (version / "training/RECORDS").write_text("A00/A00001\n")
    with serving(tmp_path / "source") as server:
        paths = fetch("challenge-2017", server.address if kind == "server" else tmp_path / "source", data_dir)
    assert paths[0] == data_dir / "challenge-2017/1.0.0/training/A00/A00001.hea"
    (version / "RECORDS").unlink()  # nothing needs it
    assert contents(data_dir / "challenge-2017") == contents(tmp_path / "source/challenge-2017")
    fetch("challenge-2017", data_dir, tmp_path / "second")
    assert contents(tmp_path / "second") == contents(data_dir)


def test_a_mirror_of_a_part_is_asked_for_no_file_of_another_record(tmp_path: Path, data_dir: Path) -> None:
    """Its sums are the published ones; files of the records that it leaves out are not there."""
    files = [f"{record}.{suffix}" for record in ("n01", "n02") for suffix in ("hea", "dat", "qrs")]
    folder = mirror(tmp_path / "afpdb/1.0.0", "n01\n", *files, "ANNOTATORS")
    unpublish(folder, "n02.hea", "n02.dat", "n02.qrs", "ANNOTATORS")
    with serving(tmp_path) as server:
        paths = fetch("afpdb", server.address, data_dir)
    assert [path.name for path in paths] == ["n01.hea", "n01.dat", "n01.qrs"]
    assert not [file for file in server.asked if file.startswith("n02")]


def test_an_annotation_file_that_is_listed_must_be_there(tmp_path: Path, data_dir: Path) -> None:
    folder = mirror(tmp_path / "afpdb/1.0.0", "n01\n", "n01.hea", "n01.dat", "n01.qrs")
    unpublish(folder, "n01.qrs")
    with pytest.raises(FetchError, match=r"n01\.qrs: file not found"):
        fetch("afpdb", tmp_path, data_dir)


def test_annotated_records_in_folders_are_found_by_their_names_in_records(tmp_path: Path) -> None:
    folder = mirror(tmp_path / "ludb/1.0.1", "data/1\ndata/2\n", "data/1.hea", "data/1.dat", "data/1.atr")
    (folder / "kept.hea").touch()
    (folder / "kept.atr").touch()
    (folder / "old").mkdir()  # such as x_mitdb of mitdb, which RECORDS does not list
    (folder / "old/3.hea").touch()
    (folder / "old/3.atr").touch()
    assert download.annotated_records(folder) == ("data/1", "kept")


@pytest.mark.parametrize("database", ["svdb", "challenge-2017"])
def test_a_missing_database_is_named(database: str, data_dir: Path) -> None:
    folder = download.database_folder(DATABASES[database], data_dir)
    with pytest.raises(FetchError, match=f"the database {database} is missing.*`ectopy ingest {database}`"):
        download.read_records(folder)


# What does not come


@pytest.fixture
def refused(server: FaultyServer, data_dir: Path) -> Callable[[str, object], str]:
    """Fetch with one fault; return the message, having seen that nothing bears the file's name or lies around."""

    def attempt(file: str, fault: object) -> str:
        server.faults[file] = fault
        with pytest.raises(FetchError) as caught:
            fetch("simdb", server.address, data_dir)
        names = {path.name for path in data_dir.rglob("*") if path.is_file()}
        assert file not in names
        assert not [name for name in names if name.startswith("tmp")]
        assert "\n" not in str(caught.value)
        assert f"{server.address}simdb/1.0.0/{file}" in str(caught.value)
        return f"{type(caught.value).__name__}: {caught.value}"

    return attempt


@pytest.mark.parametrize("file", ["s0-002.dat", "s0-002.hea", "s0-002.atr", "ANNOTATORS"])
def test_a_garbled_file_is_refused(
    refused: Callable[[str, object], str], file: str, simdb_source: Path
) -> None:
    published = hashlib.sha256((simdb_source / "simdb/1.0.0" / file).read_bytes()).hexdigest()
    message = refused(file, garbled)
    assert message.startswith("FetchError")  # asking again would not help
    assert f"SHA-256 differs from {published}" in message


def test_an_empty_list_of_records_is_no_complete_database(source: Path, tmp_path: Path) -> None:
    (source / "simdb/1.0.0/RECORDS").write_text("\n")
    with pytest.raises(FetchError, match=r"RECORDS: it lists no record\. Check the address of the source"):
        download.fetch_index("simdb", source=str(source), data_dir=tmp_path / "data")


@pytest.mark.parametrize("file", ["s0-002.dat", "RECORDS", "SHA256SUMS.txt"])
def test_a_connection_cut_half_way_leaves_nothing(refused: Callable[[str, object], str], file: str) -> None:
    assert refused(file, half).startswith("UnreachableError")


@pytest.mark.parametrize("file", ["s0-002.dat", "RECORDS"])
def test_a_file_the_server_does_not_have_is_named(refused: Callable[[str, object], str], file: str) -> None:
    message = refused(file, 404)
    assert message.startswith("MissingFileError")  # asking again would not help
    assert "the server answered 404. Check the address" in message


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_may_be_asked_again(refused: Callable[[str, object], str], status: int) -> None:
    message = refused("s0-001.dat", status)
    assert message.startswith("UnreachableError")
    assert message.endswith(f"the server answered {status}. Try again.")


def test_records_before_a_failing_one_stay(server: FaultyServer, data_dir: Path) -> None:
    server.faults["s0-002.dat"] = garbled
    with pytest.raises(FetchError):
        fetch("simdb", server.address, data_dir)
    assert {path.name for path in data_dir.rglob("s0-001.*")} == {"s0-001.hea", "s0-001.dat", "s0-001.atr"}


def test_a_port_where_nobody_listens_is_unreachable(data_dir: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/"
    with pytest.raises(UnreachableError, match=f"{address}simdb/1.0.0/RECORDS: the server did not answer"):
        fetch("simdb", address, data_dir)
    assert contents(data_dir) == {}


def test_a_file_missing_from_a_directory_is_named(source: Path, data_dir: Path) -> None:
    (source / "simdb/1.0.0/s0-001.dat").unlink()
    with pytest.raises(FetchError, match=r"simdb/1\.0\.0/s0-001\.dat: file not found"):
        fetch("simdb", source, data_dir)


def test_a_file_broken_in_a_directory_is_refused(source: Path, data_dir: Path) -> None:
    broken = source / "simdb/1.0.0/s0-001.dat"
    broken.write_bytes(half(broken.read_bytes()))
    with pytest.raises(FetchError, match=r"s0-001\.dat: SHA-256 differs from [0-9a-f]{64}"):
        fetch("simdb", source, data_dir)
    assert not list(data_dir.rglob("*.dat"))


def test_a_directory_without_the_database_is_refused(tmp_path: Path, data_dir: Path) -> None:
    with pytest.raises(FetchError, match=r"mitdb/1\.0\.0: no such directory"):
        fetch("mitdb", tmp_path, data_dir)


@pytest.mark.parametrize("source", ["ftp://example.org/", "s3://bucket/files"])
def test_a_source_of_another_kind_is_refused(source: str, data_dir: Path) -> None:
    with pytest.raises(FetchError, match="not a supported source"):
        fetch("simdb", source, data_dir)


def test_an_unknown_database_is_told_what_is_known(simdb_source: Path, data_dir: Path) -> None:
    with pytest.raises(FetchError, match=r"mitbih: unknown database\. Choose one of mitdb, nstdb, afdb"):
        fetch("mitbih", simdb_source, data_dir)


def test_a_record_of_another_database_is_refused(simdb_source: Path, data_dir: Path) -> None:
    with pytest.raises(FetchError, match="simdb: no record 100, 101 in"):
        fetch("simdb", simdb_source, data_dir, ("s0-001", "100", "101"))


def test_a_record_needs_the_index_first(simdb_source: Path, data_dir: Path) -> None:
    with pytest.raises(FetchError, match=r"SHA256SUMS\.txt: no checksums"):
        download.fetch_record("simdb", "s0-001", source=str(simdb_source), data_dir=data_dir)


def test_a_file_without_a_published_sum_is_refused(source: Path, data_dir: Path) -> None:
    sums = source / "simdb/1.0.0/SHA256SUMS.txt"
    sums.write_text(
        "".join(line for line in sums.read_text().splitlines(keepends=True) if ".dat" not in line)
    )
    with pytest.raises(FetchError, match=r"s0-001\.dat has no checksum in .*SHA256SUMS\.txt"):
        fetch("simdb", source, data_dir)


@pytest.mark.parametrize("text", ["", "<html>Please log in</html>\n", "0123 s0-001.dat\n"])
def test_sums_that_are_none_are_refused(source: Path, data_dir: Path, text: str) -> None:
    (source / "simdb/1.0.0/SHA256SUMS.txt").write_text(text)
    with pytest.raises(FetchError, match=r"not a list of SHA-256 checksums"):
        fetch("simdb", source, data_dir)


@pytest.mark.parametrize(
    "name",
    [
        *("../../evil.dat", "/tmp/evil.dat", "..", "a\\b.dat", "C:evil.dat", ".hidden"),
        *("a/../../evil.dat", "a//evil.dat", "a/./evil.dat", "a/.hidden"),
    ],
)
def test_a_header_cannot_reach_outside_its_folder(source: Path, data_dir: Path, name: str) -> None:
    """A hostile source publishes the right sums for what it does, too."""
    (source / "evil.dat").write_text("gotcha")
    header = f"s0-001 1 360 4320\n{name} 212 200\n"
    with pytest.raises(FetchError, match="is not a file name inside the folder"):
        fetch("simdb", with_header(source, header), data_dir, ("s0-001",))
    assert not list(data_dir.rglob("*evil*"))


@pytest.mark.parametrize("name", ["../../evil", "/evil", "a/../../evil", "a//evil", "a/", "."])
def test_a_record_list_cannot_reach_outside_its_folder(source: Path, data_dir: Path, name: str) -> None:
    (source / "simdb/1.0.0/RECORDS").write_text(f"s0-001\n{name}\n")
    with pytest.raises(FetchError, match=f"RECORDS: {re.escape(repr(name))} is not a record name"):
        fetch("simdb", source, data_dir)


def test_a_header_in_a_folder_cannot_reach_outside_its_folder(tmp_path: Path, data_dir: Path) -> None:
    """Folders of records are no way up, even to a file that has a checksum."""
    folder = mirror(tmp_path / "aftdb/1.0.0", "a/n01\n", "a/n01.hea", "a/n01.dat", "evil.dat")
    (folder / "a/n01.hea").write_text("n01 1 128\n../evil.dat 212\n")
    sums = folder / "SHA256SUMS.txt"
    sums.write_text(
        sums.read_text() + f"{hashlib.sha256((folder / 'a/n01.hea').read_bytes()).hexdigest()} a/n01.hea\n"
    )
    with pytest.raises(FetchError, match=r"'a/\.\./evil\.dat' is not a file name inside the folder"):
        fetch("aftdb", tmp_path, data_dir)


def test_a_log_in_page_in_place_of_records_is_refused(source: Path, data_dir: Path) -> None:
    (source / "simdb/1.0.0/RECORDS").write_text("<html>Please log in</html>\n")
    with pytest.raises(FetchError, match="'<html>Please' is not a record name"):
        fetch("simdb", source, data_dir)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a remark\n",
        "s0-001\n",
        "s0-001 two 360\n",
        "s0-001 2 360\ns0-001.dat 212\n",
        "s0-001/3 2 360\n",
    ],
)
def test_what_is_no_header_is_refused(source: Path, data_dir: Path, text: str) -> None:
    with pytest.raises(FetchError, match=r"s0-001\.hea: not a WFDB header of a single segment"):
        fetch("simdb", with_header(source, text), data_dir, ("s0-001",))


# The databases themselves


def test_the_split_of_de_chazal_has_22_records_each_and_no_paced_one() -> None:
    assert (len(DS1), len(DS2), len(PACED)) == (22, 22, 4)
    assert len({*DS1, *DS2, *PACED}) == 48


def test_201_and_202_are_one_man_and_the_only_ones_to_share_a_record() -> None:
    patients = Counter(catalogue.patient_of(MITDB, record) for record in (*DS1, *DS2, *PACED))
    assert catalogue.patient_of(MITDB, "202") == catalogue.patient_of(MITDB, "201")
    assert (len(patients), max(patients.values())) == (47, 2)


def test_no_other_patient_is_in_both_sets_of_de_chazal() -> None:
    ds1, ds2 = ({catalogue.patient_of(MITDB, record) for record in records} for records in (DS1, DS2))
    assert ds1 & ds2 == {"mitdb/201"}


@pytest.mark.parametrize(
    ("database", "record", "patient"),
    [
        ("mitdb", "100", "mitdb/100"),
        ("nstdb", "118e_6", "mitdb/118"),
        ("nstdb", "119e24", "mitdb/119"),
        ("nstdb", "em", "nstdb/em"),
        ("qtdb", "sel100", "mitdb/100"),
        ("qtdb", "sel803", "svdb/803"),
        ("qtdb", "sel14046", "ltdb/14046"),
        ("qtdb", "sel16265", "nsrdb/16265"),
        ("qtdb", "sel17453", "nsrdb/17453"),
        ("qtdb", "sel30", "qtdb/sel30"),
        ("qtdb", "sele0104", "edb"),
        ("edb", "e0104", "edb"),
        ("incartdb", "I36", "incartdb/patient 16"),
        ("svdb", "877", "svdb/876"),
        ("svdb", "851", "svdb/851"),
        ("svdb", "884", "svdb/851"),
        ("svdb", "879", "svdb/878"),
        ("svdb", "880", "svdb/880"),
        ("afpdb", "p16c", "afpdb/p15"),
        ("afpdb", "t100", "afpdb/t99"),
        ("aftdb", "learning-set/t07", "aftdb/learning-set/s07"),
        ("simdb", "s0-001", "simdb/s0-001"),
    ],
)
def test_a_patient_has_one_name_in_every_database(database: str, record: str, patient: str) -> None:
    assert catalogue.patient_of(DATABASES[database], record) == patient


def test_the_75_records_of_incartdb_are_32_patients() -> None:
    patients = Counter(
        catalogue.patient_of(DATABASES["incartdb"], f"I{number:02d}") for number in range(1, 76)
    )
    assert len(patients) == 32
    assert patients["incartdb/patient 14"] == 4
    assert not [patient for patient in patients if patient.startswith("incartdb/I")]


@pytest.mark.parametrize(
    ("database", "records", "patients"),
    [
        *(("mitdb", 48, 47), ("nstdb", 15, 5), ("afdb", 25, 25), ("svdb", 78, 75), ("incartdb", 75, 32)),
        *(("ltdb", 7, 7), ("nsrdb", 18, 18), ("edb", 90, 1), ("qtdb", 105, 73), ("vfdb", 22, 22)),
        *(("cudb", 35, 35), ("aftdb", 80, 70), ("afpdb", 300, 100), ("ludb", 200, 200)),
        ("challenge-2017", 8528, 8528),
    ],
)
def test_all_published_records_are_listed_once(database: str, records: int, patients: int) -> None:
    listed = DATABASES[database].records
    assert len(listed) == len(set(listed)) == records
    assert len({catalogue.patient_of(DATABASES[database], record) for record in listed}) == patients


@pytest.mark.parametrize("database", [each for each in DATABASES.values() if each.records])
def test_every_published_record_trains_or_is_held_out_or_is_left_out(database: Database) -> None:
    groups = Counter((*database.training, *database.held_out, *database.left_out))
    assert groups == Counter(database.records)


def test_the_20_other_records_of_svdb_are_held_out() -> None:
    training, held_out = catalogue.split(SVDB, SVDB.records)
    assert (len(training), len(held_out)) == (58, 20)
    assert set(held_out) == {
        *("803", "807", "808", "811", "820", "821", "824", "840", "841", "844", "845", "847", "853"),
        *("866", "871", "872", "873", "882", "883", "891"),
    }


def test_no_patient_of_svdb_trains_and_tests() -> None:
    training, held_out = (
        {catalogue.patient_of(SVDB, record) for record in group} for group in (SVDB.training, SVDB.held_out)
    )
    assert not training & held_out


@pytest.mark.parametrize(
    "database", ["afdb", "edb", "qtdb", "vfdb", "cudb", "afpdb", "ludb", "challenge-2017"]
)
def test_beats_train_on_no_record_of_a_database_that_is_not_for_that(database: str) -> None:
    assert catalogue.split(DATABASES[database], DATABASES[database].records)[0] == ()


def test_all_records_of_a_database_to_test_beats_are_held_out() -> None:
    assert catalogue.split(DATABASES["ltdb"], ("14046", "14134", "no such")) == ((), ("14046", "14134"))


def test_a_database_without_beats_to_test_holds_none_out() -> None:
    assert catalogue.split(DATABASES["vfdb"], ("418", "419")) == ((), ())
    assert catalogue.split(DATABASES["vfdb"], ("418", "419"), "rhythm") == (("418",), ("419",))


@pytest.mark.parametrize("record", ["A00051", "A00/A00051"])
def test_a_record_is_the_same_in_another_folder(record: str) -> None:
    assert catalogue.split(DATABASES["challenge-2017"], [record], "strips") == ((record,), ())


@pytest.mark.parametrize("database", DATABASES.values())
def test_uses_name_what_and_for_what(database: Database) -> None:
    assert set(database.uses) <= {"beats", "rhythm", "waves", "windows", "strips"}
    assert set(database.uses.values()) <= {"training", "test"}
    if database.records:
        assert bool(database.training) == ("training" in database.uses.values())


def test_databases_can_be_in_sets() -> None:
    assert len(set(DATABASES.values())) == len(DATABASES)


def test_training_needs_the_databases_whose_beats_train() -> None:
    assert catalogue.training_databases() == ("mitdb", "svdb")


def test_the_page_of_databases_is_that_of_the_catalogue() -> None:
    printed = subprocess.run(
        [sys.executable, ROOT / "tools/database_page.py"], capture_output=True, text=True, check=True
    ).stdout
    assert (ROOT / "docs/reference/databases.md").read_text(encoding="utf-8") == printed


@pytest.mark.parametrize("database", [each for each in DATABASES.values() if each.records])
def test_the_page_has_a_section_with_licence_and_citation(database: Database) -> None:
    page = (ROOT / "docs/reference/databases.md").read_text(encoding="utf-8")
    section = " ".join(page.partition(f"\n## {database.name}\n")[2].partition("\n## ")[0].split())
    for text in (database.license, database.citation, database.doi, database.note):
        assert text in section
    assert all(f"{use}: {database.uses[use]}" in section for use in database.uses)


def test_a_database_is_found_under_its_own_name() -> None:
    assert all(DATABASES[name].name == name for name in DATABASES)
    assert set(DATABASES) == {
        *("mitdb", "nstdb", "afdb", "svdb", "incartdb", "ltdb", "nsrdb", "edb", "qtdb"),
        *("vfdb", "cudb", "aftdb", "afpdb", "ludb", "challenge-2017", "simdb", "corrections"),
    }


# The true thing


@pytest.mark.real
def test_the_records_of_mitdb_are_those_of_both_sets_and_the_paced_ones(mitdb: Path) -> None:
    assert set(download.read_records(mitdb)) == {*DS1, *DS2, *PACED}


@pytest.mark.real
def test_records_of_mitdb_come_from_a_directory(mitdb: Path, data_dir: Path) -> None:
    paths = fetch("mitdb", mitdb.parent.parent, data_dir, ("101", "201"))
    assert [path.name for path in paths] == [
        *("101.hea", "101.dat", "101.atr"),
        *("201.hea", "201.dat", "201.atr"),
    ]
    for path in paths:
        assert path.read_bytes() == (mitdb / path.name).read_bytes()


@pytest.mark.real
def test_records_of_mitdb_come_from_a_server(mitdb: Path, data_dir: Path) -> None:
    with serving(mitdb.parent.parent) as server:
        paths = fetch("mitdb", server.address, data_dir, ("101", "114"))
    assert len(paths) == 6
    for path in paths:
        assert path.read_bytes() == (mitdb / path.name).read_bytes()


@pytest.mark.real
def test_nstdb_comes_as_far_as_the_source_has_it(nstdb: Path, data_dir: Path) -> None:
    """The noise-only records have no annotations, and a mirror may leave them out of RECORDS."""
    paths = fetch("nstdb", nstdb.parent.parent, data_dir)
    assert {path.stem for path in paths} == set(download.read_records(nstdb))


OTHERS = ("svdb", "vfdb", "cudb", "aftdb", "afpdb", "ludb", "challenge-2017")


def source_of(name: str) -> Path:
    """Find a source of a database; skip without one."""
    version = DATABASES[name].version
    folder = find(name, f"{version}/{DATABASES[name].subfolder}")
    return next(above.parent for above in (folder, *folder.parents) if above.name == name)


@pytest.mark.real
@pytest.mark.parametrize("name", OTHERS)
def test_every_record_of_the_other_databases_comes_with_its_labels(name: str, data_dir: Path) -> None:
    """The same files, byte for byte, as far as RECORDS lists them."""
    source = source_of(name)
    paths = fetch(name, source, data_dir)
    there, here = (download.database_folder(DATABASES[name], root) for root in (source, data_dir))
    records = set(download.read_records(there))
    assert records <= {*download.read_records(here)}
    suffixes = {path.suffix for path in paths} - {".hea", ".dat", ".mat"}
    assert suffixes == {f".{annotator.suffix}" for annotator in DATABASES[name].annotators}
    copied = contents(here)
    assert {file: body for file, body in contents(there).items() if file in copied} == copied


@pytest.mark.real
@pytest.mark.parametrize("name", ["svdb", "vfdb", "cudb", "ludb", "challenge-2017"])
def test_every_record_that_lies_there_may_train(name: str) -> None:
    database = DATABASES[name]
    there = download.read_records(download.database_folder(database, source_of(name)))
    (use,) = (use for use in database.uses if database.uses[use] == "training")
    assert len(catalogue.split(database, there, use)[0]) == len(database.training)


@pytest.mark.real
@pytest.mark.parametrize("name", ["svdb", "aftdb", "ludb"])
def test_the_published_checksums_list_the_records_of_the_catalogue(name: str) -> None:
    sums = (download.database_folder(DATABASES[name], source_of(name)) / "SHA256SUMS.txt").read_text()
    headers = {line.split()[1] for line in sums.splitlines() if line.endswith(".hea")}
    assert headers == {f"{record}.hea" for record in DATABASES[name].records}
