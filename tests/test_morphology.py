"""Morphology features of handmade beats, whose values can be computed on paper."""

import math

import numpy as np
import pytest

from ectopy.beats.windows import BEFORE, WINDOW
from ectopy.features import columns, extraction, morphology

N_BEATS = 40
TEMPLATE_BEATS = np.arange(0, N_BEATS, 4)
TIME_S = (np.arange(WINDOW) - BEFORE) / 100


def bump(centre_s: float, width_s: float, height: float) -> np.ndarray:
    return np.asarray(height * np.exp(-0.5 * ((TIME_S - centre_s) / width_s) ** 2))


def normal_beat(*, p: float = 0.15, r: float = 1.0, t: float = 0.3, width_s: float = 0.015) -> np.ndarray:
    waves = bump(-0.18, 0.02, p) + bump(0.0, width_s, r) + bump(0.28, 0.04, t)
    return np.asarray(waves)


def features_of(
    changed: np.ndarray | None = None,
    *,
    scale: float = 1.0,
    readable: np.ndarray | None = None,
    rr_s: float = 0.8,
) -> dict[str, float]:
    """Return the features of beat 10, the only one that may differ from the others."""
    windows = np.repeat(normal_beat()[None], N_BEATS, axis=0).astype(np.float32)
    if changed is not None:
        windows[10] = changed
    scales = np.ones(N_BEATS, dtype=np.float32)
    scales[10] = scale
    mask = np.ones(N_BEATS, dtype=bool) if readable is None else readable
    lead = morphology.morphology_features(
        windows, scales, mask, np.full(N_BEATS, rr_s, dtype=np.float32), TEMPLATE_BEATS
    )
    return dict(zip(morphology.MORPHOLOGY, lead.features[10].tolist(), strict=True))


