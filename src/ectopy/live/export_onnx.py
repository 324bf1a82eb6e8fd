"""The network of a stream as ONNX: a step from features and state to probabilities and state.

The graph is written by hand from the weights. It does what :meth:`ectopy.live.network.LiveModel.step` does.
The second model has its matrices as 8-bit integers with a scale per output.
"""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import CLASSES
from ectopy.live.beat_features import FEATURES
from ectopy.live.network import Floats, LiveModel
from ectopy.live.quantisation import MATRICES, quantise
from ectopy.model.onnx_export import IR_VERSION, OPSET

FLOAT_MODEL, INT8_MODEL = "step.onnx", "step_int8.onnx"
SPECIFICATION = "step.json"
EXAMPLE = Path(__file__).parent / "onnx" / "example.py"
"""Uses nothing but numpy and ONNX Runtime."""


def export_onnx(folder: Path, model: LiveModel) -> None:
    """Write the network as ONNX, in float32 and in 8 bits, with what its inputs mean and an example.

    Parameters
    ----------
    folder
        The folder to write to.
    model
        The streaming model.
    """
    import onnx

    folder.mkdir(parents=True, exist_ok=True)
    for name, eight_bits in ((FLOAT_MODEL, False), (INT8_MODEL, True)):
        onnx.save(_graph(model, eight_bits=eight_bits), str(folder / name))
    text = json.dumps(specification(model), indent=1)
    (folder / SPECIFICATION).write_text(f"{text}\n", encoding="utf-8")
    shutil.copyfile(EXAMPLE, folder / EXAMPLE.name)


def specification(model: LiveModel) -> dict[str, Any]:
    """Return what the inputs and outputs of the ONNX models are.

    Parameters
    ----------
    model
        The streaming model.
    """
    about = model.specification
    n_answers, units = model.look_ahead + 1, len(model.start())
    return {
        "name": about.name,
        "models": {FLOAT_MODEL: "float32 weights", INT8_MODEL: "int8 weights, a float32 scale per output"},
        "inputs": {
            "features": {
                "type": "float32",
                "shape": [len(about.features)],
                "columns": [{"name": name, "meaning": FEATURES[name]} for name in about.features],
            },
            "state": {"type": "float32", "shape": [units], "start": 0.0},
        },
        "outputs": {
            "probabilities": {
                "type": "float32",
                "shape": [n_answers, len(CLASSES)],
                "rows": "row k is of the beat k before this one",
                "columns": [str(one) for one in CLASSES],
            },
            "next_state": {"type": "float32", "shape": [units]},
        },
        "confidence_threshold": list(about.confidence_threshold),
        "scaling": "the graph subtracts the mean and divides by the scale: give the features as they are",
    }


@dataclass
class _Graph:
    """An ONNX graph under construction."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node, and return the name of its output."""
        from onnx import helper

        name = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, value: NDArray[Any]) -> str:
        """Store a constant, and return its name."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def affine(self, x: str, matrix: str, bias: Floats) -> str:
        return self.add("Add", self.add("MatMul", x, matrix), self.constant(bias))


def _graph(model: LiveModel, *, eight_bits: bool) -> Any:
    from onnx import TensorProto, checker, helper

    graph, w, about = _Graph(), model.weights, model.specification
    matrices = {name: _matrix(graph, w[name], eight_bits=eight_bits) for name in MATRICES}
    mean, scale = (np.array(values, dtype=np.float32) for values in (about.mean, about.scale))
    standard = graph.add("Div", graph.add("Sub", "features", graph.constant(mean)), graph.constant(scale))
    dense = graph.add("Relu", graph.affine(standard, matrices["dense"], w["dense_bias"]))
    from_input = _gates(graph, graph.affine(dense, matrices["kernel"], w["bias"][0]))
    from_state = _gates(graph, graph.affine("state", matrices["recurrent"], w["bias"][1]))
    update, reset = (
        graph.add("Sigmoid", graph.add("Add", one, other))
        for one, other in zip(from_input[:2], from_state[:2], strict=True)
    )
    kept = graph.add("Mul", reset, from_state[2])
    candidate = graph.add("Tanh", graph.add("Add", from_input[2], kept))
    change = graph.add("Mul", update, graph.add("Sub", "state", candidate))
    graph.add("Add", candidate, change, output="next_state")
    logits = graph.affine("next_state", matrices["out"], w["out_bias"])
    _probabilities(graph, logits, model)
    units, n_answers = len(model.start()), model.look_ahead + 1

    def value(name: str, *shape: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

    onnx_graph = helper.make_graph(
        graph.nodes,
        "step",
        [value("features", len(about.features)), value("state", units)],
        [value("probabilities", n_answers, len(CLASSES)), value("next_state", units)],
        graph.constants,
    )
    onnx_model = helper.make_model(
        onnx_graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    checker.check_model(onnx_model)
    return onnx_model


def _matrix(graph: _Graph, weights: Floats, *, eight_bits: bool) -> str:
    if not eight_bits:
        return graph.constant(weights)
    from onnx import TensorProto

    integers, scale = quantise(weights)
    # Not DequantizeLinear: ONNX Runtime would quantise the activations too.
    as_float = graph.add("Cast", graph.constant(integers), to=TensorProto.FLOAT)
    return graph.add("Mul", as_float, graph.constant(scale))


def _gates(graph: _Graph, values: str) -> list[str]:
    """Divide the values of the three gates."""
    from onnx import helper

    names = [f"{values}_{gate}" for gate in ("update", "reset", "candidate")]
    graph.nodes.append(helper.make_node("Split", [values], names, axis=0))
    return names


def _probabilities(graph: _Graph, logits: str, model: LiveModel) -> None:
    """Add the softmax of each answer, and put its labels into the columns of CLASSES."""
    about = model.specification
    shape = graph.constant(np.array([model.look_ahead + 1, len(about.labels)], dtype=np.int64))
    temperature = np.array(about.temperature, dtype=np.float32)[:, None]
    scaled = graph.add("Div", graph.add("Reshape", logits, shape), graph.constant(temperature))
    place = np.zeros((len(about.labels), len(CLASSES)), dtype=np.float32)
    place[np.arange(len(about.labels)), [CLASSES.index(label) for label in about.labels]] = 1
    softmax = graph.add("Softmax", scaled, axis=1)
    graph.add("MatMul", softmax, graph.constant(place), output="probabilities")
