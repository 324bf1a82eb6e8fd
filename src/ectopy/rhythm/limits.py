"""The limits of rules that are no choice of a reader, each with its source.

Those that a reader may choose are in :mod:`ectopy.criteria`. Those of two algorithms are with them: atrial
fibrillation (:mod:`ectopy.rhythm.atrial_fibrillation`) and possible R-on-T (:mod:`ectopy.rhythm.r_on_t`).
"""

CONSECUTIVE_S = 2.0
"""Beats that are further apart are not consecutive: this ends every run, couplet and pattern."""
NO_RATE_S = 10.0
"""An RR interval of this length is not part of a heart rate: it is asystole, fibrillation or lost signal."""
RUN_BEATS = 3
"""Ectopic beats in a row that make a run; two are a couplet."""
RATE_INTERVALS = 8
"""A heart rate is the mean over this many RR intervals in a row."""
MIN_INTERVALS = 3
"""A strip with fewer RR intervals has no mean rate worth a finding."""
MIN_INTERVAL_SHARE = 0.5
"""Nor has a strip in which noise leaves less than this share of its RR intervals."""
SHORT_S = 900.0
"""In a recording of up to a quarter of an hour, ectopy is called neither rare nor frequent."""
LOW_CONFIDENCE_SHARE = 0.5
"""An event is uncertain when at least this share of its beats is not confident.

It is also uncertain if it would have too few beats without those: a triplet needs all of its beats.
"""
CERTAIN_PROBABILITY = 0.8
"""A beat whose class is less probable makes no finding loud."""
FEW = 3
"""Fewer certain ectopic beats in a short recording are a note, whatever their share."""
JUDGED_BEATS = 30
"""In a recording of fewer beats the classifier calls none confident, which says nothing about them."""
MOST_PCT = 50.0
"""A slow or fast rate that takes this share of the time analysed is important, in a long recording."""
SHORT_VT_S = 3.0
"""A shorter run of doubtful ventricular beats is a note."""
UNCERTAIN_PCT = 1.0
"""Beats of uncertain class are a note from this share of all beats on."""
