"""Small files that would take hours or all memory: each is read or refused in the time of its length.

The bounds are seconds of this process on any machine; what they guard against took minutes to months.
XML, deflated DICOM and packed Sierra have theirs in the tests of these formats.
"""

import gzip
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from ectopy import readers
from ectopy.ecg import UnreadableError
from ectopy.readers.validation import unique_names
from tests.format_files import scp_file, scp_leads, scp_signals

SOON_S = 5.0


def seconds(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def refuse(path: Path, match: str) -> None:
    def read() -> None:
        readers.is_recording(path)
        with pytest.raises(UnreadableError, match=match):
            readers.open_recording(path, fs=250)

    assert seconds(read) < SOON_S


class TestText:
    @pytest.mark.parametrize(
        "line",
        ["1" * 60_000 + "x", "1." * 30_000, " " * 60_000 + "x", "1:" * 30_000, "a " * 30_000, '"' * 60_000],
        ids=["digits", "points", "blanks", "clocks", "words", "quotes"],
    )
    def test_a_line_that_patterns_could_take_in_many_ways(self, tmp_path: Path, line: str) -> None:
        # The digits took 63 s for 16 000 of them, and four times as long for each doubling.
        (tmp_path / "a.csv").write_text(line + "\n")
        refuse(tmp_path / "a.csv", "not a table of numbers. Write one lead per column")

    def test_as_many_columns_as_there_is_room_for(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text((",".join("1" * 30_000) + "\n") * 4)
        refuse(tmp_path / "a.csv", "not a table of numbers. Write one lead per column")

    def test_what_is_packed_is_not_unpacked(self, tmp_path: Path) -> None:
        table = "II\n" + "0\n" * 10_000_000
        (tmp_path / "a.csv").write_bytes(gzip.compress(table.encode(), 9))
        assert (tmp_path / "a.csv").stat().st_size < 30_000
        refuse(tmp_path / "a.csv", "not a table of numbers. Write one lead per column")


class TestHeaders:
    def test_a_name_that_is_given_again_and_again(self) -> None:
        names = unique_names(["II"] * 50_000)
        assert seconds(lambda: unique_names(["II"] * 50_000)) < SOON_S
        assert (names[0], names[1], names[-1], len(set(names))) == ("II", "II 2", "II 50000", 50_000)

    def test_a_name_that_is_like_a_numbered_one(self) -> None:
        assert unique_names(["II", "II 2", "II", "II"]) == ("II", "II 2", "II 3", "II 4")

    @pytest.mark.parametrize(
        ("n_signals", "match"),
        [(2048, "signal file a.dat not found"), (2049, "2049 signals, more than the limit of 2048")],
    )
    def test_a_wfdb_header_of_more_signals_than_any_recorder(
        self, tmp_path: Path, n_signals: int, match: str
    ) -> None:
        lines = [f"a {n_signals} 250 100", *["a.dat 16 200 12 0 0 0 0 I"] * n_signals]
        (tmp_path / "a.hea").write_text("\n".join(lines))
        refuse(tmp_path / "a.hea", match)

    def test_a_wfdb_header_as_long_as_a_recording(self, tmp_path: Path) -> None:
        with (tmp_path / "a.hea").open("wb") as file:
            file.truncate(2**36)  # 64 GiB of NUL, of which 16 MiB are looked at
        refuse(tmp_path / "a.hea", "the first line describes no record")

    def test_a_segment_that_is_named_ten_thousand_times(self, tmp_path: Path) -> None:
        (tmp_path / "m.hea").write_text("m/10000 1 250 10000\n" + "s 1\n" * 10_000)
        (tmp_path / "s.hea").write_text("s 1 250 1\ns.dat 16 200 12 0 0 0 0 I\n")
        (tmp_path / "s.dat").write_bytes(bytes(2))
        recording = readers.open_recording(tmp_path / "m.hea")
        assert recording.n_samples == 10_000
        assert seconds(lambda: recording.read(0, 1000)) < SOON_S

    @pytest.mark.parametrize(
        ("lines", "n_signals"), [("# a comment\n" * 80_000, 1), ("", 2000)], ids=["long", "wide"]
    )
    def test_its_header_is_read_once_however_long_or_wide_it_is(
        self, tmp_path: Path, lines: str, n_signals: int
    ) -> None:
        # 20 000 times a header of 1 MB took minutes to list; 20 000 times 2000 signals took 4.6 GB to open.
        (tmp_path / "m.hea").write_text(f"m/20000 {n_signals} 250 20000\n" + "s 1\n" * 20_000)
        signals = "s.dat 16 200 12 0 0 0 0 I\n" * n_signals
        (tmp_path / "s.hea").write_text(f"s {n_signals} 250 1\n{signals}{lines}")
        (tmp_path / "s.dat").write_bytes(bytes(2 * n_signals))
        path = tmp_path / "m.hea"
        assert seconds(lambda: readers.companion_files(path)) < SOON_S
        assert seconds(lambda: readers.open_recording(path)) < SOON_S

    def test_more_huffman_codes_than_could_be_tried_in_turn(self, tmp_path: Path) -> None:
        # 65 535 of them over 64 leads are some hundred billion comparisons.
        codes = b"".join(struct.pack("<BBBhI", 16, 16, 1, 0, code) for code in range(513))
        tables = struct.pack("<HH", 1, 513) + codes
        sections = {2: tables, 3: scp_leads([(1, 100)], (1,)), 6: scp_signals([b"\xff" * 1000])}
        (tmp_path / "a.scp").write_bytes(scp_file(sections))
        refuse(tmp_path / "a.scp", "a Huffman table has 513 codes, more than the limit of 512. Export")


class TestTables:
    def test_a_constant_column_is_read_by_block(self, tmp_path: Path) -> None:
        # Parquet packs five million equal numbers into a few kilobytes; no more than a batch is ever unpacked.
        column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(5_000_000, np.int8)), pa.array([0.1]))
        parquet.write_table(pa.table({"II": column.cast(pa.float64())}), tmp_path / "a.parquet")
        assert (tmp_path / "a.parquet").stat().st_size < 2**17
        recording = readers.open_recording(tmp_path / "a.parquet", fs=250)
        before = pa.total_allocated_bytes()
        assert recording.read(0, 1000).shape == (1000, 1)
        assert pa.total_allocated_bytes() - before < 2**24
