"""The limits that define events and findings, each with its source.

A limit stands here and nowhere else, except those of two algorithms: atrial fibrillation
(:mod:`ectopy.rhythm.atrial_fibrillation`) and possible R-on-T (:mod:`ectopy.rhythm.r_on_t`).
"""

PAUSE_S = 2.0
"""A longer RR interval is a pause. It also ends every run, couplet and pattern."""
URGENT_PAUSE_S = 3.0
"""A pause of this length or more is urgent."""
NO_RATE_S = 10.0
"""An RR interval of this length is asystole, fibrillation or lost signal, and not part of a heart rate."""
FAST_BPM = 100.0
"""A run above this rate is a tachycardia (AHA/ACC/HRS 2017); at or below it, an ectopic rhythm."""
BRADYCARDIA_BPM = 50.0
"""ACC/AHA/HRS 2018 guideline on bradycardia; older texts say 60."""
RUN_BEATS = 3
"""Ectopic beats in a row that make a run."""
URGENT_VT_BEATS = 6
"""A ventricular tachycardia of this many beats is urgent."""
SUSTAINED_S = 30.0
"""A tachycardia of this length is sustained."""
CYCLES = 3
"""A pattern such as N-V is called bigeminy from this many cycles on."""
RATE_INTERVALS = 8
"""A heart rate is the mean over this many RR intervals in a row."""
EPISODE_S = 30.0
"""Shortest bradycardia, tachycardia or atrial fibrillation; half of a recording shorter than a minute."""
FAST_AF_BPM = 110.0
"""Atrial fibrillation above this rate is urgent: the limit of lenient rate control (RACE II, 2010)."""
FREQUENT_PCT, VERY_FREQUENT_PCT = 1.0, 10.0
"""Ectopy below 1 % of beats is rare, above 10 % very frequent."""
MIN_INTERVALS = 3
"""A strip with fewer RR intervals has no mean rate worth a finding."""
MIN_INTERVAL_SHARE = 0.5
"""Nor has a strip in which noise leaves less than this share of its RR intervals."""
SHORT_S = 900.0
"""In a recording of up to a quarter of an hour, ectopy is called neither rare nor frequent."""
LOW_CONFIDENCE_SHARE = 0.5
"""An event is uncertain when at least this share of its beats is not confident."""
PARTLY_UNREADABLE_PCT, MOSTLY_UNREADABLE_PCT = 5.0, 50.0
"""Unreadable time is a note from the first share of the recording on, and important from the second."""
