"""What the terminal shows at the end: the metrics first, and no line wider than a screen."""

import pytest

from ectopy.registry import closing, model_versions
from ectopy.registry.model_versions import Version


def test_a_training_shows_all_records_and_each_database(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = {
        "detected/gross/veb_f1": 0.912,
        "mitdb/detected/gross/veb_f1": 0.934,
        "svdb/detected/gross/veb_f1": 0.874,
        "svdb/detected/gross/sveb_f1": 0.701,
    }
    monkeypatch.setattr(model_versions, "databases_of", lambda _: ("mitdb", "svdb"))
    monkeypatch.setattr(model_versions, "metrics_of", lambda *_, **__: metrics)
    assert closing.of_training(Version("ectopy", "3", "run")).splitlines() == [
        "models:/ectopy/3 is the challenger, trained on mitdb, svdb",
        "out of fold, %  QRS Se  QRS +P  VEB F1  SVEB F1",
        "all                  -       -    91.2        -",
        "mitdb                -       -    93.4        -",
        "svdb                 -       -    87.4     70.1",
    ]


def test_an_overview_loses_the_columns_that_do_not_fit() -> None:
    table = {"%": ["VEB F1", "SVEB F1"], "DS2": ["93.4", "76.7"], "each member alone": ["x" * 90, ""]}
    assert closing.of_overview(table, rows=1) == ["%        DS2", "VEB F1  93.4"]


def test_versions_have_their_last_event_below_them_within_the_width() -> None:
    table: dict[str, list[object]] = {
        "version": ["12", "3"],
        "alias": ["champion", ""],
        "VEB F1": [93.4, None],
        "last event": ["champion by the gate: " + "better " * 30, "not evaluated yet"],
    }
    lines = closing.of_versions(table).splitlines()
    assert lines[:2] == ["version     alias  VEB F1", "12       champion    93.4"]
    assert lines[-2:] == ["3               -       -", "    not evaluated yet"]
    assert all(line.startswith("    ") for line in lines[2:-2])
    assert max(map(len, lines)) <= closing.WIDTH
