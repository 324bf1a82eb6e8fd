"""The Python API as its users expect it: paths, recordings and arrays in; tables, text and strips out."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ectopy
from ectopy import pipeline
from ectopy.datasets.simulate import draw_patient, simulate
from tests.small import write_record


@pytest.fixture(scope="module")
def recording() -> ectopy.Recording:
    return simulate(draw_patient(np.random.default_rng(3)), minutes=2, rng=np.random.default_rng(4)).recording


@pytest.fixture(scope="module")
def analysis(recording: ectopy.Recording) -> ectopy.Analysis:
    return ectopy.analyse(recording)


def test_a_stream_is_at_hand_and_costs_no_import_of_scipy() -> None:
    loaded = "import sys, ectopy; print('scipy.signal' in sys.modules, ectopy.Stream.__name__)"
    told = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["False", "Stream"]


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


NOISE = np.random.default_rng(0).normal(0, 0.1, (5000, 2))


class TestWhatIsNoSignal:
    """Each is one clear error, at once, and not an answer."""

    @pytest.mark.parametrize(
        ("given", "problem"),
        [
            (None, "an ECG cannot be read from NoneType. Give a path, a Recording, or an array in mV"),
            ({"II": 1}, "cannot be read from dict"),
            (b"100.dat", "cannot be read from bytes"),
            (np.array(1.0), "cannot be read from a single number"),
            (NOISE.T, "has more leads than samples. Give its transpose, array.T"),
            (NOISE[None], "an array of shape (1, 5000, 2). Give [n_samples] or [n_samples, n_leads]"),
            (NOISE[:, :0], "no lead. Name at least one"),
            ((NOISE * 200).astype(np.int16), "integers (int16). Are these the units of an ADC? Give mV"),
            (NOISE > 0, "an array of bool. Give real numbers in mV"),
            (NOISE + 1j, "an array of complex128. Give real numbers"),
            (np.array(["0.1", "0.2"]), "an array of <U3. Give real numbers"),
            ([0.1, None, 0.2], "an array of object. Give real numbers"),
            (["a.edf", "b.edf"], "an array of <U5. Give real numbers"),
            ([[0.1, 0.2], [0.3]], "rows of different lengths. Give one value per sample"),
            (pd.DataFrame(NOISE), "a table, whose columns may be times. Give those of its leads as an array"),
        ],
    )
    def test_it_is_refused_with_a_remedy(self, given: Any, problem: str) -> None:
        with pytest.raises(ValueError, match=re.escape(problem)) as caught:
            ectopy.analyse(given, fs=250.0)
        assert type(caught.value) in {ectopy.NotAnalysableError, ectopy.UnreadableError}

    @pytest.mark.parametrize("per_mv", [1000.0, 200.0])
    def test_microvolts_and_units_of_an_adc_are_asked_about(
        self, recording: ectopy.Recording, per_mv: float
    ) -> None:
        signal = recording.read(0, recording.n_samples) * per_mv + 1024
        with pytest.raises(ectopy.NotAnalysableError, match=r"mV in a second\. Is it in .*ADC\? Give mV"):
            ectopy.analyse(signal, fs=recording.fs)

    def test_volts_are_noted(self, recording: ectopy.Recording) -> None:
        signal = recording.read(0, recording.n_samples) / 1000
        (note,) = ectopy.recording_of(signal, recording.fs).notes
        assert re.fullmatch(r"the signal spans 0\.00\d+ mV only; if it is in V, multiply it by 1000", note)

    def test_a_few_fill_values_are_no_unit(self, recording: ectopy.Recording) -> None:
        signal = recording.read(0, recording.n_samples).copy()
        signal[:: round(10 * recording.fs)] = 9.96921e36
        assert ectopy.recording_of(signal, recording.fs).notes == ()

    def test_leads_first_are_refused_before_anything_is_computed(self) -> None:
        with pytest.raises(ectopy.NotAnalysableError, match=r"\(2, 108000\) .* Give its transpose"):
            ectopy.recording_of(np.zeros((2, 108_000)), 360.0)
        with pytest.raises(ectopy.NotAnalysableError, match="Give its transpose"):
            ectopy.detect_qrs(np.zeros((2, 108_000)), 360.0)

    @pytest.mark.parametrize(
        "fs", [1, 2, 10, 49.9, 1e6, float("nan"), -250, True, "250", [250], np.array([[250]])]
    )
    def test_a_rate_that_no_recorder_has_is_refused(self, fs: Any) -> None:
        problem = r"the sampling rate is .* Hz\. Give one from 50 to 50000 Hz"
        with pytest.raises(ectopy.UnreadableError, match=problem):
            ectopy.analyse(NOISE, fs=fs)
        with pytest.raises(ectopy.UnreadableError, match=problem):
            ectopy.detect_qrs(NOISE, fs)
        with pytest.raises(ectopy.UnreadableError, match=problem):
            ectopy.read("100", fs=fs)

    def test_missing_samples_may_be_masked(self) -> None:
        masked = np.ma.masked_greater(NOISE, 0.2)
        read = ectopy.recording_of(masked, 250.0).read(0, 5000)
        assert np.array_equal(np.isnan(read), NOISE > 0.2)

    def test_so_they_may_be_in_what_a_function_of_the_user_returns(self) -> None:
        masked = np.ma.masked_greater(NOISE, 0.2)
        recording = ectopy.Recording("mine", 250.0, ("II", "V1"), 5000, lambda *part: masked[slice(*part)])
        for columns in ((0, 1), (1,)):
            read = recording.read_leads(columns, 0, 5000)
            np.testing.assert_array_equal(np.isnan(read), NOISE[:, list(columns)] > 0.2)

    def test_a_value_that_float32_cannot_hold_is_no_warning(self) -> None:
        assert ectopy.analyse(np.full(5000, 1e300), fs=250.0).analysable_s == 0.0

    def test_a_series_and_a_list_are_arrays(self, recording: ectopy.Recording) -> None:
        lead = recording.read(0, recording.n_samples)[:, 0]
        expected = ectopy.analyse(lead, fs=recording.fs).beats.sample.tolist()
        assert ectopy.analyse(pd.Series(lead), fs=recording.fs).beats.sample.tolist() == expected
        assert ectopy.analyse(lead.tolist(), fs=recording.fs).beats.sample.tolist() == expected


class TestWhatDoesNotFit:
    @pytest.mark.parametrize("leads", [0, [0], [None], [b"II"]])
    def test_leads_are_names(self, leads: Any) -> None:
        with pytest.raises(ectopy.NotAnalysableError, match=r"are not names\. Give names of leads"):
            ectopy.analyse(NOISE, fs=250.0, leads=leads)

    def test_a_lead_that_is_not_there_is_named_with_those_that_are(self) -> None:
        named = ectopy.recording_of(NOISE, 250.0, leads=("II", "V1"))
        with pytest.raises(ectopy.NotAnalysableError, match=r"no lead V9\. Name leads among II, V1"):
            ectopy.analyse(named, leads="V9")

    def test_the_error_about_leads_of_an_array_says_how_to_name_them(self) -> None:
        with pytest.raises(
            ectopy.NotAnalysableError, match=r"numbered: lead 1, lead 2\. To name .*recording_of"
        ):
            ectopy.analyse(NOISE, fs=250.0, leads=["II", "V1"])
        assert ectopy.analyse(NOISE, fs=250.0, leads="LEAD 2").leads == ("lead 2",)

    def test_a_unit_is_for_files_and_never_ignored(self) -> None:
        with pytest.raises(
            ectopy.NotAnalysableError, match=r"an array is in mV\. Leave unit out, and divide uV"
        ):
            ectopy.analyse((1000 * NOISE).astype(int), fs=250.0, unit="uV")

    @pytest.mark.parametrize("model", ["models:/ectopy@champion", None, 5])
    def test_a_model_is_a_directory(self, model: Any) -> None:
        with pytest.raises(ectopy.NotAnalysableError, match=r"not a model directory\. Give the path of one"):
            ectopy.analyse(NOISE, fs=250.0, model=model)

    def test_a_model_directory_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"missing: not a model directory \(no model\.onnx\)"):
            ectopy.analyse(NOISE, fs=250.0, model=tmp_path / "missing")

    @pytest.mark.parametrize("path", [None, 5, NOISE])
    def test_a_path_is_text_or_a_path(self, path: Any) -> None:
        with pytest.raises(ectopy.UnreadableError, match=r"a path cannot be .*\. Give text or a Path"):
            ectopy.read(path)

    @pytest.mark.parametrize("name", ["x" * 5000, "a\0b", ""])
    def test_a_name_that_no_file_can_have_is_a_clear_error(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(
            ectopy.UnreadableError, match=r"cannot (be opened|open the file)|no such file|a folder"
        ):
            ectopy.read(f"{tmp_path}/{name}")

    @pytest.mark.parametrize("r_peaks", [[1.5], [5, 5], [9, 5], [-1], [10**9], [[1]], ["a"]], ids=str)
    def test_r_peaks_are_samples_in_order(self, recording: ectopy.Recording, r_peaks: Any) -> None:
        with pytest.raises(ectopy.NotAnalysableError, match=r"R peaks are not samples of the recording"):
            pipeline.prepare(recording, r_peaks=r_peaks)


class TestARecordingOfOnesOwn:
    """``read`` comes from the user; what it returns is checked where it is read."""

    @staticmethod
    def of(read: Any, **changes: Any) -> ectopy.Recording:
        fields: dict[str, Any] = {"name": "x", "fs": 250.0, "leads": ("II", "V1"), "n_samples": 5000}
        return ectopy.Recording(**(fields | {"read": read} | changes))

    @pytest.mark.parametrize(
        ("read", "returned"),
        [
            (lambda start, stop: NOISE.T[:, start:stop], "float64 of shape (2, 5000)"),
            (lambda start, stop: NOISE[start:stop, 0], "float64 of shape (5000,)"),
            (lambda start, stop: NOISE[start : stop - 1], "float64 of shape (4999, 2)"),
            (lambda start, stop: (NOISE[start:stop] * 200).astype(int), "int64 of shape (5000, 2)"),
            (lambda start, stop: NOISE[start:stop].tolist(), "list of shape (5000, 2)"),
            (lambda start, stop: None, "NoneType of shape ()"),
        ],
    )
    def test_what_read_returns_wrongly_is_one_clear_error(self, read: Any, returned: str) -> None:
        problem = f"x: read(0, 5000) returned {returned}. It must return float32 in mV of shape (5000, 2)"
        with pytest.raises(ectopy.UnreadableError, match=re.escape(problem)):
            ectopy.analyse(self.of(read))

    def test_it_is_checked_where_many_leads_are_sampled_too(self) -> None:
        with pytest.raises(ectopy.UnreadableError, match=r"returned float64 of shape \(3, 2500\)"):
            ectopy.analyse(self.of(lambda start, stop: np.zeros((3, stop - start)), leads=("a", "b", "c")))

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"leads": "II"}, "leads are the text 'II'. Give a tuple of names"),
            ({"leads": ("II",) * 2049}, "2049 leads. Give at most 2048"),
            ({"n_samples": 5000.0}, "5000.0 samples at 250 Hz. Give a whole number"),
            ({"n_samples": -1}, "-1 samples at 250 Hz"),
            ({"n_samples": 10**12}, "of at most 100 days"),
            ({"read": NOISE}, "read is no function of start and stop. Use recording_of for an array"),
        ],
    )
    def test_its_fields_are_checked(self, changes: dict[str, Any], problem: str) -> None:
        with pytest.raises(ectopy.UnreadableError, match=re.escape(problem)):
            self.of(**({"read": lambda start, stop: NOISE[start:stop]} | changes))

    @pytest.mark.parametrize(("start", "stop"), [(-1, 5), (5, 4), (0, 5001)])
    def test_samples_outside_it_are_not_read(self, start: int, stop: int) -> None:
        recording = ectopy.recording_of(NOISE, 250.0)
        with pytest.raises(
            ectopy.NotAnalysableError, match=r"are not within the recording\. Choose some from 0"
        ):
            recording.read_leads((0,), start, stop)


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
        share = 100 * analysis.analysable_s / analysis.duration_s
        assert lines["Analysed"] == f"{share:.1f} % of the time"

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
