"""The state of a stream: saved, restored, and the same beats from there on; what is no state is refused."""

import json
import sys
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ectopy.live import state
from ectopy.live import stream as stream_module
from ectopy.live.state import SavedStateError
from ectopy.live.stream import Stream
from tests.drawn_ecg import drawn
from tests.live import live_model

MODEL = live_model()
FS, LEADS = 250.0, ["II", "V1"]


@cache
def signal():
    """Half a minute of two leads with an early wide beat, noise, and half a second that is lost."""
    peaks = np.arange(0.5, 29, 0.8)
    peaks[20] -= 0.3
    one = drawn(peaks.tolist(), 30, fs=FS, wide=frozenset({20}))[:, 0]
    both = np.stack((one, -0.6 * one), axis=1) + np.random.default_rng(0).normal(size=(len(one), 2)) * 0.02
    both[2500:2650] = np.nan
    return both.astype(np.float32)


def facts(updates):
    """All that is said for good: beats in order, and gaps in order."""
    said = [
        (one.kind, one.sample, one.label, one.probabilities, one.confident, one.reason, one.duration_s)
        for one in updates
        if one.kind in {"beat", "gap"}
    ]
    return sorted(said, key=lambda one: one[0])


@cache
def uninterrupted():
    stream = Stream(FS, LEADS, model=MODEL)
    return facts([*stream.push(signal()), *stream.finish()])


@settings(max_examples=8, deadline=None)
@given(moment=st.integers(0, 7500), size=st.integers(40, 4000))
def test_a_restored_stream_says_what_it_would_have_said(tmp_path_factory, moment, size):
    path = tmp_path_factory.mktemp("state") / "state.npz"
    stream, updates = Stream(FS, LEADS, model=MODEL), []
    for start in range(0, moment, size):
        updates += stream.push(signal()[start : min(start + size, moment)])
    stream.save(path)
    restored = Stream.restore(path, model=MODEL)
    assert (restored.fs, restored.leads, restored.n_samples) == (FS, tuple(LEADS), moment)
    assert facts([*updates, *restored.push(signal()[moment:]), *restored.finish()]) == uninterrupted()
    assert len(uninterrupted()) > 30


def test_provisional_beats_are_the_same_too(tmp_path):
    stream = Stream(FS, LEADS, model=MODEL)
    stream.push(signal()[:4321])
    stream.save(tmp_path / "state")
    restored = Stream.restore(tmp_path / "state", model=MODEL)
    parts = [signal()[start : start + 100] for start in range(4321, 7500, 100)]
    assert [restored.push(part) for part in parts] == [stream.push(part) for part in parts]


def test_a_state_has_no_pickle_and_no_private_copy_of_the_model(tmp_path):
    stream = Stream(FS, LEADS, model=MODEL)
    stream.push(signal()[:5000])
    stream.save(tmp_path / "state.npz")
    with np.load(tmp_path / "state.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}  # an object would need pickle
    about = json.loads(arrays["document"].tobytes())["about"]
    assert about == {"fs": FS, "leads": LEADS, "model": MODEL.version_id}
    assert (tmp_path / "state.npz").stat().st_size < 250_000
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]


@pytest.fixture
def saved(tmp_path):
    stream = Stream(FS, LEADS, model=MODEL)
    stream.push(signal()[:5000])
    stream.save(tmp_path / "state.npz")
    return tmp_path / "state.npz"


@pytest.mark.parametrize("content", [b"", b"PK", b"no state", b"{}"])
def test_a_foreign_file_is_named(saved, content):
    saved.write_bytes(content)
    with pytest.raises(SavedStateError, match=r"state\.npz: damaged, or not the state"):
        Stream.restore(saved, model=MODEL)


def test_arrays_of_another_program_are_no_state(saved):
    with saved.open("wb") as file:
        np.savez(file, x=np.zeros(3))
    with pytest.raises(SavedStateError, match="not the state"):
        Stream.restore(saved, model=MODEL)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SavedStateError, match="state: cannot be read"):
        Stream.restore(tmp_path / "state", model=MODEL)


@settings(max_examples=25, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255))
def test_a_damaged_byte_is_found_or_changes_nothing(tmp_path_factory, place, bits):
    path = tmp_path_factory.mktemp("damaged") / "state.npz"
    stream = Stream(FS, LEADS, model=MODEL)
    stream.push(signal()[:1500])
    stream.save(path)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= bits
    path.write_bytes(content)
    try:
        restored = Stream.restore(path, model=MODEL)
    except SavedStateError:
        return
    assert restored.push(signal()[1500:3000]) == stream.push(signal()[1500:3000])


@pytest.mark.parametrize("length", [0, 100, 20_000])
def test_a_cut_file_is_named(saved, length):
    saved.write_bytes(saved.read_bytes()[:length])
    with pytest.raises(SavedStateError, match="damaged"):
        Stream.restore(saved, model=MODEL)


def altered(path, change):
    """Write the document of a state again, changed."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    document = json.loads(arrays["document"].tobytes())
    change(document)
    arrays["document"] = np.frombuffer(json.dumps(document).encode(), dtype=np.uint8)
    with path.open("wb") as file:
        np.savez(file, **arrays)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda document: document.update(format="another"), "not the state"),
        (lambda document: document.update(version=99), "another version"),
        (lambda document: document["about"].update(leads=["II"]), "damaged"),
        (lambda document: document["about"].update(fs=10.0), "damaged"),
        (lambda document: document["stream"].pop("_clock"), "damaged"),
        (lambda document: document["stream"].update(_clock="late"), "damaged"),
        (lambda document: document["stream"].update(_open={"see": 10**6}), "damaged"),
        (lambda document: document["objects"].clear(), "damaged"),
        (lambda document: document["about"].update(model="f" * 64), "another model"),
    ],
    ids=[
        *("format", "version", "leads", "fs", "missing attribute", "type", "unknown object", "no objects"),
        "model",
    ],
)
def test_a_state_that_does_not_fit_is_refused(saved, change, problem):
    altered(saved, change)
    with pytest.raises(SavedStateError, match=problem):
        Stream.restore(saved, model=MODEL)


def test_only_listed_classes_are_written(tmp_path):
    stream = Stream(FS, LEADS, model=MODEL)
    vars(stream)["_told"] = {0: object()}
    with pytest.raises(TypeError, match="object is not among the classes"):
        stream.save(tmp_path / "state")
    assert not list(tmp_path.iterdir())


def size_of(stream):
    """Count the values in all containers of a stream, and the bytes of its arrays."""
    writer = state._Writer(stream_module._OF_STATE)
    writer.attributes(stream)
    n_values = sum(len(json.dumps(one)) for one in writer.objects)
    return n_values, sum(sys.getsizeof(array) for array in writer.arrays.values())


@pytest.mark.no_cover  # twenty minutes
def test_memory_does_not_grow():
    """The largest size in the last two thirds of twenty minutes, with an hour of gaps, is that of the first third."""
    rng = np.random.default_rng(1)
    stream, sizes = Stream(FS, LEADS, model=MODEL), []
    strip = signal()[: 24 * 250]
    for number in range(48):
        noise = rng.normal(size=strip.shape).astype(np.float32) * (0.5 if number % 10 == 3 else 0.01)
        stream.push(strip + noise, time_s=number * 24.0 + (number // 16) * 1200)
        sizes.append(size_of(stream))
    first, later = np.max(sizes[:16], axis=0), np.max(sizes[16:], axis=0)
    assert (later <= 1.3 * first).all()  # a number more or less is open at the moment
    assert (first < 150_000).all()
