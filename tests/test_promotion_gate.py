"""A challenger is promoted by its cross-validation: floors, worse nowhere, and not worse in sum."""

from dataclasses import replace

import pytest

from ectopy.ec57.paired import summarise
from ectopy.ec57.record_counts import RecordCounts
from ectopy.registry.evidence import Evidence
from ectopy.registry.promotion_gate import (
    GATE_METRICS,
    Margins,
    MinimumScores,
    PromotionDecision,
    compare,
    judge,
    mean_difference,
)
from tests.counts import beats, drawn

NO_FLOORS = MinimumScores(-1.0, -1.0)
GOOD = dict(zip(GATE_METRICS, (0.999, 0.95, 0.7, 0.9, 0.6), strict=True))


def known(**metrics_by_database: dict[str, float]) -> Evidence:
    """Give a version of which only metrics are known; those of its first database are its overall ones."""
    return Evidence(next(iter(metrics_by_database.values())), metrics_by_database)


def counted(seed: int = 0, **found: float) -> Evidence:
    """Give a version with counts of 20 patients of each database, of whose ectopic beats it finds a share."""
    records = tuple(
        RecordCounts(database, f"{k}", f"{database}/{k}", drawn(k, seed=seed, found=share))
        for database, share in found.items()
        for k in range(20)
    )
    overall = summarise([record.beats for record in records])
    return Evidence(overall, dict.fromkeys(found, overall), records)


def decision(
    challenger: Evidence, champion: Evidence | None, minimum: MinimumScores = NO_FLOORS
) -> PromotionDecision:
    return judge(challenger, champion, minimum, Margins())


class TestMinimum:
    def test_without_a_champion_the_floors_decide(self) -> None:
        assert decision(known(mitdb=GOOD), None, MinimumScores(veb_f1=0.9, sveb_f1=0.6)).promoted

    def test_under_a_floor_there_is_no_promotion_and_the_reason_says_which(self) -> None:
        verdict = decision(known(mitdb=GOOD), None, MinimumScores(veb_f1=0.96, sveb_f1=0.6))
        assert not verdict.promoted
        assert verdict.reason == "gross/veb_f1 95.0 % is below the minimum of 96.0 %"

    def test_what_is_undefined_is_under_every_floor(self) -> None:
        undefined = GOOD | {"gross/sveb_f1": float("nan")}
        assert not decision(known(mitdb=undefined), None, MinimumScores(0.5, 0.0)).promoted
        assert not decision(known(mitdb={}), None, MinimumScores(0.0, 0.0)).promoted

    def test_better_than_the_champion_does_not_help_under_a_floor(self) -> None:
        better, champion = counted(mitdb=0.8), counted(mitdb=0.7)
        assert decision(better, champion).promoted
        assert not decision(better, champion, MinimumScores(0.99, 0.4)).promoted


