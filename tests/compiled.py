"""C exports of streaming models, compiled and run."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ectopy.ecg import Signal
from ectopy.live.export_c import Weights, export_c
from ectopy.live.network import LiveModel

STRICT = (
    "-std=c99",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wconversion",
    "-Wdouble-promotion",
    "-ffp-contract=off",
)
SANITIZED = ("-g", "-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
"""Not optimised: to compile with both sanitizers takes a third of the time."""
OPTIMISED = ("-O2",)
"""Some warnings come with optimisation only."""


class Told(NamedTuple):
    """A line of the example program."""

    kind: str
    sample: int
    label: str
    confident: bool
    probabilities: tuple[float, ...]


def compiled(
    folder: Path,
    model: LiveModel,
    fs: float,
    *,
    weights: Weights = "int8",
    compiler: str = "gcc",
    options: tuple[str, ...] = SANITIZED,
) -> Path:
    """Export a model and compile its example program."""
    export_c(folder, model, fs, weights=weights)
    command = [compiler, *STRICT, *options, "main.c", "ectopy.c", "-lm", "-o", "example"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "example"


def can_sanitize(compiler: str) -> bool:
    """Check whether a compiler is there with its sanitizers."""
    if not shutil.which(compiler):
        return False
    command = [compiler, *SANITIZED, "-x", "c", "-", "-o", os.devnull]
    ended = subprocess.run(command, input=b"int main(void) { return 0; }", check=False, capture_output=True)
    return not ended.returncode


def run(program: Path, signal: Signal) -> list[Told]:
    """Run the example program on a signal in mV, NaN where missing."""
    rows = (",".join("" if np.isnan(value) else f"{value:.9g}" for value in row) for row in signal.tolist())
    ended = subprocess.run(
        [str(program)], input="\n".join(("mV", *rows, "")), capture_output=True, text=True, check=True
    )
    lines = [line.split(",") for line in ended.stdout.splitlines()[1:]]
    return [
        Told(kind, int(sample), label, confident == "1", tuple(float(one) for one in probabilities if one))
        for kind, sample, label, confident, *probabilities in lines
    ]
