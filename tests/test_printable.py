"""Names that attack whoever reads them: none of them leaves the program as it came."""

import csv
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import ectopy
from ectopy import cli
from ectopy.printable import (
    PrintableFormatter,
    hide_quotes,
    printable,
    printable_lines,
    printable_values,
    quoted,
    table_cell,
    text_of_cell,
)
from tests.small import write_model, write_record

ESCAPE, REVERSED, LINES = "\x1b]0;owned\x07\x1b[2J", "a\u202egpj", "one\nectopy: two"
FORMULA, SCRIPT = '=HYPERLINK("a";"b")', "<script>alert(1)<script>"
ATTACKS = (ESCAPE, REVERSED, LINES, FORMULA, SCRIPT)
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]|one\n")


class TestText:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("\x1b[2J", r"\x1b[2J"),
            ("a\nb\tc\rd", r"a\nb\tc\rd"),
            ("a\u202eb\u2066\u200f", r"a\u202eb\u2066\u200f"),
            ("\x9b31m", r"\x9b31m"),  # an escape sequence in one character
            ("a\u2028b", r"a\u2028b"),
            ("\U000e0041", r"\U000e0041"),  # an invisible letter
            ("a\udcfcb", r"a\udcfcb"),  # a byte of a file name that is no Unicode
            ("Müller II\N{NO-BREAK SPACE}µV שלום", "Müller II\N{NO-BREAK SPACE}µV שלום"),
        ],
    )
    def test_what_cannot_be_seen_is_escaped(self, text: str, shown: str) -> None:
        assert printable(text) == shown
        assert printable(shown) == shown  # so that a name is found again

    def test_a_path_is_text(self) -> None:
        assert printable(Path("a/ä.hea")) == "a/ä.hea"

    def test_lines_of_a_table_stay_lines(self) -> None:
        assert printable_lines("a\x1b\nb") == "a\\x1b\nb"

    def test_texts_inside_other_values_are_cleaned_too(self) -> None:
        value = {"a\x1b": ["\n", ("\u202e", 1.5)], "b": None}
        assert printable_values(value) == {r"a\x1b": [r"\n", (r"\u202e", 1.5)], "b": None}


class TestCells:
    @pytest.mark.parametrize("text", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "-aVR", "+", '=HYPERLINK("a")'])
    def test_a_text_that_a_spreadsheet_would_run_gets_an_apostrophe(self, text: str) -> None:
        assert table_cell(text) == f"'{text}"
        assert text_of_cell(f"'{text}") == text

    @pytest.mark.parametrize("text", ["\t=1+1", "\r=1+1"])
    def test_tabs_and_returns_hide_no_formula(self, text: str) -> None:
        assert str(table_cell(text)).startswith("\\")

    @pytest.mark.parametrize("value", [-1.5, 0, None, "-2.5", "+2", "aVR", "O'Neill", "'quoted'", "V1=2", ""])
    def test_numbers_and_other_texts_stay_as_they_are(self, value: object) -> None:
        assert table_cell(value) == value
        assert text_of_cell(str(value)) == str(value)


class TestQuotes:
    def test_what_a_file_says_is_quoted_short_and_can_be_hidden(self) -> None:
        text = f"unit {quoted('Jane')} of lead {quoted('Doe')}"
        assert text == "unit “Jane” of lead “Doe”"
        assert hide_quotes(text) == "unit “...” of lead “...”"

    def test_quotes_in_a_text_do_not_end_it(self) -> None:
        assert hide_quotes(f"unit {quoted('a” Jane “b')}.") == "unit “...”."
        assert quoted("\x1b" * 30) == "“" + r"\x1b" * 10 + "...”"


def test_log_lines_are_printable_and_tracebacks_keep_their_lines() -> None:
    record = logging.LogRecord("x", logging.WARNING, "x", 1, "%s: read", ("a\n\x1b[2J",), None)
    assert PrintableFormatter().format(record) == r"a\n\x1b[2J: read"
    error = ValueError("\x1b[2J")
    record.exc_info = (ValueError, error, None)
    assert PrintableFormatter().format(record) == "a\\n\\x1b[2J: read\nValueError: \\x1b[2J"


class Batch(NamedTuple):
    arguments: list[str]
    out: Path
    said: str


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    folder = tmp_path_factory.mktemp("attacks")
    model = write_model(folder / "model", name="".join(ATTACKS))
    for number, attack in enumerate(ATTACKS):
        # A header is made of lines and words: the name of the file attacks, that of the signals does not.
        header = write_record(folder / "in", f"r{number}")
        header.write_text(header.read_text().replace("MLII", attack.replace("\n", "")))
        header.rename(header.with_name(f"{attack}.hea"))
    broken = write_record(folder / "in", "unit")
    broken.write_text(broken.read_text().replace("1000/mV", "1000/" + ESCAPE + REVERSED + SCRIPT))
    (folder / "in" / f"{ESCAPE}.edf").write_bytes(b"0".ljust(300))
    arguments = ["score", folder / "in", "--out", folder / "out", "--model", model, "--leads", "V1"]
    command = [sys.executable, "-m", "ectopy", *arguments, "--workers", "2", "--fhir"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1  # for the last two
    return Batch(list(map(str, arguments)), folder / "out", done.stdout + done.stderr)


class TestABatchOfAttacks:
    """Every name, lead, unit and model attacks; every file, stdout and stderr is searched."""

    def test_what_is_said_is_printable(self, batch: Batch) -> None:
        assert [line for line in batch.said.split("\n") if RAW.search(line)] == []
        assert "ectopy: two" not in batch.said.splitlines()

    def test_every_file_is_printable(self, batch: Batch) -> None:
        files = [path for path in batch.out.rglob("*") if path.suffix in {".csv", ".json", ".html"}]
        assert len(files) == 2 + 5 * len(ATTACKS)
        for path in files:
            text = path.read_bytes().decode().replace("\r\n", "\n")
            assert RAW.findall(text) == [], path
            assert "<script>alert" not in text or path.suffix != ".html"

    def test_no_cell_is_a_formula_or_has_two_lines(self, batch: Batch) -> None:
        for path in batch.out.rglob("*.csv"):
            with path.open(newline="") as file:
                cells = [cell for row in csv.reader(file) for cell in row]
            assert not any("\n" in cell or cell.startswith(("=", "@")) for cell in cells), path

    def test_the_next_run_finds_its_results_again(
        self, batch: Batch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            cli.main([*batch.arguments, "--workers", "1"])
        assert f"{len(ATTACKS)} skipped" in capsys.readouterr().out


class TestInPython:
    @pytest.fixture
    def analysis(self) -> ectopy.Analysis:
        recording = ectopy.recording_of(np.zeros(2500), 250.0, name=ESCAPE, leads=(f"{SCRIPT}\n{REVERSED}",))
        return ectopy.analyse(recording)

    def test_a_printed_analysis_is_printable(self, analysis: ectopy.Analysis) -> None:
        assert RAW.sub("", str(analysis).replace(SCRIPT, "")) == str(analysis).replace(SCRIPT, "")
        assert not RAW.search(analysis._repr_html_())

    def test_the_name_of_a_lead_is_no_formula_of_a_plot(self) -> None:
        names = (r"$\undefined{$", "a\u202eb")
        labels = [
            axes.get_ylabel() for axes in ectopy.plot_strip(np.zeros((500, 2)), 250.0, leads=names).axes
        ]
        assert labels == [names[0], r"a\u202eb"]
        figure: Any = ectopy.plot_strip(np.zeros(500), 250.0, leads=names[:1])
        figure.draw_without_rendering()  # mathematics would be parsed here
