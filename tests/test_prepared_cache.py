"""The cache of what does not depend on the model: the same results, whatever is in it and whatever happens."""

import ast
import hashlib
import logging
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ectopy
from ectopy import cli, pipeline
from ectopy.batch import cache_folder, prepared_cache, runner
from ectopy.batch.cache_folder import CacheFolder, open_cache
from ectopy.batch.planning import Job, ScoreOptions
from ectopy.batch.prepared_cache import PREPARING, prepared
from ectopy.batch.provenance import InputFiles, input_sha256
from ectopy.batch.pseudonyms import Pseudonyms
from ectopy.live.model_files import SHIPPED_LIVE_MODEL
from ectopy.readers import open_recording
from tests.small import signal_of, write_model, write_record

PACKAGE = Path(ectopy.__file__).parent


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "normal")


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[CacheFolder]:
    found = open_cache(tmp_path / "cache", max_gb=1)
    assert found
    yield found
    cache_folder._warn.cache_clear()


@pytest.fixture
def options(model: Path, cache: CacheFolder) -> ScoreOptions:
    return ScoreOptions(model, cache=cache)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return write_record(tmp_path / "records")


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the recordings that were prepared, because they were not found in the cache."""
    names = []
    prepare = pipeline.prepare

    def noted(recording: Any, **options: Any) -> Any:
        names.append(recording.name)
        return prepare(recording, **options)

    monkeypatch.setattr(pipeline, "prepare", noted)
    return names


def score(record: Path, out: Path, options: ScoreOptions) -> dict[str, bytes]:
    """Score a recording, and return the content of each of its files."""
    out.mkdir(exist_ok=True)
    row = runner.score_one(Job(record, "r", out, options))
    assert row["status"] == "scored"
    return {path.name: path.read_bytes() for path in (out / "r").iterdir()}


def values(
    record: Path, options: ScoreOptions, *, files: InputFiles | None = None, **read: Any
) -> dict[str, bytes]:
    """Return all values that a model gets, by name, from the cache or computed."""
    files = files or replace(InputFiles.of(record), sha256=input_sha256(record))
    with prepared(open_recording(record, **read), options, files) as (found, features):
        arrays = {
            "unreadable": found.unreadable,
            **{f"windows.{name}": value for name, value in vars(found.windows).items()},
            **{f"waves.{name}": value for name, value in vars(found.waves).items()},
            **{name: getattr(found, name) for name in ("sample", "low_quality", "beside_gap", "spikes")},
        }
        described = f"{found.columns} {found.recording.notes} {found.recording.name}"
        return {
            **{
                name: f"{array.dtype} {array.shape}".encode() + array.tobytes()
                for name, array in arrays.items()
            },
            "described": described.encode(),
            "features": b"".join(part.tobytes() for part in features),
        }


def only_entry(cache: CacheFolder) -> Path:
    (path,) = cache.path.iterdir()
    return path


def with_gap() -> NDArray[np.float32]:
    signal = signal_of().copy()
    signal[2000:6000] = np.nan
    return signal


RECORDINGS: dict[str, Callable[[], NDArray[np.float32]]] = {
    "two leads": signal_of,
    "one lead": lambda: signal_of()[:, :1],
    "a gap": with_gap,
    "all missing": lambda: np.full((5000, 2), np.nan, dtype=np.float32),
    "half a second": lambda: signal_of()[:125],
}


class TestResults:
    @pytest.mark.parametrize("of", RECORDINGS)
    def test_every_file_is_the_same_without_a_cache_with_an_empty_and_with_a_full_one(
        self, tmp_path: Path, options: ScoreOptions, cache: CacheFolder, names: list[str], of: str
    ) -> None:
        record = write_record(tmp_path / "records", signal=RECORDINGS[of]())
        other = replace(options, model=write_model(tmp_path / "other", name="small 2 (test)", always="V"))
        without = score(record, tmp_path / "without", replace(other, cache=None))
        score(record, tmp_path / "first", options)
        assert names == ["r", "r"]
        assert score(record, tmp_path / "again", other) == without
        assert names == ["r", "r"]  # it was found
        shutil.rmtree(cache.path)
        cache.path.mkdir()
        assert score(record, tmp_path / "empty", other) == without

    def test_scoring_from_it_loads_nothing_that_only_preparing_needs(
        self, record: Path, tmp_path: Path, options: ScoreOptions
    ) -> None:
        score(record, tmp_path / "first", options)
        code = (
            "import sys; from pathlib import Path; from ectopy.batch.cache_folder import open_cache; "
            "from ectopy.batch.planning import Job, ScoreOptions; from ectopy.batch.runner import score_one; "
            f"cache = open_cache(Path({str(tmp_path / 'cache')!r}), max_gb=1); "
            f"options = ScoreOptions(Path({str(options.model)!r}), cache=cache); "
            f"score_one(Job(Path({str(record)!r}), 'again', Path({str(tmp_path)!r}), options)); "
            "print(sorted({'numpy.char', 'numpy.fft', '_strptime'} & set(sys.modules)))"
        )
        assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"

    def test_the_features_come_in_the_parts_in_which_they_were_computed(
        self, record: Path, options: ScoreOptions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ectopy.features.extraction.SEGMENT_S", 20.0)
        files = InputFiles.of(record)
        parts = []
        for with_cache in (replace(options, cache=None), options, options):
            with prepared(open_recording(record), with_cache, files) as (_, features):
                parts.append(list(features))
        without, first, again = parts
        assert len(without) == len(first) == len(again) == 3
        for expected, *others in zip(without, first, again, strict=True):
            assert all(np.array_equal(expected, other) for other in others)

    def test_a_note_on_samples_beyond_the_limits_comes_from_the_cache_too(
        self, tmp_path: Path, options: ScoreOptions
    ) -> None:
        table = tmp_path / "r.csv"
        signal = signal_of()[:5000, 0].copy()
        signal[3000:3010] = 9999.0
        table.write_text("\n".join(["II", *map(str, signal)]))
        without = values(table, replace(options, cache=None), fs=250.0)
        assert b"10 samples" in without["described"]
        assert values(table, options, fs=250.0) == without == values(table, options, fs=250.0)

    def test_a_streaming_model_does_not_use_it(
        self, record: Path, tmp_path: Path, options: ScoreOptions, cache: CacheFolder
    ) -> None:
        score(record, tmp_path / "out", replace(options, model=SHIPPED_LIVE_MODEL))
        assert not list(cache.path.iterdir())

    def test_the_command_uses_it(
        self, record: Path, tmp_path: Path, options: ScoreOptions, cache: CacheFolder
    ) -> None:
        other = write_model(tmp_path / "other", name="small 2 (test)", always="V")
        without = score(record, tmp_path / "without", ScoreOptions(other))
        score(record, tmp_path / "first", options)
        os.utime(only_entry(cache), (1, 1))
        command = ["score", str(record), "--out", str(tmp_path / "again"), "--model", str(other)]
        with pytest.raises(SystemExit, match="0"):
            cli.main([*command, "--cache", str(cache.path.parent)])
        assert {path.name: path.read_bytes() for path in (tmp_path / "again" / "r").iterdir()} == without
        assert only_entry(cache).stat().st_mtime > 1  # it was used


class TestKey:
    """What is found, and what is prepared again because it could differ."""

    def test_a_copy_under_another_name_and_a_diary_are_found(
        self, record: Path, tmp_path: Path, options: ScoreOptions, names: list[str]
    ) -> None:
        values(record, options)
        moved = tmp_path / "elsewhere"
        shutil.copytree(record.parent, moved)
        values(moved / record.name, options)
        pseudonyms = replace(options, pseudonyms=Pseudonyms("a salt of the tests alone"), mark_text=True)
        diary = tmp_path / "notes.csv"
        diary.write_text("time,text\n10,dizzy\n")
        values(record, pseudonyms, diary=diary)
        assert names == ["r"]

    @pytest.mark.parametrize("change", [{"leads": ("V1",)}, {"unit": "uV"}, {"fs": 500.0}, {"force": True}])
    def test_other_options_are_prepared_again(
        self, record: Path, options: ScoreOptions, names: list[str], change: dict[str, Any]
    ) -> None:
        values(record, options)
        values(record, replace(options, **change))
        assert names == ["r", "r"]

    def test_other_options_have_entries_of_their_own(
        self, record: Path, options: ScoreOptions, names: list[str]
    ) -> None:
        of_v1 = replace(options, leads=("V1",))
        first, second = values(record, options), values(record, of_v1)
        assert first != second
        assert (values(record, options), values(record, of_v1)) == (first, second)
        assert names == ["r", "r"]

    def test_one_byte_of_the_signal_is_another_recording(
        self, record: Path, options: ScoreOptions, names: list[str]
    ) -> None:
        values(record, options)
        signals = record.with_suffix(".dat")
        content = bytearray(signals.read_bytes())
        content[1000] ^= 1
        signals.write_bytes(content)
        assert values(record, options) == values(record, replace(options, cache=None))
        assert names == ["r", "r", "r"]

    def test_the_beginning_of_a_recording_is_another_recording(
        self, record: Path, tmp_path: Path, options: ScoreOptions, names: list[str]
    ) -> None:
        for stop in (None, 5000):
            (tmp_path / f"{stop}").mkdir()
            runner.score_one(Job(record, "r", tmp_path / f"{stop}", options, stop=stop))
        assert names == ["r", "r"]

    def test_other_code_libraries_and_processors_prepare_again(
        self, record: Path, options: ScoreOptions, names: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        values(record, options)
        changes = [
            ("_code_sha256", lambda: "another"),
            ("is_compiled", lambda: "neither"),
            ("_simd", lambda: ["another"]),
            ("blas_in_use", lambda: [("openblas", "Prescott", 1)]),
            ("_libraries", lambda: ["3.0.0", "1.16.0", "21.0.0"]),
        ]
        for name, answer in changes:
            with monkeypatch.context() as patch:
                patch.setattr(prepared_cache, name, answer)
                values(record, options)
        values(record, options)
        assert names == ["r"] * 6

    def test_force_prepares_again_and_replaces_the_entry(
        self, record: Path, options: ScoreOptions, cache: CacheFolder, names: list[str]
    ) -> None:
        first = values(record, options)
        only_entry(cache).write_bytes(b"damaged")
        values(record, replace(options, force=True))
        assert values(record, options) == first
        assert names == ["r", "r"]

    def test_a_recording_that_changes_while_it_is_read_is_not_kept(
        self, record: Path, tmp_path: Path, options: ScoreOptions, cache: CacheFolder, monkeypatch: Any
    ) -> None:
        prepare, signals = pipeline.prepare, record.with_suffix(".dat")

        def overtaken(recording: Any, **more: Any) -> Any:
            whole = prepare(recording, **more)
            signals.write_bytes(signals.read_bytes())  # the same content at another time is enough
            return whole

        monkeypatch.setattr(pipeline, "prepare", overtaken)
        score(record, tmp_path / "out", options)
        assert not list(cache.path.iterdir())

    def test_one_that_has_changed_since_it_was_hashed_gets_nothing_of_its_former_entry(
        self, record: Path, options: ScoreOptions, cache: CacheFolder
    ) -> None:
        values(record, options)
        kept = only_entry(cache).read_bytes()
        before = replace(InputFiles.of(record), sha256=input_sha256(record))
        write_record(record.parent, signal=with_gap())
        expected = values(record, replace(options, cache=None))
        forced = replace(options, force=True)
        assert values(record, forced, files=before) == expected
        assert only_entry(cache).read_bytes() == kept


class TestCode:
    def test_all_code_that_prepares_is_part_of_the_key(self) -> None:
        """If it fails, name the package or module in ``prepared_cache.PREPARING``."""
        todo, seen = {"ectopy.readers", *_used_by("prepare", "analysed_columns", "PreparedRecording")}, set()
        while todo:
            module = todo.pop()
            seen.add(module)
            todo |= {name for name in _imported(_source(module)) if name != "ectopy"} - seen
        files = {_source(module).relative_to(PACKAGE) for module in seen}
        assert len(files) > 50
        missing = {file for file in files if not _is_named(file)}
        assert not missing

    def test_its_digest_covers_what_is_compiled(self, tmp_path: Path, monkeypatch: Any) -> None:
        for name in PREPARING:
            whole = PACKAGE / name
            copy = shutil.copytree if whole.is_dir() else shutil.copy
            (tmp_path / name).parent.mkdir(exist_ok=True)
            copy(whole, tmp_path / name)
        monkeypatch.setattr(pipeline, "__file__", str(tmp_path / "pipeline.py"))
        digests = []
        for change in ("", "pipeline.py", "beats/windows.py", "compiled/kernels.c", "compiled/kernels-0.so"):
            if change:
                with (tmp_path / change).open("ab") as file:
                    file.write(b"\n")
            prepared_cache._code_sha256.cache_clear()
            digests.append(prepared_cache._code_sha256())
        prepared_cache._code_sha256.cache_clear()
        assert len(set(digests)) == len(digests)


def _used_by(*names: str) -> set[str]:
    """Return the modules from which some functions and classes of the pipeline use anything."""
    tree = ast.parse((PACKAGE / "pipeline.py").read_text())
    used = {
        part.id
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in names
        for part in ast.walk(node)
        if isinstance(part, ast.Name)
    }
    found = {
        module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("ectopy.")
        for alias in node.names
        if alias.name in used
        for module in (node.module, f"{node.module}.{alias.name}")
        if _source(module).is_file()
    }
    assert {"ectopy.beats.detection", "ectopy.features.extraction", "ectopy.signal.limits"} <= found
    return found


def _source(module: str) -> Path:
    path = PACKAGE.parent / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _imported(source: Path) -> Iterator[str]:
    """Yield the modules of ectopy that a module imports anywhere."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ectopy"):
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                if name and _source(name).is_file():
                    yield name


