"""Test the pages: well formed, self-contained and safe, with drawings to scale."""

import csv
import json
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from jinja2 import DictLoader, Environment
from numpy.typing import ArrayLike

from ectopy import report
from ectopy.ecg import Analysis, Beats, Event, Recording, recording_of
from ectopy.report import page, strips, svg, templates, times, trend
from ectopy.rhythm.kinds import KINDS
from ectopy.signal import rolling
from tests.handmade import FS, analysis_of, beats_of, provenance_of, recording_for
from tests.paths import heights, points

VOID = {"meta", "link", "br", "rect", "path", "circle", "line"}
HOSTILE = "<script>alert('x')</script>\"&{{ 7 * 7 }}"


class Page(HTMLParser):
    """Parsed page: elements, ids, links, text and pictures; elements must be closed in order.

    ``pictures`` are the names of pictures. ``unnamed`` are pictures without a name that are neither part of one
    with a name nor hidden from screen readers.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.folder = path.parent
        self.open: list[str] = []
        self.accessible: list[bool] = []
        self.pictures: list[str] = []
        self.unnamed: list[str] = []
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        named = ("role", "img") in attrs and bool(dict(attrs).get("aria-label"))
        accessible = any(self.accessible) or named or ("aria-hidden", "true") in attrs
        if tag == "svg" and named:
            self.pictures.append(str(dict(attrs)["aria-label"]))
        if tag == "svg" and not accessible:
            self.unnamed.append(self.get_starttag_text() or "")
        if tag not in VOID:
            self.open.append(tag)
            self.accessible.append(accessible)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        self.accessible.pop()
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data

    def all(self, name: str) -> list[str]:
        """Return the values of every attribute of a name."""
        return [value for attribute, value in self.attributes if attribute == name]


def page_of(folder: Path, analysis: Analysis, recording: Recording, **provenance: object) -> Page:
    report.write_outputs(folder, analysis, provenance_of() | provenance)
    return Page(folder / "report.html")


def page_with(folder: Path, letters: str, rr_s: ArrayLike = 0.8, *, start: datetime | None = None) -> Page:
    beats = beats_of(letters, rr_s)
    recording = recording_for(beats, 30_000)
    return page_of(folder, analysis_of(recording, beats, start=start), recording)


EVERYTHING = "NVVVNSSSNVVNSSNVNVNVNNVNNVNNVNSNSNSN" + "N" * 80
RR_OF_EVERYTHING = [0.5] * 80 + [12.0] + [1.5] * 35


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """A page with every kind of event."""
    return page_with(tmp_path_factory.mktemp("everything"), EVERYTHING, RR_OF_EVERYTHING)


class TestReport:
    def test_it_is_well_formed_with_every_kind_of_event(self, everything: Page) -> None:
        assert everything.elements.count("h1") == everything.elements.count("main") == 1

    def test_it_asks_for_nothing_from_anywhere(self, everything: Page) -> None:
        assert "://" not in everything.source
        assert not {"script", "img", "iframe", "object", "embed", "audio", "video"} & set(everything.elements)
        assert everything.all("src") == []
        assert set(re.findall(r"url\(([^)]*)\)", everything.source)) == {"#mm"}
        assert all(link.startswith("#") or link == "data:," for link in everything.all("href"))

    def test_a_browser_is_told_to_load_nothing(self, everything: Page) -> None:
        assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in everything.all("content")

    def test_ids_are_unique_and_every_reference_has_its_target(self, everything: Page) -> None:
        ids = everything.all("id")
        assert len(ids) == len(set(ids))
        targets = {link[1:] for link in everything.all("href") if link.startswith("#")}
        assert targets | set(everything.all("aria-labelledby")) <= set(ids)

    def test_every_picture_has_a_name_or_is_part_of_one_that_has_or_is_hidden(self, everything: Page) -> None:
        assert everything.unnamed == []
        assert all(everything.all("aria-label"))

    def test_pictures_are_those_of_the_events_and_findings_in_the_other_files(self, everything: Page) -> None:
        with (everything.folder / "events.csv").open(newline="", encoding="utf-8") as file:
            kinds = {event["kind"] for event in csv.DictReader(file)}
        document = json.loads((everything.folder / "summary.json").read_text(encoding="utf-8"))
        examples = {json.dumps(finding["example"]) for finding in document["findings"]} - {"null"}
        labels = everything.pictures
        strips = [label for label in labels if ", II and V1, beats " in label]
        lanes = [label for label in labels if " over time, " in label]
        # A lane for each kind of event, one for V and one for S.
        assert len(lanes) == len(kinds) + 2 > 10
        # More than one of some findings, and the lowest and the highest heart rate.
        assert len(strips) > len(examples) + 2 > 10
        titles = {label.partition(",")[0] for label in strips}
        assert titles > {KINDS[kind].title for kind in kinds} | {"Lowest heart rate", "Highest heart rate"}
        means = [label for label in labels if label.startswith("Mean beat")]
        assert [label[: len("Mean beat of class N")][-1] for label in means] == ["N", "S", "V"]
        # Heart rate, the band of rhythms, and RR intervals.
        assert len(labels) == len(lanes) + len(strips) + len(means) + 3

    def test_the_lines_of_the_whole_recording_are_hidden_in_a_region_that_has_a_name(
        self, everything: Page
    ) -> None:
        # 300 s: five lines of a minute.
        assert "The whole recording, 5 lines" in everything.all("aria-label")
        assert everything.source.count('<div class="line">') == 5

    def test_every_landmark_has_a_name_of_its_own(self, everything: Page) -> None:
        regions = re.findall(r'role="region" aria-label="([^"]+)"', everything.source)
        sections = dict(re.findall(r'<h2 id="([^"]+)">([^<]+)</h2>', everything.source))
        assert len(regions) == everything.all("role").count("region")
        names = [
            *regions,
            *(sections[name] for name in everything.all("aria-labelledby") if name in sections),
        ]
        assert len(names) == len(set(names)) > 15

    def test_no_level_of_headings_is_skipped(self, everything: Page) -> None:
        levels = [int(element[1]) for element in everything.elements if re.fullmatch("h[1-6]", element)]
        assert (levels[0], set(levels)) == (1, {1, 2, 3})
        assert all(deeper <= level + 1 for level, deeper in pairwise(levels))

    def test_every_table_has_a_caption_and_scopes(self, everything: Page) -> None:
        # Beside the four tables of statistics, a list of episodes of each kind.
        assert everything.elements.count("caption") == everything.elements.count("table") == 13
        assert everything.elements.count("th") == len(everything.all("scope"))

    def test_it_says_that_it_is_unconfirmed_and_no_medical_device(self, everything: Page) -> None:
        assert "Automatic, unconfirmed" in everything.text
        assert "not a medical device" in everything.text

    def test_findings_come_first(self, everything: Page) -> None:
        headings = re.findall(r"<h2[^>]*>([^<]*)</h2>", everything.source)
        assert headings == [
            "Findings",
            "Conclusion: automatic draft",
            "Summary",
            "Heart rate and events",
            "By time",
            "Episodes",
            "Strips",
            "Beats by class",
            "RR intervals",
            "Whole recording",
            "Events and their rules",
            "What was not analysed",
            "Recording, model and versions",
        ]

    def test_it_names_the_recording_as_the_outputs_do_and_not_as_its_header(self, everything: Page) -> None:
        # The recording made by hand is called after a patient.
        assert "r1" in everything.text
        assert "Miller" not in everything.source

    def test_it_shows_no_path(self, everything: Page) -> None:
        assert "in/r1" not in everything.source

    def test_hostile_names_are_text(self, tmp_path: Path) -> None:
        beats = beats_of("NVNN")
        recording = recording_of(np.zeros((6000, 2)), FS, leads=(HOSTILE, "<b>V1</b>"))
        parsed = page_of(
            tmp_path,
            analysis_of(recording, beats, leads=(HOSTILE,)),
            recording,
            model=HOSTILE,
            versions={HOSTILE: HOSTILE},
        )
        assert not {"script", "b"} & set(parsed.elements)
        # Header, strip, mean beats, model, versions.
        assert parsed.text.count(HOSTILE) >= 5
        assert "Lead <b>V1</b>" in parsed.text

    def test_times_of_day_are_shown_where_the_start_is_known(self, tmp_path: Path) -> None:
        text = page_with(tmp_path, "NVN", start=datetime(2024, 2, 29, 23, 59, 59)).text  # noqa: DTZ001 - recorders know no time zone
        # The ventricular beat is at 1.6 s.
        assert "0:00:01 (00:00:00)" in text
        assert "2024-02-29 23:59:59" in text

    def test_without_a_beat_it_claims_nothing(self, tmp_path: Path) -> None:
        parsed = page_with(tmp_path, "")
        assert "Not analysable: the signal is flat" in parsed.text
        assert "Atrial fibrillation" not in parsed.text
        assert "Events and their rules" not in parsed.text
        assert "Recorded signal" in parsed.text

    def test_without_an_event_a_piece_of_what_was_recorded_is_shown(self, tmp_path: Path) -> None:
        parsed = page_with(tmp_path, "N" * 20)
        assert "Lowest heart rate" in parsed.text
        assert "Recorded signal" not in parsed.text
        assert 'class="to-strip' not in parsed.source
        brief = beats_of("N" * 20)
        recording = recording_for(brief, 5_000)
        assert "Recorded signal" in page_of(tmp_path, analysis_of(recording, brief), recording).text

    @pytest.mark.parametrize("letters", ["N", "V", "NN", "NNNNNNNNN"])
    def test_few_beats_make_a_page(self, tmp_path: Path, letters: str) -> None:
        assert "Mean heart rate" in page_with(tmp_path, letters).text

    def test_an_empty_recording_makes_a_page(self, tmp_path: Path) -> None:
        beats = beats_of("")
        recording = recording_for(beats, 0)
        assert "Not analysable" in page_of(tmp_path, analysis_of(recording, beats), recording).text

    def test_an_event_longer_than_a_strip_and_one_at_the_very_end_are_drawn(self, tmp_path: Path) -> None:
        beats = beats_of("N" * 10 + "V" * 100, 0.5)
        recording = recording_for(beats, int(beats.sample[-1]) + 1)
        assert "Sustained" in page_of(tmp_path, analysis_of(recording, beats), recording).text

    def test_gaps_in_the_signal_are_gaps_in_the_trace(self, tmp_path: Path) -> None:
        beats = beats_of("NVN")
        signal = np.ones((6000, 1), dtype=np.float32)
        signal[150:180] = np.nan
        recording = recording_of(signal, FS)
        source = page_of(tmp_path, analysis_of(recording, beats), recording).source
        assert "nan" not in source.split("</style>")[1]

    def test_a_long_list_of_unreadable_intervals_is_cut(self, tmp_path: Path) -> None:
        beats = beats_of("NN")
        recording = recording_for(beats, 30_000)
        begin = np.arange(1000, 21_000, 1000)
        analysis = analysis_of(recording, beats, unreadable=np.column_stack((begin, begin + 50)))
        text = page_of(tmp_path, analysis, recording).text
        assert text.count(": artefact or no signal") == 12
        assert "8 more such intervals" in text


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    whole = colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])
    parts = np.array([int(whole[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


class TestColours:
    @pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
    @pytest.mark.parametrize("ground", ["page", "card", "paper"])
    def test_text_is_told_from_its_ground_as_wcag_aa_demands(
        self, everything: Page, scheme: int, ground: str
    ) -> None:
        root = re.findall(r":root \{(.*?)\}", everything.source, re.DOTALL)[scheme]
        colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]+);", root))
        for text in ("ink", "soft", "accent", "urgent", "important", "note", "info", "v", "s", "f", "q"):
            darker, lighter = sorted((luminance(colours[text]), luminance(colours[ground])))
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, text


class TestSize:
    @staticmethod
    def size(folder: Path, n_rounds: int) -> int:
        # Noise does not compress into short paths: the worst case of a trace.
        noise = np.random.default_rng(0).normal(scale=0.5, size=(4000, 2)).astype(np.float32)
        whole = beats_of(EVERYTHING, RR_OF_EVERYTHING)
        period = int(whole.sample[-1]) + 100
        sample = (whole.sample + period * np.arange(n_rounds)[:, None]).ravel() * 3
        n = len(sample)
        label = np.tile(whole.label, n_rounds)
        beats = Beats(sample, label, np.zeros((n, 4), np.float32), np.ones(n, bool), 3 * FS)
        recording = Recording(
            "noise",
            3 * FS,
            ("II", "V1"),
            int(sample[-1]) + 1,
            lambda start, stop: noise[np.arange(start, stop) % len(noise)],
        )
        page_of(folder, analysis_of(recording, beats), recording)
        return (folder / "report.html").stat().st_size

    def test_half_an_hour_with_every_kind_of_event_is_below_800_kb(self, tmp_path: Path) -> None:
        # 13 strips and 30 lines of white noise; real signal takes two thirds of that.
        assert self.size(tmp_path, 16) < 800_000

    def test_a_day_is_below_3_mb(self, tmp_path: Path) -> None:
        # 787 rounds of 110 s.
        assert self.size(tmp_path, 787) < 3_000_000


def trace(lead: np.ndarray, fs: float) -> svg.Trace:
    (drawn,) = svg.traces(lead[None], fs)
    return drawn


class TestTrace:
    def test_25_mm_are_a_second_and_10_mm_a_millivolt(self) -> None:
        # A step of 1 mV: up is negative in SVG.
        drawn = trace(np.array([0, 0, 0, 1.0, 0.5]), 250.0)
        assert drawn.unit_mm == pytest.approx(0.1)
        (piece,) = points(drawn.path)
        assert [(x, round(y * drawn.unit_mm, 3)) for x, y in piece] == [
            (0, 0.0),
            (2, 0.0),
            (3, -10.0),
            (4, -5.0),
        ]
        assert (drawn.top_mm, drawn.bottom_mm) == (-10.0, 0.0)

    def test_the_median_is_the_baseline(self) -> None:
        drawn = trace(np.array([3.0, 3.0, 3.0, 4.0]), 250.0)
        assert heights(points(drawn.path)[0]).tolist() == [0, 0, 0, -100]

    @pytest.mark.parametrize("fs", [128.0, 250.0, 360.0, 500.0])
    @pytest.mark.parametrize("scale_mv", [0.003, 0.05, 1.0])
    def test_a_trace_is_within_half_a_stroke_of_every_sample(self, fs: float, scale_mv: float) -> None:
        lead = np.random.default_rng(1).normal(scale=scale_mv, size=400)
        drawn = trace(lead, fs)
        (piece,) = points(drawn.path)
        assert piece[0][0] == 0
        assert piece[-1][0] * drawn.unit_mm == pytest.approx(399 / fs * svg.MM_PER_S)
        step = svg.units(fs)[1]
        up_mm = -heights(piece)[::step] * drawn.unit_mm
        # Half a step of rounding, and two rounds of points left out.
        off_mm = np.abs(up_mm - svg.MM_PER_MV * (lead - np.median(lead))).max()
        assert off_mm <= 0.5 * drawn.unit_mm + 2 * svg.MAX_OFF_MM + 1e-6
        assert drawn.unit_mm <= svg.STEP_MM

    def test_a_line_is_two_points_and_a_spike_stays(self) -> None:
        line = np.array([np.arange(9), 3 * np.arange(9)], dtype=np.int32)
        spike = np.array([np.arange(9), np.zeros(9)], dtype=np.int32)
        spike[1, 4] = -100
        kept, begins = svg.simplified(np.concatenate((line, spike), axis=1), np.array([0, 9]), 0.1)
        assert begins.tolist() == [0, 3]
        assert kept[0].tolist() == [0, 4, 8, 0, 3, 4, 5, 8]  # of nine each, two rounds
        assert kept[1, begins[1] :].tolist() == [0, 0, -100, 0, 0]

    @pytest.mark.parametrize("n", [1, 2, 3, 4])
    def test_the_ends_of_a_line_stay(self, n: int) -> None:
        flat = np.array([[*range(n), *range(100, 100 + n)], [0] * 2 * n], dtype=np.int32)
        kept, begins = svg.simplified(flat, np.array([0, n]), 0.1)
        for line, first in zip(np.split(kept, begins[1:], axis=1), (0, 100), strict=True):
            assert (line[0, 0], line[0, -1]) == (first, first + n - 1)

    def test_a_path_is_relative_after_its_first_point(self) -> None:
        lines = np.array([[100, 101, 103, 200, 210, 211], [7, 9, 4, 5, 6, 6]], dtype=np.int32)
        begins = np.array([0, 3, 4])
        (drawn,) = svg.paths(lines, begins, begins[:1])
        assert drawn == "M100 7l1 2 2-5m97 1l1 0m9 1l1 0"
        assert points(drawn) == [[(100, 7), (101, 9), (103, 4)], [(200, 5), (201, 5)], [(210, 6), (211, 6)]]
        assert svg.paths(lines, begins, begins) == ["M100 7l1 2 2-5", "M200 5l1 0", "M210 6l1 0"]

    @pytest.mark.parametrize("far", [1, 99, 100, 999, 1000, 12_345])
    def test_steps_of_any_length_are_text(self, far: int) -> None:
        lines = np.array([[0, far, 2 * far], [0, -far, far]], dtype=np.int32)
        (drawn,) = svg.paths(lines, np.array([0]), np.array([0]))
        assert drawn == f"M0 0l{far}-{far} {far} {2 * far}"

    def test_nothing_is_no_path(self) -> None:
        none = np.empty(0, dtype=np.int64)
        assert svg.paths(np.empty((2, 0), dtype=np.int32), none, none) == []

    def test_leads_drawn_at_once_are_as_those_drawn_alone(self) -> None:
        leads = np.random.default_rng(2).normal(size=(4, 300))
        leads[0, 100:200] = leads[1] = leads[3, [0, 5, -1]] = np.nan
        assert svg.traces(leads, 250.0) == [trace(lead, 250.0) for lead in leads]

    def test_a_lead_in_a_wrong_unit_is_cut_off_far_from_the_paper(self) -> None:
        drawn = trace(np.array([0.0, 0.0, 0.0, 1e6, -1e6]), 250.0)
        assert (drawn.top_mm, drawn.bottom_mm) == pytest.approx((-499.9, 499.9))
        assert drawn.bottom_mm > 10 * strips.MAX_REACH_MM

    def test_missing_samples_part_the_trace(self) -> None:
        drawn = trace(np.array([np.nan, 1, 1, np.nan, np.nan, 1, np.nan]), 250.0)
        assert [[x for x, _ in piece] for piece in points(drawn.path)] == [[1, 2], [5, 6]]

    def test_a_lead_without_a_sample_has_no_trace(self) -> None:
        assert trace(np.full(10, np.nan), 250.0).path == ""

    def test_a_high_rate_is_thinned_and_keeps_its_extremes(self) -> None:
        lead = np.zeros(4000)
        lead[1234], lead[2345] = 2.0, -1.0
        thinned, fs = svg.thin(lead, 2000.0)
        # Groups of 8 leave 2 samples each.
        assert (len(thinned), fs) == (1000, 500.0)
        assert (thinned.max(), thinned.min()) == (2.0, -1.0)
        assert abs(int(thinned.argmax()) / fs - 1234 / 2000) <= 1 / fs

    def test_a_usual_rate_is_left_alone(self) -> None:
        lead = np.arange(10.0)
        assert svg.thin(lead, 500.0) == (lead, 500.0)


class TestTrends:
    def test_events_occupy_the_columns_they_reach_into(self) -> None:
        # 600 s in 600 columns.
        mask = svg.occupied(np.array([1.5, 10.0, 11.2]), np.array([3.5, 10.0, 12.0]), 600.0)
        assert np.flatnonzero(mask).tolist() == [1, 2, 3, 10, 11, 12]

    def test_an_event_at_the_very_end_is_in_the_last_column(self) -> None:
        mask = svg.occupied(np.array([600.0]), np.array([600.0]), 600.0)
        assert np.flatnonzero(mask).tolist() == [599]

    def test_bars_cover_the_occupied_columns(self) -> None:
        mask = np.zeros(600, dtype=bool)
        mask[[1, 2, 5]] = True
        assert svg.bars(mask) == "M1 0h2v1H1zM5 0h1v1H5z"

    def test_an_envelope_holds_least_mean_and_greatest_of_each_column(self) -> None:
        time_s = np.array([0.1, 0.2, 0.3, 5.5, 7.0])
        low, mean, high = svg.envelope(time_s, np.array([60, 70, 110, 80, np.nan]), 600.0)
        assert (low[0], mean[0], high[0]) == (60, 80, 110)
        assert (low[5], mean[5], high[5]) == (80, 80, 80)
        assert np.flatnonzero(np.isfinite(mean)).tolist() == [0, 5]

    @pytest.mark.parametrize("at_once", [1, 100, 10_000])
    def test_an_envelope_is_that_of_each_column_by_itself(
        self, at_once: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rng, duration_s = np.random.default_rng(0), 1234.5
        time_s = np.sort(rng.uniform(0, duration_s, 5000))
        time_s = time_s[(time_s < 300) | (time_s > 400)]  # some columns are empty
        value = np.where(rng.random(len(time_s)) < 0.3, np.nan, rng.normal(70, 10, len(time_s)))
        monkeypatch.setattr(rolling, "_AT_ONCE", at_once)
        low, mean, high = svg.envelope(time_s, value, duration_s)
        for column in range(svg.COLUMNS):
            inside = value[
                (np.minimum(time_s / duration_s * svg.COLUMNS, 599) // 1 == column) & ~np.isnan(value)
            ]
            expected = [inside.min(), inside.mean(), inside.max()] if len(inside) else [np.nan] * 3
            np.testing.assert_allclose([low[column], mean[column], high[column]], expected)
        assert 30 < np.isnan(mean).sum() < 80

    def test_an_envelope_of_nothing_is_empty(self) -> None:
        assert np.isnan(svg.envelope(np.empty(0), np.empty(0), 600.0)).all()

    def test_lines_are_interrupted_where_there_is_no_value(self) -> None:
        assert svg.line_path(np.array([1, 2, np.nan, 3])) == "M0.5 1.0L1.5 2.0H2M3.5 3.0H4"

    def test_a_line_goes_through_the_values_of_each_beat_where_they_are_few(self) -> None:
        path = svg.through(np.array([0.0, 1.0, 2.0, 3.0]), np.array([5.0, 6.0, np.nan, 7.0]), 6.0)
        assert path == "M0.0 5.0L100.0 6.0M300.0 7.0"

    def test_bands_go_there_and_back(self) -> None:
        path = svg.band_path(np.array([9.0, 8.0]), np.array([1.0, 2.0]))
        assert path == "M0 1.0h1V2.0h1V8.0h-1V9.0h-1z"

    def test_the_highest_bar_of_a_histogram_fills_it(self) -> None:
        # Ten bars of 60 s: three beats in the first, one in the last.
        path, most = svg.histogram(np.array([1.0, 2.0, 3.0, 599.0]), 600.0, 10)
        assert (path, most) == ("M0 1V0.00h60V1zM540 1V0.67h60V1z", 3)

    @pytest.mark.parametrize(
        ("duration_s", "start", "ticks"),
        [
            (1800.0, None, [(0.0, "0:00"), (33.3, "0:10"), (66.7, "0:20")]),
            (
                10.0,
                None,
                [
                    (0.0, "0:00:00"),
                    (20.0, "0:00:02"),
                    (40.0, "0:00:04"),
                    (60.0, "0:00:06"),
                    (80.0, "0:00:08"),
                ],
            ),
            (
                86_400.0,
                datetime(2024, 1, 1, 17, 0),  # noqa: DTZ001 - recorders know no time zone
                [(4.2, "18:00"), (29.2, "00:00"), (54.2, "06:00"), (79.2, "12:00")],
            ),
        ],
    )
    def test_ticks_are_at_round_times(
        self, duration_s: float, start: datetime | None, ticks: list[tuple[float, str]]
    ) -> None:
        time_ticks = trend.time_ticks(duration_s, times.Clock(start))
        assert [(round(tick.position_pct, 1), tick.text) for tick in time_ticks] == ticks

    def test_a_phone_is_spared_the_times_that_would_lie_upon_each_other(self, tmp_path: Path) -> None:
        # 25 s: a tick every 5 s, each with hours, minutes and seconds.
        beats = beats_of("N" * 31, 0.8)
        recording = recording_for(beats, 2500)
        parsed = page_of(tmp_path, analysis_of(recording, beats), recording)
        times_of = re.findall(r'<span( class="spare")? style="left:(\d+)%">(0:00:\d\d)</span>', parsed.source)
        assert [(bool(spare), at) for spare, at, _ in times_of] == [
            (False, "0"),
            (True, "20"),
            (False, "40"),
            (True, "60"),
            (True, "80"),
        ]

    @pytest.mark.parametrize(
        ("duration_s", "period_s"),
        [(86_400, 3600), (3605, 600), (1900, 600), (1805.6, 300), (600, 60), (10, 60)],
    )
    def test_the_table_goes_by_hours_ten_or_five_minutes_or_one(
        self, duration_s: float, period_s: float
    ) -> None:
        assert page.period_s(duration_s) == period_s


def strip(analysis: Analysis, event: Event) -> strips.Strip:
    return strips.strips(analysis, {event: None})[event]


class TestStrips:
    def test_a_beat_stands_25_mm_a_second_from_the_left(self) -> None:
        # One beat a second from 1 s on; the event begins at 5 s, so the strip at 2.8 s.
        beats = beats_of("NNNNVNNNNNNN", 1.0)
        recording = recording_for(beats, 2000)
        analysis = analysis_of(recording, beats)
        drawn = strip(analysis, Event("V", 5.0, 5.0, 1, float("nan")))
        assert drawn.start_s == pytest.approx(2.8)
        assert drawn.width_mm == pytest.approx(180.0)
        assert [mark.label for mark in drawn.beats] == list("NNVNNNN")
        assert [mark.x_mm for mark in drawn.beats] == pytest.approx([5 + 25 * beat for beat in range(7)])
        # The interval before the first beat begins outside.
        assert [mark.rr_ms for mark in drawn.beats] == ["", *["1000"] * 6]
        assert [mark.rr_x_mm for mark in drawn.beats[1:]] == pytest.approx(
            [17.5 + 25 * beat for beat in range(6)]
        )

    def test_a_letter_at_either_end_is_not_cut_off(self) -> None:
        # Beats at 0, 1 ... 7.2 s of a strip of 7.2 s.
        beats = beats_of("NNNNNNNN", [0.0, *[7.2 / 7] * 7])
        recording = recording_for(beats, 721)
        marks = list(strips.beat_marks(analysis_of(recording, beats), 0, 721))
        assert (marks[0].x_mm, marks[-1].x_mm) == pytest.approx((2.0, 180.25 - 2.0))
        assert marks[1].x_mm == pytest.approx(180 / 7, abs=0.25)  # a sample

    def test_the_spike_of_a_beat_is_under_its_letter(self) -> None:
        beats = beats_of("NNNNVNNNNNNN", 1.0)
        recording = recording_for(beats, 2000)
        drawn = strip(analysis_of(recording, beats), Event("V", 5.0, 5.0, 1, float("nan")))
        (piece,) = points(drawn.leads[0].trace.path)
        spikes = [x * drawn.leads[0].trace.unit_mm for x, y in piece if y < 0]
        assert spikes == pytest.approx([mark.x_mm for mark in drawn.beats])

    @pytest.mark.parametrize(
        ("onset_s", "offset_s", "n_samples", "expected"),
        [
            (50.0, 50.0, 10_000, (4780, 5500)),  # a beat: 2.2 s before it
            (50.0, 55.0, 10_000, (4880, 5600)),  # 5 s: 1.2 s before
            (50.0, 90.0, 10_000, (4880, 5600)),  # longer than the strip: from its onset
            (0.5, 0.5, 10_000, (0, 720)),  # at the start
            (99.9, 99.9, 10_000, (9280, 10_000)),  # at the end
            (1.0, 1.0, 300, (0, 300)),  # a recording shorter than a strip
        ],
    )
    def test_the_window_shows_the_event_inside_the_recording(
        self, onset_s: float, offset_s: float, n_samples: int, expected: tuple[int, int]
    ) -> None:
        assert strips.window(Event("vt", onset_s, offset_s, 3, 120.0), n_samples, FS) == expected

    def test_only_the_analysed_leads_are_drawn(self) -> None:
        beats = beats_of("NVN")
        recording = recording_for(beats, 2000)
        analysis = analysis_of(recording, beats, leads=("V1",))
        drawn = strip(analysis, Event("V", 1.6, 1.6, 1, float("nan")))
        assert [lead.name for lead in drawn.leads] == ["V1"]

    def test_leads_do_not_overlap(self) -> None:
        beats = beats_of("NVN")
        recording = recording_for(beats, 2000)
        drawn = strip(analysis_of(recording, beats), Event("V", 1.6, 1.6, 1, float("nan")))
        first, second = drawn.leads
        assert first.top_mm + first.height_mm == second.top_mm
        assert second.top_mm + second.height_mm == drawn.height_mm


def row_of(name: str, findings: str, **figures: object) -> dict[str, object]:
    return dict.fromkeys(report.SUMMARY_COLUMNS, "") | {
        "recording": name,
        "status": "scored",
        "findings": findings,
        **figures,
    }


def index_of(folder: Path, *rows: Mapping[str, object]) -> Page:
    report.write_index(folder / "index.html", rows)
    return Page(folder / "index.html")


def reports(parsed: Page) -> list[str]:
    return [link for link in parsed.all("href") if link.endswith("report.html")]


class TestIndex:
    def test_the_most_urgent_comes_first(self, tmp_path: Path) -> None:
        parsed = index_of(
            tmp_path,
            row_of("a", "info: Rare"),
            row_of("b", "important: Runs; note: Couplets"),
            row_of("c", "urgent: Pause"),
            row_of("d", "important: Runs; important: Ectopy"),
        )
        assert reports(parsed) == [f"{name}/report.html" for name in "cdba"]

    def test_alike_ones_come_by_burden_then_by_name(self, tmp_path: Path) -> None:
        parsed = index_of(
            tmp_path,
            row_of("b", "note: Ectopy", veb_burden_pct=1.5),
            row_of("a", "note: Ectopy", veb_burden_pct="1.5"),
            row_of("c", "note: Ectopy", veb_burden_pct=9),
        )
        assert reports(parsed) == ["c/report.html", "a/report.html", "b/report.html"]

    def test_what_failed_has_its_reason_and_no_link(self, tmp_path: Path) -> None:
        failed = row_of("bad", "", status="failed", reason="bad.hea: not a WFDB header. Check the file.")
        parsed = index_of(tmp_path, failed)
        assert reports(parsed) == []
        assert "bad.hea: not a WFDB header. Check the file." in parsed.text

    def test_the_models_that_called_the_beats_are_named_once(self, tmp_path: Path) -> None:
        rows = (row_of(name, "", model=f"ectopy {model}") for name, model in (("a", 3), ("b", 2), ("c", 3)))
        assert "Model: ectopy 2, ectopy 3." in index_of(tmp_path, *rows).text

    def test_skipped_recordings_keep_their_link_and_figures(self, tmp_path: Path) -> None:
        parsed = index_of(tmp_path, row_of("a", "note: Ectopy", status="skipped", hr_mean_bpm=71.4))
        assert reports(parsed) == ["a/report.html"]
        assert "unchanged" in parsed.text
        assert ">71<" in parsed.source

    def test_rows_read_back_from_csv_make_the_same_page(self, tmp_path: Path) -> None:
        beats = beats_of("NVVVN", 0.5)
        recording = recording_for(beats, 6000)
        row = report.write_outputs(tmp_path, analysis_of(recording, beats), provenance_of())
        as_text = {name: "" if value is None else str(value) for name, value in row.items()}
        assert index_of(tmp_path, row).source == index_of(tmp_path, as_text).source

    def test_three_findings_are_shown_and_the_others_counted(self, tmp_path: Path) -> None:
        parsed = index_of(tmp_path, row_of("a", "; ".join(f"note: number {n}" for n in range(5))))
        assert "Number 2" in parsed.text
        assert "Number 3" not in parsed.text
        assert "2 more in the report" in parsed.text

    def test_names_and_reasons_are_text(self, tmp_path: Path) -> None:
        parsed = index_of(
            tmp_path, row_of(HOSTILE, f"urgent: {HOSTILE}"), row_of("x", "", status="failed", reason=HOSTILE)
        )
        assert "script" not in parsed.elements
        assert parsed.text.count(HOSTILE) == 3
        assert all("<" not in link and '"' not in link for link in parsed.all("href"))

    def test_it_asks_for_nothing_from_anywhere(self, tmp_path: Path) -> None:
        parsed = index_of(tmp_path, row_of("a", "note: Ectopy"))
        assert "://" not in parsed.source
        assert "script" not in parsed.elements

    def test_an_empty_batch_makes_a_page(self, tmp_path: Path) -> None:
        assert "0 recordings" in index_of(tmp_path).text


class TestTemplates:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(templates, "__file__", str(tmp_path / "__init__.py"))
        monkeypatch.setattr(sys, "dont_write_bytecode", False)
        return tmp_path / "__pycache__"

    @staticmethod
    def environment() -> Environment:
        return templates._environment.__wrapped__()

    def test_compiled_ones_are_kept_beside_those_of_python(self, folder: Path) -> None:
        folder.mkdir()
        self.environment().get_template("paper.j2")
        (kept,) = folder.iterdir()
        assert kept.suffix == ".jinja"
        with patch.object(Environment, "_generate", side_effect=AssertionError("compiled again")):
            self.environment().get_template("paper.j2")

    def test_one_of_another_text_is_not_used(self, folder: Path) -> None:
        folder.mkdir()
        old = self.environment()
        old.loader = DictLoader({"page": "old"})
        old.get_template("page")
        new = self.environment()
        new.loader = DictLoader({"page": "new"})
        assert new.get_template("page").render() == "new"

    @pytest.mark.parametrize("content", [b"", b"no template", b"j2\x05\x00"])
    def test_a_damaged_one_is_compiled_again(self, folder: Path, content: bytes) -> None:
        folder.mkdir()
        self.environment().get_template("paper.j2")
        (kept,) = folder.iterdir()
        kept.write_bytes(content)
        assert self.environment().get_template("paper.j2").module

    def test_without_a_folder_to_write_to_they_are_compiled(self, folder: Path) -> None:
        assert self.environment().get_template("paper.j2").module
        assert not folder.exists()

    def test_none_is_kept_where_python_keeps_none(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder.mkdir()
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        self.environment().get_template("paper.j2")
        assert not list(folder.iterdir())
