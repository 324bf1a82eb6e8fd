"""Test that the shipped model is the first champion: a challenger must beat it, and rollback returns to it."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ectopy.batch import planning
from ectopy.ec57 import BeatComparison
from ectopy.ec57.marks import CELLS
from ectopy.ec57.record_counts import RecordCounts, to_json
from ectopy.model.classifier import SHIPPED_MODEL, load_classifier
from ectopy.model.manifest import write_manifest
from ectopy.registry import model_versions, runs, shipped_champion
from ectopy.registry.evidence import OUT_OF_FOLD_RECORDS, read_evidence
from ectopy.registry.model_versions import CHAMPION, HISTORY, Version
from ectopy.registry.promotion import promote, promote_by_hand, rollback
from ectopy.registry.promotion_gate import GATE_METRICS, MinimumScores, PromotionDecision, decide
from ectopy.registry.shipped_champion import (
    REGISTERED_NAME,
    SHIPPED,
    OutOfFold,
    read_out_of_fold,
    register_shipped,
    write_out_of_fold,
)
from tests.counts import beats
from tests.small import write_model


@pytest.fixture
def store(tracking_uri: str) -> None:
    runs.connect(tracking_uri, "training")


@pytest.fixture(autouse=True)
def first(store: None) -> Version:
    """The shipped model in a registry; the store is shared by the tests, which each forget their versions."""
    register_shipped(REGISTERED_NAME)
    version = model_versions.version_by_alias(REGISTERED_NAME, CHAMPION)
    assert version is not None
    return version


def missing(share: float, result: BeatComparison) -> BeatComparison:
    """Return the result of a model that finds fewer ventricular beats: a share of them becomes N."""
    counts = result.counts.copy()
    v, n = CELLS.index("V"), CELLS.index("N")
    lost = round(share * counts[v, v])
    counts[v, [v, n]] += -lost, lost
    return BeatComparison(counts)


def challenger(folder: Path, *, missed: float = 0.0) -> Version:
    """Register a challenger that misses a share of the ventricular beats that the shipped model finds."""
    model = write_model(folder, name="challenger")
    (model / "card.md").write_text("# Challenger\n")
    shipped = read_out_of_fold(SHIPPED_MODEL)
    records = [
        replace(
            record,
            beats=missing(missed, record.beats),
            members=tuple(missing(missed, member) for member in record.members),
        )
        for record in shipped.records
    ]
    with runs.run("train"):
        runs.log_metrics(shipped.metrics, prefix="out_of_fold/detected/")
        runs.log_text(to_json(records), OUT_OF_FOLD_RECORDS)
        return model_versions.register(model, model=REGISTERED_NAME, tags={"database": shipped.database})


def test_it_is_the_first_champion_and_says_so(first: Version) -> None:
    tags = model_versions.tags_of(first)
    assert tags[SHIPPED] == load_classifier(SHIPPED_MODEL).version_id
    assert tags["database"] == "mitdb,svdb"
    assert re.search(r"champion, the first: it ships with ectopy [0-9.]+$", tags[HISTORY])
    assert model_versions.card_of(first) == (SHIPPED_MODEL / "card.md").read_text(encoding="utf-8")


def test_what_is_registered_is_what_ships(first: Version) -> None:
    registered = load_classifier(model_versions.fetch_model(first.uri))
    assert registered.version_id == load_classifier(SHIPPED_MODEL).version_id


def test_it_is_registered_once(first: Version) -> None:
    before = model_versions.list_versions(REGISTERED_NAME)
    register_shipped(REGISTERED_NAME)
    assert model_versions.list_versions(REGISTERED_NAME) == before


def test_a_model_of_another_name_begins_without_a_champion() -> None:
    register_shipped("of our own")
    assert model_versions.list_versions("of our own") == []


def test_a_worse_challenger_does_not_replace_it(tmp_path: Path, first: Version) -> None:
    decision = decide(challenger(tmp_path / "worse", missed=0.1), MinimumScores())
    assert not decision.promoted
    assert "gross/veb_f1 on mitdb" in decision.reason
    assert "gross/veb_f1 on svdb" in decision.reason


def test_an_equal_challenger_may_replace_it(tmp_path: Path, first: Version) -> None:
    assert decide(challenger(tmp_path / "equal"), MinimumScores()).promoted


def test_rollback_returns_to_it(tmp_path: Path, first: Version) -> None:
    data = tmp_path / "data"
    better = challenger(tmp_path / "better")
    change = promote(better, data_dir=data, decision=PromotionDecision(True, "better"))
    assert change == (better, first)
    assert rollback(REGISTERED_NAME, data_dir=data, reason="false alarms") == (first, better)
    in_use = planning.load_model(planning.find_model(None, data).folder)
    assert in_use.version_id == load_classifier(SHIPPED_MODEL).version_id


def test_a_model_that_ships_later_replaces_the_one_that_shipped_before(first: Version) -> None:
    model_versions.tag_version(first, {SHIPPED: "an earlier model"})
    register_shipped(REGISTERED_NAME)
    later = model_versions.version_by_alias(REGISTERED_NAME, CHAMPION)
    assert later is not None
    assert later != first
    assert f"champion, in place of {first.number}: it ships with" in model_versions.tags_of(later)[HISTORY]


def test_a_model_that_ships_later_does_not_replace_one_that_was_promoted(
    tmp_path: Path, first: Version
) -> None:
    promoted = challenger(tmp_path / "promoted")
    promote_by_hand(promoted, data_dir=tmp_path / "data", reason="ours")
    model_versions.tag_version(first, {SHIPPED: "an earlier model"})
    register_shipped(REGISTERED_NAME)
    newest = model_versions.list_versions(REGISTERED_NAME)[0]
    assert SHIPPED in model_versions.tags_of(newest)
    assert model_versions.version_by_alias(REGISTERED_NAME, CHAMPION) == promoted
    promote_by_hand(newest, data_dir=tmp_path / "data", reason="the end of the test")


def test_the_metrics_that_ship_are_those_of_its_card() -> None:
    card = (SHIPPED_MODEL / "card.md").read_text(encoding="utf-8")
    (gross,) = re.findall(r"^\| training patients \| gross \|.*\|$", card, re.MULTILINE)
    veb_f1, sveb_f1 = (cell.split("/")[-1].strip() for cell in gross.split("|")[4:6])
    metrics = read_out_of_fold(SHIPPED_MODEL).metrics
    assert f"{100 * metrics['gross/veb_f1']:.1f}" == veb_f1
    assert f"{100 * metrics['gross/sveb_f1']:.1f}" == sveb_f1
    assert {*GATE_METRICS} - {"gross/qrs_f1"} <= metrics.keys()


def test_the_counts_of_each_record_ship_too_and_a_file_without_them_is_read(tmp_path: Path) -> None:
    records = (RecordCounts("simdb", "s1", "simdb/s1", beats(NN=5, VV=2), (beats(NN=5), beats(VV=2))),)
    write_out_of_fold(tmp_path, OutOfFold("simdb", {"gross/veb_f1": 0.5}, records))
    assert to_json(read_out_of_fold(tmp_path).records) == to_json(records)
    (tmp_path / "out_of_fold.json").write_text('{"database": "mitdb", "metrics": {"gross/veb_f1": 0.5}}')
    assert read_out_of_fold(tmp_path) == OutOfFold("mitdb", {"gross/veb_f1": 0.5})


def test_counts_that_ship_are_evidence_of_the_first_champion(
    tmp_path: Path, first: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(SHIPPED_MODEL, tmp_path / "shipped")
    record = RecordCounts("mitdb", "101", "mitdb/101", beats(NN=5, VV=2))
    write_out_of_fold(folder, read_out_of_fold(folder)._replace(records=(record,)))
    write_manifest(folder)
    monkeypatch.setattr("ectopy.registry.shipped_champion.SHIPPED_MODEL", folder)
    model_versions.tag_version(first, {SHIPPED: "an earlier model"})
    register_shipped(REGISTERED_NAME)
    newest = model_versions.list_versions(REGISTERED_NAME)[0]
    assert [counts.record for counts in read_evidence(newest).records] == ["101"]


def test_an_undefined_metric_is_left_out_of_the_file(tmp_path: Path) -> None:
    write_out_of_fold(tmp_path, OutOfFold("simdb", {"gross/veb_f1": 0.5, "gross/sveb_f1": float("nan")}))
    assert read_out_of_fold(tmp_path) == OutOfFold("simdb", {"gross/veb_f1": 0.5})


def test_a_shipped_model_of_other_features_does_not_stop_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stale = tmp_path / "shipped"
    shutil.copytree(SHIPPED_MODEL, stale)
    specification = json.loads((stale / "model.json").read_text())
    specification["features"][0] = "a feature of an earlier version"
    (stale / "model.json").write_text(json.dumps(specification))
    write_manifest(stale)
    monkeypatch.setattr(shipped_champion, "SHIPPED_MODEL", stale)
    before = model_versions.list_versions(REGISTERED_NAME)

    register_shipped(REGISTERED_NAME)

    assert model_versions.list_versions(REGISTERED_NAME) == before
    assert "trained with features that this version does not compute" in caplog.text
