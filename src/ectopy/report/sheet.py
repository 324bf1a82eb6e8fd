"""Draw a recording of a few seconds whole, with all its leads, as an ECG cart prints it."""

import numpy as np

from ectopy.beats.lead_selection import disconnected_leads
from ectopy.ecg import Analysis, Event
from ectopy.report.strips import Strip, on_paper
from ectopy.report.svg import traces

MAX_SHEET_S = 12.0
"""Maximum length of a recording that is shown whole, in seconds: a resting ECG has ten."""
SHEET_LEADS = 6
"""Leads of a sheet: those of the limbs, or those of the chest. So a sheet fits a page of A4, lying."""


def has_sheets(analysis: Analysis) -> bool:
    """Check whether a recording is short enough to be shown whole."""
    return 0 < analysis.duration_s <= MAX_SHEET_S


def sheets(analysis: Analysis) -> list[Strip]:
    """Draw the whole recording, SHEET_LEADS leads on a sheet.

    Parameters
    ----------
    analysis
        The analysis of a recording of at most MAX_SHEET_S.

    Returns
    -------
    The sheets, with the leads in their recorded order; those that cannot be read are left out.
    """
    recording = analysis.recording
    off = disconnected_leads(recording)
    signal = recording.read_leads(range(len(recording.leads)), 0, recording.n_samples)
    varies = np.fmax.reduce(signal) > np.fmin.reduce(signal)  # False where all is missing
    readable = [column for column in np.flatnonzero(varies).tolist() if column not in off]
    whole = Event("signal", 0.0, 0.0, 0, float("nan"))
    names, drawn = [recording.leads[column] for column in readable], traces(signal.T[readable], recording.fs)
    parts = (slice(at, at + SHEET_LEADS) for at in range(0, len(readable), SHEET_LEADS))
    return [
        on_paper(analysis, whole, (0, recording.n_samples), tuple(names[part]), drawn[part]) for part in parts
    ]