def _is_named(file: Path) -> bool:
    return any(part.as_posix() in PREPARING for part in (file, *file.parents))


class TestDamage:
    """An entry that is not what was written is no entry."""

    @pytest.fixture
    def expected(self, record: Path, options: ScoreOptions) -> dict[str, bytes]:
        return values(record, options)

    def test_cut_off_anywhere_it_is_computed_and_written_again(
        self, record: Path, options: ScoreOptions, cache: CacheFolder, expected: Any
    ) -> None:
        path = only_entry(cache)
        whole = path.read_bytes()
        header_end = whole.index(b"\n", 32)
        for length in (
            0,
            1,
            31,
            32,
            33,
            header_end,
            header_end + 1,
            *range(1000, len(whole), 4999),
            len(whole) - 1,
        ):
            path.write_bytes(whole[:length])
            assert values(record, options) == expected
            assert path.read_bytes() == whole

    def test_a_bit_that_has_flipped_anywhere_is_noticed(
        self, record: Path, options: ScoreOptions, cache: CacheFolder, expected: Any
    ) -> None:
        path = only_entry(cache)
        whole = path.read_bytes()
        for position in (0, 31, 32, 40, *range(500, len(whole), 7001), len(whole) - 1):
            damaged = bytearray(whole)
            damaged[position] ^= 4
            path.write_bytes(damaged)
            assert values(record, options) == expected
            assert path.read_bytes() == whole

    def test_more_than_was_written_is_noticed(
        self, record: Path, options: ScoreOptions, cache: CacheFolder, expected: Any
    ) -> None:
        path = only_entry(cache)
        whole = path.read_bytes()
        path.write_bytes(whole + b"\0")
        assert values(record, options) == expected
        assert path.read_bytes() == whole

    def test_that_of_another_recording_under_its_name_is_noticed(
        self, record: Path, tmp_path: Path, options: ScoreOptions, cache: CacheFolder, expected: Any
    ) -> None:
        path = only_entry(cache)
        values(write_record(tmp_path / "other", signal=with_gap()), options)
        (other,) = set(cache.path.iterdir()) - {path}
        shutil.copy(other, path)
        assert values(record, options) == expected

    @pytest.mark.parametrize(
        "header",
        [
            b"",
            b"\xff\xfe\n",
            b"[" * 100_000 + b"\n",
            b"[1]\n",
            b"{}\n",
            b'{"key": 1, "columns": 5, "notes": [], "sizes": {}}\n',
            b'{"key": "KEY", "columns": [0], "notes": [], "sizes": {"beats": 1e999}}\n',
            (
                b'{"key": "KEY", "columns": [0, 1], "notes": [], "sizes": {"beats": 4611686018427387904, '
                b'"leads": 2, "intervals": 0, "ticks": 0, "spikes": 0}}\n'
            ),
            (
                b'{"key": "KEY", "columns": [0, 1], "notes": [], "sizes": {"beats": 0, "leads": 2, '
                b'"intervals": -1, "ticks": 0, "spikes": 2}}\n'
            ),
            (
                b'{"key": "KEY", "columns": [7, 9], "notes": [], "sizes": {"beats": 0, "leads": 2, '
                b'"intervals": 0, "ticks": 0, "spikes": 0}}\n'
            ),
            (
                b'{"key": "KEY", "columns": [0], "notes": [], "sizes": {"beats": 0, "leads": 2, '
                b'"intervals": 0, "ticks": 0, "spikes": 0}}\n'
            ),
        ],
    )
    def test_one_that_somebody_made_is_no_error(
        self, record: Path, options: ScoreOptions, cache: CacheFolder, expected: Any, header: bytes
    ) -> None:
        path = only_entry(cache)
        content = header.replace(b"KEY", path.name.encode())
        path.write_bytes(hashlib.sha256(content).digest() + content)
        assert values(record, options) == expected

    @pytest.mark.parametrize("kind", ["folder", "pipe", "link to nothing", "link to itself"])
    def test_what_is_no_file_stops_nothing(
        self, record: Path, options: ScoreOptions, cache: CacheFolder, expected: Any, kind: str
    ) -> None:
        path = only_entry(cache)
        path.unlink()
        {
            "folder": path.mkdir,
            "pipe": lambda: os.mkfifo(path),
            "link to nothing": lambda: path.symlink_to("nothing"),
            "link to itself": lambda: path.symlink_to(path.name),
        }[kind]()
        assert values(record, options) == expected
        assert path.is_dir() == (kind == "folder")
        assert values(record, options) == expected


