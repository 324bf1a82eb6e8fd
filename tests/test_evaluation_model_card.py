"""The model card says what the model is, what it reads and what it reaches, rendered or not."""

import re
from pathlib import Path

from ectopy.datasets import catalogue
from ectopy.evaluation import headline_metrics, model_card
from ectopy.evaluation.failures import KINDS, worst_records
from ectopy.features.extraction import FEATURE_NAMES
from ectopy.model.training_sources import SourceRecords, TrainingSource
from tests.evaluations import RECORDS, comparison, evaluation_of

FAILURES = tuple(
    failure for kind in KINDS for failure in worst_records([evaluation_of("100", "NVNNAN", "NNNNNN")], kind)
)


class TestCard:
    def test_the_card_says_what_the_model_must_not_be_used_for_and_what_it_reaches(self):
        mitdb, svdb = (
            SourceRecords(source, catalogue.find_database(source.database), Path(), *records)
            for source, records in (
                (TrainingSource("mitdb"), (("101", "106"), ("100", "103"), ("102",))),
                (TrainingSource("svdb", weight=0.5, beat_map="ec57"), (("800",), (), ())),
            )
        )
        text = model_card.build_model_card(
            model="ectopy",
            sources=[mitdb, svdb],
            config={"epochs": 3},
            out_of_fold=headline_metrics.summarise(RECORDS),
            calibration_error=0.0123,
        )
        assert "Not a medical device" in text
        assert "(mitdb 1.0.0), weight 1, escape beats (e, j, n) as N: 101, 106.\n" in text
        assert re.search(r"  Held out: 100, 103, .* 234\.\n  Used for neither: 102\.", text)
        assert "(svdb 1.0.0), weight 0.5, escape beats (e, j, n) as S: 800.\n" in text
        assert "  Held out: 803, 807, " in text  # as the catalogue has them
        assert "| epochs | 3 |" in text
        assert "75.0 / 100.0 / 85.7" in text  # SVEB Se, +P, F1 of 45 of 60, none false

    def test_intervals_stand_under_the_short_names_of_their_figures(self):
        table = headline_metrics.interval_table(RECORDS, {record: record for record in RECORDS})
        head, _, first, *_ = model_card.interval_rows(table).splitlines()
        assert (
            head == "| records | QRS Se | QRS +P | VEB Se | VEB +P | VEB F1 | SVEB Se | SVEB +P | SVEB F1 |"
        )
        assert first.split(" | ")[0] == "| all records"
        assert first.split(" | ")[6] == "50.0 - 80.0"

    def test_an_interval_of_nothing_is_a_dash(self):
        table = {"records": ["all"], "figure": ["veb_f1"], "low": [float("nan")], "high": [float("nan")]}
        assert model_card.interval_rows(table).splitlines()[-1] == "| all records | - |"

    def test_the_record_table_has_a_row_a_record_and_dashes_for_what_is_undefined(self):
        lines = model_card.record_table(headline_metrics.metrics_by_record(RECORDS)).splitlines()
        head = "| record | N | S | V | QRS Se | QRS +P | VEB Se | VEB +P | VEB F1 | SVEB Se | SVEB +P | SVEB F1 |"
        assert head in lines
        assert lines[-1].startswith("| 202 | 90 | 10 | 0 | 100.0 | 100.0 | - | 0.0 | - | 50.0 | 100.0 |")

    def test_the_card_says_that_202_is_a_training_patient(self):
        table = headline_metrics.interval_table(RECORDS, {record: record for record in RECORDS})
        figures = headline_metrics.group_by_subset(headline_metrics.by_subset(RECORDS))
        assert "202 is the same patient as 201" in model_card.held_out_section("title", figures, table)

    def test_an_undefined_figure_is_a_dash(self):
        assert "- / - / -" in model_card.metrics_table({"x": {}})

    def test_every_feature_is_listed_in_its_group(self):
        listed = model_card.feature_list()
        assert all(name.removeprefix("lead 1: ").removeprefix("lead 2: ") in listed for name in FEATURE_NAMES)
        assert "others" not in listed

    def test_a_feature_of_no_known_group_is_listed_all_the_same(self, monkeypatch):
        monkeypatch.setattr(model_card, "FEATURE_NAMES", (*FEATURE_NAMES, "phase of the moon"))
        assert model_card.feature_list().endswith("* others: phase of the moon")

    def test_the_noise_table_tells_what_was_lost_in_unreadable_time_apart(self):
        noisy = {"118e00": comparison(NN=60, NX=30, NO=10)}
        table = model_card.noise_table(headline_metrics.by_noise(noisy, {"118e00": 0}))
        assert table.splitlines()[-1] == "| 0 | 60.00 / 100.00 | - / - / - | 30.0 | 85.71 |"  # 60 of 70


class TestMarkdown:
    def test_columns_are_aligned_names_to_the_left_and_numbers_to_the_right(self):
        text = model_card.markdown({"record": ["100", "s1-001"], "F1": [97.5, 100.0]})
        assert text.splitlines() == [
            "| record |    F1 |",
            "| ------ | ----: |",
            "| 100    |  97.5 |",
            "| s1-001 | 100.0 |",
        ]

    def test_what_is_undefined_is_a_dash(self):
        text = model_card.markdown({"record": ["100"], "Se": [None], "+P": [float("nan")]})
        assert text.splitlines()[-1] == "| 100    |  - |  - |"

    def test_a_table_without_rows_has_its_head(self):
        assert model_card.markdown({"record": []}).splitlines() == ["| record |", "| ------ |"]


class TestSections:
    def test_a_section_has_a_title_and_paragraphs(self):
        assert model_card.section("Runs", "one", "two") == "\n## Runs\n\none\n\ntwo\n"

    def test_failures_are_listed_with_their_pictures_where_there_is_a_folder_of_them(self):
        text = model_card.failures_section(FAILURES, "model-card")
        assert (
            "* 100, VEB: 1 missed, 0 false; shown at 302 s, V classified as N (100 % of these errors)" in text
        )
        assert "![](model-card/100-veb.png)" in text
        assert "![](model-card/100-sveb.png)" in text

    def test_without_a_folder_it_is_said_where_the_strips_are(self):
        text = model_card.failures_section(FAILURES)
        assert "![" not in text
        assert "`where-it-fails/`" in text

    def test_a_model_without_an_error_fails_nowhere(self):
        assert "No ectopic beat was missed or falsely detected." in model_card.failures_section(())
