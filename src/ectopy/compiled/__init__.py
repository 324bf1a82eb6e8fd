"""Loops in C, for the few places where numpy needs many passes over memory: ``kernels.c``.

The library is compiled when ectopy is installed, if there is a C compiler (``hatch_build.py``). Its name has
the digests of the source and of itself: one of another version, or a part of one, is never loaded. Without a
library, or with ``ECTOPY_COMPILED=0``, each caller does the same in numpy. The tests compare both.
"""

import ctypes
import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Samples = NDArray[np.int64]

SOURCE = Path(__file__).with_name("kernels.c")
_A, _I, _F, _D = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float, ctypes.c_double
_ROW = 144  # as in the source
_LONGEST_POINT = 24  # bytes, as in the source
_COUNTS = ("narrow_peaks", "best_sequence")  # the functions that return a number
_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "moving_mean": (_A, _I, _I, _I, _A, _A),
    "moving_median": (_A, _I, _I, _A, _A),
    "running_total": (_A, _I, _I, _A),
    "twelve_bits": (_A, _I, _A),
    "in_mv": (_A, _I, _I, _F, _F, ctypes.c_int32, _A),
    "narrow_peaks": (_A, _I, _A, _I, _I, _F, _F, _F, _A, _A),
    "cut_windows": (_A, _I, _A, _I, _I, _I, _I, _I, _I, _A, _A, _A),
    "largest_near": (_A, _I, _A, _I, _I, _A, _A),
    "best_sequence": (_A, _A, _A, _I, _I, _D, _D, _D, _A, _A, _A),
    "second_similarity": (_A, _I, _I, _I, _I, _I, _I, _A, _A, _A),
    "path_data": (_A, _A, _I, _A, _I, _A, _I, _A, _A),
}


def library_name(source: bytes, library: bytes) -> str:
    """Return the name of the library that some source was compiled to.

    Parameters
    ----------
    source, library
        The content of both files.

    Returns
    -------
    The name of a file.
    """
    source_sha256, library_sha256 = (hashlib.sha256(part).hexdigest()[:12] for part in (source, library))
    return f"kernels-{source_sha256}-{library_sha256}.so"


def _load() -> ctypes.CDLL | None:
    """Load the library; None without one that is whole, of this source, and for this processor."""
    if os.environ.get("ECTOPY_COMPILED") == "0":
        return None
    source = SOURCE.read_bytes()
    for path in SOURCE.parent.glob("kernels-*.so"):
        with suppress(OSError):
            if path.name == library_name(source, path.read_bytes()):  # the system crashes on a part of one
                return _with_types(ctypes.CDLL(str(path)))
    return None


def _with_types(library: ctypes.CDLL) -> ctypes.CDLL:
    for name, arguments in _ARGUMENTS.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, _I if name in _COUNTS else None
    return library


_library = _load()


def is_compiled() -> bool:
    """Return whether the library was found; without it, no other function here may be called."""
    return _library is not None


def _call(name: str, *arguments: Any) -> Any:
    """Call a function of the library with numbers and arrays."""
    given = (value.ctypes.data if isinstance(value, np.ndarray) else value for value in arguments)
    return getattr(_library, name)(*given)


def _floats(values: NDArray[Any]) -> Floats:
    """Return contiguous values in single precision, in the order of bytes of this machine."""
    return np.ascontiguousarray(values, dtype=np.float32)


def moving_mean(x: Floats, size: int) -> Floats:
    """Compute the mean of each window of each row.

    Parameters
    ----------
    x
        [n_rows, n].
    size
        Length of the windows, from 1 to n.

    Returns
    -------
    [n_rows, n - size + 1].
    """
    n_rows, n = x.shape
    mean = np.empty((n_rows, n - size + 1), dtype=np.float32)
    _call("moving_mean", _floats(x), n_rows, n, size, np.empty(n + 1), mean)
    return mean


