"""An augmented patient has the beats of a true one, at other times, and labels that still hold."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ectopy.ecg import Labels
from ectopy.features import extraction as f
from ectopy.model import augmentation
from ectopy.signal.filters import WORKING_FS

Make = Callable[[f.BeatWindows, Labels, np.random.Generator], tuple[f.BeatWindows, Labels]]
KINDS = (
    augmentation.simulate_af,
    augmentation.simulate_paroxysmal_af,
    augmentation.add_premature_beats,
    augmentation.add_bigeminy,
    augmentation.add_respiratory_arrhythmia,
    augmentation.add_atrial_runs,
    augmentation.add_sinus_pauses,
    augmentation.add_sinus_tachycardia,
)
ANY = pytest.mark.parametrize("make", KINDS)
RR = round(0.8 * WORKING_FS)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def patient(n_beats: int = 600) -> tuple[f.BeatWindows, Labels]:
    """Regular beats of one shape with an SVEB, a VEB and an unlabelled beat in every sixty."""
    label = np.full(n_beats, "N", dtype="U1")
    label[20::60], label[40::60], label[50::60] = "S", "V", ""
    time = np.arange(f.WINDOW) / f.WINDOW_FS - f.BEFORE_S
    beat = np.exp(-0.5 * (time / 0.015) ** 2) + 0.1 * np.exp(-0.5 * ((time + 0.16) / 0.02) ** 2)
    windows = np.tile(beat.astype(np.float16), (n_beats, f.N_LEADS, 1))
    sample = RR * np.arange(n_beats)
    sample[(label == "S") | (label == "V")] -= RR // 4
    ones = np.ones((n_beats, f.N_LEADS))
    apart = np.zeros(n_beats, dtype=bool)
    return f.BeatWindows(sample, windows, ones.astype(np.float32), ones.astype(bool), apart), label


def rr_s(beats: f.BeatWindows) -> f.Floats:
    return np.asarray(np.diff(beats.sample) / WORKING_FS, dtype=np.float32)


@ANY
@pytest.mark.parametrize("n_beats", [1, 2, 30, 600])
def test_beats_stay_in_order_and_none_is_lost(make: Make, n_beats: int) -> None:
    beats, label = patient(n_beats)
    augmented, new_labels = make(beats, label, rng())
    assert len(augmented) == len(new_labels) == n_beats
    assert augmented.sample[0] == beats.sample[0]
    assert (rr_s(augmented) >= 0.25).all()
    assert np.isfinite(f.extract_features(augmented)).all()


@ANY
def test_the_true_patient_is_left_alone(make: Make) -> None:
    beats, label = patient()
    make(beats, label, rng())
    untouched, same = patient()
    np.testing.assert_array_equal(beats.signal, untouched.signal)
    np.testing.assert_array_equal(beats.sample, untouched.sample)
    np.testing.assert_array_equal(label, same)


@ANY
def test_one_seed_makes_one_patient(make: Make) -> None:
    first, second, other = (make(*patient(), rng(seed))[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.sample, second.sample)
    np.testing.assert_array_equal(first.signal, second.signal)
    assert not np.array_equal(first.sample, other.sample)


@ANY
def test_ventricular_and_unlabelled_beats_keep_their_label_and_qrs(make: Make) -> None:
    beats, label = patient()
    augmented, new_labels = make(beats, label, rng())
    for name in ("V", ""):
        np.testing.assert_array_equal(new_labels == name, label == name)
    qrs = slice(round(f.BEFORE_S * f.WINDOW_FS) - 5, None)
    np.testing.assert_array_equal(augmented.signal[:, :, qrs], beats.signal[:, :, qrs])


def test_nothing_is_supraventricular_in_fibrillation() -> None:
    _, label = augmentation.simulate_af(*patient(), rng())
    assert set(label) == {"N", "V", ""}


def test_fibrillation_is_irregular() -> None:
    beats, label = patient()
    augmented, _ = augmentation.simulate_af(beats, label, rng())
    step = np.abs(np.diff(np.log(rr_s(augmented))))
    assert np.median(np.abs(np.diff(np.log(rr_s(beats))))) == 0
    assert np.median(step) > 0.1  # two RR intervals of spread 0.12 or more


@pytest.mark.parametrize("make", [augmentation.simulate_af, augmentation.add_respiratory_arrhythmia])
def test_ventricular_beats_stay_early_in_another_rhythm(make: Make) -> None:
    beats, label = patient()
    augmented, _ = make(beats, label, rng())
    interval, ventricular = rr_s(augmented), label[1:] == "V"
    assert np.median(interval[ventricular]) < 0.9 * np.median(interval[~ventricular])


def test_beats_brought_forward_are_early_and_named_so() -> None:
    beats, label = patient()
    augmented, new_labels = augmentation.add_premature_beats(beats, label, rng())
    new = ((new_labels == "S") & (label == "N"))[1:]
    assert new.sum() > 0
    other = (new_labels == "N")[1:]
    # 0.88 of the usual RR at most, but for the spread of 6 % between runs and 3 % within.
    assert np.quantile(rr_s(augmented)[new], 0.95) < np.median(rr_s(augmented)[other])


def test_the_beat_after_those_brought_forward_comes_in_time_or_late() -> None:
    beats, label = patient()
    augmented, new_labels = augmentation.add_premature_beats(beats, label, rng())
    new = (new_labels == "S") & (label == "N")
    after = np.flatnonzero(new[:-1] & (new_labels[1:] == "N"))
    assert after.size
    assert (rr_s(augmented)[after] >= 0.98 * 0.8 - 2 / WORKING_FS).all()


def test_breathing_changes_times_and_nothing_else() -> None:
    beats, label = patient()
    augmented, new_labels = augmentation.add_respiratory_arrhythmia(beats, label, rng())
    np.testing.assert_array_equal(new_labels, label)
    np.testing.assert_array_equal(augmented.signal, beats.signal)
    assert np.ptp(rr_s(augmented)[:18]) > 0.02


def test_breathing_comes_and_goes_at_the_rate_of_breaths() -> None:
    beats, label = patient()
    label[:] = "N"
    steady = replace(beats, sample=RR * np.arange(600))
    peaks = []
    for seed in range(12):
        interval = np.log(rr_s(augmentation.add_respiratory_arrhythmia(steady, label, rng(seed))[0]))
        power = np.abs(np.fft.rfft(interval - interval.mean())) ** 2
        turns = np.fft.rfftfreq(len(interval), float(np.exp(interval).mean()))
        fast = turns > 0.1
        peaks.append(turns[fast][power[fast].argmax()])
    assert 0.11 < np.median(peaks) < 0.4


def new_among(label: Labels, new_labels: Labels, name: str) -> np.ndarray:
    return np.asarray((new_labels == name) & (label != name))


def test_fibrillation_at_times_leaves_sinus_rhythm_between() -> None:
    beats, label = patient(2000)
    label[:] = "N"
    augmented, _ = augmentation.simulate_paroxysmal_af(beats, label, rng(3))
    step = np.abs(np.diff(np.log(rr_s(augmented))))
    windows = step[: 60 * (len(step) // 60)].reshape(-1, 60)
    irregular = np.median(windows, axis=1) > 0.05
    assert 0 < irregular.mean() < 1


def test_a_pattern_brings_every_so_many_beats_forward() -> None:
    beats, label = patient(3000)
    label[:] = "N"
    _, new_labels = augmentation.add_bigeminy(beats, label, rng())
    apart = np.diff(np.flatnonzero(new_labels == "S"))
    commonest = np.bincount(apart).argmax()
    assert commonest in {2, 3, 4}
    assert (apart == commonest).mean() > 0.8  # the rest are the gaps between stretches


def test_atrial_runs_are_fast_and_sinus_beats_after_them_late() -> None:
    beats, label = patient(3000)
    label[:] = "N"
    augmented, new_labels = augmentation.add_atrial_runs(beats, label, rng(1))
    run, before = new_labels[1:] == "S", new_labels[:-1]
    interval = rr_s(augmented)
    assert 0.05 < run.mean() < 0.99
    # 0.66 of the sinus rate's RR at most, but for 6 % and 3 % of spread and a rate that wanders.
    assert np.median(interval[run]) < 0.75 * np.median(interval[~run & (before == "S")])


def test_pauses_lengthen_intervals_and_change_no_label() -> None:
    for seed in range(6):
        beats, label = patient()
        augmented, new_labels = augmentation.add_sinus_pauses(beats, label, rng(seed))
        np.testing.assert_array_equal(new_labels, label)
        in_time = rr_s(augmented)[(label[1:] == "N") & (label[:-1] == "N")]
        assert in_time.max() > 1.15 * np.median(in_time)


def lender() -> tuple[f.BeatWindows, Labels]:
    """A patient whose ventricular beats are upside down and twice as high as the others."""
    beats, label = patient()
    beats.signal[label == "V"] *= -1
    beats.scale[label == "V"] *= 2
    return beats, label


def test_lent_beats_have_the_shape_of_the_donors_and_may_have_its_earliness() -> None:
    beats, label = patient()
    label[:] = "N"
    even = replace(beats, sample=RR * np.arange(600), scale=beats.scale / 4)
    augmented, new_labels = augmentation.borrow_ventricular_beats(even, label, rng(), donor=lender())
    lent = new_among(label, new_labels, "V")
    assert lent.any()
    r_peak = round(f.BEFORE_S * f.WINDOW_FS)
    assert (np.abs(augmented.signal[lent, :, r_peak]) == 1).all()
    assert set(np.sign(augmented.signal[lent, 0, r_peak])) in ({-1.0}, {1.0})  # a lead is turned as a whole
    np.testing.assert_allclose(augmented.scale[lent], 2 / 4)  # twice as high as the patient's own beats
    single = lent[1:] & ~lent[:-1]
    np.testing.assert_allclose(rr_s(augmented)[single], 0.75 * 0.8, atol=0.01)  # a quarter early, as at home


def lent_to_a_regular_rhythm(seed: int) -> tuple[f.Floats, f.Floats]:
    """RR, over the usual one, of the single lent beats and of the beats after them."""
    beats, label = patient()
    label[:] = "N"
    even = replace(beats, sample=RR * np.arange(600))
    augmented, new_labels = augmentation.borrow_ventricular_beats(even, label, rng(seed), donor=lender())
    lent = new_among(label, new_labels, "V")
    single = np.flatnonzero(lent[1:-1] & ~lent[:-2] & ~lent[2:]) + 1
    ratio = rr_s(augmented) / 0.8  # ratio[i] ends at beat i + 1
    return ratio[single - 1], ratio[single]


def test_lent_beats_are_early_in_some_patients_late_or_interpolated_in_others() -> None:
    early, late, interpolated = 0, 0, 0
    patients = [lent_to_a_regular_rhythm(seed) for seed in range(60)]
    patients = [(coupling, pause) for coupling, pause in patients if len(coupling)]
    for coupling, pause in ((np.median(coupling), np.median(pause)) for coupling, pause in patients):
        late += bool(coupling > 0.78)
        interpolated += bool(coupling + pause < 1.2)
        early += bool(coupling < 0.78 and coupling + pause > 1.5)
    assert min(early, late, interpolated) >= 3
    assert early + late + interpolated == len(patients)


def test_the_rate_of_sinus_tachycardia_rises_and_falls_without_a_step() -> None:
    beats, label = patient()
    even = replace(beats, sample=RR * np.arange(600))
    for seed in range(5):
        augmented, new_labels = augmentation.add_sinus_tachycardia(even, label, rng(seed))
        rr = rr_s(augmented)
        assert rr.min() < 0.6
        assert np.abs(np.diff(np.log(rr))).max() < 0.12  # a sudden step would be 0.2
        assert (new_labels == label).all()


def test_beats_of_sinus_tachycardia_keep_their_p_wave() -> None:
    beats, label = patient()
    even = replace(beats, sample=RR * np.arange(600))
    augmented, _ = augmentation.add_sinus_tachycardia(even, label, rng())
    fast = np.flatnonzero(rr_s(augmented) < 0.6) + 1
    p_wave = slice(round(0.10 * f.WINDOW_FS), round(0.18 * f.WINDOW_FS))
    kept = augmented.signal[fast, 0, p_wave].astype(float)
    own = even.signal[fast, 0, p_wave].astype(float)
    assert np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(kept, own, strict=True)]) > 0.9


def test_the_kinds_with_beats_of_the_donor_are_those_named() -> None:
    # A patient whose beats are in a sequence must not be tested with a network that learned from it.
    donor, label = lender()
    louder = replace(donor, scale=np.where(label[:, None] == "V", 3 * donor.scale, donor.scale))
    one, other = (
        augmentation.augment_patient(*patient(), rng(), has_af=False, donor=(beats, label))
        for beats in (donor, louder)
    )
    changed = {kind for kind in one if not np.array_equal(one[kind][0].scale, other[kind][0].scale)}
    assert changed == set(augmentation.WITH_DONOR)


def test_what_is_lent_takes_the_place_of_normal_beats_only() -> None:
    beats, label = patient()
    _, new_labels = augmentation.borrow_ventricular_beats(beats, label, rng(), donor=lender())
    changed = new_labels != label
    assert set(label[changed]) == {"N"}
    assert set(new_labels[changed]) == {"V"}


def test_who_has_few_ventricular_beats_lends_none() -> None:
    beats, label = patient(augmentation.MIN_DONOR_VENTRICULAR * 60 - 60)  # one in sixty
    augmented = augmentation.augment_patient(*patient(), rng(), has_af=False, donor=(beats, label))
    assert not set(augmented) & set(augmentation.WITH_DONOR)


@pytest.mark.parametrize("fibrillates", [False, True])
def test_each_kind_of_patient_that_is_made_has_a_share(*, fibrillates: bool) -> None:
    augmented = augmentation.augment_patient(*patient(), rng(), has_af=fibrillates, donor=lender())
    assert set(augmented) <= set(augmentation.SAMPLING_WEIGHTS)
    assert all(len(beats) == len(label) == 600 for beats, label in augmented.values())


def test_who_fibrillates_is_not_made_to_have_supraventricular_beats() -> None:
    # No P wave, no usual RR: which beat is early is not known, and N is what all beats are called.
    augmented = augmentation.augment_patient(*patient(), rng(), has_af=True)
    assert not any((label == "S").any() for _, label in augmented.values())


def test_the_p_wave_goes_where_the_rhythm_has_none() -> None:
    beats, label = patient()
    p = slice(0, round(0.22 * f.WINDOW_FS))
    true = beats.signal[:, 0, p].astype(np.float32)
    augmented = augmentation.simulate_af(beats, label, rng())[0].signal[:, 0, p].astype(np.float32)
    unit = true[0] - true[0].mean()
    height = (augmented @ unit) / (unit @ unit)
    assert abs(np.median(height)) < 0.5  # of the P wave that was there


def test_patients_differ_in_how_many_beats_come_early() -> None:
    beats, label = patient()
    early = [
        int((augmentation.add_premature_beats(beats, label, rng(seed))[1] == "S").sum()) for seed in range(12)
    ]
    assert max(early) > 3 * min(early)
