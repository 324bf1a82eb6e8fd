"""The loops in C do what the code in numpy beside their calls does, and ectopy runs without them."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import hatch_build
from ectopy import Recording, analyse, compiled, recording_of
from ectopy.beats import beat_selection, qrs_candidates, signal_to_noise, windows
from ectopy.datasets.simulate import draw_patient, simulate
from ectopy.readers.wfdb import signals
from ectopy.report import svg
from ectopy.settings import load_settings
from ectopy.signal import pacing_spikes, rolling

COMPILERS = [name for name in ("cc", "gcc", "clang") if shutil.which(name)]
needs_library = pytest.mark.skipif(not COMPILERS, reason="no C compiler: there is no library to compare")


@contextmanager
def numpy_alone() -> Iterator[None]:
    """Run as on a machine without a C compiler."""
    library, compiled._library = compiled._library, None
    try:
        yield
    finally:
        compiled._library = library


def both(function: Callable[[], Any]) -> tuple[Any, Any]:
    """Return the results in C and in numpy."""
    with numpy_alone():
        in_numpy = function()
    return function(), in_numpy


def drawn(seed: int, *shape: int, scale: float = 1.0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(scale=scale, size=shape).astype(np.float32)


def lead_with_spikes(seed: int, n: int = 3000) -> NDArray[np.float32]:
    """A slow wave with narrow peaks up and down, noise, and some missing samples."""
    rng = np.random.default_rng(seed)
    lead = np.sin(np.arange(n) / 40) * 0.5 + rng.normal(scale=rng.choice([0, 0.002, 0.05]), size=n)
    for at in rng.integers(0, n - 3, 40):
        lead[at : at + rng.integers(1, 4)] += rng.choice([-1, 1]) * rng.uniform(0.02, 2)
    lead[rng.integers(0, n, 3)] = np.nan
    return lead.astype(np.float32)


def path_of(lines: list[list[list[int]]]) -> str:
    """Draw lines as one path, number by number."""
    path, x, y = "", 0, 0
    for line in lines:
        dashed = [*line, [line[0][0] + 1, line[0][1]]] if len(line) == 1 else line
        for number, (next_x, next_y) in enumerate(dashed):
            command = "M" if not path else "ml "[min(number, 2)]
            path += f"{command}{next_x - x} {next_y - y}"
            x, y = next_x, next_y
    return path.replace(" -", "-")


seeds = st.integers(0, 2**32 - 1)


@needs_library
def test_the_library_was_compiled_while_ectopy_was_installed() -> None:
    assert compiled.is_compiled()


@needs_library
class TestEqual:
    """Bit for bit, but for sums of products, whose order numpy leaves open."""

    @given(seeds, st.integers(1, 400), st.integers(1, 300), st.integers(1, 3))
    def test_means(self, seed: int, n: int, size: int, leads: int) -> None:
        values = drawn(seed, n, leads)
        in_c, in_numpy = both(lambda: rolling.uniform_filter1d(values, size, mode="nearest"))
        assert in_c.dtype == in_numpy.dtype
        np.testing.assert_array_equal(in_c, in_numpy)

    @given(seeds, st.integers(1, 400), st.integers(0, 150), st.sampled_from([np.float32, np.float64]))
    def test_medians_also_of_equal_values(self, seed: int, n: int, half: int, kind: type) -> None:
        values = np.round(drawn(seed, n), 1).astype(kind)
        in_c, in_numpy = both(lambda: rolling.median_filter(values, 2 * half + 1))
        assert in_c.dtype == in_numpy.dtype
        np.testing.assert_array_equal(in_c, in_numpy)

    @given(seeds, st.lists(st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1.0]), min_size=1))
    def test_medians_of_what_is_no_number_stay_in_their_memory(self, seed: int, values: list[float]) -> None:
        mixed = np.concatenate([drawn(seed, 20), np.array(values, dtype=np.float32)])
        assert len(compiled.moving_median(mixed, 9)) == len(mixed) - 8

    @given(seeds)
    def test_pacing_spikes(self, seed: int) -> None:
        signal = np.stack([lead_with_spikes(seed), lead_with_spikes(seed + 1)], axis=1)
        in_c, in_numpy = both(lambda: pacing_spikes.divide_spikes(signal, 360.0))
        for of_c, of_numpy in zip(in_c, in_numpy, strict=True):
            np.testing.assert_array_equal(of_c, of_numpy)

    def test_some_of_these_signals_have_spikes(self) -> None:
        leads = [np.stack([lead_with_spikes(seed), lead_with_spikes(seed + 1)], axis=1) for seed in range(5)]
        found = [pacing_spikes.divide_spikes(lead, 360.0) for lead in leads]
        assert sum(len(spikes) for spikes, _ in found) > 5
        assert sum(len(bare) for _, bare in found) > 5

    @given(seeds, st.integers(1, 2), st.integers(0, 40))
    def test_windows_also_at_the_ends(self, seed: int, leads: int, n_peaks: int) -> None:
        rng = np.random.default_rng(seed)
        filtered = drawn(seed, 500, leads, scale=10.0 ** rng.integers(-9, 5))
        filtered[rng.random(filtered.shape) < rng.choice([0, 0.9, 1])] = 0
        usable, peaks = np.ones(filtered.shape, dtype=bool), np.sort(rng.integers(0, 500, n_peaks))
        in_c, in_numpy = both(lambda: windows.cut_windows(filtered, usable, peaks))
        np.testing.assert_array_equal(in_c.signal.view(np.uint16), in_numpy.signal.view(np.uint16))
        np.testing.assert_array_equal(in_c.scale, in_numpy.scale)

    def test_half_precision_is_rounded_to_the_nearest_even_number(self) -> None:
        # All numbers in half precision up to 1, and just below, at and just above the middle of two.
        exact = np.arange(0x3C00, dtype=np.uint16).view(np.float16).astype(np.float32)
        middle = (exact + np.append(exact[1:], np.float32(1))) / 2
        below, above = (np.nextafter(middle, np.float32(to)) for to in (0, 2))
        values = np.concatenate((exact, below, middle, above, -middle))
        values = np.append(values, np.zeros(-len(values) % 75, dtype=np.float32)).reshape(-1, 75)
        windows_of_1 = np.column_stack((values, np.ones(len(values), dtype=np.float32)))
        signal = np.empty(windows_of_1.shape, dtype=np.float16)
        starts, scale = 76 * np.arange(len(signal)), np.empty(len(signal), dtype=np.float32)
        compiled.cut_windows(windows_of_1.ravel(), starts, 0, 1, signal, scale)
        np.testing.assert_array_equal(signal.view(np.uint16), windows_of_1.astype(np.float16).view(np.uint16))

    @given(seeds, st.integers(0, 30))
    def test_the_largest_value_nearby_is_the_first_of_equal_ones(self, seed: int, reach: int) -> None:
        lead = np.round(drawn(seed, 200, 2))
        places = np.arange(200)
        in_c, in_numpy = both(lambda: qrs_candidates._largest_near(lead, places, reach))
        np.testing.assert_array_equal(in_c, in_numpy)

    @given(seeds, st.integers(0, 120))
    def test_the_best_sequence_of_beats(self, seed: int, n: int) -> None:
        rng = np.random.default_rng(seed)
        time_s = np.cumsum(rng.choice([0.1, 0.2, 0.3, 0.8, 3], n))
        llr, usual = rng.normal(1, 4, n).round(rng.choice([0, 9])), rng.uniform(0.3, 1.2, n)
        in_c, in_numpy = both(lambda: beat_selection._best_sequence(time_s, llr, usual))
        assert in_c == in_numpy

    @given(seeds, st.integers(1, 300), st.sampled_from([1, 10, 4999, 2**30]))
    def test_paths(self, seed: int, n: int, most: int) -> None:
        """Lines of one point and of more, in one path and in several; numbers of one digit and of ten."""
        rng = np.random.default_rng(seed)
        points = rng.integers(-most, most, (2, n)).astype(np.int32)
        begins = np.union1d([0], rng.integers(0, n, 9))
        opens = np.union1d([0], begins[rng.random(len(begins)) < 0.3])
        drawn_in_c = svg.paths(points, begins, opens)
        lines = [line.T.tolist() for line in np.split(points, begins[1:], axis=1)]
        of_path = pairwise([*np.searchsorted(begins, opens).tolist(), len(lines)])
        assert drawn_in_c == [path_of(lines[first:stop]) for first, stop in of_path]
        if most < 2**30:  # the table would have all numbers of so many digits
            assert both(lambda: svg.paths(points, begins, opens)) == (drawn_in_c, drawn_in_c)

    @given(st.binary(min_size=3, max_size=99))
    def test_format_212(self, stored: bytes) -> None:
        some = np.frombuffer(stored[: len(stored) // 3 * 3], dtype=np.uint8)
        low, halves, high = some.reshape(-1, 3).T.astype(np.int64)
        numbers = np.stack([low | (halves & 15) << 8, high | (halves >> 4) << 8], axis=1).reshape(-1)
        np.testing.assert_array_equal(compiled.twelve_bits(some), (numbers ^ 2048) - 2048)

    @given(seeds, st.integers(1, 3), st.sampled_from([0.0, 1024.0, -7.0]), st.sampled_from([200.0, 0.1, 3.0]))
    def test_millivolts_and_missing_samples(
        self, seed: int, stride: int, baseline: float, gain: float
    ) -> None:
        stored = np.random.default_rng(seed).integers(-(2**15), 2**15, 3000).astype(np.int16)[::stride]
        stored[::7] = -2048
        expected = (stored - np.float32(baseline)) / np.float32(gain)
        expected[stored == -2048] = np.nan
        np.testing.assert_array_equal(compiled.in_mv(stored, baseline, gain, -2048), expected)
        never = compiled.in_mv(stored, baseline, gain, signals.NO_NUMBER)
        assert np.isfinite(never).all()

    @given(seeds, st.integers(1, 300), st.sampled_from([0.0, 1.0]))
    def test_the_similarity_of_beats_but_for_rounding(self, seed: int, n: int, like: float) -> None:
        beats = drawn(seed, n, windows.WINDOW) + like * drawn(1, windows.WINDOW) * 3
        in_c, in_numpy = both(lambda: signal_to_noise._similarity_in_chunk(beats))
        np.testing.assert_allclose(in_c, in_numpy, atol=2e-5)

    @pytest.mark.parametrize("kind", ["f4", "f8", "f2", ">f4", "g"])
    def test_a_function_of_the_user_may_return_any_kind_of_number(self, kind: str) -> None:
        rng = np.random.default_rng(3)
        recording = simulate(draw_patient(rng), minutes=2, rng=rng).recording
        signal = recording.read(0, recording.n_samples).astype(np.float16)  # the same in every kind
        read = signal.astype(kind)
        of_user = replace(recording, read=lambda start, stop: read[start:stop])
        in_c, in_numpy = both(lambda: analyse(of_user))
        expected = analyse(recording_of(signal.astype(np.float32), recording.fs, leads=recording.leads))
        for found in (in_c, in_numpy):
            np.testing.assert_array_equal(found.beats.sample, expected.beats.sample)
            np.testing.assert_array_equal(found.beats.probability, expected.beats.probability)

    def test_a_whole_recording(self) -> None:
        rng = np.random.default_rng(3)
        recording = simulate(draw_patient(rng), minutes=6, rng=rng).recording
        in_c, in_numpy = both(lambda: analyse(recording))
        for name in ("sample", "label", "confident", "probability"):
            np.testing.assert_array_equal(getattr(in_c.beats, name), getattr(in_numpy.beats, name))
        assert in_c.events == in_numpy.events


class TestWithout:
    def test_ectopy_runs_in_numpy_alone_if_asked_to(self) -> None:
        code = "from ectopy import compiled; print(compiled.is_compiled())"
        command = [sys.executable, "-c", code]
        asked = subprocess.run(
            command, env={"ECTOPY_COMPILED": "0"}, capture_output=True, text=True, check=True
        )
        assert asked.stdout == "False\n"

    @pytest.mark.parametrize("content", [None, b"", b"\x7fELF not of this processor"])
    def test_no_library_and_one_of_another_processor_are_no_error(
        self, content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = tmp_path / "kernels.c"
        source.write_text("another version")
        if content is not None:
            (tmp_path / compiled.library_name(source.read_bytes(), content)).write_bytes(content)
        monkeypatch.setattr(compiled, "SOURCE", source)
        assert compiled._load() is None

    @needs_library
    def test_part_of_a_library_is_not_loaded_because_it_would_end_the_process(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = Path(shutil.copy(compiled.SOURCE, tmp_path))
        (library,) = compiled.SOURCE.parent.glob("kernels-*.so")
        monkeypatch.setattr(compiled, "SOURCE", source)
        copied = Path(shutil.copy(library, tmp_path))
        assert compiled._load() is not None
        copied.write_bytes(copied.read_bytes()[:5000])
        assert compiled._load() is None

    def test_the_variable_is_no_unknown_setting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ECTOPY_COMPILED", "0")
        load_settings()

    def test_a_recording_has_beats(self) -> None:
        rng = np.random.default_rng(5)
        signal = simulate(draw_patient(rng), minutes=1, rng=rng).recording
        with numpy_alone():
            again: Recording = recording_of(signal.read(0, signal.n_samples), signal.fs)
            assert len(analyse(again).beats) > 30


class TestBuild:
    """What hatchling calls while it makes a wheel, or an editable installation."""

    @staticmethod
    def built(root: Path, target: str = "wheel") -> dict[str, Any]:
        folder = root / hatch_build.FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "kernels.c").exists():
            shutil.copy(compiled.SOURCE, folder)
        data: dict[str, Any] = {"artifacts": [], "force_include": {}, "pure_python": True, "tag": None}
        hook = hatch_build.CompileKernels(str(root), {}, None, None, str(root), target)
        hook.initialize("standard", data)
        hook.finalize("standard", data, "")
        return data

    @needs_library
    def test_a_wheel_has_the_library_and_names_the_platform(self, tmp_path: Path) -> None:
        data = self.built(tmp_path)
        (artifact,) = data["artifacts"]
        library = tmp_path / artifact
        assert library.name == compiled.library_name(compiled.SOURCE.read_bytes(), library.read_bytes())
        assert not data["pure_python"]
        assert data["tag"].startswith("py3-none-")

    @needs_library
    def test_the_library_of_an_older_source_goes(self, tmp_path: Path) -> None:
        old = tmp_path / hatch_build.FOLDER / "kernels-0123456789ab-0123456789ab.so"
        old.parent.mkdir(parents=True)
        old.touch()
        self.built(tmp_path)
        assert not old.exists()

    @needs_library
    def test_a_source_that_may_only_be_read_is_compiled_elsewhere(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(*_: object) -> None:
            raise PermissionError("read-only file system")

        folder = tmp_path / hatch_build.FOLDER
        folder.mkdir(parents=True)
        shutil.copy(compiled.SOURCE, folder)
        monkeypatch.setattr(shutil, "copy", refused)
        data = self.built(tmp_path)
        ((place, name),) = data["force_include"].items()
        assert Path(name).name == Path(place).name
        assert data["artifacts"] == []
        assert not data["pure_python"]

    def test_without_a_compiler_the_wheel_is_pure(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(hatch_build, "_compilers", list)  # none
        assert self.built(tmp_path)["pure_python"]
        assert "No C compiler worked" in capsys.readouterr().err

    def test_what_a_compiler_says_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = tmp_path / hatch_build.FOLDER
        folder.mkdir(parents=True)
        (folder / "kernels.c").write_text("this is no C")
        monkeypatch.setattr(hatch_build, "_compilers", lambda: [[*COMPILERS[:1]], ["/no/such/compiler"]])
        assert self.built(tmp_path)["pure_python"]
        if COMPILERS:
            assert "error" in capsys.readouterr().err

    @pytest.mark.parametrize("wanted", ["", "  ", "'", "/no/such/compiler -m64"])
    def test_a_compiler_that_is_none_is_passed_over(
        self, wanted: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CC", wanted)
        assert all(shutil.which(command[0]) for command in hatch_build._compilers())

    @pytest.mark.parametrize(
        ("content", "is_kept"), [(b"compiled elsewhere", True), (b"compiled else", False)]
    )
    def test_without_a_compiler_a_library_that_was_compiled_elsewhere_is_kept_if_it_is_whole(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, *, is_kept: bool
    ) -> None:
        monkeypatch.setattr(hatch_build, "_compilers", list)
        name = compiled.library_name(compiled.SOURCE.read_bytes(), b"compiled elsewhere")
        library = tmp_path / hatch_build.FOLDER / name
        library.parent.mkdir(parents=True)
        library.write_bytes(content)
        assert self.built(tmp_path)["pure_python"] is not is_kept
        assert library.read_bytes() == content

    def test_a_source_distribution_has_no_library(self, tmp_path: Path) -> None:
        assert self.built(tmp_path, "sdist")["artifacts"] == []
        assert not list((tmp_path / hatch_build.FOLDER).glob("*.so"))
