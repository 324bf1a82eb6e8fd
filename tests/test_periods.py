"""Test days and hours: calendar days by the recorder's clock, sums that agree, pages that stay short."""

import json
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from ectopy import report
from ectopy.ecg import Analysis, Event, Mark, Recording, Signal
from ectopy.report import data_files, periods, trend
from ectopy.report.statistics import Stats, recording_stats
from ectopy.report.times import Clock
from ectopy.rhythm.kinds import KINDS
from tests.handmade import NOTHING_UNREADABLE, beats_of, provenance_of

FS = 100.0
DAY_S, HOUR_S = 86_400.0, 3600.0
TEN = datetime(2024, 3, 29, 10)  # noqa: DTZ001 - recorders know no time zone
MIDNIGHT = datetime(2024, 3, 29)  # noqa: DTZ001


def flat(start: int, stop: int) -> Signal:
    return np.zeros((stop - start, 1), dtype=np.float32)


def days_of(
    n_days: float,
    start: datetime | None,
    *,
    letters: str = "",
    rr_s: float = 30.0,
    events: Sequence[Event] = (),
    marks: Sequence[Mark] = (),
) -> Analysis:
    """A recording of days with one beat each ``rr_s`` seconds and the events that are given; no signal."""
    beats = beats_of(letters or "N" * int(n_days * DAY_S / rr_s - 1), rr_s)
    n_samples = round(n_days * DAY_S * FS)
    recording = Recording("r", FS, ("II",), n_samples, flat, start=start, marks=tuple(marks))
    low_quality = np.zeros(len(beats), dtype=bool)
    return Analysis(recording, (0,), beats, beats.rr_s, low_quality, tuple(events), NOTHING_UNREADABLE)


def daily(analysis: Analysis) -> list[Stats]:
    return list(periods.by_day(recording_stats(analysis)))


def page_of(folder: Path, analysis: Analysis) -> str:
    report.write_outputs(folder, analysis, provenance_of())
    return (folder / "report.html").read_text(encoding="utf-8")


class TestDays:
    def test_three_days_from_ten_in_the_morning_touch_four_dates(self) -> None:
        rows = daily(days_of(3, TEN))
        assert [row["date"] for row in rows] == ["2024-03-29", "2024-03-30", "2024-03-31", "2024-04-01"]
        assert [row["duration_s"] for row in rows] == [14 * HOUR_S, DAY_S, DAY_S, 10 * HOUR_S]
        assert [(row["start_s"], row["stop_s"]) for row in rows[:2]] == [
            (0.0, 14 * HOUR_S),
            (14 * HOUR_S, 38 * HOUR_S),
        ]

    def test_the_day_on_which_summer_time_begins_has_24_hours_of_the_recorder(self) -> None:
        # In Europe the 31st of March 2024 had 23 hours. The clock of a recorder goes on.
        analysis = days_of(3, TEN)
        hours = periods.with_hours(recording_stats(analysis), daily(analysis))[2].hours
        assert [hour["duration_s"] for hour in hours] == [HOUR_S] * 24

    @pytest.mark.parametrize(
        ("n_days", "start"),
        [
            (1.0, MIDNIGHT),  # ends at midnight, which is no second day
            (0.5, MIDNIGHT),
            (14 / 24, TEN),
            (1.0, None),
            (1.095, None),  # a rest below a tenth of a day
        ],
    )
    def test_a_recording_within_one_day_has_no_rows(self, n_days: float, start: datetime | None) -> None:
        assert daily(days_of(n_days, start)) == []

    def test_a_night_across_midnight_has_two(self) -> None:
        rows = daily(days_of(10 / 24, datetime(2024, 12, 31, 22)))  # noqa: DTZ001
        assert [(row["date"], row["duration_s"]) for row in rows] == [
            ("2024-12-31", 2 * HOUR_S),
            ("2025-01-01", 8 * HOUR_S),
        ]

    def test_from_midnight_to_midnight_each_day_is_whole(self) -> None:
        rows = daily(days_of(2, MIDNIGHT))
        assert [(row["date"], row["duration_s"]) for row in rows] == [
            ("2024-03-29", DAY_S),
            ("2024-03-30", DAY_S),
        ]

    def test_a_start_with_a_fraction_of_a_second_gives_the_right_dates(self) -> None:
        rows = daily(days_of(3, datetime(2024, 3, 29, 23, 59, 59, 333_333)))  # noqa: DTZ001
        assert [row["date"] for row in rows] == ["2024-03-29", "2024-03-30", "2024-03-31", "2024-04-01"]
        assert rows[0]["duration_s"] == 0.667

    def test_without_a_start_days_are_24_hours_from_the_first_sample(self) -> None:
        rows = daily(days_of(2.5, None))
        assert [(row["date"], row["start_s"], row["duration_s"]) for row in rows] == [
            (None, 0.0, DAY_S),
            (None, DAY_S, DAY_S),
            (None, 2 * DAY_S, DAY_S / 2),
        ]

    def test_a_beat_at_midnight_belongs_to_the_new_day(self) -> None:
        # One beat each half minute: the 1680th is at 14 hours, which is midnight.
        rows = daily(days_of(1, TEN, letters="N" * 1679 + "V" + "N" * 100))
        assert [row["n_beats"] for row in rows] == [1679, 101]
        assert [row["n_veb"] for row in rows] == [0, 1]

    def test_fibrillation_across_midnight_is_shared_by_time_and_counted_where_it_begins(self) -> None:
        # From 23:00 to 03:00.
        episode = Event("af", 13 * HOUR_S, 17 * HOUR_S, 20_000, 83.0)
        rows = daily(days_of(2, TEN, events=[episode]))
        assert [row["n_af"] for row in rows] == [1, 0, 0]
        assert [row["af_burden_pct"] for row in rows] == [round(100 / 14, 2), 12.5, 0.0]
        assert [row["longest_af_s"] for row in rows] == [4 * HOUR_S, None, None]

    def test_every_row_counts_every_kind_of_event(self) -> None:
        counts = {kind.count for kind in KINDS.values()}
        assert counts <= daily(days_of(2, TEN))[0].keys()


