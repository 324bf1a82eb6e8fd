"""Samples that cannot be analysed are distinguished from samples that merely look odd."""

from pathlib import Path

import numpy as np
import pytest
import wfdb

from ectopy.beats import signal_to_noise
from ectopy.ecg import Mask, Signal
from ectopy.signal import quality
from ectopy.signal.filters import WORKING_FS
from tests.drawn_ecg import drawn, steady

FS = 360.0


@pytest.fixture
def lead() -> Signal:
    """Twenty seconds of something that moves."""
    return np.random.default_rng(0).normal(scale=0.1, size=(7200, 1)).astype(np.float32)


def unusable_s(signal: Signal, fs: float = FS) -> list[tuple[float, float]]:
    """Return the unusable intervals of the first lead as (start, stop) in seconds, to 5 ms."""
    bad = ~quality.usable(signal, fs)[:, 0]
    edges = np.flatnonzero(np.diff(np.concatenate(([False], bad, [False])))).reshape(-1, 2)
    return [(float(start), float(stop)) for start, stop in edges / WORKING_FS]


def seconds(start: float, stop: float) -> slice:
    return slice(round(start * FS), round(stop * FS))


def test_a_living_lead_is_usable_throughout(lead: Signal) -> None:
    assert unusable_s(lead) == []


@pytest.mark.parametrize("fs", [100.0, 128.0, 200.0, 250.0, 360.0, 1000.0])
@pytest.mark.parametrize("n_samples", [1, 2, 999, 1000])
def test_the_mask_is_on_the_working_grid(fs: float, n_samples: int) -> None:
    # As many as resampling gives: n * 200 / fs, rounded up.
    assert len(quality.usable(np.zeros((n_samples, 2), np.float32), fs)) == int(np.ceil(n_samples * 200 / fs))


def test_an_empty_recording_has_an_empty_mask() -> None:
    assert quality.usable(np.empty((0, 2), np.float32), FS).shape == (0, 2)


def test_a_flat_stretch_is_unusable_from_end_to_end(lead: Signal) -> None:
    lead[seconds(5, 8)] = 0.3
    assert unusable_s(lead) == [(5.0, 8.0)]


FILLS = ("zeros", "last value", "mean", "rail", "zeros beside an offset")


def fill(lead: Signal, part: slice, kind: str) -> None:
    """Fill a part of a lead as a receiver does that lost a packet."""
    if kind == "zeros beside an offset":
        lead += 2
    values = {"last value": lead[part.start - 1, 0], "mean": np.median(lead), "rail": 5.0}
    lead[part] = values.get(kind, 0.0)


@pytest.mark.parametrize("kind", FILLS)
@pytest.mark.parametrize("length_s", [0.1, 0.3, 1.5])
def test_a_lost_packet_is_unusable_whatever_the_receiver_filled_in(
    lead: Signal, length_s: float, kind: str
) -> None:
    fill(lead, seconds(5, 5 + length_s), kind)
    ((start, stop),) = unusable_s(lead)
    assert (start, stop) == pytest.approx((5, 5 + length_s), abs=0.011)


@pytest.mark.parametrize("fs", [100.0, 128.0, 250.0, 500.0, 1000.0])
@pytest.mark.parametrize("step_mv", [0.005, 0.02, 0.05, 0.1])
def test_a_recorder_whose_steps_hide_its_noise_is_constant_between_waves_and_usable(
    fs: float, step_mv: float
) -> None:
    # Without noise, and with the noise of a good recorder: both are constant for up to 0.4 s in each beat.
    for noise in (0.0, 0.1 * step_mv):
        signal = drawn(steady(20), 20, fs=fs) - np.random.default_rng(0).normal(
            scale=0.005, size=(round(20 * fs), 1)
        )
        signal += np.random.default_rng(1).normal(scale=noise, size=signal.shape) + 0.3 * step_mv
        coarse = (np.round(signal / step_mv) * step_mv).astype(np.float32)
        assert quality.usable(coarse, fs).mean() == 1


@pytest.mark.parametrize("hold", [2, 4])
def test_a_recorder_that_repeats_each_sample_is_usable_and_its_lost_packets_are_not(
    lead: Signal, hold: int
) -> None:
    lead = np.repeat(lead[::hold], hold, axis=0)
    assert unusable_s(lead) == []
    fill(lead, seconds(5, 5.3), "mean")
    ((start, stop),) = unusable_s(lead)
    assert (start, stop) == pytest.approx((5, 5.3), abs=0.02)


def test_zeros_in_a_coarse_lead_with_an_offset_are_unusable() -> None:
    signal = np.round(drawn(steady(20), 20) / 0.05) * 0.05 - 0.8
    signal[seconds(5, 5.3)] = 0
    unusable = ~quality.usable(signal.astype(np.float32), FS)[:, 0]
    assert unusable[1000:1060].all()
    assert unusable.sum() < 60 + 60  # the constant runs on either side may be lost too


