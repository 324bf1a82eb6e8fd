"""``ectopy clean`` removes what can be made again, after it has asked, and nothing else."""

import os
import time
from pathlib import Path

import pytest

from ectopy import cli
from ectopy.batch.cache_folder import open_cache
from ectopy.review import caches
from ectopy.review.caches import find_caches


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files: two that killed commands left, a young one, and those of others."""
    folder = tmp_path / "tmp"
    for name in (
        "ectopy-model-ab12cd_f",
        "ectopy-fetched-00000000",
        "ectopy-model-youngone",
        "ectopy-database",
    ):
        (folder / name).mkdir(parents=True)
        (folder / name / "content").write_bytes(bytes(1000))
        if name != "ectopy-model-youngone":
            os.utime(folder / name, (time.time() - 90_000,) * 2)
    (folder / "ectopy-model-linklink").symlink_to(folder / "ectopy-database")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder of results with a review."""
    out = tmp_path / "results"
    (out / "a").mkdir(parents=True)
    (out / "a.review" / "confirmed").mkdir(parents=True)
    for name in ("a/report.html", "a.review/edits.jsonl", "a.review/confirmed/report.html", "summary.csv"):
        (out / name).write_text("to keep")
    (out / "a.review" / "clusters.npz").write_bytes(bytes(2000))
    (out / "a.review" / "questions.json").write_text("{}")
    return out


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["clean", *arguments])
    return int(ended.value.code or 0)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


KEPT = {"a/report.html", "a.review/edits.jsonl", "a.review/confirmed/report.html", "summary.csv"}


def test_it_lists_what_and_how_much(out: Path, temporary: Path) -> None:
    found = find_caches([out])
    assert [(cache.path.name, cache.n_bytes) for cache in found] == [
        ("clusters.npz", 2000),
        ("questions.json", 2),
        ("ectopy-fetched-00000000", 1000),
        ("ectopy-model-ab12cd_f", 1000),
    ]


def test_results_and_reviews_stay(out: Path, temporary: Path) -> None:
    assert run(str(out), "--yes") == 0
    assert files(out) == KEPT
    assert {path.name for path in temporary.iterdir()} == {
        *("ectopy-model-youngone", "ectopy-database", "ectopy-model-linklink")
    }


@pytest.mark.parametrize("answer", ["n\n", "\n"])
def test_nothing_is_removed_without_a_yes(
    out: Path,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
) -> None:
    monkeypatch.setattr("typer.confirm", lambda text, **_: answer.startswith("y"))
    assert run(str(out)) == 0
    assert len(files(out)) == len(KEPT) + 2
    printed = capsys.readouterr().out
    assert "templates of a review" in printed
    assert "nothing removed" in printed


def test_a_yes_removes_and_says_how_much(
    out: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def confirm(text: str, **_: object) -> bool:
        asked.append(text)
        return True

    monkeypatch.setattr("typer.confirm", confirm)
    assert run(str(out)) == 0
    assert asked == ["Remove these 4 (0.0 MB)?"]
    assert files(out) == KEPT
    assert "0.0 MB removed" in capsys.readouterr().out


def test_what_could_not_be_removed_is_not_counted(
    out: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = caches.find_caches([out])
    assert sum(cache.n_bytes for cache in found) > 2002
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)  # as if the folders were of somebody else
    assert caches.remove(found) == 2002  # the two files of the review


def test_with_nothing_to_remove_it_does_not_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run("--data-dir", str(tmp_path / "data")) == 0
    assert capsys.readouterr().out == "nothing to remove\n"


def test_results_of_the_inbox_are_looked_through_without_being_named(out: Path, temporary: Path) -> None:
    data = out.parent / "data"
    data.mkdir()
    out.rename(data / "scored")
    assert run("--data-dir", str(data), "--yes") == 0
    assert files(data / "scored") == KEPT


def test_a_link_is_neither_followed_nor_removed(out: Path, temporary: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "clusters.npz").write_text("of somebody else")
    (out / "b.review").symlink_to(elsewhere)
    assert run(str(out), "--yes") == 0
    assert files(elsewhere) == {"clusters.npz"}


def test_a_folder_that_does_not_exist_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(str(tmp_path / "none")) == 2
    assert "none" in capsys.readouterr().err


def test_prepared_recordings_go_and_what_lies_beside_them_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("ECTOPY_CACHE_DIR", str(tmp_path))
    cache = open_cache(tmp_path, max_gb=1)
    assert cache
    assert run("--yes") == 0
    assert capsys.readouterr().out == "nothing to remove\n"  # it is empty
    with cache.write("entry", 3_000_000) as file:
        file.write(bytes(3_000_000))
    (tmp_path / "ectopy-notes").mkdir()
    assert run("--yes") == 0
    assert f"3.0 MB  {cache.path}  (prepared recordings, for another model)" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["ectopy-notes"]
