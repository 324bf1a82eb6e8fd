"""One fold: the loss is the one trained by, and reach is known where records are long enough."""

from dataclasses import replace

import numpy as np
import pytest

from ectopy.ablation.fold_runs import held_out_loss, receptive_field
from ectopy.model.network import Network
from ectopy.model.training_sources import TRAINED_LABELS
from tests.test_network import example_of


class TestLoss:
    def test_the_loss_is_least_for_a_network_that_is_right(self):
        """Focal loss of certainty that is right is nothing; beats without a label have no say."""
        import keras

        class Told:
            loss = keras.losses.CategoricalFocalCrossentropy(alpha=[1.0, 1.0, 1.0], from_logits=True)

            def predict_on_batch(self, x):
                return x[:, :, :3]

        example = example_of("a")
        right = 20 * (example.label[:, None] == np.array(TRAINED_LABELS))
        example = replace(example, features=np.pad(right, ((0, 0), (0, 5))).astype(np.float32))
        fitted = Network(Told(), np.float32(0), np.float32(1))
        assert held_out_loss(fitted, [example]) == pytest.approx(0, abs=1e-6)
        wrong = replace(example, label=np.roll(example.label, 1))
        assert held_out_loss(fitted, [wrong]) > 1
        silent = replace(wrong, label=np.where(wrong.label == example.label, wrong.label, ""))
        assert held_out_loss(fitted, [silent]) == pytest.approx(0, abs=1e-6)


class TestReach:
    def test_in_records_shorter_than_the_reach_it_is_not_known(self):
        fitted = Network(None, np.float32(0), np.float32(1))
        assert np.isnan(receptive_field(fitted, [example_of("a", n=200)])).all()
