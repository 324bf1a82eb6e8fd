"""The list of doubtful labels, read from a file made here."""

from pathlib import Path

import pytest

from ectopy.datasets.doubtful_labels import (
    FILE,
    DoubtfulLabel,
    DoubtfulLabelsError,
    doubtful_samples,
    read_doubtful_labels,
)

HEADER = "database,record,sample,label,suggested,reason\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "doubtful.csv"
    path.write_text(
        HEADER + 'svdb,800,500,N,S,"early, narrow"\nsvdb,800,200,S,,artefact\nmitdb,101,7,N,V,wide\n'
    )
    return path


def test_labels_are_found_by_database_and_record(path: Path) -> None:
    labels = read_doubtful_labels(path)
    assert labels["svdb", "800"][0] == DoubtfulLabel("svdb", "800", 500, "N", "S", "early, narrow")
    assert {record: len(found) for record, found in labels.items()} == {
        ("svdb", "800"): 2,
        ("mitdb", "101"): 1,
    }


def test_samples_come_in_order_of_time(path: Path) -> None:
    assert doubtful_samples("svdb", "800", path).tolist() == [200, 500]


def test_a_record_without_doubtful_labels_has_no_samples(path: Path) -> None:
    assert doubtful_samples("mitdb", "800", path).tolist() == []


def test_without_a_file_no_label_is_doubtful(tmp_path: Path) -> None:
    assert read_doubtful_labels(tmp_path / "none.csv") == {}


def test_other_columns_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("record,sample\n800,1\n")
    with pytest.raises(DoubtfulLabelsError, match=r"list\.csv: the columns are not database,record,sample"):
        read_doubtful_labels(tmp_path / "list.csv")


def test_a_sample_that_is_no_number_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(HEADER + "svdb,800,5,N,S,x\nsvdb,800,1.5,N,S,x\n")
    with pytest.raises(DoubtfulLabelsError, match=r"list\.csv: line 3: sample '1\.5' is not a whole number"):
        read_doubtful_labels(tmp_path / "list.csv")


def test_the_shipped_list_can_be_read_and_never_names_a_record_of_ds2() -> None:
    from ectopy.datasets.catalogue import DS2

    assert not {record for database, record in read_doubtful_labels(FILE) if database == "mitdb"} & set(DS2)
