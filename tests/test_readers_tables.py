"""CSV and Parquet: as programs and people write them."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyarrow import parquet

from ectopy import readers
from ectopy.ecg import Recording, UnreadableError
from tests.format_files import counts
from tests.small import find_recordings

STORED = counts(500) / 100


def write(folder: Path, text: str, *, name: str = "a.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def rows(
    signal: NDArray[np.float64] = STORED,
    *,
    times: list[str] | None = None,
    delimiter: str = ",",
    comma: bool = False,
) -> str:
    cells = [[f"{value:.2f}" for value in row] for row in signal]
    lines = (
        [delimiter.join([time, *row]) for time, row in zip(times, cells, strict=True)]
        if times
        else map(delimiter.join, cells)
    )
    text = "\n".join(lines) + "\n"
    return text.replace(".", ",") if comma else text


def seconds(n: int = 500, fs: float = 250, *, digits: int = 3) -> list[str]:
    return [f"{at / fs:.{digits}f}" for at in range(n)]


def whole(recording: Recording) -> NDArray[np.float32]:
    return recording.read(0, recording.n_samples)


class TestCsv:
    def test_names_and_a_column_of_times_say_it_all(self, tmp_path: Path) -> None:
        path = write(tmp_path, "time,II,V1\n" + rows(times=seconds()))
        recording = readers.open_recording(path)
        assert recording.name == "a"
        assert (recording.fs, recording.leads, recording.n_samples) == (250, ("II", "V1"), 500)
        np.testing.assert_allclose(whole(recording), STORED, rtol=1e-6)
        np.testing.assert_array_equal(recording.read(100, 200), whole(recording)[100:200])

    @pytest.mark.parametrize(
        ("header", "factor"),
        [
            ("II,V1", 1),
            ("II (mV),V1 (mV)", 1),
            ("II [uV],V1 [uV]", 1e-3),
            ("II_uV,V1_uV", 1e-3),
            ("ECG II/V,ECG V1/V", 1e3),
            ("'II','V1'\n'uV','uV'", 1e-3),
            ("# unit: uV\nII,V1", 1e-3),
            ("# II, V1", 1),  # as numpy.savetxt writes a header
        ],
    )
    def test_units_are_millivolts_unless_they_are_said(
        self, tmp_path: Path, header: str, factor: float
    ) -> None:
        recording = readers.open_recording(write(tmp_path, f"{header}\n{rows()}"), fs=250)
        assert recording.leads == ("II", "V1")
        np.testing.assert_allclose(whole(recording), STORED * factor, rtol=1e-5)

    @pytest.mark.parametrize(
        "said",
        [
            "# fs: 360",
            "fs=360",
            "Sampling rate: 360 Hz",
            "Sample Rate,360 hertz",
            "sampling_frequency;360",
            "# Fs 360",
        ],
    )
    def test_a_rate_may_be_said_before_the_names(self, tmp_path: Path, said: str) -> None:
        if said == "# Fs 360":
            with pytest.raises(
                UnreadableError, match=r"no sampling rate\. Give it with --fs HZ"
            ):  # which may as well be a name
                readers.open_recording(write(tmp_path, f"{said}\nII,V1\n{rows()}"))
        else:
            assert readers.open_recording(write(tmp_path, f"{said}\nII,V1\n{rows()}")).fs == 360

    @pytest.mark.parametrize(
        ("name", "times", "fs"),
        [
            ("time_ms", [str(round(at / 0.36)) for at in range(500)], 360),  # in whole ms: steps of 2 and 3
            ("t", seconds(fs=128, digits=7), 128),
            ("Zeit", seconds(fs=1000), 1000),
            ("Elapsed time", [f"0:{at / 360:06.3f}" for at in range(500)], 360),
            ("timestamp", [f"2024-02-29 23:59:{at / 250:06.3f}" for at in range(500)], 250),
            ("timestamp", [f"2024-02-29T23:59:{at / 250:06.3f}Z" for at in range(500)], 250),
            ("time (us)", [str(at * 4000 + 10**12) for at in range(500)], 250),
        ],
    )
    def test_times_in_every_manner_tell_the_rate(
        self, tmp_path: Path, name: str, times: list[str], fs: float
    ) -> None:
        recording = readers.open_recording(write(tmp_path, f"{name},II,V1\n{rows(times=times)}"))
        assert (recording.fs, recording.leads, recording.n_samples) == (fs, ("II", "V1"), 500)

    def test_what_rdsamp_writes(self, tmp_path: Path) -> None:
        times = [f"'0:{at / 360:06.3f}'" for at in range(500)]
        text = f"'Elapsed time','MLII','V5'\n'mm:ss.mmm','mV','mV'\n{rows(times=times)}"
        recording = readers.open_recording(write(tmp_path, text))
        assert (recording.fs, recording.leads) == (360, ("MLII", "V5"))
        np.testing.assert_allclose(whole(recording), STORED, rtol=1e-6)

    def test_what_a_watch_exports(self, tmp_path: Path) -> None:
        text = (
            'Name,"Jane Doe"\nDate of Birth,"Jan 1, 1950"\nRecorded Date,2024-02-29 23:59:58 +0100\n'
            'Classification,Sinus Rhythm\nSymptoms,\nSoftware Version,1.90\nDevice,"Watch6,2"\n'
            "Sample Rate,512 hertz\n\n\nLead,Lead I\nUnit,\u00b5V\n\n" + rows(STORED[:, :1] * 100)
        )
        recording = readers.open_recording(write(tmp_path, text))
        assert (recording.fs, recording.leads, recording.n_samples) == (512, ("I",), 500)
        assert recording.start == datetime(2024, 2, 29, 23, 59, 58)  # noqa: DTZ001
        np.testing.assert_allclose(whole(recording)[:, 0], STORED[:, 0] / 10, rtol=1e-5)

    def test_sample_numbers_are_no_lead(self, tmp_path: Path) -> None:
        text = "sample,MLII,V1\n" + rows(times=[str(at) for at in range(500)])
        recording = readers.open_recording(write(tmp_path, text), fs=360)
        assert (recording.fs, recording.leads) == (360, ("MLII", "V1"))

    def test_other_columns_are_no_leads(self, tmp_path: Path) -> None:
        text = "time,II,Resp,SpO2 (%),label\n" + rows(np.column_stack((STORED, STORED)), times=seconds())
        assert readers.open_recording(write(tmp_path, text)).leads == ("II",)

    @pytest.mark.parametrize(
        ("delimiter", "comma", "name"),
        [(";", True, "a.csv"), ("\t", True, "a.tsv"), ("\t", False, "a.txt"), ("  ", False, "a.txt")],
    )
    def test_other_delimiters_and_commas(
        self, tmp_path: Path, delimiter: str, name: str, *, comma: bool
    ) -> None:
        header = delimiter.join(("time", "II", "V1"))
        text = f"{header}\n{rows(times=seconds(), delimiter=delimiter, comma=comma)}"
        recording = readers.open_recording(write(tmp_path, text, name=name))
        assert (recording.fs, recording.leads) == (250, ("II", "V1"))
        np.testing.assert_allclose(whole(recording), STORED, rtol=1e-6)

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
    def test_encodings(self, tmp_path: Path, encoding: str) -> None:
        text = "time,II (\u00b5V),V1 (\u00b5V)\r\n" + rows(times=seconds()).replace("\n", "\r\n")
        recording = readers.open_recording(write(tmp_path, text, encoding=encoding))
        assert recording.leads == ("II", "V1")
        np.testing.assert_allclose(whole(recording), STORED / 1000, rtol=1e-5)

    def test_empty_cells_are_missing(self, tmp_path: Path) -> None:
        lines = ("time,II,V1\n" + rows(times=seconds())).splitlines()
        lines[11], lines[12], lines[13] = "0.040,,1.00", "0.044,nan,1.00", "0.048,-,1.00"
        signal = whole(readers.open_recording(write(tmp_path, "\n".join(lines))))
        assert np.argwhere(np.isnan(signal)).tolist() == [[10, 0], [11, 0], [12, 0]]

    def test_a_jump_of_the_times_is_a_gap(self, tmp_path: Path) -> None:
        times = [f"{(at + (250 if at >= 200 else 0)) / 250:.3f}" for at in range(500)]
        recording = readers.open_recording(write(tmp_path, "time,II,V1\n" + rows(times=times)))
        assert recording.n_samples == 750
        signal = whole(recording)
        assert np.isnan(signal[200:450]).all()
        np.testing.assert_allclose(signal[450:], STORED[200:], rtol=1e-6)
        np.testing.assert_array_equal(recording.read(150, 500), signal[150:500])

    def test_without_names_leads_are_counted(self, tmp_path: Path) -> None:
        recording = readers.open_recording(write(tmp_path, rows()), fs=360)
        assert (recording.fs, recording.leads) == (360, ("lead 1", "lead 2"))
        np.testing.assert_allclose(whole(recording), STORED, rtol=1e-6)

    def test_without_names_the_first_column_may_be_the_time(self, tmp_path: Path) -> None:
        recording = readers.open_recording(write(tmp_path, rows(times=seconds())))
        assert (recording.fs, recording.leads) == (250, ("lead 1", "lead 2"))

    def test_without_names_an_empty_column_is_no_lead(self, tmp_path: Path) -> None:
        text = "\n".join(f"{line},," for line in rows().splitlines())
        assert readers.open_recording(write(tmp_path, text), fs=360).leads == ("lead 1", "lead 2")

    def test_a_rate_in_the_file_counts_more_than_the_option(self, tmp_path: Path) -> None:
        assert (
            readers.open_recording(write(tmp_path, "time,II,V1\n" + rows(times=seconds())), fs=500).fs == 250
        )


class TestWhichTablesAreRecordings:
    @pytest.mark.parametrize(
        ("text", "alone", "with_fs"),
        [
            ("time,II\n0.000,1\n0.004,2\n0.008,3\n", True, True),
            ("II,V1\n1,2\n3,4\n5,6\n", True, True),
            ("time,value\n0.000,1\n0.004,2\n0.008,3\n", True, True),
            ("1,2\n3,4\n5,6\n", False, True),
            ("kind,onset_s,offset_s\nvt,1,2\nvt,3,4\nvt,5,6\n", False, False),
            ("recording,path\n100,a.hea\n", False, False),
            ("age,weight\n50,70\n60,80\n70,90\n", False, False),
            ("Dear reader,\nthis is a letter.\n", False, False),
            ("", False, False),
        ],
    )
    def test_a_search_takes_names_of_leads_or_any_numbers_where_a_rate_is_given(
        self, tmp_path: Path, text: str, *, alone: bool, with_fs: bool
    ) -> None:
        write(tmp_path, text)
        assert bool(find_recordings([tmp_path]).recordings) == alone
        assert bool(find_recordings([tmp_path], fs=250).recordings) == with_fs

    def test_our_own_results_are_none(self, tmp_path: Path) -> None:
        columns = ("sample", "time_s", "rr_s", "p_n", "p_s", "p_v", "p_f")
        parquet.write_table(pa.table({name: np.arange(10.0) for name in columns}), tmp_path / "beats.parquet")
        assert not readers.is_recording(tmp_path / "beats.parquet")

    @pytest.mark.parametrize(
        ("text", "match"),
        [
            ("Dear reader,\nthis is a letter.\n", "not a table of numbers. Write one lead per column"),
            ("", "not a table of numbers. Write one lead per column"),
            ("age,weight\n50,70\n60,80\n70,90\n", "no column with the name of an ECG lead. Name the columns"),
            (
                "II,V1\n1,2\n3,4\n5,6\n",
                r"no sampling rate\. Give it with --fs HZ or in the file \(in a CSV file as first line `# fs: 250`",
            ),
            ("# fs: 1\nII,V1\n1,2\n3,4\n5,6\n", "the sampling rate is 1 Hz, outside 50 to 50000 Hz. Correct"),
            ("# fs: 250\nII,V1\n1,2\n3,4\n5,6\n7,Jane\n", "some rows do not consist of 2 numbers. Correct"),
            (
                "time,II\n0.000,1\n0.004,2\n0.002,3\n0.008,4\n",
                r"the rows are not in the order of their times \(row 4\)\. Sort",
            ),
            (
                "time,II\n0,1\n0.004,2\n0.008,3\nnan,4\n",
                r"a time is missing \(row 5\)\. Correct the column of times, or give the rate with --fs",
            ),
            ("time,II\n0,1\n0.004,2\n0.008,3\n900000000,4\n", "longer than 100 days. Correct the length"),
            (
                "time,II\n" + "".join(f"{t:.4f},1\n" for t in np.cumsum([0.004, 0.0005] * 50)),
                r"the times are not evenly spaced \(row 4\)\. Correct",
            ),
            ("time,II\n0:00,1\n0:01,2\n0:0x,3\n", "not a table of numbers"),
            (
                "1,2\n3,4\n5,6\n",
                "`1,234` can be read as two columns of whole numbers, or as one column with decimal commas",
            ),
            (
                "time,II\n0:00,1\n0:01,2\n0:02,3\n0:0x,4\n",
                r"the time is neither a time of day nor a date with a time \(row 5\)\. Correct",
            ),
        ],
    )
    def test_what_is_named_and_is_none_says_why(self, tmp_path: Path, text: str, match: str) -> None:
        path = write(tmp_path, text)
        with pytest.raises(UnreadableError, match=match) as caught:
            readers.open_recording(path)
        assert str(path) in str(caught.value)
        assert "Jane" not in str(caught.value)


class TestParquet:
    def table(
        self, *, times: object = None, metadata: dict[str, str] | None = None, **columns: object
    ) -> pa.Table:
        held = ({} if times is None else {"time": times}) | (
            columns or {"II": STORED[:, 0], "V1": STORED[:, 1]}
        )
        return pa.table(held).replace_schema_metadata(metadata)

    def write(self, folder: Path, table: pa.Table, **more: object) -> Path:
        parquet.write_table(table, folder / "a.parquet", **more)
        return folder / "a.parquet"

    def test_a_rate_may_stand_in_the_metadata(self, tmp_path: Path) -> None:
        said = {"fs": "360", "start": "2024-02-29T23:59:58", "unit": "uV"}
        path = self.write(tmp_path, self.table(metadata=said))
        assert readers.is_recording(path)
        recording = readers.open_recording(path)
        assert (recording.fs, recording.leads, recording.n_samples) == (360, ("II", "V1"), 500)
        assert recording.start == datetime(2024, 2, 29, 23, 59, 58)  # noqa: DTZ001
        np.testing.assert_allclose(whole(recording), STORED / 1000, rtol=1e-5)

    @pytest.mark.parametrize(
        "times",
        [
            np.arange(500) / 250,
            (np.arange(500) * 4_000_000).astype("datetime64[ns]"),
            (np.arange(500) * 4).astype("timedelta64[ms]"),
        ],
    )
    def test_a_column_of_times_tells_the_rate(self, tmp_path: Path, times: object) -> None:
        recording = readers.open_recording(self.write(tmp_path, self.table(times=times)))
        assert (recording.fs, recording.leads) == (250, ("II", "V1"))
        np.testing.assert_allclose(whole(recording), STORED, rtol=1e-6)

    def test_an_index_of_moments_needs_no_name(self, tmp_path: Path) -> None:
        moments = (np.arange(500) * 4_000_000).astype("datetime64[ns]")
        table = self.table(II=STORED[:, 0], __index_level_0__=moments)
        assert readers.open_recording(self.write(tmp_path, table)).fs == 250

    def test_two_leads_of_one_name_are_refused(self, tmp_path: Path) -> None:
        table = pa.Table.from_arrays([pa.array(STORED[:, 0])] * 2, names=["II", "II"])
        path = self.write(tmp_path, table)
        with pytest.raises(UnreadableError, match=r"two columns have the same name\. Give"):
            readers.open_recording(path, fs=250)

    def test_blocks_across_row_groups_give_the_samples_of_the_whole(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, self.table(metadata={"fs": "250"}), row_group_size=77)
        recording = readers.open_recording(path)
        for size in (1, 50, 77, 333):
            blocks = [recording.read(at, min(at + size, 500)) for at in range(0, 500, size)]
            np.testing.assert_allclose(np.concatenate(blocks), STORED, rtol=1e-6)

    def test_a_jump_of_the_times_is_a_gap_and_null_is_missing(self, tmp_path: Path) -> None:
        times = (np.arange(500) + np.where(np.arange(500) >= 200, 250, 0)) / 250
        lead = pa.array([None if at == 10 else float(value) for at, value in enumerate(STORED[:, 0])])
        recording = readers.open_recording(
            self.write(tmp_path, self.table(times=times, II=lead), row_group_size=100)
        )
        assert recording.n_samples == 750
        signal = whole(recording)[:, 0]
        assert np.flatnonzero(np.isnan(signal)).tolist() == [10, *range(200, 450)]
        np.testing.assert_allclose(signal[450:], STORED[200:, 0], rtol=1e-6)
        np.testing.assert_array_equal(recording.read(150, 500)[:, 0], signal[150:500])

    def test_whole_numbers_are_numbers_and_words_are_none(self, tmp_path: Path) -> None:
        table = self.table(II=counts(500)[:, 0].astype(np.int16), V1=["a"] * 500)
        assert readers.open_recording(self.write(tmp_path, table), fs=250).leads == ("II",)

    @pytest.mark.parametrize(
        ("columns", "match"),
        [
            ({"age": [1.0]}, "no column with the name of an ECG lead. Name the columns"),
            ({"II": [1.0, 2.0]}, r"no sampling rate\. Give it with --fs HZ"),
        ],
    )
    def test_a_table_that_is_no_recording(
        self, tmp_path: Path, columns: dict[str, list[float]], match: str
    ) -> None:
        with pytest.raises(UnreadableError, match=match):
            readers.open_recording(self.write(tmp_path, self.table(**columns)))

    @pytest.mark.parametrize("keep", [4, 100, 0.5, 0.99])
    def test_a_file_that_is_cut(self, tmp_path: Path, keep: float) -> None:
        path = self.write(tmp_path, self.table(metadata={"fs": "250"}))
        content = path.read_bytes()
        path.write_bytes(content[: round(keep if keep > 1 else keep * len(content))])
        assert not readers.is_recording(path)
        with pytest.raises(UnreadableError, match=r"not a complete Parquet file\. Copy"):
            readers.open_recording(path)
