"""``ectopy ec57 --disclosure``: the tables that IEC 60601-2-47 asks for, with the numbers of EC57."""

from pathlib import Path

import pytest

from ectopy import cli, ec57
from ectopy.annotations import write_annotations
from tests.ec57_marks import END, FS, marks

REFERENCE = "N:100 V:200 V:300 N:400 S:500 N:600 N:700 +:1000:(AFIB +:2000:(N N:2100"
TEST = "N:100 V:200 N:300 N:400 S:500 N:600 V:700 +:1000:(AFIB +:1500:(N N:2100"
PACED = "N:100 V:200 V:300 /:400 /:500 N:600"


@pytest.fixture
def mitdb(tmp_path: Path) -> Path:
    """Two records, the second with a pacemaker, and annotations to test beside them."""
    folder = tmp_path / "mitdb" / "1.0.0"
    folder.mkdir(parents=True)
    for name, reference, test in (("a", REFERENCE, TEST), ("p", PACED, PACED)):
        write_annotations(folder / name, "atr", marks(reference), fs=FS)
        write_annotations(folder / name, "mine", marks(test), fs=FS)
        (folder / f"{name}.hea").write_text(f"{name} 1 {FS:g} {END}\n{name}.dat 16\n")
    return folder


def disclosed(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    arguments = ["ec57", "--reference", str(folder), "--test", str(folder), "--annotator", "mine"]
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments, "--disclosure", *options])
    assert not ended.value.code
    return capsys.readouterr().out


def rows(page: str) -> dict[str, list[str]]:
    """Return the cells of every row of every table by its first cell."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("| ")
    ]
    return {first: others for first, *others in cells}


def test_it_states_what_was_compared_and_how(mitdb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stated = rows(disclosed(mitdb, capsys))
    assert stated["database"] == ["mitdb 1.0.0"]
    assert stated["reference annotator"] == ["atr"]
    assert stated["annotator under test"] == ["mine"]
    assert stated["records compared"] == ["2: a p"]
    assert stated["learning period, not scored"] == ["300 s"]
    assert stated["match window"] == ["150 ms"]


def test_beats_are_those_of_each_record(mitdb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = rows(disclosed(mitdb, capsys))
    beats = dict(zip(page["record"], page["a"], strict=True))
    # Of two V one is called V, and one N is called V; no beat is missed.
    assert (beats["beats"], beats["QRS Se"], beats["VEB"], beats["SVEB"]) == ("8", "100.00", "2", "1")
    assert (beats["VEB Se"], beats["VEB +P"], beats["VEB FPR"]) == ("50.00", "50.00", "16.667")
    assert (beats["SVEB Se"], beats["SVEB +P"]) == ("100.00", "100.00")
    assert not [name for name in beats if "F1" in name]  # the standard has none


def test_paced_records_are_named_and_in_no_summary(mitdb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = rows(disclosed(mitdb, capsys))
    assert page["left out of the summaries, for paced beats"] == ["p"]
    assert page["gross"] == page["a"]
    assert "gross unpaced" not in page
    # The couplet of the paced record, which is found, is not counted.
    assert page["ventricular couplets"][:2] == ["1", "0"]


def test_where_all_are_paced_they_are_counted(mitdb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = rows(disclosed(mitdb, capsys, "--records", "p"))
    assert page["left out of the summaries, for paced beats"] == ["none"]
    assert page["ventricular couplets"][:2] == ["1", "1"]


def test_episodes_have_their_number_and_their_time(mitdb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = rows(disclosed(mitdb, capsys))
    assert page["AF episodes"][:4] == ["1", "1", "1", "1"]
    half = page["AF seconds"]
    assert float(half[1]) == float(half[0]) / 2
    assert half[4:6] == ["50.00", "100.00"]


def test_it_says_what_it_does_not_have(mitdb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = disclosed(mitdb, capsys).partition("## Not in these tables")[2]
    assert all(word in missing for word in ("ST segments", "Noise", "Heart rate", "Pacemaker"))


def test_every_table_is_markdown(mitdb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = disclosed(mitdb, capsys).splitlines()
    tables = [i for i, line in enumerate(lines) if line.startswith("|---")]
    assert len(tables) == 3
    for start in tables:
        width = lines[start - 1].count("|")
        assert lines[start].count("|") == lines[start + 1].count("|") == width


def test_it_names_the_map_of_escape_beats(mitdb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "count as N, as in de Chazal 2004" in disclosed(mitdb, capsys, "--map", "dechazal")


def test_a_name_cannot_break_a_table(mitdb: Path) -> None:
    compared = ec57.compare_directories(mitdb, mitdb, "mine")
    page = ec57.disclosure(compared, ec57.Compared("a|b\nc", "atr", "mine"), beat_map="ec57")
    assert "| database | a\\|b" in page
    assert "\nc |" not in page


def test_lines_of_a_tool_have_no_tables_to_disclose(mitdb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["ec57", "--reference", str(mitdb), "--test", str(mitdb), "--annotator", "mine"]
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments, "--disclosure", "--format", "bxb"])
    assert ended.value.code == 2
    assert "Leave it or --disclosure out" in capsys.readouterr().err


def test_a_database_is_named_with_its_version(tmp_path: Path) -> None:
    assert ec57.database_of(tmp_path / "mitdb" / "1.0.0") == "mitdb 1.0.0"
    assert ec57.database_of(tmp_path / "own records") == "own records"
