"""Build columns of features in the order of their names; helpers that many features share.

The names and meanings of the features stand beside their code: TIMING in :mod:`ectopy.features.timing`;
MORPHOLOGY, ALL_LEADS and CLUSTER in :mod:`ectopy.features.morphology`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ectopy.beats.windows import Floats

EPS = np.float32(1e-6)
"""Added to both sides of a ratio, so that zeros have a logarithm."""


def stack_columns(columns: Mapping[str, Floats], meanings: Mapping[str, str]) -> Floats:
    """Join columns of features in the order of their definitions.

    Parameters
    ----------
    columns
        [n] values of each feature, by name.
    meanings
        Meaning of each feature, by name, in the order of the columns.

    Returns
    -------
    float32 [n, len(meanings)].

    Raises
    ------
    ValueError
        If a feature has no meaning, or a meaning has no feature.
    """
    if unmatched := columns.keys() ^ meanings.keys():
        raise ValueError(f"features without a column or without a meaning: {', '.join(sorted(unmatched))}")
    return np.stack([columns[name] for name in meanings], axis=1, dtype=np.float32)


def log_ratio(x: Any, unit: Any, *, limit: float = 1.5) -> Floats:
    """Compute the natural logarithm of a ratio.

    Parameters
    ----------
    x, unit
        Numerator and denominator, not negative.
    limit
        The result is limited to this on either side of 0.

    Returns
    -------
    float32 of the shape of ``x``.
    """
    ratio = np.log((x + EPS) / (unit + EPS))
    return np.asarray(np.clip(ratio, -limit, limit), dtype=np.float32)
