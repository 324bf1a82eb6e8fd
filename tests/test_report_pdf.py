"""Test the page as PDF: style of pictures, true size of strips, and the error without WeasyPrint."""

import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ectopy import cli, report
from ectopy.batch import runner
from ectopy.batch.planning import ScoreOptions
from ectopy.report import pdf
from ectopy.report.fhir import MissingLibraryError
from tests.handmade import analysis_of, beats_of, provenance_of, recording_for
from tests.small import write_model, write_record

PX_PER_MM = 96 / 25.4


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pdf")
    beats = beats_of("NNNVNNSNNVVNNN" * 5)
    recording = recording_for(beats, 30_000)
    report.write_outputs(folder, analysis_of(recording, beats), provenance_of())
    return folder / "report.html"


@pytest.fixture
def weasyprint() -> None:
    """Skip without it."""
    try:
        pdf.require_weasyprint()
    except MissingLibraryError as missing:
        pytest.skip(str(missing))


class TestPictures:
    def test_each_picture_has_the_style_within(self, page: Path) -> None:
        styled = pdf.with_styled_pictures(page.read_text())
        pictures = re.findall(r"<svg [^>]*viewBox=[^>]*>(.{0,6})", styled)
        assert len(pictures) > 10
        assert set(pictures) == {"<style"}

    def test_paper_has_its_grid_within(self, page: Path) -> None:
        styled = pdf.with_styled_pictures(page.read_text())
        assert styled.count('<pattern id="mm"') == styled.count('class="mm') + 1

    def test_no_colour_is_left_to_a_variable(self) -> None:
        style = pdf.picture_style()
        assert "var(" not in style
        # Red of ventricular beats on white paper, not on black.
        assert ".pairs.V { fill: #b01e1e;" in style


@pytest.mark.usefixtures("weasyprint")
class TestPdf:
    def test_it_is_a_pdf(self, page: Path, tmp_path: Path) -> None:
        pdf.write_pdf(page, tmp_path / "report.pdf")
        content = (tmp_path / "report.pdf").read_bytes()
        assert content.startswith(b"%PDF")
        assert len(content) > 50_000

    @staticmethod
    def boxes(page: Path) -> Iterator[tuple[str, Any]]:
        """Yield the name and the box of each picture on the pages."""
        from weasyprint import HTML

        logging.getLogger("weasyprint").setLevel(logging.ERROR)
        for pdf_page in HTML(string=pdf.with_styled_pictures(page.read_text())).render().pages:
            assert (pdf_page.width / PX_PER_MM, pdf_page.height / PX_PER_MM) == pytest.approx((210, 297))
            for box in pdf_page._page_box.descendants():
                if (box.element_tag or "").endswith("svg") and box.element.get("aria-label"):
                    yield box.element.get("aria-label"), box

    def test_a_strip_is_18_cm_wide_and_within_its_a4_page(self, page: Path) -> None:
        strips = [box for label, box in self.boxes(page) if ", beats N" in label]
        assert len(strips) >= 3
        for box in strips:
            assert box.width == pytest.approx(180 * PX_PER_MM)
            assert box.position_x + box.width < 198.1 * PX_PER_MM  # 210 mm, less a margin of 12
            assert box.position_y + box.height < 285 * PX_PER_MM

    def test_events_stand_under_the_heart_rate_of_their_time(self, page: Path) -> None:
        over_time = [
            (box.position_x, box.width)
            for label, box in self.boxes(page)
            if label.startswith("Heart rate between") or "over time" in label
        ]
        assert len(over_time) > 3
        first = over_time[0]
        # One has a border of 2 pixels.
        assert all(place == pytest.approx(first, abs=2.1) for place in over_time)


class TestOption:
    @staticmethod
    def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    @pytest.mark.usefixtures("weasyprint")
    def test_what_is_done_without_it_is_done_again_with_it(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        model, out = write_model(tmp_path / "model"), tmp_path / "out"
        arguments = ("score", write_record(tmp_path), "--out", out, "--model", model, "--workers", "1")
        assert self.run(capsys, *arguments)[0] == 0
        assert not (out / "r" / "report.pdf").exists()
        assert "1 scored" in self.run(capsys, *arguments, "--pdf")[1]
        assert (out / "r" / "report.pdf").is_file()
        assert "1 skipped" in self.run(capsys, *arguments, "--pdf")[1]

    def test_it_is_no_setting_that_decides_results(self, tmp_path: Path) -> None:
        assert ScoreOptions(tmp_path, pdf=True).settings == ScoreOptions(tmp_path).settings

    def test_without_weasyprint_it_says_what_to_install_before_it_begins(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "weasyprint", None)
        monkeypatch.setattr(runner, "run", lambda *_, **__: pytest.fail("it began"))
        record, model = write_record(tmp_path), write_model(tmp_path / "model")
        status, _, printed = self.run(
            capsys, "score", record, "--out", tmp_path / "out", "--model", model, "--pdf"
        )
        assert status == 1
        assert "--pdf: weasyprint is not installed. Run `pip install 'ectopy[pdf]'`." in printed
        assert not (tmp_path / "out").exists()

    def test_without_pango_it_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Broken:
            def find_spec(self, name: str, *_: object) -> None:
                if name == "weasyprint":
                    raise OSError("cannot load library 'libpango-1.0-0'")

        monkeypatch.delitem(sys.modules, "weasyprint", raising=False)
        monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
        with pytest.raises(
            MissingLibraryError, match=r"library Pango could not be loaded.*libpango.*Install"
        ):
            pdf.require_weasyprint()