class TestPrivacy:
    def test_no_name_is_in_it(self, tmp_path: Path, options: ScoreOptions, cache: CacheFolder) -> None:
        record = write_record(tmp_path / "ward 7", "Doe_Jane")
        record.write_text(record.read_text() + "# Jane Doe, born 1950-03-02\n")
        values(record, options)
        path = only_entry(cache)
        assert set(path.name) <= set("0123456789abcdef")
        assert not any(part in path.read_bytes() for part in (b"Doe", b"Jane", b"ward", b"1950"))

    def test_it_is_for_the_owner_and_the_group(self, tmp_path: Path, record: Path, model: Path) -> None:
        found = open_cache(tmp_path / "cache", max_gb=1)
        assert found
        values(record, ScoreOptions(model, cache=found))
        assert not stat.S_IMODE(found.path.stat().st_mode) & 0o007
        found.path.chmod(0o777)
        open_cache(tmp_path / "cache", max_gb=1)
        assert stat.S_IMODE(found.path.stat().st_mode) == 0o770


class TestSize:
    @pytest.fixture
    def small(self, tmp_path: Path) -> CacheFolder:
        (tmp_path / "small").mkdir()
        return CacheFolder(tmp_path / "small", 1000)

    def write(self, folder: CacheFolder, name: str, n_bytes: int = 200) -> None:
        with folder.write(name, n_bytes) as file:
            file.write(bytes(n_bytes))
        used_at = len(list(folder.path.iterdir())) + sum(map(ord, name))  # later names are newer
        os.utime(folder.path / name, (used_at, used_at))

    def names(self, folder: CacheFolder) -> set[str]:
        return {path.name for path in folder.path.iterdir()}

    def test_the_file_that_was_not_used_for_longest_goes_first(self, small: CacheFolder) -> None:
        for name in "abcde":
            self.write(small, name)
        assert self.names(small) == {"b", "c", "d", "e"}
        opened = small.open("b")
        assert opened
        opened.close()
        self.write(small, "f")
        assert self.names(small) == {"b", "d", "e", "f"}

    def test_it_never_holds_more_than_it_may(self, small: CacheFolder) -> None:
        sizes = np.random.default_rng(0).integers(1, 400, 200).tolist()
        for number, n_bytes in enumerate(sizes):
            with small.write(f"{number}", n_bytes) as file:
                file.write(bytes(n_bytes))
            assert sum(path.stat().st_size for path in small.path.iterdir()) <= 1000
            assert (small.path / f"{number}").exists()

    def test_a_full_one_is_not_looked_at_before_every_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cache_folder, "_AT_ONCE", 8)
        folder, looks = CacheFolder(tmp_path, 96_000), list[Path]()  # a 64th of it is five files
        files = cache_folder.files_in

        def noted(path: Path) -> Any:
            looks.append(path)
            return files(path)

        monkeypatch.setattr(cache_folder, "files_in", noted)
        for number in range(500):
            with folder.write(f"{number}", 300) as file:
                file.write(bytes(300))
        assert len(looks) == 100
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 96_000

    def test_one_that_is_larger_than_the_whole_cache_removes_nothing(self, small: CacheFolder) -> None:
        self.write(small, "a")
        with pytest.raises(OSError, match="more room than the cache may take"):
            self.write(small, "b", 1001)
        assert self.names(small) == {"a"}

    def test_a_nearly_full_disk_makes_it_smaller(
        self, small: CacheFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in "abc":
            self.write(small, name)
        usage = shutil.disk_usage(small.path)

        def set_free(n_bytes: int) -> None:
            monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=n_bytes))

        set_free(cache_folder.RESERVE_BYTES - 100)  # so the cache may have 500 bytes
        self.write(small, "d")
        assert self.names(small) == {"c", "d"}
        set_free(10**5)
        with pytest.raises(OSError, match="the disk is nearly full"):
            self.write(small, "e")

    def test_what_killed_processes_left_goes_when_it_is_an_hour_old(self, small: CacheFolder) -> None:
        old, young = small.path / "a.00000000.new", small.path / "b.00000000.new"
        for path in (old, young):
            path.write_bytes(bytes(10))
        os.utime(old, (time.time() - 3700,) * 2)
        self.write(small, "c")
        assert self.names(small) == {young.name, "c"}

    def test_other_things_beside_the_cache_are_left_alone(
        self, tmp_path: Path, record: Path, model: Path
    ) -> None:
        (tmp_path / "results.csv").write_text("to keep")
        found = open_cache(tmp_path, max_gb=1e-6)
        assert found
        (found.path / "folder").mkdir()
        values(record, ScoreOptions(model, cache=found))
        assert (tmp_path / "results.csv").read_text() == "to keep"
        assert (found.path / "folder").is_dir()


