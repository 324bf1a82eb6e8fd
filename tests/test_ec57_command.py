"""Two detectors side by side, the results file, and the command where nothing but numpy is installed."""

import csv
import inspect
import io
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ectopy import cli
from ectopy.annotations import Annotations, read_annotations, write_annotations
from ectopy.cli import tools
from ectopy.ec57 import __main__ as small
from ectopy.ec57 import average, command, compare_directories, compute_metrics, gross
from ectopy.ec57.command import Comparing, run
from ectopy.ec57.files import NothingToCompareError
from ectopy.ec57.patients import patients_of
from ectopy.ec57.results_file import RESULT_COLUMNS, results_csv
from ectopy.ec57.side_by_side import SIDE_BY_SIDE, compare_annotators
from tests.conftest import ROOT

PAGE = ROOT / "docs/how-to/evaluate-your-detector.md"
RECORDS = ("a", "b", "c", "d", "e", "f")
NAMED = {"detector": "one", "reference": "mitdb", "beat_map": "ec57"}
SMALL = ["--reference", "atr", "--test", "mine", "--annotator", "one"]

# Nothing but numpy, wfdb and the standard library can be imported.
BLOCKED = """
import sys

class OnlyNumpyAndWfdb:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in {*sys.stdlib_module_names, "numpy", "wfdb", "ectopy"}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, OnlyNumpyAndWfdb())
from ectopy.ec57.__main__ import main

sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six records of 100 V and 100 N after the learning period; detector one finds 80 V in each, two finds 90."""
    folder = tmp_path_factory.mktemp("db")
    sample = 30_100 + 120 * np.arange(200)
    for place, annotator, n_found in (("atr", "atr", 100), ("mine", "one", 80), ("other", "two", 90)):
        (folder / place).mkdir()
        marks = Annotations(
            sample, np.where(np.arange(200) < n_found, "V", "N"), np.zeros(200, int), ("",) * 200
        )
        for record in RECORDS:
            (folder / place / f"{record}.hea").write_text(f"{record} 1 100 60000\n{record}.dat 16\n")
            write_annotations(folder / place / record, annotator, marks, fs=100.0)
    return folder


@pytest.fixture
def comparing(folder: Path) -> Comparing:
    return Comparing(folder / "atr", folder / "mine", "one")


