"""Networks written as native ONNX nodes: a GRU, LSTM or plain recurrence is one node, not a traced loop.

Keras models come in and are only read here; what leaves is an ONNX file.
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
"""Of all weights in a graph, dense and recurrent."""


class UnsupportedLayerError(ValueError):
    """A layer that has no ONNX node of its own here."""


@dataclass
class _Graph:
    """An ONNX graph in the making; every node is named after its one output."""

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
        """Keep weights as they are: [inputs, units], or [directions, gates * units, inputs]."""
        return self.constant(value.astype(np.float32))


class _EightBitGraph(_Graph):
    """A graph whose weights are kept in eight bits, one scale a unit, and made whole where they are used."""

    def weights(self, value: Floats) -> str:
        others = tuple({0, 1, 2} - {UNIT_AXIS})[: value.ndim - 1]
        scale = (np.abs(value).max(axis=others, keepdims=True) / 127 + 1e-12).astype(np.float32)
        kept = np.round(value / scale).astype(np.int8)
        stored = (kept, scale.ravel(), np.zeros(scale.size, dtype=np.int8))
        return self.add("DequantizeLinear", *map(self.constant, stored), axis=UNIT_AXIS)


_GATES = {"GRU": (0, 1, 2), "LSTM": (0, 3, 1, 2), "RNN": (0,)}
"""Where Keras keeps the gates that ONNX wants in turn: z r h; i o f c; one."""
_OPERATORS = {"GRU": "GRU", "LSTM": "LSTM", "SimpleRNN": "RNN"}


def export_onnx(model: Any, path: Path, *, eight_bits: bool = False) -> None:
    """Write a Keras model of dense and recurrent layers, or a mean of such, with ONNX's own recurrent nodes.

    Batch and time stay free. With ``eight_bits`` the weights are stored so and computed with as floats.
    """
    from onnx import TensorProto, helper, save

    graph = _EightBitGraph() if eight_bits else _Graph()
    told = [_network(graph, member.layers, "beats") for member in members_of(model)]
    graph.nodes.append(helper.make_node("Mean", told, ["logits"]))
    k, m = model.input_shape[-1], model.output_shape[-1]
    value = helper.make_tensor_value_info
    made = helper.make_graph(
        graph.nodes,
        "ectopy",
        [value("beats", TensorProto.FLOAT, ["batch", "time", k])],
        [value("logits", TensorProto.FLOAT, ["batch", "time", m])],
        graph.constants,
    )
    opset = [helper.make_opsetid("", OPSET)]
    save(helper.make_model(made, opset_imports=opset, ir_version=IR_VERSION), path)


def members_of(model: Any) -> list[Any]:
    """Give the networks of an ensemble, or the model itself."""
    return [layer for layer in model.layers if hasattr(layer, "layers")] or [model]


def _network(graph: _Graph, layers: Sequence[Any], x: str) -> str:
    for layer in layers:
        kind = type(layer).__name__
        if kind == "Dense":
            x = _dense(graph, layer, x)
        elif kind == "Bidirectional" and type(layer.forward_layer).__name__ in _OPERATORS:
            x = _both_ways(graph, layer, x)
        elif kind not in {"InputLayer", "Dropout"}:
            raise UnsupportedLayerError(f"{layer.name}: dense or recurrent layers expected, {kind} came")
    return x


def _dense(graph: _Graph, layer: Any, x: str) -> str:
    kernel, bias = layer.get_weights()
    x = graph.add("Add", graph.add("MatMul", x, graph.weights(kernel)), graph.constant(bias))
    activation = layer.activation.__name__
    if activation not in {"linear", "relu"}:
        raise UnsupportedLayerError(f"{layer.name}: linear or relu expected, {activation} came")
    return graph.add("Relu", x) if activation == "relu" else x


def _both_ways(graph: _Graph, layer: Any, x: str) -> str:
    directions = [layer.forward_layer, layer.backward_layer]
    operator = _OPERATORS[type(layer.forward_layer).__name__]
    units = layer.forward_layer.units
    kernel, recurrent, bias = (
        np.stack(part) for part in zip(*(_gates(each, operator) for each in directions), strict=True)
    )
    weights = (graph.weights(kernel), graph.weights(recurrent), graph.constant(bias))
    more = {"linear_before_reset": 1} if operator == "GRU" else {}  # Keras: reset_after
    by_time = graph.add("Transpose", x, perm=[1, 0, 2])
    y = graph.add(operator, by_time, *weights, direction="bidirectional", hidden_size=units, **more)
    in_batch = graph.add("Transpose", y, perm=[2, 0, 1, 3])  # from time, direction, batch, units
    return graph.add("Reshape", in_batch, graph.constant(np.array([0, 0, 2 * units])))


def _gates(layer: Any, operator: str) -> tuple[Floats, Floats, Floats]:
    """Give kernels as [gates * units, inputs] and both biases in a row, in the order of ONNX."""
    order = np.array(_GATES[operator])

    def arranged(values: Floats) -> Floats:
        by_gate = values.T.reshape(len(order), layer.units, -1)[order]
        return np.asarray(by_gate.reshape(len(order) * layer.units, -1), dtype=np.float32)

    kernel, recurrent, bias = layer.get_weights()
    biases = np.zeros((2, bias.shape[-1]), dtype=np.float32)
    biases[: bias.ndim] = bias  # a GRU that resets after has two, the others one
    return arranged(kernel), arranged(recurrent), arranged(biases).T.reshape(-1)
