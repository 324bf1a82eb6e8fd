"""Which leads of a recording are analysed, and in which order."""

from collections.abc import Sequence

from ectopy.ecg import NotAnalysableError
from ectopy.features import N_SLOTS

# The first slot holds the lead with the tallest QRS, the second one that shows the P wave and tells bundle
# branches apart. These are the usual Holter leads and those of the training recordings.
PREFERRED = (("II", "V5", "I", "III"), ("V1", "V2", "V5", "V4", "V6", "III", "I"))


def _plain(lead: str) -> str:
    """Reduce names such as ``MLII``, ``ECG II`` or ``Lead V1`` to the lead they stand for."""
    name = lead.upper().replace("-", " ").replace("_", " ")
    return name.removeprefix("ECG").strip().removeprefix("LEAD").strip().removeprefix("M").removeprefix("L")


def choose_leads(recorded: Sequence[str], wanted: Sequence[str] | None = None) -> tuple[int, ...]:
    """Give the columns to analyse, at most N_SLOTS: those wanted, in that order, else the usual Holter leads.

    ``wanted`` names match without regard to case, MLII as II. Leads of unknown names come in their order.
    """
    if wanted:
        columns = tuple(_column(name, recorded) for name in wanted)
        if len(set(columns)) < len(columns) or len(columns) > N_SLOTS:
            raise NotAnalysableError(
                f"at most {N_SLOTS} different leads expected, {', '.join(wanted)} wanted"
            )
        return columns
    plain = [_plain(lead) for lead in recorded]
    chosen: list[int] = []
    for preferred in PREFERRED:
        free = [column for column in range(len(plain)) if column not in chosen]
        named = [plain.index(name) for name in preferred if name in plain]
        chosen += ([column for column in named if column in free] or free)[:1]
    return tuple(chosen)


def _column(name: str, recorded: Sequence[str]) -> int:
    for same in (str.upper, _plain):
        matching = [column for column, lead in enumerate(recorded) if same(lead) == same(name)]
        if matching:
            return matching[0]
    raise NotAnalysableError(f"lead {name} wanted, the recording has {', '.join(recorded)}")