@pytest.mark.parametrize("value", [0.7, np.nan])
@pytest.mark.parametrize("n_samples", [2, 20, 7200])
def test_a_recording_flat_or_missing_throughout_is_unusable_however_short(
    n_samples: int, value: float
) -> None:
    assert not quality.usable(np.full((n_samples, 1), value, np.float32), FS).any()


def test_missing_samples_are_unusable(lead: Signal) -> None:
    lead[seconds(5, 6)] = np.nan
    assert unusable_s(lead) == [(5.0, 6.0)]


def test_a_few_missing_samples_are_bridged(lead: Signal) -> None:
    lead[seconds(5, 5.05)] = np.nan
    assert unusable_s(lead) == []


@pytest.mark.parametrize("rail_mv", [-5.0, 5.0])
def test_a_lead_at_the_rail_is_unusable(lead: Signal, rail_mv: float) -> None:
    lead[seconds(5, 5.5)] = rail_mv
    assert unusable_s(lead) == [(5.0, 5.5)]


def test_a_peak_cut_off_for_a_moment_is_usable(lead: Signal) -> None:
    at = np.arange(len(lead)) / FS
    lead[:, 0] += 8 * np.exp(-0.5 * np.square((at - 5) / 0.07))  # the wave of a ventricular beat
    cut = np.minimum(lead, 5)
    assert (np.diff(cut[seconds(4.8, 5.2), 0]) == 0).sum() > 0.1 * FS
    assert unusable_s(cut) == []


@pytest.mark.parametrize("gain", [1e-4, 1e4])
def test_gain_and_offset_do_not_matter(lead: Signal, gain: float) -> None:
    lead[seconds(5, 5.5)] = 5.0
    lead[seconds(12, 15)] = 0.0
    expected = unusable_s(lead)
    assert expected == [(5.0, 5.5), (12.0, 15.0)]
    assert unusable_s(lead * np.float32(gain)) == expected
    assert unusable_s(-lead) == expected


def test_leads_are_judged_apart(lead: Signal) -> None:
    both = np.hstack([lead, np.zeros_like(lead)])
    both[seconds(5, 6), 0] = np.nan
    usable = quality.usable(both, FS)
    assert usable[:, 0].mean() == pytest.approx(19 / 20)
    assert not usable[:, 1].any()


@pytest.mark.parametrize("cut_s", [7.0, 9.5, 14.0])
def test_blocks_with_overlap_give_the_mask_of_the_whole(lead: Signal, cut_s: float) -> None:
    lead[seconds(6, 9)] = 0.1
    lead[seconds(13.8, 14.2)] = 4.0
    lead[seconds(10.9, 11.1)] = lead[round(10.9 * FS)]
    whole = quality.usable(lead, FS)
    cut, margin = round(cut_s * FS) // 9 * 9, round(quality.REACH_S * 40) * 9
    left = quality.usable(lead[: cut + margin], FS)[: cut * 5 // 9]
    right = quality.usable(lead[cut - margin :], FS)[margin * 5 // 9 :]
    np.testing.assert_array_equal(np.concatenate([left, right]), whole)


def quality_of(record: Path) -> Mask:
    signal = wfdb.rdrecord(str(record)).p_signal
    return quality.usable(np.asarray(signal, dtype=np.float32), FS)


@pytest.mark.real
@pytest.mark.parametrize("name", ["101", "108", "203", "208"])
def test_true_leads_are_never_flat_nor_at_the_rail(mitdb: Path, name: str) -> None:
    # Noisy as 108 and 203 are, no sample of them is missing, stuck or at a rail.
    assert quality_of(mitdb / name).all()


@pytest.mark.real
def test_record_116_is_at_the_rail_for_two_and_a_half_seconds(mitdb: Path) -> None:
    # The first lead reaches the end of its 11 bits several times; the second never does.
    unusable = ~quality_of(mitdb / "116")
    assert unusable.sum(axis=0).tolist() == [513, 0]


@pytest.mark.parametrize("n_beats", [1, 7, 8, 9, 100])
def test_similarity_is_the_same_in_chunks_of_any_size(n_beats: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(n_beats)
    windows, scale = (
        rng.normal(size=(120, 76)).astype(np.float16),
        rng.uniform(0.5, 2, 120).astype(np.float32),
    )
    beats = np.sort(rng.choice(120, n_beats, replace=False))
    whole = signal_to_noise._similarity(windows, scale, beats)
    monkeypatch.setattr(signal_to_noise, "_CHUNK", 16)
    assert len(whole) == n_beats
    np.testing.assert_array_equal(signal_to_noise._similarity(windows, scale, beats), whole)


@pytest.mark.parametrize("n_samples", [1, 5, 8, 20, 72, 300])
def test_runs_that_last_are_found_whatever_they_lie_on(n_samples: int) -> None:
    """Runs are looked for in every few samples first; here they begin anywhere, and miss by one."""
    for begin in range(40):
        mask = np.zeros((700, 2), dtype=bool)
        mask[begin : begin + n_samples, 0] = True
        mask[begin : begin + n_samples - 1, 1] = True
        kept = quality.long_runs(mask, n_samples)
        np.testing.assert_array_equal(kept, mask & (True, False))
