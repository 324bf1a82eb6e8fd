"""Two models on the same records: differences with intervals by patient, and the file of counts behind them."""

import math

import numpy as np
import pytest

from ectopy.ec57 import average, compute_metrics, gross
from ectopy.ec57.paired import COMPARED, RecordPair, compare_pairs, summarise_networks
from ectopy.ec57.record_counts import RecordCounts, from_json, to_json
from tests.counts import beats, drawn


def pairs(n: int = 20, *, first: float = 0.8, second: float = 0.8, seed: int = 0) -> list[RecordPair]:
    """Give records of n patients, the same beats for both models."""
    told = []
    for k in range(n):
        a, b = (drawn(k, seed=seed, found=found) for found in (first, second))
        told.append(RecordPair(f"p{k}", f"r{k}", a, b))
    return told


def test_the_two_metrics_are_those_of_ec57() -> None:
    told, records = compare_pairs(pairs(second=0.9)), pairs(second=0.9)
    for side, name in (("first", "first"), ("second", "second")):
        comparisons = [getattr(record, side) for record in records]
        for kind, metrics in (
            ("gross", compute_metrics(gross(comparisons))),
            ("average", average(comparisons)),
        ):
            for metric in ("veb_f1", "sveb_f1"):
                assert getattr(told[f"{kind}/{metric}"], name) == pytest.approx(metrics[metric])


def test_f1_of_qrs_is_the_harmonic_mean() -> None:
    record = beats(NN=90, NO=10, ON=30)
    told = compare_pairs([RecordPair("p", "r", record, record)])["gross/qrs_f1"].first
    assert told == pytest.approx(2 / (1 / record.qrs_sensitivity + 1 / record.qrs_positive_predictivity))


def test_a_model_differs_from_itself_by_nothing() -> None:
    record = [pair._replace(second=pair.first) for pair in pairs()]
    for difference in compare_pairs(record).values():
        assert (difference.value, difference.low, difference.high) == (0.0, 0.0, 0.0)


def test_the_order_of_the_records_does_not_matter() -> None:
    records = pairs(second=0.85)
    shuffled = [records[k] for k in np.random.default_rng(0).permutation(len(records))]
    assert compare_pairs(shuffled) == compare_pairs(records)


def test_models_exchanged_turn_the_interval_round() -> None:
    records = pairs(second=0.85)
    turned = compare_pairs([pair._replace(first=pair.second, second=pair.first) for pair in records])
    for name, difference in compare_pairs(records).items():
        assert turned[name].value == pytest.approx(-difference.value)
        assert (turned[name].low, turned[name].high) == pytest.approx((-difference.high, -difference.low))


def test_a_model_that_finds_more_in_every_patient_is_better_beyond_noise() -> None:
    for name, difference in compare_pairs(pairs(first=0.7, second=0.9)).items():
        assert name == "gross/qrs_f1" or difference.low > 0


def test_the_interval_of_the_difference_is_narrower_than_patients_differ() -> None:
    # Patients from easy to hard; the second model finds one beat more in each.
    records = [
        RecordPair(f"p{k}", "r", beats(VV=10 * k, VN=200 - 10 * k), beats(VV=10 * k + 1, VN=199 - 10 * k))
        for k in range(1, 20)
    ]
    told = compare_pairs(records)["gross/veb_f1"]
    assert 0 < told.low < told.value < told.high < 0.01


def test_records_of_one_patient_are_drawn_together() -> None:
    one = [pair._replace(patient="one") for pair in pairs(second=0.9)]
    told = compare_pairs(one)["gross/veb_f1"]
    assert told.value > 0
    assert math.isnan(told.low)
    assert math.isnan(told.high)


def test_the_interval_covers_the_true_difference_about_as_often_as_it_says() -> None:
    # Two equally good models: zero is outside in about one of twenty comparisons.
    outside = 0
    for seed in range(100):
        records = [
            RecordPair(f"p{k}", "r", drawn(k, seed=2 * seed), drawn(k, seed=2 * seed + 1)) for k in range(25)
        ]
        told = compare_pairs(records, n=400)["average/veb_f1"]
        outside += not told.low <= 0 <= told.high
    assert 1 <= outside <= 14


def networks(pair: RecordPair, *, spread: int) -> RecordPair:
    """Give each model three networks, of which the second finds fewer V, and the third more."""
    three = tuple(beats(NN=1000, VV=100 + k * spread, VN=100 - k * spread) for k in (0, -1, 1))
    return pair._replace(first_networks=three, second_networks=three)


def test_the_interval_covers_other_seeds_too() -> None:
    # One beat more in each patient is beyond the noise of patients, but not of networks that differ by 40.
    records = [RecordPair(f"p{k}", "r", beats(VV=100, VN=100), beats(VV=101, VN=99)) for k in range(10)]
    alone = compare_pairs(records)["gross/veb_f1"]
    alike = compare_pairs([networks(pair, spread=0) for pair in records])["gross/veb_f1"]
    unlike = compare_pairs([networks(pair, spread=40) for pair in records])["gross/veb_f1"]
    assert alone == alike
    assert alone.low > 0
    assert unlike.low < 0 < unlike.high
    assert unlike.value == alone.value


def test_networks_of_a_few_records_only_are_not_summarised() -> None:
    assert summarise_networks([(beats(NN=1), beats(NN=2)), ()]) == []


def test_a_metric_that_no_record_has_is_absent() -> None:
    record = beats(NN=100, VV=5)
    told = compare_pairs([RecordPair("p", "r", record, record)])
    assert set(COMPARED) - set(told) == {"gross/sveb_f1", "average/sveb_f1"}


def test_the_file_of_counts_is_read_as_it_was_written() -> None:
    records = [
        RecordCounts("mitdb", "101", "mitdb/101", beats(NN=5), (beats(NN=4), beats(VV=1))),
        RecordCounts("svdb", "801", "svdb/801", beats(SS=2)),
    ]
    text = to_json(records)
    told = from_json(text)
    assert to_json(told) == text
    assert len(text.splitlines()) == 2 + len(records)
    assert [record.patient for record in told] == ["mitdb/101", "svdb/801"]
    assert told[0].members[1].count("V", "V") == 1
    assert told[1].members == ()
