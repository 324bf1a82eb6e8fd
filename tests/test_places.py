"""Where an inbox lies: a folder here, or a bucket that a local moto server plays."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ectopy.batch.inbox import DeferredError
from ectopy.batch.planning import ScoreOptions
from ectopy.batch.storage import AddressError, Bucket, Folder, UnreachableError, download, storage_at
from ectopy.readers import open_recording
from tests.inbox_runs import run
from tests.small import find_recordings, write_model, write_record


class TestFolder:
    def test_it_is_made_and_lists_all_but_what_is_hidden(self, tmp_path: Path) -> None:
        place = storage_at(tmp_path / "inbox")
        assert place.list_files() == {}
        write_record(tmp_path / "inbox" / "monday", "a")
        write_record(tmp_path / "inbox" / ".trash", "b")
        (tmp_path / "inbox" / ".c.hea.Xy1z").write_text("what rsync is still writing")
        assert place.list_files().keys() == {"monday/a.hea", "monday/a.dat"}

    def test_a_stamp_changes_with_size_and_time(self, tmp_path: Path) -> None:
        place = Folder(tmp_path)
        (tmp_path / "a").write_text("1")
        first = place.list_files()["a"].stamp
        assert place.list_files()["a"].stamp == first
        (tmp_path / "a").write_text("12")
        assert place.list_files()["a"].stamp != first

    def test_a_link_to_nowhere_is_not_there(self, tmp_path: Path) -> None:
        (tmp_path / "a.hea").symlink_to(tmp_path / "gone")
        assert Folder(tmp_path).list_files() == {}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """An empty bucket, reached as s3fs documents it: by the environment."""
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    if system.exists("ecg"):
        system.rm("ecg", recursive=True)
    system.mkdir("ecg")
    yield system
    s3fs.S3FileSystem.clear_instance_cache()


ADDRESS = "s3://ecg/inbox"


def put(bucket: Any, tmp_path: Path, name: str = "a") -> bytes:
    header = write_record(tmp_path / "local", name)
    for file in (header, header.with_suffix(".dat")):
        bucket.pipe_file(f"ecg/inbox/{file.name}", file.read_bytes())
    return header.with_suffix(".dat").read_bytes()


def keys(bucket: Any) -> set[str]:
    bucket.invalidate_cache()
    return set(bucket.find("ecg"))


class TestBucket:
    def test_it_lists_what_others_put_there_later(self, bucket: Any, tmp_path: Path) -> None:
        place = storage_at(ADDRESS)
        assert place.list_files() == {}
        put(bucket, tmp_path)
        listing = place.list_files()
        assert listing.keys() == {"a.hea", "a.dat"}
        assert all(listed.changed_s is not None and listed.changed_s > 1.7e9 for listed in listing.values())

    def test_a_stamp_changes_with_the_content(self, bucket: Any) -> None:
        bucket.pipe_file("ecg/inbox/a", b"1")
        first = Bucket(ADDRESS).list_files()["a"].stamp
        bucket.pipe_file("ecg/inbox/a", b"2")
        assert Bucket(ADDRESS).list_files()["a"].stamp != first

    def test_a_key_that_leads_out_of_a_folder_is_not_meant_for_us(self, bucket: Any) -> None:
        for key in ("../outside.hea", "x/../../y.hea", ".hidden/z.hea"):
            bucket.pipe_file(f"ecg/inbox/{key}", b"")
        assert Bucket(ADDRESS).list_files() == {}

    def test_recordings_are_recognised_by_their_ends(self, bucket: Any, tmp_path: Path) -> None:
        # A Parquet file says at its end what it holds, an EDF file at its beginning.
        import pyarrow as pa
        from pyarrow import parquet

        put(bucket, tmp_path)
        table = pa.table({"II": pa.array([0.0, 0.5] * 400_000), "V1": pa.array([0.5] * 800_000)})
        parquet.write_table(table, tmp_path / "t.parquet", compression="none", use_dictionary=False)
        bucket.put_file(str(tmp_path / "t.parquet"), "ecg/inbox/t.parquet")
        bucket.pipe_file("ecg/inbox/e.edf", b"0       " + bytes(300))
        bucket.pipe_file("ecg/inbox/notes.md", b"notes")
        place = Bucket(ADDRESS)
        with place.preview(place.list_files()) as folder:
            found = [path.name for path in find_recordings([folder]).recordings]
            n_bytes = (folder / "t.parquet").stat()
        assert found == ["a.hea", "e.edf", "t.parquet"]
        assert n_bytes.st_blocks * 512 < n_bytes.st_size / 4  # the middle was never fetched

    def test_a_recording_is_fetched_with_all_its_files_and_goes_again(
        self, bucket: Any, tmp_path: Path
    ) -> None:
        signals = put(bucket, tmp_path)
        with download(f"{ADDRESS}/a.hea") as here:
            assert here.name == "a.hea"
            assert here.with_suffix(".dat").read_bytes() == signals
        assert not here.parent.exists()

    def test_its_diary_is_fetched_too(self, bucket: Any, tmp_path: Path) -> None:
        put(bucket, tmp_path)
        bucket.pipe_file("ecg/inbox/a.diary.csv", b"time\n5\n")
        with download(f"{ADDRESS}/a.hea") as here:
            assert [mark.time_s for mark in open_recording(here).marks] == [5.0]

    def test_a_bucket_itself_is_no_inbox(self) -> None:
        with pytest.raises(AddressError, match="s3://ecg: a bucket, not a folder in one"):
            Bucket("s3://ecg")

    def test_an_address_of_no_known_kind_is_refused(self) -> None:
        with pytest.raises(AddressError, match="nosuch://x/inbox"):
            Bucket("nosuch://x/inbox")


@pytest.fixture(scope="module")
def how(tmp_path_factory: pytest.TempPathFactory) -> ScoreOptions:
    return ScoreOptions(write_model(tmp_path_factory.mktemp("models") / "normal"))


class TestInboxInABucket:
    def test_what_arrives_is_scored_once_and_called_by_its_address(
        self, bucket: Any, tmp_path: Path, how: ScoreOptions
    ) -> None:
        put(bucket, tmp_path)
        (row,) = run(ADDRESS, tmp_path / "out", how)
        assert (row["recording"], row["status"], row["path"]) == ("a", "scored", "s3://ecg/inbox/a.hea")
        assert run(ADDRESS, tmp_path / "out", how) == []
        put(bucket, tmp_path, "b")
        assert [row["recording"] for row in run(ADDRESS, tmp_path / "out", how)] == ["b"]

    def test_it_gives_the_results_of_a_folder(self, bucket: Any, tmp_path: Path, how: ScoreOptions) -> None:
        put(bucket, tmp_path)
        (there,) = run(ADDRESS, tmp_path / "out", how)
        (here,) = run(tmp_path / "local", tmp_path / "out2", how)
        assert there | {"path": ""} == here | {"path": ""}
        for name in ("a.ectopy", "events.csv", "beats.parquet"):
            assert (tmp_path / "out" / "a" / name).read_bytes() == (
                tmp_path / "out2" / "a" / name
            ).read_bytes()

    def test_a_bad_one_goes_to_the_quarantine_of_the_bucket(
        self, bucket: Any, tmp_path: Path, how: ScoreOptions
    ) -> None:
        put(bucket, tmp_path)
        bucket.pipe_file("ecg/inbox/a.dat", b"short")
        (row,) = run(ADDRESS, tmp_path / "out", how)
        reason = "s3://ecg/inbox/a.dat: the file has 5 bytes, but its header describes 60000. Copy the complete file again."
        assert (row["status"], row["reason"]) == ("failed", reason)
        (told,) = [key for key in keys(bucket) if key.endswith("reason.txt")]
        assert bucket.cat_file(told).decode().splitlines() == ["s3://ecg/inbox/a.hea", reason]
        folder = told.rpartition("/")[0]
        assert keys(bucket) == {told, f"{folder}/a.hea", f"{folder}/a.dat"}
        assert run(ADDRESS, tmp_path / "out", how) == []

    def test_one_that_changes_there_is_scored_anew(
        self, bucket: Any, tmp_path: Path, how: ScoreOptions
    ) -> None:
        signals = put(bucket, tmp_path)
        run(ADDRESS, tmp_path / "out", how)
        bucket.pipe_file("ecg/inbox/a.dat", signals[::-1])  # its header stays as it was
        assert [row["status"] for row in run(ADDRESS, tmp_path / "out", how)] == ["scored"]

    def test_a_bucket_that_does_not_answer_is_no_fault_of_a_recording(
        self, bucket: Any, tmp_path: Path, how: ScoreOptions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(bucket, tmp_path)

        async def silent(*_: object, **__: object) -> None:
            raise TimeoutError("no answer")

        with monkeypatch.context() as patch:
            patch.setattr(type(bucket), "_get_file", silent)
            type(bucket).clear_instance_cache()
            with pytest.raises(
                DeferredError, match=r"1 recording waits: s3://ecg/inbox/a\.hea: \w*TimeoutError:"
            ):
                run(ADDRESS, tmp_path / "out", how)
        type(bucket).clear_instance_cache()
        assert len(run(ADDRESS, tmp_path / "out", how)) == 1

    @pytest.mark.usefixtures("bucket")
    def test_a_bucket_that_cannot_be_reached_fails_the_run(self, tmp_path: Path, how: ScoreOptions) -> None:
        with pytest.raises(UnreachableError, match="s3://nosuchbucket/inbox"):
            run("s3://nosuchbucket/inbox", tmp_path / "out", how)
