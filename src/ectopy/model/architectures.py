"""Architectures of the network; they differ only in how a beat is related to its neighbours.

Each accepts sequences of any length, as scoring needs, and is about as wide as both directions of the GRU.
"""

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

os.environ.setdefault("KERAS_BACKEND", "jax")  # compiles the GRU on two cores; read when Keras is imported

import keras
import numpy as np

if TYPE_CHECKING:
    from ectopy.model.network import TrainConfig

BLOCKS = 2
"""Blocks of the Transformer encoder."""
HEADS = 4
"""Attention heads: half of them look back, half look ahead."""
SLOPES = np.array([1 / 2, 1 / 8], dtype=np.float32)
"""By how much the attention logit falls per beat of distance, for the two heads of each direction (ALiBi)."""
MASKED = np.float32(1e4)
"""Subtracted from the attention logit of beats in the other direction."""


TemporalLayer: TypeAlias = Callable[[Any, "TrainConfig"], Any]
"""Relates beats to their neighbours: tensor [batch, beats, dense_units] to [batch, beats, any]."""


def simple_rnn(x: Any, config: "TrainConfig") -> Any:
    """Apply a recurrent layer without gates in each direction of time.

    Parameters
    ----------
    x
        Keras tensor [batch, beats, dense_units].
    config
        The training configuration.

    Returns
    -------
    Keras tensor [batch, beats, 2 * gru_units].
    """
    return _bidirectional(keras.layers.SimpleRNN(config.gru_units, return_sequences=True), x)


def gru(x: Any, config: "TrainConfig") -> Any:
    """Apply a GRU in each direction of time.

    Parameters
    ----------
    x
        Keras tensor [batch, beats, dense_units].
    config
        The training configuration.

    Returns
    -------
    Keras tensor [batch, beats, 2 * gru_units].
    """
    return _bidirectional(keras.layers.GRU(config.gru_units, return_sequences=True), x)


def lstm(x: Any, config: "TrainConfig") -> Any:
    """Apply an LSTM in each direction of time.

    Parameters
    ----------
    x
        Keras tensor [batch, beats, dense_units].
    config
        The training configuration.

    Returns
    -------
    Keras tensor [batch, beats, 2 * gru_units].
    """
    return _bidirectional(keras.layers.LSTM(config.gru_units, return_sequences=True), x)


def gru_attention(x: Any, config: "TrainConfig") -> Any:
    """Apply the GRU, and add self-attention over its output.

    Parameters
    ----------
    x
        Keras tensor [batch, beats, dense_units].
    config
        The training configuration.

    Returns
    -------
    Keras tensor [batch, beats, 2 * gru_units].
    """
    recurrent = gru(x, config)
    return keras.layers.Add()([recurrent, Attention()(keras.layers.LayerNormalization()(recurrent))])


def transformer(x: Any, config: "TrainConfig") -> Any:
    """Apply a Transformer encoder with layer normalisation before attention and dense layers (Xiong 2020).

    Parameters
    ----------
    x
        Keras tensor [batch, beats, dense_units].
    config
        The training configuration.

    Returns
    -------
    Keras tensor [batch, beats, 2 * gru_units].
    """
    width = 2 * config.gru_units
    x = keras.layers.Dense(width)(x)
    for _ in range(BLOCKS):
        attended = Attention()(keras.layers.LayerNormalization()(x))
        x = keras.layers.Add()([x, keras.layers.Dropout(config.dropout)(attended)])
        hidden = keras.layers.Dense(width, activation="relu")(keras.layers.LayerNormalization()(x))
        x = keras.layers.Add()([x, keras.layers.Dropout(config.dropout)(keras.layers.Dense(width)(hidden))])
    return keras.layers.LayerNormalization()(x)


def no_recurrence(x: Any, config: "TrainConfig") -> Any:
    """Apply a dense layer to each beat alone, with about as many weights as the GRU has.

    Parameters
    ----------
    x
        Keras tensor [batch, beats, dense_units].
    config
        The training configuration.

    Returns
    -------
    Keras tensor [batch, beats, units].
    """
    units, dense = config.gru_units, config.dense_units
    weights_of_gru = 2 * 3 * units * (dense + units + 2)
    return keras.layers.Dense(round(weights_of_gru / (dense + 1)), activation="relu")(x)


CHOSEN = "gru"
"""The architecture of the shipped model, and that of a training which names none."""
ARCHITECTURES: Mapping[str, TemporalLayer] = MappingProxyType(
    {
        "simple-rnn": simple_rnn,
        CHOSEN: gru,
        "lstm": lstm,
        "gru-attention": gru_attention,
        "transformer": transformer,
        "no-recurrence": no_recurrence,
    }
)
"""The temporal layer of each architecture, by name."""


def _bidirectional(layer: Any, x: Any) -> Any:
    return keras.layers.Bidirectional(layer)(x)


@keras.saving.register_keras_serializable("ectopy")
class Attention(keras.layers.Layer):  # type: ignore[misc]
    """Self-attention whose heads look in one direction of time each, less at beats further away (ALiBi).

    With these penalties (Press 2022) the order of beats needs no positional encoding. A recording may
    therefore be longer than the training windows.
    """

    def build(self, shape: tuple[int, ...]) -> None:
        """Create the weights for an input [batch, beats, width]."""
        width = shape[-1]
        self.head_width = -(-width // HEADS)  # rounded up
        self.qkv = keras.layers.Dense(3 * HEADS * self.head_width, name="qkv")
        self.projection = keras.layers.Dense(width, name="projection")
        self.qkv.build(shape)
        self.projection.build((*shape[:-1], HEADS * self.head_width))

    def call(self, x: Any) -> Any:
        """Compute the attention output of each beat, [batch, beats, width]."""
        ops = keras.ops
        n = x.shape[1]
        heads = ops.reshape(self.qkv(x), (-1, n, 3 * HEADS, self.head_width))
        query, key, value = ops.split(ops.transpose(heads, (0, 2, 1, 3)), 3, axis=1)
        unit = np.float32(self.head_width**-0.5)
        score = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * unit + self._distance_bias(x)
        weight = ops.exp(score - ops.logsumexp(score, axis=-1, keepdims=True))  # a softmax, also of one beat
        attended = ops.matmul(weight, value)
        return self.projection(
            ops.reshape(ops.transpose(attended, (0, 2, 1, 3)), (-1, n, HEADS * self.head_width))
        )

    def _distance_bias(self, x: Any) -> Any:
        """Return [heads, beats, beats]: lower for beats further away, masked in the other direction."""
        ops = keras.ops
        position = ops.cumsum(ops.ones_like(x[0, :, 0]))  # an arange of free length does not export
        ahead = position[None, :] - position[:, None]
        backward, forward = (
            ops.where(distance < 0, -MASKED, -SLOPES[:, None, None] * ops.relu(distance))
            for distance in (-ahead, ahead)
        )
        return ops.concatenate([backward, forward], axis=0)
