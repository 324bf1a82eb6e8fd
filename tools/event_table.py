"""Print the page of events: ``uv run python tools/event_table.py > docs/reference/events.md``."""

from ectopy.criteria import DEFAULT_CRITERIA
from ectopy.rhythm.kinds import KINDS
from ectopy.rhythm.named_intervals import mit_rhythm

INTRODUCTION = """\
# Events

The kinds of events in `events.csv`, made from the registry `ectopy.rhythm.kinds`. The rules are those of the
default [criteria](criteria.md). An event lasts from the R peak of its first beat to that of its
last. Events of different kinds may overlap.

| kind | title | rule | urgency | number in `summary.json` | annotation |
|---|---|---|---|---|---|"""


def main() -> None:
    """Print the table."""
    print(INTRODUCTION)
    for kind in (kind.stated(DEFAULT_CRITERIA) for kind in KINDS.values()):
        mark = f"`+ {mit_rhythm(kind)}`" if mit_rhythm(kind) else "a note"
        print(f"| `{kind.name}` | {kind.title} | {kind.rule} | {kind.urgency} | `{kind.count}` | {mark} |")


if __name__ == "__main__":
    main()
