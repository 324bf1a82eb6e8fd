"""Export of Keras models to ONNX with its own nodes for recurrent layers.

A GRU, LSTM or simple RNN becomes one ONNX node. The exporter of Keras would write a loop over time, which is
slower and larger. The Keras model is not changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.features.extraction import Floats

OPSET, IR_VERSION = 17, 8
"""Old enough for any ONNX Runtime that ectopy allows."""
UNIT_AXIS = 1
"""Axis of the units in all weights of a graph, dense and recurrent."""


class UnsupportedLayerError(ValueError):
    """A layer or activation that this module cannot export."""


@dataclass
class _Graph:
    """An ONNX graph under construction; each node is named after its one output."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        output = f"{operator.lower()}_{len(self.nodes)}"
        outputs = [output, ""][: 1 + (operator in _GATES)]
        self.nodes.append(helper.make_node(operator, list(inputs), outputs, **attributes))
        return output

    def constant(self, value: NDArray[Any]) -> str:
        from onnx import numpy_helper

        name = f"weights_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def weights(self, value: Floats) -> str:
        """Store weights [inputs, units] or [directions, gates * units, inputs] as float32."""
        return self.constant(value.astype(np.float32))


class _EightBitGraph(_Graph):
    """A graph whose weights are stored in 8 bits, one scale per unit, and used as floats."""

    def weights(self, value: Floats) -> str:
        other_axes = tuple({0, 1, 2} - {UNIT_AXIS})[: value.ndim - 1]
        scale = (np.abs(value).max(axis=other_axes, keepdims=True) / 127 + 1e-12).astype(np.float32)
        quantised = np.round(value / scale).astype(np.int8)
        stored = (quantised, scale.ravel(), np.zeros(scale.size, dtype=np.int8))
        return self.add("DequantizeLinear", *map(self.constant, stored), axis=UNIT_AXIS)


_GATES = {"GRU": (0, 1, 2), "LSTM": (0, 3, 1, 2), "RNN": (0,)}
"""Index in Keras of each gate, in the order of ONNX: z r h for a GRU; i o f c for an LSTM."""
_OPERATORS = {"GRU": "GRU", "LSTM": "LSTM", "SimpleRNN": "RNN"}
_OPTIONS = {
    "merge_mode": "concat",
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
    "use_bias": True,
    "reset_after": True,
    "return_sequences": True,
}
"""Options of a recurrent layer in Keras for which its ONNX node gives the same output."""


def export_onnx(model: Any, path: Path, *, eight_bits: bool = False) -> None:
    """Write a Keras model of dense and recurrent layers, or an ensemble of such models, to an ONNX file.

    The batch size and the number of beats stay free.

    Parameters
    ----------
    model
        The Keras model, [batch, beats, n_features] to logits [batch, beats, n_labels].
    path
        File to write.
    eight_bits
        Whether to store the weights as int8; computation stays in float32.

    Raises
    ------
    UnsupportedLayerError
        If the model has a layer or activation without an ONNX node here.
    """
    from onnx import TensorProto, helper, save

    graph = _EightBitGraph() if eight_bits else _Graph()
    outputs = [_network(graph, member.layers, "beats") for member in ensemble_members(model)]
    graph.nodes.append(helper.make_node("Mean", outputs, ["logits"]))
    n_features, n_labels = model.input_shape[-1], model.output_shape[-1]
    tensor = helper.make_tensor_value_info
    finished = helper.make_graph(
        graph.nodes,
        "ectopy",
        [tensor("beats", TensorProto.FLOAT, ["batch", "time", n_features])],
        [tensor("logits", TensorProto.FLOAT, ["batch", "time", n_labels])],
        graph.constants,
    )
    opset = [helper.make_opsetid("", OPSET)]
    save(helper.make_model(finished, opset_imports=opset, ir_version=IR_VERSION), path)


def ensemble_members(model: Any) -> list[Any]:
    """Return the networks of an ensemble, or the model itself."""
    members = [layer for layer in model.layers if hasattr(layer, "layers")]
    others = {type(layer).__name__ for layer in model.layers if layer not in members}
    return members if members and others <= {"InputLayer", "Average"} else [model]


def _network(graph: _Graph, layers: Sequence[Any], x: str) -> str:
    for layer in layers:
        kind = type(layer).__name__
        if kind == "Dense":
            x = _dense(graph, layer, x)
        elif kind == "Bidirectional" and type(layer.forward_layer).__name__ in _OPERATORS:
            x = _bidirectional(graph, layer, x)
        elif kind not in {"InputLayer", "Dropout"}:
            raise UnsupportedLayerError(
                f"{layer.name}: no ONNX node for a layer of type {kind}. "
                "Use Dense, Dropout and bidirectional GRU, LSTM or SimpleRNN layers, "
                "or export with network.export_onnx_with_keras."
            )
    return x


def _dense(graph: _Graph, layer: Any, x: str) -> str:
    if not layer.use_bias:
        raise UnsupportedLayerError(f"{layer.name}: no ONNX node without a bias. Use one.")
    kernel, bias = layer.get_weights()
    x = graph.add("Add", graph.add("MatMul", x, graph.weights(kernel)), graph.constant(bias))
    activation = layer.activation.__name__
    if activation not in {"linear", "relu"}:
        raise UnsupportedLayerError(f"{layer.name}: no ONNX node for {activation}. Use linear or relu.")
    return graph.add("Relu", x) if activation == "relu" else x


def _bidirectional(graph: _Graph, layer: Any, x: str) -> str:
    directions = [layer.forward_layer, layer.backward_layer]
    _check_recurrent(layer)
    operator = _OPERATORS[type(layer.forward_layer).__name__]
    units = layer.forward_layer.units
    kernel, recurrent, bias = (
        np.stack(part) for part in zip(*(_gates(layer, operator) for layer in directions), strict=True)
    )
    weights = (graph.weights(kernel), graph.weights(recurrent), graph.constant(bias))
    options = {"linear_before_reset": 1} if operator == "GRU" else {}  # Keras: reset_after
    time_first = graph.add("Transpose", x, perm=[1, 0, 2])
    y = graph.add(operator, time_first, *weights, direction="bidirectional", hidden_size=units, **options)
    batch_first = graph.add("Transpose", y, perm=[2, 0, 1, 3])  # from time, direction, batch, units
    return graph.add("Reshape", batch_first, graph.constant(np.array([0, 0, 2 * units])))


def _check_recurrent(layer: Any) -> None:
    """Raise an error if a recurrent layer has an option with which its node would give another output."""
    options = {"merge_mode": layer.merge_mode} | layer.forward_layer.get_config()
    if unusual := [name for name, value in _OPTIONS.items() if options.get(name, value) != value]:
        raise UnsupportedLayerError(
            f"{layer.name}: no ONNX node with this {unusual[0]}. Use {_OPTIONS[unusual[0]]!r}."
        )


def _gates(layer: Any, operator: str) -> tuple[Floats, Floats, Floats]:
    """Return both kernels [gates * units, inputs] and the biases in one row, in the order of ONNX."""
    order = np.array(_GATES[operator])

    def reordered(values: Floats) -> Floats:
        by_gate = values.T.reshape(len(order), layer.units, -1)[order]
        return np.asarray(by_gate.reshape(len(order) * layer.units, -1), dtype=np.float32)

    kernel, recurrent, bias = layer.get_weights()
    biases = np.zeros((2, bias.shape[-1]), dtype=np.float32)
    biases[: bias.ndim] = bias  # a GRU with reset_after has two biases, other layers have one
    return reordered(kernel), reordered(recurrent), reordered(biases).T.reshape(-1)