class TestMachine:
    """Whatever is wrong with the folder, scoring goes on."""

    def test_a_folder_that_cannot_be_made_is_a_warning(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "file").write_text("")
        assert open_cache(tmp_path / "file", max_gb=1) is None
        assert "ectopy-prepared: nothing is kept: Not a directory. Scoring goes on." in caplog.text

    def test_a_folder_that_has_gone_is_one_warning(
        self, record: Path, options: ScoreOptions, cache: CacheFolder, caplog: pytest.LogCaptureFixture
    ) -> None:
        shutil.rmtree(cache.path)
        expected = values(record, replace(options, cache=None))
        assert values(record, options) == expected == values(record, options)
        assert len(caplog.records) == 1

    def test_a_folder_that_may_only_be_read_is_read(
        self, record: Path, options: ScoreOptions, names: list[str], monkeypatch: Any, caplog: Any
    ) -> None:
        expected = values(record, options)

        def refused(*_: Any) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "utime", refused)
        monkeypatch.setattr(CacheFolder, "write", refused)
        assert values(record, options) == expected
        assert (names, len(caplog.records)) == (["r"], 0)
        assert values(record, replace(options, leads=("V1",))) != expected
        assert "nothing is kept: Permission denied" in caplog.text

    @pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
    def test_a_disk_that_is_full_half_way_leaves_nothing(
        self, record: Path, options: ScoreOptions, cache: CacheFolder, caplog: pytest.LogCaptureFixture
    ) -> None:
        expected = values(record, replace(options, cache=None))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        try:
            assert values(record, options) == expected
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert "nothing is kept: File too large" in caplog.text
        assert not list(cache.path.iterdir())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes of POSIX")
