"""Columns of times as recorders, phones and spreadsheets write them: clocks, stamps of packets, moments."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyarrow import parquet

from ectopy import readers
from ectopy.ecg import Recording, UnreadableError
from ectopy.readers.tables import parquet_reader

N = 5000
MV = (np.arange(N) * 37 % 1000 - 500) / 1000
RNG = np.random.default_rng(0)


def write(folder: Path, times: list[str], *, name: str = "time", rows: object = None, sep: str = ",") -> Path:
    """A table with one lead; ``rows`` are the samples that it still has, all by default."""
    kept = np.arange(N) if rows is None else np.asarray(rows)
    lines = [f"{time}{sep}{value}" for time, value in zip(times, MV[kept].tolist(), strict=True)]
    path = folder / "a.csv"
    path.write_text(f"{name}{sep}ECG (mV)\n" + "\n".join(lines) + "\n")
    return path


def clock(start: str, form: str, *, fs: float = 250, cut: int = 0) -> list[str]:
    """The times of a clock, without the last ``cut`` digits."""
    begin = datetime.fromisoformat(start)
    texts = [(begin + timedelta(seconds=at / fs)).strftime(form) for at in range(N)]
    return [text[: len(text) - cut] for text in texts]


def assert_whole(recording: Recording, fs: float, rows: object = None) -> None:
    """Every sample is at its place, and NaN stands for the others."""
    kept = np.arange(N) if rows is None else np.asarray(rows)
    expected = np.full(N, np.nan)
    expected[kept] = MV[kept]
    assert recording.fs == fs
    np.testing.assert_allclose(
        recording.read(0, recording.n_samples)[:, 0], expected[: kept[-1] + 1], rtol=1e-6
    )


class TestClocks:
    @pytest.mark.parametrize(
        ("start", "form", "cut"),
        [
            ("2024-01-01 23:59:50", "%H:%M:%S.%f", 3),
            ("2024-01-01 23:59:50", "%H:%M:%S:%f", 3),
            ("2024-01-01 12:59:50", "%I:%M:%S.%f", 0),
            ("2024-01-01 23:59:50", "%I:%M:%S.%f %p", 0),
            ("2024-01-01 12:59:50", "%M:%S.%f", 3),
            ("2024-03-30 23:59:50", "%m/%d/%Y %I:%M:%S.%f %p", 0),
            ("2024-12-31 23:59:50", "%d.%m.%Y %H:%M:%S.%f", 0),
            ("2024-12-31 23:59:50", "%Y/%m/%d %H:%M:%S.%f", 0),
            ("2024-12-31 23:59:50", "%d-%m-%y %H:%M:%S.%f", 0),
            ("2024-12-31 23:59:50", "[%H:%M:%S.%f %d/%m/%Y]", 0),
            ("2024-12-31 23:59:50", "%Y-%m-%dT%H:%M:%S.%f+05:30", 0),
            ("2024-12-31 23:59:50", "%Y-%m-%dT%H:%M:%S.%fZ", 0),
        ],
    )
    def test_a_clock_runs_on_past_noon_midnight_and_new_year(
        self, tmp_path: Path, start: str, form: str, cut: int
    ) -> None:
        recording = readers.open_recording(write(tmp_path, clock(start, form, cut=cut)))
        assert_whole(recording, 250)
        assert recording.notes == ()

    def test_decimal_commas_in_dates_and_numbers(self, tmp_path: Path) -> None:
        times = clock("2024-03-30 23:59:50", "%d.%m.%Y %H:%M:%S,%f")
        path = write(tmp_path, times, name="Zeit", sep=";")
        path.write_text(path.read_text().replace(";0.", ";0,").replace(";-0.", ";-0,"))
        assert_whole(readers.open_recording(path), 250)

    def test_date_and_time_may_have_columns_of_their_own(self, tmp_path: Path) -> None:
        times = clock("2024-01-31 23:59:50", "%d/%m/%Y,%H:%M:%S.%f")
        assert_whole(readers.open_recording(write(tmp_path, times, name="Date,Time")), 250)

    def test_of_two_orders_of_day_and_month_the_one_without_a_month_of_gap_counts(
        self, tmp_path: Path
    ) -> None:
        recording = readers.open_recording(
            write(tmp_path, clock("2024-04-03 23:59:50", "%d/%m/%Y %H:%M:%S.%f"))
        )
        assert_whole(recording, 250)
        assert recording.notes == ("the dates are read as day/month/year",)

    def test_an_offset_from_utc_that_changes_is_no_gap(self, tmp_path: Path) -> None:
        utc = clock("2024-03-31 00:59:50", "%Y-%m-%d %H:%M:%S.%f")
        summer = clock("2024-03-31 02:59:50", "%Y-%m-%dT%H:%M:%S.%f+02:00")
        winter = clock("2024-03-31 01:59:50", "%Y-%m-%dT%H:%M:%S.%f+01:00")
        times = [w if at < "2024-03-31 01" else s for at, w, s in zip(utc, winter, summer, strict=True)]
        recording = readers.open_recording(write(tmp_path, times))
        assert_whole(recording, 250)
        assert recording.notes == ()

    @pytest.mark.parametrize(
        ("before", "after", "note"),
        [
            (1, 2, "the clock is put forward by an hour, and the rows are read without a gap"),
            (2, 1, "the clock is set back by an hour, and the rows are read without an overlap"),
        ],
    )
    def test_summer_time_is_no_gap_and_is_said(
        self, tmp_path: Path, before: int, after: int, note: str
    ) -> None:
        first = clock(f"2024-03-31 0{before}:59:50", "%Y-%m-%d %H:%M:%S.%f")
        second = clock(f"2024-03-31 0{after}:59:50", "%Y-%m-%d %H:%M:%S.%f")
        recording = readers.open_recording(write(tmp_path, first[:2500] + second[2500:]))
        assert_whole(recording, 250)
        assert recording.notes == (note,)

    def test_lost_samples_around_midnight_are_a_gap(self, tmp_path: Path) -> None:
        rows = np.r_[0:2400, 2600:N]
        times = np.array(clock("2024-01-01 23:59:50", "%H:%M:%S.%f"))[rows].tolist()
        assert_whole(readers.open_recording(write(tmp_path, times, rows=rows)), 250, rows)

    def test_a_clock_that_is_set_back_is_refused_with_its_row_unless_a_rate_is_given(
        self, tmp_path: Path
    ) -> None:
        times = clock("2024-01-01 12:30:50", "%H:%M:%S.%f")
        times[2000:] = clock("2024-01-01 12:30:43", "%H:%M:%S.%f")[2000:]
        path = write(tmp_path, times)
        with pytest.raises(UnreadableError, match=r"the time falls \(row 2002\)\. Correct .* --fs HZ"):
            readers.open_recording(path)
        recording = readers.open_recording(path, fs=250)
        assert_whole(recording, 250)
        assert recording.notes == ("the column of times is not used: the time falls (row 2002)",)


def stamps(of: Callable[[int], int]) -> list[str]:
    return [str(of(at)) for at in range(N)]


class TestStampsThatRowsShare:
    @pytest.mark.parametrize(
        ("name", "of", "fs"),
        [
            ("timestamp", lambda at: 1_700_000_000 + at // 250, 250),
            ("time", lambda at: 1_700_000_000 + (at + 170) // 250, 250),  # the first second is cut
            ("timestamp_ms", lambda at: 1_700_000_000_000 + at // 50 * 200, 250),
            ("time_ms", lambda at: at // 73 * 73_000 // 130, 130),
            ("time_ms", lambda at: int(at / 1.024), 1024),  # whole ms now and then repeat
            ("time_ms", lambda at: round(at / 0.7), 700),
            ("time_ms", lambda at: round(at / 1.5), 1500),
            ("time_ms", lambda at: at // 2, 2000),
        ],
    )
    def test_the_span_gives_the_rate(
        self, tmp_path: Path, name: str, of: Callable[[int], int], fs: float
    ) -> None:
        assert_whole(readers.open_recording(write(tmp_path, stamps(of), name=name)), fs)

    def test_a_rate_that_the_user_knows_better_counts(self, tmp_path: Path) -> None:
        path = write(tmp_path, clock("2024-01-01 23:59:50", "%H:%M:%S", fs=128.2))
        assert readers.open_recording(path, fs=128.2).fs == 128.2
        assert readers.open_recording(path).fs == pytest.approx(128.2, rel=1e-3)

    def test_lost_packets_are_gaps_of_whole_packets(self, tmp_path: Path) -> None:
        packets = [number for number in range(N // 50) if number % 10 != 5]
        arrival = np.abs(RNG.normal(0, 0.03, N // 50)) * 1000
        rows = np.concatenate([np.arange(50) + 50 * number for number in packets])
        times = [str(round(row // 50 * 200 + arrival[row // 50])) for row in rows]
        recording = readers.open_recording(write(tmp_path, times, name="time_ms", rows=rows), fs=250)
        assert_whole(recording, 250, rows)

    def test_a_packet_that_comes_late_is_no_gap(self, tmp_path: Path) -> None:
        times = stamps(lambda at: at // 50 * 200 + 150 * (at // 50 % 20 == 7))
        assert_whole(readers.open_recording(write(tmp_path, times, name="time_ms")), 250)

    def test_samples_that_whole_seconds_lack_are_a_gap_at_the_end_of_the_second(self, tmp_path: Path) -> None:
        rows = np.r_[0:2220, 2250:N]
        times = [str(row // 250) for row in rows]
        assert_whole(readers.open_recording(write(tmp_path, times, name="seconds", rows=rows)), 250, rows)

    def test_lost_samples_in_whole_milliseconds_are_gaps(self, tmp_path: Path) -> None:
        rows = np.flatnonzero(np.arange(N) % 100 != 50)
        path = write(tmp_path, [str(row) for row in rows], name="time_ms", rows=rows)
        assert_whole(readers.open_recording(path), 1000, rows)

    def test_a_row_that_is_there_twice_does_not_shift_the_others(self, tmp_path: Path) -> None:
        rows = np.sort(np.r_[0:N, 299:N:300])
        path = write(tmp_path, [f"{row / 250:.3f}" for row in rows], rows=rows)
        assert_whole(readers.open_recording(path), 250)


class TestUnits:
    @pytest.mark.parametrize(
        ("name", "of", "note"),
        [
            ("timestamp", lambda at: 1_700_000_000 + at / 250, None),
            ("unix_s", lambda at: 1_700_000_000 + at / 250, None),
            ("unix_ms", lambda at: 1_700_000_000_000 + at * 4, None),
            ("timestamp", lambda at: 1_700_000_000_000 + at * 4, "milliseconds"),
            ("epoch", lambda at: 1_700_000_000_000_000 + at * 4000, "microseconds"),
            ("time", lambda at: 1_700_000_000_000_000_000 + at * 4_000_000, "nanoseconds"),
            ("time", lambda at: at * 4, "milliseconds"),
        ],
    )
    def test_the_only_plausible_unit_counts_and_is_said(
        self, tmp_path: Path, name: str, of: Callable[[int], float], note: str | None
    ) -> None:
        recording = readers.open_recording(write(tmp_path, [repr(of(at)) for at in range(N)], name=name))
        assert_whole(recording, 250)
        assert recording.notes == ((f"the times have no unit and are read as {note}",) if note else ())

    def test_0_1_2_are_samples_or_milliseconds_and_a_rate_decides(self, tmp_path: Path) -> None:
        path = write(tmp_path, [str(at) for at in range(N)])
        with pytest.raises(UnreadableError, match="numbers of samples, or milliseconds at 1000 Hz"):
            readers.open_recording(path)
        recording = readers.open_recording(path, fs=360)
        assert_whole(recording, 360)
        assert recording.notes == ("the column of times is read as numbers of samples",)

    def test_a_guessed_unit_and_another_rate_are_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path, [str(at * 4) for at in range(N)])
        with pytest.raises(
            UnreadableError, match=r"gives 250 Hz if it holds times, but .* says 360 Hz\. Name"
        ):
            readers.open_recording(path, fs=360)

    @pytest.mark.parametrize(
        ("name", "step", "match"),
        [
            ("time_ms", 0.004, "the times give 250000 Hz, outside 50 to 50000 Hz"),
            ("time_s", 4, "the times give 0.25 Hz, outside 50 to 50000 Hz"),
            ("time", 1e-9, "the times have no unit, and give 1e.09 Hz in seconds"),
            ("time", 40, "the times have no unit, and give 0.025 Hz in seconds or 25 Hz"),  # 0.1 ms
            ("time", 40_000, "the times have no unit, and give 2.5e-05 Hz in seconds"),  # 100 ns
        ],
    )
    def test_a_unit_that_gives_no_plausible_rate_is_refused_unless_a_rate_is_given(
        self, tmp_path: Path, name: str, step: float, match: str
    ) -> None:
        path = write(tmp_path, [repr(at * step) for at in range(N)], name=name)
        with pytest.raises(UnreadableError, match=match):
            readers.open_recording(path)
        recording = readers.open_recording(path, fs=250)
        assert_whole(recording, 250)
        assert recording.notes[0].startswith("the column of times is not used: the times")

    def test_the_digits_of_a_clock_are_no_seconds_with_gaps(self, tmp_path: Path) -> None:
        path = write(tmp_path, clock("2024-01-01 11:59:50", "%H%M%S.%f"))
        with pytest.raises(UnreadableError, match=r"may be the digits of a clock, .* for 12:59:59\. "):
            readers.open_recording(path)
        assert_whole(readers.open_recording(path, fs=250), 250)

    @pytest.mark.parametrize("name", ["elapsed", "Время", "时间", "Laufzeit", "rel_time"])
    def test_a_time_has_a_name_in_many_languages(self, tmp_path: Path, name: str) -> None:
        assert_whole(
            readers.open_recording(write(tmp_path, [repr(at / 250) for at in range(N)], name=name)), 250
        )

    def test_a_rate_that_is_not_used_is_said(self, tmp_path: Path) -> None:
        path = write(tmp_path, [f"{at / 250:.3f}" for at in range(N)])
        assert readers.open_recording(path, fs=500).notes == (
            "the sampling rate of 500 Hz is not used: the times give 250 Hz",
        )
        path.write_text("# fs: 500\n" + path.read_text())
        assert readers.open_recording(path).fs == 250
        assert "500 Hz is not used" in readers.open_recording(path).notes[0]


class TestOrder:
    def test_rows_in_another_order_are_refused_even_with_a_rate(self, tmp_path: Path) -> None:
        times = [f"{at / 250:.3f}" for at in range(N)]
        for order in (times[::-1], RNG.permutation(times).tolist()):
            with pytest.raises(UnreadableError, match=r"not in the order of their times .*\. Sort the rows"):
                readers.open_recording(write(tmp_path, order), fs=250)

    def test_without_names_times_and_another_rate_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text("\n".join(f"{at / 250:.3f},{value}" for at, value in enumerate(MV)))
        assert_whole(readers.open_recording(path, fs=250), 250)
        with pytest.raises(UnreadableError, match="the first column, which has no name, gives 250 Hz if"):
            readers.open_recording(path, fs=360)

    def test_bursts_are_refused_unless_a_rate_is_given(self, tmp_path: Path) -> None:
        path = write(tmp_path, [f"{at // 5 * 0.02 + at % 5 * 1e-5:.6f}" for at in range(N)])
        with pytest.raises(UnreadableError, match=r"not evenly spaced \(row 7\)"):
            readers.open_recording(path)
        assert_whole(readers.open_recording(path, fs=250), 250)


class TestParquet:
    def write(self, folder: Path, times: object, rows: NDArray[np.int64] | None = None) -> Path:
        parquet.write_table(
            pa.table({"time": times, "II": MV if rows is None else MV[rows]}),
            folder / "a.parquet",
            row_group_size=700,
        )
        return folder / "a.parquet"

    def test_times_may_be_text(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, clock("2024-01-01 23:59:50", "%H:%M:%S.%f"))
        assert_whole(readers.open_recording(path), 250)
        path = self.write(tmp_path, ["soon", *clock("2024-01-01 23:59:50", "%H:%M:%S.%f")[1:]])
        with pytest.raises(UnreadableError, match=r"neither a time of day nor a date with a time \(row 1\)"):
            readers.open_recording(path)
        assert_whole(readers.open_recording(path, fs=250), 250)

    def test_leads_that_are_text_are_refused_by_their_cause(self, tmp_path: Path) -> None:
        parquet.write_table(pa.table({"II": MV.astype(str), "x": MV}), tmp_path / "a.parquet")
        with pytest.raises(UnreadableError, match=r"hold no numbers\. Store numbers"):
            readers.open_recording(tmp_path / "a.parquet", fs=250)

    def test_one_sample_in_a_hundred_is_lost(self, tmp_path: Path) -> None:
        rows = np.flatnonzero(np.arange(N) % 100 != 50)
        recording = readers.open_recording(self.write(tmp_path, rows / 250, rows))
        assert_whole(recording, 250, rows)
        np.testing.assert_array_equal(recording.read(649, 2351), recording.read(0, N)[649:2351])

    def test_a_block_reads_its_rows_once_however_many_gaps_it_has(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows = np.flatnonzero(np.arange(N) % 20 != 10)
        recording = readers.open_recording(self.write(tmp_path, rows / 250, rows))
        open_file = Mock(wraps=parquet_reader._open)
        monkeypatch.setattr(parquet_reader, "_open", open_file)
        recording.read(0, recording.n_samples)
        open_file.assert_called_once()