class TestCounts:
    def test_an_equal_challenger_is_promoted(self) -> None:
        same = counted(mitdb=0.8, svdb=0.7)
        verdict = decision(same, same)
        assert verdict.promoted
        assert "the mean of the differences over all records is +0.00 points" in verdict.reason

    def test_better_on_one_database_does_not_make_up_for_another(self) -> None:
        verdict = decision(counted(mitdb=0.95, svdb=0.65), counted(mitdb=0.7, svdb=0.7))
        assert not verdict.promoted
        assert "gross/veb_f1 on svdb" in verdict.reason
        assert "worse beyond noise" in verdict.reason
        assert "on mitdb" not in verdict.reason

    def test_a_reason_lists_a_few_failures_and_counts_the_others(self) -> None:
        verdict = decision(counted(mitdb=0.6, svdb=0.6), counted(mitdb=0.8, svdb=0.8))
        *listed, more, compared = verdict.reason.split("; ")
        assert len(listed) == 4
        assert more == "and 9 more, see the table"  # four metrics of three groups, and their mean
        assert compared == "compared on 20 records of mitdb, 20 records of svdb"

    def test_a_difference_within_noise_does_not_refuse(self) -> None:
        # One metric of one database is a little lower, others are higher.
        champion, challenger = counted(mitdb=0.8), counted(mitdb=0.8, seed=10)
        rows = {row.metric: row for row in compare(challenger, champion)}
        lower = rows["gross/veb_f1"].difference
        assert -0.01 < lower.value < 0 < lower.high
        assert decision(challenger, champion).promoted

    def test_lower_in_sum_is_refused_though_within_noise_everywhere(self) -> None:
        champion, challenger = counted(mitdb=0.8), counted(mitdb=0.8, seed=2)
        verdict = decision(challenger, champion)
        assert not verdict.promoted
        assert "worse" not in verdict.reason
        assert verdict.reason.startswith("the mean of the differences over all records is -0.")

    def test_a_loss_beyond_the_margin_is_refused_though_within_noise(self) -> None:
        # All of the loss is in one patient of two, so the interval is wide.
        champion = Evidence(GOOD, {"mitdb": GOOD}, tuple(
            RecordCounts("mitdb", f"{k}", f"mitdb/{k}", beats(NN=900, VV=100)) for k in range(2)
        ))  # fmt: skip
        worse = replace(champion.records[0], beats=beats(NN=900, VV=90, VN=10))
        verdict = decision(replace(champion, records=(worse, champion.records[1])), champion)
        assert "(-2.56 points, 95 % -5.26 to +0.00): worse by more than 1 points" in verdict.reason

    def test_beats_lost_in_every_patient_are_worse_beyond_noise_however_few(self) -> None:
        champion = counted(mitdb=0.8)
        lost = tuple(replace(record, beats=record.beats + beats(NO=2, NN=-2)) for record in champion.records)
        verdict = decision(replace(champion, records=lost), champion)
        assert not verdict.promoted
        assert "gross/qrs_f1 on mitdb" in verdict.reason

    def test_the_order_of_records_does_not_matter(self) -> None:
        champion, challenger = counted(mitdb=0.7, svdb=0.7), counted(mitdb=0.75, svdb=0.7, seed=1)
        shuffled = [replace(e, records=e.records[::-1]) for e in (challenger, champion)]
        assert decision(shuffled[0], shuffled[1]) == decision(challenger, champion)

    def test_records_that_only_one_has_do_not_count(self) -> None:
        champion, challenger = counted(mitdb=0.8), counted(mitdb=0.8, seed=1)
        hopeless = RecordCounts("mitdb", "999", "mitdb/999", beats(VN=100_000))
        more = replace(challenger, records=(*challenger.records, hopeless))
        assert compare(more, champion) == compare(challenger, champion)

    def test_records_with_other_labels_are_not_compared(self) -> None:
        champion = counted(mitdb=0.8)
        relabelled = replace(champion.records[0], beats=champion.records[0].beats + beats(VV=50))
        rows = compare(replace(champion, records=(relabelled, *champion.records[1:])), champion)
        assert {row.patients for row in rows} == {19}
        assert mean_difference(rows) == 0.0

    def test_all_records_are_a_group_of_their_own(self) -> None:
        same = counted(mitdb=0.8, svdb=0.7)
        rows = compare(same, same)
        assert [row.records for row in rows[:: len(GATE_METRICS)]] == ["mitdb", "svdb", "all"]
        assert [row.patients for row in rows[:: len(GATE_METRICS)]] == [20, 20, 40]

    def test_the_table_has_a_row_for_each_metric_and_the_range_of_single_networks(self) -> None:
        champion = counted(mitdb=0.8)
        members = tuple(
            replace(record, members=(record.beats, record.beats + beats(NV=30)))
            for record in champion.records
        )
        table = decision(replace(champion, records=members), champion).comparison
        assert table["metric"] == list(GATE_METRICS)
        assert table["difference"] == ["+0.00"] * len(GATE_METRICS)
        assert set(table["verdict"]) == {"within noise"}
        assert "single networks, champion" not in table
        low, high = map(float, str(table["single networks, challenger"][1]).split(" - "))
        assert low < high == pytest.approx(float(str(table["champion"][1])), abs=0.05)


