"""``ectopy ec57``: which files are compared, what is printed and written, and what goes wrong how."""

import json
import math
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from ectopy import cli, ec57
from ectopy.annotations import Annotations, read_annotations, write_annotations
from ectopy.datasets import simulate
from ectopy.ecg import UnreadableError
from tests.ec57_marks import END, FS, START, cells, marks

REFERENCE = "N:100 V:200 V:300 N:400 S:500 e:600 N:650 [:700 ]:900 +:1000:(AFIB +:2000:(N N:2100"
TEST = "N:100 V:200 V:300 N:400 N:500 S:600 N:650 [:700 ]:900 +:1000:(AFIB +:1500:(N N:2100"


def write(folder: Path, name: str, annotator: str, words: str | Annotations, *, fs: float = FS) -> Path:
    """Write annotations, and a header beside those of a reference."""
    folder.mkdir(parents=True, exist_ok=True)
    annotations = marks(words) if isinstance(words, str) else words
    write_annotations(folder / name, annotator, annotations, fs=fs)
    if annotator == "atr":
        (folder / f"{name}.hea").write_text(f"{name} 1 {FS:g} {END}\n{name}.dat 16\n")
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two records of the reference, and of a test annotator that errs in the first."""
    reference, test = tmp_path / "reference", tmp_path / "test"
    for name in ("a", "b"):
        write(reference, name, "atr", REFERENCE)
    write(test, "a", "mine", TEST)
    write(test, "b", "mine", REFERENCE)
    return reference, test


def run(folders: tuple[Path, Path], *options: str) -> int:
    """Run the command; give its exit status."""
    reference, test = map(str, folders)
    arguments = ["ec57", "--reference", reference, "--test", test, *options]
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments if "--annotator" in options else [*arguments, "--annotator", "mine"])
    return int(ended.value.code or 0)


class TestWhichRecords:
    def test_all_that_the_test_directory_holds_are_compared_in_order(
        self, folders: tuple[Path, Path]
    ) -> None:
        assert list(ec57.compare_directories(*folders, "mine")) == ["a", "b"]

    def test_some_may_be_chosen(self, folders: tuple[Path, Path]) -> None:
        assert list(ec57.compare_directories(*folders, "mine", records=["b"])) == ["b"]

    def test_annotations_may_lie_in_a_folder_of_the_record(
        self, folders: tuple[Path, Path], tmp_path: Path
    ) -> None:
        # As `ectopy score --out` leaves them.
        write(tmp_path / "out" / "a", "a", "ectopy", TEST)
        assert list(ec57.compare_directories(folders[0], tmp_path / "out", "ectopy")) == ["a"]

    def test_the_record_ends_where_its_header_says(self, tmp_path: Path) -> None:
        # Ten minutes: an extra test beat after the last of the reference counts, one beyond the end does not.
        write(tmp_path / "reference", "a", "atr", "N:100")
        write(tmp_path / "test", "a", "mine", f"N:100 V:{END - START - 1} V:{END - START + 1}")
        compared = ec57.compare_directories(tmp_path / "reference", tmp_path / "test", "mine")
        assert cells(compared["a"].beats) == {"Nn": 1, "Ov": 1}

    def test_records_of_one_side_only_are_named(
        self, folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture
    ) -> None:
        write(folders[0], "only-here", "atr", REFERENCE)
        write(folders[1], "only-there", "mine", TEST)
        assert list(ec57.compare_directories(*folders, "mine")) == ["a", "b"]
        assert [message.rpartition(": ")[2] for message in caplog.messages] == ["only-here", "only-there"]

    def test_the_reference_annotator_may_be_another(self, folders: tuple[Path, Path]) -> None:
        compared = ec57.compare_directories(
            folders[1], folders[1], "mine", records=None, **_as_reference(folders)
        )
        assert compared["a"].beats.sveb_sensitivity == 1.0

    def test_annotations_on_a_finer_grid_are_brought_to_that_of_the_record(
        self, folders: tuple[Path, Path]
    ) -> None:
        fine = marks(TEST)
        fine = Annotations(fine.sample * 4, fine.symbol, fine.subtype, fine.aux)
        write(folders[1], "a", "fine", fine, fs=4 * FS)
        coarse = ec57.compare_directories(*folders, "mine", records=["a"])["a"]
        assert (
            ec57.compare_directories(*folders, "fine")["a"].beats.counts.tolist()
            == coarse.beats.counts.tolist()
        )

    def test_simulated_records_agree_with_themselves(self, tmp_path: Path) -> None:
        database = simulate.simulate_database(tmp_path, recordings=2, minutes=6.0, seed=0)
        compared = ec57.compare_directories(database, database, "atr")
        assert len(compared) == 2
        total = ec57.gross(compared.values()).beats
        assert (total.qrs_sensitivity, total.qrs_positive_predictivity) == (1.0, 1.0)
        assert total.count("NSVFQ", "nsvfqox".upper()) > 50


def _as_reference(folders: tuple[Path, Path]) -> dict[str, Any]:
    for name in ("a", "b"):
        header = (folders[0] / f"{name}.hea").read_text()
        (folders[1] / f"{name}.hea").write_text(header)
    return {"reference_annotator": "mine"}


class TestErrors:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--annotator", "yours"), "no annotation files .yours"),
            (("--reference-annotator", "man"), "no annotation files .man"),
            (("--records", "a,zzz"), "no annotation file zzz.atr"),
        ],
    )
    def test_what_is_not_there_is_wrong_usage(
        self,
        folders: tuple[Path, Path],
        capsys: pytest.CaptureFixture[str],
        options: tuple[str, str],
        message: str,
    ) -> None:
        assert run(folders, *options) == 2
        assert message in capsys.readouterr().err

    def test_so_is_a_directory_that_does_not_exist(
        self, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run((folders[0], folders[1] / "nowhere")) == 2
        assert "no such directory" in capsys.readouterr().err

    def test_so_are_directories_without_a_record_in_common(
        self, folders: tuple[Path, Path], tmp_path: Path
    ) -> None:
        other = write(tmp_path / "other", "z", "mine", TEST)
        with pytest.raises(ec57.NothingToCompareError, match=r"no record in common with .*reference"):
            ec57.compare_directories(folders[0], other, "mine")

    def test_empty_annotations_are_refused(
        self, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        (folders[1] / "a.mine").write_bytes(b"\x00\x00")
        assert run(folders) == 1
        assert "a.mine: the file has no annotations" in capsys.readouterr().err

    def test_unsorted_annotations_are_refused(self, folders: tuple[Path, Path]) -> None:
        # A normal beat at 400, a step back by 100 samples (SKIP, its high word first), another one.
        back = struct.pack("<HHHHHH", 1 << 10 | 400, 59 << 10, 0xFFFF, 0xFF9C, 1 << 10, 0)
        (folders[1] / "a.mine").write_bytes(back)
        with pytest.raises(UnreadableError, match=r"a\.mine: annotation 2 \(sample 300\) is before the one"):
            ec57.compare_directories(*folders, "mine")

    def test_two_marks_on_one_sample_are_in_order(self, folders: tuple[Path, Path]) -> None:
        write(folders[1], "a", "mine", f"+:{-START}:(N N:400 +:400:(AFIB")
        assert ec57.compare_directories(*folders, "mine")["a"].beats.count("N", "N") == 1

    def test_a_record_without_header_is_refused(self, folders: tuple[Path, Path]) -> None:
        (folders[0] / "a.hea").unlink()
        with pytest.raises(UnreadableError, match=r"a\.hea: cannot read the WFDB header"):
            ec57.compare_directories(*folders, "mine")

    def test_a_record_that_is_all_learning_period_is_refused(self, folders: tuple[Path, Path]) -> None:
        (folders[0] / "a.hea").write_text(f"a 1 {FS:g} {START}\na.dat 16\n")
        with pytest.raises(
            UnreadableError, match="the record lasts 300 s, and the learning period of 300 s is not scored"
        ):
            ec57.compare_directories(*folders, "mine")

    def test_a_time_resolution_of_nothing_is_refused(self, folders: tuple[Path, Path]) -> None:
        path = folders[1] / "a.mine"
        stated = f"resolution: {FS:g}".encode()
        path.write_bytes(path.read_bytes().replace(stated, b"resolution: ".ljust(len(stated), b"0")))
        with pytest.raises(UnreadableError, match=r"a\.mine: the file states a time resolution of 0 Hz"):
            ec57.compare_directories(*folders, "mine")

    def test_half_an_annotation_file_is_told_in_the_table_the_json_and_on_stderr(
        self, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        path, counts = folders[1] / "a.mine", tmp_path / "counts.json"
        path.write_bytes(path.read_bytes()[:-20])
        assert run(folders, "--json", str(counts)) == 0
        note = "test: the annotations have no end mark, so some may be missing"
        said = capsys.readouterr()
        assert f"Record a, {note}.\n" in said.out
        assert json.loads(counts.read_text())["notes"] == {"a": [note]}
        assert "Record b" not in said.out

    def test_half_a_reference_is_told_too(self, folders: tuple[Path, Path]) -> None:
        path = folders[0] / "b.atr"
        path.write_bytes(path.read_bytes()[:-1])
        records = ec57.compare_directories(*folders, "mine")
        assert records["b"].notes == ("reference: the annotations have no end mark, so some may be missing",)
        assert records["a"].notes == ()
        assert (records["a"] + records["b"]).notes == records["b"].notes

    def test_annotations_after_the_end_of_the_record_are_told(self, folders: tuple[Path, Path]) -> None:
        (folders[0] / "a.hea").write_text(f"a 1 {FS:g} {START + round(FS)}\na.dat 16\n")
        (note,) = ec57.compare_directories(*folders, "mine")["a"].notes[-1:]
        assert re.fullmatch(r"test: \d+ of \d+ annotations are after its end, and may be of another .*", note)

    def test_an_unknown_format_is_wrong_usage(self, folders: tuple[Path, Path]) -> None:
        assert run(folders, "--format", "mxm") == 2


class TestLines:
    def test_bxb(self, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
        # By hand: b is without error. In a, of the two S (S and e) one was called N, one S.
        assert run(folders, "--format", "bxb") == 0
        header, *records = capsys.readouterr().out.splitlines()
        assert header.startswith("Record Nn' Sn' Vn' Fn' On'  Ns  Ss  Vs  Fs' Os' Nv  Sv   Vv  Fv' Ov'")
        assert [" ".join(line.split()) for line in records] == [
            "a 4 1 0 0 0 0 1 0 0 0 0 0 2 0 0 0 0 0 0 100.00 100.00 100.00 100.00 50.00 100.00 0.00",
            "b 4 0 0 0 0 0 2 0 0 0 0 0 2 0 0 0 0 0 0 100.00 100.00 100.00 100.00 100.00 100.00 0.00",
        ]

    def test_rxr_has_ventricular_runs_first(
        self, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        # One couplet and VF, both found; one couplet of S, of which the test has the second beat only.
        assert run(folders, "--format", "rxr", "--records", "a") == 0
        header = "Record CTs CFN CTp CFP STs SFN STp SFP LTs LFN LTp LFP  CSe C+P SSe S+P LSe L+P"
        assert capsys.readouterr().out.splitlines() == [
            header,
            "   a   1   0   1   0   0   0   0   0   1   0   1   0  100 100   -   - 100 100",
            "(SVE run detection)",
            header,
            "   a   0   1   0   0   0   0   0   0   1   0   1   0    0   -   -   - 100 100",
        ]

    def test_epicmp_has_af_first(
        self, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(folders, "--format", "epicmp", "--records", "a") == 0
        header = "Record  TPs   FN  TPp   FP  ESe E+P DSe D+P  Ref duration  Test duration "
        assert capsys.readouterr().out.splitlines() == [
            "(AF detection)",
            header,
            "     a    1    0    1    0  100 100  50 100      0:10.000       0:05.000",
            "(VF detection)",
            header,
            "     a    1    0    1    0  100 100 100 100      0:02.000       0:02.000",
        ]

    def test_hours_are_written_as_wfdb_does(self) -> None:
        assert [ec57.lines.clock(ms) for ms in (61_001, 3_600_000 + 5)] == ["    1:01.001", " 1:00:00.005"]

    def test_undefined_figures_are_dashes(self, tmp_path: Path) -> None:
        write(tmp_path, "a", "atr", "N:100")
        text = ec57.text(ec57.compare_directories(tmp_path, tmp_path, "atr"), "bxb", beat_map="ec57")
        assert text.splitlines()[1].endswith(" 100.00 100.00      -      -      -      -     -")


class TestTable:
    def test_columns_are_aligned_under_their_names(
        self, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        run(folders)
        first, others, notes = capsys.readouterr().out.split("\n\n")
        assert len({len(line) for line in others.splitlines()}) == 1
        assert [line.split()[0] for line in first.splitlines()] == ["record", "a", "b", "gross", "average"]
        assert "Escape beats e, j, n count as SVEB" in notes

    def test_gross_and_average_close_it(
        self, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        # SVEB: of two in either record one and two are found: 3 / 4 and (1/2 + 1) / 2.
        run(folders)
        lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
        assert lines["gross"].split()[9:12] == ["4", "75.00", "100.00"]
        assert " 75.00  100.00" in lines["average"]

    def test_the_map_is_named(self, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
        run(folders, "--map", "dechazal")
        assert "count as N, as in de Chazal 2004" in capsys.readouterr().out

    def test_paced_records_are_named_and_left_out_of_a_second_summary(
        self, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        write(folders[0], "p", "atr", "/:100 V:200")
        write(folders[1], "p", "mine", "N:100 N:200")
        run(folders)
        printed = capsys.readouterr().out
        # Columns: beats, QRS Se, +P, VEB, Se, ... Of 5 VEB the one beside the paced beat was missed.
        rows = {line[:16].rstrip(): line[16:].split() for line in printed.splitlines()}
        assert (rows["gross"][3:5], rows["gross unpaced"][3:5]) == (["5", "80.00"], ["4", "100.00"])
        assert "EC57 leaves records with paced beats out: p" in printed


class TestJson:
    @pytest.fixture
    def written(self, folders: tuple[Path, Path], tmp_path: Path) -> dict[str, Any]:
        assert run(folders, "--json", str(tmp_path / "out.json")) == 0
        content: dict[str, Any] = json.loads((tmp_path / "out.json").read_text())
        return content

    def test_every_cell_has_its_name(self, written: dict[str, Any]) -> None:
        counts = written["records"]["a"]["beats"]["counts"]
        assert len(counts) == 45
        assert {name: n for name, n in counts.items() if n} == {"Nn": 4, "Sn": 1, "Ss": 1, "Vv": 2}

    def test_figures_are_fractions_and_null_where_undefined(self, written: dict[str, Any]) -> None:
        assert written["records"]["a"]["beats"]["sveb_sensitivity"] == 0.5
        assert written["records"]["a"]["runs"]["ventricular"]["short_run_sensitivity"] is None

    def test_runs_and_episodes_are_there_with_their_counts(self, written: dict[str, Any]) -> None:
        record = written["records"]["a"]
        assert record["runs"]["ventricular"]["couplet"] == {
            "found": 1,
            "missed": 0,
            "confirmed": 1,
            "false": 0,
        }
        assert (record["episodes"]["AF"]["reference_s"], record["episodes"]["AF"]["test_s"]) == (10.0, 5.0)

    def test_gross_and_average_are_those_of_the_functions(
        self, written: dict[str, Any], folders: tuple[Path, Path]
    ) -> None:
        beats = [record.beats for record in ec57.compare_directories(*folders, "mine").values()]
        assert written["gross"]["beats"]["veb_f1"] == ec57.gross(beats).veb_f1
        for name, value in ec57.average(beats).items():
            assert written["average"]["beats"][name] == (None if math.isnan(value) else value)

    def test_what_was_chosen_is_said(self, written: dict[str, Any]) -> None:
        assert (written["map"], written["learning_s"], written["match_window_s"]) == ("ec57", 300.0, 0.15)
        assert written["paced"] == []

    def test_a_folder_that_is_not_there_is_an_error(
        self, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(folders, "--json", str(folders[0] / "nowhere" / "out.json")) != 0
        assert capsys.readouterr().out == ""


def test_written_annotations_are_read_as_written(folders: tuple[Path, Path]) -> None:
    # The tests above stand on it: resolution note, rhythm texts and brackets come back.
    back = read_annotations(folders[0] / "a", "atr")
    assert back.symbol.tolist() == marks(REFERENCE).symbol.tolist()
