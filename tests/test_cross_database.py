"""Metrics and page of an evaluation across databases, from records made by hand."""

from pathlib import Path

import numpy as np
import pytest

from ectopy.datasets import catalogue, doubtful_labels
from ectopy.datasets.doubtful_labels import DoubtfulLabel
from ectopy.ec57.reference import DETECTED
from ectopy.evaluation import cross_database
from ectopy.evaluation.cross_database import (
    WITHOUT_DOUBTFUL,
    CrossTest,
    metrics_of,
    summarise,
    without_doubtful,
)
from ectopy.evaluation.cross_database_page import build_page, draw_figure
from ectopy.model.network import TrainConfig
from ectopy.model.training_sources import SourceRecords, TrainingSource
from tests.evaluations import evaluation_of

FIRST = evaluation_of("101", "NVNSNNNVNN", "NVNNNNNNNN", members=("NVNNNNNNNN", "NVNSNNNVNN"))
SECOND = evaluation_of("800", "NSNSNNVNNN", "NSNNNNVNNN", members=("NSNSNNVNNN", "NSNNNNVNNN"))
TEST = CrossTest(
    "out of fold", ("mitdb", "svdb"), ("mitdb", "svdb"), {"mitdb/101": FIRST, "svdb/800": SECOND}
)
ALONE = CrossTest("without svdb", ("mitdb",), ("svdb",), {"svdb/800": SECOND})


def test_a_test_on_several_databases_has_a_part_for_each() -> None:
    assert [(part.tested, list(part.evaluations)) for part in TEST.parts()] == [
        (("mitdb", "svdb"), ["mitdb/101", "svdb/800"]),
        (("mitdb",), ["mitdb/101"]),
        (("svdb",), ["svdb/800"]),
    ]
    assert ALONE.parts() == [ALONE]


def test_gross_metrics_are_of_all_beats_and_averages_of_all_records() -> None:
    summary = summarise(TEST, DETECTED)
    assert summary.gross["veb_sensitivity"] == pytest.approx(2 / 3)
    assert summary.average["veb_sensitivity"] == pytest.approx((1 / 2 + 1) / 2)
    assert summary.gross["sveb_sensitivity"] == pytest.approx(1 / 3)


def test_the_interval_is_over_patients() -> None:
    summary = summarise(TEST, DETECTED)
    assert (summary.low["veb_sensitivity"], summary.high["veb_sensitivity"]) == (0.5, 1.0)


def test_the_spread_is_over_networks_of_which_each_has_seen_all_records() -> None:
    # Network 0 finds 2 of 3 SVEB and 2 of 3 VEB, network 1 finds 2 of 3 SVEB and all VEB.
    seeds = summarise(TEST, DETECTED).seeds
    assert seeds["veb_sensitivity"].mean == pytest.approx((2 / 3 + 1) / 2)
    assert (seeds["veb_sensitivity"].low, seeds["veb_sensitivity"].high) == pytest.approx((2 / 3, 1))
    assert seeds["sveb_sensitivity"].sd == 0


def test_metrics_have_the_database_and_the_view_in_their_name() -> None:
    metrics = metrics_of(TEST)
    assert metrics["all/detected/gross/veb_sensitivity"] == pytest.approx(2 / 3)
    assert metrics["svdb/detected/gross/sveb_sensitivity"] == pytest.approx(1 / 2)
    assert metrics["mitdb/without_doubtful_labels/average/veb_sensitivity"] == pytest.approx(1 / 2)
    assert metrics["all/detected/gross/veb_sensitivity_low"] == 0.5
    assert "svdb/detected/gross/veb_sensitivity" in metrics_of(ALONE)


def test_a_doubtful_beat_is_neither_missed_nor_false_but_still_a_beat() -> None:
    reference = FIRST.reference
    beats = reference.annotations.sample
    assert FIRST.outcome.beats.count("V", "N") == 1
    told = without_doubtful(reference, beats[[7]] + 3)
    assert "".join(told.annotations.symbol) == "NVNSNNNQNN"
    comparison = told.compare(FIRST.test)
    assert comparison.veb_sensitivity == 1
    assert comparison.qrs_sensitivity == FIRST.outcome.beats.qrs_sensitivity
    assert without_doubtful(reference, np.array([], dtype=np.int64)).annotations.symbol.tolist() == list(
        "NVNSNNNVNN"
    )


def test_the_view_without_doubtful_labels_reads_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = int(FIRST.reference.annotations.sample[7])
    listed = {("mitdb", "101"): (DoubtfulLabel("mitdb", "101", sample, "V", "N", "a test"),)}
    monkeypatch.setattr(doubtful_labels, "read_doubtful_labels", lambda _path: listed)
    assert summarise(TEST, WITHOUT_DOUBTFUL).gross["veb_sensitivity"] == 1
    assert summarise(TEST, DETECTED).gross["veb_sensitivity"] == pytest.approx(2 / 3)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data")
    return build_page([TEST, ALONE], sources(folder), TrainConfig(members=2))


def sources(folder: Path) -> list[SourceRecords]:
    return [
        SourceRecords(TrainingSource(name), catalogue.find_database(name), folder, (record,), held_out, ())
        for name, record, held_out in (("mitdb", "101", ("100",)), ("svdb", "800", ()))
    ]


def test_the_page_has_all_metrics_in_each_view(page: str) -> None:
    for title in cross_database.VIEWS.values():
        table = page.partition(f"## {title}\n")[2].partition("\n## ")[0]
        assert "**66.7** (50.0 - 100.0)" in table  # VEB Se
        assert "record average" in table
    assert "83.3 ± 23.6" in page  # single networks, VEB Se


def test_the_page_compares_with_others_on_svdb_in_the_same_table(page: str) -> None:
    table = page.partition("## Others on the same database\n")[2].partition("\n## ")[0]
    for row in ("WSDL-AD", "Kraft & Rumm", "mitdb + svdb, out of fold"):
        assert row in table
    assert "Ours are for 1\ntraining records of `svdb`" in table


def test_the_page_names_records_held_out_records_and_the_hash(page: str) -> None:
    assert "* Records: 1, patients: 1. 101." in page
    assert "Held out and not read here: 100, 103, 105," in page  # of the catalogue, also without files here
    assert "Held out and not read here: 803, 807, 808," in page
    assert page.count("SHA-256 of headers, signals and annotations") == 2


def test_the_page_says_on_which_labels_the_networks_were_trained(page: str, tmp_path: Path) -> None:
    assert "* Out of fold, training leaves out [doubtful labels]" in page
    assert "**Without a database**,\n  training uses all labels" in page
    assert "| use_doubtful_labels | False, but True without a database |" in page
    everywhere = build_page([TEST, ALONE], sources(tmp_path), TrainConfig(use_doubtful_labels=True))
    assert "* Training uses all labels, also [doubtful ones]" in everywhere
    assert "Out of fold, training leaves out" not in everywhere


def test_the_figure_has_a_row_for_each_part() -> None:
    axes = draw_figure([TEST, ALONE]).axes
    assert [label.get_text() for label in axes[0].get_yticklabels()] == [
        "out of fold\non mitdb + svdb",
        "out of fold\non mitdb",
        "out of fold\non svdb",
        "without svdb\non svdb",
    ]
    assert [each.get_title() for each in axes] == ["VEB F1", "SVEB F1"]