class TestWhatCannotBeJudged:
    """A rule without the records that it is about refuses, and names them."""

    def test_a_challenger_with_counts_of_a_few_records_of_the_champion_is_not_promoted(self) -> None:
        champion = counted(svdb=0.8)
        few = replace(counted(svdb=0.9), records=counted(svdb=0.9).records[:2])
        verdict = decision(few, champion)
        names = ", ".join(sorted(record.record for record in champion.records[2:])[:5])
        assert not verdict.promoted
        assert verdict.reason == (
            f"cannot be judged on 18 of 20 records of svdb ({names} and 13 more): it has no counts with the same beats; "
            "compared on 2 records of svdb"
        )

    def test_a_record_with_other_labels_is_named(self) -> None:
        champion = counted(mitdb=0.8)
        relabelled = replace(champion.records[0], beats=champion.records[0].beats + beats(VV=50))
        verdict = decision(replace(champion, records=(relabelled, *champion.records[1:])), champion)
        assert not verdict.promoted
        assert "cannot be judged on 1 of 20 records of mitdb (0)" in verdict.reason

    def test_a_new_database_on_which_the_champion_was_analysed_in_part_refuses(self) -> None:
        challenger = counted(mitdb=0.8, svdb=0.8)
        svdb = [record for record in challenger.records if record.database == "svdb"]
        champion = replace(counted(mitdb=0.8), unseen=tuple(svdb[:19]))
        verdict = decision(challenger, champion)
        assert not verdict.promoted
        assert verdict.reason.startswith(
            "cannot be judged on 1 of 20 records of svdb (19): the champion has no counts with the same "
            "beats, run `ectopy ingest svdb` and `ectopy evaluate`"
        )
        assert "cannot load the champion, `ectopy models promote --reason TEXT`" in verdict.reason
        assert decision(challenger, replace(champion, unseen=tuple(svdb))).promoted

    def test_a_database_that_is_missing_is_named_once(self) -> None:
        verdict = decision(counted(mitdb=0.8, svdb=0.8), counted(mitdb=0.8))
        assert "cannot be judged on 20 of 20 records of svdb" in verdict.reason
        assert "not compared on svdb" not in verdict.reason

    def test_a_database_of_the_champion_alone_needs_all_its_records_too(self) -> None:
        champion, challenger = counted(mitdb=0.8, svdb=0.8), counted(mitdb=0.8)
        svdb = [record for record in champion.records if record.database == "svdb"]
        verdict = decision(replace(challenger, unseen=tuple(svdb[1:])), champion)
        assert "cannot be judged on 1 of 20 records of svdb (0): it has no counts" in verdict.reason
        assert decision(replace(challenger, unseen=tuple(svdb)), champion).promoted

    def test_a_patient_whom_the_champion_has_seen_is_not_missed(self) -> None:
        champion = counted(mitdb=0.8)
        noisy = RecordCounts("nstdb", "118e06", "mitdb/118", beats(NN=9))
        same_patient = RecordCounts("otherdb", "x", champion.records[0].patient, beats(NN=9))
        challenger = replace(champion, records=(*champion.records, noisy, same_patient))
        verdict = decision(challenger, champion)
        assert verdict.promoted
        assert "not compared on nstdb, otherdb" in verdict.reason

    def test_records_that_the_champion_left_out_of_its_database_are_named(self) -> None:
        champion = counted(mitdb=0.8)
        more = RecordCounts("mitdb", "999", "mitdb/999", beats(VN=100))
        verdict = decision(replace(champion, records=(*champion.records, more)), champion)
        assert verdict.promoted
        assert "not compared on 1 of 21 records of mitdb (999)" in verdict.reason

    def test_counts_that_the_champion_has_of_a_former_rival_s_database_are_not_asked_of_others(self) -> None:
        challenger = counted(mitdb=0.8)
        champion = replace(challenger, unseen=counted(incartdb=0.8).records)
        assert decision(challenger, champion).promoted

    def test_a_metric_that_is_undefined_for_one_of_them_refuses(self) -> None:
        undefined = GOOD | {"gross/sveb_f1": float("nan")}
        absent = {name: value for name, value in GOOD.items() if name != "gross/sveb_f1"}
        for before, after in ((GOOD, undefined), (undefined, GOOD), (GOOD, absent)):
            verdict = decision(known(mitdb=after), known(mitdb=before))
            assert not verdict.promoted
            assert "gross/sveb_f1 on mitdb" in verdict.reason
            assert "cannot be judged" in verdict.comparison["verdict"]
        assert decision(known(mitdb=absent), known(mitdb=undefined)).promoted

    def test_a_class_that_only_one_reference_has_cannot_be_judged_by_counts_either(self) -> None:
        # A beat or two of the reference may differ between counts with the same labels.
        champion = Evidence(GOOD, {"mitdb": GOOD}, tuple(
            RecordCounts("mitdb", f"{k}", f"mitdb/{k}", beats(NN=900, VV=1)) for k in range(2)
        ))  # fmt: skip
        without = tuple(replace(record, beats=beats(NN=901)) for record in champion.records)
        verdict = decision(replace(champion, records=without), champion)
        assert not verdict.promoted
        assert "gross/veb_f1 on mitdb undefined, the champion's 100.0 %: cannot be judged" in verdict.reason


