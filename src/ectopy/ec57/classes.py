"""The beat classes of EC57, and times as the reference tools round them."""

from collections.abc import Mapping
from math import floor
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np

from ectopy.ecg import BeatClass, Labels

LEARNING_S = 300.0
"""EC57: the first five minutes, in s, are the learning period and are not scored."""
MATCH_WINDOW_S = 0.150
"""EC57: a test beat matches a reference beat at most 150 ms away; here in s."""

BeatMap: TypeAlias = Literal["ec57", "dechazal"]

_N, _S, _V, _F, _Q = BeatClass
_EC57 = (
    dict.fromkeys("NLRB", _N) | dict.fromkeys("aAJSejn", _S) | dict.fromkeys("VEr", _V)
    | dict.fromkeys("F", _F) | dict.fromkeys("Q?/f", _Q)
)  # fmt: skip
BEAT_CLASS: Mapping[BeatMap, Mapping[str, BeatClass]] = MappingProxyType(
    {"ec57": MappingProxyType(_EC57), "dechazal": MappingProxyType(_EC57 | dict.fromkeys("ejn", _N))}
)
"""Class of each MIT beat symbol (WFDB ecgcodes.h).

``ec57`` is amap() of bxb.c: escape beats (e, j, n) are SVEB; ? (learning), / and f (paced) are Q.
``dechazal`` is table I of de Chazal 2004, which most papers on machine learning use: escape beats are N.
"""


def classes_of(symbols: Labels, beat_map: BeatMap = "ec57") -> Labels:
    """Return the EC57 class of each MIT symbol.

    Parameters
    ----------
    symbols
        MIT symbols [n].
    beat_map
        Class of escape beats, see :data:`BEAT_CLASS`.

    Returns
    -------
    N, S, V, F or Q for each symbol, and '' for marks that are not beats [n].
    """
    table = BEAT_CLASS[beat_map]
    distinct, index = np.unique(np.asarray(symbols, dtype="U1"), return_inverse=True)
    return np.array([table.get(str(symbol), "") for symbol in distinct], dtype="U1")[index]


def to_samples(seconds: float, fs: float) -> int:
    """Return the nearest sample of a time, halves upwards, as strtim() of WFDB does.

    Parameters
    ----------
    seconds
        Time in s.
    fs
        Sampling rate in Hz.

    Returns
    -------
    The number of samples.
    """
    return floor(seconds * fs + 0.5)