class TestSideBySide:
    def test_it_prints_both_and_the_difference_with_its_interval(
        self, comparing: Comparing, folder: Path
    ) -> None:
        alone = run(comparing)
        told = run(replace(comparing, second=folder / "other", second_annotator="two"))
        assert told.startswith(alone)
        rows = {line[:15].strip(): line[15:].split() for line in told[len(alone) :].splitlines()}
        # The difference is the same in every record, so it does not depend on which are drawn.
        assert rows["gross VEB Se"] == ["80.00", "90.00", "+10.00", "+10.00", "to", "+10.00"]
        assert rows["gross VEB +P"] == ["100.00", "100.00", "+0.00", "+0.00", "to", "+0.00"]
        assert rows["average VEB Se"] == rows["gross VEB Se"]
        assert "gross SVEB Se" not in rows  # no record has any
        assert "paired bootstrap over records" in told

    def test_records_of_one_patient_are_drawn_together(self, comparing: Comparing) -> None:
        """The second annotator differs from the first in 201 and 202, which are the same patient.

        Of four patients, the one that differs is not drawn in (3/4)^4 = 32 % of the draws, so the interval
        begins at 0; it ends at the difference if only that patient is drawn.
        """
        first = compare_directories(comparing.reference, comparing.test, "one")
        second = compare_directories(comparing.reference, comparing.test.parent / "other", "two")
        names = ("200", "201", "202", "203", "205")
        mine = dict.fromkeys(names, first["a"])
        other = {name: (second if name in {"201", "202"} else first)["a"] for name in names}
        patients = patients_of("mitdb", names)
        told = compare_annotators(mine, other, patients)["gross VEB Se"]
        apart = compare_annotators(mine, other, patients_of("mine", names))["gross VEB Se"]
        assert told[:2] == apart[:2] == pytest.approx((0.8, 0.84))
        assert told.high > apart.high
        tables = (results_csv(other, by, **NAMED) for by in (patients, {name: name for name in names}))
        gross_rows = ([*csv.DictReader(io.StringIO(table))] for table in tables)
        upper = [
            next(row["high"] for row in rows if row["metric"] == "veb_sensitivity") for rows in gross_rows
        ]
        assert upper[0] > upper[1]

    def test_the_patients_are_those_of_the_database_in_the_folder(
        self, comparing: Comparing, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given: list[object] = []

        def note(_first: object, _second: object, patients: dict[str, str]) -> dict[str, object]:
            given.append(patients)
            return {}

        monkeypatch.setattr(command, "compare_annotators", note)
        reference = tmp_path / "mitdb" / "1.0.0"
        shutil.copytree(folder / "atr", reference)
        run(replace(comparing, reference=reference, second=folder / "mine"))
        run(replace(comparing, second=folder / "mine"))
        assert given == [{name: f"mitdb/{name}" for name in RECORDS}, {name: name for name in RECORDS}]

    def test_where_all_records_are_one_group_each_is_drawn(self) -> None:
        assert patients_of("edb", ["e0103", "e0104"]) == {"e0103": "e0103", "e0104": "e0104"}

    def test_one_annotator_of_two_folders_has_the_names_of_these(self, comparing: Comparing) -> None:
        told = run(replace(comparing, second=comparing.test))
        assert told.count(" mine ") == 2
        assert "+0.00 to +0.00" in told

    def test_records_of_one_annotator_alone_are_left_out(self, comparing: Comparing) -> None:
        first = compare_directories(comparing.reference, comparing.test, "one")
        second = {name: first[name] for name in RECORDS[:3]}
        told = compare_annotators(first, second, patients_of("", first))
        assert told.keys() <= SIDE_BY_SIDE.keys()
        assert told["gross VEB Se"][:2] == (0.8, 0.8)

    def test_it_says_how_many_records_both_have(
        self, comparing: Comparing, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        for name in ("a.two", "b.two"):
            shutil.copy(folder / "other" / name, tmp_path)
        assert "gross VEB Se" in run(replace(comparing, second=tmp_path, second_annotator="two"))
        assert "side by side: the 2 records of 6 that both have" in caplog.text

    def test_without_a_common_record_there_is_nothing_to_compare(
        self, comparing: Comparing, folder: Path, tmp_path: Path
    ) -> None:
        for place, name in (("mine", "a.one"), ("other", "b.two")):
            (tmp_path / place).mkdir()
            shutil.copy(folder / place / name, tmp_path / place)
        second = {"second": tmp_path / "other", "second_annotator": "two"}
        with pytest.raises(NothingToCompareError, match=r"other: no record in common with .*mine\. Give two"):
            run(replace(comparing, test=tmp_path / "mine", **second))

    def test_of_one_record_there_is_no_interval(self, comparing: Comparing) -> None:
        told = run(replace(comparing, second=comparing.test, records=["a"]))
        assert "- to -" in told


class TestResultsFile:
    @pytest.fixture
    def rows(self, comparing: Comparing, tmp_path: Path) -> list[dict[str, str]]:
        run(replace(comparing, results=tmp_path / "r.csv", detector="Mine, 2"))
        return [*csv.DictReader(io.StringIO((tmp_path / "r.csv").read_text()))]

    def test_it_has_the_columns_that_the_page_describes(self, rows: list[dict[str, str]]) -> None:
        page = PAGE.read_text()
        assert [*rows[0]] == [*RESULT_COLUMNS]
        for name, meaning in RESULT_COLUMNS.items():
            assert f"| `{name}` | {meaning} |" in page

    def test_its_values_are_those_of_the_comparison(
        self, rows: list[dict[str, str]], comparing: Comparing
    ) -> None:
        records = compare_directories(comparing.reference, comparing.test, "one")
        beats = [record.beats for record in records.values()]
        expected = {
            "gross": compute_metrics(gross(beats)),
            "average": average(beats),
            **{name: compute_metrics(record.beats) for name, record in records.items()},
        }
        assert {(row["group"], row["metric"]): row["value"] for row in rows} == {
            (group, metric): "" if np.isnan(value) else f"{value:.6f}"
            for group, metrics in expected.items()
            for metric, value in metrics.items()
        }

    def test_its_rows_say_of_what_they_are(self, rows: list[dict[str, str]]) -> None:
        assert {(row["detector"], row["reference"], row["map"]) for row in rows} == {
            ("Mine, 2", "atr, atr", "ec57")
        }
        assert {row["group"]: row["records"] for row in rows} == {
            "gross": "6", "average": "6", **dict.fromkeys(RECORDS, "1")
        }  # fmt: skip

    def test_gross_metrics_have_intervals(self, rows: list[dict[str, str]]) -> None:
        for row in rows:
            assert bool(row["low"]) == (row["group"] == "gross" and row["value"] != "")
            assert not row["low"] or row["low"] <= row["value"] <= row["high"]


class TestPage:
    """The code of docs/how-to/evaluate-your-detector.md runs as it is written."""

    def blocks(self) -> list[str]:
        return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)

    def test_its_annotations_are_read_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        exec(self.blocks()[0], {})
        assert read_annotations(tmp_path / "mine" / "100", "mine").symbol.tolist() == ["N", "N", "V"]

    def test_its_table_has_the_best_detector_first(
        self,
        comparing: Comparing,
        folder: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "results").mkdir()
        run(replace(comparing, results=tmp_path / "results" / "1.csv"))
        run(
            replace(comparing, test=folder / "other", annotator="two", results=tmp_path / "results" / "2.csv")
        )
        exec(self.blocks()[1], {})
        # F1 is 2 hits / (present + called): 180 / 190 and 160 / 180.
        assert capsys.readouterr().out.splitlines() == [
            "two atr, atr 0.947368 0.947368 0.947368",
            "one atr, atr 0.888889 0.888889 0.888889",
        ]

    def test_its_commands_have_options_that_exist(self) -> None:
        named = {*re.findall(r"--[a-z][a-z-]*", PAGE.read_text())} - {"--no-deps", "--help"}
        known = {option for action in small._parser()._actions for option in action.option_strings}
        assert named <= known


class TestSmallInstall:
    def test_the_command_needs_numpy_and_wfdb_alone(self, folder: Path, comparing: Comparing) -> None:
        options = ("--second", "other", "--second-annotator", "two", "--results", "r.csv")
        told = subprocess.run(
            [sys.executable, "-c", BLOCKED, *SMALL, *options],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 0, told.stderr
        assert told.stdout.startswith(run(comparing))
        assert (folder / "r.csv").is_file()

    def test_it_has_the_options_of_the_command(self) -> None:
        names = {action.dest for action in small._parser()._actions} - {"help"}
        renamed = {"table_format": "output_format"}
        assert names == {renamed.get(name, name) for name in inspect.signature(tools.ec57).parameters}

    def test_it_prints_what_the_command_does(
        self,
        folder: Path,
        comparing: Comparing,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.chdir(folder)
        assert small.main(SMALL) == 0
        assert capsys.readouterr().out == run(comparing) + "\n"
        assert small.main([*SMALL, "--records", "a,b", "--map", "dechazal", "--json", "counts.json"]) == 0
        assert (folder / "counts.json").is_file()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                "--disclosure --format bxb",
                "--format bxb prints the lines of that tool and nothing else. Leave it or --d",
            ),
            ("--second other --format rxr", "Leave it or --second out"),
            ("--second-annotator two --format epicmp", "Leave it or --second out"),
            ("--detector Mine", "--detector is a name in the file of --results"),
        ],
    )
    def test_options_that_exclude_each_other_are_refused_as_by_the_command(
        self, options: str, message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = [*SMALL, *options.split()]
        assert small.main(arguments) == 2
        told = capsys.readouterr().err
        assert message in told
        with pytest.raises(SystemExit) as ended:
            cli.main(["ec57", *arguments])
        assert (ended.value.code, capsys.readouterr().err) == (2, told)

    def test_a_mistake_is_one_line(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(folder)
        assert small.main([*SMALL[:-1], "three"]) == 2
        assert capsys.readouterr().err.endswith(
            "mine: no annotation files .three. It has .one. Check the annotator's name.\n"
        )
        assert small.main([*SMALL, "--second", "other"]) == 2  # whose annotator has another name
        assert "other: no annotation files .one. It has .two." in capsys.readouterr().err

    def test_a_path_for_a_record_is_a_mistake_in_both_commands(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(folder)
        arguments = [*SMALL, "--records", "../atr/a"]
        assert small.main(arguments) == 2
        told = capsys.readouterr().err
        assert told == "ectopy: ../atr/a: a path, not the name of a record. Give a name such as 100.\n"
        with pytest.raises(SystemExit) as ended:
            cli.main(["ec57", *arguments])
        assert (ended.value.code, capsys.readouterr().err) == (2, told)

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
    def test_a_full_disk_is_one_line(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(folder)
        assert small.main([*SMALL, "--results", "/dev/full"]) == 1
        assert capsys.readouterr().err == "ectopy: no space left on device. Check the path and the disk.\n"

    @pytest.mark.parametrize("option", ["--json", "--results"])
    def test_a_folder_that_is_not_there_is_told_before_anything_is_compared(
        self, option: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(command, "compare_directories", None)
        arguments = [*SMALL, option, "nowhere/x"]
        assert small.main(arguments) == 2
        told = capsys.readouterr().err
        assert told == "ectopy: nowhere/x: there is no folder nowhere. Make it first.\n"
        with pytest.raises(SystemExit) as ended:
            cli.main(["ec57", *arguments])
        assert (ended.value.code, capsys.readouterr().err) == (2, told)
