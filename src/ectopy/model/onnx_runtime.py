"""ONNX Runtime without its telemetry: every network of ectopy is opened here."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Without this, ONNX Runtime 1.31 stores events in the user's cache and looks up the host of its vendor.
# It reads the variable when it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def open_session(network: bytes | Path, settings: Mapping[str, str] | None = None) -> Any:
    """Open a network for inference on one thread, because recordings are scored in parallel processes.

    Parameters
    ----------
    network
        An ONNX model, or its file.
    settings
        Values of ONNX Runtime's session configuration, by key.

    Returns
    -------
    The ``onnxruntime.InferenceSession``. Opening raises errors of ONNX Runtime, which have no common base.
    """
    import onnxruntime  # takes a quarter of a second, which --help does not need

    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # it would take 32 MB and never give them back, and is not faster
    for key, value in (settings or {}).items():
        options.add_session_config_entry(key, value)
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
