"""Clusters of beats: which beats come together, splitting, the cache, and how much is in memory."""

from dataclasses import replace

import numpy as np
import pytest

from ectopy.ec57 import classes_of
from ectopy.ecg import CLASSES, Beats, no_beats
from ectopy.review import clusters as review_clusters
from ectopy.review.clusters import (
    MAX_PER_LABEL,
    Clusters,
    draw_clusters,
    find_clusters,
    load_clusters,
    save_clusters,
    split,
)
from tests.small import simulated

FS = 250.0


@pytest.fixture(scope="module")
def ten_minutes():
    """Ten minutes of a simulated patient with ectopic beats of both kinds, and their true classes."""
    made = simulated(minutes=10, fs=FS, seed=4)
    label = classes_of(made.annotations.symbol)
    is_beat = label != ""
    beats = beats_of(made.annotations.sample[is_beat], label[is_beat])
    return made.recording, beats


def beats_of(sample, label, *, probability=None):
    """Give classified beats; without probabilities the classifier has no opinion."""
    flat = np.full((len(sample), len(CLASSES)), 1 / len(CLASSES), dtype=np.float32)
    return Beats(sample, label, flat if probability is None else probability, np.ones(len(sample), bool), FS)


@pytest.fixture(scope="module")
def found(ten_minutes):
    recording, beats = ten_minutes
    return find_clusters(recording, (0, 1), beats)


class TestFindClusters:
    def test_every_beat_is_in_one_of_at_most_twenty_clusters_a_label(self, ten_minutes, found):
        _, beats = ten_minutes
        assert (found.sample == beats.sample).all()
        assert sorted(set(found.cluster.tolist())) == list(range(found.n_clusters))
        assert found.n_clusters <= MAX_PER_LABEL * len(set(beats.label.tolist()))

    @pytest.mark.parametrize("letter", ["V", "S"])
    def test_shape_and_timing_set_ectopic_beats_apart(self, ten_minutes, found, letter):
        """The classifier has no opinion here."""
        _, beats = ten_minutes
        ectopic = beats.label == letter
        assert ectopic.sum() >= 10
        majority = [np.mean(ectopic[found.members(k)]) > 0.5 for k in range(found.n_clusters)]
        in_majority = np.array(majority)[found.cluster] == ectopic
        assert in_majority.mean() > 0.99

    def test_the_same_beats_give_the_same_clusters(self, ten_minutes, found):
        recording, beats = ten_minutes
        again = find_clusters(recording, (0, 1), beats)
        assert (again.cluster == found.cluster).all()

    def test_one_lead_is_enough(self, ten_minutes):
        recording, beats = ten_minutes
        assert find_clusters(recording, (0,), beats).n_clusters > 1

    def test_a_recording_without_beats_has_no_cluster(self, ten_minutes):
        recording, _ = ten_minutes
        assert find_clusters(recording, (0, 1), no_beats(FS)).n_clusters == 0

    def test_a_single_beat_is_a_cluster(self, ten_minutes):
        recording, beats = ten_minutes
        one = beats_of(beats.sample[5:6], beats.label[5:6])
        assert find_clusters(recording, (0, 1), one).cluster.tolist() == [0]

    def test_the_signal_is_read_part_by_part(self, ten_minutes, monkeypatch):
        """Each sample is read in its part, and again only where the filters reach into the next block."""
        recording, beats = ten_minutes
        longest = 0

        def read(start, stop):
            nonlocal longest
            longest = max(longest, stop - start)
            return recording.read(start, stop)

        monkeypatch.setattr(review_clusters, "PART_S", 60.0)
        find_clusters(replace(recording, read=read), (0, 1), beats)
        assert longest <= 60 * FS


