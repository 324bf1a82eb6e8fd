"""Which leads of a recording are analysed, and in which order."""

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from ectopy.ecg import NotAnalysableError, Recording, Signal
from ectopy.features.extraction import N_LEADS
from ectopy.signal.quality import usable

SEGMENT_S, N_SEGMENTS = 10.0, 8

# The first slot holds the lead with the tallest QRS, the second one that shows the P wave and tells bundle
# branches apart. These are the usual Holter leads and those of the training recordings.
PREFERRED = (("II", "V5", "I", "III"), ("V1", "V2", "V5", "V4", "V6", "III", "I"))


def _plain(lead: str) -> str:
    """Reduce names such as ``MLII``, ``ECG II`` or ``Lead V1`` to the lead they stand for."""
    name = lead.upper().replace("-", " ").replace("_", " ")
    return name.removeprefix("ECG").strip().removeprefix("LEAD").strip().removeprefix("M").removeprefix("L")


def choose_leads(
    recorded: Sequence[str], wanted: Sequence[str] | None = None, *, silent: Collection[int] = ()
) -> tuple[int, ...]:
    """Give the columns to analyse, at most N_SLOTS: those wanted, in that order, else the usual Holter leads.

    ``wanted`` names match without regard to case, MLII as II. Leads of unknown names come in their order.
    Columns of ``silent`` are chosen only where they are wanted.
    """
    if wanted:
        columns = tuple(_column(name, recorded) for name in wanted)
        if len(set(columns)) < len(columns) or len(columns) > N_LEADS:
            raise NotAnalysableError(
                f"at most {N_LEADS} different leads expected, {', '.join(wanted)} wanted"
            )
        return columns
    plain = [_plain(lead) for lead in recorded]
    chosen: list[int] = []
    for preferred in PREFERRED:
        free = [column for column in range(len(plain)) if column not in {*chosen, *silent}]
        named = [plain.index(name) for name in preferred if name in plain]
        chosen += ([column for column in named if column in free] or free)[:1]
    return tuple(chosen)


def disconnected_leads(recording: Recording) -> frozenset[int]:
    """Give the columns that can be read less than half as often as the best one, where leads can be chosen.

    An electrode that is off must not cost a recording of twelve leads one of the two that are analysed.
    """
    if len(recording.leads) <= N_LEADS or not recording.n_samples:
        return frozenset()
    share = np.mean([usable(look, recording.fs).mean(axis=0) for look in sample_segments(recording)], axis=0)
    return frozenset(np.flatnonzero(share < share.max() / 2).tolist())


def sample_segments(recording: Recording) -> Iterator[Signal]:
    """Read a few pieces of LOOK_S that are spread over a recording, [n, n_leads] each."""
    length = min(recording.n_samples, round(SEGMENT_S * recording.fs))
    for start in np.linspace(0, recording.n_samples - length, N_SEGMENTS).round().astype(int).tolist():
        yield recording.read(start, start + length)


def _column(name: str, recorded: Sequence[str]) -> int:
    for same in (str.upper, _plain):
        matching = [column for column, lead in enumerate(recorded) if same(lead) == same(name)]
        if matching:
            return matching[0]
    raise NotAnalysableError(f"lead {name} wanted, the recording has {', '.join(recorded)}")
