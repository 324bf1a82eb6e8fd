"""The Python API as its users expect it: paths, recordings and arrays in; tables, text and strips out."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ectopy
from ectopy.datasets.simulate import draw_patient, simulate
from tests.small import write_record


@pytest.fixture(scope="module")
def recording() -> ectopy.Recording:
    return simulate(draw_patient(np.random.default_rng(3)), minutes=2, rng=np.random.default_rng(4)).recording


@pytest.fixture(scope="module")
def analysis(recording: ectopy.Recording) -> ectopy.Analysis:
    return ectopy.analyse(recording)


class TestAnalyse:
    def test_an_array_gives_what_the_recording_gives(
        self, recording: ectopy.Recording, analysis: ectopy.Analysis
    ) -> None:
        array = recording.read(0, recording.n_samples)
        again = ectopy.analyse(array, fs=recording.fs)
        # Named leads are chosen by their names; here both are chosen as they come.
        assert again.beats.sample.tolist() == analysis.beats.sample.tolist()
        assert again.beats.label.tolist() == analysis.beats.label.tolist()

    def test_an_array_of_one_lead_has_one_lead(self) -> None:
        analysis = ectopy.analyse(np.zeros(5000), fs=250.0)
        assert (analysis.recorded_leads, analysis.duration_s, len(analysis.beats)) == (("lead 1",), 20.0, 0)

    def test_an_array_without_a_rate_is_refused_with_the_remedy(self) -> None:
        with pytest.raises(ectopy.NotAnalysableError, match=r"Give it: analyse\(array, fs=250\.0\)"):
            ectopy.analyse(np.zeros(5000))

    def test_an_array_of_leads_by_samples_is_refused_with_the_remedy(self) -> None:
        with pytest.raises(
            ectopy.NotAnalysableError, match=r"more leads than samples\. Give its transpose, array\.T"
        ):
            ectopy.analyse(np.zeros((2, 5000)), fs=250.0)

    def test_a_lead_may_be_given_by_its_name_alone(self, recording: ectopy.Recording) -> None:
        name = recording.leads[0]
        assert ectopy.analyse(recording, leads=name).leads == (name,)

    def test_a_folder_is_no_recording(self, tmp_path: Path) -> None:
        with pytest.raises(ectopy.UnreadableError, match="a folder, not a file"):
            ectopy.analyse(tmp_path)

    def test_a_path_is_read(self, tmp_path: Path) -> None:
        header = Path(write_record(tmp_path))
        assert ectopy.read(header).n_samples == ectopy.analyse(header).n_samples

    def test_a_file_that_is_no_recording_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "x.dat").write_bytes(b"nothing")
        with pytest.raises(ectopy.UnreadableError, match=r"x\.dat"):
            ectopy.analyse(tmp_path / "x.dat")


class TestTables:
    def test_beats_are_a_table_with_a_row_each(self, analysis: ectopy.Analysis) -> None:
        frame = analysis.beats.to_frame()
        assert len(frame) == len(analysis.beats)
        assert list(frame) == [
            *("sample", "time_s", "rr_s", "label"),
            *("p_n", "p_s", "p_v", "p_f", "confident"),
        ]
        assert frame["label"].tolist() == analysis.beats.label.tolist()
        assert frame["time_s"].iloc[5] == analysis.beats.sample[5] / analysis.fs

    def test_events_are_a_table_also_where_there_is_none(self, analysis: ectopy.Analysis) -> None:
        columns = ["kind", "onset_s", "offset_s", "n_beats", "rate_bpm"]
        assert list(analysis.events_frame()) == columns
        assert analysis.events_frame()["kind"].tolist() == [event.kind for event in analysis.events]
        empty = ectopy.analyse(np.zeros(5000), fs=250.0).events_frame()
        assert (list(empty), len(empty)) == (columns, 0)


class TestText:
    def test_print_shows_a_summary(self, analysis: ectopy.Analysis) -> None:
        lines = dict(line.split(": ", 1) for line in str(analysis).splitlines())
        assert list(lines) == ["Recording", "Leads", "Analysed", "Beats", "Median heart rate", "Events"]
        assert lines["Recording"].endswith(f"120 s at {analysis.fs:g} Hz")
        assert lines["Beats"].startswith(f"{len(analysis.beats)}: ")
        assert lines["Analysed"] == "100.0 % of the time"

    def test_jupyter_shows_a_table_that_escapes_names(self) -> None:
        recording = ectopy.recording_of(np.zeros(2500), 250.0, name="<b>", leads=("II & V1",))
        html = ectopy.analyse(recording)._repr_html_()
        assert "&lt;b&gt;" in html
        assert "II &amp; V1" in html
        assert "<b>" not in html

    def test_a_recording_of_nothing_has_a_summary_too(self) -> None:
        assert "Median heart rate: unknown" in str(ectopy.analyse(np.zeros((0, 1)), fs=250.0))


class TestStrips:
    def test_a_strip_has_a_panel_a_lead_and_a_letter_a_beat(self, analysis: ectopy.Analysis) -> None:
        figure = analysis.plot(start_s=20, duration_s=6)
        assert [axes.get_ylabel() for axes in figure.axes] == list(analysis.leads)
        assert figure.axes[0].get_xlim() == pytest.approx((20.0, 26.0))
        inside = analysis.beats.between(20.0, 26.0)
        letters = [text.get_text().rstrip("?") for text in figure.axes[0].texts]
        assert letters == analysis.beats.label[inside].tolist()

    def test_paper_has_25_mm_a_second_and_10_mm_a_millivolt(self, analysis: ectopy.Analysis) -> None:
        axes = analysis.plot(duration_s=4).axes[0]
        assert axes.get_aspect() == pytest.approx(10 / 25)
        low, high = axes.get_ylim()
        assert (low % 0.5, high % 0.5) == (0, 0)  # on bold lines

    def test_a_time_outside_the_recording_is_refused(self, analysis: ectopy.Analysis) -> None:
        with pytest.raises(ectopy.NotAnalysableError, match=r"no signal at 500 s\. Choose a time within"):
            analysis.plot(start_s=500)

    def test_an_array_can_be_drawn_without_an_analysis(self) -> None:
        figure = ectopy.plot_strip(np.zeros(1000), 250.0)
        assert len(figure.axes) == 1
        with pytest.raises(ValueError, match="2 lead names for 1 leads"):
            ectopy.plot_strip(np.zeros(1000), 250.0, leads=("II", "V1"))


class TestNames:
    def test_every_public_name_is_there_and_documented(self) -> None:
        for name in ectopy.__all__:
            assert getattr(ectopy, name).__doc__, name
        assert sorted(ectopy.__all__) == ectopy.__all__ == dir(ectopy)

    def test_an_unknown_name_is_an_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="no attribute 'analyze'"):
            _ = ectopy.analyze

    def test_the_address_of_version_0_1_still_works(self) -> None:
        from ectopy.qrs import detect_qrs

        assert detect_qrs is ectopy.detect_qrs

    def test_importing_it_loads_nothing_heavy(self) -> None:
        heavy = {"keras", "mlflow", "prefect", "pandas", "scipy", "matplotlib", "onnxruntime"}
        code = f"import sys, ectopy, ectopy.ecg; print(sorted({heavy!r} & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"
