"""Classify beats with the exported network: needs numpy and ONNX Runtime only.

    python example.py step_int8.onnx < features.csv

A line of standard input has the features of a beat, in the order of step.json. The output has a line for each
beat: its label, and the probabilities once as many beats have followed as the network looks ahead.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when ONNX Runtime is imported
import onnxruntime

path = Path(sys.argv[1])
specification = json.loads((path.parent / "step.json").read_text(encoding="utf-8"))
labels = specification["outputs"]["probabilities"]["columns"]
session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
state = np.zeros(specification["inputs"]["state"]["shape"], dtype=np.float32)

waiting: list[NDArray[np.float32]] = []  # probabilities of the last beats, the latest last
look_ahead = specification["outputs"]["probabilities"]["shape"][0] - 1


def tell(probability: NDArray[np.float32]) -> None:
    """Print a beat."""
    print(labels[int(probability.argmax())], *(f"{value:.6f}" for value in probability), sep=",")


for line in sys.stdin:
    features = np.array(line.split(","), dtype=np.float32)
    probabilities, state = session.run(None, {"features": features, "state": state})
    waiting = [*waiting, probabilities[0]]
    for before, probability in enumerate(probabilities[: len(waiting)]):
        waiting[-1 - before] = probability
    if len(waiting) > look_ahead:
        tell(waiting.pop(0))
for probability in waiting:
    tell(probability)
