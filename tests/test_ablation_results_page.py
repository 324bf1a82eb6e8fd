"""Tables and figure of a comparison, from trials made up for the purpose."""

import numpy as np
import pytest

from ectopy.ablation import results_page
from ectopy.ablation.compressed_variants import Variant
from ectopy.ablation.compression import Size
from ectopy.ablation.fold_runs import DISTANCES_BEATS
from ectopy.ablation.results_page import F1
from ectopy.ablation.trials import Architecture, Trial
from ectopy.features.extraction import FEATURE_NAMES
from ectopy.model.network import TrainConfig


def metrics(veb, sveb):
    return dict(zip(F1, (veb, sveb, veb - 0.1, sveb - 0.1), strict=True))


def trial(architecture="gru", beats=64, *, seed=0, veb=0.9, sveb=0.7, day_s=0.2, variants=()):
    return Trial(
        Architecture(architecture, beats),
        seed,
        11_571,
        losses=(0.3, 0.1, 0.2),
        epoch_s=(1.0, 2.0, 4.0),
        set_up_s=5.0,
        receptive_field=tuple(1 / (1 + distance) for distance in DISTANCES_BEATS),
        metrics=metrics(veb, sveb),
        exported=Variant("native", Size(47_000, 43_000), day_s, 0.0005),
        variants=variants,
    )


def pruned(veb, sveb):
    return Variant("pruned 90%", Size(47_000, 9_000), 0.2, 0.0005, 0.9, metrics(veb, sveb))


TRIALS = (
    trial(seed=0, veb=0.90, day_s=0.3, variants=(pruned(0.85, 0.5),)),
    trial("lstm", veb=0.88),
    trial(beats=16, veb=0.80),
    trial(seed=1, veb=0.94, day_s=0.2, variants=(pruned(0.93, 0.6),)),
)


def cells(table, row):
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert len({len(line) for line in lines}) == 1
    return dict(zip(lines[0], lines[row + 2], strict=True))


class TestKinds:
    def table(self):
        return results_page.kind_table(results_page.by_kind(TRIALS, 64))

    def test_a_row_is_a_kind_over_all_its_seeds(self):
        assert len(self.table().splitlines()) == 2 + 2  # GRU and LSTM; 16 beats are not the usual length
        gru = cells(self.table(), 0)
        assert gru["network"] == "GRU"
        assert gru["VEB F1"] == "92.0 ± 2.8"  # 90 and 94: sd of two is their distance over root 2
        assert gru["VEB F1, record average"] == "82.0 ± 2.8"

    def test_one_seed_has_no_spread(self):
        assert cells(self.table(), 1)["VEB F1"] == "88.0"

    def test_times_to_the_best_epoch_are_less_than_in_all(self):
        lstm = cells(self.table(), 1)
        assert (lstm["best epoch"], lstm["CPU s to best epoch"], lstm["CPU s in total"]) == (
            "2.0",
            "3.0",
            "7.0",
        )

    def test_of_the_speeds_the_fastest_counts(self):
        assert cells(self.table(), 0)["100,000 beats, s"] == "0.20"

    def test_reach_is_in_percent_of_a_beat_s_own_influence(self):
        assert cells(self.table(), 0)["influence 1"] == "50 %"


class TestLengths:
    def test_the_shortest_comes_first_and_only_the_chosen_kind(self):
        found = results_page.by_length(TRIALS, "gru")
        assert list(found) == [16, 64]
        assert cells(results_page.length_table(found), 0)["VEB F1"] == "80.0"


class TestVariants:
    def test_what_is_lost_is_against_the_same_seed(self):
        group = results_page.by_kind(TRIALS, 64)["gru"]
        row = cells(results_page.variant_table(group), 0)
        assert row["VEB lost"] == "+3.0 ± 2.8"  # 90 - 85 and 94 - 93
        assert (row["zeros"], row["bytes"], row["gzip"]) == ("90%", "47,000", "9,000")


class TestWhole:
    def test_the_page_has_what_holds_and_a_table_for_each_question(self):
        text = results_page.build_page(TRIALS, TrainConfig(window_beats=64, epochs=12), database="simdb")
        headings = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
        usual = "Architectures, sequences of 64 beats"
        assert headings == [
            "Why a GRU",
            "Hypotheses about GRUs",
            usual,
            "Sequence lengths, GRU",
            "Compressed variants, GRU",
        ]
        assert f"Each network reads {len(FEATURE_NAMES)} features" in text
        assert "the same optimiser and 2 seed(s). Each training had 12 epochs" in " ".join(text.split())
        assert "| it is as good as an LSTM |" in text

    def test_the_store_gets_a_row_a_trial_and_none_for_what_is_undefined(self):
        table = results_page.trial_columns((trial(veb=float("nan")), trial(seed=1)))
        assert table["gross/veb_f1"] == [None, 90.0]
        assert table["seed"] == [0, 1]
        assert {len(column) for column in table.values()} == {2}

    def test_the_store_gets_a_row_a_form(self):
        table = results_page.variant_columns(TRIALS[0])
        assert (table["form"], table["gross/veb_f1"]) == (["pruned 90%"], [0.85])
        assert results_page.variant_columns(TRIALS[1]) == {}

    def test_the_figure_has_a_mark_a_seed_and_a_curve_a_kind(self):
        losses, kinds, lengths, reach = results_page.draw_figure(TRIALS, TrainConfig(window_beats=64)).axes
        assert [line.get_label() for line in losses.lines] == ["GRU", "LSTM"]
        assert list(np.asarray(losses.lines[0].get_ydata())) == pytest.approx([0.3, 0.1, 0.2])
        assert [len(line.get_xdata()) for line in kinds.lines] == [
            3
        ] * 4  # GRU twice, LSTM once; four metrics
        assert [text.get_text() for text in lengths.get_yticklabels()] == ["16", "64"]
        assert np.asarray(reach.lines[0].get_ydata())[0] == pytest.approx(50)

    def test_a_title_is_of_a_kind_that_exists(self):
        from ectopy.model.architectures import ARCHITECTURES

        assert set(results_page.TITLES) <= set(ARCHITECTURES)

    def test_one_that_is_added_has_its_name(self):
        trials = (*TRIALS, trial("convolution"))
        config = TrainConfig(window_beats=64)
        assert "| convolution |" in results_page.build_page(trials, config, database="simdb")
        losses = results_page.draw_figure(trials, config).axes[0]
        assert [line.get_label() for line in losses.lines] == ["GRU", "LSTM", "convolution"]