class TestHoursOfDays:
    def hours(self, n_days: float, start: datetime | None) -> list[list[Stats]]:
        recording = recording_stats(days_of(n_days, start))
        return [list(day.hours) for day in periods.with_hours(recording, daily(recording.analysis))]

    def test_they_begin_on_the_hour(self) -> None:
        start = datetime(2024, 3, 29, 22, 23, 7)  # noqa: DTZ001
        first, second = self.hours(0.5, start)
        assert [hour["duration_s"] for hour in first] == [36 * 60 + 53, HOUR_S]
        assert [Clock(start).time(float(str(hour["start_s"]))) for hour in second[:3]] == [
            "00:00:00",
            "01:00:00",
            "02:00:00",
        ]
        assert second[-1]["duration_s"] == 23 * 60 + 7

    def test_without_a_start_they_are_counted_from_the_first_sample(self) -> None:
        first, second = self.hours(1.5, None)
        assert (len(first), len(second)) == (24, 12)
        assert (first[1]["start_s"], second[0]["start_s"]) == (HOUR_S, DAY_S)

    def test_a_fraction_of_a_second_makes_no_hour_of_its_own(self) -> None:
        start = datetime(2024, 3, 29, 10, 0, 0, 333_333)  # noqa: DTZ001
        assert [len(hours) for hours in self.hours(2, start)] == [14, 24, 10]

    def test_beats_of_the_hours_add_up_to_the_day_and_days_to_the_whole(self) -> None:
        recording = recording_stats(days_of(3, datetime(2024, 3, 29, 10, 23, 7)))  # noqa: DTZ001
        days = periods.with_hours(recording, daily(recording.analysis))
        for day in days:
            assert sum(int(str(hour["n_beats"])) for hour in day.hours) == day.stats["n_beats"]
        assert sum(int(str(day.stats["n_beats"])) for day in days) == len(recording.analysis.beats)


class TestPage:
    def test_a_day_has_a_table_of_hours_and_no_days(self, tmp_path: Path) -> None:
        text = page_of(tmp_path, days_of(1, TEN))
        assert "<details" not in text
        assert ">By time</h2>" in text

    def test_a_recorder_that_runs_some_minutes_longer_has_none_either(self, tmp_path: Path) -> None:
        assert "<details" not in page_of(tmp_path, days_of(1.009, TEN))

    def test_three_days_have_a_row_each_and_their_hours_closed_below(self, tmp_path: Path) -> None:
        text = page_of(tmp_path, days_of(3, TEN))
        assert ">By day and hour</h2>" in text
        assert re.findall(r"<summary>Hours of ([^<]+)</summary>", text) == [
            "Fri 2024-03-29",
            "Sat 2024-03-30",
            "Sun 2024-03-31",
            "Mon 2024-04-01",
        ]
        assert "<details open" not in text
        assert text.count('<th scope="row">00:00:00</th>') == 3

    def test_without_a_start_days_have_numbers(self, tmp_path: Path) -> None:
        text = page_of(tmp_path, days_of(2, None))
        assert re.findall(r"<summary>Hours of ([^<]+)</summary>", text) == ["Day 1", "Day 2"]

    def test_fourteen_days_stay_small(self, tmp_path: Path) -> None:
        # 14 rows of days and 336 of hours, in less than a quarter of a megabyte.
        by_day = page_of(tmp_path, days_of(14, TEN))
        section = by_day[by_day.index('<section aria-labelledby="h-table">') :]
        section = section[: section.index("</section>")]
        assert section.count("<tr>") == 15 + 336 + 16  # days, hours and headings
        assert len(section) < 250_000

    def test_times_in_several_days_have_their_date(self, tmp_path: Path) -> None:
        events = [Event("af", 40 * HOUR_S, 41 * HOUR_S, 5000, 83.0)]
        text = page_of(tmp_path, days_of(3, TEN, events=events))
        assert "40:00:00 (2024-03-31 02:00:00)" in text
        assert re.findall(r'<span class="soft">([\d :-]+)</span>', text)[:2] == ["03-29 10:00", "03-29 10:30"]

    def test_midnights_on_the_axis_of_several_days_are_dates(self) -> None:
        ticks = trend.time_ticks(3 * DAY_S, Clock(TEN, dated=True))
        assert [tick.text for tick in ticks] == ["03-30", "03-31", "04-01"]
        ticks = trend.time_ticks(DAY_S, Clock(TEN))
        assert [tick.text for tick in ticks] == ["12:00", "18:00", "00:00", "06:00"]

    def test_the_document_obeys_its_schema(self, tmp_path: Path) -> None:
        events = [Event("af", 13 * HOUR_S, 17 * HOUR_S, 20_000, 83.0)]
        report.write_outputs(tmp_path, days_of(3, TEN, events=events), provenance_of())
        document = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
        Draft202012Validator(data_files.summary_schema()).validate(document)
        assert [day["n_af"] for day in document["daily"]] == [1, 0, 0, 0]
        assert len(document["hourly"]) == 72
