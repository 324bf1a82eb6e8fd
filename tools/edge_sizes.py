"""Print what the C export needs on a Cortex-M4, as Markdown: flash, RAM, stack and instructions.

    uv run python tools/edge_sizes.py DIR RECORD --fs 250 [--model MODEL] [--weights int8]

DIR is a folder to build in. RECORD is a recording with two leads, of which the first two minutes are run in
QEMU. The tools are those of Debian: gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm.
"""

import argparse
import subprocess
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from ectopy import pipeline
from ectopy.live.export_c import export_c
from ectopy.live.network import SHIPPED_LIVE_MODEL, load_live_model
from ectopy.readers import open_recording

HERE = Path(__file__).parent / "edge"
MACHINE = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-ffp-contract=off")
LINK = (
    "--specs=nano.specs",
    "-nostartfiles",
    "-ffunction-sections",
    "-fdata-sections",
    "-Wl,--gc-sections",
    f"-T{HERE}/cortex_m4.ld",
)
MINUTES = 2


def main() -> None:
    """Build, run, and print a row for each optimisation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("record")
    parser.add_argument("--fs", type=float, default=250.0)
    parser.add_argument("--model", type=Path, default=SHIPPED_LIVE_MODEL)
    arguments = parser.parse_args()
    print("| weights | options | flash | RAM without stack | stack | instructions a second | for a sample |")
    print("|---|---|---|---|---|---|---|")
    for weights in ("int8", "float"):
        folder = arguments.folder / weights
        export_c(folder, load_live_model(arguments.model), arguments.fs, weights=weights)
        _write_signal(folder, arguments.record, arguments.fs)
        for level in ("-Os", "-O2"):
            text, data, bss = _sizes(_built(folder, level))
            _, _, per_second, most, stack = _run(_built(folder, level, "-DSIGNAL"))
            figures = (text + data, data + bss, stack, per_second, most)
            print(f"| {weights} | {level} | {' | '.join(f'{one:,}' for one in figures)} |")


def _write_signal(folder: Path, record: str, fs: float) -> None:
    recording = open_recording(record)
    columns = pipeline.analysed_columns(recording)
    signal = recording.read_leads(columns, 0, round(MINUTES * 60 * recording.fs))
    signal = resample_poly(np.nan_to_num(signal), round(fs), round(recording.fs), axis=0)
    samples = np.rint(signal * 1000).astype(np.int16)
    rows = ",\n".join(f"{{{first}, {last}}}" for first, last in samples[:, [0, -1]].tolist())
    text = f"enum {{ N_SAMPLES = {len(samples)} }};\nstatic const int16_t SAMPLES[][2] = {{\n{rows}}};\n"
    (folder / "signal.h").write_text(text)


def _built(folder: Path, *options: str) -> Path:
    program = folder / f"measure{''.join(options)}.elf"
    sources = (f"{HERE}/measure.c", "ectopy.c", "-I.")
    command = [
        "arm-none-eabi-gcc",
        *MACHINE,
        *options,
        *LINK,
        f"-Wl,-Map={program}.map",
        *sources,
        "-lm",
        "-o",
        program,
    ]
    subprocess.run([str(part) for part in command], cwd=folder, check=True)
    return program


def _sizes(program: Path) -> list[int]:
    command = ["arm-none-eabi-size", program]
    table = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [int(part) for part in table.splitlines()[1].split()[:3]]


def _run(program: Path) -> list[int]:
    machine = ("qemu-system-arm", "-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none")
    command = [
        *machine,
        "-icount",
        "shift=0",
        "-semihosting-config",
        "enable=on,target=native",
        "-kernel",
        program,
    ]
    ended = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    return [int(part) for part in (ended.stdout + ended.stderr).split()]


if __name__ == "__main__":
    main()
