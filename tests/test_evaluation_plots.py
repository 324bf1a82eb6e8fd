"""What the drawings show can be read back from them."""

import numpy as np
import pytest

from ectopy.ec57 import gross
from ectopy.evaluation import calibration, headline_metrics, plots
from ectopy.evaluation.failures import Excerpt, Marks
from tests.evaluations import RECORDS, evaluation_of


class TestDrawings:
    def test_the_confusion_matrix_shows_every_count(self):
        figure = plots.confusion_matrix(gross(RECORDS.values()), "title")
        texts = [text.get_text().split("\n")[0] for text in figure.axes[0].texts]
        assert texts[:4] == ["220", "0", "10", "0"]
        assert len(texts) == 20

    def test_the_forest_has_a_row_a_record_and_gross_with_its_intervals_last(self):
        spread = headline_metrics.bootstrap_intervals(RECORDS, {record: record for record in RECORDS})
        veb, sveb = plots.forest(RECORDS, "title", spread).axes
        assert [label.get_text() for label in veb.get_yticklabels()] == [*RECORDS, "gross"]
        sensitivity, interval = sveb.lines[0], sveb.lines[1]
        np.testing.assert_allclose(sensitivity.get_xdata(), [np.nan, 80, 50, 75])
        np.testing.assert_allclose(interval.get_xdata(), [50, 80])

    def test_the_noise_curve_goes_from_noisy_to_clean(self):
        found = headline_metrics.by_noise(RECORDS, {"231": 24, "232": -6, "202": 6})
        figure = plots.noise_curve(found, "title")
        assert np.asarray(figure.axes[0].lines[0].get_xdata()).tolist() == [-6, 6, 24]


class TestConfidence:
    @pytest.fixture
    def judged(self):
        # Ten beats, each surer than the one before; the two least sure are wrong.
        return evaluation_of("r", "N" * 10, "VV" + "N" * 8, certainty=np.linspace(0.5, 0.95, 10)).calibration

    def test_the_risk_falls_where_what_is_wrong_is_unsure(self, judged):
        (axes,) = plots.risk_coverage(judged, "title").axes
        coverage, error = (np.asarray(each) for each in axes.lines[0].get_data())
        assert (coverage[-1], error[-1], error[7]) == (100, 20, 0)

    def test_reliability_has_a_curve_a_class_and_one_of_the_likeliest(self, judged):
        curves, counts = plots.reliability(judged, "title").axes
        assert [line.get_label() for line in curves.lines[1:]] == list(calibration.reliability_data(judged))
        assert sum(counts.lines[0].get_ydata()) == 10


class TestStrip:
    CUT = Excerpt(
        np.zeros((720, 2), dtype=np.float32),
        100.0,
        ("II", "V1"),
        300.0,
        Marks([301.0, 302.0, 303.0], ["N", "V", "N"]),
        Marks([301.05, 302.0], ["N", "N"]),
    )

    def letters(self):
        axes = plots.strip(self.CUT, "title").axes[0]
        return [(t.get_text(), t.get_color()) for t in axes.texts if len(t.get_text()) == 1]

    def test_what_both_say_is_grey_and_what_they_differ_in_is_red(self):
        grey, red = "#606060", "red"
        above = [("N", grey), ("V", red), ("N", red)]  # the third was not found
        assert self.letters() == [*above, ("N", grey), ("N", red)]

    def test_there_is_a_trace_a_lead_on_the_recording_s_own_time(self):
        leads = plots.strip(self.CUT, "title").axes
        assert [axes.get_ylabel() for axes in leads] == ["II (mV)", "V1 (mV)"]
        assert leads[0].get_xlim() == pytest.approx((300.0, 307.19))
