"""The command ``ectopy export``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ectopy.cli.common import fail, print_result


class Target(StrEnum):
    """What a streaming model is exported to."""

    C = "c"
    ONNX = "onnx"


class WeightsOption(StrEnum):
    """How a device stores the weights."""

    INT8 = "int8"
    FLOAT = "float"


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write to.")],
    to: Annotated[Target, typer.Option(help="C sources of the whole stream, or the network as ONNX.")],
    fs: Annotated[
        float | None, typer.Option(min=100.0, max=10_000.0, metavar="HZ", help="Rate of the device, for C.")
    ] = None,
    weights: Annotated[WeightsOption, typer.Option(help="Weights in the C sources.")] = WeightsOption.INT8,
    model: Annotated[
        Path | None, typer.Option(help="Directory of a streaming model. [default: the shipped one]")
    ] = None,
) -> None:
    """Export the streaming model for a device: C99 without dynamic memory, or ONNX."""
    from ectopy.live.export_c import export_c
    from ectopy.live.export_onnx import export_onnx
    from ectopy.live.model_files import SHIPPED_LIVE_MODEL
    from ectopy.live.network import load_live_model

    loaded = load_live_model(model or SHIPPED_LIVE_MODEL)
    if to is Target.ONNX:
        if fs is not None:
            fail("--fs is of --to c: an ONNX model reads features. Leave it out.", 2)
        export_onnx(folder, loaded)
    elif fs is None:
        fail("--to c needs the sampling rate of the device. Give --fs HZ, such as --fs 250.", 2)
    else:
        export_c(folder, loaded, fs, weights=weights.value)
    print_result(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
