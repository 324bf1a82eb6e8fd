"""Kinds of networks beside the GRU, alike in all but what relates a beat to its neighbours.

Each reads sequences of any length, as scoring does, and is about as wide as both directions of the GRU.
"""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from ectopy.model import network
from ectopy.model.network import Across, Build, TrainConfig

import keras  # isort: skip - after network, which chooses its backend

BLOCKS = 2
HEADS = 4
SLOPES = np.array([1 / 2, 1 / 8], dtype=np.float32)
"""Of attention by distance in beats; two heads each way."""
WALL = np.float32(1e4)
"""In the logits of attention."""


def simple_rnn(x: Any, config: TrainConfig) -> Any:
    """Read the beats both ways with units that have no gates."""
    return _both_ways(keras.layers.SimpleRNN(config.gru_units, return_sequences=True), x)


def lstm(x: Any, config: TrainConfig) -> Any:
    """Read the beats both ways with three gates and a cell state."""
    return _both_ways(keras.layers.LSTM(config.gru_units, return_sequences=True), x)


def gru_attention(x: Any, config: TrainConfig) -> Any:
    """Read the beats with the GRU, then let each look at the others."""
    read = network.gru(x, config)
    return keras.layers.Add()([read, Attention()(keras.layers.LayerNormalization()(read))])


def transformer(x: Any, config: TrainConfig) -> Any:
    """Encode with blocks of attention and a dense layer each, normalised first (Xiong 2020)."""
    width = 2 * config.gru_units
    x = keras.layers.Dense(width)(x)
    for _ in range(BLOCKS):
        looked = Attention()(keras.layers.LayerNormalization()(x))
        x = keras.layers.Add()([x, keras.layers.Dropout(config.dropout)(looked)])
        thought = keras.layers.Dense(width, activation="relu")(keras.layers.LayerNormalization()(x))
        x = keras.layers.Add()([x, keras.layers.Dropout(config.dropout)(keras.layers.Dense(width)(thought))])
    return keras.layers.LayerNormalization()(x)


def no_recurrence(x: Any, config: TrainConfig) -> Any:
    """Let no beat know of another; with as many weights as the GRU has."""
    units, dense = config.gru_units, config.dense_units
    weights_of_gru = 2 * 3 * units * (dense + units + 2)
    return keras.layers.Dense(round(weights_of_gru / (dense + 1)), activation="relu")(x)


CHOSEN = "gru"
"""The kind that ships."""
ARCHITECTURES: Mapping[str, Across] = MappingProxyType(
    {
        "simple-rnn": simple_rnn,
        CHOSEN: network.gru,
        "lstm": lstm,
        "gru-attention": gru_attention,
        "transformer": transformer,
        "no-recurrence": no_recurrence,
    }
)
"""What each kind does across beats."""


class UnknownArchitectureError(ValueError):
    """A kind of network that is not among these."""


def builder(architecture: str) -> Build:
    """Say how a kind of network is built."""
    if architecture not in ARCHITECTURES:
        raise UnknownArchitectureError(f"{architecture}: one of {', '.join(ARCHITECTURES)} expected")
    return partial(network.build, across=ARCHITECTURES[architecture])


def _both_ways(layer: Any, x: Any) -> Any:
    return keras.layers.Bidirectional(layer)(x)


@keras.saving.register_keras_serializable("ectopy")
class Attention(keras.layers.Layer):  # type: ignore[misc]
    """Self-attention; half of the heads look back, half ahead, each the less the further (ALiBi, Press 2022).

    So order needs no code of positions, and a recording may be longer than what was learned from.
    """

    def build(self, shape: tuple[int, ...]) -> None:
        """Make the weights for an input [batch, beats, width]."""
        width = shape[-1]
        self.looks = keras.layers.Dense(3 * width, name="looks")
        self.told = keras.layers.Dense(width, name="told")
        self.looks.build(shape)
        self.told.build(shape)

    def call(self, x: Any) -> Any:
        """Give what each beat was told by those it looked at, [batch, beats, width]."""
        ops = keras.ops
        n, width = x.shape[1:]
        split = ops.reshape(self.looks(x), (-1, n, 3 * HEADS, width // HEADS))
        query, key, value = ops.split(ops.transpose(split, (0, 2, 1, 3)), 3, axis=1)
        unit = np.float32((width // HEADS) ** -0.5)
        score = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * unit + self._reach(x)
        share = ops.exp(score - ops.logsumexp(score, axis=-1, keepdims=True))  # a softmax, also of one beat
        seen = ops.matmul(share, value)
        return self.told(ops.reshape(ops.transpose(seen, (0, 2, 1, 3)), (-1, n, width)))

    def _reach(self, x: Any) -> Any:
        """Give [heads, beats, beats]: less for beats further away, and a wall in the other direction."""
        ops = keras.ops
        at = ops.cumsum(ops.ones_like(x[0, :, 0]))  # an arange of free length does not export
        ahead = at[None, :] - at[:, None]
        back, on = (
            ops.where(way < 0, -WALL, -SLOPES[:, None, None] * ops.relu(way)) for way in (-ahead, ahead)
        )
        return ops.concatenate([back, on], axis=0)
