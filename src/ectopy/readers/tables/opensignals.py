"""Header of the text files of OpenSignals, the program of BITalino and biosignalsplux recorders."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ectopy.readers.tables.columns import Columns
from ectopy.readers.validation import unique_names

_MARK = "# OpenSignals"
# Data sheets of PLUX, "Electrocardiography (ECG) Sensor": mV = (stored / 2**bits - 1/2) * VCC * 1000 / gain.
_VOLTS_AND_GAIN = {"bitalino": (3.3, 1100.0), "biosignalsplux": (3.0, 1000.0)}
_UNSAID = ("RAW", "CUSTOM", "")
"""Sensors that may be of any kind."""
_MOST_BITS = 32


@dataclass(frozen=True)
class Header:
    """Columns, rates in Hz and start of a file of OpenSignals; devices may have different rates."""

    columns: Columns
    rates: tuple[float, ...]
    start: datetime | None


def read_header(lines: Sequence[str], row: Sequence[str]) -> Header | None:
    """Read the header of a file of OpenSignals.

    Parameters
    ----------
    lines
        Lines before the rows.
    row
        Cells of the first row.

    Returns
    -------
    The header; None if there is none, or if it does not fit the rows.
    """
    if not lines or not lines[0].startswith(_MARK):
        return None
    try:
        devices = json.loads(next(line.lstrip("# ") for line in lines if line.startswith("# {")))
        return _header(list(devices.values()), row)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, StopIteration, RecursionError):
        return None


def _header(devices: list[dict[str, Any]], row: Sequence[str]) -> Header:
    names, in_mv, offset_mv = {}, {}, {}
    without_unit: list[int] = []
    n_columns = 0
    channels = [channel for device in devices for channel in _channels(device)]
    ecg = any("ECG" in sensor for sensor, *_ in channels)
    for device in devices:
        for sensor, place, bits in _channels(device):
            if not ("ECG" in sensor if ecg else sensor in _UNSAID):
                continue
            column = n_columns + place
            names[column] = "ECG" if ecg else f"lead {column + 1}"
            in_mv[column], offset_mv[column] = 1.0, 0.0
            known = _VOLTS_AND_GAIN.get(str(device["device"]).split("_")[0].lower())
            if ecg and known and bits and row[column].strip().isdigit():
                in_mv[column] = known[0] * 1000 / known[1] / 2**bits
                offset_mv[column] = -0.5 * known[0] * 1000 / known[1]
            elif row[column].strip().isdigit():
                without_unit.append(column)
        n_columns += len(device["column"])
    if n_columns > len(row):
        raise ValueError("more columns than cells")
    columns = Columns(
        time=None,
        time_s=None,
        leads=dict(zip(names, unique_names(names.values()), strict=True)),
        in_mv=in_mv,
        named=True,
        offset_mv=offset_mv,
        left_out=tuple(column for column in range(n_columns) if column not in names),
        without_unit=tuple(without_unit),
    )
    rates = dict.fromkeys(float(device["sampling rate"]) for device in devices if "sampling rate" in device)
    return Header(columns, tuple(rates), _start(devices[0]))


def _channels(device: dict[str, Any]) -> list[tuple[str, int, int | None]]:
    """Return sensor, place among the columns, and number of bits of each analogue channel."""
    columns, labels, bits = list(device["column"]), list(device["label"]), list(device.get("resolution", []))
    sensors = [str(sensor).split("/")[0].upper() for sensor in device["sensor"]]
    channels = []
    for number, (label, sensor) in enumerate(zip(labels, sensors, strict=True)):
        place = columns.index(label) if label in columns else len(columns) - len(labels) + number
        own = bits[place] if len(bits) == len(columns) else bits[number] if len(bits) == len(labels) else None
        channels.append((sensor, place, own if isinstance(own, int) and 1 <= own <= _MOST_BITS else None))
    return channels


def _start(device: dict[str, Any]) -> datetime | None:
    try:
        text = f"{device['date']} {device['time']}".partition(".")[0]
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - local, as in all formats
    except (KeyError, ValueError):
        return None
