"""The streaming pipeline as C99: static sources, and a header with the constants of a rate and a model."""

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import CLASSES
from ectopy.live import candidates
from ectopy.live.beat_features import FEATURES
from ectopy.live.front_end import MOST_MV, FrontEnd
from ectopy.live.network import LiveModel
from ectopy.live.quantisation import MATRICES, quantise
from ectopy.live.stream import STEP_S
from ectopy.rhythm import tachycardia

SOURCES = Path(__file__).parent / "c"
"""What is the same for all rates and models."""
MODEL_HEADER = "ectopy_model.h"

Weights = Literal["int8", "float"]


def export_c(folder: Path, model: LiveModel, fs: float, *, weights: Weights = "int8") -> None:
    """Write the C sources of a stream.

    Parameters
    ----------
    folder
        The folder to write to.
    model
        The streaming model.
    fs
        Sampling rate of the device in Hz, 100 to 10,000.
    weights
        How the weights are stored. As integers they need a quarter of the memory.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(SOURCES.iterdir()):
        shutil.copyfile(source, folder / source.name)
    text = "\n".join(_header(model, fs, weights))
    (folder / MODEL_HEADER).write_text(f"{text}\n", encoding="utf-8")


def _header(model: LiveModel, fs: float, weights: Weights) -> Iterator[str]:
    front_end, specification = FrontEnd(fs, 1), model.specification
    yield f"/* {_comment(specification.name)} at {fs:g} Hz, written by `ectopy export --to c`. */"
    yield "#ifndef ECTOPY_MODEL_H"
    yield "#define ECTOPY_MODEL_H"
    yield ""
    for name, value in _sizes(model, front_end, fs).items():
        yield f"#define ECTOPY_{name} {value}"
    yield ""
    yield "#endif"
    yield ""
    yield "#ifdef ECTOPY_CONSTANTS"
    yield "#include <stdint.h>"
    yield ""
    yield from _constants(model, front_end)
    yield from _weights(model, weights)
    yield "#endif"


def _sizes(model: LiveModel, front_end: FrontEnd, fs: float) -> dict[str, str | int]:
    w, specification = model.weights, model.specification
    return {
        "FS": _number(fs),
        "NUMERATOR": front_end.ratio.numerator,
        "DENOMINATOR": front_end.ratio.denominator,
        "DELAY": f"{_number(front_end.delay_s * fs)} /* of the low-pass filter, in samples of the input */",
        "FLAT": f"{round(fs)} /* samples of a constant that has no electrode */",
        "BRIDGED": f"{round(0.1 * fs)} /* samples of a gap that hides no QRS complex */",
        "HELD": f"{round(0.3 * fs)} /* samples that are added at the end */",
        "STEP": f"{round(STEP_S * fs)} /* samples after which provisional beats are told */",
        "LOW_SECTIONS": len(front_end.low_pass),
        "REACH": candidates.REACH,
        "INPUTS": len(specification.features),
        "DENSE": w["dense"].shape[1],
        "UNITS": len(w["recurrent"]),
        "LABELS": len(specification.labels),
        "LOOK_AHEAD": model.look_ahead,
    }


def _constants(model: LiveModel, front_end: FrontEnd) -> Iterator[str]:
    specification = model.specification
    names = list(FEATURES)
    coefficients = [0, 1, 2, 4, 5]  # b0 b1 b2 a1 a2
    yield _array("LOW_PASS", front_end.low_pass[:, coefficients], "b0 b1 b2 a1 a2 of each section")
    yield _array("HIGH_PASS", front_end.high_pass[0, coefficients])
    yield _array("EVEN", candidates.EVEN[: candidates.REACH + 1], "half of a wavelet")
    yield _array("ODD", candidates.ODD[: candidates.REACH + 1])
    for name, value in {
        "DECAY": float(candidates.DECAY),  # of the mean energy
        "LARGEST": MOST_MV,  # what is beyond would fill the filters for hours
        "FAST": math.log(tachycardia.FAST_S),
        "STEADY": tachycardia.STEADY,
        "SUDDEN": tachycardia.SUDDEN,
    }.items():
        yield f"#define ECTOPY_{name} {_number(value)}"
    yield _array("COLUMNS", np.array([names.index(name) for name in specification.features], dtype=np.uint8))
    yield _array("MEAN", np.array(specification.mean))
    yield _array("SCALE", np.array(specification.scale))
    yield _array("TEMPERATURE", np.array(specification.temperature), "after 0, 1, 2 ... further beats")
    yield _array("THRESHOLD", np.array(specification.confidence_threshold), "of a confident label")
    classes = [CLASSES.index(label) for label in specification.labels]
    yield _array("LABEL_CLASS", np.array(classes, dtype=np.uint8))


def _weights(model: LiveModel, kind: Weights) -> Iterator[str]:
    integers = kind == "int8"
    yield f"typedef {'int8_t' if integers else 'float'} ectopy_weight;"
    yield f"#define UNIT(matrix, channel) {'matrix##_UNIT[channel]' if integers else '1.0f'}"
    for name in MATRICES:
        stored: NDArray[np.generic] = model.weights[name]
        if integers:
            stored, scale = quantise(model.weights[name])
            yield _array(f"{name.upper()}_UNIT", scale)
        yield _array(name.upper(), stored.T, "[outputs][inputs]", kind="ectopy_weight")
    for name in ("dense_bias", "bias", "out_bias"):
        yield _array(name.upper(), model.weights[name])


def _array(name: str, values: NDArray[np.generic], comment: str = "", kind: str = "") -> str:
    """Write an array as C, with a line per row."""
    kind = kind or ("uint8_t" if values.dtype == np.uint8 else "float")
    size = "".join(f"[{n}]" for n in values.shape)
    rows = [", ".join(_number(value) for value in row) for row in np.atleast_2d(values).tolist()]
    body = ",\n".join(f"    {{{row}}}" for row in rows) if values.ndim == 2 else f"    {rows[0]}"
    after = f" /* {comment} */" if comment else ""
    return f"static const {kind} {name}{size} = {{{after}\n{body}}};"


def _number(value: float) -> str:
    """Write a number as C; a float32 is read back as it was."""
    return str(value) if isinstance(value, int) else f"{np.float32(value):.9e}f"


def _comment(text: str) -> str:
    return "".join(one for one in text if one.isprintable() and one.isascii()).replace("*/", "")