class TestProcesses:
    @pytest.mark.parametrize("n_bytes", [0, 1, 33, 400, 5000, 20_000, 29_000])
    def test_killed_after_any_byte_a_process_leaves_no_wrong_entry(
        self, record: Path, options: ScoreOptions, cache: CacheFolder, n_bytes: int
    ) -> None:
        expected = values(record, replace(options, cache=None))

        def write_until_killed() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # the kernel kills at this byte
            resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
            values(record, options)

        assert os.WTERMSIG(started(write_until_killed)()) == signal.SIGXFSZ
        (left,) = cache.path.iterdir()
        assert left.suffix == ".new"
        assert values(record, options) == expected == values(record, options)

    def test_many_at_once_in_a_cache_that_is_too_small_get_the_same(
        self, tmp_path: Path, model: Path
    ) -> None:
        records = [write_record(tmp_path / f"{seed}", signal=signal_of(seed=seed)) for seed in range(4)]
        expected = {record: values(record, ScoreOptions(model)) for record in records}
        found = open_cache(tmp_path / "cache", max_gb=1e-4)
        assert found
        options = ScoreOptions(model, cache=found)

        def compare(seed: int) -> None:
            for number in np.random.default_rng(seed).integers(0, len(records), 12).tolist():
                assert values(records[number], options) == expected[records[number]]

        waiting = [started(partial(compare, seed)) for seed in range(3)]
        assert [wait() for wait in waiting] == [0, 0, 0]
        assert sum(path.stat().st_size for path in found.path.iterdir()) <= found.max_bytes * 2


def started(function: Callable[[], None]) -> Callable[[], int]:
    """Start a function in a process; return a function that waits for its end and returns its status."""
    child = os.fork()
    if child == 0:
        logging.disable()
        try:
            function()
        except BaseException:  # noqa: BLE001 - nothing may go on in a copy of the tests
            os._exit(1)
        os._exit(0)
    return lambda: os.waitpid(child, 0)[1]
