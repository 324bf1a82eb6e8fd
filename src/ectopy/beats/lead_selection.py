"""Selection of the leads that are analysed, and their order."""

from collections.abc import Collection, Sequence

import numpy as np

from ectopy.beats.windows import N_LEADS
from ectopy.ecg import NotAnalysableError, Recording, sample_segments
from ectopy.signal.quality import usable

PREFERRED = (("II", "V5", "I", "III"), ("V1", "V2", "V5", "V4", "V6", "III", "I"))
"""Leads by preference, for the first and the second lead of the analysis.

The first lead should have a tall QRS complex. The second should show the P wave and distinguish the bundle
branch blocks. These are the usual Holter leads and those of the training recordings.
"""


def _standard_name(lead: str) -> str:
    """Return the standard name of the lead for names such as ``MLII``, ``ECG II`` or ``Lead V1``."""
    name = lead.upper().replace("-", " ").replace("_", " ")
    return name.removeprefix("ECG").strip().removeprefix("LEAD").strip().removeprefix("M").removeprefix("L")


def choose_leads(
    recorded: Sequence[str],
    wanted: Sequence[str] | None = None,
    *,
    disconnected: Collection[int] = (),
    notes: Sequence[str] = (),
) -> tuple[int, ...]:
    """Choose the leads to analyse.

    Parameters
    ----------
    recorded
        Names of the leads of the recording. Leads with unknown names are chosen in their order.
    wanted
        Names of the leads to analyse, in this order. Upper and lower case are equal, and II matches MLII. By
        default, the usual Holter leads are chosen.
    disconnected
        Columns without signal. They are chosen only if they are wanted.
    notes
        Notes of the reader; those on leads that it left out are quoted if a lead is not found.

    Returns
    -------
    Columns of the leads, at most N_LEADS.

    Raises
    ------
    NotAnalysableError
        If a wanted lead does not exist, is named twice, or too many are wanted.
    """
    if wanted:
        columns = tuple(_column(name, recorded, notes) for name in wanted)
        if len(set(columns)) < len(columns) or len(columns) > N_LEADS:
            raise NotAnalysableError(
                f"cannot analyse the leads {', '.join(wanted)}. Name at most {N_LEADS} different leads."
            )
        return columns
    names = [_standard_name(lead) for lead in recorded]
    chosen: list[int] = []
    for preferred in PREFERRED:
        free = [column for column in range(len(names)) if column not in {*chosen, *disconnected}]
        named = [names.index(name) for name in preferred if name in names]
        chosen += ([column for column in named if column in free] or free)[:1]
    return tuple(chosen)


def disconnected_leads(recording: Recording) -> frozenset[int]:
    """Find the leads that are usable less than half as often as the best one.

    They are not chosen for the analysis. A recording of N_LEADS leads or fewer leaves no choice, so the
    result is empty and nothing is read.
    """
    if len(recording.leads) <= N_LEADS or not recording.n_samples:
        return frozenset()
    segments = sample_segments(recording)
    share = np.mean([usable(segment, recording.fs).mean(axis=0) for segment in segments], axis=0)
    return frozenset(np.flatnonzero(share < share.max() / 2).tolist())


def _column(name: str, recorded: Sequence[str], notes: Sequence[str]) -> int:
    """Find a lead by its name; an exact name is preferred to a variant of it."""
    for normalise in (str.upper, _standard_name):
        matching = [column for column, lead in enumerate(recorded) if normalise(lead) == normalise(name)]
        if matching:
            return matching[0]
    left_out = "; ".join(note for note in notes if "left out" in note)
    reason = f" ({left_out})" if left_out else ""
    raise NotAnalysableError(
        f"the recording has no lead {name}{reason}. Name leads among {', '.join(recorded)}."
    )
