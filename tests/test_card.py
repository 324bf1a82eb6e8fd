"""The model card says what the model is, what it reads and what it reaches."""

from ectopy import card, evaluation
from ectopy.features import FEATURE_NAMES
from tests.examined import RECORDS, comparison


class TestCard:
    def test_the_card_says_what_the_model_must_not_be_used_for_and_what_it_reaches(self):
        text = card.model_card(
            model="ectopy",
            data="mitdb",
            records=("101", "106"),
            held_out=("100", "103"),
            left_out=("102",),
            config={"epochs": 3},
            out_of_fold=evaluation.summarise(RECORDS),
            calibration_error=0.0123,
        )
        assert "Not a medical device" in text
        assert "101, 106." in text
        assert "examined on: 100, 103.\nIn neither: 102." in text
        assert "| epochs | 3 |" in text
        assert "75.0 / 100.0 / 85.7" in text  # SVEB Se, +P, F1 of 45 of 60, none false

    def test_intervals_stand_under_the_short_names_of_their_figures(self):
        table = evaluation.interval_table(RECORDS, {record: record for record in RECORDS})
        head, _, first, *_ = card.interval_rows(table).splitlines()
        assert (
            head == "| records | QRS Se | QRS +P | VEB Se | VEB +P | VEB F1 | SVEB Se | SVEB +P | SVEB F1 |"
        )
        assert first.split(" | ")[0] == "| all records"
        assert first.split(" | ")[6] == "50.0 - 80.0"

    def test_an_interval_of_nothing_is_a_dash(self):
        table = {"records": ["all"], "figure": ["veb_f1"], "low": [float("nan")], "high": [float("nan")]}
        assert card.interval_rows(table).splitlines()[-1] == "| all records | - |"

    def test_the_record_table_has_a_row_a_record_and_dashes_for_what_is_undefined(self):
        lines = card.record_table(evaluation.per_record(RECORDS)).splitlines()
        head = "| record | N | S | V | QRS Se | QRS +P | VEB Se | VEB +P | VEB F1 | SVEB Se | SVEB +P | SVEB F1 |"
        assert head in lines
        assert lines[-1].startswith("| 202 | 90 | 10 | 0 | 100.0 | 100.0 | - | 0.0 | - | 50.0 | 100.0 |")

    def test_the_card_says_that_202_is_a_training_patient(self):
        table = evaluation.interval_table(RECORDS, {record: record for record in RECORDS})
        figures = evaluation.grouped(evaluation.by_subset(RECORDS))
        assert "202 is 201 of the training records" in card.examination("title", figures, table)

    def test_bounds_are_metrics_by_subset_and_figure(self):
        table = evaluation.interval_table(RECORDS, {record: record for record in RECORDS})
        told = evaluation.bounds(table)
        assert (told["all/gross/sveb_sensitivity_low"], told["all/gross/sveb_sensitivity_high"]) == (0.5, 0.8)

    def test_an_undefined_figure_is_a_dash(self):
        assert "- / - / -" in card.figures_table({"x": {}})

    def test_every_feature_is_listed_in_its_group(self):
        listed = card.features_list()
        assert all(name.removeprefix("lead 1: ").removeprefix("lead 2: ") in listed for name in FEATURE_NAMES)
        assert "others" not in listed

    def test_a_feature_of_no_known_group_is_listed_all_the_same(self, monkeypatch):
        monkeypatch.setattr(card, "FEATURE_NAMES", (*FEATURE_NAMES, "phase of the moon"))
        assert card.features_list().endswith("* others: phase of the moon")

    def test_the_noise_table_tells_what_was_lost_in_unreadable_time_apart(self):
        noisy = {"118e00": comparison(NN=60, NX=30, NO=10)}
        table = card.noise_table(evaluation.by_noise(noisy, {"118e00": 0}))
        assert table.splitlines()[-1] == "| 0 | 60.00 / 100.00 | - / - / - | 30.0 | 85.71 |"  # 60 of 70