def moving_median(x: NDArray[Any], size: int) -> Doubles:
    """Compute the median of each window.

    Parameters
    ----------
    x
        [n], none of them NaN.
    size
        Length of the windows, from 1 to n; of an even number, the higher of the two in the middle.

    Returns
    -------
    [n - size + 1].
    """
    median = np.empty(len(x) - size + 1)
    values = np.ascontiguousarray(x, dtype=np.float64)
    _call("moving_median", values, len(values), size, np.empty(size), median)
    return median


def running_total(x: Floats) -> Doubles:
    """Compute the sums of the first 0, 1, ... n values, in order.

    Parameters
    ----------
    x
        [n], with any stride.

    Returns
    -------
    [n + 1].
    """
    total, values = np.empty(len(x) + 1), np.asarray(x, dtype=np.float32)
    _call("running_total", values, len(x), values.strides[0] // values.itemsize, total)
    return total


def twelve_bits(stored: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Read two samples from every three bytes of WFDB format 212.

    Parameters
    ----------
    stored
        [3 * n].

    Returns
    -------
    [2 * n].
    """
    samples = np.empty(len(stored) // 3 * 2, dtype=np.int16)
    _call("twelve_bits", stored, len(stored) // 3, samples)
    return samples


def in_mv(stored: NDArray[np.int16], baseline: float, gain: float, missing: int) -> Floats:
    """Convert stored numbers to mV.

    Parameters
    ----------
    stored
        [n], with any stride.
    baseline, gain
        The number at 0 mV, and the numbers in 1 mV.
    missing
        The number of a missing sample; one of more than 16 bits for none.

    Returns
    -------
    [n]; NaN where missing.
    """
    mv = np.empty(len(stored), dtype=np.float32)
    stride = stored.strides[0] // stored.itemsize
    _call("in_mv", stored, len(stored), stride, baseline, gain, missing, mv)
    return mv


def narrow_peaks(  # noqa: PLR0913, PLR0917 - the constants of the caller
    lead: Floats, widths: Sequence[int], quiet: int, turn: float, smallest: float, quiet_part: float
) -> tuple[Samples, Floats]:
    """Find pacing spikes, see :mod:`ectopy.signal.pacing_spikes`.

    Parameters
    ----------
    lead
        [n] in mV.
    widths
        Widths in samples, the greatest last.
    quiet
        Samples of the signal that is quiet on either side.
    turn
        The product of the steps on either side is below this.
    smallest
        Least height in mV.
    quiet_part
        Largest step of the quiet signal, as a part of the height.

    Returns
    -------
    Samples, [k], each once a width, and heights in mV, [k].
    """
    room = len(widths) * len(lead)
    samples, heights = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.float32)
    sizes = (np.array(widths, dtype=np.int64), len(widths), quiet, turn, smallest, quiet_part)
    n_found = _call("narrow_peaks", _floats(lead), len(lead), *sizes, samples, heights)
    return samples[:n_found].copy(), heights[:n_found].copy()


def cut_windows(  # noqa: PLR0913, PLR0917 - where the windows are, and where they go
    lead: Floats,
    r_peaks: Samples,
    before: int,
    step: int,
    windows: NDArray[np.float16],
    scale: Floats,
) -> None:
    """Cut a window around each R peak, scaled to a largest deflection of 1.

    Beyond the ends of the lead, its last value goes on.

    Parameters
    ----------
    lead
        [n] in mV.
    r_peaks
        [n_peaks].
    before
        Samples of a window before its R peak.
    step
        Samples from one value of a window to the next.
    windows
        [n_peaks, size], contiguous in each row, where the windows are written.
    scale
        [n_peaks], with any stride, where the largest deflections are written, each plus the least number.
    """
    size = windows.shape[1]
    rows = [array.strides[0] // array.itemsize for array in (windows, scale)]
    samples, peaks = _floats(lead), np.ascontiguousarray(r_peaks, dtype=np.int64)
    sizes = (len(peaks), before, step, size, *rows)
    _call("cut_windows", samples, len(samples), peaks, *sizes, np.empty(size, np.float32), windows, scale)


def largest_near(lead: Floats, samples: Samples, reach: int) -> tuple[Floats, Samples]:
    """Find the largest value around some samples; beyond the ends of the lead, its last value goes on.

    Parameters
    ----------
    lead
        [n].
    samples
        [k].
    reach
        Samples on either side.

    Returns
    -------
    The values, [k], and how many samples later they are, [k]; of equal ones, the first.
    """
    largest, offset = np.empty(len(samples), dtype=np.float32), np.empty(len(samples), dtype=np.int64)
    values, places = _floats(lead), np.ascontiguousarray(samples, dtype=np.int64)
    _call("largest_near", values, len(values), places, len(places), reach, largest, offset)
    return largest, offset


def best_sequence(  # noqa: PLR0913, PLR0917 - the constants of the caller
    time_s: Doubles,
    llr: Doubles,
    usual_rr_s: Doubles,
    look_back: int,
    refractory_s: float,
    spread: float,
    most: float,
) -> list[int]:
    """Find the best sequence of beats, see :mod:`ectopy.beats.beat_selection`.

    Parameters
    ----------
    time_s, llr, usual_rr_s
        [n], time, evidence and usual RR interval of the candidates.
    look_back
        Candidates among which the beat before is sought.
    refractory_s
        Least RR interval.
    spread
        Square of the log of RR over the usual RR that costs 1.
    most
        Greatest cost of an RR interval.

    Returns
    -------
    Indices of the beats in order.
    """
    n, previous = len(time_s), np.empty(len(time_s), dtype=np.int64)
    arrays = (np.ascontiguousarray(values, dtype=np.float64) for values in (time_s, llr, usual_rr_s))
    constants = (n, look_back, refractory_s, spread, most)
    current = _call("best_sequence", *arrays, *constants, np.empty(n), np.empty(n), previous)
    before, path = previous.tolist(), []
    while current >= 0:
        path.append(current)
        current = before[current]
    return path[::-1]


def second_similarity(windows: Floats, part: slice, shifts: int, nearby: int) -> Floats:
    """Compute the similarity of each beat to the second most similar one nearby.

    Parameters
    ----------
    windows
        [n, size] in mV.
    part
        The part of a window that is compared.
    shifts
        Values by which the other beat may be shifted.
    nearby
        Beats on either side that are compared.

    Returns
    -------
    Correlation, less where the sizes differ, [n]; 0 stands for beats that there are not.
    """
    n, width, n_shifts = len(windows), part.stop - part.start, 2 * shifts + 1
    second = np.empty(n, dtype=np.float32)
    scratch = [np.empty(size, dtype=np.float32) for size in (n_shifts * width * _ROW, 2 * nearby * n)]
    sizes = (n, windows.shape[1], part.start, width, shifts, nearby)
    _call("second_similarity", _floats(windows), *sizes, *scratch, second)
    return second


def path_data(points: NDArray[np.int32], begins: Samples, opens: Samples) -> list[str]:
    """Draw lines as paths of SVG, as :func:`ectopy.report.svg.paths` does.

    Parameters
    ----------
    points
        The points of all lines, [2, n].
    begins
        The first point of each line, rising from 0, [k].
    opens
        The first point of each path, some of ``begins`` from 0 on, [n_paths].

    Returns
    -------
    The paths.
    """
    x, y = np.ascontiguousarray(points, dtype=np.int32)
    begins, opens = (np.ascontiguousarray(first, dtype=np.int64) for first in (begins, opens))
    text = np.empty(_LONGEST_POINT * (len(x) + len(begins)), dtype=np.uint8)
    bounds = np.zeros(len(opens) + 1, dtype=np.int64)
    _call("path_data", x, y, len(x), begins, len(begins), opens, len(opens), text, bounds)
    whole = text[: bounds[-1]].tobytes().decode()
    return [whole[start:stop] for start, stop in pairwise(bounds.tolist())]