class TestOneLead:
    def test_a_beat_like_the_template_has_no_difference(self) -> None:
        x = features_of()
        # 0.999 is the highest correlation that counts, and 3 the lowest logarithm of a residual.
        highest = math.atanh(0.999)
        assert x["correlation"] == pytest.approx(highest, abs=1e-3)
        assert x["residual"] == -3
        for name in ("amplitude", "width", "area"):
            assert x[name] == pytest.approx(0, abs=1e-5)
        assert x["polarity"] == pytest.approx(1, abs=1e-4)
        assert x["P correlation"] == x["T correlation"] == pytest.approx(highest, abs=1e-3)
        assert (
            x["correlation with beat before"]
            == x["correlation with beat after"]
            == pytest.approx(highest, abs=1e-3)
        )
        assert x["readable"] == 1

    def test_a_beat_twice_as_high_has_a_residual_of_1_and_an_amplitude_of_log_2(self) -> None:
        x = features_of(scale=2.0)
        assert x["residual"] == pytest.approx(0, abs=1e-5)  # |2 t - t| = |t|; a sum would give log 3
        assert x["amplitude"] == pytest.approx(math.log(2), abs=1e-4)
        assert x["area"] == pytest.approx(math.log(2), abs=1e-4)
        assert x["polarity"] == pytest.approx(2, abs=1e-4)
        assert x["width"] == pytest.approx(0, abs=1e-3)

    def test_an_inverted_qrs_has_polarity_minus_1(self) -> None:
        # Compared without the alignment, which would shift an inverted QRS to where it correlates best.
        template = normal_beat()[BEFORE - 12 : BEFORE + 15].astype(np.float32)
        x = morphology._compare_qrs(-template[None], template)
        assert x["polarity"][0] == pytest.approx(-1, abs=1e-4)
        assert x["residual"][0] == pytest.approx(math.log(2), abs=1e-4)  # |-t - t| = 2 |t|
        assert x["amplitude"][0] == pytest.approx(0, abs=1e-5)

    def test_the_width_of_a_gaussian_is_that_of_its_square_times_the_root_of_12(self) -> None:
        # The weights are the squared deflection, whose sigma is that of the deflection over the root of 2.
        x = features_of(normal_beat(width_s=0.025, p=0, t=0))
        assert x["width in 0.1 s"] == pytest.approx(10 * 0.025 * math.sqrt(12 / 2), rel=0.01)
        assert x["width"] == pytest.approx(math.log(0.025 / 0.015), abs=0.02)

    @pytest.mark.parametrize("shift", [-4, -1, 0, 3, 4])
    def test_a_beat_up_to_40_ms_late_is_aligned(self, shift: int) -> None:
        x = features_of(np.roll(normal_beat(), shift))
        assert x["correlation"] == pytest.approx(math.atanh(0.999), abs=1e-3)
        assert x["amplitude"] == pytest.approx(0, abs=1e-4)

    def test_a_beat_50_ms_late_is_not(self) -> None:
        assert features_of(np.roll(normal_beat(), 5))["correlation"] < 2

    def test_a_missing_p_wave_changes_the_p_features_alone(self) -> None:
        x = features_of(normal_beat(p=0))
        assert x["P correlation"] < 0.5
        # The difference is the P wave of the template, without its mean, 0.28 to 0.08 s before the R peak.
        p = bump(-0.18, 0.02, 0.15)[2:22]
        height = np.ptp(normal_beat()[BEFORE - 12 : BEFORE + 15])
        assert x["P residual"] == pytest.approx(math.log(np.linalg.norm(p - p.mean()) / height), abs=0.02)
        assert x["T correlation"] == pytest.approx(math.atanh(0.999), abs=1e-3)

    def test_an_inverted_t_wave_changes_the_t_feature_alone(self) -> None:
        x = features_of(normal_beat(t=-0.3))
        assert x["T correlation"] == pytest.approx(-math.atanh(0.999), abs=0.1)
        assert x["P correlation"] == pytest.approx(math.atanh(0.999), abs=1e-3)

    def test_the_t_window_ends_450_ms_after_the_r_peak(self) -> None:
        late = normal_beat() + bump(0.43, 0.01, 0.3)
        assert features_of(late)["T correlation"] < 1.5  # the wave at 0.43 s counts

    def test_neighbours_are_the_beats_before_and_after(self) -> None:
        a, b = np.eye(2, dtype=np.float32)
        x = morphology._compare_neighbours(np.stack([a, a, b, b, -b]))
        same, opposite = math.atanh(0.999), -math.atanh(0.999)
        # The first beat has no beat before it and the last none after it: the other neighbour counts.
        assert x["correlation with beat before"] == pytest.approx([same, same, 0, same, opposite], abs=1e-3)
        assert x["correlation with beat after"] == pytest.approx(
            [same, 0, same, opposite, opposite], abs=1e-3
        )

    def test_an_unreadable_beat_has_zeros_and_an_unreadable_lead_too(self) -> None:
        readable = np.arange(N_BEATS) != 10
        assert set(features_of(readable=readable).values()) == {0.0}
        assert set(features_of(readable=np.zeros(N_BEATS, dtype=bool)).values()) == {0.0}

    def test_unreadable_template_beats_are_left_out_of_the_template(self) -> None:
        windows = np.repeat(normal_beat()[None], N_BEATS, axis=0).astype(np.float32)
        windows[TEMPLATE_BEATS[:7]] = np.random.default_rng(0).normal(size=(7, WINDOW))
        readable = np.ones(N_BEATS, dtype=bool)
        readable[TEMPLATE_BEATS[:7]] = False
        lead = morphology.morphology_features(
            windows,
            np.ones(N_BEATS, dtype=np.float32),
            readable,
            np.full(N_BEATS, 0.8, dtype=np.float32),
            TEMPLATE_BEATS,
        )
        assert lead.features[1, 0] == pytest.approx(math.atanh(0.999), abs=1e-3)
        assert lead.features[1, 1] == -3

    def test_the_template_qrs_is_the_unit_of_the_qrs(self) -> None:
        windows = np.repeat(normal_beat()[None], N_BEATS, axis=0).astype(np.float32)
        scale = np.ones(N_BEATS, dtype=np.float32)
        scale[10] = 3.0
        lead = morphology.morphology_features(
            windows,
            scale,
            np.ones(N_BEATS, dtype=bool),
            np.full(N_BEATS, 0.8, dtype=np.float32),
            TEMPLATE_BEATS,
        )
        size = np.linalg.norm(lead.qrs, axis=1)
        assert np.delete(size, 10) == pytest.approx(1, abs=1e-4)
        assert size[10] == pytest.approx(3, abs=1e-3)
        assert lead.qrs.mean(axis=1) == pytest.approx(0, abs=1e-6)


