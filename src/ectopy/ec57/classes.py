"""The beat classes of EC57, and times as the reference tools round them."""

from collections.abc import Mapping
from math import floor
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np

from ectopy.ecg import BeatClass, Labels

LEARNING_S = 300.0
"""EC57: the first five minutes are for learning and are not scored."""
MATCH_WINDOW_S = 0.150
"""EC57: a test beat matches a reference beat at most 150 ms away."""

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

``ec57`` is amap() of bxb.c: escape beats e, j, n are SVEB; ? (learning), / and f (paced) are Q. ``dechazal``
is de Chazal 2004, table I, as most papers on machine learning have it: escape beats are N.
"""


def classes_of(symbols: Labels, beat_map: BeatMap = "ec57") -> Labels:
    """Give the EC57 class (N S V F Q) of each MIT symbol, '' for what is no beat."""
    table = BEAT_CLASS[beat_map]
    found, where = np.unique(np.asarray(symbols, dtype="U1"), return_inverse=True)
    return np.array([table.get(str(symbol), "") for symbol in found], dtype="U1")[where]


def to_samples(seconds: float, fs: float) -> int:
    """Round to the nearest sample, halves upwards, as WFDB's strtim() does."""
    return floor(seconds * fs + 0.5)
