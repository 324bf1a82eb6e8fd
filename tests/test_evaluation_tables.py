"""Tables: what stands beside what, and what is left empty."""

import pytest

from ectopy.evaluation import aggregate
from ectopy.evaluation.tables import (
    BEAT_ROWS,
    ROWS,
    af_table,
    overview_table,
    run_table,
    seed_table,
    shutdown_table,
)
from tests.evaluations import evaluation_of, marks, with_shutdown

COUPLETS = evaluation_of("100", "NVVNNVVNNN", "NVVNNVNNNN", members=("NVVNNVVNNN", "NNNNNNNNNN"))
SHORT = evaluation_of("101", "NVVVNVNNNN", "NVVVNVNNNN", members=("NVVVNVNNNN", "NVVVNNNNNN"))
PACED = evaluation_of("102", "N/VVN/NNNN", "NNVVNNNNNN")
ALL_N = "N" * 100
FIBRILLATING = evaluation_of(
    "201", marks(ALL_N, {0: "(N", 40: "(AFIB", 90: "(N"}), marks(ALL_N, {0: "(N", 50: "(AFIB", 90: "(N"})
)
CALLED_FALSELY = evaluation_of("202", marks(ALL_N, {0: "(N"}), marks(ALL_N, {0: "(AFIB", 40: "(N"}))
SHUT = evaluation_of("103", "NNNVANNNNN", with_shutdown(marks("NNN...NNNN"), 3, 5))


class TestGlance:
    def table(self, held_out, everyone=None, paced=None, *, members=False):
        seeds = aggregate.spread(aggregate.member_metrics(held_out)) if members else {}
        table = overview_table(
            aggregate.summarise_group("DS2", held_out, extra={"calibration_error/likeliest_class": 0.0123}),
            seeds,
            aggregate.summarise_group("all 3 not paced", everyone) if everyone else None,
            aggregate.summarise_with_paced("all 4", paced) if paced else None,
        )
        return {row[0]: row[1:] for row in zip(*table.values(), strict=True)}

    def test_ds2_stands_apart_from_all_records(self):
        rows = self.table([COUPLETS], [COUPLETS, SHORT], [COUPLETS, SHORT, PACED])
        ds2, _, clean, _, everyone = rows["ventricular couplet Se"]
        assert (ds2, clean, everyone) == ("50.0", "50.0", "66.7")
        assert rows["VEB Se"][0] == "75.0"
        assert (rows["VEB Se"][2], rows["VEB Se"][4]) == ("87.5", "")  # no class where paced beats are in

    def test_what_was_asked_of_the_held_out_alone_is_empty_elsewhere(self):
        rows = self.table([COUPLETS], [COUPLETS, SHORT])
        assert rows["calibration error (0 to 1)"] == ("0.0123", "", "", "")

    def test_what_is_undefined_is_a_dash_and_what_nobody_asked_is_no_row(self):
        rows = self.table([SHORT])
        assert rows["SVEB Se"][0] == "-"
        assert "AF time Se, AF records" not in rows
        assert rows["AF episodes detected, all records"][0] == "0"

    def test_counts_are_out_of_how_many(self):
        assert self.table([COUPLETS])["ventricular long runs found"][0] == "0 of 0"

    def test_seeds_and_intervals_stand_beside(self):
        row = self.table([COUPLETS, SHORT], members=True)["VEB Se"]
        assert row == ("87.5", "75.0 - 100.0", "68.8 ± 44.2 (37.5 - 100.0)")


class TestSeeds:
    def test_the_table_has_a_column_a_member(self):
        examined = [COUPLETS, SHORT]
        ensemble = aggregate.gross_metrics([each.outcome for each in examined])
        table = seed_table(ensemble, aggregate.member_metrics(examined), rows=BEAT_ROWS)
        assert list(table) == ["%", "ensemble", "member 0", "member 1", "mean ± sd (range)"]
        at = table["%"].index("VEB Se")
        assert [table[column][at] for column in table] == [
            *("VEB Se", "87.5", "100.0", "37.5"),
            "68.8 ± 44.2 (37.5 - 100.0)",
        ]

    def test_the_mean_of_counts_has_a_digit_more_than_a_count(self):
        row = next(row for row in ROWS if row.title == "ventricular long runs found")
        counted = aggregate.spread([{row.metric: 1.0}, {row.metric: 2.0}])
        assert row.over_seeds(counted) == "1.5 ± 0.7 (1 - 2)"


class TestByRecord:
    def test_runs_have_a_row_a_kind_and_length_of_each_group(self):
        told = [
            aggregate.summarise_group("held out", [COUPLETS, SHORT]),
            aggregate.summarise_with_paced("all", [PACED]),
        ]
        table = run_table(told)
        rows = list(zip(*table.values(), strict=True))
        assert len(rows) == 2 * 2 * 3
        # 1 of 2 couplets found, or none, as the one patient who has them is drawn or not
        assert rows[0][:6] == ("held out", "ventricular", "couplet", 2, 1, 50.0)
        assert rows[6][:6] == ("all", "ventricular", "couplet", 1, 1, 100.0)
        assert rows[6][6:8] == (None, None)

    def test_af_has_a_row_a_record_that_has_it_or_was_called_so(self):
        table = af_table([COUPLETS, FIBRILLATING, CALLED_FALSELY])
        assert table["record"] == ["201", "202"]
        assert (table["AF s"], table["called s"]) == ([40.0, 0.0], [32.0, 32.0])
        assert table["confirmed"] == [1, 0]

    def test_the_table_has_a_row_a_record_with_the_classes_lost(self):
        table = shutdown_table([SHUT, COUPLETS])
        rows = list(zip(*table.values(), strict=True))
        assert rows[0] == ("103", 309.0, 2.4, pytest.approx(0.78), 1, 1, 1, 0, 0)
        assert rows[1] == ("100", 309.0, 0.0, 0.0, 0, 0, 0, 0, 0)