class TestMetricsAlone:
    """Versions of ectopy 0.2 have no counts, so their metrics are compared, without intervals."""

    @pytest.mark.parametrize("figure", GATE_METRICS)
    def test_a_challenger_worse_by_more_than_its_margin_is_not_promoted(self, figure: str) -> None:
        loss = Margins().margin_of(figure) + 0.001
        verdict = decision(known(mitdb=GOOD | {figure: GOOD[figure] - loss}), known(mitdb=GOOD))
        assert not verdict.promoted
        assert f"{figure} on mitdb" in verdict.reason

    def test_an_equal_challenger_is_promoted_and_the_reason_says_how_it_was_compared(self) -> None:
        verdict = decision(known(mitdb=GOOD), known(mitdb=GOOD))
        assert verdict.promoted
        assert verdict.reason.endswith("on mitdb only the metrics of both are known, so without intervals")
        assert set(verdict.comparison["verdict"]) == {"within the margin"}

    def test_what_refused_a_better_model_once_does_so_no_more(self) -> None:
        # Out of fold, sequences of 64 beats had VEB F1 92.2 against 93.0, and SVEB F1 84.7 against 79.4.
        before = GOOD | {"gross/veb_f1": 0.930, "gross/sveb_f1": 0.794}
        after = GOOD | {"gross/veb_f1": 0.922, "gross/sveb_f1": 0.847}
        assert decision(known(mitdb=after), known(mitdb=before)).promoted
        assert not decision(known(mitdb=before), known(mitdb=after)).promoted

    def test_figures_on_held_out_patients_have_no_say(self) -> None:
        worse_there = GOOD | {"detected/all/gross/veb_f1": 0.1}
        better_there = GOOD | {"detected/all/gross/veb_f1": 0.99}
        assert decision(known(mitdb=worse_there), known(mitdb=better_there)).promoted

    def test_counts_of_one_database_and_metrics_of_another_decide_together(self) -> None:
        # The mean is that of the differences on both; here the loss on svdb outweighs.
        champion, challenger = counted(svdb=0.8), counted(svdb=0.8)
        metrics = {"gross/sveb_f1": GOOD["gross/sveb_f1"] - 0.02}
        both = [replace(e, metrics={**e.metrics, "mitdb": GOOD | more}) for e, more in ((challenger, metrics), (champion, {}))]  # fmt: skip
        verdict = decision(*both)
        assert verdict.reason.startswith("the mean of the differences over all records is -0.20 points")


class TestOtherDatabases:
    def test_a_database_of_the_challenger_alone_is_named_and_does_not_decide(self) -> None:
        verdict = decision(known(mitdb=GOOD, svdb=GOOD), known(mitdb=GOOD))
        assert verdict.promoted
        assert "not compared on svdb, where the champion has no metrics" in verdict.reason

    def test_a_database_of_the_champion_alone_refuses(self) -> None:
        verdict = decision(known(mitdb=GOOD), known(mitdb=GOOD, svdb=GOOD))
        assert not verdict.promoted
        assert verdict.reason.startswith(
            "it cannot be compared with the champion on svdb: no metrics of both"
        )

    def test_versions_of_two_databases_are_not_compared(self) -> None:
        verdict = decision(known(svdb=GOOD), known(mitdb=GOOD))
        assert not verdict.promoted
        assert "cannot be compared with the champion on mitdb" in verdict.reason

    def test_a_champion_without_any_metrics_stays_until_a_person_decides(self) -> None:
        assert not decision(known(mitdb=GOOD), Evidence({}, {})).promoted