class TestSplit:
    def test_the_parts_get_the_next_numbers_and_nothing_else_changes(self, found):
        after = split(found, 0)
        assert after.n_clusters == found.n_clusters + 3
        moved = after.cluster != found.cluster
        assert set(found.cluster[moved]) == {0}
        assert set(after.cluster[moved]) == {found.n_clusters + more for more in range(3)}

    def test_the_largest_part_keeps_its_number(self, found):
        after = split(found, 0)
        parts = [0, *range(found.n_clusters, after.n_clusters)]
        sizes = [len(after.members(part)) for part in parts]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-1] > 0

    def test_four_shapes_are_set_apart(self):
        shapes = [[0, 1], [3, 1], [9, 1], [9, 4]]
        points = np.repeat(shapes, [30, 5, 7, 3], axis=0).astype(np.float16)
        clusters = Clusters(np.arange(45), np.zeros(45, dtype=np.int32), points)
        assert split(clusters, 0).cluster.tolist() == [0] * 30 + [2] * 5 + [1] * 7 + [3] * 3

    def test_two_shapes_stay_two(self):
        points = np.repeat([[0, 1], [3, 1]], [30, 5], axis=0).astype(np.float16)
        clusters = Clusters(np.arange(35), np.zeros(35, dtype=np.int32), points)
        assert split(clusters, 0).cluster.tolist() == [0] * 30 + [1] * 5

    def test_other_beats_of_the_cluster_keep_its_number(self):
        points = np.repeat([[0, 1], [3, 1]], [30, 5], axis=0).astype(np.float16)
        clusters = Clusters(np.arange(35), np.zeros(35, dtype=np.int32), points)
        assert split(clusters, 0, np.arange(20, 33)).cluster.tolist() == [0] * 30 + [1] * 3 + [0] * 2

    def test_beats_that_are_all_the_same_stay_together(self):
        clusters = Clusters(np.arange(9), np.zeros(9, dtype=np.int32), np.ones((9, 3), dtype=np.float16))
        assert split(clusters, 0).n_clusters == 1


class TestDrawClusters:
    def test_beats_are_cut_from_the_signal(self, ten_minutes, found):
        recording, _ = ten_minutes
        (drawing,) = draw_clusters(recording, (0, 1), found, [0])
        assert drawing.superimposed.shape == (40, 2, 200)  # 0.8 s at 250 Hz
        assert drawing.average.shape == (2, 200)
        assert set(drawing.sample) <= set(found.sample[found.members(0)])
        first = int(drawing.sample[3])
        signal = recording.read(first - 75, first + 125)
        offset = signal[:, 1] - drawing.superimposed[3, 1]
        assert np.ptp(offset) == pytest.approx(0, abs=1e-5)
        assert np.median(drawing.superimposed[3, 1]) == pytest.approx(0, abs=0.02)

    def test_what_lies_before_the_start_is_missing(self, ten_minutes):
        recording, _ = ten_minutes
        clusters = Clusters(np.array([25]), np.zeros(1, dtype=np.int32), np.zeros((1, 2), dtype=np.float16))
        (drawing,) = draw_clusters(recording, (0, 1), clusters, [0])
        assert np.isnan(drawing.average[:, :50]).all()
        assert np.isfinite(drawing.average[:, 50:]).all()


class TestCache:
    def test_clusters_come_back_as_they_were(self, found, tmp_path):
        save_clusters(tmp_path / "clusters.npz", found, "beats 1")
        again = load_clusters(tmp_path / "clusters.npz", "beats 1")
        assert again is not None
        for name in ("sample", "cluster", "points"):
            assert (getattr(again, name) == getattr(found, name)).all()

    def test_clusters_of_other_beats_are_not_used(self, found, tmp_path):
        save_clusters(tmp_path / "clusters.npz", found, "beats 1")
        assert load_clusters(tmp_path / "clusters.npz", "beats 2") is None

    def test_a_missing_or_damaged_file_is_none(self, found, tmp_path):
        path = tmp_path / "clusters.npz"
        assert load_clusters(path, "beats 1") is None
        save_clusters(path, found, "beats 1")
        path.write_bytes(path.read_bytes()[:1000])
        assert load_clusters(path, "beats 1") is None