class TestAllLeads:
    def test_the_residual_is_a_difference_in_units_of_the_spread(self) -> None:
        # Template [1, 0]; template beats differ from it by 0.1, 0.2 and 0.4, another beat by 0.8.
        template = np.repeat([[1.0, 0.0]], 4, axis=0).astype(np.float32)
        qrs = template.copy()
        qrs[:, 1] = [0.1, 0.2, 0.4, 0.8]
        x = morphology.all_lead_features(qrs, template, np.zeros((4, 2), dtype=np.float32), np.arange(3))
        # log 0.1, log 0.2 and log 0.4: the median is log 0.2, the median distance log 2.
        unit = 2 * 1.48 * math.log(2) + 0.05
        expected = np.array([-1, 0, 1, 2]) * math.log(2) / unit
        np.testing.assert_allclose(x[:, 1], expected, atol=1e-3)

    def test_far_beats_are_limited_to_6(self) -> None:
        template = np.repeat([[1.0, 0.0]], 9, axis=0).astype(np.float32)
        qrs = template.copy()
        qrs[:, 1] = 0.001
        qrs[8] = -1.0, 0.0
        x = morphology.all_lead_features(qrs, template, np.zeros((9, 2), dtype=np.float32), np.arange(8))
        assert x[8].tolist() == [-6.0, 6.0, 0.0]


class TestCluster:
    @pytest.fixture
    def features(self) -> dict[str, np.ndarray]:
        """A quarter of the beats have another QRS; they are premature and followed by a pause."""
        other = np.arange(80) % 4 == 3
        qrs = np.where(other[:, None], [0.0, 1.0], [1.0, 0.0]).astype(np.float32)
        ratios = np.where(other[:, None], [-0.4, 0.7], [0.0, 0.01]).astype(np.float32)
        x = morphology.cluster_features(qrs, np.flatnonzero(~other)[:12], ratios)
        return {name: x[:, column] for column, name in enumerate(morphology.CLUSTER)}

    def test_the_share_of_similar_beats(self, features: dict[str, np.ndarray]) -> None:
        np.testing.assert_allclose(
            features["share of similar beats"][:4], np.log([0.76, 0.76, 0.76, 0.26]), atol=1e-3
        )

    def test_their_prematurity_and_pause(self, features: dict[str, np.ndarray]) -> None:
        np.testing.assert_allclose(features["prematurity of similar beats"][2:4], [0, -0.4], atol=1e-3)
        np.testing.assert_allclose(features["pause after similar beats"][2:4], [0.01, 0.7], atol=1e-3)

    def test_how_many_of_them_come_in_time(self, features: dict[str, np.ndarray]) -> None:
        np.testing.assert_allclose(features["share of similar beats in time"][2:4], [1, 0], atol=1e-3)

    @pytest.mark.parametrize(
        ("rr", "pause", "in_time"), [(-0.04, 0.14, 1), (-0.06, 0.14, 0), (-0.04, 0.16, 0)]
    )
    def test_in_time_means_not_premature_and_no_pause(self, rr: float, pause: float, in_time: int) -> None:
        qrs = np.repeat([[1.0, 0.0]], 20, axis=0).astype(np.float32)
        ratios = np.repeat([[rr, pause]], 20, axis=0).astype(np.float32)
        x = morphology.cluster_features(qrs, np.arange(5), ratios)
        assert x[:, list(morphology.CLUSTER).index("share of similar beats in time")] == pytest.approx(
            in_time, abs=1e-6
        )


class TestDefinitions:
    def test_every_feature_has_a_meaning_in_one_sentence(self) -> None:
        assert tuple(extraction.FEATURES) == extraction.FEATURE_NAMES
        for name, meaning in extraction.FEATURES.items():
            assert len(meaning) > 20, name
            assert not meaning.endswith("."), name

    def test_a_column_without_a_meaning_is_refused_and_a_meaning_without_a_column_too(self) -> None:
        x = np.zeros(3, dtype=np.float32)
        with pytest.raises(ValueError, match="without a column or without a meaning: b"):
            columns.stack_columns({"a": x, "b": x}, {"a": "the first"})
        with pytest.raises(ValueError, match="without a column or without a meaning: b"):
            columns.stack_columns({"a": x}, {"a": "the first", "b": "the second"})

    def test_columns_come_in_the_order_of_their_meanings(self) -> None:
        one, two = np.ones(3, dtype=np.float32), np.full(3, 2, dtype=np.float32)
        stacked = columns.stack_columns({"b": two, "a": one}, {"a": "the first", "b": "the second"})
        assert stacked.tolist() == [[1, 2]] * 3

    @pytest.mark.parametrize(
        ("x", "unit", "expected"),
        [(2.0, 1.0, math.log(2)), (100.0, 1.0, 1.5), (0.0, 1.0, -1.5), (0.0, 0.0, 0)],
    )
    def test_the_log_of_a_ratio_is_limited(self, x: float, unit: float, expected: float) -> None:
        assert columns.log_ratio(np.float32(x), np.float32(unit)) == pytest.approx(expected, abs=1e-5)
