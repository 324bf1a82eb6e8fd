"""Ventricular beats so early that they may fall on the T wave of the beat before, told by timing alone.

No T wave is measured. It ends where QT is expected to end at the rate before, which is how Lian et al. (2011,
Pacing Clin Electrophysiol 34: 700) looked for R-on-T in 52,440 ectopic beats; by Fridericia 6 % were such.
What can be wrong: at one rate QT differs from patient to patient, and with drugs and a wide QRS by more; a T
wave that was taken for a beat looks the same. So this is a hint where to look and nothing else.
"""

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Mask

QTC_S = 0.40
"""Usual QT at 60 bpm of healthy adults; prolonged is 0.45 s (men) or 0.46 s (women) and more (AHA 2009)."""

Seconds = NDArray[np.float64]


def expected_qt_s(rr_s: Seconds) -> Seconds:
    """Give QT by Fridericia (1920): it grows with the cube root of the RR interval."""
    return np.asarray(QTC_S * np.cbrt(rr_s))


def may_fall_on_t(rr_s: Seconds, rate_bpm: Seconds, ventricular: Mask, conducted: Mask) -> Mask:
    """Mark the ventricular beats that come, after a ``conducted`` beat, before its expected QT has ended.

    ``rr_s`` ends at each beat, ``rate_bpm`` is the mean rate up to it. QT follows a change of rate within
    minutes, not with the next beat, so it is that of the mean rate. Coupling is measured from R to R peak: a
    late peak of the wide beat makes it longer, so rather too few are marked than too many.
    """
    before = np.concatenate(([np.nan], rate_bpm[:-1]))[: len(rate_bpm)]
    early = rr_s < expected_qt_s(60 / before)  # False for NaN
    return np.asarray(ventricular & early & np.append(False, conducted)[: len(rr_s)])
