"""Find ventricular beats so early that they may fall on the T wave of the beat before, by timing alone.

No T wave is measured. It is assumed to end where QT is expected to end at the preceding heart rate. Lian et
al. (2011, Pacing Clin Electrophysiol 34: 700) looked for R-on-T in this way in 52,440 ectopic beats; by
Fridericia's formula, 6 % were R-on-T.

Sources of error: at one heart rate QT differs between patients, and differs more with drugs and a wide QRS. A
T wave that was detected as a beat looks the same. So this only shows where to look.
"""

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Mask

QTC_S = 0.40
"""Usual QT of healthy adults at 60 bpm; prolonged is 0.45 s (men) or 0.46 s (women) and more (AHA 2009)."""

Seconds = NDArray[np.float64]


def expected_qt_s(rr_s: Seconds) -> Seconds:
    """Compute QT in seconds by Fridericia (1920): it grows with the cube root of the RR interval."""
    return np.asarray(QTC_S * np.cbrt(rr_s))


def may_fall_on_t(rr_s: Seconds, rate_bpm: Seconds, ventricular: Mask, conducted: Mask) -> Mask:
    """Find the ventricular beats that come before the expected end of QT of the beat before.

    QT follows a change of rate within minutes and not with the next beat. So QT is that of the mean rate.
    Coupling is measured from R peak to R peak. A late R peak of the wide beat makes it longer, so rather too
    few beats are found than too many.

    Parameters
    ----------
    rr_s
        RR intervals in seconds that end at each beat, NaN where unknown, [n].
    rate_bpm
        Mean heart rate up to each beat in beats per minute, [n].
    ventricular
        True for ventricular beats, [n].
    conducted
        True for beats whose QT can be expected: normal and supraventricular beats, [n].

    Returns
    -------
    A mask over the beats, [n].
    """
    before = np.concatenate(([np.nan], rate_bpm[:-1]))[: len(rate_bpm)]
    early = rr_s < expected_qt_s(60 / before)  # False for NaN
    return np.asarray(ventricular & early & np.append(False, conducted)[: len(rr_s)])
